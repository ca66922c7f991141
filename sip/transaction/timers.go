package transaction

import (
	"sync"
	"time"
)

// The times of RFC 3261 §17, as multiples of T1.
const (
	timeout   = 64 // B, F, H, L, M
	lateReply = 7  // Timer E reaches T2 after 1+2+4 (RFC 4320 §4.1)
	answerDue = 60 // from the request; four before its sender's Timer F

	tryingAfter = 200 * time.Millisecond // RFC 3261 §17.2.1
)

// node is the timer of one transaction: its place in a queue.
type node struct {
	prev, next *node
	queue      *queue        // nil: does not run
	at         time.Duration // by the clock
	owner      interface{ expire() }
}

// queue holds the running timers of one duration, which therefore expire in the
// order they were started. One runtime timer serves them all, so starting and
// stopping one costs neither an allocation nor a runtime timer.
type queue struct {
	after      time.Duration
	head, tail *node
	alarm      *time.Timer
	armed      bool // alarm will call fire, or is about to
}

// lane names a queue.
type lane uint8

const (
	laneTimeout lane = iota
	laneTrying
	laneLate
	laneAnswer
	laneLast
	laneRecovery
	lanes
)

// laneOf is the queue that a timer waits in.
var laneOf = [timers]lane{
	timerB: laneTimeout, timerF: laneTimeout, timerH: laneTimeout, timerL: laneTimeout, timerM: laneTimeout,
	timerTrying: laneTrying, timerLate: laneLate, timerAnswer: laneAnswer, timerLast: laneLast, timerRecovery: laneRecovery,
}

// clock is the layer's queues.
type clock struct {
	mu     sync.Locker
	origin time.Time      // nodes count from it: half as dear as to ask for the time of day
	firing sync.WaitGroup // alarms armed
	queues [lanes]queue
	closed bool
}

func newClock(mu sync.Locker, o Options) *clock {
	c := &clock{mu: mu, origin: time.Now()}
	for l, after := range [lanes]time.Duration{
		laneTimeout:  timeout * o.T1,
		laneTrying:   tryingAfter,
		laneLate:     lateReply * o.T1,
		laneAnswer:   (answerDue - lateReply) * o.T1,
		laneLast:     (timeout - answerDue) * o.T1,
		laneRecovery: o.RecoveryLimit,
	} {
		c.queues[l].after = after
	}
	return c
}

func (c *clock) now() time.Duration { return time.Since(c.origin) }

func (c *clock) start(n *node, t timer) {
	c.stop(n)
	if c.closed {
		return
	}
	q := &c.queues[laneOf[t]]
	n.queue, n.at = q, c.now()+q.after
	n.prev, n.next = q.tail, nil
	if q.tail == nil {
		q.head = n
	} else {
		q.tail.next = n
	}
	q.tail = n
	if !q.armed {
		c.arm(q, q.after)
	}
}

// stop leaves the alarm as it is: it finds nothing due and is armed anew.
func (c *clock) stop(n *node) {
	q := n.queue
	if q == nil {
		return
	}
	if n.prev == nil {
		q.head = n.next
	} else {
		n.prev.next = n.next
	}
	if n.next == nil {
		q.tail = n.prev
	} else {
		n.next.prev = n.prev
	}
	n.prev, n.next, n.queue = nil, nil, nil
}

func (c *clock) arm(q *queue, d time.Duration) {
	q.armed = true
	c.firing.Add(1)
	if q.alarm == nil {
		q.alarm = time.AfterFunc(d, func() { c.fire(q) })
		return
	}
	q.alarm.Reset(d)
}

func (c *clock) fire(q *queue) {
	defer c.firing.Done()
	c.mu.Lock()
	defer c.mu.Unlock()
	q.armed = false
	if c.closed {
		return
	}
	now := c.now()
	for n := q.head; n != nil && n.at <= now; n = q.head {
		c.stop(n)
		n.owner.expire()
	}
	if q.head != nil && !q.armed && !c.closed {
		c.arm(q, q.head.at-now)
	}
}

// close stops all timers for good.
func (c *clock) close() {
	c.closed = true
	for i := range c.queues {
		q := &c.queues[i]
		for q.head != nil {
			c.stop(q.head)
		}
		if q.armed && q.alarm.Stop() {
			q.armed = false
			c.firing.Done()
		}
	}
}
