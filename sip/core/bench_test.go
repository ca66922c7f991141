package core_test

import (
	"testing"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/dialog"
)

// pipe hands what one core sends to another, on the goroutine that drains it.
type pipe struct {
	id   uint64
	to   *core.Core
	peer *pipe
	free [][]byte
	in   [][]byte
}

func (p *pipe) ID() uint64 { return p.id }

func (p *pipe) Send(msg []byte) error {
	var b []byte
	if n := len(p.peer.free); n > 0 {
		b, p.peer.free = p.peer.free[n-1][:0], p.peer.free[:n-1]
	}
	p.peer.in = append(p.peer.in, append(b, msg...))
	return nil
}

// drain delivers until nothing is on its way.
func drain(a, b *pipe) {
	for len(a.in)+len(b.in) > 0 {
		for _, p := range [...]*pipe{a, b} {
			for len(p.in) > 0 {
				msg := p.in[0]
				p.in = p.in[:copy(p.in, p.in[1:])]
				p.to.Receive(p, msg)
				p.free = append(p.free, msg)
			}
		}
	}
}

// twoCores are a caller and a callee on one wire.
func twoCores(tb testing.TB) (a, b *core.Core, wireA, wireB *pipe) {
	o := options()
	a = core.New(o)
	o.URI, o.Contact = uri("sip:bob@example.com"), uri("sip:bob@b1.invalid;transport=ws")
	b = core.New(o)
	wireA, wireB = &pipe{id: 1, to: a}, &pipe{id: 2, to: b}
	wireA.peer, wireB.peer = wireB, wireA
	a.FlowUp(wireA, info(server))
	b.FlowUp(wireB, info(server))
	tb.Cleanup(func() {
		for _, c := range []*core.Core{a, b} {
			c.Close(nil)
			c.Wait()
		}
	})
	return a, b, wireA, wireB
}

// callee answers INVITE with 180 and 200, BYE with 200.
func callee(tb testing.TB, c *core.Core) {
	c.Lock()
	defer c.Unlock()
	c.Handle(sip.INVITE, func(in *core.Incoming) {
		d, err := dialog.NewServer(in.Request(), in.Tag())
		if err != nil {
			tb.Error(err)
			return
		}
		c.Attach(d, &calleeUsage{c, d})
		in.Reply(sip.StatusRinging, "")
		d.SetState(dialog.Confirmed)
		in.Reply(sip.StatusOK, "")
	})
}

type calleeUsage struct {
	c *core.Core
	d *dialog.Dialog
}

func (u *calleeUsage) ReceiveRequest(in *core.Incoming) {
	if in.Request().Method() == sip.BYE {
		in.Reply(sip.StatusOK, "")
		u.c.Detach(u.d)
	}
}

// call makes one whole call and reports whether it went well.
func call(c *core.Core, a, b *pipe) (ok bool) {
	invite := &core.Outgoing{Request: sip.NewRequest(sip.INVITE, uriBob)}
	invite.OnResponse = func(res *sip.Response) {
		if !res.StatusCode().IsSuccess() {
			return
		}
		d, err := dialog.NewClient(invite.Sent(), res)
		if err != nil {
			return
		}
		c.SendACK(d, invite, "", nil)
		c.Send(&core.Outgoing{Request: d.NewRequest(sip.BYE), Dialog: d, OnResponse: func(res *sip.Response) {
			ok = res.StatusCode() == sip.StatusOK
		}})
	}
	c.Lock()
	c.Send(invite)
	c.Unlock()
	drain(a, b)
	return ok
}

var uriBob = uri("sip:bob@example.com")

// BenchmarkCall is INVITE 180 200 ACK BYE 200 between two cores, without sockets.
func BenchmarkCall(b *testing.B) {
	caller, far, wa, wb := twoCores(b)
	callee(b, far)
	b.ReportAllocs()
	for b.Loop() {
		if !call(caller, wa, wb) {
			b.Fatal("the call failed")
		}
	}
}

// BenchmarkOptions is OPTIONS 200 between two cores, without sockets.
func BenchmarkOptions(b *testing.B) {
	c, _, wa, wb := twoCores(b)
	done := false
	on := func(*sip.Response) { done = true }
	b.ReportAllocs()
	for b.Loop() {
		done = false
		c.Lock()
		c.Send(&core.Outgoing{Request: sip.NewRequest(sip.OPTIONS, uriBob), OnResponse: on})
		c.Unlock()
		drain(wa, wb)
		if !done {
			b.Fatal("no answer")
		}
	}
}

// register makes one REGISTER and reports whether it was accepted.
func register(c *core.Core, a, b *pipe) (ok bool) {
	req := sip.NewRequest(sip.REGISTER, uri("sip:example.com"))
	if req.AddHeader("Contact", "<sip:alice@a1.invalid;transport=ws>;expires=600") != nil {
		return false
	}
	c.Lock()
	c.Send(&core.Outgoing{Request: req, OnResponse: func(res *sip.Response) { ok = res.StatusCode() == sip.StatusOK }})
	c.Unlock()
	drain(a, b)
	return ok
}

// A REGISTER and its answer may cost 26 allocations over both ends: half of them are
// the texts and the fields of the two messages, written once and read once.
func TestRegisterAllocations(t *testing.T) {
	c, far, wa, wb := twoCores(t)
	far.Lock()
	far.Handle(sip.REGISTER, func(in *core.Incoming) {
		in.Reply(sip.StatusOK, "", sip.Field{Name: "Contact", Value: in.Request().Header("Contact")})
	})
	far.Unlock()
	failed := false
	got := testing.AllocsPerRun(200, func() { failed = failed || !register(c, wa, wb) })
	if failed {
		t.Fatal("a REGISTER failed")
	}
	t.Logf("%v allocations a REGISTER", got)
	if got > 26 {
		t.Errorf("a REGISTER costs %v allocations, want 26 at most", got)
	}
}

// A call may cost 70 allocations over both ends; sipgo takes 587.
func TestCallAllocations(t *testing.T) {
	caller, far, wa, wb := twoCores(t)
	callee(t, far)
	failed := false
	got := testing.AllocsPerRun(200, func() { failed = failed || !call(caller, wa, wb) })
	if failed {
		t.Fatal("a call failed")
	}
	t.Logf("%v allocations a call", got)
	if got > 70 {
		t.Errorf("a call costs %v allocations, want 70 at most", got)
	}
}
