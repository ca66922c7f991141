package siptest

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
)

// Opcodes of WebSocket frames (RFC 6455 §5.2).
const (
	OpContinuation = 0x0
	OpText         = 0x1
	OpBinary       = 0x2
	OpClose        = 0x8
	OpPing         = 0x9
	OpPong         = 0xA
)

// Frame is one WebSocket frame (RFC 6455 §5.2), valid or not.
type Frame struct {
	Fin     bool // the last frame of its message
	RSV     byte // the three reserved bits, as the lowest
	Opcode  byte
	Masked  bool // as all frames of a client have to be
	Payload []byte
}

// maxFrame bounds what a test can be made to read at once.
const maxFrame = 64 << 20

// readFrame reads one frame and unmasks it.
func readFrame(r io.Reader) (Frame, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:2]); err != nil {
		return Frame{}, err
	}
	f := Frame{
		Fin:    head[0]&0x80 != 0,
		RSV:    head[0] >> 4 & 0x7,
		Opcode: head[0] & 0xF,
		Masked: head[1]&0x80 != 0,
	}
	length := uint64(head[1] & 0x7F)
	switch length {
	case 126:
		if _, err := io.ReadFull(r, head[:2]); err != nil {
			return Frame{}, err
		}
		length = uint64(binary.BigEndian.Uint16(head[:]))
	case 127:
		if _, err := io.ReadFull(r, head[:8]); err != nil {
			return Frame{}, err
		}
		length = binary.BigEndian.Uint64(head[:])
	}
	if length > maxFrame {
		return Frame{}, errors.New("siptest: frame too large")
	}
	var mask [4]byte
	if f.Masked {
		if _, err := io.ReadFull(r, mask[:]); err != nil {
			return Frame{}, err
		}
	}
	f.Payload = make([]byte, length)
	if _, err := io.ReadFull(r, f.Payload); err != nil {
		return Frame{}, err
	}
	if f.Masked {
		for i := range f.Payload {
			f.Payload[i] ^= mask[i%4]
		}
	}
	return f, nil
}

// appendFrame appends a frame as it stands on the wire. A masked one gets the
// mask zero, which leaves the payload readable.
func appendFrame(b []byte, f Frame) []byte {
	first := f.RSV&0x7<<4 | f.Opcode&0xF
	if f.Fin {
		first |= 0x80
	}
	var masked byte
	if f.Masked {
		masked = 0x80
	}
	switch n := len(f.Payload); {
	case n < 126:
		b = append(b, first, masked|byte(n))
	case n < 1<<16:
		b = append(b, first, masked|126)
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b = append(b, first, masked|127)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	if f.Masked {
		b = append(b, 0, 0, 0, 0)
	}
	return append(b, f.Payload...)
}

// acceptKey is the Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 §4.2.2
// step 5).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
