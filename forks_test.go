package sipua_test

import (
	"context"
	"testing"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// TestEarlyMediaHeard: what comes before the answer is heard, and talk goes
// both ways; a fork that answers instead of the one heard gets media of its own.
func TestEarlyMediaHeard(t *testing.T) {
	for _, winner := range []string{"same", "another"} {
		t.Run(winner, func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) {
				alice, p := w.phone("alice"), siptest.Expect(w.t, w.srv)
				desk, mobile := w.farEnd(), w.farEnd()
				far := desk
				call := alice.dialFar(&session.CallOptions{}, func(l *line) {
					inv := p.Expect(sip.INVITE)
					answer := desk.answer(inv)
					inv.Fork("desk").Respond(183, answer)
					l.receive()
					desk.ready()
					l.wantAudio(desk, true, true)
					if winner == "same" {
						inv.Fork("desk").Respond(200, answer)
						p.Expect(sip.ACK)
						return
					}
					far = mobile
					inv.Fork("mobile").Respond(200, mobile.answer(inv))
					p.Expect(sip.ACK)
					mobile.renew()
					inv = p.Expect(sip.INVITE)
					inv.Respond(200, mobile.answer(inv))
					p.Expect(sip.ACK)
				})
				far.ready()
				if _, err := call.out.Ready(w.t.Context()); err != nil {
					w.t.Fatal(err)
				}
				call.wantAudio(far, true, true)
				if winner == "another" {
					desk.say("gone")
					far.say("here")
					call.hear("here")
				}
			})
		})
	}
}

// reliably sends a description in a reliable 183 and returns the PRACK.
func (f *farEnd) reliably(p *siptest.Script, fork *siptest.Received, d siptest.Part) *siptest.Received {
	f.w.t.Helper()
	fork.Respond(183, d, siptest.Header("Require", "100rel"), siptest.Header("RSeq", "1"), siptest.Header("Allow", "INVITE, ACK, BYE, CANCEL, PRACK, UPDATE"))
	prack := p.Expect(sip.PRACK)
	return prack.Respond(200)
}

// TestReliableEarlyMedia: the exchange is complete before anybody answers.
func TestReliableEarlyMedia(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		alice, p := w.phone("alice"), siptest.Expect(w.t, w.srv)
		far := w.farEnd()
		call := alice.dialFar(&session.CallOptions{}, func(l *line) {
			inv := p.Expect(sip.INVITE)
			desk := inv.Fork("desk")
			far.reliably(p, desk, far.answer(inv))
			l.receive()
			far.ready()
			l.wantAudio(far, true, true)
			desk.Respond(200)
			p.Expect(sip.ACK)
		})
		call.wantAudio(far, true, true)
		if err := far.media.SendDTMF(w.t.Context(), '1', 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	})
}

// TestReliableForks: two forks answer the offer of the INVITE reliably. The
// second gets media of its own in an UPDATE and is heard as the newest; whoever
// answers is heard from then on, and hears us.
func TestReliableForks(t *testing.T) {
	for _, winner := range []string{"desk", "mobile"} {
		t.Run(winner, func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) {
				alice, p := w.phone("alice"), siptest.Expect(w.t, w.srv)
				ends := map[string]*farEnd{"desk": w.farEnd(), "mobile": w.farEnd()}
				call := alice.dialFar(&session.CallOptions{}, func(l *line) {
					inv := p.Expect(sip.INVITE)
					forks := map[string]*siptest.Received{"desk": inv.Fork("desk"), "mobile": inv.Fork("mobile")}
					desk, mobile := ends["desk"], ends["mobile"]
					desk.reliably(p, forks["desk"], desk.answer(inv))
					l.receive()
					desk.ready()
					l.wantAudio(desk, true, true)
					mobile.reliably(p, forks["mobile"], mobile.answer(inv))
					update := p.Expect(sip.UPDATE)
					mobile.renew()
					update.Respond(200, mobile.answer(update))
					mobile.ready()
					l.wantAudio(mobile, true, true)
					desk.say("hold the line")
					mobile.say("hello")
					l.hear("hello")
					l.wantAudio(desk, true, false)
					forks[winner].Respond(200)
					p.Expect(sip.ACK)
				})
				if _, err := call.out.Ready(w.t.Context()); err != nil {
					t.Fatal(err)
				}
				call.wantAudio(ends[winner], true, true)
			})
		})
	}
}

// TestForksThatOffer: the INVITE carries no offer, two forks make one each and
// have the answer in the PRACK. Nothing connects their media but the call.
func TestForksThatOffer(t *testing.T) {
	for _, winner := range []string{"desk", "mobile"} {
		t.Run(winner, func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) {
				alice, p := w.phone("alice"), siptest.Expect(w.t, w.srv)
				ends := map[string]*farEnd{"desk": w.farEnd(), "mobile": w.farEnd()}
				call := alice.dialFar(&session.CallOptions{LateOffer: true}, func(l *line) {
					inv := p.Expect(sip.INVITE)
					forks := map[string]*siptest.Received{}
					for _, name := range []string{"desk", "mobile"} {
						far := ends[name]
						forks[name] = inv.Fork(name)
						offer, err := far.media.Offer(w.t.Context(), session.OfferOptions{})
						if err != nil {
							t.Fatal(err)
						}
						prack := far.reliably(p, forks[name], siptest.SDP(string(offer.Body)))
						if _, err := far.media.SetAnswer(w.t.Context(), session.Description{Body: []byte(prack.Body())}, session.AnswerInfo{}); err != nil {
							t.Fatal(err)
						}
						if l.in == nil {
							l.receive()
						}
						far.ready()
						l.wantAudio(far, true, true)
					}
					forks[winner].Respond(200)
					p.Expect(sip.ACK)
				})
				if _, err := call.out.Ready(w.t.Context()); err != nil {
					t.Fatal(err)
				}
				call.wantAudio(ends[winner], true, true)
			})
		})
	}
}

// TestReceiveBeforeMedia: a reader that comes too early waits, for as long as
// it likes and no longer than the call.
func TestReceiveBeforeMedia(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		alice, p := w.phone("alice"), siptest.Expect(w.t, w.srv)
		s, err := alice.Invite(w.t.Context(), "far", &session.CallOptions{LateOffer: true, Media: w.media()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := within(time.Second)
		defer cancel()
		if _, err := rtc.Receive(ctx, s, rtc.Audio); err != context.DeadlineExceeded {
			t.Errorf("Receive: %v, want the deadline's error", err)
		}
		p.Expect(sip.INVITE).Respond(486)
		if _, err := rtc.Receive(w.t.Context(), s, rtc.Audio); sip.StatusOf(err) != 486 {
			t.Errorf("Receive: %v, want the refusal", err)
		}
	})
}
