package benchmarks

import (
	"crypto/tls"
	"runtime"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/gosipua/sipua"
)

// BenchmarkIdle is what one idle registered UA costs, of a thousand: bytes of
// heap and stack, and goroutines. The server runs in a process of its own. The
// bare connection beside it is gorilla's with its read goroutine.
func BenchmarkIdle(b *testing.B) {
	server := startChild(b)
	trust := &tls.Config{RootCAs: server.roots, ClientSessionCache: nil}
	for _, scheme := range []struct {
		name, url string
	}{{"ws", server.ws}, {"wss", server.wss}} {
		b.Run(scheme.name+"/gorilla", func(b *testing.B) {
			idle(b, func() func() {
				d := websocket.Dialer{TLSClientConfig: trust, ReadBufferSize: 1024, WriteBufferSize: 1024, Subprotocols: []string{"sip"}}
				c, _, err := d.Dial(scheme.url+"/sip", nil)
				if err != nil {
					b.Fatal(err)
				}
				go func() {
					for {
						if _, _, err := c.ReadMessage(); err != nil {
							return
						}
					}
				}()
				return func() { c.Close() }
			})
		})
		b.Run(scheme.name+"/sipua", func(b *testing.B) {
			yes := true
			idle(b, func() func() {
				ua := startUA(b, scheme.url+"/sip", func(c *sipua.Config) {
					c.Register = &yes
					c.PingInterval = time.Hour
					c.WSServers[0].TLSConfig = trust
				})
				return func() { ua.Close() }
			})
		})
	}
}

// idle makes a thousand of something and reports what each costs.
func idle(b *testing.B, start func() (stop func())) {
	const n = 1000
	for b.Loop() {
		before, goroutines := footprint()
		stops := make([]func(), n)
		for i := range stops {
			stops[i] = start()
		}
		after, more := footprint()
		b.ReportMetric(float64(after-before)/n, "B/each")
		b.ReportMetric(float64(more-goroutines)/n, "goroutines/each")
		for _, stop := range stops {
			stop()
		}
	}
	b.ReportMetric(0, "ns/op")
}

func footprint() (bytes uint64, goroutines int) {
	var m runtime.MemStats
	for range 3 { // buffers in pools go with the second collection
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse, runtime.NumGoroutine()
}
