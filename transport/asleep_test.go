package transport

import (
	"testing"
	"time"
)

func TestAsleep(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name       string
		due        time.Duration // of the timer, from the look before
		mono, wall time.Duration // how far the clocks moved on
		d, stood   time.Duration
	}{
		{"on time", 5 * s, 5 * s, 5 * s, 0, 0},
		{"a busy machine", 5 * s, 7 * s, 7 * s, 0, 0},
		{"frozen process", 5 * s, 65 * s, 65 * s, 60 * s, 0},
		{"just frozen", 5 * s, 7*s + 1, 7*s + 1, 2*s + 1, 0},
		{"sleep with the monotonic clock at rest", 5 * s, 5 * s, 3605 * s, 3600 * s, 3600 * s},
		{"sleep with the monotonic clock going on", 5 * s, 3605 * s, 3605 * s, 3600 * s, 0},
		{"frozen, then asleep", 5 * s, 65 * s, 165 * s, 160 * s, 100 * s},
		{"wall clock set right", 5 * s, 5 * s, 7 * s, 0, 0},
		{"wall clock set back", 5 * s, 5 * s, -3600 * s, 0, 0},
		{"frozen while the wall clock is set back", 5 * s, 65 * s, 0, 60 * s, 0},
		{"timer brought forward", 60 * s, 5 * s, 5 * s, 0, 0},
	} {
		start := time.Unix(1e9, 0)
		before := clocks{mono: start, wall: 20 * time.Hour}
		now := clocks{mono: start.Add(tt.mono), wall: before.wall + tt.wall}
		if d, stood := asleep(start.Add(tt.due), before, now); d != tt.d || stood != tt.stood {
			t.Errorf("%s: asleep %v, of which the clock stood %v; want %v and %v", tt.name, d, stood, tt.d, tt.stood)
		}
	}
}
