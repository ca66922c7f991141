package session_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// again is the same INVITE with another branch, as fields change it.
func (p *peer) again(invite *sip.Request, fields ...sip.Field) *sip.Request {
	p.r.t.Helper()
	req := invite.Clone()
	p.r.must(errors.Join(
		req.SetVia(sip.Via{Transport: "WS", Host: "other.invalid", Params: sip.Params(";branch=" + sip.NewBranch())}),
		req.SetFields(fields...),
	))
	p.r.receive(req)
	return req
}

// TestCallOutlivesItsFlowWhileRinging: it rings on for RecoveryLimit from the
// loss, and is over when no flow came.
func TestCallOutlivesItsFlowWhileRinging(t *testing.T) {
	bubble(t, func(r *rig) {
		in, _ := r.caller().ring(sdp("bob"))
		time.Sleep(10 * time.Second)
		r.down()
		r.upTo("other.example.com") // whose proxy knows nothing of the call
		time.Sleep(32*time.Second - time.Millisecond)
		if st := in.Session().State(); st != session.Ringing {
			t.Fatalf("state %v", st)
		}
		time.Sleep(time.Millisecond)
		end := r.ended(in, session.EndTransportLost, false)
		if end.Cause() != "Connection Error" || !errors.Is(end, net.ErrClosed) {
			t.Errorf("ended by %v, cause %s", end, end.Cause())
		}
		if _, err := in.Answer(r.t.Context(), nil); !errors.Is(err, context.Cause(in.Context())) {
			t.Errorf("Answer: %v", err)
		}
		r.silence()
	})
}

// TestDecisionsWhileTheFlowIsDown: every move works, and its response leaves with
// the next flow.
func TestDecisionsWhileTheFlowIsDown(t *testing.T) {
	for _, tt := range []struct {
		name string
		move func(r *rig, in *session.Incoming) error
		want string
		over session.EndKind // of a call that is over
	}{
		{"nothing", func(*rig, *session.Incoming) error { return nil }, "180 INVITE", 0},
		{"progress", func(_ *rig, in *session.Incoming) error { return in.Progress(nil) }, "183 INVITE", 0},
		{"early media", func(_ *rig, in *session.Incoming) error {
			return in.Progress(&session.ProgressOptions{EarlyMedia: true})
		}, "183 INVITE", 0},
		{"answer", func(r *rig, in *session.Incoming) error {
			_, err := in.Answer(r.t.Context(), nil)
			return err
		}, "200 INVITE", 0},
		{"reject", func(_ *rig, in *session.Incoming) error { return in.Reject(486, nil) }, "486 INVITE", session.EndRejected},
		{"redirect", func(_ *rig, in *session.Incoming) error {
			return in.Redirect(sip.NameAddr{URI: sip.URI{Scheme: "sip", User: "carol", Host: "example.com"}})
		}, "302 INVITE", session.EndRejected},
		{"hangup", func(r *rig, in *session.Incoming) error { return in.Session().Hangup(r.t.Context()) }, "480 INVITE", session.EndRejected},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				in, _ := r.caller().ring(sdp("bob"))
				r.down()
				r.must(tt.move(r, in))
				time.Sleep(20 * time.Second)
				r.discard()
				r.up()
				r.sent(tt.want)
				if tt.over != 0 {
					r.ended(in, tt.over, false)
				}
			})
		})
	}
}

// discard forgets what went onto a connection that is gone.
func (r *rig) discard() {
	for r.next() != nil {
	}
}

// TestNoAnswerWhileTheFlowIsDown ends the call in time; who calls hears of it
// later.
func TestNoAnswerWhileTheFlowIsDown(t *testing.T) {
	bubble(t, func(r *rig) {
		in, _ := r.caller().ring(sdp("bob"))
		time.Sleep(50 * time.Second)
		r.down()
		time.Sleep(10 * time.Second)
		r.ended(in, session.EndNoAnswer, false)
		time.Sleep(10 * time.Second)
		r.up()
		r.sent("480 INVITE")
	})
}

// TestAnsweredWhileTheFlowIsDown: the 200 is repeated from when the flow is back,
// for 64*T1. Who knows whether the ACK is lost then, down the connection that went:
// a re-INVITE asks the far end for the call, which ends where that has none.
func TestAnsweredWhileTheFlowIsDown(t *testing.T) {
	for name, becomes := range map[string]func(r *rig, bob *peer, s *session.Session){
		"acknowledged": func(r *rig, bob *peer, s *session.Session) {
			bob.send(sip.ACK, "")
			time.Sleep(time.Minute)
			r.silence()
		},
		"the ACK went elsewhere": func(r *rig, _ *peer, s *session.Session) {
			r.answer(r.askedFor(), 200, "", sdp("bob"))
			r.request(sip.ACK)
			time.Sleep(time.Minute)
			r.silence()
		},
		"the far end takes no offer": func(r *rig, _ *peer, s *session.Session) { r.refuse(r.askedFor(), 488) },
		"the far end asks for a moment": func(r *rig, _ *peer, s *session.Session) {
			r.refuse(r.askedFor(), 491)
			time.Sleep(4 * time.Second)
			r.answer(r.request(sip.INVITE), 200, "", sdp("bob"))
			r.request(sip.ACK)
		},
		"the far end hangs up meanwhile": func(r *rig, bob *peer, s *session.Session) {
			invite := r.askedFor()
			bob.send(sip.BYE, "")
			r.ended(s, session.EndBye, true)
			r.discard()
			r.refuse(invite, 487)
		},
		"the far end replaces its dialog meanwhile": func(r *rig, bob *peer, s *session.Session) {
			invite := r.askedFor()
			id := s.Dialog()
			anew := r.caller()
			anew.local = anew.local.WithTag("anew")
			replaces := sip.Replaces{CallID: id.CallID, ToTag: id.LocalTag, FromTag: id.RemoteTag}
			anew.send(sip.INVITE, sdp("bob-anew"), sip.Field{Name: "Replaces", Value: replaces.String()})
			anew.remote = r.response(200, sip.INVITE).To()
			r.answer(r.request(sip.BYE), 200, "", "")
			anew.send(sip.ACK, "")
			r.refuse(invite, 481)
			time.Sleep(time.Minute)
			r.silence()
		},
		"we hang up meanwhile": func(r *rig, _ *peer, s *session.Session) {
			invite := r.askedFor()
			result := start(func() error { return s.Hangup(r.t.Context()) })
			r.answer(r.request(sip.BYE), 200, "", "")
			r.ended(s, session.EndBye, false)
			r.refuse(invite, 487)
			r.must(<-result)
		},
		"the far end has no call": func(r *rig, _ *peer, s *session.Session) {
			r.refuse(r.askedFor(), 481)
			r.answer(r.request(sip.BYE), 481, "", "")
			r.ended(s, session.EndNoACK, false)
		},
		"nobody is there": func(r *rig, _ *peer, s *session.Session) {
			r.askedFor()
			time.Sleep(32 * time.Second)
			r.answer(r.request(sip.BYE), 408, "", "")
			r.ended(s, session.EndNoACK, false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				bob := r.caller()
				in, _ := bob.ring(sdp("bob"))
				r.down()
				s, err := in.Answer(r.t.Context(), nil)
				r.must(err)
				time.Sleep(31 * time.Second)
				r.discard()
				r.up()
				r.sent("200 INVITE")
				for _, d := range []time.Duration{500, 1000, 2000, 4000, 4000} {
					time.Sleep(d*time.Millisecond - time.Millisecond)
					r.silence()
					time.Sleep(time.Millisecond)
					r.sent("200 INVITE")
				}
				becomes(r, bob, s)
				if !s.State().Ended() && s.State() != session.Confirmed {
					t.Errorf("state %v", s.State())
				}
			})
		})
	}
}

// askedFor takes the re-INVITE that asks for a call, 64*T1 after the flow came back, of
// which 11.5 s have passed.
func (r *rig) askedFor() *sip.Request {
	r.t.Helper()
	time.Sleep(32*time.Second - 11500*time.Millisecond - time.Millisecond)
	r.discard()
	time.Sleep(time.Millisecond)
	return r.request(sip.INVITE)
}

// TestAnsweredAfterTheFlowWasDown: who knows the Contact of our 180 only, which was
// of the connection that went, has the call all the same.
func TestAnsweredAfterTheFlowWasDown(t *testing.T) {
	bubble(t, func(r *rig) {
		in, _ := r.caller().ring(sdp("bob"))
		r.down()
		r.up()
		r.sent("180 INVITE")
		s, err := in.Answer(r.t.Context(), nil)
		r.must(err)
		time.Sleep(32*time.Second - time.Millisecond)
		r.discard()
		time.Sleep(time.Millisecond)
		r.answer(r.request(sip.INVITE), 200, "", sdp("bob"))
		r.request(sip.ACK)
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
	})
}

// TestAnsweredForNobody: no flow comes for the 200. The far end may have got it,
// so that a BYE waits for the flow, however long that takes.
func TestAnsweredForNobody(t *testing.T) {
	bubble(t, func(r *rig) {
		in, _ := r.caller().ring(sdp("bob"))
		s, err := in.Answer(r.t.Context(), nil)
		r.must(err)
		r.response(200, sip.INVITE)
		time.Sleep(10 * time.Second)
		r.down()
		time.Sleep(32*time.Second - time.Millisecond)
		if s.State() != session.Accepted {
			t.Errorf("state %v", s.State())
		}
		time.Sleep(time.Millisecond)
		r.ended(s, session.EndTransportLost, false)
		r.discard()
		time.Sleep(time.Hour)
		r.silence()
		r.up()
		r.answer(r.request(sip.BYE), 200, "", "")
		r.silence()
	})
}

// TestReliableProvisionalAcrossTheLoss: the response is repeated on the next
// flow, where the caller has all its time to confirm it.
func TestReliableProvisionalAcrossTheLoss(t *testing.T) {
	for _, confirmed := range []bool{true, false} {
		bubble(t, func(r *rig) {
			far := r.caller()
			in, invite, _ := far.alerts(sdp("bob"), supports100rel)
			r.must(in.Progress(&session.ProgressOptions{EarlyMedia: true}))
			first := r.response(183, sip.INVITE)
			time.Sleep(7 * time.Second)
			r.down()
			time.Sleep(20 * time.Second) // NoAnswerTimeout comes after 64*T1 from then
			r.discard()
			r.up()
			if again := r.response(183, sip.INVITE); again.Header("RSeq") != first.Header("RSeq") {
				t.Errorf("again %s", show(again))
			}
			r.silence()
			time.Sleep(500 * time.Millisecond)
			r.response(183, sip.INVITE)
			if confirmed {
				far.confirm(first, "")
				r.response(200, sip.PRACK)
				_, err := in.Answer(r.t.Context(), nil)
				r.must(err)
				r.response(200, sip.INVITE)
				far.acks(invite, "")
				return
			}
			time.Sleep(31*time.Second + 499*time.Millisecond)
			r.discard()
			time.Sleep(time.Millisecond)
			r.response(504, sip.INVITE)
			r.ended(in, session.EndTimeout, false)
		})
	}
}

// TestNewInviteTakesOver: the same INVITE on another way while the first one's
// flow is gone is the same call.
func TestNewInviteTakesOver(t *testing.T) {
	route := sip.Field{Name: "Record-Route", Value: "<sip:edge2.example.com;lr;transport=ws>"}
	for _, tt := range []struct {
		name   string
		server string
		old    string // what leaves on the old way when that flow is back
	}{
		{"from the server", "example.com", "180 INVITE"},
		{"from another server", "other.example.com", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				bob := r.caller()
				in, invite := bob.ring(sdp("bob"))
				id := in.Session().Dialog()
				r.down()
				time.Sleep(5 * time.Second)
				r.upTo(tt.server)
				if tt.old != "" {
					r.sent(tt.old)
				}
				again := bob.again(invite, route)
				if res := r.response(180, sip.INVITE); res.Via().Branch() != again.Via().Branch() || res.To().Tag() != bob.remote.Tag() {
					t.Errorf("180 is %s", show(res))
				}
				if len(r.calls1) != 0 || in.Request().Via() != again.Via() {
					t.Errorf("%d more calls, request %s", len(r.calls1), show(in.Request()))
				}
				s, err := in.Answer(r.t.Context(), nil)
				r.must(err)
				if res := r.response(200, sip.INVITE); res.Via().Branch() != again.Via().Branch() || nameOf(res.Body()) != "answer1" {
					t.Errorf("200 is %s", show(res))
				}
				if tt.old != "" { // as if it were canceled
					if res := r.response(487, sip.INVITE); res.Via().Branch() != invite.Via().Branch() {
						t.Errorf("487 is %s", show(res))
					}
				}
				bob.send(sip.ACK, "")
				if s != in.Session() || s.State() != session.Confirmed || s.Dialog() != id {
					t.Errorf("state %v, dialog %v", s.State(), s.Dialog())
				}
				result := start(func() error { return s.Hangup(r.t.Context()) })
				bye := r.request(sip.BYE)
				if bye.Header("Route") != route.Value {
					t.Errorf("BYE is %s", show(bye))
				}
				r.answer(bye, 200, "", "")
				r.must(<-result)
			})
		})
	}
}

// TestNewInviteWhileTheFlowIsUp is merged (RFC 3261 §8.2.2.2).
func TestNewInviteWhileTheFlowIsUp(t *testing.T) {
	bubble(t, func(r *rig) {
		bob := r.caller()
		in, invite := bob.ring(sdp("bob"))
		bob.again(invite)
		r.sent("482 INVITE")
		r.down()
		r.up()
		r.sent("180 INVITE")
		r.receive(invite) // who sent it knows us still
		r.sent("180 INVITE")
		bob.again(invite)
		r.sent("482 INVITE")
		if in.Session().State() != session.Ringing {
			t.Errorf("state %v", in.Session().State())
		}
	})
}

// TestAnotherOfferTakesOver: the same call with another offer, as a server puts
// it that relays media. It is answered unless the first one was already.
func TestAnotherOfferTakesOver(t *testing.T) {
	body := func(name string) func(*sip.Request) {
		return func(req *sip.Request) { _ = req.SetBody("application/sdp", []byte(sdp(name))) }
	}
	for _, tt := range []struct {
		name  string
		begin func(r *rig, in *session.Incoming) (finish func())
		want  []string // from when the INVITE comes
		body  string   // of the last
	}{
		{"ringing", func(r *rig, in *session.Incoming) func() {
			return func() { r.answerIn(in) }
		}, []string{"180 INVITE", "200 INVITE", "487 INVITE"}, "answer1"},
		{"answer being made", func(r *rig, in *session.Incoming) func() {
			release := r.media.hold()
			r.answerIn(in)
			return release
		}, []string{"180 INVITE", "200 INVITE", "487 INVITE"}, "answer2"},
		{"answered", func(r *rig, in *session.Incoming) func() {
			r.answerIn(in)
			return func() {}
		}, []string{"482 INVITE"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				bob := r.caller()
				in, invite := bob.ring(sdp("bob"))
				r.down()
				finish := tt.begin(r, in)
				r.discard()
				r.up()
				r.discard()
				again := invite.Clone()
				body("bob2")(again)
				bob.again(again)
				finish()
				sent := r.sent(tt.want...)
				if tt.body == "" {
					return
				}
				ok := sent[1].(*sip.Response)
				if nameOf(ok.Body()) != tt.body {
					t.Errorf("200 is %s", show(ok))
				}
				if got := r.media.last().wrote(); got != "Answer bob2" {
					t.Errorf("the media were asked: %s", got)
				}
				bob.send(sip.ACK, "")
				if st := in.Session().State(); st != session.Confirmed {
					t.Errorf("state %v", st)
				}
			})
		})
	}
}

// answerIn answers a call, in the background.
func (r *rig) answerIn(in *session.Incoming) {
	start(func() error {
		_, err := in.Answer(r.t.Context(), nil)
		return err
	})
	synctest.Wait()
}

// TestAnsweredCallTakenOver: the 200 went with its flow, and the INVITE comes
// again on another way.
func TestAnsweredCallTakenOver(t *testing.T) {
	bubble(t, func(r *rig) {
		bob := r.caller()
		in, invite := bob.ring(sdp("bob"))
		s, err := in.Answer(r.t.Context(), nil)
		r.must(err)
		first := r.response(200, sip.INVITE)
		r.down()
		r.upTo("other.example.com")
		again := bob.again(invite)
		ok := r.response(200, sip.INVITE)
		if ok.Via().Branch() != again.Via().Branch() || string(ok.Body()) != string(first.Body()) {
			t.Errorf("200 is %s", show(ok))
		}
		time.Sleep(500 * time.Millisecond)
		if res := r.response(200, sip.INVITE); res.Via().Branch() != again.Via().Branch() {
			t.Errorf("repeated %s", show(res))
		}
		bob.send(sip.ACK, "")
		bob.again(invite) // late, and the flow of this one is up
		r.sent("482 INVITE")
		time.Sleep(time.Minute)
		r.silence()
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
	})
}

// TestReinviteAnsweredOnNextFlow: a re-INVITE waits for our answer when its flow
// goes; the answer goes on the next one.
func TestReinviteAnsweredOnNextFlow(t *testing.T) {
	for _, body := range []string{sdp("hold"), ""} {
		for _, acked := range []bool{true, false} {
			bubble(t, func(r *rig) {
				s, bob := r.hosted()
				release := r.media.hold()
				bob.send(sip.INVITE, body)
				r.down()
				release()
				time.Sleep(20 * time.Second)
				r.discard()
				r.up()
				r.sent("200 INVITE")
				if acked {
					answer := ""
					if body == "" {
						answer = sdp("hold")
					}
					bob.send(sip.ACK, answer)
					time.Sleep(time.Minute)
					r.silence()
					if !s.Held().Remote {
						t.Error("not held")
					}
					return
				}
				// Who knows whether the ACK was lost: the call goes on, and an offer
				// of ours says where we stand.
				time.Sleep(32*time.Second - time.Millisecond)
				r.discard()
				time.Sleep(time.Millisecond)
				again := r.request(sip.INVITE)
				r.answer(again, 200, "", sdp("bob"))
				r.sent("ACK")
				if s.State() != session.Confirmed {
					t.Errorf("state %v", s.State())
				}
			})
		}
	}
}

// TestOfferDecidedWhileTheFlowIsDown: the application judges an offer of the far
// end whose connection is gone.
func TestOfferDecidedWhileTheFlowIsDown(t *testing.T) {
	for _, method := range []sip.Method{sip.INVITE, sip.UPDATE} {
		bubble(t, func(r *rig) {
			var offer *session.Offer
			h := r.handler()
			h.Offer = func(_ *session.Session, o *session.Offer) { offer = o }
			s, invite := r.dial(&session.CallOptions{Handler: h})
			r.answer(invite, 200, "b", sdp("bob"))
			r.request(sip.ACK)
			r.called(invite, "b").send(method, sdp("hold"))
			r.silence()
			r.down()
			r.must(offer.Accept(nil))
			time.Sleep(10 * time.Second)
			r.discard()
			r.up()
			r.sent("200 " + string(method))
			if !s.Held().Remote {
				t.Error("not held")
			}
		})
	}
}

// TestHungUpWhileTheFlowIsDown: the call is over at once for us, and for the far
// end when the flow is back.
func TestHungUpWhileTheFlowIsDown(t *testing.T) {
	for _, lost := range []string{"before", "with its BYE"} {
		bubble(t, func(r *rig) {
			s, bob := r.talk("b")
			if lost == "before" {
				r.down()
			}
			result := start(func() error { return s.Hangup(r.t.Context()) })
			synctest.Wait()
			seq := uint32(0)
			if lost != "before" {
				seq = r.request(sip.BYE).CSeq().Seq
				r.down()
			}
			r.ended(s, session.EndBye, false)
			time.Sleep(10 * time.Minute)
			r.silence()
			r.up()
			bye := r.request(sip.BYE)
			if bye.CSeq().Seq <= seq || bye.To().Tag() != "b" {
				t.Errorf("BYE is %s", show(bye))
			}
			r.answer(bye, 200, "", "")
			r.must(<-result)
			if n := r.dialogs(bob); n != 0 {
				t.Error("the dialog is still there")
			}
			r.down()
			r.up()
			r.silence()
		})
	}
}

// TestRequestsLostWithTheirFlow: nothing but BYE is sent twice by itself.
func TestRequestsLostWithTheirFlow(t *testing.T) {
	for _, x := range sendings() {
		bubble(t, func(r *rig) {
			s, _ := r.talk("b")
			result := start(func() error { return x.send(r.t.Context(), s) })
			req := r.request(x.method)
			r.down()
			time.Sleep(time.Second)
			r.up()
			r.silence()
			if req.Method() != sip.INVITE {
				if err := <-result; !errors.Is(err, net.ErrClosed) {
					t.Errorf("%s: %v", x.method, err)
				}
			}
			if s.State() != session.Confirmed {
				t.Errorf("state %v after %s", s.State(), x.method)
			}
		})
	}
}

// TestACKOnAnotherFlow: the 2xx that is repeated on another flow is acknowledged
// there, with the same ACK.
func TestACKOnAnotherFlow(t *testing.T) {
	for _, server := range []string{"example.com", "other.example.com"} {
		bubble(t, func(r *rig) {
			_, invite := r.dial(nil)
			r.answer(invite, 200, "b", sdp("bob"))
			first := r.request(sip.ACK)
			r.down()
			r.upTo(server)
			r.answer(invite, 200, "b", sdp("bob"))
			if again := r.request(sip.ACK); show(again) != show(first) {
				t.Errorf("ACK is %s", show(again))
			}
			r.silence()
		})
	}
}
