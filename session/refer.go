package session

import (
	"context"
	"errors"
	"strings"

	"github.com/gosipua/sipua/sip"
)

// ReferOptions shape a REFER of ours. Nil means all defaults.
type ReferOptions struct {
	// NoSubscription asks the far end not to report what comes of it
	// (Refer-Sub: false, RFC 4488). It may report all the same.
	NoSubscription bool

	// KeepCall leaves the call as it is when the transfer has succeeded. By
	// default it is hung up then, as phones do; its cause is ErrTransferred. With
	// NoSubscription granted success is the far end's agreement. A transfer that
	// failed, or whose outcome nobody told, leaves the call up in any case.
	KeepCall bool

	// Replaces has the far end replace a dialog of the target's (RFC 3891), as
	// ReferTo does; see [Session.Replaces]. The zero value: none.
	Replaces sip.Replaces

	// Progress gets what is told of this transfer, in place of Handler.Transfer
	// and in the same way.
	Progress func(TransferProgress)

	// Headers are added to the REFER. A Referred-By among them stands in the place
	// of ours, which is our own identity (RFC 3892 §2.1).
	Headers []sip.Field
}

// Refer asks the far end to call target, which is what UA.Call takes: a blind
// transfer (RFC 3515, RFC 5589 §6). It returns when the far end has agreed to
// try, or with its refusal, a *[sip.ResponseError]; the Transfer and
// Handler.Transfer tell what comes of it, also when the call has ended. The end
// of ctx ends the waiting only.
//
// The call goes on meanwhile; what becomes of it is the choice of
// [ReferOptions.KeepCall].
func (s *Session) Refer(ctx context.Context, target string, o *ReferOptions) (*Transfer, error) {
	if o == nil {
		o = &ReferOptions{}
	}
	uri, err := sip.NormalizeTarget(target, s.m.o.Domain, s.m.o.KeepTel)
	if err != nil {
		return nil, err
	}
	req, to, err := referFor(uri, s.LocalIdentity().URI, sip.URI{}, o)
	if err != nil {
		return nil, err
	}
	if err := s.waitConfirmed(ctx); err != nil {
		return nil, err
	}
	c := s.m.core
	c.Lock()
	if s.usage.state != Confirmed {
		defer c.Unlock()
		return nil, s.cause()
	}
	t := s.references(s.leg.dialog).transfer(to, o)
	t.refs.add(t) // a NOTIFY may overtake the 2xx
	c.Unlock()
	res, err := s.do(ctx, req, func(out *sip.Request) {
		t.joins(s.references(s.leg.dialog)) // another may have taken the place of the dialog
		t.seq = out.CSeq().Seq
	})
	return t.referred(ctx, res, err)
}

// ReferTo asks the far end to take our place in other, another call of this UA:
// an attended transfer (RFC 5589 §7.3). The far end of this call calls that of
// other with a Replaces that names other (RFC 3891), and the two are connected.
// It is called at the address that other's far end has as a GRUU, else at its
// identity (RFC 5589 §7.5). Otherwise ReferTo is [Session.Refer]. The far end of
// other hangs other up.
//
// Where other is a call of ours that nobody has answered yet, ReferTo waits
// until somebody does: a semi-attended transfer as RFC 5589 §7.6 recommends it.
// To give that up, and to transfer blindly, hang other up and then use Refer.
// Where other is a call that rings at ours, its caller is asked for with an
// early-only Replaces: the far end of this call picks it up.
func (s *Session) ReferTo(ctx context.Context, other *Session, o *ReferOptions) (*Transfer, error) {
	if other == s {
		return nil, ErrState
	}
	if other.direction == Outbound {
		if err := other.WaitAnswered(ctx); err != nil {
			return nil, err
		}
	}
	attended := ReferOptions{}
	if o != nil {
		attended = *o
	}
	other.m.core.Lock()
	attended.Replaces = other.replaces()
	target, err := other.referURI(), other.cause()
	other.m.core.Unlock()
	if attended.Replaces == (sip.Replaces{}) {
		return nil, err
	}
	return s.Refer(ctx, target.String(), &attended)
}

// Replaces names the call as its far end knows it, for a Replaces that is to
// meet that far end (RFC 3891 §4): in [CallOptions] or [ReferOptions]. For a
// call that rings at ours it is early-only. The zero value: the call has no
// dialog that may be replaced (any more), as a call of ours before its answer.
func (s *Session) Replaces() sip.Replaces {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	return s.replaces()
}

func (s *Session) replaces() sip.Replaces { // [locked]
	early := s.usage.state == Ringing || s.usage.state == Answering
	if s.leg.dialog == nil || !early && s.usage.state != Accepted && s.usage.state != Confirmed {
		return sip.Replaces{}
	}
	id := s.leg.dialog.ID()
	return sip.Replaces{CallID: id.CallID, ToTag: id.RemoteTag, FromTag: id.LocalTag, EarlyOnly: early}
}

// referURI is where others reach the far end of the call: its Contact where that
// is a GRUU, else its identity, since the Contact of a WebSocket client leads
// nowhere outside of its dialogs (RFC 5589 §7.3, §7.5; RFC 7118 §5).
func (s *Session) referURI() sip.URI { // [locked]
	if s.leg.dialog == nil {
		return sip.URI{}
	}
	contact, identity := s.leg.dialog.RemoteTarget(), s.remote.URI
	if contact.Params.Has("gr") || strings.HasSuffix(identity.Host, ".invalid") {
		return contact
	}
	identity.Headers = ""
	return identity
}

// Refer asks target, outside of any call, to call referTo (RFC 3515 §4.1); both
// are what UA.Call takes. It waits for a connection as long as ctx and otherwise
// is [Session.Refer]. Of several that take it where target forks, the first to
// report is heard.
func (m *Manager) Refer(ctx context.Context, target, referTo string, o *ReferOptions) (*Transfer, error) {
	if o == nil {
		o = &ReferOptions{}
	}
	uri, err := sip.NormalizeTarget(target, m.o.Domain, m.o.KeepTel)
	if err != nil {
		return nil, err
	}
	asked, err := sip.NormalizeTarget(referTo, m.o.Domain, m.o.KeepTel)
	if err != nil {
		return nil, err
	}
	req, to, err := referFor(asked, m.o.Identity, uri, o)
	if err != nil {
		return nil, err
	}
	t, err := m.expectTransfer(req, to, o)
	if err != nil {
		return nil, err
	}
	res, err := m.core.Do(ctx, req)
	return t.referred(ctx, res, err)
}

// expectTransfer completes a REFER outside of dialogs, and has its NOTIFYs taken
// from now on.
func (m *Manager) expectTransfer(req *sip.Request, to sip.NameAddr, o *ReferOptions) (*Transfer, error) {
	m.core.Lock()
	defer m.core.Unlock()
	if m.closed != nil {
		return nil, m.closed
	}
	callID, from := sip.NewCallID(), m.core.From().WithTag(sip.NewTag())
	if err := errors.Join(req.SetCallID(callID), req.SetFrom(from)); err != nil {
		return nil, err
	}
	r := &references{m: m, events: m.core.NewQueue(nil), alone: true, callID: callID, tag: from.Tag()}
	t := r.transfer(to, o)
	r.add(t)
	m.core.Expect(r.callID, r.tag, r.begin)
	return t, nil
}

// transfer returns a transfer that is about to be asked for.
func (r *references) transfer(to sip.NameAddr, o *ReferOptions) *Transfer { // [locked]
	t := &Transfer{refs: r, target: to, hangup: !o.KeepCall, progress: o.Progress, done: make(chan struct{})}
	if s := r.s; s != nil && t.progress == nil {
		if h := s.handler.Transfer; h != nil {
			t.progress = func(p TransferProgress) { h(s, p) }
		}
	}
	return t
}

// joins has the transfer go on among those of another dialog.
func (t *Transfer) joins(r *references) { // [locked]
	if t.refs != r && t.state != subOver {
		t.refs.forget(t)
		t.refs = r
		r.add(t)
	}
}

// referred takes what the REFER came to.
func (t *Transfer) referred(ctx context.Context, res *sip.Response, err error) (*Transfer, error) {
	t.refs.m.core.Lock()
	defer t.refs.m.core.Unlock()
	switch {
	case err == nil:
		t.agreed(res)
		return t, nil
	case ctx.Err() != nil: // the far end may still agree
		t.expectWithin(referGrace)
	default:
		t.step(subRefused, TransferProgress{Err: err})
	}
	return nil, err
}

// referFor makes a REFER to uri, or inside a dialog where that is zero, that
// refers to target.
func referFor(target, self, uri sip.URI, o *ReferOptions) (*sip.Request, sip.NameAddr, error) {
	if o.Replaces != (sip.Replaces{}) {
		target = target.WithHeader("Replaces", o.Replaces.String())
		if !target.Params.Has("gr") { // it may reach another device, RFC 5589 §7.3
			target = target.WithHeader("Require", "replaces")
		}
	}
	to := sip.NameAddr{URI: target}
	req := sip.NewRequest(sip.REFER, uri)
	err := req.SetHeader("Refer-To", to.String())
	for _, f := range o.Headers {
		err = errors.Join(err, req.AddHeader(f.Name, f.Value))
	}
	if !req.HasHeader("Referred-By") {
		err = errors.Join(err, req.SetHeader("Referred-By", sip.NameAddr{URI: self}.String()))
	}
	if o.NoSubscription {
		err = errors.Join(err, req.SetHeader("Refer-Sub", "false"))
	}
	if !uri.IsZero() {
		err = errors.Join(err, req.SetTo(sip.NameAddr{URI: uri}))
	}
	return req, to, err
}

// refusesSubscription reads Refer-Sub (RFC 4488 §4).
func refusesSubscription(m interface{ Header(string) string }) bool {
	value, _, _ := strings.Cut(m.Header("Refer-Sub"), ";")
	return strings.EqualFold(strings.TrimSpace(value), "false")
}
