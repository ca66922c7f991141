package siptest_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// Many clients at once that come and go, and are cut while everybody sends to
// everybody: for the race detector, and for goroutines that stay.
func TestManyClients(t *testing.T) {
	inBubble(t, siptest.Options{RecordRoute: true, GRUU: true}, func(t *testing.T, srv *siptest.Server) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for round := range 5 {
					visit(t, srv, fmt.Sprintf("u%d", i), fmt.Sprintf("h%d-%d.invalid", i, round), round == 3)
				}
			})
		}
		wg.Wait()
		if n := srv.Counters(); n.Forwarded == 0 || n.Registers == 0 {
			t.Errorf("counters %+v", n)
		}
		if err := srv.WaitConns(t.Context(), 0); err != nil {
			t.Error(err)
		}
		siptest.Peer(t, srv, "late").Request(sip.MESSAGE, "status-486").ExpectResponse(486)
	})
}

// visit registers, sends to everybody, and answers 486 to everything until
// nothing comes any more.
func visit(t *testing.T, srv *siptest.Server, user, host string, drop bool) {
	ws, _, err := dialURL(t, srv)
	if err != nil {
		return // cut by another visitor
	}
	defer ws.Close()
	send := func(method sip.Method, uri, to string, n int) {
		text := fmt.Sprintf("%s %s SIP/2.0\nVia: SIP/2.0/WS %s;branch=z9hG4bK%d\nMax-Forwards: 70\n"+
			"From: <sip:%s@example.test>;tag=1\nTo: <sip:%s@example.test>\nCall-ID: %s%d\nCSeq: 1 %s\n"+
			"Contact: <sip:%s@%s>\n\n", method, uri, host, n, user, to, host, n, method, user, host)
		ws.WriteMessage(websocket.TextMessage, []byte(strings.ReplaceAll(text, "\n", "\r\n")))
	}
	answer := func(wait time.Duration) {
		ws.SetReadDeadline(time.Now().Add(wait))
		for {
			_, data, err := ws.ReadMessage()
			if err != nil {
				return
			}
			m, err := sip.Parse(data)
			if err != nil {
				t.Errorf("%v in\n%s", err, data)
			}
			if req, ok := m.(*sip.Request); ok && req.Method() != sip.ACK {
				ws.WriteMessage(websocket.TextMessage, sip.NewResponse(req, 486, "").AppendTo(nil))
			}
			if res, ok := m.(*sip.Response); ok && res.CSeq().Method == sip.REGISTER {
				for n := range 16 {
					to := fmt.Sprintf("u%d", n%8)
					send([]sip.Method{sip.MESSAGE, sip.INVITE}[n%2], "sip:"+to+"@example.test", to, n+1)
				}
				if drop {
					srv.Drop()
				}
			}
		}
	}
	send(sip.REGISTER, "sip:example.test", user, 0)
	answer(time.Minute)
}

// A client that does not read holds up nobody else: what it does not take waits.
func TestClientThatDoesNotRead(t *testing.T) {
	onBoth(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		lazy := &client{t: t, ws: mustDial(t, srv)}
		lazy.register("Contact: <sip:alice@a.invalid>")
		busy := &client{t: t, ws: mustDial(t, srv)}
		const messages = 300
		body := strings.Repeat("x", 20000)
		for n := range messages { // 6 MB, more than any socket buffer holds
			busy.send(fmt.Sprintf("MESSAGE sip:alice@example.test SIP/2.0\nVia: SIP/2.0/WS b.invalid;branch=z9hG4bKm%d\nMax-Forwards: 70\n"+
				"From: <sip:bob@example.test>;tag=1\nTo: <sip:alice@example.test>\nCall-ID: m%d\nCSeq: 1 MESSAGE\nContent-Type: text/plain\n\n%s", n, n, body))
		}
		busy.seq = 1
		if res := busy.register(); res.StatusCode() != 200 {
			t.Errorf("got\n%s", res)
		}
		for n := range messages {
			if req := lazy.receive().(*sip.Request); req.CallID() != fmt.Sprintf("m%d", n) || len(req.Body()) != len(body) {
				t.Fatalf("message %d arrived as %s with %d bytes", n, req.CallID(), len(req.Body()))
			}
		}
	})
}

func FuzzServer(f *testing.F) {
	f.Add([]byte(strings.ReplaceAll(registerText(1, "Contact: <sip:alice@a.invalid>;+sip.instance=\"<urn:x>\";reg-id=1", "Supported: gruu, outbound"), "\n", "\r\n")))
	f.Add([]byte(strings.ReplaceAll(inviteText("bob", "z9hG4bK1"), "\n", "\r\n")))
	f.Add([]byte(strings.ReplaceAll(inviteText("status-300", "z9hG4bKst.1.1"), "\n", "\r\n")))
	f.Add([]byte("SIP/2.0 200 OK\r\nVia: SIP/2.0/WS example.test;branch=z9hG4bKst.1.1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: i\r\nCSeq: 1 INVITE\r\n\r\n"))
	f.Add([]byte("MESSAGE sip:alice@example.test;gr=urn:x;lr SIP/2.0\r\nVia: SIP/2.0/WS a;branch=z9hG4bK2\r\nRoute: <sip:f1-2@example.test;lr>,<sip:x@y>\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: i\r\nCSeq: 1 MESSAGE\r\n\r\n"))
	srv, err := siptest.NewServer(siptest.Options{GRUU: true, Outbound: true, RecordRoute: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { srv.Close() })
	probe := []byte(strings.ReplaceAll(registerText(1), "\n", "\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ws := dial(t, srv)
		ws.WriteMessage(websocket.TextMessage, data)
		ws.WriteMessage(websocket.TextMessage, probe)
		for { // whatever came, the connection still works
			ws.SetReadDeadline(time.Now().Add(10 * time.Second))
			_, answer, err := ws.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(answer), "SIP/2.0 200 OK\r\nVia: SIP/2.0/WS a.invalid;branch=z9hG4bK1\r\n") {
				return
			}
		}
	})
}
