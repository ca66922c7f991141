package digest_test

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
)

const server = "wss://sip.example.com"

var (
	alice    = digest.Password("alice", "wonderland")
	register = digest.Input{Server: server, Method: sip.REGISTER, URI: "sip:example.com"}
	invite   = digest.Input{Server: server, Method: sip.INVITE, URI: "sip:bob@example.com", Body: []byte("v=0\r\n")}
)

func authorize(t testing.TB, c *digest.Client, ch digest.Challenge, in digest.Input) digest.Authorization {
	t.Helper()
	f, err := c.Authorize(ch, alice, in)
	if err != nil {
		t.Fatalf("Authorize(%s): %v", ch, err)
	}
	return readField(t, f)
}

func readField(t testing.TB, f sip.Field) digest.Authorization {
	t.Helper()
	a, err := digest.ParseAuthorization(f.Value)
	if err != nil {
		t.Fatalf("%s: %v", f.Value, err)
	}
	return a
}

// sent is a request that carries fields.
func sent(t testing.TB, fields ...sip.Field) *sip.Request {
	t.Helper()
	uri, err := sip.ParseURI(register.URI)
	if err != nil {
		t.Fatal(err)
	}
	req := sip.NewRequest(sip.REGISTER, uri)
	for _, f := range fields {
		if err := req.AddHeader(f.Name, f.Value); err != nil {
			t.Fatal(err)
		}
	}
	return req
}

// The exact bytes: which parameters are quoted is where SIP peers are picky (RFC 7616 §3.4, RFC 8760 §2.6).
func TestAuthorizationForm(t *testing.T) {
	for _, tt := range []struct{ challenge, name, want string }{
		{
			`Digest realm="r", nonce="n", qop="auth,auth-int", algorithm=SHA-256, opaque="o", userhash=true`, "Authorization",
			`Digest username="HEX", realm="r", nonce="n", uri="sip:example.com", response="HEX", algorithm=SHA-256, ` +
				`cnonce="CNONCE", qop=auth, nc=00000001, opaque="o", userhash=true`,
		}, {
			`Digest realm="r", nonce="n", qop="auth-int", algorithm="md5-SESS", opaque=""`, "Authorization",
			`Digest username="alice", realm="r", nonce="n", uri="sip:example.com", response="HEX", algorithm=md5-SESS, ` +
				`cnonce="CNONCE", qop=auth-int, nc=00000001, opaque=""`,
		}, { // RFC 2069: neither cnonce nor nc without qop; no algorithm where none was named
			`Digest realm="r\"\\", nonce="n"`, "Authorization",
			`Digest username="alice", realm="r\"\\", nonce="n", uri="sip:example.com", response="HEX"`,
		}, {
			`Digest realm="r", nonce="n", qop="auth"`, "Proxy-Authorization",
			`Digest username="alice", realm="r", nonce="n", uri="sip:example.com", response="HEX", cnonce="CNONCE", qop=auth, nc=00000001`,
		},
	} {
		ch := mustChallenge(t, tt.challenge)
		ch.Proxy = tt.name == "Proxy-Authorization"
		f, err := digest.NewClient(digest.Policy{}).Authorize(ch, alice, register)
		if err != nil {
			t.Errorf("%s: %v", tt.challenge, err)
			continue
		}
		got := regexp.MustCompile(`"[0-9a-f]{32,64}"`).ReplaceAllString(f.Value, `"HEX"`)
		got = regexp.MustCompile(`cnonce="[A-Z2-7]{26}"`).ReplaceAllString(got, `cnonce="CNONCE"`)
		if f.Name != tt.name || got != tt.want {
			t.Errorf("%s\n got %s: %s\nwant %s: %s", tt.challenge, f.Name, got, tt.name, tt.want)
		}
	}
}

func TestInputOf(t *testing.T) {
	m, err := sip.Parse([]byte("INVITE sip:a%20b@Example.com;transport=ws SIP/2.0\r\nVia: SIP/2.0/WSS a;branch=z9hG4bK1\r\n" +
		"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Length: 3\r\n\r\nabc"))
	if err != nil {
		t.Fatal(err)
	}
	req := m.(*sip.Request)
	in := digest.InputOf(server, req)
	if in.Server != server || in.Method != sip.INVITE || string(in.Body) != "abc" {
		t.Errorf("%+v", in)
	}
	line, _, _ := strings.Cut(string(req.AppendTo(nil)), "\r\n")
	if want := "INVITE " + in.URI + " SIP/2.0"; line != want {
		t.Errorf("signed %q, wrote %q", want, line)
	}
}

func TestNonceCountRises(t *testing.T) {
	c := digest.NewClient(digest.Policy{})
	ch := mustChallenge(t, `Digest realm="r", nonce="n", qop="auth"`)
	cnonces := map[string]bool{}
	for want := uint32(1); want <= 300; want++ {
		var a digest.Authorization
		if want%3 == 1 {
			a = authorize(t, c, ch, register)
		} else {
			f, ok := c.Preemptive(invite, false, "r", alice)
			if !ok {
				t.Fatal("nonce not remembered")
			}
			a = readField(t, f)
		}
		if a.NC != want || cnonces[a.CNonce] {
			t.Fatalf("use %d: nc %d, cnonce %s", want, a.NC, a.CNonce)
		}
		cnonces[a.CNonce] = true
	}
	// another nonce starts anew, the old one goes on, whichever algorithm and header field it comes with
	other := ch
	other.Nonce = "n2"
	if a := authorize(t, c, other, register); a.NC != 1 {
		t.Errorf("new nonce: nc %d", a.NC)
	}
	ch.Algorithm, ch.Proxy = digest.SHA256, true
	if a := authorize(t, c, ch, register); a.NC != 301 {
		t.Errorf("old nonce: nc %d", a.NC)
	}
	// servers do not share nonces
	elsewhere := register
	elsewhere.Server = "wss://other.example.com"
	if a := authorize(t, c, ch, elsewhere); a.NC != 1 {
		t.Errorf("other server: nc %d", a.NC)
	}
}

func TestConcurrentUsesShareNoCount(t *testing.T) {
	const workers, each = 8, 100
	c := digest.NewClient(digest.Policy{})
	ch := mustChallenge(t, `Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256-sess`)
	authorize(t, c, ch, register)
	counts := make([][]uint32, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				var f sip.Field
				ok := true
				if (w+i)%2 == 0 {
					f, ok = c.Preemptive(invite, false, "r", alice)
				} else {
					var err error
					f, err = c.Authorize(ch, alice, invite)
					ok = err == nil
				}
				a, err := digest.ParseAuthorization(f.Value)
				if !ok || err != nil || a.Verify(ch, alice, invite) != nil {
					t.Errorf("%s: %v", f.Value, err)
					return
				}
				counts[w] = append(counts[w], a.NC)
			}
		})
	}
	wg.Wait()
	all := slices.Concat(counts...)
	slices.Sort(all)
	for i, nc := range all {
		if nc != uint32(i)+2 {
			t.Fatalf("counts %v", all)
		}
	}
	if len(all) != workers*each {
		t.Errorf("%d counts", len(all))
	}
}

func TestStaleReplacesNonce(t *testing.T) {
	c := digest.NewClient(digest.Policy{})
	authorize(t, c, mustChallenge(t, `Digest realm="r", nonce="old", qop="auth"`), register)
	a := authorize(t, c, mustChallenge(t, `Digest realm="r", nonce="new", qop="auth", stale=true`), register)
	if a.Nonce != "new" || a.NC != 1 {
		t.Errorf("%s", a)
	}
	f, ok := c.Preemptive(invite, false, "r", alice)
	if a = readField(t, f); !ok || a.Nonce != "new" || a.NC != 2 {
		t.Errorf("%s", f.Value)
	}
}

func TestPreemptive(t *testing.T) {
	c := digest.NewClient(digest.Policy{})
	ch := mustChallenge(t, `Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256, opaque="o"`)
	ch.Proxy = true
	if _, ok := c.Preemptive(invite, true, "r", alice); ok {
		t.Error("before any challenge")
	}
	authorize(t, c, ch, register)
	f, ok := c.Preemptive(invite, true, "r", alice)
	if !ok || f.Name != "Proxy-Authorization" {
		t.Fatalf("%v %v", f, ok)
	}
	if err := digest.Verify(f.Value, ch, alice, invite); err != nil {
		t.Error(err)
	}
	elsewhere := invite
	elsewhere.Server = "wss://other.example.com"
	for name, try := range map[string]func() (sip.Field, bool){
		"as user agent":  func() (sip.Field, bool) { return c.Preemptive(invite, false, "r", alice) },
		"other realm":    func() (sip.Field, bool) { return c.Preemptive(invite, true, "R", alice) },
		"other server":   func() (sip.Field, bool) { return c.Preemptive(elsewhere, true, "r", alice) },
		"no credentials": func() (sip.Field, bool) { return c.Preemptive(invite, true, "r", digest.Credentials{}) },
		"MD5 ha1": func() (sip.Field, bool) {
			return c.Preemptive(invite, true, "r", digest.HA1("alice", "r", strings.Repeat("0", 32)))
		},
		"no URI": func() (sip.Field, bool) {
			return c.Preemptive(digest.Input{Server: server, Method: "A"}, true, "r", alice)
		},
		"empty token": func() (sip.Field, bool) { return c.Preemptive(invite, true, "r", digest.Bearer("")) },
	} {
		if f, ok := try(); ok {
			t.Errorf("%s: %s", name, f.Value)
		}
	}
	if f, ok := c.Preemptive(elsewhere, false, "x", digest.Bearer("abc")); !ok || f.Value != "Bearer abc" || f.Name != "Authorization" {
		t.Errorf("token: %v %v", f, ok)
	}
	// a refused try took no count
	f, _ = c.Preemptive(invite, true, "r", alice)
	if a := readField(t, f); a.NC != 3 {
		t.Errorf("nc %d", a.NC)
	}
}

func TestRealmsAndForget(t *testing.T) {
	c := digest.NewClient(digest.Policy{})
	other := register
	other.Server = "wss://b"
	for _, realm := range []string{"z", "a"} {
		ch := digest.Challenge{Realm: realm, Nonce: "n-" + realm, QOP: []string{"auth"}}
		authorize(t, c, ch, register)
		authorize(t, c, ch, other)
		ch.Proxy = true
		authorize(t, c, ch, other)
	}
	check := func(step, server string, proxy bool, want ...string) {
		t.Helper()
		if got := c.Realms(server, proxy); !slices.Equal(got, want) {
			t.Errorf("%s: realms of %s (proxy %v): %v", step, server, proxy, got)
		}
	}
	check("all", server, false, "a", "z")
	check("all", server, true)
	check("all", "wss://b", true, "a", "z")
	c.Forget(server, "z")
	check("one", server, false, "a")
	check("one", "wss://b", false, "a", "z")
	c.Forget("", "a")
	check("realm", server, false)
	check("realm", "wss://b", true, "z")
	c.Forget("wss://b", "")
	check("server", "wss://b", true)
	if _, ok := c.Preemptive(register, false, "a", alice); ok {
		t.Error("forgotten nonce used")
	}
	if a := authorize(t, c, digest.Challenge{Realm: "a", Nonce: "n-a", QOP: []string{"auth"}}, register); a.NC != 2 {
		t.Errorf("a nonce that came back has nc %d", a.NC)
	}
}

func TestNextNonce(t *testing.T) {
	c := digest.NewClient(digest.Policy{})
	ch := mustChallenge(t, `Digest realm="r", nonce="n1", qop="auth"`)
	f, err := c.Authorize(ch, alice, register)
	if err != nil {
		t.Fatal(err)
	}
	req := sent(t, f)
	next := func() digest.Authorization {
		f, ok := c.Preemptive(invite, false, "r", alice)
		if !ok {
			t.Fatal("nothing remembered")
		}
		return readField(t, f)
	}
	learn := func(req *sip.Request, lines ...string) { c.Learn(server, req, parseResponse(t, lines...)) }

	learn(req, "SIP/2.0 200 OK", `Authentication-Info: nextnonce="n2"`)
	if a := next(); a.Nonce != "n2" || a.NC != 1 {
		t.Errorf("%s", a)
	}
	learn(req, "SIP/2.0 200 OK", `Authentication-Info: nextnonce="n2"`) // again: the count goes on
	if a := next(); a.Nonce != "n2" || a.NC != 2 {
		t.Errorf("%s", a)
	}
	ch.Nonce = "n2"
	if a := authorize(t, c, ch, register); a.NC != 3 {
		t.Errorf("challenged with it: nc %d", a.NC)
	}
	// none of these teaches anything
	learn(req, "SIP/2.0 200 OK")
	learn(req, "SIP/2.0 200 OK", `Authentication-Info: qop=auth, nc=00000001`)
	learn(req, "SIP/2.0 200 OK", `Authentication-Info: nextnonce="x`)
	learn(req, "SIP/2.0 200 OK", `Authentication-Info: nextnonce=""`)
	learn(req, "SIP/2.0 200 OK", `Proxy-Authentication-Info: nextnonce="x"`)
	learn(req, "SIP/2.0 401 Unauthorized", `Authentication-Info: nextnonce="x"`)
	learn(sent(t), "SIP/2.0 200 OK", `Authentication-Info: nextnonce="x"`)
	c.Learn("wss://other", req, parseResponse(t, "SIP/2.0 200 OK", `Authentication-Info: nextnonce="x"`))
	if a := next(); a.Nonce != "n2" || a.NC != 4 {
		t.Errorf("%s", a)
	}
	c.Forget(server, "r")
	learn(req, "SIP/2.0 200 OK", `Authentication-Info: nextnonce="n3"`)
	if got := c.Realms(server, false); len(got) != 0 {
		t.Errorf("nextnonce brought back %v", got)
	}
}

func TestNextNonceOfSeveralRealms(t *testing.T) {
	c := digest.NewClient(digest.Policy{})
	var fields []sip.Field
	for _, ch := range []digest.Challenge{
		{Realm: "a", Nonce: "a1", QOP: []string{"auth"}}, {Realm: "b", Nonce: "b1", QOP: []string{"auth"}},
		{Realm: "a", Nonce: "p1", QOP: []string{"auth"}, Proxy: true},
	} {
		f, err := c.Authorize(ch, alice, register)
		if err != nil {
			t.Fatal(err)
		}
		fields = append(fields, f)
	}
	req := sent(t, append(fields, sip.Field{Name: "Authorization", Value: "Bearer x"})...)
	cnonce := readField(t, fields[1]).CNonce
	c.Learn(server, req, parseResponse(t, "SIP/2.0 200 OK", `Authentication-Info: nextnonce="x"`))
	c.Learn(server, req, parseResponse(t, "SIP/2.0 200 OK", `Authentication-Info: nextnonce="x", cnonce="unknown"`))
	c.Learn(server, req, parseResponse(t, "SIP/2.0 200 OK", `Authentication-Info: nextnonce="b2", cnonce="`+cnonce+`"`,
		`Proxy-Authentication-Info: nextnonce="p2"`))
	for _, tt := range []struct {
		proxy        bool
		realm, nonce string
	}{{false, "a", "a1"}, {false, "b", "b2"}, {true, "a", "p2"}} {
		f, _ := c.Preemptive(invite, tt.proxy, tt.realm, alice)
		if a := readField(t, f); a.Nonce != tt.nonce {
			t.Errorf("realm %s, proxy %v: nonce %s", tt.realm, tt.proxy, a.Nonce)
		}
	}
}

// A 401 and 407 in one, two realms, one retry.
func TestSeveralRealmsInOneRequest(t *testing.T) {
	res := parseResponse(t, "SIP/2.0 401 Unauthorized",
		`WWW-Authenticate: Digest realm="a", nonce="1", algorithm=SHA-256, qop="auth"`,
		`WWW-Authenticate: Digest realm="a", nonce="2", algorithm=MD5, qop="auth"`,
		`Proxy-Authenticate: Digest realm="b", nonce="3", qop="auth"`)
	c := digest.NewClient(digest.Policy{})
	chosen, err := c.Choose(digest.Challenges(res))
	if err != nil {
		t.Fatal(err)
	}
	var fields []sip.Field
	for _, ch := range chosen {
		f, err := c.Authorize(ch, alice, register)
		if err != nil {
			t.Fatal(err)
		}
		fields = append(fields, f)
	}
	req := sent(t, fields...)
	for i, ch := range chosen {
		a, ok := digest.Find(req, ch.Proxy, ch.Realm)
		if !ok || a.Verify(ch, alice, register) != nil {
			t.Errorf("challenge %d: %s, %v", i, a, ok)
		}
	}
	if len(chosen) != 2 || chosen[0].Nonce != "1" || chosen[1].Nonce != "3" {
		t.Errorf("chose %v", chosen)
	}
	for _, tt := range []struct {
		proxy bool
		realm string
	}{{true, "a"}, {false, "b"}, {false, "A"}, {false, ""}} {
		if a, ok := digest.Find(req, tt.proxy, tt.realm); ok {
			t.Errorf("found %s for proxy %v realm %q", a, tt.proxy, tt.realm)
		}
	}
}

func TestAuthorizeRefuses(t *testing.T) {
	ch := mustChallenge(t, `Digest realm="r", nonce="n", qop="auth"`)
	with := func(change func(*digest.Challenge)) digest.Challenge { c := ch; change(&c); return c }
	ok := register
	for name, tt := range map[string]struct {
		ch   digest.Challenge
		cred digest.Credentials
		in   digest.Input
		want error
	}{
		"no credentials":      {ch, digest.Credentials{}, ok, digest.ErrCredentials},
		"HA1 of other realm":  {ch, digest.HA1("alice", "R", strings.Repeat("0", 32)), ok, digest.ErrCredentials},
		"SHA-256 HA1 for MD5": {ch, digest.HA1("alice", "r", strings.Repeat("0", 64)), ok, digest.ErrCredentials},
		"MD5 HA1 for SHA-256": {with(func(c *digest.Challenge) { c.Algorithm = digest.SHA256 }), digest.HA1("alice", "r", strings.Repeat("0", 32)), ok, digest.ErrCredentials},
		"short HA1":           {ch, digest.HA1("alice", "r", "abc"), ok, digest.ErrCredentials},
		"HA1 no hex":          {ch, digest.HA1("alice", "r", strings.Repeat("g", 32)), ok, digest.ErrCredentials},
		"HA1 unknown algo":    {ch, digest.HA1With("X", "alice", "r", strings.Repeat("0", 32)), ok, digest.ErrCredentials},
		"token for digest":    {ch, digest.Bearer("x"), ok, digest.ErrCredentials},
		"CR in user":          {ch, digest.Password("al\rice", "x"), ok, digest.ErrCredentials},
		"LF in user":          {ch, digest.Password("alice\n", "x"), ok, digest.ErrCredentials},
		"NUL in user":         {ch, digest.Password("\x00", "x"), ok, digest.ErrCredentials},
		"CRLF in realm":       {with(func(c *digest.Challenge) { c.Realm = "\r\n" }), alice, ok, digest.ErrInput},
		"LF in nonce":         {with(func(c *digest.Challenge) { c.Nonce = "\n" }), alice, ok, digest.ErrInput},
		"NUL in opaque":       {with(func(c *digest.Challenge) { c.Opaque = "\x00" }), alice, ok, digest.ErrInput},
		"LF in algorithm":     {with(func(c *digest.Challenge) { c.Algorithm = "MD5\n" }), alice, ok, &digest.UnsupportedError{}},
		"LF in qop":           {with(func(c *digest.Challenge) { c.QOP = []string{"auth\n"} }), alice, ok, &digest.UnsupportedError{}},
		"no method":           {ch, alice, digest.Input{URI: "sip:a"}, digest.ErrInput},
		"no URI":              {ch, alice, digest.Input{Method: "INVITE"}, digest.ErrInput},
		"LF in method":        {ch, alice, digest.Input{Method: "INVITE\n", URI: "sip:a"}, digest.ErrInput},
		"CR in URI":           {ch, alice, digest.Input{Method: "INVITE", URI: "sip:a\r"}, digest.ErrInput},
		"Basic":               {digest.Challenge{Scheme: "Basic", Realm: "r"}, alice, ok, &digest.UnsupportedError{}},
		"Bearer, no token":    {digest.Challenge{Scheme: "Bearer", Realm: "r"}, alice, ok, &digest.UnsupportedError{}},
		"LF in token":         {digest.Challenge{Scheme: "Bearer"}, digest.Bearer("a\nb"), ok, digest.ErrCredentials},
	} {
		f, err := digest.NewClient(digest.Policy{}).Authorize(tt.ch, tt.cred, tt.in)
		var ue *digest.UnsupportedError
		match := errors.Is(err, tt.want)
		if errors.As(tt.want, &ue) {
			match = errors.As(err, &ue)
		}
		if !match || f != (sip.Field{}) {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
}

// Nothing a server sends makes the Client grow without bound, and what it drops is what was used least.
func TestMemoryIsBounded(t *testing.T) {
	c := digest.NewClient(digest.Policy{})
	for i := range 500 {
		n := strconv.Itoa(i)
		authorize(t, c, digest.Challenge{Realm: "kept", Nonce: "same", QOP: []string{"auth"}}, register)
		authorize(t, c, digest.Challenge{Realm: "kept", Nonce: n, QOP: []string{"auth"}, Proxy: true}, register)
		authorize(t, c, digest.Challenge{Realm: "r" + n, Nonce: n, QOP: []string{"auth"}}, register)
		if i == 0 {
			authorize(t, c, digest.Challenge{Realm: "in use", Nonce: n, QOP: []string{"auth"}}, register)
		} else if _, ok := c.Preemptive(register, false, "in use", alice); !ok {
			t.Fatalf("realm in use dropped after %d", i)
		}
	}
	if got := c.Realms(server, false); len(got) != 32 || !slices.Contains(got, "kept") || !slices.Contains(got, "r499") {
		t.Errorf("%d realms: %v", len(got), got)
	}
	// a nonce in use survives any number of others
	f, _ := c.Preemptive(register, false, "kept", alice)
	if a := readField(t, f); a.Nonce != "same" || a.NC != 501 {
		t.Errorf("%s", a)
	}
}
