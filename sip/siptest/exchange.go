package siptest

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosipua/sipua/sip"
)

// timeout is 64·T1: how long the server waits for the first response to a
// request, for the final one after a CANCEL, and for an ACK (RFC 3261 §17, timers
// B, F and H).
const timeout = 32 * time.Second

// exchange is a request that is being forwarded, and its branches: the response
// context of RFC 3261 §16 with the server transaction.
type exchange struct {
	server   *Server
	key      string
	conn     *Conn // where the request came from
	req      *sip.Request
	contact  string // key of its Contact, see successor
	branches []*branch
	status   sip.StatusCode // final one that went back; 0: none yet
	best     *sip.Response
	timer    *time.Timer
}

// branch is a request forwarded to one target: a client transaction.
type branch struct {
	exchange *exchange
	seq      uint64
	id       string
	conn     *Conn
	req      *sip.Request // as it was sent
	state    branchState
	cancel   bool     // a CANCEL is due or was sent
	canceled bool     // it was sent
	reason   []string // its Reason fields
}

type branchState uint8

const (
	sent       branchState = iota // no response yet
	proceeding                    // a provisional response has come
	done                          // a final response has come
)

// exchangeKey matches requests to server transactions (RFC 3261 §17.2.3).
func exchangeKey(req *sip.Request) string { return viaKey(req.Via(), req.Method()) }

func viaKey(via sip.Via, m sip.Method) string {
	if m == sip.ACK || m == sip.CANCEL {
		m = sip.INVITE
	}
	b := make([]byte, 0, 96)
	b = append(b, m...)
	b = append(b, ' ')
	b = append(b, via.Branch()...)
	b = append(b, ' ')
	b = append(b, via.Host...)
	b = append(b, ':')
	return string(strconv.AppendInt(b, int64(via.Port), 10))
}

// exchange forwards a request to its targets, all at the same time. forward is
// the copy that route has worked on.
func (s *Server) exchange(c *Conn, req, forward *sip.Request, targets []target) {
	ex := s.newExchange(c, req)
	if req.Method() == sip.INVITE {
		s.send(c, s.newResponse(req, sip.StatusTrying))
	}
	for _, t := range targets {
		id := s.newBranch(c)
		br := &branch{exchange: ex, seq: s.branchSeq, id: id, conn: t.conn, req: s.prepare(forward, c, t, id)}
		ex.branches = append(ex.branches, br)
		s.branches[id] = br
		s.counters.Forwarded++
		s.send(t.conn, br.req)
	}
	ex.arm()
}

func (s *Server) newExchange(c *Conn, req *sip.Request) *exchange {
	ex := &exchange{server: s, key: exchangeKey(req), conn: c, req: req}
	if contact, ok := req.Contact(); ok {
		ex.contact = contactKey(contact.URI)
	}
	s.exchanges[ex.key] = ex
	return ex
}

// awaitACK keeps an INVITE that the server has refused by itself until its ACK.
func (s *Server) awaitACK(c *Conn, req *sip.Request) {
	ex := s.newExchange(c, req)
	ex.status = sip.StatusTemporarilyUnavailable // any one that has an ACK of its own
	ex.arm()
}

func (ex *exchange) arm() {
	if ex.timer != nil {
		ex.timer.Reset(timeout)
		return
	}
	ex.timer = time.AfterFunc(timeout, ex.expire)
}

// expire is what happens when nothing came in time.
func (ex *exchange) expire() {
	s := ex.server
	s.mu.Lock()
	defer s.unlock()
	if s.exchanges[ex.key] != ex {
		return
	}
	if ex.status != 0 || ex.req.Method() != sip.INVITE {
		s.end(ex) // no ACK; or a non-INVITE request, where a 408 would help nobody (RFC 4320 §4.2)
		return
	}
	for _, br := range ex.branches {
		switch {
		case br.state == sent:
			s.fail(br, sip.StatusRequestTimeout)
		case br.state == proceeding && br.cancel:
			s.fail(br, sip.StatusRequestTerminated) // RFC 3261 §9.1
		}
	}
	s.settle(ex)
}

// end forgets an exchange.
func (s *Server) end(ex *exchange) {
	if ex.timer != nil {
		ex.timer.Stop()
	}
	delete(s.exchanges, ex.key)
	for _, br := range ex.branches {
		delete(s.branches, br.id)
	}
}

// stopExchanges forgets everything in progress. s.mu is held.
func (s *Server) stopExchanges() {
	for _, ex := range s.exchanges {
		s.end(ex)
	}
	s.accepted = acceptedRing{}
	s.stopCalls()
}

// connLost ends the branches that wait for an answer from c, but for those that
// are kept. s.mu is held.
func (s *Server) connLost(c *Conn) {
	s.requestsLost(c)
	var lost []*branch
	for _, br := range s.branches {
		if br.conn == c && br.state != done && !(s.options.KeepBranches && br.exchange.req.Method() == sip.INVITE) {
			lost = append(lost, br)
		}
	}
	slices.SortFunc(lost, func(a, b *branch) int { return int(a.seq) - int(b.seq) })
	for _, br := range lost {
		s.fail(br, sip.StatusTemporarilyUnavailable)
		s.settle(br.exchange)
	}
}

// fail ends a branch as if it had been answered with code.
func (s *Server) fail(br *branch, code sip.StatusCode) {
	br.state = done
	br.exchange.consider(s.newResponse(br.exchange.req, code))
}

// branchResponse takes a response to a branch (RFC 3261 §16.7).
func (s *Server) branchResponse(br *branch, res *sip.Response) {
	ex, code := br.exchange, res.StatusCode()
	invite := ex.req.Method() == sip.INVITE
	if br.state == done {
		switch {
		case invite && code.IsSuccess():
			s.forwardResponse(ex, res) // the callee repeats it until the ACK comes
		case invite && code.IsFinal():
			s.acknowledge(br, res)
		}
		return
	}
	if code.IsProvisional() {
		br.state = proceeding
		if code != sip.StatusTrying && ex.status == 0 {
			s.forwardResponse(ex, res)
		}
		if br.cancel {
			s.sendCancel(br)
		}
		return
	}
	br.state = done
	if invite && code >= 300 {
		s.acknowledge(br, res)
	}
	switch {
	case code.IsSuccess():
		s.success(ex, res)
	default:
		res.RemoveFirst("Via")
		ex.consider(res)
		if code >= 600 {
			s.cancelBranches(ex, nil)
		}
	}
	s.settle(ex)
}

// success forwards a 2xx: to INVITE every one of them, and the first cancels what
// still rings.
func (s *Server) success(ex *exchange, res *sip.Response) {
	invite := ex.req.Method() == sip.INVITE
	first := ex.status == 0
	if !first && !invite {
		return
	}
	s.forwardResponse(ex, res)
	if !first {
		return
	}
	ex.status = res.StatusCode()
	if invite {
		s.accepted.add(ex)
		s.cancelBranches(ex, []string{`SIP;cause=200;text="Call completed elsewhere"`})
	}
}

// forwardResponse sends a response on its way back, without our Via.
func (s *Server) forwardResponse(ex *exchange, res *sip.Response) {
	res.RemoveFirst("Via")
	if !res.HasHeader("Via") {
		s.counters.Unroutable++ // the callee has lost those of the caller
		return
	}
	if c := s.successor(ex.conn, ex.contact); c != nil {
		s.send(c, res)
	}
}

// settle does what is due when all branches have ended: the best of their final
// responses goes back unless a 2xx did.
func (s *Server) settle(ex *exchange) {
	for _, br := range ex.branches {
		if br.state != done {
			return
		}
	}
	if ex.status != 0 || ex.best == nil {
		s.end(ex)
		return
	}
	ex.status = ex.best.StatusCode()
	if c := s.successor(ex.conn, ex.contact); c != nil {
		s.send(c, ex.best)
	}
	if ex.req.Method() == sip.INVITE {
		ex.arm() // for the ACK
	} else {
		s.end(ex)
	}
}

// consider keeps the better of a new final response and the best so far (RFC
// 3261 §16.7 step 6); the challenges of all branches are gathered in it (step 7).
func (ex *exchange) consider(res *sip.Response) {
	if ex.best == nil {
		ex.best = res
		return
	}
	better, other := ex.best, res
	if rank(res.StatusCode()) < rank(ex.best.StatusCode()) {
		better, other = res, ex.best
	}
	ex.best = better
	switch better.StatusCode() {
	case sip.StatusUnauthorized, sip.StatusProxyAuthenticationRequired:
		for _, name := range []string{"WWW-Authenticate", "Proxy-Authenticate"} {
			for _, value := range other.Headers(name) {
				_ = better.AddHeader(name, value) // was parsed, so it can be written
			}
		}
	}
}

// rank orders final responses, the best lowest: 6xx, then the lowest class, and in
// 4xx first those that tell the caller what to change.
func rank(code sip.StatusCode) int {
	switch {
	case code >= 600:
		return 0
	case code == sip.StatusUnauthorized, code == sip.StatusProxyAuthenticationRequired,
		code == sip.StatusUnsupportedMediaType, code == sip.StatusBadExtension, code == sip.StatusAddressIncomplete:
		return 400
	case code/100 == 4:
		return 450
	}
	return int(code) / 100 * 100
}

// cancelBranches cancels what has not ended. A branch without a provisional
// response is canceled when it gets one (RFC 3261 §9.1).
func (s *Server) cancelBranches(ex *exchange, reason []string) {
	for _, br := range ex.branches {
		if br.state == done || br.cancel {
			continue
		}
		br.cancel, br.reason = true, reason
		if br.state == proceeding {
			s.sendCancel(br)
		}
	}
	ex.arm()
}

func (s *Server) sendCancel(br *branch) {
	if br.canceled {
		return
	}
	br.canceled = true
	cancel := hopRequest(br.req, sip.CANCEL, br.req.Header("To"))
	for _, reason := range br.reason {
		_ = cancel.AddHeader("Reason", reason)
	}
	s.send(br.conn, cancel)
}

// acknowledge sends the ACK for a final response of 300 and more (RFC 3261
// §17.1.1.3).
func (s *Server) acknowledge(br *branch, res *sip.Response) {
	s.send(br.conn, hopRequest(br.req, sip.ACK, res.Header("To")))
}

// hopRequest is what CANCEL and the ACK of a hop have in common: the topmost Via,
// Request-URI, route and identities of the request they belong to.
func hopRequest(of *sip.Request, m sip.Method, to string) *sip.Request {
	req := sip.NewRequest(m, of.URI())
	_ = req.SetVia(of.Via()) // nothing here can fail: it all was in a message
	_ = req.SetHeader("Max-Forwards", "70")
	for _, route := range of.Headers("Route") {
		_ = req.AddHeader("Route", route)
	}
	_ = req.SetHeader("From", of.Header("From"))
	_ = req.SetHeader("To", to)
	_ = req.SetHeader("Call-ID", of.CallID())
	_ = req.SetCSeq(sip.CSeq{Seq: of.CSeq().Seq, Method: m})
	return req
}

// acceptedRing remembers the last INVITEs that ended with a 2xx: a CANCEL that
// crossed it is still answered with 200, and a repeated 2xx finds its way.
type acceptedRing struct {
	byKey map[string]*acceptedInvite
	ring  []string
	next  int
}

type acceptedInvite struct {
	conn    *Conn
	contact string
}

const maxAccepted = 1024

func (r *acceptedRing) add(ex *exchange) {
	if r.byKey == nil {
		r.byKey = make(map[string]*acceptedInvite)
	}
	if len(r.ring) < maxAccepted {
		r.ring = append(r.ring, ex.key)
	} else {
		delete(r.byKey, r.ring[r.next])
		r.ring[r.next] = ex.key
		r.next = (r.next + 1) % maxAccepted
	}
	r.byKey[ex.key] = &acceptedInvite{conn: ex.conn, contact: strings.Clone(ex.contact)}
}

func (r *acceptedRing) find(key string) *acceptedInvite { return r.byKey[key] }
