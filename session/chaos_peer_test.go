package session_test

import (
	"errors"
	"maps"
	"math"
	"strings"

	"github.com/gosipua/sipua/sip"
)

// number checks that the requests of a dialog leave in the order of their
// numbers, and that a BYE is the last and only one: but for a NOTIFY, whose
// subscription outlives the call (RFC 5057 §4.2).
func (c *chaos) number(req *sip.Request) {
	tag, seq := req.To().Tag(), req.CSeq().Seq
	if tag == "" && req.Method() == sip.INVITE { // tried anew: its dialogs are others
		maps.DeleteFunc(c.last, func(dialog string, _ uint32) bool { return strings.HasSuffix(dialog, req.CallID()) })
	}
	if tag != "" {
		tag += " of " + req.CallID()
	}
	if tag == "" || req.Method() == sip.CANCEL {
		return
	}
	if c.last[tag] == math.MaxUint32 && req.Method() == sip.NOTIFY {
		return
	}
	if bye := c.byes[tag]; bye > 0 && seq > bye && req.Method() == sip.BYE { // its flow was lost
		c.byes[tag] = seq
		return
	}
	if seq <= c.last[tag] {
		c.t.Errorf("%s %d after %d", req.Method(), seq, c.last[tag])
	}
	c.last[tag] = seq
	if req.Method() == sip.BYE {
		c.last[tag], c.byes[tag] = math.MaxUint32, seq
	}
}

// answerOurs has the far end answer one of our requests.
func (c *chaos) answerOurs() {
	if len(c.ours) == 0 {
		return
	}
	i := c.rand.IntN(len(c.ours))
	req := c.ours[i]
	if !c.lineOf(req) {
		return
	}
	codes := []sip.StatusCode{200, 200, 200, 200, 200, 200, 488, 500, 481, 403, 404, 408, 480, 501, 503}
	if req.Method() == sip.INVITE {
		codes = []sip.StatusCode{100, 180, 183, 183, 183, 199, 200, 200, 200, 200, 200, 200, 491, 491, 488, 302, 422, 481, 503, 480}
	}
	code := codes[c.rand.IntN(len(codes))]
	body, tag := "", ""
	if req.Method() == sip.INVITE || req.Method() == sip.UPDATE || req.Method() == sip.PRACK && len(req.Body()) > 0 {
		body = c.body()
	}
	initial := req.Method() == sip.INVITE && req.To().Tag() == ""
	if initial && code >= 300 && c.rand.IntN(3) > 0 {
		code = 200
	}
	if initial && code > 100 {
		tag = []string{"one", "two", "three"}[c.rand.IntN(3)]
		if code < 300 {
			c.far = append(c.far, c.called(req, tag))
		}
	}
	var fields []sip.Field
	switch {
	case code > 100 && code < 200 && c.rand.IntN(2) == 0:
		c.rseq += c.rand.IntN(8) / 7 // mostly as it should be, and sometimes a repeat
		if c.rand.IntN(10) > 0 {
			c.rseq++
		}
		fields = append(reliable(c.rseq), updates)
	case code == 200:
		if fields = nil; c.rand.IntN(3) == 0 {
			fields = c.expires()
		}
		if initial {
			fields = append(fields, c.abilities()...)
		}
	case code == 302:
		fields = contacts([]string{"<sip:carol@example.com>", "<sip:dave@example.com>", "<sip:bob@example.com>"}[c.rand.IntN(3)])
	case code == 422:
		fields = []sip.Field{{Name: "Min-SE", Value: "2000"}}
	}
	if code == 302 {
		c.redirects(req, tag, fields)
	} else {
		c.answer(req, code, tag, body, fields...)
	}
	if code.IsFinal() && (code >= 300 || req.Method() != sip.INVITE) {
		c.ours = append(c.ours[:i], c.ours[i+1:]...)
	}
	c.look()
}

func (c *chaos) expires() []sip.Field {
	return []sip.Field{{Name: "Require", Value: "timer"}, {Name: "Session-Expires", Value: []string{"90;refresher=uac", "90;refresher=uas"}[c.rand.IntN(2)]}, updates}
}

// redirects is a 302, whose Contact is no target.
func (c *chaos) redirects(req *sip.Request, tag string, fields []sip.Field) {
	res := sip.NewResponse(req, 302, "")
	if tag != "" {
		res.SetToTag(tag)
	}
	for _, f := range fields {
		c.must(res.AddHeader(f.Name, f.Value))
	}
	c.receive(res)
}

// confirms is the far end's PRACK to a reliable response of ours.
func (c *chaos) confirms(res *sip.Response, body string) {
	rseq, _ := res.RSeq()
	for _, p := range c.far {
		if p.callID == res.CallID() && p.remote.Tag() == res.To().Tag() {
			c.send(p, sip.PRACK, body, sip.Field{Name: "RAck", Value: sip.RAck{RSeq: rseq, CSeq: res.CSeq()}.String()})
			return
		}
	}
}

func (c *chaos) farActs() {
	if len(c.waiting) > 0 && c.rand.IntN(2) == 0 {
		i := c.rand.IntN(len(c.waiting))
		body := ""
		if c.rand.IntN(3) == 0 || len(c.waiting[i].Body()) > 0 && c.rand.IntN(2) == 0 {
			body = sdp("far")
		}
		c.confirms(c.waiting[i], body)
		return
	}
	if len(c.far) == 0 {
		return
	}
	p := c.far[c.rand.IntN(len(c.far))]
	if p.remote.Tag() == "" {
		return
	}
	switch c.rand.IntN(16) {
	case 12:
		c.send(p, sip.REFER, "", sip.Field{Name: "Refer-To", Value: "<sip:carol@example.com>"})
	case 13:
		state := []string{"active;expires=60", "terminated;reason=noresource", "pending"}[c.rand.IntN(3)]
		req := p.request(sip.NOTIFY, "", sip.Field{Name: "Event", Value: "refer"}, sip.Field{Name: "Subscription-State", Value: state})
		frag := []string{"100 Trying", "200 OK", "486 Busy Here"}[c.rand.IntN(3)]
		c.must(req.SetBody("message/sipfrag", []byte("SIP/2.0 "+frag+"\r\n")))
		c.sends(req)
	case 14:
		c.send(p, sip.PRACK, "", sip.Field{Name: "RAck", Value: "1 1 INVITE"})
	case 15:
		if c.rand.IntN(3) == 0 && len(c.far) < 12 {
			other := c.caller()
			other.local = other.local.WithTag(sip.NewTag())
			c.far = append(c.far, other)
			value := sip.Replaces{CallID: p.callID, ToTag: p.remote.Tag(), FromTag: p.local.Tag()}.String()
			c.send(other, sip.INVITE, c.body(), append(c.abilities(), sip.Field{Name: "Replaces", Value: value})...)
		}
	case 0, 1, 2:
		c.send(p, sip.INVITE, c.body())
	case 3, 4:
		c.send(p, sip.UPDATE, c.body())
	case 5, 6, 7:
		ack := p.request(sip.ACK, c.body())
		if c.rand.IntN(2) == 0 && c.in != nil {
			c.must(ack.SetCSeq(sip.CSeq{Seq: c.invite.CSeq().Seq, Method: sip.ACK}))
		}
		c.sends(ack)
	case 8:
		c.send(p, sip.INFO, "")
	case 9:
		c.send(p, sip.OPTIONS, "")
	case 10:
		if c.rand.IntN(8) == 0 {
			c.send(p, sip.BYE, "")
		}
	case 11:
		if c.in != nil && c.rand.IntN(8) == 0 {
			c.cancel()
		}
	}
}

// cancel is the far end's CANCEL, whose 200 has the branch of its INVITE.
func (c *chaos) cancel() {
	cancel := c.far[0].request(sip.CANCEL, "")
	to := c.invite.To()
	c.must(errors.Join(cancel.SetVia(c.invite.Via()), cancel.SetTo(to), cancel.SetURI(c.invite.URI()),
		cancel.SetCSeq(sip.CSeq{Seq: c.invite.CSeq().Seq, Method: sip.CANCEL})))
	c.receive(cancel)
	c.look()
}
