package siptest

import (
	"encoding/binary"
	"errors"
	"net"

	"github.com/gorilla/websocket"
)

var errFragmented = errors.New("siptest: WebSocket message in several frames")

// wholeFrames is a connection whose reader looks at the frames that come in, and
// ends it with 1008 when a message is not in one (RFC 6455 §5.4 allows more).
type wholeFrames struct {
	net.Conn
	c    *Conn
	head []byte // of the next frame, as far as it has come
	skip uint64 // bytes left of the present one
}

func (w *wholeFrames) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if !w.look(p[:n]) {
		b := buffers.Get().(*[]byte)
		*b = append((*b)[:0], websocket.FormatCloseMessage(websocket.ClosePolicyViolation, "no fragments")...)
		w.c.push(outgoing{kind: websocket.CloseMessage, data: b, last: true})
		w.c.flush()
		return 0, errFragmented
	}
	return n, err
}

// look reports false at a frame that is not a whole message.
func (w *wholeFrames) look(p []byte) bool {
	for len(p) > 0 {
		if w.skip > 0 {
			n := min(w.skip, uint64(len(p)))
			w.skip -= n
			p = p[n:]
			continue
		}
		w.head = append(w.head, p[0])
		p = p[1:]
		if len(w.head) == 1 && (w.head[0]&0x80 == 0 || w.head[0]&0xF == OpContinuation) {
			return false
		}
		if size, ok := frameSize(w.head); ok {
			w.head, w.skip = w.head[:0], size
		}
	}
	return true
}

// frameSize is how many bytes follow the head of a frame; false while that has
// not come whole.
func frameSize(head []byte) (uint64, bool) {
	if len(head) < 2 {
		return 0, false
	}
	size, long := uint64(head[1]&0x7F), 0
	switch size {
	case 126:
		long = 2
	case 127:
		long = 8
	}
	mask := 0
	if head[1]&0x80 != 0 {
		mask = 4
	}
	if len(head) < 2+long+mask {
		return 0, false
	}
	switch long {
	case 2:
		size = uint64(binary.BigEndian.Uint16(head[2:]))
	case 8:
		size = binary.BigEndian.Uint64(head[2:])
	}
	return size, true
}
