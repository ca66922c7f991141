package digest_test

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"testing"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
)

// unfold joins the lines an RFC breaks a field into.
func unfold(s string) string { return strings.Join(strings.Fields(s), " ") }

func mustChallenge(t testing.TB, value string) digest.Challenge {
	t.Helper()
	ch, err := digest.ParseChallenge(value)
	if err != nil {
		t.Fatalf("ParseChallenge(%q): %v", value, err)
	}
	return ch
}

// RFC 7616 §3.9.1, letter by letter.
func TestRFC7616Example1(t *testing.T) {
	const challenge = `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=%s,
		nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
		opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`
	const answer = `Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=%s,
		nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001,
		cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="%s",
		opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`
	in := digest.Input{Method: "GET", URI: "/dir/index.html"}
	for algorithm, response := range map[string]string{
		"MD5":     "8ca523f5e9506fed4657c9700eebdbec",
		"SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
	} {
		ch := mustChallenge(t, unfold(fmt.Sprintf(challenge, algorithm)))
		value := unfold(fmt.Sprintf(answer, algorithm, response))
		if err := digest.Verify(value, ch, digest.Password("Mufasa", "Circle of Life"), in); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
		// H(A1) of §3.4.5 is capitalised otherwise; the example's own password is the one that counts
		if err := digest.Verify(value, ch, digest.Password("Mufasa", "Circle Of Life"), in); !errors.Is(err, digest.ErrResponse) {
			t.Errorf("%s: wrong password: %v", algorithm, err)
		}
	}
}

// RFC 7616 §3.9.2. Its user name hash and response were computed with SHA-512 cut to 256 bits, which is not
// SHA-512/256: that starts from other initial values (FIPS 180-4 §5.3.6). The test shows both: the values as printed
// are what the wrong hash gives, and the values of the right hash are what we verify.
func TestRFC7616Example2(t *testing.T) {
	const (
		user     = "J\u00e4s\u00f8n Doe"
		password = "Secret, or not?"
		realm    = "api@example.org"
		nonce    = "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK"
		cnonce   = "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v"

		printedUser     = "488869477bf257147b804c45308cd62ac4e25eb717b12b298c79e62dcea254ec"
		printedResponse = "ae66e67d6b427bd3f120414a82e4acff38e8ecd9101d6c861229025f607a79dd"
		rightUser       = "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
		rightResponse   = "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
	)
	cut := func(parts ...string) string {
		sum := sha512.Sum512([]byte(strings.Join(parts, ":")))
		return hex.EncodeToString(sum[:32])
	}
	if got := cut(user, realm); got != printedUser {
		t.Errorf("SHA-512 cut to 256 bits gives user %s", got)
	}
	if got := cut(cut(user, realm, password), nonce, "00000001", cnonce, "auth", cut("GET", "/doe.json")); got != printedResponse {
		t.Errorf("SHA-512 cut to 256 bits gives response %s", got)
	}

	ch := mustChallenge(t, unfold(`Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256,
		nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
		opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8, userhash=true`))
	if !ch.Userhash || ch.Charset != "UTF-8" || ch.Algorithm != digest.SHA512256 {
		t.Errorf("challenge read as %+v", ch)
	}
	answer := func(username, response, userhash string) string {
		return unfold(`Digest ` + username + `, realm="api@example.org", uri="/doe.json", algorithm=SHA-512-256,
			nonce="` + nonce + `", nc=00000001, cnonce="` + cnonce + `", qop=auth, response="` + response + `",
			opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", userhash=` + userhash)
	}
	const extended = `username*=UTF-8''J%C3%A4s%C3%B8n%20Doe`
	in := digest.Input{Method: "GET", URI: "/doe.json"}
	for name, tt := range map[string]struct {
		value string
		want  error
	}{
		"hashed":              {answer(`username="`+rightUser+`"`, rightResponse, "true"), nil},
		"username*":           {answer(extended, rightResponse, "false"), nil},
		"hashed as printed":   {answer(`username="`+printedUser+`"`, printedResponse, "true"), digest.ErrMismatch},
		"response as printed": {answer(extended, printedResponse, "false"), digest.ErrResponse},
	} {
		if err := digest.Verify(tt.value, ch, digest.Password(user, password), in); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// The example of RFC 2617 §3.5, whose challenge and response RFC 3261 §22.2 reuses for bob@biloxi.com (where they
// prove nothing: there is no such user in them).
func TestRFC2617Example(t *testing.T) {
	ch := mustChallenge(t, `Digest realm="testrealm@host.com", qop="auth,auth-int", `+
		`nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"`)
	value := `Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", ` +
		`uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", ` +
		`response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"`
	in := digest.Input{Method: "GET", URI: "/dir/index.html"}
	for name, cred := range map[string]digest.Credentials{
		"password": digest.Password("Mufasa", "Circle Of Life"),
		"ha1":      digest.HA1("Mufasa", "testrealm@host.com", "939e7578ed9e3c518a452acee763bce9"),
		"HA1":      digest.HA1("Mufasa", "testrealm@host.com", "939E7578ED9E3C518A452ACEE763BCE9"),
	} {
		if err := digest.Verify(value, ch, cred, in); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// draft-smith-sipping-auth-examples-01, the examples SIP implementers compare with: each of its six sections.
func TestSIPAuthExamples(t *testing.T) {
	body := strings.Join([]string{
		"v=0", "o=bob 2890844526 2890844526 IN IP4 media.biloxi.com", "s=-", "c=IN IP4 media.biloxi.com", "t=0 0",
		"m=audio 49170 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "m=video 51372 RTP/AVP 31", "a=rtpmap:31 H261/90000",
		"m=video 53000 RTP/AVP 32", "a=rtpmap:32 MPV/90000", "",
	}, "\r\n")
	in := digest.Input{Method: sip.INVITE, URI: "sip:bob@biloxi.com", Body: []byte(body)}
	bob := digest.Password("bob", "zanzibar")
	for _, tt := range []struct{ section, algorithm, offer, qop, response string }{
		{"3.1", ``, ``, ``, "bf57e4e0d0bffc0fbaedce64d59add5e"},
		{"3.2", ``, `, qop="auth,auth-int"`, `auth`, "89eb0059246c02b2f6ee02c7961d5ea3"},
		{"3.3", `, algorithm=MD5`, `, qop="auth,auth-int"`, `auth`, "89eb0059246c02b2f6ee02c7961d5ea3"},
		{"3.4", `, algorithm=MD5-sess`, `, qop="auth,auth-int"`, `auth`, "e4e4ea61d186d07a92c9e1f6919902e9"},
		{"3.5", `, algorithm=MD5`, `, qop="auth,auth-int"`, `auth-int`, "bdbeebb2da6adb6bca02599c2239e192"},
		{"3.6", `, algorithm=MD5-sess`, `, qop="auth,auth-int"`, `auth-int`, "91984da2d8663716e91554859c22ca70"},
	} {
		const common = `realm="biloxi.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"`
		ch := mustChallenge(t, `Digest `+common+tt.algorithm+tt.offer)
		value := `Digest username="bob", uri="sip:bob@biloxi.com", response="` + tt.response + `", ` + common + tt.algorithm
		if tt.qop != "" {
			value += `, cnonce="0a4f113b", nc=00000001, qop=` + tt.qop
		}
		if err := digest.Verify(value, ch, bob, in); err != nil {
			t.Errorf("§%s: %v", tt.section, err)
		}
		changed := in
		changed.Method = sip.BYE
		if err := digest.Verify(value, ch, bob, changed); !errors.Is(err, digest.ErrResponse) {
			t.Errorf("§%s for a BYE: %v", tt.section, err)
		}
	}
}

// RFC 3665 prints digests that were made up (some are 26 or 31 digits long), so only their form is tested here.
func TestRFC3665Forms(t *testing.T) {
	ch := mustChallenge(t, unfold(`Digest realm="atlanta.example.com", qop="auth",
		nonce="ea9c8e88df84f1cec4341ae6cbe5a359",
		opaque="", stale=FALSE, algorithm=MD5`)) // §2.1 F2
	if ch.Realm != "atlanta.example.com" || ch.Nonce != "ea9c8e88df84f1cec4341ae6cbe5a359" || ch.Stale ||
		ch.Algorithm != digest.MD5 || len(ch.QOP) != 1 || ch.QOP[0] != "auth" {
		t.Errorf("read as %+v", ch)
	}
	if !strings.Contains(ch.String(), `opaque=""`) {
		t.Errorf("empty opaque lost: %s", ch)
	}
	a, err := digest.ParseAuthorization(unfold(`Digest username="bob", realm="atlanta.example.com",
		qop="auth", nonce="1cec4341ae6cbe5a359ea9c8e88df84f", opaque="",
		uri="sips:ss2.biloxi.example.com",
		response="71ba27c64bd01de719686aa4590d5824"`)) // §2.2 F1
	if err != nil || a.Username != "bob" || a.QOP != "auth" || a.URI != "sips:ss2.biloxi.example.com" {
		t.Errorf("%+v, %v", a, err)
	}
	_, err = digest.ParseAuthorization(unfold(`Digest username="bob", realm="atlanta.example.com"
		nonce="ea9c8e88df84f1cec4341ae6cbe5a359", opaque="",
		uri="sips:ss2.biloxi.example.com",
		response="dfe56131d1958046689d83306477ecc"`)) // §2.1 F3, a comma short
	if err == nil || !strings.Contains(err.Error(), "comma expected") {
		t.Errorf("missing comma: %v", err)
	}
}

// RFC 8760 §2.6 item 7: without a body, auth-int hashes the empty string.
func TestRFC8760EmptyBody(t *testing.T) {
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // as the RFC has it
	h := sha
	ch := mustChallenge(t, `Digest realm="example.com", nonce="n", qop="auth-int", algorithm=SHA-256`)
	in := digest.Input{Method: sip.BYE, URI: "sip:bob@192.0.2.4"}
	f, err := digest.NewClient(digest.Policy{}).Authorize(ch, digest.Password("alice", "pw"), in)
	if err != nil {
		t.Fatal(err)
	}
	a, err := digest.ParseAuthorization(f.Value)
	if err != nil {
		t.Fatal(err)
	}
	want := h(h("alice", "example.com", "pw"), "n", "00000001", a.CNonce, "auth-int", h("BYE", "sip:bob@192.0.2.4", empty))
	if a.Response != want {
		t.Errorf("response %s, want %s", a.Response, want)
	}
}

// reference is H of the RFC, written apart from the package.
func reference(h func() hash.Hash, parts ...string) string {
	d := h()
	d.Write([]byte(strings.Join(parts, ":")))
	return hex.EncodeToString(d.Sum(nil))
}

// Every algorithm with every quality of protection, hashed and plain user names, password and HA1: the response is
// recomputed from the RFC's formulas.
func TestEveryForm(t *testing.T) {
	hashes := map[digest.Algorithm]func() hash.Hash{
		"": md5.New, digest.MD5: md5.New, digest.MD5Sess: md5.New,
		digest.SHA256: sha256.New, digest.SHA256Sess: sha256.New,
		digest.SHA512256: sha512.New512_256, digest.SHA512256Sess: sha512.New512_256,
	}
	const user, password, realm, uri = `al"ic\e`, "p:w \"", `ex"am\ple`, "sip:bob@example.com;transport=ws"
	body := []byte("v=0\r\n")
	for algorithm, hf := range hashes {
		h := func(parts ...string) string { return reference(hf, parts...) }
		for _, offer := range []string{"", "auth", "auth-int", "auth,auth-int", "AUTH", "token,auth"} {
			for _, userhash := range []bool{false, true} {
				ch := digest.Challenge{Realm: realm, Nonce: `no"nce`, Algorithm: algorithm, Userhash: userhash, Opaque: "o"}
				if offer != "" {
					ch.QOP = strings.Split(offer, ",")
				}
				sess := strings.HasSuffix(string(algorithm), "-sess")
				qop := "auth"
				if offer == "" && !sess {
					qop = ""
				} else if offer == "auth-int" {
					qop = "auth-int"
				}
				for _, cred := range []digest.Credentials{
					digest.Password(user, password),
					digest.HA1With(algorithmOrMD5(algorithm), user, realm, strings.ToUpper(h(user, realm, password))),
				} {
					name := fmt.Sprintf("%q %q userhash=%v", algorithm, offer, userhash)
					in := digest.Input{Server: "s", Method: sip.INVITE, URI: uri, Body: body}
					f, err := digest.NewClient(digest.Policy{}).Authorize(ch, cred, in)
					if err != nil {
						t.Errorf("%s: %v", name, err)
						continue
					}
					a, err := digest.ParseAuthorization(f.Value)
					if err != nil {
						t.Errorf("%s: %v in %s", name, err, f.Value)
						continue
					}
					wantUser := user
					if userhash {
						wantUser = h(user, realm)
					}
					a1 := h(user, realm, password)
					if sess {
						a1 = h(a1, ch.Nonce, a.CNonce)
					}
					a2 := h("INVITE", uri)
					if qop == "auth-int" {
						a2 = h("INVITE", uri, h(string(body)))
					}
					want := h(a1, ch.Nonce, "00000001", a.CNonce, qop, a2)
					if qop == "" {
						want = h(a1, ch.Nonce, a2)
					}
					if a.Response != want || a.QOP != qop || a.Username != wantUser || a.Userhash != userhash ||
						a.Algorithm != algorithm || a.Realm != realm || a.Nonce != ch.Nonce || a.URI != uri || a.Opaque != "o" {
						t.Errorf("%s: %s, want response %s and qop %q", name, f.Value, want, qop)
					}
					if err := a.Verify(ch, cred, in); err != nil {
						t.Errorf("%s: Verify: %v", name, err)
					}
				}
			}
		}
	}
}

func algorithmOrMD5(a digest.Algorithm) digest.Algorithm {
	if a == "" {
		return digest.MD5
	}
	return a
}

func sha(parts ...string) string { return reference(sha256.New, parts...) }
