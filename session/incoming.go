package session

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gosipua/sipua/sip"
)

// Incoming is a call that waits for a decision: Answer, Reject or Redirect.
// The decision may come later and from any goroutine; until then the caller
// hears ringing, which starts by itself, and after Options.NoAnswerTimeout it
// gets 480.
//
// When the connection goes it rings on, and what is decided meanwhile reaches the
// caller over the next one to the same server, or over any where the caller comes
// again by itself. After the core's RecoveryLimit (32 s) without either the call
// ends as EndTransportLost.
type Incoming struct {
	s *Session
}

// AnswerOptions shape the answer to a call. Nil means all defaults.
type AnswerOptions struct {
	// Media makes the media of this call; nil means the UA's own. Where early media
	// run already they go on, and this is not asked.
	Media MediaFactory
	// Handler gets the call's events; nil means that of ProgressOptions, and where
	// there was none Config.Handler.Session.
	Handler *Handler
	// Headers are added to the 200.
	Headers []sip.Field
	// InfoPackages are the Info Packages that the call takes, in place of the UA's
	// (RFC 6086 §5.2.2); nil means the UA's, an empty slice none. Those that a
	// reliable provisional response has told already stay.
	InfoPackages []string
	// SessionExpires is the interval in which the session has to be refreshed
	// (RFC 4028 §9), at least the UA's minimum: a longer one that the caller asks
	// for is shortened to it. Zero means the UA's; negative leaves the caller's as
	// it is and asks for none. It has no effect where the UA has no session timers.
	SessionExpires time.Duration
	// MediaRecovery says what the call does about a media path that is lost; zero
	// means as the UA does.
	MediaRecovery MediaRecovery
}

// ProgressOptions shape a provisional response.
type ProgressOptions struct {
	// Code is the status, 101 to 199 but for 199 itself; zero means 183.
	Code sip.StatusCode
	// Reason replaces the RFC's reason phrase.
	Reason string
	// Headers are added to the response.
	Headers []sip.Field
	// EarlyMedia puts our session description into the response, so that media
	// run before the call is answered: an announcement, a ringing tone. It goes
	// reliably where the caller takes that. A caller that made no offer must:
	// ErrUnreliable (RFC 3262 §5).
	EarlyMedia bool
	// Media makes the early media; nil means the UA's own. They go on when the
	// call is answered, so that AnswerOptions.Media is not asked then.
	Media MediaFactory
	// Handler gets the call's events from now on; nil changes nothing.
	Handler *Handler
	// Reliable has the response repeated until the caller confirms it with a
	// PRACK; 64*T1 (32 s) without one end the call with 504. ErrUnreliable
	// where the caller takes no reliable responses (RFC 3262 §3).
	Reliable bool
}

// RejectOptions shape a refusal.
type RejectOptions struct {
	// Reason replaces the RFC's reason phrase.
	Reason string
	// Headers are added to the response.
	Headers []sip.Field
}

// Context ends when the call can no longer be answered, or later when the
// answered call ends; context.Cause says why.
func (in *Incoming) Context() context.Context { return in.s.ctx }

// Session is the call itself, which Answer returns too: it is there from the
// start, and Hangup refuses it while nothing is decided.
func (in *Incoming) Session() *Session { return in.s }

// From is the caller as it names itself; AssertedIdentity what a server
// vouches for.
func (in *Incoming) From() sip.NameAddr { return in.s.RemoteIdentity() }

// To is whom the caller asked for.
func (in *Incoming) To() sip.NameAddr { return in.s.LocalIdentity() }

// AssertedIdentity has the identities of the caller that its server asserts
// (RFC 3325 §9.1).
func (in *Incoming) AssertedIdentity() []sip.NameAddr { return in.s.AssertedIdentity() }

// Anonymous reports whether the caller wants to stay unknown: it calls itself
// anonymous, or asks for privacy (RFC 3323 §4.1.1.3, §4.2). What From and
// AssertedIdentity name must then not be shown, even where a server told.
func (in *Incoming) Anonymous() bool { return isPrivate(in.Request()) }

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
// (RFC 3261 §13.3.1.1); it is repeated until the next one or the decision, once
// a minute. Nil options mean a plain 183. It returns at once: where early media
// have to be made first the response follows, and a description that cannot be
// served refuses the call.
func (in *Incoming) Progress(o *ProgressOptions) error {
	if o == nil {
		o = &ProgressOptions{}
	}
	p := &provisional{code: o.Code, reason: o.Reason, fields: slices.Clone(o.Headers), wanted: o.Reliable}
	if p.code == 0 {
		p.code = sip.StatusSessionProgress
	}
	if p.code <= sip.StatusTrying || p.code >= sip.StatusEarlyDialogTerminated {
		return ErrState
	}
	var refused error
	err := in.decide(func(s *Session) { refused = s.progress(p, o) }, p.reason, p.fields)
	return errors.Join(err, refused)
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

// Redirect refers the caller to other addresses with 302 (RFC 3261 §21.3.3). A
// sips: address is refused with sip.ErrSIPS.
func (in *Incoming) Redirect(contacts ...sip.NameAddr) error {
	return in.RedirectWith(nil, contacts...)
}

// RedirectOptions shape a redirection. Nil means all defaults.
type RedirectOptions struct {
	// Code is the status, 300 to 399; zero means 302. Only a 380 may go without
	// an address (RFC 3261 §21.3).
	Code sip.StatusCode
	// Reason replaces the RFC's reason phrase.
	Reason string
	// Diversion tells that it is our address which sends the caller elsewhere,
	// and why: a word of RFC 5806 §4 such as "user-busy". Empty tells nothing.
	Diversion string
	// Headers are added to the response.
	Headers []sip.Field
}

// RedirectWith is Redirect with a status and fields of the application's
// choice. Contacts keep their parameters: q says which one to try first.
func (in *Incoming) RedirectWith(o *RedirectOptions, contacts ...sip.NameAddr) error {
	if o == nil {
		o = &RedirectOptions{}
	}
	code := o.Code
	if code == 0 {
		code = sip.StatusMovedTemporarily
	}
	if !code.IsRedirection() || len(contacts) == 0 && code != sip.StatusAlternativeService {
		return ErrState
	}
	fields := slices.Clone(o.Headers)
	if o.Diversion != "" {
		fields = append(fields, sip.Field{Name: "Diversion", Value: sip.NewDiversion(in.s.m.o.Identity, o.Diversion, 1).String()})
	}
	for _, c := range contacts {
		if c.URI.Scheme == "sips" {
			return &sip.TargetError{Target: c.URI.String(), Reason: "sips is not supported", Err: sip.ErrSIPS}
		}
		fields = append(fields, sip.Field{Name: "Contact", Value: c.String()})
	}
	return in.decide(func(s *Session) {
		s.step(inReject, event{code: code, reason: o.Reason, fields: fields, end: &EndError{Kind: EndRejected}})
	}, o.Reason, fields)
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

// Answer accepts the call: it makes the media, answers the caller's offer, or
// makes one where the caller left that to us, and returns when the 200 is on
// its way. The Session is Confirmed with the caller's ACK. When ctx ends first
// the call is refused with 480 and Answer returns ctx's cause; afterwards ctx
// has no effect on the call.
func (in *Incoming) Answer(ctx context.Context, o *AnswerOptions) (*Session, error) {
	if o == nil {
		o = &AnswerOptions{}
	}
	if err := errors.Join(checkFields("", o.Headers), checkPackages(o.InfoPackages)); err != nil {
		return nil, err
	}
	s := in.s
	c := s.m.core
	c.Lock()
	if s.usage.state != Ringing {
		defer c.Unlock()
		return nil, s.cause()
	}
	if s.in.early == earlyNone {
		s.factory = s.m.factory(o.Media)
	}
	if o.Handler != nil {
		s.setHandler(o.Handler)
	}
	if !s.in.told { // all responses tell the same, RFC 6086 §5.2.3
		s.setPackages(o.InfoPackages)
	}
	s.timing.setInterval(o.SessionExpires)
	s.recoverMedia(o.MediaRecovery)
	s.in.headers = slices.Clone(o.Headers)
	if ctx.Err() != nil {
		s.hangup(context.Cause(ctx))
	}
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
	if s.err != nil {
		return nil, s.err
	}
	return s, nil
}
