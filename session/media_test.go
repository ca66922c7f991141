package session_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// TestMuteBesideOffer: what is muted while media are in the making is muted in
// them too.
func TestMuteBesideOffer(t *testing.T) {
	muted := session.MuteSet{Audio: true}
	t.Run("first", func(t *testing.T) {
		bubble(t, func(r *rig) {
			release := r.media.hold()
			s, err := r.calls.Invite(r.t.Context(), "bob", nil)
			r.must(err)
			synctest.Wait()
			s.Mute(muted)
			release()
			r.request(sip.INVITE)
			if got := r.media.last().wrote(); got != "Offer, Mute {true false} true" {
				t.Errorf("media: %s", got)
			}
		})
	})
	t.Run("fresh", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, _, again := r.otherFork()
			s.Mute(muted)
			r.answer(again, 200, "", sdp("two"))
			r.sent("ACK")
			if got := r.media.last().wrote(); got != "Offer, Mute {true false} true, SetAnswer two early=false" {
				t.Errorf("fresh media: %s", got)
			}
		})
	})
}

// TestMediaPanics: whatever method of the application's Media panics, the
// program goes on, and no stack of it reaches the far end.
func TestMediaPanics(t *testing.T) {
	for _, method := range []string{"Mute", "Abandon", "Close"} {
		bubble(t, func(r *rig) {
			s, _ := r.talk("b")
			r.media.panicIn(method)
			s.Mute(session.MuteSet{Audio: true})
			hold := start(func() error { return s.Hold(r.t.Context()) })
			r.answer(r.request(sip.INVITE), 488, "", "")
			r.sent("ACK")
			if err := <-hold; !errors.Is(err, sip.StatusNotAcceptableHere) {
				t.Errorf("%s: Hold: %v", method, err)
			}
			start(func() error { return s.Hangup(r.t.Context()) })
			r.answer(r.sent("BYE")[0].(*sip.Request), 200, "", "")
			r.ended(s, session.EndBye, false)
		})
	}
	bubble(t, func(r *rig) {
		in, _ := r.caller().ring(sdp("bob"))
		r.media.panicIn("Answer")
		if _, err := in.Answer(r.t.Context(), nil); err == nil {
			t.Error("Answer succeeded")
		}
		if res := show(r.response(500, sip.INVITE)); strings.Contains(res, ".go") || strings.Contains(res, "oops") {
			t.Errorf("500 is %s", res)
		}
		r.ended(in, session.EndMediaFailed, false)
	})
	bubble(t, func(r *rig) {
		r.media.panicIn("Offer")
		s, err := r.calls.Invite(r.t.Context(), "bob", nil)
		r.must(err)
		r.silence()
		r.ended(s, session.EndMediaFailed, false)
	})
}

// TestMediaFailsItself: what is not the offer's fault is no 488.
func TestMediaFailsItself(t *testing.T) {
	for _, body := range []string{sdp("bob"), ""} {
		bubble(t, func(r *rig) {
			in, _ := r.caller().ring(body)
			if body != "" {
				r.media.failWith(errors.New("/secret/path: no such file"))
			} else {
				r.media.panicIn("Offer")
			}
			if _, err := in.Answer(r.t.Context(), nil); err == nil {
				t.Error("Answer succeeded")
			}
			if res := r.response(500, sip.INVITE); res.HasHeader("Warning") {
				t.Errorf("500 is %s", show(res))
			}
		})
		bubble(t, func(r *rig) {
			s, bob := r.hosted()
			if body != "" {
				r.media.failWith(errors.New("broken"))
			} else {
				r.media.panicIn("Offer")
			}
			bob.send(sip.INVITE, body)
			r.sent("500 INVITE")
			if s.State() != session.Confirmed {
				t.Errorf("state %v", s.State())
			}
		})
	}
}

// TestDescriptionThatCannotBeSent is the media's failure, not an INVITE or a
// 200 without one.
func TestDescriptionThatCannotBeSent(t *testing.T) {
	bubble(t, func(r *rig) {
		r.media.describe("application/sdp\r\nX: y")
		s, err := r.calls.Invite(r.t.Context(), "bob", nil)
		r.must(err)
		r.silence()
		r.ended(s, session.EndMediaFailed, false)
		in, _ := r.caller().ring(sdp("bob"))
		if _, err := in.Answer(r.t.Context(), nil); err == nil {
			t.Error("Answer succeeded")
		}
		r.response(500, sip.INVITE)
	})
}

// TestConnectedBeforeTheExchangeIsOver: the path of fresh media may be up at once.
func TestConnectedBeforeTheExchangeIsOver(t *testing.T) {
	bubble(t, func(r *rig) {
		connected := 0
		h := r.handler()
		h.Media = func(*session.Session) { connected++ }
		s, invite := r.dial(&session.CallOptions{Handler: h})
		r.answer(invite, 183, "one", sdp("one"))
		r.media.needFresh(1)
		r.answer(invite, 200, "two", sdp("two"))
		again := r.sent("ACK", "INVITE")[1].(*sip.Request)
		r.media.last().events.Connected()
		r.answer(again, 200, "", sdp("two"))
		r.sent("ACK")
		if connected != 1 {
			t.Errorf("Media was called %d times", connected)
		}
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
	})
}

func TestMute(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		s.Mute(session.MuteSet{Audio: true})
		s.Mute(session.MuteSet{Audio: true})
		s.Unmute(session.MuteSet{Audio: true})
		if got := r.media.last().wrote(); got != "Mute {true false} true, Mute {true false} false" {
			t.Errorf("media: %s", got)
		}
	})
}

// TestMuteOfEachKind tells each change, and what is muted then.
func TestMuteOfEachKind(t *testing.T) {
	bubble(t, func(r *rig) {
		h := &session.Handler{Mute: func(_ *session.Session, m session.MuteSet) { r.note("%+v", m) }}
		s, invite := r.dial(&session.CallOptions{Handler: h})
		r.answer(invite, 200, "b", sdp("bob"))
		r.request(sip.ACK)
		for _, step := range []struct {
			set  session.MuteSet
			mute bool
			told []string
		}{
			{session.MuteSet{Video: true}, true, []string{"{Audio:false Video:true}"}},
			{session.MuteSet{Video: true}, true, nil},
			{session.MuteSet{Audio: true, Video: true}, true, []string{"{Audio:true Video:true}"}},
			{session.MuteSet{Audio: true}, false, []string{"{Audio:false Video:true}"}},
			{session.MuteSet{}, false, nil},
			{session.MuteSet{Audio: true, Video: true}, false, []string{"{Audio:false Video:false}"}},
		} {
			change := s.Unmute
			if step.mute {
				change = s.Mute
			}
			change(step.set)
			r.seen(step.told...)
		}
		if s.Muted() != (session.MuteSet{}) {
			t.Errorf("muted %+v", s.Muted())
		}
	})
}
