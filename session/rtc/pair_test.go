package rtc

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/transport/v5/vnet"
	"github.com/pion/webrtc/v4"

	"github.com/gosipua/sipua/session"
)

// network is a network without loss or delay inside the test's bubble.
type network struct {
	t      *testing.T
	router *vnet.Router
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	r, err := vnet.NewRouter(&vnet.RouterConfig{CIDR: "10.0.0.0/24", LoggerFactory: loggers{discard()}})
	if err != nil {
		t.Fatal(err)
	}
	n := &network{t, r}
	t.Cleanup(func() { _ = r.Stop() })
	return n
}

func (n *network) host(ip string) *vnet.Net {
	n.t.Helper()
	v, err := vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{ip}})
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.router.AddNet(v); err != nil {
		n.t.Fatal(err)
	}
	return v
}

func (n *network) start() {
	n.t.Helper()
	if err := n.router.Start(); err != nil {
		n.t.Fatal(err)
	}
}

// end is one side of a call: a Media and what a program has of it.
type end struct {
	t       *testing.T
	options Options
	factory *Factory
	media   *Media
	track   *LocalTrack
	in      *RemoteTrack
	spoken  int // packets written
	hangup  context.CancelFunc

	mu        sync.Mutex
	connected int
	silences  int
	failures  []error
	digits    []rune
	lengths   []time.Duration
}

func newEnd(t *testing.T, v *vnet.Net, o Options) *end {
	t.Helper()
	e := &end{t: t, track: NewTrack(Audio)}
	if o.Tracks == nil {
		o.Tracks = []Track{e.track}
	}
	own := o.SettingEngine
	o.SettingEngine = func(s *webrtc.SettingEngine) {
		s.SetNet(v)
		if own != nil {
			own(s)
		}
	}
	e.options = o
	e.factory = New(o).(*Factory)
	e.media = e.newMedia(nil)
	ctx, cancel := context.WithCancel(context.Background())
	e.hangup = cancel
	e.in = e.media.call.subscribe(ctx, Audio)
	return e
}

// sends gives e other tracks and a new Media with them, for a new call.
func (e *end) sends(tracks ...Track) {
	e.t.Helper()
	e.options.Tracks = tracks
	e.factory = New(e.options).(*Factory)
	old := e.media
	e.media = e.newMedia(nil)
	e.media.call = old.call
	if err := old.Close(); err != nil {
		e.t.Fatal(err)
	}
}

func (e *end) newMedia(previous session.Media) *Media {
	e.t.Helper()
	m, err := e.factory.NewMedia(session.MediaOptions{Previous: previous, Events: e.events()})
	if err != nil {
		e.t.Fatal(err)
	}
	return m.(*Media)
}

func (e *end) events() session.MediaEvents {
	return session.MediaEvents{
		Connected:    func() { e.mu.Lock(); e.connected++; e.mu.Unlock() },
		Disconnected: func() { e.mu.Lock(); e.silences++; e.mu.Unlock() },
		Failed:       func(err error) { e.mu.Lock(); e.failures = append(e.failures, err); e.mu.Unlock() },
		DTMF: func(r rune, d time.Duration) {
			e.mu.Lock()
			e.digits, e.lengths = append(e.digits, r), append(e.lengths, d)
			e.mu.Unlock()
		},
	}
}

func (e *end) close() {
	e.t.Helper()
	e.hangup()
	if err := e.media.Close(); err != nil {
		e.t.Errorf("Close: %v", err)
	}
}

// heard empties the backlog and counts it.
func (e *end) heard() int {
	n := 0
	for {
		select {
		case <-e.in.packets:
			n++
		default:
			return n
		}
	}
}

// talk writes n packets of 20 ms and waits for them to arrive.
func (e *end) talk(n int) {
	e.t.Helper()
	c, ok := e.track.Codec()
	if !ok {
		c.ClockRate = 8000
	}
	for i := range n {
		p := &rtp.Packet{Payload: []byte{1, 2, 3, byte(i)}}
		p.SequenceNumber, p.Timestamp = uint16(e.spoken), uint32(e.spoken)*c.ClockRate/50
		e.spoken++
		if err := e.track.WriteRTP(p); err != nil {
			e.t.Fatalf("WriteRTP: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	synctest.Wait()
}

func ok[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// exchange makes an offer of a's, an answer of b's, and applies both.
func exchange(t *testing.T, a, b *end, hold bool) (session.Description, session.Description) {
	t.Helper()
	return exchangeWith(t, a, b, session.OfferOptions{Hold: hold}, session.OfferOptions{})
}

func exchangeWith(t *testing.T, a, b *end, ao, bo session.OfferOptions) (offer, answer session.Description) {
	t.Helper()
	ctx := context.Background()
	offer = ok[session.Description](t)(a.media.Offer(ctx, ao))
	answer, _, err := b.media.Answer(ctx, offer, bo)
	if err != nil {
		t.Fatalf("Answer: %v\n%s", err, offer.Body)
	}
	if _, err := a.media.SetAnswer(ctx, answer, session.AnswerInfo{}); err != nil {
		t.Fatalf("SetAnswer: %v\n%s", err, answer.Body)
	}
	return offer, answer
}

// inCall runs f in a bubble with two ends whose path is up.
func inCall(t *testing.T, ao, bo Options, f func(t *testing.T, a, b *end)) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		va, vb := n.host("10.0.0.1"), n.host("10.0.0.2")
		n.start()
		a, b := newEnd(t, va, ao), newEnd(t, vb, bo)
		defer b.close()
		defer a.close()
		exchange(t, a, b, false)
		for _, e := range []*end{a, b} {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			ok[Codec](t)(e.track.Ready(ctx))
			cancel()
		}
		f(t, a, b)
	})
}

// wantAudio checks in which directions audio flows now.
func wantAudio(t *testing.T, a, b *end, toB, toA bool) {
	t.Helper()
	a.heard()
	b.heard()
	const n = 10
	a.talk(n)
	b.talk(n)
	check := func(name string, got int, flows bool) {
		t.Helper()
		want := 0
		if flows {
			want = n
		}
		if got != want {
			t.Errorf("%s heard %d packets, want %d", name, got, want)
		}
	}
	check("b", b.heard(), toB)
	check("a", a.heard(), toA)
}
