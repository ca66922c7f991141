package sipua_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// comesBack checks that a phone is registered with a server from that long on
// after now, and not before.
func (p *phone) comesBack(s *siptest.Server, earliest, latest time.Duration) {
	p.w.t.Helper()
	begun := time.Now()
	p.until("registered")
	after := time.Since(begun).Truncate(10 * time.Millisecond) // of which until is capable
	if after < earliest || after > latest {
		p.w.t.Errorf("registered after %v, want [%v, %v]", after, earliest, latest)
	}
	if reg := p.Registration(); !reg.Bound() || reg.Err != nil || reg.Server != s.URL() || !s.Registered(p.user) {
		p.w.t.Errorf("%+v", reg)
	}
}

// TestRegistrationComesBack: by itself after each loss, as soon as the server lets
// it, with the Call-ID it had and a CSeq that goes on.
func TestRegistrationComesBack(t *testing.T) {
	for name, tt := range map[string]struct {
		lose             func(s *siptest.Server)
		earliest, latest time.Duration
	}{
		"the connection is cut":                        {lose: func(s *siptest.Server) { s.Drop() }},
		"the server starts anew and remembers nothing": {lose: func(s *siptest.Server) { s.Restart(false) }},
		"the server starts anew and remembers us":      {lose: func(s *siptest.Server) { s.Restart(true) }},
		"the connection goes silent": {
			lose: func(s *siptest.Server) {
				c := s.Conns()[0]
				c.Blackhole(true)
			},
			earliest: 4 * time.Second, latest: 9 * time.Second,
		},
		"the server is away for 20 s": {
			lose: func(s *siptest.Server) {
				kill(s)
				time.AfterFunc(20*time.Second, s.Admit)
			},
			earliest: 20 * time.Second, latest: 50 * time.Second, // back-off up to 30 s
		},
		"its registrar is not ready yet": { // RFC 5626 §4.5: 30 to 60 s
			lose: func(s *siptest.Server) {
				s.Restart(false)
				s.FailRegisters(&siptest.RegisterFault{Status: 500})
				time.AfterFunc(20*time.Second, func() { s.FailRegisters(nil) })
			},
			earliest: 30 * time.Second, latest: 60 * time.Second,
		},
		"its registrar asks for a while": {
			lose: func(s *siptest.Server) {
				s.Restart(false)
				s.FailRegisters(&siptest.RegisterFault{Status: 503, Fields: []sip.Field{{Name: "Retry-After", Value: "7"}}})
				time.AfterFunc(time.Second, func() { s.FailRegisters(nil) })
			},
			earliest: 7 * time.Second, latest: 7 * time.Second,
		},
		"its registrar says nothing": { // Timer F, then 30 to 60 s
			lose: func(s *siptest.Server) {
				s.Restart(false)
				s.FailRegisters(&siptest.RegisterFault{})
				time.AfterFunc(20*time.Second, func() { s.FailRegisters(nil) })
			},
			earliest: 62 * time.Second, latest: 92 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, siptest.Options{Outbound: true}, func(w *world) {
				alice := w.phone("alice")
				time.Sleep(time.Minute)
				before := w.srv.Bindings("alice")[0]
				alice.seen()
				tt.lose(w.srv)
				alice.comesBack(w.srv, tt.earliest, tt.latest)
				if b := w.srv.Bindings("alice")[0]; b.CallID != before.CallID || b.CSeq <= before.CSeq || b.Conn == before.Conn {
					w.t.Errorf("registered by %s, CSeq %d, after %s, %d", b.CallID, b.CSeq, before.CallID, before.CSeq)
				}
			})
		})
	}
}

// TestNextServerRegisters: where a server works but does not register us, the next
// one does, at once; the first is left alone as long as it asked.
func TestNextServerRegisters(t *testing.T) {
	for name, tt := range map[string]struct {
		fault siptest.RegisterFault
		after time.Duration
	}{
		"500":         {siptest.RegisterFault{Status: 500}, 0},
		"503":         {siptest.RegisterFault{Status: 503}, 0},
		"408":         {siptest.RegisterFault{Status: 408}, 0},
		"no answer":   {siptest.RegisterFault{}, 32 * time.Second},
		"Retry-After": {siptest.RegisterFault{Status: 503, Fields: []sip.Field{{Name: "Retry-After", Value: "300"}}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inWorldOfTwo(t, siptest.Options{Outbound: true}, func(w *world, second *siptest.Server) {
				w.srv.FailRegisters(&tt.fault)
				begun := time.Now()
				alice := w.phone("alice", reaching(w, second))
				if after := time.Since(begun); after != tt.after {
					w.t.Errorf("registered after %v, want %v", after, tt.after)
				}
				synctest.Wait()
				if got := alice.Registration().Server; got != second.URL() || len(w.srv.Conns()) != 0 {
					w.t.Errorf("registered with %s", got)
				}
				if name != "Retry-After" {
					return
				}
				w.srv.FailRegisters(nil)
				time.Sleep(100 * time.Second)
				alice.seen()
				kill(second)
				alice.comesBack(w.srv, 300*time.Second-time.Since(begun), 360*time.Second)
			})
		})
	}
}

// TestNoServerRegisters: where none does, the connection to the last one stays, so
// that what needs no registration goes on, and each is asked again in its time.
func TestNoServerRegisters(t *testing.T) {
	inWorldOfTwo(t, siptest.Options{Outbound: true}, func(w *world, second *siptest.Server) {
		fault := &siptest.RegisterFault{Status: 500}
		w.srv.FailRegisters(fault)
		second.FailRegisters(fault)
		cfg := w.config("alice")
		reaching(w, second)(&cfg)
		ua := w.ua(cfg)
		defer ua.Close()
		ctx, cancel := within(20 * time.Second)
		defer cancel()
		if err := ua.Start(ctx); !errors.Is(err, sip.StatusServerInternalError) {
			w.t.Errorf("Start: %v", err)
		}
		if reg := ua.Registration(); reg.State != registrar.BackingOff || len(w.srv.Conns())+len(second.Conns()) != 1 {
			w.t.Errorf("%+v", reg)
		}
		if _, err := ua.SendOptions(w.t.Context(), "sip:example.com", nil); err != nil {
			w.t.Error(err)
		}
		w.srv.FailRegisters(nil)
		second.FailRegisters(nil)
		time.Sleep(time.Minute)
		if reg := ua.Registration(); !reg.Bound() {
			w.t.Errorf("%+v", reg)
		}
	})
}

// TestThirdServerRegisters: with two flows, one to a server that does not register
// us, that flow goes to a third one.
func TestThirdServerRegisters(t *testing.T) {
	inWorldOfTwo(t, siptest.Options{Outbound: true}, func(w *world, second *siptest.Server) {
		third, err := siptest.NewServer(siptest.Options{Domain: "example.com", Host: "two.three.example.com", Outbound: true})
		if err != nil {
			w.t.Fatal(err)
		}
		defer third.Close()
		second.FailRegisters(&siptest.RegisterFault{Status: 503})
		alice := w.phone("alice", reaching(w, second), twoFlows, func(c *sipua.Config) {
			dial := c.DialContext
			c.DialContext = dialing(third, "two.three.", dial)
			c.WSServers = append(c.WSServers, sipua.WSServer{URL: third.URL()})
		})
		if err := third.WaitRegistered(w.t.Context(), "alice"); err != nil {
			w.t.Fatal(err)
		}
		synctest.Wait()
		if len(second.Conns()) != 0 || !w.srv.Registered("alice") {
			w.t.Errorf("alice: %s", alice.states())
		}
	})
}

// TestPhonesComeBackSpread: a server that was away for a minute is not stormed:
// what comes in its first seconds is spread over them.
func TestPhonesComeBackSpread(t *testing.T) {
	const phones = 100
	inWorld(t, siptest.Options{Outbound: true}, func(w *world) {
		for range phones {
			cfg := w.config("alice")
			cfg.Media, cfg.PingInterval = nil, time.Hour
			ua := w.ua(cfg)
			defer ua.Close()
			if err := ua.Start(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Minute)
		kill(w.srv)
		time.Sleep(time.Minute)
		w.srv.Admit()
		most, before := 0, w.srv.Counters().Registers
		registered := 0
		for range 300 { // 30 s, the longest wait
			time.Sleep(100 * time.Millisecond)
			now := w.srv.Counters().Registers
			most, before, registered = max(most, now-before), now, registered+now-before
		}
		if registered != phones || most > phones/10 {
			w.t.Errorf("%d of %d phones came back, %d of them within 100 ms", registered, phones, most)
		}
		// Their refreshes, too, are spread: between half and five sixths of 600 s.
		most = 0
		for range 60 {
			time.Sleep(10 * time.Second)
			now := w.srv.Counters().Registers
			most, before = max(most, now-before), now
		}
		if most > phones/5 {
			w.t.Errorf("%d of %d phones refreshed within 10 s", most, phones)
		}
	})
}
