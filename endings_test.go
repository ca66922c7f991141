package sipua_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip/siptest"
)

// TestCallsWithMediaLeaveNothing: calls with PeerConnections, one after the other
// and several at once, ended by either side, given up and refused: no call and no
// goroutine of theirs is left while both UAs live on. Package session has every
// other way to end, with fake media.
func TestCallsWithMediaLeaveNothing(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		alice, bob := w.phone("alice"), w.phone("bob")
		ctx := w.t.Context()
		dial := func() (*session.Session, *session.Incoming) {
			s, err := alice.Invite(ctx, "bob", &session.CallOptions{Media: w.media(rtc.NewTrack(rtc.Audio))})
			if err != nil {
				w.t.Fatal(err)
			}
			return s, <-bob.calls
		}
		ways := []func(){
			func() { here, _ := alice.talk(bob); here.hangup() },
			func() { _, there := alice.talk(bob); there.hangup() },
			func() {
				here, there := alice.talk(bob)
				if err := here.Hold(ctx); err != nil {
					w.t.Error(err)
				}
				there.hangup()
			},
			func() { s, in := dial(); in.Reject(486, nil); <-s.Context().Done() },
			func() { s, in := dial(); s.Hangup(ctx); <-in.Context().Done() },
			func() {
				s, in := dial()
				if err := in.Progress(&session.ProgressOptions{EarlyMedia: true}); err != nil {
					w.t.Error(err)
				}
				time.Sleep(time.Second)
				s.Hangup(ctx)
				<-in.Context().Done()
			},
			func() { // given up while it is answered
				s, in := dial()
				gone, cancel := context.WithCancel(ctx)
				cancel()
				in.Answer(gone, nil)
				<-s.Context().Done()
			},
		}
		left := func() int {
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if n := len(alice.Calls()) + len(bob.Calls()); n != 0 {
				w.t.Errorf("%d calls are left", n)
			}
			return goroutines()
		}
		ways[0]() // what is made once is made
		idle := left()
		if idle == 0 {
			w.t.Fatal("no goroutine was counted")
		}
		for range 2 {
			for _, way := range ways {
				way()
			}
		}
		if n := left(); n > idle {
			w.t.Errorf("%d goroutines, %d before the calls", n, idle)
		}
		var up []*line
		for range 5 {
			here, there := alice.talk(bob)
			up = append(up, here, there)
		}
		for i := range 5 {
			up[2*i+i%2].hangup()
		}
		if n := left(); n > idle {
			w.t.Errorf("%d goroutines, %d before 5 calls at once", n, idle)
		}
	})
}

// goroutines counts those of the bubble that it is called in: the rest of the
// process has its own.
func goroutines() int {
	stack := make([]byte, 1<<20)
	own, _, _ := strings.Cut(string(stack[:runtime.Stack(stack, false)]), "]:")
	_, bubble, _ := strings.Cut(own, "synctest ")
	return strings.Count(string(stack[:runtime.Stack(stack, true)]), "synctest "+bubble+"]:")
}

// hangup ends the call.
func (l *line) hangup() {
	l.w.t.Helper()
	if err := l.Hangup(l.w.t.Context()); err != nil {
		l.w.t.Error(err)
	}
}
