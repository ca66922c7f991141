package siptest

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/gosipua/sipua/sip"
)

// Call is a call through a server with a [Personality]: two legs, each a dialog
// of its own between the server and a client. [Server.Calls] has them.
type Call struct {
	server *Server
	seq    uint64

	// guarded by server.mu
	caller *Leg
	callee *Leg   // who has answered; nil before
	rings  []*Leg // INVITEs under way to the callee's contacts
	best   *sip.Response
	media  *Leg                       // of rings: whose early description the caller has
	taken  func(*Leg, sip.StatusCode) // gets who answers in the place of the caller; nil: nobody
	over   bool
}

// Leg is one dialog of a [Call], that with the caller or that with the callee.
// Its methods make the server do what such servers do by themselves; those that
// send a request return with its outcome: nil for a 2xx, a *sip.ResponseError for
// a refusal, or the cause of ctx.
type Leg struct {
	server *Server
	user   string
	callID string

	// guarded by server.mu
	call      *Call
	uas       bool // the client opened the dialog
	state     legState
	conn      *Conn
	contact   string // key of the client's Contact, see successor
	localTag  string
	remoteTag string
	local     sip.NameAddr // From of our requests, without the tag
	remote    sip.NameAddr
	target    sip.URI
	routes    []sip.NameAddr
	own       sip.NameAddr // our Contact
	seq       uint32
	rseq      uint32
	allow     []string // what the client allows, nil when it has not said

	peer     *Leg        // connected with; nil while it is being connected
	invite   *invitation // the client's INVITE under way
	ours     *request    // our INVITE, or UPDATE with an offer, under way
	last     *request    // our newest INVITE
	requests []*request
	free     []func()          // what waits for the end of ours and unacked
	unacked  *unacked          // our 2xx that waits for its ACK
	reliable map[uint32]rackOf // of a caller: where a PRACK belongs

	description []byte // the client's newest
	origin      origin
	far         far
	shape       []string // m-lines of the dialog
	session     session
	challenge   int // requests of the dialog still to be challenged
	timers      []*time.Timer
	asserted    string // P-Asserted-Identity of the far end
}

type legState uint8

const (
	legCalling legState = iota // INVITE sent or received
	legEarly                   // a provisional response with a tag has passed
	legUp
	legOver
)

// invitation is an INVITE or UPDATE of a client that is not answered yet.
type invitation struct {
	req  *sip.Request
	conn *Conn
}

// unacked is a 2xx of the server to an INVITE; ack gets the body of the ACK.
type unacked struct{ ack func(body []byte) }

// rackOf tells where a reliable provisional response came from.
type rackOf struct {
	leg *Leg
	seq uint32
}

// dialogKey finds legs: the Call-ID and our tag.
func dialogKey(callID, localTag string) string { return callID + " " + localTag }

// b2bua takes a request where the server is a back-to-back user agent. It reports
// false for what is proxied all the same. s.mu is held.
func (s *Server) b2bua(c *Conn, req *sip.Request, data []byte) bool {
	if tag := req.To().Tag(); tag != "" {
		l := s.legs[dialogKey(req.CallID(), tag)]
		switch {
		case l != nil && l.remoteTag == req.From().Tag():
			l.receive(c, req)
		case s.scriptForAny() != nil:
			return false
		case req.Method() != sip.ACK:
			s.reply(c, req, s.newResponse(req, sip.StatusCallDoesNotExist))
		}
		return true
	}
	if m := req.Method(); m != sip.INVITE && (m != sip.MESSAGE || s.traits.accepts == 0) {
		return false
	}
	if res := s.refuse(req); res != nil {
		s.reply(c, req, s.dress(res, nil))
		return true
	}
	s.learnFrom(c, req)
	if res := s.answer(req); res != nil {
		s.reply(c, req, s.dress(res, nil))
		return true
	}
	if replaces, ok := req.Replaces(); ok {
		s.pickUp(c, req, replaces)
		return true
	}
	targets, code := s.route(c, req.Clone())
	switch {
	case len(targets) == 0:
		s.counters.Unroutable++
		s.reply(c, req, s.dress(s.newResponse(req, code), nil))
	case targets[0].script != nil:
		return false
	case req.Method() == sip.MESSAGE:
		s.passMessage(c, req, targets)
	default:
		s.newCall(c, req, targets)
	}
	return true
}

// newCall makes the call of an INVITE: a leg to where it came from, and one to
// each target.
func (s *Server) newCall(c *Conn, req *sip.Request, targets []target) {
	if bad := s.unsupported(req, "Require", "100rel", "timer", "replaces"); bad != nil {
		s.reply(c, req, s.dress(bad, nil))
		return
	}
	if res := s.tooBrief(req); res != nil {
		s.reply(c, req, s.dress(res, nil))
		return
	}
	s.callSeq++
	call := &Call{server: s, seq: s.callSeq}
	s.calls[call] = true
	caller := s.serverLeg(c, req)
	call.caller, caller.call = caller, call
	s.send(c, s.dress(s.newResponse(req, sip.StatusTrying), nil))
	for _, t := range targets {
		l := s.clientLeg(t, req.URI().UserText(), req.From(), req.To())
		l.call, l.asserted = call, caller.asserts(req)
		call.rings = append(call.rings, l)
		l.peer = caller
	}
	for _, l := range slices.Clone(call.rings) {
		l.invitePeer(l.describe(req.Body(), nil), req, func(r *request, res *sip.Response) { call.response(l, r, res) })
	}
}

// serverLeg is the leg of an INVITE of a client.
func (s *Server) serverLeg(c *Conn, req *sip.Request) *Leg {
	l := s.newLeg(strings.Clone(req.CallID()))
	l.uas = true
	l.user = req.From().URI.UserText()
	l.remoteTag = req.From().Tag()
	l.local, l.remote = req.To(), req.From().WithTag("")
	l.own = s.ownContact(s.traits.answerUser, req.To().URI.User)
	l.description = req.Body()
	l.noteShape(sdpLines(req.Body()))
	l.invite = &invitation{req: req, conn: c}
	l.heard(c, req)
	s.invitations[exchangeKey(req)] = l
	return l
}

// clientLeg is a leg to a contact of a user, whom from calls.
func (s *Server) clientLeg(t target, user string, from, to sip.NameAddr) *Leg {
	l := s.newLeg(s.newCallID())
	l.user = user
	l.conn, l.target, l.routes = t.conn, t.uri, t.path
	l.contact = contactKey(t.uri)
	from = from.WithTag("")
	if from.URI.Host != "anonymous.invalid" {
		from.URI.Host, from.URI.Port = s.options.Host, 0
	}
	l.local, l.remote = from, to.WithTag("")
	if s.traits.toContact {
		l.remote = sip.NameAddr{URI: t.uri}
	}
	l.own = s.ownContact(s.traits.contactUser != "", s.traits.contactUser)
	return l
}

func (s *Server) newLeg(callID string) *Leg {
	l := &Leg{server: s, callID: callID, localTag: sip.NewTag(), reliable: map[uint32]rackOf{}}
	s.branchSeq++
	l.seq = uint32(s.branchSeq * 100)
	s.legs[dialogKey(l.callID, l.localTag)] = l
	return l
}

func (s *Server) newCallID() string {
	if s.traits.recordRoute {
		return "B2B." + sip.NewCallID()
	}
	return sip.NewCallID()
}

func (s *Server) ownContact(named bool, user string) sip.NameAddr {
	u := sip.URI{Scheme: "sip", Host: s.options.Host, Params: ";transport=ws"}
	if named {
		u.User = user
	}
	return sip.NameAddr{URI: u}
}

// heard notes where the client of a leg is, by a message of its dialog.
func (l *Leg) heard(c *Conn, m interface {
	Contact() (sip.NameAddr, bool)
	HasHeader(string) bool
	List(string) []string
}) {
	l.conn = c
	if contact, ok := m.Contact(); ok {
		l.target, l.contact = contact.URI, contactKey(contact.URI)
	}
	if m.HasHeader("Allow") {
		l.allow = m.List("Allow")
	}
}

// allows reports whether the client has said that it takes a method.
func (l *Leg) allows(m sip.Method) bool { return slices.Contains(l.allow, string(m)) }

// asserts is the P-Asserted-Identity that the other side of a request is given.
func (l *Leg) asserts(req *sip.Request) string {
	switch {
	case slices.Contains(req.Privacy(), "id"), !l.server.traits.asserts:
		return ""
	case req.HasHeader("P-Preferred-Identity"):
		return req.Header("P-Preferred-Identity")
	}
	u := sip.URI{Scheme: "sip", User: req.From().URI.User, Host: l.server.options.Domain}
	return sip.NameAddr{Display: req.From().Display, URI: u}.String()
}

// dress gives a response of the server what its personality shows; l is the leg
// whose dialog it belongs to, nil outside one. Plain shows nothing.
func (s *Server) dress(res *sip.Response, l *Leg) *sip.Response {
	t := s.traits
	if t == nil {
		return res
	}
	if t.viaReceived {
		via := res.Via()
		via.Params = via.Params.With("received", "198.51.100.7").With("rport", "51375")
		_ = res.SetVia(via)
	}
	_ = res.SetHeader("Server", t.product)
	_ = res.SetHeader("Allow", t.allow)
	_ = res.SetHeader("Supported", t.supported)
	if l == nil {
		return res
	}
	res.SetToTag(l.localTag)
	if res.StatusCode() > 100 && res.StatusCode() < 300 && opensDialog(res.CSeq().Method) {
		addField(res, sip.Field{Name: "Contact", Value: l.own.String()})
		if t.recordRoute && l.state != legUp {
			addField(res, sip.Field{Name: "Record-Route", Value: l.recordRoute()})
		}
	}
	return res
}

// recordRoute is the proxy before the user agent.
func (l *Leg) recordRoute() string {
	return "<sip:" + l.server.options.Host + ";transport=ws;lr;did=" + l.localTag[:min(8, len(l.localTag))] + ">"
}

// respond answers the client's INVITE or UPDATE that is under way.
func (l *Leg) respond(code sip.StatusCode, body []byte, fields ...sip.Field) {
	inv := l.invite
	if inv == nil {
		return
	}
	s := l.server
	res := s.dress(sip.NewResponse(inv.req, code, ""), l)
	for _, f := range fields {
		_ = res.SetHeader(f.Name, f.Value)
	}
	if len(body) > 0 {
		_ = res.SetBody("application/sdp", body)
	}
	if code.IsSuccess() {
		l.grantSession(inv.req, res)
	}
	if c := s.successor(inv.conn, l.contact); c != nil {
		s.send(c, res)
	}
	if !code.IsFinal() {
		return
	}
	l.invite = nil
	if inv.req.Method() != sip.INVITE {
		return
	}
	delete(s.invitations, exchangeKey(inv.req))
	if code >= 300 {
		s.awaitACK(inv.conn, inv.req)
		return
	}
	s.invitesDone.add(&exchange{key: exchangeKey(inv.req), conn: inv.conn})
	wait := &unacked{ack: func([]byte) {}}
	l.unacked = wait
	l.after(timeout, func() {
		if l.unacked == wait {
			l.unacked = nil
			l.call.hangup(nil, sip.StatusRequestTimeout)
			l.end("", 0) // the call was over before
		}
	})
}

// receiveLegCancel takes the CANCEL of an INVITE to the user agent. It reports
// false for others.
func (s *Server) receiveLegCancel(c *Conn, req *sip.Request) bool {
	key := exchangeKey(req)
	l := s.invitations[key]
	if l == nil && s.invitesDone.find(key) == nil {
		return false
	}
	res := s.dress(s.newResponse(req, sip.StatusOK), nil)
	s.send(c, res)
	if l != nil && l.state != legUp {
		l.call.hangup(l, 0)
	}
	return true
}

// after runs f with s.mu held, unless the leg is over by then.
func (l *Leg) after(d time.Duration, f func()) *time.Timer {
	t := time.AfterFunc(d, func() {
		l.server.mu.Lock()
		defer l.server.unlock()
		if l.state != legOver {
			f()
		}
	})
	l.timers = append(l.timers, t)
	return t
}

// hangup ends the call. by is the leg whose client did it, nil for the server;
// refused why it never came up, 0 for the ordinary end.
func (c *Call) hangup(by *Leg, refused sip.StatusCode) {
	if c.over {
		return
	}
	c.over = true
	delete(c.server.calls, c)
	for _, l := range c.allLegs() {
		if l == by {
			l.end("", 0)
		} else {
			l.end(c.server.traits.reason(refused), refused)
		}
	}
}

func (t *traits) reason(refused sip.StatusCode) string {
	if t.byeReason == nil {
		return ""
	}
	return t.byeReason(refused)
}

func (c *Call) allLegs() []*Leg {
	var all []*Leg
	for _, l := range append([]*Leg{c.caller, c.callee}, c.rings...) {
		if l != nil && l.call == c && !slices.Contains(all, l) {
			all = append(all, l)
		}
	}
	return all
}

// end ends a leg as its state asks: BYE, CANCEL or a refusal.
func (l *Leg) end(reason string, refused sip.StatusCode) {
	if l.state == legOver {
		return
	}
	l.refuseInvite(refused)
	switch {
	case l.state == legUp && l.unacked != nil:
		l.unacked.ack = func([]byte) { l.end(reason, refused) } // BYE comes after it (RFC 3261 §15)
		return
	case l.state == legUp:
		l.sendBye(reason)
	case !l.uas && l.last != nil && !l.last.done:
		l.last.cancel(reason)
	}
	l.over()
}

// refuseInvite refuses the client's INVITE that will not be answered any more.
func (l *Leg) refuseInvite(refused sip.StatusCode) {
	if l.invite == nil {
		return
	}
	if refused < 300 {
		refused = sip.StatusRequestTerminated
	}
	l.respond(refused, nil)
}

// over forgets a leg. What it has sent is still answered for.
func (l *Leg) over() {
	l.state = legOver
	for _, t := range l.timers {
		t.Stop()
	}
	l.timers, l.free, l.unacked = nil, nil, nil
	delete(l.server.legs, dialogKey(l.callID, l.localTag))
	for _, r := range slices.Clone(l.requests) {
		if r.req.Method() != sip.BYE && r != l.last {
			r.fail(sip.StatusCallDoesNotExist)
		} else {
			r.timer.Reset(timeout)
		}
	}
}

func (l *Leg) sendBye(reason string) {
	l.send(sip.BYE, nil, func(req *sip.Request) {
		if reason != "" {
			addField(req, sip.Field{Name: "Reason", Value: reason})
		}
	}, nil)
}

// stopCalls forgets all calls without a word. s.mu is held.
func (s *Server) stopCalls() {
	for c := range s.calls {
		c.over = true
	}
	for _, l := range s.legs {
		l.over()
	}
	for _, r := range s.requests {
		r.forget()
	}
	if s.qualifier != nil {
		s.qualifier.Stop()
	}
	clear(s.calls)
	clear(s.legs)
	clear(s.requests)
	clear(s.invitations)
	s.invitesDone = acceptedRing{}
}

// sortedCalls are the calls in the order in which they began.
func (s *Server) sortedCalls() []*Call {
	list := make([]*Call, 0, len(s.calls))
	for c := range s.calls {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *Call) int { return cmp.Compare(a.seq, b.seq) })
	return list
}
