package session

import (
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/dialog"
)

// sendBye ends the call's dialog, or that of a fork.
func (s *Session) sendBye(l *leg) { // [locked]
	if l == nil {
		l = s.leg
	}
	bye := l.dialog.NewRequest(sip.BYE)
	s.logError("header of BYE", bye.SetFields(s.parting.all()...))
	s.logError("body of BYE", s.parting.body.into(bye))
	s.finishDialog(l.dialog, bye, func() { s.step(inWireDone, event{}) })
}

// byeTo sends a BYE to a dialog that is not, or no more, the call's.
func (s *Session) byeTo(d *dialog.Dialog, done func()) { // [locked]
	s.finishDialog(d, d.NewRequest(sip.BYE), done)
}

// finishDialog sends a BYE and forgets the dialog when it is answered, or will
// not be. The far end goes on as long as it does not know: the BYE waits for a
// flow, and leaves again on the next one when that is lost before the answer.
func (s *Session) finishDialog(d *dialog.Dialog, bye *sip.Request, done func()) { // [locked]
	f := &farewell{m: s.m, patience: patience{since: time.Now()}}
	over := func() {
		s.letGo(d)
		f.over()
		if done != nil {
			done()
			done = nil
		}
	}
	f.bye = &core.Outgoing{
		Request: bye, Dialog: d, Wait: core.Forever, Repeat: true,
		OnResponse: func(res *sip.Response) {
			if res.StatusCode().IsFinal() {
				f.again(res.StatusCode())
				over()
			}
		},
		OnFail: func(error) { over() },
	}
	s.m.core.Send(f.bye)
}

// farewell is a BYE to a far end that may have lost its connection. For us the
// dialog is over with any answer (RFC 3261 §15.1.1); a far end that comes back would
// go on with a call of which nobody is left.
type farewell struct {
	m        *Manager
	bye      *core.Outgoing
	patience patience
	timer    *core.Timer // until it is sent again
}

// again sends the BYE once more after a while, if a server on the way does not
// know for now where the far end is.
func (f *farewell) again(code sip.StatusCode) { // [locked]
	f.timer = nil
	switch code {
	case sip.StatusNotFound, sip.StatusFlowFailed, sip.StatusTemporarilyUnavailable:
	default:
		return
	}
	wait := f.patience.pause()
	if f.m.closed != nil || time.Since(f.patience.since)+wait >= f.m.core.RecoveryLimit() {
		return
	}
	f.m.farewells[f] = struct{}{}
	f.timer = f.m.core.After(wait, func() {
		f.timer = nil
		if !f.bye.Again(func(*sip.Request) {}) {
			f.over()
		}
	})
}

// over forgets a BYE that is not to be sent again.
func (f *farewell) over() { // [locked]
	if f.timer == nil {
		delete(f.m.farewells, f)
	}
}

// receiveBye takes the BYE of the call or of one of its forks, which is always
// answered 200 (RFC 3261 §15.1.2, RFC 5407 §3.2.1).
func (l *leg) receiveBye(in *core.Incoming) { // [locked]
	s := l.s
	in.Reply(sip.StatusOK, "")
	end := &EndError{Remote: true, Kind: EndBye, Reason: in.Request().Headers("Reason")}
	switch h := s.heir; {
	case s.out != nil && l != s.out.won, s.out == nil && l != s.leg:
		l.end = end
		return
	case h != nil && l == h.old && h.mayWin(): // perhaps because of that
		l.end = end
		s.after(byeGrace, func() {
			if !h.up {
				h.giveUp()
			}
		})
		return
	}
	s.step(inBye, event{code: sip.StatusRequestTerminated, end: end})
}
