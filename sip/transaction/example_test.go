package transaction_test

import (
	"fmt"
	"log"
	"sync"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/transaction"
)

// asker is the user of a client transaction.
type asker struct{}

func (asker) Response(res *sip.Response) { fmt.Println("response:", res.StatusCode()) }
func (asker) Fail(err error)             { fmt.Println("failed:", err) }
func (asker) Done()                      { fmt.Println("done") }

// A client transaction from its request to its final response.
func Example() {
	var mu sync.Mutex // the owner's
	layer := transaction.NewLayer(&mu, transaction.Options{
		Send: func(_ *transaction.Link, m sip.Message) { fmt.Println("sent:", m.(*sip.Request).Method()) },
	})
	m, err := sip.Parse([]byte("OPTIONS sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/WS a.invalid;branch=z9hG4bK1\r\n" +
		"From: <sip:alice@example.com>;tag=a\r\nTo: <sip:bob@example.com>\r\nCall-ID: c1\r\nCSeq: 1 OPTIONS\r\n\r\n"))
	if err != nil {
		log.Fatal(err)
	}
	req := m.(*sip.Request)

	mu.Lock()
	defer mu.Unlock()
	flow := &transaction.Link{Server: "wss://sip.example.com"}
	var c transaction.Client
	layer.Request(&c, flow, req, asker{})
	layer.ReceiveResponse(flow, sip.NewResponse(req, sip.StatusOK, ""))
	// Output:
	// sent: OPTIONS
	// response: 200 OK
	// done
}
