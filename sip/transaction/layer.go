package transaction

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/gosipua/sipua/sip"
)

// Options configures a [Layer].
type Options struct {
	T1            time.Duration // RTT estimate; 0: 500 ms (RFC 3261 §17.1.1.1)
	RecoveryLimit time.Duration // how long an INVITE, ours or theirs, outlives its flow; 0: 32 s

	// Send writes m to the link's flow. It does not block; a flow that is gone
	// is reported by FlowDown, not here.
	Send func(k *Link, m sip.Message)
}

// Defaults of Options.
const (
	DefaultT1            = 500 * time.Millisecond
	DefaultRecoveryLimit = 32 * time.Second
)

// Layer has all transactions of one user agent.
type Layer struct {
	send    func(k *Link, m sip.Message)
	clock   *clock
	clients map[string]*Client // by clientKey
	servers map[serverKey]*Server
	merged  map[mergeKey]*Server
	pending int // servers without a final response
	number  uint64
}

// NewLayer returns a layer without transactions whose timers take mu.
func NewLayer(mu sync.Locker, o Options) *Layer {
	if o.T1 <= 0 {
		o.T1 = DefaultT1
	}
	if o.RecoveryLimit <= 0 {
		o.RecoveryLimit = DefaultRecoveryLimit
	}
	return &Layer{
		send:    o.Send,
		clock:   newClock(mu, o),
		clients: map[string]*Client{},
	}
}

// Request starts the client transaction c: it sends req, whose topmost Via has
// a fresh branch, on k. req must not be changed any more.
func (l *Layer) Request(c *Client, k *Link, req *sip.Request, user ClientUser) {
	l.number++
	c.layer, c.link, c.req, c.user, c.number = l, k, req, user, l.number
	c.key = clientKey(req.Via().Branch(), req.Method())
	c.timer.owner = c
	l.clients[c.key] = c
	c.step(begin, nil)
}

// ReceiveResponse hands res, which came on k, to its transaction, or reports
// that there is none. It has to come from the server that got the request; after
// a loss of the flow that is what ties an INVITE to the next one. But the 2xx
// that is repeated may then take any way to us.
func (l *Layer) ReceiveResponse(k *Link, res *sip.Response) bool {
	method := res.CSeq().Method
	c := l.clients[clientKey(res.Via().Branch(), method)]
	if c == nil || c.req.Method() != method || c.link.Server != k.Server && (!c.link.down || c.State() != Accepted) {
		return false
	}
	if c.link.down {
		c.link = k
	}
	switch code := res.StatusCode(); {
	case code.IsProvisional():
		c.step(provisional, res)
	case code.IsSuccess():
		c.step(success, res)
	default:
		c.step(failure, res)
	}
	return true
}

// Verdict is what a request is to the layer.
type Verdict uint8

// The verdicts of [Layer.ReceiveRequest].
const (
	Fresh    Verdict = iota // a request of no transaction: for the core
	Absorbed                // of a transaction, which saw to it
	Merged                  // a copy of one that is here; it came another way: 482
	Again                   // the same, but the flow of the first was lost: see Layer.First
)

// ReceiveRequest matches req, which is no CANCEL and came on k, to the server
// transactions: repeated requests and ACKs are theirs.
//
// RFC 3261 §17.2.3, §8.2.2.2.
func (l *Layer) ReceiveRequest(k *Link, req *sip.Request) Verdict {
	method := req.Method()
	if method == sip.ACK {
		method = sip.INVITE
	}
	if s := l.servers[serverKeyOf(req, method)]; s != nil {
		switch {
		case req.Method() == sip.ACK:
			s.adrift = false
			s.step(acked, req)
		case !s.heard(k):
			s.repeat(k)
		}
		return Absorbed
	}
	if req.Method() == sip.ACK || req.To().Tag() != "" {
		return Fresh
	}
	switch first := l.First(req); {
	case first == nil:
		return Fresh
	case first.adrift:
		return Again
	}
	return Merged
}

// First returns the transaction of which req is a copy that came another way.
func (l *Layer) First(req *sip.Request) *Server { return l.merged[mergeKeyOf(req)] }

// Succeed makes s, whose request came Again, the one of which further copies
// are copies, in place of first.
func (l *Layer) Succeed(s, first *Server) {
	first.merge, s.merge = false, true
	l.merged[mergeKeyOf(s.req)] = s
}

// Accept starts the server transaction s for a request that is Fresh or came
// Again, other than ACK and CANCEL.
func (l *Layer) Accept(s *Server, k *Link, req *sip.Request, user ServerUser) {
	l.number++
	s.layer, s.link, s.req, s.user, s.number = l, k, req, user, l.number
	s.key = serverKeyOf(req, req.Method())
	s.timer.owner = s
	if s.isInvite() {
		s.invite.state = Proceeding
	}
	if l.servers == nil { // many a user agent never gets a request
		l.servers, l.merged = map[serverKey]*Server{}, map[mergeKey]*Server{}
	}
	l.servers[s.key] = s
	l.pending++
	if req.To().Tag() == "" && l.First(req) == nil {
		s.merge = true
		l.merged[mergeKeyOf(req)] = s
	}
	s.step(begin, nil)
}

// FindInvite returns the INVITE transaction that cancel is for, or nil.
//
// RFC 3261 §9.2.
func (l *Layer) FindInvite(cancel *sip.Request) *Server {
	return l.servers[serverKeyOf(cancel, sip.INVITE)]
}

// Pending returns the number of requests that have no final response yet.
func (l *Layer) Pending() int { return l.pending }

// Len returns the number of transactions.
func (l *Layer) Len() int { return len(l.clients) + len(l.servers) }

// FlowDown tells the transactions of k that the flow is gone, and why. The users
// may start new ones meanwhile.
func (l *Layer) FlowDown(k *Link, err error) {
	k.down, k.err = true, err
	for _, c := range l.clientsOf(k) {
		c.step(flowLost, nil)
	}
	for _, s := range l.serversOf(func(s *Server) bool { return s.link == k }) {
		s.adrift = true
		s.step(flowLost, nil)
	}
}

// Recover has the server transactions that lost a flow to the server of k go on
// on k, which is up.
func (l *Layer) Recover(k *Link) {
	for _, s := range l.serversOf(func(s *Server) bool { return s.link.down && s.link.Server == k.Server }) {
		s.moveTo(k)
	}
}

// Close ends all transactions: users of clients without a final response get
// err, nothing is called afterwards. Timers stop; [Layer.Wait] waits for those
// that fire.
func (l *Layer) Close(err error) {
	l.clock.close()
	for _, c := range l.clients {
		waits := c.State() != Accepted
		l.forgetClient(c)
		if waits {
			c.user.Fail(err)
		}
	}
	for _, s := range l.servers {
		answered := s.final
		l.forgetServer(s)
		if !answered {
			s.user.Fail(err)
		}
	}
}

// Wait returns when no timer runs, after Close; not locked.
func (l *Layer) Wait() { l.clock.firing.Wait() }

// clientsOf returns the transactions of a flow in the order they were started.
func (l *Layer) clientsOf(k *Link) (list []*Client) {
	for _, c := range l.clients {
		if c.link == k {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *Client) int { return cmp.Compare(a.number, b.number) })
	return list
}

func (l *Layer) serversOf(which func(*Server) bool) (list []*Server) {
	for _, s := range l.servers {
		if which(s) {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b *Server) int { return cmp.Compare(a.number, b.number) })
	return list
}

func (l *Layer) forgetClient(c *Client) {
	l.clock.stop(&c.timer)
	delete(l.clients, c.key)
}

func (l *Layer) forgetServer(s *Server) {
	l.clock.stop(&s.timer)
	if !s.final {
		s.final = true
		l.pending--
	}
	delete(l.servers, s.key)
	if s.merge {
		delete(l.merged, mergeKeyOf(s.req))
	}
}
