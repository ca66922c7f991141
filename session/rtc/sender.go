package rtc

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// sender stands between the application's track and pion, one for each kind
// and PeerConnection. It lets packets through or drops them, never keeps them,
// and makes one unbroken RTP stream of what passes, so that telephone events
// can go in between (RFC 4733 §2.5.1.2).
type sender struct {
	kind     Kind
	id       string // of our msid: that of the first track, however many follow
	stream   string
	cname    string
	counters *counters
	log      *slog.Logger
	ssrc     webrtc.SSRC
	ready    chan struct{}
	digits   chan struct{}   // holds one while a digit is sent
	done     context.Context // ends when closed
	end      context.CancelFunc

	mu       sync.Mutex
	ctx      webrtc.TrackLocalContext // guarded by mu: set while pion has us bound
	track    Track                    // guarded by mu; nil: the application sends nothing
	outlet   *outlet                  // guarded by mu: what track writes to, nil while it is not bound
	codecs   []Codec                  // guarded by mu
	open     bool                     // guarded by mu: the direction lets us send
	muted    bool                     // guarded by mu
	isUp     bool                     // guarded by mu: the path is there
	closed   bool                     // guarded by mu
	dialling bool                     // guarded by mu: an event has the stream
	clock    timeline                 // guarded by mu
}

func newSender(k Kind, t Track, c *counters, log *slog.Logger) *sender {
	s := &sender{kind: k, track: t, id: k.String(), stream: randomID(), cname: randomID(), counters: c, log: log,
		ready: make(chan struct{}), digits: make(chan struct{}, 1), clock: newTimeline()}
	if t != nil {
		s.id, s.stream = t.ID(), t.StreamID()
	}
	s.done, s.end = context.WithCancel(context.Background())
	return s
}

// ID, RID, StreamID and Kind are pion's view of a track.

func (s *sender) ID() string { return s.id }

func (s *sender) RID() string { return "" }

func (s *sender) StreamID() string { return s.stream }

func (s *sender) Kind() webrtc.RTPCodecType { return s.kind.pion() }

// Bind is called by pion when the path is negotiated.
func (s *sender) Bind(ctx webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	s.mu.Lock()
	s.ctx = ctx
	s.mu.Unlock()
	if p := ctx.CodecParameters(); len(p) > 0 {
		return p[0], nil
	}
	return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
}

// Unbind is called by pion when the stream ends.
func (s *sender) Unbind(webrtc.TrackLocalContext) error {
	s.rebind(nil, nil)
	return nil
}

// set is called after each exchange: what may be sent, and whether at all.
func (s *sender) set(g gate, muted bool) {
	s.mu.Lock()
	changed := !slices.Equal(s.codecs, g.codecs) || s.track != g.track
	s.open, s.muted = g.send, muted
	s.mu.Unlock()
	if changed {
		s.rebind(g.codecs, g.track)
	}
}

// rebind lets t be what is sent, in one of the codecs.
func (s *sender) rebind(codecs []Codec, t Track) {
	s.mu.Lock()
	ctx, old, was := s.ctx, s.track, s.outlet
	s.codecs, s.track, s.outlet = codecs, t, nil
	s.clock.cut()
	var now *outlet
	if ctx != nil && len(codecs) > 0 && !s.closed && t != nil {
		now = &outlet{s}
		s.outlet = now
	}
	s.mu.Unlock()
	if was != nil {
		_ = old.Unbind(trackContext{ctx, was, nil})
	}
	if now == nil {
		return
	}
	if _, err := t.Bind(trackContext{ctx, now, codecs}); err != nil {
		s.log.Warn("track cannot send", "kind", s.kind.String(), "error", err)
	}
}

// outlet is where a track writes as long as it is bound.
type outlet struct{ sender *sender }

// up is called when the path is there.
func (s *sender) up() {
	s.mu.Lock()
	first := !s.isUp
	s.isUp = true
	s.mu.Unlock()
	if first {
		close(s.ready)
	}
}

func (s *sender) close() {
	s.end()
	s.mu.Lock()
	s.closed, s.open = true, false // first, so that nothing binds a track again
	s.mu.Unlock()
	s.rebind(nil, nil)
}

// source is what a description says of this stream.
func (s *sender) source() source {
	return source{
		ssrc:  strconv.FormatUint(uint64(s.ssrc), 10),
		cname: s.cname,
		msid:  s.stream + " " + s.id,
	}
}

// WriteRTP takes a packet of the application's track. What cannot be sent now
// is dropped.
func (o *outlet) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	s := o.sender
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outlet != o {
		return len(payload), nil
	}
	if !s.sending() || s.muted || s.dialling {
		s.clock.drop(h)
		return len(payload), nil
	}
	out := *h
	s.clock.next(&out, s.rate())
	return s.write(&out, payload)
}

// Write takes a whole packet.
func (o *outlet) Write(b []byte) (int, error) {
	var p rtp.Packet
	if err := p.Unmarshal(b); err != nil {
		return 0, err
	}
	return o.WriteRTP(&p.Header, p.Payload)
}

// sending reports whether anything may leave. s.mu is held.
func (s *sender) sending() bool { return s.isUp && s.open && s.ctx != nil && !s.closed }

// write sends a packet of the stream. s.mu is held.
func (s *sender) write(h *rtp.Header, payload []byte) (int, error) {
	h.Version, h.SSRC = 2, uint32(s.ctx.SSRC())
	n, err := s.ctx.WriteStream().WriteRTP(h, payload)
	if err == nil {
		s.counters.sent(s.kind, len(payload))
	}
	return n, err
}

// rate is the clock of the codec in use. s.mu is held.
func (s *sender) rate() uint32 {
	if len(s.codecs) > 0 {
		return s.codecs[0].ClockRate
	}
	return 8000
}

// trackContext is what a track of the application's sees of pion: the codecs
// that the call negotiated, and us as the way out.
type trackContext struct {
	webrtc.TrackLocalContext
	outlet *outlet
	codecs []Codec
}

func (c trackContext) CodecParameters() []webrtc.RTPCodecParameters {
	out := make([]webrtc.RTPCodecParameters, 0, len(c.codecs))
	for _, codec := range c.codecs {
		out = append(out, codec.pion(c.outlet.sender.kind))
	}
	return out
}

func (c trackContext) WriteStream() webrtc.TrackLocalWriter { return c.outlet }
