package session

// The way back of a call as a machine: over which connection the far end's
// requests reach us, and what is done where that is gone. A WebSocket is
// replaceable, a call is not. The driver in wayback.go has the messages.

// wayState is what the way back of a dialog is like.
type wayState uint8

const (
	wayOpen       wayState = iota // the far end's requests reach us
	wayLost                       // the connection that they came over is gone
	wayRefreshing                 // the far end, or a server before it, is told the new one (RFC 3261 §12.2)
	wayReplacing                  // a new dialog is to take the place of this one (RFC 3891)
	wayShut                       // they do not reach us; what we send may arrive
)

var wayStateNames = [...]string{"Open", "Lost", "Refreshing", "Replacing", "Shut"}

func (s wayState) String() string { return wayStateNames[s] }

// wayInput is what happened.
type wayInput uint8

const (
	wayFlowLost  wayInput = iota // the connection of the way back is gone
	wayFlowReady                 // we are registered on another
	wayRefreshed                 // the far end has accepted our target refresh
	wayRefused                   // a server on the way refused it, or nobody answered
	wayReplaced                  // the new dialog is up
	wayKept                      // it did not come up
	wayHeard                     // a request of the far end came over a connection that is up
	wayProbe                     // it is time to try once more
	numWayInputs
)

var wayInputNames = [numWayInputs]string{"FlowLost", "FlowReady", "Refreshed", "Refused", "Replaced", "Kept", "Heard", "Probe"}

func (i wayInput) String() string { return wayInputNames[i] }

// wayAction is what to do about it.
type wayAction uint8

const (
	wayNothing wayAction = iota
	wayRefresh           // send one target refresh
	wayReplace           // send an INVITE with Replaces
	wayStop              // the connection of the INVITE with Replaces is gone
	wayReport            // the call is degraded
	wayRecover           // it is all right again
)

var wayActionNames = [...]string{"Nothing", "Refresh", "Replace", "Stop", "Report", "Recover"}

func (a wayAction) String() string { return wayActionNames[a] }

// wayFacts are what the machine has to know of the dialog when the next
// connection is ready, or the refresh failed.
type wayFacts struct {
	token       bool // the nearest Record-Route names the lost connection (RFC 5626 §5.2)
	replaceable bool // a new dialog may take the place of this one
}

// wayBack is the machine.
type wayBack struct{ state wayState }

// step takes one input and returns what to do. It does no I/O and has no clock.
func (w *wayBack) step(in wayInput, f wayFacts) wayAction {
	if in == wayReplaced { // by the far end's INVITE at any time
		return w.to(wayOpen, wayRecover)
	}
	switch w.state {
	case wayOpen:
		if in == wayFlowLost {
			return w.to(wayLost, wayNothing)
		}
	case wayLost:
		switch {
		case in == wayFlowReady && f.token: // a route set never changes (RFC 3261 §12.2)
			return w.without(f)
		case in == wayFlowReady:
			return w.to(wayRefreshing, wayRefresh)
		}
	case wayRefreshing:
		switch in {
		case wayRefreshed, wayHeard:
			return w.to(wayOpen, wayRecover)
		case wayRefused:
			return w.without(f)
		case wayFlowLost:
			return w.to(wayLost, wayNothing)
		}
	case wayReplacing:
		switch in {
		case wayKept:
			return w.to(wayShut, wayReport)
		case wayFlowLost:
			return w.to(wayLost, wayStop)
		}
	case wayShut:
		switch in {
		case wayFlowLost, wayProbe:
			return w.to(wayLost, wayNothing)
		case wayHeard:
			return w.to(wayOpen, wayRecover)
		}
	}
	return wayNothing
}

// without goes on where no refresh opens the way.
func (w *wayBack) without(f wayFacts) wayAction {
	if f.replaceable {
		return w.to(wayReplacing, wayReplace)
	}
	return w.to(wayShut, wayReport)
}

func (w *wayBack) to(s wayState, a wayAction) wayAction {
	w.state = s
	return a
}
