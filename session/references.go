package session

import (
	"slices"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/dialog"
)

// references are the refer subscriptions of one dialog, those of our REFERs and
// those of the far end's (RFC 3515 §2.4.4). They outlive a call that they share
// the dialog with: its BYE does not end them (RFC 5057 §5.1). All of it is
// guarded by the core's mutex.
type references struct {
	m      *Manager
	s      *Session       // the call that shares the dialog; nil where none does
	dialog *dialog.Dialog // nil until a NOTIFY makes it, for a REFER of ours outside of dialogs
	callID string         // of such a REFER
	tag    string         // ours in it
	events *core.Queue
	sent   []*Transfer
	taken  []*subscription
	came   int  // REFERs of the far end
	alone  bool // no call is in the dialog (any more): it is attached for these
}

// references returns those of the call's dialog d.
func (s *Session) references(d *dialog.Dialog) *references { // [locked]
	for _, r := range s.refs {
		if r.dialog == d {
			return r
		}
	}
	r := &references{m: s.m, s: s, dialog: d, events: s.events}
	if d == s.leg.dialog {
		s.refs = append(slices.DeleteFunc(s.refs, func(r *references) bool { return !r.live() }), r)
	}
	return r
}

// letGo forgets a dialog of the call, unless subscriptions live on in it.
func (s *Session) letGo(d *dialog.Dialog) { // [locked]
	if _, u := s.m.core.FindDialog(d.ID()); u == core.Usage(nil) {
		return
	}
	s.m.ended.add(d)
	if r := s.references(d); r.live() {
		r.alone = true
		s.m.core.Attach(d, r)
		return
	}
	s.m.core.Detach(d)
}

func (r *references) live() bool { return len(r.sent)+len(r.taken) > 0 }

// add notes a subscription of ours.
func (r *references) add(t *Transfer) {
	r.m.refs[r] = struct{}{}
	r.sent = append(r.sent, t)
}

// forget drops a subscription of ours that is over.
func (r *references) forget(t *Transfer) {
	r.sent = slices.DeleteFunc(r.sent, func(o *Transfer) bool { return o == t })
	r.release()
}

// drop drops a subscription of the far end's that is over.
func (r *references) drop(u *subscription) {
	r.taken = slices.DeleteFunc(r.taken, func(o *subscription) bool { return o == u })
	r.release()
}

// release lets go of a dialog that nothing is left of.
func (r *references) release() {
	if r.live() {
		return
	}
	delete(r.m.refs, r)
	switch {
	case r.dialog == nil:
		r.m.core.Expect(r.callID, r.tag, nil)
	case r.alone:
		r.m.core.Detach(r.dialog)
	}
}

// begin takes the NOTIFY that makes the dialog of a REFER of ours
// (RFC 6665 §4.4.1).
func (r *references) begin(in *core.Incoming) { // [locked]
	d, err := in.NewDialog()
	if err != nil { // also peers that leave Contact out are understood inside calls only
		in.Reply(sip.StatusBadRequest, "Contact missing or malformed")
		return
	}
	d.SetState(dialog.Confirmed)
	r.dialog = d
	r.m.core.Expect(r.callID, r.tag, nil)
	r.m.core.Attach(d, r)
	r.receiveEvent(in)
}

// gone ends all of them, with their dialog or with the UA.
func (r *references) gone(why error) { // [locked]
	for _, t := range slices.Clone(r.sent) {
		t.lost(why)
	}
	for _, u := range slices.Clone(r.taken) {
		u.end()
	}
}

// ReceiveRequest takes a request inside a dialog that no call is in (any more).
func (r *references) ReceiveRequest(in *core.Incoming) { // [locked]
	switch method := in.Request().Method(); {
	case method == sip.NOTIFY || method == sip.SUBSCRIBE:
		r.receiveEvent(in)
	case method == sip.REFER && r.s == nil:
		r.m.referred(in, r)
	default: // that usage is over
		in.Reply(sip.StatusCallDoesNotExist, "")
	}
}

// receiveEvent takes a NOTIFY or SUBSCRIBE inside a call.
func (s *Session) receiveEvent(in *core.Incoming) { // [locked]
	s.references(in.Dialog()).receiveEvent(in)
}

// receiveEvent takes a NOTIFY or SUBSCRIBE.
func (r *references) receiveEvent(in *core.Incoming) { // [locked]
	event, _ := in.Request().Event()
	if event.Package != referPackage {
		in.Reply(sip.StatusBadEvent, "", allowEvents)
		return
	}
	if in.Request().Method() == sip.SUBSCRIBE {
		if u := r.subscriptionOf(event.ID()); u != nil {
			u.subscribed(in)
		} else { // only a REFER makes one (RFC 3515 §2.4.4)
			in.Reply(sip.StatusForbidden, "")
		}
		return
	}
	if t := r.transferOf(event.ID()); t != nil {
		t.notified(in)
	} else { // RFC 6665 §4.1.3
		in.Reply(sip.StatusCallDoesNotExist, "")
	}
}

// transferOf returns the transfer that an id parameter is about, nil for none.
// The id is the CSeq number of the REFER and may be left out for the first
// (RFC 3515 §2.4.6).
func (r *references) transferOf(id string) *Transfer { // [locked]
	for _, t := range r.sent {
		if t.matches(id) {
			return t
		}
	}
	for _, t := range r.sent {
		if id == "" || !t.taken { // a challenge changes the number
			return t
		}
	}
	return nil
}

// subscriptionOf returns the subscription that an id parameter is about, nil
// for none.
func (r *references) subscriptionOf(id string) *subscription { // [locked]
	for _, u := range r.taken {
		if u.last == "" && (id == u.id || id == u.seq) {
			return u
		}
	}
	return nil
}

const referPackage = "refer"

var allowEvents = sip.Field{Name: "Allow-Events", Value: referPackage}

// receiveSubscribe takes a SUBSCRIBE outside of dialogs: only a REFER makes a
// subscription to refer (RFC 3515 §2.4.4), and there is no other package.
func receiveSubscribe(in *core.Incoming) { // [locked]
	if event, _ := in.Request().Event(); event.Package == referPackage {
		in.Reply(sip.StatusForbidden, "")
		return
	}
	in.Reply(sip.StatusBadEvent, "", allowEvents)
}
