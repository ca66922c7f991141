package transport

import "time"

// lapse is how far the clocks may be apart, and a timer late, before that counts
// as sleep. A busy machine and a clock being set right stay below it.
const lapse = 2 * time.Second

// clocks is one look at both clocks of the machine.
type clocks struct {
	mono time.Time     // compared by its monotonic reading, which may stand still in a sleep
	wall time.Duration // since 1970, which does not
}

func lookAt(now time.Time) clocks {
	return clocks{mono: now, wall: time.Duration(now.UnixNano())}
}

// asleep returns how long the machine slept or the process was frozen since an
// earlier look, and 0 if it did not: the wall clock moved on more than the
// monotonic one, or the timer that was due then fired much later. It is the sum of
// both, for a late timer tells of monotonic time and the clocks' difference of the
// rest; stood is that rest, for which the monotonic clock stood still.
func asleep(due time.Time, before, now clocks) (d, stood time.Duration) {
	if jump := now.wall - before.wall - now.mono.Sub(before.mono); jump > lapse {
		d, stood = jump, jump
	}
	if late := now.mono.Sub(due); late > lapse {
		d += late
	}
	return d, stood
}
