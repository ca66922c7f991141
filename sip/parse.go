package sip

import (
	"bytes"
	"strings"
)

// What Parse takes at most; a message beyond is refused with a *[ParseError]. The size of the whole message
// is for the transport to limit.
const (
	MaxFields     = 256     // header fields of one message
	MaxFieldBytes = 8 << 10 // bytes of one header field, or of the start line
)

const maxContentLength = 1<<31 - 1

// Parse reads one message that came as a unit, as every WebSocket frame brings one (RFC 7118 §5): from the
// start line to the end of data. The input is copied once; the message shares that copy and is read-only,
// so Clone it before changing anything. The error is a *[ParseError].
//
// Parse asks whether the message can be represented: lines, names and the fields every message has (Via,
// From, To, Call-ID, CSeq). All other fields are read when asked for, and what answer a request deserves is
// said by [Request.Check]. Folded lines are unfolded. Without a Content-Length the body is the rest
// (RFC 3261 §18.3); with one that is too small it is cut, and one that is too large is an error.
//
// Lines end with CRLF only: a bare CR or LF, which another element might take for the end of a line or not,
// is an error, and so is a control character outside a quoted-pair.
func Parse(data []byte) (Message, error) {
	skipped := 0
	for len(data) > 1 && data[0] == '\r' && data[1] == '\n' { // RFC 3261 §7.5
		data = data[2:]
		skipped += 2
	}
	n := bytes.Index(data, []byte("\r\n\r\n"))
	p := parser{base: skipped}
	var rest []byte
	if n < 0 {
		p.fail("message", len(data), "", "no empty line behind the header fields")
		n = len(data)
	} else {
		rest = data[n+4:]
		n += 2
	}
	p.head = string(data[:n])
	return p.message(rest)
}

// parser reads the head of one message. The first thing wrong is kept and reading goes on, so that the
// error can carry a request to answer.
type parser struct {
	head string
	base int // offset of head in the input
	err  *ParseError
}

func (p *parser) fail(field string, at int, value, reason string) {
	if p.err != nil {
		return
	}
	if id, _ := identify(field); isSecret(id) {
		value = ""
	}
	p.err = &ParseError{Field: field, Offset: p.base + at, Value: shorten(value), Reason: reason}
}

func (p *parser) message(rest []byte) (Message, error) {
	line, next := p.line(0)
	if next == 0 || line == "" {
		p.fail("start-line", 0, "", "missing")
		return nil, p.err
	}
	if len(line) > 4 && line[3] == '/' && equalFold(line[:4], "SIP/") {
		r := &Response{}
		p.statusLine(r, line)
		if p.err == nil {
			p.fields(&r.message, next)
		}
		if p.err == nil {
			p.body(&r.message, rest)
		}
		if p.err != nil {
			return nil, p.err
		}
		return r, nil
	}
	r := &Request{}
	p.requestLine(r, line)
	p.fields(&r.message, next)
	p.body(&r.message, rest)
	if p.err == nil {
		return r, nil
	}
	if r.has(hVia) && r.has(hFrom) && r.has(hTo) && r.has(hCallID) && r.has(hCSeq) {
		p.err.Partial = r
	}
	return nil, p.err
}

// line is the line that begins at i, without its CRLF, and where the next begins.
func (p *parser) line(i int) (string, int) {
	n := strings.IndexByte(p.head[i:], '\n')
	if n < 0 { // only without an empty line at the end, which is an error already
		return p.head[i:], len(p.head)
	}
	end := i + n
	if n == 0 || p.head[end-1] != '\r' {
		p.fail("message", end, "", "LF without CR")
		return p.head[i:end], end + 1
	}
	return p.head[i : end-1], end + 1
}

// requestLine reads Method SP Request-URI SP SIP-Version (RFC 3261 §7.1): single spaces, nothing around.
func (p *parser) requestLine(r *Request, line string) {
	const name = "start-line"
	if len(line) > MaxFieldBytes {
		p.fail(name, 0, line, "too long")
		return
	}
	first := strings.IndexByte(line, ' ')
	last := strings.LastIndexByte(line, ' ')
	if first < 0 || !isToken(line[:first]) {
		p.fail(name, 0, line, "malformed method")
		return
	}
	r.method = Method(line[:first])
	if last == first {
		p.fail(name, first, line, "no SIP version")
		return
	}
	version := line[last+1:]
	if !isVersion(version) {
		p.fail(name, last+1, line, "malformed SIP version")
		return
	}
	if version != sipVersion {
		r.version = version
	}
	r.target = line[first+1 : last]
	if f := r.uri.parse(r.target); !f.ok() {
		r.target = ""
		p.fail("Request-URI", first+1+f.at, line[first+1:last], f.reason)
	}
}

// isVersion checks SIP-Version: "SIP" "/" 1*DIGIT "." 1*DIGIT.
func isVersion(s string) bool {
	if len(s) < 4 || !equalFold(s[:4], "SIP/") {
		return false
	}
	major, minor, ok := strings.Cut(s[4:], ".")
	return ok && isNumber(major) && isNumber(minor)
}

// statusLine reads SIP-Version SP Status-Code SP Reason-Phrase (RFC 3261 §7.2). The space before an empty
// phrase may be missing.
func (p *parser) statusLine(r *Response, line string) {
	const name = "start-line"
	if len(line) > MaxFieldBytes {
		p.fail(name, 0, line, "too long")
		return
	}
	version, rest, _ := strings.Cut(line, " ")
	if !isVersion(version) {
		p.fail(name, 0, line, "malformed SIP version")
		return
	}
	if version != sipVersion {
		r.version = version
	}
	code, reason, _ := strings.Cut(rest, " ")
	n, ok := parseUint(code, 699)
	if !ok || n < 100 || len(code) != 3 {
		p.fail(name, len(version)+1, line, "malformed status code")
		return
	}
	if i := controlAt(reason); i >= 0 {
		p.fail(name, len(line)-len(reason)+i, line, "control character")
		return
	}
	r.code, r.reason = StatusCode(n), reason
}

// fields reads the header fields from byte i on.
func (p *parser) fields(m *message, i int) {
	n := strings.Count(p.head[i:], "\n")
	if n > MaxFields {
		p.fail("message", i, "", "too many header fields")
		n = MaxFields
	}
	m.fields = make([]field, 0, n)
	var seen [headerCount]bool
	for i < len(p.head) && len(m.fields) < n {
		start := i
		var line string
		line, i = p.line(i)
		if i < len(p.head) && isBlank(p.head[i]) {
			line, i = p.unfold(line, i)
		}
		if len(line) > MaxFieldBytes {
			p.fail(fieldName(line), start, line, "too long")
			continue
		}
		f, at, ok := p.field(line, start)
		if !ok {
			continue
		}
		m.fields = append(m.fields, f)
		if f.id != hUnknown && !seen[f.id] {
			seen[f.id] = true
			p.reading(m, f, at)
		}
	}
	for _, id := range [...]headerID{hVia, hFrom, hTo, hCallID, hCSeq} {
		if !seen[id] {
			p.fail(headerNames[id], 0, "", "missing")
		}
	}
}

func fieldName(line string) string {
	name, _, _ := strings.Cut(line, ":")
	return shorten(trimBlank(name))
}

// unfold joins a line with the lines behind it that begin with a blank (RFC 3261 §7.3.1). The line breaks and
// the blanks around them become one space.
func (p *parser) unfold(line string, i int) (string, int) {
	b := append(make([]byte, 0, len(line)+128), trimRight(line)...)
	for i < len(p.head) && isBlank(p.head[i]) {
		line, i = p.line(i)
		if line = trimBlank(line); line != "" {
			b = append(append(b, ' '), line...)
		}
	}
	return string(b), i
}

// field reads "name HCOLON value"; start is where the line begins, at where the value does.
func (p *parser) field(line string, start int) (f field, at int, ok bool) {
	n := 0
	for n < len(line) && chars[line[n]]&charToken != 0 {
		n++
	}
	colon := n
	for colon < len(line) && isBlank(line[colon]) {
		colon++
	}
	if n == 0 || colon == len(line) || line[colon] != ':' {
		p.fail("message", start, line, "malformed header field")
		return field{}, 0, false
	}
	f.id, f.name = identify(line[:n])
	value := trimLeft(line[colon+1:])
	at = start + len(line) - len(value)
	f.value = trimRight(value)
	if !clean(f.value) {
		if c := controlAt(f.value); c >= 0 {
			p.fail(f.name, at+c, f.value, "control character")
			return field{}, 0, false
		}
	}
	return f, at, true
}

// reading takes the typed reading of a field the message keeps one of.
func (p *parser) reading(m *message, f field, at int) {
	var fault fault
	switch f.id {
	case hVia:
		fault = m.via.parse(firstItem(f.value))
	case hFrom:
		fault = m.from.parse(f.value)
	case hTo:
		fault = m.to.parse(f.value)
	case hCallID:
		if fault = checkCallID(f.value); fault.ok() {
			m.callID = f.value
		}
	case hCSeq:
		fault = m.cseq.parse(f.value)
	default:
		return
	}
	if !fault.ok() {
		p.fail(f.name, at+fault.at, f.value, fault.reason)
	}
}

// body takes the body as Content-Length says. Two that differ are an error: elements on the way may have gone by
// the other one.
func (p *parser) body(m *message, rest []byte) {
	m.bare = true
	for i := range m.fields {
		if m.fields[i].id != hContentLength {
			continue
		}
		value := m.fields[i].value
		n, ok := parseUint(value, maxContentLength)
		switch {
		case !ok:
			p.fail("Content-Length", 0, value, "not a length")
		case n > uint64(len(rest)):
			p.fail("Content-Length", 0, value, "larger than the body")
		case !m.bare && n != uint64(len(rest)):
			p.fail("Content-Length", 0, value, "two that differ")
		default:
			rest = rest[:n]
		}
		m.bare = false
	}
	if len(rest) > 0 {
		m.body = bytes.Clone(rest)
	}
}
