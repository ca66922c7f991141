package registrar_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/sip"
)

// identifies checks the Contact of dialogs and the Route of initial requests.
func (r *rig) identifies(when, contact, route string) {
	r.t.Helper()
	r.core.Lock()
	got := r.core.ContactFor(false).URI.String()
	r.core.Unlock()
	if got != contact {
		r.t.Errorf("%s: Contact %s, want %s", when, got, contact)
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
		r.t.Errorf("%s: want route %q in\n%s", when, route, sent)
	}
}

// What comes with a binding is handed on.
func TestHandedOn(t *testing.T) {
	run(t, defaults(), func(r *rig) {
		const plain, route = contact + ";ob", "Route: <sip:p2.example.com;lr>"
		r.up(serverA)
		req := r.register()
		r.identifies("before", plain, "")
		r.answer(req, "200 OK", "Contact: <sip:bob@b1.invalid>, <"+contact+`>;expires=600;pub-gruu="`+pub+`";temp-gruu="`+temp+`"`,
			"Service-Route: <sip:p2.example.com;lr>", "Flow-Timer: 120")
		r.identifies("registered", pub, route)
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
		r.identifies("refreshed without", plain, "")
		r.due()
		r.grant(r.register(), 600, "Service-Route: <sip:p2.example.com;lr>")
		r.identifies("refreshed with a route", plain, route)

		c := r.startUnregister(false)
		req = r.removal(ours)
		r.answer(req, "200 OK", "Service-Route: <sip:p2.example.com;lr>")
		c.returns(nil)
		r.identifies("removed", plain, "")

		r.startRegister()
		r.answer(r.register(), "200 OK", "Contact: <"+contact+`>;expires=600;pub-gruu="`+pub+`"`, "Flow-Timer: 60")
		r.identifies("registered again", pub, "")
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
