package core

import (
	"slices"

	"github.com/gosipua/sipua/sip"
)

// privacyID asks the servers that know who we are to keep it to themselves
// (RFC 3325 §9.3). The levels of RFC 3323 §4.2 need a privacy service on the way,
// which only the application can know of: it gives a Privacy of its own.
const privacyID = "id"

var anonymousURI = sip.URI{Scheme: "sip", User: "anonymous", Host: "anonymous.invalid"}

// anonymousFrom is From for anonymous requests, without tag (RFC 3323 §4.1.1.3).
var anonymousFrom = sip.NameAddr{Display: "Anonymous", URI: anonymousURI}.String()

// anonymous reports whether the request keeps our identity to itself.
func (o *Outgoing) anonymous() bool { return o.Anonymous || o.Dialog.Anonymous() }

// contact is our Contact as written.
func (c *Core) contact(anonymous bool) string {
	if anonymous {
		return c.ContactFor(true).String()
	}
	return c.identity.contact
}

// keepPrivate asks the servers on the way for privacy, and tells ours, with a
// request outside dialogs, who it is that asks (RFC 3325 §9.2).
func (o *Outgoing) keepPrivate(add func(has bool, name, value string) error, has *names) error {
	if err := add(has.privacy, "Privacy", privacyID); err != nil || o.Dialog != nil {
		return err
	}
	return add(has.preferred, "P-Preferred-Identity", sip.NameAddr{URI: o.core.o.URI}.String())
}

// extra are the extra headers; in what is anonymous, those that tell about its
// sender are left out (RFC 3323 §4.1).
func (c *Core) extra(anonymous bool) []sip.Field {
	if !anonymous {
		return c.identity.extra
	}
	return slices.DeleteFunc(slices.Clone(c.identity.extra), func(f sip.Field) bool { return tellsSender(f.Name) })
}

func tellsSender(name string) bool {
	switch sip.CanonicalName(name) {
	case "From", "Contact", "Reply-To", "Via", "Call-Info", "User-Agent", "Organization", "Server", "Subject", "Call-ID",
		"In-Reply-To", "Warning", "P-Preferred-Identity", "P-Asserted-Identity", "Remote-Party-ID":
		return true
	}
	return false
}
