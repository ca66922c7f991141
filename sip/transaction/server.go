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
	// Fail says that the flow is gone before a final response.
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
	final bool // a final response was sent

	number    uint64 // of all transactions, in the order they were started
	invite    serverInvite
	nonInvite serverNonInvite
}

// Request returns the request; read-only.
func (s *Server) Request() *sip.Request { return s.req }

// Link returns the flow the request came on.
func (s *Server) Link() *Link { return s.link }

// User returns the transaction's user.
func (s *Server) User() ServerUser { return s.user }

// Cancel tells a pending INVITE that cancel came and was answered.
func (s *Server) Cancel(cancel *sip.Request) { s.step(canceled, cancel) }

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

// Repeat sends the 2xx to an INVITE again: on its flow, or when that is gone on
// link, if it leads to the same server.
func (s *Server) Repeat(link *Link) {
	if s.layer == nil || s.State() != Accepted {
		return
	}
	if s.link.down && link != nil && link.Server == s.link.Server {
		s.link = link
	}
	s.step(success, s.last)
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
