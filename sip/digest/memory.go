package digest

import (
	"math"
	"slices"
	"strings"

	"github.com/gosipua/sipua/sip"
)

// Bounds of what a Client remembers. A server that hands out more nonces than that costs a round trip.
const (
	maxSpaces = 32   // pairs of server and realm
	maxNonces = 8    // of one pair: requests in parallel may each have been given their own
	maxFloors = 1024 // realms whose weakest algorithm is remembered
)

// memory is what a Client knows; its mutex guards all of it.
type memory struct {
	spaces map[spaceKey]*space
	floors map[string]floor // by realm
	clock  uint64           // rises with every use of a space
}

type spaceKey struct{ server, realm string }

// space is a protection domain as one server presents it.
type space struct {
	nonces []*nonce    // in the order they came; user agents and proxies may share one, so they are counted together
	last   [2]*session // for Authorization and Proxy-Authorization
	used   uint64
}

// session is an authentication session (RFC 7616 §3.6): the challenge last answered, and the nonce to use next.
type session struct {
	ch    Challenge
	nonce *nonce
}

// nonce counts the uses of one nonce.
type nonce struct {
	value string
	count uint32
	// What its session began with. A -sess form repeats the cnonce, for servers that make the key afresh each time.
	firstNonce, firstCNonce string
}

// floor is the algorithm below which a realm is not answered.
type floor struct {
	algorithm Algorithm
	register  bool // it was used in a REGISTER
}

func index(proxy bool) int {
	if proxy {
		return 1
	}
	return 0
}

// take is the next use of n, false when its count would wrap.
func (n *nonce) take(ch *Challenge, cnonce string) (use, bool) {
	if n.count == math.MaxUint32 {
		return use{}, false
	}
	n.count++
	if n.firstCNonce == "" {
		n.firstNonce, n.firstCNonce = n.value, cnonce
	}
	if ch.Algorithm.session() {
		cnonce = n.firstCNonce
	}
	return use{
		nonce: n.value, cnonce: cnonce, count: n.count, firstNonce: n.firstNonce, firstCNonce: n.firstCNonce,
	}, true
}

// answer takes a use of ch's nonce and makes it the one for requests to come.
func (m *memory) answer(ch *Challenge, in Input, cnonce string) (use, bool) {
	sp := m.space(in.Server, ch.Realm)
	n := sp.nonce(ch.Nonce)
	n.firstNonce = n.value // a challenge begins a session, even with a nonce that was a nextnonce before
	u, ok := n.take(ch, cnonce)
	if ok {
		sp.last[index(ch.Proxy)] = &session{ch: ch.kept(), nonce: n}
		m.raiseFloor(ch, in.Method)
	}
	return u, ok
}

func (m *memory) space(server, realm string) *space {
	key := spaceKey{server, realm}
	sp := m.spaces[key]
	if sp == nil {
		if m.spaces == nil {
			m.spaces = map[spaceKey]*space{}
		}
		if len(m.spaces) >= maxSpaces {
			m.dropSpace()
		}
		sp = &space{}
		m.spaces[spaceKey{strings.Clone(server), strings.Clone(realm)}] = sp
	}
	m.touch(sp)
	return sp
}

func (m *memory) touch(sp *space) {
	m.clock++
	sp.used = m.clock
}

// dropSpace makes room at the cost of the space unused for longest.
func (m *memory) dropSpace() {
	var oldest spaceKey
	at := uint64(math.MaxUint64)
	for k, sp := range m.spaces {
		if sp.used < at {
			oldest, at = k, sp.used
		}
	}
	delete(m.spaces, oldest)
}

// session is what Preemptive goes on with, nil if there is none.
func (m *memory) session(server, realm string, proxy bool) *session {
	sp := m.spaces[spaceKey{server, realm}]
	if sp == nil {
		return nil
	}
	m.touch(sp)
	return sp.last[index(proxy)]
}

// nonce finds the counter of value or starts one, at the cost of the oldest that no session goes on with.
func (sp *space) nonce(value string) *nonce {
	for _, n := range sp.nonces {
		if n.value == value {
			return n
		}
	}
	if len(sp.nonces) >= maxNonces {
		i := slices.IndexFunc(sp.nonces, func(n *nonce) bool {
			return !slices.ContainsFunc(sp.last[:], func(s *session) bool { return s != nil && s.nonce == n })
		})
		sp.nonces = slices.Delete(sp.nonces, i, i+1)
	}
	n := &nonce{value: strings.Clone(value)}
	sp.nonces = append(sp.nonces, n)
	return n
}

// next replaces the nonce of a session that goes on: a -sess key stays that of its first nonce and cnonce.
func (m *memory) next(server, realm string, proxy bool, value string) {
	s := m.session(server, realm, proxy)
	if s == nil {
		return
	}
	n := m.spaces[spaceKey{server, realm}].nonce(value)
	n.firstNonce, n.firstCNonce = s.nonce.firstNonce, s.nonce.firstCNonce
	s.ch.Nonce, s.nonce = n.value, n
}

func (m *memory) realms(server string, proxy bool) []string {
	var realms []string
	for k, sp := range m.spaces {
		if k.server == server && sp.last[index(proxy)] != nil {
			realms = append(realms, k.realm)
		}
	}
	slices.Sort(realms)
	return realms
}

func (m *memory) forget(server, realm string) {
	for k, sp := range m.spaces {
		if (server == "" || k.server == server) && (realm == "" || k.realm == realm) {
			sp.last = [2]*session{}
		}
	}
}

// tooWeak reports a challenge below the floor of its realm.
func (m *memory) tooWeak(ch *Challenge) *DowngradeError {
	f, ok := m.floors[ch.Realm]
	if !ok || !ch.isDigest() || ch.Algorithm.orMD5().strength() >= f.algorithm.strength() {
		return nil
	}
	return &DowngradeError{Realm: ch.Realm, Used: f.algorithm, Offered: ch.Algorithm.orMD5()}
}

// raiseFloor notes what ch is answered with. Once a realm has been used in a REGISTER only REGISTERs raise its floor:
// any callee can challenge an INVITE in our realm's name, and with a stronger algorithm than our registrar knows it
// would make us refuse the registrar from then on.
func (m *memory) raiseFloor(ch *Challenge, method sip.Method) {
	a, register := ch.Algorithm.orMD5(), method == sip.REGISTER
	f, known := m.floors[ch.Realm]
	switch {
	case !known && len(m.floors) >= maxFloors, f.register && !register:
		return
	case known && a.strength() <= f.algorithm.strength() && f.register == register:
		return
	}
	if m.floors == nil {
		m.floors = map[string]floor{}
	}
	m.floors[strings.Clone(ch.Realm)] = floor{algorithm: a, register: register}
}
