package sip

// Force puts a field into the message past the setters' gate.
func (m *message) Force(name, value string) {
	id, name := identify(name)
	m.fields = append(m.fields, makeField(id, name, value))
}
