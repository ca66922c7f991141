package transaction

import "fmt"

// State is the state of a transaction. Each machine uses some of them.
//
// RFC 3261 §17, RFC 6026 §7.
type State uint8

// The states by the names of the RFC's figures.
const (
	Calling    State = iota // INVITE client
	Trying                  // non-INVITE
	Proceeding              // all
	Completed               // INVITE server
	Accepted                // INVITE, after a 2xx
	Confirmed               // INVITE server; Timer I is zero: never stayed in
	Terminated              // all
)

var stateNames = [...]string{"Calling", "Trying", "Proceeding", "Completed", "Accepted", "Confirmed", "Terminated"}

// String returns the name in the RFC's figures.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// input is what happens to a transaction.
type input uint8

const (
	begin       input = iota // the request leaves, or has come
	provisional              // 1xx: received by a client, from the TU at a server
	success                  // 2xx, likewise
	failure                  // 300 to 699, likewise
	repeated                 // server: the request again
	acked                    // INVITE server: ACK
	canceled                 // INVITE client: CANCEL was sent; server: one came
	flowLost                 // the flow is gone
	flowFound                // server: another flow takes its place
	expired                  // the timer that was started
)

// kind is what a machine wants done.
type kind uint8

const (
	send   kind = iota + 1 // client: the request; server: the response at hand
	ack                    // INVITE client: ACK to the response at hand
	pass                   // to the TU: the message at hand
	start                  // the timer, in place of one that runs
	stop                   // the timer that runs, if any
	fail                   // tell the TU: timer, or transport with timer none
	trying                 // server: send 100
	answer                 // non-INVITE server: the TU has to answer now
	found                  // INVITE server: tell the TU of the flow that takes the place of the lost one
	finish                 // the transaction is destroyed; always last
)

type action struct {
	kind  kind
	timer timer
}

// actions is filled by a machine's step and carried out in order.
type actions struct {
	n    int
	list [4]action
}

func (a *actions) add(k kind) { a.with(k, none) }

func (a *actions) with(k kind, t timer) {
	a.list[a.n] = action{k, t}
	a.n++
}

// timer names a timer. A transaction has at most one running.
type timer uint8

const (
	none          timer = iota
	timerB              // INVITE client: no response, or none after CANCEL
	timerF              // non-INVITE client: no final response
	timerH              // INVITE server: no ACK
	timerL              // INVITE server: accepted
	timerM              // INVITE client: accepted
	timerTrying         // INVITE server: to the automatic 100
	timerLate           // non-INVITE server: to the automatic 100
	timerAnswer         // non-INVITE server: from there to the automatic answer
	timerLast           // non-INVITE server: from there to its sender's Timer F
	timerRecovery       // INVITE: the flow is lost
	timers
)

// name returns the RFC's letter.
func (t timer) name() string {
	switch t {
	case timerB:
		return "B"
	case timerF:
		return "F"
	case timerH:
		return "H"
	case timerL:
		return "L"
	case timerM:
		return "M"
	}
	return ""
}
