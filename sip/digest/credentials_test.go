package digest_test

import (
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
)

func TestSecretsArePrintedByNothing(t *testing.T) {
	const secret = "5ecret0fAl1ce5ecret0fAl1ce"
	ha1 := strings.Repeat("5ec4e7", 5) + "ff"
	for name, tt := range map[string]struct {
		cred   digest.Credentials
		secret string
	}{
		"password": {digest.Password("alice", secret), secret},
		"ha1":      {digest.HA1("alice", "r", ha1), ha1},
		"bearer":   {digest.Bearer(secret), secret},
		"verbatim": {digest.Verbatim("Token " + secret), secret},
	} {
		type holder struct {
			Shown  digest.Credentials
			hidden digest.Credentials
			ptr    *digest.Credentials
			list   []digest.Credentials
			any    any
		}
		cred := tt.cred
		h := holder{cred, cred, &cred, []digest.Credentials{cred}, cred}
		values := []any{
			cred, &cred, h, &h, h.list, map[string]digest.Credentials{"k": cred}, [1]digest.Credentials{cred},
			struct{ digest.Credentials }{cred}, errors.Join(fmt.Errorf("%v", cred)),
		}
		var out bytes.Buffer
		for _, v := range values {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%b", "%t", "%e", "%c", "%U", "%T", "%10v", "%-40s", "%!"} {
				fmt.Fprintf(&out, verb+"\n", v)
			}
			fmt.Fprintln(&out, v)
			j, _ := json.Marshal(v)
			out.Write(j)
			x, _ := xml.Marshal(v)
			out.Write(x)
			_ = gob.NewEncoder(&out).Encode(v) // some of these cannot be encoded; what is written counts
			for _, logger := range []*slog.Logger{slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))} {
				logger.Info("m", "cred", v, slog.Group("g", "c", v))
			}
		}
		fmt.Fprintln(&out, cred.String(), cred.GoString())

		// errors and the Client, after use
		c := digest.NewClient(digest.Policy{Bearer: true})
		for _, ch := range []digest.Challenge{
			{Realm: "r", Nonce: "n", QOP: []string{"auth"}}, {Realm: "other", Nonce: "n", Algorithm: digest.SHA256},
			{Realm: "r", Nonce: "n", Algorithm: "X"}, {Scheme: "Basic"},
		} {
			f, err := c.Authorize(ch, cred, register)
			fmt.Fprintln(&out, f, err, digest.Verify(f.Value, ch, digest.Password("alice", "x"), register))
			fmt.Fprintf(&out, "%+v %#v %v", c, c, cred.Fits(ch))
		}
		if _, ok := c.Preemptive(register, false, "r", digest.Password("alice", "x")); !ok && !cred.IsToken() {
			t.Errorf("%s: nothing was remembered, so nothing was shown", name)
		}
		lower := strings.ToLower(out.String())
		for _, form := range []string{tt.secret, hex.EncodeToString([]byte(tt.secret)), strings.Trim(fmt.Sprint([]byte(tt.secret)), "[]")} {
			if i := strings.Index(lower, strings.ToLower(form)); i >= 0 {
				t.Errorf("%s: printed: …%s…", name, out.String()[max(0, i-80):i+len(form)])
			}
		}
	}
}

func TestCredentialsText(t *testing.T) {
	for want, cred := range map[string]digest.Credentials{
		`no credentials`:           {},
		`"alice" [redacted]`:       digest.Password("alice", "x"),
		`"al\r\nice\"" [redacted]`: digest.Password("al\r\nice\"", "x"),
		`"bob" [redacted]`:         digest.HA1("bob", "r", strings.Repeat("0", 32)),
		`token [redacted]`:         digest.Bearer("x"),
		`"anonymous" [redacted]`:   digest.Password("anonymous", ""),
		`"Jäsøn" [redacted]`:       digest.Password("Jäsøn", "x"),
	} {
		if got := cred.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if got := fmt.Sprintf("%v|%d", cred, cred); got != want+"|"+want {
			t.Errorf("%s, want %s twice", got, want)
		}
		var j string
		if b, err := json.Marshal(cred); err != nil || json.Unmarshal(b, &j) != nil || j != want {
			t.Errorf("JSON %s, %v", b, err)
		}
		if got := cred.LogValue().String(); got != want {
			t.Errorf("log %s", got)
		}
	}
}

func TestTokens(t *testing.T) {
	for _, tt := range []struct {
		cred  digest.Credentials
		proxy bool
		want  sip.Field // zero: ErrCredentials
	}{
		{digest.Bearer("eyJ.abc-_~+/="), false, sip.Field{Name: "Authorization", Value: "Bearer eyJ.abc-_~+/="}},
		{digest.Bearer("x"), true, sip.Field{Name: "Proxy-Authorization", Value: "Bearer x"}},
		{digest.Verbatim("bearer  x"), false, sip.Field{Name: "Authorization", Value: "bearer  x"}},
		{digest.Verbatim(`JWT a="b", c=d`), false, sip.Field{Name: "Authorization", Value: `JWT a="b", c=d`}},
		{digest.Bearer(""), false, sip.Field{}},
		{digest.Bearer(" "), false, sip.Field{}},
		{digest.Verbatim(""), false, sip.Field{}},
		{digest.Verbatim("Bearer"), false, sip.Field{}},
		{digest.Verbatim(" x"), false, sip.Field{}},
		{digest.Bearer("a\r\nVia: x"), false, sip.Field{}},
		{digest.Bearer("a\x00"), false, sip.Field{}},
		{digest.Password("a", "b"), false, sip.Field{}},
		{digest.HA1("a", "b", strings.Repeat("0", 32)), false, sip.Field{}},
		{digest.Credentials{}, false, sip.Field{}},
	} {
		got, err := tt.cred.Field(tt.proxy)
		if got != tt.want || (tt.want == sip.Field{}) != errors.Is(err, digest.ErrCredentials) {
			t.Errorf("%+v, %v; want %+v", got, err, tt.want)
		}
	}
	ch := mustChallenge(t, `Bearer realm="example.com"`)
	ch.Proxy = true
	f, err := digest.NewClient(digest.Policy{}).Authorize(ch, digest.Bearer("x"), register)
	if err != nil || f.Name != "Proxy-Authorization" || f.Value != "Bearer x" {
		t.Errorf("%v, %v", f, err)
	}
}

func TestFits(t *testing.T) {
	challenges := []digest.Challenge{
		{Realm: "r"}, {Realm: "R"}, {Realm: "r", Algorithm: digest.MD5Sess}, {Realm: "r", Algorithm: digest.SHA256},
		{Realm: "r", Algorithm: digest.SHA256Sess}, {Realm: "r", Algorithm: digest.SHA512256}, {Realm: "r", Algorithm: "X"},
		{Scheme: "DIGEST", Realm: "r"}, {Scheme: "bearer", Realm: "r"}, {Scheme: "Basic", Realm: "r"},
	}
	for name, tt := range map[string]struct {
		cred digest.Credentials
		want string // one letter a challenge
	}{
		"none":        {digest.Credentials{}, "----------"},
		"password":    {digest.Password("u", "p"), "yyyyyy-y--"},
		"MD5":         {digest.HA1("u", "r", strings.Repeat("0", 32)), "y-y----y--"},
		"SHA-256":     {digest.HA1("u", "r", strings.Repeat("0", 64)), "---yy-----"},
		"SHA-512-256": {digest.HA1With("sha-512-256-SESS", "u", "r", strings.Repeat("0", 64)), "-----y----"},
		"wrong size":  {digest.HA1With(digest.SHA256, "u", "r", strings.Repeat("0", 32)), "----------"},
		"odd size":    {digest.HA1("u", "r", strings.Repeat("0", 33)), "----------"},
		"bearer":      {digest.Bearer("x"), "--------y-"},
		"basic":       {digest.Verbatim("Basic x"), "----------"},
		"digest":      {digest.Verbatim("Digest x"), "----------"},
	} {
		var got strings.Builder
		for _, ch := range challenges {
			if tt.cred.Fits(ch) {
				got.WriteByte('y')
			} else {
				got.WriteByte('-')
			}
		}
		if got.String() != tt.want {
			t.Errorf("%s: %s, want %s", name, &got, tt.want)
		}
	}
	if !(digest.Credentials{Username: "u"}).IsZero() || digest.Password("", "").IsZero() {
		t.Error("IsZero")
	}
}
