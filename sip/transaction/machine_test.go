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
// transport, with the rows for a lost flow and the one that takes its place.
func TestServerInvite(t *testing.T) {
	type m = serverInvite
	for _, tt := range []struct {
		name string
		from m
		in   input
		to   m
		out  []action
	}{
		{"INVITE", m{state: Proceeding}, begin, m{state: Proceeding}, does(start, timerTrying)},
		{"200 ms", m{state: Proceeding}, expired, m{state: Proceeding, said: true}, does(trying)},
		{"1xx from TU", m{state: Proceeding}, provisional, m{state: Proceeding, said: true}, does(stop, send)},
		{"INVITE again", m{state: Proceeding}, repeated, m{state: Proceeding}, does(send)},
		{"CANCEL", m{state: Proceeding}, canceled, m{state: Proceeding}, does(pass)},
		{"2xx from TU", m{state: Proceeding}, success, m{state: Accepted}, does(send, start, timerL)},
		{"300-699 from TU", m{state: Proceeding}, failure, m{state: Completed}, does(send, start, timerH)},
		{"flow lost", m{state: Proceeding, said: true}, flowLost, m{state: Proceeding, said: true, lost: true}, does(start, timerRecovery)},
		{"1xx without a flow", m{state: Proceeding, lost: true}, provisional, m{state: Proceeding, said: true, lost: true}, does(send)},
		{"2xx without a flow", m{state: Proceeding, lost: true}, success, m{state: Accepted, lost: true}, does(send)},
		{"300-699 without a flow", m{state: Proceeding, lost: true}, failure, m{state: Completed, lost: true}, does(send)},
		{"next flow", m{state: Proceeding, said: true, lost: true}, flowFound, m{state: Proceeding, said: true}, does(stop, send, found)},
		{"next flow, nothing said", m{state: Proceeding, lost: true}, flowFound, m{state: Proceeding}, does(start, timerTrying)},
		{"another flow", m{state: Proceeding}, flowFound, m{state: Proceeding}, nil},
		{"no flow in time", m{state: Proceeding, lost: true}, expired, m{state: Terminated, lost: true}, does(fail, finish)},

		{"INVITE again", m{state: Completed}, repeated, m{state: Completed}, does(send)},
		{"ACK", m{state: Completed}, acked, m{state: Terminated}, does(finish)},
		{"Timer H", m{state: Completed}, expired, m{state: Terminated}, does(finish)},
		{"CANCEL late", m{state: Completed}, canceled, m{state: Completed}, nil},
		{"flow lost", m{state: Completed}, flowLost, m{state: Completed, lost: true}, does(start, timerRecovery)},
		{"next flow", m{state: Completed, lost: true}, flowFound, m{state: Completed}, does(send, start, timerH, found)},
		{"ACK on another flow", m{state: Completed, lost: true}, acked, m{state: Terminated, lost: true}, does(finish)},
		{"no flow in time", m{state: Completed, lost: true}, expired, m{state: Terminated, lost: true}, does(finish)},

		{"INVITE again", m{state: Accepted}, repeated, m{state: Accepted}, nil},
		{"ACK", m{state: Accepted}, acked, m{state: Accepted}, does(pass)},
		{"2xx from TU again", m{state: Accepted}, success, m{state: Accepted}, does(send)},
		{"CANCEL late", m{state: Accepted}, canceled, m{state: Accepted}, nil},
		{"Timer L", m{state: Accepted}, expired, m{state: Terminated}, does(finish)},
		{"flow lost", m{state: Accepted}, flowLost, m{state: Accepted, lost: true}, does(start, timerRecovery)},
		{"next flow", m{state: Accepted, lost: true}, flowFound, m{state: Accepted}, does(start, timerL, found)},
		{"no flow in time", m{state: Accepted, lost: true}, expired, m{state: Terminated, lost: true}, does(fail, finish)},

		{"ACK", m{state: Terminated}, acked, m{state: Terminated}, nil},
		{"flow lost", m{state: Terminated}, flowLost, m{state: Terminated}, nil},
	} {
		t.Run(tt.from.state.String()+"/"+tt.name, func(t *testing.T) {
			var got actions
			m := tt.from
			m.step(tt.in, &got)
			checkActions(t, got, tt.out)
			if m != tt.to {
				t.Errorf("machine is %+v, want %+v", m, tt.to)
			}
		})
	}
}

// TestServerNonInvite is RFC 3261 figure 8 over a reliable transport, with the
// 100 of RFC 4320, the answer in place of a handler's, and the rows for a lost
// flow and the one that takes its place.
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
		{"flow lost", m{state: Trying}, flowLost, m{state: Trying, lost: true}, nil},
		{"next flow", m{state: Trying, lost: true}, flowFound, m{state: Trying}, nil},
		{"200-699 without a flow", m{state: Trying, lost: true}, success, m{state: Completed, lost: true}, nil},

		{"request again", m{state: Proceeding}, repeated, m{state: Proceeding}, does(send)},
		{"1xx from TU", m{state: Proceeding}, provisional, m{state: Proceeding}, does(send)},
		{"200-699 from TU", m{state: Proceeding}, success, m{state: Terminated}, does(send, finish)},
		{"late", m{state: Proceeding}, expired, m{state: Proceeding, late: true}, does(start, timerAnswer)},
		{"unanswered", m{state: Proceeding, late: true}, expired, m{state: Proceeding, late: true, due: true}, does(start, timerLast, answer)},
		{"64·T1", m{state: Proceeding, late: true, due: true}, expired, m{state: Terminated, late: true, due: true}, does(fail, finish)},
		{"flow lost", m{state: Proceeding}, flowLost, m{state: Proceeding, lost: true}, nil},
		{"next flow", m{state: Proceeding, lost: true}, flowFound, m{state: Proceeding}, does(send)},
		{"200-699 without a flow", m{state: Proceeding, lost: true}, failure, m{state: Completed, lost: true}, nil},

		{"next flow", m{state: Completed, lost: true}, flowFound, m{state: Terminated}, does(send, finish)},
		{"request again", m{state: Completed, lost: true}, repeated, m{state: Completed, lost: true}, nil},
		{"late", m{state: Completed, lost: true}, expired, m{state: Completed, lost: true, late: true}, does(start, timerAnswer)},
		{"60·T1", m{state: Completed, lost: true, late: true}, expired, m{state: Completed, lost: true, late: true, due: true}, does(start, timerLast)},
		{"64·T1", m{state: Completed, lost: true, late: true, due: true}, expired, m{state: Terminated, lost: true, late: true, due: true}, does(finish)},

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
		si := serverInvite{s, !flag, flag}
		sn := serverNonInvite{s, flag, !flag, flag}
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
