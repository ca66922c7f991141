package dialog

import "github.com/gosipua/sipua/sip"

// NewRequest returns the next request of the dialog: Request-URI, Route, From,
// To, Call-ID and the next CSeq. It is for every method but ACK and CANCEL,
// which take the number of an INVITE ([Dialog.NewACK]).
//
// RFC 3261 §12.2.1.1.
func (d *Dialog) NewRequest(m sip.Method) *sip.Request {
	return d.newRequest(m, d.NextSeq())
}

// NewACK returns the ACK to a 2xx to the INVITE of that CSeq number. Credentials
// of the INVITE are for the caller to repeat.
//
// RFC 3261 §13.2.2.4.
func (d *Dialog) NewACK(inviteSeq uint32) *sip.Request {
	return d.newRequest(sip.ACK, inviteSeq)
}

// NextSeq takes and returns the next CSeq number, for a request sent again in a
// new transaction.
func (d *Dialog) NextSeq() uint32 {
	d.localSeq++
	return d.localSeq
}

// Address gives a request of the dialog that is sent again where requests go
// now: the remote target may have moved since it was made.
//
// RFC 3261 §12.2.1.1.
func (d *Dialog) Address(req *sip.Request) {
	target, routes := d.way()
	_ = req.SetURI(target)
	if len(routes) > 0 {
		_ = req.SetRoute(routes...)
	}
}

// way is Request-URI and Route.
func (d *Dialog) way() (sip.URI, []sip.NameAddr) {
	if len(d.routes) > 0 && !d.routes[0].URI.Params.Has("lr") {
		return strictRoute(d.target, d.routes)
	}
	return d.target, d.routes
}

func (d *Dialog) newRequest(m sip.Method, seq uint32) *sip.Request {
	target, routes := d.way()
	req := sip.NewRequest(m, target)
	// Nothing below can fail: all of it came from messages that were parsed,
	// or passed a setter before.
	if len(routes) > 0 {
		_ = req.SetRoute(routes...)
	}
	_ = req.SetHeader("From", d.localField)
	_ = req.SetHeader("To", d.remoteField)
	_ = req.SetCallID(d.id.CallID)
	_ = req.SetCSeq(sip.CSeq{Seq: seq, Method: m})
	return req
}

// strictRoute puts the first route into the Request-URI and the remote target
// last into the Route, as a first hop of RFC 2543 wants it.
func strictRoute(target sip.URI, routes []sip.NameAddr) (sip.URI, []sip.NameAddr) {
	first := routes[0].URI
	first.Headers = ""
	first.Params = first.Params.Without("method")
	moved := make([]sip.NameAddr, 0, len(routes))
	moved = append(moved, routes[1:]...)
	return first, append(moved, sip.NameAddr{URI: target})
}
