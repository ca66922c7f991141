package sip

import "strings"

// HistoryEntry is one entry of History-Info (RFC 7044 §5): one of the addresses that a request was on its way
// to before it came here.
type HistoryEntry struct {
	Target NameAddr // the address; Params are those of the entry
}

// Index is the entry's place in the tree of targets: "1.2.1" is the first that the second of the first led
// to. "" when there is none that can be read (RFC 7044 §10.3).
func (h HistoryEntry) Index() string { return indexValue(h.Target.Params.Value("index")) }

// Mechanism says how the address was found, and the index of the entry that it was found from: "rc" is
// another address of the same user, "mp" another user, "np" no change. Both are "" when that is not said
// (RFC 7044 §10.4).
func (h HistoryEntry) Mechanism() (how, from string) {
	for name, value := range h.Target.Params.All() {
		switch how = lower(name); how {
		case "rc", "mp", "np":
			return how, indexValue(value)
		}
	}
	return "", ""
}

// Reasons say why the request went on from this address, such as SIP;cause=302 (RFC 7044 §10.2).
func (h HistoryEntry) Reasons() []Reason {
	value, _ := h.Target.URI.Header("Reason")
	if value == "" {
		return nil
	}
	return ParseReasons(value)
}

// Private says that the entry is not to be shown beyond the domain that made it (RFC 7044 §10.1).
func (h HistoryEntry) Private() bool {
	value, _ := h.Target.URI.Header("Privacy")
	for v := range privacyValues(value) {
		if equalFold(v, "history") {
			return true
		}
	}
	return false
}

// String is the value as written on the wire.
func (h HistoryEntry) String() string { return h.Target.String() }

// indexValue is s if it is an index-val, else "".
func indexValue(s string) string {
	for part := range strings.SplitSeq(s, ".") {
		if !isNumber(part) {
			return ""
		}
	}
	return s
}

// HistoryInfo are all History-Info entries that can be read, oldest first.
func (m *message) HistoryInfo() []HistoryEntry {
	var list []HistoryEntry
	for _, n := range m.readable(hHistoryInfo) {
		list = append(list, HistoryEntry{n})
	}
	return list
}
