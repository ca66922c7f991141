package sip

// ReferTo is the Refer-To field (RFC 3515 §2.1); ok is false when there is not exactly one that can be read.
func (m *message) ReferTo() (n NameAddr, ok bool) {
	if m.count(hReferTo) != 1 {
		return NameAddr{}, false
	}
	return m.single(hReferTo)
}

// ReferredBy is the Referred-By field (RFC 3892 §3); ok is false when there is none that can be read.
func (m *message) ReferredBy() (n NameAddr, ok bool) { return m.single(hReferredBy) }
