package session

import (
	"testing"
	"time"

	"github.com/gosipua/sipua/sip"
)

// newTimer is a machine with these terms in which interval is agreed on.
func newTimer(terms timerTerms, interval int, local bool) *sessionTimer {
	t := &sessionTimer{terms: &terms}
	if interval > 0 {
		t.agree(interval, local)
	}
	return t
}

var usual = timerTerms{ask: 1800, min: 90}

// TestTimerRefresherTable is Table 2 of RFC 4028 §9: who refreshes, by whether
// the UAC knows session timers and by what it wants. Require follows from it.
func TestTimerRefresherTable(t *testing.T) {
	for _, tt := range []struct {
		supported bool
		param     string
		refresher string
		required  bool
	}{
		{false, "", "uas", false},
		{false, "uac", "uas", false}, // not allowed by the protocol: who knows no timers cannot refresh
		{false, "uas", "uas", false},
		{true, "", "uas", true}, // ours to choose
		{true, "uac", "uac", true},
		{true, "uas", "uas", true},
		{true, "other", "uas", true},
	} {
		m := newTimer(usual, 0, false)
		r := m.grant(timerFields{supported: tt.supported, timed: true, interval: 600, refresher: tt.param})
		if r.refresher != tt.refresher || r.required != tt.required || r.interval != 600 {
			t.Errorf("UAC supports %v, refresher %q: %+v", tt.supported, tt.param, r)
		}
		m.granted(r)
		if m.local != (tt.refresher == "uas") || m.interval != 600 {
			t.Errorf("UAC supports %v, refresher %q: we refresh %v every %d s", tt.supported, tt.param, m.local, m.interval)
		}
	}
}

// TestTimerOfUAS: the interval of our 2xx (RFC 4028 §9).
func TestTimerOfUAS(t *testing.T) {
	silent := timerTerms{min: 90}
	short := timerTerms{ask: 300, min: 120}
	for _, tt := range []struct {
		name  string
		terms timerTerms
		had   int // seconds, we refresh
		ask   timerFields
		want  int // 0: no Session-Expires
		goes  int // what goes on; -1: as want
	}{
		{"copied", usual, 0, timerFields{supported: true, timed: true, interval: 1800}, 1800, -1},
		{"copied where we want none", silent, 0, timerFields{supported: true, timed: true, interval: 4000}, 4000, -1},
		{"shortened to ours", usual, 0, timerFields{supported: true, timed: true, interval: 4000}, 1800, -1},
		{"shortened, but not below Min-SE", short, 0, timerFields{supported: true, timed: true, interval: 1800, min: 600}, 600, -1},
		{"never longer", usual, 0, timerFields{supported: true, timed: true, interval: 100}, 100, -1},
		{"of a proxy, below its own Min-SE", usual, 0, timerFields{timed: true, interval: 100, min: 200}, 200, -1},
		{"of a proxy, below 90 s", usual, 0, timerFields{timed: true, interval: 10}, 90, -1},
		{"of a proxy, below our minimum", short, 0, timerFields{timed: true, interval: 100}, 100, -1},
		{"asked for by us", usual, 0, timerFields{supported: true}, 1800, -1},
		{"asked for by us, not below Min-SE", usual, 0, timerFields{supported: true, min: 3600}, 3600, -1},
		{"nobody asks", silent, 0, timerFields{supported: true}, 0, -1},
		{"the UAC knows none", usual, 0, timerFields{}, 0, -1},
		{"goes on", usual, 400, timerFields{supported: true}, 400, -1},
		{"goes on, not below Min-SE", usual, 400, timerFields{supported: true, min: 500}, 500, -1},
		{"goes on for us alone", usual, 400, timerFields{}, 0, 400},
		{"turned off", silent, 400, timerFields{supported: true}, 0, -1},
	} {
		m := newTimer(tt.terms, tt.had, true)
		r := m.grant(tt.ask)
		if r.interval != tt.want || r.timed != (tt.want > 0) {
			t.Errorf("%s: %+v, want %d s", tt.name, r, tt.want)
		}
		if tt.goes < 0 {
			tt.goes = tt.want
		}
		if m.granted(r); m.interval != tt.goes {
			t.Errorf("%s: %d s go on, want %d", tt.name, m.interval, tt.goes)
		}
	}
}

// TestTimerRolesStay: a refresh without a refresher parameter leaves the roles
// as they are; one with it changes them (RFC 4028 §7.4).
func TestTimerRolesStay(t *testing.T) {
	for _, local := range []bool{false, true} {
		for param, want := range map[string]bool{"": local, "uac": false, "uas": true} {
			m := newTimer(usual, 300, local)
			m.granted(m.grant(timerFields{supported: true, timed: true, interval: 300, refresher: param}))
			if m.local != want {
				t.Errorf("we refresh %v, then refresher %q: %v", local, param, m.local)
			}
		}
	}
}

// TestTimerRefusal: which requests deserve a 422 (RFC 4028 §9).
func TestTimerRefusal(t *testing.T) {
	for _, tt := range []struct {
		min  int
		ask  timerFields
		want bool
	}{
		{90, timerFields{supported: true, timed: true, interval: 90}, false},
		{90, timerFields{supported: true, timed: true, interval: 89}, true},
		{90, timerFields{supported: true, timed: true, interval: 0}, true},
		{90, timerFields{supported: true}, false},
		{90, timerFields{timed: true, interval: 50}, false}, // a proxy's; the call would fail for nothing
		{600, timerFields{supported: true, timed: true, interval: 599}, true},
		{600, timerFields{supported: true, timed: true, interval: 600}, false},
	} {
		terms := timerTerms{ask: 1800, min: tt.min}
		if got := terms.refuses(tt.ask); got != tt.want {
			t.Errorf("minimum %d, %+v: refused %v", tt.min, tt.ask, got)
		}
	}
}

// TestTimerOfUAC: what a 2xx means for us (RFC 4028 §7.2).
func TestTimerOfUAC(t *testing.T) {
	asked := timerFields{timed: true, interval: 1800}
	for _, tt := range []struct {
		name  string
		terms timerTerms
		sent  timerFields
		res   timerFields
		want  int
		local bool
	}{
		{"refresher uac", usual, asked, timerFields{required: true, timed: true, interval: 1200, refresher: "uac"}, 1200, true},
		{"refresher uas", usual, asked, timerFields{required: true, timed: true, interval: 1200, refresher: "uas"}, 1200, false},
		{"no refresher", usual, asked, timerFields{timed: true, interval: 1200}, 1200, true},
		{"some other refresher", usual, asked, timerFields{timed: true, interval: 1200, refresher: "proxy"}, 1200, true},
		{"not asked for", timerTerms{min: 90}, timerFields{}, timerFields{timed: true, interval: 300, refresher: "uac"}, 300, true},
		{"below 90 s", usual, asked, timerFields{timed: true, interval: 60, refresher: "uac"}, 60, true},
		{"unbearable", usual, asked, timerFields{timed: true, interval: 2, refresher: "uac"}, 30, true},
		{"zero", usual, asked, timerFields{timed: true}, 1800, true},
		{"the UAS knows none", usual, asked, timerFields{}, 1800, true},
		{"the UAS knows none, and we do not want one", timerTerms{min: 90}, asked, timerFields{}, 0, false},
		{"nobody asks", usual, timerFields{}, timerFields{}, 0, false},
	} {
		for _, before := range []int{0, 500} { // off in mid-call is the same
			m := newTimer(tt.terms, before, true)
			m.taken(tt.sent, tt.res)
			if m.interval != tt.want || m.local != tt.local || m.running() != (tt.want > 0) {
				t.Errorf("%s: %d s, we refresh %v, want %d s, %v", tt.name, m.interval, m.local, tt.want, tt.local)
			}
		}
	}
}

// TestTimerRequests: what our requests carry (RFC 4028 §7.1, §7.4).
func TestTimerRequests(t *testing.T) {
	for _, tt := range []struct {
		name     string
		terms    timerTerms
		interval int // agreed on; 0: the INVITE of the call
		local    bool
		min      int // heard of
		want     timerFields
	}{
		{"INVITE", usual, 0, false, 0, timerFields{supported: true, timed: true, interval: 1800}},
		{"INVITE that asks for none", timerTerms{min: 90}, 0, false, 0, timerFields{supported: true}},
		{"INVITE, we refresh", timerTerms{ask: 1800, min: 90, force: true}, 0, false, 0,
			timerFields{supported: true, timed: true, interval: 1800, refresher: "uac"}},
		{"INVITE, our minimum", timerTerms{ask: 1800, min: 300}, 0, false, 0,
			timerFields{supported: true, timed: true, interval: 1800, min: 300}},
		{"INVITE after a 422", usual, 0, false, 3600, timerFields{supported: true, timed: true, interval: 3600, min: 3600}},
		{"INVITE after a 422 below what we ask", usual, 0, false, 100, timerFields{supported: true, timed: true, interval: 1800, min: 100}},
		{"ours to refresh", usual, 600, true, 0, timerFields{supported: true, timed: true, interval: 600, refresher: "uac"}},
		{"theirs to refresh", usual, 600, false, 0, timerFields{supported: true, timed: true, interval: 600, refresher: "uas"}},
		{"after a Min-SE", usual, 600, true, 900, timerFields{supported: true, timed: true, interval: 900, refresher: "uac", min: 900}},
		{"our minimum beats theirs", timerTerms{ask: 1800, min: 700}, 600, true, 650,
			timerFields{supported: true, timed: true, interval: 700, refresher: "uac", min: 700}},
		{"never below 90 s", usual, 60, true, 0, timerFields{supported: true, timed: true, interval: 90, refresher: "uac"}},
	} {
		m := newTimer(tt.terms, tt.interval, tt.local)
		m.min = tt.min
		got := m.initial()
		if tt.interval > 0 {
			got = m.subsequent()
		}
		if got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
	off := newTimer(usual, 0, false)
	off.agree(0, false)
	if got := off.subsequent(); got != (timerFields{supported: true}) {
		t.Errorf("turned off: %+v", got)
	}
}

// TestTimerTooSmall: a 422 is obeyed where it asks for more than was asked for
// (RFC 4028 §7.3), and the largest Min-SE stays (§7.4).
func TestTimerTooSmall(t *testing.T) {
	m := newTimer(usual, 0, false)
	for _, tt := range []struct{ min, interval, least int }{
		{3600, 3600, 3600},
		{4000, 4000, 4000},
		{100, 0, 4000}, // no progress
		{0, 0, 4000},   // no Min-SE, which a 422 must have
	} {
		again := m.tooSmall(m.initial(), timerFields{min: tt.min})
		if again != (tt.interval > 0) || m.least() != tt.least {
			t.Errorf("422 with Min-SE %d: again %v, Min-SE %d", tt.min, again, m.least())
		}
		if f := m.initial(); again && (f.interval != tt.interval || f.min != tt.least) {
			t.Errorf("422 with Min-SE %d: then %+v", tt.min, f)
		}
	}
	if m.tooSmall(timerFields{}, timerFields{min: 100}) {
		t.Error("a request without Session-Expires goes again after a 422")
	}
	m.grant(timerFields{supported: true, min: 5000}) // a request of the peer's counts too
	if m.least() != 5000 {
		t.Errorf("Min-SE %d", m.least())
	}
}

// TestTimerInstants: when a refresh is due and when the call is ended.
func TestTimerInstants(t *testing.T) {
	for _, tt := range []struct {
		interval     int
		next         time.Duration // half of it (RFC 4028 §7.2)
		local, other time.Duration // the end; for the other see §10
	}{
		{1800, 900 * time.Second, 1790 * time.Second, 1768 * time.Second},
		{4000, 2000 * time.Second, 3990 * time.Second, 3968 * time.Second}, // the example of §13
		{90, 45 * time.Second, 80 * time.Second, 60 * time.Second},
		{95, 47500 * time.Millisecond, 85 * time.Second, 95*time.Second - 95*time.Second/3},
		{96, 48 * time.Second, 86 * time.Second, 64 * time.Second},
		{30, 15 * time.Second, 30*time.Second - 30*time.Second/9, 20 * time.Second},
	} {
		ours := newTimer(usual, 0, false).agree(tt.interval, true)
		if ours != (timerAction{tmStop | tmRestart | tmWait, tt.next, tt.local}) {
			t.Errorf("%d s, we refresh: %+v", tt.interval, ours)
		}
		theirs := newTimer(usual, 0, false).agree(tt.interval, false)
		if theirs != (timerAction{tmStop | tmRestart, 0, tt.other}) {
			t.Errorf("%d s, they refresh: %+v", tt.interval, theirs)
		}
		if room := tt.local - tt.next; tt.interval >= minInterval && room < 64*t1 {
			t.Errorf("%d s: a refresh has %v for its answer", tt.interval, room)
		}
	}
}

// TestTimerMachine has a row for each input that matters in a state; all others
// do nothing, which the test checks too.
func TestTimerMachine(t *testing.T) {
	type row struct {
		from timerState
		in   timerInput
		to   timerState
		do   timerDo
		next time.Duration
	}
	const since, wait = 900 * time.Second, 3 * time.Second
	rows := []row{
		{timerWaiting, tmDue, timerRefreshing, tmRefresh, 0},
		{timerWaiting, tmDueBusy, timerDue, 0, 0},
		{timerDue, tmFree, timerRefreshing, tmRefresh, 0},
		{timerRefreshing, tmLater, timerWaiting, tmWait, wait},
		{timerRefreshing, tmMethod, timerRefreshing, tmRefresh, 0},
		{timerRefreshing, tmRefused, timerWaiting, tmWait, wait},
		{timerRefreshing, tmLost, timerWaiting, tmWait, t1},
		{timerWatching, tmExpiry, timerExpired, tmStop | tmBye, 0},
		{timerWaiting, tmExpiry, timerExpired, tmStop | tmBye, 0},
		{timerDue, tmExpiry, timerExpired, tmStop | tmBye, 0},
		{timerRefreshing, tmExpiry, timerExpired, tmStop | tmBye, 0},
	}
	named := map[[2]uint8]row{}
	for _, r := range rows {
		named[[2]uint8{uint8(r.from), uint8(r.in)}] = r
	}
	for from := timerNew; from <= timerExpired; from++ {
		for in := timerInput(0); in < numTimerInputs; in++ {
			want, ok := named[[2]uint8{uint8(from), uint8(in)}]
			switch {
			case in == tmEnd:
				want = row{from, in, timerExpired, tmStop, 0}
			case !ok:
				want = row{from, in, from, 0, 0}
			}
			m := newTimer(usual, 0, false)
			if m.state = from; from != timerNew && from != timerOff {
				m.interval = 1800
			}
			a := m.step(in, since, wait)
			if m.state != want.to || a != (timerAction{do: want.do, next: want.next}) {
				t.Errorf("%v, %v: %v %+v, want %v %b %v", from, in, m.state, a, want.to, want.do, want.next)
			}
		}
	}
	over := newTimer(usual, 1800, true)
	over.step(tmEnd, 0, 0)
	if a := over.agree(1800, true); a != (timerAction{}) || over.state != timerExpired {
		t.Errorf("a late 2xx starts a call's clocks again: %+v", a)
	}
}

// TestTimerRetries: a refused refresh is tried again halfway to where the peer
// gives up, a few times (RFC 4028 §10); the server may name the time.
func TestTimerRetries(t *testing.T) {
	m := newTimer(usual, 1800, true)
	since := 900 * time.Second
	var waits []time.Duration
	for range 20 {
		m.step(tmDue, since, 0)
		a := m.step(tmRefused, since, 0)
		if a.do&tmWait == 0 {
			break
		}
		waits = append(waits, a.next)
		since += a.next
	}
	if len(waits) != 7 || waits[0] != 434*time.Second || since >= 1768*time.Second {
		t.Errorf("tried again after %v", waits)
	}
	for _, tt := range []struct {
		wait, want time.Duration
	}{
		{30 * time.Second, 30 * time.Second},
		{867 * time.Second, 867 * time.Second},
		{869 * time.Second, 434 * time.Second}, // too late
	} {
		m := newTimer(usual, 1800, true)
		m.step(tmDue, 900*time.Second, 0)
		if a := m.step(tmRefused, 900*time.Second, tt.wait); a.next != tt.want {
			t.Errorf("Retry-After %v: tried again after %v", tt.wait, a.next)
		}
	}
}

func TestTimerFields(t *testing.T) {
	req := sip.NewRequest(sip.INVITE, sip.URI{Scheme: "sip", Host: "example.com"})
	for _, f := range []sip.Field{{Name: "x", Value: "4000;Refresher=UAC;other"}, {Name: "Min-SE", Value: "100"}, {Name: "k", Value: "path, Timer"}} {
		if err := req.AddHeader(f.Name, f.Value); err != nil {
			t.Fatal(err)
		}
	}
	want := timerFields{supported: true, timed: true, interval: 4000, refresher: "uac", min: 100}
	if got := timerFieldsOf(req); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
