// Command echo is a bot that answers every call and sends the caller's audio
// back, until it is interrupted.
//
//	go run ./examples/echo -server wss://sip.example.com/ws -uri sip:echo@example.com -password secret
//
// Flags:
//
//	-server URL        WebSocket URL of the SIP server
//	-uri URI           the bot's address
//	-password SECRET   the bot's password
//
// Without -server it starts a server in the process, and alice, who calls the
// bot, talks for a second and counts what comes back. Then it ends by itself.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip/siptest"
)

// echo is the bot. Each call runs it on a goroutine of its own.
func echo(in *session.Incoming) {
	out := rtc.NewTrack(rtc.Audio)
	call, err := in.Answer(context.Background(), &session.AnswerOptions{
		Media: rtc.New(rtc.Options{Tracks: []rtc.Track{out}}),
	})
	if err != nil {
		log.Printf("%v: %v", in.From().URI, err)
		return
	}
	audio, err := rtc.Receive(call.Context(), call, rtc.Audio)
	for err == nil {
		packet, end := audio.ReadRTP()
		if end != nil { // io.EOF: the call is over
			break
		}
		err = out.WriteRTP(packet)
	}
	log.Printf("%v: %v", in.From().URI, context.Cause(call.Context()))
}

var (
	server   = flag.String("server", "", "WebSocket `URL` of the SIP server; empty: one in the process")
	uri      = flag.String("uri", "sip:echo@example.com", "the bot's address")
	password = flag.String("password", "", "the bot's password")
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
			Users:  map[string]string{"alice": "wonderland", "echo": "canyon"},
			Listen: true,
		})
		if err != nil {
			log.Fatal(err)
		}
		defer srv.Close()
		cfg.URI, cfg.Password = "sip:echo@example.com", "canyon"
		cfg.WSServers, cfg.STUNServers = sipua.Servers(srv.URL()), []string{}
	}
	cfg.Handler.Call = echo
	bot := start(ctx, cfg)
	defer bot.Shutdown(context.Background())

	if *server != "" {
		<-ctx.Done()
		return
	}
	cfg.URI, cfg.Password = "sip:alice@example.com", "wonderland"
	if err := talk(ctx, cfg, "echo"); err != nil {
		log.Fatal(err)
	}
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

// silence is 20 ms of it in Opus (RFC 6716 §3.1): a whole frame in three bytes.
var silence = rtc.Sample{Data: []byte{0xF8, 0xFF, 0xFE}, Duration: 20 * time.Millisecond}

// talk calls somebody, sends a second of silence and counts what comes back.
func talk(ctx context.Context, cfg sipua.Config, to string) error {
	ua := start(ctx, cfg)
	defer ua.Shutdown(context.Background())
	out := rtc.NewTrack(rtc.Audio)
	call, err := ua.Call(ctx, to, &session.CallOptions{
		Media: rtc.New(rtc.Options{Tracks: []rtc.Track{out}, Codecs: []string{"opus"}}),
	})
	if err != nil {
		return err
	}
	if _, err := out.Ready(ctx); err != nil {
		return err
	}
	ticker := time.NewTicker(silence.Duration)
	defer ticker.Stop()
	for range time.Second / silence.Duration {
		if err := out.WriteSample(silence); err != nil {
			return err
		}
		<-ticker.C
	}
	audio := rtc.StatsOf(call).Audio
	fmt.Printf("%d packets sent, %d came back\n", audio.PacketsSent, audio.PacketsReceived)
	return call.Hangup(ctx)
}
