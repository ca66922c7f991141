package transport

import (
	"errors"
	"fmt"
	"math/bits"
	"net"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// control is a set of small frames waiting to be written. A second frame of a kind
// joins the first one: a peer that floods us with pings gets one pong
// (RFC 6455 §5.5.3), and the queue does not grow.
type control uint8

const (
	sendPing     control = 1 << iota
	sendPong             // with Flow.pong
	sendCRLFPing         // RFC 5626 §4.4.1
	sendCRLFPong
)

const (
	crlfPing = "\r\n\r\n"
	crlfPong = "\r\n"
)

// gatherLimit is how much of a batch goes out in one write to the network.
const gatherLimit = 32 << 10

// Send queues a copy of msg, one SIP message, to be written as one WebSocket frame
// (RFC 7118 §5): text if it is valid UTF-8, else binary. It does not block. That
// the message was written is not known when it returns, only that it will leave
// behind all those sent before, or else the flow goes down.
//
// The error is a [*FlowError] on a flow that is not up, which includes one that
// this very message overfilled, and ErrTooLong for a message longer than
// Options.MaxMessage.
func (f *Flow) Send(msg []byte) error {
	if len(msg) > f.pool.opt.MaxMessage {
		return ErrTooLong
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state != flowUp {
		return f.err
	}
	if f.out == nil {
		f.out = takeBuffer()
	}
	if f.inWrite+len(f.out.b)+len(msg) > f.pool.opt.MaxQueue {
		f.fail(fmt.Errorf("%w: more than %d bytes wait to be written", ErrStalled, f.pool.opt.MaxQueue))
		return f.err
	}
	f.out.b = append(f.out.b, msg...)
	f.ends = append(f.ends, len(f.out.b))
	f.startWriter()
	return nil
}

// ask queues control frames. It is called with mu held and the flow up.
func (f *Flow) ask(c control) {
	if c != 0 {
		f.control |= c
		f.startWriter()
	}
}

// startWriter is called with mu held.
func (f *Flow) startWriter() {
	if !f.writing {
		f.writing = true
		f.pool.tasks.add()
		go f.write()
	}
}

// batch is what the writer takes from the queue at once.
type batch struct {
	control control
	out     *buffer
	ends    []int
	close   int // code of the Close frame, 0 for none
}

// writeQueue writes until there is nothing left. It is the only writer of its flow
// while it runs.
//
// A flow that talks in turn starts it anew for each message, so the way of a lone
// message from here to the network has few and small frames: they fit into the stack
// that a goroutine begins with, which else would be copied to a larger one each time.
func (f *Flow) writeQueue() {
	defer f.pool.tasks.done()
	for f.take() {
		err := f.writeBatch()
		if err == nil {
			// TLS answers new keys from the reader, and never writes again after a
			// deadline that has passed.
			err = f.wire.limit(time.Time{})
		}
		if err != nil {
			f.mu.Lock()
			f.fail(writeError(err))
			f.mu.Unlock()
		}
	}
}

// take gives back the last batch and fills it with all that is queued. Without
// anything to write it ends the writer and returns false.
func (f *Flow) take() bool {
	b := &f.batch
	f.mu.Lock()
	f.written(b)
	*b = batch{control: f.control, out: f.out, ends: f.ends}
	if b.control&sendPong != 0 {
		f.pongOut = append(f.pongOut[:0], f.pong...)
	}
	f.pingOut[0] = f.live.number
	f.control, f.out, f.ends = 0, nil, nil
	if b.out != nil {
		f.inWrite = len(b.out.b)
	} else if b.control == 0 && f.state == flowClosing && f.closing == closeWaits {
		f.closing, b.close = closeTaken, f.code
	}
	if b.out != nil || b.control != 0 || b.close != 0 {
		f.mu.Unlock()
		return true
	}
	f.ends, b.ends = b.ends, nil
	f.writing = false
	last := f.finish()
	f.mu.Unlock()
	if last {
		f.hangUp()
	}
	return false
}

// written notes what became of b. It is called with mu held.
func (f *Flow) written(b *batch) {
	f.inWrite = 0
	if b.out != nil {
		b.out.release()
	}
	if f.ends == nil && cap(b.ends) <= 64 {
		f.ends = b.ends[:0] // kept for the next message: a flow that talks in turn allocates nothing
	}
	if f.state == flowUp && b.control&sendPing != 0 {
		f.live.pingWritten(time.Now(), f.pingOut[0])
		f.schedule()
	}
	if f.state == flowClosing && b.close != 0 {
		f.closing = closeSent
		f.cutAfter(linger)
	}
}

// writeBatch writes control frames first: they may overtake messages, and their
// senders wait for an answer within seconds. More than one frame goes out in as few
// writes to the network as may be.
func (f *Flow) writeBatch() error {
	b := &f.batch
	if len(b.ends)+bits.OnesCount8(uint8(b.control)) > 1 {
		f.wire.cork()
		if err := f.writeFrames(b); err != nil {
			return err
		}
		return f.wire.uncork(f.deadline())
	}
	if err := f.wire.limit(f.deadline()); err != nil {
		return err
	}
	if len(b.ends) == 1 {
		return f.writeMessage(b.out.b)
	}
	return f.writeControl(b)
}

func (f *Flow) writeFrames(b *batch) error {
	if err := f.writeControl(b); err != nil {
		return err
	}
	start := 0
	for _, end := range b.ends {
		if err := f.writeMessage(b.out.b[start:end]); err != nil {
			return err
		}
		start = end
		if f.wire.gathered() >= gatherLimit {
			if err := f.wire.flush(f.deadline()); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeMessage writes one frame: gorilla's buffer has room for the longest message.
func (f *Flow) writeMessage(msg []byte) error {
	kind := websocket.BinaryMessage
	if utf8.Valid(msg) {
		kind = websocket.TextMessage
	}
	w, err := f.conn.NextWriter(kind) // as WriteMessage does, without its frame
	if err != nil {
		return err
	}
	if _, err := w.Write(msg); err != nil {
		return err
	}
	return w.Close()
}

func (f *Flow) writeControl(b *batch) error {
	var errs [5]error // at most one frame of each kind
	if b.control&sendPong != 0 {
		errs[0] = f.conn.WriteMessage(websocket.PongMessage, f.pongOut)
	}
	if b.control&sendPing != 0 {
		errs[1] = f.conn.WriteMessage(websocket.PingMessage, f.pingOut[:])
	}
	if b.control&sendCRLFPong != 0 {
		errs[2] = f.conn.WriteMessage(websocket.TextMessage, []byte(crlfPong))
	}
	if b.control&sendCRLFPing != 0 {
		errs[3] = f.conn.WriteMessage(websocket.TextMessage, []byte(crlfPing))
	}
	if b.close != 0 {
		errs[4] = f.conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(b.close, ""))
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *Flow) deadline() time.Time { return time.Now().Add(f.pool.opt.WriteTimeout) }

func writeError(err error) error {
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return fmt.Errorf("%w: %w", ErrStalled, err)
	}
	return err
}
