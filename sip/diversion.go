package sip

import "strconv"

// Diversion is one entry of Diversion (RFC 5806 §4): who sent the call elsewhere, and why.
type Diversion struct {
	Address NameAddr // who; Params are those of the entry
}

// Reason is why, in lower case: "user-busy", "no-answer", "unconditional", "deflection", …; "" when it is
// not said.
func (d Diversion) Reason() string { return lower(d.Address.Params.Value("reason")) }

// Counter is how many diversions the entry stands for: 1 when it does not say.
func (d Diversion) Counter() int { return d.number("counter", 1) }

// Limit is how many diversions this one allows in all, 0 for any number.
func (d Diversion) Limit() int { return d.number("limit", 0) }

func (d Diversion) number(name string, absent int) int {
	n, ok := parseUint(d.Address.Params.Value(name), 99) // 1*2DIGIT
	if !ok {
		return absent
	}
	return int(n)
}

// Privacy is what of the entry is not to be shown, in lower case: "full", "name", "uri", "off", or "" when
// it is not said.
func (d Diversion) Privacy() string { return lower(d.Address.Params.Value("privacy")) }

// Screened says whether the network vouches for the address (screen=yes).
func (d Diversion) Screened() bool { return equalFold(d.Address.Params.Value("screen"), "yes") }

// String is the value as written on the wire.
func (d Diversion) String() string { return d.Address.String() }

// NewDiversion is the entry for a call to who that goes elsewhere: reason is a word such as "user-busy",
// counter how many diversions it stands for, left out below 2.
func NewDiversion(who URI, reason string, counter int) Diversion {
	d := Diversion{NameAddr{URI: who}}
	if reason != "" {
		d.Address.Params = d.Address.Params.With("reason", reason)
	}
	if counter > 1 {
		d.Address.Params = d.Address.Params.With("counter", strconv.Itoa(min(counter, 99)))
	}
	return d
}

// Diversions are all Diversion entries that can be read, the last diversion first.
func (m *message) Diversions() []Diversion {
	var list []Diversion
	for _, n := range m.readable(hDiversion) {
		list = append(list, Diversion{n})
	}
	return list
}
