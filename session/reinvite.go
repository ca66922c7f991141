package session

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// RenegotiateOptions shape a new offer inside a call. Nil means all defaults.
type RenegotiateOptions struct {
	// UseUpdate sends the offer in an UPDATE (RFC 3311) instead of a re-INVITE.
	UseUpdate bool
	// ICERestart renews ICE (RFC 8839 §4.4.1), where the path is bad or gone. With
	// session/rtc that gives it up at once: if the offer is refused nothing is
	// heard until another is accepted, and an offer that meets 491 is made again.
	ICERestart bool
	// Hold puts the far end on hold or takes it off, as the methods of that
	// name do; zero leaves hold as it is.
	Hold HoldChange
	// Change is what else the new offer asks for, in the terms of the call's
	// [Media]: an rtc.Change with session/rtc. A refused offer changes nothing.
	Change any
	// Headers are added to the request.
	Headers []sip.Field
}

// HoldChange is what an offer does about the hold of the far end.
type HoldChange uint8

// What an offer does about hold.
const (
	HoldAsIs HoldChange = iota // the new offer holds where the last one did
	HoldOn                     // the far end is put on hold (RFC 3264 §8.4)
	HoldOff                    // it is taken off
)

// Hold puts the far end on hold: we go on sending, it stops (RFC 3264 §8.4).
// It returns when the far end has agreed; on an error the call is as it was.
// While another offer is under way Hold waits for its end. It goes in a
// re-INVITE; for an UPDATE there is Renegotiate. Before the call is answered it
// goes in an UPDATE, where a reliable provisional response has settled the first
// descriptions and the far end takes one (RFC 3311 §5.1); else it is ErrState,
// or waits for the answer.
func (s *Session) Hold(ctx context.Context) error { return s.setHold(ctx, true) }

// Unhold takes the far end off hold, as Hold puts it on.
func (s *Session) Unhold(ctx context.Context) error { return s.setHold(ctx, false) }

func (s *Session) setHold(ctx context.Context, hold bool) error {
	s.m.core.Lock()
	if s.usage.state == Confirmed && s.leg.holding.LocalHold == hold && s.leg.oa.state == oaStable && len(s.leg.waiting) == 0 {
		s.m.core.Unlock()
		return nil
	}
	s.m.core.Unlock()
	return s.reoffer(ctx, sip.INVITE, &exchange{opts: OfferOptions{Hold: hold}})
}

// Held tells who keeps the call on hold.
func (s *Session) Held() HoldState {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	return HoldState{Local: s.leg.holding.LocalHold, Remote: s.leg.holding.RemoteHold}
}

// Renegotiate makes a new offer, as Hold does and when it may, also where
// nothing changes.
func (s *Session) Renegotiate(ctx context.Context, o *RenegotiateOptions) error {
	if o == nil {
		o = &RenegotiateOptions{}
	}
	method := sip.INVITE
	if o.UseUpdate {
		method = sip.UPDATE
	}
	if err := checkFields("", o.Headers); err != nil {
		return err
	}
	return s.reoffer(ctx, method, &exchange{
		opts:     OfferOptions{ICERestart: o.ICERestart, Change: o.Change, Hold: o.Hold == HoldOn},
		keepHold: o.Hold == HoldAsIs,
		headers:  slices.Clone(o.Headers),
	})
}

// Mute stops the sending of what set names; the far end is not told.
func (s *Session) Mute(set MuteSet) { s.setMute(set, true) }

// Unmute resumes the sending of what set names.
func (s *Session) Unmute(set MuteSet) { s.setMute(set, false) }

// Muted says what of our sending is muted.
func (s *Session) Muted() MuteSet {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	return s.muted
}

func (s *Session) setMute(set MuteSet, mute bool) {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	was := s.muted
	if set.Audio {
		s.muted.Audio = mute
	}
	if set.Video {
		s.muted.Video = mute
	}
	if s.muted == was || s.usage.state.Ended() {
		return
	}
	s.work(func() error { // when the media in the making are made
		for _, m := range s.allMedia() {
			if !slices.Contains(s.worker.closed, m) {
				m.Mute(set, mute)
			}
		}
		return nil
	}, nil)
	if h, now := s.handler.Mute, s.muted; h != nil {
		s.tellNewest(eventMute, func() { h(s, now) })
	}
}

// allMedia returns the call's media and those that an exchange has in hand, but
// none that close: a fork that lost keeps its leg.
func (s *Session) allMedia() []Media {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	var all []Media
	for l := range s.legs() {
		if l.oa.state == oaClosed {
			continue
		}
		if l.media != nil {
			all = append(all, l.media)
		}
	}
	for l := range s.legs() {
		for x := range l.exchanges() {
			if x.media != nil && !slices.Contains(all, x.media) {
				all = append(all, x.media)
			}
		}
	}
	return all
}

// reoffer makes an offer inside the call and waits for its outcome. ctx ends
// the waiting only, and what has not left by then never will.
func (s *Session) reoffer(ctx context.Context, method sip.Method, x *exchange) error {
	c := s.m.core
	c.Lock()
	if s.usage.state != Confirmed && s.usage.state != Accepted && (s.usage.state.Ended() || !s.leg.reliable) {
		defer c.Unlock()
		return s.cause()
	}
	outcome := make(chan error, 1)
	l := s.leg
	x.sendOffer = func(d Description) { l.sendOffer(method, d) }
	x.done = func(err error) { outcome <- err }
	l.offer(x)
	c.Unlock()
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		c.Lock()
		defer c.Unlock()
		for l := range s.legs() { // a dialog may have taken the place of the other
			l.waiting = slices.DeleteFunc(l.waiting, func(w *exchange) bool { return w == x })
		}
		return context.Cause(ctx)
	}
}

// reoffering is a re-INVITE or UPDATE of ours.
type reoffering struct {
	l      *leg
	method sip.Method
	out    *core.Outgoing
	ack    func() // repeats the ACK
	giveUp *core.Timer

	superseded bool // its flow was lost, and another has taken its place

	confirmed confirmation
}

// sendOffer puts an offer of ours onto the wire inside the dialog.
func (l *leg) sendOffer(method sip.Method, d Description) { // [locked]
	s := l.s
	switch {
	case l.due != nil:
		l.offerInPrack(d)
		return
	case s.usage.state != Confirmed && !s.asks():
		method = sip.UPDATE
	}
	req := l.dialog.NewRequest(method)
	s.logError("body of offer", d.into(req))
	if method == sip.INVITE {
		s.addPackages(req)
	}
	if x := l.open; x != nil {
		s.logError("header of offer", req.SetFields(x.headers...))
		if x.patience.since.IsZero() {
			x.patience.since = time.Now()
		}
	}
	l.timeRequest(req)
	r := &reoffering{l: l, method: method}
	r.out = &core.Outgoing{Request: req, Dialog: l.dialog, OnResponse: r.response, OnFail: r.failed}
	l.ours = r
	s.m.core.Send(r.out)
	// A peer that takes its time must not keep all other offers waiting for ever.
	limit := l.offerLimit()
	if x := l.open; x != nil && x.restart {
		limit = min(limit, s.m.core.RecoveryLimit())
	}
	r.giveUp = s.after(limit, func() { r.out.Cancel() })
}

// offerLimit is how long an offer of ours may wait for its final response:
// RingTimeout, but no longer than leaves time for the refresh that has to wait
// for it (RFC 4028 §10).
func (l *leg) offerLimit() time.Duration { // [locked]
	limit, t := l.s.m.o.RingTimeout, &l.timer
	if t.running() {
		left := t.sessionTimer.end() - time.Since(t.since)
		limit = min(limit, max(left-64*t1, left/2))
	}
	return limit
}

// over ends the waiting for a final response.
func (r *reoffering) over() { // [locked]
	r.giveUp.Stop()
	r.l.ours = nil
}

// supersede makes room for another, where the flow is lost that its answer would
// have to come over. Should it come all the same it gets its ACK.
func (r *reoffering) supersede() { // [locked]
	r.over()
	r.superseded = true
	r.out.Cancel()
}

func (r *reoffering) response(res *sip.Response) { // [locked]
	code := res.StatusCode()
	switch {
	case r.superseded && !(code.IsSuccess() && r.method == sip.INVITE):
	case r.superseded && r.ack == nil: // too late for its answer, which the next one brings
		r.ack = r.l.s.m.core.SendACK(r.l.dialog, r.out, "", nil)
	case code.IsProvisional():
		if r.ack == nil && !r.l.s.usage.state.Ended() && r.l.end == nil { // else it is over, or nothing may follow our BYE
			r.provisional(res)
		}
	case code.IsSuccess() && r.ack != nil:
		r.ack()
	case code.IsSuccess():
		r.success(res)
	case r.l.reofferRaised(r.out, res):
	case code == sip.StatusRequestPending:
		r.over()
		r.l.offerAgain(&sip.ResponseError{Method: r.method, Response: res})
	default:
		r.failed(&sip.ResponseError{Method: r.method, Response: res})
	}
}

// provisional takes a provisional response to a re-INVITE, of which a reliable
// one may have the answer already (RFC 3262 §5).
func (r *reoffering) provisional(res *sip.Response) { // [locked]
	if seq, ok := r.confirmed.next(r.l, res); !ok || seq == 0 || r.method != sip.INVITE {
		return
	}
	r.l.prack(&r.confirmed, res, Description{})
	if c := contentOf(res); c.has {
		r.l.answerCame(c.sdp)
	}
}

func (r *reoffering) success(res *sip.Response) { // [locked]
	l := r.l
	r.over()
	if l == l.s.leg {
		l.s.noteIdentity(res)
	}
	l.learn(res)
	l.timed(r.out.Sent(), res)
	l.targetRefreshed(r.method, nil)
	r.ack = func() {}
	if r.method == sip.INVITE {
		r.ack = l.s.m.core.SendACK(l.dialog, r.out, "", nil)
	}
	l.answerCame(contentOf(res).sdp)
	l.next() // where a reliable response had the answer already
}

// failed leaves the call as it was (RFC 3261 §14.1), unless the peer does not
// know it any more. A peer that is away for a moment gets the offer later.
func (r *reoffering) failed(err error) { // [locked]
	if r.superseded {
		return
	}
	r.over()
	l, x := r.l, r.l.open
	if x != nil {
		retry := l.s.retryIn
		if x.restart {
			retry = l.restartAgain
		}
		if wait, again := retry(&x.patience, r.method, err); again {
			l.postpone(wait)
			return
		}
	}
	l.refused(err)
	l.next()
	if x == nil || !x.restart { // which sees to that
		l.s.failed(l.dialog, r.method, err)
	}
}

// offerAgain gives our offer up after a 491 and makes it anew after a while,
// in which the peer's own offer can come through (RFC 3261 §14.1). A peer that
// never has time for ours is believed in the end.
func (l *leg) offerAgain(err error) { // [locked]
	x := l.open
	if x == nil {
		return
	}
	// An offer of the peer's that lost its connection stays open for that long.
	limit := cmp.Or(x.patience.limit, l.s.m.core.RecoveryLimit())
	if x.tries++; x.tries >= maxTries && time.Since(x.patience.since) > limit {
		l.refused(err)
		return
	}
	l.postpone(l.s.glareDelay())
}

// postpone gives our offer up and makes it anew after a while; that of a restart
// is kept. Until then the peer's own can come through, and further ones of ours
// wait.
func (l *leg) postpone(wait time.Duration) { // [locked]
	x := l.open
	if l.oa.step(oaRefused) != oaAbandon {
		return
	}
	if x.kept == nil {
		l.abandon(x)
		l.keepMedia(x, false)
		x.media = nil
	}
	l.open = nil
	l.waiting = append([]*exchange{x}, l.waiting...)
	l.glare = l.s.after(wait, func() {
		l.glare = nil
		l.next()
	})
}

// maxTries is how often an offer is made at least that meets 491 each time.
const maxTries = 8

// glareDelay is how long to wait after a 491: 2.1 s to 4 s for who made the
// Call-ID, up to 2 s for the other, in steps of 10 ms (RFC 3261 §14.1).
func (s *Session) glareDelay() time.Duration {
	if s.direction == Outbound {
		return 2100*time.Millisecond + time.Duration(randomN(191))*10*time.Millisecond
	}
	return time.Duration(randomN(201)) * 10 * time.Millisecond
}
