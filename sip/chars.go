package sip

// Character classes of the grammar of RFC 3261 §25.1 and RFC 3966 §3, one bit each.
const (
	charToken    = 1 << iota // token
	charUser                 // unreserved, user-unreserved
	charPassword             // unreserved, "&=+$,"
	charParam                // paramchar without escapes
	charParams               // paramchar without escapes, and the ";" and "=" around parameters
	charHeader               // hnv-unreserved, unreserved, and the "&" and "=" between URI headers
	charURI                  // reserved, unreserved: what an opaque part may hold
	charHost                 // letters, digits, "-", "." and the "_" that real networks use
	charPhone                // phonedigit-hex of a tel number
	charHex
	charScheme
	charUpper
	charValue // an unquoted parameter value, taken more widely than the grammar has it
)

var chars = makeChars()

func makeChars() (t [256]uint16) {
	set := func(class uint16, s string) {
		for i := range len(s) {
			t[s[i]] |= class
		}
	}
	for c := 0; c < 128; c++ {
		if '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' {
			t[c] |= charToken | charUser | charPassword | charParam | charParams | charHeader | charURI | charHost | charScheme
		}
	}
	set(charToken, "-.!%*_+`'~")
	const mark = "-_.!~*'()"
	set(charUser|charPassword|charParam|charParams|charHeader|charURI, mark)
	set(charUser, "&=+$,;?/")
	set(charPassword, "&=+$,")
	set(charParam|charParams, "[]/:&+$")
	set(charParams, ";=")
	set(charHeader, "[]/?:+$&=")
	set(charURI, ";/?:@&=+$,[]#")
	set(charHost, "-._")
	set(charPhone, "0123456789ABCDEFabcdef*#-.()+")
	set(charHex, "0123456789ABCDEFabcdef")
	set(charScheme, "+-.")
	set(charUpper, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	for c := '!'; c < 256; c++ {
		if c != 0x7f && c != ';' && c != ',' && c != '"' {
			t[c] |= charValue
		}
	}
	return t
}

func isClass(s string, class uint16) bool {
	for i := range len(s) {
		if chars[s[i]]&class == 0 {
			return false
		}
	}
	return true
}

func isToken(s string) bool { return s != "" && isClass(s, charToken) }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isNumber says whether s is digits, one at least.
func isNumber(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// isBlank says whether c is linear white space inside an unfolded value. Nothing else ever is: a wider
// notion of space lets a peer hide a header field from one parser and show it to another.
func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// skipBlank is the index of the first byte from i on that is no blank.
func skipBlank(s string, i int) int {
	for i < len(s) && isBlank(s[i]) {
		i++
	}
	return i
}

// skipToken is the index of the first byte from i on that is no token character.
func skipToken(s string, i int) int {
	for i < len(s) && chars[s[i]]&charToken != 0 {
		i++
	}
	return i
}

func trimBlank(s string) string {
	return trimLeft(trimRight(s))
}

func trimLeft(s string) string {
	for len(s) > 0 && isBlank(s[0]) {
		s = s[1:]
	}
	return s
}

func trimRight(s string) string {
	for len(s) > 0 && isBlank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// isControl says whether c may not stand in a header field value: C0 without HTAB, and DEL.
func isControl(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }

// controlAt is the index of the first control byte of s that is not the second half of a quoted-pair,
// or -1. CR and LF are not allowed even there (RFC 3261 §25.1, quoted-pair).
func controlAt(s string) int {
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != 0x7f || c == '\t' {
			continue
		}
		if c != '\r' && c != '\n' && i > 0 && s[i-1] == '\\' {
			continue
		}
		return i
	}
	return -1
}

// clean says whether s has no control character but HTAB. It looks at eight bytes at a time, and at each one only
// where some of them may be below a space or DEL.
func clean(s string) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	last := len(s) - 8
	if last < 0 {
		return !hasControlByte(s)
	}
	var suspect uint64
	for i := 0; ; i += 8 {
		i = min(i, last)
		b := s[i : i+8]
		x := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		del := x ^ 0x7f*ones
		suspect |= (x-0x20*ones)&^x | (del-ones)&^del
		if i == last {
			return suspect&highs == 0 || !hasControlByte(s)
		}
	}
}

func hasControlByte(s string) bool {
	for i := range len(s) {
		if isControl(s[i]) {
			return true
		}
	}
	return false
}

// equalFold compares ASCII without regard to case.
func equalFold(s, t string) bool {
	if len(s) != len(t) {
		return false
	}
	for i := range len(s) {
		a, b := s[i], t[i]
		if a == b {
			continue
		}
		if a|0x20 != b|0x20 || a|0x20 < 'a' || a|0x20 > 'z' {
			return false
		}
	}
	return true
}

// lower is strings.ToLower for ASCII, leaving all other bytes as they are. It allocates only when it must.
func lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] |= 0x20
				}
			}
			return string(b)
		}
	}
	return s
}

// upper is strings.ToUpper for ASCII.
func upper(s string) string {
	for i := range len(s) {
		if 'a' <= s[i] && s[i] <= 'z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'a' <= b[i] && b[i] <= 'z' {
					b[i] &^= 0x20
				}
			}
			return string(b)
		}
	}
	return s
}

// parseUint reads decimal digits and nothing else.
func parseUint(s string, limit uint64) (uint64, bool) {
	if s == "" {
		return 0, false
	}
	var n uint64
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = n*10 + uint64(s[i]-'0')
		if n > limit {
			return 0, false
		}
	}
	return n, true
}

// withoutControls is s with a space for each control character.
func withoutControls(s string) string {
	b := []byte(s)
	for i, c := range b {
		if isControl(c) {
			b[i] = ' '
		}
	}
	return string(b)
}
