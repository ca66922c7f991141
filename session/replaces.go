package session

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/dialog"
)

// ReplacedError is behind the end of a call that another one took the place of
// (RFC 3891 §3): the [EndError] of the replaced call wraps it.
type ReplacedError struct {
	By *Session // the call that goes on
}

// Error names the call that goes on.
func (e *ReplacedError) Error() string {
	return fmt.Sprintf("session: replaced by call %s", e.By.CallID())
}

// Replaces is the call that this one wants to replace, nil for a call that
// replaces none (RFC 3891). Answer consents: once the new call is up the other
// one is hung up, or given up where its far end has not answered yet; its
// EndError then is a *[ReplacedError]. Reject leaves it as it is. When it ends
// before the decision, this one is refused with 603.
//
// That the caller knows the dialog's tags proves no more than that it saw the
// call's messages. Who it is has to be seen from what a server vouches for,
// AssertedIdentity, or be left to a server that lets nobody else through;
// Referred-By is what the caller says itself (RFC 3891 §3, §8).
func (in *Incoming) Replaces() *Session { return in.s.in.replaces }

// receiveReplaces takes an INVITE that names the dialog d of usage u, or one that
// is not there, as the one to replace (RFC 3891 §3).
func (m *Manager) receiveReplaces(in *core.Incoming, r sip.Replaces, d *dialog.Dialog, u core.Usage) { // [locked]
	call, ok := u.(inDialog)
	var s *Session
	if ok {
		s = call.s
	}
	switch {
	case !ok && m.ended.has(r):
		in.Reply(sip.StatusDecline, "") // it would ring for a call that nobody wants any more
	case !ok:
		in.Reply(sip.StatusCallDoesNotExist, "")
	case s.usage.state.Ended() || call.lost():
		in.Reply(sip.StatusDecline, "")
	case d.State() == dialog.Early && s.direction == Inbound:
		in.Reply(sip.StatusCallDoesNotExist, "")
	case d.State() == dialog.Confirmed && r.EarlyOnly:
		in.Reply(sip.StatusBusyHere, "")
	case !m.o.AskOnReplacement && call.mayBeReplaced() && s.sameParty(in.Request()):
		if s.usage.state == Accepted {
			call.leg.acknowledged()
		}
		s.replacedBy(in)
	default:
		m.receiveCall(in, s, r.EarlyOnly)
	}
}

// mayBeReplaced reports whether the far end may have another dialog in the place of
// this one. It may be that the ACK to our 2xx was lost with its connection: who
// wants to replace the dialog has had that. An answer in the ACK is missed.
func (d inDialog) mayBeReplaced() bool { // [locked]
	st := d.s.usage.state
	return d.leg == d.s.leg && (st == Confirmed || st == Accepted && (d.leg.oa.state != oaOffered || d.s.asks()))
}

// replacing notes that s wants the place of old.
func (s *Session) replacing(old *Session, earlyOnly bool) { // [locked]
	s.in.replaces, s.in.earlyOnly = old, earlyOnly
	old.successors = append(old.successors, s)
}

// takeOver ends the call that s replaces, now that s is up.
func (s *Session) takeOver() { // [locked]
	if s.in == nil || s.in.replaces == nil {
		return
	}
	old := s.in.replaces
	old.successors = slices.DeleteFunc(old.successors, func(o *Session) bool { return o == s })
	if !old.usage.state.Ended() {
		if old.usage.state != Confirmed && old.usage.state != Accepted { // not missed: RFC 3326 §2
			old.parting.reasons = []string{completedElsewhere.String()}
		}
		old.hangup(&ReplacedError{By: s})
	}
}

// completedElsewhere is why a call that is taken at another device stops ringing.
var completedElsewhere = sip.Reason{Protocol: "SIP", Cause: 200, Text: "Call completed elsewhere"}

// stands refuses those that wanted to replace s only while it was not answered
// (RFC 3891 §3).
func (s *Session) stands() { // [locked]
	s.refuseSuccessors(sip.StatusBusyHere, errAnswered, func(o *Session) bool { return o.in.earlyOnly })
}

// leaves refuses those that wanted to replace s, which is over, and forgets it.
func (s *Session) leaves() { // [locked]
	s.refuseSuccessors(sip.StatusDecline, s.err, func(*Session) bool { return true })
	if s.in != nil && s.in.replaces != nil {
		old := s.in.replaces
		old.successors = slices.DeleteFunc(old.successors, func(o *Session) bool { return o == s })
	}
}

// refuseSuccessors refuses those that nobody decided on yet.
func (s *Session) refuseSuccessors(code sip.StatusCode, why error, which func(*Session) bool) { // [locked]
	for _, o := range slices.Clone(s.successors) {
		if o.usage.state == Ringing && which(o) {
			o.step(inReject, event{code: code, end: &EndError{Kind: EndRejected, Err: why}})
		}
	}
}

// errAnswered is why a call is refused that wanted the place of another only
// while that was not answered.
var errAnswered = errors.New("session: the call to replace was answered")

// endedDialogs remembers the dialogs that ended just now: who wants to replace
// one of them is refused for good (RFC 3891 §3).
type endedDialogs struct { // guarded by the core's mutex
	last []endedDialog // up to endedMost, in a ring then: an idle user agent keeps none
	next int
}

// endedMost is how many dialogs are remembered.
const endedMost = 64

type endedDialog struct {
	id dialog.ID
	at time.Time
}

// endedMemory is how long an INVITE that names the dialog may be under way
// (Timer B).
const endedMemory = 64 * t1

func (e *endedDialogs) add(d *dialog.Dialog) { // [locked]
	ended := endedDialog{d.ID(), time.Now()}
	if len(e.last) < endedMost {
		e.last = append(e.last, ended)
		return
	}
	e.last[e.next] = ended
	e.next = (e.next + 1) % endedMost
}

func (e *endedDialogs) has(r sip.Replaces) bool { // [locked]
	want := endedDialog{id: dialog.ID{CallID: r.CallID, LocalTag: r.ToTag, RemoteTag: r.FromTag}}
	for _, o := range e.last {
		if o.id == want.id && time.Since(o.at) < endedMemory {
			return true
		}
	}
	return false
}
