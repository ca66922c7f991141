// Command transfer hands a call over: an attended transfer among three phones,
// all in this process, over a SIP server in this process.
//
//	go run ./examples/transfer
//
// Alice calls bob, puts him on hold, asks carol, and has bob take her own place
// in the call to carol (REFER with Replaces, RFC 5589 §7.3). Then bob and carol
// talk, and alice is out of it.
package main

import (
	"context"
	"errors"
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

// phone is one of the three.
type phone struct {
	*sipua.UA
	name  string
	calls chan line // answered, or made because somebody asked for it
}

// line is a call and what is said in it.
type line struct {
	*session.Session
	out *rtc.LocalTrack
}

func media(out *rtc.LocalTrack) session.MediaFactory {
	return rtc.New(rtc.Options{Tracks: []rtc.Track{out}, Codecs: []string{"opus"}})
}

// newPhone returns a phone that is registered, and answers every call. It lets
// itself be transferred by whom it talks to, which is a decision: here everybody
// is trusted.
func newPhone(ctx context.Context, srv *siptest.Server, name, password string) *phone {
	p := &phone{name: name, calls: make(chan line, 8)}
	cfg := sipua.Config{
		URI:         "sip:" + name + "@example.com",
		Password:    password,
		WSServers:   sipua.Servers(srv.URL()),
		STUNServers: []string{},
	}
	cfg.Handler.Call = p.answer
	cfg.Handler.Session.Refer = p.referred
	cfg.Handler.Session.Transfer = func(_ *session.Session, t session.TransferProgress) {
		fmt.Printf("%-6s hears of the transfer: %d %s\n", name, t.Status, t.Reason)
	}
	var err error
	if p.UA, err = sipua.NewUA(cfg); err != nil {
		log.Fatal(err)
	}
	if err := p.Start(ctx); err != nil {
		log.Fatal(err)
	}
	return p
}

// answer takes a call. Where it is to replace another one the library hangs that
// up as soon as this one is up.
func (p *phone) answer(in *session.Incoming) {
	what := "answers"
	if old := in.Replaces(); old != nil {
		what = fmt.Sprintf("replaces %s by", old.RemoteIdentity().URI.User)
	}
	out := rtc.NewTrack(rtc.Audio)
	call, err := in.Answer(context.Background(), &session.AnswerOptions{Media: media(out)})
	if err != nil {
		log.Printf("%s: %v", p.name, err)
		return
	}
	fmt.Printf("%-6s %s %s\n", p.name, what, in.From().URI.User)
	p.calls <- line{call, out}
}

// referred calls whom the far end asks us to call.
func (p *phone) referred(_ *session.Session, r *session.Referral) {
	fmt.Printf("%-6s is asked to call %s\n", p.name, r.Target().URI.User)
	out := rtc.NewTrack(rtc.Audio)
	call, err := r.Accept(context.Background(), &session.CallOptions{Media: media(out)})
	if err != nil {
		log.Printf("%s: %v", p.name, err)
		return
	}
	p.calls <- line{call, out}
}

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	srv, err := siptest.NewServer(siptest.Options{
		Domain: "example.com",
		Users:  map[string]string{"alice": "wonderland", "bob": "builder", "carol": "cat"},
		Listen: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	alice := newPhone(ctx, srv, "alice", "wonderland")
	defer alice.Shutdown(context.Background())
	bob := newPhone(ctx, srv, "bob", "builder")
	defer bob.Shutdown(context.Background())
	carol := newPhone(ctx, srv, "carol", "cat")
	defer carol.Shutdown(context.Background())
	if err := transfer(ctx, alice, bob, carol); err != nil {
		log.Fatal(err)
	}
}

// transfer has alice connect bob with carol.
func transfer(ctx context.Context, alice, bob, carol *phone) error {
	toBob, err := alice.Call(ctx, "bob", nil)
	if err != nil {
		return err
	}
	<-bob.calls
	if err := toBob.Hold(ctx); err != nil {
		return err
	}
	toCarol, err := alice.Call(ctx, "carol", nil) // may she put bob through?
	if err != nil {
		return err
	}
	<-carol.calls

	t, err := toBob.ReferTo(ctx, toCarol, nil)
	if err != nil {
		return err
	}
	if err := t.Wait(ctx); err != nil {
		return err // alice still has both
	}
	for _, call := range []*session.Session{toBob, toCarol} {
		<-call.Context().Done() // hung up by us, and by carol
		fmt.Printf("%-6s is out of the call to %s: %v\n", alice.name, call.RemoteIdentity().URI.User, context.Cause(call.Context()))
	}
	return talk(ctx, <-bob.calls, <-carol.calls)
}

// silence is 20 ms of it in Opus (RFC 6716 §3.1): a whole frame in three bytes.
var silence = rtc.Sample{Data: []byte{0xF8, 0xFF, 0xFE}, Duration: 20 * time.Millisecond}

// talk has the two who are connected now send a second of silence each, and
// counts what comes.
func talk(ctx context.Context, bob, carol line) error {
	for _, l := range []line{bob, carol} {
		if err := l.WaitAnswered(ctx); err != nil {
			return err
		}
		if _, err := l.out.Ready(ctx); err != nil {
			return err
		}
	}
	ticker := time.NewTicker(silence.Duration)
	defer ticker.Stop()
	for range time.Second / silence.Duration {
		if err := errors.Join(bob.out.WriteSample(silence), carol.out.WriteSample(silence)); err != nil {
			return err
		}
		<-ticker.C
	}
	for _, l := range []line{bob, carol} {
		fmt.Printf("%-6s heard %d packets of %s\n", l.LocalIdentity().URI.User,
			rtc.StatsOf(l.Session).Audio.PacketsReceived, l.RemoteIdentity().URI.User)
	}
	return bob.Hangup(ctx)
}
