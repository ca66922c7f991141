// Command forward sends every caller to another address, until it is
// interrupted, and shows a caller that goes where it is sent.
//
//	go run ./examples/forward -server wss://sip.example.com/ws -uri sip:desk@example.com -password secret -to mobile
//	go run ./examples/forward -server wss://sip.example.com/ws -uri sip:alice@example.com -password secret -call desk
//
// Flags:
//
//	-server URL        WebSocket URL of the SIP server
//	-uri URI           our address
//	-password SECRET   our password
//	-to ADDRESS        where callers are sent (302)
//	-busy              callers hear busy (486) instead
//	-call ADDRESS      call this address and follow where it leads
//
// Without -server it starts a server in the process: desk forwards to bob, and
// alice, who calls desk, talks to bob. Then it ends by itself.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// forwardTo returns what sends each caller to an address, and says so.
func forwardTo(address sip.URI) func(*session.Incoming) {
	return func(in *session.Incoming) {
		o := &session.RedirectOptions{Diversion: "unconditional"}
		if err := in.RedirectWith(o, sip.NameAddr{URI: address}); err != nil {
			log.Printf("%v: %v", in.From().URI, err)
			return
		}
		log.Printf("%v is sent to %v", in.From().URI, address)
	}
}

// busy lets each caller hear busy.
func busy(in *session.Incoming) {
	if err := in.Reject(sip.StatusBusyHere, nil); err != nil {
		log.Printf("%v: %v", in.From().URI, err)
	}
}

// follow calls somebody and goes where the call is sent: to addresses of our
// own domain, since others may cost money.
func follow(ctx context.Context, ua *sipua.UA, to, domain string) (*session.Session, error) {
	return ua.Call(ctx, to, &session.CallOptions{
		Redirect: func(_ *session.Session, r *session.Redirection) []sip.NameAddr {
			var ours []sip.NameAddr
			for _, c := range r.Contacts {
				log.Printf("%v sends us to %v", r.From, c.URI)
				if strings.EqualFold(c.URI.Host, domain) {
					ours = append(ours, c)
				}
			}
			return ours
		},
	})
}

var (
	server   = flag.String("server", "", "WebSocket `URL` of the SIP server; empty: one in the process")
	uri      = flag.String("uri", "sip:desk@example.com", "our address")
	password = flag.String("password", "", "our password")
	to       = flag.String("to", "bob", "where callers are sent")
	isBusy   = flag.Bool("busy", false, "callers hear busy instead")
	call     = flag.String("call", "", "`address` to call, and to follow")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run := demo
	if *server != "" {
		run = serve
	}
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

// serve is the program at a server of its own.
func serve(ctx context.Context) error {
	cfg := sipua.Config{URI: *uri, Password: *password, WSServers: sipua.Servers(*server)}
	own, err := sip.NormalizeTarget(*uri, sip.URI{}, false)
	if err != nil {
		return err
	}
	address, err := sip.NormalizeTarget(*to, own, false)
	if err != nil {
		return err
	}
	cfg.Handler.Call = forwardTo(address)
	if *isBusy {
		cfg.Handler.Call = busy
	}
	ua, err := start(ctx, cfg)
	if err != nil {
		return err
	}
	defer ua.Shutdown(context.Background())
	if *call == "" {
		<-ctx.Done()
		return nil
	}
	s, err := follow(ctx, ua, *call, own.Host)
	if err != nil {
		return err
	}
	log.Print("talking")
	select {
	case <-ctx.Done():
		return s.Hangup(context.Background())
	case <-s.Context().Done():
		return context.Cause(s.Context())
	}
}

// demo has all three at a server in the process.
func demo(ctx context.Context) error {
	srv, err := siptest.NewServer(siptest.Options{
		Domain: "example.com",
		Users:  map[string]string{"alice": "wonderland", "desk": "drawer", "bob": "builder"},
		Listen: true,
	})
	if err != nil {
		return err
	}
	defer srv.Close()
	at := func(user, password string, h func(*session.Incoming)) (*sipua.UA, error) {
		return start(ctx, sipua.Config{
			URI: "sip:" + user + "@example.com", Password: password, WSServers: sipua.Servers(srv.URL()),
			STUNServers: []string{}, Handler: sipua.Handler{Call: h},
		})
	}
	answered := make(chan sip.URI, 1)
	bob, err := at("bob", "builder", func(in *session.Incoming) {
		if _, err := in.Answer(ctx, nil); err != nil {
			log.Print(err)
			return
		}
		if d := in.Diversions(); len(d) > 0 {
			log.Printf("bob: a call for %v, %s", d[0].Address.URI.User, d[0].Reason())
		}
		answered <- in.From().URI
	})
	if err != nil {
		return err
	}
	defer bob.Shutdown(context.Background())
	desk, err := at("desk", "drawer", forwardTo(sip.URI{Scheme: "sip", User: "bob", Host: "example.com"}))
	if err != nil {
		return err
	}
	defer desk.Shutdown(context.Background())
	alice, err := at("alice", "wonderland", nil)
	if err != nil {
		return err
	}
	defer alice.Shutdown(context.Background())
	s, err := follow(ctx, alice, "desk", "example.com")
	if err != nil {
		return err
	}
	fmt.Printf("%v called desk and talks to bob\n", <-answered)
	return s.Hangup(ctx)
}

// start returns a UA that is connected and registered.
func start(ctx context.Context, cfg sipua.Config) (*sipua.UA, error) {
	ua, err := sipua.NewUA(cfg)
	if err != nil {
		return nil, err
	}
	if err := ua.Start(ctx); err != nil {
		ua.Close()
		return nil, err
	}
	return ua, nil
}
