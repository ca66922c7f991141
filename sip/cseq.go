package sip

import (
	"math"
	"strconv"
)

// CSeq is the CSeq header field (RFC 3261 §20.16).
type CSeq struct {
	Seq    uint32 // ours stay below 2³¹ (§8.1.1.5)
	Method Method
}

// ParseCSeq reads a CSeq value. The error is a *[ParseError].
func ParseCSeq(s string) (CSeq, error) {
	var c CSeq
	if f := c.parse(s); !f.ok() {
		return CSeq{}, f.err("CSeq", s)
	}
	return c, nil
}

func (c *CSeq) parse(s string) fault {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	n, ok := parseUint(s[:i], math.MaxUint32)
	if !ok {
		return fault{0, "sequence number is no 32-bit number"}
	}
	method := trimLeft(s[i:])
	if len(method) == len(s)-i || !isToken(method) {
		return fault{i, "malformed method"}
	}
	c.Seq, c.Method = uint32(n), Method(method)
	return fault{}
}

// AppendTo appends the value as written on the wire.
func (c CSeq) AppendTo(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(c.Seq), 10)
	return appendName(append(b, ' '), string(c.Method))
}

// String is the value as written on the wire: "314159 INVITE".
func (c CSeq) String() string { return string(c.AppendTo(make([]byte, 0, 24))) }
