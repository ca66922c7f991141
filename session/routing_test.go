package session_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// lines is the start line of a message and its fields of these names, those of
// one name in their order: more than that order never means (RFC 3261 §7.3.1).
func lines(m sip.Message, names ...string) string {
	head, _, _ := strings.Cut(string(m.AppendTo(nil)), "\r\n\r\n")
	all := strings.Split(head, "\r\n")
	text := all[0] + "\n"
	for _, name := range names {
		for _, line := range all[1:] {
			if strings.HasPrefix(line, name+":") {
				text += line + "\n"
			}
		}
	}
	return text
}

// left expects the next message to have these lines, apart from fields that are
// not named in any.
func (r *rig) left(want string, names ...string) sip.Message {
	r.t.Helper()
	m := r.next()
	if m == nil {
		r.t.Fatalf("want\n%s got nothing", want)
	}
	if got := lines(m, names...); got != want {
		r.t.Errorf("left:\n%s want:\n%s", got, want)
	}
	return m
}

// raw puts a message on the wire as it is written here.
func (r *rig) raw(text string) {
	r.t.Helper()
	m, err := sip.Parse([]byte(strings.ReplaceAll(text, "\n", "\r\n")))
	r.must(err)
	r.receive(m)
}

func routes(set ...string) string {
	text := ""
	for _, uri := range set {
		text += "Route: " + uri + "\n"
	}
	return text
}

func recordRoutes(set ...string) []sip.Field {
	var fields []sip.Field
	for _, uri := range set {
		fields = append(fields, sip.Field{Name: "Record-Route", Value: uri})
	}
	return fields
}

// TestRoutesOfTheCallee is RFC 3261 §16.12.1 seen from U2: the Record-Routes are
// repeated as they came, and are the route set of all that U2 sends. Where the
// next hop is a strict router, the Request-URI is its and the far end comes last
// (§12.2.1.1).
func TestRoutesOfTheCallee(t *testing.T) {
	for _, tt := range []struct {
		name, records string
		uri           string // of U2's requests
		route         string
	}{
		{"16.12.1.1, the trapezoid",
			"Record-Route: <sip:p2.domain.com;lr>\nRecord-Route: <sip:p1.example.com;lr>\n",
			"sip:caller@u1.example.com", routes("<sip:p2.domain.com;lr>", "<sip:p1.example.com;lr>")},
		{"16.12.1.2, a strict router on the way",
			"Record-Route: <sip:p4.domain.com;lr>\nRecord-Route: <sip:p3.middle.com>\nRecord-Route: <sip:p2.example.com;lr>\nRecord-Route: <sip:p1.example.com;lr>\n",
			"sip:caller@u1.example.com", routes("<sip:p4.domain.com;lr>", "<sip:p3.middle.com>", "<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>")},
		{"16.12.1.2, next to the strict router",
			"Record-Route: <sip:p3.middle.com>\nRecord-Route: <sip:p2.example.com;lr>\nRecord-Route: <sip:p1.example.com;lr>\n",
			"sip:p3.middle.com", routes("<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>", "<sip:caller@u1.example.com>")},
		{"16.12.1.2 in one field",
			"Record-Route: <sip:p3.middle.com>, <sip:p2.example.com;lr>,<sip:p1.example.com;lr>\n",
			"sip:p3.middle.com", routes("<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>", "<sip:caller@u1.example.com>")},
		{"no proxy", "", "sip:caller@u1.example.com", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				offer := sdp("u1")
				r.raw("INVITE sip:callee@u2.domain.com SIP/2.0\nVia: SIP/2.0/WS p4.domain.com;branch=z9hG4bKp4\n" + tt.records +
					"Max-Forwards: 66\nFrom: <sip:caller@example.com>;tag=u1\nTo: <sip:callee@domain.com>\nCall-ID: 16.12.1\n" +
					"CSeq: 1 INVITE\nContact: <sip:caller@u1.example.com>\nContent-Type: application/sdp\n\n" + offer)
				tag := r.left("SIP/2.0 180 Ringing\n"+tt.records, "Record-Route").(*sip.Response).To().Tag()
				in := <-r.calls1
				s, _ := r.answerCall(in)
				result := start(func() error { return s.SendMessage(r.t.Context(), "", []byte("x")) })
				message := r.left("MESSAGE "+tt.uri+" SIP/2.0\n"+tt.route+"CSeq: 1 MESSAGE\n", "Route", "CSeq")
				r.answer(message.(*sip.Request), 200, "", "")
				r.must(<-result)
				r.raw("ACK sip:c@ua.invalid SIP/2.0\nVia: SIP/2.0/WS p4.domain.com;branch=z9hG4bKack\nMax-Forwards: 66\n" +
					"From: <sip:caller@example.com>;tag=u1\nTo: <sip:callee@domain.com>;tag=" + tag + "\nCall-ID: 16.12.1\nCSeq: 1 ACK\n\n")
				hold := start(func() error { return s.Hold(r.t.Context()) })
				invite := r.left("INVITE "+tt.uri+" SIP/2.0\n"+tt.route+"CSeq: 2 INVITE\n", "Route", "CSeq").(*sip.Request)
				r.refuse488(invite, tt.uri, tt.route)
				if err := <-hold; !errors.Is(err, sip.StatusNotAcceptableHere) {
					t.Errorf("Hold: %v", err)
				}
				start(func() error { return s.Hangup(r.t.Context()) })
				bye := r.left("BYE "+tt.uri+" SIP/2.0\n"+tt.route+"From: <sip:callee@domain.com>;tag="+tag+
					"\nTo: <sip:caller@example.com>;tag=u1\nCall-ID: 16.12.1\nCSeq: 3 BYE\n", "Route", "From", "To", "Call-ID", "CSeq")
				r.answer(bye.(*sip.Request), 200, "", "")
			})
		})
	}
}

// refuse488 refuses a re-INVITE; the ACK goes the way that the INVITE went
// (RFC 3261 §17.1.1.3).
func (r *rig) refuse488(invite *sip.Request, uri, route string) {
	r.t.Helper()
	r.answer(invite, 488, "", "")
	ack := r.left("ACK "+uri+" SIP/2.0\n"+route+"CSeq: 2 ACK\n", "Route", "CSeq").(*sip.Request)
	if ack.Via().String() != invite.Via().String() {
		r.t.Errorf("the ACK has Via %v, the INVITE %v", ack.Via(), invite.Via())
	}
}

// TestRoutesOfTheCaller is RFC 3261 §16.12.1 seen from U1: the route set is the
// Record-Routes of the 2xx in reverse.
func TestRoutesOfTheCaller(t *testing.T) {
	for _, tt := range []struct {
		name    string
		records []sip.Field
		uri     string
		route   string
	}{
		{"16.12.1.1, the trapezoid", recordRoutes("<sip:p2.domain.com;lr>", "<sip:p1.example.com;lr>"),
			"sip:callee@u2.domain.com", routes("<sip:p1.example.com;lr>", "<sip:p2.domain.com;lr>")},
		{"16.12.1.2, a strict router on the way",
			recordRoutes("<sip:p4.domain.com;lr>", "<sip:p3.middle.com>", "<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>"),
			"sip:callee@u2.domain.com", routes("<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>", "<sip:p3.middle.com>", "<sip:p4.domain.com;lr>")},
		{"16.12.1.2, next to the strict router", recordRoutes("<sip:p4.domain.com;lr>", "<sip:p3.middle.com>"),
			"sip:p3.middle.com", routes("<sip:p4.domain.com;lr>", "<sip:callee@u2.domain.com>")},
		{"16.12.1.3, a rewritten Record-Route", recordRoutes("<sip:gateway.leftprivatespace.com;lr>"),
			"sip:callee@u2.domain.com", routes("<sip:gateway.leftprivatespace.com;lr>")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				s, invite := r.dial(nil)
				r.moved(invite, 180, "sip:callee@elsewhere.domain.com", recordRoutes("<sip:early.example.com;lr>")...)
				r.moved(invite, 200, "sip:callee@u2.domain.com", tt.records...)
				r.left("ACK "+tt.uri+" SIP/2.0\n"+tt.route+"CSeq: 1 ACK\n", "Route", "CSeq")
				r.must(s.WaitAnswered(r.t.Context()))
				hold := start(func() error { return s.Hold(r.t.Context()) })
				again := r.left("INVITE "+tt.uri+" SIP/2.0\n"+tt.route+"CSeq: 2 INVITE\n", "Route", "CSeq").(*sip.Request)
				r.refuse488(again, tt.uri, tt.route)
				<-hold
				start(func() error { return s.Hangup(r.t.Context()) })
				bye := r.left("BYE "+tt.uri+" SIP/2.0\n"+tt.route+"To: <sip:bob@example.com>;tag=b\nCSeq: 3 BYE\n", "Route", "To", "CSeq")
				r.answer(bye.(*sip.Request), 200, "", "")
			})
		})
	}
}

// moved answers a request with a Contact, "" for none. A 2xx to an offer has an
// answer.
func (r *rig) moved(req *sip.Request, code sip.StatusCode, contact string, fields ...sip.Field) {
	r.t.Helper()
	res := sip.NewResponse(req, code, "")
	if req.To().Tag() == "" {
		r.must(res.SetTo(req.To().WithTag("b")))
	}
	if contact != "" {
		fields = append(fields, sip.Field{Name: "Contact", Value: "<" + contact + ">"})
	}
	for _, f := range fields {
		r.must(res.AddHeader(f.Name, f.Value))
	}
	if code.IsSuccess() && req.ContentType() == "application/sdp" {
		r.must(res.SetBody("application/sdp", []byte(sdp("bob"))))
	}
	r.receive(res)
}

// target expects the far end to be where the next request of the call goes.
func (r *rig) target(s *session.Session, want string) {
	r.t.Helper()
	result := start(func() error { return s.SendMessage(r.t.Context(), "", []byte("x")) })
	req := r.request(sip.MESSAGE)
	if got := req.URI().String(); got != want {
		r.t.Errorf("the next request goes to %s, want %s", got, want)
	}
	r.answer(req, 200, "", "")
	r.must(<-result)
}

// TestRemoteTargetFromResponses: the Contact of the 2xx to a target refresh
// request is where requests go from then on (RFC 3261 §12.2.1.2; JsSIP never
// looks at it). Record-Route changes nothing.
func TestRemoteTargetFromResponses(t *testing.T) {
	for _, x := range append(sendings(), sending{sip.SUBSCRIBE, nil}, sending{sip.NOTIFY, nil}) {
		refreshes := false
		switch x.method {
		case sip.INVITE, sip.UPDATE, sip.REFER, sip.SUBSCRIBE, sip.NOTIFY: // RFC 5057 §5.4
			refreshes = true
		}
		for _, tt := range []struct {
			code    sip.StatusCode
			contact string
			moves   bool
		}{
			{200, "sip:bob@new.invalid", refreshes},
			{202, "sip:bob@new.invalid", refreshes},
			{200, "", false},
			{488, "sip:bob@new.invalid", false},
			{500, "sip:bob@new.invalid", false},
		} {
			if x.method == sip.INVITE && tt.code == 202 {
				continue
			}
			bubble(t, func(r *rig) {
				s, _ := r.talk("b")
				result := start(func() error {
					if x.send != nil {
						return x.send(r.t.Context(), s)
					}
					req := sip.NewRequest(x.method, sip.URI{})
					r.must(errors.Join(req.AddHeader("Event", "x"), req.AddHeader("Subscription-State", "active")))
					_, err := s.Do(r.t.Context(), req)
					return err
				})
				req := r.request(x.method)
				if got := req.URI().String(); got != "sip:b@peer.invalid" {
					t.Errorf("%s goes to %s", x.method, got)
				}
				r.moved(req, tt.code, tt.contact, recordRoutes("<sip:new.example.com;lr>")...)
				want := "sip:b@peer.invalid"
				if tt.moves {
					want = tt.contact
				}
				if x.method == sip.INVITE {
					ack := r.request(sip.ACK)
					if got := ack.URI().String(); got != want {
						t.Errorf("ACK to %d goes to %s, want %s", tt.code, got, want)
					}
				}
				if err := <-result; (err == nil) != tt.code.IsSuccess() {
					t.Errorf("%s: %v", x.method, err)
				}
				r.target(s, want)
			})
		}
	}
}

// TestRemoteTargetFromRequests: the Contact of a target refresh request that we
// accept (RFC 3261 §12.2.2).
func TestRemoteTargetFromRequests(t *testing.T) {
	for _, tt := range []struct {
		method  sip.Method
		body    string
		contact string
		fail    error
		want    sip.StatusCode
		moves   bool
	}{
		{sip.INVITE, sdp("bob"), "sip:bob@new.invalid", nil, 200, true},
		{sip.INVITE, "", "sip:bob@new.invalid", nil, 200, true},
		{sip.INVITE, sdp("bob"), "", nil, 400, false}, // RFC 3261 §8.1.1.8
		{sip.INVITE, sdp("bob"), "sip:bob@new.invalid", session.ErrUnacceptable, 488, false},
		{sip.UPDATE, sdp("bob"), "sip:bob@new.invalid", nil, 200, true},
		{sip.UPDATE, "", "sip:bob@new.invalid", nil, 200, true},
		{sip.UPDATE, "", "", nil, 200, false},
		{sip.NOTIFY, "", "sip:bob@new.invalid", nil, 200, true},
		{sip.INFO, "", "sip:bob@new.invalid", nil, 200, false},
		{sip.OPTIONS, "", "sip:bob@new.invalid", nil, 200, false},
		{sip.MESSAGE, "", "sip:bob@new.invalid", nil, 405, false},
	} {
		bubble(t, func(r *rig) {
			s, bob := r.talk("b")
			if tt.method == sip.NOTIFY {
				result := start(func() error { _, err := s.Refer(r.t.Context(), "carol", nil); return err })
				r.moved(r.request(sip.REFER), 202, "")
				r.must(<-result)
			}
			r.media.failWith(tt.fail)
			req := bob.request(tt.method, tt.body, recordRoutes("<sip:new.example.com;lr>")...)
			req.RemoveHeader("Contact")
			if tt.contact != "" {
				r.must(req.SetHeader("Contact", "<"+tt.contact+">"))
			}
			if tt.method == sip.NOTIFY {
				r.must(errors.Join(req.AddHeader("Event", "refer"), req.AddHeader("Subscription-State", "terminated;reason=noresource")))
			}
			r.receive(req)
			r.response(tt.want, tt.method)
			if tt.method == sip.INVITE {
				ack := ""
				if tt.body == "" {
					ack = sdp("bob") // to our offer
				}
				bob.send(sip.ACK, ack)
			}
			want := "sip:b@peer.invalid"
			if tt.moves {
				want = tt.contact
			}
			r.target(s, want)
		})
	}
}

// TestRemoteTargetMovesUnderARequest: what is under way ends where it went, what
// follows goes to the new place, and so does what is sent again.
func TestRemoteTargetMovesUnderARequest(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.talk("b")
		first := start(func() error { return s.SendInfo(r.t.Context(), "text/plain", []byte("1"), nil) })
		old := r.request(sip.INFO)
		again := start(func() error { return s.SendInfo(r.t.Context(), "text/plain", []byte("2"), nil) })
		r.answer(r.request(sip.INFO), 430, "", "")
		req := bob.request(sip.INVITE, sdp("bob"))
		r.must(req.SetHeader("Contact", "<sip:bob@new.invalid>"))
		r.receive(req)
		r.response(200, sip.INVITE)
		bob.send(sip.ACK, "")
		r.target(s, "sip:bob@new.invalid")
		r.answer(old, 200, "", "")
		r.must(<-first)
		time.Sleep(time.Second)
		next := r.request(sip.INFO)
		if got := next.URI().String(); got != "sip:bob@new.invalid" {
			t.Errorf("the INFO goes again to %s", got)
		}
		r.answer(next, 200, "", "")
		r.must(<-again)
	})
}

// TestRequestNumbers: gaps are taken, what is older than the newest is not
// (RFC 3261 §12.2.2).
func TestRequestNumbers(t *testing.T) {
	bubble(t, func(r *rig) {
		_, bob := r.talk("b")
		for _, tt := range []struct {
			seq  uint32
			want sip.StatusCode
		}{
			{50, 200}, {51, 200}, {90, 200}, {89, 500}, {50, 500}, {1, 500}, {90, 200}, {1<<31 - 1, 200}, {91, 500},
		} {
			bob.seq = tt.seq - 1
			bob.send(sip.INFO, "")
			r.response(tt.want, sip.INFO)
		}
		bob.seq = 90
		bob.send(sip.BYE, "")
		r.response(500, sip.BYE)
		bob.seq = 1<<31 - 1
		bob.send(sip.BYE, "")
		r.response(200, sip.BYE)
	})
}

// TestInfoInEarlyDialogKeepsTheACK: requests in the early dialog take CSeq
// numbers, and the ACK is still that of the INVITE, on both sides (JsSIP #464,
// #943; its sendInfo throws in an early dialog).
func TestInfoInEarlyDialogKeepsTheACK(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.answer(invite, 183, "b", "")
		for i := range uint32(3) {
			result := start(func() error { return s.SendInfo(r.t.Context(), "text/plain", []byte("x"), nil) })
			info := r.request(sip.INFO)
			if want := invite.CSeq().Seq + 1 + i; info.CSeq().Seq != want || info.To().Tag() != "b" {
				t.Errorf("INFO is %s", show(info))
			}
			r.answer(info, 200, "", "")
			r.must(<-result)
		}
		r.answer(invite, 200, "b", sdp("bob"))
		if ack := r.request(sip.ACK); ack.CSeq().Seq != invite.CSeq().Seq {
			t.Errorf("ACK has CSeq %v", ack.CSeq())
		}
		r.must(s.WaitAnswered(r.t.Context()))
		start(func() error { return s.Hangup(r.t.Context()) })
		if bye := r.request(sip.BYE); bye.CSeq().Seq != invite.CSeq().Seq+4 {
			t.Errorf("BYE has CSeq %v", bye.CSeq())
		}
	})
	bubble(t, func(r *rig) {
		bob := r.caller()
		in, invite := bob.ring(sdp("bob"))
		bob.send(sip.INFO, "")
		r.sent("200 INFO")
		s, _ := r.answerCall(in)
		bob.send(sip.INFO, "")
		r.sent("200 INFO")
		if s.State() != session.Accepted {
			t.Errorf("state %v", s.State())
		}
		ack := bob.request(sip.ACK, "")
		r.must(ack.SetCSeq(sip.CSeq{Seq: bob.seq, Method: sip.ACK})) // of the INFO: not the one
		r.receive(ack)
		if s.State() != session.Accepted {
			t.Errorf("state %v", s.State())
		}
		ack = bob.request(sip.ACK, "")
		r.must(ack.SetCSeq(sip.CSeq{Seq: invite.CSeq().Seq, Method: sip.ACK}))
		r.receive(ack)
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
	})
}

// TestRequestsBesideReinviteKeepTheACK: the ACK of a re-INVITE has its number,
// whatever was sent meanwhile (JsSIP #943, #966).
func TestRequestsBesideReinviteKeepTheACK(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		hold := start(func() error { return s.Hold(r.t.Context()) })
		invite := r.request(sip.INVITE)
		var last uint32
		for range 3 {
			result := start(func() error { return s.SendDTMF(r.t.Context(), "1", byInfo) })
			time.Sleep(600 * time.Millisecond)
			info := r.request(sip.INFO)
			last = info.CSeq().Seq
			r.answer(info, 200, "", "")
			r.must(<-result)
		}
		r.answer(invite, 200, "", sdp("bob"))
		if ack := r.request(sip.ACK); ack.CSeq().Seq != invite.CSeq().Seq {
			t.Errorf("ACK has CSeq %v, the INVITE %v", ack.CSeq(), invite.CSeq())
		}
		r.must(<-hold)
		r.answer(invite, 200, "", sdp("bob")) // once more
		if ack := r.request(sip.ACK); ack.CSeq().Seq != invite.CSeq().Seq {
			t.Errorf("ACK has CSeq %v, the INVITE %v", ack.CSeq(), invite.CSeq())
		}
		start(func() error { return s.Hangup(r.t.Context()) })
		if bye := r.request(sip.BYE); bye.CSeq().Seq != last+1 {
			t.Errorf("BYE has CSeq %v after %d", bye.CSeq(), last)
		}
	})
}
