package core

import (
	"github.com/gosipua/sipua/sip/dialog"
	"github.com/gosipua/sipua/sip/transaction"
)

// SendACK sends the ACK to a 2xx of the INVITE o in dialog d, with that INVITE's
// CSeq number and, unless it is anonymous, credentials: nobody can ask for them,
// and a proxy that does not take them out tells the far end our name. resend
// repeats it for each repeated 2xx; it is locked, too. Locked.
//
// RFC 3261 §13.2.2.4, §22.1.
func (c *Core) SendACK(d *dialog.Dialog, o *Outgoing, contentType string, body []byte) (resend func()) {
	req := d.NewACK(o.sent.CSeq().Seq)
	_ = req.PrependHeader("Via", o.link.newVia()) // made by us
	_ = req.AddHeader("Max-Forwards", maxForwards)
	for f := range o.sent.Fields() {
		if !o.anonymous() && (f.Name == "Authorization" || f.Name == "Proxy-Authorization") {
			_ = req.AddHeader(f.Name, f.Value)
		}
	}
	if c.o.UserAgent != "" && !o.anonymous() {
		_ = req.AddHeader("User-Agent", c.o.UserAgent)
	}
	_ = addExtra(c.extra(o.anonymous()), req.HasHeader, req.AddHeader) // those that can be sent
	if len(body) > 0 {
		if err := req.SetBody(contentType, body); err != nil {
			_ = req.SetBody("application/octet-stream", body)
		}
	}
	resend = func() {
		if k := c.ackLink(o); k != nil {
			c.send(k, req)
		}
	}
	resend()
	return resend
}

// ackLink returns the flow for an ACK: the one the 2xx came on, after its loss
// the next one, nil when there is none.
func (c *Core) ackLink(o *Outgoing) *transaction.Link {
	if k := o.try.Link(); !k.Down() {
		return k
	}
	if k := c.sameServer(o.try.Link().Server); k != nil {
		return &k.Link
	}
	if k := c.linkFor(o.Dialog); k != nil {
		return &k.Link
	}
	return nil
}
