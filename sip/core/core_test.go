package core_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/digest"
)

func TestClose(t *testing.T) {
	cause := errors.New("done for today")
	run(t, withPassword(), func(r *rig) {
		var lost error
		r.locked(func() {
			r.Handle(sip.MESSAGE, func(in *core.Incoming) { in.OnLost = func(err error) { lost = err } })
			r.WatchFlows(func(core.Flow, core.FlowInfo, bool, error) { t.Error("watcher called after Close") })
		})
		r.receive(incoming(sip.MESSAGE, "1"))
		pending := r.send(sip.OPTIONS, nil)
		invite := r.send(sip.INVITE, nil)
		accepted := r.send(sip.INVITE, nil)
		r.request(sip.OPTIONS)
		r.request(sip.INVITE)
		r.answer(r.request(sip.INVITE), 200)
		ringing := r.send(sip.INVITE, nil)
		r.answer(r.request(sip.INVITE), 180)
		ringing.cancel()
		r.request(sip.CANCEL)

		r.Close(cause)
		r.Close(nil) // once
		r.Wait()
		for name, s := range map[string]*sending{"OPTIONS": pending, "INVITE": invite, "canceled INVITE": ringing} {
			if s.err != cause {
				t.Errorf("%s: %v", name, s.err)
			}
		}
		if lost != cause || accepted.err != nil || accepted.done {
			t.Errorf("request: %v, answered INVITE: %v, %v", lost, accepted.err, accepted.done)
		}
		late := r.send(sip.OPTIONS, nil)
		synctest.Wait()
		if late.err != cause {
			t.Errorf("sent after Close: %v", late.err)
		}
		if _, err := r.Do(r.Context(), sip.NewRequest(sip.OPTIONS, uri("sip:x@y"))); err != cause {
			t.Errorf("Do after Close: %v", err)
		}
		r.receive(incoming(sip.OPTIONS, "2"))
		r.down()
		r.up(2, server)
		r.locked(func() { r.Handle(sip.MESSAGE, func(*core.Incoming) { t.Error("handler called after Close") }) })
		r.receive(incoming(sip.MESSAGE, "3"))
		r.sleep(time.Hour)
		r.nothing()
	})
}

func TestCloseWhileWaiting(t *testing.T) {
	run(t, options(), func(r *rig) {
		r.down()
		s := r.send(sip.OPTIONS, nil)
		done := make(chan error)
		go func() {
			_, err := r.Do(r.Context(), sip.NewRequest(sip.OPTIONS, uri("sip:x@y")))
			done <- err
		}()
		synctest.Wait()
		r.Close(nil)
		r.Wait()
		if err := <-done; !errors.Is(err, net.ErrClosed) || !errors.Is(s.err, net.ErrClosed) {
			t.Errorf("Do: %v, Send: %v", err, s.err)
		}
	})
}

func TestNothingIsSentAfterClose(t *testing.T) {
	run(t, options(), func(r *rig) {
		_, _, in := r.accepted()
		s, d := r.called()
		r.request(sip.ACK)
		r.Close(nil)
		r.locked(in.RepeatFinal)
		r.locked(func() { r.SendACK(d, &s.Outgoing, "", nil) })
		r.nothing()
	})
}

// Callbacks may come back into the core with what it offers locked.
func TestCallbacksSend(t *testing.T) {
	run(t, options(), func(r *rig) {
		var second *core.Outgoing
		s := &core.Outgoing{Request: sip.NewRequest(sip.MESSAGE, uri("sip:bob@example.com"))}
		s.OnFail = func(error) {
			second = &core.Outgoing{Request: sip.NewRequest(sip.OPTIONS, uri("sip:bob@example.com"))}
			r.Send(second)
		}
		r.locked(func() { r.Send(s) })
		r.request(sip.MESSAGE)
		r.down()
		r.up(2, server)
		r.request(sip.OPTIONS)
	})
}

func TestSendFails(t *testing.T) {
	var log bytes.Buffer
	o := options()
	o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	run(t, o, func(r *rig) {
		r.flow.err = errors.New("stalled")
		s := r.send(sip.MESSAGE, nil)
		s.got()
		if s.err != nil {
			t.Errorf("error %v before FlowDown", s.err)
		}
		r.down()
		if !errors.Is(s.err, net.ErrClosed) {
			t.Errorf("error %v after FlowDown", s.err)
		}
		if !strings.Contains(log.String(), "error=stalled") {
			t.Errorf("logged %q", log.String())
		}
	})
}

// The logger is the application's: it may take its time and close the UA.
func TestLoggerMayClose(t *testing.T) {
	var c *core.Core
	closed := make(chan struct{})
	handler := &closer{fn: func() { c.Close(nil); c.Wait(); close(closed) }}
	o := withPassword()
	o.Logger = slog.New(handler)
	o.Realm = "ours"
	run(t, o, func(r *rig) {
		c = r.Core
		closed = make(chan struct{})
		r.send(sip.INVITE, nil)
		r.challenge(r.request(sip.INVITE), challenge("theirs", "1", false))
		<-closed
	})
}

type closer struct {
	slog.Handler
	once sync.Once
	fn   func()
}

func (h *closer) Enabled(context.Context, slog.Level) bool { return true }
func (h *closer) Handle(context.Context, slog.Record) error {
	h.once.Do(h.fn)
	return nil
}

// Credentials is the application's, too.
func TestCredentialsMayClose(t *testing.T) {
	var c *core.Core
	o := options()
	o.Credentials = func(context.Context, digest.Challenge) (digest.Credentials, error) {
		c.Close(nil)
		c.Wait()
		return password(), nil
	}
	run(t, o, func(r *rig) {
		c = r.Core
		s := r.send(sip.REGISTER, nil)
		r.challenge(r.request(sip.REGISTER), challenge("x", "1", false))
		s.got()
		if !errors.Is(s.err, net.ErrClosed) {
			t.Errorf("error %v", s.err)
		}
	})
}

func TestTrace(t *testing.T) {
	var seen []string
	o := options()
	o.Trace = func(e core.TraceEvent) {
		line, _, _ := strings.Cut(string(e.Data), "\r\n")
		dir := "out "
		if e.In {
			dir = "in "
		}
		if e.Err != nil {
			line += " !" + e.Err.Error()
		}
		if e.Flow != 1 || e.Server != server || e.Time.IsZero() {
			t.Errorf("event %+v", e)
		}
		seen = append(seen, dir+line)
	}
	run(t, o, func(r *rig) {
		r.receive(incoming(sip.OPTIONS, "1"))
		r.receive("nonsense\r\n\r\n")
		r.ReceiveTooLong(r.flow, []byte("x y\r\n"))
		if d := cmp.Diff([]string{
			"in OPTIONS sip:alice@a1.invalid;transport=ws SIP/2.0",
			"out SIP/2.0 200 OK",
			`in nonsense !sip: start-line: malformed method at byte 0 in "nonsense"`,
			"in x y !sip: 513 Message Too Large: message: beyond the limit",
		}, seen); d != "" {
			t.Error(d)
		}
	})
}

func TestQueue(t *testing.T) {
	run(t, options(), func(r *rig) {
		q := r.NewQueue(nil)
		var got []int
		gate := make(chan struct{})
		q.Push(func() { <-gate })
		synctest.Wait()
		for i := range 1024 {
			if !q.Push(func() { got = append(got, i) }) {
				t.Fatalf("full at %d", i)
			}
		}
		if q.Push(func() {}) {
			t.Error("not full at 1,024")
		}
		q.PushFinal(func() { got = append(got, -1) })
		close(gate)
		synctest.Wait()
		if len(got) != 1025 || got[1024] != -1 {
			t.Fatalf("%d functions ran", len(got))
		}
		for i, v := range got[:1024] {
			if v != i {
				t.Fatalf("%d ran in place %d", v, i)
			}
		}
		q.Push(func() { got = nil }) // a queue that was empty runs again
		synctest.Wait()
		if got != nil {
			t.Error("the queue stands still")
		}
	})
}

func TestQueueSurvives(t *testing.T) {
	var log bytes.Buffer
	o := options()
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	run(t, o, func(r *rig) {
		var value any
		var stack []byte
		ran := 0
		q := r.NewQueue(func(v any, s []byte) { value, stack = v, s })
		q.Push(func() { panic("boom") })
		q.Push(func() { ran++ })
		q.Push(func() { runtime.Goexit() })
		q.Push(func() { ran++ })
		synctest.Wait()
		if value != "boom" || !bytes.Contains(stack, []byte("TestQueueSurvives")) || ran != 2 {
			t.Errorf("panic %v, %d functions ran, stack:\n%s", value, ran, stack)
		}
		if log.Len() != 0 {
			t.Errorf("logged beside onPanic: %q", log.String())
		}
		r.NewQueue(nil).Push(func() { panic("boom") })
		synctest.Wait()
		if !strings.Contains(log.String(), "panic=boom") || !strings.Contains(log.String(), "TestQueueSurvives") {
			t.Errorf("logged %q", log.String())
		}
	})
}

// Of a kind that tells how things stand the newest is never lost, nor out of
// place.
func TestQueueNewest(t *testing.T) {
	run(t, options(), func(r *rig) {
		var got []string
		note := func(s string) func() { return func() { got = append(got, s) } }
		q := r.NewQueue(nil)
		gate := make(chan struct{})
		q.Push(func() { <-gate })
		synctest.Wait()
		q.PushNewest("a", note("a1"))
		q.PushNewest("a", note("a2"))
		for q.Push(func() {}) {
		}
		q.PushNewest("a", note("a3"))
		q.PushNewest("b", note("b1"))
		q.PushNewest("a", note("a4"))
		q.PushFinal(note("end"))
		close(gate)
		synctest.Wait()
		q.PushNewest("a", note("a5"))
		synctest.Wait()
		if want := "a1 a2 a4 b1 end a5"; strings.Join(got, " ") != want {
			t.Errorf("ran %q, want %q", got, want)
		}
	})
}

// TestQueueEnds: after the last function none runs, whatever it tells.
func TestQueueEnds(t *testing.T) {
	run(t, options(), func(r *rig) {
		var got []string
		note := func(s string) func() { return func() { got = append(got, s) } }
		q := r.NewQueue(nil)
		gate := make(chan struct{})
		q.Push(func() { <-gate })
		q.PushNewest("a", note("a1"))
		q.PushLast(note("last"))
		q.PushNewest("a", note("a2"))
		q.PushLast(note("again"))
		if q.Push(note("more")) {
			t.Error("taken after the last")
		}
		close(gate)
		synctest.Wait()
		q.PushNewest("a", note("a3"))
		synctest.Wait()
		if want := "a1 last"; strings.Join(got, " ") != want {
			t.Errorf("ran %q, want %q", got, want)
		}
	})
}

func TestGo(t *testing.T) {
	run(t, options(), func(r *rig) {
		done := false
		r.Go(func() { time.Sleep(time.Second); done = true })
		r.Close(nil)
		r.Wait()
		if !done {
			t.Error("Wait does not wait")
		}
	})
}
