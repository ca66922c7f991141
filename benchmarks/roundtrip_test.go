package benchmarks

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/emiago/sipgo"
	gosip "github.com/emiago/sipgo/sip"
	"github.com/gorilla/websocket"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// register is a REGISTER as sipua writes it, for the echo to carry the same
// bytes.
const register = "REGISTER sip:example.com SIP/2.0\r\n" +
	"Via: SIP/2.0/WS wjhqzbprxhmg.invalid;branch=z9hG4bKq2x7wmp5kdxq6yt3mvw5hshk5a\r\n" +
	"Max-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=jq5z7ch3v2wkrl6t\r\nTo: <sip:alice@example.com>\r\n" +
	"Call-ID: 3q2zwnxj7cfp4kq6tvx5jd7rvy2mkgbw\r\nCSeq: 1 REGISTER\r\n" +
	"Contact: <sip:bq7xw2kd@wjhqzbprxhmg.invalid;transport=ws>\r\nUser-Agent: sipua\r\n" +
	"Supported: outbound, path, gruu\r\nContent-Length: 0\r\n\r\n"

// echoer is the bare limit: a gorilla connection whose read goroutine hands
// over by a channel.
type echoer struct {
	conn *websocket.Conn
	in   chan []byte
}

func newEchoer(b *testing.B, url string) *echoer {
	b.Helper()
	c, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	e := &echoer{c, make(chan []byte, 1)}
	go func() {
		defer close(e.in)
		for {
			_, msg, err := c.ReadMessage()
			if err != nil {
				return
			}
			e.in <- msg
		}
	}()
	return e
}

func (e *echoer) roundTrip(msg []byte) bool {
	return e.conn.WriteMessage(websocket.TextMessage, msg) == nil && len(<-e.in) > 0
}

func newUA(b *testing.B, url string, change func(*sipua.Config)) *sipua.UA {
	b.Helper()
	cfg := sipua.Config{URI: "sip:alice@example.com", WSServers: sipua.Servers(url), Register: new(bool), STUNServers: []string{}}
	if change != nil {
		change(&cfg)
	}
	ua, err := sipua.NewUA(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ua.Close() })
	if err := ua.Start(context.Background()); err != nil {
		b.Fatal(err)
	}
	return ua
}

func registerOnce(ua *sipua.UA) error {
	_, err := ua.Do(context.Background(), sip.NewRequest(sip.REGISTER, sip.URI{Scheme: "sip", Host: "example.com"}))
	return err
}

// sipgoClient is sipgo's client over the same server.
func sipgoClient(b *testing.B, url string) (*sipgo.Client, gosip.Uri) {
	b.Helper()
	host, port, err := net.SplitHostPort(strings.TrimPrefix(url, "ws://"))
	if err != nil {
		b.Fatal(err)
	}
	n, _ := strconv.Atoi(port)
	ua, err := sipgo.NewUA(sipgo.WithUserAgent("alice"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ua.Close() })
	c, err := sipgo.NewClient(ua, sipgo.WithClientHostname("127.0.0.1"))
	if err != nil {
		b.Fatal(err)
	}
	return c, gosip.Uri{Scheme: "sip", User: "alice", Host: host, Port: n}
}

func sipgoDo(b *testing.B, c *sipgo.Client, req *gosip.Request) {
	req.SetTransport("WS")
	res, err := c.Do(context.Background(), req)
	if err != nil {
		b.Fatal(err)
	}
	if res.StatusCode != 200 {
		b.Fatal(res.StatusCode)
	}
}

// BenchmarkRegister is one REGISTER and its answer at a time over loopback.
func BenchmarkRegister(b *testing.B) {
	url := local(b)
	b.Run("echo", func(b *testing.B) {
		e := newEchoer(b, url+"/echo")
		for b.Loop() {
			if !e.roundTrip([]byte(register)) {
				b.Fatal("lost")
			}
		}
	})
	b.Run("sipua", func(b *testing.B) {
		ua := newUA(b, url+"/sip", nil)
		b.ReportAllocs()
		for b.Loop() {
			if err := registerOnce(ua); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sipgo", func(b *testing.B) {
		c, uri := sipgoClient(b, rootServer(b))
		b.ReportAllocs()
		for b.Loop() {
			sipgoDo(b, c, gosip.NewRequest(gosip.REGISTER, uri))
		}
	})
}

// BenchmarkRegister32 is the same on 32 connections at once.
func BenchmarkRegister32(b *testing.B) {
	const conns = 32
	url := local(b)
	b.Run("echo", func(b *testing.B) {
		var all []*echoer
		for range conns {
			all = append(all, newEchoer(b, url+"/echo"))
		}
		spread(b, conns, func(i int) bool { return all[i].roundTrip([]byte(register)) })
	})
	b.Run("sipua", func(b *testing.B) {
		var all []*sipua.UA
		for range conns {
			all = append(all, newUA(b, url+"/sip", nil))
		}
		spread(b, conns, func(i int) bool { return registerOnce(all[i]) == nil })
	})
	b.Run("sipgo", func(b *testing.B) {
		var clients []*sipgo.Client
		var uri gosip.Uri
		server := rootServer(b)
		for range conns {
			var c *sipgo.Client
			c, uri = sipgoClient(b, server)
			clients = append(clients, c)
		}
		spread(b, conns, func(i int) bool {
			req := gosip.NewRequest(gosip.REGISTER, uri)
			req.SetTransport("WS")
			res, err := clients[i].Do(context.Background(), req)
			return err == nil && res.StatusCode == 200
		})
	})
}

// spread divides b.N round trips over n goroutines, one per connection.
func spread(b *testing.B, n int, roundTrip func(i int) bool) {
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	var failed atomic.Bool
	for i := range n {
		wg.Go(func() {
			for left.Add(-1) >= 0 && !failed.Load() {
				if !roundTrip(i) {
					failed.Store(true)
				}
			}
		})
	}
	wg.Wait()
	if failed.Load() {
		b.Fatal("lost")
	}
}

// mute is media that does nothing: what is measured is the signalling.
type mute struct{ session.Media }

func (mute) NewMedia(session.MediaOptions) (session.Media, error) { return mute{}, nil }
func (mute) Offer(context.Context, session.OfferOptions) (session.Description, error) {
	return session.Description{ContentType: "application/sdp", Body: []byte("v=0\r\n")}, nil
}
func (mute) SetAnswer(context.Context, session.Description, session.AnswerInfo) (session.MediaState, error) {
	return session.MediaState{}, nil
}
func (mute) Close() error { return nil }

// BenchmarkCall is INVITE, 180, 200, ACK, BYE, 200 without media.
func BenchmarkCall(b *testing.B) {
	b.Run("sipua", func(b *testing.B) {
		ua := newUA(b, local(b)+"/sip", nil)
		ctx := context.Background()
		b.ReportAllocs()
		for b.Loop() {
			s, err := ua.Call(ctx, "bob", &session.CallOptions{Media: mute{}})
			if err != nil {
				b.Fatal(err)
			}
			if err := s.Hangup(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sipgo", func(b *testing.B) {
		c, uri := sipgoClient(b, rootServer(b))
		contact := gosip.ContactHeader{Address: gosip.Uri{Scheme: "sip", User: "alice", Host: "127.0.0.1"}}
		dialogs := sipgo.NewDialogClientCache(c, contact)
		ctx := context.Background()
		b.ReportAllocs()
		for b.Loop() {
			req := gosip.NewRequest(gosip.INVITE, uri)
			req.SetTransport("WS")
			req.SetBody([]byte("v=0\r\n"))
			d, err := dialogs.WriteInvite(ctx, req)
			if err != nil {
				b.Fatal(err)
			}
			if err := d.WaitAnswer(ctx, sipgo.AnswerOptions{}); err != nil {
				b.Fatal(err)
			}
			if err := d.Ack(ctx); err != nil {
				b.Fatal(err)
			}
			if err := d.Bye(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}
