package session

import (
	"time"

	"github.com/gosipua/sipua/sip/core"
)

// Resumed tells the calls that the machine slept for asleep: session timers, whose
// clocks may have stood still, are set right, and a session is refreshed at once
// for which it is time.
func (m *Manager) Resumed(asleep time.Duration) {
	m.core.Lock()
	defer m.core.Unlock()
	for s := range m.sessions {
		if l := s.leg; l != nil && l.isUp() {
			l.resumed(asleep)
		}
	}
}

// resumed sets the session timer right after a sleep.
func (l *leg) resumed(asleep time.Duration) { // [locked]
	if !l.timer.running() {
		return
	}
	now := time.Now()
	since := -core.Left(l.timer.since, now, asleep)
	l.timer.since = now.Add(-since)
	l.clock(l.timer.resumed(since, l.s.m.core.RecoveryLimit(), l.busy()))
}
