package session

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/gosipua/sipua/sip"
)

// CallOptions shape an outgoing call. Nil means all defaults.
type CallOptions struct {
	// Media makes the media of this call; nil means the UA's own.
	Media MediaFactory
	// Handler gets the call's events; nil means Config.Handler.Session.
	Handler *Handler
	// Headers are added to the INVITE, in place of those of the library where it
	// has one of the name. P-Asserted-Identity belongs here too, for a gateway
	// that its server believes (RFC 3325 §5).
	Headers []sip.Field
	// From replaces our own identity in From, or the anonymous one where the
	// provider wants another; the zero value keeps it.
	From sip.NameAddr
	// PreferredIdentity says which of our identities the server is to assert
	// (P-Preferred-Identity, RFC 3325 §9.2); the zero value says nothing, and in
	// an anonymous call our own address.
	PreferredIdentity sip.NameAddr
	// Anonymous keeps our identity from the far end; zero means Identified.
	Anonymous Anonymity
	// ToDisplayName is the called party's name in To; empty means none.
	ToDisplayName string
	// InfoPackages are the Info Packages that the call takes (RFC 6086 §5.2.2); nil
	// means the UA's, an empty slice none.
	InfoPackages []string
	// LateOffer leaves the offer to the far end: the INVITE carries none, its
	// 2xx does, and the answer goes with the ACK (RFC 3261 §13.2.1); or a reliable
	// provisional response does, and the answer goes with the PRACK (RFC 3262 §5).
	LateOffer bool
	// Reliability says how the call treats reliable provisional responses; zero
	// means as the UA does (RFC 3262).
	Reliability Reliability
	// SessionExpires is the interval to ask for in which the session has to be
	// refreshed (RFC 4028 §7.1), at least the UA's minimum. Zero means the UA's,
	// negative none; one that the far end or a server asks for is kept all the
	// same. It has no effect where the UA has no session timers.
	SessionExpires time.Duration
	// MediaRecovery says what the call does about a media path that is lost; zero
	// means as the UA does.
	MediaRecovery MediaRecovery
	// RingTimeout gives the call up when nobody answers; zero means the UA's. It
	// covers all addresses that the call is redirected to.
	RingTimeout time.Duration
	// Expires is how long the INVITE is good for: without a final response by
	// then servers, the far end and we give the call up, and it ends as
	// EndExpired (RFC 3261 §13.2.1). Whole seconds, one at least; zero means no
	// limit but RingTimeout.
	Expires time.Duration
	// PlaceAgain has the call placed again when its connection goes while it is
	// being set up and nothing comes of that: where 8 s (2*T2) after the next
	// connection is ready no response was heard, the INVITE is canceled and
	// another one sent, once, with the same fields and offer but a Call-ID of its
	// own. The Session goes back to Calling, RingTimeout goes on. Somebody's phone
	// may ring twice for it, which is why it is off by default: the call then
	// ends as EndTransportLost with a *LostError.
	PlaceAgain bool
	// Redirect decides whether the call goes on where a 3xx sends it: it
	// returns the addresses to try, usually some of the Redirection's Contacts,
	// in their order, and none to let the call end. Nil lets it end:
	// EndError.Contacts tells where it was sent. It runs among the handlers of
	// the call, and the call waits for it in state Preparing.
	//
	// The addresses are tried one by one until one answers or refuses for all
	// (6xx), each with the same INVITE under the next CSeq number, the header
	// fields in an address as with Invite (RFC 3261 §8.1.3.4). No address is
	// tried twice, none beyond MaxRedirects, and none that
	// sip.NormalizeTarget does not take, sips: among them. Passwords that they
	// ask for are given to proxies and proven realms only.
	Redirect func(s *Session, r *Redirection) []sip.NameAddr
	// Replaces has the callee replace a dialog of its own with this call
	// (RFC 3891): one that another call names with [Session.Replaces], or that was
	// learned elsewhere. The zero value: none. A callee that knows nothing of it
	// takes an ordinary call, unless Headers have a Require: replaces.
	Replaces sip.Replaces
}

// Invite starts a call and returns at once, before any media is made; the end
// of the call, and its failure, shows in the Session. ctx ends the call only
// if it has ended already.
//
// Target is what sip.NormalizeTarget takes. Of a SIP URI with header fields, as
// in "sip:bob@example.com?Subject=Lunch", those go into the INVITE that only
// inform: Subject, Priority, Call-Info, Alert-Info, In-Reply-To, User-to-User,
// Diversion, History-Info, Reason, Accept-Contact, Reject-Contact,
// Request-Disposition and what begins with X-; all others are left out, as is
// method (RFC 3261 §19.1.5). CallOptions.Headers go before them.
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
	p, err := m.plan(uri, o)
	if err != nil {
		return nil, err
	}
	m.core.Lock()
	defer m.core.Unlock()
	s, err := m.outbound(p)
	if err != nil {
		return nil, err
	}
	s.prepare()
	return s, nil
}

// plan is a call that can be made.
type plan struct {
	req     *sip.Request
	factory MediaFactory
	o       *CallOptions
}

// plan checks all that can be wrong with a call by itself.
func (m *Manager) plan(uri sip.URI, o *CallOptions) (*plan, error) {
	if err := checkPackages(o.InfoPackages); err != nil {
		return nil, err
	}
	req, err := inviteFor(uri, o)
	if err != nil {
		return nil, err
	}
	factory, err := o.Anonymous.factory(m.factory(o.Media))
	if err != nil {
		return nil, err
	}
	return &plan{req, factory, o}, nil
}

// outbound returns the call of p, before anything of it is made.
func (m *Manager) outbound(p *plan) (*Session, error) { // [locked]
	req, o := p.req, p.o
	if err := m.stampReliability(req, o.Reliability); err != nil {
		return nil, err
	}
	s, err := m.newSession(Outbound, req.CallID(), Preparing, 0)
	if err != nil {
		return nil, err
	}
	s.factory = p.factory
	s.remote = req.To()
	s.local = o.From
	if s.local == (sip.NameAddr{}) {
		s.local = sip.NameAddr{URI: m.o.Identity}
	}
	s.setHandler(o.Handler)
	s.setPackages(o.InfoPackages)
	s.timing.setInterval(o.SessionExpires)
	s.recoverMedia(o.MediaRecovery)
	s.out = &outgoing{req: req, late: o.LateOffer, root: s.leg, anonymous: o.Anonymous != Identified, expires: o.Expires,
		setup: setup{again: o.PlaceAgain}, redirects: redirects{ask: o.Redirect}}
	s.out.limit = o.RingTimeout
	if s.out.limit == 0 {
		s.out.limit = m.o.RingTimeout
	}
	s.out.ring = s.after(s.out.limit, s.ringTimeout)
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

// inviteFor is the INVITE that o asks for, without a body.
func inviteFor(uri sip.URI, o *CallOptions) (*sip.Request, error) {
	uri, fields := splitTarget(uri)
	for _, f := range o.Headers {
		name := sip.CanonicalName(f.Name)
		if slices.Contains(ownFields, name) && name != "Route" {
			return nil, &sip.FieldError{Field: f.Name, Reason: "written by the library"}
		}
	}
	req := sip.NewRequest(sip.INVITE, uri)
	err := errors.Join(req.SetTo(sip.NameAddr{Display: o.ToDisplayName, URI: uri}), req.SetCallID(sip.NewCallID()))
	if o.From != (sip.NameAddr{}) {
		err = errors.Join(err, req.SetFrom(o.From.WithTag(sip.NewTag())))
	}
	if o.PreferredIdentity != (sip.NameAddr{}) {
		err = errors.Join(err, req.SetHeader("P-Preferred-Identity", o.PreferredIdentity.String()))
	}
	if o.Replaces != (sip.Replaces{}) {
		err = errors.Join(err, req.SetHeader("Replaces", o.Replaces.String()))
	}
	if o.Expires != 0 {
		err = errors.Join(err, setExpires(req, o.Expires))
	}
	return req, errors.Join(err, req.SetFields(fields...), req.SetFields(o.Headers...))
}

func setExpires(req *sip.Request, d time.Duration) error {
	if d < time.Second || d%time.Second != 0 {
		return &sip.FieldError{Field: "Expires", Reason: "not whole seconds"}
	}
	return req.SetHeader("Expires", strconv.FormatInt(int64(d/time.Second), 10))
}
