package core

import "time"

// Left is how long it is until at for a machine that may have slept since at was
// set: the monotonic clock, which timers run by, stands still in a sleep on most
// systems, so the wall clock counts, too, and asleep, if that is known.
func Left(at, now time.Time, asleep time.Duration) time.Duration {
	return min(at.Sub(now)-asleep, at.Round(0).Sub(now.Round(0)))
}
