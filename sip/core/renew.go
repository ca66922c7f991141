package core

import (
	"errors"

	"github.com/gosipua/sipua/sip"
)

// Renew returns the request of o as another one, to be sent with callbacks of its
// own: what the newest attempt says, but of a call of its own (Call-ID, From tag,
// CSeq), and what depends on the flow chosen anew. o goes on by itself. nil when
// nothing of it has left, or inside a dialog. Locked.
func (o *Outgoing) Renew() *Outgoing {
	if o.sent == nil || o.Dialog != nil {
		return nil
	}
	req := o.sent.Clone()
	for _, name := range []string{"Via", "Contact", "Authorization", "Proxy-Authorization"} {
		req.RemoveHeader(name)
	}
	if o.routed {
		req.RemoveHeader("Route")
	}
	err := errors.Join(req.SetCallID(sip.NewCallID()), req.SetFrom(req.From().WithTag(sip.NewTag())),
		req.SetCSeq(sip.CSeq{Seq: 1, Method: req.Method()}))
	if err != nil {
		return nil
	}
	return &Outgoing{Request: req, Wait: o.Wait, Anonymous: o.Anonymous, Referred: o.Referred}
}
