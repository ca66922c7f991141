//go:build interop

package interop_test

import (
	"slices"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/sip"
)

// TestRegisterTwoFlows: two flows are two bindings; a MESSAGE arrives over both, or over the one that is left; the flow
// that comes back takes the place of its own binding.
//
// Only a foreign registrar tells bindings apart by what it makes of instance and reg-id (RFC 5626 §6).
func TestRegisterTwoFlows(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	one, two := startFaultProxy(t, k.WS), startFaultProxy(t, k.WS)
	inbox := make(chan instant, 8)
	cfg := flowsConfig(one, two)
	cfg.Handler.Message = messages(sip.StatusOK, inbox)
	alice := newUA(t, k, "alice", cfg)
	bob := newUA(t, k, "bob", sipua.Config{})
	arrives := func(text string) {
		t.Helper()
		if err := bob.SendMessage(step(t), "alice", text, nil); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		for limit := step(t).Done(); ; {
			select {
			case m := <-inbox:
				if m.body == text { // not the copy, sent over both flows, of one whose first flow is gone
					return
				}
			case <-limit:
				t.Fatalf("%s: nothing came", text)
			}
		}
	}
	check := func() []binding {
		t.Helper()
		all := k.waitBindings(t, "alice", 2)
		slices.SortFunc(all, func(a, b binding) int { return a.RegID - b.RegID })
		if all[0].RegID != 1 || all[1].RegID != 2 || all[0].Instance != all[1].Instance || all[0].CallID == all[1].CallID {
			t.Errorf("bindings %+v", all)
		}
		eventually(t, "both are registered", func() bool {
			return !slices.ContainsFunc(alice.Registrations(), func(r registrar.Registration) bool { return !r.Bound() || !r.Outbound })
		})
		return all
	}
	before := check()
	arrives("over two")
	for i, r := range alice.Registrations() {
		p := map[string]*faultProxy{one.WS: one, two.WS: two}[r.Server]
		p.refuse()
		p.each((*faultConn).close)
		k.waitBindings(t, "alice", 1)
		arrives("over one")
		if err := alice.SendMessage(step(t), "bob", "out", nil); sip.StatusOf(err) != sip.StatusMethodNotAllowed {
			t.Errorf("sent over one: %v", err)
		}
		p.welcome()
		after := check()
		if a, b := after[i], before[i]; a.CallID != b.CallID || a.CSeq <= b.CSeq {
			t.Errorf("binding %+v, before %+v", a, b)
		}
		if a, b := after[1-i], before[1-i]; a.CallID != b.CallID || a.CSeq != b.CSeq {
			t.Errorf("the other flow's binding %+v, before %+v", a, b)
		}
		before = after
		arrives("over two again")
	}
	if err := alice.Shutdown(step(t)); err != nil {
		t.Error(err)
	}
	k.waitBindings(t, "alice", 0)
}

// TestRegisterStandby: with a registrar that keeps one binding the second flow stands by, and is registered when the
// first is gone.
//
// Only a foreign registrar shows what one without RFC 5626 makes of reg-id.
func TestRegisterStandby(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{NoOutbound: true})
	one, two := startFaultProxy(t, k.WS), startFaultProxy(t, k.WS)
	inbox := make(chan instant, 8)
	cfg := flowsConfig(one, two)
	cfg.Handler.Message = messages(sip.StatusOK, inbox)
	alice := newUA(t, k, "alice", cfg)
	bob := newUA(t, k, "bob", sipua.Config{})
	for range 3 {
		used := map[string]*faultProxy{one.WS: one, two.WS: two}[alice.Registration().Server]
		eventually(t, "the other flow stands by", func() bool {
			return slices.ContainsFunc(alice.Registrations(), func(r registrar.Registration) bool { return r.State == registrar.Standby })
		})
		k.waitBindings(t, "alice", 1)
		if err := bob.SendMessage(step(t), "alice", "hello", nil); err != nil {
			t.Error(err)
		}
		<-inbox
		used.each((*faultConn).close)
		eventually(t, "the flow that stood by is registered", func() bool {
			r := alice.Registration()
			return r.Bound() && r.Server != used.WS
		})
	}
}

// flowsConfig is for two flows over two ways to a server.
func flowsConfig(one, two *faultProxy) sipua.Config {
	return sipua.Config{
		Flows:                         2,
		WSServers:                     sipua.Servers(one.WS, two.WS),
		ConnectionRecoveryMinInterval: 100 * time.Millisecond,
		ConnectionRecoveryMaxInterval: time.Second,
	}
}
