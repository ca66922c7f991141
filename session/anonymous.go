package session

import (
	"errors"
	"slices"
	"strings"

	"github.com/gosipua/sipua/sip"
)

// Anonymity says what of our identity a call keeps from the far end
// (RFC 3323).
type Anonymity uint8

// The grades of anonymity.
const (
	// Identified keeps nothing back.
	Identified Anonymity = iota
	// Anonymous names nobody in anything that is sent in the call: From is
	// "Anonymous" <sip:anonymous@anonymous.invalid>, Contact the temporary GRUU
	// of the registration or anonymous.invalid, User-Agent and the like are
	// left out (RFC 3323 §4.1). Credentials, which have our name too, go inside the
	// call only to a server that asks for them, and not in an ACK. Privacy: id asks the servers that know us to
	// keep it to themselves, and P-Preferred-Identity names us to them; a server
	// that knows of neither may pass the latter on (RFC 3325 §9). Our addresses
	// stand in the session description all the same.
	Anonymous
	// AnonymousFull is Anonymous with media over a relay (TURN) only, so that
	// no address of ours is told either. The media must be able to do that, see
	// [RelayFactory], else the call fails with ErrNoRelay.
	AnonymousFull
)

var anonymityNames = [...]string{"identified", "anonymous", "fully anonymous"}

// String returns the grade in words.
func (a Anonymity) String() string {
	if int(a) < len(anonymityNames) {
		return anonymityNames[a]
	}
	return "unknown"
}

// RelayFactory is a MediaFactory that can keep our addresses from the far end.
type RelayFactory interface {
	MediaFactory

	// RelayOnly returns a factory whose media use a relay and say nothing of
	// our addresses. Where no relay is configured the error is, or wraps,
	// ErrNoRelay.
	RelayOnly() (MediaFactory, error)
}

// ErrNoRelay is returned for a call with AnonymousFull when its media have no
// relay to use.
var ErrNoRelay = errors.New("session: no relay to hide our addresses behind")

// factory returns the factory for a call of that anonymity.
func (a Anonymity) factory(f MediaFactory) (MediaFactory, error) {
	if a != AnonymousFull {
		return f, nil
	}
	relay, ok := f.(RelayFactory)
	if !ok {
		return nil, ErrNoRelay
	}
	return relay.RelayOnly()
}

// isPrivate reports whether who sent req wants to stay unknown (RFC 3323 §4.1,
// §4.2).
func isPrivate(req *sip.Request) bool {
	uri := req.From().URI
	if strings.EqualFold(uri.Host, "anonymous.invalid") || strings.EqualFold(uri.UserText(), "anonymous") {
		return true
	}
	return slices.ContainsFunc(req.Privacy(), func(v string) bool {
		switch v {
		case "id", "user", "header", "session":
			return true
		}
		return false
	})
}
