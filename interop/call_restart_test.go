//go:build interop

package interop_test

import (
	"slices"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
)

// TestCallPathLost: the path of the media dies in the midst of a call, without a word to anybody. The call tells that
// nothing is heard, one re-INVITE of ours puts another path in the place of the dead one, and there is audio both ways
// again; with Firefox that dies too. The page hangs up.
//
// Only a browser can judge whether the restart comes before it gives the path up itself, with which JsSIP ends the call,
// and whether it lets go of the dead path for what we offer: Chromium takes another PeerConnection of ours, Firefox does not.
func TestCallPathLost(t *testing.T) {
	forPeers(t, func(t *testing.T, peer peer) {
		deaths := 1
		if peer.opts.Firefox { // the same PeerConnection again
			deaths = 2
		}
		for _, byUs := range []bool{true, false} {
			name := peer.name + " calls"
			if byUs {
				name = "Go calls"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				k, paths := startKamailio(t, kamailioOptions{}), newMortalNet(t)
				conditions := make(chan sipua.EventKind, 64)
				alice := newUA(t, k, "alice", sipua.Config{Handler: sipua.Handler{Event: func(e sipua.Event) {
					if e.Kind == sipua.EventCallDegraded || e.Kind == sipua.EventCallRecovered {
						conditions <- e.Kind
					}
				}}})
				bob := registeredPage(t, k, "bob", peer.opts)
				ours, theirs := connected(t, alice, bob, byUs, rtc.Options{Codecs: []string{"PCMU"}, SettingEngine: paths.settings})
				same := ours.Session
				for range deaths {
					ours.waitAudio(25)
					theirs.waitAudio(25)
					offers := len(bob.received("INVITE"))
					begun := time.Now()
					paths.kill()
					if e := next(t, "that nothing is heard", conditions); e != sipua.EventCallDegraded {
						t.Errorf("%v before the path was lost", e)
					}
					if e := next(t, "another path", conditions); e != sipua.EventCallRecovered {
						t.Errorf("%v instead of another path", e)
					}
					t.Logf("another path after %v", time.Since(begun).Round(time.Millisecond))
					ours.waitAudio(25)
					theirs.waitAudio(25)
					if n := len(bob.received("INVITE")) - offers; n != 1 {
						t.Errorf("%d re-INVITEs, want 1", n)
					}
				}
				if all := alice.Calls(); !slices.Equal(all, []*session.Session{same}) || same.State() != session.Confirmed {
					t.Errorf("calls %v, want %p alone", all, same)
				}
				theirs.hangup()
				if end := ours.waitEnd(); end.Kind != session.EndBye || !end.Remote {
					t.Errorf("ended with %+v", end)
				}
			})
		}
	}, jsSIP, sipJS, firefox)
}
