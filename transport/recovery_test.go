package transport

import (
	"testing"
	"time"
)

func rosterOf(weights ...int) *roster {
	servers := make([]Server, len(weights))
	for i, w := range weights {
		servers[i].Weight = w
	}
	return newRoster(servers, 2*time.Second, 30*time.Second)
}

func TestPickHeaviestAtRandomAmongEquals(t *testing.T) {
	r := rosterOf(1, 5, 3, 5, 5)
	now := time.Now()
	seen := map[int]int{}
	for range 3000 {
		seen[r.pick(now)]++
	}
	if len(seen) != 3 {
		t.Fatalf("picked %v, want only 1, 3 and 4", seen)
	}
	for _, i := range []int{1, 3, 4} {
		if seen[i] < 800 || seen[i] > 1200 { // 1000 expected, σ 26
			t.Errorf("server %d was picked %d times of 3000", i, seen[i])
		}
	}
}

func TestMarks(t *testing.T) {
	r := rosterOf(3, 2, 1)
	now := time.Now()
	if d := r.failed(0, now, 0); d != 0 || r.pick(now) != 1 {
		t.Fatalf("after a failure of 0: wait %v, pick %d", d, r.pick(now))
	}
	if d := r.failed(1, now, 0); d != 0 || r.pick(now) != 2 {
		t.Fatalf("after failures of 0 and 1: wait %v, pick %d", d, r.pick(now))
	}
	if d := r.failed(2, now, 0); d < 2*time.Second || d > 4*time.Second {
		t.Fatalf("all failed: wait %v, want 2 to 4 s", d)
	}
	if got := r.pick(now); got != 0 {
		t.Fatalf("all failed: pick %d, want all marks cleared", got)
	}
	r.failed(0, now, 0)
	r.failed(1, now, 0)
	r.up(1)
	if got := r.pick(now); got != 1 {
		t.Fatalf("pick %d, want 1, whose success cleared its mark", got)
	}
}

func TestLossOfWhatHeldIsRetriedAtOnce(t *testing.T) {
	now := time.Now()
	alone := rosterOf(0)
	alone.failed(0, now, 0)
	alone.failed(0, now, 0)
	alone.up(0)
	if d := alone.lost(0, now, loss{held: true}); d != 0 || alone.round != 0 || alone.attempt != 0 {
		t.Errorf("held: wait %v, round %d, attempt %d", d, alone.round, alone.attempt)
	}
	if d := alone.lost(0, now, loss{}); d < 2*time.Second || d > 4*time.Second {
		t.Errorf("not held: wait %v, want 2 to 4 s", d)
	}

	two := rosterOf(2, 1)
	two.failed(0, now, 0)
	if d := two.lost(1, now, loss{held: true}); d != 0 || two.pick(now) != 0 {
		t.Errorf("lighter one lost: wait %v, pick %d, want the heavier one at once", d, two.pick(now))
	}
}

func TestBackOffStaysInBounds(t *testing.T) {
	const low, high = 2 * time.Second, 30 * time.Second
	tops := []time.Duration{4 * time.Second, 8 * time.Second, 16 * time.Second, high, high}
	for round := 1; round <= 100; round++ {
		top := high
		if round <= len(tops) {
			top = tops[round-1]
		}
		var longest time.Duration
		for range 500 {
			d := backOff(round, low, high)
			if d < low || d > top {
				t.Fatalf("round %d: %v is outside [%v, %v]", round, d, low, top)
			}
			longest = max(longest, d)
		}
		if longest < low+(top-low)*9/10 {
			t.Errorf("round %d: longest of 500 waits is %v, the range ends at %v", round, longest, top)
		}
	}
	if d := backOff(7, time.Second, time.Second); d != time.Second {
		t.Errorf("no room for jitter: %v", d)
	}
	if d := backOff(31, 1<<40, 1<<62); d < 1<<40 {
		t.Errorf("a shift that overflows: %v", d)
	}
}

func TestRetryAfterDelaysOneServer(t *testing.T) {
	now := time.Now()
	r := rosterOf(2, 1)
	if d := r.failed(0, now, 20*time.Second); d != 0 || r.pick(now) != 1 {
		t.Fatalf("wait %v, pick %d, want the other one at once", d, r.pick(now))
	}
	r.failed(1, now, 0)
	if got := r.pick(now.Add(19 * time.Second)); got != 1 {
		t.Errorf("pick %d before Retry-After has passed", got)
	}
	if got := r.pick(now.Add(20 * time.Second)); got != 0 {
		t.Errorf("pick %d after Retry-After has passed", got)
	}

	alone := rosterOf(0)
	if d := alone.failed(0, now, 20*time.Second); d != 20*time.Second {
		t.Errorf("wait %v, want the 20 s of Retry-After", d)
	}
	alone = rosterOf(0)
	if d := alone.failed(0, now, 2*time.Hour); d != time.Hour {
		t.Errorf("wait %v, want Retry-After cut to an hour", d)
	}
}

func TestPickWithoutCandidate(t *testing.T) {
	now := time.Now()
	r := rosterOf(1, 2)
	r.failed(0, now, time.Minute)
	r.marks[1].excluded = true
	if got := r.pick(now); got != -1 {
		t.Errorf("pick %d, want none", got)
	}
	if d := r.again(now); d != time.Minute {
		t.Errorf("wait %v, want the minute of the one that is not excluded", d)
	}
	r.marks[0].excluded = true
	if d := r.again(now); d < 2*time.Second || d > 16*time.Second {
		t.Errorf("wait %v, want the back-off of round 3", d)
	}
}

// Failing back is put off for twice as long each time, half an hour to an hour at
// most, however long the back-off of the configuration is.
func TestFlapsPutOffFailingBack(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		max  time.Duration
		offs []time.Duration // the upper bounds, in turn
	}{
		{30 * time.Second, []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour}},
		{100 * time.Hour, []time.Duration{time.Hour, time.Hour}},
	} {
		r := newRoster(make([]Server, 1), time.Second, tt.max)
		for i, off := range tt.offs {
			r.flapped(0, now, time.Second)
			if d := r.marks[0].notBack.Sub(now); d < off/2 || d > off {
				t.Errorf("loss %d: not back for %v, want %v to %v", i+1, d, off/2, off)
			}
		}
		r.flapped(0, now, 10*tt.max)
		if r.marks[0].flaps != 0 {
			t.Error("a flow that held is counted among those that did not")
		}
	}
}

func TestRetryAfterForms(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"12":                            12 * time.Second,
		" 3 ":                           3 * time.Second,
		"-1":                            0,
		"99999999999999999999":          0,
		"soon":                          0,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second,
		"Fri, 02 Jan 2026 03:04:05 GMT": 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}
