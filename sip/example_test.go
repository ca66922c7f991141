package sip_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gosipua/sipua/sip"
)

func Example() {
	m, err := sip.Parse([]byte("OPTIONS sip:bob@example.com SIP/2.0\r\n" +
		"Via: SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bKhjhs8ass877\r\n" +
		"f: \"Alice\" <sip:alice@example.com>;tag=1928301774\r\n" +
		"t: <sip:bob@example.com>\r\n" +
		"i: a84b4c76e66710\r\n" +
		"CSeq: 63104 OPTIONS\r\n\r\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	req := m.(*sip.Request)
	res := sip.NewResponse(req, sip.StatusOK, "")
	res.SetToTag("93810874")
	if err := res.SetHeader("Allow", "INVITE, ACK, CANCEL, OPTIONS, BYE"); err != nil {
		fmt.Println(err)
	}
	fmt.Println("from", req.From().Display)
	fmt.Print(strings.ReplaceAll(res.String(), "\r\n", "\n"))
	// Output:
	// from Alice
	// SIP/2.0 200 OK
	// Via: SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bKhjhs8ass877
	// From: "Alice" <sip:alice@example.com>;tag=1928301774
	// To: <sip:bob@example.com>;tag=93810874
	// Call-ID: a84b4c76e66710
	// CSeq: 63104 OPTIONS
	// Allow: INVITE, ACK, CANCEL, OPTIONS, BYE
	// Content-Length: 0
}

func ExampleNewRequest() {
	alice := sip.URI{Scheme: "sip", User: "alice", Host: "example.com"}
	req := sip.NewRequest(sip.REGISTER, sip.URI{Scheme: "sip", Host: "example.com"})
	err := errors.Join(
		req.SetFrom(sip.NameAddr{Display: `Alice "Al" Liddell`, URI: alice, Params: ";tag=a73kszlfl"}),
		req.SetTo(sip.NameAddr{URI: alice}),
		req.SetCallID("1j9FpLxk3uxtm8tn"),
		req.SetCSeq(sip.CSeq{Seq: 1, Method: sip.REGISTER}),
		req.SetContact(sip.NameAddr{
			URI:    sip.URI{Scheme: "sip", User: "a", Host: "x.invalid"}.WithParam("transport", "ws"),
			Params: sip.Params("").With("reg-id", "1").With("+sip.instance", "<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"),
		}),
	)
	fmt.Println(err)
	fmt.Print(strings.ReplaceAll(req.String(), "\r\n", "\n"))
	// Output:
	// <nil>
	// REGISTER sip:example.com SIP/2.0
	// From: "Alice \"Al\" Liddell" <sip:alice@example.com>;tag=a73kszlfl
	// To: <sip:alice@example.com>
	// Call-ID: 1j9FpLxk3uxtm8tn
	// CSeq: 1 REGISTER
	// Contact: <sip:a@x.invalid;transport=ws>;reg-id=1;+sip.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"
	// Content-Length: 0
}

func ExampleParseURI() {
	u, err := sip.ParseURI("SIP:%61lice@EXAMPLE.com;transport=WS")
	fmt.Println(u, err)
	fmt.Println(u.UserText(), u.Params.Value("transport"))
	v, _ := sip.ParseURI("sip:alice@example.com;transport=ws")
	fmt.Println(u == v, u.Equal(v))
	// Output:
	// sip:%61lice@example.com;transport=WS <nil>
	// alice WS
	// false true
}

func ExampleNormalizeTarget() {
	domain := sip.URI{Scheme: "sip", Host: "example.com"}
	for _, typed := range []string{"bob", "bob@example.org", "+1 (555) 123-4567", "sips:bob@example.org"} {
		fmt.Println(sip.NormalizeTarget(typed, domain, false))
	}
	// Output:
	// sip:bob@example.com <nil>
	// sip:bob@example.org <nil>
	// sip:+15551234567@example.com;user=phone <nil>
	//  sip: target "sips:bob@example.org": sips is not supported
}

func ExampleResponseError() {
	res := sip.NewResponse(sip.NewRequest(sip.INVITE, sip.URI{}), sip.StatusBusyHere, "")
	var err error = fmt.Errorf("calling bob: %w", &sip.ResponseError{Method: sip.INVITE, Response: res})
	fmt.Println(err)
	fmt.Println(errors.Is(err, sip.StatusBusyHere), int(sip.StatusOf(err)))
	// Output:
	// calling bob: sip: INVITE: 486 Busy Here
	// true 486
}

func ExampleRequest_Check() {
	text := "INVITE sips:bob@example.com SIP/2.0\nVia: SIP/2.0/WSS a.invalid\nFrom: <sip:a@h>;tag=1\nTo: <sip:b@h>\nCall-ID: c\n" +
		"CSeq: 1 INVITE\nContact: <sip:a@h>\n\n"
	m, err := sip.Parse([]byte(strings.ReplaceAll(text, "\n", "\r\n")))
	if err != nil {
		fmt.Println(err)
		return
	}
	if p := m.(*sip.Request).Check(); p != nil {
		fmt.Println(p.Code, "because of the", p.Field)
	}
	// Output:
	// 416 Unsupported URI Scheme because of the Request-URI
}
