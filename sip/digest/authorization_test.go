package digest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
)

func TestParseAuthorization(t *testing.T) {
	a, err := digest.ParseAuthorization(`digest USERNAME="al\"ice", realm="r\\", nonce="n", uri="sip:a;b", response="00", ` +
		`algorithm="sha-256", cnonce="c", qop="auth", nc=0000000A, opaque="", userhash=TRUE, x-other=1,`)
	want := digest.Authorization{
		Username: `al"ice`, Realm: `r\`, Nonce: "n", URI: "sip:a;b", Response: "00", Algorithm: digest.SHA256,
		CNonce: "c", QOP: "auth", NC: 10, Userhash: true,
	}
	if err != nil || a.String() != `Digest username="al\"ice", realm="r\\", nonce="n", uri="sip:a;b", response="00", `+
		`algorithm=sha-256, cnonce="c", qop=auth, nc=0000000a, opaque="", userhash=true` {
		t.Errorf("%s, %v", a, err)
	}
	got := digest.Authorization{
		Username: a.Username, Realm: a.Realm, Nonce: a.Nonce, URI: a.URI, Response: a.Response, Algorithm: a.Algorithm,
		CNonce: a.CNonce, QOP: a.QOP, NC: a.NC, Userhash: a.Userhash, Opaque: a.Opaque,
	}
	if got != want {
		t.Errorf("%+v", got)
	}

	const rest = `, realm="r", nonce="n", uri="u", response="0"`
	for value, reason := range map[string]string{
		``:                 "not Digest",
		`Bearer abc`:       "not Digest",
		`Digest`:           "white space",
		`Digest=a`:         "white space",
		`Digest realm="r"`: "username missing",
		`Digest username="u", nonce="n", uri="u", response="0"`:   "realm missing",
		`Digest username="u", realm="r", uri="u", response="0"`:   "nonce missing",
		`Digest username="u", realm="r", nonce="n", response="0"`: "uri missing",
		`Digest username="u", realm="r", nonce="n", uri="u"`:      "response missing",
		`Digest username="u", username*=UTF-8''u` + rest:          "both",
		`Digest username*=UTF-8''u, userhash=true` + rest:         "userhash",
		`Digest username*=ISO-8859-1''u` + rest:                   "unreadable",
		`Digest username*=u` + rest:                               "unreadable",
		`Digest username*=UTF-8''%0d%0a` + rest:                   "unreadable",
		`Digest username*=UTF-8''%0` + rest:                       "unreadable",
		`Digest username="u", username="v"` + rest:                "twice",
		`Digest username="u", nc=1` + rest:                        "nc is not",
		`Digest username="u", nc=0000000g` + rest:                 "nc is not",
		`Digest username="u", nc=0000000001` + rest:               "nc is not",
		`Digest username="u", nc=000000001` + rest:                "nc is not",
		`Digest username="u", nc=+0000001` + rest:                 "nc is not",
		`Digest username="u", nc=0x000001` + rest:                 "nc is not",
		"Digest username=\"u\r\"" + rest:                          "control byte",
		`Digest username="u"` + rest + `, Digest username="u"`:    "'=' expected",
		`Digest username="u"` + rest + `, Bearer`:                 "'=' expected",
	} {
		_, err := digest.ParseAuthorization(value)
		var pe *sip.ParseError
		if !errors.As(err, &pe) || !strings.Contains(pe.Reason, reason) {
			t.Errorf("%q: %v, want %s", value, err, reason)
		} else if strings.Contains(err.Error(), "abc") {
			t.Errorf("%q: the error repeats the token: %v", value, err)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	ch := mustChallenge(t, `Digest realm="r", nonce="n", qop="auth,auth-int", algorithm=SHA-256, opaque="o"`)
	f, err := digest.NewClient(digest.Policy{}).Authorize(ch, alice, register)
	if err != nil {
		t.Fatal(err)
	}
	good := readField(t, f)
	if err := good.Verify(ch, alice, register); err != nil {
		t.Fatal(err)
	}
	anyURI := register
	anyURI.URI = ""
	if err := good.Verify(ch, alice, anyURI); err != nil {
		t.Errorf("without the server's own URI: %v", err)
	}
	otherURI := register
	otherURI.URI = "sip:example.com:5060"
	for name, tt := range map[string]struct {
		change func(*digest.Authorization)
		want   error
	}{
		"response":     {func(a *digest.Authorization) { a.Response = strings.Repeat("0", 64) }, digest.ErrResponse},
		"cut response": {func(a *digest.Authorization) { a.Response = a.Response[:32] }, digest.ErrResponse},
		"no response":  {func(a *digest.Authorization) { a.Response = "" }, digest.ErrResponse},
		"upper case":   {func(a *digest.Authorization) { a.Response = strings.ToUpper(a.Response) }, digest.ErrResponse},
		"nonce":        {func(a *digest.Authorization) { a.Nonce = "m" }, digest.ErrNonce},
		"cnonce":       {func(a *digest.Authorization) { a.CNonce = "c" }, digest.ErrResponse},
		"no cnonce":    {func(a *digest.Authorization) { a.CNonce = "" }, digest.ErrMismatch},
		"count":        {func(a *digest.Authorization) { a.NC++ }, digest.ErrResponse},
		"no count":     {func(a *digest.Authorization) { a.NC = 0 }, digest.ErrMismatch},
		"realm":        {func(a *digest.Authorization) { a.Realm = "R" }, digest.ErrMismatch},
		"user":         {func(a *digest.Authorization) { a.Username = "bob" }, digest.ErrMismatch},
		"userhash":     {func(a *digest.Authorization) { a.Userhash = true }, digest.ErrMismatch},
		"unasked hash": {func(a *digest.Authorization) { a.Username, a.Userhash = sha("alice", "r"), true }, digest.ErrMismatch},
		"algorithm":    {func(a *digest.Authorization) { a.Algorithm = "" }, digest.ErrMismatch},
		"opaque":       {func(a *digest.Authorization) { a.Opaque = "" }, digest.ErrMismatch},
		"uri":          {func(a *digest.Authorization) { a.URI = "sip:evil" }, digest.ErrMismatch},
		"no qop":       {func(a *digest.Authorization) { a.QOP = "" }, digest.ErrMismatch},
		"unknown qop":  {func(a *digest.Authorization) { a.QOP = "conf" }, digest.ErrMismatch},
		"other qop":    {func(a *digest.Authorization) { a.QOP = "auth-int" }, digest.ErrResponse},
	} {
		a := good
		tt.change(&a)
		if err := a.Verify(ch, alice, register); !errors.Is(err, tt.want) {
			t.Errorf("%s changed: %v, want %v", name, err, tt.want)
		}
	}
	method := register
	method.Method = sip.SUBSCRIBE
	for name, tt := range map[string]struct {
		ch   digest.Challenge
		cred digest.Credentials
		in   digest.Input
		want error
	}{
		"password":      {ch, digest.Password("alice", "x"), register, digest.ErrResponse},
		"user":          {ch, digest.Password("bob", "wonderland"), register, digest.ErrMismatch},
		"none":          {ch, digest.Credentials{}, register, digest.ErrCredentials},
		"token":         {ch, digest.Bearer("x"), register, digest.ErrCredentials},
		"token, bearer": {digest.Challenge{Scheme: "Bearer"}, digest.Bearer("x"), register, digest.ErrCredentials},
		"HA1 elsewhere": {ch, digest.HA1("alice", "R", strings.Repeat("0", 64)), register, digest.ErrCredentials},
		"unknown":       {digest.Challenge{Realm: "r", Algorithm: "X"}, alice, register, digest.ErrCredentials},
		"method":        {ch, alice, method, digest.ErrResponse},
		"uri":           {ch, alice, otherURI, digest.ErrMismatch},
	} {
		if err := good.Verify(tt.ch, tt.cred, tt.in); !errors.Is(err, tt.want) {
			t.Errorf("server's %s: %v, want %v", name, err, tt.want)
		}
	}
	if err := digest.Verify("nonsense", ch, alice, register); err == nil || errors.Is(err, digest.ErrResponse) {
		t.Errorf("nonsense: %v", err)
	}
}

// A server that knows only RFC 2069 offers no qop; a client that knows RFC 8760 may answer it with auth all the same.
func TestVerifyWithoutOffer(t *testing.T) {
	none := mustChallenge(t, `Digest realm="r", nonce="n"`)
	qop := mustChallenge(t, `Digest realm="r", nonce="n", qop="auth"`)
	f, err := digest.NewClient(digest.Policy{}).Authorize(qop, alice, register)
	if err != nil {
		t.Fatal(err)
	}
	if err := digest.Verify(f.Value, none, alice, register); err != nil {
		t.Errorf("auth to a challenge without qop: %v", err)
	}
	if f, err = digest.NewClient(digest.Policy{}).Authorize(none, alice, register); err != nil {
		t.Fatal(err)
	}
	if err := digest.Verify(f.Value, qop, alice, register); !errors.Is(err, digest.ErrMismatch) {
		t.Errorf("no qop to a challenge with it: %v", err)
	}
	sess := none
	sess.Algorithm = digest.MD5Sess
	a := readField(t, f)
	a.Algorithm = digest.MD5Sess
	if err := a.Verify(sess, alice, register); !errors.Is(err, digest.ErrMismatch) {
		t.Errorf("-sess without cnonce: %v", err)
	}
}

func TestInfo(t *testing.T) {
	for value, want := range map[string]digest.Info{
		`nextnonce="47364c23432d2e131a5fb210812c"`: {NextNonce: "47364c23432d2e131a5fb210812c"}, // RFC 3261 §20.6
		`qop=auth, rspauth="00", cnonce="c", nc=00000001, nextnonce="n"`: {
			NextNonce: "n", QOP: "auth", RspAuth: "00", CNonce: "c", NC: 1,
		},
		`QOP="auth-int" , X=y,`: {QOP: "auth-int"},
		``:                      {},
	} {
		got, err := digest.ParseInfo(value)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", value, got, err)
		}
		if again, err := digest.ParseInfo(got.String()); err != nil || again != want {
			t.Errorf("%s: %+v, %v", got, again, err)
		}
	}
	for _, value := range []string{`Digest nextnonce="n"`, `nextnonce`, `nextnonce="n" x`, `a=b, c`, `a=b, c d`, `nc=1`, "nextnonce=\"\n\"", `a=b, a=c`} {
		var pe *sip.ParseError
		if got, err := digest.ParseInfo(value); !errors.As(err, &pe) {
			t.Errorf("%q: %+v, %v", value, got, err)
		}
	}
	full := digest.Info{NextNonce: `n"`, QOP: "auth", RspAuth: "00", CNonce: "c", NC: 255}
	if f := full.Field(false); f.Name != "Authentication-Info" ||
		f.Value != `nextnonce="n\"", qop=auth, rspauth="00", cnonce="c", nc=000000ff` {
		t.Errorf("%v", f)
	}
	if f := full.Field(true); f.Name != "Proxy-Authentication-Info" {
		t.Errorf("%v", f)
	}
}

// Mutual authentication (RFC 7616 §3.5): the server proves that it knows the password.
func TestProve(t *testing.T) {
	body := []byte("body")
	for _, qop := range []string{"", "auth", "auth-int"} {
		for _, algorithm := range []digest.Algorithm{"", digest.SHA256, digest.SHA512256Sess} {
			if qop == "" && algorithm == digest.SHA512256Sess {
				continue // -sess has no form without qop
			}
			ch := digest.Challenge{Realm: "r", Nonce: "n", Algorithm: algorithm}
			if qop != "" {
				ch.QOP = []string{qop}
			}
			a := authorize(t, digest.NewClient(digest.Policy{}), ch, register)
			info, err := a.Prove(alice, body)
			if err != nil {
				t.Fatal(err)
			}
			if info.RspAuth == a.Response {
				t.Error("the server's proof is the client's")
			}
			got, err := digest.ParseInfo(info.String())
			if err != nil {
				t.Fatal(err)
			}
			if err := got.Verify(a, alice, body); err != nil {
				t.Errorf("%q %q: %v", algorithm, qop, err)
			}
			if err := got.Verify(a, alice, nil); errors.Is(err, digest.ErrResponse) != (qop == "auth-int") {
				t.Errorf("%q %q, other body: %v", algorithm, qop, err)
			}
			for name, tt := range map[string]struct {
				change func(*digest.Info)
				cred   digest.Credentials
				want   error
			}{
				"password": {func(*digest.Info) {}, digest.Password("alice", "x"), digest.ErrResponse},
				"no proof": {func(i *digest.Info) { i.RspAuth = "" }, alice, digest.ErrMismatch},
				"proof":    {func(i *digest.Info) { i.RspAuth = "00" }, alice, digest.ErrResponse},
				"qop":      {func(i *digest.Info) { i.QOP = "x" }, alice, digest.ErrMismatch},
				"none":     {func(*digest.Info) {}, digest.Credentials{}, digest.ErrCredentials},
			} {
				i := got
				tt.change(&i)
				if err := i.Verify(a, tt.cred, body); !errors.Is(err, tt.want) {
					t.Errorf("%q %q, %s: %v, want %v", algorithm, qop, name, err, tt.want)
				}
			}
			if qop != "" {
				i := got
				i.NC++
				if err := i.Verify(a, alice, body); !errors.Is(err, digest.ErrMismatch) {
					t.Errorf("other request's proof: %v", err)
				}
			}
		}
	}
	if _, err := (digest.Authorization{}).Prove(digest.Bearer("x"), nil); !errors.Is(err, digest.ErrCredentials) {
		t.Errorf("%v", err)
	}
}

// H(A2) of rspauth has no method: the formula, with SHA-256 and auth-int, written out.
func TestProveFormula(t *testing.T) {
	a := digest.Authorization{
		Username: "alice", Realm: "r", Nonce: "n", URI: "sip:u", Algorithm: digest.SHA256, CNonce: "c", QOP: "auth-int", NC: 2,
	}
	info, err := a.Prove(alice, []byte("b"))
	if err != nil {
		t.Fatal(err)
	}
	h := sha
	want := h(h("alice", "r", "wonderland"), "n", "00000002", "c", "auth-int", h("", "sip:u", h("b")))
	if info != (digest.Info{QOP: "auth-int", RspAuth: want, CNonce: "c", NC: 2}) {
		t.Errorf("%+v, want %s", info, want)
	}
}

// After a nextnonce a -sess session keeps the key of its first nonce and cnonce (RFC 7616 §3.4.2).
func TestSessionKeyOutlivesItsNonce(t *testing.T) {
	c := digest.NewClient(digest.Policy{})
	ch := mustChallenge(t, `Digest realm="r", nonce="n1", qop="auth", algorithm=SHA-256-sess`)
	f, err := c.Authorize(ch, alice, register)
	if err != nil {
		t.Fatal(err)
	}
	first := readField(t, f)
	expect := func(step string, got digest.Authorization, nonce, nc string) {
		t.Helper()
		h := sha
		a1 := h(h("alice", "r", "wonderland"), "n1", first.CNonce)
		want := h(a1, nonce, nc, got.CNonce, "auth", h("INVITE", invite.URI))
		if got.Nonce != nonce || got.Response != want || got.CNonce != first.CNonce {
			t.Errorf("%s: %s, want %s", step, got, want)
		}
	}
	again, _ := c.Preemptive(invite, false, "r", alice)
	expect("same nonce", readField(t, again), "n1", "00000002")
	c.Learn(server, sent(t, f), parseResponse(t, "SIP/2.0 200 OK", `Authentication-Info: nextnonce="n2"`))
	again, _ = c.Preemptive(invite, false, "r", alice)
	expect("next nonce", readField(t, again), "n2", "00000001")
	c.Learn(server, sent(t, f), parseResponse(t, "SIP/2.0 200 OK", `Authentication-Info: nextnonce="n3"`))
	again, _ = c.Preemptive(invite, false, "r", alice)
	expect("the one after", readField(t, again), "n3", "00000001")

	// a challenge begins a new session, be it with a nonce we know
	ch.Nonce = "n3"
	a := authorize(t, c, ch, register)
	if err := a.Verify(ch, alice, register); err != nil || a.NC != 2 {
		t.Errorf("%s: %v", a, err)
	}
}
