//go:build interop

package interop_test

import (
	"context"
	"strings"
	"testing"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
)

// wantHold waits for the next change of who holds.
func (c *uaCall) wantHold(local, remote bool) {
	c.u.t.Helper()
	want := session.HoldState{Local: local, Remote: remote}
	if h := next(c.u.t, "a change of hold", c.holds); h != want || c.Held() != want {
		c.u.t.Errorf("hold is %+v, and then %+v; want %+v", h, c.Held(), want)
	}
}

// do runs a method of the call that exchanges a message.
func (c *uaCall) do(what string, f func(context.Context) error) {
	c.u.t.Helper()
	if err := f(step(c.u.t)); err != nil {
		c.u.t.Fatalf("UA of %s: %s: %v", c.u.User, what, err)
	}
}

// TestCallHold: each side holds, both do, and everything comes back, in a call of G.711 so that we hear as well.
//
// Only a foreign peer can judge that it takes our directions for hold, that its own are found in what Chromium
// writes, by re-INVITE and by UPDATE, and that pion and Chromium agree on the media after each of them.
func TestCallHold(t *testing.T) {
	t.Parallel()
	for _, byUs := range []bool{true, false} {
		name := "JsSIP calls"
		if byUs {
			name = "Go calls"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := startKamailio(t, kamailioOptions{})
			alice, bob := newUA(t, k, "alice", sipua.Config{}), newPage(t, k, "bob")
			ours, theirs := connected(t, alice, bob, byUs, rtc.Options{Codecs: []string{"PCMU"}})
			ours.waitAudio(25)
			theirs.waitAudio(25)

			ours.do("Hold", ours.Hold)
			ours.wantHold(true, false)
			if e := theirs.waitEvent("hold"); e.Originator != "remote" {
				t.Errorf("hold by %s", e.Originator)
			}
			ours.waitNothing()
			theirs.waitNothing()
			ours.do("Unhold", ours.Unhold)
			ours.wantHold(false, false)
			theirs.waitEvent("unhold")
			ours.waitAudio(25)
			theirs.waitAudio(25)

			for _, hold := range []struct{ on, off func() }{
				{theirs.hold, theirs.unhold},
				{theirs.holdByUpdate, theirs.unholdByUpdate},
			} {
				hold.on()
				ours.wantHold(false, true)
				theirs.waitEvent("hold")
				theirs.waitNothing() // which JsSIP itself does not keep to
				ours.waitQuiet()
				hold.off()
				ours.wantHold(false, false)
				theirs.waitEvent("unhold")
				ours.waitAudio(25)
				theirs.waitAudio(25)
			}

			ours.do("Hold", ours.Hold) // first: JsSIP that holds answers an offer as if it did not
			ours.wantHold(true, false)
			theirs.hold()
			ours.wantHold(true, true)
			ours.waitNothing()
			theirs.waitNothing()
			theirs.unhold()
			ours.wantHold(true, false)
			ours.do("Unhold", ours.Unhold)
			ours.wantHold(false, false)
			ours.waitAudio(25)
			theirs.waitAudio(25)
			ours.hangup()
			theirs.waitEvent("ended")
		})
	}
}

// TestCallMute: each side mutes its own sound, and the other hears that at once.
//
// Only a foreign peer can judge what is left on the wire of a muted sender, and whether its stream starts again.
func TestCallMute(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob := newUA(t, k, "alice", sipua.Config{}), newPage(t, k, "bob")
	ours, theirs := connected(t, alice, bob, true, rtc.Options{Codecs: []string{"PCMU"}})
	theirs.waitAudio(25)
	ours.Mute(session.MuteSet{Audio: true})
	theirs.waitQuiet()
	ours.Unmute(session.MuteSet{Audio: true})
	theirs.waitAudio(25)
	theirs.mute()
	ours.waitQuiet()
	theirs.unmute()
	ours.waitAudio(25)
	ours.hangup()
	theirs.waitEvent("ended")
}

// TestCallRenegotiate: new offers from each side leave the call as it is, and we renew ICE.
//
// Only a foreign peer can judge that our later descriptions fit our earlier ones: Chromium refuses m-lines that
// changed their order, mid or fingerprint, and an ICE restart that is none.
func TestCallRenegotiate(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob := newUA(t, k, "alice", sipua.Config{}), newPage(t, k, "bob")
	for _, byUs := range []bool{true, false} {
		ours, theirs := connected(t, alice, bob, byUs, rtc.Options{Codecs: []string{"PCMU"}})
		ours.waitAudio(25)
		theirs.renegotiate()
		ours.waitAudio(25)
		for _, o := range []session.RenegotiateOptions{{}, {UseUpdate: true}, {ICERestart: true}} {
			ours.do("Renegotiate", func(ctx context.Context) error { return ours.Renegotiate(ctx, &o) })
			ours.waitAudio(25)
			theirs.waitAudio(25)
		}
		theirs.waitEvent("reinvite")
		theirs.waitEvent("update")
		theirs.waitEvent("reinvite")
		theirs.refresh()
		theirs.renegotiate() // on the new ICE session
		ours.waitAudio(25)
		theirs.waitAudio(25)
		ours.hangup()
		theirs.waitEvent("ended")
	}
}

// TestCallVideoOffered: a page offers audio and video; we take the audio and answer video with port 0, and again when
// the page holds.
//
// Only Chromium can judge an answer to its own offer of two bundled m-lines of which one is refused.
func TestCallVideoOffered(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob := newUA(t, k, "alice", sipua.Config{}), newPage(t, k, "bob")
	theirs := bob.call(aor("alice"), callOptions{Video: true})
	in := alice.waitCall()
	if offer := string(in.Request().Body()); !strings.Contains(offer, "\r\nm=video ") || !strings.Contains(offer, "a=group:BUNDLE 0 1") {
		t.Fatalf("no video in the offer: %q", offer)
	}
	ours := alice.answer(in, rtc.Options{})
	theirs.waitEvent("confirmed")
	ours.waitAudio(25)
	theirs.waitAudio(25)
	theirs.hold()
	ours.wantHold(false, true)
	theirs.unhold()
	ours.wantHold(false, false)
	theirs.waitAudio(25)
	answers := make(map[string]bool) // each once, however often it was repeated
	for _, ok := range alice.sent("SIP/2.0 200") {
		if strings.Contains(ok, "\r\nm=audio ") {
			answers[ok] = true
			if !strings.Contains(ok, "\r\nm=video 0 ") {
				t.Errorf("answer: %q", ok)
			}
		}
	}
	if len(answers) != 3 {
		t.Errorf("%d answers, want 3", len(answers))
	}
	theirs.hangup()
	ours.waitEnd()
}

// TestCallLateOffer: our INVITE has no offer; JsSIP makes one in its 200 and gets the answer in our ACK.
//
// Only a foreign peer can judge the answer in an ACK that went through a proxy.
func TestCallLateOffer(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob := newUA(t, k, "alice", sipua.Config{}), newPage(t, k, "bob")
	ours := alice.invite("bob", session.CallOptions{LateOffer: true}, rtc.Options{Codecs: []string{"PCMA"}})
	theirs := bob.waitCall()
	if invites := bob.received("INVITE"); len(invites) != 1 || strings.Contains(invites[0], "m=audio") {
		t.Fatalf("INVITE: %q", invites)
	}
	theirs.answer()
	ours.waitAnswered()
	theirs.waitEvent("confirmed")
	ours.waitAudio(25)
	theirs.waitAudio(25)
	ours.do("Hold", ours.Hold)
	theirs.waitEvent("hold")
	ours.do("Unhold", ours.Unhold)
	theirs.waitEvent("unhold")
	theirs.waitAudio(25)
	ours.hangup()
	theirs.waitEvent("ended")
}

// TestCallMusicOnHold: whom we hold hears the music and not us, and us again when the hold is over.
//
// Only a foreign peer can judge that it goes on playing what comes to it while it is held.
func TestCallMusicOnHold(t *testing.T) {
	forPeers(t, func(t *testing.T, peer peer) {
		k := startKamailio(t, kamailioOptions{})
		alice, bob := newUA(t, k, "alice", sipua.Config{}), registeredPage(t, k, "bob", peer.opts)
		music := alice.newCall() // for its tone
		ours, theirs := connected(t, alice, bob, true, rtc.Options{Codecs: []string{"PCMU"}, HoldTracks: []rtc.Track{music.track}})
		theirs.waitAudio(25)
		music.Session = ours.Session
		ours.do("Hold", ours.Hold)
		ours.wantHold(true, false)
		theirs.waitQuiet() // no music is written yet
		go music.playTone()
		theirs.waitStats("music", func(first, _, now mediaStats) bool {
			return now.InPackets-first.InPackets >= 25 && now.InEnergy-first.InEnergy > audible
		})
		ours.do("Unhold", ours.Unhold)
		ours.wantHold(false, false)
		ours.waitAudio(25)
		theirs.waitAudio(25)
		ours.hangup()
		theirs.waitEvent("ended")
	}, jsSIP, sipJS)
}
