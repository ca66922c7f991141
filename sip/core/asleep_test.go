package core_test

import (
	"testing"
	"time"

	"github.com/gosipua/sipua/sip/core"
)

// TestLeft: what the clocks say, and what is known of the sleep, whichever is less.
func TestLeft(t *testing.T) {
	now := time.Now() // with a monotonic reading
	wall := now.Round(0)
	for _, tt := range []struct {
		name    string
		at, now time.Time
		asleep  time.Duration
		want    time.Duration
	}{
		{"no sleep", now.Add(time.Minute), now, 0, time.Minute},
		{"overdue", now.Add(-time.Minute), now, 0, -time.Minute},
		{"a sleep that the wall clock has in it", now.Add(time.Hour), now, 59 * time.Minute, time.Minute},
		{"a sleep beyond it", now.Add(time.Hour), now, 2 * time.Hour, -time.Hour},
		{"wall clock only", wall.Add(time.Minute), wall, 0, time.Minute},
		{"wall clock only, overdue", wall.Add(time.Minute), wall.Add(time.Hour), 0, -59 * time.Minute},
	} {
		if got := core.Left(tt.at, tt.now, tt.asleep); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
