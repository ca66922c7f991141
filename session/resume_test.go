package session

import (
	"testing"
	"time"
)

// TestSessionTimerResumed: a session of 1800 s, refreshed some time before the
// machine woke up, the sleep included, with 32 s for a far end to say whether it
// has kept one that should be over.
func TestSessionTimerResumed(t *testing.T) {
	for _, tt := range []struct {
		from  timerState
		local bool
		since time.Duration
		busy  bool
		to    timerState
		want  timerAction
	}{
		// We refresh, at 900 s, and give up at 1790 s.
		{timerWaiting, true, 100 * time.Second, false, timerWaiting, timerAction{tmAdjust | tmWait, 800 * time.Second, 1690 * time.Second}},
		{timerWaiting, true, 900 * time.Second, false, timerRefreshing, timerAction{tmAdjust | tmRefresh, 0, 890 * time.Second}},
		{timerWaiting, true, 900 * time.Second, true, timerDue, timerAction{tmAdjust, 0, 890 * time.Second}},
		{timerWaiting, true, 5 * time.Hour, false, timerRefreshing, timerAction{tmAdjust | tmRefresh, 0, 32 * time.Second}},
		{timerDue, true, 5 * time.Hour, false, timerDue, timerAction{tmAdjust, 0, 32 * time.Second}},
		{timerRefreshing, true, 1000 * time.Second, false, timerRefreshing, timerAction{tmAdjust, 0, 790 * time.Second}},
		{timerRefreshing, true, 5 * time.Hour, false, timerRefreshing, timerAction{tmAdjust, 0, 32 * time.Second}},
		// They do, and we give up at 1768 s.
		{timerWatching, false, 1000 * time.Second, false, timerWatching, timerAction{tmAdjust, 0, 768 * time.Second}},
		{timerWatching, false, 1767 * time.Second, false, timerWatching, timerAction{tmAdjust, 0, 32 * time.Second}},
		{timerWatching, false, 1768 * time.Second, false, timerRefreshing, timerAction{tmAdjust | tmRefresh, 0, 32 * time.Second}},
		{timerWatching, false, 5 * time.Hour, true, timerDue, timerAction{tmAdjust, 0, 32 * time.Second}},
		{timerOff, false, 5 * time.Hour, false, timerOff, timerAction{}},
		{timerNew, false, 5 * time.Hour, false, timerNew, timerAction{}},
		{timerExpired, true, 5 * time.Hour, false, timerExpired, timerAction{}},
	} {
		m := sessionTimer{terms: &timerTerms{ask: 1800}, state: tt.from, local: tt.local, interval: 1800}
		if tt.from == timerOff || tt.from == timerNew {
			m.interval = 0
		}
		got := m.resumed(tt.since, 32*time.Second, tt.busy)
		if got != tt.want || m.state != tt.to {
			t.Errorf("%v after %v, busy %v: %v, %+v; want %v, %+v", tt.from, tt.since, tt.busy, m.state, got, tt.to, tt.want)
		}
	}
}
