package session

import (
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// acceptance is a 2xx to an INVITE that waits for its ACK. The core of the
// callee repeats it itself, T1 apart and doubling to T2, for 64*T1, over a
// reliable transport too (RFC 3261 §13.3.1.4).
type acceptance struct {
	in       *core.Incoming
	desc     Description // in it, with the application's fields
	headers  []sip.Field
	moved    bool // its flow was lost since
	seq      uint32
	since    time.Time // it left first
	interval time.Duration
	repeat   *core.Timer
	giveUp   *core.Timer
}

// respondOffer answers an INVITE with 200 and the description, and waits for
// the ACK. False: nothing can be answered any more, its connection is gone.
func (l *leg) respondOffer(in *core.Incoming, d Description, headers []sip.Field) bool { // [locked]
	if in.Answered() {
		return false
	}
	in.Respond(l.ok(in, d, headers))
	a := &acceptance{in: in, desc: d, headers: headers, seq: in.Request().CSeq().Seq, since: time.Now()}
	l.accept = a
	a.watch(l)
	a.start(l)
	return true
}

// ok is the 200 to an INVITE, UPDATE or PRACK that leaves now, with a description
// and the application's fields.
func (l *leg) ok(in *core.Incoming, d Description, headers []sip.Field) *sip.Response { // [locked]
	res := in.NewResponse(sip.StatusOK, "")
	l.s.logError("header of 200", res.SetFields(headers...))
	l.learn(in.Request())
	l.answerPackages(in.Request(), res)
	l.s.logError("body of 200", d.into(res))
	l.timeAnswer(in, res)
	return res
}

// start begins the time in which the ACK has to come. It begins anew with another
// flow, but flows that go again and again do not keep a call for ever that nobody
// is in.
func (a *acceptance) start(l *leg) { // [locked]
	a.stop()
	a.interval = t1
	left := 64*t1 + l.s.m.core.RecoveryLimit() - time.Since(a.since)
	a.giveUp = l.s.after(min(max(left, 2*t2), 64*t1), func() { l.noACK(a) })
	a.schedule(l.s)
}

func (a *acceptance) schedule(s *Session) { // [locked]
	a.repeat = s.after(a.interval, func() {
		a.in.RepeatFinal()
		a.interval = min(2*a.interval, t2)
		a.schedule(s)
	})
}

func (a *acceptance) stop() { // [locked]
	a.repeat.Stop()
	a.giveUp.Stop()
}

// noACK is the end of a 2xx that was never acknowledged, unless its transaction
// waits for a flow.
func (l *leg) noACK(a *acceptance) { // [locked]
	if !a.in.Down() {
		l.unacknowledged(a, inNoACK, &EndError{Kind: EndNoACK, Err: &sip.TimeoutError{Timer: "H", Method: sip.ACK}})
	}
}

// receiveACK takes the ACK to a 2xx of ours, and the answer it may carry.
func (l *leg) receiveACK(req *sip.Request) { // [locked]
	if l.accept == nil || l.accept.seq != req.CSeq().Seq {
		return
	}
	l.acknowledged()
	if l.oa.state == oaOffered {
		l.answerCame(contentOf(req).sdp)
	}
	l.next()
}

// acknowledged notes that the peer has our 2xx, if one waits for its ACK. A
// re-INVITE of the peer tells as much (RFC 5407 §3.1.4), and where the ACK went
// with its connection nothing else does: the repeated 2xx goes the same way.
func (l *leg) acknowledged() { // [locked]
	switch {
	case l.accept != nil:
		l.accept.stop()
		l.accept = nil
	case l == l.s.leg && l.s.asks():
		l.s.in.asking = false
	default:
		return
	}
	l.s.step(inACK, event{})
}
