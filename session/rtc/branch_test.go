package rtc

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
)

// TestForkWins: early media came from b, in an unreliable provisional response
// or in a reliable one, and the call is answered by c. That answer asks for
// fresh media, which repeats the m-lines as c has them: b wanted no video.
func TestForkWins(t *testing.T) {
	for _, reliable := range []bool{false, true} {
		name := "183"
		if reliable {
			name = "reliable 183"
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { forkWins(t, reliable) })
		})
	}
}

func forkWins(t *testing.T, reliable bool) {
	n := newNetwork(t)
	both := Options{Kinds: []Kind{Audio, Video}}
	a, b, c := newEnd(t, n.host("10.0.0.1"), both), newEnd(t, n.host("10.0.0.2"), Options{}), newEnd(t, n.host("10.0.0.3"), both)
	n.start()
	for _, e := range []*end{a, b, c} {
		defer e.close()
	}
	ctx := context.Background()
	offer := ok[session.Description](t)(a.media.Offer(ctx, session.OfferOptions{}))
	early, _, err := b.media.Answer(ctx, offer, session.OfferOptions{})
	if err != nil {
		t.Fatal(err)
	}
	final, _, err := c.media.Answer(ctx, offer, session.OfferOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.media.SetAnswer(ctx, early, session.AnswerInfo{Provisional: !reliable}); err != nil {
		t.Fatal(err)
	}
	ok[Codec](t)(a.track.Ready(ctx))
	ok[Codec](t)(b.track.Ready(ctx))
	wantAudio(t, a, b, true, true)
	if _, err := a.media.SetAnswer(ctx, final, session.AnswerInfo{}); !errors.Is(err, session.ErrFreshMedia) {
		t.Fatalf("another fork's answer: %v, want ErrFreshMedia", err)
	}
	a.heard()
	b.heard()
	lost := b.media.Stats().Audio.PacketsReceived
	a.talk(5)
	b.talk(5)
	if got := b.media.Stats().Audio.PacketsReceived - lost; got != 0 || a.heard() != 0 {
		t.Errorf("the fork that lost still gets %d packets, or is heard", got)
	}
	old := a.media
	a.media = a.newMedia(old)
	offer = ok[session.Description](t)(a.media.Offer(ctx, session.OfferOptions{}))
	if got := lines(t, offer); got != "audio:0:sendrecv video:1:sendrecv 0 1" {
		t.Errorf("the new offer has %q, want what c has answered", got)
	}
	if _, _, err := c.media.Answer(ctx, offer, session.OfferOptions{}); !errors.Is(err, session.ErrFreshMedia) {
		t.Fatalf("re-INVITE with fresh media: %v, want ErrFreshMedia", err)
	}
	oldC := c.media
	c.media = c.newMedia(oldC)
	final, _, err = c.media.Answer(ctx, offer, session.OfferOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.media.SetAnswer(ctx, final, session.AnswerInfo{}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(old.Close(), oldC.Close()); err != nil {
		t.Fatal(err)
	}
	ok[Codec](t)(a.track.Ready(ctx))
	ok[Codec](t)(c.track.Ready(ctx))
	wantAudio(t, a, c, true, true)
	exchange(t, c, a, true)
	exchange(t, c, a, false)
	wantAudio(t, a, c, true, true)
}

// TestBranches: the INVITE carried no offer, and two branches make one each in
// a reliable provisional response. Each gets media beside the other's; the one
// that agreed last is heard. When the other one wins it is heard again, and
// what we say reaches it all along.
func TestBranches(t *testing.T) {
	for _, winner := range []string{"first", "second"} {
		t.Run(winner, func(t *testing.T) {
			bubble(t, Options{}, 3, func(t *testing.T, ends []*end) {
				a, b, c := ends[0], ends[1], ends[2]
				ctx := context.Background()
				first := a.media
				exchange(t, b, a, false)
				ok[Codec](t)(a.track.Ready(ctx))
				wantAudio(t, a, b, true, true)
				second := a.beside(first)
				a.media = second
				exchange(t, c, a, false)
				if got := lines(t, ok[session.Description](t)(second.Offer(ctx, session.OfferOptions{}))); got != "audio:0:sendrecv 0" {
					t.Errorf("the second branch has %q", got)
				}
				second.Abandon()
				ok[Codec](t)(c.track.Ready(ctx))
				time.Sleep(time.Second)
				wantAudio(t, a, c, true, true)
				b.heard()
				wantAudio(t, b, a, false, true) // b talks and is not heard, and hears us
				if got := a.media.Stats().Audio; got.PacketsSent != 10+2*20 || got.PacketsReceived != 30 {
					t.Errorf("counted %+v, want 50 and 30 packets over both", got)
				}

				won, lost, far := first, second, b
				if winner == "second" {
					won, lost, far = second, first, c
				}
				if err := lost.Close(); err != nil {
					t.Fatal(err)
				}
				a.media = won
				wantAudio(t, a, far, true, true)
				if err := far.media.SendDTMF(ctx, '4', 100*time.Millisecond); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if got := string(a.digits); got != "4" {
					t.Errorf("took the digits %q, want 4", got)
				}
				exchange(t, far, a, true)
				exchange(t, far, a, false)
				wantAudio(t, a, far, true, true)
			})
		})
	}
}

// beside makes media for another branch.
func (e *end) beside(m *Media) *Media {
	e.t.Helper()
	x := ok[session.Media](e.t)(e.factory.NewMedia(session.MediaOptions{Beside: m, Events: e.events()}))
	return x.(*Media)
}

// TestForkTakesMore: one fork refused the video of the INVITE's offer; another
// gets fresh media, in which it is offered still. Inside the call of the first
// it is not.
func TestForkTakesMore(t *testing.T) {
	both := Options{Kinds: []Kind{Audio, Video}}
	for _, provisional := range []bool{true, false} {
		inCallUnder(t, both, Options{}, session.AnswerInfo{Provisional: provisional}, func(t *testing.T, a, b *end) {
			other := a.newMedia(a.media)
			offer := ok[session.Description](t)(other.Offer(t.Context(), with(nil)))
			if got := lines(t, offer); got != "audio:0:sendrecv video:1:sendrecv 0 1" {
				t.Errorf("another fork is offered %q", got)
			}
			if err := other.Close(); err != nil {
				t.Fatal(err)
			}
			if provisional {
				return
			}
			offer, answer := exchange(t, a, b, false)
			wantLines(t, offer, answer, "audio:0:sendrecv video:1:0 0", "audio:0:sendrecv video:1:0 0")
			other = a.newMedia(a.media)
			defer other.Close()
			offer = ok[session.Description](t)(other.Offer(t.Context(), with(nil)))
			if got := lines(t, offer); got != "audio:0:sendrecv video:1:0 0" {
				t.Errorf("a new far end is offered %q", got)
			}
			wantAudio(t, a, b, true, true)
		})
	}
}

// inCallUnder is inCall with an answer of that kind.
func inCallUnder(t *testing.T, ao, bo Options, info session.AnswerInfo, f func(t *testing.T, a, b *end)) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		a, b := newEnd(t, n.host("10.0.0.1"), ao), newEnd(t, n.host("10.0.0.2"), bo)
		n.start()
		defer b.close()
		defer a.close()
		offer := ok[session.Description](t)(a.media.Offer(t.Context(), with(nil)))
		answer, _, err := b.media.Answer(t.Context(), offer, with(nil))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.media.SetAnswer(t.Context(), answer, info); err != nil {
			t.Fatal(err)
		}
		ok[Codec](t)(a.track.Ready(t.Context()))
		ok[Codec](t)(b.track.Ready(t.Context()))
		f(t, a, b)
	})
}
