package siptest

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/gosipua/sipua/sip"
)

// request is a request of a back-to-back user agent: a client transaction.
type request struct {
	server     *Server
	leg        *Leg // nil outside a call
	seq        uint64
	id         string
	conn       *Conn
	req        *sip.Request
	ack        *sip.Request // sent for its 2xx
	onResponse func(*request, *sip.Response)
	timer      *time.Timer
	proceeding bool
	done       bool // has a final response
	canceling  bool // a CANCEL is due or was sent
	canceled   bool
	reason     string
}

// send sends a request in the dialog of the leg. change completes it; done gets
// its responses but 100, and may be nil.
func (l *Leg) send(m sip.Method, body []byte, change func(*sip.Request), onResponse func(*request, *sip.Response)) *request {
	l.seq++
	req := sip.NewRequest(m, l.target)
	_ = req.SetHeader("Max-Forwards", "70") // nothing here can fail: it all was in a message, or is ours
	_ = req.SetRoute(l.routes...)
	_ = req.SetFrom(l.local.WithTag(l.localTag))
	to := l.remote
	if l.remoteTag != "" {
		to = to.WithTag(l.remoteTag)
	}
	_ = req.SetTo(to)
	_ = req.SetCallID(l.callID)
	_ = req.SetCSeq(sip.CSeq{Seq: l.seq, Method: m})
	if opensDialog(m) {
		addField(req, sip.Field{Name: "Contact", Value: l.own.String()})
	}
	if m == sip.INVITE && l.server.traits.recordRoute && l.remoteTag == "" {
		addField(req, sip.Field{Name: "Record-Route", Value: l.recordRoute()})
	}
	if len(body) > 0 {
		_ = req.SetBody("application/sdp", body)
	}
	if change != nil {
		change(req)
	}
	r := l.server.transact(l.server.successor(l.conn, l.contact), req, l, onResponse)
	l.requests = append(l.requests, r)
	if m == sip.INVITE {
		l.last = r
	}
	return r
}

// transact sends a request over c and waits for its responses. A nil c is as
// good as an answer with 480.
func (s *Server) transact(c *Conn, req *sip.Request, l *Leg, onResponse func(*request, *sip.Response)) *request {
	s.branchSeq++
	r := &request{server: s, leg: l, seq: s.branchSeq, conn: c, req: req, onResponse: onResponse}
	r.id = sip.NewBranch()
	_ = req.SetVia(s.via(r.id))
	if s.traits.viaReceived {
		via := req.Via()
		via.Params = via.Params.WithFlag("rport")
		_ = req.SetVia(via)
	}
	_ = req.SetHeader("User-Agent", s.traits.product)
	switch req.Method() {
	case sip.INVITE, sip.UPDATE, sip.OPTIONS:
		_ = req.SetHeader("Allow", s.traits.allow)
		if !req.HasHeader("Supported") {
			_ = req.SetHeader("Supported", s.traits.supported)
		}
	}
	s.requests[r.id] = r
	wait := timeout
	if c == nil {
		wait = 0
	} else {
		s.send(c, req)
	}
	r.timer = time.AfterFunc(wait, func() {
		s.mu.Lock()
		defer s.unlock()
		switch {
		case s.requests[r.id] != r:
		case r.done:
			r.forget()
		case c == nil:
			r.fail(sip.StatusTemporarilyUnavailable)
		case r.canceled && r.proceeding, l != nil && l.state == legOver:
			r.fail(sip.StatusRequestTerminated)
		case !r.proceeding || req.Method() != sip.INVITE:
			r.fail(sip.StatusRequestTimeout)
		}
	})
	return r
}

// fail ends a request as if it had been answered with code.
func (r *request) fail(code sip.StatusCode) {
	if r.done {
		return
	}
	r.end()
	r.forget()
	if r.leg != nil && r.leg.state == legOver {
		return
	}
	if r.onResponse != nil {
		r.onResponse(r, r.server.newResponse(r.req, code))
	}
}

// end notes the final response. Those that are repeated find the request for a
// while.
func (r *request) end() {
	r.done = true
	r.timer.Reset(timeout)
	if l := r.leg; l != nil {
		l.requests = slices.DeleteFunc(l.requests, func(o *request) bool { return o == r })
	}
}

func (r *request) forget() {
	r.timer.Stop()
	delete(r.server.requests, r.id)
}

// response takes a response to the request.
func (r *request) response(c *Conn, res *sip.Response) {
	code, invite := res.StatusCode(), r.req.Method() == sip.INVITE
	switch {
	case r.done && invite && code >= 300:
		r.server.send(c, hopRequest(r.req, sip.ACK, res.Header("To")))
		return
	case r.done && invite && code.IsSuccess() && r.ack != nil:
		r.server.send(c, r.ack) // repeated until it arrives
		return
	case r.done:
		return
	case code.IsProvisional():
		r.proceeding = true
		if r.canceling {
			r.cancel(r.reason)
		}
		if code == sip.StatusTrying {
			return
		}
	default:
		r.end()
		if !invite {
			r.forget()
		}
	}
	if invite && code >= 300 {
		r.server.send(c, hopRequest(r.req, sip.ACK, res.Header("To")))
	}
	if l := r.leg; l != nil && code > 100 && code < 300 && opensDialog(r.req.Method()) {
		l.heard(c, res)
	}
	if r.leg != nil && r.leg.state == legOver {
		r.late(res)
		return
	}
	if r.onResponse != nil {
		r.onResponse(r, res)
	}
}

// late ends the dialog of a 2xx that crossed the CANCEL (RFC 3261 §9.1).
func (r *request) late(res *sip.Response) {
	if r.req.Method() != sip.INVITE || !res.StatusCode().IsSuccess() {
		return
	}
	l := r.leg
	l.confirm(res)
	r.acknowledge(nil)
	l.sendBye("")
	l.state = legOver
}

// acknowledge sends the ACK for a 2xx.
func (r *request) acknowledge(body []byte) {
	l := r.leg
	ack := sip.NewRequest(sip.ACK, l.target)
	_ = ack.SetVia(r.server.via(sip.NewBranch()))
	_ = ack.SetHeader("Max-Forwards", "70")
	_ = ack.SetRoute(l.routes...)
	_ = ack.SetFrom(r.req.From())
	_ = ack.SetTo(l.remote.WithTag(l.remoteTag))
	_ = ack.SetCallID(l.callID)
	_ = ack.SetCSeq(sip.CSeq{Seq: r.req.CSeq().Seq, Method: sip.ACK})
	if len(body) > 0 {
		_ = ack.SetBody("application/sdp", body)
	}
	r.ack = ack
	if c := r.server.successor(l.conn, l.contact); c != nil {
		r.server.send(c, ack)
	}
}

// cancel sends the CANCEL, as soon as there is a provisional response.
func (r *request) cancel(reason string) {
	r.canceling, r.reason = true, reason
	if !r.proceeding || r.canceled || r.done || r.conn == nil {
		return
	}
	r.canceled = true
	cancel := hopRequest(r.req, sip.CANCEL, r.req.Header("To"))
	if reason != "" {
		addField(cancel, sip.Field{Name: "Reason", Value: reason})
	}
	r.server.send(r.conn, cancel)
	r.timer.Reset(timeout)
}

// requestsLost ends the requests that wait for an answer from c. s.mu is held.
func (s *Server) requestsLost(c *Conn) {
	var lost []*request
	for _, r := range s.requests {
		if r.conn == c && !r.done {
			lost = append(lost, r)
		}
	}
	slices.SortFunc(lost, func(a, b *request) int { return cmp.Compare(a.seq, b.seq) })
	for _, r := range lost {
		r.fail(sip.StatusTemporarilyUnavailable)
	}
}

// confirm notes what a response tells of the dialog.
func (l *Leg) confirm(res *sip.Response) {
	l.remoteTag = res.To().Tag()
	if l.state == legCalling {
		l.state = legEarly
	}
	if routes, err := res.NameAddrs("Record-Route"); err == nil && len(routes) > 0 && !l.server.traits.recordRoute {
		slices.Reverse(routes)
		l.routes = routes
	} else {
		l.routes = nil
	}
	if res.StatusCode().IsSuccess() {
		l.state = legUp
	}
}

// passes are the fields that go from one leg to the other, beside all that begin
// with X-.
var passes = []string{
	"Alert-Info", "Call-Info", "Content-Disposition", "Diversion", "History-Info", "Info-Package",
	"P-Asserted-Identity", "Priority", "Privacy", "Recv-Info", "Referred-By", "Retry-After", "Subject", "Warning",
}

// pass copies the fields that pass.
func pass(from interface{ Fields() iter.Seq[sip.Field] }, to interface {
	AddHeader(name, value string) error
	HasHeader(name string) bool
}) {
	var had []string
	for f := range from.Fields() {
		if !strings.HasPrefix(f.Name, "X-") && !slices.Contains(passes, f.Name) {
			continue
		}
		if !slices.Contains(had, f.Name) {
			if to.HasHeader(f.Name) {
				continue
			}
			had = append(had, f.Name)
		}
		addField(to, f)
	}
}
