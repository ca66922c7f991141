package siptest

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gosipua/sipua/sip"
)

// Server is a SIP registrar and proxy over WebSocket (RFC 7118) inside the
// process. [NewServer] makes one; its methods may be called from any goroutine.
type Server struct {
	options      Options
	tls          *tls.Config // nil: ws
	cert         *x509.Certificate
	listener     net.Listener // nil: in memory only
	url          string
	hosts        map[string]bool // that the server takes for its own
	port         int             // of the listener
	viaTransport string
	supported    string // Supported field of answers to REGISTER
	running      sync.WaitGroup

	mu sync.Mutex

	// guarded by mu
	closed      bool
	conns       map[uint64]*Conn
	vanished    []*Conn // over for the server, but not for the client
	lastConn    uint64
	registerSeq uint64
	accounts    map[string]*account // by user
	gruus       map[string]*binding // temporary ones by their user part
	contacts    map[string]*Conn    // where a contact was last seen
	exchanges   map[string]*exchange
	branches    map[string]*branch
	accepted    acceptedRing
	branchSeq   uint64
	nonces      nonceStore
	fault       fault
	refusal     *Refusal

	registerFault *RegisterFault
	scripts       []*Script
	raw           *Raw
	traits        *traits // nil: Plain; not changed
	calls         map[*Call]bool
	legs          map[string]*Leg     // by dialogKey
	invitations   map[string]*Leg     // whose client's INVITE is under way, by exchangeKey
	invitesDone   acceptedRing        // answered with 2xx
	requests      map[string]*request // of legs and others, by branch
	callSeq       uint64
	qualifier     *time.Timer
	touched       []*Conn       // have something queued by the holder of mu
	changed       chan struct{} // closed at the next change of a binding or connection; nil: nobody waits
	counters      Counters
}

// Counters are what a server has counted since it was made.
type Counters struct {
	Connections int // WebSocket connections accepted
	Refused     int // connections and handshakes refused
	Received    int // SIP messages received
	Sent        int // SIP messages sent
	Malformed   int // messages that could not be read
	KeepAlives  int // CRLF keep-alives answered (RFC 5626 §4.4.1)
	Pings       int // WebSocket pings received
	Pongs       int // WebSocket pongs received
	Registers   int // REGISTER requests answered with 200
	Challenges  int // 401 and 407 answers
	Stale       int // challenges with stale=true
	Replays     int // credentials refused for a nonce count that was used before
	Forwarded   int // requests forwarded, once for each branch
	Unroutable  int // messages dropped or refused for want of a way
	Qualified   int // OPTIONS to contacts answered with 200, see [Personality]
}

// NewServer starts a server. The caller closes it with [Server.Close]. The
// error is one of the listener, or a certificate that could not be made.
func NewServer(o Options) (*Server, error) {
	o = o.withDefaults()
	s := &Server{
		options:   o,
		hosts:     map[string]bool{strings.ToLower(o.Domain): true, strings.ToLower(o.Host): true},
		conns:     make(map[uint64]*Conn),
		accounts:  make(map[string]*account),
		gruus:     make(map[string]*binding),
		contacts:  make(map[string]*Conn),
		exchanges: make(map[string]*exchange),
		branches:  make(map[string]*branch),

		traits:      o.Personality.traits(),
		calls:       make(map[*Call]bool),
		legs:        make(map[string]*Leg),
		invitations: make(map[string]*Leg),
		requests:    make(map[string]*request),
	}
	if err := s.addServiceRouteHosts(); err != nil {
		return nil, err
	}
	scheme, host := "ws", o.Host
	s.viaTransport = "WS"
	if o.TLS != nil {
		scheme, s.viaTransport = "wss", "WSS"
		if err := s.initTLS(); err != nil {
			return nil, err
		}
	}
	switch {
	case o.Outbound && o.GRUU:
		s.supported = "outbound, gruu"
	case o.Outbound:
		s.supported = "outbound"
	case o.GRUU:
		s.supported = "gruu"
	}
	if o.Listen {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("siptest: %w", err)
		}
		s.listener = l
		host = l.Addr().String()
		s.port = l.Addr().(*net.TCPAddr).Port
	}
	s.url = scheme + "://" + host + "/"
	if s.listener != nil {
		s.running.Add(1)
		go s.accept()
	}
	return s, nil
}

func (s *Server) addServiceRouteHosts() error {
	for _, value := range s.options.ServiceRoute {
		route, err := sip.ParseNameAddr(value)
		if err != nil {
			return fmt.Errorf("siptest: Options.ServiceRoute: %w", err)
		}
		s.hosts[strings.ToLower(route.URI.Host)] = true
	}
	return nil
}

// URL is where clients connect: "ws://127.0.0.1:PORT/" with Options.Listen, else
// "ws://" and Options.Host, to be dialed with [Server.DialContext]. With
// Options.TLS the scheme is wss.
func (s *Server) URL() string { return s.url }

// Domain is the SIP domain that the server serves.
func (s *Server) Domain() string { return s.options.Domain }

// DialContext returns the client's end of a new in-memory connection to the
// server, a [*Wire]; network and address are ignored. It has the shape of
// net.Dialer.DialContext, so that it can take its place. It fails with
// syscall.ECONNREFUSED where the server refuses connections, net.ErrClosed after
// Close, and the cause of ctx.
func (s *Server) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	refusal, closed := s.refusal, s.closed
	s.mu.Unlock()
	fail := func(err error) error {
		return &net.OpError{Op: "dial", Net: "memory", Addr: wireAddr(s.options.Host), Err: err}
	}
	switch {
	case closed:
		return nil, fail(net.ErrClosed)
	case refusal == nil || refusal.Status != 0:
	case refusal.Hang:
		<-ctx.Done()
		return nil, fail(context.Cause(ctx))
	default:
		s.count(func(c *Counters) { c.Refused++ })
		return nil, fail(syscall.ECONNREFUSED)
	}
	client, server := pipe("client", "server")
	if !s.serve(server) {
		return nil, fail(net.ErrClosed)
	}
	return client, nil
}

// Close cuts all connections, closes the listener, and waits until nothing of
// the server runs. Only the first call does anything; later ones return
// net.ErrClosed.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return fmt.Errorf("siptest: %w", net.ErrClosed)
	}
	s.closed = true
	conns := append(s.connections(), s.vanished...)
	s.stopExchanges()
	s.broadcast()
	s.mu.Unlock()

	var err error
	if s.listener != nil {
		err = s.listener.Close()
	}
	for _, c := range conns {
		c.Drop()
	}
	s.running.Wait()
	return err
}

// Conns returns the WebSocket connections that are open, in the order of their
// acceptance.
func (s *Server) Conns() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(s.connections(), func(c *Conn) bool { return !c.open })
}

// WaitConns returns nil as soon as exactly n WebSocket connections are open, or
// the cause of ctx, or net.ErrClosed when the server is closed.
func (s *Server) WaitConns(ctx context.Context, n int) error {
	return s.wait(ctx, func() bool {
		open := 0
		for _, c := range s.conns {
			if c.open {
				open++
			}
		}
		return open == n
	})
}

// connections are all connections, those in their handshake included. s.mu is
// held.
func (s *Server) connections() []*Conn {
	list := slices.Collect(maps.Values(s.conns))
	slices.SortFunc(list, func(a, b *Conn) int { return cmp.Compare(a.id, b.id) })
	return list
}

// Counters returns what the server has counted so far.
func (s *Server) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counters
}

func (s *Server) count(add func(*Counters)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	add(&s.counters)
}

// broadcast wakes those who wait for a change of bindings or connections.
// s.mu is held.
func (s *Server) broadcast() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// wait returns when ok, called with s.mu held, reports true, or with the cause
// of ctx or net.ErrClosed.
func (s *Server) wait(ctx context.Context, ok func() bool) error {
	for {
		s.mu.Lock()
		done, closed := ok(), s.closed
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.mu.Unlock()
		switch {
		case done:
			return nil
		case closed:
			return fmt.Errorf("siptest: %w", net.ErrClosed)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// accept takes connections from the listener until that is closed.
func (s *Server) accept() {
	defer s.running.Done()
	for {
		nc, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the client went away before it was accepted
		}
		s.mu.Lock()
		refusal := s.refusal
		s.mu.Unlock()
		if refusal != nil && refusal.Status == 0 && !refusal.Hang {
			s.count(func(c *Counters) { c.Refused++ })
			reset(nc)
			continue
		}
		s.serve(nc)
	}
}
