package siptest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// onBoth runs f in memory, inside a bubble, and over TCP.
func onBoth(t *testing.T, o siptest.Options, f func(t *testing.T, srv *siptest.Server)) {
	t.Run("memory", func(t *testing.T) { inBubble(t, o, f) })
	t.Run("TCP", func(t *testing.T) {
		o.Listen = true
		f(t, newServer(t, o))
	})
}

// dialURL dials the server's URL: over TCP where it listens.
func dialURL(t *testing.T, srv *siptest.Server) (*websocket.Conn, *http.Response, error) {
	d := websocket.Dialer{Subprotocols: []string{"sip"}, TLSClientConfig: srv.ClientTLS()}
	if strings.Contains(srv.URL(), srv.Domain()) {
		d.NetDialContext = srv.DialContext
	}
	return d.DialContext(t.Context(), srv.URL(), nil)
}

func mustDial(t *testing.T, srv *siptest.Server) *websocket.Conn {
	t.Helper()
	ws, _, err := dialURL(t, srv)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	return ws
}

func onlyConn(t *testing.T, srv *siptest.Server) *siptest.Conn {
	t.Helper()
	if err := srv.WaitConns(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	return srv.Conns()[0]
}

func TestDrop(t *testing.T) {
	onBoth(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		c := &client{t: t, ws: mustDial(t, srv)}
		c.register("Contact: <sip:alice@a.invalid>")
		onlyConn(t, srv).Drop()
		_, _, err := c.ws.ReadMessage()
		if err == nil || websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway) {
			t.Errorf("ReadMessage = %v, want an abrupt end", err)
		}
		if err := srv.WaitConns(t.Context(), 0); err != nil {
			t.Error(err)
		}
		if !srv.Registered("alice") {
			t.Error("the registration went with its connection")
		}
		bob := siptest.Peer(t, srv, "bob")
		bob.Request(sip.MESSAGE, "alice").ExpectResponse(480)
	})
}

func TestPoliteClose(t *testing.T) {
	onBoth(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		ws := mustDial(t, srv)
		onlyConn(t, srv).Close(1001, "restarting")
		_, _, err := ws.ReadMessage()
		var closed *websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != 1001 || closed.Text != "restarting" {
			t.Errorf("ReadMessage = %v", err)
		}
		srv.WaitConns(t.Context(), 0)

		ws = mustDial(t, srv)
		ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "bye"), time.Time{})
		if _, _, err = ws.ReadMessage(); !errors.As(err, &closed) || closed.Code != 1000 {
			t.Errorf("the answer to a close frame is %v", err)
		}
		srv.WaitConns(t.Context(), 0)
	})
}

func TestPings(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		ws := dial(t, srv)
		pong := make(chan string, 1)
		ws.SetPongHandler(func(s string) error { pong <- s; return nil })
		ws.WriteControl(websocket.PingMessage, []byte("mark"), time.Time{})
		go ws.ReadMessage()
		if got := <-pong; got != "mark" {
			t.Errorf("pong %q", got)
		}
		onlyConn(t, srv).Ping()
		time.Sleep(time.Second)
		if n := srv.Counters(); n.Pings != 1 || n.Pongs != 1 {
			t.Errorf("counters %+v", n)
		}
		ws.Close()
	})
}

func TestStall(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		c := newClient(t, srv)
		conn := onlyConn(t, srv)
		conn.Stall(true)
		c.send(registerText(1, "Contact: <sip:alice@a.invalid>"))
		time.Sleep(time.Hour)
		if srv.Registered("alice") {
			t.Error("a stalled connection was read")
		}
		// The buffers fill, then writes block.
		c.ws.SetWriteDeadline(time.Now().Add(time.Second))
		var err error
		for range 100 {
			if err = c.ws.WriteMessage(websocket.TextMessage, make([]byte, 4096)); err != nil {
				break
			}
		}
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("writing to a stalled connection: %v", err)
		}
		// The server still writes.
		conn.Send("hello")
		if _, data, err := c.ws.ReadMessage(); string(data) != "hello" {
			t.Errorf("read %q, %v", data, err)
		}
		conn.Stall(false)
		if res := c.receive().(*sip.Response); res.StatusCode() != 200 {
			t.Errorf("after the stall: %d", res.StatusCode())
		}
	})
}

func TestBlackhole(t *testing.T) {
	onBoth(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		c := &client{t: t, ws: mustDial(t, srv)}
		conn := onlyConn(t, srv)
		c.register("Contact: <sip:alice@a.invalid>")
		conn.Blackhole(true)
		c.send(registerText(2, "Contact: <sip:alice@a.invalid>;expires=0"))
		conn.Send("lost")
		c.ws.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		var timeout net.Error
		if _, data, err := c.ws.ReadMessage(); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("read %q, %v out of a black hole", data, err)
		}
		if !srv.Registered("alice") {
			t.Error("the black hole let a message through")
		}
	})
}

func TestMute(t *testing.T) {
	onBoth(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		c := &client{t: t, ws: mustDial(t, srv)}
		pongs := make(chan struct{}, 1)
		c.ws.SetPongHandler(func(string) error { pongs <- struct{}{}; return nil })
		srv.Mute(true)
		c.send(registerText(1, "Contact: <sip:alice@a.invalid>"))
		c.ws.WriteControl(websocket.PingMessage, nil, time.Time{})
		c.ws.WriteMessage(websocket.TextMessage, []byte("\r\n\r\n"))
		if _, data, err := c.ws.ReadMessage(); err != nil || string(data) != "\r\n" {
			t.Errorf("read %q, %v, want the answer to the keep-alive", data, err)
		}
		<-pongs // came before it
		srv.Mute(false)
		if srv.Registered("alice") {
			t.Error("the REGISTER was taken")
		}
		if res := c.register(); res.StatusCode() != 200 {
			t.Errorf("when it speaks again: %d", res.StatusCode())
		}
	})
}

// silent says that nothing comes out of the connection.
func silent(t *testing.T, ws *websocket.Conn) {
	t.Helper()
	ws.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	var timeout net.Error
	if _, data, err := ws.ReadMessage(); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("read %q, %v, want silence", data, err)
	}
}

func TestBlackholeOneWay(t *testing.T) {
	onBoth(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		c := &client{t: t, ws: mustDial(t, srv)}
		conn := onlyConn(t, srv)
		c.register("Contact: <sip:alice@a.invalid>")
		conn.BlackholeIn(true)
		c.send(registerText(2, "Contact: <sip:alice@a.invalid>;expires=0"))
		conn.Send("heard")
		if _, data, err := c.ws.ReadMessage(); string(data) != "heard" {
			t.Errorf("read %q, %v", data, err)
		}
		silent(t, c.ws)
		if !srv.Registered("alice") {
			t.Error("the black hole let a message through")
		}
		conn.Drop()
		srv.WaitConns(t.Context(), 0)

		c = &client{t: t, ws: mustDial(t, srv), seq: 2}
		c.register("Contact: <sip:alice@a.invalid>")
		onlyConn(t, srv).BlackholeOut(true)
		c.send(registerText(4, "Contact: <sip:alice@a.invalid>;expires=0"))
		silent(t, c.ws)
		for srv.Registered("alice") {
			time.Sleep(time.Millisecond)
		}
	})
}

func TestVanish(t *testing.T) {
	onBoth(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		c := &client{t: t, ws: mustDial(t, srv)}
		c.register("Contact: <sip:alice@a.invalid>")
		onlyConn(t, srv).Vanish()
		if err := srv.WaitConns(t.Context(), 0); err != nil {
			t.Error(err)
		}
		c.send(registerText(2, "Contact: <sip:alice@a.invalid>;expires=0"))
		srv.Blackhole(false) // does not bring it back
		silent(t, c.ws)
		if !srv.Registered("alice") {
			t.Error("a connection that has vanished was read")
		}
		siptest.Peer(t, srv, "bob").Request(sip.MESSAGE, "alice").ExpectResponse(480)
	})
}

func TestSlow(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		c := newClient(t, srv)
		conn := onlyConn(t, srv)
		conn.Slow(1000)
		start := time.Now()
		conn.Send(strings.Repeat("x", 4996)) // and a frame header of 4 bytes
		if _, data, err := c.ws.ReadMessage(); len(data) != 4996 || err != nil {
			t.Errorf("read %d bytes, %v", len(data), err)
		}
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("5,000 bytes took %v", d)
		}
		start = time.Now()
		text := registerText(1)
		c.send(text)
		answer := c.receive().(*sip.Response)
		want := time.Duration(len(text)+len(answer.AppendTo(nil))) * time.Millisecond
		if d := time.Since(start); d < want || d > want+50*time.Millisecond {
			t.Errorf("a round trip took %v, want %v and the time for two frame headers", d, want)
		}
		conn.Slow(0)
		start = time.Now()
		c.register()
		if d := time.Since(start); d != 0 {
			t.Errorf("slow after Slow(0): %v", d)
		}
	})
}

func TestDelay(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		srv.Delay(150 * time.Millisecond)
		start := time.Now()
		c := newClient(t, srv) // the handshake is not delayed: it is no frame
		for range 3 {
			c.send(registerText(1))
		}
		for range 3 {
			c.receive()
		}
		if d := time.Since(start); d != 150*time.Millisecond {
			t.Errorf("three answers after %v, want them pipelined", d)
		}
		srv.Delay(0)
		c.register()
		if d := time.Since(start); d != 150*time.Millisecond {
			t.Errorf("delayed after Delay(0): %v", d)
		}
		srv.Delay(time.Hour)
		c.send(registerText(9))
		time.Sleep(time.Second)
		srv.Close() // is not delayed
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("Close took %v", d)
		}
	})
}

func TestRefuse(t *testing.T) {
	onBoth(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		srv.Refuse(siptest.Refusal{Status: 503, RetryAfter: 30 * time.Second})
		_, res, err := dialURL(t, srv)
		if err == nil || res == nil || res.StatusCode != 503 || res.Header.Get("Retry-After") != "30" {
			t.Errorf("dial = %v, %v", res, err)
		}
		srv.Refuse(siptest.Refusal{})
		if _, _, err := dialURL(t, srv); err == nil {
			t.Error("dial succeeded")
		}
		if n := srv.Counters().Refused; n != 2 {
			t.Errorf("%d refused", n)
		}
		srv.Admit()
		mustDial(t, srv)
	})
}

func TestRefuseInMemory(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		srv.Refuse(siptest.Refusal{})
		if _, err := srv.DialContext(t.Context(), "tcp", "anywhere:1"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("DialContext = %v", err)
		}
		srv.Refuse(siptest.Refusal{Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		if _, err := srv.DialContext(ctx, "tcp", "anywhere:1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("DialContext = %v", err)
		}
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("it hung for %v", d)
		}
		if _, err := srv.DialContext(ctx, "tcp", "anywhere:1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("DialContext with an ended context = %v", err)
		}
		srv.Close()
		if _, err := srv.DialContext(t.Context(), "tcp", "anywhere:1"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("DialContext after Close = %v", err)
		}
		if err := srv.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close = %v", err)
		}
	})
}

func TestRestart(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		siptest.Peer(t, srv, "alice")
		srv.Restart(true)
		srv.WaitConns(t.Context(), 0)
		if !srv.Registered("alice") {
			t.Error("Restart(true) lost the registration")
		}
		srv.Restart(false)
		if srv.Registered("alice") {
			t.Error("Restart(false) kept the registration")
		}
	})
}

func TestCallerComesBackOnAnotherConnection(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		bob := siptest.Peer(t, srv, "bob")
		c := newClient(t, srv)
		contact := "Contact: <sip:alice@a.invalid;transport=ws>"
		c.register(contact)
		c.send("INVITE sip:bob@example.test SIP/2.0\nVia: SIP/2.0/WS a.invalid;branch=z9hG4bKi\nMax-Forwards: 70\n" +
			"From: <sip:alice@example.test>;tag=1\nTo: <sip:bob@example.test>\nCall-ID: i\nCSeq: 1 INVITE\n" + contact + "\n\n")
		inv := bob.Expect(sip.INVITE)
		c.receive() // 100
		c.ws.NetConn().(*siptest.Wire).Cut()
		srv.WaitConns(t.Context(), 1)

		c.ws = dial(t, srv)
		c.register(contact)
		inv.Respond(180)
		if res := c.receive().(*sip.Response); res.StatusCode() != 180 {
			t.Errorf("got\n%s", res)
		}
		inv.Respond(200)
		c.receive()
		inv.Respond(200) // repeated: there was no ACK
		if res := c.receive().(*sip.Response); res.StatusCode() != 200 {
			t.Errorf("got\n%s", res)
		}
		inv.Dialog().Request(sip.BYE)
		if req := c.receive().(*sip.Request); req.Method() != sip.BYE {
			t.Errorf("got\n%s", req)
		}
	})
}

func TestCalleeIsLost(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		alice, bob := siptest.Peer(t, srv, "alice"), siptest.Peer(t, srv, "bob")
		call := alice.Request(sip.INVITE, "bob")
		bob.Expect(sip.INVITE).Respond(180)
		call.ExpectResponse(180)
		bob.Drop()
		call.ExpectResponse(480).ACK()
	})
}

func TestTLS(t *testing.T) {
	onBoth(t, siptest.Options{TLS: &tls.Config{}}, func(t *testing.T, srv *siptest.Server) {
		if !strings.HasPrefix(srv.URL(), "wss://") || srv.Certificate() == nil {
			t.Errorf("URL %s", srv.URL())
		}
		c := &client{t: t, ws: mustDial(t, srv)}
		if res := c.register(); res.StatusCode() != 200 {
			t.Errorf("got\n%s", res)
		}
		if _, _, err := (&websocket.Dialer{NetDialContext: srv.DialContext, Subprotocols: []string{"sip"}}).Dial(srv.URL(), nil); err == nil {
			t.Error("a client that does not know the certificate was let in")
		}
	})
}

func TestHandshake(t *testing.T) {
	var answer *siptest.HandshakeAnswer
	o := siptest.Options{Handshake: func(*http.Request) *siptest.HandshakeAnswer { return answer }}
	inBubble(t, o, func(t *testing.T, srv *siptest.Server) {
		mustDial(t, srv).Close()
		answer = &siptest.HandshakeAnswer{Status: 403}
		if _, res, err := dialURL(t, srv); err == nil || res.StatusCode != 403 {
			t.Errorf("dial = %v, %v", res, err)
		}
		answer = &siptest.HandshakeAnswer{Header: http.Header{"Sia": {"x"}}, NoSubprotocol: true}
		ws, res, err := dialURL(t, srv)
		if err != nil || ws.Subprotocol() != "" || res.Header.Get("Sia") != "x" {
			t.Errorf("dial = %v, %v", res, err)
		}
		ws.Close()
		answer = nil
		d := websocket.Dialer{NetDialContext: srv.DialContext} // offers no subprotocol
		if _, res, err := d.Dial(srv.URL(), nil); err == nil || res.StatusCode != 400 {
			t.Errorf("dial without a subprotocol = %v, %v", res, err)
		}
		nc, err := srv.DialContext(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Protocol: sip\r\n\r\n"))
		buf := make([]byte, 64)
		if n, _ := nc.Read(buf); !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 400 ") {
			t.Errorf("a plain GET got %q", buf[:n])
		}
	})
}
