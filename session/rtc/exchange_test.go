package rtc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/gosipua/sipua/session"
)

// bubble runs f with n hosts, 10.0.0.1 and on, and ends at them.
func bubble(t *testing.T, o Options, n int, f func(t *testing.T, ends []*end)) {
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork(t)
		var ends []*end
		for i := range n {
			ends = append(ends, newEnd(t, net.host(fmt.Sprintf("10.0.0.%d", i+1)), o))
		}
		net.start()
		defer func() {
			for _, e := range ends {
				e.close()
			}
		}()
		f(t, ends)
	})
}

// TestEarlyMedia: the provisional answer brings the path up, the same answer
// is final without ado, and so is one with another direction.
func TestEarlyMedia(t *testing.T) {
	for _, final := range []string{"same", "resumed"} {
		t.Run(final, func(t *testing.T) {
			bubble(t, Options{}, 2, func(t *testing.T, ends []*end) {
				a, b := ends[0], ends[1]
				ctx := context.Background()
				offer := ok[session.Description](t)(a.media.Offer(ctx, session.OfferOptions{}))
				answer, _, err := b.media.Answer(ctx, offer, session.OfferOptions{})
				if err != nil {
					t.Fatal(err)
				}
				early := answer
				if final == "resumed" {
					early.Body = []byte(strings.Replace(string(answer.Body), "a=sendrecv", "a=sendonly", 1))
				}
				state, err := a.media.SetAnswer(ctx, early, session.AnswerInfo{Provisional: true})
				if err != nil || state.RemoteHold != (final == "resumed") {
					t.Fatalf("provisional answer: %+v, %v", state, err)
				}
				ok[Codec](t)(a.track.Ready(ctx))
				ok[Codec](t)(b.track.Ready(ctx))
				wantAudio(t, a, b, final == "same", true)
				for range 2 { // repeated in another 183
					if _, err := a.media.SetAnswer(ctx, early, session.AnswerInfo{Provisional: true}); err != nil {
						t.Fatal(err)
					}
				}
				state, err = a.media.SetAnswer(ctx, answer, session.AnswerInfo{})
				if err != nil || state.RemoteHold {
					t.Fatalf("final answer: %+v, %v", state, err)
				}
				wantAudio(t, a, b, true, true)
				if _, err := a.media.SetAnswer(ctx, answer, session.AnswerInfo{}); err == nil {
					t.Error("an answer without an offer was taken")
				}
			})
		})
	}
}

// TestOfferOvertaken: our first offer came to nothing and the peer's is taken.
func TestOfferOvertaken(t *testing.T) {
	bubble(t, Options{}, 2, func(t *testing.T, ends []*end) {
		a, b := ends[0], ends[1]
		ctx := context.Background()
		first := ok[session.Description](t)(a.media.Offer(ctx, session.OfferOptions{}))
		again := ok[session.Description](t)(a.media.Offer(ctx, session.OfferOptions{}))
		if string(first.Body) != string(again.Body) {
			t.Errorf("the same offer differs:\n%s\n%s", first.Body, again.Body)
		}
		a.media.Abandon()
		exchange(t, b, a, false)
		ok[Codec](t)(a.track.Ready(ctx))
		ok[Codec](t)(b.track.Ready(ctx))
		wantAudio(t, a, b, true, true)
	})
}

// TestAbandonedRestart: an ICE restart that the peer refused is made up for by
// the next exchange, whoever begins it.
func TestAbandonedRestart(t *testing.T) {
	for _, by := range []string{"us", "peer"} {
		t.Run(by, func(t *testing.T) {
			inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
				ok[session.Description](t)(a.media.Offer(context.Background(), session.OfferOptions{ICERestart: true}))
				a.media.Abandon()
				if by == "us" {
					exchange(t, a, b, false)
				} else {
					exchangeWith(t, b, a, session.OfferOptions{ICERestart: true}, session.OfferOptions{})
				}
				time.Sleep(5 * time.Second)
				wantAudio(t, a, b, true, true)
			})
		})
	}
}

// TestRestartAnswered: after an ICE restart that came to nothing, an answer of
// ours cannot but name the new credentials. A peer that cannot take them asks
// for fresh media.
func TestRestartAnswered(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		ctx := context.Background()
		restart := ok[session.Description](t)(a.media.Offer(ctx, session.OfferOptions{ICERestart: true}))
		a.media.Abandon()
		offer := ok[session.Description](t)(b.media.Offer(ctx, session.OfferOptions{}))
		answer, _, err := a.media.Answer(ctx, offer, session.OfferOptions{})
		if err != nil {
			t.Fatal(err)
		}
		d := ok[*description](t)(parseDescription(answer.Body))
		r := ok[*description](t)(parseDescription(restart.Body))
		if _, known := attr(d.media[0].lines, "candidate"); !known {
			t.Errorf("no candidates:\n%s", answer.Body)
		}
		u, _ := attr(d.media[0].lines, "ice-ufrag")
		if v, _ := attr(r.media[0].lines, "ice-ufrag"); u == v || u == "" {
			t.Errorf("ufrag is %q, want one that goes with the peer's offer", u)
		}
		if _, err := b.media.SetAnswer(ctx, answer, session.AnswerInfo{}); !errors.Is(err, session.ErrFreshMedia) {
			t.Errorf("answer with other credentials: %v, want ErrFreshMedia", err)
		}
	})
}

// TestCodecChange: a B2BUA moves the call to a far end with PCMA alone, then
// to one whose payload types differ, within one path.
func TestCodecChange(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		wantAudio(t, a, b, true, true)
		ctx := context.Background()
		for _, tt := range []struct {
			formats, maps string
			want          Codec
		}{
			{"8 126", "", Codec{"PCMA", 8000, 1, 8, ""}},
			{"120 8", "a=rtpmap:120 opus/48000/2\r\n", Codec{"opus", 48000, 2, 120, "minptime=10;useinbandfec=1"}},
		} {
			offer := ok[session.Description](t)(a.media.Offer(ctx, session.OfferOptions{}))
			body := string(offer.Body)
			i, j := strings.Index(body, "SAVPF ")+6, strings.Index(body, "\r\nc=")
			body = body[:i] + tt.formats + body[j:]
			body = strings.Replace(body, "a=rtpmap:111", tt.maps+"a=rtpmap:111", 1)
			a.media.Abandon()
			offer.Body = []byte(body)
			if _, _, err := b.media.Answer(ctx, offer, session.OfferOptions{}); err != nil {
				t.Fatal(err)
			}
			if c, _ := b.track.Codec(); c != tt.want {
				t.Errorf("b's track is to write %+v, want %+v", c, tt.want)
			}
		}
	})
}

// TestSSRCChange: gateways change their SSRC in the middle of a call, whatever
// a=ssrc says.
func TestSSRCChange(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		wantAudio(t, a, b, true, true)
		w := a.media.peer.senders[Audio]
		for ssrc := uint32(1000); ssrc < 1003; ssrc++ {
			w.mu.Lock()
			w.ctx = otherSSRC{w.ctx, webrtc.SSRC(ssrc)}
			w.mu.Unlock()
			wantAudio(t, a, b, true, true)
		}
		exchange(t, b, a, true)
		exchange(t, b, a, false)
		wantAudio(t, a, b, true, true)
		exchangeWith(t, b, a, session.OfferOptions{ICERestart: true}, session.OfferOptions{})
		time.Sleep(5 * time.Second)
		wantAudio(t, a, b, true, true)
	})
}

type otherSSRC struct {
	webrtc.TrackLocalContext
	ssrc webrtc.SSRC
}

func (o otherSSRC) SSRC() webrtc.SSRC { return o.ssrc }

// TestTooManyStreams: each SSRC costs memory, so they are bounded.
func TestTooManyStreams(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		w := a.media.peer.senders[Audio]
		for ssrc := range uint32(maxStreams + 10) {
			w.mu.Lock()
			w.ctx = otherSSRC{w.ctx, webrtc.SSRC(5000 + ssrc)}
			w.mu.Unlock()
			a.talk(1)
		}
		if n := b.failed(); n != 1 || b.failures[0] != errStreams {
			t.Errorf("failed %d times, %v; want once, for too many streams", n, b.failures)
		}
	})
}

// TestVideo: two kinds over one path, and a peer that refuses one of them.
func TestVideo(t *testing.T) {
	both := []Kind{Audio, Video}
	t.Run("both", func(t *testing.T) {
		bubble(t, Options{Kinds: both}, 2, func(t *testing.T, ends []*end) {
			testVideo(t, ends[0], ends[1])
		})
	})
	t.Run("refused", func(t *testing.T) {
		inCall(t, Options{Kinds: both}, Options{}, func(t *testing.T, a, b *end) {
			wantAudio(t, a, b, true, true)
			offer, answer := exchange(t, a, b, false)
			for _, d := range []session.Description{offer, answer} {
				if !strings.Contains(string(d.Body), "\r\nm=video 0 UDP/TLS/RTP/SAVPF 96 102\r\n") {
					t.Errorf("the refused m-line is not repeated:\n%s", d.Body)
				}
			}
			exchange(t, b, a, true)
			exchange(t, b, a, false)
			wantAudio(t, a, b, true, true)
		})
	})
}

func testVideo(t *testing.T, a, b *end) {
	ctx := context.Background()
	vid := NewTrack(Video)
	a.sends(a.track, vid)
	in := b.media.call.subscribe(ctx, Video)
	exchange(t, a, b, false)
	c := ok[Codec](t)(vid.Ready(ctx))
	if c.Name != "VP8" {
		t.Errorf("video is to be written in %s, want VP8", c)
	}
	for range 5 {
		if err := vid.WriteSample(Sample{Data: make([]byte, 3000), Duration: 40 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(40 * time.Millisecond)
	}
	synctest.Wait()
	if n := len(in.packets); n != 15 { // three packets a frame
		t.Errorf("b heard %d packets of video, want 15", n)
	}
	ok[Codec](t)(a.track.Ready(ctx))
	wantAudio(t, a, b, true, true)
	b.media.Mute(session.MuteSet{Video: true}, true)
	wantAudio(t, a, b, true, true)
}

// TestForeignTrack sends a track of pion's own.
func TestForeignTrack(t *testing.T) {
	track := ok[*webrtc.TrackLocalStaticRTP](t)(webrtc.NewTrackLocalStaticRTP(
		webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMU, ClockRate: 8000}, "x", "y"))
	bubble(t, Options{}, 2, func(t *testing.T, ends []*end) {
		a, b := ends[0], ends[1]
		a.sends(track)
		offer, _ := exchange(t, a, b, false)
		if !strings.Contains(string(offer.Body), "a=msid:y x\r\n") {
			t.Errorf("the track's identity is not offered:\n%s", offer.Body)
		}
		time.Sleep(time.Second)
		send := func() {
			for i := range 5 {
				p := &rtp.Packet{Header: rtp.Header{SequenceNumber: uint16(i)}, Payload: []byte{1}}
				if err := track.WriteRTP(p); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		send()
		if n := b.heard(); n != 5 {
			t.Errorf("b heard %d packets, want 5", n)
		}
		a.media.Mute(session.MuteSet{Audio: true}, true)
		send()
		if n := b.heard(); n != 0 {
			t.Errorf("b heard %d packets of a muted track", n)
		}
	})
}

// TestNoPath: peers that cannot reach each other fail, once.
func TestNoPath(t *testing.T) {
	bubble(t, Options{}, 2, func(t *testing.T, ends []*end) {
		a, b := ends[0], ends[1]
		ctx := context.Background()
		offer := ok[session.Description](t)(a.media.Offer(ctx, session.OfferOptions{}))
		away := func(d session.Description) session.Description {
			d.Body = []byte(strings.ReplaceAll(string(d.Body), "10.0.0.", "10.0.0.9"))
			return d
		}
		answer, _, err := b.media.Answer(ctx, away(offer), session.OfferOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.media.SetAnswer(ctx, away(answer), session.AnswerInfo{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for _, e := range ends {
			if len(e.failures) != 1 || e.failures[0] != errICE || e.connected != 0 {
				t.Errorf("connected %d times, failures %v; want one of ICE", e.connected, e.failures)
			}
		}
	})
}

// TestWrongFingerprint: somebody in the middle has another certificate.
func TestWrongFingerprint(t *testing.T) {
	bubble(t, Options{}, 2, func(t *testing.T, ends []*end) {
		a, b := ends[0], ends[1]
		ctx := context.Background()
		offer := ok[session.Description](t)(a.media.Offer(ctx, session.OfferOptions{}))
		answer, _, err := b.media.Answer(ctx, offer, session.OfferOptions{})
		if err != nil {
			t.Fatal(err)
		}
		i := strings.Index(string(answer.Body), "sha-256 ") + len("sha-256 ")
		answer.Body[i] ^= 1
		if c := answer.Body[i]; c != '@' && (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			answer.Body[i] = '0'
		}
		if answer.Body[i] == '@' {
			answer.Body[i] = '0'
		}
		if _, err := a.media.SetAnswer(ctx, answer, session.AnswerInfo{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if a.connected != 0 || len(a.failures) != 1 {
			t.Errorf("connected %d times, failures %v; want one failure", a.connected, a.failures)
		}
	})
}
