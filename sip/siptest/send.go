package siptest

import (
	"errors"
	"fmt"
	"time"

	"github.com/gosipua/sipua/sip"
)

// errNoConn is returned for a request that a script cannot send for want of a
// connection.
var errNoConn = errors.New("no connection to send it on")

// directLink sends from inside the server, on the client's connection.
type directLink struct{ script *Script }

func (l directLink) send(to *Conn, m sip.Message) error {
	s := l.script.server
	s.mu.Lock()
	defer s.unlock()
	if req, ok := m.(*sip.Request); ok && to == nil {
		to = l.connFor(req.URI())
	}
	if !s.isAlive(to) {
		return errNoConn
	}
	s.send(to, m)
	return nil
}

func (l directLink) sendRaw(to *Conn, text string) error {
	s := l.script.server
	s.mu.Lock()
	defer s.unlock()
	if to == nil {
		to = l.connFor(sip.URI{})
	}
	if !s.isAlive(to) {
		return errNoConn
	}
	b := buffers.Get().(*[]byte)
	*b = append((*b)[:0], text...)
	s.counters.Sent++
	s.queue(to, b)
	return nil
}

// connFor is the connection of the client that u stands for, else the one that
// the script heard from last, else the only one there is.
func (l directLink) connFor(u sip.URI) *Conn {
	s := l.script.server
	if c := s.contacts[contactKey(u)]; s.isAlive(c) {
		return c
	}
	if b := s.newestBinding(u); b != nil {
		return b.conn
	}
	if c := l.script.lastConn; s.isAlive(c) {
		return c
	}
	var only *Conn
	for _, c := range s.conns {
		if !c.open {
			continue
		}
		if only != nil {
			return nil
		}
		only = c
	}
	return only
}

// newestBinding is what an address of record or a GRUU stands for, where one
// connection is wanted. s.mu is held.
func (s *Server) newestBinding(u sip.URI) *binding {
	if !s.isOurs(u) {
		return nil
	}
	if b, ok := s.resolveGRUU(u, time.Now()); ok {
		return b
	}
	a := s.accounts[u.UserText()]
	if a == nil {
		return nil
	}
	var newest *binding
	for _, b := range a.current(time.Now()) {
		if s.isAlive(b.conn) && (newest == nil || b.updated > newest.updated) {
			newest = b
		}
	}
	return newest
}

// Sent is a request that a script has sent.
type Sent struct {
	Request *sip.Request
	script  *Script
}

// NewRequest makes an initial request without sending it: to a user of the
// server's domain ("alice") or a SIP URI, with From, Contact and Via of the
// script and everything else a request needs. Parts change it. A script that is
// the server itself addresses the contact that the user has registered, as a
// proxy does.
func (p *Script) NewRequest(method sip.Method, to string, parts ...Part) *sip.Request {
	p.tb.Helper()
	target, err := sip.NormalizeTarget(to, p.Identity.URI, false)
	if err != nil {
		p.tb.Fatalf("siptest: request to %q: %v", to, err)
	}
	uri := target
	if _, direct := p.link.(directLink); direct {
		p.server.mu.Lock()
		if b := p.server.newestBinding(target); b != nil {
			uri = b.contact.URI
		}
		p.server.mu.Unlock()
	}
	req := sip.NewRequest(method, uri)
	p.setBasics(req, p.Identity.WithTag(sip.NewTag()), sip.NameAddr{URI: target}, sip.NewCallID(), 1)
	p.build(req, parts)
	return req
}

// setBasics gives a request what every one has (RFC 3261 §8.1.1).
func (p *Script) setBasics(req *sip.Request, from, to sip.NameAddr, callID string, seq uint32) {
	p.tb.Helper()
	for _, err := range []error{
		req.SetVia(p.newVia()),
		req.SetHeader("Max-Forwards", "70"),
		req.SetFrom(from),
		req.SetTo(to),
		req.SetCallID(callID),
		req.SetCSeq(sip.CSeq{Seq: seq, Method: req.Method()}),
	} {
		if err != nil {
			p.tb.Fatalf("siptest: making a %s: %v", req.Method(), err)
		}
	}
	if opensDialog(req.Method()) {
		addField(req, sip.Field{Name: "Contact", Value: p.Contact.String()})
	}
}

func (p *Script) newVia() sip.Via {
	return sip.Via{Transport: p.server.viaTransport, Host: p.Contact.URI.Host, Params: sip.Params(";branch=" + sip.NewBranch())}
}

// Send sends a request as it is. It fails the test when there is no connection
// for it.
func (p *Script) Send(req *sip.Request) *Sent {
	p.tb.Helper()
	return p.sendOn(nil, req)
}

func (p *Script) sendOn(c *Conn, req *sip.Request) *Sent {
	p.tb.Helper()
	p.mu.Lock()
	if p.sent == nil {
		p.sent = make(map[string]*sip.Request)
	}
	if req.Method() != sip.ACK && req.Method() != sip.CANCEL {
		p.sent[req.Via().Branch()] = req
	}
	p.mu.Unlock()
	if err := p.link.send(c, req); err != nil {
		p.tb.Fatalf("siptest: sending %s to %s: %v", req.Method(), req.URI(), err)
	}
	return &Sent{Request: req, script: p}
}

// Request makes an initial request, as NewRequest does, and sends it.
func (p *Script) Request(method sip.Method, to string, parts ...Part) *Sent {
	p.tb.Helper()
	return p.Send(p.NewRequest(method, to, parts...))
}

// SendRaw sends text as it stands, in one frame: where the script is the server
// itself, on the connection that it heard from last, or the only one.
func (p *Script) SendRaw(text string) {
	p.tb.Helper()
	if err := p.link.sendRaw(nil, text); err != nil {
		p.tb.Fatalf("siptest: sending raw text: %v", err)
	}
}

// ExpectResponse returns the next response to this request that has the code,
// and fails the test when none comes.
func (s *Sent) ExpectResponse(code sip.StatusCode) *Received {
	p := s.script
	p.tb.Helper()
	r := p.take(p.Limit, func(r *Received) bool { return s.isFor(r) && r.Response.StatusCode() == code })
	if r == nil {
		p.fail(fmt.Sprintf("%d for %s", int(code), s.Request.CSeq()))
	}
	return r
}

// Final returns the next final response to this request, and fails the test when
// none comes.
func (s *Sent) Final() *Received {
	p := s.script
	p.tb.Helper()
	r := p.take(p.Limit, func(r *Received) bool { return s.isFor(r) && r.Response.StatusCode().IsFinal() })
	if r == nil {
		p.fail(fmt.Sprintf("a final response to %s", s.Request.CSeq()))
	}
	return r
}

func (s *Sent) isFor(r *Received) bool {
	return r.Response != nil && r.Response.CSeq() == s.Request.CSeq() &&
		r.Response.Via().Branch() == s.Request.Via().Branch()
}

// Cancel sends the CANCEL for the request (RFC 3261 §9.1).
func (s *Sent) Cancel(parts ...Part) *Sent {
	p := s.script
	p.tb.Helper()
	cancel := hopRequest(s.Request, sip.CANCEL, s.Request.Header("To"))
	p.build(cancel, parts)
	return p.Send(cancel)
}

// ACK acknowledges a final response to an INVITE of the script: end to end and
// in the dialog for a 2xx (RFC 3261 §13.2.2.4), as part of the transaction for
// the others (§17.1.1.3). It returns r.
func (r *Received) ACK(parts ...Part) *Received {
	p := r.script
	p.tb.Helper()
	if r.Response == nil || r.Response.CSeq().Method != sip.INVITE {
		p.tb.Fatalf("siptest: only a response to an INVITE has an ACK, not:\n%s", r.Text)
	}
	var ack *sip.Request
	if r.Response.StatusCode().IsSuccess() {
		d := r.Dialog()
		ack = d.newRequest(sip.ACK, r.Response.CSeq().Seq)
	} else {
		p.mu.Lock()
		invite := p.sent[r.Response.Via().Branch()]
		p.mu.Unlock()
		if invite == nil {
			p.tb.Fatalf("siptest: ACK for a response to nothing that was sent:\n%s", r.Text)
		}
		ack = hopRequest(invite, sip.ACK, r.Response.Header("To"))
	}
	p.build(ack, parts)
	p.sendOn(r.conn, ack)
	return r
}
