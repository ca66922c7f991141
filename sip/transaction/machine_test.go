package transaction

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// does lists actions in a test table; a start or fail is followed by its timer.
func does(list ...any) []action {
	var acts []action
	for _, x := range list {
		switch x := x.(type) {
		case kind:
			acts = append(acts, action{kind: x})
		case timer:
			acts[len(acts)-1].timer = x
		}
	}
	return acts
}

func checkActions(t *testing.T, got actions, want []action) {
	t.Helper()
	if d := cmp.Diff(want, append([]action(nil), got.list[:got.n]...), cmp.AllowUnexported(action{})); d != "" {
		t.Errorf("actions (-want +got):\n%s", d)
	}
}

// TestClientInvite is RFC 3261 figure 5 as replaced by RFC 6026, over a reliable
// transport, with the rows for CANCEL and for a lost flow.
func TestClientInvite(t *testing.T) {
	type m = clientInvite
	for _, tt := range []struct {
		name string
		from m
		in   input
		to   m
		out  []action
	}{
		{"INVITE from TU", m{state: Calling}, begin, m{state: Calling}, does(send, start, timerB)},
		{"1xx", m{state: Calling}, provisional, m{state: Proceeding}, does(stop, pass)},
		{"2xx", m{state: Calling}, success, m{state: Accepted}, does(start, timerM, pass)},
		{"300-699", m{state: Calling}, failure, m{state: Terminated}, does(ack, pass, finish)},
		{"Timer B", m{state: Calling}, expired, m{state: Terminated}, does(fail, timerB, finish)},
		{"flow lost", m{state: Calling}, flowLost, m{state: Calling, lost: true}, does(start, timerRecovery)},
		{"recovered by 1xx", m{state: Calling, lost: true}, provisional, m{state: Proceeding}, does(stop, pass)},
		{"recovered by 2xx", m{state: Calling, lost: true}, success, m{state: Accepted, lost: true}, does(start, timerM, pass)},
		{"not recovered", m{state: Calling, lost: true}, expired, m{state: Terminated, lost: true}, does(fail, finish)},

		{"further 1xx", m{state: Proceeding}, provisional, m{state: Proceeding}, does(pass)},
		{"2xx", m{state: Proceeding}, success, m{state: Accepted}, does(start, timerM, pass)},
		{"300-699", m{state: Proceeding}, failure, m{state: Terminated}, does(ack, pass, finish)},
		{"flow lost", m{state: Proceeding}, flowLost, m{state: Proceeding, lost: true}, does(start, timerRecovery)},
		{"recovered by 1xx", m{state: Proceeding, lost: true}, provisional, m{state: Proceeding}, does(stop, pass)},
		{"not recovered", m{state: Proceeding, lost: true}, expired, m{state: Terminated, lost: true}, does(fail, finish)},

		{"CANCEL sent", m{state: Proceeding}, canceled, m{state: Proceeding, canceled: true}, does(start, timerB)},
		{"1xx after CANCEL", m{state: Proceeding, canceled: true}, provisional, m{state: Proceeding, canceled: true}, does(pass)},
		{"flow lost after CANCEL", m{state: Proceeding, canceled: true}, flowLost, m{state: Proceeding, canceled: true}, nil},
		{"487", m{state: Proceeding, canceled: true}, failure, m{state: Terminated, canceled: true}, does(ack, pass, finish)},
		{"2xx wins", m{state: Proceeding, canceled: true}, success, m{state: Accepted, canceled: true}, does(start, timerM, pass)},
		{"64·T1 after CANCEL", m{state: Proceeding, canceled: true}, expired, m{state: Terminated, canceled: true}, does(fail, timerB, finish)},

		{"2xx again", m{state: Accepted}, success, m{state: Accepted}, does(pass)},
		{"1xx of another fork", m{state: Accepted}, provisional, m{state: Accepted}, does(pass)},
		{"300-699 of another fork", m{state: Accepted}, failure, m{state: Accepted}, nil},
		{"CANCEL late", m{state: Accepted}, canceled, m{state: Accepted}, nil},
		{"flow lost", m{state: Accepted}, flowLost, m{state: Accepted}, nil},
		{"Timer M", m{state: Accepted}, expired, m{state: Terminated}, does(finish)},

		{"2xx", m{state: Terminated}, success, m{state: Terminated}, nil},
		{"flow lost", m{state: Terminated}, flowLost, m{state: Terminated}, nil},
	} {
		t.Run(tt.from.state.String()+"/"+tt.name, func(t *testing.T) {
			var got actions
			c := tt.from
			c.step(tt.in, &got)
			checkActions(t, got, tt.out)
			if c != tt.to {
				t.Errorf("machine is %+v, want %+v", c, tt.to)
			}
		})
	}
}

// TestClientNonInvite is RFC 3261 figure 6 over a reliable transport.
func TestClientNonInvite(t *testing.T) {
	for _, tt := range []struct {
		name string
		from State
		in   input
		to   State
		out  []action
	}{
		{"request from TU", Calling, begin, Trying, does(send, start, timerF)},
		{"1xx", Trying, provisional, Proceeding, does(pass)},
		{"2xx", Trying, success, Terminated, does(pass, finish)},
		{"300-699", Trying, failure, Terminated, does(pass, finish)},
		{"Timer F", Trying, expired, Terminated, does(fail, timerF, finish)},
		{"flow lost", Trying, flowLost, Terminated, does(fail, finish)},
		{"further 1xx", Proceeding, provisional, Proceeding, does(pass)},
		{"2xx", Proceeding, success, Terminated, does(pass, finish)},
		{"300-699", Proceeding, failure, Terminated, does(pass, finish)},
		{"Timer F", Proceeding, expired, Terminated, does(fail, timerF, finish)},
		{"flow lost", Proceeding, flowLost, Terminated, does(fail, finish)},
		{"anything", Terminated, success, Terminated, nil},
	} {
		t.Run(tt.from.String()+"/"+tt.name, func(t *testing.T) {
			var got actions
			m := clientNonInvite{tt.from}
			m.step(tt.in, &got)
			checkActions(t, got, tt.out)
			if m.state != tt.to {
				t.Errorf("state is %v, want %v", m.state, tt.to)
			}
		})
	}
}

// TestServerInvite is RFC 3261 figure 7 as replaced by RFC 6026, over a reliable
// transport.
func TestServerInvite(t *testing.T) {
	for _, tt := range []struct {
		name string
		from State
		in   input
		to   State
		out  []action
	}{
		{"INVITE", Proceeding, begin, Proceeding, does(start, timerTrying)},
		{"200 ms", Proceeding, expired, Proceeding, does(trying)},
		{"1xx from TU", Proceeding, provisional, Proceeding, does(stop, send)},
		{"INVITE again", Proceeding, repeated, Proceeding, does(send)},
		{"CANCEL", Proceeding, canceled, Proceeding, does(pass)},
		{"2xx from TU", Proceeding, success, Accepted, does(send, start, timerL)},
		{"300-699 from TU", Proceeding, failure, Completed, does(send, start, timerH)},
		{"flow lost", Proceeding, flowLost, Terminated, does(fail, finish)},

		{"INVITE again", Completed, repeated, Completed, does(send)},
		{"ACK", Completed, acked, Terminated, does(finish)},
		{"Timer H", Completed, expired, Terminated, does(finish)},
		{"flow lost", Completed, flowLost, Terminated, does(finish)},
		{"CANCEL late", Completed, canceled, Completed, nil},

		{"INVITE again", Accepted, repeated, Accepted, nil},
		{"ACK", Accepted, acked, Accepted, does(pass)},
		{"2xx from TU again", Accepted, success, Accepted, does(send)},
		{"CANCEL late", Accepted, canceled, Accepted, nil},
		{"flow lost", Accepted, flowLost, Accepted, nil},
		{"Timer L", Accepted, expired, Terminated, does(finish)},

		{"ACK", Terminated, acked, Terminated, nil},
	} {
		t.Run(tt.from.String()+"/"+tt.name, func(t *testing.T) {
			var got actions
			m := serverInvite{tt.from}
			m.step(tt.in, &got)
			checkActions(t, got, tt.out)
			if m.state != tt.to {
				t.Errorf("state is %v, want %v", m.state, tt.to)
			}
		})
	}
}

// TestServerNonInvite is RFC 3261 figure 8 over a reliable transport, with the
// 100 of RFC 4320 and the answer in place of a handler's.
func TestServerNonInvite(t *testing.T) {
	type m = serverNonInvite
	for _, tt := range []struct {
		name string
		from m
		in   input
		to   m
		out  []action
	}{
		{"request", m{state: Calling}, begin, m{state: Trying}, does(start, timerLate)},
		{"request again", m{state: Trying}, repeated, m{state: Trying}, nil},
		{"1xx from TU", m{state: Trying}, provisional, m{state: Proceeding}, does(send)},
		{"200-699 from TU", m{state: Trying}, success, m{state: Terminated}, does(send, finish)},
		{"200-699 from TU", m{state: Trying}, failure, m{state: Terminated}, does(send, finish)},
		{"late", m{state: Trying}, expired, m{state: Proceeding, late: true}, does(trying, start, timerAnswer)},
		{"flow lost", m{state: Trying}, flowLost, m{state: Terminated}, does(fail, finish)},

		{"request again", m{state: Proceeding}, repeated, m{state: Proceeding}, does(send)},
		{"1xx from TU", m{state: Proceeding}, provisional, m{state: Proceeding}, does(send)},
		{"200-699 from TU", m{state: Proceeding}, success, m{state: Terminated}, does(send, finish)},
		{"late", m{state: Proceeding}, expired, m{state: Proceeding, late: true}, does(start, timerAnswer)},
		{"unanswered", m{state: Proceeding, late: true}, expired, m{state: Proceeding, late: true}, does(answer)},
		{"flow lost", m{state: Proceeding}, flowLost, m{state: Terminated}, does(fail, finish)},

		{"anything", m{state: Terminated}, success, m{state: Terminated}, nil},
	} {
		t.Run(tt.from.state.String()+"/"+tt.name, func(t *testing.T) {
			var got actions
			s := tt.from
			s.step(tt.in, &got)
			checkActions(t, got, tt.out)
			if s != tt.to {
				t.Errorf("machine is %+v, want %+v", s, tt.to)
			}
		})
	}
}

// TestMachinesTakeAnything feeds every machine every input in every state: none
// may overflow its actions, act on after finish, or leave Terminated.
func TestMachinesTakeAnything(t *testing.T) {
	steps := func(s State, flag bool) []func(input, *actions) State {
		ci := clientInvite{s, flag, !flag}
		cn := clientNonInvite{s}
		si := serverInvite{s}
		sn := serverNonInvite{s, flag}
		return []func(input, *actions) State{
			func(in input, a *actions) State { ci.step(in, a); return ci.state },
			func(in input, a *actions) State { cn.step(in, a); return cn.state },
			func(in input, a *actions) State { si.step(in, a); return si.state },
			func(in input, a *actions) State { sn.step(in, a); return sn.state },
		}
	}
	for s := Calling; s <= Terminated; s++ {
		for in := begin; in <= expired; in++ {
			for _, flag := range []bool{false, true} {
				for i, step := range steps(s, flag) {
					var acts actions
					after := step(in, &acts)
					for j, a := range acts.list[:acts.n] {
						if a.kind == finish && (j != acts.n-1 || after != Terminated) {
							t.Errorf("machine %d in %v: finish is not the end of it", i, s)
						}
					}
					if s == Terminated && (after != Terminated || acts.n > 0) {
						t.Errorf("machine %d acts after Terminated on input %d", i, in)
					}
				}
			}
		}
	}
}

func TestStateString(t *testing.T) {
	if got := Accepted.String(); got != "Accepted" {
		t.Errorf("Accepted is %q", got)
	}
	if got := State(99).String(); got != "State(99)" {
		t.Errorf("State(99) is %q", got)
	}
}
