package session

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/dialog"
)

// Incoming is a call that waits for a decision: Answer, Reject or Redirect.
// The decision may come later and from any goroutine; until then the caller
// hears ringing, which starts by itself, and after Options.NoAnswerTimeout it
// gets 480.
type Incoming struct {
	s *Session
}

// AnswerOptions shape the answer to a call. Nil means all defaults.
type AnswerOptions struct {
	// Media makes the media of this call; nil means the UA's own.
	Media MediaFactory
	// Handler gets the call's events; nil means Config.Handler.Session.
	Handler *Handler
	// Headers are added to the 200.
	Headers []sip.Field
}

// ProgressOptions shape a provisional response.
type ProgressOptions struct {
	// Code is the status, 101 to 199; zero means 183.
	Code sip.StatusCode
	// Reason replaces the RFC's reason phrase.
	Reason string
	// Headers are added to the response.
	Headers []sip.Field
}

// RejectOptions shape a refusal.
type RejectOptions struct {
	// Reason replaces the RFC's reason phrase.
	Reason string
	// Headers are added to the response.
	Headers []sip.Field
}

// incoming is the callee's side of an INVITE.
type incoming struct {
	req     *core.Incoming
	headers []sip.Field   // for the 200
	sent    chan struct{} // closed when the 200 is out or the call over
	ring    *timer        // repeats the provisional response
	decide  *timer        // no answer
	expire  *timer        // the INVITE's Expires
	last    *ringing
}

// ringing is the provisional response to repeat.
type ringing struct {
	code   sip.StatusCode
	reason string
	fields []sip.Field
}

// receiveInvite takes an INVITE outside any dialog.
func (m *Manager) receiveInvite(in *core.Incoming) { // [locked]
	req := in.Request()
	if m.o.Call == nil || m.closed != nil {
		in.Reply(sip.StatusTemporarilyUnavailable, "")
		return
	}
	if !m.acceptable(in) {
		return
	}
	d, err := dialog.NewServer(req, in.Tag())
	if err != nil {
		in.Reply(sip.StatusBadRequest, "Contact missing or malformed")
		return
	}
	s := m.newSession(Inbound, Ringing)
	if err := m.add(s); err != nil {
		s.cancel(err)
		in.Reply(sip.StatusBusyHere, "", sip.Field{Name: "Retry-After", Value: "10"})
		return
	}
	s.callID, s.local, s.remote = req.CallID(), req.To(), req.From()
	s.dialog = d
	s.in = &incoming{req: in, sent: make(chan struct{})}
	s.setHandler(nil)
	s.noteIdentity(req)
	m.core.Attach(d, s)
	in.OnCancel = s.canceled
	in.OnLost = func(err error) {
		s.step(inLost, event{end: &EndError{Kind: EndTransportLost, Err: err}})
	}
	s.ring(&ringing{code: sip.StatusRinging})
	s.in.decide = s.after(m.o.NoAnswerTimeout, func() {
		s.step(inNoAnswer, event{code: sip.StatusTemporarilyUnavailable, end: &EndError{Kind: EndNoAnswer}})
	})
	if sec, ok := req.Expires(); ok && sec > 0 {
		s.in.expire = s.after(time.Duration(sec)*time.Second, func() {
			s.step(inNoAnswer, event{code: sip.StatusRequestTerminated, end: &EndError{Remote: true, Kind: EndExpired}})
		})
	}
	go s.offerToApplication()
}

// acceptable refuses an INVITE or UPDATE whose body we cannot read
// (RFC 3261 §8.2.3).
func (m *Manager) acceptable(in *core.Incoming) bool { // [locked]
	req := in.Request()
	encoding := req.Header("Content-Encoding")
	if len(req.Body()) == 0 || (req.ContentType() == sdpType && (encoding == "" || encoding == "identity")) {
		return true
	}
	if optionalBody(req) {
		return true
	}
	in.Reply(sip.StatusUnsupportedMediaType, "", sip.Field{Name: "Accept", Value: sdpType}, sip.Field{Name: "Accept-Encoding", Value: "identity"})
	return false
}

// offerToApplication hands the call to Options.Call, as net/http hands over a
// request: on a goroutine of its own that may live as long as the call.
func (s *Session) offerToApplication() {
	defer func() {
		if v := recover(); v != nil {
			s.m.log.Error("call handler panicked", "call_id", s.CallID(), "panic", v, "stack", string(debug.Stack()))
			s.m.core.Lock()
			defer s.m.core.Unlock()
			s.hangup(errPanic)
		}
	}()
	s.m.o.Call(&Incoming{s: s})
}

// Context ends when the call can no longer be answered, or later when the
// answered call ends; context.Cause says why.
func (in *Incoming) Context() context.Context { return in.s.ctx }

// From is the caller as it names itself; AssertedIdentity what a server
// vouches for.
func (in *Incoming) From() sip.NameAddr { return in.s.RemoteIdentity() }

// To is whom the caller asked for.
func (in *Incoming) To() sip.NameAddr { return in.s.LocalIdentity() }

// AssertedIdentity has the identities of the caller that its server asserts
// (RFC 3325 §9.1).
func (in *Incoming) AssertedIdentity() []sip.NameAddr { return in.s.AssertedIdentity() }

// CallID is the Call-ID of the call, which the Session of an answered one
// keeps.
func (in *Incoming) CallID() string { return in.s.CallID() }

// Request is the INVITE as it came; read-only.
func (in *Incoming) Request() *sip.Request { return in.s.in.req.Request() }

// Ring sends 180 again, or for the first time after a Progress. It happens by
// itself when the call comes in, and once a minute.
func (in *Incoming) Ring() error {
	return in.Progress(&ProgressOptions{Code: sip.StatusRinging})
}

// Progress sends a provisional response of the application's choice
// (RFC 3261 §13.3.1.1); it is repeated once a minute until the next one or the
// decision. Nil options mean a plain 183.
func (in *Incoming) Progress(o *ProgressOptions) error {
	r := ringing{code: sip.StatusSessionProgress}
	if o != nil {
		if o.Code != 0 {
			r.code = o.Code
		}
		r.reason, r.fields = o.Reason, o.Headers
	}
	if r.code <= sip.StatusTrying || !r.code.IsProvisional() {
		return ErrState
	}
	return in.decide(func(s *Session) { s.ring(&r) }, r.reason, r.fields)
}

// Reject refuses the call with a final status of 400 to 699; nil options mean
// the RFC's reason phrase and no more.
func (in *Incoming) Reject(code sip.StatusCode, o *RejectOptions) error {
	if code < 400 || code > 699 {
		return ErrState
	}
	if o == nil {
		o = &RejectOptions{}
	}
	return in.decide(func(s *Session) {
		s.step(inReject, event{code: code, reason: o.Reason, fields: o.Headers, end: &EndError{Kind: EndRejected}})
	}, o.Reason, o.Headers)
}

// Redirect refers the caller to other addresses with 302 (RFC 3261 §21.3.3).
func (in *Incoming) Redirect(contacts ...sip.NameAddr) error {
	if len(contacts) == 0 {
		return ErrState
	}
	fields := make([]sip.Field, 0, len(contacts))
	for _, c := range contacts {
		fields = append(fields, sip.Field{Name: "Contact", Value: c.String()})
	}
	return in.decide(func(s *Session) {
		s.step(inReject, event{code: sip.StatusMovedTemporarily, fields: fields, end: &EndError{Kind: EndRejected}})
	}, "", fields)
}

// decide makes a move while the call waits for a decision.
func (in *Incoming) decide(move func(*Session), reason string, fields []sip.Field) error {
	if err := checkFields(reason, fields); err != nil {
		return err
	}
	s := in.s
	s.m.core.Lock()
	defer s.m.core.Unlock()
	if s.usage.state != Ringing {
		return s.cause()
	}
	move(s)
	return nil
}

// checkFields refuses what a setter refuses, before anything happens.
func checkFields(reason string, fields []sip.Field) error {
	probe := &sip.Response{}
	err := probe.SetStatus(sip.StatusOK, reason)
	for _, f := range fields {
		err = errors.Join(err, probe.AddHeader(f.Name, f.Value))
	}
	return err
}

// Answer accepts the call: it makes the media, answers the caller's offer, or
// makes one where the caller left that to us, and returns when the 200 is on
// its way. The Session is Confirmed with the caller's ACK. When ctx ends first
// the call is refused with 480 and Answer returns ctx's cause; afterwards ctx
// has no effect on the call.
func (in *Incoming) Answer(ctx context.Context, o *AnswerOptions) (*Session, error) {
	if o == nil {
		o = &AnswerOptions{}
	}
	if err := checkFields("", o.Headers); err != nil {
		return nil, err
	}
	s := in.s
	c := s.m.core
	c.Lock()
	if s.usage.state != Ringing {
		defer c.Unlock()
		return nil, s.cause()
	}
	s.factory = s.m.factory(o.Media)
	s.setHandler(o.Handler)
	s.in.headers = o.Headers
	s.step(inAnswer, event{})
	c.Unlock()
	select {
	case <-s.in.sent:
	case <-s.ctx.Done():
	case <-ctx.Done():
		c.Lock()
		if s.usage.state == Answering {
			s.hangup(context.Cause(ctx))
		}
		c.Unlock()
	}
	c.Lock()
	defer c.Unlock()
	switch {
	case s.usage.state == Accepted || s.usage.state == Confirmed:
		return s, nil
	case ctx.Err() != nil && !s.started.IsZero():
		return nil, context.Cause(ctx)
	}
	return nil, s.cause()
}

// ring sends a provisional response and repeats it every minute.
func (s *Session) ring(r *ringing) { // [locked]
	s.in.last = r
	s.in.req.Reply(r.code, r.reason, r.fields...)
	s.in.ring.stop()
	s.in.ring = s.after(ringInterval, func() { s.ring(s.in.last) })
}

// canceled takes the CANCEL, which has its 200 already (RFC 3261 §9.2).
func (s *Session) canceled(cancel *sip.Request) { // [locked]
	s.step(inCancel, event{code: sip.StatusRequestTerminated, end: &EndError{
		Remote: true, Kind: EndCanceled, Reason: cancel.Headers("Reason"),
	}})
}

// refuse sends the final response of a call that is not to be.
func (s *Session) refuse(e event) { // [locked]
	s.in.stopTimers()
	code := e.code
	if code == 0 {
		code = sip.StatusTemporarilyUnavailable
	}
	s.in.req.Reply(code, e.reason, e.fields...)
}

func (i *incoming) stopTimers() { // [locked]
	i.ring.stop()
	i.decide.stop()
	i.expire.stop()
}

// makeAnswer has the Media answer the INVITE's offer, or make one where it
// carries none (RFC 3261 §13.3.1.4).
func (s *Session) makeAnswer() { // [locked]
	s.in.decide.stop()
	ready := func(d Description) { s.step(inAnswerReady, event{desc: d}) }
	failed := func(code sip.StatusCode, why error) {
		s.step(inMediaFailed, event{code: code, fields: warning(why), end: &EndError{Kind: EndMediaFailed, Err: why}})
	}
	if d, ok := descriptionOf(s.in.req.Request()); ok {
		s.offerCame(&exchange{sendAnswer: ready, refuse: failed}, d)
		return
	}
	s.offer(&exchange{sendOffer: ready, done: func(err error) {
		if err != nil {
			failed(sip.StatusServerInternalError, err)
		} else {
			s.settle()
		}
	}})
}

// sendAccept sends the 200 and repeats it until the ACK comes.
func (s *Session) sendAccept(d Description) { // [locked]
	s.in.stopTimers()
	s.dialog.SetState(dialog.Confirmed)
	s.respondOffer(s.in.req, d, s.in.headers)
	close(s.in.sent)
	if s.oa.state == oaStable || s.oa.state == oaAnswering {
		s.settle()
	}
}
