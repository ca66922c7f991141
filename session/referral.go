package session

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/dialog"
)

// referLimit is how long a REFER may wait for a decision: its sender gives up
// after 64*T1 (Timer F, RFC 3261 §17.1.2.2), and the answer takes its time.
const referLimit = 50 * t1

// Referral is a REFER of the far end's that waits for a decision: Accept or
// Reject (RFC 3515 §2.4.2). Nothing is called without Accept. The decision may
// come later and from any goroutine; after 25 s without one the far end gets
// 480.
type Referral struct {
	m        *Manager
	s        *Session
	refs     *references // nil for a REFER that makes a dialog
	in       *core.Incoming
	target   sip.NameAddr
	uri      sip.URI // to call
	replaces sip.Replaces
	headers  []sip.Field // of the call, as asked for
	ctx      context.Context
	cancel   context.CancelCauseFunc

	// guarded by the core's mutex
	id      string // of Event
	decided bool
	limit   *core.Timer
}

// Context ends when the REFER can no longer be decided on; context.Cause says
// why. It ends with Accept and Reject too.
func (r *Referral) Context() context.Context { return r.ctx }

// Session is the call that is to be transferred, nil for a REFER that names
// none.
func (r *Referral) Session() *Session { return r.s }

// Request is the REFER as it came; read-only.
func (r *Referral) Request() *sip.Request { return r.in.Request() }

// Target is whom we are asked to call: the Refer-To.
func (r *Referral) Target() sip.NameAddr { return r.target }

// ReferredBy is who asks for it, as it says itself; ok is false when it does
// not say (RFC 3892 §3).
func (r *Referral) ReferredBy() (from sip.NameAddr, ok bool) { return r.in.Request().ReferredBy() }

// Replaces is the dialog of the target's that the call is to replace, in an
// attended transfer; ok is false in a blind one (RFC 3891).
func (r *Referral) Replaces() (replaces sip.Replaces, ok bool) {
	return r.replaces, r.replaces != (sip.Replaces{})
}

// Accept agrees and calls the target: it answers 200 (which RFC 7647 §5 has in
// place of 202), reports to the far end as long as it listens and the target has
// not decided, and returns the new call at once, as UA.Invite does; ctx ends the
// call only if it has ended already. The INVITE carries the REFER's Referred-By
// (RFC 3892 §2.2), Replaces, with it "Require: replaces" where that is asked for,
// and of the other fields in Refer-To those that UA.Invite takes from a target.
// On an error nothing was answered.
//
// What becomes of the call that is to be transferred is up to the far end, which
// hangs it up when it hears that the target answered, and to the application.
func (r *Referral) Accept(ctx context.Context, o *CallOptions) (*Session, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	call := CallOptions{}
	if o != nil {
		call = *o
	}
	call.Headers = slices.Concat(r.headers, call.Headers)
	if call.Replaces == (sip.Replaces{}) {
		call.Replaces = r.replaces
	}
	p, err := r.m.plan(r.uri, &call)
	if err != nil {
		return nil, err
	}
	c := r.m.core
	c.Lock()
	defer c.Unlock()
	if r.decided {
		return nil, r.cause()
	}
	refs, err := r.references()
	if err != nil {
		return nil, err
	}
	s, err := r.m.outbound(p)
	if err != nil {
		return nil, err
	}
	s.out.referred = true
	r.accept(refs, s)
	s.prepare()
	return s, nil
}

// accept answers the REFER and, unless the far end does not care, lets it know
// how the call goes.
func (r *Referral) accept(refs *references, s *Session) { // [locked]
	r.end(nil)
	req := r.in.Request()
	if refusesSubscription(req) {
		r.in.Reply(sip.StatusOK, "", sip.Field{Name: "Refer-Sub", Value: "false"})
		return
	}
	r.in.Reply(sip.StatusOK, "")
	if refs.alone {
		r.m.core.Attach(refs.dialog, refs)
	}
	s.report = refs.subscribe(r.id, strconv.FormatUint(uint64(req.CSeq().Seq), 10), s.out.limit)
}

// references returns where the subscription is to live: the dialog that the
// REFER is inside of, or the one that it makes.
func (r *Referral) references() (*references, error) { // [locked]
	if r.refs != nil {
		return r.refs, nil
	}
	d, err := r.in.NewDialog()
	if err != nil {
		return nil, err
	}
	d.SetState(dialog.Confirmed)
	return &references{m: r.m, dialog: d, events: r.m.core.NewQueue(nil), came: 1, alone: true}, nil
}

// Reject refuses the REFER with a final status of 400 to 699; nil options mean
// the RFC's reason phrase and no more. Usual is 603.
func (r *Referral) Reject(code sip.StatusCode, o *RejectOptions) error {
	if code < 400 || code > 699 {
		return ErrState
	}
	if o == nil {
		o = &RejectOptions{}
	}
	if err := checkFields(o.Reason, o.Headers); err != nil {
		return err
	}
	r.m.core.Lock()
	defer r.m.core.Unlock()
	if r.decided {
		return r.cause()
	}
	r.refuse(ErrState, code, o.Reason, o.Headers...)
	return nil
}

// cause is why the REFER cannot be decided on any more.
func (r *Referral) cause() error { return context.Cause(r.ctx) }

func (r *Referral) refuse(why error, code sip.StatusCode, reason string, fields ...sip.Field) { // [locked]
	r.end(why)
	r.in.Reply(code, reason, fields...)
}

// end notes that the REFER is decided on, or cannot be any more.
func (r *Referral) end(why error) { // [locked]
	if why == nil {
		why = ErrState
	}
	r.decided = true
	r.limit.Stop()
	r.cancel(why)
	if r.s != nil {
		r.s.referrals = slices.DeleteFunc(r.s.referrals, func(o *Referral) bool { return o == r })
	}
}

// receiveRefer takes a REFER inside the call.
func (s *Session) receiveRefer(in *core.Incoming) { // [locked]
	if s.usage.state != Confirmed && s.usage.state != Accepted || in.Dialog() != s.leg.dialog {
		in.Reply(sip.StatusForbidden, "") // not before the call is up
		return
	}
	s.m.referred(in, s.references(in.Dialog()))
}

// receiveRefer takes a REFER outside of dialogs. One that names a call's dialog
// is as good as one inside it (RFC 4538 §4, RFC 7647 §4).
func (m *Manager) receiveRefer(in *core.Incoming) { // [locked]
	var s *Session
	if id, ok := in.Request().TargetDialog(); ok {
		_, u := m.core.FindDialog(dialog.ID{CallID: id.CallID, LocalTag: id.ToTag, RemoteTag: id.FromTag})
		if d, ok := u.(inDialog); ok && !d.s.usage.state.Ended() {
			s = d.s
		}
	}
	m.offerReferral(&Referral{m: m, s: s, in: in})
}

// referred takes a REFER inside the dialog of refs.
func (m *Manager) referred(in *core.Incoming, refs *references) { // [locked]
	r := &Referral{m: m, s: refs.s, refs: refs, in: in}
	if refs.came++; refs.came > 1 { // RFC 3515 §2.4.6
		r.id = strconv.FormatUint(uint64(in.Request().CSeq().Seq), 10)
	}
	m.offerReferral(r)
}

// offerReferral hands a REFER to the application, or refuses it.
func (m *Manager) offerReferral(r *Referral) { // [locked]
	h := m.o.Refer
	if s := r.s; s != nil {
		h = nil
		if own := s.handler.Refer; own != nil {
			h = func(r *Referral) { own(s, r) }
		}
	}
	if h == nil { // nothing happens without consent
		r.in.Reply(sip.StatusDecline, "")
		return
	}
	if code, reason := r.read(); code != 0 {
		r.in.Reply(code, reason)
		return
	}
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	r.in.OnLost = r.end
	r.limit = m.core.After(referLimit, func() {
		r.refuse(context.DeadlineExceeded, sip.StatusTemporarilyUnavailable, "")
	})
	if r.s == nil {
		m.core.NewQueue(nil).Push(func() { h(r) })
		return
	}
	r.s.referrals = append(r.s.referrals, r)
	if !r.s.tell(func() { h(r) }) {
		r.end(ErrState)
		retryLater(r.in)
	}
}

// read takes apart the Refer-To, and returns the status of a REFER that asks for
// what we do not do.
func (r *Referral) read() (sip.StatusCode, string) {
	r.target, _ = r.in.Request().ReferTo() // Check has read it
	uri := r.target.URI
	if method := uri.Params.Value("method"); method != "" && method != string(sip.INVITE) {
		return sip.StatusForbidden, "Refer-To Method Not Supported"
	}
	if value, ok := uri.Header("Replaces"); ok {
		replaces, err := sip.ParseReplaces(value)
		if err != nil {
			return sip.StatusBadRequest, "Bad Replaces"
		}
		r.replaces = replaces
	}
	r.headers = r.carried(uri)
	var err error
	if r.uri, err = sip.NormalizeTarget(uri.String(), r.m.o.Domain, r.m.o.KeepTel); err != nil {
		return sip.StatusUnsupportedURIScheme, ""
	}
	return 0, ""
}

// carried are the fields of the REFER that go on into the INVITE besides those
// that any target may have.
func (r *Referral) carried(uri sip.URI) []sip.Field {
	var fields []sip.Field
	if by := r.in.Request().Header("Referred-By"); by != "" { // as it is: RFC 3892 §2.2
		fields = append(fields, sip.Field{Name: "Referred-By", Value: by})
	}
	if value, _ := uri.Header("Require"); value == "replaces" && r.replaces != (sip.Replaces{}) {
		fields = append(fields, sip.Field{Name: "Require", Value: value})
	}
	return fields
}

// refuseReferrals answers what the far end still waits for when the call ends
// (RFC 3261 §15.1.2).
func (s *Session) refuseReferrals(end *EndError) { // [locked]
	for _, r := range slices.Clone(s.referrals) {
		r.refuse(end, sip.StatusRequestTerminated, "")
	}
}

// reportEnd tells who referred us how a call ended that the target never
// answered.
func (s *Session) reportEnd(end *EndError) { // [locked]
	if s.report == nil {
		return
	}
	var refused *sip.ResponseError
	if errors.As(end.Err, &refused) {
		s.report.report(refused.StatusCode(), refused.Response.Reason())
		return
	}
	code := sip.StatusServerInternalError
	switch end.Kind {
	case EndCanceled, EndBye:
		code = sip.StatusRequestTerminated
	case EndTimeout, EndNoAnswer:
		code = sip.StatusRequestTimeout
	case EndMediaFailed:
		code = sip.StatusNotAcceptableHere
	case EndTransportLost, EndClosed:
		code = sip.StatusServiceUnavailable
	}
	s.report.report(code, "")
}
