package session

import (
	"crypto/rand"
	"math/big"
	"net"
	"strconv"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// inDialog is a call as the core sees it: the usage of its dialogs.
type inDialog struct{ s *Session }

// ReceiveRequest takes a request inside one of the call's dialogs.
func (d inDialog) ReceiveRequest(in *core.Incoming) { // [locked]
	s, req := d.s, in.Request()
	switch method := req.Method(); {
	case method == sip.ACK:
		s.receiveACK(req)
	case method == sip.BYE:
		s.receiveBye(in)
	case s.usage.state.Ended() || s.lost(in.Dialog()): // RFC 5407 §3.2
		in.Reply(sip.StatusCallDoesNotExist, "")
	case method == sip.INVITE, method == sip.UPDATE:
		s.receiveOffer(in)
	case method == sip.INFO:
		s.receiveInfo(in)
	case method == sip.MESSAGE:
		s.ask(in, s.handler.Message, sip.StatusMethodNotAllowed)
	case method == sip.NOTIFY:
		s.receiveNotify(in)
	case method == sip.REFER:
		declineRefer(in)
	default:
		in.Default()
	}
}

// outside answers a request that belongs into a call and came outside of any
// (RFC 3261 §15.1.2, RFC 6665 §4.1.3).
func outside(in *core.Incoming) { // [locked]
	in.Reply(sip.StatusCallDoesNotExist, "")
}

// declineRefer refuses a REFER: it acts only with the application's consent,
// which nobody gave.
func declineRefer(in *core.Incoming) { // [locked]
	in.Reply(sip.StatusDecline, "")
}

// receiveOffer takes a re-INVITE or an UPDATE (RFC 3261 §14.2, RFC 3311 §5.2).
func (s *Session) receiveOffer(in *core.Incoming) { // [locked]
	req := in.Request()
	invite := req.Method() == sip.INVITE
	c := contentOf(req)
	if invite && !c.refused && s.oa.state == oaStable {
		s.acknowledged()
	}
	switch {
	case c.refused:
		refuseBody(in)
	case s.unanswered(req.Method()):
		retryLater(in)
	case !c.has && !invite: // refreshes the target and no more
		in.Dialog().Refresh(req)
		in.Reply(sip.StatusOK, "")
	case s.usage.state == Ringing, s.usage.state == Answering: // the offer in their INVITE is not answered yet
		retryLater(in)
	case s.usage.state == Calling, s.usage.state == Early, // ours is not
		s.ours != nil:
		in.Reply(sip.StatusRequestPending, "")
	case c.has:
		s.offerCame(s.peerExchange(in), c.sdp)
	case s.oa.state == oaAnswering:
		retryLater(in)
	default:
		s.offerInstead(in)
	}
}

// unanswered reports whether a request of that method waits for our answer, so
// that a second one must be refused.
func (s *Session) unanswered(method sip.Method) bool { // [locked]
	return s.open != nil && s.open.in != nil && !s.open.in.Answered() && s.open.in.Request().Method() == method
}

// peerExchange is the exchange that the peer's re-INVITE or UPDATE starts.
func (s *Session) peerExchange(in *core.Incoming) *exchange { // [locked]
	return &exchange{
		in:       in,
		keepHold: true,
		sendAnswer: func(d Description) {
			in.Dialog().Refresh(in.Request())
			if in.Request().Method() == sip.INVITE {
				s.respondOffer(in, d, nil)
			} else {
				in.Respond(s.ok(in, d, nil))
			}
		},
		refuse: func(code sip.StatusCode, fields []sip.Field, _ error) { in.Reply(code, "", fields...) },
	}
}

// offerInstead answers a re-INVITE without an offer with ours, whose answer
// comes with the ACK (RFC 3261 §14.2). It does not wait behind offers that are
// to go in requests of our own: those wait for it.
func (s *Session) offerInstead(in *core.Incoming) { // [locked]
	x := &exchange{in: in, keepHold: true}
	x.sendOffer = func(d Description) {
		in.Dialog().Refresh(in.Request())
		if !s.respondOffer(in, d, nil) {
			s.refused(net.ErrClosed)
		}
	}
	x.done = func(err error) {
		if err != nil && !in.Answered() {
			in.Reply(sip.StatusServerInternalError, "")
		}
	}
	switch s.oa.step(oaWant) {
	case oaMakeOffer:
		s.makeOffer(x)
	default: // another exchange is under way
		in.Reply(sip.StatusRequestPending, "")
	}
}

// retryLater refuses an offer that comes before an earlier one is answered.
func retryLater(in *core.Incoming) {
	in.Reply(sip.StatusServerInternalError, "", retryAfter())
}

func retryAfter() sip.Field {
	return sip.Field{Name: "Retry-After", Value: strconv.FormatInt(randomN(11), 10)}
}

// randomN returns a random number below n.
func randomN(n int64) int64 {
	v, err := rand.Int(rand.Reader, big.NewInt(n))
	if err != nil {
		return 0 // crypto/rand does not fail
	}
	return v.Int64()
}
