package core

import (
	"context"
	"slices"
	"strings"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
)

// identity is who we are on the wire.
type identity struct {
	from         string  // as written, without tag
	contact      string  // as written, with ob
	public, temp sip.URI // GRUUs; zero: none
	extra        []sip.Field
	allow        string
	supported    string
	accept       string
}

func newIdentity(o Options) identity {
	id := identity{
		from:      sip.NameAddr{Display: o.DisplayName, URI: o.URI}.String(),
		extra:     slices.Clone(o.ExtraHeaders),
		supported: strings.Join(o.Supported, ", "),
		accept:    strings.Join(o.Accept, ", "),
	}
	methods := make([]string, len(o.Allow))
	for i, m := range o.Allow {
		methods[i] = string(m)
	}
	id.allow = strings.Join(methods, ", ")
	id.refresh(o.Contact)
	return id
}

// refresh writes the Contact anew.
func (id *identity) refresh(contact sip.URI) {
	id.contact = id.contactFor(contact, false).String()
}

func (id *identity) contactFor(contact sip.URI, anonymous bool) sip.NameAddr {
	switch {
	case anonymous && !id.temp.IsZero():
		return sip.NameAddr{URI: id.temp}
	case anonymous:
		u := anonymousURI
		u.Params = ";transport=ws;ob"
		return sip.NameAddr{URI: u}
	case !id.public.IsZero():
		return sip.NameAddr{URI: id.public}
	}
	contact.Params = contact.Params.WithFlag("ob")
	return sip.NameAddr{URI: contact}
}

// Supported returns the option tags in Supported. Locked.
func (c *Core) Supported() []string { return slices.Clone(c.o.Supported) }

// Allow returns the value of Allow: the methods that are taken. Locked.
func (c *Core) Allow() string { return c.identity.allow }

// Support adds an option tag to Supported: one in Require that is there is taken.
// Locked.
func (c *Core) Support(tag string) {
	c.o.Supported = append(slices.Clip(c.o.Supported), tag)
	c.identity.supported = strings.Join(c.o.Supported, ", ")
}

// SetDisplayName changes the display name in From. Locked.
func (c *Core) SetDisplayName(name string) {
	c.identity.from = sip.NameAddr{Display: name, URI: c.o.URI}.String()
}

// SetExtraHeaders changes the fields added to every message. Locked.
func (c *Core) SetExtraHeaders(fields []sip.Field) { c.identity.extra = slices.Clone(fields) }

// SetCredentials changes what challenges are answered with, and Token with it
// (nil: none); what the old ones proved is forgotten. Locked.
func (c *Core) SetCredentials(credentials func(ctx context.Context, ch digest.Challenge) (digest.Credentials, error),
	token func(ctx context.Context) (digest.Credentials, error)) {
	c.o.Credentials, c.o.Token = credentials, token
	c.trust = trust{}
}

// SetServiceRoute sets the Service-Route of the registration on f: the routes of
// initial requests over it (RFC 3608). Locked.
func (c *Core) SetServiceRoute(f Flow, routes []sip.NameAddr) {
	if k := c.linkOf(f); k != nil {
		k.services = slices.Clone(routes)
	}
}

// SetGRUU sets the public and the temporary GRUU of the registration (RFC 5627);
// zero: none. Locked.
func (c *Core) SetGRUU(public, temporary sip.URI) {
	c.identity.public, c.identity.temp = public, temporary
	c.identity.refresh(c.o.Contact)
}

// ContactFor returns what goes into Contact of a dialog: the GRUU if there is
// one, else our Contact with ob (RFC 5626 §4.3). anonymous: the temporary GRUU,
// else an anonymous address. Locked.
func (c *Core) ContactFor(anonymous bool) sip.NameAddr {
	return c.identity.contactFor(c.o.Contact, anonymous)
}

// From returns our identity as From has it, with the display name and without a
// tag. Locked.
func (c *Core) From() sip.NameAddr {
	from, _ := sip.ParseNameAddr(c.identity.from) // we wrote it
	return from
}

// ours reports whether an initial request to u is for us.
//
// RFC 3261 §8.2.2.1.
func (c *Core) ours(u sip.URI) bool {
	if c.o.AcceptAnyUser {
		return true
	}
	user := u.UserText()
	for _, own := range [...]sip.URI{c.o.URI, c.o.Contact, c.identity.public, c.identity.temp} {
		if !own.IsZero() && own.UserText() == user {
			return true
		}
	}
	return false
}
