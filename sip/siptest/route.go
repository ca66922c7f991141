package siptest

import (
	"strconv"
	"strings"
	"time"

	"github.com/gosipua/sipua/sip"
)

// target is a place that a request is forwarded to: a connection, or the script
// inside the server.
type target struct {
	conn   *Conn
	uri    sip.URI // Request-URI there
	path   []sip.NameAddr
	script *Script
}

// learn notes that the contact u is reached over c, so that requests inside
// dialogs find their way by their Request-URI alone. s.mu is held.
func (s *Server) learn(c *Conn, u sip.URI) {
	if c == nil || u.Host == "" || u.Params.Has("gr") {
		return
	}
	key := contactKey(u)
	if s.contacts[key] == c {
		return
	}
	s.contacts[key] = c
	if c.contacts == nil {
		c.contacts = make(map[string]bool)
	}
	c.contacts[key] = true
}

// isAlive reports whether c is connected. s.mu is held.
func (s *Server) isAlive(c *Conn) bool {
	return c != nil && s.conns[c.id] == c
}

// route decides where a request goes by RFC 3261 §16.4 to §16.5, and takes the
// server's own Route values off it. Without a target it returns the status to
// answer.
func (s *Server) route(c *Conn, req *sip.Request) ([]target, sip.StatusCode) {
	var flow *Conn // that a Record-Route of ours stands for
	if u := req.URI(); u.Params.Has("lr") && s.isOurs(u) {
		s.undoStrictRouting(req)
	}
	for {
		routes, err := req.NameAddrs("Route")
		if err != nil {
			return nil, sip.StatusBadRequest
		}
		if len(routes) == 0 {
			break
		}
		if !s.isOurs(routes[0].URI) {
			if next := s.contacts[contactKey(routes[0].URI)]; s.isAlive(next) {
				return []target{{conn: next, uri: req.URI()}}, 0
			}
			break // over WebSocket the connection is the next hop: only the Request-URI is left
		}
		if token := routes[0].URI.User; token != "" {
			flow = s.flowOf(token, c)
			if flow == nil && s.options.StrictFlows {
				return nil, sip.StatusFlowFailed
			}
		}
		req.RemoveFirst("Route")
	}
	return s.locate(req, flow)
}

// undoStrictRouting restores the Request-URI that a strict router before us has
// replaced by our Record-Route URI (RFC 3261 §16.4).
func (s *Server) undoStrictRouting(req *sip.Request) {
	routes, err := req.NameAddrs("Route")
	if err != nil || len(routes) == 0 {
		return
	}
	last := len(routes) - 1
	_ = req.SetURI(routes[last].URI) // was read from a Route, so it can be written
	_ = req.SetRoute(routes[:last]...)
}

// locate finds the targets of a Request-URI (RFC 3261 §16.5).
func (s *Server) locate(req *sip.Request, flow *Conn) ([]target, sip.StatusCode) {
	u := req.URI()
	now := time.Now()
	if s.isOurs(u) {
		if b, ok := s.resolveGRUU(u, now); ok {
			if b == nil || !s.isAlive(b.conn) {
				return s.orScript(u, sip.StatusTemporarilyUnavailable)
			}
			// The grid, ob and other parameters do not matter here; RFC 5627 §5.4
			return []target{{conn: b.conn, uri: b.contact.URI, path: b.path}}, 0
		}
		if a := s.accounts[u.UserText()]; a != nil {
			if bindings := a.current(now); len(bindings) > 0 {
				return s.bindingTargets(bindings)
			}
		}
	}
	if c := s.contacts[contactKey(u)]; s.isAlive(c) {
		if s.isAlive(flow) && flow.contacts[contactKey(u)] {
			c = flow // several connections have that contact: the dialog's own
		}
		return []target{{conn: c, uri: u}}, 0
	}
	if s.isAlive(flow) {
		return []target{{conn: flow, uri: u}}, 0
	}
	if !s.isOurs(u) {
		return s.orScript(u, sip.StatusNotFound)
	}
	user := u.UserText()
	_, provisioned := s.options.Users[user]
	if provisioned || s.accounts[user] != nil {
		return s.orScript(u, sip.StatusTemporarilyUnavailable)
	}
	return s.orScript(u, sip.StatusNotFound)
}

func (s *Server) orScript(u sip.URI, code sip.StatusCode) ([]target, sip.StatusCode) {
	if script := s.scriptForAny(); script != nil {
		return []target{{script: script, uri: u}}, 0
	}
	return nil, code
}

// bindingTargets are the connections that a forked request goes to: one for each
// contact, of the flows of one instance the newest only (RFC 5626 §7).
func (s *Server) bindingTargets(bindings []*binding) ([]target, sip.StatusCode) {
	var list []target
	for _, b := range bindings {
		if strings.HasPrefix(b.contact.URI.Scheme, "sip") && s.isAlive(b.conn) && !s.hasNewerFlow(b, bindings) {
			list = append(list, target{conn: b.conn, uri: b.contact.URI, path: b.path})
		}
	}
	if list == nil {
		return nil, sip.StatusTemporarilyUnavailable
	}
	return list, 0
}

func (s *Server) hasNewerFlow(b *binding, bindings []*binding) bool {
	for _, other := range bindings {
		if other != b && b.instance != "" && other.instance == b.instance && other.updated > b.updated &&
			b.contact.Params.Has("reg-id") && other.contact.Params.Has("reg-id") && s.isAlive(other.conn) {
			return true
		}
	}
	return false
}

// A Record-Route of the server names the two connections of the dialog.

func (s *Server) recordRoute(from, to *Conn) string {
	b := append(make([]byte, 0, 64), "<sip:f"...)
	b = strconv.AppendUint(b, from.id, 10)
	b = append(b, '-')
	b = strconv.AppendUint(b, to.id, 10)
	b = append(b, '@')
	b = append(b, s.options.Host...)
	return string(append(b, ";transport=ws;lr>"...))
}

// flowOf is the connection at the other end of the dialog that a Route user part
// stands for, nil when that is not to be had.
func (s *Server) flowOf(token string, c *Conn) *Conn {
	a, b, ok := strings.Cut(strings.TrimPrefix(token, "f"), "-")
	if !ok {
		return nil
	}
	x, err1 := strconv.ParseUint(a, 10, 64)
	y, err2 := strconv.ParseUint(b, 10, 64)
	switch {
	case err1 != nil || err2 != nil:
		return nil
	case c.id == x:
		return s.conns[y]
	case c.id == y:
		return s.conns[x]
	}
	return nil // a connection that came later: the Request-URI has to do
}
