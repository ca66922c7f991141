package sipua

import (
	"context"
	"time"

	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// Handler has what a UA tells its application. Calls come each on a goroutine
// of their own; everything else runs one at a time, in the order things
// happened, and may call any method of the UA. A nil func means the RFC's
// default answer, named with it. A func that panics is logged with its stack,
// and the UA goes on.
type Handler struct {
	// Call gets every incoming call, each on a goroutine of its own, which may
	// live as long as the call. Default nil: 480 (RFC 3261 §21.4.18).
	Call func(*session.Incoming)

	// Refer gets every REFER outside of calls, by which somebody asks us to call
	// somebody else (RFC 3515), each on a goroutine of its own; for those of a call
	// see session.Handler. Who asks should be known before it is accepted. Default
	// nil: 603.
	Refer func(*session.Referral)

	// Session has the events of calls that bring no Handler of their own. Default
	// none.
	Session session.Handler

	// Message gets each MESSAGE outside calls and returns the final status that
	// answers it; ctx ends when no answer can be sent any more. Default nil: 405
	// (RFC 3428 §7).
	Message func(ctx context.Context, req *sip.Request) sip.StatusCode

	// Options is told of each OPTIONS outside calls and returns the final status
	// that answers it. Default nil: 200 (RFC 3261 §11.2).
	Options func(ctx context.Context, req *sip.Request) sip.StatusCode

	// Event tells everything about how we are reached, in order: the connections to
	// the servers, the registration, calls that are degraded and that recover, and
	// the machine's sleep. To an application that has left 1,024 events waiting the
	// newest of each server's connection, of each call and of the registration is
	// told only, in the place of those before. Default none.
	Event func(Event)

	// Connection tells each change of the connection to the servers: a part of what
	// Event tells. Default none.
	Connection func(ConnectionEvent)

	// Registration tells each change of the registration, the failures with
	// their reason; with several Config.Flows of each one's. A part of what Event
	// tells. Default none.
	Registration func(registrar.Event)

	// Closed is called once, after Close or Shutdown has ended the UA: Message,
	// Options, Event, Connection and Registration are not called again. Default
	// none.
	Closed func()
}

// ConnectionState is where the connection to the servers stands.
type ConnectionState uint8

// The states of the connection.
const (
	Connecting    ConnectionState = iota // an attempt begins
	Connected                            // the WebSocket is up
	Disconnected                         // the WebSocket is gone
	ConnectFailed                        // an attempt failed; the next one follows after RetryIn
)

var connectionStateNames = [...]string{"connecting", "connected", "disconnected", "connect failed"}

// String returns the state in words.
func (s ConnectionState) String() string {
	if int(s) < len(connectionStateNames) {
		return connectionStateNames[s]
	}
	return "unknown"
}

// ConnectionEvent is one change of the connection.
type ConnectionEvent struct {
	State   ConnectionState
	Server  WSServer
	RegID   int           // which of Config.Flows, from 1: the reg-id of its registration
	Attempt int           // Connecting: counts from 1 since the last connection that held
	RetryIn time.Duration // ConnectFailed: until the next attempt
	Err     error         // Disconnected, ConnectFailed: why
}
