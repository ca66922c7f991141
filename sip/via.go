package sip

// Via is one via-parm (RFC 3261 §20.42).
type Via struct {
	Transport string // upper case: "WS", "WSS", "TCP", …
	Host      string // sent-by; IPv6 in brackets
	Port      int    // 0: none
	Params    Params
}

// ParseVia reads one via-parm. The error is a *[ParseError].
func ParseVia(s string) (Via, error) {
	var v Via
	if f := v.parse(s); !f.ok() {
		return Via{}, f.err("Via", s)
	}
	return v, nil
}

// parse reads sent-protocol LWS sent-by *( SEMI via-params ). Any SIP version is taken: what answer a
// version deserves is for validation to say.
func (v *Via) parse(s string) fault {
	i := len(viaPrefix)
	if len(s) <= i || s[:i] != viaPrefix {
		if i = protocolEnd(s); i < 0 {
			return fault{0, "malformed sent-protocol"}
		}
	}
	start := skipBlank(s, i)
	if i = skipToken(s, start); i == start {
		return fault{i, "no transport"}
	}
	v.Transport = upper(s[start:i])
	if start = skipBlank(s, i); start == i {
		return fault{i, "no blank between transport and sent-by"}
	}
	host, end, f := hostOf(s[start:])
	if !f.ok() {
		return fault{start + f.at, f.reason}
	}
	v.Host = host
	if i = skipBlank(s, start+end); i < len(s) && s[i] == ':' {
		start = skipBlank(s, i+1)
		for i = start; i < len(s) && isDigit(s[i]); i++ {
		}
		port, ok := parseUint(s[start:i], 65535)
		if !ok || port == 0 {
			return fault{start, "malformed port"}
		}
		v.Port = int(port)
	}
	if f := checkParams(s[i:]); !f.ok() {
		return fault{i + f.at, f.reason}
	}
	v.Params = Params(trimBlank(s[i:]))
	return fault{}
}

const viaPrefix = "SIP/2.0/"

// protocolEnd is the index behind the second slash of a sent-protocol, or -1.
func protocolEnd(s string) int {
	start := skipBlank(s, 0)
	i := skipToken(s, start)
	if !equalFold(s[start:i], "SIP") {
		return -1
	}
	if i = skipBlank(s, i); i == len(s) || s[i] != '/' {
		return -1
	}
	start = skipBlank(s, i+1)
	end := skipToken(s, start)
	if i = skipBlank(s, end); end == start || i == len(s) || s[i] != '/' {
		return -1
	}
	return i + 1
}

// Branch is the branch parameter (RFC 3261 §8.1.1.7).
func (v Via) Branch() string { return v.Params.Value("branch") }

// SentBy is the sent-by part, host and port if any, as transactions are matched by it (RFC 3261 §17.2.3).
func (v Via) SentBy() string { return string(appendHostPort(nil, v.Host, v.Port)) }

// AppendTo appends the value as written on the wire, hostile text made harmless.
func (v Via) AppendTo(b []byte) []byte {
	b = append(b, "SIP/2.0/"...)
	b = appendName(b, v.Transport)
	b = append(b, ' ')
	b = appendHostPort(b, v.Host, v.Port)
	return v.Params.appendTo(b)
}

// String is the value as written on the wire.
func (v Via) String() string { return string(v.AppendTo(make([]byte, 0, 96))) }
