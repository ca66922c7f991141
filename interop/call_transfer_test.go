//go:build interop

package interop_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
)

// accept agrees to a REFER and calls as it asks.
func (c *uaCall) accept(r *session.Referral) *uaCall {
	c.u.t.Helper()
	made := c.u.newCall()
	s, err := r.Accept(step(c.u.t), &session.CallOptions{
		Media: rtc.New(rtc.Options{Tracks: []rtc.Track{made.track}}), Handler: made.handler(),
	})
	if err != nil {
		c.u.t.Fatalf("UA of %s: Accept: %v", c.u.User, err)
	}
	made.Session = s
	go made.talk()
	return made
}

// wantOutcome waits for the last news of a transfer of ours.
func (c *uaCall) wantOutcome(want sip.StatusCode) {
	c.u.t.Helper()
	for {
		p := next(c.u.t, "news of the transfer", c.refers)
		if p.Final {
			if p.Status != want {
				c.u.t.Errorf("transfer ended with %+v, want %v", p, want)
			}
			return
		}
	}
}

// endAll hangs up the calls of pages that are left.
func endAll(calls ...*pageCall) {
	for _, c := range calls {
		c.p.t.Helper()
		c.hangup()
		c.waitEvent("ended")
	}
}

// TestTransferByUs: we bring two pages together, blindly and after a word with the second.
//
// Only foreign peers can judge our Refer-To and the Replaces in it: the transferee copies it into its INVITE, and the
// target finds its call with us by it.
func TestTransferByUs(t *testing.T) {
	forPeers(t, func(t *testing.T, peer peer) {
		k := startKamailio(t, kamailioOptions{})
		alice := newUA(t, k, "alice", sipua.Config{})
		bob, carol := registeredPage(t, k, "bob", peer.opts), registeredPage(t, k, "carol", peer.opts)

		t.Run("blind", func(t *testing.T) {
			ours, theirs := connected(t, alice, bob, true, rtc.Options{})
			ours.do("Refer", func(ctx context.Context) error {
				_, err := ours.Refer(ctx, "carol", nil)
				return err
			})
			toCarol := bob.waitReferred()
			third := carol.waitCall()
			if invite := carol.received("INVITE")[0]; third.From != aor("bob") || strings.Contains(invite, "\r\nReplaces:") {
				t.Errorf("call from %q: %q", third.From, invite)
			}
			third.answer()
			third.waitEvent("confirmed")
			ours.wantOutcome(sip.StatusOK)
			if end := ours.waitEnd(); !errors.Is(end, session.ErrTransferred) || end.Remote {
				t.Errorf("ended with %+v, want ErrTransferred", end)
			}
			theirs.waitEvent("ended")
			third.waitAudio(20) // it does not depend on us
			endAll(toCarol)
			third.waitEvent("ended")
		})
		for _, byUs := range []bool{true, false} {
			name := "attended, called by the second"
			if byUs {
				name = "attended, having called the second"
			}
			t.Run(name, func(t *testing.T) {
				ours, theirs := connected(t, alice, bob, false, rtc.Options{})
				other, asked := connected(t, alice, carol, byUs, rtc.Options{})
				ours.do("Hold", ours.Hold)
				ours.do("ReferTo", func(ctx context.Context) error {
					_, err := ours.ReferTo(ctx, other.Session, nil)
					return err
				})
				toCarol := bob.waitReferred()
				if e := asked.waitEvent("replaces"); e.Call != asked.id {
					t.Errorf("replaces call %d, want %d", e.Call, asked.id)
				}
				third := carol.waitCall()
				third.answer()
				third.waitEvent("confirmed")
				ours.wantOutcome(sip.StatusOK)
				if end := ours.waitEnd(); !errors.Is(end, session.ErrTransferred) {
					t.Errorf("ended with %+v, want ErrTransferred", end)
				}
				theirs.waitEvent("ended")
				if end := other.waitEnd(); !end.Remote || end.Kind != session.EndBye {
					t.Errorf("the replaced call ended with %+v, want the far end's BYE", end)
				}
				asked.waitEvent("ended")
				third.waitAudio(20)
				endAll(third)
				toCarol.waitEvent("ended")
			})
		}
	}, jsSIP, sipJS)
}

// TestTransferOfUs: a page sends us to another one, blindly and after a word with it.
//
// Only a foreign transferor can judge our answer to its REFER and our NOTIFYs, and only a foreign target whether our
// INVITE replaces its call.
func TestTransferOfUs(t *testing.T) {
	forPeers(t, func(t *testing.T, peer peer) {
		k := startKamailio(t, kamailioOptions{})
		alice := newUA(t, k, "alice", sipua.Config{})
		alice.followed = true
		bob, carol := registeredPage(t, k, "bob", peer.opts), newPage(t, k, "carol") // SIP.js refers to a GRUU only

		t.Run("blind", func(t *testing.T) {
			ours, theirs := connected(t, alice, bob, true, rtc.Options{})
			theirs.refer(aor("carol"))
			r := next(t, "a REFER", ours.referrals)
			if by, ok := r.ReferredBy(); r.Target().URI.String() != aor("carol") || !ok || by.URI.String() != aor("bob") {
				t.Errorf("referred to %v by %v", r.Target(), by)
			}
			made := ours.accept(r)
			third := carol.waitCall()
			if invite := carol.received("INVITE")[0]; third.From != aor("alice") || !strings.Contains(invite, "\r\nReferred-By:") {
				t.Errorf("call from %q: %q", third.From, invite)
			}
			third.answer()
			made.waitAnswered()
			theirs.waitEvent("refer:accepted")
			endAll(theirs)
			ours.waitEnd()
			made.waitAudio(20)
			third.waitAudio(20)
			made.hangup()
			third.waitEvent("ended")
		})
		t.Run("attended", func(t *testing.T) {
			ours, theirs := connected(t, alice, bob, true, rtc.Options{})
			word := bob.call(aor("carol"), callOptions{})
			asked := carol.waitCall()
			asked.answer()
			word.waitEvent("confirmed")
			theirs.referReplacing(aor("carol"), word)
			r := next(t, "a REFER", ours.referrals)
			if _, ok := r.Replaces(); !ok {
				t.Errorf("REFER without Replaces to %v", r.Target())
			}
			made := ours.accept(r)
			if e := asked.waitEvent("replaces"); e.Call != asked.id {
				t.Errorf("replaces call %d, want %d", e.Call, asked.id)
			}
			third := carol.waitCall()
			third.answer()
			made.waitAnswered()
			theirs.waitEvent("refer:accepted")
			word.waitEvent("ended")
			asked.waitEvent("ended")
			endAll(theirs)
			ours.waitEnd()
			made.waitAudio(20)
			third.waitAudio(20)
			endAll(third)
			made.waitEnd()
		})
		t.Run("refused", func(t *testing.T) {
			ours, theirs := connected(t, alice, bob, true, rtc.Options{})
			theirs.refer(aor("carol"))
			if err := next(t, "a REFER", ours.referrals).Reject(sip.StatusDecline, nil); err != nil {
				t.Error(err)
			}
			if e := theirs.waitEvent("refer:requestFailed"); e.Status != 603 {
				t.Errorf("our answer to REFER: %+v, want 603", e)
			}
			theirs.refer(aor("st486"))
			made := ours.accept(next(t, "a REFER", ours.referrals))
			if e := theirs.waitEvent("refer:failed"); e.Status != 486 {
				t.Errorf("outcome at the page: %+v, want 486", e)
			}
			made.waitEnd()
			ours.waitAudio(20)
			ours.hangup()
			theirs.waitEvent("ended")
		})
	}, jsSIP, sipJS)
}

// TestTransferToUs: a page sends another one to us, blindly and after a word with us.
//
// Only foreign peers can judge that an INVITE with a Replaces of their making finds our call, whoever made that.
func TestTransferToUs(t *testing.T) {
	forPeers(t, func(t *testing.T, peer peer) {
		k := startKamailio(t, kamailioOptions{})
		alice := newUA(t, k, "alice", sipua.Config{})
		bob, carol := registeredPage(t, k, "bob", peer.opts), registeredPage(t, k, "carol", peer.opts)
		between := func() (ofBob, ofCarol *pageCall) {
			ofBob = bob.call(aor("carol"), callOptions{})
			ofCarol = carol.waitCall()
			ofCarol.answer()
			ofBob.waitEvent("confirmed")
			return ofBob, ofCarol
		}

		t.Run("blind", func(t *testing.T) {
			ofBob, ofCarol := between()
			ofBob.refer(aor("alice"))
			made := carol.waitReferred()
			in := alice.waitCall()
			if by, ok := in.Request().ReferredBy(); in.From().URI.String() != aor("carol") || in.Replaces() != nil ||
				peer.opts.Peer == peerSIPJS && (!ok || by.URI.String() != aor("bob")) { // JsSIP does not pass it on
				t.Errorf("call from %v, referred by %v, replaces %v", in.From(), by, in.Replaces())
			}
			ours := alice.answer(in, rtc.Options{})
			made.waitEvent("confirmed")
			ofBob.waitEvent("refer:accepted")
			endAll(ofBob)
			ofCarol.waitEvent("ended")
			ours.waitAudio(20)
			made.waitAudio(20)
			ours.hangup()
			made.waitEvent("ended")
		})
		callers := []bool{false}
		if peer.opts.Peer == peerSIPJS { // JsSIP confuses the tags of a call that it did not make
			callers = append(callers, true)
		}
		for _, byUs := range callers {
			name := "attended, called by the first"
			if byUs {
				name = "attended, having called the first"
			}
			t.Run(name, func(t *testing.T) {
				ofBob, ofCarol := between()
				ours, word := connected(t, alice, bob, byUs, rtc.Options{})
				ofBob.referReplacing(aor("alice"), word)
				made := carol.waitReferred()
				in := alice.waitCall()
				if in.Replaces() != ours.Session {
					t.Errorf("replaces %v, want the call with bob", in.Replaces())
				}
				instead := alice.answer(in, rtc.Options{})
				made.waitEvent("confirmed")
				var replaced *session.ReplacedError
				if end := ours.waitEnd(); !errors.As(end, &replaced) || replaced.By != instead.Session || end.Remote {
					t.Errorf("the replaced call ended with %+v, want ReplacedError", end)
				}
				word.waitEvent("ended")
				endAll(ofBob)
				ofCarol.waitEvent("ended")
				instead.waitAudio(20)
				made.waitAudio(20)
				endAll(made)
				instead.waitEnd()
			})
		}
	}, jsSIP, sipJS)
}

// TestReplaceByUs: we pick up the call of two pages.
//
// Only a foreign peer can judge an INVITE with Replaces that no REFER has led to.
func TestReplaceByUs(t *testing.T) {
	forPeers(t, func(t *testing.T, peer peer) {
		k := startKamailio(t, kamailioOptions{})
		alice, dave := newUA(t, k, "alice", sipua.Config{}), newUA(t, k, "dave", sipua.Config{})
		bob := registeredPage(t, k, "bob", peer.opts)
		ours, theirs := connected(t, alice, bob, true, rtc.Options{})
		instead := dave.invite("bob", session.CallOptions{Replaces: ours.Replaces()}, rtc.Options{})
		if e := theirs.waitEvent("replaces"); e.Call != theirs.id {
			t.Errorf("replaces call %d, want %d", e.Call, theirs.id)
		}
		third := bob.waitCall()
		third.answer()
		instead.waitAnswered()
		ours.waitEnd()
		theirs.waitEvent("ended")
		instead.waitAudio(20)
		third.waitAudio(20)
		instead.hangup()
		third.waitEvent("ended")
	}, jsSIP, sipJS)
}

// TestReferOutsideOfCalls: bob calls a page because alice asks him to, in no call of theirs, and tells her how it goes; with
// norefersub he does not.
//
// Only a foreign proxy can judge the dialog that such a REFER makes, and carries its NOTIFYs by its route set; only a
// foreign target whether the call that comes of it is one.
func TestReferOutsideOfCalls(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	asked := make(chan *session.Referral, 1)
	alice := newUA(t, k, "alice", sipua.Config{})
	bob := newUA(t, k, "bob", sipua.Config{Handler: sipua.Handler{Refer: func(r *session.Referral) { asked <- r }}})
	carol := newPage(t, k, "carol")
	for _, silent := range []bool{false, true} {
		before := len(alice.received("NOTIFY"))
		result := make(chan error, 1)
		var transfer *session.Transfer
		go func() {
			var err error
			transfer, err = alice.Refer(t.Context(), "bob", "carol", &session.ReferOptions{NoSubscription: silent})
			result <- err
		}()
		made := bob.newCall()
		r := next(t, "a REFER", asked)
		s, err := r.Accept(step(t), &session.CallOptions{Media: rtc.New(rtc.Options{Tracks: []rtc.Track{made.track}}), Handler: made.handler()})
		if err != nil {
			t.Fatal(err)
		}
		made.Session = s
		go made.talk()
		theirs := carol.waitCall()
		theirs.answer()
		theirs.waitEvent("confirmed")
		if err := next(t, "the answer to the REFER", result); err != nil {
			t.Fatal(err)
		}
		if err := transfer.Wait(step(t)); err != nil {
			t.Errorf("without subscription %v: %v", silent, err)
		}
		switch heard := len(alice.received("NOTIFY")) - before; {
		case silent && heard > 0, !silent && heard < 2:
			t.Errorf("without subscription %v: %d NOTIFYs", silent, heard)
		}
		theirs.waitAudio(25)
		theirs.hangup()
		theirs.waitEvent("ended")
	}
}
