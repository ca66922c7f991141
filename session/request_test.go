package session_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// TestRequestsEndWithTheCall: what waits for a connection does not outlive it.
func TestRequestsEndWithTheCall(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		r.down()
		result := start(func() error { return s.SendInfo(r.t.Context(), "text/plain", []byte("x"), nil) })
		start(func() error { return s.Hangup(r.t.Context()) })
		r.ended(s, session.EndBye, false)
		select {
		case err := <-result:
			var end *session.EndError
			if !errors.As(err, &end) {
				t.Errorf("SendInfo: %v", err)
			}
		default:
			t.Error("SendInfo goes on")
		}
		r.up()
		r.sent("BYE")
	})
}

// TestRequestWithoutConnection: it waits for one, but not for ever.
func TestRequestWithoutConnection(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		r.down()
		begin := time.Now()
		if err := s.SendInfo(r.t.Context(), "text/plain", []byte("x"), nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("SendInfo: %v", err)
		}
		if took := time.Since(begin); took != 32*time.Second {
			t.Errorf("took %v", took)
		}
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
	})
}

// TestRequestsLeaveInOrder: the numbers of a dialog's requests rise on the
// wire, whoever sends them at the same time (RFC 3261 §12.2.1.1).
func TestRequestsLeaveInOrder(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		for range 50 {
			for range 8 {
				go s.SendInfo(r.t.Context(), "text/plain", []byte("x"), nil)
			}
			last := uint32(0)
			for range 8 {
				info := r.request(sip.INFO)
				if seq := info.CSeq().Seq; seq <= last {
					t.Fatalf("CSeq %d after %d", seq, last)
				} else {
					last = seq
				}
				r.answer(info, 200, "", "")
			}
		}
	})
}
