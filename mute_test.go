package sipua_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// second is another server of the same domain, lighter than the world's.
func (w *world) second() (*siptest.Server, func(*sipua.Config)) {
	w.t.Helper()
	other, err := siptest.NewServer(siptest.Options{Domain: "example.com", Host: "b.example.com", Users: map[string]string{"alice": "wonderland", "bob": "builder"}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { other.Close() })
	return other, func(c *sipua.Config) {
		c.WSServers = []sipua.WSServer{{URL: w.srv.URL(), Weight: 2}, {URL: other.URL(), Weight: 1}}
		c.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if strings.HasPrefix(addr, "b.") {
				return other.DialContext(ctx, network, addr)
			}
			return w.srv.DialContext(ctx, network, addr)
		}
	}
}

// TestServerThatGoesMute: its pings are answered, its SIP is not. It is left for
// the next one at the instant that the configuration names.
func TestServerThatGoesMute(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(c *sipua.Config)
		use    func(w *world, p *phone) // of the mute server
		after  time.Duration            // it went mute
		why    sipua.UnansweredError
	}{
		{
			name: "noticed by OPTIONS", change: func(c *sipua.Config) { c.OptionsInterval = 10 * time.Second },
			after: 14 * time.Second, why: sipua.UnansweredError{Method: sip.OPTIONS, After: 4 * time.Second},
		},
		{
			name: "noticed by OPTIONS within 2 s", change: func(c *sipua.Config) { c.OptionsInterval, c.OptionsTimeout = time.Second, time.Second },
			after: 2 * time.Second, why: sipua.UnansweredError{Method: sip.OPTIONS, After: time.Second},
		},
		{
			name: "noticed by time-outs",
			use: func(w *world, p *phone) {
				go p.SendMessage(w.t.Context(), "bob", "hello", nil)
				time.Sleep(5 * time.Second)
				go p.SendMessage(w.t.Context(), "bob", "hello?", nil)
			},
			after: 41 * time.Second, why: sipua.UnansweredError{Method: sip.MESSAGE, Timeouts: 2, After: 4 * time.Second},
		},
		{
			name: "noticed by the time-out of a REGISTER",
			use: func(w *world, p *phone) {
				go p.SendMessage(w.t.Context(), "bob", "hello", nil)
				time.Sleep(time.Second)
				go p.Register(w.t.Context())
			},
			after: 37 * time.Second, why: sipua.UnansweredError{Method: sip.REGISTER, Timeouts: 2, After: 4 * time.Second},
		},
		{
			name: "noticed by the first time-out", change: func(c *sipua.Config) { c.MaxTimeouts, c.OptionsTimeout = 1, time.Second },
			use:   func(w *world, p *phone) { go p.SendMessage(w.t.Context(), "bob", "hello", nil) },
			after: 33 * time.Second, why: sipua.UnansweredError{Method: sip.MESSAGE, Timeouts: 1, After: time.Second},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) {
				told := newStream()
				other, both := w.second()
				p := w.phone("alice", both, told.into, func(c *sipua.Config) {
					if tt.change != nil {
						tt.change(c)
					}
				})
				told.since()
				w.srv.Mute(true)
				begun := time.Now()
				if tt.use != nil {
					tt.use(w, p)
				}
				losing := told.until(sipua.EventDisconnected)
				coming := told.until(sipua.EventRegistered)
				lost, back := losing[len(losing)-1], coming[len(coming)-1]
				var why *sipua.UnansweredError
				if lost.Server.URL != w.srv.URL() || !errors.As(lost.Err, &why) || *why != tt.why {
					t.Errorf("%v, want %v", lost, &tt.why)
				}
				if d := lost.Time.Sub(begun); d != tt.after {
					t.Errorf("lost after %v, want %v", d, tt.after)
				}
				if back.Server.URL != other.URL() || !back.Time.Equal(lost.Time) || !other.Registered("sip:alice@example.com") {
					t.Errorf("registered with %v at %v, not with %v", back.Server, back.Time, other.URL())
				}
			})
		})
	}
}

// TestMuteServerWithNothingToSay: where no OPTIONS is configured and nothing is
// asked of it, a server may say nothing for as long as it answers pings.
func TestMuteServerWithNothingToSay(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		told := newStream()
		p := w.phone("alice", told.into)
		told.since()
		w.srv.Mute(true)
		time.Sleep(4 * time.Minute) // before the refresh
		if events := told.since(); len(events) > 0 {
			t.Errorf("events\n%s", lines(events))
		}
		w.srv.Mute(false)
		if err := p.SendMessage(w.t.Context(), "alice", "to myself", nil); !errors.Is(err, sip.StatusMethodNotAllowed) {
			t.Errorf("SendMessage: %v", err)
		}
	})
}

// TestRoundTripOfOptions: how far away the registrar is, told with each answer.
func TestRoundTripOfOptions(t *testing.T) {
	for name, o := range map[string]siptest.Options{
		"answered":   {},
		"challenged": {ProxyAuth: true},
		"routed":     {ServiceRoute: []string{"<sip:edge.example.com;lr>"}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, o, func(w *world) {
				told := newStream()
				w.phone("alice", told.into, func(c *sipua.Config) { c.OptionsInterval = 30 * time.Second })
				told.since()
				w.srv.Delay(70 * time.Millisecond)
				asked := w.srv.Counters().Challenges
				for i := range 3 {
					begun := time.Now()
					e := told.until(sipua.EventRoundTrip)[0]
					if e.Kind != sipua.EventRoundTrip || e.For != 70*time.Millisecond || e.Flow != 1 || e.RegID != 1 || e.Server.URL != w.srv.URL() {
						t.Errorf("event %+v", e)
					}
					if d := e.Time.Sub(begun); d != 30*time.Second+70*time.Millisecond {
						t.Errorf("answer %d after %v", i, d)
					}
				}
				if n := w.srv.Counters().Challenges - asked; o.ProxyAuth && n != 3 {
					t.Errorf("%d challenges: credentials were sent", n)
				}
			})
		})
	}
}
