//go:build interop

package interop_test

import (
	"context"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
)

// TestCallRelay: a call that has no path but coturn's, for both sides and for ours alone.
//
// Only a foreign TURN server can judge our credentials, allocations and permissions, and only Chromium that our relayed
// candidates lead to us.
func TestCallRelay(t *testing.T) {
	t.Parallel()
	k, turn := startKamailio(t, kamailioOptions{}), startCoturn(t)
	for _, c := range []struct {
		name, uri string
		both      bool // the page has no other path either
	}{
		{"udp", turn.UDP, true},
		{"tcp", turn.TCP, true},
		{"udp at our side only", turn.UDP, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := turn.allocations(t)
			alice := newUA(t, k, "alice", sipua.Config{
				TURNServers:  []sipua.TURNServer{{URLs: []string{c.uri}, Username: turnUser, Credential: turnPassword}},
				ICERelayOnly: true,
			})
			var opts pageOptions
			want := 1
			if c.both {
				opts, want = pageOptions{ICEServers: turn.ice(c.uri), RelayOnly: true}, 2
			}
			bob := openPage(t, k, "bob", opts)
			bob.register()
			bob.waitEvent("registered")
			for _, byUs := range []bool{true, false} {
				ours, theirs := connected(t, alice, bob, byUs, rtc.Options{})
				ours.waitAudio(25)
				s := theirs.waitAudio(25)
				if c.both && s.Local != "relay" {
					t.Errorf("path of the page: %+v", s)
				}
				if st := rtc.StatsOf(ours.Session); st.Local.Type != "relay" {
					t.Errorf("our path: %+v to %+v", st.Local, st.Remote)
				}
				ours.hangup()
				theirs.waitEvent("ended")
			}
			if n := turn.allocations(t) - before; n < 2*want {
				t.Errorf("coturn made %d allocations, want %d at least", n, 2*want)
			}
		})
	}
}

// TestCallRelayUnreachable: a TURN server that is not there costs its candidates and no more.
//
// Only a call with a foreign peer shows that the offer which then leaves is still one that it takes.
func TestCallRelayUnreachable(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice := newUA(t, k, "alice", sipua.Config{
		STUNServers: []string{"stun:127.0.0.1:9"},
		TURNServers: []sipua.TURNServer{{URLs: []string{"turn:127.0.0.1:9?transport=tcp"}, Username: "u", Credential: "c"}},
	})
	bob := newPage(t, k, "bob")
	ours, theirs := connected(t, alice, bob, true, rtc.Options{})
	theirs.waitAudio(25)
	ours.hangup()
	theirs.waitEvent("ended")
}

// TestCallBetweenUs: two UAs of ours, one on ws and one on wss, with only Kamailio between them.
//
// Only a foreign proxy can judge what one of ours sends and the other would take anyway.
func TestCallBetweenUs(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{Algorithm: "SHA-256"}) // which JsSIP does not know
	alice, bob := newUA(t, k, "alice", sipua.Config{}), newUA(t, k, "bob", sipua.Config{WSServers: secure(t, k)})
	for _, late := range []bool{false, true} {
		out := alice.invite("bob", session.CallOptions{LateOffer: late}, rtc.Options{Codecs: []string{"PCMU"}})
		in := bob.answer(bob.waitCall(), rtc.Options{})
		out.waitAnswered()
		in.waitAnswered()
		out.waitAudio(25)
		in.waitAudio(25)

		out.do("Hold", out.Hold)
		in.wantHold(false, true)
		in.do("Hold", in.Hold)
		in.wantHold(true, true)
		out.do("Unhold", out.Unhold)
		in.do("Unhold", in.Unhold)
		out.waitAudio(25)
		in.do("Renegotiate", func(ctx context.Context) error {
			return in.Renegotiate(ctx, &session.RenegotiateOptions{UseUpdate: true, ICERestart: true})
		})
		in.waitAudio(25)
		out.do("SendDTMF", func(ctx context.Context) error { return out.SendDTMF(ctx, "7", nil) })
		if d := next(t, "a digit", in.digits); d.Digit != '7' || d.INFO {
			t.Errorf("digit %+v, want 7 by RTP", d)
		}
		in.do("SendDTMF", func(ctx context.Context) error {
			return in.SendDTMF(ctx, "8", &session.DTMFOptions{Transport: session.DTMFInfo})
		})
		if d := next(t, "a digit", out.digits); d.Digit != '8' || !d.INFO {
			t.Errorf("digit %+v, want 8 by INFO", d)
		}
		glare := make(chan error, 2) // JsSIP ends a call over it
		for _, c := range []*uaCall{in, out} {
			go func() { glare <- c.Hold(t.Context()) }()
		}
		for range 2 {
			if err := next(t, "the end of a re-INVITE", glare); err != nil {
				t.Errorf("Hold at both ends: %v", err)
			}
		}
		if want := (session.HoldState{Local: true, Remote: true}); in.Held() != want || out.Held() != want {
			t.Errorf("hold is %+v and %+v, want both", in.Held(), out.Held())
		}
		in.hangup()
		if end := out.waitEnd(); end.Kind != session.EndBye || !end.Remote {
			t.Errorf("ended with %+v", end)
		}
	}
}

// TestCallServerGone: the server cuts its sockets, is restarted or dies in the midst of a call. The audio goes on, we are
// back by ourselves, and the call can be held and ended afterwards.
//
// Only a foreign server can judge whether it still knows the way to a dialog whose connections are all new.
func TestCallServerGone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		gone func(t *testing.T, k *kamailio)
		back func(t *testing.T, k *kamailio)
	}{
		{"cut", func(t *testing.T, k *kamailio) {
			if n := k.cutAll(t); n != 2 {
				t.Errorf("%d connections cut, want 2", n)
			}
		}, func(*testing.T, *kamailio) {}},
		{"restarted", func(t *testing.T, k *kamailio) { k.stop(t) }, func(t *testing.T, k *kamailio) { k.start(t) }},
		{"killed", func(t *testing.T, k *kamailio) { k.kill(t) }, func(t *testing.T, k *kamailio) { k.start(t) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := startKamailio(t, kamailioOptions{})
			connections := make(chan sipua.ConnectionState, 64)
			alice := newUA(t, k, "alice", sipua.Config{
				ConnectionRecoveryMinInterval: 200 * time.Millisecond,
				ConnectionRecoveryMaxInterval: time.Second,
				Handler:                       sipua.Handler{Connection: func(e sipua.ConnectionEvent) { connections <- e.State }},
			})
			bob := newPage(t, k, "bob")
			await := func(want sipua.ConnectionState) {
				t.Helper()
				for next(t, want.String(), connections) != want {
				}
			}
			await(sipua.Connected)
			mine, one := connected(t, alice, bob, true, rtc.Options{})
			yours, other := connected(t, alice, bob, false, rtc.Options{})
			acks := len(alice.sent("ACK"))
			c.gone(t, k)
			await(sipua.Disconnected)
			bob.waitEvent("disconnected")
			one.waitAudio(50) // nothing of SIP is there
			yours.waitAudio(50)
			c.back(t, k)
			await(sipua.Connected)
			bob.waitEvent("connected")
			bob.waitEvent("registered")
			k.waitBindings(t, "alice", 1)
			k.waitBindings(t, "bob", 1)

			// JsSIP ends a call over a 491: our target refresh of each has to be over.
			eventually(t, "two refreshes", func() bool { return len(alice.sent("ACK")) >= acks+2 })
			mine.do("Hold", mine.Hold)
			one.waitEvent("hold")
			other.hold()
			yours.wantHold(false, true)
			mine.hangup()
			one.waitEvent("ended")
			other.hangup()
			if end := yours.waitEnd(); end.Kind != session.EndBye || !end.Remote {
				t.Errorf("ended with %+v", end)
			}
		})
	}
}

// TestCallConfigured: calls of a UA whose configuration changes what it says of itself, hung up by the page so that the
// way back is tried too.
//
// Only a foreign proxy can judge whether it finds the way back to such a Via, Contact and Route.
func TestCallConfigured(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{NoGRUU: true}) // with a GRUU nobody looks at our Contact
	no := false
	for _, c := range []struct {
		name string
		cfg  sipua.Config
	}{
		{"not registered", sipua.Config{Register: &no}},
		{"preloaded route", sipua.Config{UsePreloadedRoute: true}},
		{"TCP in Via", sipua.Config{HackViaTCP: true}},
		{"address in Contact", sipua.Config{HackIPInContact: true}},
		{"own Contact", sipua.Config{ContactURI: "sip:me@host.invalid;transport=ws"}},
		{"names", sipua.Config{
			DisplayName: "Zoë, \"Z\" 𝄞", UserAgent: "phone/1.0 (Zoë)",
			ExtraHeaders: []sip.Field{{Name: "X-Test", Value: "ü"}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			alice, bob := newUA(t, k, "alice", c.cfg), newPage(t, k, "bob")
			ours := alice.invite("bob", session.CallOptions{}, rtc.Options{})
			theirs := bob.waitCall()
			if theirs.From != aor("alice") || theirs.Name != c.cfg.DisplayName {
				t.Errorf("page: call from %q %q, want %q", theirs.Name, theirs.From, c.cfg.DisplayName)
			}
			theirs.answer()
			ours.waitAnswered()
			theirs.waitEvent("confirmed")
			theirs.hangup()
			ours.waitEnd()
			if c.cfg.Register != nil {
				return
			}
			theirs = bob.call(aor("alice"), callOptions{})
			ours = alice.answer(alice.waitCall(), rtc.Options{})
			theirs.waitEvent("confirmed")
			theirs.hangup()
			ours.waitEnd()
			alice.Close() // a call is for one device
			k.waitBindings(t, "alice", 0)
		})
	}
}

// TestCallWrongPassword: a call with a wrong password is refused after the second challenge.
//
// Only a foreign server can judge that we did answer its challenge, and rightly but for the password.
func TestCallWrongPassword(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	no := false
	alice := newUA(t, k, "alice", sipua.Config{Register: &no, Password: "wrong"})
	_, err := alice.Call(step(t), "bob", nil)
	if sip.StatusOf(err) != sip.StatusProxyAuthenticationRequired {
		t.Errorf("Call: %v, want 407", err)
	}
	if n := len(alice.sent("INVITE")); n != 2 {
		t.Errorf("%d INVITEs, want 2", n)
	}
	if n := k.logged(t, "CHALLENGE: INVITE user=alice reason=-2"); n != 1 {
		t.Errorf("Kamailio found the password wrong %d times, want once", n)
	}
}
