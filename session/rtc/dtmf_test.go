package rtc

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"

	"github.com/gosipua/sipua/session"
)

// TestDTMF sends every digit over both clocks and reads what went out.
func TestDTMF(t *testing.T) {
	for _, tt := range []struct {
		name   string
		codecs []string
		pt     uint8
		hz     uint32
	}{
		{"clock of Opus", nil, 110, 48000},
		{"clock of PCMU", []string{"PCMU"}, 126, 8000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tap := &wiretap{}
			ao := Options{Codecs: tt.codecs, Interceptors: []interceptor.Factory{tap}}
			inCall(t, ao, Options{}, func(t *testing.T, a, b *end) {
				a.talk(2)
				tap.packets = nil
				start := time.Now()
				if err := a.media.SendDTMF(context.Background(), '5', 100*time.Millisecond); err != nil {
					t.Fatal(err)
				}
				// 50 ms and the end at 100 ms, twice more 50 ms apart
				if got := time.Since(start); got != 150*time.Millisecond {
					t.Errorf("sending took %v, want 150ms", got)
				}
				synctest.Wait()
				wantEvent(t, tap.packets, tt.pt, 5, []uint16{uint16(tt.hz / 20), uint16(tt.hz / 10), uint16(tt.hz / 10), uint16(tt.hz / 10)})
				for _, d := range events + "d" {
					if err := a.media.SendDTMF(context.Background(), d, 70*time.Millisecond); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				if got, want := string(b.digits), "5"+events+"D"; got != want {
					t.Errorf("b took the digits %q, want %q", got, want)
				}
				if b.lengths[0] != 100*time.Millisecond || b.lengths[1] != 70*time.Millisecond {
					t.Errorf("lengths are %v, want 100ms, 70ms", b.lengths[:2])
				}
				if n := b.heard(); n != 2 {
					t.Errorf("b heard %d packets of audio, want the 2 before the digits", n)
				}
				wantAudio(t, a, b, true, true)
			})
		})
	}
}

// wantEvent checks the packets of one event: one SSRC, sequence numbers in a
// row, one timestamp, the marker on the first, the end on the last three.
func wantEvent(t *testing.T, got []rtp.Packet, pt, event uint8, durations []uint16) {
	t.Helper()
	if len(got) != len(durations) {
		t.Fatalf("%d packets, want %d", len(got), len(durations))
	}
	for i, p := range got {
		end := i >= len(got)-3
		duration := uint16(p.Payload[2])<<8 | uint16(p.Payload[3])
		switch {
		case p.PayloadType != pt:
			t.Errorf("packet %d has payload type %d, want %d", i, p.PayloadType, pt)
		case p.SSRC != got[0].SSRC || p.SequenceNumber != got[0].SequenceNumber+uint16(i) || p.Timestamp != got[0].Timestamp:
			t.Errorf("packet %d does not follow: %v after %v", i, p.Header, got[0].Header)
		case p.Marker != (i == 0):
			t.Errorf("packet %d has marker %v", i, p.Marker)
		case p.Payload[0] != event || (p.Payload[1]&0x80 != 0) != end || duration != durations[i]:
			t.Errorf("packet %d is %x, want event %d, end %v, duration %d", i, p.Payload, event, end, durations[i])
		}
	}
}

// TestDTMFInterleaved: audio goes on where it was after a digit.
func TestDTMFInterleaved(t *testing.T) {
	tap := &wiretap{}
	inCall(t, Options{Codecs: []string{"PCMU"}, Interceptors: []interceptor.Factory{tap}}, Options{}, func(t *testing.T, a, b *end) {
		done := make(chan error)
		go func() {
			time.Sleep(50 * time.Millisecond)
			done <- a.media.SendDTMF(context.Background(), '1', 100*time.Millisecond)
		}()
		a.talk(20) // 400 ms
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		audio := 0
		for i, p := range tap.packets {
			if i > 0 && p.SequenceNumber != tap.packets[i-1].SequenceNumber+1 {
				t.Errorf("sequence number %d follows %d", p.SequenceNumber, tap.packets[i-1].SequenceNumber)
			}
			if p.PayloadType == 0 {
				audio++
				if at := p.Timestamp - tap.packets[0].Timestamp; at%160 != 0 || at > 19*160 {
					t.Errorf("audio at %d, off its own clock", at)
				}
			} else if at := p.Timestamp - tap.packets[0].Timestamp; at != 400 {
				t.Errorf("event at %d, want 400: 50 ms", at)
			}
		}
		if audio >= 20 || audio < 10 {
			t.Errorf("%d of 20 packets of audio went out, want those outside the event", audio)
		}
	})
}

// TestDTMFLong is an event longer than its duration field (RFC 4733 §2.5.1.3).
func TestDTMFLong(t *testing.T) {
	tap := &wiretap{}
	inCall(t, Options{Interceptors: []interceptor.Factory{tap}}, Options{}, func(t *testing.T, a, b *end) {
		if err := a.media.SendDTMF(context.Background(), '#', 3*time.Second); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if string(b.digits) != "#" || b.lengths[0] != 3*time.Second {
			t.Errorf("b took %q of %v, want # of 3s", string(b.digits), b.lengths)
		}
		var stamps []uint32
		for i, p := range tap.packets {
			if p.Marker != (i == 0) {
				t.Errorf("packet %d has marker %v", i, p.Marker)
			}
			stamps = append(stamps, p.Timestamp-tap.packets[0].Timestamp)
		}
		if got := slices.Compact(stamps); !slices.Equal(got, []uint32{0, 0xFFFF, 2 * 0xFFFF}) {
			t.Errorf("segments begin at %v", got)
		}
	})
}

func TestDTMFRefused(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		ctx := context.Background()
		if err := a.media.SendDTMF(ctx, 'x', time.Second); !errors.Is(err, session.ErrNoDTMF) {
			t.Errorf("x: %v, want ErrNoDTMF", err)
		}
		gone, cancel := context.WithCancelCause(ctx)
		time.AfterFunc(60*time.Millisecond, func() { cancel(errors.New("bye")) })
		if err := a.media.SendDTMF(gone, '1', time.Second); err == nil || err.Error() != "bye" {
			t.Errorf("canceled: %v, want the cause", err)
		}
		synctest.Wait()
		if string(b.digits) != "1" {
			t.Errorf("a digit cut short came as %q, want 1", string(b.digits))
		}
		exchangeWith(t, b, a, session.OfferOptions{Hold: true}, session.OfferOptions{})
		if err := a.media.SendDTMF(ctx, '1', time.Second); !errors.Is(err, session.ErrNotSending) {
			t.Errorf("on hold: %v, want session.ErrNotSending", err)
		}
	})
}

// TestNoEvents: a peer without telephone-event.
func TestNoEvents(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		offer := ok[session.Description](t)(a.media.Offer(context.Background(), session.OfferOptions{}))
		offer.Body = []byte(strings.NewReplacer(" 110 126\r\n", "\r\n").Replace(string(offer.Body)))
		if _, _, err := b.media.Answer(context.Background(), offer, session.OfferOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := b.media.SendDTMF(context.Background(), '1', time.Second); !errors.Is(err, session.ErrNoDTMF) {
			t.Errorf("got %v, want ErrNoDTMF", err)
		}
	})
}

// TestDetector feeds event packets as networks mangle them.
func TestDetector(t *testing.T) {
	type packet struct {
		event    byte
		end      bool
		stamp    uint32
		duration uint16
		wait     time.Duration // before it
	}
	for _, tt := range []struct {
		name    string
		packets []packet
		want    string
	}{
		{"end three times", []packet{{1, false, 0, 400, 0}, {1, true, 0, 800, 0}, {1, true, 0, 800, 0}, {1, true, 0, 800, 0}}, "1:100ms"},
		{"only an end arrives", []packet{{2, true, 0, 800, 0}}, "2:100ms"},
		{"all ends lost", []packet{{3, false, 0, 400, 0}, {3, false, 0, 800, 50 * time.Millisecond}}, "3:100ms"},
		{"ends lost, next digit", []packet{{3, false, 0, 400, 0}, {4, false, 4000, 400, 100 * time.Millisecond}, {4, true, 4000, 800, 0}}, "3:50ms 4:100ms"},
		{"update after the end", []packet{{5, true, 0, 800, 0}, {5, false, 0, 400, 0}}, "5:100ms"},
		{"older event late", []packet{{6, true, 8000, 800, 0}, {5, false, 4000, 400, 0}}, "6:100ms"},
		{"same digit twice", []packet{{7, true, 0, 800, 0}, {7, true, 0, 800, 0}, {7, false, 4000, 400, 0}, {7, true, 4000, 800, 0}}, "7:100ms 7:100ms"},
		{"segments", []packet{{8, false, 0, 0xFFFF, 0}, {8, false, 0xFFFF, 400, 50 * time.Millisecond}, {8, true, 0xFFFF, 1, 0}}, "8:8.241875s"},
		{"flash and garbage", []packet{{16, true, 0, 800, 0}, {255, true, 9, 800, 0}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []string
				d := &detector{report: func(r rune, d time.Duration) { got = append(got, string(r)+":"+d.String()) }}
				for _, p := range tt.packets {
					time.Sleep(p.wait)
					b := []byte{p.event, 10, byte(p.duration >> 8), byte(p.duration)}
					if p.end {
						b[1] |= 0x80
					}
					d.packet(&rtp.Packet{Header: rtp.Header{Timestamp: p.stamp}, Payload: b}, 8000)
				}
				d.packet(&rtp.Packet{Payload: []byte{1, 2}}, 8000) // too short
				time.Sleep(time.Second)
				synctest.Wait()
				if s := strings.Join(got, " "); s != tt.want {
					t.Errorf("reported %q, want %q", s, tt.want)
				}
			})
		})
	}
}

// wiretap is an interceptor that keeps what goes out.
type wiretap struct {
	interceptor.NoOp
	packets []rtp.Packet
}

func (w *wiretap) NewInterceptor(string) (interceptor.Interceptor, error) { return w, nil }

func (w *wiretap) BindLocalStream(_ *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		w.packets = append(w.packets, rtp.Packet{Header: h.Clone(), Payload: slices.Clone(payload)})
		return next.Write(h, payload, a)
	})
}

// TestDTMFAlone: digits of a call that sends no audio have times of their own,
// by which alone a receiver tells one from the next (RFC 4733 §2.5.1.2).
func TestDTMFAlone(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		for _, d := range "112" {
			if err := a.media.SendDTMF(context.Background(), d, 100*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if got := string(b.digits); got != "112" {
			t.Errorf("b took the digits %q, want 112", got)
		}
	})
}
