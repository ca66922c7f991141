package sipua_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/sip/siptest"
	"github.com/gosipua/sipua/transport"
)

// TestDeadConnectionIsNoticed within the time that the configuration says: silence by
// ping and pong, a server that takes nothing any more by the time of a write.
func TestDeadConnectionIsNoticed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*sipua.Config)
		fault  func(*siptest.Server)
		after  time.Duration
		reason error
	}{
		{"silence", nil, func(s *siptest.Server) { s.Blackhole(true) }, 9 * time.Second, transport.ErrNoPong},
		{"silence, in a hurry", func(c *sipua.Config) { c.PingInterval, c.PongTimeout = time.Second, time.Second },
			func(s *siptest.Server) { s.Blackhole(true) }, 2 * time.Second, transport.ErrNoPong},
		{"the way out is dead", nil, func(s *siptest.Server) { s.BlackholeIn(true) }, 9 * time.Second, transport.ErrNoPong},
		{"stall", nil, func(s *siptest.Server) { s.Stall(true) }, 8 * time.Second, transport.ErrStalled},
		{"stall, in a hurry", func(c *sipua.Config) { c.WriteTimeout = 2 * time.Second },
			func(s *siptest.Server) { s.Stall(true) }, 2 * time.Second, transport.ErrStalled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) {
				told := newStream()
				alice := w.phone("alice", told.into, func(c *sipua.Config) {
					if tt.change != nil {
						tt.change(c)
					}
				})
				told.since()
				began := time.Now()
				tt.fault(w.srv)
				if tt.reason == transport.ErrStalled {
					for range 3 { // more than there is room for on the way
						go alice.SendMessage(w.t.Context(), "bob", strings.Repeat("x", 40<<10), nil)
					}
				}
				lost := told.until(sipua.EventDisconnected)
				if e := lost[len(lost)-1]; e.Time.Sub(began) != tt.after || !errors.Is(e.Err, tt.reason) {
					t.Errorf("noticed after %v: %v, want %v after %v", e.Time.Sub(began), e.Err, tt.reason, tt.after)
				}
			})
		})
	}
}

// TestGateSpreadsTheReturn: the UAs that share a gate come back one after the other.
func TestGateSpreadsTheReturn(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		gate := transport.NewGate(10, 4)
		var streams []*stream
		for _, user := range []string{"alice", "bob", "carol"} {
			told := newStream()
			w.phone(user, told.into, func(c *sipua.Config) { c.Gate = gate })
			streams = append(streams, told)
		}
		time.Sleep(time.Minute)
		lost := time.Now()
		w.srv.Drop()
		var after []time.Duration
		for _, s := range streams {
			s.until(sipua.EventDisconnected)
			up := s.until(sipua.EventConnected)
			after = append(after, up[len(up)-1].Time.Sub(lost))
		}
		slices.Sort(after)
		if want := []time.Duration{0, 250 * time.Millisecond, 500 * time.Millisecond}; !slices.Equal(after, want) {
			t.Errorf("back after %v, want %v", after, want)
		}
	})
}
