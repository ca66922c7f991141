package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
)

// proxyAddr returns host and port of an HTTP proxy.
func proxyAddr(proxy *url.URL) string {
	port := proxy.Port()
	switch {
	case port != "":
	case proxy.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(proxy.Hostname(), port)
}

// tunnel has the proxy connect to addr (RFC 9110 §9.3.6). It is here because
// gorilla's own gives no status, knows no https proxy, and panics at a response
// without a reason phrase.
func (o *opening) tunnel(ctx context.Context, addr string) (net.Conn, error) {
	var conn net.Conn = o.wire
	if d, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(d); err != nil {
			conn.Close()
			return nil, err
		}
	}
	c, err := o.connectVia(ctx, conn, addr)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func (o *opening) connectVia(ctx context.Context, conn net.Conn, addr string) (net.Conn, error) {
	if o.proxy.Scheme == "https" {
		c := tls.Client(conn, o.proxyTLS())
		if err := c.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn = c
	}
	req := &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: addr},
		Host:   addr,
		Header: make(http.Header),
	}
	if user := o.proxy.User; user != nil {
		password, _ := user.Password()
		token := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
		req.Header.Set("Proxy-Authorization", "Basic "+token)
	}
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	// Nothing is lost with this buffer: the server waits for our first bytes.
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, &ProxyError{Proxy: proxyAddr(o.proxy), StatusCode: resp.StatusCode, Status: resp.Status}
	}
	return conn, nil
}

// proxyTLS verifies the proxy with the roots of Options.TLSConfig, if there is one,
// and by its own name; what else that config says is about the SIP server.
func (o *opening) proxyTLS() *tls.Config {
	c := &tls.Config{ServerName: o.proxy.Hostname()}
	if given := o.pool.opt.TLSConfig; given != nil {
		c.RootCAs = given.RootCAs
	}
	return c
}
