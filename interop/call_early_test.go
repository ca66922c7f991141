//go:build interop

package interop_test

import (
	"strings"
	"testing"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
)

// TestCallEarlyMedia: the page sends 183 with its answer, and both sides hear each other before the call is answered.
//
// Only a browser can judge that it may have its ICE and DTLS done with us before there is a call, and that the 200 that
// follows is no second answer.
func TestCallEarlyMedia(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob := newUA(t, k, "alice", sipua.Config{}), newSIPJSPage(t, k, "bob")
	ours := alice.invite("bob", session.CallOptions{}, rtc.Options{Codecs: []string{"PCMU"}})
	theirs := bob.waitCall()
	theirs.progress(183, false)
	for status := 0; status != 183; {
		status = next(t, "183", ours.rings)
	}
	ours.waitAudio(25)
	theirs.waitAudio(25)
	if ours.State() != session.Early {
		t.Errorf("state is %v, want Early", ours.State())
	}
	theirs.answer()
	ours.waitAnswered()
	theirs.waitEvent("confirmed")
	ours.waitAudio(25)
	theirs.waitAudio(25)
	ours.hangup()
	theirs.waitEvent("ended")
	if n := len(bob.received("ACK")); n != 1 || strings.Contains(bob.received("ACK")[0], "m=audio") {
		t.Errorf("%d ACKs, the first %q", n, bob.received("ACK")[0])
	}
}
