package rtc

import (
	"context"
	"encoding/binary"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/pion/rtp"

	"github.com/gosipua/sipua/session"
)

// events are the DTMF digits in the order of their event codes (RFC 4733 §3.2).
const events = "0123456789*#ABCD"

// Times of RFC 4733.
const (
	updateInterval = 50 * time.Millisecond  // between reports of one event, §2.5.1.2
	finalPackets   = 3                      // reports of its end, §2.5.1.4
	eventVolume    = 10                     // -10 dBm0, §2.3.3
	softState      = 3 * 3 * updateInterval // silence after which an event is over, §2.5.2.5
)

// pathWait is how long a digit waits for a path that is not up yet.
const pathWait = 2 * time.Second

// SendDTMF sends one digit as RFC 4733 events, in place of audio, and returns
// when it is sent. The error is [session.ErrNoDTMF] where the call did not
// negotiate them, [session.ErrNotSending] where it does not send, or ctx's cause.
func (m *Media) SendDTMF(ctx context.Context, digit rune, d time.Duration) error {
	event := strings.IndexRune(events, unicode.ToUpper(digit))
	m.mu.Lock()
	s := m.peer.senders[Audio]
	m.mu.Unlock()
	if event < 0 || s == nil {
		return session.ErrNoDTMF
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.done, func() { cancel(session.ErrNotSending) })()
	select {
	case s.digits <- struct{}{}:
		defer func() { <-s.digits }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	codec, ok := s.eventCodec()
	if !ok {
		return session.ErrNoDTMF
	}
	if up, err := wait(ctx, s.ready, pathWait); err != nil {
		return err
	} else if !up {
		return session.ErrNotSending
	}
	return s.sendEvent(ctx, codec, byte(event), d)
}

// eventCodec is the telephone-event format on the clock of the codec in use,
// or else the one there is.
func (s *sender) eventCodec() (Codec, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found Codec
	for _, c := range s.codecs {
		if c.events() && (found.Name == "" || c.ClockRate == s.rate()) {
			found = c
		}
	}
	return found, found.Name != ""
}

// eventRun is one event on its way out. Its times are in units of its clock.
type eventRun struct {
	codec Codec
	event byte
	stamp uint32 // of the segment
	first bool
}

// sendEvent sends an event of duration d and its end, thrice (RFC 4733 §2.5.1).
func (s *sender) sendEvent(ctx context.Context, c Codec, event byte, d time.Duration) error {
	r := &eventRun{codec: c, event: event, first: true}
	if !s.seize(r) {
		return session.ErrNotSending
	}
	defer s.yield()
	ticker := time.NewTicker(updateInterval)
	defer ticker.Stop()
	total := uint64(d) * uint64(c.ClockRate) / uint64(time.Second)
	step := uint64(updateInterval) * uint64(c.ClockRate) / uint64(time.Second)
	segment := uint64(0) // where the present segment began
	for at := step; ; at += step {
		at = min(at, total)
		for at-segment > 0xFFFF { // §2.5.1.3
			if err := s.report(r, 0xFFFF, false); err != nil {
				return err
			}
			segment += 0xFFFF
			r.stamp += 0xFFFF
		}
		if at < total {
			if err := s.report(r, uint16(at-segment), false); err != nil {
				return err
			}
			if err := tick(ctx, ticker); err != nil {
				_ = s.report(r, uint16(at-segment), true)
				return err
			}
			continue
		}
		break
	}
	for i := range finalPackets {
		if i > 0 {
			if err := tick(ctx, ticker); err != nil {
				return err
			}
		}
		if err := s.report(r, uint16(total-segment), true); err != nil {
			return err
		}
	}
	return nil
}

func tick(ctx context.Context, t *time.Ticker) error {
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// seize takes the stream from the audio, at the timestamp of this moment.
func (s *sender) seize(r *eventRun) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sending() {
		return false
	}
	s.dialling = true
	r.stamp = s.clock.now(r.codec.ClockRate)
	return true
}

// yield gives it back.
func (s *sender) yield() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialling = false
}

// report sends one event packet (RFC 4733 §2.3).
func (s *sender) report(r *eventRun, duration uint16, end bool) error {
	payload := []byte{r.event, eventVolume, 0, 0}
	if end {
		payload[1] |= 0x80
	}
	binary.BigEndian.PutUint16(payload[2:], duration)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sending() {
		return session.ErrNotSending
	}
	h := rtp.Header{PayloadType: r.codec.PayloadType, Timestamp: r.stamp, Marker: r.first}
	r.first = false
	s.clock.insert(&h)
	_, err := s.write(&h, payload)
	return err
}

// detector makes digits of the event packets of one Media, each reported once
// when it ends: by its end bit, by the next event, or by silence where all
// packets of its end were lost.
type detector struct {
	report func(digit rune, d time.Duration)

	mu       sync.Mutex
	seen     bool   // guarded by mu: an event was received
	live     bool   // guarded by mu: it has not ended
	event    byte   // guarded by mu
	stamp    uint32 // guarded by mu: of its present segment
	before   uint32 // guarded by mu: length of its earlier segments
	duration uint16 // guarded by mu: of the present segment
	clock    uint32 // guarded by mu
	silence  *time.Timer
	closed   bool // guarded by mu
}

// packet takes a telephone-event packet on a clock of hz.
func (d *detector) packet(p *rtp.Packet, hz uint32) {
	if len(p.Payload) < 4 || int(p.Payload[0]) >= len(events) || hz == 0 {
		return
	}
	event, end := p.Payload[0], p.Payload[1]&0x80 != 0
	duration := binary.BigEndian.Uint16(p.Payload[2:])
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return
	case d.seen && p.Timestamp == d.stamp:
		if !d.live {
			return // the end once more
		}
		d.duration = max(d.duration, duration)
	case d.live && event == d.event && p.Timestamp == d.stamp+uint32(d.duration):
		d.before += uint32(d.duration) // the next segment, RFC 4733 §2.5.1.3
		d.stamp, d.duration = p.Timestamp, duration
	case d.seen && int32(p.Timestamp-d.stamp) < 0 && d.clock == hz:
		return // late, of an event that is over
	default:
		d.finish()
		d.seen, d.live, d.event, d.stamp = true, true, event, p.Timestamp
		d.before, d.duration, d.clock = 0, duration, hz
	}
	if end {
		d.finish()
		return
	}
	if d.silence == nil {
		d.silence = time.AfterFunc(softState, d.expire)
	} else {
		d.silence.Reset(softState)
	}
}

func (d *detector) expire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.finish()
}

// finish reports the event under way. d.mu is held.
func (d *detector) finish() {
	if !d.live || d.closed {
		return
	}
	d.live = false
	if d.silence != nil {
		d.silence.Stop()
	}
	units := time.Duration(d.before) + time.Duration(d.duration)
	d.report(rune(events[d.event]), units*time.Second/time.Duration(d.clock))
}

func (d *detector) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.silence != nil {
		d.silence.Stop()
	}
}
