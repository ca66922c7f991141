package session

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// event is what comes with an input to the INVITE usage.
type event struct {
	end    *EndError
	res    *sip.Response  // the 2xx
	leg    *leg           // whose 2xx it is
	desc   Description    // what the INVITE or the 2xx carries
	code   sip.StatusCode // of the final response to a refused INVITE
	reason string
	fields []sip.Field
}

// step feeds the INVITE usage and performs what it answers.
func (s *Session) step(in usageInput, e event) { // [locked]
	before := s.usage.state
	do := s.usage.step(in)
	if s.usage.state.Ended() && !before.Ended() {
		s.because(e.end)
		s.ackBeforeTheEnd()
	}
	if after := s.usage.state; after != before && !after.Ended() {
		s.tellState(after) // what follows may lead to the next
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
		s.out.ring.Stop()
		s.out.expire.Stop()
		s.out.invite.Cancel(s.parting.all()...)
	}
	if do&doRefuse != 0 {
		s.refuse(e)
	}
	if do&doBye != 0 {
		s.sendBye(e.leg)
	}
	if do&doUp != 0 && !s.usage.state.Ended() {
		s.started = time.Now()
		for _, ch := range s.up {
			close(ch)
		}
		s.up = nil
		s.stands()
		s.takeOver()
		s.leg.wayReady()
	}
	if do&doEnd != 0 {
		s.finish(e.end)
	}
	if do&doRelease != 0 {
		s.release()
	}
}

// hangup ends the call from our side; cause is what was behind it, if anything.
func (s *Session) hangup(cause error) { // [locked]
	s.step(inHangup, event{end: s.hangupEnd(cause), code: sip.StatusTemporarilyUnavailable})
}

// hangupEnd is how a call ends that we hang up now.
func (s *Session) hangupEnd(cause error) *EndError { // [locked]
	end := &EndError{Kind: EndBye, Err: cause}
	switch s.usage.state {
	case Preparing, Calling, Early:
		end.Kind = EndCanceled
	case Ringing, Answering:
		end.Kind = EndRejected
	}
	return end
}

// finish tells the application that the call is over and closes its legs.
func (s *Session) finish(end *EndError) { // [locked]
	s.err, s.ended = end, time.Now()
	s.m.live--
	s.cancel(end)
	s.heir.giveUp()
	for l := range s.legs() {
		l.close(end)
	}
	s.settle()
	s.refuseReferrals(end)
	s.reportEnd(end)
	s.leaves()
	if h := s.handler.State; h != nil {
		s.events.PushFinal(func() { h(s, Terminated) })
	}
}

// closeMedia closes the call's media and those that an exchange has in hand,
// when the worker is done with them.
func (s *Session) closeMedia(present Media, open *exchange) { // [locked]
	if present != nil {
		s.work(func() error { return s.closeOnce(present) }, s.closed)
	}
	if open != nil {
		s.work(func() error {
			if m := open.media; m != nil && m != present && !s.keeps(m) {
				return s.closeOnce(m)
			}
			return nil
		}, s.closed)
	}
}

// closeOnce closes media that an exchange may have had when they were another
// leg's already.
func (s *Session) closeOnce(m Media) error {
	if slices.Contains(s.worker.closed, m) {
		return nil
	}
	s.worker.closed = append(s.worker.closed, m)
	return m.Close()
}

// keeps reports whether media are those of a leg, which closes them itself.
func (s *Session) keeps(m Media) bool {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	for l := range s.legs() {
		if l.media == m {
			return true
		}
	}
	return false
}

func (s *Session) closed(err error) { s.logError("close media", err) } // [locked]

// settle lets WaitAnswered return.
func (s *Session) settle() { // [locked]
	if !s.isSettled() {
		close(s.settled)
	}
}

// release lets go of the call's dialogs and timers: nothing of it is left on
// the wire.
func (s *Session) release() { // [locked]
	for l := range s.legs() {
		if l.dialog != nil {
			s.letGo(l.dialog)
		}
	}
	for _, d := range s.retired {
		s.letGo(d)
	}
	s.retired = nil
	for _, t := range s.timers {
		t.Stop()
	}
	s.timers = nil
	for _, ch := range s.gone {
		close(ch)
	}
	s.gone = nil
	s.m.remove(s)
}

// cause is why the call is over, or ErrState while it is not.
func (s *Session) cause() error { // [locked]
	if s.err != nil {
		return s.err
	}
	return ErrState
}

// errPanic is behind the end of a call whose handler panicked.
var errPanic = errors.New("session: call handler panicked")

// panicked ends a call whose handler did; it is called without the mutex.
func (s *Session) panicked(v any, stack []byte) {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	s.log(slog.LevelError, "call handler panicked", "panic", v, "stack", string(stack))
	s.hangup(errPanic)
}

// log reports an event of the call. The logger is the application's, so it is
// not called with the mutex held.
func (s *Session) log(level slog.Level, msg string, args ...any) {
	args = append([]any{"call_id", s.callID.Load()}, args...)
	s.m.logs.Push(func() { s.m.o.Logger.Log(context.Background(), level, msg, args...) })
}

func (s *Session) logError(what string, err error) {
	if err != nil {
		s.log(slog.LevelWarn, "call: "+what, "error", err)
	}
}

// after runs f in d, unless the timer is stopped or the call is released
// before.
func (s *Session) after(d time.Duration, f func()) *core.Timer { // [locked]
	t := s.m.core.After(d, f)
	s.timers = append(slices.DeleteFunc(s.timers, (*core.Timer).Over), t)
	return t
}
