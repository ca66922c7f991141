package session

import (
	"log/slog"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// LostError is behind the end of a call of ours whose connection went while it
// was being set up: nothing was heard of its INVITE since. It is in Err of an
// EndError of kind EndTransportLost.
type LostError struct {
	// Again reports that the call had been placed again before, see
	// [CallOptions.PlaceAgain].
	Again bool
	// Err is why the connection went; it is net.ErrClosed, too.
	Err error
}

// Error says so in one line.
func (e *LostError) Error() string {
	return "session: connection lost while the call was set up: " + e.Err.Error()
}

// Unwrap returns Err.
func (e *LostError) Unwrap() error { return e.Err }

// former is an INVITE that was given up for another one of the same call.
type former struct {
	invite *core.Outgoing
	forks  []*leg
}

// setupCut takes the loss of a flow by the calls that are being set up.
func (m *Manager) setupCut() { // [locked]
	_, _, ready := m.core.ReadyFlow()
	for s := range m.sessions {
		err := s.inviteLost()
		if err == nil {
			continue
		}
		s.settingUp(suCut, err)
		switch {
		case !ready:
			s.settingUp(suBare, err)
		case s.out.setup.state == setupCut: // there are two flows
			s.settingUp(suReady, err)
		}
	}
}

// setupReady takes a flow that is ready, likewise.
func (m *Manager) setupReady() { // [locked]
	for s := range m.sessions {
		if err := s.inviteLost(); err != nil {
			s.settingUp(suReady, err)
		}
	}
}

// inviteLost is why the flow of the INVITE that is out is gone, nil where it is
// not.
func (s *Session) inviteLost() error { // [locked]
	if s.out == nil || !s.isCalling() {
		return nil
	}
	return s.out.invite.Lost()
}

// settingUp feeds the machine of the call that is being set up, does what it
// answers and reports whether the call is placed again. err is why the flow of
// the INVITE is gone.
func (s *Session) settingUp(in setupInput, err error) (again bool) { // [locked]
	out := s.out
	do := out.setup.step(in)
	if do&suStop != 0 {
		out.listen.Stop()
	}
	if do&suStart != 0 {
		out.listen = s.after(listenFor, s.unheard)
	}
	if do&suAgain != 0 {
		s.log(slog.LevelWarn, "call: placed again", "error", err)
		s.placeAgain()
	}
	if do&suLose != 0 {
		s.step(inRingTimeout, event{end: s.lost(err)})
	}
	return do&suAgain != 0
}

// unheard gives an INVITE up that nothing was heard of on the next flow.
func (s *Session) unheard() { // [locked]
	if err := s.inviteLost(); err != nil {
		s.settingUp(suDue, err)
	} else { // the core answered a challenge, or the call is over
		s.settingUp(suHeard, nil)
	}
}

// lost is how a call ends whose connection went while it was being set up.
func (s *Session) lost(err error) *EndError { // [locked]
	return &EndError{Kind: EndTransportLost, Err: &LostError{Again: s.out.former != nil, Err: err}}
}

// inviteOver takes the end of the INVITE without a final response.
func (s *Session) inviteOver(err error) { // [locked]
	end := inviteFailure(err)
	if end.Kind == EndTransportLost && s.out.invite.Sent() != nil {
		if s.isCalling() && s.settingUp(suOver, err) {
			return
		}
		end = s.lost(err)
	}
	s.inviteFailed(end, nil)
}

// place sends the INVITE o.
func (s *Session) place(o *core.Outgoing) { // [locked]
	out := s.out
	given := func() bool { return out.former != nil && out.former.invite == o }
	o.OnResponse = func(res *sip.Response) {
		if given() {
			s.answeredLate(res)
		} else {
			s.inviteResponse(res)
		}
	}
	o.OnFail = func(err error) {
		if !given() {
			s.inviteOver(err)
		}
	}
	o.OnDone = func() {
		if !given() {
			s.forgetEarlyForks()
		}
	}
	out.invite = o
	s.m.core.Send(o)
	if sent := o.Sent(); sent != nil {
		s.local = sent.From()
	}
}

// placeAgain gives the INVITE up and begins with another one: its early dialogs
// die with it.
func (s *Session) placeAgain() { // [locked]
	out := s.out
	out.former = &former{invite: out.invite, forks: out.forks}
	out.invite.Cancel()
	s.startOver()
	out.response, out.next = nil, nil
	s.inviteAnew()
}

// renewed sends the INVITE of a call that is placed again, with d where the
// offer is a new one.
func (s *Session) renewed(d Description) { // [locked]
	o := s.out.former.invite.Renew()
	if o == nil {
		s.step(inFailure, event{end: &EndError{Kind: EndInternal, Err: errNotSent}})
		return
	}
	s.logError("body of INVITE", d.into(o.Request))
	s.callID.Store(o.Request.CallID())
	s.place(o)
}

// answeredLate takes a 2xx to the INVITE that was given up: the far end was
// faster than the CANCEL, or never got it.
func (s *Session) answeredLate(res *sip.Response) { // [locked]
	if !res.StatusCode().IsSuccess() {
		return
	}
	f := s.out.former
	l := findFork(f.forks, res)
	if l == nil {
		if l = s.newFork(f.invite, res); l == nil {
			return
		}
		f.forks = append(f.forks, l)
	}
	if l.resend != nil {
		l.resend()
		return
	}
	l.decline(res)
	if l.end == nil {
		s.byeTo(l.dialog, func() {})
	}
}
