package sip

// Replaces is the Replaces field (RFC 3891 §6.1), and in the same form Join (RFC 3911) and Target-Dialog
// (RFC 4538): it names a dialog as its receiver sees it.
type Replaces struct {
	CallID    string
	ToTag     string // the receiver's tag
	FromTag   string // the far side's tag
	EarlyOnly bool
}

// ParseReplaces reads a Replaces value, as it stands in a field or, unescaped, in a Refer-To's URI. The error
// is a *[ParseError].
func ParseReplaces(s string) (Replaces, error) {
	r, f := parseDialogID(s, "to-tag", "from-tag")
	if !f.ok() {
		return Replaces{}, f.err("Replaces", s)
	}
	return r, nil
}

func parseDialogID(s, local, remote string) (Replaces, fault) {
	callID, params := cutParams(s)
	if f := checkCallID(callID); !f.ok() {
		return Replaces{}, f
	}
	if f := checkParams(string(params)); !f.ok() {
		return Replaces{}, fault{len(s) - len(params) + f.at, f.reason}
	}
	r := Replaces{callID, params.Value(local), params.Value(remote), params.Has("early-only")}
	if r.ToTag == "" || r.FromTag == "" {
		return Replaces{}, fault{len(callID), "a tag is missing"}
	}
	return r, fault{}
}

// String is the value as written on the wire: CALLID;to-tag=X;from-tag=Y.
func (r Replaces) String() string {
	b := make([]byte, 0, 32+len(r.CallID)+len(r.ToTag)+len(r.FromTag))
	b = appendCallID(b, r.CallID)
	b = appendName(append(b, ";to-tag="...), r.ToTag)
	b = appendName(append(b, ";from-tag="...), r.FromTag)
	if r.EarlyOnly {
		b = append(b, ";early-only"...)
	}
	return string(b)
}

// appendCallID appends a Call-ID with everything that would end it made harmless.
func appendCallID(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c == 0x7f || c == ';' || c == ',' {
			c = '_'
		}
		b = append(b, c)
	}
	return b
}

// Replaces is the Replaces field; ok is false when there is none that can be read.
func (m *message) Replaces() (Replaces, bool) { return m.dialogID(hReplaces, "to-tag", "from-tag") }

// Join is the Join field; ok is false when there is none that can be read.
func (m *message) Join() (Replaces, bool) { return m.dialogID(hJoin, "to-tag", "from-tag") }

// TargetDialog is the Target-Dialog field; its local-tag is the receiver's, here ToTag. ok is false when there
// is none that can be read.
func (m *message) TargetDialog() (Replaces, bool) {
	return m.dialogID(hTargetDialog, "local-tag", "remote-tag")
}

func (m *message) dialogID(id headerID, local, remote string) (Replaces, bool) {
	value, _ := m.value(id)
	r, f := parseDialogID(value, local, remote)
	return r, f.ok()
}
