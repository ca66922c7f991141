package transport

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// flowState is where a flow is in its life.
type flowState uint8

const (
	flowUp      flowState = iota
	flowClosing           // takes nothing more; writes what is queued, then a Close frame
	flowDown              // the connection is closed or about to be
)

const (
	// hurry bounds what a flow may still write when nobody waits for it politely.
	hurry = 200 * time.Millisecond
	// linger bounds the wait for the peer's end after our Close frame. Closing at
	// once, with bytes of the peer unread, would reset the connection and may
	// destroy at the peer what we wrote last.
	linger = time.Second
)

// Flow is one connection to one server, a flow in the sense of RFC 5626 §3.1. All
// its methods may be called at any time from any goroutine.
type Flow struct {
	id     uint64
	server Server
	index  int // of the server in the roster
	pool   *Pool
	conn   *websocket.Conn
	wire   *wire
	since  time.Time
	heard  atomic.Bool   // a message or a pong came in
	inside atomic.Bool   // the reader is in the middle of a message
	native bool          // its local address was on an interface of this machine
	write  func()        // writeQueue as a value made once: starting the writer allocates nothing
	ended  chan struct{} // closed after Events.Down; nil without fail-back, which alone waits for it

	// owned by the writer
	batch   batch
	pongOut []byte  // payload of the pong being written
	pingOut [1]byte // and of the ping

	mu       sync.Mutex
	state    flowState     // guarded by mu, as is all that follows
	err      *FlowError    // why it is not up
	out      *buffer       // messages waiting to be written, end to end
	ends     []int         // where each message in out ends
	control  control       // control frames waiting to be written
	pong     []byte        // what the ping to be answered carried
	inWrite  int           // bytes the writer has taken and not yet written
	writing  bool          // the writer runs
	reading  bool          // the reader runs, or will
	closeBy  time.Time     // when the connection is cut while closing, zero for never
	code     int           // of the Close frame to be sent while closing
	closing  closingStep   // how far the Close frame has come
	stay     time.Duration // how long Leave said to leave the server alone
	live     liveness
	timer    *time.Timer // for live while up, for closeBy while closing
	timerDue time.Time
	looked   clocks // when the timer last fired while up
}

type closingStep uint8

const (
	closeWaits closingStep = iota // behind the queue
	closeTaken                    // by the writer
	closeSent
)

func newFlow(p *Pool, link *link, index int, id uint64, answersCRLF bool) *Flow {
	now := time.Now()
	f := &Flow{
		id: id, server: link.server, index: index, pool: p, conn: link.conn, wire: link.wire,
		since: now, reading: true, looked: lookAt(now),
		live: newLiveness(&p.opt, now, answersCRLF),
	}
	if p.opt.FailBack != nil {
		f.ended = make(chan struct{})
	}
	f.write = f.writeQueue
	f.conn.SetReadLimit(int64(p.opt.HardLimit))
	f.conn.SetPingHandler(f.gotPing)
	f.conn.SetPongHandler(f.gotPong)
	f.conn.SetCloseHandler(func(int, string) error { return nil }) // the reader's end answers
	return f
}

// ID returns the number of the flow, growing from 1 and unique in its pool,
// or among the pools that share Options.Numbers.
func (f *Flow) ID() uint64 { return f.id }

// Server returns the server the flow is connected to, as Options.Dial returned it.
func (f *Flow) Server() Server { return f.server }

// Configured returns the same server as Options.Servers has it, before Options.Dial
// changed it: what tells servers apart where Dial puts a new token into each URL.
func (f *Flow) Configured() Server { return f.pool.opt.Servers[f.index] }

// LocalAddr returns our address of the connection. Behind a proxy or NAT it is not
// the one the server sees.
func (f *Flow) LocalAddr() net.Addr { return f.conn.LocalAddr() }

// RemoteAddr returns the address the connection goes to: the server's, or the
// proxy's if there is one.
func (f *Flow) RemoteAddr() net.Addr { return f.conn.RemoteAddr() }

// String names the flow and its server, without what Server.String leaves out.
func (f *Flow) String() string { return fmt.Sprintf("flow %d to %s", f.id, f.server) }

// GoString is String, so that %#v does not print what a Server hides.
func (f *Flow) GoString() string { return f.String() }

// Err returns nil while the flow is up, else a [*FlowError].
func (f *Flow) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		return nil
	}
	return f.err
}

// SetKeepAlive asks for CRLF keep-alives (RFC 5626 §4.4.1) at random intervals
// between 80 and 100 % of d, which comes from a Flow-Timer field or a keep
// parameter (RFC 6223). Of d and Options.KeepAliveInterval the shorter one rules;
// with d ≤ 0 only the option does. A pong is due within 10 s, but its absence fails
// the flow only if this server has answered a keep-alive before.
func (f *Flow) SetKeepAlive(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state != flowUp {
		return
	}
	if own := f.pool.opt.KeepAliveInterval; d <= 0 || own > 0 && own < d {
		d = own
	}
	f.live.setKeepAlive(time.Now(), d)
	f.schedule()
}

// Fail ends the flow because the layer above found it dead: what is queued is
// lost, Down follows with err, and the pool connects again. On a flow that is
// down it does nothing.
func (f *Flow) Fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail(err)
}

// Leave ends the flow because the layer above found that its server does not serve
// us for now, as a SIP 503 with Retry-After says (RFC 3261 §21.5.4). What is queued
// and a Close frame (1000) are written within 200 ms, Down follows with err, and the
// next server by weight is tried at once. This one is none to be tried for the time
// notBefore, up to an hour; without another one the pool waits that long. On a flow
// that is down it does nothing.
func (f *Flow) Leave(err error, notBefore time.Duration) {
	f.mu.Lock()
	if f.state == flowUp {
		f.stay = notBefore
	}
	f.mu.Unlock()
	f.beginClose(websocket.CloseNormalClosure, err, hurry)
}

// fail cuts the connection. The reader wakes up from that and reports it.
// It is called with mu held; closing a connection does not block.
func (f *Flow) fail(err error) {
	if f.state == flowDown {
		return
	}
	if f.err == nil {
		f.err = f.lossOf(err)
	}
	f.state = flowDown
	f.dropQueue()
	f.stopTimer()
	f.pool.current.CompareAndSwap(f, nil)
	// Not through TLS, whose closing alert would wait for the peer.
	f.wire.Close()
}

func (f *Flow) lossOf(err error) *FlowError {
	return &FlowError{Flow: f.id, Server: f.server.String(), Err: err}
}

func (f *Flow) dropQueue() {
	if f.out != nil {
		f.out.release()
	}
	f.out, f.ends, f.control = nil, nil, 0
}

// beginClose takes nothing more, and lets the writer finish the queue and send a
// Close frame. The connection is cut after grace, if that is positive.
func (f *Flow) beginClose(code int, reason error, grace time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state == flowUp {
		f.state, f.code, f.err = flowClosing, code, f.lossOf(reason)
		f.control = 0
		f.pool.current.CompareAndSwap(f, nil)
		f.stopTimer()
		f.startWriter()
	}
	if f.state == flowClosing && grace > 0 {
		f.cutAfter(grace)
	}
}

// cutAfter brings the cut forward, never back. It is called with mu held.
func (f *Flow) cutAfter(d time.Duration) {
	at := time.Now().Add(d)
	if f.closeBy.IsZero() || at.Before(f.closeBy) {
		f.closeBy = at
		f.arm(at)
	}
}

// finish ends a closing flow when neither reader nor writer is needed any more.
// It is called with mu held, and reports whether the caller has to close the
// connection: TLS says goodbye then, which must not happen under mu.
func (f *Flow) finish() bool {
	return f.state == flowClosing && !f.reading && !f.writing
}

// hangUp closes the connection of a flow that is finished and stops the timer
// that guarded it until then.
func (f *Flow) hangUp() {
	f.conn.Close()
	f.mu.Lock()
	f.state = flowDown
	f.stopTimer()
	f.mu.Unlock()
}

// drained reports whether all that was queued and the Close frame were written.
func (f *Flow) drained() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closing == closeSent
}

// arm sets the timer. Each run it will have counts as a task of the pool, which
// waits for it. It is called with mu held.
func (f *Flow) arm(at time.Time) {
	now := time.Now()
	if at.Before(now) {
		at = now // or the timer would be late by nature, which looks like sleep
	}
	d := at.Sub(now)
	f.timerDue = at
	switch {
	case f.timer == nil:
		f.pool.tasks.add()
		f.timer = time.AfterFunc(d, f.onTimer)
	case !f.timer.Reset(d):
		f.pool.tasks.add()
	}
}

// stopTimer is called with mu held.
func (f *Flow) stopTimer() {
	f.timerDue = time.Time{}
	if f.timer != nil && f.timer.Stop() {
		f.pool.tasks.done()
	}
}

// schedule sets the timer for the next thing liveness has to do, unless it is set
// so already. It is called with mu held and the flow up.
func (f *Flow) schedule() {
	switch at := f.live.next(f.inbound()); {
	case at.IsZero():
		f.stopTimer()
	case !at.Equal(f.timerDue):
		f.arm(at)
	}
}

func (f *Flow) onTimer() {
	defer f.pool.tasks.done()
	f.mu.Lock()
	now, due := time.Now(), f.timerDue
	f.timerDue = time.Time{}
	var slept, stood time.Duration
	switch f.state {
	case flowUp:
		if due.IsZero() { // stopped too late
			due = now
		}
		before := f.looked
		f.looked = lookAt(now)
		if slept, stood = asleep(due, before, f.looked); slept > 0 {
			f.ask(f.live.woke(now, f.inbound().seq))
			f.schedule()
		} else {
			f.step(now)
		}
	case flowClosing:
		f.closeInTime(now)
	}
	f.mu.Unlock()
	if slept > 0 {
		f.pool.resumed(slept, stood)
	}
}

// step does what liveness has to do now. It is called with mu held and the flow up.
func (f *Flow) step(now time.Time) {
	ask, err := f.live.step(now, f.inbound())
	if err != nil {
		f.fail(err)
		return
	}
	f.ask(ask)
	f.schedule()
}

// check has the flow's answer asked for now. See Pool.Check.
func (f *Flow) check() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state == flowUp {
		f.ask(f.live.check(time.Now(), f.inbound().seq))
		f.schedule()
	}
}

// closeInTime is called with mu held and the flow closing.
func (f *Flow) closeInTime(now time.Time) {
	switch {
	case f.closeBy.IsZero():
	case now.Before(f.closeBy):
		f.arm(f.closeBy)
	default:
		f.fail(ErrPoolClosed)
	}
}

func (f *Flow) inbound() inbound {
	last, seq := f.wire.inbound()
	return inbound{last: last, seq: seq, inside: f.inside.Load()}
}
