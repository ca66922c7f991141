// Command message sends an instant message and tells what became of it.
//
//	go run ./examples/message -server wss://sip.example.com/ws -uri sip:alice@example.com -password secret -to bob -text Hello
//
// Flags:
//
//	-server URL        WebSocket URL of the SIP server
//	-uri URI           our address
//	-password SECRET   our password
//	-to TARGET         for whom: a SIP URI, a user of our own domain, or a number
//	-text TEXT         the message
//
// Without -server it starts a server in the process, and bob, who prints what
// he gets. The exit status is 0 only if the message was delivered.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

var (
	server   = flag.String("server", "", "WebSocket `URL` of the SIP server; empty: one in the process")
	uri      = flag.String("uri", "sip:alice@example.com", "our address")
	password = flag.String("password", "", "our password")
	to       = flag.String("to", "bob", "for whom")
	text     = flag.String("text", "Hello from sipua", "the message")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	cfg := sipua.Config{URI: *uri, Password: *password, WSServers: sipua.Servers(*server)}
	if *server == "" {
		srv, err := siptest.NewServer(siptest.Options{
			Domain: "example.com",
			Users:  map[string]string{"alice": "wonderland", "bob": "builder"},
			Listen: true,
		})
		if err != nil {
			log.Fatal(err)
		}
		defer srv.Close()
		cfg.URI, cfg.Password, cfg.WSServers = "sip:alice@example.com", "wonderland", sipua.Servers(srv.URL())
		bob := sipua.Config{URI: "sip:bob@example.com", Password: "builder", WSServers: cfg.WSServers}
		bob.Handler.Message = show
		defer start(ctx, bob).Close()
	}
	if err := send(ctx, cfg, *to, *text); err != nil {
		log.Fatal(err)
	}
	fmt.Println("delivered to", *to)
}

// send sends a message and returns nil once it was taken.
func send(ctx context.Context, cfg sipua.Config, to, text string) error {
	ua := start(ctx, cfg)
	defer ua.Shutdown(context.Background())
	return ua.SendMessage(ctx, to, text, nil)
}

// start returns a UA that is connected and registered.
func start(ctx context.Context, cfg sipua.Config) *sipua.UA {
	ua, err := sipua.NewUA(cfg)
	if err != nil {
		log.Fatal(err)
	}
	if err := ua.Start(ctx); err != nil {
		log.Fatal(err)
	}
	return ua
}

// show prints a message that came, and takes it; what it returns is the answer.
func show(_ context.Context, req *sip.Request) sip.StatusCode {
	fmt.Printf("%v got %q from %v\n", req.To().URI, req.Body(), req.From().URI)
	return sip.StatusOK
}
