package session

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// Defaults of Options.
const (
	DefaultNoAnswerTimeout = 60 * time.Second
	DefaultRingTimeout     = 180 * time.Second
	DefaultMaxCalls        = 1024
	DefaultSessionExpires  = 1800 * time.Second // recommended by RFC 4028 §4
	DefaultMinSE           = minInterval * time.Second
)

// Timers of RFC 3261 §17 that the core of a callee runs itself (§13.3.1.4).
const (
	t1 = 500 * time.Millisecond
	t2 = 4 * time.Second
)

// Options configure a Manager.
type Options struct {
	// Core is the UA core that the calls run on.
	Core *core.Core
	// Identity is our own address of record.
	Identity sip.URI
	// Domain completes targets that name none; URI without a user.
	Domain sip.URI
	// KeepTel leaves tel: targets as they are.
	KeepTel bool
	// Media makes the media of calls that bring no factory of their own.
	Media MediaFactory
	// MediaDefaults, if set, completes the factory that a call brings itself.
	MediaDefaults func(MediaFactory) MediaFactory
	// Call gets every incoming call, each on a goroutine of its own. Nil
	// answers 480.
	Call func(*Incoming)
	// Refer gets each REFER that names no call, each on a goroutine of its own; for
	// those of a call see Handler. Nil answers 603.
	Refer func(*Referral)
	// Handler gets the events of calls that bring no Handler of their own.
	Handler Handler
	// NoAnswerTimeout ends an incoming call that nobody decided on, with 480.
	// Zero means DefaultNoAnswerTimeout.
	NoAnswerTimeout time.Duration
	// RingTimeout gives up an outgoing call that nobody answers. Zero means
	// DefaultRingTimeout.
	RingTimeout time.Duration
	// MaxCalls bounds the calls at a time that are not over; beyond it an
	// incoming one gets 486 with Retry-After and an outgoing one
	// ErrTooManyCalls. Zero means DefaultMaxCalls.
	MaxCalls int
	// InfoPackages are the Info Packages that calls take which bring no list of
	// their own (RFC 6086 §5.2.2). None by default.
	InfoPackages []string
	// Reliability says how provisional responses go (RFC 3262). Zero means
	// ReliableSupported, for which the core has to support 100rel.
	Reliability Reliability
	// SessionTimers has calls refresh their session, so that a dead one is noticed
	// (RFC 4028). False: the option tag timer is not in Supported, and what far
	// ends say of session timers has no effect.
	SessionTimers bool
	// SessionExpires is the interval to ask for in which a session has to be
	// refreshed; a longer one that a caller asks for is shortened to it. Zero means
	// DefaultSessionExpires; it is at least MinSE. Fractions of a second are
	// rounded up.
	SessionExpires time.Duration
	// MinSE is the shortest such interval to accept; a shorter one is answered 422
	// (RFC 4028 §9). Zero means DefaultMinSE, the RFC's minimum.
	MinSE time.Duration
	// RefreshMethod is what our refreshes go by, where the far end takes it:
	// UPDATE, which empty means too, or INVITE (RFC 4028 §7.4).
	RefreshMethod sip.Method
	// ForceRefresher makes us the refresher of calls that we make, where the far
	// end would choose (RFC 4028 §7.1).
	ForceRefresher bool
	// AskOnReplacement offers to Call, as any other, an INVITE by which the far end of
	// a call replaces the dialog of that very call; see [Incoming.Replaces]. False:
	// the call goes on in the new dialog and nobody is asked.
	AskOnReplacement bool
	// MediaRecovery says what calls do about a media path that is lost. Zero means
	// MediaRestart.
	MediaRecovery MediaRecovery
	// Condition is told of each change of a call's Condition, with the one before,
	// besides the call's own Handler. It is called with the core's mutex held and
	// must not block. Nil: nobody is told.
	Condition func(s *Session, now, was Condition)
	// Logger gets what goes wrong without anybody to return it to. Nil
	// discards.
	Logger *slog.Logger
}

// ErrTooManyCalls is returned when Options.MaxCalls calls are up.
var ErrTooManyCalls = errors.New("session: too many calls")

// Manager has the calls of one UA: it makes the outgoing ones and takes the
// incoming ones. A program uses it through sipua.UA.
type Manager struct {
	core *core.Core
	o    Options
	logs *core.Queue

	// guarded by the core's mutex
	sessions  map[*Session]struct{}    // until nothing of them is left on the wire
	live      int                      // of them, those that are not over for the application
	idle      []chan struct{}          // closed when sessions is empty
	closed    error                    // no new calls
	refs      map[*references]struct{} // that have a subscription
	ended     endedDialogs
	farewells map[*farewell]struct{} // that are to be sent again
	flows     flowPaths
}

// NewManager returns a Manager and takes over the core's INVITE requests, and
// those that belong into calls.
func NewManager(o Options) *Manager {
	if o.NoAnswerTimeout == 0 {
		o.NoAnswerTimeout = DefaultNoAnswerTimeout
	}
	if o.RingTimeout == 0 {
		o.RingTimeout = DefaultRingTimeout
	}
	if o.MaxCalls == 0 {
		o.MaxCalls = DefaultMaxCalls
	}
	if o.SessionExpires == 0 {
		o.SessionExpires = DefaultSessionExpires
	}
	o.MinSE = max(o.MinSE, DefaultMinSE)
	o.SessionExpires = max(o.SessionExpires, o.MinSE)
	if o.MediaRecovery == MediaDefault {
		o.MediaRecovery = MediaRestart
	}
	if o.RefreshMethod == "" {
		o.RefreshMethod = sip.UPDATE
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Manager{core: o.Core, o: o, logs: o.Core.NewQueue(nil), sessions: map[*Session]struct{}{}, refs: map[*references]struct{}{}, farewells: map[*farewell]struct{}{}}
	o.Core.Lock()
	defer o.Core.Unlock()
	if o.SessionTimers {
		o.Core.Support(optionTimer)
	}
	o.Core.Handle(sip.INVITE, m.receiveInvite)
	o.Core.Handle(sip.REFER, m.receiveRefer)
	o.Core.Handle(sip.SUBSCRIBE, receiveSubscribe)
	o.Core.HandleReplaces(m.receiveReplaces)
	o.Core.WatchFlows(m.noteFlow)
	o.Core.WatchFlows(m.flowChanged)
	o.Core.WatchReady(m.movePaths)
	o.Core.WatchReady(m.flowReady)
	o.Core.WatchReady(m.restartPaths)
	for _, method := range []sip.Method{sip.BYE, sip.UPDATE, sip.INFO, sip.NOTIFY} {
		o.Core.Handle(method, outside)
	}
	return m
}

// Sessions returns the calls that are not over yet, in no order.
func (m *Manager) Sessions() []*Session {
	m.core.Lock()
	defer m.core.Unlock()
	all := make([]*Session, 0, len(m.sessions))
	for s := range m.sessions {
		if !s.usage.state.Ended() {
			all = append(all, s)
		}
	}
	return all
}

// Busy reports whether any call is up or being set up.
func (m *Manager) Busy() bool {
	m.core.Lock()
	defer m.core.Unlock()
	return len(m.sessions) > 0
}

// HangupAll ends every call politely, each as its state asks: BYE, CANCEL or
// 480. New ones are refused from now on.
func (m *Manager) HangupAll() {
	m.core.Lock()
	defer m.core.Unlock()
	if m.closed == nil {
		m.closed = net.ErrClosed
	}
	for s := range m.sessions {
		s.hangup(nil)
	}
}

// Wait returns when no call is left on the wire, or with ctx's cause.
func (m *Manager) Wait(ctx context.Context) error {
	m.core.Lock()
	if len(m.sessions) == 0 {
		m.core.Unlock()
		return nil
	}
	idle := make(chan struct{})
	m.idle = append(m.idle, idle)
	m.core.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close drops every call at once and refuses new ones. The media end in the
// background; the core waits for them.
func (m *Manager) Close() {
	m.core.Lock()
	defer m.core.Unlock()
	m.closed = net.ErrClosed
	for s := range m.sessions {
		s.step(inClose, event{end: &EndError{Kind: EndClosed, Err: net.ErrClosed}})
	}
	for r := range m.refs {
		r.gone(net.ErrClosed)
	}
	for f := range m.farewells {
		f.timer.Stop()
		delete(m.farewells, f)
	}
}

// factory is what makes the media of a call that brings own, or nil.
func (m *Manager) factory(own MediaFactory) MediaFactory {
	switch {
	case own == nil:
		return m.o.Media
	case m.o.MediaDefaults != nil:
		return m.o.MediaDefaults(own)
	}
	return own
}

func (m *Manager) remove(s *Session) { // [locked]
	delete(m.sessions, s)
	if len(m.sessions) > 0 {
		return
	}
	for _, ch := range m.idle {
		close(ch)
	}
	m.idle = nil
}
