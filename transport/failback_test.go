package transport_test

import (
	"context"
	"errors"
	"net"
	"net/http"
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

// A heavier server that loses its flows early is returned to less and less often,
// and as ever once it has held one for long.
func TestFailBackDoesNotFlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		serve(t, m.listen("b:80"), sipHandler(discard))
		lives := make(chan time.Duration, 100)
		serve(t, m.listen("a:80"), sipHandler(func(c *websocket.Conn) {
			time.AfterFunc(<-lives, func() { c.NetConn().Close() })
			discard(c)
		}))
		_, r := start(t, transport.Options{DialContext: m.DialContext, FailBack: func() bool { return true },
			Servers: servers("ws://a", "ws://b")})
		lives <- time.Second
		r.until("up")
		var gaps []time.Duration
		for _, lived := range []time.Duration{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 600, 1} {
			lost := r.until("down").at // of a
			if up := r.until("up"); up.server.URL != "ws://b" {
				t.Fatalf("up with %v", up.server)
			}
			lives <- lived * time.Second
			r.next(t, "down") // of b: it gives way
			up := r.next(t, "up")
			if up.server.URL != "ws://a" {
				t.Fatalf("up with %v", up.server)
			}
			gaps = append(gaps, up.at.Sub(lost))
		}
		for i, least := range []time.Duration{30, 60, 120, 240, 480, 960, 1800, 1800, 1800, 1800, 1800} {
			if least *= time.Second; gaps[i] < least || gaps[i] > 2*least+30*time.Second {
				t.Errorf("return number %d after %v, want about %v to %v", i+1, gaps[i], least, 2*least)
			}
		}
		if last := gaps[len(gaps)-1]; last > 30*time.Second {
			t.Errorf("returned %v after a flow that had held", last)
		}
	})
}

// A heavier server that asked to be left alone, or that another pool uses, is not
// looked at.
func TestFailBackLeavesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		var excluded atomic.Bool
		excluded.Store(true)
		p, r, _ := onLighter(t, &m, transport.Options{FailBack: func() bool { return true },
			Exclude: func(s transport.Server) bool { return s.URL == "ws://a" && excluded.Load() }})
		var asked []time.Time
		serve(t, m.listen("a:80"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked = append(asked, time.Now()); len(asked) == 1 {
				w.Header().Set("Retry-After", "1200")
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			sipHandler(discard).ServeHTTP(w, r)
		}))
		time.Sleep(time.Hour)
		if len(asked) > 0 {
			t.Error("an excluded server was looked at")
		}
		excluded.Store(false)
		r.next(t, "down")
		up := r.next(t, "up")
		if d := asked[1].Sub(asked[0]); up.server.URL != "ws://a" || d < 20*time.Minute || d > 20*time.Minute+30*time.Second {
			t.Errorf("%v was asked again after %v, want the 20 min of Retry-After", up.server, d)
		}
		time.Sleep(time.Minute)

		// Told by the layer above that it does not serve, it is left for that long.
		left := time.Now()
		p.Flow().Leave(errors.New("503"), 10*time.Minute)
		r.next(t, "down")
		r.next(t, "connecting")
		r.next(t, "up")
		r.next(t, "down")
		up = r.next(t, "up")
		if d := up.at.Sub(left); up.server.URL != "ws://a" || d < 10*time.Minute || d > 10*time.Minute+30*time.Second {
			t.Errorf("returned to %v after %v", up.server, d)
		}
	})
}
