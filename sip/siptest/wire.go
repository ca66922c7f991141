package siptest

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// wireBuffer is how many bytes a Wire holds in each direction before a write
// blocks, much as the socket buffers of a loopback connection do.
const wireBuffer = 64 << 10

// Wire is one end of an in-memory connection made by [Pipe]. It is a net.Conn
// with a buffer of 64 KiB in each direction, so that two ends that both write
// before they read do not block each other, as they would over net.Pipe. It
// honours deadlines, and everything that blocks on it blocks durably in the
// sense of testing/synctest when it was made inside the bubble.
//
// Beside the methods of net.Conn it has commands that make it fail. They may be
// given at any time from any goroutine.
type Wire struct {
	in, out *lane
	name    wireAddr
	peer    wireAddr
}

// Pipe returns the two ends of a new in-memory connection.
func Pipe() (*Wire, *Wire) {
	return pipe("left", "right")
}

func pipe(left, right string) (*Wire, *Wire) {
	there, back := newLane(), newLane()
	a := &Wire{in: back, out: there, name: wireAddr(left), peer: wireAddr(right)}
	b := &Wire{in: there, out: back, name: wireAddr(right), peer: wireAddr(left)}
	return a, b
}

// Read reads what the other end wrote. It blocks until there is something, the
// read deadline passes (os.ErrDeadlineExceeded), this end is closed
// (net.ErrClosed), the connection is cut (syscall.ECONNRESET), or the other end
// is closed and everything it wrote has been read (io.EOF).
func (w *Wire) Read(p []byte) (int, error) {
	n, err := w.in.read(p)
	return n, w.opError("read", err)
}

// Write writes to the other end. It blocks while the buffer is full, until the
// write deadline passes (os.ErrDeadlineExceeded), this end is closed
// (net.ErrClosed), the other end is closed (syscall.EPIPE) or the connection is
// cut (syscall.ECONNRESET). It returns how many bytes the buffer took.
func (w *Wire) Write(p []byte) (int, error) {
	n, err := w.out.write(p)
	return n, w.opError("write", err)
}

// Close closes this end. The other end reads what is in the buffer, then io.EOF.
func (w *Wire) Close() error {
	w.out.finish()
	w.in.abandon()
	return nil
}

// Cut breaks the connection: at both ends reads and writes, blocked ones too,
// fail with syscall.ECONNRESET, and what the buffers held is lost.
func (w *Wire) Cut() {
	w.in.cut()
	w.out.cut()
}

// Stall stops the delivery to this end: what the other end writes stays in the
// buffer until that is full, then its writes block. [Wire.Resume] ends it.
func (w *Wire) Stall() { w.in.hold(true, false) }

// Fill is Stall with a buffer that is full at once: the other end's next write
// blocks. [Wire.Resume] ends it.
func (w *Wire) Fill() { w.in.hold(true, true) }

// Resume ends what Stall and Fill began.
func (w *Wire) Resume() { w.in.hold(false, false) }

// Delay makes everything that this end writes from now on arrive d later, in
// order. Zero ends it for what is written afterwards.
func (w *Wire) Delay(d time.Duration) { w.out.setDelay(d) }

// LocalAddr returns the name of this end; its network is "memory".
func (w *Wire) LocalAddr() net.Addr { return w.name }

// RemoteAddr returns the name of the other end.
func (w *Wire) RemoteAddr() net.Addr { return w.peer }

// SetDeadline sets the read and the write deadline, as net.Conn has it.
func (w *Wire) SetDeadline(t time.Time) error {
	w.in.setDeadline(&w.in.reading, t)
	w.out.setDeadline(&w.out.writing, t)
	return nil
}

// SetReadDeadline sets the read deadline; zero means none.
func (w *Wire) SetReadDeadline(t time.Time) error {
	w.in.setDeadline(&w.in.reading, t)
	return nil
}

// SetWriteDeadline sets the write deadline; zero means none.
func (w *Wire) SetWriteDeadline(t time.Time) error {
	w.out.setDeadline(&w.out.writing, t)
	return nil
}

func (w *Wire) opError(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "memory", Source: w.name, Addr: w.peer, Err: err}
}

type wireAddr string

func (a wireAddr) Network() string { return "memory" }
func (a wireAddr) String() string  { return string(a) }

// lane is one direction of a Wire.
type lane struct {
	mu   sync.Mutex
	cond sync.Cond

	// guarded by mu
	chunks    []chunk
	size      int           // bytes in chunks
	delay     time.Duration // added to what is written
	stalled   bool          // the reader gets nothing
	full      bool          // the writer finds no room
	finished  bool          // the writer's end is closed: EOF after the last byte
	abandoned bool          // the reader's end is closed
	broken    bool          // cut
	reading   deadline
	writing   deadline
	due       *time.Timer // wakes the reader for a delayed chunk
}

// A chunk is what was written with the same due time, zero for at once.
type chunk struct {
	data []byte
	due  time.Time
}

type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool {
	return !d.at.IsZero() && !time.Now().Before(d.at)
}

func newLane() *lane {
	l := &lane{}
	l.cond.L = &l.mu
	return l
}

func (l *lane) read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.abandoned:
			return 0, net.ErrClosed
		case l.broken:
			return 0, syscall.ECONNRESET
		case l.reading.passed():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case !l.stalled && l.ready():
			return l.take(p), nil
		case !l.stalled && l.finished && len(l.chunks) == 0:
			return 0, io.EOF
		}
		l.cond.Wait()
	}
}

// ready reports whether the first chunk may be read now, and otherwise arms the
// timer that wakes the reader when it may.
func (l *lane) ready() bool {
	if len(l.chunks) == 0 {
		return false
	}
	due := l.chunks[0].due
	if due.IsZero() {
		return true
	}
	wait := time.Until(due)
	if wait <= 0 {
		return true
	}
	l.arm(&l.due, wait)
	return false
}

func (l *lane) take(p []byte) int {
	c := &l.chunks[0]
	n := copy(p, c.data)
	l.size -= n
	c.data = c.data[n:]
	if len(c.data) == 0 {
		l.chunks[0] = chunk{}
		l.chunks = l.chunks[1:]
		if len(l.chunks) == 0 {
			l.chunks = nil // an idle lane holds no memory
		}
	}
	l.cond.Broadcast()
	return n
}

func (l *lane) write(p []byte) (n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.finished:
			return n, net.ErrClosed
		case l.broken:
			return n, syscall.ECONNRESET
		case l.abandoned:
			return n, syscall.EPIPE
		case l.writing.passed():
			return n, os.ErrDeadlineExceeded
		case len(p) == 0:
			return n, nil
		}
		if room := wireBuffer - l.size; room > 0 && !l.full {
			k := min(room, len(p))
			l.put(p[:k])
			p = p[k:]
			n += k
			continue
		}
		l.cond.Wait()
	}
}

// tryWrite is write without the waiting.
func (l *lane) tryWrite(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.finished:
		return 0, net.ErrClosed
	case l.broken:
		return 0, syscall.ECONNRESET
	case l.abandoned:
		return 0, syscall.EPIPE
	case l.full:
		return 0, nil
	}
	n := min(wireBuffer-l.size, len(p))
	if n > 0 {
		l.put(p[:n])
	}
	return n, nil
}

func (l *lane) put(p []byte) {
	var due time.Time
	if l.delay > 0 {
		due = time.Now().Add(l.delay)
	}
	last := len(l.chunks) - 1
	if last >= 0 && due.Before(l.chunks[last].due) {
		due = l.chunks[last].due // order before punctuality
	}
	if last >= 0 && due.Equal(l.chunks[last].due) {
		l.chunks[last].data = append(l.chunks[last].data, p...)
	} else {
		l.chunks = append(l.chunks, chunk{data: append([]byte(nil), p...), due: due})
	}
	l.size += len(p)
	l.cond.Broadcast()
}

func (l *lane) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.finished = true
	l.disarm(&l.writing.timer)
	l.cond.Broadcast()
}

func (l *lane) abandon() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.abandoned = true
	l.chunks, l.size = nil, 0
	l.disarm(&l.reading.timer)
	l.disarm(&l.due)
	l.cond.Broadcast()
}

func (l *lane) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = true
	l.chunks, l.size = nil, 0
	l.disarm(&l.due)
	l.cond.Broadcast()
}

func (l *lane) hold(stalled, full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stalled, l.full = stalled, full
	l.cond.Broadcast()
}

func (l *lane) setDelay(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = d
}

func (l *lane) setDeadline(d *deadline, t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.disarm(&d.timer)
	d.at = t
	ended := d == &l.reading && l.abandoned || d == &l.writing && l.finished
	if wait := time.Until(t); !t.IsZero() && wait > 0 && !ended {
		l.arm(&d.timer, wait)
	}
	l.cond.Broadcast()
}

// arm wakes everybody on the lane after wait. A wake-up too many is harmless:
// each waiter looks at the clock itself.
func (l *lane) arm(timer **time.Timer, wait time.Duration) {
	if *timer != nil {
		(*timer).Reset(wait)
		return
	}
	*timer = time.AfterFunc(wait, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.cond.Broadcast()
	})
}

func (l *lane) disarm(timer **time.Timer) {
	if *timer != nil {
		(*timer).Stop()
		*timer = nil
	}
}
