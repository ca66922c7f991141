//go:build interop

package interop_test

import (
	"net"
	"sync/atomic"
	"testing"

	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
	"github.com/pion/webrtc/v4"
)

// mortalNet is a network for the media of a call, whose paths can die: nothing goes in or out any more by the sockets that
// there are, and nobody is told. Those that are opened later are all right.
type mortalNet struct {
	transport.Net

	deaths atomic.Int64
}

func newMortalNet(t testing.TB) *mortalNet {
	t.Helper()
	n, err := stdnet.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	return &mortalNet{Net: n}
}

// settings are for rtc.Options.
func (n *mortalNet) settings(e *webrtc.SettingEngine) { e.SetNet(n) }

func (n *mortalNet) kill() { n.deaths.Add(1) }

func (n *mortalNet) ListenUDP(network string, at *net.UDPAddr) (transport.UDPConn, error) {
	c, err := n.Net.ListenUDP(network, at)
	if err != nil {
		return nil, err
	}
	return mortalConn{c, n, n.deaths.Load()}, nil
}

type mortalConn struct {
	transport.UDPConn

	net  *mortalNet
	born int64 // after how many deaths
}

func (c mortalConn) dead() bool { return c.net.deaths.Load() != c.born }

func (c mortalConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.UDPConn.ReadFrom(b)
		if err != nil || !c.dead() {
			return n, from, err
		}
	}
}

func (c mortalConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if c.dead() {
		return len(b), nil
	}
	return c.UDPConn.WriteTo(b, to)
}
