package core

import (
	"context"
	"slices"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/transaction"
)

// cancellation is what an INVITE knows of its CANCEL.
type cancellation struct {
	try         *transaction.Client // of the newest CANCEL; few requests ever need one
	wanted      bool
	sent        bool
	provisional bool // one has come for the newest attempt: a CANCEL may go
	fields      []sip.Field
}

// Cancel ends a pending INVITE: with a CANCEL now, or as soon as a provisional
// response has come, always for the newest attempt, with fields (Reason) added
// to it. While it waits for a flow or for credentials it fails with
// context.Canceled at once. A 2xx that wins still comes to OnResponse; without
// any final response OnFail gets a *sip.TimeoutError 64·T1 after the CANCEL.
// Locked.
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
	if !o.cancel.wanted || o.cancel.sent || !o.cancel.provisional || o.phase != pending {
		return
	}
	k := o.try.Link()
	if k.Down() {
		next := c.sameServer(k.Server)
		if next == nil {
			if !slices.Contains(c.cancels, o) {
				c.cancels = append(c.cancels, o)
			}
			return
		}
		k = &next.Link
	}
	req, err := transaction.NewCancel(o.sent, o.cancel.fields...)
	if err != nil { // fields that cannot be sent
		req, _ = transaction.NewCancel(o.sent)
	}
	o.cancel.sent = true
	o.cancel.try = new(transaction.Client)
	c.layer.Request(o.cancel.try, k, req, (*cancelUser)(o))
	o.try.Canceled()
}

// forgetCancel is for an INVITE that is over: a CANCEL that still waits for a
// flow has nothing to cancel any more.
func (o *Outgoing) forgetCancel() {
	o.core.cancels = slices.DeleteFunc(o.core.cancels, func(p *Outgoing) bool { return p == o })
}

// cancelOn sends the CANCELs that waited for a flow to the server of k.
func (c *Core) cancelOn(k *link) {
	due := c.cancels
	c.cancels = nil
	for _, o := range due {
		o.sendCancel()
	}
}

// cancelUser is the user of a CANCEL's transaction. What is answered to a CANCEL
// does not matter: the INVITE gets its own final response.
type cancelUser Outgoing

func (u *cancelUser) Response(*sip.Response) {}

// Fail sends the CANCEL again on the next flow if this one was lost.
func (u *cancelUser) Fail(error) {
	o := (*Outgoing)(u)
	if o.cancel.try.Link().Down() && o.phase == pending && o.core.closed == nil {
		o.cancel.sent = false
		o.core.cancels = append(o.core.cancels, o)
	}
}

func (u *cancelUser) Done() {}
