package digest_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
)

// hostile reports a byte that must not be in a field value.
func hostile(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// Whatever a server sends: no panic; what can be read is written and read again the same; an answer to it is one field
// that verifies.
func FuzzChallenge(f *testing.F) {
	for _, s := range []string{
		`Digest realm="atlanta.com", domain="sip:boxesbybob.com", qop="auth", nonce="f84f1cec41e6cbe5aea9c8e88d359", opaque="", stale=FALSE, algorithm=MD5`,
		`Digest realm="a\"\\", nonce=YWJj/+==, algorithm="sha-512-256-SESS", qop="auth-int, auth", userhash=true, charset=UTF-8`,
		`Bearer realm="r", authz_server="https://as", scope="a b"`, `Negotiate`, `Digest realm="r", nonce="n", Digest realm="s", nonce="m"`,
		"Digest realm=\"\xff\", nonce=\"\u00e4\"", `Digest realm="r", nonce="`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ch, err := digest.ParseChallenge(s)
		if err != nil {
			return
		}
		text := ch.String()
		if hostile(text) {
			t.Fatalf("%q", text)
		}
		again, err := digest.ParseChallenge(text)
		if err != nil || !reflect.DeepEqual(again, ch) {
			t.Fatalf("%q, %v\n was %#v\n now %#v", text, err, ch, again)
		}
		in := digest.Input{Method: sip.INVITE, URI: "sip:bob@example.com", Body: []byte("x")}
		field, err := digest.NewClient(digest.Policy{}).Authorize(ch, alice, in)
		if err != nil {
			return
		}
		if hostile(field.Value) {
			t.Fatalf("%q", field.Value)
		}
		if err := digest.Verify(field.Value, ch, alice, in); err != nil {
			t.Fatalf("%s\n%s\n%v", text, field.Value, err)
		}
	})
}

// Whatever a client sends.
func FuzzAuthorization(f *testing.F) {
	for _, s := range []string{
		`Digest username="bob", realm="biloxi.com", nonce="dcd98b", uri="sip:bob@biloxi.com", qop=auth, nc=00000001, cnonce="0a4f113b", response="6629fae4", opaque="5ccc"`,
		`Digest username*=UTF-8''J%C3%A4s%C3%B8n%20Doe, realm="r", nonce="n", uri="u", response="0", userhash=false`,
		`Digest username="", realm="", nonce="", uri="", response="", opaque="", algorithm="x y"`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := digest.ParseAuthorization(s)
		if err != nil {
			return
		}
		text := a.String()
		if hostile(text) {
			t.Fatalf("%q", text)
		}
		if a.QOP == "" {
			a.CNonce, a.NC = "", 0 // not written without qop
		}
		again, err := digest.ParseAuthorization(text)
		if err != nil || again != a {
			t.Fatalf("%q, %v\n was %#v\n now %#v", text, err, a, again)
		}
		ch := digest.Challenge{Realm: a.Realm, Nonce: a.Nonce, Algorithm: a.Algorithm, QOP: []string{a.QOP}, Opaque: a.Opaque}
		if a.Verify(ch, digest.Password(a.Username, "unguessable by a fuzzer"), digest.Input{Method: sip.BYE}) == nil {
			t.Fatalf("%s verified", text)
		}
	})
}

// Whatever comes in Authentication-Info.
func FuzzInfo(f *testing.F) {
	f.Add(`nextnonce="47364c23432d2e131a5fb210812c"`)
	f.Add(`qop=auth, rspauth="6629fae4", cnonce="0a\"4f", nc=00000001`)
	f.Fuzz(func(t *testing.T, s string) {
		i, err := digest.ParseInfo(s)
		if err != nil {
			return
		}
		text := i.String()
		again, err := digest.ParseInfo(text)
		if err != nil || again != i || hostile(text) {
			t.Fatalf("%q, %v\n was %#v\n now %#v", text, err, i, again)
		}
	})
}
