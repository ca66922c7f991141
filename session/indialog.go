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
type inDialog struct{ *leg }

// ReceiveRequest takes a request inside one of the call's dialogs.
func (d inDialog) ReceiveRequest(in *core.Incoming) { // [locked]
	s, l, req := d.s, d.leg, in.Request()
	l.hears(in.Flow())
	switch method := req.Method(); {
	case method == sip.ACK:
		l.receiveACK(req)
	case method == sip.BYE:
		l.receiveBye(in)
	case method == sip.NOTIFY, method == sip.SUBSCRIBE: // their usage outlives the call
		s.receiveEvent(in)
	case s.usage.state.Ended() || l.lost(): // RFC 5407 §3.2
		in.Reply(sip.StatusCallDoesNotExist, "")
	case method == sip.INVITE, method == sip.UPDATE:
		l.receiveOffer(in)
	case method == sip.PRACK:
		l.receivePrack(in)
	case method == sip.INFO:
		l.receiveInfo(in)
	case method == sip.MESSAGE:
		s.ask(in, s.handler.Message, sip.StatusMethodNotAllowed)
	case method == sip.REFER:
		s.receiveRefer(in)
	default:
		in.Default()
	}
}

// outside answers a request that belongs into a call and came outside of any
// (RFC 3261 §15.1.2, RFC 6665 §4.1.3).
func outside(in *core.Incoming) { // [locked]
	in.Reply(sip.StatusCallDoesNotExist, "")
}

// receiveOffer takes a re-INVITE or an UPDATE (RFC 3261 §14.2, RFC 3311 §5.2).
func (l *leg) receiveOffer(in *core.Incoming) { // [locked]
	req := in.Request()
	invite := req.Method() == sip.INVITE
	c := contentOf(req)
	if invite && !c.refused && l.oa.state == oaStable {
		l.acknowledged()
	}
	if l == l.s.leg {
		l.s.noteIdentity(req)
	}
	switch {
	case c.refused:
		refuseBody(in)
	case l.unanswered(req.Method()):
		retryLater(in)
	case l.s.m.intervalTooSmall(in):
	case !c.has && !invite: // refreshes the target and the session
		in.Respond(l.ok(in, Description{}, nil))
	case l.owesAnswer(invite):
		retryLater(in)
	case l.awaitsAnswer(invite):
		in.Reply(sip.StatusRequestPending, "")
	case c.has:
		l.judge(l.peerExchange(in), c.sdp)
	case l.oa.state == oaAnswering:
		retryLater(in)
	default:
		l.offerInstead(in)
	}
	l.next() // what waited for the ACK
}

// owesAnswer reports whether an INVITE or UPDATE of the peer's comes before
// the description in its first INVITE is answered for good: reliably (RFC 3311
// §5.2).
func (l *leg) owesAnswer(invite bool) bool { // [locked]
	switch l.s.usage.state {
	case Ringing, Answering:
		return invite || !l.reliable
	}
	return false
}

// awaitsAnswer reports whether one comes while a request of ours is under way
// that it must wait for: an offer, or before the call is up the INVITE whose
// first exchange has not begun.
func (l *leg) awaitsAnswer(invite bool) bool { // [locked]
	switch l.s.usage.state {
	case Calling, Early:
		return l.ours != nil || invite || l.s.out.late && !l.reliable
	}
	return l.ours != nil
}

// unanswered reports whether a request of that method waits for our answer, so
// that a second one must be refused.
func (l *leg) unanswered(method sip.Method) bool { // [locked]
	return l.open != nil && l.open.in != nil && !l.open.in.Answered() && l.open.in.Request().Method() == method
}

// peerExchange is the exchange that the peer's re-INVITE or UPDATE starts.
func (l *leg) peerExchange(in *core.Incoming) *exchange { // [locked]
	x := &exchange{
		in:       in,
		keepHold: true,
		refuse:   func(code sip.StatusCode, fields []sip.Field, _ error) { in.Reply(code, "", fields...) },
	}
	x.sendAnswer = func(d Description) {
		if l.s.in != nil { // what went before is not to be repeated
			l.s.in.answer = Description{}
		}
		if in.Request().Method() == sip.INVITE {
			l.respondOffer(in, d, x.headers)
		} else {
			in.Respond(l.ok(in, d, x.headers))
		}
	}
	return x
}

// offerInstead answers a re-INVITE without an offer with ours, whose answer
// comes with the ACK (RFC 3261 §14.2). It does not wait behind offers that are
// to go in requests of our own: those wait for it. Who answers may be somebody
// else by now, so that the offer restarts ICE (RFC 8839 §7.5, RFC 8842 §8).
func (l *leg) offerInstead(in *core.Incoming) { // [locked]
	x := &exchange{in: in, keepHold: true, opts: OfferOptions{ICERestart: true}}
	restarted := false
	x.sendOffer = func(d Description) {
		restarted = true
		if !l.respondOffer(in, d, nil) {
			l.refused(net.ErrClosed)
		}
	}
	x.done = func(err error) {
		if err != nil && !in.Answered() {
			in.Reply(sip.StatusServerInternalError, "")
		}
		if err != nil && restarted && !l.s.usage.state.Ended() { // the old path is gone
			l.restartICE()
		}
	}
	in.OnCancel = func(*sip.Request) { in.Reply(sip.StatusRequestTerminated, "") }
	switch l.oa.step(oaWant) {
	case oaMakeOffer:
		l.makeOffer(x)
	default: // another exchange is under way
		in.Reply(sip.StatusRequestPending, "")
	}
}

// restartICE makes an offer of our own for a path that was given up.
func (l *leg) restartICE() { // [locked]
	l.offer(&exchange{
		keepHold: true, opts: OfferOptions{ICERestart: true},
		sendOffer: func(d Description) { l.sendOffer(sip.INVITE, d) },
	})
}

// ask lets the application answer a request, with def where it does not care.
func (s *Session) ask(in *core.Incoming, h func(*Session, *sip.Request) sip.StatusCode, def sip.StatusCode, fields ...sip.Field) { // [locked]
	if h == nil {
		in.Reply(def, "", fields...)
		return
	}
	ok := s.events.Push(func() {
		code := sip.StatusServerInternalError // what a panic comes to
		defer func() {
			s.m.core.Lock()
			defer s.m.core.Unlock()
			if code == sip.StatusBadInfoPackage {
				in.Reply(code, "", s.recvInfo()) // RFC 6086 §4.2.2
			} else {
				in.Reply(code, "")
			}
		}()
		if answer := h(s, in.Request()); answer.IsFinal() {
			code = answer
		}
	})
	if !ok {
		retryLater(in)
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
