package main

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
)

// What commands come to for which it is too early, or too late.
var (
	errUnanswered = errors.New("the call is not answered yet")
	errOver       = errors.New("the call is over")
)

// call is one call of the phone.
type call struct {
	p      *phone
	id     string
	in     *session.Incoming // nil for a call we made
	ctx    context.Context   // of the commands about it; ends with the call
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	session  *session.Session // guarded by mu; nil while an incoming call waits for a decision
	decided  bool             // guarded by mu; we answer or reject it
	rejected sip.StatusCode   // guarded by mu; with what; 0 for an answer
	answered bool             // guarded by mu
	held     bool             // guarded by mu; by the far end
	over     bool             // guarded by mu; the ended event is out

	offer    *session.Offer    // guarded by mu; waits for accept or refuse
	referral *session.Referral // guarded by mu; waits for follow or decline

	factory session.MediaFactory // guarded by mu; of an incoming call
	track   *rtc.LocalTrack      // guarded by mu; of factory, until it plays
}

func (p *phone) newCall() *call {
	c := &call{p: p}
	c.ctx, c.cancel = context.WithCancelCause(p.ctx)
	return c
}

// emit writes an event of the call. None follows "ended".
func (c *call) emit(event string, fields ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emitLocked(event, fields...)
}

func (c *call) emitLocked(event string, fields ...any) {
	if !c.over {
		c.p.emit(event, append([]any{"id", c.id}, fields...)...)
	}
}

// done emits the outcome of a command, which has come too late if the call is
// over.
func (c *call) done(event string, fields ...any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return errOver
	}
	c.emitLocked(event, fields...)
	return nil
}

// dial makes a call.
func (p *phone) dial(target, id string) error {
	return p.start(id, func(c *call, o *session.CallOptions) (*session.Session, error) {
		o.Redirect = c.goOn
		return p.ua.Invite(c.ctx, target, o)
	})
}

// start makes a call as invite does it.
func (p *phone) start(id string, invite func(c *call, o *session.CallOptions) (*session.Session, error)) error {
	c := p.newCall()
	if err := p.add(c, id); err != nil {
		return err
	}
	c.mu.Lock() // so that whatever happens to the call is told after "calling"
	defer c.mu.Unlock()
	factory, track := p.media()
	s, err := invite(c, &session.CallOptions{Media: factory, Handler: c.handler(), Anonymous: p.o.anonymous})
	if err != nil {
		p.remove(c)
		return err
	}
	c.session = s
	p.play(s.Context(), track)
	c.emitLocked("calling", "to", s.RemoteIdentity().URI.String())
	return nil
}

// incoming takes a call and stays until it is decided.
func (p *phone) incoming(in *session.Incoming) {
	c := p.newCall()
	c.in = in
	if p.add(c, "") != nil {
		return // Shutdown refuses it
	}
	c.emit("incoming", "from", in.From().URI.String(), "name", in.From().Display, "to", in.To().URI.String(),
		"replaces", p.idOf(in.Replaces()))
	if p.o.auto {
		p.queue(c.lane(), func() {
			if err := c.answer(); err != nil {
				p.failed("answer", c.id, err)
			}
		})
	}
	<-in.Context().Done()
	c.mu.Lock()
	answering := c.decided && c.rejected == 0
	c.mu.Unlock()
	if !answering { // else the handler tells, after everything else that it has to tell
		c.end(context.Cause(in.Context()))
	}
}

// lane is where commands about the call run in order.
func (c *call) lane() string { return "call " + c.id }

// answer takes an incoming call.
func (c *call) answer() error {
	if err := c.decide(0); err != nil {
		return err
	}
	s, err := c.in.Answer(c.ctx, &session.AnswerOptions{Media: c.ownMedia(), Handler: c.handler()})
	if err != nil {
		<-c.in.Context().Done()
		c.end(context.Cause(c.in.Context()))
		return err
	}
	c.p.play(s.Context(), c.takeTrack())
	c.bind(s)
	if c.ctx.Err() != nil { // hung up at the last moment
		return s.Hangup(c.p.ctx)
	}
	return nil
}

// ownMedia makes the media of an incoming call, which early media share with
// those after the answer.
func (c *call) ownMedia() session.MediaFactory {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.factory == nil {
		c.factory, c.track = c.p.media()
	}
	return c.factory
}

// takeTrack returns what is to be played in the call, once.
func (c *call) takeTrack() *rtc.LocalTrack {
	c.mu.Lock()
	defer c.mu.Unlock()
	track := c.track
	c.track = nil
	return track
}

// bind notes the session that carries the call.
func (c *call) bind(s *session.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
}

// reject refuses an incoming call.
func (c *call) reject(code sip.StatusCode) error {
	if err := c.decide(code); err != nil {
		return err
	}
	return c.in.Reject(code, nil)
}

// decide notes the one decision that there can be about an incoming call: to
// answer it, or to reject it with a code.
func (c *call) decide(code sip.StatusCode) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.in == nil:
		return errors.New("the call is not an incoming one")
	case c.decided:
		return errors.New("the call is answered or rejected already")
	}
	c.decided, c.rejected = true, code
	return nil
}

// hangup ends the call, whatever its state.
func (c *call) hangup() error {
	if c.in != nil && c.reject(sip.StatusTemporarilyUnavailable) == nil {
		return nil
	}
	if s, err := c.up(); err == nil {
		return s.Hangup(c.p.ctx)
	}
	c.cancel(errors.New("hung up")) // an answer under way
	return nil
}

// up returns the session that carries the call.
func (c *call) up() (*session.Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == nil {
		return nil, errUnanswered
	}
	return c.session, nil
}

// handler makes events of what happens in the call.
func (c *call) handler() *session.Handler {
	return &session.Handler{
		State: func(s *session.Session, st session.State) {
			c.bind(s)
			switch st {
			case session.Confirmed:
				c.emitAnswered()
			case session.Terminated:
				c.end(context.Cause(s.Context()))
			}
		},
		Progress: func(_ *session.Session, res *sip.Response) {
			c.emit("progress", "code", int(res.StatusCode()), "reason", res.Reason())
		},
		Offer: c.offered,
		Refer: c.referred,
		Info: func(_ *session.Session, req *sip.Request) sip.StatusCode {
			if c.done("info", "originator", "remote", "type", req.ContentType(), "text", string(req.Body())) != nil {
				return sip.StatusCallDoesNotExist
			}
			return sip.StatusOK
		},
		Hold: func(_ *session.Session, h session.HoldState) { c.emitHeld(h.Remote) },
		DTMF: func(_ *session.Session, d session.DTMF) {
			transport := "rtp"
			if d.INFO {
				transport = "info"
			}
			c.emit("dtmf", "originator", "remote", "digits", string(d.Digit),
				"duration", d.Duration.Milliseconds(), "transport", transport)
		},
		Message: func(_ *session.Session, req *sip.Request) sip.StatusCode {
			if c.done("message", received(req)...) != nil {
				return sip.StatusCallDoesNotExist
			}
			return sip.StatusOK
		},
		Transfer: func(_ *session.Session, r session.TransferProgress) {
			c.emit("refer", "originator", "remote", "code", int(r.Status), "reason", r.Reason, "final", r.Final)
		},
	}
}

func (c *call) emitAnswered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered = true
	originator := "remote"
	if c.in != nil {
		originator = "local"
	}
	c.emitLocked("answered", "originator", originator)
}

// emitHeld tells what the far end changed; our own holding is told by the
// command.
func (c *call) emitHeld(held bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if held == c.held {
		return
	}
	c.held = held
	event := "unhold"
	if held {
		event = "hold"
	}
	c.emitLocked(event, "originator", "remote")
}

// end tells that the call is over and why, after what the commands about it
// still have to tell.
func (c *call) end(cause error) {
	c.cancel(cause)
	c.p.queue(c.lane(), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		end := &session.EndError{Err: cause}
		errors.As(cause, &end)
		originator := "local"
		if end.Remote {
			originator = "remote"
		}
		c.p.remove(c) // first: who has read the event finds no call
		c.emitLocked("ended", "originator", originator, "cause", end.Cause(), "status", int(c.status(end)), "reason", reasonOf(end))
		c.over = true
	})
}

// status is that of the response which ended the call, or that would have if
// there had been one (RFC 3261 §8.1.3.1); c.mu is held.
func (c *call) status(end *session.EndError) sip.StatusCode {
	switch code := sip.StatusOf(end.Err); {
	case end.Status != 0:
		return end.Status
	case code != 0 || c.answered:
		return code
	case end.Kind == session.EndCanceled:
		return sip.StatusRequestTerminated
	case end.Kind == session.EndTransportLost:
		return sip.StatusServiceUnavailable
	}
	return 0
}

// reasonOf is the text that came along with the end of a call.
func reasonOf(end *session.EndError) string {
	var res *sip.ResponseError
	switch {
	case len(end.Reason) > 0:
		return strings.Join(end.Reason, ", ")
	case errors.As(end.Err, &res) && res.Response != nil:
		return res.Response.Reason()
	case end.Err != nil:
		return end.Err.Error()
	}
	return ""
}

// media makes the media of one call, with a track for what it plays.
func (p *phone) media() (session.MediaFactory, *rtc.LocalTrack) {
	o := p.o.media
	if p.o.play == nil {
		return rtc.New(o), nil
	}
	track := rtc.NewTrack(rtc.Audio)
	o.Tracks, o.Codecs = []rtc.Track{track}, p.o.play.codecs
	return rtc.New(o), track
}
