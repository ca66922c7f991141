package transport_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/gosipua/sipua/transport"
)

// onLighter is a pool whose heavier server a was down, so that it is on b.
func onLighter(t *testing.T, m *memory, o transport.Options) (*transport.Pool, *recorder, *transport.Flow) {
	serve(t, m.listen("b:80"), sipHandler(discard))
	o.Servers, o.DialContext = servers("ws://a", "ws://b"), m.DialContext
	p, r := start(t, o)
	return p, r, r.until("up").flow
}

func TestFailBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		var free atomic.Bool
		p, r, light := onLighter(t, &m, transport.Options{FailBack: free.Load})
		time.Sleep(time.Hour)
		r.none(t) // a call is up, and the heavier server is down
		free.Store(true)
		time.Sleep(time.Hour)
		r.none(t) // only the server is down: no word of attempts
		if p.Flow() != light {
			t.Fatal("the flow in use was given up")
		}

		serve(t, m.listen("a:80"), sipHandler(discard))
		back := time.Now()
		down := r.next(t, "down")
		up := r.next(t, "up")
		if down.flow != light || !errors.Is(down.err, transport.ErrFailBack) || !errors.Is(down.err, net.ErrClosed) {
			t.Errorf("down with %v", down.err)
		}
		if host, _ := up.server.HostPort(); host != "a" || p.Flow() != up.flow || !down.at.Equal(up.at) {
			t.Errorf("up with %s, %v after the other went", host, up.at.Sub(down.at))
		}
		if d := up.at.Sub(back); d > 30*time.Second {
			t.Errorf("moved after %v", d)
		}
		time.Sleep(time.Hour)
		r.none(t) // on the heaviest now
	})
}

// Of several heavier servers the heaviest that answers is taken, and the look back
// goes on from there.
func TestFailBackByStages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		serve(t, m.listen("c:80"), sipHandler(discard))
		_, r := start(t, transport.Options{DialContext: m.DialContext, FailBack: func() bool { return true },
			Servers: servers("ws://a", "ws://b", "ws://c")})
		r.until("up")
		for _, next := range []string{"b", "a"} {
			serve(t, m.listen(next+":80"), sipHandler(discard))
			r.next(t, "down")
			if host, _ := r.next(t, "up").server.HostPort(); host != next {
				t.Errorf("up with %s, want %s", host, next)
			}
		}
		time.Sleep(time.Hour)
		r.none(t)
	})
}

// A call that begins during the handshake keeps the flow.
func TestFailBackAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		asked := 0
		p, r, light := onLighter(t, &m, transport.Options{FailBack: func() bool { asked++; return asked%2 == 1 }})
		tried := make(chan struct{}, 100)
		serve(t, m.listen("a:80"), sipHandler(func(c *websocket.Conn) { tried <- struct{}{}; discard(c) }))
		<-tried
		<-tried
		synctest.Wait()
		r.none(t)
		if p.Flow() != light || light.Err() != nil {
			t.Error("the flow was given up")
		}
	})
}

// The loss of the lighter flow during the handshake is recovered from as ever.
func TestFailBackBesideLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		_, r, light := onLighter(t, &m, transport.Options{FailBack: func() bool { return true }})
		l := m.listen("a:80") // accepts and says nothing for 5 s
		accepted := make(chan net.Conn)
		go func() { c, _ := l.Accept(); accepted <- c; serveRaw(t, l, switching) }()
		(<-accepted).Close()
		light.Fail(errors.New("dead"))
		r.next(t, "down")
		r.next(t, "connecting")
		if host, _ := r.next(t, "up").server.HostPort(); host != "a" {
			t.Errorf("up with %s", host)
		}
	})
}

func TestCloseDuringFailBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		p, r, _ := onLighter(t, &m, transport.Options{FailBack: func() bool { return true }})
		l := m.listen("a:80")
		c, _ := l.Accept()
		defer c.Close() // it never answers
		began := time.Now()
		if err := p.Close(); err != nil || !time.Now().Equal(began) {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		r.next(t, "down")
		r.none(t)
	})
	synctest.Test(t, func(t *testing.T) { // FailBack itself is on one of the pool's goroutines
		var m memory
		var p *transport.Pool
		ready, done := make(chan struct{}), make(chan error, 1)
		p, _, _ = onLighter(t, &m, transport.Options{FailBack: func() bool {
			<-ready
			done <- p.Shutdown(context.Background())
			return true
		}})
		close(ready)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
