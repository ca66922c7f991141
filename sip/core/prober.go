package core

import (
	"errors"
	"log/slog"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/transaction"
)

// prober keeps the probe of one flow: its timer, which runs while the flow is
// up, and its OPTIONS. A nil one does nothing.
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
}

// startProbing begins to ask over k, where that is wanted.
func (c *Core) startProbing(k *link) {
	k.heardAt = time.Now()
	if c.o.OptionsInterval <= 0 {
		return
	}
	k.prober = &prober{
		probe: probe{interval: c.o.OptionsInterval, limit: c.o.OptionsTimeout},
		core:  c, link: k,
	}
	k.prober.wait()
}

func (p *prober) stop() {
	if p != nil {
		p.timer.Stop()
	}
}

// wait has the probe looked at when it is due.
func (p *prober) wait() {
	p.timer.Stop()
	p.timer = p.core.After(max(time.Until(p.next(p.link.heardAt)), 0), p.due)
}

// heard takes a message that came in. Only one that ends the waiting for an
// answer brings the next OPTIONS forward; the timer finds out about the others.
func (p *prober) heard() {
	if p != nil && p.asked {
		p.due()
	}
}

func (p *prober) due() {
	switch p.step(time.Now(), p.link.heardAt, p.link.silence.heard) {
	case probeAsk:
		p.ask()
	case probeDead:
		p.timer.Stop()
		p.core.failFlow(p.link, &UnansweredError{Method: sip.OPTIONS, After: p.limit})
		return
	}
	p.wait()
}

// ask sends the OPTIONS. It is no [Outgoing], which would answer challenges.
func (p *prober) ask() {
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
	if res.StatusCode().IsFinal() && t.core.o.RoundTrip != nil {
		t.core.o.RoundTrip(t.link.Flow, time.Since(t.begun))
	}
}

// Fail implements transaction.ClientUser. That there was no answer the probe
// sees by itself.
func (t *probing) Fail(error) {}

// Done implements transaction.ClientUser.
func (t *probing) Done() {}
