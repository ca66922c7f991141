package session_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/gosipua/sipua/sip"
)

func TestBlindTransfer(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.talk("b")
		result := start(func() error { return s.Refer(r.t.Context(), "carol") })
		refer := r.request(sip.REFER)
		if refer.Header("Refer-To") != "<sip:carol@example.com>" || refer.Header("Referred-By") != "<sip:alice@example.com>" {
			t.Errorf("REFER is %s", show(refer))
		}
		r.answer(refer, 202, "", "")
		r.must(<-result)
		for _, step := range []struct{ state, frag string }{
			{"active;expires=60", "SIP/2.0 100 Trying"}, {"terminated;reason=noresource", "SIP/2.0 200 OK\r\n"},
		} {
			n := bob.request(sip.NOTIFY, "", sip.Field{Name: "Event", Value: "refer"}, sip.Field{Name: "Subscription-State", Value: step.state})
			r.must(n.SetBody("message/sipfrag;version=2.0", []byte(step.frag)))
			r.receive(n)
			r.response(200, sip.NOTIFY)
		}
		r.seen("refer 100 final=false", "refer 200 final=true")
		bob.send(sip.REFER, "", sip.Field{Name: "Refer-To", Value: "<sip:x@y.z>"})
		r.response(603, sip.REFER)
	})
}

// notify sends the news of a transfer.
func (p *peer) notify(event, state, frag string) {
	p.r.t.Helper()
	n := p.request(sip.NOTIFY, "", sip.Field{Name: "Event", Value: event}, sip.Field{Name: "Subscription-State", Value: state})
	if frag != "" {
		p.r.must(n.SetBody("message/sipfrag;version=2.0", []byte(frag)))
	}
	p.r.receive(n)
}

// TestNotifyIsMatched: RFC 6665 §4.1.3 and RFC 3515 §2.4.6.
func TestNotifyIsMatched(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.talk("b")
		bob.notify("refer", "active", "SIP/2.0 100 Trying")
		r.sent("481 NOTIFY") // nothing was asked
		bob.notify("presence", "active", "")
		if res := r.sent("489 NOTIFY")[0].(*sip.Response); res.Header("Allow-Events") != "refer" {
			t.Errorf("489 is %s", show(res))
		}

		first := start(func() error { return s.Refer(r.t.Context(), "carol") })
		refer := r.request(sip.REFER)
		bob.notify("refer", "active", "SIP/2.0 100 Trying") // overtakes the 202
		r.sent("200 NOTIFY")
		r.answer(refer, 202, "", "")
		r.must(<-first)
		second := start(func() error { return s.Refer(r.t.Context(), "dave") })
		again := r.request(sip.REFER)
		r.answer(again, 202, "", "")
		r.must(<-second)
		r.seen("refer 100 final=false")

		bob.notify("refer;id=99999", "active", "SIP/2.0 180 Ringing")
		r.sent("481 NOTIFY")
		bob.notify(fmt.Sprintf("refer;id=%d", again.CSeq().Seq), "terminated;reason=noresource", "SIP/2.0 603 Declined")
		r.sent("200 NOTIFY")
		bob.notify(fmt.Sprintf("refer;id=%d", again.CSeq().Seq), "terminated", "SIP/2.0 200 OK")
		r.sent("481 NOTIFY") // that is over
		bob.notify("refer", "active", "SIP/2.0 200 OK")
		bob.notify("refer", "terminated;reason=timeout", "")
		r.sent("200 NOTIFY", "200 NOTIFY")
		bob.notify("refer", "terminated", "SIP/2.0 200 OK")
		r.sent("481 NOTIFY")
		r.seen("refer 603 final=true", "refer 200 final=true") // each has one end
	})
}

func TestNotifyThatCannotBeRead(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.talk("b")
		result := start(func() error { return s.Refer(r.t.Context(), "carol") })
		r.answer(r.request(sip.REFER), 202, "", "")
		r.must(<-result)
		bob.notify("refer", "active", "HTTP/1.1 200 OK")
		r.sent("400 NOTIFY")
		bob.notify("refer", "active", "SIP/2.0 9999 x")
		r.sent("400 NOTIFY")
		n := bob.request(sip.NOTIFY, "", sip.Field{Name: "Event", Value: "refer"}, sip.Field{Name: "Subscription-State", Value: "active"})
		r.must(n.SetBody("text/plain", []byte("SIP/2.0 200 OK")))
		r.receive(n)
		if res := r.sent("415 NOTIFY")[0].(*sip.Response); res.Header("Accept") != "message/sipfrag" {
			t.Errorf("415 is %s", show(res))
		}
		r.seen()
	})
}

// TestRefusedRefer makes no subscription.
func TestRefusedRefer(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.talk("b")
		result := start(func() error { return s.Refer(r.t.Context(), "carol") })
		r.answer(r.request(sip.REFER), 603, "", "")
		if err := <-result; err == nil {
			t.Error("Refer succeeded")
		}
		bob.notify("refer", "active", "SIP/2.0 100 Trying")
		r.sent("481 NOTIFY")
	})
}

// TestReferGivenUp: the context ends the waiting only, so what the far end
// tells later is heard.
func TestReferGivenUp(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.talk("b")
		ctx, cancel := context.WithCancel(r.t.Context())
		result := start(func() error { return s.Refer(ctx, "carol") })
		refer := r.request(sip.REFER)
		cancel()
		if err := <-result; err == nil {
			t.Error("Refer succeeded")
		}
		r.answer(refer, 202, "", "")
		bob.notify("refer", "terminated;reason=noresource", "SIP/2.0 200 OK")
		r.sent("200 NOTIFY")
		r.seen("refer 200 final=true")
	})
}
