package siptest_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/gosipua/sipua/sip/siptest"
)

func TestRawConnection(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		raw := siptest.ExpectConn(t, srv)
		dialed := make(chan *websocket.Conn)
		go func() {
			ws, _, err := dialURL(t, srv)
			if err != nil {
				t.Error(err)
			}
			dialed <- ws
		}()
		c := raw.Accept()
		ws := <-dialed
		defer ws.Close()
		if got := c.Request().Header.Get("Sec-WebSocket-Protocol"); got != "sip" {
			t.Errorf("subprotocol offered %q", got)
		}

		ws.WriteMessage(websocket.TextMessage, []byte("REGISTER"))
		if got := c.ReadText(); got != "REGISTER" {
			t.Errorf("ReadText = %q", got)
		}
		// gorilla fragments what is larger than its buffer, and here it shows.
		ws.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("x", 5000)))
		first, second := c.Frame(), c.Frame()
		if first.Fin || first.Opcode != siptest.OpText || !second.Fin || second.Opcode != siptest.OpContinuation || !second.Masked ||
			len(first.Payload)+len(second.Payload) != 5000 {
			t.Errorf("frames %d/%v and %d/%v", first.Opcode, first.Fin, second.Opcode, second.Fin)
		}

		c.WriteFragments("SIP/2.0 ", "200 ", "OK")
		go c.WriteBinary(make([]byte, 70000)) // more than the wire holds
		for _, want := range []int{len("SIP/2.0 200 OK"), 70000} {
			if _, data, err := ws.ReadMessage(); err != nil || len(data) != want {
				t.Errorf("read %d bytes, %v", len(data), err)
			}
		}
		pinged := make(chan string, 1)
		ws.SetPingHandler(func(s string) error {
			pinged <- s
			return ws.WriteControl(websocket.PongMessage, []byte(s), time.Time{})
		})
		c.Ping("are you there")
		c.Close(1001, "gone")
		if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, 1001) {
			t.Errorf("ReadMessage = %v", err)
		}
		if got := c.ExpectFrame(siptest.OpPong).Payload; string(got) != "are you there" || <-pinged != string(got) {
			t.Errorf("pong %q", got)
		}
		if code, reason := c.ExpectClose(); code != 1001 || reason != "" {
			t.Errorf("close frame %d %q", code, reason)
		}
		ws.Close()
		c.ExpectEnd()
		if len(srv.Conns()) != 0 {
			t.Error("a raw connection is among the server's")
		}
	})
}

func TestRawHandshake(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		raw := siptest.ExpectConn(t, srv)
		type result struct {
			res *http.Response
			err error
		}
		dialed := make(chan result)
		dial := func() {
			ws, res, err := dialURL(t, srv)
			if err == nil {
				ws.Close()
			}
			dialed <- result{res, err}
		}
		go dial()
		raw.Handshake().Refuse(429, http.Header{"Retry-After": {"7"}})
		if r := <-dialed; r.err == nil || r.res.StatusCode != 429 || r.res.Header.Get("Retry-After") != "7" {
			t.Errorf("dial = %+v", r)
		}
		go dial()
		c := raw.Handshake()
		synctest.Wait()
		c.Upgrade(http.Header{"Sia": {"x"}, "Content-Length": {"0"}, "Sec-Websocket-Protocol": {""}})
		if r := <-dialed; r.err != nil || r.res.Header.Get("Sia") != "x" || r.res.Header.Get("Sec-Websocket-Protocol") != "" {
			t.Errorf("dial = %+v", r)
		}
		c.ExpectEnd()
		go dial()
		raw.Handshake().Conn().Drop()
		if r := <-dialed; r.err == nil {
			t.Error("dial succeeded on a connection that was cut")
		}
	})
}

func TestRawFailures(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		got := failureOf(t, func(tb testing.TB) {
			raw := siptest.ExpectConn(tb, srv)
			raw.Limit = time.Second
			raw.Accept()
		})
		if !strings.Contains(got, "no connection within 1s") {
			t.Errorf("failure %q", got)
		}
		got = failureOf(t, func(tb testing.TB) {
			raw := siptest.ExpectConn(tb, srv)
			go func() {
				if ws, _, err := dialURL(t, srv); err == nil {
					ws.WriteMessage(websocket.BinaryMessage, []byte("hello"))
					ws.Close()
				}
			}()
			raw.Accept().ReadText()
		})
		if !strings.Contains(got, "expected a frame with opcode 1") || !strings.Contains(got, "EOF") {
			t.Errorf("failure %q", got)
		}
	})
}
