package session

import (
	"errors"
	"math"
	"net"
	"strconv"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// SessionTimer is how the two ends of a call watch over it (RFC 4028): one of
// them refreshes the session, and without a refresh it ends.
type SessionTimer struct {
	// Interval is the longest time from one refresh to the next. Zero: the call
	// has no session timer.
	Interval time.Duration
	// Local reports that we refresh; else the far end does.
	Local bool
	// Expires is when the session is over unless it is refreshed before.
	Expires time.Time
}

// SessionTimer returns what both ends agreed on about the life of the session;
// the zero value before the call is up, and where there is no session timer.
// With a far end that knows no session timers it is ours alone.
func (s *Session) SessionTimer() SessionTimer {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	c := &s.leg.timer
	if !c.running() {
		return SessionTimer{}
	}
	return SessionTimer{Interval: c.length(), Local: c.local, Expires: c.since.Add(c.length())}
}

// sessionClock is the session timer of a leg with its clocks and its refresh.
type sessionClock struct {
	sessionTimer
	since   time.Time // of the last refresh
	refresh *core.Timer
	end     *core.Timer
	update  *core.Outgoing // our refresh, where it is an UPDATE

	refused  bool // the peer refused UPDATE, whatever its Allow says
	byInvite bool // the next attempt goes by re-INVITE: UPDATE has just failed
	patience patience
	rounds   int // how many 422 the request under way has met
}

// newTerms are the UA's terms of session timers, for one call.
func (o *Options) newTerms() timerTerms {
	return timerTerms{ask: seconds(o.SessionExpires), min: seconds(o.MinSE), force: o.ForceRefresher}
}

// setInterval takes the interval that the application wants for this call.
func (t *timerTerms) setInterval(d time.Duration) {
	switch {
	case d < 0:
		t.ask = 0
	case d > 0:
		t.ask = max(seconds(d), t.min)
	}
}

// seconds rounds up to whole ones, as many as messages are read with.
func seconds(d time.Duration) int {
	n := d / time.Second
	if d%time.Second > 0 {
		n++
	}
	return int(min(n, math.MaxInt32))
}

// timeInvite puts what we want of a session timer into the INVITE of a call.
func (s *Session) timeInvite(req *sip.Request) { // [locked]
	if s.m.o.SessionTimers {
		s.put(s.out.root.timer.initial(), req)
	}
}

// timeRequest puts the session timer into a re-INVITE or an UPDATE.
func (l *leg) timeRequest(req *sip.Request) { // [locked]
	if l.s.m.o.SessionTimers && req.Method() != sip.PRACK {
		l.timer.rounds = 0
		l.s.put(l.timer.subsequent(), req)
	}
}

// put writes the fields of a session timer into a message.
func (s *Session) put(f timerFields, m interface {
	SetHeader(name, value string) error
	AddHeader(name, value string) error
}) { // [locked]
	var err error
	if f.timed {
		err = m.SetHeader("Session-Expires", sip.SessionExpires{Seconds: f.interval, Refresher: f.refresher}.String())
	}
	if f.min > 0 {
		err = errors.Join(err, m.SetHeader("Min-SE", strconv.Itoa(f.min)))
	}
	if f.required {
		err = errors.Join(err, m.AddHeader("Require", optionTimer))
	}
	s.logError("session timer", err)
}

// intervalTooSmall answers 422 to a request that asks for a session interval
// below our minimum (RFC 4028 §9). False: it does not.
func (m *Manager) intervalTooSmall(in *core.Incoming) bool { // [locked]
	terms := m.o.newTerms()
	if !m.o.SessionTimers || !terms.refuses(timerFieldsOf(in.Request())) {
		return false
	}
	in.Reply(sip.StatusSessionIntervalTooSmall, "", sip.Field{Name: "Min-SE", Value: strconv.Itoa(terms.min)})
	return true
}

// timeAnswer puts the session timer into our 2xx to an INVITE or UPDATE, which
// leaves now. Before the call is up no 2xx starts the clocks: that to the INVITE
// will.
func (l *leg) timeAnswer(in *core.Incoming, res *sip.Response) { // [locked]
	s, req := l.s, in.Request()
	if !s.m.o.SessionTimers || req.Method() == sip.PRACK {
		return
	}
	f := l.timer.grant(timerFieldsOf(req))
	s.put(f, res)
	if l.isUp() && !in.Answered() {
		l.clock(l.timer.granted(f))
	}
}

// timed takes what a 2xx to our INVITE or UPDATE says of the session timer.
func (l *leg) timed(sent *sip.Request, res *sip.Response) { // [locked]
	if l.s.m.o.SessionTimers && l.isUp() {
		l.timer.byInvite, l.timer.patience = false, patience{}
		l.clock(l.timer.taken(timerFieldsOf(sent), timerFieldsOf(res)))
	}
}

// isUp reports whether the call is up, and on this leg.
func (l *leg) isUp() bool { // [locked]
	return l == l.s.leg && (l.s.usage.state == Confirmed || l.s.usage.state == Accepted)
}

// raised takes a 422 to a request of ours, and reports whether it is to be sent
// again with the interval that is wanted (RFC 4028 §7.3).
func (l *leg) raised(out *core.Outgoing, res *sip.Response) bool { // [locked]
	if res.StatusCode() != sip.StatusSessionIntervalTooSmall || l.s.usage.state.Ended() {
		return false
	}
	c := &l.timer
	c.rounds++
	return c.rounds <= maxTries && l.s.m.o.SessionTimers && c.tooSmall(timerFieldsOf(out.Sent()), timerFieldsOf(res))
}

// inviteRaised sends the INVITE of a call again after a 422. Where early media
// are bound to its offer a fresh one goes with it.
func (s *Session) inviteRaised(res *sip.Response) bool { // [locked]
	out := s.out
	switch {
	case !out.root.raised(out.invite, res):
		return false
	case out.bound != nil:
		s.startOver()
		out.next = nil
		s.inviteAnew()
		return true
	}
	if !s.inviteTimed(Description{}) {
		return false
	}
	s.dropForks()
	return true
}

// inviteTimed sends the INVITE again with what we want of a session timer now,
// and with d where the offer is a new one.
func (s *Session) inviteTimed(d Description) bool { // [locked]
	return s.out.invite.Again(func(req *sip.Request) {
		s.logError("body of INVITE", d.into(req))
		s.timeInvite(req)
	})
}

// reofferRaised sends a re-INVITE or an UPDATE again after a 422.
func (l *leg) reofferRaised(out *core.Outgoing, res *sip.Response) bool { // [locked]
	return l.oa.state != oaClosed && l.raised(out, res) && out.Again(func(req *sip.Request) { l.s.put(l.timer.subsequent(), req) })
}

// clock does what the machine says.
func (l *leg) clock(a timerAction) { // [locked]
	c := &l.timer
	if a.do&tmStop != 0 {
		c.refresh.Stop()
		c.end.Stop()
	}
	if a.do&tmRestart != 0 {
		c.since = time.Now()
		c.end = l.s.after(a.end, func() { l.tick(tmExpiry, 0) })
	}
	if a.do&tmAdjust != 0 {
		c.end.Stop()
		c.end = l.s.after(a.end, func() { l.tick(tmExpiry, 0) })
	}
	if a.do&tmWait != 0 {
		c.refresh.Stop()
		c.refresh = l.s.after(a.next, l.refreshDue)
	}
	if a.do&tmRefresh != 0 {
		l.sendRefresh()
	}
	if a.do&tmBye != 0 {
		l.unrefreshed()
	}
}

// tick tells the machine what happened.
func (l *leg) tick(in timerInput, wait time.Duration) { // [locked]
	l.clock(l.timer.step(in, time.Since(l.timer.since), wait))
}

// refreshDue refreshes the session now, or as soon as the exchange that is under
// way has ended. If that one succeeds it is the refresh.
func (l *leg) refreshDue() { // [locked]
	if l.busy() {
		l.tick(tmDueBusy, 0)
	} else {
		l.tick(tmDue, 0)
	}
}

// busy reports whether a refresh has to wait for another exchange.
func (l *leg) busy() bool { // [locked]
	return l.oa.state != oaStable || !l.mayOffer() || len(l.waiting) > 0
}

// untimed ends the session timer with the call.
func (l *leg) untimed() { // [locked]
	l.tick(tmEnd, 0)
	if l.timer.update != nil {
		l.timer.update.Abandon()
		l.timer.update = nil
	}
}

// unrefreshed ends a call whose session was not refreshed in time (RFC 4028 §10).
func (l *leg) unrefreshed() { // [locked]
	l.s.step(inHangup, event{end: &EndError{
		Kind: EndUnrefreshed, Err: &sip.TimeoutError{Timer: "Session-Expires", Method: l.refreshMethod()},
	}})
}

// refreshMethod is what a refresh of ours goes by: UPDATE where it is wanted and
// the peer takes it, else INVITE (RFC 4028 §7.4).
func (l *leg) refreshMethod() sip.Method { // [locked]
	c := &l.timer
	if l.s.m.o.RefreshMethod == sip.UPDATE && l.allows(sip.UPDATE) && !c.refused && !c.byInvite {
		return sip.UPDATE
	}
	return sip.INVITE
}

// sendRefresh refreshes the session: by an UPDATE without an offer, or by a
// re-INVITE with the description as it is.
func (l *leg) sendRefresh() { // [locked]
	if l.refreshMethod() == sip.INVITE {
		l.offer(&exchange{
			keepHold:  true,
			sendOffer: func(d Description) { l.sendOffer(sip.INVITE, d) },
			done:      l.refreshed,
		})
		return
	}
	if l.timer.patience.since.IsZero() {
		l.timer.patience.since = time.Now()
	}
	l.sendUpdate(l.timer.length(), func(err error) { // the clock ends it
		if err == nil {
			return
		}
		if wait, again := l.s.retryIn(&l.timer.patience, sip.UPDATE, err); again {
			l.tick(tmLater, wait)
			return
		}
		l.timer.patience = patience{}
		l.refreshed(err)
		l.s.failed(l.dialog, sip.UPDATE, err)
	})
}

// sendUpdate sends an UPDATE without an offer, which refreshes the session and the
// remote target of the far end. It waits for a flow as core.Outgoing.Wait has it;
// done gets what it came to, and what waited for it may follow.
func (l *leg) sendUpdate(wait time.Duration, done func(error)) { // [locked]
	req := l.dialog.NewRequest(sip.UPDATE)
	l.timeRequest(req)
	out := &core.Outgoing{Request: req, Dialog: l.dialog, Wait: wait}
	over := func(err error) {
		l.timer.update = nil
		done(err)
		l.next()
	}
	out.OnFail = over
	out.OnResponse = func(res *sip.Response) {
		switch code := res.StatusCode(); {
		case code.IsProvisional(), l.reofferRaised(out, res):
		case code.IsSuccess():
			l.learn(res)
			l.timed(out.Sent(), res)
			l.targetRefreshed(sip.UPDATE, nil)
			over(nil)
		default:
			over(&sip.ResponseError{Method: sip.UPDATE, Response: res})
		}
	}
	l.timer.update = out
	l.s.m.core.Send(out)
}

// refreshed takes what a refresh of ours came to, where it is no 2xx. Whether the
// call survives that is for failed to say.
func (l *leg) refreshed(err error) { // [locked]
	var refusal *sip.ResponseError
	switch {
	case err == nil, l.timer.state != timerRefreshing:
	case errors.Is(err, net.ErrClosed):
		l.tick(tmLost, 0)
	case !errors.As(err, &refusal):
		l.tick(tmRefused, 0)
	case refusal.Method != sip.UPDATE:
		l.tick(tmRefused, wantedWait(refusal))
	case refusal.StatusCode() == sip.StatusRequestPending:
		l.tick(tmLater, l.s.glareDelay())
	case refusal.StatusCode() == sip.StatusMethodNotAllowed, refusal.StatusCode() == sip.StatusNotImplemented:
		l.timer.refused = true
		l.tick(tmMethod, 0)
	default:
		l.timer.byInvite = true
		l.tick(tmRefused, wantedWait(refusal))
	}
}

// wantedWait is what a refusal's Retry-After asks for.
func wantedWait(refusal *sip.ResponseError) time.Duration {
	n, _ := refusal.Response.RetryAfter()
	return time.Duration(n) * time.Second
}
