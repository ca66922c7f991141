package registrar

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// DefaultExpires is the lifetime that is asked for where Options name none.
const DefaultExpires = 600 * time.Second

// Registration is a registration at one moment.
type Registration struct {
	State     State
	Expires   time.Time      // when the binding lapses; zero without one
	Contacts  []sip.NameAddr // all bindings of the address that the registrar told of, ours too
	Public    sip.URI        // our public GRUU (RFC 5627); zero without one
	Temporary sip.URI        // our newest temporary GRUU
	Rewritten bool           // the registrar changed our Contact
	Err       error          // the last failure, nil after a success; a *sip.ResponseError for a refusal
	RetryAt   time.Time      // when the next attempt is due; zero if none is
}

// Bound reports whether the registrar has a binding of ours, as far as we know.
func (r Registration) Bound() bool { return !r.Expires.IsZero() }

// EventKind is what happened to a registration.
type EventKind uint8

// The kinds of events.
const (
	EventRegistered   EventKind = iota // a binding, where there was none
	EventRefreshed                     // the binding was renewed
	EventUnregistered                  // the binding is gone: removed, lapsed, or lost with its connection
	EventFailed                        // a REGISTER came to nothing
)

var eventNames = [...]string{"registered", "refreshed", "unregistered", "failed"}

// String returns the kind in a word.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return "unknown"
}

// Event is one change of a registration.
type Event struct {
	Kind         EventKind
	Registration Registration // as it is now
	Err          error        // EventFailed, and EventUnregistered by a loss: why
}

// Options configure a Registrar.
type Options struct {
	Core      *core.Core
	Registrar sip.URI // the Request-URI: no user
	AOR       sip.URI // the address to register
	// Contact is our own; the Registrar adds +sip.instance, reg-id and expires.
	Contact sip.NameAddr
	// InstanceID is the URN of this device (RFC 5626 §4.1).
	InstanceID string
	// Expires is the lifetime to ask for; zero means DefaultExpires.
	Expires time.Duration
	// FromTagTrail is appended to the From tag.
	FromTagTrail string
	// Auto registers over each new flow from the first one on; without it
	// nothing happens before Register.
	Auto bool
	// Event, if set, is told of every change, with the core's mutex held: it
	// must not block.
	Event func(Event)
	// KeepAlive, if set, is told the registrar's Flow-Timer (RFC 5626 §4.4.1),
	// with the core's mutex held.
	KeepAlive func(f core.Flow, interval time.Duration)
	// Logger, if set, is told what goes wrong.
	Logger *slog.Logger
}

// Registrar keeps one address registered. Call-ID, From tag, Contact and
// instance stay the same for its life, and CSeq goes on.
type Registrar struct {
	core *core.Core
	o    Options
	log  *slog.Logger

	// guarded by the core's mutex
	m       machine
	reg     Registration
	flow    core.Flow
	out     *core.Outgoing // the REGISTER under way
	callID  string
	tag     string
	seq     uint32
	asked   time.Duration // lifetime: Options.Expires, or what a 423 made of it
	briefs  int           // 423s in a row
	back    backoff
	due     *timer
	lapse   *timer
	waiters []chan error
	closed  bool
}

// New returns a Registrar on o.Core. With o.Auto it registers as soon as there
// is a flow.
func New(o Options) *Registrar {
	if o.Expires == 0 {
		o.Expires = DefaultExpires
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Registrar{
		core: o.Core, o: o, log: o.Logger, asked: o.Expires,
		callID: sip.NewCallID(), tag: sip.NewTag() + o.FromTagTrail,
	}
	r.core.Lock()
	defer r.core.Unlock()
	if o.Auto {
		r.m.state = Waiting
	}
	r.core.WatchFlows(r.flowChanged)
	return r
}

// Register sends a REGISTER and returns its outcome: nil, or a
// *sip.ResponseError for a refusal. From then on the registration is kept,
// also where Options.Auto is false. With no connection it waits for one as
// long as ctx.
func (r *Registrar) Register(ctx context.Context) error {
	return r.await(ctx, func() { r.perform(r.m.step(inWant), false) })
}

// Unregister removes our binding, or with all every binding of the address
// (RFC 3261 §10.2.2), and stops keeping it. The REGISTER leaves even if ctx
// has ended.
func (r *Registrar) Unregister(ctx context.Context, all bool) error {
	return r.await(ctx, func() {
		switch a := r.m.step(inUnwant); a {
		case doRemove:
			r.settle(errUnwanted)
			r.remove(all)
		case doNothing: // a removal is under way
		default:
			r.settle(errUnwanted)
			r.stopTimers()
			r.unbind(nil)
		}
	})
}

// errUnwanted is what Register returns when Unregister overtook it.
var errUnwanted = errors.New("registrar: unregistered meanwhile")

// await does something and waits for what comes of it, if anything is under
// way then.
func (r *Registrar) await(ctx context.Context, do func()) error {
	r.core.Lock()
	if r.closed {
		r.core.Unlock()
		return net.ErrClosed
	}
	do()
	switch r.m.state {
	case Unregistered, Registered, Refused, Closed:
		r.core.Unlock()
		return nil
	}
	outcome := make(chan error, 1)
	r.waiters = append(r.waiters, outcome)
	r.core.Unlock()
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		r.core.Lock()
		defer r.core.Unlock()
		r.waiters = slices.DeleteFunc(r.waiters, func(ch chan error) bool { return ch == outcome })
		return errors.Join(context.Cause(ctx), r.reg.Err)
	}
}

// Registration is where the registration stands.
func (r *Registrar) Registration() Registration {
	r.core.Lock()
	defer r.core.Unlock()
	return r.snapshot()
}

func (r *Registrar) snapshot() Registration { // [locked]
	now := r.reg
	now.State = r.m.state
	now.Contacts = slices.Clone(now.Contacts)
	return now
}

// CredentialsChanged lets a registration go on that was refused.
func (r *Registrar) CredentialsChanged() {
	r.core.Lock()
	defer r.core.Unlock()
	r.back.succeeded()
	if r.m.state == Refused {
		r.perform(r.m.step(inWant), false)
	}
}

// Close stops everything without a word to the registrar.
func (r *Registrar) Close() {
	r.core.Lock()
	defer r.core.Unlock()
	r.closed = true
	r.m.step(inClose)
	r.abandon()
	r.stopTimers()
	r.settle(net.ErrClosed)
}

// flowChanged takes the coming and going of flows.
func (r *Registrar) flowChanged(f core.Flow, _ core.FlowInfo, up bool, err error) { // [locked]
	if r.closed {
		return
	}
	if up {
		r.flow = f
		r.abandon()
		r.perform(r.m.step(inFlowUp), true)
		return
	}
	if f != r.flow {
		return
	}
	r.flow = nil
	r.abandon()
	r.stopTimers()
	a := r.m.step(inFlowDown)
	r.unbind(err)
	r.perform(a, true)
	if r.m.state == Unregistered { // the removal is done: the flow took the binding with it
		r.settle(nil)
	}
}

// perform carries out what the machine asks for. automatic says that nobody
// asked for it just now.
func (r *Registrar) perform(a action, automatic bool) { // [locked]
	switch a {
	case doRegister:
		if hold := r.back.hold(time.Now()); automatic && hold > 0 {
			r.m.state = BackingOff
			r.arm(hold)
			return
		}
		r.register()
	case doKeep:
		r.arm(refreshIn(time.Until(r.reg.Expires)))
	case doStop:
		r.stopTimers()
	}
}

// arm has the machine wake up in d.
func (r *Registrar) arm(d time.Duration) { // [locked]
	r.due.stop()
	r.reg.RetryAt = time.Now().Add(d)
	r.due = r.after(d, func() { r.perform(r.m.step(inDue), true) })
}

// register sends a REGISTER for our binding.
func (r *Registrar) register() { // [locked]
	r.due.stop()
	r.reg.RetryAt = time.Time{}
	seconds := strconv.FormatInt(int64(r.asked/time.Second), 10)
	contact := r.contact()
	contact.Params = contact.Params.With("expires", seconds)
	r.send([]sip.Field{{Name: "Contact", Value: contact.String()}, {Name: "Expires", Value: seconds}}, r.answered, r.failed)
}

// remove sends the REGISTER that removes our binding, or all.
func (r *Registrar) remove(all bool) { // [locked]
	r.stopTimers()
	value := "*"
	if !all {
		contact := r.contact()
		contact.Params = contact.Params.With("expires", "0")
		value = contact.String()
	}
	done := func(err error) {
		r.out = nil
		r.m.step(inRemoved)
		r.unbind(nil)
		r.settle(err)
	}
	r.send([]sip.Field{{Name: "Contact", Value: value}, {Name: "Expires", Value: "0"}}, func(res *sip.Response) {
		if res.StatusCode().IsSuccess() {
			done(nil)
		} else {
			done(&sip.ResponseError{Method: sip.REGISTER, Response: res})
		}
	}, done)
}

// contact is our Contact with what RFC 5626 §4.2 asks for.
func (r *Registrar) contact() sip.NameAddr {
	n := r.o.Contact
	if r.o.InstanceID != "" {
		n.Params = n.Params.With("reg-id", "1").With("+sip.instance", `<`+r.o.InstanceID+`>`)
	}
	return n
}

// send sends a REGISTER over the present flow. final gets its final response.
func (r *Registrar) send(fields []sip.Field, final func(*sip.Response), fail func(error)) { // [locked]
	r.abandon()
	req := sip.NewRequest(sip.REGISTER, r.o.Registrar)
	aor := sip.NameAddr{URI: r.o.AOR}
	err := errors.Join(req.SetTo(aor), req.SetFrom(aor.WithTag(r.tag)), req.SetCallID(r.callID),
		req.SetCSeq(sip.CSeq{Seq: r.next(), Method: sip.REGISTER}))
	for _, f := range fields {
		err = errors.Join(err, req.AddHeader(f.Name, f.Value))
	}
	if err != nil {
		fail(err)
		return
	}
	out := &core.Outgoing{Request: req, Flow: r.flow, Wait: -1, Preemptive: true, NextSeq: r.next}
	out.OnResponse = func(res *sip.Response) {
		if res.StatusCode().IsFinal() && r.out == out {
			r.out = nil
			if sent := out.Sent(); sent != nil && sent.HasHeader("Authorization") {
				r.back.tried(time.Now())
			}
			final(res)
		}
	}
	out.OnFail = func(err error) {
		if r.out == out {
			r.out = nil
			fail(err)
		}
	}
	r.out = out
	r.core.Send(out)
}

func (r *Registrar) next() uint32 { // [locked]
	r.seq++
	return r.seq
}

// answered takes the final response to a REGISTER.
func (r *Registrar) answered(res *sip.Response) { // [locked]
	err := error(&sip.ResponseError{Method: sip.REGISTER, Response: res})
	switch code := res.StatusCode(); {
	case code.IsSuccess():
		b, bad := readBinding(res, r.o.Contact.URI, r.o.InstanceID, r.asked)
		if bad != nil {
			r.failed(bad)
			return
		}
		r.bind(b)
	case code == sip.StatusIntervalTooBrief && r.lengthen(res):
		r.register()
	case code == sip.StatusUnauthorized, code == sip.StatusProxyAuthenticationRequired, code == sip.StatusForbidden:
		r.m.step(inRefused)
		r.note(err)
	default:
		r.failed(err)
	}
}

// lengthen takes over the Min-Expires of a 423 (RFC 3261 §10.2.8), unless the
// registrar cannot be pleased.
func (r *Registrar) lengthen(res *sip.Response) bool { // [locked]
	s, ok := res.MinExpires()
	least := time.Duration(s) * time.Second
	r.briefs++
	if !ok || least <= r.asked || least > maxExpires || r.briefs > 3 {
		return false
	}
	r.asked = least
	return true
}

// failed takes a REGISTER that came to nothing but may be tried again.
func (r *Registrar) failed(err error) { // [locked]
	if r.m.step(inFailed) == doRetry {
		r.arm(max(r.back.after(err), r.back.hold(time.Now())))
	}
	r.note(err)
}

// note tells of a failure.
func (r *Registrar) note(err error) { // [locked]
	r.reg.Err = err
	r.log.Warn("registration failed", "state", r.m.state.String(), "retry_at", r.reg.RetryAt, "error", err)
	r.tell(EventFailed, err)
	r.settle(err)
}

// bind takes over the binding that the registrar confirmed.
func (r *Registrar) bind(b binding) { // [locked]
	kind := EventRefreshed
	if !r.reg.Bound() {
		kind = EventRegistered
	}
	r.back.succeeded()
	r.briefs = 0
	r.reg = Registration{
		Expires: time.Now().Add(b.expires), Contacts: b.contacts,
		Public: b.public, Temporary: b.temporary, Rewritten: b.rewritten,
	}
	r.core.SetGRUU(b.public, b.temporary)
	r.core.SetServiceRoute(r.flow, b.routes)
	if b.flowTimer > 0 && r.o.KeepAlive != nil {
		r.o.KeepAlive(r.flow, b.flowTimer)
	}
	r.lapse.stop()
	r.lapse = r.after(b.expires, func() { r.unbind(r.reg.Err) })
	r.perform(r.m.step(inAccepted), true)
	r.tell(kind, nil)
	r.settle(nil)
}

// unbind notes that there is no binding any more.
func (r *Registrar) unbind(err error) { // [locked]
	if !r.reg.Bound() {
		return
	}
	r.lapse.stop()
	r.reg = Registration{Err: r.reg.Err, RetryAt: r.reg.RetryAt}
	r.core.SetGRUU(sip.URI{}, sip.URI{})
	r.tell(EventUnregistered, err)
}

func (r *Registrar) tell(kind EventKind, err error) { // [locked]
	if r.o.Event != nil {
		r.o.Event(Event{Kind: kind, Registration: r.snapshot(), Err: err})
	}
}

// settle gives everybody who waits the outcome.
func (r *Registrar) settle(err error) { // [locked]
	for _, ch := range r.waiters {
		ch <- err
	}
	r.waiters = nil
}

// abandon forgets the REGISTER under way.
func (r *Registrar) abandon() { // [locked]
	if r.out != nil {
		r.out.Abandon()
		r.out = nil
	}
}

func (r *Registrar) stopTimers() { // [locked]
	r.due.stop()
	r.lapse.stop()
	r.reg.RetryAt = time.Time{}
}
