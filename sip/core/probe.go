package core

import "time"

// probe decides when to ask a server by OPTIONS whether it still speaks SIP, and
// when it does not. It reads no clock: the prober steps it. Each message that
// comes in is an answer, so that a busy flow is never asked.
type probe struct {
	interval time.Duration // without a message before an OPTIONS; 0: only when told to ask
	limit    time.Duration // for any message after it

	asked   bool
	askedAt time.Time
	mark    uint64 // messages that had come in when it was asked
}

// tooLate is how late a step may be whose time is told by a timer.
const tooLate = 2 * time.Second

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
	case p.asked && now.After(p.askedAt.Add(p.limit+tooLate)):
		return p.ask(now, heard) // we were frozen, and the answer may wait to be read
	case p.asked && !now.Before(p.askedAt.Add(p.limit)):
		return probeDead
	case !p.asked && p.interval > 0 && !now.Before(heardAt.Add(p.interval)):
		return p.ask(now, heard)
	}
	return probeWait
}

// ask begins to wait for an answer.
func (p *probe) ask(now time.Time, heard uint64) probeAction {
	p.asked, p.askedAt, p.mark = true, now, heard
	return probeAsk
}

// next is when step has to be called again, zero for never.
func (p *probe) next(heardAt time.Time) time.Time {
	switch {
	case p.asked:
		return p.askedAt.Add(p.limit)
	case p.interval > 0:
		return heardAt.Add(p.interval)
	}
	return time.Time{}
}
