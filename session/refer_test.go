package session_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// referring is a REFER of ours that is under way.
type referring struct {
	*session.Transfer
	err  error
	done chan struct{}
}

func (r *rig) referring(refer func() (*session.Transfer, error)) *referring {
	f := &referring{done: make(chan struct{})}
	go func() {
		defer close(f.done)
		f.Transfer, f.err = refer()
	}()
	return f
}

// refer starts to transfer a call blindly and takes the REFER.
func (r *rig) refer(s *session.Session, target string, o *session.ReferOptions) (*referring, *sip.Request) {
	r.t.Helper()
	f := r.referring(func() (*session.Transfer, error) { return s.Refer(r.t.Context(), target, o) })
	return f, r.request(sip.REFER)
}

// agreed has the far end answer the REFER.
func (r *rig) agreed(f *referring, refer *sip.Request, fields ...sip.Field) *session.Transfer {
	r.t.Helper()
	r.answer(refer, 200, "", "", fields...)
	<-f.done
	r.must(f.err)
	return f.Transfer
}

// outcome expects the transfer to be decided.
func (r *rig) outcome(t *session.Transfer) error {
	r.t.Helper()
	synctest.Wait()
	select {
	case <-t.Done():
	default:
		r.t.Fatal("the transfer is not decided")
	}
	return t.Wait(r.t.Context())
}

// notify sends the news of a transfer.
func (p *peer) notify(event, state, frag string) {
	p.r.t.Helper()
	n := p.request(sip.NOTIFY, "", sip.Field{Name: "Event", Value: event}, sip.Field{Name: "Subscription-State", Value: state})
	if frag != "" {
		p.r.must(n.SetBody("message/sipfrag;version=2.0", []byte(frag)))
	}
	p.r.receive(n)
}

// TestBlindTransfer: RFC 3515 §4.1 inside a call, which is hung up when the
// target has answered unless the application keeps it.
func TestBlindTransfer(t *testing.T) {
	for _, status := range []sip.StatusCode{200, 202} { // RFC 7647 §5
		for _, keep := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d, keep %v", status, keep), func(t *testing.T) {
				bubble(t, func(r *rig) {
					s, bob := r.talk("b")
					f, refer := r.refer(s, "carol", &session.ReferOptions{KeepCall: keep, Headers: []sip.Field{{Name: "X-Why", Value: "tea"}}})
					if refer.Header("Refer-To") != "<sip:carol@example.com>" || refer.Header("Referred-By") != "<sip:alice@example.com>" ||
						refer.Header("X-Why") != "tea" || refer.HasHeader("Refer-Sub") || refer.To().Tag() != "b" {
						t.Errorf("REFER is %s", show(refer))
					}
					if _, ok := refer.Contact(); !ok {
						t.Error("the REFER has no Contact")
					}
					r.answer(refer, status, "", "")
					<-f.done
					r.must(f.err)
					bob.notify("refer", "active;expires=60", "SIP/2.0 100 Trying")
					bob.notify("refer", "active;expires=59", "SIP/2.0 180 Ringing\r\n")
					r.sent("200 NOTIFY", "200 NOTIFY")
					r.seen("refer 100 final=false", "refer 180 final=false")
					if p := f.Progress(); p.Status != 180 || p.Reason != "Ringing" || p.Final {
						t.Errorf("progress %+v", p)
					}
					bob.notify("refer", "terminated;reason=noresource", "SIP/2.0 200 OK\r\nServer: x\r\n")
					if err := r.outcome(f.Transfer); err != nil {
						t.Errorf("transfer: %v", err)
					}
					if keep {
						r.sent("200 NOTIFY")
						r.seen("refer 200 final=true")
						if s.State() != session.Confirmed {
							t.Errorf("state %v", s.State())
						}
						return
					}
					r.answer(r.sent("BYE", "200 NOTIFY")[0].(*sip.Request), 200, "", "")
					r.seen("refer 200 final=true", "state Terminated")
					if end := r.ended(s, session.EndBye, false); !errors.Is(end, session.ErrTransferred) {
						t.Errorf("ended by %v", end)
					}
				})
			})
		}
	}
}

// TestTransferByNotifiesThatAllEnd: SIP.js has every NOTIFY end the subscription, and goes on until the target has
// answered.
func TestTransferByNotifiesThatAllEnd(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.talk("b")
		f, refer := r.refer(s, "carol", nil)
		r.agreed(f, refer)
		bob.notify("refer", "terminated", "SIP/2.0 100 Trying")
		bob.notify("refer", "terminated", "SIP/2.0 180 Ringing")
		r.sent("200 NOTIFY", "200 NOTIFY")
		if p := f.Progress(); p.Status != 180 || p.Final {
			t.Errorf("progress %+v", p)
		}
		bob.notify("refer", "terminated", "SIP/2.0 200 OK")
		if err := r.outcome(f.Transfer); err != nil {
			t.Errorf("transfer: %v", err)
		}
		r.answer(r.sent("BYE", "200 NOTIFY")[0].(*sip.Request), 200, "", "")
	})
}

// TestTransferThatFails leaves the call up and says why (RFC 3515 §2.4.7,
// RFC 6665 §4.1.3).
func TestTransferThatFails(t *testing.T) {
	for _, tt := range []struct {
		state, frag string
		want        session.TransferError
	}{
		{"terminated;reason=noresource", "SIP/2.0 486 Busy Here", session.TransferError{Status: 486, Phrase: "Busy Here"}},
		{"terminated;reason=noresource", "SIP/2.0 302 Moved", session.TransferError{Status: 302, Phrase: "Moved"}},
		{"active;expires=60", "SIP/2.0 603 Declined", session.TransferError{Status: 603, Phrase: "Declined"}},
		{"terminated;reason=noresource", "SIP/2.0 100 Trying", session.TransferError{Reason: "noresource"}},
		{"terminated;reason=rejected", "", session.TransferError{Reason: "rejected"}},
		{"terminated;reason=timeout", "", session.TransferError{Reason: "timeout"}},
		{"terminated;reason=giveup;retry-after=7", "", session.TransferError{Reason: "giveup", RetryAfter: 7 * time.Second}},
		{"terminated", "", session.TransferError{}},
	} {
		t.Run(tt.state+" "+tt.frag, func(t *testing.T) {
			bubble(t, func(r *rig) {
				s, bob := r.talk("b")
				f, refer := r.refer(s, "carol", nil)
				r.agreed(f, refer)
				bob.notify("refer", tt.state, tt.frag)
				r.sent("200 NOTIFY")
				err := r.outcome(f.Transfer)
				var got *session.TransferError
				if !errors.As(err, &got) || *got != tt.want {
					t.Errorf("got %#v, want %#v", err, tt.want)
				}
				if sip.StatusOf(err) != tt.want.Status {
					t.Errorf("status %v", sip.StatusOf(err))
				}
				if p := f.Progress(); !p.Final || p.Err != err {
					t.Errorf("progress %+v", p)
				}
				if s.State() != session.Confirmed {
					t.Errorf("state %v", s.State())
				}
			})
		})
	}
}

// TestTransferThatNobodyTellsOf: without a NOTIFY in 64*T1 (Timer N, RFC 6665
// §4.1.2.4), or one before the subscription expired, its outcome is unknown.
func TestTransferThatNobodyTellsOf(t *testing.T) {
	for _, tt := range []struct {
		state string
		want  time.Duration
	}{
		{"", 32 * time.Second},
		{"active;expires=60", 92 * time.Second},
		{"active;expires=999999999", time.Hour},
		{"active", 5*time.Minute + 32*time.Second},
	} {
		t.Run(tt.state, func(t *testing.T) {
			bubble(t, func(r *rig) {
				s, bob := r.talk("b")
				f, refer := r.refer(s, "carol", nil)
				r.agreed(f, refer)
				begin := time.Now()
				if tt.state != "" {
					bob.notify("refer", tt.state, "SIP/2.0 100 Trying")
					r.sent("200 NOTIFY")
				}
				<-f.Done()
				if got := time.Since(begin); got != tt.want {
					t.Errorf("given up after %v, want %v", got, tt.want)
				}
				var timeout *sip.TimeoutError
				if err := f.Wait(r.t.Context()); !errors.As(err, &timeout) || timeout.Timer != "N" {
					t.Errorf("outcome %v", err)
				}
				bob.notify("refer", "active", "SIP/2.0 200 OK")
				r.sent("481 NOTIFY")
				if s.State() != session.Confirmed {
					t.Errorf("state %v", s.State())
				}
			})
		})
	}
}

// TestNotifyIsMatched: RFC 6665 §4.1.3 and RFC 3515 §2.4.6.
func TestNotifyIsMatched(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.talk("b")
		bob.notify("refer", "active", "SIP/2.0 100 Trying")
		r.sent("481 NOTIFY") // nothing was asked
		bob.notify("presence", "active", "")
		if res := r.sent("489 NOTIFY")[0].(*sip.Response); res.Header("Allow-Events") != "refer" {
			t.Errorf("489 is %s", show(res))
		}

		keep := &session.ReferOptions{KeepCall: true}
		first, refer := r.refer(s, "carol", keep)
		bob.notify("refer", "active", "SIP/2.0 100 Trying") // overtakes the 2xx
		r.sent("200 NOTIFY")
		r.agreed(first, refer)
		second, again := r.refer(s, "dave", keep)
		r.agreed(second, again)
		r.seen("refer 100 final=false")

		bob.notify("refer;id=99999", "active", "SIP/2.0 180 Ringing")
		r.sent("481 NOTIFY")
		bob.notify(fmt.Sprintf("refer;id=%d", again.CSeq().Seq), "terminated;reason=noresource", "SIP/2.0 603 Declined")
		r.sent("200 NOTIFY")
		bob.notify(fmt.Sprintf("refer;id=%d", again.CSeq().Seq), "terminated", "SIP/2.0 200 OK")
		r.sent("481 NOTIFY") // that is over
		bob.notify("refer", "active", "SIP/2.0 200 OK")
		bob.notify("refer", "terminated;reason=timeout", "")
		r.sent("200 NOTIFY", "200 NOTIFY")
		bob.notify("refer", "terminated", "SIP/2.0 200 OK")
		r.sent("481 NOTIFY")
		r.seen("refer 603 final=true", "refer 200 final=true") // each has one end
		if err := errors.Join(r.outcome(first.Transfer)); err != nil {
			t.Error(err)
		}
		if err := r.outcome(second.Transfer); !errors.Is(err, sip.StatusDecline) {
			t.Error(err)
		}
	})
}

// TestNotifyThatCannotBeRead gets its answer and changes nothing.
func TestNotifyThatCannotBeRead(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.talk("b")
		f, refer := r.refer(s, "carol", nil)
		r.agreed(f, refer)
		bob.notify("refer", "active", "HTTP/1.1 200 OK")
		r.sent("400 NOTIFY")
		bob.notify("refer", "active", "SIP/2.0 9999 x")
		r.sent("400 NOTIFY")
		bob.send(sip.NOTIFY, "", sip.Field{Name: "Subscription-State", Value: "active"})
		r.sent("489 NOTIFY") // RFC 6665 §7.2: no Event
		bob.send(sip.NOTIFY, "", sip.Field{Name: "Event", Value: "refer"})
		r.sent("400 NOTIFY")
		n := bob.request(sip.NOTIFY, "", sip.Field{Name: "Event", Value: "refer"}, sip.Field{Name: "Subscription-State", Value: "active"})
		r.must(n.SetBody("text/plain", []byte("SIP/2.0 200 OK")))
		r.receive(n)
		if res := r.sent("415 NOTIFY")[0].(*sip.Response); res.Header("Accept") != "message/sipfrag" {
			t.Errorf("415 is %s", show(res))
		}
		r.seen()
	})
}

// TestRefusedRefer makes no subscription.
func TestRefusedRefer(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.talk("b")
		f, refer := r.refer(s, "carol", nil)
		r.answer(refer, 603, "", "")
		<-f.done
		if !errors.Is(f.err, sip.StatusDecline) || f.Transfer != nil {
			t.Errorf("Refer: %v", f.err)
		}
		bob.notify("refer", "active", "SIP/2.0 100 Trying")
		r.sent("481 NOTIFY")
		if _, err := s.Refer(r.t.Context(), "sips:carol@example.com", nil); !errors.Is(err, sip.ErrSIPS) {
			t.Errorf("sips: %v", err)
		}
		if _, err := s.Refer(r.t.Context(), "carol", &session.ReferOptions{Headers: []sip.Field{{Name: "X", Value: "a\r\nb: c"}}}); err == nil {
			t.Error("a header field with a line end was taken")
		}
		r.silence()
	})
}

// TestReferGivenUp: the context ends the waiting only, so what the far end
// tells later is heard.
func TestReferGivenUp(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.talk("b")
		ctx, cancel := context.WithCancel(r.t.Context())
		f := r.referring(func() (*session.Transfer, error) { return s.Refer(ctx, "carol", &session.ReferOptions{KeepCall: true}) })
		refer := r.request(sip.REFER)
		cancel()
		if <-f.done; !errors.Is(f.err, context.Canceled) {
			t.Errorf("Refer: %v", f.err)
		}
		r.answer(refer, 202, "", "")
		bob.notify("refer", "terminated;reason=noresource", "SIP/2.0 200 OK")
		r.sent("200 NOTIFY")
		r.seen("refer 200 final=true")
	})
}

// TestReferWithoutSubscription: RFC 4488 §4. Granted, the far end's agreement is
// all there is; else it reports as ever.
func TestReferWithoutSubscription(t *testing.T) {
	for _, tt := range []struct {
		answer  []sip.Field
		granted bool
	}{
		{[]sip.Field{{Name: "Refer-Sub", Value: "false"}}, true},
		{[]sip.Field{{Name: "Refer-Sub", Value: "true"}}, false},
		{nil, false},
	} {
		bubble(t, func(r *rig) {
			s, bob := r.talk("b")
			f, refer := r.refer(s, "carol", &session.ReferOptions{NoSubscription: true})
			if refer.Header("Refer-Sub") != "false" || refer.HasHeader("Require") {
				t.Errorf("REFER is %s", show(refer))
			}
			r.agreed(f, refer, tt.answer...)
			if tt.granted {
				if err := r.outcome(f.Transfer); err != nil {
					t.Error(err)
				}
				r.answer(r.request(sip.BYE), 200, "", "")
				r.ended(s, session.EndBye, false)
				return
			}
			bob.notify("refer", "terminated;reason=noresource", "SIP/2.0 480 Gone")
			r.sent("200 NOTIFY")
			if err := r.outcome(f.Transfer); !errors.Is(err, sip.StatusTemporarilyUnavailable) {
				t.Error(err)
			}
		})
	}
}

// TestTransferOutlivesTheCall: a BYE does not end the subscription, and with the
// subscription the dialog goes (RFC 5057 §5.1, RFC 6665 §4.5.2).
func TestTransferOutlivesTheCall(t *testing.T) {
	for _, ours := range []bool{true, false} {
		bubble(t, func(r *rig) {
			s, bob := r.talk("b")
			f, refer := r.refer(s, "carol", nil)
			r.agreed(f, refer)
			if ours {
				gone := start(func() error { return s.Hangup(r.t.Context()) })
				bye := r.request(sip.BYE)
				bob.notify("refer", "active;expires=60", "SIP/2.0 100 Trying") // crosses it
				r.sent("200 NOTIFY")
				r.answer(bye, 200, "", "")
				r.must(<-gone)
				r.seen("state Terminated", "refer 100 final=false")
			} else {
				bob.send(sip.BYE, "")
				r.sent("200 BYE")
				bob.notify("refer", "active;expires=60", "SIP/2.0 100 Trying")
				r.sent("200 NOTIFY")
				r.seen("state Terminated", "refer 100 final=false")
			}
			bob.send(sip.INFO, "")
			r.sent("481 INFO") // the call is over
			time.Sleep(50 * time.Second)
			bob.notify("refer", "terminated;reason=noresource", "SIP/2.0 200 OK")
			r.sent("200 NOTIFY")
			r.seen("refer 200 final=true")
			if err := r.outcome(f.Transfer); err != nil {
				t.Error(err)
			}
			bob.notify("refer", "active", "SIP/2.0 200 OK")
			r.sent("481 NOTIFY")
			if n := r.dialogs(bob); n != 0 {
				t.Errorf("%d dialogs are left", n)
			}
		})
	}
}

// TestTransferEndsWithTheUA.
func TestTransferEndsWithTheUA(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		f, refer := r.refer(s, "carol", nil)
		r.agreed(f, refer)
		r.calls.Close()
		if err := r.outcome(f.Transfer); !errors.Is(err, net.ErrClosed) {
			t.Errorf("outcome %v", err)
		}
		if _, err := s.Refer(r.t.Context(), "carol", nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Refer: %v", err)
		}
		if _, err := r.calls.Refer(r.t.Context(), "bob", "carol", nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Refer: %v", err)
		}
	})
}

// TestAttendedTransfer: the tags of Replaces are those of the target's view,
// whoever placed the call to it (RFC 3891 §3, RFC 5589 §7.3).
func TestAttendedTransfer(t *testing.T) {
	for _, placed := range []bool{true, false} {
		t.Run(fmt.Sprintf("placed by us %v", placed), func(t *testing.T) {
			bubble(t, func(r *rig) {
				s, bob := r.talk("b")
				var other *session.Session
				var carol *peer
				if placed {
					other, carol = r.talk("c")
				} else {
					other, carol = r.hosted()
				}
				f := r.referring(func() (*session.Transfer, error) { return s.ReferTo(r.t.Context(), other, nil) })
				refer := r.request(sip.REFER)
				to, ok := refer.ReferTo()
				if !ok || to.URI.User != "bob" || to.URI.Host != "example.com" {
					t.Fatalf("REFER is %s", show(refer))
				}
				value, _ := to.URI.Header("Replaces")
				got, err := sip.ParseReplaces(value)
				want := sip.Replaces{CallID: carol.callID, ToTag: carol.local.Tag(), FromTag: carol.remote.Tag()}
				if err != nil || got != want {
					t.Errorf("Replaces %q, want %v", value, want)
				}
				if require, _ := to.URI.Header("Require"); require != "replaces" {
					t.Errorf("Require %q", require) // the address may be another device's too
				}
				if refer.To().Tag() != "b" {
					t.Error("the REFER is not in the call to bob")
				}
				r.agreed(f, refer)
				carol.send(sip.BYE, "") // replaced
				bob.notify("refer", "terminated;reason=noresource", "SIP/2.0 200 OK")
				r.answer(r.sent("200 BYE", "BYE", "200 NOTIFY")[1].(*sip.Request), 200, "", "")
				r.ended(other, session.EndBye, true)
				r.ended(s, session.EndBye, false)
			})
		})
	}
}

// TestAttendedTransferToAGRUU uses it: it leads to that very device.
func TestAttendedTransferToAGRUU(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		other, invite := r.dial(nil)
		res := sip.NewResponse(invite, 200, "")
		res.SetToTag("c")
		gruu, err := sip.ParseURI("sip:carol@example.com;gr=urn:uuid:1")
		r.must(errors.Join(err, res.SetContact(sip.NameAddr{URI: gruu}), res.SetBody("application/sdp", []byte(sdp("carol")))))
		r.receive(res)
		r.request(sip.ACK)
		r.referring(func() (*session.Transfer, error) { return s.ReferTo(r.t.Context(), other, nil) })
		to, _ := r.request(sip.REFER).ReferTo()
		if _, ok := to.URI.Header("Require"); ok || to.URI.Params.Value("gr") != "urn:uuid:1" {
			t.Errorf("Refer-To %v", to)
		}
	})
}

// TestSemiAttendedTransfer waits for the target's answer (RFC 5589 §7.6).
func TestSemiAttendedTransfer(t *testing.T) {
	t.Run("answered", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, _ := r.talk("b")
			other, invite := r.dial(nil)
			r.answer(invite, 180, "c", "")
			r.referring(func() (*session.Transfer, error) { return s.ReferTo(r.t.Context(), other, nil) })
			r.silence()
			if other.Replaces() != (sip.Replaces{}) {
				t.Error("the callee did not originate that dialog")
			}
			time.Sleep(10 * time.Second)
			r.answer(invite, 200, "c", sdp("carol"))
			r.request(sip.ACK)
			to, _ := r.request(sip.REFER).ReferTo()
			if value, _ := to.URI.Header("Replaces"); value != other.Replaces().String() {
				t.Errorf("Refer-To %v", to)
			}
		})
	})
	t.Run("refused", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, _ := r.talk("b")
			other, invite := r.dial(nil)
			f := r.referring(func() (*session.Transfer, error) { return s.ReferTo(r.t.Context(), other, nil) })
			r.answer(invite, 486, "c", "")
			if <-f.done; !errors.Is(f.err, sip.StatusBusyHere) {
				t.Errorf("ReferTo: %v", f.err)
			}
			r.request(sip.ACK)
			r.silence()
			if s.State() != session.Confirmed {
				t.Errorf("state %v", s.State())
			}
		})
	})
	t.Run("itself", func(t *testing.T) {
		bubble(t, func(r *rig) {
			s, _ := r.talk("b")
			if _, err := s.ReferTo(r.t.Context(), s, nil); !errors.Is(err, session.ErrState) {
				t.Errorf("ReferTo: %v", err)
			}
		})
	})
}

// TestTransferToACallThatRings has the far end pick it up: only the caller of an
// early dialog lets it be replaced (RFC 3891 §7.1).
func TestTransferToACallThatRings(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		dave := r.caller()
		in, _ := dave.ring(sdp("dave"))
		r.referring(func() (*session.Transfer, error) { return s.ReferTo(r.t.Context(), in.Session(), nil) })
		to, _ := r.request(sip.REFER).ReferTo()
		want := sip.Replaces{CallID: dave.callID, ToTag: dave.local.Tag(), FromTag: dave.remote.Tag(), EarlyOnly: true}
		if value, _ := to.URI.Header("Replaces"); value != want.String() {
			t.Errorf("Refer-To %v, want %v", to, want)
		}
	})
}

// TestReferOutsideOfCalls: the first NOTIFY makes the dialog, and may overtake
// the 2xx (RFC 3515 §2.4.4, RFC 6665 §4.4.1).
func TestReferOutsideOfCalls(t *testing.T) {
	bubble(t, func(r *rig) {
		o := &session.ReferOptions{Progress: func(p session.TransferProgress) { r.note("refer %d final=%v", p.Status, p.Final) }}
		f := r.referring(func() (*session.Transfer, error) { return r.calls.Refer(r.t.Context(), "bob", "carol", o) })
		refer := r.request(sip.REFER)
		if refer.URIText() != "sip:bob@example.com" || refer.Header("Refer-To") != "<sip:carol@example.com>" ||
			refer.Header("Referred-By") != "<sip:alice@example.com>" || refer.To().Tag() != "" {
			t.Errorf("REFER is %s", show(refer))
		}
		bob, other := r.called(refer, "b"), r.called(refer, "other")
		bob.notify("refer", "active;expires=60", "SIP/2.0 100 Trying")
		r.sent("200 NOTIFY")
		r.agreed(f, refer)
		other.notify("refer", "active;expires=60", "SIP/2.0 100 Trying") // another fork
		r.sent("481 NOTIFY")
		bob.send(sip.BYE, "")
		r.sent("481 BYE") // there is no call
		bob.notify("refer", "terminated;reason=noresource", "SIP/2.0 404 Not Found")
		r.sent("200 NOTIFY")
		r.seen("refer 100 final=false", "refer 404 final=true")
		if err := r.outcome(f.Transfer); !errors.Is(err, sip.StatusNotFound) {
			t.Error(err)
		}
		if n := r.dialogs(bob); n != 0 {
			t.Errorf("%d dialogs are left", n)
		}

		f = r.referring(func() (*session.Transfer, error) { return r.calls.Refer(r.t.Context(), "bob", "carol", nil) })
		refer = r.request(sip.REFER)
		r.answer(refer, 480, "b", "")
		if <-f.done; !errors.Is(f.err, sip.StatusTemporarilyUnavailable) {
			t.Errorf("Refer: %v", f.err)
		}
		r.called(refer, "b").notify("refer", "active;expires=60", "SIP/2.0 100 Trying")
		r.sent("481 NOTIFY")

		f = r.referring(func() (*session.Transfer, error) { return r.calls.Refer(r.t.Context(), "bob", "carol", nil) })
		r.agreed(f, r.request(sip.REFER))
		<-f.Done() // nobody tells
		var timeout *sip.TimeoutError
		if err := f.Wait(r.t.Context()); !errors.As(err, &timeout) {
			t.Error(err)
		}
	})
}

// TestReferBeforeTheACK: a REFER right after the answer waits until the caller
// has it.
func TestReferBeforeTheACK(t *testing.T) {
	bubble(t, func(r *rig) {
		far := r.caller()
		in, _ := far.ring(sdp("bob"))
		s, _ := r.answerCall(in)
		given, cancel := context.WithCancel(r.t.Context())
		gaveUp := start(func() error { _, err := s.Refer(given, "carol", nil); return err })
		refer := start(func() error { _, err := s.Refer(r.t.Context(), "carol", nil); return err })
		r.silence()
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("Refer: %v", err)
		}
		far.send(sip.ACK, "")
		r.answer(r.request(sip.REFER), 200, "", "")
		r.must(<-refer)
	})
}
