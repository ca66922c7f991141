package session_test

import (
	"errors"
	"fmt"
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

// TestRequestWaitsForConnection: what is sent while there is none leaves with the
// next, once, until RecoveryLimit.
func TestRequestWaitsForConnection(t *testing.T) {
	for _, x := range sendings() {
		bubble(t, func(r *rig) {
			s, _ := r.talk("b")
			r.down()
			result := start(func() error { return x.send(r.t.Context(), s) })
			time.Sleep(32*time.Second - time.Millisecond)
			r.silence()
			r.up()
			req := r.request(x.method)
			time.Sleep(20 * time.Second)
			r.silence()
			r.refuse(req, 400)
			if err := <-result; !errors.Is(err, sip.StatusBadRequest) || s.State() != session.Confirmed {
				t.Errorf("%s: %v, state %v", x.method, err, s.State())
			}
			time.Sleep(time.Minute)
			r.silence()
		})
	}
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

// TestMessageInside goes both ways, with whatever it carries (RFC 3428).
func TestMessageInside(t *testing.T) {
	bubble(t, func(r *rig) {
		h := r.handler()
		h.Message = func(_ *session.Session, req *sip.Request) sip.StatusCode {
			r.note("message %s %s %q", req.ContentType(), req.Header("Content-Disposition"), req.Body())
			return sip.StatusAccepted
		}
		s, invite := r.dial(&session.CallOptions{Handler: h})
		r.answer(invite, 200, "b", sdp("bob"))
		r.request(sip.ACK)
		r.seen("state Calling", "state Confirmed")
		bob := r.called(invite, "b")

		result := start(func() error { return s.SendMessage(r.t.Context(), "", []byte("grüß dich")) })
		req := r.request(sip.MESSAGE)
		if req.Header("Content-Type") != "text/plain;charset=UTF-8" || string(req.Body()) != "grüß dich" || req.HasHeader("Contact") {
			t.Errorf("MESSAGE is %s", show(req)) // no Contact: RFC 3428 §4
		}
		r.answer(req, 202, "", "")
		r.must(<-result)

		out := sip.NewRequest(sip.MESSAGE, sip.URI{})
		r.must(errors.Join(out.SetBody("message/cpim", []byte("x")), out.AddHeader("Content-Disposition", "render;handling=optional"),
			out.AddHeader("X-A", "1"), out.AddHeader("X-A", "2"), out.AddHeader("Route", "<sip:elsewhere.example.com;lr>"), out.AddHeader("Call-ID", "other")))
		done := make(chan *sip.Response, 1)
		go func() {
			res, err := s.Do(r.t.Context(), out)
			r.must(err)
			done <- res
		}()
		req = r.request(sip.MESSAGE)
		if req.Header("Content-Type") != "message/cpim" || req.Header("Content-Disposition") != "render;handling=optional" ||
			len(req.Headers("X-A")) != 2 || req.HasHeader("Route") || req.CallID() != s.CallID() {
			t.Errorf("MESSAGE is %s", show(req))
		}
		r.answer(req, 202, "", "")
		if res := <-done; res.StatusCode() != 202 {
			t.Errorf("answered %d", res.StatusCode())
		}

		for _, kind := range []string{"text/plain", "application/im-iscomposing+xml", "image/png"} {
			in := bob.request(sip.MESSAGE, "", sip.Field{Name: "Content-Disposition", Value: "x;handling=required"})
			r.must(in.SetBody(kind, []byte("\x00y")))
			r.receive(in)
			r.sent("202 MESSAGE")
			r.seen(fmt.Sprintf("message %s x;handling=required \"\\x00y\"", kind))
		}
	})
}

// TestAnyMethodInside: Do takes every method that has no function of its own, in
// early dialogs too.
func TestAnyMethodInside(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		do := func(method sip.Method) error {
			_, err := s.Do(r.t.Context(), sip.NewRequest(method, sip.URI{}))
			return err
		}
		if err := do(sip.OPTIONS); !errors.Is(err, session.ErrState) {
			t.Errorf("without a dialog: %v", err)
		}
		for _, method := range []sip.Method{sip.INVITE, sip.ACK, sip.PRACK, sip.CANCEL, sip.BYE, sip.UPDATE} {
			if err := do(method); err == nil {
				t.Errorf("%s was sent", method)
			}
		}
		check := func() {
			for _, method := range []sip.Method{sip.OPTIONS, sip.INFO, sip.SUBSCRIBE, sip.PUBLISH, "JUMP", "info"} {
				result := start(func() error { return do(method) })
				req := r.request(method)
				if req.To().Tag() != "b" || req.URI().Host != "peer.invalid" {
					t.Errorf("%s is %s", method, show(req))
				}
				r.answer(req, 200, "", "")
				r.must(<-result)
			}
		}
		r.answer(invite, 180, "b", "")
		check()
		r.answer(invite, 200, "b", sdp("bob"))
		r.request(sip.ACK)
		check()
		r.silence()
	})
}

// TestUnknownMethodInside: 405 to what we know and do not take, 501 to the rest
// (RFC 3261 §8.2.1, §21.5.2), before and after the answer. The call goes on.
func TestUnknownMethodInside(t *testing.T) {
	bubble(t, func(r *rig) {
		bob := r.caller()
		in, invite := bob.ring(sdp("bob"))
		check := func() {
			for method, want := range map[sip.Method]string{
				"JUMP": "501 JUMP", "invite": "501 invite", sip.PUBLISH: "405 PUBLISH", sip.REGISTER: "405 REGISTER",
			} {
				bob.send(method, "", sip.Field{Name: "Event", Value: "x"})
				if res := r.sent(want)[0].(*sip.Response); !res.HasToken("Allow", "INVITE") || !res.HasToken("Allow", "INFO") {
					t.Errorf("%s is %s", want, show(res))
				}
			}
		}
		check()
		s, _ := r.answerCall(in)
		check()
		bob.seq = invite.CSeq().Seq
		bob.send(sip.ACK, "")
		bob.seq += 100
		check()
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
	})
}

// TestFloodInside: a peer that sends more than the application takes is told to
// come later, and can always hang up.
func TestFloodInside(t *testing.T) {
	for _, method := range []sip.Method{sip.MESSAGE, sip.INFO} {
		bubble(t, func(r *rig) {
			blocked := make(chan struct{})
			handle := func(*session.Session, *sip.Request) sip.StatusCode {
				<-blocked
				return sip.StatusOK
			}
			s, invite := r.dial(&session.CallOptions{Handler: &session.Handler{
				Message: handle, Info: handle, DTMF: func(*session.Session, session.DTMF) { <-blocked },
			}})
			r.answer(invite, 200, "b", sdp("bob"))
			r.request(sip.ACK)
			bob := r.called(invite, "b")
			for range 1300 {
				req := bob.request(method, "")
				r.must(req.SetBody("text/plain", []byte("x")))
				r.core.Receive(r.flow, req.AppendTo(nil))
			}
			late := 0
			for m := r.next(); m != nil; m = r.next() {
				res, ok := m.(*sip.Response)
				if !ok || res.StatusCode() != 500 || !res.HasHeader("Retry-After") {
					t.Fatalf("left: %s", show(m))
				}
				late++
			}
			if late < 200 || late > 400 {
				t.Errorf("%d of 1300 %s are refused", late, method)
			}
			bob.send(sip.BYE, "")
			r.sent("200 BYE")
			r.ended(s, session.EndBye, true)
			close(blocked)
			for m := r.next(); m != nil; m = r.next() { // each has its answer
				late++
			}
			if late != 1300 {
				t.Errorf("%d of 1300 %s are answered", late, method)
			}
		})
	}
	bubble(t, func(r *rig) {
		blocked := make(chan struct{})
		s, invite := r.dial(&session.CallOptions{Handler: &session.Handler{DTMF: func(*session.Session, session.DTMF) { <-blocked }}})
		r.answer(invite, 200, "b", sdp("bob"))
		r.request(sip.ACK)
		bob := r.called(invite, "b")
		codes := map[sip.StatusCode]int{}
		for range 1300 {
			r.receive(bob.digit("Signal=1"))
			codes[r.next().(*sip.Response).StatusCode()]++
		}
		if codes[200]+codes[500] != 1300 || codes[500] < 200 {
			t.Errorf("answered %v", codes)
		}
		bob.send(sip.BYE, "")
		r.sent("200 BYE")
		r.ended(s, session.EndBye, true)
		close(blocked)
	})
}
