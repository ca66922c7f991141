package session

import (
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/dialog"
)

// maxEarlyForks bounds the early dialogs of one INVITE; what a server invents
// beyond that makes none.
const maxEarlyForks = 32

// fork is one dialog that an INVITE made (RFC 3261 §12.1, §13.2.2.4).
type fork struct {
	dialog *dialog.Dialog
	resend func()    // repeats the ACK; nil until one left
	end    *EndError // its BYE came before its 2xx
}

// earlyFork returns the fork that a provisional response belongs to, nil if it
// makes no dialog.
func (s *Session) earlyFork(res *sip.Response) *fork { // [locked]
	if res.To().Tag() == "" || len(s.out.forks) >= maxEarlyForks && s.findFork(res) == nil {
		return nil
	}
	return s.forkOf(res)
}

// forkOf returns the fork that res belongs to, a new one for a new To tag; nil
// if res makes no dialog. A 2xx without a tag is one of RFC 2543.
func (s *Session) forkOf(res *sip.Response) *fork { // [locked]
	if f := s.findFork(res); f != nil {
		return f
	}
	d, err := dialog.NewClient(s.out.invite.Sent(), res)
	if err != nil {
		s.logError("dialog of "+res.StatusCode().Error(), err)
		return nil
	}
	f := &fork{dialog: d}
	s.out.forks = append(s.out.forks, f)
	s.m.core.Attach(d, inDialog{s})
	return f
}

func (s *Session) findFork(res *sip.Response) *fork { // [locked]
	for _, f := range s.out.forks {
		if f.dialog.ID().RemoteTag == res.To().Tag() {
			return f
		}
	}
	return nil
}

// otherFork returns the fork whose dialog is d, nil where that is the call's.
func (s *Session) otherFork(d *dialog.Dialog) *fork { // [locked]
	if s.out == nil {
		return nil
	}
	for _, f := range s.out.forks {
		if f.dialog == d && f != s.out.won {
			return f
		}
	}
	return nil
}

// lost reports whether d is the dialog of a fork that lost, or hung up.
func (s *Session) lost(d *dialog.Dialog) bool { // [locked]
	f := s.otherFork(d)
	return f != nil && (s.out.won != nil || f.end != nil)
}

// sendACK acknowledges the 2xx of a fork.
func (s *Session) sendACK(f *fork, answer Description) { // [locked]
	f.resend = s.m.core.SendACK(f.dialog, s.out.invite, answer.ContentType, answer.Body)
}

// refuseOffer acknowledges a 2xx whose offer, if it has one, is not wanted.
func (s *Session) refuseOffer(f *fork, offer Description) { // [locked]
	s.sendACK(f, s.origin.stamp(offer.refusal()))
}

// decline acknowledges a 2xx that makes no call.
func (s *Session) decline(f *fork, res *sip.Response) { // [locked]
	f.dialog.Confirm(res)
	s.refuseOffer(f, s.offerIn(res))
}

// offerIn is the offer of a 2xx, where the INVITE had none.
func (s *Session) offerIn(res *sip.Response) Description { // [locked]
	if !s.out.late {
		return Description{}
	}
	return contentOf(res).sdp
}

// forgetEarlyForks ends the early dialogs that were never answered, 64*T1 after
// the first 2xx (RFC 3261 §13.2.2.4).
func (s *Session) forgetEarlyForks() { // [locked]
	for _, f := range s.out.forks {
		if f != s.out.won && f.resend == nil {
			s.m.core.Detach(f.dialog)
		}
	}
}
