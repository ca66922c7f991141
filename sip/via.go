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
	i := 0
	blank := func() {
		for i < len(s) && isBlank(s[i]) {
			i++
		}
	}
	token := func() string {
		blank()
		start := i
		for i < len(s) && chars[s[i]]&charToken != 0 {
			i++
		}
		return s[start:i]
	}
	slash := func() bool {
		blank()
		if i == len(s) || s[i] != '/' {
			return false
		}
		i++
		return true
	}
	const prefix = "SIP/2.0/"
	if len(s) > len(prefix) && s[:len(prefix)] == prefix {
		i = len(prefix)
	} else if !equalFold(token(), "SIP") || !slash() || token() == "" || !slash() {
		return fault{i, "malformed sent-protocol"}
	}
	v.Transport = upper(token())
	if v.Transport == "" {
		return fault{i, "no transport"}
	}
	if i == len(s) || !isBlank(s[i]) {
		return fault{i, "no blank between transport and sent-by"}
	}
	blank()
	end, port, f := hostPort(s[i:])
	if !f.ok() {
		return fault{i + f.at, f.reason}
	}
	v.Host, v.Port = lower(s[i:i+end]), port
	for i += end; i < len(s) && s[i] != ';'; i++ {
		if s[i] == '?' {
			return fault{i, "malformed host"}
		}
	}
	if f := checkParams(s[i:]); !f.ok() {
		return fault{i + f.at, f.reason}
	}
	v.Params = Params(trimBlank(s[i:]))
	return fault{}
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
