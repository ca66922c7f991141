package sipua_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/transport/v5/vnet"
	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip/siptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a SIP server and a network for media, all in memory, inside a
// synctest bubble: whole calls in fake time.
type world struct {
	t      *testing.T
	srv    *siptest.Server
	router *vnet.Router
	hosts  atomic.Int32
	kind   siptest.Personality // of srv
}

// inWorld runs f in a world of its own and checks that nothing is left of it.
func inWorld(t *testing.T, o siptest.Options, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if o.Users == nil {
			o.Users = map[string]string{"alice": "wonderland", "bob": "builder", "carol": "cat"}
		}
		o.Domain = "example.com"
		srv, err := siptest.NewServer(o)
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		router, err := vnet.NewRouter(&vnet.RouterConfig{CIDR: "10.0.0.0/24", LoggerFactory: silent{}})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, srv: srv, router: router}
		if err := router.Start(); err != nil {
			t.Fatal(err)
		}
		defer router.Stop()
		stuck := time.AfterFunc(24*time.Hour, func() { // a call that is up goes on for ever: nothing else would end the test
			debug.SetTraceback("all")
			panic("this test waits for something that does not come")
		})
		defer stuck.Stop()
		f(w)
	})
}

// alarm is a logger that fails the test when something panics that was not
// meant to: what survives it would hide it.
type alarm struct{ t *testing.T }

func (alarm) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }
func (a alarm) WithAttrs([]slog.Attr) slog.Handler             { return a }
func (a alarm) WithGroup(string) slog.Handler                  { return a }

func (a alarm) Handle(_ context.Context, r slog.Record) error {
	meant, text := false, r.Message
	r.Attrs(func(at slog.Attr) bool {
		meant = meant || at.Key == "panic" && strings.HasPrefix(at.Value.String(), "oops")
		text += fmt.Sprintf(" %s=%v", at.Key, at.Value)
		return true
	})
	if !meant {
		a.t.Error(text)
	}
	return nil
}

// config is a Config for a user of the world, whose media has a host of its own.
func (w *world) config(user string) sipua.Config {
	w.t.Helper()
	servers := sipua.Servers(w.srv.URL())
	servers[0].Origin = "https://example.com" // OpenSIPS wants one
	return sipua.Config{
		URI:         "sip:" + user + "@example.com",
		Password:    map[string]string{"alice": "wonderland", "bob": "builder", "carol": "cat"}[user],
		WSServers:   servers,
		DialContext: w.srv.DialContext,
		STUNServers: []string{},
		Media:       w.media(),
		Logger:      slog.New(alarm{w.t}),
	}
}

// media makes calls over the world's network, from a host of their own.
func (w *world) media(tracks ...rtc.Track) session.MediaFactory {
	w.t.Helper()
	host, err := vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{fmt.Sprintf("10.0.0.%d", w.hosts.Add(1))}})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.router.AddNet(host); err != nil {
		w.t.Fatal(err)
	}
	return rtc.New(rtc.Options{Tracks: tracks, SettingEngine: func(s *webrtc.SettingEngine) { s.SetNet(host) }})
}

// ua is a UA of the world, not started.
func (w *world) ua(cfg sipua.Config) *sipua.UA {
	w.t.Helper()
	ua, err := sipua.NewUA(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return ua
}

// phone is a UA of the world that is registered and notes its events.
type phone struct {
	*sipua.UA
	w     *world
	user  string
	calls chan *session.Incoming

	referred chan *line // calls that a talker was asked to make
	gone     atomic.Bool

	mu     sync.Mutex
	events []string // guarded by mu
}

func (w *world) phone(user string, change ...func(*sipua.Config)) *phone {
	w.t.Helper()
	p := &phone{w: w, user: user, calls: make(chan *session.Incoming, 8), referred: make(chan *line, 8)}
	cfg := w.config(user)
	cfg.DialContext = p.dial
	cfg.Handler.Call = func(in *session.Incoming) { p.calls <- in }
	cfg.Handler.Connection = func(e sipua.ConnectionEvent) { p.note("%v", e.State) }
	cfg.Handler.Registration = func(e registrar.Event) { p.note("%v", e.Kind) }
	for _, c := range change {
		c(&cfg)
	}
	p.UA = w.ua(cfg)
	if err := p.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { p.Close() })
	return p
}

func (p *phone) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if p.gone.Load() {
		return nil, net.ErrClosed
	}
	return p.w.srv.DialContext(ctx, network, addr)
}

// vanish cuts the phone off, for ever.
func (p *phone) vanish() {
	p.gone.Store(true)
	for _, b := range p.w.srv.Bindings(p.user) {
		b.Conn.Drop()
	}
}

func (p *phone) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, fmt.Sprintf(format, args...))
}

// seen returns the events since the last look.
func (p *phone) seen() []string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	events := p.events
	p.events = nil
	return events
}

// until waits for an event, within fake time.
func (p *phone) until(event string) {
	p.w.t.Helper()
	for begin := time.Now(); time.Since(begin) < 10*time.Minute; time.Sleep(10 * time.Millisecond) {
		if slices.Contains(p.seen(), event) {
			return
		}
	}
	p.w.t.Fatalf("no %q came", event)
}

// talk has p call other, who answers, with a track each.
func (p *phone) talk(other *phone) (here, there *line) {
	p.w.t.Helper()
	t := p.w.t
	here = &line{w: p.w, phone: p, out: rtc.NewTrack(rtc.Audio)}
	answer := other.answers()
	s, err := p.Call(t.Context(), other.user, &session.CallOptions{Media: p.w.media(here.out)})
	if err != nil {
		t.Fatal(err)
	}
	here.Session = s
	here.listen()
	return here, answer()
}

// answers has p answer the next call, with a track. What it returns waits until
// that is done.
func (p *phone) answers() func() *line {
	l := &line{w: p.w, phone: p, out: rtc.NewTrack(rtc.Audio)}
	o := &session.AnswerOptions{Media: p.w.media(l.out)}
	answered := make(chan error, 1)
	go func() {
		var err error
		in := <-p.calls
		l.Session, err = in.Answer(p.w.t.Context(), o)
		answered <- err
	}()
	return func() *line {
		p.w.t.Helper()
		if err := <-answered; err != nil {
			p.w.t.Fatal(err)
		}
		l.listen()
		return l
	}
}

// listen waits until a line that is up can be spoken and heard on.
func (l *line) listen() {
	l.w.t.Helper()
	for l.State() == session.Accepted {
		time.Sleep(time.Millisecond) // the ACK is on its way
	}
	var err error
	if l.in, err = rtc.Receive(l.w.t.Context(), l.Session, rtc.Audio); err != nil {
		l.w.t.Fatal(err)
	}
	if _, err := l.out.Ready(l.w.t.Context()); err != nil {
		l.w.t.Fatal(err)
	}
	time.Sleep(time.Nanosecond) // the other end may be about to be ready; Wait is for one goroutine only
}

// line is one end of a call that is up.
type line struct {
	*session.Session
	w     *world
	phone *phone
	out   *rtc.LocalTrack
	in    *rtc.RemoteTrack
	seq   uint16
}

// say sends a packet of audio.
func (l *line) say(word string) {
	l.w.t.Helper()
	l.seq++
	p := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: l.seq, Timestamp: uint32(l.seq) * 960}, Payload: []byte(word)}
	if err := l.out.WriteRTP(p); err != nil {
		l.w.t.Fatal(err)
	}
}

// hear expects the next packet to be that.
func (l *line) hear(word string) {
	l.w.t.Helper()
	p, err := l.in.ReadRTP()
	if err != nil {
		l.w.t.Fatal(err)
	}
	if string(p.Payload) != word {
		l.w.t.Errorf("heard %q, want %q", p.Payload, word)
	}
}

func within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}
