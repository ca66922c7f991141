//go:build interop

package interop_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
)

// registrations are the events of a UA's registration.
type registrations chan registrar.Event

// watch lets cfg tell of its registration.
func watch(cfg *sipua.Config) registrations {
	events := make(registrations, 64)
	cfg.Handler.Registration = func(e registrar.Event) { events <- e }
	return events
}

// wait waits for the next event of a kind; those before it are passed over.
func (events registrations) wait(t testing.TB, kind registrar.EventKind) registrar.Event {
	t.Helper()
	limit := time.After(stepLimit)
	for {
		select {
		case e := <-events:
			if e.Kind == kind {
				return e
			}
			t.Logf("event %v: %v", e.Kind, e.Err)
		case <-limit:
			t.Fatalf("not within %v: event %v", stepLimit, kind)
		}
	}
}

// none fails if there was an event meanwhile.
func (events registrations) none(t testing.TB) {
	t.Helper()
	select {
	case e := <-events:
		t.Errorf("event %v: %v", e.Kind, e.Err)
	default:
	}
}

// TestRegister: over either kind of socket, with MD5 and SHA-256, with and without outbound and GRUU.
//
// Only a foreign registrar can judge that our digest is right, and that it takes our Contact, instance and reg-id for
// what we mean by them.
func TestRegister(t *testing.T) {
	for _, c := range []struct {
		name   string
		opts   kamailioOptions
		secure bool
	}{
		{"ws", kamailioOptions{}, false},
		{"wss", kamailioOptions{}, true},
		{"SHA-256", kamailioOptions{Algorithm: "SHA-256"}, false},
		{"no outbound, no GRUU", kamailioOptions{NoOutbound: true, NoGRUU: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := startKamailio(t, c.opts)
			cfg := sipua.Config{RegisterExpires: 300 * time.Second}
			if c.secure {
				cfg.WSServers = secure(t, k)
			}
			events := watch(&cfg)
			u := newUA(t, k, "alice", cfg)
			e := events.wait(t, registrar.EventRegistered)
			if left := time.Until(e.Registration.Expires); left < 250*time.Second || left > 300*time.Second {
				t.Errorf("bound for %v", left)
			}
			reg := u.Registration()
			if reg.State != registrar.Registered || !reg.Bound() || reg.Rewritten || len(reg.Contacts) != 1 {
				t.Errorf("registration %+v", reg)
			}
			if reg.Public.IsZero() != c.opts.NoGRUU || reg.Temporary.IsZero() != c.opts.NoGRUU {
				t.Errorf("GRUUs %q and %q", reg.Public, reg.Temporary)
			}
			b := k.waitBindings(t, "alice", 1)[0]
			if b.Contact != reg.Contacts[0].URI.String() || !strings.HasPrefix(b.Instance, "<urn:uuid:") || b.Expires <= 250 || b.Expires > 300 {
				t.Errorf("binding %+v", b)
			}
			if !c.opts.NoOutbound && b.RegID != 1 {
				t.Errorf("reg-id %d", b.RegID)
			}
			if n := len(u.received("SIP/2.0 401")); n != 1 {
				t.Errorf("%d challenges", n)
			}
		})
	}
}

// TestRegisterRefresh: bindings of ten seconds are renewed in time, with the nonce of before and, where that has
// become stale, with a new one.
//
// Only a foreign registrar can judge that a refresh is one: same Call-ID and Contact, higher CSeq, rising nonce count.
func TestRegisterRefresh(t *testing.T) {
	for _, c := range []struct {
		name       string
		opts       kamailioOptions
		challenges int // at least
	}{
		{"same nonce", kamailioOptions{}, 1},
		{"stale nonce", kamailioOptions{NonceExpire: 2}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := startKamailio(t, c.opts)
			cfg := sipua.Config{RegisterExpires: 10 * time.Second}
			events := watch(&cfg)
			u := newUA(t, k, "alice", cfg)
			first := k.waitBindings(t, "alice", 1)[0]
			for range 2 {
				events.wait(t, registrar.EventRefreshed)
			}
			last := k.waitBindings(t, "alice", 1)[0]
			if last.CallID != first.CallID || last.Contact != first.Contact || last.CSeq <= first.CSeq || last.Instance != first.Instance {
				t.Errorf("binding %+v, before %+v", last, first)
			}
			if n := len(u.received("SIP/2.0 401")); n < c.challenges || c.challenges == 1 && n != 1 {
				t.Errorf("%d challenges, want %d", n, c.challenges)
			}
			events.none(t)
		})
	}
}

// TestRegisterUnregister: one device leaves and the other stays; then one removes both.
//
// Only a foreign registrar can judge which binding it takes our un-REGISTER for, and that Contact: * is well formed.
func TestRegisterUnregister(t *testing.T) {
	k := startKamailio(t, kamailioOptions{})
	var cfg sipua.Config
	events := watch(&cfg)
	desk, mobile := newUA(t, k, "alice", cfg), newUA(t, k, "alice", sipua.Config{})
	if reg := mobile.Registration(); len(reg.Contacts) != 2 || reg.Rewritten {
		t.Errorf("the second device does not find itself: %+v", reg)
	}
	k.waitBindings(t, "alice", 2)

	if err := desk.Unregister(step(t), false); err != nil {
		t.Errorf("Unregister: %v", err)
	}
	if e := events.wait(t, registrar.EventUnregistered); e.Err != nil || e.Registration.State != registrar.Unregistered {
		t.Errorf("event %+v", e)
	}
	if b := k.waitBindings(t, "alice", 1)[0]; b.Contact != mobile.Registration().Contacts[0].URI.String() &&
		b.Contact != mobile.Registration().Contacts[1].URI.String() {
		t.Errorf("the binding left is %+v", b)
	}

	if err := desk.Register(step(t)); err != nil {
		t.Errorf("Register: %v", err)
	}
	k.waitBindings(t, "alice", 2)
	if err := desk.Unregister(step(t), true); err != nil {
		t.Errorf("Unregister all: %v", err)
	}
	k.waitBindings(t, "alice", 0)
}

// TestRegisterShutdown: Shutdown removes the binding, even if it may not wait for the answer.
//
// Only a foreign registrar can judge that the un-REGISTER arrives before the connection ends.
func TestRegisterShutdown(t *testing.T) {
	// With handle_lost_tcp Kamailio also forgets a binding with its socket; what shows the un-REGISTER is its log.
	const unregistered = "REQUEST: REGISTER sip:sip.test"
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for name, ctx := range map[string]context.Context{"in time": context.Background(), "ended context": ended} {
		t.Run(name, func(t *testing.T) {
			k := startKamailio(t, kamailioOptions{})
			u := newUA(t, k, "alice", sipua.Config{})
			before := k.logged(t, unregistered)
			if err := u.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("Shutdown: %v", err)
			}
			eventually(t, "a REGISTER more in Kamailio's log", func() bool { return k.logged(t, unregistered) > before })
			k.waitBindings(t, "alice", 0)
		})
	}
}

// TestRegisterRefused: a wrong password is tried once and no more, until there is another.
//
// Only a foreign registrar can judge that what we take for a refusal is one, and which credentials it has seen.
func TestRegisterRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		opts kamailioOptions
		want sip.StatusCode
	}{
		{"challenged again", kamailioOptions{}, sip.StatusUnauthorized},
		{"forbidden", kamailioOptions{RefuseWrongPassword: true}, sip.StatusForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := startKamailio(t, c.opts)
			cfg := sipua.Config{Password: "wrong"}
			events := watch(&cfg)
			u := openUA(t, k, "alice", cfg)
			if err := u.Start(step(t)); !errors.Is(err, c.want) {
				t.Errorf("Start: %v, want %d", err, c.want)
			}
			if e := events.wait(t, registrar.EventFailed); e.Registration.State != registrar.Refused || !errors.Is(e.Err, c.want) {
				t.Errorf("event %+v", e)
			}
			k.cutAll(t) // a new connection is no reason to try again
			eventually(t, "a second connection", func() bool { return k.logged(t, "UPGRADE:") == 2 })
			if err := u.SendMessage(step(t), aor("st480"), "once the new connection is up", nil); err == nil {
				t.Error("MESSAGE accepted")
			}
			tries := 0
			for _, text := range u.sent("REGISTER") {
				if strings.Contains(text, "\r\nAuthorization: ") {
					tries++
				}
			}
			if tries != 1 {
				t.Errorf("%d REGISTERs with credentials", tries)
			}
			u.SetCredentials(digest.Password("alice", password("alice")))
			events.wait(t, registrar.EventRegistered)
			k.waitBindings(t, "alice", 1)
		})
	}
}

// TestRegisterIntervalTooBrief: what Kamailio's 423 names is asked for at once.
//
// Only a foreign registrar can judge that the second REGISTER is one it takes.
func TestRegisterIntervalTooBrief(t *testing.T) {
	k := startKamailio(t, kamailioOptions{MinExpires: 90})
	var cfg sipua.Config
	cfg.RegisterExpires = 20 * time.Second
	events := watch(&cfg)
	u := newUA(t, k, "alice", cfg)
	if n := len(u.received("SIP/2.0 423")); n != 1 {
		t.Errorf("%d answers 423", n)
	}
	if e := events.wait(t, registrar.EventRegistered); time.Until(e.Registration.Expires) < 60*time.Second {
		t.Errorf("bound until %v", e.Registration.Expires)
	}
	events.none(t)
	if b := k.waitBindings(t, "alice", 1)[0]; b.Expires <= 60 || b.Expires > 90 {
		t.Errorf("bound for %d s", b.Expires)
	}
}

// TestRegisterGranted: less is granted than asked for, and that counts.
//
// Only a foreign registrar writes its grant where it likes.
func TestRegisterGranted(t *testing.T) {
	k := startKamailio(t, kamailioOptions{MaxExpires: 60})
	u := newUA(t, k, "alice", sipua.Config{})
	reg := u.Registration()
	if left := time.Until(reg.Expires); left > 60*time.Second || left < 40*time.Second {
		t.Errorf("bound for %v", left)
	}
	if wait := time.Until(reg.RetryAt); wait > 50*time.Second {
		t.Errorf("renewed in %v", wait)
	}
}

// TestRegisterGRUU: a MESSAGE to either GRUU finds the one device it names.
//
// Only a foreign registrar makes GRUUs of its own and routes by them.
func TestRegisterGRUU(t *testing.T) {
	k := startKamailio(t, kamailioOptions{})
	device := func() (*testUA, chan string) {
		texts := make(chan string, 8)
		var cfg sipua.Config
		cfg.Handler.Message = func(_ context.Context, req *sip.Request) sip.StatusCode {
			texts <- string(req.Body())
			return sip.StatusOK
		}
		return newUA(t, k, "alice", cfg), texts
	}
	first, texts := device()
	_, others := device()
	bob := newUA(t, k, "bob", sipua.Config{})
	reg := first.Registration()
	for _, gruu := range []sip.URI{reg.Public, reg.Temporary} {
		if err := bob.SendMessage(step(t), gruu.String(), gruu.String(), nil); err != nil {
			t.Errorf("MESSAGE to %v: %v", gruu, err)
			continue
		}
		if got := <-texts; got != gruu.String() {
			t.Errorf("received %q, want %q", got, gruu)
		}
	}
	select {
	case text := <-others:
		t.Errorf("the other device received %q", text)
	default:
	}
}

// TestRegisterFlowTimer: registered with a Flow-Timer of either length, the longer of which Kamailio 5.6.3 ends with
// CR NUL.
//
// Only Kamailio does that.
func TestRegisterFlowTimer(t *testing.T) {
	for _, seconds := range []int{25, 120} {
		k := startKamailio(t, kamailioOptions{FlowTimer: seconds})
		u := newUA(t, k, "alice", sipua.Config{})
		if reg := u.Registration(); reg.Rewritten || reg.Public.IsZero() {
			t.Errorf("%d: %+v", seconds, reg)
		}
		k.waitBindings(t, "alice", 1)
	}
}
