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

	"github.com/gosipua/sipua/transport"
)

// After a sleep the flow is asked anew and has to answer within 2 s. A pong that was
// under way before is not held to be late, and none to prove anything.
func TestResumeOfFlow(t *testing.T) {
	for name, sleep := range map[string]func(*transport.Flow, time.Duration){
		"asleep": (*transport.Flow).Sleep, "frozen": (*transport.Flow).Freeze,
	} {
		for _, asked := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				flow, r, c := connected(t, transport.Options{})
				began := time.Now()
				in := frames(c)
				woke := 5 * time.Second // when the timer fires next
				time.Sleep(time.Second)
				if asked {
					<-in
					woke += 4 * time.Second
					time.Sleep(time.Second)
				}
				sleep(flow, 10*time.Minute)
				if e := <-r.resumed; e.at.Sub(began) != woke || e.retryIn < 10*time.Minute {
					t.Errorf("%s: resumed after %v from %v", name, e.at.Sub(began), e.retryIn)
				}
				f := <-in
				if f.opcode != ping || f.at != woke {
					t.Errorf("%s: got opcode %d after %v, want a ping after %v", name, f.opcode, f.at, woke)
				}
				if asked { // and the answer is there in time
					send(t, c, fin|pong, string(f.payload))
					time.Sleep(4 * time.Second)
					r.none(t)
					return
				}
				down := r.next(t, "down")
				if got := down.at.Sub(began); got != woke+2*time.Second || !errors.Is(down.err, transport.ErrNoPong) {
					t.Errorf("%s: down after %v with %v", name, got, down.err)
				}
			})
		}
	}
}

// A keep-alive that was due in the meantime goes at once, and the sleep is told once.
func TestResumeWithKeepAlive(t *testing.T) {
	for _, interval := range []time.Duration{5 * time.Second, -1} {
		synctest.Test(t, func(t *testing.T) {
			flow, r, c := connected(t, transport.Options{PingInterval: interval, KeepAliveInterval: time.Minute})
			in := frames(c)
			flow.Freeze(10 * time.Minute)
			<-r.resumed
			woke := time.Now()
			crlf := false
			for !crlf {
				switch f := <-in; f.opcode {
				case ping:
					send(t, c, fin|pong, string(f.payload))
				default:
					crlf = string(f.payload) == "\r\n\r\n"
				}
			}
			if took := time.Since(woke); took != 0 {
				t.Errorf("the keep-alive came %v after", took)
			}
			go func() {
				for f := range in {
					if f.opcode == ping {
						send(t, c, fin|pong, string(f.payload))
					}
				}
			}()
			time.Sleep(5 * time.Minute)
			select {
			case e := <-r.resumed:
				t.Errorf("resumed once more, from %v", e.retryIn)
			default:
			}
			r.none(t)
		})
	}
}

// A pool that waits notices within 5 s and tries at once; a time that a server asked
// for passes in sleep too.
func TestResumeOfWaitingPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		serve(t, m.listen("a:80"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(http.StatusTooManyRequests)
		}))
		p, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext})
		f := r.until("failed")
		if e := <-r.retries; e.retryIn != 10*time.Minute {
			t.Errorf("next in %v", e.retryIn)
		}
		time.Sleep(6 * time.Second)
		p.Sleep(9 * time.Minute)
		if e := <-r.resumed; e.at.Sub(f.at) != 10*time.Second || e.retryIn != 9*time.Minute {
			t.Errorf("resumed after %v from %v", e.at.Sub(f.at), e.retryIn)
		}
		if e := <-r.retries; e.retryIn != 50*time.Second { // the rest of what it asked for
			t.Errorf("next in %v", e.retryIn)
		}
		time.Sleep(time.Second)
		p.Sleep(9 * time.Minute)
		if c := r.next(t, "connecting"); c.at.Sub(f.at) != 15*time.Second {
			t.Errorf("tried again after %v", c.at.Sub(f.at))
		}
	})
}

// A flow whose address is on no interface any more is given up by a check and by the
// end of a sleep, and the same server is tried over the new address at once, however
// young the flow was.
func TestAddressGone(t *testing.T) {
	for name, look := range map[string]func(*transport.Pool, *transport.Flow){
		"Check": func(p *transport.Pool, _ *transport.Flow) { p.Check() },
		"sleep": func(_ *transport.Pool, f *transport.Flow) { f.Sleep(time.Minute); time.Sleep(time.Second) },
	} {
		synctest.Test(t, func(t *testing.T) {
			var m memory
			serve(t, m.listen("a:80"), sipHandler(discard))
			serve(t, m.listen("b:80"), sipHandler(discard))
			var ours atomic.Pointer[net.TCPAddr]
			ours.Store(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711})
			r := newRecorder()
			p := transport.NewPool(transport.Options{Servers: servers("ws://a", "ws://b"), Events: r.Events(), PingInterval: time.Second,
				DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
					c, err := m.DialContext(ctx, network, to)
					return atAddress{c, ours.Load()}, err
				}})
			p.SetInterfaces(func() ([]net.Addr, error) {
				return []net.Addr{&net.IPNet{IP: ours.Load().IP, Mask: net.CIDRMask(24, 32)}}, nil
			})
			defer p.Close()
			p.Start()
			r.until("up")
			p.Check()
			r.none(t)
			ours.Store(&net.TCPAddr{IP: net.IPv4(198, 51, 100, 7), Port: 4712})
			look(p, p.Flow())
			down := r.next(t, "down")
			if !errors.Is(down.err, transport.ErrAddressGone) || !errors.Is(down.err, net.ErrClosed) {
				t.Errorf("%s: down with %v", name, down.err)
			}
			if c := r.next(t, "connecting"); !c.at.Equal(down.at) || c.server.URL != "ws://a" {
				t.Errorf("%s: tried %v after %v", name, c.server, c.at.Sub(down.at))
			}
			up := r.next(t, "up")
			if up.flow.LocalAddr() != net.Addr(ours.Load()) {
				t.Errorf("%s: up at %v", name, up.flow.LocalAddr())
			}
			p.Check()
			time.Sleep(time.Minute)
			r.none(t)
		})
	}
}
