package session

import (
	"bytes"
	"errors"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// What a callee does about a loss of the flow that an INVITE came on. Its
// transaction waits for the next one and keeps what is answered meanwhile
// (core.Incoming.Down); here is what the usage adds: clocks that stand still in
// that time, and the same INVITE on another way.

// watch has s hear of what becomes of its INVITE.
func (s *Session) watch(in *core.Incoming) { // [locked]
	in.OnCancel = s.canceled
	in.OnAgain = s.again
	in.OnRecovered = func() {
		s.in.moved = true
		s.confirmLater()
	}
	in.OnLost = func(err error) {
		s.step(inLost, event{end: &EndError{Kind: EndTransportLost, Err: err}})
	}
}

// confirmLater gives the caller all its time to confirm a reliable provisional
// response, which the transaction has just repeated where it was the newest.
func (s *Session) confirmLater() { // [locked]
	in := s.in
	if in.resend == nil || in.out.head() == nil || s.usage.state >= Accepted {
		return
	}
	in.repeat.Stop()
	in.giveUp.Stop()
	s.repeatReliable(in.resend, t1)
	in.giveUp = s.after(64*t1, s.unconfirmed)
}

// watch has the 2xx repeated on the flow that follows a loss, with all the time
// for the ACK, and given up if there is none.
func (a *acceptance) watch(l *leg) { // [locked]
	a.in.OnRecovered = func() {
		if l.accept == a {
			a.moved = true
			a.in.RepeatFinal()
			a.start(l)
		}
	}
	a.in.OnLost = func(err error) {
		if l.accept == a {
			l.unacknowledged(a, inLost, &EndError{Kind: EndTransportLost, Err: err})
		}
	}
}

// unacknowledged draws the consequences of a 2xx without ACK: the call ends. But
// where the flow went meanwhile, so may have its ACK, and the far end's proxy may
// know the way back no more; an offer of our own then says where we stand.
func (l *leg) unacknowledged(a *acceptance, in usageInput, end *EndError) { // [locked]
	a.stop()
	l.accept = nil
	initial := l.s.in != nil && l.s.in.req == a.in
	switch {
	case initial && in == inNoACK && (a.moved || l.s.in.moved) && l.oa.state == oaStable && !l.s.usage.state.Ended():
		l.askForCall(end)
	case initial || in == inNoACK && !a.moved:
		l.s.step(in, event{end: end})
	case l.oa.state == oaOffered: // in the 2xx; what gave up its ICE makes the offer
		l.refused(end)
	default:
		l.offer(&exchange{keepHold: true, sendOffer: func(d Description) { l.sendOffer(sip.INVITE, d) }})
	}
}

// askForCall has a re-INVITE tell whether the far end has the call whose 2xx it did
// not acknowledge in its time: then the dialog is confirmed, and the INVITE over
// (RFC 3261 §13.3.1.4, RFC 6026 §7.1). A caller that keeps to the Contact of our
// 180, as JsSIP does, or a server that sends its ACK down the connection that went,
// has it; whoever has not does not answer, or by 481, and the call ends with end.
func (l *leg) askForCall(end *EndError) { // [locked]
	s := l.s
	s.in.asking = true
	x := &exchange{keepHold: true, asks: true, sendOffer: func(d Description) { l.sendOffer(sip.INVITE, d) }}
	x.done = func(err error) {
		if !s.in.asking { // the far end has told otherwise
			return
		}
		s.in.asking = false
		var refusal *sip.ResponseError
		if err == nil || errors.As(err, &refusal) && tollOf(sip.INVITE, refusal.StatusCode()) == tollNone && !l.excuses(err) {
			s.step(inACK, event{})
		} else {
			s.step(inNoACK, event{end: end})
		}
	}
	l.waiting = append([]*exchange{x}, l.waiting...)
	l.next()
}

// asks reports whether the call is asked for.
func (s *Session) asks() bool { return s.in != nil && s.in.asking } // [locked]

// again takes the same INVITE on another way after the flow of the first was
// lost: from a proxy that forks to our new flow, or from a caller that tries
// another server. The dialog keeps its tags, so that the caller finds what it
// was told before.
func (s *Session) again(in *core.Incoming) bool { // [locked]
	was, now := contentOf(s.in.req.Request()), contentOf(in.Request())
	same := was.same(now)
	switch s.usage.state {
	case Ringing:
		if !same && (now.refused || s.in.early != earlyNone) {
			return false
		}
	case Answering:
		if !same && (now.refused || s.in.early != earlyNone || !was.has || !now.has) {
			return false
		}
	case Accepted:
		if !same || s.leg.accept == nil {
			return false
		}
	default:
		return false
	}
	if in.RenewDialog(s.leg.dialog) != nil {
		return false
	}
	s.in.req = in
	s.watch(in)
	s.leg.learn(in.Request())
	s.leg.way.wayBack = wayBack{}
	s.leg.comesOver(in.Flow())
	if s.usage.state == Accepted {
		a := s.leg.accept
		a.stop()
		s.leg.respondOffer(in, a.desc, a.headers)
		return true
	}
	s.ringOn()
	return true
}

// ringOn says on the new way what was said on the old one.
func (s *Session) ringOn() { // [locked]
	in := s.in
	switch {
	case in.resend != nil && in.out.head() != nil: // unconfirmed
		in.resend()
		s.confirmLater()
	case in.last != nil && s.usage.state == Ringing:
		s.ringAgain()
	case in.last != nil:
		s.sendProvisional(&provisional{code: in.last.code, reason: in.last.reason, fields: in.last.fields})
	}
}

// same reports whether two messages say the same about the session.
func (c content) same(o content) bool {
	return c.has == o.has && c.refused == o.refused && bytes.Equal(c.sdp.Body, o.sdp.Body)
}

// answerOffer answers the INVITE's offer, and that which takes its place while
// the answer is being made: with new media, since the old ones have taken the
// other.
func (s *Session) answerOffer(offer content, fresh bool) { // [locked]
	stale := func() bool { return !offer.same(contentOf(s.in.req.Request())) }
	x := &exchange{fresh: fresh}
	x.sendAnswer = func(d Description) {
		if !stale() {
			s.step(inAnswerReady, event{desc: d})
		}
	}
	x.refuse = func(code sip.StatusCode, fields []sip.Field, why error) {
		if !stale() {
			s.mediaRefused(code, fields, why)
		}
	}
	x.done = func(error) {
		if s.usage.state == Answering && stale() {
			s.answerOffer(contentOf(s.in.req.Request()), true)
		}
	}
	s.leg.offerCame(x, offer.sdp)
}
