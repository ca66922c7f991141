package digest_test

import (
	"fmt"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
)

// A client answers a 401, and goes on with the same nonce.
func Example() {
	const server = "wss://sip.example.com"
	uri, _ := sip.ParseURI("sip:example.com")
	req := sip.NewRequest(sip.REGISTER, uri)
	res := sip.NewResponse(req, sip.StatusUnauthorized, "")
	_ = res.AddHeader("WWW-Authenticate", `Digest realm="example.com", nonce="dcd98b", qop="auth", algorithm=SHA-256`)
	_ = res.AddHeader("WWW-Authenticate", `Digest realm="example.com", nonce="dcd98b", qop="auth", algorithm=MD5`)

	client := digest.NewClient(digest.Policy{})
	cred := digest.Password("alice", "wonderland")
	chosen, err := client.Choose(digest.Challenges(res), cred)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, ch := range chosen {
		field, err := client.Authorize(ch, cred, digest.InputOf(server, req))
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = req.AddHeader(field.Name, field.Value)
	}
	sent, _ := digest.Find(req, false, "example.com")
	fmt.Println(sent.Algorithm, sent.Nonce, sent.NC)

	later, _ := client.Preemptive(digest.InputOf(server, req), false, "example.com", cred)
	answer, _ := digest.ParseAuthorization(later.Value)
	fmt.Println(answer.Algorithm, answer.Nonce, answer.NC)
	// Output:
	// SHA-256 dcd98b 1
	// SHA-256 dcd98b 2
}

// A server challenges, and checks the answer.
func ExampleVerify() {
	ch := digest.Challenge{
		Realm: "biloxi.com", Nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093", QOP: []string{"auth"}, Algorithm: digest.MD5,
	}
	fmt.Println(ch.Field().Name+":", ch)

	answer := `Digest username="bob", realm="biloxi.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", ` +
		`uri="sip:bob@biloxi.com", qop=auth, nc=00000001, cnonce="0a4f113b", algorithm=MD5, ` +
		`response="89eb0059246c02b2f6ee02c7961d5ea3"`
	in := digest.Input{Method: sip.INVITE, URI: "sip:bob@biloxi.com"}
	fmt.Println(digest.Verify(answer, ch, digest.Password("bob", "zanzibar"), in))
	fmt.Println(digest.Verify(answer, ch, digest.Password("bob", "guess"), in))
	// Output:
	// WWW-Authenticate: Digest realm="biloxi.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", algorithm=MD5, qop="auth"
	// <nil>
	// digest: wrong response
}

// Credentials do not print their secret.
func ExamplePassword() {
	cred := digest.Password("alice", "wonderland")
	fmt.Printf("%v %+v %#v\n", cred, cred, cred)
	// Output: "alice" [redacted] "alice" [redacted] "alice" [redacted]
}

// A token goes as it is, asked for or not.
func ExampleBearer() {
	field, err := digest.Bearer("eyJhbGciOiJkaXIi").Field(false)
	fmt.Println(field.Name+":", field.Value, err)
	// Output: Authorization: Bearer eyJhbGciOiJkaXIi <nil>
}

// A nonce from Authentication-Info is used for the next request.
func ExampleClient_Learn() {
	uri, _ := sip.ParseURI("sip:example.com")
	req := sip.NewRequest(sip.REGISTER, uri)
	client := digest.NewClient(digest.Policy{})
	cred := digest.Password("alice", "wonderland")
	ch := digest.Challenge{Realm: "example.com", Nonce: "first", QOP: []string{"auth"}}
	field, err := client.Authorize(ch, cred, digest.InputOf("srv", req))
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = req.AddHeader(field.Name, field.Value)

	res := sip.NewResponse(req, sip.StatusOK, "")
	info := digest.Info{NextNonce: "second"}.Field(false)
	_ = res.AddHeader(info.Name, info.Value)
	client.Learn("srv", req, res)

	next, _ := client.Preemptive(digest.InputOf("srv", req), false, "example.com", cred)
	answer, _ := digest.ParseAuthorization(next.Value)
	fmt.Println(answer.Nonce, answer.NC)
	// Output: second 1
}
