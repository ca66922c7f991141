//go:build interop

package interop_test

import (
	"testing"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
)

// TestCallForked: a call to an address that two devices have registered.
//
// Only a forking proxy of others' making can judge that we keep its branches apart: their early dialogs, the winner's
// 200, the CANCEL of the losers and the one status of several refusals.
func TestCallForked(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, first, second := newUA(t, k, "alice", sipua.Config{}), newPage(t, k, "bob"), newPage(t, k, "bob")
	k.waitBindings(t, "bob", 2)
	dial := func(t *testing.T) (ours *uaCall, a, b *pageCall) {
		t.Helper()
		ours = alice.invite("bob", session.CallOptions{}, rtc.Options{})
		for range 2 {
			if status := next(t, "a provisional response", ours.rings); status != 180 {
				t.Errorf("progress with %d, want 180", status)
			}
		}
		return ours, first.waitCall(), second.waitCall()
	}

	t.Run("one answers", func(t *testing.T) {
		ours, a, b := dial(t)
		b.answer()
		ours.waitAnswered()
		if e := a.waitEvent("failed"); e.Originator != "remote" || e.Cause != "Canceled" {
			t.Errorf("the other one: %+v, want Canceled", e)
		}
		b.waitEvent("confirmed")
		ours.waitAudio(25)
		b.waitAudio(25)
		b.hangup()
		ours.waitEnd()
	})
	t.Run("one refuses and one answers", func(t *testing.T) {
		ours, a, b := dial(t)
		a.reject(486)
		a.waitEvent("failed")
		b.answer()
		ours.waitAnswered()
		b.waitAudio(25)
		ours.hangup()
		b.waitEvent("ended")
	})
	t.Run("both refuse", func(t *testing.T) {
		ours, a, b := dial(t)
		a.reject(480)
		b.reject(486)
		if err := ours.WaitAnswered(step(t)); sip.StatusOf(err) != 480 && sip.StatusOf(err) != 486 {
			t.Errorf("refused with %v, want 480 or 486", err)
		}
		ours.waitEnd()
	})
	t.Run("canceled", func(t *testing.T) {
		ours, a, b := dial(t)
		ours.hangup()
		for _, c := range []*pageCall{a, b} {
			if e := c.waitEvent("failed"); e.Cause != "Canceled" {
				t.Errorf("page: %+v, want Canceled", e)
			}
		}
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
	if end.Kind != session.EndCanceled || !end.Remote || len(end.Reason) != 1 {
		t.Errorf("ended with %+v, want canceled with a Reason", end)
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
