package sip

import (
	"errors"
	"slices"
	"strings"
)

// isSafe says whether a value may be set: no control character but HTAB, except those that a quoted-pair may
// hold. NUL is refused even there.
func isSafe(s string) bool {
	return clean(s) || controlAt(s) < 0 && strings.IndexByte(s, 0) < 0
}

// breaksLine says whether s has one of the characters that no part of a structured value may have.
func breaksLine(s string) bool { return !clean(s) && strings.ContainsAny(s, "\r\n\x00") }

// SetHeader replaces all fields of that name by one, in the first one's place, or appends it. CR, LF, NUL and
// other control characters are refused with a *[FieldError], a Via, From, To, Call-ID or CSeq that cannot be
// read with a *[ParseError]; the message is then as it was.
//
// Setters must not be used on a parsed message that others may see: Clone it first.
func (m *message) SetHeader(name, value string) error {
	f, err := newField(name, value)
	if err != nil {
		return err
	}
	m.set(f)
	return nil
}

func (m *message) set(f field) {
	first := m.next(0, f.id, f.name())
	if first < 0 {
		m.fields = append(m.fields, f)
		return
	}
	m.fields[first] = f
	kept := m.fields[:first+1]
	for i := range m.fields[first+1:] {
		if g := m.fields[first+1+i]; !g.is(f.id, f.name()) {
			kept = append(kept, g)
		}
	}
	m.fields = kept
}

// AddHeader appends a field. Errors are those of SetHeader.
func (m *message) AddHeader(name, value string) error {
	f, err := newField(name, value)
	if err != nil {
		return err
	}
	m.fields = append(m.fields, f)
	return nil
}

// SetFields puts these fields in place of those of the same names: several of one name all stay. Errors are
// those of SetHeader; a field that cannot be set is left out and the others are set.
func (m *message) SetFields(fields ...Field) error {
	var err error
	for i, f := range fields {
		id, name := identify(f.Name)
		again := slices.ContainsFunc(fields[:i], func(g Field) bool { return equalFold(CanonicalName(g.Name), name) })
		f, e := newField(f.Name, f.Value)
		switch {
		case e != nil:
			err = errors.Join(err, e)
		case again && m.next(0, id, name) >= 0:
			m.fields = append(m.fields, f)
		default:
			m.set(f)
		}
	}
	return err
}

// PrependHeader puts a field before the first of that name, or at the top. Errors are those of SetHeader.
func (m *message) PrependHeader(name, value string) error {
	f, err := newField(name, value)
	if err != nil {
		return err
	}
	m.prepend(f)
	return nil
}

func (m *message) prepend(f field) {
	m.fields = slices.Insert(m.fields, max(0, m.next(0, f.id, f.name())), f)
}

// RemoveHeader removes all fields of that name.
func (m *message) RemoveHeader(name string) {
	id, name := identify(name)
	m.remove(id, name)
}

func (m *message) remove(id headerID, name string) {
	m.fields = slices.DeleteFunc(m.fields, func(f field) bool { return f.is(id, name) })
}

// RemoveFirst removes the first field of that name. Of a comma list in it only the first element goes, so
// that a Via or Route is popped whatever way it was written.
func (m *message) RemoveFirst(name string) {
	i := m.find(name)
	if i < 0 {
		return
	}
	f := &m.fields[i]
	if _, rest, more := nextItem(f.value()); more && isList(f.id) {
		f.setValue(trimBlank(rest))
	} else {
		m.fields = slices.Delete(m.fields, i, i+1)
	}
}

// isList says whether the elements of a field may be written on one line or on several (RFC 3261 §7.3.1).
func isList(id headerID) bool {
	switch id {
	case hVia, hRoute, hRecordRoute, hPath, hServiceRoute, hContact, hAllow, hSupported, hRequire, hUnsupported,
		hProxyRequire, hAllowEvents, hAccept, hPAssertedIdentity, hReason, hWarning, hHistoryInfo:
		return true
	}
	return false
}

// SetVia replaces the topmost Via, or adds one when there is none. CR, LF and NUL are refused.
func (m *message) SetVia(v Via) error {
	if err := v.check(); err != nil {
		return err
	}
	i := m.next(0, hVia, "")
	if i < 0 {
		m.prepend(field{text: v.String(), id: hVia})
		return nil
	}
	text := v.String()
	if _, rest, more := nextItem(m.fields[i].value()); more {
		text += ", " + trimBlank(rest)
	}
	m.fields[i].setValue(text)
	return nil
}

// PushVia puts a Via on top. CR, LF and NUL are refused.
func (m *message) PushVia(v Via) error {
	if err := v.check(); err != nil {
		return err
	}
	m.prepend(field{text: v.String(), id: hVia})
	return nil
}

func (v *Via) check() error {
	if breaksLine(v.Transport) || breaksLine(v.Host) || breaksLine(string(v.Params)) {
		return &FieldError{headerNames[hVia], "control character"}
	}
	return nil
}

// SetFrom sets the From field.
func (m *message) SetFrom(n NameAddr) error { return m.setNameAddr(hFrom, n) }

// SetTo sets the To field.
func (m *message) SetTo(n NameAddr) error { return m.setNameAddr(hTo, n) }

func (m *message) setNameAddr(id headerID, n NameAddr) error {
	if err := n.check(headerNames[id]); err != nil {
		return err
	}
	m.set(field{text: n.String(), id: id})
	return nil
}

// SetCallID sets the Call-ID.
func (m *message) SetCallID(s string) error { return m.SetHeader("Call-ID", s) }

// SetCSeq sets the CSeq field.
func (m *message) SetCSeq(c CSeq) error {
	if !isToken(string(c.Method)) {
		return &FieldError{"CSeq", "not a method"}
	}
	m.set(field{text: c.String(), id: hCSeq})
	return nil
}

// SetContact replaces all Contacts by these, one field each; none removes them.
func (m *message) SetContact(n ...NameAddr) error { return m.setNameAddrs(hContact, n) }

// SetRoute replaces the route set by these, one field each; none removes it.
func (m *message) SetRoute(n ...NameAddr) error { return m.setNameAddrs(hRoute, n) }

func (m *message) setNameAddrs(id headerID, list []NameAddr) error {
	for _, n := range list {
		if err := n.check(headerNames[id]); err != nil {
			return err
		}
	}
	at := m.next(0, id, "")
	if at < 0 {
		at = len(m.fields)
	}
	m.remove(id, "")
	for i, n := range list {
		m.fields = slices.Insert(m.fields, at+i, field{text: n.String(), id: id})
	}
	return nil
}

// check refuses a value that has a control character in any of its texts.
func (n *NameAddr) check(name string) error {
	for _, s := range [...]string{n.Display, n.URI.Scheme, n.URI.User, n.URI.Password, n.URI.Host, string(n.URI.Params),
		n.URI.Headers, n.URI.Opaque, string(n.Params)} {
		if breaksLine(s) {
			return &FieldError{name, "control character"}
		}
	}
	return nil
}

// SetBody sets the body and its Content-Type, which goes with an empty body. The slice is kept, not copied. The
// Content-Length is written by AppendTo.
func (m *message) SetBody(contentType string, body []byte) error {
	if len(body) == 0 {
		m.remove(hContentType, "")
		m.body = nil
	} else {
		if err := m.SetHeader("Content-Type", contentType); err != nil {
			return err
		}
		m.body = body
	}
	m.bare = false
	return nil
}
