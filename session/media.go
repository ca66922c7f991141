package session

import (
	"context"
	"errors"
	"time"
)

// Media is the media of one call leg: one PeerConnection and what belongs to
// it. Descriptions are opaque to this package, which decides when an offer or
// an answer is due and never what it says.
//
// Every method may block, until its ctx ends where it has one, and is called from
// the session's worker only, one at a time, never after Close. SendDTMF alone
// runs beside the others, also beside and after Close. The UA's Close and
// Shutdown wait for all of them, so a Media must not call those. A method that
// panics is logged and has failed. [MediaFactory] makes values of it;
// session/rtc is the implementation over pion/webrtc.
type Media interface {
	// Offer returns an offer for the wire. Nothing is applied before SetAnswer,
	// so an offer that the peer refuses leaves the call as it was.
	Offer(ctx context.Context, o OfferOptions) (Description, error)

	// SetAnswer applies the pending offer and the peer's answer to it. An error
	// leaves the media as it was: ErrFreshMedia means that the answer is another
	// branch's, or another far end's, than the one that has the path, which is
	// silent from then on where the first offer of a call was answered for good.
	SetAnswer(ctx context.Context, answer Description, o AnswerInfo) (MediaState, error)

	// Abandon forgets the pending offer, as when the peer refused it.
	Abandon()

	// Answer checks the peer's offer, applies it and returns the answer. An
	// error leaves the media as it was: ErrUnacceptable (or one wrapping it)
	// deserves a 488, ErrFreshMedia asks for new media from the factory.
	Answer(ctx context.Context, offer Description, o OfferOptions) (Description, MediaState, error)

	// Mute stops (true) or resumes (false) sending of what set names.
	Mute(set MuteSet, mute bool)

	// SendDTMF sends one digit, or R for a hook flash, as RFC 4733 events and
	// returns when it is sent; one that comes meanwhile waits. The end of ctx or
	// of the media cuts it short. ErrNoDTMF: telephone-event was not negotiated.
	// ErrNotSending: nothing may be sent now, as while the call is held.
	SendDTMF(ctx context.Context, digit rune, d time.Duration) error

	// Close ends the media and waits until nothing of it runs.
	Close() error
}

// MediaFactory makes the Media of one leg of a call, and again where a leg
// needs a fresh one: another branch, or another far end inside the call.
type MediaFactory interface {
	NewMedia(o MediaOptions) (Media, error)
}

// MediaOptions are what a session tells its MediaFactory.
type MediaOptions struct {
	// Previous is the media that the new one replaces inside a call, nil for a
	// leg's first. The application's tracks move over from it, and the new
	// descriptions repeat its m-lines (RFC 3264 §8). The session closes it.
	Previous Media

	// Beside is the media of another branch of the same call, nil if there is
	// none. The new one shares its tracks and readers, and nothing else: its
	// m-lines are those of its own branch. The one that agreed on something last
	// is heard. Both live until the session closes them.
	Beside Media

	// Events report what happens to the media.
	Events MediaEvents
}

// MediaEvents report what happens to a Media by itself. They are called from
// any goroutine, also from within pion's callbacks, and return at once. No
// field is nil.
type MediaEvents struct {
	Connected    func()                            // the path is up: ICE and DTLS are done; also again after the others
	Disconnected func()                            // nothing is heard of the path for now (ICE)
	Failed       func(err error)                   // the path is lost for good
	DTMF         func(digit rune, d time.Duration) // a digit came as RFC 4733 events and ended
}

// A Description is a session description in its MIME type, as it stands in a
// message body.
type Description struct {
	ContentType string // "application/sdp"
	Body        []byte
}

// OfferOptions shape the next description.
type OfferOptions struct {
	// Hold asks for the directions of a held call: sendrecv becomes sendonly,
	// recvonly becomes inactive (RFC 3264 §8.4).
	Hold bool

	// ICERestart asks for fresh ICE credentials and candidates (RFC 8839 §4.4.1).
	ICERestart bool

	// Change is what the application asks for beyond that, in the terms of the
	// Media at hand ([RenegotiateOptions].Change); nil for nothing. It takes
	// effect with the answer: if there is none, nothing has changed.
	Change any
}

// AnswerInfo says what kind of answer SetAnswer gets.
type AnswerInfo struct {
	// Provisional marks early media: an answer in a provisional response, to be
	// followed by the same answer, or that of another fork, in a final one.
	Provisional bool
}

// MediaState is what an offer/answer exchange came to.
type MediaState struct {
	RemoteHold bool // the peer receives nothing of ours: all its m-lines are sendonly or inactive
	LocalHold  bool // our own last description was one of a held call
}

// MuteSet names kinds of media.
type MuteSet struct{ Audio, Video bool }

// What a Media answers when it cannot do what was asked.
var (
	// ErrUnacceptable: nothing of the peer's description can be used; 488.
	ErrUnacceptable = errors.New("session: description not acceptable")
	// ErrFreshMedia: the description names another DTLS identity (RFC 8842 §4)
	// and needs a fresh Media.
	ErrFreshMedia = errors.New("session: description needs fresh media")
	// ErrNoDTMF: the call carries no telephone events (RFC 4733).
	ErrNoDTMF = errors.New("session: telephone-event not negotiated")
	// ErrNotSending: the call does not send at present: it is on hold, or its
	// direction does not let it.
	ErrNotSending = errors.New("session: call does not send")
)
