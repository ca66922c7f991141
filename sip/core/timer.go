package core

import "time"

// Timer is a timer of a usage: its function runs with the lock held and never
// after Stop.
type Timer struct {
	core *Core
	t    *time.Timer
	over bool // guarded by core.mu; it ran or was stopped
	late bool // guarded by core.mu; stopped with its function on the way already
}

// After runs fn in d, locked. Locked.
func (c *Core) After(d time.Duration, fn func()) *Timer {
	t := &Timer{core: c}
	c.timers++
	t.t = time.AfterFunc(d, func() {
		c.mu.Lock()
		defer t.leave()
		if !t.over {
			t.over = true
			c.timers--
			fn()
		}
	})
	return t
}

// leave releases the lock and, last of all, whoever waits for a late timer.
func (t *Timer) leave() {
	late := t.late
	t.core.mu.Unlock()
	if late {
		t.core.work.Done()
	}
}

// Stop ends the timer; stopping nil or one that is over does nothing. Wait
// waits for a function that was on the way to find itself stopped. Locked.
func (t *Timer) Stop() {
	if t == nil || t.over {
		return
	}
	t.over = true
	t.core.timers--
	if !t.t.Stop() {
		t.late = true
		t.core.work.Add(1)
	}
}

// Over reports whether the timer ran or was stopped. Locked.
func (t *Timer) Over() bool { return t.over }
