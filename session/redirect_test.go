package session_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// contacts are fields that name addresses.
func contacts(list ...string) []sip.Field {
	var fields []sip.Field
	for _, c := range list {
		fields = append(fields, sip.Field{Name: "Contact", Value: c})
	}
	return fields
}

// redirect answers an INVITE with a 3xx and takes the ACK.
func (r *rig) redirect(invite *sip.Request, code sip.StatusCode, fields ...sip.Field) {
	r.t.Helper()
	res := sip.NewResponse(invite, code, "")
	res.SetToTag("r")
	for _, f := range fields {
		r.must(res.AddHeader(f.Name, f.Value))
	}
	r.receive(res)
	if ack := r.request(sip.ACK); ack.URIText() != invite.URIText() || ack.CSeq().Seq != invite.CSeq().Seq {
		r.t.Errorf("ACK is\n%s", show(ack))
	}
}

// texts are addresses in one line.
func texts(list []sip.NameAddr) string {
	var s []string
	for _, n := range list {
		s = append(s, n.String())
	}
	return strings.Join(s, " ")
}

// TestRedirectionIsReported: by q, what cannot be read left out.
func TestRedirectionIsReported(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.redirect(invite, 302, contacts(`<sip:low@h>;q=0.1, "First" <sip:first@h>`, "<oops", "<sip:mid@h>;q=0.5", "<sip:second@h>;q=1.0",
			"<sip:odd@h>;q=7", "<sip:odder@h>;q=NaN")...)
		end := r.ended(s, session.EndRejected, true)
		const want = `"First" <sip:first@h> <sip:second@h>;q=1.0 <sip:mid@h>;q=0.5 <sip:low@h>;q=0.1 <sip:odd@h>;q=7 <sip:odder@h>;q=NaN`
		if got := texts(end.Contacts()); got != want || end.Cause() != "Redirected" || end.Status != 302 || !errors.Is(end, sip.StatusMovedTemporarily) {
			t.Errorf("%v to %s", end, got)
		}
		r.silence()
	})
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.redirect(invite, 486, contacts("<sip:info@h>")...)
		if end := r.ended(s, session.EndRejected, true); len(end.Contacts()) != 0 {
			t.Errorf("a 486 redirects to %v", end.Contacts())
		}
	})
}

// TestRedirectionIsFollowed: the same call, each address in turn with the next
// CSeq number and a transaction of its own (RFC 3261 §8.1.3.4).
func TestRedirectionIsFollowed(t *testing.T) {
	bubble(t, func(r *rig) {
		asked := 0
		s, invite := r.dial(&session.CallOptions{
			Headers: []sip.Field{{Name: "Subject", Value: "mine"}, {Name: "X-App", Value: "1"}},
			Redirect: func(s *session.Session, re *session.Redirection) []sip.NameAddr {
				asked++
				if re.From.String() != "sip:bob@example.com" || re.Response.StatusCode() != 302 || s.State() != session.Preparing {
					t.Errorf("asked about %+v in state %v", re, s.State())
				}
				return re.Contacts
			},
		})
		r.answer(invite, 180, "old", "")
		r.redirect(invite, 302, append(contacts("<sip:second@h;method=BYE>;q=0.5", "<sip:first@h?Subject=theirs&X-App=2&From=%3Csip:x%40y%3E>;q=0.9"),
			sip.Field{Name: "Diversion", Value: "<sip:bob@example.com>;reason=user-busy"})...)
		first := r.request(sip.INVITE)
		if first.URIText() != "sip:first@h" || first.CSeq().Seq != invite.CSeq().Seq+1 || first.CallID() != invite.CallID() ||
			first.Header("From") != invite.Header("From") || first.Header("To") != invite.Header("To") ||
			first.Via().Branch() == invite.Via().Branch() || nameOf(first.Body()) != "offer1.1" {
			t.Errorf("the INVITE to the first is\n%s", show(first))
		}
		if got := strings.Join(first.Headers("Subject"), "|") + " " + strings.Join(first.Headers("X-App"), "|"); got != "theirs 1|2" {
			t.Errorf("fields of the first: %s", got)
		}
		if d := first.Diversions(); len(d) != 1 || d[0].Reason() != "user-busy" {
			t.Errorf("Diversion %v", d)
		}
		r.answer(first, 180, "one", "")
		r.answer(first, 486, "one", "")
		r.request(sip.ACK)
		second := r.request(sip.INVITE)
		if second.URIText() != "sip:second@h" || second.CSeq().Seq != invite.CSeq().Seq+2 {
			t.Errorf("the INVITE to the second is\n%s", show(second))
		}
		if got := strings.Join(second.Headers("Subject"), "|") + " " + strings.Join(second.Headers("X-App"), "|"); got != "mine 1" {
			t.Errorf("fields of the second: %s", got)
		}
		r.answer(second, 200, "two", sdp("bob"))
		ack := r.request(sip.ACK)
		if ack.URI().User != "two" || ack.CSeq().Seq != second.CSeq().Seq {
			t.Errorf("ACK is\n%s", show(ack))
		}
		r.must(s.WaitAnswered(context.Background()))
		if asked != 1 || s.Dialog().RemoteTag != "two" || s.CallID() != invite.CallID() {
			t.Errorf("asked %d times; dialog %v", asked, s.Dialog())
		}
		r.seen("state Calling", "state Early", "progress 180", "state Preparing", "state Calling", "state Early", "progress 180",
			"state Preparing", "state Calling", "state Confirmed")
		if got := r.media.last().wrote(); got != "Offer, SetAnswer bob early=false" || r.media.last().n != 1 {
			t.Errorf("media: %s", got)
		}
		old := r.called(invite, "old") // its early dialog is gone
		old.send(sip.BYE, "")
		r.response(481, sip.BYE)
	})
}

// TestRedirectionsDoNotGoInCircles: no address is tried twice, whoever names it
// and however it is written (RFC 3261 §8.1.3.4).
func TestRedirectionsDoNotGoInCircles(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(&session.CallOptions{Redirect: session.FollowContacts})
		r.redirect(invite, 301, contacts("<sip:carol@h>, <sip:%62ob@EXAMPLE.com>, <sip:carol@H>;q=0.3")...)
		second := r.request(sip.INVITE)
		if second.URI().User != "carol" {
			t.Fatalf("second is\n%s", show(second))
		}
		r.redirect(second, 302, contacts("<sip:bob@example.com>", "<sip:carol@h>", "<sip:bob@example.com?Subject=again>")...)
		r.silence()
		if end := r.ended(s, session.EndRejected, true); end.Status != 302 || end.Cause() != "Redirected" {
			t.Errorf("%v", end)
		}
	})
	bubble(t, func(r *rig) { // a server that always has one more
		s, invite := r.dial(&session.CallOptions{Redirect: session.FollowContacts})
		n := 0
		for ; n < 100; n++ {
			r.redirect(invite, 302, contacts(fmt.Sprintf("<sip:next%d@h>", n))...)
			m := r.next()
			if m == nil {
				break
			}
			invite = m.(*sip.Request)
		}
		if n != session.MaxRedirects {
			t.Errorf("%d addresses were tried", n)
		}
		r.ended(s, session.EndRejected, true)
	})
}

// TestRedirectionInsideARedirection: the new addresses come before those that
// are left, and the application is asked again.
func TestRedirectionInsideARedirection(t *testing.T) {
	bubble(t, func(r *rig) {
		var from []string
		s, invite := r.dial(&session.CallOptions{Redirect: func(_ *session.Session, re *session.Redirection) []sip.NameAddr {
			from = append(from, re.From.User)
			return re.Contacts
		}})
		r.redirect(invite, 300, contacts("<sip:a@h>", "<sip:b@h>")...)
		r.redirect(r.request(sip.INVITE), 302, contacts("<sip:c@h>", "<sip:b@h>")...)
		c := r.request(sip.INVITE)
		r.answer(c, 404, "", "")
		r.request(sip.ACK)
		b := r.request(sip.INVITE)
		if c.URI().User != "c" || b.URI().User != "b" || !slices.Equal(from, []string{"bob", "a"}) {
			t.Errorf("tried %s, then %s; asked for %q", c.URIText(), b.URIText(), from)
		}
		r.answer(b, 480, "", "")
		r.request(sip.ACK)
		r.silence()
		if end := r.ended(s, session.EndRejected, true); end.Status != 480 {
			t.Errorf("ended with %d", end.Status)
		}
	})
}

// TestRedirectionThatIsNotFollowed has all the reasons not to.
func TestRedirectionThatIsNotFollowed(t *testing.T) {
	for _, tt := range []struct {
		name     string
		code     sip.StatusCode
		contacts string
		redirect func(*session.Session, *session.Redirection) []sip.NameAddr
		want     error
	}{
		{"nobody says so", 302, "<sip:carol@h>", nil, nil},
		{"the application says no", 302, "<sip:carol@h>", func(*session.Session, *session.Redirection) []sip.NameAddr { return nil }, nil},
		{"no address", 302, "", session.FollowContacts, nil},
		{"no address that can be read", 302, "<oops", session.FollowContacts, nil},
		{"alternative services", 380, "<sip:carol@h>", session.FollowContacts, nil},
		{"sips", 302, "<sips:carol@h>", session.FollowContacts, sip.ErrSIPS},
		{"no telephone", 302, "<https://example.com>", session.FollowContacts, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				s, invite := r.dial(&session.CallOptions{Redirect: tt.redirect})
				var fields []sip.Field
				if tt.contacts != "" {
					fields = contacts(tt.contacts)
				}
				r.redirect(invite, tt.code, fields...)
				r.silence()
				end := r.ended(s, session.EndRejected, true)
				if end.Status != tt.code || end.Cause() != "Redirected" || !errors.Is(end, tt.code) || tt.want != nil && !errors.Is(end, tt.want) {
					t.Errorf("%+v", end)
				}
			})
		})
	}
}

// TestRedirectionOfOtherKinds: an unknown 3xx is a 300, and a 305 names an
// address like others.
func TestRedirectionOfOtherKinds(t *testing.T) {
	for _, code := range []sip.StatusCode{300, 301, 302, 305, 399} {
		bubble(t, func(r *rig) {
			s, invite := r.dial(&session.CallOptions{Redirect: session.FollowContacts})
			r.redirect(invite, code, contacts("<tel:+1-555-1234>")...)
			next := r.request(sip.INVITE)
			if next.URIText() != "sip:+15551234@example.com;user=phone" {
				t.Errorf("%d: to %s", code, next.URIText())
			}
			r.answer(next, 603, "", "") // for all addresses
			r.request(sip.ACK)
			r.ended(s, session.EndRejected, true)
		})
	}
}

// TestRefusalForAllAddressesEndsTheSearch: RFC 3261 §21.6.
func TestRefusalForAllAddressesEndsTheSearch(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(&session.CallOptions{Redirect: session.FollowContacts})
		r.redirect(invite, 302, contacts("<sip:a@h>", "<sip:b@h>")...)
		r.answer(r.request(sip.INVITE), 603, "", "")
		r.request(sip.ACK)
		r.silence()
		if end := r.ended(s, session.EndRejected, true); end.Status != 603 {
			t.Errorf("%v", end)
		}
	})
}

// TestAddressThatDoesNotAnswerIsLeft after Timer B, for the next one.
func TestAddressThatDoesNotAnswerIsLeft(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(&session.CallOptions{Redirect: session.FollowContacts})
		r.redirect(invite, 302, contacts("<sip:a@h>", "<sip:b@h>")...)
		r.request(sip.INVITE)
		time.Sleep(32 * time.Second)
		b := r.request(sip.INVITE)
		r.answer(b, 200, "b", sdp("bob"))
		r.request(sip.ACK)
		r.must(s.WaitAnswered(context.Background()))
		if b.URI().User != "b" {
			t.Errorf("second is %s", b.URIText())
		}
	})
}

// TestHangupWhileARedirectionIsDecidedOn: nothing is on the wire, and a decision
// that comes too late has no effect.
func TestHangupWhileARedirectionIsDecidedOn(t *testing.T) {
	for name, end := range map[string]func(r *rig, s *session.Session){
		"hangup":       func(r *rig, s *session.Session) { r.must(s.Hangup(context.Background())) },
		"ring timeout": func(r *rig, s *session.Session) { time.Sleep(181 * time.Second) },
		"close":        func(r *rig, s *session.Session) { r.calls.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				decide := make(chan struct{})
				s, invite := r.dial(&session.CallOptions{Redirect: func(_ *session.Session, re *session.Redirection) []sip.NameAddr {
					<-decide
					return re.Contacts
				}})
				r.redirect(invite, 302, contacts("<sip:a@h>")...)
				if s.State() != session.Preparing {
					t.Errorf("state %v", s.State())
				}
				end(r, s)
				synctest.Wait()
				if s.State() != session.Terminated {
					t.Errorf("state %v", s.State())
				}
				close(decide)
				r.silence()
			})
		})
	}
}

// TestHangupAtTheNextAddress: the CANCEL meets the newest INVITE, and no further
// address is tried.
func TestHangupAtTheNextAddress(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(&session.CallOptions{Redirect: session.FollowContacts})
		r.redirect(invite, 302, contacts("<sip:a@h>", "<sip:b@h>")...)
		a := r.request(sip.INVITE)
		r.answer(a, 180, "a", "")
		go s.Hangup(context.Background())
		cancel := r.request(sip.CANCEL)
		if cancel.URIText() != "sip:a@h" || cancel.Via().Branch() != a.Via().Branch() {
			t.Errorf("CANCEL is\n%s", show(cancel))
		}
		r.answer(cancel, 200, "", "")
		r.answer(a, 487, "a", "")
		r.request(sip.ACK)
		r.silence()
		r.ended(s, session.EndCanceled, false)
	})
}

// TestRedirectionAfterEarlyMedia: the next address gets an offer of its own,
// since the path of the first is taken.
func TestRedirectionAfterEarlyMedia(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(&session.CallOptions{Redirect: session.FollowContacts})
		r.answer(invite, 183, "old", sdp("announcement"))
		first := r.media.last()
		if got := first.wrote(); got != "Offer, SetAnswer announcement early=true" {
			t.Errorf("media: %s", got)
		}
		r.redirect(invite, 302, contacts("<sip:a@h>")...)
		a := r.request(sip.INVITE)
		if nameOf(a.Body()) != "offer2.1" || first.wrote() != "Close" {
			t.Errorf("the INVITE is\n%s", show(a))
		}
		first.events.Failed(errors.New("gone")) // the announcement's, not the call's
		r.answer(a, 183, "a", sdp("early"))
		r.answer(a, 200, "a", sdp("bob"))
		r.request(sip.ACK)
		r.must(s.WaitAnswered(context.Background()))
		if got := r.media.last().wrote(); got != "Offer, SetAnswer early early=true, SetAnswer bob early=false" {
			t.Errorf("media: %s", got)
		}
		if r.media.last().previous != first {
			t.Error("the tracks do not move over")
		}
		r.silence()
	})
	bubble(t, func(r *rig) { // and the media cannot be had
		s, invite := r.dial(&session.CallOptions{Redirect: session.FollowContacts})
		r.answer(invite, 183, "old", sdp("announcement"))
		synctest.Wait()
		r.media.panicIn("Offer")
		r.redirect(invite, 302, contacts("<sip:a@h>")...)
		r.silence()
		r.ended(s, session.EndMediaFailed, false)
	})
}

// TestRedirectionOfALateOffer goes on without an offer.
func TestRedirectionOfALateOffer(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(&session.CallOptions{LateOffer: true, Redirect: session.FollowContacts})
		r.redirect(invite, 302, contacts("<sip:a@h>")...)
		a := r.request(sip.INVITE)
		if len(a.Body()) != 0 {
			t.Errorf("the INVITE is\n%s", show(a))
		}
		r.answer(a, 200, "a", sdp("bob"))
		if ack := r.request(sip.ACK); nameOf(ack.Body()) != "answer1" {
			t.Errorf("the ACK is\n%s", show(ack))
		}
		r.must(s.WaitAnswered(context.Background()))
	})
}

// TestRingTimeoutCoversAllAddresses, while Expires starts with each INVITE.
func TestRingTimeoutCoversAllAddresses(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(&session.CallOptions{Redirect: session.FollowContacts, RingTimeout: 50 * time.Second, Expires: 40 * time.Second})
		r.answer(invite, 180, "b", "")
		time.Sleep(30 * time.Second)
		r.redirect(invite, 302, contacts("<sip:a@h>")...)
		a := r.request(sip.INVITE)
		if n, _ := a.Expires(); n != 40 {
			t.Errorf("Expires %d", n)
		}
		r.answer(a, 180, "a", "")
		time.Sleep(20*time.Second - time.Nanosecond)
		r.silence()
		time.Sleep(time.Nanosecond)
		r.answer(r.request(sip.CANCEL), 200, "", "")
		r.answer(a, 487, "a", "")
		r.ended(s, session.EndNoAnswer, false)
	})
}

// TestRedirectHandlerThatPanics ends its call and no other.
func TestRedirectHandlerThatPanics(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(&session.CallOptions{Redirect: func(*session.Session, *session.Redirection) []sip.NameAddr { panic("oops") }})
		r.redirect(invite, 302, contacts("<sip:a@h>")...)
		r.silence()
		if end := r.ended(s, session.EndCanceled, false); end.Cause() != "Internal Error" {
			t.Errorf("%v", end)
		}
	})
}
