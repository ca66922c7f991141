package session_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

var orders = flag.Uint64("orders", 150, "how many orders TestAnyOrder tries")

// TestAnyOrder has calls live through whatever may happen, in any order, and
// then expects of each what must hold for all: it ends, with one last event;
// every request of the far end was answered once; every method returned; and
// nothing is left (bubble checks the media).
func TestAnyOrder(t *testing.T) {
	for seed := range *orders {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			o := session.Options{SessionTimers: seed%3 == 0, AskOnReplacement: seed%4 == 1}
			o.MediaRecovery = []session.MediaRecovery{session.MediaRestart, session.MediaRestart, session.MediaKeep, session.MediaEnd}[seed%7/2]
			bubbleWith(t, o, func(r *rig) {
				c := &chaos{rig: r, rand: rand.New(rand.NewPCG(seed, 1)), finals: map[string]*theirs{}, last: map[string]uint32{}, byes: map[string]uint32{}, left: map[*sip.Request]*line{}}
				c.lines = []*line{{rig: r, up: true}}
				if seed%5 < 2 {
					c.secondServer()
				}
				c.begin()
				if seed%2 == 0 {
					c.roam()
				}
				for range 40 {
					c.happen()
				}
				c.finish()
			})
		})
	}
}

// line is a way to a server, by one connection after the other.
type line struct {
	*rig
	up    bool
	regID int
}

// chaos is a call to which anything happens.
type chaos struct {
	*rig    // of the line in use
	lines   []*line
	rand    *rand.Rand
	session *session.Session
	in      *session.Incoming
	invite  *sip.Request // the one that makes the call
	far     []*peer      // the far ends of its dialogs
	release func()
	ours    []*sip.Request // requests of ours that may be answered
	left    map[*sip.Request]*line
	finals  map[string]*theirs // by branch
	last    map[string]uint32  // CSeq of our requests, by dialog; the highest number after BYE
	byes    map[string]uint32  // CSeq of BYE, likewise
	methods atomic.Int32       // of the application's that have not returned
	rseq    int                // of the far end's reliable responses
	waiting []*sip.Response    // reliable responses of ours
	judged  []*session.Offer   // offers that wait for the application
	asked   []*session.Referral
	states  []session.State
}

// theirs is a request of the far end.
type theirs struct {
	method sip.Method
	codes  []sip.StatusCode // the finals
	line   *rig
	lost   bool // its connection went before
}

// repeated reports whether all the answers are one, said again on another flow.
func (t *theirs) repeated() bool { return len(slices.Compact(slices.Clone(t.codes))) == 1 }

func (c *chaos) begin() {
	h := &session.Handler{State: func(_ *session.Session, st session.State) { c.states = append(c.states, st) }}
	if c.rand.IntN(3) == 0 {
		h.Offer = func(_ *session.Session, o *session.Offer) { c.judged = append(c.judged, o) }
	}
	if c.rand.IntN(3) > 0 {
		h.Refer = func(_ *session.Session, r *session.Referral) { c.asked = append(c.asked, r) }
	}
	if c.rand.IntN(2) == 0 {
		o := &session.CallOptions{Handler: h, LateOffer: c.rand.IntN(3) == 0}
		if c.rand.IntN(4) == 0 {
			o.Reliability = session.ReliableRequired
		}
		if c.rand.IntN(2) == 0 {
			o.Redirect = session.FollowContacts
		}
		o.PlaceAgain = c.rand.IntN(3) > 0
		s, err := c.calls.Invite(context.Background(), "bob", o)
		c.must(err)
		c.session = s
		c.look()
		if c.rand.IntN(3) == 0 { // its connection goes before it is up
			for range c.rand.IntN(3) {
				c.answerOurs()
			}
			l := c.lines[c.rand.IntN(len(c.lines))]
			c.connection(l)
			time.Sleep(time.Duration(c.rand.IntN(10000)) * time.Millisecond)
			c.connection(l)
			if c.rand.IntN(4) > 0 { // what is missing by then is given up
				time.Sleep(8 * time.Second)
				c.look()
			}
		}
		return
	}
	bob := c.caller()
	c.far = append(c.far, bob)
	c.invite = c.send(bob, sip.INVITE, c.body(), c.abilities()...)
	c.in = <-c.calls1
	if c.rand.IntN(4) > 0 {
		c.call(func(ctx context.Context) error {
			s, err := c.in.Answer(ctx, &session.AnswerOptions{Handler: h})
			if err == nil {
				c.session = s
			}
			return err
		})
	}
}

// call runs a method of the application's.
func (c *chaos) call(f func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	if c.rand.IntN(3) == 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(c.rand.IntN(5000))*time.Millisecond)
	}
	c.methods.Add(1)
	go func() {
		defer cancel()
		defer c.methods.Add(-1)
		_ = f(ctx)
	}()
	c.look()
}

// body is an offer, or none.
func (c *chaos) body() string {
	if c.rand.IntN(6) == 0 {
		return ""
	}
	return sdp("far")
}

// abilities are what the far end says of itself.
func (c *chaos) abilities() []sip.Field {
	var fields []sip.Field
	if c.rand.IntN(2) == 0 {
		fields = append(fields, supports100rel)
	} else if c.rand.IntN(3) == 0 {
		fields = append(fields, requires100rel)
	}
	if c.rand.IntN(2) == 0 {
		fields = append(fields, updates)
	}
	if c.rand.IntN(3) == 0 {
		fields = append(fields, sip.Field{Name: "Supported", Value: "replaces"})
	}
	if c.rand.IntN(4) == 0 {
		fields = append(fields, sip.Field{Name: "Record-Route", Value: "<sip:token@edge.example.com;lr;ob>"})
	}
	if c.rand.IntN(4) == 0 {
		fields = append(fields, sip.Field{Name: "Session-Expires", Value: []string{"90", "1800;refresher=uas", "20", "100;refresher=uac"}[c.rand.IntN(4)]})
	}
	return fields
}

// send sends a request of the far end and remembers it.
func (c *chaos) send(p *peer, method sip.Method, body string, fields ...sip.Field) *sip.Request {
	req := p.request(method, body, fields...)
	c.sends(req)
	return req
}

func (c *chaos) sends(req *sip.Request) {
	if c.anyLine() && req.Method() != sip.ACK {
		c.finals[req.Via().Branch()] = &theirs{method: req.Method(), line: c.rig}
	}
	c.receive(req)
	c.look()
}

// look takes what left.
func (c *chaos) look() {
	for _, l := range c.lines {
		c.lookAt(l)
	}
}

func (c *chaos) lookAt(l *line) {
	for m := l.next(); m != nil; m = l.next() {
		switch m := m.(type) {
		case *sip.Request:
			if m.Method() == sip.ACK {
				continue
			}
			c.ours = append(c.ours, m)
			c.left[m] = l
			c.number(m)
			if m.Method() == sip.INVITE && m.To().Tag() == "" && c.in == nil && (c.session == nil || c.session.CallID() == m.CallID()) {
				c.invite = m
			}
		case *sip.Response:
			t := c.finals[m.Via().Branch()]
			if t == nil {
				c.t.Fatalf("an answer to nothing: %s", show(m))
			}
			if m.CSeq().Method == sip.INVITE && m.To().Tag() != "" {
				for _, p := range c.far {
					if p.callID == m.CallID() && p.remote.Tag() == "" {
						p.remote = m.To()
					}
				}
			}
			if m.HasHeader("RSeq") {
				c.waiting = append(c.waiting, m)
			}
			if m.StatusCode().IsFinal() && m.CSeq().Method == t.method {
				t.codes = append(t.codes, m.StatusCode())
			}
		}
	}
}

func (c *chaos) happen() {
	switch n := c.rand.IntN(20); {
	case n < 6:
		c.answerOurs()
	case n < 11:
		c.farActs()
	case n < 15:
		c.applicationActs()
	case n == 15:
		c.network()
	case n == 16 && c.release == nil:
		c.release = c.media.hold()
	case n == 16:
		c.free()
	case n == 17:
		c.media.failWith([]error{nil, nil, nil, nil, errors.New("broken"), session.ErrUnacceptable}[c.rand.IntN(6)])
		c.media.needFresh(c.rand.IntN(3) / 2)
	case n == 18 && c.session != nil && c.session.Media() != nil:
		c.path()
	default:
		time.Sleep(time.Duration(c.rand.IntN(4000)) * time.Millisecond)
		c.look()
	}
}

func (c *chaos) free() {
	if c.release != nil {
		c.release()
		c.release = nil
	}
	c.look()
}

// decides has the application judge an offer, a REFER or another call.
func (c *chaos) decides() {
	switch {
	case len(c.judged) > 0:
		o := c.judged[0]
		c.judged = c.judged[1:]
		if c.rand.IntN(3) == 0 {
			o.Reject(488, nil)
		} else {
			o.Accept(nil)
		}
	case len(c.asked) > 0:
		r := c.asked[0]
		c.asked = c.asked[1:]
		if c.rand.IntN(3) == 0 {
			r.Reject(603, nil)
		} else {
			c.call(func(ctx context.Context) error { _, err := r.Accept(ctx, nil); return err })
		}
	case len(c.calls1) > 0:
		in := <-c.calls1
		if c.rand.IntN(3) == 0 {
			in.Reject(486, nil)
		} else {
			c.call(func(ctx context.Context) error { _, err := in.Answer(ctx, nil); return err })
		}
	}
	c.look()
}

func (c *chaos) applicationActs() {
	if c.rand.IntN(3) == 0 {
		c.decides()
		return
	}
	if c.in != nil && c.session == nil {
		switch c.rand.IntN(6) {
		case 0:
			c.in.Progress(nil)
		case 2, 3, 4, 5:
			c.in.Progress(&session.ProgressOptions{EarlyMedia: c.rand.IntN(2) == 0, Reliable: c.rand.IntN(3) == 0})
		case 1:
			if c.rand.IntN(4) == 0 {
				c.in.Reject(486, nil)
			}
		}
		c.look()
		return
	}
	s := c.session
	if s == nil {
		return
	}
	switch c.rand.IntN(10) {
	case 0, 1:
		c.call(s.Hold)
	case 2:
		c.call(s.Unhold)
	case 3:
		o := &session.RenegotiateOptions{UseUpdate: c.rand.IntN(2) == 0}
		c.call(func(ctx context.Context) error { return s.Renegotiate(ctx, o) })
	case 4:
		s.Mute(session.MuteSet{Audio: c.rand.IntN(2) == 0})
		c.look()
	case 5:
		c.call(func(ctx context.Context) error { return s.SendInfo(ctx, "text/plain", []byte("x"), nil) })
	case 6:
		c.call(func(ctx context.Context) error { _, err := s.Refer(ctx, "carol", nil); return err })
	case 7:
		c.call(func(ctx context.Context) error { return s.SendDTMF(ctx, "1", nil) })
	case 8:
		c.call(s.WaitAnswered)
	case 9:
		if c.rand.IntN(8) == 0 {
			c.call(s.Hangup)
		}
	}
}

// finish ends the call and checks what must hold.
func (c *chaos) finish() {
	c.free()
	c.allUp()
	if c.session != nil && c.rand.IntN(2) == 0 {
		c.quiet()
	}
	c.calls.HangupAll()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := c.calls.Wait(ctx); err != nil {
		c.t.Errorf("not over after %v: %v", time.Since(begin), err)
	}
	time.Sleep(5 * time.Minute)
	c.look()
	synctest.Wait()
	if n := c.methods.Load(); n != 0 {
		c.t.Errorf("%d methods have not returned", n)
	}
	time.Sleep(time.Hour) // for refer subscriptions that nobody ends
	c.look()
	c.core.Lock()
	held := c.core.Holdings()
	c.core.Unlock()
	if held != (core.Holdings{}) {
		c.t.Errorf("left are %+v", held)
	}
	for i, st := range c.states {
		if (st == session.Terminated) != (i == len(c.states)-1) {
			c.t.Errorf("states %v", c.states)
		}
	}
	for branch, t := range c.finals {
		if n := len(t.codes); n == 0 && !t.lost || n > 1 && t.codes[0] >= 300 && !t.repeated() {
			c.t.Errorf("%s %s was answered %v", t.method, branch, t.codes)
		}
	}
}

// quiet has the far end answer everything as it should until nothing goes on,
// then makes an offer: nothing may be stuck.
func (c *chaos) quiet() {
	c.media.failWith(nil)
	c.media.needFresh(0)
	s := c.session
	for round := range 40 {
		for len(c.judged)+len(c.asked)+len(c.calls1) > 0 && round < 30 {
			c.decides()
		}
		waiting := c.waiting
		c.waiting = nil
		for _, res := range waiting {
			c.confirms(res, sdp("far"))
		}
		for _, p := range c.far {
			if p.remote.Tag() != "" && round < 3 {
				for seq := p.seq - min(p.seq, 8); seq <= p.seq; seq++ { // whatever 2xx it was
					ack := p.request(sip.ACK, sdp("far"))
					c.must(ack.SetCSeq(sip.CSeq{Seq: seq, Method: sip.ACK}))
					c.receive(ack)
				}
			}
		}
		pending := c.ours
		c.ours = nil
		for _, req := range pending {
			tag := ""
			if req.To().Tag() == "" && req.Method() == sip.INVITE {
				tag = "one"
			}
			c.lineOf(req)
			c.answer(req, 200, tag, sdp("far"))
			c.look()
		}
		time.Sleep(time.Second)
		c.look()
	}
	if st := s.State(); st != session.Confirmed {
		return
	}
	c.sound(s)
	done := start(func() error { return s.Renegotiate(context.Background(), nil) })
	c.look()
	if len(c.ours) == 0 {
		c.t.Error("an offer of ours does not leave a quiet call")
		return
	}
	for range 3 { // it may have to wait for a refresh
		for _, req := range c.ours {
			c.lineOf(req)
			c.answer(req, 200, "", sdp("far"))
		}
		c.ours = nil
		c.look()
	}
	select {
	case <-done:
	default:
		c.t.Error("an offer of ours does not come to its end")
	}
}
