package session_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// crowd is many calls at a time: what leaves is sorted by Call-ID.
type crowd struct {
	*rig
	left map[string][]sip.Message
}

func (c *crowd) sort() {
	for m := c.next(); m != nil; m = c.next() {
		id := m.(interface{ CallID() string }).CallID()
		c.left[id] = append(c.left[id], m)
	}
}

// take expects a message of that kind in a call, and drops what left before it.
func (c *crowd) take(id string, what string, is func(sip.Message) bool) sip.Message {
	c.t.Helper()
	c.sort()
	for i, m := range c.left[id] {
		if is(m) {
			c.left[id] = c.left[id][i+1:]
			return m
		}
	}
	c.t.Fatalf("no %s among %d", what, len(c.left[id]))
	return nil
}

func (c *crowd) req(id string, method sip.Method) *sip.Request {
	c.t.Helper()
	return c.take(id, string(method), func(m sip.Message) bool {
		req, ok := m.(*sip.Request)
		return ok && req.Method() == method
	}).(*sip.Request)
}

func (c *crowd) res(id string, code sip.StatusCode, method sip.Method) *sip.Response {
	c.t.Helper()
	return c.take(id, fmt.Sprint(code, " ", method), func(m sip.Message) bool {
		res, ok := m.(*sip.Response)
		return ok && res.StatusCode() == code && res.CSeq().Method == method
	}).(*sip.Response)
}

// ends answers our BYE or CANCEL and what belongs to it.
func (c *crowd) ends(id string, method sip.Method) {
	c.t.Helper()
	c.answer(c.req(id, method), 200, "", "")
}

// a call of the crowd's.
type one struct {
	*crowd
	s      *session.Session
	id     string
	in     *session.Incoming
	invite *sip.Request
	bob    *peer
	media  *tape
}

// dialled is a call of ours whose INVITE is out.
func (c *crowd) dialled(o *session.CallOptions) *one {
	c.t.Helper()
	if o == nil {
		o = &session.CallOptions{}
	}
	if o.Handler == nil {
		o.Handler = &session.Handler{}
	}
	s, err := c.calls.Invite(context.Background(), "bob", o)
	c.must(err)
	return &one{crowd: c, s: s, id: s.CallID(), invite: c.req(s.CallID(), sip.INVITE)}
}

// rings is one that somebody rings at.
func (c *crowd) rings(o *session.CallOptions) *one {
	c.t.Helper()
	a := c.dialled(o)
	a.answer(a.invite, 180, "b", "")
	return a
}

// up is one that was answered.
func (c *crowd) up(o *session.CallOptions) *one {
	c.t.Helper()
	a := c.dialled(o)
	a.answer(a.invite, 200, "b", sdp("bob"))
	a.req(a.id, sip.ACK)
	a.bob, a.media = c.called(a.invite, "b"), c.rig.media.last()
	return a
}

// called is a call of bob's that rings.
func (c *crowd) incoming(fields ...sip.Field) *one {
	c.t.Helper()
	bob := c.caller()
	bob.local = bob.local.WithTag(sip.NewTag())
	a := &one{crowd: c, bob: bob, id: bob.callID}
	a.invite = bob.send(sip.INVITE, sdp("bob"), fields...)
	bob.remote = c.res(a.id, 180, sip.INVITE).To()
	a.in = <-c.calls1
	a.s = a.in.Session()
	return a
}

// accepted is one that we answered, not acknowledged.
func (c *crowd) accepted(fields ...sip.Field) *one {
	c.t.Helper()
	a := c.incoming(fields...)
	_, err := a.in.Answer(context.Background(), &session.AnswerOptions{Handler: &session.Handler{}})
	c.must(err)
	a.res(a.id, 200, sip.INVITE)
	a.media = c.rig.media.last()
	return a
}

func (c *crowd) hosts() *one {
	c.t.Helper()
	a := c.accepted()
	a.bob.send(sip.ACK, "")
	return a
}

// canceled has the far end agree to our CANCEL.
func (a *one) canceled() {
	a.t.Helper()
	a.ends(a.id, sip.CANCEL)
	a.answer(a.invite, 487, "b", "")
}

// ending is one way for a call to end: begin brings it to where only the func
// that it returns is missing.
type ending struct {
	name  string
	begin func(c *crowd) func()
	slow  bool // it takes its time, in which others would end
}

// refusedWith is an INVITE that gets a final response.
func refusedWith(code sip.StatusCode, fields ...sip.Field) ending {
	return ending{fmt.Sprint("refused with ", int(code)), func(c *crowd) func() {
		a := c.rings(nil)
		return func() { a.answer(a.invite, code, "b", "", fields...) }
	}, false}
}

func hangup(a *one) { start(func() error { return a.s.Hangup(context.Background()) }) }

// endings are the ways for a call to end. None takes the connection away from
// the others; TestConnectionLostUnder50CallsLeavesNothing does.
var endings = []ending{
	refusedWith(302, contacts("<sip:carol@example.com>")...),
	refusedWith(401, sip.Field{Name: "WWW-Authenticate", Value: `Digest realm="elsewhere", nonce="x"`}),
	refusedWith(404), refusedWith(408), refusedWith(481), refusedWith(486), refusedWith(487), refusedWith(488), refusedWith(503), refusedWith(603),
	{"redirected, answered there", func(c *crowd) func() {
		a := c.rings(&session.CallOptions{Redirect: session.FollowContacts})
		a.redirectTo("<sip:carol@example.com>")
		next := a.req(a.id, sip.INVITE)
		a.answer(next, 200, "c", sdp("carol"))
		a.req(a.id, sip.ACK)
		return func() { hangup(a); a.ends(a.id, sip.BYE) }
	}, false},
	{"redirected in a circle", func(c *crowd) func() {
		a := c.rings(&session.CallOptions{Redirect: session.FollowContacts})
		return func() { a.redirectTo("<sip:bob@example.com>") }
	}, false},
	{"given up before anything came", func(c *crowd) func() {
		a := c.dialled(nil)
		hangup(a)
		return func() { a.answer(a.invite, 100, "", ""); a.canceled() }
	}, false},
	{"given up while it rang", func(c *crowd) func() {
		a := c.rings(nil)
		return func() { hangup(a); a.canceled() }
	}, false},
	{"given up, CANCEL never answered", func(c *crowd) func() {
		a := c.rings(nil)
		return func() { hangup(a) }
	}, false},
	{"given up, answered all the same", func(c *crowd) func() {
		a := c.rings(nil)
		return func() {
			hangup(a)
			cancel := a.req(a.id, sip.CANCEL)
			a.answer(a.invite, 200, "b", sdp("bob"))
			a.answer(cancel, 200, "", "")
			a.ends(a.id, sip.BYE)
		}
	}, false},
	{"given up while its media were made", func(c *crowd) func() {
		done := c.rig.media.hold()
		s, err := c.calls.Invite(context.Background(), "bob", nil)
		c.must(err)
		start(func() error { return s.Hangup(context.Background()) })
		done()
		return func() {}
	}, false},
	{"nobody answers", func(c *crowd) func() {
		a := c.rings(&session.CallOptions{RingTimeout: time.Second})
		return func() { time.Sleep(2 * time.Second); a.canceled() }
	}, true},
	{"nobody is there", func(c *crowd) func() { c.dialled(nil); return func() {} }, false},
	{"our INVITE expires", func(c *crowd) func() {
		a := c.rings(&session.CallOptions{Expires: time.Second})
		return func() { time.Sleep(2 * time.Second); a.canceled() }
	}, true},
	{"an answer that cannot be used", func(c *crowd) func() {
		a := c.rings(nil)
		return func() { a.answer(a.invite, 200, "b", ""); a.ends(a.id, sip.BYE) }
	}, false},
	{"an answer that makes no dialog", func(c *crowd) func() {
		a := c.dialled(nil)
		return func() { a.answer(a.invite, 200, "b", sdp("bob"), sip.Field{Name: "Record-Route", Value: "<<"}) }
	}, false},
	{"BYE of ours", func(c *crowd) func() { a := c.up(nil); return func() { hangup(a); a.ends(a.id, sip.BYE) } }, false},
	{"BYE of ours, never answered", func(c *crowd) func() { a := c.up(nil); return func() { hangup(a) } }, false},
	{"BYE of theirs", func(c *crowd) func() { a := c.up(nil); return func() { a.bob.send(sip.BYE, "") } }, false},
	{"BYE of both", func(c *crowd) func() {
		a := c.up(nil)
		return func() { hangup(a); a.bob.send(sip.BYE, ""); a.ends(a.id, sip.BYE) }
	}, false},
	{"BYE while an offer of ours is out", func(c *crowd) func() {
		a := c.up(nil)
		start(func() error { return a.s.Hold(context.Background()) })
		return func() { a.bob.send(sip.BYE, "") }
	}, false},
	{"BYE while an offer of theirs is judged", func(c *crowd) func() {
		a := c.up(&session.CallOptions{Handler: &session.Handler{Offer: func(*session.Session, *session.Offer) {}}})
		a.bob.send(sip.INVITE, sdp("bob"))
		return func() { a.bob.send(sip.BYE, "") }
	}, false},
	{"the dialog is gone", func(c *crowd) func() {
		a := c.up(nil)
		start(func() error { return a.s.SendInfo(context.Background(), "text/plain", []byte("x"), nil) })
		return func() { a.answer(a.req(a.id, sip.INFO), 481, "", ""); a.ends(a.id, sip.BYE) }
	}, false},
	{"the media are lost", func(c *crowd) func() {
		a := c.up(nil)
		return func() { a.media.events.Failed(errors.New("gone")); a.ends(a.id, sip.BYE) }
	}, false},
	{"a handler panics", func(c *crowd) func() {
		a := c.up(&session.CallOptions{Handler: &session.Handler{Hold: func(*session.Session, session.HoldState) { panic("oops") }}})
		return func() { a.bob.send(sip.UPDATE, sdp("bob-hold")); a.ends(a.id, sip.BYE) }
	}, false},
	{"two forks answer", func(c *crowd) func() {
		a := c.dialled(nil)
		for _, tag := range []string{"one", "two", "three"} {
			a.answer(a.invite, 183, tag, sdp(tag))
		}
		a.answer(a.invite, 200, "one", sdp("one"))
		a.answer(a.invite, 200, "two", sdp("two"))
		a.ends(a.id, sip.BYE)
		return func() { hangup(a); a.ends(a.id, sip.BYE) }
	}, false},
	{"forks end with 199, then the call", func(c *crowd) func() {
		a := c.dialled(nil)
		for _, tag := range []string{"one", "two"} {
			a.answer(a.invite, 183, tag, sdp(tag), reliable(1)...)
			a.ends(a.id, sip.PRACK)
			a.answer(a.invite, 199, tag, "", reliable(2)...)
			a.ends(a.id, sip.PRACK)
		}
		return func() { a.answer(a.invite, 480, "b", "") }
	}, false},
	{"each fork with media of its own", func(c *crowd) func() {
		a := c.dialled(&session.CallOptions{LateOffer: true})
		for _, tag := range []string{"one", "two", "three"} {
			a.answer(a.invite, 183, tag, sdp(tag), reliable(1)...)
			a.ends(a.id, sip.PRACK)
		}
		a.answer(a.invite, 200, "two", "")
		return func() { hangup(a); a.ends(a.id, sip.BYE) }
	}, false},
	{"PRACK never answered", func(c *crowd) func() {
		a := c.dialled(nil)
		a.answer(a.invite, 183, "b", sdp("b"), reliable(1)...)
		return func() { a.answer(a.invite, 486, "b", "") }
	}, false},
	{"the session expires", func(c *crowd) func() {
		a := c.dialled(nil)
		a.answer(a.invite, 200, "b", sdp("bob"), sip.Field{Name: "Require", Value: "timer"}, sip.Field{Name: "Session-Expires", Value: "90;refresher=uas"})
		return func() { time.Sleep(90 * time.Second); a.ends(a.id, sip.BYE) }
	}, true},
	{"a refresh is never answered", func(c *crowd) func() {
		a := c.dialled(nil)
		a.answer(a.invite, 200, "b", sdp("bob"), sip.Field{Name: "Require", Value: "timer"}, sip.Field{Name: "Session-Expires", Value: "90;refresher=uac"})
		return func() { time.Sleep(90 * time.Second) }
	}, true},
	{"transferred", func(c *crowd) func() {
		a := c.up(nil)
		return func() {
			start(func() error { _, err := a.s.Refer(context.Background(), "carol", nil); return err })
			a.answer(a.req(a.id, sip.REFER), 202, "", "")
			a.bob.notify("refer", "terminated;reason=noresource", "SIP/2.0 200 OK")
			a.ends(a.id, sip.BYE)
		}
	}, false},
	{"transferred, and nothing more heard", func(c *crowd) func() {
		a := c.up(nil)
		start(func() error { _, err := a.s.Refer(context.Background(), "carol", nil); return err })
		a.answer(a.req(a.id, sip.REFER), 202, "", "")
		return func() { a.bob.send(sip.BYE, "") }
	}, false},
	{"referred", func(c *crowd) func() {
		var to *session.Session
		a := c.up(&session.CallOptions{Handler: &session.Handler{Refer: func(_ *session.Session, r *session.Referral) {
			to, _ = r.Accept(context.Background(), nil)
		}}})
		a.bob.send(sip.REFER, "", sip.Field{Name: "Refer-To", Value: "<sip:carol@example.com>"})
		synctest.Wait()
		return func() {
			invite := c.req(to.CallID(), sip.INVITE)
			a.answer(invite, 200, "carol", sdp("carol"))
			a.bob.send(sip.BYE, "")
			c.called(invite, "carol").send(sip.BYE, "")
		}
	}, false},
	{"a referral that nobody decides on", func(c *crowd) func() {
		a := c.up(&session.CallOptions{Handler: &session.Handler{Refer: func(*session.Session, *session.Referral) {}}})
		a.bob.send(sip.REFER, "", sip.Field{Name: "Refer-To", Value: "<sip:carol@example.com>"})
		return func() { a.bob.send(sip.BYE, "") }
	}, false},
	{"replaced", func(c *crowd) func() {
		a := c.hosts()
		return func() {
			b := c.accepted(sip.Field{Name: "Replaces", Value: a.bob.replaces()})
			b.bob.send(sip.ACK, "")
			a.ends(a.id, sip.BYE)
			b.bob.send(sip.BYE, "")
		}
	}, false},
	{"refused by us", func(c *crowd) func() { a := c.incoming(); return func() { c.must(a.in.Reject(603, nil)) } }, false},
	{"redirected by us", func(c *crowd) func() {
		a := c.incoming()
		return func() { c.must(a.in.Redirect(sip.NameAddr{URI: sip.URI{Scheme: "sip", User: "x", Host: "y.z"}})) }
	}, false},
	{"given up by them", func(c *crowd) func() { a := c.incoming(); return func() { a.bob.cancel(a.invite) } }, false},
	{"BYE of theirs while it rings", func(c *crowd) func() { a := c.incoming(); return func() { a.bob.send(sip.BYE, "") } }, false},
	{"not decided", func(c *crowd) func() { c.incoming(); return func() {} }, false},
	{"their INVITE expires", func(c *crowd) func() { c.incoming(sip.Field{Name: "Expires", Value: "1"}); return func() {} }, false},
	{"an offer that cannot be used", func(c *crowd) func() {
		a := c.incoming()
		return func() {
			c.rig.media.failWith(session.ErrUnacceptable)
			a.in.Answer(context.Background(), nil)
			c.rig.media.failWith(nil)
		}
	}, false},
	{"early media, then given up by them", func(c *crowd) func() {
		a := c.incoming(supports100rel)
		c.must(a.in.Progress(&session.ProgressOptions{EarlyMedia: true}))
		return func() { a.bob.cancel(a.invite) }
	}, false},
	{"a reliable response that is never confirmed", func(c *crowd) func() {
		a := c.incoming(supports100rel)
		c.must(a.in.Progress(&session.ProgressOptions{EarlyMedia: true}))
		return func() {}
	}, false},
	{"no ACK", func(c *crowd) func() {
		a := c.accepted()
		return func() { time.Sleep(33 * time.Second); a.ends(a.id, sip.BYE) }
	}, true},
	{"hung up before the ACK", func(c *crowd) func() {
		a := c.accepted()
		return func() { hangup(a); a.bob.send(sip.ACK, ""); a.ends(a.id, sip.BYE) }
	}, false},
	{"BYE of theirs in place of the ACK", func(c *crowd) func() { a := c.accepted(); return func() { a.bob.send(sip.BYE, "") } }, false},
	{"hung up by who was called", func(c *crowd) func() { a := c.hosts(); return func() { hangup(a); a.ends(a.id, sip.BYE) } }, false},
	{"left to the end", func(c *crowd) func() { c.hosts(); return func() {} }, false},
	{"left to the end while it rings", func(c *crowd) func() { c.rings(&session.CallOptions{RingTimeout: time.Hour}); return func() {} }, false},
}

func (a *one) redirectTo(contact string) {
	a.t.Helper()
	res := sip.NewResponse(a.invite, 302, "")
	res.SetToTag("b")
	a.must(res.AddHeader("Contact", contact))
	a.receive(res)
}

// nothing expects that the core keeps nothing and that no call is left.
func (c *crowd) nothing(what string) {
	c.t.Helper()
	synctest.Wait()
	c.core.Lock()
	held := c.core.Holdings()
	c.core.Unlock()
	if held != (core.Holdings{}) || c.calls.Busy() {
		c.t.Errorf("%s: left are %+v, busy %v", what, held, c.calls.Busy())
	}
	if n := c.rig.media.open(); n != 0 {
		c.t.Errorf("%s: %d media are open", what, n)
	}
}

// over hangs up what was left, and waits until nothing is repeated any more.
func (c *crowd) over() {
	for _, s := range c.calls.Sessions() {
		start(func() error { return s.Hangup(context.Background()) })
	}
	for range 12 { // whatever the far end is still asked
		time.Sleep(30 * time.Second)
		c.sort()
		for id, left := range c.left {
			for _, m := range left {
				if req, ok := m.(*sip.Request); ok && req.Method() != sip.ACK && req.Method() != sip.INVITE {
					c.answer(req, 200, "", "")
				}
			}
			delete(c.left, id)
		}
	}
}

func inCrowd(t *testing.T, f func(c *crowd)) {
	bubbleWith(t, session.Options{SessionTimers: true, AskOnReplacement: true}, func(r *rig) { f(&crowd{rig: r, left: map[string][]sip.Message{}}) })
}

// TestEachEndingLeavesNothing: no dialog, transaction, timer or media (the
// goroutines are for TestMain).
func TestEachEndingLeavesNothing(t *testing.T) {
	for _, e := range endings {
		t.Run(e.name, func(t *testing.T) {
			inCrowd(t, func(c *crowd) {
				e.begin(c)()
				c.over()
				c.nothing(e.name)
			})
		})
	}
}

// Test200CallsInARowLeaveNothing on one UA.
func Test200CallsInARowLeaveNothing(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		for i := range 200 {
			e := endings[i%len(endings)]
			e.begin(c)()
			c.over()
			c.nothing(e.name)
		}
	})
}

// Test50CallsAtOnceLeaveNothing: all are up or on their way before the first
// ends.
func Test50CallsAtOnceLeaveNothing(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		var end, last []func()
		for _, e := range endings {
			if f := e.begin(c); e.slow {
				last = append(last, f)
			} else {
				end = append(end, f)
			}
		}
		if n := len(c.calls.Sessions()); n < 45 {
			t.Errorf("only %d calls at once", n)
		}
		for _, f := range append(end, last...) {
			f()
		}
		c.over()
		c.nothing("50 at once")
	})
}

// TestClose50CallsAtOnceLeavesNothing, wherever they stand.
func TestClose50CallsAtOnceLeavesNothing(t *testing.T) {
	for _, polite := range []bool{true, false} {
		inCrowd(t, func(c *crowd) {
			for i := range 50 {
				endings[i%len(endings)].begin(c)
			}
			if polite {
				c.calls.HangupAll()
				c.over()
			}
			c.calls.Close()
			c.core.Close(nil)
			c.core.Wait()
			c.nothing("closed")
		})
	}
}

// TestConnectionLostUnder50CallsLeavesNothing: calls whose connection goes, for a moment or
// for good, leave nothing either.
func TestConnectionLostUnder50CallsLeavesNothing(t *testing.T) {
	for _, returns := range []bool{true, false} {
		inCrowd(t, func(c *crowd) {
			for i := range 50 {
				endings[i%len(endings)].begin(c)
			}
			c.down()
			time.Sleep(10 * time.Second)
			if returns {
				c.rig.up()
			}
			c.over()
			if !returns { // else their BYEs wait for it
				c.calls.Close()
				c.core.Close(nil)
			}
			c.nothing(fmt.Sprintf("connection returns %v", returns))
		})
	}
}
