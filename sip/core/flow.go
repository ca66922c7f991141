package core

import (
	"fmt"
	"net"
	"slices"
	"strings"

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
	Server string // URL of the server: nonces and recovery go by it
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

// current returns the newest flow, nil when there is none.
func (c *Core) current() *link {
	if len(c.links) == 0 {
		return nil
	}
	return c.links[len(c.links)-1]
}

// linkOf returns the link of f if it is up, else nil.
func (c *Core) linkOf(f Flow) *link {
	for i := len(c.links) - 1; i >= 0; i-- {
		if c.links[i].Flow == f {
			return c.links[i]
		}
	}
	return nil
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

// Flow returns the current flow, false when there is none. Locked.
func (c *Core) Flow() (Flow, FlowInfo, bool) {
	k := c.current()
	if k == nil {
		return nil, FlowInfo{}, false
	}
	return k.Flow, k.info, true
}

// FlowUp tells the core of a new flow, which becomes the current one. Watchers
// are called, then what waited for a flow is sent. It takes the lock.
func (c *Core) FlowUp(f Flow, info FlowInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil || c.linkOf(f) != nil {
		return
	}
	k := c.newLink(f, info)
	c.links = append(c.links, k)
	for _, fn := range c.watchers {
		fn(f, info, true, nil)
	}
	c.cancelOn()
	for _, o := range slices.Clone(c.parked) {
		if o.phase == waiting {
			o.leave()
		}
	}
}

// FlowReady tells the core that what others send us arrives over f: we are
// registered on it, or do not want to be. The first time watchers hear of it.
// Locked.
func (c *Core) FlowReady(f Flow) {
	k := c.linkOf(f)
	if k == nil || k.ready || c.closed != nil {
		return
	}
	k.ready = true
	for _, fn := range c.readiness {
		fn(f, k.info)
	}
}

// ReadyFlow returns the newest flow that is ready, false when there is none.
// Locked.
func (c *Core) ReadyFlow() (Flow, FlowInfo, bool) {
	for i := len(c.links) - 1; i >= 0; i-- {
		if k := c.links[i]; k.ready {
			return k.Flow, k.info, true
		}
	}
	return nil, FlowInfo{}, false
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
	c.layer.FlowDown(&k.Link, lossError(k.Server, err))
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
