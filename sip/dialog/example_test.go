package dialog_test

import (
	"fmt"
	"log"
	"strings"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/dialog"
)

// The dialog that an INVITE and its 200 make, and a BYE inside it.
func Example() {
	parse := func(lines ...string) sip.Message {
		m, err := sip.Parse([]byte(strings.Join(lines, "\r\n") + "\r\n\r\n"))
		if err != nil {
			log.Fatal(err)
		}
		return m
	}
	common := []string{"Via: SIP/2.0/WS a.invalid;branch=z9hG4bK1", "From: <sip:alice@example.com>;tag=a", "Call-ID: c1", "CSeq: 1 INVITE"}
	invite := parse(append([]string{"INVITE sip:bob@example.com SIP/2.0", "To: <sip:bob@example.com>"}, common...)...)
	ok := parse(append([]string{"SIP/2.0 200 OK", "To: <sip:bob@example.com>;tag=b", "Contact: <sip:bob@b.invalid>",
		"Record-Route: <sip:proxy.example.com;lr>"}, common...)...)

	d, err := dialog.NewClient(invite.(*sip.Request), ok.(*sip.Response))
	if err != nil {
		log.Fatal(err)
	}
	bye := d.NewRequest(sip.BYE)
	fmt.Println(bye.Method(), bye.URI())
	fmt.Println("Route:", bye.Header("Route"))
	fmt.Println("To:", bye.To(), "CSeq:", bye.CSeq())
	// Output:
	// BYE sip:bob@b.invalid
	// Route: <sip:proxy.example.com;lr>
	// To: <sip:bob@example.com>;tag=b CSeq: 2 BYE
}
