package transport

import (
	"errors"
	"io"
	"slices"
	"time"

	"github.com/gorilla/websocket"
)

// firstRead is the room for a message before it proves to be longer.
const firstRead = 4 << 10

// read is the flow's reader. It never writes: two readers that answer each other
// with full buffers would wait for ever.
func (f *Flow) read() {
	defer f.pool.tasks.done()
	var err error
	for err == nil {
		var r io.Reader
		// No buffer is held while the flow is idle.
		if _, r, err = f.conn.NextReader(); err == nil {
			f.inside.Store(true)
			err = f.readMessage(r)
			f.inside.Store(false)
		}
	}
	f.readerEnds(err)
}

// readMessage reads one message, and of one too long the head only.
func (f *Flow) readMessage(r io.Reader) error {
	buf := takeBuffer()
	defer buf.release()
	buf.b = slices.Grow(buf.b[:0], firstRead)
	limit := f.pool.opt.MaxMessage
	for {
		if len(buf.b) == cap(buf.b) {
			buf.b = slices.Grow(buf.b, cap(buf.b))
		}
		n, err := r.Read(buf.b[len(buf.b):min(cap(buf.b), limit+1)])
		buf.b = buf.b[:len(buf.b)+n]
		switch {
		case len(buf.b) > limit:
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			if err != nil && err != io.EOF {
				return err
			}
			f.heard.Store(true)
			if f.taking() {
				f.pool.hooks.tooLong(f, buf.b[:limit])
			}
			return nil
		case err == io.EOF:
			f.deliver(buf.b)
			return nil
		case err != nil:
			return err
		}
	}
}

// deliver hands a message up, and keeps to itself what is no message: frames of
// nothing but CR and LF (RFC 7118 §6, RFC 5626 §4.4.1).
func (f *Flow) deliver(msg []byte) {
	switch {
	case !onlyCRLF(msg):
		f.heard.Store(true)
		if f.taking() {
			f.pool.hooks.message(f, msg)
		}
	case string(msg) == crlfPing:
		f.answer(sendCRLFPong)
	case string(msg) == crlfPong:
		f.gotCRLFPong()
	}
}

func onlyCRLF(msg []byte) bool {
	for _, c := range msg {
		if c != '\r' && c != '\n' {
			return false
		}
	}
	return true
}

// taking reports whether messages are still handed up: not while closing.
func (f *Flow) taking() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state == flowUp
}

func (f *Flow) answer(c control) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state == flowUp {
		f.ask(c)
	}
}

func (f *Flow) gotPing(payload string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state == flowUp {
		f.pong = append(f.pong[:0], payload...)
		f.ask(sendPong)
	}
	return nil
}

func (f *Flow) gotPong(payload string) error {
	f.heard.Store(true)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state == flowUp {
		f.live.gotPong(time.Now(), payload)
		f.schedule()
	}
	return nil
}

func (f *Flow) gotCRLFPong() {
	f.heard.Store(true)
	f.mu.Lock()
	f.live.crlfPong()
	strict := f.live.strict
	f.mu.Unlock()
	if strict {
		f.pool.answersCRLF(f.index)
	}
}

// readerEnds tells why there is nothing more to read, and lets the pool recover.
func (f *Flow) readerEnds(err error) {
	var bye *websocket.CloseError
	answered := false
	switch {
	case errors.Is(err, websocket.ErrReadLimit):
		err = ErrHardLimit
	case errors.As(err, &bye) && bye.Code == websocket.CloseAbnormalClosure:
		err = io.ErrUnexpectedEOF // so gorilla calls an end without a Close frame
	case bye != nil:
		err = &CloseError{Code: bye.Code, Text: bye.Text}
		// It is answered behind what is queued (RFC 6455 §5.5.1).
		f.beginClose(answerCode(bye.Code), err, hurry)
		answered = true
	}
	f.mu.Lock()
	f.reading = false
	if !answered {
		f.fail(err) // nobody is left to write to
	}
	last := f.finish()
	cause := f.err
	f.mu.Unlock()
	if last {
		f.hangUp()
	}
	f.pool.ended(f, cause)
}

// answerCode returns the code that answers a Close frame with this one. That of a
// frame without one must not be sent (RFC 6455 §7.4.1).
func answerCode(code int) int {
	if code == websocket.CloseNoStatusReceived {
		return websocket.CloseNormalClosure
	}
	return code
}
