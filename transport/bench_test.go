package transport_test

import (
	"bytes"
	"net"
	"runtime"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/gosipua/sipua/transport"
)

// register is a REGISTER of ordinary length.
var register = bytes.Repeat([]byte("Via: SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK\r\n"), 12)

// inTurn exchanges messages one at a time with the echo server at url.
func inTurn(tb testing.TB, url string) func() {
	got := make(chan int)
	up := make(chan *transport.Flow, 1)
	p := transport.NewPool(transport.Options{
		Servers: []transport.Server{{URL: url}},
		Events: transport.Events{
			Up:      func(f *transport.Flow) { up <- f },
			Message: func(_ *transport.Flow, data []byte) { got <- len(data) },
		},
	})
	p.Start()
	tb.Cleanup(func() { p.Close() })
	f := <-up
	return func() {
		if err := f.Send(register); err != nil {
			tb.Fatal(err)
		}
		if n := <-got; n != len(register) {
			tb.Fatalf("%d bytes came back", n)
		}
	}
}

// bareInTurn does the same with gorilla alone: writes from the caller, and a
// goroutine that reads and hands over by channel.
func bareInTurn(tb testing.TB, url string) func() {
	d := websocket.Dialer{Subprotocols: []string{"sip"}}
	c, _, err := d.Dial(url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	got := make(chan int)
	go func() {
		defer close(got)
		for {
			_, data, err := c.ReadMessage()
			if err != nil {
				return
			}
			got <- len(data)
		}
	}()
	return func() {
		if err := c.WriteMessage(websocket.TextMessage, register); err != nil {
			tb.Fatal(err)
		}
		if n := <-got; n != len(register) {
			tb.Fatalf("%d bytes came back", n)
		}
	}
}

// rawEcho is an echo server that allocates nothing for a message.
func rawEcho(tb testing.TB) string {
	l := loopback(tb)
	s := serveRaw(tb, l, switching)
	done := make(chan struct{})
	tb.Cleanup(func() { close(s.conns); <-done })
	go func() {
		defer close(done)
		for c := range s.conns {
			s.wg.Add(1)
			go func() { defer s.wg.Done(); echoRaw(c) }()
		}
	}()
	return "ws://" + l.Addr().String()
}

func echoRaw(c net.Conn) {
	defer c.Close()
	var buf [8 << 10]byte
	have := 0
	for {
		n, err := c.Read(buf[have:])
		if err != nil {
			return
		}
		have += n
		if buf[0]&0x0f == closes {
			return
		}
		const head = 4 // of a masked frame of 126 bytes to 64 KiB, less the mask
		if have < head+4 {
			continue
		}
		size := int(buf[2])<<8 | int(buf[3])
		if have < head+4+size {
			continue
		}
		mask := buf[head : head+4]
		payload := buf[head+4 : head+4+size]
		for i := range payload {
			payload[i] ^= mask[i%4]
		}
		copy(buf[head:], payload)
		buf[1] = 126 // no mask
		if _, err := c.Write(buf[:head+size]); err != nil {
			return
		}
		have = 0
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	for name, dial := range map[string]func(testing.TB, string) func(){"transport": inTurn, "bare": bareInTurn} {
		b.Run(name, func(b *testing.B) {
			trip := dial(b, rawEcho(b))
			b.ReportAllocs()
			for b.Loop() {
				trip()
			}
		})
	}
}

// BenchmarkRoundTrips has 32 connections at work at once.
func BenchmarkRoundTrips(b *testing.B) {
	for name, dial := range map[string]func(testing.TB, string) func(){"transport": inTurn, "bare": bareInTurn} {
		b.Run(name, func(b *testing.B) {
			trips := make(chan func(), 32)
			url := rawEcho(b)
			for range cap(trips) {
				trips <- dial(b, url)
			}
			b.SetParallelism(cap(trips) / runtime.GOMAXPROCS(0))
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				trip := <-trips
				for pb.Next() {
					trip()
				}
				trips <- trip
			})
		})
	}
}

// BenchmarkIdleFlow reports what a flow at rest costs, the echo server's side of the
// connection included. Its time means nothing.
func BenchmarkIdleFlow(b *testing.B) {
	const flows = 500
	for name, dial := range map[string]func(testing.TB, string) func(){"transport": inTurn, "bare": bareInTurn} {
		b.Run(name, func(b *testing.B) {
			url := rawEcho(b)
			before := inUse()
			for range flows {
				dial(b, url)()
			}
			b.ReportMetric(float64(inUse()-before)/flows, "B/flow")
		})
	}
}

func inUse() uint64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
