package session_test

import (
	"errors"
	"testing"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// judged is a call whose application judges the far end's offers.
func (r *rig) judged(judge func(*session.Session, *session.Offer)) (*session.Session, *peer) {
	r.t.Helper()
	h := r.handler()
	h.Offer = judge
	s, invite := r.dial(&session.CallOptions{Handler: h})
	r.answer(invite, 200, "b", sdp("bob"))
	r.request(sip.ACK)
	r.must(s.WaitAnswered(r.t.Context()))
	r.media.last().wrote()
	return s, r.called(invite, "b")
}

// TestApplicationJudgesOffers: at once, and before anything is applied.
func TestApplicationJudgesOffers(t *testing.T) {
	for _, method := range []sip.Method{sip.INVITE, sip.UPDATE} {
		bubble(t, func(r *rig) {
			refuse := true
			_, bob := r.judged(func(s *session.Session, o *session.Offer) {
				if nameOf(o.Description().Body) != "video" || o.Request().Method() != method {
					t.Errorf("offer %q in %s", o.Description().Body, o.Request().Method())
				}
				if refuse {
					r.must(o.Reject(488, &session.RejectOptions{Headers: []sip.Field{{Name: "Warning", Value: `304 x "no"`}}}))
					return
				}
				r.must(o.Accept(&session.AcceptOptions{Change: "camera", Headers: []sip.Field{{Name: "X-A", Value: "b"}}}))
				if err := o.Reject(488, nil); !errors.Is(err, session.ErrState) {
					t.Errorf("second decision: %v", err)
				}
			})
			bob.send(method, sdp("video"))
			if res := r.response(488, method); !res.HasHeader("Warning") {
				t.Errorf("refused with %s", show(res))
			}
			if method == sip.INVITE {
				bob.send(sip.ACK, "")
			}
			if got := r.media.last().wrote(); got != "" {
				t.Errorf("media: %s", got)
			}
			refuse = false
			bob.send(method, sdp("video"))
			if res := r.response(200, method); res.Header("X-A") != "b" || len(res.Body()) == 0 {
				t.Errorf("accepted with %s", show(res))
			}
			if got := r.media.last().wrote(); got != "Answer video" {
				t.Errorf("media: %s", got)
			}
			if method == sip.INVITE {
				bob.send(sip.ACK, "")
			}
		})
	}
}

// TestOfferUndecided: it is refused in the end, other offers wait meanwhile,
// and the call goes on.
func TestOfferUndecided(t *testing.T) {
	for method, code := range map[sip.Method]sip.StatusCode{sip.INVITE: 488, sip.UPDATE: 504} {
		bubble(t, func(r *rig) {
			var late *session.Offer
			s, bob := r.judged(func(_ *session.Session, o *session.Offer) { late = o })
			begun := time.Now()
			bob.send(method, sdp("video"))
			hold := start(func() error { return s.Hold(r.t.Context()) })
			bob.send(method, sdp("again"))
			r.sent("500 " + string(method))
			if !late.Deadline().Equal(begun.Add(session.OfferTimeout)) {
				t.Errorf("deadline %v", late.Deadline())
			}
			time.Sleep(session.OfferTimeout)
			r.response(code, method)
			if err := late.Accept(nil); !errors.Is(err, session.ErrState) {
				t.Errorf("late decision: %v", err)
			}
			r.answer(r.request(sip.INVITE), 200, "", sdp("bob"))
			r.request(sip.ACK)
			r.must(<-hold)
		})
	}
}

// TestOfferCanceled: RFC 3261 §9.2 holds for a re-INVITE, too.
func TestOfferCanceled(t *testing.T) {
	bubble(t, func(r *rig) {
		var late *session.Offer
		s, bob := r.judged(func(_ *session.Session, o *session.Offer) { late = o })
		invite := bob.send(sip.INVITE, sdp("video"))
		bob.cancel(invite)
		r.sent("200 CANCEL", "487 INVITE")
		if err := late.Accept(nil); !errors.Is(err, session.ErrState) {
			t.Errorf("late decision: %v", err)
		}
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
	})
}

// TestOfferJudgedAfterTheEnd: the call is over before the decision.
func TestOfferJudgedAfterTheEnd(t *testing.T) {
	bubble(t, func(r *rig) {
		var late *session.Offer
		_, bob := r.judged(func(_ *session.Session, o *session.Offer) { late = o })
		bob.send(sip.UPDATE, sdp("video"))
		bob.send(sip.BYE, "")
		r.sent("200 BYE", "487 UPDATE")
		if err := late.Accept(nil); !errors.Is(err, session.ErrState) {
			t.Errorf("late decision: %v", err)
		}
	})
}
