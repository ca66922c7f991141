package siptest

import (
	"strconv"
	"strings"

	"github.com/gosipua/sipua/sip"
)

// proxy handles a request that is neither REGISTER, ACK nor CANCEL (RFC 3261
// §16.3 to §16.6). s.mu is held.
func (s *Server) proxy(c *Conn, req *sip.Request, data []byte) {
	if res := s.refuse(req); res != nil {
		s.reply(c, req, res)
		return
	}
	s.learnFrom(c, req)
	if res := s.answer(req); res != nil {
		s.reply(c, req, res)
		return
	}
	forward := req.Clone()
	targets, code := s.route(c, forward)
	switch {
	case len(targets) == 0:
		s.counters.Unroutable++
		s.reply(c, req, s.newResponse(req, code))
	case targets[0].script != nil:
		targets[0].script.deliver(c, req, data)
	default:
		s.exchange(c, req, forward, targets)
	}
}

// refuse is the answer to a request that must not be forwarded (RFC 3261 §16.3),
// nil for others.
func (s *Server) refuse(req *sip.Request) *sip.Response {
	if hops, ok := req.MaxForwards(); ok && hops == 0 {
		return s.newResponse(req, sip.StatusTooManyHops)
	}
	if bad := s.unsupported(req, "Proxy-Require"); bad != nil {
		return bad
	}
	if s.options.ProxyAuth && s.options.Users != nil && req.To().Tag() == "" {
		proxy := s.traits == nil || s.traits.challenges == sip.StatusProxyAuthenticationRequired
		if v := s.authenticate(req, proxy); !v.ok {
			return s.challengeResponse(req, proxy, v.stale)
		}
	}
	return nil
}

// answer is the answer to a request for the server itself, or for a user whose
// name is a status; nil for others.
func (s *Server) answer(req *sip.Request) *sip.Response {
	u := req.URI()
	if !s.isOurs(u) || req.To().Tag() != "" {
		return nil
	}
	if u.User == "" && req.Method() == sip.OPTIONS && !req.HasHeader("Route") {
		res := s.newResponse(req, sip.StatusOK)
		addField(res, sip.Field{Name: "Allow", Value: "REGISTER, OPTIONS"})
		return res
	}
	text, ok := strings.CutPrefix(u.User, "status-")
	code, err := strconv.Atoi(text)
	if !ok || err != nil || code < 200 || code > 699 {
		return nil
	}
	res := s.newResponse(req, sip.StatusCode(code))
	if code/100 == 3 {
		moved := sip.URI{Scheme: "sip", User: "moved", Host: s.options.Domain}
		addField(res, sip.Field{Name: "Contact", Value: "<" + moved.String() + ">"})
	}
	return res
}

// opensDialog reports whether requests of the method open dialogs, whose
// Contacts are where requests inside them go.
func opensDialog(m sip.Method) bool {
	switch m {
	case sip.INVITE, sip.SUBSCRIBE, sip.REFER, sip.NOTIFY, sip.UPDATE:
		return true
	}
	return false
}

// learnFrom learns the Contact of a message that c sent.
func (s *Server) learnFrom(c *Conn, m interface {
	CSeq() sip.CSeq
	Contact() (sip.NameAddr, bool)
}) {
	if !opensDialog(m.CSeq().Method) {
		return
	}
	if contact, ok := m.Contact(); ok {
		s.learn(c, contact.URI)
	}
}

// prepare makes the copy of a request that goes to t (RFC 3261 §16.6). from is
// the connection it came from, branch the one of our Via.
func (s *Server) prepare(req *sip.Request, from *Conn, t target, branch string) *sip.Request {
	out := req.Clone()
	_ = out.SetURI(t.uri) // was parsed, so it can be written
	for i := len(t.path) - 1; i >= 0; i-- {
		_ = out.PrependHeader("Route", t.path[i].String())
	}
	hops, ok := out.MaxForwards()
	if !ok {
		hops = 71
	}
	_ = out.SetHeader("Max-Forwards", strconv.Itoa(hops-1))
	if s.options.RecordRoute && opensDialog(out.Method()) && out.To().Tag() == "" {
		route := s.recordRoute(from, t.conn)
		if out.HasHeader("Record-Route") {
			_ = out.PrependHeader("Record-Route", route)
		} else {
			_ = out.AddHeader("Record-Route", route)
		}
	}
	if s.options.ProxyAuth && len(out.Headers("Proxy-Authorization")) == 1 {
		out.RemoveHeader("Proxy-Authorization") // it was for us (RFC 3261 §22.3)
	}
	_ = out.PushVia(s.via(branch))
	return out
}

func (s *Server) via(branch string) sip.Via {
	return sip.Via{Transport: s.viaTransport, Host: s.options.Host, Params: sip.Params(";branch=" + branch)}
}

// newBranch makes a branch that also names the connection which the request came
// from: a response can so be returned when nothing else is known of it.
func (s *Server) newBranch(from *Conn) string {
	s.branchSeq++
	b := append(make([]byte, 0, 40), sip.BranchCookie+"st."...)
	b = strconv.AppendUint(b, from.id, 10)
	b = append(b, '.')
	return string(strconv.AppendUint(b, s.branchSeq, 10))
}

// receiveACK takes an ACK: for a final response of 300 and more it ends here
// (RFC 3261 §17.2.1), else it is forwarded like any request in a dialog.
func (s *Server) receiveACK(c *Conn, req *sip.Request, data []byte) {
	if ex := s.exchanges[exchangeKey(req)]; ex != nil && ex.status >= 300 {
		s.end(ex)
		return
	}
	if hops, ok := req.MaxForwards(); ok && hops == 0 {
		s.counters.Unroutable++
		return
	}
	forward := req.Clone()
	targets, _ := s.route(c, forward)
	switch {
	case len(targets) == 0:
		s.counters.Unroutable++
	case targets[0].script != nil:
		targets[0].script.deliver(c, req, data)
	default:
		s.counters.Forwarded++
		s.send(targets[0].conn, s.prepare(forward, c, targets[0], s.newBranch(c)))
	}
}

// receiveCancel answers a CANCEL hop by hop and cancels the branches of its
// INVITE (RFC 3261 §16.10).
func (s *Server) receiveCancel(c *Conn, req *sip.Request, data []byte) {
	key := exchangeKey(req)
	ex := s.exchanges[key]
	if ex == nil && s.accepted.find(key) == nil {
		if script := s.scriptForAny(); script != nil {
			script.deliver(c, req, data)
			return
		}
		s.send(c, s.newResponse(req, sip.StatusCallDoesNotExist))
		return
	}
	s.send(c, s.newResponse(req, sip.StatusOK))
	if ex != nil && ex.status == 0 {
		s.cancelBranches(ex, req.Headers("Reason"))
	}
}

// receiveResponse takes a response to something that was forwarded, or that a
// script sent.
func (s *Server) receiveResponse(c *Conn, res *sip.Response, data []byte) {
	via := res.Via()
	if !strings.EqualFold(via.Host, s.options.Host) {
		if script := s.scriptForAny(); script != nil {
			script.deliver(c, res, data)
		} else {
			s.counters.Unroutable++
		}
		return
	}
	if res.StatusCode() > 100 && res.StatusCode() < 300 {
		s.learnFrom(c, res)
	}
	if r := s.requests[via.Branch()]; r != nil && r.req.Method() == res.CSeq().Method {
		r.response(c, res)
		return
	}
	branch := s.branches[via.Branch()]
	switch {
	case res.CSeq().Method == sip.CANCEL: // ended with this hop
	case branch != nil:
		s.branchResponse(branch, res)
	case res.CSeq().Method == sip.INVITE && res.StatusCode().IsSuccess():
		s.lateSuccess(res)
	default:
		s.counters.Unroutable++
	}
}

// lateSuccess forwards a repeated 2xx to an INVITE that is over for the server
// (RFC 6026 §8.2): its Vias say where to.
func (s *Server) lateSuccess(res *sip.Response) {
	res.RemoveFirst("Via")
	if !res.HasHeader("Via") {
		s.counters.Unroutable++
		return
	}
	was := s.accepted.find(viaKey(res.Via(), sip.INVITE))
	if was == nil {
		s.counters.Unroutable++
		return
	}
	if c := s.successor(was.conn, was.contact); c != nil {
		s.send(c, res)
	}
}

// successor is c if it is still connected, else the connection that has its
// Contact now, or nil.
func (s *Server) successor(c *Conn, contact string) *Conn {
	if s.isAlive(c) {
		return c
	}
	if c = s.contacts[contact]; s.isAlive(c) {
		return c
	}
	s.counters.Unroutable++
	return nil
}
