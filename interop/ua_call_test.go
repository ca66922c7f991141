//go:build interop

package interop_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
)

// uaCall is a call of a UA of ours, with its audio. Where the codec is G.711 it sends a tone; Opus, which nothing here
// can encode, it sends back as it came. Its methods fail the test that the UA was made for.
type uaCall struct {
	*session.Session

	u         *testUA
	track     *rtc.LocalTrack
	loud      atomic.Int64  // packets of G.711 received that are more than silence
	heard     pulse         // when packets came in
	first     chan struct{} // closed with the first packet received
	holds     chan session.HoldState
	digits    chan session.DTMF
	refers    chan session.TransferProgress // news of our transfers
	referrals chan *session.Referral        // REFERs, where testUA.followed
	rings     chan int                      // status of each provisional response
	info      chan string
}

// invite starts a call; it waits for nothing. The zero value of each option means its default; tracks and handler
// are the uaCall's own.
func (u *testUA) invite(target string, o session.CallOptions, media rtc.Options) *uaCall {
	u.t.Helper()
	c := u.newCall()
	media.Tracks = []rtc.Track{c.track}
	o.Media, o.Handler = rtc.New(media), c.handler()
	s, err := u.Invite(u.t.Context(), target, &o)
	if err != nil {
		u.t.Fatalf("UA of %s: Invite: %v", u.User, err)
	}
	c.Session = s
	go c.talk()
	return c
}

// answer answers a call.
func (u *testUA) answer(in *session.Incoming, media rtc.Options) *uaCall {
	u.t.Helper()
	c := u.newCall()
	media.Tracks = []rtc.Track{c.track}
	s, err := in.Answer(step(u.t), &session.AnswerOptions{Media: rtc.New(media), Handler: c.handler()})
	if err != nil {
		u.t.Fatalf("UA of %s: Answer: %v", u.User, err)
	}
	c.Session = s
	go c.talk()
	return c
}

func (u *testUA) newCall() *uaCall {
	return &uaCall{
		u: u, track: rtc.NewTrack(rtc.Audio), first: make(chan struct{}),
		holds:     make(chan session.HoldState, 64),
		digits:    make(chan session.DTMF, 64),
		refers:    make(chan session.TransferProgress, 64),
		referrals: make(chan *session.Referral, 64),
		rings:     make(chan int, 64),
		info:      make(chan string, 64),
	}
}

func (c *uaCall) handler() *session.Handler {
	h := &session.Handler{
		Progress: func(_ *session.Session, res *sip.Response) { c.rings <- int(res.StatusCode()) },
		Hold:     func(_ *session.Session, h session.HoldState) { c.holds <- h },
		DTMF:     func(_ *session.Session, d session.DTMF) { c.digits <- d },
		Transfer: func(_ *session.Session, p session.TransferProgress) { c.refers <- p },
		Info: func(_ *session.Session, req *sip.Request) sip.StatusCode {
			c.info <- req.ContentType() + " " + string(req.Body())
			return sip.StatusOK
		},
	}
	if c.u.followed {
		h.Refer = func(_ *session.Session, r *session.Referral) { c.referrals <- r }
	}
	if c.u.judge != nil {
		h.Offer = func(_ *session.Session, o *session.Offer) { c.u.judge(o) }
	}
	return h
}

// transfer asks the far end to call target; the call stays.
func (c *uaCall) transfer(target string) {
	c.u.t.Helper()
	c.do("Refer", func(ctx context.Context) error {
		_, err := c.Refer(ctx, target, &session.ReferOptions{KeepCall: true})
		return err
	})
}

// talk carries the audio until the call ends.
func (c *uaCall) talk() {
	in, err := rtc.Receive(c.Context(), c.Session, rtc.Audio)
	if err != nil {
		return // never came up
	}
	if _, err := c.track.Ready(c.Context()); err != nil {
		return
	}
	go c.playTone()
	for n := 0; ; n++ {
		p, err := in.ReadRTP()
		if err != nil {
			return
		}
		c.heard.beat()
		if n == 0 {
			close(c.first)
		}
		codec, _ := in.Codec()
		if codec.Name == "opus" {
			err = c.track.WriteRTP(p)
		} else if isLoud(codec.Name, p.Payload) {
			c.loud.Add(1)
		}
		if err != nil {
			return
		}
	}
}

// pulse measures the time between events.
type pulse struct {
	mu      sync.Mutex
	last    time.Time
	longest time.Duration
}

func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if !p.last.IsZero() {
		p.longest = max(p.longest, now.Sub(p.last))
	}
	p.last = now
}

// mark forgets how long it has been between events so far.
func (p *pulse) mark() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.longest = 0
}

// gap returns the longest time since mark without an event, the present one included.
func (p *pulse) gap() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.longest, time.Since(p.last))
}

// playTone sends 440 Hz, 20 ms at a time, while the codec is G.711. What it could not send in time it sends at once, as its
// clock must not stand still.
func (c *uaCall) playTone() {
	const rate, frame = 8000, 160
	const length = frame * time.Second / rate
	for n, due := 0, time.Now(); ; n, due = n+frame, due.Add(length) {
		if codec, _ := c.track.Codec(); codec.Name != "opus" {
			b := make([]byte, frame)
			for i := range b {
				b[i] = g711(codec.Name, math.Sin(2*math.Pi*440*float64(n+i)/rate)/2)
			}
			if err := c.track.WriteSample(rtc.Sample{Data: b, Duration: length}); err != nil {
				return
			}
		}
		select {
		case <-time.After(time.Until(due)):
		case <-c.Context().Done():
			return
		}
	}
}

// g711 encodes a sample between -1 and 1 by one of the laws of ITU-T G.711, as continuous functions.
func g711(codec string, x float64) byte {
	const mu, a = 255, 87.6
	size := math.Abs(x)
	var y float64
	invert := byte(0x7f)
	switch {
	case codec == "PCMU":
		y = math.Log1p(mu*size) / math.Log1p(mu)
	case size < 1/a:
		y, invert = a*size/(1+math.Log(a)), 0x55
	default:
		y, invert = (1+math.Log(a*size))/(1+math.Log(a)), 0x55
	}
	code := byte(y*127) ^ invert
	if x >= 0 {
		code |= 0x80
	}
	return code
}

// isLoud tells sound in a packet of G.711 from silence.
func isLoud(codec string, payload []byte) bool {
	invert := byte(0x7f)
	if codec == "PCMA" {
		invert = 0x55
	}
	for _, b := range payload {
		if (b^invert)&0x7f > 40 {
			return true
		}
	}
	return false
}

// waitAnswered waits until the call is up.
func (c *uaCall) waitAnswered() {
	c.u.t.Helper()
	if err := c.WaitAnswered(step(c.u.t)); err != nil {
		c.u.t.Fatalf("UA of %s: not answered: %v", c.u.User, err)
	}
}

// waitFirst waits until the first packet has come in.
func (c *uaCall) waitFirst() {
	c.u.t.Helper()
	select {
	case <-c.first:
	case <-time.After(stepLimit):
		c.u.t.Fatalf("UA of %s: no packet within %v", c.u.User, stepLimit)
	}
}

// waitEnd waits until the call is over and returns how it ended.
func (c *uaCall) waitEnd() *session.EndError {
	c.u.t.Helper()
	return waitEnd(c.u.t, c.Context())
}

func waitEnd(t testing.TB, ctx context.Context) *session.EndError {
	t.Helper()
	select {
	case <-ctx.Done():
	case <-time.After(stepLimit):
		t.Fatalf("not within %v: the end of a call", stepLimit)
	}
	var end *session.EndError
	if !errors.As(context.Cause(ctx), &end) {
		t.Fatalf("call ended with %v, want an EndError", context.Cause(ctx))
	}
	return end
}

// hangup ends the call and waits until the far end has confirmed that.
func (c *uaCall) hangup() {
	c.u.t.Helper()
	if err := c.Hangup(step(c.u.t)); err != nil {
		c.u.t.Errorf("UA of %s: Hangup: %v", c.u.User, err)
	}
}

// traffic is what the call has carried so far.
func (c *uaCall) traffic() rtc.Traffic { return rtc.StatsOf(c.Session).Audio }

// waitAudio waits until, from now on, packets more have come in and gone out and, where the codec is one that isLoud
// understands, sound was among them.
func (c *uaCall) waitAudio(packets uint64) {
	c.u.t.Helper()
	first, loud := c.traffic(), c.loud.Load()
	codec, _ := c.track.Codec()
	eventually(c.u.t, fmt.Sprintf("audio both ways in %s at our %s", codec.Name, c.u.User), func() bool {
		now := c.traffic()
		return now.PacketsReceived-first.PacketsReceived >= packets && now.PacketsSent-first.PacketsSent >= packets &&
			(codec.Name == "opus" || c.loud.Load() > loud)
	})
}

// waitNothing waits until no packet comes in any more.
func (c *uaCall) waitNothing() {
	c.u.t.Helper()
	c.waitWindow("no packets", func() uint64 { return c.traffic().PacketsReceived })
}

// waitQuiet waits until what comes in, if anything, is silence; the codec must be G.711.
func (c *uaCall) waitQuiet() {
	c.u.t.Helper()
	c.waitWindow("silence", func() uint64 { return uint64(c.loud.Load()) })
}

// waitSound waits until, from now on, sound was among what comes in; the codec must be G.711.
func (c *uaCall) waitSound() {
	c.u.t.Helper()
	before := c.loud.Load()
	eventually(c.u.t, "sound at our "+c.u.User, func() bool { return c.loud.Load() > before+10 })
}

// waitWindow waits until count stands still for a window.
func (c *uaCall) waitWindow(what string, count func() uint64) {
	c.u.t.Helper()
	deadline := time.Now().Add(stepLimit)
	for before := count(); ; before = count() {
		time.Sleep(window)
		if count() == before {
			return
		}
		if time.Now().After(deadline) {
			c.u.t.Fatalf("UA of %s: not within %v: %s", c.u.User, stepLimit, what)
		}
	}
}

// next takes the next event of a call.
func next[T any](t testing.TB, what string, events <-chan T) T {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(stepLimit):
		t.Fatalf("not within %v: %s", stepLimit, what)
		panic("unreachable")
	}
}

// connected is a call that is up between a UA of ours and a page, by name of the caller.
func connected(t testing.TB, u *testUA, p *page, byUs bool, media rtc.Options) (*uaCall, *pageCall) {
	t.Helper()
	if byUs {
		ours := u.invite(p.User, session.CallOptions{}, media)
		theirs := p.waitCall()
		theirs.answer()
		ours.waitAnswered()
		theirs.waitEvent("confirmed")
		return ours, theirs
	}
	theirs := p.call(aor(u.User), callOptions{})
	ours := u.answer(u.waitCall(), media)
	theirs.waitEvent("confirmed")
	eventually(t, "the ACK", func() bool { return ours.State() == session.Confirmed })
	return ours, theirs
}
