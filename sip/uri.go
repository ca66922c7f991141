package sip

import (
	"iter"
	"strconv"
	"strings"
)

// URI is a SIP, SIPS, tel or other URI (RFC 3261 §19.1, RFC 3966). It is a flat, comparable value: ==
// compares the text of the parts, [URI.Equal] follows §19.1.4.
//
// User, Password, Params and Headers are in escaped form, as on the wire, so that nothing is lost. AppendTo
// escapes whatever is not allowed in its place; plain text for a user goes through [EscapeUser] first.
type URI struct {
	Scheme   string // lower case: "sip", "sips", "tel", …; "" is written as "sip"
	User     string // for tel: the number
	Password string
	Host     string // lower case; IPv6 in brackets
	Port     int    // 0: none
	Params   Params
	Headers  string // what stands behind "?"
	Opaque   string // everything behind "scheme:" for schemes other than sip, sips and tel
}

// ParseURI reads a URI. Characters that RFC 3261 wants escaped but that do no harm ("#" in a user, UTF-8)
// are taken and escaped; control characters, blanks, quotes and angle brackets are refused. The error is a
// *[ParseError].
func ParseURI(s string) (URI, error) {
	var u URI
	if f := u.parse(s); !f.ok() {
		return URI{}, f.err("URI", s)
	}
	return u, nil
}

func (u *URI) parse(s string) fault {
	colon := strings.IndexByte(s, ':')
	if colon < 0 {
		return fault{0, "no URI scheme"}
	}
	u.Scheme = s[:colon]
	if u.Scheme != "sip" { // the common one needs no check
		if f := checkScheme(u.Scheme); !f.ok() {
			return f
		}
		u.Scheme = lower(u.Scheme)
	}
	rest, at := s[colon+1:], colon+1
	switch u.Scheme {
	case "sip", "sips":
		return u.parseSIP(rest, at)
	case "tel":
		return u.parseTel(rest, at)
	}
	if rest == "" {
		return fault{at, "nothing behind the URI scheme"}
	}
	var f fault
	u.Opaque, f = wireText(rest, charURI, at)
	return f
}

func checkScheme(s string) fault {
	if s == "" || !isAlpha(s[0]) {
		return fault{0, "malformed URI scheme"}
	}
	for i := range len(s) {
		if chars[s[i]]&charScheme == 0 {
			return fault{i, "malformed URI scheme"}
		}
	}
	return fault{}
}

// wireText is a part of a URI in escaped form; at is where it begins, for errors.
func wireText(s string, class uint16, at int) (string, fault) {
	for i := range len(s) {
		if chars[s[i]]&class == 0 {
			return escapeText(s, class, at)
		}
	}
	return s, fault{}
}

// escapeText escapes what does no harm and refuses what does.
func escapeText(s string, class uint16, at int) (string, fault) {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == 0x7f || c == '<' || c == '>' || c == '"' || c == '@' && class != charURI {
			return "", fault{at + i, "character not allowed in a URI"}
		}
	}
	return escapeTo(s, class), fault{}
}

// parseSIP reads what follows "sip:"; at is where that begins, for errors.
func (u *URI) parseSIP(s string, at int) (f fault) {
	if end := strings.IndexByte(s, '@'); end >= 0 {
		user := s[:end]
		if colon := strings.IndexByte(user, ':'); colon >= 0 {
			if u.Password, f = wireText(user[colon+1:], charPassword, at+colon+1); !f.ok() {
				return f
			}
			user = user[:colon]
		}
		if user == "" {
			return fault{at, "empty user in a URI"}
		}
		if u.User, f = wireText(user, charUser, at); !f.ok() {
			return f
		}
		s, at = s[end+1:], at+end+1
	}
	end := 0
	if u.Host, end, f = hostOf(s); !f.ok() {
		return fault{at + f.at, f.reason}
	}
	s, at = s[end:], at+end
	if s == "" {
		return fault{}
	}
	if s[0] == ':' {
		if u.Port, end, f = portNumber(s); !f.ok() {
			return fault{at + f.at, f.reason}
		}
		s, at = s[end:], at+end
	}
	if query := strings.IndexByte(s, '?'); query >= 0 {
		if u.Headers, f = wireText(s[query+1:], charHeader, at+query+1); !f.ok() {
			return f
		}
		s = s[:query]
	}
	if s != "" && s[0] != ';' {
		return fault{at, "malformed host or port"}
	}
	params, f := wireText(s, charParams, at)
	u.Params = Params(params)
	return f
}

// parseTel reads what follows "tel:" (RFC 3966 §3).
func (u *URI) parseTel(s string, at int) fault {
	n := 0
	for n < len(s) && s[n] != ';' {
		if chars[s[n]]&charPhone == 0 {
			return fault{at + n, "character not allowed in a telephone number"}
		}
		n++
	}
	if n == 0 {
		return fault{at, "empty telephone number"}
	}
	u.User = s[:n]
	params, f := wireText(s[n:], charParams, at+n)
	u.Params = Params(params)
	return f
}

// hostOf is the host at the start of s, in lower case, and the index behind it.
func hostOf(s string) (host string, end int, f fault) {
	if s != "" && s[0] == '[' {
		end = strings.IndexByte(s, ']')
		if end < 0 || !isIPv6(s[1:end]) {
			return "", 0, fault{0, "malformed IPv6 address"}
		}
		return lower(s[:end+1]), end + 1, fault{}
	}
	var upper uint16
	for end < len(s) {
		class := chars[s[end]]
		if class&charHost == 0 {
			break
		}
		upper |= class & charUpper
		end++
	}
	if end == 0 {
		return "", 0, fault{0, "empty or malformed host"}
	}
	if upper != 0 {
		return lower(s[:end]), end, fault{}
	}
	return s[:end], end, fault{}
}

// portNumber reads ":" and the digits behind it; end is the index behind them.
func portNumber(s string) (port, end int, f fault) {
	for end = 1; end < len(s) && isDigit(s[end]); end++ {
	}
	n, ok := parseUint(s[1:end], 65535)
	if !ok || n == 0 {
		return 0, 0, fault{1, "malformed port"}
	}
	return int(n), end, fault{}
}

// isHost says whether s is a host as it stands in a URI: a name, an IPv4 address or a bracketed IPv6 one.
func isHost(s string) bool {
	if n := len(s); n > 2 && s[0] == '[' && s[n-1] == ']' {
		return isIPv6(s[1 : n-1])
	}
	return s != "" && isClass(s, charHost)
}

// appendHost appends a host. A text that is none is made one without meaning: there is no escape in a host.
func appendHost(b []byte, host string) []byte {
	if isHost(host) {
		return append(b, host...)
	}
	if host == "" {
		return append(b, "invalid"...)
	}
	for i := range len(host) {
		c := host[i]
		if chars[c]&charHost == 0 {
			c = '_'
		}
		b = append(b, c)
	}
	return b
}

func appendHostPort(b []byte, host string, port int) []byte {
	b = appendHost(b, host)
	if port > 0 && port <= 65535 {
		b = strconv.AppendInt(append(b, ':'), int64(port), 10)
	}
	return b
}

// appendURIParams appends URI parameters with everything escaped that is not allowed there.
func appendURIParams(b []byte, s string) []byte {
	if s != "" && s[0] != ';' {
		b = append(b, ';')
	}
	return appendEscaped(b, s, charParams)
}

// AppendTo appends the URI as written on the wire. Whatever the fields hold, the result is one URI: what is
// not allowed in its place is escaped, a host that is none becomes one that reaches nobody.
func (u URI) AppendTo(b []byte) []byte {
	switch lower(u.Scheme) {
	case "sip", "":
		b = append(b, "sip:"...)
	case "sips":
		b = append(b, "sips:"...)
	case "tel":
		b = append(b, "tel:"...)
		if u.User == "" {
			b = append(b, '0')
		}
		for i := range len(u.User) {
			if chars[u.User[i]]&charPhone != 0 {
				b = append(b, u.User[i])
			} else {
				b = append(b, '-')
			}
		}
		return appendURIParams(b, string(u.Params))
	default:
		return u.appendOpaque(b)
	}
	if u.User != "" {
		b = appendEscaped(b, u.User, charUser)
		if u.Password != "" {
			b = appendEscaped(append(b, ':'), u.Password, charPassword)
		}
		b = append(b, '@')
	}
	b = appendHostPort(b, u.Host, u.Port)
	b = appendURIParams(b, string(u.Params))
	if u.Headers != "" {
		b = appendEscaped(append(b, '?'), u.Headers, charHeader)
	}
	return b
}

func (u URI) appendOpaque(b []byte) []byte {
	if isAlpha(u.Scheme[0]) && isClass(u.Scheme, charScheme) {
		b = append(b, u.Scheme...)
	} else {
		b = append(b, 'x') // no scheme at all: "x" and what letters there are
		for i := range len(u.Scheme) {
			if chars[u.Scheme[i]]&charScheme != 0 {
				b = append(b, u.Scheme[i])
			}
		}
	}
	b = append(b, ':')
	if u.Opaque == "" {
		return append(b, '-')
	}
	return appendEscaped(b, u.Opaque, charURI)
}

// String is the URI as written on the wire, "" for the zero URI.
func (u URI) String() string {
	if u.IsZero() {
		return ""
	}
	return string(u.AppendTo(make([]byte, 0, 64)))
}

// IsZero says whether u is the zero URI.
func (u URI) IsZero() bool { return u == URI{} }

// AOR is the address of record: scheme, user, host and port, without password, parameters and headers
// (RFC 3261 §10.3 step 5, which compares addresses of record in this form).
func (u URI) AOR() URI {
	return URI{Scheme: u.Scheme, User: u.User, Host: u.Host, Port: u.Port, Opaque: u.Opaque}
}

// UserText is the user part with its escapes decoded.
func (u URI) UserText() string { return unescape(u.User) }

// WithParam returns u with a URI parameter set, in place if it is there, else at the end; value "" sets a
// parameter without a value, such as lr. Characters that are not allowed are escaped, escapes are kept.
func (u URI) WithParam(name, value string) URI {
	tail := ""
	if value != "" {
		tail = "=" + escapeTo(value, charParam)
	}
	u.Params = u.Params.with(escapeTo(name, charParam), tail)
	return u
}

// WithoutParam returns u without the URI parameter.
func (u URI) WithoutParam(name string) URI {
	u.Params = u.Params.Without(name)
	return u
}

// Header is the value of a header in the URI's "?" part, decoded, and whether it is there
// (RFC 3261 §19.1.1, "headers").
func (u URI) Header(name string) (value string, ok bool) {
	for n, v := range uriHeaders(u.Headers) {
		if equalFold(n, name) {
			return v, true
		}
	}
	return "", false
}

// HeaderFields ranges over the headers in the URI's "?" part, decoded, as they stand: what of them may go into
// a request is for its sender to judge (RFC 3261 §19.1.5).
func (u URI) HeaderFields() iter.Seq2[string, string] { return uriHeaders(u.Headers) }

// uriHeaders ranges over the decoded names and values of a URI's "?" part.
func uriHeaders(s string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for item := range strings.SplitSeq(s, "&") {
			name, value, _ := strings.Cut(item, "=")
			if item != "" && !yield(unescape(name), unescape(value)) {
				return
			}
		}
	}
}

// WithHeader returns u with a header added to its "?" part. Both texts are plain and are escaped here.
func (u URI) WithHeader(name, value string) URI {
	b := make([]byte, 0, len(u.Headers)+len(name)+len(value)+16)
	if u.Headers != "" {
		b = append(append(b, u.Headers...), '&')
	}
	b = appendPlain(b, name, charHeader)
	b = append(b, '=')
	u.Headers = string(appendPlain(b, value, charHeader))
	return u
}

// appendPlain escapes plain text: unlike appendEscaped it escapes "%" too, and "&" and "=", which separate.
func appendPlain(b []byte, s string, class uint16) []byte {
	for i := range len(s) {
		c := s[i]
		if chars[c]&class != 0 && c != '&' && c != '=' {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

// EscapeUser makes plain text the user part of a URI, "%" and ":" included.
func EscapeUser(s string) string {
	for i := range len(s) {
		if chars[s[i]]&charUser == 0 {
			b := append(make([]byte, 0, len(s)+8), s[:i]...)
			for ; i < len(s); i++ {
				if c := s[i]; chars[c]&charUser != 0 {
					b = append(b, c)
				} else {
					b = append(b, '%', upperHex[c>>4], upperHex[c&15])
				}
			}
			return string(b)
		}
	}
	return s
}
