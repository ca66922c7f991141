package sip

import (
	"iter"
	"net/netip"
)

// Params is the text of parameters as on the wire, each with its leading semicolon: ";transport=ws;lr".
// It is a plain string: comparable, without a map, and reading it does not allocate. Order is kept.
//
// In a header field a value may be a quoted string (RFC 3261 §25.1, generic-param); in a URI it may hold
// %XX escapes (uri-parameter), which are not decoded here.
type Params string

// Lookup returns the value of the first parameter of that name (case-insensitive), quotes and escapes of a
// quoted string removed, and whether there is such a parameter at all.
func (p Params) Lookup(name string) (value string, ok bool) {
	for s := string(p); s != ""; {
		var n, v string
		n, v, s = cutParam(s)
		if equalFold(n, name) {
			return unquote(v), true
		}
	}
	return "", false
}

// Value is the value of the parameter, "" when it is absent or has none.
func (p Params) Value(name string) string {
	v, _ := p.Lookup(name)
	return v
}

// Has says whether there is a parameter of that name.
func (p Params) Has(name string) bool {
	for s := string(p); s != ""; {
		var n string
		n, _, s = cutParam(s)
		if equalFold(n, name) {
			return true
		}
	}
	return false
}

// All ranges over names and values (unquoted) in order.
func (p Params) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for s := string(p); s != ""; {
			var n, v string
			n, v, s = cutParam(s)
			if n != "" && !yield(n, unquote(v)) {
				return
			}
		}
	}
}

// With returns p with the parameter set: in its old place if it is there, else at the end. The value is
// written as a token or an IP address where it is one, else as a quoted string, so any text is safe. This
// is the form of header field parameters; for those of a URI there is [URI.WithParam].
func (p Params) With(name, value string) Params {
	if value == "" || !isBareValue(value) {
		return p.WithQuoted(name, value)
	}
	return p.with(name, "="+value)
}

// WithQuoted is With, but the value is always a quoted string, as RFC 3840 §9 demands for feature tags and
// RFC 3326 §2 for a reason's text.
func (p Params) WithQuoted(name, value string) Params {
	return p.with(name, string(appendQuoted([]byte{'='}, value)))
}

// WithFlag returns p with a parameter that has no value.
func (p Params) WithFlag(name string) Params { return p.with(name, "") }

// Without returns p without any parameter of that name.
func (p Params) Without(name string) Params {
	if !p.Has(name) {
		return p
	}
	b := make([]byte, 0, len(p))
	for s := string(p); s != ""; {
		var n, rest string
		n, _, rest = cutParam(s)
		if !equalFold(n, name) {
			b = append(b, s[:len(s)-len(rest)]...)
		}
		s = rest
	}
	return Params(b)
}

// with sets the parameter to name followed by tail, which is "" or "=" and a value in wire form.
func (p Params) with(name, tail string) Params {
	b := make([]byte, 0, len(p)+len(name)+len(tail)+1)
	done := false
	for s := string(p); s != ""; {
		n, _, rest := cutParam(s)
		switch {
		case !equalFold(n, name):
			b = append(b, s[:len(s)-len(rest)]...)
		case !done:
			b = append(appendName(append(b, ';'), name), tail...)
			done = true
		}
		s = rest
	}
	if !done {
		b = append(appendName(append(b, ';'), name), tail...)
	}
	return Params(b)
}

// appendName appends name with everything that is no token character made harmless.
func appendName(b []byte, name string) []byte {
	if name == "" {
		return append(b, '_')
	}
	for i := range len(name) {
		if chars[name[i]]&charToken != 0 {
			b = append(b, name[i])
		} else {
			b = append(b, '_')
		}
	}
	return b
}

// isBareValue says whether v may stand unquoted: token or host (RFC 3261 §25.1, gen-value), or the IPv6
// address without brackets of a Via's received parameter.
func isBareValue(v string) bool {
	if isClass(v, charToken) {
		return true
	}
	return isHost(v) || isIPv6(v)
}

func isIPv6(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6() && a.Zone() == ""
}

// cutParam cuts the first parameter off s. The value is raw, blanks around both are gone.
func cutParam(s string) (name, value, rest string) {
	i := 0
	for i < len(s) && (s[i] == ';' || isBlank(s[i])) {
		i++
	}
	start, equals := i, -1
scan:
	for i < len(s) {
		switch s[i] {
		case ';':
			break scan
		case '=':
			if equals < 0 {
				equals = i
			}
		case '"':
			n := quotedEnd(s[i:])
			if n < 0 {
				i = len(s)
				break scan
			}
			i += n
			continue
		}
		i++
	}
	if equals < 0 {
		return trimBlank(s[start:i]), "", s[i:]
	}
	return trimBlank(s[start:equals]), trimBlank(s[equals+1 : i]), s[i:]
}

// checkParams checks *(SEMI generic-param) (RFC 3261 §25.1). Values are taken a little more widely than the
// grammar has them: any printable byte but a comma, a quote or a blank.
func checkParams(s string) fault {
	for i := skipBlank(s, 0); i < len(s); i = skipBlank(s, i) {
		if s[i] != ';' {
			return fault{i, "unexpected text where a parameter should begin"}
		}
		start := skipBlank(s, i+1)
		if i = skipToken(s, start); i == start {
			return fault{i, "empty or malformed parameter name"}
		}
		if i = skipBlank(s, i); i == len(s) || s[i] != '=' {
			continue
		}
		i = skipBlank(s, i+1)
		if i < len(s) && s[i] == '"' {
			n := quotedEnd(s[i:])
			if n < 0 {
				return fault{i, "quoted string is not closed"}
			}
			if c := controlAt(s[i : i+n]); c >= 0 {
				return fault{i + c, "control character"}
			}
			i += n
			continue
		}
		for i < len(s) && chars[s[i]]&charValue != 0 {
			i++
		}
	}
	return fault{}
}

// appendTo appends p as header field parameters. What Parse or With made goes out as it is; anything else is
// taken apart and written anew, so that hostile text stays inside its own parameter.
func (p Params) appendTo(b []byte) []byte {
	if p == "" || p[0] == ';' && checkParams(string(p)).ok() {
		return append(b, p...)
	}
	for s := string(p); s != ""; {
		var n, v string
		var raw = s
		n, v, s = cutParam(s)
		if n == "" && v == "" {
			continue
		}
		b = appendName(append(b, ';'), n)
		switch {
		case v == "" && !hasEquals(raw[:len(raw)-len(s)]):
		case v[:min(len(v), 1)] == `"` || !isBareValue(v):
			b = appendQuoted(append(b, '='), unquote(v))
		default:
			b = append(append(b, '='), v...)
		}
	}
	return b
}

func hasEquals(s string) bool {
	for i := range len(s) {
		if s[i] == '=' {
			return true
		}
	}
	return false
}
