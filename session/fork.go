package session

import (
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// maxEarlyForks bounds the early dialogs of one INVITE; what a server invents
// beyond that makes none.
const maxEarlyForks = 32

// fork is what a caller knows of a dialog that its INVITE made: the responses to
// that INVITE and what they were answered with.
type fork struct {
	invite    *core.Outgoing // what made it; nil: it is none
	resend    func()         // repeats the ACK; nil until one left
	end       *EndError      // its BYE came before its 2xx, or 199 told its end
	heard     Description    // the answer in its provisional response
	lateOffer Description    // the offer of its 2xx

	confirmed confirmation
	pracks    int           // how many PRACKs are not answered
	due       *sip.Response // the provisional response whose PRACK waits for an offer of ours
}

// earlyFork returns the fork that a provisional response belongs to, nil if it
// makes no dialog.
func (s *Session) earlyFork(res *sip.Response) *leg { // [locked]
	if res.To().Tag() == "" || len(s.out.forks) >= maxEarlyForks && findFork(s.out.forks, res) == nil {
		return nil
	}
	return s.forkOf(res)
}

// forkOf returns the fork that res belongs to, a new one for a new To tag; nil
// if res makes no dialog. A 2xx without a tag is one of RFC 2543.
func (s *Session) forkOf(res *sip.Response) *leg { // [locked]
	if l := findFork(s.out.forks, res); l != nil {
		return l
	}
	l := s.newFork(s.out.invite, res)
	if l == nil {
		return nil
	}
	s.m.core.Attach(l.dialog, inDialog{l})
	s.out.forks = append(s.out.forks, l)
	if offer := s.out.root.open; offer != nil {
		l.origin, l.oa.state = s.out.root.origin, oaOffered
		l.open = &exchange{opts: offer.opts, done: l.inviteAgreed}
	}
	return l
}

// newFork returns a leg with the dialog that res makes, nil if it makes none.
func (s *Session) newFork(invite *core.Outgoing, res *sip.Response) *leg { // [locked]
	d, err := invite.NewDialog(res)
	if err != nil {
		s.logError("dialog of "+res.StatusCode().Error(), err)
		return nil
	}
	d.SetAnonymous(s.out.anonymous)
	l := s.newLeg()
	l.dialog, l.invite = d, invite
	return l
}

// findFork returns the fork of that response, nil where there is none yet.
func findFork(forks []*leg, res *sip.Response) *leg { // [locked]
	for _, l := range forks {
		if l.dialog.ID().RemoteTag == res.To().Tag() {
			return l
		}
	}
	return nil
}

// claim gives a fork the media of the INVITE's offer, unless another was first:
// one path at a time can be bound to it.
func (l *leg) claim() { // [locked]
	out := l.s.out
	if out.bound == nil && l.open != nil && out.root.media != nil {
		out.bound = l
		l.take(out.root)
	}
}

// inherit gives the fork that won the media of the INVITE's offer. Where the
// early media of another are bound to them, fresh ones follow from them.
func (l *leg) inherit() { // [locked]
	l.claim()
	if l.media != nil {
		return
	}
	for _, other := range []*leg{l.s.out.bound, l.s.out.root} {
		if other != nil && other.media != nil {
			l.take(other)
			return
		}
	}
}

// take takes over the media of another leg. An exchange that is about fresh ones
// keeps those.
func (l *leg) take(from *leg) { // [locked]
	l.media, l.source = from.media, from.source
	if l.open != nil && !l.open.fresh {
		l.open.media = l.media
	}
	from.media, from.source = nil, nil // from.open.media may be the worker's now
	l.path.address = from.path.address
	l.feedPath()
}

// previous is the media that new ones of the leg follow: its own, or those of
// the INVITE's offer.
func (l *leg) previous() Media { // [locked]
	out := l.s.out
	switch {
	case l.media != nil || out == nil || l.s.heir.is(l):
		return l.media
	case out.bound != nil && out.bound.media != nil:
		return out.bound.media
	}
	return out.root.media
}

// beside is the media of another fork, where nothing connects them with those
// of the leg but that they are of one call.
func (l *leg) beside() Media { // [locked]
	switch {
	case l.previous() != nil:
		return nil
	case l.s.heir.is(l):
		return l.s.heir.old.media
	}
	for other := range l.s.legs() {
		if other.media != nil {
			return other.media
		}
	}
	return nil
}

// lost reports whether the leg is a fork that lost, or hung up, or another has
// taken its place.
func (l *leg) lost() bool { // [locked]
	out := l.s.out
	if out == nil {
		return l != l.s.leg && !l.s.heir.is(l)
	}
	return out != nil && l != out.won && (out.won != nil || l.end != nil)
}

// sendACK acknowledges the 2xx of a fork.
func (l *leg) sendACK(answer Description) { // [locked]
	l.resend = l.s.m.core.SendACK(l.dialog, l.invite, answer.ContentType, answer.Body)
}

// refuseOffer acknowledges a 2xx whose offer, if it has one, is not wanted.
func (l *leg) refuseOffer(offer Description) { // [locked]
	l.sendACK(l.origin.stamp(offer.refusal()))
}

// decline acknowledges a 2xx that makes no call.
func (l *leg) decline(res *sip.Response) { // [locked]
	l.dialog.Confirm(res)
	l.refuseOffer(l.offerIn(res))
}

// offerIn is the offer of a 2xx, where neither the INVITE nor a reliable
// provisional response had one.
func (l *leg) offerIn(res *sip.Response) Description { // [locked]
	if !l.s.out.late || l.reliable {
		return Description{}
	}
	return contentOf(res).sdp
}

// forgetEarlyForks ends the early dialogs that were never answered, 64*T1 after
// the first 2xx (RFC 3261 §13.2.2.4).
func (s *Session) forgetEarlyForks() { // [locked]
	for _, l := range s.out.forks {
		if l != s.out.won && l.resend == nil {
			s.m.core.Detach(l.dialog)
		}
	}
}
