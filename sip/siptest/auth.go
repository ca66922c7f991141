package siptest

import (
	"crypto/rand"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
)

// maxNonces is how many nonces a server remembers; the oldest goes stale when
// another is needed, so that a long benchmark does not fill the memory.
const maxNonces = 4096

// nonceStore holds the nonces a server has given out. The zero value is ready.
type nonceStore struct {
	byText map[string]*nonce
	ring   []string
	next   int // in ring: the oldest
}

// nonce is one of them, and what has been made of it.
type nonce struct {
	born time.Time
	uses int
	// Every count up to floor has been used, and those in above.
	floor uint32
	above map[uint32]bool
}

// maxGap bounds the counts remembered beyond the first that is missing.
const maxGap = 1024

func (s *nonceStore) make() string {
	text := rand.Text()
	if s.byText == nil {
		s.byText = make(map[string]*nonce)
	}
	if len(s.ring) < maxNonces {
		s.ring = append(s.ring, text)
	} else {
		delete(s.byText, s.ring[s.next])
		s.ring[s.next] = text
		s.next = (s.next + 1) % maxNonces
	}
	s.byText[text] = &nonce{born: time.Now()}
	return text
}

// use notes that a nonce count has come, and reports false for one that had come
// before: a replay.
func (n *nonce) use(count uint32) bool {
	switch {
	case count <= n.floor || n.above[count] || len(n.above) >= maxGap:
		return false
	case count == n.floor+1:
		n.floor++
		for n.above[n.floor+1] {
			n.floor++
			delete(n.above, n.floor)
		}
		return true
	}
	if n.above == nil {
		n.above = make(map[uint32]bool)
	}
	n.above[count] = true
	return true
}

// verdict is what an authentication came to.
type verdict struct {
	ok    bool
	stale bool // the credentials were right, the nonce was not
	user  string
	// info goes into the answer, if it is one to REGISTER.
	info *digest.Info
}

// authenticate checks the credentials of a request. s.mu is held.
func (s *Server) authenticate(req *sip.Request, proxy bool) verdict {
	a, found := digest.Find(req, proxy, s.options.Realm)
	if !found {
		return verdict{}
	}
	user, cred, ok := s.checkResponse(req, a)
	if !ok {
		return verdict{}
	}
	n := s.nonces.byText[a.Nonce]
	o := &s.options
	switch {
	case n == nil,
		o.NonceUses > 0 && n.uses >= o.NonceUses,
		o.NonceLifetime > 0 && time.Since(n.born) >= o.NonceLifetime:
		return verdict{stale: true}
	case a.QOP != "" && !n.use(a.NC):
		s.counters.Replays++
		return verdict{stale: true}
	}
	n.uses++
	v := verdict{ok: true, user: user}
	if o.NextNonce {
		if info, err := a.Prove(cred, nil); err == nil {
			info.NextNonce = s.nonces.make()
			v.info = &info
		}
	}
	return v
}

// checkResponse finds the user whose password gives the response in a.
func (s *Server) checkResponse(req *sip.Request, a digest.Authorization) (string, digest.Credentials, bool) {
	in := digest.InputOf("", req)
	in.URI = "" // what the Request-URI was when it was signed is for the client to say
	check := func(user, password string) (digest.Credentials, bool) {
		cred := digest.Password(user, password)
		for _, algorithm := range s.options.Algorithms {
			ch := s.challenge(algorithm, a.Nonce)
			if a.Verify(ch, cred, in) == nil {
				return cred, true
			}
		}
		return digest.Credentials{}, false
	}
	if !a.Userhash {
		password, known := s.options.Users[a.Username]
		if !known {
			return "", digest.Credentials{}, false
		}
		cred, ok := check(a.Username, password)
		return a.Username, cred, ok
	}
	for user, password := range s.options.Users {
		if cred, ok := check(user, password); ok {
			return user, cred, true
		}
	}
	return "", digest.Credentials{}, false
}

func (s *Server) challenge(algorithm digest.Algorithm, nonce string) digest.Challenge {
	return digest.Challenge{
		Realm:     s.options.Realm,
		Nonce:     nonce,
		Algorithm: algorithm,
		QOP:       s.options.QOP,
		Userhash:  s.options.Userhash,
	}
}

// challengeResponse is the 401, or for a proxy 407, that asks for credentials.
// All its challenges share one nonce. s.mu is held.
func (s *Server) challengeResponse(req *sip.Request, proxy, stale bool) *sip.Response {
	code := sip.StatusUnauthorized
	if proxy {
		code = sip.StatusProxyAuthenticationRequired
	}
	res := s.newResponse(req, code)
	nonce := s.nonces.make()
	for _, algorithm := range s.options.Algorithms {
		ch := s.challenge(algorithm, nonce)
		ch.Proxy, ch.Stale = proxy, stale
		addField(res, ch.Field())
	}
	s.counters.Challenges++
	if stale {
		s.counters.Stale++
	}
	return res
}
