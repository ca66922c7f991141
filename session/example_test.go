package session_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// A decision on an incoming call, and what the caller hears of it.
func ExampleIncoming() {
	srv, err := siptest.NewServer(siptest.Options{Domain: "example.com"})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	ctx := context.Background()
	phone := func(user string, call func(*session.Incoming)) *sipua.UA {
		ua, err := sipua.NewUA(sipua.Config{
			URI: "sip:" + user + "@example.com", WSServers: sipua.Servers(srv.URL()), DialContext: srv.DialContext,
			STUNServers: []string{}, Handler: sipua.Handler{Call: call},
		})
		if err == nil {
			err = ua.Start(ctx)
		}
		if err != nil {
			log.Fatal(err)
		}
		return ua
	}
	bob := phone("bob", func(in *session.Incoming) {
		if err := in.Reject(sip.StatusBusyHere, &session.RejectOptions{Reason: "At lunch"}); err != nil {
			log.Print(err)
		}
	})
	defer bob.Close()
	alice := phone("alice", nil)
	defer alice.Close()

	_, err = alice.Call(ctx, "bob", nil)
	var refused *sip.ResponseError
	fmt.Println(errors.Is(err, sip.StatusBusyHere), errors.As(err, &refused) && refused.Response.Reason() == "At lunch")
	// Output: true true
}
