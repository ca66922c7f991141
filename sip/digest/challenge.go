package digest

import (
	"slices"
	"strings"

	"github.com/gosipua/sipua/sip"
)

const (
	schemeDigest = "Digest"
	schemeBearer = "Bearer"
)

// Challenge is one challenge of a WWW-Authenticate or Proxy-Authenticate header field (RFC 7616 §3.3, RFC 3261 §20.27
// and §20.44). Strings are unquoted. A challenge made by hand needs Realm and Nonce; everything else may stay zero.
type Challenge struct {
	// Scheme is "Digest" (also for ""), "Bearer" (RFC 8898) or another one, which this package cannot answer.
	Scheme string
	// Proxy says that it came in Proxy-Authenticate and is answered by Proxy-Authorization.
	Proxy bool
	// Realm is the protection domain (RFC 3261 §22.1): the challenger's own claim, proven by nothing.
	Realm string
	// Nonce is the server's value; opaque to the client.
	Nonce string
	// Opaque is returned unchanged.
	Opaque string
	// Domain is kept as sent; SIP gives it no meaning.
	Domain string
	// Algorithm is in its registered spelling; "" means MD5.
	Algorithm Algorithm
	// QOP lists the offered qualities of protection, in the server's order; none is the form of RFC 2069.
	QOP []string
	// Stale says that the nonce of the refused request was too old and its credentials need not be wrong.
	Stale bool
	// Userhash asks for the hashed user name (RFC 7616 §3.4.4).
	Userhash bool
	// Charset is "UTF-8" or "" (RFC 7616 §4).
	Charset string

	spelling    string // of Algorithm, as sent: it is echoed so
	emptyOpaque bool   // opaque="" was there
	more        []param
}

// ParseChallenge reads the value of one WWW-Authenticate or Proxy-Authenticate header field; Proxy is left false. It is
// lenient about quotes where servers disagree. Unknown schemes, algorithms and parameters are kept. The error is a
// *sip.ParseError; a Digest challenge without realm or nonce, a parameter given twice and any control byte are errors.
func ParseChallenge(value string) (Challenge, error) {
	sc := &scanner{field: "challenge", s: value}
	if err := sc.checkControls(); err != nil {
		return Challenge{}, err
	}
	ch, err := sc.challenge()
	if err == nil && !sc.done() {
		err = sc.fail("more than one challenge")
	}
	if err != nil {
		return Challenge{}, err
	}
	return ch, nil
}

// Challenges returns every challenge of res, from WWW-Authenticate and Proxy-Authenticate alike and whatever the status
// (a forking proxy puts both into one response, RFC 3261 §22.3), in the server's order of preference (RFC 8760 §2.4).
// What cannot be read is skipped.
func Challenges(res *sip.Response) []Challenge {
	var all []Challenge
	for f := range res.Fields() {
		proxy := strings.EqualFold(f.Name, "Proxy-Authenticate")
		if !proxy && !strings.EqualFold(f.Name, "WWW-Authenticate") {
			continue
		}
		all = appendChallenges(all, f.Value, proxy)
	}
	return all
}

// appendChallenges also takes several challenges on one line, as HTTP allows and RFC 3261 §7.3.1 forbids.
func appendChallenges(all []Challenge, value string, proxy bool) []Challenge {
	sc := &scanner{field: "challenge", s: value}
	if sc.checkControls() != nil {
		return all
	}
	for sc.commas(); !sc.done(); sc.commas() {
		ch, err := sc.challenge()
		if err != nil {
			return all
		}
		ch.Proxy = proxy
		all = append(all, ch)
	}
	return all
}

// challenge reads one challenge and leaves the next one unread.
func (sc *scanner) challenge() (Challenge, error) {
	sc.space()
	scheme := sc.token()
	if scheme == "" {
		return Challenge{}, sc.fail("scheme expected")
	}
	var ps []param
	if spaced := sc.space(); !sc.done() && sc.s[sc.i] != ',' {
		if !spaced {
			return Challenge{}, sc.fail("white space expected after the scheme")
		}
		var err error
		if ps, err = sc.params(); err != nil {
			return Challenge{}, err
		}
	} else {
		sc.commas()
	}
	ch := Challenge{Scheme: scheme}
	switch {
	case strings.EqualFold(scheme, schemeDigest):
		ch.Scheme = schemeDigest
	case strings.EqualFold(scheme, schemeBearer):
		ch.Scheme = schemeBearer
	}
	for _, p := range ps {
		ch.set(p)
	}
	if ch.Scheme == schemeDigest {
		for _, name := range []string{"realm", "nonce"} {
			if _, ok := lookup(ps, name); !ok {
				return Challenge{}, sc.fail(name + " missing")
			}
		}
	}
	return ch, nil
}

func (ch *Challenge) set(p param) {
	name := strings.ToLower(p.name)
	if name == "realm" {
		ch.Realm = p.value
		return
	}
	if ch.Scheme != schemeDigest {
		ch.more = append(ch.more, p)
		return
	}
	switch name {
	case "nonce":
		ch.Nonce = p.value
	case "opaque":
		ch.Opaque, ch.emptyOpaque = p.value, p.value == ""
	case "domain":
		ch.Domain = p.value
	case "algorithm":
		ch.Algorithm, ch.spelling = canonical(p.value), p.value
	case "qop":
		for q := range strings.SplitSeq(p.value, ",") {
			if q = strings.Trim(q, " \t"); q != "" {
				ch.QOP = append(ch.QOP, q)
			}
		}
	case "stale":
		ch.Stale = strings.EqualFold(p.value, "true")
	case "userhash":
		ch.Userhash = strings.EqualFold(p.value, "true")
	case "charset":
		ch.Charset = p.value
	default:
		ch.more = append(ch.more, p)
	}
}

// Param is the value of a parameter that has no field of its own, such as authz_server or scope of a Bearer challenge
// (RFC 8898 §4). Names compare case-insensitively.
func (ch Challenge) Param(name string) (value string, ok bool) { return lookup(ch.more, name) }

// String is the header field value, each parameter quoted or not as RFC 7616 §3.3 demands of a sender.
func (ch Challenge) String() string {
	var w writer
	if !ch.isDigest() {
		w.text(ch.Scheme)
		if ch.Realm != "" {
			w.quoted("realm", ch.Realm)
		}
		ch.writeMore(&w)
		return w.b.String()
	}
	w.text(schemeDigest)
	w.quoted("realm", ch.Realm)
	if ch.Domain != "" {
		w.quoted("domain", ch.Domain)
	}
	w.quoted("nonce", ch.Nonce)
	if ch.Opaque != "" || ch.emptyOpaque {
		w.quoted("opaque", ch.Opaque)
	}
	if ch.Stale {
		w.token("stale", "true")
	}
	if a := ch.algorithmText(); a != "" {
		w.token("algorithm", a)
	}
	if len(ch.QOP) > 0 {
		w.quoted("qop", strings.Join(ch.QOP, ","))
	}
	if ch.Charset != "" {
		w.token("charset", ch.Charset)
	}
	if ch.Userhash {
		w.token("userhash", "true")
	}
	ch.writeMore(&w)
	return w.b.String()
}

func (ch Challenge) writeMore(w *writer) {
	for _, p := range ch.more {
		w.quoted(p.name, p.value)
	}
}

// Field is the header field that carries ch: WWW-Authenticate or Proxy-Authenticate.
func (ch Challenge) Field() sip.Field {
	if ch.Proxy {
		return sip.Field{Name: "Proxy-Authenticate", Value: ch.String()}
	}
	return sip.Field{Name: "WWW-Authenticate", Value: ch.String()}
}

func (ch *Challenge) isDigest() bool {
	return ch.Scheme == "" || strings.EqualFold(ch.Scheme, schemeDigest)
}

func (ch *Challenge) isBearer() bool { return strings.EqualFold(ch.Scheme, schemeBearer) }

// algorithmText is the algorithm as the server spelt it, "" if it named none.
func (ch *Challenge) algorithmText() string {
	if canonical(ch.spelling) == ch.Algorithm {
		return ch.spelling
	}
	return string(ch.Algorithm)
}

func (ch *Challenge) offers(qop string) bool {
	return slices.ContainsFunc(ch.QOP, func(q string) bool { return strings.EqualFold(q, qop) })
}

// kept is what answering ch again takes. It shares no memory with the message ch was read from, which would otherwise
// live as long.
func (ch Challenge) kept() Challenge {
	ch.Scheme = strings.Clone(ch.Scheme)
	ch.Realm = strings.Clone(ch.Realm)
	ch.Nonce = strings.Clone(ch.Nonce)
	ch.Opaque = strings.Clone(ch.Opaque)
	ch.Domain = ""
	ch.Algorithm = Algorithm(strings.Clone(string(ch.Algorithm)))
	ch.spelling = strings.Clone(ch.spelling)
	ch.Charset = ""
	ch.more = nil
	qops := ch.QOP
	ch.QOP = nil
	for _, q := range qops {
		ch.QOP = append(ch.QOP, strings.Clone(q))
	}
	return ch
}
