package core

import (
	"slices"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/dialog"
)

// receiveAgain takes a request that is here already and lost its flow: a proxy
// that forks to our new flow, or a sender that tries another server, sends it
// with another branch. An INVITE goes on there if its usage agrees; the answer
// to anything else goes both ways.
func (c *Core) receiveAgain(k *link, req *sip.Request) {
	first := (*Incoming)(c.layer.First(req).User().(*serverUser))
	switch {
	case c.full():
		c.refuseFull(k, req)
		return
	case !c.permits(k, req):
		return
	}
	again := &Incoming{core: c, link: k, req: req, tag: first.Tag()}
	c.layer.Accept(&again.server, &k.Link, req, (*serverUser)(again))
	if req.Method() != sip.INVITE {
		first.others = append(first.others, again)
		return
	}
	before := first.others
	again.others, first.others, first.replaced = append(slices.Clip(before), first), nil, true
	if first.OnAgain != nil && first.OnAgain(again) {
		c.layer.Succeed(&again.server, &first.server)
		return
	}
	again.others, first.others, first.replaced = nil, before, false
	again.Reply(sip.StatusLoopDetected, mergedRequest)
}

// RenewDialog has d, which an earlier copy of the request made, lead the way this
// one came. Locked.
//
// RFC 3261 §12.1.1.
func (in *Incoming) RenewDialog(d *dialog.Dialog) error {
	err := d.Renew(in.req)
	if err == nil {
		d.SetHop(in.link.Server)
	}
	return err
}

// mergedRequest is the reason phrase of RFC 3261 §8.2.2.2.
const mergedRequest = "Merged Request"

// answerOthers gives the final response on the other ways that the request came.
// Where this one is accepted the other branches of an INVITE end as if they were
// canceled, which is what their proxy does about them.
//
// RFC 3261 §16.7.
func (in *Incoming) answerOthers(code sip.StatusCode, reason string) {
	others := in.others
	in.others = nil
	if in.req.Method() == sip.INVITE && code.IsSuccess() {
		code, reason = sip.StatusRequestTerminated, ""
	}
	for _, o := range others {
		o.Reply(code, reason)
	}
}
