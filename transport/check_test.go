package transport_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/gosipua/sipua/transport"
)

// A check pings at once, and the pong is due within 2 s, or PongTimeout if that is
// shorter. Further checks meanwhile change nothing.
func TestCheckPingsAtOnce(t *testing.T) {
	for _, tt := range []struct{ pong, due time.Duration }{
		{4 * time.Second, 2 * time.Second}, {time.Second, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			var m memory
			raw := serveRaw(t, m.listen("a:80"), switching)
			p, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext, PongTimeout: tt.pong})
			c := (<-raw.conns).(*end)
			r.until("up")
			time.Sleep(time.Second)
			began := time.Now()
			in := frames(c)
			p.Check()
			if f := <-in; f.opcode != ping || f.at != 0 {
				t.Fatalf("got opcode %d after %v, want a ping at once", f.opcode, f.at)
			}
			for range 10 {
				time.Sleep(tt.due / 20)
				p.Check()
			}
			down := r.next(t, "down")
			if got := down.at.Sub(began); got != tt.due || !errors.Is(down.err, transport.ErrNoPong) {
				t.Errorf("down after %v with %v, want ErrNoPong after %v", got, down.err, tt.due)
			}
			if f, more := <-in; more {
				t.Errorf("sent another frame, opcode %d", f.opcode)
			}
		})
	}
}

func TestCheckOfLiveFlowChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		serve(t, m.listen("a:80"), sipHandler(discard))
		p, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext})
		r.until("up")
		for range 1000 {
			p.Check()
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Hour)
		r.none(t)
	})
}

// A pool that waits tries at once; a noisy hint makes one attempt a second, and the
// back-off goes on as it would have.
func TestCheckWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		p, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext, RecoveryMin: 10 * time.Second})
		r.next(t, "connecting")
		r.next(t, "failed")
		<-r.retries
		time.Sleep(1500 * time.Millisecond)
		hinted := time.Now()
		p.Check()
		if retry := <-r.retries; retry.retryIn != 0 || retry.attempt != 2 {
			t.Errorf("attempt %d in %v", retry.attempt, retry.retryIn)
		}
		if c := r.next(t, "connecting"); !c.at.Equal(hinted) || c.attempt != 2 {
			t.Errorf("attempt %d, %v after the hint", c.attempt, c.at.Sub(hinted))
		}
		if f := r.next(t, "failed"); f.retryIn < 10*time.Second || f.retryIn > 30*time.Second {
			t.Errorf("next in %v", f.retryIn)
		}
		for range 50 {
			p.Check()
			time.Sleep(100 * time.Millisecond)
		}
		for n := 3; n < 8; n++ {
			if c := r.next(t, "connecting"); c.attempt != n || c.at.Sub(hinted) != time.Duration(n-2)*time.Second {
				t.Errorf("attempt %d, %v after the first hint", c.attempt, c.at.Sub(hinted))
			}
			r.next(t, "failed")
		}
		for len(r.retries) > 0 {
			<-r.retries
		}
		last := r.next(t, "connecting") // the back-off goes on
		if d := last.at.Sub(hinted); d < 15*time.Second || last.attempt != 8 {
			t.Errorf("attempt %d after %v", last.attempt, d)
		}
	})
}

// What a server asked for stays honoured.
func TestCheckLeavesServerAloneThatAskedForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		serve(t, m.listen("a:80"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		p, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext})
		r.next(t, "connecting")
		f := r.next(t, "failed")
		if f.retryIn != 10*time.Minute {
			t.Errorf("next in %v", f.retryIn)
		}
		for range 599 {
			p.Check()
			time.Sleep(time.Second)
		}
		r.none(t)
		if c := r.next(t, "connecting"); c.at.Sub(f.at) != 10*time.Minute {
			t.Errorf("tried again after %v", c.at.Sub(f.at))
		}
	})
}

// A hint during an attempt has the next one follow at once, and an attempt that has
// taken long begun anew.
func TestCheckWhileConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hosts{takes: time.Hour}
		p, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: h.DialContext})
		began := time.Now()
		r.next(t, "connecting")
		time.Sleep(1999 * time.Millisecond)
		p.Check()
		synctest.Wait()
		r.none(t)
		time.Sleep(time.Millisecond)
		for range 7 { // the second attempt is let be for ten seconds
			p.Check()
			time.Sleep(time.Second)
		}
		if f := r.next(t, "failed"); f.at.Sub(began) != 2*time.Second || f.retryIn != 0 {
			t.Errorf("failed after %v, next in %v", f.at.Sub(began), f.retryIn)
		}
		if c := r.next(t, "connecting"); c.at.Sub(began) != 2*time.Second || c.attempt != 2 {
			t.Errorf("attempt %d after %v", c.attempt, c.at.Sub(began))
		}
		if f := r.next(t, "failed"); f.at.Sub(began) != 12*time.Second || !errors.Is(f.err, transport.ErrConnectTimeout) || f.retryIn != 0 {
			t.Errorf("failed after %v with %v, next in %v", f.at.Sub(began), f.err, f.retryIn)
		}
	})
}

func TestCheckOfPoolAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		p := transport.NewPool(transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext})
		p.Check() // before Start
		p.Start()
		p.Close()
		p.Check() // and after Close
		synctest.Wait()
	})
}

// atAddress is a connection in memory that says it has this local address.
type atAddress struct {
	net.Conn
	addr net.Addr
}

func (c atAddress) LocalAddr() net.Addr { return c.addr }

// A flow whose address never was on an interface, as in a network of the
// application's own, is not failed for that.
func TestCheckOfForeignAddress(t *testing.T) {
	for _, addr := range []net.Addr{
		&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711}, &net.TCPAddr{}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)},
		memAddr("x"),
	} {
		synctest.Test(t, func(t *testing.T) {
			var m memory
			serve(t, m.listen("a:80"), sipHandler(discard))
			p, r := start(t, transport.Options{Servers: servers("ws://a"),
				DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
					c, err := m.DialContext(ctx, network, to)
					return atAddress{c, addr}, err
				}})
			r.until("up")
			p.Check()
			time.Sleep(time.Minute)
			r.none(t)
		})
	}
}

// Leave ends the flow behind what is queued, and another server is taken at once.
// The one that was left is none to be tried before its time.
func TestLeave(t *testing.T) {
	busy := errors.New("503 for now")
	synctest.Test(t, func(t *testing.T) {
		var m memory
		raw := serveRaw(t, m.listen("a:80"), switching)
		b := make(chan *websocket.Conn, 1)
		serve(t, m.listen("b:80"), sipHandler(func(c *websocket.Conn) { b <- c; discard(c) }))
		_, r := start(t, transport.Options{Servers: servers("ws://a", "ws://b"), DialContext: m.DialContext})
		up := r.until("up")
		c := <-raw.conns
		time.Sleep(time.Second)
		began := time.Now()
		up.flow.Send([]byte("before"))
		up.flow.Leave(busy, 5*time.Minute)
		if err := up.flow.Send([]byte("after")); !errors.Is(err, busy) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("Send afterwards: %v", err)
		}
		expectFrame(t, c, text, "before")
		expectFrame(t, c, closes, "\x03\xe8")
		send(t, c, fin|closes, "\x03\xe8")
		if down := r.next(t, "down"); !errors.Is(down.err, busy) || !down.at.Equal(began) {
			t.Errorf("down after %v with %v", down.at.Sub(began), down.err)
		}
		r.next(t, "connecting")
		if up := r.next(t, "up"); !up.at.Equal(began) || up.server.URL != "ws://b" {
			t.Errorf("up with %v after %v", up.server, up.at.Sub(began))
		}
		up.flow.Leave(busy, time.Hour) // does nothing

		time.Sleep(4 * time.Minute)
		(<-b).NetConn().Close()
		r.next(t, "down")
		if next := r.next(t, "connecting"); next.server.URL != "ws://b" {
			t.Errorf("tried %v before its time", next.server)
		}
		r.next(t, "up")
		time.Sleep(time.Minute)
		(<-b).NetConn().Close()
		r.next(t, "down")
		if next := r.next(t, "connecting"); next.server.URL != "ws://a" {
			t.Errorf("tried %v, want the one whose time has come", next.server)
		}
	})
}

// Without another server the pool waits as long as it was told, an hour at most.
func TestLeaveOfTheOnlyServer(t *testing.T) {
	for _, tt := range []struct{ stay, wait time.Duration }{
		{90 * time.Second, 90 * time.Second}, {5 * time.Hour, time.Hour}, {0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			var m memory
			serve(t, m.listen("a:80"), sipHandler(discard))
			_, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext})
			up := r.until("up")
			time.Sleep(time.Minute)
			up.flow.Leave(errors.New("no"), tt.stay)
			down := r.next(t, "down")
			if retry := <-r.retries; retry.retryIn != tt.wait || retry.attempt != 1 {
				t.Errorf("attempt %d in %v", retry.attempt, retry.retryIn)
			}
			if c := r.next(t, "connecting"); c.at.Sub(down.at) != tt.wait {
				t.Errorf("tried again after %v, want %v", c.at.Sub(down.at), tt.wait)
			}
		})
	}
}

// Two pools that exclude each other's server never have the same one, however they
// lose theirs, and wait where there is none left.
func TestExclude(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		conns := make(chan *websocket.Conn, 100)
		for _, host := range []string{"a:80", "b:80"} {
			serve(t, m.listen(host), sipHandler(func(c *websocket.Conn) { conns <- c; discard(c) }))
		}
		var one, two *transport.Pool
		o := transport.Options{Servers: []transport.Server{{URL: "ws://a"}, {URL: "ws://b"}}, DialContext: m.DialContext}
		rone, rtwo := newRecorder(), newRecorder()
		o.Events, o.Exclude = rone.Events(), func(s transport.Server) bool { return two.Uses(s) }
		one = transport.NewPool(o)
		o.Events, o.Exclude = rtwo.Events(), func(s transport.Server) bool { return one.Uses(s) }
		two = transport.NewPool(o)
		defer one.Close()
		defer two.Close()
		one.Start()
		two.Start()
		for range 20 {
			f, g := rone.until("up").flow, rtwo.until("up").flow
			if f.Server().URL == g.Server().URL {
				t.Fatalf("both are at %v", f.Server())
			}
			if !one.Uses(f.Server()) || one.Uses(g.Server()) {
				t.Errorf("the first pool says it does not use %v", f.Server())
			}
			time.Sleep(time.Minute)
			f.Fail(errors.New("both at once"))
			g.Fail(errors.New("both at once"))
		}
	})
}

func TestExcludeOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		serve(t, m.listen("a:80"), sipHandler(discard))
		free := time.Now().Add(time.Minute)
		_, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext,
			Exclude: func(transport.Server) bool { return time.Now().Before(free) }})
		c := r.next(t, "connecting")
		if late := c.at.Sub(free); late < 0 || late > 30*time.Second || c.attempt != 1 {
			t.Errorf("attempt %d, %v after there was a server", c.attempt, late)
		}
		r.next(t, "up")
		var longest time.Duration
		for len(r.retries) > 0 {
			e := <-r.retries
			if e.attempt != 1 || e.retryIn < 2*time.Second {
				t.Errorf("attempt %d in %v", e.attempt, e.retryIn)
			}
			longest = max(longest, e.retryIn)
		}
		if longest == 0 {
			t.Error("the waits were not told")
		}
		free = time.Now().Add(time.Hour)
		time.Sleep(time.Hour)
		r.none(t) // a flow that is up stays
	})
}
