package siptest

import (
	"github.com/gosipua/sipua/sip"
)

// Personality is which server a [Server] behaves like, see
// [Options].Personality. The files asterisk.go, freeswitch.go and opensips.go
// list what each one does, with the source of every behaviour.
//
// They imitate and prove nothing about the real servers: what they do is known
// from their documentation and from traces that their users have published.
type Personality uint8

const (
	// Plain is no particular server: a registrar and a proxy by the RFCs.
	Plain Personality = iota
	// Asterisk is a back-to-back user agent that rewrites descriptions, sends
	// a re-INVITE once a call is up, and carries out REFER by itself.
	Asterisk
	// FreeSWITCH is a back-to-back user agent that leaves mids and BUNDLE out
	// of descriptions and writes its own identity everywhere.
	FreeSWITCH
	// OpenSIPS is a back-to-back user agent behind its own record-routing
	// proxy; it insists on an Origin and on WebSocket messages of one frame.
	OpenSIPS
)

// String is the name of the server.
func (p Personality) String() string {
	if t := p.traits(); t != nil {
		return t.name
	}
	return "plain"
}

func (p Personality) traits() *traits {
	switch p {
	case Asterisk:
		return &asterisk
	case FreeSWITCH:
		return &freeSWITCH
	case OpenSIPS:
		return &openSIPS
	}
	return nil
}

// traits are what tells one back-to-back user agent from another.
type traits struct {
	name      string
	product   string // Server and User-Agent
	allow     string
	supported string

	challenges  sip.StatusCode // 401 or 407, to requests other than REGISTER
	viaReceived bool           // received and rport in the Via of answers (RFC 3581)
	contactUser string         // of our Contact in requests; "" leaves it out
	answerUser  bool           // our Contact in answers names who was called
	toContact   bool           // To of an INVITE is the callee's Contact, not its address of record
	recordRoute bool           // a proxy of ours records its route on both legs
	received    bool           // Contacts in answers to REGISTER get a received parameter
	needOrigin  bool           // a handshake without Origin is refused
	noFragments bool           // a fragmented WebSocket message closes the connection

	minSE          int        // of session timers (RFC 4028)
	sessionExpires int        // what is asked for
	refreshBy      sip.Method // UPDATE only where the client allows it

	byeReason      func(refused sip.StatusCode) string // Reason field; "" leaves it out
	xHeaders       []sip.Field                         // in every INVITE
	reinviteAtOnce bool                                // to the callee when a call is up
	asserts        bool                                // P-Asserted-Identity towards the callee, and to who is connected anew
	referProgress  bool                                // NOTIFY of provisional responses
	accepts        sip.StatusCode                      // what a MESSAGE outside a dialog is answered with before it is delivered

	sdp sdpTraits
}

// q850 are the causes that go with SIP statuses in Reason fields (RFC 3398
// §7.2.6.1 the other way round, as both servers have it in tables of their own).
func q850(refused sip.StatusCode) (cause int, text string) {
	switch refused {
	case 0:
		return 16, "NORMAL_CLEARING"
	case sip.StatusBusyHere, sip.StatusBusyEverywhere:
		return 17, "USER_BUSY"
	case sip.StatusRequestTimeout:
		return 18, "NO_USER_RESPONSE"
	case sip.StatusTemporarilyUnavailable:
		return 19, "NO_ANSWER"
	case sip.StatusDecline, sip.StatusForbidden:
		return 21, "CALL_REJECTED"
	case sip.StatusNotFound:
		return 1, "UNALLOCATED_NUMBER"
	case sip.StatusNotAcceptableHere:
		return 88, "INCOMPATIBLE_DESTINATION"
	}
	return 31, "NORMAL_UNSPECIFIED"
}
