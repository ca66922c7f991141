package core

import (
	"context"
	"slices"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/transaction"
)

// cancelLimit is how long the CANCEL of an INVITE that ended without a flow waits
// for the next one. By then a proxy has given the INVITE up itself: that is Timer
// C (RFC 3261 §16.6).
const cancelLimit = 3 * time.Minute

// cancellation is what an INVITE knows of its CANCEL.
type cancellation struct {
	try         *transaction.Client // of the newest CANCEL; few requests ever need one
	wanted      bool
	sent        bool
	blind       bool // it was sent before any provisional response
	provisional bool // one has come for the newest attempt: a CANCEL may go
	fields      []sip.Field
	limit       *Timer // it outlives its INVITE, until then
	mark        uint64 // what its flow's silence had heard when the CANCEL left
}

// Cancel ends a pending INVITE: with a CANCEL now, or as soon as a provisional
// response has come, always for the newest attempt, with fields (Reason) added
// to it. Where the flow is gone it goes on the next one to the same server,
// also without a provisional response and after the INVITE has failed, for up
// to 3 minutes. While the INVITE waits for a flow or for credentials it fails
// with context.Canceled at once. A 2xx that wins still comes to OnResponse;
// without any final response OnFail gets a *sip.TimeoutError 64·T1 after the
// CANCEL. Locked.
//
// RFC 3261 §9.1.
func (o *Outgoing) Cancel(fields ...sip.Field) {
	if o.core == nil || o.cancel.wanted {
		return
	}
	switch o.phase {
	case waiting, asking:
		o.failLater(context.Canceled)
	case pending:
		if o.sent.Method() == sip.INVITE {
			o.cancel.wanted, o.cancel.fields = true, slices.Clone(fields)
			o.sendCancel()
		}
	}
}

// sendCancel sends the CANCEL if it is wanted and may go now.
func (o *Outgoing) sendCancel() {
	c := o.core
	if !o.cancel.wanted || o.cancel.sent || o.phase != pending && o.cancel.limit == nil {
		return
	}
	k, blind := o.cancelLink()
	if k == nil {
		if !slices.Contains(c.cancels, o) {
			c.cancels = append(c.cancels, o)
		}
		return
	}
	req, err := transaction.NewCancel(o.sent, o.cancel.fields...)
	if err != nil { // fields that cannot be sent
		req, _ = transaction.NewCancel(o.sent)
	}
	o.forgetCancel()
	o.cancel.sent, o.cancel.blind = true, blind
	o.cancel.try = new(transaction.Client)
	o.cancel.mark = c.linkOf(k.Flow).silence.heard
	c.layer.Request(o.cancel.try, k, req, (*cancelUser)(o))
	o.try.Canceled()
}

// cancelLink returns the flow for the CANCEL, nil while it cannot go. blind: no
// provisional response has come. RFC 3261 §9.1 has it wait for one so that it
// does not overtake the INVITE; but that is on a flow that is gone, has arrived or
// never will, and what was answered is lost with it.
func (o *Outgoing) cancelLink() (k *transaction.Link, blind bool) {
	k, blind = o.try.Link(), !o.cancel.provisional
	switch {
	case !k.Down() && !blind:
		return k, false
	case !k.Down(), blind && o.Dialog != nil: // the BYE of its dialog does more
		return nil, false
	}
	if next := o.core.sameServer(k.Server); next != nil {
		return &next.Link, blind
	}
	return nil, false
}

// forgetCancel is for an INVITE that is over: a CANCEL that still waits has
// nothing to cancel any more.
func (o *Outgoing) forgetCancel() {
	o.core.cancels = slices.DeleteFunc(o.core.cancels, func(p *Outgoing) bool { return p == o })
	o.cancel.limit.Stop()
	o.cancel.limit = nil
}

// cancelAfterwards has an INVITE canceled that failed for want of a flow: who is
// behind the server rings on otherwise.
func (o *Outgoing) cancelAfterwards() {
	if o.cancel.sent || o.core.closed != nil {
		return
	}
	o.cancel.wanted = true
	o.cancel.limit = o.core.After(cancelLimit, o.forgetCancel)
	o.sendCancel()
}

// cancelOn sends the CANCELs that waited for a flow.
func (c *Core) cancelOn() {
	for _, o := range slices.Clone(c.cancels) {
		o.sendCancel()
	}
}

// cancelUser is the user of a CANCEL's transaction. What is answered to a CANCEL
// does not matter: the INVITE gets its own final response.
type cancelUser Outgoing

// Response notes that a CANCEL without a provisional response found no INVITE:
// should one come all the same, the next CANCEL follows.
func (u *cancelUser) Response(res *sip.Response) {
	if u.cancel.blind && res.StatusCode() == sip.StatusCallDoesNotExist {
		u.cancel.sent, u.cancel.blind = false, false
	}
}

// Fail sends the CANCEL again on the next flow if this one was lost.
func (u *cancelUser) Fail(err error) {
	o := (*Outgoing)(u)
	if k := o.core.linkOf(o.cancel.try.Link().Flow); k != nil {
		o.core.unanswered(k, o.cancel.mark, err)
	}
	if o.cancel.try.Link().Down() && o.phase == pending && o.core.closed == nil {
		o.cancel.sent = false
		o.core.cancels = append(o.core.cancels, o)
	}
}

func (u *cancelUser) Done() {}
