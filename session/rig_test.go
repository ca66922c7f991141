package session_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/dialog"
	"github.com/gosipua/sipua/sip/digest"
)

// wire is a core.Flow whose far end is the test itself.
type wire struct {
	mu   sync.Mutex
	sent []sip.Message // guarded by mu; not looked at yet
	gone bool          // guarded by mu
}

func (w *wire) ID() uint64 { return 1 }

func (w *wire) Send(b []byte) error {
	m, err := sip.Parse(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.sent = append(w.sent, m)
	}
	if w.gone {
		return net.ErrClosed
	}
	return err
}

// flow is one connection over the wire.
type flow struct{ *wire }

// rig is a Manager on a real core whose server is the test. It runs inside a
// synctest bubble.
type rig struct {
	t     *testing.T
	core  *core.Core
	calls *session.Manager
	wire  *wire
	flow  *flow // what the wire is at present
	media *studio

	mu     sync.Mutex
	events []string // guarded by mu
	calls1 chan *session.Incoming
}

// bubble runs f with a rig, in fake time, and checks that nothing is left.
func bubble(t *testing.T, f func(r *rig)) { bubbleWith(t, session.Options{}, f) }

func bubbleWith(t *testing.T, o session.Options, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, wire: &wire{}, media: &studio{}, calls1: make(chan *session.Incoming, 8)}
		aor := sip.URI{Scheme: "sip", User: "alice", Host: "example.com"}
		if o.Logger == nil {
			o.Logger = slog.New(alarm{t})
		}
		r.core = core.New(core.Options{
			Logger: o.Logger,
			URI:    aor, ViaHost: "ua.invalid", AcceptAnyUser: true,
			Contact:   sip.URI{Scheme: "sip", User: "c", Host: "ua.invalid", Params: ";transport=ws"},
			Allow:     []sip.Method{sip.INVITE, sip.ACK, sip.CANCEL, sip.BYE, sip.UPDATE, sip.OPTIONS, sip.INFO, sip.MESSAGE, sip.NOTIFY, sip.REFER, sip.PRACK, sip.SUBSCRIBE},
			Supported: []string{"100rel", "199", "replaces", "norefersub", "tdialog"},
			UserAgent: "test",
			Credentials: func(context.Context, digest.Challenge) (digest.Credentials, error) {
				return digest.Password("alice", "secret"), nil
			},
		})
		o.Core, o.Identity, o.Domain = r.core, aor, sip.URI{Scheme: "sip", Host: "example.com"}
		if o.Media == nil {
			o.Media = r.media
		}
		if o.Call == nil {
			o.Call = func(in *session.Incoming) { r.calls1 <- in }
		}
		r.calls = session.NewManager(o)
		r.up()
		f(r)
		r.calls.Close()
		r.core.Close(net.ErrClosed)
		r.core.Wait()
		synctest.Wait()
		if n := r.media.open(); n != 0 {
			t.Errorf("%d media are still open", n)
		}
	})
}

// alarm is a logger that fails the test when something panics that was not
// meant to: what survives it would hide it.
type alarm struct{ t *testing.T }

func (alarm) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }
func (a alarm) WithAttrs([]slog.Attr) slog.Handler             { return a }
func (a alarm) WithGroup(string) slog.Handler                  { return a }

func (a alarm) Handle(_ context.Context, r slog.Record) error {
	meant, text := false, r.Message
	r.Attrs(func(at slog.Attr) bool {
		meant = meant || at.Key == "panic" && strings.HasPrefix(at.Value.String(), "oops")
		text += fmt.Sprintf(" %s=%v", at.Key, at.Value)
		return true
	})
	if !meant {
		a.t.Error(text)
	}
	return nil
}

func (r *rig) up() { r.upTo("example.com") }

// upTo has a connection to the server on a host.
func (r *rig) upTo(host string) { r.flowUp(core.FlowInfo{Server: "ws://" + host, Host: host}) }

func (r *rig) flowUp(info core.FlowInfo) {
	r.wire.mu.Lock()
	r.wire.gone = false
	r.wire.mu.Unlock()
	r.flow = &flow{r.wire}
	r.core.FlowUp(r.flow, info)
}

func (r *rig) down() {
	r.wire.mu.Lock()
	r.wire.gone = true
	r.wire.mu.Unlock()
	r.core.FlowDown(r.flow, net.ErrClosed)
}

// ready has us registered on the flow that is up.
func (r *rig) ready() {
	r.core.Lock()
	defer r.core.Unlock()
	r.core.FlowReady(r.flow)
}

// moves puts another connection in the place of the one that is up.
func (r *rig) moves() {
	r.down()
	r.up()
	r.ready()
}

// next returns the next message that left, nil for none.
func (r *rig) next() sip.Message {
	synctest.Wait()
	r.wire.mu.Lock()
	defer r.wire.mu.Unlock()
	if len(r.wire.sent) == 0 {
		return nil
	}
	m := r.wire.sent[0]
	r.wire.sent = r.wire.sent[1:]
	return m
}

// request expects the next message to be a request of that method.
func (r *rig) request(method sip.Method) *sip.Request {
	r.t.Helper()
	m := r.next()
	req, ok := m.(*sip.Request)
	if !ok || req.Method() != method {
		r.t.Fatalf("want %s, got %s", method, show(m))
	}
	return req
}

// response expects the next message to be a response of that status to that
// method.
func (r *rig) response(code sip.StatusCode, method sip.Method) *sip.Response {
	r.t.Helper()
	m := r.next()
	res, ok := m.(*sip.Response)
	if ok && res.StatusCode() == sip.StatusTrying {
		m = r.next()
		res, ok = m.(*sip.Response)
	}
	if !ok || res.StatusCode() != code || res.CSeq().Method != method {
		r.t.Fatalf("want %d to %s, got %s", code, method, show(m))
	}
	return res
}

// silence expects that nothing left.
func (r *rig) silence() {
	r.t.Helper()
	if m := r.next(); m != nil {
		r.t.Fatalf("want nothing, got %s", show(m))
	}
}

// sent expects exactly these messages to have left: "BYE", "200 BYE". Those of
// 100 do not count.
func (r *rig) sent(want ...string) []sip.Message {
	r.t.Helper()
	var got []string
	var messages []sip.Message
	for m := r.next(); m != nil; m = r.next() {
		line := ""
		switch m := m.(type) {
		case *sip.Request:
			line = string(m.Method())
		case *sip.Response:
			line = fmt.Sprintf("%d %s", m.StatusCode(), m.CSeq().Method)
			if m.StatusCode() == sip.StatusTrying {
				continue
			}
		}
		got, messages = append(got, line), append(messages, m)
	}
	if !slices.Equal(got, want) {
		r.t.Fatalf("left:\n got %q\nwant %q", got, want)
	}
	return messages
}

func show(m sip.Message) string {
	if m == nil {
		return "nothing"
	}
	return string(m.AppendTo(nil))
}

// receive puts a message of the far end on the wire.
func (r *rig) receive(m sip.Message) {
	r.core.Receive(r.flow, m.AppendTo(nil))
	synctest.Wait()
}

// answer answers a request of ours. tag goes into To, body is SDP.
func (r *rig) answer(req *sip.Request, code sip.StatusCode, tag, body string, fields ...sip.Field) {
	r.t.Helper()
	res := sip.NewResponse(req, code, "")
	if tag != "" && req.To().Tag() == "" {
		r.must(res.SetTo(req.To().WithTag(tag)))
	}
	for _, f := range fields {
		r.must(res.AddHeader(f.Name, f.Value))
	}
	if !res.HasHeader("Contact") {
		r.must(res.SetContact(sip.NameAddr{URI: sip.URI{Scheme: "sip", User: tag, Host: "peer.invalid"}}))
	}
	if body != "" {
		r.must(res.SetBody("application/sdp", []byte(body)))
	}
	r.receive(res)
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// peer is a far end's view of a dialog: it makes its requests.
type peer struct {
	r             *rig
	local, remote sip.NameAddr
	callID        string
	target        sip.URI
	seq           uint32
}

// caller is a far end that will call us.
func (r *rig) caller() *peer {
	return &peer{
		r:      r,
		local:  sip.NameAddr{URI: sip.URI{Scheme: "sip", User: "bob", Host: "example.com"}}.WithTag("bobtag"),
		remote: sip.NameAddr{URI: sip.URI{Scheme: "sip", User: "alice", Host: "example.com"}},
		callID: sip.NewCallID(),
		target: sip.URI{Scheme: "sip", User: "c", Host: "ua.invalid"},
	}
}

// called is the far end of a call of ours, seen from its dialog tag.
func (r *rig) called(invite *sip.Request, tag string) *peer {
	contact, _ := invite.Contact()
	return &peer{r: r, local: invite.To().WithTag(tag), remote: invite.From(), callID: invite.CallID(), target: contact.URI, seq: 1000}
}

// request makes a request of the far end.
func (p *peer) request(method sip.Method, body string, fields ...sip.Field) *sip.Request {
	p.r.t.Helper()
	if method != sip.ACK && method != sip.CANCEL {
		p.seq++
	}
	req := sip.NewRequest(method, p.target)
	p.r.must(errors.Join(
		req.SetVia(sip.Via{Transport: "WS", Host: "peer.invalid", Params: sip.Params(";branch=" + sip.NewBranch())}),
		req.SetFrom(p.local), req.SetTo(p.remote), req.SetCallID(p.callID),
		req.SetCSeq(sip.CSeq{Seq: p.seq, Method: method}),
		req.SetHeader("Max-Forwards", "70"),
		req.SetContact(sip.NameAddr{URI: sip.URI{Scheme: "sip", User: "bob", Host: "peer.invalid"}}),
	))
	for _, f := range fields {
		p.r.must(req.AddHeader(f.Name, f.Value))
	}
	if body != "" {
		p.r.must(req.SetBody("application/sdp", []byte(body)))
	}
	return req
}

func (p *peer) send(method sip.Method, body string, fields ...sip.Field) *sip.Request {
	p.r.t.Helper()
	req := p.request(method, body, fields...)
	p.r.receive(req)
	return req
}

// cancel is the CANCEL of an INVITE of the far end.
func (p *peer) cancel(invite *sip.Request, fields ...sip.Field) {
	p.r.t.Helper()
	c := p.request(sip.CANCEL, "", fields...)
	p.r.must(errors.Join(c.SetVia(invite.Via()), c.SetTo(invite.To()), c.SetURI(invite.URI())))
	p.r.receive(c)
}

// ring has the far end call us and returns the call that waits for a decision.
func (p *peer) ring(body string, fields ...sip.Field) (*session.Incoming, *sip.Request) {
	p.r.t.Helper()
	invite := p.send(sip.INVITE, body, fields...)
	p.remote = p.r.ringing()
	select {
	case in := <-p.r.calls1:
		return in, invite
	default:
		p.r.t.Fatal("no call came")
		return nil, nil
	}
}

// ringing takes the 100 and 180 and returns To with our tag.
func (r *rig) ringing() sip.NameAddr {
	r.t.Helper()
	for {
		m := r.next()
		res, ok := m.(*sip.Response)
		if !ok || !res.StatusCode().IsProvisional() {
			r.t.Fatalf("want 100 or 180, got %s", show(m))
		}
		if res.StatusCode() == sip.StatusRinging {
			return res.To()
		}
	}
}

// handler notes every event of a call as a line.
func (r *rig) handler() *session.Handler {
	return &session.Handler{
		State:    func(_ *session.Session, st session.State) { r.note("state %v", st) },
		Progress: func(_ *session.Session, res *sip.Response) { r.note("progress %d", res.StatusCode()) },
		Hold:     func(_ *session.Session, h session.HoldState) { r.note("hold local=%v remote=%v", h.Local, h.Remote) },
		Condition: func(_ *session.Session, c session.Condition) {
			switch {
			case !c.Degraded():
				r.note("all right")
			case c.Unreachable:
				r.note("unreachable")
			case c.Silent:
				r.note("silent")
			}
		},
		DTMF:     func(_ *session.Session, d session.DTMF) { r.note("dtmf %c %v", d.Digit, d.Duration) },
		Transfer: func(_ *session.Session, p session.TransferProgress) { r.note("refer %d final=%v", p.Status, p.Final) },
	}
}

func (r *rig) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, fmt.Sprintf(format, args...))
}

// seen expects exactly these events since the last look.
func (r *rig) seen(want ...string) {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.events, want) {
		r.t.Errorf("events:\n got %q\nwant %q", r.events, want)
	}
	r.events = nil
}

// ended expects the call to be over, in that way.
func (r *rig) ended(s interface{ Context() context.Context }, kind session.EndKind, remote bool) *session.EndError {
	r.t.Helper()
	synctest.Wait()
	select {
	case <-s.Context().Done():
	default:
		r.t.Fatal("the call is not over")
	}
	var end *session.EndError
	if !errors.As(context.Cause(s.Context()), &end) {
		r.t.Fatalf("cause is %v", context.Cause(s.Context()))
	}
	if end.Kind != kind || end.Remote != remote {
		r.t.Fatalf("ended by %v (remote %v): %v; want %v (remote %v)", end.Kind, end.Remote, end, kind, remote)
	}
	return end
}

// dial starts a call to bob and takes its INVITE.
func (r *rig) dial(o *session.CallOptions) (*session.Session, *sip.Request) {
	r.t.Helper()
	if o == nil {
		o = &session.CallOptions{}
	}
	if o.Handler == nil {
		o.Handler = r.handler()
	}
	s, err := r.calls.Invite(context.Background(), "bob", o)
	r.must(err)
	return s, r.request(sip.INVITE)
}

// talk is a call that is up: bob answered with tag.
func (r *rig) talk(tag string) (*session.Session, *peer) {
	r.t.Helper()
	s, invite := r.dial(nil)
	r.answer(invite, 200, tag, sdp("bob"))
	r.request(sip.ACK)
	r.must(s.WaitAnswered(context.Background()))
	r.seen("state Calling", "state Confirmed")
	r.media.last().wrote()
	return s, r.called(invite, tag)
}

// dialogs says how many dialogs the core has with the far end's identity.
func (r *rig) dialogs(p *peer) int {
	r.core.Lock()
	defer r.core.Unlock()
	if d, _ := r.core.FindDialog(dialog.ID{CallID: p.callID, LocalTag: p.remote.Tag(), RemoteTag: p.local.Tag()}); d != nil {
		return 1
	}
	return 0
}
