package sipua_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// inWorldOfTwo is inWorld with a second server of the domain, lighter than the
// first and with registrations of its own.
func inWorldOfTwo(t *testing.T, o siptest.Options, f func(w *world, second *siptest.Server)) {
	t.Helper()
	users := map[string]string{"alice": "wonderland", "bob": "builder", "carol": "cat"}
	o.Host, o.Domain, o.Users = "one.example.com", "example.com", users
	inWorld(t, o, func(w *world) {
		o.Host = "two.example.com"
		second, err := siptest.NewServer(o)
		if err != nil {
			t.Fatal(err)
		}
		defer second.Close()
		f(w, second)
	})
}

// reaching lets a phone reach both servers, or only those that are given.
func reaching(w *world, second *siptest.Server, servers ...*siptest.Server) func(*sipua.Config) {
	return func(c *sipua.Config) {
		c.WSServers = nil
		for i, s := range []*siptest.Server{w.srv, second} {
			if len(servers) == 0 || slices.Contains(servers, s) {
				c.WSServers = append(c.WSServers, sipua.WSServer{URL: s.URL(), Weight: 10 - i})
			}
		}
		c.DialContext = dialing(second, "two.", w.srv.DialContext)
	}
}

type dialContext = func(ctx context.Context, network, addr string) (net.Conn, error)

// dialing dials s where the address has that prefix.
func dialing(s *siptest.Server, prefix string, others dialContext) dialContext {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if strings.HasPrefix(addr, prefix) {
			return s.DialContext(ctx, network, addr)
		}
		return others(ctx, network, addr)
	}
}

func twoFlows(c *sipua.Config) { c.Flows = 2 }

// kill stops a server as a power cut does, until it is started again.
func kill(s *siptest.Server) {
	s.Refuse(siptest.Refusal{})
	s.Restart(false)
}

// states are where the registrations of a phone stand.
func (p *phone) states() string {
	synctest.Wait()
	var list []string
	for _, r := range p.Registrations() {
		list = append(list, fmt.Sprint(r.RegID, " ", r.State, " ", strings.TrimSuffix(strings.TrimPrefix(r.Server, "ws://"), ".example.com/")))
	}
	return strings.Join(list, ", ")
}

// calls up ends the call of a line from its own end, and checks the other.
func (l *line) hangsUp(other *line) {
	l.w.t.Helper()
	if err := l.Hangup(l.w.t.Context()); err != nil {
		l.w.t.Error(err)
	}
	synctest.Wait()
	for _, end := range []*line{l, other} {
		if !end.State().Ended() {
			l.w.t.Errorf("%s: the call is %v", end.phone.user, end.State())
		}
	}
}

// TestOneOfTwoServersDies: with a call over each server the death of one takes
// nothing: neither call, nor that we can be called. The call over the server that
// lives ends by BYE from either side, the other one when its server is back.
func TestOneOfTwoServersDies(t *testing.T) {
	for _, first := range []bool{true, false} {
		t.Run(fmt.Sprint("the heavier: ", first), func(t *testing.T) {
			inWorldOfTwo(t, siptest.Options{Outbound: true, RecordRoute: true}, func(w *world, second *siptest.Server) {
				t := w.t
				dying, living := w.srv, second
				if !first {
					dying, living = second, w.srv
				}
				alice := w.phone("alice", reaching(w, second), twoFlows)
				bob := w.phone("bob", reaching(w, second, dying))
				carol := w.phone("carol", reaching(w, second, living))
				for _, s := range []*siptest.Server{dying, living} {
					if err := s.WaitRegistered(t.Context(), "alice"); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				bobs, withBob := bob.talk(alice)
				carols, withCarol := carol.talk(alice)
				carols2, withCarol2 := carol.talk(alice)
				heard := func() {
					t.Helper()
					for _, end := range [][2]*line{{bobs, withBob}, {withBob, bobs}, {carols, withCarol}, {withCarol, carols}} {
						end[0].say("hello")
						end[1].hear("hello")
					}
				}
				heard()
				alice.seen()

				kill(dying)
				synctest.Wait()
				if reg := alice.Registration(); !reg.Bound() {
					t.Errorf("alice is %v", reg.State)
				}
				for _, l := range []*line{withBob, withCarol, withCarol2} {
					if l.State().Ended() {
						t.Errorf("a call has ended: %v", context.Cause(l.Context()))
					}
				}
				heard()
				again, withAgain := carol.talk(alice)
				withAgain.hangsUp(again)
				carols.hangsUp(withCarol)
				withCarol2.hangsUp(carols2)
				call := w.invite(alice, "carol")
				if err := (<-carol.calls).Reject(486, nil); err != nil {
					t.Error(err)
				}
				<-call.Context().Done()

				time.Sleep(time.Minute)
				bobs.say("still there?")
				withBob.hear("still there?")
				dying.Admit()
				if err := dying.WaitRegistered(t.Context(), "alice"); err != nil {
					t.Fatal(err)
				}
				if err := dying.WaitRegistered(t.Context(), "bob"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
				if got := alice.states(); got != "1 Registered one, 2 Registered two" && got != "1 Registered two, 2 Registered one" {
					t.Errorf("alice: %s", got)
				}
				bobs.hangsUp(withBob)
			})
		})
	}
}

// invite calls without waiting.
func (w *world) invite(p *phone, target string) *session.Session {
	w.t.Helper()
	s, err := p.Invite(w.t.Context(), target, &session.CallOptions{Media: w.media(rtc.NewTrack(rtc.Audio))})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// TestFlowsGoToDifferentServers: also when both are lost at once, again and again,
// and while a server is away the flow to it waits rather than doubling the other.
func TestFlowsGoToDifferentServers(t *testing.T) {
	inWorldOfTwo(t, siptest.Options{Outbound: true}, func(w *world, second *siptest.Server) {
		t := w.t
		alice := w.phone("alice", reaching(w, second), twoFlows)
		each := func() {
			t.Helper()
			for _, s := range []*siptest.Server{w.srv, second} {
				if err := s.WaitRegistered(t.Context(), "alice"); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if n := len(s.Conns()); n != 1 {
					t.Errorf("%s has %d connections", s.URL(), n)
				}
			}
		}
		for range 5 {
			each()
			time.Sleep(5 * time.Minute)
			w.srv.Restart(false)
			second.Restart(false)
		}
		each()
		time.Sleep(5 * time.Minute)
		kill(second)
		for range 30 {
			time.Sleep(10 * time.Second)
			if n, m := len(w.srv.Conns()), len(second.Conns()); n != 1 || m != 0 {
				t.Errorf("%d and %d connections", n, m)
			}
		}
		if err := alice.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if w.srv.Registered("alice") {
			t.Error("alice is registered still")
		}
	})
}

// TestStartWithOneOfTwoServers: Start returns with the first registration, and
// the other follows; Unregister and Shutdown remove both.
func TestStartWithOneOfTwoServers(t *testing.T) {
	inWorldOfTwo(t, siptest.Options{Outbound: true}, func(w *world, second *siptest.Server) {
		t := w.t
		second.Refuse(siptest.Refusal{})
		alice := w.phone("alice", reaching(w, second), twoFlows)
		if reg := alice.Registration(); !reg.Bound() || w.srv.Registered("alice") == second.Registered("alice") {
			t.Errorf("after Start: %+v", reg)
		}
		second.Admit()
		if err := second.WaitRegistered(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		regIDs := map[string]bool{}
		calls := map[string]bool{}
		for _, s := range []*siptest.Server{w.srv, second} {
			for _, b := range s.Bindings("alice") {
				regIDs[b.Contact.Params.Value("reg-id")] = true
				calls[b.CallID] = true
			}
		}
		if !regIDs["1"] || !regIDs["2"] || len(calls) != 2 {
			t.Errorf("reg-ids %v, Call-IDs %v", regIDs, calls)
		}
		synctest.Wait()
		if err := alice.Unregister(t.Context(), false); err != nil {
			t.Error(err)
		}
		if w.srv.Registered("alice") || second.Registered("alice") {
			t.Error("alice is registered still")
		}
		if err := alice.Register(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if got := alice.states(); strings.Count(got, "Registered") != 2 {
			t.Error(got)
		}
		if err := alice.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if w.srv.Registered("alice") || second.Registered("alice") {
			t.Error("alice is registered still after Shutdown")
		}
	})
}

// TestWrongPasswordOverTwoFlows: the refusal by one server is enough.
func TestWrongPasswordOverTwoFlows(t *testing.T) {
	inWorldOfTwo(t, siptest.Options{Outbound: true}, func(w *world, second *siptest.Server) {
		t := w.t
		cfg := w.config("alice")
		reaching(w, second)(&cfg)
		cfg.Password, cfg.Flows = "wrong", 2
		ua := w.ua(cfg)
		defer ua.Close()
		if err := ua.Start(t.Context()); !errors.Is(err, sip.StatusUnauthorized) {
			t.Errorf("Start returned %v", err)
		}
		time.Sleep(12 * time.Hour)
		if n := w.srv.Counters().Challenges + second.Counters().Challenges; n != 2 {
			t.Errorf("%d challenges in half a day", n)
		}
		for _, r := range ua.Registrations() {
			if r.State != registrar.Refused {
				t.Errorf("flow %d is %v", r.RegID, r.State)
			}
		}
	})
}

// TestStandbyFlow: with a registrar that keeps one binding the second connection
// stands by, and is registered at once when the first is lost.
func TestStandbyFlow(t *testing.T) {
	inWorldOfTwo(t, siptest.Options{}, func(w *world, second *siptest.Server) {
		t := w.t
		alice := w.phone("alice", reaching(w, second), twoFlows)
		time.Sleep(time.Hour)
		used, spare := w.srv, second
		if second.Registered("alice") {
			used, spare = second, w.srv
		}
		if spare.Registered("alice") || len(spare.Conns()) != 1 || !strings.Contains(alice.states(), "Standby") {
			t.Errorf("alice: %s", alice.states())
		}
		kill(used)
		synctest.Wait() // no time passes
		if !spare.Registered("alice") {
			t.Errorf("alice: %s", alice.states())
		}
		used.Admit()
		time.Sleep(time.Hour)
		if used.Registered("alice") || len(used.Conns()) != 1 {
			t.Errorf("alice: %s", alice.states())
		}
	})
}
