package sip

import "math"

// Event is the Event field (RFC 6665 §8.2.1).
type Event struct {
	Package string // with its templates: "presence.winfo"; comparison is exact
	Params  Params
}

// ID is the id parameter, "" when there is none.
func (e Event) ID() string { return e.Params.Value("id") }

// String is the value as written on the wire.
func (e Event) String() string {
	return string(e.Params.appendTo(appendName(nil, e.Package)))
}

// Event is the Event field; ok is false when there is none that can be read.
func (m *message) Event() (e Event, ok bool) {
	name, params, ok := m.tokenParams(hEvent)
	return Event{name, params}, ok
}

// SubscriptionState is the Subscription-State field (RFC 6665 §8.2.3).
type SubscriptionState struct {
	State  string // "active", "pending", "terminated" or an extension; lower case
	Params Params
}

// Reason is the reason parameter: "deactivated", "timeout", …
func (s SubscriptionState) Reason() string { return s.Params.Value("reason") }

// Expires is the expires parameter in seconds.
func (s SubscriptionState) Expires() (int, bool) { return s.seconds("expires") }

// RetryAfter is the retry-after parameter in seconds.
func (s SubscriptionState) RetryAfter() (int, bool) { return s.seconds("retry-after") }

func (s SubscriptionState) seconds(name string) (int, bool) {
	n, ok := parseUint(s.Params.Value(name), math.MaxInt32)
	return int(n), ok
}

// String is the value as written on the wire.
func (s SubscriptionState) String() string {
	return string(s.Params.appendTo(appendName(nil, s.State)))
}

// SubscriptionState is the Subscription-State field; ok is false when there is none that can be read.
func (m *message) SubscriptionState() (s SubscriptionState, ok bool) {
	state, params, ok := m.tokenParams(hSubscriptionState)
	return SubscriptionState{lower(state), params}, ok
}

// ContentDisposition is the Content-Disposition field (RFC 3261 §20.11).
type ContentDisposition struct {
	Type   string // "session", "render", …; lower case
	Params Params
}

// Required says whether a body that is not understood must be refused with a 415, which is the default.
func (d ContentDisposition) Required() bool {
	return !equalFold(d.Params.Value("handling"), "optional")
}

// String is the value as written on the wire.
func (d ContentDisposition) String() string {
	return string(d.Params.appendTo(appendName(nil, d.Type)))
}

// ContentDisposition is the Content-Disposition field. Without one a body application/sdp is "session" and
// any other "render" (RFC 3261 §20.11); ok then is false.
func (m *message) ContentDisposition() (d ContentDisposition, ok bool) {
	kind, params, ok := m.tokenParams(hContentDisposition)
	switch {
	case ok:
		return ContentDisposition{lower(kind), params}, true
	case m.ContentType() == "application/sdp":
		return ContentDisposition{Type: "session"}, false
	}
	return ContentDisposition{Type: "render"}, false
}

// tokenParams reads a field that is one token and parameters.
func (m *message) tokenParams(id headerID) (token string, params Params, ok bool) {
	value, ok := m.value(id)
	if !ok {
		return "", "", false
	}
	token, params = cutParams(value)
	if !isToken(token) || !checkParams(string(params)).ok() {
		return "", "", false
	}
	return token, params, true
}
