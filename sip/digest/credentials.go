package digest

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/gosipua/sipua/sip"
)

// Credentials prove who sends a request. Made by Password, HA1, Bearer or Verbatim; the zero value answers nothing.
// The secret inside is printed by no verb of fmt, no slog handler and no JSON encoder.
type Credentials struct {
	// Username is the user's name in the realm; empty for tokens.
	Username string

	s *secret
}

// secret is behind a pointer, and its text behind a func, so that printers that walk memory find neither.
type secret struct {
	kind      kind
	realm     string    // kindHA1: the only one it is good for
	algorithm Algorithm // kindHA1, without -sess
	scheme    string    // kindToken
	reveal    func() string
}

type kind uint8

const (
	kindPassword kind = iota + 1
	kindHA1
	kindToken
)

func newSecret(k kind, text string) *secret {
	return &secret{kind: k, reveal: func() string { return text }}
}

// Password are a user name and password, for any realm and algorithm. Both are taken as the bytes given; a server that
// asks for charset UTF-8 expects Unicode Normalization Form C (RFC 7616 §4).
func Password(user, password string) Credentials {
	return Credentials{Username: user, s: newSecret(kindPassword, password)}
}

// HA1 are a user name and H(username:realm:password) in hexadecimal, so that no password need be stored. They answer
// that realm only, and only the algorithm the value was made with: MD5 for 32 digits, SHA-256 for 64 (HA1With names
// another), in plain and -sess form. Any other value answers nothing.
func HA1(user, realm, ha1 string) Credentials {
	if len(ha1) == hex.EncodedLen(32) {
		return HA1With(SHA256, user, realm, ha1)
	}
	return HA1With(MD5, user, realm, ha1)
}

// HA1With is HA1 for a value made with algorithm a.
func HA1With(a Algorithm, user, realm, ha1 string) Credentials {
	s := newSecret(kindHA1, strings.ToLower(ha1))
	s.realm = realm
	if a = canonical(string(a)).base(); a.strength() > 0 && hex.DecodedLen(len(ha1)) == a.hash().Size() && isHex(ha1) {
		s.algorithm = a
	}
	return Credentials{Username: user, s: s}
}

func isHex(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil
}

// Bearer is an access token for challenges of the Bearer scheme (RFC 8898), sent as "Bearer token". RFC 8898 §2.1.2
// wants it encrypted: every proxy on the way reads it.
func Bearer(token string) Credentials {
	return Verbatim(schemeBearer + " " + token)
}

// Verbatim is a whole Authorization value as the application made it, scheme and all: "Bearer eyJ…". It answers
// challenges of that scheme, except Basic (RFC 8760 §2.6), and may go without one (Credentials.Field).
func Verbatim(value string) Credentials {
	s := newSecret(kindToken, value)
	s.scheme, _, _ = strings.Cut(value, " ")
	return Credentials{s: s}
}

// IsZero reports that c can answer nothing because it was never made.
func (c Credentials) IsZero() bool { return c.s == nil }

// IsToken reports that c is a Bearer or Verbatim value: it needs no challenge to be sent.
func (c Credentials) IsToken() bool { return c.s != nil && c.s.kind == kindToken }

// Fits reports whether c can answer ch: its scheme, and for an HA1 its realm and algorithm.
func (c Credentials) Fits(ch Challenge) bool {
	if c.s == nil {
		return false
	}
	a := ch.Algorithm.orMD5()
	switch c.s.kind {
	case kindToken:
		return !ch.isDigest() && !strings.EqualFold(ch.Scheme, "Basic") && strings.EqualFold(ch.Scheme, c.s.scheme)
	case kindHA1:
		return ch.isDigest() && ch.Realm == c.s.realm && c.s.algorithm != "" && a.base() == c.s.algorithm
	}
	return ch.isDigest() && a.strength() > 0
}

// Field is the Authorization, or for a proxy Proxy-Authorization, header field of a token. Other credentials need a
// challenge and return ErrCredentials; so does a token that is empty or holds CR, LF, NUL or another control byte.
func (c Credentials) Field(proxy bool) (sip.Field, error) {
	if !c.IsToken() {
		return sip.Field{}, fmt.Errorf("%w: no token", ErrCredentials)
	}
	value := c.s.reveal()
	if scheme, rest, _ := strings.Cut(value, " "); scheme == "" || strings.TrimSpace(rest) == "" {
		return sip.Field{}, fmt.Errorf("%w: empty token", ErrCredentials)
	}
	if controlIndex(value) >= 0 {
		return sip.Field{}, fmt.Errorf("%w: control byte in the token", ErrCredentials)
	}
	return sip.Field{Name: authorizationName(proxy), Value: value}, nil
}

// ha1 is H(username:realm:password) for ch, which c must fit.
func (c Credentials) ha1(ch *Challenge) string {
	if c.s.kind == kindHA1 {
		return c.s.reveal()
	}
	return ch.Algorithm.orMD5().sum(c.Username, ch.Realm, c.s.reveal())
}

// String names the user and says that the secret is withheld.
func (c Credentials) String() string {
	switch {
	case c.s == nil:
		return "no credentials"
	case c.s.kind == kindToken:
		return "token [redacted]"
	}
	return fmt.Sprintf("%q [redacted]", c.Username)
}

// GoString is String.
func (c Credentials) GoString() string { return c.String() }

// Format writes String whatever the verb.
func (c Credentials) Format(f fmt.State, _ rune) { io.WriteString(f, c.String()) }

// LogValue is String.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON is String as a JSON string: credentials do not survive JSON.
func (c Credentials) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }
