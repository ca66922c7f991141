package session

import (
	"time"

	"github.com/gosipua/sipua/sip"
)

// Handler has what a call tells the application. The funcs of one call run
// one at a time, in the order things happened, on a goroutine of the call's
// own; they may call any method, and one that blocks holds up only its own
// call. A nil func means that the application does not care, or the default
// named with it. A func that panics is logged and ends its call.
type Handler struct {
	// State tells each new state of the call. The last one is always
	// Terminated, once; s.Context() has ended by then and its cause says why.
	State func(s *Session, st State)

	// Progress gets each provisional response to an outgoing call but 100
	// (RFC 3261 §13.2.2.1), those of every fork.
	Progress func(s *Session, res *sip.Response)

	// Media tells that the media path is up: ICE and DTLS are done.
	Media func(s *Session)

	// Offer gets each offer of the far end inside the call (re-INVITE, UPDATE),
	// to accept or to refuse, there or later. Nil accepts what the call's media
	// can serve.
	Offer func(s *Session, o *Offer)

	// Identity tells who is at the far end, whenever a response, a re-INVITE or
	// an UPDATE says that it is somebody else than before (RFC 3325 §9.1,
	// RFC 4916).
	Identity func(s *Session, id Identity)

	// Hold tells who keeps the call on hold, whenever that changes.
	Hold func(s *Session, h HoldState)

	// Mute tells what of our own sending is muted, whenever that changes.
	Mute func(s *Session, m MuteSet)

	// DTMF gets each digit of the far end, by RTP (RFC 4733) or by INFO.
	DTMF func(s *Session, d DTMF)

	// Info gets an INFO request that carries no digit, of an Info Package that
	// the call takes or of none, and returns the status that answers it
	// (RFC 6086 §4.2.2). Nil means 415, and 200 to one that carries nothing.
	Info func(s *Session, req *sip.Request) sip.StatusCode

	// Message gets a MESSAGE inside the call and returns the status that
	// answers it (RFC 3428 §7). Nil means 405.
	Message func(s *Session, req *sip.Request) sip.StatusCode

	// Refer gets each REFER inside the call, by which the far end asks us to call
	// somebody else (RFC 3515). r may be decided on later. Nil answers 603.
	Refer func(s *Session, r *Referral)

	// Condition tells what is wrong with a call that goes on all the same, whenever
	// that changes: the zero value when it is all right again.
	Condition func(s *Session, c Condition)

	// Transfer tells how a transfer that Refer or ReferTo asked for goes on
	// (RFC 3515 §2.4.5). It may follow the end of the call, which the far end is
	// free to leave before it has called.
	Transfer func(s *Session, p TransferProgress)
}

// HoldState says who keeps a call on hold.
type HoldState struct {
	Local  bool // we do
	Remote bool // the far end does
}

// DTMF is one digit.
type DTMF struct {
	Digit    rune          // 0-9, A-D, *, # or R for a hook flash
	Duration time.Duration // how long it was pressed
	INFO     bool          // came in an INFO request, not in RTP
}

// setHandler says whose events these are from now on.
func (s *Session) setHandler(h *Handler) { // [locked]
	if h != nil {
		s.handler = *h
	} else {
		s.handler = s.m.o.Handler
	}
}

// tell queues an event; nothing follows the end of the call. False: the
// application is too far behind.
func (s *Session) tell(event func()) bool { // [locked]
	return s.err != nil || s.events.Push(event)
}

// eventKind names the events of which the newest says all.
type eventKind uint8

const (
	eventMedia eventKind = iota
	eventHold
	eventMute
	eventIdentity
	eventCondition
)

// tellNewest queues an event that is not lost: when the application is too far
// behind, the newest of its kind waits in the place of those before.
func (s *Session) tellNewest(kind eventKind, event func()) { // [locked]
	if s.err == nil {
		s.events.PushNewest(kind, event)
	}
}

// tellState queues a state, of which a call has only a few.
func (s *Session) tellState(st State) { // [locked]
	if h := s.handler.State; h != nil {
		s.events.PushFinal(func() { h(s, st) })
	}
}

func (s *Session) tellProgress(res *sip.Response) { // [locked]
	s.report.report(res.StatusCode(), res.Reason())
	if h := s.handler.Progress; h != nil {
		s.tell(func() { h(s, res) })
	}
}

func (s *Session) tellConnected() { // [locked]
	if h := s.handler.Media; h != nil {
		s.tellNewest(eventMedia, func() { h(s) })
	}
}

func (s *Session) tellDTMF(d DTMF) bool { // [locked]
	h := s.handler.DTMF
	return h == nil || s.tell(func() { h(s, d) })
}

// agree takes over what an exchange came to.
func (l *leg) agree(st MediaState) { // [locked]
	l.agreed = true
	if l.s.usage.state == Early && l.end == nil {
		l.s.lead(l)
	}
	if st != l.holding {
		l.holding = st
		if l == l.s.leg {
			l.s.tellHold()
		}
	}
}

func (s *Session) tellHold() { // [locked]
	if h := s.handler.Hold; h != nil {
		hs := HoldState{Local: s.leg.holding.LocalHold, Remote: s.leg.holding.RemoteHold}
		s.tellNewest(eventHold, func() { h(s, hs) })
	}
}
