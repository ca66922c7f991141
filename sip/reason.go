package sip

import (
	"math"
	"strconv"
)

// Reason is one reason-value (RFC 3326 §2): why a request was sent.
type Reason struct {
	Protocol string // "SIP", "Q.850", …
	Cause    int    // 0: none
	Text     string // decoded; "" for none
}

// String is the value as written on the wire: SIP;cause=200;text="Call completed elsewhere".
func (r Reason) String() string {
	b := appendName(make([]byte, 0, 32+len(r.Text)), r.Protocol)
	if r.Cause > 0 {
		b = strconv.AppendInt(append(b, ";cause="...), int64(r.Cause), 10)
	}
	if r.Text != "" {
		b = appendQuoted(append(b, ";text="...), r.Text)
	}
	return string(b)
}

// Reasons are all Reason values that can be read.
func (m *message) Reasons() []Reason {
	var list []Reason
	for item := range m.items(hReason, "") {
		list = appendReason(list, item)
	}
	return list
}

// ParseReasons reads the value of a Reason field, or of a Reason in a URI's "?" part (RFC 7044 §5). What
// cannot be read is left out.
func ParseReasons(s string) []Reason {
	var list []Reason
	for more := true; more; {
		var item string
		item, s, more = nextItem(s)
		list = appendReason(list, item)
	}
	return list
}

func appendReason(list []Reason, item string) []Reason {
	protocol, params := cutParams(item)
	if !isToken(protocol) {
		return list
	}
	cause, _ := parseUint(params.Value("cause"), math.MaxInt32)
	return append(list, Reason{protocol, int(cause), params.Value("text")})
}
