package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/transport"
)

func expectClosed(t *testing.T, p *transport.Pool, f *transport.Flow) {
	t.Helper()
	for name, err := range map[string]error{
		"Close": p.Close(), "Shutdown": p.Shutdown(context.Background()), "Send": f.Send(nil), "Err": f.Err(),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s afterwards: %v", name, err)
		}
	}
	if p.Flow() != nil {
		t.Error("Flow afterwards is not nil")
	}
	p.Start() // does nothing
	f.SetKeepAlive(time.Second)
	f.Fail(io.EOF)
}

// Both ends write what is queued and say goodbye, and hear the peer out.
func TestCloseWritesWhatIsQueued(t *testing.T) {
	for name, end := range map[string]func(*transport.Pool) error{
		"Close":              (*transport.Pool).Close,
		"Shutdown":           func(p *transport.Pool) error { return p.Shutdown(context.Background()) },
		"Shutdown, ctx over": func(p *transport.Pool) error { return p.Shutdown(over()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := new(memory)
				raw := serveRaw(t, m.listen("a:80"), switching)
				p, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext})
				up := r.until("up")
				c := <-raw.conns
				began := time.Now()
				for i := range 10 {
					up.flow.Send(fmt.Append(nil, "message ", i))
				}
				closed := make(chan error)
				go func() { closed <- end(p) }()
				for i := range 10 {
					expectFrame(t, c, text, fmt.Sprint("message ", i))
				}
				expectFrame(t, c, closes, "\x03\xe8")
				if err := up.flow.Send(nil); !errors.Is(err, net.ErrClosed) {
					t.Errorf("Send meanwhile: %v", err)
				}
				send(t, c, fin|text, "too late")
				send(t, c, fin|closes, "\x03\xe8")
				if err := <-closed; err != nil {
					t.Errorf("got %v", err)
				}
				if d := time.Since(began); d != 0 {
					t.Errorf("took %v", d)
				}
				if err := r.next(t, "down").err; !errors.Is(err, net.ErrClosed) {
					t.Errorf("down with %v", err)
				}
				if _, err := c.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("connection is open: %v", err)
				}
				r.none(t)
				expectClosed(t, p, up.flow)
			})
		})
	}
}

func over() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errOver)
	return ctx
}

var errOver = errors.New("over")

// What the peer does not read is given up: after 200 ms, or when ctx ends.
func TestCloseOfStalledFlow(t *testing.T) {
	for _, tt := range []struct {
		name  string
		end   func(*transport.Pool) error
		after time.Duration
		want  error
	}{
		{"Close", (*transport.Pool).Close, 200 * time.Millisecond, nil},
		{"Shutdown, ctx over", func(p *transport.Pool) error { return p.Shutdown(over()) }, 200 * time.Millisecond, errOver},
		{"Shutdown", func(p *transport.Pool) error {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			defer cancel()
			return p.Shutdown(ctx)
		}, 3200 * time.Millisecond, context.DeadlineExceeded},
		{"Shutdown cut short by Close", func(p *transport.Pool) error {
			time.AfterFunc(2*time.Second, func() { p.Close() })
			return p.Shutdown(context.Background())
		}, 2200 * time.Millisecond, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := new(memory)
				serveRaw(t, m.listen("a:80"), switching)
				p, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext})
				up := r.until("up")
				for range 3 {
					up.flow.Send(make([]byte, 60<<10))
				}
				synctest.Wait()
				began := time.Now()
				if err := tt.end(p); !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if got := time.Since(began); got != tt.after {
					t.Errorf("took %v, want %v", got, tt.after)
				}
				r.next(t, "down")
				expectClosed(t, p, up.flow)
			})
		})
	}
}

// A peer that takes everything but never answers Close holds us up a second at most.
func TestCloseWithoutAnswer(t *testing.T) {
	for _, tt := range []struct {
		end   func(*transport.Pool) error
		after time.Duration
	}{
		{(*transport.Pool).Close, 200 * time.Millisecond},
		{func(p *transport.Pool) error { return p.Shutdown(context.Background()) }, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := new(memory)
			serveRaw(t, m.listen("a:80"), switching)
			p, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext})
			r.until("up")
			began := time.Now()
			if err := tt.end(p); err != nil {
				t.Error(err)
			}
			if got := time.Since(began); got != tt.after {
				t.Errorf("took %v, want %v", got, tt.after)
			}
		})
	}
}

// Close ends whatever the pool is doing, at once.
func TestCloseWhileConnecting(t *testing.T) {
	hang := func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	mute := func(ctx context.Context, _, _ string) (net.Conn, error) { near, _ := newPipe(); return near, nil }
	refuse := new(memory).DialContext
	for name, o := range map[string]transport.Options{
		"not started": {},
		"dialing":     {Servers: servers("ws://a"), DialContext: hang},
		"TLS":         {Servers: servers("wss://a"), DialContext: mute},
		"handshake":   {Servers: servers("ws://a"), DialContext: mute},
		"waiting":     {Servers: servers("ws://a"), DialContext: refuse},
		"Dial's token": {Servers: servers("ws://a"), Dial: func(ctx context.Context, s transport.Server) (transport.Server, error) {
			<-ctx.Done()
			return s, ctx.Err()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := transport.NewPool(o)
				if name != "not started" {
					p.Start()
				}
				synctest.Wait()
				began := time.Now()
				if err := p.Close(); err != nil {
					t.Error(err)
				}
				if d := time.Since(began); d != 0 {
					t.Errorf("took %v", d)
				}
				if err := p.Close(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("second Close: %v", err)
				}
				p.Start()
				synctest.Wait()
			})
		})
	}
}

// Close and Shutdown inside each Events func return, and all ends behind them.
func TestCloseInsideEvents(t *testing.T) {
	ends := map[string]func(*transport.Pool) error{
		"Close":    (*transport.Pool).Close,
		"Shutdown": func(p *transport.Pool) error { return p.Shutdown(context.Background()) },
	}
	for name, end := range ends {
		for _, kind := range []string{"connecting", "failed", "up", "message", "toolong", "down", "retry", "resumed"} {
			t.Run(name+" in "+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := new(memory)
					raw := serveRaw(t, m.listen("a:80"), switching)
					var p *transport.Pool
					called := make(chan error, 16) // some are called more than once
					in := func(k string) {
						if k == kind {
							called <- end(p)
						}
					}
					o := transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext, MaxMessage: 10,
						Events: transport.Events{
							Connecting: func(transport.Server, int) { in("connecting") },
							Failed:     func(transport.Server, error, time.Duration) { in("failed") },
							Up:         func(*transport.Flow) { in("up") },
							Message:    func(*transport.Flow, []byte) { in("message") },
							TooLong:    func(*transport.Flow, []byte) { in("toolong") },
							Down:       func(*transport.Flow, error) { in("down") },
							Retry:      func(time.Duration, int) { in("retry") },
							Resumed:    func(time.Duration) { in("resumed") },
						}}
					if kind == "failed" || kind == "retry" {
						o.DialContext = new(memory).DialContext
					}
					p = transport.NewPool(o)
					p.Start()
					if kind == "message" || kind == "toolong" || kind == "down" || kind == "resumed" {
						c := <-raw.conns
						switch kind {
						case "resumed":
							synctest.Wait()
							p.Flow().Sleep(time.Hour)
						case "message":
							send(t, c, fin|text, "short")
						case "toolong":
							send(t, c, fin|text, "longer than ten bytes")
						case "down":
							c.Close()
						}
					}
					if err := <-called; err != nil {
						t.Errorf("got %v", err)
					}
					if err := p.Close(); !errors.Is(err, net.ErrClosed) { // waits for the end
						t.Errorf("second Close: %v", err)
					}
				})
			})
		}
	}
}

// The funcs of Options are called by the pool's goroutines as well.
func TestCloseInsideOptions(t *testing.T) {
	for _, kind := range []string{"Dial", "DialContext", "Proxy", "Server.Proxy", "Exclude"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p *transport.Pool
				called := make(chan error, 16) // some are called more than once
				in := func(k string) {
					if k == kind {
						called <- p.Close()
					}
				}
				o := transport.Options{
					Servers: servers("ws://a"),
					Dial: func(_ context.Context, s transport.Server) (transport.Server, error) {
						in("Dial")
						return s, nil
					},
					DialContext: func(context.Context, string, string) (net.Conn, error) {
						in("DialContext")
						near, _ := newPipe()
						return near, nil
					},
					Proxy:   func(*http.Request) (*url.URL, error) { in("Proxy"); return nil, nil },
					Exclude: func(transport.Server) bool { in("Exclude"); return false },
				}
				if kind == "Server.Proxy" {
					o.Servers[0].Proxy = func(*http.Request) (*url.URL, error) { in("Server.Proxy"); return nil, nil }
				}
				p = transport.NewPool(o)
				p.Start()
				if err := <-called; err != nil {
					t.Errorf("got %v", err)
				}
				if err := p.Close(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("second Close: %v", err)
				}
			})
		})
	}
}

// However deep in an Events func Close is called, it knows.
func TestCloseDeepInsideEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *transport.Pool
		var deeper func(int) error
		deeper = func(n int) error {
			if n == 0 {
				return p.Close()
			}
			return deeper(n - 1)
		}
		called := make(chan error)
		p = transport.NewPool(transport.Options{Events: transport.Events{
			Connecting: func(transport.Server, int) { called <- deeper(1000) },
		}})
		p.Start()
		if err := <-called; err != nil {
			t.Errorf("got %v", err)
		}
	})
}
