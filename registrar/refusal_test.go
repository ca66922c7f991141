package registrar_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/digest"
)

// A refusal of our credentials ends the trying: no REGISTER leaves by itself, not
// over a new flow either.
func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		refuse func(r *rig, req *sip.Request)
		want   sip.StatusCode
	}{
		{"401", func(r *rig, req *sip.Request) { r.unauthorized(r.challenge(req, "n1"), "n2") }, 401},
		{"403 to credentials", func(r *rig, req *sip.Request) { r.answer(r.challenge(req, "n1"), "403 Forbidden") }, 403},
		{"403", func(r *rig, req *sip.Request) { r.answer(req, "403 Forbidden") }, 403},
		{"407", func(r *rig, req *sip.Request) {
			const challenge = `Proxy-Authenticate: Digest realm="p", nonce="n", qop="auth"`
			r.answer(req, "407 Proxy Authentication Required", challenge)
			r.answer(r.request(r.flow), "407 Proxy Authentication Required", challenge)
		}, 407},
		{"no challenge that we can answer", func(r *rig, req *sip.Request) { r.answer(req, "401 Unauthorized") }, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, defaults(), func(r *rig) {
				r.up(serverA)
				c := r.startRegister()
				tt.refuse(r, r.register())
				c.returns(tt.want)
				e := r.happened("failed")[0]
				if !errors.Is(e.Err, tt.want) || e.Registration.State != registrar.Refused || !e.Registration.RetryAt.IsZero() {
					t.Errorf("event %+v", e)
				}
				r.sleep(24 * time.Hour)
				r.silent()
				r.down()
				r.up(serverB)
				r.sleep(24 * time.Hour)
				r.silent()
				r.state(registrar.Refused)

				c = r.startRegister()
				r.grant(r.register(), 600)
				c.returns(nil)
				r.state(registrar.Registered)
			})
		})
	}
}

// A refused refresh leaves the binding until it lapses.
func TestRefreshRefused(t *testing.T) {
	registered(t, func(r *rig) {
		r.due()
		r.answer(r.register(), "403 Forbidden")
		if reg := r.Registration(); !reg.Bound() || reg.State != registrar.Refused {
			t.Errorf("%+v", reg)
		}
		r.happened("failed")
		r.sleep(time.Until(r.Registration().Expires))
		r.silent()
		r.happened("unregistered")
		r.state(registrar.Refused)
	})
}

// New credentials let a refused registration go on at once.
func TestCredentialsChanged(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		r.up(serverA)
		r.refuse()
		r.state(registrar.Refused)
		r.CredentialsChanged()
		r.grant(r.challenge(r.register(), "n3"), 600)
		r.state(registrar.Registered)
		r.CredentialsChanged() // no reason to do anything
		r.silent()
	})
}

// New credentials that come while the old ones are being refused get their try.
func TestCredentialsChangedMeanwhile(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		r.up(serverA)
		c := r.startRegister()
		req := r.challenge(r.register(), "n1")
		r.CredentialsChanged()
		r.unauthorized(req, "n2")
		c.runs()
		r.grant(r.challenge(r.register(), "n3"), 600)
		c.returns(nil)
		r.happened("registered")
	})
}

// Credentials that cannot be had are a failure, until there are others.
func TestNoCredentials(t *testing.T) {
	errVault := errors.New("vault is closed")
	ready := false
	o := defaults()
	o.core.Credentials = func(context.Context, digest.Challenge) (digest.Credentials, error) {
		if !ready {
			return digest.Credentials{}, errVault
		}
		return digest.Password("alice", "secret"), nil
	}
	run(t, o, func(r *rig) {
		r.up(serverA)
		c := r.startRegister()
		r.unauthorized(r.register(), "n1")
		c.returns(errVault)
		r.state(registrar.BackingOff)
		r.due()
		r.unauthorized(r.register(), "n2")
		r.happened("failed", "failed")
		r.CredentialsChanged() // not to what would help
		r.unauthorized(r.register(), "n2")
		if wait := time.Until(r.Registration().RetryAt); wait < 30*time.Second || wait >= time.Minute {
			t.Errorf("with others: waits for %v", wait)
		}
		r.happened("failed")
		ready = true
		r.CredentialsChanged()
		r.grant(r.challenge(r.register(), "n3"), 600)
		r.happened("registered")
	})
}

// An error of the application that is net.ErrClosed is not taken for a loss of
// our flow.
func TestCredentialsClosed(t *testing.T) {
	o := defaults()
	o.core.Credentials = func(context.Context, digest.Challenge) (digest.Credentials, error) {
		return digest.Credentials{}, net.ErrClosed
	}
	run(t, o, func(r *rig) {
		r.up(serverA)
		r.unauthorized(r.register(), "n1")
		r.state(registrar.BackingOff)
		r.due()
		r.register()
	})
}

// Never more than two attempts with credentials a minute come to nothing, whoever
// asks: Register waits for its turn.
func TestTwoTrialsAMinute(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		r.up(serverA)
		r.refuse() // at 0 s
		r.sleep(20 * time.Second)
		c := r.startRegister()
		r.refuse()
		c.returns(sip.StatusUnauthorized)

		r.sleep(10 * time.Second)
		c = r.startRegister()
		r.silent()
		r.state(registrar.BackingOff)
		if got := r.due(); got != 30*time.Second { // at 60 s
			t.Errorf("held for %v", got)
		}
		c.runs()
		r.refuse()
		c.returns(sip.StatusUnauthorized)
		r.state(registrar.Refused)

		r.CredentialsChanged()
		r.silent()
		if got := r.due(); got != 20*time.Second { // at 80 s
			t.Errorf("held for %v", got)
		}
		r.grant(r.challenge(r.register(), "n3"), 600)

		r.due()
		r.answer(r.register(), "503 Service Unavailable", "Retry-After: 1") // preemptive
		if got := r.due(); got != time.Second {
			t.Errorf("after a success: held for %v", got)
		}
	})
}

// A server that hangs up on wrong credentials does not get more of them for that.
func TestTwoTrialsOverFlows(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		for range 2 {
			r.up(serverA)
			r.challenge(r.register(), "n")
			r.down()
			r.sleep(2 * time.Second)
		}
		c := r.startRegister()
		r.up(serverA)
		r.silent()
		r.state(registrar.BackingOff)
		r.down()
		r.sleep(2 * time.Second)
		r.up(serverB)
		if got := r.since() + r.due(); got != time.Minute {
			t.Errorf("third one at %v", got)
		}
		r.grant(r.challenge(r.register(), "n"), 600)
		c.returns(nil)
	})
}

// Nor does leaving a server for another free credentials whose fate is unknown.
func TestTwoTrialsOverServers(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		for _, server := range []string{serverA, serverB} {
			r.up(server)
			r.challenge(r.register(), "n")
		}
		r.up(serverA)
		r.silent()
		if got := r.due(); got != time.Minute {
			t.Errorf("held for %v", got)
		}
		r.register()
	})
}

// Each attempt counts, also the one with a nonce that has served its time, and
// credentials for a proxy.
func TestTrialsCounted(t *testing.T) {
	t.Run("old nonce, new nonce", func(t *testing.T) {
		run(t, defaults(), func(r *rig) {
			r.up(serverA)
			r.grant(r.challenge(r.register(), "n1"), 600)
			r.due()
			r.answer(r.challenge(r.register(), "n2"), "503 Service Unavailable", "Retry-After: 1")
			if got := r.due(); got != time.Minute {
				t.Errorf("held for %v", got)
			}
		})
	})
	t.Run("proxy", func(t *testing.T) {
		run(t, defaults(), func(r *rig) {
			r.up(serverA)
			r.answer(r.register(), "407 Proxy Authentication Required", `Proxy-Authenticate: Digest realm="p", nonce="n", qop="auth"`)
			for _, want := range []time.Duration{time.Second, 59 * time.Second} {
				req := r.register()
				if !req.HasHeader("Proxy-Authorization") {
					t.Errorf("no credentials in\n%v", req)
				}
				r.answer(req, "503 Service Unavailable", "Retry-After: 1")
				if got := r.due(); got != want {
					t.Errorf("held for %v, want %v", got, want)
				}
			}
		})
	})
}

// What does not mean our credentials is tried again for ever.
func TestRetriedForEver(t *testing.T) {
	for _, status := range []string{
		"300 Multiple Choices", "404 Not Found", "405 Method Not Allowed", "408 Request Timeout", "430 Flow Failed", "480 Temporarily Unavailable",
		"500 Server Internal Error", "503 Service Unavailable", "603 Decline", "",
	} {
		t.Run(status, func(t *testing.T) {
			run(t, defaults(), func(r *rig) {
				r.up(serverA)
				fail := func() {
					req := r.register()
					if status == "" { // no answer
						r.sleep(timerF - 1)
						if got := r.Registration().State; got == registrar.BackingOff {
							t.Errorf("%v: %v before Timer F", r.since(), got)
						}
						r.sleep(1)
					} else {
						r.answer(req, status)
					}
				}
				fail()
				e := r.happened("failed")[0]
				if status == "" != (errors.As(e.Err, new(*sip.TimeoutError))) || e.Registration.State != registrar.BackingOff {
					t.Errorf("event %+v", e)
				}
				for _, most := range []time.Duration{60, 120, 240, 480, 960, 1800, 1800, 1800} {
					most *= time.Second
					if got := r.due(); got < most/2 || got >= most {
						t.Errorf("waited %v, want [%v, %v)", got, most/2, most)
					}
					fail()
				}
				r.due()
				r.grant(r.register(), 600)
				r.due()
				fail()
				if got := r.due(); got < 30*time.Second || got >= time.Minute {
					t.Errorf("after a success: waited %v", got)
				}
			})
		})
	}
}

// Retry-After rules, up to an hour, over a new flow to that server too; but not
// where the application or another server is concerned.
func TestRetryAfter(t *testing.T) {
	for _, tt := range []struct {
		field string
		want  time.Duration
	}{
		{"Retry-After: 7", 7 * time.Second},
		{"Retry-After: 1800 (maintenance)", 30 * time.Minute},
		{"Retry-After: 86400", time.Hour},
	} {
		t.Run(tt.field, func(t *testing.T) {
			run(t, defaults(), func(r *rig) {
				r.up(serverA)
				r.answer(r.register(), "503 Service Unavailable", tt.field)
				if got := r.due(); got != tt.want {
					t.Errorf("waited %v", got)
				}
				r.answer(r.register(), "404 Not Found", tt.field)
				r.sleep(tt.want / 2)
				r.down()
				r.up(serverA)
				if got := r.due(); got != tt.want-tt.want/2 {
					t.Errorf("over a new flow: waited %v more", got)
				}
				r.answer(r.register(), "503 Service Unavailable", tt.field)
				r.down()
				r.up(serverB)
				r.answer(r.register(), "503 Service Unavailable", tt.field)
				r.startRegister()
				r.register()
			})
		})
	}
}

// Retry-After: 0 means at once (RFC 5626 §4.2.1), but not for ever.
func TestRetryAfterZero(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		r.up(serverA)
		r.answer(r.register(), "503 Service Unavailable", "Retry-After: 0")
		r.answer(r.register(), "503 Service Unavailable", "Retry-After: 0")
		if got := r.due(); got < time.Minute || got >= 2*time.Minute {
			t.Errorf("waited %v", got)
		}
	})
}

// Register goes on at once where a failure waits for its time.
func TestRegisterBackingOff(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		r.up(serverA)
		r.answer(r.register(), "404 Not Found")
		c := r.startRegister()
		r.grant(r.register(), 600)
		c.returns(nil)
		r.sleep(61 * time.Second) // the time of the next attempt
		r.silent()
	})
}

// The registrar's logger may do what it likes: it is not called with the core
// locked.
func TestLogger(t *testing.T) {
	var r *rig
	var states []registrar.State
	o := defaults()
	o.Logger = logger(func(string) {
		states = append(states, r.Registration().State)
	})
	run(t, o, func(rig *rig) {
		r = rig
		r.up(serverA)
		r.answer(r.register(), "404 Not Found")
		synctest.Wait()
		if len(states) != 1 || states[0] != registrar.BackingOff {
			t.Errorf("logged in states %v", states)
		}
	})
}
