package core_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/dialog"
)

// FuzzCore feeds a running core what comes from the wire, alone and amid a call
// each way. It may not panic or hang, and afterwards still answers OPTIONS; what
// it sends has to be SIP.
func FuzzCore(f *testing.F) {
	for _, m := range []sip.Method{sip.INVITE, sip.ACK, sip.BYE, sip.CANCEL, sip.OPTIONS, sip.MESSAGE, sip.REFER, "DANCE"} {
		f.Add([]byte(incoming(m, "1")))
		f.Add([]byte(inside(m, "invite", 11)))
		f.Add([]byte(incoming(m, "invite")))
	}
	f.Add([]byte("SIP/2.0 180 Ringing\r\nVia: SIP/2.0/WSS a1.invalid;branch=BRANCH\r\nFrom: <sip:alice@example.com>;tag=a\r\n" +
		"To: <sip:bob@example.com>;tag=b\r\nCall-ID: out\r\nCSeq: 1 INVITE\r\n\r\n"))
	f.Add([]byte("SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/WSS a1.invalid;branch=BRANCH\r\nFrom: <sip:alice@example.com>;tag=a\r\n" +
		"To: <sip:bob@example.com>;tag=b\r\nCall-ID: out\r\nCSeq: 1 INVITE\r\n" +
		"WWW-Authenticate: Digest realm=\"x\", nonce=\"1\", qop=\"auth\"\r\n\r\n"))
	files, _ := filepath.Glob("../testdata/*.sip")
	for _, name := range files {
		if b, err := os.ReadFile(name); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := core.New(withPassword())
		defer func() { c.Close(nil); c.Wait() }()
		w := &flow{id: 1}
		c.FlowUp(w, info(server))
		c.Lock()
		c.Handle(sip.INVITE, func(in *core.Incoming) {
			in.SetTag("ours")
			if d, err := dialog.NewServer(in.Request(), in.Tag()); err == nil {
				c.Attach(d, replier{})
			}
			in.OnCancel = func(*sip.Request) { in.Reply(487, "") }
			in.Reply(180, "")
		})
		c.Handle(sip.MESSAGE, func(in *core.Incoming) { in.Reply(200, "") })
		out := &core.Outgoing{Request: sip.NewRequest(sip.INVITE, uri("sip:bob@example.com"))}
		out.OnResponse = func(res *sip.Response) {
			if d, err := dialog.NewClient(out.Sent(), res); err == nil {
				c.SendACK(d, out, "", nil)
			}
		}
		c.Send(out)
		branch := out.Sent().Via().Branch()
		c.Unlock()
		c.Receive(w, []byte(incoming(sip.INVITE, "invite")))

		text := strings.ReplaceAll(string(data), "BRANCH", branch) // so that responses can match
		c.Receive(w, []byte(text))
		c.ReceiveTooLong(w, []byte(text))
		c.Lock()
		out.Cancel()
		c.Unlock()
		c.Receive(w, []byte(text))

		c.Receive(w, []byte(incoming(sip.OPTIONS, "last-of-all", "Call-ID: the-last-call")))
		w.mu.Lock()
		defer w.mu.Unlock()
		answered := false
		for _, s := range w.sent {
			answered = answered || strings.HasPrefix(s, "SIP/2.0 ") && strings.Contains(s, "z9hG4bKlast-of-all")
			if !strings.Contains(s, "\r\n\r\n") || !strings.Contains(s, " SIP/2.0\r\n") && !strings.HasPrefix(s, "SIP/2.0 ") {
				t.Errorf("sent:\n%q", s)
			}
		}
		if !answered {
			t.Error("OPTIONS is not answered any more")
		}
	})
}

// replier is a usage that answers everything.
type replier struct{}

func (replier) ReceiveRequest(in *core.Incoming) { in.Reply(200, "") }
