package session_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// What happens where two features of a call meet.

// TestOfferBehindReliableAnswer: the answer to a re-INVITE came in a reliable
// response; what waits for its 2xx, or for its refusal, goes on then.
func TestOfferBehindReliableAnswer(t *testing.T) {
	for _, code := range []sip.StatusCode{200, 500} {
		bubble(t, func(r *rig) {
			s, _ := r.talk("b")
			hold := start(func() error { return s.Hold(r.t.Context()) })
			invite := r.request(sip.INVITE)
			r.answer(invite, 183, "", sdp("b"), reliable(1)...)
			r.prack(invite, 1, "")
			r.must(<-hold)
			unhold := start(func() error { return s.Unhold(r.t.Context()) })
			r.silence()
			r.answer(invite, code, "", "")
			r.request(sip.ACK)
			r.answer(r.request(sip.INVITE), 200, "", sdp("b"))
			r.request(sip.ACK)
			r.must(<-unhold)
		})
	}
}

// TestRefusedOfferForACK: a re-INVITE tells that our 200 arrived (RFC 5407
// §3.1.4), also one that is refused; what waited for the ACK leaves.
func TestRefusedOfferForACK(t *testing.T) {
	bubbleWith(t, session.Options{SessionTimers: true}, func(r *rig) {
		far := r.caller()
		in, _ := far.ring(sdp("bob"))
		s, err := in.Answer(r.t.Context(), nil)
		r.must(err)
		r.response(200, sip.INVITE)
		hold := start(func() error { return s.Hold(r.t.Context()) })
		r.silence()
		far.send(sip.INVITE, sdp("bob"), sip.Field{Name: "Supported", Value: "timer"}, sip.Field{Name: "Session-Expires", Value: "30"})
		r.response(422, sip.INVITE)
		r.answer(r.request(sip.INVITE), 200, "", sdp("bob"))
		r.request(sip.ACK)
		r.must(<-hold)
	})
}

// TestEarlyOfferIntoLostBranch: an UPDATE is being answered with the media of
// one branch when another one answers the call, or the call goes elsewhere.
// The media live on with the call, once, and nothing is left of the rest.
func TestEarlyOfferIntoLostBranch(t *testing.T) {
	for _, busy := range []bool{false, true} { // with an offer of the other branch, before
		for _, end := range []string{"answered", "redirected", "terminated"} {
			var log strings.Builder
			bubbleWith(t, session.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(r *rig) {
				s, invite := r.dial(&session.CallOptions{Redirect: session.FollowContacts})
				one := r.called(invite, "one")
				r.answer(invite, 183, "one", sdp("one"), append(reliable(1), updates)...)
				r.prack(invite, 1, "")
				release := r.media.hold()
				if busy {
					r.answer(invite, 183, "two", sdp("two"), append(reliable(1), updates)...)
					r.prack(invite, 1, "")
				}
				one.send(sip.UPDATE, sdp("x"))
				switch end {
				case "redirected":
					r.answer(invite, 302, "elsewhere", "")
				case "terminated":
					r.answer(invite, 199, "one", "")
					r.answer(invite, 200, "two", sdp("two"))
				default:
					r.answer(invite, 200, "two", sdp("two"))
				}
				release()
				synctest.Wait()
				for m := r.next(); m != nil; m = r.next() {
					if again, ok := m.(*sip.Request); ok && again.Method() != sip.ACK {
						r.answer(again, 200, "two", sdp("two"))
					}
				}
				if r.media.open() != 1 || s.State() != session.Confirmed {
					t.Errorf("%s, busy %v: %d media open in state %v", end, busy, r.media.open(), s.State())
				}
			})
			if log.Len() > 0 {
				t.Errorf("%s, busy %v: %s", end, busy, log.String())
			}
		}
	}
}

// TestUpdateBeforeReliableAnswer: the caller may make no offer while its first
// one has no answer that it must have got (RFC 3311 §5.1, §5.2).
func TestUpdateBeforeReliableAnswer(t *testing.T) {
	bubble(t, func(r *rig) {
		far := r.caller()
		in, invite, _ := far.alerts(sdp("bob"))
		r.must(in.Progress(&session.ProgressOptions{EarlyMedia: true}))
		early := r.response(183, sip.INVITE)
		far.send(sip.UPDATE, sdp("x"))
		if res := r.response(500, sip.UPDATE); !res.HasHeader("Retry-After") {
			t.Errorf("500 is %s", show(res))
		}
		_, err := in.Answer(r.t.Context(), nil)
		r.must(err)
		if ok := r.response(200, sip.INVITE); string(ok.Body()) != string(early.Body()) {
			t.Errorf("200 is %s", show(ok))
		}
		far.acks(invite, "")
	})
}

// TestCanceledReinvite: the media work on a re-INVITE when its CANCEL comes, or
// its connection goes for good. They are told, and nothing has changed (RFC 3261
// §9.2).
func TestCanceledReinvite(t *testing.T) {
	for _, body := range []string{sdp("hold"), ""} {
		for _, lost := range []bool{false, true} {
			bubble(t, func(r *rig) {
				s, far := r.talk("b")
				release := r.media.hold()
				invite := far.send(sip.INVITE, body)
				r.silence()
				if lost {
					r.down()
					time.Sleep(33 * time.Second)
					r.up()
				} else {
					far.cancel(invite)
					r.response(200, sip.CANCEL)
					r.response(487, sip.INVITE)
				}
				release()
				if body == "" {
					r.repaired()
				}
				r.silence()
				if s.Held().Remote || s.State() != session.Confirmed {
					t.Errorf("held %+v in state %v", s.Held(), s.State())
				}
				hold := start(func() error { return s.Hold(r.t.Context()) })
				r.answer(r.request(sip.INVITE), 200, "", sdp("b"))
				r.request(sip.ACK)
				r.must(<-hold)
			})
		}
	}
}

// TestReinviteLeavesTimeToRefresh: an offer that the far end is asked about for
// ever is taken back before the session is over for want of a refresh.
func TestReinviteLeavesTimeToRefresh(t *testing.T) {
	for _, at := range []time.Duration{0, 20 * time.Second, 44 * time.Second} {
		bubbleWith(t, session.Options{SessionTimers: true, SessionExpires: 90 * time.Second}, func(r *rig) {
			s, invite := r.dial(nil)
			r.answer(invite, 200, "b", sdp("bob"), updates, sip.Field{Name: "Session-Expires", Value: "90;refresher=uac"})
			r.request(sip.ACK)
			time.Sleep(at)
			hold := start(func() error { return s.Hold(r.t.Context()) })
			again := r.request(sip.INVITE)
			r.answer(again, 180, "", "")
			for {
				time.Sleep(time.Second)
				m := r.next()
				if m == nil {
					continue
				}
				cancel, ok := m.(*sip.Request)
				if !ok || cancel.Method() != sip.CANCEL {
					t.Fatalf("want CANCEL, got %s", show(m))
				}
				r.answer(cancel, 200, "", "")
				break
			}
			r.answer(again, 487, "", "")
			r.request(sip.ACK)
			if err := <-hold; sip.StatusOf(err) != 487 {
				t.Errorf("Hold: %v", err)
			}
			for m := r.next(); ; m = r.next() {
				if update, ok := m.(*sip.Request); ok && update.Method() == sip.UPDATE {
					r.answer(update, 200, "", "", sip.Field{Name: "Session-Expires", Value: "90;refresher=uac"})
					break
				}
				time.Sleep(time.Second)
			}
			if left := time.Until(s.SessionTimer().Expires); s.State() != session.Confirmed || left != 90*time.Second {
				t.Errorf("state %v, %v left", s.State(), left)
			}
		})
	}
}

// TestRetriesEndWithSession: an offer that meets 480 is made again only as long
// as the session lives.
func TestRetriesEndWithSession(t *testing.T) {
	bubbleWith(t, session.Options{SessionTimers: true, SessionExpires: 90 * time.Second}, func(r *rig) {
		s, invite := r.dial(nil)
		r.answer(invite, 200, "b", sdp("bob"), sip.Field{Name: "Session-Expires", Value: "90;refresher=uas"})
		r.request(sip.ACK)
		expiry := time.Now().Add(60 * time.Second) // 90 s less a third, RFC 4028 §10
		time.Sleep(50 * time.Second)
		hold := start(func() error { return s.Hold(r.t.Context()) })
		tries := 0
		for {
			m := r.next()
			if m == nil {
				time.Sleep(100 * time.Millisecond)
				continue
			}
			req := m.(*sip.Request)
			if req.Method() == sip.BYE {
				r.answer(req, 200, "", "")
				break
			}
			if req.Method() == sip.INVITE {
				tries++
				r.answer(req, 480, "", "")
			}
		}
		if now := time.Now(); now.Before(expiry) || now.After(expiry.Add(time.Second)) || tries < 3 {
			t.Errorf("BYE %v after the expiry, %d tries", now.Sub(expiry), tries)
		}
		r.ended(s, session.EndUnrefreshed, false)
		if err := <-hold; err == nil {
			t.Error("Hold succeeded")
		}
		time.Sleep(time.Minute)
		r.silence()
	})
}

// TestGlareOutlivesLostFlow: an offer of the far end's whose connection went is
// open there for 32 s. Ours, made anew within 2 s each time, outlasts that.
func TestGlareOutlivesLostFlow(t *testing.T) {
	bubble(t, func(r *rig) {
		far := r.caller()
		in, invite := far.ring(sdp("bob"))
		s, err := in.Answer(r.t.Context(), nil)
		r.must(err)
		r.response(200, sip.INVITE)
		far.acks(invite, "")
		hold := start(func() error { return s.Hold(r.t.Context()) })
		free := time.Now().Add(31 * time.Second)
		for {
			m := r.next()
			if m == nil {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			again, ok := m.(*sip.Request)
			if !ok || again.Method() == sip.ACK {
				continue
			}
			if time.Now().After(free) {
				r.answer(again, 200, "", sdp("bob"))
				break
			}
			r.answer(again, 491, "", "")
		}
		r.must(<-hold)
	})
}
