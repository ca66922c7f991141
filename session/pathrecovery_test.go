package session_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

var errGone = errors.New("gone")

// upFrom has a flow come up whose near end is that address.
func (r *rig) upFrom(local string) {
	r.flowUp(core.FlowInfo{Server: "ws://example.com", Host: "example.com", Local: local})
}

// onPath runs f in a call whose media path is up, on a flow that is ready.
func onPath(t *testing.T, o session.Options, f func(r *rig, s *session.Session, bob *peer, media *tape)) {
	t.Helper()
	bubbleWith(t, o, func(r *rig) {
		r.down()
		r.upFrom("10.0.0.1:4711")
		r.ready()
		s, bob := r.talk("b")
		media := r.media.last()
		media.events.Connected()
		synctest.Wait()
		f(r, s, bob, media)
	})
}

// conditions are those that a call with such a Handler tells.
func conditions(o *session.Options) *[]session.Condition {
	told := &[]session.Condition{}
	o.Condition = func(_ *session.Session, now, _ session.Condition) { *told = append(*told, now) }
	return told
}

// TestPathSilentForNow: ICE goes on looking, and the call tells no more than that.
func TestPathSilentForNow(t *testing.T) {
	var o session.Options
	told := conditions(&o)
	onPath(t, o, func(r *rig, s *session.Session, _ *peer, media *tape) {
		media.events.Disconnected()
		synctest.Wait()
		if c := s.Condition(); !c.Silent || c.Err == nil || c.Unreachable {
			t.Errorf("condition %+v", c)
		}
		time.Sleep(time.Minute)
		r.silence()
		media.events.Connected()
		synctest.Wait()
		if c := s.Condition(); c.Degraded() || len(*told) != 2 {
			t.Errorf("condition %+v, told %+v", c, *told)
		}
	})
}

// TestPathRestarted: one re-INVITE with fresh media and our Contact; the old ones
// stay until the answer.
func TestPathRestarted(t *testing.T) {
	onPath(t, session.Options{}, func(r *rig, s *session.Session, _ *peer, old *tape) {
		old.events.Disconnected()
		time.Sleep(25 * time.Second)
		old.events.Failed(errGone)
		invite := r.request(sip.INVITE)
		fresh := r.media.last()
		if nameOf(invite.Body()) != "offer2.1" || fresh.previous != session.Media(old) {
			t.Errorf("re-INVITE is %s", show(invite))
		}
		if got := old.wrote(); got != "" || s.Media() != session.Media(old) {
			t.Errorf("before the answer: %s", got)
		}
		old.events.Failed(errGone) // says nothing new
		r.answer(invite, 200, "", sdp("bob"))
		r.request(sip.ACK)
		if got := old.wrote(); got != "Close" || s.Media() != session.Media(fresh) {
			t.Errorf("after the answer: %s", got)
		}
		if !s.Condition().Silent {
			t.Error("not silent, though the path is not there yet")
		}
		fresh.events.Connected()
		synctest.Wait()
		if s.Condition().Degraded() {
			t.Errorf("condition %+v", s.Condition())
		}
		time.Sleep(time.Minute)
		r.silence()
	})
}

// TestPathRestartRefused: with the path dead that is the end, and says both.
func TestPathRestartRefused(t *testing.T) {
	onPath(t, session.Options{}, func(r *rig, s *session.Session, _ *peer, old *tape) {
		old.events.Failed(errGone)
		r.refuse(r.request(sip.INVITE), 488)
		r.answer(r.request(sip.BYE), 200, "", "")
		end := r.ended(s, session.EndMediaFailed, false)
		var lost *session.PathError
		if !errors.As(end, &lost) || !errors.Is(lost.Lost, errGone) || !errors.Is(lost.Restart, sip.StatusNotAcceptableHere) || end.Cause() != "RTP Timeout" {
			t.Errorf("ended by %v (%s)", end, end.Cause())
		}
	})
}

// TestPathRestartFails: so is a new path that does not come up either.
func TestPathRestartFails(t *testing.T) {
	onPath(t, session.Options{}, func(r *rig, s *session.Session, _ *peer, old *tape) {
		old.events.Failed(errGone)
		r.answer(r.request(sip.INVITE), 200, "", sdp("bob"))
		r.request(sip.ACK)
		again := errors.New("again")
		r.media.last().events.Failed(again)
		r.answer(r.request(sip.BYE), 200, "", "")
		end := r.ended(s, session.EndMediaFailed, false)
		var lost *session.PathError
		if !errors.As(end, &lost) || !errors.Is(lost.Lost, errGone) || !errors.Is(lost.Restart, again) {
			t.Errorf("ended by %v", end)
		}
	})
}

// TestPathRestartAgain: who has no time for it now, or is away, gets the same
// offer again.
func TestPathRestartAgain(t *testing.T) {
	for _, tt := range []struct {
		code     sip.StatusCode
		min, max time.Duration
	}{
		{491, 2100 * time.Millisecond, 4 * time.Second}, // RFC 3261 §14.1
		{500, 750 * time.Millisecond, time.Second},
		{503, 750 * time.Millisecond, time.Second},
		{408, 750 * time.Millisecond, time.Second},
		{480, 750 * time.Millisecond, time.Second},
	} {
		onPath(t, session.Options{}, func(r *rig, s *session.Session, _ *peer, old *tape) {
			old.events.Failed(errGone)
			first := r.request(sip.INVITE)
			r.refuse(first, tt.code)
			begun := time.Now()
			var next sip.Message
			for next == nil && time.Since(begun) < time.Minute {
				time.Sleep(10 * time.Millisecond)
				next = r.next()
			}
			again, ok := next.(*sip.Request)
			if took := time.Since(begun); !ok || took < tt.min || took > tt.max+10*time.Millisecond {
				t.Fatalf("after %d: %s after %v", tt.code, show(next), took)
			}
			if !bytes.Equal(again.Body(), first.Body()) || again.CSeq().Seq != first.CSeq().Seq+1 {
				t.Errorf("after %d:\n%s\nnot the same as\n%s", tt.code, show(again), show(first))
			}
			if s.Media() != session.Media(old) || r.media.open() != 2 {
				t.Errorf("after %d: %d media are open", tt.code, r.media.open())
			}
			r.answer(again, 200, "", sdp("bob"))
			r.request(sip.ACK)
			if r.media.open() != 1 {
				t.Errorf("%d media are open", r.media.open())
			}
		})
	}
}

// TestPathRestartUnanswered: a time-out is worth another try, no more.
func TestPathRestartUnanswered(t *testing.T) {
	onPath(t, session.Options{}, func(r *rig, s *session.Session, _ *peer, old *tape) {
		old.events.Failed(errGone)
		first := r.request(sip.INVITE)
		time.Sleep(33 * time.Second)
		if again := r.request(sip.INVITE); !bytes.Equal(again.Body(), first.Body()) {
			t.Errorf("not the same: %s", show(again))
		}
		time.Sleep(33 * time.Second)
		r.request(sip.BYE)
		end := r.ended(s, session.EndMediaFailed, false)
		var timeout *sip.TimeoutError
		if !errors.As(end, &timeout) {
			t.Errorf("ended by %v", end)
		}
	})
}

// TestPathRestartMeetsOffer: the far end's own offer comes between, and is
// answered by the media that are there; ours goes on unchanged.
func TestPathRestartMeetsOffer(t *testing.T) {
	for _, follows := range []bool{true, false} {
		onPath(t, session.Options{}, func(r *rig, s *session.Session, bob *peer, old *tape) {
			old.events.Failed(errGone)
			first := r.request(sip.INVITE)
			r.refuse(first, 491)
			fresh := r.media.last()
			fresh.astray = !follows
			bob.send(sip.INVITE, sdp("bob-hold"))
			if ok := r.response(200, sip.INVITE); nameOf(ok.Body()) != "answer1" {
				t.Errorf("answered with %s", show(ok))
			}
			bob.send(sip.ACK, "")
			time.Sleep(4 * time.Second)
			want := "offer2.1"
			if !follows { // its m-lines are others now
				want = "offer3.1"
			}
			again := r.request(sip.INVITE)
			if nameOf(again.Body()) != want {
				t.Errorf("then %s", show(again))
			}
			r.answer(again, 200, "", sdp("bob"))
			r.request(sip.ACK)
			if r.media.open() != 1 || s.Media() == session.Media(old) {
				t.Errorf("%d media are open", r.media.open())
			}
		})
	}
}

// TestPathRestartedInPlace: media that say so make the offer of a restart
// themselves, and it goes again unchanged as well; what they told of the path that
// they gave up is not held against the new one.
func TestPathRestartedInPlace(t *testing.T) {
	onPath(t, session.Options{}, func(r *rig, s *session.Session, _ *peer, media *tape) {
		media.inPlace = true
		media.events.Failed(errGone)
		first := r.request(sip.INVITE)
		if nameOf(first.Body()) != "offer1.2-restart" {
			t.Errorf("re-INVITE is %s", show(first))
		}
		r.refuse(first, 491)
		time.Sleep(4 * time.Second)
		again := r.request(sip.INVITE)
		if !bytes.Equal(first.Body(), again.Body()) {
			t.Errorf("then %s", show(again))
		}
		r.answer(again, 200, "", sdp("bob"))
		r.request(sip.ACK)
		if !s.Condition().Silent || s.Media() != session.Media(media) || r.media.open() != 1 {
			t.Errorf("condition %+v, %d media are open", s.Condition(), r.media.open())
		}
		media.events.Connected()
		synctest.Wait()
		if s.Condition().Degraded() {
			t.Errorf("condition %+v", s.Condition())
		}
		media.events.Failed(errGone) // and once more
		r.answer(r.request(sip.INVITE), 200, "", sdp("bob"))
		r.request(sip.ACK)
		media.events.Connected()
		time.Sleep(time.Minute)
		r.silence()
	})
}

// TestPathRestartInPlaceFails: a path that does not come up in place either is the
// end, as is a refusal.
func TestPathRestartInPlaceFails(t *testing.T) {
	for _, refused := range []bool{true, false} {
		onPath(t, session.Options{}, func(r *rig, s *session.Session, _ *peer, media *tape) {
			media.inPlace = true
			media.events.Failed(errGone)
			invite := r.request(sip.INVITE)
			if refused {
				r.refuse(invite, 488)
			} else {
				r.answer(invite, 200, "", sdp("bob"))
				r.request(sip.ACK)
				media.events.Failed(errGone)
			}
			r.answer(r.request(sip.BYE), 200, "", "")
			r.ended(s, session.EndMediaFailed, false)
			if r.media.open() != 0 {
				t.Errorf("%d media are open", r.media.open())
			}
		})
	}
}

// TestPathRestartInPlaceMeetsOffer: the far end's own offer comes between, and is
// answered by the same media; ours is made anew where it is out of date by that.
func TestPathRestartInPlaceMeetsOffer(t *testing.T) {
	onPath(t, session.Options{}, func(r *rig, s *session.Session, bob *peer, media *tape) {
		media.inPlace = true
		media.events.Failed(errGone)
		r.refuse(r.request(sip.INVITE), 491)
		media.astray = true
		bob.send(sip.INVITE, sdp("bob"))
		r.response(200, sip.INVITE)
		bob.send(sip.ACK, "")
		time.Sleep(4 * time.Second)
		again := r.request(sip.INVITE)
		if nameOf(again.Body()) != "offer1.3-restart" {
			t.Errorf("then %s", show(again))
		}
		r.answer(again, 200, "", sdp("bob"))
		r.request(sip.ACK)
		if got := media.wrote(); r.media.open() != 1 {
			t.Errorf("%d media are open after %s", r.media.open(), got)
		}
	})
}

// TestPathRestartOvertaken: fresh media in the far end's own offer make ours
// needless.
func TestPathRestartOvertaken(t *testing.T) {
	onPath(t, session.Options{}, func(r *rig, s *session.Session, bob *peer, old *tape) {
		old.events.Failed(errGone)
		r.refuse(r.request(sip.INVITE), 491)
		r.media.needFresh(1)
		bob.send(sip.INVITE, sdp("bob2"))
		r.response(200, sip.INVITE)
		bob.send(sip.ACK, "")
		if r.media.open() != 1 || s.Media() == session.Media(old) {
			t.Errorf("%d media are open", r.media.open())
		}
		r.media.last().events.Connected()
		time.Sleep(time.Minute)
		r.silence()
		if s.Condition().Degraded() {
			t.Errorf("condition %+v", s.Condition())
		}
	})
}

// TestPathWaitsForFlow: the restart is sent once we are registered again, and is
// the target refresh then.
func TestPathWaitsForFlow(t *testing.T) {
	onPath(t, session.Options{}, func(r *rig, s *session.Session, _ *peer, old *tape) {
		r.down()
		old.events.Failed(errGone)
		time.Sleep(10 * time.Second)
		r.upFrom("10.0.0.1:4712")
		time.Sleep(time.Second)
		r.silence()
		r.ready()
		r.answer(r.request(sip.INVITE), 200, "", sdp("bob"))
		r.request(sip.ACK)
		r.media.last().events.Connected()
		time.Sleep(time.Minute)
		r.silence() // no other refresh
		if s.Condition().Degraded() {
			t.Errorf("condition %+v", s.Condition())
		}
	})
}

// TestPathRestartLosesFlow: the offer goes again on the next one, unchanged.
func TestPathRestartLosesFlow(t *testing.T) {
	onPath(t, session.Options{}, func(r *rig, s *session.Session, _ *peer, old *tape) {
		old.events.Failed(errGone)
		first := r.request(sip.INVITE)
		r.answer(first, 100, "", "")
		r.down()
		time.Sleep(5 * time.Second)
		r.upFrom("10.0.0.1:4712")
		r.ready()
		var again *sip.Request
		for m := r.next(); m != nil; m = r.next() {
			if req, ok := m.(*sip.Request); ok && req.Method() == sip.INVITE {
				again = req
			}
		}
		if again == nil || !bytes.Equal(again.Body(), first.Body()) {
			t.Fatalf("then %s", show(again))
		}
		r.answer(again, 200, "", sdp("bob"))
		r.request(sip.ACK)
		r.answer(first, 200, "", sdp("bob")) // late; it needs its ACK all the same
		if ack := r.request(sip.ACK); ack.CSeq().Seq != first.CSeq().Seq {
			t.Errorf("ACK is %s", show(ack))
		}
		r.media.last().events.Connected()
		time.Sleep(time.Minute)
		r.silence()
		if s.State() != session.Confirmed {
			t.Error("the call is over")
		}
	})
}

// TestSocketMoves: another connection from the same address leaves ICE alone; one
// from another restarts it.
func TestSocketMoves(t *testing.T) {
	for _, tt := range []struct {
		local    string
		restarts bool
	}{
		{"10.0.0.1:9999", false},
		{"[::ffff:10.0.0.1]:9999", false},
		{"10.0.0.2:4711", true},
		{"[2001:db8::1]:4711", false}, // another IP version says nothing
		{"pipe", false},
	} {
		onPath(t, session.Options{}, func(r *rig, _ *session.Session, _ *peer, old *tape) {
			r.down()
			r.upFrom(tt.local)
			r.ready()
			req := r.request(sip.INVITE) // bob has not said that he takes UPDATE
			if got := nameOf(req.Body()) == "offer2.1"; got != tt.restarts {
				t.Errorf("from %s: %s", tt.local, show(req))
			}
		})
	}
}

// TestMovedCallRefused: the path that there is stays, and so does the call until
// that fails as well.
func TestMovedCallRefused(t *testing.T) {
	onPath(t, session.Options{}, func(r *rig, s *session.Session, _ *peer, old *tape) {
		r.down()
		r.upFrom("10.0.0.2:4711")
		r.ready()
		r.refuse(r.request(sip.INVITE), 488)
		for m := r.next(); m != nil; m = r.next() { // the target is to be refreshed all the same
			if req, ok := m.(*sip.Request); ok {
				r.answer(req, 200, "", sdp("bob"))
			}
		}
		if s.State() != session.Confirmed || s.Media() != session.Media(old) || r.media.open() != 1 {
			t.Errorf("%v, %d media", s.State(), r.media.open())
		}
		old.events.Failed(errGone)
		r.refuse(r.request(sip.INVITE), 488)
		r.request(sip.BYE)
		r.ended(s, session.EndMediaFailed, false)
	})
}

// TestMovedAgain: an offer that names an address which is gone is made anew.
func TestMovedAgain(t *testing.T) {
	onPath(t, session.Options{}, func(r *rig, s *session.Session, _ *peer, old *tape) {
		r.down()
		r.upFrom("10.0.0.2:4711")
		r.ready()
		if req := r.request(sip.INVITE); nameOf(req.Body()) != "offer2.1" {
			t.Errorf("first %s", show(req))
		}
		r.down()
		r.upFrom("10.0.0.3:4711")
		r.ready()
		again := r.request(sip.INVITE)
		if nameOf(again.Body()) != "offer3.1" {
			t.Errorf("then %s", show(again))
		}
		r.answer(again, 200, "", sdp("bob"))
		r.request(sip.ACK)
		r.media.last().events.Connected()
		time.Sleep(time.Minute)
		r.silence()
		if s.State() != session.Confirmed || r.media.open() != 1 {
			t.Errorf("%v, %d media", s.State(), r.media.open())
		}
	})
}

// TestNetworkChanged: media whose address is gone make a new path at once.
func TestNetworkChanged(t *testing.T) {
	onPath(t, session.Options{}, func(r *rig, _ *session.Session, _ *peer, old *tape) {
		r.calls.NetworkChanged()
		r.silence()
		old.addressGone.Store(true)
		r.calls.NetworkChanged()
		if req := r.request(sip.INVITE); nameOf(req.Body()) != "offer2.1" {
			t.Errorf("%s", show(req))
		}
	})
}

// TestMediaRecoveryIsTheApplications: it may keep the call as it is, or end it.
func TestMediaRecoveryIsTheApplications(t *testing.T) {
	onPath(t, session.Options{MediaRecovery: session.MediaEnd}, func(r *rig, s *session.Session, _ *peer, old *tape) {
		old.events.Failed(errGone)
		r.request(sip.BYE)
		end := r.ended(s, session.EndMediaFailed, false)
		var lost *session.PathError
		if !errors.As(end, &lost) || lost.Restart != nil || !errors.Is(end, errGone) {
			t.Errorf("ended by %v", end)
		}
	})
	onPath(t, session.Options{MediaRecovery: session.MediaKeep}, func(r *rig, s *session.Session, _ *peer, old *tape) {
		old.events.Failed(errGone)
		time.Sleep(time.Minute)
		r.silence()
		if !s.Condition().Silent {
			t.Error("not silent")
		}
		result := start(func() error { return s.Renegotiate(r.t.Context(), &session.RenegotiateOptions{ICERestart: true}) })
		r.answer(r.request(sip.INVITE), 200, "", sdp("bob"))
		r.request(sip.ACK)
		r.must(<-result)
		old.events.Connected()
		synctest.Wait()
		if s.Condition().Degraded() {
			t.Errorf("condition %+v", s.Condition())
		}
	})
	bubble(t, func(r *rig) { // per call, both ways
		s, invite := r.dial(&session.CallOptions{MediaRecovery: session.MediaEnd})
		r.answer(invite, 200, "b", sdp("bob"))
		r.request(sip.ACK)
		r.media.last().events.Connected()
		r.media.last().events.Failed(errGone)
		r.request(sip.BYE)
		r.ended(s, session.EndMediaFailed, false)

		in, _ := r.caller().ring(sdp("bob"))
		result := start(func() error {
			_, err := in.Answer(context.Background(), &session.AnswerOptions{MediaRecovery: session.MediaKeep})
			return err
		})
		r.response(200, sip.INVITE)
		r.media.last().events.Connected()
		r.media.last().events.Failed(errGone)
		r.silence()
		r.calls.HangupAll()
		<-result
	})
}

// TestHangupDuringRestart: nothing of it is left.
func TestHangupDuringRestart(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		onPath(t, session.Options{}, func(r *rig, s *session.Session, _ *peer, old *tape) {
			old.events.Failed(errGone)
			invite := r.request(sip.INVITE)
			if refuse { // and it waits for its next try
				r.refuse(invite, 491)
			}
			go s.Hangup(context.Background())
			synctest.Wait()
			for m := r.next(); m != nil; m = r.next() {
				if req, ok := m.(*sip.Request); ok {
					r.answer(req, 200, "", "")
				}
			}
			r.ended(s, session.EndBye, false)
			if r.media.open() != 0 {
				t.Errorf("%d media are open", r.media.open())
			}
		})
	}
}

// TestMutedThroughRestart: what is muted while the offer waits stays muted.
func TestMutedThroughRestart(t *testing.T) {
	onPath(t, session.Options{}, func(r *rig, s *session.Session, _ *peer, old *tape) {
		old.events.Failed(errGone)
		r.refuse(r.request(sip.INVITE), 491)
		s.Mute(session.MuteSet{Audio: true})
		if got := r.media.last().wrote(); got != "Offer, Mute {true false} true" {
			t.Errorf("the new media: %s", got)
		}
	})
}

// TestMovedWhileAsked: a flow from the new address comes while the media look
// whether the old one is gone: one restart is enough.
func TestMovedWhileAsked(t *testing.T) {
	onPath(t, session.Options{}, func(r *rig, s *session.Session, bob *peer, old *tape) {
		old.addressGone.Store(true)
		old.asked = func() {
			r.down()
			r.upFrom("10.0.0.2:4711")
			r.ready()
		}
		r.calls.NetworkChanged()
		offer := r.request(sip.INVITE)
		r.answer(offer, 200, "", sdp("bob-anew"))
		r.request(sip.ACK)
		r.media.last().events.Connected()
		time.Sleep(time.Minute)
		r.silence()
	})
}
