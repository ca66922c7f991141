package session

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"strconv"
)

// origin owns the o= line of a dialog's own descriptions: one sess-id for the
// life of the dialog, its version one higher for each different description
// sent and the same for an identical one (RFC 3264 §8, RFC 8866 §5.2). The
// Media cannot: a fresh one inside the call starts over, and an abandoned
// offer counts for it.
type origin struct {
	id      uint64
	version uint64
	last    []byte // the description sent last, without its o= line
}

// stamp returns d with the dialog's own o= line in place of the Media's.
// What is not SDP passes unchanged.
func (o *origin) stamp(d Description) Description {
	start, end, ok := originLine(d.Body)
	if !ok {
		return d
	}
	if o.id == 0 {
		o.id = newSessionID()
		o.version = 1
	}
	rest := append(append([]byte(nil), d.Body[:start]...), d.Body[end:]...)
	if o.last != nil && !bytes.Equal(rest, o.last) {
		o.version++
	}
	o.last = rest
	body := append([]byte(nil), d.Body[:start]...)
	body = append(body, "o=- "...)
	body = strconv.AppendUint(body, o.id, 10)
	body = append(body, ' ')
	body = strconv.AppendUint(body, o.version, 10)
	body = append(body, " IN IP4 127.0.0.1"...)
	body = append(body, d.Body[end:]...)
	return Description{ContentType: d.ContentType, Body: body}
}

// originLine finds the o= line, without its line end.
func originLine(sdp []byte) (start, end int, ok bool) {
	start = bytes.Index(sdp, []byte("\no="))
	if start < 0 {
		return 0, 0, false
	}
	start++
	n := bytes.IndexAny(sdp[start:], "\r\n")
	if n < 0 {
		return start, len(sdp), true
	}
	return start, start + n, true
}

// newSessionID returns a random sess-id that fits a signed 64-bit integer, as
// some parsers want (RFC 3264 §5).
func newSessionID() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])>>2 | 1
}
