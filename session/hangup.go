package session

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/gosipua/sipua/sip"
)

// HangupOptions shape the end of a call. Nil means all defaults.
type HangupOptions struct {
	// Code is the final status that refuses an incoming call which is not
	// answered yet, 400 to 699; zero means 480. In every other state a Code,
	// 200 to 699, becomes the Reason SIP;cause=Code, unless Reasons has one for
	// SIP.
	Code sip.StatusCode
	// Phrase replaces the RFC's reason phrase of Code.
	Phrase string
	// Reasons go into the BYE or CANCEL (RFC 3326), each with a protocol of its
	// own. Of a final response they are carried where no status code need allow
	// it: those of Q.850 (RFC 6432).
	Reasons []sip.Reason
	// Headers are added to the BYE, the CANCEL or the final response.
	Headers []sip.Field
	// Body goes into the BYE or the final response, ContentType says what it is.
	// A CANCEL carries none.
	Body        []byte
	ContentType string
}

// Hangup ends the call, whatever its state: BYE, CANCEL or a 480. It returns
// when the far end has confirmed, or with ctx's cause while the session
// finishes in the background: a BYE waits for a connection until the UA is
// closed, and leaves again on the next one if its own goes first. Ending a call that is over does nothing.
func (s *Session) Hangup(ctx context.Context) error { return s.HangupWith(ctx, nil) }

// HangupWith is Hangup that says why. Its errors besides those of Hangup are
// ErrState for a Code that does not fit the call's state, and what is wrong
// with the options; the call then goes on.
func (s *Session) HangupWith(ctx context.Context, o *HangupOptions) error {
	if o == nil {
		o = &HangupOptions{}
	}
	if err := o.check(); err != nil {
		return err
	}
	c := s.m.core
	c.Lock()
	if undecided := s.usage.state == Ringing || s.usage.state == Answering; undecided && o.Code != 0 && o.Code < 400 {
		c.Unlock()
		return ErrState
	}
	if !s.usage.state.Ended() {
		s.hangupWith(o)
	}
	if s.usage.state == Terminated {
		c.Unlock()
		return nil
	}
	gone := make(chan struct{})
	s.gone = append(s.gone, gone)
	c.Unlock()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// check refuses options that cannot be carried out in any state.
func (o *HangupOptions) check() error {
	if o.Code != 0 && (o.Code < 200 || o.Code > 699) {
		return ErrState
	}
	for i, r := range o.Reasons {
		if slices.ContainsFunc(o.Reasons[:i], func(p sip.Reason) bool { return strings.EqualFold(p.Protocol, r.Protocol) }) {
			return errors.New("session: two Reasons for " + r.Protocol) // RFC 3326 §2
		}
		if read := sip.ParseReasons(r.String()); len(read) != 1 || read[0].Protocol != r.Protocol {
			return &sip.FieldError{Field: "Reason", Reason: "protocol is no token"}
		}
	}
	probe := &sip.Response{}
	return errors.Join(checkFields(o.Phrase, o.Headers), Description{o.ContentType, o.Body}.into(probe))
}

// hangupWith ends the call from our side in the words of o.
func (s *Session) hangupWith(o *HangupOptions) { // [locked]
	end := s.hangupEnd(nil)
	e := event{end: end, code: sip.StatusTemporarilyUnavailable}
	switch s.usage.state {
	case Ringing, Answering:
		if o.Code != 0 {
			e.code = o.Code
		}
		e.reason, e.fields, e.desc = o.Phrase, slices.Clone(o.Headers), Description{o.ContentType, o.Body}
		for _, r := range o.Reasons {
			if strings.EqualFold(r.Protocol, q850) {
				end.Reason = append(end.Reason, r.String())
				e.fields = append(e.fields, sip.Field{Name: "Reason", Value: r.String()})
			}
		}
	default:
		for _, r := range o.reasons() {
			end.Reason = append(end.Reason, r.String())
		}
		s.parting = parting{reasons: end.Reason, fields: slices.Clone(o.Headers), body: Description{o.ContentType, o.Body}}
	}
	s.step(inHangup, e)
}

// reasons are those of a BYE or CANCEL.
func (o *HangupOptions) reasons() []sip.Reason {
	list := slices.Clone(o.Reasons)
	if o.Code == 0 || slices.ContainsFunc(list, func(r sip.Reason) bool { return strings.EqualFold(r.Protocol, "SIP") }) {
		return list
	}
	text := o.Phrase
	if text == "" {
		text = o.Code.Reason()
	}
	return append([]sip.Reason{{Protocol: "SIP", Cause: int(o.Code), Text: text}}, list...)
}

// parting is what our BYE or CANCEL says besides that the call is over.
type parting struct {
	reasons []string
	fields  []sip.Field
	body    Description
}

// all are the fields of it.
func (p *parting) all() []sip.Field {
	list := make([]sip.Field, 0, len(p.reasons)+len(p.fields))
	for _, r := range p.reasons {
		list = append(list, sip.Field{Name: "Reason", Value: r})
	}
	return append(list, p.fields...)
}

// because has the BYE or CANCEL to come say why the call failed, unless the
// application had its own words.
func (s *Session) because(end *EndError) { // [locked]
	if r := reasonOf(end); r != (sip.Reason{}) && len(s.parting.reasons) == 0 {
		s.parting.reasons = []string{r.String()}
	}
}
