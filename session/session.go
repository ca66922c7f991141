package session

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/dialog"
)

// Direction says who started a call.
type Direction uint8

// The two directions.
const (
	Outbound Direction = iota // we did
	Inbound                   // the far end did
)

// String returns "outbound" or "inbound".
func (d Direction) String() string {
	if d == Outbound {
		return "outbound"
	}
	return "inbound"
}

// Session is one call, from the moment it is dialled or offered until it is
// over. It stays the same value when its dialog or its media are replaced.
//
// All methods may be called at any time, from any goroutine and from any
// handler. Those that exchange a message with the far end take a context that
// bounds the waiting alone: what has left is finished by the session.
type Session struct {
	m         *Manager
	direction Direction
	callID    atomic.Value // string
	ctx       context.Context
	cancel    context.CancelCauseFunc
	events    *core.Queue
	settled   chan struct{} // closed when the call is up with its media, or over
	hasMedia  chan struct{} // closed when media is set for the first time
	worker    worker

	// guarded by the core's mutex
	usage      usage
	leg        *leg             // what the call is about now
	heir       *heir            // is to take its place, or does
	retired    []*dialog.Dialog // whose place was taken
	timing     timerTerms
	handler    Handler
	factory    MediaFactory
	muted      MuteSet
	condition  Condition
	recovery   MediaRecovery // of the media path
	packages   []string      // Info Packages we take
	local      sip.NameAddr
	remote     sip.NameAddr
	asserted   []sip.NameAddr
	started    time.Time
	ended      time.Time
	err        *EndError
	parting    parting // of the BYE or CANCEL to come
	timers     []*core.Timer
	refs       []*references   // refer subscriptions, by dialog
	referrals  []*Referral     // that wait for a decision
	report     *subscription   // who referred us hears how the call goes; nil: nobody did
	successors []*Session      // calls that want the place of this one
	dialling   []*dialling     // the first has its turn
	dialNext   time.Time       // of the next digit at the earliest
	up         []chan struct{} // closed when the ACK to our 2xx is here
	gone       []chan struct{} // closed when nothing of the call is left on the wire

	out *outgoing // the caller's side of the INVITE
	in  *incoming // the callee's side of the INVITE
}

// newSession returns a session in state st, and the reason where no more calls
// are taken. room is for a call that will take the place of another.
func (m *Manager) newSession(dir Direction, callID string, st State, room int) (*Session, error) { // [locked]
	switch {
	case m.closed != nil:
		return nil, m.closed
	case m.live >= m.o.MaxCalls+room:
		return nil, ErrTooManyCalls
	}
	s := &Session{m: m, direction: dir, settled: make(chan struct{}), hasMedia: make(chan struct{})}
	s.callID.Store(callID)
	s.timing, s.recovery = m.o.newTerms(), m.o.MediaRecovery
	s.leg = s.newLeg()
	s.usage.state = st
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.events = m.core.NewQueue(s.panicked)
	m.sessions[s] = struct{}{}
	m.live++
	return s, nil
}

// Context ends when the call is over for the application; context.Cause is
// then an *EndError that says who ended it and why.
func (s *Session) Context() context.Context { return s.ctx }

// Direction says who started the call.
func (s *Session) Direction() Direction { return s.direction }

// State is where the call stands now.
func (s *Session) State() State {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	return s.usage.state
}

// CallID is the Call-ID of the call's dialog, before there is any that of its
// INVITE. It changes where a new dialog takes the place of one that a connection
// went with, or the call is placed again.
func (s *Session) CallID() string {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	if s.leg.dialog != nil {
		return s.leg.dialog.ID().CallID
	}
	return s.callID.Load().(string)
}

// LocalIdentity is our own side's name and address.
func (s *Session) LocalIdentity() sip.NameAddr {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	return s.local
}

// RemoteIdentity is the far end's name and address as it gave them; see
// AssertedIdentity for what a server vouches for. A call of ours names whom it
// dialled, also where it was redirected or forked, until the far end says
// otherwise.
func (s *Session) RemoteIdentity() sip.NameAddr {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	return s.remote
}

// AssertedIdentity has the identities of the far end that its server asserts,
// those of the newest message that has any; empty if none (P-Asserted-Identity,
// RFC 3325 §9.1).
func (s *Session) AssertedIdentity() []sip.NameAddr {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	return slices.Clone(s.asserted)
}

// Times returns when the call came up and when it ended; zero for what has
// not happened.
func (s *Session) Times() (up, end time.Time) {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	return s.started, s.ended
}

// Media is the media of the call at present, nil before there is one.
func (s *Session) Media() Media {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	if m := s.leg.media; m != nil {
		return m
	}
	return s.leg.previous()
}

// WaitMedia returns the media of the call as soon as there is any, early media
// included. The error is why the call ended before, or ctx's cause; the end of
// ctx ends the waiting only.
func (s *Session) WaitMedia(ctx context.Context) (Media, error) {
	select {
	case <-s.hasMedia:
	case <-s.ctx.Done():
	case <-ctx.Done():
	}
	if m := s.Media(); m != nil {
		return m, nil
	}
	if err := context.Cause(s.ctx); err != nil {
		return nil, err
	}
	return nil, context.Cause(ctx)
}

// Dialog identifies the call's dialog (RFC 3261 §12): the confirmed one, or of
// the early ones that with the newest early media, else the newest. The zero value before there is any.
func (s *Session) Dialog() dialog.ID {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	if s.leg.dialog == nil {
		return dialog.ID{}
	}
	return s.leg.dialog.ID()
}

// WaitAnswered returns nil once the call is up, and the reason when it comes
// to nothing: an *EndError around the *sip.ResponseError of a refusal. The
// end of ctx ends the waiting only.
func (s *Session) WaitAnswered(ctx context.Context) error {
	select {
	case <-s.settled:
	case <-ctx.Done():
		if !s.isSettled() { // what is known already does not depend on ctx
			return context.Cause(ctx)
		}
	}
	s.m.core.Lock()
	defer s.m.core.Unlock()
	if s.err != nil {
		return s.err
	}
	return nil
}

func (s *Session) isSettled() bool {
	select {
	case <-s.settled:
		return true
	default:
		return false
	}
}

// waitConfirmed waits for the caller's ACK where our 2xx is out: what comes
// between the two many peers refuse.
func (s *Session) waitConfirmed(ctx context.Context) error {
	c := s.m.core
	c.Lock()
	if s.usage.state != Accepted {
		c.Unlock()
		return nil
	}
	up := make(chan struct{})
	s.up = append(s.up, up)
	c.Unlock()
	select {
	case <-up:
	case <-s.ctx.Done():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}
