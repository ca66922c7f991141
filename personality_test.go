package sipua_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// eachPersonality runs f once on each kind of server, in a world of its own, whose
// kind says which it is.
func eachPersonality(t *testing.T, f func(w *world)) {
	t.Helper()
	onEach(t, f, siptest.Plain, siptest.Asterisk, siptest.FreeSWITCH, siptest.OpenSIPS)
}

// eachB2BUA is eachPersonality without the plain proxy, for what only a server
// with calls of its own does.
func eachB2BUA(t *testing.T, f func(w *world)) {
	t.Helper()
	onEach(t, f, siptest.Asterisk, siptest.FreeSWITCH, siptest.OpenSIPS)
}

func onEach(t *testing.T, f func(w *world), personalities ...siptest.Personality) {
	t.Helper()
	for _, p := range personalities {
		t.Run(p.String(), func(t *testing.T) {
			inWorld(t, siptest.Options{Personality: p, Qualify: time.Minute}, func(w *world) {
				w.kind = p
				f(w)
			})
		})
	}
}

// callRow is a thing that a call has to get through. It begins with a call from
// alice to bob that is up: a is alice's end. The call is hung up afterwards,
// unless the row has done so.
type callRow struct {
	name string
	run  func(w *world, a, b *line)
}

// referToRinging has the line's far end take its owner's place in a call to
// another phone that rings; it returns that phone and the call as it sees it.
func (l *line) referToRinging(user string) (*phone, *session.Incoming) {
	w := l.w
	w.t.Helper()
	other := w.phone(user)
	consult, err := l.phone.Invite(w.t.Context(), user, nil)
	w.must(err)
	in := <-other.calls
	time.Sleep(time.Second)
	id := consult.Dialog()
	replaces := sip.Replaces{CallID: id.CallID, ToTag: id.RemoteTag, FromTag: id.LocalTag}
	_, err = l.Refer(w.t.Context(), user, &session.ReferOptions{Replaces: replaces})
	w.must(err)
	<-consult.Context().Done()
	return other, in
}

// callControl has to work whatever the server is.
var callControl = []callRow{
	{"audio both ways", func(w *world, a, b *line) { talking(a, b) }},
	{"hold by the caller", func(w *world, a, b *line) { holdAndBack(a, b) }},
	{"hold by the callee", func(w *world, a, b *line) { holdAndBack(b, a) }},
	{"hold by both", func(w *world, a, b *line) {
		w.must(a.Hold(w.t.Context()))
		w.must(b.Hold(w.t.Context()))
		both := session.HoldState{Local: true, Remote: true}
		if a.Held() != both || b.Held() != both {
			w.t.Errorf("held %+v and %+v", a.Held(), b.Held())
		}
		w.must(a.Unhold(w.t.Context()))
		w.must(b.Unhold(w.t.Context()))
		talking(a, b)
	}},
	{"renegotiation by re-INVITE", func(w *world, a, b *line) {
		w.must(a.Renegotiate(w.t.Context(), nil))
		w.must(b.Renegotiate(w.t.Context(), nil))
		talking(a, b)
	}},
	{"renegotiation by UPDATE", func(w *world, a, b *line) {
		w.must(a.Renegotiate(w.t.Context(), &session.RenegotiateOptions{UseUpdate: true}))
		w.must(b.Renegotiate(w.t.Context(), &session.RenegotiateOptions{UseUpdate: true}))
		talking(a, b)
	}},
	{"ICE restart", func(w *world, a, b *line) {
		w.must(a.Renegotiate(w.t.Context(), &session.RenegotiateOptions{ICERestart: true}))
		talking(a, b)
		w.must(b.Renegotiate(w.t.Context(), &session.RenegotiateOptions{ICERestart: true}))
		talking(a, b)
	}},
	{"both renegotiate at once", func(w *world, a, b *line) {
		outcome := make(chan error, 2)
		for _, l := range []*line{a, b} {
			go func() { outcome <- l.Hold(w.t.Context()) }()
		}
		w.must(<-outcome)
		w.must(<-outcome)
		w.must(a.Unhold(w.t.Context()))
		w.must(b.Unhold(w.t.Context()))
		talking(a, b)
	}},
	{"DTMF in RTP", func(w *world, a, b *line) {
		w.must(a.SendDTMF(w.t.Context(), "1", &session.DTMFOptions{Transport: session.DTMFRTP}))
		b.phone.until("DTMF 1 by RTP")
		w.must(b.SendDTMF(w.t.Context(), "#", &session.DTMFOptions{Transport: session.DTMFRTP}))
		a.phone.until("DTMF # by RTP")
	}},
	{"DTMF in INFO", func(w *world, a, b *line) {
		w.must(a.SendDTMF(w.t.Context(), "1", &session.DTMFOptions{Transport: session.DTMFInfo}))
		b.phone.until("DTMF 1 by INFO")
		w.must(b.SendDTMF(w.t.Context(), "#", &session.DTMFOptions{Transport: session.DTMFInfo}))
		a.phone.until("DTMF # by INFO")
	}},
	{"DTMF in INFO, the digit alone, two keypads at once", func(w *world, a, b *line) {
		first := make(chan error, 1)
		go func() {
			first <- a.SendDTMF(w.t.Context(), "12", &session.DTMFOptions{Transport: session.DTMFInfoPlain})
		}()
		time.Sleep(time.Millisecond)
		w.must(a.SendDTMF(w.t.Context(), "3", &session.DTMFOptions{Transport: session.DTMFInfo}))
		w.must(<-first)
		var digits []string
		for _, e := range b.phone.seen() {
			if strings.HasPrefix(e, "DTMF") {
				digits = append(digits, e)
			}
		}
		if want := []string{"DTMF 1 by INFO", "DTMF 2 by INFO", "DTMF 3 by INFO"}; !slices.Equal(digits, want) {
			w.t.Errorf("bob took %q, want %q", digits, want)
		}
	}},
	{"DTMF while on hold", func(w *world, a, b *line) {
		w.must(a.Hold(w.t.Context()))
		w.must(a.SendDTMF(w.t.Context(), "5", nil))
		b.phone.until("DTMF 5 by INFO")
		w.must(a.Unhold(w.t.Context()))
		w.must(a.SendDTMF(w.t.Context(), "6", nil))
		b.phone.until("DTMF 6 by RTP")
	}},
	{"Info Packages", func(w *world, a, b *line) {
		if w.kind != siptest.Plain { // none of these servers says that it takes any
			if err := a.SendInfo(w.t.Context(), "text/plain", nil, &session.InfoOptions{Package: "clock"}); !errors.Is(err, session.ErrInfoPackage) {
				w.t.Errorf("SendInfo: %v", err)
			}
			return
		}
		w.must(a.SendInfo(w.t.Context(), "text/plain", []byte("tick"), &session.InfoOptions{Package: "clock"}))
		b.phone.until("INFO tick")
		w.must(b.SendInfo(w.t.Context(), "text/plain", []byte("tock"), &session.InfoOptions{Package: "clock"}))
		a.phone.until("INFO tock")
		err := a.SendInfo(w.t.Context(), "text/plain", []byte("?"), &session.InfoOptions{Package: "calendar"})
		if !errors.Is(err, session.ErrInfoPackage) {
			w.t.Errorf("SendInfo: %v", err)
		}
	}},
	{"INFO and MESSAGE", func(w *world, a, b *line) {
		w.must(a.SendInfo(w.t.Context(), "text/plain", []byte("tick"), nil))
		b.phone.until("INFO tick")
		w.must(b.SendMessage(w.t.Context(), "text/plain", []byte("tock")))
		a.phone.until("MESSAGE tock")
	}},
	{"an hour", func(w *world, a, b *line) {
		time.Sleep(time.Hour) // two session timers of half an hour
		talking(a, b)
	}},
	{"blind transfer", func(w *world, a, b *line) {
		answer := w.phone("carol").answers()
		a.transfer("carol")
		a.phone.until("REFER 200")
		c := answer()
		<-a.Context().Done()
		talking(b.afterwards(), c)
		w.must(c.Hangup(w.t.Context()))
	}},
	{"blind transfer to who refuses", func(w *world, a, b *line) {
		carol := w.phone("carol")
		go func() { (<-carol.calls).Reject(sip.StatusBusyHere, nil) }()
		b.transfer("carol")
		b.phone.until("REFER 486")
		talking(a, b)
	}},
	{"attended transfer", func(w *world, a, b *line) { attended(w, a, b) }},
	{"attended transfer by the callee", func(w *world, a, b *line) { attended(w, b, a) }},
	{"hung up by the callee", func(w *world, a, b *line) {
		w.must(b.Hangup(w.t.Context()))
		<-a.Context().Done()
		w.endedByServer(a)
	}},
	{"hung up by the caller", func(w *world, a, b *line) {
		w.must(a.Hangup(w.t.Context()))
		<-b.Context().Done()
		w.endedByServer(b)
	}},
	{"a connection cut and made anew", func(w *world, a, b *line) {
		w.srv.Drop()
		a.phone.until("registered")
		w.must(w.srv.WaitRegistered(w.t.Context(), "bob"))
		time.Sleep(time.Second)
		holdAndBack(a, b)
		holdAndBack(b, a)
	}},
}

// serverControl is what servers with calls of their own do to them.
var serverControl = []callRow{
	{"re-INVITE", func(w *world, a, b *line) {
		for _, leg := range w.legs() {
			w.must(leg.Reinvite(w.t.Context()))
		}
		talking(a, b)
	}},
	{"re-INVITE without an offer", func(w *world, a, b *line) {
		for _, leg := range w.legs() {
			w.must(leg.ReinviteEmpty(w.t.Context()))
			talking(a, b)
		}
	}},
	{"re-INVITE while on hold", func(w *world, a, b *line) {
		w.must(a.Hold(w.t.Context()))
		for _, leg := range w.legs() {
			w.must(leg.Reinvite(w.t.Context()))
		}
		if !a.Held().Local || !b.Held().Remote {
			w.t.Errorf("held %+v and %+v", a.Held(), b.Held())
		}
		w.must(a.Unhold(w.t.Context()))
		talking(a, b)
	}},
	{"hold", func(w *world, a, b *line) {
		for _, inactive := range []bool{false, true} {
			for _, address := range []bool{false, true} {
				for i, l := range []*line{a, b} {
					w.must(w.legs()[i].Hold(w.t.Context(), inactive, address))
					if l.Held() != (session.HoldState{Remote: true}) {
						w.t.Errorf("%s: %+v", l.phone.user, l.Held())
					}
					w.must(w.legs()[i].Unhold(w.t.Context()))
					if l.Held() != (session.HoldState{}) {
						w.t.Errorf("%s: %+v afterwards", l.phone.user, l.Held())
					}
				}
			}
		}
		talking(a, b)
	}},
	{"glare with a re-INVITE", func(w *world, a, b *line) {
		outcome := make(chan error, 1)
		go func() { outcome <- a.Hold(w.t.Context()) }()
		_ = w.legs()[0].Reinvite(w.t.Context()) // 491 or not
		w.must(<-outcome)
		w.must(a.Unhold(w.t.Context()))
		talking(a, b)
	}},
	{"session refresh", func(w *world, a, b *line) {
		for _, leg := range w.legs() {
			w.must(leg.Refresh(w.t.Context()))
			w.must(leg.Update(w.t.Context()))
		}
		talking(a, b)
	}},
	{"OPTIONS in the dialog", func(w *world, a, b *line) {
		for _, leg := range w.legs() {
			w.must(leg.Ping(w.t.Context()))
		}
	}},
	{"challenges in the dialog", func(w *world, a, b *line) {
		before := w.srv.Counters().Challenges
		w.legs()[0].Challenge(2)
		holdAndBack(a, b)
		if n := w.srv.Counters().Challenges - before; n == 0 {
			w.t.Error("nothing was challenged")
		}
		w.legs()[1].Challenge(1) // whoever calls could ask for the callee's credentials that way
		code := sip.StatusProxyAuthenticationRequired
		if w.kind == siptest.Asterisk {
			code = sip.StatusUnauthorized
		}
		if err := b.Hold(w.t.Context()); !errors.Is(err, code) {
			w.t.Errorf("Hold by the callee: %v, want %d", err, int(code))
		}
		talking(a, b)
	}},
	{"a new far end for the caller", func(w *world, a, b *line) {
		answer := w.phone("carol").answers()
		w.must(w.legs()[0].Transfer(w.t.Context(), "carol"))
		c := answer()
		<-b.Context().Done()
		if id := a.AssertedIdentity(); w.kind == siptest.Asterisk && (len(id) != 1 || id[0].URI.User != "carol") {
			w.t.Errorf("alice is told that she talks to %v", id)
		}
		talking(a, c)
		holdAndBack(a, c)
		holdAndBack(c, a)
	}},
	{"a new far end for the callee", func(w *world, a, b *line) {
		answer := w.phone("carol").answers()
		w.must(w.legs()[1].Transfer(w.t.Context(), "carol"))
		c := answer()
		<-a.Context().Done()
		talking(b, c)
		holdAndBack(b, c)
		w.must(c.Hangup(w.t.Context()))
		<-b.Context().Done()
	}},
	{"a new far end that refuses", func(w *world, a, b *line) {
		carol := w.phone("carol")
		go func() { (<-carol.calls).Reject(sip.StatusBusyHere, nil) }()
		if err := w.legs()[0].Transfer(w.t.Context(), "carol"); !errors.Is(err, sip.StatusBusyHere) {
			w.t.Errorf("Transfer: %v", err)
		}
		talking(a, b)
	}},
	{"REFER and hung up at once", func(w *world, a, b *line) {
		answer := w.phone("carol").answers()
		b.transfer("carol")
		w.must(b.Hangup(w.t.Context()))
		talking(a, answer())
	}},
	{"REFER to a call that rings", func(w *world, a, b *line) {
		w.must(a.Hold(w.t.Context()))
		carol, in := a.referToRinging("carol")
		carol.calls <- in
		c := carol.answers()()
		<-a.Context().Done()
		talking(b, c)
		w.must(c.Hangup(w.t.Context()))
		<-b.Context().Done()
	}},
	{"REFER to a call that rings and is refused", func(w *world, a, b *line) {
		_, in := a.referToRinging("carol")
		w.must(in.Reject(sip.StatusBusyHere, nil))
		time.Sleep(time.Second)
		talking(a, b)
	}},
	{"forgotten in a restart", func(w *world, a, b *line) {
		w.srv.Restart(true)
		a.phone.until("registered")
		w.must(w.srv.WaitRegistered(w.t.Context(), "bob"))
		for _, l := range []*line{a, b} {
			if err := l.Renegotiate(w.t.Context(), nil); !errors.Is(err, sip.StatusCallDoesNotExist) {
				w.t.Errorf("%s: %v", l.phone.user, err)
			}
			<-l.Context().Done()
		}
	}},
	{"hung up", func(w *world, a, b *line) {
		w.srv.Calls()[0].Hangup()
		for _, l := range []*line{a, b} {
			<-l.Context().Done()
			w.endedByServer(l)
		}
	}},
}

func TestCallControl(t *testing.T) {
	for _, row := range callControl {
		t.Run(row.name, func(t *testing.T) { eachPersonality(t, row.play) })
	}
}

func TestServerControl(t *testing.T) {
	for _, row := range serverControl {
		t.Run(row.name, func(t *testing.T) { eachB2BUA(t, row.play) })
	}
}

func (row callRow) play(w *world) {
	a, b := w.talker("alice").talk(w.talker("bob"))
	row.run(w, a, b)
	w.must(a.Hangup(w.t.Context()))
	<-b.Context().Done()
	time.Sleep(time.Minute)
	if n := len(w.srv.Calls()); n > 0 {
		w.t.Errorf("the server still has %d calls", n)
	}
}

// talker is a phone that notes what its calls tell it.
func (w *world) talker(user string) *phone {
	var p *phone
	media := rtc.NewTrack(rtc.Audio)
	factory := w.media(media)
	p = w.phone(user, func(cfg *sipua.Config) {
		cfg.InfoPackages = []string{"clock"}
		cfg.Handler.Session = session.Handler{
			DTMF: func(_ *session.Session, d session.DTMF) {
				p.note("DTMF %c by %s", d.Digit, map[bool]string{true: "INFO", false: "RTP"}[d.INFO])
			},
			Info: func(_ *session.Session, req *sip.Request) sip.StatusCode {
				p.note("INFO %s", req.Body())
				return sip.StatusOK
			},
			Message: func(_ *session.Session, req *sip.Request) sip.StatusCode {
				p.note("MESSAGE %s", req.Body())
				return sip.StatusOK
			},
			Refer: func(_ *session.Session, r *session.Referral) {
				if s, err := r.Accept(w.t.Context(), &session.CallOptions{Media: factory}); err == nil {
					p.referred <- &line{w: w, phone: p, Session: s, out: media}
				}
			},
			Transfer: func(_ *session.Session, r session.TransferProgress) { p.note("REFER %d", int(r.Status)) },
		}
		cfg.Handler.Message = func(_ context.Context, req *sip.Request) sip.StatusCode {
			p.note("message %s", req.Body())
			return sip.StatusOK
		}
	})
	return p
}

// must ends the test with an error.
func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// legs are those of the only call that the server has, the caller's first.
func (w *world) legs() []*siptest.Leg {
	w.t.Helper()
	calls := w.srv.Calls()
	if len(calls) != 1 {
		w.t.Fatalf("the server has %d calls", len(calls))
	}
	return []*siptest.Leg{calls[0].Caller(), calls[0].Callee()}
}

// endedByServer checks how a call that was hung up far away has ended here:
// Asterisk and FreeSWITCH say why.
func (w *world) endedByServer(l *line) {
	w.t.Helper()
	var end *session.EndError
	if !errors.As(context.Cause(l.Context()), &end) || !end.Remote || end.Kind != session.EndBye {
		w.t.Errorf("%s: ended with %v", l.phone.user, context.Cause(l.Context()))
		return
	}
	want := map[siptest.Personality][]string{
		siptest.Asterisk:   {"Q.850;cause=16"},
		siptest.FreeSWITCH: {`Q.850;cause=16;text="NORMAL_CLEARING"`},
	}[w.kind]
	if !slices.Equal(end.Reason, want) {
		w.t.Errorf("%s: reasons %q, want %q", l.phone.user, end.Reason, want)
	}
}

// attended has l consult carol and connect her with its far end.
func attended(w *world, l, far *line) {
	w.t.Helper()
	w.must(l.Hold(w.t.Context()))
	carol := w.talker("carol")
	consult, c := l.phone.talk(carol)
	w.must(consult.Hold(w.t.Context()))
	there := func() *line { return c }
	if w.kind == siptest.Plain {
		there = carol.answers() // the call that replaces the one with l
	}
	transfer, err := l.ReferTo(w.t.Context(), consult.Session, nil)
	w.must(err)
	w.must(transfer.Wait(w.t.Context()))
	<-l.Context().Done()
	<-consult.Context().Done()
	c, far = there(), far.afterwards()
	talking(far, c)
	holdAndBack(far, c)
	holdAndBack(c, far)
	w.must(c.Hangup(w.t.Context()))
	<-far.Context().Done()
}

// afterwards is where somebody who was transferred talks on: in the call that it
// has made for a plain proxy, in the same one with a server that does the work.
func (l *line) afterwards() *line {
	if l.w.kind != siptest.Plain {
		return l
	}
	next := <-l.phone.referred
	l.w.must(next.WaitAnswered(l.w.t.Context()))
	next.listen()
	return next
}

// transfer asks the far end to call somebody.
func (l *line) transfer(target string) {
	l.w.t.Helper()
	_, err := l.Refer(l.w.t.Context(), target, nil)
	l.w.must(err)
}

// talking checks that both ends hear each other.
func talking(a, b *line) {
	a.w.t.Helper()
	a.heardBy(b)
	b.heardBy(a)
}

// heardBy says a word until the other end hears it, and fails when it never does.
func (l *line) heardBy(other *line) {
	l.w.t.Helper()
	word := fmt.Sprintf("word %d of %p", l.seq, l) // not said before
	heard := make(chan error, 1)
	go func() {
		for {
			p, err := other.in.ReadRTP()
			if err != nil || string(p.Payload) == word {
				heard <- err
				return
			}
		}
	}()
	for range 3000 {
		l.say(word)
		select {
		case err := <-heard:
			if err != nil {
				l.w.t.Fatalf("%s cannot be heard: %v", l.Session.LocalIdentity(), err)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	l.w.t.Fatalf("%s was not heard within a minute", l.Session.LocalIdentity())
}

// holdAndBack has one end hold and take the call back, and the other notice.
func holdAndBack(l, other *line) {
	w := l.w
	w.t.Helper()
	if err := l.Hold(w.t.Context()); err != nil {
		w.t.Fatalf("Hold: %v", err)
	}
	if h := l.Held(); !h.Local {
		w.t.Errorf("here %+v", h)
	}
	if h := other.Held(); !h.Remote {
		w.t.Errorf("there %+v", h)
	}
	if err := l.Unhold(w.t.Context()); err != nil {
		w.t.Fatalf("Unhold: %v", err)
	}
	if h := other.Held(); h != (session.HoldState{}) {
		w.t.Errorf("there %+v afterwards", h)
	}
	talking(l, other)
}

// TestProfiles: the m-lines of a server as it may be configured (use_avpf and
// force_avp of Asterisk, for one).
func TestProfiles(t *testing.T) {
	for _, profile := range []string{"RTP/SAVPF", "RTP/SAVP", "UDP/TLS/RTP/SAVP", "RTP/AVPF"} {
		t.Run(strings.ReplaceAll(profile, "/", "-"), func(t *testing.T) {
			for _, p := range []siptest.Personality{siptest.Asterisk, siptest.FreeSWITCH} {
				inWorld(t, siptest.Options{Personality: p, Profile: profile}, func(w *world) {
					a, b := w.phone("alice").talk(w.phone("bob"))
					talking(a, b)
					holdAndBack(a, b)
					holdAndBack(b, a)
					w.must(w.legs()[0].ReinviteEmpty(w.t.Context()))
					talking(a, b)
				})
			}
		})
	}
}

// TestChaosThroughServers: both ends and the server do to a call whatever comes
// to their minds, all at the same time. In the end it still carries audio.
func TestChaosThroughServers(t *testing.T) {
	eachB2BUA(t, func(w *world) {
		a, b := w.talker("alice").talk(w.talker("bob"))
		ctx := w.t.Context()
		for range 10 {
			var all sync.WaitGroup
			for i, l := range []*line{a, b} {
				leg := w.legs()[i]
				all.Go(func() {
					time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
					switch rand.IntN(6) {
					case 0:
						_ = l.Hold(ctx)
					case 1:
						_ = l.Unhold(ctx)
					case 2:
						_ = l.Renegotiate(ctx, &session.RenegotiateOptions{ICERestart: rand.IntN(2) == 0})
					case 3:
						_ = l.Renegotiate(ctx, &session.RenegotiateOptions{UseUpdate: true})
					case 4:
						_ = l.SendDTMF(ctx, "1", &session.DTMFOptions{Transport: session.DTMFInfo})
					}
				})
				all.Go(func() {
					time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
					switch rand.IntN(6) {
					case 0:
						_ = leg.Reinvite(ctx)
					case 1:
						_ = leg.ReinviteEmpty(ctx)
					case 2:
						_ = leg.Hold(ctx, rand.IntN(2) == 0, false)
					case 3:
						_ = leg.Refresh(ctx)
					case 4:
						_ = leg.Ping(ctx)
					}
				})
			}
			all.Wait()
		}
		time.Sleep(time.Minute)
		w.must(a.Unhold(ctx))
		w.must(b.Unhold(ctx))
		for _, leg := range w.legs() {
			w.must(leg.Unhold(ctx))
		}
		talking(a, b)
	})
}

// fingerprint is the line of that name in a description.
func fingerprint(r *siptest.Received) string {
	_, rest, _ := strings.Cut(r.Body(), "a=fingerprint:")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

// hangUp has a line hang up, and a far end that the test plays take it.
func (w *world) hangUp(l *line, far *siptest.Script) {
	w.t.Helper()
	outcome := make(chan error, 1)
	go func() { outcome <- l.Hangup(w.t.Context()) }()
	for {
		switch r := far.Next(); {
		case r.Request == nil:
		case r.Request.Method() == sip.INVITE: // Asterisk has one under way
			r.Respond(488)
		case r.Request.Method() == sip.BYE:
			r.Respond(200)
			w.must(<-outcome)
			return
		}
	}
}

// setupRow is something that happens to a call before it is up, or instead.
type setupRow struct {
	name string
	run  func(w *world, alice, bob *phone)
}

// callSetup has to work whatever the server is.
var callSetup = []setupRow{
	{"answered", func(w *world, alice, bob *phone) { talking(alice.talk(bob)) }},
	{"answered the other way", func(w *world, alice, bob *phone) { talking(bob.talk(alice)) }},
	{"without an offer", func(w *world, alice, bob *phone) {
		answer := bob.answers()
		a := &line{w: w, phone: alice, out: rtc.NewTrack(rtc.Audio)}
		var err error
		a.Session, err = alice.Call(w.t.Context(), "bob", &session.CallOptions{Media: w.media(a.out), LateOffer: true})
		w.must(err)
		a.listen()
		talking(a, answer())
	}},
	{"early media", func(w *world, alice, bob *phone) {
		carol, far := siptest.Peer(w.t, w.srv, "carol"), w.farEnd()
		a := &line{w: w, phone: alice, out: rtc.NewTrack(rtc.Audio)}
		var err error
		a.Session, err = alice.Invite(w.t.Context(), "carol", &session.CallOptions{Media: w.media(a.out)})
		w.must(err)
		inv := carol.Expect(sip.INVITE)
		answer := far.answer(inv)
		inv.Respond(183, answer)
		a.in, err = rtc.Receive(w.t.Context(), a.Session, rtc.Audio)
		w.must(err)
		far.ready()
		far.say("the number you have dialled")
		a.hear("the number you have dialled")
		inv.Respond(200, answer)
		carol.Expect(sip.ACK)
		w.must(a.WaitAnswered(w.t.Context()))
		a.wantAudio(far, true, true)
		w.hangUp(a, carol)
	}},
	{"early media of one, answered by another", func(w *world, alice, bob *phone) {
		desk, mobile := siptest.Peer(w.t, w.srv, "carol"), siptest.Peer(w.t, w.srv, "carol")
		atDesk, atMobile := w.farEnd(), w.farEnd()
		a := &line{w: w, phone: alice, out: rtc.NewTrack(rtc.Audio)}
		var err error
		a.Session, err = alice.Invite(w.t.Context(), "carol", &session.CallOptions{Media: w.media(a.out)})
		w.must(err)
		rings, other := desk.Expect(sip.INVITE), mobile.Expect(sip.INVITE)
		rings.Respond(183, atDesk.answer(rings))
		a.in, err = rtc.Receive(w.t.Context(), a.Session, rtc.Audio)
		w.must(err)
		atDesk.ready()
		a.wantAudio(atDesk, true, true)
		other.Respond(200, atMobile.answer(other))
		mobile.Expect(sip.ACK)
		atMobile.renew()
		for { // until the one with new media of alice's has come
			re := mobile.Expect(sip.INVITE)
			if strings.Contains(re.Body(), "a=setup:actpass") && !strings.Contains(re.Body(), fingerprint(other)) {
				re.Respond(200, atMobile.answer(re))
				break
			}
			re.Respond(488) // Asterisk's own
		}
		atMobile.ready()
		a.wantAudio(atMobile, true, true)
		w.hangUp(a, mobile)
	}},
	{"to ourselves", func(w *world, alice, bob *phone) {
		answer := alice.answers()
		a := &line{w: w, phone: alice, out: rtc.NewTrack(rtc.Audio)}
		var err error
		a.Session, err = alice.Call(w.t.Context(), "alice", &session.CallOptions{Media: w.media(a.out)})
		w.must(err)
		a.listen()
		holdAndBack(a, answer())
	}},
	{"with video", func(w *world, alice, bob *phone) {
		camera, screen := rtc.NewTrack(rtc.Video), rtc.NewTrack(rtc.Video)
		o := &session.AnswerOptions{Media: w.media(rtc.NewTrack(rtc.Audio), screen)}
		answered := make(chan *session.Session, 1)
		go func() {
			s, _ := (<-bob.calls).Answer(w.t.Context(), o)
			answered <- s
		}()
		a, err := alice.Call(w.t.Context(), "bob", &session.CallOptions{Media: w.media(rtc.NewTrack(rtc.Audio), camera)})
		w.must(err)
		b := <-answered
		both := func(want int) {
			w.t.Helper()
			for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(100 * time.Millisecond) {
				if len(rtc.Streams(a)) == want && len(rtc.Streams(b)) == want {
					return
				}
			}
			w.t.Errorf("streams %v and %v, want %d each", rtc.Streams(a), rtc.Streams(b), want)
		}
		both(2)
		w.must(a.Renegotiate(w.t.Context(), &session.RenegotiateOptions{Change: rtc.Change{Drop: []rtc.Kind{rtc.Video}}}))
		both(1)
		w.must(a.Hangup(w.t.Context()))
	}},
	{"canceled", func(w *world, alice, bob *phone) {
		s, err := alice.Invite(w.t.Context(), "bob", nil)
		w.must(err)
		in := <-bob.calls
		time.Sleep(time.Second)
		w.must(s.Hangup(w.t.Context()))
		<-in.Context().Done()
		if end := w.end(in.Context()); end.Kind != session.EndCanceled || !end.Remote {
			w.t.Errorf("ended with %v", end)
		}
	}},
	{"answered elsewhere", func(w *world, alice, bob *phone) {
		other := w.talker("bob")
		answer := bob.answers()
		s, err := alice.Invite(w.t.Context(), "bob", nil)
		w.must(err)
		in := <-other.calls
		w.must(s.WaitAnswered(w.t.Context()))
		answer()
		<-in.Context().Done()
		if end := w.end(in.Context()); end.Kind != session.EndCanceled || len(end.Reason) != 1 || !strings.Contains(end.Reason[0], "cause=200") {
			w.t.Errorf("ended with %+v", end)
		}
		w.must(s.Hangup(w.t.Context()))
	}},
	{"refused", func(w *world, alice, bob *phone) {
		for _, code := range []sip.StatusCode{400, 403, 404, 408, 410, 415, 480, 486, 488, 500, 600, 603, 604, 606} {
			go func() { (<-bob.calls).Reject(code, nil) }()
			_, err := alice.Call(w.t.Context(), "bob", nil)
			if !errors.Is(err, code) {
				w.t.Errorf("refused with %d: %v", int(code), err)
			}
		}
	}},
	{"redirected", func(w *world, alice, bob *phone) {
		target := sip.URI{Scheme: "sip", User: "carol", Host: "example.com"}
		go func() { (<-bob.calls).Redirect(sip.NameAddr{URI: target}) }()
		_, err := alice.Call(w.t.Context(), "bob", nil)
		var refusal *sip.ResponseError
		if !errors.As(err, &refusal) || refusal.StatusCode() != sip.StatusMovedTemporarily {
			w.t.Fatalf("redirected: %v", err)
		}
		if contact, ok := refusal.Response.Contact(); !ok || contact.URI != target {
			w.t.Errorf("redirected to %v", contact)
		}
	}},
	{"nobody there", func(w *world, alice, bob *phone) {
		_, err := alice.Call(w.t.Context(), "nobody", nil)
		if !errors.Is(err, sip.StatusNotFound) {
			w.t.Errorf("unknown user: %v", err)
		}
		_, err = alice.Call(w.t.Context(), "carol", nil)
		if !errors.Is(err, sip.StatusTemporarilyUnavailable) {
			w.t.Errorf("user who is not registered: %v", err)
		}
	}},
	{"nobody answers", func(w *world, alice, bob *phone) {
		_, err := alice.Call(w.t.Context(), "bob", nil)
		if !errors.Is(err, sip.StatusTemporarilyUnavailable) {
			w.t.Errorf("ended with %v", err)
		}
		<-bob.calls
	}},
	{"given up after a while", func(w *world, alice, bob *phone) {
		_, err := alice.Call(w.t.Context(), "bob", &session.CallOptions{RingTimeout: 20 * time.Second})
		if err == nil || !strings.Contains(err.Error(), "canceled") && !strings.Contains(err.Error(), "no answer") {
			w.t.Errorf("ended with %v", err)
		}
		<-(<-bob.calls).Context().Done()
	}},
	{"the callee is cut off while it rings", func(w *world, alice, bob *phone) {
		s, err := alice.Invite(w.t.Context(), "bob", nil)
		w.must(err)
		<-bob.calls
		for _, b := range w.srv.Bindings("bob") {
			b.Conn.Drop()
		}
		if err := s.WaitAnswered(w.t.Context()); !errors.Is(err, sip.StatusTemporarilyUnavailable) {
			w.t.Errorf("ended with %v", err)
		}
	}},
	{"the callee sees who calls", func(w *world, alice, bob *phone) {
		s, err := alice.Invite(w.t.Context(), "bob", &session.CallOptions{Headers: []sip.Field{{Name: "X-Ticket", Value: "7"}}})
		w.must(err)
		in := <-bob.calls
		if user := in.From().URI.User; user != "alice" {
			w.t.Errorf("a call from %q", user)
		}
		if got := in.Request().Header("X-Ticket"); got != "7" {
			w.t.Errorf("X-Ticket: %q", got)
		}
		if asserted := in.AssertedIdentity(); w.kind == siptest.Asterisk && (len(asserted) != 1 || asserted[0].URI.User != "alice") {
			w.t.Errorf("asserted %v", asserted)
		}
		w.must(s.Hangup(w.t.Context()))
	}},
	{"MESSAGE", func(w *world, alice, bob *phone) {
		w.must(alice.SendMessage(w.t.Context(), "bob", "grüße", nil))
		bob.until("message grüße")
	}},
	{"many in a row", func(w *world, alice, bob *phone) {
		for range 10 {
			a, b := alice.talk(bob)
			a.heardBy(b)
			w.must(b.Hangup(w.t.Context()))
			<-a.Context().Done()
		}
	}},
}

func TestCallSetup(t *testing.T) {
	for _, row := range callSetup {
		t.Run(row.name, func(t *testing.T) { eachPersonality(t, row.play) })
	}
}

func (row setupRow) play(w *world) {
	alice, bob := w.talker("alice"), w.talker("bob")
	row.run(w, alice, bob)
	for _, s := range append(alice.Calls(), bob.Calls()...) {
		w.must(s.Hangup(w.t.Context()))
	}
	time.Sleep(time.Minute)
	if n := len(w.srv.Calls()); n > 0 {
		w.t.Errorf("the server still has %d calls", n)
	}
}

// end is how a call has ended.
func (w *world) end(ctx context.Context) *session.EndError {
	w.t.Helper()
	var end *session.EndError
	if !errors.As(context.Cause(ctx), &end) {
		w.t.Fatalf("ended with %v", context.Cause(ctx))
	}
	return end
}
