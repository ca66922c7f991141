package session

import (
	"crypto/rand"
	"math/big"
	"strconv"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// ReceiveRequest takes a request inside one of the call's dialogs. It is for
// the core, which calls it with its mutex held.
func (s *Session) ReceiveRequest(in *core.Incoming) { // [locked]
	req := in.Request()
	switch req.Method() {
	case sip.ACK:
		s.receiveACK(req)
	case sip.BYE:
		s.step(inBye, event{in: in, code: sip.StatusRequestTerminated, end: &EndError{
			Remote: true, Kind: EndBye, Reason: req.Headers("Reason"),
		}})
		if !in.Answered() {
			in.Reply(sip.StatusOK, "")
		}
	case sip.INVITE, sip.UPDATE:
		s.receiveOffer(in)
	case sip.INFO:
		s.receiveInfo(in)
	case sip.MESSAGE:
		s.receiveMessage(in)
	case sip.NOTIFY:
		s.receiveNotify(in)
	case sip.REFER: // acts only with the application's consent, which nobody gave
		in.Reply(sip.StatusDecline, "")
	case sip.OPTIONS:
		in.Reply(sip.StatusOK, "", sip.Field{Name: "Accept", Value: sdpType})
	default:
		in.Reply(sip.StatusNotImplemented, "")
	}
}

// receiveOffer takes a re-INVITE or an UPDATE (RFC 3261 §14.2, RFC 3311 §5.2).
func (s *Session) receiveOffer(in *core.Incoming) { // [locked]
	req := in.Request()
	invite := req.Method() == sip.INVITE
	switch {
	case s.usage.state.Ended():
		in.Reply(sip.StatusCallDoesNotExist, "")
		return
	case !s.m.acceptable(in):
		return
	}
	offer, has := descriptionOf(req)
	if !has && !invite { // refreshes the target and no more
		s.dialogOf(in).Refresh(req)
		in.Respond(in.NewResponse(sip.StatusOK, ""))
		return
	}
	switch {
	case s.inv != nil:
		in.Reply(sip.StatusRequestPending, "")
	case s.accept != nil && invite, s.usage.state != Confirmed && invite:
		retryLater(in)
	case has:
		s.offerCame(s.peerExchange(in), offer)
	case s.oa.state == oaStable:
		s.offerInstead(in)
	case s.oa.state == oaAnswering:
		retryLater(in)
	default:
		in.Reply(sip.StatusRequestPending, "")
	}
}

// peerExchange is the exchange that the peer's re-INVITE or UPDATE starts.
func (s *Session) peerExchange(in *core.Incoming) *exchange { // [locked]
	return &exchange{
		opts: OfferOptions{Hold: s.holding.LocalHold},
		sendAnswer: func(d Description) {
			s.dialogOf(in).Refresh(in.Request())
			s.respond(in, d)
		},
		refuse: func(code sip.StatusCode, why error) {
			if code == sip.StatusServerInternalError {
				retryLater(in)
				return
			}
			in.Reply(code, "", warning(why)...)
		},
	}
}

// offerInstead answers a re-INVITE without an offer with ours, whose answer
// comes with the ACK (RFC 3261 §14.2).
func (s *Session) offerInstead(in *core.Incoming) { // [locked]
	s.offer(&exchange{
		opts: OfferOptions{Hold: s.holding.LocalHold},
		sendOffer: func(d Description) {
			s.dialogOf(in).Refresh(in.Request())
			s.respondOffer(in, d, nil)
		},
		done: func(err error) {
			if err != nil && !in.Answered() {
				in.Reply(sip.StatusNotAcceptableHere, "", warning(err)...)
			}
		},
	})
}

func (s *Session) respond(in *core.Incoming, d Description) { // [locked]
	if in.Request().Method() == sip.INVITE {
		s.respondOffer(in, d, nil)
		return
	}
	in.Respond(s.ok(in, d, nil))
}

// retryLater refuses an offer that comes before an earlier one is answered.
func retryLater(in *core.Incoming) {
	in.Reply(sip.StatusServerInternalError, "", sip.Field{Name: "Retry-After", Value: strconv.FormatInt(randomN(11), 10)})
}

// randomN returns a random number below n.
func randomN(n int64) int64 {
	v, err := rand.Int(rand.Reader, big.NewInt(n))
	if err != nil {
		return 0 // crypto/rand does not fail
	}
	return v.Int64()
}
