package registrar

import "time"

// timer is a timer whose function runs with the core's mutex held, and never
// after stop.
type timer struct {
	r    *Registrar
	t    *time.Timer
	dead bool // guarded by the core's mutex
}

func (r *Registrar) after(d time.Duration, f func()) *timer { // [locked]
	t := &timer{r: r}
	r.timers.Add(1)
	t.t = time.AfterFunc(max(d, 0), func() {
		defer r.timers.Done()
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
	if t == nil || t.dead {
		return
	}
	t.dead = true
	if t.t.Stop() {
		t.r.timers.Done()
	}
}
