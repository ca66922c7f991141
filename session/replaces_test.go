package session_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// carol calls us with a Replaces.
func (r *rig) carol(value string, fields ...sip.Field) (*peer, *sip.Request) {
	r.t.Helper()
	carol := r.caller()
	carol.local = sip.NameAddr{URI: sip.URI{Scheme: "sip", User: "carol", Host: "example.com"}}.WithTag("carol")
	req := carol.send(sip.INVITE, sdp("carol"), append([]sip.Field{{Name: "Replaces", Value: value}}, fields...)...)
	return carol, req
}

// replacing is one that may be answered.
func (r *rig) replacing(value string) (*session.Incoming, *peer) {
	r.t.Helper()
	carol, _ := r.carol(value, sip.Field{Name: "Require", Value: "replaces"})
	carol.remote = r.ringing()
	synctest.Wait()
	select {
	case in := <-r.calls1:
		return in, carol
	default:
		r.t.Fatal("nobody was asked")
		return nil, nil
	}
}

// replaces is what a Replaces has to say to meet the call of p.
func (p *peer) replaces() string {
	return sip.Replaces{CallID: p.callID, ToTag: p.remote.Tag(), FromTag: p.local.Tag()}.String()
}

// TestReplaced: the new call is asked for, and when it is up the old one goes,
// whichever side placed that (RFC 3891 §3).
func TestReplaced(t *testing.T) {
	for _, placed := range []bool{true, false} {
		t.Run(fmt.Sprintf("placed by us %v", placed), func(t *testing.T) {
			bubbleWith(t, session.Options{MaxCalls: 1}, func(r *rig) { // it takes the place of one
				var old *session.Session
				var bob *peer
				if placed {
					old, bob = r.talk("b")
				} else {
					old, bob = r.hosted()
				}
				in, carol := r.replacing(bob.replaces())
				if in.Replaces() != old {
					t.Error("not the call that it names")
				}
				s, _ := r.answerCall(in)
				if old.State() != session.Confirmed {
					t.Error("the old call ended before the new one is up")
				}
				carol.send(sip.ACK, "")
				bye := r.request(sip.BYE)
				if bye.CallID() != bob.callID {
					t.Errorf("BYE is %s", show(bye))
				}
				r.answer(bye, 200, "", "")
				end := r.ended(old, session.EndBye, false)
				var replaced *session.ReplacedError
				if !errors.As(end, &replaced) || replaced.By != s {
					t.Errorf("ended by %v", end)
				}
				if s.State() != session.Confirmed {
					t.Errorf("state %v", s.State())
				}
				r.carol(bob.replaces())
				r.response(603, sip.INVITE) // it ended just now
				time.Sleep(33 * time.Second)
				r.carol(bob.replaces())
				r.response(481, sip.INVITE)
			})
		})
	}
}

// TestNotReplaced: the old call stays as it is.
func TestNotReplaced(t *testing.T) {
	t.Run("rejected", func(t *testing.T) {
		bubble(t, func(r *rig) {
			old, bob := r.talk("b")
			in, _ := r.replacing(bob.replaces())
			r.must(in.Reject(603, nil))
			r.response(603, sip.INVITE)
			if old.State() != session.Confirmed {
				t.Errorf("state %v", old.State())
			}
			if in, _ := bob.r.caller().ring(sdp("dave")); in.Replaces() != nil {
				t.Error("an ordinary call replaces one")
			}
		})
	})
	t.Run("no media", func(t *testing.T) {
		bubble(t, func(r *rig) {
			old, bob := r.talk("b")
			in, _ := r.replacing(bob.replaces())
			r.media.failWith(session.ErrUnacceptable)
			if _, err := in.Answer(r.t.Context(), nil); err == nil {
				t.Error("answered")
			}
			r.response(488, sip.INVITE)
			if old.State() != session.Confirmed {
				t.Errorf("state %v", old.State())
			}
		})
	})
	t.Run("never acknowledged", func(t *testing.T) {
		bubble(t, func(r *rig) {
			old, bob := r.talk("b")
			in, _ := r.replacing(bob.replaces())
			s, _ := r.answerCall(in)
			<-s.Context().Done()
			if old.State() != session.Confirmed {
				t.Errorf("state %v", old.State())
			}
		})
	})
}

// TestReplacesRefused: RFC 3891 §3, who may be replaced and by what.
func TestReplacesRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		call func(r *rig) (replaces string, fields []sip.Field)
		want sip.StatusCode
	}{
		{"unknown", func(*rig) (string, []sip.Field) { return "x;to-tag=a;from-tag=b", nil }, 481},
		{"tags of the far end's view", func(r *rig) (string, []sip.Field) {
			_, bob := r.talk("b")
			return sip.Replaces{CallID: bob.callID, ToTag: bob.local.Tag(), FromTag: bob.remote.Tag()}.String(), nil
		}, 481},
		{"early-only, and answered", func(r *rig) (string, []sip.Field) {
			_, bob := r.talk("b")
			return bob.replaces() + ";early-only", nil
		}, 486},
		{"not answered by us", func(r *rig) (string, []sip.Field) {
			bob := r.caller()
			bob.ring(sdp("bob"))
			return bob.replaces(), nil
		}, 481},
		{"over", func(r *rig) (string, []sip.Field) {
			_, bob := r.talk("b")
			bob.send(sip.BYE, "")
			r.response(200, sip.BYE)
			return bob.replaces(), nil
		}, 603},
		{"about to be over", func(r *rig) (string, []sip.Field) {
			s, bob := r.talk("b")
			start(func() error { return s.Hangup(r.t.Context()) })
			r.request(sip.BYE)
			return bob.replaces(), nil
		}, 603},
		{"a refer subscription", func(r *rig) (string, []sip.Field) {
			f := r.referring(func() (*session.Transfer, error) { return r.calls.Refer(r.t.Context(), "bob", "carol", nil) })
			refer := r.request(sip.REFER)
			bob := r.called(refer, "b")
			bob.notify("refer", "active;expires=60", "SIP/2.0 100 Trying")
			r.response(200, sip.NOTIFY)
			r.agreed(f, refer)
			return bob.replaces(), nil
		}, 481},
		{"two", func(*rig) (string, []sip.Field) {
			return "x;to-tag=a;from-tag=b", []sip.Field{{Name: "Replaces", Value: "y;to-tag=a;from-tag=b"}}
		}, 400},
		{"with Join", func(*rig) (string, []sip.Field) {
			return "x;to-tag=a;from-tag=b", []sip.Field{{Name: "Join", Value: "y;to-tag=a;from-tag=b"}}
		}, 400},
		{"a tag is missing", func(*rig) (string, []sip.Field) { return "x;to-tag=a", nil }, 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				value, fields := tt.call(r)
				r.carol(value, fields...)
				r.response(tt.want, sip.INVITE)
				r.silence()
			})
		})
	}
	t.Run("another method", func(t *testing.T) {
		bubble(t, func(r *rig) {
			_, bob := r.talk("b")
			r.caller().send(sip.OPTIONS, "", sip.Field{Name: "Replaces", Value: bob.replaces()})
			r.response(400, sip.OPTIONS)
		})
	})
}

// TestEarlyCallReplaced: RFC 3891 §7.1. Somebody else takes the call that we
// make, and where it rang nobody has missed it.
func TestEarlyCallReplaced(t *testing.T) {
	bubble(t, func(r *rig) {
		old, invite := r.dial(nil)
		r.answer(invite, 180, "b", "")
		bob := r.called(invite, "b")
		in, carol := r.replacing(bob.replaces() + ";early-only")
		s, _ := r.answerCall(in)
		carol.send(sip.ACK, "")
		cancel := r.request(sip.CANCEL)
		if cancel.Header("Reason") != `SIP;cause=200;text="Call completed elsewhere"` {
			t.Errorf("CANCEL is %s", show(cancel))
		}
		r.answer(cancel, 200, "", "")
		r.answer(invite, 487, "b", "")
		r.request(sip.ACK)
		end := r.ended(old, session.EndCanceled, false)
		var replaced *session.ReplacedError
		if !errors.As(end, &replaced) || replaced.By != s {
			t.Errorf("ended by %v", end)
		}
	})
}

// TestReplacesOvertaken: what happens to the old call while nobody has decided
// on the new one.
func TestReplacesOvertaken(t *testing.T) {
	t.Run("answered", func(t *testing.T) {
		for _, earlyOnly := range []bool{true, false} {
			bubble(t, func(r *rig) {
				_, invite := r.dial(nil)
				r.answer(invite, 180, "b", "")
				value := r.called(invite, "b").replaces()
				if earlyOnly {
					value += ";early-only"
				}
				in, _ := r.replacing(value)
				r.answer(invite, 200, "b", sdp("bob"))
				if earlyOnly {
					r.sent("ACK", "486 INVITE")
					if _, err := in.Answer(r.t.Context(), nil); err == nil {
						t.Error("answered")
					}
					return
				}
				r.sent("ACK")
				r.answerCall(in)
			})
		}
	})
	t.Run("over", func(t *testing.T) {
		bubble(t, func(r *rig) {
			_, bob := r.talk("b")
			in, _ := r.replacing(bob.replaces())
			bob.send(sip.BYE, "")
			r.sent("200 BYE", "603 INVITE")
			<-in.Context().Done()
		})
	})
	t.Run("given up", func(t *testing.T) {
		bubble(t, func(r *rig) {
			old, bob := r.talk("b")
			carol, invite := r.carol(bob.replaces())
			carol.remote = r.ringing()
			carol.cancel(invite)
			r.sent("200 CANCEL", "487 INVITE")
			bob.send(sip.BYE, "")
			r.sent("200 BYE")
			r.ended(old, session.EndBye, true)
		})
	})
}

// TestCallWithReplaces: an application replaces a dialog by itself.
func TestCallWithReplaces(t *testing.T) {
	bubble(t, func(r *rig) {
		other, bob := r.talk("b")
		want := sip.Replaces{CallID: bob.callID, ToTag: "b", FromTag: bob.remote.Tag()}
		if got := other.Replaces(); got != want {
			t.Errorf("the far end knows the call as %v, want %v", got, want)
		}
		_, invite := r.dial(&session.CallOptions{Replaces: want})
		if invite.Header("Replaces") != want.String() {
			t.Errorf("INVITE is %s", show(invite))
		}
		bob.send(sip.BYE, "")
		r.sent("200 BYE")
		if got := other.Replaces(); got != (sip.Replaces{}) {
			t.Errorf("a call that is over is %v", got)
		}
	})
}
