package core_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/digest"
)

func TestInviteAccepted(t *testing.T) {
	run(t, options(), func(r *rig) {
		s := r.send(sip.INVITE, nil)
		req := r.request(sip.INVITE)
		r.answer(req, 100)
		r.answer(req, 180)
		r.answer(req, 200)
		r.sleep(time.Second)
		r.answer(req, 200) // repeated, or another fork's
		s.got(100, 180, 200, 200)
		r.sleep(time.Minute)
		if !s.done || s.at != 32*time.Second || s.err != nil {
			t.Errorf("done %v at %v, error %v", s.done, s.at, s.err)
		}
		r.answer(req, 200)
		s.got(100, 180, 200, 200)
		r.locked(func() {
			if got := r.Stats().Stray; got != 1 {
				t.Errorf("%d strays, want 1", got)
			}
		})
		r.nothing()
	})
}

func TestInviteRefused(t *testing.T) {
	run(t, options(), func(r *rig) {
		s := r.send(sip.INVITE, nil)
		req := r.request(sip.INVITE)
		r.answer(req, 486)
		ack := r.request(sip.ACK)
		if ack.Via() != req.Via() || ack.To().Tag() != "far" || ack.CSeq().Seq != 1 {
			t.Errorf("ACK:\n%s", ack.AppendTo(nil))
		}
		s.got(486)
		if s.done {
			t.Error("OnDone without a 2xx")
		}
	})
}

// The ACK to a 2xx has the INVITE's CSeq and repeats its credentials; each
// repeated 2xx gets the same one again.
func TestSendACK(t *testing.T) {
	o := withPassword()
	o.UserAgent = "sipua"
	run(t, o, func(r *rig) {
		s := r.send(sip.INVITE, nil)
		ch, u := challenge("p", "1", true), challenge("u", "1", false)
		r.challenge(r.request(sip.INVITE), ch, u)
		invite := r.request(sip.INVITE)
		r.answer(invite, 200, "Contact: <sip:bob@b1.invalid>", "Record-Route: <sip:p1.example.com;lr>", "Record-Route: <sip:p2.example.com;lr>")
		s.got(200)
		d := r.dialogOf(s)
		var resend func()
		r.locked(func() {
			d.NextSeq() // a request inside meanwhile
			resend = r.SendACK(d, &s.Outgoing, "application/sdp", []byte("v=0\r\n"))
		})
		first := r.raw()
		m, err := sip.Parse([]byte(first))
		if err != nil {
			t.Fatal(err)
		}
		ack := m.(*sip.Request)
		if ack.Method() != sip.ACK || ack.CSeq() != (sip.CSeq{Seq: 2, Method: sip.ACK}) || ack.URI().Host != "b1.invalid" ||
			ack.Via().Branch() == invite.Via().Branch() || string(ack.Body()) != "v=0\r\n" ||
			len(ack.Headers("Route")) != 2 || ack.Header("Route") != "<sip:p2.example.com;lr>" {
			t.Errorf("ACK:\n%s", first)
		}
		for _, name := range []string{"Authorization", "Proxy-Authorization"} {
			if ack.Header(name) == "" || ack.Header(name) != invite.Header(name) {
				t.Errorf("%s is not repeated", name)
			}
		}
		r.answer(invite, 200)
		s.got(200, 200)
		r.locked(resend)
		if again := r.raw(); again != first {
			t.Errorf("sent again as\n%s", again)
		}
	})
}

func TestACKOnNextFlow(t *testing.T) {
	run(t, options(), func(r *rig) {
		s, d := r.called()
		r.request(sip.ACK)
		var resend func()
		r.locked(func() { resend = r.SendACK(d, &s.Outgoing, "", nil) })
		r.request(sip.ACK)
		r.down()
		r.locked(resend) // nowhere to go
		r.nothing()
		r.up(2, "wss://other.example.com")
		r.locked(resend)
		r.request(sip.ACK) // any flow is better than none
		other := r.flow
		r.up(3, server)
		same := r.flow
		r.FlowUp(&flow{id: 4}, info("wss://third.example.com"))
		r.locked(resend)
		r.flow = other
		r.nothing()
		r.flow = same
		r.request(sip.ACK)
	})
}

func TestCancel(t *testing.T) {
	reason := sip.Field{Name: "Reason", Value: "SIP;cause=200"}
	for _, tt := range []struct {
		name string
		do   func(r *rig, s *sending, invite *sip.Request)
	}{
		{"after a provisional", func(r *rig, s *sending, invite *sip.Request) {
			r.answer(invite, 180)
			s.cancel(reason)
		}},
		{"before one", func(r *rig, s *sending, invite *sip.Request) {
			s.cancel(reason)
			s.cancel() // only once
			r.nothing()
			r.answer(invite, 100)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, withPassword(), func(r *rig) {
				s := r.send(sip.INVITE, nil)
				r.challenge(r.request(sip.INVITE), challenge("x", "1", true))
				invite := r.request(sip.INVITE)
				tt.do(r, s, invite)
				cancel := r.request(sip.CANCEL)
				if cancel.Via() != invite.Via() || cancel.CSeq() != (sip.CSeq{Seq: 2, Method: sip.CANCEL}) ||
					cancel.HasHeader("Proxy-Authorization") || cancel.To().Tag() != "" || cancel.Header("Reason") != reason.Value {
					t.Errorf("CANCEL:\n%s", cancel.AppendTo(nil))
				}
				s.cancel()
				r.nothing()
				r.answer(cancel, 200)
				r.answer(invite, 487)
				r.request(sip.ACK)
				if n := len(s.responses); n != 2 || s.responses[1].StatusCode() != 487 || s.err != nil {
					t.Errorf("%d responses, error %v", n, s.err)
				}
			})
		})
	}
}

func TestCancelRaces(t *testing.T) {
	t.Run("2xx wins", func(t *testing.T) {
		run(t, options(), func(r *rig) {
			s := r.send(sip.INVITE, nil)
			invite := r.request(sip.INVITE)
			r.answer(invite, 180)
			s.cancel()
			cancel := r.request(sip.CANCEL)
			r.answer(invite, 200)
			r.answer(cancel, 481)
			s.got(180, 200)
			s.cancel()
			r.nothing()
		})
	})
	t.Run("2xx before any provisional", func(t *testing.T) {
		run(t, options(), func(r *rig) {
			s := r.send(sip.INVITE, nil)
			s.cancel()
			r.answer(r.request(sip.INVITE), 200)
			s.got(200)
			r.nothing()
		})
	})
	t.Run("challenge", func(t *testing.T) {
		run(t, withPassword(), func(r *rig) {
			s := r.send(sip.INVITE, nil)
			s.cancel()
			r.challenge(r.request(sip.INVITE), challenge("x", "1", false))
			s.got()
			if !errors.Is(s.err, context.Canceled) {
				t.Errorf("error %v", s.err)
			}
			r.nothing()
		})
	})
	t.Run("waiting for a flow", func(t *testing.T) {
		run(t, options(), func(r *rig) {
			r.down()
			s := r.send(sip.INVITE, nil)
			s.cancel()
			synctest.Wait()
			if !errors.Is(s.err, context.Canceled) {
				t.Errorf("error %v", s.err)
			}
			r.up(2, server)
			r.nothing()
		})
	})
	t.Run("no final response", func(t *testing.T) {
		run(t, options(), func(r *rig) {
			s := r.send(sip.INVITE, nil)
			invite := r.request(sip.INVITE)
			r.answer(invite, 180)
			r.sleep(10 * time.Second)
			s.cancel()
			r.answer(r.request(sip.CANCEL), 200)
			r.sleep(time.Minute)
			if !errors.Is(s.err, sip.StatusRequestTimeout) || s.at != 42*time.Second {
				t.Errorf("error %v at %v", s.err, s.at)
			}
		})
	})
	t.Run("a bad Reason", func(t *testing.T) {
		run(t, options(), func(r *rig) {
			s := r.send(sip.INVITE, nil)
			r.answer(r.request(sip.INVITE), 180)
			s.cancel(sip.Field{Name: "Reason", Value: "a\r\nb"})
			if r.request(sip.CANCEL).HasHeader("Reason") {
				t.Error("it was sent")
			}
		})
	})
	t.Run("not an INVITE", func(t *testing.T) {
		run(t, options(), func(r *rig) {
			s := r.send(sip.MESSAGE, nil)
			req := r.request(sip.MESSAGE)
			r.answer(req, 100)
			s.cancel()
			r.nothing()
			r.answer(req, 200)
			s.got(100, 200)
		})
	})
}

// The flow goes while a call is in the making.
func TestCancelAcrossFlows(t *testing.T) {
	t.Run("canceled while there is none", func(t *testing.T) {
		run(t, options(), func(r *rig) {
			s := r.send(sip.INVITE, nil)
			invite := r.request(sip.INVITE)
			r.answer(invite, 180)
			r.down()
			s.cancel()
			r.sleep(10 * time.Second)
			r.up(2, "wss://other.example.com")
			r.nothing()
			r.up(3, server)
			cancel := r.request(sip.CANCEL)
			if cancel.Via() != invite.Via() {
				t.Errorf("Via %v", cancel.Via())
			}
			r.answer(cancel, 200)
			r.answer(invite, 487)
			r.request(sip.ACK)
			s.got(180, 487)
		})
	})
	t.Run("lost with the CANCEL", func(t *testing.T) {
		run(t, options(), func(r *rig) {
			s := r.send(sip.INVITE, nil)
			invite := r.request(sip.INVITE)
			r.answer(invite, 180)
			s.cancel()
			r.request(sip.CANCEL)
			r.down()
			r.up(2, server)
			r.request(sip.CANCEL)
			r.answer(invite, 487)
			r.request(sip.ACK)
			s.got(180, 487)
		})
	})
	t.Run("no flow comes", func(t *testing.T) {
		run(t, options(), func(r *rig) {
			s := r.send(sip.INVITE, nil)
			r.answer(r.request(sip.INVITE), 180)
			r.down()
			s.cancel()
			r.sleep(time.Minute)
			if !errors.Is(s.err, net.ErrClosed) || s.at != 32*time.Second {
				t.Errorf("error %v at %v", s.err, s.at)
			}
			r.sleep(2 * time.Minute)
			r.up(2, "wss://other.example.com")
			r.nothing()
			r.up(3, server)
			r.request(sip.CANCEL) // late, but who is rung is still rung
			r.down()
			r.up(4, server)
			r.nothing()
			r.empty()
		})
	})
	t.Run("no flow comes in time", func(t *testing.T) {
		run(t, options(), func(r *rig) {
			s := r.send(sip.INVITE, nil)
			r.answer(r.request(sip.INVITE), 180)
			r.down()
			s.cancel()
			r.sleep(32*time.Second + 3*time.Minute)
			r.empty()
			r.up(2, server)
			r.nothing()
		})
	})
	t.Run("the INVITE fails with its flow", func(t *testing.T) {
		run(t, options(), func(r *rig) {
			s := r.send(sip.INVITE, nil)
			invite := r.request(sip.INVITE)
			r.answer(invite, 180)
			r.down()
			r.sleep(time.Minute)
			if !errors.Is(s.err, net.ErrClosed) || s.at != 32*time.Second {
				t.Errorf("error %v at %v", s.err, s.at)
			}
			r.up(2, server)
			if cancel := r.request(sip.CANCEL); cancel.Via() != invite.Via() {
				t.Errorf("Via %v", cancel.Via())
			}
		})
	})
	t.Run("before any response", func(t *testing.T) {
		run(t, options(), func(r *rig) {
			s := r.send(sip.INVITE, nil)
			invite := r.request(sip.INVITE)
			s.cancel()
			r.nothing()
			r.down()
			r.sleep(time.Second)
			r.up(2, server)
			cancel := r.request(sip.CANCEL)
			if cancel.Via() != invite.Via() {
				t.Errorf("Via %v", cancel.Via())
			}
			r.answer(cancel, 481)
			r.nothing()
			r.answer(invite, 100) // it comes late
			r.answer(r.request(sip.CANCEL), 200)
			r.answer(invite, 487)
			r.request(sip.ACK)
			s.got(100, 487)
		})
	})
	t.Run("before any response, in a dialog", func(t *testing.T) {
		run(t, options(), func(r *rig) {
			_, d := r.called()
			r.request(sip.ACK)
			s := r.send("", func(s *sending) {
				r.locked(func() { s.Request = d.NewRequest(sip.INVITE) })
				s.Dialog = d
			})
			r.request(sip.INVITE)
			s.cancel()
			r.down()
			r.up(2, server)
			r.sleep(time.Minute)
			r.nothing() // a BYE does more
			if !errors.Is(s.err, net.ErrClosed) {
				t.Errorf("error %v", s.err)
			}
			r.empty()
		})
	})
	t.Run("closed while it waits", func(t *testing.T) {
		run(t, options(), func(r *rig) {
			r.send(sip.INVITE, nil)
			r.answer(r.request(sip.INVITE), 180)
			r.down()
			r.sleep(time.Minute)
			r.Close(nil)
			r.empty()
		})
	})
}

// empty checks that the core keeps nothing.
func (r *rig) empty() {
	r.Helper()
	r.sleep(time.Minute)
	r.locked(func() {
		if got := r.Holdings(); got != (core.Holdings{}) {
			r.Errorf("left: %+v", got)
		}
	})
}

// TestRenew: the same request again, as another call.
func TestRenew(t *testing.T) {
	o := withPassword()
	o.PreloadedRoute = true
	run(t, o, func(r *rig) {
		s := r.send(sip.INVITE, func(s *sending) {
			s.Referred = true
			if err := s.Request.SetBody("application/sdp", []byte("v=0\r\n")); err != nil {
				t.Fatal(err)
			}
		})
		r.locked(func() {
			if (&core.Outgoing{}).Renew() != nil {
				t.Error("what never left was renewed")
			}
		})
		invite := r.request(sip.INVITE)
		r.answer(invite, 180)
		r.down()
		r.flow = &flow{id: 2}
		r.FlowUp(r.flow, core.FlowInfo{Server: "wss://other.example.com", Secure: true, Host: "other.example.com"})
		again := &sending{r: r}
		r.locked(func() {
			again.Outgoing = *s.Renew()
			if !again.Referred {
				t.Error("it forgot that it was referred")
			}
			again.OnResponse = func(res *sip.Response) { again.responses = append(again.responses, res) }
			r.Send(&again.Outgoing)
		})
		next := r.request(sip.INVITE)
		if next.CallID() == invite.CallID() || next.From().Tag() == invite.From().Tag() || next.From().URI != invite.From().URI ||
			next.CSeq().Seq != 1 || len(next.Headers("Via")) != 1 || next.Via().Branch() == invite.Via().Branch() ||
			len(next.Headers("Contact")) != 1 || next.Header("Contact") != invite.Header("Contact") ||
			len(next.Headers("Route")) != 1 || !strings.Contains(next.Header("Route"), "other.example.com") || string(next.Body()) != "v=0\r\n" {
			t.Errorf("%s\nagain as\n%s", invite.AppendTo(nil), next.AppendTo(nil))
		}
		r.answer(next, 180)
		again.got(180)
		s.got(180)
	})
}

// TestLost: while a response may come on the next flow.
func TestLost(t *testing.T) {
	run(t, options(), func(r *rig) {
		s := r.send(sip.INVITE, nil)
		lost := func(want bool) {
			t.Helper()
			r.locked(func() {
				if err := s.Lost(); errors.Is(err, net.ErrClosed) != want || want == (err == nil) {
					t.Errorf("lost: %v, want %v", err, want)
				}
			})
		}
		invite := r.request(sip.INVITE)
		lost(false)
		r.down()
		lost(true)
		r.up(2, server)
		lost(true)
		r.answer(invite, 180)
		lost(false)
		r.down()
		lost(true)
		r.sleep(time.Minute)
		lost(false)
		if s.err == nil {
			t.Error("it did not fail")
		}
	})
}

// A lost flow fails requests at once, INVITEs after the recovery limit, and a
// 2xx on the next flow to the same server is taken and can be acknowledged.
func TestFlowLost(t *testing.T) {
	o := options()
	o.RecoveryLimit = 10 * time.Second
	run(t, o, func(r *rig) {
		message := r.send(sip.MESSAGE, nil)
		first := r.send(sip.INVITE, nil)
		second := r.send(sip.INVITE, nil)
		r.request(sip.MESSAGE)
		r.request(sip.INVITE)
		invite := r.request(sip.INVITE)
		r.answer(invite, 180)
		r.sleep(time.Second)
		r.down()
		message.got()
		if !errors.Is(message.err, net.ErrClosed) || message.at != time.Second {
			t.Errorf("MESSAGE: %v at %v", message.err, message.at)
		}
		r.sleep(5 * time.Second)
		r.up(2, server)
		r.answer(invite, 200, "Contact: <sip:bob@b1.invalid>")
		second.got(180, 200)
		d := r.dialogOf(second)
		r.locked(func() { r.SendACK(d, &second.Outgoing, "", nil) })
		r.request(sip.ACK)
		r.sleep(time.Minute)
		if !errors.Is(first.err, net.ErrClosed) || first.at != 11*time.Second {
			t.Errorf("INVITE: %v at %v", first.err, first.at)
		}
		if second.err != nil || !second.done || second.at != 38*time.Second {
			t.Errorf("recovered INVITE: %v, done %v at %v", second.err, second.done, second.at)
		}
	})
}

func TestTimerB(t *testing.T) {
	o := options()
	o.T1 = 250 * time.Millisecond
	run(t, o, func(r *rig) {
		s := r.send(sip.INVITE, nil)
		r.sleep(time.Minute)
		var timeout *sip.TimeoutError
		if !errors.As(s.err, &timeout) || timeout.Timer != "B" || s.at != 16*time.Second {
			t.Errorf("error %v at %v", s.err, s.at)
		}
	})
}

// A challenge to a request inside an INVITE's own dialog does not touch the
// INVITE's CSeq, and Cancel meets the newest attempt.
func TestCancelMeetsNewestAttempt(t *testing.T) {
	gate := make(chan struct{})
	o := options()
	o.Credentials = func(ctx context.Context, _ digest.Challenge) (digest.Credentials, error) {
		select {
		case <-gate:
		case <-ctx.Done():
		}
		return password(), nil
	}
	run(t, o, func(r *rig) {
		gate = make(chan struct{})
		s := r.send(sip.INVITE, nil)
		r.challenge(r.request(sip.INVITE), challenge("x", "1", false))
		close(gate)
		second := r.request(sip.INVITE)
		r.answer(second, 183)
		s.cancel()
		if cancel := r.request(sip.CANCEL); cancel.Via() != second.Via() {
			t.Error("the CANCEL is for an older attempt")
		}
	})
}
