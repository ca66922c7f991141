package rtc

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/gosipua/sipua/session"
)

// TestTimeline: packets are numbered without a break whatever comes in.
func TestTimeline(t *testing.T) {
	type step struct {
		do    string // write, drop or insert
		seq   uint16
		stamp uint32
		ssrc  uint32
		wait  time.Duration // before it
		seqTo uint16        // of the packet out, from the first
		at    uint32
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"in order", []step{{"write", 7, 100, 1, 0, 0, 0}, {"write", 8, 260, 1, 0, 1, 160}}},
		{"a loss of the source stays one", []step{{"write", 7, 100, 1, 0, 0, 0}, {"write", 9, 420, 1, 0, 2, 320}}},
		{"a late packet keeps its place", []step{{"write", 7, 100, 1, 0, 0, 0}, {"write", 9, 420, 1, 0, 2, 320}, {"write", 8, 260, 1, 0, 1, 160}, {"write", 10, 580, 1, 0, 3, 480}}},
		{"what is dropped leaves no gap", []step{{"write", 7, 100, 1, 0, 0, 0}, {"drop", 8, 260, 1, 0, 0, 0}, {"drop", 9, 420, 1, 0, 0, 0}, {"write", 10, 580, 1, 0, 1, 480}}},
		{"what is inserted shifts the rest", []step{{"write", 7, 100, 1, 0, 0, 0}, {"insert", 0, 0, 0, 0, 1, 0}, {"insert", 0, 0, 0, 0, 2, 0}, {"write", 8, 260, 1, 0, 3, 160}}},
		{"wrap", []step{{"write", 65535, 0xFFFFFFFF, 1, 0, 0, 0}, {"write", 0, 159, 1, 0, 1, 160}}},
		{"another source goes on in time", []step{{"write", 7, 100, 1, 0, 0, 0}, {"write", 30000, 9, 2, time.Second, 1, 8000}, {"write", 30001, 169, 2, 0, 2, 8160}}},
		{"a jump is another source", []step{{"write", 7, 100, 1, 0, 0, 0}, {"write", 30000, 9, 1, time.Second, 1, 8000}}},
		{"the same file again", []step{{"write", 1, 0, 1, 0, 0, 0}, {"write", 2, 160, 1, 0, 1, 160}, {"write", 1, 0, 1, time.Second, 2, 8160}, {"write", 2, 160, 1, 0, 3, 8320}}},
		{"drop first", []step{{"drop", 7, 100, 1, 0, 0, 0}, {"write", 8, 260, 1, 0, 0, 0}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				line := newTimeline()
				first, zero := line.seq+1, line.stamp
				for i, s := range tt.steps {
					time.Sleep(s.wait)
					h := &rtp.Header{SequenceNumber: s.seq, Timestamp: s.stamp, SSRC: s.ssrc}
					switch s.do {
					case "drop":
						line.drop(h)
						continue
					case "insert":
						line.insert(h)
					default:
						line.next(h, 8000)
						if at := h.Timestamp - zero; at != s.at {
							t.Errorf("step %d is at %d, want %d", i, at, s.at)
						}
					}
					if got := h.SequenceNumber - first; got != s.seqTo {
						t.Errorf("step %d has number %d, want %d", i, got, s.seqTo)
					}
				}
			})
		})
	}
}

// TestEcho sends back what is heard, across a hold.
func TestEcho(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		ctx, cancel := context.WithCancel(context.Background())
		in := b.media.call.subscribe(ctx, Audio)
		done := make(chan error, 1)
		go func() {
			for {
				p, err := in.ReadRTP()
				if err != nil {
					done <- err
					return
				}
				if err := b.track.WriteRTP(p); err != nil {
					done <- err
					return
				}
			}
		}()
		a.talk(10)
		exchange(t, a, b, true)
		a.talk(10)
		exchange(t, a, b, false)
		a.talk(10)
		synctest.Wait()
		if n := a.heard(); n != 20 {
			t.Errorf("heard %d of 20 packets again", n)
		}
		if c, known := in.Codec(); !known || c.Name != "opus" || in.Kind() != Audio {
			t.Errorf("codec is %v, %v", c, known)
		}
		cancel()
		if err := <-done; err != io.EOF {
			t.Errorf("after the call: %v, want EOF", err)
		}
	})
}

// TestSlowReader: who reads too slowly hears the newest.
func TestSlowReader(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		a.talk(backlog + 10)
		p := ok[*rtp.Packet](t)(b.in.ReadRTP())
		if p.Payload[3] != 10 {
			t.Errorf("the oldest packet kept is %d, want 10", p.Payload[3])
		}
		if n := b.heard(); n != backlog-1 {
			t.Errorf("%d packets were kept, want %d", n+1, backlog)
		}
	})
}

// TestReaders: each has every packet to itself, and its header.
func TestReaders(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		other := b.media.call.subscribe(context.Background(), Audio)
		a.talk(1)
		p, q := ok[*rtp.Packet](t)(b.in.ReadRTP()), ok[*rtp.Packet](t)(other.ReadRTP())
		p.SequenceNumber++
		if q.SequenceNumber == p.SequenceNumber {
			t.Error("two readers share a header")
		}
	})
}

// TestSamples: the first packet leaves as soon as Ready says so, and samples
// move the clock of the codec.
func TestSamples(t *testing.T) {
	tap := &wiretap{}
	o := Options{Codecs: []string{"pcma"}, Interceptors: []interceptor.Factory{tap}}
	bubble(t, o, 2, func(t *testing.T, ends []*end) {
		a, b := ends[0], ends[1]
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Second, errors.New("patience"))
		defer cancel()
		if _, err := a.track.Ready(ctx); err == nil || err.Error() != "patience" {
			t.Errorf("Ready without a call: %v", err)
		}
		if _, known := a.track.Codec(); known {
			t.Error("a codec without a call")
		}
		s := Sample{Data: make([]byte, 240), Duration: 30 * time.Millisecond}
		if err := a.track.WriteSample(s); err != nil { // nobody to send it to
			t.Fatal(err)
		}
		exchange(t, a, b, false)
		if err := a.track.WriteSample(s); err != nil { // perhaps no path yet
			t.Fatal(err)
		}
		c := ok[Codec](t)(a.track.Ready(context.Background()))
		if c.String() != "PCMA/8000" || c.PayloadType != 8 {
			t.Errorf("codec is %+v", c)
		}
		synctest.Wait()
		b.heard()
		tap.packets = nil
		for range 3 {
			if err := a.track.WriteSample(s); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := b.heard(); n != 3 {
			t.Errorf("b heard %d packets, want 3", n)
		}
		for i, p := range tap.packets[1:] {
			if d := p.Timestamp - tap.packets[i].Timestamp; d != 240 {
				t.Errorf("timestamps are %d apart, want 240", d)
			}
		}
		a.close()
		if err := a.track.WriteSample(s); err != nil { // the call is over
			t.Errorf("after the call: %v", err)
		}
		if _, known := a.track.Codec(); known {
			t.Error("a codec after the call")
		}
	})
}

// TestOneTrackTwoCalls: a track that two calls share goes to both where they
// agreed on one codec.
func TestOneTrackTwoCalls(t *testing.T) {
	bubble(t, Options{}, 4, func(t *testing.T, ends []*end) {
		a, b, c, d := ends[0], ends[1], ends[2], ends[3]
		c.sends(a.track)
		exchange(t, a, b, false)
		exchange(t, c, d, false)
		time.Sleep(time.Second)
		a.talk(5)
		if x, y := b.heard(), d.heard(); x != 5 || y != 5 {
			t.Errorf("heard %d and %d packets, want 5 each", x, y)
		}
	})
}

// TestOneTrackTwoCodecs: where they did not, it goes to the call that came last.
func TestOneTrackTwoCodecs(t *testing.T) {
	bubble(t, Options{}, 4, func(t *testing.T, ends []*end) {
		a, b, c, d := ends[0], ends[1], ends[2], ends[3]
		c.options.Codecs = []string{"PCMU"}
		c.sends(a.track)
		exchange(t, a, b, false)
		exchange(t, c, d, false)
		time.Sleep(time.Second)
		a.talk(5)
		if x, y := b.heard(), d.heard(); x != 0 || y != 5 {
			t.Errorf("heard %d and %d packets, want 0 and 5", x, y)
		}
		c.close()
		a.talk(5)
		if x := b.heard(); x != 5 {
			t.Errorf("heard %d packets, want 5", x)
		}
	})
}

// TestConcurrent uses a call from everywhere at once and ends it under way.
func TestConcurrent(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		stop := make(chan struct{})
		var wg sync.WaitGroup
		loop := func(f func()) {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
						f()
					}
				}
			})
		}
		for _, e := range []*end{a, b} {
			n := uint16(0)
			loop(func() {
				n++
				if err := e.track.WriteRTP(&rtp.Packet{Header: rtp.Header{SequenceNumber: n}, Payload: []byte{1}}); err != nil {
					t.Errorf("WriteRTP: %v", err)
				}
			})
			loop(func() { e.media.Stats() })
			loop(func() { e.track.Codec() })
			loop(func() { e.media.PeerConnection().ConnectionState() })
		}
		for i := range 20 {
			exchange(t, a, b, i%2 == 0)
			b.media.Mute(session.MuteSet{Audio: true}, i%3 == 0)
			time.Sleep(10 * time.Millisecond)
		}
		a.close()
		b.close()
		close(stop)
		wg.Wait()
	})
}

// TestLoopback is a call over real sockets of this machine.
func TestLoopback(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	track := NewTrack(Audio)
	o := Options{Loopback: true, Tracks: []Track{track}, SettingEngine: func(s *webrtc.SettingEngine) {
		s.SetInterfaceFilter(func(name string) bool { return name == "lo" || name == "lo0" })
	}}
	caller := ok[session.Media](t)(New(o).NewMedia(session.MediaOptions{Events: noEvents()}))
	defer caller.Close()
	o.Tracks = nil
	callee := ok[session.Media](t)(New(o).NewMedia(session.MediaOptions{Events: noEvents()}))
	defer callee.Close()
	in := callee.(*Media).call.subscribe(ctx, Audio)
	offer := ok[session.Description](t)(caller.Offer(ctx, session.OfferOptions{}))
	answer, _, err := callee.Answer(ctx, offer, session.OfferOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ok[session.MediaState](t)(caller.SetAnswer(ctx, answer, session.AnswerInfo{}))
	ok[Codec](t)(track.Ready(ctx))
	if err := track.WriteSample(Sample{Data: []byte{1, 2, 3}, Duration: 20 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if p := ok[*rtp.Packet](t)(in.ReadRTP()); !slices.Equal(p.Payload, []byte{1, 2, 3}) {
		t.Errorf("heard %v", p.Payload)
	}
}
