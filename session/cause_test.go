package session_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// TestEachFinalResponseHasItsCause: every code of the registry, and for one
// that is not in it that of the x00 of its class (RFC 3261 §8.1.3.2). The code
// itself is never lost.
func TestEachFinalResponseHasItsCause(t *testing.T) {
	special := map[sip.StatusCode]string{
		300: "Redirected", 301: "Redirected", 302: "Redirected", 305: "Redirected", 380: "Redirected",
		401: "Authentication Error", 407: "Authentication Error",
		403: "Rejected", 603: "Rejected", 607: "Rejected", 608: "Rejected",
		404: "Not Found", 604: "Not Found",
		408: "Unavailable", 410: "Unavailable", 430: "Unavailable", 480: "Unavailable",
		424: "Address Incomplete", 484: "Address Incomplete",
		486: "Busy", 600: "Busy",
		488: "Incompatible SDP", 606: "Incompatible SDP",
	}
	for code := sip.StatusCode(300); code <= 699; code++ {
		want := special[code]
		switch {
		case want != "":
		case code.Reason() != "":
			want = "SIP Failure Code"
		case code/100 == 3:
			want = "Redirected"
		case code/100 == 6:
			want = "Busy"
		default:
			want = "SIP Failure Code"
		}
		bubble(t, func(r *rig) {
			s, invite := r.dial(nil)
			r.answer(invite, code, "b", "")
			r.request(sip.ACK)
			end := r.ended(s, session.EndRejected, true)
			if end.Status != code || end.Cause() != want || !errors.Is(end, code) {
				t.Errorf("%d: status %d, cause %s, want %s; %v", code, end.Status, end.Cause(), want, end)
			}
			if !errors.Is(s.WaitAnswered(context.Background()), code) {
				t.Errorf("%d: WaitAnswered does not tell", code)
			}
		})
	}
}

// TestCauseOfWhatIsNoResponse has the endings that JsSIP has names for and that
// other tests do not come across.
func TestCauseOfWhatIsNoResponse(t *testing.T) {
	for _, tt := range []struct {
		cause  string
		kind   session.EndKind
		remote bool
		fail   func(r *rig) *session.Session
	}{
		{"Request Timeout", session.EndTimeout, false, func(r *rig) *session.Session {
			s, _ := r.dial(nil)
			time.Sleep(32 * time.Second)
			return s
		}},
		{"Connection Error", session.EndTransportLost, false, func(r *rig) *session.Session {
			s, invite := r.dial(nil)
			r.answer(invite, 180, "b", "")
			r.down()
			time.Sleep(32 * time.Second)
			return s
		}},
		{"Connection Error", session.EndClosed, false, func(r *rig) *session.Session {
			s, _ := r.dial(nil)
			r.calls.Close()
			return s
		}},
		{"No Answer", session.EndNoAnswer, false, func(r *rig) *session.Session {
			s, invite := r.dial(&session.CallOptions{RingTimeout: time.Minute})
			r.answer(invite, 180, "b", "")
			time.Sleep(time.Minute)
			r.answer(r.request(sip.CANCEL), 200, "", "")
			r.answer(invite, 487, "b", "")
			return s
		}},
		{"Expires", session.EndExpired, true, func(r *rig) *session.Session {
			in, _ := r.caller().ring(sdp("bob"), sip.Field{Name: "Expires", Value: "10"})
			time.Sleep(10 * time.Second)
			r.response(487, sip.INVITE)
			return in.Session()
		}},
		{"Dialog Error", session.EndDialogError, true, func(r *rig) *session.Session {
			s, _ := r.talk("b")
			go s.SendInfo(context.Background(), "text/plain", []byte("x"), nil)
			r.answer(r.request(sip.INFO), 481, "", "")
			r.answer(r.request(sip.BYE), 481, "", "")
			return s
		}},
		{"Internal Error", session.EndDialogError, true, func(r *rig) *session.Session { // no Contact: no dialog
			s, invite := r.dial(nil)
			res := sip.NewResponse(invite, 200, "")
			res.SetToTag("b")
			r.receive(res)
			return s
		}},
		{"Internal Error", session.EndBye, false, func(r *rig) *session.Session {
			s, invite := r.dial(&session.CallOptions{Handler: &session.Handler{State: func(_ *session.Session, st session.State) {
				if st == session.Confirmed {
					panic("oops")
				}
			}}})
			r.answer(invite, 200, "b", sdp("bob"))
			r.request(sip.ACK)
			bye := r.request(sip.BYE)
			if got := reasonsOf(bye); got != `SIP;cause=500;text="Server Internal Error"` {
				r.t.Errorf("BYE with %s", got)
			}
			r.answer(bye, 200, "", "")
			return s
		}},
		{"User Denied Media Access", session.EndMediaFailed, false, func(r *rig) *session.Session {
			s, err := r.calls.Invite(context.Background(), "bob", &session.CallOptions{Media: denied{}})
			r.must(err)
			return s
		}},
		{"User Denied Media Access", session.EndMediaFailed, false, func(r *rig) *session.Session {
			in, _ := r.caller().ring(sdp("bob"))
			if _, err := in.Answer(context.Background(), &session.AnswerOptions{Media: denied{}}); !errors.Is(err, session.ErrMediaDenied) {
				r.t.Errorf("Answer: %v", err)
			}
			r.response(480, sip.INVITE)
			return in.Session()
		}},
	} {
		t.Run(tt.cause, func(t *testing.T) {
			bubble(t, func(r *rig) {
				s := tt.fail(r)
				if end := r.ended(s, tt.kind, tt.remote); end.Cause() != tt.cause {
					t.Errorf("%v has cause %s", end, end.Cause())
				}
			})
		})
	}
	if got := (&session.EndError{Kind: session.EndInternal, Err: &sip.FieldError{Field: "X"}}).Cause(); got != "Internal Error" {
		t.Errorf("cause %s", got)
	}
	if got := fmt.Sprint(&session.EndError{Kind: session.EndTransportLost, Err: net.ErrClosed}); got == "" {
		t.Error("an end without words")
	}
}

// denied is a MediaFactory that may not use the microphone.
type denied struct{}

func (denied) NewMedia(session.MediaOptions) (session.Media, error) {
	return nil, fmt.Errorf("microphone: %w", session.ErrMediaDenied)
}

// TestCallCompletedElsewhereIsNotMissed: RFC 3326 §3.1, and Q.850 behind a
// gateway.
func TestCallCompletedElsewhereIsNotMissed(t *testing.T) {
	for reason, want := range map[string]struct{ completed, declined bool }{
		``: {},
		`SIP ;cause=200 ;text="Call completed elsewhere"`: {completed: true},
		`sip;cause=202`:                                    {completed: true},
		`Q.850;cause=16, SIP;cause=200`:                    {completed: true},
		`Q.850;cause=26;text="Non-selected user clearing"`: {completed: true},
		`SIP;cause=600;text="Busy Everywhere"`:             {declined: true},
		`SIP;cause=603`:                                    {declined: true},
		`Q.850;cause=21`:                                   {declined: true},
		`Q.850;cause=16;text="Terminated"`:                 {},
		`SIP;cause=487`:                                    {},
		`Q.850;cause=200`:                                  {},
		`preemption;cause=200`:                             {},
		`SIP;cause=x;;`:                                    {},
	} {
		bubble(t, func(r *rig) {
			bob := r.caller()
			in, invite := bob.ring(sdp("bob"))
			var fields []sip.Field
			if reason != "" {
				fields = []sip.Field{{Name: "Reason", Value: reason}}
			}
			bob.cancel(invite, fields...)
			end := r.ended(in, session.EndCanceled, true)
			if end.CompletedElsewhere() != want.completed || end.DeclinedElsewhere() != want.declined {
				t.Errorf("%s: completed %v, declined %v", reason, end.CompletedElsewhere(), end.DeclinedElsewhere())
			}
		})
	}
	bubble(t, func(r *rig) { // a BYE ends a call that was had
		s, bob := r.talk("b")
		bob.send(sip.BYE, "", sip.Field{Name: "Reason", Value: "SIP;cause=200"})
		if end := r.ended(s, session.EndBye, true); end.CompletedElsewhere() {
			t.Error("a call that was up was completed elsewhere")
		}
	})
}
