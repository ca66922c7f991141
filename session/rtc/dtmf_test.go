package rtc

import (
	"context"
	"errors"
	"fmt"
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
		full := map[uint32]int{}
		for i, p := range tap.packets {
			if p.Marker != (i == 0) {
				t.Errorf("packet %d has marker %v", i, p.Marker)
			}
			if i > 0 && p.SequenceNumber != tap.packets[i-1].SequenceNumber+1 {
				t.Errorf("packet %d has number %d after %d", i, p.SequenceNumber, tap.packets[i-1].SequenceNumber)
			}
			if end := p.Payload[1]&0x80 != 0; end != (i >= len(tap.packets)-finalPackets) {
				t.Errorf("packet %d has end %v", i, end)
			}
			if p.Payload[2] == 0xFF && p.Payload[3] == 0xFF {
				full[p.Timestamp-tap.packets[0].Timestamp]++
			}
			stamps = append(stamps, p.Timestamp-tap.packets[0].Timestamp)
		}
		if got := slices.Compact(stamps); !slices.Equal(got, []uint32{0, 0xFFFF, 2 * 0xFFFF}) {
			t.Errorf("segments begin at %v", got)
		}
		if full[0] != finalPackets || full[0xFFFF] != finalPackets || len(full) != 2 {
			t.Errorf("full segments are reported %v times, want 3 each", full)
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
		hold := session.OfferOptions{Hold: true}
		exchangeWith(t, b, a, hold, session.OfferOptions{})
		for _, e := range []*end{a, b} { // whoever holds
			if err := e.media.SendDTMF(ctx, '1', time.Second); !errors.Is(err, session.ErrNotSending) {
				t.Errorf("on hold: %v, want ErrNotSending", err)
			}
		}
	})
}

// TestDTMFAside: while a digit lasts the call goes on; a second digit waits, a
// hold and the end of the media cut it short.
func TestDTMFAside(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		ctx := t.Context()
		send := func(digit rune) chan error {
			done := make(chan error, 1)
			go func() { done <- a.media.SendDTMF(ctx, digit, 2*time.Second) }()
			synctest.Wait()
			return done
		}
		start := time.Now()
		one := send('1')
		exchange(t, b, a, false)
		exchangeWith(t, a, b, with(Change{Direction: map[Kind]Direction{Audio: SendOnly}}), with(nil))
		if took := time.Since(start); took > time.Second {
			t.Errorf("two exchanges took %v", took)
		}
		two := send('2')
		if err := errors.Join(<-one, <-two); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := string(b.digits); got != "12" || b.lengths[0] != 2*time.Second || b.lengths[1] != 2*time.Second {
			t.Errorf("b took %q of %v, want 12 of 2s each", got, b.lengths)
		}
		// The format of the digit is not of the call any more: it ends.
		zero := send('0')
		exchangeWith(t, a, b, with(Change{Codecs: []string{"PCMU"}}), with(nil))
		if err := <-zero; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := string(b.digits); got != "120" || b.lengths[2] > 200*time.Millisecond {
			t.Errorf("b took %q of %v, want a short 0", got, b.lengths)
		}
		three := send('3')
		exchange(t, b, a, true)
		if err := <-three; !errors.Is(err, session.ErrNotSending) {
			t.Errorf("hold within a digit: %v, want ErrNotSending", err)
		}
		exchange(t, b, a, false)
		four, five := send('4'), send('5')
		if err := a.media.Close(); err != nil {
			t.Fatal(err)
		}
		for _, done := range []chan error{four, five, send('6')} {
			if err := <-done; !errors.Is(err, session.ErrNotSending) && !errors.Is(err, session.ErrNoDTMF) {
				t.Errorf("digit of closed media: %v", err)
			}
		}
	})
}

// TestEventsOfPeer: only what the peer said it understands is sent to it; it
// says so in one of many ways (RFC 4733 §2.4.1).
func TestEventsOfPeer(t *testing.T) {
	for _, tt := range []struct{ fmtp, answer, sends string }{
		{"a=fmtp:126 0-16\r\n", "0-16", "0D#R"},
		{"a=fmtp:126 0-15\r\n", "0-15", "0D#"},
		{"a=fmtp:126 events=0-15,66,70\r\n", "0-15", "0D#"},
		{"", "0-15", "0D#"},
		{"a=fmtp:126 0-11,16\r\n", "0-11,16", "0#R"},
		{"a=fmtp:126 0,1, 3-4\r\n", "0-1,3-4", "0"},
		{"a=fmtp:126 x-\r\n", "", ""},
		{"a=fmtp:126 32-36\r\n", "", ""},
	} {
		inCall(t, Options{Codecs: []string{"PCMU"}}, Options{Codecs: []string{"PCMU"}}, func(t *testing.T, a, b *end) {
			ctx := t.Context()
			offer := ok[session.Description](t)(a.media.Offer(ctx, with(nil)))
			offer = edit(offer, "a=fmtp:126 0-16\r\n", tt.fmtp)
			answer, _, err := b.media.Answer(ctx, offer, with(nil))
			if err != nil {
				t.Fatal(err)
			}
			d := ok[*description](t)(parseDescription(answer.Body))
			if got, _ := formatAttr(d.media[0].lines, "fmtp", "126"); got != tt.answer {
				t.Errorf("%q is answered with %q, want %q", tt.fmtp, got, tt.answer)
			}
			a.media.Abandon()
			for _, digit := range "0D#R" {
				err := b.media.SendDTMF(ctx, digit, 70*time.Millisecond)
				if strings.ContainsRune(tt.sends, digit) != (err == nil) || err != nil && !errors.Is(err, session.ErrNoDTMF) {
					t.Errorf("%q: sending %c: %v", tt.fmtp, digit, err)
				}
			}
			offer = ok[session.Description](t)(b.media.Offer(ctx, with(nil)))
			if !strings.Contains(string(offer.Body), "a=fmtp:126 0-16\r\n") {
				t.Errorf("an offer has less than we can do:\n%s", offer.Body)
			}
		})
	}
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

// TestDetector feeds event packets as networks and gateways mangle them, on
// both clocks. Each digit is reported once.
func TestDetector(t *testing.T) {
	type packet struct {
		event    byte
		end      bool
		stamp    uint32
		duration uint16
		wait     time.Duration // before it
		back     uint16        // how far its number is behind where it arrives
		ssrc     uint32
	}
	const update = 50 * time.Millisecond
	for _, tt := range []struct {
		name    string
		packets []packet // times are those of a clock of 8000 Hz
		want    string
	}{
		{"end three times", []packet{{event: 1, duration: 400}, {event: 1, end: true, duration: 800}, {event: 1, end: true, duration: 800}, {event: 1, end: true, duration: 800}}, "1:100ms"},
		{"only an end arrives", []packet{{event: 2, end: true, duration: 800}}, "2:100ms"},
		{"only the third end arrives", []packet{{event: 2, duration: 400}, {event: 2, end: true, duration: 800, wait: 3 * update}}, "2:100ms"},
		{"all ends lost", []packet{{event: 3, duration: 400}, {event: 3, duration: 800, wait: update}}, "3:100ms"},
		{"ends lost, next digit", []packet{{event: 3, duration: 400}, {event: 4, stamp: 4000, duration: 400, wait: 2 * update}, {event: 4, end: true, stamp: 4000, duration: 800}}, "3:50ms 4:100ms"},
		{"ends lost, same digit again", []packet{{event: 3, duration: 400}, {event: 3, stamp: 4000, duration: 400, wait: 2 * update}, {event: 3, end: true, stamp: 4000, duration: 800}}, "3:50ms 3:100ms"},
		{"updates change places", []packet{{event: 5, duration: 400}, {event: 5, duration: 1200}, {event: 5, duration: 800, back: 2}, {event: 5, end: true, duration: 1600}}, "5:200ms"},
		{"update after the end", []packet{{event: 5, end: true, duration: 800}, {event: 5, duration: 400, back: 2}}, "5:100ms"},
		{"end after the next digit", []packet{{event: 5, duration: 400}, {event: 6, stamp: 4000, duration: 400}, {event: 5, end: true, duration: 800, back: 2}, {event: 6, end: true, stamp: 4000, duration: 800}}, "5:50ms 6:100ms"},
		{"older event late", []packet{{event: 6, end: true, stamp: 8000, duration: 800}, {event: 5, stamp: 4000, duration: 400, back: 2}}, "6:100ms"},
		{"same digit twice", []packet{{event: 7, end: true, duration: 800}, {event: 7, end: true, duration: 800}, {event: 7, stamp: 4000, duration: 400}, {event: 7, end: true, stamp: 4000, duration: 800}}, "7:100ms 7:100ms"},
		{"timestamps begin anew", []packet{{event: 1, end: true, stamp: 80000, duration: 800}, {event: 2, end: true, stamp: 100, duration: 800}}, "1:100ms 2:100ms"},
		{"numbers begin anew", []packet{{event: 1, end: true, stamp: 80000, duration: 800}, {event: 2, end: true, stamp: 100, duration: 800, back: 5000}, {event: 3, end: true, stamp: 4000, duration: 800, back: 5000}}, "1:100ms 2:100ms 3:100ms"},
		{"another SSRC", []packet{{event: 1, duration: 400, stamp: 80000}, {event: 1, end: true, stamp: 100, duration: 800, back: 5, ssrc: 2}, {event: 1, end: true, stamp: 100, duration: 800, back: 5, ssrc: 2}}, "1:50ms 1:100ms"},
		{"timestamps wrap", []packet{{event: 1, duration: 400, stamp: 1<<32 - 400}, {event: 1, end: true, stamp: 1<<32 - 400, duration: 800}, {event: 2, end: true, stamp: 4000, duration: 800}}, "1:100ms 2:100ms"},
		{"flash", []packet{{event: 16, duration: 400}, {event: 16, end: true, duration: 800}}, "R:100ms"},
		{"a tone and garbage", []packet{{event: 70, end: true, duration: 800}, {event: 255, end: true, stamp: 9, duration: 800}}, ""},
	} {
		for _, hz := range []uint32{8000, 48000} {
			t.Run(fmt.Sprint(tt.name, " at ", hz), func(t *testing.T) {
				detect(t, hz, tt.want, func(feed func(rtp.Packet)) {
					for i, p := range tt.packets {
						time.Sleep(p.wait)
						x := rtp.Packet{Payload: eventPayload(p.event, p.end, p.duration*uint16(hz/8000))}
						x.SequenceNumber, x.Timestamp, x.SSRC = uint16(65530+i)-p.back, p.stamp*(hz/8000), p.ssrc
						feed(x)
					}
					feed(rtp.Packet{Payload: []byte{1, 2}}) // too short
				})
			})
		}
	}
}

// TestDetectorSegments: events that are longer than one report can say, and
// several that share a packet (RFC 4733 §2.5.1.3, §2.5.1.5).
func TestDetectorSegments(t *testing.T) {
	long := func(stamp uint32, end bool, durations ...uint16) (out []rtp.Packet) {
		for _, d := range durations {
			out = append(out, rtp.Packet{Header: rtp.Header{Timestamp: stamp}, Payload: eventPayload(8, end, d)})
		}
		return out
	}
	for _, tt := range []struct {
		name    string
		packets [][]rtp.Packet
		want    string
	}{
		{"segments", [][]rtp.Packet{long(0, false, 400, 0xFFFF), long(0xFFFF, false, 400), long(0xFFFF, true, 1, 1, 1)}, "8:8.241875s"},
		{"boundary three times", [][]rtp.Packet{long(0, false, 0xFFFF, 0xFFFF, 0xFFFF), long(0xFFFF, true, 400)}, "8:8.241875s"},
		{"boundary lost", [][]rtp.Packet{long(0, false, 400, 64000), long(0xFFFF, true, 400)}, "8:8.241875s"},
		{"three segments", [][]rtp.Packet{long(0, false, 0xFFFF), long(0xFFFF, false, 0xFFFF), long(2*0xFFFF, true, 400)}, "8:16.43375s"},
		{"two in a packet", [][]rtp.Packet{{{Payload: append(eventPayload(1, true, 800), eventPayload(2, true, 400)...)}}}, "1:100ms 2:50ms"},
		{"the second goes on", [][]rtp.Packet{{{Payload: append(eventPayload(1, true, 800), eventPayload(2, false, 400)...)}},
			{{Header: rtp.Header{Timestamp: 800}, Payload: eventPayload(2, true, 1200)}}}, "1:100ms 2:150ms"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			detect(t, 8000, tt.want, func(feed func(rtp.Packet)) {
				n := uint16(0)
				for _, ps := range tt.packets {
					for _, p := range ps {
						p.SequenceNumber = n
						n++
						feed(p)
					}
				}
			})
		})
	}
}

// detect gives a detector packets and a second to think about them.
func detect(t *testing.T, hz uint32, want string, f func(feed func(rtp.Packet))) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		d := &detector{report: func(r rune, d time.Duration) { got = append(got, string(r)+":"+d.String()) }}
		f(func(p rtp.Packet) { d.packet(&p, hz) })
		time.Sleep(time.Second)
		synctest.Wait()
		if s := strings.Join(got, " "); s != want {
			t.Errorf("reported %q, want %q", s, want)
		}
	})
}

func eventPayload(event byte, end bool, duration uint16) []byte {
	b := []byte{event, 10, byte(duration >> 8), byte(duration)}
	if end {
		b[1] |= 0x80
	}
	return b
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
