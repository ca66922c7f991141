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
	BackingOff                // the last REGISTER failed; the next one waits for its time
	Refused                   // the registrar refused our credentials; nothing is tried by itself
	Removing                  // the REGISTER that removes the binding is out
	Closed                    // over
)

var stateNames = [...]string{"Unregistered", "Waiting", "Registering", "Registered", "Refreshing", "BackingOff", "Refused", "Removing", "Closed"}

// String returns the state's name.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "Unknown"
}

// input is what happened.
type input uint8

const (
	inWant     input = iota // the application wants the registration, or its credentials changed
	inFlowUp                // a connection is there
	inFlowDown              // it is gone
	inAccepted              // 2xx
	inFailed                // refused, timed out or lost, and worth another try
	inRefused               // our credentials are wrong
	inDue                   // the refresh or the next attempt is due
	inUnwant                // the application wants it no more
	inRemoved               // the answer to the removal, whatever it is
	inClose
	numInputs
)

var inputNames = [...]string{"Want", "FlowUp", "FlowDown", "Accepted", "Failed", "Refused", "Due", "Unwant", "Removed", "Close"}

func (i input) String() string { return inputNames[i] }

// action is what to do about it.
type action uint8

const (
	doNothing  action = iota
	doRegister        // send a REGISTER
	doKeep            // arm the refresh
	doRetry           // arm the next attempt
	doStop            // disarm; what waits for an outcome gets the failure
	doRemove          // send the REGISTER that removes the binding
)

var actionNames = [...]string{"Nothing", "Register", "Keep", "Retry", "Stop", "Remove"}

func (a action) String() string { return actionNames[a] }

// machine decides when a REGISTER is due. The driver in registrar.go sends it.
type machine struct {
	state State
	flow  bool // there is a connection
}

// step takes one input and returns what to do. It does no I/O and has no clock.
func (m *machine) step(in input) action {
	switch in {
	case inFlowUp:
		m.flow = true
	case inFlowDown:
		m.flow = false
	case inClose:
		return m.to(Closed, doStop)
	}
	switch m.state {
	case Unregistered, Refused:
		if in == inWant {
			return m.begin()
		}
		if in == inUnwant && m.flow && m.state == Unregistered {
			return m.to(Removing, doRemove)
		}
		if in == inUnwant {
			return m.to(Unregistered, doStop)
		}
	case Waiting, BackingOff:
		return m.pausing(in)
	case Registering, Refreshing:
		return m.sending(in)
	case Registered:
		switch in {
		case inWant, inDue, inFlowUp:
			return m.to(Refreshing, doRegister)
		case inFlowDown:
			return m.to(Waiting, doNothing)
		case inUnwant:
			return m.to(Removing, doRemove)
		}
	case Removing:
		switch in {
		case inRemoved, inFlowDown:
			return m.to(Unregistered, doStop)
		case inWant:
			return m.begin()
		}
	}
	return doNothing
}

// pausing is the row of Waiting and BackingOff.
func (m *machine) pausing(in input) action {
	switch in {
	case inWant, inFlowUp, inDue:
		if m.flow {
			return m.to(Registering, doRegister)
		}
		m.state = Waiting
	case inFlowDown:
		m.state = Waiting
	case inUnwant:
		if m.flow {
			return m.to(Removing, doRemove)
		}
		return m.to(Unregistered, doStop)
	}
	return doNothing
}

// sending is the row of Registering and Refreshing.
func (m *machine) sending(in input) action {
	switch in {
	case inAccepted:
		return m.to(Registered, doKeep)
	case inFailed:
		if !m.flow {
			return m.to(Waiting, doNothing)
		}
		return m.to(BackingOff, doRetry)
	case inRefused:
		return m.to(Refused, doStop)
	case inFlowDown:
		return m.to(Waiting, doNothing)
	case inFlowUp: // another connection in place of the one that carries the REGISTER
		return doRegister
	case inUnwant:
		return m.to(Removing, doRemove)
	}
	return doNothing
}

func (m *machine) begin() action {
	if m.flow {
		return m.to(Registering, doRegister)
	}
	return m.to(Waiting, doNothing)
}

func (m *machine) to(s State, a action) action {
	m.state = s
	return a
}
