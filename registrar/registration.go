package registrar

import (
	"time"

	"github.com/gosipua/sipua/sip"
)

// Registration is a registration at one moment.
type Registration struct {
	State     State
	RegID     int            // of the flow: 1, with several flows counting on (RFC 5626 §4.2)
	Server    string         // the server that the flow is or last was to, as core.FlowInfo names it; "" before the first
	Expires   time.Time      // when the binding lapses; zero without one
	Contacts  []sip.NameAddr // all bindings of the address that the registrar told of, ours too
	Public    sip.URI        // our public GRUU (RFC 5627); zero without one
	Temporary sip.URI        // our newest temporary GRUU
	Outbound  bool           // the registrar keeps a binding for each flow (RFC 5626 §4.2.1)
	Rewritten bool           // the registrar lists our Contact with another URI, or not at all
	Err       error          // the last failure, nil after a success; a *sip.ResponseError for a refusal
	RetryAt   time.Time      // when the next REGISTER is due; zero if none is
}

// Bound reports whether the registrar has a binding of ours, as far as we know.
func (r Registration) Bound() bool { return !r.Expires.IsZero() }

// EventKind is what happened to a registration.
type EventKind uint8

// The kinds of events.
const (
	EventRegistered   EventKind = iota // a binding, where there was none
	EventRefreshed                     // the binding was renewed
	EventUnregistered                  // the binding is gone: removed, lapsed, or lost with its connection
	EventFailed                        // a REGISTER was refused or came to nothing; a binding there was lives on until it lapses
)

var eventNames = [...]string{"registered", "refreshed", "unregistered", "failed"}

// String returns the kind in a word.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return "unknown"
}

// Event is one change of a registration, with several flows of that on one of
// them.
type Event struct {
	Kind         EventKind
	Registration Registration // as it is now
	Flow         uint64       // core.Flow.ID of the flow that this is about: the one used last
	// Elsewhere: another flow is registered, or is about to be.
	Elsewhere bool
	// Err says why: always with EventFailed; with EventUnregistered unless the
	// registrar confirmed the removal that was asked for.
	Err error
}
