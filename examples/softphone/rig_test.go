package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/logging"
	"github.com/pion/transport/v5/vnet"
	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip/siptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var passwords = map[string]string{"alice": "wonderland", "bob": "builder", "carol": "lewis"}

// silent are pion's loggers for a network that has nothing to say.
type silent struct{}

func (silent) NewLogger(string) logging.LeveledLogger {
	f := logging.NewDefaultLoggerFactory()
	f.DefaultLogLevel = logging.LogLevelDisabled
	return f.NewLogger("")
}

// world is a SIP server and a network for media, in memory and in fake time.
type world struct {
	t      *testing.T
	srv    *siptest.Server
	router *vnet.Router
	phones []*script
}

func inWorld(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv, err := siptest.NewServer(siptest.Options{Domain: "example.com", Users: passwords})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		router, err := vnet.NewRouter(&vnet.RouterConfig{CIDR: "10.0.0.0/24", LoggerFactory: silent{}})
		if err != nil {
			t.Fatal(err)
		}
		if err := router.Start(); err != nil {
			t.Fatal(err)
		}
		defer router.Stop()
		w := &world{t: t, srv: srv, router: router}
		defer func() {
			for _, s := range w.phones {
				s.close()
			}
		}()
		f(w)
	})
}

// script drives a phone with -json as a script would: commands in, events out.
type script struct {
	t      *testing.T
	name   string
	stdin  *io.PipeWriter
	events chan event
	seen   []event // not asked for yet
	status chan int
	ended  bool
}

type event map[string]any

// phone starts a phone that has registered.
func (w *world) phone(user string, change ...func(*options)) *script {
	w.t.Helper()
	s := w.start(user, change...)
	s.want("connected")
	s.want("registered", "expires", 600)
	return s
}

// start starts a phone.
func (w *world) start(user string, change ...func(*options)) *script {
	w.t.Helper()
	host, err := vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{fmt.Sprintf("10.0.0.%d", len(w.phones)+1)}})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.router.AddNet(host); err != nil {
		w.t.Fatal(err)
	}
	play, err := openSource("tone")
	if err != nil {
		w.t.Fatal(err)
	}
	o := options{
		json: true,
		play: play,
		config: sipua.Config{
			URI: "sip:" + user + "@example.com", Password: passwords[user],
			WSServers: sipua.Servers(w.srv.URL()), DialContext: w.srv.DialContext, STUNServers: []string{},
		},
		media: rtc.Options{SettingEngine: func(s *webrtc.SettingEngine) { s.SetNet(host) }},
	}
	for _, f := range change {
		f(&o)
	}
	s, out := newScript(w.t, user)
	p, err := newPhone(o, out)
	if err != nil {
		w.t.Fatal(err)
	}
	s.run(func(stdin io.Reader) int { return p.run(context.Background(), stdin) })
	w.phones = append(w.phones, s)
	return s
}

// newScript returns a script, and where the phone is to write its events.
func newScript(t *testing.T, name string) (*script, io.Writer) {
	s := &script{t: t, name: name, events: make(chan event, 4096), status: make(chan int, 1)}
	return s, eventWriter{s}
}

// run runs a phone to its end.
func (s *script) run(phone func(stdin io.Reader) int) {
	in, out := io.Pipe()
	s.stdin = out
	go func() {
		status := phone(in)
		in.Close()
		close(s.events)
		s.status <- status
	}()
}

// close quits a phone that has not ended.
func (s *script) close() {
	if !s.ended {
		s.quit()
	}
}

type eventWriter struct{ s *script }

// Write takes one event, which must be one line.
func (w eventWriter) Write(b []byte) (int, error) {
	var e event
	if err := json.Unmarshal(b, &e); err != nil || b[len(b)-1] != '\n' {
		w.s.t.Errorf("%s wrote %q: %v", w.s.name, b, err)
	}
	w.s.events <- e
	return len(b), nil
}

// say gives the phone a command.
func (s *script) say(format string, args ...any) {
	s.t.Helper()
	if _, err := fmt.Fprintf(s.stdin, format+"\n", args...); err != nil {
		s.t.Fatalf("%s: %v", s.name, err)
	}
}

// want returns the next event of that name and checks the fields given, as name
// and value. Other events are left for later.
func (s *script) want(name string, fields ...any) event {
	s.t.Helper()
	return s.check(s.next(func(e event) bool { return e["event"] == name }, name), fields)
}

// pick is want for the event of that name with that field: others of the name
// may come before it.
func (s *script) pick(name, field string, value any, fields ...any) event {
	s.t.Helper()
	is := func(e event) bool { return e["event"] == name && e[field] == value }
	return s.check(s.next(is, fmt.Sprintf("%s %s=%v", name, field, value)), fields)
}

// first is want for an event that no other may precede.
func (s *script) first(name string, fields ...any) event {
	s.t.Helper()
	e := s.next(func(event) bool { return true }, name)
	return s.check(e, append(fields, "event", name))
}

func (s *script) check(e event, fields []any) event {
	s.t.Helper()
	for i := 0; i < len(fields); i += 2 {
		got, want := e[fields[i].(string)], fields[i+1]
		if fmt.Sprint(got) != fmt.Sprint(want) {
			s.t.Errorf("%s: %s is %v, want %v, in %v", s.name, fields[i], got, want, e)
		}
	}
	return e
}

func (s *script) next(is func(event) bool, what string) event {
	s.t.Helper()
	for i, e := range s.seen {
		if is(e) {
			s.seen = append(s.seen[:i:i], s.seen[i+1:]...)
			return e
		}
	}
	limit := time.After(5 * time.Minute)
	for {
		select {
		case e, open := <-s.events:
			if !open {
				s.t.Fatalf("%s ended without %s; there was %v", s.name, what, s.seen)
			}
			if is(e) {
				return e
			}
			s.seen = append(s.seen, e)
		case <-limit:
			s.t.Fatalf("%s: no %s came, but %v", s.name, what, s.seen)
		}
	}
}

// quit ends the phone and returns its last events.
func (s *script) quit() []event {
	s.t.Helper()
	s.say("quit")
	return s.end()
}

// end waits until the phone is at its end.
func (s *script) end() []event {
	s.t.Helper()
	s.ended = true
	for e := range s.events {
		s.seen = append(s.seen, e)
	}
	if status := <-s.status; status != 0 {
		s.t.Errorf("%s: exit status %d", s.name, status)
	}
	return s.seen
}

// talk has a phone call another, which answers.
func talk(from, to *script) {
	from.t.Helper()
	from.say("call %s", to.name)
	from.want("calling", "id", 1)
	from.want("progress", "id", 1)
	to.want("incoming", "id", 1)
	to.say("answer")
	to.want("answered", "id", 1, "originator", "local")
	from.want("answered", "id", 1, "originator", "remote")
}
