package transport

import (
	"math/rand/v2"
	"time"
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
	notBefore   time.Time // Retry-After of a refused handshake
	answersCRLF bool      // has answered a CRLF keep-alive once
}

func newRoster(servers []Server, minWait, maxWait time.Duration) *roster {
	return &roster{servers: servers, marks: make([]mark, len(servers)), min: minWait, max: maxWait}
}

// candidate reports whether server i may be tried now.
func (r *roster) candidate(i int, now time.Time) bool {
	return !r.marks[i].failed && !now.Before(r.marks[i].notBefore)
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

// pick returns the heaviest candidate, at random among equals. Without a candidate
// it is the heaviest of all: whoever waited as long as next said has one.
func (r *roster) pick(now time.Time) int {
	anyone := !r.anyCandidate(now)
	best, equals := -1, 0
	for i, s := range r.servers {
		switch {
		case !anyone && !r.candidate(i, now):
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
	if retryAfter > 0 {
		r.marks[i].notBefore = now.Add(min(retryAfter, r.max))
	}
	return r.next(now, false)
}

// lost marks a server whose connection ended. A connection that held begins a new
// count: its first retry is at once, whatever failed before it was made.
func (r *roster) lost(i int, now time.Time, held bool) time.Duration {
	if held {
		r.round, r.attempt = 0, 0
		for j := range r.marks {
			r.marks[j].failed = false
		}
	}
	r.marks[i].failed = true
	return r.next(now, held)
}

// next returns 0 while there is a candidate left. Else the round is over, all
// marks are cleared, and the wait backs off unless the retry is at once.
func (r *roster) next(now time.Time, atOnce bool) time.Duration {
	if r.anyCandidate(now) {
		return 0
	}
	earliest := r.max
	for i := range r.marks {
		r.marks[i].failed = false
		earliest = min(earliest, r.marks[i].notBefore.Sub(now))
	}
	if atOnce {
		return max(earliest, 0)
	}
	r.round++
	return max(earliest, backOff(r.round, r.min, r.max))
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
