//go:build interop

package interop_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// plan is what a call of the soak is to become.
type plan struct {
	ring     time.Duration // until the callee decides
	talk     time.Duration // until the call is hung up
	refuse   bool          // the callee refuses
	giveUp   time.Duration // until the caller gives up, unless it is 0
	byCallee bool          // who hangs up
	hold     bool          // the caller holds and resumes meanwhile
	audio    bool          // real media
	again    bool          // it may be placed again
}

// soakCall is a call of the soak from its beginning until it is accounted for.
type soakCall struct {
	id     int
	plan   plan
	begun  time.Time
	caller *side
	callee *side

	unheard bool // one side has hung up and the other goes on, without media that would tell it; set before the judgement

	mu   sync.Mutex
	wire strings.Builder // guarded by mu; what passed at both ends
}

// side is one end of a call: of the callee's sessions there may be several, where the call was placed again.
type side struct {
	call *soakCall
	ua   *soakUA

	mu       sync.Mutex
	sessions []*session.Session  // guarded by mu
	audio    []*uaCall           // guarded by mu; of calls with real media
	ends     []*session.EndError // guarded by mu
	odd      []error             // guarded by mu; what should not have been
	at       int                 // guarded by mu; sessions that go on, and goroutines at work
	up       bool                // guarded by mu; the call was up, as the application of this side knows
}

// take has the side follow a session to its end.
func (sd *side) take(s *session.Session, audio *uaCall) {
	if audio != nil {
		audio.Session = s
		go audio.talk()
	}
	sd.mu.Lock()
	sd.sessions = append(sd.sessions, s)
	if audio != nil {
		sd.audio = append(sd.audio, audio)
	}
	sd.mu.Unlock()
	done := sd.engage()
	go func() {
		defer done()
		<-s.Context().Done()
		cause := context.Cause(s.Context())
		var end *session.EndError
		sd.mu.Lock()
		defer sd.mu.Unlock()
		if !errors.As(cause, &end) {
			sd.odd = append(sd.odd, fmt.Errorf("ended with %T: %w", cause, cause))
			return
		}
		sd.ends = append(sd.ends, end)
	}()
}

// engage says that the side is not over yet, until the func that it returns is called.
func (sd *side) engage() func() {
	add := func(n int) {
		sd.mu.Lock()
		defer sd.mu.Unlock()
		sd.at += n
	}
	add(1)
	return func() { add(-1) }
}

func (sd *side) engaged() bool {
	sd.mu.Lock()
	defer sd.mu.Unlock()
	return sd.at > 0
}

// now is the session that the side is at present.
func (sd *side) now() *session.Session {
	sd.mu.Lock()
	defer sd.mu.Unlock()
	for _, s := range slices.Backward(sd.sessions) {
		if !s.State().Ended() {
			return s
		}
	}
	return nil
}

// note keeps an error that has no business to be.
func (sd *side) note(what string, err error) {
	sd.mu.Lock()
	defer sd.mu.Unlock()
	sd.odd = append(sd.odd, fmt.Errorf("%s: %w", what, err))
}

// hangUp ends the call from this side. That may take longer than anybody would wait.
func (sd *side) hangUp() {
	s := sd.now()
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), hangupLimit)
	defer cancel()
	if err := s.Hangup(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		sd.note("Hangup", err)
	}
}

// unheardOutcome is that of a call whose BYE met a dead way to a side that has lost nothing itself: with media that go by no path it goes on until
// its session is not refreshed. It has to be rare.
const unheardOutcome = "up and hung up, and without media nothing told the other side"

// isUnheard reports whether the side that was to hang up has, and the other goes on.
func (c *soakCall) isUnheard() bool {
	ended, other := c.caller, c.callee
	if c.plan.byCallee {
		ended, other = other, ended
	}
	return !c.plan.audio && ended.states() == session.Terminated.String() && other.states() == session.Confirmed.String()
}

// outcome is how a call is accounted for; wrong says that it must not be so.
type outcome struct {
	name  string
	wrong bool
}

// judge tells what became of a call that is over; troubled reports whether there was a fault that could excuse a failure.
func (c *soakCall) judge(troubled bool) outcome {
	if c.unheard {
		return outcome{unheardOutcome, !troubled}
	}
	for _, sd := range []*side{c.caller, c.callee} {
		sd.mu.Lock()
		defer sd.mu.Unlock()
		if len(sd.odd) > 0 {
			return outcome{"odd: " + errors.Join(sd.odd...).Error(), true}
		}
	}
	if len(c.caller.ends) != 1 {
		return outcome{fmt.Sprintf("%d ends at the caller", len(c.caller.ends)), true}
	}
	end := c.caller.ends[0]
	if !c.caller.up {
		return c.judgeFailed(end, troubled)
	}
	ended, other := c.caller, c.callee
	if c.plan.byCallee {
		ended, other = other, ended
	}
	if len(c.callee.ends) == 0 {
		return outcome{"up without a callee", true}
	}
	byes := func(sd *side, remote bool) bool {
		return slices.ContainsFunc(sd.ends, func(e *session.EndError) bool { return e.Kind == session.EndBye && e.Remote == remote })
	}
	gone := func(sd *side) bool {
		return slices.ContainsFunc(sd.ends, func(e *session.EndError) bool { return e.Kind == session.EndDialogError })
	}
	switch {
	case c.plan.audio && c.plan.talk > soundLimit && !(c.caller.sound() && c.callee.sound()):
		return outcome{"up without sound", true}
	case byes(ended, false) && byes(other, true):
		return outcome{"up and hung up, BYE seen by the other side", false}
	case byes(ended, false) && gone(other):
		return outcome{"up and hung up, the other side was told when it asked", !troubled}
	case byes(ended, false) && c.plan.audio && endedAfter(ended, other, session.EndMediaFailed):
		return outcome{"up and hung up, the other side heard nothing any more", !troubled}
	case byes(ended, false) && endedAfter(ended, other, session.EndNoACK):
		return outcome{"up and hung up, the other side had no ACK", !troubled}
	}
	return outcome{fmt.Sprintf("lost: the caller's side ended %s, the callee's %s", ends(c.caller), ends(c.callee)), true}
}

// judgeFailed is judge for a call that never came up at the caller.
func (c *soakCall) judgeFailed(end *session.EndError, troubled bool) outcome {
	name := end.Kind.String()
	if status := cmp.Or(end.Status, sip.StatusOf(end.Err)); status != 0 {
		name = fmt.Sprintf("%s, %d", name, status)
	}
	switch {
	case c.plan.giveUp > 0 && end.Kind == session.EndCanceled:
		return outcome{"given up", false}
	case c.plan.refuse && end.Kind == session.EndRejected && end.Status == sip.StatusBusyHere:
		return outcome{"refused as planned", false}
	case end.Kind == session.EndInternal, end.Kind == session.EndClosed, end.Kind == session.EndMediaFailed, end.Kind == session.EndBye:
		return outcome{"not set up: " + name, true}
	}
	return outcome{"not set up: " + name, !troubled}
}

// endedAfter reports whether other ended in a way by itself, after ended had hung up and its BYE did not get through.
func endedAfter(ended, other *side, kind session.EndKind) bool {
	if len(ended.sessions) != 1 || slices.ContainsFunc(other.ends, func(e *session.EndError) bool { return e.Kind != kind }) {
		return false
	}
	_, first := ended.sessions[0].Times()
	return slices.ContainsFunc(other.sessions, func(s *session.Session) bool { // several where the call was placed again
		_, then := s.Times()
		return first.Before(then)
	})
}

// sound reports whether there was any. The call is over.
func (sd *side) sound() bool {
	return slices.ContainsFunc(sd.audio, func(a *uaCall) bool { return a.loud.Load() > 0 })
}

func ends(sd *side) string {
	var all []string
	for _, e := range sd.ends {
		who := "locally"
		if e.Remote {
			who = "remotely"
		}
		text := fmt.Sprintf("%s %s", e.Kind, who)
		if e.Err != nil {
			text += fmt.Sprintf(" (%v)", e.Err)
		}
		all = append(all, text)
	}
	if len(all) == 0 {
		return "not at all"
	}
	return strings.Join(all, " and ")
}

// ledger counts how calls and messages ended.
type ledger struct {
	t testing.TB

	mu       sync.Mutex
	calls    map[int]*soakCall // guarded by mu; not accounted for yet
	byID     map[string]*soakCall
	outcomes map[string]int // guarded by mu
	shown    int            // guarded by mu; calls whose messages were printed
	begun    int            // guarded by mu

	sending int             // guarded by mu; messages begun
	events  map[string]int  // guarded by mu; of all UAs
	away    []time.Duration // guarded by mu; without a registration

	delivered []uint8        // guarded by mu; how often each message came in, by its number
	messages  map[string]int // guarded by mu
}

func newLedger(t testing.TB) *ledger {
	return &ledger{
		t: t, calls: map[int]*soakCall{}, byID: map[string]*soakCall{},
		outcomes: map[string]int{}, messages: map[string]int{}, events: map[string]int{},
		delivered: make([]uint8, 0, 1<<20), // at once, so that the heap is seen to be flat
	}
}

// begin enters a call.
func (l *ledger) begin(from, to *soakUA, p plan) *soakCall {
	c := &soakCall{plan: p, begun: time.Now()}
	c.caller, c.callee = &side{call: c, ua: from}, &side{call: c, ua: to}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun++
	c.id = l.begun
	l.calls[c.id] = c
	return c
}

func (l *ledger) find(id int) *soakCall {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls[id]
}

// close takes a call that is over out of the books.
func (l *ledger) close(c *soakCall, o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.calls, c.id)
	maps.DeleteFunc(l.byID, func(_ string, other *soakCall) bool { return other == c })
	l.outcomes[o.name]++
	if !o.wrong {
		return
	}
	l.t.Errorf("call %d, %s to %s, begun %s: %s", c.id, c.caller.ua.user, c.callee.ua.user, c.begun.Format(clock), o.name)
	if l.shown++; l.shown <= showCalls {
		c.mu.Lock()
		defer c.mu.Unlock()
		l.t.Logf("messages of call %d, plan %+v:\n%s", c.id, c.plan, c.wire.String())
	}
}

// trace keeps what passes at a UA with the call it is of.
func (l *ledger) trace(u *soakUA, e sipua.TraceEvent) {
	text := string(e.Data)
	id := callID(text)
	l.mu.Lock()
	c := l.byID[id]
	if c == nil && strings.HasPrefix(text, "INVITE ") {
		if n, ok := soakID(text); ok {
			if c = l.calls[n]; c != nil {
				l.byID[id] = c
			}
		} else if replaced, ok := replacedID(text); ok {
			if c = l.byID[replaced]; c != nil {
				l.byID[id] = c
			}
		}
	}
	l.mu.Unlock()
	if c == nil {
		return
	}
	arrow := ">>"
	if e.In {
		arrow = "<<"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(&c.wire, "%s %s %s\n", time.Now().Format(clock), u.user, arrow)
	c.wire.WriteString(text)
}

const clock = "15:04:05.000"

func callID(text string) string { return fieldOf(text, "Call-ID") }
func replacedID(text string) (string, bool) {
	id, _, _ := strings.Cut(fieldOf(text, "Replaces"), ";")
	return id, id != ""
}

func soakID(text string) (int, bool) {
	var n int
	_, err := fmt.Sscan(fieldOf(text, soakField), &n)
	return n, err == nil
}

func fieldOf(text, name string) string {
	_, rest, _ := strings.Cut(text, "\r\n"+name+": ")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

// nextMessage is the number of a new message.
func (l *ledger) nextMessage() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sending++
	return l.sending
}

// deliver enters that a message came in.
func (l *ledger) deliver(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.delivered) <= n {
		l.delivered = append(l.delivered, 0)
	}
	if l.delivered[n]++; l.delivered[n] > 1 {
		l.t.Errorf("message %d was delivered %d times", n, l.delivered[n])
	}
}

// sent enters what became of a message; troubled reports whether there was a fault that could excuse a failure.
func (l *ledger) sent(n int, err error, troubled bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delivered := n < len(l.delivered) && l.delivered[n] > 0
	name := "answered"
	var timeout *sip.TimeoutError
	switch {
	case err == nil && !delivered:
		l.t.Errorf("message %d was answered 200 and never delivered", n)
	case err == nil:
	case sip.StatusOf(err) != 0 && !errors.As(err, &timeout):
		name = fmt.Sprintf("failed: %d", sip.StatusOf(err))
	case errors.As(err, &timeout):
		name = "failed: time-out"
	case isFlowError(err):
		name = "failed: connection lost"
	default:
		name = "failed: " + err.Error()
		l.t.Errorf("message %d failed with %T: %v", n, err, err)
	}
	if err != nil && !troubled {
		l.t.Errorf("message %d failed, and there was no fault: %v", n, err)
	}
	if err != nil && delivered {
		name += ", but delivered"
	}
	l.messages[name]++
}

// table shows all counts.
func (l *ledger) table() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	count := func(what string, of map[string]int) {
		total := 0
		for _, n := range of {
			total += n
		}
		fmt.Fprintf(&b, "| %s | %d |\n", what, total)
		for _, name := range slices.Sorted(maps.Keys(of)) {
			fmt.Fprintf(&b, "| – %s | %d |\n", name, of[name])
		}
	}
	count("calls", l.outcomes)
	count("messages", l.messages)
	count("events", l.events)
	if slices.Sort(l.away); len(l.away) > 0 {
		fmt.Fprintf(&b, "| registered again | %d |\n| – half of them within | %v |\n| – all within | %v |\n", len(l.away),
			l.away[len(l.away)/2].Round(time.Millisecond), l.away[len(l.away)-1].Round(time.Millisecond))
	}
	return b.String()
}
