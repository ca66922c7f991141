package core_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// deaths notes which flows a core has failed, why and when.
type deaths struct{ list []death }

type death struct {
	flow uint64
	why  core.UnansweredError
	at   time.Duration // since bubbles begin
}

// bubble is when bubbles begin.
var bubble = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// into has o report to d.
func (d *deaths) into(o core.Options) core.Options {
	o.OptionsURI = uri("sip:example.com")
	o.FailFlow = func(f core.Flow, err error) {
		d.list = append(d.list, death{f.ID(), *err.(*core.UnansweredError), time.Since(bubble)})
	}
	return o
}

func (d *deaths) want(r *rig, want ...death) {
	r.Helper()
	synctest.Wait()
	r.Lock()
	defer r.Unlock()
	if diff := cmp.Diff(want, d.list, cmp.AllowUnexported(death{})); diff != "" {
		r.Errorf("flows that failed (-want +got):\n%s", diff)
	}
}

// TestServerThatAnswersNothing: the second transaction that times out with
// nothing coming in meanwhile has the server asked by OPTIONS, at that instant; 4 s
// later the flow fails.
func TestServerThatAnswersNothing(t *testing.T) {
	var d deaths
	run(t, d.into(options()), func(r *rig) {
		r.send(sip.OPTIONS, nil)
		r.sleep(10 * time.Second)
		last := r.send(sip.MESSAGE, nil)
		r.request(sip.OPTIONS)
		r.request(sip.MESSAGE)
		r.sleep(31*time.Second + 999*time.Millisecond)
		r.nothing()
		r.sleep(time.Millisecond)
		if req := r.request(sip.OPTIONS); req.URIText() != "sip:example.com" {
			t.Errorf("asked\n%s", req)
		}
		r.sleep(3*time.Second + 999*time.Millisecond)
		d.want(r)
		r.sleep(time.Millisecond)
		d.want(r, death{1, core.UnansweredError{Method: sip.MESSAGE, Timeouts: 2, After: 4 * time.Second}, 46 * time.Second})
		if last.at != 42*time.Second || last.err == nil {
			t.Errorf("the request itself: %v at %v", last.err, last.at)
		}
		r.send(sip.MESSAGE, nil) // more of it is no news
		r.sleep(time.Minute)
		d.want(r, d.list...)
	})
}

// TestFarEndsThatAnswerNothing: a proxy without state says nothing of them, and is
// kept as long as it answers for itself.
func TestFarEndsThatAnswerNothing(t *testing.T) {
	var d deaths
	run(t, d.into(options()), func(r *rig) {
		for range 3 {
			for range 3 {
				r.send(sip.MESSAGE, nil)
				r.request(sip.MESSAGE)
			}
			r.sleep(32 * time.Second)
			r.answer(r.request(sip.OPTIONS), 405)
			r.nothing()
		}
		r.sleep(time.Hour)
		r.nothing()
		d.want(r)
	})
}

// TestServerWithoutOptions: one that answers none, and all else, is left for that
// once.
func TestServerWithoutOptions(t *testing.T) {
	const url = "wss://deaf.example.com"
	var d deaths
	run(t, d.into(asking()), func(r *rig) {
		r.down()
		for i := range 3 {
			r.up(2+uint64(i), url)
			r.receive(incoming(sip.OPTIONS, "1"))
			r.response(200)
			r.sleep(10 * time.Second)
			r.request(sip.OPTIONS)
			r.sleep(time.Hour)
			r.nothing()
			r.down()
		}
		if len(d.list) != 1 || d.list[0].flow != 2 {
			t.Errorf("flows that failed: %v", d.list)
		}
	})
	d.list = nil
	run(t, d.into(asking()), func(r *rig) { // it did answer once
		for i := range 2 {
			r.down()
			r.up(2+uint64(i), url)
			if i == 0 {
				r.sleep(10 * time.Second)
				r.answer(r.request(sip.OPTIONS), 200)
			}
			r.sleep(10 * time.Second)
			r.request(sip.OPTIONS)
			r.sleep(time.Hour)
		}
		if len(d.list) != 2 {
			t.Errorf("flows that failed: %v", d.list)
		}
	})
}

// TestWhatIsNoSilence: transactions that time out and say nothing of the server.
func TestWhatIsNoSilence(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit int
		do    func(r *rig)
		dead  bool
	}{
		{name: "one", do: func(r *rig) { r.send(sip.MESSAGE, nil) }},
		{name: "two", do: func(r *rig) { r.send(sip.MESSAGE, nil); r.send(sip.MESSAGE, nil) }, dead: true},
		{name: "two where three are needed", limit: 3, do: func(r *rig) { r.send(sip.MESSAGE, nil); r.send(sip.MESSAGE, nil) }},
		{name: "two where it does not matter", limit: -1, do: func(r *rig) { r.send(sip.MESSAGE, nil); r.send(sip.MESSAGE, nil) }},
		{name: "two INVITEs", do: func(r *rig) { r.send(sip.INVITE, nil); r.send(sip.INVITE, nil) }, dead: true},
		{name: "whose caller has lost interest", do: func(r *rig) {
			for range 2 {
				s := r.send(sip.MESSAGE, nil)
				r.locked(s.Abandon)
			}
		}, dead: true},
		{name: "a request of the server's between them", do: func(r *rig) {
			r.send(sip.MESSAGE, nil)
			r.send(sip.MESSAGE, nil)
			r.sleep(20 * time.Second)
			r.receive(incoming(sip.OPTIONS, "1"))
		}},
		{name: "what cannot be read between them", do: func(r *rig) {
			r.send(sip.MESSAGE, nil)
			r.send(sip.MESSAGE, nil)
			r.receive("SIP/2.0 what\r\n\r\n")
		}},
		{name: "a provisional response to each INVITE", do: func(r *rig) {
			for range 2 {
				r.send(sip.INVITE, nil)
				r.answer(r.request(sip.INVITE), 180)
			}
		}},
		{name: "INVITEs that were canceled", do: func(r *rig) {
			for range 2 {
				s := r.send(sip.INVITE, nil)
				r.answer(r.request(sip.INVITE), 180)
				s.cancel()
				r.answer(r.request(sip.CANCEL), 200)
			}
		}},
		{name: "CANCELs without an answer", do: func(r *rig) {
			var both []*sending
			for range 2 {
				both = append(both, r.send(sip.INVITE, nil))
				r.answer(r.request(sip.INVITE), 180)
			}
			for _, s := range both {
				s.cancel()
			}
		}, dead: true},
		{name: "one on each of two flows", do: func(r *rig) {
			r.send(sip.MESSAGE, nil)
			r.up(2, "wss://other.example.com")
			r.send(sip.MESSAGE, nil)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d deaths
			o := d.into(options())
			o.MaxTimeouts = tt.limit
			run(t, o, func(r *rig) {
				tt.do(r)
				r.sleep(5 * time.Minute)
				if got := len(d.list) > 0; got != tt.dead {
					t.Errorf("the flow was failed: %v, want %v", d.list, tt.dead)
				}
			})
		})
	}
}

// asking are options with an OPTIONS after 10 s of silence.
func asking() core.Options {
	o := options()
	o.OptionsInterval, o.OptionsURI = 10*time.Second, uri("sip:example.com")
	return o
}

// TestOptionsAsKeepAlive: it asks the registrar after silence only, and the round
// trip is told.
func TestOptionsAsKeepAlive(t *testing.T) {
	o := asking()
	o.UserAgent = "sipua"
	var took []time.Duration
	o.RoundTrip = func(f core.Flow, d time.Duration) { took = append(took, d) }
	run(t, o, func(r *rig) {
		r.sleep(9 * time.Second)
		r.receive(incoming(sip.OPTIONS, "1"))
		r.response(200)
		r.sleep(10*time.Second - time.Millisecond)
		r.nothing()
		r.sleep(time.Millisecond)
		req := r.request(sip.OPTIONS)
		hops, _ := req.MaxForwards()
		if req.URIText() != "sip:example.com" || req.From().URI.String() != "sip:alice@example.com" || hops != 70 || !req.HasHeader("Allow") {
			t.Errorf("sent\n%s", req)
		}
		r.sleep(3 * time.Second)
		r.answer(req, 404)
		r.sleep(10*time.Second - time.Millisecond)
		r.nothing()
		r.sleep(time.Millisecond)
		r.answer(r.request(sip.OPTIONS), 200)
		if diff := cmp.Diff([]time.Duration{3 * time.Second, 0}, took); diff != "" {
			t.Error(diff)
		}
		r.down()
		r.sleep(time.Hour)
		r.nothing()
	})
}

// TestOptionsUnanswered: the flow fails at the limit, at once and once.
func TestOptionsUnanswered(t *testing.T) {
	for _, tt := range []struct {
		name            string
		interval, limit time.Duration
		at              time.Duration
	}{
		{"by default", 10 * time.Second, 0, 14 * time.Second},
		{"within 2 s", time.Second, time.Second, 2 * time.Second},
		{"longer than a transaction", time.Second, time.Minute, 61 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d deaths
			o := d.into(asking())
			o.OptionsInterval, o.OptionsTimeout = tt.interval, tt.limit
			run(t, o, func(r *rig) {
				r.sleep(time.Hour)
				if tt.limit == 0 {
					tt.limit = 4 * time.Second
				}
				d.want(r, death{1, core.UnansweredError{Method: sip.OPTIONS, After: tt.limit}, tt.at})
			})
		})
	}
}

// TestOptionsMetByAnythingElse: a server that says something is not silent.
func TestOptionsMetByAnythingElse(t *testing.T) {
	var d deaths
	run(t, d.into(asking()), func(r *rig) {
		r.sleep(10 * time.Second)
		r.request(sip.OPTIONS)
		r.sleep(3 * time.Second)
		r.receive(incoming(sip.OPTIONS, "1"))
		r.response(200)
		r.sleep(9 * time.Second)
		r.nothing()
		r.sleep(time.Second)
		r.request(sip.OPTIONS)
		d.want(r)
	})
}

// TestOptionsChallenged: a challenge is an answer, and gets no credentials.
func TestOptionsChallenged(t *testing.T) {
	var d deaths
	o := d.into(withPassword())
	o.OptionsInterval, o.OptionsURI = 10*time.Second, uri("sip:example.com")
	run(t, o, func(r *rig) {
		r.sleep(10 * time.Second)
		r.answer(r.request(sip.OPTIONS), 401, `WWW-Authenticate: Digest realm="example.com", nonce="n", algorithm=MD5, qop="auth"`)
		r.nothing()
		r.sleep(10 * time.Second)
		if req := r.request(sip.OPTIONS); req.HasHeader("Authorization") {
			t.Errorf("sent\n%s", req)
		}
		d.want(r)
	})
}
