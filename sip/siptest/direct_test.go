package siptest_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

func inviteText(to, branch string) string {
	return fmt.Sprintf("INVITE sip:%s@example.test SIP/2.0\nVia: SIP/2.0/WS a.invalid;branch=%s\nMax-Forwards: 70\n"+
		"From: <sip:alice@example.test>;tag=1\nTo: <sip:%s@example.test>\nCall-ID: i\nCSeq: 1 INVITE\n"+
		"Contact: <sip:alice@a.invalid;transport=ws>\n\n", to, branch, to)
}

func TestServerAsPeer(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		p := siptest.Expect(t, srv)
		c := newClient(t, srv)
		c.register("Contact: <sip:alice@a.invalid;transport=ws>") // is the server's
		text := inviteText("anybody", "z9hG4bK1")
		c.send(text)
		inv := p.Expect(sip.INVITE)
		if want := strings.ReplaceAll(text, "\n", "\r\n"); inv.Text != want {
			t.Errorf("the script got\n%s\nnot\n%s", inv.Text, want)
		}
		if inv.Conn() != srv.Conns()[0] {
			t.Error("the message does not know its connection")
		}
		inv.Respond(180, siptest.Header("X-Test", "1"), siptest.AddHeader("X-Test", "2"), siptest.NoHeader("Contact"), siptest.Reason("Ding"))
		res := c.receive().(*sip.Response)
		if res.Reason() != "Ding" || strings.Join(res.Headers("X-Test"), "") != "12" || res.HasHeader("Contact") {
			t.Errorf("180 arrived as\n%s", res)
		}
		inv.Respond(200, siptest.SDP("v=0\r\n"))
		res = c.receive().(*sip.Response)
		if res.ContentType() != "application/sdp" || string(res.Body()) != "v=0\r\n" || res.To().Tag() != inv.Tag() {
			t.Errorf("200 arrived as\n%s", res)
		}

		bye := inv.Dialog().Request(sip.BYE)
		req := c.receive().(*sip.Request)
		if req.URI().String() != "sip:alice@a.invalid;transport=ws" || req.From().Tag() != inv.Tag() || req.To().Tag() != "1" || req.CSeq().Seq != 1 {
			t.Errorf("BYE arrived as\n%s", req)
		}
		ok := sip.NewResponse(req, 200, "")
		c.send(strings.ReplaceAll(ok.String(), "\r\n", "\n"))
		bye.ExpectResponse(200)
		p.ExpectNothing(time.Minute)
	})
}

func TestTwoEarlyDialogs(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		p := siptest.Expect(t, srv)
		c := newClient(t, srv)
		c.send(inviteText("bob", "z9hG4bK1"))
		inv := p.Expect(sip.INVITE)
		inv.Fork("left").Respond(180)
		right := inv.Fork("right").Respond(183, siptest.SDP("v=0\r\n"))
		inv.Respond(486, siptest.Tag("third"))
		for _, want := range []string{"left", "right", "third"} {
			if got := c.receive().To().Tag(); got != want {
				t.Errorf("tag %q, want %q", got, want)
			}
		}
		if d := right.Dialog(); d.Local.Tag() != "right" {
			t.Errorf("the dialog of the fork is %+v", d)
		}
	})
}

func TestScriptTakesRegister(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		p := siptest.Expect(t, srv)
		p.Take(sip.REGISTER)
		c := newClient(t, srv)
		c.send(registerText(1))
		p.Expect(sip.REGISTER).Respond(503, siptest.Header("Retry-After", "10"))
		if seconds, _ := c.receive().(*sip.Response).RetryAfter(); seconds != 10 {
			t.Errorf("Retry-After %d", seconds)
		}
		c.send(registerText(2))
		p.Expect(sip.REGISTER).RespondRaw("rubbish")
		if _, data, _ := c.ws.ReadMessage(); string(data) != "rubbish" {
			t.Errorf("raw text arrived as %q", data)
		}
		p.Release()
		if res := c.register(); res.StatusCode() != 200 {
			t.Errorf("after Release:\n%s", res)
		}
		p.SendRaw("more rubbish")
		if _, data, _ := c.ws.ReadMessage(); string(data) != "more rubbish" {
			t.Errorf("raw text arrived as %q", data)
		}
	})
}

func TestScriptCalls(t *testing.T) {
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		p := siptest.Expect(t, srv)
		newClient(t, srv) // another connection, that must not get it
		c := newClient(t, srv)
		c.register("Contact: <sip:alice@a.invalid;transport=ws>")
		call := p.Request(sip.INVITE, "alice", siptest.SDP("v=0\r\n"))
		req := c.receive().(*sip.Request)
		if req.URI().Host != "a.invalid" || req.To().URI.Host != "example.test" {
			t.Errorf("INVITE arrived as\n%s", req)
		}
		res := sip.NewResponse(req, 200, "")
		res.SetToTag("2")
		res.SetContact(sip.NameAddr{URI: req.URI()})
		res.AddHeader("Record-Route", "<sip:one.example.test;lr>")
		res.AddHeader("Record-Route", "<sip:two.example.test;lr>")
		c.send(strings.ReplaceAll(res.String(), "\r\n", "\n"))
		d := call.ExpectResponse(200).ACK().Dialog()
		ack := c.receive().(*sip.Request)
		if ack.Method() != sip.ACK || ack.CSeq().Seq != 1 || ack.Via().Branch() == req.Via().Branch() ||
			strings.Join(ack.Headers("Route"), ",") != "<sip:two.example.test;lr>,<sip:one.example.test;lr>" {
			t.Errorf("ACK arrived as\n%s", ack)
		}
		d.Request(sip.INFO, siptest.Body("text/plain", "x"))
		if info := c.receive().(*sip.Request); info.CSeq().Seq != 2 || string(info.Body()) != "x" {
			t.Errorf("INFO arrived as\n%s", info)
		}

		call = p.Request(sip.INVITE, "alice")
		req = c.receive().(*sip.Request)
		cancel := call.Cancel()
		got := c.receive().(*sip.Request)
		if got.Method() != sip.CANCEL || got.Via() != req.Via() || got.CSeq().Seq != 1 {
			t.Errorf("CANCEL arrived as\n%s", got)
		}
		c.send(strings.ReplaceAll(sip.NewResponse(got, 200, "").String(), "\r\n", "\n"))
		cancel.ExpectResponse(200)
		refusal := sip.NewResponse(req, 487, "")
		refusal.SetToTag("3")
		c.send(strings.ReplaceAll(refusal.String(), "\r\n", "\n"))
		call.Final().ACK()
		if got := c.receive().(*sip.Request); got.Method() != sip.ACK || got.Via() != req.Via() || got.To().Tag() != "3" {
			t.Errorf("ACK for the 487 arrived as\n%s", got)
		}
	})
}

// failingTB records how a script fails a test.
type failingTB struct {
	testing.TB
	failure string
}

type failed struct{}

func (tb *failingTB) Fatalf(format string, args ...any) {
	tb.failure = fmt.Sprintf(format, args...)
	panic(failed{})
}

func failureOf(t *testing.T, f func(tb testing.TB)) string {
	tb := &failingTB{TB: t}
	func() {
		defer func() {
			if r := recover(); r != nil && r != (failed{}) {
				panic(r)
			}
		}()
		f(tb)
	}()
	return tb.failure
}

func (tb *failingTB) Fatal(args ...any) { tb.Fatalf("%s", fmt.Sprint(args...)) }

func TestScriptFailures(t *testing.T) {
	type script func(p *siptest.Script, send func())
	for _, tt := range []struct {
		name string
		do   script
		want []string
	}{
		{"nothing came", func(p *siptest.Script, _ func()) { p.Expect(sip.BYE) },
			[]string{"expected BYE", "nothing at all arrived within 1h"}},
		{"another came", func(p *siptest.Script, send func()) { send(); p.Expect(sip.BYE) },
			[]string{"expected BYE", "INVITE sip:bob@example.test (1 INVITE)", "Call-ID: i"}},
		{"asked for before", func(p *siptest.Script, send func()) { send(); p.Next(); p.Next() },
			[]string{"expected a message", "asked for before"}},
		{"something came", func(p *siptest.Script, send func()) { send(); p.ExpectNothing(time.Second) },
			[]string{"expected nothing", "INVITE"}},
		{"no response", func(p *siptest.Script, _ func()) { p.Request(sip.MESSAGE, "x").ExpectResponse(200) },
			[]string{"expected 200 for 1 MESSAGE"}},
		{"no final", func(p *siptest.Script, _ func()) { p.Request(sip.MESSAGE, "x").Final() },
			[]string{"expected a final response"}},
		{"no response at all", func(p *siptest.Script, _ func()) { p.ExpectResponse(200) },
			[]string{"expected a response with 200"}},
		{"hostile part", func(p *siptest.Script, _ func()) { p.Request(sip.MESSAGE, "x", siptest.Header("X", "a\r\nb")) },
			[]string{"siptest: ", "X"}},
		{"reason of a request", func(p *siptest.Script, _ func()) { p.Request(sip.MESSAGE, "x", siptest.Reason("no")) },
			[]string{"no reason phrase"}},
		{"bad target", func(p *siptest.Script, _ func()) { p.Request(sip.MESSAGE, "sip:") }, []string{"sip:"}},
		{"ACK for a request", func(p *siptest.Script, send func()) { send(); p.Next().ACK() }, []string{"only a response"}},
		{"credentials for a request", func(p *siptest.Script, send func()) { send(); p.Next().Authorize("a", "b") },
			[]string{"not a challenge"}},
		{"drop of the server", func(p *siptest.Script, _ func()) { p.Drop() }, []string{"no connection to drop"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
				c := newClient(t, srv)
				synctest.Wait() // the server may not have counted the connection yet
				send := func() { c.send(inviteText("bob", "z9hG4bK1")) }
				got := failureOf(t, func(tb testing.TB) { tt.do(siptest.Expect(tb, srv), send) })
				for _, want := range tt.want {
					if !strings.Contains(got, want) {
						t.Errorf("the failure is %q, without %q", got, want)
					}
				}
				if got == "" {
					t.Error("the test did not fail")
				}
			})
		})
	}
}

func TestTrace(t *testing.T) {
	var lines []string
	o := siptest.Options{Trace: func(e siptest.TraceEvent) {
		first, _, _ := strings.Cut(string(e.Message), "\r\n")
		lines = append(lines, fmt.Sprintf("%d %s %s", e.Conn.ID(), e.Direction, first))
	}}
	inBubble(t, o, func(t *testing.T, srv *siptest.Server) {
		newClient(t, srv).register()
		want := "1 in REGISTER sip:example.test SIP/2.0|1 out SIP/2.0 200 OK"
		if got := strings.Join(lines, "|"); got != want {
			t.Errorf("trace %q, want %q", got, want)
		}
	})
}
