package transaction

import (
	"strings"

	"github.com/gosipua/sipua/sip"
)

// serverKey matches a request to its transaction. ACK counts as its INVITE.
//
// RFC 3261 §17.2.3.
type serverKey struct {
	branch string
	host   string // sent-by
	port   int
	method sip.Method
}

func serverKeyOf(req *sip.Request, method sip.Method) serverKey {
	via := req.Via()
	branch := via.Branch()
	if !strings.HasPrefix(branch, sip.BranchCookie) {
		// A branch of RFC 2543 is not unique; what else has to match joins it.
		branch = strings.Join([]string{
			branch, req.CallID(), req.From().Tag(), req.URI().String(),
			sip.CSeq{Seq: req.CSeq().Seq, Method: method}.String(),
		}, "\x00")
	}
	return serverKey{branch: branch, host: via.Host, port: via.Port, method: method}
}

// mergeKey finds requests that came twice on different ways.
//
// RFC 3261 §8.2.2.2.
type mergeKey struct {
	callID, fromTag string
	cseq            sip.CSeq
}

func mergeKeyOf(req *sip.Request) mergeKey {
	return mergeKey{callID: req.CallID(), fromTag: req.From().Tag(), cseq: req.CSeq()}
}

// ServerUser is the transaction user of a server transaction.
type ServerUser interface {
	// Cancel passes up the CANCEL of a pending INVITE, which was answered.
	Cancel(cancel *sip.Request)
	// ACK passes up an ACK to the 2xx that came in the INVITE's transaction.
	ACK(ack *sip.Request)
	// Unanswered asks for a final response to a request other than INVITE now:
	// its sender is about to give up.
	Unanswered()
	// Recovered tells an INVITE transaction that another flow has taken the
	// place of the lost one. What was said last was sent on it, but for a 2xx.
	Recovered()
	// Fail says that the flow is gone and none came in its place in time: no
	// final response leaves, or a 2xx may not have come through.
	Fail(err error)
}

// Server is a server transaction. Its owner embeds one and starts it with
// [Layer.Accept]; a Server is used once.
type Server struct {
	layer *Layer
	link  *Link
	key   serverKey
	req   *sip.Request
	user  ServerUser
	last  *sip.Response // the newest one sent
	timer node
	merge bool // in layer.merged
	final bool // a final response was made

	// adrift: the flow was lost, and nothing came since from who sent the
	// request: it may not see what we send.
	adrift bool

	number    uint64 // of all transactions, in the order they were started
	invite    serverInvite
	nonInvite serverNonInvite
}

// Request returns the request; read-only.
func (s *Server) Request() *sip.Request { return s.req }

// Link returns the flow the transaction uses: where the request came from, or
// what took the place of that.
func (s *Server) Link() *Link { return s.link }

// User returns the transaction's user.
func (s *Server) User() ServerUser { return s.user }

// Cancel tells a pending INVITE that cancel came on k and was answered.
func (s *Server) Cancel(k *Link, cancel *sip.Request) {
	s.heard(k)
	s.step(canceled, cancel)
}

// heard notes that its sender sent something of the transaction on k, and
// reports whether k takes the place of a flow that was lost.
func (s *Server) heard(k *Link) (moved bool) {
	moved = s.moveTo(k)
	s.adrift = false
	return moved
}

// moveTo makes k the flow of a transaction that lost its own.
func (s *Server) moveTo(k *Link) bool {
	if !s.link.down {
		return false
	}
	s.link = k
	s.step(flowFound, nil)
	return true
}

// repeat answers the request that came again on k, which may be another flow
// than before (RFC 3261 §18.2.2).
func (s *Server) repeat(k *Link) {
	was := s.link
	s.link = k
	s.step(repeated, nil)
	s.link = was
}

// State returns the state of the transaction.
func (s *Server) State() State {
	if s.isInvite() {
		return s.invite.state
	}
	return s.nonInvite.state
}

// Answered reports whether a final response was sent, or none can be any more.
func (s *Server) Answered() bool { return s.final || s.layer == nil || s.State() == Terminated }

func (s *Server) isInvite() bool { return s.key.method == sip.INVITE }

// Respond sends res, which must not be changed any more. After a final response
// only a 2xx to an INVITE can follow, its repeat.
func (s *Server) Respond(res *sip.Response) {
	code := res.StatusCode()
	switch {
	case s.layer == nil || s.State() == Terminated:
	case s.final:
		if s.State() == Accepted && code.IsSuccess() {
			s.step(success, res)
		}
	case code.IsProvisional():
		s.last = res
		s.step(provisional, res)
	default:
		s.last = res
		s.final = true
		s.layer.pending--
		if code.IsSuccess() {
			s.step(success, res)
		} else {
			s.step(failure, res)
		}
	}
}

// Repeat sends the 2xx to an INVITE again.
func (s *Server) Repeat() {
	if s.layer != nil && s.State() == Accepted {
		s.step(success, s.last)
	}
}

func (s *Server) expire() { s.step(expired, nil) }

// step feeds the machine and carries out what it decides; m is the message at
// hand.
func (s *Server) step(in input, m sip.Message) {
	var acts actions
	if s.isInvite() {
		s.invite.step(in, &acts)
	} else {
		s.nonInvite.step(in, &acts)
	}
	for _, a := range acts.list[:acts.n] {
		switch a.kind {
		case send:
			if s.last != nil {
				s.layer.send(s.link, s.last)
			}
		case trying:
			s.last = sip.NewResponse(s.req, sip.StatusTrying, "")
			s.layer.send(s.link, s.last)
		case pass:
			s.pass(m)
		case start:
			s.layer.clock.start(&s.timer, a.timer)
		case stop:
			s.layer.clock.stop(&s.timer)
		case answer:
			s.user.Unanswered()
		case found:
			s.user.Recovered()
		case fail:
			s.user.Fail(s.link.err)
		case finish:
			s.layer.forgetServer(s)
		}
	}
}

func (s *Server) pass(m sip.Message) {
	req, ok := m.(*sip.Request)
	switch {
	case !ok:
	case req.Method() == sip.ACK:
		s.user.ACK(req)
	default:
		s.user.Cancel(req)
	}
}
