package session

import "time"

// timer is a timer of a session. Its function runs with the core's mutex held
// and never after stop.
type timer struct {
	t    *time.Timer
	dead bool // guarded by the core's mutex
}

// after runs f in d, unless the timer is stopped or the call is released
// before.
func (s *Session) after(d time.Duration, f func()) *timer { // [locked]
	t := &timer{}
	t.t = time.AfterFunc(d, func() {
		s.m.core.Lock()
		defer s.m.core.Unlock()
		if t.dead {
			return
		}
		t.dead = true
		f()
	})
	live := s.timers[:0]
	for _, old := range s.timers {
		if !old.dead {
			live = append(live, old)
		}
	}
	s.timers = append(live, t)
	return t
}

// stop ends the timer; stopping nil or a timer that ran does nothing.
func (t *timer) stop() { // [locked]
	if t == nil || t.dead {
		return
	}
	t.dead = true
	t.t.Stop()
}
