package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// asked is a call that is up, whose far end may refer us: each REFER waits in
// the channel.
func (r *rig) asked() (*session.Session, *peer, chan *session.Referral) {
	r.t.Helper()
	h, asked := r.handler(), make(chan *session.Referral, 8)
	h.Refer = func(s *session.Session, ref *session.Referral) {
		if ref.Session() != s {
			r.t.Error("the REFER is of another call")
		}
		asked <- ref
	}
	s, invite := r.dial(&session.CallOptions{Handler: h})
	r.answer(invite, 200, "b", sdp("bob"))
	r.request(sip.ACK)
	r.must(s.WaitAnswered(context.Background()))
	r.seen("state Calling", "state Confirmed")
	return s, r.called(invite, "b"), asked
}

func referTo(value string, fields ...sip.Field) []sip.Field {
	return append([]sip.Field{{Name: "Refer-To", Value: value}}, fields...)
}

// refer sends a REFER of the far end's and returns what it asks for.
func (p *peer) refer(asked chan *session.Referral, value string, fields ...sip.Field) (*session.Referral, *sip.Request) {
	p.r.t.Helper()
	req := p.send(sip.REFER, "", referTo(value, fields...)...)
	synctest.Wait()
	select {
	case ref := <-asked:
		return ref, req
	default:
		p.r.t.Fatalf("nobody was asked; answer is %s", show(p.r.next()))
		return nil, nil
	}
}

// told expects a NOTIFY as RFC 3515 §2.4.4 to §2.4.7 wants it, and answers it.
func (r *rig) told(event, state, frag string) *sip.Request {
	r.t.Helper()
	n := r.request(sip.NOTIFY)
	if n.Header("Event") != event || n.Header("Subscription-State") != state || string(n.Body()) != frag+"\r\n" ||
		n.Header("Content-Type") != "message/sipfrag;version=2.0" {
		r.t.Errorf("want %s, %s, %q; NOTIFY is %s", event, state, frag, show(n))
	}
	if _, ok := n.Contact(); !ok {
		r.t.Errorf("no Contact: NOTIFY is %s", show(n))
	}
	r.answer(n, 200, "", "")
	return n
}

// TestReferral: the call that a REFER asks for, and what its sender hears of it
// (RFC 3515 §2.4, RFC 3892 §2.2, RFC 3891).
func TestReferral(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob, asked := r.asked()
		ref, _ := bob.refer(asked, "<sip:carol@example.net;method=INVITE?Replaces=1%40x%3Bto-tag%3Da%3Bfrom-tag%3Db&Require=replaces"+
			"&Subject=tea&From=sip:eve%40x&Call-ID=7&Route=%3Csip:eve%3E&Body=x>",
			sip.Field{Name: "Referred-By", Value: `"Bob" <sip:bob@example.com>;cid="1@x"`})
		replaces, ok := ref.Replaces()
		by, named := ref.ReferredBy()
		if !ok || replaces != (sip.Replaces{CallID: "1@x", ToTag: "a", FromTag: "b"}) || !named || by.URI.User != "bob" ||
			ref.Target().URI.User != "carol" || ref.Request().Method() != sip.REFER {
			t.Errorf("asked for %v, %v by %v", ref.Target(), replaces, by)
		}
		r.silence() // nothing happens without consent
		call, err := ref.Accept(r.t.Context(), &session.CallOptions{Handler: r.handler(), Headers: []sip.Field{{Name: "X-A", Value: "b"}}})
		r.must(err)
		r.response(200, sip.REFER) // RFC 7647 §5
		r.told("refer", "active;expires=240", "SIP/2.0 100 Trying")
		invite := r.request(sip.INVITE)
		for name, want := range map[string]string{
			"Replaces": "1@x;to-tag=a;from-tag=b", "Require": "replaces", "Subject": "tea", "X-A": "b",
			"Referred-By": `"Bob" <sip:bob@example.com>;cid="1@x"`,
		} {
			if got := invite.Header(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if invite.URIText() != "sip:carol@example.net" || invite.From().URI.User != "alice" || invite.HasHeader("Route") || invite.CallID() == "7" {
			t.Errorf("INVITE is %s", show(invite))
		}
		time.Sleep(5 * time.Second)
		r.answer(invite, 180, "c", "")
		r.told("refer", "active;expires=235", "SIP/2.0 180 Ringing")
		r.answer(invite, 180, "d", "") // no news
		r.silence()
		r.answer(invite, 200, "c", sdp("carol"))
		messages := r.sent("NOTIFY", "ACK")
		if n := messages[0].(*sip.Request); n.Header("Subscription-State") != "terminated;reason=noresource" || string(n.Body()) != "SIP/2.0 200 OK\r\n" {
			t.Errorf("NOTIFY is %s", show(n))
		}
		r.must(call.WaitAnswered(r.t.Context()))
		if s.State() != session.Confirmed {
			t.Errorf("state %v: the call is its referrer's to end", s.State())
		}
		if _, err := ref.Accept(r.t.Context(), nil); !errors.Is(err, session.ErrState) {
			t.Errorf("second Accept: %v", err)
		}
		if err := ref.Reject(603, nil); !errors.Is(err, session.ErrState) {
			t.Errorf("Reject after Accept: %v", err)
		}
	})
}

// TestReferralThatFails: the last NOTIFY has what the target said, or its like.
func TestReferralThatFails(t *testing.T) {
	for _, tt := range []struct {
		frag string
		end  func(r *rig, call *session.Session, invite *sip.Request)
	}{
		{"SIP/2.0 486 Busy Here", func(r *rig, _ *session.Session, invite *sip.Request) { r.answer(invite, 486, "c", "") }},
		{"SIP/2.0 401 Unauthorized", func(r *rig, _ *session.Session, invite *sip.Request) { // from whom we do not know
			r.answer(invite, 401, "c", "", sip.Field{Name: "WWW-Authenticate", Value: `Digest realm="carol", nonce="n", algorithm=SHA-256, qop="auth"`})
		}},
		{"SIP/2.0 487 Request Terminated", func(r *rig, call *session.Session, _ *sip.Request) {
			start(func() error { return call.Hangup(r.t.Context()) })
		}},
		{"SIP/2.0 408 Request Timeout", func(r *rig, _ *session.Session, invite *sip.Request) {
			r.answer(invite, 100, "", "")
			time.Sleep(3*time.Minute + 1)
		}},
		{"SIP/2.0 408 Request Timeout", func(*rig, *session.Session, *sip.Request) { time.Sleep(32*time.Second + 1) }}, // Timer B
	} {
		t.Run(tt.frag, func(t *testing.T) {
			bubble(t, func(r *rig) {
				_, bob, asked := r.asked()
				call, invite := bob.follow(asked)
				tt.end(r, call, invite)
				for {
					m := r.next()
					if n, ok := m.(*sip.Request); ok && n.Method() == sip.NOTIFY {
						if n.Header("Subscription-State") != "terminated;reason=noresource" || string(n.Body()) != tt.frag+"\r\n" {
							t.Errorf("NOTIFY is %s", show(n))
						}
						return
					} else if m == nil {
						t.Fatal("no NOTIFY")
					}
				}
			})
		})
	}
}

// TestRefusedReferral: what we do not do, and what nobody consents to.
func TestRefusedReferral(t *testing.T) {
	two := []sip.Field{{Name: "Refer-To", Value: "<sip:a@b>"}, {Name: "Refer-To", Value: "<sip:c@d>"}}
	for _, tt := range []struct {
		name   string
		fields []sip.Field
		want   sip.StatusCode
	}{
		{"none", nil, 400},
		{"two", two, 400},
		{"list", referTo("<sip:a@b>, <sip:c@d>"), 400},
		{"garbage", referTo("<sip:>"), 400},
		{"sips", referTo("<sips:carol@example.net>"), 416},
		{"web page", referTo("<http://example.net/>"), 416},
		{"method", referTo("<sip:carol@example.net;method=BYE>"), 403},
		{"Replaces", referTo("<sip:carol@example.net?Replaces=x>"), 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				s, bob, asked := r.asked()
				bob.send(sip.REFER, "", tt.fields...)
				r.response(tt.want, sip.REFER)
				r.silence()
				if len(asked) != 0 || s.State() != session.Confirmed {
					t.Error("somebody was asked, or the call is over")
				}
			})
		})
	}
	t.Run("nobody to ask", func(t *testing.T) {
		bubble(t, func(r *rig) {
			_, bob := r.talk("b")
			bob.send(sip.REFER, "", referTo("<sip:x@y.z>")...)
			r.response(603, sip.REFER)
			carol := r.caller()
			carol.send(sip.REFER, "", referTo("<sip:x@y.z>")...)
			r.response(603, sip.REFER)
		})
	})
	t.Run("before the answer", func(t *testing.T) {
		bubble(t, func(r *rig) {
			bob := r.caller()
			bob.ring(sdp("bob"))
			bob.send(sip.REFER, "", referTo("<sip:x@y.z>")...)
			r.response(403, sip.REFER)
		})
	})
}

// TestReferralDecision comes when it comes, as long as the REFER waits.
func TestReferralDecision(t *testing.T) {
	t.Run("no", func(t *testing.T) {
		bubble(t, func(r *rig) {
			_, bob, asked := r.asked()
			ref, _ := bob.refer(asked, "<sip:carol@example.net>")
			time.Sleep(20 * time.Second)
			if err := ref.Reject(200, nil); !errors.Is(err, session.ErrState) {
				t.Errorf("Reject(200): %v", err)
			}
			r.must(ref.Reject(603, &session.RejectOptions{Reason: "Not now"}))
			if res := r.response(603, sip.REFER); res.Reason() != "Not now" {
				t.Errorf("603 is %s", show(res))
			}
			if _, err := ref.Accept(r.t.Context(), nil); !errors.Is(err, session.ErrState) {
				t.Errorf("Accept: %v", err)
			}
			<-ref.Context().Done()
			r.silence() // refused before anything was accepted: no NOTIFY
		})
	})
	t.Run("none", func(t *testing.T) {
		bubble(t, func(r *rig) {
			_, bob, asked := r.asked()
			ref, _ := bob.refer(asked, "<sip:carol@example.net>")
			time.Sleep(25*time.Second - 1)
			r.sent()
			time.Sleep(time.Second)
			r.response(480, sip.REFER)
			if _, err := ref.Accept(r.t.Context(), nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Accept: %v", err)
			}
		})
	})
	t.Run("call over", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, bob, asked := r.asked()
			ref, _ := bob.refer(asked, "<sip:carol@example.net>")
			bob.send(sip.BYE, "")
			r.sent("200 BYE", "487 REFER")
			if _, err := ref.Accept(r.t.Context(), nil); err == nil || !errors.Is(err, context.Cause(s.Context())) {
				t.Errorf("Accept: %v", err)
			}
		})
	})
	t.Run("call that cannot be made", func(t *testing.T) {
		bubbleWith(t, session.Options{MaxCalls: 1}, func(r *rig) {
			_, bob, asked := r.asked()
			ref, _ := bob.refer(asked, "<sip:carol@example.net>")
			if _, err := ref.Accept(r.t.Context(), nil); !errors.Is(err, session.ErrTooManyCalls) {
				t.Errorf("Accept: %v", err)
			}
			r.silence()
			r.must(ref.Reject(486, nil))
			r.response(486, sip.REFER)
		})
	})
}

// TestReferralWithoutSubscription: RFC 4488 §4.
func TestReferralWithoutSubscription(t *testing.T) {
	bubble(t, func(r *rig) {
		_, bob, asked := r.asked()
		ref, _ := bob.refer(asked, "<sip:carol@example.net>", sip.Field{Name: "Refer-Sub", Value: "false"},
			sip.Field{Name: "Require", Value: "norefersub"})
		_, err := ref.Accept(r.t.Context(), nil)
		r.must(err)
		if res := r.response(200, sip.REFER); res.Header("Refer-Sub") != "false" {
			t.Errorf("200 is %s", show(res))
		}
		r.answer(r.request(sip.INVITE), 180, "c", "")
		r.silence()
	})
}

// TestSecondReferral has an id, by which each subscription goes its own way
// (RFC 3515 §2.4.6), is refreshed and given up (§2.4.4).
func TestSecondReferral(t *testing.T) {
	bubble(t, func(r *rig) {
		_, bob, asked := r.asked()
		subscribe := func(event, expires string, want sip.StatusCode) *sip.Response {
			t.Helper()
			bob.send(sip.SUBSCRIBE, "", sip.Field{Name: "Event", Value: event}, sip.Field{Name: "Expires", Value: expires})
			return r.response(want, sip.SUBSCRIBE)
		}
		subscribe("refer", "60", 403) // only a REFER makes one
		subscribe("presence", "60", 489)
		var invites []*sip.Request
		var ids []string
		for i := range 2 {
			ref, req := bob.refer(asked, "<sip:carol@example.net>")
			_, err := ref.Accept(r.t.Context(), nil)
			r.must(err)
			r.response(200, sip.REFER)
			ids = append(ids, fmt.Sprintf("refer;id=%d", req.CSeq().Seq))
			r.told([]string{"refer", ids[i]}[i], "active;expires=240", "SIP/2.0 100 Trying")
			invites = append(invites, r.request(sip.INVITE))
		}
		time.Sleep(10 * time.Second)
		if res := subscribe(ids[1], "100", 200); res.Header("Expires") != "100" {
			t.Errorf("200 is %s", show(res))
		}
		r.told(ids[1], "active;expires=100", "SIP/2.0 100 Trying")
		subscribe(ids[1], "100000", 200)
		r.told(ids[1], "active;expires=240", "SIP/2.0 100 Trying")
		subscribe("refer", "0", 200)
		r.told("refer", "terminated;reason=timeout", "SIP/2.0 100 Trying")
		subscribe("refer", "0", 403)
		r.answer(invites[0], 180, "c", "")
		r.silence() // the call goes on, unheard
		time.Sleep(time.Second)
		r.answer(invites[1], 183, "c", "")
		r.told(ids[1], "active;expires=239", "SIP/2.0 183 Session Progress")
	})
}

// TestNotifyRefused: a far end that does not know the subscription has none any
// more, one that cannot be reached now hears of it later (RFC 6665 §4.2.2). The
// calls go on.
func TestNotifyRefused(t *testing.T) {
	for _, tt := range []struct {
		code  sip.StatusCode
		again bool
	}{{481, false}, {489, false}, {480, true}, {500, false}} {
		t.Run(fmt.Sprint(int(tt.code)), func(t *testing.T) {
			bubble(t, func(r *rig) {
				s, bob, asked := r.asked()
				ref, _ := bob.refer(asked, "<sip:carol@example.net>")
				call, err := ref.Accept(r.t.Context(), nil)
				r.must(err)
				r.response(200, sip.REFER)
				r.answer(r.request(sip.NOTIFY), tt.code, "", "")
				invite := r.request(sip.INVITE)
				time.Sleep(2 * time.Second)
				if tt.again {
					r.told("refer", "active;expires=240", "SIP/2.0 100 Trying") // within a second
				}
				r.answer(invite, 180, "c", "")
				if tt.again || tt.code == 500 {
					r.told("refer", "active;expires=238", "SIP/2.0 180 Ringing")
				} else {
					r.silence()
				}
				if s.State() != session.Confirmed || call.State() != session.Early {
					t.Errorf("states %v, %v", s.State(), call.State())
				}
			})
		})
	}
}

// follow has the far end refer us to carol and us call her; it returns that call
// and its INVITE.
func (p *peer) follow(asked chan *session.Referral) (*session.Session, *sip.Request) {
	r := p.r
	r.t.Helper()
	ref, _ := p.refer(asked, "<sip:carol@example.net>")
	call, err := ref.Accept(r.t.Context(), nil)
	r.must(err)
	r.response(200, sip.REFER)
	r.told("refer", "active;expires=240", "SIP/2.0 100 Trying")
	return call, r.request(sip.INVITE)
}

// TestReferralNewsKeepTheirDistance of a second (RFC 3515 §3.10), the outcome
// does not.
func TestReferralNewsKeepTheirDistance(t *testing.T) {
	bubble(t, func(r *rig) {
		_, bob, asked := r.asked()
		_, invite := bob.follow(asked)
		r.answer(invite, 181, "", "")
		r.answer(invite, 180, "c", "")
		r.silence()
		time.Sleep(time.Second)
		r.told("refer", "active;expires=239", "SIP/2.0 180 Ringing")
		r.answer(invite, 183, "c", "")
		r.answer(invite, 486, "c", "")
		r.request(sip.ACK)
		r.told("refer", "terminated;reason=noresource", "SIP/2.0 486 Busy Here")
		time.Sleep(time.Minute)
		r.silence()
	})
}

// TestReferralLapses when the call takes longer than the subscription lasts.
func TestReferralLapses(t *testing.T) {
	bubble(t, func(r *rig) {
		_, bob, asked := r.asked()
		call, invite := bob.follow(asked)
		bob.send(sip.SUBSCRIBE, "", sip.Field{Name: "Event", Value: "refer"}, sip.Field{Name: "Expires", Value: "30"})
		r.response(200, sip.SUBSCRIBE)
		r.told("refer", "active;expires=30", "SIP/2.0 100 Trying")
		r.answer(invite, 100, "", "")
		time.Sleep(30*time.Second + 1)
		r.told("refer", "terminated;reason=timeout", "SIP/2.0 100 Trying")
		r.answer(invite, 200, "c", sdp("carol"))
		r.request(sip.ACK)
		r.silence()
		r.must(call.WaitAnswered(r.t.Context()))
	})
}

// TestReferralOutlivesTheCall: the far end may hang up as soon as we agree, and
// hears what comes of it all the same (RFC 5057 §5.1).
func TestReferralOutlivesTheCall(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob, asked := r.asked()
		_, invite := bob.follow(asked)
		bob.send(sip.BYE, "")
		r.response(200, sip.BYE)
		r.ended(s, session.EndBye, true)
		time.Sleep(10 * time.Second)
		r.answer(invite, 180, "c", "")
		n := r.told("refer", "active;expires=230", "SIP/2.0 180 Ringing")
		if n.CallID() != bob.callID || n.To().Tag() != "b" {
			t.Errorf("NOTIFY is %s", show(n))
		}
		bob.send(sip.SUBSCRIBE, "", sip.Field{Name: "Event", Value: "refer"})
		r.response(200, sip.SUBSCRIBE)
		r.told("refer", "active;expires=240", "SIP/2.0 180 Ringing")
		r.answer(invite, 603, "c", "")
		r.request(sip.ACK)
		if r.dialogs(bob) != 1 {
			t.Error("the dialog ended before its last NOTIFY was answered")
		}
		r.told("refer", "terminated;reason=noresource", "SIP/2.0 603 Decline")
		if r.dialogs(bob) != 0 {
			t.Error("the dialog is left")
		}
	})
}

// TestReferralOutsideOfCalls makes a dialog of its own; one that names the dialog
// of a call is as good as one inside it (RFC 4538 §4, RFC 7647 §4).
func TestReferralOutsideOfCalls(t *testing.T) {
	t.Run("of nobody's call", func(t *testing.T) {
		asked := make(chan *session.Referral, 1)
		bubbleWith(t, session.Options{Refer: func(ref *session.Referral) { asked <- ref }}, func(r *rig) {
			asked = make(chan *session.Referral, 1)
			bob := r.caller()
			ref, _ := bob.refer(asked, "<sip:carol@example.net>")
			if ref.Session() != nil {
				t.Error("there is no call")
			}
			_, err := ref.Accept(r.t.Context(), nil)
			r.must(err)
			ok := r.response(200, sip.REFER)
			if _, has := ok.Contact(); !has {
				t.Errorf("200 is %s", show(ok))
			}
			bob.remote = ok.To()
			n := r.told("refer", "active;expires=240", "SIP/2.0 100 Trying")
			if n.To().Tag() != "bobtag" || n.From().Tag() != bob.remote.Tag() || n.CallID() != bob.callID {
				t.Errorf("NOTIFY is %s", show(n))
			}
			invite := r.request(sip.INVITE)
			bob.send(sip.BYE, "")
			r.response(481, sip.BYE) // there is no call in that dialog
			second, req := bob.refer(asked, "<sip:dave@example.net>")
			r.must(second.Reject(603, nil))
			r.response(603, sip.REFER)
			_ = req
			r.answer(invite, 404, "c", "")
			r.request(sip.ACK)
			r.told("refer", "terminated;reason=noresource", "SIP/2.0 404 Not Found")
			if r.dialogs(bob) != 0 {
				t.Error("the dialog is left")
			}
		})
	})
	t.Run("of a call", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, bob, asked := r.asked()
			outside := r.caller()
			id := s.Dialog()
			ref, _ := outside.refer(asked, "<sip:carol@example.net>", sip.Field{Name: "Require", Value: "tdialog"},
				sip.Field{Name: "Target-Dialog", Value: id.CallID + ";local-tag=" + id.LocalTag + ";remote-tag=" + id.RemoteTag})
			if ref.Session() != s {
				t.Error("not the call that it names")
			}
			r.must(ref.Reject(603, nil))
			r.response(603, sip.REFER)
			outside = r.caller()
			outside.send(sip.REFER, "", referTo("<sip:carol@example.net>", sip.Field{Name: "Target-Dialog", Value: "x;local-tag=y;remote-tag=z"})...)
			r.response(603, sip.REFER) // and nobody to ask
			_ = bob
		})
	})
	t.Run("subscription", func(t *testing.T) {
		bubble(t, func(r *rig) {
			bob := r.caller()
			bob.send(sip.SUBSCRIBE, "", sip.Field{Name: "Event", Value: "refer"})
			r.response(403, sip.SUBSCRIBE)
			bob.send(sip.SUBSCRIBE, "", sip.Field{Name: "Event", Value: "presence"})
			if res := r.response(489, sip.SUBSCRIBE); !strings.Contains(res.Header("Allow-Events"), "refer") {
				t.Errorf("489 is %s", show(res))
			}
		})
	})
}
