package session

import "testing"

// TestPath is the machine of a media path in rows: state, input, next state, what
// to do. What is not named changes nothing, which the test checks too.
func TestPath(t *testing.T) {
	type row struct {
		from pathState
		in   pathInput
		to   pathState
		do   pathDo
	}
	// Of a path that was there once, whose old one beside a restart is dead.
	rows := []row{
		{pathNew, paConnected, pathUp, paHeard},
		{pathNew, paDisconnected, pathNew, paSilent},
		{pathNew, paFailed, pathDue, paSilent | paRestart},
		{pathNew, paMoved, pathDue, paRestart},

		{pathUp, paConnected, pathUp, paHeard},
		{pathUp, paDisconnected, pathWaiting, paSilent},
		{pathUp, paFailed, pathDue, paSilent | paRestart},
		{pathUp, paMoved, pathDue, paRestart},

		{pathWaiting, paConnected, pathUp, paHeard},
		{pathWaiting, paDisconnected, pathWaiting, paSilent},
		{pathWaiting, paFailed, pathDue, paSilent | paRestart},
		{pathWaiting, paMoved, pathDue, paRestart},

		{pathDue, paConnected, pathUp, paHeard},
		{pathDue, paDisconnected, pathDue, paSilent},
		{pathDue, paFailed, pathDue, paSilent},
		{pathDue, paBegun, pathRestarting, 0},

		{pathRestarting, paConnected, pathRestarting, paHeard | paDrop},
		{pathRestarting, paDisconnected, pathRestarting, paSilent},
		{pathRestarting, paFailed, pathRestarting, paSilent},
		{pathRestarting, paMoved, pathRestarting, paStale},
		{pathRestarting, paAgreed, pathConnecting, 0},
		{pathRestarting, paRefused, pathOver, paGiveUp},
		{pathRestarting, paAside, pathAside, 0},

		{pathAside, paConnected, pathUp, paHeard},
		{pathAside, paRefused, pathOver, paGiveUp},

		{pathConnecting, paConnected, pathUp, paHeard},
		{pathConnecting, paDisconnected, pathConnecting, paSilent},
		{pathConnecting, paFailed, pathOver, paGiveUp},
		{pathConnecting, paMoved, pathDue, paRestart},

		{pathBroken, paConnected, pathUp, paHeard},
	}
	named := map[row]row{}
	for _, r := range rows {
		named[row{from: r.from, in: r.in}] = r
	}
	for from := pathNew; from <= pathOver; from++ {
		for in := range numPathInputs {
			want, ok := named[row{from: from, in: in}]
			switch {
			case in == paEnd:
				want.to = pathOver
			case in == paReplaced && from != pathOver:
				want.to, want.do = pathNew, paDrop
			case !ok:
				want.to = from
			}
			p := path{policy: MediaRestart, state: from, ever: true, old: pathBroken}
			if got := p.step(in); got != want.do || p.state != want.to {
				t.Errorf("%v + %v: %v, %b; want %v, %b", from, in, p.state, got, want.to, want.do)
			}
		}
	}
}

// TestPathRuns are runs of the machine whose end depends on what came before.
func TestPathRuns(t *testing.T) {
	for _, tt := range []struct {
		name   string
		policy MediaRecovery
		in     []pathInput
		to     pathState
		do     pathDo // about the last input
	}{
		{"a path that never was", MediaRestart, []pathInput{paFailed}, pathOver, paGiveUp},
		{"only reported", MediaKeep, []pathInput{paConnected, paFailed}, pathBroken, paSilent},
		{"only reported, and back", MediaKeep, []pathInput{paConnected, paFailed, paConnected}, pathUp, paHeard},
		{"nothing is done about an address", MediaKeep, []pathInput{paConnected, paMoved}, pathUp, 0},
		{"the end at once", MediaEnd, []pathInput{paConnected, paFailed}, pathOver, paGiveUp},
		{"a loss for now is waited out", MediaEnd, []pathInput{paConnected, paDisconnected}, pathWaiting, paSilent},
		{"refused beside a path that lives", MediaRestart, []pathInput{paConnected, paMoved, paBegun, paRefused}, pathUp, 0},
		{"which then fails", MediaRestart, []pathInput{paConnected, paMoved, paBegun, paRefused, paFailed}, pathDue, paSilent | paRestart},
		{"refused beside one that is lost for now", MediaRestart, []pathInput{paConnected, paMoved, paBegun, paDisconnected, paRefused}, pathWaiting, 0},
		{"refused beside one that failed meanwhile", MediaRestart, []pathInput{paConnected, paMoved, paBegun, paFailed, paRefused}, pathOver, paGiveUp},
		{"back while due for an address", MediaRestart, []pathInput{paConnected, paDisconnected, paMoved, paConnected}, pathDue, paHeard},
		{"moved again", MediaRestart, []pathInput{paConnected, paMoved, paBegun, paMoved, paAgreed}, pathDue, paRestart},
		{"moved again, and made anew", MediaRestart, []pathInput{paConnected, paMoved, paBegun, paMoved, paBegun, paAgreed}, pathConnecting, 0},
		{"the restart's path fails", MediaRestart, []pathInput{paConnected, paFailed, paBegun, paAgreed, paFailed}, pathOver, paGiveUp},
		{"and once it was up another may follow", MediaRestart, []pathInput{paConnected, paFailed, paBegun, paAgreed, paConnected, paFailed}, pathDue, paSilent | paRestart},
	} {
		p := path{policy: tt.policy}
		var do pathDo
		for _, in := range tt.in {
			do = p.step(in)
		}
		if p.state != tt.to || do != tt.do {
			t.Errorf("%s: %v, %b; want %v, %b", tt.name, p.state, do, tt.to, tt.do)
		}
	}
}
