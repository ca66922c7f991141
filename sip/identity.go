package sip

import (
	"iter"
	"strings"
)

// AssertedIdentity are the identities of the sender that a server vouches for, those that can be read
// (P-Asserted-Identity, RFC 3325 §9.1).
func (m *message) AssertedIdentity() []NameAddr { return m.readable(hPAssertedIdentity) }

// PreferredIdentity are the identities that the sender wants its server to vouch for, those that can be read
// (P-Preferred-Identity, RFC 3325 §9.2).
func (m *message) PreferredIdentity() []NameAddr { return m.readable(hPPreferredIdentity) }

// Privacy are the values of the Privacy field in lower case: "id", "header", … (RFC 3323 §4.2).
func (m *message) Privacy() []string {
	var list []string
	for i := m.next(0, hPrivacy, ""); i >= 0; i = m.next(i+1, hPrivacy, "") {
		for v := range privacyValues(m.fields[i].value()) {
			list = append(list, lower(v))
		}
	}
	return list
}

// privacyValues ranges over the values of one Privacy field.
func privacyValues(s string) iter.Seq[string] {
	return strings.FieldsFuncSeq(s, func(r rune) bool { return r == ';' || r == ',' || r == ' ' || r == '\t' })
}

// readable are those elements of a field that are name-addrs.
func (m *message) readable(id headerID) []NameAddr {
	var list []NameAddr
	for item := range m.items(id, "") {
		var n NameAddr
		if n.parse(item).ok() {
			list = append(list, n)
		}
	}
	return list
}
