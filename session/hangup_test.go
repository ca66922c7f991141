package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// standing is a call in some state, and the other side of it.
type standing struct {
	s      *session.Session
	in     *session.Incoming // a call that is not decided
	bob    *peer
	invite *sip.Request
	done   func() // lets the media go on
}

// states are the ways to a call in each state, as caller and as callee.
var states = []struct {
	name  string
	state session.State
	reach func(r *rig) standing
}{
	{"caller, offer in the making", session.Preparing, func(r *rig) standing {
		done := r.media.hold()
		s, err := r.calls.Invite(context.Background(), "bob", nil)
		r.must(err)
		r.silence()
		return standing{s: s, done: done}
	}},
	{"caller, nothing heard", session.Calling, func(r *rig) standing {
		s, invite := r.dial(nil)
		return standing{s: s, invite: invite}
	}},
	{"caller, trying", session.Calling, func(r *rig) standing {
		s, invite := r.dial(nil)
		r.answer(invite, 100, "", "")
		return standing{s: s, invite: invite}
	}},
	{"caller, ringing", session.Early, func(r *rig) standing {
		s, invite := r.dial(nil)
		r.answer(invite, 180, "b", "")
		return standing{s: s, invite: invite, bob: r.called(invite, "b")}
	}},
	{"caller, up", session.Confirmed, func(r *rig) standing {
		s, bob := r.talk("b")
		return standing{s: s, bob: bob}
	}},
	{"callee, ringing", session.Ringing, func(r *rig) standing {
		bob := r.caller()
		in, invite := bob.ring(sdp("bob"))
		return standing{s: in.Session(), in: in, bob: bob, invite: invite}
	}},
	{"callee, answer in the making", session.Answering, func(r *rig) standing {
		bob := r.caller()
		in, invite := bob.ring(sdp("bob"))
		done := r.media.hold()
		go in.Answer(context.Background(), nil)
		r.silence()
		return standing{s: in.Session(), in: in, bob: bob, invite: invite, done: done}
	}},
	{"callee, answered", session.Accepted, func(r *rig) standing {
		bob := r.caller()
		in, invite := bob.ring(sdp("bob"))
		s, _ := r.answerCall(in)
		return standing{s: s, bob: bob, invite: invite}
	}},
	{"callee, up", session.Confirmed, func(r *rig) standing {
		s, bob := r.hosted()
		return standing{s: s, bob: bob}
	}},
}

// in puts a call into each state in turn.
func inEachState(t *testing.T, f func(r *rig, name string, c standing)) {
	for _, st := range states {
		t.Run(st.name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				c := st.reach(r)
				if got := c.s.State(); got != st.state {
					t.Fatalf("state %v, want %v", got, st.state)
				}
				f(r, st.name, c)
				if c.done != nil {
					c.done()
				}
			})
		})
	}
}

// reasonsOf are the Reason fields of a message, in one line.
func reasonsOf(m interface{ Headers(string) []string }) string {
	return strings.Join(m.Headers("Reason"), " | ")
}

// TestWeEndTheCallInEveryState: with a reason, fields and a body of our own,
// each where the message that ends it can have them.
func TestWeEndTheCallInEveryState(t *testing.T) {
	options := &session.HangupOptions{
		Code:    486,
		Reasons: []sip.Reason{{Protocol: "Q.850", Cause: 17, Text: "busy"}},
		Headers: []sip.Field{{Name: "X-Why", Value: "one"}, {Name: "X-Why", Value: "two"}},
		Body:    []byte("bye"), ContentType: "text/plain",
	}
	const reasons = `SIP;cause=486;text="Busy Here" | Q.850;cause=17;text="busy"`
	inEachState(t, func(r *rig, name string, c standing) {
		result := make(chan error, 1)
		go func() { result <- c.s.HangupWith(context.Background(), options) }()
		synctest.Wait()
		check := func(m interface {
			sip.Message
			Headers(string) []string
		}, reasons, body string) {
			t.Helper()
			if got := reasonsOf(m); got != reasons || strings.Join(m.Headers("X-Why"), ",") != "one,two" || string(m.Body()) != body {
				t.Errorf("%s ended by\n%s", name, show(m))
			}
		}
		kind := session.EndBye
		wantReasons := reasons
		switch c.s.Direction() {
		case session.Outbound:
			switch name {
			case "caller, offer in the making":
				kind = session.EndCanceled
				r.silence()
			case "caller, nothing heard":
				kind = session.EndCanceled
				r.silence() // a CANCEL waits for a provisional response
				r.answer(c.invite, 100, "", "")
				fallthrough
			case "caller, trying", "caller, ringing":
				kind = session.EndCanceled
				cancel := r.request(sip.CANCEL)
				check(cancel, reasons, "")
				r.answer(cancel, 200, "", "")
				r.answer(c.invite, 487, "b", "")
				r.request(sip.ACK)
			default:
				bye := r.request(sip.BYE)
				check(bye, reasons, "bye")
				r.answer(bye, 200, "", "")
			}
		default:
			switch name {
			case "callee, ringing", "callee, answer in the making":
				kind = session.EndRejected
				wantReasons = `Q.850;cause=17;text="busy"` // RFC 3326: no SIP reason in a response
				check(r.response(486, sip.INVITE), wantReasons, "bye")
			case "callee, answered": // no BYE before the ACK
				r.silence()
				c.bob.send(sip.ACK, "")
				fallthrough
			default:
				bye := r.request(sip.BYE)
				check(bye, reasons, "bye")
				r.answer(bye, 200, "", "")
			}
		}
		if err := <-result; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		end := r.ended(c.s, kind, false)
		if got := strings.Join(end.Reason, " | "); got != wantReasons && name != "callee, ringing" && name != "callee, answer in the making" || c.s.State() != session.Terminated {
			t.Errorf("%s: %v with reason %s", name, c.s.State(), got)
		}
		if kind == session.EndRejected && end.Status != 486 {
			t.Errorf("%s: status %d", name, end.Status)
		}
		if err := c.s.HangupWith(context.Background(), options); err != nil {
			t.Errorf("%s: again: %v", name, err)
		}
	})
}

// TestTheyEndTheCallInEveryState: by what the far end has for it then.
func TestTheyEndTheCallInEveryState(t *testing.T) {
	reason := sip.Field{Name: "Reason", Value: `Q.850;cause=16;text="over"`}
	inEachState(t, func(r *rig, name string, c standing) {
		kind, status := session.EndBye, sip.StatusCode(0)
		switch name {
		case "caller, offer in the making":
			return // they know nothing of it
		case "caller, nothing heard", "caller, trying", "caller, ringing":
			kind, status = session.EndRejected, 603
			r.answer(c.invite, 603, "b", "", reason)
			r.request(sip.ACK)
		case "callee, ringing", "callee, answer in the making":
			kind, status = session.EndCanceled, 487
			c.bob.cancel(c.invite, reason)
			r.sent("200 CANCEL", "487 INVITE")
		default:
			c.bob.send(sip.BYE, "", reason)
			r.response(200, sip.BYE)
		}
		end := r.ended(c.s, kind, true)
		if end.Status != status || len(end.Reasons()) != 1 || end.Reasons()[0] != (sip.Reason{Protocol: "Q.850", Cause: 16, Text: "over"}) {
			t.Errorf("%s: %+v", name, end)
		}
		if c.s.State() != session.Terminated {
			t.Errorf("%s: state %v", name, c.s.State())
		}
	})
}

func TestHangupOptionsThatCannotBe(t *testing.T) {
	inEachState(t, func(r *rig, name string, c standing) {
		undecided := name == "callee, ringing" || name == "callee, answer in the making"
		for what, o := range map[string]*session.HangupOptions{
			"a code of 199":         {Code: 199},
			"a code of 700":         {Code: 700},
			"a phrase with CR":      {Phrase: "a\rb"},
			"a header with LF":      {Headers: []sip.Field{{Name: "X", Value: "a\nb"}}},
			"a header of ours":      {Headers: []sip.Field{{Name: "f", Value: "<sip:x@y>"}}},
			"two reasons for SIP":   {Reasons: []sip.Reason{{Protocol: "SIP", Cause: 1}, {Protocol: "sip", Cause: 2}}},
			"a reason of no kind":   {Reasons: []sip.Reason{{}}},
			"a body without a type": {Body: []byte("x"), ContentType: "a\r\nb"},
			"a 302 to a call":       {Code: 302},
		} {
			if what == "a 302 to a call" && !undecided {
				continue
			}
			if err := c.s.HangupWith(context.Background(), o); err == nil {
				t.Errorf("%s: %s was taken", name, what)
			}
		}
		if c.s.State().Ended() {
			t.Errorf("%s: the call is over", name)
		}
	})
}

// TestHangupReasonOutlivesTheRaceWith200: the CANCEL and the BYE that follows
// it say the same.
func TestHangupReasonOutlivesTheRaceWith200(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.answer(invite, 180, "b", "")
		go s.HangupWith(context.Background(), &session.HangupOptions{Code: 200, Phrase: "Call completed elsewhere"})
		cancel := r.request(sip.CANCEL)
		const want = `SIP;cause=200;text="Call completed elsewhere"`
		if got := reasonsOf(cancel); got != want {
			t.Errorf("CANCEL with %s", got)
		}
		r.answer(cancel, 200, "", "")
		r.answer(invite, 200, "b", sdp("bob"))
		r.request(sip.ACK)
		bye := r.request(sip.BYE)
		if got := reasonsOf(bye); got != want {
			t.Errorf("BYE with %s", got)
		}
		r.answer(bye, 200, "", "")
	})
}

// TestForkThatLostHearsNoReason: nobody hung up on it for one.
func TestForkThatLostHearsNoReason(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.answer(invite, 180, "b", "")
		r.answer(invite, 200, "b", sdp("bob"))
		r.request(sip.ACK)
		r.answer(invite, 200, "c", sdp("carol"))
		r.request(sip.ACK)
		bye := r.request(sip.BYE)
		if bye.HasHeader("Reason") || bye.To().Tag() != "c" {
			t.Errorf("BYE is\n%s", show(bye))
		}
		r.answer(bye, 200, "", "")
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
	})
}

// TestFailedCallSaysWhyInBYE: RFC 3326 §3.2 and what JsSIP says.
func TestFailedCallSaysWhyInBYE(t *testing.T) {
	answered := func(r *rig, body string) (*session.Session, *sip.Request) {
		s, invite := r.dial(nil)
		r.answer(invite, 200, "b", body)
		r.request(sip.ACK)
		return s, r.request(sip.BYE)
	}
	for _, tt := range []struct {
		name, cause, reason string
		fail                func(r *rig) (*session.Session, *sip.Request)
	}{
		{"no answer in the 200", "Missing SDP", `SIP;cause=400;text="Missing SDP"`, func(r *rig) (*session.Session, *sip.Request) {
			return answered(r, "")
		}},
		{"an answer that cannot be used", "Bad Media Description", `SIP;cause=488;text="Not Acceptable Here"`, func(r *rig) (*session.Session, *sip.Request) {
			r.media.failWith(session.ErrUnacceptable)
			return answered(r, sdp("bob"))
		}},
		{"media that break", "WebRTC Error", `SIP;cause=500;text="Server Internal Error"`, func(r *rig) (*session.Session, *sip.Request) {
			r.media.failWith(errors.New("oops"))
			return answered(r, sdp("bob"))
		}},
		{"a path that is lost", "RTP Timeout", `SIP;cause=408;text="RTP Timeout"`, func(r *rig) (*session.Session, *sip.Request) {
			s, _ := r.talk("b")
			r.media.last().events.Failed(errors.New("ICE failed"))
			return s, r.request(sip.BYE)
		}},
		{"an ACK that never comes", "No ACK", `SIP;cause=408;text="ACK missing"`, func(r *rig) (*session.Session, *sip.Request) {
			in, _ := r.caller().ring(sdp("bob"))
			s, _ := r.answerCall(in)
			time.Sleep(32 * time.Second)
			for {
				if req, ok := r.next().(*sip.Request); ok {
					return s, req
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				s, bye := tt.fail(r)
				if got := reasonsOf(bye); bye.Method() != sip.BYE || got != tt.reason {
					t.Errorf("%s with %s", bye.Method(), got)
				}
				r.answer(bye, 200, "", "")
				var end *session.EndError
				if !errors.As(context.Cause(s.Context()), &end) || end.Remote || end.Cause() != tt.cause {
					t.Errorf("ended as %v", context.Cause(s.Context()))
				}
			})
		})
	}
}

// TestHangupOfAFarEndThatIsAway: for us the call is over with any answer. The BYE
// goes again for a while where a server does not know for now where the far end is.
func TestHangupOfAFarEndThatIsAway(t *testing.T) {
	for _, code := range []sip.StatusCode{404, 430, 480} {
		bubble(t, func(r *rig) {
			s, _ := r.talk("b")
			result := start(func() error { return s.Hangup(r.t.Context()) })
			first := r.request(sip.BYE)
			r.answer(first, code, "", "")
			r.must(<-result)
			for i, longest := range []time.Duration{1, 2, 4} {
				longest *= time.Second
				time.Sleep(longest*3/4 - time.Millisecond)
				r.silence()
				time.Sleep(longest/4 + time.Millisecond)
				again := r.request(sip.BYE)
				if again.CSeq().Seq != first.CSeq().Seq+uint32(i)+1 {
					t.Errorf("BYE again has CSeq %v", again.CSeq())
				}
				if i < 2 {
					r.answer(again, code, "", "")
				} else {
					r.answer(again, 200, "", "")
				}
			}
			time.Sleep(time.Minute)
			r.silence()
		})
	}
	bubble(t, func(r *rig) { // for good
		s, _ := r.talk("b")
		start(func() error { return s.Hangup(r.t.Context()) })
		tries, begun := 0, time.Now()
		for time.Since(begun) < 2*time.Minute {
			if req, ok := r.next().(*sip.Request); ok {
				tries++
				r.answer(req, 480, "", "")
			}
			time.Sleep(50 * time.Millisecond)
		}
		if tries < 5 || tries > 8 {
			t.Errorf("%d tries", tries)
		}
	})
	bubble(t, func(r *rig) { // and with the UA
		s, _ := r.talk("b")
		start(func() error { return s.Hangup(r.t.Context()) })
		r.answer(r.request(sip.BYE), 480, "", "")
		r.calls.Close()
		time.Sleep(time.Minute)
		r.silence()
	})
}
