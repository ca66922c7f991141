package session_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// sending makes one request inside the call, whatever it takes.
type sending struct {
	method sip.Method
	send   func(ctx context.Context, s *session.Session) error
}

// sendings is a way to send each method that the application has.
func sendings() []sending {
	do := func(method sip.Method) sending {
		return sending{method, func(ctx context.Context, s *session.Session) error {
			_, err := s.Do(ctx, sip.NewRequest(method, sip.URI{}))
			return err
		}}
	}
	return []sending{
		{sip.INVITE, func(ctx context.Context, s *session.Session) error { return s.Hold(ctx) }},
		{sip.UPDATE, func(ctx context.Context, s *session.Session) error {
			return s.Renegotiate(ctx, &session.RenegotiateOptions{UseUpdate: true})
		}},
		{sip.INFO, func(ctx context.Context, s *session.Session) error {
			return s.SendInfo(ctx, "text/plain", []byte("x"), nil)
		}},
		{sip.MESSAGE, func(ctx context.Context, s *session.Session) error { return s.SendMessage(ctx, "", []byte("x")) }},
		{sip.REFER, func(ctx context.Context, s *session.Session) error {
			_, err := s.Refer(ctx, "carol", nil)
			return err
		}},
		do(sip.OPTIONS), do("JUMP"),
	}
}

// refuse answers a request with a final response other than 2xx and takes the
// ACK, where there is one.
func (r *rig) refuse(req *sip.Request, code sip.StatusCode, fields ...sip.Field) {
	r.t.Helper()
	r.answer(req, code, "", "", fields...)
	if req.Method() == sip.INVITE {
		r.request(sip.ACK)
	}
}

// TestFailureInsideDialog: the responses that end the call do so at once,
// whatever they answer; the others fail their request and nothing else
// (RFC 5057 §5.1).
func TestFailureInsideDialog(t *testing.T) {
	for _, code := range []sip.StatusCode{
		400, 402, 403, 404, 405, 406, 410, 413, 415, 416, 420, 422, 481, 482, 483, 484, 485, 486, 488, 489, 493,
		500, 501, 502, 503, 504, 513, 600, 603, 604, 606,
	} {
		for _, x := range sendings() {
			ends := false
			switch code {
			case 404, 410, 416, 484, 485, 604:
				ends = x.method != sip.REFER // there it may be said of the Refer-To
			case 481, 482, 483, 502:
				ends = true
			case 405, 501:
				ends = x.method == sip.INVITE
			}
			bubble(t, func(r *rig) {
				s, _ := r.talk("b")
				result := start(func() error { return x.send(r.t.Context(), s) })
				r.refuse(r.request(x.method), code)
				if err := <-result; !errors.Is(err, code) {
					t.Errorf("%d to %s: %v", code, x.method, err)
				}
				if !ends {
					r.silence()
					if s.State() != session.Confirmed {
						t.Errorf("after %d to %s the call is %v", code, x.method, s.State())
					}
					return
				}
				r.answer(r.request(sip.BYE), 481, "", "")
				end := r.ended(s, session.EndDialogError, true)
				if !errors.Is(end, code) || end.Cause() != "Dialog Error" {
					t.Errorf("%d to %s ended the call by %v, cause %s", code, x.method, end, end.Cause())
				}
			})
		}
	}
}

// TestFarEndAwayForAMoment: what meets 408, 430 or 480 is sent again, with the
// next CSeq number, until the far end is back.
func TestFarEndAwayForAMoment(t *testing.T) {
	for _, code := range []sip.StatusCode{408, 430, 480} {
		for _, x := range sendings() {
			bubble(t, func(r *rig) {
				s, _ := r.talk("b")
				result := start(func() error { return x.send(r.t.Context(), s) })
				first := r.request(x.method)
				last := first
				for i, longest := range []time.Duration{1, 2, 4} {
					r.refuse(last, code)
					longest *= time.Second
					time.Sleep(longest*3/4 - time.Millisecond)
					r.silence()
					time.Sleep(longest/4 + time.Millisecond)
					next := r.request(x.method)
					if want := first.CSeq().Seq + uint32(i) + 1; next.CSeq().Seq != want {
						t.Errorf("%s again has CSeq %d, want %d", x.method, next.CSeq().Seq, want)
					}
					last = next
				}
				body := ""
				if x.method == sip.INVITE || x.method == sip.UPDATE {
					body = sdp("bob")
				}
				r.answer(last, 200, "", body)
				if x.method == sip.INVITE {
					if ack := r.request(sip.ACK); ack.CSeq().Seq != last.CSeq().Seq {
						t.Errorf("ACK has CSeq %v, the INVITE %v", ack.CSeq(), last.CSeq())
					}
				}
				r.must(<-result)
				r.silence()
				if s.State() != session.Confirmed {
					t.Errorf("state %v", s.State())
				}
			})
		}
	}
}

// TestFarEndAwayForGood: after RecoveryLimit there is no further try. The call
// ends where the request belongs to it (RFC 5057 §5.2, §5.3).
func TestFarEndAwayForGood(t *testing.T) {
	for _, code := range []sip.StatusCode{408, 430, 480} {
		for _, x := range sendings() {
			ends := x.method == sip.INVITE || x.method == sip.UPDATE || x.method == sip.INFO
			bubble(t, func(r *rig) {
				s, _ := r.talk("b")
				begin := time.Now()
				result := start(func() error { return x.send(r.t.Context(), s) })
				tries := 0
				var err error
				for err == nil {
					m := r.next()
					if req, ok := m.(*sip.Request); ok && req.Method() == x.method {
						tries++
						r.refuse(req, code)
					} else if m != nil {
						t.Fatalf("left: %s", show(m))
					}
					select {
					case err = <-result:
					default:
						time.Sleep(50 * time.Millisecond)
					}
				}
				if took := time.Since(begin); took > 32*time.Second || took < 16*time.Second || tries < 5 || !errors.Is(err, code) {
					t.Errorf("%d to %s: %v after %v and %d tries", code, x.method, err, took, tries)
				}
				if !ends {
					r.silence()
					if s.State() != session.Confirmed {
						t.Errorf("after %d to %s the call is %v", code, x.method, s.State())
					}
					return
				}
				r.answer(r.request(sip.BYE), 481, "", "")
				r.ended(s, session.EndDialogError, true)
			})
		}
	}
}

// TestSilenceInsideDialog: no answer counts as a 408, and RecoveryLimit is over
// by then. What belongs to the call takes it along (RFC 5057 §5.2).
func TestSilenceInsideDialog(t *testing.T) {
	for _, x := range sendings() {
		bubble(t, func(r *rig) {
			s, _ := r.talk("b")
			begin := time.Now()
			result := start(func() error { return x.send(r.t.Context(), s) })
			r.request(x.method)
			var timeout *sip.TimeoutError
			if err := <-result; !errors.As(err, &timeout) {
				t.Errorf("%s: %v", x.method, err)
			}
			if took := time.Since(begin); took != 32*time.Second {
				t.Errorf("%s took %v", x.method, took)
			}
			if x.method != sip.INVITE && x.method != sip.UPDATE && x.method != sip.INFO {
				r.silence()
				if s.State() != session.Confirmed {
					t.Errorf("after %s the call is %v", x.method, s.State())
				}
				return
			}
			r.request(sip.BYE)
			if end := r.ended(s, session.EndTimeout, false); end.Cause() != "Request Timeout" {
				t.Errorf("cause %s", end.Cause())
			}
		})
	}
}

// TestRetryAfterOfTheFarEnd: a 480 that says when is believed, and given up on
// where that is too late.
func TestRetryAfterOfTheFarEnd(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		result := start(func() error { return s.SendMessage(r.t.Context(), "", []byte("x")) })
		r.refuse(r.request(sip.MESSAGE), 480, sip.Field{Name: "Retry-After", Value: "20"})
		time.Sleep(20*time.Second - time.Millisecond)
		r.silence()
		time.Sleep(time.Millisecond)
		r.refuse(r.request(sip.MESSAGE), 480, sip.Field{Name: "Retry-After", Value: "20"})
		if err := <-result; !errors.Is(err, sip.StatusTemporarilyUnavailable) {
			t.Errorf("SendMessage: %v", err)
		}
	})
}

// TestTryingAgainEnds with the context and with the call.
func TestTryingAgainEnds(t *testing.T) {
	for _, x := range sendings() {
		for _, ending := range []string{"context", "BYE", "hangup", "close"} {
			bubble(t, func(r *rig) {
				s, bob := r.talk("b")
				ctx, cancel := context.WithCancel(r.t.Context())
				defer cancel()
				result := start(func() error { return x.send(ctx, s) })
				r.refuse(r.request(x.method), 480)
				switch ending {
				case "context":
					cancel()
				case "BYE":
					bob.send(sip.BYE, "")
					r.sent("200 BYE")
				case "hangup":
					start(func() error { return s.Hangup(r.t.Context()) })
					r.answer(r.request(sip.BYE), 200, "", "")
				case "close":
					r.calls.Close()
				}
				err := <-result
				var end *session.EndError
				if ended := errors.As(err, &end); ended == (ending == "context") {
					t.Errorf("%s and %s: %v", x.method, ending, err)
				}
				time.Sleep(time.Minute)
				r.silence()
			})
		}
	}
}

// TestPeerReturnsWithAnOffer: while ours waits for a peer that was away, its own
// comes through (RFC 3261 §14.1), and ours follows.
func TestPeerReturnsWithAnOffer(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.talk("b")
		result := start(func() error { return s.Hold(r.t.Context()) })
		r.refuse(r.request(sip.INVITE), 430)
		bob.send(sip.INVITE, sdp("bob2"))
		r.response(200, sip.INVITE)
		bob.send(sip.ACK, "")
		time.Sleep(time.Second)
		again := r.request(sip.INVITE)
		r.answer(again, 200, "", sdp("bob-held"))
		r.request(sip.ACK)
		r.must(<-result)
		if !s.Held().Local {
			t.Error("the call is not on hold")
		}
	})
}

// TestFailedReinviteLeavesTheCall: neither a connection that goes, nor one that
// does not come, nor a peer that has trouble ends the call (JsSIP ends it).
func TestFailedReinviteLeavesTheCall(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		for _, code := range []sip.StatusCode{488, 500, 503, 603} {
			result := start(func() error { return s.Hold(r.t.Context()) })
			r.refuse(r.request(sip.INVITE), code)
			if err := <-result; !errors.Is(err, code) {
				t.Errorf("Hold: %v", err)
			}
		}
		r.down()
		if err := s.Hold(r.t.Context()); err == nil { // waits for a connection, in vain
			t.Error("held without a connection")
		}
		r.up()
		result := start(func() error { return s.Hold(r.t.Context()) })
		r.request(sip.INVITE)
		r.down()
		if err := <-result; err == nil { // its connection is gone, and no other comes
			t.Error("held without an answer")
		}
		r.up()
		r.silence()
		if s.State() != session.Confirmed || s.Held().Local {
			t.Errorf("state %v, hold %v", s.State(), s.Held())
		}
		result = start(func() error { return s.Hold(r.t.Context()) })
		r.answer(r.request(sip.INVITE), 200, "", sdp("bob"))
		r.request(sip.ACK)
		r.must(<-result)
	})
}

// TestFailureInEarlyDialog: while nobody has answered, the INVITE decides.
func TestFailureInEarlyDialog(t *testing.T) {
	for _, code := range []sip.StatusCode{404, 405, 481, 501, 502} {
		bubble(t, func(r *rig) {
			s, invite := r.dial(nil)
			r.answer(invite, 180, "b", "")
			result := start(func() error { return s.SendInfo(r.t.Context(), "text/plain", []byte("x"), nil) })
			r.refuse(r.request(sip.INFO), code)
			if err := <-result; !errors.Is(err, code) {
				t.Errorf("SendInfo: %v", err)
			}
			r.answer(invite, 200, "b", sdp("bob"))
			if ack := r.request(sip.ACK); ack.CSeq().Seq != invite.CSeq().Seq {
				t.Errorf("ACK is %s", show(ack))
			}
			r.must(s.WaitAnswered(r.t.Context()))
		})
	}
}
