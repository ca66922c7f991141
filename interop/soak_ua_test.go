//go:build interop

package interop_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/transport"
)

// soakField is the field that says which call of the soak an INVITE is of.
const soakField = "X-Soak"

// Limits of the soak. Faults are shorter by so much than RecoveryLimit (32 s) that everything can survive them.
const (
	answerLimit = 150 * time.Second // of WaitAnswered: more than RingTimeout and one more try
	hangupLimit = 90 * time.Second  // of Hangup: RecoveryLimit, and Timer F of the BYE after it
	afterEffect = 40 * time.Second  // after a fault, in which what fails may be due to it
	lateLimit   = 25 * time.Second  // in which an INVITE may still come in that a fault held up
	soundLimit  = 8 * time.Second   // until there is sound, if there is to be any
	callLimit   = 5 * time.Minute   // of a call from its beginning until both sides are over
)

// fleet are UAs that share a Kamailio.
type fleet struct {
	name string
	k    *kamailio
	uas  []*soakUA

	mu    sync.Mutex
	until time.Time // guarded by mu; that long failures may be due to faults of the server
}

// soakUA is a UA of the soak.
type soakUA struct {
	*sipua.UA
	user  string
	soak  *soak
	fleet *fleet
	road  *faultProxy
	dice  *rand.Rand

	timers int       // that its core needs while it is idle
	lost   time.Time // guarded by ledger.mu; when its last binding went

	mu    sync.Mutex
	until time.Time // guarded by mu; that long failures may be due to faults on the road
}

// newSoakUA returns the UA number n, not started.
func (s *soak) newSoakUA(t testing.TB, f *fleet, n int) *soakUA {
	t.Helper()
	u := &soakUA{user: crowdUser(n), soak: s, fleet: f, road: startFaultProxy(t, f.k.WS), dice: rand.New(rand.NewPCG(s.seed, uint64(n)))}
	ua, err := sipua.NewUA(sipua.Config{
		URI: aor(u.user), Password: password(u.user),
		WSServers: sipua.Servers(u.road.WS), STUNServers: []string{},
		PingInterval: 3 * time.Second, PongTimeout: 2 * time.Second,
		ConnectionRecoveryMinInterval: 200 * time.Millisecond, ConnectionRecoveryMaxInterval: 3 * time.Second,
		Media:   silence{},
		Trace:   func(e sipua.TraceEvent) { s.ledger.trace(u, e) },
		Handler: sipua.Handler{Call: u.takeCall, Message: u.takeMessage, Event: u.note},
	})
	if err != nil {
		t.Fatal(err)
	}
	u.UA = ua
	t.Cleanup(func() { ua.Close() })
	return u
}

// note counts what the UA tells of itself, and how long it was without a registration.
func (u *soakUA) note(e sipua.Event) {
	l := u.soak.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e.Kind {
	case sipua.EventUnregistered:
		u.lost = e.Time
	case sipua.EventRegistered:
		if !u.lost.IsZero() {
			l.away = append(l.away, e.Time.Sub(u.lost))
		}
	case sipua.EventDisconnected, sipua.EventCallDegraded, sipua.EventCallRecovered:
		l.events[e.Kind.String()]++
	}
}

// troubledSince reports whether a fault that a UA had since then, or shortly before, may excuse a failure.
func (u *soakUA) troubledSince(since time.Time) bool {
	u.mu.Lock()
	road := u.until
	u.mu.Unlock()
	u.fleet.mu.Lock()
	defer u.fleet.mu.Unlock()
	return road.After(since) || u.fleet.until.After(since)
}

// pause waits for a time of about d, unless the soak is over before.
func (u *soakUA) pause(d time.Duration) bool {
	d = d/2 + time.Duration(u.dice.Int64N(int64(d)))
	select {
	case <-time.After(d):
		return true
	case <-u.soak.over:
		return false
	}
}

// other is another UA of the fleet.
func (u *soakUA) other() *soakUA {
	for {
		if o := u.fleet.uas[u.dice.IntN(len(u.fleet.uas))]; o != u {
			return o
		}
	}
}

// callAround makes one call after the other.
func (u *soakUA) callAround() {
	for u.pause(8 * time.Second) {
		p := plan{
			ring:     time.Duration(u.dice.IntN(1500)) * time.Millisecond,
			talk:     time.Duration(1+u.dice.IntN(20)) * time.Second,
			byCallee: u.dice.IntN(2) == 0,
			hold:     u.dice.IntN(4) == 0,
			audio:    u.dice.IntN(30) == 0,
			again:    u.dice.IntN(2) == 0,
		}
		switch u.dice.IntN(20) {
		case 0:
			p.refuse = true
		case 1:
			p.giveUp, p.byCallee = time.Duration(1+u.dice.IntN(1500))*time.Millisecond, false
		}
		u.call(u.other(), p)
	}
}

// call makes a call and accounts for it, or has that done where it takes longer.
func (u *soakUA) call(to *soakUA, p plan) {
	c := u.soak.ledger.begin(u, to, p)
	o := &session.CallOptions{Headers: []sip.Field{{Name: soakField, Value: fmt.Sprint(c.id)}}, RingTimeout: 60 * time.Second, PlaceAgain: p.again}
	var audio *uaCall
	if p.audio {
		audio = soakAudio()
		o.Media = rtc.New(rtc.Options{Tracks: []rtc.Track{audio.track}, Codecs: []string{"PCMU"}})
	}
	s, err := u.Invite(context.Background(), to.user, o)
	if err != nil {
		c.caller.note("Invite", err)
		u.soak.ledger.close(c, c.judge(true))
		return
	}
	c.caller.take(s, audio)
	defer c.caller.engage()()
	u.soak.work.Go(func() { u.soak.settle(c) })
	if p.giveUp > 0 {
		time.AfterFunc(p.giveUp, c.caller.hangUpEarly)
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	if err := s.WaitAnswered(ctx); err != nil {
		if ctx.Err() != nil {
			c.caller.note("WaitAnswered", err)
			c.caller.hangUp()
		}
		return
	}
	c.caller.mu.Lock()
	c.caller.up = true
	c.caller.mu.Unlock()
	if p.giveUp > 0 {
		return
	}
	talk := time.After(p.talk)
	if p.hold {
		c.caller.holdOnce()
	}
	<-talk
	if !p.byCallee {
		c.caller.hangUp()
	}
}

// hangUpEarly gives the call up; where the answer was sooner it is an ordinary end.
func (sd *side) hangUpEarly() {
	defer sd.engage()()
	sd.hangUp()
}

// holdOnce holds and resumes; what fails must do so in a known way, and the call lives on.
func (sd *side) holdOnce() {
	s := sd.now()
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), hangupLimit)
	defer cancel()
	for _, change := range []func(context.Context) error{s.Hold, s.Unhold} {
		err := change(ctx)
		var end *session.EndError
		var refused *sip.ResponseError
		switch {
		case err == nil, errors.As(err, &end), errors.As(err, &refused), errors.Is(err, session.ErrState), isTimeoutOrFlow(err):
		default:
			sd.note("Hold", fmt.Errorf("%T: %w", err, err))
		}
	}
}

func isTimeoutOrFlow(err error) bool {
	var timeout *sip.TimeoutError
	return errors.As(err, &timeout) || isFlowError(err)
}

func isFlowError(err error) bool {
	var flow *transport.FlowError
	return errors.As(err, &flow)
}

// soakAudio is the audio of one side.
func soakAudio() *uaCall {
	return &uaCall{track: rtc.NewTrack(rtc.Audio), first: make(chan struct{})}
}

// takeCall answers a call as planned.
func (u *soakUA) takeCall(in *session.Incoming) {
	n, ok := soakID(string(in.Request().AppendTo(nil)))
	c := u.soak.ledger.find(n)
	if !ok || c == nil || c.callee.ua != u {
		u.soak.t.Errorf("%s: a call that was not begun or is over: %d %q", u.user, n, in.CallID())
		return
	}
	defer c.callee.engage()()
	select {
	case <-time.After(c.plan.ring):
	case <-in.Context().Done():
		return
	}
	if c.plan.refuse {
		if err := in.Reject(sip.StatusBusyHere, nil); err != nil && in.Context().Err() == nil {
			c.callee.note("Reject", err)
		}
		return
	}
	if !c.callee.answer(in) {
		return
	}
	if c.plan.byCallee {
		time.Sleep(c.plan.talk)
		c.callee.hangUp()
	}
}

// answer answers a call; it reports whether it did, or the call was over before.
func (sd *side) answer(in *session.Incoming) bool {
	defer sd.engage()()
	o := &session.AnswerOptions{}
	var audio *uaCall
	if sd.call.plan.audio {
		audio = soakAudio()
		o.Media = rtc.New(rtc.Options{Tracks: []rtc.Track{audio.track}, Codecs: []string{"PCMU"}})
	}
	sd.take(in.Session(), audio)
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	_, err := in.Answer(ctx, o)
	if err == nil {
		return true
	}
	if in.Context().Err() == nil {
		sd.note("Answer", err)
	}
	return false
}

// settle waits until a call is over at both sides and accounts for it.
func (s *soak) settle(c *soakCall) {
	troubled := func() bool { return c.caller.ua.troubledSince(c.begun) || c.callee.ua.troubledSince(c.begun) }
	for last := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		engaged := c.caller.engaged() || c.callee.engaged()
		if engaged {
			last = time.Now()
		}
		late := time.Second
		if troubled() {
			late = lateLimit
		}
		if time.Since(last) > late {
			break
		}
		if engaged && time.Since(c.begun) > callLimit {
			if c.unheard = c.isUnheard(); !c.unheard {
				c.caller.note("over", fmt.Errorf("not within %v: caller %s, callee %s", callLimit, c.caller.states(), c.callee.states()))
			}
			for _, sd := range []*side{c.caller, c.callee} {
				if now := sd.now(); now != nil {
					go now.Hangup(context.Background())
				}
			}
			break
		}
	}
	s.ledger.close(c, c.judge(troubled()))
}

// states are those of all sessions of a side.
func (sd *side) states() string {
	sd.mu.Lock()
	defer sd.mu.Unlock()
	var all []string
	for _, s := range sd.sessions {
		all = append(all, s.State().String())
	}
	return strings.Join(all, ", ")
}

// sendAround sends one message after the other.
func (u *soakUA) sendAround() {
	for u.pause(4 * time.Second) {
		n, to, begun := u.soak.ledger.nextMessage(), u.other(), time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
		err := u.SendMessage(ctx, to.user, fmt.Sprint(n), nil)
		cancel()
		u.soak.ledger.sent(n, err, u.troubledSince(begun) || to.troubledSince(begun))
	}
}

func (u *soakUA) takeMessage(_ context.Context, req *sip.Request) sip.StatusCode {
	var n int
	if _, err := fmt.Sscan(string(req.Body()), &n); err != nil {
		u.soak.t.Errorf("%s: a message with %q", u.user, req.Body())
		return sip.StatusBadRequest
	}
	u.soak.ledger.deliver(n)
	return sip.StatusOK
}

// registered reports whether the UA has its binding and the server knows it.
func (u *soakUA) registered(t testing.TB) bool {
	return u.Registration().State == registrar.Registered && len(u.fleet.k.bindings(t, u.user)) == 1
}
