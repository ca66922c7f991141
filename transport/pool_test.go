package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/gosipua/sipua/transport"
)

func servers(urls ...string) []transport.Server {
	var s []transport.Server
	for i, u := range urls {
		s = append(s, transport.Server{URL: u, Weight: len(urls) - i})
	}
	return s
}

func TestBackOffInstants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory // nobody listens
		_, r := start(t, transport.Options{Servers: servers("ws://a:80"), DialContext: m.DialContext})
		began, at := time.Now(), time.Now()
		top := 4 * time.Second
		for n := 1; n <= 40; n++ {
			c := r.next(t, "connecting")
			if c.attempt != n {
				t.Fatalf("attempt %d, want %d", c.attempt, n)
			}
			if !c.at.Equal(at) {
				t.Fatalf("attempt %d after %v, want after %v", n, c.at.Sub(began), at.Sub(began))
			}
			f := r.next(t, "failed")
			var ce *transport.ConnectError
			if !errors.As(f.err, &ce) || !errors.Is(f.err, errRefused) || ce.Server != "ws://a:80" {
				t.Fatalf("error %v", f.err)
			}
			if f.retryIn < 2*time.Second || f.retryIn > top {
				t.Fatalf("attempt %d: next in %v, want 2 s to %v", n, f.retryIn, top)
			}
			at = f.at.Add(f.retryIn)
			top = min(2*top, 30*time.Second)
		}
	})
}

func TestBackOffWithoutRoomForJitterIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		_, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext,
			RecoveryMin: 7 * time.Second, RecoveryMax: time.Second}) // the minimum rules
		began := time.Now()
		for n := range 5 {
			if got, want := r.until("connecting").at.Sub(began), time.Duration(n)*7*time.Second; got != want {
				t.Errorf("attempt %d after %v, want %v", n+1, got, want)
			}
		}
	})
}

func TestFailoverIsAtOnceAndByWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		serve(t, m.listen("c:80"), sipHandler(discard))
		p, r := start(t, transport.Options{Servers: servers("ws://a", "ws://b", "ws://c"), DialContext: m.DialContext})
		began := time.Now()
		for _, host := range []string{"a", "b"} {
			if got, _ := r.next(t, "connecting").server.HostPort(); got != host {
				t.Fatalf("tried %s, want %s", got, host)
			}
			if f := r.next(t, "failed"); f.retryIn != 0 {
				t.Fatalf("waits %v with servers left", f.retryIn)
			}
		}
		r.next(t, "connecting")
		up := r.next(t, "up")
		if host, _ := up.server.HostPort(); host != "c" || !up.at.Equal(began) {
			t.Errorf("up with %s after %v", host, up.at.Sub(began))
		}
		if p.Flow() != up.flow || up.flow.ID() != 1 || up.flow.Err() != nil {
			t.Errorf("Flow is %v, ID %d, Err %v", p.Flow(), up.flow.ID(), up.flow.Err())
		}
	})
}

// A connection that held is replaced at once, one that did not hold after a wait.
func TestLossAndRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		conns := make(chan *websocket.Conn, 1)
		serve(t, m.listen("a:80"), sipHandler(func(c *websocket.Conn) { conns <- c; discard(c) }))
		p, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext})

		c, up := <-conns, r.until("up")
		time.Sleep(31 * time.Second) // not an instant of a ping
		lost := time.Now()
		c.NetConn().Close()
		down := r.next(t, "down")
		if down.flow != up.flow || !errors.Is(down.err, net.ErrClosed) || !errors.Is(down.err, io.ErrUnexpectedEOF) {
			t.Fatalf("down with %v", down.err)
		}
		if err := up.flow.Send([]byte("x")); err != down.err {
			t.Errorf("Send on a lost flow: %v, want what Down said", err)
		}
		again := r.next(t, "connecting")
		if !again.at.Equal(lost) || again.attempt != 1 {
			t.Errorf("attempt %d after %v, want the first at once", again.attempt, again.at.Sub(lost))
		}
		up = r.next(t, "up")
		if up.flow.ID() != 2 || p.Flow() != up.flow {
			t.Errorf("flow %d is up, Pool.Flow is %v", up.flow.ID(), p.Flow())
		}

		// This one is lost before it has held.
		c = <-conns
		time.Sleep(time.Second)
		lost = time.Now()
		c.NetConn().Close()
		r.next(t, "down")
		again = r.next(t, "connecting")
		if d := again.at.Sub(lost); d < 2*time.Second || d > 4*time.Second || again.attempt != 2 {
			t.Errorf("attempt %d after %v, want the second after 2 to 4 s", again.attempt, d)
		}
	})
}

// Something heard makes a connection count as held after RecoveryMin only: else a
// server that talks and hangs up would be called in a tight loop.
func TestHeldBySomethingHeard(t *testing.T) {
	for _, tt := range []struct {
		age  time.Duration
		held bool
	}{{time.Second, false}, {2 * time.Second, true}} {
		t.Run(tt.age.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var m memory
				serve(t, m.listen("a:80"), sipHandler(func(c *websocket.Conn) {
					c.WriteMessage(websocket.TextMessage, []byte("hello"))
					time.Sleep(tt.age)
				}))
				_, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext})
				lost := r.until("down").at
				if atOnce := r.next(t, "connecting").at.Equal(lost); atOnce != tt.held {
					t.Errorf("retried at once: %v, want %v", atOnce, tt.held)
				}
			})
		})
	}
}

func TestLossMovesToTheOtherServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		first := serve(t, m.listen("a:80"), sipHandler(discard))
		serve(t, m.listen("b:80"), sipHandler(discard))
		_, r := start(t, transport.Options{Servers: servers("ws://a", "ws://b"), DialContext: m.DialContext})
		up := r.until("up")
		time.Sleep(time.Minute)
		first.stop()
		m.ends[0].Close() // hijacked connections outlive their server
		r.until("down")
		if host, _ := up.server.HostPort(); host != "a" {
			t.Errorf("first server was %s", host)
		}
		up = r.until("up")
		if host, _ := up.server.HostPort(); host != "b" {
			t.Errorf("second server was %s", host)
		}
	})
}

func TestConnectTimeout(t *testing.T) {
	silent := func(ctx context.Context, _, _ string) (net.Conn, error) {
		near, far := newPipe()
		context.AfterFunc(ctx, func() { far.Close() })
		return near, nil
	}
	blocked := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for _, tt := range []struct {
		name string
		url  string
		dial func(context.Context, string, string) (net.Conn, error)
		hook func(context.Context, transport.Server) (transport.Server, error)
	}{
		{name: "TCP", url: "ws://a", dial: blocked},
		{name: "TLS", url: "wss://a", dial: silent},
		{name: "handshake", url: "ws://a", dial: silent},
		{name: "Dial", url: "ws://a", dial: silent,
			hook: func(ctx context.Context, s transport.Server) (transport.Server, error) {
				<-ctx.Done()
				return s, ctx.Err()
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, r := start(t, transport.Options{Servers: servers(tt.url), DialContext: tt.dial, Dial: tt.hook})
				began := time.Now()
				r.next(t, "connecting")
				f := r.next(t, "failed")
				if got := f.at.Sub(began); got != 10*time.Second {
					t.Errorf("failed after %v, want 10 s", got)
				}
				if !errors.Is(f.err, transport.ErrConnectTimeout) {
					t.Errorf("error %v", f.err)
				}
			})
		})
	}
}

func TestSubprotocolIsDemanded(t *testing.T) {
	for _, tt := range []struct {
		protocols []string
		got       string
	}{{nil, ""}, {[]string{"xmpp"}, ""}} {
		synctest.Test(t, func(t *testing.T) {
			var m memory
			serve(t, m.listen("a:80"), upgrade(discard, tt.protocols...))
			_, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext})
			var se *transport.SubprotocolError
			if err := r.until("failed").err; !errors.As(err, &se) || se.Got != tt.got {
				t.Errorf("error %v", err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // one that was not asked for
		var m memory
		serveRaw(t, m.listen("a:80"), func(accept string) string {
			return strings.Replace(switching(accept), "Protocol: sip", "Protocol: msrp", 1)
		})
		_, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext})
		var se *transport.SubprotocolError
		err := r.until("failed").err
		if !errors.As(err, &se) || se.Got != "msrp" || !strings.Contains(err.Error(), `"msrp" instead of "sip"`) {
			t.Errorf("error %v", err)
		}
	})
}

func TestHandshakeRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		serve(t, m.listen("a:80"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "25")
			http.Error(w, "too many of you", http.StatusServiceUnavailable)
		}))
		_, r := start(t, transport.Options{Servers: servers("ws://a/x"), DialContext: m.DialContext})
		f := r.until("failed")
		var he *transport.HandshakeError
		if !errors.As(f.err, &he) {
			t.Fatalf("error %v", f.err)
		}
		if he.StatusCode != 503 || he.RetryAfter != 25*time.Second || string(he.Body) != "too many of you\n" ||
			he.Header.Get("Retry-After") != "25" {
			t.Errorf("%+v", *he)
		}
		if want := `transport: connecting to ws://a/x: WebSocket handshake refused: "503 Service Unavailable"`; f.err.Error() != want {
			t.Errorf("got  %s\nwant %s", f.err, want)
		}
		if f.retryIn != 25*time.Second {
			t.Errorf("next in %v, want the 25 s of Retry-After", f.retryIn)
		}
		if next := r.next(t, "connecting"); next.at.Sub(f.at) != 25*time.Second {
			t.Errorf("tried again after %v", next.at.Sub(f.at))
		}
	})
}

// Handshake answers that must fail the attempt, and one that must not.
func TestHandshakeAnswers(t *testing.T) {
	kamailio := func(accept string) string {
		return "HTTP/1.1 101 Switching Protocols\r\nSia: SIP/2.0/TCP 127.0.0.1:40122\r\n" +
			"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + "\r\n" +
			"Sec-WebSocket-Protocol: sip\r\nServer: kamailio (5.8.4 (x86_64/linux))\r\nContent-Length: 0\r\n\r\n"
	}
	for _, tt := range []struct {
		name string
		head func(string) string
		want string // in the error; empty: up
	}{
		{"as Kamailio", kamailio, ""},
		{"wrong accept", func(string) string { return switching("bm90IHJpZ2h0") }, "breaks RFC 6455"},
		{"compression nobody offered", func(a string) string {
			return strings.Replace(switching(a), "\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate; "+
				"server_no_context_takeover; client_no_context_takeover\r\n\r\n", 1)
		}, "breaks RFC 6455"},
		{"redirect", func(string) string {
			return "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"
		}, `refused: "302 Found"`},
		{"no HTTP", func(string) string { return "SIP/2.0 400 Bad Request\r\n\r\n" }, "malformed HTTP"},
		{"endless header", func(string) string {
			return "HTTP/1.1 101 OK\r\n" + strings.Repeat("X-Y: "+strings.Repeat("z", 1000)+"\r\n", 300)
		}, "longer than 256 KiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var m memory
				raw := serveRaw(t, m.listen("a:80"), tt.head)
				p, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext})
				r.next(t, "connecting")
				if tt.want != "" {
					if err := r.next(t, "failed").err; !strings.Contains(err.Error(), tt.want) {
						t.Errorf("error %q, want %q in it", err, tt.want)
					}
					return
				}
				up := r.next(t, "up")
				c := <-raw.conns
				io.WriteString(c, "\x81\x05hello")
				if got := r.next(t, "message"); got.data != "hello" {
					t.Errorf("got %q", got.data)
				}
				up.flow.Send([]byte("world"))
				if f, err := readFrame(c); err != nil || string(f.payload) != "world" {
					t.Errorf("the server got %q, %v", f.payload, err)
				}
				_ = p
			})
		})
	}
}

func TestDialIsAskedAfresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		tokens := make(chan string, 10)
		serve(t, m.listen("real:5062"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			tokens <- r.Header.Get("Authorization") + " " + r.URL.String()
			if len(tokens) < 3 {
				http.Error(w, "", http.StatusUnauthorized)
				return
			}
			sipHandler(discard).ServeHTTP(w, r)
		}))
		n := 0
		shared := http.Header{"X-A": {"1"}}
		_, r := start(t, transport.Options{
			Servers:     []transport.Server{{URL: "ws://configured", Header: shared}},
			DialContext: m.DialContext,
			Dial: func(_ context.Context, s transport.Server) (transport.Server, error) {
				if n++; n == 2 {
					return s, errors.New("no token today")
				}
				s.URL = fmt.Sprintf("ws://real:5062/ws?n=%d", n)
				s.Header.Set("Authorization", fmt.Sprintf("Bearer %d", n))
				return s, nil
			},
		})
		var he *transport.HandshakeError
		if f := r.until("failed"); !errors.As(f.err, &he) || f.server.URL != "ws://configured" {
			t.Errorf("first attempt: %v", f.err)
		}
		if f := r.until("failed"); !strings.Contains(f.err.Error(), "no token today") {
			t.Errorf("second attempt: %v", f.err)
		}
		r.until("failed")
		up := r.until("up")
		if host, port := up.flow.Server().HostPort(); host != "real" || port != 5062 {
			t.Errorf("flow's server is %s:%d", host, port)
		}
		for _, want := range []string{"Bearer 1 /ws?n=1", "Bearer 3 /ws?n=3", "Bearer 4 /ws?n=4"} {
			if got := <-tokens; got != want {
				t.Errorf("server saw %q, want %q", got, want)
			}
		}
		if len(shared) != 1 {
			t.Errorf("the application's header was changed: %v", shared)
		}
	})
}

func TestNoServerIsToldByFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r := start(t, transport.Options{})
		var se *transport.ServerError
		if err := r.until("failed").err; !errors.As(err, &se) || se.Field != "URL" {
			t.Errorf("error %v", err)
		}
	})
}

func TestStartOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		serve(t, m.listen("a:80"), sipHandler(discard))
		p, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext})
		p.Start()
		synctest.Wait()
		p.Start()
		synctest.Wait()
		r.next(t, "connecting")
		r.next(t, "up")
		r.none(t)
	})
}
