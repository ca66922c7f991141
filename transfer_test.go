package sipua_test

import (
	"context"
	"errors"
	"testing"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/siptest"
)

// obliging is a phone that does what a REFER asks for; the call that comes of it
// is a line.
func (w *world) obliging(user string) (*phone, chan *line) {
	w.t.Helper()
	calls := make(chan *line, 8)
	var p *phone
	accept := func(r *session.Referral) {
		l := &line{w: w, phone: p, out: rtc.NewTrack(rtc.Audio)}
		s, err := r.Accept(w.t.Context(), &session.CallOptions{Media: w.media(l.out)})
		if err != nil {
			w.t.Error(err)
			return
		}
		if l.Session = s; s.WaitAnswered(w.t.Context()) == nil {
			l.listen()
		}
		calls <- l
	}
	p = w.phone(user, func(cfg *sipua.Config) {
		cfg.Handler.Refer = accept
		cfg.Handler.Session.Refer = func(_ *session.Session, r *session.Referral) { go accept(r) }
	})
	return p, calls
}

// TestTransferAmongThree: alice hands bob over to carol, whoever called whom;
// all three are ours. The audio moves to the new pair, and nothing is left of
// the calls before.
func TestTransferAmongThree(t *testing.T) {
	calls := func(caller, callee *phone) (here, there *line) { return caller.talk(callee) }
	isCalled := func(callee, caller *phone) (here, there *line) {
		there, here = caller.talk(callee)
		return here, there
	}
	for _, tt := range []struct {
		name       string
		bob, carol func(here, there *phone) (*line, *line)
	}{
		{"alice called both", calls, calls},
		{"both called alice", isCalled, isCalled},
		{"bob called alice, she called carol", isCalled, calls},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, siptest.Options{}, func(w *world) {
				alice, carol := w.phone("alice"), w.phone("carol")
				bob, referred := w.obliging("bob")
				toBob, b := tt.bob(alice, bob)
				w.must(toBob.Hold(w.t.Context()))
				toCarol, c := tt.carol(alice, carol)

				answer := carol.answers()
				transfer, err := toBob.ReferTo(w.t.Context(), toCarol.Session, nil)
				w.must(err)
				there := answer()
				here := <-referred
				w.must(transfer.Wait(w.t.Context()))
				talking(here, there)
				for _, l := range []*line{toBob, toCarol, b, c} {
					<-l.Context().Done()
				}
				if err := context.Cause(toBob.Context()); !errors.Is(err, session.ErrTransferred) {
					t.Errorf("alice's call to bob: %v", err)
				}
				var replaced *session.ReplacedError
				if err := context.Cause(c.Context()); !errors.As(err, &replaced) || replaced.By != there.Session {
					t.Errorf("carol's call to alice: %v", err)
				}
				w.must(here.Hangup(w.t.Context()))
				<-there.Context().Done()
			})
		})
	}
}

// TestTransferRefusedByTheTarget leaves alice with bob.
func TestTransferRefusedByTheTarget(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		alice, carol := w.phone("alice"), w.phone("carol")
		bob, _ := w.obliging("bob")
		a, b := alice.talk(bob)
		go func() { (<-carol.calls).Reject(sip.StatusBusyHere, nil) }()
		transfer, err := a.Refer(w.t.Context(), "carol", nil)
		w.must(err)
		if err := transfer.Wait(w.t.Context()); !errors.Is(err, sip.StatusBusyHere) {
			t.Errorf("outcome: %v", err)
		}
		talking(a, b)
		w.must(a.Hangup(w.t.Context()))
		<-b.Context().Done()
	})
}

// TestReferOutsideOfCalls has bob call carol, and hears of it.
func TestReferOutsideOfCalls(t *testing.T) {
	inWorld(t, siptest.Options{}, func(w *world) {
		alice, carol := w.phone("alice"), w.phone("carol")
		_, referred := w.obliging("bob")
		answer := carol.answers()
		transfer, err := alice.Refer(w.t.Context(), "bob", "carol", nil)
		w.must(err)
		there := answer()
		here := <-referred
		w.must(transfer.Wait(w.t.Context()))
		talking(here, there)
		w.must(here.Hangup(w.t.Context()))
		<-there.Context().Done()

		if _, err := alice.Refer(w.t.Context(), "carol", "bob", nil); !errors.Is(err, sip.StatusDecline) {
			t.Errorf("carol consents to nothing: %v", err)
		}
	})
}
