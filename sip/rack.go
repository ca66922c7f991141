package sip

import (
	"math"
	"strconv"
)

// RAck is the RAck field of a PRACK (RFC 3262 §7.2): which reliable provisional response it acknowledges.
type RAck struct {
	RSeq uint32
	CSeq CSeq
}

// String is the value as written on the wire: "776656 1 INVITE".
func (r RAck) String() string {
	b := strconv.AppendUint(make([]byte, 0, 32), uint64(r.RSeq), 10)
	return string(r.CSeq.AppendTo(append(b, ' ')))
}

// RAck is the RAck field; ok is false when there is none that can be read.
func (m *message) RAck() (r RAck, ok bool) {
	value, _ := m.value(hRAck)
	end := 0
	for end < len(value) && isDigit(value[end]) {
		end++
	}
	n, ok := parseUint(value[:end], math.MaxUint32)
	if !ok || end == len(value) || !isBlank(value[end]) || !r.CSeq.parse(trimLeft(value[end:])).ok() {
		return RAck{}, false
	}
	r.RSeq = uint32(n)
	return r, true
}

// RSeq is the RSeq field (RFC 3262 §7.1); ok is false when there is none that can be read.
func (m *message) RSeq() (uint32, bool) {
	value, _ := m.value(hRSeq)
	n, ok := parseUint(value, math.MaxUint32)
	return uint32(n), ok
}
