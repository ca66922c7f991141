package registrar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// DefaultExpires is the lifetime that is asked for where Options name none.
const DefaultExpires = 600 * time.Second

var (
	// ErrLapsed: the binding's time was over before it could be renewed.
	ErrLapsed = errors.New("registrar: the binding lapsed")
	// ErrOvertaken is what Register returns when an Unregister came after it,
	// and the other way round.
	ErrOvertaken = errors.New("registrar: overtaken by a later Register or Unregister")
	// ErrReplaced: the registrar keeps one binding, and that is another flow's now.
	ErrReplaced = errors.New("registrar: the binding was replaced by that of another flow")
)

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
	// KeepAlive, if set, is told the registrar's Flow-Timer (RFC 5626 §4.4)
	// when it changes, zero when it names none any more, with the core's mutex
	// held.
	KeepAlive func(f core.Flow, interval time.Duration)
	// Leave, if set, is told that the server of f fails to register us and is not
	// to be tried again for a time, so that another one may be, with the core's
	// mutex held. Nothing is lost by it: f had no binding. It is not told of
	// refusals that another server would repeat.
	Leave func(f core.Flow, err error, after time.Duration)
	// Logger, if set, is told what goes wrong, without the core's mutex.
	Logger *slog.Logger
}

// Registrar keeps one address registered over one flow at a time. Call-ID, From
// tag, Contact, instance and reg-id stay the same for its life, and CSeq goes on.
type Registrar struct {
	core   *core.Core
	o      Options
	set    *Set
	regID  int // RFC 5626 §4.2
	logs   *core.Queue
	callID string
	tag    string

	// guarded by the core's mutex
	m        machine
	reg      Registration
	flow     core.Flow
	server   string         // of flow
	number   uint64         // of flow, also after its loss
	weight   int            // of server
	out      *core.Outgoing // the REGISTER under way
	counted  *sip.Request   // the newest attempt of out that back knows of
	seq      uint32
	asked    time.Duration // lifetime: Options.Expires, or what a 423 made of it
	briefs   int           // 423s in a row
	plain    bool          // without reg-id, as a 439 of server wants it
	all      bool          // the removal is of every binding
	renewed  bool          // there are new credentials since the REGISTER left
	interval time.Duration // Flow-Timer of flow
	back     backoff
	due      *core.Timer
	lapse    *core.Timer
	wanting  waiters // in Register
	leaving  waiters // in Unregister
	closed   bool
}

// New returns a Registrar on o.Core, for the flows of reg-id 1. With o.Auto it
// registers as soon as there is a flow.
func New(o Options) *Registrar { return NewSet(o, 1).list[0] }

func newRegistrar(s *Set, o Options, regID int) *Registrar { // [locked]
	r := &Registrar{
		core: o.Core, o: o, set: s, regID: regID, logs: o.Core.NewQueue(nil), asked: o.Expires,
		callID: sip.NewCallID(), tag: sip.NewTag() + o.FromTagTrail,
	}
	if o.Auto {
		r.m.state = Waiting
	}
	return r
}

// Register sends a REGISTER, or joins the one that is out, and returns its
// outcome: nil, a *sip.ResponseError for a refusal, ErrOvertaken. From then on
// the registration is kept, also where Options.Auto is false. With no connection
// it waits for one as long as ctx; where two attempts with credentials came to
// nothing within the last minute, it waits for that minute to pass. When ctx ends
// first it returns the cause, joined with the last failure, and the registration
// goes on.
func (r *Registrar) Register(ctx context.Context) error {
	return r.await(ctx, &r.wanting, func() error {
		if r.m.turn {
			r.leaving.settle(ErrOvertaken)
		}
		r.step(inWant)
		return nil
	}, nil)
}

// Unregister removes our binding, or with all every binding of the address
// (RFC 3261 §10.2.2), stops keeping it, and returns what the registrar says to
// that. While a REGISTER is out the removal waits for its answer (RFC 3261
// §10.2), but no longer than ctx: it leaves even if ctx has ended. Without a
// connection our binding is gone anyway; removing all fails then.
func (r *Registrar) Unregister(ctx context.Context, all bool) error {
	return r.await(ctx, &r.leaving, func() error {
		r.wanting.settle(ErrOvertaken)
		removing, wider := r.m.state == Removing, all && !r.all
		r.all = all || r.all && (removing || r.m.turn)
		r.step(inUnwant)
		switch {
		case removing && wider:
			r.remove()
		case r.m.state == Unregistered:
			r.leaving.settle(nil)
			if all && r.flow == nil {
				return errNoFlow
			}
		}
		return nil
	}, func() { r.step(inHurry) })
}

// errNoFlow is a loss of the connection, before anything was sent.
var errNoFlow = fmt.Errorf("registrar: no connection: %w", net.ErrClosed)

// await does something and waits for what comes of it. When ctx ends first,
// hurry, if any, is called.
func (r *Registrar) await(ctx context.Context, list *waiters, do func() error, hurry func()) error {
	outcome := make(chan error, 1)
	r.core.Lock()
	if r.closed {
		r.core.Unlock()
		return net.ErrClosed
	}
	*list = append(*list, outcome)
	err := do()
	r.core.Unlock()
	if err != nil {
		return err
	}
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
	}
	r.core.Lock()
	defer r.core.Unlock()
	select {
	case err := <-outcome: // it came just now
		return err
	default:
	}
	*list = slices.DeleteFunc(*list, func(ch chan error) bool { return ch == outcome })
	if hurry != nil && !r.closed {
		hurry()
	}
	return errors.Join(context.Cause(ctx), r.reg.Err)
}

// waiters are those who wait for one outcome.
type waiters []chan error

// settle gives all of them the outcome.
func (w *waiters) settle(err error) { // [locked]
	for _, ch := range *w {
		ch <- err
	}
	*w = nil
}

// Registration is where the registration stands.
func (r *Registrar) Registration() Registration {
	r.core.Lock()
	defer r.core.Unlock()
	return r.snapshot()
}

func (r *Registrar) snapshot() Registration { // [locked]
	now := r.reg
	now.State, now.RegID, now.Server = r.m.state, r.regID, r.server
	now.Contacts = slices.Clone(now.Contacts)
	return now
}

// CredentialsChanged lets a registration go on that was refused, or that failed
// for want of credentials.
func (r *Registrar) CredentialsChanged() {
	r.core.Lock()
	defer r.core.Unlock()
	r.back.renewed()
	var res *sip.ResponseError
	switch r.m.state {
	case Refused:
		r.step(inWant)
	case BackingOff:
		if !errors.As(r.reg.Err, &res) {
			r.step(inWant)
		}
	case Registering, Refreshing:
		r.renewed = true
	}
}

// Close stops everything without a word to the registrar. Register and
// Unregister return net.ErrClosed then, and no event comes any more.
func (r *Registrar) Close() {
	r.core.Lock()
	defer r.core.Unlock()
	r.closed = true
	r.m.step(inClose)
	r.abandon()
	r.due.Stop()
	r.lapse.Stop()
	r.reg.RetryAt = time.Time{}
	r.wanting.settle(net.ErrClosed)
	r.leaving.settle(net.ErrClosed)
}
