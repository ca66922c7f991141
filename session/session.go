package session

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/dialog"
)

// Direction says who started a call.
type Direction uint8

// The two directions.
const (
	Outgoing Direction = iota
	Inbound
)

// String returns "outgoing" or "incoming".
func (d Direction) String() string {
	if d == Outgoing {
		return "outgoing"
	}
	return "incoming"
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
	ctx       context.Context
	cancel    context.CancelCauseFunc
	events    *core.Queue
	settled   chan struct{} // closed when the call is up with its media, or over
	worker    worker

	// guarded by the core's mutex
	usage    usage
	oa       offerAnswer
	open     *exchange   // the exchange that oa is about
	waiting  []*exchange // ours, for later
	origin   origin
	handler  Handler
	factory  MediaFactory
	media    Media
	source   *mediaTag // of media
	muted    MuteSet
	holding  MediaState
	dialog   *dialog.Dialog // confirmed, or the callee's early one
	local    sip.NameAddr
	remote   sip.NameAddr
	asserted []sip.NameAddr
	callID   string
	started  time.Time
	ended    time.Time
	err      *EndError
	byebye   sip.Field // Reason of the BYE to come, or zero
	timers   []*timer
	glare    *timer // until our offer is made again

	out    *outgoing      // the caller's side of the INVITE
	in     *incoming      // the callee's side of the INVITE
	accept *acceptance    // a 2xx of ours that waits for its ACK
	inv    *core.Outgoing // our re-INVITE or UPDATE under way
}

// newSession returns a session in state st with its context and queue.
func (m *Manager) newSession(dir Direction, st State) *Session { // [locked]
	s := &Session{m: m, direction: dir, settled: make(chan struct{})}
	s.usage.state = st
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.events = m.core.NewQueue(func(v any, stack []byte) {
		m.log.Error("call handler panicked", "call_id", s.callID, "panic", v, "stack", string(stack))
		m.core.Lock()
		defer m.core.Unlock()
		s.hangup(errPanic)
	})
	return s
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

// CallID is the Call-ID of the call, the same for all its dialogs.
func (s *Session) CallID() string {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	return s.callID
}

// LocalIdentity is our own side's name and address.
func (s *Session) LocalIdentity() sip.NameAddr {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	return s.local
}

// RemoteIdentity is the far end's name and address as it gave them; see
// AssertedIdentity for what a server vouches for.
func (s *Session) RemoteIdentity() sip.NameAddr {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	return s.remote
}

// AssertedIdentity has the identities of the far end that its server asserts,
// newest first named; empty if none (P-Asserted-Identity, RFC 3325 §9.1).
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
	return s.media
}

// Dialog identifies the call's dialog (RFC 3261 §12): the confirmed one, or
// the newest early one. The zero value before there is any.
func (s *Session) Dialog() dialog.ID {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	if s.dialog == nil {
		return dialog.ID{}
	}
	return s.dialog.ID()
}

// WaitAnswered returns nil once the call is up, and the reason when it comes
// to nothing: an *EndError around the *sip.ResponseError of a refusal. The
// end of ctx ends the waiting only.
func (s *Session) WaitAnswered(ctx context.Context) error {
	select {
	case <-s.settled:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.m.core.Lock()
	defer s.m.core.Unlock()
	if s.err != nil {
		return s.err
	}
	return nil
}

// Hangup ends the call, whatever its state: BYE, CANCEL or a 480. It returns
// when the far end has confirmed, or with ctx's cause while the session
// finishes in the background. Ending a call that is over does nothing.
func (s *Session) Hangup(ctx context.Context) error {
	c := s.m.core
	c.Lock()
	s.hangup(nil)
	if s.usage.state == Terminated {
		c.Unlock()
		return nil
	}
	gone := make(chan struct{})
	s.worker.gone = append(s.worker.gone, gone)
	c.Unlock()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// hangup ends the call from our side; cause is what was behind it, if anything.
func (s *Session) hangup(cause error) { // [locked]
	end := &EndError{Kind: EndBye, Err: cause}
	switch s.usage.state {
	case Preparing, Calling, Early:
		end.Kind = EndCanceled
	case Ringing, Answering:
		end.Kind = EndRejected
	}
	s.step(inHangup, event{end: end, code: sip.StatusTemporarilyUnavailable})
}

// event is what comes with an input to the INVITE usage.
type event struct {
	end    *EndError
	in     *core.Incoming // the BYE
	res    *sip.Response  // the 2xx
	fork   *fork          // the dialog of the 2xx
	desc   Description    // what the INVITE or the 2xx carries
	code   sip.StatusCode // of the final response to a refused INVITE
	reason string
	fields []sip.Field
}

// step feeds the INVITE usage and performs what it answers.
func (s *Session) step(in usageInput, e event) { // [locked]
	before := s.usage.state
	do := s.usage.step(in)
	if do&doOK != 0 && e.in != nil {
		e.in.Reply(sip.StatusOK, "")
	}
	if do&doInvite != 0 {
		s.sendInvite(e.desc)
	}
	if do&doACK != 0 {
		s.acknowledge(e, do&doBye == 0)
	}
	if do&doMakeAnswer != 0 {
		s.makeAnswer()
	}
	if do&doAccept != 0 {
		s.sendAccept(e.desc)
	}
	if do&doCancel != 0 {
		s.sendCancel(e)
	}
	if do&doRefuse != 0 {
		s.refuse(e)
	}
	if do&doBye != 0 {
		s.sendBye(e.fork)
	}
	if do&doUp != 0 {
		s.started = time.Now()
	}
	if after := s.usage.state; after != before && !after.Ended() {
		s.emitState(after)
	}
	if do&doEnd != 0 {
		s.finish(e.end)
	}
	if do&doRelease != 0 {
		s.release()
	}
}

// finish tells the application that the call is over and closes its media.
func (s *Session) finish(end *EndError) { // [locked]
	if end == nil {
		end = &EndError{Kind: EndBye}
	}
	s.err, s.ended = end, time.Now()
	s.cancel(end)
	s.oa.step(oaEnd)
	pending := s.waiting
	if s.open != nil {
		pending = append(pending, s.open)
	}
	s.open, s.waiting = nil, nil
	for _, x := range pending {
		x.finish(end)
	}
	if media := s.media; media != nil {
		s.work(func() { s.logError("close media", media.Close()) }, nil)
	}
	s.settle()
	if h := s.handler.State; h != nil {
		s.events.PushFinal(func() { h(s, Terminated) })
	}
}

// settle lets WaitAnswered return.
func (s *Session) settle() { // [locked]
	select {
	case <-s.settled:
	default:
		close(s.settled)
	}
}

// release lets go of the call's dialogs and timers: nothing of it is left on
// the wire.
func (s *Session) release() { // [locked]
	if s.dialog != nil {
		s.m.core.Detach(s.dialog)
	}
	if s.out != nil {
		for _, f := range s.out.forks {
			s.m.core.Detach(f.dialog)
		}
	}
	for _, t := range s.timers {
		t.stop()
	}
	s.timers = nil
	for _, ch := range s.worker.gone {
		close(ch)
	}
	s.worker.gone = nil
	s.m.remove(s)
}

// sendBye sends the BYE of the call's dialog, or of a fork's.
func (s *Session) sendBye(f *fork) { // [locked]
	d := s.dialog
	if f != nil {
		d = f.dialog
	}
	if d == nil {
		s.step(inWireDone, event{})
		return
	}
	bye := d.NewRequest(sip.BYE)
	if s.byebye.Name != "" {
		s.logError("reason of BYE", bye.AddHeader(s.byebye.Name, s.byebye.Value))
	}
	done := func() { s.step(inWireDone, event{}) }
	s.m.core.Send(&core.Outgoing{
		Request: bye, Dialog: d,
		OnResponse: func(res *sip.Response) {
			if res.StatusCode().IsFinal() {
				done()
			}
		},
		OnFail: func(error) { done() },
	})
}

// dialogGone ends a call whose peer answered a request of ours that it knows
// the dialog no more (RFC 3261 §12.2.1.2); err is what the request came to.
func (s *Session) dialogGone(err error) { // [locked]
	switch sip.StatusOf(err) {
	case sip.StatusCallDoesNotExist, sip.StatusRequestTimeout:
		s.step(inDialogGone, event{end: &EndError{Remote: true, Kind: EndDialogError, Err: err}})
	}
}

// cause is why the call is over, or ErrState while it is not.
func (s *Session) cause() error { // [locked]
	switch {
	case s.err != nil:
		return s.err
	case s.m.closed != nil:
		return net.ErrClosed
	}
	return ErrState
}

// errPanic is behind the end of a call whose handler panicked.
var errPanic = errors.New("session: call handler panicked")

// noteIdentity takes over what a message of the far end says of its identity.
func (s *Session) noteIdentity(m interface {
	NameAddrs(string) ([]sip.NameAddr, error)
}) { // [locked]
	if ids, err := m.NameAddrs("P-Asserted-Identity"); err == nil && len(ids) > 0 {
		s.asserted = ids
	}
}

func (s *Session) logError(what string, err error) {
	if err != nil {
		s.m.log.Warn("call: "+what, "call_id", s.callID, "error", err)
	}
}
