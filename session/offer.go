package session

import (
	"slices"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// OfferTimeout is how long the application may take to judge an offer of the
// far end inside the call. Its UPDATE must be answered in 32 s (Timer F).
const OfferTimeout = 20 * time.Second

// Offer is an offer of the far end inside the call, in a re-INVITE or an UPDATE
// (RFC 3264 §8), that waits for a decision: Accept or Reject. That may come
// later and from any goroutine; after OfferTimeout the offer is refused, with
// 488 in a re-INVITE and 504 in an UPDATE (RFC 3311 §5.2), and the call goes on
// as it was.
type Offer struct {
	l     *leg
	in    *core.Incoming
	x     *exchange
	sdp   Description
	until time.Time

	limit   *core.Timer // guarded by the core's mutex
	decided bool        // guarded by the core's mutex
}

// AcceptOptions shape the answer to an offer. Nil means all defaults.
type AcceptOptions struct {
	// Change is what the answer asks for beyond what is agreed, in the terms of
	// the call's [Media]: with session/rtc an rtc.Change, as one that takes video.
	Change any
	// Headers are added to the 200.
	Headers []sip.Field
}

// Request is the re-INVITE or UPDATE as it came; read-only.
func (o *Offer) Request() *sip.Request { return o.in.Request() }

// Description is what the far end offers.
func (o *Offer) Description() Description { return o.sdp }

// Deadline is when the offer is refused for want of a decision.
func (o *Offer) Deadline() time.Time { return o.until }

// Accept has the offer answered; nil options mean all defaults. A decision
// that comes too late, or a second one, is ErrState.
func (o *Offer) Accept(a *AcceptOptions) error {
	if a == nil {
		a = &AcceptOptions{}
	}
	if err := checkFields("", a.Headers); err != nil {
		return err
	}
	return o.decide(func() {
		o.x.opts.Change = a.Change
		o.x.headers = slices.Clone(a.Headers)
		o.l.answer(o.x, o.sdp)
	})
}

// Reject refuses the offer with a final status of 400 to 699, as 488 or 603; the
// call goes on as it was. A decision that comes too late, or a second one, is
// ErrState. Nil options mean the RFC's reason phrase and no more.
func (o *Offer) Reject(code sip.StatusCode, r *RejectOptions) error {
	if r == nil {
		r = &RejectOptions{}
	}
	if err := checkFields(r.Reason, r.Headers); err != nil {
		return err
	}
	if code < 400 || code > 699 {
		return ErrState
	}
	return o.decide(func() { o.refuse(code, r.Reason, r.Headers...) })
}

// decide makes a move while the offer waits for one.
func (o *Offer) decide(move func()) error {
	c := o.l.s.m.core
	c.Lock()
	defer c.Unlock()
	if o.decided || o.l.open != o.x {
		return ErrState
	}
	o.over()
	move()
	return nil
}

func (o *Offer) over() { // [locked]
	o.decided = true
	o.limit.Stop()
}

// refuse answers for the application.
func (o *Offer) refuse(code sip.StatusCode, reason string, fields ...sip.Field) { // [locked]
	o.over()
	o.in.Reply(code, reason, fields...)
	o.l.oa.step(oaMediaFailed)
	o.l.closeExchange(&sip.ResponseError{Method: o.in.Request().Method()})
}

// judge asks the application about an offer of the peer's, where it wants to
// be asked.
func (l *leg) judge(x *exchange, d Description) { // [locked]
	s := l.s
	h := s.handler.Offer
	if h == nil {
		l.offerCame(x, d)
		return
	}
	if !l.offerOpens(x) {
		return
	}
	o := &Offer{l: l, in: x.in, x: x, sdp: d, until: time.Now().Add(OfferTimeout)}
	l.open = x
	if !s.tell(func() { h(s, o) }) {
		o.refuse(sip.StatusServerInternalError, "", retryAfter())
		return
	}
	o.limit = s.after(OfferTimeout, func() {
		if o.Request().Method() == sip.UPDATE {
			o.refuse(sip.StatusServerTimeout, "")
		} else {
			o.refuse(sip.StatusNotAcceptableHere, "")
		}
	})
	withdrawn := func() {
		if !o.decided && l.open == x {
			o.refuse(sip.StatusRequestTerminated, "")
		}
	}
	x.in.OnCancel = func(*sip.Request) { withdrawn() }
	x.in.OnLost = func(error) { withdrawn() }
}
