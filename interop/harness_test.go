//go:build interop

package interop_test

import (
	"strings"
	"testing"
)

// The TestHarness tests put the peers before each other, without sipua. They show that Kamailio, coturn and JsSIP
// stand as the other tests need them, and what they do when both ends are right: where sipua fails at something
// that passes here, the fault is sipua's.

// TestHarnessCall: one call from a page on ws to a page on wss, with everything that the commands of a page can do.
func TestHarnessCall(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice := newPage(t, k, "alice")
	bob := openPage(t, k, "bob", pageOptions{Server: k.WSS})
	bob.register()
	bob.waitEvent("registered")

	out := alice.call(aor("bob"), callOptions{Headers: []string{"X-Test: seen"}})
	in := bob.waitCall()
	if in.From != aor("alice") {
		t.Errorf("call from %q", in.From)
	}
	if invites := bob.received("INVITE"); len(invites) != 1 || !strings.Contains(invites[0], "X-Test: seen\r\n") {
		t.Errorf("INVITE as received: %q", invites)
	}
	if e := out.waitEvent("progress"); e.Status != 180 {
		t.Errorf("progress with %d", e.Status)
	}
	in.answer()
	if e := out.waitEvent("accepted"); e.Status != 200 {
		t.Errorf("accepted with %d", e.Status)
	}
	out.waitEvent("confirmed")
	in.waitEvent("confirmed")
	for _, c := range []*pageCall{out, in} {
		if s := c.waitAudio(50); s.InCodec != "audio/opus" || s.OutCodec != "audio/opus" || s.DTLS != "connected" {
			t.Errorf("media of %s: %+v", c.p.User, s)
		}
	}

	t.Run("hold", func(t *testing.T) {
		out.hold()
		in.waitEvent("hold")
		out.waitNothing()
		in.waitQuiet()
		out.unhold()
		in.waitEvent("unhold")
		in.holdByUpdate()
		out.waitEvent("hold") // its own
		if e := out.waitEvent("unhold"); e.Originator != "local" {
			t.Errorf("unhold by %s", e.Originator)
		}
		if e := out.waitEvent("hold"); e.Originator != "remote" {
			t.Errorf("hold by %s", e.Originator)
		}
		in.waitNothing()
		in.unholdByUpdate()
		out.waitEvent("unhold")
		out.waitAudio(50)
		in.waitAudio(50)
	})
	t.Run("mute", func(t *testing.T) {
		out.mute()
		in.waitQuiet()
		out.unmute()
		in.waitAudio(50)
	})
	t.Run("re-INVITE", func(t *testing.T) {
		in.renegotiate()
		out.waitEvent("reinvite")
		out.waitAudio(50)
	})
	t.Run("DTMF", func(t *testing.T) {
		in.dtmfInfo("5#")
		for _, want := range []string{"5", "#"} {
			if e := out.waitEvent("newDTMF"); e.Originator != "remote" || e.Body != want {
				t.Errorf("digit %q from %s, want %q from remote", e.Body, e.Originator, want)
			}
		}
		out.dtmfRTP("1")
		if e := out.waitEvent("tonechange"); e.Body != "1" {
			t.Errorf("tone %q sent, want 1", e.Body)
		}
	})

	in.hangup()
	if e := out.waitEvent("ended"); e.Originator != "remote" || e.Cause != "Terminated" {
		t.Errorf("ended by %s: %s", e.Originator, e.Cause)
	}
	if e := in.waitEvent("ended"); e.Originator != "local" {
		t.Errorf("ended by %s", e.Originator)
	}
}

// TestHarnessRefer: a REFER inside a call makes a second call, and its NOTIFYs come back.
func TestHarnessRefer(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob, carol := newPage(t, k, "alice"), newPage(t, k, "bob"), newPage(t, k, "carol")
	out := alice.call(aor("bob"), callOptions{})
	bob.waitCall().answer()
	out.waitEvent("confirmed")
	out.refer(aor("carol"))
	third := carol.waitCall()
	third.answer()
	third.waitEvent("confirmed")
	third.waitAudio(20)
	if e := out.waitEvent("refer:accepted"); e.Call != out.id {
		t.Errorf("accepted: %+v", e)
	}
	if third.From != aor("bob") {
		t.Errorf("call from %q, want bob", third.From)
	}
}

// TestHarnessCallNotAnswered: the ways in which a call does not come about.
func TestHarnessCallNotAnswered(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob := newPage(t, k, "alice"), newPage(t, k, "bob")

	t.Run("rejected", func(t *testing.T) {
		out := alice.call(aor("bob"), callOptions{Video: true})
		bob.waitCall().reject(486)
		if offer := bob.received("INVITE")[0]; !strings.Contains(offer, "\r\nm=audio ") || !strings.Contains(offer, "\r\nm=video ") {
			t.Errorf("offer of audio and video: %q", offer)
		}
		if e := out.waitEvent("failed"); e.Status != 486 || e.Cause != "Busy" {
			t.Errorf("failed with %d %s", e.Status, e.Cause)
		}
	})
	t.Run("canceled", func(t *testing.T) {
		out := alice.call(aor("bob"), callOptions{})
		in := bob.waitCall()
		out.waitEvent("progress")
		out.hangup()
		if e := in.waitEvent("failed"); e.Originator != "remote" || e.Cause != "Canceled" {
			t.Errorf("failed by %s: %s", e.Originator, e.Cause)
		}
	})
	for _, c := range []struct {
		name, user string
		want       int
	}{
		{"refused by the server", "st603", 603},
		{"not registered", "carol", 480},
		{"no such user", "nobody", 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := alice.call(aor(c.user), callOptions{})
			if e := out.waitEvent("failed"); e.Status != c.want {
				t.Errorf("failed with %d, want %d", e.Status, c.want)
			}
		})
	}
}

// TestHarnessMessage: MESSAGE and OPTIONS go from page to page and are answered.
func TestHarnessMessage(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob := newPage(t, k, "alice"), newPage(t, k, "bob")
	const text = "Grüße, 你好 𝄞"
	if e := alice.message(aor("bob"), "text/plain", text); e.Status != 200 {
		t.Errorf("MESSAGE answered %d %s", e.Status, e.Cause)
	}
	for e := bob.waitEvent("newMessage"); ; e = bob.waitEvent("newMessage") {
		if e.Originator == "remote" {
			if e.From != aor("alice") || e.Body != text || e.Type != "text/plain" {
				t.Errorf("MESSAGE received: %+v", e)
			}
			break
		}
	}
	if e := bob.options(aor("alice")); e.Status != 200 {
		t.Errorf("OPTIONS answered %d %s", e.Status, e.Cause)
	}
	if e := alice.message(aor("st480"), "text/plain", text); e.Status != 480 {
		t.Errorf("MESSAGE answered %d, want 480", e.Status)
	}
}

// TestHarnessWayBack: the three ways in which a BYE finds the callee and the caller through Kamailio.
func TestHarnessWayBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		opts kamailioOptions
	}{
		{"flow token", kamailioOptions{NoGRUU: true}},
		{"GRUU", kamailioOptions{NoOutbound: true}},
		{"alias", kamailioOptions{NoGRUU: true, NoOutbound: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := startKamailio(t, c.opts)
			alice, bob := newPage(t, k, "alice"), newPage(t, k, "bob")
			for _, byCaller := range []bool{true, false} {
				out := alice.call(aor("bob"), callOptions{})
				in := bob.waitCall()
				in.answer()
				out.waitEvent("confirmed")
				in.waitEvent("confirmed")
				first, second := in, out
				if byCaller {
					first, second = out, in
				}
				first.hangup()
				if e := second.waitEvent("ended"); e.Originator != "remote" {
					t.Errorf("ended by %s", e.Originator)
				}
			}
			if n := k.logged(t, "NOROUTE:") + k.logged(t, "UNDELIVERED:"); n != 0 {
				t.Errorf("Kamailio knew no way for %d requests", n)
			}
		})
	}
}

// TestHarnessRelay: coturn carries a call that has no other path, over each kind of connection to it.
func TestHarnessRelay(t *testing.T) {
	t.Parallel()
	k, turn := startKamailio(t, kamailioOptions{}), startCoturn(t)
	for _, c := range []struct{ name, uri string }{{"udp", turn.UDP}, {"tcp", turn.TCP}, {"tls", turn.TLS}} {
		t.Run(c.name, func(t *testing.T) {
			before := turn.allocations(t)
			opts := pageOptions{ICEServers: turn.ice(c.uri), RelayOnly: true}
			alice, bob := openPage(t, k, "alice", opts), openPage(t, k, "bob", opts)
			for _, p := range []*page{alice, bob} {
				p.register()
				p.waitEvent("registered")
			}
			out := alice.call(aor("bob"), callOptions{})
			in := bob.waitCall()
			in.answer()
			for _, call := range []*pageCall{out, in} {
				call.waitEvent("confirmed")
				if s := call.waitAudio(50); s.Local != "relay" || s.RelayProtocol != c.name {
					t.Errorf("path of %s: %+v", call.p.User, s)
				}
			}
			if n := turn.allocations(t) - before; n < 2 {
				t.Errorf("coturn made %d allocations, want two at least", n)
			}
		})
	}
}

// TestHarnessServerGone: a Kamailio that was stopped, killed or has cut its sockets is there again on the same ports,
// and JsSIP comes back to it by itself.
func TestHarnessServerGone(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	p := newPage(t, k, "alice")
	for _, c := range []struct {
		name string
		gone func()
	}{
		{"stopped", func() { k.stop(t); p.waitEvent("disconnected"); k.start(t) }},
		{"killed", func() { k.kill(t); p.waitEvent("disconnected"); k.start(t) }},
		{"cut", func() {
			if n := k.cutAll(t); n != 1 {
				t.Errorf("%d connections cut, want 1", n)
			}
			p.waitEvent("disconnected")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.gone()
			p.waitEvent("connected")
			// and registers by itself, as it did once before
			p.waitEvent("registered")
			k.waitBindings(t, "alice", 1)
		})
	}
}
