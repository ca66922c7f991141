package registrar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// step feeds the machine and does what it says. Only whoever asks for a REGISTER
// now need not wait until its server wants to hear of us again.
func (r *Registrar) step(in input) { // [locked]
	r.do(r.m.step(in), in != inWant)
	r.set.release()
}

func (r *Registrar) do(a action, patient bool) { // [locked]
	switch a {
	case doRegister:
		r.register(patient)
	case doKeep:
		r.arm(refreshIn(time.Until(r.reg.Expires)))
	case doRetry:
		now := time.Now()
		wait := r.back.failed(r.reg.Err, r.server, r.set.registered(r), now)
		r.arm(max(wait, r.set.lockout.hold(now)))
	case doRemove:
		r.remove()
	}
}

// arm has the machine wake up in d.
func (r *Registrar) arm(d time.Duration) { // [locked]
	r.disarm()
	r.reg.RetryAt = time.Now().Add(d)
	r.due = r.core.After(d, func() {
		r.reg.RetryAt = time.Time{}
		r.step(inDue)
	})
}

func (r *Registrar) disarm() { // [locked]
	r.due.Stop()
	r.reg.RetryAt = time.Time{}
}

// register sends a REGISTER for our binding, or puts it off where it must not
// leave yet.
func (r *Registrar) register(patient bool) { // [locked]
	r.abandon()
	r.disarm()
	if r.set.taken(r) {
		r.m.step(inSpare)
		return
	}
	now := time.Now()
	hold := r.set.lockout.hold(now)
	if patient {
		hold = max(hold, r.back.left(r.server, now))
	}
	if hold > 0 {
		r.m.step(inHeld)
		r.arm(hold)
		return
	}
	r.renewed = false
	seconds := strconv.FormatInt(int64(r.asked/time.Second), 10)
	contact := r.contact()
	contact.Params = contact.Params.With("expires", seconds)
	r.send(contact.String(), seconds, r.answered, r.failed)
}

// remove sends the REGISTER that removes our binding, or all.
func (r *Registrar) remove() { // [locked]
	r.abandon()
	r.disarm()
	value := "*"
	if !r.all {
		contact := r.contact()
		contact.Params = contact.Params.With("expires", "0")
		value = contact.String()
	}
	r.send(value, "0", func(res *sip.Response) {
		if res.StatusCode().IsSuccess() {
			r.back.succeeded(r.server)
			r.set.lockout.succeeded()
			r.removed(nil)
		} else {
			r.removed(&sip.ResponseError{Method: sip.REGISTER, Response: res})
		}
	}, r.removed)
}

// removed takes the outcome of a removal.
func (r *Registrar) removed(err error) { // [locked]
	next := r.m.step(inRemoved)
	r.unbind(err)
	r.leaving.settle(err)
	r.do(next, false)
	r.set.release()
	r.readyUnregistered()
}

// contact is our Contact with what RFC 5626 §4.2 asks for.
func (r *Registrar) contact() sip.NameAddr {
	n := r.o.Contact
	if r.o.InstanceID == "" {
		return n
	}
	if !r.plain {
		n.Params = n.Params.With("reg-id", strconv.Itoa(r.regID))
	}
	n.Params = n.Params.WithQuoted("+sip.instance", "<"+r.o.InstanceID+">")
	return n
}

// send sends a REGISTER over the present flow. final gets its final response,
// fail the reason why there is none; for the loss of the flow neither is called,
// since flowChanged follows.
func (r *Registrar) send(contact, expires string, final func(*sip.Response), fail func(error)) { // [locked]
	req := sip.NewRequest(sip.REGISTER, r.o.Registrar)
	aor := sip.NameAddr{URI: r.o.AOR}
	if err := errors.Join(
		req.SetFrom(aor.WithTag(r.tag)),
		req.SetTo(aor),
		req.SetCallID(r.callID),
		req.SetCSeq(sip.CSeq{Seq: r.next(), Method: sip.REGISTER}),
		req.AddHeader("Contact", contact),
		req.AddHeader("Expires", expires),
	); err != nil {
		fail(err)
		return
	}
	out := &core.Outgoing{Request: req, Flow: r.flow, Wait: -1, Preemptive: true}
	out.NextSeq = func() uint32 {
		r.count()
		return r.next()
	}
	out.OnResponse = func(res *sip.Response) {
		if res.StatusCode().IsFinal() {
			r.over()
			final(res)
		}
	}
	out.OnFail = func(err error) {
		r.over()
		if now, _, _ := r.core.FlowOf(r.regID); out.Flow != r.flow || now == r.flow {
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

// count notes the newest attempt of the REGISTER under way, if it had
// credentials. It is called when something came of it, or will not.
func (r *Registrar) count() { // [locked]
	sent := r.out.Sent()
	if sent == nil || sent == r.counted {
		return
	}
	r.counted = sent
	if sent.HasHeader("Authorization") || sent.HasHeader("Proxy-Authorization") {
		r.set.lockout.tried(time.Now())
	}
}

// over notes that no REGISTER is under way any more.
func (r *Registrar) over() { // [locked]
	r.count()
	r.out, r.counted = nil, nil
}

// abandon forgets the REGISTER under way.
func (r *Registrar) abandon() { // [locked]
	if r.out != nil {
		r.out.Abandon()
		r.over()
	}
}

// answered takes the final response to a REGISTER.
func (r *Registrar) answered(res *sip.Response) { // [locked]
	err := error(&sip.ResponseError{Method: sip.REGISTER, Response: res})
	switch code := res.StatusCode(); {
	case r.m.turn: // not wanted any more, whatever it is
		r.step(inFailed)
	case code.IsSuccess():
		r.accepted(res)
	case code == sip.StatusIntervalTooBrief && r.lengthen(res):
		r.register(false)
	case code == sip.StatusFirstHopLacksOutboundSupport && !r.plain:
		r.plain = true // RFC 5626 §4.2.1; as long as no other flow is registered
		r.register(false)
	case code == sip.StatusUnauthorized, code == sip.StatusProxyAuthenticationRequired, code == sip.StatusForbidden:
		r.refused(err)
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

// refused takes the registrar's word that our credentials are wrong, unless
// there are newer ones.
func (r *Registrar) refused(err error) { // [locked]
	if r.renewed {
		r.register(false)
		return
	}
	r.set.refused(r, err) // before r gives way to them
	r.note(err, inRefused)
}

// failed takes a REGISTER that came to nothing but may be tried again.
func (r *Registrar) failed(err error) { // [locked]
	if r.m.turn {
		r.step(inFailed)
		return
	}
	r.briefs = 0
	r.note(err, inFailed)
	after := r.back.left(r.server, time.Now())
	if r.o.Leave != nil && r.m.state == BackingOff && !r.m.bound && after > 0 && servers(err) {
		r.o.Leave(r.flow, err, after)
	}
}

// servers reports whether a failure is the server's, so that another one may do
// better. A flow that has a binding is not given up for it (RFC 5626 §4.2.2).
func servers(err error) bool {
	var res *sip.ResponseError
	if errors.As(err, &res) {
		code := res.StatusCode()
		return code/100 == 5 || code == sip.StatusRequestTimeout
	}
	return errors.As(err, new(*sip.TimeoutError))
}

// note tells of a failure, after the machine took it.
func (r *Registrar) note(err error, in input) { // [locked]
	r.reg.Err = err
	r.step(in)
	r.readyUnregistered()
	r.log(err)
	r.tell(EventFailed, err)
	r.wanting.settle(err)
}

// accepted takes over the binding that the registrar confirmed.
func (r *Registrar) accepted(res *sip.Response) { // [locked]
	b, err := readBinding(res, r.o.Contact.URI, r.o.InstanceID, r.regID, r.asked)
	if err != nil {
		r.failed(err)
		return
	}
	kind := EventRefreshed
	if !r.reg.Bound() {
		kind = EventRegistered
	}
	r.back.succeeded(r.server)
	r.set.lockout.succeeded()
	r.briefs = 0
	r.reg = Registration{
		Expires: time.Now().Add(b.expires), Contacts: b.contacts,
		Public: b.public, Temporary: b.temporary, Outbound: b.outbound, Rewritten: b.rewritten,
	}
	r.set.learn(r, &b)
	r.set.handOnGRUU()
	r.core.SetServiceRoute(r.flow, b.routes)
	if b.flowTimer != r.interval && r.o.KeepAlive != nil {
		r.o.KeepAlive(r.flow, b.flowTimer)
	}
	r.interval = b.flowTimer
	r.lapse.Stop()
	r.lapse = r.core.After(b.expires, r.lapsed)
	r.step(inAccepted)
	r.core.FlowReady(r.flow)
	r.tell(kind, nil)
	r.wanting.settle(nil)
}

// lapsed notes that the binding's time is over.
func (r *Registrar) lapsed() { // [locked]
	r.step(inLapsed)
	r.unbind(errors.Join(ErrLapsed, r.reg.Err))
	r.readyUnregistered()
}

// replaced notes that another flow's binding took the place of ours. This one is
// in reserve from now on.
func (r *Registrar) replaced() { // [locked]
	if r.m.step(inSpare); r.m.state != Standby {
		return
	}
	r.abandon()
	r.disarm()
	r.unbind(ErrReplaced)
}

// unbind notes that there is no binding any more.
func (r *Registrar) unbind(err error) { // [locked]
	bound := r.reg.Bound()
	r.lapse.Stop()
	r.reg = Registration{Err: err, RetryAt: r.reg.RetryAt}
	if !bound {
		return
	}
	r.set.handOnGRUU()
	r.core.SetServiceRoute(r.flow, nil)
	r.core.FlowLapsed(r.flow)
	r.tell(EventUnregistered, err)
}

func (r *Registrar) tell(kind EventKind, err error) { // [locked]
	if r.o.Event != nil {
		r.o.Event(Event{Kind: kind, Registration: r.snapshot(), Flow: r.number, Elsewhere: r.set.elsewhere(r), Err: err})
	}
}

// log is not done with the lock held: the logger is the application's.
func (r *Registrar) log(err error) { // [locked]
	if r.o.Logger == nil {
		return
	}
	attrs := []slog.Attr{
		slog.String("call_id", r.callID), slog.String("server", r.server), slog.String("state", r.m.state.String()),
		slog.Time("retry_at", r.reg.RetryAt), slog.Any("error", err),
	}
	r.logs.Push(func() {
		r.o.Logger.LogAttrs(context.Background(), slog.LevelWarn, "registration failed", attrs...)
	})
}

// flowChanged takes the coming and going of flows.
func (r *Registrar) flowChanged(f core.Flow, info core.FlowInfo, up bool, err error) { // [locked]
	switch {
	case r.closed || info.RegID != r.regID:
	case up:
		r.takeFlow()
	case f == r.flow:
		r.flowLost(err)
		r.takeFlow() // another one may be left
	}
}

// takeFlow goes over to the newest flow of our reg-id, if there is one.
func (r *Registrar) takeFlow() { // [locked]
	f, info, ok := r.core.FlowOf(r.regID)
	if !ok {
		return
	}
	r.plain = r.plain && r.server == info.Server
	r.flow, r.server, r.weight, r.number, r.interval = f, info.Server, info.Weight, f.ID(), 0
	r.step(inFlowUp)
	r.readyUnregistered()
}

// readyUnregistered tells the core that the flow is as good as it gets: no
// registration is wanted, or none can be had.
func (r *Registrar) readyUnregistered() { // [locked]
	if r.m.state == Unregistered || r.m.state == Refused {
		r.core.FlowReady(r.flow)
	}
}

// flowLost takes the loss of the flow. Register goes on waiting for the next one.
func (r *Registrar) flowLost(err error) { // [locked]
	switch {
	case err == nil:
		err = fmt.Errorf("registrar: connection to %s lost: %w", r.server, net.ErrClosed)
	case !errors.Is(err, net.ErrClosed):
		err = fmt.Errorf("registrar: connection to %s lost: %w (%w)", r.server, err, net.ErrClosed)
	}
	r.flow = nil
	r.abandon()
	r.disarm()
	r.step(inFlowDown)
	r.unbind(err)
	r.leaving.settle(err)
}
