package rtc

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
)

// peer is a PeerConnection and what hangs on it. Pion negotiates the path and
// nothing else: what it sees of m-lines, directions and codecs is made for it.
type peer struct {
	media   *Media
	pc      *webrtc.PeerConnection
	kinds   []Kind           // that pion has, in the order of its m-lines
	senders map[Kind]*sender // of each; changed by the worker with the media's mu held
	isUp    bool             // the path is there; guarded by the media's mu
	tlsID   string
	offered int  // m-lines of our offer that pion has and no answer to
	waited  bool // the time for gathering is spent

	patience *time.Timer // runs while the path is lost for now, if at all

	pair    atomic.Pointer[webrtc.ICECandidatePair] // in use
	streams atomic.Int32                            // RTP streams that the peer began
	wg      sync.WaitGroup
	mu      sync.Mutex
	closing bool // guarded by mu: no more goroutines
}

// maxStreams bounds how many SSRCs a peer may use on one path: a gateway
// changes its own now and then, but each costs memory until the path ends.
const maxStreams = 256

func newPeer(m *Media) (*peer, error) {
	api, err := m.options.api(m.patient)
	if err != nil {
		return nil, err
	}
	pc, err := api.NewPeerConnection(m.pion())
	if err != nil {
		return nil, err
	}
	p := &peer{media: m, pc: pc, senders: map[Kind]*sender{}, tlsID: rand.Text()}
	for _, k := range m.wants.kinds() {
		if err := p.carry(k, m.wants[k].track); err != nil {
			_ = pc.GracefulClose()
			return nil, err
		}
	}
	p.patience = time.AfterFunc(firefoxPatience, func() { p.run(func() { m.fail(errICE) }) })
	p.patience.Stop()
	if m.options.OnPeerConnection != nil {
		m.options.OnPeerConnection(pc)
	}
	// Pion hands out its ICE transport by way of data channels, which share it.
	// It races with itself where asked for the pair before there is one.
	pc.SCTP().Transport().ICETransport().OnSelectedCandidatePairChange(func(pair *webrtc.ICECandidatePair) {
		p.pair.Store(pair)
		m.noteAddress(pair)
	})
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		p.run(func() { m.connectionState(p, s) })
	})
	pc.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
		if p.streams.Add(1) > maxStreams {
			m.fail(errStreams)
			return
		}
		p.spawn(func() { drainRTCP(r) })
		p.run(func() { m.receive(t) })
	})
	return p, nil
}

// carry gives pion an m-line of a kind, if it has none, and never takes it
// away again: what the call does not use of it costs nothing.
func (p *peer) carry(k Kind, track Track) error {
	if p.senders[k] != nil {
		return nil
	}
	s := newSender(k, track, &p.media.call.counters, p.media.options.Logger)
	t, err := p.pc.AddTransceiverFromTrack(s, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendrecv})
	if err != nil {
		return err
	}
	// By name, since pion numbers those that it makes up for SSRCs.
	if err := t.SetMid(k.String()); err != nil {
		return err
	}
	if e := t.Sender().GetParameters().Encodings; len(e) > 0 {
		s.ssrc = e[0].SSRC // pion chooses it now and binds the sender only with the peer's description
	}
	p.media.mu.Lock()
	p.kinds, p.senders[k] = append(p.kinds, k), s
	if p.isUp {
		s.up()
	}
	p.media.mu.Unlock()
	p.spawn(func() { drainRTCP(t.Sender()) })
	return nil
}

// up tells the senders that the path is there.
func (p *peer) up() {
	p.media.mu.Lock()
	defer p.media.mu.Unlock()
	p.isUp = true
	for _, s := range p.senders {
		s.up()
	}
}

// run runs f here, unless the peer is closing, and lets close wait for it.
func (p *peer) run(f func()) {
	p.mu.Lock()
	if p.closing {
		p.mu.Unlock()
		return
	}
	p.wg.Add(1)
	p.mu.Unlock()
	defer p.wg.Done()
	f()
}

func (p *peer) spawn(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closing {
		p.wg.Go(f)
	}
}

// drainRTCP reads the peer's reports, which feed the interceptors and would
// otherwise pile up.
func drainRTCP(r interface {
	Read([]byte) (int, interceptor.Attributes, error)
}) {
	b := make([]byte, 1500)
	for {
		if _, _, err := r.Read(b); err != nil {
			return
		}
	}
}

// offer lets pion make and apply its first offer, which starts gathering.
func (p *peer) offer() error {
	if p.offered == len(p.kinds) {
		return nil
	}
	d, err := p.pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	if err := p.pc.SetLocalDescription(d); err != nil {
		return err
	}
	p.offered = len(p.kinds)
	return nil
}

// gather waits for the candidates and reports whether all of them came.
func (p *peer) gather(ctx context.Context) (complete bool, err error) {
	if p.waited {
		return p.pc.ICEGatheringState() == webrtc.ICEGatheringStateComplete, nil
	}
	complete, err = wait(ctx, webrtc.GatheringCompletePromise(p.pc), p.media.options.GatherTimeout)
	p.waited = err == nil
	return complete, err
}

// accept takes the answer, as pion is to see it, to the offer that pion has or
// makes now.
func (p *peer) accept(answer string) error {
	if err := p.offer(); err != nil {
		return err
	}
	p.offered = 0
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		return err
	}
	p.hasten()
	return nil
}

// hastened is when hasten does so.
var hastened = [...]time.Duration{20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond}

// hasten makes pion look at the outcome of its first checks as soon as most
// can be back. It nominates a pair when it looks, and looks every 200 ms or
// when it learns of a candidate: one over TCP makes no pair and sends nothing.
func (p *peer) hasten() {
	for i, d := range hastened {
		c := webrtc.ICECandidateInit{Candidate: fmt.Sprintf("candidate:0 1 tcp 1 127.0.0.1 %d typ host tcptype passive", 9+i)}
		time.AfterFunc(d, func() {
			p.run(func() {
				if p.pair.Load() == nil {
					_ = p.pc.AddICECandidate(c)
				}
			})
		})
	}
}

// answer takes an offer, as pion is to see it, and answers it.
func (p *peer) answer(offer string) error {
	err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer})
	if err != nil {
		return err
	}
	d, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return err
	}
	p.waited = false // the first time, or for an ICE restart
	return p.pc.SetLocalDescription(d)
}

func (p *peer) close() error {
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	p.patience.Stop()
	for _, s := range p.senders {
		s.close()
	}
	err := p.pc.GracefulClose()
	p.wg.Wait()
	return err
}
