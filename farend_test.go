package sipua_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// farEnd is media at the other end of a call whose signalling a test plays.
type farEnd struct {
	w       *world
	factory session.MediaFactory
	media   *rtc.Media
	out     *rtc.LocalTrack
	seq     uint16

	mu     sync.Mutex
	digits string // guarded by mu
}

func (w *world) farEnd() *farEnd {
	w.t.Helper()
	f := &farEnd{w: w, out: rtc.NewTrack(rtc.Audio)}
	f.factory = w.media(f.out)
	f.renew()
	w.t.Cleanup(func() { f.media.Close() })
	return f
}

// renew gives the far end media with another DTLS identity, after those it has.
func (f *farEnd) renew() {
	f.w.t.Helper()
	old := f.media
	o := session.MediaOptions{Events: session.MediaEvents{
		Connected:    func() {},
		Disconnected: func() {},
		Failed:       func(error) {},
		DTMF: func(digit rune, _ time.Duration) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.digits += string(digit)
		},
	}}
	if old != nil {
		o.Previous = old
	}
	m, err := f.factory.NewMedia(o)
	if err != nil {
		f.w.t.Fatal(err)
	}
	f.media = m.(*rtc.Media)
	if old != nil {
		old.Close()
	}
}

// answer answers an offer that came in a message.
func (f *farEnd) answer(m *siptest.Received) siptest.Part {
	f.w.t.Helper()
	d, _, err := f.media.Answer(f.w.t.Context(), session.Description{Body: []byte(m.Body())}, session.OfferOptions{})
	if err != nil {
		f.w.t.Fatalf("far end: %v\n%s", err, m.Body())
	}
	return siptest.SDP(string(d.Body))
}

// reinvite offers the far end's media inside the dialog and takes the answer.
func (f *farEnd) reinvite(d *siptest.Dialog) {
	f.w.t.Helper()
	offer, err := f.media.Offer(f.w.t.Context(), session.OfferOptions{})
	if err != nil {
		f.w.t.Fatal(err)
	}
	res := d.Request(sip.INVITE, siptest.SDP(string(offer.Body))).ExpectResponse(200)
	res.ACK()
	if _, err := f.media.SetAnswer(f.w.t.Context(), session.Description{Body: []byte(res.Body())}, session.AnswerInfo{}); err != nil {
		f.w.t.Fatalf("%v\n%s", err, res.Body())
	}
}

// say sends a packet of audio.
func (f *farEnd) say(word string) {
	f.w.t.Helper()
	f.seq++
	p := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: f.seq, Timestamp: uint32(f.seq) * 960}, Payload: []byte(word)}
	if err := f.out.WriteRTP(p); err != nil {
		f.w.t.Fatal(err)
	}
}

// ready waits for the path, at the other end too: what is said a moment before
// that is ready to take it is lost, as anywhere.
func (f *farEnd) ready() {
	f.w.t.Helper()
	ctx, cancel := within(5 * time.Second)
	defer cancel()
	if _, err := f.out.Ready(ctx); err != nil {
		f.w.t.Fatal(err)
	}
	synctest.Wait()
}

func (f *farEnd) received() uint64 {
	synctest.Wait()
	return f.media.Stats().Audio.PacketsReceived
}

func (f *farEnd) dialled() string {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.digits
}

// wantAudio checks that what the line and the far end say is heard, each in
// its direction.
func (l *line) wantAudio(f *farEnd, out, in bool) {
	l.w.t.Helper()
	before := f.received()
	l.say("hello")
	if got := f.received() - before; (got == 1) != out {
		l.w.t.Errorf("the far end got %d packets, want that to be %v", got, out)
	}
	if in {
		f.say("world")
		l.hear("world")
	}
}

// dialFar calls a far end that the test plays, while f answers.
func (p *phone) dialFar(o *session.CallOptions, f func(l *line)) *line {
	p.w.t.Helper()
	l := &line{w: p.w, out: rtc.NewTrack(rtc.Audio)}
	o.Media = p.w.media(l.out)
	s, err := p.Invite(p.w.t.Context(), "far", o)
	if err != nil {
		p.w.t.Fatal(err)
	}
	l.Session = s
	f(l)
	if err := s.WaitAnswered(p.w.t.Context()); err != nil {
		p.w.t.Fatal(err)
	}
	return l
}

// receive begins to read, as soon as there is media.
func (l *line) receive() {
	l.w.t.Helper()
	ctx, cancel := within(5 * time.Second)
	defer cancel()
	in, err := rtc.Receive(ctx, l.Session, rtc.Audio)
	if err == nil {
		l.in = in
		_, err = l.out.Ready(ctx)
	}
	if err != nil {
		l.w.t.Fatal(err)
	}
}

// TestNewFarEnd: behind the same dialog the far end becomes somebody else, as
// a B2BUA lets it after a transfer: by an offer of its own, then by its answer
// to one of ours. The application's tracks go on, hold and counters as well.
func TestNewFarEnd(t *testing.T) {
	for _, held := range []bool{false, true} {
		t.Run(fmt.Sprint("held=", held), func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) { newFarEnd(w, held) })
		})
	}
}

func newFarEnd(w *world, held bool) {
	alice, p := w.phone("alice"), siptest.Expect(w.t, w.srv)
	bob, carol, dave := w.farEnd(), w.farEnd(), w.farEnd()
	digits := make(chan session.DTMF, 8)
	var d *siptest.Dialog
	o := &session.CallOptions{Handler: &session.Handler{DTMF: func(_ *session.Session, d session.DTMF) { digits <- d }}}
	call := alice.dialFar(o, func(*line) {
		inv := p.Expect(sip.INVITE)
		inv.Respond(200, bob.answer(inv))
		p.Expect(sip.ACK)
		d = inv.Dialog()
	})
	call.receive()
	bob.ready()
	call.wantAudio(bob, true, true)
	if held {
		done := make(chan error, 1)
		go func() { done <- call.Hold(w.t.Context()) }()
		inv := p.Expect(sip.INVITE)
		inv.Respond(200, bob.answer(inv))
		p.Expect(sip.ACK)
		if err := <-done; err != nil {
			w.t.Fatal(err)
		}
		call.wantAudio(bob, false, false)
	}
	check := func(f *farEnd) {
		w.t.Helper()
		if h := call.Held(); h != (session.HoldState{Local: held}) {
			w.t.Errorf("hold is %+v, want local %v", h, held)
		}
		call.wantAudio(f, !held, !held)
		if held {
			return
		}
		if err := call.SendDTMF(w.t.Context(), "5", &session.DTMFOptions{Transport: session.DTMFRTP}); err != nil {
			w.t.Fatal(err)
		}
		if err := f.media.SendDTMF(w.t.Context(), '6', 100*time.Millisecond); err != nil {
			w.t.Fatal(err)
		}
		if got := (<-digits).Digit; got != '6' || f.dialled() != "5" {
			w.t.Errorf("digits %c and %q, want 6 and 5", got, f.dialled())
		}
	}
	check(bob)

	first := rtc.PeerConnection(call.Session)
	carol.reinvite(d)
	carol.ready()
	check(carol)
	if rtc.PeerConnection(call.Session) == first {
		w.t.Error("the PeerConnection is the one before")
	}
	if !held {
		bob.say("gone")
		carol.say("here")
		call.hear("here")
	}

	// An offer of ours finds that dave is there now; another goes to him.
	done := make(chan error, 1)
	go func() { done <- call.Renegotiate(w.t.Context(), nil) }()
	inv := p.Expect(sip.INVITE)
	inv.Respond(200, dave.answer(inv))
	p.Expect(sip.ACK)
	dave.renew()
	inv = p.Expect(sip.INVITE)
	inv.Respond(200, dave.answer(inv))
	p.Expect(sip.ACK)
	if err := <-done; err != nil {
		w.t.Fatal(err)
	}
	dave.ready()
	check(dave)

	st := rtc.StatsOf(call.Session).Audio
	if want := uint64(1 + 3*(1+4)); !held && (st.PacketsSent < want || st.PacketsReceived < want) {
		w.t.Errorf("counted %+v, want %d packets each way at least", st, want)
	}
	if held {
		done := make(chan error, 1)
		go func() { done <- call.Unhold(w.t.Context()) }()
		inv := p.Expect(sip.INVITE)
		inv.Respond(200, dave.answer(inv))
		p.Expect(sip.ACK)
		if err := <-done; err != nil {
			w.t.Fatal(err)
		}
		held = false
		check(dave)
	}
	d.Request(sip.BYE).ExpectResponse(200)
	<-call.Context().Done()
}

// TestDigitAside: a digit of six seconds holds nothing up, neither an offer of
// the far end nor its BYE.
func TestDigitAside(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		alice, p := w.phone("alice"), siptest.Expect(w.t, w.srv)
		far := w.farEnd()
		var d *siptest.Dialog
		call := alice.dialFar(&session.CallOptions{}, func(*line) {
			inv := p.Expect(sip.INVITE)
			inv.Respond(200, far.answer(inv))
			p.Expect(sip.ACK)
			d = inv.Dialog()
		})
		call.receive()
		far.ready()
		done := make(chan error, 1)
		go func() {
			done <- call.SendDTMF(w.t.Context(), "1", &session.DTMFOptions{Transport: session.DTMFRTP, Duration: 6 * time.Second})
		}()
		time.Sleep(time.Second)
		start := time.Now()
		far.reinvite(d)
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("the re-INVITE took %v", took)
		}
		start = time.Now()
		d.Request(sip.BYE).ExpectResponse(200)
		<-call.Context().Done()
		if err := <-done; err == nil {
			t.Error("the digit was sent")
		}
		alice.Close()
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("the end took %v", took)
		}
	})
}
