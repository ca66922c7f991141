package core_test

import (
	"testing"

	"github.com/gosipua/sipua/sip"
)

// again sends s once more with the field changed.
func (s *sending) again(name, value string) (ok bool) {
	s.r.Helper()
	s.r.locked(func() {
		ok = s.Again(func(req *sip.Request) {
			if err := req.SetHeader(name, value); err != nil {
				s.r.Error(err)
			}
		})
	})
	return ok
}

// TestAgain: a refused INVITE goes once more, changed, as the same call; what
// comes back comes to the same handle (RFC 4028 §7.3).
func TestAgain(t *testing.T) {
	run(t, withPassword(), func(r *rig) {
		s := r.send(sip.INVITE, func(s *sending) {
			s.Request = sip.NewRequest(sip.INVITE, uri("sip:bob@example.com"))
			if err := s.Request.SetBody("application/sdp", []byte("v=0\r\n")); err != nil {
				t.Fatal(err)
			}
		})
		ch := challenge("example.com", "n1", true)
		first := r.request(sip.INVITE)
		r.challenge(first, ch)
		second := r.request(sip.INVITE)
		r.answer(second, 422, "Min-SE: 3600")
		r.request(sip.ACK)
		if !s.again("Min-SE", "3600") {
			t.Fatal("not sent again")
		}
		third := r.request(sip.INVITE)
		r.authorized(third, 2, ch)
		if third.Header("Min-SE") != "3600" || third.CSeq().Seq != second.CSeq().Seq+1 || third.CallID() != first.CallID() ||
			third.From() != first.From() || third.To().Tag() != "" || string(third.Body()) != "v=0\r\n" ||
			len(third.Headers("Via")) != 1 || third.Via().Branch() == second.Via().Branch() {
			t.Errorf("sent again as:\n%s", third.AppendTo(nil))
		}
		r.answer(third, 180)
		s.cancel()
		r.answer(r.request(sip.CANCEL), 200)
		r.answer(third, 487)
		r.request(sip.ACK)
		s.got(422, 180, 487)
		if s.again("Min-SE", "4000") {
			t.Error("a canceled INVITE went again")
		}
		r.nothing()
	})
}

// TestAgainInDialog: the CSeq number is the dialog's next.
func TestAgainInDialog(t *testing.T) {
	run(t, options(), func(r *rig) {
		_, d := r.called()
		r.request(sip.ACK)
		s := r.send("", func(s *sending) {
			r.locked(func() { s.Request = d.NewRequest(sip.UPDATE) })
			s.Dialog = d
		})
		r.answer(r.request(sip.UPDATE), 422)
		r.locked(func() { d.NextSeq() }) // another request meanwhile
		if !s.again("Min-SE", "100") {
			t.Fatal("not sent again")
		}
		if req := r.request(sip.UPDATE); req.CSeq().Seq != 4 || req.To().Tag() != "far" {
			t.Errorf("sent again as:\n%s", req.AppendTo(nil))
		} else {
			r.answer(req, 200)
		}
		s.got(422, 200)
	})
}

// TestAgainTooEarly: a request under way, and one that never left, are not sent again.
func TestAgainTooEarly(t *testing.T) {
	run(t, options(), func(r *rig) {
		if s := (&sending{r: r}); s.again("X", "1") {
			t.Error("what was never sent went again")
		}
		s := r.send(sip.OPTIONS, nil)
		req := r.request(sip.OPTIONS)
		if s.again("X", "1") {
			t.Error("went again while under way")
		}
		r.answer(req, 200)
	})
}

// TestSupport: a usage adds what it can do; Require takes it.
func TestSupport(t *testing.T) {
	run(t, options(), func(r *rig) {
		require := incoming(sip.OPTIONS, "1", "Require: timer")
		r.receive(require)
		r.response(420)
		r.locked(func() { r.Support("timer") })
		r.receive(incoming(sip.OPTIONS, "2", "Require: timer", "Call-ID: other"))
		if res := r.response(200); res.Header("Supported") != "outbound, replaces, timer" {
			t.Errorf("Supported: %s", res.Header("Supported"))
		}
		r.send(sip.INFO, nil)
		if req := r.request(sip.INFO); !req.HasToken("Supported", "timer") {
			t.Errorf("INFO has Supported: %s", req.Header("Supported"))
		} else {
			r.answer(req, 200)
		}
	})
}

// TestElsewhere: where a redirection sends a request, nobody hears what the one
// before asked for, and nobody unknown is answered; our own proxy is.
func TestElsewhere(t *testing.T) {
	elsewhere := func(r *rig, s *sending) *sip.Request {
		r.Helper()
		r.locked(func() {
			if !s.Elsewhere(func(req *sip.Request) {
				if err := req.SetURI(uri("sip:carol@evil.example")); err != nil {
					r.Error(err)
				}
			}) {
				r.Error("not sent")
			}
		})
		req := r.request(sip.INVITE)
		if req.URIText() != "sip:carol@evil.example" {
			r.Errorf("sent to %s", req.URIText())
		}
		return req
	}
	callee, proxy := challenge("callee", "n1", false), challenge("proxy", "n2", true)
	run(t, withPassword(), func(r *rig) {
		s := r.send(sip.INVITE, nil)
		r.challenge(r.request(sip.INVITE), callee)
		second := r.request(sip.INVITE)
		r.authorized(second, 1, callee)
		r.challenge(second, proxy)
		third := r.request(sip.INVITE)
		r.answer(third, 302)
		r.request(sip.ACK)
		req := elsewhere(r, s)
		if req.HasHeader("Authorization") || len(req.Headers("Proxy-Authorization")) != 1 || req.CSeq().Seq != third.CSeq().Seq+1 {
			r.Errorf("sent:\n%s", req.AppendTo(nil))
		}
		r.challenge(req, challenge("evil", "n3", false))
		r.nothing()
		s.got(302, 401)
	})
	run(t, withPassword(), func(r *rig) {
		s := r.send(sip.INVITE, nil)
		r.answer(r.request(sip.INVITE), 302)
		r.request(sip.ACK)
		r.challenge(elsewhere(r, s), challenge("evil", "n3", false))
		r.nothing()
		s.got(302, 401)
	})
}

// TestReferred: who is called because somebody else asked for it gets our
// credentials only where they are known already.
func TestReferred(t *testing.T) {
	run(t, withPassword(), func(r *rig) {
		s := r.send(sip.INVITE, func(s *sending) { s.Referred = true })
		r.challenge(r.request(sip.INVITE), challenge("evil", "n1", false))
		r.nothing()
		s.got(401)

		r.send(sip.INVITE, nil)
		ours := challenge("ours", "n2", true)
		r.challenge(r.request(sip.INVITE), ours)
		r.answer(r.request(sip.INVITE), 486)
		r.request(sip.ACK)
		r.send(sip.INVITE, func(s *sending) { s.Referred = true })
		ours.Nonce = "n3"
		r.challenge(r.request(sip.INVITE), ours)
		r.authorized(r.request(sip.INVITE), 1, ours)
	})
}
