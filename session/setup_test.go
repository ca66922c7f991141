package session

import "testing"

// TestSetup is the table of the machine: state, input, next state, actions. What
// is not named is ignored, which the test checks too.
func TestSetup(t *testing.T) {
	type row struct {
		from setupState
		in   setupInput
		to   setupState
		do   setupActions
	}
	rows := []row{
		{setupSound, suCut, setupCut, 0},
		{setupSound, suHeard, setupSound, suStop},
		{setupCut, suReady, setupListening, suStop | suStart},
		{setupCut, suHeard, setupSound, suStop},
		{setupListening, suReady, setupListening, suStop | suStart},
		{setupListening, suBare, setupCut, suStop},
		{setupListening, suHeard, setupSound, suStop},
		{setupListening, suDue, setupSound, suLose},
		{setupListening, suOver, setupSound, suStop},
	}
	named := map[[2]uint8]row{}
	for _, r := range rows {
		named[[2]uint8{uint8(r.from), uint8(r.in)}] = r
	}
	for from := setupSound; from <= setupListening; from++ {
		for in := suCut; in <= suOver; in++ {
			want, ok := named[[2]uint8{uint8(from), uint8(in)}]
			if !ok {
				want = row{from, in, from, 0}
			}
			m := setup{state: from}
			if got := m.step(in); got != want.do || m.state != want.to {
				t.Errorf("%v + %d: %v, %b; want %v, %b", from, in, m.state, got, want.to, want.do)
			}
		}
	}
}

// TestSetupPlacesAgainOnce: by either end of the waiting.
func TestSetupPlacesAgainOnce(t *testing.T) {
	for _, end := range []struct {
		in    setupInput
		first setupActions
		next  setupActions
	}{
		{suDue, suAgain, suLose},
		{suOver, suStop | suAgain, suStop},
	} {
		m := setup{again: true}
		for _, want := range []setupActions{end.first, end.next} {
			m.step(suCut)
			m.step(suReady)
			if got := m.step(end.in); got != want || m.state != setupSound {
				t.Errorf("input %d: %b in %v, want %b", end.in, got, m.state, want)
			}
		}
	}
}
