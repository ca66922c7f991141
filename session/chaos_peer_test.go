package session_test

import (
	"errors"
	"math"

	"github.com/gosipua/sipua/sip"
)

// number checks that the requests of a dialog leave in the order of their
// numbers, and that a BYE is the last and only one.
func (c *chaos) number(req *sip.Request) {
	tag, seq := req.To().Tag(), req.CSeq().Seq
	if tag == "" || req.Method() == sip.CANCEL {
		return
	}
	if seq <= c.last[tag] {
		c.t.Errorf("%s %d after %d", req.Method(), seq, c.last[tag])
	}
	c.last[tag] = seq
	if req.Method() == sip.BYE {
		c.last[tag] = math.MaxUint32
	}
}

// answerOurs has the far end answer one of our requests.
func (c *chaos) answerOurs() {
	if len(c.ours) == 0 || !c.up {
		return
	}
	i := c.rand.IntN(len(c.ours))
	req := c.ours[i]
	codes := []sip.StatusCode{200, 200, 200, 200, 200, 200, 488, 500, 481}
	if req.Method() == sip.INVITE {
		codes = []sip.StatusCode{100, 180, 183, 183, 183, 200, 200, 200, 200, 200, 200, 491, 491, 488}
	}
	code := codes[c.rand.IntN(len(codes))]
	body, tag := "", ""
	if req.Method() == sip.INVITE || req.Method() == sip.UPDATE {
		body = c.body()
	}
	if req == c.invite && code >= 300 && c.rand.IntN(4) > 0 {
		code = 200
	}
	if req == c.invite && req.To().Tag() == "" && code > 100 {
		tag = []string{"one", "two", "three"}[c.rand.IntN(3)]
		if code < 300 {
			c.far = append(c.far, c.called(req, tag))
		}
	}
	c.answer(req, code, tag, body)
	if code.IsFinal() && (code >= 300 || req.Method() != sip.INVITE) {
		c.ours = append(c.ours[:i], c.ours[i+1:]...)
	}
	c.look()
}

func (c *chaos) farActs() {
	if len(c.far) == 0 {
		return
	}
	p := c.far[c.rand.IntN(len(c.far))]
	if p.remote.Tag() == "" {
		return
	}
	switch c.rand.IntN(12) {
	case 0, 1, 2:
		c.send(p, sip.INVITE, c.body())
	case 3, 4:
		c.send(p, sip.UPDATE, c.body())
	case 5, 6, 7:
		ack := p.request(sip.ACK, c.body())
		if c.rand.IntN(2) == 0 && c.in != nil {
			c.must(ack.SetCSeq(sip.CSeq{Seq: c.invite.CSeq().Seq, Method: sip.ACK}))
		}
		c.receive(ack)
		c.look()
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
