package siptest

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
)

// Peer makes a script that is a client of the server: a user with a connection
// of its own in memory, registered like any other, so that what it sends and gets
// passes the proxy. It uses the password that Options.Users has for user. It
// ends with the test.
func Peer(tb testing.TB, srv *Server, user string) *Script {
	tb.Helper()
	p := newScript(tb, srv, user, sip.NewTag()+".invalid")
	l := &clientLink{script: p}
	p.link = l
	ctx, cancel := context.WithTimeout(context.Background(), p.Limit)
	defer cancel()
	if err := l.connect(ctx); err != nil {
		tb.Fatalf("siptest: peer %s: %v", user, err)
	}
	tb.Cleanup(l.close)
	p.register(user)
	return p
}

// clientLink is the connection of a script that is a client.
type clientLink struct {
	script *Script
	ws     *websocket.Conn
	done   chan struct{} // closed when the reader has ended
	mu     sync.Mutex    // held while writing
}

func (l *clientLink) connect(ctx context.Context) error {
	srv := l.script.server
	dialer := websocket.Dialer{
		Subprotocols:    []string{"sip"},
		TLSClientConfig: srv.ClientTLS(),
		NetDialContext:  srv.DialContext,
		WriteBufferSize: 128 << 10, // a larger message would leave in fragments
		WriteBufferPool: &sync.Pool{},
	}
	origin := http.Header{"Origin": {"https://" + srv.options.Domain}}
	ws, res, err := dialer.DialContext(ctx, srv.URL(), origin)
	if err != nil {
		return err
	}
	res.Body.Close()
	l.ws, l.done = ws, make(chan struct{})
	go l.read()
	return nil
}

func (l *clientLink) read() {
	defer close(l.done)
	for {
		_, data, err := l.ws.ReadMessage()
		if err != nil {
			l.script.end()
			return
		}
		if m, err := sip.Parse(data); err == nil {
			l.script.deliver(nil, m, data)
		}
	}
}

func (l *clientLink) close() {
	l.ws.Close()
	<-l.done
}

func (l *clientLink) send(_ *Conn, m sip.Message) error {
	return l.write(m.AppendTo(nil))
}

func (l *clientLink) sendRaw(_ *Conn, text string) error {
	return l.write([]byte(text))
}

func (l *clientLink) write(data []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ws.SetWriteDeadline(time.Now().Add(l.script.Limit)) // a stalled server is no reason to hang
	return l.ws.WriteMessage(frameKind(data), data)
}

// end notes that nothing arrives any more.
func (p *Script) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.wake()
}

// register registers the script's contact, with credentials if the server asks.
func (p *Script) register(user string) {
	p.tb.Helper()
	registrar := sip.URI{Scheme: "sip", Host: p.server.options.Domain}
	req := sip.NewRequest(sip.REGISTER, registrar)
	p.setBasics(req, p.Identity.WithTag(sip.NewTag()), p.Identity, sip.NewCallID(), 1)
	addField(req, sip.Field{Name: "Contact", Value: p.Contact.String()})
	answer := p.Send(req).Final().Response
	if answer.StatusCode() == sip.StatusUnauthorized {
		again, err := authorize(req, answer, digest.Password(user, p.server.options.Users[user]), p.newVia())
		if err != nil {
			p.tb.Fatalf("siptest: peer %s: %v", user, err)
		}
		answer = p.Send(again).Final().Response
	}
	if !answer.StatusCode().IsSuccess() {
		p.tb.Fatalf("siptest: peer %s: %v", user, &sip.ResponseError{Method: sip.REGISTER, Response: answer})
	}
}

// authorize is req again with credentials for the challenges in res.
func authorize(req *sip.Request, res *sip.Response, cred digest.Credentials, via sip.Via) (*sip.Request, error) {
	client := digest.NewClient(digest.Policy{})
	challenges, err := client.Choose(digest.Challenges(res), cred)
	if err != nil {
		return nil, err
	}
	again := req.Clone()
	_ = again.SetVia(via) // made by this package, like the CSeq below
	_ = again.SetCSeq(sip.CSeq{Seq: req.CSeq().Seq + 1, Method: req.Method()})
	for _, ch := range challenges {
		field, err := client.Authorize(ch, cred, digest.InputOf("", again))
		if err != nil {
			return nil, err
		}
		if err := again.AddHeader(field.Name, field.Value); err != nil {
			return nil, err
		}
	}
	return again, nil
}

// Authorize returns a request of the script again, with the next CSeq and the
// credentials of its user for the challenge in r, a 401 or 407. It is not sent.
func (r *Received) Authorize(user, password string) *sip.Request {
	p := r.script
	p.tb.Helper()
	var req *sip.Request
	if r.Response != nil {
		p.mu.Lock()
		req = p.sent[r.Response.Via().Branch()]
		p.mu.Unlock()
	}
	if req == nil {
		p.tb.Fatalf("siptest: not a challenge to a request of the script:\n%s", r.Text)
	}
	again, err := authorize(req, r.Response, digest.Password(user, password), p.newVia())
	if err != nil {
		p.tb.Fatalf("siptest: %v", err)
	}
	return again
}

// Drop cuts the connection of a script made by [Peer].
func (p *Script) Drop() {
	p.tb.Helper()
	l, ok := p.link.(*clientLink)
	if !ok {
		p.tb.Fatal("siptest: the server itself has no connection to drop")
	}
	reset(rawConn(l.ws))
	<-l.done
}

func rawConn(ws *websocket.Conn) net.Conn {
	nc := ws.NetConn()
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		return t.NetConn() // below TLS
	}
	return nc
}
