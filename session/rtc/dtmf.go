package rtc

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/pion/rtp"

	"github.com/gosipua/sipua/session"
)

// events are the DTMF digits in the order of their event codes, and R for the
// hook flash (RFC 4733 §3.2).
const events = "0123456789*#ABCDR"

// Times of RFC 4733.
const (
	updateInterval = 50 * time.Millisecond  // between reports of one event, §2.5.1.2
	finalPackets   = 3                      // reports of its end, §2.5.1.4
	eventVolume    = 10                     // -10 dBm0, §2.3.3
	softState      = 3 * 3 * updateInterval // silence after which an event is over, §2.5.2.5
)

// pathWait is how long a digit waits for a path that is not up yet.
const pathWait = 2 * time.Second

// SendDTMF sends one digit, or R for a hook flash, as RFC 4733 events in place
// of audio and returns when it is sent. It may be called beside the other
// methods; digits go one after the other. The error is [session.ErrNoDTMF]
// where the call did not negotiate that event, [session.ErrNotSending] where it
// does not send, or ctx's cause.
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
	codec, ok := s.eventCodec(event)
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
func (s *sender) eventCodec(event int) (Codec, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found Codec
	for _, c := range s.codecs {
		if c.events() && parseEvents(c.Fmtp).has(event) && (found.Name == "" || c.ClockRate == s.rate()) {
			found = c
		}
	}
	return found, found.Name != ""
}

// negotiated reports whether c is a format of the call.
func (s *sender) negotiated(c Codec) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.codecs, func(x Codec) bool { return x.PayloadType == c.PayloadType })
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
		if !s.negotiated(c) { // no longer, and nothing more may be sent in it than the end
			total = min(at, total)
		}
		at = min(at, total)
		for at-segment > 0xFFFF { // §2.5.1.3
			for range finalPackets { // at once, for the next segment has begun
				if err := s.report(r, 0xFFFF, false); err != nil {
					return err
				}
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
	ssrc     uint32 // guarded by mu: of the newest packet
	seq      uint16 // guarded by mu: its number
	event    byte   // guarded by mu
	stamp    uint32 // guarded by mu: of its present segment
	before   uint32 // guarded by mu: length of its earlier segments
	duration uint16 // guarded by mu: of the present segment
	clock    uint32 // guarded by mu
	silence  *time.Timer
	closed   bool // guarded by mu
}

// packet takes a telephone-event packet on a clock of hz. Events that follow
// each other without a pause may share one (RFC 4733 §2.5.1.5).
func (d *detector) packet(p *rtp.Packet, hz uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || hz == 0 {
		return
	}
	if d.seen && p.SSRC != d.ssrc { // a gateway has put somebody else through
		d.finish()
		d.seen = false
	}
	behind := int16(p.SequenceNumber - d.seq)
	if d.seen && behind < 0 && behind > -reordered && d.clock == hz && int32(p.Timestamp-d.stamp) < 0 {
		return // late, of an event that is over
	}
	if !d.seen || behind > 0 || behind <= -reordered {
		d.seq = p.SequenceNumber
	}
	d.ssrc = p.SSRC
	stamp := p.Timestamp
	for b := p.Payload; len(b) >= 4; b = b[4:] {
		duration := binary.BigEndian.Uint16(b[2:])
		if int(b[0]) < len(events) {
			d.take(b[0], b[1]&0x80 != 0, stamp, duration, hz)
		}
		stamp += uint32(duration)
	}
}

// take takes one event report. d.mu is held.
func (d *detector) take(event byte, end bool, stamp uint32, duration uint16, hz uint32) {
	since := stamp - d.stamp
	switch {
	case d.seen && since == 0 && event == d.event:
		if !d.live {
			return // the end once more
		}
		d.duration = max(d.duration, duration)
	case d.live && event == d.event && (since == uint32(d.duration) || since == 0xFFFF):
		d.before += since // the next segment, RFC 4733 §2.5.1.3
		d.stamp, d.duration = stamp, duration
	default:
		d.finish()
		d.seen, d.live, d.event, d.stamp = true, true, event, stamp
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
