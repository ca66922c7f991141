package session

import (
	"errors"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// exchange is one offer/answer exchange: what the machine's actions mean for
// the messages that carry it. The funcs run with the core's mutex held.
type exchange struct {
	in       *core.Incoming // the peer's request inside the call that it answers; nil for ours and for the INVITE's
	opts     OfferOptions
	keepHold bool // opts.Hold is what holds when it begins
	fresh    bool // with new media in place of the present one

	sendOffer  func(Description)                                        // ours goes onto the wire
	sendAnswer func(Description)                                        // the answer to the peer's goes onto the wire
	refuse     func(code sip.StatusCode, fields []sip.Field, why error) // the peer's is refused
	done       func(error)                                              // it is over; nil when both sides agree

	media  Media     // the Media at work: s.media, or its successor until all is agreed; the worker's while it runs
	source *mediaTag // whose events a successor reports
	final  func()    // applies the final answer
	tries  int       // how often the peer had an offer of its own under way
}

func (x *exchange) finish(err error) {
	if x.done != nil {
		x.done(err)
		x.done = nil
	}
}

// offer starts an exchange of ours, now or when the one under way is over.
func (s *Session) offer(x *exchange) { // [locked]
	if s.inviteBusy() {
		s.waiting = append(s.waiting, x)
		return
	}
	switch s.oa.step(oaWant) {
	case oaMakeOffer:
		s.makeOffer(x)
	case oaPending:
		s.waiting = append(s.waiting, x)
	default:
		x.finish(s.cause())
	}
}

// inviteBusy reports whether an INVITE or UPDATE of the dialog is under way in
// either direction, so that ours must wait (RFC 3261 §14.1, RFC 3311 §5.1).
func (s *Session) inviteBusy() bool { // [locked]
	return s.ours != nil || s.glare != nil || s.accept != nil
}

// next starts the exchange that waits longest, if it can start now.
func (s *Session) next() { // [locked]
	if len(s.waiting) == 0 || s.oa.state != oaStable || s.inviteBusy() || s.usage.state != Confirmed {
		return
	}
	x := s.waiting[0]
	s.waiting = s.waiting[1:]
	s.offer(x)
}

// closeExchange ends the open exchange with err and lets the next one start.
func (s *Session) closeExchange(err error) { // [locked]
	x := s.open
	s.open = nil
	if x != nil {
		s.keepMedia(x, err == nil)
		x.finish(err)
	}
	s.next()
}

// keepMedia makes the media of a completed exchange the call's, or closes it
// when the exchange came to nothing.
func (s *Session) keepMedia(x *exchange, agreed bool) { // [locked]
	if x.media == nil || x.media == s.media {
		return
	}
	old := x.media
	if agreed || s.media == nil {
		old = s.media
		s.setMedia(x.media, x.source)
	}
	x.media = nil
	s.closeMedia(old, nil)
}

// mediaJob is what the worker needs for a description.
type mediaJob struct {
	x       *exchange
	opts    OfferOptions
	present Media
	factory MediaFactory
	events  MediaEvents
	muted   MuteSet
}

// begin opens x.
func (s *Session) begin(x *exchange) *mediaJob { // [locked]
	s.open = x
	if x.keepHold {
		x.opts.Hold = s.holding.LocalHold
	}
	x.source = &mediaTag{}
	return &mediaJob{x: x, opts: x.opts, present: s.media, factory: s.factory, events: s.mediaEvents(x.source), muted: s.muted}
}

// media returns the Media that x works with, a new one where there is none or
// x wants it fresh.
func (j *mediaJob) media() (Media, error) {
	switch {
	case j.x.media != nil:
	case j.present != nil && !j.x.fresh:
		j.x.media = j.present
	default:
		m, err := j.factory.NewMedia(MediaOptions{Previous: j.present, Events: j.events})
		if err != nil {
			return nil, err
		}
		j.x.media = m
		if j.muted != (MuteSet{}) {
			m.Mute(j.muted, true)
		}
	}
	return j.x.media, nil
}

func (s *Session) makeOffer(x *exchange) { // [locked]
	var d Description
	j := s.begin(x)
	run := func() error {
		m, err := j.media()
		if err != nil {
			return err
		}
		if d, err = m.Offer(s.ctx, j.opts); err != nil {
			return err
		}
		return d.check()
	}
	s.work(run, func(err error) {
		if s.oa.state == oaClosed { // finish closes what was made
			return
		}
		if s.media == nil {
			s.setMedia(x.media, x.source)
		}
		if err != nil {
			if s.oa.step(oaMediaFailed) == oaFail {
				s.abandon(x)
				s.closeExchange(err)
			}
			return
		}
		if s.oa.step(oaOfferMade) == oaSendOffer {
			x.sendOffer(s.origin.stamp(d))
		}
	})
}

// answerCame takes the peer's answer to our open offer. A description that is
// empty means that the message had to carry one and did not.
func (s *Session) answerCame(d Description) { // [locked]
	x := s.open
	if x == nil {
		return
	}
	x.final = func() { s.apply(x, d, false) }
	if s.oa.step(oaAnswerCame) == oaApply {
		x.final()
	}
}

// earlyAnswer takes an answer in a provisional response: early media.
func (s *Session) earlyAnswer(d Description) { // [locked]
	if x := s.open; x != nil && s.oa.step(oaEarlyCame) == oaApplyEarly {
		s.apply(x, d, true)
	}
}

func (s *Session) apply(x *exchange, d Description, early bool) { // [locked]
	var st MediaState
	run := func() (err error) {
		if len(d.Body) == 0 {
			return errNoAnswerSDP
		}
		st, err = x.media.SetAnswer(s.ctx, d, AnswerInfo{Provisional: early})
		return err
	}
	s.work(run, func(err error) {
		in := oaApplied
		refresh := !early && errors.Is(err, ErrFreshMedia)
		if err != nil && !refresh {
			in = oaMediaFailed
		}
		switch s.oa.step(in) {
		case oaApply: // the final answer came meanwhile
			x.final()
		case oaAbandon:
			s.abandon(x)
			s.closeExchange(errRefused)
		case oaDone:
			if refresh { // another fork's early media has bound the path, or the far end has changed
				s.waiting = append([]*exchange{s.again(x)}, s.waiting...)
			} else {
				s.noteHold(st)
			}
			s.closeExchange(nil)
		case oaFail:
			s.abandon(x)
			s.closeExchange(err)
		}
	})
}

// again is a re-INVITE with the offer of x and fresh media, which takes over
// how x is to end. Without it the call has no media.
func (s *Session) again(x *exchange) *exchange { // [locked]
	done := x.done
	x.done = nil
	return &exchange{
		opts: x.opts, fresh: true,
		sendOffer: func(d Description) { s.sendOffer(sip.INVITE, d) },
		done: func(err error) {
			if done != nil {
				done(err)
			}
			if err != nil {
				s.step(inMediaFailed, event{end: &EndError{Kind: EndMediaFailed, Err: err}})
			}
		},
	}
}

// refused forgets our open offer: the peer refused it, or nothing came of it.
func (s *Session) refused(err error) { // [locked]
	x := s.open
	if x == nil || s.oa.step(oaRefused) != oaAbandon {
		return
	}
	s.abandon(x)
	s.closeExchange(err)
}

func (s *Session) abandon(x *exchange) { // [locked]
	if media := x.media; media != nil {
		s.work(func() error { media.Abandon(); return nil }, nil)
	}
}

// offerCame takes the peer's offer.
func (s *Session) offerCame(x *exchange, d Description) { // [locked]
	switch s.oa.step(oaOfferCame) {
	case oaMakeAnswer:
		s.answer(x, d)
	case oaRefuseGlare:
		x.refuse(sip.StatusRequestPending, nil, errPending)
	case oaRefuseLater:
		x.refuse(sip.StatusServerInternalError, []sip.Field{retryAfter()}, errPending)
	}
}

func (s *Session) answer(x *exchange, offer Description) { // [locked]
	var d Description
	var st MediaState
	j := s.begin(x)
	once := func() error {
		m, err := j.media()
		if err == nil {
			d, st, err = m.Answer(s.ctx, offer, j.opts)
		}
		return err
	}
	run := func() error {
		err := once()
		if errors.Is(err, ErrFreshMedia) && x.media == j.present { // another far end: RFC 8842 §4
			x.fresh, x.media = true, nil
			err = once()
		}
		if err != nil {
			return err
		}
		return d.check()
	}
	s.work(run, func(err error) {
		in := oaAnswerMade
		if err != nil {
			in = oaMediaFailed
		}
		switch s.oa.step(in) { // nothing when the call is over: finish closes what was made
		case oaSendAnswer:
			s.noteHold(st)
			x.sendAnswer(s.origin.stamp(d))
			s.closeExchange(nil)
		case oaRefuse:
			code, fields := refusalOf(err)
			x.refuse(code, fields, err)
			s.closeExchange(err)
		}
	})
}

// errRefused is the outcome of an offer that the peer refused while its
// provisional answer was still being applied.
var errRefused = errors.New("session: offer refused")

// errPending is why an offer of the peer's is refused that comes out of turn.
var errPending = errors.New("session: another offer is under way")
