package session

import (
	"errors"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// confirmation is what a caller knows of the reliable provisional responses to
// one INVITE in one dialog.
type confirmation struct {
	arrivals
	answer Description // what the PRACK of the last carried
	lost   bool        // it met nobody
}

// next reports whether a provisional response is to be taken: it is unreliable,
// or the next reliable one. A repeated one whose PRACK was lost gets it again.
func (c *confirmation) next(l *leg, res *sip.Response) (rseq uint32, ok bool) { // [locked]
	rseq, reliable := rseqOf(res)
	switch {
	case !reliable:
		return 0, true
	case c.take(rseq):
		return rseq, true
	case rseq == c.last && c.lost:
		l.prack(c, res, c.answer)
	}
	return rseq, false
}

// newPrack is the PRACK to a reliable provisional response (RFC 3262 §4).
func (l *leg) newPrack(res *sip.Response) *sip.Request { // [locked]
	rseq, _ := res.RSeq()
	req := l.dialog.NewRequest(sip.PRACK)
	l.s.logError("RAck", req.SetHeader("RAck", sip.RAck{RSeq: rseq, CSeq: res.CSeq()}.String()))
	return req
}

// prack confirms a reliable provisional response, with the answer to the offer
// that it may have.
func (l *leg) prack(c *confirmation, res *sip.Response, answer Description) { // [locked]
	req := l.newPrack(res)
	l.s.logError("body of PRACK", answer.into(req))
	c.answer = answer
	l.sendPrack(c, req, nil)
}

// sendPrack sends a PRACK. Offers wait until it is answered (RFC 6337 §4.1).
// Where it is an offer itself r gets what comes of it.
func (l *leg) sendPrack(c *confirmation, req *sip.Request, r *reoffering) *core.Outgoing { // [locked]
	l.pracks++
	c.lost = false
	out := &core.Outgoing{
		Request: req, Dialog: l.dialog,
		OnResponse: func(res *sip.Response) {
			if !res.StatusCode().IsFinal() {
				return
			}
			l.pracks--
			l.pracked(c, req, r, res)
			l.next()
		},
		OnFail: func(err error) {
			l.pracks--
			c.lost = true
			if r != nil {
				r.failed(err)
			}
			l.next()
		},
	}
	l.s.m.core.Send(out)
	return out
}

// pracked takes the final response to a PRACK. An offer that was refused has
// left the provisional response unconfirmed (RFC 6337 §2.3).
func (l *leg) pracked(c *confirmation, req *sip.Request, r *reoffering, res *sip.Response) { // [locked]
	refused := !res.StatusCode().IsSuccess()
	switch {
	case r == nil && refused:
		l.s.logError("PRACK", &sip.ResponseError{Method: sip.PRACK, Response: res})
	case r != nil:
		r.response(res)
		if refused && !l.s.usage.state.Ended() && l.end == nil {
			plain := l.dialog.NewRequest(sip.PRACK)
			l.s.logError("RAck", plain.SetHeader("RAck", req.Header("RAck")))
			l.sendPrack(c, plain, nil)
		}
	}
}

// confirmAfterwards confirms a reliable provisional response of a fork when
// another one has answered; an offer in it is not wanted any more (RFC 5407
// appendix E, figure 7).
func (l *leg) confirmAfterwards(res *sip.Response) { // [locked]
	if l == nil || l == l.s.out.won || l.end != nil || l.resend != nil { // the last: it has its BYE
		return
	}
	rseq, next := l.confirmed.next(l, res)
	if !next || rseq == 0 {
		return
	}
	var none Description
	if c := contentOf(res); c.has && l.s.out.late && !l.reliable {
		l.reliable = true
		none = l.origin.stamp(c.sdp.refusal())
	}
	l.prack(&l.confirmed, res, none)
}

// reliableOffer answers the offer of a reliable provisional response in its
// PRACK. One that cannot be answered is declined in the PRACK (RFC 6337 §2.3),
// and the call given up unless another fork may answer.
func (l *leg) reliableOffer(res *sip.Response, offer Description) { // [locked]
	l.reliable = true
	l.offerCame(&exchange{
		sendAnswer: func(d Description) { l.prack(&l.confirmed, res, d) },
		refuse: func(_ sip.StatusCode, _ []sip.Field, why error) {
			l.prack(&l.confirmed, res, l.origin.stamp(offer.refusal()))
			if len(l.s.out.forks) == 1 {
				l.s.mediaFailed(why)
			}
		},
		done: func(err error) {
			if err == nil {
				l.inviteAgreed(nil)
			}
		},
	}, offer)
}

// reliableAnswer takes the answer of a reliable provisional response: the
// INVITE's exchange is complete in this dialog before anybody answers the call.
// Where an offer of ours comes next and the far end takes no UPDATE, it goes in
// the PRACK (RFC 3262 §5).
func (l *leg) reliableAnswer(res *sip.Response, answer Description) { // [locked]
	l.reliable = true
	l.claim()
	unbound := l.open != nil && l.open.media == nil
	if (unbound || len(l.waiting) > 0) && !l.allows(sip.UPDATE) {
		l.due = res
	} else {
		l.prack(&l.confirmed, res, Description{})
	}
	l.answerCame(answer)
}

// settleDue sends the PRACK that waited for an offer which did not come.
func (l *leg) settleDue() { // [locked]
	if res := l.due; res != nil && l.open == nil {
		l.due = nil
		l.prack(&l.confirmed, res, Description{})
	}
}

// offerInPrack puts an offer of ours into the PRACK that is due.
func (l *leg) offerInPrack(d Description) { // [locked]
	req := l.newPrack(l.due)
	l.due = nil
	l.s.logError("body of PRACK", d.into(req))
	r := &reoffering{l: l, method: sip.PRACK}
	l.ours = r
	r.out = l.sendPrack(&l.confirmed, req, r)
}

// forkEnded lets go of an early dialog that a 199 declares over (RFC 6228 §4).
// Should it answer nevertheless it is declined.
func (l *leg) forkEnded(res *sip.Response) { // [locked]
	s := l.s
	end := &EndError{Remote: true, Kind: EndRejected, Reason: res.Headers("Reason"), Err: errForkEnded}
	if reasons := res.Reasons(); len(reasons) > 0 && reasons[0].Protocol == "SIP" {
		end.Status = sip.StatusCode(reasons[0].Cause)
	}
	l.end = end
	if l == s.out.bound { // whoever answers follows from them
		s.out.root.take(l)
	}
	l.close(end)
	if s.leg != l {
		return
	}
	for i := len(s.out.forks) - 1; i >= 0; i-- {
		if f := s.out.forks[i]; f.end == nil {
			s.lead(f)
			return
		}
	}
}

// errForkEnded is how a fork ends that a 199 speaks of.
var errForkEnded = errors.New("session: early dialog ended")
