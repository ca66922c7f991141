//go:build interop

package interop_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
)

// peer is a kind of page.
type peer struct {
	name string
	opts pageOptions
}

var (
	jsSIP   = peer{"JsSIP", pageOptions{}}
	sipJS   = peer{"SIP.js", pageOptions{Peer: peerSIPJS}}
	firefox = peer{"JsSIP in Firefox", pageOptions{Firefox: true}}
)

// forPeers runs a test before each kind of page, in parallel.
func forPeers(t *testing.T, test func(t *testing.T, peer peer), peers ...peer) {
	t.Helper()
	t.Parallel()
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			test(t, p)
		})
	}
}

// TestPeerCall: calls either way with SIP.js, and with JsSIP in Firefox: sound, hold by each side, DTMF by INFO and as
// telephone-events, ICE renewed, another codec, hang-up by each side. With JsSIP in Chromium the other tests do all that.
//
// Only these peers can judge that what JsSIP and Chromium take is not taken by them alone: SIP.js has directions set by
// transceivers instead of in the text, no UPDATE, and reads Contact, Via and tags with a parser of its own; Firefox
// offers TCP candidates and two components, and its ICE and DTLS are not Chromium's.
func TestPeerCall(t *testing.T) {
	forPeers(t, func(t *testing.T, peer peer) {
		k := startKamailio(t, kamailioOptions{})
		alice, bob := newUA(t, k, "alice", sipua.Config{}), registeredPage(t, k, "bob", peer.opts)
		for _, c := range []struct {
			name        string
			byUs, weEnd bool
			codec       string
		}{
			{"Go calls", true, false, "PCMU"},
			{peer.name + " calls", false, true, "opus"},
		} {
			t.Run(c.name, func(t *testing.T) {
				ours, theirs := connected(t, alice, bob, c.byUs, rtc.Options{Codecs: []string{c.codec}})
				ours.waitAudio(25)
				if s := theirs.waitAudio(25); !strings.EqualFold(s.InCodec, "audio/"+c.codec) || !strings.EqualFold(s.OutCodec, "audio/"+c.codec) {
					t.Errorf("media of the page: %+v, want %s", s, c.codec)
				}
				digitsEach(t, ours, theirs) // first: see README.md
				holdEach(t, ours, theirs, c.codec)
				renewEach(t, ours, theirs)
				if c.weEnd {
					ours.hangup()
				} else {
					theirs.hangup()
				}
				want := "local"
				if c.weEnd {
					want = "remote"
				}
				if e := theirs.waitEvent("ended"); e.Originator != want || e.Cause != "Terminated" {
					t.Errorf("page: ended by %s: %s", e.Originator, e.Cause)
				}
				if end := ours.waitEnd(); end.Kind != session.EndBye || end.Remote == c.weEnd {
					t.Errorf("ended with %+v", end)
				}
			})
		}
		if n := k.logged(t, "NOROUTE:") + k.logged(t, "UNDELIVERED:"); n != 0 {
			t.Errorf("Kamailio knew no way for %d requests", n)
		}
	}, sipJS, firefox)
}

// holdEach lets each side hold the call and take it back.
func holdEach(t *testing.T, ours *uaCall, theirs *pageCall, codec string) {
	t.Helper()
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

	theirs.hold()
	ours.wantHold(false, true)
	theirs.waitEvent("hold")
	theirs.waitNothing()
	switch {
	case codec == "opus": // which we cannot tell from silence
	case theirs.p.Peer == peerSIPJS:
		ours.waitSound() // its microphone stays on, as music would
	default:
		ours.waitQuiet()
	}
	theirs.unhold()
	ours.wantHold(false, false)
	theirs.waitEvent("unhold")
	ours.waitAudio(25)
	theirs.waitAudio(25)
}

// renewEach renews ICE by an offer of ours, lets the page make an offer on it, and changes the codec of the call.
func renewEach(t *testing.T, ours *uaCall, theirs *pageCall) {
	t.Helper()
	offer := func(o session.RenegotiateOptions) {
		t.Helper()
		ours.do("Renegotiate", func(ctx context.Context) error { return ours.Renegotiate(ctx, &o) })
		ours.waitAudio(25)
		theirs.waitAudio(25)
	}
	offer(session.RenegotiateOptions{ICERestart: true})
	theirs.renegotiate()
	offer(session.RenegotiateOptions{Change: rtc.Change{Codecs: []string{"PCMA"}}})
	if s := theirs.waitAudio(25); s.InCodec != "audio/PCMA" || s.OutCodec != "audio/PCMA" {
		t.Errorf("media of the page: %+v, want PCMA", s)
	}
}

// digitsEach sends DTMF each way, by INFO and by RTP.
func digitsEach(t *testing.T, ours *uaCall, theirs *pageCall) {
	t.Helper()
	if err := ours.SendDTMF(step(t), "5#", &session.DTMFOptions{Transport: session.DTMFInfo}); err != nil {
		t.Errorf("SendDTMF by INFO: %v", err)
	}
	for _, want := range []string{"5", "#"} {
		if e := theirs.waitEvent("newDTMF"); e.Originator != "remote" || e.Body != want {
			t.Errorf("page: digit %q by %s, want %q by remote", e.Body, e.Originator, want)
		}
	}
	theirs.dtmfInfo("1A*")
	for _, want := range "1A*" {
		if d := next(t, "a digit", ours.digits); d.Digit != want || !d.INFO {
			t.Errorf("digit %+v, want %q by INFO", d, want)
		}
	}
	theirs.dtmfRTP("29#")
	for _, want := range "29#" {
		if d := next(t, "a digit", ours.digits); d.Digit != want || d.INFO || d.Duration < 40*time.Millisecond {
			t.Errorf("digit %+v, want %q by RTP", d, want)
		}
	}
	theirs.listen()
	heard := ""
	for n := 0; n < 3 && !strings.HasSuffix(heard, "16#"); n++ { // a busy machine makes holes: see README.md
		err := ours.SendDTMF(step(t), "16#", &session.DTMFOptions{
			Transport: session.DTMFRTP, Duration: 600 * time.Millisecond, Gap: 300 * time.Millisecond,
		})
		if err != nil {
			t.Errorf("SendDTMF by RTP: %v", err)
		}
		time.Sleep(window) // what the browser has not played by then it never will
		heard += theirs.heard()
	}
	if !strings.HasSuffix(heard, "16#") {
		t.Errorf("page heard %q, want 16#", heard)
	}
	theirs.waitAudio(10) // the audio goes on after the digits
}
