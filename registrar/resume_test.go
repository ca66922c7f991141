package registrar_test

import (
	"errors"
	"testing"
	"time"

	"github.com/gosipua/sipua/registrar"
)

// TestResumed: the binding is renewed at once, and what a sleep has taken of its
// time is gone.
func TestResumed(t *testing.T) {
	registered(t, func(r *rig) {
		r.sleep(100 * time.Second)
		r.Resumed(200 * time.Second)
		r.state(registrar.Refreshing)
		if left := time.Until(r.Registration().Expires); left != 300*time.Second {
			t.Errorf("the binding lasts another %v", left)
		}
		r.answer(r.register(), "503 Service Unavailable", "Retry-After: 3600")
		r.happened("failed")
		r.sleep(300 * time.Second)
		events := r.happened("unregistered")
		if err := events[0].Err; !errors.Is(err, registrar.ErrLapsed) {
			t.Errorf("lost by %v", err)
		}
	})
}

// TestResumedTooLate: a binding that lapsed in a sleep is gone, and made anew.
func TestResumedTooLate(t *testing.T) {
	registered(t, func(r *rig) {
		r.Resumed(600 * time.Second)
		if events := r.happened("unregistered"); !errors.Is(events[0].Err, registrar.ErrLapsed) {
			t.Errorf("lost by %v", events[0].Err)
		}
		r.state(registrar.Registering)
		r.grant(r.register(), 600)
		r.happened("registered")
		if left := time.Until(r.Registration().Expires); left != 600*time.Second {
			t.Errorf("the new binding lasts %v", left)
		}
	})
}

// TestResumedWithinBackOff: what was to be tried at a time that has passed is tried
// now, and what was not is put off by no more than the rest.
func TestResumedWithinBackOff(t *testing.T) {
	registered(t, func(r *rig) {
		r.due()
		r.answer(r.register(), "503 Service Unavailable", "Retry-After: 60")
		r.happened("failed")
		r.sleep(10 * time.Second)
		r.Resumed(20 * time.Second)
		r.silent()
		if wait := r.due(); wait != 30*time.Second {
			t.Errorf("the next REGISTER was due in %v", wait)
		}
		r.answer(r.register(), "503 Service Unavailable", "Retry-After: 60")
		r.Resumed(time.Minute)
		r.register()
	})
}

// TestResumedElsewhere: where nothing is to be renewed nothing is sent.
func TestResumedElsewhere(t *testing.T) {
	registered(t, func(r *rig) {
		r.due()
		r.register()
		r.Resumed(time.Second) // one is out
		r.silent()
		r.down()
		r.happened("unregistered")
		r.Resumed(time.Hour)
		r.state(registrar.Waiting)
		r.happened()
		r.Close()
		r.Resumed(time.Hour)
		r.NetworkChanged()
	})
}

// TestNetworkChanged: a binding that is all right is left alone, and refreshed when
// it would have been.
func TestNetworkChanged(t *testing.T) {
	registered(t, func(r *rig) {
		due := r.Registration().RetryAt
		for range 3 {
			r.sleep(10 * time.Second)
			r.NetworkChanged()
			r.silent()
		}
		r.due()
		if !time.Now().Equal(due) {
			t.Errorf("refreshed at %v instead of %v", time.Now(), due)
		}
		r.register()
	})
}
