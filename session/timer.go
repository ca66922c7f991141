package session

import (
	"time"

	"github.com/gosipua/sipua/sip"
)

// The session timer of a dialog as a machine (RFC 4028): what INVITE, UPDATE
// and their 2xx say of the life of the session, who of the two ends refreshes
// it, when that is due and when the session is over. It has no clock: it is told
// how long ago the session was refreshed. The driver in sessiontimer.go has the
// timers and the messages.

// timerState is where the session timer of a dialog stands.
type timerState uint8

const (
	timerNew        timerState = iota // no 2xx yet
	timerOff                          // the session has no end of its own
	timerWatching                     // the peer refreshes
	timerWaiting                      // we refresh, when it is time
	timerDue                          // it is time, but another exchange is under way
	timerRefreshing                   // our refresh is under way
	timerExpired                      // the session is over
)

var timerStateNames = [...]string{"New", "Off", "Watching", "Waiting", "Due", "Refreshing", "Expired"}

func (s timerState) String() string { return timerStateNames[s] }

// Intervals in seconds.
const (
	minInterval   = 90 // the absolute minimum, and Min-SE where there is none (RFC 4028 §4, §5)
	leastInterval = 30 // how much of a shorter one in a 2xx is believed, against §4; our refreshes must stay bearable
)

// timerTerms are what we want of a session timer.
type timerTerms struct {
	ask   int  // the interval to ask for, in seconds; 0: we ask for none
	min   int  // the shortest one to take
	force bool // calls of ours are refreshed by us
}

// timerFields are what a message says of the session timer.
type timerFields struct {
	supported bool   // a request: Supported has timer
	required  bool   // a 2xx: Require has timer
	timed     bool   // it has Session-Expires
	interval  int    // of Session-Expires, in seconds
	refresher string // its parameter: "uac", "uas" or ""
	min       int    // of Min-SE, in seconds; 0: absent
}

// timerFieldsOf reads them from a message.
func timerFieldsOf(m interface {
	SessionExpires() (sip.SessionExpires, bool)
	MinSE() (int, bool)
	HasToken(name, token string) bool
}) timerFields {
	se, ok := m.SessionExpires()
	least, _ := m.MinSE()
	return timerFields{
		supported: m.HasToken("Supported", optionTimer), required: m.HasToken("Require", optionTimer),
		timed: ok, interval: se.Seconds, refresher: se.Refresher, min: least,
	}
}

// optionTimer is the option tag of RFC 4028 §12.3.
const optionTimer = "timer"

// sessionTimer is the machine.
type sessionTimer struct {
	terms    *timerTerms
	state    timerState
	interval int  // agreed on, in seconds; 0: none
	local    bool // we refresh
	min      int  // the largest Min-SE that the peer or a proxy wants; 0: none does
}

// running reports whether the session ends unless it is refreshed.
func (t *sessionTimer) running() bool { return t.interval > 0 && t.state != timerExpired }

// least is what our Min-SE says; 0: nothing, which means 90 s (RFC 4028 §7.4).
func (t *sessionTimer) least() int {
	if t.terms.min > minInterval {
		return max(t.min, t.terms.min)
	}
	return t.min
}

// initial is what the INVITE of a call carries (RFC 4028 §7.1).
func (t *sessionTimer) initial() timerFields {
	f := timerFields{supported: true, min: t.least()}
	if t.terms.ask > 0 {
		f.timed, f.interval = true, max(t.terms.ask, f.min, minInterval)
		if t.terms.force {
			f.refresher = "uac"
		}
	}
	return f
}

// subsequent is what a re-INVITE or an UPDATE of ours carries: the interval and
// the refresher stay as they are (RFC 4028 §7.4).
func (t *sessionTimer) subsequent() timerFields {
	f := timerFields{supported: true, min: t.least()}
	if t.running() {
		f.timed, f.interval, f.refresher = true, max(t.interval, f.min, minInterval), "uas"
		if t.local {
			f.refresher = "uac"
		}
	}
	return f
}

// tooSmall takes a 422 with f to a request that asked for sent. It reports
// whether asking again makes sense: for more than was refused (RFC 4028 §7.3).
func (t *sessionTimer) tooSmall(sent, f timerFields) bool {
	t.min = max(t.min, f.min)
	return sent.timed && f.min > sent.interval
}

// refuses reports whether a request of the peer's deserves a 422 with Min-SE of
// refusal. One whose sender knows no timers does not: its Session-Expires is a
// proxy's (RFC 4028 §8.1, §9).
func (t *timerTerms) refuses(q timerFields) bool {
	return q.supported && q.timed && q.interval < max(t.min, minInterval)
}

// grant is what our 2xx to a request of the peer's carries (RFC 4028 §9 and its
// Table 2). granted makes it the dialog's.
func (t *sessionTimer) grant(q timerFields) timerFields {
	t.min = max(t.min, q.min)
	r := timerFields{timed: true, required: q.supported}
	switch {
	case q.timed:
		r.interval = q.interval
		if t.terms.ask > 0 {
			r.interval = min(r.interval, t.terms.ask)
		}
		r.interval = max(r.interval, q.min, minInterval)
	case !q.supported || t.terms.ask == 0:
		return timerFields{}
	case t.running():
		r.interval = max(t.interval, q.min, minInterval)
	default:
		r.interval = max(t.terms.ask, q.min, minInterval)
	}
	switch {
	case q.supported && (q.refresher == "uac" || q.refresher == "uas"):
		r.refresher = q.refresher
	case q.supported && t.running() && !t.local:
		r.refresher = "uac"
	default:
		r.refresher = "uas"
	}
	return r
}

// granted takes the 2xx of ours, made by grant, that has just left. Where the
// peer knows no timers we go on with ours, which is for us alone.
func (t *sessionTimer) granted(r timerFields) timerAction {
	switch {
	case r.timed:
		return t.agree(r.interval, r.refresher == "uas")
	case t.terms.ask > 0:
		return t.agree(t.interval, true)
	}
	return t.agree(0, false)
}

// taken takes the 2xx with f to a request of ours that carried sent (RFC 4028
// §7.2).
func (t *sessionTimer) taken(sent, f timerFields) timerAction {
	switch {
	case f.timed && f.interval > 0:
		return t.agree(max(f.interval, leastInterval), f.refresher != "uas") // without a refresher it is the uac
	case sent.timed && t.terms.ask > 0: // the peer knows no timers: ours is for us alone
		return t.agree(sent.interval, true)
	}
	return t.agree(0, false)
}

// timerInput is what happened besides a 2xx.
type timerInput uint8

const (
	tmDue     timerInput = iota // it is time for a refresh; the dialog is free for it
	tmDueBusy                   // it is time, but another exchange is under way
	tmFree                      // no exchange is under way any more
	tmLater                     // our refresh met another request, or a peer that is away for a moment
	tmMethod                    // the peer refuses the method of our refresh: it goes by another
	tmRefused                   // our refresh was refused otherwise
	tmLost                      // our refresh was lost with its connection
	tmExpiry                    // it is time for the end
	tmEnd                       // the call is over
	numTimerInputs
)

var timerInputNames = [...]string{"Due", "DueBusy", "Free", "Later", "Method", "Refused", "Lost", "Expiry", "End"}

func (i timerInput) String() string { return timerInputNames[i] }

// timerDo is what to do, as a set.
type timerDo uint8

const (
	tmStop    timerDo = 1 << iota // stop both clocks
	tmRestart                     // the session was refreshed: start the clock of its end, to run for end
	tmAdjust                      // set the clock of its end, to run for end from now
	tmWait                        // start the clock of the next refresh, to run for next
	tmRefresh                     // send a refresh
	tmBye                         // end the call
)

// timerAction says what to do; its times are from now.
type timerAction struct {
	do        timerDo
	next, end time.Duration
}

// agree starts over: a 2xx has refreshed the session or made it endless.
func (t *sessionTimer) agree(interval int, local bool) timerAction {
	if t.state == timerExpired {
		return timerAction{}
	}
	t.interval, t.local = interval, local && interval > 0
	switch {
	case interval == 0:
		t.state = timerOff
		return timerAction{do: tmStop}
	case local:
		t.state = timerWaiting
		return timerAction{do: tmStop | tmRestart | tmWait, next: t.length() / 2, end: t.end()}
	}
	t.state = timerWatching
	return timerAction{do: tmStop | tmRestart, end: t.end()}
}

// step takes what happened since ago after the last 2xx. wait is what
// comes with tmLater, or what Retry-After asks for. It does no I/O.
func (t *sessionTimer) step(in timerInput, since, wait time.Duration) timerAction {
	switch in {
	case tmEnd:
		t.state = timerExpired
		return timerAction{do: tmStop}
	case tmExpiry:
		if t.running() {
			t.state = timerExpired
			return timerAction{do: tmStop | tmBye}
		}
		return timerAction{}
	}
	switch t.state {
	case timerWaiting:
		switch in {
		case tmDue:
			return t.to(timerRefreshing, tmRefresh)
		case tmDueBusy:
			return t.to(timerDue, 0)
		}
	case timerDue:
		if in == tmFree {
			return t.to(timerRefreshing, tmRefresh)
		}
	case timerRefreshing:
		switch in {
		case tmMethod:
			return timerAction{do: tmRefresh}
		case tmLater:
			return t.again(wait)
		case tmLost:
			return t.again(t1)
		case tmRefused:
			return t.retry(since, wait)
		}
	}
	return timerAction{} // what a 2xx meanwhile has made pointless
}

// resumed takes a sleep of the machine, for which both clocks may have stood still:
// the session was refreshed since ago, the sleep included. What is overdue is done
// at once. A session that should be over is refreshed all the same, by us whoever
// the refresher is: the far end tells whether it has kept it, within limit.
func (t *sessionTimer) resumed(since, limit time.Duration, busy bool) timerAction {
	if !t.running() {
		return timerAction{}
	}
	a := timerAction{do: tmAdjust, end: max(t.end()-since, limit)}
	due := since >= t.end()
	if t.state == timerWaiting {
		due = since >= t.length()/2
	}
	switch {
	case t.state != timerWaiting && t.state != timerWatching: // a refresh is on its way
	case due && busy:
		t.state = timerDue
	case due:
		t.state = timerRefreshing
		a.do |= tmRefresh
	case t.state == timerWaiting:
		a.do |= tmWait
		a.next = t.length()/2 - since
	}
	return a
}

// retry says when to try again after a refusal: halfway to where the peer gives
// up, and the server's own time if there is enough. Refusals that go on are
// believed in the end (RFC 4028 §10).
func (t *sessionTimer) retry(since, wait time.Duration) timerAction {
	left := t.length() - lead(t.length()) - since
	if left < minRetry {
		return t.to(timerWaiting, 0)
	}
	if wait <= 0 || wait > left {
		wait = left / 2
	}
	return t.again(wait)
}

// minRetry is the time below which a refused refresh is not tried again.
const minRetry = 10 * time.Second

func (t *sessionTimer) again(wait time.Duration) timerAction {
	a := t.to(timerWaiting, tmWait)
	a.next = wait
	return a
}

func (t *sessionTimer) length() time.Duration { return time.Duration(t.interval) * time.Second }

// end is how long after a refresh the call is ended for want of the next one.
// Who refreshes leaves room for a refresh begun at half time to run into its
// Timer F or B.
func (t *sessionTimer) end() time.Duration {
	if t.local {
		return t.length() - min(10*time.Second, t.length()/9)
	}
	return t.length() - lead(t.length())
}

// lead is how long before its end a session is ended by who waits for a refresh
// (RFC 4028 §10).
func lead(interval time.Duration) time.Duration { return min(32*time.Second, interval/3) }

func (t *sessionTimer) to(s timerState, do timerDo) timerAction {
	t.state = s
	return timerAction{do: do}
}
