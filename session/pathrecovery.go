package session

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// pathRecovery is the media path of a leg: the machine, and what it is about.
type pathRecovery struct {
	path
	address netip.Addr // ours, when the media were made
	lost    error      // what the media said of the path that failed
	restart *exchange  // under way, or among those that wait
	refusal error      // what the last one came to
	begun   int        // how many there were
}

var (
	errPathSilent = errors.New("session: media path is silent")
	errMoved      = errors.New("session: our address has changed")
)

// mayRestart reports whether the offer of a restart may leave: over a flow that is
// ready, and not while a new dialog, which has media of its own, is to take the
// place of this one. Where the flow of the dialog was lost the offer is the target
// refresh too.
func (l *leg) mayRestart() bool { // [locked]
	return l.way.state != wayLost && l.way.state != wayReplacing && l.s.m.ready()
}

// beginRestart makes the offer of a restart that is due.
func (l *leg) beginRestart() { // [locked]
	if l.path.state != pathDue || !l.mayRestart() {
		return
	}
	l.path.step(paBegun)
	l.path.begun++
	x := &exchange{fresh: true, keepHold: true, restart: true}
	x.patience.limit = 2 * l.s.m.core.RecoveryLimit() // a time-out takes half of it
	x.sendOffer = func(d Description) { l.sendOffer(sip.INVITE, d) }
	x.done = l.restarted
	l.path.restart = x
	l.offer(x)
}

// restarted takes the outcome of a restart. One that a server on the way refused
// may not be the last word: the dialog may be about to be replaced.
func (l *leg) restarted(err error) { // [locked]
	p := &l.path
	p.restart, p.refusal = nil, err
	switch {
	case err == nil:
		l.pathStep(paAgreed, nil)
		l.feedPath()
		return
	case l.oa.state == oaClosed:
		return
	case p.old == pathBroken && l.excuses(err):
		p.step(paAside)
		l.s.after(l.s.m.core.RecoveryLimit(), l.noOtherWay)
	default:
		l.pathStep(paRefused, err)
	}
	l.s.failed(l.dialog, sip.INVITE, err)
}

// noOtherWay takes it that no other dialog is found for a call whose path is
// dead.
func (l *leg) noOtherWay() { // [locked]
	if l.path.state == pathAside {
		l.pathStep(paRefused, l.path.refusal)
	}
}

// pathStep feeds the machine and does what it answers. err is what the media
// say, or what a restart came to.
func (l *leg) pathStep(in pathInput, err error) { // [locked]
	p, s := &l.path, l.s
	was := p.state
	p.policy = s.recovery
	do := p.step(in)
	if in == paFailed && was != pathConnecting {
		p.lost = err
	}
	if do&(paDrop|paStale) != 0 && p.restart != nil {
		l.restartOvertaken(do)
	}
	if do&(paHeard|paSilent) != 0 && l.isUp() {
		s.setSilent(do&paSilent != 0, err)
	}
	if do&paRestart != 0 {
		l.beginRestart()
	}
	if do&paGiveUp != 0 {
		lost := &PathError{Lost: p.lost}
		if lost.Lost == nil {
			lost.Lost = errMoved
		}
		if in == paRefused || was == pathConnecting {
			lost.Restart = err
		}
		s.step(inMediaFailed, event{end: &EndError{Kind: EndMediaFailed, Err: lost}})
	}
}

// restartOvertaken is for a restart that is under way when its reason has gone,
// or when it would have to say something else. What is on the wire already takes
// its course.
func (l *leg) restartOvertaken(do pathDo) { // [locked]
	x := l.path.restart
	if do&paStale != 0 {
		x.stale = true
		return
	}
	i := slices.Index(l.waiting, x)
	if i < 0 {
		return
	}
	l.waiting = slices.Delete(l.waiting, i, i+1)
	if x.kept != nil && l.glare != nil {
		l.glare.Stop()
		l.glare = nil
	}
	l.s.closeMedia(nil, x)
	l.path.restart = nil
	if do&paHeard != 0 { // else it is done with already
		l.path.step(paRefused)
	}
}

// feedPath tells the machine what the leg's media have told already.
func (l *leg) feedPath() { // [locked]
	if l.source == nil {
		return
	}
	switch l.source.path {
	case pathUp:
		l.pathStep(paConnected, nil)
	case pathWaiting:
		l.pathStep(paDisconnected, errPathSilent)
	case pathBroken:
		l.pathFailed(l.source.err)
	}
}

// pathFailed takes the loss of the leg's path for good. Before the call is up
// that ends it, but for a fork while another may answer.
func (l *leg) pathFailed(err error) { // [locked]
	s := l.s
	switch {
	case l.isUp():
		l.pathStep(paFailed, err)
	case s.usage.state == Confirmed: // the media of a dialog that was
	case s.out != nil && len(s.out.forks) > 1 && s.usage.state == Early:
	default:
		s.step(inMediaFailed, event{end: &EndError{Kind: EndMediaFailed, Err: &PathError{Lost: err}}})
	}
}

// restartAgain tells how long to wait before a restart that came to err goes
// again; false: it does not.
func (l *leg) restartAgain(p *patience, method sip.Method, err error) (time.Duration, bool) { // [locked]
	switch code := sip.StatusOf(err); {
	case l.s.usage.state.Ended():
		return 0, false
	case errors.Is(err, net.ErrClosed): // when there is a flow that is ready
		return 0, true
	case code == sip.StatusRequestTerminated, code == sip.StatusServerInternalError, code == sip.StatusServiceUnavailable:
		return p.after(err, p.limit) // the first by our own CANCEL, when it took too long
	}
	return p.next(method, err, p.limit)
}

// restartsAgain prepares the job of a restart whose offer was kept. One with an
// address that is gone is made anew.
func (l *leg) restartsAgain(j *mediaJob) { // [locked]
	j.again = !j.x.stale
	if j.x.stale {
		j.x.stale = false
		l.path.step(paBegun)
	}
}

// offersAgain reports whether the offer that was kept goes again as it is, which
// needs that the m-lines of the call are those that it was made for. Else its
// media make room for others.
func (j *mediaJob) offersAgain(s *Session) bool {
	x := j.x
	if x.kept == nil {
		return false
	}
	m, judges := x.media.(interface{ Follows(present Media) bool })
	if j.again && (!judges || m.Follows(j.present)) {
		j.resends = true
		return true
	}
	if x.media != j.present {
		s.logError("close media", s.closeOnce(x.media))
	}
	x.media = nil
	return false
}

// choosePlace decides which media make the offer of a restart: fresh ones beside
// those of the call, unless these say that it has to be them. Then ICE restarts in
// place, and gives up the path that there may be.
func (j *mediaJob) choosePlace() {
	m, ok := j.present.(interface{ RestartsInPlace() bool })
	j.x.fresh = !ok || !m.RestartsInPlace()
	j.opts.ICERestart = !j.x.fresh
}

// keepOffer keeps the offer of a restart, to send it again as it is. False: no
// flow is ready, and it waits for one.
func (l *leg) keepOffer(j *mediaJob, d Description) bool { // [locked]
	x := j.x
	if !j.resends {
		x.kept, x.source = &d, j.source
		if x.media == l.media { // what they told was of the path that they gave up
			l.source.path, l.source.err = pathNew, nil
		}
	}
	if l.mayRestart() {
		return true
	}
	l.oa.step(oaMediaFailed)
	l.open = nil
	l.waiting = append([]*exchange{x}, l.waiting...)
	return false
}

// replaced notes that other media took the place of the leg's, or its first came.
func (l *leg) replaced(old Media) { // [locked]
	if old != nil {
		l.path.address = l.s.m.flows.last
		l.pathStep(paReplaced, nil)
	}
	l.feedPath()
}

// ready reports whether there is a flow over which others reach us.
func (m *Manager) ready() bool { // [locked]
	_, _, ok := m.core.ReadyFlow()
	return ok
}

// flowPaths has the addresses of the flows that are up.
type flowPaths struct { // guarded by the core's mutex
	up   []flowPath
	last netip.Addr // of the newest
}

type flowPath struct {
	flow core.Flow
	own  netip.Addr
}

// noteFlow takes the coming and going of flows.
func (m *Manager) noteFlow(f core.Flow, info core.FlowInfo, up bool, _ error) { // [locked]
	if !up {
		m.flows.up = slices.DeleteFunc(m.flows.up, func(p flowPath) bool { return p.flow == f })
		if f, info, ok := m.core.ReadyFlow(); ok { // of several flows another goes on
			m.movePaths(f, info)
		}
		return
	}
	a := localAddress(info.Local)
	m.flows.up = append(m.flows.up, flowPath{f, a})
	if a.IsValid() {
		m.flows.last = a
	}
}

// localAddress is the IP address of a flow's end, the zero Addr where it has none.
func localAddress(local string) netip.Addr {
	a, _ := netip.ParseAddrPort(local)
	return a.Addr().Unmap().WithZone("")
}

// movePaths compares our address on a flow that is ready with those that the
// calls' media were made at. That another flow to it is up says that it is still
// ours; an address of the other IP version says nothing, and the media are asked.
func (m *Manager) movePaths(_ core.Flow, info core.FlowInfo) { // [locked]
	now := localAddress(info.Local)
	if !now.IsValid() {
		return
	}
	for s := range m.sessions {
		l := s.leg
		was := l.path.address
		if !l.isUp() || !was.IsValid() || was == now || m.has(was) {
			continue
		}
		if was.Is4() == now.Is4() {
			l.path.address = now
			l.pathStep(paMoved, errMoved)
		} else {
			l.askAddress()
		}
	}
}

func (m *Manager) has(a netip.Addr) bool { // [locked]
	return slices.ContainsFunc(m.flows.up, func(p flowPath) bool { return p.own == a })
}

// restartPaths begins the restarts that waited for a flow which is ready, and
// sends those again whose flow was lost.
func (m *Manager) restartPaths(core.Flow, core.FlowInfo) { // [locked]
	for s := range m.sessions {
		s.leg.restartNow()
	}
}

// restartNow begins the restart that is due, or goes on with the one that is under
// way.
func (l *leg) restartNow() { // [locked]
	l.beginRestart()
	if x := l.path.restart; x != nil && l.mayRestart() {
		if l.open == x {
			l.dropLost()
		}
		l.next()
	}
}

// NetworkChanged tells the calls that the addresses of this machine may be others
// now: those whose media go by one that is gone make a new path (MediaRestart).
func (m *Manager) NetworkChanged() {
	m.core.Lock()
	defer m.core.Unlock()
	for s := range m.sessions {
		if s.leg.isUp() {
			s.leg.askAddress()
		}
	}
}

// askAddress asks the leg's media whether the address that they use is gone.
func (l *leg) askAddress() { // [locked]
	media, gone, begun := l.media, false, l.path.begun
	m, ok := media.(interface{ AddressGone() bool })
	if !ok {
		return
	}
	run := func() error {
		gone = m.AddressGone()
		return nil
	}
	l.s.work(run, func(error) {
		// A restart that has begun since has its offer made after this: for the
		// addresses that there are.
		if gone && l.media == media && l.path.begun == begun && l.isUp() {
			l.path.address = l.s.m.flows.last
			l.pathStep(paMoved, errMoved)
		}
	})
}
