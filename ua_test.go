package sipua_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/logging"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
	"github.com/gosipua/sipua/sip/siptest"
)

// silent are pion's loggers for a network that has nothing to say.
type silent struct{}

func (silent) NewLogger(string) logging.LeveledLogger {
	f := logging.NewDefaultLoggerFactory()
	f.DefaultLogLevel = logging.LogLevelDisabled
	return f.NewLogger("")
}

func TestStart(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		p := w.phone("alice")
		if !p.Registration().Bound() || !w.srv.Registered("sip:alice@example.com") {
			t.Errorf("registration %+v", p.Registration())
		}
		if got := p.seen(); !slices.Equal(got, []string{"connecting", "connected", "registered"}) {
			t.Errorf("events %q", got)
		}
		if err := p.Start(w.t.Context()); err == nil {
			t.Error("Start twice")
		}
	})
}

func TestStartRefused(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		cfg := w.config("alice")
		cfg.Password = "queen of hearts"
		ua := w.ua(cfg)
		defer ua.Close()
		err := ua.Start(w.t.Context())
		if !errors.Is(err, sip.StatusUnauthorized) && !errors.Is(err, sip.StatusForbidden) {
			t.Errorf("Start: %v", err)
		}
		time.Sleep(time.Hour)
		tries := w.srv.Counters().Challenges
		if tries > 2 {
			t.Errorf("%d challenges: the account could be locked out", tries)
		}
		ua.SetCredentials(digest.Password("alice", "wonderland"))
		synctest.Wait()
		if !ua.Registration().Bound() {
			t.Errorf("registration %+v after SetCredentials", ua.Registration())
		}
	})
}

func TestStartWithoutServer(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		w.srv.Refuse(siptest.Refusal{})
		ua := w.ua(w.config("alice"))
		defer ua.Close()
		ctx, cancel := within(20 * time.Second)
		defer cancel()
		err := ua.Start(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() == context.DeadlineExceeded.Error() {
			t.Errorf("Start: %v; want the deadline and the last failure", err)
		}
		w.srv.Admit()
		if err := w.srv.WaitRegistered(w.t.Context(), "sip:alice@example.com"); err != nil {
			t.Error(err)
		}
	})
}

// TestStartInTheBackground is what a program with a window does.
func TestStartInTheBackground(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		ua := w.ua(w.config("alice"))
		defer ua.Close()
		ctx, cancel := context.WithCancel(w.t.Context())
		cancel()
		if err := ua.Start(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Start: %v", err)
		}
		if err := w.srv.WaitRegistered(w.t.Context(), "sip:alice@example.com"); err != nil {
			t.Error(err)
		}
	})
}

func TestStartWithoutRegistration(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		p := w.phone("alice", func(c *sipua.Config) { c.Register = new(bool) })
		time.Sleep(time.Minute)
		if p.Registration().Bound() || w.srv.Registered("sip:alice@example.com") {
			t.Error("registered all the same")
		}
		if err := p.Register(w.t.Context()); err != nil || !p.Registration().Bound() {
			t.Errorf("Register: %v", err)
		}
		if err := p.Unregister(w.t.Context(), false); err != nil || w.srv.Registered("sip:alice@example.com") {
			t.Errorf("Unregister: %v", err)
		}
	})
}

// TestWholeCall: signalling and media, both ways, in fake time.
func TestWholeCall(t *testing.T) {
	for name, o := range map[string]siptest.Options{
		"plain":   {},
		"routed":  {RecordRoute: true, ProxyAuth: true, Algorithms: []digest.Algorithm{digest.SHA256, digest.MD5}},
		"gruu":    {GRUU: true, Outbound: true, FlowTimer: 60},
		"service": {RecordRoute: true, ServiceRoute: []string{"<sip:edge.example.com;lr>"}, NextNonce: true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, o, func(w *world) {
				alice, bob := w.phone("alice"), w.phone("bob")
				here, there := alice.talk(bob)
				here.say("hello")
				there.hear("hello")
				there.say("hi")
				here.hear("hi")
				if err := here.Hold(w.t.Context()); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if here.Held() != (session.HoldState{Local: true}) || there.Held() != (session.HoldState{Remote: true}) {
					t.Errorf("held %+v, %+v", here.Held(), there.Held())
				}
				there.say("lost")
				if err := here.Unhold(w.t.Context()); err != nil {
					t.Fatal(err)
				}
				there.say("again")
				here.hear("again")
				if err := there.Hangup(w.t.Context()); err != nil {
					t.Error(err)
				}
				<-here.Context().Done()
				var end *session.EndError
				if !errors.As(context.Cause(here.Context()), &end) || !end.Remote || end.Kind != session.EndBye {
					t.Errorf("cause %v", context.Cause(here.Context()))
				}
			})
		})
	}
}

func TestBusyAndUnknown(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		alice, bob := w.phone("alice"), w.phone("bob")
		go func() { (<-bob.calls).Reject(sip.StatusBusyHere, nil) }()
		if _, err := alice.Call(w.t.Context(), "bob", nil); !errors.Is(err, sip.StatusBusyHere) {
			t.Errorf("busy: %v", err)
		}
		if _, err := alice.Call(w.t.Context(), "nobody", nil); !errors.Is(err, sip.StatusNotFound) {
			t.Errorf("unknown: %v", err)
		}
		for _, target := range []string{"", "sips:bob@example.com", "sip:b\r\nob@example.com", "@"} {
			if _, err := alice.Call(w.t.Context(), target, nil); err == nil {
				t.Errorf("%q was called", target)
			}
		}
	})
}

func TestMessages(t *testing.T) {
	inWorld(t, siptest.Options{ProxyAuth: true}, func(w *world) {
		got := make(chan string, 4)
		alice := w.phone("alice")
		w.phone("bob", func(c *sipua.Config) {
			c.Handler.Message = func(_ context.Context, req *sip.Request) sip.StatusCode {
				got <- req.From().URI.User + ": " + string(req.Body())
				if strings.Contains(string(req.Body()), "panic") {
					panic("oops: " + req.CallID())
				}
				return sip.StatusOK
			}
		})
		if err := alice.SendMessage(w.t.Context(), "bob", "Grüße 🐇", nil); err != nil {
			t.Error(err)
		}
		if s := <-got; s != "alice: Grüße 🐇" {
			t.Errorf("got %q", s)
		}
		if err := alice.SendMessage(w.t.Context(), "bob", "panic", nil); !errors.Is(err, sip.StatusServerInternalError) {
			t.Errorf("a handler that panics: %v", err)
		}
		if err := alice.SendMessage(w.t.Context(), "alice", "self", nil); !errors.Is(err, sip.StatusMethodNotAllowed) {
			t.Errorf("no handler: %v", err)
		}
		res, err := alice.SendOptions(w.t.Context(), "bob", nil)
		if err != nil || !slices.Contains(res.List("Allow"), "INVITE") {
			t.Errorf("OPTIONS: %v, %v", res, err)
		}
		req := sip.NewRequest("FROBNICATE", sip.URI{Scheme: "sip", User: "bob", Host: "example.com"})
		if _, err := alice.Do(w.t.Context(), req); !errors.Is(err, sip.StatusNotImplemented) && !errors.Is(err, sip.StatusMethodNotAllowed) {
			t.Errorf("unknown method: %v", err)
		}
		if _, err := alice.Do(w.t.Context(), sip.NewRequest(sip.INVITE, sip.URI{Scheme: "sip", Host: "example.com"})); err == nil {
			t.Error("Do took an INVITE")
		}
	})
}

// TestCallToOurselves: voicemail, echo and the like may be one's own address.
func TestCallToOurselves(t *testing.T) {
	inWorld(t, siptest.Options{RecordRoute: true}, func(w *world) {
		alice := w.phone("alice")
		answered := make(chan *session.Session, 1)
		go func() {
			s, err := (<-alice.calls).Answer(w.t.Context(), &session.AnswerOptions{Media: w.media()})
			if err != nil {
				t.Error(err)
			}
			answered <- s
		}()
		s, err := alice.Call(w.t.Context(), "alice", nil)
		if err != nil {
			t.Fatal(err)
		}
		there := <-answered
		if n := len(alice.Calls()); n != 2 {
			t.Errorf("%d calls", n)
		}
		if err := s.Hold(w.t.Context()); err != nil {
			t.Errorf("Hold: %v", err)
		}
		if err := there.Hangup(w.t.Context()); err != nil {
			t.Errorf("Hangup: %v", err)
		}
		<-s.Context().Done()
	})
}

// TestServerFaults: whatever the server or the way to it does, the UA is
// registered again by itself and a call goes on.
func TestServerFaults(t *testing.T) {
	for name, fault := range map[string]func(*siptest.Server){
		"cut":                func(s *siptest.Server) { s.Drop() },
		"restart":            func(s *siptest.Server) { s.Restart(true) },
		"restart, no memory": func(s *siptest.Server) { s.Restart(false) },
		"black hole": func(s *siptest.Server) {
			s.Blackhole(true)
			time.Sleep(9*time.Second + time.Millisecond) // 5 s of silence, 4 s for the pong
			s.Blackhole(false)
		},
		"refused for a while": func(s *siptest.Server) {
			s.Refuse(siptest.Refusal{})
			s.Drop()
			time.Sleep(time.Minute)
			s.Admit()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, siptest.Options{RecordRoute: true}, func(w *world) {
				alice, bob := w.phone("alice"), w.phone("bob")
				here, there := alice.talk(bob)
				alice.seen()
				bob.seen()
				fault(w.srv)
				alice.until("registered")
				bob.until("registered")
				here.say("still there?")
				there.hear("still there?")
				if err := here.Hangup(w.t.Context()); err != nil {
					t.Error(err)
				}
				if name == "restart, no memory" {
					return // the server knows the dialog no more
				}
				<-there.Context().Done()
			})
		})
	}
}

// TestLargeMessages: beyond the limit a request gets 513 and everything goes
// on; only beyond the hard limit the connection is given up, and comes back.
func TestLargeMessages(t *testing.T) {
	for _, tt := range []struct {
		size int
		cut  bool
	}{{65 << 10, false}, {1 << 20, false}, {5 << 20, false}, {20 << 20, true}} {
		t.Run(fmt.Sprint(tt.size), func(t *testing.T) {
			var refused atomic.Bool
			trace := func(e siptest.TraceEvent) {
				if e.Direction == siptest.In && strings.HasPrefix(string(e.Message), "SIP/2.0 513 ") {
					refused.Store(true)
				}
			}
			inWorld(t, siptest.Options{Trace: trace}, func(w *world) {
				alice, bob := w.phone("alice"), w.phone("bob")
				here, there := alice.talk(bob)
				alice.seen()
				var conn *siptest.Conn
				for _, b := range w.srv.Bindings("sip:alice@example.com") {
					conn = b.Conn
				}
				carol := siptest.Peer(w.t, w.srv, "carol")
				large := carol.NewRequest(sip.MESSAGE, "alice", siptest.Body("text/plain", strings.Repeat("x", tt.size)))
				if tt.cut {
					conn.Send(string(large.AppendTo(nil)))
					alice.until("registered")
				} else {
					conn.Send(string(large.AppendTo(nil)))
					synctest.Wait()
					if got := alice.seen(); len(got) != 0 {
						t.Errorf("events %q", got)
					}
				}
				if refused.Load() == tt.cut {
					t.Errorf("513 sent: %v", refused.Load())
				}
				here.say("on")
				there.hear("on")
				if err := alice.SendMessage(w.t.Context(), "status-200", "works", nil); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestNothingPrintsSecrets: whatever a program prints.
func TestNothingPrintsSecrets(t *testing.T) {
	inWorld(t, siptest.Options{ProxyAuth: true}, func(w *world) {
		var log strings.Builder
		cfg := w.config("alice")
		cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		cfg.TraceSIP = true
		cfg.TURNServers = []sipua.TURNServer{{URLs: []string{"turn:127.0.0.1:9"}, Username: "t", Credential: "turnsecret"}}
		var traced strings.Builder
		cfg.Trace = func(e sipua.TraceEvent) { traced.Write(e.Data) }
		ua := w.ua(cfg)
		if err := ua.Start(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := ua.Call(w.t.Context(), "status-486", nil)
		s, _ := ua.Invite(w.t.Context(), "bob", nil)
		synctest.Wait()
		var out strings.Builder
		for _, v := range []any{ua, struct{ U *sipua.UA }{ua}, s, err, cfg, &cfg, ua.Registration(), s.Media(), context.Cause(s.Context())} {
			fmt.Fprintf(&out, "%v %+v %#v %s\n", v, v, v, v)
			slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
			if b, err := json.Marshal(v); err == nil {
				out.Write(b)
			}
		}
		ua.Close()
		synctest.Wait() // pion's TURN client may log a word after it was closed
		for where, text := range map[string]string{"printed": out.String(), "logged": log.String(), "traced": traced.String()} {
			for _, secret := range []string{"wonderland", "turnsecret", "response=\""} {
				if strings.Contains(text, secret) {
					t.Errorf("%s: %q", where, secret)
				}
			}
		}
		if !strings.Contains(traced.String(), "REGISTER sip:example.com") || !strings.Contains(log.String(), "REGISTER sip:example.com") {
			t.Error("nothing was traced")
		}
	})
}

func TestSetters(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		got := make(chan *sip.Request, 4)
		alice := w.phone("alice")
		w.phone("bob", func(c *sipua.Config) {
			c.Handler.Message = func(_ context.Context, req *sip.Request) sip.StatusCode {
				got <- req
				return sip.StatusOK
			}
		})
		if err := errors.Join(alice.SetDisplayName(`Alice "ø" L`), alice.SetExtraHeaders([]sip.Field{{Name: "X-Team", Value: "1"}})); err != nil {
			t.Fatal(err)
		}
		if err := alice.SendMessage(w.t.Context(), "bob", "x", nil); err != nil {
			t.Fatal(err)
		}
		if req := <-got; req.From().Display != `Alice "ø" L` || req.Header("X-Team") != "1" {
			t.Errorf("got %s", req)
		}
		if alice.SetDisplayName("a\r\nb") == nil || alice.SetExtraHeaders([]sip.Field{{Name: "X", Value: "a\nb"}}) == nil ||
			alice.SetExtraHeaders([]sip.Field{{Name: "Via", Value: "x"}}) == nil {
			t.Error("hostile text was taken")
		}
	})
}
