package siptest

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/sip"
)

func TestNonceCounts(t *testing.T) {
	n := &nonce{}
	for i, step := range []struct {
		count uint32
		fresh bool
	}{{1, true}, {1, false}, {3, true}, {4, true}, {3, false}, {2, true}, {4, false}, {5, true}, {0, false}, {6, true}} {
		if got := n.use(step.count); got != step.fresh {
			t.Errorf("step %d: use(%d) = %v", i, step.count, got)
		}
	}
	if n.floor != 6 || len(n.above) != 0 {
		t.Errorf("floor %d, above %v", n.floor, n.above)
	}
	for i := range uint32(2 * maxGap) {
		n.use(100 + i)
	}
	if len(n.above) > maxGap {
		t.Errorf("%d counts remembered", len(n.above))
	}
}

func TestNonceStoreIsBounded(t *testing.T) {
	var s nonceStore
	first := s.make()
	for range maxNonces {
		s.make()
	}
	if len(s.byText) != maxNonces || s.byText[first] != nil {
		t.Errorf("%d nonces, the oldest is %v", len(s.byText), s.byText[first])
	}
}

func TestAcceptedRingIsBounded(t *testing.T) {
	var r acceptedRing
	for i := range maxAccepted + 1 {
		r.add(&exchange{key: fmt.Sprint(i)})
	}
	if len(r.byKey) != maxAccepted || r.find("0") != nil || r.find("1") == nil || r.find(fmt.Sprint(maxAccepted)) == nil {
		t.Errorf("%d INVITEs remembered", len(r.byKey))
	}
}

func TestRequestsOfEndedCallsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := NewServer(Options{Personality: OpenSIPS})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { srv.Close() })
		alice, bob := Peer(t, srv, "alice"), Peer(t, srv, "bob")
		call := alice.Request(sip.INVITE, "bob")
		inv := bob.Expect(sip.INVITE)
		inv.Respond(200, SDP("v=0\r\n"))
		a := call.ExpectResponse(200).ACK(SDP("v=0\r\n")).Dialog()
		bob.Expect(sip.ACK)
		a.Request(sip.INVITE)
		bob.Expect(sip.INVITE).Respond(180) // and nothing more
		time.Sleep(time.Minute)
		inv.Dialog().Request(sip.BYE).ExpectResponse(200)
		alice.Expect(sip.BYE).Respond(200)
		time.Sleep(time.Minute)
		srv.mu.Lock()
		defer srv.mu.Unlock()
		if n := len(srv.requests) + len(srv.legs) + len(srv.calls) + len(srv.invitations); n != 0 {
			t.Errorf("%d requests, %d legs, %d calls, %d invitations", len(srv.requests), len(srv.legs), len(srv.calls), len(srv.invitations))
		}
	})
}

func TestFrames(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		for _, masked := range []bool{false, true} {
			in := Frame{Fin: n%2 == 0, RSV: 5, Opcode: OpBinary, Masked: masked, Payload: bytes.Repeat([]byte("z"), n)}
			wire := appendFrame(nil, in)
			out, err := readFrame(bytes.NewReader(wire))
			if err != nil || out.Fin != in.Fin || out.RSV != 5 || out.Opcode != OpBinary || out.Masked != masked || !bytes.Equal(out.Payload, in.Payload) {
				t.Errorf("%d bytes, masked %v: %v, %v", n, masked, out, err)
			}
			if _, err := readFrame(bytes.NewReader(wire[:len(wire)-1])); err == nil {
				t.Errorf("%d bytes: a cut frame was read", n)
			}
		}
	}
	// RFC 6455 §5.7: "Hello", masked.
	f, err := readFrame(bytes.NewReader([]byte{0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}))
	if err != nil || string(f.Payload) != "Hello" || !f.Fin || !f.Masked || f.Opcode != OpText {
		t.Errorf("%+v, %v", f, err)
	}
	huge := []byte{0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0}
	if _, err := readFrame(bytes.NewReader(huge)); err == nil {
		t.Error("a frame of exabytes was accepted")
	}
}

// RFC 6455 §1.3 has the example.
func TestAcceptKey(t *testing.T) {
	if got := acceptKey("dGhlIHNhbXBsZSBub25jZQ=="); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("acceptKey = %s", got)
	}
}

func TestContactKey(t *testing.T) {
	for _, tt := range []struct {
		a, b  string
		equal bool
	}{
		{"sip:a@h", "sip:a@h;transport=ws", true},
		{"sip:a@h", "sip:a@h:5060", false},
		{"sip:a@h", "sip:b@h", false},
		{"sip:a@h;gr=1", "sip:a@h;gr=2", false},
		{"mailto:a@h", "mailto:b@h", false},
		{"tel:+1", "tel:+2", false},
	} {
		a, err1 := sip.ParseURI(tt.a)
		b, err2 := sip.ParseURI(tt.b)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if got := contactKey(a) == contactKey(b); got != tt.equal {
			t.Errorf("%s and %s: %v", tt.a, tt.b, got)
		}
	}
}
