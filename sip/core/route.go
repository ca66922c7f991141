package core

import (
	"bytes"
	"errors"
	"strings"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/dialog"
	"github.com/gosipua/sipua/sip/transaction"
)

// Receive takes one message that came on f; data is not kept. It takes the lock.
func (c *Core) Receive(f Flow, data []byte) {
	m, err := sip.Parse(data)
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.linkOf(f)
	if k == nil || c.closed != nil {
		return
	}
	c.hear(k)
	if err != nil {
		c.trace(&k.Link, true, data, err)
		c.malformed(k, err)
		return
	}
	c.trace(&k.Link, true, data, nil)
	switch m := m.(type) {
	case *sip.Response:
		c.receiveResponse(k, m)
	case *sip.Request:
		c.receiveRequest(k, m)
	}
}

// ReceiveTooLong takes the beginning, up to the end of the header fields, of a
// message beyond the limit. A request gets 513; a response is taken without its
// body, because the far side has acted on it. It takes the lock.
//
// RFC 3261 §21.5.7.
func (c *Core) ReceiveTooLong(f Flow, head []byte) {
	m, err := sip.Parse(withoutLength(head))
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.linkOf(f)
	if k == nil || c.closed != nil {
		return
	}
	c.hear(k)
	c.trace(&k.Link, true, head, &sip.Problem{Code: sip.StatusMessageTooLarge, Field: "message", Reason: "beyond the limit"})
	c.stats.TooLong++
	var parse *sip.ParseError
	switch m := m.(type) {
	case *sip.Response:
		c.receiveResponse(k, m)
	case *sip.Request:
		c.refuse(k, m, sip.StatusMessageTooLarge, "")
	default:
		if errors.As(err, &parse) && parse.Partial != nil {
			c.refuse(k, parse.Partial, sip.StatusMessageTooLarge, "")
		}
	}
}

// withoutLength takes Content-Length out of the header fields of a message whose
// body is not there.
func withoutLength(head []byte) []byte {
	kept := make([]byte, 0, len(head))
	for line := range bytes.SplitAfterSeq(head, []byte("\r\n")) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		name = bytes.TrimSpace(name)
		if !bytes.EqualFold(name, []byte("Content-Length")) && !bytes.EqualFold(name, []byte("l")) {
			kept = append(kept, line...)
		}
	}
	return kept
}

// malformed answers what could not be read, if it is a request that can be
// answered at all.
func (c *Core) malformed(k *link, err error) {
	c.stats.Malformed++
	var parse *sip.ParseError
	if errors.As(err, &parse) && parse.Partial != nil {
		c.refuse(k, parse.Partial, sip.StatusBadRequest, "Bad "+parse.Field)
	}
}

// receiveResponse hands a response to its transaction. What belongs to none is
// dropped (RFC 6026 §7.2), as is what was meant for a proxy before us.
//
// RFC 3261 §8.1.3.3, §18.1.2.
func (c *Core) receiveResponse(k *link, res *sip.Response) {
	if severalVias(res) || !c.layer.ReceiveResponse(&k.Link, res) {
		c.stats.Stray++
	}
}

func severalVias(res *sip.Response) bool {
	seen := false
	for f := range res.Fields() {
		if f.Name != "Via" {
			continue
		}
		if seen {
			return true
		}
		seen = true
		if strings.Contains(f.Value, ",") {
			vias, err := res.Vias()
			return err != nil || len(vias) > 1
		}
	}
	return false
}

// receiveRequest is the one road in: CANCEL to its INVITE, repeated requests to
// their transactions, a request inside a dialog to its usage, all others to the
// handler of Replaces or of their method, or to the answer the RFC has.
//
// RFC 3261 §8.2.
func (c *Core) receiveRequest(k *link, req *sip.Request) {
	method := req.Method()
	if problem := req.Check(); problem != nil && c.refuses(method, req, problem) {
		c.stats.Malformed++
		c.refuse(k, req, problem.Code, problem.Reason)
		return
	}
	if method == sip.CANCEL {
		c.receiveCancel(k, req)
		return
	}
	switch c.layer.ReceiveRequest(&k.Link, req) {
	case transaction.Absorbed:
	case transaction.Merged:
		c.refuse(k, req, sip.StatusLoopDetected, mergedRequest)
	case transaction.Again:
		c.receiveAgain(k, req)
	default:
		switch {
		case req.To().Tag() != "":
			c.receiveInside(k, req)
		case c.copied(k, req):
			c.refuse(k, req, sip.StatusLoopDetected, mergedRequest)
		default:
			c.receiveInitial(k, req)
		}
	}
}

// refuses reports whether problem stands in the way of req. An ACK cannot be
// answered, and its INVITE must not hang on a detail of it. Inside dialogs the
// Request-URI is ours, whatever a proxy made of it.
func (c *Core) refuses(method sip.Method, req *sip.Request, problem *sip.Problem) bool {
	switch {
	case method == sip.ACK:
		return problem.Field == "CSeq" || problem.Field == "start-line"
	case problem.Code == sip.StatusUnsupportedURIScheme:
		return req.To().Tag() == ""
	}
	return true
}

// receiveCancel answers a CANCEL and passes it to its INVITE.
//
// RFC 3261 §9.2.
func (c *Core) receiveCancel(k *link, req *sip.Request) {
	s := c.layer.FindInvite(req)
	if s == nil {
		c.refuse(k, req, sip.StatusCallDoesNotExist, "")
		return
	}
	res := sip.NewResponse(req, sip.StatusOK, "")
	anonymous := false
	if u, ok := s.User().(*serverUser); ok {
		res.SetToTag((*Incoming)(u).Tag()) // that of the INVITE's responses
		anonymous = u.dialog.Anonymous()
	}
	c.describeResponse(res, sip.CANCEL, anonymous)
	c.send(&k.Link, res)
	s.Cancel(&k.Link, req)
}

// receiveInside routes a request that has our tag.
//
// RFC 3261 §12.2.2.
func (c *Core) receiveInside(k *link, req *sip.Request) {
	a, ok := c.dialogs[dialog.ID{CallID: req.CallID(), LocalTag: req.To().Tag(), RemoteTag: req.From().Tag()}]
	if !ok {
		c.receiveExpected(k, req)
		return
	}
	in := &Incoming{core: c, link: k, req: req, dialog: a.dialog}
	if req.Method() == sip.ACK {
		a.usage.ReceiveRequest(in)
		return
	}
	if c.full() && req.Method() != sip.BYE { // whatever keeps us busy, a call can be ended
		c.refuseFull(k, req)
		return
	}
	if code := a.dialog.Receive(req); code != 0 {
		c.refuse(k, req, code, "CSeq Out of Order")
		return
	}
	if !c.permits(k, req) {
		return
	}
	c.layer.Accept(&in.server, &k.Link, req, (*serverUser)(in))
	a.usage.ReceiveRequest(in)
}

// receiveExpected takes a request that has our tag and is inside no dialog.
//
// RFC 3261 §12.2.2, RFC 6665 §4.4.1.
func (c *Core) receiveExpected(k *link, req *sip.Request) {
	fn := c.expected[halfDialog{req.CallID(), req.To().Tag()}]
	switch {
	case fn == nil || req.Method() != sip.NOTIFY:
		c.refuse(k, req, sip.StatusCallDoesNotExist, "")
	case c.full() || len(c.dialogs) >= c.o.MaxDialogs:
		c.refuseFull(k, req)
	case c.permits(k, req):
		in := &Incoming{core: c, link: k, req: req}
		c.layer.Accept(&in.server, &k.Link, req, (*serverUser)(in))
		fn(in)
	}
}

// receiveInitial routes a request outside dialogs.
func (c *Core) receiveInitial(k *link, req *sip.Request) {
	method := req.Method()
	switch {
	case method == sip.ACK:
		c.stats.Stray++
		return
	case c.full() || len(c.dialogs) >= c.o.MaxDialogs && opensDialog(method):
		c.refuseFull(k, req)
		return
	case c.handler(method) == nil && method != sip.INVITE && method != sip.OPTIONS:
		c.refuse(k, req, unsupportedMethod(method), "")
		return
	case !c.ours(req.URI()):
		c.refuse(k, req, sip.StatusNotFound, "")
		return
	case !c.permits(k, req):
		return
	}
	in := &Incoming{core: c, link: k, req: req}
	if c.replaces != nil && method == sip.INVITE && req.HasHeader("Replaces") {
		c.receiveReplaces(in)
		return
	}
	c.layer.Accept(&in.server, &k.Link, req, (*serverUser)(in))
	if fn := c.handler(method); fn != nil {
		fn(in)
		return
	}
	in.Default()
}

// receiveReplaces finds the dialog that an INVITE wants to replace.
//
// RFC 3891 §3.
func (c *Core) receiveReplaces(in *Incoming) {
	r, _ := in.req.Replaces() // Check has read it
	a, ok := c.dialogs[dialog.ID{CallID: r.CallID, LocalTag: r.ToTag, RemoteTag: r.FromTag}]
	if !ok && r.FromTag == "0" { // a peer of RFC 2543 without tags, RFC 3891 §6.1
		a = c.dialogs[dialog.ID{CallID: r.CallID, LocalTag: r.ToTag}]
	}
	c.layer.Accept(&in.server, &in.link.Link, in.req, (*serverUser)(in))
	c.replaces(in, r, a.dialog, a.usage)
}
