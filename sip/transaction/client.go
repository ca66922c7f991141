package transaction

import (
	"github.com/gosipua/sipua/sip"
)

// clientKey matches a response to its transaction. The branch is ours, random and
// unique, so it needs no sent-by beside it; but a CANCEL has that of its INVITE.
//
// RFC 3261 §17.1.3.
func clientKey(branch string, m sip.Method) string {
	if m == sip.CANCEL {
		return branch + " CANCEL"
	}
	return branch
}

// ClientUser is the transaction user of a client transaction.
type ClientUser interface {
	// Response passes a response up: every 1xx and the first final one, for
	// INVITE every 2xx.
	Response(res *sip.Response)
	// Fail says that no response will come, and why: a *sip.TimeoutError or
	// the error the flow was lost with.
	Fail(err error)
	// Done says that the transaction is destroyed; it comes last, once.
	Done()
}

// Client is a client transaction. Its owner embeds one and starts it with
// [Layer.Request]; a Client is used once.
type Client struct {
	layer *Layer
	link  *Link
	key   string
	req   *sip.Request
	user  ClientUser
	timer node

	number    uint64 // of all transactions, in the order they were started
	invite    clientInvite
	nonInvite clientNonInvite
}

// Request returns the request as sent; read-only.
func (c *Client) Request() *sip.Request { return c.req }

// Link returns the flow the transaction uses: where its request was sent, or
// where the responses came from after that was lost.
func (c *Client) Link() *Link { return c.link }

// State returns the state of the transaction.
func (c *Client) State() State {
	if c.isInvite() {
		return c.invite.state
	}
	return c.nonInvite.state
}

func (c *Client) isInvite() bool { return c.req.Method() == sip.INVITE }

// Canceled tells an INVITE transaction that a CANCEL for it left: without a
// final response it ends 64·T1 later.
//
// RFC 3261 §9.1.
func (c *Client) Canceled() { c.step(canceled, nil) }

func (c *Client) expire() { c.step(expired, nil) }

// step feeds the machine and carries out what it decides; res is the response at
// hand.
func (c *Client) step(in input, res *sip.Response) {
	var acts actions
	if c.isInvite() {
		c.invite.step(in, &acts)
	} else {
		c.nonInvite.step(in, &acts)
	}
	for _, a := range acts.list[:acts.n] {
		switch a.kind {
		case send:
			c.layer.send(c.link, c.req)
		case ack:
			c.layer.send(c.link, newACK(c.req, res))
		case pass:
			c.user.Response(res)
		case start:
			c.layer.clock.start(&c.timer, a.timer)
		case stop:
			c.layer.clock.stop(&c.timer)
		case fail:
			if a.timer == none {
				c.user.Fail(c.link.err)
			} else {
				c.user.Fail(&sip.TimeoutError{Timer: a.timer.name(), Method: c.req.Method()})
			}
		case finish:
			c.layer.forgetClient(c)
			c.user.Done()
		}
	}
}
