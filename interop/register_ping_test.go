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

// frames counts WebSocket pings that come in, and pongs and CRLF keep-alives (RFC 5626 §4.4.1) that leave. Either side
// writes each of these by itself, so that a frame begins where a read or write does.
type frames struct{ pings, pongs, keepAlives, keepAlivePongs atomic.Int32 }

// dial is a Config.DialContext whose connections are counted.
func (f *frames) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return countedConn{conn, f}, nil
}

type countedConn struct {
	net.Conn
	*frames
}

func (c countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	switch {
	case n > 0 && b[0] == 0x89:
		c.pings.Add(1)
	case n == 4 && b[1] == 2: // two bytes, not masked
		c.keepAlivePongs.Add(1)
	}
	return n, err
}

func (c countedConn) Write(b []byte) (int, error) {
	switch {
	case len(b) > 0 && b[0] == 0x8a:
		c.pongs.Add(1)
	case len(b) == 10 && b[1] == 0x84: // four bytes, masked
		c.keepAlives.Add(1)
	}
	return c.Conn.Write(b)
}

// TestRegisterServerPing: Kamailio's WebSocket pings are answered, and the connection with its binding stays.
//
// Only a foreign server judges whether our pong is one: it closes the connection otherwise.
func TestRegisterServerPing(t *testing.T) {
	k := startKamailio(t, kamailioOptions{PingAfter: 1})
	var seen frames
	cfg := sipua.Config{
		PingInterval: time.Hour, // or ours would be first
		DialContext:  seen.dial,
	}
	events := watch(&cfg)
	newUA(t, k, "alice", cfg)
	events.wait(t, registrar.EventRegistered)
	before := k.waitBindings(t, "alice", 1)[0]
	eventually(t, "four pings, all answered", func() bool { return seen.pings.Load() >= 4 && seen.pongs.Load() >= seen.pings.Load() })
	events.none(t)
	if now := k.waitBindings(t, "alice", 1)[0]; now.CSeq != before.CSeq {
		t.Errorf("binding %+v, before %+v", now, before)
	}
	if n := k.logged(t, "UPGRADE:"); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestRegisterKeepAlive: Kamailio asks for keep-alives by Flow-Timer, and answers those that we send as it wants.
//
// Only a foreign server judges whether our CRLF CRLF, alone in a frame, is a keep-alive.
func TestRegisterKeepAlive(t *testing.T) {
	k := startKamailio(t, kamailioOptions{FlowTimer: 1})
	var seen frames
	cfg := sipua.Config{DialContext: seen.dial}
	events := watch(&cfg)
	newUA(t, k, "alice", cfg)
	events.wait(t, registrar.EventRegistered)
	eventually(t, "three keep-alives, all answered", func() bool {
		return seen.keepAlives.Load() >= 3 && seen.keepAlivePongs.Load() >= seen.keepAlives.Load()
	})
	events.none(t)
	k.waitBindings(t, "alice", 1)
}
