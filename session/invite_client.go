package session

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// outgoing is the caller's side of an INVITE.
type outgoing struct {
	invite *core.Outgoing
	req    *sip.Request // the INVITE before it leaves
	late   bool         // it carries no offer
	root   *leg         // makes its offer
	forks  []*leg
	bound  *leg // the fork that has the media of the offer
	won    *leg
	ring   *core.Timer
	limit  time.Duration // of ring

	anonymous bool
	referred  bool          // by a REFER
	expires   time.Duration // of the INVITE; 0: no limit
	expire    *core.Timer
	response  *sip.Response // the newest but 100
	redirects redirects
	next      *target // where the INVITE goes on to; nil: it is the first

	setup  setup
	listen *core.Timer // of setup
	former *former     // the INVITE before the call was placed again
}

// prepare makes the offer, or sends the INVITE at once where it carries none.
func (s *Session) prepare() { // [locked]
	if s.out.late {
		s.step(inOfferReady, event{})
		return
	}
	s.out.root.start(&exchange{
		sendOffer: func(d Description) {
			s.out.root.open.done = nil // the forks have the outcome
			s.step(inOfferReady, event{desc: d})
		},
		done: s.mediaFailed,
	})
}

// mediaFailed ends the call for want of media.
func (s *Session) mediaFailed(err error) { // [locked]
	s.step(inMediaFailed, event{end: &EndError{Kind: EndMediaFailed, Err: err}})
}

// inviteAgreed is the outcome in a fork of the exchange in the INVITE.
func (l *leg) inviteAgreed(err error) { // [locked]
	switch {
	case l != l.s.out.won: // nothing is decided yet
	case err != nil:
		l.s.mediaFailed(err)
	default:
		l.s.settle()
	}
}

func (s *Session) sendInvite(d Description) { // [locked]
	if s.out.expires > 0 {
		s.out.expire = s.after(s.out.expires, s.expired)
	}
	switch out := s.out; {
	case out.invite == nil:
		s.logError("body of INVITE", d.into(out.req))
		s.addPackages(out.req)
		s.timeInvite(out.req)
		s.place(&core.Outgoing{Request: out.req, Anonymous: out.anonymous, Referred: out.referred, Wait: s.m.o.RingTimeout})
	case out.former != nil && out.former.invite == out.invite:
		s.renewed(d)
	default:
		s.inviteAgain(d)
	}
}

// expired gives the call up when the INVITE's Expires has passed (RFC 3261
// §13.2.1).
func (s *Session) expired() { // [locked]
	s.step(inRingTimeout, event{end: &EndError{Kind: EndExpired, Err: &sip.TimeoutError{Timer: "Expires", Method: sip.INVITE}}})
}

// inviteFailure says how a call ended that got no final response.
func inviteFailure(err error) *EndError {
	var timeout *sip.TimeoutError
	switch {
	case errors.As(err, &timeout):
		return &EndError{Kind: EndTimeout, Err: err}
	case errors.Is(err, context.Canceled):
		return &EndError{Kind: EndCanceled, Err: err}
	case errors.Is(err, net.ErrClosed):
		return &EndError{Kind: EndTransportLost, Err: err}
	}
	return &EndError{Kind: EndInternal, Err: err}
}

// errNoDialog is behind the end of a call whose 2xx makes no dialog: its
// Contact or its Record-Route cannot be read.
var errNoDialog = errors.New("session: response makes no dialog")

// inviteResponse takes each response to the INVITE, those of every fork.
func (s *Session) inviteResponse(res *sip.Response) { // [locked]
	code := res.StatusCode()
	s.settingUp(suHeard, nil)
	if code != sip.StatusTrying && s.out.won == nil {
		s.out.response = res
	}
	switch {
	case code == sip.StatusTrying:
	case code.IsProvisional():
		s.provisional(res)
	case code.IsSuccess():
		s.success(res)
	case s.inviteRaised(res):
	default:
		end := &EndError{
			Remote: true, Kind: EndRejected, Status: code, Reason: res.Headers("Reason"),
			Err: &sip.ResponseError{Method: sip.INVITE, Response: res},
		}
		if code == sip.StatusRequestTerminated && s.out.expires > 0 {
			end.Kind = EndExpired // the far end's clock was faster than ours (RFC 3261 §13.3.1)
		}
		s.inviteFailed(end, res)
	}
}

// provisional takes a provisional response. What makes no dialog is news for
// the application and no more.
func (s *Session) provisional(res *sip.Response) { // [locked]
	if s.usage.state.Ended() {
		return
	}
	l := s.earlyFork(res)
	if s.out.won != nil {
		l.confirmAfterwards(res)
		return
	}
	if l == nil {
		s.noteIdentity(res)
		s.tellProgress(res)
		return
	}
	rseq, next := l.confirmed.next(l, res)
	if !next || l.end != nil {
		return
	}
	s.noteIdentity(res)
	l.learn(res)
	if res.StatusCode() == sip.StatusEarlyDialogTerminated {
		if rseq != 0 {
			l.prack(&l.confirmed, res, Description{})
		}
		l.forkEnded(res)
		s.tellProgress(res)
		return
	}
	s.step(inEarly, event{})
	s.tellProgress(res)
	l.earlyMedia(res, rseq != 0)
	if l.media != nil || s.leg.media == nil || s.leg == s.out.root {
		s.lead(l)
	}
}

// earlyMedia takes the description of a provisional response, and confirms one
// that is reliable. A description after the first exchange means nothing
// (RFC 3262 §5).
func (l *leg) earlyMedia(res *sip.Response, reliable bool) { // [locked]
	c := contentOf(res)
	first := c.has && !l.reliable
	switch late := l.s.out.late; {
	case first && reliable && late:
		l.reliableOffer(res, c.sdp)
		return
	case first && reliable:
		l.reliableAnswer(res, c.sdp)
		return
	case reliable:
		l.prack(&l.confirmed, res, Description{})
	case first && !late:
		l.heard = c.sdp
		l.claim()
		l.earlyAnswer(c.sdp)
	}
}

// success takes a 2xx: the first makes the call, a repeated one gets its ACK
// again, another fork's gets an ACK and a BYE of its own (RFC 3261 §13.2.2.4).
func (s *Session) success(res *sip.Response) { // [locked]
	l := s.forkOf(res)
	switch {
	case l == nil:
		if s.out.won == nil {
			s.step(inFailure, event{end: &EndError{Remote: true, Kind: EndDialogError, Err: errNoDialog}})
		}
	case l.resend != nil:
		l.resend()
	case l == s.out.won: // its ACK waits for the answer to a late offer
	case l.end != nil: // its BYE was faster
		l.decline(res)
		if s.out.won == nil {
			s.step(inFailure, event{end: l.end})
		}
	case s.out.won != nil:
		l.decline(res)
		s.byeTo(l.dialog, func() {})
	default:
		s.answered(l, res)
	}
}

// answered takes the 2xx that makes the call, or would have made it. The other
// forks have lost.
func (s *Session) answered(l *leg, res *sip.Response) { // [locked]
	s.out.won = l
	s.out.ring.Stop()
	s.out.expire.Stop()
	l.dialog.Confirm(res)
	l.learn(res)
	l.comesOver(s.out.invite.LeftOn())
	l.inherit()
	for other := range s.legs() {
		if other != l {
			other.close(errLost)
		}
	}
	s.lead(l)
	s.noteIdentity(res)
	s.report.report(res.StatusCode(), res.Reason())
	s.step(inSuccess, event{res: res, leg: l})
	l.timed(s.out.invite.Sent(), res)
}

// acknowledge answers the 2xx: at once where the offer was made before, with
// the answer where the 2xx has it. keep says that the call is wanted.
func (s *Session) acknowledge(e event, keep bool) { // [locked]
	l := e.leg
	switch {
	case !keep:
		l.refuseOffer(l.offerIn(e.res))
	case s.out.late && !l.reliable:
		l.answerLateOffer(contentOf(e.res).sdp)
	default:
		l.sendACK(Description{})
		l.takeAnswer(contentOf(e.res).sdp)
	}
}

// answerLateOffer has the offer of the 2xx answered. Where that cannot be, the
// call ends, and with that its ACK refuses the offer.
func (l *leg) answerLateOffer(d Description) { // [locked]
	if l.lateOffer = d; len(d.Body) == 0 {
		l.inviteAgreed(errNoAnswerSDP)
		return
	}
	l.offerCame(&exchange{
		sendAnswer: func(d Description) { l.sendACK(d) },
		refuse:     func(_ sip.StatusCode, _ []sip.Field, why error) { l.inviteAgreed(why) },
		done: func(err error) {
			if err == nil {
				l.s.settle()
			}
		},
	}, d)
}

// ackBeforeTheEnd sends the ACK that still waits for the answer to a late
// offer: the call ends, but the far end must get both (RFC 3261 §13.2.2.4).
func (s *Session) ackBeforeTheEnd() { // [locked]
	if s.out == nil || s.out.won == nil {
		return
	}
	if l := s.out.won; l.invite != nil && l.resend == nil { // the INVITE of an heir is another
		l.refuseOffer(l.lateOffer)
	}
}

// takeAnswer takes the answer of the 2xx. One that was there already in a
// provisional response of the same fork need not come again, and means nothing
// where that was reliable; what is still open then decides.
func (l *leg) takeAnswer(d Description) { // [locked]
	switch {
	case !l.reliable:
		if len(d.Body) == 0 {
			d = l.heard
		}
		l.answerCame(d)
	case l.agreed:
		l.s.settle()
	case l.open == nil && len(l.waiting) == 0:
		l.s.mediaFailed(errNoAnswerSDP) // the answer was of no use
	}
	l.next()
}

func (s *Session) ringTimeout() { // [locked]
	s.step(inRingTimeout, event{end: &EndError{Kind: EndNoAnswer, Err: &sip.TimeoutError{Timer: "RingTimeout", Method: sip.INVITE}}})
}
