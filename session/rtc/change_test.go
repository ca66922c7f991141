package rtc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
)

// with is an exchange with these changes; nil for none.
func with(change any) session.OfferOptions { return session.OfferOptions{Change: change} }

// lines are the m-lines of a description: media, whether in use, mid, direction.
func lines(t *testing.T, d session.Description) string {
	t.Helper()
	sd := ok[*description](t)(parseDescription(d.Body))
	var out []string
	for _, m := range sd.media {
		mid, _ := attr(m.lines, "mid")
		_, bundleOnly := attr(m.lines, "bundle-only")
		switch {
		case m.port == 0 && !bundleOnly:
			out = append(out, m.media+":"+mid+":0")
		default:
			out = append(out, m.media+":"+mid+":"+sd.direction(m).String())
		}
	}
	group, _ := attr(sd.lines, "group")
	return strings.Join(out, " ") + " " + strings.TrimPrefix(group, "BUNDLE ")
}

// wantLines compares the m-lines of an offer and its answer.
func wantLines(t *testing.T, offer, answer session.Description, wantOffer, wantAnswer string) {
	t.Helper()
	if got := lines(t, offer); got != wantOffer {
		t.Errorf("offer has %q, want %q", got, wantOffer)
	}
	if got := lines(t, answer); got != wantAnswer {
		t.Errorf("answer has %q, want %q", got, wantAnswer)
	}
}

// wantVideo sends 5 frames over a track and counts what comes of them.
func wantVideo(t *testing.T, from *LocalTrack, to *RemoteTrack, flows bool) {
	t.Helper()
	for len(to.packets) > 0 {
		<-to.packets
	}
	for range 5 {
		if err := from.WriteSample(Sample{Data: make([]byte, 500), Duration: 40 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(40 * time.Millisecond)
	}
	synctest.Wait()
	want := 0
	if flows {
		want = 5
	}
	if n := len(to.packets); n != want {
		t.Errorf("%d packets of video came, want %d", n, want)
	}
}

// TestAddVideo: either side adds video in the middle of a call and drops it
// again; the path of the audio carries both, and its place is used anew.
func TestAddVideo(t *testing.T) {
	for _, by := range []string{"same side", "other side"} {
		t.Run(by, func(t *testing.T) {
			inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
				ctx := t.Context()
				va, vb := NewTrack(Video), NewTrack(Video)
				ia, ib := a.media.call.subscribe(ctx, Video), b.media.call.subscribe(ctx, Video)
				wantAudio(t, a, b, true, true)
				offer, answer := exchangeWith(t, a, b, with(Change{Add: []Track{va}}), with(Change{Add: []Track{vb}}))
				wantLines(t, offer, answer, "audio:0:sendrecv video:1:sendrecv 0 1", "audio:0:sendrecv video:1:sendrecv 0 1")
				for _, v := range []*LocalTrack{va, vb} {
					if c := ok[Codec](t)(v.Ready(ctx)); c.Name != "VP8" {
						t.Errorf("video is to be written in %s", c)
					}
				}
				wantVideo(t, va, ib, true)
				wantVideo(t, vb, ia, true)
				wantAudio(t, a, b, true, true)

				if by == "other side" {
					a, b, va, vb, ia, ib = b, a, vb, va, ib, ia
				}
				offer, answer = exchangeWith(t, a, b, with(&Change{Drop: []Kind{Video}}), with(nil))
				wantLines(t, offer, answer, "audio:0:sendrecv video:1:0 0", "audio:0:sendrecv video:1:0 0")
				wantVideo(t, va, ib, false)
				wantVideo(t, vb, ia, false)
				wantAudio(t, a, b, true, true)
				offer, answer = exchange(t, b, a, true)
				wantLines(t, offer, answer, "audio:0:sendonly video:1:0 0", "audio:0:recvonly video:1:0 0")
				exchange(t, b, a, false)

				offer, answer = exchangeWith(t, a, b, with(Change{Add: []Track{va}}), with(nil))
				wantLines(t, offer, answer, "audio:0:sendrecv video:2:sendrecv 0 2", "audio:0:sendrecv video:2:sendrecv 0 2")
				ok[Codec](t)(va.Ready(ctx))
				wantVideo(t, va, ib, true)
				wantVideo(t, vb, ia, true) // its side never dropped it
				wantAudio(t, a, b, true, true)
			})
		})
	}
}

// TestVideoNotWanted: video that the peer adds is answered with port 0, and
// both sides leave it there.
func TestVideoNotWanted(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		va := NewTrack(Video)
		offer, answer := exchangeWith(t, a, b, with(Change{Add: []Track{va}}), with(nil))
		wantLines(t, offer, answer, "audio:0:sendrecv video:1:sendrecv 0 1", "audio:0:sendrecv video:1:0 0")
		wantAudio(t, a, b, true, true)
		offer, answer = exchange(t, a, b, false)
		wantLines(t, offer, answer, "audio:0:sendrecv video:1:0 0", "audio:0:sendrecv video:1:0 0")
		offer, answer = exchange(t, b, a, false)
		wantLines(t, offer, answer, "audio:0:sendrecv video:1:0 0", "audio:0:sendrecv video:1:0 0")
		wantAudio(t, a, b, true, true)
		if _, there := va.Codec(); there {
			t.Error("a track that the peer does not want was bound")
		}
		// Now it does: a still has its camera.
		offer, answer = exchangeWith(t, b, a, with(Change{Kinds: []Kind{Video}, Direction: map[Kind]Direction{Video: RecvOnly}}), with(nil))
		wantLines(t, offer, answer, "audio:0:sendrecv video:2:recvonly 0 2", "audio:0:sendrecv video:2:sendonly 0 2")
		in := b.media.call.subscribe(t.Context(), Video)
		ok[Codec](t)(va.Ready(t.Context()))
		wantVideo(t, va, in, true)
	})
}

// TestVideoOnceOffered: a callee whose options carry video takes it when the
// caller comes to offer it, and does not add it by itself.
func TestVideoOnceOffered(t *testing.T) {
	inCall(t, Options{}, Options{Kinds: []Kind{Audio, Video}}, func(t *testing.T, a, b *end) {
		offer, answer := exchange(t, b, a, true)
		wantLines(t, offer, answer, "audio:0:sendonly 0", "audio:0:recvonly 0")
		offer, answer = exchangeWith(t, a, b, with(Change{Kinds: []Kind{Video}}), with(nil))
		wantLines(t, offer, answer, "audio:0:sendrecv video:1:sendrecv 0 1", "audio:0:sendrecv video:1:sendrecv 0 1")
		wantAudio(t, a, b, true, true)
	})
}

// TestVideoUnbundled: a peer without BUNDLE gets none, and its own second
// m-line on another path is refused (RFC 8843 §7.2.1).
func TestVideoUnbundled(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		ctx := t.Context()
		// From now on b is a stack that knows no mids.
		offer := ok[session.Description](t)(b.media.Offer(ctx, with(nil)))
		offer = without(offer, "a=mid", "a=group")
		answer, _, err := a.media.Answer(ctx, offer, with(nil))
		if err != nil {
			t.Fatal(err)
		}
		if got := lines(t, answer); got != "audio::sendrecv " {
			t.Errorf("answer has %q", got)
		}
		if _, err := b.media.SetAnswer(ctx, answer, session.AnswerInfo{}); err != nil {
			t.Fatal(err)
		}
		offer = ok[session.Description](t)(a.media.Offer(ctx, with(Change{Kinds: []Kind{Video}})))
		if got := lines(t, offer); got != "audio:1:sendrecv video:2:sendrecv 1 2" && got != "audio:2:sendrecv video:1:sendrecv 2 1" {
			t.Errorf("offer has %q, want both in a bundle", got)
		}
		if !strings.Contains(string(offer.Body), "m=video 0 ") || !strings.Contains(string(offer.Body), "a=bundle-only") {
			t.Errorf("video is not bundle-only:\n%s", offer.Body)
		}
		a.media.Abandon()

		offer = ok[session.Description](t)(b.media.Offer(ctx, with(Change{Kinds: []Kind{Video}})))
		offer = without(offer, "a=group", "a=bundle-only")
		offer = edit(offer, "m=video 0", "m=video 4000")
		answer, _, err = a.media.Answer(ctx, offer, with(Change{Kinds: []Kind{Video}}))
		if err != nil {
			t.Fatal(err)
		}
		if got := lines(t, answer); !strings.HasSuffix(strings.TrimSpace(got), ":0") {
			t.Errorf("answer has %q, want video refused", got)
		}
		wantAudio(t, a, b, true, true)
	})
}

// TestChangeAbandoned: a change that the peer refuses is forgotten: the next
// offer is the one before, to the letter.
func TestChangeAbandoned(t *testing.T) {
	audio, both := []Kind{Audio}, []Kind{Audio, Video}
	for _, tt := range []struct {
		name   string
		kinds  []Kind
		change Change
		lines  string
	}{
		{"add", audio, Change{Add: []Track{NewTrack(Video)}}, "audio:0:sendrecv 0"},
		{"track", audio, Change{Add: []Track{NewTrack(Audio)}}, "audio:0:sendrecv 0"},
		{"kind", audio, Change{Kinds: []Kind{Video}}, "audio:0:sendrecv 0"},
		{"drop", both, Change{Drop: []Kind{Video}}, "audio:0:sendrecv video:1:sendrecv 0 1"},
		{"drop audio", both, Change{Drop: []Kind{Audio}}, "audio:0:sendrecv video:1:sendrecv 0 1"},
		{"codecs", audio, Change{Codecs: []string{"PCMA"}}, "audio:0:sendrecv 0"},
		{"direction", audio, Change{Direction: map[Kind]Direction{Audio: Inactive}}, "audio:0:sendrecv 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{Kinds: tt.kinds}
			inCall(t, o, o, func(t *testing.T, a, b *end) {
				ctx := t.Context()
				before := ok[session.Description](t)(a.media.Offer(ctx, with(nil)))
				a.media.Abandon()
				ok[session.Description](t)(a.media.Offer(ctx, with(tt.change)))
				a.media.Abandon()
				after := ok[session.Description](t)(a.media.Offer(ctx, with(nil)))
				a.media.Abandon()
				if string(before.Body) != string(after.Body) {
					t.Errorf("before:\n%s\nafter:\n%s", before.Body, after.Body)
				}
				wantAudio(t, a, b, true, true)
				offer, answer := exchange(t, b, a, false)
				wantLines(t, offer, answer, tt.lines, tt.lines)
				offer, answer = exchange(t, a, b, false)
				wantLines(t, offer, answer, tt.lines, tt.lines)
				wantAudio(t, a, b, true, true)
			})
		})
	}
}

// TestChangeOfRefusedOffer: what the application would have changed with the
// answer to an offer that is refused is forgotten.
func TestChangeOfRefusedOffer(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		ctx := t.Context()
		bad := without(ok[session.Description](t)(a.media.Offer(ctx, with(Change{Kinds: []Kind{Video}}))), "a=fingerprint")
		if _, _, err := b.media.Answer(ctx, bad, with(Change{Kinds: []Kind{Video}, Codecs: []string{"PCMA", "VP8"}})); !errors.Is(err, session.ErrUnacceptable) {
			t.Fatalf("got %v, want ErrUnacceptable", err)
		}
		a.media.Abandon()
		offer, answer := exchangeWith(t, a, b, with(Change{Kinds: []Kind{Video}}), with(nil))
		wantLines(t, offer, answer, "audio:0:sendrecv video:1:sendrecv 0 1", "audio:0:sendrecv video:1:0 0")
		if c, _ := b.track.Codec(); c.Name != "opus" {
			t.Errorf("b's track is to write %s, want opus", c)
		}
		wantAudio(t, a, b, true, true)
	})
}

// TestChangeCodecs: both sides go over to another codec, what is on its way in
// the old one is still heard, and later offers keep to it.
func TestChangeCodecs(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		ctx := t.Context()
		wantAudio(t, a, b, true, true)
		offer := ok[session.Description](t)(a.media.Offer(ctx, with(Change{Codecs: []string{"PCMU"}})))
		if !strings.Contains(string(offer.Body), "SAVPF 0 126\r\n") {
			t.Errorf("offer has other codecs:\n%s", offer.Body)
		}
		answer, _, err := b.media.Answer(ctx, offer, with(nil))
		if err != nil {
			t.Fatal(err)
		}
		wantAudio(t, b, a, true, true) // b sends PCMU, a has not heard of its answer
		if c, _ := a.in.Codec(); c.Name != "" && c.Name != "PCMU" {
			t.Errorf("a reads %s", c)
		}
		if _, err := a.media.SetAnswer(ctx, answer, session.AnswerInfo{}); err != nil {
			t.Fatal(err)
		}
		for _, e := range []*end{a, b} {
			if c, _ := e.track.Codec(); c.Name != "PCMU" {
				t.Errorf("a track is to write %s, want PCMU", c)
			}
			e.talk(1)
		}
		for _, e := range []*end{a, b} {
			if _, err := e.in.ReadRTP(); err != nil {
				t.Fatal(err)
			}
			if c, _ := e.in.Codec(); c.Name != "PCMU" {
				t.Errorf("read %s, want PCMU", c)
			}
		}
		wantAudio(t, a, b, true, true)
		if err := a.media.SendDTMF(ctx, '7', 100*time.Millisecond); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := string(b.digits); got != "7" {
			t.Errorf("b took the digits %q, want 7", got)
		}
		offer, _ = exchange(t, a, b, true)
		if !strings.Contains(string(offer.Body), "SAVPF 0 126\r\n") {
			t.Errorf("hold offers other codecs:\n%s", offer.Body)
		}
		exchange(t, b, a, false)
		exchange(t, a, b, false)
		wantAudio(t, a, b, true, true)
		if got := streamsOf(a); got != "audio sendrecv PCMU/8000" {
			t.Errorf("streams are %q", got)
		}
		// And an answer that is given with a change.
		exchangeWith(t, a, b, with(Change{Codecs: []string{"opus", "PCMA", "PCMU"}}), with(Change{Codecs: []string{"PCMA"}}))
		for _, e := range []*end{a, b} {
			if c, _ := e.track.Codec(); c.Name != "PCMA" {
				t.Errorf("a track is to write %s, want PCMA", c)
			}
		}
		wantAudio(t, a, b, true, true)
	})
}

// streamsOf is what Streams would tell of an end.
func streamsOf(e *end) string {
	var out []string
	for _, s := range e.media.flows {
		out = append(out, fmt.Sprintf("%s %s %s", s.Kind, s.Direction, s.Codec))
	}
	return strings.Join(out, ", ")
}

// TestOldCodecHeard: packets in the codec of before count for a moment.
func TestOldCodecHeard(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		exchangeWith(t, a, b, with(Change{Codecs: []string{"PCMU"}}), with(nil))
		w := a.media.peer.senders[Audio]
		old := known(Audio)[0]
		w.set(gate{send: true, codecs: []Codec{old}, track: a.track}, false)
		a.talk(5)
		if n := b.heard(); n != 5 {
			t.Errorf("b heard %d packets of the old codec, want 5", n)
		}
		time.Sleep(overlap)
		a.talk(5)
		if n := b.heard(); n != 0 {
			t.Errorf("b heard %d packets of a codec that is over", n)
		}
	})
}

// TestChangeDirection is what the m-lines say with each wish of ours, and of a
// hold on top.
func TestChangeDirection(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		for _, tt := range []struct {
			want          Direction
			offer, answer string
			hold          string
			toB, toA      bool
		}{
			{SendOnly, "sendonly", "recvonly", "sendonly", true, false},
			{RecvOnly, "recvonly", "sendonly", "inactive", false, true},
			{Inactive, "inactive", "inactive", "inactive", false, false},
			{SendRecv, "sendrecv", "sendrecv", "sendonly", true, true},
		} {
			offer, answer := exchangeWith(t, a, b, with(Change{Direction: map[Kind]Direction{Audio: tt.want}}), with(nil))
			wantDirection(t, "offer", offer, tt.offer)
			wantDirection(t, "answer", answer, tt.answer)
			wantAudio(t, a, b, tt.toB, tt.toA)
			offer, _ = exchange(t, a, b, true)
			wantDirection(t, "hold", offer, tt.hold)
			wantState(t, a, session.MediaState{LocalHold: true})
			offer, _ = exchange(t, a, b, false)
			wantDirection(t, "after hold", offer, tt.offer)
			wantAudio(t, a, b, tt.toB, tt.toA)
		}
	})
}

// TestChangeTrack: another track takes the place of the one that is sent.
func TestChangeTrack(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		wantAudio(t, a, b, true, true)
		first, second := a.track, NewTrack(Audio)
		before := ok[session.Description](t)(a.media.Offer(t.Context(), with(nil)))
		offer, _ := exchangeWith(t, a, b, with(Change{Add: []Track{second}}), with(nil))
		if string(offer.Body) != string(before.Body) {
			t.Errorf("the peer is told of another track:\n%s\n%s", before.Body, offer.Body)
		}
		wantAudio(t, a, b, false, true)
		a.track = second
		wantAudio(t, a, b, true, true)
		if _, there := first.Codec(); there {
			t.Error("the first track is still bound")
		}
	})
}

// TestChangeWrong: a change that makes no sense is an error of the application
// and touches nothing.
func TestChangeWrong(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		for name, c := range map[string]any{
			"another type":     "video",
			"nil track":        Change{Add: []Track{nil}},
			"two tracks":       Change{Add: []Track{NewTrack(Video), NewTrack(Video)}},
			"unknown kind":     Change{Kinds: []Kind{9}},
			"unknown drop":     Change{Drop: []Kind{0}},
			"add and drop":     Change{Add: []Track{NewTrack(Video)}, Drop: []Kind{Video}},
			"nothing left":     Change{Drop: []Kind{Audio}},
			"unknown codec":    Change{Codecs: []string{"speex"}},
			"no codec of ours": Change{Codecs: []string{"VP8"}},
			"no codec":         Change{Codecs: []string{}},
			"direction":        Change{Direction: map[Kind]Direction{Audio: 9}},
			"not carried":      Change{Direction: map[Kind]Direction{Video: SendOnly}},
		} {
			if _, err := a.media.Offer(t.Context(), with(c)); err == nil {
				t.Errorf("%s: offered", name)
			}
			if d := ok[session.Description](t)(b.media.Offer(t.Context(), with(nil))); len(d.Body) > 0 {
				if _, _, err := a.media.Answer(t.Context(), d, with(c)); err == nil || errors.Is(err, session.ErrUnacceptable) {
					t.Errorf("%s: answered with %v", name, err)
				}
				b.media.Abandon()
			}
		}
		var none *Change
		exchangeWith(t, a, b, with(none), with(Change{}))
		wantAudio(t, a, b, true, true)
	})
}

// TestHoldTracks: the held far end hears the music and not the microphone,
// which is back after the hold; while both hold nobody hears anything.
func TestHoldTracks(t *testing.T) {
	music := NewTrack(Audio)
	inCall(t, Options{HoldTracks: []Track{music}}, Options{}, func(t *testing.T, a, b *end) {
		hold, none := session.OfferOptions{Hold: true}, with(nil)
		wantAudio(t, a, b, true, true)
		a.play(music, 5)
		if n := b.heard(); n != 0 {
			t.Errorf("b heard %d packets of music without hold", n)
		}
		exchangeWith(t, a, b, hold, none)
		ok[Codec](t)(music.Ready(t.Context()))
		wantAudio(t, a, b, false, false)
		tap := b.last(func() { a.play(music, 5) })
		if len(tap) != 5 {
			t.Errorf("b heard %d packets of music, want 5", len(tap))
		}
		for i, seq := range tap {
			if i > 0 && seq != tap[i-1]+1 {
				t.Errorf("sequence numbers are %v", tap)
			}
		}
		a.media.Mute(session.MuteSet{Audio: true}, true)
		if n := len(b.last(func() { a.play(music, 5) })); n != 0 {
			t.Errorf("b heard %d packets of muted music", n)
		}
		a.media.Mute(session.MuteSet{Audio: true}, false)

		exchangeWith(t, b, a, hold, hold) // b holds as well
		if n := len(b.last(func() { a.play(music, 5) })); n != 0 {
			t.Errorf("b heard %d packets while both hold", n)
		}
		wantAudio(t, a, b, false, false)
		exchangeWith(t, b, a, none, hold)
		if n := len(b.last(func() { a.play(music, 5) })); n != 5 {
			t.Errorf("b heard %d packets of music when it had resumed, want 5", n)
		}
		exchangeWith(t, a, b, none, none)
		a.play(music, 5)
		if n := b.heard(); n != 0 {
			t.Errorf("b heard %d packets of music after the hold", n)
		}
		ok[Codec](t)(a.track.Ready(t.Context()))
		wantAudio(t, a, b, true, true)
		if err := a.media.SendDTMF(context.Background(), '1', 100*time.Millisecond); err != nil {
			t.Error(err)
		}
	})
}

// play writes n packets of a track other than the end's own.
func (e *end) play(track *LocalTrack, n int) {
	e.t.Helper()
	mic := e.track
	e.track = track
	e.talk(n)
	e.track = mic
}

// last returns the sequence numbers of what e hears while f runs.
func (e *end) last(f func()) []uint16 {
	e.heard()
	f()
	var out []uint16
	for len(e.in.packets) > 0 {
		out = append(out, (<-e.in.packets).packet.SequenceNumber)
	}
	return out
}
