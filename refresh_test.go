package sipua_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// TestCallRefreshedUntilFarEndIsGone: a call lives on from refresh to refresh,
// whichever end makes them and by whichever method, and where these stop to come
// it ends 32 s before its session does (RFC 4028 §10).
func TestCallRefreshedUntilFarEndIsGone(t *testing.T) {
	for name, method := range map[string]sip.Method{"by UPDATE": sip.UPDATE, "by re-INVITE": sip.INVITE} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) { refreshedUntilGone(w, method) })
		})
	}
}

func refreshedUntilGone(w *world, method sip.Method) {
	t := w.t
	var gone atomic.Bool
	alice := w.phone("alice")
	bob := w.phone("bob", func(c *sipua.Config) {
		c.SessionTimersRefreshMethod = method
		c.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if gone.Load() {
				return nil, net.ErrClosed
			}
			return w.srv.DialContext(ctx, network, addr)
		}
	})
	here, there := alice.talk(bob)
	begun := here.SessionTimer().Expires.Add(-30 * time.Minute)
	for i := range 3 { // at the start, and after each of two refreshes
		time.Sleep(time.Until(begun.Add(time.Duration(i)*15*time.Minute + time.Second)))
		want := session.SessionTimer{Interval: 30 * time.Minute, Expires: begun.Add(time.Duration(i+2) * 15 * time.Minute)}
		if got := here.SessionTimer(); got != want {
			t.Errorf("after %d refreshes: %+v, want %+v", i, got, want)
		}
		want.Local = true
		if got := there.SessionTimer(); got != want {
			t.Errorf("after %d refreshes there: %+v, want %+v", i, got, want)
		}
		here.say("there?")
		there.hear("there?")
	}
	gone.Store(true)
	w.srv.Conns()[1].Drop() // bob's
	for _, end := range []struct {
		line *line
		at   time.Duration // after the last refresh
	}{{here, 1768 * time.Second}, {there, 1790 * time.Second}} {
		<-end.line.Context().Done()
		if d := time.Since(begun.Add(30 * time.Minute)); d != end.at {
			t.Errorf("ended %v after the last refresh, want %v", d, end.at)
		}
		var why *session.EndError
		if !errors.As(context.Cause(end.line.Context()), &why) || why.Kind != session.EndUnrefreshed || why.Remote {
			t.Errorf("ended by %v", context.Cause(end.line.Context()))
		}
	}
}
