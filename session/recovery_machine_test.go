package session

import "testing"

// TestWayBack is the machine's table: what is done about each input in each
// state, with and without a connection's token in the route set, and where the far
// end knows Replaces or not. What is not listed changes nothing.
func TestWayBack(t *testing.T) {
	var (
		plain     = wayFacts{}
		replaces  = wayFacts{replaceable: true}
		token     = wayFacts{token: true}
		tokenRepl = wayFacts{token: true, replaceable: true}
		all       = []wayFacts{plain, replaces, token, tokenRepl}
	)
	type row struct {
		state wayState
		in    wayInput
		facts []wayFacts
		to    wayState
		do    wayAction
	}
	rows := []row{
		{wayOpen, wayFlowLost, all, wayLost, wayNothing},
		{wayLost, wayFlowReady, []wayFacts{plain, replaces}, wayRefreshing, wayRefresh},
		{wayLost, wayFlowReady, []wayFacts{tokenRepl}, wayReplacing, wayReplace},
		{wayLost, wayFlowReady, []wayFacts{token}, wayShut, wayReport},
		{wayRefreshing, wayRefreshed, all, wayOpen, wayRecover},
		{wayRefreshing, wayHeard, all, wayOpen, wayRecover},
		{wayRefreshing, wayRefused, []wayFacts{replaces, tokenRepl}, wayReplacing, wayReplace},
		{wayRefreshing, wayRefused, []wayFacts{plain, token}, wayShut, wayReport},
		{wayRefreshing, wayFlowLost, all, wayLost, wayNothing},
		{wayReplacing, wayKept, all, wayShut, wayReport},
		{wayReplacing, wayFlowLost, all, wayLost, wayStop},
		{wayShut, wayFlowLost, all, wayLost, wayNothing},
		{wayShut, wayProbe, all, wayLost, wayNothing},
		{wayShut, wayHeard, all, wayOpen, wayRecover},
	}
	for state := wayOpen; state <= wayShut; state++ { // the far end may replace it at any time
		rows = append(rows, row{state, wayReplaced, all, wayOpen, wayRecover})
	}
	for state := wayOpen; state <= wayShut; state++ {
		for in := range numWayInputs {
			for _, f := range all {
				wantState, wantDo := state, wayNothing
				for _, r := range rows {
					for _, of := range r.facts {
						if r.state == state && r.in == in && of == f {
							wantState, wantDo = r.to, r.do
						}
					}
				}
				w := wayBack{state: state}
				if do := w.step(in, f); do != wantDo || w.state != wantState {
					t.Errorf("%v, %v, %+v: %v and %v, want %v and %v", state, in, f, do, w.state, wantDo, wantState)
				}
			}
		}
	}
}
