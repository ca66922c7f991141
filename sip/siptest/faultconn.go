package siptest

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// fault is what is wrong with a connection.
type fault struct {
	stalled bool
	muted   bool // above WebSocket
	lostIn  bool // what the client sends is swallowed
	lostOut bool // what the server writes is swallowed
	delay   time.Duration
	rate    int // bytes a second each way, 0 for no bound
}

// faultConn is the server's end of a connection below TLS and WebSocket, where
// it can be made to fail. Its Write never blocks: what the connection does not
// take at once waits in pending.
type faultConn struct {
	net.Conn
	running *sync.WaitGroup // counts flush
	faulty  atomic.Bool     // whether fault stops anything: the common case costs one load

	mu       sync.Mutex
	cond     sync.Cond // of fault, closed and pending
	fault    fault     // guarded by mu
	closed   bool      // guarded by mu
	socket   socket    // guarded by mu
	pending  []byte    // guarded by mu: to be written by flush
	flushing bool      // guarded by mu: flush runs
	last     bool      // guarded by mu: the connection is closed behind pending
}

func newFaultConn(nc net.Conn, running *sync.WaitGroup) *faultConn {
	c := &faultConn{Conn: nc, running: running}
	c.cond.L = &c.mu
	return c
}

func (c *faultConn) Read(p []byte) (int, error) {
	for {
		room := p
		if c.faulty.Load() {
			c.waitUnstalled()
			room = p[:min(len(p), c.piece())]
		}
		n, err := c.Conn.Read(room)
		if !c.faulty.Load() {
			return n, err
		}
		c.takeTime(n)
		if c.waitUnstalled() || err != nil {
			return n, err
		}
	}
}

// piece is how much may go through at once.
func (c *faultConn) piece() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault.rate <= 0 {
		return wireBuffer
	}
	return max(c.fault.rate/10, 1)
}

// takeTime waits for as long as n bytes take.
func (c *faultConn) takeTime(n int) {
	c.mu.Lock()
	rate := c.fault.rate
	c.mu.Unlock()
	if rate > 0 {
		time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
	}
}

// waitUnstalled blocks while the connection is stalled. It reports whether what
// was read may be passed on, which in a black hole it may not.
func (c *faultConn) waitUnstalled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.fault.stalled && !c.closed {
		c.cond.Wait()
	}
	return !c.fault.lostIn
}

func (c *faultConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	if c.fault.lostOut {
		return len(p), nil
	}
	rest := p
	if !c.flushing && c.fault.rate <= 0 {
		n, err := c.tryWrite(p)
		if err != nil {
			return n, err
		}
		rest = p[n:]
	}
	if len(rest) > 0 {
		c.pending = append(c.pending, rest...)
		if !c.flushing {
			c.flushing = true
			c.running.Add(1)
			go c.flush()
		}
	}
	return len(p), nil
}

// tryWrite writes what finds room at once.
func (c *faultConn) tryWrite(p []byte) (int, error) {
	switch nc := c.Conn.(type) {
	case *Wire:
		n, err := nc.out.tryWrite(p)
		return n, nc.opError("write", err)
	case *net.TCPConn:
		return c.socket.tryWrite(nc, p)
	}
	return 0, nil
}

// flush writes pending and ends when nothing is.
func (c *faultConn) flush() {
	defer c.running.Done()
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pending) > 0 && !c.closed {
		p := c.pending
		c.pending = nil
		if rate := c.fault.rate; rate > 0 {
			n := min(len(p), max(rate/10, 1))
			p, c.pending = p[:n], p[n:]
		}
		c.mu.Unlock()
		c.takeTime(len(p))
		_, err := c.Conn.Write(p)
		c.mu.Lock()
		if err != nil {
			c.last = true // the reader sees the end
			break
		}
	}
	c.pending, c.flushing = nil, false
	if c.last && !c.closed {
		c.closed = true
		c.Conn.Close()
	}
	c.cond.Broadcast()
}

// finish closes the connection as soon as everything is written.
func (c *faultConn) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = true
	if !c.flushing && !c.closed {
		c.closed = true
		c.cond.Broadcast()
		c.Conn.Close()
	}
}

// drained waits until finish has closed the connection, no longer than limit.
func (c *faultConn) drained(limit time.Duration) {
	timer := time.AfterFunc(limit, func() { c.Close() })
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed {
		c.cond.Wait()
	}
}

func (c *faultConn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.cond.Broadcast()
	c.mu.Unlock()
	return c.Conn.Close()
}

// cut closes the connection abruptly: the client reads a reset, not an EOF.
func (c *faultConn) cut() {
	c.mu.Lock()
	c.closed = true
	c.cond.Broadcast()
	c.mu.Unlock()
	reset(c.Conn)
}

func (c *faultConn) set(change func(*fault)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.fault)
	c.faulty.Store(c.fault.stalled || c.fault.lostIn || c.fault.rate > 0)
	c.cond.Broadcast()
}

func (c *faultConn) delay() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fault.delay
}

func (c *faultConn) muted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fault.muted
}

// reset closes a connection so that its peer sees ECONNRESET.
func reset(nc net.Conn) {
	switch nc := nc.(type) {
	case *Wire:
		nc.Cut()
	case *net.TCPConn:
		nc.SetLinger(0)
	}
	nc.Close()
}
