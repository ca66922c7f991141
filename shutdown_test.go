package sipua_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
	"github.com/gosipua/sipua/sip/siptest"
	"github.com/gosipua/sipua/transport"
)

// endings are the two ways to end a UA.
var endings = map[string]func(*sipua.UA) error{
	"Close":    (*sipua.UA).Close,
	"Shutdown": func(ua *sipua.UA) error { return ua.Shutdown(context.Background()) },
}

// TestEndFromHandlers: Close and Shutdown from wherever the application may be.
func TestEndFromHandlers(t *testing.T) {
	for name, end := range endings {
		for place, set := range map[string]func(c *sipua.Config, ended func()){
			"Call": func(c *sipua.Config, f func()) { c.Handler.Call = func(*session.Incoming) { f() } },
			"State": func(c *sipua.Config, f func()) {
				c.Handler.Session.State = func(*session.Session, session.State) { f() }
			},
			"Event":        func(c *sipua.Config, f func()) { c.Handler.Event = func(sipua.Event) { f() } },
			"Connection":   func(c *sipua.Config, f func()) { c.Handler.Connection = func(sipua.ConnectionEvent) { f() } },
			"Registration": func(c *sipua.Config, f func()) { c.Handler.Registration = func(registrar.Event) { f() } },
			"Message": func(c *sipua.Config, f func()) {
				c.Handler.Message = func(context.Context, *sip.Request) sip.StatusCode { f(); return 200 }
			},
			"Dial": func(c *sipua.Config, f func()) {
				c.Dial = func(_ context.Context, s sipua.WSServer) (sipua.WSServer, error) { f(); return s, nil }
			},
			"Trace": func(c *sipua.Config, f func()) { c.Trace = func(sipua.TraceEvent) { f() } },
			"Credentials": func(c *sipua.Config, f func()) {
				c.Credentials = func(context.Context, digest.Challenge) (digest.Credentials, error) {
					f()
					return digest.Password("bob", "builder"), nil
				}
			},
		} {
			t.Run(name+" from "+place, func(t *testing.T) {
				inWorld(t, siptest.Options{}, func(w *world) {
					alice := w.phone("alice")
					cfg := w.config("bob")
					done := make(chan struct{})
					var bob *sipua.UA
					cfg.Handler.Call = func(in *session.Incoming) { in.Answer(w.t.Context(), nil) }
					over := sync.OnceFunc(func() { close(done) })
					set(&cfg, func() { // beside itself, too: the un-REGISTER is challenged
						select {
						case <-done:
						default:
							end(bob)
							over()
						}
					})
					bob = w.ua(cfg)
					bob.Start(w.t.Context())
					ctx, cancel := within(time.Minute)
					defer cancel()
					go alice.SendMessage(ctx, "bob", "hello", nil)
					go alice.Call(ctx, "bob", nil)
					<-done
					if err := bob.Close(); !errors.Is(err, net.ErrClosed) {
						t.Errorf("Close again: %v", err)
					}
				})
			})
		}
	}
}

func TestEndBesideAnswer(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) {
				alice, bob := w.phone("alice"), w.phone("bob")
				go alice.Call(w.t.Context(), "bob", nil)
				in := <-bob.calls
				answered := make(chan error, 1)
				go func() {
					_, err := in.Answer(w.t.Context(), nil)
					answered <- err
				}()
				end(bob.UA)
				<-answered
				<-in.Context().Done()
			})
		})
	}
}

// TestAfterTheEnd: everything returns net.ErrClosed.
func TestAfterTheEnd(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) {
				alice := w.phone("alice")
				if err := end(alice.UA); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				ctx := w.t.Context()
				_, call := alice.Call(ctx, "bob", nil)
				_, invite := alice.Invite(ctx, "bob", nil)
				_, options := alice.SendOptions(ctx, "bob", nil)
				_, do := alice.Do(ctx, sip.NewRequest(sip.OPTIONS, sip.URI{Scheme: "sip", Host: "example.com"}))
				for what, err := range map[string]error{
					"Call": call, "Invite": invite, "SendOptions": options, "Do": do,
					"SendMessage": alice.SendMessage(ctx, "bob", "x", nil),
					"Register":    alice.Register(ctx),
					"Unregister":  alice.Unregister(ctx, false),
					"Start":       alice.Start(ctx),
					"Close":       alice.Close(),
					"Shutdown":    alice.Shutdown(ctx),
				} {
					if !errors.Is(err, net.ErrClosed) {
						t.Errorf("%s: %v", what, err)
					}
				}
			})
		})
	}
}

// TestShutdownIsPolite: the far end gets its BYE and the registrar its
// un-REGISTER, also with a context that has ended.
func TestShutdownIsPolite(t *testing.T) {
	for _, patient := range []bool{true, false} {
		t.Run(fmt.Sprint(patient), func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) {
				alice, bob := w.phone("alice"), w.phone("bob")
				_, there := alice.talk(bob)
				ctx, cancel := context.WithCancel(w.t.Context())
				if !patient {
					cancel()
				}
				defer cancel()
				begin := time.Now()
				err := alice.Shutdown(ctx)
				if patient && err != nil {
					t.Errorf("Shutdown: %v", err)
				}
				if took := time.Since(begin); took > 5*time.Second {
					t.Errorf("took %v", took)
				}
				<-there.Context().Done()
				synctest.Wait()
				if w.srv.Registered("sip:alice@example.com") {
					t.Error("still registered")
				}
			})
		})
	}
}

// TestCloseFromDialBesideClose: Close waits for the func that calls Close.
func TestCloseFromDialBesideClose(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) {
				cfg := w.config("alice")
				var ua *sipua.UA
				cfg.Dial = func(ctx context.Context, s sipua.WSServer) (sipua.WSServer, error) {
					<-ctx.Done()
					if err := ua.Close(); !errors.Is(err, net.ErrClosed) {
						t.Errorf("Close again: %v", err)
					}
					return s, ctx.Err()
				}
				ua = w.ua(cfg)
				ended, cancel := context.WithCancel(w.t.Context())
				cancel()
				ua.Start(ended)
				synctest.Wait()
				end(ua)
			})
		})
	}
}

// TestCloseCutsShutdownShort: who has waited long enough may say so.
func TestCloseCutsShutdownShort(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		alice, bob := w.phone("alice"), w.phone("bob")
		alice.talk(bob)
		w.srv.Blackhole(true)
		shutdown := make(chan error, 1)
		go func() { shutdown <- alice.Shutdown(context.Background()) }()
		time.Sleep(time.Second)
		begin := time.Now()
		if err := alice.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("Close took %v", took)
		}
		if err := <-shutdown; err == nil {
			t.Error("Shutdown: want an error, as the call did not end")
		}
	})
}

// TestShutdownIsBounded: 5 s, whatever the server does.
func TestShutdownIsBounded(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		alice, bob := w.phone("alice"), w.phone("bob")
		alice.talk(bob)
		w.srv.Blackhole(true)
		begin := time.Now()
		alice.Shutdown(context.Background())
		if took := time.Since(begin); took > 6*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// TestClosedIsTheLastEvent: what came before is told first.
func TestClosedIsTheLastEvent(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) {
				var alice *phone
				alice = w.phone("alice", func(c *sipua.Config) { c.Handler.Closed = func() { alice.note("closed") } })
				alice.seen()
				end(alice.UA)
				end(alice.UA)
				got := alice.seen()
				if len(got) < 2 || slices.Index(got, "closed") != len(got)-1 {
					t.Errorf("events %q", got)
				}
			})
		})
	}
}

// TestClosedIsTheLastEventFromDial: Close does not wait for the pools where one of
// them has called the application. What these tell later is not told any more.
func TestClosedIsTheLastEventFromDial(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			inWorldOfTwo(t, siptest.Options{}, func(w *world, second *siptest.Server) {
				var got []string
				var ua atomic.Pointer[sipua.UA]
				alice := w.phone("alice", reaching(w, second), twoFlows, func(c *sipua.Config) {
					c.Handler.Event = func(e sipua.Event) { got = append(got, e.Kind.String()) }
					c.Handler.Closed = func() { got = append(got, "closed") }
					c.Dial = func(_ context.Context, s sipua.WSServer) (sipua.WSServer, error) {
						if ua := ua.Load(); ua != nil {
							end(ua)
						}
						return s, nil
					}
				})
				synctest.Wait()
				ua.Store(alice.UA)
				kill(second)
				time.Sleep(time.Minute)
				synctest.Wait()
				if slices.Index(got, "closed") != len(got)-1 {
					t.Errorf("events %q", got)
				}
			})
		})
	}
}

// TestShutdownWithByeThatWaits: a BYE waits for a connection as long as the UA, and
// Shutdown is over after 5 s all the same; Close at once. Neither waits at the gate.
func TestShutdownWithByeThatWaits(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) {
				gate := transport.NewGate(1, 0.001)
				alice, bob := w.phone("alice", func(c *sipua.Config) { c.Gate = gate }), w.phone("bob")
				here, _ := alice.talk(bob)
				kill(w.srv)
				hung := make(chan error, 1)
				go func() { hung <- here.Hangup(context.Background()) }()
				time.Sleep(time.Minute)
				select {
				case err := <-hung:
					t.Fatalf("Hangup without a connection: %v", err)
				default:
				}
				begin := time.Now()
				end(alice.UA)
				if took := time.Since(begin); took > 5*time.Second || name == "Close" && took > 0 {
					t.Errorf("took %v", took)
				}
				<-hung
			})
		})
	}
}
