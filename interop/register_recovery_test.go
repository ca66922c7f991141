//go:build interop

package interop_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/registrar"
)

// TestRegisterServerGone: registered again by itself after Kamailio was stopped, killed, or has cut the sockets, with
// the same identity.
//
// Only a foreign server ends in ways of its own, and judges what we come back with.
func TestRegisterServerGone(t *testing.T) {
	k := startKamailio(t, kamailioOptions{})
	cfg := sipua.Config{ConnectionRecoveryMinInterval: 100 * time.Millisecond, ConnectionRecoveryMaxInterval: time.Second}
	events := watch(&cfg)
	newUA(t, k, "alice", cfg)
	events.wait(t, registrar.EventRegistered)
	before := k.waitBindings(t, "alice", 1)[0]
	for _, c := range []struct {
		name string
		gone func()
	}{
		{"stopped", func() { k.stop(t); events.wait(t, registrar.EventUnregistered); k.start(t) }},
		{"killed", func() { k.kill(t); events.wait(t, registrar.EventUnregistered); k.start(t) }},
		{"cut", func() {
			if n := k.cutAll(t); n != 1 {
				t.Errorf("%d connections cut, want 1", n)
			}
			events.wait(t, registrar.EventUnregistered)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.gone()
			events.wait(t, registrar.EventRegistered)
			var now binding
			eventually(t, "the new binding alone", func() bool {
				all := k.bindings(t, "alice")
				if len(all) != 1 || all[0].CSeq <= before.CSeq {
					return false
				}
				now = all[0]
				return true
			})
			if now.CallID != before.CallID || now.Contact != before.Contact || now.Instance != before.Instance {
				t.Errorf("binding %+v, before %+v", now, before)
			}
			before = now
		})
	}
}

// TestRegisterServerLate: a server that is not there when the UA starts finds it waiting.
func TestRegisterServerLate(t *testing.T) {
	k := startKamailio(t, kamailioOptions{})
	k.stop(t)
	cfg := sipua.Config{ConnectionRecoveryMinInterval: 100 * time.Millisecond, ConnectionRecoveryMaxInterval: time.Second}
	events := watch(&cfg)
	u := openUA(t, k, "alice", cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := u.Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Start: %v", err)
	}
	k.start(t)
	events.wait(t, registrar.EventRegistered)
	k.waitBindings(t, "alice", 1)
}

// TestRegisterFailover: the heavier of two servers is used; when it dies the lighter one is; and with FailBack, once
// it is there again, the heavier one.
//
// Only foreign servers know nothing of each other's nonces, bindings and routes.
func TestRegisterFailover(t *testing.T) {
	heavy, light := startKamailio(t, kamailioOptions{}), startKamailio(t, kamailioOptions{})
	cfg := sipua.Config{
		WSServers:                     []sipua.WSServer{{URL: light.WS, Weight: 1}, {URL: heavy.WS, Weight: 10}},
		ConnectionRecoveryMinInterval: 100 * time.Millisecond,
		ConnectionRecoveryMaxInterval: time.Second,
		FailBack:                      true,
	}
	events := watch(&cfg)
	newUA(t, heavy, "alice", cfg)
	first := heavy.waitBindings(t, "alice", 1)[0]
	light.waitBindings(t, "alice", 0)

	heavy.kill(t)
	second := light.waitBindings(t, "alice", 1)[0]
	events.wait(t, registrar.EventUnregistered)
	events.wait(t, registrar.EventRegistered)
	if second.CallID != first.CallID || second.Contact != first.Contact || second.CSeq <= first.CSeq {
		t.Errorf("binding %+v, before %+v", second, first)
	}

	heavy.start(t)
	third := heavy.waitBindings(t, "alice", 1)[0]
	if third.CallID != first.CallID || third.Contact != first.Contact || third.CSeq <= second.CSeq {
		t.Errorf("binding %+v, before %+v", third, second)
	}
	light.waitBindings(t, "alice", 0) // it went with its connection
}
