package session_test

import (
	"context"
	"strings"
	"testing"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// pai is a P-Asserted-Identity.
func pai(value string) sip.Field { return sip.Field{Name: "P-Asserted-Identity", Value: value} }

// TestIdentityThatChanges is told each time, and only then: by a provisional
// response, the answer, and inside the call (RFC 3325 §9.1, RFC 4916).
func TestIdentityThatChanges(t *testing.T) {
	bubble(t, func(r *rig) {
		h := &session.Handler{Identity: func(_ *session.Session, id session.Identity) {
			r.note("%s, asserted %s", id.Remote.WithTag(""), texts(id.Asserted))
		}}
		s, invite := r.dial(&session.CallOptions{Handler: h})
		r.answer(invite, 180, "b", "", pai(`"Bob" <sip:bob@example.com>`))
		r.answer(invite, 180, "b", "", pai(`"Bob" <sip:bob@example.com>`))
		r.answer(invite, 183, "b", "")
		r.seen(`<sip:bob@example.com>, asserted "Bob" <sip:bob@example.com>`)
		r.answer(invite, 200, "b", sdp("bob"), pai(`"Carol" <sip:carol@example.com>, <oops`), pai("<tel:+15551234>"))
		r.request(sip.ACK)
		r.must(s.WaitAnswered(context.Background()))
		r.seen(`<sip:bob@example.com>, asserted "Carol" <sip:carol@example.com> <tel:+15551234>`)

		bob := r.called(invite, "b")
		bob.send(sip.UPDATE, "", pai("<sip:dave@example.com>"))
		r.response(200, sip.UPDATE)
		r.seen(`<sip:bob@example.com>, asserted <sip:dave@example.com>`)
		bob.local.Display = "Erin"
		bob.local.URI.User = "erin"
		bob.send(sip.INVITE, sdp("erin"))
		r.response(200, sip.INVITE)
		bob.send(sip.ACK, "")
		r.seen(`"Erin" <sip:erin@example.com>, asserted <sip:dave@example.com>`)
		if s.RemoteIdentity().URI.User != "erin" || texts(s.AssertedIdentity()) != "<sip:dave@example.com>" {
			t.Errorf("%v, %v", s.RemoteIdentity(), s.AssertedIdentity())
		}
		go s.Hold(context.Background())
		r.answer(r.request(sip.INVITE), 200, "", sdp("erin"), pai("<sip:frank@example.com>"))
		r.request(sip.ACK)
		r.seen(`"Erin" <sip:erin@example.com>, asserted <sip:frank@example.com>`)
		bob.send(sip.INFO, "", pai("<sip:nobody@example.com>")) // not a request that identifies
		r.response(200, sip.INFO)
		r.seen()
	})
}

// TestIdentityOfAnIncomingCall is there from the start, and no event.
func TestIdentityOfAnIncomingCall(t *testing.T) {
	bubbleWith(t, session.Options{Handler: session.Handler{Identity: func(*session.Session, session.Identity) { t.Error("an event") }}}, func(r *rig) {
		in, _ := r.caller().ring(sdp("bob"), pai("<sip:bob@example.com>, <oops"), pai("tel:+15551234"))
		if got := texts(in.AssertedIdentity()); got != "<sip:bob@example.com> <tel:+15551234>" {
			t.Errorf("asserted %s", got)
		}
	})
}

// TestWhatACallCarries: what its INVITE tells of its way and its purpose.
func TestWhatACallCarries(t *testing.T) {
	fields := []sip.Field{
		{Name: "History-Info", Value: "<sip:sales@example.com>;index=1, <sip:bob@example.com?Reason=SIP%3Bcause%3D302>;index=1.1;mp=1"},
		{Name: "Diversion", Value: "<sip:sales@example.com>;reason=no-answer, <oops"},
		{Name: "Alert-Info", Value: "<urn:alert:source:external>, <http://example.com/ring.wav>;info=x"},
		{Name: "Call-Info", Value: "<http://example.com/bob.png>;purpose=icon"},
		{Name: "s", Value: "Lunch, at noon"},
	}
	check := func(t *testing.T, of interface {
		HistoryInfo() []sip.HistoryEntry
		Diversions() []sip.Diversion
		AlertInfo() []string
		CallInfo() []string
		Subject() string
	}) {
		t.Helper()
		if h := of.HistoryInfo(); len(h) != 2 || h[1].Index() != "1.1" || h[1].Reasons()[0].Cause != 302 {
			t.Errorf("History-Info %v", h)
		}
		if d := of.Diversions(); len(d) != 1 || d[0].Reason() != "no-answer" {
			t.Errorf("Diversion %v", d)
		}
		if got := strings.Join(of.AlertInfo(), " "); got != "<urn:alert:source:external> <http://example.com/ring.wav>;info=x" {
			t.Errorf("Alert-Info %s", got)
		}
		if got := strings.Join(of.CallInfo(), " "); got != "<http://example.com/bob.png>;purpose=icon" || of.Subject() != "Lunch, at noon" {
			t.Errorf("Call-Info %s, Subject %s", got, of.Subject())
		}
	}
	bubble(t, func(r *rig) {
		in, _ := r.caller().ring(sdp("bob"), fields...)
		check(t, in)
		check(t, in.Session())
		if in.Session().Response() != nil {
			t.Error("a call that came in has a response")
		}
	})
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		if s.Subject() != "" || s.HistoryInfo() != nil || s.Response() != nil {
			t.Error("nobody has said anything")
		}
		r.answer(invite, 100, "", "", fields...)
		if s.Response() != nil {
			t.Error("a 100 is no response of the far end")
		}
		r.answer(invite, 180, "b", "", fields...)
		check(t, s)
		r.answer(invite, 200, "b", sdp("bob"), sip.Field{Name: "X-App", Value: "1"})
		r.request(sip.ACK)
		if s.Response().StatusCode() != 200 || s.Response().Header("X-App") != "1" {
			t.Errorf("response %v", s.Response())
		}
	})
}

// TestSecondCallIsTheApplicationsToTake: call waiting is nobody else's business.
func TestSecondCallIsTheApplicationsToTake(t *testing.T) {
	bubble(t, func(r *rig) {
		first, _ := r.hosted()
		carol := r.caller()
		carol.local.URI.User, carol.local = "carol", carol.local.WithTag("caroltag")
		in, _ := carol.ring(sdp("carol"))
		second, _ := r.answerCall(in)
		carol.send(sip.ACK, "")
		if first.State() != session.Confirmed || second.State() != session.Confirmed || len(r.calls.Sessions()) != 2 {
			t.Errorf("states %v and %v", first.State(), second.State())
		}
		dave := r.caller()
		dave.local = dave.local.WithTag("davetag")
		third, _ := dave.ring(sdp("dave"))
		r.must(third.Reject(sip.StatusBusyHere, nil))
		r.response(486, sip.INVITE)
		if first.State() != session.Confirmed || second.State() != session.Confirmed {
			t.Errorf("states %v and %v", first.State(), second.State())
		}
	})
}

// TestOfferWithHoldAndHeaders: hold by UPDATE or re-INVITE, with fields of the
// application's.
func TestOfferWithHoldAndHeaders(t *testing.T) {
	for _, update := range []bool{false, true} {
		bubble(t, func(r *rig) {
			s, _ := r.talk("b")
			method := sip.INVITE
			if update {
				method = sip.UPDATE
			}
			offer := func(hold session.HoldChange, want string, held bool) {
				t.Helper()
				result := make(chan error, 1)
				go func() {
					result <- s.Renegotiate(context.Background(), &session.RenegotiateOptions{UseUpdate: update, Hold: hold, Headers: twice})
				}()
				req := r.request(method)
				checkTwice(t, req)
				if got := nameOf(req.Body()); got != want {
					t.Errorf("offer %s, want %s", got, want)
				}
				r.answer(req, 200, "", sdp("bob"))
				if !update {
					r.request(sip.ACK)
				}
				r.must(<-result)
				if s.Held().Local != held {
					t.Errorf("held %+v", s.Held())
				}
			}
			offer(session.HoldOn, "offer1.2-hold", true)
			offer(session.HoldAsIs, "offer1.3-hold", true)
			offer(session.HoldOff, "offer1.4", false)
			own := []sip.Field{{Name: "To", Value: "<sip:x@y>"}}
			if err := s.Renegotiate(context.Background(), &session.RenegotiateOptions{Headers: own}); err == nil {
				t.Error("a To of the application's is taken")
			}
			if err := s.SendMessage(context.Background(), "", []byte("x"), own...); err == nil {
				t.Error("a To of the application's is taken")
			}
			go s.SendMessage(context.Background(), "", []byte("x"), twice...)
			message := r.request(sip.MESSAGE)
			checkTwice(t, message)
			r.answer(message, 200, "", "")
		})
	}
}
