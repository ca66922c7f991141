package siptest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Raw is a script for connections instead of messages: a test plays the
// WebSocket server itself, frame by frame. [ExpectConn] makes one.
type Raw struct {
	// Limit is how long Accept and the methods of its connections wait; see
	// [Script].
	Limit time.Duration

	tb     testing.TB
	server *Server

	mu      sync.Mutex
	waiting []*RawConn    // guarded by mu
	changed chan struct{} // guarded by mu: closed at the next change
}

// ExpectConn hands the connections that come from now on to the test; what
// [Server.Refuse] refuses does not count, and those open before stay the
// server's. It ends with the test.
func ExpectConn(tb testing.TB, srv *Server) *Raw {
	tb.Helper()
	r := &Raw{Limit: 10 * time.Second, tb: tb, server: srv, changed: make(chan struct{})}
	if inBubble() {
		r.Limit = time.Hour
	}
	srv.mu.Lock()
	srv.raw = r
	srv.mu.Unlock()
	tb.Cleanup(func() {
		srv.mu.Lock()
		defer srv.mu.Unlock()
		if srv.raw == r {
			srv.raw = nil
		}
	})
	return r
}

// RawConn is a connection that a test plays. Its methods are to be called from
// the goroutine of the test.
type RawConn struct {
	conn *Conn
	raw  *Raw
	nc   net.Conn
	br   *bufio.Reader

	mu      sync.Mutex
	frames  []Frame       // guarded by mu: read and not asked for yet
	err     error         // guarded by mu: why reading ended
	changed chan struct{} // guarded by mu: closed at the next change
	begin   chan struct{} // closed when the handshake is answered
	started sync.Once     // closes begin
}

// take makes a connection that has sent its handshake the test's.
func (r *Raw) take(c *Conn, nc net.Conn, br *bufio.Reader) *RawConn {
	conn := &RawConn{conn: c, raw: r, nc: nc, br: br, changed: make(chan struct{}), begin: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = append(r.waiting, conn)
	close(r.changed)
	r.changed = make(chan struct{})
	return conn
}

// Handshake returns the next connection, whose HTTP request has been read and not
// been answered yet, and fails the test when none comes.
func (r *Raw) Handshake() *RawConn {
	r.tb.Helper()
	timer := time.NewTimer(r.Limit)
	defer timer.Stop()
	for {
		r.mu.Lock()
		if len(r.waiting) > 0 {
			c := r.waiting[0]
			r.waiting = slices.Delete(r.waiting, 0, 1)
			r.mu.Unlock()
			return c
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-timer.C:
			r.tb.Fatalf("siptest: no connection within %v", r.Limit)
		}
	}
}

// Accept returns the next connection with its handshake answered as RFC 6455 and
// RFC 7118 want it, and fails the test when none comes.
func (r *Raw) Accept() *RawConn {
	r.tb.Helper()
	c := r.Handshake()
	c.Upgrade(nil)
	return c
}

// Upgrade answers the handshake with 101, the subprotocol sip and the fields
// given, of which an empty value takes one of the ordinary ones away. Then frames
// are read.
func (c *RawConn) Upgrade(header http.Header) {
	c.raw.tb.Helper()
	h := http.Header{
		"Upgrade":                {"websocket"},
		"Connection":             {"Upgrade"},
		"Sec-Websocket-Accept":   {acceptKey(c.Request().Header.Get("Sec-WebSocket-Key"))},
		"Sec-Websocket-Protocol": {"sip"},
	}
	for name, values := range header {
		if len(values) == 0 || values[0] == "" {
			h.Del(name)
		} else {
			h[http.CanonicalHeaderKey(name)] = values
		}
	}
	var b strings.Builder
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	if err := h.Write(&b); err != nil {
		c.raw.tb.Fatalf("siptest: handshake: %v", err)
	}
	b.WriteString("\r\n")
	c.WriteBytes([]byte(b.String()))
	c.start()
}

func (c *RawConn) start() { c.started.Do(func() { close(c.begin) }) }

// Conn is the connection below, for its faults: Drop, Stall, Blackhole and Wire.
// Nothing is to be sent through it.
func (c *RawConn) Conn() *Conn { return c.conn }

// Request is the HTTP request of the handshake.
func (c *RawConn) Request() *http.Request { return c.conn.Request() }

// Refuse answers the handshake with an HTTP status and fields, and closes the
// connection.
func (c *RawConn) Refuse(status int, header http.Header) {
	c.raw.tb.Helper()
	if header == nil {
		header = http.Header{}
	}
	_ = refuse(c.nc, HandshakeAnswer{Status: status, Header: header}) // it always says that it refused
	c.nc.Close()
	c.start()
}

// run reads frames until the connection ends.
func (c *RawConn) run() {
	select {
	case <-c.begin:
	case <-c.conn.gone:
	}
	for {
		f, err := readFrame(c.br)
		c.mu.Lock()
		if err != nil {
			c.err = err
		} else {
			c.frames = append(c.frames, f)
		}
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// take waits for the first frame that fits and removes it; false when none came.
func (c *RawConn) take(limit time.Duration, fits func(Frame) bool) (Frame, bool) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		c.mu.Lock()
		for i, f := range c.frames {
			if fits(f) {
				c.frames = slices.Delete(c.frames, i, i+1)
				c.mu.Unlock()
				return f, true
			}
		}
		err, changed := c.err, c.changed
		c.mu.Unlock()
		if err != nil {
			return Frame{}, false
		}
		select {
		case <-changed:
		case <-timer.C:
			return Frame{}, false
		}
	}
}

// Frame returns the next frame of whatever kind, and fails the test when none
// comes.
func (c *RawConn) Frame() Frame {
	c.raw.tb.Helper()
	return c.expect("a frame", func(Frame) bool { return true })
}

// ReadText returns the payload of the next text frame, and fails the test when
// none comes.
func (c *RawConn) ReadText() string {
	c.raw.tb.Helper()
	return string(c.ExpectFrame(OpText).Payload)
}

// ExpectFrame returns the next frame with the opcode, and fails the test when
// none comes.
func (c *RawConn) ExpectFrame(opcode byte) Frame {
	c.raw.tb.Helper()
	return c.expect(fmt.Sprintf("a frame with opcode %d", opcode), func(f Frame) bool { return f.Opcode == opcode })
}

// ExpectClose returns code and reason of the client's close frame, 1005 for one
// without a code, and fails the test when none comes.
func (c *RawConn) ExpectClose() (code int, reason string) {
	c.raw.tb.Helper()
	f := c.ExpectFrame(OpClose)
	if len(f.Payload) < 2 {
		return 1005, ""
	}
	return int(binary.BigEndian.Uint16(f.Payload)), string(f.Payload[2:])
}

// ExpectEnd waits until the client has closed the connection or it was cut, and
// fails the test when that does not happen.
func (c *RawConn) ExpectEnd() {
	c.raw.tb.Helper()
	timer := time.NewTimer(c.raw.Limit)
	defer timer.Stop()
	for {
		c.mu.Lock()
		err, changed := c.err, c.changed
		c.mu.Unlock()
		if err != nil {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			c.raw.tb.Fatalf("siptest: the connection is still open after %v", c.raw.Limit)
		}
	}
}

func (c *RawConn) expect(wanted string, fits func(Frame) bool) Frame {
	c.raw.tb.Helper()
	f, ok := c.take(c.raw.Limit, fits)
	if !ok {
		c.mu.Lock()
		frames, err := c.frames, c.err
		c.mu.Unlock()
		c.raw.tb.Fatalf("siptest: expected %s within %v; the connection's error is %v, and not asked for is %+v", wanted, c.raw.Limit, err, frames)
	}
	return f
}

// WriteText writes text in one text frame.
func (c *RawConn) WriteText(text string) {
	c.raw.tb.Helper()
	c.WriteFrame(Frame{Fin: true, Opcode: OpText, Payload: []byte(text)})
}

// WriteBinary writes data in one binary frame.
func (c *RawConn) WriteBinary(data []byte) {
	c.raw.tb.Helper()
	c.WriteFrame(Frame{Fin: true, Opcode: OpBinary, Payload: data})
}

// WriteFragments writes text as one message in several text frames (RFC 6455
// §5.4).
func (c *RawConn) WriteFragments(parts ...string) {
	c.raw.tb.Helper()
	for i, part := range parts {
		f := Frame{Fin: i == len(parts)-1, Opcode: OpContinuation, Payload: []byte(part)}
		if i == 0 {
			f.Opcode = OpText
		}
		c.WriteFrame(f)
	}
}

// Ping writes a ping with a payload.
func (c *RawConn) Ping(payload string) {
	c.raw.tb.Helper()
	c.WriteFrame(Frame{Fin: true, Opcode: OpPing, Payload: []byte(payload)})
}

// Close writes a close frame; the connection stays open for the answer.
func (c *RawConn) Close(code int, reason string) {
	c.raw.tb.Helper()
	payload := binary.BigEndian.AppendUint16(nil, uint16(code))
	c.WriteFrame(Frame{Fin: true, Opcode: OpClose, Payload: append(payload, reason...)})
}

// WriteFrame writes one frame, whatever RFC 6455 says of it.
func (c *RawConn) WriteFrame(f Frame) {
	c.raw.tb.Helper()
	c.WriteBytes(appendFrame(nil, f))
}

// WriteBytes writes to the connection below WebSocket.
func (c *RawConn) WriteBytes(b []byte) {
	c.raw.tb.Helper()
	c.nc.SetWriteDeadline(time.Now().Add(c.raw.Limit)) // a client that does not read is no reason to hang
	if _, err := c.nc.Write(b); err != nil {
		c.raw.tb.Errorf("siptest: writing to the connection: %v", err)
	}
}

// End closes the connection without a close frame.
func (c *RawConn) End() { c.nc.Close() }
