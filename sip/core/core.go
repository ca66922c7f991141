package core

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/dialog"
	"github.com/gosipua/sipua/sip/digest"
	"github.com/gosipua/sipua/sip/transaction"
)

// Core is the UA core. Make one with [New]; Close it in the end.
type Core struct {
	o      Options
	digest *digest.Client
	logs   *Queue
	work   sync.WaitGroup // what Go started, and timers armed

	mu sync.Mutex
	// guarded by mu
	closed    error // why the core is closed; nil: it is not
	layer     *transaction.Layer
	identity  identity
	links     []*link // flows that are up, the current one last
	watchers  []func(f Flow, info FlowInfo, up bool, err error)
	readiness []func(f Flow, info FlowInfo) // watchers of flows that become ready
	dialogs   map[dialog.ID]attached
	handlers  []handler // one for each method that has one
	expected  map[halfDialog]func(in *Incoming)
	replaces  func(in *Incoming, r sip.Replaces, d *dialog.Dialog, u Usage)
	trust     trust
	timers    int                  // that neither ran nor were stopped
	parked    []*Outgoing          // those that wait for a flow or for credentials, oldest first
	cancels   []*Outgoing          // those whose CANCEL waits for a flow or a provisional response
	arrived   *arrivals            // nil: none
	answering map[string]answering // by server, of those asked by OPTIONS
	stats     Stats
}

// handler takes the initial requests of a method.
type handler struct {
	method sip.Method
	fn     func(in *Incoming)
}

// attached is a dialog and its usage.
type attached struct {
	dialog *dialog.Dialog
	usage  Usage
}

// halfDialog is what we know of a dialog that the far side's NOTIFY will make.
type halfDialog struct{ callID, localTag string }

// Stats counts messages that led to nothing.
type Stats struct {
	Malformed int // could not be read, or deserved a 400
	TooLong   int // beyond the message limit
	Stray     int // responses and ACKs that belong to nothing
	Refused   int // requests refused because there were too many
}

// New returns a core that has no flow yet. It does no I/O.
func New(o Options) *Core {
	o = o.withDefaults()
	o.Policy.Bearer = true // whether there is a token is seen when asked for
	c := &Core{
		o:        o,
		digest:   digest.NewClient(o.Policy),
		identity: newIdentity(o),
	}
	c.logs = c.NewQueue(nil)
	c.layer = transaction.NewLayer(&c.mu, transaction.Options{
		T1:            o.T1,
		RecoveryLimit: o.RecoveryLimit,
		Send:          c.send,
	})
	return c
}

// Lock takes the mutex that owns the state of transactions, dialogs and usages.
func (c *Core) Lock() { c.mu.Lock() }

// Unlock releases it.
func (c *Core) Unlock() { c.mu.Unlock() }

// RecoveryLimit is how long requests inside dialogs wait for a flow.
func (c *Core) RecoveryLimit() time.Duration { return c.o.RecoveryLimit }

// Stats returns the counts so far. Locked.
func (c *Core) Stats() Stats { return c.stats }

// Go runs fn on a goroutine that Wait waits for. fn is the library's: one that
// may call the application belongs into a [Queue].
func (c *Core) Go(fn func()) {
	c.work.Add(1)
	go func() {
		defer c.work.Done()
		fn()
	}()
}

// Holdings is what a core keeps for what goes on; all are zero when nothing does.
type Holdings struct {
	Dialogs      int // that have a usage
	Transactions int // client and server, also those that only absorb repeats
	Parked       int // requests that wait for a flow or for credentials
	Timers       int // of the usages
}

// Holdings counts what the core keeps. Locked.
func (c *Core) Holdings() Holdings {
	return Holdings{Dialogs: len(c.dialogs), Transactions: c.layer.Len(), Parked: len(c.parked) + len(c.cancels), Timers: c.timers}
}

// Close ends the core: everything outstanding fails with err (net.ErrClosed when
// nil), watchers and handlers are not called any more, what is sent later fails.
// It takes the lock.
func (c *Core) Close(err error) {
	if err == nil {
		err = net.ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil {
		return
	}
	c.closed = err
	for _, k := range c.links {
		k.prober.stop()
	}
	for len(c.parked) > 0 {
		c.parked[0].fail(err)
	}
	for len(c.cancels) > 0 {
		c.cancels[0].forgetCancel()
	}
	c.layer.Close(err)
}

// Wait returns when, after Close, no goroutine or timer of the core runs. It does
// not wait for application code: neither for queues nor for
// [Options.Credentials].
func (c *Core) Wait() {
	c.work.Wait()
	c.layer.Wait()
}

// log reports an event through the logger, which is the application's and
// therefore not called with the lock held.
func (c *Core) log(level slog.Level, msg string, attrs ...slog.Attr) {
	if c.o.Logger == nil || !c.o.Logger.Enabled(context.Background(), level) {
		return
	}
	c.logs.Push(func() { c.o.Logger.LogAttrs(context.Background(), level, msg, attrs...) })
}

// Attach makes u the usage of d: requests inside d go to it. Locked.
func (c *Core) Attach(d *dialog.Dialog, u Usage) {
	if c.dialogs == nil {
		c.dialogs = map[dialog.ID]attached{}
	}
	c.dialogs[d.ID()] = attached{d, u}
}

// Detach forgets d; requests inside it get 481 from now on. Locked.
func (c *Core) Detach(d *dialog.Dialog) {
	if c.dialogs[d.ID()].dialog == d {
		delete(c.dialogs, d.ID())
	}
}

// FindDialog returns the dialog of that identity and its usage, or nil. Locked.
func (c *Core) FindDialog(id dialog.ID) (*dialog.Dialog, Usage) {
	a := c.dialogs[id]
	return a.dialog, a.usage
}

// Handle makes fn the handler of initial requests of method m; nil: none. Where
// there is none OPTIONS gets 200, INVITE 480, everything else 405. fn is called
// locked.
func (c *Core) Handle(m sip.Method, fn func(in *Incoming)) {
	c.handlers = slices.DeleteFunc(c.handlers, func(h handler) bool { return h.method == m })
	if fn != nil {
		c.handlers = append(c.handlers, handler{m, fn})
	}
}

// handler returns the handler of method m, nil when there is none.
func (c *Core) handler(m sip.Method) func(in *Incoming) {
	for _, h := range c.handlers {
		if h.method == m {
			return h.fn
		}
	}
	return nil
}

// HandleReplaces makes fn the handler of initial INVITEs with a Replaces: r is
// what it says, d and u the dialog that it names and its usage, nil where there
// is none (any more). fn answers the INVITE. Without a handler Replaces is
// ignored. fn is called locked.
//
// RFC 3891 §3.
func (c *Core) HandleReplaces(fn func(in *Incoming, r sip.Replaces, d *dialog.Dialog, u Usage)) {
	c.replaces = fn
}

// Expect makes fn take each NOTIFY of that Call-ID and our tag that is inside
// no dialog: a request of ours outside of dialogs makes its dialog with the
// first NOTIFY, which may overtake the 2xx. nil: no more. Locked, and so is fn.
//
// RFC 6665 §4.4.1.
func (c *Core) Expect(callID, localTag string, fn func(in *Incoming)) {
	if c.expected == nil {
		c.expected = map[halfDialog]func(in *Incoming){}
	}
	if fn == nil {
		delete(c.expected, halfDialog{callID, localTag})
		return
	}
	c.expected[halfDialog{callID, localTag}] = fn
}

// WatchFlows has fn called for each flow that comes (up) and goes (err says
// why), in the order of the calls to WatchFlows. Locked, and so is fn.
func (c *Core) WatchFlows(fn func(f Flow, info FlowInfo, up bool, err error)) {
	c.watchers = append(slices.Clip(c.watchers), fn)
}

// WatchReady has fn called for each flow that becomes ready, as FlowReady says.
// Locked, and so is fn.
func (c *Core) WatchReady(fn func(f Flow, info FlowInfo)) {
	c.readiness = append(slices.Clip(c.readiness), fn)
}
