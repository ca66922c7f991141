//go:build interop

package interop_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// way is a direction through a faultProxy.
type way uint8

const (
	upwards   way = 1 << iota // from client to server
	downwards                 // from server to client
	bothWays  = upwards | downwards
)

// trouble is what a connection suffers that stays open. The zero value is health.
type trouble struct {
	Stall way           // not read any more: what is sent stays in the sender's buffers, and arrives when that is over
	Drop  way           // read and thrown away: the other side hears of no byte, and not of the end either
	Delay time.Duration // each way
	Chop  bool          // every byte in a segment of its own
}

// faultProxy is a TCP proxy on loopback whose connections go wrong on command. It is healthy at first.
type faultProxy struct {
	WS string // URL of the WebSocket server behind it

	t       testing.TB
	address string
	target  string
	running sync.WaitGroup

	mu sync.Mutex
	// guarded by mu
	listener net.Listener // nil while connections are refused
	hanging  bool         // new connections are taken and led nowhere
	coming   trouble      // of connections to come
	live     map[*faultConn]bool
	over     bool
}

// faultConn is a connection through a faultProxy.
type faultConn struct {
	p              *faultProxy
	client, server *net.TCPConn // server is nil of one that hangs

	mu sync.Mutex
	// guarded by mu
	trouble trouble
	changed chan struct{} // closed and replaced with every change
	pumps   int           // that have not ended
	closed  bool
}

// startFaultProxy starts a proxy before the WebSocket server at ws.
func startFaultProxy(t testing.TB, ws string) *faultProxy {
	t.Helper()
	p := &faultProxy{
		t: t, address: fmt.Sprintf("127.0.0.1:%d", freePort(t)), target: strings.TrimPrefix(ws, "ws://"),
		live: make(map[*faultConn]bool),
	}
	p.WS = "ws://" + p.address
	p.welcome()
	t.Cleanup(func() {
		p.refuse()
		p.mu.Lock()
		p.over = true
		p.mu.Unlock()
		p.each((*faultConn).close)
		p.running.Wait()
	})
	return p
}

// refuse stops listening, so that the kernel refuses new connections.
func (p *faultProxy) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
}

// hang takes new connections and leads them nowhere.
func (p *faultProxy) hang() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hanging = true
}

// welcome takes new connections again, after refuse or hang.
func (p *faultProxy) welcome() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hanging = false
	if p.listener != nil {
		return
	}
	l, err := net.Listen("tcp", p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.listener = l
	p.running.Add(1)
	go p.accept(l)
}

// suffer brings trouble to the connections that there are and to those to come, or heals them.
func (p *faultProxy) suffer(tr trouble) {
	p.mu.Lock()
	p.coming = tr
	p.mu.Unlock()
	p.each(func(c *faultConn) { c.suffer(tr) })
}

// each does something to every connection that there is, and returns how many these were.
func (p *faultProxy) each(do func(*faultConn)) int {
	p.mu.Lock()
	var all []*faultConn
	for c := range p.live {
		all = append(all, c)
	}
	p.mu.Unlock()
	for _, c := range all {
		do(c)
	}
	return len(all)
}

func (p *faultProxy) accept(l net.Listener) {
	defer p.running.Done()
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		p.running.Add(1)
		go p.connect(client.(*net.TCPConn))
	}
}

// connect leads a new connection to the server.
func (p *faultProxy) connect(client *net.TCPConn) {
	defer p.running.Done()
	c := &faultConn{p: p, client: client, changed: make(chan struct{})}
	p.mu.Lock()
	hanging := p.hanging
	p.mu.Unlock()
	if !hanging {
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			hardClose(client) // as near as can be to being refused
			return
		}
		c.server, c.pumps = server.(*net.TCPConn), 2
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c.trouble = p.coming
	if p.over {
		c.closeBoth()
		return
	}
	p.live[c] = true
	if !hanging {
		p.running.Add(2)
		go c.pump(upwards, client, c.server)
		go c.pump(downwards, c.server, client)
	}
}

// suffer brings trouble to the connection, or heals it.
func (c *faultConn) suffer(tr trouble) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trouble = tr
	c.wake()
}

// cut ends the connection in order at both sides.
func (c *faultConn) cut() {
	c.suffer(trouble{Drop: bothWays})
	finish(c.client)
	finish(c.server)
}

// reset ends the connection at both sides as if both had crashed.
func (c *faultConn) reset() {
	hardClose(c.client)
	hardClose(c.server)
	c.close()
}

// loseServer ends the connection at the server's side; the client goes on talking to nobody.
func (c *faultConn) loseServer() {
	c.suffer(trouble{Drop: bothWays})
	finish(c.server)
}

// loseClient ends the connection at the client's side; the server does not hear of it.
func (c *faultConn) loseClient() {
	c.suffer(trouble{Drop: bothWays})
	finish(c.client)
}

// close forgets the connection.
func (c *faultConn) close() {
	c.p.mu.Lock()
	delete(c.p.live, c)
	c.p.mu.Unlock()
	c.closeBoth()
}

func (c *faultConn) closeBoth() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.wake()
	c.client.Close()
	if c.server != nil {
		c.server.Close()
	}
}

func (c *faultConn) wake() { // [locked]
	close(c.changed)
	c.changed = make(chan struct{})
}

// parcel is what was read at once.
type parcel struct {
	data []byte
	due  time.Time
}

// pump carries one way. It ends with the side that it reads, and tells the other one unless bytes that way are dropped.
func (c *faultConn) pump(w way, from, to *net.TCPConn) {
	defer c.p.running.Done()
	queue := make(chan parcel, 64)
	c.p.running.Add(1)
	go c.deliver(w, to, queue)
	buf := make([]byte, 32<<10)
	var err error
	for err == nil {
		if !c.flowing(w) {
			break
		}
		var n int
		n, err = from.Read(buf)
		if !c.flowing(w) { // stalled meanwhile: this is late too
			break
		}
		if tr := c.present(); n > 0 && tr.Drop&w == 0 {
			queue <- parcel{bytes.Clone(buf[:n]), time.Now().Add(tr.Delay)}
		}
	}
	if err != nil && !errors.Is(err, io.EOF) && c.present().Drop == 0 {
		hardClose(to) // one side was reset, so the other is
	}
	close(queue)
}

// deliver writes what was read, when it is due, until the last of it.
func (c *faultConn) deliver(w way, to *net.TCPConn, queue <-chan parcel) {
	defer c.p.running.Done()
	for p := range queue {
		time.Sleep(time.Until(p.due))
		size := len(p.data)
		if c.present().Chop {
			size = 1
		}
		for len(p.data) > 0 {
			n := min(size, len(p.data))
			if _, err := to.Write(p.data[:n]); err != nil {
				break // nobody is there; the rest is read and forgotten
			}
			p.data = p.data[n:]
		}
	}
	if c.present().Drop&w == 0 {
		finish(to)
	}
	c.mu.Lock()
	c.pumps--
	last := c.pumps == 0
	c.mu.Unlock()
	if last {
		c.close()
	}
}

// flowing waits while the connection stalls that way; it reports whether it still is.
func (c *faultConn) flowing(w way) bool {
	for {
		c.mu.Lock()
		stalled, closed, changed := c.trouble.Stall&w != 0, c.closed, c.changed
		c.mu.Unlock()
		if closed || !stalled {
			return !closed
		}
		<-changed
	}
}

func (c *faultConn) present() trouble {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trouble
}

// finish ends what is sent on a connection, with a FIN. What still comes in is for the pump to read: to close now would
// be a reset.
func finish(conn *net.TCPConn) {
	if conn != nil {
		conn.CloseWrite()
	}
}

// hardClose ends a connection with a RST.
func hardClose(conn *net.TCPConn) {
	if conn != nil {
		conn.SetLinger(0)
		conn.Close()
	}
}

// TestHarnessFaultProxy: what each end of a connection sees of what the proxy does to it.
func TestHarnessFaultProxy(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := startFaultProxy(t, "ws://"+l.Addr().String())

	// pair is a connection through the proxy: what the client has of it, and what the server has.
	pair := func(t *testing.T) (client, server proxiedEnd) {
		t.Helper()
		conn, err := net.Dial("tcp", p.address)
		if err != nil {
			t.Fatal(err)
		}
		other, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			conn.Close()
			other.Close()
			p.suffer(trouble{})
			p.each((*faultConn).close)
		})
		client, server = proxiedEnd{t, conn}, proxiedEnd{t, other}
		client.send("hello")
		server.want("hello")
		return client, server
	}

	for _, c := range []struct {
		name string
		act  func(t *testing.T, client, server proxiedEnd)
	}{
		{"healthy", func(t *testing.T, client, server proxiedEnd) {
			server.send("hello yourself")
			client.want("hello yourself")
			client.Close()
			server.wantEnd(io.EOF)
		}},
		{"cut", func(t *testing.T, client, server proxiedEnd) {
			p.each((*faultConn).cut)
			client.wantEnd(io.EOF)
			server.wantEnd(io.EOF)
		}},
		{"reset", func(t *testing.T, client, server proxiedEnd) {
			p.each((*faultConn).reset)
			client.wantEnd(syscall.ECONNRESET)
			server.wantEnd(syscall.ECONNRESET)
		}},
		{"stall", func(t *testing.T, client, server proxiedEnd) {
			p.suffer(trouble{Stall: upwards})
			client.send("late")
			server.send("early")
			client.want("early")
			server.wantNothing()
			p.suffer(trouble{})
			server.want("late")
		}},
		{"drop upwards", func(t *testing.T, client, server proxiedEnd) {
			p.suffer(trouble{Drop: upwards})
			client.send("lost")
			server.send("kept")
			client.want("kept")
			server.wantNothing()
			p.suffer(trouble{})
			client.send("found")
			server.want("found")
		}},
		{"drop downwards", func(t *testing.T, client, server proxiedEnd) {
			p.suffer(trouble{Drop: downwards})
			server.send("lost")
			client.send("kept")
			server.want("kept")
			client.wantNothing()
			server.Close() // the client does not hear of that either
			client.wantNothing()
		}},
		{"delay", func(t *testing.T, client, server proxiedEnd) {
			const delay = 50 * time.Millisecond
			p.suffer(trouble{Delay: delay})
			began := time.Now()
			client.send("there")
			server.want("there")
			server.send("and back")
			client.want("and back")
			if took := time.Since(began); took < 2*delay {
				t.Errorf("there and back in %v, want %v at least", took, 2*delay)
			}
		}},
		{"chop", func(t *testing.T, client, server proxiedEnd) {
			p.suffer(trouble{Chop: true})
			text := strings.Repeat("0123456789", 500)
			client.send(text)
			server.want(text)
		}},
		{"server lost", func(t *testing.T, client, server proxiedEnd) {
			p.each((*faultConn).loseServer)
			server.wantEnd(io.EOF)
			client.send("anybody?")
			client.wantNothing()
		}},
		{"client lost", func(t *testing.T, client, server proxiedEnd) {
			p.each((*faultConn).loseClient)
			client.wantEnd(io.EOF)
			server.send("anybody?")
			server.wantNothing()
		}},
		{"one of two", func(t *testing.T, client, server proxiedEnd) {
			var first *faultConn
			p.each(func(c *faultConn) { first = c })
			other, far := pair(t)
			first.cut()
			client.wantEnd(io.EOF)
			other.send("still here")
			far.want("still here")
		}},
		{"refuse", func(t *testing.T, client, server proxiedEnd) {
			p.refuse()
			if _, err := net.Dial("tcp", p.address); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("Dial: %v, want %v", err, syscall.ECONNREFUSED)
			}
			client.send("the old one")
			server.want("the old one")
			p.welcome()
			pair(t)
		}},
		{"hang", func(t *testing.T, client, server proxiedEnd) {
			p.hang()
			conn, err := net.Dial("tcp", p.address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			proxiedEnd{t, conn}.wantNothing()
			p.welcome()
			pair(t)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := pair(t)
			c.act(t, client, server)
		})
	}
}

// proxiedEnd is an end of a connection.
type proxiedEnd struct {
	t *testing.T
	net.Conn
}

func (e proxiedEnd) send(text string) {
	e.t.Helper()
	if _, err := e.Write([]byte(text)); err != nil {
		e.t.Fatal(err)
	}
}

func (e proxiedEnd) want(text string) {
	e.t.Helper()
	e.SetReadDeadline(time.Now().Add(stepLimit))
	got := make([]byte, len(text))
	if _, err := io.ReadFull(e, got); err != nil || string(got) != text {
		e.t.Fatalf("read %q, %v, want %q", got, err, text)
	}
}

func (e proxiedEnd) wantEnd(want error) {
	e.t.Helper()
	e.SetReadDeadline(time.Now().Add(stepLimit))
	if n, err := e.Read(make([]byte, 1)); !errors.Is(err, want) {
		e.t.Fatalf("read %d bytes, %v, want %v", n, err, want)
	}
}

// wantNothing fails if something comes in soon, be it the end.
func (e proxiedEnd) wantNothing() {
	e.t.Helper()
	e.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := e.Read(make([]byte, 1)); !isTimeout(err) {
		e.t.Fatalf("read %d bytes, %v, want nothing", n, err)
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
