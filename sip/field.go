package sip

import "strings"

// Field is one header field: the name in the spelling of its RFC for known ones ("i" parses to "Call-ID"),
// as it came for others; the value unfolded, without outer blanks.
type Field struct{ Name, Value string }

// CanonicalName is the name of a header field as messages have it: "Subject" for "s" and "SUBJECT", one that is
// not known as it is given.
func CanonicalName(name string) string {
	_, name = identify(name)
	return name
}

// field is a Field as messages hold it, in 24 bytes. A known name is an id; an unknown one stands at the start
// of text, before the value.
type field struct {
	text    string
	nameLen uint16
	valueAt uint16
	id      headerID
	safe    bool // the value is known to be safe to write, see isSafe
}

// newField makes a field or says why the texts are none. This is the first gate against injection: what could
// end a line never gets into a message. The second is AppendTo.
func newField(name, value string) (field, error) {
	id, _ := identify(name)
	if id == hUnknown && (!isToken(name) || len(name) > MaxFieldBytes) {
		return field{}, &FieldError{name, "not a header field name"}
	}
	if !isSafe(value) {
		return field{}, &FieldError{name, "control character in the value"}
	}
	f := makeField(id, name, trimBlank(value))
	f.safe = true
	return f, f.check()
}

func makeField(id headerID, name, value string) field {
	if id != hUnknown {
		return field{text: value, id: id}
	}
	return field{text: name + ": " + value, nameLen: uint16(len(name)), valueAt: uint16(len(name) + 2)}
}

func (f *field) name() string {
	if f.id != hUnknown {
		return headerNames[f.id]
	}
	return f.text[:f.nameLen]
}

func (f *field) value() string { return f.text[f.valueAt:] }

// setValue replaces the value and keeps the name.
func (f *field) setValue(value string) { *f = makeField(f.id, f.name(), value) }

// is says whether the field has that name; name matters for unknown ones only.
func (f *field) is(id headerID, name string) bool {
	return f.id == id && (id != hUnknown || equalFold(f.name(), name))
}

// fault says what is wrong with a field that every message has: those can be read without an error because one
// that cannot never gets into a message. Of several Vias in one field it is the first that counts.
func (f *field) fault() fault {
	switch f.id {
	case hVia:
		var v Via
		return v.parse(firstItem(f.value()))
	case hFrom, hTo:
		var n NameAddr
		return n.parse(f.value())
	case hCallID:
		return checkCallID(f.value())
	case hCSeq:
		var c CSeq
		return c.parse(f.value())
	}
	return fault{}
}

func (f *field) check() error {
	if fault := f.fault(); !fault.ok() {
		return fault.err(f.name(), f.value())
	}
	return nil
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

func firstItem(s string) string {
	if strings.IndexByte(s, ',') < 0 {
		return s
	}
	item, _, _ := nextItem(s)
	return item
}
