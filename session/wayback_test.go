package session_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

var (
	knowsReplaces = sip.Field{Name: "Supported", Value: "replaces"}
	flowToken     = sip.Field{Name: "Record-Route", Value: "<sip:t0ken@edge.example.com;lr>"}
	outboundRoute = sip.Field{Name: "Record-Route", Value: "<sip:edge.example.com;lr;ob>"}
	byServer      = sip.Field{Name: "Server", Value: "edge"}
)

// upWith is a call of ours that is up, whose 200 had these fields.
func (r *rig) upWith(fields ...sip.Field) (*session.Session, *peer) {
	r.t.Helper()
	s, invite := r.dial(nil)
	r.answer(invite, 200, "b", sdp("bob"), fields...)
	r.request(sip.ACK)
	r.must(s.WaitAnswered(context.Background()))
	r.seen("state Calling", "state Confirmed")
	r.media.last().wrote()
	return s, r.called(invite, "b")
}

// impaired expects that the far end cannot reach the call, and that it was told.
func (r *rig) impaired(s *session.Session) {
	r.t.Helper()
	if c := s.Condition(); !c.Unreachable || !errors.Is(c.Err, session.ErrUnreachable) || s.State() != session.Confirmed {
		r.t.Errorf("condition %+v, state %v", c, s.State())
	}
	r.seen("unreachable")
}

// TestTargetRefresh: once we are registered on the next connection, and not
// before, each dialog gets one target refresh; it renews the Contact and nothing
// else (RFC 3261 §12.2).
func TestTargetRefresh(t *testing.T) {
	t.Run("by UPDATE", func(t *testing.T) {
		bubble(t, func(r *rig) {
			route := sip.Field{Name: "Record-Route", Value: "<sip:edge.example.com;lr>"}
			s, bob := r.upWith(updates, route)
			r.down()
			time.Sleep(10 * time.Second)
			r.up()
			r.silence()
			time.Sleep(3 * time.Second)
			r.ready()
			req := r.request(sip.UPDATE)
			contact, _ := req.Contact()
			if len(req.Body()) > 0 || !contact.URI.Equal(bob.target) || req.Header("Route") != route.Value {
				t.Errorf("refreshed by %s", show(req))
			}
			r.answer(req, 200, "", "")
			r.silence()
			time.Sleep(time.Minute)
			r.silence()
			if c := s.Condition(); c.Degraded() {
				t.Errorf("condition %+v", c)
			}
		})
	})
	t.Run("by re-INVITE with the description as it is", func(t *testing.T) {
		bubble(t, func(r *rig) {
			r.upWith()
			r.moves()
			req := r.request(sip.INVITE)
			if req.To().Tag() != "b" || len(req.Body()) == 0 {
				t.Errorf("refreshed by %s", show(req))
			}
			r.answer(req, 200, "", sdp("bob"))
			r.request(sip.ACK)
			r.silence()
		})
	})
	t.Run("by re-INVITE where UPDATE is refused", func(t *testing.T) {
		bubble(t, func(r *rig) {
			r.upWith(updates)
			r.moves()
			r.answer(r.request(sip.UPDATE), 501, "", "")
			req := r.request(sip.INVITE)
			r.answer(req, 200, "", sdp("bob"))
			r.request(sip.ACK)
			r.silence()
		})
	})
	t.Run("of a call that came in", func(t *testing.T) {
		bubble(t, func(r *rig) {
			bob := r.caller()
			in, _ := bob.ring(sdp("bob"), updates)
			_, err := in.Answer(r.t.Context(), nil)
			r.must(err)
			r.response(200, sip.INVITE)
			bob.send(sip.ACK, "")
			r.moves()
			r.answer(r.request(sip.UPDATE), 200, "", "")
			r.silence()
		})
	})
	t.Run("once where several connections went", func(t *testing.T) {
		bubble(t, func(r *rig) {
			r.upWith(updates)
			r.moves()
			r.request(sip.UPDATE)
			r.moves()
			r.answer(r.request(sip.UPDATE), 200, "", "")
			r.silence()
		})
	})
	t.Run("by the offer that went with the connection", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, _ := r.upWith(updates)
			result := start(func() error { return s.Hold(r.t.Context()) })
			r.request(sip.INVITE)
			r.moves()
			req := r.request(sip.INVITE)
			r.answer(req, 200, "", sdp("bob-held"))
			r.request(sip.ACK)
			r.must(<-result)
			r.silence()
		})
	})
	t.Run("put off while the far end's own offer is answered", func(t *testing.T) {
		bubble(t, func(r *rig) {
			_, bob := r.upWith()
			r.moves()
			r.answer(r.request(sip.INVITE), 491, "", "")
			r.request(sip.ACK)
			bob.send(sip.INVITE, sdp("bob2"))
			r.response(200, sip.INVITE)
			bob.send(sip.ACK, "")
			time.Sleep(4 * time.Second)
			req := r.request(sip.INVITE)
			r.answer(req, 200, "", sdp("bob"))
			r.request(sip.ACK)
			r.silence()
		})
	})
}

// TestTargetRefreshPutOff: a refresh that meets another request, or a server that
// has no time, is sent again.
func TestTargetRefreshPutOff(t *testing.T) {
	for _, code := range []sip.StatusCode{491, 500, 503} {
		bubble(t, func(r *rig) {
			s, _ := r.upWith(updates)
			r.moves()
			r.answer(r.request(sip.UPDATE), code, "", "")
			time.Sleep(2100*time.Millisecond - time.Millisecond)
			r.silence()
			time.Sleep(1901 * time.Millisecond)
			r.answer(r.request(sip.UPDATE), 200, "", "")
			r.silence()
			if c := s.Condition(); c.Degraded() {
				t.Errorf("after %d: condition %+v", code, c)
			}
		})
	}
}

// TestFarEndReturnsLater: a far end that lost its connection, too, is tried for
// eight seconds.
func TestFarEndReturnsLater(t *testing.T) {
	for _, code := range []sip.StatusCode{404, 408, 430, 480} {
		bubble(t, func(r *rig) {
			s, _ := r.upWith(updates, knowsReplaces)
			r.moves()
			for _, longest := range []time.Duration{1, 2, 4} {
				r.answer(r.request(sip.UPDATE), code, "", "")
				time.Sleep(longest*time.Second*3/4 - time.Millisecond)
				r.silence()
				time.Sleep(longest*time.Second/4 + time.Millisecond)
			}
			r.answer(r.request(sip.UPDATE), 200, "", "")
			time.Sleep(time.Minute)
			r.silence()
			if c := s.Condition(); c.Degraded() {
				t.Errorf("after %d: condition %+v", code, c)
			}
		})
	}
}

// replaceInvite expects the INVITE that is to replace the dialog of p.
func (r *rig) replaceInvite(p *peer) *sip.Request {
	r.t.Helper()
	req := r.request(sip.INVITE)
	want := sip.Replaces{CallID: p.callID, ToTag: p.local.Tag(), FromTag: p.remote.Tag()}
	if req.Header("Replaces") != want.String() || req.To().Tag() != "" || req.CallID() == p.callID || req.Header("Require") != "replaces" ||
		req.URI().String() != p.local.WithTag("").URI.String() || req.HasToken("Supported", "100rel") {
		r.t.Errorf("replaced by %s, want %v", show(req), want)
	}
	return req
}

// TestWayBackIsDead: where the route set names the connection that is gone, or a
// server on the way refuses the refresh, a new dialog takes the place of the old
// one. The call stays the same, with its handlers; everything goes in the new
// dialog from then on.
func TestWayBackIsDead(t *testing.T) {
	dead := map[string]func(r *rig, moved func()) *peer{}
	dead["ob"] = func(r *rig, moved func()) *peer {
		_, bob := r.upWith(updates, knowsReplaces, outboundRoute)
		moved()
		return bob
	}
	dead["flow token"] = func(r *rig, moved func()) *peer {
		_, bob := r.upWith(updates, knowsReplaces, flowToken)
		moved()
		return bob
	}
	dead["403"] = func(r *rig, moved func()) *peer {
		_, bob := r.upWith(updates, knowsReplaces)
		moved()
		r.answer(r.request(sip.UPDATE), 403, "", "")
		return bob
	}
	dead["481 of a server"] = func(r *rig, moved func()) *peer {
		_, bob := r.upWith(updates, knowsReplaces, sip.Field{Name: "Server", Value: "phone"})
		moved()
		r.answer(r.request(sip.UPDATE), 481, "", "", byServer)
		return bob
	}
	for _, code := range []sip.StatusCode{404, 408, 430, 480} {
		dead[code.Error()] = func(r *rig, moved func()) *peer {
			_, bob := r.upWith(updates, knowsReplaces)
			moved()
			for range 3 {
				r.answer(r.request(sip.UPDATE), code, "", "")
				time.Sleep(4 * time.Second)
			}
			return bob
		}
	}
	dead["no answer"] = func(r *rig, moved func()) *peer {
		_, bob := r.upWith(updates, knowsReplaces)
		moved()
		r.request(sip.UPDATE)
		time.Sleep(32 * time.Second)
		return bob
	}
	for name, die := range dead {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				bob := die(r, r.moves)
				s := r.calls.Sessions()[0]
				old := s.Media()
				invite := r.replaceInvite(bob)
				r.answer(invite, 180, "n", "")
				r.answer(invite, 200, "n", sdp("bob-anew"), updates)
				if ack := r.request(sip.ACK); ack.To().Tag() != "n" {
					t.Errorf("ACK is %s", show(ack))
				}
				r.silence()
				if s.State() != session.Confirmed || s.Dialog().RemoteTag != "n" || s.CallID() != invite.CallID() || s.Condition().Degraded() {
					t.Errorf("state %v, dialog %v, condition %+v", s.State(), s.Dialog(), s.Condition())
				}
				if s.Media() == old || !old.(*tape).isClosed() {
					t.Errorf("media %v, before %v", s.Media(), old)
				}
				r.seen()
				bob.send(sip.BYE, "") // as RFC 3891 §3 has it
				r.sent("200 BYE")
				if s.State() != session.Confirmed {
					t.Errorf("the BYE in the old dialog made it %v", s.State())
				}
				anew := r.called(invite, "n")
				anew.send(sip.INVITE, sdp("bob-hold"))
				r.response(200, sip.INVITE)
				anew.send(sip.ACK, "")
				result := start(func() error { return s.Hangup(r.t.Context()) })
				bye := r.request(sip.BYE)
				if bye.To().Tag() != "n" || bye.CallID() != invite.CallID() {
					t.Errorf("BYE is %s", show(bye))
				}
				r.answer(bye, 200, "", "")
				r.must(<-result)
			})
		})
	}
}

// TestDialogNotReplaced: where no new dialog can be had the call goes on, and says that
// it is degraded: the far end knows no Replaces, refuses, or never answers, as
// JsSIP does.
func TestDialogNotReplaced(t *testing.T) {
	t.Run("not known", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, _ := r.upWith(updates, outboundRoute)
			r.moves()
			r.silence()
			r.impaired(s)
		})
	})
	t.Run("refused", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, bob := r.upWith(updates, knowsReplaces, outboundRoute)
			r.moves()
			invite := r.replaceInvite(bob)
			r.refuse(invite, 481)
			r.silence()
			r.impaired(s)
			if m := r.media.last(); !m.isClosed() || s.Media().(*tape).isClosed() {
				t.Error("the wrong media are closed")
			}
		})
	})
	t.Run("never answered", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, bob := r.upWith(updates, knowsReplaces, outboundRoute)
			r.moves()
			invite := r.replaceInvite(bob)
			r.answer(invite, 100, "", "")
			time.Sleep(8*time.Second - time.Millisecond)
			r.silence()
			time.Sleep(time.Millisecond)
			r.answer(r.request(sip.CANCEL), 200, "", "")
			r.impaired(s)
			r.refuse(invite, 487)
			r.silence()
			if s.State() != session.Confirmed {
				t.Errorf("state %v", s.State())
			}
		})
	})
	t.Run("answered after all", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, bob := r.upWith(updates, knowsReplaces, outboundRoute)
			r.moves()
			invite := r.replaceInvite(bob)
			r.answer(invite, 100, "", "")
			time.Sleep(8 * time.Second)
			r.request(sip.CANCEL)
			r.impaired(s)
			r.answer(invite, 200, "n", sdp("bob-anew"))
			r.request(sip.ACK)
			r.silence()
			r.seen("all right")
			if s.Dialog().RemoteTag != "n" {
				t.Errorf("dialog %v", s.Dialog())
			}
		})
	})
}

// TestDegradedCall is tried again, and is all right as soon as anything of the
// far end's comes.
func TestDegradedCall(t *testing.T) {
	t.Run("tried again", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, _ := r.upWith(updates)
			r.moves()
			r.answer(r.request(sip.UPDATE), 403, "", "")
			r.impaired(s)
			for _, wait := range []time.Duration{30, 60, 120, 240, 300, 300} {
				time.Sleep(wait*time.Second - time.Millisecond)
				r.silence()
				time.Sleep(time.Millisecond)
				r.answer(r.request(sip.UPDATE), 403, "", "")
			}
			time.Sleep(300 * time.Second)
			r.answer(r.request(sip.UPDATE), 200, "", "")
			r.seen("all right")
			r.silence()
		})
	})
	t.Run("heard", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, bob := r.upWith(updates)
			r.moves()
			r.answer(r.request(sip.UPDATE), 403, "", "")
			r.impaired(s)
			bob.send(sip.OPTIONS, "")
			r.sent("200 OPTIONS")
			r.seen("all right")
		})
	})
	t.Run("BYE of ours still goes the old way", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, _ := r.upWith(updates)
			r.moves()
			r.answer(r.request(sip.UPDATE), 403, "", "")
			r.impaired(s)
			result := start(func() error { return s.Hangup(r.t.Context()) })
			r.answer(r.request(sip.BYE), 200, "", "")
			r.must(<-result)
		})
	})
	t.Run("a request that does not get there ends nothing", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, _ := r.upWith(updates)
			r.moves()
			r.answer(r.request(sip.UPDATE), 403, "", "")
			r.impaired(s)
			result := start(func() error { return s.SendInfo(r.t.Context(), "text/plain", []byte("x"), nil) })
			r.answer(r.request(sip.INFO), 404, "", "")
			if err := <-result; !errors.Is(err, sip.StatusNotFound) || s.State() != session.Confirmed {
				t.Errorf("%v, state %v", err, s.State())
			}
		})
	})
}

// TestFarEndForgotTheCall: its own 481 ends the call.
func TestFarEndForgotTheCall(t *testing.T) {
	phone := sip.Field{Name: "Server", Value: "phone"}
	for _, product := range [][]sip.Field{nil, {phone}} {
		bubble(t, func(r *rig) {
			s, _ := r.upWith(updates, knowsReplaces, phone)
			r.moves()
			r.answer(r.request(sip.UPDATE), 481, "", "", product...)
			r.answer(r.request(sip.BYE), 481, "", "")
			r.ended(s, session.EndDialogError, true)
		})
	}
}

// TestByeMeetsReplaces: the BYE that a far end sends because of our INVITE may
// overtake its 2xx. One that is meant ends the call.
func TestByeMeetsReplaces(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.upWith(updates, knowsReplaces, outboundRoute)
		r.moves()
		invite := r.replaceInvite(bob)
		bob.send(sip.BYE, "")
		r.sent("200 BYE")
		time.Sleep(time.Second)
		r.answer(invite, 200, "n", sdp("bob-anew"))
		r.request(sip.ACK)
		time.Sleep(time.Minute)
		r.silence()
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
	})
	bubble(t, func(r *rig) {
		s, bob := r.upWith(updates, knowsReplaces, outboundRoute)
		r.moves()
		invite := r.replaceInvite(bob)
		r.answer(invite, 100, "", "")
		bob.send(sip.BYE, "")
		r.sent("200 BYE")
		time.Sleep(2 * time.Second)
		r.ended(s, session.EndBye, true)
		r.answer(r.request(sip.CANCEL), 200, "", "")
		r.refuse(invite, 487)
	})
}

// TestSeveralTakeTheCall: of two that answer the INVITE the first has the call.
func TestSeveralTakeTheCall(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.upWith(updates, knowsReplaces, outboundRoute)
		r.moves()
		invite := r.replaceInvite(bob)
		r.answer(invite, 200, "n", sdp("bob-anew"))
		r.request(sip.ACK)
		r.answer(invite, 200, "n", sdp("bob-anew"))
		r.request(sip.ACK)
		r.answer(invite, 200, "m", sdp("other"))
		r.request(sip.ACK)
		bye := r.request(sip.BYE)
		if bye.To().Tag() != "m" {
			t.Errorf("BYE is %s", show(bye))
		}
		r.answer(bye, 200, "", "")
		if s.Dialog().RemoteTag != "n" {
			t.Errorf("dialog %v", s.Dialog())
		}
	})
}

// TestCalleeLeavesItToTheCaller: both ends may have lost their connection with the
// server; who was called waits for the other's INVITE.
func TestCalleeLeavesItToTheCaller(t *testing.T) {
	called := func(r *rig) (*session.Session, *peer) {
		bob := r.caller()
		in, _ := bob.ring(sdp("bob"), updates, knowsReplaces, outboundRoute)
		s, err := in.Answer(r.t.Context(), &session.AnswerOptions{Handler: r.handler()})
		r.must(err)
		r.response(200, sip.INVITE)
		bob.send(sip.ACK, "")
		r.moves()
		if !s.Condition().Unreachable {
			r.t.Error("the far end is not said to be cut off")
		}
		time.Sleep(time.Second - time.Millisecond)
		r.silence()
		return s, bob
	}
	t.Run("which does not come", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, bob := called(r)
			time.Sleep(time.Millisecond)
			invite := r.replaceInvite(bob)
			r.answer(invite, 200, "n", sdp("bob-anew"))
			r.request(sip.ACK)
			r.silence()
			if s.Dialog().RemoteTag != "n" {
				t.Errorf("dialog %v", s.Dialog())
			}
		})
	})
	t.Run("which comes", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, bob := called(r)
			anew := r.caller()
			anew.local = anew.local.WithTag("anew")
			anew.send(sip.INVITE, sdp("bob-anew"), sip.Field{Name: "Replaces", Value: bob.replaces()})
			res := r.response(200, sip.INVITE)
			anew.remote = res.To()
			r.answer(r.request(sip.BYE), 200, "", "")
			anew.send(sip.ACK, "")
			time.Sleep(time.Minute)
			r.silence()
			if s.State() != session.Confirmed || s.Dialog().RemoteTag != "anew" || s.Condition().Degraded() {
				t.Errorf("state %v, dialog %v, condition %+v", s.State(), s.Dialog(), s.Condition())
			}
		})
	})
}

// TestFarEndReplacesItsDialog: a far end that does not find back takes a new
// dialog for the same call; nobody is asked. Anybody else is.
func TestFarEndReplacesItsDialog(t *testing.T) {
	for _, offers := range []bool{true, false} {
		bubble(t, func(r *rig) {
			s, bob := r.upWith(updates)
			anew := r.caller()
			body := sdp("bob-anew")
			if !offers {
				body = ""
			}
			anew.local = anew.local.WithTag("anew")
			anew.send(sip.INVITE, body, sip.Field{Name: "Replaces", Value: bob.replaces()}, updates)
			res := r.response(200, sip.INVITE)
			anew.remote = res.To()
			bye := r.request(sip.BYE)
			if bye.To().Tag() != "b" || len(res.Body()) == 0 {
				t.Errorf("BYE is %s", show(bye))
			}
			r.answer(bye, 200, "", "")
			ack := ""
			if !offers {
				ack = sdp("bob-anew")
			}
			anew.send(sip.ACK, ack)
			r.silence()
			select {
			case <-r.calls1:
				t.Error("the application was asked")
			default:
			}
			anew.send(sip.BYE, "")
			r.sent("200 BYE")
			r.ended(s, session.EndBye, true)
		})
	}
	bubble(t, func(r *rig) {
		s, bob := r.upWith(updates)
		carol := r.caller()
		carol.local = sip.NameAddr{URI: sip.URI{Scheme: "sip", User: "carol", Host: "example.com"}}.WithTag("c")
		in, _ := carol.ring(sdp("carol"), sip.Field{Name: "Replaces", Value: bob.replaces()})
		if in.Replaces() != s {
			t.Error("carol does not want the place of the call")
		}
		r.must(in.Reject(603, nil))
		r.response(603, sip.INVITE)
	})
	bubbleWith(t, session.Options{AskOnReplacement: true}, func(r *rig) {
		s, bob := r.upWith(updates)
		anew := r.caller()
		in, _ := anew.ring(sdp("bob"), sip.Field{Name: "Replaces", Value: bob.replaces()})
		if in.Replaces() != s {
			t.Error("bob does not want the place of the call")
		}
		r.must(in.Reject(603, nil))
		r.response(603, sip.INVITE)
	})
}

// TestReplacedBeforeTheACK: a far end that wants another dialog in the place of
// one has the 2xx of that, though its ACK was lost with the connection.
func TestReplacedBeforeTheACK(t *testing.T) {
	bubble(t, func(r *rig) {
		bob := r.caller()
		in, _ := bob.ring(sdp("bob"))
		s, res := r.answerCall(in)
		bob.remote = res.To()
		time.Sleep(100 * time.Millisecond)
		anew := r.caller()
		anew.local = anew.local.WithTag("anew")
		anew.send(sip.INVITE, sdp("bob-anew"), sip.Field{Name: "Replaces", Value: bob.replaces()})
		anew.remote = r.response(200, sip.INVITE).To()
		r.answer(r.request(sip.BYE), 200, "", "")
		anew.send(sip.ACK, "")
		time.Sleep(time.Minute)
		r.silence()
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
	})
}

// TestHangupWhileReplacing: the INVITE is given up, and what comes of it ended.
func TestHangupWhileReplacing(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.upWith(updates, knowsReplaces, outboundRoute)
		r.moves()
		invite := r.replaceInvite(bob)
		result := start(func() error { return s.Hangup(r.t.Context()) })
		r.answer(r.request(sip.BYE), 200, "", "")
		r.must(<-result)
		r.answer(invite, 200, "n", sdp("bob-anew"))
		r.request(sip.ACK)
		r.answer(r.request(sip.BYE), 200, "", "")
		r.silence()
	})
}

// TestOffersGoWhereTheCallGoes: a hold that waited goes in the new dialog.
func TestOffersGoWhereTheCallGoes(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.upWith(knowsReplaces, outboundRoute)
		result := start(func() error { return s.Hold(r.t.Context()) })
		r.request(sip.INVITE)
		r.moves()
		invite := r.replaceInvite(bob)
		r.answer(invite, 200, "n", sdp("bob-anew"))
		r.request(sip.ACK)
		hold := r.request(sip.INVITE)
		if hold.To().Tag() != "n" {
			t.Errorf("held by %s", show(hold))
		}
		r.answer(hold, 200, "", sdp("bob-held"))
		r.request(sip.ACK)
		r.must(<-result)
		if !s.Held().Local {
			t.Error("not on hold")
		}
	})
}

// TestOneOfferForPathAndTarget: where our address has changed with the connection
// the re-INVITE that restarts ICE is the target refresh.
func TestOneOfferForPathAndTarget(t *testing.T) {
	bubble(t, func(r *rig) {
		r.down()
		r.upFrom("192.0.2.7:1234")
		r.ready()
		s, _ := r.upWith(updates)
		before := s.Media()
		r.down()
		r.upFrom("192.0.2.8:1234")
		r.ready()
		offer := r.request(sip.INVITE)
		r.answer(offer, 200, "", sdp("bob-anew"))
		r.request(sip.ACK)
		time.Sleep(time.Minute)
		r.silence()
		if s.Media() == before {
			t.Error("the media are the old ones")
		}
	})
}

// TestBothReplaceTheDialog: of two INVITEs that cross the caller's counts.
func TestBothReplaceTheDialog(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.upWith(updates, knowsReplaces, outboundRoute)
		r.moves()
		ours := r.replaceInvite(bob)
		anew := r.caller()
		anew.local = anew.local.WithTag("anew")
		anew.send(sip.INVITE, sdp("bob-anew"), sip.Field{Name: "Replaces", Value: bob.replaces()})
		r.response(491, sip.INVITE)
		r.answer(ours, 200, "n", sdp("bob-anew"))
		r.request(sip.ACK)
		r.silence()
		if s.Dialog().RemoteTag != "n" {
			t.Errorf("dialog %v", s.Dialog())
		}
	})
	bubble(t, func(r *rig) {
		bob := r.caller()
		in, _ := bob.ring(sdp("bob"), updates, knowsReplaces, outboundRoute)
		s, err := in.Answer(r.t.Context(), &session.AnswerOptions{Handler: r.handler()})
		r.must(err)
		r.response(200, sip.INVITE)
		bob.send(sip.ACK, "")
		r.moves()
		time.Sleep(time.Second)
		ours := r.replaceInvite(bob)
		r.answer(ours, 100, "", "")
		r.seen("state Answering", "state Accepted", "state Confirmed", "unreachable")
		anew := r.caller()
		anew.local = anew.local.WithTag("anew")
		anew.send(sip.INVITE, sdp("bob-anew"), sip.Field{Name: "Replaces", Value: bob.replaces()})
		r.answer(r.request(sip.CANCEL), 200, "", "")
		anew.remote = r.response(200, sip.INVITE).To()
		r.answer(r.request(sip.BYE), 200, "", "")
		anew.send(sip.ACK, "")
		r.refuse(ours, 491)
		time.Sleep(time.Minute)
		r.silence()
		r.seen("all right")
		if s.State() != session.Confirmed || s.Dialog().RemoteTag != "anew" || s.Condition().Degraded() {
			t.Errorf("state %v, dialog %v, condition %+v", s.State(), s.Dialog(), s.Condition())
		}
	})
}

// TestJsSIPIsRefreshedByReinvite: it takes UPDATE, but not the Contact in it.
func TestJsSIPIsRefreshedByReinvite(t *testing.T) {
	bubble(t, func(r *rig) {
		r.upWith(updates, sip.Field{Name: "User-Agent", Value: "JsSIP 3.13.8"})
		r.moves()
		req := r.request(sip.INVITE)
		r.answer(req, 200, "", sdp("bob"))
		r.request(sip.ACK)
		r.silence()
	})
}

// TestFarEndHungUpUnheard: its BYE did not find us. That it has no dialog to replace
// it says once more before that is believed, for another device may have said so;
// where its own was asked, by its GRUU, once is enough.
func TestFarEndHungUpUnheard(t *testing.T) {
	for _, code := range []sip.StatusCode{481, 603} {
		bubble(t, func(r *rig) {
			s, bob := r.upWith(updates, knowsReplaces, outboundRoute)
			r.moves()
			r.refuse(r.replaceInvite(bob), code)
			r.impaired(s)
			time.Sleep(30 * time.Second)
			r.refuse(r.replaceInvite(bob), 480) // says nothing
			time.Sleep(60 * time.Second)
			r.refuse(r.replaceInvite(bob), code)
			r.answer(r.request(sip.BYE), 481, "", "")
			r.ended(s, session.EndDialogError, true)
		})
		bubble(t, func(r *rig) {
			gruu := sip.Field{Name: "Contact", Value: "<sip:bob@example.com;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"}
			s, _ := r.upWith(updates, knowsReplaces, outboundRoute, gruu)
			r.moves()
			r.refuse(r.request(sip.INVITE), code)
			r.answer(r.request(sip.BYE), 481, "", "")
			r.ended(s, session.EndDialogError, true)
		})
	}
}
