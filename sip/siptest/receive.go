package siptest

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/gosipua/sipua/sip"
)

// receive takes one WebSocket message. It is called by the connection's reader
// and never blocks on a connection.
func (s *Server) receive(c *Conn, data []byte) {
	var msg sip.Message
	var err error
	keepAlive := isKeepAlive(data)
	if !keepAlive {
		msg, err = sip.Parse(data)
	}

	s.mu.Lock()
	defer s.unlock()
	s.trace(In, c, data)
	if keepAlive {
		s.answerKeepAlive(c, data)
		return
	}
	if c.net.muted() {
		return
	}
	s.counters.Received++
	switch m := msg.(type) {
	case *sip.Request:
		s.receiveRequest(c, m, data)
	case *sip.Response:
		s.receiveResponse(c, m, data)
	default:
		s.counters.Malformed++
		s.log("malformed message", c, "error", err)
		s.refuseMalformed(c, err)
	}
}

// isKeepAlive reports whether a message is none but one of the CRLFs of RFC 5626
// §4.4.1, which RFC 7118 §6 allows over WebSocket.
func isKeepAlive(data []byte) bool {
	return len(data) <= 4 && len(bytes.Trim(data, "\r\n")) == 0
}

// answerKeepAlive answers a double CRLF with a single one.
func (s *Server) answerKeepAlive(c *Conn, data []byte) {
	if len(data) < 4 {
		return
	}
	s.counters.KeepAlives++
	b := buffers.Get().(*[]byte)
	*b = append((*b)[:0], "\r\n"...)
	s.queue(c, b)
}

// refuseMalformed answers what cannot be read, where it can be answered.
func (s *Server) refuseMalformed(c *Conn, err error) {
	var perr *sip.ParseError
	if !errors.As(err, &perr) || perr.Partial == nil || perr.Partial.Method() == sip.ACK {
		return
	}
	res := sip.NewResponse(perr.Partial, sip.StatusBadRequest, "Malformed "+perr.Field)
	res.SetToTag(sip.NewTag())
	s.send(c, res)
}

// receiveRequest decides what a request is for. s.mu is held.
func (s *Server) receiveRequest(c *Conn, req *sip.Request, data []byte) {
	if script := s.scriptFor(req.Method()); script != nil {
		script.deliver(c, req, data)
		return
	}
	switch req.Method() {
	case sip.ACK:
		if s.legs[dialogKey(req.CallID(), req.To().Tag())] != nil && s.exchanges[exchangeKey(req)] == nil {
			s.b2bua(c, req, data)
			return
		}
		s.receiveACK(c, req, data)
		return
	case sip.CANCEL:
		if !s.receiveLegCancel(c, req) {
			s.receiveCancel(c, req, data)
		}
		return
	}
	if req.Method() == sip.REGISTER && s.isOurs(req.URI()) {
		s.register(c, req)
		return
	}
	if s.exchanges[exchangeKey(req)] != nil {
		return // repeated although the transport is reliable: its answer is on the way
	}
	if s.traits != nil && s.b2bua(c, req, data) {
		return
	}
	s.proxy(c, req, data)
}

// isOurs reports whether the server is responsible for the host of u.
func (s *Server) isOurs(u sip.URI) bool {
	return s.hosts[strings.ToLower(u.Host)] || u.Port != 0 && u.Port == s.port && u.Host == "127.0.0.1"
}

// newResponse is a response of the server itself, with a tag where one is due.
func (s *Server) newResponse(req *sip.Request, code sip.StatusCode) *sip.Response {
	res := sip.NewResponse(req, code, "")
	if code != sip.StatusTrying {
		res.SetToTag(sip.NewTag())
	}
	return res
}

// reply answers a request of c that is not forwarded. For INVITE the answer
// waits for its ACK, as a server transaction does.
func (s *Server) reply(c *Conn, req *sip.Request, res *sip.Response) {
	s.send(c, res)
	if req.Method() == sip.INVITE && res.StatusCode() >= 300 {
		s.awaitACK(c, req)
	}
}

// send queues a message for c. s.mu is held, so the order in which messages are
// decided on is the order in which they leave.
func (s *Server) send(c *Conn, m sip.Message) {
	b := buffers.Get().(*[]byte)
	*b = m.AppendTo((*b)[:0])
	s.counters.Sent++
	s.queue(c, b)
}

// queue is send for what is written already.
func (s *Server) queue(c *Conn, b *[]byte) {
	if c.net.muted() && !isKeepAlive(*b) {
		return
	}
	s.trace(Out, c, *b)
	c.push(outgoing{kind: frameKind(*b), data: b})
	s.touched = append(s.touched, c)
}

// unlock unlocks s.mu and writes what was queued under it.
func (s *Server) unlock() {
	var few [8]*Conn
	touched := append(few[:0], s.touched...)
	clear(s.touched)
	s.touched = s.touched[:0]
	s.mu.Unlock()
	for _, c := range touched {
		c.flush()
	}
}

func (s *Server) trace(d Direction, c *Conn, data []byte) {
	if s.options.Trace != nil {
		s.options.Trace(TraceEvent{Time: time.Now(), Direction: d, Conn: c, Message: data})
	}
}

func (s *Server) log(text string, c *Conn, args ...any) {
	if s.options.Logger != nil {
		s.options.Logger.Debug(text, append([]any{"conn", c.id}, args...)...)
	}
}

// addField appends a field that the server has made itself. A value no field can
// have, which only hostile options lead to, is left out.
func addField(m interface {
	AddHeader(name, value string) error
}, f sip.Field) {
	_ = m.AddHeader(f.Name, f.Value)
}

func addInt(m interface {
	AddHeader(name, value string) error
}, name string, n int) {
	addField(m, sip.Field{Name: name, Value: strconv.Itoa(n)})
}
