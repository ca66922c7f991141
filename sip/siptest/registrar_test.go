package siptest_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
	"github.com/gosipua/sipua/sip/siptest"
)

// client is a bare WebSocket client with a register method.
type client struct {
	t   *testing.T
	ws  *websocket.Conn
	seq int
}

func newClient(t *testing.T, srv *siptest.Server) *client {
	return &client{t: t, ws: dial(t, srv)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) receive() sip.Message {
	c.t.Helper()
	c.ws.SetReadDeadline(time.Now().Add(time.Minute))
	_, data, err := c.ws.ReadMessage()
	if err != nil {
		c.t.Fatal(err)
	}
	m, err := sip.Parse(data)
	if err != nil {
		c.t.Fatalf("%v in\n%s", err, data)
	}
	return m
}

// register sends a REGISTER of alice with the fields given and returns the
// answer.
func (c *client) register(fields ...string) *sip.Response {
	c.t.Helper()
	c.seq++
	c.send(registerText(c.seq, fields...))
	return c.receive().(*sip.Response)
}

func registerText(seq int, fields ...string) string {
	text := fmt.Sprintf("REGISTER sip:example.test SIP/2.0\nVia: SIP/2.0/WS a.invalid;branch=z9hG4bK%d\nMax-Forwards: 70\n"+
		"From: <sip:alice@example.test>;tag=1\nTo: <sip:alice@example.test>\nCall-ID: r\nCSeq: %d REGISTER\n", seq, seq)
	return text + strings.Join(append(fields, "\n"), "\n")
}

func TestRegistrar(t *testing.T) {
	const contact = "Contact: <sip:alice@a.invalid;transport=ws>"
	bounds := siptest.Options{MinExpires: 60, MaxExpires: 600, DefaultExpires: 300}
	for _, tt := range []struct {
		name     string
		fields   []string
		status   sip.StatusCode
		contacts string
		header   sip.Field
	}{
		{"default", []string{contact}, 200, "<sip:alice@a.invalid;transport=ws>;expires=300", sip.Field{}},
		{"expires field", []string{contact, "Expires: 120"}, 200, "<sip:alice@a.invalid;transport=ws>;expires=120", sip.Field{}},
		{"expires parameter first", []string{contact + ";expires=90", "Expires: 120"}, 200, "<sip:alice@a.invalid;transport=ws>;expires=90", sip.Field{}},
		{"shortened", []string{contact, "Expires: 99999"}, 200, "<sip:alice@a.invalid;transport=ws>;expires=600", sip.Field{}},
		{"too brief", []string{contact, "Expires: 59"}, 423, "", sip.Field{Name: "Min-Expires", Value: "60"}},
		{"all or nothing", []string{contact, contact[:9] + "<sip:alice@b.invalid>;expires=1"}, 423, "", sip.Field{}},
		{"two", []string{contact, "Contact: <sip:alice@b.invalid>;q=0.5"}, 200,
			"<sip:alice@a.invalid;transport=ws>;expires=300|<sip:alice@b.invalid>;q=0.5;expires=300", sip.Field{}},
		{"query", nil, 200, "", sip.Field{}},
		{"star without Expires", []string{"Contact: *"}, 400, "", sip.Field{}},
		{"star beside another", []string{"Contact: *", contact, "Expires: 0"}, 400, "", sip.Field{}},
		{"unreadable contact", []string{"Contact: <sip:"}, 400, "", sip.Field{}},
		{"unknown extension", []string{contact, "Require: path, foo"}, 420, "", sip.Field{Name: "Unsupported", Value: "foo"}},
		{"path", []string{contact, "Supported: path", "Path: <sip:edge.example.test;lr>"}, 200,
			"<sip:alice@a.invalid;transport=ws>;expires=300", sip.Field{Name: "Path", Value: "<sip:edge.example.test;lr>"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := newServer(t, bounds)
				res := newClient(t, srv).register(tt.fields...)
				if res.StatusCode() != tt.status {
					t.Fatalf("status %d, want %d:\n%s", res.StatusCode(), tt.status, res)
				}
				if got := strings.Join(res.Headers("Contact"), "|"); got != tt.contacts {
					t.Errorf("contacts %q, want %q", got, tt.contacts)
				}
				if tt.header.Name != "" && res.Header(tt.header.Name) != tt.header.Value {
					t.Errorf("%s: %q, want %q", tt.header.Name, res.Header(tt.header.Name), tt.header.Value)
				}
				if got, want := srv.Registered("alice"), tt.contacts != ""; got != want {
					t.Errorf("Registered = %v", got)
				}
			})
		})
	}
}

func TestRegistrationLapses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, siptest.Options{})
		c := newClient(t, srv)
		c.register("Contact: <sip:alice@a.invalid>;expires=10, <sip:alice@b.invalid>;expires=20")
		time.Sleep(10 * time.Second)
		if b := srv.Bindings("alice"); len(b) != 1 || b[0].Contact.URI.Host != "b.invalid" {
			t.Errorf("after 10 s: %+v", b)
		}
		if got := c.register().Header("Contact"); got != "<sip:alice@b.invalid>;expires=10" {
			t.Errorf("Contact %q", got)
		}
		time.Sleep(10 * time.Second)
		if srv.Registered("alice") {
			t.Error("registered after 20 s")
		}
	})
}

func TestOutdatedRegister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, siptest.Options{})
		c := newClient(t, srv)
		c.seq = 5
		c.register("Contact: <sip:alice@a.invalid>")
		c.seq = 3
		if res := c.register("Contact: <sip:alice@a.invalid>;expires=0"); res.StatusCode() != 500 {
			t.Errorf("an overtaken REGISTER got %d", res.StatusCode())
		}
		if !srv.Registered("alice") {
			t.Error("an overtaken REGISTER removed the binding")
		}
	})
}

func TestRegistrationExtensions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, siptest.Options{
			GRUU: true, Outbound: true, FlowTimer: 25, ServiceRoute: []string{"<sip:edge.example.test;lr>", "<sip:core.example.test;lr>"},
		})
		c := newClient(t, srv)
		contact := `Contact: <sip:alice@%s.invalid>;reg-id=1;+sip.instance="<urn:uuid:1>"`
		res := c.register(fmt.Sprintf(contact, "a"), "Supported: outbound, gruu")
		if res.Header("Require") != "outbound" || res.Header("Flow-Timer") != "25" {
			t.Errorf("no outbound in\n%s", res)
		}
		if got := strings.Join(res.Headers("Service-Route"), ","); got != "<sip:edge.example.test;lr>,<sip:core.example.test;lr>" {
			t.Errorf("Service-Route %s", got)
		}
		first, _ := res.Contact()
		if got := first.Params.Value("pub-gruu"); got != "sip:alice@example.test;gr=urn:uuid:1" {
			t.Errorf("pub-gruu %q", got)
		}
		// Instance and reg-id make it the same binding, whatever the URI.
		res = c.register(fmt.Sprintf(contact, "b"), "Supported: outbound, gruu")
		contacts, _ := res.Contacts()
		if len(contacts) != 1 || contacts[0].URI.Host != "b.invalid" {
			t.Fatalf("contacts %v", contacts)
		}
		old, next := first.Params.Value("temp-gruu"), contacts[0].Params.Value("temp-gruu")
		if old == next || next == "" {
			t.Errorf("temp-gruu %q after %q", next, old)
		}
		// Each GRUU reaches it, an older temporary one too.
		p := siptest.Peer(t, srv, "bob")
		for _, gruu := range []string{first.Params.Value("pub-gruu"), old, next} {
			p.Request(sip.MESSAGE, gruu)
			req := c.receive().(*sip.Request)
			if req.URI().Host != "b.invalid" {
				t.Errorf("request to %s arrived for %s", gruu, req.URI())
			}
		}
		p.Request(sip.MESSAGE, "sip:alice@example.test;gr=urn:uuid:2").ExpectResponse(480)
	})
}

func TestChallenges(t *testing.T) {
	users := map[string]string{"alice": "wonder", "bob": "builder"}
	for _, tt := range []struct {
		name string
		o    siptest.Options
	}{
		{"MD5", siptest.Options{}},
		{"several", siptest.Options{Algorithms: []digest.Algorithm{digest.SHA512256, digest.SHA256, digest.MD5}}},
		{"session", siptest.Options{Algorithms: []digest.Algorithm{digest.SHA256Sess}}},
		{"auth-int", siptest.Options{QOP: []string{"auth-int"}}},
		{"without qop", siptest.Options{QOP: []string{}}},
		{"userhash", siptest.Options{Userhash: true, Algorithms: []digest.Algorithm{digest.SHA256}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.o.Users = users
				srv := newServer(t, tt.o)
				siptest.Peer(t, srv, "alice")
				if !srv.Registered("alice") {
					t.Error("alice is not registered")
				}
				if n := srv.Counters().Challenges; n != 1 {
					t.Errorf("%d challenges", n)
				}
				c := newClient(t, srv)
				res := c.register("Contact: <sip:alice@a.invalid>")
				if got, want := len(digest.Challenges(res)), max(1, len(tt.o.Algorithms)); got != want {
					t.Errorf("%d challenges in\n%s", got, res)
				}
			})
		})
	}
}

// credentialed returns a REGISTER with credentials from one digest client, which
// counts the uses of the nonce.
type credentialed struct {
	*client
	digest *digest.Client
	cred   digest.Credentials
	ch     []digest.Challenge
}

func (c *credentialed) try() *sip.Response {
	c.t.Helper()
	c.seq++
	m, err := sip.Parse([]byte(strings.ReplaceAll(registerText(c.seq, "Contact: <sip:alice@a.invalid>"), "\n", "\r\n")))
	if err != nil {
		c.t.Fatal(err)
	}
	req := m.(*sip.Request).Clone()
	for _, ch := range c.ch {
		f, err := c.digest.Authorize(ch, c.cred, digest.InputOf("", req))
		if err != nil {
			c.t.Fatal(err)
		}
		req.AddHeader(f.Name, f.Value)
	}
	if err := c.ws.WriteMessage(websocket.TextMessage, req.AppendTo(nil)); err != nil {
		c.t.Fatal(err)
	}
	res := c.receive().(*sip.Response)
	if challenges := digest.Challenges(res); len(challenges) > 0 {
		c.ch = challenges
	}
	return res
}

func TestNonces(t *testing.T) {
	start := func(t *testing.T, o siptest.Options) (*siptest.Server, *credentialed) {
		o.Users = map[string]string{"alice": "wonder"}
		srv := newServer(t, o)
		c := &credentialed{client: newClient(t, srv), digest: digest.NewClient(digest.Policy{}), cred: digest.Password("alice", "wonder")}
		if res := c.try(); res.StatusCode() != 401 || digest.Challenges(res)[0].Stale {
			t.Fatalf("without credentials:\n%s", res)
		}
		return srv, c
	}
	wantStale := func(t *testing.T, c *credentialed) {
		t.Helper()
		if res := c.try(); res.StatusCode() != 401 || !digest.Challenges(res)[0].Stale {
			t.Errorf("want a stale challenge, got\n%s", res)
		}
		if res := c.try(); res.StatusCode() != 200 {
			t.Errorf("with the new nonce:\n%s", res)
		}
	}
	wantOK := func(t *testing.T, c *credentialed) {
		t.Helper()
		if res := c.try(); res.StatusCode() != 200 {
			t.Errorf("want 200, got\n%s", res)
		}
	}
	t.Run("uses", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv, c := start(t, siptest.Options{NonceUses: 2})
			wantOK(t, c)
			wantOK(t, c)
			wantStale(t, c)
			if n := srv.Counters().Stale; n != 1 {
				t.Errorf("%d stale challenges", n)
			}
		})
	})
	t.Run("lifetime", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, c := start(t, siptest.Options{NonceLifetime: time.Minute})
			wantOK(t, c)
			time.Sleep(59 * time.Second)
			wantOK(t, c)
			time.Sleep(time.Second)
			wantStale(t, c)
		})
	})
	t.Run("restart", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv, c := start(t, siptest.Options{})
			srv.Restart(true)
			c.ws = dial(t, srv)
			wantStale(t, c)
		})
	})
	t.Run("replay", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv, c := start(t, siptest.Options{})
			wantOK(t, c)
			c.digest = digest.NewClient(digest.Policy{}) // counts from one again
			wantStale(t, c)
			if n := srv.Counters().Replays; n != 1 {
				t.Errorf("%d replays", n)
			}
		})
	})
	t.Run("next nonce", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, c := start(t, siptest.Options{NextNonce: true})
			info, err := digest.ParseInfo(c.try().Header("Authentication-Info"))
			if err != nil || info.NextNonce == "" || info.RspAuth == "" {
				t.Fatalf("Authentication-Info %+v, %v", info, err)
			}
			c.ch[0].Nonce = info.NextNonce
			wantOK(t, c)
		})
	})
	t.Run("wrong password", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, c := start(t, siptest.Options{})
			c.cred = digest.Password("alice", "wander")
			if res := c.try(); res.StatusCode() != 401 || digest.Challenges(res)[0].Stale {
				t.Errorf("wrong password:\n%s", res)
			}
		})
	})
}

// Flows of one instance are bindings of their own where the registrar has RFC 5626,
// and one binding, the newest, where it has not.
func TestRegistrarFlows(t *testing.T) {
	for outbound, want := range map[bool]string{true: "1 2", false: "2"} {
		inBubble(t, siptest.Options{Outbound: outbound}, func(t *testing.T, srv *siptest.Server) {
			one, two := newClient(t, srv), newClient(t, srv)
			two.seq = 10
			for i, c := range []*client{one, two} {
				res := c.register(fmt.Sprintf(`Contact: <sip:alice@a.invalid;transport=ws>;reg-id=%d;+sip.instance="<urn:uuid:1>"`, i+1),
					"Supported: outbound, path")
				if got := res.HasToken("Require", "outbound"); got != outbound {
					t.Errorf("outbound %v: Require %q", outbound, res.Header("Require"))
				}
			}
			var ids []string
			for _, b := range srv.Bindings("alice") {
				ids = append(ids, b.Contact.Params.Value("reg-id"))
			}
			if got := strings.Join(ids, " "); got != want {
				t.Errorf("outbound %v: bindings of flows %s, want %s", outbound, got, want)
			}
		})
	}
}

func TestFailRegisters(t *testing.T) {
	const contact = "Contact: <sip:alice@a.invalid;transport=ws>"
	inBubble(t, siptest.Options{}, func(t *testing.T, srv *siptest.Server) {
		c := newClient(t, srv)
		c.register(contact)
		srv.FailRegisters(&siptest.RegisterFault{Status: 503, Fields: []sip.Field{{Name: "Retry-After", Value: "5"}}})
		if res := c.register(contact); res.StatusCode() != 503 || res.Header("Retry-After") != "5" {
			t.Errorf("answered\n%v", res)
		}
		srv.FailRegisters(&siptest.RegisterFault{})
		c.seq++
		c.send(registerText(c.seq, contact))
		synctest.Wait()
		srv.FailRegisters(nil)
		if len(srv.Bindings("alice")) != 1 {
			t.Error("the binding is gone")
		}
		if res := c.register(contact); res.StatusCode() != 200 || int(res.CSeq().Seq) != c.seq {
			t.Errorf("answered\n%v", res)
		}
	})
}
