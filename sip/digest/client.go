package digest

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/gosipua/sipua/sip"
)

// Input is what a response is computed from.
type Input struct {
	// Server names the connection's far end; nonces are kept per server. Any stable text will do.
	Server string
	// Method is that of the request.
	Method sip.Method
	// URI is the Request-URI exactly as the request line will have it.
	URI string
	// Body is the request's; only qop auth-int reads it.
	Body []byte
}

// InputOf is the Input of req on its way to server. Take it when nothing about req changes any more.
func InputOf(server string, req *sip.Request) Input {
	// Both ends hash the text of the request line, not the URI it means: "sip:Bob.example" stays as it was written.
	line, _, _ := bytes.Cut(req.AppendTo(make([]byte, 0, req.Len())), []byte("\r\n"))
	parts := strings.SplitN(string(line), " ", 3)
	return Input{Server: server, Method: sip.Method(parts[0]), URI: parts[1], Body: req.Body()}
}

// Client answers challenges and remembers their nonces, per server and realm, for the requests that follow. It holds no
// secrets. All methods may be called from several goroutines; no two answers ever carry the same nonce count.
type Client struct {
	policy Policy

	mu     sync.Mutex
	memory memory // guarded by mu
}

// NewClient returns a Client that remembers nothing yet.
func NewClient(p Policy) *Client {
	p.Algorithms = slices.Clone(p.Algorithms)
	return &Client{policy: p}
}

// Choose picks the challenges to answer: of each realm, and apart for servers and proxies, the first in the server's
// order (RFC 8760 §2.4) that the policy allows, that one of creds fits (if any are given) and that is no weaker than
// what the realm was answered with before, on whatever server. Realms keep their order.
//
// If none is left the error is a *DowngradeError where one was refused for its weakness, else an *UnsupportedError.
func (c *Client) Choose(cs []Challenge, creds ...Credentials) ([]Challenge, error) {
	var chosen []Challenge
	var weak *DowngradeError
	for _, ch := range cs {
		same := func(o Challenge) bool { return o.Proxy == ch.Proxy && o.Realm == ch.Realm }
		if slices.ContainsFunc(chosen, same) || !c.policy.answers(&ch, creds) {
			continue
		}
		c.mu.Lock()
		err := c.memory.tooWeak(&ch)
		c.mu.Unlock()
		if err != nil {
			weak = err
			continue
		}
		chosen = append(chosen, ch)
	}
	switch {
	case len(chosen) > 0:
		return chosen, nil
	case weak != nil:
		return nil, weak
	}
	return nil, &UnsupportedError{Offered: slices.Clone(cs)}
}

// Authorize answers ch for the request in: an Authorization or Proxy-Authorization field, with the next count of the
// nonce, which is remembered for Preemptive. A token is passed on as it is.
//
// Errors: ErrCredentials, ErrInput and ErrExhausted, possibly wrapped; *UnsupportedError for a challenge that the
// policy excludes; *DowngradeError as Choose has it.
func (c *Client) Authorize(ch Challenge, cred Credentials, in Input) (sip.Field, error) {
	switch {
	case cred.IsToken() && cred.Fits(ch):
		return cred.Field(ch.Proxy)
	case !c.policy.answers(&ch, nil):
		return sip.Field{}, &UnsupportedError{Offered: []Challenge{ch}}
	}
	if err := check(&ch, cred, in); err != nil {
		return sip.Field{}, err
	}
	cnonce := rand.Text() // 128 bits and more

	c.mu.Lock()
	if err := c.memory.tooWeak(&ch); err != nil {
		c.mu.Unlock()
		return sip.Field{}, err
	}
	u, ok := c.memory.answer(&ch, in, cnonce)
	c.mu.Unlock()
	if !ok {
		return sip.Field{}, ErrExhausted
	}
	return c.sign(&ch, cred, in, u), nil
}

// Preemptive answers, unasked, with the nonce remembered for in.Server and realm (RFC 7616 §3.6); false if there is
// none, or none that cred and the policy can use. A token goes in any case. To whom credentials may go unasked is for
// the caller to decide: a realm proves nothing.
func (c *Client) Preemptive(in Input, proxy bool, realm string, cred Credentials) (sip.Field, bool) {
	if cred.IsToken() {
		f, err := cred.Field(proxy)
		return f, err == nil
	}
	cnonce := rand.Text()

	c.mu.Lock()
	s := c.memory.session(in.Server, realm, proxy)
	if s == nil || check(&s.ch, cred, in) != nil || c.memory.tooWeak(&s.ch) != nil {
		c.mu.Unlock()
		return sip.Field{}, false
	}
	ch := s.ch
	u, ok := s.nonce.take(&ch, cnonce)
	c.mu.Unlock()
	if !ok {
		return sip.Field{}, false
	}
	return c.sign(&ch, cred, in, u), true
}

// Realms lists, sorted, the realms that Preemptive has a nonce for.
func (c *Client) Realms(server string, proxy bool) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.memory.realms(server, proxy)
}

// Learn takes the nextnonce (RFC 7616 §3.5) from a response that server gave to req, for the realm that req was
// answering; where it answered several, the one whose cnonce the response repeats. A 401 or 407 teaches nothing here.
func (c *Client) Learn(server string, req *sip.Request, res *sip.Response) {
	if code := res.StatusCode(); code == sip.StatusUnauthorized || code == sip.StatusProxyAuthenticationRequired {
		return
	}
	for _, proxy := range []bool{false, true} {
		info, err := ParseInfo(res.Header(infoName(proxy)))
		if err != nil || info.NextNonce == "" {
			continue
		}
		if a, ok := answered(req, proxy, info.CNonce); ok {
			c.mu.Lock()
			c.memory.next(server, a.Realm, proxy, info.NextNonce)
			c.mu.Unlock()
		}
	}
}

// answered finds the only answer in req, or among several the one with cnonce.
func answered(req *sip.Request, proxy bool, cnonce string) (Authorization, bool) {
	var all []Authorization
	for f := range req.Fields() {
		if !strings.EqualFold(f.Name, authorizationName(proxy)) {
			continue
		}
		if a, err := ParseAuthorization(f.Value); err == nil {
			all = append(all, a)
		}
	}
	if len(all) == 1 {
		return all[0], true
	}
	i := slices.IndexFunc(all, func(a Authorization) bool { return cnonce != "" && a.CNonce == cnonce })
	if i < 0 {
		return Authorization{}, false
	}
	return all[i], true
}

// Forget drops what Preemptive would use, for one server and realm; an empty string stands for all. Call it when the
// server turned credentials down or they have changed. Counts and the algorithms once used are kept: a nonce that
// comes back goes on counting, and a downgrade stays refused.
func (c *Client) Forget(server, realm string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.memory.forget(server, realm)
}

// check refuses what cannot be answered or would not survive the wire.
func check(ch *Challenge, cred Credentials, in Input) error {
	switch {
	case !cred.Fits(*ch):
		return fmt.Errorf("%w: %v for realm %q with %s", ErrCredentials, cred, short(ch.Realm), ch.Algorithm.orMD5())
	case controlIndex(cred.Username) >= 0:
		return fmt.Errorf("%w: control byte in the user name", ErrCredentials)
	case controlIndex(ch.Realm) >= 0, controlIndex(ch.Nonce) >= 0, controlIndex(ch.Opaque) >= 0:
		return fmt.Errorf("%w: control byte in the challenge", ErrInput)
	case in.Method == "", in.URI == "":
		return fmt.Errorf("%w: no method or no URI", ErrInput)
	case controlIndex(string(in.Method)) >= 0, controlIndex(in.URI) >= 0:
		return fmt.Errorf("%w: control byte in method or URI", ErrInput)
	}
	return nil
}

// sign needs no lock: u is taken.
func (c *Client) sign(ch *Challenge, cred Credentials, in Input, u use) sip.Field {
	algorithm := ch.Algorithm.orMD5()
	qop, _ := c.policy.qop(ch)
	p := proof{
		algorithm: algorithm, ha1: cred.ha1(ch), qop: qop, use: u,
		method: string(in.Method), uri: in.URI, body: in.Body,
	}
	a := Authorization{
		Username: cred.Username, Realm: ch.Realm, Nonce: u.nonce, URI: in.URI, Response: p.digest(),
		Algorithm: ch.Algorithm, CNonce: u.cnonce, QOP: qop, NC: u.count, Opaque: ch.Opaque,
		spelling: ch.spelling, emptyOpaque: ch.emptyOpaque,
	}
	if ch.Userhash {
		a.Userhash, a.Username = true, algorithm.sum(cred.Username, ch.Realm)
	}
	return sip.Field{Name: authorizationName(ch.Proxy), Value: a.String()}
}
