package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// twice is a field that an application has two of.
var twice = []sip.Field{{Name: "X-App", Value: "one"}, {Name: "x-app", Value: "two"}}

func checkTwice(t *testing.T, m interface {
	sip.Message
	Headers(string) []string
}) {
	t.Helper()
	if got := strings.Join(m.Headers("X-App"), ","); got != "one,two" {
		t.Errorf("X-App is %q in\n%s", got, show(m))
	}
}

func TestRedirectToSeveral(t *testing.T) {
	bubble(t, func(r *rig) {
		in, _ := r.caller().ring(sdp("bob"))
		carol := sip.NameAddr{Display: "Carol", URI: sip.URI{Scheme: "sip", User: "carol", Host: "example.com"}, Params: ";q=0.7"}
		dave := sip.NameAddr{URI: sip.URI{Scheme: "tel", User: "+15551234"}}
		r.must(in.RedirectWith(&session.RedirectOptions{Code: 300, Reason: "Take Your Pick", Diversion: "user-busy", Headers: twice}, carol, dave))
		res := r.response(300, sip.INVITE)
		if got := strings.Join(res.Headers("Contact"), ", "); got != `"Carol" <sip:carol@example.com>;q=0.7, <tel:+15551234>` {
			t.Errorf("Contact %s", got)
		}
		if d := res.Diversions(); len(d) != 1 || d[0].Reason() != "user-busy" || d[0].Address.URI.User != "alice" || res.Reason() != "Take Your Pick" {
			t.Errorf("300 is\n%s", show(res))
		}
		checkTwice(t, res)
		if end := r.ended(in, session.EndRejected, false); end.Status != 300 || end.Cause() != "Rejected" {
			t.Errorf("%+v, cause %s", end, end.Cause())
		}
	})
	bubble(t, func(r *rig) {
		in, _ := r.caller().ring(sdp("bob"))
		secure := sip.NameAddr{URI: sip.URI{Scheme: "sips", User: "carol", Host: "example.com"}}
		for _, err := range []error{
			in.RedirectWith(&session.RedirectOptions{Code: 400}, secure),
			in.RedirectWith(&session.RedirectOptions{Code: 301}),
			in.RedirectWith(nil, secure),
		} {
			if err == nil {
				t.Error("taken")
			}
		}
		if err := in.Redirect(secure); !errors.Is(err, sip.ErrSIPS) {
			t.Errorf("sips: %v", err)
		}
		r.must(in.RedirectWith(&session.RedirectOptions{Code: 380}))
		r.response(380, sip.INVITE)
	})
}

// TestHeadersOfTheApplicationGoEverywhere: into each message that it has a hand
// in, all of one name, and in place of ours.
func TestHeadersOfTheApplicationGoEverywhere(t *testing.T) {
	bubble(t, func(r *rig) {
		_, invite := r.dial(&session.CallOptions{Headers: twice})
		checkTwice(t, invite)
	})
	bubble(t, func(r *rig) {
		bob := r.caller()
		in, _ := bob.ring(sdp("bob"))
		r.must(in.Progress(&session.ProgressOptions{Headers: twice}))
		checkTwice(t, r.response(183, sip.INVITE))
		_, err := in.Answer(context.Background(), &session.AnswerOptions{Headers: append(twice, sip.Field{Name: "Server", Value: "mine"})})
		r.must(err)
		ok := r.response(200, sip.INVITE)
		checkTwice(t, ok)
		if got := strings.Join(ok.Headers("Server"), ","); got != "" && got != "mine" {
			t.Errorf("Server %q", got)
		}
		bob.send(sip.ACK, "")
	})
	bubble(t, func(r *rig) {
		in, _ := r.caller().ring(sdp("bob"))
		r.must(in.Reject(486, &session.RejectOptions{Headers: twice}))
		checkTwice(t, r.response(486, sip.INVITE))
	})
}

// TestHeadersThatAreOursAreRefused, before anything happens.
func TestHeadersThatAreOursAreRefused(t *testing.T) {
	for _, name := range []string{"Via", "f", "To", "call-id", "CSeq", "Record-Route", "c", "Content-Length"} {
		bubble(t, func(r *rig) {
			own := []sip.Field{{Name: name, Value: "<sip:x@y>"}}
			if _, err := r.calls.Invite(context.Background(), "bob", &session.CallOptions{Headers: own}); err == nil {
				t.Errorf("Invite takes %s", name)
			}
			in, _ := r.caller().ring(sdp("bob"))
			if in.Progress(&session.ProgressOptions{Headers: own}) == nil || in.Reject(486, &session.RejectOptions{Headers: own}) == nil {
				t.Errorf("a response takes %s", name)
			}
			if _, err := in.Answer(context.Background(), &session.AnswerOptions{Headers: own}); err == nil {
				t.Errorf("the answer takes %s", name)
			}
			r.silence()
		})
	}
}
