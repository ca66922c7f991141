package sipua_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

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
