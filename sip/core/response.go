package core

import (
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/dialog"
)

// NewResponse returns a response to the request with all it needs: Via, From,
// To with our tag (not for 100), Call-ID, CSeq, Record-Route, Contact where one
// is due, Server, Allow, Supported and Accept where due, the extra headers. reason
// "" is the RFC's. Locked.
//
// RFC 3261 §8.2.6.
func (in *Incoming) NewResponse(code sip.StatusCode, reason string) *sip.Response {
	res := sip.NewResponse(in.req, code, reason)
	if code == sip.StatusTrying {
		return res
	}
	if in.req.To().Tag() == "" {
		res.SetToTag(in.Tag())
	}
	in.core.describeResponse(res, in.req.Method(), in.dialog.Anonymous())
	return res
}

// describeResponse adds what responses of this code to that method carry. The
// fields are ours and were checked before; a bad extra header is left out.
func (c *Core) describeResponse(res *sip.Response, m sip.Method, anonymous bool) {
	code := res.StatusCode()
	accepting := code.IsSuccess() && (m == sip.INVITE || m == sip.OPTIONS || m == sip.UPDATE)
	if code < 300 && refreshesTarget(m) {
		_ = res.AddHeader("Contact", c.contact(anonymous))
	}
	if accepting || code == sip.StatusMethodNotAllowed || code == sip.StatusNotImplemented {
		_ = res.AddHeader("Allow", c.identity.allow)
	}
	if accepting && c.identity.supported != "" {
		_ = res.AddHeader("Supported", c.identity.supported)
	}
	if code == sip.StatusUnsupportedMediaType || code.IsSuccess() && m == sip.OPTIONS {
		_ = res.AddHeader("Accept", c.identity.accept)
	}
	if anonymous {
		_ = res.AddHeader("Privacy", privacyID)
	} else if c.o.UserAgent != "" {
		_ = res.AddHeader("Server", c.o.UserAgent)
	}
	_ = addExtra(c.extra(anonymous), res.HasHeader, res.AddHeader)
}

// refuse answers a request without a transaction, which over a reliable
// transport is as good as with one: nothing is sent twice. An ACK that follows
// belongs to nothing and is dropped. An ACK itself is never answered.
//
// RFC 3261 §8.2.7.
func (c *Core) refuse(k *link, req *sip.Request, code sip.StatusCode, reason string, fields ...sip.Field) {
	if req.Method() == sip.ACK {
		c.stats.Stray++
		return
	}
	res := sip.NewResponse(req, code, reason)
	d, _ := c.FindDialog(dialog.ID{CallID: req.CallID(), LocalTag: req.To().Tag(), RemoteTag: req.From().Tag()})
	res.SetToTag(sip.NewTag())
	for _, f := range fields {
		_ = res.SetHeader(f.Name, f.Value)
	}
	c.describeResponse(res, req.Method(), d.Anonymous())
	c.send(&k.Link, res)
}
