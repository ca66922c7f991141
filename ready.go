package sipua

import "sync"

// readiness is what Start waits for: the first time that the UA is ready, or
// the refusal that it will not be.
type readiness struct {
	ch chan struct{} // closed when it is decided

	mu      sync.Mutex
	started bool  // guarded by mu
	decided bool  // guarded by mu
	outcome error // guarded by mu
	last    error // guarded by mu; the last failure
}

func newReadiness() *readiness { return &readiness{ch: make(chan struct{})} }

// start reports whether this is the first Start.
func (r *readiness) start() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := !r.started
	r.started = true
	return first
}

func (r *readiness) done(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.decided {
		r.decided, r.outcome = true, err
		close(r.ch)
	}
}

func (r *readiness) failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = err
}

func (r *readiness) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.outcome
}

func (r *readiness) lastFailure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}
