package session

import (
	"context"
	"errors"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// exchange is one offer/answer exchange: what the machine's actions mean for
// the messages that carry it. The funcs run with the core's mutex held.
type exchange struct {
	in       *core.Incoming // the peer's request inside the call that it answers; nil for ours and for the INVITE's
	opts     OfferOptions
	keepHold bool        // opts.Hold is what holds when it begins
	fresh    bool        // with new media in place of the present one
	whenUp   bool        // not before the call is up
	restart  bool        // it puts a media path in place of one that is lost
	asks     bool        // whether the far end has the call, see askForCall
	headers  []sip.Field // the application's: with our offer, or in the 200 to the peer's

	sendOffer  func(Description)                                        // ours goes onto the wire
	sendAnswer func(Description)                                        // the answer to the peer's goes onto the wire
	refuse     func(code sip.StatusCode, fields []sip.Field, why error) // the peer's is refused
	done       func(error)                                              // it is over; nil when both sides agree

	media  Media     // the Media at work: l.media, or its successor until all is agreed; the worker's while it runs
	source *mediaTag // whose events a successor reports
	final  func()    // applies the final answer
	tries  int       // how often the peer had an offer of its own under way

	patience patience // with a peer that is away

	kept  *Description // the offer of a restart, to be sent again as it is
	stale bool         // kept names an address that is gone
}

func (x *exchange) finish(err error) {
	if x.done != nil {
		x.done(err)
		x.done = nil
	}
}

// offer starts an exchange of ours, now or when it can. In a fork that is over it
// never can.
func (l *leg) offer(x *exchange) { // [locked]
	if l.oa.state != oaClosed && !l.mayOffer() {
		l.waiting = append(l.waiting, x)
		return
	}
	l.start(x)
}

// start starts an exchange of ours.
func (l *leg) start(x *exchange) { // [locked]
	switch l.oa.step(oaWant) {
	case oaMakeOffer:
		l.makeOffer(x)
	case oaPending:
		l.waiting = append(l.waiting, x)
	default:
		x.finish(l.s.cause())
	}
}

// mayOffer reports whether an offer of ours can leave on the leg: none while
// an INVITE or UPDATE of the dialog is under way in either direction (RFC 3261
// §14.1, RFC 3311 §5.1). Before the call is up it takes an UPDATE, or the PRACK
// that is due, and that both sides know the first exchange to be complete.
func (l *leg) mayOffer() bool { // [locked]
	if l.ours != nil || l.timer.update != nil || l.glare != nil || l.accept != nil {
		return false
	}
	switch l.s.usage.state {
	case Confirmed:
		return l == l.s.leg
	case Early:
		return l.due != nil || l.reliable && l.pracks == 0 && l.allows(sip.UPDATE)
	case Accepted:
		return l.s.asks()
	case Ringing, Answering:
		return l.reliable && !l.s.in.out.describes() && l.allows(sip.UPDATE)
	}
	return false
}

// next starts the exchange that waits longest, if it can start now. Where none
// waits a refresh may, which each exchange that succeeds makes needless.
func (l *leg) next() { // [locked]
	if l.oa.state != oaStable || !l.mayOffer() {
		return
	}
	if len(l.waiting) == 0 {
		l.refreshTarget()
		l.tick(tmFree, 0)
		return
	}
	if l.waiting[0].whenUp && l.s.usage.state != Confirmed {
		return
	}
	x := l.waiting[0]
	if x.restart && !l.mayRestart() {
		return
	}
	l.waiting = l.waiting[1:]
	l.start(x)
}

// closeExchange ends the open exchange with err and lets the next one start.
func (l *leg) closeExchange(err error) { // [locked]
	x := l.open
	l.open = nil
	if x != nil {
		l.keepMedia(x, err == nil)
		x.finish(err)
	}
	l.next()
	l.settleDue()
	l.s.acceptWhenReady()
}

// keepMedia makes the media of a completed exchange the call's, or closes it
// when the exchange came to nothing.
func (l *leg) keepMedia(x *exchange, agreed bool) { // [locked]
	if x.media == nil || x.media == l.media {
		return
	}
	old := x.media
	if agreed || l.media == nil {
		old = l.media
		l.setMedia(x.media, x.source)
		if !x.restart {
			l.replaced(old)
		}
	}
	x.media = nil
	l.s.closeMedia(old, nil)
}

// mediaJob is what the worker needs for a description.
type mediaJob struct {
	x        *exchange
	opts     OfferOptions
	present  Media
	previous Media // what a new one follows
	beside   Media // of another fork
	factory  MediaFactory
	source   *mediaTag // of a new one
	again    bool      // the offer that was kept is to be sent again
	resends  bool      // and is, since it still fits
	events   MediaEvents
	muted    MuteSet
}

// begin opens x.
func (l *leg) begin(x *exchange) *mediaJob { // [locked]
	l.open = x
	if x.keepHold {
		x.opts.Hold = l.holding.LocalHold
	}
	j := &mediaJob{x: x, opts: x.opts, present: l.media, previous: l.previous(), beside: l.beside(), factory: l.s.factory,
		source: &mediaTag{}, muted: l.s.muted}
	j.events = l.s.mediaEvents(j.source)
	if x.kept == nil {
		x.source = j.source
	} else {
		l.restartsAgain(j)
	}
	return j
}

// media returns the Media that x works with, a new one where there is none or
// x wants it fresh.
func (j *mediaJob) media() (Media, error) {
	switch {
	case j.x.media != nil:
	case j.present != nil && !j.x.fresh:
		j.x.media = j.present
	default:
		m, err := j.factory.NewMedia(MediaOptions{Previous: j.previous, Beside: j.beside, Events: j.events})
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

func (l *leg) makeOffer(x *exchange) { // [locked]
	var d Description
	j := l.begin(x)
	run := func() error {
		if j.offersAgain(l.s) {
			d = *x.kept
			return nil
		}
		if x.restart {
			j.choosePlace()
		}
		m, err := j.media()
		if err != nil {
			return err
		}
		if d, err = m.Offer(l.s.ctx, j.opts); err != nil {
			return err
		}
		return d.check()
	}
	l.s.work(run, func(err error) {
		if l.oa.state == oaClosed { // finish closes what was made
			return
		}
		if l.media == nil {
			l.setMedia(x.media, x.source)
		}
		if err != nil {
			if l.oa.step(oaMediaFailed) == oaFail {
				l.abandon(x)
				l.closeExchange(err)
			}
			return
		}
		if x.restart && !l.keepOffer(j, d) {
			return
		}
		if l.oa.step(oaOfferMade) == oaSendOffer {
			x.sendOffer(l.origin.stamp(d))
		}
	})
}

// answerCame takes the peer's answer to our open offer. A description that is
// empty means that the message had to carry one and did not.
func (l *leg) answerCame(d Description) { // [locked]
	x := l.open
	if x == nil {
		return
	}
	x.final = func() { l.apply(x, d, false) }
	if l.oa.step(oaAnswerCame) == oaApply {
		x.final()
	}
}

// earlyAnswer takes an answer in a provisional response: early media.
func (l *leg) earlyAnswer(d Description) { // [locked]
	if x := l.open; x != nil && l.oa.step(oaEarlyCame) == oaApplyEarly {
		l.apply(x, d, true)
	}
}

func (l *leg) apply(x *exchange, d Description, early bool) { // [locked]
	var st MediaState
	media := x.media
	run := func() (err error) {
		switch {
		case len(d.Body) == 0:
			return errNoAnswerSDP
		case media == nil: // another fork has the media of the INVITE's offer
			return ErrFreshMedia
		}
		st, err = media.SetAnswer(l.s.ctx, d, AnswerInfo{Provisional: early})
		return err
	}
	l.s.work(run, func(err error) {
		in := oaApplied
		refresh := !early && errors.Is(err, ErrFreshMedia)
		if err != nil && !refresh {
			in = oaMediaFailed
		}
		switch l.oa.step(in) {
		case oaApply: // the final answer came meanwhile
			x.final()
		case oaAbandon:
			l.abandon(x)
			l.closeExchange(errRefused)
		case oaDone:
			if refresh { // another fork's early media has bound the path, or the far end has changed
				l.waiting = append([]*exchange{l.again(x)}, l.waiting...)
			} else {
				l.agree(st)
			}
			l.closeExchange(nil)
		case oaFail:
			l.abandon(x)
			l.closeExchange(err)
		}
	})
}

// again is a further offer as x with fresh media, which takes over how x is to
// end. Without it the call has no media; before the call is up there is time to
// make it once more.
func (l *leg) again(x *exchange) *exchange { // [locked]
	next := &exchange{opts: x.opts, fresh: true}
	next.sendOffer = func(d Description) { l.sendOffer(sip.INVITE, d) }
	done := x.done
	x.done = nil
	next.done = func(err error) {
		if err != nil && l.early() {
			x.done = done
			later := l.again(x)
			later.whenUp = true
			l.waiting = append([]*exchange{later}, l.waiting...)
			return
		}
		if done != nil {
			done(err)
		}
		if err != nil && l.oa.state != oaClosed { // else the leg is over, not its media
			l.s.mediaFailed(err)
		}
	}
	return next
}

// early reports whether the leg is a fork that may still answer.
func (l *leg) early() bool { // [locked]
	return l.s.usage.state == Early && l.end == nil && l.oa.state != oaClosed
}

// refused forgets our open offer: the peer refused it, or nothing came of it.
func (l *leg) refused(err error) { // [locked]
	x := l.open
	if x == nil || l.oa.step(oaRefused) != oaAbandon {
		return
	}
	l.abandon(x)
	l.closeExchange(err)
}

func (l *leg) abandon(x *exchange) { // [locked]
	if media := x.media; media != nil {
		l.s.work(func() error { media.Abandon(); return nil }, nil)
	}
}

// offerCame takes the peer's offer.
func (l *leg) offerCame(x *exchange, d Description) { // [locked]
	if l.offerOpens(x) {
		l.answer(x, d)
	}
}

// offerOpens reports whether the peer's offer comes in its turn; one that does
// not is refused.
func (l *leg) offerOpens(x *exchange) bool { // [locked]
	switch l.oa.step(oaOfferCame) {
	case oaMakeAnswer:
		return true
	case oaRefuseGlare:
		x.refuse(sip.StatusRequestPending, nil, errPending)
	case oaRefuseLater:
		x.refuse(sip.StatusServerInternalError, []sip.Field{retryAfter()}, errPending)
	}
	return false
}

func (l *leg) answer(x *exchange, offer Description) { // [locked]
	var d Description
	var st MediaState
	j := l.begin(x)
	ctx, withdraw := context.WithCancelCause(l.s.ctx)
	if in := x.in; in != nil { // either way nobody takes the answer
		in.OnCancel = func(*sip.Request) { withdraw(errWithdrawn) }
		in.OnLost = func(error) { withdraw(errWithdrawn) }
	}
	once := func() error {
		m, err := j.media()
		if err == nil {
			d, st, err = m.Answer(ctx, offer, j.opts)
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
	l.s.work(run, func(err error) {
		if err != nil && errors.Is(context.Cause(ctx), errWithdrawn) {
			err = errWithdrawn
		}
		withdraw(nil)
		in := oaAnswerMade
		if err != nil {
			in = oaMediaFailed
		}
		switch l.oa.step(in) { // nothing when the call is over: finish closes what was made
		case oaSendAnswer:
			l.agree(st)
			x.sendAnswer(l.origin.stamp(d))
			l.closeExchange(nil)
		case oaRefuse:
			code, fields := refusalOf(err)
			x.refuse(code, fields, err)
			l.closeExchange(err)
		}
	})
}

// errRefused is the outcome of an offer that the peer refused while its
// provisional answer was still being applied.
var errRefused = errors.New("session: offer refused")

// errWithdrawn is why an offer of the peer's is not answered: it was taken back
// with CANCEL, or its connection went.
var errWithdrawn = errors.New("session: offer withdrawn")

// errPending is why an offer of the peer's is refused that comes out of turn.
var errPending = errors.New("session: another offer is under way")
