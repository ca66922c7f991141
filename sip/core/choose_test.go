package core_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/dialog"
)

const serverTwo = "wss://two.example.com/ws"

// runTwo is run with two flows, the first to the heavier server and both ready.
func runTwo(t *testing.T, fn func(r *rig, one, two *flow)) {
	t.Helper()
	run(t, options(), func(r *rig) {
		r.down() // the one without a weight
		one, two := r.upAt(1, server, 10), r.upAt(2, serverTwo, 5)
		r.ready(one, two)
		fn(r, one, two)
	})
}

// upAt brings the flow of a registration.
func (r *rig) upAt(regID int, server string, weight int) *flow {
	f := &flow{id: uint64(regID)}
	i := info(server)
	i.RegID, i.Weight = regID, weight
	r.FlowUp(f, i)
	return f
}

func (r *rig) ready(flows ...*flow) {
	for _, f := range flows {
		r.locked(func() { r.FlowReady(f) })
	}
}

func (r *rig) lose(f *flow) { r.FlowDown(f, errors.New("cut")) }

// on is r with f as the flow that its other methods look at.
func (r *rig) on(f *flow) *rig {
	r.flow = f
	return r
}

// messages to Bob take that flow, and no other gets any.
func (r *rig) sendsOn(f, other *flow) {
	r.Helper()
	r.send(sip.MESSAGE, nil)
	r.on(f).request(sip.MESSAGE)
	r.on(other).nothing()
}

// Requests outside dialogs take the heaviest flow that others reach us over, or
// while there is none the heaviest.
func TestFlowOutsideDialogs(t *testing.T) {
	run(t, options(), func(r *rig) {
		r.down()
		two := r.upAt(2, serverTwo, 5)
		r.sendsOn(two, two)
		one := r.upAt(1, server, 10)
		r.sendsOn(one, two) // neither is registered
		r.ready(two)
		r.sendsOn(two, one)
		r.ready(one)
		r.sendsOn(one, two)
		r.locked(func() { r.FlowLapsed(one) })
		r.sendsOn(two, one)
		r.lose(two)
		r.sendsOn(one, two)
		two = r.upAt(2, serverTwo, 10)
		r.ready(one, two)
		r.sendsOn(one, two) // as heavy: the first reg-id
		r.lose(one)
		r.sendsOn(two, one)
	})
}

// Requests inside a dialog take the flow that it was made on, whoever made it,
// as long as others reach us over that; else the other one, at once.
func TestFlowInsideDialogs(t *testing.T) {
	for name, begin := range map[string]func(r *rig) *dialog.Dialog{
		"theirs": func(r *rig) *dialog.Dialog {
			d, _, _ := r.accepted()
			return d
		},
		"ours": func(r *rig) *dialog.Dialog { return r.calledOn() },
	} {
		t.Run(name, func(t *testing.T) {
			runTwo(t, func(r *rig, one, two *flow) {
				home, away := two, one
				if name == "ours" {
					home, away = one, two
				}
				d := begin(r.on(home))
				r.on(away).nothing()
				sends := func(f, other *flow) {
					t.Helper()
					r.send("", func(s *sending) {
						r.locked(func() { s.Request = d.NewRequest(sip.INFO) })
						s.Dialog = d
					})
					r.on(f).answer(r.on(f).request(sip.INFO), 200)
					r.on(other).nothing()
				}
				sends(home, away)
				r.locked(func() { r.FlowLapsed(home) })
				sends(away, home)
				r.ready(home)
				sends(home, away)
				r.lose(home)
				sends(away, home)
				regID, at, weight := 2, serverTwo, 5
				if home == one {
					regID, at, weight = 1, server, 10
				}
				back := r.upAt(regID, at, weight)
				sends(away, back) // it is there, but not registered
				r.ready(back)
				sends(back, away)
			})
		})
	}
}

// calledOn is called, whose ACK is taken too.
func (r *rig) calledOn() *dialog.Dialog {
	r.Helper()
	_, d := r.called()
	r.request(sip.ACK)
	return d
}

// After a target refresh over another flow the far end knows us there: the dialog
// stays with that flow's server. What the far end sends elsewhere changes nothing.
func TestDialogMoves(t *testing.T) {
	runTwo(t, func(r *rig, one, two *flow) {
		d, u, _ := r.on(two).accepted()
		r.on(one).receive(inside(sip.INFO, "info", 11))
		if len(u.in) != 1 {
			t.Fatal("a request over the other flow is not taken")
		}
		r.locked(func() { u.in[0].Reply(sip.StatusOK, "") })
		r.on(one).response(200) // where the request came from
		r.on(two).nothing()
		if d.Hop() != serverTwo {
			t.Errorf("the dialog goes over %s", d.Hop())
		}
		inside := func(m sip.Method, f, other *flow) {
			t.Helper()
			r.send("", func(s *sending) {
				r.locked(func() { s.Request = d.NewRequest(m) })
				s.Dialog = d
			})
			r.on(f).answer(r.on(f).request(m), 200, "Contact: <sip:bob@b1.invalid>")
			r.on(other).nothing()
		}
		r.lose(two)
		inside(sip.INFO, one, two)
		two = r.upAt(2, serverTwo, 5)
		r.ready(two)
		inside(sip.INFO, two, one)
		r.lose(two)
		inside(sip.UPDATE, one, two)
		two = r.upAt(2, serverTwo, 5)
		r.ready(two)
		inside(sip.INFO, one, two)
	})
}

// The further attempt of a challenged request, ACK and CANCEL go where their
// request went, also when another flow has become the better one.
func TestFlowOfFollowingRequests(t *testing.T) {
	runTwo(t, func(r *rig, one, two *flow) {
		r.lose(one)
		ringing := r.send(sip.INVITE, nil)
		first := r.on(two).request(sip.INVITE)
		r.on(two).answer(first, 180)
		answered := r.send(sip.INVITE, nil)
		second := r.on(two).request(sip.INVITE)

		one = r.upAt(1, server, 10)
		r.ready(one)
		r.on(two).answer(second, 200, "Contact: <sip:bob@b1.invalid>")
		d := r.dialogOf(answered)
		r.locked(func() { r.SendACK(d, &answered.Outgoing, "", nil) })
		r.on(two).request(sip.ACK)
		ringing.cancel()
		r.on(two).request(sip.CANCEL)
		r.on(one).nothing()
	})
}

// A CANCEL is for the server that has the INVITE (RFC 3261 §9.1): with that gone
// it waits for it, while the ACK takes any other way.
func TestFollowingRequestsOfLostFlow(t *testing.T) {
	runTwo(t, func(r *rig, one, two *flow) {
		ringing := r.send(sip.INVITE, nil)
		r.on(one).answer(r.on(one).request(sip.INVITE), 180)
		answered := r.send(sip.INVITE, nil)
		r.on(one).answer(r.on(one).request(sip.INVITE), 200, "Contact: <sip:bob@b1.invalid>")
		d := r.dialogOf(answered)
		r.lose(one)
		r.locked(func() { r.SendACK(d, &answered.Outgoing, "", nil) })
		r.on(two).request(sip.ACK)
		ringing.cancel()
		r.on(two).nothing()
		one = r.upAt(1, server, 10)
		r.on(one).request(sip.CANCEL)
	})
}

// Watchers learn of the flow that is lost, and which one is left; FlowFor says
// what the requests of a dialog take.
func TestFlowLeft(t *testing.T) {
	runTwo(t, func(r *rig, one, two *flow) {
		var left []core.Flow
		r.locked(func() {
			r.WatchFlows(func(f core.Flow, _ core.FlowInfo, up bool, _ error) {
				if !up {
					rest, _, _ := r.ReadyFlow()
					left = append(left, f, rest)
				}
			})
		})
		d := r.on(one).calledOn()
		r.locked(func() {
			if f, i, ok := r.FlowFor(d); !ok || f != core.Flow(one) || i.Server != d.Hop() || i.RegID != 1 {
				t.Errorf("the dialog takes %+v", i)
			}
		})
		r.lose(one)
		r.locked(func() {
			if f, i, ok := r.FlowFor(d); !ok || f != core.Flow(two) || i.Server == d.Hop() {
				t.Errorf("after the loss the dialog takes %+v", i)
			}
		})
		r.lose(two)
		synctest.Wait()
		if len(left) != 4 || left[0] != core.Flow(one) || left[1] != core.Flow(two) || left[2] != core.Flow(two) || left[3] != nil {
			t.Errorf("lost and left: %v", left)
		}
		r.locked(func() {
			if _, _, ok := r.FlowFor(d); ok {
				t.Error("there is a flow for the dialog")
			}
		})
	})
}

// A request that the server forks to both flows is answered once (RFC 3261
// §8.2.2.2), and each copy where it came from.
func TestRequestOverBothFlows(t *testing.T) {
	runTwo(t, func(r *rig, one, two *flow) {
		var came []*core.Incoming
		r.locked(func() { r.Handle(sip.INVITE, func(in *core.Incoming) { came = append(came, in) }) })
		r.on(one).receive(incoming(sip.INVITE, "one"))
		r.on(two).receive(incoming(sip.INVITE, "two"))
		r.on(two).response(sip.StatusLoopDetected)
		if len(came) != 1 {
			t.Fatalf("%d calls came", len(came))
		}
		r.locked(func() { came[0].Reply(sip.StatusBusyHere, "") })
		r.on(one).response(sip.StatusBusyHere)
		r.on(two).nothing()
	})
}

// Nor is a copy that comes when the first one is answered already, for as long as
// its sender may wait for answers; but where the first flow is gone nobody has got
// one.
func TestCopyOverOtherFlow(t *testing.T) {
	runTwo(t, func(r *rig, one, two *flow) {
		came := 0
		r.locked(func() {
			r.Handle(sip.MESSAGE, func(in *core.Incoming) { came++; in.Reply(sip.StatusOK, "") })
		})
		get := func(f *flow, branch, cseq string, code sip.StatusCode, want int) {
			t.Helper()
			r.on(f).receive(incoming(sip.MESSAGE, branch, "CSeq: "+cseq+" MESSAGE"))
			r.on(f).response(code)
			if came != want {
				t.Errorf("%s: %d came, want %d", branch, came, want)
			}
		}
		get(one, "a", "1", 200, 1)
		get(two, "b", "1", 482, 1)
		for _, f := range []*flow{one, two} { // whether each flow works is worth knowing
			r.on(f).receive(incoming(sip.OPTIONS, "ping"+string(rune('0'+f.id))))
			r.on(f).response(200)
		}
		get(two, "c", "2", 200, 2)
		r.sleep(32*time.Second - 1)
		get(one, "d", "2", 482, 2)
		r.sleep(1)
		get(one, "e", "2", 200, 3) // another one, that has the same numbers
		get(two, "f", "3", 200, 4)
		r.lose(two)
		two = r.upAt(2, serverTwo, 5)
		get(one, "g", "3", 200, 5)
		get(two, "again", "3", 482, 5)
		r.lose(two)
		get(one, "h", "4", 200, 6)
		get(one, "i", "4", 200, 7) // with one flow nothing is remembered
	})
}

// A flow token in the user part of a Record-Route, which is any base64 of the edge's
// (RFC 5626 §5.2), comes back as it was.
func TestFlowTokenKept(t *testing.T) {
	const token = "<sip:VskztcQ/S8p4WPbOnHbuyh5iJvJIW3ib+Aa==%3D@ep1.example.com;lr;ob;x=%41>"
	run(t, options(), func(r *rig) {
		_, ours := r.called("Record-Route: " + token)
		if got := r.request(sip.ACK).Header("Route"); got != token {
			t.Errorf("ACK by %s", got)
		}
		r.receive(incoming(sip.INVITE, "unused", "Record-Route: "+token, "Call-ID: other"))
		r.response(480)
		var theirs *dialog.Dialog
		r.locked(func() {
			r.Handle(sip.INVITE, func(in *core.Incoming) {
				theirs, _ = in.NewDialog()
				in.Reply(sip.StatusOK, "")
			})
		})
		r.receive(incoming(sip.INVITE, "theirs", "Record-Route: "+token))
		if got := r.response(200).Header("Record-Route"); got != token {
			t.Errorf("the 200 has %s", got)
		}
		for _, d := range []*dialog.Dialog{ours, theirs} {
			r.send("", func(s *sending) {
				r.locked(func() { s.Request = d.NewRequest(sip.BYE) })
				s.Dialog = d
			})
			if got := r.request(sip.BYE).Header("Route"); got != token {
				t.Errorf("BYE by %s", got)
			}
		}
		edge, err := sip.ParseNameAddr(token)
		if err != nil {
			t.Fatal(err)
		}
		r.locked(func() { r.SetServiceRoute(r.flow, []sip.NameAddr{edge}) })
		r.send(sip.MESSAGE, nil)
		if got := r.request(sip.MESSAGE).Header("Route"); got != token {
			t.Errorf("MESSAGE by %s", got)
		}
	})
}

// RFC 5626 §4.3: the Contact of what makes or refreshes a dialog has ob, so that
// requests inside it arrive over its flow, unless it is a GRUU; what makes none
// has no Contact.
func TestOb(t *testing.T) {
	run(t, options(), func(r *rig) {
		for _, m := range []sip.Method{sip.INVITE, sip.SUBSCRIBE, sip.REFER} {
			r.send(m, nil)
			if got := r.request(m).Header("Contact"); got != "<sip:alice@a1.invalid;transport=ws;ob>" {
				t.Errorf("%s: Contact %s", m, got)
			}
			r.send(m, func(s *sending) { s.Anonymous = true })
			if got := r.request(m).Header("Contact"); !strings.HasSuffix(got, ";ob>") || strings.Contains(got, "alice") {
				t.Errorf("%s, anonymous: Contact %s", m, got)
			}
		}
		for _, m := range []sip.Method{sip.MESSAGE, sip.OPTIONS, sip.PUBLISH, sip.REGISTER} {
			r.send(m, nil)
			if req := r.request(m); req.HasHeader("Contact") || !req.HasToken("Supported", "outbound") {
				t.Errorf("%s: Contact %q, Supported %q", m, req.Header("Contact"), req.Header("Supported"))
			}
		}
		r.locked(func() { r.SetGRUU(uri("sip:alice@example.com;gr=urn:x"), uri("sip:tmp1@example.com;gr")) })
		for _, anonymous := range []bool{false, true} {
			r.send(sip.INVITE, func(s *sending) { s.Anonymous = anonymous })
			if got := r.request(sip.INVITE).Header("Contact"); strings.Contains(got, ";ob") {
				t.Errorf("a GRUU with ob: %s", got)
			}
		}
	})
}

// An endpoint that gets 430 treats it as 400 (RFC 5626 §11.5): it is the final
// response.
func TestFlowFailed(t *testing.T) {
	runTwo(t, func(r *rig, one, two *flow) {
		for _, m := range []sip.Method{sip.INVITE, sip.MESSAGE} {
			s := r.send(m, nil)
			r.on(one).answer(r.on(one).request(m), 430)
			s.got(430)
			if m == sip.INVITE {
				r.on(one).request(sip.ACK)
			}
		}
		r.on(two).nothing()
	})
}
