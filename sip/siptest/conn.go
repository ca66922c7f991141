package siptest

import (
	"bytes"
	"net"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// Conn is a client's WebSocket connection as the server sees it. Its methods may
// be called from any goroutine.
type Conn struct {
	server  *Server
	id      uint64
	net     *faultConn
	ws      *websocket.Conn // nil before the handshake is done
	request *http.Request

	open     bool            // the handshake is done; guarded by Server.mu
	contacts map[string]bool // keys in Server.contacts; guarded by Server.mu

	mu      sync.Mutex
	queue   []outgoing // guarded by mu
	head    int        // guarded by mu: first of queue that is not written yet
	writing bool       // guarded by mu: somebody is in flush
	closed  bool       // guarded by mu: nothing is queued any more

	gone chan struct{} // closed with closed
}

// outgoing is a frame to be written.
type outgoing struct {
	kind int       // websocket.TextMessage …
	data *[]byte   // from buffers
	due  time.Time // zero: at once
	last bool      // the connection is closed after it
}

// writeBuffers are gorilla's, which holds one only while it writes.
var writeBuffers = &sync.Pool{}

// buffers holds byte slices for outgoing messages.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 2048); return &b }}

// ID is the number of the connection: 1 for the first that the server accepted.
func (c *Conn) ID() uint64 { return c.id }

// Request is the HTTP request of the WebSocket handshake; nil before it came.
func (c *Conn) Request() *http.Request {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return c.request
}

// Wire is the server's end of an in-memory connection, nil for one over TCP.
func (c *Conn) Wire() *Wire {
	w, _ := c.net.Conn.(*Wire)
	return w
}

// Ping sends a WebSocket ping.
func (c *Conn) Ping() { c.enqueue(websocket.PingMessage, nil) }

// Close sends a close frame with the code and the reason (RFC 6455 §7.4), for
// example 1001 for a server that goes away. The client's answer ends the
// connection.
func (c *Conn) Close(code int, reason string) {
	c.enqueue(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason))
}

// Send sends text to the client as it stands, in one text frame.
func (c *Conn) Send(text string) { c.enqueue(websocket.TextMessage, []byte(text)) }

// enqueue sends a frame with a copy of data and never blocks.
func (c *Conn) enqueue(kind int, data []byte) {
	b := buffers.Get().(*[]byte)
	*b = append((*b)[:0], data...)
	c.push(outgoing{kind: kind, data: b})
	c.flush()
}

// push queues a frame, whose data comes from buffers and goes back there. The
// caller sees to it that flush is called when it holds no lock.
func (c *Conn) push(item outgoing) {
	if d := c.net.delay(); d > 0 {
		item.due = time.Now().Add(d)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		buffers.Put(item.data)
		return
	}
	c.queue = append(c.queue, item)
}

// flush writes what is queued, unless somebody else is about it already. It does
// not block: faultConn takes everything. So the reader of a connection may
// answer by itself, which spares a goroutine for each answer, and no two ends
// that answer each other can block each other.
func (c *Conn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing {
		return
	}
	c.writing = true
	for !c.closed && c.head < len(c.queue) {
		item := c.queue[c.head]
		if !item.due.IsZero() && time.Until(item.due) > 0 {
			c.server.running.Add(1)
			go c.flushAt(item.due)
			return
		}
		c.queue[c.head] = outgoing{}
		if c.head++; c.head == len(c.queue) {
			c.queue, c.head = c.queue[:0], 0
		}
		c.mu.Unlock()
		err := c.writeFrame(item)
		buffers.Put(item.data)
		c.mu.Lock()
		if err != nil || item.last {
			c.closeQueueLocked()
			c.net.finish()
		}
	}
	c.writing = false
}

// flushAt goes on with flush at a later time.
func (c *Conn) flushAt(due time.Time) {
	defer c.server.running.Done()
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.gone:
	}
	c.mu.Lock()
	c.writing = false
	c.mu.Unlock()
	c.flush()
}

func (c *Conn) writeFrame(item outgoing) error {
	if c.ws == nil {
		return net.ErrClosed // a test plays the connection by itself
	}
	switch item.kind {
	case websocket.TextMessage, websocket.BinaryMessage:
		return c.ws.WriteMessage(item.kind, *item.data)
	default:
		return c.ws.WriteControl(item.kind, *item.data, time.Time{})
	}
}

func (c *Conn) closeQueue() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeQueueLocked()
}

func (c *Conn) closeQueueLocked() {
	if !c.closed {
		c.closed = true
		c.queue = nil
		close(c.gone)
	}
}

// read reads messages until the connection ends and hands them to the server.
func (c *Conn) read() {
	c.ws.SetPingHandler(func(data string) error {
		c.server.count(func(n *Counters) { n.Pings++ })
		c.enqueue(websocket.PongMessage, []byte(data))
		return nil
	})
	c.ws.SetPongHandler(func(string) error {
		c.server.count(func(n *Counters) { n.Pongs++ })
		return nil
	})
	c.ws.SetCloseHandler(func(code int, text string) error {
		b := buffers.Get().(*[]byte)
		*b = append((*b)[:0], websocket.FormatCloseMessage(code, "")...)
		c.push(outgoing{kind: websocket.CloseMessage, data: b, last: true})
		c.flush()
		return nil
	})
	var buf bytes.Buffer
	for {
		_, r, err := c.ws.NextReader()
		if err != nil {
			if websocket.IsCloseError(err, closeCodes...) {
				c.awaitClose()
			}
			return
		}
		buf.Reset()
		if _, err := buf.ReadFrom(r); err != nil {
			return
		}
		c.server.receive(c, buf.Bytes())
		if buf.Cap() > 64<<10 {
			buf = bytes.Buffer{}
		}
	}
}

// awaitClose waits until a close frame has been answered and the connection is
// closed (RFC 6455 §5.5.1).
func (c *Conn) awaitClose() {
	timer := time.AfterFunc(time.Second, c.closeQueue) // a client that takes no answer holds nothing up
	defer timer.Stop()
	<-c.gone
	c.net.drained(time.Second)
}

// closeCodes are those a close frame can have, and none (RFC 6455 §7.4).
var closeCodes = []int{
	websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseProtocolError, websocket.CloseUnsupportedData,
	websocket.CloseNoStatusReceived, websocket.CloseInvalidFramePayloadData, websocket.ClosePolicyViolation,
	websocket.CloseMessageTooBig, websocket.CloseMandatoryExtension, websocket.CloseInternalServerErr,
	websocket.CloseServiceRestart, websocket.CloseTryAgainLater,
}

// frameKind is text for UTF-8 and binary for the rest (RFC 7118 §4.2).
func frameKind(data []byte) int {
	if utf8.Valid(data) {
		return websocket.TextMessage
	}
	return websocket.BinaryMessage
}
