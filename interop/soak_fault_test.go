//go:build interop

package interop_test

import (
	"time"
)

// Faults last between these; a UA is left alone for a while after one, and its server too.
const (
	faultMin    = 500 * time.Millisecond
	faultMax    = 9 * time.Second
	faultPause  = 15 * time.Second
	serverPause = 30 * time.Second
)

// fault is something that can happen on the road of a UA. One without an end is over at once.
type fault struct {
	name       string
	begin, end func(*faultProxy)
}

var soakFaults = []fault{
	{name: "cut", begin: func(p *faultProxy) { p.each((*faultConn).cut) }},
	{name: "reset", begin: func(p *faultProxy) { p.each((*faultConn).reset) }},
	{name: "server's end cut alone", begin: func(p *faultProxy) { p.each((*faultConn).loseServer) }},
	{name: "client's end cut alone", begin: func(p *faultProxy) { p.each((*faultConn).loseClient) }},
	suffering("stall upwards", trouble{Stall: upwards}),
	suffering("stall downwards", trouble{Stall: downwards}),
	suffering("stall", trouble{Stall: bothWays}),
	suffering("blackhole upwards", trouble{Drop: upwards}),
	suffering("blackhole downwards", trouble{Drop: downwards}),
	suffering("blackhole", trouble{Drop: bothWays}),
	suffering("delay", trouble{Delay: 300 * time.Millisecond}),
	suffering("chop", trouble{Chop: true}),
	{"refused", func(p *faultProxy) { p.refuse(); p.each((*faultConn).reset) }, (*faultProxy).welcome},
	{"connects to nothing", func(p *faultProxy) { p.hang(); p.each((*faultConn).reset) }, (*faultProxy).welcome},
}

// suffering is a trouble as a fault. A connection that has lost bytes cannot go on.
func suffering(name string, tr trouble) fault {
	return fault{name, func(p *faultProxy) { p.suffer(tr) }, func(p *faultProxy) {
		p.suffer(trouble{})
		if tr.Drop != 0 {
			p.each((*faultConn).reset)
		}
	}}
}

// cure ends a fault when it is due.
type cure struct {
	due time.Time
	end func()
}

// trouble brings faults, until a time. It runs on the test's own goroutine.
func (s *soak) trouble(until time.Time) {
	for time.Now().Before(until) {
		s.cure(time.Now())
		switch n := s.dice.IntN(60); {
		case n == 0:
			s.killServer()
		case n == 1: // a whole site
			s.disturb(20 + s.dice.IntN(20))
		case n < 20:
			s.disturb(1 + s.dice.IntN(4))
		}
		time.Sleep(time.Duration(s.dice.Int64N(int64(time.Second / 2))))
	}
}

// cure ends what is due.
func (s *soak) cure(now time.Time) {
	var rest []cure
	for _, c := range s.cures {
		if c.due.After(now) {
			rest = append(rest, c)
		} else {
			c.end()
		}
	}
	s.cures = rest
}

// heal ends all faults.
func (s *soak) heal() { s.cure(time.Now().Add(time.Hour)) }

// duration is one that a fault may have.
func (s *soak) duration(most time.Duration) time.Duration {
	return faultMin + time.Duration(s.dice.Int64N(int64(most-faultMin)))
}

// disturb brings one kind of fault to some UAs that have had none for a while.
func (s *soak) disturb(n int) {
	f, d := soakFaults[s.dice.IntN(len(soakFaults))], s.duration(faultMax)
	fl := s.fleets[s.dice.IntN(len(s.fleets))]
	for _, i := range s.dice.Perm(len(fl.uas)) {
		u := fl.uas[i]
		if n == 0 {
			return
		}
		if !u.well() {
			continue
		}
		n--
		s.faults[f.name]++
		u.afflict(time.Now().Add(time.Hour))
		f.begin(u.road)
		if f.end == nil {
			u.afflict(time.Now().Add(afterEffect))
			continue
		}
		s.cures = append(s.cures, cure{time.Now().Add(d), func() {
			f.end(u.road)
			u.afflict(time.Now().Add(afterEffect))
		}})
	}
}

// well reports whether the UA had no fault for a while.
func (u *soakUA) well() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return time.Until(u.until) < afterEffect-faultPause
}

// afflict says until when failures may be due to faults on the road.
func (u *soakUA) afflict(until time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.until = until
}

// killServer kills one of the servers, which is there again shortly after and remembers nothing.
func (s *soak) killServer() {
	f := s.fleets[s.dice.IntN(len(s.fleets))]
	if time.Until(f.until) > afterEffect-serverPause {
		return
	}
	s.faults["server killed"]++
	f.afflict(time.Now().Add(time.Hour))
	f.k.kill(s.t)
	s.cures = append(s.cures, cure{time.Now().Add(s.duration(3 * time.Second)), func() {
		f.k.start(s.t)
		f.afflict(time.Now().Add(afterEffect))
	}})
}

func (f *fleet) afflict(until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.until = until
}
