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

// binding is the Contact of the REGISTERs measured.
const binding = "<sip:bq7xw2kd@wjhqzbprxhmg.invalid;transport=ws>;expires=600"

// written is the n messages that sipua writes when it does do, for bare connections to
// carry the same bytes.
func written(b *testing.B, url string, n int, do func(*sipua.UA) error) (messages [][]byte) {
	b.Helper()
	sent := make(chan []byte, n)
	ua := newUA(b, url+"/sip", func(c *sipua.Config) {
		c.Trace = func(e sipua.TraceEvent) {
			if !e.In {
				sent <- e.Data
			}
		}
	})
	if err := do(ua); err != nil {
		b.Fatal(err)
	}
	for range n {
		messages = append(messages, <-sent)
	}
	ua.Close()
	return messages
}

// echoer is the bare limit: a gorilla connection whose read goroutine hands over by
// a channel.
type echoer struct {
	conn *websocket.Conn
	in   chan []byte
}

// newEchoer connects to the server that the others talk to, which answers it as it
// answers them: what differs is the client alone.
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

func (e *echoer) write(msg []byte) bool {
	return e.conn.WriteMessage(websocket.TextMessage, msg) == nil
}
func (e *echoer) read() bool { return len(<-e.in) > 0 }

// roundTrip sends a message and waits for the answer.
func (e *echoer) roundTrip(msg []byte) bool { return e.write(msg) && e.read() }

// call sends INVITE, ACK and BYE, and waits for 180, 200 and 200.
func (e *echoer) call(messages [][]byte) bool {
	return e.write(messages[0]) && e.read() && e.read() &&
		e.write(messages[1]) && e.write(messages[2]) && e.read()
}

func newUA(b *testing.B, url string, change func(*sipua.Config)) *sipua.UA {
	b.Helper()
	ua := startUA(b, url, change)
	b.Cleanup(func() { ua.Close() })
	return ua
}

// startUA leaves closing to its caller.
func startUA(b *testing.B, url string, change func(*sipua.Config)) *sipua.UA {
	b.Helper()
	cfg := sipua.Config{URI: "sip:alice@example.com", WSServers: sipua.Servers(url), Register: new(bool), STUNServers: []string{}}
	if change != nil {
		change(&cfg)
	}
	ua, err := sipua.NewUA(cfg)
	if err != nil {
		b.Fatal(err)
	}
	if err := ua.Start(context.Background()); err != nil {
		b.Fatal(err)
	}
	return ua
}

func registerOnce(ua *sipua.UA) error {
	req := sip.NewRequest(sip.REGISTER, sip.URI{Scheme: "sip", Host: "example.com"})
	if err := req.AddHeader("Contact", binding); err != nil {
		return err
	}
	_, err := ua.Do(context.Background(), req)
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

func sipgoRegister(c *sipgo.Client, uri gosip.Uri) bool {
	req := gosip.NewRequest(gosip.REGISTER, uri)
	req.SetTransport("WS")
	req.AppendHeader(gosip.NewHeader("Contact", binding))
	res, err := c.Do(context.Background(), req)
	return err == nil && res.StatusCode == 200
}

// BenchmarkRegister is one REGISTER and its answer at a time over loopback.
func BenchmarkRegister(b *testing.B) { register(b, 1, 50) }

// BenchmarkRegister32 is the same on 32 connections at once.
func BenchmarkRegister32(b *testing.B) { register(b, 32, 320) }

func register(b *testing.B, conns, batch int) {
	url, forSipgo := local(b), rootServer(b)
	msg := written(b, url, 1, registerOnce)[0]
	var bare []*echoer
	var ours []*sipua.UA
	var theirs []*sipgo.Client
	var uri gosip.Uri
	for range conns {
		bare = append(bare, newEchoer(b, url+"/sip"))
		ours = append(ours, newUA(b, url+"/sip", nil))
		var c *sipgo.Client
		c, uri = sipgoClient(b, forSipgo)
		theirs = append(theirs, c)
	}
	over := func(roundTrip func(i int) bool) func(n int) {
		return func(n int) { spread(b, conns, n, roundTrip) }
	}
	contest(b, batch,
		contestant{name: "echo", do: over(func(i int) bool { return bare[i].roundTrip(msg) })},
		contestant{name: "sipua", do: over(func(i int) bool { return registerOnce(ours[i]) == nil })},
		contestant{name: "sipgo", do: over(func(i int) bool { return sipgoRegister(theirs[i], uri) })},
	)
}

// spread divides n round trips over the connections, a goroutine each.
func spread(b *testing.B, conns, n int, roundTrip func(i int) bool) {
	var wg sync.WaitGroup
	var failed atomic.Bool
	for i := range conns {
		wg.Go(func() {
			for range n / conns {
				if !roundTrip(i) {
					failed.Store(true)
				}
			}
		})
	}
	wg.Wait()
	if failed.Load() {
		b.Fatal("a round trip failed")
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
	ctx := context.Background()
	url := local(b)
	ours := func(ua *sipua.UA) error {
		s, err := ua.Call(ctx, "bob", &session.CallOptions{Media: mute{}})
		if err != nil {
			return err
		}
		return s.Hangup(ctx)
	}
	messages := written(b, url, 3, ours)
	bare := newEchoer(b, url+"/sip")
	ua := newUA(b, url+"/sip", nil)
	c, uri := sipgoClient(b, rootServer(b))
	dialogs := sipgo.NewDialogClientCache(c, gosip.ContactHeader{Address: gosip.Uri{Scheme: "sip", User: "alice", Host: "127.0.0.1"}})
	theirs := func() error {
		req := gosip.NewRequest(gosip.INVITE, uri)
		req.SetTransport("WS")
		req.SetBody([]byte("v=0\r\n"))
		d, err := dialogs.WriteInvite(ctx, req)
		if err != nil {
			return err
		}
		if err := d.WaitAnswer(ctx, sipgo.AnswerOptions{}); err != nil {
			return err
		}
		if err := d.Ack(ctx); err != nil {
			return err
		}
		return d.Bye(ctx)
	}
	contest(b, 25,
		contestant{name: "echo", do: times(b, func() bool { return bare.call(messages) })},
		contestant{name: "sipua", do: times(b, func() bool { return ours(ua) == nil })},
		contestant{name: "sipgo", do: times(b, func() bool { return theirs() == nil })},
	)
}
