package core

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/transaction"
)

// Flow is one connection to a server as the core uses it; *transport.Flow
// satisfies it. Send queues a copy of one message; it does not block and does not
// call back. When the flow is gone it returns an error, and FlowDown follows.
//
// RFC 5626 §1.
type Flow = transaction.Flow

// FlowInfo is what the core has to know of a flow.
type FlowInfo struct {
	RegID  int    // the registration that the flow is for (RFC 5626 §4.2); 0 is 1
	Weight int    // of the server: of several flows the heaviest goes first
	Server string // name of the server: nonces and recovery go by it, logs and errors show it
	Secure bool   // wss: Via says WSS
	Host   string // of the server, for the preloaded Route
	Port   int    // of the server; 0: none in its URL
	Local  string // our address on the connection, for logs
}

// link is a flow that is or was up.
type link struct {
	transaction.Link
	info     FlowInfo
	via      string         // our Via up to its branch
	services []sip.NameAddr // Service-Route of the registration on the flow
	ready    bool           // what is sent to us arrives over it
	lapsed   bool           // it did, and does not at present
	silence  silence
	heardAt  time.Time // when the last message came in, or the flow up
	prober   *prober   // nil: the server is not asked by OPTIONS
}

func (c *Core) newLink(f Flow, info FlowInfo) *link {
	k := &link{
		Link: transaction.Link{Flow: f, Server: info.Server},
		info: info,
	}
	via := sip.Via{Transport: c.o.ViaTransport, Host: c.o.ViaHost}
	if via.Transport == "" {
		via.Transport = "WS"
		if info.Secure {
			via.Transport = "WSS"
		}
	}
	k.via = via.String() + ";branch="
	return k
}

// preloaded is the Route to the server.
func (k *link) preloaded() sip.NameAddr {
	host := k.info.Host
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]" // IPv6, as net/url gives it
	}
	return sip.NameAddr{URI: sip.URI{Scheme: "sip", Host: host, Port: k.info.Port, Params: ";lr;transport=ws"}}
}

// newVia is our Via for a new transaction on the flow.
func (k *link) newVia() string { return k.via + sip.NewBranch() }

// linkOf returns the link of f if it is up, else nil.
func (c *Core) linkOf(f Flow) *link {
	for i := len(c.links) - 1; i >= 0; i-- {
		if c.links[i].Flow == f {
			return c.links[i]
		}
	}
	return nil
}

// FlowUp tells the core of a new flow. Watchers are called, then what waited for
// a flow is sent; answers go only to the server that asked. It takes the lock.
func (c *Core) FlowUp(f Flow, info FlowInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil || c.linkOf(f) != nil {
		return
	}
	info.RegID = max(info.RegID, 1)
	k := c.newLink(f, info)
	c.links = append(c.links, k)
	c.startProbing(k)
	for _, fn := range c.watchers {
		fn(f, info, true, nil)
	}
	c.layer.Recover(&k.Link)
	c.cancelOn()
	for _, o := range slices.Clone(c.parked) {
		if o.phase == waiting {
			o.leave()
		}
	}
}

// FlowDown tells the core that f is gone and why. It takes the lock.
func (c *Core) FlowDown(f Flow, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.linkOf(f)
	if k == nil || c.closed != nil {
		return
	}
	c.links = slices.DeleteFunc(c.links, func(l *link) bool { return l == k })
	k.prober.stop()
	c.layer.FlowDown(&k.Link, lossError(k.Server, err))
	if other := c.sameServer(k.Server); other != nil {
		c.layer.Recover(&other.Link)
	}
	for _, fn := range c.watchers {
		fn(f, k.info, false, err)
	}
}

// lossError makes an error that is net.ErrClosed of the reason a flow was lost.
func lossError(server string, err error) error {
	switch {
	case err == nil:
		return fmt.Errorf("core: flow to %s lost: %w", server, net.ErrClosed)
	default:
		return fmt.Errorf("core: flow to %s lost: %w (%w)", server, err, net.ErrClosed)
	}
}
