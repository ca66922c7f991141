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

// Without an instance there is no reg-id either (RFC 5626 §4.2).
func TestRequestWithoutInstance(t *testing.T) {
	o := defaults()
	o.InstanceID = ""
	run(t, o, func(r *rig) {
		r.up(serverA)
		req := r.register()
		if got := req.Header("Contact"); got != ours+";expires=600" {
			t.Errorf("Contact %s", got)
		}
		r.grant(req, 600)
		r.state(registrar.Registered)
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
