package registrar

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosipua/sipua/sip"
)

// Bounds on the lifetime that a registrar grants.
const (
	minExpires = 10 * time.Second // anything shorter is refreshed as if it were this
	maxExpires = 24 * time.Hour
	margin     = 5 * time.Second // from a refresh until the binding lapses, at least
)

// maxFlowTimer bounds Flow-Timer: less often than this no keep-alive helps.
const maxFlowTimer = time.Hour

// ErrNoBinding: the registrar's 2xx has no binding of ours. It lists several
// Contacts and none of them is ours, so calls would go elsewhere, or it grants
// ours no time at all.
var ErrNoBinding = errors.New("registrar: the response to REGISTER has no binding of ours")

// binding is what a 2xx to REGISTER says (RFC 3261 §10.3 step 8).
type binding struct {
	expires   time.Duration
	contacts  []sip.NameAddr
	outbound  bool // the registrar says that it keeps a binding for each flow
	rewritten bool
	public    sip.URI
	temporary sip.URI
	routes    []sip.NameAddr
	flowTimer time.Duration
}

// readBinding finds our own binding in res. A registrar that lists one Contact
// or none means ours by it, whatever it made of it. Contacts of others that do
// not parse are nobody's concern.
func readBinding(res *sip.Response, own sip.URI, instance string, regID int, asked time.Duration) (binding, error) {
	contacts, listed := contactsOf(res)
	b := binding{contacts: contacts, outbound: res.HasToken("Require", "outbound"), flowTimer: flowTimerOf(res)}
	mine, found := match(contacts, own, instance, strconv.Itoa(regID))
	if !found {
		if listed > 1 {
			return b, ErrNoBinding
		}
		if len(contacts) == 1 {
			mine = contacts[0]
		}
	}
	granted := expiresOf(res, mine, asked)
	if granted == 0 {
		return b, ErrNoBinding
	}
	b.expires = min(max(granted, minExpires), maxExpires)
	b.rewritten = !mine.URI.Equal(own)
	b.public = uriParam(mine, "pub-gruu")
	b.temporary = uriParam(mine, "temp-gruu")
	b.routes = routesOf(res)
	return b, nil
}

// routesOf is the Service-Route, none if any of it does not parse: part of a route
// leads nowhere.
func routesOf(res *sip.Response) (routes []sip.NameAddr) {
	for _, text := range res.List("Service-Route") {
		n, err := parseCopy(text)
		if err != nil {
			return nil
		}
		routes = append(routes, n)
	}
	return routes
}

// parseCopy reads a name-addr that is kept as long as the binding. What is read from
// a message shares the message's text, which would be kept, too.
func parseCopy(text string) (sip.NameAddr, error) { return sip.ParseNameAddr(strings.Clone(text)) }

// contactsOf has the Contacts that parse, and how many there are in all.
func contactsOf(res *sip.Response) (contacts []sip.NameAddr, listed int) {
	all := res.List("Contact")
	for _, text := range all {
		if n, err := parseCopy(text); err == nil {
			contacts = append(contacts, n)
		}
	}
	return contacts, len(all)
}

// match finds our own Contact: by instance and reg-id (RFC 5626 §6), then by
// GRUU, then by URI. A registrar without RFC 5626 may also list what an earlier
// run of this instance has left, so that among several the URI decides.
func match(contacts []sip.NameAddr, own sip.URI, instance, regID string) (sip.NameAddr, bool) {
	byURI := func(n sip.NameAddr) bool { return n.URI.Equal(own) }
	byInstance := func(n sip.NameAddr) bool {
		reg, outbound := n.Params.Lookup("reg-id")
		return isInstance(n, instance) && (!outbound || reg == regID)
	}
	byGRUU := func(n sip.NameAddr) bool {
		gr, ok := uriParam(n, "pub-gruu").Params.Lookup("gr")
		return ok && instance != "" && strings.EqualFold(gr, instance)
	}
	for _, ours := range []func(sip.NameAddr) bool{byInstance, byGRUU, byURI} {
		var first *sip.NameAddr
		for i, n := range contacts {
			switch {
			case !ours(n):
			case byURI(n):
				return n, true
			case first == nil:
				first = &contacts[i]
			}
		}
		if first != nil {
			return *first, true
		}
	}
	return sip.NameAddr{}, false
}

// isInstance reports whether n is a Contact of that instance.
func isInstance(n sip.NameAddr, instance string) bool {
	id, ok := n.Params.Lookup("+sip.instance")
	return ok && instance != "" && strings.EqualFold(strings.Trim(id, "<>"), instance)
}

// lists reports whether the registrar lists the binding of another flow of the
// instance.
func (b *binding) lists(instance string, regID int) bool {
	return slices.ContainsFunc(b.contacts, func(n sip.NameAddr) bool {
		return isInstance(n, instance) && n.Params.Value("reg-id") == strconv.Itoa(regID)
	})
}

// expiresOf is the lifetime granted: that of our own Contact, else the Expires
// field's, else what was asked for (RFC 3261 §10.2.4).
func expiresOf(res *sip.Response, mine sip.NameAddr, asked time.Duration) time.Duration {
	if text, ok := mine.Params.Lookup("expires"); ok {
		if s, err := strconv.ParseUint(text, 10, 32); err == nil {
			return time.Duration(s) * time.Second
		}
	}
	if s, ok := res.Expires(); ok {
		return time.Duration(s) * time.Second
	}
	return asked
}

// flowTimerOf is the Flow-Timer (RFC 5626 §4.4), zero without one. Only its
// leading digits count: Kamailio 5.6 ends the field with CR NUL, so that the
// next one runs into it.
func flowTimerOf(res *sip.Response) time.Duration {
	text := res.Header("Flow-Timer")
	end := 0
	for end < len(text) && '0' <= text[end] && text[end] <= '9' {
		end++
	}
	if end == 0 {
		return 0
	}
	s, err := strconv.ParseUint(text[:end], 10, 32)
	if err != nil { // of those digits: too large
		return maxFlowTimer
	}
	return min(time.Duration(s)*time.Second, maxFlowTimer)
}

// uriParam is a parameter that holds a URI, zero without one.
func uriParam(n sip.NameAddr, name string) sip.URI {
	text, ok := n.Params.Lookup(name)
	if !ok {
		return sip.URI{}
	}
	u, err := sip.ParseURI(text)
	if err != nil {
		return sip.URI{}
	}
	return u
}
