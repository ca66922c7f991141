package session

import (
	"errors"
	"strconv"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// Provisional responses are repeated to keep proxies waiting: every minute, or
// where they are reliable every two and a half (RFC 3261 §13.3.1.1, RFC 3262 §3).
const (
	ringInterval     = time.Minute
	reliableInterval = 150 * time.Second
)

// provisional is a provisional response of ours.
type provisional struct {
	code   sip.StatusCode
	reason string
	fields []sip.Field
	desc   Description // ours, as early media need it
	offer  bool        // desc is an offer: the PRACK answers it
	wanted bool        // the application wants it reliable
	sent   bool
}

// progress is what a callee knows of its provisional responses.
type progress struct {
	last     *provisional // to be repeated
	ring     *core.Timer  // repeats it
	takes    bool         // the caller takes reliable ones
	requires bool         // all must be reliable
	told     bool         // a reliable one told our Info Packages

	out    departures
	resend func()      // sends the reliable one that is out, or was last
	repeat *core.Timer // does so
	giveUp *core.Timer

	early  earlyState
	answer Description // sent unreliably: the 200 repeats it
}

// earlyState is where the description in provisional responses stands.
type earlyState uint8

const (
	earlyNone   earlyState = iota // none is wanted
	earlyMaking                   // the Media make it
	earlyMade                     // it has left, or waits to
)

// admit decides how the provisional responses to an INVITE go. False: it is
// refused already.
func (m *Manager) admit(in *core.Incoming, p *progress) bool { // [locked]
	req := in.Request()
	p.requires = lists(req, "Require", tag100rel) // where we do without, the core has refused it
	p.takes = m.o.Reliability != ReliableOff && (p.requires || lists(req, "Supported", tag100rel))
	if m.o.Reliability != ReliableRequired {
		return true
	}
	p.requires = true
	if !p.takes {
		in.Reply(sip.StatusExtensionRequired, "", sip.Field{Name: "Require", Value: tag100rel})
	}
	return p.takes
}

// ringing sends the automatic 180. Where it would have to be reliable and to
// carry our offer (RFC 3262 §5), whose media the application has not chosen
// yet, it is left to the application.
func (s *Session) ringing() { // [locked]
	if s.in.requires && !contentOf(s.in.req.Request()).has {
		return
	}
	s.provide(&provisional{code: sip.StatusRinging})
}

// provide sends a provisional response, and repeats it until the next one.
func (s *Session) provide(p *provisional) { // [locked]
	in := s.in
	in.last = p
	in.ring.Stop()
	if p.reliable(&in.progress) {
		if in.out.push(p) {
			s.sendReliable(p)
		}
		in.ring = s.after(reliableInterval, s.ringAgain)
		return
	}
	s.sendProvisional(p)
	in.ring = s.after(ringInterval, s.ringAgain)
}

// reliable decides how p goes.
func (p *provisional) reliable(with *progress) bool {
	return with.requires || with.takes && (p.wanted || len(p.desc.Body) > 0)
}

// ringAgain repeats the last response. A description that left reliably need
// not go again.
func (s *Session) ringAgain() { // [locked]
	p := *s.in.last
	p.sent = false
	if p.reliable(&s.in.progress) {
		p.desc, p.offer = Description{}, false
	}
	s.provide(&p)
}

func (s *Session) sendProvisional(p *provisional, more ...sip.Field) { // [locked]
	res := s.in.req.NewResponse(p.code, p.reason)
	for _, f := range p.fields {
		s.logError("header of provisional response", res.AddHeader(f.Name, f.Value))
	}
	for _, f := range more {
		s.logError("header of provisional response", res.AddHeader(f.Name, f.Value))
	}
	s.logError("body of provisional response", p.desc.into(res))
	s.in.req.Respond(res)
}

// sendReliable sends a provisional response until its PRACK comes, T1 apart and
// doubling, for 64*T1 (RFC 3262 §3). Allow tells the caller that it may send
// an UPDATE before the answer (RFC 3311 §4).
func (s *Session) sendReliable(p *provisional) { // [locked]
	p.sent = true
	more := []sip.Field{
		{Name: "Require", Value: tag100rel},
		{Name: "RSeq", Value: strconv.FormatUint(uint64(s.in.out.rseq), 10)},
		{Name: "Allow", Value: s.m.core.Allow()},
	}
	if s.in.req.Request().HasHeader("Recv-Info") {
		more, s.in.told = append(more, s.recvInfo()), true
	}
	s.in.resend = func() { s.sendProvisional(p, more...) }
	s.in.resend()
	s.repeatReliable(s.in.resend, t1)
	s.in.giveUp = s.after(64*t1, s.unconfirmed)
}

// unconfirmed ends a call whose reliable provisional response nobody confirmed,
// unless it waits for a flow.
func (s *Session) unconfirmed() { // [locked]
	if !s.in.req.Down() {
		s.step(inNoAnswer, event{code: sip.StatusServerTimeout, end: &EndError{
			Kind: EndTimeout, Err: &sip.TimeoutError{Timer: tag100rel, Method: sip.PRACK}}})
	}
}

func (s *Session) repeatReliable(send func(), d time.Duration) { // [locked]
	s.in.repeat = s.after(d, func() {
		send()
		s.repeatReliable(send, 2*d)
	})
}

// stop ends the repeating: a final response leaves.
func (p *progress) stop() { // [locked]
	p.ring.Stop()
	p.repeat.Stop()
	p.giveUp.Stop()
	p.out.final()
}

// receivePrack takes the PRACK to a provisional response of ours, and the
// answer or the offer it may carry (RFC 3262 §3, §5).
func (l *leg) receivePrack(in *core.Incoming) { // [locked]
	s, req := l.s, in.Request()
	rack, _ := req.RAck() // the core has read it
	c := contentOf(req)
	if s.in == nil {
		in.Reply(sip.StatusCallDoesNotExist, "")
		return
	}
	if c.refused {
		refuseBody(in)
		return
	}
	p := s.in.out.match(rack, s.in.req.Request().CSeq())
	if p == nil {
		in.Reply(sip.StatusCallDoesNotExist, "")
		return
	}
	l.reliable = l.reliable || len(p.desc.Body) > 0
	if c.has && !l.reliable { // an offer while that in the INVITE is open: not confirmed by this
		retryLater(in)
		return
	}
	s.in.out.pop()
	s.in.repeat.Stop()
	s.in.giveUp.Stop()
	switch {
	case p.offer:
		in.Respond(l.ok(in, Description{}, nil))
		l.answerCame(c.sdp)
	case c.has:
		l.answerPrack(in, c.sdp)
	default:
		in.Respond(l.ok(in, Description{}, nil))
	}
	if next := s.in.out.head(); next != nil && s.usage.state < Accepted {
		s.sendReliable(next)
	}
	s.acceptWhenReady()
	l.next()
}

// answerPrack answers an offer in a PRACK. One that the media cannot serve gets
// an answer that takes nothing of it (RFC 6337 §2.3).
func (l *leg) answerPrack(in *core.Incoming, offer Description) { // [locked]
	x := l.peerExchange(in)
	refuse := x.refuse
	x.refuse = func(code sip.StatusCode, fields []sip.Field, why error) {
		if errors.Is(why, errPending) { // it came out of turn
			refuse(code, fields, why)
			return
		}
		x.sendAnswer(l.origin.stamp(offer.refusal()))
	}
	l.offerCame(x, offer)
}

// progress sends a provisional response of the application's.
func (s *Session) progress(p *provisional, o *ProgressOptions) error { // [locked]
	in := s.in
	offered := contentOf(in.req.Request()).has
	media := o.EarlyMedia || in.requires && !offered // the first reliable one must have our offer
	switch {
	case p.wanted && !in.takes, media && !offered && !in.takes:
		return ErrUnreliable
	}
	if o.Handler != nil {
		s.setHandler(o.Handler)
	}
	switch {
	case media && in.early == earlyNone:
		if o.Media != nil || s.factory == nil {
			s.factory = s.m.factory(o.Media)
		}
		s.startEarly(p)
	default:
		p.desc = in.answer
		s.provide(p)
	}
	return nil
}

// startEarly makes our description for early media, if none is made yet, and
// sends p with it.
func (s *Session) startEarly(p *provisional) { // [locked]
	in := s.in
	in.early = earlyMaking
	made := func(d Description) {
		in.early = earlyMade
		p.desc = d
		if !p.reliable(&in.progress) {
			in.answer = d
		}
		if s.usage.state == Ringing {
			s.provide(p)
			return
		}
		in.answer, in.early = d, earlyNone // answered meanwhile: the 200 has it
		if p.offer {
			s.step(inAnswerReady, event{desc: d})
		}
	}
	if c := contentOf(in.req.Request()); c.has {
		s.leg.offerCame(&exchange{sendAnswer: made, refuse: s.mediaRefused}, c.sdp)
		return
	}
	p.offer = true
	s.leg.start(&exchange{sendOffer: made, done: s.offerAnswered})
}

// mediaRefused refuses the call because the Media cannot serve it.
func (s *Session) mediaRefused(code sip.StatusCode, fields []sip.Field, why error) { // [locked]
	s.step(inMediaFailed, event{code: code, fields: fields, end: &EndError{Kind: EndMediaFailed, Err: why}})
}

// offerAnswered is the outcome of an offer of the callee's.
func (s *Session) offerAnswered(err error) { // [locked]
	switch {
	case err != nil:
		s.mediaRefused(sip.StatusServerInternalError, nil, err)
	case s.usage.state >= Accepted:
		s.settle()
	}
}

// acceptWhenReady sends the 200 of a call whose description went ahead in a
// provisional response: when that is acknowledged and nothing else is open.
func (s *Session) acceptWhenReady() { // [locked]
	if s.in == nil || s.usage.state != Answering || s.in.early == earlyMaking || s.leg.open != nil || s.in.out.describes() {
		return
	}
	s.step(inAnswerReady, event{desc: s.in.answer})
}
