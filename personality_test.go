package sipua_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip/siptest"
)

// eachPersonality runs f once on each kind of server, in a world of its own, whose
// kind says which it is.
func eachPersonality(t *testing.T, f func(w *world)) {
	t.Helper()
	onEach(t, f, siptest.Plain, siptest.Asterisk, siptest.FreeSWITCH, siptest.OpenSIPS)
}

// eachB2BUA is eachPersonality without the plain proxy, for what only a server
// with calls of its own does.
func eachB2BUA(t *testing.T, f func(w *world)) {
	t.Helper()
	onEach(t, f, siptest.Asterisk, siptest.FreeSWITCH, siptest.OpenSIPS)
}

func onEach(t *testing.T, f func(w *world), personalities ...siptest.Personality) {
	t.Helper()
	for _, p := range personalities {
		t.Run(p.String(), func(t *testing.T) {
			inWorld(t, siptest.Options{Personality: p}, func(w *world) {
				w.kind = p
				f(w)
			})
		})
	}
}

// callRow is a thing that a call has to get through. It begins with a call from
// alice to bob that is up: a is alice's end. The call is hung up afterwards.
type callRow struct {
	name string
	run  func(w *world, a, b *line)
}

// callControl has to work whatever the server is.
var callControl = []callRow{
	{"audio both ways", func(w *world, a, b *line) {
		a.heardBy(b)
		b.heardBy(a)
	}},
	{"hold by the caller", func(w *world, a, b *line) { holdAndBack(w, a, b) }},
	{"hold by the callee", func(w *world, a, b *line) { holdAndBack(w, b, a) }},
}

// serverControl is what servers with calls of their own do to them.
var serverControl = []callRow{
	{"re-INVITE", func(w *world, a, b *line) {
		for _, leg := range w.legs() {
			if err := leg.Reinvite(w.t.Context()); err != nil {
				w.t.Errorf("%s: %v", leg.User(), err)
			}
		}
		a.heardBy(b)
		b.heardBy(a)
	}},
	{"re-INVITE without an offer", func(w *world, a, b *line) {
		for _, leg := range w.legs() {
			if err := leg.ReinviteEmpty(w.t.Context()); err != nil {
				w.t.Errorf("%s: %v", leg.User(), err)
			}
			a.heardBy(b)
			b.heardBy(a)
		}
	}},
}

func TestCallControl(t *testing.T) {
	for _, row := range callControl {
		t.Run(row.name, func(t *testing.T) { eachPersonality(t, row.play) })
	}
}

func TestServerControl(t *testing.T) {
	for _, row := range serverControl {
		t.Run(row.name, func(t *testing.T) { eachB2BUA(t, row.play) })
	}
}

func (row callRow) play(w *world) {
	a, b := w.phone("alice").talk(w.phone("bob"))
	row.run(w, a, b)
	if err := a.Hangup(w.t.Context()); err != nil {
		w.t.Errorf("Hangup: %v", err)
	}
	<-b.Context().Done()
	time.Sleep(time.Minute)
	if n := len(w.srv.Calls()); n > 0 {
		w.t.Errorf("the server still has %d calls", n)
	}
}

// legs are those of the only call that the server has, the caller's first.
func (w *world) legs() []*siptest.Leg {
	w.t.Helper()
	calls := w.srv.Calls()
	if len(calls) != 1 {
		w.t.Fatalf("the server has %d calls", len(calls))
	}
	return []*siptest.Leg{calls[0].Caller(), calls[0].Callee()}
}

// heardBy says a word until the other end hears it, and fails when it never does.
func (l *line) heardBy(other *line) {
	l.w.t.Helper()
	word := fmt.Sprintf("word %d of %p", l.seq, l) // not said before
	heard := make(chan error, 1)
	go func() {
		for {
			p, err := other.in.ReadRTP()
			if err != nil || string(p.Payload) == word {
				heard <- err
				return
			}
		}
	}()
	for range 3000 {
		l.say(word)
		select {
		case err := <-heard:
			if err != nil {
				l.w.t.Fatalf("%s cannot be heard: %v", l.Session.LocalIdentity(), err)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	l.w.t.Fatalf("%s was not heard within a minute", l.Session.LocalIdentity())
}

// holdAndBack has one end hold and take the call back, and the other notice.
func holdAndBack(w *world, l, other *line) {
	w.t.Helper()
	if err := l.Hold(w.t.Context()); err != nil {
		w.t.Fatalf("Hold: %v", err)
	}
	if h := l.Held(); !h.Local {
		w.t.Errorf("here %+v", h)
	}
	if h := other.Held(); !h.Remote {
		w.t.Errorf("there %+v", h)
	}
	if err := l.Unhold(w.t.Context()); err != nil {
		w.t.Fatalf("Unhold: %v", err)
	}
	if h := other.Held(); h != (session.HoldState{}) {
		w.t.Errorf("there %+v afterwards", h)
	}
	l.heardBy(other)
	other.heardBy(l)
}
