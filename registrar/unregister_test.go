package registrar_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/sip"
)

// Unregister removes our binding, or all, and nothing is kept afterwards.
func TestUnregister(t *testing.T) {
	for all, contact := range map[bool]string{false: ours, true: "*"} {
		t.Run(contact, func(t *testing.T) {
			registered(t, func(r *rig) {
				c := r.startUnregister(all)
				r.state(registrar.Removing)
				c.runs()
				req := r.removal(contact)
				r.happened()
				r.answer(req, "200 OK")
				c.returns(nil)
				e := r.happened("unregistered")[0]
				if e.Err != nil || e.Registration.Bound() || e.Registration.State != registrar.Unregistered || e.Registration.Err != nil {
					t.Errorf("event %+v", e)
				}
				r.sleep(time.Hour)
				if reg := r.Registration(); reg.Err != nil || !reg.RetryAt.IsZero() {
					t.Errorf("later: %+v", reg)
				}
				r.down()
				r.up(serverA)
				r.sleep(time.Hour)
				r.silent()
				r.happened()
			})
		})
	}
}

// The removal answers a challenge like any other request.
func TestUnregisterChallenged(t *testing.T) {
	registered(t, func(r *rig) {
		c := r.startUnregister(true)
		r.unauthorized(r.removal("*"), "n1")
		r.answer(r.removal("*"), "200 OK")
		c.returns(nil)
	})
}

// A removal that fails is told, and the registration is over all the same.
func TestUnregisterFails(t *testing.T) {
	for _, tt := range []struct {
		name string
		fail func(r *rig, req *sip.Request)
		want error
	}{
		{"refused", func(r *rig, req *sip.Request) { r.answer(req, "403 Forbidden") }, sip.StatusForbidden},
		{"failed", func(r *rig, req *sip.Request) { r.answer(req, "500 Server Internal Error", "Retry-After: 5") }, sip.StatusServerInternalError},
		{"no answer", func(r *rig, _ *sip.Request) { r.sleep(timerF) }, sip.StatusRequestTimeout},
		{"flow lost", func(r *rig, _ *sip.Request) { r.down() }, net.ErrClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			registered(t, func(r *rig) {
				c := r.startUnregister(false)
				tt.fail(r, r.removal(ours))
				c.returns(tt.want)
				if e := r.happened("unregistered")[0]; !errors.Is(e.Err, tt.want) || !errors.Is(e.Registration.Err, tt.want) {
					t.Errorf("event %+v", e)
				}
				r.state(registrar.Unregistered)
				r.sleep(time.Hour)
				r.silent()
			})
		})
	}
}

// With a context that has ended the removal leaves all the same, even past a
// REGISTER that is out, and before Unregister returns.
func TestUnregisterEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	errEnough := errors.New("enough")
	cancel(errEnough)
	sent := func(r *rig, n int) {
		r.t.Helper()
		r.flow.mu.Lock()
		defer r.flow.mu.Unlock()
		if len(r.flow.sent) != n {
			r.t.Errorf("%d messages sent when Unregister returned", len(r.flow.sent))
		}
	}
	t.Run("Registered", func(t *testing.T) {
		registered(t, func(r *rig) {
			if err := r.Unregister(ctx, false); !errors.Is(err, errEnough) {
				t.Errorf("returned %v", err)
			}
			sent(r, 1)
			r.unauthorized(r.removal(ours), "n1")
			r.answer(r.removal(ours), "200 OK")
			r.happened("unregistered")
			r.state(registrar.Unregistered)
		})
	})
	t.Run("Refreshing", func(t *testing.T) {
		registered(t, func(r *rig) {
			r.due()
			refresh := r.register()
			if err := r.Unregister(ctx, true); !errors.Is(err, errEnough) {
				t.Errorf("returned %v", err)
			}
			sent(r, 1)
			req := r.removal("*")
			r.grant(refresh, 600) // too late to mean anything
			r.happened()
			r.answer(req, "200 OK")
			r.happened("unregistered")
		})
	})
}

// Unregister lets a REGISTER that is out have its answer (RFC 3261 §10.2), and
// then removes what it has made.
func TestUnregisterWhileRegistering(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(r *rig, req *sip.Request)
	}{
		{"accepted", func(r *rig, req *sip.Request) { r.grant(req, 600) }},
		{"challenged", func(r *rig, req *sip.Request) { r.grant(r.challenge(req, "n"), 600) }},
		{"too brief", func(r *rig, req *sip.Request) { r.answer(req, "423 Interval Too Brief", "Min-Expires: 900") }},
		{"failed", func(r *rig, req *sip.Request) { r.answer(req, "404 Not Found") }},
		{"refused", func(r *rig, req *sip.Request) { r.answer(req, "403 Forbidden") }},
		{"not answered", func(r *rig, _ *sip.Request) { r.sleep(timerF) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, defaults(), func(r *rig) {
				r.up(serverA)
				reg := r.startRegister()
				req := r.register()
				c := r.startUnregister(false)
				reg.returns(registrar.ErrOvertaken)
				r.silent()
				c.runs()
				tt.answer(r, req)
				r.state(registrar.Removing)
				c.runs()
				r.answer(r.removal(ours), "200 OK")
				c.returns(nil)
				r.happened()
				r.state(registrar.Unregistered)
				r.sleep(time.Hour)
				r.silent()
			})
		})
	}
}

// The same with a refresh: the binding is told to be gone when it is.
func TestUnregisterWhileRefreshing(t *testing.T) {
	registered(t, func(r *rig) {
		r.due()
		req := r.register()
		c := r.startUnregister(true)
		r.silent()
		r.grant(req, 600)
		r.happened()
		r.answer(r.removal("*"), "200 OK")
		c.returns(nil)
		r.happened("unregistered")
	})
}

// A context that ends while the answer is awaited lets the removal leave at once.
func TestUnregisterHurries(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		r.up(serverA)
		r.register()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		c := r.start(func() error { return r.Unregister(ctx, false) })
		patient := r.startUnregister(false)
		r.sleep(2*time.Second - 1)
		r.silent()
		r.sleep(1)
		c.returns(context.DeadlineExceeded)
		r.answer(r.removal(ours), "200 OK")
		patient.returns(nil)
	})
}

// Unregister in the states without a REGISTER out: the registrar is told.
func TestUnregisterElsewhere(t *testing.T) {
	t.Run("BackingOff", func(t *testing.T) {
		run(t, defaults(), func(r *rig) {
			r.up(serverA)
			r.answer(r.register(), "404 Not Found")
			c := r.startUnregister(false)
			r.answer(r.removal(ours), "200 OK")
			c.returns(nil)
			r.sleep(time.Hour)
			r.silent()
			r.happened("failed")
		})
	})
	t.Run("held", func(t *testing.T) {
		run(t, defaults(), func(r *rig) {
			r.up(serverA)
			r.refuse()
			r.startRegister()
			r.refuse()
			reg := r.startRegister() // has to wait
			un := r.startUnregister(false)
			reg.returns(registrar.ErrOvertaken)
			r.answer(r.removal(ours), "200 OK")
			un.returns(nil)
		})
	})
	t.Run("Refused", func(t *testing.T) {
		run(t, defaults(), func(r *rig) {
			r.up(serverA)
			r.answer(r.register(), "403 Forbidden")
			c := r.startUnregister(true)
			r.answer(r.removal("*"), "403 Forbidden")
			c.returns(sip.StatusForbidden)
			r.state(registrar.Unregistered)
			r.CredentialsChanged()
			r.silent()
		})
	})
	t.Run("Unregistered", func(t *testing.T) {
		o := defaults()
		o.Auto = false
		run(t, o, func(r *rig) {
			r.up(serverA)
			c := r.startUnregister(true)
			r.answer(r.removal("*"), "200 OK")
			c.returns(nil)
			r.happened()
		})
	})
}

// Without a connection our binding is gone anyway, but others may not be.
func TestUnregisterWithoutFlow(t *testing.T) {
	t.Run("no connection", func(t *testing.T) {
		run(t, defaults(), func(r *rig) {
			reg := r.startRegister()
			r.startUnregister(false).returns(nil)
			reg.returns(registrar.ErrOvertaken)
			r.startUnregister(true).returns(net.ErrClosed)
			r.up(serverA)
			r.silent()
		})
	})
	t.Run("flow lost while removing on an older one", func(t *testing.T) {
		registered(t, func(r *rig) {
			old := r.flow
			c := r.startUnregister(false)
			r.removal(ours)
			r.up(serverB)
			r.silent()
			c.runs()
			r.lose(old)
			c.returns(net.ErrClosed)
			r.state(registrar.Unregistered)
			r.silent()
		})
	})
}
