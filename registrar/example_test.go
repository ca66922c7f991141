package registrar_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/sip/siptest"
)

// A UA tells its program each change of the registration, and where it stands.
func Example() {
	srv, err := siptest.NewServer(siptest.Options{Domain: "example.com", Users: map[string]string{"alice": "wonderland"}})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()

	events := make(chan registrar.Event, 8)
	ua, err := sipua.NewUA(sipua.Config{
		URI: "sip:alice@example.com", Password: "wonderland",
		WSServers: sipua.Servers(srv.URL()), DialContext: srv.DialContext, // where a program has its provider's
		Handler: sipua.Handler{Registration: func(e registrar.Event) { events <- e }},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer ua.Close()
	if err := ua.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	e := <-events
	fmt.Println(e.Kind, "for", time.Until(e.Registration.Expires).Round(time.Minute))
	fmt.Println("now", ua.Registration().State)

	if err := ua.Unregister(context.Background(), false); err != nil {
		log.Fatal(err)
	}
	e = <-events
	fmt.Println(e.Kind, "and", e.Registration.State)
	// Output:
	// registered for 10m0s
	// now Registered
	// unregistered and Unregistered
}
