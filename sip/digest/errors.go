package digest

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrCredentials is returned where credentials cannot answer a challenge: none given, another scheme, an HA1 of
	// another realm or algorithm, a control byte in the user name.
	ErrCredentials = errors.New("digest: credentials do not fit the challenge")
	// ErrNonce is returned by Verify for a nonce that is not the challenge's: challenge anew, with Stale.
	ErrNonce = errors.New("digest: nonce is not the challenge's")
	// ErrMismatch is returned by Verify for credentials made for another challenge, user or request.
	ErrMismatch = errors.New("digest: credentials do not answer the challenge")
	// ErrResponse is returned by Verify for a response the secret does not give: a wrong password.
	ErrResponse = errors.New("digest: wrong response")
	// ErrInput is returned for a request that cannot be signed: no method, no URI or a control byte in one.
	ErrInput = errors.New("digest: request cannot be signed")
	// ErrExhausted is returned for a nonce that has been used 2³²−1 times.
	ErrExhausted = errors.New("digest: nonce used up")
)

// UnsupportedError reports that none of the challenges offered can be answered under the policy and with the
// credentials at hand. RFC 8760 §2.4: give the request up.
type UnsupportedError struct {
	Offered []Challenge
}

// Error lists what was offered, without nonces.
func (e *UnsupportedError) Error() string {
	if len(e.Offered) == 0 {
		return "digest: no challenge in the response"
	}
	var b strings.Builder
	b.WriteString("digest: no challenge that can be answered:")
	for i, ch := range e.Offered {
		if i > 0 {
			b.WriteByte(',')
		}
		if i == 8 { // a hostile list need not fill a log
			fmt.Fprintf(&b, " and %d more", len(e.Offered)-i)
			break
		}
		fmt.Fprintf(&b, " %s realm=%q", ch.schemeName(), short(ch.Realm))
		if ch.isDigest() {
			fmt.Fprintf(&b, " algorithm=%s qop=%q", short(string(ch.Algorithm.orMD5())), short(strings.Join(ch.QOP, ",")))
		}
	}
	return b.String()
}

// DowngradeError reports a challenge that asks for a weaker algorithm than the realm was answered with before, which
// is what an attacker who wants to guess the password would send (RFC 8760 §3). It was not answered.
type DowngradeError struct {
	Realm   string
	Used    Algorithm // before
	Offered Algorithm // now
}

// Error names the realm and both algorithms.
func (e *DowngradeError) Error() string {
	return fmt.Sprintf("digest: realm %q offers %s after %s was used", short(e.Realm), e.Offered, e.Used)
}

// short keeps a stranger's text from filling a log.
func short(s string) string {
	const limit = 64
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}
