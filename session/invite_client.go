package session

import (
	"context"
	"errors"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// outgoing is the caller's side of an INVITE.
type outgoing struct {
	invite *core.Outgoing
	req    *sip.Request // the INVITE before it leaves
	late   bool         // it carries no offer
	forks  []*fork
	early  *fork       // whose early media are bound to the path
	answer Description // what early was answered with
	won    *fork
	offer  Description // late: what the 2xx carries
	ring   *core.Timer
}

// prepare makes the offer, or sends the INVITE at once where it carries none.
func (s *Session) prepare() { // [locked]
	if s.out.late {
		s.step(inOfferReady, event{})
		return
	}
	s.offer(&exchange{
		sendOffer: func(d Description) { s.step(inOfferReady, event{desc: d}) },
		done:      s.inviteAgreed,
	})
}

// inviteAgreed is the outcome of the exchange in the INVITE.
func (s *Session) inviteAgreed(err error) { // [locked]
	if err != nil {
		s.step(inMediaFailed, event{end: &EndError{Kind: EndMediaFailed, Err: err}})
		return
	}
	s.settle()
}

func (s *Session) sendInvite(d Description) { // [locked]
	s.logError("body of INVITE", d.into(s.out.req))
	s.out.invite = &core.Outgoing{
		Request:    s.out.req,
		Wait:       s.m.o.RingTimeout,
		OnResponse: s.inviteResponse,
		OnFail: func(err error) {
			s.step(inFailure, event{end: inviteFailure(err)})
		},
		OnDone: s.forgetEarlyForks,
	}
	s.m.core.Send(s.out.invite)
	if sent := s.out.invite.Sent(); sent != nil {
		s.local = sent.From()
	}
}

// inviteFailure says how a call ended that got no final response.
func inviteFailure(err error) *EndError {
	var timeout *sip.TimeoutError
	switch {
	case errors.As(err, &timeout):
		return &EndError{Kind: EndTimeout, Err: err}
	case errors.Is(err, context.Canceled):
		return &EndError{Kind: EndCanceled, Err: err}
	}
	return &EndError{Kind: EndTransportLost, Err: err}
}

// inviteResponse takes each response to the INVITE, those of every fork.
func (s *Session) inviteResponse(res *sip.Response) { // [locked]
	code := res.StatusCode()
	switch {
	case code == sip.StatusTrying:
	case code.IsProvisional():
		s.provisional(res)
	case code.IsSuccess():
		s.success(res)
	default:
		s.step(inFailure, event{end: &EndError{
			Remote: true, Kind: EndRejected, Status: code, Reason: res.Headers("Reason"),
			Err: &sip.ResponseError{Method: sip.INVITE, Response: res},
		}})
	}
}

func (s *Session) provisional(res *sip.Response) { // [locked]
	if s.usage.state.Ended() || s.out.won != nil {
		return
	}
	s.noteIdentity(res)
	f := s.earlyFork(res)
	if f != nil {
		s.dialog = f.dialog
		s.step(inEarly, event{})
	}
	s.tellProgress(res)
	if d := contentOf(res); f != nil && d.has && !s.out.late && (s.out.early == nil || s.out.early == f) {
		s.out.early, s.out.answer = f, d.sdp
		s.earlyAnswer(d.sdp)
	}
}

// success takes a 2xx: the first makes the call, a repeated one gets its ACK
// again, another fork's gets an ACK and a BYE of its own (RFC 3261 §13.2.2.4).
func (s *Session) success(res *sip.Response) { // [locked]
	f := s.forkOf(res)
	switch {
	case f == nil:
		if s.out.won == nil {
			s.step(inFailure, event{end: &EndError{Remote: true, Kind: EndDialogError,
				Err: &sip.ResponseError{Method: sip.INVITE, Response: res}}})
		}
	case f.resend != nil:
		f.resend()
	case f == s.out.won: // its ACK waits for the answer to a late offer
	case f.end != nil: // its BYE was faster
		s.decline(f, res)
		if s.out.won == nil {
			s.step(inFailure, event{end: f.end})
		}
	case s.out.won != nil:
		s.decline(f, res)
		s.byeTo(f.dialog, func() {})
	default:
		s.answered(f, res)
	}
}

// answered takes the 2xx that makes the call, or would have made it.
func (s *Session) answered(f *fork, res *sip.Response) { // [locked]
	s.out.won = f
	s.out.ring.Stop()
	f.dialog.Confirm(res)
	s.dialog = f.dialog
	s.noteIdentity(res)
	s.step(inSuccess, event{res: res, fork: f})
}

// acknowledge answers the 2xx: at once where the INVITE carried the offer,
// with the answer where the 2xx does. keep says that the call is wanted.
func (s *Session) acknowledge(e event, keep bool) { // [locked]
	switch {
	case !keep:
		s.refuseOffer(e.fork, s.offerIn(e.res))
	case s.out.late:
		s.answerLateOffer(e.fork, contentOf(e.res).sdp)
	default:
		s.sendACK(e.fork, Description{})
		s.takeAnswer(contentOf(e.res).sdp)
	}
}

// answerLateOffer has the offer of the 2xx answered. Where that cannot be, the
// call ends, and with that its ACK refuses the offer.
func (s *Session) answerLateOffer(f *fork, d Description) { // [locked]
	if s.out.offer = d; len(d.Body) == 0 {
		s.inviteAgreed(errNoAnswerSDP)
		return
	}
	s.offerCame(&exchange{
		sendAnswer: func(d Description) { s.sendACK(f, d) },
		refuse:     func(_ sip.StatusCode, _ []sip.Field, why error) { s.inviteAgreed(why) },
		done: func(err error) {
			if err == nil {
				s.settle()
			}
		},
	}, d)
}

// ackBeforeTheEnd sends the ACK that still waits for the answer to a late
// offer: the call ends, but the far end must get both (RFC 3261 §13.2.2.4).
func (s *Session) ackBeforeTheEnd() { // [locked]
	if s.out != nil && s.out.won != nil && s.out.won.resend == nil {
		s.refuseOffer(s.out.won, s.out.offer)
	}
}

// takeAnswer takes the answer of the 2xx. One that was there already in a
// provisional response of the same fork need not come again.
func (s *Session) takeAnswer(d Description) { // [locked]
	if len(d.Body) == 0 && s.out.early == s.out.won && s.out.early != nil {
		d = s.out.answer
	}
	s.answerCame(d)
}

func (s *Session) ringTimeout() { // [locked]
	s.step(inRingTimeout, event{end: &EndError{Kind: EndNoAnswer, Err: &sip.TimeoutError{Timer: "RingTimeout", Method: sip.INVITE}}})
}

// noteIdentity takes over what a message of the far end says of its identity.
func (s *Session) noteIdentity(m interface {
	NameAddrs(string) ([]sip.NameAddr, error)
}) { // [locked]
	if ids, err := m.NameAddrs("P-Asserted-Identity"); err == nil && len(ids) > 0 {
		s.asserted = ids
	}
}
