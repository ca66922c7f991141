package siptest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"

	"github.com/gorilla/websocket"
)

// serve runs the connection on its own goroutine. It reports false when the
// server is closed.
func (s *Server) serve(nc net.Conn) bool {
	c := &Conn{server: s, net: newFaultConn(nc, &s.running), gone: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		nc.Close()
		return false
	}
	s.lastConn++
	c.id = s.lastConn
	s.conns[c.id] = c
	c.net.set(func(f *fault) {
		*f = s.fault
		if s.refusal != nil && s.refusal.Hang {
			f.lostIn, f.lostOut = true, true
		}
	})
	s.running.Add(1)
	go c.run()
	return true
}

// run does the handshake and reads until the connection ends.
func (c *Conn) run() {
	s := c.server
	defer s.running.Done()
	defer func() {
		c.closeQueue()
		c.net.Close()
		s.forget(c)
	}()
	raw, err := c.handshake()
	switch {
	case err != nil:
		s.log("handshake failed", c, "error", err)
	case raw != nil:
		raw.run()
	default:
		s.log("connected", c)
		c.read()
		s.log("disconnected", c)
	}
}

// forget removes a connection that has ended.
func (s *Server) forget(c *Conn) {
	s.mu.Lock()
	defer s.unlock()
	delete(s.conns, c.id)
	for key := range c.contacts {
		if s.contacts[key] == c {
			delete(s.contacts, key)
		}
	}
	s.connLost(c)
	s.broadcast()
}

// handshake reads the HTTP request and answers it. A connection that a raw
// script takes is returned as such.
func (c *Conn) handshake() (*RawConn, error) {
	s := c.server
	var nc net.Conn = c.net
	if s.tls != nil {
		nc = tls.Server(nc, s.tls)
	}
	br := bufio.NewReaderSize(nc, 2048)
	request, err := http.ReadRequest(br)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	c.request = request
	refusal, raw := s.refusal, s.raw
	s.mu.Unlock()

	if raw != nil && refusal == nil {
		return raw.take(c, nc, br), nil
	}
	answer := s.askHandshake(request, refusal)
	if answer.Status != 0 && answer.Status != http.StatusSwitchingProtocols {
		s.count(func(n *Counters) { n.Refused++ })
		return nil, refuse(nc, answer)
	}
	if s.traits != nil && s.traits.noFragments {
		nc = &wholeFrames{Conn: nc, c: c}
	}
	c.ws, err = upgrade(nc, br, request, answer)
	if err != nil {
		s.count(func(n *Counters) { n.Refused++ })
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.open = true
	s.counters.Connections++
	s.broadcast()
	return nil, nil
}

// askHandshake decides what a handshake is answered with.
func (s *Server) askHandshake(r *http.Request, refusal *Refusal) HandshakeAnswer {
	if refusal != nil {
		answer := HandshakeAnswer{Status: refusal.Status, Header: http.Header{}}
		if seconds := int(refusal.RetryAfter.Seconds()); seconds > 0 {
			answer.Header.Set("Retry-After", strconv.Itoa(seconds))
		}
		return answer
	}
	if s.options.Handshake != nil {
		if answer := s.options.Handshake(r); answer != nil {
			return *answer
		}
	}
	if s.traits != nil && s.traits.needOrigin && r.Header.Get("Origin") == "" {
		return HandshakeAnswer{Status: http.StatusForbidden}
	}
	return HandshakeAnswer{}
}

// refuse writes an HTTP answer with an empty body.
func refuse(w io.Writer, answer HandshakeAnswer) error {
	response := http.Response{
		StatusCode: answer.Status,
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     answer.Header,
		Close:      true,
	}
	if err := response.Write(w); err != nil {
		return err
	}
	return fmt.Errorf("refused with %d", answer.Status)
}

// upgrade answers the handshake by RFC 6455 §4.2.2 with the subprotocol of RFC
// 7118 §4; a client that does not offer it gets 400.
func upgrade(nc net.Conn, br *bufio.Reader, r *http.Request, answer HandshakeAnswer) (*websocket.Conn, error) {
	upgrader := websocket.Upgrader{
		ReadBufferSize:  4096,
		WriteBufferPool: writeBuffers,
		WriteBufferSize: 4096,
		Subprotocols:    []string{"sip"},
		CheckOrigin:     func(*http.Request) bool { return true }, // a test server has nothing to guard
	}
	if answer.NoSubprotocol {
		upgrader.Subprotocols = nil
	} else if !offersSIP(r) {
		return nil, refuse(nc, HandshakeAnswer{Status: http.StatusBadRequest})
	}
	return upgrader.Upgrade(&hijacker{conn: nc, br: br}, r, answer.Header)
}

func offersSIP(r *http.Request) bool {
	for _, p := range websocket.Subprotocols(r) {
		if p == "sip" {
			return true
		}
	}
	return false
}

// hijacker is the http.ResponseWriter of a connection that no http.Server has.
type hijacker struct {
	conn   net.Conn
	br     *bufio.Reader
	header http.Header
	status int
}

func (h *hijacker) Header() http.Header {
	if h.header == nil {
		h.header = http.Header{}
	}
	return h.header
}

func (h *hijacker) WriteHeader(status int) {
	if h.status == 0 {
		h.status = status
		refuse(h.conn, HandshakeAnswer{Status: status, Header: h.header})
	}
}

// Write drops the body; the status says enough.
func (h *hijacker) Write(p []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return len(p), nil
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(h.br, bufio.NewWriterSize(h.conn, 512)), nil
}
