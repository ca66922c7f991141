package rtc

import (
	"cmp"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/gosipua/sipua/session"
)

// Errors of this package.
var (
	// ErrNoCandidates: no address was found at which the peer could reach us;
	// with RelayOnly, no TURN server answered in time.
	ErrNoCandidates = errors.New("rtc: no ICE candidates")
	// ErrNoMedia: the session has no media of this package, or not of that kind.
	ErrNoMedia = errors.New("rtc: no such media")

	errNoOffer = errors.New("rtc: no offer is pending")
	errICE     = errors.New("rtc: ICE found no path, or lost it")
	errDTLS    = errors.New("rtc: DTLS handshake failed")
	errStreams = errors.New("rtc: too many RTP streams")
)

const contentType = "application/sdp"

// Media is the media of one call leg over one PeerConnection. A [Factory]
// makes it; a session drives it.
type Media struct {
	options Options                     // without the TURN servers
	pion    func() webrtc.Configuration // with them; so that printing a Media shows no credentials
	events  session.MediaEvents
	call    *call // what outlives this Media
	peer    *peer // changed by the worker with mu held
	wants   wants // changed by the worker with mu held
	patient bool  // the path of a call that lost one may be a while in coming

	// owned by the session's worker
	streams    []stream  // the m-lines of the call, as last agreed
	successor  []stream  // what they are to who follows, where that is something else
	lastMid    int       // the greatest number that was a mid
	payloads   payloads  // what each payload type of the call has ever meant
	applied    bool      // remote is set and pion has it
	restarted  bool      // our ICE credentials are new to the peer
	remote     transport // the peer's end of the path
	role       string    // our a=setup once DTLS has roles
	view       string    // what pion was last given, see pionView
	pending    *pending
	settled    *pending // the offer that the last exchange was about, where it was ours
	localHold  bool
	remoteHold bool
	lost       bool // another fork has answered

	mu    sync.Mutex
	muted session.MuteSet            // guarded by mu
	gates map[Kind]gate              // guarded by mu
	flows []Stream                   // guarded by mu: what Streams returns
	base  netip.Addr                 // guarded by mu: ours that the path goes by, where an interface had it
	addrs func() ([]net.Addr, error) // of the machine; nil: net.InterfaceAddrs

	firefox   atomic.Bool // the peer is
	digits    detector
	reception atomic.Pointer[reception]
	failed    atomic.Bool // Events.Failed was called, and not Connected since
	closed    atomic.Bool
}

// stream is one m-line of a call. Its place is its index for the whole call,
// even if it is never used again (RFC 3264 §8).
type stream struct {
	media   string
	proto   string
	formats []string // of the m= line as it was refused; repeated with port 0
	mid     string   // empty: the peer uses none
	kind    Kind
	active  bool
	bundled bool
	codecs  []Codec // with the payload types that we send
	receive []Codec // with those that the peer sends
	own     Direction
}

// gate is what decides whether a kind of media flows.
type gate struct {
	send   bool
	codecs []Codec
	track  Track
}

// payloads are the meanings of payload types, which stay for the whole call
// (RFC 3264 §8.3.2).
type payloads map[uint8]string

// learn records what a payload type means.
func (p payloads) learn(codecs []Codec) {
	for _, c := range codecs {
		p[c.PayloadType] = c.key()
	}
}

// assign gives each codec the payload type that it has in this call, or else
// its usual one, or else a free one.
func (p payloads) assign(codecs []Codec) []Codec {
	out := make([]Codec, 0, len(codecs))
	for _, c := range codecs {
		if pt, ok := p.find(c); ok {
			c.PayloadType = pt
			p[pt] = c.key()
			out = append(out, c)
		}
	}
	return out
}

func (p payloads) find(c Codec) (uint8, bool) {
	if p[c.PayloadType] == c.key() {
		return c.PayloadType, true
	}
	for pt := range uint8(128) {
		if p[pt] == c.key() {
			return pt, true
		}
	}
	if _, taken := p[c.PayloadType]; !taken {
		return c.PayloadType, true
	}
	for _, r := range [...][2]uint8{{96, 127}, {35, 63}} { // dynamic, RFC 3551 §3 and RFC 5761 §4
		for pt := r[0]; pt <= r[1]; pt++ {
			if _, taken := p[pt]; !taken {
				return pt, true
			}
		}
	}
	return 0, false
}

// follow takes over from the media that m replaces within a call.
func (m *Media) follow(p *Media) {
	m.call = p.call
	m.streams = slices.Clone(p.streams)
	if p.successor != nil {
		m.streams = slices.Clone(p.successor)
	} else if o := cmp.Or(p.pending, p.settled); o != nil && o.opening {
		m.streams = nil
		for _, x := range o.lines { // another fork may take what p's refused
			m.streams = append(m.streams, x.stream)
		}
	}
	m.wants, m.lastMid = p.wants, p.lastMid
	m.payloads = maps.Clone(p.payloads)
	m.localHold, m.remoteHold = p.localHold, p.remoteHold
	p.mu.Lock()
	m.muted = p.muted
	p.mu.Unlock()
}

// commit makes streams the agreed ones, and w what we want from now on: it
// opens and shuts the gates.
func (m *Media) commit(streams []stream, w wants, hold bool) {
	m.streams, m.localHold, m.successor = streams, hold, nil
	gates := map[Kind]gate{}
	var flows []Stream
	for _, s := range streams {
		if n, err := strconv.Atoi(s.mid); err == nil {
			m.lastMid = max(m.lastMid, n)
		}
		if !s.active {
			continue
		}
		g := gate{send: s.own.sends(), codecs: s.codecs, track: w[s.kind].track}
		if music := w[s.kind].onHold; hold && music != nil {
			g.track = music
		} else if hold {
			g.send = g.send && m.options.SendOnHold
		}
		gates[s.kind] = g
		flows = append(flows, Stream{Kind: s.kind, Direction: s.own, Codec: s.codecs[0]})
	}
	m.hear()
	m.mu.Lock()
	m.wants, m.gates, m.flows = w, gates, flows
	m.setGates()
	m.mu.Unlock()
	m.call.adopt(m)
}

// silence ends what flows, for good: the path leads to a fork that lost.
func (m *Media) silence() {
	m.lost = true
	m.hear()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gates = nil
	m.setGates()
}

// setGates tells the senders. m.mu is held.
func (m *Media) setGates() {
	for k, s := range m.peer.senders {
		g := m.gates[k]
		muted := k == Audio && m.muted.Audio || k == Video && m.muted.Video
		s.set(g, muted)
	}
}

func (m *Media) state() session.MediaState {
	return session.MediaState{RemoteHold: m.remoteHold, LocalHold: m.localHold}
}

// Mute stops or resumes sending of what set names. Nothing is queued meanwhile.
func (m *Media) Mute(set session.MuteSet, mute bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if set.Audio {
		m.muted.Audio = mute
	}
	if set.Video {
		m.muted.Video = mute
	}
	m.setGates()
}

// PeerConnection returns pion's PeerConnection of this media.
func (m *Media) PeerConnection() *webrtc.PeerConnection {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.peer.pc
}

// Close ends the media and waits until nothing of it runs.
func (m *Media) Close() error {
	m.closed.Store(true)
	m.call.leave(m)
	m.digits.close()
	return m.peer.close()
}

// connectionState hears from pion, on any goroutine.
func (m *Media) connectionState(p *peer, s webrtc.PeerConnectionState) {
	if m.closed.Load() {
		return
	}
	p.patience.Stop()
	switch s {
	case webrtc.PeerConnectionStateConnected:
		p.up()
		m.failed.Store(false) // an ICE restart brings back what had failed
		m.events.Connected()
	case webrtc.PeerConnectionStateDisconnected:
		if m.firefox.Load() {
			p.patience.Reset(firefoxPatience)
		}
		m.events.Disconnected()
	case webrtc.PeerConnectionStateFailed:
		if p.pc.ICEConnectionState() == webrtc.ICEConnectionStateFailed {
			m.fail(errICE)
		} else {
			m.fail(errDTLS)
		}
	}
}

// firefoxPatience is how long a path to Firefox may be lost for now. Its own ICE
// gives up 30 s after our last answer (RFC 7675 §5.1), which is before pion's does,
// and JsSIP ends the call with that: the offer of another path has to be there in
// good time.
const firefoxPatience = 15 * time.Second

// fail reports the loss of the path, once for each.
func (m *Media) fail(err error) {
	if !m.closed.Load() && !m.failed.Swap(true) {
		m.events.Failed(err)
	}
}
