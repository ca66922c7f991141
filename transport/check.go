package transport

import (
	"errors"
	"net"
	"time"
)

const (
	// hintGap is the least time between two attempts that were brought forward.
	hintGap = time.Second
	// patience is how long an attempt may have taken before a hint has it begun anew.
	patience = 2 * time.Second
)

var errBegunAnew = errors.New("begun anew")

// Check is a hint that the network may have changed, or that the machine was
// asleep: everything is to be looked at now.
//
// A flow that is up fails with ErrAddressGone if its local IP address is on no
// interface of the machine any more; else it is pinged, and the pong is due within
// Options.PongTimeout, but 2 s at most. Where pings are switched off it is not.
//
// A pool that waits for its next attempt makes it now, but never before the time
// until which a server has asked to be left alone (Retry-After, the Close codes 1012
// and 1013, Flow.Leave), and never more than one a second for hints, however many
// there are. The count that the back-off grows with goes on. An attempt that has
// taken more than 2 s, over a network that may be gone, is begun anew, once within
// Options.ConnectTimeout.
//
// Check does not wait for any of this. A pool that is not started or is closed
// ignores it.
func (p *Pool) Check() {
	if f := p.current.Load(); f != nil {
		p.checkAddress(f)
		f.check()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.stopped || !p.started:
	case p.retry != nil:
		p.bringForward(time.Now())
	default: // an attempt is under way, or will be when the flow has ended
		p.hinted = true
		p.beginAnew(time.Now())
	}
}

// checkAddress fails a flow whose local address was on an interface and is on none
// any more. What follows that is no fault of the server, and does not wait.
func (p *Pool) checkAddress(f *Flow) {
	if !f.native || p.native(f.LocalAddr()) {
		return
	}
	p.mu.Lock()
	p.hinted = p.flow == f
	p.mu.Unlock()
	f.Fail(ErrAddressGone)
}

// beginAnew gives up attempts that take long. It is called with mu held.
func (p *Pool) beginAnew(now time.Time) {
	if !p.anewAt.IsZero() && now.Sub(p.anewAt) < p.opt.ConnectTimeout {
		return
	}
	for _, a := range p.attempts {
		if !a.since.IsZero() && now.Sub(a.since) >= patience {
			a.cancel(errBegunAnew)
			p.anewAt = now
		}
	}
}

// bringForward makes the attempt that waits as soon as a hint allows. It is called
// with mu held.
func (p *Pool) bringForward(now time.Time) {
	p.hinted = true
	wait := p.retryAt.Sub(now)
	if p.hintWait(now) >= wait {
		p.hinted = false
		return
	}
	if !p.retry.Stop() { // it fires, and will see
		return
	}
	// Its task goes on.
	p.retry, p.trying = nil, true
	go func() {
		if p.schedule(wait) {
			p.connect()
			return
		}
		p.tasks.done()
	}()
}

// hurry shortens the wait for the next attempt if there was a hint. It is called
// with mu held.
func (p *Pool) hurry(wait time.Duration) time.Duration {
	if !p.hinted {
		return wait
	}
	p.hinted = false
	if sooner := p.hintWait(time.Now()); sooner < wait {
		p.brought = true
		return sooner
	}
	return wait
}

// hintWait returns how long even a hint leaves the servers alone. It is called with
// mu held.
func (p *Pool) hintWait(now time.Time) time.Duration {
	wait, _ := p.roster.soonest(now)
	if !p.hintedAt.IsZero() {
		wait = max(wait, p.hintedAt.Add(hintGap).Sub(now))
	}
	return wait
}

// resumed tells that the machine slept, and looks whether the flow still has its
// address. The caller is a task of the pool and holds no lock.
func (p *Pool) resumed(slept, stood time.Duration) {
	p.mu.Lock()
	p.roster.slept(stood)
	p.mu.Unlock()
	p.log.Info("resumed", "asleep", slept)
	p.hooks.resumed(slept)
	if f := p.current.Load(); f != nil {
		p.checkAddress(f)
	}
}

// native reports whether an address is on an interface of this machine. Loopback
// always is: an interface names one address of 127.0.0.0/8 only.
func (p *Pool) native(a net.Addr) bool {
	var ip net.IP
	switch a := a.(type) {
	case *net.TCPAddr:
		ip = a.IP
	case *net.UDPAddr:
		ip = a.IP
	}
	if ip == nil || ip.IsUnspecified() {
		return false
	}
	if ip.IsLoopback() {
		return true
	}
	addrs, err := p.interfaces()
	if err != nil || len(addrs) == 0 {
		return true // nobody knows
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip) {
			return true
		}
	}
	return false
}
