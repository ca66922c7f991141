package registrar_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/gosipua/sipua/registrar"
)

// logger hands on each message.
func logger(fn func(msg string)) *slog.Logger { return slog.New(handler{slog.DiscardHandler, fn}) }

type handler struct {
	slog.Handler
	fn func(msg string)
}

func (handler) Enabled(context.Context, slog.Level) bool { return true }

func (h handler) Handle(_ context.Context, rec slog.Record) error {
	h.fn(rec.Message)
	return nil
}

// Each new flow gets a REGISTER; the binding goes with its flow.
func TestNewFlow(t *testing.T) {
	registered(t, func(r *rig) {
		for range 3 {
			r.down()
			e := r.happened("unregistered")[0]
			if !errors.Is(e.Err, net.ErrClosed) || !errors.Is(e.Err, errCut) || e.Registration.State != registrar.Waiting {
				t.Errorf("event %+v", e)
			}
			r.sleep(time.Hour)
			r.silent()
			r.up(serverA)
			r.grant(r.register(), 600)
			r.happened("registered")
		}
	})
}

// A loss without a reason is one that is net.ErrClosed all the same, and one that
// is net.ErrClosed already is told as it is.
func TestFlowLostReason(t *testing.T) {
	for _, why := range []error{nil, net.ErrClosed} {
		registered(t, func(r *rig) {
			r.core.FlowDown(r.flow, why)
			e := r.happened("unregistered")[0]
			if !errors.Is(e.Err, net.ErrClosed) || why != nil && e.Err != why {
				t.Errorf("lost by %v: %v", why, e.Err)
			}
			if e.Registration.Err != e.Err {
				t.Errorf("the last failure is %v", e.Registration.Err)
			}
		})
	}
}

// A flow that comes before the old one has gone takes over, and the old one's end
// means nothing then.
func TestFlowReplaced(t *testing.T) {
	registered(t, func(r *rig) {
		old := r.flow
		r.up(serverB)
		r.grant(r.register(), 600)
		r.happened("refreshed")
		r.lose(old)
		r.silent()
		r.happened()
		r.state(registrar.Registered)
	})
}

// When the newest flow goes and an older one is there, that one is used again.
func TestFlowBack(t *testing.T) {
	registered(t, func(r *rig) {
		old := r.flow
		r.up(serverB)
		r.grant(r.register(), 600)
		r.happened("refreshed")
		r.down()
		r.flow = old
		r.happened("unregistered")
		r.grant(r.register(), 600)
		r.happened("registered")
	})
}

// A REGISTER whose flow is replaced goes out again over the new one, and what the
// old one still brings means nothing.
func TestFlowReplacedMeanwhile(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		r.up(serverA)
		c := r.startRegister()
		old, first := r.flow, r.register()
		r.up(serverB)
		second := r.register()
		r.answerOn(old, first, "403 Forbidden")
		c.runs()
		r.lose(old)
		c.runs()
		r.grant(second, 600)
		c.returns(nil)
		r.happened("registered")
	})
}

// The loss of a flow in each state.
func TestFlowLost(t *testing.T) {
	for _, tt := range []struct {
		name    string
		arrange func(r *rig)
		events  []string // of the loss
		state   registrar.State
		again   bool // a new flow gets a REGISTER
	}{
		{"Registering", func(r *rig) { r.register() }, nil, registrar.Waiting, true},
		{"Registered", func(r *rig) { r.grant(r.register(), 600) }, []string{"unregistered"}, registrar.Waiting, true},
		{"Refreshing", func(r *rig) {
			r.grant(r.register(), 600)
			r.due()
			r.register()
		}, []string{"unregistered"}, registrar.Waiting, true},
		{"asking for credentials", func(r *rig) { r.challenge(r.register(), "n1") }, nil, registrar.Waiting, true},
		{"BackingOff", func(r *rig) { r.answer(r.register(), "404 Not Found") }, nil, registrar.Waiting, true},
		{"BackingOff with a binding", func(r *rig) {
			r.grant(r.register(), 600)
			r.due()
			r.answer(r.register(), "404 Not Found")
		}, []string{"unregistered"}, registrar.Waiting, true},
		{"Refused", func(r *rig) { r.refuse() }, nil, registrar.Refused, false},
		{"Refused with a binding", func(r *rig) {
			r.grant(r.register(), 600)
			r.due()
			r.refuse()
		}, []string{"unregistered"}, registrar.Refused, false},
		{"Removing", func(r *rig) {
			r.grant(r.register(), 600)
			r.startUnregister(false)
			r.removal(ours)
		}, []string{"unregistered"}, registrar.Unregistered, false},
		{"Removing, then wanted", func(r *rig) {
			r.grant(r.register(), 600)
			r.startUnregister(false)
			r.removal(ours)
			r.startRegister()
		}, []string{"unregistered"}, registrar.Waiting, true},
		{"Registering, then unwanted", func(r *rig) {
			r.register()
			r.startUnregister(false)
		}, nil, registrar.Unregistered, false},
		{"Unregistered", func(r *rig) {
			r.grant(r.register(), 600)
			r.startUnregister(false)
			r.answer(r.removal(ours), "200 OK")
		}, nil, registrar.Unregistered, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, defaults(), func(r *rig) {
				r.up(serverA)
				tt.arrange(r)
				r.core.Lock()
				r.events = nil
				r.core.Unlock()
				r.down()
				r.happened(tt.events...)
				r.state(tt.state)
				if reg := r.Registration(); reg.Bound() || !reg.RetryAt.IsZero() {
					t.Errorf("%+v", reg)
				}
				r.sleep(time.Hour)
				r.happened()
				r.up(serverA)
				if tt.again {
					r.grant(r.register(), 600)
					r.happened("registered")
				}
				r.silent()
			})
		})
	}
}

// Register waits for a flow, also when it loses the one it had.
func TestRegisterWaitsForFlow(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		c := r.startRegister()
		r.sleep(time.Hour)
		c.runs()
		r.up(serverA)
		r.register()
		r.down()
		c.runs()
		r.sleep(time.Hour)
		r.up(serverA)
		r.grant(r.register(), 600)
		c.returns(nil)
	})
}

// Close in each state ends the waiting and every timer.
func TestCloseInEachState(t *testing.T) {
	for want, arrange := range map[registrar.State]func(r *rig){
		registrar.Waiting:     func(*rig) {},
		registrar.Registering: func(r *rig) { r.up(serverA); r.register() },
		registrar.Registered:  func(r *rig) { r.up(serverA); r.grant(r.register(), 600) },
		registrar.Refreshing:  func(r *rig) { r.up(serverA); r.grant(r.register(), 600); r.due(); r.register() },
		registrar.BackingOff:  func(r *rig) { r.up(serverA); r.answer(r.register(), "404 Not Found") },
		registrar.Refused:     func(r *rig) { r.up(serverA); r.refuse() },
		registrar.Removing:    func(r *rig) { r.up(serverA); r.register(); r.startUnregisterNow(); r.removal(ours) },
		registrar.Unregistered: func(r *rig) {
			r.up(serverA)
			r.register()
			r.startUnregisterNow()
			r.answer(r.removal(ours), "200 OK")
		},
	} {
		t.Run(want.String(), func(t *testing.T) {
			run(t, defaults(), func(r *rig) {
				arrange(r)
				r.state(want)
				reg := r.startRegister()
				if r.flow != nil {
					r.flow.mu.Lock()
					r.flow.sent = nil
					r.flow.mu.Unlock()
				}
				r.core.Lock()
				r.events = nil
				r.core.Unlock()
				r.Close()
				reg.returns(net.ErrClosed)
				r.state(registrar.Closed)
				r.sleep(24 * time.Hour)
				r.happened()
				if r.flow != nil {
					r.silent()
				}
			})
		})
	}
}

// startUnregisterNow is an Unregister that does not wait for anything.
func (r *rig) startUnregisterNow() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r.start(func() error { return r.Unregister(ctx, false) })
}

// Close ends an Unregister too.
func TestCloseEndsUnregister(t *testing.T) {
	registered(t, func(r *rig) {
		c := r.startUnregister(false)
		r.removal(ours)
		r.Close()
		c.returns(net.ErrClosed)
		r.happened()
	})
}

// A core that is closed first fails what is out, and Close of the Registrar ends
// what that begins.
func TestCoreClosedFirst(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		r.up(serverA)
		c := r.startRegister()
		r.register()
		r.core.Close(net.ErrClosed)
		c.returns(net.ErrClosed)
	})
}
