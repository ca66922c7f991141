package sip

import "iter"

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

// message is what requests and responses share. The list of fields is the only truth.
type message struct {
	fields  []field
	body    []byte
	version string // "" is SIP/2.0
	// bare says that the message came without a Content-Length and leaves without one.
	bare bool
}

// find is the index of the first field of that name, or -1.
func (m *message) find(name string) int {
	id, name := identify(name)
	return m.next(0, id, name)
}

// next is the index of the first such field from i on, or -1.
func (m *message) next(i int, id headerID, name string) int {
	for ; i < len(m.fields); i++ {
		if m.fields[i].is(id, name) {
			return i
		}
	}
	return -1
}

// value is the first value of a known field.
func (m *message) value(id headerID) (string, bool) {
	for i := range m.fields {
		if m.fields[i].id == id {
			return m.fields[i].value(), true
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
			if !yield(Field{m.fields[i].name(), m.fields[i].value()}) {
				return
			}
		}
	}
}

// Header is the value of the first field of that name, "" if there is none. Here and everywhere names
// compare without case, and compact forms are known.
func (m *message) Header(name string) string {
	if i := m.find(name); i >= 0 {
		return m.fields[i].value()
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
		values = append(values, m.fields[i].value())
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
			rest, item, more := m.fields[i].value(), "", true
			for more {
				item, rest, more = nextItem(rest)
				if item != "" && !yield(item) {
					return
				}
			}
		}
	}
}

// Via is the topmost Via. After Parse there is one.
func (m *message) Via() Via {
	var v Via
	if value, ok := m.value(hVia); !ok || !v.parse(firstItem(value)).ok() {
		return Via{}
	}
	return v
}

// From is the From field. After Parse there is one.
func (m *message) From() NameAddr {
	n, _ := m.single(hFrom)
	return n
}

// To is the To field. After Parse there is one.
func (m *message) To() NameAddr {
	n, _ := m.single(hTo)
	return n
}

// single reads the first field of a name as one name-addr.
func (m *message) single(id headerID) (n NameAddr, ok bool) {
	value, ok := m.value(id)
	if !ok || !n.parse(value).ok() {
		return NameAddr{}, false
	}
	return n, true
}

// CallID is the Call-ID. After Parse it is never empty.
func (m *message) CallID() string {
	value, _ := m.value(hCallID)
	return value
}

// CSeq is the CSeq field. After Parse there is one.
func (m *message) CSeq() CSeq {
	var c CSeq
	if value, ok := m.value(hCSeq); !ok || !c.parse(value).ok() {
		return CSeq{}
	}
	return c
}

// Vias are all Vias from the top.
func (m *message) Vias() ([]Via, error) {
	list := make([]Via, 0, m.count(hVia))
	for i := m.next(0, hVia, ""); i >= 0; i = m.next(i+1, hVia, "") {
		rest, item, more := m.fields[i].value(), "", true
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
		if list, err = parseNameAddrs(list, name, m.fields[i].value()); err != nil {
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

func (m *message) clone() message {
	c := *m
	c.fields = append(make([]field, 0, len(m.fields)+4), m.fields...)
	return c
}
