package sipua_test

import (
	"fmt"
	"testing"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// TestOffersBeforeWeAnswer: a caller whose offer we have answered reliably makes
// others, in the PRACK and in an UPDATE, before we answer the call. Each has its
// effect on the audio (RFC 3262 §5, RFC 3311 §5.2).
func TestOffersBeforeWeAnswer(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		alice, far := w.phone("alice"), w.farEnd()
		p := siptest.Peer(w.t, w.srv, "bob")
		offer := func(hold bool) siptest.Part {
			w.t.Helper()
			d, err := far.media.Offer(w.t.Context(), session.OfferOptions{Hold: hold})
			w.must(err)
			return siptest.SDP(string(d.Body))
		}
		answered := func(r *siptest.Received) {
			w.t.Helper()
			_, err := far.media.SetAnswer(w.t.Context(), session.Description{Body: []byte(r.Body())}, session.AnswerInfo{})
			w.must(err)
		}
		invite := p.Request(sip.INVITE, "sip:alice@example.com", offer(false), siptest.Header("Supported", "100rel"),
			siptest.Header("Allow", "INVITE, ACK, CANCEL, BYE, PRACK, UPDATE"))
		invite.ExpectResponse(180)
		in := <-alice.calls
		l := &line{w: w, phone: alice, Session: in.Session(), out: rtc.NewTrack(rtc.Audio)}
		w.must(in.Progress(&session.ProgressOptions{EarlyMedia: true, Media: w.media(l.out)}))
		early := invite.ExpectResponse(183)
		answered(early)
		d := early.Dialog()
		rack := siptest.Header("RAck", fmt.Sprintf("%s %s", early.Header("RSeq"), early.Header("CSeq")))
		answered(d.Request(sip.PRACK, rack, offer(true)).ExpectResponse(200))
		if l.Held() != (session.HoldState{Remote: true}) {
			w.t.Errorf("held %+v after the PRACK", l.Held())
		}
		answered(d.Request(sip.UPDATE, offer(false)).ExpectResponse(200))
		if l.Held() != (session.HoldState{}) {
			w.t.Errorf("held %+v after the UPDATE", l.Held())
		}
		l.receive()
		far.ready()
		l.wantAudio(far, true, true)
		_, err := in.Answer(w.t.Context(), nil)
		w.must(err)
		invite.ExpectResponse(200).ACK()
		l.wantAudio(far, true, true)
		d.Request(sip.BYE).ExpectResponse(200)
	})
}
