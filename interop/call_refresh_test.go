//go:build interop

package interop_test

import (
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
)

// TestCallSessionRefresh: with the shortest session interval of RFC 4028 each side refreshes in time, by UPDATE and by
// re-INVITE, and the calls go on.
//
// Only foreign peers can judge our refreshes, and send those that keep a session of ours alive: JsSIP has session timers
// and UPDATE, but says so only when it calls; SIP.js has neither.
func TestCallSessionRefresh(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice := newUA(t, k, "alice", sipua.Config{SessionExpires: session.DefaultMinSE})
	bob, carol, dave := newPage(t, k, "bob"), newSIPJSPage(t, k, "carol"), newPage(t, k, "dave")
	media := rtc.Options{Codecs: []string{"PCMU"}}
	timer := func(c *uaCall, local bool) session.SessionTimer {
		t.Helper()
		now := c.SessionTimer()
		if now.Interval != session.DefaultMinSE || now.Local != local {
			t.Errorf("session timer with %s: %+v, want %v, by us: %t", c.RemoteIdentity(), now, session.DefaultMinSE, local)
		}
		return now
	}

	withBob, toBob := connected(t, alice, bob, true, media)
	withCarol, toCarol := connected(t, alice, carol, true, media)
	withDave, toDave := connected(t, alice, dave, false, media)
	before := []session.SessionTimer{timer(withBob, false), timer(withCarol, true), timer(withDave, true)}

	refreshed := time.Now().Add(session.DefaultMinSE/2 + stepLimit)
	for what, done := range map[string]func() bool{
		"the UPDATE of JsSIP":     func() bool { return len(bob.sent("UPDATE")) > 0 },
		"our re-INVITE at SIP.js": func() bool { return len(carol.received("INVITE")) > 1 },
		"our UPDATE at JsSIP":     func() bool { return len(dave.received("UPDATE")) > 0 },
	} {
		for !done() {
			if time.Now().After(refreshed) {
				t.Fatalf("not within %v: %s", session.DefaultMinSE/2+stepLimit, what)
			}
			time.Sleep(pollEvery)
		}
	}
	calls := []struct {
		ours   *uaCall
		theirs *pageCall
		local  bool
	}{{withBob, toBob, false}, {withCarol, toCarol, true}, {withDave, toDave, true}}
	for i, c := range calls {
		eventually(t, "a later end of the session", func() bool { return c.ours.SessionTimer().Expires.After(before[i].Expires) })
		timer(c.ours, c.local)
	}

	last := withCarol.SessionTimer().Expires
	toCarol.renegotiate()
	eventually(t, "a later end of the session", func() bool { return withCarol.SessionTimer().Expires.After(last) })
	toDave.refresh() // it may, though we are the refresher
	for _, c := range calls {
		c.ours.waitAudio(25)
		c.theirs.waitAudio(25)
		c.ours.hangup()
		c.theirs.waitEvent("ended")
	}
}
