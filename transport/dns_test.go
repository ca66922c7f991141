package transport_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gosipua/sipua/transport"
)

// names is a DNS server for one name on the loopback interface (RFC 1035 §4.1).
type names struct {
	conn *net.UDPConn
	done chan struct{}

	mu    sync.Mutex
	addrs []netip.Addr
	asked int // questions for addresses of IPv4
}

func serveNames(t *testing.T, addrs ...string) *names {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	n := &names{conn: conn, done: make(chan struct{})}
	n.set(addrs...)
	go n.run()
	t.Cleanup(func() { conn.Close(); <-n.done })
	return n
}

func (n *names) set(addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addrs = nil
	for _, a := range addrs {
		n.addrs = append(n.addrs, netip.MustParseAddr(a))
	}
}

func (n *names) run() {
	defer close(n.done)
	buf := make([]byte, 512)
	for {
		size, from, err := n.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		n.conn.WriteToUDPAddrPort(n.answer(buf[:size]), from)
	}
}

// answer answers the one question of a query with the addresses of its type.
func (n *names) answer(query []byte) []byte {
	const head, typeA, typeAAAA = 12, 1, 28
	end := head
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	kind := binary.BigEndian.Uint16(query[end+1:])
	n.mu.Lock()
	defer n.mu.Unlock()
	if kind == typeA {
		n.asked++
	}
	out := append([]byte(nil), query[:end+5]...)
	out[2], out[3] = 0x84, 0 // an answer with authority
	count := 0
	for _, a := range n.addrs {
		if a.Is4() && kind == typeA || a.Is6() && kind == typeAAAA {
			count++
			out = append(out, 0xc0, head, 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(a.BitLen()/8))
			out = append(out, a.AsSlice()...)
		}
	}
	binary.BigEndian.PutUint16(out[6:], uint16(count))
	binary.BigEndian.PutUint32(out[8:], 0)
	return out
}

// dialer is a net.Dialer that asks n, as the default one asks the servers of the
// machine. Connections to 127.0.0.2 are refused, and those to an address of
// blackholes begin and lead nowhere.
func (n *names) dialer(blackholes ...string) *net.Dialer {
	return &net.Dialer{
		FallbackDelay: time.Millisecond,
		Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "udp", n.conn.LocalAddr().String())
		}},
		ControlContext: func(ctx context.Context, _, addr string, _ syscall.RawConn) error {
			host, _, _ := net.SplitHostPort(addr)
			if host == "127.0.0.2" {
				return syscall.ECONNREFUSED
			}
			for _, b := range blackholes {
				if host == b {
					<-ctx.Done()
					return context.Cause(ctx)
				}
			}
			return nil
		},
	}
}

// Of the addresses that a name has the one that answers is taken: after one that
// refuses, and beside one that swallows everything (RFC 8305, as net.Dialer has it).
func TestServerWithSeveralAddresses(t *testing.T) {
	for _, tt := range []struct {
		name       string
		addrs      []string
		blackholes []string
	}{
		{"the first one refuses", []string{"127.0.0.2", "127.0.0.1"}, nil},
		{"IPv6 swallows", []string{"::1", "127.0.0.1"}, []string{"::1"}},
		{"IPv6 refuses", []string{"::1", "127.0.0.1"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := loopback(t)
			serve(t, l, sipHandler(echo))
			_, port, _ := net.SplitHostPort(l.Addr().String())
			n := serveNames(t, tt.addrs...)
			_, r := start(t, transport.Options{Servers: servers("ws://sip.example.test.:" + port), DialContext: n.dialer(tt.blackholes...).DialContext})
			f := exchange(t, r)
			if got := f.RemoteAddr().String(); got != "127.0.0.1:"+port {
				t.Errorf("connected to %s", got)
			}
		})
	}
}

// Each attempt resolves the name anew, so that a change in the DNS is followed.
func TestChangeOfAddressIsFollowed(t *testing.T) {
	l := loopback(t)
	serve(t, l, sipHandler(echo))
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n := serveNames(t, "127.0.0.2")
	p, r := start(t, transport.Options{Servers: servers("ws://sip.example.test.:" + port),
		DialContext: n.dialer().DialContext, RecoveryMin: time.Millisecond, RecoveryMax: time.Millisecond})
	for range 2 {
		if f := r.until("failed"); !errors.Is(f.err, syscall.ECONNREFUSED) {
			t.Fatalf("failed with %v", f.err)
		}
	}
	n.set("127.0.0.1")
	up := r.until("up")
	if got := up.flow.RemoteAddr().String(); got != "127.0.0.1:"+port {
		t.Errorf("connected to %s", got)
	}
	n.mu.Lock()
	before := n.asked
	n.mu.Unlock()
	p.Flow().Fail(errors.New("lost"))
	r.until("up")
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked == before {
		t.Error("the address of before was used again without asking")
	}
}
