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
			r.core.Receive(r.flow, bob.digit("Signal=1\r\n").AppendTo(nil))
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
