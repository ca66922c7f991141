package sipua_test

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip/siptest"
	"github.com/gosipua/sipua/transport"
)

// TestNetworkChanged: a hint has looked for at once what would be found later,
// whoever gives it and however often.
func TestNetworkChanged(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		told := newStream()
		p := w.phone("alice", told.into)
		told.since()
		for range 100 {
			p.NetworkChanged()
		}
		time.Sleep(4 * time.Second)
		if events := told.since(); len(events) > 0 {
			t.Errorf("nothing is wrong, but\n%s", lines(events))
		}

		w.srv.Blackhole(true)
		w.srv.Refuse(siptest.Refusal{})
		hint := time.Now()
		p.NetworkChanged()
		lost := told.until(sipua.EventDisconnected)[0]
		if d := lost.Time.Sub(hint); d != 2*time.Second || !errors.Is(lost.Err, transport.ErrNoPong) {
			t.Errorf("%v after %v", lost, d)
		}
		for range 6 { // attempts, until the wait is a long one
			told.until(sipua.EventConnectFailed)
		}
		wait := told.until(sipua.EventReconnecting)
		if in := wait[len(wait)-1].In; in < 2*time.Second {
			t.Fatalf("the next attempt is in %v", in)
		}
		w.srv.Blackhole(false)
		w.srv.Admit()
		time.Sleep(1500 * time.Millisecond) // two hints within a second are one
		hint = time.Now()
		p.NetworkChanged()
		back := told.until(sipua.EventRegistered)
		if e := back[len(back)-1]; !e.Time.Equal(hint) {
			t.Errorf("registered %v after the hint", e.Time.Sub(hint))
		}
	})
}

// TestNetworkChangedFromHandlers: also while nothing is up, and after the end.
func TestNetworkChangedFromHandlers(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		var ua *sipua.UA
		cfg := w.config("alice")
		kinds := map[sipua.EventKind]bool{}
		cfg.Handler.Event = func(e sipua.Event) {
			kinds[e.Kind] = true
			ua.NetworkChanged()
		}
		ua = w.ua(cfg)
		ua.NetworkChanged()
		if err := ua.Start(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		w.srv.Drop()
		time.Sleep(time.Minute)
		ua.Close()
		ua.NetworkChanged()
		synctest.Wait()
		if !kinds[sipua.EventDisconnected] || !kinds[sipua.EventRegistered] || ua.Calls() == nil {
			t.Errorf("told of %v", kinds)
		}
	})
}

// TestResumed: after a sleep there is a REGISTER at once; a binding whose time was
// over by then is told of as lost.
func TestResumed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		asleep time.Duration
		want   []sipua.EventKind
	}{
		{"a nap", 10 * time.Second, []sipua.EventKind{sipua.EventResumed, sipua.EventRefreshed}},
		{"until the refresh was due", 7 * time.Minute, []sipua.EventKind{sipua.EventResumed, sipua.EventRefreshed}},
		{"beyond the binding", 10 * time.Minute, []sipua.EventKind{sipua.EventResumed, sipua.EventUnregistered, sipua.EventRegistered}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) {
				told := newStream()
				p := w.phone("alice", told.into)
				told.since()
				time.Sleep(time.Minute)
				p.Slept(1, tt.asleep)
				events := told.since()
				if got := kinds(events); !slices.Equal(got, tt.want) || events[0].For != tt.asleep {
					t.Fatalf("events\n%s", lines(events))
				}
				if e := events[1]; e.Kind == sipua.EventUnregistered && !errors.Is(e.Err, registrar.ErrLapsed) {
					t.Errorf("lost by %v", e.Err)
				}
				if d := time.Until(p.Registration().Expires); d != 10*time.Minute {
					t.Errorf("the new binding lasts %v", d)
				}
				time.Sleep(9*time.Minute + time.Second) // with a refresh
				if events := told.since(); len(events) != 1 || events[0].Kind != sipua.EventRefreshed {
					t.Errorf("afterwards\n%s", lines(events))
				}
			})
		})
	}
}

// TestResumedOnce: each of two connections notices a sleep, and it is one.
func TestResumedOnce(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		told := newStream()
		p := w.phone("alice", told.into)
		told.since()
		for _, tt := range []struct {
			after time.Duration
			regID int
			news  bool
		}{
			{0, 1, true}, {5 * time.Second, 2, false}, {time.Second, 1, true}, {time.Minute, 2, true}, {time.Second, 1, false},
		} {
			time.Sleep(tt.after)
			told.since()
			p.Slept(tt.regID, time.Minute)
			events := told.since()
			if news := slices.Contains(kinds(events), sipua.EventResumed); news != tt.news {
				t.Errorf("connection %d after %v: %v", tt.regID, tt.after, events)
			}
		}
	})
}

// TestCallResumed: whichever end slept, and whoever refreshes, a session whose time
// has come is refreshed at once, and not before.
func TestCallResumed(t *testing.T) {
	for _, tt := range []struct {
		name      string
		caller    bool // slept; else the callee, who refreshes
		asleep    time.Duration
		refreshed bool
	}{
		{"the refresher, shortly", false, 10 * time.Minute, false},
		{"the refresher", false, 14 * time.Minute, true},
		{"the refresher, for longer than the session", false, 3 * time.Hour, true},
		{"the other end, shortly", true, 5 * time.Minute, false},
		{"the other end, for longer than the session", true, 3 * time.Hour, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) {
				alice, bob := w.phone("alice"), w.phone("bob")
				here, there := alice.talk(bob)
				begun := here.SessionTimer().Expires.Add(-30 * time.Minute)
				time.Sleep(time.Until(begun.Add(time.Minute)))
				sleeper, line, other := bob, there, here
				if tt.caller {
					sleeper, line, other = alice, here, there
				}
				sleeper.Slept(1, tt.asleep)
				synctest.Wait()
				time.Sleep(time.Second)
				since := func(s *session.Session) time.Duration {
					timer := s.SessionTimer()
					return time.Until(timer.Expires) - timer.Interval
				}
				if tt.refreshed {
					if since(line.Session) != -time.Second || since(other.Session) != -time.Second {
						t.Errorf("refreshed %v and %v ago", -since(line.Session), -since(other.Session))
					}
				} else if got, want := since(line.Session), -tt.asleep-61*time.Second; got != want {
					t.Errorf("the session was refreshed %v ago, want %v", -got, -want)
				}
				here.say("still there?")
				there.hear("still there?")
				time.Sleep(2 * time.Hour) // each end refreshes or is refreshed in time
				if here.State() != session.Confirmed || there.State() != session.Confirmed {
					t.Errorf("two hours later: %v, %v", here.State(), there.State())
				}
			})
		})
	}
}

// TestNoStormAtAServerThatHangsUp: neither it, nor an application that tells of a
// change of network a hundred times a second, has us connect or register more often
// than once in a second.
func TestNoStormAtAServerThatHangsUp(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration // of the connection
		hints bool
		most  int // attempts in a minute
	}{
		{"at once", 0, false, 12},
		{"at once, with hints", 0, true, 60},
		{"after 3 s, as one that held", 3 * time.Second, false, 20},
		{"after 3 s, with hints", 3 * time.Second, true, 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) {
				var attempts atomic.Int32
				var up atomic.Pointer[time.Time]
				p := w.phone("alice", func(c *sipua.Config) {
					c.Handler.Event = func(e sipua.Event) {
						switch e.Kind {
						case sipua.EventConnecting:
							attempts.Add(1)
						case sipua.EventConnected:
							up.Store(&e.Time)
						}
					}
				})
				synctest.Wait()
				attempts.Store(0)
				before := w.srv.Counters().Registers
				for range 6000 {
					if at := up.Load(); at != nil && time.Since(*at) >= tt.after {
						up.Store(nil)
						w.srv.Drop()
					}
					time.Sleep(10 * time.Millisecond)
					if tt.hints {
						p.NetworkChanged()
					}
				}
				registers := w.srv.Counters().Registers - before
				if n := int(attempts.Load()); n < 3 || n > tt.most || registers > n {
					t.Errorf("%d attempts and %d REGISTERs in a minute, want %d at most", n, registers, tt.most)
				}
			})
		})
	}
}
