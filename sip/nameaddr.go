package sip

import "strings"

// NameAddr is a name-addr or addr-spec with the header field's own parameters (RFC 3261 §20.10): the form
// of From, To, Contact, Route, Record-Route, Refer-To, P-Asserted-Identity and others.
type NameAddr struct {
	Display string // decoded; always quoted and escaped on the wire; "" for none
	URI     URI
	Params  Params // of the header field, not of the URI
}

// ParseNameAddr reads one element. Parameters behind a URI without angle brackets belong to the header
// field (RFC 3261 §20.10). The error is a *[ParseError].
func ParseNameAddr(s string) (NameAddr, error) {
	var n NameAddr
	if f := n.parse(s); !f.ok() {
		return NameAddr{}, f.err("name-addr", s)
	}
	return n, nil
}

func (n *NameAddr) parse(s string) fault {
	i := 0
	for i < len(s) && isBlank(s[i]) {
		i++
	}
	start := i
	if i < len(s) && s[i] == '"' {
		end := quotedEnd(s[i:])
		if end < 0 {
			return fault{i, "quoted string is not closed"}
		}
		n.Display = unescapePairs(s[i+1 : i+end-1])
		for i += end; i < len(s) && isBlank(s[i]); i++ {
		}
		if i == len(s) || s[i] != '<' {
			return fault{i, "no < behind the display name"}
		}
	} else {
		for i < len(s) && s[i] != '<' && s[i] != ';' && s[i] != ',' && s[i] != '"' {
			i++
		}
		if i == len(s) || s[i] != '<' {
			return n.parseBare(s, start)
		}
		n.Display = trimRight(s[start:i])
	}
	i++
	end := strings.IndexByte(s[i:], '>')
	if end < 0 {
		return fault{i - 1, "< without >"}
	}
	end += i
	if f := n.URI.parse(s[i:end]); !f.ok() {
		return fault{i + f.at, f.reason}
	}
	return n.parseParams(s, end+1)
}

// parseBare reads an addr-spec: a URI up to the first semicolon. One that holds a "?" or "," has to stand
// in angle brackets (RFC 3261 §20).
func (n *NameAddr) parseBare(s string, start int) fault {
	end := start
	for end < len(s) && s[end] != ';' {
		if s[end] == '?' || s[end] == ',' {
			return fault{end, "a URI with this character needs angle brackets"}
		}
		end++
	}
	if f := n.URI.parse(trimRight(s[start:end])); !f.ok() {
		return fault{start + f.at, f.reason}
	}
	return n.parseParams(s, end)
}

func (n *NameAddr) parseParams(s string, from int) fault {
	if from == len(s) {
		return fault{}
	}
	if f := checkParams(s[from:]); !f.ok() {
		return fault{from + f.at, f.reason}
	}
	n.Params = Params(trimBlank(s[from:]))
	return fault{}
}

// AppendTo appends the value as written on the wire. Any text is safe in Display, any field of URI too.
func (n NameAddr) AppendTo(b []byte) []byte {
	if n.Display != "" {
		b = append(appendQuoted(b, n.Display), ' ')
	}
	b = append(b, '<')
	b = n.URI.AppendTo(b)
	b = append(b, '>')
	return n.Params.appendTo(b)
}

// String is the value as written on the wire.
func (n NameAddr) String() string { return string(n.AppendTo(make([]byte, 0, 96))) }

// Tag is the tag parameter of a From or To, "" when there is none (RFC 3261 §19.3).
func (n NameAddr) Tag() string { return n.Params.Value("tag") }

// WithTag returns n with its tag set; "" takes it away.
func (n NameAddr) WithTag(tag string) NameAddr {
	if tag == "" {
		n.Params = n.Params.Without("tag")
	} else {
		n.Params = n.Params.With("tag", tag)
	}
	return n
}

// parseNameAddrs appends the elements of one comma separated field value to list.
func parseNameAddrs(list []NameAddr, field, s string) ([]NameAddr, error) {
	for more := true; more; {
		var item string
		item, s, more = nextItem(s)
		var n NameAddr
		if f := n.parse(item); !f.ok() {
			return list, f.err(field, item)
		}
		list = append(list, n)
	}
	return list, nil
}
