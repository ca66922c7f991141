//go:build interop

package interop_test

import (
	"strings"
	"testing"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
)

// described counts the messages that have a session description.
func described(messages []string) int {
	n := 0
	for _, m := range messages {
		if strings.Contains(m, "\r\nm=audio ") {
			n++
		}
	}
	return n
}

// TestCallEarlyMedia: the page sends 183 with its description, and both sides hear each other before the call is answered.
//
// Only a browser can judge that it may have its ICE and DTLS done with us before there is a call, and that the 200 that
// follows is no second answer; and only a foreign peer our PRACK, which has the answer where our INVITE had no offer.
func TestCallEarlyMedia(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice := newUA(t, k, "alice", sipua.Config{})
	bob := registeredPage(t, k, "bob", pageOptions{Peer: peerSIPJS, Reliable: "Supported"})
	pracks := 0 // so far
	for _, c := range []struct {
		name           string
		reliable, late bool
		wantPRACK      int // with a description
	}{
		{"unreliable", false, false, 0},
		{"reliable", true, false, 0},
		{"reliable, with the offer", true, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours := alice.invite("bob", session.CallOptions{LateOffer: c.late}, rtc.Options{Codecs: []string{"PCMU"}})
			theirs := bob.waitCall()
			theirs.progress(183, c.reliable)
			for status := 0; status != 183; {
				status = next(t, "183", ours.rings)
			}
			ours.waitAudio(25)
			theirs.waitAudio(25)
			if ours.State() != session.Early {
				t.Errorf("state is %v, want Early", ours.State())
			}
			if all := bob.received("PRACK")[pracks:]; c.reliable != (len(all) == 1) || described(all) != c.wantPRACK {
				t.Errorf("PRACKs %q", all)
			}
			pracks = len(bob.received("PRACK"))
			theirs.answer()
			ours.waitAnswered()
			theirs.waitEvent("confirmed")
			ours.waitAudio(25)
			theirs.waitAudio(25)
			ours.do("Hold", ours.Hold)
			theirs.waitEvent("hold")
			ours.do("Unhold", ours.Unhold)
			ours.waitAudio(25)
			ours.hangup()
			theirs.waitEvent("ended")
		})
	}
	if n := described(bob.received("ACK")); n != 0 {
		t.Errorf("%d ACKs with a description", n)
	}
}

// TestCallEarlyMediaOfOurs: we send 183 with our description and are heard, and hear, before we answer.
//
// Only a browser can judge a description in a provisional response of ours. JsSIP takes it for the answer, and our 200
// for the same once more; SIP.js takes a reliable one, by a PRACK that has its answer where its INVITE had no offer.
func TestCallEarlyMediaOfOurs(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice := newUA(t, k, "alice", sipua.Config{})
	for _, c := range []struct {
		name      string
		page      pageOptions
		call      callOptions
		reliable  bool
		wantPRACK int // with a description
	}{
		{"JsSIP", pageOptions{}, callOptions{}, false, 0},
		{"JsSIP in Firefox", pageOptions{Firefox: true}, callOptions{}, false, 0},
		{"SIP.js", pageOptions{Peer: peerSIPJS}, callOptions{EarlyMedia: true}, false, 0},
		{"SIP.js, reliably", pageOptions{Peer: peerSIPJS, Reliable: "Required"}, callOptions{EarlyMedia: true}, true, 0},
		{"SIP.js without an offer", pageOptions{Peer: peerSIPJS, Reliable: "Supported"}, callOptions{Late: true}, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			bob := registeredPage(t, k, "bob", c.page)
			theirs := bob.call(aor("alice"), c.call)
			in := alice.waitCall()
			ours := alice.newCall()
			ours.Session = in.Session()
			err := in.Progress(&session.ProgressOptions{
				EarlyMedia: true, Media: rtc.New(rtc.Options{Tracks: []rtc.Track{ours.track}, Codecs: []string{"PCMU"}}),
			})
			if err != nil {
				t.Fatal(err)
			}
			go ours.talk()
			for e := theirs.waitEvent("progress"); e.Status != 183; e = theirs.waitEvent("progress") {
			}
			theirs.waitAudio(25)
			ours.waitAudio(25)
			if all := bob.sent("PRACK"); c.reliable != (len(all) > 0) || described(all) != c.wantPRACK {
				t.Errorf("PRACKs %q", all)
			}
			if _, err := in.Answer(step(t), &session.AnswerOptions{Handler: ours.handler()}); err != nil {
				t.Fatal(err)
			}
			theirs.waitEvent("confirmed")
			theirs.waitAudio(25)
			ours.waitAudio(25)
			theirs.hold()
			ours.wantHold(false, true)
			theirs.unhold()
			ours.wantHold(false, false)
			theirs.waitAudio(25)
			ours.hangup()
			theirs.waitEvent("ended")
		})
	}
}

// TestCallForkedEarlyMedia: two devices of bob send early media; the one that we do not hear answers.
//
// Only browsers can judge the re-INVITE with fresh media that has to follow, as our ICE and DTLS are done with the other.
func TestCallForkedEarlyMedia(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice := newUA(t, k, "alice", sipua.Config{})
	pages := []*page{newSIPJSPage(t, k, "bob"), newSIPJSPage(t, k, "bob")}
	k.waitBindings(t, "bob", len(pages))
	ours := alice.invite("bob", session.CallOptions{}, rtc.Options{Codecs: []string{"PCMU"}})
	first, second := pages[0].waitCall(), pages[1].waitCall()
	first.progress(183, false)
	ours.waitAudio(25)
	first.waitAudio(25)
	second.progress(183, false)
	second.answer()
	ours.waitAnswered()
	if e := first.waitEvent("failed"); e.Cause != "Canceled" {
		t.Errorf("the other one: %+v, want Canceled", e)
	}
	second.waitAudio(25)
	ours.waitAudio(25)
	ours.hangup()
	second.waitEvent("ended")
}
