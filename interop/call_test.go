//go:build interop

package interop_test

import (
	"time"
)

// pageCall is a call of a page. Its methods fail the test that the page was made for.
type pageCall struct {
	From string // address of the caller, of an incoming call
	Name string // display name of the caller

	p  *page
	id int
}

// callOptions change an outgoing call.
type callOptions struct {
	Headers []string // extra header fields, "Name: value"
	Video   bool     // offer video too

	// of JsSIP
	Timer int // seconds of the session interval asked for (RFC 4028). 0: 90

	// of SIP.js
	EarlyMedia bool // take a description in a provisional response for the answer
	Late       bool // no offer
}

// call starts a call; it does not wait for anything.
func (p *page) call(target string, opts callOptions) *pageCall {
	p.t.Helper()
	c := &pageCall{p: p}
	p.do("call", map[string]any{
		"target": target, "headers": opts.Headers, "video": opts.Video, "timer": opts.Timer,
		"earlyMedia": opts.EarlyMedia, "late": opts.Late,
	}, &c.id)
	return c
}

// waitCall waits for the next incoming call. It rings until it is answered or rejected.
func (p *page) waitCall() *pageCall {
	p.t.Helper()
	e := p.waitAny("newRTCSession")
	return &pageCall{From: e.From, Name: e.Body, p: p, id: e.Call}
}

// waitAny waits for the next event of that name, whatever its call.
func (p *page) waitAny(name string) event {
	p.t.Helper()
	limit := time.After(stepLimit)
	for {
		e, ok, changed := p.takeAny(name)
		if ok {
			return e
		}
		select {
		case <-changed:
		case <-limit:
			p.t.Fatalf("page of %s: no %q within %v", p.User, name, stepLimit)
		}
	}
}

func (p *page) takeAny(name string) (event, bool, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.events {
		if e := &p.events[i]; e.Name == name && !e.taken {
			e.taken = true
			return *e, true, nil
		}
	}
	return event{}, false, p.changed
}

// waitEvent waits for the next event of this call with that name, and fails at once if the call ends instead.
func (c *pageCall) waitEvent(name string) event {
	c.p.t.Helper()
	return c.p.wait(c.id, name)
}

// waitOver waits until the call has ended or failed, and returns how.
func (c *pageCall) waitOver() event {
	c.p.t.Helper()
	var over event
	eventually(c.p.t, "the end of the call of "+c.p.User, func() bool {
		e, ok, bad, _ := c.p.take(c.id, "ended", []string{"failed"})
		if bad != nil {
			e, ok = *bad, true
		}
		over = e
		return ok
	})
	return over
}

func (c *pageCall) do(cmd string, more map[string]any) {
	c.p.t.Helper()
	if err := c.try(cmd, more); err != nil {
		c.p.t.Fatalf("page of %s: %v", c.p.User, err)
	}
}

// try is do for what may fail.
func (c *pageCall) try(cmd string, more map[string]any) error {
	args := map[string]any{"call": c.id}
	for k, v := range more {
		args[k] = v
	}
	return c.p.b.command(c.p.id, cmd, args, nil)
}

// progress sends a provisional response, 183 with a description, reliably if asked; SIP.js has it.
func (c *pageCall) progress(status int, reliable bool) {
	c.p.t.Helper()
	c.do("progress", map[string]any{"status": status, "reliable": reliable})
}

func (c *pageCall) answer()         { c.p.t.Helper(); c.do("answer", nil) }
func (c *pageCall) reject(code int) { c.p.t.Helper(); c.do("reject", map[string]any{"status": code}) }

// hangup ends the call, or cancels it when it is not answered yet.
func (c *pageCall) hangup() { c.p.t.Helper(); c.do("hangup", nil) }

// hold, unhold and the like return when the other side has agreed; JsSIP's events of that name come before.
func (c *pageCall) hold()   { c.p.t.Helper(); c.do("hold", nil) }
func (c *pageCall) unhold() { c.p.t.Helper(); c.do("unhold", nil) }

// holdByUpdate and unholdByUpdate use UPDATE (RFC 3311) where the others use a re-INVITE.
func (c *pageCall) holdByUpdate()   { c.p.t.Helper(); c.do("hold", map[string]any{"update": true}) }
func (c *pageCall) unholdByUpdate() { c.p.t.Helper(); c.do("unhold", map[string]any{"update": true}) }

// renegotiate sends a re-INVITE that changes nothing.
func (c *pageCall) renegotiate() { c.p.t.Helper(); c.do("renegotiate", nil) }

// camera makes the page send its picture from the next offer on, of either side.
func (c *pageCall) camera() { c.p.t.Helper(); c.do("camera", nil) }

// refresh sends the UPDATE without an offer by which JsSIP's session timer asks whether we are there (RFC 4028).
func (c *pageCall) refresh() { c.p.t.Helper(); c.do("refresh", nil) }

func (c *pageCall) mute()   { c.p.t.Helper(); c.do("mute", nil) }
func (c *pageCall) unmute() { c.p.t.Helper(); c.do("unmute", nil) }

// dtmfInfo sends digits by INFO; dtmfRTP sends them as telephone-events (RFC 4733).
func (c *pageCall) dtmfInfo(digits string) {
	c.p.t.Helper()
	c.do("dtmf", map[string]any{"tones": digits})
}
func (c *pageCall) dtmfRTP(digits string) {
	c.p.t.Helper()
	c.do("dtmf", map[string]any{"tones": digits, "rtp": true})
}

// listen makes an event heard of each DTMF digit in the sound that comes in, of telephone-events (RFC 4733)
// too. Of the same digit twice in a row only the first is told.
func (c *pageCall) listen() { c.p.t.Helper(); c.do("listen", nil) }

// heard returns the digits heard since it was asked last.
func (c *pageCall) heard() string {
	digits := ""
	for {
		e, ok, _, _ := c.p.take(c.id, "heard", nil)
		if !ok {
			return digits
		}
		digits += e.Body
	}
}

// refer asks the other side to call target instead; events refer:accepted and refer:failed tell what became of it.
func (c *pageCall) refer(target string) {
	c.p.t.Helper()
	c.do("refer", map[string]any{"target": target})
}

// referReplacing asks the other side to take the place of this page in another call of it with target.
func (c *pageCall) referReplacing(target string, other *pageCall) {
	c.p.t.Helper()
	c.do("refer", map[string]any{"target": target, "replaces": other.id})
}

// waitReferred waits for the next call that the page makes because it was referred.
func (p *page) waitReferred() *pageCall {
	p.t.Helper()
	return &pageCall{p: p, id: p.waitAny("referred").Call}
}

// mediaStats is what the browser has counted of a call since it began: of its audio, unless said otherwise.
type mediaStats struct {
	InPackets     int     `json:"inPackets"`
	InBytes       int     `json:"inBytes"`
	InEnergy      float64 `json:"inEnergy"` // of what was decoded: rises with sound, not with silence
	InCodec       string  `json:"inCodec"`  // audio/opus …
	OutPackets    int     `json:"outPackets"`
	OutBytes      int     `json:"outBytes"`
	OutCodec      string  `json:"outCodec"`
	InFrames      int     `json:"inFrames"`      // of video, decoded
	OutFrames     int     `json:"outFrames"`     // of video
	DTLS          string  `json:"dtls"`          // state
	Local         string  `json:"local"`         // type of the selected candidate: host, srflx, prflx, relay
	Remote        string  `json:"remote"`        // likewise
	RelayProtocol string  `json:"relayProtocol"` // udp, tcp or tls, where Local is relay
}

func (c *pageCall) stats() mediaStats {
	c.p.t.Helper()
	var s mediaStats
	c.p.do("stats", map[string]any{"call": c.id}, &s)
	return s
}

const (
	audible = 1e-6                    // energy of a window that is more than comfort noise
	window  = 1500 * time.Millisecond // longer than the pause between two beeps of Chromium's fake microphone
)

// waitAudio waits until, from now on, packets more have come in and gone out and sound was heard.
func (c *pageCall) waitAudio(packets int) mediaStats {
	c.p.t.Helper()
	return c.waitStats("audio both ways", func(first, _, now mediaStats) bool {
		return now.InPackets-first.InPackets >= packets && now.OutPackets-first.OutPackets >= packets &&
			now.InEnergy-first.InEnergy > audible
	})
}

// waitVideo waits until, from now on, pictures were sent and pictures that came in were decoded.
func (c *pageCall) waitVideo() {
	c.p.t.Helper()
	c.waitStats("video both ways", func(first, _, now mediaStats) bool {
		return now.InFrames-first.InFrames >= 10 && now.OutFrames-first.OutFrames >= 10
	})
}

// waitNoVideo waits until no picture comes in any more.
func (c *pageCall) waitNoVideo() {
	c.p.t.Helper()
	c.waitWindow("no video", func(before, now mediaStats) bool { return now.InFrames == before.InFrames })
}

// waitNothing waits until no packet comes in any more.
func (c *pageCall) waitNothing() {
	c.p.t.Helper()
	c.waitWindow("no packets", func(before, now mediaStats) bool { return now.InPackets == before.InPackets })
}

// waitQuiet waits until what comes in, if anything, is silence.
func (c *pageCall) waitQuiet() {
	c.p.t.Helper()
	c.waitWindow("silence", func(before, now mediaStats) bool { return now.InEnergy-before.InEnergy < audible })
}

// waitStats polls until cond holds between the first reading, the one before and the present one.
func (c *pageCall) waitStats(what string, cond func(first, before, now mediaStats) bool) mediaStats {
	c.p.t.Helper()
	first := c.stats()
	now := first
	eventually(c.p.t, what+" at "+c.p.User, func() bool {
		before := now
		now = c.stats()
		return cond(first, before, now)
	})
	return now
}

// waitWindow waits until cond holds between the two ends of a window.
func (c *pageCall) waitWindow(what string, cond func(before, now mediaStats) bool) {
	c.p.t.Helper()
	deadline := time.Now().Add(stepLimit)
	for {
		before := c.stats()
		time.Sleep(window)
		now := c.stats()
		if cond(before, now) {
			return
		}
		if time.Now().After(deadline) {
			c.p.t.Fatalf("page of %s: not within %v: %s; last %+v, then %+v", c.p.User, stepLimit, what, before, now)
		}
	}
}
