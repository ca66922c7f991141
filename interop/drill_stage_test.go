//go:build interop

package interop_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
)

const (
	patience     = 90 * time.Second // with JsSIP, until it is registered again: its session timers would end a call by then
	byesPatience = 15 * time.Second // with JsSIP, until its calls have ended: Kamailio waits 10 s for an answer
)

// stage is a UA with calls that are up, behind a proxy that its peers are not behind.
type stage struct {
	ours    bool      // the subject is of ours
	alice   *testUA   // the subject, if it is of ours
	k       *kamailio // the subject's, behind the proxy
	home    *kamailio // its peers', and the subject's in the end: k, or of two the other one
	proxy   *faultProxy
	subject subject
	users   []string // who is sure to be registered in the end
	calls   []drillCall

	t *testing.T
}

// subject is the UA that a drill is about.
type subject interface {
	// after returns how long after a point in time something was told, disconnected or registered, or never.
	after(began time.Time, what string) time.Duration
}

// drillCall is a call of the subject.
type drillCall struct {
	near, far end    // the subject's, and its peer's
	heard     *pulse // of what came in at one that is ours
}

func (c drillCall) lost() bool { return c.near.over() != "" || c.far.over() != "" }

// end is one end of a call, even if another call has replaced that at its peer.
type end interface {
	hangup()      // waits for nothing
	over() string // how the call ended, "" while it is up
	packets() int // received so far
	press()       // sends a digit by INFO, and waits for nothing
	pressed() int // digits that came in
}

// byBye is how a call ends that the other end has hung up.
const byBye = "BYE"

// hit does something to every connection of the subject.
func (s *stage) hit(do func(*faultConn)) {
	s.t.Helper()
	if s.proxy.each(do) == 0 {
		s.t.Error("no connection to disturb")
	}
}

func (s *stage) cut() { s.t.Helper(); s.hit((*faultConn).cut) }

// spoil brings trouble to the connections there are, and not to those to come.
func (s *stage) spoil(tr trouble) {
	s.t.Helper()
	s.hit(func(c *faultConn) { c.suffer(tr) })
}

// await waits for what may not come, and goes on.
func (s *stage) await(what string, limit time.Duration, cond func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(limit); !cond(); time.Sleep(pollEvery) {
		if time.Now().After(deadline) {
			s.t.Logf("not within %v: %s", limit, what)
			return
		}
	}
}

// waitTalk waits until, from now on, packets have come in at both ends of every call that is up.
func (s *stage) waitTalk() {
	s.t.Helper()
	type hearing struct {
		drillCall
		e      end
		before int
	}
	var open []hearing
	for _, c := range s.calls {
		for _, e := range []end{c.near, c.far} {
			if !c.lost() {
				open = append(open, hearing{c, e, e.packets()})
			}
		}
	}
	eventually(s.t, "audio in every call", func() bool {
		open = slices.DeleteFunc(open, func(h hearing) bool { return h.lost() || h.e.packets() >= h.before+10 })
		return len(open) == 0
	})
}

// waitQuiet waits until the subject has not sent or received any message for a while: its calls have found their way back.
// That a new dialog takes the place of the old one it leaves to the far end for up to ten seconds, where that has called.
func (s *stage) waitQuiet(d drill) {
	s.t.Helper()
	window, limit := time.Second, stepLimit
	if d.replace {
		window, limit = 12*time.Second, 2*stepLimit
	}
	began := time.Now()
	for messages, since := s.alice.passed(), began; time.Since(since) < window; time.Sleep(pollEvery) {
		if n := s.alice.passed(); n != messages {
			messages, since = n, time.Now()
		}
		if time.Since(began) > limit {
			s.t.Fatalf("not within %v: the subject quiet for %v", limit, window)
		}
	}
}

// stageOurs has a UA of ours in calls, half of them with another UA of ours and half with JsSIP in two pages, or one.
func stageOurs(t *testing.T, d drill) *stage {
	t.Helper()
	s := newStage(t, d)
	s.ours = true
	alice := &ourSubject{}
	cfg := sipua.Config{WSServers: []sipua.WSServer{{URL: s.proxy.WS, Weight: 10}}}
	if d.two || d.flows {
		cfg.WSServers = append(cfg.WSServers, sipua.WSServer{URL: s.home.WS, Weight: 1})
	}
	if d.flows {
		cfg.Flows = 2
	}
	u := newUA(t, s.k, "alice", alice.follow(cfg))
	s.subject, s.alice = alice, u
	if d.flows {
		s.k.waitBindings(t, "alice", 2)
	}
	peer := newFollower(t, s.home, "dave")
	half, pages := 4, []string{"bob"}
	if *drillsTable {
		half, pages = 10, []string{"bob", "carol"}
	}
	s.users = append([]string{"alice", "dave"}, pages...)
	media := rtc.Options{Codecs: []string{"PCMU"}}
	for i := range half {
		var near, far *uaCall
		if i%2 == 0 {
			near = u.invite("dave", session.CallOptions{}, media)
			far = peer.answer(peer.waitCall(), rtc.Options{})
			near.waitAnswered()
		} else {
			far = peer.invite("alice", session.CallOptions{}, media)
			near = u.answer(u.waitCall(), rtc.Options{})
			far.waitAnswered()
		}
		s.calls = append(s.calls, drillCall{near: ourEnd{near}, far: ourEnd{far}, heard: &near.heard})
	}
	for _, user := range pages {
		p := registeredPage(t, s.home, user, pageOptions{Timeless: true, Follow: true, Deaf: d.deaf})
		for i := range half / len(pages) {
			near, far := connected(t, u, p, i%2 == 0, media)
			s.calls = append(s.calls, drillCall{near: ourEnd{near}, far: pageEnd{p, far.id}, heard: &near.heard})
		}
	}
	return s
}

// stageJsSIP has a page of JsSIP in twenty calls with two UAs of ours.
func stageJsSIP(t *testing.T, d drill) *stage {
	t.Helper()
	s := newStage(t, d)
	o := pageOptions{Server: s.proxy.WS, Patient: true}
	if d.two {
		o.Spare = s.home.WS
	}
	p := registeredPage(t, s.k, "alice", o)
	s.subject = pageSubject{p}
	s.users = []string{"bob", "dave"}
	for _, user := range s.users {
		peer := newFollower(t, s.home, user)
		for i := range 10 {
			far, near := connected(t, peer, p, i%2 == 0, rtc.Options{Codecs: []string{"PCMU"}})
			s.calls = append(s.calls, drillCall{near: pageEnd{p, near.id}, far: ourEnd{far}, heard: &far.heard})
		}
	}
	return s
}

func newStage(t *testing.T, d drill) *stage {
	t.Helper()
	s := &stage{t: t}
	if !d.two {
		s.k = startKamailio(t, d.options)
		s.home = s.k
	} else {
		one, other := d.options, d.options
		one.UDPPort, other.UDPPort = freePort(t), freePort(t)
		one.Sibling, other.Sibling = other.UDPPort, one.UDPPort
		s.k, s.home = startKamailio(t, one), startKamailio(t, other)
	}
	s.proxy = startFaultProxy(t, s.k.WS)
	return s
}

// newFollower returns a UA of ours that takes each call which replaces one of its own.
func newFollower(t *testing.T, k *kamailio, user string) *testUA {
	t.Helper()
	var u *testUA
	u = openUA(t, k, user, sipua.Config{
		ConnectionRecoveryMinInterval: 200 * time.Millisecond,
		ConnectionRecoveryMaxInterval: time.Second,
		Handler: sipua.Handler{Call: func(in *session.Incoming) {
			if in.Replaces() == nil {
				u.calls <- in
				return
			}
			c := u.newCall()
			s, err := in.Answer(in.Context(), &session.AnswerOptions{
				Media: rtc.New(rtc.Options{Tracks: []rtc.Track{c.track}}), Handler: c.handler(),
			})
			if err != nil {
				t.Errorf("UA of %s: a call that replaces one: %v", user, err)
				return
			}
			c.Session = s
			c.talk()
		}},
	})
	if err := u.Start(step(t)); err != nil {
		t.Fatalf("UA of %s: %v", user, err)
	}
	return u
}

// ourSubject keeps when a UA of ours told of what.
type ourSubject struct {
	mu sync.Mutex
	at map[string][]time.Time // guarded by mu; by sipua.EventKind
}

// follow makes a UA tell the subject.
func (s *ourSubject) follow(cfg sipua.Config) sipua.Config {
	s.at = make(map[string][]time.Time)
	cfg.Handler.Event = func(e sipua.Event) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.at[e.Kind.String()] = append(s.at[e.Kind.String()], e.Time)
	}
	return cfg
}

func (s *ourSubject) after(began time.Time, what string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return firstAfter(began, s.at[what])
}

// pageSubject is a page.
type pageSubject struct{ p *page }

func (s pageSubject) after(began time.Time, what string) time.Duration {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	var at []time.Time
	for _, e := range s.p.events {
		if e.Call == 0 && e.Name == what {
			at = append(at, e.at)
		}
	}
	return firstAfter(began, at)
}

func firstAfter(began time.Time, at []time.Time) time.Duration {
	i := slices.IndexFunc(at, began.Before)
	if i < 0 {
		return never
	}
	return at[i].Sub(began)
}

// ourEnd is an end that is a UA of ours.
type ourEnd struct{ began *uaCall }

// present is the call that has replaced the one that began, if one has.
func (e ourEnd) present() *session.Session {
	s := e.began.Session
	for {
		var r *session.ReplacedError
		if !errors.As(context.Cause(s.Context()), &r) {
			return s
		}
		s = r.By
	}
}

func (e ourEnd) hangup() { go e.present().Hangup(context.Background()) }

func (e ourEnd) over() string {
	s := e.present()
	if s.Context().Err() == nil {
		return ""
	}
	err := context.Cause(s.Context())
	var end *session.EndError
	if errors.As(err, &end) && end.Kind == session.EndBye && end.Remote {
		return byBye
	}
	return err.Error()
}

func (e ourEnd) press() {
	go e.present().SendDTMF(context.Background(), "5", &session.DTMFOptions{Transport: session.DTMFInfo})
}

func (e ourEnd) pressed() int { return len(e.began.digits) }

func (e ourEnd) packets() int { return int(rtc.StatsOf(e.present()).Audio.PacketsReceived) }

// pageEnd is an end that is a page.
type pageEnd struct {
	p     *page
	began int
}

func (e pageEnd) present() int {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	call := e.began
	for _, ev := range e.p.events {
		if ev.Name == "takenOver" && ev.Call == call {
			call, _ = strconv.Atoi(ev.Body)
		}
	}
	return call
}

func (e pageEnd) call() *pageCall { return &pageCall{p: e.p, id: e.present()} }

// That the call is over is seen elsewhere.
func (e pageEnd) hangup() { go e.call().try("hangup", nil) }
func (e pageEnd) press()  { go e.call().try("dtmf", map[string]any{"tones": "5"}) }

func (e pageEnd) pressed() int {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	n := 0
	for _, ev := range e.p.events {
		if ev.Name == "newDTMF" && ev.Call == e.began && ev.Originator == "remote" {
			n++
		}
	}
	return n
}

func (e pageEnd) over() string {
	call := e.present()
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	for _, ev := range e.p.events {
		switch {
		case ev.Call != call || ev.Name != "ended" && ev.Name != "failed":
		case ev.Originator == "remote" && ev.Cause == "Terminated":
			return byBye
		default:
			return ev.Originator + ": " + ev.Cause
		}
	}
	return ""
}

func (e pageEnd) packets() int {
	e.p.t.Helper()
	return e.call().stats().InPackets
}
