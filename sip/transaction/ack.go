package transaction

import "github.com/gosipua/sipua/sip"

// newACK returns the ACK to a response from 300 up: to the same next hop, in the
// same transaction. It repeats the credentials of the INVITE (RFC 3261 §22.1).
//
// RFC 3261 §17.1.1.3.
func newACK(invite *sip.Request, res *sip.Response) *sip.Request {
	req := within(invite, sip.ACK)
	_ = req.SetHeader("To", res.Header("To"))
	for f := range invite.Fields() {
		if f.Name == "Authorization" || f.Name == "Proxy-Authorization" {
			_ = req.AddHeader(f.Name, f.Value)
		}
	}
	return req
}

// NewCancel returns the CANCEL of a pending INVITE of ours, with fields added.
// It carries no credentials: it cannot be challenged.
//
// RFC 3261 §9.1.
func NewCancel(invite *sip.Request, fields ...sip.Field) (*sip.Request, error) {
	req := within(invite, sip.CANCEL)
	for _, f := range fields {
		if err := req.AddHeader(f.Name, f.Value); err != nil {
			return nil, err
		}
	}
	return req, nil
}

// within returns a request that belongs to the transaction of invite: the same
// Request-URI, topmost Via, From, To, Call-ID, CSeq number and Route. Setters
// cannot fail with what an INVITE that was sent has.
func within(invite *sip.Request, m sip.Method) *sip.Request {
	req := sip.NewRequest(m, invite.URI())
	_ = req.SetVia(invite.Via())
	_ = req.SetHeader("Max-Forwards", "70")
	_ = req.SetHeader("From", invite.Header("From"))
	_ = req.SetHeader("To", invite.Header("To"))
	_ = req.SetCallID(invite.CallID())
	_ = req.SetCSeq(sip.CSeq{Seq: invite.CSeq().Seq, Method: m})
	for f := range invite.Fields() {
		if f.Name == "Route" {
			_ = req.AddHeader(f.Name, f.Value)
		}
	}
	return req
}
