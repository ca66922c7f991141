package digest

import (
	"crypto/subtle"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/gosipua/sipua/sip"
)

// Authorization is a Digest answer: the value of an Authorization or Proxy-Authorization header field (RFC 7616 §3.4,
// RFC 3261 §20.7 and §20.28). Strings are unquoted.
type Authorization struct {
	Username  string // hashed if Userhash
	Userhash  bool
	Realm     string
	Nonce     string
	URI       string // the Request-URI as its sender wrote it
	Response  string // request-digest
	Algorithm Algorithm
	CNonce    string
	QOP       string // "" for the form of RFC 2069; without it neither CNonce nor NC is sent
	NC        uint32 // how often the nonce has been used, from 1
	Opaque    string

	spelling    string
	emptyOpaque bool
}

// ParseAuthorization reads a Digest answer. The error is a *sip.ParseError: another scheme, a parameter missing or
// given twice, a control byte, an nc that is not eight hexadecimal digits.
func ParseAuthorization(value string) (Authorization, error) {
	sc := &scanner{field: "credentials", s: value}
	if err := sc.checkControls(); err != nil {
		return Authorization{}, err
	}
	sc.space()
	if scheme := sc.token(); !strings.EqualFold(scheme, schemeDigest) {
		return Authorization{}, sc.fail("not Digest")
	}
	if !sc.space() {
		return Authorization{}, sc.fail("white space expected after the scheme")
	}
	ps, err := sc.params()
	if err != nil {
		return Authorization{}, err
	}
	if !sc.done() {
		return Authorization{}, sc.fail("'=' expected")
	}
	var a Authorization
	for _, p := range ps {
		if reason := a.set(p); reason != "" {
			return Authorization{}, sc.fail(reason)
		}
	}
	_, plain := lookup(ps, "username")
	_, extended := lookup(ps, "username*")
	switch {
	case plain && extended:
		return Authorization{}, sc.fail("both username and username*") // RFC 7616 §3.4
	case extended && a.Userhash:
		return Authorization{}, sc.fail("username* with userhash")
	case !plain && !extended:
		return Authorization{}, sc.fail("username missing")
	}
	for _, name := range []string{"realm", "nonce", "uri", "response"} {
		if _, ok := lookup(ps, name); !ok {
			return Authorization{}, sc.fail(name + " missing")
		}
	}
	return a, nil
}

func (a *Authorization) set(p param) (reason string) {
	switch strings.ToLower(p.name) {
	case "username":
		a.Username = p.value
	case "username*":
		var ok bool
		if a.Username, ok = extValue(p.value); !ok {
			return "unreadable username*"
		}
	case "userhash":
		a.Userhash = strings.EqualFold(p.value, "true")
	case "realm":
		a.Realm = p.value
	case "nonce":
		a.Nonce = p.value
	case "uri":
		a.URI = p.value
	case "response":
		a.Response = p.value
	case "algorithm":
		a.Algorithm, a.spelling = canonical(p.value), p.value
	case "cnonce":
		a.CNonce = p.value
	case "qop":
		a.QOP = p.value
	case "opaque":
		a.Opaque, a.emptyOpaque = p.value, p.value == ""
	case "nc":
		n, ok := parseCount(p.value)
		if !ok {
			return "nc is not eight hexadecimal digits"
		}
		a.NC = n
	}
	return ""
}

// extValue reads the ext-value of RFC 5987 §3.2 in UTF-8, the only charset it obliges anybody to know.
func extValue(s string) (string, bool) {
	charset, rest, _ := strings.Cut(s, "'")
	_, text, ok := strings.Cut(rest, "'")
	if !ok || !strings.EqualFold(charset, "UTF-8") {
		return "", false
	}
	text, err := url.PathUnescape(text)
	return text, err == nil && controlIndex(text) < 0
}

func parseCount(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 16, 32)
	return uint32(n), err == nil && len(s) == 8
}

func formatCount(n uint32) string { return fmt.Sprintf("%08x", n) }

// String is the header field value, each parameter quoted or not as RFC 7616 §3.4 and RFC 8760 §2.6 demand.
func (a Authorization) String() string {
	var w writer
	w.b.WriteString(schemeDigest)
	w.quoted("username", a.Username)
	w.quoted("realm", a.Realm)
	w.quoted("nonce", a.Nonce)
	w.quoted("uri", a.URI)
	w.quoted("response", a.Response)
	if s := a.algorithmText(); s != "" {
		w.token("algorithm", s)
	}
	if a.QOP != "" {
		w.quoted("cnonce", a.CNonce)
		w.token("qop", a.QOP)
		w.token("nc", formatCount(a.NC))
	}
	if a.Opaque != "" || a.emptyOpaque {
		w.quoted("opaque", a.Opaque)
	}
	if a.Userhash {
		w.token("userhash", "true")
	}
	return w.b.String()
}

func (a *Authorization) algorithmText() string {
	if canonical(a.spelling) == a.Algorithm {
		return a.spelling
	}
	return string(a.Algorithm)
}

func authorizationName(proxy bool) string {
	if proxy {
		return "Proxy-Authorization"
	}
	return "Authorization"
}

// Find returns the Digest answer for realm in req, from Authorization or, for a proxy, Proxy-Authorization. A server
// finds its own among several so (RFC 3261 §22.3), a client what it sent.
func Find(req *sip.Request, proxy bool, realm string) (Authorization, bool) {
	for f := range req.Fields() {
		if !strings.EqualFold(f.Name, authorizationName(proxy)) {
			continue
		}
		if a, err := ParseAuthorization(f.Value); err == nil && a.Realm == realm {
			return a, true
		}
	}
	return Authorization{}, false
}

// Verify is ParseAuthorization and Authorization.Verify in one.
func Verify(value string, ch Challenge, cred Credentials, in Input) error {
	a, err := ParseAuthorization(value)
	if err != nil {
		return err
	}
	return a.Verify(ch, cred, in)
}

// Verify is the server's side: it checks that a answers ch, with the secret in cred, for the request in. An empty
// in.URI leaves the uri parameter uncompared, which a server behind proxies that rewrite the Request-URI needs
// (RFC 8760 §2.6 item 6). Whether the nonce is still fresh and a.NC was not seen before is the caller's to know.
// In a -sess form the session is taken to have begun with a's own nonce and cnonce.
//
// The error is or wraps ErrNonce, ErrMismatch, ErrResponse or ErrCredentials.
func (a Authorization) Verify(ch Challenge, cred Credentials, in Input) error {
	if !cred.Fits(ch) || cred.IsToken() {
		return ErrCredentials
	}
	algorithm := ch.Algorithm.orMD5()
	mismatch := func(what string) error { return fmt.Errorf("%w: %s", ErrMismatch, what) }
	switch {
	case a.Realm != ch.Realm:
		return mismatch("realm")
	case a.Nonce != ch.Nonce:
		return ErrNonce
	case a.Algorithm.orMD5() != algorithm:
		return mismatch("algorithm")
	case a.Opaque != ch.Opaque:
		return mismatch("opaque")
	case a.Userhash && !ch.Userhash:
		return mismatch("userhash")
	case a.Userhash && a.Username != algorithm.sum(cred.Username, ch.Realm), !a.Userhash && a.Username != cred.Username:
		return mismatch("username")
	case in.URI != "" && a.URI != in.URI:
		return mismatch("uri")
	case !a.qopAnswers(&ch):
		return mismatch("qop")
	case a.QOP != "" && (a.CNonce == "" || a.NC == 0):
		return mismatch("cnonce or nc")
	}
	p := a.proof(cred.ha1(&ch), in)
	if subtle.ConstantTimeCompare([]byte(p.digest()), []byte(a.Response)) != 1 {
		return ErrResponse
	}
	return nil
}

// qopAnswers: an offer must be taken up (RFC 3261 §22.4 item 8); no offer means "auth" to those who know qop and
// nothing to those who know RFC 2069 only (RFC 8760 §2.6 item 8).
func (a *Authorization) qopAnswers(ch *Challenge) bool {
	if len(ch.QOP) == 0 {
		return a.QOP == "" && !ch.Algorithm.session() || a.QOP == auth
	}
	return (a.QOP == auth || a.QOP == authInt) && ch.offers(a.QOP)
}

func (a *Authorization) proof(ha1 string, in Input) *proof {
	return &proof{
		algorithm: a.Algorithm.orMD5(), ha1: ha1, qop: a.QOP,
		use: use{
			nonce: a.Nonce, cnonce: a.CNonce, count: a.NC, firstNonce: a.Nonce, firstCNonce: a.CNonce,
		},
		method: string(in.Method), uri: a.URI, body: in.Body,
	}
}
