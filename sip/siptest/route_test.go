package siptest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

func TestRoutes(t *testing.T) {
	o := siptest.Options{ServiceRoute: []string{"<sip:edge.example.test;lr>"}, RecordRoute: true}
	inBubble(t, o, func(t *testing.T, srv *siptest.Server) {
		alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
		carol := siptest.Peer(t, srv, "carol")
		for _, tt := range []struct{ route, left string }{
			{"<sip:example.test;lr;transport=ws>", ""},
			{"<sip:edge.example.test;lr>, <sip:example.test;lr>", ""},
			{"<sip:elsewhere.example;lr>", "<sip:elsewhere.example;lr>"}, // the connection is the next hop
		} {
			alice.Request(sip.MESSAGE, "bob", siptest.Header("Route", tt.route))
			if got := bob.Expect(sip.MESSAGE).Header("Route"); got != tt.left {
				t.Errorf("Route %q arrived as %q", tt.route, got)
			}
		}
		// A Route that is another client's Contact goes there.
		route := carol.Contact.String()
		alice.Request(sip.MESSAGE, "bob", siptest.Header("Route", route))
		if got := carol.Expect(sip.MESSAGE).Header("Route"); got != route {
			t.Errorf("Route arrived as %q", got)
		}
		// A second proxy before us is behind us on the way back.
		alice.Request(sip.INVITE, "bob", siptest.Header("Record-Route", "<sip:first.example;lr>"))
		got := bob.Expect(sip.INVITE).Request.Headers("Record-Route")
		if len(got) != 2 || !strings.Contains(got[0], "@example.test;transport=ws;lr") || got[1] != "<sip:first.example;lr>" {
			t.Errorf("Record-Route %q", got)
		}
	})
}

func TestPath(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		c := newClient(t, srv)
		c.register("Contact: <sip:alice@a.invalid>", "Path: <sip:p1.example;lr>,<sip:p2.example;lr>", "Supported: path")
		siptest.Peer(t, srv, "bob").Request(sip.MESSAGE, "alice")
		if got := strings.Join(c.receive().(*sip.Request).Headers("Route"), ","); got != "<sip:p1.example;lr>,<sip:p2.example;lr>" {
			t.Errorf("Route %q", got)
		}
	})
}

func TestOneFlowOfAnInstance(t *testing.T) {
	inBubble(t, siptest.Options{Outbound: true}, func(t *testing.T, srv *siptest.Server) {
		var flows [2]*client
		for i := range flows {
			flows[i] = newClient(t, srv)
			flows[i].seq = i
			flows[i].register(fmt.Sprintf(`Contact: <sip:alice@a.invalid>;reg-id=%d;+sip.instance="<urn:uuid:1>"`, i+1), "Supported: outbound")
		}
		if n := len(srv.Bindings("alice")); n != 2 {
			t.Fatalf("%d bindings", n)
		}
		bob := siptest.Peer(t, srv, "bob")
		bob.Request(sip.MESSAGE, "alice")
		if got := flows[1].receive().(*sip.Request).Method(); got != sip.MESSAGE {
			t.Errorf("the newer flow got %s", got)
		}
		srv.Conns()[1].Drop()
		srv.WaitConns(t.Context(), 2)
		bob.Request(sip.INFO, "alice")
		if got := flows[0].receive().(*sip.Request).Method(); got != sip.INFO {
			t.Errorf("the older flow got %s", got) // and not the MESSAGE before
		}
	})
}

func TestReachableAgain(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		c := newClient(t, srv)
		c.register("Contact: <sip:alice@a.invalid>")
		srv.Drop()
		srv.WaitConns(t.Context(), 0)
		done := make(chan error, 1)
		go func() { done <- srv.WaitRegistered(t.Context(), "alice") }()
		time.Sleep(time.Second)
		select {
		case <-done:
			t.Error("WaitRegistered took a contact that cannot be reached")
		default:
		}
		c.ws = dial(t, srv)
		c.register("Contact: <sip:alice@a.invalid>")
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestListenerIsOurs(t *testing.T) {
	srv := newServer(t, siptest.Options{Listen: true})
	address := strings.TrimSuffix(strings.TrimPrefix(srv.URL(), "ws://"), "/")
	alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
	alice.Request(sip.MESSAGE, "bob", siptest.Header("Route", "<sip:"+address+";lr;transport=ws>"))
	if got := bob.Expect(sip.MESSAGE).Header("Route"); got != "" {
		t.Errorf("Route arrived as %q", got)
	}
	alice.Request(sip.OPTIONS, "sip:"+address).ExpectResponse(200)
	alice.Request(sip.OPTIONS, "sip:127.0.0.1:1").ExpectResponse(404)
}

// Two clients with the same Contact, as behind a B2BUA: the dialog's own
// connection gets what belongs to the dialog.
func TestSameContactTwice(t *testing.T) {
	inBubble(t, siptest.Options{RecordRoute: true}, func(t *testing.T, srv *siptest.Server) {
		alice := siptest.Peer(t, srv, "alice")
		first, second := siptest.Peer(t, srv, "bob"), siptest.Peer(t, srv, "carol")
		second.Contact = first.Contact
		call := alice.Request(sip.INVITE, "bob")
		first.Expect(sip.INVITE).Respond(200)
		other := alice.Request(sip.INVITE, "carol")
		second.Expect(sip.INVITE).Respond(200)
		call.ExpectResponse(200).ACK()
		other.ExpectResponse(200).ACK()
		first.Expect(sip.ACK)
		second.Expect(sip.ACK)
		first.ExpectNothing(time.Minute)
		second.ExpectNothing(time.Minute)
	})
}

func TestPeerSendsRaw(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		p := siptest.Peer(t, srv, "alice")
		p.SendRaw(strings.ReplaceAll(registerText(7), "\n", "\r\n"))
		if got := p.ExpectResponse(200).Header("Contact"); !strings.Contains(got, p.Contact.URI.Host) {
			t.Errorf("Contact %q", got)
		}
	})
}

func TestConnFaultsOfAll(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		c := newClient(t, srv)
		srv.Stall(true)
		c.send(registerText(1, "Contact: <sip:alice@a.invalid>"))
		time.Sleep(time.Second)
		if srv.Registered("alice") {
			t.Error("a stalled server reads")
		}
		srv.Stall(false)
		c.receive()
		srv.Blackhole(true)
		c.send(registerText(2, "Contact: *", "Expires: 0"))
		time.Sleep(time.Second)
		if !srv.Registered("alice") {
			t.Error("a black hole reads")
		}
		srv.Blackhole(false)
		c.seq = 2
		c.register("Contact: *", "Expires: 0")
		if srv.Registered("alice") {
			t.Error("the connection works no more")
		}
		// A full buffer at the server's end of the wire.
		conn := srv.Conns()[0]
		conn.Wire().Fill()
		c.ws.SetWriteDeadline(time.Now().Add(time.Second))
		if err := c.ws.WriteMessage(1, []byte("x")); err == nil {
			t.Error("a full wire takes a frame")
		}
	})
}
