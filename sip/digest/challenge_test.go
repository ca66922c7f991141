package digest_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
)

func TestParseChallenge(t *testing.T) {
	for _, tt := range []struct {
		value string
		want  string // String of what was read
	}{
		{`Digest realm="a", nonce="b"`, `Digest realm="a", nonce="b"`},
		{`dIgEsT  REALM = "a" ,	Nonce="b"`, `Digest realm="a", nonce="b"`},
		{`Digest realm=a, nonce=YWJj/+==`, `Digest realm="a", nonce="YWJj/+=="`},
		{`Digest realm="a", , nonce="b",`, `Digest realm="a", nonce="b"`},
		{`Digest realm="", nonce=""`, `Digest realm="", nonce=""`},
		{`Digest realm="a \"b\" \\ c\d", nonce="b"`, `Digest realm="a \"b\" \\ cd", nonce="b"`},
		{`Digest realm="a, b=c", nonce="b"`, `Digest realm="a, b=c", nonce="b"`},
		{`Digest realm="Zürich", nonce="b"`, `Digest realm="Zürich", nonce="b"`},
		{`Digest realm="a", nonce="b", stale=TRUE`, `Digest realm="a", nonce="b", stale=true`},
		{`Digest realm="a", nonce="b", stale="true"`, `Digest realm="a", nonce="b", stale=true`},
		{`Digest realm="a", nonce="b", stale=maybe`, `Digest realm="a", nonce="b"`},
		{`Digest realm="a", nonce="b", algorithm="MD5"`, `Digest realm="a", nonce="b", algorithm=MD5`},
		{`Digest realm="a", nonce="b", algorithm=md5`, `Digest realm="a", nonce="b", algorithm=md5`},
		{`Digest realm="a", nonce="b", qop=auth`, `Digest realm="a", nonce="b", qop="auth"`},
		{`Digest realm="a", nonce="b", qop=" auth , auth-int,"`, `Digest realm="a", nonce="b", qop="auth,auth-int"`},
		{`Digest realm="a", nonce="b", qop=""`, `Digest realm="a", nonce="b"`},
		{`Digest userhash=TRUE, charset="UTF-8", realm="a", nonce="b"`, `Digest realm="a", nonce="b", charset=UTF-8, userhash=true`},
		{`Digest domain="sip:a sip:b", realm="a", nonce="b", x-foo=bar`, `Digest realm="a", domain="sip:a sip:b", nonce="b", x-foo="bar"`},
		{`bearer realm="a", authz_server="https://x", scope="s"`, `Bearer realm="a", authz_server="https://x", scope="s"`},
		{`Basic realm="a"`, `Basic realm="a"`},
		{`Negotiate`, `Negotiate`},
	} {
		ch, err := digest.ParseChallenge(tt.value)
		if err != nil || ch.String() != tt.want {
			t.Errorf("%s\n got %s, %v\nwant %s", tt.value, ch, err, tt.want)
			continue
		}
		if again := mustChallenge(t, ch.String()); !reflect.DeepEqual(again, ch) {
			t.Errorf("%s read again: %#v, was %#v", ch, again, ch)
		}
	}
}

func TestParseChallengeRefused(t *testing.T) {
	many := `Digest realm="a", nonce="b"` + strings.Repeat(", x=y", 70)
	var distinct strings.Builder
	distinct.WriteString(`Digest realm="a", nonce="b"`)
	for i := range 70 {
		distinct.WriteString(", x" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + "=y")
	}
	for _, value := range []string{
		``, ` `, `,`, `=`, `"Digest"`,
		`Digest`, `Digest realm="a"`, `Digest nonce="b"`,
		`Digestrealm="a", nonce="b"`, `Digest="x"`,
		`Digest realm, nonce="b"`, `Digest realm="a", nonce`, `Digest realm="a", nonce=b c`,
		`Digest realm="a" nonce="b"`, `Digest realm="a"x, nonce="b"`, `Digest realm=a"b", nonce="b"`,
		`Digest realm="a, nonce="b"`, `Digest realm="a", nonce="b`, `Digest realm="a", nonce="b\`, `Digest realm="a", nonce="b\"`,
		`Digest realm="a", nonce="b", realm="c"`, `Digest realm="a", nonce="b", NONCE="c"`,
		`Digest realm="a", nonce="b", ="c"`, `Digest realm="a", nonce="b", a@b="c"`,
		"Digest realm=\"a\r\n\", nonce=\"b\"", "Digest realm=\"a\\\r\", nonce=\"b\"", "Digest realm=\"a\", nonce=\"b\x00\"",
		"Digest realm=\"a\",\n nonce=\"b\"", "Digest realm=\"a\", nonce=\"b\x7f\"", "Digest realm=\"a\", nonce=b\x01",
		`Digest realm="a", nonce="b", Digest realm="c", nonce="d"`,
		`Bearer eyJhbGciOi`, `NTLM` + "\t" + `abc def`,
		many, distinct.String(),
	} {
		ch, err := digest.ParseChallenge(value)
		var pe *sip.ParseError
		if !errors.As(err, &pe) {
			t.Errorf("%q: %v, %v", value, ch, err)
		} else if pe.Offset < 0 || pe.Offset > len(value) {
			t.Errorf("%q: offset %d", value, pe.Offset)
		}
	}
}

// What a hand-made challenge holds cannot end its header field.
func TestChallengeStringHostile(t *testing.T) {
	ch := digest.Challenge{
		Realm: "a\r\nVia: x", Nonce: "n\x00", Opaque: `o"`, Algorithm: "MD5\r\nX: y", QOP: []string{"auth\n", `"`},
		Charset: "\r\n", Domain: "\n",
	}
	got := ch.Field()
	want := `Digest realm="a  Via: x", domain=" ", nonce="n ", opaque="o\"", algorithm="MD5  X: y", qop="auth ,\"", charset="  "`
	if got.Name != "WWW-Authenticate" || got.Value != want {
		t.Errorf("got  %s: %s\nwant %s", got.Name, got.Value, want)
	}
	ch.Scheme = "Dig\r\nest"
	if s := ch.String(); strings.ContainsAny(s, "\r\n\x00") {
		t.Errorf("%q", s)
	}
	ch.Proxy = true
	if name := ch.Field().Name; name != "Proxy-Authenticate" {
		t.Error(name)
	}
}

func parseResponse(t testing.TB, lines ...string) *sip.Response {
	t.Helper()
	text := strings.Join(append([]string{
		lines[0], "Via: SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bKnashds7",
		"From: <sip:alice@example.com>;tag=1", "To: <sip:alice@example.com>;tag=2", "Call-ID: a84b4c76e66710",
		"CSeq: 1 REGISTER",
	}, append(lines[1:], "Content-Length: 0", "", "")...), "\r\n")
	m, err := sip.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m.(*sip.Response)
}

func TestChallengesInServersOrder(t *testing.T) {
	res := parseResponse(t, "SIP/2.0 401 Unauthorized",
		`WWW-Authenticate: Digest realm="r1", nonce="1", algorithm=SHA-512-256`,
		`Proxy-Authenticate: Digest realm="r2", nonce="2"`,
		`www-authenticate: Digest realm="r1",`, // folded
		` nonce="3", algorithm=SHA-256`,
		`WWW-Authenticate: nonsense`,
		`WWW-Authenticate: Digest realm="r1"`,
		`WWW-Authenticate: NTLM abc def`,
		`WWW-Authenticate: Digest realm="broken, nonce="4"`,
		`WWW-Authenticate: Negotiate, Digest realm="r1", nonce="5", qop="auth,auth-int", Bearer scope="x"`,
		`Proxy-Authenticate: Basic realm="r2"`,
		`Authentication-Info: nextnonce="6"`,
	)
	var got []string
	for _, ch := range digest.Challenges(res) {
		got = append(got, ch.Field().Name+": "+ch.String())
	}
	want := []string{
		`WWW-Authenticate: Digest realm="r1", nonce="1", algorithm=SHA-512-256`,
		`Proxy-Authenticate: Digest realm="r2", nonce="2"`,
		`WWW-Authenticate: Digest realm="r1", nonce="3", algorithm=SHA-256`,
		`WWW-Authenticate: nonsense`,
		`WWW-Authenticate: Negotiate`,
		`WWW-Authenticate: Digest realm="r1", nonce="5", qop="auth,auth-int"`,
		`WWW-Authenticate: Bearer scope="x"`,
		`Proxy-Authenticate: Basic realm="r2"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestChallengeParam(t *testing.T) {
	ch := mustChallenge(t, `Bearer realm="example.com", authz_server="https://as.example.com", scope="sip register"`)
	if v, ok := ch.Param("AUTHZ_SERVER"); !ok || v != "https://as.example.com" {
		t.Errorf("authz_server %q, %v", v, ok)
	}
	if v, ok := ch.Param("error"); ok || v != "" {
		t.Errorf("error %q, %v", v, ok)
	}
}
