package transaction

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gosipua/sipua/sip"
)

// bench is a layer on its own, and everything that happens as lines of text.
type bench struct {
	*testing.T
	mu    sync.Mutex
	layer *Layer
	link  *Link
	begun time.Time
	lines []string
}

type wire uint64

func (w wire) ID() uint64          { return uint64(w) }
func (w wire) Send(b []byte) error { return nil }

// inBubble runs fn on a bench in a synctest bubble and with the lock held.
func inBubble(t *testing.T, o Options, fn func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{T: t, begun: time.Now(), link: &Link{Flow: wire(1), Server: "wss://a"}}
		o.Send = func(k *Link, m sip.Message) {
			text, _, _ := strings.Cut(string(m.AppendTo(nil)), "\r\n")
			b.note("send %d: %s", k.ID(), text)
		}
		b.layer = NewLayer(&b.mu, o)
		b.mu.Lock()
		fn(b)
		b.layer.Close(net.ErrClosed)
		b.mu.Unlock()
		b.layer.Wait()
	})
}

func (b *bench) note(format string, args ...any) {
	b.lines = append(b.lines, fmt.Sprintf("%v ", time.Since(b.begun))+fmt.Sprintf(format, args...))
}

// wait lets time go by.
func (b *bench) wait(d time.Duration) {
	b.mu.Unlock()
	time.Sleep(d)
	synctest.Wait()
	b.mu.Lock()
}

// expect compares what happened since the last call with want, and that nothing
// but n transactions is left.
func (b *bench) expect(n int, want ...string) {
	b.Helper()
	if d := cmp.Diff(want, b.lines); d != "" {
		b.Errorf("(-want +got):\n%s", d)
	}
	b.lines = nil
	if got := b.layer.Len(); got != n {
		b.Errorf("%d transactions, want %d", got, n)
	}
}

type client struct {
	Client
	b *bench
}

func (c *client) Response(res *sip.Response) { c.b.note("response %d", res.StatusCode()) }
func (c *client) Fail(err error)             { c.b.note("fail: %v", err) }
func (c *client) Done()                      { c.b.note("done") }

func (b *bench) request(method sip.Method) *client {
	req := sip.NewRequest(method, sip.URI{Scheme: "sip", User: "bob", Host: "example.com"})
	must(b.T, req.SetVia(sip.Via{Transport: "WSS", Host: "x.invalid", Params: ";branch=z9hG4bKc" + sip.Params(method)}))
	must(b.T, req.SetHeader("From", "<sip:alice@example.com>;tag=a"))
	must(b.T, req.SetHeader("To", "<sip:bob@example.com>"))
	must(b.T, req.SetCallID("call"))
	must(b.T, req.SetCSeq(sip.CSeq{Seq: 7, Method: method}))
	c := &client{b: b}
	b.layer.Request(&c.Client, b.link, req, c)
	return c
}

func (b *bench) response(k *Link, c *client, code sip.StatusCode) bool {
	res := sip.NewResponse(c.Request(), code, "")
	res.SetToTag("b")
	return b.layer.ReceiveResponse(k, res)
}

type server struct {
	Server
	b *bench
}

func (s *server) Cancel(*sip.Request) { s.b.note("cancel") }
func (s *server) ACK(*sip.Request)    { s.b.note("ack") }
func (s *server) Unanswered()         { s.b.note("unanswered"); s.reply(500) }
func (s *server) Fail(err error)      { s.b.note("fail: %v", err) }
func (s *server) Recovered()          { s.b.note("recovered") }
func (s *server) reply(code sip.StatusCode) {
	res := sip.NewResponse(s.Request(), code, "")
	res.SetToTag("u")
	s.Respond(res)
}

func parse(t *testing.T, text string) *sip.Request {
	t.Helper()
	m, err := sip.Parse([]byte(strings.ReplaceAll(text, "\n", "\r\n")))
	must(t, err)
	return m.(*sip.Request)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// incoming is a request as it comes, method and branch filled in.
func incoming(method sip.Method, branch, toTag string) string {
	return fmt.Sprintf(`%[1]s sip:alice@x.invalid SIP/2.0
Via: SIP/2.0/WSS proxy.example.com;branch=%[2]s
Via: SIP/2.0/WSS y.invalid;branch=z9hG4bKfar
From: <sip:bob@example.com>;tag=b
To: <sip:alice@example.com>%[3]s
Call-ID: in
CSeq: 3 %[1]s

`, method, branch, toTag)
}

func (b *bench) receive(text string) (*server, Verdict) {
	b.Helper()
	req := parse(b.T, text)
	v := b.layer.ReceiveRequest(b.link, req)
	if v != Fresh || req.Method() == sip.ACK {
		return nil, v
	}
	s := &server{b: b}
	b.layer.Accept(&s.Server, b.link, req, s)
	return s, v
}

const invite = "INVITE sip:bob@example.com SIP/2.0"

func TestTimerB(t *testing.T) {
	inBubble(t, Options{}, func(b *bench) {
		c := b.request(sip.INVITE)
		b.wait(32*time.Second - 1)
		b.expect(1, "0s send 1: "+invite)
		b.wait(1)
		b.expect(0, "32s fail: sip: INVITE: no answer in time (timer B)", "32s done")
		if got := c.State(); got != Terminated {
			t.Errorf("state is %v", got)
		}
	})
}

func TestTimerBStopsWith1xx(t *testing.T) {
	inBubble(t, Options{}, func(b *bench) {
		c := b.request(sip.INVITE)
		b.wait(time.Second)
		b.response(b.link, c, 180)
		b.wait(time.Hour)
		b.expect(1, "0s send 1: "+invite, "1s response 180")
	})
}

func TestTimerF(t *testing.T) {
	inBubble(t, Options{T1: 100 * time.Millisecond}, func(b *bench) {
		c := b.request(sip.OPTIONS)
		b.wait(time.Second)
		b.response(b.link, c, 100) // does not stop it
		b.wait(time.Minute)
		b.expect(0, "0s send 1: OPTIONS sip:bob@example.com SIP/2.0", "1s response 100",
			"6.4s fail: sip: OPTIONS: no answer in time (timer F)", "6.4s done")
	})
}

func TestTimerM(t *testing.T) {
	inBubble(t, Options{}, func(b *bench) {
		c := b.request(sip.INVITE)
		b.wait(time.Second)
		b.response(b.link, c, 200)
		b.wait(time.Second)
		b.response(b.link, c, 200)
		b.wait(time.Minute)
		b.expect(0, "0s send 1: "+invite, "1s response 200", "2s response 200", "33s done")
		if b.response(b.link, c, 200) {
			t.Error("a 2xx after Timer M was taken")
		}
	})
}

func TestNon2xxIsACKed(t *testing.T) {
	var ack string
	inBubble(t, Options{}, func(b *bench) {
		req := parse(t, `INVITE sip:bob@example.com SIP/2.0
Via: SIP/2.0/WSS x.invalid;branch=z9hG4bKi
Route: <sip:p1.example.com;lr>
Route: <sip:p2.example.com;lr>
From: <sip:alice@example.com>;tag=a
To: <sip:bob@example.com>
Call-ID: call
CSeq: 9 INVITE
Max-Forwards: 70
Authorization: Digest username="alice"
Contact: <sip:alice@x.invalid>

`)
		b.layer.send = func(_ *Link, m sip.Message) { ack = string(m.AppendTo(nil)) }
		c := &client{b: b}
		b.layer.Request(&c.Client, b.link, req, c)
		b.response(b.link, c, 486)
		b.expect(0, "0s response 486", "0s done")
	})
	want := strings.ReplaceAll(`ACK sip:bob@example.com SIP/2.0
Via: SIP/2.0/WSS x.invalid;branch=z9hG4bKi
Max-Forwards: 70
From: <sip:alice@example.com>;tag=a
To: <sip:bob@example.com>;tag=b
Call-ID: call
CSeq: 9 ACK
Route: <sip:p1.example.com;lr>
Route: <sip:p2.example.com;lr>
Authorization: Digest username="alice"
Content-Length: 0

`, "\n", "\r\n")
	if d := cmp.Diff(want, ack); d != "" {
		t.Errorf("ACK (-want +got):\n%s", d)
	}
}

func TestNewCancel(t *testing.T) {
	inv := parse(t, `INVITE sip:bob@example.com SIP/2.0
Via: SIP/2.0/WSS x.invalid;branch=z9hG4bKi
Route: <sip:p1.example.com;lr>
From: <sip:alice@example.com>;tag=a
To: <sip:bob@example.com>
Call-ID: call
CSeq: 9 INVITE
Authorization: Digest username="alice"
Proxy-Authorization: Digest username="alice"
Require: timer

`)
	got, err := NewCancel(inv, sip.Field{Name: "Reason", Value: "SIP;cause=200"})
	must(t, err)
	want := strings.ReplaceAll(`CANCEL sip:bob@example.com SIP/2.0
Via: SIP/2.0/WSS x.invalid;branch=z9hG4bKi
Max-Forwards: 70
From: <sip:alice@example.com>;tag=a
To: <sip:bob@example.com>
Call-ID: call
CSeq: 9 CANCEL
Route: <sip:p1.example.com;lr>
Reason: SIP;cause=200
Content-Length: 0

`, "\n", "\r\n")
	if d := cmp.Diff(want, string(got.AppendTo(nil))); d != "" {
		t.Errorf("CANCEL (-want +got):\n%s", d)
	}
	if _, err := NewCancel(inv, sip.Field{Name: "Reason", Value: "SIP\r\nX: y"}); err == nil {
		t.Error("a field with CR LF was taken")
	}
}

func TestCancelBoundsTheINVITE(t *testing.T) {
	inBubble(t, Options{}, func(b *bench) {
		c := b.request(sip.INVITE)
		b.response(b.link, c, 180)
		b.wait(10 * time.Second)
		c.Canceled()
		b.response(b.link, c, 180)
		b.wait(time.Minute)
		b.expect(0, "0s send 1: "+invite, "0s response 180", "10s response 180",
			"42s fail: sip: INVITE: no answer in time (timer B)", "42s done")
	})
}

func TestFlowLost(t *testing.T) {
	lost := fmt.Errorf("cut: %w", net.ErrClosed)
	inBubble(t, Options{RecoveryLimit: 20 * time.Second}, func(b *bench) {
		b.request(sip.INVITE)
		b.request(sip.OPTIONS)
		ok, _ := b.receive(incoming(sip.INVITE, "z9hG4bK1", ""))
		ok.reply(200)
		refused, _ := b.receive(strings.ReplaceAll(incoming(sip.INVITE, "z9hG4bK2", ""), "CSeq: 3", "CSeq: 4"))
		refused.reply(486)
		b.receive(strings.ReplaceAll(incoming(sip.INVITE, "z9hG4bK3", ""), "CSeq: 3", "CSeq: 5"))
		b.wait(time.Second)
		b.lines = nil
		b.layer.FlowDown(b.link, lost)
		b.expect(4, // the INVITEs: ours and theirs
			"1s fail: cut: use of closed network connection", "1s done", // OPTIONS, at once
		)
		if got := b.layer.Pending(); got != 1 {
			t.Errorf("%d pending, want 1", got)
		}
		if !errors.Is(b.link.err, net.ErrClosed) || !b.link.Down() {
			t.Error("the link does not say why it is down")
		}
		b.wait(time.Minute)
		b.expect(0, "21s fail: cut: use of closed network connection", "21s done", // ours
			"21s fail: cut: use of closed network connection", // theirs that we have accepted
			"21s fail: cut: use of closed network connection") // and that without a final response
		if got := b.layer.Pending(); got != 0 {
			t.Errorf("%d pending, want 0", got)
		}
	})
}

// A call in the making survives its flow: the answer is taken from the next one,
// if that leads to the same server.
func TestInviteRecovers(t *testing.T) {
	for _, code := range []sip.StatusCode{180, 200, 486} {
		t.Run(fmt.Sprint(int(code)), func(t *testing.T) {
			inBubble(t, Options{}, func(b *bench) {
				c := b.request(sip.INVITE)
				b.response(b.link, c, 100)
				b.layer.FlowDown(b.link, net.ErrClosed)
				b.wait(31 * time.Second)
				b.lines = nil
				if b.response(&Link{Flow: wire(2), Server: "wss://other"}, c, code) {
					t.Error("a response from another server was taken")
				}
				next := &Link{Flow: wire(3), Server: "wss://a"}
				if !b.response(next, c, code) {
					t.Fatal("the response was not taken")
				}
				if c.Link() != next {
					t.Error("the transaction stays on its old flow")
				}
				switch code {
				case 180:
					b.wait(time.Hour)
					b.expect(1, "31s response 180")
				case 200:
					b.wait(time.Hour)
					b.expect(0, "31s response 200", "1m3s done")
				case 486:
					b.expect(0, "31s send 3: ACK sip:bob@example.com SIP/2.0", "31s response 486", "31s done")
				}
			})
		})
	}
}

func TestStrayResponse(t *testing.T) {
	inBubble(t, Options{}, func(b *bench) {
		c := b.request(sip.OPTIONS)
		other := sip.NewResponse(c.Request(), 200, "")
		must(t, other.SetVia(sip.Via{Transport: "WSS", Host: "x.invalid", Params: ";branch=z9hG4bKother"}))
		if b.layer.ReceiveResponse(b.link, other) {
			t.Error("a response with another branch was taken")
		}
		method := sip.NewResponse(c.Request(), 200, "")
		must(t, method.SetCSeq(sip.CSeq{Seq: 7, Method: sip.INVITE}))
		if b.layer.ReceiveResponse(b.link, method) {
			t.Error("a response to another method was taken")
		}
		b.expect(1, "0s send 1: OPTIONS sip:bob@example.com SIP/2.0")
	})
}

func TestServerTrying(t *testing.T) {
	inBubble(t, Options{}, func(b *bench) {
		s, _ := b.receive(incoming(sip.INVITE, "z9hG4bK1", ""))
		if _, v := b.receive(incoming(sip.INVITE, "z9hG4bK1", "")); v != Absorbed {
			t.Errorf("the INVITE again is %v", v)
		}
		b.wait(200*time.Millisecond - 1)
		b.expect(1)
		b.wait(1)
		b.expect(1, "200ms send 1: SIP/2.0 100 Trying")
		b.receive(incoming(sip.INVITE, "z9hG4bK1", ""))
		s.reply(180)
		b.receive(incoming(sip.INVITE, "z9hG4bK1", ""))
		b.wait(time.Hour)
		b.expect(1, "200ms send 1: SIP/2.0 100 Trying", "200ms send 1: SIP/2.0 180 Ringing", "200ms send 1: SIP/2.0 180 Ringing")
	})
}

func TestTimerH(t *testing.T) {
	inBubble(t, Options{}, func(b *bench) {
		s, _ := b.receive(incoming(sip.INVITE, "z9hG4bK1", ""))
		s.reply(486)
		s.reply(200) // too late
		b.receive(incoming(sip.INVITE, "z9hG4bK1", ""))
		b.wait(32*time.Second - 1)
		b.expect(1, "0s send 1: SIP/2.0 486 Busy Here", "0s send 1: SIP/2.0 486 Busy Here")
		b.wait(1)
		b.expect(0)
	})
}

func TestACKEndsNon2xx(t *testing.T) {
	inBubble(t, Options{}, func(b *bench) {
		s, _ := b.receive(incoming(sip.INVITE, "z9hG4bK1", ""))
		s.reply(486)
		if _, v := b.receive(incoming(sip.ACK, "z9hG4bK1", ";tag=u")); v != Absorbed {
			t.Errorf("ACK is %v", v)
		}
		b.expect(0, "0s send 1: SIP/2.0 486 Busy Here")
	})
}

func TestTimerL(t *testing.T) {
	inBubble(t, Options{}, func(b *bench) {
		s, _ := b.receive(incoming(sip.INVITE, "z9hG4bK1", ""))
		b.wait(time.Second)
		s.reply(200)
		s.reply(486)                                               // too late
		b.receive(incoming(sip.INVITE, "z9hG4bK1", ""))            // absorbed
		_, v := b.receive(incoming(sip.ACK, "z9hG4bK2", ";tag=u")) // has its own branch
		if v != Fresh {
			t.Errorf("ACK to the 2xx is %v", v)
		}
		if _, v := b.receive(incoming(sip.ACK, "z9hG4bK1", ";tag=u")); v != Absorbed { // or wrongly not
			t.Errorf("ACK to the 2xx in the INVITE's transaction is %v", v)
		}
		b.wait(time.Second)
		s.Repeat()
		b.wait(32*time.Second - time.Second - 1)
		b.expect(1, "200ms send 1: SIP/2.0 100 Trying", "1s send 1: SIP/2.0 200 OK", "1s ack", "2s send 1: SIP/2.0 200 OK")
		b.wait(1)
		b.expect(0)
		s.Repeat()
		b.expect(0)
	})
}

// on says on which flow the bench goes on.
func (b *bench) on(id uint64, server string) *Link {
	b.link = &Link{Flow: wire(id), Server: server}
	return b.link
}

// What was said last is said again on the next flow to the same server, and what
// is answered meanwhile is said there.
func TestServerRecovers(t *testing.T) {
	lost := func(b *bench, method sip.Method) *server {
		s, _ := b.receive(incoming(method, "z9hG4bK1", ""))
		return s
	}
	other := &Link{Flow: wire(9), Server: "wss://other"}
	for _, tt := range []struct {
		name       string
		method     sip.Method
		before, in sip.StatusCode // answered before the loss, and after it
		left       int
		want       []string
	}{
		{"180 again", sip.INVITE, 180, 0, 1, []string{"1s send 3: SIP/2.0 180 Ringing", "1s recovered"}},
		{"183 meanwhile", sip.INVITE, 180, 183, 1, []string{"0s send 1: SIP/2.0 183 Session Progress", "1s send 3: SIP/2.0 183 Session Progress", "1s recovered"}},
		{"200 meanwhile", sip.INVITE, 180, 200, 1, []string{"0s send 1: SIP/2.0 200 OK", "1s recovered", "1s send 3: SIP/2.0 200 OK"}},
		{"486 meanwhile", sip.INVITE, 180, 486, 1, []string{"0s send 1: SIP/2.0 486 Busy Here", "1s send 3: SIP/2.0 486 Busy Here", "1s recovered"}},
		{"486 again", sip.INVITE, 486, 0, 1, []string{"1s send 3: SIP/2.0 486 Busy Here", "1s recovered"}},
		{"nothing said", sip.INVITE, 0, 0, 1, []string{"1.2s send 3: SIP/2.0 100 Trying"}},
		{"MESSAGE answered meanwhile", sip.MESSAGE, 0, 200, 0, []string{"1s send 3: SIP/2.0 200 OK"}},
		{"MESSAGE not answered yet", sip.MESSAGE, 0, 0, 1, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Options{}, func(b *bench) {
				s := lost(b, tt.method)
				if tt.before != 0 {
					s.reply(tt.before)
				}
				b.layer.FlowDown(b.link, net.ErrClosed)
				b.lines = nil
				if tt.in != 0 {
					s.reply(tt.in)
				}
				b.wait(time.Second)
				b.layer.Recover(other)
				b.layer.Recover(b.on(3, "wss://a"))
				s.Repeat()
				if s.Link() != b.link {
					t.Error("the transaction stays on its old flow")
				}
				b.wait(time.Second)
				b.expect(tt.left, tt.want...)
			})
		})
	}
}

// Without a next flow an INVITE waits for the recovery limit from each loss, any
// other request until its sender has given up, 64*T1 after it came.
func TestServerNotRecovered(t *testing.T) {
	inBubble(t, Options{RecoveryLimit: 20 * time.Second}, func(b *bench) {
		ringing, _ := b.receive(incoming(sip.INVITE, "z9hG4bK1", ""))
		ringing.reply(180)
		b.receive(incoming(sip.OPTIONS, "z9hG4bK2", ""))
		info, _ := b.receive(incoming(sip.INFO, "z9hG4bK3", ""))
		b.wait(15 * time.Second)
		b.layer.FlowDown(b.link, net.ErrClosed)
		b.wait(10 * time.Second)
		b.layer.Recover(b.on(2, "wss://a"))
		b.wait(time.Second)
		b.layer.FlowDown(b.link, net.ErrClosed)
		info.reply(200)
		b.lines = nil
		b.wait(6*time.Second - 1)
		b.expect(3, "30s unanswered")
		b.wait(1)
		b.expect(1)
		b.wait(14 * time.Second)
		b.expect(0, "46s fail: use of closed network connection")
	})
}

// A request that comes again on another flow is answered there, whether or not
// its own is up; only if not does the transaction move.
func TestRepeatedElsewhere(t *testing.T) {
	inBubble(t, Options{}, func(b *bench) {
		s, _ := b.receive(incoming(sip.INVITE, "z9hG4bK1", ""))
		s.reply(180)
		first := b.link
		second := b.on(2, "wss://b")
		b.receive(incoming(sip.INVITE, "z9hG4bK1", ""))
		s.reply(183)
		b.layer.FlowDown(first, net.ErrClosed)
		b.receive(incoming(sip.INVITE, "z9hG4bK1", ""))
		s.reply(200)
		if s.Link() != second {
			t.Error("the transaction stays on a flow that is gone")
		}
		b.expect(1, "0s send 1: SIP/2.0 180 Ringing", "0s send 2: SIP/2.0 180 Ringing", "0s send 1: SIP/2.0 183 Session Progress",
			"0s send 2: SIP/2.0 183 Session Progress", "0s recovered", "0s send 2: SIP/2.0 200 OK")
	})
}

// A CANCEL on another flow takes its INVITE there.
func TestCanceledElsewhere(t *testing.T) {
	inBubble(t, Options{}, func(b *bench) {
		s, _ := b.receive(incoming(sip.INVITE, "z9hG4bK1", ""))
		s.reply(180)
		b.layer.FlowDown(b.link, net.ErrClosed)
		b.lines = nil
		cancel := parse(t, incoming(sip.CANCEL, "z9hG4bK1", ""))
		b.layer.FindInvite(cancel).Cancel(b.on(2, "wss://b"), cancel)
		s.reply(487)
		b.expect(1, "0s send 2: SIP/2.0 180 Ringing", "0s recovered", "0s cancel", "0s send 2: SIP/2.0 487 Request Terminated")
	})
}

// A copy of a request is merged while the first one's flow is known to be good,
// and its successor's after that.
func TestMergedOrAgain(t *testing.T) {
	inBubble(t, Options{}, func(b *bench) {
		verdict := func(branch string, want Verdict) {
			t.Helper()
			if _, v := b.receive(incoming(sip.INVITE, branch, "")); v != want {
				t.Errorf("%s is %v, want %v", branch, v, want)
			}
		}
		s, _ := b.receive(incoming(sip.INVITE, "z9hG4bK1", ""))
		s.reply(180)
		verdict("z9hG4bK2", Merged)
		b.layer.FlowDown(b.link, net.ErrClosed)
		b.on(2, "wss://a")
		verdict("z9hG4bK2", Again)
		b.layer.Recover(b.link)
		verdict("z9hG4bK2", Again)    // who knows whether anybody hears us
		verdict("z9hG4bK1", Absorbed) // somebody does
		verdict("z9hG4bK2", Merged)
		b.layer.FlowDown(b.link, net.ErrClosed)
		next := &server{b: b}
		req := parse(t, incoming(sip.INVITE, "z9hG4bK3", ""))
		b.layer.Accept(&next.Server, b.on(3, "wss://a"), req, next)
		if b.layer.First(req) != &s.Server {
			t.Error("the first is not the first")
		}
		b.layer.Succeed(&next.Server, &s.Server)
		verdict("z9hG4bK4", Merged)
		s.reply(487)
		verdict("z9hG4bK4", Merged)
	})
}

func TestUnanswered(t *testing.T) {
	inBubble(t, Options{}, func(b *bench) {
		b.receive(incoming(sip.MESSAGE, "z9hG4bK1", ""))
		if got := b.layer.Pending(); got != 1 {
			t.Errorf("%d pending, want 1", got)
		}
		b.wait(4 * time.Second)
		b.expect(1, "3.5s send 1: SIP/2.0 100 Trying")
		b.receive(incoming(sip.MESSAGE, "z9hG4bK1", ""))
		b.wait(time.Minute)
		b.expect(0, "4s send 1: SIP/2.0 100 Trying", "30s unanswered", "30s send 1: SIP/2.0 500 Server Internal Error")
		if got := b.layer.Pending(); got != 0 {
			t.Errorf("%d pending, want 0", got)
		}
	})
}

func TestMerged(t *testing.T) {
	inBubble(t, Options{}, func(b *bench) {
		s, _ := b.receive(incoming(sip.INVITE, "z9hG4bK1", ""))
		if _, v := b.receive(incoming(sip.INVITE, "z9hG4bK2", "")); v != Merged {
			t.Errorf("the same INVITE another way is %v", v)
		}
		if _, v := b.receive(strings.ReplaceAll(incoming(sip.INVITE, "z9hG4bK3", ""), "CSeq: 3", "CSeq: 4")); v != Fresh {
			t.Errorf("a different INVITE is %v", v)
		}
		s.reply(486)
		b.receive(incoming(sip.ACK, "z9hG4bK1", ";tag=u"))
		if _, v := b.receive(incoming(sip.INVITE, "z9hG4bK2", "")); v != Fresh {
			t.Errorf("after the end of its transaction the INVITE is %v", v)
		}
	})
}

func TestServerMatching(t *testing.T) {
	base := incoming(sip.OPTIONS, "z9hG4bK1", "")
	old := incoming(sip.INVITE, "1", "") // RFC 2543: no magic cookie
	for _, tt := range []struct {
		name          string
		first, second string
		want          Verdict
	}{
		{"the same", base, base, Absorbed},
		{"another branch", base, strings.ReplaceAll(base, "z9hG4bK1", "z9hG4bK2"), Merged},
		{"another sent-by", base, strings.ReplaceAll(base, "proxy.example.com", "proxy2.example.com"), Merged},
		{"another port", base, strings.ReplaceAll(base, "proxy.example.com", "proxy.example.com:81"), Merged},
		{"sent-by in capitals", base, strings.ReplaceAll(base, "proxy.example.com", "Proxy.Example.com"), Absorbed},
		{"RFC 2543", old, old, Absorbed},
		{"RFC 2543, another CSeq", old, strings.ReplaceAll(old, "CSeq: 3", "CSeq: 4"), Fresh},
		{"RFC 2543, another Call-ID", old, strings.ReplaceAll(old, "Call-ID: in", "Call-ID: other"), Fresh},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Options{}, func(b *bench) {
				b.receive(tt.first)
				if _, v := b.receive(tt.second); v != tt.want {
					t.Errorf("verdict %v, want %v", v, tt.want)
				}
			})
		})
	}
}

func TestFindInvite(t *testing.T) {
	inBubble(t, Options{}, func(b *bench) {
		s, _ := b.receive(incoming(sip.INVITE, "z9hG4bK1", ""))
		cancel := parse(t, incoming(sip.CANCEL, "z9hG4bK1", ""))
		found := b.layer.FindInvite(cancel)
		if found != &s.Server || found.User() != ServerUser(s) {
			t.Fatal("the CANCEL does not find its INVITE")
		}
		found.Cancel(b.link, cancel)
		s.reply(487)
		found.Cancel(b.link, cancel) // too late
		b.expect(1, "0s cancel", "0s send 1: SIP/2.0 487 Request Terminated")
		if b.layer.FindInvite(parse(t, incoming(sip.CANCEL, "z9hG4bK2", ""))) != nil {
			t.Error("a CANCEL found a foreign INVITE")
		}
	})
}

func TestClose(t *testing.T) {
	inBubble(t, Options{}, func(b *bench) {
		c := b.request(sip.INVITE)
		b.response(b.link, c, 200)
		b.request(sip.OPTIONS)
		b.receive(incoming(sip.MESSAGE, "z9hG4bK1", ""))
		b.lines = nil
		b.layer.Close(net.ErrClosed)
		b.expect(0, "0s fail: use of closed network connection", "0s fail: use of closed network connection")
		b.wait(time.Hour)
		b.expect(0)
	})
}

// Timers of one duration share an alarm: one that is stopped, or started in a
// callback of another, must not disturb the rest.
func TestTimersAreIndependent(t *testing.T) {
	inBubble(t, Options{}, func(b *bench) {
		var cs []*client
		for i := range 4 {
			req := sip.NewRequest(sip.OPTIONS, sip.URI{Scheme: "sip", Host: "example.com"})
			must(t, req.SetVia(sip.Via{Transport: "WS", Host: "x.invalid", Params: sip.Params(fmt.Sprintf(";branch=z9hG4bK%d", i))}))
			must(t, req.SetCSeq(sip.CSeq{Seq: 1, Method: sip.OPTIONS}))
			c := &client{b: b}
			b.layer.Request(&c.Client, b.link, req, c)
			cs = append(cs, c)
			b.wait(time.Second)
		}
		b.lines = nil
		b.response(b.link, cs[0], 200)
		b.response(b.link, cs[2], 200)
		b.lines = nil
		b.wait(time.Minute)
		b.expect(0,
			"33s fail: sip: OPTIONS: no answer in time (timer F)", "33s done",
			"35s fail: sip: OPTIONS: no answer in time (timer F)", "35s done")
	})
}

func TestAllocations(t *testing.T) {
	var mu sync.Mutex
	l := NewLayer(&mu, Options{Send: func(*Link, sip.Message) {}})
	k := &Link{Flow: wire(1), Server: "ws://a"}
	req := parse(t, incoming(sip.OPTIONS, "z9hG4bK1", ";tag=u"))
	res := sip.NewResponse(req, 200, "")
	u := &client{b: &bench{}}
	got := testing.AllocsPerRun(100, func() {
		u.b.lines = nil
		var c Client
		l.Request(&c, k, req, quiet{})
		l.ReceiveResponse(k, res)
	})
	if got > 1 { // the Client itself
		t.Errorf("a client transaction costs %v allocations, want 1 at most", got)
	}
	got = testing.AllocsPerRun(100, func() {
		var s Server
		if l.ReceiveRequest(k, req) != Fresh {
			t.Fatal("not fresh")
		}
		l.Accept(&s, k, req, quiet{})
		s.Respond(res)
	})
	if got > 1 { // the Server itself
		t.Errorf("a server transaction costs %v allocations, want 1 at most", got)
	}
	l.Close(net.ErrClosed)
	l.Wait()
}

type quiet struct{}

func (quiet) Response(*sip.Response) {}
func (quiet) Fail(error)             {}
func (quiet) Done()                  {}
func (quiet) Cancel(*sip.Request)    {}
func (quiet) ACK(*sip.Request)       {}
func (quiet) Unanswered()            {}
func (quiet) Recovered()             {}
