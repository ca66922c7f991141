//go:build interop

package interop_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/registrar"
)

// pingCounter counts WebSocket pings that come in, and pongs that leave. Kamailio writes each ping by itself and we
// each pong by itself, so that a frame begins where a read or write does.
type pingCounter struct {
	net.Conn
	pings, pongs *atomic.Int32
}

func (c pingCounter) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && b[0] == 0x89 {
		c.pings.Add(1)
	}
	return n, err
}

func (c pingCounter) Write(b []byte) (int, error) {
	if len(b) > 0 && b[0] == 0x8a {
		c.pongs.Add(1)
	}
	return c.Conn.Write(b)
}

// TestRegisterServerPing: Kamailio's WebSocket pings are answered, and the connection with its binding stays.
//
// Only a foreign server judges whether our pong is one: it closes the connection otherwise.
func TestRegisterServerPing(t *testing.T) {
	k := startKamailio(t, kamailioOptions{PingAfter: 1})
	var pings, pongs atomic.Int32
	cfg := sipua.Config{
		PingInterval: time.Hour, // or ours would be first
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			return pingCounter{conn, &pings, &pongs}, err
		},
	}
	events := watch(&cfg)
	newUA(t, k, "alice", cfg)
	events.wait(t, registrar.EventRegistered)
	before := k.waitBindings(t, "alice", 1)[0]
	eventually(t, "four pings, all answered", func() bool { return pings.Load() >= 4 && pongs.Load() >= pings.Load() })
	events.none(t)
	if now := k.waitBindings(t, "alice", 1)[0]; now.CSeq != before.CSeq {
		t.Errorf("binding %+v, before %+v", now, before)
	}
	if n := k.logged(t, "UPGRADE:"); n != 1 {
		t.Errorf("%d connections", n)
	}
}
