package core

import (
	"maps"
	"slices"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
)

// trust says which challengers get an answer. A realm is the challenger's own
// claim: whoever a request reaches can ask for our digest by naming one. So:
//
//   - inside a dialog that the far side opened nobody gets one (an option opens
//     that up);
//   - with a configured realm only that realm does;
//   - else, once a REGISTER with credentials has succeeded, only the realms that
//     it answered: they are the registrar's and its proxies'. A REGISTER itself
//     is answered whatever the realm, since it goes to our own server only;
//   - else (we do not register, or have not yet) the first realms that challenge
//     an initial request of ours are answered, and when they accept the answer
//     stay the only ones, inside our dialogs too. A token, good for anybody who
//     sees it, is not given away like that.
//
// Unasked credentials go only to who has accepted ours before: in REGISTER and
// PUBLISH, and as Proxy-Authorization to the proxy realms of the same server.
type trust struct {
	proven   map[string]bool // realms, by a REGISTER
	accepted map[string]bool // realms, by other initial requests
	known    map[protection]digest.Credentials
}

// protection is a realm where its credentials were accepted.
type protection struct {
	server, realm string
	proxy         bool
}

func newTrust() trust {
	return trust{
		proven:   map[string]bool{},
		accepted: map[string]bool{},
		known:    map[protection]digest.Credentials{},
	}
}

// trusts reports whether a challenge to o may be answered.
func (o *Outgoing) trusts(ch digest.Challenge) bool {
	c := o.core
	switch {
	case o.insideTheirs():
		return false
	case c.o.Realm != "":
		return ch.Realm == c.o.Realm
	case o.sent.Method() == sip.REGISTER && o.Dialog == nil:
		return true
	case len(c.trust.proven) > 0:
		return c.trust.proven[ch.Realm]
	case isBearer(ch):
		return false
	case len(c.trust.accepted) > 0:
		return c.trust.accepted[ch.Realm]
	}
	return o.Dialog == nil
}

// insideTheirs reports whether o is inside a dialog that the far side opened,
// and gets no credentials for that.
func (o *Outgoing) insideTheirs() bool {
	return o.Dialog != nil && o.Dialog.Server() && !o.core.o.AnswerChallengesInIncomingDialogs
}

// judge takes the final response to o as what its server thinks of the
// credentials in it.
func (o *Outgoing) judge(res *sip.Response) {
	if !o.auth.carried {
		return
	}
	c, server := o.core, o.link.Server
	c.digest.Learn(server, o.sent, res)
	switch res.StatusCode() {
	case sip.StatusUnauthorized, sip.StatusProxyAuthenticationRequired:
		// Whatever was sent unasked is not any more.
		for _, ch := range digest.Challenges(res) {
			delete(c.trust.known, protection{server, ch.Realm, ch.Proxy})
		}
		return
	case sip.StatusForbidden:
		return
	}
	for _, a := range o.auth.answers {
		if a.server != server {
			continue
		}
		switch {
		case o.sent.Method() == sip.REGISTER && res.StatusCode().IsSuccess():
			c.trust.proven[a.challenge.Realm] = true
		case o.Dialog == nil:
			c.trust.accepted[a.challenge.Realm] = true
		}
		c.trust.known[protection{server, a.challenge.Realm, a.challenge.Proxy}] = a.credentials
	}
}

// preempt adds the credentials that may go unasked, besides the answers.
//
// RFC 7616 §3.6.
func (o *Outgoing) preempt() error {
	c, req := o.core, o.Request
	unasked := o.preemptive()
	if unasked && !o.auth.token.IsZero() && len(o.auth.answers) == 0 {
		return o.carry(o.auth.token.Field(false))
	}
	if len(c.trust.known) == 0 || o.insideTheirs() {
		return nil
	}
	in := digest.InputOf(o.link.Server, req)
	for _, p := range c.trust.of(o.link.Server) {
		if !p.proxy && !unasked || o.auth.find(p.realm, p.proxy) != nil {
			continue
		}
		if f, ok := c.digest.Preemptive(in, p.proxy, p.realm, c.trust.known[p]); ok {
			if err := o.carry(f, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// preemptive reports whether o may carry an Authorization before a challenge.
func (o *Outgoing) preemptive() bool {
	m := o.Request.Method()
	return o.Preemptive && (m == sip.REGISTER || m == sip.PUBLISH) && !o.insideTheirs()
}

// of lists what is known of a server, in a fixed order.
func (t *trust) of(server string) []protection {
	var list []protection
	for p := range maps.Keys(t.known) {
		if p.server == server {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b protection) int {
		switch {
		case a.realm < b.realm:
			return -1
		case a.realm > b.realm:
			return 1
		case a.proxy:
			return 1
		}
		return -1
	})
	return list
}
