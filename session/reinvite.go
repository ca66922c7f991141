package session

import (
	"context"
	"errors"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// RenegotiateOptions shape a new offer inside a call. Nil means all defaults.
type RenegotiateOptions struct {
	// UseUpdate sends the offer in an UPDATE (RFC 3311) instead of a re-INVITE.
	UseUpdate bool
	// ICERestart renews ICE (RFC 8839 §4.4.1).
	ICERestart bool
}

// Hold puts the far end on hold: we go on sending, it stops (RFC 3264 §8.4).
// It returns when the far end has agreed; on an error the call is as it was.
// While another offer is under way Hold waits for its end.
func (s *Session) Hold(ctx context.Context) error { return s.setHold(ctx, true) }

// Unhold takes the far end off hold, as Hold puts it on.
func (s *Session) Unhold(ctx context.Context) error { return s.setHold(ctx, false) }

func (s *Session) setHold(ctx context.Context, hold bool) error {
	s.m.core.Lock()
	if s.usage.state == Confirmed && s.holding.LocalHold == hold && s.oa.state == oaStable && len(s.waiting) == 0 {
		s.m.core.Unlock()
		return nil
	}
	s.m.core.Unlock()
	return s.reoffer(ctx, OfferOptions{Hold: hold}, sip.INVITE)
}

// Held tells who keeps the call on hold.
func (s *Session) Held() HoldState {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	return HoldState{Local: s.holding.LocalHold, Remote: s.holding.RemoteHold}
}

// Renegotiate makes a new offer, as Hold does, and leaves hold as it is.
func (s *Session) Renegotiate(ctx context.Context, o *RenegotiateOptions) error {
	if o == nil {
		o = &RenegotiateOptions{}
	}
	method := sip.INVITE
	if o.UseUpdate {
		method = sip.UPDATE
	}
	return s.reoffer(ctx, OfferOptions{Hold: s.Held().Local, ICERestart: o.ICERestart}, method)
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
	if media := s.media; media != nil {
		s.work(func() { media.Mute(set, mute) }, nil)
	}
	if h, now := s.handler.Mute, s.muted; h != nil {
		s.events.Push(func() { h(s, now) })
	}
}

// reoffer makes an offer inside the call and waits for its outcome. ctx ends
// the waiting only.
func (s *Session) reoffer(ctx context.Context, o OfferOptions, method sip.Method) error {
	c := s.m.core
	c.Lock()
	if s.usage.state != Confirmed {
		defer c.Unlock()
		return s.cause()
	}
	outcome := make(chan error, 1)
	s.offer(&exchange{opts: o, sendOffer: s.reinvite(method), done: func(err error) { outcome <- err }})
	c.Unlock()
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// reinvite returns what puts an offer of ours onto the wire inside the dialog.
func (s *Session) reinvite(method sip.Method) func(Description) {
	return func(d Description) { s.sendOffer(method, d) }
}

func (s *Session) sendOffer(method sip.Method, d Description) { // [locked]
	req := s.dialog.NewRequest(method)
	if err := req.SetBody(d.ContentType, d.Body); err != nil {
		s.refused(err)
		return
	}
	r := &reoffering{s: s, method: method}
	s.inv = &core.Outgoing{Request: req, Dialog: s.dialog, OnResponse: r.response, OnFail: r.failed}
	r.out = s.inv
	s.m.core.Send(s.inv)
}

// reoffering is a re-INVITE or UPDATE of ours.
type reoffering struct {
	s      *Session
	method sip.Method
	out    *core.Outgoing
	ack    func() // repeats the ACK
}

func (r *reoffering) response(res *sip.Response) { // [locked]
	s, code := r.s, res.StatusCode()
	switch {
	case code.IsProvisional():
	case code.IsSuccess() && r.ack != nil:
		r.ack()
	case code.IsSuccess():
		r.success(res)
	case code == sip.StatusRequestPending:
		s.inv = nil
		s.offerAgain()
	default:
		err := &sip.ResponseError{Method: r.method, Response: res}
		r.failed(err)
		s.dialogGone(err)
	}
}

func (r *reoffering) success(res *sip.Response) { // [locked]
	s := r.s
	s.inv = nil
	s.dialog.Refresh(res)
	if r.method == sip.INVITE {
		r.ack = s.m.core.SendACK(s.dialog, r.out, "", nil)
	} else {
		r.ack = func() {}
	}
	d, _ := descriptionOf(res)
	s.answerCame(d)
}

func (r *reoffering) failed(err error) { // [locked]
	s := r.s
	s.inv = nil
	s.refused(err)
	var timeout *sip.TimeoutError
	if errors.As(err, &timeout) {
		s.dialogGone(err)
	}
}

// offerAgain gives our offer up after a 491 and makes it anew after a while,
// in which the peer's own offer can come through (RFC 3261 §14.1).
func (s *Session) offerAgain() { // [locked]
	x := s.open
	if x == nil || s.oa.step(oaRefused) != oaAbandon {
		return
	}
	s.abandon(x)
	s.keepMedia(x, false)
	s.open, x.media = nil, nil
	s.waiting = append([]*exchange{x}, s.waiting...)
	s.glare = s.after(s.glareDelay(), func() {
		s.glare = nil
		s.next()
	})
}

// glareDelay is how long to wait after a 491: 2.1 s to 4 s for who made the
// Call-ID, up to 2 s for the other, in steps of 10 ms (RFC 3261 §14.1).
func (s *Session) glareDelay() time.Duration {
	if s.direction == Outgoing {
		return 2100*time.Millisecond + time.Duration(randomN(191))*10*time.Millisecond
	}
	return time.Duration(randomN(201)) * 10 * time.Millisecond
}
