package sipua

import (
	"sync"
	"time"
)

// NetworkChanged is the application's hint that the network may have changed, as
// the system tells of a new address, another Wi-Fi or the end of a sleep: what
// would be noticed by itself is looked for now. A connection from an address that
// is gone is given up at once, any other has 2 s at most to answer a ping, and a
// wait for the next attempt to connect is cut short, see [transport.Pool.Check]; a
// registration that is over by the wall clock is renewed; calls look after the path
// of their media.
//
// It does not wait, costs little, and may be called at any time and as often as
// one likes, from any goroutine and any handler.
func (ua *UA) NetworkChanged() {
	ua.lookAround()
	ua.reg.NetworkChanged()
}

// lookAround has connections and calls see whether their paths are still there.
func (ua *UA) lookAround() {
	for _, p := range ua.pools {
		p.Check()
	}
	ua.calls.NetworkChanged()
}

// resumed takes a sleep of the machine that the pool of regID has noticed.
func (ua *UA) resumed(regID int, asleep time.Duration) {
	if !ua.sleep.ends(regID, time.Now()) {
		return
	}
	ua.tell(aboutMachine, Event{Kind: EventResumed, For: asleep})
	ua.lookAround()
	ua.reg.Resumed(asleep)
	ua.calls.Resumed(asleep)
}

// sleep tells the sleeps of the machine apart: each pool notices each.
type sleep struct {
	mu     sync.Mutex
	regID  int           // guarded by mu; of the pool that noticed the last one
	at     time.Time     // guarded by mu
	within time.Duration // the pools notice one within this
}

// ends reports whether what a pool notices now is news.
func (s *sleep) ends(regID int, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.regID != 0 && s.regID != regID && now.Sub(s.at) <= s.within {
		return false
	}
	s.regID, s.at = regID, now
	return true
}
