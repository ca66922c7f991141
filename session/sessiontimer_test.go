package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// timers runs f with a rig whose calls have session timers.
func timers(t *testing.T, f func(r *rig)) {
	t.Helper()
	bubbleWith(t, session.Options{SessionTimers: true}, f)
}

// fields are header fields given as "Name: value".
func fields(lines ...string) []sip.Field {
	var list []sip.Field
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		list = append(list, sip.Field{Name: name, Value: value})
	}
	return list
}

const (
	takesUpdate = "Allow: INVITE, ACK, CANCEL, BYE, UPDATE"
	knowsTimer  = "Supported: timer"
	needsTimer  = "Require: timer"
)

func expires(seconds int, refresher string) string {
	return "Session-Expires: " + sip.SessionExpires{Seconds: seconds, Refresher: refresher}.String()
}

// timedCall is a call of ours that is up; lines are of the 200.
func (r *rig) timedCall(o *session.CallOptions, lines ...string) (*session.Session, *peer) {
	r.t.Helper()
	s, invite := r.dial(o)
	r.answer(invite, 200, "b", sdp("bob"), fields(lines...)...)
	r.request(sip.ACK)
	r.must(s.WaitAnswered(context.Background()))
	r.seen("state Calling", "state Confirmed")
	return s, r.called(invite, "b")
}

// timedGuest is a call of bob's that is up, and our 200; lines are of the INVITE.
func (r *rig) timedGuest(lines ...string) (*session.Session, *peer, *sip.Response) {
	r.t.Helper()
	bob := r.caller()
	in, _ := bob.ring(sdp("bob"), fields(lines...)...)
	s, ok := r.answerCall(in)
	bob.send(sip.ACK, "")
	r.seen("state Answering", "state Accepted", "state Confirmed")
	return s, bob, ok
}

// exactly expects nothing to leave before d has passed.
func (r *rig) exactly(d time.Duration) {
	r.t.Helper()
	time.Sleep(d - 1)
	r.silence()
	time.Sleep(time.Nanosecond)
}

// later returns the next request that leaves, whenever that is.
func (r *rig) later() *sip.Request {
	for {
		if req, ok := r.next().(*sip.Request); ok {
			return req
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// says checks fields of a message, of Supported the tag timer; a name alone means
// that there is none.
func (r *rig) says(m interface {
	Header(name string) string
	HasToken(name, token string) bool
}, lines ...string) {
	r.t.Helper()
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		if name == "Supported" {
			if m.HasToken(name, "timer") != (value != "") {
				r.t.Errorf("Supported is %q", m.Header(name))
			}
			continue
		}
		if got := m.Header(name); got != value {
			r.t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
}

// expired expects the BYE of a session that was not refreshed.
func (r *rig) expired(s *session.Session) {
	r.t.Helper()
	bye := r.request(sip.BYE)
	r.says(bye, `Reason: SIP;cause=408;text="Session timer expired"`)
	end := r.ended(s, session.EndUnrefreshed, false)
	if end.Cause() != "Request Timeout" || !errors.Is(end, sip.StatusRequestTimeout) {
		r.t.Errorf("ended with cause %q: %v", end.Cause(), end)
	}
	if s.SessionTimer() != (session.SessionTimer{}) {
		r.t.Errorf("after the end: %+v", s.SessionTimer())
	}
	r.answer(bye, 200, "", "")
}

// TestSessionRefreshedByCaller: an UPDATE without an offer at half the interval,
// again and again.
func TestSessionRefreshedByCaller(t *testing.T) {
	timers(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.says(invite, "Session-Expires: 1800", "Min-SE", "Require", knowsTimer)
		if s.SessionTimer() != (session.SessionTimer{}) {
			t.Errorf("before the answer: %+v", s.SessionTimer())
		}
		r.answer(invite, 200, "b", sdp("bob"), fields(takesUpdate, needsTimer, expires(1800, "uac"))...)
		r.request(sip.ACK)
		for i := range 3 {
			want := session.SessionTimer{Interval: 30 * time.Minute, Local: true, Expires: time.Now().Add(30 * time.Minute)}
			if got := s.SessionTimer(); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
			r.exactly(15 * time.Minute)
			update := r.request(sip.UPDATE)
			r.says(update, "Session-Expires: 1800;refresher=uac", "Min-SE", knowsTimer)
			if len(update.Body()) != 0 || update.CSeq().Seq != invite.CSeq().Seq+uint32(i)+1 {
				t.Errorf("refresh is %s", show(update))
			}
			r.answer(update, 200, "", "", fields(expires(1800, "uac"))...)
		}
	})
}

// TestSessionExpiresUnrefreshed: who waits for a refresh hangs up a third of the
// interval or 32 s before its end, whichever is shorter (RFC 4028 §10).
func TestSessionExpiresUnrefreshed(t *testing.T) {
	for _, tt := range []struct {
		interval int
		bye      time.Duration
	}{{90, 60 * time.Second}, {1800, 1768 * time.Second}} {
		timers(t, func(r *rig) {
			s, _ := r.timedCall(nil, needsTimer, expires(tt.interval, "uas"))
			r.exactly(tt.bye)
			r.expired(s)
		})
		timers(t, func(r *rig) {
			s, _, ok := r.timedGuest(knowsTimer, expires(tt.interval, "uac"))
			r.says(ok, expires(tt.interval, "uac"), needsTimer, knowsTimer)
			r.exactly(tt.bye)
			r.expired(s)
		})
	}
}

// TestSessionRefreshedByFarEnd: by UPDATE without an offer every 45 s, as JsSIP
// does, and by re-INVITE, as Asterisk does, each with its answer.
func TestSessionRefreshedByFarEnd(t *testing.T) {
	for _, method := range []sip.Method{sip.UPDATE, sip.INVITE} {
		timers(t, func(r *rig) {
			s, bob, _ := r.timedGuest(knowsTimer, expires(90, "uac"))
			for range 4 {
				r.exactly(45 * time.Second)
				body := ""
				if method == sip.INVITE {
					body = sdp("bob")
				}
				bob.send(method, body, fields(knowsTimer, expires(90, "uac"))...)
				ok := r.response(200, method)
				r.says(ok, expires(90, "uac"), needsTimer, knowsTimer)
				if (len(ok.Body()) > 0) != (method == sip.INVITE) {
					t.Errorf("200 is %s", show(ok))
				}
				if method == sip.INVITE {
					bob.send(sip.ACK, "")
				}
			}
			r.exactly(time.Minute)
			r.expired(s)
		})
	}
}

// TestSessionRefreshedByCallee: where the caller leaves it to us we refresh.
func TestSessionRefreshedByCallee(t *testing.T) {
	timers(t, func(r *rig) {
		s, _, ok := r.timedGuest(knowsTimer, takesUpdate, expires(600, ""))
		r.says(ok, expires(600, "uas"), needsTimer)
		if got := s.SessionTimer(); !got.Local || got.Interval != 10*time.Minute {
			t.Errorf("%+v", got)
		}
		r.exactly(5 * time.Minute)
		update := r.request(sip.UPDATE)
		r.says(update, expires(600, "uac")) // the UAC of the UPDATE, that is
		r.answer(update, 200, "", "", fields(expires(600, "uas"))...)
		if s.SessionTimer().Local { // it takes over
			t.Error("we refresh still")
		}
		r.exactly(568 * time.Second)
		r.expired(s)
	})
}

// TestCallerWithoutTimers: a proxy on the way wants a session timer; we refresh,
// and nothing is required of the caller (RFC 4028 §9).
func TestCallerWithoutTimers(t *testing.T) {
	timers(t, func(r *rig) {
		_, _, ok := r.timedGuest(takesUpdate, expires(300, ""), "Min-SE: 200")
		r.says(ok, expires(300, "uas"), "Require", "Min-SE")
		r.exactly(150 * time.Second)
		update := r.request(sip.UPDATE)
		r.says(update, expires(300, "uac"), "Min-SE: 200")
		r.answer(update, 200, "", "") // it does not know what it was asked
		r.exactly(150 * time.Second)
		r.answer(r.request(sip.UPDATE), 200, "", "")
	})
}

// TestCallerAsksForNoTimer: one that knows session timers is asked for one, one
// that does not is not.
func TestCallerAsksForNoTimer(t *testing.T) {
	timers(t, func(r *rig) {
		s, bob, ok := r.timedGuest(knowsTimer, "Min-SE: 3600")
		r.says(ok, expires(3600, "uas"), needsTimer)
		if s.SessionTimer().Interval != time.Hour {
			t.Errorf("%+v", s.SessionTimer())
		}
		bob.send(sip.BYE, "")
		r.response(200, sip.BYE)
		r.seen("state Terminated")

		s, _, ok = r.timedGuest()
		r.says(ok, "Session-Expires", "Require", knowsTimer)
		if s.SessionTimer() != (session.SessionTimer{}) {
			t.Errorf("%+v", s.SessionTimer())
		}
		time.Sleep(24 * time.Hour)
		r.silence()
	})
}

// TestRefreshByInvite: where the far end does not take UPDATE, or has not said
// so, or we prefer it, a refresh is a re-INVITE with the description as it is.
func TestRefreshByInvite(t *testing.T) {
	for name, tt := range map[string]struct {
		allow  string
		prefer sip.Method
	}{
		"without UPDATE in Allow": {"Allow: INVITE, ACK, CANCEL, BYE", ""},
		"without Allow":           {"Subject: y", ""},
		"preferred":               {takesUpdate, sip.INVITE},
	} {
		t.Run(name, func(t *testing.T) {
			bubbleWith(t, session.Options{SessionTimers: true, RefreshMethod: tt.prefer}, func(r *rig) {
				r.media.steady = true
				s, invite := r.dial(nil)
				r.answer(invite, 200, "b", sdp("bob"), fields(tt.allow, expires(600, "uac"))...)
				r.request(sip.ACK)
				for range 2 {
					r.exactly(5 * time.Minute)
					refresh := r.request(sip.INVITE)
					r.says(refresh, expires(600, "uac"))
					if string(refresh.Body()) != string(invite.Body()) || refresh.To().Tag() != "b" {
						t.Errorf("refresh is %s", show(refresh))
					}
					r.answer(refresh, 200, "", sdp("bob"), fields(expires(600, "uac"))...)
					r.request(sip.ACK)
				}
				if s.State() != session.Confirmed {
					t.Errorf("state %v", s.State())
				}
			})
		})
	}
}

// TestUpdateRefusedForGood: a peer that allows UPDATE and does not take it is
// refreshed by re-INVITE at once, and from then on.
func TestUpdateRefusedForGood(t *testing.T) {
	for _, code := range []sip.StatusCode{405, 501} {
		timers(t, func(r *rig) {
			r.timedCall(nil, takesUpdate, expires(600, "uac"))
			r.exactly(5 * time.Minute)
			r.answer(r.request(sip.UPDATE), code, "", "")
			for range 2 {
				r.answer(r.request(sip.INVITE), 200, "", sdp("bob"), fields(takesUpdate, expires(600, "uac"))...)
				r.request(sip.ACK)
				r.exactly(5 * time.Minute)
			}
			r.answer(r.request(sip.INVITE), 200, "", sdp("bob"))
			r.request(sip.ACK)
		})
	}
}

// TestRefreshRefused: the call goes on, and the refresh is made again in time
// (RFC 4028 §10), by the other method.
func TestRefreshRefused(t *testing.T) {
	for _, code := range []sip.StatusCode{400, 403, 488, 500, 603} {
		timers(t, func(r *rig) {
			s, _ := r.timedCall(nil, takesUpdate, expires(1800, "uac"))
			r.exactly(900 * time.Second)
			r.answer(r.request(sip.UPDATE), code, "", "")
			r.exactly(434 * time.Second)
			r.answer(r.request(sip.INVITE), code, "", "")
			r.request(sip.ACK)
			r.exactly(217 * time.Second)
			r.answer(r.request(sip.INVITE), 200, "", sdp("bob"), fields(expires(1800, "uac"))...)
			r.request(sip.ACK)
			r.exactly(900 * time.Second)
			r.answer(r.request(sip.UPDATE), 200, "", "", fields(expires(1800, "uac"))...)
			if s.State() != session.Confirmed {
				t.Errorf("state %v", s.State())
			}
		})
	}
}

// TestRefreshRefusedToTheEnd: a far end that never agrees loses the call before
// the session expires.
func TestRefreshRefusedToTheEnd(t *testing.T) {
	timers(t, func(r *rig) {
		s, _ := r.timedCall(nil, takesUpdate, expires(1800, "uac"))
		begun := time.Now()
		tries := 0
		for {
			time.Sleep(time.Second)
			m := r.next()
			req, ok := m.(*sip.Request)
			if !ok {
				continue
			}
			if req.Method() == sip.BYE {
				r.answer(req, 200, "", "")
				break
			}
			tries++
			r.answer(req, 500, "", "")
			if req.Method() == sip.INVITE {
				r.request(sip.ACK)
			}
		}
		if d := time.Since(begun); d != 1790*time.Second || tries != 8 {
			t.Errorf("ended after %v and %d refreshes", d, tries)
		}
		r.ended(s, session.EndUnrefreshed, false)
	})
}

// TestRefreshToldToWait: Retry-After is obeyed.
func TestRefreshToldToWait(t *testing.T) {
	timers(t, func(r *rig) {
		r.timedCall(nil, takesUpdate, expires(600, "uac"))
		r.exactly(300 * time.Second)
		r.answer(r.request(sip.UPDATE), 500, "", "", fields("Retry-After: 7")...)
		r.exactly(7 * time.Second)
		r.answer(r.request(sip.INVITE), 200, "", sdp("bob"), fields(expires(600, "uac"))...)
		r.request(sip.ACK)
	})
}

// TestRefreshMeetsRefresh: a 491 has it made again, 2.1 s to 4 s later for the
// caller and up to 2 s later for the callee (RFC 3261 §14.1).
func TestRefreshMeetsRefresh(t *testing.T) {
	for name, call := range map[string]func(r *rig){
		"caller": func(r *rig) { r.timedCall(nil, takesUpdate, expires(600, "uac")) },
		"callee": func(r *rig) { r.timedGuest(knowsTimer, takesUpdate, expires(600, "uas")) },
	} {
		timers(t, func(r *rig) {
			call(r)
			r.exactly(300 * time.Second)
			update := r.request(sip.UPDATE)
			for range 3 {
				begun := time.Now()
				r.answer(update, 491, "", "")
				least, most := time.Duration(0), 2*time.Second
				if name == "caller" {
					least, most = 2100*time.Millisecond, 4*time.Second
				}
				update = r.later()
				if d := time.Since(begun); d < least || d > most {
					t.Errorf("%s: again after %v", name, d)
				}
			}
			r.answer(update, 200, "", "", fields(expires(600, "uac"))...)
		})
	}
}

// TestRefreshUnanswered: no answer and 481 end the call at once (RFC 4028 §10).
func TestRefreshUnanswered(t *testing.T) {
	for _, code := range []sip.StatusCode{0, 481} {
		timers(t, func(r *rig) {
			s, _ := r.timedCall(nil, takesUpdate, expires(90, "uac"))
			r.exactly(45 * time.Second)
			update := r.request(sip.UPDATE)
			kind := session.EndDialogError
			if code == 0 {
				kind = session.EndTimeout
				r.exactly(32 * time.Second)
			} else {
				r.answer(update, code, "", "")
			}
			r.answer(r.request(sip.BYE), 200, "", "")
			r.ended(s, kind, code != 0)
		})
	}
}

// TestRefreshOfFarEndAway: a server that does not reach the far end for a moment
// is asked again, for 32 s.
func TestRefreshOfFarEndAway(t *testing.T) {
	for _, code := range []sip.StatusCode{408, 430, 480} {
		timers(t, func(r *rig) {
			s, _ := r.timedCall(nil, takesUpdate, expires(1800, "uac"))
			for range 2 {
				r.exactly(900 * time.Second)
				for range 3 {
					r.answer(r.request(sip.UPDATE), code, "", "")
					time.Sleep(4 * time.Second)
				}
				r.answer(r.request(sip.UPDATE), 200, "", "", fields(expires(1800, "uac"))...)
			}
			r.exactly(900 * time.Second)
			begun := time.Now()
			for req := r.request(sip.UPDATE); req.Method() == sip.UPDATE; req = r.later() {
				r.answer(req, code, "", "")
			}
			if d := time.Since(begun); d > 32*time.Second || d < 16*time.Second {
				t.Errorf("given up after %v", d)
			}
			r.ended(s, session.EndDialogError, true)
		})
	}
}

// TestSkippedRefresh: one that is due while a re-INVITE of ours is under way is
// made when that is refused; where it succeeds, it was the refresh.
func TestSkippedRefresh(t *testing.T) {
	for _, code := range []sip.StatusCode{200, 488} {
		timers(t, func(r *rig) {
			s, _ := r.timedCall(nil, takesUpdate, expires(600, "uac"))
			r.exactly(295 * time.Second)
			held := start(func() error { return s.Hold(context.Background()) })
			hold := r.request(sip.INVITE)
			r.says(hold, expires(600, "uac"))
			r.answer(hold, 100, "", "")
			r.exactly(20 * time.Second)
			if code == 200 {
				r.answer(hold, 200, "", sdp("bob"), fields(expires(600, "uac"))...)
				r.request(sip.ACK)
				r.must(<-held)
				r.exactly(300 * time.Second)
			} else {
				r.answer(hold, code, "", "")
				r.request(sip.ACK)
				<-held
			}
			r.answer(r.request(sip.UPDATE), 200, "", "", fields(expires(600, "uac"))...)
			r.exactly(300 * time.Second)
			r.answer(r.request(sip.UPDATE), 200, "", "", fields(expires(600, "uac"))...)
		})
	}
}

// TestRefreshAfterTheirOffer: one that is due while a re-INVITE of the far end is
// under way goes when that is refused; where it succeeds, it was the refresh.
func TestRefreshAfterTheirOffer(t *testing.T) {
	timers(t, func(r *rig) {
		_, bob := r.timedCall(nil, takesUpdate, expires(600, "uac"))
		release := r.media.hold()
		r.exactly(295 * time.Second)
		bob.send(sip.INVITE, sdp("bob"), fields(knowsTimer)...)
		time.Sleep(20 * time.Second)
		r.media.failWith(session.ErrUnacceptable)
		release()
		r.response(488, sip.INVITE)
		update := r.request(sip.UPDATE)
		bob.send(sip.ACK, "")
		r.media.failWith(nil)
		r.answer(update, 200, "", "", fields(expires(600, "uac"))...)

		r.exactly(295 * time.Second)
		bob.send(sip.INVITE, sdp("bob"), fields(knowsTimer)...)
		ok := r.response(200, sip.INVITE)
		r.says(ok, expires(600, "uas"), needsTimer) // the UAS of the re-INVITE, that is: the roles stay
		bob.send(sip.ACK, "")
		r.exactly(300 * time.Second)
		r.answer(r.request(sip.UPDATE), 200, "", "", fields(expires(600, "uac"))...)
	})
}

// TestOfferDuringRefresh: the far end's offer is answered while our UPDATE, which
// has none, is under way (RFC 3311 §5.2); ours waits.
func TestOfferDuringRefresh(t *testing.T) {
	timers(t, func(r *rig) {
		s, bob := r.timedCall(nil, takesUpdate, expires(600, "uac"))
		r.exactly(300 * time.Second)
		update := r.request(sip.UPDATE)
		bob.send(sip.INVITE, sdp("bob-hold"))
		r.response(200, sip.INVITE)
		bob.send(sip.ACK, "")
		held := start(func() error { return s.Hold(context.Background()) })
		r.silence()
		r.answer(update, 200, "", "", fields(expires(600, "uac"))...)
		r.answer(r.request(sip.INVITE), 200, "", sdp("bob"), fields(expires(600, "uac"))...)
		r.request(sip.ACK)
		r.must(<-held)
	})
}

// TestIntervalTooSmallForServers: the INVITE goes again with what each server
// wants, as the same call with the same offer (RFC 4028 §7.3, the example of §13).
func TestIntervalTooSmallForServers(t *testing.T) {
	timers(t, func(r *rig) {
		s, first := r.dial(&session.CallOptions{SessionExpires: 90 * time.Second, Headers: fields("X-Own: 1")})
		r.says(first, expires(90, ""), "Min-SE")
		invite := first
		for i, least := range []int{3600, 4000} {
			r.answer(invite, 422, "p", "", fields(fmt.Sprintf("Min-SE: %d", least))...)
			r.request(sip.ACK)
			invite = r.request(sip.INVITE)
			r.says(invite, expires(least, ""), fmt.Sprintf("Min-SE: %d", least), "X-Own: 1", knowsTimer)
			if invite.CallID() != first.CallID() || invite.From() != first.From() || invite.To() != first.To() ||
				invite.CSeq().Seq != first.CSeq().Seq+uint32(i)+1 || string(invite.Body()) != string(first.Body()) {
				t.Errorf("again as %s\nafter %s", show(invite), show(first))
			}
		}
		r.answer(invite, 180, "b", "")
		r.answer(invite, 200, "b", sdp("bob"), fields(takesUpdate, needsTimer, expires(4000, "uac"))...)
		r.request(sip.ACK)
		r.must(s.WaitAnswered(context.Background()))
		r.seen("state Calling", "state Early", "progress 180", "state Confirmed")
		if got := r.media.last().wrote(); got != "Offer, SetAnswer bob early=false" {
			t.Errorf("media: %s", got)
		}
		r.exactly(2000 * time.Second)
		update := r.request(sip.UPDATE)
		r.says(update, expires(4000, "uac"), "Min-SE") // the proxies may not be on the dialog's path (§7.4)
		r.answer(update, 200, "", "", fields(expires(4000, "uac"))...)
	})
}

// TestIntervalTooSmallInTheEnd: what cannot be obeyed is the end of the call:
// a 422 without progress, or after CANCEL.
func TestIntervalTooSmallInTheEnd(t *testing.T) {
	for _, least := range []string{"Subject: y", "Min-SE: 90", "Min-SE: 1800"} {
		timers(t, func(r *rig) {
			s, invite := r.dial(nil)
			r.answer(invite, 422, "p", "", fields(least)...)
			r.request(sip.ACK)
			if err := s.WaitAnswered(context.Background()); !errors.Is(err, sip.StatusSessionIntervalTooSmall) {
				t.Error(err)
			}
			r.ended(s, session.EndRejected, true)
			r.silence()
		})
	}
	timers(t, func(r *rig) { // a server that is never satisfied
		s, invite := r.dial(nil)
		for least := 2000; ; least++ {
			r.answer(invite, 422, "p", "", fields(fmt.Sprintf("Min-SE: %d", least))...)
			r.request(sip.ACK)
			if least == 2008 {
				break
			}
			invite = r.request(sip.INVITE)
		}
		r.silence()
		r.ended(s, session.EndRejected, true)
	})
	timers(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.answer(invite, 180, "b", "")
		go s.Hangup(context.Background())
		r.answer(r.request(sip.CANCEL), 200, "", "")
		r.answer(invite, 422, "p", "", fields("Min-SE: 3600")...)
		r.request(sip.ACK)
		r.silence()
		r.ended(s, session.EndCanceled, false)
	})
}

// TestIntervalTooSmallAfterRinging: a fork rang before the 422; its dialog is over,
// and the call goes on with those of the new INVITE.
func TestIntervalTooSmallAfterRinging(t *testing.T) {
	timers(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.answer(invite, 180, "a", "")
		old := r.called(invite, "a")
		r.answer(invite, 422, "p", "", fields("Min-SE: 3600")...)
		r.request(sip.ACK)
		invite = r.request(sip.INVITE)
		r.says(invite, "Min-SE: 3600", "Session-Expires: 3600")
		old.send(sip.INFO, "")
		r.response(481, sip.INFO)
		r.answer(invite, 200, "b", sdp("bob"), fields(needsTimer, expires(3600, "uas"))...)
		r.request(sip.ACK)
		r.must(s.WaitAnswered(context.Background()))
		if s.Dialog().RemoteTag != "b" || s.SessionTimer().Interval != time.Hour {
			t.Errorf("dialog %v, %+v", s.Dialog(), s.SessionTimer())
		}
	})
}

// TestIntervalTooSmallAfterEarlyMedia: the offer of the first INVITE has found its
// branch, so that the next INVITE has one of fresh media.
func TestIntervalTooSmallAfterEarlyMedia(t *testing.T) {
	timers(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.answer(invite, 183, "a", sdp("a"))
		r.answer(invite, 422, "p", "", fields("Min-SE: 3600")...)
		r.request(sip.ACK)
		again := r.request(sip.INVITE)
		if nameOf(again.Body()) != "offer2.1" || again.CSeq().Seq != invite.CSeq().Seq+1 || again.URI().String() != invite.URI().String() {
			t.Errorf("INVITE is %s", show(again))
		}
		r.says(again, "Min-SE: 3600", "Session-Expires: 3600")
		r.answer(again, 200, "b", sdp("bob"), fields(needsTimer, expires(3600, "uas"))...)
		r.request(sip.ACK)
		r.must(s.WaitAnswered(context.Background()))
		if r.media.open() != 1 || s.Media() != session.Media(r.media.last()) {
			t.Errorf("%d media open", r.media.open())
		}
		r.seen("state Calling", "state Early", "progress 183", "state Preparing", "state Calling", "state Confirmed")
	})
}

// TestIntervalTooSmallForRefresh: a refresh that meets 422 goes again at once with
// the Min-SE, which all later ones carry; the session expires as before (RFC 4028
// §7.4, §10).
func TestIntervalTooSmallForRefresh(t *testing.T) {
	for _, allow := range []string{takesUpdate, "Allow: INVITE"} {
		method := sip.UPDATE
		body := ""
		if allow != takesUpdate {
			method, body = sip.INVITE, sdp("bob")
		}
		timers(t, func(r *rig) {
			s, _ := r.timedCall(nil, allow, expires(600, "uac"))
			expiry := s.SessionTimer().Expires
			r.exactly(300 * time.Second)
			refresh := r.request(method)
			r.answer(refresh, 422, "", "", fields("Min-SE: 900")...)
			if method == sip.INVITE {
				r.request(sip.ACK)
			}
			again := r.request(method)
			r.says(again, expires(900, "uac"), "Min-SE: 900")
			if again.CSeq().Seq != refresh.CSeq().Seq+1 || string(again.Body()) != string(refresh.Body()) || s.SessionTimer().Expires != expiry {
				t.Errorf("again as %s\n%+v", show(again), s.SessionTimer())
			}
			r.answer(again, 200, "", body, fields(expires(900, "uac"))...)
			if method == sip.INVITE {
				r.request(sip.ACK)
			}
			r.exactly(450 * time.Second)
			refresh = r.request(method)
			r.says(refresh, expires(900, "uac"), "Min-SE: 900")
			r.answer(refresh, 200, "", body, fields(expires(900, "uac"))...)
			if method == sip.INVITE {
				r.request(sip.ACK)
			}
		})
	}
}

// TestIntervalTooSmallForUs: a request below our minimum gets 422 with Min-SE,
// unless its sender knows no session timers: then the interval is a proxy's, and
// a 422 would cost the call (RFC 4028 §8.1, §9).
func TestIntervalTooSmallForUs(t *testing.T) {
	bubbleWith(t, session.Options{SessionTimers: true, MinSE: 2 * time.Minute}, func(r *rig) {
		bob := r.caller()
		bob.send(sip.INVITE, sdp("bob"), fields(knowsTimer, expires(119, ""))...)
		r.says(r.response(422, sip.INVITE), "Min-SE: 120")
		bob.send(sip.ACK, "")
		if len(r.calls1) > 0 {
			t.Error("the application heard of it")
		}
		in, _ := bob.ring(sdp("bob"), fields(knowsTimer, expires(120, "uac"))...)
		s, ok := r.answerCall(in)
		r.says(ok, expires(120, "uac"), "Min-SE")
		bob.send(sip.ACK, "")
		for _, method := range []sip.Method{sip.UPDATE, sip.INVITE} {
			bob.send(method, sdp("bob"), fields(knowsTimer, expires(60, "uac"))...)
			r.says(r.response(422, method), "Min-SE: 120")
			if method == sip.INVITE {
				bob.send(sip.ACK, "")
			}
		}
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
		carol := r.caller()
		in, _ = carol.ring(sdp("carol"), fields(expires(100, ""))...)
		_, ok = r.answerCall(in)
		r.says(ok, expires(100, "uas"), "Require")
		carol.send(sip.ACK, "")
	})
}

// TestRefreshLostWithFlow: it is made again on the next connection.
func TestRefreshLostWithFlow(t *testing.T) {
	timers(t, func(r *rig) {
		s, _ := r.timedCall(nil, takesUpdate, expires(600, "uac"))
		r.exactly(300 * time.Second)
		lost := r.request(sip.UPDATE)
		r.down()
		time.Sleep(2 * time.Minute) // longer than requests wait for a connection
		r.up()
		update := r.request(sip.UPDATE)
		if update.CSeq().Seq <= lost.CSeq().Seq {
			t.Errorf("CSeq %v after %v", update.CSeq(), lost.CSeq())
		}
		r.answer(update, 200, "", "", fields(expires(600, "uac"))...)
		if got := time.Until(s.SessionTimer().Expires); got != 10*time.Minute {
			t.Errorf("expires in %v", got)
		}
		r.down() // and where there is no connection when it is due
		time.Sleep(310 * time.Second)
		r.up()
		r.answer(r.request(sip.UPDATE), 200, "", "", fields(expires(600, "uac"))...)
		r.silence()
	})
}

// TestSessionExpiresWithoutFlow: without a connection the call ends when its
// session would have.
func TestSessionExpiresWithoutFlow(t *testing.T) {
	timers(t, func(r *rig) {
		s, _ := r.timedCall(nil, takesUpdate, expires(600, "uac"))
		r.down()
		time.Sleep(590*time.Second - 1)
		synctest.Wait()
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
		time.Sleep(time.Nanosecond)
		r.ended(s, session.EndUnrefreshed, false)
		r.up()
		r.answer(r.request(sip.BYE), 481, "", "")
		r.silence()
	})
}

// TestFarEndsInTheWild: what is not as the RFC has it.
func TestFarEndsInTheWild(t *testing.T) {
	for name, tt := range map[string]struct {
		answer []string
		next   time.Duration
		ask    string
	}{
		"JsSIP: no refresher":                 {[]string{takesUpdate, "Session-Expires: 90"}, 45 * time.Second, expires(90, "uac")},
		"SIP.js: no Session-Expires":          {[]string{takesUpdate}, 900 * time.Second, expires(1800, "uac")},
		"Require and nothing that it demands": {[]string{takesUpdate, needsTimer}, 900 * time.Second, expires(1800, "uac")},
		"below the minimum":                   {[]string{takesUpdate, expires(60, "uac")}, 30 * time.Second, expires(90, "uac")},
		"far below the minimum":               {[]string{takesUpdate, expires(1, "uac")}, 15 * time.Second, expires(90, "uac")},
		"cannot be read":                      {[]string{takesUpdate, "Session-Expires: soon"}, 900 * time.Second, expires(1800, "uac")},
	} {
		t.Run(name, func(t *testing.T) {
			timers(t, func(r *rig) {
				r.timedCall(nil, tt.answer...)
				for range 2 {
					r.exactly(tt.next)
					update := r.request(sip.UPDATE)
					r.says(update, tt.ask)
					r.answer(update, 200, "", "", fields(tt.answer...)...)
				}
			})
		})
	}
}

// TestSessionTimersOff: not for the UA, not for the call, and not any more.
func TestSessionTimersOff(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.says(invite, "Session-Expires", "Min-SE", "Supported")
		r.answer(invite, 200, "b", sdp("bob"), fields(expires(90, "uac"))...)
		r.request(sip.ACK)
		bob := r.called(invite, "b")
		bob.send(sip.UPDATE, "", fields(knowsTimer, expires(10, "uac"))...)
		r.says(r.response(200, sip.UPDATE), "Session-Expires", "Require")
		time.Sleep(time.Hour)
		r.silence()
		if s.SessionTimer() != (session.SessionTimer{}) {
			t.Errorf("%+v", s.SessionTimer())
		}
	})
	timers(t, func(r *rig) {
		s, invite := r.dial(&session.CallOptions{SessionExpires: -1})
		r.says(invite, "Session-Expires", knowsTimer)
		r.answer(invite, 200, "b", sdp("bob"), fields(takesUpdate)...)
		r.request(sip.ACK)
		time.Sleep(time.Hour)
		r.silence()
		bob := r.called(invite, "b")
		bob.send(sip.UPDATE, "", fields(knowsTimer, expires(600, "uas"))...) // it is asked for in mid-call
		r.says(r.response(200, sip.UPDATE), expires(600, "uas"), needsTimer)
		r.exactly(300 * time.Second)
		r.answer(r.request(sip.UPDATE), 200, "", "") // and turned off
		time.Sleep(time.Hour)
		r.silence()
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
	})
}

// TestSessionExpiresOfCall: what a call asks for, and what an answer shortens.
func TestSessionExpiresOfCall(t *testing.T) {
	o := session.Options{SessionTimers: true, SessionExpires: 10 * time.Minute, MinSE: 2 * time.Minute, ForceRefresher: true}
	bubbleWith(t, o, func(r *rig) {
		for _, tt := range []struct {
			d    time.Duration
			want int
		}{{0, 600}, {time.Second, 120}, {1500 * time.Second, 1500}, {200*time.Second + 1, 201}} {
			s, invite := r.dial(&session.CallOptions{SessionExpires: tt.d})
			r.says(invite, expires(tt.want, "uac"), "Min-SE: 120")
			go s.Hangup(context.Background())
			r.answer(invite, 487, "b", "")
			r.request(sip.ACK)
		}
		for _, tt := range []struct {
			d    time.Duration
			want int
		}{{0, 600}, {-1, 3600}, {3 * time.Minute, 180}, {2 * time.Hour, 3600}} {
			bob := r.caller()
			in, _ := bob.ring(sdp("bob"), fields(knowsTimer, expires(3600, "uac"))...)
			s, err := in.Answer(r.t.Context(), &session.AnswerOptions{SessionExpires: tt.d})
			r.must(err)
			r.says(r.response(200, sip.INVITE), expires(tt.want, "uac"))
			bob.send(sip.ACK, "")
			if got := s.SessionTimer().Interval; got != time.Duration(tt.want)*time.Second {
				t.Errorf("answered with %v: %v", tt.d, got)
			}
		}
	})
}

// TestHangupDuringRefresh: what comes for the refresh afterwards changes nothing.
func TestHangupDuringRefresh(t *testing.T) {
	for _, allow := range []string{takesUpdate, "Allow: INVITE"} {
		timers(t, func(r *rig) {
			s, _ := r.timedCall(nil, allow, expires(90, "uac"))
			r.exactly(45 * time.Second)
			refresh := r.next().(*sip.Request)
			hung := start(func() error { return s.Hangup(context.Background()) })
			r.answer(r.request(sip.BYE), 200, "", "")
			r.must(<-hung)
			r.answer(refresh, 200, "", sdp("bob"), fields(expires(90, "uac"))...)
			if refresh.Method() == sip.INVITE {
				r.request(sip.ACK)
			}
			time.Sleep(time.Hour)
			r.silence()
			r.ended(s, session.EndBye, false)
		})
	}
}

// TestUpdateBeforeAnswer: one that comes while the call rings starts no clocks.
func TestUpdateBeforeAnswer(t *testing.T) {
	timers(t, func(r *rig) {
		bob := r.caller()
		in, _ := bob.ring(sdp("bob"), fields(knowsTimer, expires(1800, "uac"))...)
		bob.send(sip.UPDATE, "", fields(knowsTimer, expires(90, "uac"))...)
		r.says(r.response(200, sip.UPDATE), expires(90, "uac"), needsTimer)
		if got := in.Session().SessionTimer(); got != (session.SessionTimer{}) {
			t.Errorf("%+v", got)
		}
		s, ok := r.answerCall(in)
		r.says(ok, expires(1800, "uac"))
		bob.send(sip.ACK, "")
		if got := s.SessionTimer().Interval; got != 30*time.Minute {
			t.Errorf("%v", got)
		}
	})
}

// TestSessionTimerLadder is what Bob sees of RFC 4028 §13, but that Alice says
// herself that she refreshes, which Bob chooses there.
func TestSessionTimerLadder(t *testing.T) {
	bubbleWith(t, session.Options{SessionTimers: true, SessionExpires: 4000 * time.Second}, func(r *rig) {
		const alice = "From: Alice <sip:alice@atlanta.example.com>;tag=1928301774\nCall-ID: a84b4c76e66710\n" +
			"Contact: <sip:alice@pc33.atlanta.example.com>\nMax-Forwards: 70\nSupported: timer\n"
		via := func(branch string) string {
			return "Via: SIP/2.0/WS p1.atlanta.example.com;branch=z9hG4bK" + branch + "\n"
		}
		r.raw("INVITE sip:bob@biloxi.example.com SIP/2.0\n" + via("nashds10") + alice + // (12)
			"To: Bob <sip:bob@biloxi.example.com>\nCSeq: 314161 INVITE\nSession-Expires: 4000;refresher=uac\nMin-SE: 4000\n" +
			"Content-Type: application/sdp\n\n" + sdp("alice"))
		tag := r.ringing().Tag()
		s, ok := r.answerCall(<-r.calls1) // (13)
		r.says(ok, needsTimer, knowsTimer, "Session-Expires: 4000;refresher=uac", "Min-SE", "CSeq: 314161 INVITE")
		to := "To: Bob <sip:bob@biloxi.example.com>;tag=" + tag + "\n"
		r.raw("ACK sip:bob@192.0.2.4 SIP/2.0\n" + via("nashds11") + alice + to + "CSeq: 314161 ACK\n\n")
		r.exactly(2000 * time.Second)
		r.raw("UPDATE sip:bob@192.0.2.4 SIP/2.0\n" + via("nashds12") + alice + to + // (19)
			"CSeq: 314162 UPDATE\nSession-Expires: 4000;refresher=uac\n\n")
		r.says(r.response(200, sip.UPDATE), needsTimer, "Session-Expires: 4000;refresher=uac", "CSeq: 314162 UPDATE") // (20)
		r.exactly(3968 * time.Second)
		bye := r.request(sip.BYE) // (22)
		r.says(bye, "Min-SE", "Session-Expires", knowsTimer)
		r.answer(bye, 408, "", "") // (24)
		r.ended(s, session.EndUnrefreshed, false)
		r.silence()
	})
}
