package registrar

import "time"

// timer is a timer whose function runs with the core's mutex held, and never
// after stop.
type timer struct {
	t    *time.Timer
	dead bool // guarded by the core's mutex
}

func (r *Registrar) after(d time.Duration, f func()) *timer { // [locked]
	t := &timer{}
	t.t = time.AfterFunc(max(d, 0), func() {
		r.core.Lock()
		defer r.core.Unlock()
		if !t.dead {
			t.dead = true
			f()
		}
	})
	return t
}

// stop ends the timer; stopping nil or one that ran does nothing.
func (t *timer) stop() { // [locked]
	if t != nil && !t.dead {
		t.dead = true
		t.t.Stop()
	}
}
