package main

import "math/bits"

// muLaw encodes a sample by the µ-law of ITU-T G.711: sign, segment and
// position in it, all inverted.
func muLaw(sample int16) byte {
	const bias, clip = 132, 32635
	x, sign := int(sample), byte(0)
	if x < 0 {
		x, sign = -x, 0x80
	}
	x = min(x, clip) + bias
	segment := bits.Len(uint(x)) - 8
	return ^(sign | byte(segment)<<4 | byte(x>>(segment+3))&0x0F)
}

// aLaw encodes a sample by the A-law of ITU-T G.711: sign, segment and position
// in it, every other bit inverted.
func aLaw(sample int16) byte {
	x, mask := int(sample)>>3, byte(0xD5)
	if x < 0 {
		x, mask = -x-1, 0x55
	}
	segment := max(0, bits.Len(uint(x))-5)
	return (byte(segment)<<4 | byte(x>>max(1, segment))&0x0F) ^ mask
}
