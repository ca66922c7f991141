package session

import (
	"context"
	"errors"
	"time"

	"github.com/gosipua/sipua/sip"
)

// exchange is one offer/answer exchange: what the machine's actions mean for
// the messages that carry it. The funcs run with the core's mutex held.
type exchange struct {
	opts  OfferOptions
	fresh bool // with new media in place of the present one

	sendOffer  func(Description)                    // ours goes onto the wire
	sendAnswer func(Description)                    // the answer to the peer's goes onto the wire
	refuse     func(code sip.StatusCode, why error) // the peer's is refused
	done       func(error)                          // it is over; nil when both sides agree

	media  Media     // the Media at work: s.media, or its successor until all is agreed
	source *mediaTag // whose events media reports
	final  func()    // applies the final answer
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
		s.open = x
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
	return s.inv != nil || s.glare != nil || (s.accept != nil && s.usage.state == Confirmed)
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
		old, s.media, s.source = s.media, x.media, x.source
	}
	x.media = nil
	if old != nil {
		s.work(func() { s.logError("close media", old.Close()) }, nil)
	}
}

// mediaFor returns the Media that x works with, a new one where there is none
// or x wants it fresh. It runs on the worker.
func (s *Session) mediaFor(x *exchange, present Media, factory MediaFactory, muted MuteSet) (err error) {
	defer guard(&err)
	if x.media != nil {
		return nil
	}
	if present != nil && !x.fresh {
		x.media = present
		return nil
	}
	x.source = &mediaTag{}
	m, err := factory.NewMedia(MediaOptions{Previous: present, Events: s.mediaEvents(x.source)})
	if err != nil {
		return err
	}
	if muted != (MuteSet{}) {
		m.Mute(muted, true)
	}
	x.media = m
	return nil
}

// overtaken closes what an exchange made for a call that ended meanwhile. It
// reports whether the call is over.
func (s *Session) overtaken(x *exchange) bool { // [locked]
	if s.oa.state != oaClosed {
		return false
	}
	if media := x.media; media != nil && media != s.media {
		s.work(func() { s.logError("close media", media.Close()) }, nil)
	}
	x.finish(s.cause())
	return true
}

func (s *Session) makeOffer(x *exchange) { // [locked]
	var d Description
	var err error
	present, factory, muted := s.media, s.factory, s.muted
	run := func() {
		if err = s.mediaFor(x, present, factory, muted); err == nil {
			d, err = offerOf(s.ctx, x.media, x.opts)
		}
	}
	s.work(run, func() {
		if s.overtaken(x) {
			return
		}
		if s.media == nil {
			s.media, s.source = x.media, x.source
		}
		if err != nil {
			if s.oa.step(oaMediaFailed) == oaFail {
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
	var err error
	run := func() { st, err = setAnswer(s.ctx, x.media, d, early) }
	s.work(run, func() {
		if s.oa.state == oaClosed {
			s.overtaken(x)
			return
		}
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
			s.noteHold(st)
			s.closeExchange(nil)
			if refresh { // another fork's early media has bound the path
				s.offer(&exchange{fresh: true, sendOffer: s.reinvite(sip.INVITE)})
			}
		case oaFail:
			s.closeExchange(err)
		}
	})
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
		s.work(media.Abandon, nil)
	}
}

// offerCame takes the peer's offer.
func (s *Session) offerCame(x *exchange, d Description) { // [locked]
	switch s.oa.step(oaOfferCame) {
	case oaMakeAnswer:
		s.open = x
		s.answer(x, d)
	case oaRefuseGlare:
		x.refuse(sip.StatusRequestPending, nil)
	case oaRefuseLater:
		x.refuse(sip.StatusServerInternalError, nil)
	default:
		x.finish(s.cause())
	}
}

func (s *Session) answer(x *exchange, offer Description) { // [locked]
	var d Description
	var st MediaState
	var err error
	present, factory, muted := s.media, s.factory, s.muted
	run := func() {
		if err = s.mediaFor(x, present, factory, muted); err != nil {
			return
		}
		d, st, err = answerOf(s.ctx, x.media, offer, x.opts)
		if errors.Is(err, ErrFreshMedia) { // another far end: RFC 8842 §4
			x.fresh, x.media = true, nil
			if err = s.mediaFor(x, present, factory, muted); err == nil {
				d, st, err = answerOf(s.ctx, x.media, offer, x.opts)
			}
		}
	}
	s.work(run, func() {
		if s.overtaken(x) {
			return
		}
		in := oaAnswerMade
		if err != nil {
			in = oaMediaFailed
		}
		switch s.oa.step(in) {
		case oaSendAnswer:
			s.noteHold(st)
			x.sendAnswer(s.origin.stamp(d))
			s.closeExchange(nil)
		case oaRefuse:
			s.keepMedia(x, false)
			x.refuse(sip.StatusNotAcceptableHere, err)
			s.closeExchange(err)
		}
	})
}

// The Media's methods, with a panic of it as an error.

func offerOf(ctx context.Context, m Media, o OfferOptions) (d Description, err error) {
	defer guard(&err)
	return m.Offer(ctx, o)
}

func answerOf(ctx context.Context, m Media, offer Description, o OfferOptions) (d Description, st MediaState, err error) {
	defer guard(&err)
	return m.Answer(ctx, offer, o)
}

func setAnswer(ctx context.Context, m Media, d Description, early bool) (st MediaState, err error) {
	defer guard(&err)
	if len(d.Body) == 0 {
		return st, errNoAnswerSDP
	}
	return m.SetAnswer(ctx, d, AnswerInfo{Provisional: early})
}

// errRefused is the outcome of an offer that the peer refused while its
// provisional answer was still being applied.
var errRefused = errors.New("session: offer refused")

// mediaTag tells the events of the call's present Media from those of one
// that was replaced.
type mediaTag struct{ _ byte }

// mediaEvents are the events of the call's next Media.
func (s *Session) mediaEvents(tag *mediaTag) MediaEvents {
	present := func(f func()) {
		s.m.core.Lock()
		defer s.m.core.Unlock()
		if s.source == tag {
			f()
		}
	}
	return MediaEvents{
		Connected: func() { present(s.emitConnected) },
		Failed: func(err error) {
			present(func() {
				s.step(inMediaFailed, event{code: sip.StatusNotAcceptableHere,
					end: &EndError{Kind: EndMediaFailed, Err: errors.Join(errMediaPath, err)}})
			})
		},
		DTMF: func(digit rune, d time.Duration) {
			present(func() { s.emitDTMF(DTMF{Digit: digit, Duration: d}) })
		},
	}
}
