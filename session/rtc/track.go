package rtc

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

// Sample is one frame of encoded media and its duration.
type Sample = media.Sample

// LocalTrack is media that an application writes. It goes out on every call
// that has it among its tracks, in whatever codec the call negotiated, and
// stays the same value when a call changes its PeerConnection.
//
// What is written while a call cannot send it, before its path is up or while
// it is held or muted, is dropped there and never queued. All methods may be
// called from any goroutine.
type LocalTrack struct {
	kind   Kind
	id     string
	stream string

	mu      sync.Mutex
	outs    []*output     // guarded by mu; replaced, never changed in place
	changed chan struct{} // guarded by mu; closed when outs changes
}

// output is one call's way out of a track.
type output struct {
	id     string
	codec  Codec
	writer webrtc.TrackLocalWriter
	ready  <-chan struct{}

	mu         sync.Mutex
	packetizer rtp.Packetizer // guarded by mu; made by the first sample
}

// NewTrack returns a track of a kind that is not connected to anything yet: a
// call binds it when it is among its [Options].Tracks.
func NewTrack(kind Kind) *LocalTrack {
	return &LocalTrack{kind: kind, id: randomID(), stream: randomID(), changed: make(chan struct{})}
}

// ID returns the track's random identity, as a=msid carries it.
func (t *LocalTrack) ID() string { return t.id }

// RID returns nothing: there is no simulcast.
func (t *LocalTrack) RID() string { return "" }

// StreamID returns the identity of the stream that the track is in.
func (t *LocalTrack) StreamID() string { return t.stream }

// Kind returns the kind of media in pion's terms.
func (t *LocalTrack) Kind() webrtc.RTPCodecType { return t.kind.pion() }

// Bind is called by a call, or by pion, when a codec is negotiated.
func (t *LocalTrack) Bind(ctx webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	for _, p := range ctx.CodecParameters() {
		c := codecOf(p)
		if c.events() {
			continue
		}
		o := &output{id: ctx.ID(), codec: c, writer: ctx.WriteStream(), ready: closedChan()}
		if tc, ok := ctx.(trackContext); ok {
			o.ready = tc.outlet.sender.ready
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.update(append(slices.Clone(t.outs), o))
		return p, nil
	}
	return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
}

// Unbind is called by a call, or by pion, when the track's way out is gone.
func (t *LocalTrack) Unbind(ctx webrtc.TrackLocalContext) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.update(slices.DeleteFunc(slices.Clone(t.outs), func(o *output) bool { return o.id == ctx.ID() }))
	return nil
}

// update sets the outputs. t.mu is held.
func (t *LocalTrack) update(outs []*output) {
	t.outs = outs
	close(t.changed)
	t.changed = make(chan struct{})
}

// Codec returns the codec that is to be written: that of the call which bound
// the track last. It is false while no call has negotiated one.
func (t *LocalTrack) Codec() (Codec, bool) {
	if o := t.last(); o != nil {
		return o.codec, true
	}
	return Codec{}, false
}

func (t *LocalTrack) last() *output {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.outs); n > 0 {
		return t.outs[n-1]
	}
	return nil
}

// Ready waits until a call has a codec and a path for the track, and returns
// the codec: what is written from then on is sent. The error is ctx's cause.
func (t *LocalTrack) Ready(ctx context.Context) (Codec, error) {
	for {
		t.mu.Lock()
		changed := t.changed
		t.mu.Unlock()
		o := t.last()
		var ready <-chan struct{}
		if o != nil {
			ready = o.ready
		}
		select {
		case <-ready:
			return o.codec, nil
		case <-changed:
		case <-ctx.Done():
			return Codec{}, context.Cause(ctx)
		}
	}
}

// writers returns the outputs that take what Codec says; another call may have
// negotiated something else.
func (t *LocalTrack) writers() []*output {
	t.mu.Lock()
	outs := t.outs
	t.mu.Unlock()
	if len(outs) < 2 {
		return outs
	}
	key := outs[len(outs)-1].codec.key()
	return slices.DeleteFunc(slices.Clone(outs), func(o *output) bool { return o.codec.key() != key })
}

// WriteRTP sends a packet. Its payload type, SSRC and, where the stream has to
// be pieced together, its sequence number and timestamp are replaced; p is not
// changed. The payload must be in the codec that Codec returns.
func (t *LocalTrack) WriteRTP(p *rtp.Packet) error {
	var first error
	for _, o := range t.writers() {
		h := p.Header
		h.PayloadType = o.codec.PayloadType
		if _, err := o.writer.WriteRTP(&h, p.Payload); err != nil && first == nil {
			first = err
		}
	}
	return ended(first)
}

// WriteSample sends one frame in the codec that Codec returns, as one packet
// of audio or several of video. Its duration moves the RTP timestamp on.
func (t *LocalTrack) WriteSample(s Sample) error {
	var first error
	for _, o := range t.writers() {
		if err := o.sample(s); err != nil && first == nil {
			first = err
		}
	}
	return ended(first)
}

// ended hides that a call has ended: its track has nothing to send to then, as
// before the call.
func ended(err error) error {
	if err == io.ErrClosedPipe {
		return nil
	}
	return err
}

const mtu = 1200

func (o *output) sample(s Sample) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.packetizer == nil {
		o.packetizer = rtp.NewPacketizer(mtu, o.codec.PayloadType, random32(), payloader(o.codec),
			rtp.NewRandomSequencer(), o.codec.ClockRate)
	}
	samples := uint32(s.Duration.Seconds()*float64(o.codec.ClockRate) + 0.5)
	for _, p := range o.packetizer.Packetize(s.Data, samples) {
		if _, err := o.writer.WriteRTP(&p.Header, p.Payload); err != nil {
			return err
		}
	}
	return nil
}

func payloader(c Codec) rtp.Payloader {
	switch strings.ToUpper(c.Name) {
	case "VP8":
		return &codecs.VP8Payloader{}
	case "H264":
		return &codecs.H264Payloader{}
	}
	return whole{}
}

// whole puts a frame of audio into one packet, whatever its size.
type whole struct{}

func (whole) Payload(_ uint16, b []byte) [][]byte {
	if len(b) == 0 {
		return nil
	}
	return [][]byte{b}
}

func codecOf(p webrtc.RTPCodecParameters) Codec {
	_, name, _ := strings.Cut(p.MimeType, "/")
	return Codec{Name: name, ClockRate: p.ClockRate, Channels: max(p.Channels, 1),
		PayloadType: uint8(p.PayloadType), Fmtp: p.SDPFmtpLine}
}

func closedChan() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func randomID() string { return rand.Text()[:16] }

func random32() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint32(b[:])
}
