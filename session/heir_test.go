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

// replacesDialog has the far end of p make a new dialog in place of that one, and
// returns its far end.
func (p *peer) replacesDialog(tag, body string) *peer {
	p.r.t.Helper()
	anew := p.r.caller()
	anew.local = anew.local.WithTag(tag)
	anew.send(sip.INVITE, body, sip.Field{Name: "Replaces", Value: p.replaces()}, updates)
	return anew
}

// TestHoldGoesAlong: who was on hold stays so in the new dialog, and nobody is
// told of a change that is none.
func TestHoldGoesAlong(t *testing.T) {
	hold := func(r *rig, s *session.Session) {
		result := start(func() error { return s.Hold(r.t.Context()) })
		r.answer(r.request(sip.INVITE), 200, "", sdp("bob-held"))
		r.request(sip.ACK)
		r.must(<-result)
		r.seen("hold local=true remote=false")
	}
	t.Run("in our INVITE", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, bob := r.upWith(knowsReplaces, outboundRoute)
			hold(r, s)
			r.moves()
			invite := r.replaceInvite(bob)
			if name := nameOf(invite.Body()); name != "offer2.1-hold" {
				t.Errorf("offered %s", name)
			}
			r.answer(invite, 200, "n", sdp("bob-anew"))
			r.request(sip.ACK)
			r.silence()
			r.seen()
			if !s.Held().Local {
				t.Error("not on hold")
			}
		})
	})
	t.Run("after our INVITE has left", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, bob := r.upWith(knowsReplaces, outboundRoute)
			r.moves()
			invite := r.replaceInvite(bob)
			hold(r, s)
			r.answer(invite, 200, "n", sdp("bob-anew"))
			r.request(sip.ACK)
			again := r.request(sip.INVITE)
			if name := nameOf(again.Body()); again.To().Tag() != "n" || name != "offer2.2-hold" {
				t.Errorf("offered %s in %v", name, again.To())
			}
			r.answer(again, 200, "", sdp("bob-held"))
			r.request(sip.ACK)
			if !s.Held().Local {
				t.Error("not on hold")
			}
		})
	})
	t.Run("in the answer to theirs", func(t *testing.T) {
		for _, body := range []string{sdp("bob-anew"), ""} {
			bubble(t, func(r *rig) {
				s, bob := r.upWith()
				hold(r, s)
				anew := bob.replacesDialog("anew", body)
				anew.remote = r.response(200, sip.INVITE).To()
				r.answer(r.request(sip.BYE), 200, "", "")
				if body == "" {
					anew.send(sip.ACK, sdp("bob-anew"))
				} else {
					anew.send(sip.ACK, "")
				}
				r.silence()
				r.seen()
				if !s.Held().Local {
					t.Error("not on hold")
				}
			})
		}
	})
}

// TestDegradedCallIsReplaced: the far end's INVITE opens the way back also while we
// try it once more ourselves.
func TestDegradedCallIsReplaced(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.upWith(updates)
		r.moves()
		r.answer(r.request(sip.UPDATE), 403, "", "")
		r.impaired(s)
		time.Sleep(30 * time.Second)
		r.request(sip.UPDATE)
		anew := bob.replacesDialog("anew", sdp("bob-anew"))
		anew.remote = r.response(200, sip.INVITE).To()
		r.answer(r.request(sip.BYE), 200, "", "")
		anew.send(sip.ACK, "")
		r.seen("all right")
		if c := s.Condition(); c.Degraded() {
			t.Errorf("condition %+v", c)
		}
	})
}

// TestConnectionLostWhileReplacing: the far end may have taken the new dialog, and
// ended the old one; it repeats its 2xx.
func TestConnectionLostWhileReplacing(t *testing.T) {
	t.Run("answered", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, bob := r.upWith(knowsReplaces, outboundRoute)
			r.moves()
			invite := r.replaceInvite(bob)
			r.down()
			time.Sleep(10 * time.Second)
			r.up()
			r.ready()
			r.silence()
			time.Sleep(7 * time.Second)
			r.answer(invite, 200, "n", sdp("bob-anew"), updates)
			r.request(sip.ACK)
			refresh := r.request(sip.UPDATE) // the far end knows the way over the connection that went
			if refresh.To().Tag() != "n" {
				t.Errorf("refreshed by %s", show(refresh))
			}
			r.answer(refresh, 200, "", "")
			time.Sleep(time.Minute)
			r.silence()
			r.seen()
			if s.Dialog().RemoteTag != "n" {
				t.Errorf("dialog %v", s.Dialog())
			}
		})
	})
	t.Run("not answered", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, bob := r.upWith(knowsReplaces, outboundRoute)
			r.moves()
			first := r.replaceInvite(bob)
			r.moves()
			time.Sleep(8*time.Second - time.Millisecond)
			r.silence()
			time.Sleep(time.Millisecond)
			r.answer(r.request(sip.CANCEL), 481, "", "")
			second := r.replaceInvite(bob)
			if second.CallID() == first.CallID() {
				t.Error("the same call")
			}
			r.answer(second, 200, "n", sdp("bob-anew"))
			r.request(sip.ACK)
			r.silence()
			r.seen()
			if s.Dialog().RemoteTag != "n" {
				t.Errorf("dialog %v", s.Dialog())
			}
		})
	})
}

// TestNewDialogNeedsALongerInterval: a 422 is obeyed as anywhere else (RFC 4028
// §7.3).
func TestNewDialogNeedsALongerInterval(t *testing.T) {
	bubbleWith(t, session.Options{SessionTimers: true}, func(r *rig) {
		s, bob := r.upWith(knowsReplaces, outboundRoute)
		r.moves()
		first := r.replaceInvite(bob)
		r.refuse(first, 422, sip.Field{Name: "Min-SE", Value: "2000"})
		invite := r.replaceInvite(bob)
		if invite.Header("Session-Expires") != "2000" || invite.Header("Min-SE") != "2000" || invite.CallID() != first.CallID() {
			t.Errorf("sent again: %s", show(invite))
		}
		r.answer(invite, 200, "n", sdp("bob-anew"))
		r.request(sip.ACK)
		r.seen()
		if s.Dialog().RemoteTag != "n" {
			t.Errorf("dialog %v", s.Dialog())
		}
	})
}

// TestNewDialogIsFromTheSame: the far end sees the address that it knows.
func TestNewDialogIsFromTheSame(t *testing.T) {
	bubble(t, func(r *rig) {
		desk := sip.NameAddr{Display: "Desk", URI: sip.URI{Scheme: "sip", User: "desk", Host: "example.com"}}
		s, invite := r.dial(&session.CallOptions{From: desk})
		r.answer(invite, 200, "b", sdp("bob"), knowsReplaces, outboundRoute)
		r.request(sip.ACK)
		r.must(s.WaitAnswered(r.t.Context()))
		r.moves()
		again := r.replaceInvite(r.called(invite, "b"))
		if from := again.From(); !from.URI.Equal(desk.URI) || from.Display != "Desk" || from.Tag() == invite.From().Tag() {
			t.Errorf("From %v", from)
		}
	})
}

// TestRequestsGoWhereTheCallGoes: what the old dialog could not bring goes in the
// new one, and nothing in one that is over.
func TestRequestsGoWhereTheCallGoes(t *testing.T) {
	t.Run("INFO", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, bob := r.upWith(knowsReplaces, outboundRoute)
			result := start(func() error { return s.SendInfo(r.t.Context(), "text/plain", []byte("x"), nil) })
			r.answer(r.request(sip.INFO), 480, "", "")
			r.moves()
			invite := r.replaceInvite(bob)
			r.answer(invite, 200, "n", sdp("bob-anew"))
			r.request(sip.ACK)
			time.Sleep(time.Second)
			info := r.request(sip.INFO)
			if info.To().Tag() != "n" || info.CallID() != invite.CallID() {
				t.Errorf("sent %s", show(info))
			}
			r.answer(info, 200, "", "")
			r.must(<-result)
		})
	})
	t.Run("hold that nobody waits for any more", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, bob := r.upWith(knowsReplaces, outboundRoute)
			renegotiated := start(func() error { return s.Renegotiate(r.t.Context(), nil) })
			r.request(sip.INVITE)
			ctx, cancel := context.WithTimeout(r.t.Context(), time.Second)
			defer cancel()
			held := start(func() error { return s.Hold(ctx) })
			r.moves()
			r.answer(r.replaceInvite(bob), 200, "n", sdp("bob-anew"))
			r.request(sip.ACK)
			offer := r.request(sip.INVITE)
			time.Sleep(time.Second)
			if err := <-held; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Hold: %v", err)
			}
			r.answer(offer, 200, "", sdp("bob"))
			r.request(sip.ACK)
			r.must(<-renegotiated)
			r.silence()
		})
	})
	t.Run("REFER beside one in the old dialog", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, bob := r.upWith(knowsReplaces, outboundRoute)
			refer := func(tag string) *session.Transfer {
				var transfer *session.Transfer
				result := start(func() (err error) {
					transfer, err = s.Refer(r.t.Context(), "carol", &session.ReferOptions{KeepCall: true})
					return err
				})
				req := r.request(sip.REFER)
				if req.To().Tag() != tag {
					t.Errorf("referred by %s", show(req))
				}
				r.answer(req, 202, "", "")
				r.must(<-result)
				return transfer
			}
			first := refer("b")
			r.moves()
			invite := r.replaceInvite(bob)
			r.answer(invite, 200, "n", sdp("bob-anew"))
			r.request(sip.ACK)
			second := refer("n")
			for _, p := range []*peer{r.called(invite, "n"), bob} {
				p.notify("refer", "terminated;reason=noresource", "SIP/2.0 200 OK")
				r.sent("200 NOTIFY")
			}
			r.must(first.Wait(r.t.Context()))
			r.must(second.Wait(r.t.Context()))
		})
	})
}

// TestCallEndsWhileItsDialogIsReplaced: at each step, in each way, nothing is left.
func TestCallEndsWhileItsDialogIsReplaced(t *testing.T) {
	type up struct {
		*one
		anew *peer // nil: there is no such dialog yet
	}
	ours := func(c *crowd) (*one, *sip.Request) {
		a := c.dialled(nil)
		a.answer(a.invite, 200, "b", sdp("bob"), knowsReplaces, outboundRoute)
		a.req(a.id, sip.ACK)
		a.bob = c.called(a.invite, "b")
		c.moves()
		return a, c.next().(*sip.Request)
	}
	theirs := func(c *crowd, body string) up {
		a := c.up(nil)
		anew := c.caller()
		anew.local = anew.local.WithTag("anew")
		anew.send(sip.INVITE, body, sip.Field{Name: "Replaces", Value: a.bob.replaces()})
		return up{a, anew}
	}
	answered := func(u up) up {
		u.anew.remote = u.res(u.anew.callID, 200, sip.INVITE).To()
		return u
	}
	steps := map[string]func(c *crowd) (u up, release func()){
		"our offer is made": func(c *crowd) (up, func()) {
			a := c.dialled(nil)
			a.answer(a.invite, 200, "b", sdp("bob"), knowsReplaces, outboundRoute)
			a.req(a.id, sip.ACK)
			a.bob = c.called(a.invite, "b")
			release := c.rig.media.hold()
			c.moves()
			synctest.Wait()
			return up{a, nil}, release
		},
		"our INVITE is out": func(c *crowd) (up, func()) {
			a, invite := ours(c)
			a.answer(invite, 100, "", "")
			return up{a, nil}, func() {}
		},
		"its connection is lost": func(c *crowd) (up, func()) {
			a, _ := ours(c)
			c.moves()
			return up{a, nil}, func() {}
		},
		"our INVITE is canceled": func(c *crowd) (up, func()) {
			a, invite := ours(c)
			a.answer(invite, 100, "", "")
			time.Sleep(8 * time.Second)
			return up{a, nil}, func() {}
		},
		"its answer is applied": func(c *crowd) (up, func()) {
			a, invite := ours(c)
			release := c.rig.media.hold()
			a.answer(invite, 200, "n", sdp("bob-anew"))
			return up{a, c.called(invite, "n")}, release
		},
		"ours is up": func(c *crowd) (up, func()) {
			a, invite := ours(c)
			a.answer(invite, 200, "n", sdp("bob-anew"))
			return up{a, c.called(invite, "n")}, func() {}
		},
		"our answer is made": func(c *crowd) (up, func()) {
			a := c.up(nil)
			release := c.rig.media.hold()
			anew := c.caller()
			anew.send(sip.INVITE, sdp("anew"), sip.Field{Name: "Replaces", Value: a.bob.replaces()})
			return up{a, nil}, release
		},
		"our offer in the answer is made": func(c *crowd) (up, func()) {
			a := c.up(nil)
			release := c.rig.media.hold()
			anew := c.caller()
			anew.send(sip.INVITE, "", sip.Field{Name: "Replaces", Value: a.bob.replaces()})
			return up{a, nil}, release
		},
		"our answer is refused": func(c *crowd) (up, func()) {
			a := c.up(nil)
			c.rig.media.failWith(session.ErrUnacceptable)
			anew := c.caller()
			anew.send(sip.INVITE, sdp("anew"), sip.Field{Name: "Replaces", Value: a.bob.replaces()})
			c.res(anew.callID, 488, sip.INVITE)
			c.rig.media.failWith(nil)
			return up{a, nil}, func() {}
		},
		"our answer is out":              func(c *crowd) (up, func()) { return answered(theirs(c, sdp("anew"))), func() {} },
		"our offer in the answer is out": func(c *crowd) (up, func()) { return answered(theirs(c, "")), func() {} },
		"theirs is up": func(c *crowd) (up, func()) {
			u := answered(theirs(c, sdp("anew")))
			u.anew.send(sip.ACK, "")
			return u, func() {}
		},
	}
	ends := map[string]func(c *crowd, u up){
		"hung up": func(_ *crowd, u up) { hangup(u.one) },
		"BYE":     func(_ *crowd, u up) { u.bob.send(sip.BYE, "") },
		"BYE in the new one": func(_ *crowd, u up) {
			if u.anew != nil {
				u.anew.send(sip.BYE, "")
			}
		},
		"shut down":  func(c *crowd, _ up) { c.calls.HangupAll() },
		"closed":     func(c *crowd, _ up) { c.calls.Close() },
		"media lost": func(c *crowd, _ up) { c.rig.media.last().events.Failed(errGone) },
	}
	for step, begin := range steps {
		for end, f := range ends {
			t.Run(step+", "+end, func(t *testing.T) {
				bubbleWith(t, session.Options{SessionTimers: true}, func(r *rig) {
					c := &crowd{rig: r, left: map[string][]sip.Message{}}
					u, release := begin(c)
					f(c, u)
					synctest.Wait()
					release()
					c.over()
					c.nothing(step + ", " + end)
				})
			})
		}
	}
}
