package session

import (
	"fmt"
	"slices"
)

// MediaRecovery says what a call that is up does about its media path. A path
// that is lost for now is waited for, whatever this says: ICE goes on looking
// (RFC 7675), and the call's [Condition] is Silent meanwhile. What is decided
// here is what follows when it has failed, or when our address has changed. With
// session/rtc a path is lost for now when nothing was heard for 5 s, and has
// failed after 30 s, with Firefox after 20.
type MediaRecovery uint8

// The ways to treat the loss of the media path.
const (
	// MediaDefault is the UA's own setting for a call, and MediaRestart for a UA.
	MediaDefault MediaRecovery = iota
	// MediaRestart makes a new path by one re-INVITE, which has fresh media beside
	// the present ones and restarts ICE (RFC 8445 §9, RFC 8842 §5.5): sent as soon
	// as others reach us over the connection to the server, and sent again
	// unchanged while the far end has no time for it or is away, for twice the
	// UA's RecoveryLimit. The old path stays until the answer, and is kept where
	// the far end refuses; the call ends when there is none left. Firefox takes no
	// fresh media: with it ICE restarts in place, and the old path goes at once.
	MediaRestart
	// MediaKeep reports the loss and no more: the application decides, as by
	// Renegotiate with ICERestart or by Hangup.
	MediaKeep
	// MediaEnd ends the call as soon as the path has failed.
	MediaEnd
)

var mediaRecoveryNames = [...]string{"default", "restart", "keep", "end"}

// String returns the name that configurations have for it.
func (r MediaRecovery) String() string {
	if int(r) < len(mediaRecoveryNames) {
		return mediaRecoveryNames[r]
	}
	return "unknown"
}

// MarshalText returns the name.
func (r MediaRecovery) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText takes a name; an unknown one is an error.
func (r *MediaRecovery) UnmarshalText(text []byte) error {
	i := slices.Index(mediaRecoveryNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("session: %q is not among %q", text, mediaRecoveryNames)
	}
	*r = MediaRecovery(i)
	return nil
}

// recoverMedia takes what the application wants for this call.
func (s *Session) recoverMedia(r MediaRecovery) { // [locked]
	if r != MediaDefault {
		s.recovery = r
	}
}

// PathError is why a call ended whose media path was lost (EndMediaFailed).
type PathError struct {
	// Lost is what the media say of it.
	Lost error
	// Restart is what the restart came to: the far end's refusal, a
	// *sip.ResponseError; a *sip.TimeoutError; or what the media say of the new
	// path. Nil: none was tried.
	Restart error
}

// Error describes the loss in one line.
func (e *PathError) Error() string {
	if e.Restart == nil {
		return fmt.Sprintf("%v: %v", errMediaPath, e.Lost)
	}
	return fmt.Sprintf("%v: %v; the restart failed: %v", errMediaPath, e.Lost, e.Restart)
}

// Unwrap returns both errors.
func (e *PathError) Unwrap() []error {
	list := []error{errMediaPath}
	for _, err := range []error{e.Lost, e.Restart} {
		if err != nil {
			list = append(list, err)
		}
	}
	return list
}
