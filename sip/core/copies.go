package core

import (
	"strings"
	"time"

	"github.com/gosipua/sipua/sip"
)

// maxArrivals bounds the requests that are remembered.
const maxArrivals = 1000

// arrivals remember the initial requests that came while there were several
// flows, so that none is taken twice: a server that does not do as RFC 5626 §7
// says forks them to all flows of a user agent, and the copies need not come while
// the first one is being answered (RFC 3261 §8.2.2.2 has that case only).
type arrivals struct {
	links map[arrival]*link // that it came on
	order []arrivedAt       // oldest first
}

// arrival is what all copies of a request have in common.
type arrival struct {
	callID, tag string
	seq         uint32
	method      sip.Method
}

type arrivedAt struct {
	arrival
	at time.Time
}

// copied reports whether req, which came on k, is a copy of one that came on
// another flow, which can still answer it.
func (c *Core) copied(k *link, req *sip.Request) bool {
	c.forgetArrivals()
	if len(c.links) < 2 || req.Method() == sip.ACK || req.Method() == sip.OPTIONS { // OPTIONS asks about the flow, too
		return false
	}
	if c.arrived == nil {
		c.arrived = &arrivals{links: map[arrival]*link{}}
	}
	a := c.arrived
	key := arrival{req.CallID(), req.From().Tag(), req.CSeq().Seq, req.Method()}
	if first := a.links[key]; first != nil {
		if first.Down() { // this one is to be answered
			a.links[key] = k
		}
		return a.links[key] != k
	}
	key.callID, key.tag = strings.Clone(key.callID), strings.Clone(key.tag) // not the whole message
	key.method = sip.Method(strings.Clone(string(key.method)))
	a.links[key] = k
	a.order = append(a.order, arrivedAt{key, time.Now()})
	return false
}

// forgetArrivals makes room: it forgets those whose copies do not come any more.
func (c *Core) forgetArrivals() {
	a := c.arrived
	if a == nil {
		return
	}
	now := time.Now()
	for len(a.order) > 0 && (now.Sub(a.order[0].at) >= 64*c.o.T1 || len(a.order) >= maxArrivals) {
		delete(a.links, a.order[0].arrival)
		a.order = a.order[1:]
	}
	if len(a.order) == 0 {
		c.arrived = nil
	}
}
