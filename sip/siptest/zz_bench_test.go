package siptest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/gosipua/sipua/sip/siptest"
)

func BenchmarkRegister(b *testing.B) {
	srv, _ := siptest.NewServer(siptest.Options{Listen: true})
	defer srv.Close()
	d := websocket.Dialer{Subprotocols: []string{"sip"}}
	ws, _, err := d.Dial(srv.URL(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer ws.Close()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		text := strings.ReplaceAll(registerText(i+1, "Contact: <sip:alice@a.invalid;transport=ws>;+sip.instance=\"<urn:uuid:1>\"", "Supported: path, outbound, gruu", "User-Agent: x"), "\n", "\r\n")
		ws.WriteMessage(1, []byte(text))
		_, _, err := ws.ReadMessage()
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEcho(b *testing.B) {
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := websocket.Upgrader{Subprotocols: []string{"sip"}}
		ws, err := u.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		for {
			k, d, err := ws.ReadMessage()
			if err != nil {
				return
			}
			ws.WriteMessage(k, d)
		}
	}))
	defer hs.Close()
	d := websocket.Dialer{Subprotocols: []string{"sip"}}
	ws, _, err := d.Dial("ws"+strings.TrimPrefix(hs.URL, "http"), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer ws.Close()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		text := strings.ReplaceAll(registerText(i+1, "Contact: <sip:alice@a.invalid;transport=ws>;+sip.instance=\"<urn:uuid:1>\"", "Supported: path, outbound, gruu", "User-Agent: x"), "\n", "\r\n")
		ws.WriteMessage(1, []byte(text))
		_, _, err := ws.ReadMessage()
		if err != nil {
			b.Fatal(err)
		}
	}
	_ = fmt.Sprint
}
