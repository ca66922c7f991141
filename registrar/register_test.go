package registrar_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/sip"
)

// A REGISTER is what RFC 3261 §10.2 and RFC 5626 §4.2 say, byte for byte.
func TestRequest(t *testing.T) {
	o := defaults()
	o.FromTagTrail = "-home"
	o.Contact.Params = `;pn-provider=acme;pn-prid="a;b"`
	o.core.UserAgent = "sipua"
	o.core.ExtraHeaders = []sip.Field{{Name: "X-A", Value: "1"}}
	run(t, o, func(r *rig) {
		r.up(serverA)
		req := r.register()
		got := strings.ReplaceAll(string(req.AppendTo(nil)), "\r\n", "\n")
		tag, trail, _ := strings.Cut(req.From().Tag(), "-")
		if tag == "" || trail != "home" {
			t.Errorf("From tag %q", req.From().Tag())
		}
		for random, name := range map[string]string{tag: "TAG", req.CallID(): "CALLID", req.Via().Branch(): "BRANCH"} {
			got = strings.ReplaceAll(got, random, name)
		}
		const want = `REGISTER sip:example.com SIP/2.0
Via: SIP/2.0/WSS a1.invalid;branch=BRANCH
From: <sip:alice@example.com>;tag=TAG-home
To: <sip:alice@example.com>
Call-ID: CALLID
CSeq: 1 REGISTER
Contact: <sip:k1@a1.invalid;transport=ws>;pn-provider=acme;pn-prid="a;b";reg-id=1;+sip.instance="<` + instance + `>";expires=600
Expires: 600
Max-Forwards: 70
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS
Supported: outbound, path, gruu
User-Agent: sipua
X-A: 1
Content-Length: 0

`
		if d := cmp.Diff(sorted(want), sorted(got)); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

// sorted is a message with its fields in order of their names.
func sorted(text string) []string {
	lines := strings.Split(text, "\n")
	first, rest := lines[0], lines[1:]
	slices.Sort(rest)
	return append([]string{first}, rest...)
}

// Call-ID, From tag and Contact never change, CSeq rises by one, through
// challenges, refreshes, new flows and removals.
func TestIdentityStays(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		var all []*sip.Request
		note := func(req *sip.Request) *sip.Request {
			all = append(all, req)
			return req
		}
		r.up(serverA)
		first := note(r.register())
		r.grant(note(r.challenge(first, "n1")), 600)
		r.due()
		r.grant(note(r.register()), 600)
		r.down()
		r.up(serverB)
		r.grant(note(r.register()), 600)
		c := r.startUnregister(false)
		r.answer(note(r.removal(ours)), "200 OK")
		c.returns(nil)
		r.startRegister()
		r.grant(note(r.register()), 600)
		for i, req := range all {
			if got := req.CSeq(); got.Seq != uint32(i+1) || got.Method != sip.REGISTER {
				t.Errorf("REGISTER %d: CSeq %v", i, got)
			}
			if req.CallID() != first.CallID() || req.From().Tag() != first.From().Tag() {
				t.Errorf("REGISTER %d: Call-ID %s, From tag %s", i, req.CallID(), req.From().Tag())
			}
			if got, _ := req.Contact(); got.URI != uri(contact) || got.Params.Value("+sip.instance") != "<"+instance+">" {
				t.Errorf("REGISTER %d: Contact %v", i, got)
			}
		}
	})
}

// Without Auto nothing leaves before Register, and then the registration is kept.
func TestManual(t *testing.T) {
	o := defaults()
	o.Auto = false
	run(t, o, func(r *rig) {
		r.up(serverA)
		r.silent()
		r.state(registrar.Unregistered)
		r.down()
		r.up(serverA)
		r.silent()
		c := r.startRegister()
		r.grant(r.register(), 600)
		c.returns(nil)
		r.due()
		r.grant(r.register(), 600)
		r.down()
		r.up(serverA)
		r.register()
	})
}

// A Registrar that is made when the flow is there already uses it.
func TestFlowBefore(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		r.up(serverA)
		r.register()
		o := defaults().Options
		o.Core = r.core
		second := registrar.New(o)
		defer second.Close()
		r.register()
	})
}

// The binding is renewed within its window; each refresh is told as such.
func TestRefresh(t *testing.T) {
	registered(t, func(r *rig) {
		for range 20 {
			if wait := r.due(); wait < 300*time.Second || wait > 500*time.Second {
				t.Errorf("refreshed after %v", wait)
			}
			r.state(registrar.Refreshing)
			r.grant(r.register(), 600)
			r.state(registrar.Registered)
			e := r.happened("refreshed")[0].Registration
			if got := time.Until(e.Expires); got != 600*time.Second || e.State != registrar.Registered || e.Err != nil {
				t.Errorf("refreshed: %+v", e)
			}
		}
	})
}

// What is granted rules, not what was asked for.
func TestGranted(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		r.up(serverA)
		r.grant(r.register(), 60)
		if wait := r.due(); wait < 30*time.Second || wait > 50*time.Second {
			t.Errorf("60 s: refreshed after %v", wait)
		}
		r.grant(r.register(), 3)
		if wait := r.due(); wait != 5*time.Second {
			t.Errorf("3 s: refreshed after %v", wait)
		}
		if got := r.register().Header("Expires"); got != "600" {
			t.Errorf("asks for %s", got)
		}
	})
}

// A failed refresh leaves the binding until its time is over; only then it is
// told to be gone.
func TestLapse(t *testing.T) {
	registered(t, func(r *rig) {
		granted := time.Now()
		r.due()
		r.answer(r.register(), "503 Service Unavailable", "Retry-After: 3600")
		e := r.happened("failed")[0]
		if !e.Registration.Bound() || !errors.Is(e.Err, sip.StatusServiceUnavailable) || e.Registration.Err != e.Err {
			t.Errorf("event %+v", e)
		}
		r.state(registrar.BackingOff)
		r.sleep(600*time.Second - time.Since(granted) - 1)
		r.happened()
		r.sleep(1)
		e = r.happened("unregistered")[0]
		if e.Registration.Bound() || !errors.Is(e.Err, registrar.ErrLapsed) || !errors.Is(e.Err, sip.StatusServiceUnavailable) {
			t.Errorf("event %+v", e)
		}
		r.due()
		r.state(registrar.Registering)
		r.grant(r.register(), 600)
		r.happened("registered")
	})
}

// A binding that lapses while its refresh is out is gone, and a late answer brings
// it back.
func TestLapseDuringRefresh(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		r.up(serverA)
		r.grant(r.register(), 10)
		r.due()
		req := r.register()
		r.state(registrar.Refreshing)
		r.sleep(5 * time.Second)
		r.state(registrar.Registering)
		r.grant(req, 10)
		events := r.happened("registered", "unregistered", "registered")
		if !errors.Is(events[1].Err, registrar.ErrLapsed) {
			t.Errorf("lapsed with %v", events[1].Err)
		}
	})
}

// A registrar that grants ten seconds is kept, though each refresh has credentials.
func TestShortLife(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		r.up(serverA)
		r.grant(r.challenge(r.register(), "n1"), 10)
		for range 30 {
			if wait := r.due(); wait != 5*time.Second {
				t.Fatalf("refreshed after %v", wait)
			}
			req := r.register()
			if !req.HasHeader("Authorization") {
				t.Error("challenged again")
			}
			r.grant(req, 10)
		}
	})
}

// 423: what the registrar names is asked for at once, and from then on.
func TestIntervalTooBrief(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		r.up(serverA)
		first := r.register()
		r.answer(first, "423 Interval Too Brief", "Min-Expires: 1800")
		req := r.register()
		if c := req.Header("Contact"); req.Header("Expires") != "1800" || !strings.HasSuffix(c, ";expires=1800") {
			t.Errorf("Expires %s, Contact %s", req.Header("Expires"), c)
		}
		r.answer(req, "200 OK") // no Contact, no Expires: as asked
		if got := time.Until(r.Registration().Expires); got != 1800*time.Second {
			t.Errorf("bound for %v", got)
		}
		r.happened("registered")
		r.due()
		if got := r.register().Header("Expires"); got != "1800" {
			t.Errorf("refresh asks for %s", got)
		}
	})
}

// A 423 that names nothing usable is a failure like any other.
func TestIntervalTooBriefUnusable(t *testing.T) {
	for _, field := range []string{"X: 1", "Min-Expires: 600", "Min-Expires: 5", "Min-Expires: soon", "Min-Expires: 86401"} {
		t.Run(field, func(t *testing.T) {
			run(t, defaults(), func(r *rig) {
				r.up(serverA)
				c := r.startRegister()
				r.answer(r.register(), "423 Interval Too Brief", field)
				c.returns(sip.StatusIntervalTooBrief)
				r.happened("failed")
				if wait := r.due(); wait < 30*time.Second || wait >= 60*time.Second {
					t.Errorf("tried again after %v", wait)
				}
				r.register()
			})
		})
	}
}

// A registrar that raises Min-Expires each time is given up for now, and heard
// again later.
func TestIntervalTooBriefForEver(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		r.up(serverA)
		for _, least := range []string{"700", "800", "900"} {
			r.answer(r.register(), "423 Interval Too Brief", "Min-Expires: "+least)
		}
		r.answer(r.register(), "423 Interval Too Brief", "Min-Expires: 1000")
		r.state(registrar.BackingOff)
		r.due()
		r.answer(r.register(), "423 Interval Too Brief", "Min-Expires: 1000")
		if got := r.register().Header("Expires"); got != "1000" {
			t.Errorf("asks for %s", got)
		}
	})
}

// 439: once more without reg-id (RFC 5626 §4.2.1), the instance stays.
func TestWithoutOutbound(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		r.up(serverA)
		r.answer(r.register(), "439 First Hop Lacks Outbound Support")
		req := r.register()
		if c := req.Header("Contact"); strings.Contains(c, "reg-id") || !strings.Contains(c, "+sip.instance=") {
			t.Errorf("Contact %s", c)
		}
		r.answer(req, "439 First Hop Lacks Outbound Support")
		r.state(registrar.BackingOff)
	})
}

// What comes with a binding is handed on.
func TestHandedOn(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		check := func(when, contact, route string) {
			t.Helper()
			var got string
			r.core.Lock()
			got = r.core.ContactFor(false).URI.String()
			r.core.Unlock()
			if got != contact {
				t.Errorf("%s: Contact %s, want %s", when, got, contact)
			}
			ctx, cancel := context.WithCancel(context.Background())
			c := r.start(func() error {
				_, err := r.core.Do(ctx, sip.NewRequest(sip.MESSAGE, uri("sip:bob@example.com")))
				return err
			})
			r.flow.mu.Lock()
			sent := strings.Join(r.flow.sent, "")
			r.flow.sent = nil
			r.flow.mu.Unlock()
			cancel()
			c.returns(context.Canceled)
			if !strings.HasPrefix(sent, "MESSAGE ") || strings.Contains(sent, "Route: ") != (route != "") || !strings.Contains(sent, route) {
				t.Errorf("%s: want route %q in\n%s", when, route, sent)
			}
		}
		const plain, route = contact + ";ob", "Route: <sip:p2.example.com;lr>"
		r.up(serverA)
		req := r.register()
		check("before", plain, "")
		r.answer(req, "200 OK", "Contact: <sip:bob@b1.invalid>, <"+contact+`>;expires=600;pub-gruu="`+pub+`";temp-gruu="`+temp+`"`,
			"Service-Route: <sip:p2.example.com;lr>", "Flow-Timer: 120")
		check("registered", pub, route)
		reg := r.Registration()
		if reg.Public != uri(pub) || reg.Temporary != uri(temp) || reg.Rewritten || len(reg.Contacts) != 2 {
			t.Errorf("%+v", reg)
		}
		reg.Contacts[0].URI.User = "changed"
		if got := r.Registration().Contacts[0].URI.User; got != "bob" {
			t.Errorf("a copy changes the Registration: %s", got)
		}

		r.due()
		r.grant(r.register(), 600, "Flow-Timer: 120")
		check("refreshed without", plain, "")
		r.due()
		r.grant(r.register(), 600, "Service-Route: <sip:p2.example.com;lr>")
		check("refreshed with a route", plain, route)

		c := r.startUnregister(false)
		req = r.removal(ours)
		r.answer(req, "200 OK", "Service-Route: <sip:p2.example.com;lr>")
		c.returns(nil)
		check("removed", plain, "")

		r.startRegister()
		r.answer(r.register(), "200 OK", "Contact: <"+contact+`>;expires=600;pub-gruu="`+pub+`"`, "Flow-Timer: 60")
		check("registered again", pub, "")
		r.down()
		r.core.Lock()
		if got := r.core.ContactFor(false).URI.String(); got != plain {
			t.Errorf("flow lost: Contact %s", got)
		}
		r.core.Unlock()
		r.up(serverA)
		r.grant(r.register(), 600, "Flow-Timer: 60")
		r.core.Lock()
		want := []time.Duration{120 * time.Second, 0, 60 * time.Second, 60 * time.Second}
		if d := cmp.Diff(want, r.keep); d != "" {
			t.Errorf("keep-alive (-want +got): %s", d)
		}
		r.core.Unlock()
	})
}

// A Contact changed by the registrar is ours all the same, and so is a 200 that
// lists none; but not several of others.
func TestBindingInAnswer(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fields []string
		want   error
		life   time.Duration
	}{
		{"rewritten", []string{"Contact: <sip:x@203.0.113.1:5060>;expires=90"}, nil, 90 * time.Second},
		{"no Contact", nil, nil, 600 * time.Second},
		{"several foreign", []string{"Contact: <sip:x@203.0.113.1>, <sip:y@203.0.113.2>"}, registrar.ErrNoBinding, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, defaults(), func(r *rig) {
				r.up(serverA)
				c := r.startRegister()
				r.answer(r.register(), "200 OK", tt.fields...)
				c.returns(tt.want)
				reg := r.Registration()
				if tt.want != nil {
					if reg.Bound() || reg.State != registrar.BackingOff || !errors.Is(reg.Err, tt.want) {
						t.Errorf("%+v", reg)
					}
					r.happened("failed")
					r.due()
					r.grant(r.register(), 600)
					r.state(registrar.Registered)
					return
				}
				if got := time.Until(reg.Expires); got != tt.life || !reg.Rewritten {
					t.Errorf("expires in %v, %+v", got, reg)
				}
			})
		})
	}
}

// Provisional responses change nothing.
func TestProvisional(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		r.up(serverA)
		req := r.register()
		r.answer(req, "100 Trying")
		r.state(registrar.Registering)
		r.happened()
		r.grant(req, 600)
		r.state(registrar.Registered)
	})
}

// A REGISTER that could not be written fails like any other.
func TestUnwritable(t *testing.T) {
	o := defaults()
	o.AOR.Host = "example\r\n.com"
	run(t, o, func(r *rig) {
		r.up(serverA)
		r.silent()
		r.state(registrar.BackingOff)
		for _, c := range []*call{r.startRegister(), r.startUnregister(false)} {
			if err := <-c.done; !errors.As(err, new(*sip.FieldError)) {
				t.Errorf("returned %v", err)
			}
		}
		r.state(registrar.Unregistered)
	})
}

// After Close nothing happens any more.
func TestClosed(t *testing.T) {
	registered(t, func(r *rig) {
		r.Close()
		r.Close()
		r.state(registrar.Closed)
		if err := r.Register(context.Background()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Register: %v", err)
		}
		if err := r.Unregister(context.Background(), true); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Unregister: %v", err)
		}
		r.CredentialsChanged()
		r.sleep(time.Hour)
		r.silent()
		r.down()
		r.up(serverA)
		r.silent()
		r.happened()
		r.state(registrar.Closed)
	})
}
