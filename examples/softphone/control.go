package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
)

// What commands come to that decide on something the far end did not ask.
var (
	errNoOffer    = errors.New("the far end waits for no decision on an offer")
	errNoReferral = errors.New("the far end waits for no decision on a transfer")
)

// attended transfers the far end of one call to that of another.
func attended(p *phone, r *request) error {
	first, second := word(r.args)
	from, err := p.pick(strings.TrimPrefix(first, "id="))
	if err != nil {
		return err
	}
	to, err := p.pick(strings.TrimPrefix(second, "id="))
	switch {
	case err != nil:
		return err
	case from == to:
		return errors.New("a call cannot be transferred to itself")
	}
	r.id = from.id
	p.queue(from.lane(), func() {
		if err := from.connect(to); err != nil {
			p.failed(r.name, from.id, err)
		}
	})
	return nil
}

// connect transfers the far end of c to that of other.
func (c *call) connect(other *call) error {
	s, err := c.up()
	if err != nil {
		return err
	}
	target, err := other.up()
	if err != nil {
		return err
	}
	if _, err := s.ReferTo(c.ctx, target, nil); err != nil {
		return err
	}
	return c.done("refer", "originator", "local", "to", target.RemoteIdentity().URI.String(), "replaces", other.id)
}

func video(_ *phone, r *request) error {
	var change rtc.Change
	switch r.args {
	case "on":
		change.Kinds = []rtc.Kind{rtc.Video}
	case "off":
		change.Drop = []rtc.Kind{rtc.Video}
	default:
		return fmt.Errorf("%q is neither on nor off", r.args)
	}
	if err := renegotiate(r.call, &session.RenegotiateOptions{Change: change}); err != nil {
		return err
	}
	return r.call.done("video", "originator", "local", "on", r.args == "on")
}

func restartICE(_ *phone, r *request) error {
	if err := renegotiate(r.call, &session.RenegotiateOptions{ICERestart: true}); err != nil {
		return err
	}
	return r.call.done("restart-ice")
}

func renegotiate(c *call, o *session.RenegotiateOptions) error {
	s, err := c.up()
	if err != nil {
		return err
	}
	return s.Renegotiate(c.ctx, o)
}

func info(_ *phone, r *request) error {
	s, err := r.call.up()
	if err != nil {
		return err
	}
	kind, text := word(r.args)
	if err := s.SendInfo(r.call.ctx, kind, []byte(text), nil); err != nil {
		return err
	}
	return r.call.done("info", "originator", "local", "type", kind, "text", text)
}

// redirect sends an incoming call elsewhere.
func redirect(p *phone, r *request) error {
	uri, err := sip.NormalizeTarget(r.args, p.domain(), false)
	if err != nil {
		return err
	}
	if err := r.call.decide(sip.StatusMovedTemporarily); err != nil {
		return err
	}
	return r.call.in.Redirect(sip.NameAddr{URI: uri})
}

// progress sends a provisional response; with a 183 early media begin.
func progress(p *phone, r *request) error {
	code, err := strconv.Atoi(r.args)
	if err != nil || code < 180 || code > 189 {
		return fmt.Errorf("%q is no status from 180 to 189", r.args)
	}
	c := r.call
	if c.in == nil {
		return errors.New("the call is not an incoming one")
	}
	o := &session.ProgressOptions{Code: sip.StatusCode(code)}
	if o.Code == sip.StatusSessionProgress {
		o.EarlyMedia = true
		o.Media = c.ownMedia()
	}
	if err := c.in.Progress(o); err != nil {
		return err
	}
	if o.EarlyMedia {
		p.play(c.in.Context(), c.takeTrack())
	}
	return c.done("progress", "originator", "local", "code", code)
}

// offered takes an offer of the far end's inside the call.
func (c *call) offered(_ *session.Session, o *session.Offer) {
	if !c.p.o.ask {
		_ = o.Accept(nil) // too late only when the call is over
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offer = o
	c.emitLocked("offer", "method", string(o.Request().Method()), "video", offersVideo(o.Description()))
}

// offersVideo reports whether a description has video that is not refused.
func offersVideo(d session.Description) bool {
	kinds, _ := rtc.Offered(d) // what cannot be read has none
	_, video := kinds[rtc.Video]
	return video
}

// acceptOffer takes what the far end offers, video too where it is there.
func acceptOffer(_ *phone, r *request) error {
	o, err := r.call.takeOffer()
	if err != nil {
		return err
	}
	a := &session.AcceptOptions{}
	if offersVideo(o.Description()) {
		a.Change = rtc.Change{Kinds: []rtc.Kind{rtc.Video}}
	}
	if err := o.Accept(a); err != nil {
		return err
	}
	return r.call.done("accept")
}

func refuseOffer(_ *phone, r *request) error {
	code, err := refusal(r.args)
	if err != nil {
		return err
	}
	o, err := r.call.takeOffer()
	if err != nil {
		return err
	}
	if err := o.Reject(code, nil); err != nil {
		return err
	}
	return r.call.done("refuse", "code", int(code))
}

func (c *call) takeOffer() (*session.Offer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.offer
	c.offer = nil
	if o == nil {
		return nil, errNoOffer
	}
	return o, nil
}

// referred takes a REFER of the far end's: it waits for follow or decline.
func (c *call) referred(_ *session.Session, r *session.Referral) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.referral = r
	by, _ := r.ReferredBy()
	_, replaces := r.Replaces()
	c.emitLocked("referred", "to", r.Target().URI.String(), "by", by.URI.String(), "attended", replaces)
}

// follow calls whom the far end wants called.
func follow(p *phone, r *request) error {
	referral, err := r.call.takeReferral()
	if err != nil {
		return err
	}
	return p.start("", func(c *call, o *session.CallOptions) (*session.Session, error) {
		return referral.Accept(c.ctx, o)
	})
}

func decline(_ *phone, r *request) error {
	code, err := refusal(r.args)
	if err != nil {
		return err
	}
	referral, err := r.call.takeReferral()
	if err != nil {
		return err
	}
	if err := referral.Reject(code, nil); err != nil {
		return err
	}
	return r.call.done("decline", "code", int(code))
}

func (c *call) takeReferral() (*session.Referral, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.referral
	c.referral = nil
	if r == nil {
		return nil, errNoReferral
	}
	return r, nil
}

// refusal reads a status that refuses.
func refusal(text string) (sip.StatusCode, error) {
	code, err := strconv.Atoi(text)
	if err != nil || code < 400 || code > 699 {
		return 0, fmt.Errorf("%q is no status from 400 to 699", text)
	}
	return sip.StatusCode(code), nil
}

// goOn is where a call goes on that is redirected.
func (c *call) goOn(_ *session.Session, r *session.Redirection) []sip.NameAddr {
	c.emit("redirected", "code", int(r.Response.StatusCode()), "to", addresses(r.Contacts))
	if c.p.o.goOn {
		return r.Contacts
	}
	return nil
}

func addresses(list []sip.NameAddr) []string {
	var texts []string
	for _, n := range list {
		texts = append(texts, n.URI.String())
	}
	return texts
}
