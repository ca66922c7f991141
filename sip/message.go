package sip

import (
	"iter"
	"strings"
)

// Field is one header field: the name in the spelling of its RFC for known ones ("i" parses to "Call-ID"),
// as it came for others; the value unfolded, without outer blanks.
type Field struct{ Name, Value string }

// Message is a *[Request] or a *[Response].
type Message interface {
	// AppendTo appends the message as written on the wire. It does not allocate when b has room.
	AppendTo(b []byte) []byte
	// Header is the value of the first field of that name, "" if there is none.
	Header(name string) string
	CallID() string
	CSeq() CSeq
	From() NameAddr
	To() NameAddr
	Via() Via
	Body() []byte
	// Len is about the number of bytes AppendTo appends: never less, and little more.
	Len() int
	isMessage()
}

// field is a Field and the id of a known name.
type field struct {
	name, value string
	id          headerID
}

// message is what requests and responses share. fields is the only truth; via, from, to, callID and cseq
// are readings of it that parse and the setters keep in step, so that reading them costs nothing.
type message struct {
	fields  []field
	body    []byte
	version string // "" is SIP/2.0
	// bare says that the message came without a Content-Length and leaves without one.
	bare bool

	via      Via
	from, to NameAddr
	callID   string
	cseq     CSeq
}

// find is the index of the first field of that name, or -1.
func (m *message) find(name string) int {
	id, name := identify(name)
	return m.next(0, id, name)
}

// next is the index of the first such field from i on, or -1.
func (m *message) next(i int, id headerID, name string) int {
	for ; i < len(m.fields); i++ {
		f := &m.fields[i]
		if f.id == id && (id != hUnknown || equalFold(f.name, name)) {
			return i
		}
	}
	return -1
}

// value is the first value of a known field.
func (m *message) value(id headerID) (string, bool) {
	for i := range m.fields {
		if m.fields[i].id == id {
			return m.fields[i].value, true
		}
	}
	return "", false
}

func (m *message) has(id headerID) bool {
	_, ok := m.value(id)
	return ok
}

// count is the number of fields of a known name.
func (m *message) count(id headerID) (n int) {
	for i := range m.fields {
		if m.fields[i].id == id {
			n++
		}
	}
	return n
}

// Fields ranges over all header fields in order.
func (m *message) Fields() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for i := range m.fields {
			if !yield(Field{m.fields[i].name, m.fields[i].value}) {
				return
			}
		}
	}
}

// Header is the value of the first field of that name, "" if there is none. Here and everywhere names
// compare without case, and compact forms are known.
func (m *message) Header(name string) string {
	if i := m.find(name); i >= 0 {
		return m.fields[i].value
	}
	return ""
}

// HasHeader says whether there is a field of that name.
func (m *message) HasHeader(name string) bool { return m.find(name) >= 0 }

// Headers are the values of all fields of that name, one per field; comma lists are not split.
func (m *message) Headers(name string) []string {
	var values []string
	id, name := identify(name)
	for i := m.next(0, id, name); i >= 0; i = m.next(i+1, id, name) {
		values = append(values, m.fields[i].value)
	}
	return values
}

// List are the elements of all fields of that name, split at commas: Allow, Supported, Require and the like
// (RFC 3261 §7.3.1). Empty elements are skipped.
func (m *message) List(name string) []string {
	var list []string
	for item := range m.items(identify(name)) {
		list = append(list, item)
	}
	return list
}

// HasToken says whether token is in the List of that name. Methods compare exactly, all else without case.
func (m *message) HasToken(name, token string) bool {
	id, name := identify(name)
	for item := range m.items(id, name) {
		if item == token || id != hAllow && equalFold(item, token) {
			return true
		}
	}
	return false
}

// items ranges over the non-empty elements of all fields of a name.
func (m *message) items(id headerID, name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := m.next(0, id, name); i >= 0; i = m.next(i+1, id, name) {
			rest, item, more := m.fields[i].value, "", true
			for more {
				item, rest, more = nextItem(rest)
				if item != "" && !yield(item) {
					return
				}
			}
		}
	}
}

// Via is the topmost Via. After Parse it is always there.
func (m *message) Via() Via { return m.via }

// From is the From field. After Parse it is always there.
func (m *message) From() NameAddr { return m.from }

// To is the To field. After Parse it is always there.
func (m *message) To() NameAddr { return m.to }

// CallID is the Call-ID. After Parse it is never empty.
func (m *message) CallID() string { return m.callID }

// CSeq is the CSeq field. After Parse it is always there.
func (m *message) CSeq() CSeq { return m.cseq }

// Vias are all Vias from the top.
func (m *message) Vias() ([]Via, error) {
	list := make([]Via, 0, m.count(hVia))
	for i := m.next(0, hVia, ""); i >= 0; i = m.next(i+1, hVia, "") {
		rest, item, more := m.fields[i].value, "", true
		for more {
			item, rest, more = nextItem(rest)
			var v Via
			if f := v.parse(item); !f.ok() {
				return list, f.err("Via", item)
			}
			list = append(list, v)
		}
	}
	return list, nil
}

// NameAddrs are all elements of all fields of that name: Route, Record-Route, Path, Service-Route,
// P-Asserted-Identity and others. On an error the elements before it are returned too.
func (m *message) NameAddrs(name string) ([]NameAddr, error) {
	id, name := identify(name)
	var list []NameAddr
	for i := m.next(0, id, name); i >= 0; i = m.next(i+1, id, name) {
		var err error
		if list, err = parseNameAddrs(list, name, m.fields[i].value); err != nil {
			return list, err
		}
	}
	return list, nil
}

// ContactStar says whether Contact is "*", which stands in a REGISTER that removes all bindings
// (RFC 3261 §10.2.2).
func (m *message) ContactStar() bool {
	v, _ := m.value(hContact)
	return v == "*"
}

// Contacts are all Contacts; "*" yields none.
func (m *message) Contacts() ([]NameAddr, error) {
	if m.ContactStar() && m.count(hContact) == 1 {
		return nil, nil
	}
	return m.NameAddrs("Contact")
}

// Contact is the first Contact that can be read.
func (m *message) Contact() (NameAddr, bool) {
	for item := range m.items(hContact, "") {
		var n NameAddr
		if n.parse(item).ok() {
			return n, true
		}
	}
	return NameAddr{}, false
}

// Body is the body; read-only. It is nil when there is none.
func (m *message) Body() []byte { return m.body }

// refresh reads a field again that the message keeps a reading of. When it cannot be read, nothing changes.
func (m *message) refresh(id headerID) error {
	value, ok := m.value(id)
	var f fault
	switch id {
	case hVia:
		var v Via
		if ok {
			f = v.parse(firstItem(value))
		}
		if f.ok() {
			m.via = v
		}
	case hFrom, hTo:
		var n NameAddr
		if ok {
			f = n.parse(value)
		}
		switch {
		case !f.ok():
		case id == hFrom:
			m.from = n
		default:
			m.to = n
		}
	case hCallID:
		if ok {
			f = checkCallID(value)
		}
		if f.ok() {
			m.callID = value
		}
	case hCSeq:
		var c CSeq
		if ok {
			f = c.parse(value)
		}
		if f.ok() {
			m.cseq = c
		}
	}
	if !f.ok() {
		return f.err(headerNames[id], value)
	}
	return nil
}

func firstItem(s string) string {
	if strings.IndexByte(s, ',') < 0 {
		return s
	}
	item, _, _ := nextItem(s)
	return item
}

// checkCallID checks callid (RFC 3261 §25.1), taking any printable byte.
func checkCallID(s string) fault {
	if s == "" {
		return fault{0, "empty"}
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return fault{i, "blank or control character"}
		}
	}
	return fault{}
}

func (m *message) clone() message {
	c := *m
	c.fields = append(make([]field, 0, len(m.fields)+4), m.fields...)
	return c
}
