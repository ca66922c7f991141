package digest

import (
	"slices"
	"strings"
)

// Policy says which challenges a Client answers. The zero value answers every Digest challenge this package can.
type Policy struct {
	// Algorithms are those enabled, each -sess form by itself; nil means all of them. Leave MD5 and MD5-sess out to
	// switch MD5 off.
	Algorithms []Algorithm
	// PreferAuthInt takes qop auth-int wherever it is offered. Otherwise it is taken only where auth is not: a proxy
	// that touches the body breaks it.
	PreferAuthInt bool
	// RequireQOP refuses challenges without qop (the form of RFC 2069), which protect neither against replay nor
	// against a chosen nonce. Servers of RFC 2543 and many PBXs send no other.
	RequireQOP bool
	// Bearer lets Choose pick Bearer challenges although it is shown no token: the application gets one when it is
	// asked for credentials.
	Bearer bool
}

func (p *Policy) enabled(a Algorithm) bool {
	return a.strength() > 0 && (p.Algorithms == nil || slices.Contains(p.Algorithms, a))
}

// qop is the quality of protection to answer ch with; false if none of those offered will do.
func (p *Policy) qop(ch *Challenge) (string, bool) {
	switch {
	case len(ch.QOP) == 0 && p.RequireQOP:
		return "", false
	case len(ch.QOP) == 0 && ch.Algorithm.session():
		return auth, true // -sess needs a cnonce, hence qop; RFC 8760 §2.6 item 8 makes auth its default
	case len(ch.QOP) == 0:
		return "", true
	case ch.offers(authInt) && (p.PreferAuthInt || !ch.offers(auth)):
		return authInt, true
	}
	return auth, ch.offers(auth)
}

// answers reports whether ch can be answered at all, with one of creds if there are any.
func (p *Policy) answers(ch *Challenge, creds []Credentials) bool {
	if ch.isDigest() {
		if _, ok := p.qop(ch); !ok || !p.enabled(ch.Algorithm.orMD5()) {
			return false
		}
	} else if len(creds) == 0 && !(p.Bearer && ch.isBearer()) {
		return false
	}
	return len(creds) == 0 || slices.ContainsFunc(creds, func(c Credentials) bool { return c.Fits(*ch) })
}

func (ch *Challenge) schemeName() string {
	if ch.isDigest() {
		return schemeDigest
	}
	return strings.ToValidUTF8(short(ch.Scheme), "?")
}
