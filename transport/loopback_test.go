package transport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"github.com/gosipua/sipua/transport"
)

// secure is an echo server over TLS, and the configuration that trusts it.
func secure(t *testing.T) (wss string, trust *tls.Config) {
	s := httptest.NewUnstartedServer(sipHandler(echo))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // some handshakes are meant to fail
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return "wss" + strings.TrimPrefix(s.URL, "https"), &tls.Config{RootCAs: roots}
}

// exchange proves that a flow is usable.
func exchange(t *testing.T, r *recorder) *transport.Flow {
	t.Helper()
	var f *transport.Flow
	for f == nil {
		switch e := <-r.events; e.kind {
		case "up":
			f = e.flow
		case "failed":
			t.Fatal(e.err)
		}
	}
	msg := strings.Repeat("0123456789", 2000)
	if err := f.Send([]byte(msg)); err != nil {
		t.Fatal(err)
	}
	if e := r.next(t, "message"); e.data != msg || e.flow != f {
		t.Errorf("got %.40q", e.data)
	}
	return f
}

func TestLoopback(t *testing.T) {
	s := serve(t, loopback(t), sipHandler(echo))
	p, r := start(t, transport.Options{Servers: servers(s.URL + "?token=geheim")})
	f := exchange(t, r)
	if got := f.RemoteAddr().String(); "ws://"+got != s.URL {
		t.Errorf("RemoteAddr %s", got)
	}
	if host, _, err := net.SplitHostPort(f.LocalAddr().String()); err != nil || host != "127.0.0.1" {
		t.Errorf("LocalAddr %v", f.LocalAddr())
	}
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		if got, want := fmt.Sprintf(verb, f), "flow 1 to "+s.URL; got != want {
			t.Errorf("%s prints %q, want %q", verb, got, want)
		}
	}
	if err := p.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := r.next(t, "down").err; !errors.Is(err, transport.ErrPoolClosed) {
		t.Errorf("down with %v", err)
	}
}

func TestTLS(t *testing.T) {
	wss, trust := secure(t)
	t.Run("trusted by Options", func(t *testing.T) {
		p, r := start(t, transport.Options{Servers: servers(wss), TLSConfig: trust})
		exchange(t, r)
		if err := p.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Run("trusted by Server", func(t *testing.T) {
		_, r := start(t, transport.Options{Servers: []transport.Server{{URL: wss, TLSConfig: trust}}, TLSConfig: &tls.Config{}})
		exchange(t, r)
	})
	t.Run("not trusted", func(t *testing.T) {
		_, r := start(t, transport.Options{Servers: servers(wss)})
		var ue x509.UnknownAuthorityError
		if err := r.until("failed").err; !errors.As(err, &ue) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("not TLS", func(t *testing.T) {
		s := serve(t, loopback(t), sipHandler(echo))
		_, r := start(t, transport.Options{Servers: servers("wss" + strings.TrimPrefix(s.URL, "ws")), TLSConfig: trust})
		var re tls.RecordHeaderError
		if err := r.until("failed").err; !errors.As(err, &re) {
			t.Errorf("error %v", err)
		}
	})
}

// What the handshake carries: path, query, Origin, own fields, cookies of both kinds.
func TestHandshakeRequest(t *testing.T) {
	seen := make(chan *http.Request, 2)
	s := serve(t, loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		if r.Header.Get("X-Refuse") != "" && len(seen) < 2 {
			w.Header().Set("Set-Cookie", "given=by-the-server")
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusForbidden)
			return
		}
		sipHandler(discard).ServeHTTP(w, r)
	}))
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse("http" + strings.TrimPrefix(s.URL, "ws"))
	jar.SetCookies(u, []*http.Cookie{{Name: "of", Value: "the-jar"}})
	server := transport.Server{
		URL:    s.URL + "/ws/sip%20x?token=a%26b&n=1",
		Origin: "https://phone.example.com",
		Jar:    jar,
		Header: http.Header{
			"authorization": {"Bearer t"}, "X-Many": {"1", "2"}, "cookie": {"own=1; more=2"},
			"Host": {"sip.example.com"}, "User-Agent": {"phone"}, "X-Refuse": {"once"},
		},
	}
	_, r := start(t, transport.Options{Servers: []transport.Server{server}, RecoveryMin: 1, RecoveryMax: 1})
	r.until("up")
	<-seen
	req := <-seen
	for got, want := range map[string]string{
		req.RequestURI:                              "/ws/sip%20x?token=a%26b&n=1",
		req.Host:                                    "sip.example.com",
		req.Header.Get("Origin"):                    "https://phone.example.com",
		req.Header.Get("Authorization"):             "Bearer t",
		req.Header.Get("User-Agent"):                "phone",
		req.Header.Get("Sec-WebSocket-Protocol"):    "sip",
		req.Header.Get("Sec-WebSocket-Extensions"):  "",
		strings.Join(req.Header["X-Many"], ","):     "1,2",
		strings.Join(req.Header["Cookie"], "\n"):    "own=1; more=2; given=by-the-server; of=the-jar",
		strings.Join(req.Header["Connection"], ","): "Upgrade",
	} {
		if got != want {
			t.Errorf("the server saw %q, want %q", got, want)
		}
	}
}

// tunnels is an HTTP proxy that knows CONNECT.
func tunnels(seen chan<- *http.Request, status string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		if status != "" {
			io.WriteString(c, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\n\r\n")
			return
		}
		to, err := net.Dial("tcp", r.Host)
		if err != nil {
			return
		}
		defer to.Close()
		io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { io.Copy(to, c); to.Close() }()
		io.Copy(c, to)
	})
}

func proxyTo(addr string) func(*http.Request) (*url.URL, error) {
	return func(*http.Request) (*url.URL, error) { return url.Parse(addr) }
}

func TestProxy(t *testing.T) {
	wss, trust := secure(t)
	plain := serve(t, loopback(t), sipHandler(echo)).URL
	seen := make(chan *http.Request, 10)
	open := httptest.NewServer(tunnels(seen, ""))
	defer open.Close()
	overTLS := httptest.NewTLSServer(tunnels(seen, ""))
	defer overTLS.Close()
	withUser := strings.Replace(open.URL, "http://", "http://me:secret@", 1)
	for _, tt := range []struct{ name, server, proxy, auth string }{
		{"ws", plain, open.URL, ""},
		{"wss", wss, open.URL, ""},
		{"with credentials", plain, withUser, "Basic bWU6c2VjcmV0"},
		{"https proxy", wss, overTLS.URL, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := make(chan *http.Request, 1)
			_, r := start(t, transport.Options{Servers: servers(tt.server + "/ws"), TLSConfig: trust,
				Proxy: func(r *http.Request) (*url.URL, error) { asked <- r; return url.Parse(tt.proxy) }})
			exchange(t, r)
			_, hostport, _ := strings.Cut(tt.server, "://")
			req := <-seen
			if req.Method != "CONNECT" || req.Host != hostport || req.Header.Get("Proxy-Authorization") != tt.auth {
				t.Errorf("the proxy saw %s %s %q", req.Method, req.Host, req.Header)
			}
			want := "http" + strings.TrimPrefix(tt.server, "ws") + "/ws"
			if got := (<-asked).URL.String(); got != want {
				t.Errorf("Proxy was asked about %s, want %s", got, want)
			}
		})
	}
}

func TestProxyRefuses(t *testing.T) {
	seen := make(chan *http.Request, 10)
	for _, status := range []string{"407 Proxy Authentication Required", "502"} { // the second without a reason phrase
		s := httptest.NewServer(tunnels(seen, status))
		_, r := start(t, transport.Options{Servers: []transport.Server{
			{URL: "ws://sip.example.com", Proxy: proxyTo(strings.Replace(s.URL, "//", "//me:secret@", 1))}}})
		err := r.until("failed").err
		var pe *transport.ProxyError
		if !errors.As(err, &pe) || pe.Status != status || "http://"+pe.Proxy != s.URL || strings.Contains(err.Error(), "secret") {
			t.Errorf("error %v", err)
		}
		s.Close()
	}
	for proxy, want := range map[string]string{"ftp://127.0.0.1": "unknown scheme", "": "no proxy today"} {
		_, r := start(t, transport.Options{Servers: servers("ws://sip.example.com"),
			Proxy: func(*http.Request) (*url.URL, error) {
				if proxy == "" {
					return nil, errors.New("no proxy today")
				}
				return url.Parse(proxy)
			}})
		if err := r.until("failed").err; !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

// A flow at rest is one goroutine, its reader.
func TestOneGoroutineAFlow(t *testing.T) {
	s := serve(t, loopback(t), sipHandler(echo))
	_, r := start(t, transport.Options{Servers: servers(s.URL)})
	exchange(t, r)
	ours := func() (n int) {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		for g := range strings.SplitSeq(string(stacks), "\n\n") {
			if strings.Contains(g, "sipua/transport.") {
				n++
			}
		}
		return n
	}
	for ours() > 1 { // the writer is about to end
		runtime.Gosched()
	}
	if n := ours(); n != 1 {
		t.Errorf("%d goroutines", n)
	}
}
