package rtc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/transport/v5/vnet"
	"github.com/pion/turn/v5"

	"github.com/gosipua/sipua/session"
)

func turnServer(t *testing.T, v *vnet.Net, ip string) *turn.Server {
	t.Helper()
	conn := ok[net.PacketConn](t)(v.ListenPacket("udp4", ip+":3478"))
	return ok[*turn.Server](t)(turn.NewServer(turn.ServerConfig{
		Realm: "example.com",
		AuthHandler: func(a *turn.RequestAttributes) (string, []byte, bool) {
			return a.Username, turn.GenerateAuthKey("alice", "example.com", "secret"), a.Username == "alice"
		},
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn:            conn,
			RelayAddressGenerator: &turn.RelayAddressGeneratorStatic{RelayAddress: net.ParseIP(ip), Address: ip, Net: v},
		}},
		LoggerFactory: loggers{discard()},
	}))
}

// TestRelayOnly: nothing of our addresses is said, and audio flows.
func TestRelayOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		va, vb, vt := n.host("10.0.0.1"), n.host("10.0.0.2"), n.host("10.0.0.3")
		n.start()
		server := turnServer(t, vt, "10.0.0.3")
		defer server.Close()
		servers := []TURNServer{{URLs: []string{"turn:10.0.0.3:3478?transport=udp"}, Username: "alice", Credential: "secret"}}
		a := newEnd(t, va, Options{RelayOnly: true, TURNServers: servers})
		b := newEnd(t, vb, Options{})
		defer b.close()
		defer a.close()
		offer, _ := exchange(t, a, b, false)
		if strings.Contains(string(offer.Body), "10.0.0.1") || !strings.Contains(string(offer.Body), "10.0.0.3 ") {
			t.Errorf("the offer gives our address away:\n%s", offer.Body)
		}
		if !strings.Contains(string(offer.Body), "\r\nc=IN IP4 10.0.0.3\r\n") {
			t.Errorf("the default candidate is not the relayed one:\n%s", offer.Body)
		}
		ok[Codec](t)(a.track.Ready(context.Background()))
		ok[Codec](t)(b.track.Ready(context.Background()))
		wantAudio(t, a, b, true, true)
		if st := a.media.Stats(); st.Local.Type != "relay" {
			t.Errorf("path is %+v", st.Local)
		}
	})
}

// TestRelayOnlyFactory is what a call that hides its addresses gets its media
// from.
func TestRelayOnlyFactory(t *testing.T) {
	if _, err := New(Options{RelayOnly: true}).(*Factory).RelayOnly(); !errors.Is(err, session.ErrNoRelay) {
		t.Errorf("without TURN: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		va, vt := n.host("10.0.0.1"), n.host("10.0.0.3")
		n.start()
		server := turnServer(t, vt, "10.0.0.3")
		defer server.Close()
		o := Options{TURNServers: []TURNServer{{URLs: []string{"turn:10.0.0.3"}, Username: "alice", Credential: "secret"}}}
		a := newEnd(t, va, o)
		defer a.close()
		hiding := ok[session.MediaFactory](t)(a.factory.RelayOnly())
		media := ok[session.Media](t)(hiding.NewMedia(session.MediaOptions{Events: a.events()}))
		defer media.Close()
		offer := ok[session.Description](t)(media.Offer(context.Background(), session.OfferOptions{}))
		if strings.Contains(string(offer.Body), "10.0.0.1") || !strings.Contains(string(offer.Body), "10.0.0.3 ") {
			t.Errorf("the offer gives our address away:\n%s", offer.Body)
		}
	})
}

// TestDefaultCandidate: the relayed one, until another is nominated.
func TestDefaultCandidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		va, vb, vt := n.host("10.0.0.1"), n.host("10.0.0.2"), n.host("10.0.0.3")
		n.start()
		server := turnServer(t, vt, "10.0.0.3")
		defer server.Close()
		a := newEnd(t, va, Options{TURNServers: []TURNServer{{URLs: []string{"turn:10.0.0.3"}, Username: "alice", Credential: "secret"}}})
		b := newEnd(t, vb, Options{})
		defer b.close()
		defer a.close()
		for _, want := range []string{"10.0.0.3", "10.0.0.1"} {
			offer, _ := exchange(t, a, b, false)
			d := ok[*description](t)(parseDescription(offer.Body))
			c := "c=IN IP4 " + want
			port := fmt.Sprintf(" %s %d typ ", want, d.media[0].port)
			if !strings.Contains(string(offer.Body), "\r\n"+c+"\r\n") || !strings.Contains(string(offer.Body), port) {
				t.Errorf("want %s and its port in m=:\n%s", c, offer.Body)
			}
			ok[Codec](t)(a.track.Ready(context.Background()))
			time.Sleep(5 * time.Second)
		}
	})
}

func TestOwnCandidates(t *testing.T) {
	m := &mediaSection{}
	for _, v := range []string{
		"1 1 udp 2130706431 10.0.0.1 5000 typ host ufrag abc generation 0",
		"1 2 udp 2130706430 10.0.0.1 5000 typ host",
		"2 1 udp 1694498815 192.0.2.1 5001 typ srflx raddr 10.0.0.1 rport 5000",
		"3 1 udp 16777215 203.0.113.1 5002 typ relay raddr 10.0.0.1 rport 5003",
		"4 1 udp 16777215 2001:db8::1 5004 typ relay raddr fd00::1 rport 5003",
		"5 1 udp x", "6 1 udp 1 name.local 5 typ host",
	} {
		m.lines = append(m.lines, line{'a', "candidate:" + v})
	}
	texts := func(relayOnly bool) string {
		var s []string
		for _, c := range ownCandidates(m, relayOnly) {
			s = append(s, c.text)
		}
		return strings.Join(s, "\n")
	}
	if got, want := texts(true), `3 1 udp 16777215 203.0.113.1 5002 typ relay raddr 0.0.0.0 rport 9
4 1 udp 16777215 2001:db8::1 5004 typ relay raddr :: rport 9`; got != want {
		t.Errorf("relay only:\n%s\nwant\n%s", got, want)
	}
	if got, want := texts(false), `1 1 udp 2130706431 10.0.0.1 5000 typ host
2 1 udp 1694498815 192.0.2.1 5001 typ srflx raddr 10.0.0.1 rport 5000
3 1 udp 16777215 203.0.113.1 5002 typ relay raddr 10.0.0.1 rport 5003
4 1 udp 16777215 2001:db8::1 5004 typ relay raddr fd00::1 rport 5003`; got != want {
		t.Errorf("all:\n%s\nwant\n%s", got, want)
	}
}

// TestRelayUnreachable: without its relay a private call fails, in time; any
// other costs nothing but the candidates.
func TestRelayUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		va := n.host("10.0.0.1")
		n.start()
		o := Options{
			TURNServers: []TURNServer{{URLs: []string{"turn:10.0.0.99:3478"}, Username: "alice", Credential: "secret"}},
			STUNServers: []string{"stun:10.0.0.98"},
		}
		for _, private := range []bool{true, false} {
			o.RelayOnly = private
			a := newEnd(t, va, o)
			start := time.Now()
			_, err := a.media.Offer(context.Background(), session.OfferOptions{})
			if errors.Is(err, ErrNoCandidates) != private || (err != nil) != private {
				t.Errorf("private %v: %v", private, err)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("private %v: took %v", private, took)
			}
			a.close()
		}
	})
}

// TestGatherCanceled: gathering ends with its context.
func TestGatherCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		va := n.host("10.0.0.1")
		silent := n.host("10.0.0.9")
		n.start()
		conn := ok[net.PacketConn](t)(silent.ListenPacket("udp4", "10.0.0.9:3478"))
		defer conn.Close()
		a := newEnd(t, va, Options{STUNServers: []string{"stun:10.0.0.9"}})
		defer a.close()
		ctx, cancel := context.WithTimeoutCause(context.Background(), 100*time.Millisecond, errors.New("caller gave up"))
		defer cancel()
		start := time.Now()
		_, err := a.media.Offer(ctx, session.OfferOptions{})
		if err == nil || err.Error() != "caller gave up" || time.Since(start) != 100*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

// TestTURNServerPrints keeps the credentials out of everything that is printed.
func TestTURNServerPrints(t *testing.T) {
	s := TURNServer{URLs: []string{"turn:example.com"}, Username: "alice-name", Credential: "alice-secret"}
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("m", "s", s, "list", []TURNServer{s}, "o", Options{TURNServers: []TURNServer{s}})
	slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "s", s, "list", []TURNServer{s})
	media := ok[session.Media](t)(New(Options{TURNServers: []TURNServer{s}}).NewMedia(session.MediaOptions{Events: noEvents()}))
	defer media.Close()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		for _, v := range []any{s, &s, []TURNServer{s}, Options{TURNServers: []TURNServer{s}}, New(Options{TURNServers: []TURNServer{s}}), media} {
			fmt.Fprintf(&b, verb+"\n", v)
		}
	}
	if strings.Contains(b.String(), "alice-") {
		t.Errorf("credentials are printed:\n%s", b.String())
	}
	if !strings.Contains(b.String(), "turn:example.com") {
		t.Error("the server is not named")
	}
}
