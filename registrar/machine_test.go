package registrar

import (
	"strings"
	"testing"
)

// name writes a machine as its state and flags: f for flow, b for bound, t for
// turn.
func (m machine) name() string {
	s := m.state.String()
	for _, flag := range []struct {
		on   bool
		name string
	}{{m.flow, "f"}, {m.bound, "b"}, {m.turn, "t"}} {
		if flag.on {
			s += " " + flag.name
		}
	}
	return s
}

// rows are all pairs that do something, as "machine: input: machine: action".
const rows = `
Unregistered:      Want:     Waiting:          Nothing
Unregistered:      Unwant:   Unregistered:     Nothing
Unregistered f:    Want:     Registering f:    Register
Unregistered f:    Unwant:   Removing f:       Remove

Refused:           Want:     Waiting:          Nothing
Refused:           Unwant:   Unregistered:     Nothing
Refused f:         Want:     Registering f:    Register
Refused f:         Unwant:   Removing f:       Remove
Refused f b:       Want:     Refreshing f b:   Register
Refused f b:       Unwant:   Removing f b:     Remove

Waiting:           FlowUp:   Registering f:    Register
Waiting:           Unwant:   Unregistered:     Nothing
Waiting:           Refused:  Refused:          Nothing

BackingOff f:      Want:     Registering f:    Register
BackingOff f:      FlowUp:   Registering f:    Register
BackingOff f:      Due:      Registering f:    Register
BackingOff f:      FlowDown: Waiting:          Nothing
BackingOff f:      Unwant:   Removing f:       Remove
BackingOff f:      Refused:  Refused f:        Nothing
BackingOff f:      Spare:    Standby f:        Nothing
BackingOff f b:    Want:     Refreshing f b:   Register
BackingOff f b:    FlowUp:   Refreshing f b:   Register
BackingOff f b:    Due:      Refreshing f b:   Register
BackingOff f b:    FlowDown: Waiting:          Nothing
BackingOff f b:    Unwant:   Removing f b:     Remove
BackingOff f b:    Refused:  Refused f b:      Nothing
BackingOff f b:    Spare:    Standby f:        Nothing

Standby f:         Want:     Registering f:    Register
Standby f:         FlowUp:   Registering f:    Register
Standby f:         Due:      Registering f:    Register
Standby f:         FlowDown: Waiting:          Nothing
Standby f:         Unwant:   Unregistered f:   Nothing
Standby f:         Refused:  Refused f:        Nothing

Registering f:     Accepted: Registered f b:   Keep
Registering f:     Failed:   BackingOff f:     Retry
Registering f:     Refused:  Refused f:        Nothing
Registering f:     Held:     BackingOff f:     Nothing
Registering f:     Spare:    Standby f:        Nothing
Registering f:     FlowUp:   Registering f:    Register
Registering f:     FlowDown: Waiting:          Nothing
Registering f:     Unwant:   Registering f t:  Nothing

Registering f t:   Failed:   Removing f:       Remove
Registering f t:   Hurry:    Removing f:       Remove
Registering f t:   FlowUp:   Removing f:       Remove
Registering f t:   FlowDown: Unregistered:     Nothing
Registering f t:   Want:     Registering f:    Nothing

Refreshing f b:    Accepted: Registered f b:   Keep
Refreshing f b:    Failed:   BackingOff f b:   Retry
Refreshing f b:    Refused:  Refused f b:      Nothing
Refreshing f b:    Held:     BackingOff f b:   Nothing
Refreshing f b:    Spare:    Standby f:        Nothing
Refreshing f b:    Lapsed:   Registering f:    Nothing
Refreshing f b:    FlowUp:   Refreshing f b:   Register
Refreshing f b:    FlowDown: Waiting:          Nothing
Refreshing f b:    Unwant:   Refreshing f b t: Nothing

Refreshing f b t:  Failed:   Removing f b:     Remove
Refreshing f b t:  Hurry:    Removing f b:     Remove
Refreshing f b t:  Lapsed:   Registering f t:  Nothing
Refreshing f b t:  FlowUp:   Removing f b:     Remove
Refreshing f b t:  FlowDown: Unregistered:     Nothing
Refreshing f b t:  Want:     Refreshing f b:   Nothing

Registered f b:    Want:     Refreshing f b:   Register
Registered f b:    Due:      Refreshing f b:   Register
Registered f b:    FlowUp:   Refreshing f b:   Register
Registered f b:    FlowDown: Waiting:          Nothing
Registered f b:    Unwant:   Removing f b:     Remove
Registered f b:    Spare:    Standby f:        Nothing

Removing f:        Removed:  Unregistered f:   Nothing
Removing f:        FlowDown: Unregistered:     Nothing
Removing f:        Want:     Removing f t:     Nothing
Removing f b:      Removed:  Unregistered f:   Nothing
Removing f b:      FlowDown: Unregistered:     Nothing
Removing f b:      Want:     Removing f b t:   Nothing
Removing f t:      Removed:  Registering f:    Register
Removing f t:      FlowDown: Waiting:          Nothing
Removing f t:      Unwant:   Removing f:       Nothing
Removing f b t:    Removed:  Registering f:    Register
Removing f b t:    FlowDown: Waiting:          Nothing
Removing f b t:    Unwant:   Removing f b:     Nothing

Closed:
Closed f:
Closed f b:
`

// Every state meets every input: what the rows name happens, and nothing else
// does but that the machine notes whether there are a connection and a binding.
func TestMachine(t *testing.T) {
	named := map[string]string{}
	machines := map[string]bool{}
	for line := range strings.Lines(rows) {
		cells := strings.Split(strings.TrimSpace(line), ":")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if cells[0] != "" {
			machines[cells[0]] = true
		}
		if len(cells) == 4 {
			named[cells[0]+", "+cells[1]] = cells[2] + ", " + cells[3]
		}
	}
	for s := range numStates {
		for flags := range 8 {
			start := machine{state: s, flow: flags&1 != 0, bound: flags&2 != 0, turn: flags&4 != 0}
			if !machines[start.name()] {
				continue // cannot be: see TestMachineReaches
			}
			for in := range numInputs {
				want := noted(start, in).name() + ", " + doNothing.String()
				if in == inClose {
					want = machine{state: Closed, flow: start.flow, bound: start.bound}.name() + ", " + doNothing.String()
				}
				pair := start.name() + ", " + in.String()
				if row, ok := named[pair]; ok {
					want = row
					delete(named, pair)
				}
				m := start
				a := m.step(in)
				if got := m.name() + ", " + a.String(); got != want {
					t.Errorf("%s: got %s, want %s", pair, got, want)
				}
			}
		}
	}
	for pair := range named {
		t.Errorf("row %q was not tried", pair)
	}
}

// noted is what every state makes of the inputs that say what there is.
func noted(m machine, in input) machine {
	switch in {
	case inFlowUp:
		m.flow = true
	case inFlowDown:
		m.flow, m.bound = false, false
	case inLapsed:
		m.bound = false
	}
	return m
}

// The machines of the rows are those that inputs lead to from where a Registrar
// begins, given that a driver reports what comes of a REGISTER only while one is
// out, that without a connection nothing is due, and that a binding is renewed
// before it lapses.
func TestMachineReaches(t *testing.T) {
	reached := map[string]bool{}
	var visit func(m machine)
	visit = func(m machine) {
		if reached[m.name()] {
			return
		}
		reached[m.name()] = true
		for in := range numInputs {
			next := m
			if possible(m, in) {
				next.step(in)
				visit(next)
			}
		}
	}
	visit(machine{})
	visit(machine{state: Waiting})
	for line := range strings.Lines(rows) {
		if name, _, _ := strings.Cut(strings.TrimSpace(line), ":"); name != "" && !reached[name] {
			t.Errorf("%s has a row and cannot be", name)
		}
	}
	for name := range reached {
		if !strings.Contains(rows, "\n"+name+":") {
			t.Errorf("%s can be and has no row", name)
		}
	}
}

func possible(m machine, in input) bool {
	switch in {
	case inFailed:
		return m.state == Registering || m.state == Refreshing
	case inRefused:
		return (m.state == Registering || m.state == Refreshing) && !m.turn || m.state == Waiting || m.state == BackingOff || m.state == Standby
	case inSpare:
		return (m.state == Registering || m.bound) && !m.turn
	case inAccepted, inHeld:
		return (m.state == Registering || m.state == Refreshing) && !m.turn
	case inHurry:
		return m.turn
	case inRemoved:
		return m.state == Removing
	case inFlowDown:
		return m.flow
	case inDue:
		return m.state == Registered || m.state == BackingOff || m.state == Standby
	case inLapsed:
		return m.bound && m.state != Registered
	}
	return m.state != Closed
}

func TestNames(t *testing.T) {
	for s := range numStates {
		if s.String() == "" || s.String() == "Unknown" {
			t.Errorf("State %d has no name", s)
		}
	}
	if got := State(200).String(); got != "Unknown" {
		t.Errorf("State(200) is %q", got)
	}
	for k, want := range map[EventKind]string{
		EventRegistered: "registered", EventRefreshed: "refreshed", EventUnregistered: "unregistered",
		EventFailed: "failed", EventFailed + 1: "unknown",
	} {
		if got := k.String(); got != want {
			t.Errorf("EventKind %d is %q, want %q", k, got, want)
		}
	}
}
