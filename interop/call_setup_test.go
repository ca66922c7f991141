//go:build interop

package interop_test

import (
	"context"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
)

// TestCallCutWhileItRings: our connection goes while the page rings. On the next one the INVITE is canceled, and the call
// is placed again or over; also where the page has answered meanwhile.
//
// Only a foreign server can judge whether a CANCEL that comes on another connection than its INVITE is one, and what it
// does with an answer for a connection that is gone.
func TestCallCutWhileItRings(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	proxy := startFaultProxy(t, k.WS)
	alice := newUA(t, k, "alice", sipua.Config{
		WSServers:                     sipua.Servers(proxy.WS),
		ConnectionRecoveryMinInterval: 200 * time.Millisecond,
		ConnectionRecoveryMaxInterval: time.Second,
	})
	bob := newPage(t, k, "bob")
	ring := func(again bool) (*uaCall, *pageCall) {
		ours := alice.invite("bob", session.CallOptions{PlaceAgain: again}, rtc.Options{})
		theirs := bob.waitCall()
		for next(t, "180", ours.rings) != 180 {
		}
		proxy.refuse()
		if n := proxy.each((*faultConn).cut); n != 1 {
			t.Errorf("%d connections cut, want 1", n)
		}
		return ours, theirs
	}
	talk := func(ours *uaCall, theirs *pageCall) {
		theirs.answer()
		ours.waitAnswered()
		ours.waitAudio(25)
		theirs.waitAudio(25)
		theirs.hangup()
		if end := ours.waitEnd(); end.Kind != session.EndBye || !end.Remote {
			t.Errorf("ended with %+v", end)
		}
	}
	t.Run("placed again", func(t *testing.T) {
		ours, theirs := ring(true)
		proxy.welcome()
		theirs.waitOver()
		talk(ours, bob.waitCall())
	})
	t.Run("answered meanwhile", func(t *testing.T) {
		ours, theirs := ring(true)
		theirs.answer()
		proxy.welcome()
		talk(ours, bob.waitCall())
	})
	t.Run("hung up", func(t *testing.T) {
		ours, theirs := ring(false)
		go ours.Hangup(context.Background())
		if end := ours.waitEnd(); end.Kind != session.EndCanceled {
			t.Errorf("ended with %+v", end)
		}
		proxy.welcome()
		theirs.waitOver()
	})
}
