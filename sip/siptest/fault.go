package siptest

import (
	"time"

	"github.com/gosipua/sipua/sip"
)

// Drop cuts the connection without a word: no close frame, and a reset instead
// of the end of the stream. What is queued for the client is lost.
func (c *Conn) Drop() {
	c.closeQueue()
	c.net.cut()
}

// Stall makes the server stop (true) or go on (false) reading from the
// connection. It goes on writing. What the client writes fills the buffers
// between the two, 64 KiB in memory, then its writes block.
func (c *Conn) Stall(on bool) { c.net.set(func(f *fault) { f.stalled = on }) }

// Blackhole makes the connection swallow (true) everything both ways, as a NAT
// that forgot it would, or work again (false). What was swallowed is lost, so a
// WebSocket stream that lost part of a frame is of no use afterwards.
func (c *Conn) Blackhole(on bool) { c.net.set(func(f *fault) { f.lostIn, f.lostOut = on, on }) }

// BlackholeIn is Blackhole one way: what the client sends is swallowed, what the
// server writes arrives.
func (c *Conn) BlackholeIn(on bool) { c.net.set(func(f *fault) { f.lostIn = on }) }

// BlackholeOut is Blackhole the other way: what the server writes is swallowed.
func (c *Conn) BlackholeOut(on bool) { c.net.set(func(f *fault) { f.lostOut = on }) }

// Vanish leaves the connection half open, as a server that loses its power does:
// for the server it is over, as after Drop, but the client is not told, and
// what it sends is swallowed.
func (c *Conn) Vanish() {
	c.net.set(func(f *fault) { *f = fault{lostIn: true, lostOut: true} })
	c.closeQueue()
	s := c.server
	s.mu.Lock()
	s.vanished = append(s.vanished, c)
	s.mu.Unlock()
	s.forget(c)
}

// Slow bounds what goes through the connection, each way by itself, to so many
// bytes a second; what has no room waits, and 64 KiB in memory fill up before the
// client's writes block. Zero ends it.
func (c *Conn) Slow(bytesPerSecond int) { c.net.set(func(f *fault) { f.rate = bytesPerSecond }) }

// Delay makes every WebSocket frame that the server writes to the connection from
// now on leave d later, in order. Zero ends it. What the client sends arrives as
// before, so d is added to a round trip once.
func (c *Conn) Delay(d time.Duration) { c.net.set(func(f *fault) { f.delay = d }) }

// Mute makes the server take what comes over the connection and say no SIP on it
// (true), or speak again (false): WebSocket pings and CRLF keep-alives are
// answered, and everything else is lost both ways.
func (c *Conn) Mute(on bool) { c.net.set(func(f *fault) { f.muted = on }) }

// Drop cuts all connections, as [Conn.Drop] does one.
func (s *Server) Drop() {
	s.mu.Lock()
	conns := s.connections()
	s.mu.Unlock()
	for _, c := range conns {
		c.Drop()
	}
}

// Stall is [Conn.Stall] for all connections, those to come included.
func (s *Server) Stall(on bool) { s.setFault(func(f *fault) { f.stalled = on }) }

// Blackhole is [Conn.Blackhole] for all connections, those to come included.
func (s *Server) Blackhole(on bool) { s.setFault(func(f *fault) { f.lostIn, f.lostOut = on, on }) }

// BlackholeIn is [Conn.BlackholeIn] for all connections, those to come included.
func (s *Server) BlackholeIn(on bool) { s.setFault(func(f *fault) { f.lostIn = on }) }

// BlackholeOut is [Conn.BlackholeOut] for all connections, those to come included.
func (s *Server) BlackholeOut(on bool) { s.setFault(func(f *fault) { f.lostOut = on }) }

// Slow is [Conn.Slow] for all connections, those to come included.
func (s *Server) Slow(bytesPerSecond int) { s.setFault(func(f *fault) { f.rate = bytesPerSecond }) }

// Vanish leaves all connections half open, as [Conn.Vanish] does one.
func (s *Server) Vanish() {
	s.mu.Lock()
	conns := s.connections()
	s.mu.Unlock()
	for _, c := range conns {
		c.Vanish()
	}
}

// Delay is [Conn.Delay] for all connections, those to come included.
func (s *Server) Delay(d time.Duration) { s.setFault(func(f *fault) { f.delay = d }) }

// Mute is [Conn.Mute] for all connections, those to come included.
func (s *Server) Mute(on bool) { s.setFault(func(f *fault) { f.muted = on }) }

func (s *Server) setFault(change func(*fault)) {
	s.mu.Lock()
	change(&s.fault)
	conns := s.connections()
	s.mu.Unlock()
	for _, c := range conns {
		c.net.set(change)
	}
}

// A Refusal is how a server refuses new connections.
type Refusal struct {
	// Status is the HTTP status that the handshake is answered with, for
	// example 503. Zero refuses the connection itself: syscall.ECONNREFUSED from
	// DialContext, a reset from a listener.
	Status int

	// RetryAfter goes into the Retry-After field of that answer, in whole
	// seconds. Zero: none.
	RetryAfter time.Duration

	// Hang lets new connections wait for ever instead: DialContext blocks until
	// its context ends, and a listener accepts and says nothing.
	Hang bool
}

// Refuse makes the server refuse new connections until [Server.Admit]. Those
// that exist go on.
func (s *Server) Refuse(r Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal = &r
}

// Admit ends what Refuse began.
func (s *Server) Admit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal = nil
}

// A RegisterFault is how a registrar fails while its server works.
type RegisterFault struct {
	Status sip.StatusCode // of its answers to REGISTER; 0: there are none
	Fields []sip.Field    // of these answers, as a Retry-After
}

// FailRegisters makes the server fail every REGISTER, until nil ends that. It
// keeps the registrations there are.
func (s *Server) FailRegisters(f *RegisterFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registerFault = f
}

// Restart is a crash and a new start: all connections are cut, and requests in
// progress and nonces are forgotten. The registrations are kept with true, as
// from a database, and lost with false.
func (s *Server) Restart(keepBindings bool) {
	s.mu.Lock()
	s.stopExchanges()
	s.nonces = nonceStore{}
	if !keepBindings {
		s.accounts = make(map[string]*account)
		s.gruus = make(map[string]*binding)
	}
	s.broadcast()
	s.mu.Unlock()
	s.Drop()
}
