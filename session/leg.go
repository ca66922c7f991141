package session

import (
	"errors"
	"iter"
	"slices"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/dialog"
)

// leg is one dialog of a call with what belongs to it: the state of
// offer/answer, the media, what is under way inside it. A call that came in
// has one; one that we make has one for each fork of its INVITE that answered
// (RFC 3261 §12.1, §13.2.2.4), and before the first of them one without a
// dialog, which makes the INVITE's offer.
type leg struct { // guarded by the core's mutex
	s       *Session
	dialog  *dialog.Dialog // nil before there is any
	oa      offerAnswer
	open    *exchange   // the exchange that oa is about
	waiting []*exchange // ours, for later
	origin  origin
	media   Media
	source  *mediaTag // of media
	holding MediaState
	agreed  bool        // the first offer/answer exchange of the dialog is complete
	accept  *acceptance // a 2xx of ours that waits for its ACK
	ours    *reoffering // our re-INVITE, UPDATE or PRACK with an offer, under way
	glare   *core.Timer // until our offer is made again
	timer   sessionClock
	way     way
	path    pathRecovery

	packages []string // Info Packages the far end takes; nil: it has not said
	methods  []string // its Allow; nil: it has not said
	replaces bool     // it knows Replaces (RFC 3891)
	product  string   // its User-Agent or Server; empty: it has not said

	reliable bool // the first offer or answer went in a reliable provisional response

	fork // what a caller knows of it besides
}

// newLeg returns a leg of the call without a dialog.
func (s *Session) newLeg() *leg { // [locked]
	l := &leg{s: s}
	l.timer.terms = &s.timing
	return l
}

// attach gives the call a leg with a dialog.
func (s *Session) attach(d *dialog.Dialog) *leg { // [locked]
	l := s.newLeg()
	l.dialog = d
	s.m.core.Attach(d, inDialog{l})
	return l
}

// legs returns every leg of the call.
func (s *Session) legs() iter.Seq[*leg] { // [locked]
	return func(yield func(*leg) bool) {
		if s.out == nil {
			if yield(s.leg) && s.heir != nil {
				yield(s.heir.other(s.leg))
			}
			return
		}
		if !yield(s.out.root) {
			return
		}
		for _, l := range s.out.forks {
			if !yield(l) {
				return
			}
		}
		if h := s.heir; h != nil && !h.up {
			yield(h.leg)
		}
	}
}

// close ends what is under way on the leg: what the far end still waits for is
// answered (RFC 3261 §15.1.2), what we wait for is given up, the media close.
func (l *leg) close(end error) { // [locked]
	if l.oa.state == oaClosed {
		return
	}
	open := l.stop(end)
	l.s.closeMedia(l.media, open)
}

// stop is close but for the media, those of the exchange that was open among
// them.
func (l *leg) stop(end error) (open *exchange) { // [locked]
	l.untimed()
	l.closeWay()
	l.oa.step(oaEnd)
	l.path.step(paEnd)
	open, waiting := l.open, l.waiting
	l.open, l.waiting = nil, nil
	if open != nil {
		waiting = append(waiting, open)
	}
	for _, x := range waiting {
		if x.in != nil && !x.in.Answered() {
			x.in.Reply(sip.StatusRequestTerminated, "")
		}
		x.finish(end)
		if x.kept != nil && x != open {
			l.s.closeMedia(nil, x)
		}
	}
	if l.ours != nil {
		l.ours.out.Cancel()
	}
	return open
}

// exchanges returns what is under way or waits on the leg.
func (l *leg) exchanges() iter.Seq[*exchange] { // [locked]
	return func(yield func(*exchange) bool) {
		if l.open != nil && !yield(l.open) {
			return
		}
		for _, x := range l.waiting {
			if !yield(x) {
				return
			}
		}
	}
}

// learn takes over what a message of the far end says of what it can do.
func (l *leg) learn(m interface {
	HasHeader(string) bool
	Header(string) string
	List(string) []string
	HasToken(name, token string) bool
}) { // [locked]
	l.learnPackages(m)
	l.replaces = l.replaces || m.HasToken("Supported", tagReplaces)
	if p := productOf(m); p != "" {
		l.product = p
	}
	if m.HasHeader("Allow") {
		l.methods = m.List("Allow")
	}
}

// allows reports whether the far end has said that it takes a method.
func (l *leg) allows(method sip.Method) bool { // [locked]
	return slices.Contains(l.methods, string(method))
}

// setMedia makes m the leg's media; source is whose events it reports.
func (l *leg) setMedia(m Media, source *mediaTag) { // [locked]
	l.media, l.source = m, source
	if !l.path.address.IsValid() {
		l.path.address = l.s.m.flows.last
	}
	select {
	case <-l.s.hasMedia:
	default:
		close(l.s.hasMedia)
	}
}

// lead makes l the leg that the call is about: the newest early one, or that
// with the newest early media, and in the end the one that is up.
func (s *Session) lead(l *leg) { // [locked]
	was := s.leg.holding
	s.leg = l
	if l.holding != was {
		s.tellHold()
	}
}

// errLost is the outcome of what was under way in the dialog of a fork when
// another one answered.
var errLost = errors.New("session: another fork answered")
