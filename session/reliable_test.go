package session_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// reliable are the fields of a reliable provisional response.
func reliable(rseq int) []sip.Field {
	return []sip.Field{{Name: "Require", Value: "100rel"}, {Name: "RSeq", Value: strconv.Itoa(rseq)}}
}

var updates = sip.Field{Name: "Allow", Value: "INVITE, ACK, CANCEL, BYE, PRACK, UPDATE"}

// prack expects a PRACK for a response to invite and answers it.
func (r *rig) prack(invite *sip.Request, rseq int, body string) *sip.Request {
	r.t.Helper()
	prack := r.request(sip.PRACK)
	want := sip.RAck{RSeq: uint32(rseq), CSeq: invite.CSeq()}
	if got, ok := prack.RAck(); !ok || got != want {
		r.t.Errorf("PRACK has RAck %v, want %v", got, want)
	}
	r.answer(prack, 200, "", body)
	return prack
}

// TestReliableProvisionals: RFC 3262 §4, as the caller sees them.
func TestReliableProvisionals(t *testing.T) {
	bubble(t, func(r *rig) {
		_, invite := r.dial(nil)
		if !supports(invite, "100rel") || invite.HasHeader("Require") {
			t.Errorf("INVITE is %s", show(invite))
		}
		r.answer(invite, 180, "b", "", reliable(7)...)
		r.prack(invite, 7, "")
		r.answer(invite, 180, "b", "", reliable(7)...) // a repeat
		r.answer(invite, 183, "b", "", reliable(9)...) // 8 is missing
		r.silence()
		r.answer(invite, 183, "b", "", reliable(8)...)
		r.prack(invite, 8, "")
		r.answer(invite, 180, "c", "", reliable(500)...) // another dialog, another order
		r.prack(invite, 500, "")
		r.answer(invite, 183, "c", "", reliable(501)...)
		if prack := r.prack(invite, 501, ""); prack.To().Tag() != "c" || prack.CSeq().Seq != 3 {
			t.Errorf("PRACK is %s", show(prack))
		}
		r.seen("state Calling", "state Early", "progress 180", "progress 183", "progress 180", "progress 183")
		r.answer(invite, 200, "b", sdp("bob"))
		r.request(sip.ACK)
	})
}

func supports(m interface{ List(string) []string }, tag string) bool {
	for _, s := range m.List("Supported") {
		if s == tag {
			return true
		}
	}
	return false
}

// TestReliabilityOfCall: what an INVITE of ours says of it.
func TestReliabilityOfCall(t *testing.T) {
	for _, c := range []struct {
		ua, call           session.Reliability
		supports, requires bool
	}{
		{session.ReliableDefault, session.ReliableDefault, true, false},
		{session.ReliableRequired, session.ReliableDefault, true, true},
		{session.ReliableRequired, session.ReliableSupported, true, false},
		{session.ReliableSupported, session.ReliableRequired, true, true},
		{session.ReliableSupported, session.ReliableOff, false, false},
	} {
		bubbleWith(t, session.Options{Reliability: c.ua}, func(r *rig) {
			_, invite := r.dial(&session.CallOptions{Reliability: c.call})
			if supports(invite, "100rel") != c.supports || (invite.Header("Require") == "100rel") != c.requires {
				t.Errorf("%v, %v: INVITE is %s", c.ua, c.call, show(invite))
			}
			r.answer(invite, 486, "b", "")
		})
	}
}

// TestReliableAnswer: the answer of a reliable 183 is the answer; the 200 needs
// none, and what it carries means nothing.
func TestReliableAnswer(t *testing.T) {
	for _, again := range []string{"", sdp("other")} {
		bubble(t, func(r *rig) {
			s, invite := r.dial(nil)
			r.answer(invite, 183, "b", sdp("early"), reliable(1)...)
			r.prack(invite, 1, "")
			if got := r.media.last().wrote(); got != "Offer, SetAnswer early early=false" {
				t.Errorf("media: %s", got)
			}
			r.answer(invite, 200, "b", again)
			r.request(sip.ACK)
			r.must(s.WaitAnswered(r.t.Context()))
			if got := r.media.last().wrote(); got != "" {
				t.Errorf("media: %s", got)
			}
		})
	}
}

// TestReliableOffer: an INVITE without an offer gets one in a reliable
// response, and answers it in the PRACK.
func TestReliableOffer(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(&session.CallOptions{LateOffer: true})
		r.answer(invite, 183, "b", sdp("bob"), reliable(1)...)
		if prack := r.prack(invite, 1, ""); nameOf(prack.Body()) != "answer1" {
			t.Errorf("PRACK is %s", show(prack))
		}
		r.answer(invite, 200, "b", "")
		if ack := r.request(sip.ACK); len(ack.Body()) != 0 {
			t.Errorf("ACK is %s", show(ack))
		}
		r.must(s.WaitAnswered(r.t.Context()))
	})
}

// TestEarlyMediaOfEachBranch: without an offer in the INVITE each branch makes
// its own, and has media of its own; the one that answers keeps them.
func TestEarlyMediaOfEachBranch(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(&session.CallOptions{LateOffer: true})
		for i, tag := range []string{"one", "two"} {
			r.answer(invite, 183, tag, sdp(tag), reliable(i+1)...)
			if prack := r.prack(invite, i+1, ""); nameOf(prack.Body()) != fmt.Sprintf("answer%d", i+1) {
				t.Errorf("PRACK is %s", show(prack))
			}
		}
		if r.media.open() != 2 {
			t.Errorf("%d media open", r.media.open())
		}
		r.answer(invite, 200, "one", "")
		r.request(sip.ACK)
		r.must(s.WaitAnswered(r.t.Context()))
		if s.Media() != session.Media(r.media.made[0]) || r.media.open() != 1 {
			t.Errorf("media %v of %d open", s.Media(), r.media.open())
		}
	})
}

// TestReliableAnswerOfAnotherBranch: the INVITE's media are bound to the first
// branch that answered them. Another gets fresh ones: in an UPDATE, or with a
// far end that takes none in the PRACK.
func TestReliableAnswerOfAnotherBranch(t *testing.T) {
	for _, method := range []sip.Method{sip.UPDATE, sip.PRACK} {
		bubble(t, func(r *rig) {
			s, invite := r.dial(nil)
			r.answer(invite, 183, "one", sdp("one"), reliable(1)...)
			r.prack(invite, 1, "")
			fields := reliable(1)
			if method == sip.UPDATE {
				fields = append(fields, updates)
			}
			r.answer(invite, 183, "two", sdp("two"), fields...)
			if method == sip.UPDATE {
				r.prack(invite, 1, "")
			}
			fresh := r.request(method)
			if nameOf(fresh.Body()) != "offer2.1" || fresh.To().Tag() != "two" {
				t.Errorf("%s is %s", method, show(fresh))
			}
			r.answer(fresh, 200, "", sdp("two"))
			r.answer(invite, 200, "two", "")
			r.request(sip.ACK)
			r.must(s.WaitAnswered(r.t.Context()))
			r.silence()
			if s.Media() != session.Media(r.media.last()) || r.media.open() != 1 {
				t.Errorf("media %v of %d open", s.Media(), r.media.open())
			}
		})
	}
}

// TestFreshMediaRefusedEarly: the branch may win all the same, and gets them
// then.
func TestFreshMediaRefusedEarly(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.answer(invite, 183, "one", sdp("one"))
		r.answer(invite, 183, "two", sdp("two"), reliable(1)...)
		prack := r.request(sip.PRACK)
		r.answer(prack, 488, "", "")
		if plain := r.prack(invite, 1, ""); len(plain.Body()) != 0 {
			t.Errorf("PRACK is %s", show(plain))
		}
		r.silence()
		r.answer(invite, 200, "two", "")
		r.request(sip.ACK)
		again := r.request(sip.INVITE)
		r.answer(again, 200, "", sdp("two"))
		r.request(sip.ACK)
		r.must(s.WaitAnswered(r.t.Context()))
		if r.media.open() != 1 {
			t.Errorf("%d media open", r.media.open())
		}
	})
}

// TestUpdateInEarlyDialog: after the first exchange either side may make an
// offer (RFC 3311 §5.1, §5.2).
func TestUpdateInEarlyDialog(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		far := r.called(invite, "b")
		r.answer(invite, 183, "b", "", reliable(1)...)
		r.prack(invite, 1, "")
		far.send(sip.UPDATE, sdp("x"))
		r.sent("491 UPDATE") // our offer is open
		if err := s.Hold(r.t.Context()); !errors.Is(err, session.ErrState) {
			t.Errorf("Hold: %v", err)
		}
		r.answer(invite, 183, "b", sdp("b"), append(reliable(2), updates)...)
		r.prack(invite, 2, "")
		far.send(sip.UPDATE, sdp("x"))
		if res := r.sent("200 UPDATE")[0].(*sip.Response); nameOf(res.Body()) != "answer1" {
			t.Errorf("200 is %s", show(res))
		}
		hold := start(func() error { return s.Hold(r.t.Context()) })
		update := r.request(sip.UPDATE)
		far.send(sip.UPDATE, sdp("x"))
		r.sent("491 UPDATE")
		r.answer(update, 200, "", sdp("b"))
		r.must(<-hold)
		far.send(sip.INVITE, sdp("x"))
		r.sent("491 INVITE") // not before the call is up
		r.answer(invite, 200, "b", "")
		r.request(sip.ACK)
		r.must(s.WaitAnswered(r.t.Context()))
		if !s.Held().Local {
			t.Error("not held")
		}
	})
}

// TestEarlyDialogTerminated: 199 ends a branch and says so; the call goes on
// (RFC 6228).
func TestEarlyDialogTerminated(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		if !supports(invite, "199") {
			t.Errorf("INVITE is %s", show(invite))
		}
		r.answer(invite, 183, "one", sdp("one"))
		r.answer(invite, 180, "two", "")
		r.answer(invite, 199, "one", "", sip.Field{Name: "Reason", Value: "SIP;cause=486"})
		if s.Dialog().RemoteTag != "two" || s.State() != session.Early {
			t.Errorf("dialog %v, state %v", s.Dialog(), s.State())
		}
		r.called(invite, "one").send(sip.INFO, "")
		r.sent("481 INFO")
		r.seen("state Calling", "state Early", "progress 183", "progress 180", "progress 199")
		r.answer(invite, 200, "two", sdp("two"))
		r.request(sip.ACK)
		r.must(s.WaitAnswered(r.t.Context()))
	})
}

// TestLostPrack: the response comes again, and so does its PRACK.
func TestLostPrack(t *testing.T) {
	bubble(t, func(r *rig) {
		_, invite := r.dial(nil)
		r.answer(invite, 183, "b", sdp("b"), reliable(1)...)
		r.request(sip.PRACK)
		r.down()
		r.up()
		r.answer(invite, 183, "b", sdp("b"), reliable(1)...)
		r.prack(invite, 1, "")
		r.answer(invite, 183, "b", sdp("b"), reliable(1)...)
		r.silence()
		r.answer(invite, 486, "b", "")
	})
}

// requires100rel is what a caller adds that wants all responses reliable.
var (
	requires100rel = sip.Field{Name: "Require", Value: "100rel"}
	supports100rel = sip.Field{Name: "Supported", Value: "100rel"}
)

// alerts has the far end call us and returns the 180 too.
func (p *peer) alerts(body string, fields ...sip.Field) (*session.Incoming, *sip.Request, *sip.Response) {
	p.r.t.Helper()
	invite := p.send(sip.INVITE, body, fields...)
	ringing := p.r.response(180, sip.INVITE)
	p.remote = ringing.To()
	return <-p.r.calls1, invite, ringing
}

// acks sends the ACK to the 2xx of an INVITE after which other requests went.
func (p *peer) acks(invite *sip.Request, body string) {
	p.r.t.Helper()
	ack := p.request(sip.ACK, body)
	p.r.must(ack.SetCSeq(sip.CSeq{Seq: invite.CSeq().Seq, Method: sip.ACK}))
	p.r.receive(ack)
}

// confirm sends the PRACK for a reliable response of ours.
func (p *peer) confirm(res *sip.Response, body string) {
	p.r.t.Helper()
	rseq, _ := res.RSeq()
	p.send(sip.PRACK, body, sip.Field{Name: "RAck", Value: sip.RAck{RSeq: rseq, CSeq: res.CSeq()}.String()})
}

// TestRequiredRinging: a caller that requires reliable responses gets the 180
// until its PRACK, T1 apart and doubling, and 504 after 64*T1 (RFC 3262 §3).
func TestRequiredRinging(t *testing.T) {
	bubble(t, func(r *rig) {
		far := r.caller()
		begun := time.Now()
		in, _, ringing := far.alerts(sdp("bob"), requires100rel)
		first, _ := ringing.RSeq()
		if ringing.Header("Require") != "100rel" || first == 0 || first >= 1<<31 {
			t.Errorf("180 is %s", show(ringing))
		}
		for _, at := range []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond} {
			time.Sleep(time.Until(begun.Add(at)))
			if again := r.response(180, sip.INVITE); again.Header("RSeq") != ringing.Header("RSeq") {
				t.Errorf("repeated 180 is %s", show(again))
			}
			r.silence()
		}
		far.send(sip.PRACK, "", sip.Field{Name: "RAck", Value: fmt.Sprintf("%d 1 INVITE", first+1)})
		r.sent("481 PRACK")
		far.confirm(ringing, "")
		r.sent("200 PRACK")
		far.confirm(ringing, "")
		r.sent("481 PRACK")
		r.must(in.Progress(nil))
		next := r.response(183, sip.INVITE)
		if got, _ := next.RSeq(); got != first+1 {
			t.Errorf("183 is %s", show(next))
		}
		r.must(in.Progress(&session.ProgressOptions{Code: 182})) // waits for the PRACK
		r.silence()
		far.confirm(next, "")
		r.sent("200 PRACK", "182 INVITE")
		begun = time.Now()
		<-in.Context().Done()
		if waited := time.Since(begun); waited != 32*time.Second {
			t.Errorf("given up after %v", waited)
		}
		for range 6 {
			r.response(182, sip.INVITE)
		}
		r.response(504, sip.INVITE)
		r.ended(in, session.EndTimeout, false)
	})
}

// TestReliableResponseRepeatsSeldom: every two and a half minutes instead of
// each minute, and as one of its own (RFC 3262 §3).
func TestReliableResponseRepeatsSeldom(t *testing.T) {
	bubbleWith(t, session.Options{NoAnswerTimeout: time.Hour}, func(r *rig) {
		far := r.caller()
		_, _, ringing := far.alerts(sdp("bob"), requires100rel)
		far.confirm(ringing, "")
		r.sent("200 PRACK")
		time.Sleep(149 * time.Second)
		r.silence()
		time.Sleep(time.Second)
		again := r.response(180, sip.INVITE)
		first, _ := ringing.RSeq()
		if got, _ := again.RSeq(); got != first+1 {
			t.Errorf("180 is %s", show(again))
		}
		far.confirm(again, "")
		r.sent("200 PRACK")
	})
}

// TestEarlyMediaReliably: a 183 with our answer to a caller that takes it
// reliably. The 200 waits for the PRACK, and has no answer.
func TestEarlyMediaReliably(t *testing.T) {
	bubble(t, func(r *rig) {
		far := r.caller()
		in, invite, ringing := far.alerts(sdp("bob"), supports100rel)
		if ringing.HasHeader("RSeq") {
			t.Errorf("180 is %s", show(ringing))
		}
		far.send(sip.UPDATE, sdp("x"))
		r.sent("500 UPDATE") // the INVITE is not answered
		r.must(in.Progress(&session.ProgressOptions{EarlyMedia: true}))
		early := r.response(183, sip.INVITE)
		if nameOf(early.Body()) != "answer1" || !early.HasHeader("RSeq") || !slices.Contains(early.List("Allow"), "UPDATE") {
			t.Errorf("183 is %s", show(early))
		}
		answered := start(func() error { _, err := in.Answer(r.t.Context(), nil); return err })
		r.silence()
		far.confirm(early, "")
		r.response(200, sip.PRACK)
		if ok := r.response(200, sip.INVITE); len(ok.Body()) != 0 {
			t.Errorf("200 is %s", show(ok))
		}
		r.must(<-answered)
		far.acks(invite, "")
		if in.Session().State() != session.Confirmed || r.media.open() != 1 {
			t.Errorf("state %v, %d media", in.Session().State(), r.media.open())
		}
	})
}

// TestEarlyMediaUnreliably: the 200 repeats the answer of the 183.
func TestEarlyMediaUnreliably(t *testing.T) {
	bubble(t, func(r *rig) {
		far := r.caller()
		in, invite, _ := far.alerts(sdp("bob"))
		if err := in.Progress(&session.ProgressOptions{Reliable: true}); !errors.Is(err, session.ErrUnreliable) {
			t.Errorf("Progress: %v", err)
		}
		r.must(in.Progress(&session.ProgressOptions{EarlyMedia: true}))
		early := r.response(183, sip.INVITE)
		r.must(in.Ring())
		again := r.response(180, sip.INVITE)
		start(func() error { _, err := in.Answer(r.t.Context(), nil); return err })
		ok := r.response(200, sip.INVITE)
		for _, res := range []*sip.Response{again, ok} {
			if string(res.Body()) != string(early.Body()) {
				t.Errorf("%d has %q, the 183 %q", res.StatusCode(), res.Body(), early.Body())
			}
		}
		if got := r.media.last().wrote(); got != "Answer bob" {
			t.Errorf("media: %s", got)
		}
		far.acks(invite, "")
	})
}

// TestEarlyOffer: a caller without an offer gets ours in a reliable response
// and answers it in the PRACK; without reliable responses there is no way.
func TestEarlyOffer(t *testing.T) {
	bubble(t, func(r *rig) {
		far := r.caller()
		in, invite, _ := far.alerts("", supports100rel)
		r.must(in.Progress(&session.ProgressOptions{EarlyMedia: true}))
		early := r.response(183, sip.INVITE)
		if nameOf(early.Body()) != "offer1.1" {
			t.Errorf("183 is %s", show(early))
		}
		answered := start(func() error { _, err := in.Answer(r.t.Context(), nil); return err })
		r.silence()
		far.confirm(early, sdp("bob"))
		r.response(200, sip.PRACK)
		if ok := r.response(200, sip.INVITE); len(ok.Body()) != 0 {
			t.Errorf("200 is %s", show(ok))
		}
		r.must(<-answered)
		far.acks(invite, "")
	})
	bubble(t, func(r *rig) {
		in, _, _ := r.caller().alerts("")
		if err := in.Progress(&session.ProgressOptions{EarlyMedia: true}); !errors.Is(err, session.ErrUnreliable) {
			t.Errorf("Progress: %v", err)
		}
	})
}

// TestOfferInPrack: a caller may make its next offer in the PRACK; the 200 to
// it has our answer.
func TestOfferInPrack(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		bubble(t, func(r *rig) {
			far := r.caller()
			in, invite, _ := far.alerts(sdp("bob"), supports100rel)
			r.must(in.Progress(&session.ProgressOptions{EarlyMedia: true}))
			early := r.response(183, sip.INVITE)
			want := "answer1"
			if refuse {
				r.media.failWith(session.ErrUnacceptable)
				want = ""
			}
			far.confirm(early, sdp("more"))
			if res := r.response(200, sip.PRACK); nameOf(res.Body()) != want {
				t.Errorf("200 is %s", show(res))
			}
			start(func() error { _, err := in.Answer(r.t.Context(), nil); return err })
			r.response(200, sip.INVITE)
			far.acks(invite, "")
		})
	}
}

// TestCalleeUpdatesEarly: Hold before the answer goes in an UPDATE, if the
// caller takes that.
func TestCalleeUpdatesEarly(t *testing.T) {
	bubble(t, func(r *rig) {
		far := r.caller()
		in, invite, _ := far.alerts(sdp("bob"), supports100rel, updates)
		r.must(in.Progress(&session.ProgressOptions{EarlyMedia: true}))
		early := r.response(183, sip.INVITE)
		far.confirm(early, "")
		r.response(200, sip.PRACK)
		hold := start(func() error { return in.Session().Hold(r.t.Context()) })
		r.answer(r.request(sip.UPDATE), 200, "", sdp("bob"))
		r.must(<-hold)
		start(func() error { _, err := in.Answer(r.t.Context(), nil); return err })
		r.response(200, sip.INVITE)
		far.acks(invite, "")
		if !in.Session().Held().Local {
			t.Error("not held")
		}
	})
}

// TestReliabilityRequired: 421 to a caller without 100rel (RFC 3261 §21.4.16).
func TestReliabilityRequired(t *testing.T) {
	bubbleWith(t, session.Options{Reliability: session.ReliableRequired}, func(r *rig) {
		r.caller().send(sip.INVITE, sdp("bob"))
		if res := r.response(421, sip.INVITE); res.Header("Require") != "100rel" {
			t.Errorf("421 is %s", show(res))
		}
		_, _, ringing := r.caller().alerts(sdp("bob"), supports100rel)
		if !ringing.HasHeader("RSeq") {
			t.Errorf("180 is %s", show(ringing))
		}
	})
}

// TestRefusedWhileReliable: a final response other than 2xx need not wait, and
// ends the repeating; the late PRACK is answered still.
func TestRefusedWhileReliable(t *testing.T) {
	bubble(t, func(r *rig) {
		far := r.caller()
		in, _, _ := far.alerts(sdp("bob"), requires100rel)
		r.must(in.Reject(sip.StatusBusyHere, nil))
		r.response(486, sip.INVITE)
		time.Sleep(time.Minute)
		r.silence()
	})
}

// TestHandlerOfEarlyMedia: who sends early media hears what happens meanwhile,
// and goes on hearing it when the call is answered without another handler.
func TestHandlerOfEarlyMedia(t *testing.T) {
	bubble(t, func(r *rig) {
		far := r.caller()
		in, invite, _ := far.alerts(sdp("bob"))
		r.must(in.Progress(&session.ProgressOptions{EarlyMedia: true, Handler: r.handler()}))
		r.response(183, sip.INVITE)
		r.media.last().events.DTMF('5', time.Second)
		start(func() error { _, err := in.Answer(r.t.Context(), nil); return err })
		r.response(200, sip.INVITE)
		far.acks(invite, "")
		r.seen("dtmf 5 1s", "state Answering", "state Accepted", "state Confirmed")
	})
}

// TestOfferInPrackBeforeTheAnswer: one while the offer in the INVITE is open
// comes too early, and confirms nothing (RFC 3262 §5).
func TestOfferInPrackBeforeTheAnswer(t *testing.T) {
	bubble(t, func(r *rig) {
		far := r.caller()
		_, _, ringing := far.alerts(sdp("bob"), requires100rel)
		far.confirm(ringing, sdp("more"))
		if res := r.response(500, sip.PRACK); !res.HasHeader("Retry-After") {
			t.Errorf("500 is %s", show(res))
		}
		far.confirm(ringing, "")
		r.response(200, sip.PRACK)
	})
}
