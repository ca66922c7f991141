package core

import (
	"testing"
	"time"
)

// TestProbe steps a probe that asks after 10 s without a message and gives the
// server 4 s.
func TestProbe(t *testing.T) {
	type when = time.Duration // since the flow is up
	for _, tt := range []struct {
		name  string
		asked when // 0: not asked
		now   when
		heard when // the last message; how many it makes
		count uint64
		want  probeAction
		next  when
	}{
		{name: "nothing came yet, early", now: 9 * time.Second, want: probeWait, next: 10 * time.Second},
		{name: "nothing came yet", now: 10 * time.Second, want: probeAsk, next: 14 * time.Second},
		{name: "the timer is late", now: 12 * time.Second, want: probeAsk, next: 16 * time.Second},
		{name: "something came meanwhile", now: 10 * time.Second, heard: 3 * time.Second, count: 1, want: probeWait, next: 13 * time.Second},
		{name: "silence after it", now: 13 * time.Second, heard: 3 * time.Second, count: 1, want: probeAsk, next: 17 * time.Second},
		{name: "asked, no answer yet", asked: 10 * time.Second, now: 13 * time.Second, want: probeWait, next: 14 * time.Second},
		{name: "asked, no answer", asked: 10 * time.Second, now: 14 * time.Second, want: probeDead, next: 14 * time.Second},
		{name: "frozen while asked", asked: 10 * time.Second, now: 17 * time.Second, want: probeAsk, next: 21 * time.Second},
		{name: "answered at once", asked: 10 * time.Second, now: 10 * time.Second, heard: 10 * time.Second, count: 1, want: probeWait, next: 20 * time.Second},
		{name: "answered in the last moment", asked: 10 * time.Second, now: 14 * time.Second, heard: 14 * time.Second, count: 1, want: probeWait, next: 24 * time.Second},
		{name: "answered long ago", asked: 10 * time.Second, now: 21 * time.Second, heard: 11 * time.Second, count: 1, want: probeAsk, next: 25 * time.Second},
	} {
		up := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		p := probe{interval: 10 * time.Second, limit: 4 * time.Second}
		if tt.asked > 0 {
			if did := p.step(up.Add(tt.asked), up, 0); did != probeAsk {
				t.Fatalf("%s: %v to begin with", tt.name, did)
			}
		}
		heardAt := up.Add(tt.heard)
		if got := p.step(up.Add(tt.now), heardAt, tt.count); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		if got := p.next(heardAt).Sub(up); got != tt.next {
			t.Errorf("%s: next after %v, want %v", tt.name, got, tt.next)
		}
	}
}

// TestProbeOutOfTurn: without an interval it asks when it is told to, and is done.
func TestProbeOutOfTurn(t *testing.T) {
	up := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := probe{limit: 4 * time.Second}
	if p.step(up.Add(time.Hour), up, 0) != probeWait || !p.next(up).IsZero() {
		t.Error("it asks by itself")
	}
	p.ask(up.Add(time.Hour), 0)
	if at := up.Add(time.Hour + 4*time.Second); !p.next(up).Equal(at) || p.step(at, up, 0) != probeDead {
		t.Error("no answer within 4 s is none")
	}
	if at := up.Add(time.Hour + time.Second); p.step(at, at, 1) != probeWait || !p.next(at).IsZero() {
		t.Error("it goes on after the answer")
	}
}

// TestSilence: which of several transactions that time out are in a row.
func TestSilence(t *testing.T) {
	const (
		message = -1 // comes in
		begin   = 10 // of a transaction: + its number
		timeout = 20 // of it
	)
	for _, tt := range []struct {
		name  string
		limit int
		steps []int
		dead  int // at which step, from 1; 0: at none
	}{
		{"one", 2, []int{begin + 1, timeout + 1}, 0},
		{"one is enough", 1, []int{begin + 1, timeout + 1}, 2},
		{"one after the other", 2, []int{begin + 1, timeout + 1, begin + 2, timeout + 2}, 4},
		{"at the same time", 2, []int{begin + 1, begin + 2, timeout + 1, timeout + 2}, 4},
		{"three", 3, []int{begin + 1, begin + 2, timeout + 1, timeout + 2, begin + 3, timeout + 3}, 6},
		{"more than enough", 2, []int{begin + 1, begin + 2, begin + 3, timeout + 1, timeout + 2, timeout + 3}, 5},
		{"a message between", 2, []int{begin + 1, timeout + 1, message, begin + 2, timeout + 2}, 0},
		{"a message while the first waits", 2, []int{begin + 1, message, begin + 2, timeout + 1, timeout + 2}, 0},
		{"a message while the second waits", 2, []int{begin + 1, begin + 2, timeout + 1, message, timeout + 2}, 0},
		{"two after a message", 2, []int{begin + 1, timeout + 1, message, begin + 2, timeout + 2, begin + 3, timeout + 3}, 7},
		{"never", -1, []int{begin + 1, timeout + 1, begin + 2, timeout + 2}, 0},
	} {
		var s silence
		var dead []int
		marks := map[int]uint64{}
		for i, step := range tt.steps {
			switch {
			case step == message:
				s.received()
			case step < timeout:
				marks[step-begin] = s.heard
			case s.timedOut(marks[step-timeout], tt.limit):
				dead = append(dead, i+1)
			}
		}
		if len(dead) > 1 || len(dead) == 1 && dead[0] != tt.dead || len(dead) == 0 && tt.dead != 0 {
			t.Errorf("%s: dead at step %d, want %d", tt.name, dead, tt.dead)
		}
	}
}
