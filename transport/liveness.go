package transport

import (
	"math/rand/v2"
	"time"
)

// crlfTimeout is how long the answer to a CRLF ping may take (RFC 5626 §4.4.1).
const crlfTimeout = 10 * time.Second

// liveness decides when to ping and when a flow is dead. It reads no clock and
// holds no lock: the flow steps it from its timer.
//
// Nothing is told of inbound bytes; each step looks when the last ones came, so
// that a busy flow pays one timer in PingInterval and nothing for a message.
type liveness struct {
	ping, pong time.Duration // WebSocket: silence before a ping (negative: never), time for an answer

	asked   bool      // a ping is queued or written and nothing has come in since
	askedAt time.Time // when it was queued, then when it was written
	written bool      // the ping has left; until then the write deadline rules
	seq     uint32    // of the inbound bytes when it was queued

	keep      time.Duration // CRLF: upper interval, 0 for none
	nextCRLF  time.Time
	crlfAsked time.Time // of the oldest CRLF ping without an answer, zero for none
	strict    bool      // this server has answered a CRLF ping before
}

func newLiveness(o *Options, answersCRLF bool) liveness {
	l := liveness{ping: o.PingInterval, pong: o.PongTimeout, strict: answersCRLF}
	l.setKeepAlive(time.Now(), o.KeepAliveInterval)
	return l
}

// step returns what has to be sent now, or the reason why the flow is dead.
func (l *liveness) step(now, lastIn time.Time, seq uint32) (control, error) {
	var send control
	if l.asked && seq != l.seq {
		l.asked = false
	}
	switch {
	case l.ping < 0:
	case !l.asked && !now.Before(lastIn.Add(l.ping)):
		l.asked, l.askedAt, l.written, l.seq = true, now, false, seq
		send |= sendPing
	case l.asked && !now.Before(l.askedAt.Add(l.pong)):
		if l.written {
			return 0, ErrNoPong
		}
		l.askedAt = now // it still waits behind a slow write
	}
	if l.keep > 0 {
		if l.strict && !l.crlfAsked.IsZero() && !now.Before(l.crlfAsked.Add(crlfTimeout)) {
			return 0, ErrNoPong
		}
		if !now.Before(l.nextCRLF) {
			if l.crlfAsked.IsZero() {
				l.crlfAsked = now
			}
			l.nextCRLF = now.Add(between80And100(l.keep))
			send |= sendCRLFPing
		}
	}
	return send, nil
}

// next returns when step has to be called again, zero for never.
func (l *liveness) next(lastIn time.Time) time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if l.ping >= 0 {
		if l.asked {
			sooner(l.askedAt.Add(l.pong))
		} else {
			sooner(lastIn.Add(l.ping))
		}
	}
	if l.keep > 0 {
		sooner(l.nextCRLF)
		if l.strict && !l.crlfAsked.IsZero() {
			sooner(l.crlfAsked.Add(crlfTimeout))
		}
	}
	return at
}

// pingWritten starts the time for the answer to the WebSocket ping.
func (l *liveness) pingWritten(now time.Time) {
	if l.asked && !l.written {
		l.written, l.askedAt = true, now
	}
}

// crlfPong takes the answer to a CRLF ping. From now on a missing one counts.
func (l *liveness) crlfPong() {
	if !l.crlfAsked.IsZero() {
		l.crlfAsked, l.strict = time.Time{}, true
	}
}

func (l *liveness) setKeepAlive(now time.Time, d time.Duration) {
	l.keep = d
	if d <= 0 {
		l.nextCRLF, l.crlfAsked = time.Time{}, time.Time{}
		return
	}
	if at := now.Add(between80And100(d)); l.nextCRLF.IsZero() || at.Before(l.nextCRLF) {
		l.nextCRLF = at
	}
}

// between80And100 returns a random time of 80 to 100 % of d (RFC 5626 §4.4).
func between80And100(d time.Duration) time.Duration {
	return d - rand.N(d/5+1)
}
