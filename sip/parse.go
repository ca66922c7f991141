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
	var p parser
	for len(data) > 1 && data[0] == '\r' && data[1] == '\n' { // RFC 3261 §7.5
		data = data[2:]
		p.base += 2
	}
	head, rest := p.split(data)
	p.head = string(head)
	return p.message(rest)
}

// parser reads the head of one message. The first thing wrong is kept and reading goes on, so that the
// error can carry a request to answer.
type parser struct {
	head string
	base int // offset of head in the input
	err  *ParseError

	response bool

	pos   int       // where the next line begins
	line  int       // its number
	lines int       // in head
	ends  [64]int32 // where the first lines' LFs are

	seen uint8 // which of the fields that every message has, one bit each
}

// split finds the end of the head and of its lines.
func (p *parser) split(data []byte) (head, rest []byte) {
	for i := 0; ; p.lines++ {
		n := bytes.IndexByte(data[i:], '\n')
		if n < 0 {
			p.fail("message", len(data), "", "no empty line behind the header fields")
			return data, nil
		}
		if n == 1 && data[i] == '\r' {
			return data[:i], data[i+2:]
		}
		if p.lines < len(p.ends) {
			p.ends[p.lines] = int32(i + n)
		}
		i += n + 1
	}
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
	line := p.next()
	if line == "" {
		p.fail("start-line", 0, "", "missing")
		return nil, p.err
	}
	if len(line) > 4 && line[3] == '/' && equalFold(line[:4], "SIP/") {
		r := p.newResponse()
		p.response = true
		p.statusLine(r, line)
		if p.err == nil {
			p.fields(&r.message)
		}
		if p.err == nil {
			p.body(&r.message, rest)
		}
		if p.err != nil {
			return nil, p.err
		}
		return r, nil
	}
	r := p.newRequest()
	p.requestLine(r, line)
	p.fields(&r.message)
	p.body(&r.message, rest)
	if p.err == nil {
		return r, nil
	}
	if r.has(hVia) && r.has(hFrom) && r.has(hTo) && r.has(hCallID) && r.has(hCSeq) {
		p.err.Partial = r
	}
	return nil, p.err
}

// newRequest and newResponse make messages with room for their fields, in one allocation where there are as few
// as most messages have.
func (p *parser) newRequest() *Request {
	if p.lines > 13 {
		return &Request{}
	}
	r := new(struct {
		Request
		room [12]field
	})
	r.fields = r.room[:0]
	return &r.Request
}

func (p *parser) newResponse() *Response {
	if p.lines > 9 {
		return &Response{}
	}
	r := new(struct {
		Response
		room [8]field
	})
	r.fields = r.room[:0]
	return &r.Response
}

// next is the next line of the head, without its CRLF.
func (p *parser) next() string {
	start, end := p.pos, 0
	if p.line < min(p.lines, len(p.ends)) {
		end = int(p.ends[p.line])
	} else if n := strings.IndexByte(p.head[start:], '\n'); n >= 0 {
		end = start + n
	} else { // only without an empty line at the end, which is an error already
		p.pos = len(p.head)
		return p.head[start:]
	}
	p.line++
	p.pos = end + 1
	if end == start || p.head[end-1] != '\r' {
		p.fail("message", end, "", "LF without CR")
		return p.head[start:end]
	}
	return p.head[start : end-1]
}

// requestLine reads Method SP Request-URI SP SIP-Version (RFC 3261 §7.1): single spaces, nothing around.
func (p *parser) requestLine(r *Request, line string) {
	const name = "start-line"
	if len(line) > MaxFieldBytes {
		p.fail(name, 0, line, "too long")
		return
	}
	first := strings.IndexByte(line, ' ')
	last := len(line) - len(" "+sipVersion)
	if last < 0 || line[last:] != " "+sipVersion {
		last = strings.LastIndexByte(line, ' ')
	}
	if first < 0 || !isToken(line[:first]) {
		p.fail(name, 0, line, "malformed method")
		return
	}
	r.method = Method(line[:first])
	if last == first {
		p.fail(name, first, line, "no SIP version")
		return
	}
	if version := line[last+1:]; version != sipVersion {
		if !isVersion(version) {
			p.fail(name, last+1, line, "malformed SIP version")
			return
		}
		r.version = version
	}
	r.target = line[first+1 : last]
	var u URI
	if f := u.parse(r.target); !f.ok() {
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
	if version != sipVersion {
		if !isVersion(version) {
			p.fail(name, 0, line, "malformed SIP version")
			return
		}
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

// fields reads the header fields.
func (p *parser) fields(m *message) {
	n := p.lines - p.line
	if !strings.HasSuffix(p.head, "\n") {
		n++
	}
	if n > MaxFields {
		p.fail("message", p.pos, "", "too many header fields")
		n = MaxFields
	}
	if n > cap(m.fields) {
		m.fields = make([]field, 0, n)
	}
	for p.pos < len(p.head) && len(m.fields) < n {
		start := p.pos
		line := p.next()
		if p.pos < len(p.head) && isBlank(p.head[p.pos]) {
			line = p.unfold(line)
		}
		if len(line) > MaxFieldBytes {
			p.fail(fieldName(line), start, line, "too long")
			continue
		}
		m.fields = m.fields[:len(m.fields)+1]
		f := &m.fields[len(m.fields)-1]
		if !p.field(f, line, start) {
			*f = field{}
			m.fields = m.fields[:len(m.fields)-1]
		}
	}
	for id := hUnknown + 1; id <= hLastMandatory && p.seen != 1<<(hLastMandatory+1)-2; id++ {
		if p.seen&(1<<id) == 0 {
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
func (p *parser) unfold(line string) string {
	b := append(make([]byte, 0, len(line)+128), trimRight(line)...)
	for p.pos < len(p.head) && isBlank(p.head[p.pos]) {
		if line = trimBlank(p.next()); line != "" {
			b = append(append(b, ' '), line...)
		}
	}
	return string(b)
}

// field reads "name HCOLON value"; start is where the line begins.
func (p *parser) field(f *field, line string, start int) bool {
	n := strings.IndexByte(line, ':')
	if n <= 0 {
		p.fail("message", start, line, "malformed header field")
		return false
	}
	end, at := len(line), n+1
	if f.id, _ = identify(line[:n]); f.id == hUnknown { // or known, but with blanks behind
		name := trimRight(line[:n])
		if !isToken(name) {
			p.fail("message", start, line, "malformed header field")
			return false
		}
		if len(name) < n {
			f.id, _ = identify(name)
		}
		f.nameLen = uint16(len(name))
	}
	for at < end && isBlank(line[at]) {
		at++
	}
	for end > at && isBlank(line[end-1]) {
		end--
	}
	if f.id == hUnknown {
		f.text, f.valueAt = line[:end], uint16(at)
	} else {
		f.text, f.nameLen = line[at:end], 0
	}
	if !clean(line[at:end]) {
		switch c := controlAt(line[at:end]); {
		case c < 0:
		case p.response && (f.id == hUnknown || f.id > hLastMandatory):
			value := trimBlank(withoutControls(line[at:end]))
			if f.text = value; f.id == hUnknown {
				f.text = line[:at] + value
			}
		default:
			p.fail(f.name(), start+at+c, f.value(), "control character")
			return false
		}
	}
	f.safe = true
	if f.id <= hLastMandatory && f.id != hUnknown && p.seen&(1<<f.id) == 0 {
		p.seen |= 1 << f.id
		if fault := f.fault(); !fault.ok() {
			p.fail(f.name(), start+at+fault.at, f.value(), fault.reason)
		}
	}
	return true
}

// body takes the body as Content-Length says. Two that differ are an error: elements on the way may have gone by
// the other one.
func (p *parser) body(m *message, rest []byte) {
	m.bare = true
	for i := range m.fields {
		if m.fields[i].id != hContentLength {
			continue
		}
		value := m.fields[i].value()
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
		body := make([]byte, len(rest))
		copy(body, rest)
		m.body = body
	}
}
