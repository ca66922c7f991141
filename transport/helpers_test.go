package transport_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/gosipua/sipua/transport"
)

// wsServer answers the handshake with the subprotocol sip and gives each
// connection to accept, in whose goroutine it lives.
type wsServer struct {
	URL  string
	http http.Server
	done chan struct{}
	busy sync.WaitGroup // handlers; those of WebSockets outlive the http.Server

	mu   sync.Mutex
	over bool // guarded by mu; no handler begins any more
}

func serve(tb testing.TB, l net.Listener, h http.Handler) *wsServer {
	tb.Helper()
	s := &wsServer{URL: "ws://" + l.Addr().String(), done: make(chan struct{})}
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.begin() {
			defer s.busy.Done()
			h.ServeHTTP(w, r)
		}
	})
	t := &tracker{Listener: l}
	go func() { defer close(s.done); s.http.Serve(t) }()
	tb.Cleanup(func() { s.stop(); t.cut(); s.wait() })
	return s
}

// begin says whether a handler may begin, and counts it.
func (s *wsServer) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.busy.Add(1)
	}
	return !s.over
}

// wait lets no handler begin, and waits for the others.
func (s *wsServer) wait() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.busy.Wait()
}

// tracker remembers the connections a listener accepted.
type tracker struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (t *tracker) Accept() (net.Conn, error) {
	c, err := t.Listener.Accept()
	if err == nil {
		t.mu.Lock()
		t.conns = append(t.conns, c)
		t.mu.Unlock()
	}
	return c, err
}

func (t *tracker) cut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.conns {
		c.Close()
	}
}

// stop refuses new connections; WebSockets live on.
func (s *wsServer) stop() { s.http.Close(); <-s.done }

// upgrade is a handler that speaks WebSocket and the given subprotocols.
func upgrade(accept func(*websocket.Conn), protocols ...string) http.Handler {
	u := websocket.Upgrader{Subprotocols: protocols, CheckOrigin: func(*http.Request) bool { return true }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := u.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		accept(c)
	})
}

func sipHandler(accept func(*websocket.Conn)) http.Handler { return upgrade(accept, "sip") }

// discard reads until the connection ends, answering pings and Close.
func discard(c *websocket.Conn) {
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			return
		}
	}
}

// echo sends each message back as it came.
func echo(c *websocket.Conn) {
	for {
		kind, data, err := c.ReadMessage()
		if err != nil || c.WriteMessage(kind, data) != nil {
			return
		}
	}
}

// event is what happened, in the order it did.
type event struct {
	at      time.Time
	kind    string
	flow    *transport.Flow
	server  transport.Server
	data    string
	err     error
	retryIn time.Duration
	attempt int
}

func (e event) String() string {
	return fmt.Sprintf("%s %s %v %v", e.kind, e.data, e.err, e.retryIn)
}

// recorder keeps every event. Those of Retry and Resumed, of which most tests have
// nothing to say, are apart.
type recorder struct{ events, retries, resumed chan event }

func newRecorder() *recorder {
	return &recorder{events: make(chan event, 4096), retries: make(chan event, 4096), resumed: make(chan event, 16)}
}

func (r *recorder) add(e event) { e.at = time.Now(); r.events <- e }

func (r *recorder) Events() transport.Events {
	return transport.Events{
		Connecting: func(s transport.Server, n int) { r.add(event{kind: "connecting", server: s, attempt: n}) },
		Up:         func(f *transport.Flow) { r.add(event{kind: "up", flow: f, server: f.Server()}) },
		Message: func(f *transport.Flow, d []byte) {
			r.add(event{kind: "message", flow: f, data: string(d)})
		},
		TooLong: func(f *transport.Flow, d []byte) {
			r.add(event{kind: "toolong", flow: f, data: string(d)})
		},
		Down: func(f *transport.Flow, err error) { r.add(event{kind: "down", flow: f, err: err}) },
		Failed: func(s transport.Server, err error, d time.Duration) {
			r.add(event{kind: "failed", server: s, err: err, retryIn: d})
		},
		Retry: func(in time.Duration, n int) {
			select {
			case r.retries <- event{kind: "retry", at: time.Now(), retryIn: in, attempt: n}:
			default: // a test that makes so many does not read them
			}
		},
		Resumed: func(d time.Duration) { r.resumed <- event{kind: "resumed", at: time.Now(), retryIn: d} },
	}
}

// next returns the next event, which must be of this kind.
func (r *recorder) next(t testing.TB, kind string) event {
	t.Helper()
	e := <-r.events
	if e.kind != kind {
		t.Fatalf("got event %v, want %s", e, kind)
	}
	return e
}

// until skips events up to one of this kind.
func (r *recorder) until(kind string) event {
	for {
		if e := <-r.events; e.kind == kind {
			return e
		}
	}
}

func (r *recorder) none(t testing.TB) {
	t.Helper()
	select {
	case e := <-r.events:
		t.Fatalf("unexpected event %v", e)
	default:
	}
}

// start runs a pool that is closed at the end of the test.
func start(tb testing.TB, o transport.Options) (*transport.Pool, *recorder) {
	r := newRecorder()
	o.Events = r.Events()
	p := transport.NewPool(o)
	tb.Cleanup(func() { p.Close() })
	p.Start()
	return p, r
}

// loopback listens on a free port.
func loopback(tb testing.TB) net.Listener {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// frame is one WebSocket frame as it was on the wire.
type frame struct {
	fin     bool
	opcode  int
	payload []byte
}

// readFrame reads a masked frame (RFC 6455 §5.2).
func readFrame(r io.Reader) (frame, error) {
	var h [14]byte
	if _, err := io.ReadFull(r, h[:2]); err != nil {
		return frame{}, err
	}
	f := frame{fin: h[0]&0x80 != 0, opcode: int(h[0] & 0x0f)}
	if h[0]&0x70 != 0 {
		return f, errors.New("reserved bits set")
	}
	if h[1]&0x80 == 0 {
		return f, errors.New("client frame without mask")
	}
	n, more := int(h[1]&0x7f), 0
	switch n {
	case 126:
		more = 2
	case 127:
		more = 8
	}
	if _, err := io.ReadFull(r, h[2:2+more+4]); err != nil {
		return f, err
	}
	if more > 0 {
		n = 0
		for _, b := range h[2 : 2+more] {
			n = n<<8 | int(b)
		}
	}
	f.payload = make([]byte, n)
	_, err := io.ReadFull(r, f.payload)
	for i := range f.payload {
		f.payload[i] ^= h[2+more+i%4]
	}
	return f, err
}

// rawServer speaks the handshake by hand, and then gives the bare connection on.
// head, if set, makes the response from the accept key.
type rawServer struct {
	l     net.Listener
	wg    sync.WaitGroup
	conns chan net.Conn
}

func serveRaw(tb testing.TB, l net.Listener, head func(accept string) string) *rawServer {
	t := &tracker{Listener: l}
	s := &rawServer{l: t, conns: make(chan net.Conn, 16)}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		for {
			c, err := t.Accept()
			if err != nil {
				return
			}
			s.wg.Add(1)
			go func() { defer s.wg.Done(); s.shake(c, head) }()
		}
	}()
	tb.Cleanup(func() {
		l.Close()
		t.cut()
		s.wg.Wait()
	})
	return s
}

func (s *rawServer) shake(c net.Conn, head func(string) string) {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	accept := base64.StdEncoding.EncodeToString(sum[:])
	if _, err := io.WriteString(c, head(accept)); err != nil {
		return
	}
	s.conns <- c
}

func switching(accept string) string {
	return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + accept + "\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
}
