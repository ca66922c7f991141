package benchmarks

import (
	"flag"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// contestant is one way of doing what a benchmark measures.
type contestant struct {
	name string
	do   func(n int) // n times; fails the benchmark when it cannot
	rest func()      // after each turn, not measured; may be nil
}

var only = flag.String("only", "", "run the contestants of these `names` (a,b) alone, for a profile")

// times makes what a contestant does of a func that reports whether it went well.
func times(b *testing.B, once func() bool) func(n int) {
	return func(n int) {
		for range n {
			if !once() {
				b.Fatal("failed")
			}
		}
	}
}

// contest has its contestants do b.N of the thing each, taking turns of batch at a
// time, and reports of each contestant's turns the lower quartile, divided by batch:
// time, processor time, allocations; then how many times the time of the one before it
// each takes. Turns and quartiles are what makes ratios mean something on a machine
// that others use, too: whatever else runs only ever adds time, and it hits neighbors
// alike.
func contest(b *testing.B, batch int, all ...contestant) {
	b.Helper()
	if *only != "" {
		all = slices.DeleteFunc(all, func(c contestant) bool { return !slices.Contains(strings.Split(*only, ","), c.name) })
	}
	turns := max(b.N/batch, 1)
	laps := make([][]lap, len(all))
	for _, c := range all {
		run(c, batch) // pools filled, stacks grown
	}
	b.ResetTimer()
	for range turns {
		for i, c := range all {
			laps[i] = append(laps[i], run(c, batch))
		}
	}
	b.StopTimer()
	b.ReportMetric(0, "ns/op")
	var before float64
	for i, c := range all {
		per := func(f func(lap) float64) float64 { return lowerQuartile(laps[i], f) / float64(batch) }
		took := per(func(l lap) float64 { return float64(l.time) })
		b.ReportMetric(took, c.name+"-ns")
		b.ReportMetric(per(func(l lap) float64 { return float64(l.cpu) }), c.name+"-cpu-ns")
		b.ReportMetric(per(func(l lap) float64 { return float64(l.allocs) }), c.name+"-allocs")
		if i > 0 {
			b.ReportMetric(took/before, c.name+"/"+all[i-1].name)
		}
		before = took
	}
}

// lap is what one turn took.
type lap struct {
	time   time.Duration
	cpu    time.Duration // of the whole process: of a server inside it, too
	allocs uint64
}

func run(c contestant, n int) lap {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, start := processorTime(), time.Now()
	c.do(n)
	l := lap{time: time.Since(start), cpu: processorTime() - cpu}
	runtime.ReadMemStats(&after)
	l.allocs = after.Mallocs - before.Mallocs
	if c.rest != nil {
		c.rest()
	}
	return l
}

// processorTime is what the process has used so far, in user mode and in the kernel.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func lowerQuartile(laps []lap, f func(lap) float64) float64 {
	values := make([]float64, len(laps))
	for i, l := range laps {
		values[i] = f(l)
	}
	slices.Sort(values)
	return values[len(values)/4]
}
