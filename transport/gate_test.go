package transport_test

import (
	"context"
	"net"
	"sort"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/gosipua/sipua/transport"
)

// hosts notes who was dialed and when, and how many were at it at once. Each attempt
// takes its time, and is refused.
type hosts struct {
	takes time.Duration

	mu    sync.Mutex
	names []string
	at    []time.Time
	now   int
	most  int
}

func (h *hosts) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	h.mu.Lock()
	host, _, _ := net.SplitHostPort(addr)
	h.names, h.at = append(h.names, host), append(h.at, time.Now())
	h.now++
	h.most = max(h.most, h.now)
	h.mu.Unlock()
	defer func() { h.mu.Lock(); h.now--; h.mu.Unlock() }()
	select {
	case <-time.After(h.takes):
		return nil, errRefused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (h *hosts) Len() int { return len(h.names) }
func (h *hosts) Less(i, j int) bool {
	return h.at[i].Before(h.at[j]) || h.at[i].Equal(h.at[j]) && h.names[i] < h.names[j]
}
func (h *hosts) Swap(i, j int) {
	h.names[i], h.names[j] = h.names[j], h.names[i]
	h.at[i], h.at[j] = h.at[j], h.at[i]
}

// Attempts of all pools pass in the order of arrival, so many at a time and no more
// in a second.
func TestGateBoundsAttemptsOfAllPools(t *testing.T) {
	for _, tt := range []struct {
		name      string
		n         int
		perSecond float64
		takes     time.Duration
		most      int
		at        []time.Duration // of the beginnings, from the first
	}{
		{"two at a time", 2, 0, 3 * time.Second, 2, []time.Duration{0, 0, 3, 3, 6}},
		{"one in two seconds", 0, 0.5, 5 * time.Second, 3, []time.Duration{0, 2, 4, 6, 8}},
		{"both", 1, 1, 3 * time.Second, 1, []time.Duration{0, 3, 6, 9, 12}},
		{"both, the rate rules", 1, 0.25, time.Second, 1, []time.Duration{0, 4, 8, 12, 16}},
		{"open", 0, 0, time.Second, 5, []time.Duration{0, 0, 0, 0, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hosts{takes: tt.takes}
				gate := transport.NewGate(tt.n, tt.perSecond)
				began := time.Now()
				for _, name := range []string{"a", "b", "c", "d", "e"} {
					start(t, transport.Options{Servers: servers("ws://" + name), DialContext: h.DialContext,
						Gate: gate, RecoveryMin: time.Hour})
					synctest.Wait()
				}
				time.Sleep(time.Minute)
				h.mu.Lock()
				defer h.mu.Unlock()
				sort.Sort(h) // of those let in together any may be first
				if len(h.names) != 5 || h.most != tt.most {
					t.Fatalf("dialed %v, %d at once, want %d", h.names, h.most, tt.most)
				}
				for i, want := range tt.at {
					want *= time.Second
					if got := h.at[i].Sub(began); h.names[i] != string(rune('a'+i)) || got != want {
						t.Errorf("%s was number %d after %v, want %v", h.names[i], i, got, want)
					}
				}
			})
		})
	}
}

// Who waits is not told to be connecting, and goes at once when the pool is closed,
// so that the others move up.
func TestCloseAtTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hosts{takes: 4 * time.Second}
		gate := transport.NewGate(1, 0)
		o := transport.Options{Servers: servers("ws://a"), DialContext: h.DialContext, Gate: gate, RecoveryMin: time.Hour}
		began := time.Now()
		first, _ := start(t, o)
		synctest.Wait()
		second, r := start(t, o)
		synctest.Wait()
		_, last := start(t, o)
		time.Sleep(time.Second)
		r.none(t)
		second.Close()
		first.Close()
		if d := time.Since(began); d != time.Second {
			t.Errorf("closing took %v", d-time.Second)
		}
		if c := last.next(t, "connecting"); c.at.Sub(began) != time.Second {
			t.Errorf("the last one moved up after %v", c.at.Sub(began))
		}
	})
}

// An attempt has its whole time, however long it waited for its turn.
func TestWaitAtTheGateIsNotOfTheAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hosts{takes: 9 * time.Second}
		gate := transport.NewGate(1, 0)
		o := transport.Options{Servers: servers("ws://a"), DialContext: h.DialContext, Gate: gate, RecoveryMin: time.Hour}
		for range 3 {
			start(t, o)
		}
		_, r := start(t, o)
		if f := r.until("failed"); f.err.Error() != "transport: connecting to ws://a: "+errRefused.Error() {
			t.Errorf("error %v", f.err)
		}
	})
}

// The look at a heavier server takes its turn as well.
func TestFailBackPassesTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		h := &hosts{takes: time.Hour}
		gate := transport.NewGate(1, 0)
		_, r, _ := onLighter(t, &m, transport.Options{FailBack: func() bool { return true }, Gate: gate})
		serve(t, m.listen("a:80"), sipHandler(func(c *websocket.Conn) { discard(c) }))
		other, _ := start(t, transport.Options{Servers: servers("ws://x"), DialContext: h.DialContext, Gate: gate,
			ConnectTimeout: time.Hour})
		time.Sleep(30 * time.Minute)
		r.none(t)
		other.Close()
		synctest.Wait()
		r.next(t, "down")
		if host, _ := r.next(t, "up").server.HostPort(); host != "a" {
			t.Errorf("up with %s", host)
		}
	})
}
