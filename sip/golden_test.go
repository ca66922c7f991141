package sip_test

import (
	"os"
	"strings"
	"testing"

	"github.com/gosipua/sipua/sip"
)

// The messages of RFC 7118 §8.1 and §8.2, written by hand from the RFC, joined where the RFC breaks lines for
// its page, with the angle brackets and the Content-Length that we write.
func TestGolden(t *testing.T) {
	must := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	alice := sip.NameAddr{URI: sip.URI{Scheme: "sip", User: "alice", Host: "example.com"}}
	bob := sip.NameAddr{URI: sip.URI{Scheme: "sip", User: "bob", Host: "example.com"}}
	via := sip.Via{Transport: "WSS", Host: "df7jal23ls0d.invalid"}

	register := sip.NewRequest(sip.REGISTER, sip.URI{Scheme: "sip", Host: "proxy.example.com"})
	via.Params = sip.Params("").With("branch", "z9hG4bKasudf")
	must(register.PushVia(via), register.SetFrom(alice.WithTag("65bnmj.34asd")), register.SetTo(alice), register.SetCallID("aiuy7k9njasd"),
		register.SetCSeq(sip.CSeq{Seq: 1, Method: sip.REGISTER}), register.SetHeader("Max-Forwards", "70"),
		register.SetHeader("Supported", "path, outbound, gruu"),
		register.SetContact(sip.NameAddr{URI: sip.URI{Scheme: "sip", User: "alice", Host: "df7jal23ls0d.invalid", Params: ";transport=ws"},
			Params: sip.Params("").With("reg-id", "1").With("+sip.instance", "<urn:uuid:f81-7dec-14a06cf1>")}))
	golden(t, "rfc7118_register", register)

	registered := sip.NewResponse(register, sip.StatusOK, "")
	registered.SetToTag("12isjljn8")
	contact, ok := register.Contact()
	if !ok {
		t.Fatal("no Contact")
	}
	contact.Params = contact.Params.With("pub-gruu", "sip:alice@example.com;gr=urn:uuid:f81-7dec-14a06cf1").
		With("temp-gruu", "sip:87ash54=3dd.98a@example.com;gr").With("expires", "3600")
	must(registered.SetHeader("Supported", "outbound, gruu"), registered.SetContact(contact))
	golden(t, "rfc7118_register_200", registered)

	invite := sip.NewRequest(sip.INVITE, bob.URI)
	via.Params = sip.Params("").With("branch", "z9hG4bK56sdasks")
	must(invite.PushVia(via), invite.SetFrom(alice.WithTag("asdyka899")), invite.SetTo(bob), invite.SetCallID("asidkj3ss"),
		invite.SetCSeq(sip.CSeq{Seq: 1, Method: sip.INVITE}), invite.SetHeader("Max-Forwards", "70"),
		invite.SetHeader("Supported", "path, outbound, gruu"),
		invite.SetRoute(sip.NameAddr{URI: sip.URI{Scheme: "sip", Host: "proxy.example.com", Port: 443}.WithParam("transport", "ws").WithParam("lr", "")}),
		invite.SetContact(sip.NameAddr{URI: alice.URI.WithParam("gr", "urn:uuid:f81-7dec-14a06cf1").WithParam("ob", "")}))
	golden(t, "rfc7118_invite", invite)
	golden(t, "rfc7118_invite_100", sip.NewResponse(invite, sip.StatusTrying, ""))
}

// golden compares a message with a file, whose lines end as an editor leaves them.
func golden(t *testing.T, name string, m sip.Message) {
	t.Helper()
	data, err := os.ReadFile("testdata/golden/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(string(data), "\n", "\r\n")
	if got := string(m.AppendTo(nil)); got != want {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
	roundTrip(t, mustParse(t, []byte(want)))
}
