package sipua_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip/siptest"
)

// without takes the connection of a phone for as long as during takes.
func (p *phone) without(during func()) {
	p.w.t.Helper()
	p.seen()
	p.vanish()
	during()
	p.gone.Store(false)
	p.until("registered")
}

// TestConnectionLostWhileItRings: the callee loses its connection before it
// answers, or decides while it has none; the call is that of the caller all the
// same, with audio both ways, and a BYE of either end reaches the other.
func TestConnectionLostWhileItRings(t *testing.T) {
	for name, o := range map[string]siptest.Options{
		"contacts":     {KeepBranches: true},
		"GRUU":         {KeepBranches: true, GRUU: true, Outbound: true},
		"Record-Route": {KeepBranches: true, RecordRoute: true},
	} {
		for _, meanwhile := range []bool{false, true} {
			for _, byCaller := range []bool{false, true} {
				sub := name + "/answered after"
				if meanwhile {
					sub = name + "/answered meanwhile"
				}
				if byCaller {
					sub += "/ended by the caller"
				}
				t.Run(sub, func(t *testing.T) {
					inWorld(t, o, func(w *world) {
						t := w.t
						alice, bob := w.phone("alice"), w.phone("bob")
						a := &line{w: w, phone: alice, out: rtc.NewTrack(rtc.Audio)}
						b := &line{w: w, phone: bob, out: rtc.NewTrack(rtc.Audio)}
						var err error
						if a.Session, err = alice.Invite(t.Context(), "bob", &session.CallOptions{Media: w.media(a.out)}); err != nil {
							t.Fatal(err)
						}
						in := <-bob.calls
						answer := func() {
							if b.Session, err = in.Answer(t.Context(), &session.AnswerOptions{Media: w.media(b.out)}); err != nil {
								t.Fatal(err)
							}
						}
						time.Sleep(time.Second)
						bob.without(func() {
							time.Sleep(3 * time.Second)
							if meanwhile {
								answer()
							}
						})
						if !meanwhile {
							answer()
						}
						if err := a.WaitAnswered(t.Context()); err != nil {
							t.Fatal(err)
						}
						a.listen()
						b.listen()
						a.say("hello")
						b.hear("hello")
						b.say("hi")
						a.hear("hi")
						time.Sleep(time.Minute) // all that is repeated comes to its end
						here, there := b, a
						if byCaller {
							here, there = a, b
						}
						if err := here.Hangup(t.Context()); err != nil {
							t.Error(err)
						}
						<-there.Context().Done()
					})
				})
			}
		}
	}
}

// TestHungUpWithoutConnection: who hangs up while its connection is gone ends the
// call at both ends once it is back.
func TestHungUpWithoutConnection(t *testing.T) {
	for _, kind := range []siptest.Personality{siptest.Plain, siptest.Asterisk} {
		for _, byCaller := range []bool{false, true} {
			inWorld(t, siptest.Options{Personality: kind}, func(w *world) {
				t := w.t
				w.kind = kind
				alice, bob := w.phone("alice"), w.phone("bob")
				a, b := alice.talk(bob)
				here, there := b, a
				if byCaller {
					here, there = a, b
				}
				done := make(chan error, 1)
				here.phone.without(func() {
					go func() { done <- here.Hangup(t.Context()) }()
					<-here.Context().Done()
					time.Sleep(4 * time.Second) // not long enough to miss the media
					select {
					case <-there.Context().Done():
						t.Errorf("%v by caller %v: the far end knows already: %v", kind, byCaller, context.Cause(there.Context()))
					default:
					}
				})
				<-there.Context().Done()
				if err := <-done; err != nil {
					t.Errorf("Hangup: %v", err)
				}
			})
		}
	}
}

// TestServerIsTheSameWithANewToken: where Config.Dial puts another token into the
// URL of each attempt it is still the same server that an answer goes to.
func TestServerIsTheSameWithANewToken(t *testing.T) {
	inWorld(t, siptest.Options{KeepBranches: true}, func(w *world) {
		t := w.t
		var tokens atomic.Int32
		var mu sync.Mutex
		var seen []string // guarded by mu
		alice := w.phone("alice")
		bob := w.phone("bob", func(c *sipua.Config) {
			c.Dial = func(_ context.Context, s sipua.WSServer) (sipua.WSServer, error) {
				s.URL += fmt.Sprintf("?token=secret%d", tokens.Add(1))
				return s, nil
			}
			c.Trace = func(e sipua.TraceEvent) {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, e.Server)
			}
		})
		call, err := alice.Invite(t.Context(), "bob", nil)
		if err != nil {
			t.Fatal(err)
		}
		in := <-bob.calls
		bob.without(func() { time.Sleep(3 * time.Second) })
		if _, err := in.Answer(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if err := call.WaitAnswered(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := tokens.Load(); n < 2 {
			t.Errorf("%d tokens were asked for", n)
		}
		if err := call.Hangup(t.Context()); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if text := strings.Join(seen, " "); text == "" || strings.Contains(text, "secret") {
			t.Errorf("traced with servers %q", text)
		}
	})
}
