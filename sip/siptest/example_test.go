package siptest_test

import (
	"context"
	"fmt"
	"log"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// A server in the process, and a client of whatever kind that connects to it.
func ExampleNewServer() {
	srv, err := siptest.NewServer(siptest.Options{Domain: "example.com"})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()

	dialer := websocket.Dialer{NetDialContext: srv.DialContext, Subprotocols: []string{"sip"}}
	ws, _, err := dialer.Dial(srv.URL(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer ws.Close()
	ws.WriteMessage(websocket.TextMessage, []byte("REGISTER sip:example.com SIP/2.0\r\n"+
		"Via: SIP/2.0/WS a.invalid;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"+
		"From: <sip:alice@example.com>;tag=1\r\nTo: <sip:alice@example.com>\r\n"+
		"Call-ID: 1\r\nCSeq: 1 REGISTER\r\nContact: <sip:alice@a.invalid>\r\n\r\n"))

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := srv.WaitRegistered(ctx, "alice"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(srv.Bindings("alice")[0].Contact)
	// Output: <sip:alice@a.invalid>
}

// The server itself answers a call, and hangs up.
func ExampleExpect() {
	test := func(t *testing.T, srv *siptest.Server) {
		p := siptest.Expect(t, srv)
		// … the program under test calls somebody …
		inv := p.Expect(sip.INVITE)
		inv.Respond(180)
		inv.Respond(200, siptest.SDP("v=0\r\n…"))
		p.Expect(sip.ACK)
		bye := inv.Dialog().Request(sip.BYE)
		bye.ExpectResponse(200)
	}
	_ = test
}

// Two registered users behind the proxy call each other.
func ExamplePeer() {
	test := func(t *testing.T, srv *siptest.Server) {
		alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
		call := alice.Request(sip.INVITE, "bob")
		bob.Expect(sip.INVITE).Respond(486)
		call.ExpectResponse(486).ACK()
	}
	_ = test
}

// One INVITE reaches two phones, which ring in dialogs of their own.
func ExampleReceived_Fork() {
	test := func(t *testing.T, srv *siptest.Server) {
		inv := siptest.Expect(t, srv).Expect(sip.INVITE)
		inv.Fork("desk").Respond(180)
		inv.Fork("mobile").Respond(183, siptest.SDP("v=0\r\n…"))
		inv.Fork("mobile").Respond(200, siptest.SDP("v=0\r\n…"))
	}
	_ = test
}

// A registrar that is overloaded.
func ExampleScript_Take() {
	test := func(t *testing.T, srv *siptest.Server) {
		p := siptest.Expect(t, srv)
		p.Take(sip.REGISTER)
		p.Expect(sip.REGISTER).Respond(503, siptest.Header("Retry-After", "30"))
		p.Release() // the next attempt succeeds
	}
	_ = test
}

// The test plays the WebSocket server, frame by frame.
func ExampleExpectConn() {
	test := func(t *testing.T, srv *siptest.Server) {
		c := siptest.ExpectConn(t, srv).Accept()
		register := c.ExpectFrame(siptest.OpText)
		if !register.Fin {
			t.Error("REGISTER came in fragments")
		}
		c.Ping("still there?")
		c.ExpectFrame(siptest.OpPong)
		c.Close(1001, "going away")
		c.ExpectClose()
	}
	_ = test
}

// The line breaks down, and comes back.
func ExampleServer_Refuse() {
	srv, err := siptest.NewServer(siptest.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	srv.Refuse(siptest.Refusal{Status: 503, RetryAfter: 10 * time.Second})
	srv.Drop()
	_, res, _ := (&websocket.Dialer{NetDialContext: srv.DialContext}).Dial(srv.URL(), nil)
	fmt.Println(res.Status, res.Header.Get("Retry-After"))
	srv.Admit()
	// Output: 503 Service Unavailable 10
}

func ExamplePipe() {
	client, server := siptest.Pipe()
	fmt.Fprint(client, "hello") // net.Pipe would wait for a reader here
	buf := make([]byte, 16)
	n, _ := server.Read(buf)
	fmt.Printf("%s\n", buf[:n])
	server.Cut()
	_, err := client.Write([]byte("more"))
	fmt.Println(err)
	// Output:
	// hello
	// write memory left->right: connection reset by peer
}
