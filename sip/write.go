package sip

import "strconv"

const sipVersion = "SIP/2.0"

func (m *message) versionText() string {
	if m.version == "" {
		return sipVersion
	}
	return m.version
}

// AppendTo appends the request as written on the wire. It does not allocate when b has room for [Request.Len]
// bytes. A parsed request goes out with the fields it came with; names known to this package in their long
// form, Content-Length true to the body. Whatever texts are in the message, they stay inside their field.
func (r *Request) AppendTo(b []byte) []byte {
	b = grow(b, r.Len())
	b = append(appendName(b, string(r.method)), ' ')
	if r.target != "" {
		b = append(b, r.target...)
	} else {
		b = URI{}.AppendTo(b)
	}
	b = append(append(b, ' '), r.versionText()...)
	b = append(b, '\r', '\n')
	return r.appendRest(b)
}

// Len is the room AppendTo needs: never less than it appends, and little more.
func (r *Request) Len() int { return len(r.method) + len(r.target) + 32 + r.restLen() }

// AppendTo appends the response as written on the wire, as [Request.AppendTo] does.
func (r *Response) AppendTo(b []byte) []byte {
	b = grow(b, r.Len())
	b = append(append(b, r.versionText()...), ' ')
	code := min(max(r.code, 100), 699) // three digits, whatever NewResponse was given
	b = append(strconv.AppendInt(b, int64(code), 10), ' ')
	b = appendClean(b, r.reason)
	b = append(b, '\r', '\n')
	return r.appendRest(b)
}

// Len is the room AppendTo needs: never less than it appends, and little more.
func (r *Response) Len() int { return len(r.reason) + 24 + r.restLen() }

// restLen is the room for the header fields and the body.
func (m *message) restLen() int {
	n := len(m.body) + len("\r\nContent-Length: \r\n\r\n") + 40
	for i := range m.fields {
		n += len(m.fields[i].name()) + len(m.fields[i].value()) + len(": \r\n")
	}
	return n
}

func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	return append(make([]byte, 0, len(b)+n), b...)
}

func (m *message) appendRest(b []byte) []byte {
	length := m.bare
	for i := range m.fields {
		f := &m.fields[i]
		b = append(append(b, f.name()...), ": "...)
		switch {
		case f.id == hContentLength:
			length = true
			b = m.appendLength(b, f.value())
		case f.safe:
			b = append(b, f.value()...)
		default:
			b = appendClean(b, f.value())
		}
		b = append(b, "\r\n"...)
	}
	if !length {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(m.body)), 10)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	return append(b, m.body...)
}

// appendLength appends the body's length: as it was written if that is right, else anew.
func (m *message) appendLength(b []byte, written string) []byte {
	if n, ok := parseUint(written, maxContentLength); ok && n == uint64(len(m.body)) {
		return append(b, written...)
	}
	return strconv.AppendInt(b, int64(len(m.body)), 10)
}

// appendClean appends a value with every control byte as a space, except the second half of a quoted-pair,
// which RFC 3261 §25.1 allows to be anything but CR and LF. The setters refuse such bytes; this is the second
// gate against injection, for what got past them.
func appendClean(b []byte, s string) []byte {
	n := len(b)
	b = append(b, s...)
	if clean(s) {
		return b
	}
	for i := n; i < len(b); i++ {
		c := b[i]
		if isControl(c) && (c == '\r' || c == '\n' || i == n || b[i-1] != '\\') {
			b[i] = ' '
		}
	}
	return b
}

// String is the request as written on the wire, credentials redacted (see [Redact]).
func (r *Request) String() string { return string(Redact(nil, r.AppendTo(nil))) }

// String is the response as written on the wire, credentials redacted (see [Redact]).
func (r *Response) String() string { return string(Redact(nil, r.AppendTo(nil))) }
