package core_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/dialog"
)

// flow is a connection whose far end is the test.
type flow struct {
	id uint64

	mu   sync.Mutex
	sent []string
	err  error // of Send
}

func (f *flow) ID() uint64 { return f.id }

func (f *flow) Send(msg []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	f.sent = append(f.sent, string(msg))
	return nil
}

// rig is a core in a bubble, with a flow to its server.
type rig struct {
	*testing.T
	*core.Core
	flow  *flow
	begun time.Time
}

const server = "wss://sip.example.com/ws"

func info(server string) core.FlowInfo {
	return core.FlowInfo{Server: server, Secure: strings.HasPrefix(server, "wss"), Host: "sip.example.com", Port: 8443}
}

func options() core.Options {
	return core.Options{
		URI:     uri("sip:alice@example.com"),
		Contact: uri("sip:alice@a1.invalid;transport=ws"),
		ViaHost: "a1.invalid",
		Allow:   []sip.Method{sip.INVITE, sip.ACK, sip.CANCEL, sip.BYE, sip.OPTIONS, sip.INFO, sip.UPDATE},
		// like most
		Supported:     []string{"outbound", "replaces"},
		AcceptAnyUser: true,
	}
}

func uri(s string) sip.URI {
	u, err := sip.ParseURI(s)
	if err != nil {
		panic(err)
	}
	return u
}

// run calls fn in a bubble, with a core whose flow is up. Afterwards the core is
// closed and nothing may be left.
func run(t *testing.T, o core.Options, fn func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, Core: core.New(o), begun: time.Now()}
		r.up(1, server)
		defer func() {
			r.Close(nil)
			r.Wait()
			synctest.Wait()
		}()
		fn(r)
	})
}

func (r *rig) up(id uint64, server string) {
	r.flow = &flow{id: id}
	r.FlowUp(r.flow, info(server))
}

func (r *rig) down() {
	r.FlowDown(r.flow, fmt.Errorf("cut"))
}

func (r *rig) locked(fn func()) {
	r.Lock()
	defer r.Unlock()
	fn()
}

func (r *rig) since() time.Duration { return time.Since(r.begun) }

// sleep lets time go by, and everything happen that is due.
func (r *rig) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// nothing checks that nothing was sent.
func (r *rig) nothing() {
	r.Helper()
	synctest.Wait()
	r.flow.mu.Lock()
	defer r.flow.mu.Unlock()
	for _, s := range r.flow.sent {
		r.Errorf("sent:\n%s", s)
	}
	r.flow.sent = nil
}

// raw returns the next message sent.
func (r *rig) raw() string {
	r.Helper()
	synctest.Wait()
	r.flow.mu.Lock()
	defer r.flow.mu.Unlock()
	if len(r.flow.sent) == 0 {
		r.Fatal("nothing was sent")
	}
	s := r.flow.sent[0]
	r.flow.sent = r.flow.sent[1:]
	return s
}

func (r *rig) message() sip.Message {
	r.Helper()
	m, err := sip.Parse([]byte(r.raw()))
	if err != nil {
		r.Fatal(err)
	}
	return m
}

// request returns the next message sent, a request of that method.
func (r *rig) request(m sip.Method) *sip.Request {
	r.Helper()
	req, ok := r.message().(*sip.Request)
	if !ok || req.Method() != m {
		r.Fatalf("sent %v, want %s", req, m)
	}
	return req
}

// response returns the next message sent, a response of that status.
func (r *rig) response(code sip.StatusCode) *sip.Response {
	r.Helper()
	m := r.message()
	res, ok := m.(*sip.Response)
	if !ok || res.StatusCode() != code {
		r.Fatalf("sent %v, want a %d", m, code)
	}
	return res
}

// answer has the far end answer req.
func (r *rig) answer(req *sip.Request, code sip.StatusCode, fields ...string) {
	r.Helper()
	res := sip.NewResponse(req, code, "")
	if code > 100 {
		res.SetToTag("far")
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if err := res.AddHeader(name, value); err != nil {
			r.Fatal(err)
		}
	}
	r.Receive(r.flow, res.AppendTo(nil))
	synctest.Wait()
}

// receive has the far end send a request; see incoming.
func (r *rig) receive(text string) {
	r.Receive(r.flow, []byte(text))
	synctest.Wait()
}

// incoming is an initial request; fields replace those of their name, an empty
// value removes it.
func incoming(method sip.Method, branch string, fields ...string) string {
	lines := []string{
		"Via: SIP/2.0/WSS sip.example.com:8443;branch=z9hG4bK" + branch,
		"Via: SIP/2.0/WSS b1.invalid;branch=z9hG4bKfar" + branch,
		"Max-Forwards: 69",
		"Record-Route: <sip:sip.example.com;transport=ws;lr>",
		`From: "Bob" <sip:bob@example.com>;tag=bob`,
		"To: <sip:alice@example.com>",
		"Call-ID: call1",
		"CSeq: 10 " + string(method),
		"Contact: <sip:bob@b1.invalid;transport=ws>",
	}
	target := "sip:alice@a1.invalid;transport=ws"
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "URI" {
			target = value
			continue
		}
		lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+":") })
		if value != "" {
			lines = append(lines, f)
		}
	}
	return string(method) + " " + target + " SIP/2.0\r\n" + strings.Join(lines, "\r\n") + "\r\nContent-Length: 0\r\n\r\n"
}

// sending is an Outgoing and what came of it.
type sending struct {
	core.Outgoing
	r         *rig
	responses []*sip.Response
	err       error
	at        time.Duration // of the last callback
	done      bool
}

// send sends a request of that method to Bob; fill may change it before.
func (r *rig) send(m sip.Method, fill func(s *sending)) *sending {
	r.Helper()
	s := &sending{r: r}
	s.Request = sip.NewRequest(m, uri("sip:bob@example.com"))
	s.OnResponse = func(res *sip.Response) { s.responses, s.at = append(s.responses, res), r.since() }
	s.OnFail = func(err error) {
		if s.err != nil {
			r.Errorf("OnFail comes twice: %v, then %v", s.err, err)
		}
		s.err, s.at = err, r.since()
	}
	s.OnDone = func() { s.done, s.at = true, r.since() }
	if fill != nil {
		fill(s)
	}
	r.locked(func() { r.Send(&s.Outgoing) })
	return s
}

// got checks which responses have come.
func (s *sending) got(codes ...sip.StatusCode) {
	s.r.Helper()
	synctest.Wait()
	var got []sip.StatusCode
	s.r.locked(func() {
		for _, res := range s.responses {
			got = append(got, res.StatusCode())
		}
	})
	if !slices.Equal(got, codes) {
		s.r.Errorf("responses %d, want %d", got, codes)
	}
}

func (s *sending) cancel(fields ...sip.Field) { s.r.locked(func() { s.Cancel(fields...) }) }

// usage keeps the requests of a dialog.
type usage struct{ in []*core.Incoming }

func (u *usage) ReceiveRequest(in *core.Incoming) { u.in = append(u.in, in) }

// inside is a request inside the dialog of incoming INVITE.
func inside(method sip.Method, branch string, seq int, fields ...string) string {
	fields = append([]string{"To: <sip:alice@example.com>;tag=ours", fmt.Sprintf("CSeq: %d %s", seq, method)}, fields...)
	return incoming(method, branch, fields...)
}

// accepted receives an INVITE, answers it and returns the dialog and its usage.
func (r *rig) accepted() (*dialog.Dialog, *usage, *core.Incoming) {
	r.Helper()
	u := &usage{}
	var d *dialog.Dialog
	var invite *core.Incoming
	r.locked(func() {
		r.Handle(sip.INVITE, func(in *core.Incoming) {
			invite = in
			in.SetTag("ours")
			var err error
			if d, err = in.NewDialog(); err != nil {
				r.Error(err)
				return
			}
			r.Attach(d, u)
			d.SetState(dialog.Confirmed)
			in.Reply(sip.StatusOK, "")
		})
	})
	r.receive(incoming(sip.INVITE, "invite"))
	r.response(200)
	if d == nil {
		r.Fatal("no dialog")
	}
	return d, u, invite
}

// called sends an INVITE that is answered 200, sends the ACK and returns the
// dialog.
func (r *rig) called(fields ...string) (*sending, *dialog.Dialog) {
	r.Helper()
	s := r.send(sip.INVITE, nil)
	req := r.request(sip.INVITE)
	r.answer(req, 200, append([]string{"Contact: <sip:bob@b1.invalid;transport=ws>"}, fields...)...)
	s.got(200)
	d := r.dialogOf(s)
	r.locked(func() { r.SendACK(d, &s.Outgoing, "", nil) })
	return s, d
}

// dialogOf returns the dialog that the newest response to s made.
func (r *rig) dialogOf(s *sending) *dialog.Dialog {
	r.Helper()
	r.Lock()
	defer r.Unlock()
	d, err := s.NewDialog(s.responses[len(s.responses)-1])
	if err != nil {
		r.Error(err)
	}
	return d
}
