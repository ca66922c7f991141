package sipua_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// cut drops the connection of a phone, which makes another at once.
func (p *phone) cut() {
	p.w.t.Helper()
	p.seen()
	for _, b := range p.w.srv.Bindings(p.user) {
		b.Conn.Drop()
	}
	p.until("registered")
}

// TestCallOutlivesItsConnections: with every kind of server, and every way in
// which one finds a client again, a call of which one end or both lose their
// connection goes on: audio flows meanwhile and after, either end can change it,
// and a BYE of either reaches the other.
func TestCallOutlivesItsConnections(t *testing.T) {
	servers := map[string]siptest.Options{
		"contacts":                    {},
		"GRUU":                        {GRUU: true, Outbound: true},
		"Record-Route":                {RecordRoute: true},
		"Record-Route that is strict": {RecordRoute: true, StrictFlows: true, Outbound: true},
		"asterisk":                    {Personality: siptest.Asterisk},
		"freeswitch":                  {Personality: siptest.FreeSWITCH},
		"opensips":                    {Personality: siptest.OpenSIPS},
	}
	for name, o := range servers {
		for _, who := range []string{"caller", "callee", "both"} {
			for _, byCaller := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%s/ended by the caller %v", name, who, byCaller), func(t *testing.T) {
					inWorld(t, o, func(w *world) {
						w.kind = o.Personality
						alice, bob := w.phone("alice"), w.phone("bob")
						a, b := alice.talk(bob)
						talking := func() {
							a.say("hello")
							b.hear("hello")
							b.say("hi")
							a.hear("hi")
						}
						talking()
						if who != "callee" {
							alice.cut()
						}
						if who != "caller" {
							bob.cut()
						}
						talking()
						time.Sleep(30 * time.Second)
						if a.Condition().Degraded() || b.Condition().Degraded() {
							w.t.Errorf("conditions %+v, %+v", a.Condition(), b.Condition())
						}
						talking()
						for _, l := range []*line{a, b} {
							if err := l.Hold(w.t.Context()); err != nil {
								w.t.Errorf("%s holds: %v", l.phone.user, err)
							}
							if err := l.Unhold(w.t.Context()); err != nil {
								w.t.Errorf("%s resumes: %v", l.phone.user, err)
							}
						}
						talking()
						for _, l := range []*line{a, b} { // the other end says no, so it was asked
							if w.kind != siptest.Plain { // there the server acts on it
								break
							}
							if _, err := l.Refer(w.t.Context(), "carol", nil); !errors.Is(err, sip.StatusDecline) {
								w.t.Errorf("%s refers: %v", l.phone.user, err)
							}
						}
						here, there := a, b
						if !byCaller {
							here, there = b, a
						}
						if err := here.Hangup(w.t.Context()); err != nil {
							w.t.Error(err)
						}
						<-there.Context().Done()
					})
				})
			}
		}
	}
}

// TestNoServerForAWhile: the call goes on while no server is to be had, and what
// is hung up meanwhile is over at both ends once there is one again.
func TestNoServerForAWhile(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		alice, bob := w.phone("alice"), w.phone("bob")
		a, b := alice.talk(bob)
		alice.gone.Store(true)
		for _, c := range w.srv.Bindings("alice") {
			c.Conn.Drop()
		}
		time.Sleep(2 * time.Minute)
		a.say("still here")
		b.hear("still here")
		result := make(chan error, 1)
		go func() { result <- a.Hangup(w.t.Context()) }()
		time.Sleep(2 * time.Minute)
		select {
		case err := <-result:
			w.t.Fatalf("hung up without a server: %v", err)
		default:
		}
		alice.gone.Store(false)
		if err := <-result; err != nil {
			w.t.Error(err)
		}
		<-b.Context().Done()
	})
}

// TestEventsOfADegradedCall: a call whose far end cannot reach us any more, and
// takes no new dialog, says so until it does.
func TestEventsOfADegradedCall(t *testing.T) {
	inWorld(t, siptest.Options{RecordRoute: true, StrictFlows: true}, func(w *world) {
		t := w.t
		events := newStream()
		alice := w.phone("alice", events.into)
		bob := w.phone("bob", func(c *sipua.Config) { c.AskOnReplacement = true })
		a, b := alice.talk(bob)
		begun := time.Now()
		alice.cut()
		asked := <-bob.calls
		if asked.Replaces() != b.Session {
			t.Error("the call that came does not want the place of the other")
		}
		if err := asked.Reject(603, nil); err != nil {
			t.Fatal(err)
		}
		all := events.until(sipua.EventCallDegraded)
		e := all[len(all)-1]
		if e.Session != a.Session || !e.Condition.Unreachable || !errors.Is(e.Err, session.ErrUnreachable) || a.State() != session.Confirmed {
			t.Errorf("degraded: %v", e)
		}
		a.say("still")
		b.hear("still")
		answer := bob.answers()
		all = events.until(sipua.EventCallRecovered)
		e = all[len(all)-1]
		if took := time.Since(begun); e.Session != a.Session || e.For <= 0 || e.For > took {
			t.Errorf("recovered within %v: %v", took, e)
		}
		anew := answer()
		if b.State() != session.Terminated {
			t.Errorf("state of the call replaced: %v", b.State())
		}
		anew.say("again")
		a.hear("again")
		if err := anew.Hangup(t.Context()); err != nil {
			t.Error(err)
		}
		<-a.Context().Done()
	})
}
