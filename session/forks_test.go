package session_test

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// TestLosingForkLeavesTheCall: whatever comes in the dialog of a fork that
// lost, the call goes on.
func TestLosingForkLeavesTheCall(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.answer(invite, 180, "one", "")
		r.answer(invite, 200, "two", sdp("bob"))
		r.sent("ACK")
		r.answer(invite, 200, "three", sdp("bob"))
		bye := r.sent("ACK", "BYE")[1].(*sip.Request)
		for _, tag := range []string{"one", "three"} {
			far := r.called(invite, tag)
			far.send(sip.INFO, "")
			r.sent("481 INFO")
			far.send(sip.INVITE, sdp("x"))
			r.sent("481 INVITE")
			far.send(sip.BYE, "")
			r.sent("200 BYE")
		}
		r.answer(bye, 481, "", "")
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
		r.called(invite, "two").send(sip.BYE, "")
		r.sent("200 BYE")
		r.ended(s, session.EndBye, true)
	})
}

// TestByeOvertakesAnswer: the far end hung up at once and its 2xx comes later;
// that is acknowledged and begins nothing.
func TestByeOvertakesAnswer(t *testing.T) {
	for _, hangup := range []bool{false, true} {
		bubble(t, func(r *rig) {
			s, invite := r.dial(nil)
			r.answer(invite, 180, "b", "")
			r.called(invite, "b").send(sip.BYE, "", sip.Field{Name: "Reason", Value: "Q.850;cause=16"})
			r.sent("200 BYE")
			if s.State() != session.Early {
				t.Errorf("state %v: another fork may still answer", s.State())
			}
			if hangup {
				start(func() error { return s.Hangup(r.t.Context()) })
				r.sent("CANCEL")
			}
			r.answer(invite, 200, "b", sdp("bob"))
			r.sent("ACK")
			if hangup {
				r.ended(s, session.EndCanceled, false)
			} else if end := r.ended(s, session.EndBye, true); len(end.Reason) != 1 {
				t.Errorf("end %+v", end)
			}
			if s.State() != session.Terminated {
				t.Errorf("state %v", s.State())
			}
			r.answer(invite, 200, "b", sdp("bob"))
			r.sent("ACK")
		})
	}
}

// TestForkAfterTheCall: the 2xx of another fork comes when the call is over
// already; nothing of its dialog stays behind.
func TestForkAfterTheCall(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.answer(invite, 200, "one", sdp("bob"))
		r.sent("ACK")
		r.called(invite, "one").send(sip.BYE, "")
		r.sent("200 BYE")
		r.ended(s, session.EndBye, true)
		r.answer(invite, 200, "two", sdp("bob"))
		bye := r.sent("ACK", "BYE")[1].(*sip.Request)
		far := r.called(invite, "two")
		far.send(sip.BYE, "")
		r.sent("200 BYE")
		r.answer(bye, 200, "", "")
		far.send(sip.BYE, "")
		r.sent("481 BYE")
	})
}

// TestManyForks: a server that invents early dialogs fills no memory.
func TestManyForks(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		for i := range 100 {
			r.answer(invite, 180, fmt.Sprint("tag", i), "")
		}
		r.called(invite, "tag0").send(sip.OPTIONS, "")
		r.sent("200 OPTIONS")
		r.called(invite, "tag99").send(sip.OPTIONS, "")
		r.sent("481 OPTIONS")
		r.answer(invite, 200, "tag99", sdp("bob"))
		r.sent("ACK")
		if s.State() != session.Confirmed || s.Dialog().RemoteTag != "tag99" {
			t.Errorf("state %v, dialog %v", s.State(), s.Dialog())
		}
	})
}

// TestRequestToForkThatLost: what its answer says of that dialog is nothing to
// the call.
func TestRequestToForkThatLost(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.answer(invite, 180, "one", "")
		result := start(func() error { return s.SendInfo(r.t.Context(), "text/plain", []byte("x"), nil) })
		info := r.request(sip.INFO)
		r.answer(invite, 200, "two", sdp("bob"))
		r.sent("ACK")
		r.answer(info, 481, "", "")
		if err := <-result; err == nil {
			t.Error("SendInfo succeeded")
		}
		r.silence()
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
	})
}

// otherFork is a call whose early media came from one fork and whose answer
// from another; it returns the re-INVITE with fresh media.
func (r *rig) otherFork() (*session.Session, *peer, *sip.Request) {
	r.t.Helper()
	s, invite := r.dial(nil)
	r.answer(invite, 183, "one", sdp("one"))
	r.media.needFresh(1)
	r.answer(invite, 200, "two", sdp("two"))
	return s, r.called(invite, "two"), r.sent("ACK", "INVITE")[1].(*sip.Request)
}

// TestHangupWithFreshMediaOffered: the media that waits for its answer is
// closed with the call, which bubble checks.
func TestHangupWithFreshMediaOffered(t *testing.T) {
	bubble(t, func(r *rig) {
		s, far, again := r.otherFork()
		far.send(sip.BYE, "")
		r.sent("200 BYE")
		r.ended(s, session.EndBye, true)
		if n := r.media.open(); n != 0 {
			t.Errorf("%d media open after the call", n)
		}
		r.answer(again, 200, "", sdp("two")) // it crossed the BYE
		r.sent("ACK")
	})
}

// TestFreshMediaRefused: without it the call has none, so it ends.
func TestFreshMediaRefused(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _, again := r.otherFork()
		r.answer(again, 488, "", "")
		r.sent("ACK", "BYE")
		r.ended(s, session.EndMediaFailed, false)
	})
}

// TestAnswerWithoutTag: RFC 3261 §12.1.2 has the null tag for old peers.
func TestAnswerWithoutTag(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.answer(invite, 200, "", sdp("bob"))
		r.sent("ACK")
		r.must(s.WaitAnswered(r.t.Context()))
		start(func() error { return s.Hangup(r.t.Context()) })
		r.sent("BYE")
	})
}

// TestLateOfferOfEachFork: every ACK to a 2xx with an offer carries an answer
// (RFC 3261 §13.2.2.4).
func TestLateOfferOfEachFork(t *testing.T) {
	bubble(t, func(r *rig) {
		_, invite := r.dial(&session.CallOptions{LateOffer: true})
		r.answer(invite, 200, "one", offered)
		r.sent("ACK")
		r.answer(invite, 200, "two", offered)
		ack := r.sent("ACK", "BYE")[0].(*sip.Request)
		r.refusesAll(ack)
	})
}

// offered is an offer with the m-lines that a refusal has to answer.
const offered = "v=0\r\no=bob 7 7 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n" +
	"m=audio 49170/2 UDP/TLS/RTP/SAVPF 111 0\r\na=x:offered\r\nm=video 49180 RTP/AVP 31\r\n"

var originPattern = regexp.MustCompile(`o=- \d+ \d+ IN`)

// refusesAll expects an answer that refuses both m-lines of offered.
func (r *rig) refusesAll(ack *sip.Request) {
	r.t.Helper()
	const want = "v=0\r\no=- ID VERSION IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n" +
		"m=audio 0 UDP/TLS/RTP/SAVPF 111 0\r\nm=video 0 RTP/AVP 31\r\n"
	if got := originPattern.ReplaceAllString(string(ack.Body()), "o=- ID VERSION IN"); got != want || ack.ContentType() != "application/sdp" {
		r.t.Errorf("ACK carries\n%s", ack.Body())
	}
}

// TestHangupWhileAnsweringLateOffer: the ACK still goes, with an answer, and
// the BYE after it.
func TestHangupWhileAnsweringLateOffer(t *testing.T) {
	for name, end := range map[string]func(r *rig, s *session.Session, far *peer){
		"us": func(r *rig, s *session.Session, _ *peer) {
			start(func() error { return s.Hangup(r.t.Context()) })
			r.refusesAll(r.sent("ACK", "BYE")[0].(*sip.Request))
		},
		"them": func(r *rig, _ *session.Session, far *peer) {
			far.send(sip.BYE, "")
			r.refusesAll(r.sent("200 BYE", "ACK")[1].(*sip.Request))
		},
		"Close": func(r *rig, _ *session.Session, _ *peer) {
			r.calls.Close()
			r.refusesAll(r.sent("ACK")[0].(*sip.Request))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				s, invite := r.dial(&session.CallOptions{LateOffer: true})
				release := r.media.hold()
				r.answer(invite, 200, "b", offered)
				r.silence()
				end(r, s, r.called(invite, "b"))
				release()
				r.silence()
				r.answer(invite, 200, "b", offered)
				r.sent("ACK")
			})
		})
	}
}

func TestUnusableLateOffer(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(&session.CallOptions{LateOffer: true})
		r.media.failWith(session.ErrUnacceptable)
		r.answer(invite, 200, "b", offered)
		r.refusesAll(r.sent("ACK", "BYE")[0].(*sip.Request))
		r.ended(s, session.EndMediaFailed, false)
	})
}

// TestHangupBesideLateOffer: the 2xx beats the CANCEL.
func TestHangupBesideLateOffer(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(&session.CallOptions{LateOffer: true})
		start(func() error { return s.Hangup(r.t.Context()) })
		r.answer(invite, 200, "b", offered)
		r.refusesAll(r.sent("ACK", "BYE")[0].(*sip.Request))
	})
}

// TestCancelWithoutFlow: nothing waits for ever.
func TestCancelWithoutFlow(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.answer(invite, 180, "b", "")
		r.down()
		begin := time.Now()
		r.must(s.Hangup(r.t.Context()))
		if took := time.Since(begin); took > 32*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// TestWaitsForTheMediaThatMatter: a call answered by another fork than the one
// whose early media were bound is up only with fresh ones.
func TestWaitsForTheMediaThatMatter(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _, again := r.otherFork()
		answered := start(func() error { return s.WaitAnswered(r.t.Context()) })
		select {
		case err := <-answered:
			t.Errorf("WaitAnswered returned %v", err)
		default:
		}
		r.answer(again, 200, "", sdp("two"))
		r.sent("ACK")
		r.must(<-answered)
	})
}

// TestHoldAnsweredByAnotherFarEnd: the offer is repeated with fresh media, and
// it is a hold still.
func TestHoldAnsweredByAnotherFarEnd(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		hold := start(func() error { return s.Hold(r.t.Context()) })
		r.media.needFresh(1)
		r.answer(r.request(sip.INVITE), 200, "", sdp("carol"))
		again := r.sent("ACK", "INVITE")[1].(*sip.Request)
		if name := nameOf(again.Body()); name != "offer2.1-hold" {
			t.Errorf("offered %q", name)
		}
		select {
		case err := <-hold:
			t.Errorf("Hold returned %v", err)
		default:
		}
		r.answer(again, 200, "", sdp("carol"))
		r.sent("ACK")
		r.must(<-hold)
		if !s.Held().Local || r.media.open() != 1 {
			t.Errorf("held %v, %d media open", s.Held(), r.media.open())
		}
	})
}

// TestMuteAfterForkLost: the media of a fork that lost are closed, those of the
// one that answered are muted.
func TestMuteAfterForkLost(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(&session.CallOptions{LateOffer: true})
		for i, tag := range []string{"one", "two"} {
			r.answer(invite, 183, tag, sdp(tag), sip.Field{Name: "Require", Value: "100rel"}, sip.Field{Name: "RSeq", Value: "1"})
			r.answer(r.request(sip.PRACK), 200, "", "")
			if n := len(r.media.made); n != i+1 {
				t.Fatalf("%d media for %d forks", n, i+1)
			}
		}
		r.answer(invite, 200, "two", "")
		r.sent("ACK")
		r.media.last().wrote()
		s.Mute(session.MuteSet{Audio: true})
		r.silence()
		if got := r.media.last().wrote(); got != "Mute {true false} true" {
			t.Errorf("media: %s", got)
		}
	})
}
