package sipua

import (
	"context"
	"maps"
	"slices"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
)

// policy is which digest challenges are answered, and how.
func (c *Config) policy() digest.Policy {
	p := digest.Policy{
		PreferAuthInt: c.PreferAuthInt,
	}
	if c.DisableMD5 {
		p.Algorithms = []digest.Algorithm{digest.SHA512256, digest.SHA512256Sess, digest.SHA256, digest.SHA256Sess}
	}
	return p
}

// credentials is what answers challenges: the application's own func, else ha1,
// else the password. The secrets stay inside digest.Credentials, which print
// none. Nil where there is nothing to answer with.
func (c *Config) credentials() func(context.Context, digest.Challenge) (digest.Credentials, error) {
	var fixed digest.Credentials
	switch {
	case c.Credentials != nil:
		return c.Credentials
	case c.HA1 != "":
		fixed = digest.HA1(c.AuthorizationUser, c.Realm, c.HA1)
	case c.Password != "":
		fixed = digest.Password(c.AuthorizationUser, c.Password)
	default:
		return nil
	}
	return func(context.Context, digest.Challenge) (digest.Credentials, error) { return fixed, nil }
}

// token is what goes into Authorization unasked, nil for none.
func (c *Config) token() func(context.Context) (digest.Credentials, error) {
	if c.AuthorizationJWT == "" {
		return nil
	}
	token := digest.Verbatim(c.AuthorizationJWT)
	return func(context.Context) (digest.Credentials, error) { return token, nil }
}

// registerContact is the Contact of REGISTER but for what the registrar adds
// itself: +sip.instance, reg-id and expires.
func (c *Config) registerContact() sip.NameAddr {
	n := sip.NameAddr{URI: c.contact()}
	n.URI.Params = withParams(n.URI.Params, c.ContactURIParams)
	n.Params = n.Params.WithFlag("+sip.ice") // RFC 5768 §3
	n.Params = withParams(n.Params, c.ContactParams)
	return n
}

func withParams(p sip.Params, more map[string]string) sip.Params {
	for _, name := range slices.Sorted(maps.Keys(more)) {
		if value := more[name]; value != "" {
			p = p.With(name, value)
		} else {
			p = p.WithFlag(name)
		}
	}
	return p
}
