package session

// The media path of a dialog as a machine: what the loss of the path, its return
// and a change of our address mean for the call. ICE goes on looking for a path
// that it has lost for now; one that failed, or whose address is gone, is put in
// place anew by one offer with fresh media (RFC 8445 §9, RFC 8839 §4.4.1.1.1,
// RFC 8842 §5.5), beside which the old path stays until the answer. The driver in
// pathrecovery.go has the media and the messages.

// pathState is where the media path of a dialog stands.
type pathState uint8

const (
	pathNew        pathState = iota // these media have not been connected yet
	pathUp                          // there is a path
	pathWaiting                     // ICE has lost it for now and goes on looking
	pathDue                         // a restart is due; it waits for a flow that is ready
	pathRestarting                  // the restart is under way
	pathAside                       // it was refused on the way and there is no path; another dialog may bring one
	pathConnecting                  // the restart is agreed on, the new path is not there yet
	pathBroken                      // the path failed, and that is for the application
	pathOver                        // the call is over, or given up
)

var pathStateNames = [...]string{"New", "Up", "Waiting", "Due", "Restarting", "Aside", "Connecting", "Broken", "Over"}

func (s pathState) String() string { return pathStateNames[s] }

// pathInput is what happened.
type pathInput uint8

const (
	paConnected    pathInput = iota // there is a path, or there is again
	paDisconnected                  // lost for now
	paFailed                        // lost for good
	paMoved                         // our address has changed
	paBegun                         // the offer of a restart is being made, from nothing
	paAgreed                        // the peer has answered it
	paRefused                       // it came to nothing
	paAside                         // it came to nothing, but another way to the peer is tried
	paReplaced                      // other media took the place of these, not by a restart of ours
	paEnd                           // the call is over
	numPathInputs
)

var pathInputNames = [...]string{"Connected", "Disconnected", "Failed", "Moved", "Begun", "Agreed", "Refused", "Aside", "Replaced", "End"}

func (i pathInput) String() string { return pathInputNames[i] }

// pathDo is what to do, as a set.
type pathDo uint8

const (
	paSilent  pathDo = 1 << iota // tell that nothing is heard
	paHeard                      // tell that it is all right again
	paRestart                    // restart the path as soon as a flow is ready
	paDrop                       // the restart is not needed any more, unless its offer is out
	paStale                      // its offer names an address that is gone
	paGiveUp                     // end the call
)

// path is the machine.
type path struct {
	policy MediaRecovery
	state  pathState
	ever   bool      // there was a path once
	moved  bool      // a restart is wanted for a change of address
	again  bool      // the address has changed since the offer of the restart was made
	old    pathState // of the path beside a restart: pathUp, pathWaiting or pathBroken
}

// step takes one input and returns what to do. It does no I/O.
func (p *path) step(in pathInput) pathDo {
	switch {
	case in == paEnd:
		p.state = pathOver
		return 0
	case p.state == pathOver:
		return 0
	case in == paReplaced: // by an offer of the peer's, which renews the path as well
		p.state, p.moved, p.again = pathNew, false, false
		return paDrop
	case in == paConnected:
		p.ever = true
	}
	switch p.state {
	case pathNew, pathUp, pathWaiting, pathConnecting:
		return p.present(in)
	case pathDue:
		return p.due(in)
	case pathRestarting:
		return p.restarting(in)
	case pathAside:
		switch in {
		case paConnected:
			return p.to(pathUp, paHeard)
		case paRefused:
			return p.to(pathOver, paGiveUp)
		}
	case pathBroken:
		if in == paConnected {
			return p.to(pathUp, paHeard)
		}
	}
	return 0
}

// present has the rows of a path that no restart is wanted for.
func (p *path) present(in pathInput) pathDo {
	switch in {
	case paConnected:
		return p.to(pathUp, paHeard)
	case paDisconnected:
		if p.state == pathUp {
			p.state = pathWaiting
		}
		return paSilent
	case paFailed:
		switch {
		case p.policy == MediaKeep:
			return p.to(pathBroken, paSilent)
		case p.policy == MediaEnd, p.state == pathConnecting, !p.ever:
			return p.to(pathOver, paGiveUp)
		}
		p.old = pathBroken
		return p.to(pathDue, paSilent|paRestart)
	case paMoved:
		if p.policy == MediaRestart {
			p.moved, p.old = true, p.state
			return p.to(pathDue, paRestart)
		}
	}
	return 0
}

// due has the rows of a path for which a restart is wanted.
func (p *path) due(in pathInput) pathDo {
	switch in {
	case paMoved:
		p.moved = true
	case paBegun:
		p.again = false
		return p.to(pathRestarting, 0)
	}
	return p.beside(in)
}

// restarting has the rows of a path beside which another is being made.
func (p *path) restarting(in pathInput) pathDo {
	switch in {
	case paMoved:
		p.moved, p.again = true, true
		return paStale
	case paBegun: // once more, for that
		p.again = false
	case paAgreed:
		p.moved = p.again
		if p.again {
			p.old = pathConnecting
			return p.to(pathDue, paRestart)
		}
		return p.to(pathConnecting, 0)
	case paRefused:
		p.moved = false
		if p.old == pathBroken {
			return p.to(pathOver, paGiveUp)
		}
		return p.to(p.old, 0)
	case paAside:
		return p.to(pathAside, 0)
	}
	return p.beside(in)
}

// beside has what happens to the old path meanwhile.
func (p *path) beside(in pathInput) pathDo {
	switch in {
	case paConnected:
		p.old = pathUp
		switch {
		case p.moved:
			return paHeard
		case p.state == pathDue:
			return p.to(pathUp, paHeard)
		}
		return paHeard | paDrop
	case paDisconnected:
		p.old = pathWaiting
		return paSilent
	case paFailed:
		p.old = pathBroken
		return paSilent
	}
	return 0
}

func (p *path) to(s pathState, do pathDo) pathDo {
	p.state = s
	return do
}
