package sip

import "strings"

const upperHex = "0123456789ABCDEF"

// escaped says whether a %XX escape begins at s[i].
func escaped(s string, i int) bool {
	return s[i] == '%' && i+2 < len(s) && chars[s[i+1]]&chars[s[i+2]]&charHex != 0
}

// appendEscaped appends s, writing each byte outside class as %XX. Escapes that are there already stay,
// so that the wire form goes through unchanged.
func appendEscaped(b []byte, s string, class uint16) []byte {
	if isClass(s, class) {
		return append(b, s...)
	}
	for i := range len(s) {
		c := s[i]
		if chars[c]&class != 0 || escaped(s, i) {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

// escapeTo is s in escaped form; it allocates only when something has to be escaped.
func escapeTo(s string, class uint16) string {
	for i := range len(s) {
		if chars[s[i]]&class == 0 && !escaped(s, i) {
			return string(appendEscaped(make([]byte, 0, len(s)+8), s, class))
		}
	}
	return s
}

// unescape decodes %XX; a "%" that begins no escape stands for itself.
func unescape(s string) string {
	for i := range len(s) {
		if s[i] != '%' {
			continue
		}
		b := append(make([]byte, 0, len(s)), s[:i]...)
		for ; i < len(s); i++ {
			if escaped(s, i) {
				b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
				i += 2
			} else {
				b = append(b, s[i])
			}
		}
		return string(b)
	}
	return s
}

func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// appendQuoted appends s as a quoted-string (RFC 3261 §25.1). A control byte becomes a space.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case isControl(c):
			b = append(b, ' ')
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// quotedEnd is the index behind the quoted-string that begins at s[0], or -1 when it is not closed.
func quotedEnd(s string) int {
	if end := strings.IndexByte(s[1:], '"'); end < 0 {
		return -1
	} else if strings.IndexByte(s[1:end+1], '\\') < 0 {
		return end + 2
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// unquote decodes a quoted-string; anything else is returned as it is. A missing closing quote is forgiven.
func unquote(s string) string {
	if s == "" || s[0] != '"' {
		return s
	}
	if quotedEnd(s) == len(s) {
		return unescapePairs(s[1 : len(s)-1])
	}
	return unescapePairs(s[1:])
}

// unescapePairs decodes the quoted-pairs in the inside of a quoted-string.
func unescapePairs(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}

// nextItem cuts the first element off a comma separated list. Commas inside quoted strings and angle
// brackets do not separate. more is false when the list ends here.
func nextItem(s string) (item, rest string, more bool) {
	angle := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			if angle {
				continue
			}
			n := quotedEnd(s[i:])
			if n < 0 {
				return trimBlank(s), "", false
			}
			i += n - 1
		case '<':
			angle = true
		case '>':
			angle = false
		case ',':
			if !angle {
				return trimBlank(s[:i]), s[i+1:], true
			}
		}
	}
	return trimBlank(s), "", false
}
