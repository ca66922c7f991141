package transport

import (
	"math/rand/v2"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// maxStay bounds how long a server can keep us away, and how long one that does
	// not hold its flows is not failed back to.
	maxStay = time.Hour
	// steady is how many times RecoveryMax a flow has to live for its server to
	// count as one to fail back to.
	steady = 10
)

// roster decides which server is tried next and when. It holds no lock and reads
// no clock: the pool calls it under its own.
type roster struct {
	servers  []Server
	marks    []mark
	min, max time.Duration // bounds of the back-off

	round   int // rounds in which every server failed since a connection held
	attempt int // attempts since a connection held
}

// mark is what is remembered of one server.
type mark struct {
	failed      bool
	excluded    bool      // Options.Exclude said so when it was last asked
	notBefore   time.Time // it asked to be left alone until then
	flaps       int       // flows to it in a row that were lost early
	notBack     time.Time // no failing back before that, for its flaps
	answersCRLF bool      // has answered a CRLF keep-alive once
}

func newRoster(servers []Server, minWait, maxWait time.Duration) *roster {
	return &roster{servers: servers, marks: make([]mark, len(servers)), min: minWait, max: maxWait}
}

// candidate reports whether server i may be tried now.
func (r *roster) candidate(i int, now time.Time) bool {
	m := &r.marks[i]
	return !m.failed && !m.excluded && !now.Before(m.notBefore)
}

// anyCandidate reports whether a server may be tried now.
func (r *roster) anyCandidate(now time.Time) bool {
	for i := range r.marks {
		if r.candidate(i, now) {
			return true
		}
	}
	return false
}

// pick returns the heaviest candidate, at random among equals, and -1 if there is
// none.
func (r *roster) pick(now time.Time) int {
	best, equals := -1, 0
	for i, s := range r.servers {
		switch {
		case !r.candidate(i, now):
		case best < 0 || s.Weight > r.servers[best].Weight:
			best, equals = i, 1
		case s.Weight == r.servers[best].Weight:
			// The n-th of n equals takes over with probability 1/n: all end alike.
			equals++
			if rand.IntN(equals) == 0 {
				best = i
			}
		}
	}
	return best
}

// up clears the marks of a server that was reached.
func (r *roster) up(i int) {
	r.marks[i].failed = false
	r.marks[i].notBefore = time.Time{}
}

// failed marks a server that could not be reached, and returns how long to wait
// before the next attempt.
func (r *roster) failed(i int, now time.Time, retryAfter time.Duration) time.Duration {
	r.marks[i].failed = true
	r.stay(i, now, retryAfter)
	return r.next(now, false)
}

// loss is how a connection ended.
type loss struct {
	age  time.Duration // of the connection
	held bool          // it was worth a fresh count of attempts
	ours bool          // the reason is on our side
	stay time.Duration // how long the server asked to be left alone
}

// lost marks a server whose connection ended, unless that is not its fault. A
// connection that held begins a new count: its first retry is at once, whatever
// failed before it was made.
func (r *roster) lost(i int, now time.Time, l loss) time.Duration {
	if l.held {
		r.round, r.attempt = 0, 0
		r.clear()
	}
	r.stay(i, now, l.stay)
	if !l.ours {
		r.marks[i].failed = true
		r.flapped(i, now, l.age)
	}
	return r.next(now, l.held)
}

// flapped puts off failing back to a server that loses its flows early, longer each
// time.
func (r *roster) flapped(i int, now time.Time, age time.Duration) {
	m := &r.marks[i]
	if age >= steady*r.max {
		m.flaps = 0
		return
	}
	m.flaps = min(m.flaps+1, 16)
	off := maxStay
	if r.max < maxStay>>m.flaps {
		off = r.max << m.flaps
	}
	m.notBack = now.Add(off/2 + rand.N(off/2+1))
}

// stay notes that server i wants to be left alone for d.
func (r *roster) stay(i int, now time.Time, d time.Duration) {
	if d > 0 {
		r.marks[i].notBefore = now.Add(min(d, maxStay))
	}
}

// closing returns how long to stay away from a server that ended a connection with
// this code of a Close frame, so that its clients do not return in step.
func (r *roster) closing(code int) time.Duration {
	switch code {
	case websocket.CloseGoingAway: // RFC 6455 §7.4.1: a server going down, or up again
		return rand.N(r.min + 1)
	case websocket.CloseServiceRestart: // 5 to 30 s by its definition at IANA
		low, high := r.within(5*time.Second), r.within(30*time.Second)
		return low + rand.N(high-low+1)
	case websocket.CloseTryAgainLater: // it is overloaded, by its definition at IANA
		return r.min + rand.N(r.max-r.min+1)
	}
	return 0
}

func (r *roster) within(d time.Duration) time.Duration { return min(max(d, r.min), r.max) }

// next returns 0 while there is a candidate left. Else another round begins, with all
// marks of failure cleared, and the wait backs off unless the retry is at once.
func (r *roster) next(now time.Time, atOnce bool) time.Duration {
	if r.anyCandidate(now) {
		return 0
	}
	if soonest, ok := r.soonest(now); ok && atOnce {
		r.clear()
		return soonest
	}
	return r.again(now)
}

// again begins another round, and returns how long to wait for it.
func (r *roster) again(now time.Time) time.Duration {
	r.clear()
	r.round++
	soonest, _ := r.soonest(now)
	return max(soonest, backOff(r.round, r.min, r.max))
}

// soonest returns how long it takes until a server may be tried that is not
// excluded. Without one it returns false.
func (r *roster) soonest(now time.Time) (wait time.Duration, ok bool) {
	wait = maxStay
	for _, m := range r.marks {
		if !m.excluded {
			wait, ok = min(wait, max(m.notBefore.Sub(now), 0)), true
		}
	}
	if !ok {
		return 0, false
	}
	return wait, true
}

// clear takes the marks of failure from all servers.
func (r *roster) clear() {
	for i := range r.marks {
		r.marks[i].failed = false
	}
}

// slept notes that the monotonic clock, by which servers are left alone, stood
// still while d passed.
func (r *roster) slept(d time.Duration) {
	for i := range r.marks {
		if m := &r.marks[i]; !m.notBefore.IsZero() {
			m.notBefore = m.notBefore.Add(-d)
		}
	}
}

// backOff returns a random wait between low and low·2^round, never above high.
// The whole range is used, so that the clients of a server that went down do not
// come back in step.
func backOff(round int, low, high time.Duration) time.Duration {
	top := high
	if round < 32 && low<<round>>round == low {
		top = min(top, low<<round)
	}
	return low + rand.N(top-low+1)
}
