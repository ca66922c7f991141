package core_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/dialog"
)

// The RFC's answer to each request that nobody takes.
func TestAnswers(t *testing.T) {
	strict := func(o *core.Options) { o.AcceptAnyUser = false }
	for _, tt := range []struct {
		name   string
		text   string
		set    func(o *core.Options)
		want   sip.StatusCode
		fields string // name: value, one that the answer has
	}{
		{"OPTIONS", incoming(sip.OPTIONS, "1"), nil, 200, "Accept: application/sdp"},
		{"OPTIONS, Allow", incoming(sip.OPTIONS, "1"), nil, 200, "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"},
		{"OPTIONS, Supported", incoming(sip.OPTIONS, "1"), nil, 200, "Supported: outbound, replaces"},
		{"OPTIONS, Max-Forwards 0", incoming(sip.OPTIONS, "1", "Max-Forwards: 0"), nil, 200, ""},
		{"INVITE", incoming(sip.INVITE, "1"), nil, 480, ""},
		{"MESSAGE", incoming(sip.MESSAGE, "1"), nil, 405, "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"},
		{"REGISTER", incoming(sip.REGISTER, "1"), nil, 405, ""},
		{"BYE outside a dialog", incoming(sip.BYE, "1"), nil, 405, ""},
		{"BYE in no dialog", inside(sip.BYE, "1", 1), nil, 481, ""},
		{"INVITE in no dialog", inside(sip.INVITE, "1", 1), nil, 481, ""},
		{"unknown method", incoming("DANCE", "1"), nil, 501, "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"},
		{"CANCEL of nothing", incoming(sip.CANCEL, "1"), nil, 481, ""},
		{"Require", incoming(sip.INVITE, "1", "Require: outbound, foo, 100rel"), nil, 420, "Unsupported: foo, 100rel"},
		{"Require, all supported", incoming(sip.OPTIONS, "1", "Require: Outbound"), nil, 200, ""},
		{"sips", incoming(sip.OPTIONS, "1", "URI: sips:alice@example.com"), nil, 416, ""},
		{"http", incoming(sip.OPTIONS, "1", "URI: http://example.com"), nil, 416, ""},
		{"tel", incoming(sip.OPTIONS, "1", "URI: tel:+15551234"), nil, 200, ""},
		{"any user", incoming(sip.OPTIONS, "1", "URI: sip:carol@example.com"), nil, 200, ""},
		{"another user", incoming(sip.OPTIONS, "1", "URI: sip:carol@example.com"), strict, 404, ""},
		{"our AOR", incoming(sip.OPTIONS, "1", "URI: sip:%61lice@example.com"), strict, 200, ""},
		{"our Contact", incoming(sip.OPTIONS, "1", "URI: sip:c0ntact@a1.invalid"), strict, 200, ""},
		{"our GRUU", incoming(sip.OPTIONS, "1", "URI: sip:temp@example.com;gr"), strict, 200, ""},
		{"SIP/3.0", strings.Replace(incoming(sip.OPTIONS, "1"), "SIP/2.0\r\nVia", "SIP/3.0\r\nVia", 1), nil, 505, ""},
		{"bad Max-Forwards", incoming(sip.OPTIONS, "1", "Max-Forwards: abc"), nil, 400, ""},
		{"bad Contact", incoming(sip.INVITE, "1", "Contact: <sip:"), nil, 400, ""},
		{"bad CSeq", incoming(sip.OPTIONS, "1", "CSeq: x OPTIONS"), nil, 400, ""},
		{"another CSeq method", incoming(sip.OPTIONS, "1", "CSeq: 1 INVITE"), nil, 400, ""},
		{"bad From", incoming(sip.OPTIONS, "1", "From: <"), nil, 400, ""},
		{"a bad header line", strings.Replace(incoming(sip.OPTIONS, "1"), "Max-Forwards:", "Max Forwards:", 1), nil, 400, ""},
		{"Content-Length beyond the end", strings.Replace(incoming(sip.OPTIONS, "1"), "Length: 0", "Length: 9", 1), nil, 400, ""},
		{"NOTIFY without Event", incoming(sip.NOTIFY, "1"), nil, 489, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := options()
			o.Contact = uri("sip:c0ntact@a1.invalid;transport=ws")
			if tt.set != nil {
				tt.set(&o)
			}
			run(t, o, func(r *rig) {
				r.locked(func() { r.SetGRUU(uri("sip:alice@example.com;gr=x"), uri("sip:temp@example.com;gr")) })
				r.receive(tt.text)
				res := r.raw() // which may repeat a field that cannot be read
				if !strings.HasPrefix(res, fmt.Sprintf("SIP/2.0 %d ", int(tt.want))) {
					t.Errorf("want a %d, got:\n%s", tt.want, res)
				}
				to := res[strings.Index(res, "\r\nTo:")+2:]
				to, _, _ = strings.Cut(to, "\r\n")
				if !strings.Contains(to, ";tag=") || strings.Count(res, "\r\nVia:") != 2 {
					t.Errorf("To tag or Via is missing:\n%s", res)
				}
				if !strings.Contains(res, "\r\n"+tt.fields) {
					t.Errorf("want %s, got:\n%s", tt.fields, res)
				}
				r.nothing()
				r.receive(incoming(sip.OPTIONS, "2", "Call-ID: other")) // the flow is not harmed
				r.response(200)
			})
		})
	}
}

// What is never answered.
func TestNoAnswer(t *testing.T) {
	for name, text := range map[string]string{
		"ACK to nothing":         incoming(sip.ACK, "1"),
		"ACK in no dialog":       inside(sip.ACK, "1", 1),
		"malformed ACK":          incoming(sip.ACK, "1", "CSeq: x ACK"),
		"malformed response":     "SIP/2.0 200 OK\r\nVia: x\r\n\r\n",
		"response to nothing":    "SIP/2.0 200 OK\r\nVia: SIP/2.0/WSS a1.invalid;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 BYE\r\n\r\n",
		"no SIP":                 "hello",
		"nothing":                "",
		"CRLF":                   "\r\n\r\n",
		"request without Via":    incoming(sip.OPTIONS, "1", "Via: "),
		"request without CSeq":   incoming(sip.OPTIONS, "1", "CSeq: "),
		"binary":                 "\x00\xff\xfe",
		"half a request":         "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/WS x;branch=z9hG4bK1\r\n",
		"request line only":      "OPTIONS sip:a@b SIP/2.0\r\n\r\n",
		"response of SIP/3.0":    "SIP/3.0 200 OK\r\n\r\n",
		"ACK of unknown version": strings.Replace(incoming(sip.ACK, "1"), "SIP/2.0\r\n", "SIP/7.0\r\n", 1),
	} {
		t.Run(name, func(t *testing.T) {
			run(t, options(), func(r *rig) {
				r.receive(text)
				r.nothing()
				r.locked(func() {
					if s := r.Stats(); s.Malformed+s.Stray == 0 {
						t.Error("not counted")
					}
				})
			})
		})
	}
}

// A response for a proxy before us, with more Vias than one, is dropped.
func TestResponseWithTwoVias(t *testing.T) {
	run(t, options(), func(r *rig) {
		s := r.send(sip.OPTIONS, nil)
		req := r.request(sip.OPTIONS)
		r.answer(req, 200, "Via: SIP/2.0/WSS b;branch=z9hG4bK2")
		res := sip.NewResponse(req, 200, "")
		text := strings.Replace(string(res.AppendTo(nil)), "\r\nFrom", ", SIP/2.0/WSS c;branch=z9hG4bK3\r\nFrom", 1)
		r.receive(text)
		s.got()
		r.answer(req, 200)
		s.got(200)
	})
}

func TestHandler(t *testing.T) {
	o := options()
	o.UserAgent = "sipua"
	o.ExtraHeaders = []sip.Field{{Name: "X-A", Value: "1"}}
	run(t, o, func(r *rig) {
		var in *core.Incoming
		r.locked(func() { r.Handle(sip.MESSAGE, func(i *core.Incoming) { in = i }) })
		r.receive(incoming(sip.MESSAGE, "1"))
		r.receive(incoming(sip.MESSAGE, "1")) // on a reliable transport it should not, but might, come again
		if in == nil || in.Request().Method() != sip.MESSAGE || in.Flow() != core.Flow(r.flow) || in.Dialog() != nil {
			t.Fatalf("handler got %v", in)
		}
		r.locked(func() {
			if in.Answered() {
				t.Error("answered before it is")
			}
			in.Reply(sip.StatusRinging, "") // not to a MESSAGE
			in.Reply(sip.StatusAccepted, "Thanks", sip.Field{Name: "X-B", Value: "2"}, sip.Field{Name: "X-C", Value: "\r\n"})
			in.Reply(sip.StatusNotFound, "") // too late
			if !in.Answered() {
				t.Error("not answered")
			}
		})
		res := r.response(202)
		if res.Reason() != "Thanks" || res.Header("Server") != "sipua" || res.Header("X-A") != "1" || res.Header("X-B") != "2" ||
			res.HasHeader("X-C") || res.HasHeader("Contact") || res.To().Tag() != in.Tag() {
			t.Errorf("response:\n%s", res.AppendTo(nil))
		}
		r.nothing()
		r.locked(func() { r.Handle(sip.MESSAGE, nil) })
		r.receive(incoming(sip.MESSAGE, "2"))
		r.response(405)
	})
}

func TestUnansweredHandler(t *testing.T) {
	run(t, options(), func(r *rig) {
		r.locked(func() { r.Handle(sip.MESSAGE, func(*core.Incoming) {}) })
		r.receive(incoming(sip.MESSAGE, "1"))
		r.sleep(3500*time.Millisecond - 1)
		r.nothing()
		r.sleep(1)
		r.response(100)
		r.sleep(26500*time.Millisecond - 1)
		r.nothing()
		r.sleep(1)
		r.response(500)
	})
}

func TestInviteServer(t *testing.T) {
	run(t, options(), func(r *rig) {
		var in *core.Incoming
		var canceled *sip.Request
		r.locked(func() {
			r.Handle(sip.INVITE, func(i *core.Incoming) {
				in = i
				i.OnCancel = func(c *sip.Request) { canceled = c; i.Reply(sip.StatusRequestTerminated, "") }
			})
		})
		r.receive(incoming(sip.INVITE, "1"))
		r.nothing()
		r.sleep(200 * time.Millisecond)
		if got := r.response(100); got.To().Tag() != "" {
			t.Error("100 has a To tag")
		}
		r.locked(func() { in.Reply(sip.StatusRinging, "") })
		ringing := r.response(180)
		if ringing.To().Tag() != in.Tag() || ringing.Header("Contact") != "<sip:alice@a1.invalid;transport=ws;ob>" ||
			ringing.Header("Record-Route") == "" {
			t.Errorf("180:\n%s", ringing.AppendTo(nil))
		}
		r.receive(incoming(sip.INVITE, "2")) // the same another way
		if got := r.response(482); got.Reason() != "Merged Request" {
			t.Errorf("482 %s", got.Reason())
		}
		r.receive(incoming(sip.CANCEL, "1"))
		if got := r.response(200); got.CSeq().Method != sip.CANCEL || got.To().Tag() != in.Tag() {
			t.Errorf("200 to CANCEL:\n%s", got.AppendTo(nil))
		}
		r.response(487)
		if canceled == nil {
			t.Error("OnCancel was not called")
		}
		r.receive(incoming(sip.CANCEL, "1")) // late
		r.response(200)
		r.receive(incoming(sip.ACK, "1", "To: <sip:alice@example.com>;tag="+in.Tag()))
		r.receive(incoming(sip.CANCEL, "1")) // too late
		r.response(481)
		r.nothing()
	})
}

func TestRepeatFinal(t *testing.T) {
	run(t, options(), func(r *rig) {
		_, u, in := r.accepted()
		r.locked(in.RepeatFinal)
		r.response(200)
		r.down()
		r.locked(in.RepeatFinal)
		r.nothing()
		r.up(2, server)
		r.locked(in.RepeatFinal)
		r.response(200)
		r.receive(inside(sip.ACK, "ack", 10))
		if len(u.in) != 1 || u.in[0].Request().Method() != sip.ACK || !u.in[0].Answered() {
			t.Errorf("usage got %d requests", len(u.in))
		}
	})
}

func TestInsideDialog(t *testing.T) {
	run(t, options(), func(r *rig) {
		d, u, _ := r.accepted()
		// An ACK in the INVITE's own transaction is wrong, and common.
		r.receive(incoming(sip.ACK, "invite", "To: <sip:alice@example.com>;tag=ours"))
		r.receive(inside(sip.INFO, "1", 11))
		r.receive(inside(sip.INFO, "2", 13, "URI: sip:whatever@a1.invalid"))
		r.receive(inside(sip.INFO, "3", 14, "URI: sips:alice@a1.invalid"))
		if len(u.in) != 4 || u.in[0].Request().Method() != sip.ACK || u.in[3].Dialog() != d {
			t.Fatalf("usage got %d requests", len(u.in))
		}
		r.locked(func() { u.in[1].Reply(200, "") })
		if res := r.response(200); res.To().Tag() != "ours" {
			t.Errorf("To %v", res.To())
		}
		for _, tt := range []struct {
			name string
			text string
			want sip.StatusCode
		}{
			{"out of order", inside(sip.INFO, "4", 12), 500},
			{"another tag", inside(sip.INFO, "5", 15, "From: <sip:bob@example.com>;tag=other"), 481},
			{"a method we do not allow", inside(sip.MESSAGE, "6", 16), 405},
			{"a method nobody knows", inside("DANCE", "7", 17), 501},
			{"Require", inside(sip.INFO, "8", 18, "Require: foo"), 420},
			{"malformed", inside(sip.INFO, "9", 19, "Max-Forwards: x"), 400},
		} {
			r.receive(tt.text)
			if res := r.response(tt.want); res.To().Tag() != "ours" {
				t.Errorf("%s: To %v", tt.name, res.To())
			}
		}
		if len(u.in) != 4 {
			t.Errorf("usage got %d requests", len(u.in))
		}
		r.receive(inside(sip.ACK, "12", 10, "Max-Forwards: x")) // the call must not hang on that
		if n := len(u.in); n != 5 {
			t.Fatalf("usage got %d requests", n)
		}
		r.receive(inside(sip.BYE, "10", 20))
		r.locked(func() {
			u.in[5].Reply(200, "")
			r.Detach(d)
		})
		r.response(200)
		r.receive(inside(sip.INFO, "11", 21))
		r.response(481)
	})
}

// A BYE is taken whatever Allow says.
func TestByeIsAllowed(t *testing.T) {
	o := options()
	o.Allow = []sip.Method{sip.INVITE}
	run(t, o, func(r *rig) {
		_, u, _ := r.accepted()
		r.receive(inside(sip.BYE, "1", 11))
		r.nothing()
		if len(u.in) != 1 {
			t.Errorf("usage got %d requests", len(u.in))
		}
	})
}

func TestAttach(t *testing.T) {
	run(t, options(), func(r *rig) {
		d, u, _ := r.accepted()
		r.locked(func() {
			found, usage := r.FindDialog(d.ID())
			if found != d || usage != core.Usage(u) {
				t.Errorf("found %v, %v", found, usage)
			}
			same, err := dialog.NewServer(sip.NewRequest(sip.INVITE, uri("sip:x@y")), "t")
			if err == nil {
				r.Detach(same)
			}
			r.Detach(d)
			if found, usage = r.FindDialog(d.ID()); found != nil || usage != nil {
				t.Errorf("found %v, %v", found, usage)
			}
		})
	})
}

func TestReplaces(t *testing.T) {
	replaces := func(branch, value string) string {
		return incoming(sip.INVITE, branch, "Call-ID: new"+branch, "From: <sip:carol@example.com>;tag=carol", "Replaces: "+value)
	}
	run(t, options(), func(r *rig) {
		d, u, _ := r.accepted()
		invites := 0
		r.locked(func() { r.Handle(sip.INVITE, func(in *core.Incoming) { invites++; in.Reply(486, "") }) })
		r.receive(replaces("1", "call1;to-tag=ours;from-tag=bob")) // nobody handles Replaces: a plain INVITE
		r.response(486)
		if invites != 1 {
			t.Error("an INVITE with Replaces is no INVITE")
		}
		var got *dialog.Dialog
		var early bool
		r.locked(func() {
			r.HandleReplaces(func(in *core.Incoming, replaces sip.Replaces, of *dialog.Dialog, usage core.Usage) {
				if of == nil {
					in.Reply(sip.StatusCallDoesNotExist, "")
					return
				}
				if usage != core.Usage(u) {
					t.Errorf("usage %v", usage)
				}
				got, early = of, replaces.EarlyOnly
				in.Reply(sip.StatusDecline, "")
			})
		})
		r.receive(replaces("2", "call1;to-tag=ours;from-tag=bob;early-only"))
		r.response(603)
		if got != d || !early {
			t.Errorf("dialog %v, early-only %v", got, early)
		}
		r.receive(replaces("3", "call1;to-tag=other;from-tag=bob"))
		r.response(481)
		r.receive(replaces("4", "call1"))
		r.response(400)
		if invites != 1 {
			t.Errorf("%d INVITEs handled", invites)
		}
	})
}

func TestLimits(t *testing.T) {
	o := options()
	o.MaxTransactions = 2
	run(t, o, func(r *rig) {
		d, u, _ := r.accepted()
		r.locked(func() { r.Handle(sip.MESSAGE, func(*core.Incoming) {}) })
		r.receive(incoming(sip.MESSAGE, "1", "Call-ID: 1"))
		r.receive(inside(sip.INFO, "2", 11))
		for branch, want := range map[string]sip.StatusCode{
			incoming(sip.MESSAGE, "3", "Call-ID: 3"): 500,
			incoming(sip.INVITE, "4", "Call-ID: 4"):  480,
			inside(sip.INFO, "5", 12):                500,
		} {
			r.receive(branch)
			if got := r.response(want).Header("Retry-After"); got != "5" {
				t.Errorf("Retry-After %q", got)
			}
		}
		r.receive(inside(sip.ACK, "6", 10)) // not counted, and never answered
		r.receive(incoming(sip.ACK, "7", "Call-ID: 7"))
		r.receive(inside(sip.BYE, "8", 13)) // always taken: it makes room
		r.nothing()
		if last := u.in[len(u.in)-1]; last.Request().Method() != sip.BYE {
			t.Errorf("the last request taken is %s", last.Request().Method())
		}
		r.locked(func() {
			if got := r.Stats().Refused; got != 3 {
				t.Errorf("%d refused", got)
			}
			r.Detach(d)
		})
	})
	o = options()
	o.MaxDialogs = 1
	run(t, o, func(r *rig) {
		d, _, _ := r.accepted()
		r.receive(incoming(sip.INVITE, "1", "Call-ID: 1"))
		r.response(480)
		r.receive(incoming(sip.OPTIONS, "2", "Call-ID: 2"))
		r.response(200)
		r.locked(func() { r.Detach(d); r.Handle(sip.INVITE, nil) })
		r.receive(incoming(sip.INVITE, "3", "Call-ID: 3"))
		if r.response(480).HasHeader("Retry-After") {
			t.Error("still full")
		}
	})
}

// TestTargetRefresh: a 2xx to one of the five target refresh requests, in either
// direction, moves the remote target of the dialog (RFC 3261 §12.2, RFC 5057 §5.4).
func TestTargetRefresh(t *testing.T) {
	const contact = "Contact: <sip:bob@new.invalid>"
	o := options()
	o.Allow = []sip.Method{sip.INVITE, sip.UPDATE, sip.SUBSCRIBE, sip.NOTIFY, sip.REFER, sip.INFO, sip.MESSAGE, sip.OPTIONS}
	for method, moves := range map[sip.Method]bool{
		sip.INVITE: true, sip.UPDATE: true, sip.SUBSCRIBE: true, sip.NOTIFY: true, sip.REFER: true,
		sip.INFO: false, sip.MESSAGE: false, sip.OPTIONS: false,
	} {
		for _, code := range []sip.StatusCode{180, 200, 202, 302, 488} {
			want := ""
			if moves && code.IsSuccess() {
				want = "new.invalid"
			}
			run(t, o, func(r *rig) {
				_, d := r.called()
				r.request(sip.ACK)
				before := d.RemoteTarget().Host
				s := r.send("", func(s *sending) {
					r.locked(func() { s.Request = d.NewRequest(method) })
					s.Dialog = d
				})
				r.answer(s.Sent(), code, contact)
				if got := d.RemoteTarget().Host; got != cmp.Or(want, before) {
					t.Errorf("%d to our %s: target %s", code, method, got)
				}
			})
			run(t, o, func(r *rig) {
				d, u, _ := r.accepted()
				before := d.RemoteTarget().Host
				r.receive(inside(method, "1", 11, contact, "Event: x", "Subscription-State: active", "Refer-To: <sip:x@y.z>"))
				r.locked(func() { u.in[len(u.in)-1].Reply(code, "") })
				if got := d.RemoteTarget().Host; got != cmp.Or(want, before) {
					t.Errorf("%d to their %s: target %s", code, method, got)
				}
			})
		}
	}
}

func TestTooLong(t *testing.T) {
	run(t, options(), func(r *rig) {
		head := strings.Replace(incoming(sip.MESSAGE, "1"), "Content-Length: 0", "Content-Type: text/plain\r\nContent-Length: 1000000", 1)
		r.ReceiveTooLong(r.flow, []byte(head))
		r.response(513)
		r.ReceiveTooLong(r.flow, []byte(incoming(sip.MESSAGE, "2", "Call-ID: 2")))
		r.response(513)
		r.ReceiveTooLong(r.flow, []byte(incoming(sip.ACK, "3")))
		r.ReceiveTooLong(r.flow, []byte("SIP/2.0 200 OK\r\n\r\n"))
		r.ReceiveTooLong(r.flow, []byte("x"))
		r.ReceiveTooLong(&flow{id: 99}, []byte(head))
		r.ReceiveTooLong(r.flow, []byte(strings.Replace(head, "Max-Forwards: 69", "Max-Forwards", 1)))
		r.response(513)

		s := r.send(sip.OPTIONS, nil)
		res := string(sip.NewResponse(r.request(sip.OPTIONS), 200, "").AppendTo(nil))
		r.ReceiveTooLong(r.flow, []byte(strings.Replace(res, "Content-Length: 0", "l : 70000", 1)))
		s.got(200)
		r.nothing()
		r.locked(func() {
			if got := r.Stats().TooLong; got != 7 {
				t.Errorf("%d counted", got)
			}
		})
	})
}

// Who messages or calls their own address gets the request as anybody's.
func TestRequestToOurselves(t *testing.T) {
	run(t, options(), func(r *rig) {
		r.send(sip.OPTIONS, nil)
		back := r.request(sip.OPTIONS).Clone()
		if err := back.PushVia(sip.Via{Transport: "WSS", Host: "p.example.com", Params: ";branch=z9hG4bKp"}); err != nil {
			t.Fatal(err)
		}
		r.receive(string(back.AppendTo(nil)))
		r.response(200)
	})
}

func TestResponseFlow(t *testing.T) {
	run(t, options(), func(r *rig) {
		var in *core.Incoming
		r.locked(func() { r.Handle(sip.MESSAGE, func(i *core.Incoming) { in = i }) })
		r.receive(incoming(sip.MESSAGE, "1"))
		old := r.flow
		r.up(2, server) // now the current one
		r.locked(func() { in.Reply(200, "") })
		r.nothing()
		r.flow = old
		r.response(200)
		// A flow that is gone says nothing.
		r.down()
		r.receive(incoming(sip.OPTIONS, "2", "Call-ID: 2"))
		r.nothing()
	})
}

func TestSetTag(t *testing.T) {
	run(t, options(), func(r *rig) {
		r.locked(func() {
			r.Handle(sip.INVITE, func(in *core.Incoming) {
				in.SetTag("mine")
				in.Respond(in.NewResponse(sip.StatusTrying, ""))
				in.Reply(486, "")
			})
		})
		r.receive(incoming(sip.INVITE, "1"))
		if res := r.response(100); res.To().Tag() != "" || res.HasHeader("Contact") {
			t.Errorf("sent:\n%v", res)
		}
		if got := r.response(486).To().Tag(); got != "mine" {
			t.Errorf("tag %q", got)
		}
	})
}

func ExampleCore_Handle() {
	c := core.New(core.Options{URI: sip.URI{Scheme: "sip", User: "alice", Host: "example.com"}, AcceptAnyUser: true})
	defer c.Close(nil)
	c.Lock()
	c.Handle(sip.MESSAGE, func(in *core.Incoming) {
		fmt.Printf("%s: %s\n", in.Request().From().URI, in.Request().Body())
		in.Reply(sip.StatusOK, "")
	})
	c.Unlock()

	f := printer{}
	c.FlowUp(f, core.FlowInfo{Server: "wss://sip.example.com", Secure: true})
	c.Receive(f, []byte("MESSAGE sip:alice@a1.invalid SIP/2.0\r\n"+
		"Via: SIP/2.0/WSS sip.example.com;branch=z9hG4bK1\r\n"+
		"From: <sip:bob@example.com>;tag=b\r\nTo: <sip:alice@example.com>\r\n"+
		"Call-ID: c1\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\n\r\nhello"))
	// Output:
	// sip:bob@example.com: hello
	// SIP/2.0 200 OK
}

// printer is a flow that prints the first line of what is sent.
type printer struct{}

func (printer) ID() uint64 { return 1 }
func (printer) Send(msg []byte) error {
	line, _, _ := strings.Cut(string(msg), "\r\n")
	fmt.Println(line)
	return nil
}

// TestExpected: a NOTIFY may make the dialog of a request of ours (RFC 6665
// §4.4.1), and nothing else may.
func TestExpected(t *testing.T) {
	o := options()
	o.Allow = append(slices.Clone(o.Allow), sip.NOTIFY)
	run(t, o, func(r *rig) {
		notify := func(branch, tag string) string {
			return incoming(sip.NOTIFY, branch, "To: <sip:alice@example.com>;tag="+tag, "Event: refer", "Subscription-State: active")
		}
		r.receive(notify("1", "ours"))
		r.response(481)
		came := 0
		r.locked(func() {
			r.Expect("call1", "ours", func(in *core.Incoming) { came++; in.Reply(sip.StatusOK, "") })
		})
		r.receive(notify("2", "ours"))
		r.response(200)
		r.receive(notify("3", "other"))
		r.response(481)
		r.receive(incoming(sip.BYE, "4", "To: <sip:alice@example.com>;tag=ours"))
		r.response(481)
		r.locked(func() { r.Expect("call1", "ours", nil) })
		r.receive(notify("5", "ours"))
		r.response(481)
		if came != 1 {
			t.Errorf("%d NOTIFYs were expected", came)
		}
	})
}
