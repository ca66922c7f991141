package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gorilla/websocket"
)

// subprotocol is the WebSocket subprotocol of SIP (RFC 7118 §4.1).
const subprotocol = "sip"

// readBuffer is the size of gorilla's read buffer, which an idle flow keeps: large
// enough for most of what a registered but silent UA gets, in one read. The rest of
// a longer message is read past it.
const readBuffer = 512

// link is a connection on which SIP may be spoken.
type link struct {
	conn   *websocket.Conn
	wire   *wire
	server Server // as Options.Dial returned it
	native bool   // the local address is on an interface of this machine
}

// open connects to s. The error is a *ConnectError.
func (p *Pool) open(a *attempt, s Server) (*link, error) {
	ctx, cancel := context.WithTimeoutCause(a.ctx, p.opt.ConnectTimeout, ErrConnectTimeout)
	defer cancel()
	l, err := p.openWithin(ctx, &s)
	if err == nil {
		return l, nil
	}
	// The socket's deadline may pass before the context's timer fires, and the end
	// of the context closes the socket: whichever came first, the reason is one.
	cause := context.Cause(ctx)
	if d, ok := ctx.Deadline(); ok && cause == nil && isTimeout(err) && time.Until(d) <= 0 {
		cause = ErrConnectTimeout
	}
	if cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w (%w)", cause, err)
	}
	return nil, &ConnectError{Server: s.String(), Err: err}
}

// attempt is one attempt to connect. Its context ends when the pool is stopped. It is
// not one of the pool's own that others derive from: that would keep, as long as the
// pool, what is needed only now.
type attempt struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	since  time.Time // guarded by Pool.mu; when it passed the gate
}

func (p *Pool) begin() (*attempt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil, ErrPoolClosed
	}
	a := new(attempt)
	a.ctx, a.cancel = context.WithCancelCause(context.Background())
	p.attempts = append(p.attempts, a)
	return a, nil
}

func (p *Pool) over(a *attempt) {
	a.cancel(nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempts = slices.DeleteFunc(p.attempts, func(b *attempt) bool { return a == b })
	if len(p.attempts) == 0 {
		p.attempts = nil
	}
}

// takeTurn waits at the gate. Without a turn, for the pool was stopped, a is over.
func (p *Pool) takeTurn(a *attempt) bool {
	if err := p.opt.Gate.enter(a.ctx); err != nil {
		p.over(a)
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	a.since = time.Now()
	return true
}

func (p *Pool) giveTurn(a *attempt) {
	p.opt.Gate.leave()
	p.over(a)
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// openWithin replaces *s by what Options.Dial makes of it.
func (p *Pool) openWithin(ctx context.Context, s *Server) (*link, error) {
	changed, err := p.hooks.dial(ctx, *s)
	if err != nil {
		return nil, err
	}
	*s = changed
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return p.handshake(ctx, *s)
}

// handshake opens the connection and asks for WebSocket and SIP on it
// (RFC 6455 §4.1, RFC 7118 §4.1).
func (p *Pool) handshake(ctx context.Context, s Server) (*link, error) {
	o := opening{pool: p, server: s}
	d, err := o.dialer()
	if err != nil {
		return nil, err
	}
	conn, resp, err := d.DialContext(ctx, s.URL, o.header())
	if !o.disarm() && err == nil {
		conn.Close()
		return nil, context.Cause(ctx)
	}
	switch {
	case errors.Is(err, websocket.ErrBadHandshake):
		return nil, newHandshakeError(resp)
	case err != nil:
		return nil, err
	case resp.Header.Get("Sec-Websocket-Extensions") != "":
		conn.Close() // none was offered (RFC 6455 §9.1)
		return nil, newHandshakeError(resp)
	case conn.Subprotocol() != subprotocol:
		conn.Close()
		return nil, &SubprotocolError{Got: conn.Subprotocol()}
	}
	o.wire.up.Store(true)
	return &link{conn: conn, wire: o.wire, server: s, native: p.native(conn.LocalAddr())}, nil
}

// opening is one connection being opened.
type opening struct {
	pool   *Pool
	server Server
	proxy  *url.URL // an HTTP proxy, whose tunnel we open ourselves
	wire   *wire
	stop   func() bool // the closing of wire when the context ends
}

// dialer returns gorilla's, set up for the server.
func (o *opening) dialer() (*websocket.Dialer, error) {
	s, opt := &o.server, &o.pool.opt
	size := opt.MaxMessage + len(crlfPing)
	d := &websocket.Dialer{
		NetDialContext:  o.dial,
		TLSClientConfig: s.TLSConfig,
		ReadBufferSize:  readBuffer,
		WriteBufferSize: size,
		WriteBufferPool: writeBufferPool(size),
		Subprotocols:    []string{subprotocol},
		Jar:             o.jar(),
	}
	if d.TLSClientConfig == nil {
		d.TLSClientConfig = opt.TLSConfig
	}
	u := o.httpURL()
	proxy, err := o.pool.hooks.proxy(s, &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: o.header()})
	switch {
	case err != nil:
		return nil, fmt.Errorf("choosing a proxy: %w", err)
	case proxy == nil:
	case proxy.Scheme == "http" || proxy.Scheme == "https":
		o.proxy = proxy
	default: // gorilla speaks SOCKS5 and refuses the rest
		d.Proxy = http.ProxyURL(proxy)
	}
	return d, nil
}

// dial opens the connection under TLS. The end of ctx closes it until disarm,
// because gorilla heeds no more of ctx than its deadline once it is connected.
func (o *opening) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	to := addr
	if o.proxy != nil {
		to = proxyAddr(o.proxy)
	}
	c, err := o.pool.hooks.dialContext(ctx, network, to)
	if err != nil {
		return nil, err
	}
	w := newWire(c)
	o.wire = w
	o.pool.tasks.add()
	o.stop = context.AfterFunc(ctx, func() {
		defer o.pool.tasks.done()
		w.Close()
	})
	if o.proxy == nil {
		return w, nil
	}
	return o.tunnel(ctx, addr)
}

// disarm reports whether the connection outlived its context so far.
func (o *opening) disarm() bool {
	if o.stop == nil {
		return true
	}
	if !o.stop() {
		return false
	}
	o.pool.tasks.done()
	return true
}

func (o *opening) jar() http.CookieJar {
	if o.server.Jar != nil {
		return o.server.Jar
	}
	return o.pool.opt.Jar
}

// httpURL returns the URL as cookies and proxies know it.
func (o *opening) httpURL() *url.URL {
	u, _ := o.server.parse() // valid, or the attempt had ended
	if u.Scheme == "ws" {
		u.Scheme = "http"
	} else {
		u.Scheme = "https"
	}
	return u
}

// header returns the fields of the handshake that are not gorilla's. Cookies of
// the application and those of the jar go together.
func (o *opening) header() http.Header {
	h := make(http.Header, len(o.server.Header)+1)
	for name, values := range o.server.Header {
		name = http.CanonicalHeaderKey(name)
		h[name] = append(h[name], values...)
	}
	if o.server.Origin != "" {
		h.Set("Origin", o.server.Origin)
	}
	if own := h.Values("Cookie"); len(own) > 0 && o.jar() != nil {
		r := http.Request{Header: http.Header{"Cookie": own}}
		for _, c := range o.jar().Cookies(o.httpURL()) {
			r.AddCookie(c)
		}
		h["Cookie"] = r.Header["Cookie"]
	}
	return h
}
