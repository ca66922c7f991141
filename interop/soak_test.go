//go:build interop

package interop_test

import (
	"flag"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/sip/core"
)

var (
	soakFor  = flag.Duration("soak", 2*time.Minute, "how long TestSoak makes calls; 0: not at all")
	soakSeed = flag.Uint64("seed", 0, "what TestSoak draws from; 0: something new")
)

const (
	soakUAs        = 100
	idleLimit      = 2 * time.Minute // until nothing of the last call is left
	goroutineSlack = 20              // of the processes and the run itself
	heapSlack      = 8 << 20         // bytes
	showCalls      = 10              // whose messages are printed where they end wrongly
)

// soak is the run.
type soak struct {
	t      testing.TB
	seed   uint64
	fleets []*fleet
	ledger *ledger
	over   chan struct{}  // closed when no more calls are to be made
	work   sync.WaitGroup // calls and messages that are not accounted for
	dice   *rand.Rand
	begun  time.Time
	faults map[string]int // how often each was
	cures  []cure         // of those that are not over
}

// TestSoak: a hundred UAs call each other and send messages all the time while connections are cut, reset, stalled, swallowed,
// delayed and chopped, and servers die. Every call and message is accounted for, and in the end nothing is left.
//
// Only servers of others lose bindings and connections as servers do.
func TestSoak(t *testing.T) {
	if *soakFor == 0 {
		t.Skip("without -soak")
	}
	seed := *soakSeed
	if seed == 0 {
		seed = rand.Uint64N(1 << 32)
	}
	t.Logf("go test -tags interop -timeout 0 -run TestSoak ./interop/ -soak %v -seed %d", *soakFor, seed)
	s := &soak{
		t: t, seed: seed, over: make(chan struct{}), dice: rand.New(rand.NewPCG(seed, 1<<32)), faults: map[string]int{},
		ledger: newLedger(t),
	}
	s.fleets = []*fleet{
		{name: "GRUU", k: startKamailio(t, kamailioOptions{Crowd: true})},
		{name: "flow tokens", k: startKamailio(t, kamailioOptions{Crowd: true, NoGRUU: true})},
	}
	for n := range soakUAs {
		f := s.fleets[n%len(s.fleets)]
		f.uas = append(f.uas, s.newSoakUA(t, f, n))
	}
	for u := range s.all() {
		if err := u.Start(step(t)); err != nil {
			t.Fatalf("%s: Start: %v", u.user, err)
		}
	}
	s.idle("before")
	s.begun = time.Now()
	before := s.measure()
	for u := range s.all() {
		s.work.Go(u.callAround)
		s.work.Go(u.sendAround)
	}
	samples := []sample{before}
	for eighth := range 8 {
		s.trouble(s.begun.Add(*soakFor * time.Duration(eighth+1) / 8))
		samples = append(samples, s.measure())
	}
	close(s.over)
	s.heal()
	s.work.Wait()

	s.idle("after")
	after := s.measure()
	samples = append(samples, after)
	s.report(samples)
	if calls, unheard := s.ledger.begun, s.ledger.outcomes[unheardOutcome]; unheard > 1+calls/100 {
		t.Errorf("%d of %d calls went on at one side", unheard, calls)
	}
	if after.goroutines > before.goroutines+goroutineSlack {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines, before %d:\n%s", after.goroutines, before.goroutines, buf[:runtime.Stack(buf, true)])
	}
	if first, last := samples[2], samples[len(samples)-2]; last.heap > first.heap*3/2+heapSlack {
		t.Errorf("heap of %d KiB after a quarter of the time, %d KiB at the end", first.heap>>10, last.heap>>10)
	}
}

// all are the UAs of all fleets.
func (s *soak) all() iter.Seq[*soakUA] {
	return func(yield func(*soakUA) bool) {
		for _, f := range s.fleets {
			for _, u := range f.uas {
				if !yield(u) {
					return
				}
			}
		}
	}
}

// idle waits until every UA is registered and has no call, and its core keeps nothing for one.
func (s *soak) idle(when string) {
	s.t.Helper()
	deadline := time.Now().Add(idleLimit)
	for u := range s.all() {
		for {
			held, registered := holdings(u.UA), u.registered(s.t)
			if u.timers == 0 {
				u.timers = held.Timers // of the registration
			}
			if registered && len(u.Calls()) == 0 && held == (core.Holdings{Timers: u.timers}) {
				break
			}
			if time.Now().After(deadline) {
				s.t.Fatalf("%s %s: %+v, %d bindings at the server, calls %v, the core keeps %+v", u.user, when,
					u.Registration(), len(u.fleet.k.bindings(s.t, u.user)), u.Calls(), held)
			}
			time.Sleep(pollEvery)
		}
	}
}

// holdings is what the core of a UA keeps. That is for maintainers, so that UA has no method for it.
func holdings(ua *sipua.UA) core.Holdings {
	field := reflect.ValueOf(ua).Elem().FieldByName("core")
	c := *(**core.Core)(unsafe.Pointer(field.UnsafeAddr()))
	c.Lock()
	defer c.Unlock()
	return c.Holdings()
}

// sample is what the process needs at a time.
type sample struct {
	at         time.Duration
	calls      int
	goroutines int
	heap       uint64 // bytes in use after a collection
}

func (s *soak) measure() sample {
	runtime.GC()
	runtime.GC() // what had a finalizer goes now
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	calls := 0
	for u := range s.all() {
		calls += len(u.Calls())
	}
	return sample{at: time.Since(s.begun), calls: calls, goroutines: runtime.NumGoroutine(), heap: m.HeapAlloc}
}

// report prints what happened.
func (s *soak) report(samples []sample) {
	var b strings.Builder
	b.WriteString("\n| what | how often |\n|---|---|\n")
	total := 0
	for _, n := range s.faults {
		total += n
	}
	fmt.Fprintf(&b, "| faults | %d |\n", total)
	for _, name := range slices.Sorted(maps.Keys(s.faults)) {
		fmt.Fprintf(&b, "| – %s | %d |\n", name, s.faults[name])
	}
	b.WriteString(s.ledger.table())
	b.WriteString("\n| after | calls up | goroutines | heap (KiB) |\n|---|---|---|---|\n")
	for _, m := range samples {
		fmt.Fprintf(&b, "| %v | %d | %d | %d |\n", m.at.Round(time.Second), m.calls, m.goroutines, m.heap>>10)
	}
	s.t.Log(b.String())
}
