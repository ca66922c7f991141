package transport_test

import (
	"errors"
	"io"
	"net"
	"testing"

	"github.com/gosipua/sipua/transport"
)

func TestErrorTexts(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&transport.ServerError{Field: "URL", Reason: "is empty"}, "transport: server URL is empty"},
		{&transport.ConnectError{Server: "ws://a", Err: io.EOF}, "transport: connecting to ws://a: EOF"},
		{&transport.HandshakeError{StatusCode: 403, Status: "403 Forbidden"}, `WebSocket handshake refused: "403 Forbidden"`},
		{&transport.HandshakeError{StatusCode: 101, Status: "101 x"}, "WebSocket handshake: the server's answer breaks RFC 6455"},
		{&transport.SubprotocolError{}, `the server did not choose the WebSocket subprotocol "sip"`},
		{&transport.SubprotocolError{Got: "x"}, `the server chose the WebSocket subprotocol "x" instead of "sip"`},
		{&transport.ProxyError{Proxy: "p:80", Status: "407"}, `proxy p:80 refused the tunnel: "407"`},
		{&transport.CloseError{Code: 1005}, "closed by the server with code 1005"},
		{&transport.CloseError{Code: 1001, Text: "a\nb"}, `closed by the server with code 1001 "a\nb"`},
		{&transport.FlowError{Flow: 3, Server: "ws://a", Err: transport.ErrNoPong}, "transport: flow 3 to ws://a is down: no answer to a ping"},
		{transport.ErrPoolClosed, "transport: pool closed"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

func TestLossIsErrClosed(t *testing.T) {
	err := error(&transport.FlowError{Err: &transport.CloseError{Code: 1012}})
	var ce *transport.CloseError
	if !errors.Is(err, net.ErrClosed) || !errors.As(err, &ce) || ce.Code != 1012 {
		t.Errorf("%v", err)
	}
	if !errors.Is(transport.ErrPoolClosed, net.ErrClosed) {
		t.Error("ErrPoolClosed")
	}
	if errors.Is(&transport.ConnectError{Err: io.EOF}, net.ErrClosed) {
		t.Error("an attempt that failed is no loss of a flow")
	}
}
