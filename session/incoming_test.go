package session_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// answerCall answers a call that rings and returns it with its 200.
func (r *rig) answerCall(in *session.Incoming) (*session.Session, *sip.Response) {
	r.t.Helper()
	s, err := in.Answer(r.t.Context(), &session.AnswerOptions{Handler: r.handler()})
	r.must(err)
	return s, r.response(200, sip.INVITE)
}

// hosted is a call of bob's that is up.
func (r *rig) hosted() (*session.Session, *peer) {
	r.t.Helper()
	bob := r.caller()
	in, _ := bob.ring(sdp("bob"))
	s, _ := r.answerCall(in)
	bob.send(sip.ACK, "")
	r.seen("state Answering", "state Accepted", "state Confirmed")
	r.media.last().wrote()
	return s, bob
}

func TestAnswer(t *testing.T) {
	bubble(t, func(r *rig) {
		bob := r.caller()
		in, _ := bob.ring(sdp("bob"))
		if in.From().URI.User != "bob" || in.To().URI.User != "alice" {
			t.Errorf("from %v to %v", in.From(), in.To())
		}
		s, ok := r.answerCall(in)
		if nameOf(ok.Body()) != "answer1" || ok.To().Tag() != bob.remote.Tag() || ok.To().Tag() == "" {
			t.Errorf("200 is %s", show(ok))
		}
		if s.State() != session.Accepted {
			t.Errorf("state %v", s.State())
		}
		bob.send(sip.ACK, "")
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
		r.must(s.WaitAnswered(r.t.Context()))
		if got := r.media.last().wrote(); got != "Answer bob" {
			t.Errorf("media: %s", got)
		}
		time.Sleep(time.Minute)
		r.silence()
	})
}

// TestOKIsRepeatedUntilACK: T1, 2*T1, … T2 apart, over a reliable transport
// too, and BYE after 64*T1 (RFC 3261 §13.3.1.4).
func TestOKIsRepeatedUntilACK(t *testing.T) {
	bubble(t, func(r *rig) {
		bob := r.caller()
		in, _ := bob.ring(sdp("bob"))
		s, first := r.answerCall(in)
		start := time.Now()
		for _, at := range []time.Duration{500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500} {
			at *= time.Millisecond
			time.Sleep(at - time.Since(start) - 1)
			r.silence()
			time.Sleep(time.Nanosecond)
			if again := r.response(200, sip.INVITE); show(again) != show(first) {
				t.Errorf("repeated as\n%s", show(again))
			}
		}
		time.Sleep(32*time.Second - time.Since(start))
		r.answer(r.request(sip.BYE), 200, "", "")
		end := r.ended(s, session.EndNoACK, false)
		if end.Cause() != "No ACK" {
			t.Errorf("cause %s", end.Cause())
		}
		time.Sleep(time.Minute)
		r.silence()
	})
}

func TestRejectAndRedirect(t *testing.T) {
	for _, code := range []sip.StatusCode{486, 480, 603, 404} {
		bubble(t, func(r *rig) {
			in, _ := r.caller().ring(sdp("bob"))
			r.must(in.Reject(code, &session.RejectOptions{Headers: []sip.Field{{Name: "X-Why", Value: "busy"}}}))
			if res := r.response(code, sip.INVITE); res.Header("X-Why") != "busy" {
				t.Errorf("refused with %s", show(res))
			}
			if end := r.ended(in, session.EndRejected, false); end.Status != code {
				t.Errorf("ended with status %d, want %d", end.Status, code)
			}
			if err := in.Reject(486, nil); !errors.Is(err, context.Cause(in.Context())) {
				t.Errorf("second Reject: %v", err)
			}
			if _, err := in.Answer(r.t.Context(), nil); !errors.Is(err, context.Cause(in.Context())) {
				t.Errorf("Answer after Reject: %v", err)
			}
		})
	}
	bubble(t, func(r *rig) {
		in, _ := r.caller().ring(sdp("bob"))
		r.must(in.Redirect(sip.NameAddr{URI: sip.URI{Scheme: "sip", User: "carol", Host: "example.com"}}))
		res := r.response(302, sip.INVITE)
		if c, ok := res.Contact(); !ok || c.URI.User != "carol" || len(res.Headers("Contact")) != 1 {
			t.Errorf("302 is %s", show(res))
		}
	})
}

func TestDecisionsOutOfPlace(t *testing.T) {
	bubble(t, func(r *rig) {
		in, _ := r.caller().ring(sdp("bob"))
		for name, err := range map[string]error{
			"Reject(200)":           in.Reject(200, nil),
			"Reject(99)":            in.Reject(99, nil),
			"Redirect()":            in.Redirect(),
			"Progress(100)":         in.Progress(&session.ProgressOptions{Code: 100}),
			"Progress(200)":         in.Progress(&session.ProgressOptions{Code: 200}),
			"Reject with CR":        in.Reject(486, &session.RejectOptions{Reason: "a\rb"}),
			"Reject with LF header": in.Reject(486, &session.RejectOptions{Headers: []sip.Field{{Name: "X", Value: "a\nB: c"}}}),
		} {
			if err == nil {
				t.Errorf("%s was taken", name)
			}
		}
		if _, err := in.Answer(r.t.Context(), &session.AnswerOptions{Headers: []sip.Field{{Name: "X", Value: "\x00"}}}); err == nil {
			t.Error("Answer with NUL was taken")
		}
		r.silence()
		r.answerCall(in)
	})
}

func TestProgressIsRepeated(t *testing.T) {
	bubbleWith(t, session.Options{NoAnswerTimeout: 5 * time.Minute}, func(r *rig) {
		in, _ := r.caller().ring(sdp("bob"))
		r.must(in.Progress(nil))
		r.response(183, sip.INVITE)
		for range 3 {
			time.Sleep(time.Minute)
			r.response(183, sip.INVITE)
		}
		r.must(in.Ring())
		r.response(180, sip.INVITE)
		time.Sleep(time.Minute)
		r.response(180, sip.INVITE)
	})
}

func TestNoAnswer(t *testing.T) {
	bubble(t, func(r *rig) {
		in, _ := r.caller().ring(sdp("bob"))
		time.Sleep(60*time.Second - 1)
		r.silence()
		time.Sleep(time.Nanosecond)
		for {
			m, ok := r.next().(*sip.Response)
			if ok && m.StatusCode() == 180 {
				continue // due in the same instant
			}
			if !ok || m.StatusCode() != 480 {
				t.Errorf("got %v", m)
			}
			break
		}
		r.ended(in, session.EndNoAnswer, false)
	})
}

func TestInviteExpires(t *testing.T) {
	bubble(t, func(r *rig) {
		in, _ := r.caller().ring(sdp("bob"), sip.Field{Name: "Expires", Value: "20"})
		time.Sleep(20 * time.Second)
		r.response(487, sip.INVITE)
		if end := r.ended(in, session.EndExpired, true); end.Cause() != "Expires" {
			t.Errorf("cause %s", end.Cause())
		}
	})
}

func TestCancelOfRingingCall(t *testing.T) {
	bubble(t, func(r *rig) {
		bob := r.caller()
		in, invite := bob.ring(sdp("bob"))
		bob.cancel(invite, sip.Field{Name: "Reason", Value: "SIP;cause=200"})
		r.response(200, sip.CANCEL)
		r.response(487, sip.INVITE)
		if end := r.ended(in, session.EndCanceled, true); len(end.Reason) != 1 || end.Cause() != "Canceled" {
			t.Errorf("end %+v", end)
		}
	})
}

// TestCancelWhileAnswering: the media is still at work when the CANCEL comes.
func TestCancelWhileAnswering(t *testing.T) {
	bubble(t, func(r *rig) {
		bob := r.caller()
		in, invite := bob.ring(sdp("bob"))
		release := r.media.hold()
		result := make(chan error, 1)
		go func() {
			_, err := in.Answer(r.t.Context(), nil)
			result <- err
		}()
		synctest.Wait()
		bob.cancel(invite)
		r.response(200, sip.CANCEL)
		r.response(487, sip.INVITE)
		r.ended(in, session.EndCanceled, true)
		if err := <-result; !errors.Is(err, context.Cause(in.Context())) {
			t.Errorf("Answer returned %v", err)
		}
		release()
		r.silence()
	})
}

// TestByeInEarlyDialog: RFC 3261 §15.1.2.
func TestByeInEarlyDialog(t *testing.T) {
	bubble(t, func(r *rig) {
		bob := r.caller()
		in, _ := bob.ring(sdp("bob"))
		bob.send(sip.BYE, "")
		r.response(200, sip.BYE)
		r.response(487, sip.INVITE)
		r.ended(in, session.EndBye, true)
	})
}

func TestAnswerLateOffer(t *testing.T) {
	bubble(t, func(r *rig) {
		bob := r.caller()
		in, _ := bob.ring("")
		s, ok := r.answerCall(in)
		if nameOf(ok.Body()) != "offer1.1" {
			t.Errorf("200 is %s", show(ok))
		}
		bob.send(sip.ACK, sdp("bob"))
		r.must(s.WaitAnswered(r.t.Context()))
		if got := r.media.last().wrote(); got != "Offer, SetAnswer bob early=false" {
			t.Errorf("media: %s", got)
		}
	})
}

func TestACKWithoutAnswer(t *testing.T) {
	bubble(t, func(r *rig) {
		bob := r.caller()
		in, _ := bob.ring("")
		s, _ := r.answerCall(in)
		bob.send(sip.ACK, "")
		r.answer(r.request(sip.BYE), 200, "", "")
		if end := r.ended(s, session.EndMediaFailed, false); end.Cause() != "Missing SDP" {
			t.Errorf("cause %s", end.Cause())
		}
	})
}

func TestUnusableOffer(t *testing.T) {
	bubble(t, func(r *rig) {
		in, _ := r.caller().ring(sdp("bob"))
		r.media.failWith(session.ErrUnacceptable)
		if _, err := in.Answer(r.t.Context(), nil); !errors.Is(err, session.ErrUnacceptable) {
			t.Errorf("Answer: %v", err)
		}
		if res := r.response(488, sip.INVITE); !res.HasHeader("Warning") {
			t.Errorf("488 is %s", show(res))
		}
		r.ended(in, session.EndMediaFailed, false)
	})
}

func TestHangupBeforeACK(t *testing.T) {
	bubble(t, func(r *rig) {
		bob := r.caller()
		in, _ := bob.ring(sdp("bob"))
		s, _ := r.answerCall(in)
		go s.Hangup(r.t.Context())
		r.silence() // BYE must wait for the ACK
		r.ended(s, session.EndBye, false)
		bob.send(sip.ACK, "")
		r.answer(r.request(sip.BYE), 200, "", "")
		if s.State() != session.Terminated {
			t.Errorf("state %v", s.State())
		}
	})
}

func TestAnswerContextEnds(t *testing.T) {
	bubble(t, func(r *rig) {
		in, _ := r.caller().ring(sdp("bob"))
		release := r.media.hold()
		defer release()
		ctx, cancel := context.WithTimeoutCause(r.t.Context(), 3*time.Second, errors.New("too slow"))
		defer cancel()
		if _, err := in.Answer(ctx, nil); !errors.Is(err, context.Cause(ctx)) {
			t.Errorf("Answer: %v", err)
		}
		r.response(480, sip.INVITE)
	})
}

// TestAnswerWithContextEnded refuses the call, however quick the media are.
func TestAnswerWithContextEnded(t *testing.T) {
	for range 20 {
		bubble(t, func(r *rig) {
			in, _ := r.caller().ring(sdp("bob"))
			ctx, cancel := context.WithCancel(r.t.Context())
			cancel()
			if _, err := in.Answer(ctx, nil); !errors.Is(err, context.Canceled) {
				t.Errorf("Answer: %v", err)
			}
			r.sent("480 INVITE")
		})
	}
}

func TestCallHandlerPanics(t *testing.T) {
	o := session.Options{Call: func(*session.Incoming) { panic("oops") }}
	bubbleWith(t, o, func(r *rig) {
		bob := r.caller()
		bob.send(sip.INVITE, sdp("bob"))
		r.ringing()
		r.response(480, sip.INVITE)
		r.silence()
	})
}

func TestTooManyCalls(t *testing.T) {
	bubbleWith(t, session.Options{MaxCalls: 1}, func(r *rig) {
		r.caller().ring(sdp("bob"))
		r.caller().send(sip.INVITE, sdp("bob"))
		res := r.next().(*sip.Response)
		if res.StatusCode() == 100 {
			res = r.next().(*sip.Response)
		}
		if res.StatusCode() != 486 || !res.HasHeader("Retry-After") {
			t.Errorf("got %s", show(res))
		}
		if _, err := r.calls.Invite(r.t.Context(), "bob", nil); !errors.Is(err, session.ErrTooManyCalls) {
			t.Errorf("Invite: %v", err)
		}
	})
}
