package sip

import "strconv"

// SessionExpires is the Session-Expires field (RFC 4028 §4).
type SessionExpires struct {
	Seconds   int
	Refresher string // "uac", "uas", or "" when not said
}

// String is the value as written on the wire: 1800;refresher=uac.
func (s SessionExpires) String() string {
	b := strconv.AppendInt(make([]byte, 0, 32), int64(max(s.Seconds, 0)), 10)
	if s.Refresher != "" {
		b = appendName(append(b, ";refresher="...), s.Refresher)
	}
	return string(b)
}

// SessionExpires is the Session-Expires field; ok is false when there is none that can be read.
func (m *message) SessionExpires() (s SessionExpires, ok bool) {
	seconds, params, ok := m.deltaParams(hSessionExpires)
	if !ok {
		return SessionExpires{}, false
	}
	return SessionExpires{seconds, lower(params.Value("refresher"))}, true
}

// MinSE is the Min-SE field in seconds (RFC 4028 §5).
func (m *message) MinSE() (seconds int, ok bool) {
	seconds, _, ok = m.deltaParams(hMinSE)
	return seconds, ok
}

// deltaParams reads a field that is delta-seconds and parameters.
func (m *message) deltaParams(id headerID) (int, Params, bool) {
	value, ok := m.value(id)
	if !ok {
		return 0, "", false
	}
	n, rest, ok := leadingNumber(value)
	if !ok || !checkParams(rest).ok() {
		return 0, "", false
	}
	return n, Params(rest), true
}
