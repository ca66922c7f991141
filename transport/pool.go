package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
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
	using   atomic.Int32         // 1 + index of the server of the flow or of the attempt, 0 for none
	looking atomic.Int32         // the same of the heavier server that is being tried
	tasks   tasks

	// interfaces lists the addresses of this machine, net.InterfaceAddrs.
	interfaces func() ([]net.Addr, error)

	mu       sync.Mutex
	started  bool        // guarded by mu, as is all that follows
	stopped  bool        // by Close or Shutdown
	roster   *roster     // which server is next
	flow     *Flow       // the flow in use, until Events.Down was told
	failBack *time.Timer // for the next look at heavier servers, nil when none waits
	attempts []*attempt  // under way: one, or two when the flow goes while the pool looks at heavier servers
	trying   bool        // an attempt is under way or about to be
	waiting
}

// NewPool returns a pool that does nothing until Start. Servers are validated by
// each attempt to connect; to know before, call [Server.Validate].
func NewPool(o Options) *Pool {
	o = o.withDefaults()
	p := &Pool{
		opt: o, log: o.Logger, interfaces: net.InterfaceAddrs,
		roster: newRoster(o.Servers, o.RecoveryMin, o.RecoveryMax),
	}
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
	p.started, p.trying = true, true
	p.tasks.add()
	go p.connect()
}

// Flow returns the flow that is up, or nil.
func (p *Pool) Flow() *Flow { return p.current.Load() }

// String names the servers, without what Server.String leaves out.
func (p *Pool) String() string { return fmt.Sprintf("pool of %v", p.opt.Servers) }

// GoString is String, so that %#v does not print what a Server hides.
func (p *Pool) GoString() string { return p.String() }

// Uses reports whether the pool is connected to s, or tries to be. What another pool
// uses is what Options.Exclude is to leave alone. Servers are compared by their URL
// as it is in Options.Servers.
func (p *Pool) Uses(s Server) bool {
	for _, n := range []int32{p.using.Load(), p.looking.Load()} {
		if n > 0 && p.opt.Servers[n-1].URL == s.URL {
			return true
		}
	}
	return false
}

// connect tries servers until one answers or all have failed.
func (p *Pool) connect() {
	defer p.tasks.done()
	for p.attempt() {
	}
}

// attempt tries one server. It returns true if another one is to be tried at once.
func (p *Pool) attempt() (again bool) {
	a, err := p.begin()
	if err != nil { // stopped
		return false
	}
	if !p.takeTurn(a) {
		return false
	}
	index, number := p.choose()
	if index < 0 {
		p.giveTurn(a)
		return p.noServer()
	}
	s := p.opt.Servers[index]
	p.log.Debug("connecting", "server", s, "attempt", number)
	p.hooks.connecting(s, number)
	l, err := p.open(a, s)
	p.giveTurn(a)
	if err == nil {
		p.adopt(l, index)
		return false
	}
	return p.attemptFailed(index, err)
}

// choose picks the server to be tried, and counts the attempt. Without a candidate
// the index is negative.
func (p *Pool) choose() (index, number int) {
	for range len(p.opt.Servers) {
		p.askExclude()
		p.mu.Lock()
		index = p.roster.pick(time.Now())
		if index < 0 {
			p.mu.Unlock()
			return index, 0
		}
		p.using.Store(int32(index) + 1)
		p.roster.attempt++
		number = p.roster.attempt
		if p.brought {
			p.brought, p.hintedAt = false, time.Now()
		}
		p.mu.Unlock()
		// Two pools that exclude each other's may have chosen the same one at once.
		// Each can see the other's choice now, and at least one does.
		if !p.hooks.exclude(p.opt.Servers[index]) {
			return index, number
		}
		p.mu.Lock()
		p.using.Store(0)
		p.roster.attempt--
		p.mu.Unlock()
	}
	return -1, 0
}

// askExclude asks which servers are none to be tried now.
func (p *Pool) askExclude() {
	if p.opt.Exclude == nil {
		return
	}
	excluded := make([]bool, len(p.opt.Servers))
	for i, s := range p.opt.Servers {
		excluded[i] = p.hooks.exclude(s)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range excluded {
		p.roster.marks[i].excluded = excluded[i]
	}
}

// noServer lets the pool ask again later, when no server is to be tried now.
func (p *Pool) noServer() (atOnce bool) {
	p.mu.Lock()
	wait := p.roster.again(time.Now())
	p.mu.Unlock()
	p.log.Debug("no server to be tried", "retry_in", wait)
	return p.schedule(wait)
}

// attemptFailed tells of a failure. It returns true if another server is to be
// tried at once.
func (p *Pool) attemptFailed(index int, err error) (again bool) {
	p.askExclude()
	p.mu.Lock()
	p.using.Store(0)
	if p.stopped {
		p.mu.Unlock()
		return false
	}
	var wait time.Duration
	if !errors.Is(err, errBegunAnew) { // which says nothing of the server
		wait = p.roster.failed(index, time.Now(), askedBy(err))
	}
	wait = p.hurry(wait)
	p.mu.Unlock()

	s := p.opt.Servers[index]
	p.log.Warn("connecting failed", "server", s, "error", err, "retry_in", wait)
	p.hooks.failed(s, err, wait)
	return p.schedule(wait)
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
	f.native = l.native
	p.flow, p.trying, p.hinted = f, false, false
	p.using.Store(int32(index) + 1)
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

	p.askExclude()
	p.mu.Lock()
	if p.flow != f { // it gave way to another one
		p.mu.Unlock()
		return
	}
	now := time.Now()
	l := loss{age: now.Sub(f.since), held: p.held(f), ours: errors.Is(cause, ErrAddressGone), stay: f.stay}
	var bye *CloseError
	if errors.As(cause, &bye) {
		l.stay = p.roster.closing(bye.Code)
	}
	wait := p.roster.lost(f.index, now, l)
	p.flow, p.trying = nil, true
	p.using.Store(0)
	p.stopTimer(&p.failBack)
	p.tasks.add()
	p.mu.Unlock()
	if p.schedule(wait) {
		go p.connect()
		return
	}
	p.tasks.done()
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
