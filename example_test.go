package sipua_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// server is a SIP server in the process, where a program would have its
// provider's.
func server() (*siptest.Server, sipua.Config) {
	srv, err := siptest.NewServer(siptest.Options{Domain: "example.com", Users: map[string]string{"alice": "wonderland", "bob": "builder"}})
	if err != nil {
		log.Fatal(err)
	}
	return srv, sipua.Config{
		URI:         "sip:alice@example.com",
		Password:    "wonderland",
		WSServers:   sipua.Servers(srv.URL()),
		DialContext: srv.DialContext,
		STUNServers: []string{},
	}
}

// A program that registers, calls somebody and talks.
func Example() {
	srv, cfg := server()
	defer srv.Close()
	ctx := context.Background()

	bob := cfg
	bob.URI, bob.Password = "sip:bob@example.com", "builder"
	bob.Handler.Call = func(in *session.Incoming) {
		fmt.Println("bob: call from", in.From().URI)
		if _, err := in.Answer(ctx, nil); err != nil {
			log.Print(err)
		}
	}
	callee, err := sipua.NewUA(bob)
	if err != nil {
		log.Fatal(err)
	}
	defer callee.Close()
	if err := callee.Start(ctx); err != nil {
		log.Fatal(err)
	}

	ua, err := sipua.NewUA(cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer ua.Shutdown(ctx)
	if err := ua.Start(ctx); err != nil {
		log.Fatal(err)
	}
	tone := rtc.NewTrack(rtc.Audio)
	call, err := ua.Call(ctx, "bob", &session.CallOptions{Media: rtc.New(rtc.Options{Tracks: []rtc.Track{tone}})})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("alice:", call.State(), "to", call.RemoteIdentity().URI)
	if err := call.Hangup(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// bob: call from sip:alice@example.com
	// alice: Confirmed to sip:bob@example.com
}

// The SIP response is the error.
func ExampleUA_Call() {
	srv, cfg := server()
	defer srv.Close()
	ua, err := sipua.NewUA(cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer ua.Close()
	if err := ua.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	_, err = ua.Call(context.Background(), "status-486", nil) // a user of the test server who is always busy
	var end *session.EndError
	fmt.Println(errors.Is(err, sip.StatusBusyHere), sip.StatusOf(err), errors.As(err, &end) && end.Remote, end.Cause())
	// Output:
	// true 486 Busy Here true Busy
}

// All that is wrong with a configuration is reported at once, by name.
func ExampleNewUA() {
	_, err := sipua.NewUA(sipua.Config{
		URI:         "sip:example.com",
		WSServers:   sipua.Servers("http://sip.example.com"),
		STUNServers: []string{"example.org"},
	})
	fmt.Println(err)
	// Output:
	// sipua: config: uri "sip:example.com" has no user
	// sipua: config: ws_servers "http://sip.example.com" (entry 1): ws_uri must begin with ws:// or wss://
	// sipua: config: stun_servers "example.org" is not a STUN URI: want stun:HOST[:PORT] or stuns:HOST[:PORT]
}
