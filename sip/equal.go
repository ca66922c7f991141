package sip

import "strings"

// Equal compares by RFC 3261 §19.1.4 for sip and sips, by RFC 3966 §5 for tel, and as text for all others.
func (u URI) Equal(v URI) bool {
	if u == v {
		return true
	}
	if u.Scheme != v.Scheme {
		return false
	}
	switch u.Scheme {
	case "sip", "sips":
		return equalEscaped(u.User, v.User, false) && equalEscaped(u.Password, v.Password, false) &&
			equalFold(u.Host, v.Host) && u.Port == v.Port &&
			equalSIPParams(u.Params, v.Params) && equalHeaders(u.Headers, v.Headers)
	case "tel":
		return equalFold(stripSeparators(u.User), stripSeparators(v.User)) &&
			containsParams(u.Params, v.Params) && containsParams(v.Params, u.Params)
	}
	return u.Opaque == v.Opaque
}

// equalEscaped compares two escaped texts. A character and its escape are the same, unless the character is a
// reserved one, which means something else when it is escaped.
func equalEscaped(s, t string, fold bool) bool {
	i, j := 0, 0
	for i < len(s) && j < len(t) {
		a, aRaw, n := octet(s, i)
		b, bRaw, m := octet(t, j)
		if fold && isAlpha(a) && isAlpha(b) {
			a, b = a|0x20, b|0x20
		}
		if a != b || aRaw != bRaw {
			return false
		}
		i, j = i+n, j+m
	}
	return i == len(s) && j == len(t)
}

// octet reads one character or escape at s[i] and says how long it is. opaque is true for an escaped
// reserved character.
func octet(s string, i int) (c byte, opaque bool, n int) {
	if !escaped(s, i) {
		return s[i], false, 1
	}
	c = unhex(s[i+1])<<4 | unhex(s[i+2])
	return c, strings.IndexByte(";/?:@&=+$,", c) >= 0, 3
}

// equalSIPParams: a parameter in both must be the same; user, ttl, method, maddr and transport must be in
// both or in neither; any other may be in one alone.
func equalSIPParams(p, q Params) bool {
	for name, value := range p.All() {
		if other, ok := q.Lookup(name); ok && !equalEscaped(value, other, true) {
			return false
		}
	}
	for _, name := range [...]string{"user", "ttl", "method", "maddr", "transport"} {
		if p.Has(name) != q.Has(name) {
			return false
		}
	}
	return true
}

func containsParams(p, q Params) bool {
	for name, value := range p.All() {
		other, ok := q.Lookup(name)
		if !ok || !equalEscaped(value, other, true) && !equalFold(stripSeparators(value), stripSeparators(other)) {
			return false
		}
	}
	return true
}

// equalHeaders: the same headers with the same values, in any order.
func equalHeaders(s, t string) bool {
	return s == t || strings.Count(s, "&") == strings.Count(t, "&") && containsHeaders(s, t) && containsHeaders(t, s)
}

func containsHeaders(s, t string) bool {
	for name, value := range uriHeaders(s) {
		found := false
		for n, v := range uriHeaders(t) {
			found = found || equalFold(n, name) && equalFold(v, value)
		}
		if !found {
			return false
		}
	}
	return true
}
