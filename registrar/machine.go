package registrar

// State is where a registration stands.
type State uint8

// The states of a registration.
const (
	Unregistered State = iota // not wanted, and no binding
	Waiting                   // wanted; waits for a connection
	Registering               // a REGISTER is out, and there is no binding yet
	Registered                // the binding is there
	Refreshing                // the binding is there, and the REGISTER that renews it is out
	BackingOff                // the next REGISTER waits for its time: the last one failed, or there were too many
	Refused                   // the registrar refused our credentials; nothing is tried by itself
	Removing                  // the REGISTER that removes the binding is out
	Standby                   // the connection is there, in reserve: the registrar keeps one binding, and another flow has it
	Closed                    // over
	numStates
)

var stateNames = [numStates]string{
	"Unregistered", "Waiting", "Registering", "Registered", "Refreshing", "BackingOff", "Refused", "Removing", "Standby", "Closed",
}

// String returns the state's name.
func (s State) String() string {
	if s < numStates {
		return stateNames[s]
	}
	return "Unknown"
}

// input is what happened.
type input uint8

const (
	inWant     input = iota // the application wants the registration, or its credentials changed
	inFlowUp                // a connection is there, perhaps in place of another
	inFlowDown              // it is gone
	inAccepted              // 2xx
	inFailed                // refused or timed out, and worth another try
	inRefused               // our credentials are wrong
	inHeld                  // the REGISTER may not leave yet
	inSpare                 // the REGISTER may not leave as long as another flow is registered
	inDue                   // the refresh or the next attempt is due
	inLapsed                // the binding's time is over
	inUnwant                // the application wants it no more
	inHurry                 // whoever wants it no more waits no longer
	inRemoved               // the answer to the removal, whatever it is
	inClose
	numInputs
)

var inputNames = [numInputs]string{
	"Want", "FlowUp", "FlowDown", "Accepted", "Failed", "Refused", "Held", "Spare", "Due", "Lapsed", "Unwant", "Hurry", "Removed", "Close",
}

func (i input) String() string { return inputNames[i] }

// action is what to do about it.
type action uint8

const (
	doNothing  action = iota
	doRegister        // send a REGISTER
	doKeep            // arm the refresh
	doRetry           // arm the next attempt
	doRemove          // send the REGISTER that removes the binding
	numActions
)

var actionNames = [numActions]string{"Nothing", "Register", "Keep", "Retry", "Remove"}

func (a action) String() string { return actionNames[a] }

// machine decides when a REGISTER is due; the driver in register.go sends it.
type machine struct {
	state State
	flow  bool // there is a connection
	bound bool // there is a binding of ours
	// turn: the application changed its mind while a REGISTER is out. The
	// opposite one leaves when this one is answered (RFC 3261 §10.2).
	turn bool
}

// step takes one input and returns what to do. It does no I/O and has no clock.
// What a row does not name changes nothing.
func (m *machine) step(in input) action {
	switch in {
	case inFlowUp:
		m.flow = true
	case inFlowDown:
		m.flow, m.bound = false, false
	case inLapsed:
		m.bound = false
	case inClose:
		return m.to(Closed, doNothing)
	}
	switch m.state {
	case Unregistered, Refused:
		return m.resting(in)
	case Waiting, BackingOff:
		return m.pausing(in)
	case Standby:
		return m.standingBy(in)
	case Registering, Refreshing:
		if m.turn {
			return m.sendingInVain(in)
		}
		return m.sending(in)
	case Registered:
		return m.keeping(in)
	case Removing:
		return m.removing(in)
	}
	return doNothing
}

func (m *machine) resting(in input) action {
	switch in {
	case inWant:
		return m.begin()
	case inUnwant:
		return m.end()
	}
	return doNothing
}

func (m *machine) pausing(in input) action {
	switch in {
	case inWant, inFlowUp, inDue:
		return m.begin()
	case inFlowDown:
		return m.to(Waiting, doNothing)
	case inUnwant:
		return m.end()
	case inRefused: // another flow heard it
		return m.to(Refused, doNothing)
	case inSpare:
		return m.spare()
	}
	return doNothing
}

// standingBy is the row of a connection in reserve, of which the registrar knows
// nothing.
func (m *machine) standingBy(in input) action {
	switch in {
	case inWant, inFlowUp, inDue:
		return m.begin()
	case inFlowDown:
		return m.to(Waiting, doNothing)
	case inUnwant:
		return m.to(Unregistered, doNothing)
	case inRefused:
		return m.to(Refused, doNothing)
	}
	return doNothing
}

// spare puts the connection in reserve, if there is one.
func (m *machine) spare() action {
	if !m.flow {
		return doNothing
	}
	m.bound = false
	return m.to(Standby, doNothing)
}

func (m *machine) sending(in input) action {
	switch in {
	case inAccepted:
		m.bound = true
		return m.to(Registered, doKeep)
	case inFailed:
		return m.to(BackingOff, doRetry)
	case inHeld:
		return m.to(BackingOff, doNothing)
	case inSpare:
		return m.spare()
	case inRefused:
		return m.to(Refused, doNothing)
	case inFlowDown:
		return m.to(Waiting, doNothing)
	case inFlowUp: // another connection in place of the one that carries the REGISTER
		return m.begin()
	case inLapsed:
		return m.to(Registering, doNothing)
	case inUnwant:
		m.turn = true
	}
	return doNothing
}

// sendingInVain is the row of a REGISTER that is out but not wanted any more.
// Whatever its answer is, it comes as inFailed.
func (m *machine) sendingInVain(in input) action {
	switch in {
	case inFailed, inFlowUp, inHurry:
		return m.end()
	case inFlowDown:
		return m.to(Unregistered, doNothing)
	case inLapsed:
		m.state = Registering
	case inWant:
		m.turn = false
	}
	return doNothing
}

func (m *machine) keeping(in input) action {
	switch in {
	case inWant, inDue, inFlowUp:
		return m.begin()
	case inFlowDown:
		return m.to(Waiting, doNothing)
	case inUnwant:
		return m.end()
	case inSpare:
		return m.spare()
	}
	return doNothing
}

func (m *machine) removing(in input) action {
	switch in {
	case inRemoved, inFlowDown:
		m.bound = false
		if m.turn {
			return m.begin()
		}
		return m.to(Unregistered, doNothing)
	case inWant:
		m.turn = true
	case inUnwant:
		m.turn = false
	}
	return doNothing
}

// begin registers, or waits for a connection.
func (m *machine) begin() action {
	switch {
	case !m.flow:
		return m.to(Waiting, doNothing)
	case m.bound:
		return m.to(Refreshing, doRegister)
	}
	return m.to(Registering, doRegister)
}

// end removes the binding. Without a connection there is none: it went with the
// connection.
func (m *machine) end() action {
	if m.flow {
		return m.to(Removing, doRemove)
	}
	return m.to(Unregistered, doNothing)
}

func (m *machine) to(s State, a action) action {
	m.state, m.turn = s, false
	return a
}
