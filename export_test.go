package sipua

import "time"

// Slept is what a connection reports after a sleep of the machine, which no test
// can have: both clocks of a bubble go on alike.
func (ua *UA) Slept(regID int, asleep time.Duration) { ua.resumed(regID, asleep) }
