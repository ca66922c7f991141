package sipua

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/transport"
)

// EventKind is what an [Event] tells.
type EventKind uint8

// The kinds of events, with the fields that they have beside Kind and Time.
const (
	EventConnecting     EventKind = iota // an attempt to connect begins: Server, Attempt
	EventConnected                       // the WebSocket is up: Server, Flow, Local
	EventConnectFailed                   // an attempt failed: Server, In, Err
	EventDisconnected                    // the WebSocket is gone: Server, Flow, Err
	EventReconnecting                    // the next attempt follows: In, Attempt
	EventRegistered                      // there is a binding, where there was none: Server, Flow, Registration
	EventRefreshed                       // the binding was renewed: Server, Flow, Registration
	EventUnregistered                    // the binding is gone: Server, Flow, Registration, Err unless that was asked for
	EventRegisterFailed                  // a REGISTER came to nothing: Server, Flow, Registration, In, Err
	EventCallDegraded                    // something is wrong with a call that goes on: Session, Condition, Err
	EventCallRecovered                   // the call is all right again: Session, For
	EventRoundTrip                       // the OPTIONS of Config.OptionsInterval was answered: Server, Flow, For
	EventResumed                         // the machine slept and everything is checked: For
)

var eventNames = [...]string{
	"connecting", "connected", "connect failed", "disconnected", "reconnecting",
	"registered", "refreshed", "unregistered", "register failed",
	"call degraded", "call recovered", "round trip", "resumed",
}

// String returns the kind in words.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return "unknown"
}

// Event is one thing that happened to how a UA is reached. Kind says what, and
// which of the other fields it has; the others are zero.
type Event struct {
	Kind EventKind
	// Time is when it happened, which may be before it is told.
	Time time.Time
	// Server is what the connection is to that this is about.
	Server WSServer
	// RegID says which of Config.Flows that connection is, from 1: the reg-id of its
	// registration (RFC 5626 §4.2). Zero: this is about none.
	RegID int
	// Flow is the number of that connection (RFC 5626 §3.1), as in traces: it grows
	// from 1. Zero: there is none.
	Flow uint64
	// Local is our address of the connection.
	Local net.Addr
	// Attempt counts from 1 since the last connection that held.
	Attempt int
	// In is how long it is until the next attempt, or the next REGISTER; zero for
	// the latter means that none is due.
	In time.Duration
	// Registration is where the registration stands.
	Registration registrar.Registration
	// Session is the call that this is about.
	Session *session.Session
	// Condition is what is wrong with it.
	Condition session.Condition
	// For is how long the call was degraded, the answer took, or the machine slept.
	For time.Duration
	// Err says why.
	//
	// Of EventDisconnected it is a [*transport.FlowError], in which errors.Is and As
	// find the reason: transport.ErrNoPong for a server that went silent,
	// transport.ErrStalled for one that takes nothing, transport.ErrAddressGone where
	// we have left the network that the connection went over, an [*UnansweredError] for one
	// that answers pings but no requests, a [*transport.CloseError] with the code of
	// one that closed the connection, transport.ErrFailBack, or the error of the
	// network, as syscall.ECONNRESET. Of EventConnectFailed it is a
	// [*transport.ConnectError], and of EventRegisterFailed a [*sip.ResponseError],
	// a [*sip.TimeoutError] or one that is [net.ErrClosed].
	Err error
}

// UnansweredError is why a connection is given up whose server says no SIP; see
// [core.UnansweredError].
type UnansweredError = core.UnansweredError

// String tells the event in one line, as for a log, without secrets.
func (e Event) String() string {
	switch e.Kind {
	case EventConnecting:
		return fmt.Sprintf("connecting to %v, attempt %d", e.Server, e.Attempt)
	case EventConnected:
		return fmt.Sprintf("connected to %v over flow %d from %v", e.Server, e.Flow, e.Local)
	case EventConnectFailed:
		return fmt.Sprintf("connecting to %v failed: %v", e.Server, reasonOf(e.Err))
	case EventDisconnected:
		return fmt.Sprintf("disconnected from %v, flow %d: %v", e.Server, e.Flow, reasonOf(e.Err))
	case EventReconnecting:
		return fmt.Sprintf("reconnecting in %v, attempt %d", e.In.Round(time.Millisecond), e.Attempt)
	case EventRegistered, EventRefreshed:
		expires := e.Registration.Expires.Sub(e.Time).Round(time.Second)
		return fmt.Sprintf("%v for %v over flow %d", e.Kind, expires, e.Flow)
	case EventUnregistered:
		if e.Err == nil {
			return "unregistered as asked for"
		}
		return fmt.Sprintf("unregistered: %v", e.Err)
	case EventRegisterFailed:
		if e.In > 0 {
			return fmt.Sprintf("registration failed, next attempt in %v: %v", e.In.Round(time.Millisecond), e.Err)
		}
		return fmt.Sprintf("registration failed: %v", e.Err)
	case EventCallDegraded:
		return fmt.Sprintf("call with %v degraded (%v): %v", e.Session.RemoteIdentity().URI, e.Condition, e.Err)
	case EventCallRecovered:
		return fmt.Sprintf("call with %v recovered after %v", e.Session.RemoteIdentity().URI, e.For.Round(time.Millisecond))
	case EventRoundTrip:
		return fmt.Sprintf("round trip to %v over flow %d: %v", e.Server, e.Flow, e.For.Round(time.Microsecond))
	case EventResumed:
		return fmt.Sprintf("resumed after a sleep of %v", e.For.Round(time.Second))
	}
	return e.Kind.String()
}

// LogValue implements [slog.LogValuer] with the value of String, so that no handler
// writes the query of a server's URL, where a token may be.
func (e Event) LogValue() slog.Value { return slog.StringValue(e.String()) }

// reasonOf is what the transport's errors wrap: what they say of flow and server
// the event says itself.
func reasonOf(err error) error {
	var lost *transport.FlowError
	var refused *transport.ConnectError
	switch {
	case errors.As(err, &lost):
		return lost.Err
	case errors.As(err, &refused):
		return refused.Err
	}
	return err
}

// eventKey names the events of which an application that is far behind gets the
// newest only: all that have the same.
type eventKey struct {
	view    eventView
	server  string           // of the connection or the registration
	regID   int              // of the same
	session *session.Session // of the call
}

// eventView is which func of Handler an event is for, and in the stream of all
// events what they are about.
type eventView uint8

const (
	viewConnection eventView = iota
	viewRegistration
	aboutConnection
	aboutRecovery
	aboutRegistration
	aboutRoundTrip
	aboutCall
	aboutMachine
)

// tell queues an event.
func (ua *UA) tell(about eventView, e Event) {
	h := ua.handler.Event
	if h == nil {
		return
	}
	e.Time = time.Now()
	ua.events.PushNewest(eventKey{about, e.Server.String(), e.RegID, e.Session}, func() { h(e) })
}

// flowServers has the flows that are up: the core and the registrar know one by its
// number.
type flowServers struct {
	mu   sync.Mutex
	list []flowServer // guarded by mu
}

type flowServer struct {
	flow  *transport.Flow
	regID int
}

func (f *flowServers) add(s flowServer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, s)
}

func (f *flowServers) remove(id uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = slices.DeleteFunc(f.list, func(s flowServer) bool { return s.flow.ID() == id })
}

// of returns the server of a flow and its reg-id, nothing when it is not up.
func (f *flowServers) of(id uint64) (server WSServer, regID int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.list {
		if s.flow.ID() == id {
			return s.flow.Server(), s.regID
		}
	}
	return WSServer{}, 0
}

// connecting tells that an attempt begins.
func (ua *UA) connecting(regID int, s WSServer, attempt int) {
	ua.tell(aboutConnection, Event{Kind: EventConnecting, Server: s, RegID: regID, Attempt: attempt})
	ua.connection(ConnectionEvent{State: Connecting, Server: s, RegID: regID, Attempt: attempt})
}

// connectFailed takes an attempt that failed.
func (ua *UA) connectFailed(regID int, s WSServer, err error, retryIn time.Duration) {
	ua.ready.failed(err)
	ua.tell(aboutConnection, Event{Kind: EventConnectFailed, Server: s, RegID: regID, In: retryIn, Err: err})
	ua.connection(ConnectionEvent{State: ConnectFailed, Server: s, RegID: regID, Err: err, RetryIn: retryIn})
}

// reconnecting tells when the next attempt follows.
func (ua *UA) reconnecting(regID int, in time.Duration, attempt int) {
	ua.tell(aboutRecovery, Event{Kind: EventReconnecting, RegID: regID, In: in, Attempt: attempt})
}

// flowUp takes a new connection.
func (ua *UA) flowUp(regID int, f *transport.Flow) {
	s := f.Server()
	host, port := s.HostPort()
	ua.servers.add(flowServer{f, regID})
	ua.tell(aboutConnection, Event{Kind: EventConnected, Server: s, RegID: regID, Flow: f.ID(), Local: f.LocalAddr()})
	ua.connection(ConnectionEvent{State: Connected, Server: s, RegID: regID})
	ua.core.FlowUp(f, core.FlowInfo{
		RegID: regID, Weight: s.Weight,
		Server: serverName(f), Secure: s.Secure(), Host: host, Port: port, Local: f.LocalAddr().String(),
	})
	if !ua.register {
		ua.ready.done(nil)
	}
}

// flowDown takes the loss of a connection.
func (ua *UA) flowDown(regID int, f *transport.Flow, err error) {
	ua.ready.failed(err)
	ua.tell(aboutConnection, Event{Kind: EventDisconnected, Server: f.Server(), RegID: regID, Flow: f.ID(), Err: err})
	ua.connection(ConnectionEvent{State: Disconnected, Server: f.Server(), RegID: regID, Err: err})
	ua.core.FlowDown(f, err)
	ua.servers.remove(f.ID())
}

// connection shows Handler.Connection a change of the connection.
func (ua *UA) connection(e ConnectionEvent) {
	if h := ua.handler.Connection; h != nil {
		ua.events.PushNewest(eventKey{view: viewConnection, regID: e.RegID}, func() { h(e) })
	}
}

var registrationKinds = map[registrar.EventKind]EventKind{
	registrar.EventRegistered:   EventRegistered,
	registrar.EventRefreshed:    EventRefreshed,
	registrar.EventUnregistered: EventUnregistered,
	registrar.EventFailed:       EventRegisterFailed,
}

// registration takes a change of the registration.
func (ua *UA) registration(e registrar.Event) { // [locked]
	switch e.Kind {
	case registrar.EventRegistered:
		ua.ready.done(nil)
	case registrar.EventFailed:
		ua.ready.failed(e.Err)
		if isRefusal(e.Err) && !e.Elsewhere {
			ua.ready.done(e.Err)
		}
	}
	server, _ := ua.servers.of(e.Flow)
	told := Event{
		Kind: registrationKinds[e.Kind], Server: server, RegID: e.Registration.RegID, Flow: e.Flow,
		Registration: e.Registration, Err: e.Err,
	}
	if at := e.Registration.RetryAt; e.Kind == registrar.EventFailed && !at.IsZero() {
		told.In = time.Until(at)
	}
	ua.tell(aboutRegistration, told)
	if h := ua.handler.Registration; h != nil {
		ua.events.PushNewest(eventKey{view: viewRegistration, regID: e.Registration.RegID}, func() { h(e) })
	}
}

// condition takes a change of what is wrong with a call.
func (ua *UA) condition(s *session.Session, now, was session.Condition) { // [locked]
	if now.Degraded() {
		ua.tell(aboutCall, Event{Kind: EventCallDegraded, Session: s, Condition: now, Err: now.Err})
	} else {
		ua.tell(aboutCall, Event{Kind: EventCallRecovered, Session: s, For: time.Since(was.Since)})
	}
}

// roundTrip takes how long an OPTIONS took that keeps a flow alive.
func (ua *UA) roundTrip(f core.Flow, d time.Duration) { // [locked]
	server, regID := ua.servers.of(f.ID())
	ua.tell(aboutRoundTrip, Event{Kind: EventRoundTrip, Server: server, RegID: regID, Flow: f.ID(), For: d})
}

// failFlow ends a flow that the core found dead.
func failFlow(f core.Flow, err error) { // [locked]
	if f, ok := f.(*transport.Flow); ok {
		f.Fail(err)
	}
}
