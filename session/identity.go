package session

import (
	"slices"

	"github.com/gosipua/sipua/sip"
)

// Identity is who is at the far end.
type Identity struct {
	Remote   sip.NameAddr   // as it names itself
	Asserted []sip.NameAddr // as its server vouches for (RFC 3325 §9.1)
}

// identified is a message that may tell who sent it.
type identified interface{ AssertedIdentity() []sip.NameAddr }

// noteIdentity takes over what a message of the far end says of its identity,
// which changes inside a call where a server between connects it with somebody
// else.
func (s *Session) noteIdentity(m identified) { // [locked]
	changed := false
	if ids := m.AssertedIdentity(); len(ids) > 0 && !slices.Equal(ids, s.asserted) {
		s.asserted, changed = ids, true
	}
	if req, ok := m.(*sip.Request); ok { // a response repeats what we called it
		if from := req.From(); from.WithTag("") != s.remote.WithTag("") { // RFC 4916 §4.4.2
			s.remote, changed = from, true
		}
	}
	if h := s.handler.Identity; h != nil && changed {
		id := Identity{s.remote, slices.Clone(s.asserted)}
		s.tellNewest(eventIdentity, func() { h(s, id) })
	}
}
