package session_test

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// calling is a call that rings, whose connection goes.
func (r *rig) calling(o *session.CallOptions) (*session.Session, *sip.Request) {
	r.t.Helper()
	s, invite := r.dial(o)
	r.answer(invite, 180, "b", "")
	r.seen("state Calling", "state Early", "progress 180")
	r.down()
	return s, invite
}

func placeAgain() *session.CallOptions { return &session.CallOptions{PlaceAgain: true} }

// back has a connection again, and us registered on it.
func (r *rig) back() {
	r.t.Helper()
	r.up()
	r.silence()
	r.ready()
	r.silence()
}

// unheard lets the time pass in which a response may still come.
func (r *rig) unheard() {
	r.t.Helper()
	time.Sleep(8*time.Second - time.Millisecond)
	r.silence()
	time.Sleep(time.Millisecond)
}

// again takes the CANCEL of an INVITE and the INVITE that follows it.
func (r *rig) again(invite *sip.Request) *sip.Request {
	r.t.Helper()
	cancel := r.request(sip.CANCEL)
	if cancel.Via() != invite.Via() || cancel.CSeq().Seq != invite.CSeq().Seq || cancel.CallID() != invite.CallID() {
		r.t.Errorf("CANCEL is\n%s", show(cancel))
	}
	r.answer(cancel, 200, "", "")
	return r.request(sip.INVITE)
}

// lostCall expects the call to have ended for want of its connection.
func (r *rig) lostCall(s *session.Session, again bool) {
	r.t.Helper()
	end := r.ended(s, session.EndTransportLost, false)
	var lost *session.LostError
	if !errors.As(end, &lost) || lost.Again != again || !errors.Is(end, net.ErrClosed) || end.Cause() != "Connection Error" {
		r.t.Errorf("ended by %v, cause %s", end, end.Cause())
	}
}

// TestCallPlacedAgain: 2*T2 after the next connection is registered, as the same
// Session with the same offer.
func TestCallPlacedAgain(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.calling(&session.CallOptions{
			PlaceAgain: true, ToDisplayName: "Bob", Headers: []sip.Field{{Name: "Subject", Value: "Lunch"}, {Name: "Route", Value: "<sip:own.example.com;lr>"}},
		})
		time.Sleep(3 * time.Second)
		r.up()
		time.Sleep(time.Second) // being connected is not enough
		r.ready()
		r.unheard()
		next := r.again(invite)
		if next.CallID() == invite.CallID() || next.From().Tag() == invite.From().Tag() || next.CSeq().Seq != 1 || next.To() != invite.To() ||
			next.Header("Subject") != "Lunch" || next.Header("Route") != invite.Header("Route") || string(next.Body()) != string(invite.Body()) || len(next.Headers("Contact")) != 1 ||
			next.Header("Supported") != invite.Header("Supported") || next.Header("Allow") != invite.Header("Allow") || s.CallID() != next.CallID() {
			t.Errorf("placed again as\n%s", show(next))
		}
		r.seen("state Preparing", "state Calling")
		if s.Response() != nil {
			t.Errorf("the newest response is %v", s.Response())
		}
		r.answer(invite, 487, "", "")
		r.request(sip.ACK)
		r.answer(next, 180, "c", "")
		r.answer(next, 200, "c", sdp("bob"))
		r.request(sip.ACK)
		r.must(s.WaitAnswered(r.t.Context()))
		r.seen("state Early", "progress 180", "state Confirmed")
		if s.Dialog().CallID != next.CallID() || r.dialogs(r.called(invite, "b")) != 0 || r.dialogs(r.called(next, "c")) != 1 {
			t.Errorf("the dialog is %+v", s.Dialog())
		}
	})
}

// TestCallLostWhileCalling: without PlaceAgain the call ends then, and a second
// loss ends it in any case.
func TestCallLostWhileCalling(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.calling(nil)
		r.back()
		r.unheard()
		r.lostCall(s, false)
		r.answer(r.request(sip.CANCEL), 200, "", "")
		r.answer(invite, 487, "b", "")
		r.request(sip.ACK)
		r.silence()
		if s.State() != session.Terminated {
			t.Errorf("state %v", s.State())
		}
	})
	bubble(t, func(r *rig) {
		s, invite := r.calling(placeAgain())
		r.back()
		r.unheard()
		next := r.again(invite)
		r.down()
		r.back()
		r.unheard()
		r.lostCall(s, true)
		if cancel := r.request(sip.CANCEL); cancel.CallID() != next.CallID() {
			t.Errorf("CANCEL is\n%s", show(cancel))
		}
	})
}

// TestFarEndHeardOnNextConnection: any response in time, and the call goes on.
func TestFarEndHeardOnNextConnection(t *testing.T) {
	for _, code := range []sip.StatusCode{100, 180, 183, 200, 486} {
		for _, again := range []bool{false, true} {
			bubble(t, func(r *rig) {
				s, invite := r.calling(&session.CallOptions{PlaceAgain: again})
				time.Sleep(20 * time.Second)
				r.back()
				time.Sleep(8*time.Second - time.Millisecond)
				if code == 486 {
					r.refuse(invite, code)
					r.ended(s, session.EndRejected, true)
					return
				}
				if code != 200 {
					r.answer(invite, code, "b", "")
					time.Sleep(time.Minute)
					r.silence()
				}
				r.answer(invite, 200, "b", sdp("bob"), updates)
				r.request(sip.ACK)
				r.must(s.WaitAnswered(r.t.Context()))
				r.answer(r.request(sip.UPDATE), 200, "", "")
				time.Sleep(time.Minute)
				r.silence()
			})
		}
	}
}

// TestAnsweredOnNextConnection: the INVITE, and what servers know by it of the
// way to us, went over the one before, so that the far end is told the new one.
func TestAnsweredOnNextConnection(t *testing.T) {
	bubble(t, func(r *rig) {
		_, invite := r.calling(nil)
		r.back()
		r.answer(invite, 200, "b", sdp("bob"), updates)
		r.request(sip.ACK)
		update := r.request(sip.UPDATE)
		if len(update.Body()) > 0 || !update.HasHeader("Contact") {
			t.Errorf("UPDATE is\n%s", show(update))
		}
		r.answer(update, 200, "", "")
		r.silence()
	})
	bubble(t, func(r *rig) { // the registration takes its time
		_, invite := r.calling(nil)
		r.up()
		r.answer(invite, 200, "b", sdp("bob"), updates)
		r.request(sip.ACK)
		r.silence()
		r.ready()
		r.request(sip.UPDATE)
	})
}

// TestChallengeOnNextConnection: the INVITE that follows it has a connection of its own.
func TestChallengeOnNextConnection(t *testing.T) {
	bubble(t, func(r *rig) {
		_, invite := r.dial(placeAgain())
		r.down()
		r.back()
		time.Sleep(7 * time.Second)
		r.answer(invite, 407, "b", "", sip.Field{Name: "Proxy-Authenticate", Value: `Digest realm="example.com", nonce="n1", algorithm=MD5, qop="auth"`})
		r.request(sip.ACK)
		second := r.request(sip.INVITE)
		if second.CallID() != invite.CallID() || second.CSeq().Seq != 2 {
			t.Errorf("INVITE is\n%s", show(second))
		}
		time.Sleep(10 * time.Second)
		r.silence()
		r.down() // and it may be lost as well
		r.back()
		r.unheard()
		if next := r.again(second); next.CSeq().Seq != 1 || next.HasHeader("Proxy-Authorization") {
			t.Errorf("placed again as\n%s", show(next))
		}
	})
}

// TestOtherServer: what is there cannot cancel the INVITE; the first one can, if
// it is back in time.
func TestOtherServer(t *testing.T) {
	for _, again := range []bool{false, true} {
		bubble(t, func(r *rig) {
			s, invite := r.calling(&session.CallOptions{PlaceAgain: again})
			r.upTo("other.example.com")
			r.ready()
			r.unheard()
			if !again {
				r.lostCall(s, false)
			} else {
				next := r.request(sip.INVITE)
				r.answer(next, 200, "c", sdp("bob"))
				r.request(sip.ACK)
				r.seen("state Preparing", "state Calling", "state Confirmed")
			}
			time.Sleep(time.Minute)
			r.silence()
			r.down()
			r.up()
			if cancel := r.request(sip.CANCEL); cancel.CallID() != invite.CallID() {
				t.Errorf("CANCEL is\n%s", show(cancel))
			}
		})
	}
}

// TestConnectionComesAndGoes while the call is set up: the waiting begins with
// each that is registered, and ends with RecoveryLimit.
func TestConnectionComesAndGoes(t *testing.T) {
	bubble(t, func(r *rig) {
		_, invite := r.calling(placeAgain())
		r.back()
		time.Sleep(7 * time.Second)
		r.down()
		time.Sleep(3 * time.Second)
		r.silence()
		r.back()
		r.unheard()
		r.again(invite)
	})
	bubble(t, func(r *rig) {
		_, invite := r.calling(placeAgain())
		time.Sleep(30 * time.Second)
		r.back()
		time.Sleep(2*time.Second - time.Millisecond)
		r.silence()
		time.Sleep(time.Millisecond)
		r.again(invite)
	})
	for _, registered := range []bool{false, true} { // else nothing of ours would be heard
		bubble(t, func(r *rig) {
			s, invite := r.calling(&session.CallOptions{PlaceAgain: !registered})
			time.Sleep(30 * time.Second)
			if registered {
				r.back()
			} else {
				r.up()
			}
			time.Sleep(2*time.Second - time.Millisecond)
			if s.State() != session.Early {
				t.Errorf("state %v", s.State())
			}
			time.Sleep(time.Millisecond)
			r.lostCall(s, false)
			if cancel := r.request(sip.CANCEL); cancel.CallID() != invite.CallID() {
				t.Errorf("CANCEL is\n%s", show(cancel))
			}
			r.silence()
		})
	}
}

// TestFarEndStopsRingingAfterTheLoss: nobody is there any more when its server is
// back, and it is told so all the same.
func TestFarEndStopsRingingAfterTheLoss(t *testing.T) {
	for _, hangup := range []bool{false, true} {
		for _, rang := range []bool{false, true} {
			bubble(t, func(r *rig) {
				s, invite := r.dial(nil)
				if rang {
					r.answer(invite, 180, "b", "")
				}
				r.down()
				if hangup {
					done := start(func() error { return s.Hangup(r.t.Context()) })
					time.Sleep(32 * time.Second)
					r.must(<-done)
					r.ended(s, session.EndCanceled, false)
				} else {
					time.Sleep(32 * time.Second)
					r.lostCall(s, false)
				}
				if r.calls.Busy() {
					t.Error("the call is not over")
				}
				time.Sleep(time.Minute)
				r.up()
				if cancel := r.request(sip.CANCEL); cancel.Via() != invite.Via() {
					t.Errorf("CANCEL is\n%s", show(cancel))
				}
			})
		}
	}
}

// TestHangupWhileTheConnectionIsGone ends the call at both ends once it is back.
func TestHangupWhileTheConnectionIsGone(t *testing.T) {
	for _, rang := range []bool{false, true} {
		bubble(t, func(r *rig) {
			s, invite := r.dial(placeAgain())
			if rang {
				r.answer(invite, 180, "b", "")
			}
			r.down()
			done := start(func() error { return s.Hangup(r.t.Context()) })
			time.Sleep(10 * time.Second)
			r.up()
			r.answer(r.request(sip.CANCEL), 200, "", "")
			r.ready()
			r.answer(invite, 487, "b", "")
			r.request(sip.ACK)
			r.must(<-done)
			time.Sleep(time.Minute)
			r.silence()
		})
	}
}

// TestOldCallAnsweredLate: the 2xx to the INVITE that was given up gets its ACK
// and its BYE, each repeat the ACK again; there is one call.
func TestOldCallAnsweredLate(t *testing.T) {
	for _, late := range []bool{false, true} {
		for _, tag := range []string{"b", "other"} {
			bubble(t, func(r *rig) {
				s, invite := r.dial(&session.CallOptions{PlaceAgain: true, LateOffer: late})
				r.answer(invite, 183, "b", "", reliable(1)...)
				r.prack(invite, 1, "") // its number is taken
				r.down()
				r.back()
				r.unheard()
				next := r.again(invite)
				body := ""
				if late {
					body = offered
				}
				r.answer(invite, 200, tag, body)
				ack := r.request(sip.ACK)
				bye := r.request(sip.BYE)
				if ack.CallID() != invite.CallID() || ack.To().Tag() != tag || bye.To().Tag() != tag || bye.From().Tag() != invite.From().Tag() {
					t.Errorf("ACK is\n%s", show(ack))
				}
				if late {
					r.refusesAll(ack)
				}
				if want := map[string]uint32{"b": 3, "other": 2}[tag]; bye.CSeq().Seq != want {
					t.Errorf("BYE has %v", bye.CSeq())
				}
				r.answer(invite, 200, tag, body)
				if again := r.request(sip.ACK); show(again) != show(ack) {
					t.Errorf("ACK again is\n%s", show(again))
				}
				r.answer(bye, 200, "", "")
				r.silence()
				if s.State() != session.Calling {
					t.Errorf("state %v", s.State())
				}
				if !late {
					r.answer(next, 200, "b", sdp("bob"))
					r.request(sip.ACK)
					r.answer(invite, 200, tag, body)
					r.request(sip.ACK)
					if s.State() != session.Confirmed || s.Dialog().CallID != next.CallID() {
						t.Errorf("state %v", s.State())
					}
				}
			})
		}
	}
}

// TestLostCallAnsweredLate: the call is over when the far end answers.
func TestLostCallAnsweredLate(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.calling(nil)
		r.back()
		r.unheard()
		r.lostCall(s, false)
		r.request(sip.CANCEL)
		r.answer(invite, 200, "b", sdp("bob"))
		r.sent("ACK", "BYE")
	})
}

// TestPlacedAgainAfterEarlyMedia: they were bound to a path, so that the next
// INVITE has fresh ones.
func TestPlacedAgainAfterEarlyMedia(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(placeAgain())
		r.answer(invite, 183, "b", sdp("early"))
		first := r.media.last()
		r.down()
		r.back()
		release := r.media.hold()
		r.unheard()
		r.answer(r.request(sip.CANCEL), 200, "", "")
		if s.State() != session.Preparing {
			t.Errorf("state %v", s.State())
		}
		r.answer(invite, 200, "b", sdp("bob")) // nothing is out, and it is too late
		r.sent("ACK", "BYE")
		release()
		next := r.request(sip.INVITE)
		if next.CallID() == invite.CallID() || string(next.Body()) == string(invite.Body()) || r.media.last() == first {
			t.Errorf("placed again as\n%s", show(next))
		}
		r.answer(next, 200, "b", sdp("bob"))
		r.request(sip.ACK)
		r.must(s.WaitAnswered(r.t.Context()))
		if r.media.open() != 1 || s.Media() != session.Media(r.media.last()) {
			t.Errorf("%d media are open", r.media.open())
		}
	})
}

// TestHangupWhilePlacingAgain: no INVITE follows.
func TestHangupWhilePlacingAgain(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(placeAgain())
		r.answer(invite, 183, "b", sdp("early"))
		r.down()
		r.back()
		release := r.media.hold()
		r.unheard()
		r.request(sip.CANCEL)
		r.must(s.Hangup(r.t.Context()))
		release()
		synctest.Wait()
		r.silence()
		r.ended(s, session.EndCanceled, false)
	})
}

// TestRingTimeoutGoesOn when the call is placed again.
func TestRingTimeoutGoesOn(t *testing.T) {
	bubble(t, func(r *rig) {
		begin := time.Now()
		s, invite := r.calling(&session.CallOptions{PlaceAgain: true, RingTimeout: 20 * time.Second})
		r.back()
		r.unheard()
		r.answer(r.again(invite), 180, "b", "")
		<-s.Context().Done()
		if took := time.Since(begin); took != 20*time.Second {
			t.Errorf("it rang for %v", took)
		}
		r.ended(s, session.EndNoAnswer, false)
		r.request(sip.CANCEL)
	})
}

// TestRedirectedCallPlacedAgain: where it went last, and what is left to try is
// tried after that; the loss of the connection is no reason to go there.
func TestRedirectedCallPlacedAgain(t *testing.T) {
	for _, again := range []bool{false, true} {
		bubble(t, func(r *rig) {
			s, first := r.dial(&session.CallOptions{PlaceAgain: again, Redirect: session.FollowContacts})
			r.redirect(first, 302, contacts("<sip:carol@example.com?Subject=Hi>", "<sip:dave@example.com>;q=0.5")...)
			invite := r.request(sip.INVITE)
			r.down()
			r.back()
			r.unheard()
			if !again {
				r.lostCall(s, false)
				r.request(sip.CANCEL)
				r.silence()
				return
			}
			next := r.again(invite)
			if next.URIText() != "sip:carol@example.com" || next.Header("Subject") != "Hi" || next.To() != first.To() || next.CSeq().Seq != 1 {
				t.Errorf("placed again as\n%s", show(next))
			}
			r.refuse(next, 486)
			last := r.request(sip.INVITE)
			if last.URIText() != "sip:dave@example.com" || last.HasHeader("Subject") || last.CallID() != next.CallID() || last.CSeq().Seq != 2 {
				t.Errorf("then\n%s", show(last))
			}
		})
	}
	bubble(t, func(r *rig) {
		s, first := r.dial(&session.CallOptions{Redirect: session.FollowContacts})
		r.redirect(first, 302, contacts("<sip:carol@example.com>", "<sip:dave@example.com>;q=0.5")...)
		r.request(sip.INVITE)
		r.down()
		time.Sleep(32 * time.Second)
		r.lostCall(s, false)
	})
}

// TestIntervalKeptByPlacingAgain: what a 422 has taught is known.
func TestIntervalKeptByPlacingAgain(t *testing.T) {
	bubbleWith(t, session.Options{SessionTimers: true}, func(r *rig) {
		_, first := r.dial(placeAgain())
		r.refuse(first, 422, sip.Field{Name: "Min-SE", Value: "3600"})
		invite := r.request(sip.INVITE)
		r.down()
		r.back()
		r.unheard()
		next := r.again(invite)
		if next.Header("Min-SE") != "3600" || len(next.Headers("Session-Expires")) != 1 || next.Header("Session-Expires") != invite.Header("Session-Expires") {
			t.Errorf("placed again as\n%s", show(next))
		}
	})
}

// TestPlacedAgainAnonymously: nothing of the new INVITE says who calls.
func TestPlacedAgainAnonymously(t *testing.T) {
	bubble(t, func(r *rig) {
		_, invite := r.dial(&session.CallOptions{PlaceAgain: true, Anonymous: session.Anonymous})
		r.down()
		r.back()
		r.unheard()
		next := r.again(invite)
		for _, name := range []string{"Contact", "Privacy", "P-Preferred-Identity", "User-Agent"} {
			if next.Header(name) != invite.Header(name) {
				t.Errorf("%s is %q, was %q", name, next.Header(name), invite.Header(name))
			}
		}
		if next.From().URI.Host != "anonymous.invalid" {
			t.Errorf("From is %v", next.From())
		}
	})
}

// TestInviteThatWaitsForAConnection waits as ever: it was never lost.
func TestInviteThatWaitsForAConnection(t *testing.T) {
	bubble(t, func(r *rig) {
		r.down()
		s, err := r.calls.Invite(r.t.Context(), "bob", placeAgain())
		r.must(err)
		time.Sleep(time.Minute)
		r.silence()
		r.up()
		r.ready()
		invite := r.request(sip.INVITE)
		time.Sleep(20 * time.Second)
		r.silence()
		r.answer(invite, 200, "b", sdp("bob"))
		r.request(sip.ACK)
		r.must(s.WaitAnswered(r.t.Context()))
	})
}
