//go:build interop

package interop_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
)

// testUA is a UA of ours under test. Its methods fail the test it was made for.
type testUA struct {
	*sipua.UA
	User string

	t     testing.TB
	calls chan *session.Incoming // unless Config.Handler.Call was given

	followed bool                 // its calls have a handler for REFER
	judge    func(*session.Offer) // what its calls do with offers; nil: answer them

	mu   sync.Mutex
	wire []wireMessage // guarded by mu; what Config.Trace saw
}

// newUA returns a UA whose user is registered with k, over plain WebSocket unless cfg names servers.
func newUA(t testing.TB, k *kamailio, user string, cfg sipua.Config) *testUA {
	t.Helper()
	u := openUA(t, k, user, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), stepLimit)
	defer cancel()
	if err := u.Start(ctx); err != nil {
		t.Fatalf("UA of %s: %v", user, err)
	}
	return u
}

// openUA returns a UA that is not started. What cfg leaves zero is chosen so that k knows the user, and no traffic
// leaves the machine. It is closed when the test ends, and then shows its messages if the test failed.
func openUA(t testing.TB, k *kamailio, user string, cfg sipua.Config) *testUA {
	t.Helper()
	u := &testUA{User: user, t: t, calls: make(chan *session.Incoming, 8)}
	if cfg.URI == "" {
		cfg.URI = aor(user)
	}
	if cfg.Password == "" {
		cfg.Password = password(user)
	}
	if cfg.WSServers == nil {
		cfg.WSServers = sipua.Servers(k.WS)
	}
	if cfg.STUNServers == nil {
		cfg.STUNServers = []string{}
	}
	if cfg.Handler.Call == nil {
		cfg.Handler.Call = func(in *session.Incoming) { u.calls <- in }
	}
	hook := cfg.Trace
	cfg.Trace = func(e sipua.TraceEvent) {
		u.mu.Lock()
		u.wire = append(u.wire, wireMessage{Sent: !e.In, Text: string(e.Data)})
		u.mu.Unlock()
		if hook != nil {
			hook(e)
		}
	}
	ua, err := sipua.NewUA(cfg)
	if err != nil {
		t.Fatal(err)
	}
	u.UA = ua
	t.Cleanup(func() {
		if err := ua.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("UA of %s: Close: %v", user, err)
		}
		if t.Failed() {
			t.Logf("UA of %s:\n%s", user, u.history())
		}
	})
	return u
}

// secure is k's server over TLS, with the authority of sharedCertificate.
func secure(t testing.TB, k *kamailio) []sipua.WSServer {
	t.Helper()
	return []sipua.WSServer{{URL: k.WSS, TLSConfig: &tls.Config{RootCAs: sharedCertificate(t).roots}}}
}

// step bounds one step of a test.
func step(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepLimit)
	t.Cleanup(cancel)
	return ctx
}

// waitCall waits for the next incoming call, which rings until it is answered or rejected.
func (u *testUA) waitCall() *session.Incoming {
	u.t.Helper()
	select {
	case in := <-u.calls:
		return in
	case <-time.After(stepLimit):
		u.t.Fatalf("UA of %s: no incoming call within %v", u.User, stepLimit)
		return nil
	}
}

// received returns the requests of a method, or the responses if start is "SIP/2.0 …", that have come in so far.
func (u *testUA) received(start string) []string { return u.messages(start, false) }

// sent returns what the UA has sent so far, chosen likewise.
func (u *testUA) sent(start string) []string { return u.messages(start, true) }

func (u *testUA) messages(start string, sent bool) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var found []string
	for _, m := range u.wire {
		if m.Sent == sent && strings.HasPrefix(m.Text, start+" ") {
			found = append(found, m.Text)
		}
	}
	return found
}

// passed is how many messages have come in and gone out so far.
func (u *testUA) passed() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.wire)
}

// history is every message that passed, in order.
func (u *testUA) history() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out strings.Builder
	for _, m := range u.wire {
		arrow := "<<"
		if m.Sent {
			arrow = ">>"
		}
		fmt.Fprintf(&out, "%s %s\n", arrow, strings.TrimSpace(m.Text))
	}
	return out.String()
}
