package session

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gosipua/sipua/sip"
)

// ErrState is returned by a call method that makes no sense in the call's
// present state, such as Answer after Reject or Hold before the answer.
var ErrState = errors.New("session: not possible in this state of the call")

// EndKind says how a call came to its end.
type EndKind uint8

// The ways a call ends.
const (
	EndBye           EndKind = iota // hung up with BYE after it was up
	EndCanceled                     // given up by the caller before the answer
	EndRejected                     // refused with a final response
	EndNoAnswer                     // nobody answered in time
	EndExpired                      // the INVITE's Expires passed (RFC 3261 §13.3.1)
	EndNoACK                        // the caller never acknowledged the answer (RFC 3261 §13.3.1.4)
	EndTimeout                      // no response to the INVITE, or to a request inside the call (Timers B and F)
	EndMediaFailed                  // no usable media description, or the media path was lost for good
	EndDialogError                  // the far end, or a server on the way, says that the call is no more (RFC 5057 §5.1)
	EndTransportLost                // the connection went while the call was being set up, and none took its place in time
	EndClosed                       // the UA was closed
	EndUnrefreshed                  // the session was not refreshed in time (RFC 4028 §10)
	EndInternal                     // something of our own failed: the INVITE could not be sent as asked
)

var endKindNames = [...]string{"bye", "canceled", "rejected", "no answer", "expired", "no ACK", "timeout", "media failed", "dialog error", "transport lost", "closed", "not refreshed", "internal error"}

// String returns the kind in words.
func (k EndKind) String() string {
	if int(k) < len(endKindNames) {
		return endKindNames[k]
	}
	return "unknown"
}

// EndError says who ended a call, how and why. It is context.Cause of the
// call's Context, and what Call and WaitAnswered return for a call that never
// came up.
type EndError struct {
	// Remote reports that the far end, or a server on the way, ended the call.
	Remote bool
	// Kind says how.
	Kind EndKind
	// Status is the final response that refused the INVITE, the far end's or
	// ours; zero where there was none.
	Status sip.StatusCode
	// Reason has the Reason header fields of the BYE, CANCEL or response that
	// ended it, as they came or left (RFC 3326); Reasons reads them.
	Reason []string
	// Err is what was behind it: a *sip.ResponseError for a refused call, the
	// media's error, a *LostError, net.ErrClosed. Nil for a plain hang-up.
	Err error
}

// Error describes the end in one line.
func (e *EndError) Error() string {
	who := "locally"
	if e.Remote {
		who = "by the far end"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "session: call ended %s: %s", who, e.Kind)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns Err.
func (e *EndError) Unwrap() error { return e.Err }

// errNoAnswerSDP: the response or ACK that had to carry an answer carries none.
var errNoAnswerSDP = errors.New("session: answer missing")

// ErrMediaDenied is what a MediaFactory returns that may not use the
// microphone or the camera. An incoming call is then refused with 480.
var ErrMediaDenied = errors.New("session: access to media denied")

// errMediaPath: ICE or DTLS failed for good.
var errMediaPath = errors.New("session: media path lost")
