package session_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// digit is an INFO with one.
func (p *peer) digit(body string) *sip.Request {
	p.r.t.Helper()
	req := p.request(sip.INFO, "")
	p.r.must(req.SetBody("application/dtmf-relay", []byte(body)))
	return req
}

// TestBlockedHandler: beyond the queue's limit the peer's requests are refused,
// states are kept all the same, and of hold the newest is told.
func TestBlockedHandler(t *testing.T) {
	bubble(t, func(r *rig) {
		gate := make(chan struct{})
		digits := 0
		h := r.handler()
		h.DTMF = func(*session.Session, session.DTMF) {
			<-gate
			digits++
		}
		h.Mute = func(_ *session.Session, m session.MuteSet) { r.note("mute %v", m.Audio) }
		s, invite := r.dial(&session.CallOptions{Handler: h})
		r.answer(invite, 200, "b", sdp("bob"))
		r.sent("ACK")
		bob := r.called(invite, "b")
		answers := map[string]int{}
		for range 1100 {
			r.core.Receive(r.wire, bob.digit("Signal=1\r\n").AppendTo(nil))
			res := r.next().(*sip.Response)
			answers[fmt.Sprint(int(res.StatusCode()), res.HasHeader("Retry-After"))]++
		}
		if answers["200 false"] != 1025 || answers["500 true"] != 75 { // one is at work
			t.Errorf("answers %v", answers)
		}
		for i := range 5 {
			s.Mute(session.MuteSet{Audio: i%2 == 0})
			s.Unmute(session.MuteSet{Audio: i%2 == 1})
		}
		bob.send(sip.BYE, "")
		r.sent("200 BYE")
		close(gate)
		r.seen("state Calling", "state Confirmed", "mute true", "state Terminated")
		if digits != 1025 {
			t.Errorf("%d digits", digits)
		}
	})
}

// nosy is a log handler of the application that asks the library.
type nosy struct {
	slog.Handler
	ask func()
}

func (n nosy) Handle(ctx context.Context, rec slog.Record) error {
	n.ask()
	return n.Handler.Handle(ctx, rec)
}

// TestLoggerMayCallBack: like every other func of the application.
func TestLoggerMayCallBack(t *testing.T) {
	var log strings.Builder
	var r1 *rig
	l := slog.New(nosy{slog.NewTextHandler(&log, nil), func() { r1.calls.Sessions() }})
	bubbleWith(t, session.Options{Logger: l}, func(r *rig) {
		r1 = r
		_, invite := r.dial(nil)
		res := sip.NewResponse(invite, 180, "")
		r.must(res.SetTo(invite.To().WithTag("b"))) // and no Contact
		r.receive(res)
		if !strings.Contains(log.String(), "call_id="+invite.CallID()) {
			t.Errorf("logged %q", log.String())
		}
	})
}

// TestHandlerPanics: it is logged with its stack and ends its call.
func TestHandlerPanics(t *testing.T) {
	var log strings.Builder
	bubbleWith(t, session.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(r *rig) {
		h := r.handler()
		h.Progress = func(*session.Session, *sip.Response) { panic("oops") }
		s, invite := r.dial(&session.CallOptions{Handler: h})
		r.answer(invite, 180, "b", "")
		r.sent("CANCEL")
		r.ended(s, session.EndCanceled, false)
		r.seen("state Calling", "state Early", "state Terminated")
		if n := strings.Count(log.String(), "panic=oops"); n != 1 || !strings.Contains(log.String(), "events_test.go") {
			t.Errorf("logged %d times: %s", n, log.String())
		}
	})
}

// TestInfo: RFC 6086 §4.2.2 and what was before it.
func TestInfo(t *testing.T) {
	bubble(t, func(r *rig) {
		_, bob := r.talk("b")
		bob.send(sip.INFO, "")
		r.sent("200 INFO") // nothing to understand
		bob.send(sip.INFO, "", sip.Field{Name: "Info-Package", Value: "foo"})
		if res := r.sent("469 INFO")[0].(*sip.Response); !res.HasHeader("Recv-Info") {
			t.Errorf("469 is %s", show(res))
		}
		for body, want := range map[string]string{
			"Signal=5\r\nDuration=160\r\n":       "dtmf 5 160ms",
			"duration = 200\nsignal = d\n":       "dtmf D 200ms",
			"Signal=*":                           "dtmf * 100ms",
			"Signal=#\r\nDuration=999999999":     "dtmf # 6s",
			"Signal=1\r\nDuration=1":             "dtmf 1 1ms",
			"Signal=1\r\nDuration=x":             "dtmf 1 100ms",
			"Signal=\r\n":                        "",
			"Signal=12":                          "",
			"Signal=é":                           "",
			"":                                   "",
			"Duration=100\r\n":                   "",
			"\x00":                               "",
			"Signal=1\r\nSignal=2\r\n":           "dtmf 2 100ms",
			strings.Repeat("x", 9000) + "\r\n":   "",
			"Signal: 3\r\n":                      "",
			" Signal=7 \r\n Duration=\t300 \r\n": "dtmf 7 300ms",
		} {
			if body == "" {
				continue
			}
			r.receive(bob.digit(body))
			if want == "" {
				r.sent("400 INFO")
				r.seen()
			} else {
				r.sent("200 INFO")
				r.seen(want)
			}
		}
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

// TestAnsweredWithContextEnded: what is known already does not depend on it.
func TestAnsweredWithContextEnded(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		for range 50 {
			if err := s.WaitAnswered(ended); err != nil {
				t.Fatalf("WaitAnswered: %v", err)
			}
		}
		synctest.Wait()
		time.Sleep(time.Second)
	})
}
