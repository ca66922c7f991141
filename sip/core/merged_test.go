package core_test

import (
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// kept is what a handler got.
type kept struct {
	in        []*core.Incoming
	lost      []string
	recovered int
}

// keep has requests of these methods wait for an answer.
func (r *rig) keep(methods ...sip.Method) *kept {
	k := &kept{}
	r.locked(func() {
		for _, m := range methods {
			r.Handle(m, func(in *core.Incoming) {
				k.in = append(k.in, in)
				in.OnRecovered = func() { k.recovered++; in.RepeatFinal() }
				in.OnLost = func(err error) {
					if !errors.Is(err, net.ErrClosed) {
						r.Errorf("OnLost: %v", err)
					}
					k.lost = append(k.lost, string(in.Request().Method())+" "+r.since().String())
				}
			})
		}
	})
	return k
}

func (r *rig) reply(in *core.Incoming, code sip.StatusCode) { r.locked(func() { in.Reply(code, "") }) }

// TestAnsweredOnNextFlow: what is answered while the flow is down leaves on the
// next one to the same server.
func TestAnsweredOnNextFlow(t *testing.T) {
	for _, tt := range []struct {
		name    string
		servers []string // of the flows that follow, 10 s apart
		answers []sip.StatusCode
		want    sip.StatusCode // on the last; 0: nothing
		lost    []string       // for want of a flow
	}{
		{"at once", []string{server}, []sip.StatusCode{180, 200}, 200, nil},
		{"the newest", []string{server}, []sip.StatusCode{180, 183}, 183, nil},
		{"refused", []string{server}, []sip.StatusCode{486}, 486, nil},
		{"other server first", []string{"wss://b", server}, []sip.StatusCode{200}, 200, nil},
		{"other server", []string{"wss://b", "wss://c"}, []sip.StatusCode{180}, 0, []string{"INVITE 32s"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, options(), func(r *rig) {
				k := r.keep(sip.INVITE)
				r.receive(incoming(sip.INVITE, "1"))
				r.down()
				for _, code := range tt.answers {
					r.reply(k.in[0], code)
				}
				if !k.in[0].Down() {
					t.Error("not down")
				}
				for i, server := range tt.servers {
					r.nothing()
					r.sleep(10 * time.Second)
					r.up(uint64(2+i), server)
				}
				if tt.want != 0 {
					r.response(tt.want)
					if k.in[0].Down() || k.recovered != 1 {
						t.Errorf("down %v, recovered %d times", k.in[0].Down(), k.recovered)
					}
				}
				r.nothing()
				r.sleep(30 * time.Second)
				r.locked(func() {
					if !slices.Equal(k.lost, tt.lost) {
						t.Errorf("lost %q, want %q", k.lost, tt.lost)
					}
				})
			})
		})
	}
}

// TestOnLost: an INVITE without an answer waits for RecoveryLimit, any other
// request is answered 500 while its sender still waits.
func TestOnLost(t *testing.T) {
	run(t, options(), func(r *rig) {
		k := r.keep(sip.INVITE, sip.MESSAGE)
		r.receive(incoming(sip.INVITE, "1"))
		r.receive(incoming(sip.MESSAGE, "2", "Call-ID: 2"))
		r.down()
		r.sleep(32*time.Second - 1)
		r.locked(func() {
			if k.in[0].Answered() || !k.in[1].Answered() || k.lost != nil {
				t.Errorf("lost: %q", k.lost)
			}
		})
		r.sleep(1)
		r.locked(func() {
			if !k.in[0].Answered() || !slices.Equal(k.lost, []string{"INVITE 32s"}) {
				t.Errorf("lost: %q", k.lost)
			}
		})
		r.up(2, server)
		r.reply(k.in[0], 200)
		r.nothing()
	})
}

// TestOtherFlowToTheServer: where there is another flow to the server it takes
// over at once.
func TestOtherFlowToTheServer(t *testing.T) {
	run(t, options(), func(r *rig) {
		k := r.keep(sip.INVITE, sip.MESSAGE)
		r.receive(incoming(sip.INVITE, "1"))
		r.reply(k.in[0], 180)
		r.response(180)
		r.receive(incoming(sip.MESSAGE, "2", "Call-ID: 2"))
		first := r.flow
		r.up(2, server)
		r.FlowDown(first, errors.New("cut"))
		r.response(180)
		r.reply(k.in[1], 202)
		r.response(202)
		r.nothing()
	})
}

// TestCancelOnNextFlow finds its INVITE by the branch.
func TestCancelOnNextFlow(t *testing.T) {
	for _, next := range []string{server, "wss://b"} {
		run(t, options(), func(r *rig) {
			k := r.keep(sip.INVITE)
			r.receive(incoming(sip.INVITE, "1"))
			k.in[0].OnCancel = func(*sip.Request) { k.in[0].Reply(sip.StatusRequestTerminated, "") }
			r.down()
			r.up(2, next)
			r.receive(incoming(sip.CANCEL, "1"))
			if res := r.response(200); res.CSeq().Method != sip.CANCEL || res.To().Tag() != k.in[0].Tag() {
				t.Errorf("200 is %s", res.AppendTo(nil))
			}
			r.response(487)
			r.nothing()
		})
	}
}

// TestAgainOnAnotherWay: an INVITE whose flow was lost comes with another branch
// and goes on there. The way that it came first gets what that proxy waits for.
func TestAgainOnAnotherWay(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fate  func(r *rig, again *core.Incoming)
		old   sip.StatusCode // on the first branch, on its next flow
		again sip.StatusCode // on the second
	}{
		{"answered", func(r *rig, in *core.Incoming) { r.reply(in, 200) }, 487, 200},
		{"refused", func(r *rig, in *core.Incoming) { r.reply(in, 486) }, 486, 486},
		{"not taken", nil, 180, 482},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, options(), func(r *rig) {
				k := r.keep(sip.INVITE)
				var again *core.Incoming
				r.receive(incoming(sip.INVITE, "1"))
				r.reply(k.in[0], 180)
				r.response(180)
				k.in[0].OnAgain = func(in *core.Incoming) bool { again = in; return tt.fate != nil }
				r.down()
				r.up(2, "wss://b")
				r.receive(incoming(sip.INVITE, "2"))
				if again == nil || again.Tag() != k.in[0].Tag() || len(k.in) != 1 {
					t.Fatalf("again %v, %d calls", again, len(k.in))
				}
				if tt.fate != nil {
					r.receive(incoming(sip.INVITE, "3")) // a copy of that one
					r.response(482)
					tt.fate(r, again)
				}
				if res := r.response(tt.again); res.Via().Branch() != "z9hG4bK2" || res.To().Tag() != k.in[0].Tag() {
					t.Errorf("answered:\n%s", res.AppendTo(nil))
				}
				r.up(3, server)
				if res := r.response(tt.old); res.Via().Branch() != "z9hG4bK1" {
					t.Errorf("the first way got:\n%s", res.AppendTo(nil))
				}
				r.nothing()
			})
		})
	}
}

// TestCancelOfTheFirstWay ends that way alone.
func TestCancelOfTheFirstWay(t *testing.T) {
	run(t, options(), func(r *rig) {
		k := r.keep(sip.INVITE)
		var again *core.Incoming
		canceled := false
		r.receive(incoming(sip.INVITE, "1"))
		k.in[0].OnCancel = func(*sip.Request) { canceled = true }
		k.in[0].OnAgain = func(in *core.Incoming) bool { again = in; return true }
		r.down()
		r.up(2, server)
		r.receive(incoming(sip.INVITE, "2"))
		r.receive(incoming(sip.CANCEL, "1"))
		r.response(200)
		if res := r.response(487); res.Via().Branch() != "z9hG4bK1" {
			t.Errorf("487:\n%s", res.AppendTo(nil))
		}
		r.reply(again, 180)
		r.response(180)
		if canceled {
			t.Error("the INVITE was canceled")
		}
	})
}

// TestRequestAgainOnAnotherWay: a request that is no INVITE is not handled twice,
// and answered both ways.
func TestRequestAgainOnAnotherWay(t *testing.T) {
	run(t, options(), func(r *rig) {
		k := r.keep(sip.MESSAGE)
		r.receive(incoming(sip.MESSAGE, "1"))
		r.down()
		r.up(2, server)
		r.receive(incoming(sip.MESSAGE, "2"))
		r.reply(k.in[0], 202)
		branches := []string{r.response(202).Via().Branch(), r.response(202).Via().Branch()}
		if !slices.Equal(branches, []string{"z9hG4bK1", "z9hG4bK2"}) || len(k.in) != 1 {
			t.Errorf("%d handled, answered %q", len(k.in), branches)
		}
		r.nothing()
	})
}

// TestSentAgain: a request marked so is sent again when its flow is lost, as a
// new one; any other never is.
func TestSentAgain(t *testing.T) {
	run(t, options(), func(r *rig) {
		_, d := r.called()
		r.request(sip.ACK)
		dialogs := func(s *sending) {
			s.Dialog, s.Wait = d, core.Forever
			s.Request = d.NewRequest(s.Request.Method())
		}
		once := r.send(sip.INFO, dialogs)
		r.request(sip.INFO)
		bye := r.send(sip.BYE, func(s *sending) { dialogs(s); s.Repeat = true })
		first := r.request(sip.BYE)
		r.down()
		if !errors.Is(once.err, net.ErrClosed) {
			t.Errorf("INFO: %v", once.err)
		}
		r.sleep(time.Hour)
		r.up(2, server)
		second := r.request(sip.BYE)
		if second.CSeq().Seq != first.CSeq().Seq+1 || second.Via().Branch() == first.Via().Branch() {
			t.Errorf("again:\n%s", second.AppendTo(nil))
		}
		r.nothing()
		r.answer(second, 200)
		bye.got(200)
		r.down()
		r.up(3, server)
		r.nothing()
		if bye.err != nil {
			t.Errorf("BYE: %v", bye.err)
		}

		r.down()
		waits := r.send(sip.BYE, func(s *sending) { dialogs(s); s.Repeat = true })
		r.sleep(time.Hour)
		r.Close(nil)
		if !errors.Is(waits.err, net.ErrClosed) {
			t.Errorf("BYE at the end: %v", waits.err)
		}
	})
}
