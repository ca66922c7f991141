package transport

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Reasons for the loss of a flow, found in a [*FlowError] with errors.Is.
var (
	// ErrStalled says that the peer did not take what was written: a write missed
	// its deadline, or the queue outgrew Options.MaxQueue.
	ErrStalled = errors.New("the peer does not read")
	// ErrNoPong says that nothing answered a ping in time (RFC 6455 §5.5.2,
	// RFC 5626 §4.4.1).
	ErrNoPong = errors.New("no answer to a ping")
	// ErrHardLimit says that a message was longer than Options.HardLimit.
	ErrHardLimit = errors.New("message beyond the hard limit")
	// ErrAddressGone says that the flow's local IP address is on no interface of the
	// machine any more, as after a change of network. [Pool.Check] and the end of a
	// sleep look.
	ErrAddressGone = errors.New("our address is gone")
	// ErrFailBack says that the flow gave way to one to a heavier server.
	ErrFailBack = errors.New("moved to a heavier server")
)

// ErrTooLong is returned by [Flow.Send] for a message longer than
// Options.MaxMessage. The flow is not harmed.
var ErrTooLong = errors.New("transport: message too long to send")

// ErrConnectTimeout is in the error of an attempt that took longer than
// Options.ConnectTimeout.
var ErrConnectTimeout = errors.New("connect timeout")

// ErrPoolClosed is why everything ends after Pool.Close and Pool.Shutdown. It is
// [net.ErrClosed] for errors.Is.
var ErrPoolClosed error = poolClosedError{}

type poolClosedError struct{}

func (poolClosedError) Error() string { return "transport: pool closed" }
func (poolClosedError) Unwrap() error { return net.ErrClosed }

// ServerError is one thing wrong with a [Server].
type ServerError struct {
	Field  string // name of the field of Server
	Reason string // what is wrong, never quoting a secret
}

func (e *ServerError) Error() string { return "transport: server " + e.Field + " " + e.Reason }

// ConnectError is a connection attempt that failed. It unwraps to the reason: a
// [*HandshakeError], a [*SubprotocolError], a [*ProxyError], ErrConnectTimeout, a
// [*ServerError], or the error of the network, of TLS or of Options.Dial.
type ConnectError struct {
	Server string // the server without its secrets, see Server.String
	Err    error
}

func (e *ConnectError) Error() string {
	return "transport: connecting to " + e.Server + ": " + e.Err.Error()
}

// Unwrap returns the reason.
func (e *ConnectError) Unwrap() error { return e.Err }

// HandshakeError is a server's refusal to speak WebSocket (RFC 6455 §4.1).
type HandshakeError struct {
	StatusCode int           // of the HTTP response, 101 if that broke the handshake's rules
	Status     string        // with its reason phrase, as "403 Forbidden"
	RetryAfter time.Duration // what the Retry-After field asked for, 0 without one
	Header     http.Header   // of the response, without its cookies
	Body       []byte        // beginning of the response's body, up to 1 KiB
}

func (e *HandshakeError) Error() string {
	if e.StatusCode == http.StatusSwitchingProtocols {
		return "WebSocket handshake: the server's answer breaks RFC 6455"
	}
	return "WebSocket handshake refused: " + strconv.Quote(e.Status)
}

// SubprotocolError says that the server accepted the WebSocket but not the
// subprotocol sip, which RFC 7118 §4.1 demands.
type SubprotocolError struct {
	Got string // the subprotocol the server chose, empty for none
}

func (e *SubprotocolError) Error() string {
	if e.Got == "" {
		return `the server did not choose the WebSocket subprotocol "sip"`
	}
	return fmt.Sprintf(`the server chose the WebSocket subprotocol %q instead of "sip"`, e.Got)
}

// ProxyError is the refusal of an HTTP proxy to open the tunnel (RFC 9110 §9.3.6).
type ProxyError struct {
	Proxy      string // host and port of the proxy
	StatusCode int    // of its response
	Status     string // with its reason phrase
}

func (e *ProxyError) Error() string {
	return fmt.Sprintf("proxy %s refused the tunnel: %q", e.Proxy, e.Status)
}

// CloseError is the Close frame with which the server ended a flow (RFC 6455 §7.4).
type CloseError struct {
	Code int    // 1005 when the frame had none
	Text string // the server's own words
}

func (e *CloseError) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("closed by the server with code %d", e.Code)
	}
	return fmt.Sprintf("closed by the server with code %d %q", e.Code, e.Text)
}

// FlowError says that a flow is gone and why. It is [net.ErrClosed] for errors.Is,
// and unwraps to the reason: ErrStalled, ErrNoPong, ErrHardLimit,
// ErrAddressGone, ErrFailBack, ErrPoolClosed, a [*CloseError], what [Flow.Fail] or
// [Flow.Leave] was given, or the error of the network.
type FlowError struct {
	Flow   uint64 // Flow.ID
	Server string // the server without its secrets, see Server.String
	Err    error
}

func (e *FlowError) Error() string {
	return fmt.Sprintf("transport: flow %d to %s is down: %v", e.Flow, e.Server, e.Err)
}

// Unwrap returns net.ErrClosed and the reason.
func (e *FlowError) Unwrap() []error { return []error{net.ErrClosed, e.Err} }
