package transport

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// handshakeLimit bounds what a server or proxy may send before the flow is up:
// certificates and header fields.
const handshakeLimit = 256 << 10

var errHandshakeLimit = errors.New("handshake longer than 256 KiB")

// wire is the network connection under TLS and WebSocket. It notes when bytes
// come in, and gathers the frames of one batch into one write.
type wire struct {
	net.Conn
	start  time.Time // origin of lastIn
	lastIn atomic.Int64
	reads  atomic.Uint32 // grows with every read that brought bytes
	up     atomic.Bool   // the handshake is over
	closed atomic.Bool

	handshake int // bytes read before up; owned by whoever shakes hands

	mu     sync.Mutex
	corked bool    // guarded by mu
	out    *buffer // guarded by mu; set while corked
}

func newWire(c net.Conn) *wire { return &wire{Conn: c, start: time.Now()} }

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.lastIn.Store(int64(time.Since(w.start)))
		w.reads.Add(1)
		if !w.up.Load() {
			if w.handshake += n; w.handshake > handshakeLimit {
				return 0, errHandshakeLimit
			}
		}
	}
	return n, err
}

// inbound returns when bytes last came in, and a number that changes whenever
// some do.
func (w *wire) inbound() (time.Time, uint32) {
	seq := w.reads.Load()
	return w.start.Add(time.Duration(w.lastIn.Load())), seq
}

func (w *wire) Write(p []byte) (int, error) {
	if w.gather(p) {
		return len(p), nil
	}
	return w.Conn.Write(p)
}

// gather keeps p for flush, while corked.
func (w *wire) gather(p []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.corked {
		w.out.b = append(w.out.b, p...)
	}
	return w.corked
}

// limit bounds the writes to come.
func (w *wire) limit(deadline time.Time) error { return w.Conn.SetWriteDeadline(deadline) }

// SetWriteDeadline leaves what limit has set when gorilla, which knows of no deadline
// of ours, is about to take it away. Others' are taken: of a Close frame that gorilla
// writes itself, of the alert that ends TLS.
func (w *wire) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		return nil
	}
	return w.Conn.SetWriteDeadline(t)
}

// cork makes writes gather until uncork. Only the flow's writer corks.
func (w *wire) cork() {
	w.mu.Lock()
	w.corked, w.out = true, takeBuffer()
	w.mu.Unlock()
}

func (w *wire) gathered() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.out.b)
}

// flush writes what was gathered. TLS and gorilla may write from the reader
// meanwhile (key update, protocol error): that gathers behind it, in order.
func (w *wire) flush(deadline time.Time) error {
	w.mu.Lock()
	full := w.out
	w.out = takeBuffer()
	w.mu.Unlock()
	defer full.release()
	if err := w.limit(deadline); err != nil {
		return err
	}
	_, err := w.Conn.Write(full.b)
	return err
}

// uncork writes the rest and lets writes through again.
func (w *wire) uncork(deadline time.Time) error {
	for {
		w.mu.Lock()
		if len(w.out.b) == 0 {
			out := w.out
			w.corked, w.out = false, nil
			w.mu.Unlock()
			out.release()
			return nil
		}
		w.mu.Unlock()
		if err := w.flush(deadline); err != nil {
			return err
		}
	}
}

func (w *wire) Close() error {
	if w.closed.Swap(true) {
		return nil
	}
	return w.Conn.Close()
}
