package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// checkNameless checks that a message of an anonymous call names neither us nor
// what we run on.
func checkNameless(t *testing.T, m sip.Message) {
	t.Helper()
	text := show(m)
	for _, tell := range []string{"sip:alice@example.com>;tag", "sip:c@ua.invalid", "User-Agent", "Server:", "sip.instance", "Alice"} {
		if strings.Contains(text, tell) {
			t.Errorf("%q is told by\n%s", tell, text)
		}
	}
}

// TestAnonymousCallNamesNobody, from the INVITE to the BYE and in our answers
// (RFC 3323 §4.1).
func TestAnonymousCallNamesNobody(t *testing.T) {
	for _, gruu := range []bool{false, true} {
		bubble(t, func(r *rig) {
			contact := "<sip:anonymous@anonymous.invalid;transport=ws;ob>"
			if gruu {
				contact = "<sip:tgruu.1@example.com;gr>"
				r.core.Lock()
				r.core.SetGRUU(sip.URI{Scheme: "sip", User: "alice", Host: "example.com", Params: ";gr=urn:uuid:1"},
					sip.URI{Scheme: "sip", User: "tgruu.1", Host: "example.com", Params: ";gr"})
				r.core.Unlock()
			}
			s, invite := r.dial(&session.CallOptions{Anonymous: session.Anonymous})
			if got := invite.Header("From"); !strings.HasPrefix(got, `"Anonymous" <sip:anonymous@anonymous.invalid>;tag=`) {
				t.Errorf("From %s", got)
			}
			if got := invite.Header("Contact"); got != contact {
				t.Errorf("Contact %s, want %s", got, contact)
			}
			if invite.Header("Privacy") != "id" || invite.Header("P-Preferred-Identity") != "<sip:alice@example.com>" {
				t.Errorf("INVITE is\n%s", show(invite))
			}
			checkNameless(t, invite)
			r.answer(invite, 200, "b", sdp("bob"))
			checkNameless(t, r.request(sip.ACK))
			r.must(s.WaitAnswered(context.Background()))
			if got := s.LocalIdentity().URI.Host; got != "anonymous.invalid" {
				t.Errorf("we are at %s", got)
			}
			bob := r.called(invite, "b")

			go s.Hold(context.Background())
			again := r.request(sip.INVITE)
			checkNameless(t, again)
			if again.Header("Contact") != contact || again.Header("Privacy") != "id" {
				t.Errorf("re-INVITE is\n%s", show(again))
			}
			r.answer(again, 200, "", sdp("bob"))
			checkNameless(t, r.request(sip.ACK))

			bob.send(sip.INVITE, sdp("bob2"))
			ok := r.response(200, sip.INVITE)
			checkNameless(t, ok)
			if ok.Header("Contact") != contact {
				t.Errorf("200 is\n%s", show(ok))
			}
			bob.send(sip.ACK, "")

			go s.SendInfo(context.Background(), "text/plain", []byte("x"), nil)
			info := r.request(sip.INFO)
			checkNameless(t, info)
			r.answer(info, 200, "", "")

			go s.Hangup(context.Background())
			bye := r.request(sip.BYE)
			checkNameless(t, bye)
			r.answer(bye, 200, "", "")
		})
	}
}

// TestAnonymousCallerNamesNobodyInAnyMethod has what else a caller sends in a
// call, from the PRACK on.
func TestAnonymousCallerNamesNobodyInAnyMethod(t *testing.T) {
	for _, x := range sendings() {
		bubble(t, func(r *rig) {
			s, invite := r.dial(&session.CallOptions{Anonymous: session.Anonymous})
			check := func(req *sip.Request) {
				t.Helper()
				checkNameless(t, req)
				if strings.Contains(show(req), "alice") {
					t.Errorf("%s is\n%s", req.Method(), show(req))
				}
			}
			r.answer(invite, 183, "b", "", reliable(1)...)
			check(r.prack(invite, 1, ""))
			r.answer(invite, 200, "b", sdp("bob"), updates)
			r.request(sip.ACK)
			r.must(s.WaitAnswered(context.Background()))
			result := start(func() error { return x.send(context.Background(), s) })
			req := r.request(x.method)
			check(req)
			r.refuse(req, 403)
			if err := <-result; !errors.Is(err, sip.StatusForbidden) {
				t.Errorf("%s: %v", x.method, err)
			}
		})
	}
}

func TestAnonymousCallIsCanceledAnonymously(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(&session.CallOptions{Anonymous: session.Anonymous})
		r.answer(invite, 180, "b", "")
		go s.Hangup(context.Background())
		cancel := r.request(sip.CANCEL)
		checkNameless(t, cancel)
		r.answer(cancel, 200, "", "")
		r.answer(invite, 487, "b", "")
		checkNameless(t, r.request(sip.ACK))
	})
}

// hidden is a factory that can keep our addresses back, or not.
type hidden struct {
	*studio
	relay session.MediaFactory
	err   error
}

func (h hidden) RelayOnly() (session.MediaFactory, error) { return h.relay, h.err }

func TestFullAnonymityNeedsARelay(t *testing.T) {
	full := &session.CallOptions{Anonymous: session.AnonymousFull}
	bubble(t, func(r *rig) {
		if _, err := r.calls.Invite(context.Background(), "bob", full); !errors.Is(err, session.ErrNoRelay) {
			t.Errorf("media that cannot hide: %v", err)
		}
		if n := len(r.calls.Sessions()); n != 0 {
			t.Errorf("%d calls are left", n)
		}
		r.silence()
	})
	none, relay := &studio{}, &studio{}
	bubbleWith(t, session.Options{Media: hidden{studio: none, err: session.ErrNoRelay}}, func(r *rig) {
		if _, err := r.calls.Call(context.Background(), "bob", full); !errors.Is(err, session.ErrNoRelay) {
			t.Errorf("media without a relay: %v", err)
		}
	})
	bubbleWith(t, session.Options{Media: hidden{studio: none, relay: relay}}, func(r *rig) {
		_, invite := r.dial(full)
		checkNameless(t, invite)
	})
	if len(none.made) != 0 || len(relay.made) != 1 {
		t.Errorf("%d media in the open, %d behind a relay", len(none.made), len(relay.made))
	}
}

// TestWhoCalls: the identities that a caller can choose.
func TestWhoCalls(t *testing.T) {
	bubble(t, func(r *rig) {
		desk := sip.NameAddr{Display: "The Desk", URI: sip.URI{Scheme: "sip", User: "desk", Host: "example.org"}}
		s, invite := r.dial(&session.CallOptions{
			From: desk, ToDisplayName: `Bob "B"`,
			PreferredIdentity: sip.NameAddr{URI: sip.URI{Scheme: "tel", User: "+15551234"}},
			Headers:           []sip.Field{{Name: "P-Asserted-Identity", Value: "<sip:gw@example.com>"}},
		})
		if from := invite.From(); from.Display != "The Desk" || from.URI != desk.URI || from.Tag() == "" {
			t.Errorf("From %s", from)
		}
		if got := invite.Header("To"); got != `"Bob \"B\"" <sip:bob@example.com>` {
			t.Errorf("To %s", got)
		}
		if got := invite.Header("P-Preferred-Identity"); got != "<tel:+15551234>" {
			t.Errorf("P-Preferred-Identity %s", got)
		}
		if got := invite.AssertedIdentity(); len(got) != 1 || got[0].URI.User != "gw" {
			t.Errorf("P-Asserted-Identity %v", got)
		}
		if invite.HasHeader("Privacy") || s.RemoteIdentity().Display != `Bob "B"` {
			t.Errorf("INVITE is\n%s", show(invite))
		}
	})
	bubble(t, func(r *rig) { // a provider that wants its own domain there
		own := sip.NameAddr{Display: "Anonymous", URI: sip.URI{Scheme: "sip", User: "anonymous", Host: "example.com"}}
		_, invite := r.dial(&session.CallOptions{From: own, Anonymous: session.Anonymous,
			Headers: []sip.Field{{Name: "Privacy", Value: "id;critical"}}})
		if invite.From().URI != own.URI || strings.Join(invite.Headers("Privacy"), ",") != "id;critical" {
			t.Errorf("INVITE is\n%s", show(invite))
		}
	})
}

// TestCallerThatWantsToStayUnknown: RFC 3323 §4.1.1.3, §4.2.
func TestCallerThatWantsToStayUnknown(t *testing.T) {
	for _, tt := range []struct {
		from, privacy string
		want          bool
	}{
		{"sip:bob@example.com", "", false},
		{"sip:bob@example.com", "none", false},
		{"sip:bob@example.com", "history", false},
		{"sip:bob@example.com", "id", true},
		{"sip:bob@example.com", "Critical; ID", true},
		{"sip:bob@example.com", "user", true},
		{"sip:bob@example.com", "header;session", true},
		{"sip:x@Anonymous.Invalid", "", true},
		{"sip:Anonymous@example.com", "", true},
	} {
		bubble(t, func(r *rig) {
			bob := r.caller()
			uri, err := sip.ParseURI(tt.from)
			r.must(err)
			bob.local.URI = uri
			var fields []sip.Field
			if tt.privacy != "" {
				fields = append(fields, sip.Field{Name: "Privacy", Value: tt.privacy})
			}
			in, _ := bob.ring(sdp("bob"), fields...)
			if got := in.Anonymous(); got != tt.want {
				t.Errorf("From %s, Privacy %q: %v", tt.from, tt.privacy, got)
			}
		})
	}
}

// TestOurInviteExpires: RFC 3261 §13.2.1; with the answer the limit is gone.
func TestOurInviteExpires(t *testing.T) {
	o := &session.CallOptions{Expires: 20 * time.Second}
	bubble(t, func(r *rig) {
		s, invite := r.dial(o)
		if n, ok := invite.Expires(); n != 20 || !ok {
			t.Errorf("Expires %d %v", n, ok)
		}
		r.answer(invite, 180, "b", "")
		time.Sleep(20*time.Second - time.Nanosecond)
		r.silence()
		time.Sleep(time.Nanosecond)
		r.answer(r.request(sip.CANCEL), 200, "", "")
		r.answer(invite, 487, "b", "")
		r.request(sip.ACK)
		var timeout *sip.TimeoutError
		if end := r.ended(s, session.EndExpired, false); end.Cause() != "Expires" || !errors.As(end, &timeout) || timeout.Timer != "Expires" {
			t.Errorf("%v, cause %s", end, end.Cause())
		}
	})
	bubble(t, func(r *rig) { // the far end gives up first
		s, invite := r.dial(o)
		r.answer(invite, 487, "b", "")
		r.request(sip.ACK)
		if end := r.ended(s, session.EndExpired, true); end.Status != 487 || end.Cause() != "Expires" {
			t.Errorf("%v, cause %s", end, end.Cause())
		}
	})
	bubble(t, func(r *rig) {
		s, invite := r.dial(o)
		r.answer(invite, 200, "b", sdp("bob"))
		r.request(sip.ACK)
		time.Sleep(time.Minute)
		r.silence()
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
	})
	bubble(t, func(r *rig) {
		for _, d := range []time.Duration{-time.Second, time.Millisecond, 1500 * time.Millisecond} {
			if _, err := r.calls.Invite(context.Background(), "bob", &session.CallOptions{Expires: d}); err == nil {
				t.Errorf("Expires of %v is taken", d)
			}
		}
	})
}

// TestTargetWithHeaders: what informs goes into the INVITE, what would change
// who calls, where or how, does not (RFC 3261 §19.1.5).
func TestTargetWithHeaders(t *testing.T) {
	bubble(t, func(r *rig) {
		target := "sip:bob@example.com;method=BYE;x=y?Subject=Lunch%20at%20noon&s=two&X-Order=7&From=%3Csip:evil%40h%3E&Route=%3Csip:evil%3E" +
			"&Contact=%3Csip:evil%40h%3E&Require=magic&body=x&Replaces=a&Authorization=x&P-Asserted-Identity=%3Csip:boss%40h%3E&Call-Info=a%0D%0AX-Evil:1"
		_, err := r.calls.Invite(context.Background(), target, &session.CallOptions{Headers: []sip.Field{{Name: "x-order", Value: "8"}}})
		r.must(err)
		invite := r.request(sip.INVITE)
		if got := invite.URIText(); got != "sip:bob@example.com;x=y" {
			t.Errorf("Request-URI %s", got)
		}
		if got := invite.To().URI.String(); got != "sip:bob@example.com;x=y" {
			t.Errorf("To %s", got)
		}
		if got := strings.Join(invite.Headers("Subject"), "|"); got != "Lunch at noon" {
			t.Errorf("Subject %q", got)
		}
		if got := strings.Join(invite.Headers("X-Order"), "|"); got != "8" {
			t.Errorf("X-Order %q", got)
		}
		if strings.Contains(strings.ToLower(show(invite)), "evil") || strings.Contains(show(invite), "boss") ||
			invite.HasHeader("Require") || invite.HasHeader("Replaces") || invite.HasHeader("Authorization") {
			t.Errorf("INVITE is\n%s", show(invite))
		}
	})
}
