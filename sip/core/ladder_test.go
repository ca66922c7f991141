package core_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/dialog"
)

// crlf makes wire text of a raw string.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func (r *rig) wire(want string) {
	r.Helper()
	if d := cmp.Diff(crlf(want), r.raw()); d != "" {
		r.Errorf("(-want +got):\n%s", d)
	}
}

// The end of RFC 3261 §24.2 that is Bob's, over WebSocket: F4 comes in, F6 and F9
// go out, F12 comes in, F13 goes out, F14 comes in.
func TestSessionSetup(t *testing.T) {
	o := core.Options{
		URI:           uri("sip:bob@biloxi.com"),
		Contact:       uri("sip:bob@192.0.2.4"),
		ViaHost:       "192.0.2.4",
		AcceptAnyUser: true,
	}
	run(t, o, func(r *rig) {
		u := &usage{}
		var d *dialog.Dialog
		r.locked(func() {
			r.Handle(sip.INVITE, func(in *core.Incoming) {
				in.SetTag("a6c85cf")
				var err error
				if d, err = dialog.NewServer(in.Request(), in.Tag()); err != nil {
					t.Error(err)
					return
				}
				r.Attach(d, u)
				in.Reply(sip.StatusRinging, "")
				in.Reply(sip.StatusOK, "")
			})
		})
		r.receive(crlf(`INVITE sip:bob@192.0.2.4 SIP/2.0
Via: SIP/2.0/UDP server10.biloxi.com;branch=z9hG4bK4b43c2ff8.1
Via: SIP/2.0/UDP bigbox3.site3.atlanta.com;branch=z9hG4bK77ef4c2312983.1;received=192.0.2.2
Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8;received=192.0.2.1
Max-Forwards: 68
Record-Route: <sip:server10.biloxi.com;lr>, <sip:bigbox3.site3.atlanta.com;lr>
To: Bob <sip:bob@biloxi.com>
From: Alice <sip:alice@atlanta.com>;tag=1928301774
Call-ID: a84b4c76e66710
CSeq: 314159 INVITE
Contact: <sip:alice@pc33.atlanta.com>
Content-Length: 0

`))
		r.wire(`SIP/2.0 180 Ringing
Via: SIP/2.0/UDP server10.biloxi.com;branch=z9hG4bK4b43c2ff8.1
Via: SIP/2.0/UDP bigbox3.site3.atlanta.com;branch=z9hG4bK77ef4c2312983.1;received=192.0.2.2
Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8;received=192.0.2.1
Record-Route: <sip:server10.biloxi.com;lr>, <sip:bigbox3.site3.atlanta.com;lr>
To: Bob <sip:bob@biloxi.com>;tag=a6c85cf
From: Alice <sip:alice@atlanta.com>;tag=1928301774
Call-ID: a84b4c76e66710
CSeq: 314159 INVITE
Contact: <sip:bob@192.0.2.4;ob>
Content-Length: 0

`)
		r.wire(`SIP/2.0 200 OK
Via: SIP/2.0/UDP server10.biloxi.com;branch=z9hG4bK4b43c2ff8.1
Via: SIP/2.0/UDP bigbox3.site3.atlanta.com;branch=z9hG4bK77ef4c2312983.1;received=192.0.2.2
Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8;received=192.0.2.1
Record-Route: <sip:server10.biloxi.com;lr>, <sip:bigbox3.site3.atlanta.com;lr>
To: Bob <sip:bob@biloxi.com>;tag=a6c85cf
From: Alice <sip:alice@atlanta.com>;tag=1928301774
Call-ID: a84b4c76e66710
CSeq: 314159 INVITE
Contact: <sip:bob@192.0.2.4;ob>
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS
Content-Length: 0

`)
		r.receive(crlf(`ACK sip:bob@192.0.2.4 SIP/2.0
Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds9
Max-Forwards: 70
To: Bob <sip:bob@biloxi.com>;tag=a6c85cf
From: Alice <sip:alice@atlanta.com>;tag=1928301774
Call-ID: a84b4c76e66710
CSeq: 314159 ACK
Content-Length: 0

`))
		if len(u.in) != 1 || u.in[0].Request().Method() != sip.ACK {
			t.Fatal("the ACK did not reach the dialog")
		}
		s := r.send("", func(s *sending) {
			r.locked(func() { s.Request = d.NewRequest(sip.BYE) })
			s.Dialog = d
		})
		bye := r.raw()
		m, err := sip.Parse([]byte(bye))
		if err != nil {
			t.Fatal(err)
		}
		branch := m.Via().Branch()
		want := crlf(`BYE sip:alice@pc33.atlanta.com SIP/2.0
Via: SIP/2.0/WSS 192.0.2.4;branch=` + branch + `
Route: <sip:server10.biloxi.com;lr>
Route: <sip:bigbox3.site3.atlanta.com;lr>
From: "Bob" <sip:bob@biloxi.com>;tag=a6c85cf
To: "Alice" <sip:alice@atlanta.com>;tag=1928301774
Call-ID: a84b4c76e66710
CSeq: 1 BYE
Max-Forwards: 70
Content-Length: 0

`)
		if d := cmp.Diff(want, bye); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		r.receive(crlf(`SIP/2.0 200 OK
Via: SIP/2.0/WSS 192.0.2.4;branch=` + branch + `
From: Bob <sip:bob@biloxi.com>;tag=a6c85cf
To: Alice <sip:alice@atlanta.com>;tag=1928301774
Call-ID: a84b4c76e66710
CSeq: 1 BYE
Content-Length: 0

`))
		s.got(200)
	})
}
