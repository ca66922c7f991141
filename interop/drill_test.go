//go:build interop

package interop_test

import (
	"flag"
	"fmt"
	"testing"
	"time"
)

var drillsTable = flag.Bool("drills-table", false, "TestDrills holds each drill with JsSIP too, one after the other, and prints the table of README.md")

// drill is something that goes wrong while calls are up.
type drill struct {
	name    string
	options kamailioOptions
	two     bool // a second Kamailio is there for the subject, of less weight
	flows   bool // the subject is registered over two connections, one past the proxy, which JsSIP cannot be
	stays   bool // the connection outlives it
	replace bool // the way back is only opened by a new dialog in the place of the old one
	deaf    bool // the pages take no INVITE with Replaces, as JsSIP by itself does not: their calls go on without a way back
	digits  bool // a digit is sent in every call, by INFO, while there is no connection
	fault   func(*stage)
}

var drills = []drill{
	{name: "cut (FIN)", fault: (*stage).cut},
	{name: "cut, way back by flow token", options: kamailioOptions{NoGRUU: true}, replace: true, fault: (*stage).cut},
	{
		name: "cut, way back by flow token, no Replaces", options: kamailioOptions{NoGRUU: true},
		replace: true, deaf: true, fault: (*stage).cut,
	},
	{
		name: "cut, way back by alias", options: kamailioOptions{NoGRUU: true, NoOutbound: true},
		fault: (*stage).cut,
	},
	{name: "reset (RST)", fault: func(s *stage) { s.hit((*faultConn).reset) }},
	{name: "stalled", fault: func(s *stage) { s.spoil(trouble{Stall: bothWays}) }},
	{name: "black hole upwards", fault: func(s *stage) { s.spoil(trouble{Drop: upwards}) }},
	{name: "black hole downwards", fault: func(s *stage) { s.spoil(trouble{Drop: downwards}) }},
	{name: "black hole both ways", fault: func(s *stage) { s.spoil(trouble{Drop: bothWays}) }},
	{name: "half-open, the server has forgotten", fault: func(s *stage) { s.hit((*faultConn).loseServer) }},
	{name: "half-open, the server was not told", fault: func(s *stage) { s.hit((*faultConn).loseClient) }},
	{name: "delayed by 300 ms each way", stays: true, fault: func(s *stage) {
		s.proxy.suffer(trouble{Delay: 300 * time.Millisecond})
	}},
	{name: "one byte a segment", stays: true, fault: func(s *stage) { s.proxy.suffer(trouble{Chop: true}) }},
	{name: "no network for 15 s", fault: func(s *stage) {
		s.proxy.suffer(trouble{Stall: bothWays}) // what TCP holds back arrives in the end
		time.Sleep(15 * time.Second)
		s.proxy.suffer(trouble{})
	}},
	{name: "cut, and refused for 5 s", digits: true, fault: func(s *stage) {
		s.proxy.refuse()
		s.cut()
		time.Sleep(time.Second)
		for _, c := range s.calls {
			c.near.press()
		}
		time.Sleep(4 * time.Second)
		s.proxy.welcome()
	}},
	{name: "Kamailio restarted in order", fault: func(s *stage) {
		s.k.stop(s.t)
		s.k.start(s.t)
	}},
	{name: "Kamailio killed and restarted", fault: func(s *stage) {
		s.k.kill(s.t)
		s.k.start(s.t)
	}},
	{name: "Kamailio killed and down for 10 s", fault: func(s *stage) {
		s.k.kill(s.t)
		time.Sleep(10 * time.Second)
		s.k.start(s.t)
	}},
	{name: "one of two flows cut and refused for good", flows: true, fault: func(s *stage) {
		s.proxy.refuse()
		s.cut()
	}},
	{name: "two Kamailios, the one in use killed", two: true, replace: true, fault: func(s *stage) { s.k.kill(s.t) }},
}

// TestDrills: calls are up, twenty for the table and else eight, when the connection of the UA that has a part in all of
// them goes wrong, or its server does. None is lost, the media go on, the UA is registered again, and calls that are
// hung up then, at either end, end at the other.
//
// Only a foreign server can judge whether it knows the way back to us in calls that began on a connection which is
// gone, and only a foreign peer whether it takes what we send to keep them.
func TestDrills(t *testing.T) {
	if *drillsTable {
		var rows []drillRow
		for _, d := range drills {
			row := drillRow{drill: d.name, digits: d.digits}
			t.Run(d.name, func(t *testing.T) {
				t.Run("sipua", func(t *testing.T) { row.ours = d.hold(t, stageOurs(t, d)) })
				if !d.flows && !d.deaf {
					t.Run("JsSIP", func(t *testing.T) { row.jssip = d.hold(t, stageJsSIP(t, d)) })
				}
			})
			rows = append(rows, row)
		}
		fmt.Print(drillTable(rows))
		return
	}
	t.Parallel()
	for _, d := range drills {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			d.hold(t, stageOurs(t, d))
		})
	}
}

// hold lets it go wrong and sees what comes of it.
func (d drill) hold(t *testing.T, s *stage) *drillResult {
	s.waitTalk()
	for _, c := range s.calls {
		c.heard.mark()
	}
	r := &drillResult{calls: len(s.calls), noticed: never, registered: never, gap: never}
	began := time.Now()
	d.fault(s)

	switch {
	case d.stays:
		time.Sleep(12 * time.Second) // longer than it takes to notice that a connection is dead
	case d.flows:
		s.await("the loss noticed", stepLimit, func() bool { return s.subject.after(began, "disconnected") != never })
	default:
		limit := patience
		if s.ours {
			limit = stepLimit
		}
		s.await("the subject registered again", limit, func() bool {
			r.registered = s.subject.after(began, "registered")
			return r.registered != never
		})
	}
	r.noticed = s.subject.after(began, "disconnected")
	for _, user := range s.users {
		s.home.waitBindings(t, user, 1)
	}
	if s.ours {
		s.waitQuiet(d)
		s.waitTalk()
	}
	for _, c := range s.calls {
		if c.lost() {
			r.lost++
			t.Logf("lost: %q at this end, %q at the other", c.near.over(), c.far.over())
			continue
		}
		r.gap = max(r.gap, c.heard.gap())
		if e, ours := c.near.(ourEnd); ours && e.present().Condition().Unreachable {
			r.degraded++
		}
	}

	for i, c := range s.calls {
		if d.byNear(i) {
			r.hungNear++
			c.near.hangup()
		} else {
			r.hungFar++
			c.far.hangup()
		}
	}
	limit := byesPatience
	if s.ours && !d.deaf {
		limit = stepLimit
	}
	s.await("the end of every call at the end that did not hang up", limit, func() bool {
		r.near, r.far = 0, 0
		for i, c := range s.calls {
			switch {
			case d.byNear(i) && c.far.over() == byBye:
				r.near++
			case !d.byNear(i) && c.near.over() == byBye:
				r.far++
			}
		}
		return r.near+r.far == len(s.calls)
	})
	for _, c := range s.calls {
		r.digits += c.far.pressed()
	}
	t.Log(r)
	if !s.ours {
		return r
	}
	if r.lost > 0 {
		t.Errorf("%d calls lost", r.lost)
	}
	if d.stays == (r.noticed != never) || r.noticed > noticeLimit {
		t.Errorf("noticed after %v", r.noticed)
	}
	if shut := len(s.calls) / 2; d.deaf && r.degraded != shut || !d.deaf && r.degraded > 0 {
		t.Errorf("%d calls degraded, and %d shut out", r.degraded, shut)
	}
	if d.digits && r.digits != len(s.calls) {
		t.Errorf("digits arrived in %d calls", r.digits)
	}
	if r.near+r.far != len(s.calls) && !d.deaf { // Kamailio takes what we send to the old flow too
		t.Errorf("BYE reached the other end of %d calls from this one, and of %d from the other, of %d", r.near, r.far, len(s.calls))
	}
	return r
}

// byNear says who hangs up a call, so that each does who was called and who calls. From who is shut out no BYE comes.
func (d drill) byNear(i int) bool { return i/2%2 == 0 || d.deaf }

// noticeLimit is the 10 s in which a silent connection is to be noticed, and as much again for a busy machine.
const noticeLimit = 20 * time.Second

// never is how long it took until what did not happen.
const never time.Duration = -1

// drillResult is what came of a drill.
type drillResult struct {
	calls, lost int
	noticed     time.Duration // until the connection was known to be gone, or never
	registered  time.Duration // until the first registration after that, or never
	gap         time.Duration // the longest without a packet, at an end that is ours, in any call that was not lost
	degraded    int           // calls of ours that said so when all was over
	digits      int           // that came to the peers

	hungNear, hungFar int // calls hung up at the subject, and at its peers
	near, far         int // of these, the ones that ended at the other end
}

func (r *drillResult) String() string {
	return fmt.Sprintf("%d of %d calls lost, noticed after %s, registered again after %s, media gap %s, BYE to the peers in %d, to the subject in %d",
		r.lost, r.calls, when(r.noticed), when(r.registered), when(r.gap), r.near, r.far)
}
