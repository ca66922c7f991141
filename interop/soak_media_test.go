//go:build interop

package interop_test

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/gosipua/sipua/session"
)

// silence makes media that agree on everything and carry nothing, so that many calls need little of the machine.
type silence struct{}

func (silence) NewMedia(o session.MediaOptions) (session.Media, error) {
	return &silentMedia{events: o.Events}, nil
}

type silentMedia struct {
	events session.MediaEvents
	hold   bool // in the last description of ours
}

func (m *silentMedia) describe(hold, held bool) session.Description {
	direction := "sendrecv"
	switch {
	case hold && held:
		direction = "inactive"
	case hold:
		direction = "sendonly"
	case held:
		direction = "recvonly"
	}
	m.hold = hold
	return session.Description{ContentType: "application/sdp", Body: fmt.Appendf(nil, "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n"+
		"c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=%s\r\n", direction)}
}

func (m *silentMedia) state(theirs session.Description) session.MediaState {
	return session.MediaState{LocalHold: m.hold, RemoteHold: holds(theirs)}
}

func holds(d session.Description) bool {
	return bytes.Contains(d.Body, []byte("a=sendonly\r\n")) || bytes.Contains(d.Body, []byte("a=inactive\r\n"))
}

func (m *silentMedia) Offer(_ context.Context, o session.OfferOptions) (session.Description, error) {
	return m.describe(o.Hold, false), nil
}

func (m *silentMedia) SetAnswer(_ context.Context, answer session.Description, _ session.AnswerInfo) (session.MediaState, error) {
	m.events.Connected()
	return m.state(answer), nil
}

func (m *silentMedia) Answer(_ context.Context, offer session.Description, o session.OfferOptions) (session.Description, session.MediaState, error) {
	answer := m.describe(o.Hold, holds(offer))
	m.events.Connected()
	return answer, m.state(offer), nil
}

func (*silentMedia) Abandon()                                            {}
func (*silentMedia) Mute(session.MuteSet, bool)                          {}
func (*silentMedia) SendDTMF(context.Context, rune, time.Duration) error { return session.ErrNoDTMF }
func (*silentMedia) Close() error                                        { return nil }
