package sipua_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
)

// drop has the phone lose its connection.
func (p *phone) drop() {
	for _, b := range p.w.srv.Bindings(p.user) {
		b.Conn.Drop()
	}
}

// away has the phone without a connection for so long.
func (p *phone) away(d time.Duration) {
	p.gone.Store(true)
	p.drop()
	time.Sleep(d)
	p.gone.Store(false)
}

// faults are how a phone loses its connection.
var faults = map[string]func(p *phone){
	"cut": func(p *phone) { p.away(3 * time.Second) },
	"silent": func(p *phone) { // and comes back by itself, when that is noticed
		for _, b := range p.w.srv.Bindings(p.user) {
			b.Conn.Blackhole(true)
		}
		p.until("disconnected")
	},
}

// rings has alice call bob, whose phone rings.
func (w *world) rings(again bool) (alice, bob *phone, here *line, in *session.Incoming) {
	w.t.Helper()
	alice, bob = w.phone("alice"), w.phone("bob")
	here = &line{w: w, phone: alice, out: rtc.NewTrack(rtc.Audio)}
	var err error
	here.Session, err = alice.Invite(w.t.Context(), "bob", &session.CallOptions{Media: w.media(here.out), PlaceAgain: again})
	w.must(err)
	in = <-bob.calls
	time.Sleep(time.Second)
	return alice, bob, here, in
}

// TestCallPlacedAgain: the connection goes while bob's phone rings, and what bob's
// end says of that never arrives. The phone stops ringing and rings once more, and
// both are heard.
func TestCallPlacedAgain(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			eachPersonality(t, func(w *world) {
				alice, bob, here, in := w.rings(true)
				first := here.CallID()
				fault(alice)
				<-in.Context().Done()
				answered := bob.answers()
				w.must(here.WaitAnswered(w.t.Context()))
				if here.CallID() == first {
					w.t.Error("it is the same call")
				}
				here.listen()
				there := answered()
				talking(here, there)
				if len(alice.Calls()) != 1 || len(bob.Calls()) != 1 {
					w.t.Errorf("alice has %d calls, bob %d", len(alice.Calls()), len(bob.Calls()))
				}
				w.must(there.Hangup(w.t.Context()))
				<-here.Context().Done()
			})
		})
	}
}

// TestCallLostWhileItRings: the call ends at both ends, and is hung up at both
// where that was done without a connection.
func TestCallLostWhileItRings(t *testing.T) {
	for name, fault := range faults {
		for _, hangup := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				eachPersonality(t, func(w *world) {
					alice, _, here, in := w.rings(false)
					if hangup {
						time.AfterFunc(time.Second, func() { _ = here.Hangup(w.t.Context()) })
					}
					fault(alice)
					<-here.Context().Done()
					var lost *session.LostError
					if err := here.WaitAnswered(w.t.Context()); errors.As(err, &lost) == hangup || errors.Is(err, net.ErrClosed) == hangup {
						w.t.Errorf("ended by %v", err)
					}
					begin := time.Now()
					<-in.Context().Done()
					if took := time.Since(begin); took > 10*time.Second {
						w.t.Errorf("bob's phone rang on for %v", took)
					}
				})
			})
		}
	}
}

// TestAnsweredWhileAway: bob answers while alice has no connection. There is one
// call in the end, be it by his 200, where it finds her, or by another INVITE.
func TestAnsweredWhileAway(t *testing.T) {
	eachPersonality(t, func(w *world) {
		alice, bob, here, in := w.rings(true)
		lines := map[*session.Session]*line{}
		answer := func(in *session.Incoming) {
			l := &line{w: w, phone: bob, out: rtc.NewTrack(rtc.Audio)}
			l.Session = in.Session()
			lines[l.Session] = l
			media := w.media(l.out)
			go func() { _, _ = in.Answer(w.t.Context(), &session.AnswerOptions{Media: media}) }()
		}
		time.AfterFunc(time.Second, func() { answer(in) })
		alice.away(3 * time.Second)
		time.Sleep(20 * time.Second)
		select {
		case in := <-bob.calls:
			answer(in)
		default:
		}
		w.must(here.WaitAnswered(w.t.Context()))
		here.listen()
		time.Sleep(time.Minute)
		left := bob.Calls()
		if len(left) != 1 || len(alice.Calls()) != 1 {
			w.t.Fatalf("alice has %d calls, bob %d", len(alice.Calls()), len(left))
		}
		there := lines[left[0]]
		there.listen()
		talking(here, there)
	})
}
