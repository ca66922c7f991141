package registrar

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/gosipua/sipua/sip"
)

// Bounds on the lifetime that a registrar grants.
const (
	minExpires = 10 * time.Second // anything shorter is refreshed as if it were this
	maxExpires = 24 * time.Hour
	margin     = 5 * time.Second // before the binding lapses
)

// ErrNoBinding: the registrar's 2xx lists several bindings and none of them is
// ours, so calls would go elsewhere.
var ErrNoBinding = errors.New("registrar: our Contact is not among those of the response")

// binding is what a 2xx to REGISTER says (RFC 3261 §10.3 step 8).
type binding struct {
	expires   time.Duration
	contacts  []sip.NameAddr
	rewritten bool
	public    sip.URI
	temporary sip.URI
	routes    []sip.NameAddr
	flowTimer time.Duration
}

// readBinding finds our own binding in res: by instance and reg-id, then by
// GRUU, then by URI. A registrar that lists one Contact or none means ours by
// it, whatever it made of it. Contacts of others that do not parse are nobody's
// concern.
func readBinding(res *sip.Response, own sip.URI, instance string, asked time.Duration) (binding, error) {
	b := binding{contacts: contactsOf(res)}
	mine, found := match(b.contacts, own, instance)
	switch {
	case found:
	case len(b.contacts) > 1:
		return b, ErrNoBinding
	case len(b.contacts) == 1:
		mine, b.rewritten = b.contacts[0], true
	default:
		b.rewritten = true
	}
	b.expires = expiresOf(res, mine, asked)
	b.public = uriParam(mine, "pub-gruu")
	b.temporary = uriParam(mine, "temp-gruu")
	b.routes, _ = res.NameAddrs("Service-Route")
	if s, err := strconv.Atoi(strings.TrimSpace(res.Header("Flow-Timer"))); err == nil && s > 0 {
		b.flowTimer = time.Duration(min(s, 3600)) * time.Second
	}
	return b, nil
}

// contactsOf has the Contacts that parse.
func contactsOf(res *sip.Response) []sip.NameAddr {
	var all []sip.NameAddr
	for _, text := range res.List("Contact") {
		if n, err := sip.ParseNameAddr(text); err == nil {
			all = append(all, n)
		}
	}
	return all
}

func match(contacts []sip.NameAddr, own sip.URI, instance string) (sip.NameAddr, bool) {
	byInstance := func(n sip.NameAddr) bool {
		id, ok := n.Params.Lookup("+sip.instance")
		reg := n.Params.Value("reg-id")
		return ok && strings.EqualFold(strings.Trim(id, "<>"), instance) && (reg == "" || reg == "1")
	}
	byGRUU := func(n sip.NameAddr) bool {
		u := uriParam(n, "pub-gruu")
		gr, ok := u.Params.Lookup("gr")
		return ok && strings.EqualFold(gr, instance)
	}
	byURI := func(n sip.NameAddr) bool { return n.URI.Equal(own) }
	for _, ours := range []func(sip.NameAddr) bool{byInstance, byGRUU, byURI} {
		for _, n := range contacts {
			if ours(n) {
				return n, true
			}
		}
	}
	return sip.NameAddr{}, false
}

// expiresOf is the lifetime granted: that of our own Contact, else the Expires
// field's, else what was asked for.
func expiresOf(res *sip.Response, mine sip.NameAddr, asked time.Duration) time.Duration {
	granted := asked
	if s, ok := res.Expires(); ok {
		granted = time.Duration(s) * time.Second
	}
	if text, ok := mine.Params.Lookup("expires"); ok {
		if s, err := strconv.ParseUint(text, 10, 32); err == nil {
			granted = time.Duration(s) * time.Second
		}
	}
	return min(max(granted, minExpires), maxExpires)
}

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
