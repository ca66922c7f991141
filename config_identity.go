package sipua

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/gosipua/sipua/sip"
)

// setIdentity fills in what other parties know this UA by.
func (c *Config) setIdentity() {
	var r [17]byte
	rand.Read(r[:]) // never fails, see crypto/rand
	if c.InstanceID == "" {
		r[6], r[8] = r[6]&0x0f|0x40, r[8]&0x3f|0x80 // version 4, RFC 9562 §5.4
		c.InstanceID = fmt.Sprintf("%x-%x-%x-%x-%x", r[:4], r[4:6], r[6:8], r[8:10], r[10:16])
	}
	c.InstanceID = bareUUID(c.InstanceID)
	if c.ViaHost == "" {
		switch {
		case c.ContactURI != "":
			c.ViaHost = c.contact().Host
		case c.HackIPInContact:
			c.ViaHost = fmt.Sprintf("192.0.2.%d", 1+int(r[16])%254)
		default:
			c.ViaHost = strings.ToLower(rand.Text()[:12]) + ".invalid"
		}
	}
	c.ContactURI = cmp.Or(c.ContactURI, "sip:"+strings.ToLower(rand.Text()[:8])+"@"+c.ViaHost+";transport=ws")
}

// aor is the address of record: URI without port, parameters and headers. The
// getters below are for a valid Config.
func (c *Config) aor() sip.URI { return c.uri().AOR() }

func (c *Config) uri() sip.URI {
	u, _ := sip.ParseURI(withScheme(c.URI)) // is valid
	return u
}

// domain is URI without its user, where the numbers and names belong that are
// given as targets.
func (c *Config) domain() sip.URI {
	u := c.uri()
	return sip.URI{Scheme: u.Scheme, Host: u.Host, Port: u.Port}
}

// registrar is the Request-URI of REGISTER (RFC 3261 §10.2).
func (c *Config) registrar() sip.URI {
	if c.RegistrarServer == "" {
		return c.domain()
	}
	u, _ := sip.ParseURI(withScheme(c.RegistrarServer))
	return u
}

func (c *Config) contact() sip.URI {
	u, _ := sip.ParseURI(withScheme(c.ContactURI))
	return u
}

// instanceURN is the value of +sip.instance, without its brackets (RFC 5626 §4.1).
func (c *Config) instanceURN() string { return "urn:uuid:" + c.InstanceID }
