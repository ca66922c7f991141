package session_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// TestPendingOfferAtTheEnd: a re-INVITE or UPDATE that is not answered yet
// when the call ends gets 487 (RFC 3261 §15.1.2).
func TestPendingOfferAtTheEnd(t *testing.T) {
	for _, body := range []string{sdp("bob"), ""} {
		for _, theirs := range []bool{true, false} {
			bubble(t, func(r *rig) {
				s, bob := r.hosted()
				release := r.media.hold()
				bob.send(sip.INVITE, body)
				if theirs {
					bob.send(sip.BYE, "")
					r.sent("200 BYE", "487 INVITE")
				} else {
					start(func() error { return s.Hangup(r.t.Context()) })
					r.sent("BYE", "487 INVITE")
				}
				release()
				r.silence()
			})
		}
	}
}

// TestByeWhileWaitingForACK: we hung up before the ACK, then they did.
func TestByeWhileWaitingForACK(t *testing.T) {
	bubble(t, func(r *rig) {
		bob := r.caller()
		in, _ := bob.ring(sdp("bob"))
		s, _ := r.answerCall(in)
		hangup := start(func() error { return s.Hangup(r.t.Context()) })
		bob.send(sip.BYE, "")
		r.sent("200 BYE")
		r.must(<-hangup)
		time.Sleep(time.Minute)
		r.silence()
	})
}

// TestDialogGoneBeforeACK: one BYE, and that after the ACK (RFC 3261 §15).
func TestDialogGoneBeforeACK(t *testing.T) {
	bubble(t, func(r *rig) {
		bob := r.caller()
		in, _ := bob.ring(sdp("bob"))
		s, _ := r.answerCall(in)
		start(func() error { return s.SendInfo(r.t.Context(), "text/plain", []byte("x"), nil) })
		r.answer(r.request(sip.INFO), 481, "", "")
		r.ended(s, session.EndDialogError, true)
		r.silence()
		bob.send(sip.ACK, "")
		bye := r.sent("BYE")[0].(*sip.Request)
		bob.send(sip.ACK, "")
		r.answer(bye, 200, "", "")
		r.silence()
		if s.State() != session.Terminated {
			t.Errorf("state %v", s.State())
		}
	})
}

// TestRequestsAfterHangup: RFC 5407 §3.2; and no event follows the last.
func TestRequestsAfterHangup(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.talk("b")
		media := r.media.last()
		start(func() error { return s.Hangup(r.t.Context()) })
		r.sent("BYE")
		for _, method := range []sip.Method{sip.INFO, sip.MESSAGE, sip.NOTIFY, sip.REFER, sip.OPTIONS, sip.UPDATE} {
			var fields []sip.Field
			switch method {
			case sip.NOTIFY:
				fields = []sip.Field{{Name: "Event", Value: "refer"}, {Name: "Subscription-State", Value: "active"}}
			case sip.REFER:
				fields = []sip.Field{{Name: "Refer-To", Value: "<sip:x@y.z>"}}
			}
			req := bob.request(method, "", fields...)
			if method == sip.INFO {
				r.must(req.SetBody("application/dtmf-relay", []byte("Signal=1\r\n")))
			}
			r.receive(req)
			r.sent("481 " + string(method))
		}
		media.events.DTMF('5', time.Second)
		media.events.Connected()
		bob.send(sip.INVITE, sdp("bob"))
		r.sent("481 INVITE")
		bob.send(sip.BYE, "")
		r.sent("200 BYE")
		r.seen("state Terminated")
	})
}

// TestUpdateBeforeTheAnswer: the offer in the INVITE is not answered yet
// (RFC 3311 §5.2).
func TestUpdateBeforeTheAnswer(t *testing.T) {
	for _, body := range []string{sdp("bob"), ""} {
		bubble(t, func(r *rig) {
			bob := r.caller()
			in, _ := bob.ring(body)
			bob.send(sip.UPDATE, sdp("bob"))
			if res := r.sent("500 UPDATE")[0].(*sip.Response); !res.HasHeader("Retry-After") {
				t.Errorf("500 is %s", show(res))
			}
			bob.send(sip.INVITE, sdp("bob"))
			r.sent("500 INVITE")
			bob.send(sip.UPDATE, "")
			r.sent("200 UPDATE")
			r.answerCall(in)
		})
	}
	for _, late := range []bool{false, true} {
		bubble(t, func(r *rig) {
			s, invite := r.dial(&session.CallOptions{LateOffer: late})
			r.answer(invite, 183, "b", "")
			bob := r.called(invite, "b")
			bob.send(sip.UPDATE, sdp("bob"))
			r.sent("491 UPDATE")
			bob.send(sip.INVITE, sdp("bob"))
			r.sent("491 INVITE")
			bob.send(sip.UPDATE, "")
			r.sent("200 UPDATE")
			r.answer(invite, 200, "b", sdp("bob"))
			r.sent("ACK")
			r.must(s.WaitAnswered(r.t.Context()))
		})
	}
}

// TestReinviteBeforeACK: RFC 5407 §3.1.4, where the re-INVITE shows that our 200
// arrived, and §3.1.5, where our offer in it is not answered yet.
func TestReinviteBeforeACK(t *testing.T) {
	for body, answer := range map[string]string{sdp("bob"): "200 INVITE", "": "491 INVITE"} {
		bubble(t, func(r *rig) {
			bob := r.caller()
			in, _ := bob.ring(body)
			s, _ := r.answerCall(in)
			bob.send(sip.INVITE, sdp("bob"))
			r.sent(answer)
			if body == "" {
				return
			}
			bob.send(sip.ACK, "")
			time.Sleep(time.Minute)
			r.silence()
			if s.State() != session.Confirmed {
				t.Errorf("state %v", s.State())
			}
		})
	}
}

// TestSecondReinvite: RFC 3261 §14.2.
func TestSecondReinvite(t *testing.T) {
	for _, body := range []string{sdp("bob"), ""} {
		bubble(t, func(r *rig) {
			_, bob := r.hosted()
			release := r.media.hold()
			bob.send(sip.INVITE, body)
			bob.send(sip.INVITE, sdp("bob"))
			if res := r.sent("500 INVITE")[0].(*sip.Response); !res.HasHeader("Retry-After") {
				t.Errorf("500 is %s", show(res))
			}
			release()
			r.sent("200 INVITE")
		})
	}
}

// TestOfferlessReinviteDuringGlare: the peer's comes first, then ours again.
func TestOfferlessReinviteDuringGlare(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.talk("b")
		result := start(func() error { return s.Hold(r.t.Context()) })
		r.answer(r.request(sip.INVITE), 491, "", "")
		r.sent("ACK")
		bob.send(sip.INVITE, "")
		r.sent("200 INVITE")

		bob.send(sip.ACK, sdp("bob"))
		time.Sleep(4 * time.Second)
		r.answer(r.request(sip.INVITE), 200, "", sdp("bob"))
		r.sent("ACK")
		r.must(<-result)
	})
}

// TestGlareForEver: a peer that says 491 whatever happens is believed in the end.
func TestGlareForEver(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		result := start(func() error { return s.Hold(r.t.Context()) })
		for tries := 1; ; tries++ {
			r.answer(r.request(sip.INVITE), 491, "", "")
			r.sent("ACK")
			time.Sleep(5 * time.Second)
			select {
			case err := <-result:
				if !errors.Is(err, sip.StatusRequestPending) {
					t.Errorf("Hold: %v", err)
				}
				if tries < 3 {
					t.Errorf("given up after %d tries", tries)
				}
				r.silence()
				again := start(func() error { return s.Hold(r.t.Context()) })
				r.answer(r.request(sip.INVITE), 200, "", sdp("bob"))
				r.must(<-again)
				return
			default:
			}
			if tries > 20 {
				t.Fatal("it goes on for ever")
			}
		}
	})
}

// TestReinviteNeverAnswered: it is canceled in the end, and the next one goes.
func TestReinviteNeverAnswered(t *testing.T) {
	bubbleWith(t, session.Options{RingTimeout: time.Minute}, func(r *rig) {
		s, _ := r.talk("b")
		result := start(func() error { return s.Hold(r.t.Context()) })
		invite := r.request(sip.INVITE)
		r.answer(invite, 180, "", "")
		time.Sleep(time.Minute)
		r.answer(r.request(sip.CANCEL), 200, "", "")
		r.answer(invite, 487, "", "")
		r.sent("ACK")
		if err := <-result; !errors.Is(err, sip.StatusRequestTerminated) {
			t.Errorf("Hold: %v", err)
		}
		result = start(func() error { return s.Hold(r.t.Context()) })
		r.answer(r.request(sip.INVITE), 200, "", sdp("bob"))
		r.sent("ACK")
		r.must(<-result)
	})
}

// TestHoldBeforeACK waits for the ACK.
func TestHoldBeforeACK(t *testing.T) {
	for _, body := range []string{sdp("bob"), ""} {
		bubble(t, func(r *rig) {
			bob := r.caller()
			in, _ := bob.ring(body)
			s, _ := r.answerCall(in)
			result := start(func() error { return s.Hold(r.t.Context()) })
			r.silence()
			answer := sdp("bob")
			if body != "" {
				answer = ""
			}
			bob.send(sip.ACK, answer)
			r.answer(r.request(sip.INVITE), 200, "", sdp("bob"))
			r.sent("ACK")
			r.must(<-result)
		})
	}
}

// TestRenegotiateKeepsHold also where the hold is agreed only while it waits.
func TestRenegotiateKeepsHold(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		hold := start(func() error { return s.Hold(r.t.Context()) })
		renew := start(func() error { return s.Renegotiate(r.t.Context(), nil) })
		r.answer(r.request(sip.INVITE), 200, "", sdp("bob"))
		r.must(<-hold)
		again := r.sent("ACK", "INVITE")[1].(*sip.Request)
		if name := nameOf(again.Body()); !strings.HasSuffix(name, "-hold") {
			t.Errorf("offered %q", name)
		}
		r.answer(again, 200, "", sdp("bob"))
		r.sent("ACK")
		r.must(<-renew)
		if !s.Held().Local {
			t.Error("not held any more")
		}
	})
}

// repaired expects and answers the offer that restarts ICE, which one before it
// gave up for nothing.
func (r *rig) repaired() {
	r.t.Helper()
	again := r.request(sip.INVITE)
	if name := nameOf(again.Body()); !strings.HasSuffix(name, "-restart") {
		r.t.Errorf("offered %q", name)
	}
	r.answer(again, 200, "", sdp("bob"))
	r.request(sip.ACK)
}

// TestOfferlessReinviteRestartsICE: who answers may be somebody else by now
// (RFC 8839 §7.5). Where nobody does, the path that was given up for it is made
// anew.
func TestOfferlessReinviteRestartsICE(t *testing.T) {
	for _, answer := range []string{sdp("bob"), ""} {
		bubble(t, func(r *rig) {
			s, bob := r.talk("b")
			bob.send(sip.INVITE, "")
			if name := nameOf(r.response(200, sip.INVITE).Body()); name != "offer1.2-restart" {
				t.Errorf("offered %q", name)
			}
			bob.send(sip.ACK, answer)
			if answer == "" {
				r.repaired()
			}
			r.silence()
			if s.State() != session.Confirmed {
				t.Errorf("state %v", s.State())
			}
		})
	}
}

// TestUnusableAnswerToReoffer: our offer is forgotten and the call goes on.
func TestUnusableAnswerToReoffer(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		result := start(func() error { return s.Hold(r.t.Context()) })
		r.answer(r.request(sip.INVITE), 200, "", "")
		r.sent("ACK")
		if err := <-result; err == nil {
			t.Error("Hold succeeded")
		}
		if got := r.media.last().wrote(); got != "Offer, Abandon" {
			t.Errorf("media: %s", got)
		}
		if s.State() != session.Confirmed || s.Held().Local {
			t.Errorf("state %v, held %v", s.State(), s.Held())
		}
	})
}

// TestOurReinviteAtTheEnd: nothing waits for its answer for ever.
func TestOurReinviteAtTheEnd(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.talk("b")
		hold := start(func() error { return s.Hold(r.t.Context()) })
		invite := r.request(sip.INVITE)
		r.answer(invite, 100, "", "")
		bob.send(sip.BYE, "")
		cancel := r.sent("200 BYE", "CANCEL")[1].(*sip.Request)
		var end *session.EndError
		if err := <-hold; !errors.As(err, &end) {
			t.Errorf("Hold: %v", err)
		}
		r.answer(cancel, 200, "", "")
		r.answer(invite, 487, "", "")
		r.sent("ACK")
	})
}
