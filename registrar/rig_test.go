package registrar_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/digest"
)

const (
	instance = "urn:uuid:00000000-0000-1000-8000-aabbccddeeff"
	contact  = "sip:k1@a1.invalid;transport=ws"
	pub      = "sip:alice@example.com;gr=" + instance
	temp     = "sip:tgruu.7hs@example.com;gr"

	serverA = "wss://a.example.com/ws"
	serverB = "wss://b.example.com/ws"

	timerF = 32 * time.Second // 64·T1
)

// flow is a connection whose far end is the test.
type flow struct {
	id     uint64
	server string

	mu   sync.Mutex
	sent []string
}

func (f *flow) ID() uint64 { return f.id }

func (f *flow) Send(msg []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, string(msg))
	return nil
}

// rig is a Registrar on a core in a bubble.
type rig struct {
	*registrar.Registrar
	t      *testing.T
	core   *core.Core
	flow   *flow // the newest
	begun  time.Time
	events []registrar.Event // guarded by the core's mutex
	keep   []time.Duration   // likewise
}

// options can be changed before a rig is made of them.
type options struct {
	registrar.Options
	core core.Options
}

func uri(s string) sip.URI {
	u, err := sip.ParseURI(s)
	if err != nil {
		panic(err)
	}
	return u
}

func defaults() options {
	password := func(context.Context, digest.Challenge) (digest.Credentials, error) {
		return digest.Password("alice", "secret"), nil
	}
	return options{
		Options: registrar.Options{
			Registrar: uri("sip:example.com"), AOR: uri("sip:alice@example.com"),
			Contact: sip.NameAddr{URI: uri(contact)}, InstanceID: instance, Auto: true,
		},
		core: core.Options{
			URI: uri("sip:alice@example.com"), Contact: uri(contact), ViaHost: "a1.invalid",
			Supported: []string{"outbound", "path", "gruu"}, Credentials: password,
		},
	}
}

// run calls fn in a bubble with a Registrar that has no flow yet. Afterwards all
// is closed and nothing may be left.
func run(t *testing.T, o options, fn func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, core: core.New(o.core), begun: time.Now()}
		o.Core = r.core
		o.Event = func(e registrar.Event) { r.events = append(r.events, e) }
		o.KeepAlive = func(_ core.Flow, d time.Duration) { r.keep = append(r.keep, d) }
		r.Registrar = registrar.New(o.Options)
		defer func() {
			r.Close()
			r.core.Close(net.ErrClosed)
			r.core.Wait()
			synctest.Wait()
		}()
		fn(r)
	})
}

// registered runs fn with a Registrar that is registered for 600 s, without
// credentials.
func registered(t *testing.T, fn func(r *rig)) {
	t.Helper()
	run(t, defaults(), func(r *rig) {
		r.up(serverA)
		r.grant(r.register(), 600)
		r.state(registrar.Registered)
		r.happened("registered")
		fn(r)
	})
}

// up brings a flow to a server.
func (r *rig) up(server string) {
	id := uint64(1)
	if r.flow != nil {
		id = r.flow.id + 1
	}
	r.flow = &flow{id: id, server: server}
	r.core.FlowUp(r.flow, core.FlowInfo{Server: server, Secure: true, Host: "example.com"})
	synctest.Wait()
}

var errCut = errors.New("cut")

func (r *rig) down() { r.lose(r.flow) }

func (r *rig) lose(f *flow) {
	r.core.FlowDown(f, errCut)
	synctest.Wait()
}

// register returns the next REGISTER on the newest flow; it asks for a binding.
func (r *rig) register() *sip.Request {
	r.t.Helper()
	req := r.request(r.flow)
	if c := req.Header("Contact"); !strings.HasPrefix(c, "<"+contact+">") || strings.Contains(c, ";expires=0") {
		r.t.Errorf("%v: Contact %s", r.since(), c)
	}
	return req
}

// removal returns the next REGISTER; it removes what contact begins with.
func (r *rig) removal(contact string) *sip.Request {
	r.t.Helper()
	req := r.request(r.flow)
	c := req.Header("Contact")
	if !strings.HasPrefix(c, contact) || c != "*" && !strings.Contains(c, ";expires=0") || req.Header("Expires") != "0" {
		r.t.Errorf("%v: Contact %s, Expires %s, want to remove %s", r.since(), c, req.Header("Expires"), contact)
	}
	return req
}

const ours = "<" + contact + ">"

// request returns the next request on f.
func (r *rig) request(f *flow) *sip.Request {
	r.t.Helper()
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.sent) == 0 {
		r.t.Fatalf("%v: nothing was sent", r.since())
	}
	m, err := sip.Parse([]byte(f.sent[0]))
	if err != nil {
		r.t.Fatal(err)
	}
	f.sent = f.sent[1:]
	req, ok := m.(*sip.Request)
	if !ok || req.Method() != sip.REGISTER {
		r.t.Fatalf("%v: sent %v", r.since(), m)
	}
	return req
}

// silent checks that nothing was sent on the newest flow.
func (r *rig) silent() {
	r.t.Helper()
	synctest.Wait()
	r.flow.mu.Lock()
	defer r.flow.mu.Unlock()
	for _, s := range r.flow.sent {
		r.t.Errorf("%v: sent\n%s", r.since(), s)
	}
	r.flow.sent = nil
}

// answer has the server of the newest flow answer req: status is "200 OK", fields
// are whole header lines.
func (r *rig) answer(req *sip.Request, status string, fields ...string) {
	r.t.Helper()
	r.answerOn(r.flow, req, status, fields...)
}

func (r *rig) answerOn(f *flow, req *sip.Request, status string, fields ...string) {
	r.t.Helper()
	lines := []string{
		"SIP/2.0 " + status, "Via: " + req.Header("Via"), "From: " + req.Header("From"),
		"To: " + req.Header("To") + ";tag=server", "Call-ID: " + req.CallID(), "CSeq: " + req.Header("CSeq"),
	}
	lines = append(append(lines, fields...), "Content-Length: 0", "", "")
	r.core.Receive(f, []byte(strings.Join(lines, "\r\n")))
	synctest.Wait()
}

// grant answers 200 with our Contact.
func (r *rig) grant(req *sip.Request, seconds int, fields ...string) {
	r.t.Helper()
	r.answer(req, "200 OK", append(fields, fmt.Sprintf("Contact: <%s>;expires=%d", contact, seconds))...)
}

// challenge answers 401 and returns the REGISTER that follows, which has
// credentials.
func (r *rig) challenge(req *sip.Request, nonce string) *sip.Request {
	r.t.Helper()
	r.unauthorized(req, nonce)
	again := r.request(r.flow)
	if !strings.Contains(again.Header("Authorization"), `nonce="`+nonce+`"`) {
		r.t.Errorf("%v: Authorization %q", r.since(), again.Header("Authorization"))
	}
	return again
}

func (r *rig) unauthorized(req *sip.Request, nonce string) {
	r.t.Helper()
	r.answer(req, "401 Unauthorized", `WWW-Authenticate: Digest realm="example.com", nonce="`+nonce+`", qop="auth"`)
}

// refuse challenges the next REGISTER and refuses the credentials that come.
func (r *rig) refuse() {
	r.t.Helper()
	r.unauthorized(r.challenge(r.register(), "n1"), "n2")
}

func (r *rig) since() time.Duration { return time.Since(r.begun) }

// sleep lets time go by, and everything happen that is due.
func (r *rig) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// due sleeps until the next REGISTER is due, checks that none leaves before, and
// returns how long that was.
func (r *rig) due() time.Duration {
	r.t.Helper()
	wait := time.Until(r.Registration().RetryAt)
	if wait <= 0 {
		r.t.Fatalf("%v: nothing is due: %+v", r.since(), r.Registration())
	}
	r.sleep(wait - 1)
	r.silent()
	r.sleep(1)
	return wait
}

// state checks where the registration stands.
func (r *rig) state(want registrar.State) {
	r.t.Helper()
	synctest.Wait()
	if got := r.Registration().State; got != want {
		r.t.Errorf("%v: %v, want %v", r.since(), got, want)
	}
}

// happened checks the events since it was asked last.
func (r *rig) happened(kinds ...string) []registrar.Event {
	r.t.Helper()
	synctest.Wait()
	r.core.Lock()
	defer r.core.Unlock()
	events := r.events
	r.events = nil
	var got []string
	for _, e := range events {
		got = append(got, e.Kind.String())
	}
	if want := fmt.Sprint(kinds); fmt.Sprint(got) != want {
		r.t.Fatalf("%v: events %v, want %v", r.since(), got, want)
	}
	return events
}

// call is a Register or Unregister that runs.
type call struct {
	r    *rig
	done chan error
}

func (r *rig) start(fn func() error) *call {
	c := &call{r: r, done: make(chan error, 1)}
	go func() { c.done <- fn() }()
	synctest.Wait()
	return c
}

func (r *rig) startRegister() *call {
	return r.start(func() error { return r.Register(context.Background()) })
}

func (r *rig) startUnregister(all bool) *call {
	return r.start(func() error { return r.Unregister(context.Background(), all) })
}

// runs checks that the call has not returned.
func (c *call) runs() {
	c.r.t.Helper()
	synctest.Wait()
	select {
	case err := <-c.done:
		c.r.t.Fatalf("%v: returned %v", c.r.since(), err)
	default:
	}
}

// returns checks that the call has returned, with an error that is want.
func (c *call) returns(want error) error {
	c.r.t.Helper()
	synctest.Wait()
	select {
	case err := <-c.done:
		if !errors.Is(err, want) {
			c.r.t.Errorf("%v: returned %v, want %v", c.r.since(), err, want)
		}
		return err
	default:
		c.r.t.Fatalf("%v: has not returned", c.r.since())
		return nil
	}
}
