// Command call calls somebody and talks.
//
// Without flags it starts a SIP server in the process, registers alice and bob
// with it, lets alice call bob, sends a tone, has bob echo it, and prints what
// happened. With -server, -uri, -password and -to it calls for real:
//
//	go run ./examples/call -server wss://sip.example.com/ws -uri sip:alice@example.com -password secret -to bob
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"os/signal"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip/siptest"
)

func main() {
	log.SetFlags(0)
	var (
		server   = flag.String("server", "", "WebSocket `URL` of the SIP server; empty: one in the process")
		uri      = flag.String("uri", "sip:alice@example.com", "our address")
		password = flag.String("password", "", "our password")
		to       = flag.String("to", "bob", "whom to call")
		talk     = flag.Duration("talk", time.Second, "how long to talk")
	)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	alice := sipua.Config{URI: *uri, Password: *password, WSServers: sipua.Servers(*server)}
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
		local := sipua.Config{WSServers: sipua.Servers(srv.URL()), STUNServers: []string{}}
		bob := local
		bob.URI, bob.Password, bob.Handler.Call = "sip:bob@example.com", "builder", echo
		callee := start(ctx, bob)
		defer callee.Close()
		alice = local
		alice.URI, alice.Password = "sip:alice@example.com", "wonderland"
	}
	if err := call(ctx, alice, *to, *talk); err != nil {
		log.Fatal(err)
	}
}

// start returns a UA that is connected and registered.
func start(ctx context.Context, cfg sipua.Config) *sipua.UA {
	ua, err := sipua.NewUA(cfg)
	if err != nil {
		log.Fatal(err)
	}
	begin := time.Now()
	if err := ua.Start(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%-22s registered in %v\n", cfg.URI, time.Since(begin).Round(time.Millisecond))
	return ua
}

// call calls somebody, sends a tone and counts what comes back.
func call(ctx context.Context, cfg sipua.Config, to string, talk time.Duration) error {
	ua := start(ctx, cfg)
	defer ua.Shutdown(context.Background())

	begin := time.Now()
	tone := rtc.NewTrack(rtc.Audio)
	go playTone(ctx, tone)
	s, err := ua.Call(ctx, to, &session.CallOptions{
		Media: rtc.New(rtc.Options{Tracks: []rtc.Track{tone}, Codecs: []string{"PCMU"}}),
	})
	if err != nil {
		return err
	}
	fmt.Printf("%-22s answered in %v\n", to, time.Since(begin).Round(time.Millisecond))

	in, err := rtc.Receive(ctx, s, rtc.Audio)
	if err != nil {
		return err
	}
	if _, err := in.ReadRTP(); err != nil {
		return fmt.Errorf("no audio came: %w", err)
	}
	fmt.Printf("%-22s first audio after %v\n", "", time.Since(begin).Round(time.Millisecond))

	select {
	case <-time.After(talk):
		err = s.Hangup(ctx)
	case <-s.Context().Done():
	}
	stats := rtc.StatsOf(s).Audio
	fmt.Printf("%-22s %d packets sent, %d received\n", "", stats.PacketsSent, stats.PacketsReceived)
	fmt.Printf("%-22s %v\n", "", context.Cause(s.Context()))
	return err
}

// echo answers a call and sends the caller's audio back.
func echo(in *session.Incoming) {
	out := rtc.NewTrack(rtc.Audio)
	s, err := in.Answer(context.Background(), &session.AnswerOptions{
		Media: rtc.New(rtc.Options{Tracks: []rtc.Track{out}}),
	})
	if err != nil {
		log.Print(err)
		return
	}
	audio, err := rtc.Receive(s.Context(), s, rtc.Audio)
	for err == nil {
		packet, rerr := audio.ReadRTP()
		if errors.Is(rerr, io.EOF) {
			break
		}
		err = errors.Join(rerr, out.WriteRTP(packet))
	}
	stats := rtc.StatsOf(s).Audio
	fmt.Printf("%-22s echoed %d of %d packets to %v\n", "", stats.PacketsSent, stats.PacketsReceived, s.RemoteIdentity().URI)
}

// playTone writes 440 Hz in G.711 µ-law, 20 ms at a time. What is written while
// no call takes it is dropped.
func playTone(ctx context.Context, track *rtc.LocalTrack) {
	const rate, frame = 8000, 160
	if _, err := track.Ready(ctx); err != nil {
		return
	}
	ticker := time.NewTicker(frame * time.Second / rate)
	defer ticker.Stop()
	for n := 0; ctx.Err() == nil; n += frame {
		b := make([]byte, frame)
		for i := range b {
			b[i] = muLaw(math.Sin(2 * math.Pi * 440 * float64(n+i) / rate))
		}
		if err := track.WriteSample(rtc.Sample{Data: b, Duration: frame * time.Second / rate}); err != nil {
			return
		}
		<-ticker.C
	}
}

// muLaw encodes a sample between -1 and 1 by the law of ITU-T G.711.
func muLaw(x float64) byte {
	const mu = 255
	y := math.Log1p(mu*math.Abs(x)) / math.Log1p(mu)
	code := byte(y * 127)
	if x < 0 {
		return ^(code | 0x80)
	}
	return ^code
}
