package siptest

import (
	"slices"
	"strconv"

	"github.com/gosipua/sipua/sip"
)

// invitePeer sends the INVITE of a new leg. like is what the caller sent, nil
// when the server calls by itself.
func (l *Leg) invitePeer(body []byte, like *sip.Request, onResponse func(*request, *sip.Response)) {
	s := l.server
	l.ours = l.send(sip.INVITE, body, func(req *sip.Request) {
		if like != nil {
			pass(like, req)
			if like.HasToken("Supported", "100rel") || like.HasToken("Require", "100rel") {
				_ = req.SetHeader("Supported", s.traits.supported+", 100rel")
			}
			if like.HasToken("Require", "100rel") {
				addField(req, sip.Field{Name: "Require", Value: "100rel"})
			}
		}
		for _, f := range s.traits.xHeaders {
			if !req.HasHeader(f.Name) && (f.Name != "Content-Disposition" || len(body) > 0) {
				addField(req, f)
			}
		}
		if l.asserted != "" && !req.HasHeader("P-Asserted-Identity") {
			addField(req, sip.Field{Name: "P-Asserted-Identity", Value: l.asserted})
		}
		l.askSession(req)
	}, func(r *request, res *sip.Response) {
		if res.StatusCode().IsFinal() {
			l.ours = nil
		}
		if res.To().Tag() != "" && res.StatusCode() < 300 {
			l.confirm(res)
		}
		onResponse(r, res)
	})
}

// response takes a response to the INVITE of a callee's leg.
func (c *Call) response(l *Leg, r *request, res *sip.Response) {
	caller := c.caller
	switch code := res.StatusCode(); {
	case code.IsProvisional():
		c.provisional(l, res)
	case code.IsSuccess():
		c.answered(l, r, res)
	default:
		l.over()
		c.rings = slices.DeleteFunc(c.rings, func(o *Leg) bool { return o == l })
		if c.best == nil || rank(code) < rank(c.best.StatusCode()) {
			c.best = res
		}
		if len(c.rings) > 0 {
			return
		}
		if c.taken != nil {
			c.taken(nil, c.best.StatusCode())
		}
		if caller.invite != nil {
			caller.respond(c.best.StatusCode(), nil, c.refusalFields()...)
		}
		c.over = true
		delete(c.server.calls, c)
		caller.over()
	}
}

// refusalFields are those of the best refusal that the caller sees.
func (c *Call) refusalFields() []sip.Field {
	var fields []sip.Field
	for _, name := range []string{"Retry-After", "Warning", "Contact", "Unsupported", "Error-Info"} {
		for _, value := range c.best.Headers(name) {
			fields = append(fields, sip.Field{Name: name, Value: value})
		}
	}
	if reason := c.server.traits.reason(c.best.StatusCode()); reason != "" && c.best.StatusCode() >= 400 {
		fields = append(fields, sip.Field{Name: "Reason", Value: reason})
	}
	return fields
}

// provisional passes a provisional response on. The caller has one dialog with
// the server, and early media of one callee.
func (c *Call) provisional(l *Leg, res *sip.Response) {
	caller := c.caller
	if caller.invite == nil || caller.state == legUp {
		return
	}
	caller.state = legEarly
	var body []byte
	if sdp := res.Body(); len(sdp) > 0 && (c.media == nil || c.media == l) {
		c.media = l
		l.description = sdp
		body = caller.describe(sdp, caller.description)
	}
	var fields []sip.Field
	if seq, ok := res.RSeq(); ok {
		caller.rseq++
		caller.reliable[caller.rseq] = rackOf{leg: l, seq: seq}
		fields = append(fields,
			sip.Field{Name: "Require", Value: "100rel"},
			sip.Field{Name: "RSeq", Value: strconv.FormatUint(uint64(caller.rseq), 10)})
	}
	caller.respond(res.StatusCode(), body, fields...)
}

// answered connects the first leg that answers and ends the others.
func (c *Call) answered(l *Leg, r *request, res *sip.Response) {
	caller := c.caller
	l.takeSession(res)
	c.rings = slices.DeleteFunc(c.rings, func(o *Leg) bool { return o == l })
	for _, other := range c.rings {
		other.end(`SIP;cause=200;text="Call completed elsewhere"`, 0)
	}
	c.rings = nil
	c.callee = l
	if c.taken != nil {
		l.description = res.Body()
		r.acknowledge(nil)
		c.taken(l, res.StatusCode())
		return
	}
	l.peer, caller.peer = caller, l
	if caller.invite == nil { // gone meanwhile
		r.acknowledge(nil)
		l.end("", 0)
		return
	}
	sdp := res.Body()
	if len(sdp) > 0 {
		l.description = sdp
		l.noteShape(sdpLines(sdp))
	}
	offer := caller.invite.req.Body()
	if len(offer) == 0 {
		caller.respond(sip.StatusOK, caller.describe(sdp, nil), c.answerFields(l, res)...)
		caller.state = legUp
		caller.unacked.ack = func(answer []byte) {
			r.acknowledge(l.describe(answer, sdp))
			if len(answer) > 0 { // else it was in a PRACK
				caller.description = answer
				settle(l, caller)
			}
		}
		return
	}
	r.acknowledge(nil)
	body := caller.describe(sdp, offer)
	if len(sdp) == 0 { // the answer was in a reliable provisional response
		body = nil
	}
	settle(caller, l)
	caller.respond(sip.StatusOK, body, c.answerFields(l, res)...)
	caller.state = legUp
	if c.server.traits.reinviteAtOnce {
		l.reinvite(caller.description, nil)
	}
}

func (c *Call) answerFields(l *Leg, res *sip.Response) []sip.Field {
	var fields []sip.Field
	for f := range res.Fields() {
		if len(f.Name) > 2 && f.Name[:2] == "X-" {
			fields = append(fields, f)
		}
	}
	if l.server.traits.asserts && !slices.Contains(res.Privacy(), "id") {
		u := sip.URI{Scheme: "sip", User: l.user, Host: l.server.options.Domain}
		fields = append(fields, sip.Field{Name: "P-Asserted-Identity", Value: sip.NameAddr{URI: u}.String()})
	}
	return fields
}

// settle notes which DTLS roles an exchange has come to.
func settle(offerer, answerer *Leg) {
	role := attribute(sdpLines(answerer.description), "setup")
	opposite := map[string]string{"active": "passive", "passive": "active"}[role]
	if opposite == "" {
		return
	}
	offerer.agreed(offerer.shown(answerer.description), role)
	answerer.agreed(answerer.shown(offerer.description), opposite)
}

// shown is a description as legs get to see it.
func (l *Leg) shown(body []byte) []byte {
	if !l.server.traits.sdp.capital {
		return body
	}
	var out []byte
	for _, line := range sdpLines(body) {
		out = append(append(out, capitals(line)...), '\n')
	}
	return out
}

// receive takes a request in the dialog of a leg.
func (l *Leg) receive(c *Conn, req *sip.Request) {
	s := l.server
	m := req.Method()
	if m == sip.ACK {
		l.receiveACK(c, req)
		return
	}
	if l.state == legOver {
		s.reply(c, req, s.dress(s.newResponse(req, sip.StatusCallDoesNotExist), nil))
		return
	}
	if opensDialog(m) {
		l.heard(c, req)
	}
	if l.challenge > 0 {
		proxy := s.traits.challenges == sip.StatusProxyAuthenticationRequired
		if v := s.authenticate(req, proxy); !v.ok {
			l.challenge--
			s.reply(c, req, s.dress(s.challengeResponse(req, proxy, v.stale), l))
			return
		}
	}
	switch m {
	case sip.BYE:
		s.send(c, s.dress(sip.NewResponse(req, sip.StatusOK, ""), l))
		l.leave()
	case sip.INVITE, sip.UPDATE:
		l.receiveOffer(c, req)
	case sip.REFER:
		l.receiveRefer(c, req)
	case sip.OPTIONS:
		s.send(c, s.dress(sip.NewResponse(req, sip.StatusOK, ""), l))
	case sip.PRACK:
		l.receivePRACK(c, req)
	case sip.INFO, sip.MESSAGE:
		l.relay(c, req, l.peer, nil)
	default:
		s.send(c, s.dress(sip.NewResponse(req, sip.StatusMethodNotAllowed, ""), l))
	}
}

// leave ends the leg whose client has hung up, and the call with it unless the
// other leg is being connected elsewhere.
func (l *Leg) leave() {
	l.refuseInvite(0)
	l.over()
	if l.peer != nil || l.call.callee == nil {
		l.call.hangup(l, 0)
	}
}

func (l *Leg) receiveACK(c *Conn, req *sip.Request) {
	wait := l.unacked
	if wait == nil {
		return
	}
	l.unacked = nil
	wait.ack(req.Body())
	l.nowFree()
}

// relay sends a request of one leg on in the dialog of another, and its response
// back.
func (l *Leg) relay(c *Conn, req *sip.Request, to *Leg, change func(*sip.Request)) {
	s := l.server
	if to == nil || to.state == legOver || to.remoteTag == "" {
		res := s.dress(sip.NewResponse(req, sip.StatusTemporarilyUnavailable, ""), l)
		s.send(c, res)
		return
	}
	to.send(req.Method(), nil, func(out *sip.Request) {
		pass(req, out)
		if len(req.Body()) > 0 {
			_ = out.SetBody(req.Header("Content-Type"), req.Body())
		}
		if change != nil {
			change(out)
		}
	}, func(_ *request, res *sip.Response) {
		back := s.dress(sip.NewResponse(req, res.StatusCode(), ""), l)
		pass(res, back)
		if body := res.Body(); len(body) > 0 {
			if req.Method() == sip.PRACK { // the answer to an offer in it
				to.description, l.description = body, req.Body()
				body = l.describe(body, req.Body())
			}
			_ = back.SetBody(res.Header("Content-Type"), body)
		}
		if c := s.successor(c, l.contact); c != nil {
			s.send(c, back)
		}
	})
}

// receivePRACK takes the PRACK of a provisional response that was passed on
// (RFC 3262).
func (l *Leg) receivePRACK(c *Conn, req *sip.Request) {
	rack, ok := req.RAck()
	of, known := l.reliable[rack.RSeq]
	if !ok || !known || of.leg.last == nil {
		l.server.send(c, l.server.dress(sip.NewResponse(req, sip.StatusCallDoesNotExist, ""), l))
		return
	}
	delete(l.reliable, rack.RSeq)
	callee := of.leg
	late := l.invite == nil || len(l.invite.req.Body()) == 0 // the 183 had the offer
	l.relay(c, req, callee, func(out *sip.Request) {
		_ = out.SetHeader("RAck", sip.RAck{RSeq: of.seq, CSeq: callee.last.req.CSeq()}.String())
		if len(req.Body()) == 0 {
			return
		}
		body := req.Body()
		if late {
			l.description = body
			settle(callee, l)
			body = callee.describe(body, callee.description)
		} else {
			body = callee.describe(body, nil)
		}
		_ = out.SetBody("application/sdp", body)
	})
}
