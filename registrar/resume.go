package registrar

import (
	"time"

	"github.com/gosipua/sipua/sip/core"
)

// Resumed tells that the machine slept for asleep, for which the clock of timers
// stood still on most systems. A REGISTER renews the binding at once: it may have
// lapsed, and the registrar may have dropped one that nobody answered for. What was
// to be tried again meanwhile is tried now.
func (r *Registrar) Resumed(asleep time.Duration) { r.wake(asleep, true) }

// NetworkChanged tells that the network changed, or that the machine may have
// slept. What is overdue by the wall clock is done now: a binding is noticed to have
// lapsed, and a REGISTER leaves that was to leave before.
func (r *Registrar) NetworkChanged() { r.wake(0, false) }

// wake sets the timers right after a sleep; with renew a binding that is there is
// renewed, too.
func (r *Registrar) wake(asleep time.Duration, renew bool) {
	r.core.Lock()
	defer r.core.Unlock()
	if r.closed {
		return
	}
	now := time.Now()
	r.back.slept(now, asleep)
	if r.reg.Bound() {
		r.lapse.Stop()
		if left := core.Left(r.reg.Expires, now, asleep); left > 0 {
			r.reg.Expires = now.Add(left)
			r.lapse = r.core.After(left, r.lapsed)
		} else {
			r.lapsed()
		}
	}
	if r.reg.RetryAt.IsZero() {
		return
	}
	if left := core.Left(r.reg.RetryAt, now, asleep); left > 0 && !(renew && r.m.state == Registered) {
		r.arm(left)
		return
	}
	r.disarm()
	r.step(inDue)
}

// slept takes a sleep off the times for which servers are left alone.
func (b *backoff) slept(now time.Time, asleep time.Duration) {
	for server, s := range b.servers {
		s.until = now.Add(core.Left(s.until, now, asleep))
		b.servers[server] = s
	}
}

// Resumed is [Registrar.Resumed] for each flow.
func (s *Set) Resumed(asleep time.Duration) {
	for _, r := range s.list {
		r.Resumed(asleep)
	}
}

// NetworkChanged is [Registrar.NetworkChanged] for each flow.
func (s *Set) NetworkChanged() {
	for _, r := range s.list {
		r.NetworkChanged()
	}
}
