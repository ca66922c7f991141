package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// wireRoom is how much a memory connection holds in each direction.
const wireRoom = 64 << 10

// stream is one direction of a memory connection.
type stream struct {
	mu     sync.Mutex
	moved  sync.Cond
	data   []byte
	ended  bool // the writer closed
	broken bool // the reader closed
	writes int  // calls of Write that the writer made
}

// end is one end of a buffered duplex connection in memory, with deadlines. Unlike
// net.Pipe a write does not wait for the reader until 64 KiB are under way.
type end struct {
	in, out  *stream
	readBy   deadline
	writeBy  deadline
	closedMu sync.Mutex
	closed   bool
}

type deadline struct {
	at    time.Time
	timer *time.Timer
}

func newPipe() (a, b *end) {
	one, two := new(stream), new(stream)
	one.moved.L, two.moved.L = &one.mu, &two.mu
	return &end{in: one, out: two}, &end{in: two, out: one}
}

func (d *deadline) set(s *stream, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.at = at
	if !at.IsZero() {
		d.timer = time.AfterFunc(time.Until(at), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.moved.Broadcast()
		})
	}
	s.moved.Broadcast()
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (e *end) Read(p []byte) (int, error) {
	s := e.in
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.broken:
			return 0, net.ErrClosed
		case e.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case len(s.data) > 0:
			n := copy(p, s.data)
			s.data = s.data[n:]
			s.moved.Broadcast()
			return n, nil
		case s.ended:
			return 0, io.EOF
		}
		s.moved.Wait()
	}
}

func (e *end) Write(p []byte) (n int, err error) {
	s := e.out
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	for {
		switch {
		case s.ended:
			return n, net.ErrClosed
		case s.broken:
			return n, errors.New("connection reset by peer")
		case e.writeBy.passed():
			return n, os.ErrDeadlineExceeded
		case len(p) == 0:
			return n, nil
		}
		if room := wireRoom - len(s.data); room > 0 {
			k := min(room, len(p))
			s.data = append(s.data, p[:k]...)
			p, n = p[k:], n+k
			s.moved.Broadcast()
			continue
		}
		s.moved.Wait()
	}
}

func (e *end) Close() error {
	e.closedMu.Lock()
	defer e.closedMu.Unlock()
	if e.closed {
		return net.ErrClosed
	}
	e.closed = true
	e.SetDeadline(time.Time{}) // stops the timers
	for _, s := range []*stream{e.in, e.out} {
		s.mu.Lock()
		if s == e.in {
			s.broken = true
		} else {
			s.ended = true
		}
		s.moved.Broadcast()
		s.mu.Unlock()
	}
	return nil
}

func (e *end) SetDeadline(t time.Time) error {
	e.SetReadDeadline(t)
	return e.SetWriteDeadline(t)
}
func (e *end) SetReadDeadline(t time.Time) error  { e.readBy.set(e.in, t); return nil }
func (e *end) SetWriteDeadline(t time.Time) error { e.writeBy.set(e.out, t); return nil }
func (e *end) LocalAddr() net.Addr                { return memAddr("local") }
func (e *end) RemoteAddr() net.Addr               { return memAddr("remote") }

type memAddr string

func (a memAddr) Network() string { return "memory" }
func (a memAddr) String() string  { return string(a) }

// memory is a network of listeners in memory, by address.
type memory struct {
	mu        sync.Mutex
	listeners map[string]*memListener
	ends      []*end // the client ends of all connections made
}

func (m *memory) listen(addr string) *memListener {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.listeners == nil {
		m.listeners = make(map[string]*memListener)
	}
	l := &memListener{addr: addr, conns: make(chan net.Conn, 16), done: make(chan struct{})}
	m.listeners[addr] = l
	return l
}

var errRefused = errors.New("connection refused")

func (m *memory) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	m.mu.Lock()
	l := m.listeners[addr]
	m.mu.Unlock()
	if l == nil {
		return nil, errRefused
	}
	near, far := newPipe()
	select {
	case l.conns <- far:
	case <-l.done:
		return nil, errRefused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	m.mu.Lock()
	m.ends = append(m.ends, near)
	m.mu.Unlock()
	return near, nil
}

type memListener struct {
	addr  string
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *memListener) Addr() net.Addr { return memAddr(l.addr) }
