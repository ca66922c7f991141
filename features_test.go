package sipua_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// callFeatures go on with what a call has to get through, whatever the server is.
var callFeatures = []callRow{
	{"hold by UPDATE", func(w *world, a, b *line) {
		for _, l := range []*line{a, b} {
			other := a
			if l == a {
				other = b
			}
			for _, hold := range []session.HoldChange{session.HoldOn, session.HoldOff} {
				w.must(l.Renegotiate(w.t.Context(), &session.RenegotiateOptions{UseUpdate: true, Hold: hold}))
				if on := hold == session.HoldOn; l.Held().Local != on || other.Held().Remote != on {
					w.t.Errorf("held %+v and %+v, want %v", l.Held(), other.Held(), on)
				}
			}
		}
		talking(a, b)
	}},
	{"held twice", func(w *world, a, b *line) {
		for range 2 {
			w.must(a.Hold(w.t.Context()))
			if !a.Held().Local || !b.Held().Remote {
				w.t.Errorf("held %+v and %+v", a.Held(), b.Held())
			}
		}
		w.must(a.Unhold(w.t.Context()))
		talking(a, b)
	}},
	{"mute", func(w *world, a, b *line) {
		a.Mute(session.MuteSet{Audio: true})
		time.Sleep(time.Second)
		before := rtc.StatsOf(b.Session).Audio.PacketsReceived
		a.say("unheard")
		time.Sleep(time.Second)
		if n := rtc.StatsOf(b.Session).Audio.PacketsReceived - before; n != 0 {
			w.t.Errorf("%d packets of who is muted", n)
		}
		b.heardBy(a)
		a.Unmute(session.MuteSet{Audio: true})
		talking(a, b)
	}},
	{"another codec", func(w *world, a, b *line) {
		for _, codec := range []string{"PCMU", "opus"} {
			w.must(a.Renegotiate(w.t.Context(), &session.RenegotiateOptions{Change: rtc.Change{Codecs: []string{codec}}}))
			for _, l := range []*line{a, b} {
				if s := rtc.Streams(l.Session); len(s) != 1 || !strings.EqualFold(s[0].Codec.Name, codec) {
					w.t.Errorf("%s has %v, want %s", l.phone.user, s, codec)
				}
			}
			talking(a, b)
		}
	}},
	{"DTMF with a pause and a hook flash", func(w *world, a, b *line) {
		for _, transport := range []session.DTMFTransport{session.DTMFRTP, session.DTMFInfo} {
			begun := time.Now()
			w.must(a.SendDTMF(w.t.Context(), "9,DR", &session.DTMFOptions{Transport: transport}))
			if took := time.Since(begun); took < 2*time.Second {
				w.t.Errorf("sent in %v", took)
			}
			by := map[session.DTMFTransport]string{session.DTMFRTP: "RTP", session.DTMFInfo: "INFO"}[transport]
			b.phone.until("DTMF R by " + by)
		}
	}},
	{"OPTIONS of ours in the dialog", func(w *world, a, b *line) {
		for _, l := range []*line{a, b} {
			_, err := l.Do(w.t.Context(), sip.NewRequest(sip.OPTIONS, sip.URI{}))
			w.must(err)
		}
	}},
	{"hung up with a reason", func(w *world, a, b *line) {
		w.must(a.HangupWith(w.t.Context(), &session.HangupOptions{Reasons: []sip.Reason{{Protocol: "Q.850", Cause: 16}}}))
		<-b.Context().Done()
		if end := w.end(b.Context()); !end.Remote || end.Cause() != "Terminated" || !slices.Contains(causes(end), 16) && w.kind != siptest.OpenSIPS {
			w.t.Errorf("ended with %+v", end)
		}
	}},
	{"a far end that is gone for good", func(w *world, a, b *line) {
		b.phone.vanish()
		begun := time.Now()
		<-a.Context().Done()
		if took := time.Since(begun); took > 32*time.Minute { // the session timer's end, and a restart of the path
			w.t.Errorf("the call lived on for %v", took)
		}
	}},
}

// causes are those of the reasons of an end.
func causes(end *session.EndError) (list []int) {
	for _, r := range end.Reasons() {
		list = append(list, r.Cause)
	}
	return list
}

// judge is a phone whose application decides on the offers inside its calls.
type judge struct {
	*phone
	decide atomic.Pointer[func(*session.Offer) error]
}

func (w *world) judge(user string) *judge {
	j := &judge{}
	j.decides(nil)
	j.phone = w.phone(user, func(cfg *sipua.Config) {
		cfg.Handler.Session.Offer = func(_ *session.Session, o *session.Offer) {
			if err := (*j.decide.Load())(o); err != nil {
				w.t.Error(err)
			}
		}
	})
	return j
}

// decides sets how; nil takes the offers as they are.
func (j *judge) decides(how func(*session.Offer) error) {
	if how == nil {
		how = func(o *session.Offer) error { return o.Accept(nil) }
	}
	j.decide.Store(&how)
}

// TestCallFeatures goes on with TestCallControl.
func TestCallFeatures(t *testing.T) {
	for _, row := range callFeatures {
		t.Run(row.name, func(t *testing.T) { eachPersonality(t, row.play) })
	}
}

// serverFeatures go on with what servers with calls of their own do to them.
var serverFeatures = []callRow{
	{"re-INVITE without an offer while on hold", func(w *world, a, b *line) {
		w.must(a.Hold(w.t.Context()))
		for _, leg := range w.legs() {
			w.must(leg.ReinviteEmpty(w.t.Context()))
			if !a.Held().Local || !b.Held().Remote {
				w.t.Errorf("held %+v and %+v", a.Held(), b.Held())
			}
		}
		w.must(a.Unhold(w.t.Context()))
		talking(a, b)
	}},
	{"re-INVITE without an offer while both hold", func(w *world, a, b *line) {
		w.must(a.Hold(w.t.Context()))
		w.must(b.Hold(w.t.Context()))
		for _, leg := range w.legs() {
			w.must(leg.ReinviteEmpty(w.t.Context()))
		}
		w.must(b.Unhold(w.t.Context()))
		if !a.Held().Local || a.Held().Remote || b.Held().Local {
			w.t.Errorf("held %+v and %+v", a.Held(), b.Held())
		}
		w.must(a.Unhold(w.t.Context()))
		talking(a, b)
	}},
	{"hold while we hold", func(w *world, a, b *line) {
		both := session.HoldState{Local: true, Remote: true}
		w.must(a.Hold(w.t.Context()))
		w.must(w.legs()[0].Hold(w.t.Context(), false, true))
		if a.Held() != both {
			w.t.Errorf("held %+v", a.Held())
		}
		w.must(w.legs()[0].Unhold(w.t.Context()))
		if a.Held() != (session.HoldState{Local: true}) {
			w.t.Errorf("held %+v", a.Held())
		}
		w.must(a.Unhold(w.t.Context()))
		talking(a, b)
	}},
}

// TestServerFeatures goes on with TestServerControl.
func TestServerFeatures(t *testing.T) {
	for _, row := range serverFeatures {
		t.Run(row.name, func(t *testing.T) { eachB2BUA(t, row.play) })
	}
}

// setupFeatures go on with what happens before a call is up.
var setupFeatures = []setupRow{
	{"redirected and followed", func(w *world, alice, bob *phone) {
		carol := w.talker("carol")
		go func() {
			(<-bob.calls).Redirect(
				sip.NameAddr{URI: sip.URI{Scheme: "sip", User: "nobody", Host: "example.com"}},
				sip.NameAddr{URI: sip.URI{Scheme: "sip", User: "carol", Host: "example.com"}, Params: sip.Params("").With("q", "0.5")},
			)
		}()
		answer := carol.answers()
		a := &line{w: w, phone: alice, out: rtc.NewTrack(rtc.Audio)}
		var err error
		a.Session, err = alice.Call(w.t.Context(), "bob", &session.CallOptions{Media: w.media(a.out), Redirect: session.FollowContacts})
		w.must(err)
		a.listen()
		talking(a, answer())
	}},
	{"anonymous", func(w *world, alice, bob *phone) {
		answer := bob.answers()
		a := &line{w: w, phone: alice, out: rtc.NewTrack(rtc.Audio)}
		var err error
		a.Session, err = alice.Call(w.t.Context(), "bob", &session.CallOptions{Media: w.media(a.out), Anonymous: session.Anonymous})
		w.must(err)
		a.listen()
		b := answer()
		if u := b.RemoteIdentity().URI; w.kind == siptest.Plain && u.User != "anonymous" {
			w.t.Errorf("bob talks to %v", u)
		}
		holdAndBack(a, b)
		w.must(a.Renegotiate(w.t.Context(), &session.RenegotiateOptions{UseUpdate: true}))
		talking(a, b)
	}},
	{"reliable provisional responses required", func(w *world, alice, bob *phone) {
		s, err := alice.Invite(w.t.Context(), "bob", &session.CallOptions{Reliability: session.ReliableRequired})
		w.must(err)
		in := <-bob.calls
		w.must(in.Progress(&session.ProgressOptions{Code: sip.StatusQueued}))
		w.must(in.Progress(&session.ProgressOptions{EarlyMedia: true}))
		time.Sleep(40 * time.Second) // without PRACK they would end the call after 32
		_, err = in.Answer(w.t.Context(), nil)
		w.must(err)
		w.must(s.WaitAnswered(w.t.Context()))
	}},
	{"offers before the answer", func(w *world, alice, bob *phone) {
		a := &line{w: w, phone: alice, out: rtc.NewTrack(rtc.Audio)}
		b := &line{w: w, phone: bob, out: rtc.NewTrack(rtc.Audio)}
		var err error
		a.Session, err = alice.Invite(w.t.Context(), "bob", &session.CallOptions{Media: w.media(a.out)})
		w.must(err)
		in := <-bob.calls
		w.must(in.Progress(&session.ProgressOptions{EarlyMedia: true, Media: w.media(b.out)}))
		b.Session = in.Session()
		a.listen()
		b.listen()
		talking(a, b)
		time.Sleep(time.Second) // the PRACK is answered
		holdAndBack(a, b)
		holder, held := b, a
		if w.kind != siptest.Plain { // a callee's UPDATE meets the server's own INVITE
			holder, held = a, b
		}
		holdAndBack(holder, held)
		w.must(holder.Hold(w.t.Context()))
		if a.State() != session.Early || b.State() != session.Ringing {
			w.t.Errorf("states %v and %v", a.State(), b.State())
		}
		_, err = in.Answer(w.t.Context(), nil)
		w.must(err)
		w.must(a.WaitAnswered(w.t.Context()))
		if !held.Held().Remote || !holder.Held().Local {
			w.t.Errorf("held %+v and %+v", held.Held(), holder.Held())
		}
		w.must(holder.Unhold(w.t.Context()))
		talking(a, b)
	}},
	{"digits before the answer", func(w *world, alice, bob *phone) {
		s, err := alice.Invite(w.t.Context(), "bob", &session.CallOptions{Media: w.media(rtc.NewTrack(rtc.Audio))})
		w.must(err)
		in := <-bob.calls
		w.must(in.Progress(&session.ProgressOptions{EarlyMedia: true}))
		_, err = s.WaitMedia(w.t.Context())
		w.must(err)
		time.Sleep(time.Second)
		w.must(s.SendDTMF(w.t.Context(), "7", nil))
		bob.until("DTMF 7 by RTP")
		_, err = in.Answer(w.t.Context(), nil)
		w.must(err)
		w.must(s.WaitAnswered(w.t.Context()))
	}},
	{"music on hold", func(w *world, alice, bob *phone) {
		music := rtc.NewTrack(rtc.Audio)
		a := &line{w: w, phone: alice, out: rtc.NewTrack(rtc.Audio)}
		media := w.media(a.out).(*rtc.Factory).WithDefaults(rtc.Options{HoldTracks: []rtc.Track{music}})
		answer := bob.answers()
		var err error
		a.Session, err = alice.Call(w.t.Context(), "bob", &session.CallOptions{Media: media})
		w.must(err)
		a.listen()
		b := answer()
		talking(a, b)
		w.must(a.Hold(w.t.Context()))
		_, err = music.Ready(w.t.Context())
		w.must(err)
		melody := &line{w: w, phone: alice, Session: a.Session, out: music}
		melody.heardBy(b)
		w.must(a.Unhold(w.t.Context()))
		talking(a, b)
	}},
	{"video added and dropped", func(w *world, alice, _ *phone) {
		carol := w.judge("carol")
		a, b := alice.talk(carol.phone)
		camera, screen := rtc.NewTrack(rtc.Video), rtc.NewTrack(rtc.Video)
		carol.decides(func(o *session.Offer) error {
			return o.Accept(&session.AcceptOptions{Change: rtc.Change{Add: []rtc.Track{screen}}})
		})
		w.must(a.Renegotiate(w.t.Context(), &session.RenegotiateOptions{Change: rtc.Change{Add: []rtc.Track{camera}}}))
		seen := func(track *rtc.LocalTrack, by *line) bool {
			w.t.Helper()
			_, err := track.Ready(w.t.Context())
			w.must(err)
			before := rtc.StatsOf(by.Session).Video.PacketsReceived
			w.must(track.WriteSample(rtc.Sample{Data: []byte("frame"), Duration: time.Second / 25}))
			time.Sleep(time.Second)
			return rtc.StatsOf(by.Session).Video.PacketsReceived > before
		}
		if !seen(camera, b) || !seen(screen, a) {
			w.t.Error("somebody sees nothing")
		}
		a.Mute(session.MuteSet{Video: true})
		time.Sleep(time.Second)
		if seen(camera, b) {
			w.t.Error("a muted camera is seen")
		}
		talking(a, b)
		a.Unmute(session.MuteSet{Video: true})
		time.Sleep(time.Second)
		if !seen(camera, b) {
			w.t.Error("the camera is not seen any more")
		}
		carol.decides(nil)
		w.must(a.Renegotiate(w.t.Context(), &session.RenegotiateOptions{Change: rtc.Change{Drop: []rtc.Kind{rtc.Video}}}))
		for _, l := range []*line{a, b} {
			if s := rtc.Streams(l.Session); len(s) != 1 {
				w.t.Errorf("%s has %v", l.phone.user, s)
			}
		}
		talking(a, b)
	}},
	{"an offer refused, and judged in time", func(w *world, alice, _ *phone) {
		carol := w.judge("carol")
		a, b := alice.talk(carol.phone)
		carol.decides(func(o *session.Offer) error { return o.Reject(sip.StatusNotAcceptableHere, nil) })
		for _, update := range []bool{false, true} {
			err := a.Renegotiate(w.t.Context(), &session.RenegotiateOptions{UseUpdate: update, Hold: session.HoldOn})
			if !errors.Is(err, sip.StatusNotAcceptableHere) {
				w.t.Errorf("Renegotiate: %v", err)
			}
			if a.Held() != (session.HoldState{}) || b.Held() != (session.HoldState{}) {
				w.t.Errorf("held %+v and %+v", a.Held(), b.Held())
			}
			talking(a, b)
		}
		carol.decides(func(o *session.Offer) error {
			time.AfterFunc(10*time.Second, func() { _ = o.Accept(nil) })
			return nil
		})
		begun := time.Now()
		w.must(a.Hold(w.t.Context()))
		if took := time.Since(begun); took < 10*time.Second {
			w.t.Errorf("held after %v", took)
		}
		carol.decides(nil)
		w.must(a.Unhold(w.t.Context()))
		talking(a, b)
	}},
	{"calls replaced", func(w *world, alice, bob *phone) {
		if w.kind != siptest.Plain { // its calls have dialogs of their own, see REFER to a call that rings
			return
		}
		a, b := alice.talk(bob)
		carol := w.talker("carol")
		answer := bob.answers()
		c := &line{w: w, phone: carol, out: rtc.NewTrack(rtc.Audio)}
		var err error
		c.Session, err = carol.Call(w.t.Context(), "bob", &session.CallOptions{Media: w.media(c.out), Replaces: a.Replaces()})
		w.must(err)
		c.listen()
		talking(c, answer())
		<-a.Context().Done()
		var replaced *session.ReplacedError
		if err := context.Cause(b.Context()); !errors.As(err, &replaced) {
			w.t.Errorf("bob's call with alice: %v", err)
		}
	}},
	{"too many calls", func(w *world, alice, bob *phone) {
		carol := w.phone("carol", func(cfg *sipua.Config) { cfg.MaxCalls = 1 })
		s, err := alice.Invite(w.t.Context(), "carol", nil)
		w.must(err)
		<-carol.calls
		_, err = bob.Call(w.t.Context(), "carol", nil)
		var refusal *sip.ResponseError
		if !errors.As(err, &refusal) || refusal.StatusCode() != sip.StatusBusyHere {
			w.t.Fatalf("second call: %v", err)
		}
		if _, ok := refusal.Response.RetryAfter(); !ok {
			w.t.Error("486 without Retry-After")
		}
		w.must(s.Hangup(w.t.Context()))
	}},
	{"the INVITE expires", func(w *world, alice, bob *phone) {
		_, err := alice.Call(w.t.Context(), "bob", &session.CallOptions{Expires: 10 * time.Second})
		var end *session.EndError
		if !errors.As(err, &end) || end.Kind != session.EndExpired {
			w.t.Errorf("ended with %v", err)
		}
		<-(<-bob.calls).Context().Done()
	}},
}

// TestSetupFeatures goes on with TestCallSetup.
func TestSetupFeatures(t *testing.T) {
	for _, row := range setupFeatures {
		t.Run(row.name, func(t *testing.T) { eachPersonality(t, row.play) })
	}
}
