package siptest

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"

	"github.com/gosipua/sipua/sip/digest"
)

// Options shape a [Server]. The zero value is a server in memory for the domain
// example.test where everybody may register without a password.
type Options struct {
	// Domain is the SIP domain that the server serves. Default "example.test".
	Domain string

	// Host is the server's own name, in its Via, its Record-Route and its URL in
	// memory. Requests to it are requests to Domain. Default Domain.
	Host string

	// Users are the users that may register, with their passwords; their names
	// are also the usernames of digest authentication. A user who is not in it
	// gets the same challenges as one who is, and no answer of his passes. The
	// address that somebody registers need not be that of his username. Nil:
	// everybody may register as anybody, without a password.
	Users map[string]string

	// Realm is the realm of the challenges. Default Domain.
	Realm string

	// Algorithms are the digest algorithms of the challenges, one challenge each
	// and in this order (RFC 8760 §2.3). Default MD5.
	Algorithms []digest.Algorithm

	// QOP is what the challenges offer as qop: "auth", "auth-int" or both. A
	// non-nil empty list leaves it out, as RFC 2069 did. Nil means "auth".
	QOP []string

	// Userhash asks clients to hash their usernames (RFC 7616 §3.4.4).
	Userhash bool

	// NonceUses is how many requests one nonce is good for; after them it is
	// refused with stale=true (RFC 7616 §3.3). Default 0: any number.
	NonceUses int

	// NonceLifetime is how long a nonce is good for; after that it is refused
	// with stale=true. Default 0: for ever.
	NonceLifetime time.Duration

	// NextNonce puts an Authentication-Info field with a nextnonce and the
	// server's own proof into the answer to each authenticated REGISTER (RFC
	// 7616 §3.5).
	NextNonce bool

	// ProxyAuth challenges initial requests other than REGISTER with 407 before
	// they are forwarded (RFC 3261 §22.3). It needs Users.
	ProxyAuth bool

	// MinExpires and MaxExpires bound the time that a registration lasts, in
	// seconds. Less than MinExpires is refused with 423 (RFC 3261 §10.3), more
	// than MaxExpires is shortened. Default 0 and 3600.
	MinExpires, MaxExpires int

	// DefaultExpires is what a registration gets that asks for no time, in
	// seconds. Default MaxExpires.
	DefaultExpires int

	// GRUU gives GRUUs to contacts that have a +sip.instance and whose request
	// supports gruu (RFC 5627 §5).
	GRUU bool

	// Outbound keeps a binding for each reg-id of a +sip.instance whose request
	// supports outbound, and answers with Require: outbound (RFC 5626 §6). Without
	// it a reg-id means nothing: contacts are told apart by their URIs.
	Outbound bool

	// FlowTimer is the Flow-Timer of answers with Require: outbound, in seconds
	// (RFC 5626 §5.4). Default 0: the field is left out.
	FlowTimer int

	// ServiceRoute is the Service-Route field of the answer to a REGISTER, one
	// value each (RFC 3608). The server takes their hosts for its own.
	ServiceRoute []string

	// RecordRoute keeps the server in the path of dialogs (RFC 3261 §16.6 step
	// 4). Without it requests in dialogs still find their way over the server,
	// since a WebSocket client has no other, by the contacts it has seen.
	RecordRoute bool

	// KeepBranches has a ringing client that lost its connection answer over
	// another one, as a proxy does that goes by the branch in its Via alone. Else
	// the INVITE is answered 480 for it at once. Plain only.
	KeepBranches bool

	// StrictFlows, with RecordRoute, sends requests inside a dialog down the
	// connections that the dialog was made over and no other: once one of them is
	// gone they are refused with 430 (RFC 5626 §5.3.1). Without it the contacts
	// that the server has seen lead on.
	StrictFlows bool

	// Personality makes the server behave like a particular one. Others than
	// Plain have no GRUU, outbound, Service-Route, RecordRoute and path of their
	// own, whatever those options say, and challenge initial requests where Users
	// is set.
	Personality Personality

	// Profile is the protocol of the m-lines that a [Personality] offers, for
	// example "RTP/SAVPF". Default "": as its far end has it.
	Profile string

	// Qualify is how often a [Personality] sends OPTIONS to each contact, to see
	// whether it is there; [Counters].Qualified counts the answers. Default 0:
	// never.
	Qualify time.Duration

	// Listen opens a TCP listener on a free port of 127.0.0.1, for clients in
	// other processes. Without it the server is in memory only and is reached
	// through [Server.DialContext].
	Listen bool

	// TLS makes the server one for wss. A value without certificates gets one
	// made for Host, localhost and the loopback addresses, which
	// [Server.ClientTLS] trusts.
	TLS *tls.Config

	// Handshake, if set, is asked about every WebSocket handshake. Nil as its
	// answer means the ordinary one.
	Handshake func(*http.Request) *HandshakeAnswer

	// Trace, if set, sees every SIP message that the server receives and sends,
	// keep-alives included, one at a time and in order. It runs inside the server
	// and must not call it. What a connection of [ExpectConn] carries is not seen.
	Trace func(TraceEvent)

	// Logger, if set, is told of connections that come and go and of messages
	// that cannot be read.
	Logger *slog.Logger
}

// HandshakeAnswer is an answer to a WebSocket handshake (RFC 6455 §4.2.2).
type HandshakeAnswer struct {
	// Status other than 0 and 101 refuses the handshake.
	Status int
	// Header is added to the answer.
	Header http.Header
	// NoSubprotocol leaves Sec-WebSocket-Protocol out of a 101, against RFC
	// 7118 §4.
	NoSubprotocol bool
}

// Direction says which way a traced message went.
type Direction uint8

const (
	In  Direction = iota // received by the server
	Out                  // sent by the server
)

// String returns "in" or "out".
func (d Direction) String() string {
	if d == Out {
		return "out"
	}
	return "in"
}

// TraceEvent is a message that the server received or sent.
type TraceEvent struct {
	Time      time.Time
	Direction Direction
	Conn      *Conn
	Message   []byte // as on the wire; valid during the call only
}

func (o Options) withDefaults() Options {
	if o.Domain == "" {
		o.Domain = "example.test"
	}
	if o.Host == "" {
		o.Host = o.Domain
	}
	if o.Realm == "" {
		o.Realm = o.Domain
	}
	if len(o.Algorithms) == 0 {
		o.Algorithms = []digest.Algorithm{digest.MD5}
	}
	if o.QOP == nil {
		o.QOP = []string{"auth"}
	}
	if o.MaxExpires == 0 {
		o.MaxExpires = 3600
	}
	if o.DefaultExpires == 0 {
		o.DefaultExpires = o.MaxExpires
	}
	if o.Personality != Plain {
		o.GRUU, o.Outbound, o.FlowTimer, o.ServiceRoute, o.RecordRoute, o.StrictFlows = false, false, 0, nil, false, false
		o.ProxyAuth = o.Users != nil
	}
	return o
}
