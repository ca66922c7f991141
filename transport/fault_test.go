package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/sip/siptest"
	"github.com/gosipua/sipua/transport"
)

// twoServers are a heavier and a lighter one behind one dialer, by their hosts.
func twoServers(t *testing.T) (heavy, light *siptest.Server, o transport.Options) {
	t.Helper()
	add := func(host string) *siptest.Server {
		srv, err := siptest.NewServer(siptest.Options{Host: host})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { srv.Close() })
		return srv
	}
	heavy, light = add("heavy.test"), add("light.test")
	byAddr := map[string]*siptest.Server{"heavy.test:80": heavy, "light.test:80": light}
	return heavy, light, transport.Options{Servers: servers("ws://heavy.test", "ws://light.test"),
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return byAddr[addr].DialContext(ctx, network, addr)
		}}
}

// What goes wrong with a connection, and when it is noticed: counted from the fault,
// which comes 3 s after a sign of life. The other server is connected at that instant,
// unless it is said how the connection lives on.
func TestFaults(t *testing.T) {
	const s = time.Second
	talk := func(c *siptest.Conn) { // the server has something to say each second
		for i := range 60 {
			time.AfterFunc(time.Duration(i)*s, func() { c.Send("OPTIONS sip:a@b SIP/2.0\r\n\r\n") })
		}
	}
	for _, tt := range []struct {
		name    string
		fault   func(*siptest.Conn)
		send    int           // bytes that we have to send meanwhile
		noticed time.Duration // 0: at once, negative: never
		err     error
	}{
		{"drop", (*siptest.Conn).Drop, 0, 0, syscall.ECONNRESET},
		{"end without a word", func(c *siptest.Conn) { c.Wire().Close() }, 0, 0, io.ErrUnexpectedEOF},
		{"stall", func(c *siptest.Conn) { c.Stall(true) }, 0, 6 * s, transport.ErrNoPong},
		{"stall while we send", func(c *siptest.Conn) { c.Stall(true) }, 200 << 10, 8 * s, transport.ErrStalled},
		{"stall that ends", func(c *siptest.Conn) { c.Stall(true); time.AfterFunc(5*s, func() { c.Stall(false) }) }, 0, -1, nil},
		{"black hole", func(c *siptest.Conn) { c.Blackhole(true) }, 0, 6 * s, transport.ErrNoPong},
		{"black hole while we send", func(c *siptest.Conn) { c.Blackhole(true) }, 200 << 10, 6 * s, transport.ErrNoPong},
		{"black hole out", func(c *siptest.Conn) { c.BlackholeIn(true) }, 0, 6 * s, transport.ErrNoPong},
		{"black hole out while the server talks", func(c *siptest.Conn) { c.BlackholeIn(true); talk(c) }, 0, 6 * s, transport.ErrNoPong},
		{"black hole in", func(c *siptest.Conn) { c.BlackholeOut(true) }, 0, 6 * s, transport.ErrNoPong},
		{"half open", (*siptest.Conn).Vanish, 0, 6 * s, transport.ErrNoPong},
		{"half open while we send", (*siptest.Conn).Vanish, 200 << 10, 6 * s, transport.ErrNoPong},
		{"thin line", func(c *siptest.Conn) { c.Slow(1000) }, 3000, -1, nil},
		{"long line", func(c *siptest.Conn) { c.Delay(3 * s) }, 0, -1, nil},
		{"too long a line", func(c *siptest.Conn) { c.Delay(5 * s) }, 0, 6 * s, transport.ErrNoPong},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				heavy, _, o := twoServers(t)
				_, r := start(t, o)
				up := r.until("up")
				time.Sleep(43 * s) // the last pong came 3 s ago
				began := time.Now()
				tt.fault(heavy.Conns()[0])
				for range (tt.send + 999) / 1000 {
					up.flow.Send([]byte(strings.Repeat("x", 1000)))
				}
				if tt.noticed < 0 {
					time.Sleep(time.Minute)
					if p := up.flow.Err(); p != nil {
						t.Errorf("down with %v", p)
					}
					return
				}
				down := r.until("down")
				if got := down.at.Sub(began); got != tt.noticed || !errors.Is(down.err, tt.err) || !errors.Is(down.err, net.ErrClosed) {
					t.Errorf("down after %v with %v, want %v after %v", got, down.err, tt.err, tt.noticed)
				}
				if up := r.until("up"); !up.at.Equal(down.at) || up.server.URL != "ws://light.test" {
					t.Errorf("up with %v after %v", up.server, up.at.Sub(down.at))
				}
			})
		})
	}
}

// The same faults of servers that are tried: what the attempt costs, and that the
// other server is tried then.
func TestFaultsOfAttempts(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault func(*siptest.Server)
		cost  time.Duration
	}{
		{"refused", func(s *siptest.Server) { s.Refuse(siptest.Refusal{}) }, 0},
		{"503", func(s *siptest.Server) { s.Refuse(siptest.Refusal{Status: 503, RetryAfter: time.Minute}) }, 0},
		{"429", func(s *siptest.Server) { s.Refuse(siptest.Refusal{Status: 429, RetryAfter: time.Minute}) }, 0},
		{"hangs", func(s *siptest.Server) { s.Refuse(siptest.Refusal{Hang: true}) }, 10 * time.Second},
		{"black hole", func(s *siptest.Server) { s.Blackhole(true) }, 10 * time.Second},
		{"black hole out", func(s *siptest.Server) { s.BlackholeIn(true) }, 10 * time.Second},
		{"black hole in", func(s *siptest.Server) { s.BlackholeOut(true) }, 10 * time.Second},
		{"stall", func(s *siptest.Server) { s.Stall(true) }, 10 * time.Second},
		{"line too thin for the handshake", func(s *siptest.Server) { s.Slow(10) }, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				heavy, _, o := twoServers(t)
				tt.fault(heavy)
				began := time.Now()
				_, r := start(t, o)
				if f := r.until("failed"); f.at.Sub(began) != tt.cost || f.server.URL != "ws://heavy.test" {
					t.Errorf("%v failed after %v, want %v", f.server, f.at.Sub(began), tt.cost)
				}
				if up := r.until("up"); up.at.Sub(began) != tt.cost || up.server.URL != "ws://light.test" {
					t.Errorf("up with %v after %v", up.server, up.at.Sub(began))
				}
			})
		})
	}
}

// The dialer is given the name with each attempt, never an address of before: what
// the DNS says by then is followed, at the instant of the loss or of the next attempt.
func TestNameMovesElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const second = time.Second
		before, after, o := twoServers(t)
		var behind atomic.Pointer[siptest.Server]
		behind.Store(before)
		o.Servers = servers("ws://sip.test")
		o.RecoveryMin, o.RecoveryMax = 2*second, 2*second // no room for jitter
		o.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != "sip.test:80" {
				t.Errorf("dialed %q", addr)
			}
			return behind.Load().DialContext(ctx, network, addr)
		}
		_, r := start(t, o)
		r.until("up")
		time.Sleep(time.Minute)

		behind.Store(after)
		time.Sleep(time.Minute)
		r.none(t) // the connection is as good as before
		before.Drop()
		down := r.next(t, "down")
		if up := r.until("up"); !up.at.Equal(down.at) || len(after.Conns()) != 1 {
			t.Errorf("up %v after the loss, %d connections to the new address", up.at.Sub(down.at), len(after.Conns()))
		}

		time.Sleep(time.Minute)
		after.Refuse(siptest.Refusal{})
		after.Drop()
		down = r.next(t, "down")
		time.Sleep(3 * second) // attempts at 0 s and 2 s
		behind.Store(before)
		if up := r.until("up"); up.at.Sub(down.at) != 4*second || len(before.Conns()) != 1 {
			t.Errorf("up %v after the loss, %d connections to the new address", up.at.Sub(down.at), len(before.Conns()))
		}
	})
}

// Retry tells of the next attempt after each loss and failure, before it begins.
func TestRetryIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heavy, light, o := twoServers(t)
		_, r := start(t, o)
		r.until("up")
		if len(r.retries) > 0 {
			t.Errorf("told of %v before anything was lost", <-r.retries)
		}
		time.Sleep(time.Minute)
		light.Refuse(siptest.Refusal{})
		heavy.Refuse(siptest.Refusal{})
		heavy.Drop()
		for n := 1; n <= 10; n++ {
			e := <-r.retries
			c := r.until("connecting")
			atOnce := n%2 == 1 // the lighter one follows the heavier one
			if e.attempt != n || c.attempt != n || c.at.Sub(e.at) != e.retryIn || atOnce != (e.retryIn == 0) {
				t.Errorf("told of attempt %d in %v, attempt %d came after %v", e.attempt, e.retryIn, c.attempt, c.at.Sub(e.at))
			}
		}
	})
}
