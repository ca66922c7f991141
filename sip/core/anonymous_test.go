package core_test

import (
	"strings"
	"testing"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/dialog"
)

// anonymousOptions are those of a UA that has a lot to tell about itself.
func anonymousOptions() core.Options {
	o := options()
	o.DisplayName, o.UserAgent = "Alice", "sipua"
	o.ExtraHeaders = []sip.Field{{Name: "organization", Value: "ACME"}, {Name: "s", Value: "of Alice"}, {Name: "X-Tenant", Value: "7"}}
	return o
}

// checkAnonymous checks that a message tells nothing of who sent it.
func checkAnonymous(t *testing.T, m sip.Message) {
	t.Helper()
	text := string(m.AppendTo(nil))
	for _, tell := range []string{"Alice", "alice@a1.invalid", "sip:alice@example.com>;tag", "User-Agent", "Server:", "Organization", "Subject"} {
		if strings.Contains(text, tell) {
			t.Errorf("%q is told by\n%s", tell, text)
		}
	}
	if !strings.Contains(text, "X-Tenant: 7") && m.CSeq().Method != sip.CANCEL {
		t.Errorf("an extra header that tells nothing is missing in\n%s", text)
	}
}

// RFC 3323 §4.1, RFC 3325 §9.2: the first request names us to our own server, to
// be kept there.
func TestAnonymousRequestPrefersOurIdentity(t *testing.T) {
	run(t, anonymousOptions(), func(r *rig) {
		s := r.send(sip.INVITE, func(s *sending) { s.Anonymous = true })
		invite := r.request(sip.INVITE)
		if got := invite.Header("P-Preferred-Identity"); got != "<sip:alice@example.com>" {
			t.Errorf("P-Preferred-Identity %q", got)
		}
		if got := invite.Privacy(); len(got) != 1 || got[0] != "id" {
			t.Errorf("Privacy %q", got)
		}
		checkAnonymous(t, invite)
		r.answer(invite, 180)
		s.cancel()
		checkAnonymous(t, r.request(sip.CANCEL))
	})
	run(t, anonymousOptions(), func(r *rig) { // the application knows better
		r.send(sip.INVITE, func(s *sending) {
			s.Anonymous = true
			for name, value := range map[string]string{"Privacy": "id;critical", "P-Preferred-Identity": "<tel:+15551234>"} {
				if err := s.Request.AddHeader(name, value); err != nil {
					t.Error(err)
				}
			}
		})
		invite := r.request(sip.INVITE)
		if got := invite.Headers("Privacy"); len(got) != 1 || got[0] != "id;critical" {
			t.Errorf("Privacy %q", got)
		}
		if got := invite.Headers("P-Preferred-Identity"); len(got) != 1 || got[0] != "<tel:+15551234>" {
			t.Errorf("P-Preferred-Identity %q", got)
		}
	})
}

// TestAnonymousDialogStaysAnonymous: every request and every response in it, those
// that the core gives by itself too.
func TestAnonymousDialogStaysAnonymous(t *testing.T) {
	run(t, anonymousOptions(), func(r *rig) {
		s := r.send(sip.INVITE, func(s *sending) { s.Anonymous = true })
		invite := r.request(sip.INVITE)
		r.answer(invite, 200, "Contact: <sip:bob@b1.invalid;transport=ws>")
		s.got(200)
		d := r.dialogOf(s)
		u := &usage{}
		r.locked(func() {
			d.SetAnonymous(true)
			r.Attach(d, u)
			r.SendACK(d, &s.Outgoing, "", nil)
		})
		checkAnonymous(t, r.request(sip.ACK))
		for _, method := range []sip.Method{sip.INVITE, sip.UPDATE, sip.INFO, sip.BYE} {
			r.send("", func(s *sending) {
				r.locked(func() { s.Request = d.NewRequest(method) })
				s.Dialog = d
			})
			req := r.request(method)
			checkAnonymous(t, req)
			if req.Header("Privacy") != "id" || req.HasHeader("P-Preferred-Identity") {
				t.Errorf("%s is\n%s", method, req.AppendTo(nil))
			}
			if method == sip.INVITE {
				r.answer(req, 200)
				r.locked(func() { r.SendACK(d, &s.Outgoing, "", nil) })
				checkAnonymous(t, r.request(sip.ACK))
			}
		}
		theirs := func(method sip.Method, branch string, seq string, fields ...string) {
			id := d.ID()
			r.receive(incoming(method, branch, append([]string{"From: <sip:bob@example.com>;tag=" + id.RemoteTag,
				"To: <sip:anonymous@anonymous.invalid>;tag=" + id.LocalTag, "Call-ID: " + id.CallID, "CSeq: " + seq + " " + string(method)}, fields...)...))
		}
		theirs(sip.INVITE, "re", "100")
		r.locked(func() { u.in[0].Reply(sip.StatusRinging, "") })
		checkAnonymous(t, r.response(180))
		r.locked(func() { u.in[0].Reply(sip.StatusOK, "") })
		ok := r.response(200)
		checkAnonymous(t, ok)
		if ok.Header("Privacy") != "id" || !ok.HasHeader("Contact") {
			t.Errorf("200 is\n%s", ok.AppendTo(nil))
		}
		theirs(sip.INFO, "info", "99")
		checkAnonymous(t, r.response(500))
		theirs(sip.INFO, "require", "101", "Require: magic")
		checkAnonymous(t, r.response(420))
		theirs(sip.UPDATE, "update", "102")
		theirs(sip.INVITE, "re2", "103")
		theirs(sip.CANCEL, "re2", "103")
		checkAnonymous(t, r.response(200))
	})
	if (*dialog.Dialog)(nil).Anonymous() {
		t.Error("no dialog is anonymous")
	}
}

// TestAnonymousCredentials: they have our name, and go to the proxy that asks for them and takes them out. What passes
// unasked would reach the far end.
func TestAnonymousCredentials(t *testing.T) {
	run(t, withPassword(), func(r *rig) {
		p := challenge("p", "1", true)
		r.send(sip.REGISTER, nil)
		r.challenge(r.request(sip.REGISTER), p)
		r.answer(r.request(sip.REGISTER), 200)

		s := r.send(sip.INVITE, func(s *sending) { s.Anonymous = true })
		invite := r.request(sip.INVITE)
		r.authorized(invite, 2, p)
		r.answer(invite, 200, "Contact: <sip:bob@b1.invalid;transport=ws>")
		s.got(200)
		d := r.dialogOf(s)
		r.locked(func() {
			d.SetAnonymous(true)
			r.Attach(d, &usage{})
			r.SendACK(d, &s.Outgoing, "", nil)
		})
		r.authorized(r.request(sip.ACK), 0)
		r.send("", func(s *sending) {
			r.locked(func() { s.Request = d.NewRequest(sip.BYE) })
			s.Dialog = d
		})
		bye := r.request(sip.BYE)
		r.authorized(bye, 0)
		r.challenge(bye, p)
		r.authorized(r.request(sip.BYE), 3, p)
	})
}
