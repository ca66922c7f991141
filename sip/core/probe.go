package core

import "time"

// probe decides when to ask a server by OPTIONS whether it still speaks SIP, and
// when it does not. It reads no clock: the prober steps it. Each message that
// comes in is an answer, so that a busy flow is never asked.
type probe struct {
	interval time.Duration // without a message before an OPTIONS
	limit    time.Duration // for any message after it

	asked   bool
	askedAt time.Time
	mark    uint64 // messages that had come in when it was asked
}

// probeAction is what a probe wants done.
type probeAction uint8

const (
	probeWait probeAction = iota // until next
	probeAsk                     // send an OPTIONS
	probeDead                    // the flow is dead
)

var probeActionNames = [...]string{"wait", "ask", "dead"}

func (a probeAction) String() string { return probeActionNames[a] }

// step says what to do now: heard is how many messages have come in, the last of
// them, or else the flow itself, at heardAt.
func (p *probe) step(now, heardAt time.Time, heard uint64) probeAction {
	if p.asked && heard != p.mark {
		p.asked = false
	}
	switch {
	case p.asked && !now.Before(p.askedAt.Add(p.limit)):
		return probeDead
	case !p.asked && !now.Before(heardAt.Add(p.interval)):
		p.asked, p.askedAt, p.mark = true, now, heard
		return probeAsk
	}
	return probeWait
}

// next is when step has to be called again.
func (p *probe) next(heardAt time.Time) time.Time {
	if p.asked {
		return p.askedAt.Add(p.limit)
	}
	return heardAt.Add(p.interval)
}
