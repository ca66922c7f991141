package core_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/dialog"
	"github.com/gosipua/sipua/sip/digest"
)

func password() digest.Credentials { return digest.Password("alice", "secret") }

// withPassword are options that answer challenges.
func withPassword() core.Options {
	o := options()
	o.Credentials = func(context.Context, digest.Challenge) (digest.Credentials, error) { return password(), nil }
	return o
}

func challenge(realm, nonce string, proxy bool) digest.Challenge {
	return digest.Challenge{Realm: realm, Nonce: nonce, Algorithm: digest.SHA256, QOP: []string{"auth"}, Proxy: proxy}
}

func stale(ch digest.Challenge) digest.Challenge {
	ch.Stale = true
	return ch
}

// challenges answers req with these challenges: 401, or 407 if the first is a
// proxy's.
func (r *rig) challenge(req *sip.Request, chs ...digest.Challenge) {
	r.Helper()
	code := sip.StatusUnauthorized
	if chs[0].Proxy {
		code = sip.StatusProxyAuthenticationRequired
	}
	var fields []string
	for _, ch := range chs {
		f := ch.Field()
		fields = append(fields, f.Name+": "+f.Value)
	}
	r.answer(req, code, fields...)
	if req.Method() == sip.INVITE {
		r.request(sip.ACK)
	}
}

// authorized checks that req answers exactly these challenges, with the nonce
// count each.
func (r *rig) authorized(req *sip.Request, nc uint32, chs ...digest.Challenge) {
	r.Helper()
	got := len(req.Headers("Authorization")) + len(req.Headers("Proxy-Authorization"))
	if got != len(chs) {
		r.Errorf("%d credentials, want %d:\n%s", got, len(chs), req.AppendTo(nil))
	}
	for _, ch := range chs {
		a, ok := digest.Find(req, ch.Proxy, ch.Realm)
		if !ok {
			r.Errorf("no credentials for %s", ch.Realm)
			continue
		}
		if err := a.Verify(ch, password(), digest.InputOf("", req)); err != nil {
			r.Errorf("%s: %v", ch.Realm, err)
		}
		if a.NC != nc {
			r.Errorf("%s: nc %d, want %d", ch.Realm, a.NC, nc)
		}
	}
}

func TestChallengeAnswered(t *testing.T) {
	for _, m := range []sip.Method{sip.REGISTER, sip.MESSAGE, sip.INVITE} {
		for _, proxy := range []bool{false, true} {
			run(t, withPassword(), func(r *rig) {
				s := r.send(m, nil)
				first := r.request(m)
				r.authorized(first, 0)
				ch := challenge("example.com", "n1", proxy)
				r.challenge(first, ch)
				second := r.request(m)
				r.authorized(second, 1, ch)
				if second.CSeq().Seq != first.CSeq().Seq+1 || second.CallID() != first.CallID() ||
					second.From() != first.From() || second.Via().Branch() == first.Via().Branch() {
					t.Errorf("sent again as:\n%s", second.AppendTo(nil))
				}
				r.answer(second, 200)
				s.got(200)
				if s.Sent().CSeq() != second.CSeq() {
					t.Errorf("Sent is %v", s.Sent().CSeq())
				}
			})
		}
	}
}

func TestCSeqOfTheOwner(t *testing.T) {
	run(t, withPassword(), func(r *rig) {
		_, d := r.called()
		r.request(sip.ACK)
		ch := challenge("example.com", "n1", false)
		// The realm has to be trusted for a challenge in a dialog.
		reg := r.send(sip.REGISTER, func(s *sending) { s.NextSeq = func() uint32 { return 4711 } })
		r.challenge(r.request(sip.REGISTER), ch)
		req := r.request(sip.REGISTER)
		if req.CSeq().Seq != 4711 {
			t.Errorf("CSeq %v, want the owner's", req.CSeq())
		}
		r.answer(req, 200)
		reg.got(200)

		r.send("", func(s *sending) {
			r.locked(func() {
				s.Request = d.NewRequest(sip.INFO) // 2
				d.NextSeq()                        // 3, of another request meanwhile
			})
			s.Dialog = d
		})
		info := r.request(sip.INFO)
		update := r.send("", func(s *sending) { // moves the far end, before the challenge
			r.locked(func() { s.Request = d.NewRequest(sip.UPDATE) }) // 4
			s.Dialog = d
		})
		r.answer(update.Sent(), 200, "Contact: <sip:bob@new.invalid>")
		r.request(sip.UPDATE)
		r.challenge(info, challenge("example.com", "n2", false))
		info = r.request(sip.INFO)
		if got := info.CSeq().Seq; got != 5 {
			t.Errorf("CSeq %d, want the dialog's next, 5", got)
		}
		if got := info.URIText(); got != "sip:bob@new.invalid" || !strings.Contains(info.Header("Authorization"), `uri="sip:bob@new.invalid"`) {
			t.Errorf("the INFO goes again to %s with %s", got, info.Header("Authorization"))
		}
	})
}

// 401 and 407 in turn, and several realms at once: one credential of each in one
// retry, and none is lost with the next.
func TestSeveralRealms(t *testing.T) {
	run(t, withPassword(), func(r *rig) {
		s := r.send(sip.INVITE, nil)
		p1, p2 := challenge("p1", "a", true), challenge("p2", "b", true)
		r.challenge(r.request(sip.INVITE), p1, p2)
		req := r.request(sip.INVITE)
		r.authorized(req, 1, p1, p2)
		u := challenge("u", "c", false)
		r.challenge(req, u)
		req = r.request(sip.INVITE)
		if got := len(req.Headers("Proxy-Authorization")); got != 2 {
			t.Errorf("%d proxy credentials in the third attempt", got)
		}
		a, _ := digest.Find(req, true, "p1")
		if a.NC != 2 {
			t.Errorf("nc %d for the same nonce in another request, want 2", a.NC)
		}
		if _, ok := digest.Find(req, false, "u"); !ok {
			t.Error("the 401 is not answered")
		}
		r.answer(req, 200)
		s.got(200)
	})
}

// A realm whose answer was good, and had to be given again because of another
// realm, may ask for a new nonce once: its server may take each only once.
func TestNonceUsedOnce(t *testing.T) {
	run(t, withPassword(), func(r *rig) {
		s := r.send(sip.MESSAGE, nil)
		p, u, p2 := challenge("p", "1", true), challenge("u", "2", false), challenge("p", "3", true)
		r.challenge(r.request(sip.MESSAGE), p)
		r.challenge(r.request(sip.MESSAGE), u)
		r.challenge(r.request(sip.MESSAGE), p2)
		req := r.request(sip.MESSAGE)
		if a, _ := digest.Find(req, true, "p"); a.Nonce != "3" || len(req.Headers("Proxy-Authorization")) != 1 {
			t.Errorf("sent:\n%v", req)
		}
		r.challenge(req, challenge("p", "4", true))
		s.got(407)
	})
}

func TestServersOrder(t *testing.T) {
	o := withPassword()
	o.Policy.Algorithms = []digest.Algorithm{digest.SHA256, digest.MD5}
	run(t, o, func(r *rig) {
		r.send(sip.REGISTER, nil)
		unknown, sha, md5 := challenge("x", "1", false), challenge("x", "2", false), challenge("x", "3", false)
		unknown.Algorithm, md5.Algorithm = "SHA-999", digest.MD5
		r.challenge(r.request(sip.REGISTER), unknown, sha, md5)
		req := r.request(sip.REGISTER)
		r.authorized(req, 1, sha)
		r.answer(req, 200)
		s := r.send(sip.REGISTER, nil)
		r.challenge(r.request(sip.REGISTER), md5) // weaker than before
		s.got(401)
		r.nothing()
	})
}

// An HA1 fits one algorithm only: it decides among those offered.
func TestHA1(t *testing.T) {
	o := options()
	o.Credentials = func(context.Context, digest.Challenge) (digest.Credentials, error) {
		return digest.HA1("alice", "x", "ad0e4d19d2a5c9f5b3ea1c1aa1e1b1d0"), nil
	}
	run(t, o, func(r *rig) {
		s := r.send(sip.REGISTER, nil)
		sha, md5 := challenge("x", "1", false), challenge("x", "2", false)
		md5.Algorithm = digest.MD5
		r.challenge(r.request(sip.REGISTER), sha, md5)
		if a, ok := digest.Find(r.request(sip.REGISTER), false, "x"); !ok || a.Algorithm != digest.MD5 {
			t.Errorf("answered with %v", a.Algorithm)
		}
		s.got()
		s = r.send(sip.REGISTER, nil)
		r.challenge(r.request(sip.REGISTER), challenge("y", "1", false))
		s.got(401)
	})
}

// refusals of credentials: what follows a first answer, and how many requests
// there are in all.
func TestRefused(t *testing.T) {
	ch := challenge
	for _, tt := range []struct {
		name string
		then []digest.Challenge // one by one, in answer to each attempt with credentials
		want int                // attempts
	}{
		{"the same nonce", []digest.Challenge{ch("x", "1", false)}, 2},
		{"the same nonce, stale", []digest.Challenge{stale(ch("x", "1", false))}, 3},
		{"a new nonce", []digest.Challenge{ch("x", "2", false)}, 2},
		{"a new nonce, stale", []digest.Challenge{stale(ch("x", "2", false))}, 3},
		{"stale for ever", []digest.Challenge{stale(ch("x", "2", false)), stale(ch("x", "3", false)), stale(ch("x", "4", false))}, 3},
		{"one realm after the other", []digest.Challenge{
			ch("p1", "2", true), ch("p2", "3", true), ch("p3", "4", true), ch("p4", "5", true), ch("p5", "6", true)}, 5},
		{"the same realm at a proxy", []digest.Challenge{ch("x", "2", true)}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, withPassword(), func(r *rig) {
				s := r.send(sip.REGISTER, nil)
				attempts := 1
				r.challenge(r.request(sip.REGISTER), ch("x", "1", false))
				for _, next := range tt.then {
					if len(r.flow.sent) == 0 {
						break
					}
					attempts++
					r.challenge(r.request(sip.REGISTER), next)
				}
				if len(r.flow.sent) > 0 {
					attempts++
					r.answer(r.request(sip.REGISTER), 403)
					s.got(403)
				} else if len(s.responses) != 1 {
					t.Errorf("%d final responses", len(s.responses))
				}
				if attempts != tt.want {
					t.Errorf("%d attempts, want %d", attempts, tt.want)
				}
			})
		})
	}
}

func TestNoCredentials(t *testing.T) {
	failure := errors.New("keyring is locked")
	for _, tt := range []struct {
		name string
		fn   func(context.Context, digest.Challenge) (digest.Credentials, error)
		err  error
	}{
		{"none configured", nil, nil},
		{"none for this challenge", func(context.Context, digest.Challenge) (digest.Credentials, error) {
			return digest.Credentials{}, nil
		}, nil},
		{"an error", func(context.Context, digest.Challenge) (digest.Credentials, error) {
			return digest.Credentials{}, failure
		}, failure},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := options()
			o.Credentials = tt.fn
			run(t, o, func(r *rig) {
				s := r.send(sip.REGISTER, nil)
				r.challenge(r.request(sip.REGISTER), challenge("x", "1", false))
				if tt.err == nil {
					s.got(401)
				} else {
					s.got()
				}
				if !errors.Is(s.err, tt.err) {
					t.Errorf("error %v, want %v", s.err, tt.err)
				}
				r.nothing()
			})
		})
	}
}

// Credentials may take their time: the core goes on meanwhile, and a request that
// ends in the meantime ends the asking.
func TestCredentialsBlock(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(r *rig, s *sending)
		err  error
	}{
		{"Cancel", func(_ *rig, s *sending) { s.cancel() }, context.Canceled},
		{"Close", func(r *rig, _ *sending) { r.Close(nil) }, net.ErrClosed},
		{"Abandon", func(r *rig, s *sending) { r.locked(s.Abandon) }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var ended time.Duration
			o := options()
			begun := time.Now()
			o.Credentials = func(ctx context.Context, _ digest.Challenge) (digest.Credentials, error) {
				<-ctx.Done()
				ended = time.Since(begun)
				return password(), nil
			}
			run(t, o, func(r *rig) {
				begun = time.Now()
				s := r.send(sip.INVITE, nil)
				r.challenge(r.request(sip.INVITE), challenge("x", "1", false))
				r.receive(incoming(sip.OPTIONS, "o"))
				r.response(200)
				r.sleep(time.Minute)
				tt.end(r, s)
				r.nothing()
				if ended != time.Minute || !errors.Is(s.err, tt.err) {
					t.Errorf("asking ended at %v, error %v", ended, s.err)
				}
			})
		})
	}
}

func TestFlowLostWhileAsking(t *testing.T) {
	var gate chan struct{}
	o := options()
	o.Credentials = func(context.Context, digest.Challenge) (digest.Credentials, error) {
		<-gate
		return password(), nil
	}
	run(t, o, func(r *rig) {
		gate = make(chan struct{})
		s := r.send(sip.INVITE, nil)
		ch := challenge("x", "1", false)
		r.challenge(r.request(sip.INVITE), ch)
		r.down()
		close(gate)
		synctest.Wait()
		r.up(2, server)
		r.authorized(r.request(sip.INVITE), 1, ch) // the same server: its nonce holds
		s.got()

		gate = make(chan struct{})
		s = r.send(sip.MESSAGE, nil)
		r.challenge(r.request(sip.MESSAGE), challenge("x", "2", false))
		r.down()
		close(gate)
		synctest.Wait()
		r.up(3, "wss://other.example.com")
		r.authorized(r.request(sip.MESSAGE), 0) // another: it has to ask itself
		s.got()
	})
}

// digest leaks: who is answered.
func TestTrust(t *testing.T) {
	register := func(r *rig, realm string) {
		r.send(sip.REGISTER, nil)
		r.challenge(r.request(sip.REGISTER), challenge(realm, "r", false))
		r.answer(r.request(sip.REGISTER), 200)
	}
	forbidden := func(r *rig, realm string) {
		r.send(sip.MESSAGE, nil)
		r.challenge(r.request(sip.MESSAGE), challenge(realm, "f", false))
		r.answer(r.request(sip.MESSAGE), 403)
	}
	initial := func(r *rig, realm string) bool {
		s := r.send(sip.INVITE, nil)
		r.challenge(r.request(sip.INVITE), challenge(realm, "i", false))
		if len(r.flow.sent) == 0 {
			s.got(401)
			return false
		}
		req := r.request(sip.INVITE)
		r.answer(req, 486)
		r.request(sip.ACK)
		return true
	}
	within := func(r *rig, d *dialog.Dialog, realm string) bool {
		s := r.send("", func(s *sending) {
			r.locked(func() { s.Request = d.NewRequest(sip.INFO) })
			s.Dialog = d
		})
		r.challenge(r.request(sip.INFO), challenge(realm, "d", false))
		if len(r.flow.sent) == 0 {
			s.got(401)
			return false
		}
		r.answer(r.request(sip.INFO), 200)
		return true
	}
	for _, tt := range []struct {
		name string
		set  func(o *core.Options)
		try  func(r *rig) bool
		want bool
	}{
		{"initial, nothing proven", nil, func(r *rig) bool { return initial(r, "x") }, true},
		{"initial, realm proven", nil, func(r *rig) bool { register(r, "x"); return initial(r, "x") }, true},
		{"initial, another realm", nil, func(r *rig) bool { register(r, "x"); return initial(r, "y") }, false},
		{"initial, another realm than accepted", nil, func(r *rig) bool { initial(r, "x"); return initial(r, "y") }, false},
		{"initial, the first realm said 403", nil, func(r *rig) bool { forbidden(r, "x"); return initial(r, "y") }, true},
		{"initial, configured", func(o *core.Options) { o.Realm = "x" }, func(r *rig) bool { return initial(r, "x") }, true},
		{"initial, not configured", func(o *core.Options) { o.Realm = "x" }, func(r *rig) bool { return initial(r, "y") }, false},
		{"our dialog, nothing proven", nil, func(r *rig) bool {
			_, d := r.called()
			r.request(sip.ACK)
			return within(r, d, "x")
		}, false},
		{"our dialog, accepted", nil, func(r *rig) bool {
			initial(r, "x")
			_, d := r.called()
			r.request(sip.ACK)
			return within(r, d, "x")
		}, true},
		{"our dialog, proven", nil, func(r *rig) bool {
			register(r, "x")
			_, d := r.called()
			r.request(sip.ACK)
			return within(r, d, "x")
		}, true},
		{"their dialog, proven", nil, func(r *rig) bool {
			register(r, "x")
			d, _, _ := r.accepted()
			return within(r, d, "x")
		}, false},
		{"their dialog, configured", func(o *core.Options) { o.Realm = "x" }, func(r *rig) bool {
			d, _, _ := r.accepted()
			return within(r, d, "x")
		}, false},
		{"their dialog, allowed", func(o *core.Options) { o.AnswerChallengesInIncomingDialogs = true }, func(r *rig) bool {
			register(r, "x")
			d, _, _ := r.accepted()
			return within(r, d, "x")
		}, true},
		{"new credentials forget", nil, func(r *rig) bool {
			register(r, "x")
			r.locked(func() {
				r.SetCredentials(func(context.Context, digest.Challenge) (digest.Credentials, error) { return password(), nil }, nil)
			})
			return initial(r, "y")
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := withPassword()
			if tt.set != nil {
				tt.set(&o)
			}
			run(t, o, func(r *rig) {
				if got := tt.try(r); got != tt.want {
					t.Errorf("answered: %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// A registrar that changes its realm each time is believed for the newest only.
func TestRealmsAreForgotten(t *testing.T) {
	run(t, withPassword(), func(r *rig) {
		for i := range 17 {
			r.send(sip.REGISTER, nil)
			r.challenge(r.request(sip.REGISTER), challenge(fmt.Sprint("x", i), "r", false))
			r.answer(r.request(sip.REGISTER), 200)
		}
		s := r.send(sip.MESSAGE, nil)
		r.challenge(r.request(sip.MESSAGE), challenge("x0", "m", false))
		s.got(401)
		r.send(sip.MESSAGE, nil)
		ch := challenge("x1", "m", false)
		r.challenge(r.request(sip.MESSAGE), ch)
		r.authorized(r.request(sip.MESSAGE), 1, ch)
	})
}

// Unasked: REGISTER with rising nc, everything with what the proxy of this server
// asked for, and nothing to anybody else.
func TestPreemptive(t *testing.T) {
	run(t, withPassword(), func(r *rig) {
		u, p := challenge("u", "1", false), challenge("p", "2", true)
		r.send(sip.REGISTER, nil)
		r.challenge(r.request(sip.REGISTER), u, p)
		req := r.request(sip.REGISTER)
		r.authorized(req, 1, u, p)
		next := u
		next.Nonce = "3"
		r.answer(req, 200, `Authentication-Info: nextnonce="3"`)

		r.send(sip.REGISTER, func(s *sending) { s.Preemptive = true })
		req = r.request(sip.REGISTER)
		if a, _ := digest.Find(req, false, "u"); a.Nonce != "3" || a.NC != 1 {
			t.Errorf("nonce %q, nc %d after nextnonce", a.Nonce, a.NC)
		}
		if a, _ := digest.Find(req, true, "p"); a.NC != 2 {
			t.Errorf("the proxy gets nc %d, want 2", a.NC)
		}
		r.answer(req, 200)
		r.send(sip.PUBLISH, func(s *sending) { s.Preemptive = true })
		if got := len(r.request(sip.PUBLISH).Headers("Authorization")); got != 1 {
			t.Errorf("%d credentials in PUBLISH", got)
		}
		for _, m := range []sip.Method{sip.REGISTER, sip.INVITE, sip.MESSAGE} {
			r.send(m, func(s *sending) { s.Preemptive = m != sip.REGISTER }) // of no effect elsewhere
			req = r.request(m)
			if req.HasHeader("Authorization") || !req.HasHeader("Proxy-Authorization") {
				t.Errorf("unasked in %s:\n%s", m, req.AppendTo(nil))
			}
		}
		d, _, _ := r.accepted()
		r.send("", func(s *sending) {
			r.locked(func() { s.Request = d.NewRequest(sip.BYE) })
			s.Dialog = d
		})
		r.authorized(r.request(sip.BYE), 0)
		r.up(2, "wss://other.example.com")
		r.send(sip.INVITE, nil)
		r.authorized(r.request(sip.INVITE), 0)
	})
}

// A nonce that went unasked and is refused with another is no wrong password; the
// second refusal is.
func TestPreemptiveRefused(t *testing.T) {
	run(t, withPassword(), func(r *rig) {
		r.send(sip.REGISTER, nil)
		r.challenge(r.request(sip.REGISTER), challenge("x", "1", false))
		r.answer(r.request(sip.REGISTER), 200)
		s := r.send(sip.REGISTER, func(s *sending) { s.Preemptive = true })
		req := r.request(sip.REGISTER)
		r.authorized(req, 2, challenge("x", "1", false))
		r.challenge(req, challenge("x", "2", false))
		req = r.request(sip.REGISTER)
		r.authorized(req, 1, challenge("x", "2", false))
		r.challenge(req, challenge("x", "3", false))
		s.got(401)
		r.send(sip.REGISTER, func(s *sending) { s.Preemptive = true })
		req = r.request(sip.REGISTER)
		r.authorized(req, 0)

		r.challenge(req, challenge("x", "4", false))
		r.answer(r.request(sip.REGISTER), 200)
		s = r.send(sip.REGISTER, func(s *sending) { s.Preemptive = true })
		req = r.request(sip.REGISTER)
		r.authorized(req, 2, challenge("x", "4", false))
		r.challenge(req, challenge("x", "4", false)) // the same nonce: it is the password
		s.got(401)
		r.nothing()
	})
}

// The usage's own Authorization stays, until it is refused.
func TestOwnAuthorization(t *testing.T) {
	run(t, withPassword(), func(r *rig) {
		r.send(sip.REGISTER, func(s *sending) {
			if err := s.Request.AddHeader("Authorization", "Custom abc"); err != nil {
				t.Fatal(err)
			}
		})
		req := r.request(sip.REGISTER)
		if got := req.Header("Authorization"); got != "Custom abc" {
			t.Errorf("Authorization %q", got)
		}
		ch := challenge("x", "1", false)
		r.challenge(req, ch)
		r.authorized(r.request(sip.REGISTER), 1, ch)
	})
}

func TestToken(t *testing.T) {
	asked := 0
	o := options()
	o.Token = func(context.Context) (digest.Credentials, error) {
		asked++
		return digest.Bearer("token" + strings.Repeat("!", asked)[1:]), nil
	}
	bearer := digest.Challenge{Scheme: "Bearer", Realm: "x"}
	run(t, o, func(r *rig) {
		s := r.send(sip.REGISTER, func(s *sending) { s.Preemptive = true })
		req := r.request(sip.REGISTER)
		if got := req.Header("Authorization"); got != "Bearer token" {
			t.Fatalf("Authorization %q", got)
		}
		r.challenge(req, bearer) // expired: asked afresh
		req = r.request(sip.REGISTER)
		if got := req.Header("Authorization"); got != "Bearer token!" || asked != 2 {
			t.Errorf("Authorization %q", got)
		}
		r.challenge(req, bearer) // refused
		s.got(401)

		s = r.send(sip.INVITE, nil) // nobody has proven to be our server
		req = r.request(sip.INVITE)
		r.authorized(req, 0)
		r.challenge(req, bearer)
		s.got(401)
		r.nothing()
	})
}

func TestTokenProven(t *testing.T) {
	o := options()
	o.Token = func(context.Context) (digest.Credentials, error) { return digest.Bearer("t"), nil }
	bearer := digest.Challenge{Scheme: "Bearer", Realm: "x"}
	run(t, o, func(r *rig) {
		r.send(sip.REGISTER, nil)
		r.challenge(r.request(sip.REGISTER), bearer)
		r.answer(r.request(sip.REGISTER), 200)
		r.send(sip.INVITE, nil)
		r.challenge(r.request(sip.INVITE), bearer)
		if got := r.request(sip.INVITE).Header("Authorization"); got != "Bearer t" {
			t.Errorf("Authorization %q", got)
		}
	})
}

func TestTokenFails(t *testing.T) {
	failure := errors.New("no token server")
	o := options()
	o.Token = func(context.Context) (digest.Credentials, error) { return digest.Credentials{}, failure }
	run(t, o, func(r *rig) {
		s := r.send(sip.REGISTER, func(s *sending) { s.Preemptive = true })
		r.nothing()
		if !errors.Is(s.err, failure) {
			t.Errorf("error %v", s.err)
		}
		r.locked(func() {
			r.SetCredentials(nil, func(context.Context) (digest.Credentials, error) { return password(), nil })
		})
		s = r.send(sip.REGISTER, func(s *sending) { s.Preemptive = true })
		r.nothing()
		if !errors.Is(s.err, digest.ErrCredentials) {
			t.Errorf("a password for a token: %v", s.err)
		}
	})
}

// No secret in a trace, a log, or an error.
func TestTraceRedacts(t *testing.T) {
	var seen []string
	o := withPassword()
	o.Trace = func(e core.TraceEvent) { seen = append(seen, string(e.Data)) }
	run(t, o, func(r *rig) {
		r.send(sip.REGISTER, nil)
		r.challenge(r.request(sip.REGISTER), challenge("x", "1", false))
		a, ok := digest.Find(r.request(sip.REGISTER), false, "x")
		if !ok {
			t.Fatal("not answered")
		}
		all := strings.Join(seen, "")
		if len(seen) != 3 || !strings.Contains(all, "Authorization: Digest [redacted]") || strings.Contains(all, a.Response) {
			t.Errorf("traced:\n%s", all)
		}
	})
}
