package sipua_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/transport/v5/vnet"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip/siptest"
)

// TestMediaPathDiesAndComesBack: the network between two phones carries nothing
// for 45 s. Both ends find their path lost after 30 and make a new one; the call,
// its tracks and its counters are the same.
func TestMediaPathDiesAndComesBack(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		a, b := w.phone("alice").talk(w.phone("bob"))
		var cut atomic.Bool
		w.router.AddChunkFilter(func(vnet.Chunk) bool { return !cut.Load() })
		a.say("before")
		b.hear("before")

		cut.Store(true)
		time.Sleep(10 * time.Second)
		for _, l := range []*line{a, b} {
			if c := l.Condition(); !c.Silent || c.Unreachable {
				w.t.Errorf("%s: %v", l.phone.user, c)
			}
		}
		was := a.Media()
		time.Sleep(35 * time.Second)
		cut.Store(false)
		for begun := time.Now(); a.Condition().Silent || b.Condition().Silent; time.Sleep(10 * time.Millisecond) {
			if time.Since(begun) > 10*time.Second || a.State() != session.Confirmed {
				w.t.Fatalf("a is %v, %v; b is %v, %v", a.State(), a.Condition(), b.State(), b.Condition())
			}
		}
		if a.Media() == was {
			w.t.Error("no restart")
		}
		for _, word := range []string{"and", "after"} {
			a.say(word)
			b.hear(word)
			b.say(word)
			a.hear(word)
		}
		begun := time.Now()
		if err := b.Hangup(w.t.Context()); err != nil {
			w.t.Error(err)
		}
		<-a.Context().Done()
		if took := time.Since(begun); took > time.Second {
			w.t.Errorf("the far end heard of the end after %v", took)
		}
	})
}
