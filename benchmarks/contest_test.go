package benchmarks

import (
	"cmp"
	"flag"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

// contestant is one way of doing what a benchmark measures.
type contestant struct {
	name string
	do   func(n int) // n times; panics or fails the benchmark when it cannot
}

var only = flag.String("only", "", "run the contestants of this `name` alone, for a profile")

// contest has its contestants do b.N of the thing each, taking turns of batch at a
// time, and reports for each the median turn, divided by batch: ns of time, ns of
// processor time, allocations. Then, for each after the first, how many times the
// first one's time it takes, again the median over the turns. Turns are what makes
// ratios mean something on a machine that others use: a slow moment hits neighbors
// alike, and what a median leaves out hit one of them alone.
func contest(b *testing.B, batch int, all ...contestant) {
	b.Helper()
	if *only != "" {
		all = slices.DeleteFunc(all, func(c contestant) bool { return c.name != *only })
	}
	turns := max(b.N/batch, 1)
	laps := make([][]lap, len(all))
	for _, c := range all {
		c.do(batch) // pools filled, stacks grown
	}
	b.ResetTimer()
	for range turns {
		for i, c := range all {
			laps[i] = append(laps[i], run(c, batch))
		}
	}
	b.StopTimer()
	b.ReportMetric(0, "ns/op")
	for i, c := range all {
		per := func(f func(lap) float64) float64 { return medianOf(laps[i], f) / float64(batch) }
		b.ReportMetric(per(func(l lap) float64 { return float64(l.time) }), c.name+"-ns")
		b.ReportMetric(per(func(l lap) float64 { return float64(l.cpu) }), c.name+"-cpu-ns")
		b.ReportMetric(per(func(l lap) float64 { return float64(l.allocs) }), c.name+"-allocs")
		if i == 0 {
			continue
		}
		ratios := make([]float64, turns)
		for t := range ratios {
			ratios[t] = float64(laps[i][t].time) / float64(laps[0][t].time)
		}
		b.ReportMetric(median(ratios), c.name+"/"+all[0].name)
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

func medianOf(laps []lap, f func(lap) float64) float64 {
	values := make([]float64, len(laps))
	for i, l := range laps {
		values[i] = f(l)
	}
	return median(values)
}

func median[T cmp.Ordered](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}
