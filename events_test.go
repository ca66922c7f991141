package sipua_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
	"github.com/gosipua/sipua/transport"
)

// stream notes all events of a UA.
type stream struct{ events chan sipua.Event }

func newStream() *stream { return &stream{make(chan sipua.Event, 2000)} }

func (s *stream) into(c *sipua.Config) { c.Handler.Event = func(e sipua.Event) { s.events <- e } }

// since returns what came since the last look.
func (s *stream) since() (events []sipua.Event) {
	synctest.Wait()
	for len(s.events) > 0 {
		events = append(events, <-s.events)
	}
	return events
}

// until returns what comes up to the next event of a kind, that included.
func (s *stream) until(kind sipua.EventKind) (events []sipua.Event) {
	for {
		e := <-s.events
		if events = append(events, e); e.Kind == kind {
			return events
		}
	}
}

func kinds(events []sipua.Event) (kinds []sipua.EventKind) {
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func lines(events []sipua.Event) string {
	var b strings.Builder
	for _, e := range events {
		b.WriteString(e.String() + "\n")
	}
	return b.String()
}

// TestEventsOfAConnectionThatIsLost: everything in order, each with what belongs
// to it.
func TestEventsOfAConnectionThatIsLost(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		told := newStream()
		w.phone("alice", told.into)
		events := told.since()
		if got, want := kinds(events), []sipua.EventKind{sipua.EventConnecting, sipua.EventConnected, sipua.EventRegistered}; !slices.Equal(got, want) {
			t.Fatalf("events %v, want %v", got, want)
		}
		url := w.srv.URL()
		for i, e := range events {
			if e.Server.URL != url || !e.Time.Equal(time.Now()) || i > 0 && e.Flow != 1 {
				t.Errorf("%v: server %v, flow %d, at %v", e, e.Server, e.Flow, e.Time)
			}
		}
		if events[0].Attempt != 1 || events[1].Local == nil || !events[2].Registration.Bound() {
			t.Errorf("first events %+v", events)
		}

		time.Sleep(time.Minute) // a connection that held is made again at once
		w.srv.Drop()
		events = told.until(sipua.EventRegistered)
		want := []sipua.EventKind{
			sipua.EventDisconnected, sipua.EventUnregistered, sipua.EventReconnecting,
			sipua.EventConnecting, sipua.EventConnected, sipua.EventRegistered,
		}
		if got := kinds(events); !slices.Equal(got, want) {
			t.Fatalf("events %v, want %v", got, want)
		}
		if e := events[0]; e.Flow != 1 || !errors.Is(e.Err, syscall.ECONNRESET) || !errors.Is(e.Err, net.ErrClosed) {
			t.Errorf("the loss: %+v", e)
		}
		if e := events[1]; e.Flow != 1 || e.Registration.Bound() || !errors.Is(e.Err, net.ErrClosed) {
			t.Errorf("the registration went: %+v", e)
		}
		if e := events[2]; e.In != 0 || e.Attempt != 1 || events[3].Attempt != 1 {
			t.Errorf("reconnecting: %+v, then %+v", e, events[3])
		}
		if e := events[5]; e.Flow != 2 || e.Server.URL != url {
			t.Errorf("registered again: %+v", e)
		}
		if got := lines(events[4:]); got != "connected to "+url+" over flow 2 from "+events[4].Local.String()+"\nregistered for 10m0s over flow 2\n" {
			t.Errorf("in words:\n%s", got)
		}
	})
}

// TestEventsTellWhyAConnectionIsLost: each reason is an error that errors.Is and
// errors.As know.
func TestEventsTellWhyAConnectionIsLost(t *testing.T) {
	for name, tt := range map[string]struct {
		lose func(w *world)
		is   error
		as   func(error) bool
	}{
		"silence": {lose: func(w *world) { w.srv.Blackhole(true) }, is: transport.ErrNoPong},
		"reset":   {lose: func(w *world) { w.srv.Drop() }, is: syscall.ECONNRESET},
		"close code": {lose: func(w *world) { w.srv.Conns()[0].Close(1012, "restart") }, as: func(err error) bool {
			var closed *transport.CloseError
			return errors.As(err, &closed) && closed.Code == 1012
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) {
				told := newStream()
				w.phone("alice", told.into)
				told.since()
				tt.lose(w)
				lost := told.until(sipua.EventDisconnected)[0]
				var flow *transport.FlowError
				if !errors.As(lost.Err, &flow) || flow.Flow != 1 || tt.is != nil && !errors.Is(lost.Err, tt.is) || tt.as != nil && !tt.as(lost.Err) {
					t.Errorf("lost by %v", lost.Err)
				}
			})
		})
	}
}

// TestEventsOfAServerThatRefuses: attempts that fail, and a REGISTER that does,
// with the time of the next.
func TestEventsOfAServerThatRefuses(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		told := newStream()
		w.srv.Refuse(siptest.Refusal{Status: 503})
		cfg := w.config("alice")
		told.into(&cfg)
		ua := w.ua(cfg)
		defer ua.Close()
		go ua.Start(w.t.Context())
		failed := told.until(sipua.EventConnectFailed)
		e := failed[len(failed)-1]
		var refused *transport.HandshakeError
		if !errors.As(e.Err, &refused) || refused.StatusCode != 503 || e.Server.URL != w.srv.URL() {
			t.Errorf("failed: %+v", e)
		}

		script := siptest.Expect(w.t, w.srv)
		script.Take(sip.REGISTER)
		w.srv.Admit()
		script.Expect(sip.REGISTER).Respond(500)
		failed = told.until(sipua.EventRegisterFailed)
		e = failed[len(failed)-1]
		if !errors.Is(e.Err, sip.StatusServerInternalError) || e.Flow != 1 || e.In <= 0 || !e.Registration.RetryAt.Equal(e.Time.Add(e.In)) {
			t.Errorf("failed: %+v", e)
		}
	})
}

// TestEventsOfAnApplicationThatIsFarBehind: what it is told in the end is how
// things stand, and not much more than 1,024 events wait.
func TestEventsOfAnApplicationThatIsFarBehind(t *testing.T) {
	const losses = 250 // with six events each
	inWorld(t, siptest.Options{}, func(w *world) {
		told, read := newStream(), make(chan struct{})
		w.phone("alice", func(c *sipua.Config) {
			c.Handler = sipua.Handler{Event: func(e sipua.Event) {
				<-read
				told.events <- e
			}}
		})
		for range losses {
			w.srv.Drop()
			if err := w.srv.WaitRegistered(w.t.Context(), "sip:alice@example.com"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute) // a connection that held
		}
		close(read)
		events := told.since()
		if len(events) > 1030 {
			t.Errorf("%d events waited", len(events))
		}
		for _, kind := range []sipua.EventKind{sipua.EventConnected, sipua.EventRegistered} {
			last := slices.IndexFunc(events, func(e sipua.Event) bool { return e.Kind == kind && e.Flow == losses+1 })
			if last < len(events)-5 {
				t.Errorf("%v over the last flow is event %d of %d", kind, last, len(events))
			}
		}
	})
}

// TestEventsKeepSecrets: what an event is printed or logged as shows no token of a
// server's URL or header.
func TestEventsKeepSecrets(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		told := newStream()
		p := w.phone("alice", told.into, func(c *sipua.Config) {
			c.WSServers[0].URL += "?token=secret1"
			c.WSServers[0].Header = http.Header{"Authorization": {"Bearer secret2"}}
		})
		w.srv.Drop()
		events := told.until(sipua.EventReconnecting)
		time.Sleep(time.Minute)
		w.srv.Refuse(siptest.Refusal{Status: 503})
		w.srv.Drop()
		events = append(events, told.until(sipua.EventConnectFailed)...)
		w.srv.Admit()
		time.Sleep(time.Minute)
		w.must(p.Unregister(w.t.Context(), false))
		p.Close()
		var log bytes.Buffer
		text, json := slog.New(slog.NewTextHandler(&log, nil)), slog.New(slog.NewJSONHandler(&log, nil))
		for _, e := range append(events, told.since()...) {
			text.Info("event", "event", e)
			json.Info("event", "event", e)
			fmt.Fprintf(&log, "%v %+v %#v\n", e, e, e)
		}
		if !strings.Contains(log.String(), "disconnected") || strings.Contains(log.String(), "secret") {
			t.Errorf("logged\n%s", log.String())
		}
	})
}
