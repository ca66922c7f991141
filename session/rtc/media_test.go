package rtc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/transport/v5/vnet"
	"github.com/pion/webrtc/v4"

	"github.com/gosipua/sipua/session"
	"github.com/pion/rtp"
)

func discard() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func TestCall(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		wantAudio(t, a, b, true, true)
		if a.connected != 1 || b.connected != 1 {
			t.Errorf("connected %d and %d times, want once each", a.connected, b.connected)
		}
		st := a.media.Stats()
		if st.Audio.PacketsSent != 10 || st.Audio.PacketsReceived != 10 || st.Audio.BytesSent != 40 || st.Audio.BytesReceived != 40 {
			t.Errorf("stats are %+v, want 10 packets of 4 bytes each way", st.Audio)
		}
		if st.Local.Address != "10.0.0.1" || st.Remote.Address != "10.0.0.2" || st.Local.Type != "host" {
			t.Errorf("candidate pair is %+v %+v", st.Local, st.Remote)
		}
	})
}

// TestHold is RFC 3264 §8.4 from either side, then both, and back.
func TestHold(t *testing.T) {
	for _, tt := range []struct {
		name           string
		sendOnHold     bool
		toB            bool // while a holds
		offer, answer  string
		bothAns        string
		remoteB, local bool
	}{
		{name: "silent", offer: "sendonly", answer: "recvonly", bothAns: "inactive"},
		{name: "music", sendOnHold: true, toB: true, offer: "sendonly", answer: "recvonly", bothAns: "inactive"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{SendOnHold: tt.sendOnHold}
			inCall(t, o, o, func(t *testing.T, a, b *end) {
				hold, none := session.OfferOptions{Hold: true}, session.OfferOptions{}
				offer, answer := exchangeWith(t, a, b, hold, none)
				wantDirection(t, "a's hold", offer, tt.offer)
				wantDirection(t, "b's answer", answer, tt.answer)
				wantState(t, a, session.MediaState{LocalHold: true})
				wantState(t, b, session.MediaState{RemoteHold: true})
				wantAudio(t, a, b, tt.toB, false)

				// b holds as well: both of them hold now, and a answers so.
				offer, answer = exchangeWith(t, b, a, hold, hold)
				wantDirection(t, "b's hold", offer, "sendonly")
				wantDirection(t, "a's answer", answer, tt.bothAns)
				wantState(t, a, session.MediaState{LocalHold: true, RemoteHold: true})
				wantAudio(t, a, b, false, false)

				// a resumes; b still holds.
				offer, answer = exchangeWith(t, a, b, none, hold)
				wantDirection(t, "a's offer", offer, "sendrecv")
				wantDirection(t, "b's answer", answer, "sendonly")
				wantState(t, a, session.MediaState{RemoteHold: true})
				wantState(t, b, session.MediaState{LocalHold: true})
				wantAudio(t, a, b, false, tt.toB)

				exchangeWith(t, b, a, none, none)
				wantState(t, a, session.MediaState{})
				wantState(t, b, session.MediaState{})
				wantAudio(t, a, b, true, true)
			})
		})
	}
}

func wantDirection(t *testing.T, what string, d session.Description, want string) {
	t.Helper()
	if !strings.Contains(string(d.Body), "\r\na="+want+"\r\n") {
		t.Errorf("%s is not %s:\n%s", what, want, d.Body)
	}
}

func wantState(t *testing.T, e *end, want session.MediaState) {
	t.Helper()
	if got := e.media.state(); got != want {
		t.Errorf("state is %+v, want %+v", got, want)
	}
}

// TestRefusedOffer: an offer that the peer refuses changes nothing, and
// neither does one of the peer's that we refuse.
func TestRefusedOffer(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		ctx := context.Background()
		ok[session.Description](t)(a.media.Offer(ctx, session.OfferOptions{Hold: true}))
		a.media.Abandon()
		wantAudio(t, a, b, true, true)
		exchange(t, b, a, false) // the peer's own offer, in between
		wantAudio(t, a, b, true, true)

		bad := ok[session.Description](t)(a.media.Offer(ctx, session.OfferOptions{}))
		bad.Body = []byte(strings.ReplaceAll(string(bad.Body), "a=fingerprint", "a=fingertip"))
		if _, _, err := b.media.Answer(ctx, bad, session.OfferOptions{}); !errors.Is(err, session.ErrUnacceptable) {
			t.Errorf("offer without fingerprint: %v, want ErrUnacceptable", err)
		}
		a.media.Abandon()
		wantAudio(t, a, b, true, true)
		exchange(t, a, b, true)
		exchange(t, a, b, false)
		wantAudio(t, a, b, true, true)
	})
}

func TestMute(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		a.media.Mute(session.MuteSet{Audio: true}, true)
		wantAudio(t, a, b, false, true)
		a.media.Mute(session.MuteSet{Video: true}, false)
		wantAudio(t, a, b, false, true)
		exchange(t, b, a, false)
		wantAudio(t, a, b, false, true)
		a.media.Mute(session.MuteSet{Audio: true}, false)
		wantAudio(t, a, b, true, true)
	})
}

func TestDirectionOption(t *testing.T) {
	inCall(t, Options{Direction: RecvOnly}, Options{}, func(t *testing.T, a, b *end) {
		wantAudio(t, a, b, false, true)
		offer, answer := exchange(t, a, b, true)
		wantDirection(t, "hold of recvonly", offer, "inactive")
		wantDirection(t, "its answer", answer, "inactive")
		wantState(t, a, session.MediaState{LocalHold: true})
		exchange(t, a, b, false)
		wantAudio(t, a, b, false, true)
	})
}

// TestFreshMedia: b is replaced by another far end, c, with the same m-lines
// and another DTLS identity; a's tracks go on.
func TestFreshMedia(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		va, vb, vc := n.host("10.0.0.1"), n.host("10.0.0.2"), n.host("10.0.0.3")
		n.start()
		ctx := context.Background()
		a, b, c := newEnd(t, va, Options{}), newEnd(t, vb, Options{}), newEnd(t, vc, Options{})
		defer a.close()
		defer b.close()
		defer c.close()
		exchange(t, a, b, false)
		ok[Codec](t)(a.track.Ready(ctx))
		ok[Codec](t)(b.track.Ready(ctx))
		wantAudio(t, a, b, true, true)

		offer := ok[session.Description](t)(c.media.Offer(ctx, session.OfferOptions{}))
		if _, _, err := a.media.Answer(ctx, offer, session.OfferOptions{}); !errors.Is(err, session.ErrFreshMedia) {
			t.Fatalf("offer from another identity: %v, want ErrFreshMedia", err)
		}
		wantAudio(t, a, b, true, true)
		old := a.media
		a.media = a.newMedia(old)
		answer, _, err := a.media.Answer(ctx, offer, session.OfferOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.media.SetAnswer(ctx, answer, session.AnswerInfo{}); err != nil {
			t.Fatal(err)
		}
		ok[Codec](t)(c.track.Ready(ctx))
		ok[Codec](t)(a.track.Ready(ctx))
		wantAudio(t, a, c, true, true)

		// What the old far end still sends is not heard any more.
		b.talk(3)
		if n := a.heard(); n != 0 {
			t.Errorf("a heard %d packets of the old far end", n)
		}
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}

		// And where the answer is what names the new identity.
		offer = ok[session.Description](t)(a.media.Offer(ctx, session.OfferOptions{}))
		d := newEnd(t, vb, Options{})
		defer d.close()
		answer, _, err = d.media.Answer(ctx, offer, session.OfferOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.media.SetAnswer(ctx, answer, session.AnswerInfo{}); !errors.Is(err, session.ErrFreshMedia) {
			t.Fatalf("answer from another identity: %v, want ErrFreshMedia", err)
		}
		wantAudio(t, a, c, true, true)
		if got := c.media.Stats().Audio; got.PacketsSent != 20 || got.PacketsReceived != 20 {
			t.Errorf("c counted %+v, want 20 packets each way", got)
		}
		// Over both PeerConnections: twice 10 to b, 10 to each, 10 to c.
		if got := a.media.Stats().Audio.PacketsSent; got != 50 {
			t.Errorf("a counted %d packets, want 50", got)
		}
	})
}

// TestHeldPeerTalks: a peer that sends in spite of our hold is not heard.
func TestHeldPeerTalks(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		exchange(t, a, b, true)
		s := b.media.peer.senders[Audio]
		s.set(gate{send: true, codecs: s.codecs, track: s.track}, false)
		b.talk(5)
		if err := b.media.SendDTMF(context.Background(), '1', 70*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := a.heard(); n != 0 || len(a.digits) != 0 {
			t.Errorf("a heard %d packets and the digits %q", n, string(a.digits))
		}
		if got := a.media.Stats().Audio.PacketsReceived; got < 5 {
			t.Errorf("a counted %d packets, want all that came", got)
		}
	})
}

// TestDisconnected: a network that is gone for a while is not the end.
func TestDisconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		va, vb := n.host("10.0.0.1"), n.host("10.0.0.2")
		var cut atomic.Bool
		n.router.AddChunkFilter(func(vnet.Chunk) bool { return !cut.Load() })
		n.start()
		a, b := newEnd(t, va, Options{}), newEnd(t, vb, Options{})
		defer b.close()
		defer a.close()
		exchange(t, a, b, false)
		ok[Codec](t)(a.track.Ready(context.Background()))
		ok[Codec](t)(b.track.Ready(context.Background()))
		cut.Store(true)
		time.Sleep(15 * time.Second)
		if s := a.media.PeerConnection().ICEConnectionState(); s != webrtc.ICEConnectionStateDisconnected {
			t.Fatalf("ICE is %s, want disconnected", s)
		}
		cut.Store(false)
		time.Sleep(10 * time.Second)
		wantAudio(t, a, b, true, true)
		if a.connected != 2 || a.silent() != 1 || a.failed() != 0 {
			t.Errorf("connected %d times, disconnected %d times and failed %d times, want twice, once and never", a.connected, a.silent(), a.failed())
		}
	})
}

// TestFailed: the path is lost 30 s after the peer has gone, and said so once.
func TestFailed(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		b.close()
		start := time.Now()
		for a.failed() == 0 && time.Since(start) < time.Minute {
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := a.failed(); n != 1 {
			t.Errorf("failed %d times, want once", n)
		}
		if n := b.failed(); n != 0 {
			t.Errorf("the closed end failed %d times", n)
		}
	})
}

func (e *end) failed() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.failures)
}

func TestICERestart(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		first := a.media.remote
		for _, ends := range [][2]*end{{a, b}, {b, a}} {
			offer, answer := exchangeWith(t, ends[0], ends[1], session.OfferOptions{ICERestart: true}, session.OfferOptions{})
			if !strings.Contains(string(offer.Body), "a=candidate") || !strings.Contains(string(answer.Body), "a=candidate") {
				t.Errorf("no candidates after the restart:\n%s\n%s", offer.Body, answer.Body)
			}
			time.Sleep(5 * time.Second)
			wantAudio(t, a, b, true, true)
		}
		if a.media.remote.sameICE(&first) {
			t.Error("ICE credentials did not change")
		}
	})
}

// TestAnswerWithTheOtherRole: who answers an ICE restart, or what comes after it, with the other role keeps the
// association all the same, as Firefox does.
func TestAnswerWithTheOtherRole(t *testing.T) {
	swap := strings.NewReplacer("a=setup:active", "a=setup:passive", "a=setup:passive", "a=setup:active")
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		ctx := context.Background()
		for _, restart := range []bool{true, false} {
			for _, ends := range [][2]*end{{a, b}, {b, a}} {
				offer := ok[session.Description](t)(ends[0].media.Offer(ctx, session.OfferOptions{ICERestart: restart}))
				answer, _, err := ends[1].media.Answer(ctx, offer, session.OfferOptions{})
				if err != nil {
					t.Fatal(err)
				}
				answer.Body = []byte(swap.Replace(string(answer.Body)))
				if _, err := ends[0].media.SetAnswer(ctx, answer, session.AnswerInfo{}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Second)
				wantAudio(t, a, b, true, true)
			}
		}
	})
}

func TestGatherTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		va, silent := n.host("10.0.0.1"), n.host("10.0.0.9")
		n.start()
		conn, err := silent.ListenPacket("udp4", "10.0.0.9:3478")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, d := range []time.Duration{0, 300 * time.Millisecond} {
			a := newEnd(t, va, Options{STUNServers: []string{"stun:10.0.0.9:3478"}, GatherTimeout: d})
			start := time.Now()
			offer := ok[session.Description](t)(a.media.Offer(context.Background(), session.OfferOptions{}))
			want := d
			if d == 0 {
				want = time.Second
			}
			if got := time.Since(start); got != want {
				t.Errorf("offer took %v, want %v", got, want)
			}
			if body := string(offer.Body); !strings.Contains(body, "typ host") || strings.Contains(body, "end-of-candidates") {
				t.Errorf("want a host candidate and more to come:\n%s", body)
			}
			start = time.Now()
			a.close()
			if got := time.Since(start); got != 0 {
				t.Errorf("Close waited %v for the server", got)
			}
		}
	})
}

// TestSourceNamed: the first offer names the stream that its packets then have,
// though pion binds it only with the answer (RFC 5576 §4.1).
func TestSourceNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		va, vb := n.host("10.0.0.1"), n.host("10.0.0.2")
		n.start()
		a, b := newEnd(t, va, Options{}), newEnd(t, vb, Options{})
		defer b.close()
		defer a.close()
		offer, answer := exchange(t, a, b, false)
		for _, e := range []*end{a, b} {
			ok[Codec](t)(e.track.Ready(t.Context()))
		}
		for _, x := range []struct {
			d        session.Description
			from, to *end
		}{{offer, a, b}, {answer, b, a}} {
			x.from.talk(1)
			p := ok[*rtp.Packet](t)(x.to.in.ReadRTP())
			if want := fmt.Sprintf("\r\na=ssrc:%d cname:", p.SSRC); !strings.Contains(string(x.d.Body), want) {
				t.Errorf("no %q in\n%s", want, x.d.Body)
			}
		}
	})
}

// TestPathSoon: a peer with ICE lite, as gateways are, sends no checks of its
// own. The path is up when ours are answered, not at pion's next look at them.
func TestPathSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		va, vb := n.host("10.0.0.1"), n.host("10.0.0.2")
		n.start()
		a, b := newEnd(t, va, Options{}), newEnd(t, vb, Options{SettingEngine: func(s *webrtc.SettingEngine) { s.SetLite(true) }})
		defer b.close()
		defer a.close()
		ctx := t.Context()
		offer := ok[session.Description](t)(a.media.Offer(ctx, session.OfferOptions{}))
		answer, _, err := b.media.Answer(ctx, offer, session.OfferOptions{})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := a.media.SetAnswer(ctx, edit(answer, "t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n"), session.AnswerInfo{}); err != nil {
			t.Fatal(err)
		}
		ok[Codec](t)(a.track.Ready(ctx))
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("the path took %v", took)
		}
		ok[Codec](t)(b.track.Ready(ctx))
		wantAudio(t, a, b, true, true)
	})
}
