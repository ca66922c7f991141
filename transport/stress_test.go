package transport_test

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/gosipua/sipua/transport"
)

// order checks what Events promise of each flow.
type order struct {
	mu     sync.Mutex
	state  map[*transport.Flow]string
	errs   []string
	inside map[*transport.Flow]int
}

func (o *order) step(f *transport.Flow, from, to string) func() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state[f] != from {
		o.errs = append(o.errs, to+" after "+o.state[f])
	}
	if o.inside[f]++; o.inside[f] > 1 {
		o.errs = append(o.errs, "two events of one flow at once")
	}
	o.state[f] = to
	return func() { o.mu.Lock(); o.inside[f]--; o.mu.Unlock() }
}

func (o *order) events() transport.Events {
	return transport.Events{
		Up:      func(f *transport.Flow) { o.step(f, "", "up")() },
		Message: func(f *transport.Flow, _ []byte) { o.step(f, "up", "up")() },
		TooLong: func(f *transport.Flow, _ []byte) { o.step(f, "up", "up")() },
		Down: func(f *transport.Flow, err error) {
			if !errors.Is(err, net.ErrClosed) {
				o.mu.Lock()
				o.errs = append(o.errs, err.Error())
				o.mu.Unlock()
			}
			o.step(f, "up", "down")()
		},
	}
}

// Many goroutines send, fail, leave, check, set and close while the server comes and goes: no
// deadlock, nothing left, and each sender's messages arrive in order.
func TestEverythingAtOnce(t *testing.T) {
	for range 5 {
		synctest.Test(t, func(t *testing.T) {
			var m memory
			type seen map[uint32]uint32
			serve(t, m.listen("a:80"), sipHandler(func(c *websocket.Conn) {
				last := seen{}
				ends := time.Now().Add(rand.N(time.Minute))
				for time.Now().Before(ends) {
					_, data, err := c.ReadMessage()
					if err != nil {
						return
					}
					if len(data) < 8 { // a keep-alive
						c.WriteMessage(websocket.TextMessage, []byte("\r\n"))
						continue
					}
					who, n := binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:])
					if n <= last[who] {
						t.Errorf("message %d of %d after %d", n, who, last[who])
					}
					last[who] = n
					if n%3 == 0 && c.WriteMessage(websocket.BinaryMessage, data) != nil {
						return
					}
				}
			}))
			o := &order{state: map[*transport.Flow]string{}, inside: map[*transport.Flow]int{}}
			p := transport.NewPool(transport.Options{Servers: servers("ws://a"), DialContext: m.DialContext,
				MaxMessage: 1000, KeepAliveInterval: time.Second, Events: o.events(), Gate: transport.NewGate(1, 3),
				Exclude: func(transport.Server) bool { return rand.IntN(4) == 0 }})
			p.Start()
			began := time.Now()
			var wg sync.WaitGroup
			for who := range uint32(8) {
				wg.Add(1)
				go func() {
					defer wg.Done()
					msg := binary.BigEndian.AppendUint32(nil, who)
					for n := uint32(1); ; n++ {
						time.Sleep(rand.N(100 * time.Millisecond))
						f := p.Flow()
						if f == nil {
							if rand.IntN(10) == 0 {
								p.Check()
							}
							if time.Since(began) > 3*time.Minute {
								return
							}
							continue
						}
						f.Send(append(binary.BigEndian.AppendUint32(msg[:4:4], n), make([]byte, rand.IntN(900))...))
						switch rand.IntN(200) {
						case 0:
							f.Fail(io.ErrClosedPipe)
						case 1:
							f.SetKeepAlive(rand.N(time.Minute))
						case 2:
							f.Leave(io.ErrUnexpectedEOF, rand.N(5*time.Second))
						case 3, 4:
							f.Sleep(rand.N(time.Minute))
						case 5:
							f.Freeze(rand.N(time.Minute))
						case 6, 7, 8:
							p.Check()
						}
					}
				}()
			}
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			for range 3 {
				wg.Add(1)
				go func() { defer wg.Done(); p.Close() }()
			}
			wg.Wait()
			for _, e := range o.errs {
				t.Error(e)
			}
			if len(o.state) < 3 {
				t.Errorf("only %d flows in two minutes of trouble", len(o.state))
			}
			for f, s := range o.state {
				if s != "down" || f.Err() == nil {
					t.Errorf("flow %d ends %s", f.ID(), s)
				}
			}
		})
	}
}

// FuzzInbound feeds bytes to the reader behind a good handshake. Whatever they are,
// nothing panics, nothing is handed up that breaks a limit, and the flow ends.
func FuzzInbound(f *testing.F) {
	f.Add([]byte("\x81\x05hello"))
	f.Add([]byte("\x01\x02he\x89\x01x\x80\x03llo\x81\x04\r\n\r\n"))
	f.Add([]byte("\x82\x7e\x00\x80" + "0123456789"))
	f.Add([]byte("\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte("\x88\x02\x03\xe8"))
	f.Add([]byte("\x8a\x00\x88\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		synctest.Test(t, func(t *testing.T) {
			const limit, hard = 20, 100
			_, r, c := connected(t, transport.Options{MaxMessage: limit, HardLimit: hard})
			go func() { io.Copy(io.Discard, c) }()
			c.Write(in)
			c.Close()
			for {
				switch e := <-r.events; e.kind {
				case "message":
					if len(e.data) > limit || e.data == "" || e.data == "\r\n" || e.data == "\r\n\r\n" {
						t.Fatalf("handed up %q", e.data)
					}
				case "toolong":
					if len(e.data) != limit {
						t.Fatalf("head of %d bytes", len(e.data))
					}
				case "down":
					if !errors.Is(e.err, net.ErrClosed) {
						t.Fatal(e.err)
					}
					return
				}
			}
		})
	})
}
