package transport

import (
	"math/rand/v2"
	"time"
)

// crlfTimeout is how long the answer to a CRLF ping may take (RFC 5626 §4.4.1).
const crlfTimeout = 10 * time.Second

// checkTimeout bounds the time for the answer to a ping when the flow is to be
// checked at once.
const checkTimeout = 2 * time.Second

// liveness decides when to ping and when a flow is dead. It reads no clock and
// holds no lock: the flow steps it from its timer.
//
// Nothing is told of inbound bytes but pongs; each step looks when the last ones
// came, so that a busy flow pays one timer and one ping in PingInterval, and nothing
// for a message. It is pinged although bytes come in, because these tell nothing of the
// way out, which may be dead by itself.
type liveness struct {
	ping, pong time.Duration // WebSocket: time from an answer to a ping (negative: never), time for an answer

	asked    bool      // a ping is queued or written and has no answer
	checking bool      // it is one of check, whose time is shorter
	askedAt  time.Time // when it was queued, then when it was written
	written  bool      // the ping has left; until then the write deadline rules
	number   byte      // of the ping, which is its payload
	seq      uint32    // of the inbound bytes when it was queued
	answered time.Time // when the flow was last known to work both ways
	pongs    bool      // this flow has answered a ping by its pong: nothing else will do

	keep      time.Duration // CRLF: upper interval, 0 for none
	nextCRLF  time.Time
	crlfAsked time.Time // of the oldest CRLF ping without an answer, zero for none
	strict    bool      // this server has answered a CRLF ping before
}

// inbound is what a flow knows of what came in.
type inbound struct {
	last   time.Time // when bytes came last
	seq    uint32    // changes whenever some do
	inside bool      // the reader is in the middle of a message
}

func newLiveness(o *Options, now time.Time, answersCRLF bool) liveness {
	l := liveness{ping: o.PingInterval, pong: o.PongTimeout, answered: now, strict: answersCRLF}
	l.setKeepAlive(now, o.KeepAliveInterval)
	return l
}

// step returns what has to be sent now, or the reason why the flow is dead.
func (l *liveness) step(now time.Time, in inbound) (control, error) {
	var send control
	if l.asked && !l.pongs && in.seq != l.seq {
		// Not every server answers by a pong; another sign of life is one as good.
		l.proved(in.last)
	}
	switch {
	case l.ping < 0:
	case !l.asked && !now.Before(l.answered.Add(l.ping)):
		send |= l.ask(now, in.seq)
	case l.asked && !now.Before(l.due(in)):
		switch {
		case !l.written:
			l.askedAt = now // it still waits behind a slow write
		case in.inside && in.last.After(l.askedAt):
			l.askedAt = in.last // its pong waits behind a long message
		default:
			return 0, ErrNoPong
		}
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
func (l *liveness) next(in inbound) time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if l.ping >= 0 {
		if l.asked {
			sooner(l.due(in))
		} else {
			sooner(l.answered.Add(l.ping))
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

// ask begins to wait for the answer to a ping.
func (l *liveness) ask(now time.Time, seq uint32) control {
	l.asked, l.askedAt, l.written, l.seq = true, now, false, seq
	l.number++
	return sendPing
}

// due returns when the answer to the ping is. A flow that has never answered one by
// a pong, though bytes came in, is given all the silence that it may take to learn
// of it otherwise.
func (l *liveness) due(in inbound) time.Time {
	at := l.askedAt.Add(l.timeout())
	if silent := in.last.Add(l.ping + l.pong); !l.pongs && !l.checking && at.Before(silent) {
		return silent
	}
	return at
}

// timeout is how long the answer to the ping may take.
func (l *liveness) timeout() time.Duration {
	if l.checking {
		return min(l.pong, checkTimeout)
	}
	return l.pong
}

// check returns what has to be sent to know soon whether the flow lives. While one
// check is under way another changes nothing: the first has to have its end.
func (l *liveness) check(now time.Time, seq uint32) control {
	if l.ping < 0 || l.checking {
		return 0
	}
	l.checking = true
	return l.ask(now, seq)
}

// woke is check after a sleep, in which no answer could come: what is asked now
// gets its full time.
func (l *liveness) woke(now time.Time, seq uint32) control {
	if !l.crlfAsked.IsZero() {
		l.crlfAsked = now
	}
	l.checking = false
	send := l.check(now, seq)
	if l.keep > 0 && now.After(l.nextCRLF) {
		if l.crlfAsked.IsZero() {
			l.crlfAsked = now
		}
		l.nextCRLF = now.Add(between80And100(l.keep))
		send |= sendCRLFPing
	}
	return send
}

// proved notes that the flow worked both ways.
func (l *liveness) proved(at time.Time) {
	l.asked, l.checking, l.answered = false, false, at
}

// gotPong takes a pong. From the first one on that answers a ping of ours nothing
// else does. Others are inbound bytes like any.
func (l *liveness) gotPong(now time.Time, payload string) {
	if l.asked && len(payload) == 1 && payload[0] == l.number {
		l.pongs = true
		l.proved(now)
	}
}

// pingWritten starts the time for the answer to the WebSocket ping with this number.
func (l *liveness) pingWritten(now time.Time, number byte) {
	if l.asked && !l.written && number == l.number {
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
