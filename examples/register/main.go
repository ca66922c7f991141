// Command register stays registered with a SIP server and tells whatever
// happens to the registration and to the connection, until it is interrupted.
//
//	go run ./examples/register -server wss://sip.example.com/ws -uri sip:alice@example.com -password secret
//
// Flags:
//
//	-server URL        WebSocket URL of the SIP server
//	-uri URI           our address
//	-password SECRET   our password
//
// Without -server it starts a server in the process, which crashes once and
// forgets everybody. When we are registered again the program ends by itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/sip/siptest"
	"github.com/gosipua/sipua/transport"
)

var (
	server   = flag.String("server", "", "WebSocket `URL` of the SIP server; empty: one in the process")
	uri      = flag.String("uri", "sip:alice@example.com", "our address")
	password = flag.String("password", "", "our password")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	cfg := sipua.Config{URI: *uri, Password: *password, WSServers: sipua.Servers(*server)}
	cfg.Handler.Event = tellEvent
	if *server == "" {
		srv, err := demo(&cfg, stop)
		if err != nil {
			log.Fatal(err)
		}
		defer srv.Close()
	}
	if err := stayRegistered(ctx, cfg); err != nil {
		log.Fatal(err)
	}
}

// stayRegistered registers, and unregisters when ctx ends. Everything between
// is the UA's own business: refreshes, lost connections, servers that restart.
func stayRegistered(ctx context.Context, cfg sipua.Config) error {
	ua, err := sipua.NewUA(cfg)
	if err != nil {
		return err
	}
	if err := ua.Start(ctx); err != nil && ctx.Err() == nil {
		ua.Close()
		return err
	}
	<-ctx.Done()
	return ua.Shutdown(context.Background())
}

// tellEvent tells how we are reached: what e.String() says, and what it leaves out
// of a registration.
func tellEvent(e sipua.Event) {
	tell("%v", e)
	switch e.Kind {
	case sipua.EventRegistered, sipua.EventRefreshed:
		for _, contact := range e.Registration.Contacts {
			tell("  %v", contact)
		}
	case sipua.EventDisconnected:
		if errors.Is(e.Err, transport.ErrNoPong) {
			tell("  the server went silent")
		}
	}
}

func tell(format string, args ...any) {
	fmt.Println(time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}

// demo starts a server and makes cfg that of alice, its user. Once she is
// registered the server restarts; when she is registered again it calls stop.
func demo(cfg *sipua.Config, stop func()) (*siptest.Server, error) {
	srv, err := siptest.NewServer(siptest.Options{
		Domain: "example.com",
		Users:  map[string]string{"alice": "wonderland"},
		Listen: true,
	})
	if err != nil {
		return nil, err
	}
	cfg.URI, cfg.Password, cfg.WSServers = "sip:alice@example.com", "wonderland", sipua.Servers(srv.URL())
	times := 0
	cfg.Handler.Event = func(e sipua.Event) {
		tellEvent(e)
		if e.Kind == sipua.EventRegistered {
			if times++; times == 1 {
				srv.Restart(false)
			} else {
				stop()
			}
		}
	}
	return srv, nil
}
