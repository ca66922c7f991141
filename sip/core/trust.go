package core

import (
	"slices"
	"strings"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
)

const maxRealms = 16

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
//     sees it, is not given away like that, nor is anything to an address that
//     somebody else chose, by a redirection or a REFER.
//
// Unasked credentials go only to who has accepted ours before: in REGISTER and
// PUBLISH, and as Proxy-Authorization to the proxy realms of the same server.
//
// All lists are short: a user agent has one registrar and a proxy or two.
type trust struct {
	proven   []string // realms, by a REGISTER
	accepted []string // realms, by other initial requests
	known    []protection
}

// protection is a realm where credentials were accepted.
type protection struct {
	server, realm string
	proxy         bool
	credentials   digest.Credentials
}

// learn keeps p, in place of what was known of its realm.
func (t *trust) learn(p protection) {
	t.forget(p.server, p.realm, p.proxy)
	t.known = append(newest(t.known), p)
}

func (t *trust) forget(server, realm string, proxy bool) {
	t.known = slices.DeleteFunc(t.known, func(p protection) bool {
		return p.server == server && p.realm == realm && p.proxy == proxy
	})
}

// include returns list with realm in it.
func include(list []string, realm string) []string {
	if slices.Contains(list, realm) {
		return list
	}
	return append(newest(list), strings.Clone(realm)) // not the message it came in
}

// newest makes room in a list that a server with ever new realms would fill.
func newest[T any](list []T) []T { return list[max(0, len(list)-maxRealms+1):] }

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
		return slices.Contains(c.trust.proven, ch.Realm)
	case isBearer(ch):
		return false
	case len(c.trust.accepted) > 0:
		return slices.Contains(c.trust.accepted, ch.Realm)
	}
	return o.Dialog == nil && !o.Referred
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
			c.trust.forget(server, ch.Realm, ch.Proxy)
		}
		return
	case sip.StatusForbidden:
		return
	}
	for _, a := range o.auth.answers {
		if a.server != server {
			continue
		}
		realm := a.challenge.Realm
		switch {
		case o.sent.Method() == sip.REGISTER && res.StatusCode().IsSuccess():
			c.trust.proven = include(c.trust.proven, realm)
		case o.Dialog == nil:
			c.trust.accepted = include(c.trust.accepted, realm)
		}
		c.trust.learn(protection{server, strings.Clone(realm), a.challenge.Proxy, a.credentials})
	}
}

// preempt adds the credentials that may go unasked, besides the answers. In an
// anonymous dialog none may: a proxy that does not ask lets them through to the
// far end, and they have our name.
//
// RFC 7616 §3.6.
func (o *Outgoing) preempt() error {
	c, req := o.core, o.Request
	unasked := o.preemptive()
	if unasked && !o.auth.token.IsZero() && len(o.auth.answers) == 0 {
		return o.carry(o.auth.token.Field(false))
	}
	if len(c.trust.known) == 0 || o.insideTheirs() || o.Dialog.Anonymous() {
		return nil
	}
	in := digest.InputOf(o.link.Server, req)
	for _, p := range c.trust.known {
		if p.server != o.link.Server || !p.proxy && !unasked || o.auth.find(p.realm, p.proxy) != nil {
			continue
		}
		if f, ok := c.digest.Preemptive(in, p.proxy, p.realm, p.credentials); ok {
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
