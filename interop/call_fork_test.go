//go:build interop

package interop_test

import (
	"testing"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
)

// TestCallForked: a call to an address that three browsers have registered.
//
// Only a forking proxy of others' making can judge that we keep its branches apart: their early dialogs, the winner's
// 200, the CANCEL of the losers and the one status of several refusals; and only browsers of different make answer the
// same offer in different ways.
func TestCallForked(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice := newUA(t, k, "alice", sipua.Config{})
	pages := []*page{newPage(t, k, "bob"), newSIPJSPage(t, k, "bob"), newFirefoxPage(t, k, "bob")}
	k.waitBindings(t, "bob", len(pages))
	dial := func(t *testing.T) (ours *uaCall, theirs []*pageCall) {
		t.Helper()
		ours = alice.invite("bob", session.CallOptions{}, rtc.Options{})
		for range pages {
			if status := next(t, "a provisional response", ours.rings); status != 180 {
				t.Errorf("progress with %d, want 180", status)
			}
		}
		for _, p := range pages {
			theirs = append(theirs, p.waitCall())
		}
		return ours, theirs
	}
	canceled := func(t *testing.T, calls ...*pageCall) {
		t.Helper()
		for _, c := range calls {
			if e := c.waitEvent("failed"); e.Originator != "remote" || e.Cause != "Canceled" {
				t.Errorf("%s of %s: %+v, want Canceled", c.p.Peer, c.p.User, e)
			}
		}
	}

	for winner, name := range []string{"JsSIP answers", "SIP.js answers", "Firefox answers"} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := dial(t)
			theirs[winner].answer()
			ours.waitAnswered()
			canceled(t, append(theirs[:winner:winner], theirs[winner+1:]...)...)
			theirs[winner].waitEvent("confirmed")
			ours.waitAudio(25)
			theirs[winner].waitAudio(25)
			theirs[winner].hangup()
			ours.waitEnd()
		})
	}
	t.Run("two refuse and one answers", func(t *testing.T) {
		ours, theirs := dial(t)
		theirs[0].reject(486)
		theirs[0].waitEvent("failed")
		theirs[1].reject(480)
		theirs[1].waitEvent("failed")
		theirs[2].answer()
		ours.waitAnswered()
		theirs[2].waitAudio(25)
		ours.hangup()
		theirs[2].waitEvent("ended")
	})
	t.Run("all refuse", func(t *testing.T) {
		ours, theirs := dial(t)
		theirs[0].reject(480)
		theirs[1].reject(486)
		theirs[2].reject(486)
		if err := ours.WaitAnswered(step(t)); sip.StatusOf(err) != 480 && sip.StatusOf(err) != 486 {
			t.Errorf("refused with %v, want 480 or 486", err)
		}
		ours.waitEnd()
	})
	t.Run("canceled", func(t *testing.T) {
		ours, theirs := dial(t)
		ours.hangup()
		canceled(t, theirs...)
	})
}

// TestCallForkedToUs: we are one of two devices that a call goes to.
//
// Only a forking proxy of others' making sends the CANCEL of a call that was answered elsewhere.
func TestCallForkedToUs(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, page, us := newPage(t, k, "alice"), newPage(t, k, "bob"), newUA(t, k, "bob", sipua.Config{})
	k.waitBindings(t, "bob", 2)

	out := alice.call(aor("bob"), callOptions{})
	in, other := us.waitCall(), page.waitCall()
	other.answer()
	out.waitEvent("confirmed")
	end := waitEnd(t, in.Context())
	if end.Kind != session.EndCanceled || !end.Remote || !end.CompletedElsewhere() {
		t.Errorf("ended with %+v, want canceled, as completed elsewhere", end)
	}
	out.hangup()
	other.waitEvent("ended")

	out = alice.call(aor("bob"), callOptions{})
	in, other = us.waitCall(), page.waitCall()
	ours := us.answer(in, rtc.Options{})
	out.waitEvent("confirmed")
	if e := other.waitEvent("failed"); e.Cause != "Canceled" {
		t.Errorf("the other one: %+v, want Canceled", e)
	}
	ours.waitAudio(25)
	out.waitAudio(25)
	out.hangup()
	ours.waitEnd()
}
