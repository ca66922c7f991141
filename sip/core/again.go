package core

import (
	"slices"

	"github.com/gosipua/sipua/sip"
)

// Again sends the request once more after its final response, changed by
// change: with its owner's next CSeq number, the same Call-ID, From and body, and
// what its challenges asked for. o stays the handle of it, so that Cancel meets
// the newest attempt. False: it was canceled or abandoned, or cannot be sent; the
// response that came is the last. Locked.
//
// RFC 3261 §8.1.3.5.
func (o *Outgoing) Again(change func(req *sip.Request)) bool {
	if o.core == nil || o.core.closed != nil || o.phase != over || o.sent == nil || o.accepted || o.abandoned || o.cancel.wanted {
		return false
	}
	req := o.sent.Clone()
	change(req)
	if o.numbered(req) != nil {
		return false
	}
	o.phase = idle
	for i := range o.auth.answers {
		o.auth.answers[i].fresh, o.auth.answers[i].rounds = false, 0
	}
	o.auth.rounds = 0
	o.Request = req
	o.leave()
	return true
}

// Elsewhere is Again for a request that change sends to another address, which
// somebody else chose: who is there hears nothing of the credentials that the
// one before asked for, and gets some only for realms that are known to be our
// server's. Locked.
//
// RFC 3261 §8.1.3.4.
func (o *Outgoing) Elsewhere(change func(req *sip.Request)) bool {
	o.Referred = true
	o.auth.answers = slices.DeleteFunc(o.auth.answers, func(a answer) bool { return !a.challenge.Proxy })
	return o.Again(change)
}

// numbered gives req the next CSeq number, inside a dialog also the remote
// target of now.
func (o *Outgoing) numbered(req *sip.Request) error {
	seq := req.CSeq().Seq + 1
	switch {
	case o.NextSeq != nil:
		seq = o.NextSeq()
	case o.Dialog != nil:
		seq = o.Dialog.NextSeq()
		o.Dialog.Address(req)
	}
	return req.SetCSeq(sip.CSeq{Seq: seq, Method: req.Method()})
}
