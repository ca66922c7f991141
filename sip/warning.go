package sip

import "strconv"

// Warning is one warning-value (RFC 3261 §20.43).
type Warning struct {
	Code  int    // 300 to 399 for SDP, 399 for anything else
	Agent string // host of who adds it, or a pseudonym
	Text  string // decoded
}

// String is the value as written on the wire: 399 example.com "text".
func (w Warning) String() string {
	b := strconv.AppendInt(make([]byte, 0, 32+len(w.Text)), int64(min(max(w.Code, 100), 999)), 10)
	b = append(b, ' ')
	if isHost(w.Agent) {
		b = append(b, w.Agent...)
	} else {
		b = appendName(b, w.Agent)
	}
	return string(appendQuoted(append(b, ' '), w.Text))
}

// Warnings are all warnings that can be read.
func (m *message) Warnings() []Warning {
	var list []Warning
	for item := range m.items(hWarning, "") {
		if w, ok := parseWarning(item); ok {
			list = append(list, w)
		}
	}
	return list
}

func parseWarning(s string) (Warning, bool) {
	code, rest, ok := leadingNumber(s)
	agent := 0
	for agent < len(rest) && !isBlank(rest[agent]) {
		agent++
	}
	text := trimLeft(rest[agent:])
	if !ok || code < 100 || code > 999 || agent == 0 || text == "" || text[0] != '"' || quotedEnd(text) != len(text) {
		return Warning{}, false
	}
	return Warning{code, rest[:agent], unquote(text)}, true
}
