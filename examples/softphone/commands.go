package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
)

// command is what can be typed.
type command struct {
	args string // what it needs, for people
	call bool   // it is about a call
	// lane is where it waits for those before it: "call" for that of the call,
	// "" for none, and then it must not block.
	lane string
	do   func(p *phone, r *request) error
}

// request is a command as it was typed. do tells its outcome, unless that is
// an event which comes by itself.
type request struct {
	name string
	id   string // as given
	args string
	call *call // the one that is meant; nil if none is, and none need be
}

var commands = map[string]command{
	"register":    {lane: "registration", do: (*phone).register},
	"unregister":  {lane: "registration", do: (*phone).unregister},
	"message":     {args: "TARGET TEXT", lane: "message", do: (*phone).sendMessage},
	"options":     {args: "TARGET", lane: "options", do: (*phone).sendOptions},
	"call":        {args: "TARGET", do: func(p *phone, r *request) error { return p.dial(r.args, r.id) }},
	"answer":      {call: true, lane: "call", do: func(_ *phone, r *request) error { return r.call.answer() }},
	"reject":      {args: "CODE", call: true, do: reject},
	"hangup":      {call: true, do: hangup},
	"hold":        {call: true, lane: "call", do: hold},
	"unhold":      {call: true, lane: "call", do: hold},
	"mute":        {call: true, do: mute},
	"unmute":      {call: true, do: mute},
	"dtmf":        {args: "DIGITS", call: true, lane: "call", do: dtmf},
	"refer":       {args: "TARGET", call: true, lane: "call", do: refer},
	"attended":    {args: "ID ID", do: attended},
	"follow":      {call: true, do: follow},
	"decline":     {args: "CODE", call: true, do: decline},
	"redirect":    {args: "TARGET", call: true, do: redirect},
	"progress":    {args: "CODE", call: true, do: progress},
	"video":       {args: "on|off", call: true, lane: "call", do: video},
	"accept":      {call: true, do: acceptOffer},
	"refuse":      {args: "CODE", call: true, do: refuseOffer},
	"restart-ice": {call: true, lane: "call", do: restartICE},
	"info":        {args: "TYPE TEXT", call: true, lane: "call", do: info},
	"stats":       {call: true, do: stats},
	"quit":        {},
}

// usage is what a person sees first.
func usage() string {
	var b strings.Builder
	b.WriteString("commands, each with an optional id=ID of the call:")
	for _, name := range slices.Sorted(maps.Keys(commands)) {
		b.WriteString(strings.TrimRight(" "+name+" "+commands[name].args, " ") + ";")
	}
	return strings.TrimSuffix(b.String(), ";") + "\n"
}

// obey does what a line says, or begins to. It returns false for quit.
func (p *phone) obey(line string) bool {
	r := parse(line)
	if r.name == "" && !p.o.json {
		return true // somebody leaned on Enter
	}
	c, err := p.check(r)
	switch {
	case err != nil:
		p.failed(r.name, r.id, err)
	case c.do == nil:
		return false
	case c.lane == "":
		p.perform(c, r)
	case c.lane == "call" || r.call != nil:
		p.queue(r.call.lane(), func() { p.perform(c, r) })
	default:
		p.queue(c.lane, func() { p.perform(c, r) })
	}
	return true
}

func (p *phone) perform(c command, r *request) {
	if err := c.do(p, r); err != nil {
		p.failed(r.name, r.id, err)
	}
}

// parse takes a line apart: the command, the id= right after it or, where no
// free text can stand there, at the end, and the rest.
func parse(line string) *request {
	r := &request{}
	r.name, r.args = word(line)
	if first, rest := word(r.args); strings.HasPrefix(first, "id=") {
		r.id, r.args = first, rest
	} else if at := strings.LastIndexAny(r.args, " \t") + 1; !freeText[r.name] && strings.HasPrefix(r.args[at:], "id=") {
		r.id, r.args = r.args[at:], strings.TrimSpace(r.args[:at])
	}
	return r
}

// freeText are the commands that end with what may look like anything.
var freeText = map[string]bool{"message": true, "info": true, "attended": true}

// word splits the first word off a text.
func word(s string) (first, rest string) {
	s = strings.TrimSpace(s)
	at := strings.IndexAny(s, " \t")
	if at < 0 {
		return s, ""
	}
	return s[:at], strings.TrimSpace(s[at:])
}

// check completes a request, or says what is wrong with it.
func (p *phone) check(r *request) (c command, err error) {
	given := r.id != ""
	r.id = strings.TrimPrefix(r.id, "id=")
	c, ok := commands[r.name]
	switch {
	case r.name == "":
		return c, errors.New("empty line")
	case !ok:
		return c, fmt.Errorf("unknown command %q", r.name)
	case given && r.id == "":
		return c, errors.New("id= names no call")
	case c.args == "" && r.args != "":
		return c, fmt.Errorf("unexpected %q: %s takes id=ID alone", r.args, r.name)
	case len(strings.Fields(r.args)) < len(strings.Fields(c.args)):
		return c, fmt.Errorf("usage: %s [id=ID] %s", r.name, c.args)
	}
	if c.call || given && (r.name == "message" || r.name == "options") {
		r.call, err = p.pick(r.id)
	}
	if r.call != nil {
		r.id = r.call.id
	}
	return c, err
}

// patience is how long a command outside calls waits for a connection and an
// answer.
const patience = 32 * time.Second

func (p *phone) patient() (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(p.ctx, patience, fmt.Errorf("nothing came of it within %v", patience))
}

func (p *phone) register(*request) error {
	ctx, cancel := p.patient()
	defer cancel()
	return p.ua.Register(ctx)
}

func (p *phone) unregister(*request) error {
	ctx, cancel := p.patient()
	defer cancel()
	bound := p.ua.Registration().Bound()
	err := p.ua.Unregister(ctx, false)
	if err == nil && !bound { // there is no event of nothing
		p.emit("unregistered")
	}
	return err
}

func (p *phone) sendMessage(r *request) error {
	target, text := word(r.args)
	if r.call == nil {
		ctx, cancel := p.patient()
		defer cancel()
		if err := p.ua.SendMessage(ctx, target, text, nil); err != nil {
			return err
		}
		p.emit("message", "originator", "local", "to", target, "text", text)
		return nil
	}
	s, err := r.call.with(target)
	if err != nil {
		return err
	}
	if err := s.SendMessage(r.call.ctx, "", []byte(text)); err != nil {
		return err
	}
	return r.call.done("message", "originator", "local", "to", target, "text", text)
}

func (p *phone) sendOptions(r *request) error {
	outcome := func(res *sip.Response) []any {
		return []any{"to", r.args, "code", int(res.StatusCode()), "allow", res.List("Allow")}
	}
	if r.call == nil {
		ctx, cancel := p.patient()
		defer cancel()
		res, err := p.ua.SendOptions(ctx, r.args, nil)
		if err != nil {
			return err
		}
		p.emit("options", outcome(res)...)
		return nil
	}
	s, err := r.call.with(r.args)
	if err != nil {
		return err
	}
	res, err := s.Do(r.call.ctx, sip.NewRequest(sip.OPTIONS, sip.URI{}))
	if err != nil {
		return err
	}
	return r.call.done("options", outcome(res)...)
}

// with returns the session of a call whose far end is target.
func (c *call) with(target string) (*session.Session, error) {
	s, err := c.up()
	if err != nil {
		return nil, err
	}
	far := s.RemoteIdentity().URI
	uri, err := sip.NormalizeTarget(target, far, false)
	if err != nil {
		return nil, err
	}
	if !uri.AOR().Equal(far.AOR()) {
		return nil, fmt.Errorf("call %s is with %v, not with %s", c.id, far, target)
	}
	return s, nil
}

func reject(_ *phone, r *request) error {
	code, err := refusal(r.args)
	if err != nil {
		return err
	}
	return r.call.reject(code)
}

// hangup does not wait for the far end's word: the event tells.
func hangup(p *phone, r *request) error {
	p.queue("hangup "+r.id, func() {
		if err := r.call.hangup(); err != nil {
			p.failed(r.name, r.id, err)
		}
	})
	return nil
}

func hold(_ *phone, r *request) error {
	s, err := r.call.up()
	if err != nil {
		return err
	}
	change := s.Hold
	if r.name == "unhold" {
		change = s.Unhold
	}
	if err := change(r.call.ctx); err != nil {
		return err
	}
	return r.call.done(r.name, "originator", "local")
}

func mute(_ *phone, r *request) error {
	s, err := r.call.up()
	if err != nil {
		return err
	}
	change := s.Mute
	if r.name == "unmute" {
		change = s.Unmute
	}
	change(session.MuteSet{Audio: true})
	return r.call.done(r.name)
}

func dtmf(p *phone, r *request) error {
	s, err := r.call.up()
	if err != nil {
		return err
	}
	if err := s.SendDTMF(r.call.ctx, r.args, &session.DTMFOptions{Transport: p.o.dtmf}); err != nil {
		return err
	}
	return r.call.done("dtmf", "originator", "local", "digits", r.args)
}

func refer(_ *phone, r *request) error {
	s, err := r.call.up()
	if err != nil {
		return err
	}
	if _, err := s.Refer(r.call.ctx, r.args, nil); err != nil {
		return err
	}
	return r.call.done("refer", "originator", "local", "to", r.args)
}

func stats(_ *phone, r *request) error {
	var st rtc.Stats
	if s, err := r.call.up(); err == nil {
		st = rtc.StatsOf(s)
	}
	pair := slog.Any("candidatePair", nil)
	if st.Local != (rtc.Candidate{}) {
		pair = slog.Group("candidatePair", candidate("local", st.Local), candidate("remote", st.Remote))
	}
	return r.call.done("stats", "packetsSent", st.Audio.PacketsSent, "bytesSent", st.Audio.BytesSent,
		"packetsReceived", st.Audio.PacketsReceived, "bytesReceived", st.Audio.BytesReceived, pair)
}

func candidate(side string, c rtc.Candidate) slog.Attr {
	return slog.Group(side, "address", c.Address, "port", c.Port, "type", c.Type)
}
