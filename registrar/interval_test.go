package registrar_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/sip"
)

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
