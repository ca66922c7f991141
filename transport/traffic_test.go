package transport_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/gosipua/sipua/transport"
)

// connected is a flow to a raw peer in memory.
func connected(t *testing.T, o transport.Options) (*transport.Flow, *recorder, *end) {
	t.Helper()
	m := new(memory)
	raw := serveRaw(t, m.listen("a:80"), switching)
	o.Servers, o.DialContext = servers("ws://a"), m.DialContext
	_, r := start(t, o)
	up := r.until("up")
	return up.flow, r, (<-raw.conns).(*end)
}

// send writes an unmasked frame, as servers do.
func send(t *testing.T, w io.Writer, first byte, payload string) {
	t.Helper()
	head := []byte{first, byte(len(payload))}
	switch n := len(payload); {
	case n > 0xffff:
		head = []byte{first, 127, 0, 0, 0, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	case n > 125:
		head = []byte{first, 126, byte(n >> 8), byte(n)}
	}
	if _, err := w.Write(append(head, payload...)); err != nil {
		t.Error(err)
	}
}

func expectFrame(t *testing.T, r io.Reader, opcode int, payload string) {
	t.Helper()
	f, err := readFrame(r)
	if err != nil || f.opcode != opcode || !f.fin || string(f.payload) != payload {
		t.Fatalf("got opcode %d fin %v %.40q, %v; want opcode %d %.40q",
			f.opcode, f.fin, f.payload, err, opcode, payload)
	}
}

const (
	text   = 1
	opaque = 2
	closes = 8
	ping   = 9
	pong   = 10
	fin    = 0x80
)

func TestMessagesIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flow, r, c := connected(t, transport.Options{})
		long := strings.Repeat("0123456789abcdef", 4<<10) // 64 KiB, the longest that fits
		for _, tt := range []struct {
			name string
			send func()
			want string
		}{
			{"text", func() { send(t, c, fin|text, "one") }, "one"},
			{"binary", func() { send(t, c, fin|opaque, "tw\xffo") }, "tw\xffo"},
			{"fragments", func() {
				send(t, c, text, "th")
				send(t, c, 0, "re")
				send(t, c, fin, "e")
			}, "three"},
			{"fragments around a ping", func() {
				send(t, c, opaque, "fo")
				send(t, c, fin|ping, "x")
				send(t, c, fin, "ur")
			}, "four"},
			{"CRLF before a message", func() { send(t, c, fin|text, "\r\nfive") }, "\r\nfive"},
			{"byte by byte", func() {
				for _, b := range []byte("\x81\x03six") {
					time.Sleep(time.Second)
					c.Write([]byte{b})
				}
			}, "six"},
			{"longest", func() { send(t, c, fin|text, long) }, long},
		} {
			go tt.send()
			got := r.next(t, "message")
			if got.data != tt.want || got.flow != flow {
				t.Errorf("%s: got %.40q", tt.name, got.data)
			}
		}
		r.none(t)
	})
}

// A message leaves as one frame, whatever its length and what it holds.
func TestOneFrameOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flow, _, c := connected(t, transport.Options{})
		for _, tt := range []struct {
			msg    string
			opcode int
		}{
			{"short", text},
			{strings.Repeat("ü", 10<<10), text}, // 20 KB
			{strings.Repeat("x", 64<<10), text},
			{"not UTF-8: \xff", opaque},
			{"", text},
		} {
			if err := flow.Send([]byte(tt.msg)); err != nil {
				t.Fatal(err)
			}
			expectFrame(t, c, tt.opcode, tt.msg)
		}
		if err := flow.Send(make([]byte, 64<<10+1)); err != transport.ErrTooLong {
			t.Errorf("64 KiB and one: %v", err)
		}
		if err := flow.Send([]byte("still up")); err != nil {
			t.Error(err)
		}
		expectFrame(t, c, text, "still up")
	})
}

// Send copies, keeps order, and gathers what waits into few writes.
func TestSendQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flow, _, c := connected(t, transport.Options{})
		fill := bytes.Repeat([]byte("f"), 60<<10)
		flow.Send(fill)
		flow.Send(fill) // the wire is full: the rest has to wait
		synctest.Wait()
		before := c.in.writes
		msg := make([]byte, 0, 16)
		for i := range 300 {
			msg = fmt.Appendf(msg[:0], "message %d", i)
			if err := flow.Send(msg); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		expectFrame(t, c, text, string(fill))
		expectFrame(t, c, text, string(fill))
		for i := range 300 {
			expectFrame(t, c, text, fmt.Sprintf("message %d", i))
		}
		if n := c.in.writes - before; n > 2 {
			t.Errorf("300 waiting messages took %d writes", n)
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flow, r, _ := connected(t, transport.Options{})
		msg := make([]byte, 1000)
		sent := 0
		var err error
		for err == nil && sent < 2<<20 {
			if err = flow.Send(msg); err == nil {
				sent += len(msg)
			}
			synctest.Wait()
		}
		// 1 MiB in the queue, of which 64 KiB and a frame may have left it.
		if sent < 1<<20 || sent > 1<<20+wireRoom+wireRoom {
			t.Errorf("took %d bytes", sent)
		}
		for _, err := range []error{err, r.next(t, "down").err, flow.Err()} {
			var fe *transport.FlowError
			if !errors.Is(err, transport.ErrStalled) || !errors.Is(err, net.ErrClosed) || !errors.As(err, &fe) || fe.Flow != 1 {
				t.Errorf("error %v", err)
			}
		}
		if next := r.next(t, "connecting"); next.attempt != 2 {
			t.Errorf("attempt %d", next.attempt)
		}
	})
}

func TestWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flow, r, c := connected(t, transport.Options{PingInterval: -1})
		began := time.Now()
		flow.Send(make([]byte, 60<<10))
		flow.Send(make([]byte, 60<<10))
		time.Sleep(7 * time.Second)
		c.Read(make([]byte, 100)) // too little to let the frame through
		down := r.next(t, "down")
		if got := down.at.Sub(began); got != 8*time.Second || !errors.Is(down.err, transport.ErrStalled) {
			t.Errorf("down after %v with %v", got, down.err)
		}
	})
}

// A message too long is dropped but for its head, and the flow lives on.
func TestTooLong(t *testing.T) {
	for _, size := range []int{64<<10 + 1, 65 << 10, 1 << 20, 5 << 20} {
		for _, pieces := range []int{1, 7} {
			t.Run(fmt.Sprintf("%d bytes in %d frames", size, pieces), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					flow, r, c := connected(t, transport.Options{})
					msg := strings.Repeat("0123456789abcdef", size/16+1)[:size]
					go func() {
						op, rest := byte(text), msg
						for range pieces - 1 {
							send(t, c, op, rest[:size/pieces])
							op, rest = 0, rest[size/pieces:]
						}
						send(t, c, fin|op, rest)
						send(t, c, fin|text, "after")
					}()
					if e := r.next(t, "toolong"); e.data != msg[:64<<10] || e.flow != flow {
						t.Errorf("head of %d bytes", len(e.data))
					}
					if e := r.next(t, "message"); e.data != "after" {
						t.Errorf("then got %.40q", e.data)
					}
					flow.Send([]byte("513"))
					expectFrame(t, c, text, "513")
				})
			})
		}
	}
}

func TestHardLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r, c := connected(t, transport.Options{})
		go func() { // 17 MiB in fragments of 1 MiB
			piece := strings.Repeat("x", 1<<20)
			c.Write([]byte{text, 127, 0, 0, 0, 0, 0, 0x10, 0, 0})
			for range 17 {
				if _, err := io.WriteString(c, piece+"\x00\x7f\x00\x00\x00\x00\x00\x10\x00\x00"); err != nil {
					return
				}
			}
		}()
		if err := r.next(t, "down").err; !errors.Is(err, transport.ErrHardLimit) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("down with %v", err)
		}
		expectFrame(t, c, closes, "\x03\xf1") // 1009
	})
}

// An announced length is not believed before the bytes are there.
func TestAnnouncedLengthAllocatesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r, c := connected(t, transport.Options{})
		c.Write([]byte{fin | text, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
		if err := r.next(t, "down").err; !errors.Is(err, transport.ErrHardLimit) {
			t.Errorf("down with %v", err)
		}
	})
}

// Half a message is none, whether short or too long.
func TestEndInsideMessage(t *testing.T) {
	for _, size := range []int{100, 100 << 10} {
		synctest.Test(t, func(t *testing.T) {
			_, r, c := connected(t, transport.Options{})
			c.Write([]byte{fin | text, 127, 0, 0, 0, 0, 0, byte(size >> 16), byte(size >> 8), byte(size)})
			go func() {
				c.Write(make([]byte, size-1))
				c.Close()
			}()
			if err := r.next(t, "down").err; !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("down with %v", err)
			}
		})
	}
}

// A connection that breaks takes the flow down, be it under a single message or
// within a batch.
func TestWriteFails(t *testing.T) {
	for _, read := range []int{0, 2, 3, 4} { // frames the peer takes before
		synctest.Test(t, func(t *testing.T) {
			flow, r, c := connected(t, transport.Options{})
			flow.Send(make([]byte, 60<<10))
			flow.Send(make([]byte, 60<<10))
			synctest.Wait() // the writer is stuck, and the rest is one batch
			for range 10 {
				flow.Send(make([]byte, 20<<10))
			}
			for range read {
				readFrame(c)
			}
			synctest.Wait() // stuck again
			c.in.mu.Lock()
			c.in.broken = true // the reader sees no end of it, the writer does
			c.in.moved.Broadcast()
			c.in.mu.Unlock()
			if err := r.next(t, "down").err; !strings.Contains(err.Error(), "connection reset") {
				t.Errorf("down with %v", err)
			}
		})
	}
}

func TestPingIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r, c := connected(t, transport.Options{})
		payload := strings.Repeat("p", 125)
		send(t, c, fin|ping, payload)
		expectFrame(t, c, pong, payload)
		send(t, c, fin|ping, "")
		expectFrame(t, c, pong, "")
		r.none(t)
	})
}

// A peer that pings and does not read gets one pong when it does, for the last of
// its pings (RFC 6455 §5.5.3), and the reader is not held up meanwhile.
func TestPingFloodWithoutReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flow, r, c := connected(t, transport.Options{})
		fill := make([]byte, 60<<10)
		flow.Send(fill)
		flow.Send(fill)
		synctest.Wait() // the writer is stuck now
		for i := range 1000 {
			send(t, c, fin|ping, fmt.Sprint(i))
			send(t, c, fin|text, "\r\n\r\n")
		}
		send(t, c, fin|text, "heard")
		if got := r.next(t, "message"); got.data != "heard" {
			t.Errorf("got %q", got.data)
		}
		expectFrame(t, c, text, string(fill))
		expectFrame(t, c, text, string(fill))
		expectFrame(t, c, pong, "999")
		expectFrame(t, c, text, "\r\n")
		flow.Send([]byte("next"))
		expectFrame(t, c, text, "next")
	})
}

func TestCRLF(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r, c := connected(t, transport.Options{})
		send(t, c, fin|text, "\r\n\r\n")
		expectFrame(t, c, text, "\r\n")
		send(t, c, fin|opaque, "\r\n\r\n")
		expectFrame(t, c, text, "\r\n")
		for _, noise := range []string{"\r\n", "", "\n", "\r\n\r\n\r\n"} {
			send(t, c, fin|text, noise)
		}
		send(t, c, fin|ping, "end")
		expectFrame(t, c, pong, "end") // nothing came before
		r.none(t)
	})
}

func TestPeerCloses(t *testing.T) {
	for _, tt := range []struct {
		frame  string
		code   int
		text   string
		answer string
	}{
		{"\x03\xe9going away", 1001, "going away", "\x03\xe9"},
		{"\x03\xe8", 1000, "", "\x03\xe8"},
		{"", websocket.CloseNoStatusReceived, "", "\x03\xe8"},
	} {
		synctest.Test(t, func(t *testing.T) {
			flow, r, c := connected(t, transport.Options{})
			send(t, c, fin|closes, tt.frame)
			err := r.next(t, "down").err
			var ce *transport.CloseError
			if !errors.As(err, &ce) || ce.Code != tt.code || ce.Text != tt.text || !errors.Is(err, net.ErrClosed) {
				t.Errorf("down with %v", err)
			}
			if err := flow.Send(nil); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Send: %v", err)
			}
			expectFrame(t, c, closes, tt.answer)
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("connection not closed: %v", err)
			}
		})
	}
}

func TestProtocolErrorEndsFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r, c := connected(t, transport.Options{})
		c.Write([]byte{fin | 3, 0}) // a reserved opcode
		if err := r.next(t, "down").err; !strings.Contains(err.Error(), "bad opcode") {
			t.Errorf("down with %v", err)
		}
	})
}

func TestFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flow, r, _ := connected(t, transport.Options{})
		dead := errors.New("no answer to REGISTER")
		flow.Fail(dead)
		flow.Fail(errors.New("another"))
		if err := flow.Send(nil); !errors.Is(err, dead) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("Send: %v", err)
		}
		down := r.next(t, "down")
		if !errors.Is(down.err, dead) || down.err.Error() != "transport: flow 1 to ws://a is down: no answer to REGISTER" {
			t.Errorf("down with %v", down.err)
		}
		r.next(t, "connecting")
	})
}
