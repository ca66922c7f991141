package session_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// start runs f and returns where its error will be.
func start(f func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- f() }()
	synctest.Wait()
	return result
}

func TestHoldAndUnhold(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		result := start(func() error { return s.Hold(r.t.Context()) })
		invite := r.request(sip.INVITE)
		if nameOf(invite.Body()) != "offer1.2-hold" || invite.To().Tag() != "b" {
			t.Errorf("re-INVITE is %s", show(invite))
		}
		if s.Held() != (session.HoldState{}) {
			t.Error("held before the far end agreed")
		}
		r.answer(invite, 200, "", sdp("bob"))
		r.request(sip.ACK)
		r.must(<-result)
		if !s.Held().Local {
			t.Error("not held")
		}
		r.must(s.Hold(r.t.Context())) // again: nothing happens
		r.silence()
		result = start(func() error { return s.Unhold(r.t.Context()) })
		r.answer(r.request(sip.INVITE), 200, "", sdp("bob"))
		r.request(sip.ACK)
		r.must(<-result)
		r.seen("hold local=true remote=false", "hold local=false remote=false")
	})
}

// TestRefusedHold: the call goes on as it was (RFC 3261 §14.1).
func TestRefusedHold(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		result := start(func() error { return s.Hold(r.t.Context()) })
		r.answer(r.request(sip.INVITE), 488, "", "")
		r.request(sip.ACK)
		if err := <-result; !errors.Is(err, sip.StatusNotAcceptableHere) {
			t.Errorf("Hold: %v", err)
		}
		if got := r.media.last().wrote(); got != "Offer, Abandon" {
			t.Errorf("media: %s", got)
		}
		if s.Held().Local || s.State() != session.Confirmed {
			t.Errorf("held %v, state %v", s.Held(), s.State())
		}
	})
}

func TestPeerHoldsAndResumes(t *testing.T) {
	for _, method := range []sip.Method{sip.INVITE, sip.UPDATE} {
		bubble(t, func(r *rig) {
			s, bob := r.hosted()
			for _, name := range []string{"bob-hold", "bob"} {
				bob.send(method, sdp(name))
				if ok := r.response(200, method); nameOf(ok.Body()) != "answer1" {
					t.Errorf("200 is %s", show(ok))
				}
				if method == sip.INVITE {
					bob.send(sip.ACK, "")
				}
			}
			r.seen("hold local=false remote=true", "hold local=false remote=false")
			if s.State() != session.Confirmed {
				t.Errorf("state %v", s.State())
			}
			time.Sleep(time.Minute)
			r.silence()
		})
	}
}

func TestUpdateWithoutOffer(t *testing.T) {
	bubble(t, func(r *rig) {
		_, bob := r.hosted()
		bob.send(sip.UPDATE, "")
		if ok := r.response(200, sip.UPDATE); len(ok.Body()) != 0 {
			t.Errorf("200 is %s", show(ok))
		}
	})
}

// TestOfferlessReinvite: our offer goes in the 200, the answer comes with the ACK.
func TestOfferlessReinvite(t *testing.T) {
	bubble(t, func(r *rig) {
		_, bob := r.hosted()
		bob.send(sip.INVITE, "")
		if ok := r.response(200, sip.INVITE); nameOf(ok.Body()) != "offer1.1-restart" {
			t.Errorf("200 is %s", show(ok))
		}
		bob.send(sip.ACK, sdp("bob-hold"))
		r.seen("hold local=false remote=true")
	})
}

func TestUnusableReoffer(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.hosted()
		r.media.failWith(session.ErrUnacceptable)
		bob.send(sip.INVITE, sdp("bob"))
		r.response(488, sip.INVITE)
		bob.send(sip.ACK, "")
		r.media.failWith(nil)
		bob.send(sip.INVITE, sdp("bob"))
		r.response(200, sip.INVITE)
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
	})
}

// TestGlare: the peer's offer meets ours: 491; ours meets the peer's: it is
// made again after the time of RFC 3261 §14.1, and the peer's comes through
// meanwhile.
func TestGlare(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.talk("b")
		result := start(func() error { return s.Hold(r.t.Context()) })
		ours := r.request(sip.INVITE)
		bob.send(sip.INVITE, sdp("bob"))
		r.response(491, sip.INVITE)
		bob.send(sip.ACK, "")
		sent := time.Now()
		r.answer(ours, 491, "", "")
		r.request(sip.ACK)

		bob.send(sip.INVITE, sdp("bob"))
		r.response(200, sip.INVITE)
		bob.send(sip.ACK, "")
		r.silence()

		time.Sleep(4*time.Second - time.Since(sent))
		again := r.request(sip.INVITE)
		if again.CSeq().Seq <= ours.CSeq().Seq {
			t.Errorf("CSeq %v after %v", again.CSeq(), ours.CSeq())
		}
		r.answer(again, 200, "", sdp("bob"))
		r.request(sip.ACK)
		r.must(<-result)
	})
}

func TestGlareDelays(t *testing.T) {
	measure := func(r *rig, s *session.Session) time.Duration {
		start(func() error { return s.Hold(r.t.Context()) })
		r.answer(r.request(sip.INVITE), 491, "", "")
		r.request(sip.ACK)
		sent := time.Now()
		for time.Since(sent) < 5*time.Second {
			time.Sleep(10 * time.Millisecond)
			if m := r.next(); m != nil {
				break
			}
		}
		return time.Since(sent)
	}
	for range 10 {
		bubble(t, func(r *rig) {
			s, _ := r.talk("b")
			if d := measure(r, s); d < 2100*time.Millisecond || d > 4010*time.Millisecond {
				t.Errorf("the owner of the Call-ID waits %v", d)
			}
		})
		bubble(t, func(r *rig) {
			s, _ := r.hosted()
			if d := measure(r, s); d > 2010*time.Millisecond {
				t.Errorf("the other waits %v", d)
			}
		})
	}
}

// TestSecondOfferBeforeAnswer gets 500 with Retry-After (RFC 3261 §14.2).
func TestSecondOfferBeforeAnswer(t *testing.T) {
	bubble(t, func(r *rig) {
		_, bob := r.hosted()
		release := r.media.hold()
		bob.send(sip.UPDATE, sdp("bob"))
		r.silence()
		bob.send(sip.UPDATE, sdp("bob"))
		if res := r.response(500, sip.UPDATE); !res.HasHeader("Retry-After") {
			t.Errorf("500 is %s", show(res))
		}
		release()
		r.response(200, sip.UPDATE)
	})
}

// TestHoldWaitsItsTurn: a Hold during the peer's re-INVITE follows it.
func TestHoldWaitsItsTurn(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.hosted()
		bob.send(sip.INVITE, sdp("bob"))
		r.response(200, sip.INVITE)
		result := start(func() error { return s.Hold(r.t.Context()) })
		r.silence()
		bob.send(sip.ACK, "")
		r.answer(r.request(sip.INVITE), 200, "", sdp("bob"))
		r.request(sip.ACK)
		r.must(<-result)
	})
}

// TestByeDuringExchange: the call ends in every state that waits for the media.
func TestByeDuringExchange(t *testing.T) {
	for name, begin := range map[string]func(r *rig, s *session.Session, bob *peer){
		"making an offer": func(r *rig, s *session.Session, bob *peer) {
			start(func() error { return s.Hold(r.t.Context()) })
		},
		"making an answer": func(r *rig, s *session.Session, bob *peer) { bob.send(sip.UPDATE, sdp("bob")) },
	} {
		bubble(t, func(r *rig) {
			s, bob := r.hosted()
			release := r.media.hold()
			begin(r, s, bob)
			bob.send(sip.BYE, "")
			for {
				m, ok := r.next().(*sip.Response)
				if !ok {
					t.Fatalf("%s: BYE not answered", name)
				}
				if m.CSeq().Method == sip.BYE && m.StatusCode() == 200 {
					break
				}
			}
			r.ended(s, session.EndBye, true)
			release()
		})
	}
}

func TestFreshMediaForANewFarEnd(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.hosted()
		first := r.media.last()
		r.media.needFresh(1)
		bob.send(sip.UPDATE, sdp("carol"))
		ok := r.response(200, sip.UPDATE)
		if nameOf(ok.Body()) != "answer2" || r.media.last().previous != session.Media(first) {
			t.Errorf("200 is %s", show(ok))
		}
		if got := first.wrote(); got != "Answer carol, Close" {
			t.Errorf("the first media: %s", got)
		}
		if s.Media() != session.Media(r.media.last()) {
			t.Error("Media is still the first")
		}
		first.events.Failed(errors.New("late")) // the media that was replaced is nobody's concern
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
	})
}

func TestMediaPathLost(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		go r.media.last().events.Failed(errors.New("ICE failed"))
		r.answer(r.request(sip.BYE), 200, "", "")
		if end := r.ended(s, session.EndMediaFailed, false); end.Cause() != "RTP Timeout" {
			t.Errorf("cause %s", end.Cause())
		}
	})
}

// TestOriginLine: one sess-id for the dialog, the version one higher for each
// different description (RFC 3264 §8).
func TestOriginLine(t *testing.T) {
	bubble(t, func(r *rig) {
		origin := func(body []byte) string {
			_, after, _ := strings.Cut(string(body), "o=")
			line, _, _ := strings.Cut(after, "\r\n")
			return line
		}
		_, bob := r.hosted()
		var lines []string
		for _, name := range []string{"one", "two"} {
			bob.send(sip.UPDATE, sdp(name))
			lines = append(lines, origin(r.response(200, sip.UPDATE).Body()))
		}
		if lines[0] != lines[1] {
			t.Errorf("identical answers, but %q", lines)
		}
		bob.send(sip.INVITE, "")
		was, now := strings.Fields(lines[0]), strings.Fields(origin(r.response(200, sip.INVITE).Body()))
		if was[1] != now[1] || was[2] != "1" || now[2] != "2" {
			t.Errorf("o=%v after o=%v", now, was)
		}
	})
}

// TestCloseInEveryState: Close from a handler of the call, in every state.
func TestCloseInEveryState(t *testing.T) {
	for st := session.Ringing; st <= session.Confirmed; st++ {
		bubble(t, func(r *rig) {
			closed := make(chan struct{})
			h := &session.Handler{State: func(_ *session.Session, now session.State) {
				if now == st {
					r.calls.Close()
					close(closed)
				}
			}}
			bob := r.caller()
			in, _ := bob.ring(sdp("bob"))
			if st == session.Ringing {
				r.calls.Close()
				close(closed)
			}
			in.Answer(r.t.Context(), &session.AnswerOptions{Handler: h})
			bob.send(sip.ACK, "")
			<-closed
			end := r.ended(in, session.EndClosed, false)
			if !errors.Is(end, net.ErrClosed) {
				t.Errorf("%v: %v", st, end)
			}
			if _, err := r.calls.Invite(r.t.Context(), "bob", nil); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Invite after Close: %v", err)
			}
		})
	}
}

func TestHangupAll(t *testing.T) {
	bubble(t, func(r *rig) {
		up, _ := r.talk("b")
		calling, invite := r.dial(nil)
		r.answer(invite, 180, "c", "")
		ringing, _ := r.caller().ring(sdp("bob"))
		r.calls.HangupAll()
		synctest.Wait()
		waited := start(func() error { return r.calls.Wait(r.t.Context()) })
		got := map[string]bool{}
		for range 3 {
			switch m := r.next().(type) {
			case *sip.Request:
				got[string(m.Method())] = true
				r.answer(m, 200, "", "")
			case *sip.Response:
				got[m.StatusCode().Error()] = true
			}
		}
		r.answer(invite, 487, "c", "")
		if err := <-waited; err != nil || len(got) != 3 {
			t.Errorf("%v, %v", err, got)
		}
		for _, c := range []context.Context{up.Context(), calling.Context(), ringing.Context()} {
			if c.Err() == nil {
				t.Error("a call goes on")
			}
		}
	})
}

// TestHoldByUpdate: RFC 3311 §5.1.
func TestHoldByUpdate(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		for _, c := range []struct {
			change session.HoldChange
			held   bool
		}{{session.HoldOn, true}, {session.HoldAsIs, true}, {session.HoldOff, false}, {session.HoldAsIs, false}} {
			result := start(func() error {
				return s.Renegotiate(r.t.Context(), &session.RenegotiateOptions{UseUpdate: true, Hold: c.change})
			})
			update := r.request(sip.UPDATE)
			if strings.HasSuffix(nameOf(update.Body()), "-hold") != c.held {
				t.Errorf("%v: offered %q", c.change, nameOf(update.Body()))
			}
			r.answer(update, 200, "", sdp("bob"))
			r.must(<-result)
			if s.Held().Local != c.held {
				t.Errorf("%v: held %v", c.change, s.Held())
			}
		}
	})
}
