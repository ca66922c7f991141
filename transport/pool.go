package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Pool keeps one flow up to the best of several servers. Its methods may be called
// at any time from any goroutine.
type Pool struct {
	opt     Options
	hooks   hooks
	log     *slog.Logger
	current atomic.Pointer[Flow] // the flow that is up
	tasks   tasks

	mu       sync.Mutex
	started  bool        // guarded by mu, as is all that follows
	stopped  bool        // by Close or Shutdown
	roster   *roster     // which server is next
	flow     *Flow       // the flow in use, until Events.Down was told
	retry    *time.Timer // for the next attempt, nil when none waits
	failBack *time.Timer // for the next look at heavier servers, nil when none waits
	attempts []*attempt  // under way: one, or two when the flow goes while the pool looks at heavier servers
}

// NewPool returns a pool that does nothing until Start. Servers are validated by
// each attempt to connect; to know before, call [Server.Validate].
func NewPool(o Options) *Pool {
	o = o.withDefaults()
	p := &Pool{opt: o, log: o.Logger, roster: newRoster(o.Servers, o.RecoveryMin, o.RecoveryMax)}
	p.hooks.o = &p.opt
	p.tasks.init()
	return p
}

// Start begins to connect, and keeps the pool connected until Close or Shutdown.
// Only the first call does anything. It does not wait; Events.Up tells.
func (p *Pool) Start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started || p.stopped {
		return
	}
	p.started = true
	p.connectAfter(0)
}

// Flow returns the flow that is up, or nil.
func (p *Pool) Flow() *Flow { return p.current.Load() }

// String names the servers, without what Server.String leaves out.
func (p *Pool) String() string { return fmt.Sprintf("pool of %v", p.opt.Servers) }

// GoString is String, so that %#v does not print what a Server hides.
func (p *Pool) GoString() string { return p.String() }

// connectAfter lets an attempt begin. It is called with mu held.
func (p *Pool) connectAfter(d time.Duration) {
	if p.stopped {
		return
	}
	p.tasks.add()
	if d <= 0 {
		go p.connect()
		return
	}
	p.retry = time.AfterFunc(d, p.connect)
}

// connect tries servers until one answers or all have failed.
func (p *Pool) connect() {
	defer p.tasks.done()
	for {
		p.mu.Lock()
		if p.stopped {
			p.mu.Unlock()
			return
		}
		p.retry = nil
		index := p.roster.pick(time.Now())
		p.roster.attempt++
		attempt := p.roster.attempt
		p.mu.Unlock()

		s := p.opt.Servers[index]
		p.log.Debug("connecting", "server", s, "attempt", attempt)
		p.hooks.connecting(s, attempt)
		l, err := p.open(s)
		if err == nil {
			p.adopt(l, index)
			return
		}
		if p.attemptFailed(index, err) {
			return
		}
	}
}

// attemptFailed tells of a failure. It returns false if another server is to be
// tried at once.
func (p *Pool) attemptFailed(index int, err error) (over bool) {
	var retryAfter time.Duration
	var refused *HandshakeError
	if errors.As(err, &refused) {
		retryAfter = refused.RetryAfter
	}
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return true
	}
	wait := p.roster.failed(index, time.Now(), retryAfter)
	p.mu.Unlock()

	s := p.opt.Servers[index]
	p.log.Warn("connecting failed", "server", s, "error", err, "retry_in", wait)
	p.hooks.failed(s, err, wait)
	if wait <= 0 {
		return false
	}
	p.mu.Lock()
	p.connectAfter(wait)
	p.mu.Unlock()
	return true
}

// adopt makes a flow of a new connection, and starts its reader.
func (p *Pool) adopt(l *link, index int) {
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		l.conn.Close()
		return
	}
	f := p.newFlow(l, index)
	p.mu.Unlock()
	p.run(f)
}

// newFlow is called with mu held and the pool not stopped.
func (p *Pool) newFlow(l *link, index int) *Flow {
	p.roster.up(index)
	f := newFlow(p, l, index, p.opt.Numbers.Add(1), p.roster.marks[index].answersCRLF)
	p.flow = f
	p.current.Store(f)
	p.lookBackAfter()
	return f
}

// run tells that f is up, then lets its reader begin, so that Up comes before the
// first message. The reader gets a goroutine of its own: the caller's stack has
// grown with the handshake and would stay so as long as the flow.
func (p *Pool) run(f *Flow) {
	f.mu.Lock()
	if f.state == flowUp {
		f.schedule()
	}
	f.mu.Unlock()
	p.log.Info("flow up", "server", f.server, "flow", f.id)
	p.hooks.up(f)
	p.tasks.add()
	go f.read()
}

// ended is the reader's last call for its flow.
func (p *Pool) ended(f *Flow, cause *FlowError) {
	p.log.Info("flow down", "server", f.server, "flow", f.id, "error", cause.Err)
	p.hooks.down(f, cause)
	if f.ended != nil {
		close(f.ended)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	if p.flow != f { // it gave way to another one
		return
	}
	p.flow = nil
	p.stopTimer(&p.failBack)
	p.connectAfter(p.roster.lost(f.index, time.Now(), p.held(f)))
}

// held reports whether f was worth a fresh count of attempts. Something heard is
// not enough by itself: a server that answers and hangs up, again and again, would
// be tried again at once each time.
func (p *Pool) held(f *Flow) bool {
	age := time.Since(f.since)
	return age >= p.opt.RecoveryMax || f.heard.Load() && age >= p.opt.RecoveryMin
}

// answersCRLF notes that a server answers CRLF keep-alives: its next flow expects it.
func (p *Pool) answersCRLF(index int) {
	p.mu.Lock()
	p.roster.marks[index].answersCRLF = true
	p.mu.Unlock()
}
