package session

import (
	"context"
	"errors"
	"time"

	"github.com/gosipua/sipua/sip"
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
	// InfoPackages are the Info Packages that the call takes (RFC 6086 §5.2.2); nil
	// means the UA's, an empty slice none.
	InfoPackages []string
	// LateOffer leaves the offer to the far end: the INVITE carries none, its
	// 2xx does, and the answer goes with the ACK (RFC 3261 §13.2.1).
	LateOffer bool
	// RingTimeout gives the call up when nobody answers; zero means the UA's.
	RingTimeout time.Duration
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
	if err := checkPackages(o.InfoPackages); err != nil {
		return nil, err
	}
	req, err := inviteFor(uri, o)
	if err != nil {
		return nil, err
	}
	m.core.Lock()
	defer m.core.Unlock()
	s, err := m.newSession(Outbound, req.CallID(), Preparing)
	if err != nil {
		return nil, err
	}
	s.factory = m.factory(o.Media)
	s.remote = req.To()
	s.local = o.From
	if s.local == (sip.NameAddr{}) {
		s.local = sip.NameAddr{URI: m.o.Identity}
	}
	s.setHandler(o.Handler)
	s.setPackages(o.InfoPackages)
	s.out = &outgoing{req: req, late: o.LateOffer, root: s.leg}
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
