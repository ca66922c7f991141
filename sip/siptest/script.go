package siptest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gosipua/sipua/sip"
)

// Script is a peer that a test plays by hand, message by message: it says what
// is expected to arrive and what to answer. [Expect] and [Peer] make one.
//
// A message that has arrived waits until the test asks for it, in order; asking
// for one leaves those before it where they are. When nothing fitting arrives
// within Limit the test fails and shows what did arrive. The methods are to be
// called from the goroutine of the test, as testing.TB.Fatal has to be.
type Script struct {
	// Limit is how long an Expect waits. [Expect] and [Peer] set it to 10 s, and
	// to an hour in a synctest bubble, where waiting costs nothing.
	Limit time.Duration

	// Contact is the Contact of the script's requests and of its answers.
	Contact sip.NameAddr

	// Identity is who the script is: the From of its requests.
	Identity sip.NameAddr

	tb     testing.TB
	server *Server
	link   link

	taken    map[sip.Method]bool // guarded by server.mu
	lastConn *Conn               // guarded by server.mu: that a message came over

	mu      sync.Mutex
	inbox   []*Received             // guarded by mu: not asked for yet
	seen    []string                // guarded by mu: everything, in short
	arrived chan struct{}           // guarded by mu: closed at the next arrival
	ended   bool                    // guarded by mu: nothing arrives any more
	sent    map[string]*sip.Request // guarded by mu: by branch
}

// link is how a script reaches the other side.
type link interface {
	// send sends a message; to is where the message that it answers came from,
	// nil for a request.
	send(to *Conn, m sip.Message) error
	sendRaw(to *Conn, text string) error
}

// Expect makes the server itself the peer of a test: from now on the script gets
// every request that the server cannot route, whoever it is for, and everything
// that belongs to a call with the script, as it came and with no proxy between.
// Registrations and calls between registered users go on as without it, see
// [Script.Take]. It ends with the test.
func Expect(tb testing.TB, srv *Server) *Script {
	tb.Helper()
	p := newScript(tb, srv, "script", "script.invalid")
	p.link = directLink{p}
	srv.mu.Lock()
	srv.scripts = append(srv.scripts, p)
	srv.mu.Unlock()
	tb.Cleanup(func() {
		srv.mu.Lock()
		defer srv.mu.Unlock()
		for i, other := range srv.scripts {
			if other == p {
				srv.scripts = append(srv.scripts[:i:i], srv.scripts[i+1:]...)
				return
			}
		}
	})
	return p
}

func newScript(tb testing.TB, srv *Server, user, host string) *Script {
	contact := sip.URI{Scheme: "sip", User: sip.EscapeUser(user), Host: host, Params: ";transport=ws"}
	p := &Script{
		Limit:    10 * time.Second,
		Contact:  sip.NameAddr{URI: contact},
		Identity: sip.NameAddr{URI: sip.URI{Scheme: "sip", User: contact.User, Host: srv.options.Domain}},
		tb:       tb,
		server:   srv,
		arrived:  make(chan struct{}),
	}
	if inBubble() {
		p.Limit = time.Hour
	}
	return p
}

// inBubble reports whether time is that of a synctest bubble, which begins in
// the year 2000.
func inBubble() bool { return time.Now().Year() < 2010 }

// Take hands requests of the given methods to the script as they come, even
// those that the server would handle itself, such as REGISTER. It is for scripts
// made by [Expect].
func (p *Script) Take(methods ...sip.Method) {
	p.server.mu.Lock()
	defer p.server.mu.Unlock()
	if p.taken == nil {
		p.taken = make(map[sip.Method]bool)
	}
	for _, m := range methods {
		p.taken[m] = true
	}
}

// Release ends what Take began, for all methods.
func (p *Script) Release() {
	p.server.mu.Lock()
	defer p.server.mu.Unlock()
	p.taken = nil
}

// scriptFor is the script that has taken the method, or nil. s.mu is held.
func (s *Server) scriptFor(m sip.Method) *Script {
	for i := len(s.scripts) - 1; i >= 0; i-- {
		if s.scripts[i].taken[m] {
			return s.scripts[i]
		}
	}
	return nil
}

// scriptForAny is the script that gets what cannot be routed: the newest.
func (s *Server) scriptForAny() *Script {
	if len(s.scripts) == 0 {
		return nil
	}
	return s.scripts[len(s.scripts)-1]
}

// deliver puts a message into the inbox. Where c is not nil, server.mu is held.
func (p *Script) deliver(c *Conn, m sip.Message, data []byte) {
	if c != nil {
		p.lastConn = c
	}
	r := &Received{script: p, conn: c, Text: string(data)}
	switch m := m.(type) {
	case *sip.Request:
		r.Request = m
		r.tag = m.To().Tag()
		if r.tag == "" {
			r.tag = sip.NewTag()
		}
	case *sip.Response:
		r.Response = m
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inbox = append(p.inbox, r)
	p.seen = append(p.seen, r.summary())
	p.wake()
}

func (p *Script) wake() {
	close(p.arrived)
	p.arrived = make(chan struct{})
}

// take waits for the first message that fits and removes it from the inbox; nil
// when none came within the limit.
func (p *Script) take(limit time.Duration, fits func(*Received) bool) *Received {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		p.mu.Lock()
		for i, r := range p.inbox {
			if fits(r) {
				p.inbox = append(p.inbox[:i:i], p.inbox[i+1:]...)
				p.mu.Unlock()
				return r
			}
		}
		arrived, ended := p.arrived, p.ended
		p.mu.Unlock()
		if ended {
			return nil
		}
		select {
		case <-arrived:
		case <-timer.C:
			return nil
		}
	}
}

// Expect returns the next request of the method, and fails the test when none
// comes.
func (p *Script) Expect(method sip.Method) *Received {
	p.tb.Helper()
	r := p.take(p.Limit, func(r *Received) bool { return r.Request != nil && r.Request.Method() == method })
	if r == nil {
		p.fail(string(method))
	}
	return r
}

// ExpectResponse returns the next response with the code, whatever request it is
// for, and fails the test when none comes. [Sent.ExpectResponse] looks at the
// responses to one request only.
func (p *Script) ExpectResponse(code sip.StatusCode) *Received {
	p.tb.Helper()
	r := p.take(p.Limit, func(r *Received) bool { return r.Response != nil && r.Response.StatusCode() == code })
	if r == nil {
		p.fail(fmt.Sprintf("a response with %d", int(code)))
	}
	return r
}

// Next returns the next message of whatever kind, and fails the test when none
// comes.
func (p *Script) Next() *Received {
	p.tb.Helper()
	r := p.take(p.Limit, func(*Received) bool { return true })
	if r == nil {
		p.fail("a message")
	}
	return r
}

// ExpectNothing fails the test when a message has arrived that nobody asked for,
// or one does within d. A 100 does not count: it says nothing from end to end.
func (p *Script) ExpectNothing(d time.Duration) {
	p.tb.Helper()
	counts := func(r *Received) bool { return r.Request != nil || r.Response.StatusCode() != sip.StatusTrying }
	// Even the shortest time lets everybody else in a bubble come to rest first.
	if r := p.take(max(d, 1), counts); r != nil {
		p.tb.Fatalf("siptest: expected nothing, got:\n%s", r.Text)
	}
}

func (p *Script) fail(wanted string) {
	p.tb.Helper()
	p.mu.Lock()
	seen := strings.Join(p.seen, "\n  ")
	var waiting strings.Builder
	for _, r := range p.inbox {
		fmt.Fprintf(&waiting, "\n%s", r.Text)
	}
	p.mu.Unlock()
	switch {
	case seen == "":
		p.tb.Fatalf("siptest: expected %s, and nothing at all arrived within %v", wanted, p.Limit)
	case waiting.Len() == 0:
		p.tb.Fatalf("siptest: expected %s; what arrived was asked for before:\n  %s", wanted, seen)
	default:
		p.tb.Fatalf("siptest: expected %s; arrived:\n  %s\nand not asked for:%s", wanted, seen, waiting.String())
	}
}
