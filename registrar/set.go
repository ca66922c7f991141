package registrar

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// Set keeps one address registered over several flows at once, each to a server
// of its own and under the same instance: the flows with the reg-ids 1 to n, which
// core.FlowInfo names. Each flow has a [Registrar] of its own, with its own
// Call-ID, CSeq, back-off and Flow-Timer.
//
// Several bindings need a registrar that says so, by Require: outbound in its
// answer (RFC 5626 §4.2.1). Until one has, and with one that does not, only one
// flow at a time is registered, or the second would take the place of the first.
// The others stand by, connected, and the next one registers as soon as the one
// that is registered is lost. The same is done about a flow whose first hop lacks
// outbound support (439) while another one is registered.
//
// After a refusal of the credentials on one flow no other begins to register;
// one that is registered goes on until it is refused itself.
//
// RFC 5626 §4.2, §4.5.
type Set struct {
	core *core.Core
	list []*Registrar // by reg-id

	// guarded by the core's mutex
	outbound bool // the registrar keeps a binding for each flow
	lockout  lockout
}

// NewSet returns a Set on o.Core for n flows. With o.Auto each is registered as
// soon as it is there.
func NewSet(o Options, n int) *Set {
	if o.Expires <= 0 {
		o.Expires = DefaultExpires
	}
	s := &Set{core: o.Core}
	s.core.Lock()
	defer s.core.Unlock()
	for i := range n {
		s.list = append(s.list, newRegistrar(s, o, i+1))
	}
	for _, r := range s.list {
		s.core.WatchFlows(r.flowChanged)
		r.takeFlow()
	}
	return s
}

// Register is [Registrar.Register] for each flow. It returns nil as soon as one
// flow is registered, and the failures when none is and no REGISTER is out any
// more.
func (s *Set) Register(ctx context.Context) error {
	if len(s.list) == 1 {
		return s.list[0].Register(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	outcomes := make(chan error, len(s.list))
	for _, r := range s.list {
		go func() { outcomes <- r.Register(ctx) }()
	}
	var failures []error
	success := false
	for range s.list {
		err := <-outcomes
		switch {
		case err == nil:
			success = true
			cancel(nil)
		case success:
		default:
			failures = append(failures, err)
			if !s.trying() { // the rest waits for a connection or for its time
				cancel(err)
			}
		}
	}
	if success {
		return nil
	}
	return join(failures)
}

// join joins errors, each once.
func join(errs []error) error {
	var distinct []error
	for _, err := range errs {
		known := false
		for _, d := range distinct {
			known = known || errors.Is(d, err) || errors.Is(err, d)
		}
		if !known {
			distinct = append(distinct, err)
		}
	}
	return errors.Join(distinct...)
}

// Unregister is [Registrar.Unregister] for each flow; of all bindings it is asked
// over one of them.
func (s *Set) Unregister(ctx context.Context, all bool) error {
	chosen := s.best()
	outcomes := make(chan error, len(s.list))
	for _, r := range s.list {
		go func() { outcomes <- r.Unregister(ctx, all && r == chosen) }()
	}
	var failures []error
	for range s.list {
		if err := <-outcomes; err != nil {
			failures = append(failures, err)
		}
	}
	return join(failures)
}

// Registration is where the registration stands: that of the flow which requests
// outside dialogs take, the heaviest that is registered; while none is, the one
// that is closest to it.
func (s *Set) Registration() Registration {
	s.core.Lock()
	defer s.core.Unlock()
	return s.bestLocked().snapshot()
}

// Registrations are the registrations of all flows, by reg-id.
func (s *Set) Registrations() []Registration {
	s.core.Lock()
	defer s.core.Unlock()
	list := make([]Registration, len(s.list))
	for i, r := range s.list {
		list[i] = r.snapshot()
	}
	return list
}

// Avoids reports whether a server is to be left alone for now, on any flow, since
// it did not register us. With the core's mutex held.
func (s *Set) Avoids(server string) bool { // [locked]
	for _, r := range s.list {
		if r.back.left(server, time.Now()) > 0 {
			return true
		}
	}
	return false
}

// CredentialsChanged is [Registrar.CredentialsChanged] for each flow.
func (s *Set) CredentialsChanged() {
	for _, r := range s.list {
		r.CredentialsChanged()
	}
}

// Close is [Registrar.Close] for each flow.
func (s *Set) Close() {
	for _, r := range s.list {
		r.Close()
	}
}

func (s *Set) best() *Registrar {
	s.core.Lock()
	defer s.core.Unlock()
	return s.bestLocked()
}

func (s *Set) bestLocked() *Registrar { // [locked]
	best := s.list[0]
	for _, r := range s.list[1:] {
		if cmp.Or(cmp.Compare(r.rank(), best.rank()), cmp.Compare(r.weight, best.weight)) > 0 {
			best = r
		}
	}
	return best
}

// ranks orders the states by how close they are to a registration.
var ranks = [numStates]int{
	Registering: 5, Removing: 4, BackingOff: 3, Standby: 2, Waiting: 2, Refused: 1,
}

func (r *Registrar) rank() int { // [locked]
	if r.reg.Bound() {
		return len(ranks)
	}
	return ranks[r.m.state]
}

// sending reports whether a REGISTER for a binding is out.
func (r *Registrar) sending() bool { // [locked]
	return r.m.state == Registering || r.m.state == Refreshing
}

// trying reports whether a REGISTER is out on any flow.
func (s *Set) trying() bool {
	s.core.Lock()
	defer s.core.Unlock()
	for _, r := range s.list {
		if r.sending() {
			return true
		}
	}
	return false
}

// registered reports whether a flow other than r's is.
func (s *Set) registered(r *Registrar) bool { // [locked]
	for _, o := range s.list {
		if o != r && o.m.bound {
			return true
		}
	}
	return false
}

// elsewhere reports whether a flow other than r's is registered, or about to be.
func (s *Set) elsewhere(r *Registrar) bool { // [locked]
	for _, o := range s.list {
		if o != r && (o.m.bound || o.sending()) {
			return true
		}
	}
	return false
}

// taken reports whether r has to stand by, since the one binding that there can
// be is another flow's or about to be.
func (s *Set) taken(r *Registrar) bool { // [locked]
	return (!s.outbound || r.plain) && !r.m.bound && s.elsewhere(r)
}

// release lets those register that stand by and need not any more.
func (s *Set) release() { // [locked]
	for _, r := range s.list {
		if r.m.state == Standby && !s.taken(r) {
			r.step(inDue)
		}
	}
}

// learn takes from the answer to r whether there may be several bindings. Where
// it tells of no other flow's, r's has replaced it.
func (s *Set) learn(r *Registrar, b *binding) { // [locked]
	switch {
	case b.outbound:
		s.outbound = true
	case r.plain: // it says nothing of the others' first hops
	default:
		s.outbound = false
		for _, o := range s.list {
			if o != r && o.m.bound && !b.lists(o.o.InstanceID, o.regID) {
				o.replaced()
			}
		}
	}
}

// refused has the others hear what r heard of our credentials, but for those that
// the registrar has taken so far.
func (s *Set) refused(r *Registrar, err error) { // [locked]
	for _, o := range s.list {
		if o == r || o.m.bound || o.sending() || o.m.state == Removing {
			continue
		}
		if o.step(inRefused); o.m.state != Refused {
			continue
		}
		o.disarm()
		o.reg.Err = err
		o.wanting.settle(err)
		o.readyUnregistered()
	}
}

// handOnGRUU gives the core the GRUUs of the best registration that has some. The
// public one is the same for all flows of an instance, and every temporary one
// works as long as one flow is registered (RFC 5627 §4.2).
func (s *Set) handOnGRUU() { // [locked]
	var public, temporary sip.URI
	var from *Registrar
	for _, r := range s.list {
		if r.reg.Bound() && !r.reg.Public.IsZero() && (from == nil || r.weight > from.weight) {
			from, public, temporary = r, r.reg.Public, r.reg.Temporary
		}
	}
	s.core.SetGRUU(public, temporary)
}
