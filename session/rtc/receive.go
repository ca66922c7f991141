package rtc

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/gosipua/sipua/session"
)

// backlog is how many packets wait for a slow reader, over a second of audio;
// beyond it the oldest go.
const backlog = 64

// maxPacket bounds what is read of one RTP packet.
const maxPacket = 1500

// RemoteTrack is media that a call receives. It stays the same value when the
// call changes its PeerConnection, or the peer its SSRC.
type RemoteTrack struct {
	kind    Kind
	packets chan arrival
	done    <-chan struct{} // the call is over

	mu    sync.Mutex
	codec Codec // guarded by mu: of the packet that was read last
}

// arrival is a packet and the codec that it is in.
type arrival struct {
	packet *rtp.Packet
	codec  Codec
}

// Receive returns what s receives of a kind, from now on. Each call of it gets
// every packet for itself. Before the session has media it waits for it, early
// media included, as long as ctx; [ErrNoMedia] if the call does not carry that
// kind by this package.
//
// Nothing has to be closed: the track ends with the call.
func Receive(ctx context.Context, s *session.Session, kind Kind) (*RemoteTrack, error) {
	present, err := s.WaitMedia(ctx)
	if err != nil {
		return nil, err
	}
	m, ok := present.(*Media)
	if !ok || m == nil {
		return nil, ErrNoMedia
	}
	m.mu.Lock()
	carried := kind.valid() && m.wants[kind].carried
	m.mu.Unlock()
	if !carried {
		return nil, ErrNoMedia
	}
	return m.call.subscribe(s.Context(), kind), nil
}

// Stream is one kind of media that a call carries.
type Stream struct {
	Kind      Kind
	Direction Direction // seen from our side, holds included
	Codec     Codec     // that we send
}

// Streams returns what s carries at present, in the order of its m-lines. It
// is nil before there is any.
func Streams(s *session.Session) []Stream {
	if m, ok := s.Media().(*Media); ok && m != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		return slices.Clone(m.flows)
	}
	return nil
}

// PeerConnection returns the PeerConnection that s has at present, nil if it
// has none. The session owns it: look at it, do not negotiate with it.
func PeerConnection(s *session.Session) *webrtc.PeerConnection {
	if m, ok := s.Media().(*Media); ok && m != nil {
		return m.PeerConnection()
	}
	return nil
}

// ReadRTP returns the next packet, whose payload is in the codec that Codec
// then returns. Telephone events are not among them. While we hold the call
// nothing arrives. At the end of the call it is [io.EOF]; the session's
// context has the cause.
//
// The packet is the caller's, its payload is shared and must not be written to.
func (t *RemoteTrack) ReadRTP() (*rtp.Packet, error) {
	select {
	case a := <-t.packets:
		t.mu.Lock()
		t.codec = a.codec
		t.mu.Unlock()
		return a.packet, nil
	case <-t.done:
		return nil, io.EOF
	}
}

// Kind returns the kind of media.
func (t *RemoteTrack) Kind() Kind { return t.kind }

// Codec returns the codec of the packet that ReadRTP returned last. It is
// false before the first.
func (t *RemoteTrack) Codec() (Codec, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.codec, t.codec.Name != ""
}

// push hands a packet over; the oldest goes where a slow reader leaves no room.
func (t *RemoteTrack) push(a arrival) {
	for {
		select {
		case t.packets <- a:
			return
		default:
		}
		select {
		case <-t.packets:
		default:
		}
	}
}

// call is what outlives a Media within a call leg.
type call struct {
	counters counters

	mu      sync.Mutex
	media   []*Media       // guarded by mu: the last one is heard
	readers []*RemoteTrack // guarded by mu
}

func newCall() *call { return &call{} }

// adopt makes m the media that is heard, once it has agreed on something.
func (c *call) adopt(m *Media) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.media = append(slices.DeleteFunc(c.media, func(x *Media) bool { return x == m }), m)
}

// leave lets the media be heard that was before m, as that of another branch
// is when m's comes to nothing.
func (c *call) leave(m *Media) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.media = slices.DeleteFunc(c.media, func(x *Media) bool { return x == m })
}

func (c *call) subscribe(ctx context.Context, k Kind) *RemoteTrack {
	t := &RemoteTrack{kind: k, packets: make(chan arrival, backlog), done: ctx.Done()}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readers = append(c.readers, t)
	return t
}

// deliver hands a packet of m's to whoever reads its kind. The payload is
// copied if somebody does.
func (c *call) deliver(m *Media, k Kind, codec Codec, p *rtp.Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.media); n == 0 || c.media[n-1] != m {
		return
	}
	var payload []byte
	for _, t := range c.readers {
		if t.kind != k {
			continue
		}
		if payload == nil {
			payload = slices.Clone(p.Payload)
		}
		t.push(arrival{&rtp.Packet{Header: p.Header.Clone(), Payload: payload}, codec})
	}
}

// reception is what the packets of a call mean at present.
type reception struct {
	codecs meanings
	open   [Video + 1]bool
	before *meanings // what they meant before, and until when that counts
	until  time.Time
}

// meanings are codecs by kind and payload type.
type meanings [Video + 1][128]*Codec

// overlap is how long packets are taken that were on their way when the call
// changed its codecs.
const overlap = time.Second

func (r *reception) codec(k Kind, pt uint8) *Codec {
	c := r.codecs[k][pt&127]
	if c == nil && r.before != nil && time.Now().Before(r.until) {
		c = r.before[k][pt&127]
	}
	return c
}

// hear understands the codecs that were agreed on, those of the last agreement
// for a little longer, and those that are offered as soon as they are
// (RFC 3264 §5.1).
func (m *Media) hear() {
	if m.lost {
		m.reception.Store(nil)
		return
	}
	r := &reception{}
	if was := m.reception.Load(); was != nil {
		r.before, r.until = &was.codecs, time.Now().Add(overlap)
	}
	learn := func(s stream) {
		for _, c := range s.receive {
			if s.active {
				r.codecs[s.kind][c.PayloadType&127] = &c
			}
		}
	}
	if m.pending != nil {
		for _, x := range m.pending.lines {
			learn(x.stream)
		}
	}
	for _, s := range m.streams {
		learn(s)
		r.open[s.kind] = r.open[s.kind] || s.active && s.own.receives()
	}
	m.reception.Store(r)
}

// receive reads a stream until it ends. Every stream is read, also one that
// nobody listens to, so that nothing old is ever heard; whatever its SSRC it
// belongs to the m-line of its kind.
func (m *Media) receive(t *webrtc.TrackRemote) {
	k := kindOf(t.Kind())
	if k == 0 {
		return
	}
	b := make([]byte, maxPacket)
	for {
		n, _, err := t.Read(b)
		if err != nil && (n == 0 || !errors.Is(err, webrtc.ErrCodecNotFound)) {
			return
		}
		var p rtp.Packet
		if p.Unmarshal(b[:n]) == nil {
			m.packet(k, &p)
		}
	}
}

// packet takes one RTP packet. What the call did not negotiate, or is not
// meant to receive now, goes no further.
func (m *Media) packet(k Kind, p *rtp.Packet) {
	r := m.reception.Load()
	if r == nil {
		return
	}
	c := r.codec(k, p.PayloadType)
	if c == nil {
		return
	}
	m.call.counters.received(k, len(p.Payload))
	if !r.open[k] {
		return
	}
	if c.events() {
		m.digits.packet(p, c.ClockRate)
		return
	}
	if len(p.Payload) > 0 {
		m.call.deliver(m, k, *c, p)
	}
}
