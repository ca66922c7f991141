package digest_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gosipua/sipua/sip/digest"
)

func TestChoose(t *testing.T) {
	ha1 := digest.HA1("alice", "r1", strings.Repeat("a", 32))
	for _, tt := range []struct {
		name   string
		policy digest.Policy
		offers []string // "proxy " in front for Proxy-Authenticate
		creds  []digest.Credentials
		want   []int // indexes into offers
	}{
		{"one", digest.Policy{}, []string{`Digest realm="r1", nonce="n"`}, nil, []int{0}},
		{"server's order, not strength", digest.Policy{}, []string{
			`Digest realm="r1", nonce="n", algorithm=MD5`, `Digest realm="r1", nonce="n", algorithm=SHA-256`,
		}, nil, []int{0}},
		{"unknown algorithm, scheme and qop skipped", digest.Policy{}, []string{
			`Digest realm="r1", nonce="n", algorithm=SHA3-256`, `Basic realm="r1"`, `Digest realm="r1", nonce="n", qop="conf"`,
			`Digest realm="r1", nonce="n", algorithm=AKAv1-MD5`, `Digest realm="r1", nonce="n", qop="conf,auth-int"`,
			`Digest realm="r1", nonce="n", qop="auth"`,
		}, nil, []int{4}},
		{"disabled skipped", digest.Policy{Algorithms: []digest.Algorithm{digest.SHA256}}, []string{
			`Digest realm="r1", nonce="n"`, `Digest realm="r1", nonce="n", algorithm=SHA-256-sess`,
			`Digest realm="r1", nonce="n", algorithm=sha-256`,
		}, nil, []int{2}},
		{"qop required", digest.Policy{RequireQOP: true}, []string{
			`Digest realm="r1", nonce="n", algorithm=SHA-256`, `Digest realm="r1", nonce="n", qop="auth"`,
		}, nil, []int{1}},
		{"each realm, servers and proxies apart", digest.Policy{}, []string{
			`Digest realm="r1", nonce="1"`, `proxy Digest realm="r2", nonce="2"`, `proxy Digest realm="r1", nonce="3"`,
			`Digest realm="r1", nonce="4"`, `Digest realm="r2", nonce="5"`, `proxy Digest realm="r2", nonce="6"`,
		}, nil, []int{0, 1, 2, 4}},
		{"a realm that cannot be answered does not stop the others", digest.Policy{}, []string{
			`Digest realm="r1", nonce="1", algorithm=X`, `Digest realm="r2", nonce="2"`,
		}, nil, []int{1}},
		{"an HA1 picks its algorithm", digest.Policy{}, []string{
			`Digest realm="r1", nonce="n", algorithm=SHA-256`, `Digest realm="r1", nonce="n", algorithm=MD5-sess`,
		}, []digest.Credentials{ha1}, []int{1}},
		{"an HA1 picks its realm", digest.Policy{}, []string{
			`Digest realm="r2", nonce="n"`, `Digest realm="r1", nonce="n"`,
		}, []digest.Credentials{ha1}, []int{1}},
		{"several credentials", digest.Policy{}, []string{
			`Bearer realm="r1"`, `Digest realm="r1", nonce="n"`, `Digest realm="r2", nonce="n"`,
		}, []digest.Credentials{ha1, digest.Bearer("t")}, []int{0}},
		{"bearer not offered to a password", digest.Policy{}, []string{
			`Bearer realm="r1"`, `Digest realm="r1", nonce="n"`,
		}, []digest.Credentials{alice}, []int{1}},
		{"bearer by policy", digest.Policy{Bearer: true}, []string{
			`Basic realm="r1"`, `Bearer realm="r1"`, `Digest realm="r1", nonce="n"`,
		}, nil, []int{1}},
		{"bearer not by default", digest.Policy{}, []string{
			`Bearer realm="r1"`, `Digest realm="r1", nonce="n"`,
		}, nil, []int{1}},
		{"a verbatim scheme", digest.Policy{}, []string{
			`Digest realm="r1", nonce="n"`, `Token realm="r1"`,
		}, []digest.Credentials{digest.Verbatim("token abc")}, []int{1}},
	} {
		var cs []digest.Challenge
		for _, o := range tt.offers {
			value, proxy := strings.CutPrefix(o, "proxy ")
			ch := mustChallenge(t, value)
			ch.Proxy = proxy
			cs = append(cs, ch)
		}
		got, err := digest.NewClient(tt.policy).Choose(cs, tt.creds...)
		var want []string
		for _, i := range tt.want {
			want = append(want, fmt.Sprint(cs[i].Proxy, cs[i]))
		}
		var have []string
		for _, ch := range got {
			have = append(have, fmt.Sprint(ch.Proxy, ch))
		}
		if err != nil || !slices.Equal(have, want) {
			t.Errorf("%s: chose %q, %v; want %q", tt.name, have, err, want)
		}
	}
}

func TestChooseNothing(t *testing.T) {
	c := digest.NewClient(digest.Policy{Algorithms: []digest.Algorithm{digest.SHA256}})
	cs := []digest.Challenge{
		mustChallenge(t, `Digest realm="r1", nonce="secretnonce", qop="auth"`),
		mustChallenge(t, `Basic realm="`+strings.Repeat("x", 500)+`"`),
	}
	_, err := c.Choose(cs)
	var ue *digest.UnsupportedError
	if !errors.As(err, &ue) || len(ue.Offered) != 2 {
		t.Fatalf("%v", err)
	}
	text := ue.Error()
	if !strings.Contains(text, `Digest realm="r1" algorithm=MD5 qop="auth"`) || !strings.Contains(text, "Basic") ||
		strings.Contains(text, "secretnonce") || len(text) > 300 {
		t.Errorf("%s", text)
	}
	if _, err := c.Choose(nil); !errors.As(err, &ue) || len(ue.Offered) != 0 || !strings.Contains(err.Error(), "no challenge in") {
		t.Errorf("%v", err)
	}
	if _, err := c.Choose(slices.Repeat(cs, 100)); len(err.Error()) > 1500 || !strings.Contains(err.Error(), "and 192 more") {
		t.Errorf("%v", err)
	}
	// a Client's policy is its own
	p := digest.Policy{Algorithms: []digest.Algorithm{digest.SHA256}}
	own := digest.NewClient(p)
	p.Algorithms[0] = digest.MD5
	if _, err := own.Choose(cs); err == nil {
		t.Error("the caller's slice changed the policy")
	}
	// what Choose would not pick, Authorize does not answer
	if _, err := c.Authorize(cs[0], alice, register); !errors.As(err, &ue) {
		t.Errorf("disabled algorithm answered: %v", err)
	}
	if none := digest.NewClient(digest.Policy{Algorithms: []digest.Algorithm{}}); func() bool { _, err := none.Choose(cs); return err == nil }() {
		t.Error("an empty list of algorithms enables some")
	}
}

func TestQOPChoice(t *testing.T) {
	for _, tt := range []struct {
		offer  string
		prefer bool
		want   string
	}{
		{"auth,auth-int", false, "auth"}, {"auth-int,auth", false, "auth"}, {"auth-int", false, "auth-int"}, {"auth", false, "auth"},
		{"auth,auth-int", true, "auth-int"}, {"auth", true, "auth"}, {"auth-int", true, "auth-int"},
	} {
		c := digest.NewClient(digest.Policy{PreferAuthInt: tt.prefer})
		ch := mustChallenge(t, `Digest realm="r", nonce="n", qop="`+tt.offer+`"`)
		a := authorize(t, c, ch, invite)
		if a.QOP != tt.want {
			t.Errorf("%q, prefer %v: %s", tt.offer, tt.prefer, a.QOP)
		}
		if err := a.Verify(ch, alice, invite); err != nil {
			t.Errorf("%q: %v", tt.offer, err)
		}
		changed := invite
		changed.Body = []byte("v=1\r\n")
		if err := a.Verify(ch, alice, changed); errors.Is(err, digest.ErrResponse) != (tt.want == "auth-int") {
			t.Errorf("%q with another body: %v", tt.offer, err)
		}
	}
}

func TestDowngrade(t *testing.T) {
	md5 := mustChallenge(t, `Digest realm="r", nonce="n"`)
	md5sess := mustChallenge(t, `Digest realm="r", nonce="n", algorithm=MD5-sess, qop="auth"`)
	sha := mustChallenge(t, `Digest realm="r", nonce="n", algorithm=SHA-256`)
	sha512 := mustChallenge(t, `Digest realm="r", nonce="n", algorithm=SHA-512-256`)
	other := mustChallenge(t, `Digest realm="r2", nonce="n"`)
	elsewhere := invite
	elsewhere.Server = "wss://evil.example.com"
	var de *digest.DowngradeError

	c := digest.NewClient(digest.Policy{})
	authorize(t, c, md5, register)
	authorize(t, c, sha512, register)
	for _, weak := range []digest.Challenge{md5, md5sess} {
		weak.Proxy = true // a proxy's word weighs no more
		if _, err := c.Choose([]digest.Challenge{weak}); !errors.As(err, &de) || de.Realm != "r" ||
			de.Used != digest.SHA512256 || de.Offered != algorithmOrMD5(weak.Algorithm) {
			t.Errorf("%s chosen: %v", weak, err)
		}
		if _, err := c.Authorize(weak, alice, elsewhere); !errors.As(err, &de) {
			t.Errorf("%s answered: %v", weak, err)
		}
	}
	authorize(t, c, sha, register) // the SHA-2 forms are equals
	if got, err := c.Choose([]digest.Challenge{md5, sha, other}); err != nil || len(got) != 2 ||
		got[0].Algorithm != digest.SHA256 || got[1].Realm != "r2" {
		t.Errorf("chose %v, %v", got, err)
	}
	c.Forget("", "")
	if _, err := c.Choose([]digest.Challenge{md5}); !errors.As(err, &de) {
		t.Errorf("forgotten: %v", err)
	}

	// a nonce remembered from before the realm became stronger is not used any more
	c = digest.NewClient(digest.Policy{})
	authorize(t, c, md5, elsewhere)
	authorize(t, c, sha, invite)
	if f, ok := c.Preemptive(elsewhere, false, "r", alice); ok {
		t.Errorf("weak nonce reused: %s", f.Value)
	}
}

// Whoever is called can challenge in our realm's name. That must not lock us out of our registrar.
func TestStrangerCannotRaiseRegistrarsFloor(t *testing.T) {
	c := digest.NewClient(digest.Policy{})
	md5 := mustChallenge(t, `Digest realm="r", nonce="n"`)
	sha := mustChallenge(t, `Digest realm="r", nonce="evil", algorithm=SHA-256`)
	authorize(t, c, md5, register)
	authorize(t, c, sha, invite)
	if _, err := c.Choose([]digest.Challenge{md5}); err != nil {
		t.Errorf("registrar refused: %v", err)
	}
	authorize(t, c, sha, register)
	if _, err := c.Choose([]digest.Challenge{md5}); err == nil {
		t.Error("registrar's own rise forgotten")
	}
}
