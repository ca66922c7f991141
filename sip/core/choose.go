package core

import (
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/dialog"
)

// Of several flows, each to a server of its own (RFC 5626 §4.2), a request takes
// this one:
//
//   - outside dialogs the heaviest that others reach us over; without such a one
//     the heaviest there is, which is for what is sent before a registration;
//   - inside a dialog the one to the dialog's server, as long as others reach us
//     over it, else the same as outside;
//   - a further attempt the one of the first, ACK and CANCEL that of their INVITE;
//   - a response the one its request came on, or what takes its place.

// better reports whether requests outside dialogs take k rather than other.
func (k *link) better(other *link) bool {
	switch {
	case k.usable() != other.usable():
		return k.usable()
	case k.info.Weight != other.info.Weight:
		return k.info.Weight > other.info.Weight
	case k.info.RegID != other.info.RegID:
		return k.info.RegID < other.info.RegID
	}
	return false
}

// usable reports whether what others send us arrives over the flow.
func (k *link) usable() bool { return k.ready && !k.lapsed }

// current returns the flow for requests outside dialogs, nil when there is none.
func (c *Core) current() (best *link) {
	for i := len(c.links) - 1; i >= 0; i-- { // among equals the newest
		if k := c.links[i]; best == nil || k.better(best) {
			best = k
		}
	}
	return best
}

// linkFor returns the flow for requests inside d, nil when there is none.
func (c *Core) linkFor(d *dialog.Dialog) *link {
	if d != nil {
		if k := c.sameServer(d.Hop()); k != nil && k.usable() {
			return k
		}
	}
	return c.current()
}

// sameServer returns the newest flow to a server, nil when there is none.
func (c *Core) sameServer(server string) *link {
	for i := len(c.links) - 1; i >= 0; i-- {
		if c.links[i].Server == server {
			return c.links[i]
		}
	}
	return nil
}

// Flow returns the flow that requests outside dialogs take, false when there is
// none. Locked.
func (c *Core) Flow() (Flow, FlowInfo, bool) { return c.current().told() }

// FlowFor returns the flow that requests inside d take now, false when there is
// none; d.Hop says whether that is the one to the dialog's own server. Locked.
func (c *Core) FlowFor(d *dialog.Dialog) (Flow, FlowInfo, bool) { return c.linkFor(d).told() }

// FlowOf returns the newest flow of a registration, false when there is none.
// Locked.
func (c *Core) FlowOf(regID int) (Flow, FlowInfo, bool) {
	for i := len(c.links) - 1; i >= 0; i-- {
		if k := c.links[i]; k.info.RegID == regID {
			return k.told()
		}
	}
	return nil, FlowInfo{}, false
}

// ReadyFlow returns the flow that requests outside dialogs take if others reach
// us over it, false when there is none. After the loss of one of several flows,
// of which WatchFlows tells, it is what the dialogs of that one go on over.
// Locked.
func (c *Core) ReadyFlow() (Flow, FlowInfo, bool) {
	k := c.current()
	if k == nil || !k.usable() {
		return nil, FlowInfo{}, false
	}
	return k.told()
}

func (k *link) told() (Flow, FlowInfo, bool) {
	if k == nil {
		return nil, FlowInfo{}, false
	}
	return k.Flow, k.info, true
}

// IsUp reports whether f is up. Locked.
func (c *Core) IsUp(f Flow) bool { return f != nil && c.linkOf(f) != nil }

// FlowReady tells the core that what others send us arrives over f: we are
// registered on it, or do not want to be. The first time watchers hear of it.
// Locked.
func (c *Core) FlowReady(f Flow) {
	k := c.linkOf(f)
	if k == nil || c.closed != nil {
		return
	}
	k.lapsed = false
	if k.ready {
		return
	}
	k.ready = true
	for _, fn := range c.readiness {
		fn(f, k.info)
	}
}

// FlowLapsed tells the core that there is no registration on f any more, though
// one is wanted: another flow goes first until FlowReady. Locked.
func (c *Core) FlowLapsed(f Flow) {
	if k := c.linkOf(f); k != nil {
		k.lapsed = true
	}
}

// NewDialog returns the dialog that res to o makes; its server is that of o.
// Locked.
//
// RFC 3261 §12.1.2.
func (o *Outgoing) NewDialog(res *sip.Response) (*dialog.Dialog, error) {
	d, err := dialog.NewClient(o.sent, res)
	if err == nil {
		d.SetHop(o.try.Link().Server)
	}
	return d, err
}

// NewDialog returns the early dialog that answering the request with Tag makes;
// its server is the one that the request came from. Locked.
//
// RFC 3261 §12.1.1.
func (in *Incoming) NewDialog() (*dialog.Dialog, error) {
	d, err := dialog.NewServer(in.req, in.Tag())
	if err == nil {
		d.SetHop(in.link.Server)
	}
	return d, err
}
