package registrar_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/sip"
)

// Whoever comes last is heard: Register after Unregister and the other way round.
func TestOvertaken(t *testing.T) {
	t.Run("Unregister, Register", func(t *testing.T) {
		registered(t, func(r *rig) {
			un := r.startUnregister(false)
			removal := r.removal(ours)
			reg := r.startRegister()
			r.silent()
			r.answer(removal, "200 OK")
			un.returns(nil)
			reg.runs()
			r.grant(r.register(), 600)
			reg.returns(nil)
			r.happened("unregistered", "registered")
		})
	})
	t.Run("Unregister, Register, Unregister", func(t *testing.T) {
		registered(t, func(r *rig) {
			r.startUnregister(false)
			removal := r.removal(ours)
			reg := r.startRegister()
			un := r.startUnregister(false)
			reg.returns(registrar.ErrOvertaken)
			r.answer(removal, "200 OK")
			un.returns(nil)
			r.silent()
			r.state(registrar.Unregistered)
		})
	})
	t.Run("Register, Unregister, Register", func(t *testing.T) {
		run(t, defaults(), func(r *rig) {
			r.up(serverA)
			req := r.register()
			un := r.startUnregister(true)
			reg := r.startRegister()
			un.returns(registrar.ErrOvertaken)
			r.grant(req, 600)
			reg.returns(nil)
			r.silent()
			r.happened("registered")
		})
	})
}

// Of one binding or all, the wider removal is done.
func TestWider(t *testing.T) {
	t.Run("one, then all", func(t *testing.T) {
		registered(t, func(r *rig) {
			one := r.startUnregister(false)
			first := r.removal(ours)
			all := r.startUnregister(true)
			second := r.removal("*")
			r.answer(first, "200 OK")
			one.runs()
			r.answer(second, "200 OK")
			one.returns(nil)
			all.returns(nil)
			r.happened("unregistered")
			r.startUnregister(false)
			r.removal(ours) // all was for once
		})
	})
	t.Run("all, then one, while registering", func(t *testing.T) {
		run(t, defaults(), func(r *rig) {
			r.up(serverA)
			req := r.register()
			r.startUnregister(true)
			r.startUnregister(false)
			r.grant(req, 600)
			r.removal("*")
		})
	})
	t.Run("all, overtaken, then one", func(t *testing.T) {
		run(t, defaults(), func(r *rig) {
			r.up(serverA)
			req := r.register()
			r.startUnregister(true)
			r.startRegister()
			r.startUnregister(false)
			r.grant(req, 600)
			r.removal(ours)
		})
	})
	t.Run("all, then one", func(t *testing.T) {
		registered(t, func(r *rig) {
			all := r.startUnregister(true)
			req := r.removal("*")
			one := r.startUnregister(false)
			r.silent()
			r.answer(req, "200 OK")
			one.returns(nil)
			all.returns(nil)
		})
	})
}

// Register joins the REGISTER that is out.
func TestRegisterJoins(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		r.up(serverA)
		req := r.register()
		first, second := r.startRegister(), r.startRegister()
		r.silent()
		r.grant(req, 600)
		first.returns(nil)
		second.returns(nil)

		third := r.startRegister() // one of its own
		req = r.register()
		fourth := r.startRegister()
		r.silent()
		r.answer(req, "500 Server Internal Error")
		third.returns(sip.StatusServerInternalError)
		fourth.returns(sip.StatusServerInternalError)
	})
}

// With a context that has ended Register begins all the same; one that ends later
// ends the waiting only.
func TestRegisterContext(t *testing.T) {
	o := defaults()
	o.Auto = false
	run(t, o, func(r *rig) {
		r.up(serverA)
		errEnough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(errEnough)
		if err := r.Register(ctx); !errors.Is(err, errEnough) {
			t.Errorf("returned %v", err)
		}
		r.answer(r.register(), "404 Not Found")
		r.due()
		r.register()

		ctx, stop := context.WithTimeout(context.Background(), time.Second)
		defer stop()
		c := r.start(func() error { return r.Register(ctx) })
		r.sleep(time.Second)
		err := c.returns(context.DeadlineExceeded)
		if !errors.Is(err, sip.StatusNotFound) {
			t.Errorf("%v does not tell of the last failure", err)
		}
		r.state(registrar.Registering)
		if n := r.Waiters(); n != 0 {
			t.Errorf("%d calls are waited for", n)
		}
	})
}
