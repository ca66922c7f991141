//go:build interop

package interop_test

import (
	"context"
	"testing"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
)

// TestCallDTMF: digits in each direction, by INFO and as telephone-events, in a call of each clock rate.
//
// Only a foreign peer can judge that our INFO bodies are the ones that JsSIP reads, and only Chromium that our
// telephone-events are: it plays them as tones, and the page hears which.
func TestCallDTMF(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob := newUA(t, k, "alice", sipua.Config{}), newPage(t, k, "bob")
	for _, codec := range []string{"opus", "PCMU"} {
		t.Run(codec, func(t *testing.T) {
			ours, theirs := connected(t, alice, bob, codec == "opus", rtc.Options{Codecs: []string{codec}})
			ours.waitAudio(10)

			digitsEach(t, ours, theirs)
			ours.hangup()
			theirs.waitEvent("ended")
		})
	}
}

// TestCallInfo: an INFO of the application's own passes into JsSIP.
//
// Only a foreign peer can judge the body and its type after a proxy.
func TestCallInfo(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob := newUA(t, k, "alice", sipua.Config{}), newPage(t, k, "bob")
	ours, theirs := connected(t, alice, bob, false, rtc.Options{})
	const text = "{\"mood\":\"𝄞\"}"
	ours.do("SendInfo", func(ctx context.Context) error {
		return ours.SendInfo(ctx, "application/json", []byte(text), nil)
	})
	if e := theirs.waitEvent("newInfo"); e.Originator != "remote" || e.Body != text || e.Type != "application/json" {
		t.Errorf("page: %+v", e)
	}
	ours.hangup()
	theirs.waitEvent("ended")
}

// TestCallRefer: we hand a call over: the page that we talk to calls a third one, and tells us how that goes.
//
// Only a foreign peer can judge our Refer-To, and send the NOTIFYs that we have to understand.
func TestCallRefer(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob, carol := newUA(t, k, "alice", sipua.Config{}), newPage(t, k, "bob"), newPage(t, k, "carol")

	ours, theirs := connected(t, alice, bob, true, rtc.Options{})
	ours.transfer("carol")
	if e := theirs.waitEvent("refer"); e.Body != "<"+aor("carol")+">" && e.Body != aor("carol") {
		t.Errorf("Refer-To: %s", e.Body)
	}
	third := carol.waitCall()
	if third.From != aor("bob") {
		t.Errorf("call from %q, want bob", third.From)
	}
	third.answer()
	third.waitEvent("confirmed")
	p := next(t, "news of the transfer", ours.refers)
	for p.Status.IsProvisional() {
		if p.Final {
			t.Errorf("%+v is final", p)
		}
		p = next(t, "more news of the transfer", ours.refers)
	}
	if p.Status != sip.StatusOK || !p.Final {
		t.Errorf("transfer ended with %+v, want 200", p)
	}
	ours.hangup()
	theirs.waitEvent("ended")
	third.waitAudio(20) // it does not depend on us
	third.hangup()

	// One that fails.
	ours, theirs = connected(t, alice, bob, false, rtc.Options{})
	ours.transfer(aor("st486"))
	for p = next(t, "news of the transfer", ours.refers); !p.Final; p = next(t, "more news of the transfer", ours.refers) {
	}
	if p.Status != sip.StatusBusyHere {
		t.Errorf("transfer ended with %+v, want 486", p)
	}
	theirs.refer(aor("carol")) // we let nobody transfer us
	if e := theirs.waitEvent("refer:requestFailed"); e.Status != 603 {
		t.Errorf("our answer to REFER: %+v, want 603", e)
	}
	ours.waitAudio(10)
	ours.hangup()
	theirs.waitEvent("ended")
}
