package registrar_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// pair is a Set for two flows on a core in a bubble. Server A is heavier than B.
type pair struct {
	*rig
	*registrar.Set
	one, two *flow
	ids      uint64
	timers   []string // Flow-Timers handed on
	left     []string // servers to be left
}

func runPair(t *testing.T, o options, fn func(p *pair)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &pair{rig: &rig{t: t, core: core.New(o.core), begun: time.Now()}}
		o.Core = p.core
		o.Event = func(e registrar.Event) { p.events = append(p.events, e) }
		o.KeepAlive = func(f core.Flow, d time.Duration) {
			p.timers = append(p.timers, fmt.Sprint(f.(*flow).server, " ", d))
		}
		if o.Leave == nil {
			o.Leave = func(f core.Flow, err error, after time.Duration) {
				p.left = append(p.left, fmt.Sprint(f.(*flow).server, " ", after))
			}
		}
		p.Set = registrar.NewSet(o.Options, 2)
		defer func() {
			p.Set.Close()
			p.core.Close(net.ErrClosed)
			p.core.Wait()
			synctest.Wait()
		}()
		fn(p)
	})
}

func (p *pair) upOne() { p.one = p.connect(1, serverA, 10) }
func (p *pair) upTwo() { p.two = p.connect(2, serverB, 5) }

func (p *pair) connect(regID int, server string, weight int) *flow {
	p.ids++
	f := &flow{id: p.ids, server: server}
	p.core.FlowUp(f, core.FlowInfo{RegID: regID, Weight: weight, Server: server, Secure: true, Host: "example.com"})
	synctest.Wait()
	return f
}

func (f *flow) regID() string {
	if f.server == serverA {
		return "1"
	}
	return "2"
}

// listed is the Contact of a flow as a registrar lists it.
func (f *flow) listed(seconds int) string {
	return fmt.Sprintf("<%s>;reg-id=%s;+sip.instance=\"<%s>\";expires=%d", contact, f.regID(), instance, seconds)
}

const outbound = "Require: outbound"

// register returns the next REGISTER on f, which is for a binding of that flow.
func (p *pair) register(f *flow) *sip.Request {
	p.t.Helper()
	req := p.request(f)
	c, err := req.Contacts()
	if err != nil || len(c) != 1 || c[0].Params.Value("reg-id") != f.regID() || c[0].Params.Value("expires") == "0" {
		p.t.Errorf("%v: Contact %v, %v", p.since(), req.Header("Contact"), err)
	}
	return req
}

// grant answers 200, and the registrar knows outbound.
func (p *pair) grant(f *flow, req *sip.Request, fields ...string) {
	p.t.Helper()
	p.answerOn(f, req, "200 OK", append(fields, outbound, "Contact: "+f.listed(600))...)
}

// grantPlain answers 200 and lists what is given; the registrar does not know
// outbound.
func (p *pair) grantPlain(f *flow, req *sip.Request, listed ...string) {
	p.t.Helper()
	p.answerOn(f, req, "200 OK", "Contact: "+strings.Join(listed, ", "))
}

// both registers both flows.
func (p *pair) both() {
	p.t.Helper()
	p.upOne()
	p.upTwo()
	p.grant(p.one, p.register(p.one))
	p.grant(p.two, p.register(p.two))
	p.happened("registered", "registered")
}

// silent checks that nothing was sent on f.
func (p *pair) silent(f *flow) {
	p.t.Helper()
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sent {
		p.t.Errorf("%v: sent\n%s", p.since(), s)
	}
	f.sent = nil
}

// states checks where the registrations stand.
func (p *pair) states(one, two registrar.State) {
	p.t.Helper()
	synctest.Wait()
	if r := p.Registrations(); r[0].State != one || r[1].State != two {
		p.t.Errorf("%v: %v and %v, want %v and %v", p.since(), r[0].State, r[1].State, one, two)
	}
}

// dueOn sleeps until the next REGISTER of a flow is due.
func (p *pair) dueOn(regID int) time.Duration {
	p.t.Helper()
	wait := time.Until(p.Registrations()[regID-1].RetryAt)
	if wait <= 0 {
		p.t.Fatalf("%v: nothing is due: %+v", p.since(), p.Registrations()[regID-1])
	}
	p.sleep(wait)
	return wait
}

// RFC 5626 §4.2.1: each flow has a registration of its own, with the same instance,
// a reg-id of its own and a Call-ID of its own, whose CSeq goes on.
func TestTwoFlows(t *testing.T) {
	runPair(t, defaults(), func(p *pair) {
		p.upOne()
		p.upTwo()
		one := p.register(p.one)
		p.silent(p.two) // whether there may be a second binding is not known yet
		p.grant(p.one, one)
		two := p.register(p.two)
		p.grant(p.two, two)
		if one.CallID() == two.CallID() || one.CSeq().Seq != 1 || two.CSeq().Seq != 1 {
			t.Errorf("Call-IDs %s and %s, CSeq %v and %v", one.CallID(), two.CallID(), one.CSeq(), two.CSeq())
		}
		a, _ := one.Contacts()
		b, _ := two.Contacts()
		if x, y := a[0].Params.Value("+sip.instance"), b[0].Params.Value("+sip.instance"); x != y || x != "<"+instance+">" || !a[0].URI.Equal(b[0].URI) {
			t.Errorf("Contacts %v and %v", a[0], b[0])
		}
		for i, e := range p.happened("registered", "registered") {
			if e.Registration.RegID != i+1 || !e.Registration.Outbound || e.Registration.Server != []string{serverA, serverB}[i] {
				t.Errorf("event %d: %+v", i, e)
			}
		}
		for range 3 { // each is refreshed by itself, over its own flow
			p.dueOn(2)
			for p.Registrations()[0].RetryAt.Before(time.Now()) && !p.Registrations()[0].RetryAt.IsZero() {
				p.grant(p.one, p.register(p.one))
			}
			p.one.mu.Lock()
			p.one.sent = nil
			p.one.mu.Unlock()
			again := p.register(p.two)
			if again.CallID() != two.CallID() || again.CSeq().Seq != two.CSeq().Seq+1 {
				t.Errorf("refreshed by %s, CSeq %v", again.CallID(), again.CSeq())
			}
			two = again
			p.grant(p.two, two)
		}
	})
}

// RFC 5626 §4.5: a flow that is replaced is registered with the same reg-id and,
// so that temporary GRUUs stay (RFC 5627 §4.2), the same Call-ID. The other one
// does not notice.
func TestOneOfTwoFlowsLost(t *testing.T) {
	runPair(t, defaults(), func(p *pair) {
		p.upOne()
		p.upTwo()
		first := p.register(p.one)
		p.grant(p.one, first)
		p.grant(p.two, p.register(p.two))
		p.happened("registered", "registered")
		if got := p.Registration().RegID; got != 1 {
			t.Errorf("the registration is that of flow %d", got)
		}
		p.lose(p.one)
		if e := p.happened("unregistered")[0]; e.Registration.RegID != 1 || !e.Elsewhere || !errors.Is(e.Err, errCut) {
			t.Errorf("%+v", e)
		}
		p.silent(p.two)
		p.states(registrar.Waiting, registrar.Registered)
		if got := p.Registration(); got.RegID != 2 || !got.Bound() {
			t.Errorf("the registration is now %+v", got)
		}
		p.upOne()
		again := p.register(p.one)
		if again.CallID() != first.CallID() || again.CSeq().Seq != first.CSeq().Seq+1 {
			t.Errorf("registered again by %s, CSeq %v", again.CallID(), again.CSeq())
		}
		p.grant(p.one, again)
		p.silent(p.two)
		p.states(registrar.Registered, registrar.Registered)
	})
}

// A registrar that does not say Require: outbound (RFC 5626 §4.2.1) keeps one
// binding. The second flow stands by, and registers as soon as the first is lost;
// then the first one stands by.
func TestRegistrarWithoutOutbound(t *testing.T) {
	runPair(t, defaults(), func(p *pair) {
		p.upOne()
		p.upTwo()
		p.grantPlain(p.one, p.register(p.one), p.one.listed(600))
		p.states(registrar.Registered, registrar.Standby)
		for range 5 {
			p.dueOn(1)
			p.grantPlain(p.one, p.register(p.one), p.one.listed(600))
			p.silent(p.two)
		}
		p.happened("registered", "refreshed", "refreshed", "refreshed", "refreshed", "refreshed")
		if got := p.Registration(); got.RegID != 1 || got.Outbound {
			t.Errorf("%+v", got)
		}

		p.lose(p.one)
		p.grantPlain(p.two, p.register(p.two), p.two.listed(600))
		p.happened("unregistered", "registered")
		p.upOne()
		p.silent(p.one)
		p.states(registrar.Standby, registrar.Registered)
		if got := p.Registration().RegID; got != 2 {
			t.Errorf("the registration is that of flow %d", got)
		}

		p.lose(p.one) // nothing was on it
		p.happened()
		p.upOne()
		p.silent(p.one)
		p.lose(p.two)
		p.grant(p.one, p.register(p.one)) // a registrar that learned outbound meanwhile
		p.upTwo()
		p.grant(p.two, p.register(p.two))
		p.states(registrar.Registered, registrar.Registered)
	})
}

// While it is not known whether there may be two bindings, the second flow tries
// as soon as the first has failed.
func TestFirstFlowFails(t *testing.T) {
	runPair(t, defaults(), func(p *pair) {
		p.upOne()
		p.upTwo()
		req := p.register(p.one)
		p.silent(p.two)
		p.answerOn(p.one, req, "503 Service Unavailable", "Retry-After: 20")
		if e := p.happened("failed")[0]; !e.Elsewhere {
			t.Errorf("%+v: the other flow is about to be registered", e)
		}
		p.grantPlain(p.two, p.register(p.two), p.two.listed(600))
		p.states(registrar.BackingOff, registrar.Registered)
		p.dueOn(1)
		p.silent(p.one)
		p.states(registrar.Standby, registrar.Registered)
	})
}

// A binding that was replaced all the same is recognised by what the registrar
// lists, and the flow stands by; one that is listed goes on.
func TestBindingReplaced(t *testing.T) {
	for name, lists := range map[string]bool{"replaced": false, "listed": true} {
		t.Run(name, func(t *testing.T) {
			runPair(t, defaults(), func(p *pair) {
				p.upOne()
				p.grant(p.one, p.register(p.one))
				p.upTwo()
				listed := []string{p.two.listed(600)}
				if lists {
					listed = append(listed, p.one.listed(600))
				}
				p.grantPlain(p.two, p.register(p.two), listed...)
				if lists {
					p.states(registrar.Registered, registrar.Registered)
					p.happened("registered", "registered")
					return
				}
				e := p.happened("registered", "unregistered", "registered")[1]
				if e.Registration.RegID != 1 || !errors.Is(e.Err, registrar.ErrReplaced) || !e.Registration.RetryAt.IsZero() {
					t.Errorf("%+v", e)
				}
				p.states(registrar.Standby, registrar.Registered)
				p.sleep(250 * time.Second)
				p.silent(p.one)
			})
		})
	}
}

// 439 on one flow (RFC 5626 §4.2.1): while the other is registered it stands by,
// and is registered without reg-id when it is the only one. Another server is
// asked anew.
func TestFirstHopLacksOutbound(t *testing.T) {
	runPair(t, defaults(), func(p *pair) {
		p.upOne()
		p.grant(p.one, p.register(p.one))
		p.upTwo()
		p.answerOn(p.two, p.register(p.two), "439 First Hop Lacks Outbound Support")
		p.silent(p.two)
		p.states(registrar.Registered, registrar.Standby)
		p.happened("registered")

		p.lose(p.one)
		req := p.request(p.two)
		if c := req.Header("Contact"); strings.Contains(c, "reg-id") || !strings.Contains(c, "+sip.instance=") {
			t.Errorf("Contact %s", c)
		}
		p.answerOn(p.two, req, "200 OK", "Contact: <"+contact+">;expires=600")
		p.upOne()
		p.grant(p.one, p.register(p.one)) // the registrar is the same
		p.states(registrar.Registered, registrar.Registered)

		p.lose(p.two)
		p.two = p.connect(2, "wss://c.example.com/ws", 5)
		p.grant(p.two, p.register(p.two))
	})
}

// A refusal of our credentials on one flow is one for both: nothing more is tried
// before there are others. A flow that is registered goes on until its own.
func TestRefusedOnOneOfTwoFlows(t *testing.T) {
	t.Run("neither is registered", func(t *testing.T) {
		runPair(t, defaults(), func(p *pair) {
			p.upOne()
			p.upTwo()
			c := p.start(func() error { return p.Register(context.Background()) })
			p.answerOn(p.one, p.register(p.one), "403 Forbidden")
			c.returns(sip.StatusForbidden)
			p.states(registrar.Refused, registrar.Refused)
			p.sleep(24 * time.Hour)
			p.silent(p.one)
			p.silent(p.two)
			p.lose(p.two)
			p.upTwo()
			p.silent(p.two)
			p.CredentialsChanged()
			p.grant(p.one, p.register(p.one))
			p.grant(p.two, p.register(p.two))
		})
	})
	t.Run("one is registered", func(t *testing.T) {
		runPair(t, defaults(), func(p *pair) {
			p.upOne()
			p.grant(p.one, p.register(p.one))
			p.upTwo()
			p.answerOn(p.two, p.register(p.two), "403 Forbidden")
			p.states(registrar.Registered, registrar.Refused)
			p.dueOn(1)
			p.grant(p.one, p.register(p.one))
			p.dueOn(1)
			p.answerOn(p.one, p.register(p.one), "403 Forbidden")
			p.states(registrar.Refused, registrar.Refused)
			p.sleep(24 * time.Hour)
			p.silent(p.one)
			p.silent(p.two)
		})
	})
}

// The attempts with credentials that may come to nothing within a minute are two
// for all flows together: they are one account's.
func TestTwoTrialsOverTwoFlows(t *testing.T) {
	runPair(t, defaults(), func(p *pair) {
		p.both()
		challenge := func(f *flow) *sip.Request {
			p.answerOn(f, p.register(f), "401 Unauthorized", `WWW-Authenticate: Digest realm="example.com", nonce="n", qop="auth"`)
			return p.register(f)
		}
		p.lose(p.one)
		p.lose(p.two)
		p.upOne()
		p.answerOn(p.one, challenge(p.one), "503 Service Unavailable", "Retry-After: 1")
		p.sleep(time.Second)
		p.answerOn(p.one, p.register(p.one), "503 Service Unavailable", "Retry-After: 1") // preemptive
		p.upTwo()
		p.silent(p.two)
		if got := p.dueOn(2); got != 59*time.Second {
			t.Errorf("held for %v", got)
		}
	})
}

// RFC 5626 §4.5: W = min(max-time, base-time · 2^failures), of which between half
// and the whole is waited, with a base of 30 s while no flow is registered and of
// 90 s while another one is. The failures are the server's.
func TestBackoffOfTwoFlows(t *testing.T) {
	for name, tt := range map[string]struct {
		beside bool
		most   []time.Duration // seconds
	}{
		"all failed": {false, []time.Duration{60, 120, 240, 480, 960, 1800, 1800}},
		"one is up":  {true, []time.Duration{180, 360, 720, 1440, 1800, 1800}},
	} {
		t.Run(name, func(t *testing.T) {
			runPair(t, defaults(), func(p *pair) {
				p.upOne()
				if tt.beside {
					p.answerOn(p.one, p.register(p.one), "200 OK", outbound, "Contact: "+p.one.listed(86400))
				} else {
					p.lose(p.one)
				}
				p.upTwo()
				for _, most := range tt.most {
					most *= time.Second
					p.answerOn(p.two, p.register(p.two), "500 Server Internal Error")
					if got := p.dueOn(2); got < most/2 || got >= most {
						t.Errorf("waited %v, want [%v, %v)", got, most/2, most)
					}
				}
				p.answerOn(p.two, p.register(p.two), "500 Server Internal Error")
				p.lose(p.two)
				p.two = p.connect(2, "wss://c.example.com/ws", 5)
				p.answerOn(p.two, p.register(p.two), "500 Server Internal Error")
				if got := p.dueOn(2); got > 180*time.Second {
					t.Errorf("at a server that failed once: waited %v", got)
				}
			})
		})
	}
}

// The time that a server is to be left alone holds for a new connection to it too
// (RFC 5626 §4.5), but not for another server, nor where the application asks.
func TestServerLeftAlone(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		r.up(serverA)
		r.answer(r.register(), "500 Server Internal Error")
		wait := time.Until(r.Registration().RetryAt)
		r.sleep(10 * time.Second)
		r.down()
		r.up(serverA)
		r.silent()
		r.state(registrar.BackingOff)
		if got := r.due(); got != wait-10*time.Second {
			t.Errorf("waited %v more, of %v", got, wait)
		}
		r.answer(r.register(), "500 Server Internal Error")
		r.down()
		r.up(serverB)
		r.grant(r.register(), 600)
		r.down()
		r.up(serverA)
		r.silent()
		c := r.startRegister()
		r.grant(r.register(), 600)
		c.returns(nil)
		r.down()
		r.up(serverA) // all is forgotten
		r.register()
	})
}

// A server that fails to register us is to be left for another one (RFC 5626
// §4.2.1, RFC 3261 §21.5.4), unless it is not its fault, or it has our binding
// (RFC 5626 §4.2.2).
func TestLeave(t *testing.T) {
	for status, want := range map[string]bool{
		"408 Request Timeout": true, "500 Server Internal Error": true, "503 Service Unavailable": true, "504 Server Time-out": true, "": true,
		"404 Not Found": false, "480 Temporarily Unavailable": false, "403 Forbidden": false, "603 Decline": false,
	} {
		t.Run(status, func(t *testing.T) {
			fail := func(p *pair) {
				req := p.register(p.one)
				if status == "" {
					p.sleep(timerF)
				} else {
					p.answerOn(p.one, req, status, "Retry-After: 120")
				}
			}
			runPair(t, defaults(), func(p *pair) {
				p.upOne()
				fail(p)
				switch {
				case !want && len(p.left) > 0, want && len(p.left) != 1:
					t.Errorf("left %v", p.left)
				case want && status != "" && p.left[0] != serverA+" 2m0s":
					t.Errorf("left %v", p.left)
				}
			})
			runPair(t, defaults(), func(p *pair) {
				p.upOne()
				p.grant(p.one, p.register(p.one))
				p.dueOn(1)
				fail(p)
				if len(p.left) > 0 {
					t.Errorf("left %v with a binding there", p.left)
				}
			})
		})
	}
}

// Flow-Timer is each flow's own (RFC 5626 §4.4).
func TestFlowTimerOfEachFlow(t *testing.T) {
	runPair(t, defaults(), func(p *pair) {
		p.upOne()
		p.upTwo()
		p.grant(p.one, p.register(p.one), "Flow-Timer: 120")
		p.grant(p.two, p.register(p.two), "Flow-Timer: 30")
		p.dueOn(1)
		p.grant(p.one, p.register(p.one))
		if d := cmp.Diff([]string{serverA + " 2m0s", serverB + " 30s", serverA + " 0s"}, p.timers); d != "" {
			t.Errorf("(-want +got): %s", d)
		}
	})
}

// Unregister takes our bindings off over their own flows, or asks for all to be
// removed over one; "*" has no instance with it (RFC 5626 §4.2.3).
func TestUnregisterTwoFlows(t *testing.T) {
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprint(all), func(t *testing.T) {
			runPair(t, defaults(), func(p *pair) {
				p.both()
				c := p.start(func() error { return p.Unregister(context.Background(), all) })
				for _, f := range []*flow{p.one, p.two} {
					req := p.request(f)
					want := fmt.Sprintf("<%s>;reg-id=%s;+sip.instance=\"<%s>\";expires=0", contact, f.regID(), instance)
					if all && f == p.one {
						want = "*"
					}
					if got := req.Header("Contact"); got != want || req.Header("Expires") != "0" {
						t.Errorf("Contact %s, want %s", got, want)
					}
					c.runs()
					p.answerOn(f, req, "200 OK")
				}
				c.returns(nil)
				p.states(registrar.Unregistered, registrar.Unregistered)
				p.happened("unregistered", "unregistered")
			})
		})
	}
	t.Run("one stands by", func(t *testing.T) {
		runPair(t, defaults(), func(p *pair) {
			p.upOne()
			p.upTwo()
			p.grantPlain(p.one, p.register(p.one), p.one.listed(600))
			c := p.start(func() error { return p.Unregister(context.Background(), true) })
			p.answerOn(p.one, p.request(p.one), "200 OK")
			c.returns(nil)
			p.silent(p.two)
			p.states(registrar.Unregistered, registrar.Unregistered)
		})
	})
}

// Register returns with the first flow that is registered, and with the failures
// when none is.
func TestRegisterTwoFlows(t *testing.T) {
	o := defaults()
	o.Auto = false
	t.Run("registered", func(t *testing.T) {
		runPair(t, o, func(p *pair) {
			p.upTwo()
			c := p.start(func() error { return p.Register(context.Background()) })
			p.grant(p.two, p.register(p.two))
			c.returns(nil)
			p.upOne()
			p.grant(p.one, p.register(p.one)) // goes on in the background
		})
	})
	t.Run("failed", func(t *testing.T) {
		runPair(t, o, func(p *pair) {
			p.upOne()
			p.upTwo()
			c := p.start(func() error { return p.Register(context.Background()) })
			for _, f := range []*flow{p.one, p.two, p.one} { // whichever asks first
				f.mu.Lock()
				n := len(f.sent)
				f.mu.Unlock()
				if n > 0 {
					c.runs()
					p.answerOn(f, p.register(f), "503 Service Unavailable")
				}
			}
			c.returns(sip.StatusServiceUnavailable)
		})
	})
	t.Run("one has no connection", func(t *testing.T) {
		runPair(t, o, func(p *pair) {
			p.upTwo()
			c := p.start(func() error { return p.Register(context.Background()) })
			p.answerOn(p.two, p.register(p.two), "500 Server Internal Error")
			c.returns(sip.StatusServerInternalError)
			p.states(registrar.Waiting, registrar.BackingOff)
		})
	})
	t.Run("context", func(t *testing.T) {
		runPair(t, o, func(p *pair) {
			ctx, cancel := context.WithCancel(context.Background())
			c := p.start(func() error { return p.Register(ctx) })
			p.sleep(time.Hour)
			c.runs()
			cancel()
			c.returns(context.Canceled)
		})
	})
}

// What comes with the bindings is handed on: the GRUU of the heaviest flow that is
// registered, of the other one when that is lost; Service-Routes are each flow's.
func TestHandedOnOfTwoFlows(t *testing.T) {
	const other = "sip:alice@example.com;gr=other"
	runPair(t, defaults(), func(p *pair) {
		p.upOne()
		p.upTwo()
		gruu := func(f *flow, uri string) {
			p.answerOn(f, p.register(f), "200 OK", outbound, "Contact: "+f.listed(600)+`;pub-gruu="`+uri+`"`,
				"Service-Route: <sip:token+"+f.regID()+"/==@edge.example.com;lr>")
		}
		sends := func(when string, f *flow, contact string) {
			t.Helper()
			p.core.Lock()
			if got := p.core.ContactFor(false).URI.String(); got != contact {
				t.Errorf("%s: Contact %s, want %s", when, got, contact)
			}
			p.core.Send(&core.Outgoing{Request: sip.NewRequest(sip.MESSAGE, uri("sip:bob@example.com"))})
			p.core.Unlock()
			synctest.Wait()
			f.mu.Lock()
			defer f.mu.Unlock()
			if sent := strings.Join(f.sent, ""); !strings.HasPrefix(sent, "MESSAGE ") || !strings.Contains(sent, "Route: <sip:token+"+f.regID()+"/==@edge.example.com;lr>\r\n") {
				t.Errorf("%s: sent over %s:\n%s", when, f.server, sent)
			}
			f.sent = nil
		}
		gruu(p.one, pub)
		gruu(p.two, other)
		sends("both", p.one, pub)
		p.lose(p.one)
		sends("one lost", p.two, other)
		p.upOne()
		p.silent(p.two)
		if req := p.register(p.one); req.HasHeader("Route") {
			t.Errorf("REGISTER goes by %s", req.Header("Route"))
		}
		sends("not registered again yet", p.two, other)
	})
}

// A flow whose binding has lapsed gives way to the other one.
func TestLapsedFlowGivesWay(t *testing.T) {
	runPair(t, defaults(), func(p *pair) {
		p.upOne()
		p.upTwo()
		p.grant(p.one, p.register(p.one))
		p.answerOn(p.two, p.register(p.two), "200 OK", outbound, "Contact: "+p.two.listed(86400))
		flowNow := func() core.Flow {
			p.core.Lock()
			defer p.core.Unlock()
			f, _, _ := p.core.ReadyFlow()
			return f
		}
		if flowNow() != core.Flow(p.one) {
			t.Error("the heavier one does not go first")
		}
		p.dueOn(1)
		p.answerOn(p.one, p.register(p.one), "404 Not Found", "Retry-After: 600")
		if flowNow() != core.Flow(p.one) {
			t.Error("its binding is there until it lapses")
		}
		p.sleep(time.Until(p.Registrations()[0].Expires))
		if flowNow() != core.Flow(p.two) {
			t.Error("it goes first without a binding")
		}
		p.dueOn(1)
		p.grant(p.one, p.register(p.one))
		if flowNow() != core.Flow(p.one) {
			t.Error("it does not go first again")
		}
	})
}
