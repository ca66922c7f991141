package session

import (
	"context"
	"errors"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/dialog"
)

// CallOptions shape an outgoing call. Nil means all defaults.
type CallOptions struct {
	// Media makes the media of this call; nil means the UA's own.
	Media MediaFactory
	// Handler gets the call's events; nil means Config.Handler.Session.
	Handler *Handler
	// Headers are added to the INVITE.
	Headers []sip.Field
	// From replaces our own identity in From; the zero value keeps it.
	From sip.NameAddr
	// LateOffer leaves the offer to the far end: the INVITE carries none, its
	// 2xx does, and the answer goes with the ACK (RFC 3261 §13.2.1).
	LateOffer bool
	// RingTimeout gives the call up when nobody answers; zero means the UA's.
	RingTimeout time.Duration
}

// outgoing is the caller's side of an INVITE.
type outgoing struct {
	invite *core.Outgoing
	req    *sip.Request // the INVITE before it leaves
	late   bool
	forks  []*fork
	early  *fork       // whose early media are bound to the path
	answer Description // what early was answered with
	won    *fork
	ring   *timer
	giveUp *timer // 64*T1 after CANCEL
}

// fork is one dialog that an INVITE made (RFC 3261 §12.1, §13.2.2.4).
type fork struct {
	dialog *dialog.Dialog
	resend func() // repeats the ACK; nil until one left
}

// Invite starts a call and returns at once, before any media is made; the end
// of the call, and its failure, shows in the Session. ctx ends the call only
// if it has ended already.
func (m *Manager) Invite(ctx context.Context, target string, o *CallOptions) (*Session, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if o == nil {
		o = &CallOptions{}
	}
	uri, err := sip.NormalizeTarget(target, m.o.Domain, m.o.KeepTel)
	if err != nil {
		return nil, err
	}
	req, err := inviteFor(uri, o)
	if err != nil {
		return nil, err
	}
	m.core.Lock()
	defer m.core.Unlock()
	s := m.newSession(Outgoing, Preparing)
	if err := m.add(s); err != nil {
		return nil, err
	}
	s.factory = m.factory(o.Media)
	s.callID = req.CallID()
	s.remote = req.To()
	s.local = o.From
	if s.local == (sip.NameAddr{}) {
		s.local = sip.NameAddr{URI: m.o.Identity}
	}
	s.setHandler(o.Handler)
	s.out = &outgoing{req: req, late: o.LateOffer}
	ring := o.RingTimeout
	if ring == 0 {
		ring = m.o.RingTimeout
	}
	s.out.ring = s.after(ring, s.ringTimeout)
	s.prepare()
	return s, nil
}

// Call is Invite and WaitAnswered in one: it returns when the call is up, or
// why it is not. When ctx ends first, Call returns its cause at once and the
// call is given up: CANCEL, or ACK and BYE for an answer that comes too late.
func (m *Manager) Call(ctx context.Context, target string, o *CallOptions) (*Session, error) {
	s, err := m.Invite(ctx, target, o)
	if err != nil {
		return nil, err
	}
	if err := s.WaitAnswered(ctx); err != nil {
		if ctx.Err() != nil {
			m.core.Lock()
			s.hangup(context.Cause(ctx))
			m.core.Unlock()
		}
		return nil, err
	}
	return s, nil
}

func inviteFor(uri sip.URI, o *CallOptions) (*sip.Request, error) {
	req := sip.NewRequest(sip.INVITE, uri)
	err := errors.Join(req.SetTo(sip.NameAddr{URI: uri}), req.SetCallID(sip.NewCallID()))
	if o.From != (sip.NameAddr{}) {
		err = errors.Join(err, req.SetFrom(o.From.WithTag(sip.NewTag())))
	}
	for _, f := range o.Headers {
		err = errors.Join(err, req.AddHeader(f.Name, f.Value))
	}
	return req, err
}

// prepare makes the offer, or sends the INVITE at once where it carries none.
func (s *Session) prepare() { // [locked]
	if s.out.late {
		s.step(inOfferReady, event{})
		return
	}
	s.offer(&exchange{
		sendOffer: func(d Description) { s.step(inOfferReady, event{desc: d}) },
		done:      s.inviteAgreed,
	})
}

// inviteAgreed is the outcome of the exchange in the INVITE.
func (s *Session) inviteAgreed(err error) { // [locked]
	if err != nil {
		s.step(inMediaFailed, event{code: sip.StatusNotAcceptableHere, end: &EndError{Kind: EndMediaFailed, Err: err}})
		return
	}
	s.settle()
}

func (s *Session) sendInvite(d Description) { // [locked]
	req := s.out.req
	if len(d.Body) > 0 {
		s.logError("body of INVITE", req.SetBody(d.ContentType, d.Body))
	}
	s.out.invite = &core.Outgoing{
		Request:    req,
		Wait:       s.m.o.RingTimeout,
		OnResponse: s.inviteResponse,
		OnFail: func(err error) {
			s.step(inFailure, event{end: inviteFailure(err)})
		},
	}
	s.m.core.Send(s.out.invite)
	if sent := s.out.invite.Sent(); sent != nil {
		s.local = sent.From()
	}
}

// inviteFailure says how a call ended that got no final response.
func inviteFailure(err error) *EndError {
	var timeout *sip.TimeoutError
	switch {
	case errors.As(err, &timeout):
		return &EndError{Kind: EndTimeout, Err: err}
	case errors.Is(err, context.Canceled):
		return &EndError{Kind: EndCanceled, Err: err}
	}
	return &EndError{Kind: EndTransportLost, Err: err}
}

// inviteResponse takes each response to the INVITE, those of every fork.
func (s *Session) inviteResponse(res *sip.Response) { // [locked]
	code := res.StatusCode()
	switch {
	case code == sip.StatusTrying:
		s.step(inProvisional, event{})
	case code.IsProvisional():
		s.provisional(res)
	case code.IsSuccess():
		s.success(res)
	default:
		s.out.ring.stop()
		s.step(inFailure, event{end: &EndError{
			Remote: true, Kind: EndRejected, Reason: res.Headers("Reason"),
			Err: &sip.ResponseError{Method: sip.INVITE, Response: res},
		}})
	}
}

func (s *Session) provisional(res *sip.Response) { // [locked]
	if s.usage.state.Ended() || s.out.won != nil {
		return
	}
	f := s.forkFor(res)
	s.noteIdentity(res)
	if f == nil {
		s.step(inProvisional, event{})
		s.emitProgress(res)
		return
	}
	s.dialog = f.dialog
	s.step(inEarly, event{})
	s.emitProgress(res)
	if d, ok := descriptionOf(res); ok && !s.out.late && (s.out.early == nil || s.out.early == f) {
		s.out.early, s.out.answer = f, d
		s.earlyAnswer(d)
	}
}

// success takes a 2xx: the first makes the call, a repeated one gets its ACK
// again, another fork's gets an ACK and a BYE of its own (RFC 3261 §13.2.2.4).
func (s *Session) success(res *sip.Response) { // [locked]
	f := s.forkFor(res)
	if f == nil {
		if s.out.won == nil {
			s.step(inFailure, event{end: &EndError{Remote: true, Kind: EndDialogError,
				Err: &sip.ResponseError{Method: sip.INVITE, Response: res}}})
		}
		return
	}
	switch {
	case f.resend != nil:
		f.resend()
		return
	case f == s.out.won: // its ACK waits for the answer to a late offer
		return
	case s.out.won != nil:
		f.dialog.Confirm(res)
		f.resend = s.m.core.SendACK(f.dialog, s.out.invite, "", nil)
		s.endFork(f)
		return
	}
	s.out.won = f
	s.out.ring.stop()
	s.out.giveUp.stop()
	f.dialog.Confirm(res)
	s.dialog = f.dialog
	s.noteIdentity(res)
	s.step(inSuccess, event{res: res, fork: f})
}

// endFork hangs up the dialog of a fork that lost.
func (s *Session) endFork(f *fork) { // [locked]
	s.m.core.Send(&core.Outgoing{Request: f.dialog.NewRequest(sip.BYE), Dialog: f.dialog})
}

// forkFor returns the fork that res belongs to, a new one for a new To tag;
// nil if res makes no dialog.
func (s *Session) forkFor(res *sip.Response) *fork { // [locked]
	tag := res.To().Tag()
	if tag == "" {
		return nil
	}
	for _, f := range s.out.forks {
		if f.dialog.ID().RemoteTag == tag {
			return f
		}
	}
	d, err := dialog.NewClient(s.out.invite.Sent(), res)
	if err != nil {
		s.logError("dialog of "+res.StatusCode().Error(), err)
		return nil
	}
	f := &fork{dialog: d}
	s.out.forks = append(s.out.forks, f)
	s.m.core.Attach(d, s)
	return f
}

// acknowledge answers the 2xx: at once where the INVITE carried the offer,
// with the answer where the 2xx does. keep says that the call is wanted.
func (s *Session) acknowledge(e event, keep bool) { // [locked]
	ack := func(d Description) {
		e.fork.resend = s.m.core.SendACK(e.fork.dialog, s.out.invite, d.ContentType, d.Body)
	}
	d, _ := descriptionOf(e.res)
	if !s.out.late || !keep {
		ack(Description{})
		if keep {
			s.takeAnswer(d)
		}
		return
	}
	if len(d.Body) == 0 {
		ack(Description{})
		s.inviteAgreed(errNoAnswerSDP)
		return
	}
	s.offerCame(&exchange{
		sendAnswer: ack,
		refuse: func(_ sip.StatusCode, why error) {
			ack(Description{})
			s.inviteAgreed(errors.Join(ErrUnacceptable, why))
		},
		done: func(err error) {
			if err == nil {
				s.settle()
			}
		},
	}, d)
}

// takeAnswer takes the answer of the 2xx. One that was there already in a
// provisional response of the same fork need not come again.
func (s *Session) takeAnswer(d Description) { // [locked]
	if len(d.Body) == 0 && s.out.early == s.out.won && s.out.early != nil {
		d = s.out.answer
	}
	s.answerCame(d)
}

// sendCancel gives up the INVITE (RFC 3261 §9.1).
func (s *Session) sendCancel(e event) { // [locked]
	s.out.ring.stop()
	s.out.invite.Cancel(e.fields...)
	s.out.giveUp = s.after(64*t1, func() {
		s.out.invite.Abandon()
		s.step(inWireDone, event{})
	})
}

func (s *Session) ringTimeout() { // [locked]
	s.step(inRingTimeout, event{end: &EndError{Kind: EndNoAnswer, Err: &sip.TimeoutError{Timer: "RingTimeout", Method: sip.INVITE}}})
}
