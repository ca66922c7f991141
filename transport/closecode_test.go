package transport_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/gosipua/sipua/transport"
)

// closesWith is a server that ends each connection after a while with this code.
func closesWith(code int, after time.Duration) http.Handler {
	return sipHandler(func(c *websocket.Conn) {
		time.AfterFunc(after, func() {
			c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(time.Second))
		})
		discard(c)
	})
}

// A server that says why it goes is left alone for as long as that code means, if
// there is no other one. So its clients do not return in step.
func TestCloseCodes(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		code      int
		min, max  time.Duration // Options.RecoveryMin and RecoveryMax, 0 for the defaults
		low, high time.Duration // of the wait
	}{
		{1000, 0, 0, 0, 0},
		{1001, 0, 0, 0, 2 * s},
		{1001, s, 0, 0, s},
		{1011, 0, 0, 0, 0},
		{1012, 0, 0, 5 * s, 30 * s},
		{1012, 0, 10 * s, 5 * s, 10 * s},
		{1012, 0, 3 * s, 3 * s, 3 * s},
		{1012, 10 * s, 0, 10 * s, 30 * s},
		{1012, 60 * s, 60 * s, 60 * s, 60 * s},
		{1013, 0, 0, 2 * s, 30 * s},
		{1013, 4 * s, 8 * s, 4 * s, 8 * s},
		{3000, 0, 0, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			var m memory
			serve(t, m.listen("a:80"), closesWith(tt.code, 2*time.Minute))
			_, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext,
				RecoveryMin: tt.min, RecoveryMax: tt.max})
			shortest, longest := time.Hour, time.Duration(0)
			for range 40 {
				down := r.until("down")
				var bye *transport.CloseError
				if !errors.As(down.err, &bye) || bye.Code != tt.code {
					t.Fatalf("down with %v", down.err)
				}
				told := <-r.retries
				c := r.next(t, "connecting")
				wait := c.at.Sub(down.at)
				if wait != told.retryIn || c.attempt != 1 {
					t.Errorf("%d: attempt %d after %v, told was %v", tt.code, c.attempt, wait, told.retryIn)
				}
				shortest, longest = min(shortest, wait), max(longest, wait)
			}
			if shortest < tt.low || longest > tt.high {
				t.Errorf("%d: waits of %v to %v, want %v to %v", tt.code, shortest, longest, tt.low, tt.high)
			}
			if span := tt.high - tt.low; longest-shortest < span*6/10 {
				t.Errorf("%d: waits of %v to %v do not spread over %v", tt.code, shortest, longest, span)
			}
		})
	}
}

// Where there is another server it is taken at once, and the one that went is none
// to be tried before its time.
func TestCloseCodesMoveToTheOtherServer(t *testing.T) {
	for _, code := range []int{1001, 1012, 1013} {
		synctest.Test(t, func(t *testing.T) {
			var m memory
			serve(t, m.listen("a:80"), closesWith(code, 2*time.Minute))
			_, r := start(t, transport.Options{Servers: servers("ws://a", "ws://b"), DialContext: m.DialContext})
			for range 20 {
				down := r.until("down")
				if c := r.next(t, "connecting"); !c.at.Equal(down.at) || c.server.URL != "ws://b" {
					t.Fatalf("%d: tried %v after %v", code, c.server, c.at.Sub(down.at))
				}
				r.next(t, "failed") // b is down
				for {
					c := r.next(t, "connecting")
					if wait := c.at.Sub(down.at); c.server.URL == "ws://a" {
						if code == 1012 && wait < 5*time.Second {
							t.Errorf("%d: returned after %v", code, wait)
						}
						break
					}
					r.next(t, "failed")
				}
			}
		})
	}
}

// A server that takes us and hangs up at once is not called in a loop, whatever code
// it gives.
func TestCloseCodeOfYoungConnectionBacksOff(t *testing.T) {
	for _, code := range []int{1000, 1001, 1012, 1013} {
		synctest.Test(t, func(t *testing.T) {
			var m memory
			serve(t, m.listen("a:80"), closesWith(code, 0))
			_, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext})
			for n := 1; n <= 20; n++ {
				if c := r.next(t, "connecting"); c.attempt != n {
					t.Errorf("%d: attempt %d, want %d", code, c.attempt, n)
				}
				r.next(t, "up")
				r.next(t, "down")
				if e := <-r.retries; e.retryIn < 2*time.Second || e.retryIn > 30*time.Second {
					t.Errorf("%d: next in %v", code, e.retryIn)
				}
			}
		})
	}
}

// Retry-After is honoured in full, up to an hour and in both forms, while other
// servers are tried.
func TestRetryAfterInFull(t *testing.T) {
	for _, tt := range []struct {
		status int
		field  func(now time.Time) string
		wait   time.Duration
	}{
		{503, func(time.Time) string { return "600" }, 10 * time.Minute},
		{429, func(time.Time) string { return "3599" }, 3599 * time.Second},
		{503, func(time.Time) string { return "86400" }, time.Hour},
		{503, func(now time.Time) string {
			return now.Add(20 * time.Minute).UTC().Format(http.TimeFormat)
		}, 20 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			var m memory
			refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", tt.field(time.Now()))
				w.WriteHeader(tt.status)
			})
			serve(t, m.listen("a:80"), refuse)
			began := time.Now()
			_, r := start(t, transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext})
			if f := r.until("failed"); f.retryIn != tt.wait {
				t.Errorf("%d: next in %v, want %v", tt.status, f.retryIn, tt.wait)
			}
			if c := r.next(t, "connecting"); c.at.Sub(began) != tt.wait {
				t.Errorf("%d: tried again after %v, want %v", tt.status, c.at.Sub(began), tt.wait)
			}

			began = time.Now()
			_, r = start(t, transport.Options{Servers: servers("ws://a", "ws://b"), DialContext: m.DialContext})
			for tries := 0; ; tries++ {
				c := r.next(t, "connecting")
				if c.server.URL == "ws://a" && tries > 0 {
					if d := c.at.Sub(began); d < tt.wait || d > tt.wait+30*time.Second || tries < int(tt.wait/(30*time.Second)) {
						t.Errorf("%d: tried again after %v and %d tries of the other, want %v", tt.status, d, tries, tt.wait)
					}
					break
				}
				r.next(t, "failed")
			}
		})
	}
}
