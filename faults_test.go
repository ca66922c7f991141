package sipua_test

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/sip/siptest"
	"github.com/gosipua/sipua/transport"
)

// TestCallOutlivesEachFault: whatever becomes of a connection, it is noticed at the
// instant that the configuration says, another one is made and registered at the
// instant that the server lets it, and the call of before goes on: it is heard at
// both ends meanwhile, can be changed afterwards, and a BYE of either end reaches
// the other.
func TestCallOutlivesEachFault(t *testing.T) {
	const s = time.Second
	closes := func(code int) func(*siptest.Server, *siptest.Conn) {
		return func(_ *siptest.Server, c *siptest.Conn) { c.Close(code, "") }
	}
	refuses := func(r siptest.Refusal, d time.Duration) func(*siptest.Server, *siptest.Conn) {
		return func(srv *siptest.Server, c *siptest.Conn) {
			srv.Refuse(r)
			c.Drop()
			time.AfterFunc(d, srv.Admit)
		}
	}
	for _, tt := range []struct {
		name        string
		fault       func(*siptest.Server, *siptest.Conn)
		noticed     time.Duration // since the fault, 3 s after a sign of life; negative: never
		reason      error         // nil: a close code
		first, last time.Duration // bounds of when we are registered again, since it was noticed
	}{
		{"drop", func(_ *siptest.Server, c *siptest.Conn) { c.Drop() }, 0, syscall.ECONNRESET, 0, 0},
		{"end without a word", func(_ *siptest.Server, c *siptest.Conn) { c.Wire().Close() }, 0, io.ErrUnexpectedEOF, 0, 0},
		{"stall", func(_ *siptest.Server, c *siptest.Conn) { c.Stall(true) }, 6 * s, transport.ErrNoPong, 0, 0},
		{"black hole", func(_ *siptest.Server, c *siptest.Conn) { c.Blackhole(true) }, 6 * s, transport.ErrNoPong, 0, 0},
		{"black hole upwards", func(_ *siptest.Server, c *siptest.Conn) { c.BlackholeIn(true) }, 6 * s, transport.ErrNoPong, 0, 0},
		{"black hole downwards", func(_ *siptest.Server, c *siptest.Conn) { c.BlackholeOut(true) }, 6 * s, transport.ErrNoPong, 0, 0},
		{"half open", func(_ *siptest.Server, c *siptest.Conn) { c.Vanish() }, 6 * s, transport.ErrNoPong, 0, 0},
		{"thin line", func(_ *siptest.Server, c *siptest.Conn) { c.Slow(2000) }, -1, nil, 0, 0},
		{"long line", func(_ *siptest.Server, c *siptest.Conn) { c.Delay(3 * s) }, -1, nil, 0, 0},
		{"close 1001", closes(1001), 0, nil, 0, 2 * s},
		{"close 1012", closes(1012), 0, nil, 2 * s, 2 * s},
		{"close 1013", closes(1013), 0, nil, 2 * s, 2 * s},
		{"refused for 5 s", refuses(siptest.Refusal{}, 5*s), 0, syscall.ECONNRESET, 6 * s, 6 * s},
		{"503 with Retry-After", refuses(siptest.Refusal{Status: 503, RetryAfter: 7 * s}, s), 0, syscall.ECONNRESET, 7 * s, 7 * s},
		{"the server starts anew", func(srv *siptest.Server, _ *siptest.Conn) { srv.Restart(false) }, 0, syscall.ECONNRESET, 0, 0},
	} {
		for _, byUs := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/ended by us %v", tt.name, byUs), func(t *testing.T) {
				inWorld(t, siptest.Options{}, func(w *world) {
					t := w.t
					told := newStream()
					alice, bob := w.phone("alice", told.into, func(c *sipua.Config) {
						c.ConnectionRecoveryMinInterval, c.ConnectionRecoveryMaxInterval = 2*s, 2*s // no room for jitter
					}), w.phone("bob")
					a, b := alice.talk(bob)
					talking(a, b)
					if _, err := alice.SendOptions(t.Context(), "sip:example.com", nil); err != nil { // a sign of life
						t.Fatal(err)
					}
					told.since()
					time.Sleep(3 * s)
					began := time.Now()
					tt.fault(w.srv, w.srv.Bindings("alice")[0].Conn)
					talking(a, b)
					if tt.noticed >= 0 {
						lost := told.until(sipua.EventDisconnected)
						e := lost[len(lost)-1]
						var code *transport.CloseError
						if d := e.Time.Sub(began); d != tt.noticed || tt.reason != nil && !errors.Is(e.Err, tt.reason) || tt.reason == nil && !errors.As(e.Err, &code) {
							t.Errorf("noticed after %v: %v, want %v after %v", d, e.Err, tt.reason, tt.noticed)
						}
						back := told.until(sipua.EventRegistered)
						if d := back[len(back)-1].Time.Sub(e.Time); d < tt.first || d > tt.last {
							t.Errorf("registered again after %v, want %v to %v", d, tt.first, tt.last)
						}
					}
					time.Sleep(30 * s)
					if events := told.since(); len(events) > 0 {
						t.Errorf("then\n%s", lines(events))
					}
					for _, l := range []*line{a, b} {
						w.must(l.Hold(t.Context()))
						w.must(l.Unhold(t.Context()))
					}
					talking(a, b)
					here, there := a, b
					if !byUs {
						here, there = b, a
					}
					w.must(here.Hangup(t.Context()))
					<-there.Context().Done()
				})
			})
		}
	}
}
