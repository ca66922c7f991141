package core

import (
	"errors"
	"log/slog"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/transaction"
)

// prober keeps the probe of one flow: its timer, which runs while the flow is
// up, and its OPTIONS. A nil one does nothing; one is made where OPTIONS is
// wanted, or when transactions time out.
//
// The OPTIONS asks the registrar, without a user in its Request-URI (RFC 3261
// §11), and goes as far. With a Max-Forwards of 0 the first server would answer
// for itself (§16.3 item 3); but that one answers WebSocket pings, too, and one
// that has lost the way to the registrar does not make us reachable. It carries
// no credentials and no challenge is answered: 401 is an answer like any other.
type prober struct {
	probe
	core  *Core
	link  *link
	timer *Timer
	doubt *UnansweredError // why it was asked out of turn
}

func (c *Core) newProber(k *link) *prober {
	return &prober{probe: probe{interval: c.o.OptionsInterval, limit: c.o.OptionsTimeout}, core: c, link: k}
}

// startProbing begins to ask over k, where that is wanted.
func (c *Core) startProbing(k *link) {
	k.heardAt = time.Now()
	if c.o.OptionsInterval > 0 {
		k.prober = c.newProber(k)
		k.prober.wait()
	}
}

func (p *prober) stop() {
	if p != nil {
		p.timer.Stop()
	}
}

// wait has the probe looked at when it is due.
func (p *prober) wait() {
	p.timer.Stop()
	if at := p.next(p.link.heardAt); !at.IsZero() {
		p.timer = p.core.After(max(time.Until(at), 0), p.due)
	}
}

// heard takes a message that came in. Only one that ends the waiting for an
// answer brings the next OPTIONS forward; the timer finds out about the others.
func (p *prober) heard() {
	if p != nil && p.asked {
		p.doubt = nil
		p.due()
	}
}

// askNow asks for a reason, unless an answer is waited for already.
func (p *prober) askNow(why *UnansweredError) {
	if p.asked {
		return
	}
	p.doubt = why
	p.ask(time.Now(), p.link.silence.heard)
	p.send()
	p.wait()
}

func (p *prober) due() {
	switch p.step(time.Now(), p.link.heardAt, p.link.silence.heard) {
	case probeAsk:
		p.send()
	case probeDead:
		p.timer.Stop()
		p.unanswered()
		return
	}
	p.wait()
}

// unanswered fails the flow. A server that we have left for that once and that has
// never answered OPTIONS takes none: it is not asked again on this flow, which
// would be the next of many to fail.
func (p *prober) unanswered() {
	c, why := p.core, p.doubt
	if why == nil {
		a := c.answering[p.link.Server]
		if a.left && !a.ever {
			c.log(slog.LevelWarn, "server answers no OPTIONS", slog.String("server", p.link.Server))
			p.interval, p.asked = 0, false
			return
		}
		a.left = true
		c.noteAnswering(p.link.Server, a)
		why = &UnansweredError{Method: sip.OPTIONS}
	}
	why.After = p.limit
	c.failFlow(p.link, why)
}

// answering is what is known of how a server takes OPTIONS.
type answering struct {
	ever bool // it has answered one
	left bool // a flow to it was failed since it did not
}

// maxAnswering bounds the servers that this is known of; there are more only where
// the application names ever new ones.
const maxAnswering = 16

func (c *Core) noteAnswering(server string, a answering) {
	if c.answering == nil || len(c.answering) >= maxAnswering {
		c.answering = map[string]answering{}
	}
	c.answering[server] = a
}

// send sends the OPTIONS. It is no [Outgoing], which would answer challenges.
func (p *prober) send() {
	c := p.core
	o := &Outgoing{Request: sip.NewRequest(sip.OPTIONS, c.o.OptionsURI), core: c, link: p.link}
	if err := errors.Join(o.check(), o.complete()); err != nil {
		c.log(slog.LevelError, "OPTIONS for a keep-alive", slog.Any("error", err))
		return
	}
	t := &probing{link: p.link, core: c, begun: time.Now()}
	c.layer.Request(&t.Client, &p.link.Link, o.Request, t)
}

// probing is the transaction of one OPTIONS.
type probing struct {
	transaction.Client
	core  *Core
	link  *link
	begun time.Time
}

// Response implements transaction.ClientUser.
func (t *probing) Response(res *sip.Response) {
	c := t.core
	if !res.StatusCode().IsFinal() {
		return
	}
	if !c.answering[t.link.Server].ever {
		c.noteAnswering(t.link.Server, answering{ever: true})
	}
	if c.o.RoundTrip != nil && c.o.OptionsInterval > 0 {
		c.o.RoundTrip(t.link.Flow, time.Since(t.begun))
	}
}

// Fail implements transaction.ClientUser. That there was no answer the probe
// sees by itself.
func (t *probing) Fail(error) {}

// Done implements transaction.ClientUser.
func (t *probing) Done() {}
