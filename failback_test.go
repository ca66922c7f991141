package sipua_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
	"github.com/gosipua/sipua/transport"
)

// TestFailBack: the heavier server is returned to once it can be reached again and
// nothing is under way, neither a call nor a request without its answer; what is
// comes to its end over the lighter one.
func TestFailBack(t *testing.T) {
	const busy = 20 * time.Second
	inTime := make(chan struct{}) // of each MESSAGE
	for name, begin := range map[string]func(w *world, alice, bob, carol *phone) (finish func()){
		"nothing under way": func(*world, *phone, *phone, *phone) func() { return func() {} },
		"a call": func(_ *world, alice, bob, _ *phone) func() {
			here, there := alice.talk(bob)
			return func() { here.hangsUp(there) }
		},
		"a call that rings": func(w *world, alice, bob, _ *phone) func() {
			s := w.invite(bob, "alice")
			in := <-alice.calls
			return func() {
				w.must(in.Reject(sip.StatusBusyHere, nil))
				if err := s.WaitAnswered(w.t.Context()); !errors.Is(err, sip.StatusBusyHere) {
					w.t.Error(err)
				}
			}
		},
		"a MESSAGE of ours": func(w *world, alice, bob, _ *phone) func() { return messaging(w, alice, "bob", inTime) },
		"a MESSAGE to us":   func(w *world, alice, bob, _ *phone) func() { return messaging(w, bob, "alice", inTime) },
		"a transfer outside of calls": func(w *world, alice, _, carol *phone) func() {
			transfer, err := alice.Refer(w.t.Context(), "bob", "carol", nil)
			w.must(err)
			in := <-carol.calls
			return func() {
				w.must(in.Reject(sip.StatusBusyHere, nil))
				if err := transfer.Wait(w.t.Context()); !errors.Is(err, sip.StatusBusyHere) {
					w.t.Error(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorldOfTwo(t, siptest.Options{}, func(w *world, second *siptest.Server) {
				inTime = make(chan struct{})
				kill(w.srv)
				slow := func(c *sipua.Config) {
					c.Handler.Message = func(context.Context, *sip.Request) sip.StatusCode {
						<-inTime
						return sip.StatusOK
					}
					c.Handler.Refer = func(r *session.Referral) { r.Accept(w.t.Context(), nil) }
				}
				told := newStream()
				alice := w.phone("alice", reaching(w, second), slow, told.into, func(c *sipua.Config) {
					c.FailBack = true
					c.ConnectionRecoveryMinInterval, c.ConnectionRecoveryMaxInterval = time.Second, 2*time.Second
				})
				bob := w.phone("bob", reaching(w, second, second), slow)
				carol := w.phone("carol", reaching(w, second, second))
				finish := begin(w, alice, bob, carol)
				told.since()
				w.srv.Admit()
				if name != "nothing under way" {
					time.Sleep(busy)
				}
				if events := told.since(); len(events) > 0 {
					t.Errorf("meanwhile\n%s", lines(events))
				}
				finish()
				free := time.Now()
				lost := told.until(sipua.EventDisconnected)
				back := told.until(sipua.EventRegistered)
				left, there := lost[len(lost)-1], back[len(back)-1]
				if left.Server.URL != second.URL() || !errors.Is(left.Err, transport.ErrFailBack) {
					t.Errorf("%v", left)
				}
				// The transactions of a call absorb repeats for 64*T1 (RFC 6026 §7).
				if d := there.Time.Sub(free); there.Server.URL != w.srv.URL() || d > 34*time.Second {
					t.Errorf("registered with %v after %v", there.Server, d)
				}
			})
		})
	}
}

// messaging has p send a MESSAGE that is answered when inTime says so.
func messaging(w *world, p *phone, target string, inTime chan struct{}) func() {
	sent := make(chan error, 1)
	go func() { sent <- p.SendMessage(w.t.Context(), target, "hello", nil) }()
	return func() {
		inTime <- struct{}{}
		w.must(<-sent)
	}
}
