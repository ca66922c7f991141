package digest

import (
	"strings"

	"github.com/gosipua/sipua/sip"
)

const (
	auth    = "auth"     // qop: the request line is proven
	authInt = "auth-int" // qop: and the body

	// maxParams bounds what one hostile field can make us compare; no scheme has more than a dozen.
	maxParams = 64
)

// param is one auth-param, its value unquoted.
type param struct{ name, value string }

// scanner reads auth-scheme and auth-params (RFC 3261 §25.1: challenge, credentials, ainfo).
type scanner struct {
	field string // for errors
	s     string
	i     int
}

func (sc *scanner) fail(reason string) error {
	// no Value: the text may hold a token or the digest of a password
	return &sip.ParseError{Field: sc.field, Offset: sc.i, Reason: reason}
}

// checkControls refuses CR, LF, NUL and every other control byte but TAB, wherever it stands: none has a business in
// these fields, and each could end a header field when echoed.
func (sc *scanner) checkControls() error {
	if i := controlIndex(sc.s); i >= 0 {
		sc.i = i
		return sc.fail("control byte")
	}
	return nil
}

func controlIndex(s string) int {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

func (sc *scanner) done() bool { return sc.i >= len(sc.s) }

func (sc *scanner) space() bool {
	start := sc.i
	for !sc.done() && (sc.s[sc.i] == ' ' || sc.s[sc.i] == '\t') {
		sc.i++
	}
	return sc.i > start
}

// commas skips separators and empty list elements, which RFC 7230 §7 lets a sender leave in.
func (sc *scanner) commas() (seen bool) {
	for {
		sc.space()
		if sc.done() || sc.s[sc.i] != ',' {
			return seen
		}
		sc.i++
		seen = true
	}
}

func (sc *scanner) token() string {
	start := sc.i
	for !sc.done() && isTokenByte(sc.s[sc.i]) {
		sc.i++
	}
	return sc.s[start:sc.i]
}

// params reads auth-params up to the end or up to the scheme of a further challenge, which it leaves unread.
func (sc *scanner) params() ([]param, error) {
	var ps []param
	for first := true; ; first = false {
		comma := sc.commas()
		if sc.done() {
			return ps, nil
		}
		if !first && !comma {
			return nil, sc.fail("comma expected")
		}
		start := sc.i
		name := sc.token()
		if name == "" {
			return nil, sc.fail("parameter name expected")
		}
		sc.space()
		if sc.done() || sc.s[sc.i] != '=' {
			if first || sc.done() {
				return nil, sc.fail("'=' expected")
			}
			sc.i = start // "Digest a=b, Basic c=d": another challenge on the same line
			return ps, nil
		}
		sc.i++
		sc.space()
		value, err := sc.value()
		if err != nil {
			return nil, err
		}
		if _, dup := lookup(ps, name); dup {
			return nil, sc.fail("parameter given twice: " + name) // which one counts is for nobody to guess
		}
		if len(ps) == maxParams {
			return nil, sc.fail("too many parameters")
		}
		ps = append(ps, param{name, value})
	}
}

// value reads a quoted-string or, more widely than a token, whatever stands up to a comma or white space: servers send
// unquoted nonces with '=' and '/' in them.
func (sc *scanner) value() (string, error) {
	if !sc.done() && sc.s[sc.i] == '"' {
		return sc.quoted()
	}
	start := sc.i
	for !sc.done() && !strings.ContainsRune(" \t,\"", rune(sc.s[sc.i])) {
		sc.i++
	}
	if !sc.done() && sc.s[sc.i] == '"' {
		return "", sc.fail("stray quote")
	}
	return sc.s[start:sc.i], nil
}

// quoted unquotes: surrounding quotes and quoting backslashes go, as unq() of RFC 7616 §3.3 demands.
func (sc *scanner) quoted() (string, error) {
	sc.i++
	start := sc.i
	var b strings.Builder
	for !sc.done() {
		switch sc.s[sc.i] {
		case '"':
			b.WriteString(sc.s[start:sc.i])
			sc.i++
			return b.String(), nil
		case '\\':
			b.WriteString(sc.s[start:sc.i])
			start = sc.i + 1
			sc.i += 2
		default:
			sc.i++
		}
	}
	sc.i = len(sc.s)
	return "", sc.fail("unterminated quoted string")
}

func lookup(ps []param, name string) (string, bool) {
	for _, p := range ps {
		if strings.EqualFold(p.name, name) {
			return p.value, true
		}
	}
	return "", false
}

func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-.!%*_+`'~", c) >= 0
}

// writer builds a field value: scheme first, then the parameters, each in the one form peers accept for it.
type writer struct {
	b     strings.Builder
	count int
}

func (w *writer) name(name string) {
	if w.count++; w.count > 1 {
		w.b.WriteString(", ")
	} else if w.b.Len() > 0 {
		w.b.WriteByte(' ') // after the scheme
	}
	w.b.WriteString(name)
	w.b.WriteByte('=')
}

// quoted writes name="value".
func (w *writer) quoted(name, value string) {
	w.name(name)
	w.b.WriteByte('"')
	for value != "" {
		i := strings.IndexAny(value, `"\`)
		if i < 0 {
			i = len(value)
		}
		w.text(value[:i])
		if value = value[i:]; value != "" {
			w.b.WriteByte('\\')
			w.b.WriteByte(value[0])
			value = value[1:]
		}
	}
	w.b.WriteByte('"')
}

// text writes s. A control byte, which only a hand-made value can hold, becomes a space.
func (w *writer) text(s string) {
	for {
		i := controlIndex(s)
		if i < 0 {
			w.b.WriteString(s)
			return
		}
		w.b.WriteString(s[:i])
		w.b.WriteByte(' ')
		s = s[i+1:]
	}
}

// token writes name=value for parameters that peers do not accept quoted.
func (w *writer) token(name, value string) {
	if !isToken(value) {
		w.quoted(name, value)
		return
	}
	w.name(name)
	w.b.WriteString(value)
}
