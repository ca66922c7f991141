package session

// What a caller does about the loss of the flow that has its INVITE, as a
// machine. The INVITE lives on for RecoveryLimit: what the far end responds comes
// on the next flow to the same server, where that server can bring it. What it
// responded meanwhile may be gone for good, so that the waiting ends before.
// Session.setup carries the actions out.

// listenFor is how long a response may be missing on the next flow: two of the
// longest intervals at which a 2xx is repeated (T2, RFC 3261 §13.3.1.4).
const listenFor = 2 * t2

// setupState is what has become of the INVITE's flow.
type setupState uint8

const (
	setupSound     setupState = iota // it is there
	setupCut                         // it is gone, and none is ready
	setupListening                   // it is gone, and responses may come on another
)

var setupStateNames = [...]string{"Sound", "Cut", "Listening"}

func (s setupState) String() string { return setupStateNames[s] }

// setupInput is what happened.
type setupInput uint8

const (
	suCut   setupInput = iota // the INVITE's flow is gone
	suReady                   // a flow is ready
	suBare                    // no flow is ready any more
	suHeard                   // a response came
	suDue                     // listenFor has passed
	suOver                    // RecoveryLimit has passed: no response will be taken
)

// setupActions is what to do, as a set.
type setupActions uint8

const (
	suStop  setupActions = 1 << iota // the clock
	suStart                          // the clock, anew
	suAgain                          // cancel the INVITE and place the call again
	suLose                           // cancel the INVITE and end the call
)

// setup is the machine.
type setup struct {
	state setupState
	again bool // the call may be placed again, once
}

// step takes one input and returns what to do. It does no I/O.
func (u *setup) step(in setupInput) setupActions {
	switch in {
	case suCut:
		if u.state == setupSound {
			u.state = setupCut
		}
	case suReady: // each one: it may be that to the INVITE's server
		if u.state != setupSound {
			u.state = setupListening
			return suStop | suStart
		}
	case suBare:
		if u.state == setupListening {
			u.state = setupCut
			return suStop
		}
	case suHeard:
		u.state = setupSound
		return suStop
	case suDue:
		if u.state == setupListening {
			return u.give(suLose)
		}
	case suOver: // the call ends with its INVITE, unless it goes on
		if u.state == setupListening {
			return suStop | u.give(0)
		}
	}
	return 0
}

// give gives the INVITE up.
func (u *setup) give(otherwise setupActions) setupActions {
	again := u.again
	u.state, u.again = setupSound, false
	if again {
		return suAgain
	}
	return otherwise
}
