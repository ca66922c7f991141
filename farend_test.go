package sipua_test

import (
	"context"
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
		Connected: func() {},
		Failed:    func(error) {},
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

// ready waits for the path.
func (f *farEnd) ready() {
	f.w.t.Helper()
	ctx, cancel := within(5 * time.Second)
	defer cancel()
	if _, err := f.out.Ready(ctx); err != nil {
		f.w.t.Fatal(err)
	}
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

// TestEarlyMediaHeard: what comes before the answer is heard, and talk goes
// both ways; a fork that answers instead of the one heard gets media of its own.
func TestEarlyMediaHeard(t *testing.T) {
	for _, winner := range []string{"same", "another"} {
		t.Run(winner, func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) {
				alice, p := w.phone("alice"), siptest.Expect(w.t, w.srv)
				desk, mobile := w.farEnd(), w.farEnd()
				far := desk
				call := alice.dialFar(&session.CallOptions{}, func(l *line) {
					inv := p.Expect(sip.INVITE)
					answer := desk.answer(inv)
					inv.Fork("desk").Respond(183, answer)
					l.receive()
					desk.ready()
					l.wantAudio(desk, true, true)
					if winner == "same" {
						inv.Fork("desk").Respond(200, answer)
						p.Expect(sip.ACK)
						return
					}
					far = mobile
					inv.Fork("mobile").Respond(200, mobile.answer(inv))
					p.Expect(sip.ACK)
					mobile.renew()
					inv = p.Expect(sip.INVITE)
					inv.Respond(200, mobile.answer(inv))
					p.Expect(sip.ACK)
				})
				far.ready()
				if _, err := call.out.Ready(w.t.Context()); err != nil {
					w.t.Fatal(err)
				}
				call.wantAudio(far, true, true)
				if winner == "another" {
					desk.say("gone")
					far.say("here")
					call.hear("here")
				}
			})
		})
	}
}

// reliably sends a description in a reliable 183 and returns the PRACK.
func (f *farEnd) reliably(p *siptest.Script, fork *siptest.Received, d siptest.Part) *siptest.Received {
	f.w.t.Helper()
	fork.Respond(183, d, siptest.Header("Require", "100rel"), siptest.Header("RSeq", "1"), siptest.Header("Allow", "INVITE, ACK, BYE, CANCEL, PRACK, UPDATE"))
	prack := p.Expect(sip.PRACK)
	return prack.Respond(200)
}

// TestReliableEarlyMedia: the exchange is complete before anybody answers.
func TestReliableEarlyMedia(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		alice, p := w.phone("alice"), siptest.Expect(w.t, w.srv)
		far := w.farEnd()
		call := alice.dialFar(&session.CallOptions{}, func(l *line) {
			inv := p.Expect(sip.INVITE)
			desk := inv.Fork("desk")
			far.reliably(p, desk, far.answer(inv))
			l.receive()
			far.ready()
			l.wantAudio(far, true, true)
			desk.Respond(200)
			p.Expect(sip.ACK)
		})
		call.wantAudio(far, true, true)
		if err := far.media.SendDTMF(w.t.Context(), '1', 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	})
}

// TestReliableForks: two forks answer the offer of the INVITE reliably. The
// second gets media of its own in an UPDATE and is heard as the newest; whoever
// answers is heard from then on, and hears us.
func TestReliableForks(t *testing.T) {
	for _, winner := range []string{"desk", "mobile"} {
		t.Run(winner, func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) {
				alice, p := w.phone("alice"), siptest.Expect(w.t, w.srv)
				ends := map[string]*farEnd{"desk": w.farEnd(), "mobile": w.farEnd()}
				call := alice.dialFar(&session.CallOptions{}, func(l *line) {
					inv := p.Expect(sip.INVITE)
					forks := map[string]*siptest.Received{"desk": inv.Fork("desk"), "mobile": inv.Fork("mobile")}
					desk, mobile := ends["desk"], ends["mobile"]
					desk.reliably(p, forks["desk"], desk.answer(inv))
					l.receive()
					desk.ready()
					l.wantAudio(desk, true, true)
					mobile.reliably(p, forks["mobile"], mobile.answer(inv))
					update := p.Expect(sip.UPDATE)
					mobile.renew()
					update.Respond(200, mobile.answer(update))
					mobile.ready()
					l.wantAudio(mobile, true, true)
					desk.say("hold the line")
					mobile.say("hello")
					l.hear("hello")
					l.wantAudio(desk, true, false)
					forks[winner].Respond(200)
					p.Expect(sip.ACK)
				})
				if _, err := call.out.Ready(w.t.Context()); err != nil {
					t.Fatal(err)
				}
				call.wantAudio(ends[winner], true, true)
			})
		})
	}
}

// TestForksThatOffer: the INVITE carries no offer, two forks make one each and
// have the answer in the PRACK. Nothing connects their media but the call.
func TestForksThatOffer(t *testing.T) {
	for _, winner := range []string{"desk", "mobile"} {
		t.Run(winner, func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) {
				alice, p := w.phone("alice"), siptest.Expect(w.t, w.srv)
				ends := map[string]*farEnd{"desk": w.farEnd(), "mobile": w.farEnd()}
				call := alice.dialFar(&session.CallOptions{LateOffer: true}, func(l *line) {
					inv := p.Expect(sip.INVITE)
					forks := map[string]*siptest.Received{}
					for _, name := range []string{"desk", "mobile"} {
						far := ends[name]
						forks[name] = inv.Fork(name)
						offer, err := far.media.Offer(w.t.Context(), session.OfferOptions{})
						if err != nil {
							t.Fatal(err)
						}
						prack := far.reliably(p, forks[name], siptest.SDP(string(offer.Body)))
						if _, err := far.media.SetAnswer(w.t.Context(), session.Description{Body: []byte(prack.Body())}, session.AnswerInfo{}); err != nil {
							t.Fatal(err)
						}
						if l.in == nil {
							l.receive()
						}
						far.ready()
						l.wantAudio(far, true, true)
					}
					forks[winner].Respond(200)
					p.Expect(sip.ACK)
				})
				if _, err := call.out.Ready(w.t.Context()); err != nil {
					t.Fatal(err)
				}
				call.wantAudio(ends[winner], true, true)
			})
		})
	}
}

// TestReceiveBeforeMedia: a reader that comes too early waits, for as long as
// it likes and no longer than the call.
func TestReceiveBeforeMedia(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		alice, p := w.phone("alice"), siptest.Expect(w.t, w.srv)
		s, err := alice.Invite(w.t.Context(), "far", &session.CallOptions{LateOffer: true, Media: w.media()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := within(time.Second)
		defer cancel()
		if _, err := rtc.Receive(ctx, s, rtc.Audio); err != context.DeadlineExceeded {
			t.Errorf("Receive: %v, want the deadline's error", err)
		}
		p.Expect(sip.INVITE).Respond(486)
		if _, err := rtc.Receive(w.t.Context(), s, rtc.Audio); sip.StatusOf(err) != 486 {
			t.Errorf("Receive: %v, want the refusal", err)
		}
	})
}

// TestVideoInCall: the application adds a camera and drops it again. What the
// far end refuses changes nothing; what meets its own offer is offered again.
func TestVideoInCall(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		alice, p := w.phone("alice"), siptest.Expect(w.t, w.srv)
		far, camera := w.farEnd(), rtc.NewTrack(rtc.Video)
		call := alice.dialFar(&session.CallOptions{}, func(*line) {
			inv := p.Expect(sip.INVITE)
			inv.Respond(200, far.answer(inv))
			p.Expect(sip.ACK)
		})
		call.receive()
		far.ready()
		change := func(c rtc.Change, update bool, answers ...func(*siptest.Received)) error {
			done := make(chan error, 1)
			go func() {
				done <- call.Renegotiate(w.t.Context(), &session.RenegotiateOptions{Change: c, UseUpdate: update})
			}()
			for _, answer := range answers {
				if update {
					answer(p.Expect(sip.UPDATE))
				} else {
					answer(p.Expect(sip.INVITE))
					p.Expect(sip.ACK)
				}
			}
			return <-done
		}
		refuse := func(code sip.StatusCode) func(*siptest.Received) {
			return func(r *siptest.Received) { r.Respond(code) }
		}
		accept := func(c rtc.Change) func(*siptest.Received) {
			return func(r *siptest.Received) {
				t.Helper()
				d, _, err := far.media.Answer(w.t.Context(), session.Description{Body: []byte(r.Body())}, session.OfferOptions{Change: c})
				if err != nil {
					t.Fatal(err)
				}
				r.Respond(200, siptest.SDP(string(d.Body)))
			}
		}
		want := func(s string) {
			t.Helper()
			got := ""
			for _, x := range rtc.Streams(call.Session) {
				got += fmt.Sprintf("%s %s %s;", x.Kind, x.Direction, x.Codec.Name)
			}
			if got != s {
				t.Errorf("call carries %q, want %q", got, s)
			}
			call.wantAudio(far, true, true)
		}
		film := func() uint64 {
			t.Helper()
			before := far.media.Stats().Video.PacketsReceived
			if err := camera.WriteSample(rtc.Sample{Data: []byte("frame"), Duration: time.Second / 25}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return far.media.Stats().Video.PacketsReceived - before
		}
		add := rtc.Change{Add: []rtc.Track{camera}}

		want("audio sendrecv opus;")
		if err := change(add, false, refuse(488)); sip.StatusOf(err) != 488 {
			t.Errorf("Renegotiate: %v, want the 488", err)
		}
		want("audio sendrecv opus;")
		if _, err := rtc.Receive(w.t.Context(), call.Session, rtc.Video); err != rtc.ErrNoMedia {
			t.Errorf("Receive: %v, want ErrNoMedia", err)
		}
		if err := change(rtc.Change{Codecs: []string{"PCMU"}}, false, accept(rtc.Change{})); err != nil {
			t.Fatal(err)
		}
		want("audio sendrecv PCMU;")
		if err := change(add, false, refuse(491), accept(rtc.Change{Kinds: []rtc.Kind{rtc.Video}})); err != nil {
			t.Fatal(err)
		}
		want("audio sendrecv PCMU;video sendrecv VP8;")
		if _, err := rtc.Receive(w.t.Context(), call.Session, rtc.Video); err != nil {
			t.Error(err)
		}
		if _, err := camera.Ready(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := film(); n != 1 {
			t.Errorf("the far end got %d packets of video, want 1", n)
		}
		if err := change(rtc.Change{Direction: map[rtc.Kind]rtc.Direction{rtc.Video: rtc.RecvOnly}}, true, accept(rtc.Change{})); err != nil {
			t.Fatal(err)
		}
		want("audio sendrecv PCMU;video recvonly VP8;")
		if n := film(); n != 0 {
			t.Errorf("the far end got %d packets of video that goes one way only", n)
		}
		if err := change(rtc.Change{Drop: []rtc.Kind{rtc.Video}}, true, accept(rtc.Change{})); err != nil {
			t.Fatal(err)
		}
		want("audio sendrecv PCMU;")
		if err := call.Renegotiate(w.t.Context(), &session.RenegotiateOptions{Change: rtc.Change{Drop: []rtc.Kind{rtc.Audio}}}); err == nil {
			t.Error("a call without media was offered")
		}
		want("audio sendrecv PCMU;")
	})
}

// TestVideoOffered: the far end adds video, and the application says what of
// it: nothing, not at all, with a camera.
func TestVideoOffered(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		alice, p := w.phone("alice"), siptest.Expect(w.t, w.srv)
		far, camera := w.farEnd(), rtc.NewTrack(rtc.Video)
		var d *siptest.Dialog
		var decide func(*session.Offer) error
		h := &session.Handler{Offer: func(_ *session.Session, o *session.Offer) {
			if err := decide(o); err != nil {
				t.Error(err)
			}
		}}
		call := alice.dialFar(&session.CallOptions{Handler: h}, func(*line) {
			inv := p.Expect(sip.INVITE)
			inv.Respond(200, far.answer(inv))
			p.Expect(sip.ACK)
			d = inv.Dialog()
		})
		call.receive()
		far.ready()
		offer := func(code sip.StatusCode, carried string, f func(*session.Offer) error) {
			t.Helper()
			decide = f
			o, err := far.media.Offer(w.t.Context(), session.OfferOptions{Change: rtc.Change{Kinds: []rtc.Kind{rtc.Video}}})
			if err != nil {
				t.Fatal(err)
			}
			res := d.Request(sip.INVITE, siptest.SDP(string(o.Body))).ExpectResponse(code)
			res.ACK()
			if code == 200 {
				if _, err := far.media.SetAnswer(w.t.Context(), session.Description{Body: []byte(res.Body())}, session.AnswerInfo{}); err != nil {
					t.Fatal(err)
				}
			} else {
				far.media.Abandon()
			}
			got := ""
			for _, x := range rtc.Streams(call.Session) {
				got += x.Kind.String() + " "
			}
			if got != carried {
				t.Errorf("call carries %q, want %q", got, carried)
			}
			call.wantAudio(far, true, true)
		}
		accept := func(c any) func(*session.Offer) error {
			return func(o *session.Offer) error { return o.Accept(&session.AcceptOptions{Change: c}) }
		}
		offer(603, "audio ", func(o *session.Offer) error { return o.Reject(603, nil) })
		offer(200, "audio ", accept(nil))
		offer(500, "audio ", accept("nonsense"))
		offer(200, "audio video ", accept(rtc.Change{Add: []rtc.Track{camera}}))
		if _, err := camera.Ready(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		offer(200, "audio video ", accept(nil))
		offer(200, "audio ", accept(rtc.Change{Drop: []rtc.Kind{rtc.Video}}))
	})
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
