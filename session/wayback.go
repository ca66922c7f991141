package session

import (
	"errors"
	"strings"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

const (
	// wayPatience is how long a target refresh is repeated that a server on the way
	// does not pass on: the far end may have lost its connection, too.
	wayPatience = 8 * time.Second
	// probeFirst and probeLast bound the time until the far end is tried again of
	// which nothing can be heard; it doubles.
	probeFirst, probeLast = 30 * time.Second, 5 * time.Minute
)

// way is the way back of a leg.
type way struct {
	wayBack
	flow     core.Flow // over which the far end's requests come; nil before the call is up
	due      bool      // a target refresh waits until nothing else is under way
	patience patience
	timer    *core.Timer // until it is sent again
	probe    time.Duration
	declined int // how often the far end took no new dialog, as if it knew none
}

// flowChanged takes the coming and going of flows.
func (m *Manager) flowChanged(f core.Flow, _ core.FlowInfo, up bool, _ error) { // [locked]
	if up {
		return
	}
	m.setupCut()
	for s := range m.sessions {
		if l := s.leg; l.way.flow == f {
			l.wayStep(wayFlowLost, nil)
			l.wayReady() // where another one is left
		}
	}
}

// flowReady takes a flow over which others reach us again.
func (m *Manager) flowReady(core.Flow, core.FlowInfo) { // [locked]
	m.setupReady()
	for s := range m.sessions {
		s.leg.wayReady()
	}
}

// comesOver notes the flow over which the far end's requests inside the dialog
// come.
func (l *leg) comesOver(f core.Flow) { // [locked]
	l.way.flow = f
	if !l.s.m.core.IsUp(f) {
		l.wayStep(wayFlowLost, nil)
	}
}

// wayReady lets a call that has lost its connection have the next.
func (l *leg) wayReady() { // [locked]
	if h := l.s.heir; h != nil && h.up { // it comes to that when the old dialog is done with
		return
	}
	if f, _, ok := l.s.m.core.ReadyFlow(); ok && l.way.state == wayLost && l.s.usage.state == Confirmed {
		l.way.flow = f
		l.wayStep(wayFlowReady, nil)
	}
}

// hears takes a request of the far end, of whatever kind: it has reached us.
func (l *leg) hears(f core.Flow) { // [locked]
	switch l.way.state {
	case wayRefreshing, wayShut:
		l.way.flow = f
		l.wayStep(wayHeard, nil)
	}
}

// wayStep feeds the machine and does what it says; err is behind the input.
func (l *leg) wayStep(in wayInput, err error) { // [locked]
	s := l.s
	if s.usage.state.Ended() || l.oa.state == oaClosed {
		return
	}
	a := l.way.step(in, wayFacts{token: l.tokened(), replaceable: l.replaceable()})
	if a != wayNothing || in == wayFlowLost {
		l.way.timer.Stop()
		l.way.due = false
	}
	switch a {
	case wayRefresh:
		l.way.patience = patience{since: time.Now(), limit: wayPatience}
		l.dropLost()
		l.way.due = true
		l.restartNow() // which is one
		l.refreshTarget()
	case wayReplace:
		s.replaceDialog(l)
	case wayStop:
		s.heir.flowLost()
	case wayReport:
		s.setUnreachable(true, errors.Join(ErrUnreachable, err))
		l.probeLater()
		l.noOtherWay()
		l.restartNow()
	case wayRecover:
		l.way.probe, l.way.declined = 0, 0
		s.setUnreachable(false, nil)
	}
}

// ErrUnreachable is behind the Condition of a call whose far end cannot reach us
// any more.
var ErrUnreachable = errors.New("session: no way back from the far end")

// tokened reports whether the nearest server sends the far end's requests down
// the very connection that is lost: its Record-Route names that one, and the
// route set of a dialog never changes (RFC 5626 §5.2, RFC 3261 §12.2).
func (l *leg) tokened() bool { // [locked]
	if l.dialog == nil || len(l.dialog.RouteSet()) == 0 {
		return false
	}
	u := l.dialog.RouteSet()[0].URI
	return u.User != "" || u.Params.Has("ob")
}

// dropLost gives up an offer of ours whose answer would have to come over the lost
// connection; it is made anew.
func (l *leg) dropLost() { // [locked]
	if r := l.ours; r != nil && r.method == sip.INVITE && !l.s.m.core.IsUp(r.out.SentOn()) && l.oa.state == oaOffered {
		r.supersede()
		l.postpone(0)
	}
}

// refreshTarget sends the target refresh that is due: none where an offer of
// ours is, or something is under way after which there will be time.
func (l *leg) refreshTarget() { // [locked]
	if l.way.due {
		l.beginRestart() // where the media path is due, too, one offer does for both
	}
	if !l.way.due || l.ours != nil || l.open != nil || l.timer.update != nil || len(l.waiting) > 0 {
		return
	}
	l.way.due = false
	if l.allows(sip.UPDATE) && !l.timer.refused && !l.keepsTarget() {
		l.sendUpdate(0, func(err error) { l.targetRefreshed(sip.UPDATE, err) })
		return
	}
	l.offer(&exchange{
		keepHold:  true,
		patience:  l.way.patience,
		sendOffer: func(d Description) { l.sendOffer(sip.INVITE, d) },
		done: func(err error) {
			if err != nil {
				l.targetRefreshed(sip.INVITE, err)
			}
		},
	})
}

// keepsTarget reports whether the far end takes an UPDATE and not its Contact, as
// JsSIP does up to 3.13: for a target refresh it has no UPDATE.
func (l *leg) keepsTarget() bool { return strings.HasPrefix(l.product, "JsSIP") } // [locked]

// targetRefreshed takes what the refresh came to. Each request of ours inside
// the dialog that carries our Contact is as good.
func (l *leg) targetRefreshed(method sip.Method, err error) { // [locked]
	if l.way.state != wayRefreshing {
		return
	}
	var refusal *sip.ResponseError
	switch wait, again := l.wayRetry(method, err); {
	case err == nil:
		l.wayStep(wayRefreshed, nil)
	case again:
		l.way.timer = l.s.after(wait, func() {
			l.way.due = true
			l.refreshTarget()
		})
	case errors.As(err, &refusal) && !l.excuses(err): // the far end's own word: it was reached, and no more is known
		l.wayStep(wayRefreshed, nil)
		if method == sip.UPDATE { // a re-INVITE sees to that itself
			l.s.failed(l.dialog, method, err)
		}
	default:
		l.wayStep(wayRefused, err)
	}
}

// wayRetry tells how long to wait before the refresh is sent again; false: it is
// not.
func (l *leg) wayRetry(method sip.Method, err error) (time.Duration, bool) { // [locked]
	if method == sip.INVITE { // has had its own tries
		return 0, false
	}
	switch sip.StatusOf(err) {
	case sip.StatusMethodNotAllowed, sip.StatusNotImplemented:
		if !l.timer.refused {
			l.timer.refused = true
			return 0, true // by re-INVITE
		}
	case sip.StatusNotFound: // of a server that has lost its memory
		wait := l.way.patience.pause()
		return wait, time.Since(l.way.patience.since)+wait < l.way.patience.limit
	case sip.StatusRequestPending, sip.StatusServerInternalError, sip.StatusServiceUnavailable:
		wait := l.s.glareDelay()
		return wait, time.Since(l.way.patience.since)+wait < l.s.m.core.RecoveryLimit()
	}
	return l.s.retryIn(&l.way.patience, method, err)
}

// excuses reports whether a failure inside the dialog is one of the way there and
// not of the far end, while the call is about to find its way back or has none.
func (l *leg) excuses(err error) bool { // [locked]
	if l.way.state == wayOpen {
		return false
	}
	var timeout *sip.TimeoutError
	var refusal *sip.ResponseError
	switch {
	case errors.As(err, &timeout):
		return true
	case !errors.As(err, &refusal):
		return false
	}
	switch refusal.StatusCode() {
	case sip.StatusForbidden, sip.StatusNotFound, sip.StatusRequestTimeout, sip.StatusFlowFailed, sip.StatusTemporarilyUnavailable:
		return true
	case sip.StatusCallDoesNotExist:
		return l.fromServer(refusal.Response)
	}
	return false
}

// fromServer reports whether a response names another product than the far end's
// messages do: a server on the way made it.
func (l *leg) fromServer(res *sip.Response) bool { // [locked]
	product := productOf(res)
	return product != "" && l.product != "" && product != l.product
}

// productOf is what a message says of the software that made it.
func productOf(m interface{ Header(string) string }) string {
	if p := m.Header("Server"); p != "" {
		return p
	}
	return m.Header("User-Agent")
}

// probeLater has the way back tried once more after a while: the far end may
// have come back meanwhile.
func (l *leg) probeLater() { // [locked]
	l.way.probe = min(max(2*l.way.probe, probeFirst), probeLast)
	l.way.timer = l.s.after(l.way.probe, func() {
		l.wayStep(wayProbe, nil)
		l.wayReady()
	})
}

// closeWay ends all that is under way for the way back.
func (l *leg) closeWay() { // [locked]
	l.way.timer.Stop()
	l.way.due = false
}
