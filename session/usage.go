package session

// The INVITE usage of a dialog as a machine (RFC 3261 §13 to §15, RFC 5407 for
// the races): one table for both sides of a call. Session.step carries the
// actions out.

// State is where a call stands.
type State uint8

// The states of a call. A caller goes through Preparing, Calling and Early, a
// callee through Ringing, Answering and Accepted; both meet in Confirmed.
const (
	Preparing   State = iota // caller: the offer is being made, or a redirection decided on; no INVITE is out
	Calling                  // caller: the INVITE is out
	Early                    // caller: the far end is ringing or sends early media (RFC 3261 §12.1)
	Ringing                  // callee: the application has not decided yet
	Answering                // callee: the answer is being made
	Accepted                 // callee: the 2xx is out, the ACK is awaited
	Confirmed                // the call is up
	Terminating              // over for the application; CANCEL or BYE is still on its way
	Terminated               // over
)

var stateNames = [...]string{"Preparing", "Calling", "Early", "Ringing", "Answering", "Accepted", "Confirmed", "Terminating", "Terminated"}

// String returns the state's name.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "Unknown"
}

// Ended reports whether the call is over for the application.
func (s State) Ended() bool { return s >= Terminating }

// usageInput is what happened to the INVITE usage.
type usageInput uint8

const (
	inOfferReady  usageInput = iota // caller: the INVITE can leave
	inEarly                         // caller: 1xx with a To tag
	inSuccess                       // caller: the first 2xx
	inFailure                       // caller: final response other than 2xx, timeout or transport failure
	inRedirect                      // caller: the INVITE failed, and another address may be tried
	inRingTimeout                   // caller: nobody answered in time
	inAnswer                        // callee: the application answers
	inAnswerReady                   // callee: the 2xx can leave
	inReject                        // callee: the application rejects or redirects
	inCancel                        // callee: CANCEL
	inNoAnswer                      // callee: no decision in time, or the INVITE's Expires passed
	inLost                          // callee: the flow of the INVITE is gone for good
	inACK                           // callee: ACK to the 2xx
	inNoACK                         // callee: 64*T1 without ACK
	inBye                           // either: BYE
	inHangup                        // either: the application hangs up
	inMediaFailed                   // either: the media cannot be had or is lost for good
	inDialogGone                    // either: the peer knows the dialog no more (408, 481)
	inClose                         // either: the UA closes at once
	inWireDone                      // either: the last CANCEL or BYE is answered or given up
	numUsageInputs
)

var usageInputNames = [...]string{"OfferReady", "Early", "Success", "Failure", "Redirect", "RingTimeout", "Answer", "AnswerReady", "Reject", "Cancel", "NoAnswer", "Lost", "ACK", "NoACK", "Bye", "Hangup", "MediaFailed", "DialogGone", "Close", "WireDone"}

func (i usageInput) String() string { return usageInputNames[i] }

// usageActions is what to do, as a set. Session.step does them in the order of
// these constants.
type usageActions uint16

const (
	doInvite     usageActions = 1 << iota // send the INVITE
	doACK                                 // acknowledge the 2xx
	doMakeAnswer                          // ask the Media for the answer
	doAccept                              // send the 2xx and repeat it until the ACK
	doCancel                              // CANCEL the INVITE
	doRefuse                              // send the final response that the input carries
	doBye                                 // send BYE
	doUp                                  // the call is up
	doEnd                                 // the call is over for the application
	doRelease                             // nothing of the call is left on the wire
)

// usage is the machine.
type usage struct {
	state    State
	accepted bool // callee: the 2xx is out and its ACK is not here
}

// step takes one input and returns what to do. It does no I/O.
func (u *usage) step(in usageInput) usageActions {
	if in == inClose && u.state != Terminated {
		ended := u.state.Ended()
		u.state = Terminated
		if ended {
			return doRelease
		}
		return doEnd | doRelease
	}
	switch u.state {
	case Preparing:
		switch in {
		case inOfferReady:
			return u.to(Calling, doInvite)
		case inHangup, inMediaFailed, inRingTimeout, inFailure: // the last: no other address is tried
			return u.to(Terminated, doEnd|doRelease)
		}
	case Calling, Early:
		return u.calling(in)
	case Ringing, Answering:
		return u.ringing(in)
	case Accepted, Confirmed:
		return u.up(in)
	case Terminating:
		return u.terminating(in)
	case Terminated:
		if in == inSuccess { // the UA dropped the call, but the far end answered
			return doACK | doBye
		}
	}
	return 0
}

func (u *usage) calling(in usageInput) usageActions {
	switch in {
	case inEarly:
		return u.to(Early, 0)
	case inRedirect:
		return u.to(Preparing, 0)
	case inSuccess:
		return u.to(Confirmed, doACK|doUp)
	case inFailure:
		return u.to(Terminated, doEnd|doRelease)
	case inHangup, inRingTimeout, inMediaFailed:
		return u.to(Terminating, doCancel|doEnd)
	}
	return 0
}

func (u *usage) ringing(in usageInput) usageActions {
	switch in {
	case inAnswer:
		if u.state == Ringing {
			return u.to(Answering, doMakeAnswer)
		}
	case inAnswerReady:
		if u.state == Answering {
			u.accepted = true
			return u.to(Accepted, doAccept)
		}
	case inReject, inCancel, inNoAnswer, inHangup, inMediaFailed, inBye: // BYE: RFC 3261 §15.1.2
		return u.to(Terminated, doRefuse|doEnd|doRelease)
	case inLost:
		return u.to(Terminated, doEnd|doRelease)
	}
	return 0
}

func (u *usage) up(in usageInput) usageActions {
	switch in {
	case inACK:
		u.accepted = false
		if u.state == Accepted {
			return u.to(Confirmed, doUp)
		}
	case inLost:
		if u.accepted {
			return u.up(inNoACK)
		}
	case inNoACK: // RFC 3261 §13.3.1.4
		u.accepted = false
		return u.to(Terminating, doBye|doEnd)
	case inBye:
		return u.to(Terminated, doEnd|doRelease)
	case inHangup, inMediaFailed, inDialogGone: // the last: RFC 3261 §12.2.1.2; BYE all the same, a proxy may know better
		if u.accepted { // no BYE before the ACK (RFC 3261 §15)
			return u.to(Terminating, doEnd)
		}
		return u.to(Terminating, doBye|doEnd)
	}
	return 0
}

func (u *usage) terminating(in usageInput) usageActions {
	switch in {
	case inSuccess: // the 2xx won the race with our CANCEL
		return doACK | doBye
	case inFailure, inWireDone:
		return u.to(Terminated, doRelease)
	case inACK, inNoACK, inLost:
		if u.accepted {
			u.accepted = false
			return doBye
		}
	case inBye: // both hang up at once; ours is on its way, or needs not go any more
		if u.accepted {
			return u.to(Terminated, doRelease)
		}
	}
	return 0
}

func (u *usage) to(s State, a usageActions) usageActions {
	u.state = s
	return a
}
