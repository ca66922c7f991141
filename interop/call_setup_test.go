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

// TestCallCutWhileItRings: our connection goes while the page rings. On the next one the INVITE is canceled, and the call
// is placed again or over; also where the page has answered meanwhile.
//
// Only a foreign server can judge whether a CANCEL that comes on another connection than its INVITE is one, and what it
// does with an answer for a connection that is gone.
func TestCallCutWhileItRings(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	proxy := startFaultProxy(t, k.WS)
	alice := newUA(t, k, "alice", sipua.Config{
		WSServers:                     sipua.Servers(proxy.WS),
		ConnectionRecoveryMinInterval: 200 * time.Millisecond,
		ConnectionRecoveryMaxInterval: time.Second,
	})
	bob := newPage(t, k, "bob")
	ring := func(again bool) (*uaCall, *pageCall) {
		ours := alice.invite("bob", session.CallOptions{PlaceAgain: again}, rtc.Options{})
		theirs := bob.waitCall()
		for next(t, "180", ours.rings) != 180 {
		}
		proxy.refuse()
		if n := proxy.each((*faultConn).cut); n != 1 {
			t.Errorf("%d connections cut, want 1", n)
		}
		return ours, theirs
	}
	talk := func(ours *uaCall, theirs *pageCall) {
		theirs.answer()
		ours.waitAnswered()
		ours.waitAudio(25)
		theirs.waitAudio(25)
		theirs.hangup()
		if end := ours.waitEnd(); end.Kind != session.EndBye || !end.Remote {
			t.Errorf("ended with %+v", end)
		}
	}
	t.Run("placed again", func(t *testing.T) {
		ours, theirs := ring(true)
		proxy.welcome()
		theirs.waitOver()
		talk(ours, bob.waitCall())
	})
	t.Run("answered meanwhile", func(t *testing.T) {
		ours, theirs := ring(true)
		theirs.answer()
		proxy.welcome()
		talk(ours, bob.waitCall())
	})
	t.Run("hung up", func(t *testing.T) {
		ours, theirs := ring(false)
		go ours.Hangup(context.Background())
		if end := ours.waitEnd(); end.Kind != session.EndCanceled {
			t.Errorf("ended with %+v", end)
		}
		proxy.welcome()
		theirs.waitOver()
	})
}

// TestCallCutWhileWeRing: somebody calls, and our connection goes while we ring. The call is answered on the next one, or
// declined, also where that was decided while there was none; either end hangs up. JsSIP goes on with the Contact of the
// 180, whatever the 200 says: where that is an alias, its ACK goes nowhere, and a re-INVITE of ours tells it the new one.
//
// Only a foreign server can judge whether a response that comes on another connection than its request went to is one, and
// only a foreign caller whether its ACK and BYE find us there.
func TestCallCutWhileWeRing(t *testing.T) {
	t.Parallel()
	t.Run("JsSIP calls", func(t *testing.T) {
		t.Parallel()
		k := startKamailio(t, kamailioOptions{})
		r := newRinging(t, k)
		bob := newPage(t, k, "bob")
		for _, d := range ringingDecisions() {
			t.Run(d.name, func(t *testing.T) {
				theirs := bob.call(aor("alice"), callOptions{})
				in := r.alice.waitCall()
				theirs.waitEvent("progress")
				ours := r.cut(t, in, d)
				if d.declined {
					if e := theirs.waitEvent("failed"); e.Status != 486 {
						t.Errorf("the page's call failed with %+v", e)
					}
					return
				}
				theirs.waitEvent("confirmed")
				eventually(t, "the ACK", func() bool { return ours.State() == session.Confirmed })
				ours.waitAudio(25)
				theirs.waitAudio(25)
				if d.byUs {
					ours.hangup()
					theirs.waitEvent("ended")
					return
				}
				theirs.hangup()
				if end := ours.waitEnd(); end.Kind != session.EndBye || !end.Remote {
					t.Errorf("ended with %+v", end)
				}
			})
		}
	})
	t.Run("JsSIP calls, way back by alias", func(t *testing.T) {
		t.Parallel()
		k := startKamailio(t, kamailioOptions{NoGRUU: true, NoOutbound: true})
		r := newRinging(t, k)
		bob := newPage(t, k, "bob")
		theirs := bob.call(aor("alice"), callOptions{})
		in := r.alice.waitCall()
		theirs.waitEvent("progress")
		ours := r.cut(t, in, ringingDecision{})
		theirs.waitEvent("confirmed")
		theirs.waitAudio(25)
		time.Sleep(32 * time.Second) // 64*T1, in which the ACK may come
		eventually(t, "the re-INVITE in place of the ACK", func() bool { return ours.State() == session.Confirmed })
		ours.waitAudio(25)
		theirs.waitAudio(25)
		theirs.hangup()
		if end := ours.waitEnd(); end.Kind != session.EndBye || !end.Remote {
			t.Errorf("ended with %+v", end)
		}
	})
	t.Run("one of ours calls, way back by alias", func(t *testing.T) {
		t.Parallel()
		k := startKamailio(t, kamailioOptions{NoGRUU: true, NoOutbound: true})
		r := newRinging(t, k)
		dave := newUA(t, k, "dave", sipua.Config{})
		for _, d := range ringingDecisions() {
			t.Run(d.name, func(t *testing.T) {
				theirs := dave.invite("alice", session.CallOptions{}, rtc.Options{Codecs: []string{"PCMU"}})
				in := r.alice.waitCall()
				for next(t, "180", theirs.rings) != 180 {
				}
				ours := r.cut(t, in, d)
				if d.declined {
					if end := theirs.waitEnd(); sip.StatusOf(end) != sip.StatusBusyHere {
						t.Errorf("the caller's call ended with %+v", end)
					}
					return
				}
				theirs.waitAnswered()
				eventually(t, "the ACK", func() bool { return ours.State() == session.Confirmed })
				ours.waitAudio(25)
				theirs.waitAudio(25)
				here, there := theirs, ours
				if d.byUs {
					here, there = ours, theirs
				}
				here.hangup()
				if end := there.waitEnd(); end.Kind != session.EndBye || !end.Remote {
					t.Errorf("ended with %+v", end)
				}
			})
		}
	})
}

// ringing is alice, behind a proxy.
type ringing struct {
	alice       *testUA
	k           *kamailio
	proxy       *faultProxy
	connections chan sipua.ConnectionState
}

// ringingDecision is what becomes of a call that rings while there is no connection.
type ringingDecision struct {
	name            string
	meanwhile, byUs bool // decided without a connection, hung up by us
	declined        bool
}

func ringingDecisions() []ringingDecision {
	return []ringingDecision{
		{name: "answered after, ended by us", byUs: true},
		{name: "answered after, ended by the caller"},
		{name: "answered meanwhile, ended by us", meanwhile: true, byUs: true},
		{name: "answered meanwhile, ended by the caller", meanwhile: true},
		{name: "declined meanwhile", meanwhile: true, declined: true},
	}
}

func newRinging(t *testing.T, k *kamailio) *ringing {
	t.Helper()
	r := &ringing{k: k, proxy: startFaultProxy(t, k.WS), connections: make(chan sipua.ConnectionState, 64)}
	r.alice = newUA(t, k, "alice", sipua.Config{
		WSServers:                     sipua.Servers(r.proxy.WS),
		ConnectionRecoveryMinInterval: 200 * time.Millisecond,
		ConnectionRecoveryMaxInterval: time.Second,
		Handler:                       sipua.Handler{Connection: func(e sipua.ConnectionEvent) { r.connections <- e.State }},
	})
	r.await(t, sipua.Connected)
	return r
}

func (r *ringing) await(t *testing.T, want sipua.ConnectionState) {
	t.Helper()
	for next(t, want.String(), r.connections) != want {
	}
}

// cut ends alice's connection, decides a call and has her registered again.
func (r *ringing) cut(t *testing.T, in *session.Incoming, d ringingDecision) (ours *uaCall) {
	t.Helper()
	r.proxy.refuse()
	if n := r.proxy.each((*faultConn).cut); n != 1 {
		t.Errorf("%d connections cut, want 1", n)
	}
	r.await(t, sipua.Disconnected)
	back := func() {
		r.proxy.welcome()
		r.await(t, sipua.Connected)
		r.k.waitBindings(t, "alice", 1)
	}
	if !d.meanwhile {
		back()
	}
	if d.declined {
		if err := in.Reject(sip.StatusBusyHere, nil); err != nil {
			t.Error(err)
		}
	} else {
		ours = r.alice.answer(in, rtc.Options{})
	}
	if d.meanwhile {
		back()
	}
	return ours
}
