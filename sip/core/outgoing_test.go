package core_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// scrubbed replaces what is random in a message.
func scrubbed(t *testing.T, text string) string {
	t.Helper()
	m, err := sip.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for random, name := range map[string]string{m.Via().Branch(): "BRANCH", m.From().Tag(): "TAG", m.CallID(): "CALLID"} {
		if random == "" {
			t.Errorf("%s is missing", name)
			continue
		}
		text = strings.ReplaceAll(text, random, name)
	}
	return strings.ReplaceAll(text, "\r\n", "\n")
}

func checkMessage(t *testing.T, got, want string) {
	t.Helper()
	if d := cmp.Diff(want, scrubbed(t, got)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestCompleteRequest(t *testing.T) {
	o := options()
	o.DisplayName = `Alice "A"`
	o.UserAgent = "sipua"
	o.PreloadedRoute = true
	o.ExtraHeaders = []sip.Field{{Name: "X-A", Value: "1"}, {Name: "X-A", Value: "2"}}
	for _, tt := range []struct {
		name string
		fill func(s *sending)
		want string
	}{
		{"INVITE", func(s *sending) { s.Request = sip.NewRequest(sip.INVITE, uri("sip:bob@example.com")) },
			`INVITE sip:bob@example.com SIP/2.0
Via: SIP/2.0/WSS a1.invalid;branch=BRANCH
Max-Forwards: 70
From: "Alice \"A\"" <sip:alice@example.com>;tag=TAG
To: <sip:bob@example.com>
Call-ID: CALLID
CSeq: 1 INVITE
Contact: <sip:alice@a1.invalid;transport=ws;ob>
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE
Supported: outbound, replaces
User-Agent: sipua
X-A: 1
X-A: 2
Route: <sip:sip.example.com:8443;lr;transport=ws>
Route: <sip:edge.example.com;lr>
Content-Length: 0

`},
		{"MESSAGE", func(s *sending) { s.Request = sip.NewRequest(sip.MESSAGE, uri("sip:bob@example.com")) },
			`MESSAGE sip:bob@example.com SIP/2.0
Via: SIP/2.0/WSS a1.invalid;branch=BRANCH
Max-Forwards: 70
From: "Alice \"A\"" <sip:alice@example.com>;tag=TAG
To: <sip:bob@example.com>
Call-ID: CALLID
CSeq: 1 MESSAGE
Supported: outbound, replaces
User-Agent: sipua
X-A: 1
X-A: 2
Route: <sip:sip.example.com:8443;lr;transport=ws>
Route: <sip:edge.example.com;lr>
Content-Length: 0

`},
		{"REGISTER takes no Service-Route", func(s *sending) {
			s.Request = sip.NewRequest(sip.REGISTER, uri("sip:example.com"))
			for _, f := range [][2]string{{"From", "<sip:alice@example.com>;tag=t1"}, {"To", "<sip:alice@example.com>"},
				{"Call-ID", "reg"}, {"CSeq", "77 REGISTER"}, {"Contact", "<sip:alice@a1.invalid>;expires=600"},
				{"Supported", "path, gruu"}, {"X-A", "mine"}} {
				if err := s.Request.AddHeader(f[0], f[1]); err != nil {
					t.Fatal(err)
				}
			}
		},
			`REGISTER sip:example.com SIP/2.0
Via: SIP/2.0/WSS a1.invalid;branch=BRANCH
From: <sip:alice@example.com>;tag=TAG
To: <sip:alice@example.com>
Call-ID: CALLID
CSeq: 77 REGISTER
Contact: <sip:alice@a1.invalid>;expires=600
Supported: path, gruu
X-A: mine
Max-Forwards: 70
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE
User-Agent: sipua
Route: <sip:sip.example.com:8443;lr;transport=ws>
Content-Length: 0

`},
		{"anonymous", func(s *sending) {
			s.Request = sip.NewRequest(sip.INVITE, uri("sip:bob@example.com"))
			s.Anonymous = true
		},
			`INVITE sip:bob@example.com SIP/2.0
Via: SIP/2.0/WSS a1.invalid;branch=BRANCH
Max-Forwards: 70
From: "Anonymous" <sip:anonymous@anonymous.invalid>;tag=TAG
To: <sip:bob@example.com>
Call-ID: CALLID
CSeq: 1 INVITE
Contact: <sip:anonymous@anonymous.invalid;transport=ws;ob>
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE
Supported: outbound, replaces
Privacy: id
P-Preferred-Identity: <sip:alice@example.com>
X-A: 1
X-A: 2
Route: <sip:sip.example.com:8443;lr;transport=ws>
Route: <sip:edge.example.com;lr>
Content-Length: 0

`},
		{"routes of the usage stay", func(s *sending) {
			s.Request = sip.NewRequest(sip.OPTIONS, uri("sip:bob@example.com"))
			if err := s.Request.AddHeader("Route", "<sip:mine.example.com;lr>"); err != nil {
				t.Fatal(err)
			}
		},
			`OPTIONS sip:bob@example.com SIP/2.0
Via: SIP/2.0/WSS a1.invalid;branch=BRANCH
Route: <sip:mine.example.com;lr>
Max-Forwards: 70
From: "Alice \"A\"" <sip:alice@example.com>;tag=TAG
To: <sip:bob@example.com>
Call-ID: CALLID
CSeq: 1 OPTIONS
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE
Supported: outbound, replaces
Accept: application/sdp
User-Agent: sipua
X-A: 1
X-A: 2
Content-Length: 0

`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, o, func(r *rig) {
				edge, err := sip.ParseNameAddr("<sip:edge.example.com;lr>")
				if err != nil {
					t.Fatal(err)
				}
				r.locked(func() { r.SetServiceRoute(r.flow, []sip.NameAddr{edge}) })
				r.send("", tt.fill)
				checkMessage(t, r.raw(), tt.want)
			})
		})
	}
}

// A dialog's requests take the dialog's routes and nothing else.
func TestRequestInDialog(t *testing.T) {
	o := options()
	o.PreloadedRoute = true
	run(t, o, func(r *rig) {
		_, d := r.called("Record-Route: <sip:sip.example.com;lr>")
		r.request(sip.ACK)
		r.send("", func(s *sending) {
			r.locked(func() { s.Request = d.NewRequest(sip.UPDATE) })
			s.Dialog = d
		})
		checkMessage(t, r.raw(), `UPDATE sip:bob@b1.invalid;transport=ws SIP/2.0
Via: SIP/2.0/WSS a1.invalid;branch=BRANCH
Route: <sip:sip.example.com;lr>
From: <sip:alice@example.com>;tag=TAG
To: <sip:bob@example.com>;tag=far
Call-ID: CALLID
CSeq: 2 UPDATE
Max-Forwards: 70
Contact: <sip:alice@a1.invalid;transport=ws;ob>
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE
Supported: outbound, replaces
Content-Length: 0

`)
	})
}

// Neither the preloaded route nor the Service-Route is for a dialog without one.
func TestDialogWithoutRoutes(t *testing.T) {
	o := options()
	o.PreloadedRoute = true
	run(t, o, func(r *rig) {
		_, d := r.called()
		if r.request(sip.ACK).HasHeader("Route") {
			t.Error("the ACK has a Route")
		}
		r.send("", func(s *sending) {
			r.locked(func() { s.Request = d.NewRequest(sip.BYE) })
			s.Dialog = d
		})
		if r.request(sip.BYE).HasHeader("Route") {
			t.Error("the BYE has a Route")
		}
	})
}

func TestGRUU(t *testing.T) {
	run(t, options(), func(r *rig) {
		r.locked(func() { r.SetGRUU(uri("sip:alice@example.com;gr=urn:x"), uri("sip:tmp1@example.com;gr")) })
		r.send(sip.INVITE, nil)
		if got := r.request(sip.INVITE).Header("Contact"); got != "<sip:alice@example.com;gr=urn:x>" {
			t.Errorf("Contact %s", got)
		}
		r.send(sip.INVITE, func(s *sending) { s.Anonymous = true })
		if got := r.request(sip.INVITE).Header("Contact"); got != "<sip:tmp1@example.com;gr>" {
			t.Errorf("anonymous Contact %s", got)
		}
		r.locked(func() {
			r.SetGRUU(sip.URI{}, sip.URI{})
			if got := r.ContactFor(false).String(); got != "<sip:alice@a1.invalid;transport=ws;ob>" {
				t.Errorf("Contact without GRUU %s", got)
			}
		})
	})
}

func TestIdentityChanges(t *testing.T) {
	run(t, options(), func(r *rig) {
		r.locked(func() {
			r.SetDisplayName("Al")
			r.SetExtraHeaders([]sip.Field{{Name: "X-New", Value: "1"}})
		})
		r.send(sip.MESSAGE, nil)
		req := r.request(sip.MESSAGE)
		if req.From().Display != "Al" || req.Header("X-New") != "1" {
			t.Errorf("sent:\n%v", req)
		}
	})
}

func TestViaTransport(t *testing.T) {
	for _, tt := range []struct{ server, option, want string }{
		{"ws://sip.example.com", "", "WS"},
		{"wss://sip.example.com", "", "WSS"},
		{"wss://sip.example.com", "TCP", "TCP"},
	} {
		o := options()
		o.ViaTransport = tt.option
		o.ViaHost = ""
		run(t, o, func(r *rig) {
			r.up(2, tt.server)
			r.send(sip.OPTIONS, nil)
			via := r.request(sip.OPTIONS).Via()
			if via.Transport != tt.want || !strings.HasSuffix(via.Host, ".invalid") {
				t.Errorf("%v: Via %v", tt, via)
			}
		})
	}
}

func TestPreloadedRouteIPv6(t *testing.T) {
	o := options()
	o.PreloadedRoute = true
	run(t, o, func(r *rig) {
		r.flow = &flow{id: 2}
		r.FlowUp(r.flow, core.FlowInfo{Server: "ws://[2001:db8::1]", Host: "2001:db8::1"})
		r.send(sip.OPTIONS, nil)
		if got := r.request(sip.OPTIONS).Header("Route"); got != "<sip:[2001:db8::1];lr;transport=ws>" {
			t.Errorf("Route %s", got)
		}
	})
}

func TestHostileRequest(t *testing.T) {
	run(t, options(), func(r *rig) {
		for _, req := range []*sip.Request{
			sip.NewRequest("MESS AGE", uri("sip:bob@example.com")),
			sip.NewRequest(sip.MESSAGE, sip.URI{}),
		} {
			s := r.send("", func(s *sending) { s.Request = req })
			synctest.Wait()
			var field *sip.FieldError
			if !errors.As(s.err, &field) {
				t.Errorf("error %v", s.err)
			}
			_, err := r.Do(r.Context(), req)
			if !errors.As(err, &field) {
				t.Errorf("Do: %v", err)
			}
		}
		r.nothing()

		r.send("", func(s *sending) {
			s.Request = sip.NewRequest(sip.MESSAGE, sip.URI{Scheme: "sip", Host: "example.com", Params: ";a=\r\nX: y"})
		})
		if req := r.request(sip.MESSAGE); req.HasHeader("X") || req.To().URI != req.URI() {
			t.Errorf("sent:\n%v", req)
		}

		r.locked(func() { r.SetExtraHeaders([]sip.Field{{Name: "X", Value: "a\r\nb"}}) })
		s := r.send(sip.MESSAGE, nil)
		synctest.Wait()
		if s.err == nil {
			t.Error("an extra header with CR LF went out")
		}
		r.nothing()
	})
}

func TestDo(t *testing.T) {
	run(t, options(), func(r *rig) {
		type result struct {
			res *sip.Response
			err error
		}
		do := func(ctx context.Context, m sip.Method) chan result {
			done := make(chan result, 1)
			go func() {
				res, err := r.Do(ctx, sip.NewRequest(m, uri("sip:bob@example.com")))
				done <- result{res, err}
			}()
			return done
		}
		done := do(r.Context(), sip.OPTIONS)
		req := r.request(sip.OPTIONS)
		r.answer(req, 100)
		r.answer(req, 200)
		if got := <-done; got.err != nil || got.res.StatusCode() != 200 {
			t.Errorf("200: %v, %v", got.res, got.err)
		}

		done = do(r.Context(), sip.OPTIONS)
		r.answer(r.request(sip.OPTIONS), 404)
		got := <-done
		var refused *sip.ResponseError
		if !errors.As(got.err, &refused) || refused.Method != sip.OPTIONS || !errors.Is(got.err, sip.StatusNotFound) {
			t.Errorf("404: %v", got.err)
		}

		done = do(r.Context(), sip.OPTIONS)
		r.request(sip.OPTIONS)
		begun := time.Now()
		got = <-done
		if !errors.Is(got.err, sip.StatusRequestTimeout) || time.Since(begun) != 32*time.Second {
			t.Errorf("no answer: %v after %v", got.err, time.Since(begun))
		}

		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(r.Context())
		done = do(ctx, sip.OPTIONS)
		req = r.request(sip.OPTIONS)
		cancel(cause)
		if got = <-done; got.err != cause {
			t.Errorf("canceled: %v", got.err)
		}
		r.answer(req, 200) // nobody listens

		if got = <-do(ctx, sip.OPTIONS); got.err != cause {
			t.Errorf("canceled before: %v", got.err)
		}
		for _, m := range []sip.Method{sip.INVITE, sip.ACK, sip.CANCEL} {
			if got = <-do(r.Context(), m); got.err == nil {
				t.Errorf("%s was sent", m)
			}
		}
		r.nothing()
	})
}

func TestDoIn(t *testing.T) {
	run(t, options(), func(r *rig) {
		_, d := r.called()
		done := make(chan error, 1)
		go func() {
			_, err := r.DoIn(r.Context(), d, func() (*sip.Request, error) { return d.NewRequest(sip.INFO), nil })
			done <- err
		}()
		r.request(sip.ACK)
		r.answer(r.request(sip.INFO), 200)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestWaitForFlow(t *testing.T) {
	run(t, options(), func(r *rig) {
		r.down()
		first := r.send(sip.MESSAGE, nil)
		second := r.send(sip.OPTIONS, nil)
		impatient := r.send(sip.INFO, func(s *sending) { s.Wait = -1 })
		short := r.send(sip.INFO, func(s *sending) { s.Wait = time.Second })
		synctest.Wait()
		if !errors.Is(impatient.err, net.ErrClosed) || impatient.at != 0 {
			t.Errorf("without patience: %v at %v", impatient.err, impatient.at)
		}
		r.sleep(31 * time.Second)
		if !errors.Is(short.err, net.ErrClosed) || short.at != time.Second {
			t.Errorf("with a second's patience: %v at %v", short.err, short.at)
		}
		r.up(2, server)
		r.answer(r.request(sip.MESSAGE), 200) // in the order they were sent
		r.answer(r.request(sip.OPTIONS), 200)
		first.got(200)
		second.got(200)

		r.down()
		late := r.send(sip.OPTIONS, nil)
		begun := r.since()
		r.sleep(time.Minute)
		if !errors.Is(late.err, net.ErrClosed) || late.at-begun != 32*time.Second {
			t.Errorf("no flow: %v after %v", late.err, late.at-begun)
		}
	})
}

func TestPinnedFlow(t *testing.T) {
	run(t, options(), func(r *rig) {
		old := r.flow
		r.up(2, "wss://second.example.com")
		s := r.send(sip.OPTIONS, func(s *sending) { s.Flow = old })
		r.nothing()
		r.flow = old
		r.answer(r.request(sip.OPTIONS), 200)
		s.got(200)
		r.down()
		s = r.send(sip.OPTIONS, func(s *sending) { s.Flow = old })
		synctest.Wait()
		if !errors.Is(s.err, net.ErrClosed) {
			t.Errorf("over a flow that is gone: %v", s.err)
		}
	})
}

func TestAbandon(t *testing.T) {
	run(t, options(), func(r *rig) {
		s := r.send(sip.OPTIONS, nil)
		req := r.request(sip.OPTIONS)
		r.locked(s.Abandon)
		r.answer(req, 200)
		s.got()

		r.down()
		s = r.send(sip.OPTIONS, nil)
		r.locked(s.Abandon)
		r.up(2, server)
		r.nothing()
		if s.err != nil {
			t.Errorf("callback after Abandon: %v", s.err)
		}
	})
}

func TestWatchFlows(t *testing.T) {
	run(t, options(), func(r *rig) {
		var seen []string
		r.locked(func() {
			r.WatchFlows(func(f core.Flow, i core.FlowInfo, up bool, err error) {
				if up {
					seen = append(seen, "up "+i.Server)
				} else {
					seen = append(seen, "down "+i.Server+" "+err.Error())
				}
			})
		})
		r.down()
		r.down() // twice does not count
		r.up(2, "wss://b")
		r.FlowUp(r.flow, info("wss://b"))
		if d := cmp.Diff([]string{"down " + server + " cut", "up wss://b"}, seen); d != "" {
			t.Error(d)
		}
		r.locked(func() {
			f, i, ok := r.Flow()
			if f != core.Flow(r.flow) || i.Server != "wss://b" || !ok {
				t.Errorf("current flow %v %v %v", f, i, ok)
			}
		})
		r.down()
		r.locked(func() {
			if _, _, ok := r.Flow(); ok {
				t.Error("a flow that is gone is current")
			}
		})
	})
}

// What watchers send on a new flow leaves before what waited: REGISTER first.
func TestWatchersSendFirst(t *testing.T) {
	run(t, options(), func(r *rig) {
		r.down()
		r.send(sip.MESSAGE, nil)
		r.locked(func() {
			r.WatchFlows(func(f core.Flow, _ core.FlowInfo, up bool, _ error) {
				if up {
					r.Send(&core.Outgoing{Request: sip.NewRequest(sip.REGISTER, uri("sip:example.com")), Flow: f})
				}
			})
		})
		r.up(2, server)
		r.request(sip.REGISTER)
		r.request(sip.MESSAGE)
	})
}
