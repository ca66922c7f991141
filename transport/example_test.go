package transport_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/gorilla/websocket"

	"github.com/gosipua/sipua/transport"
)

// A pool connects, hands up what comes in, and answers on the flow it came from.
func Example() {
	answered := make(chan string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := websocket.Upgrader{Subprotocols: []string{"sip"}}
		c, err := u.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		c.WriteMessage(websocket.TextMessage, []byte("OPTIONS sip:alice@example.com SIP/2.0\r\n\r\n"))
		_, data, _ := c.ReadMessage()
		answered <- string(data)
		c.ReadMessage() // until the client closes
	}))
	defer server.Close()

	pool := transport.NewPool(transport.Options{
		Servers: []transport.Server{
			{URL: "ws" + strings.TrimPrefix(server.URL, "http"), Weight: 10},
			{URL: "wss://spare.example.com"}, // tried when the first one fails
		},
		Events: transport.Events{
			Message: func(f *transport.Flow, data []byte) {
				method, _, _ := strings.Cut(string(data), " ")
				fmt.Println("flow", f.ID(), "got", method)
				f.Send([]byte("SIP/2.0 200 OK\r\n\r\n"))
			},
		},
	})
	pool.Start()
	fmt.Printf("server got %.14q\n", <-answered)
	fmt.Println("closed:", pool.Shutdown(context.Background()))
	// Output:
	// flow 1 got OPTIONS
	// server got "SIP/2.0 200 OK"
	// closed: <nil>
}

// A gate that a thousand pools share lets their server come back in peace.
func ExampleNewGate() {
	gate := transport.NewGate(50, 100) // 50 attempts at a time, 100 in a second
	for range 1000 {
		pool := transport.NewPool(transport.Options{
			Servers: []transport.Server{{URL: "wss://sip.example.com"}},
			Gate:    gate,
		})
		defer pool.Close() // and pool.Start()
	}
	// Output:
}
