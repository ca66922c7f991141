package sipua_test

import (
	"errors"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// early is how bob sends early media: reliably where both sides take that.
var early = map[string]func(*sipua.Config){
	"reliable":   func(*sipua.Config) {},
	"unreliable": func(cfg *sipua.Config) { cfg.ReliableProvisionals = session.ReliableOff },
}

// TestMediaBeforeTheAnswer: audio both ways before the call is answered, and the
// same media after.
func TestMediaBeforeTheAnswer(t *testing.T) {
	for name, change := range early {
		for _, late := range []bool{false, true} {
			if late && name == "unreliable" {
				continue // an offer cannot go in an unreliable response
			}
			t.Run(name, func(t *testing.T) {
				eachPersonality(t, func(w *world) {
					alice, bob := w.phone("alice", change), w.phone("bob", change)
					here := &line{w: w, phone: alice, out: rtc.NewTrack(rtc.Audio)}
					there := &line{w: w, phone: bob, out: rtc.NewTrack(rtc.Audio)}
					var err error
					here.Session, err = alice.Invite(w.t.Context(), "bob", &session.CallOptions{Media: w.media(here.out), LateOffer: late})
					if err != nil {
						w.t.Fatal(err)
					}
					in := <-bob.calls
					if err := in.Progress(&session.ProgressOptions{EarlyMedia: true, Media: w.media(there.out)}); err != nil {
						w.t.Fatal(err)
					}
					there.Session = in.Session()
					here.listen()
					there.listen()
					there.say("announcement")
					here.hear("announcement")
					here.say("digits")
					there.hear("digits")
					if here.State() != session.Early || there.State() != session.Ringing {
						w.t.Errorf("states %v and %v", here.State(), there.State())
					}
					if _, err := in.Answer(w.t.Context(), nil); err != nil {
						w.t.Fatal(err)
					}
					if err := here.WaitAnswered(w.t.Context()); err != nil {
						w.t.Fatal(err)
					}
					there.say("hello")
					here.hear("hello")
					here.say("hi")
					there.hear("hi")
					if err := here.Hangup(w.t.Context()); err != nil {
						w.t.Error(err)
					}
				})
			})
		}
	}
}

// TestAnotherBranchAnswers: two phones of bob's send early media, and the one
// answers whose were not bound. It is heard, and the other one is over.
func TestAnotherBranchAnswers(t *testing.T) {
	for name, change := range early {
		t.Run(name, func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) {
				alice := w.phone("alice", change)
				desk, mobile := w.phone("bob", change), w.phone("bob", change)
				here := &line{w: w, phone: alice, out: rtc.NewTrack(rtc.Audio)}
				var err error
				here.Session, err = alice.Invite(w.t.Context(), "bob", &session.CallOptions{Media: w.media(here.out)})
				if err != nil {
					w.t.Fatal(err)
				}
				var ends []*line
				var calls []*session.Incoming
				for _, p := range []*phone{desk, mobile} {
					in := <-p.calls
					l := &line{w: w, phone: p, Session: in.Session(), out: rtc.NewTrack(rtc.Audio)}
					if err := in.Progress(&session.ProgressOptions{EarlyMedia: true, Media: w.media(l.out)}); err != nil {
						w.t.Fatal(err)
					}
					time.Sleep(time.Second)
					ends, calls = append(ends, l), append(calls, in)
				}
				here.listen()
				if _, err := calls[1].Answer(w.t.Context(), nil); err != nil {
					w.t.Fatal(err)
				}
				if err := here.WaitAnswered(w.t.Context()); err != nil {
					w.t.Fatal(err)
				}
				ends[1].listen()
				ends[1].say("hello")
				here.hear("hello")
				here.say("hi")
				ends[1].hear("hi")
				<-calls[0].Context().Done()
				var end *session.EndError
				if !errors.As(ends[0].WaitAnswered(w.t.Context()), &end) || !end.CompletedElsewhere() {
					w.t.Errorf("the other phone: %v", end)
				}
				if err := here.Hangup(w.t.Context()); err != nil {
					w.t.Error(err)
				}
			})
		})
	}
}

// TestReliableProvisionalsOff: a caller that insists on them gets 420
// (RFC 3262 §3, RFC 3261 §8.2.2.3).
func TestReliableProvisionalsOff(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		w.phone("alice", early["unreliable"])
		bob := siptest.Peer(w.t, w.srv, "bob")
		invite := bob.Request(sip.INVITE, "sip:alice@example.com", siptest.Header("Require", "100rel"))
		if got := invite.ExpectResponse(420).Header("Unsupported"); got != "100rel" {
			w.t.Errorf("Unsupported is %q", got)
		}
	})
}
