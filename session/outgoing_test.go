package session_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

func TestCallUpAndDown(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		if got := nameOf(invite.Body()); got != "offer1.1" || invite.ContentType() != "application/sdp" {
			t.Errorf("INVITE carries %q of type %q", got, invite.ContentType())
		}
		if uri := invite.URI().String(); uri != "sip:bob@example.com" {
			t.Errorf("Request-URI %s", uri)
		}
		r.answer(invite, 100, "", "")
		r.answer(invite, 180, "b", "")
		if s.State() != session.Early {
			t.Errorf("state %v", s.State())
		}
		r.answer(invite, 200, "b", sdp("bob"))
		ack := r.request(sip.ACK)
		if ack.CSeq().Seq != invite.CSeq().Seq || ack.URI().Host != "peer.invalid" || len(ack.Body()) != 0 {
			t.Errorf("ACK is %s", show(ack))
		}
		r.must(s.WaitAnswered(r.t.Context()))
		if got := r.media.last().wrote(); got != "Offer, SetAnswer bob early=false" {
			t.Errorf("media: %s", got)
		}
		hangup := make(chan error, 1)
		go func() { hangup <- s.Hangup(r.t.Context()) }()
		bye := r.request(sip.BYE)
		if bye.CSeq().Seq != invite.CSeq().Seq+1 {
			t.Errorf("BYE has CSeq %v after %v", bye.CSeq(), invite.CSeq())
		}
		r.ended(s, session.EndBye, false)
		r.answer(bye, 200, "", "")
		r.must(<-hangup)
		if s.State() != session.Terminated {
			t.Errorf("state %v", s.State())
		}
		r.seen("state Calling", "state Early", "progress 180", "state Confirmed", "state Terminated")
		r.must(s.Hangup(r.t.Context())) // again: nothing happens
		r.silence()
	})
}

func TestCallEndedByPeer(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.talk("b")
		bob.send(sip.BYE, "", sip.Field{Name: "Reason", Value: `Q.850;cause=16`})
		r.response(200, sip.BYE)
		end := r.ended(s, session.EndBye, true)
		if len(end.Reason) != 1 || end.Reason[0] != "Q.850;cause=16" || end.Cause() != "Terminated" {
			t.Errorf("end %+v, cause %s", end, end.Cause())
		}
		r.seen("state Terminated")
		bob.send(sip.BYE, "")
		r.response(481, sip.BYE)
	})
}

func TestCallRefused(t *testing.T) {
	for code, cause := range map[sip.StatusCode]string{
		486: "Busy", 600: "Busy", 403: "Rejected", 302: "Redirected", 404: "Not Found", 480: "Unavailable",
		484: "Address Incomplete", 488: "Incompatible SDP", 500: "SIP Failure Code",
	} {
		bubble(t, func(r *rig) {
			result := make(chan error, 1)
			go func() {
				_, err := r.calls.Call(r.t.Context(), "bob", nil)
				result <- err
			}()
			invite := r.request(sip.INVITE)
			r.answer(invite, code, "b", "")
			r.request(sip.ACK)
			err := <-result
			var end *session.EndError
			if !errors.Is(err, code) || !errors.As(err, &end) || !end.Remote || end.Status != code || end.Cause() != cause {
				t.Errorf("%d: %v", code, err)
			}
		})
	}
}

// TestRepeated2xxIsAcknowledgedAgain: RFC 3261 §13.2.2.4.
func TestRepeated2xxIsAcknowledgedAgain(t *testing.T) {
	bubble(t, func(r *rig) {
		_, invite := r.dial(nil)
		r.answer(invite, 200, "b", sdp("bob"))
		first := show(r.request(sip.ACK))
		r.answer(invite, 200, "b", sdp("bob"))
		if again := show(r.request(sip.ACK)); again != first {
			t.Errorf("first\n%s\nagain\n%s", first, again)
		}
		r.silence()
	})
}

// TestSecondForkIsEndedOnItsOwnDialog: its 2xx gets an ACK and a BYE with its
// own tag, and the call goes on.
func TestSecondForkIsEndedOnItsOwnDialog(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.answer(invite, 180, "one", "")
		r.answer(invite, 180, "two", "")
		r.answer(invite, 200, "two", sdp("bob"))
		if ack := r.request(sip.ACK); ack.To().Tag() != "two" {
			t.Errorf("ACK to %s", ack.To())
		}
		for range 2 {
			r.answer(invite, 200, "three", sdp("bob"))
			if ack := r.request(sip.ACK); ack.To().Tag() != "three" {
				t.Errorf("ACK to %s", ack.To())
			}
			if m := r.next(); m != nil {
				bye, ok := m.(*sip.Request)
				if !ok || bye.Method() != sip.BYE || bye.To().Tag() != "three" || bye.URI().User != "three" {
					t.Fatalf("want BYE to the third, got %s", show(m))
				}
				r.answer(bye, 200, "", "")
			}
		}
		r.silence()
		if s.State() != session.Confirmed || s.Dialog().RemoteTag != "two" {
			t.Errorf("state %v, dialog %v", s.State(), s.Dialog())
		}
	})
}

func TestCancelWaitsForProvisional(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		go s.Hangup(r.t.Context())
		r.silence()
		r.ended(s, session.EndCanceled, false)
		r.answer(invite, 180, "b", "")
		cancel := r.request(sip.CANCEL)
		if cancel.CSeq().Seq != invite.CSeq().Seq || cancel.Via().Branch() != invite.Via().Branch() || cancel.HasHeader("Authorization") {
			t.Errorf("CANCEL is %s", show(cancel))
		}
		r.answer(cancel, 200, "", "")
		r.answer(invite, 487, "b", "")
		r.request(sip.ACK)
		if s.State() != session.Terminated {
			t.Errorf("state %v", s.State())
		}
		r.seen("state Calling", "state Terminated")
	})
}

// TestAnswerBeatsCancel: the 2xx won, so it is acknowledged and hung up.
func TestAnswerBeatsCancel(t *testing.T) {
	for _, provisional := range []bool{true, false} {
		bubble(t, func(r *rig) {
			s, invite := r.dial(nil)
			if provisional {
				r.answer(invite, 180, "b", "")
			}
			go s.Hangup(r.t.Context())
			if provisional {
				r.answer(r.request(sip.CANCEL), 200, "", "")
			}
			r.answer(invite, 200, "b", sdp("bob"))
			r.request(sip.ACK)
			bye := r.request(sip.BYE)
			if bye.To().Tag() != "b" {
				t.Errorf("BYE is %s", show(bye))
			}
			r.answer(bye, 200, "", "")
			if s.State() != session.Terminated {
				t.Errorf("state %v", s.State())
			}
			r.answer(invite, 200, "b", sdp("bob"))
			r.request(sip.ACK) // repeated for as long as the 2xx may be
		})
	}
}

// TestCancelUnanswered: 64*T1 after the CANCEL nothing waits any more
// (RFC 3261 §9.1).
func TestCancelUnanswered(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.answer(invite, 180, "b", "")
		start := time.Now()
		r.must(s.Hangup(r.t.Context()))
		if took := time.Since(start); took != 32*time.Second {
			t.Errorf("given up after %v", took)
		}
	})
}

func TestHangupBeforeInvite(t *testing.T) {
	bubble(t, func(r *rig) {
		release := r.media.hold()
		s, err := r.calls.Invite(r.t.Context(), "bob", nil)
		r.must(err)
		synctest.Wait()
		r.must(s.Hangup(r.t.Context()))
		r.ended(s, session.EndCanceled, false)
		release()
		r.silence()
	})
}

func TestCallContextEnds(t *testing.T) {
	bubble(t, func(r *rig) {
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(r.t.Context())
		result := make(chan error, 1)
		go func() {
			_, err := r.calls.Call(ctx, "bob", nil)
			result <- err
		}()
		invite := r.request(sip.INVITE)
		r.answer(invite, 180, "b", "")
		cancel(cause)
		if err := <-result; !errors.Is(err, cause) {
			t.Errorf("Call returned %v", err)
		}
		r.answer(r.request(sip.CANCEL), 200, "", "")
		r.answer(invite, 487, "b", "")
		r.request(sip.ACK)
	})
}

func TestRingTimeout(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(&session.CallOptions{RingTimeout: 20 * time.Second})
		r.answer(invite, 180, "b", "")
		time.Sleep(20*time.Second - 1)
		r.silence()
		time.Sleep(time.Nanosecond)
		r.request(sip.CANCEL)
		end := r.ended(s, session.EndNoAnswer, false)
		var timeout *sip.TimeoutError
		if !errors.As(end, &timeout) || timeout.Timer != "RingTimeout" {
			t.Errorf("end %v", end)
		}
	})
}

func TestInviteUnanswered(t *testing.T) {
	bubble(t, func(r *rig) {
		start := time.Now()
		s, _ := r.dial(nil)
		err := s.WaitAnswered(r.t.Context())
		var timeout *sip.TimeoutError
		if took := time.Since(start); took != 32*time.Second || !errors.As(err, &timeout) || timeout.Timer != "B" {
			t.Errorf("after %v: %v", took, err)
		}
		r.ended(s, session.EndTimeout, false)
	})
}

func TestLateOffer(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(&session.CallOptions{LateOffer: true})
		if len(invite.Body()) != 0 {
			t.Errorf("INVITE carries %q", invite.Body())
		}
		release := r.media.hold()
		r.answer(invite, 200, "b", sdp("bob"))
		r.answer(invite, 200, "b", sdp("bob")) // repeated while the answer is made
		r.silence()
		release()
		if ack := r.request(sip.ACK); nameOf(ack.Body()) != "answer1" {
			t.Errorf("ACK is %s", show(ack))
		}
		r.must(s.WaitAnswered(r.t.Context()))
		r.silence()
	})
}

func TestUnusableAnswer(t *testing.T) {
	for name, body := range map[string]string{"refused": sdp("bob"), "missing": ""} {
		bubble(t, func(r *rig) {
			s, invite := r.dial(nil)
			if name == "refused" {
				r.media.failWith(session.ErrUnacceptable)
			}
			r.answer(invite, 200, "b", body)
			r.request(sip.ACK)
			r.answer(r.request(sip.BYE), 200, "", "")
			end := r.ended(s, session.EndMediaFailed, false)
			if want := map[string]string{"refused": "Bad Media Description", "missing": "Missing SDP"}[name]; end.Cause() != want {
				t.Errorf("cause %s, want %s", end.Cause(), want)
			}
			if err := s.WaitAnswered(r.t.Context()); !errors.Is(err, end) {
				t.Errorf("WaitAnswered: %v", err)
			}
		})
	}
}

// TestEarlyMedia: the answer in a 183 is heard at once; the 2xx of the same
// fork repeats it or leaves it out.
func TestEarlyMedia(t *testing.T) {
	for _, final := range []string{sdp("bob"), ""} {
		bubble(t, func(r *rig) {
			s, invite := r.dial(nil)
			r.answer(invite, 183, "b", sdp("bob"))
			if got := r.media.last().wrote(); got != "Offer, SetAnswer bob early=true" {
				t.Errorf("media: %s", got)
			}
			r.answer(invite, 200, "b", final)
			r.request(sip.ACK)
			r.must(s.WaitAnswered(r.t.Context()))
			if got := r.media.last().wrote(); got != "SetAnswer bob early=false" {
				t.Errorf("media: %s", got)
			}
			r.silence()
		})
	}
}

// TestAnotherForkWinsOverEarlyMedia: its 2xx is acknowledged and a re-INVITE
// with fresh media follows at once.
func TestAnotherForkWinsOverEarlyMedia(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.answer(invite, 183, "one", sdp("one"))
		r.media.needFresh(1)
		r.answer(invite, 200, "two", sdp("two"))
		r.request(sip.ACK)
		again := r.request(sip.INVITE)
		if nameOf(again.Body()) != "offer2.1" || again.To().Tag() != "two" {
			t.Errorf("re-INVITE is %s", show(again))
		}
		r.answer(again, 200, "", sdp("two"))
		r.request(sip.ACK)
		if s.Media() != session.Media(r.media.last()) || r.media.open() != 1 {
			t.Errorf("media %v of %d open", s.Media(), r.media.open())
		}
	})
}

// TestInviteSurvivesItsFlow: the answer that comes on the next connection is
// taken and acknowledged.
func TestInviteSurvivesItsFlow(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.answer(invite, 180, "b", "")
		r.down()
		time.Sleep(5 * time.Second)
		r.up()
		r.answer(invite, 200, "b", sdp("bob"))
		r.request(sip.ACK)
		r.must(s.WaitAnswered(r.t.Context()))
	})
}

func TestCallSurvivesItsFlow(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		r.down()
		hangup := make(chan error, 1)
		time.Sleep(10 * time.Second)
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
		go func() { hangup <- s.Hangup(r.t.Context()) }()
		r.silence()
		time.Sleep(10 * time.Second)
		r.up()
		r.answer(r.request(sip.BYE), 200, "", "")
		r.must(<-hangup)
	})
}
