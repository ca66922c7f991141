//go:build interop

package interop_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
)

// TestCallAudio: calls between a UA of ours and JsSIP, in each direction, over each kind of socket, in each codec.
//
// Only a foreign peer can judge that our offer and answer are ones that Chromium takes, that it can decrypt what we
// send and decodes sound from it, and that its own DTLS, ICE and RTP find us.
func TestCallAudio(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	for _, c := range []struct {
		name   string
		secure bool
		byUs   bool
		codecs []string
		want   string
	}{
		{"Go calls ws Opus", false, true, nil, "audio/opus"},
		{"Go calls wss PCMU", true, true, []string{"PCMU"}, "audio/PCMU"},
		{"Go calls ws PCMA", false, true, []string{"PCMA"}, "audio/PCMA"},
		{"JsSIP calls wss Opus", true, false, nil, "audio/opus"},
		{"JsSIP calls ws PCMU", false, false, []string{"PCMU"}, "audio/PCMU"},
		{"JsSIP calls wss PCMA", true, false, []string{"PCMA"}, "audio/PCMA"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var cfg sipua.Config
			var opts pageOptions
			if c.secure {
				cfg.WSServers, opts.Server = secure(t, k), k.WSS
			}
			alice, bob := newUA(t, k, "alice", cfg), openPage(t, k, "bob", opts)
			bob.register()
			bob.waitEvent("registered")

			ours, theirs := connected(t, alice, bob, c.byUs, rtc.Options{Codecs: c.codecs})
			ours.waitAudio(50)
			s := theirs.waitAudio(50)
			if s.InCodec != c.want || s.OutCodec != c.want || s.DTLS != "connected" {
				t.Errorf("media of the page: %+v", s)
			}
			if got, _ := ours.track.Codec(); !strings.EqualFold("audio/"+got.Name, c.want) {
				t.Errorf("our codec is %v", got)
			}
			if ours.RemoteIdentity().URI.String() != aor("bob") {
				t.Errorf("our call is with %v", ours.RemoteIdentity())
			}
			ours.hangup()
			theirs.waitEvent("ended")
		})
	}
}

// TestCallFirstAudio logs how long it takes from Call, and from Answer, until the first packet from JsSIP is here, the
// commands to the page included.
//
// Only a browser shows the delay that its own ICE and DTLS add to ours.
func TestCallFirstAudio(t *testing.T) {
	k := startKamailio(t, kamailioOptions{})
	alice, bob := newUA(t, k, "alice", sipua.Config{}), newPage(t, k, "bob")
	since := func(begin time.Time) time.Duration { return time.Since(begin).Round(time.Millisecond) }
	for range 3 {
		begin := time.Now()
		ours := alice.invite("bob", session.CallOptions{}, rtc.Options{})
		theirs := bob.waitCall()
		rung := since(begin)
		theirs.answer()
		ours.waitAnswered()
		answered := since(begin)
		ours.waitFirst()
		t.Logf("Go calls: rung after %v, answered after %v, first audio after %v", rung, answered, since(begin))
		ours.hangup()
		theirs.waitEvent("ended")

		begin = time.Now()
		theirs = bob.call(aor("alice"), callOptions{})
		in := alice.waitCall()
		rung = since(begin)
		ours = alice.answer(in, rtc.Options{})
		answered = since(begin)
		ours.waitFirst()
		t.Logf("JsSIP calls: rung after %v, answered after %v, first audio after %v", rung, answered, since(begin))
		ours.hangup()
		theirs.waitEvent("ended")
	}
}

// TestCallAnonymous: the callee learns nothing of our name, and the call works all the same; with a name the server
// vouches for it.
//
// Only a foreign server can judge that it still knows us by our credentials, and finds us by the temporary GRUU that is
// all it has for the requests inside the call.
func TestCallAnonymous(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob := newUA(t, k, "alice", sipua.Config{}), newPage(t, k, "bob")
	ours := alice.invite("bob", session.CallOptions{Anonymous: session.Anonymous}, rtc.Options{})
	theirs := bob.waitCall()
	if theirs.From != "sip:anonymous@anonymous.invalid" || theirs.Name != "Anonymous" {
		t.Errorf("call from %q %s", theirs.Name, theirs.From)
	}
	theirs.answer()
	ours.waitAnswered()
	theirs.waitAudio(25)
	ours.do("Hold", ours.Hold)
	theirs.waitEvent("hold")
	theirs.refresh()
	theirs.hangup()
	ours.waitEnd()
	for _, m := range slices.Concat(bob.received("INVITE"), bob.received("ACK")) {
		if strings.Contains(m, "alice") {
			t.Errorf("the page was told: %q", m)
		}
	}

	theirs = bob.call(aor("alice"), callOptions{})
	in := alice.waitCall()
	if who := in.AssertedIdentity(); len(who) != 1 || who[0].URI.String() != aor("bob") || in.Anonymous() {
		t.Errorf("call from %v, which the server says is %v", in.From(), who)
	}
	ours = alice.answer(in, rtc.Options{})
	theirs.waitEvent("confirmed")
	ours.hangup()
	theirs.waitEvent("ended")
	if n := k.logged(t, "NOROUTE:") + k.logged(t, "UNDELIVERED:"); n != 0 {
		t.Errorf("Kamailio knew no way for %d requests", n)
	}
}
