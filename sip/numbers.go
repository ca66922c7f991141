package sip

import (
	"math"
	"strings"
)

// number reads a field that is delta-seconds or a count. A value beyond 32 bits is taken as the largest
// (RFC 3261 §20.19, §25.1: delta-seconds).
func (m *message) number(id headerID) (int, bool) {
	value, ok := m.value(id)
	if !ok {
		return 0, false
	}
	n, _, ok := leadingNumber(value)
	return n, ok
}

// leadingNumber reads the digits at the start of s; rest is what follows, blanks cut.
func leadingNumber(s string) (n int, rest string, ok bool) {
	end := 0
	for end < len(s) && isDigit(s[end]) {
		end++
	}
	if end == 0 {
		return 0, s, false
	}
	u, fits := parseUint(s[:end], math.MaxInt32)
	if !fits {
		u = math.MaxInt32
	}
	return int(u), trimBlank(s[end:]), true
}

// MaxForwards is Max-Forwards (RFC 3261 §20.22).
func (m *message) MaxForwards() (int, bool) {
	value, ok := m.value(hMaxForwards)
	if !ok {
		return 0, false
	}
	n, ok := parseUint(value, 255)
	return int(n), ok
}

// Expires is the Expires field in seconds (RFC 3261 §20.19). A date, which RFC 2543 allowed, is none.
func (m *message) Expires() (int, bool) { return m.delta(hExpires) }

// MinExpires is Min-Expires in seconds (RFC 3261 §20.23).
func (m *message) MinExpires() (int, bool) { return m.delta(hMinExpires) }

// FlowTimer is Flow-Timer in seconds (RFC 5626 §11.1).
func (m *message) FlowTimer() (int, bool) { return m.delta(hFlowTimer) }

// delta reads a field that is delta-seconds and nothing else.
func (m *message) delta(id headerID) (int, bool) {
	value, ok := m.value(id)
	if !ok {
		return 0, false
	}
	n, rest, ok := leadingNumber(value)
	if rest != "" {
		return 0, false
	}
	return n, ok
}

// RetryAfter is Retry-After in seconds; its comment and parameters are left out (RFC 3261 §20.33).
func (m *message) RetryAfter() (seconds int, ok bool) { return m.number(hRetryAfter) }

// ContentType is the media type in lower case without parameters: "application/sdp" (RFC 3261 §20.15). It is
// "" when there is none.
func (m *message) ContentType() string {
	value, _ := m.value(hContentType)
	value, _, _ = strings.Cut(value, ";")
	return lower(removeBlanks(value))
}

// ContentTypeParams are the parameters of Content-Type.
func (m *message) ContentTypeParams() Params {
	value, _ := m.value(hContentType)
	_, params := cutParams(value)
	return params
}

// removeBlanks takes out the blanks that may stand around the slash of a media type.
func removeBlanks(s string) string {
	if strings.ContainsAny(s, " \t") {
		return strings.NewReplacer(" ", "", "\t", "").Replace(s)
	}
	return s
}

// cutParams splits a value at its first semicolon.
func cutParams(s string) (value string, params Params) {
	for i := range len(s) {
		if s[i] == ';' {
			return trimBlank(s[:i]), Params(trimBlank(s[i:]))
		}
	}
	return trimBlank(s), ""
}
