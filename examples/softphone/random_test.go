package main

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestRandomCommands: whatever two phones are told, and whatever the connection
// does meanwhile, each call begins and ends once, nothing of it is told before
// or after, and every command comes to something.
func TestRandomCommands(t *testing.T) {
	lines := []string{
		"register", "unregister", "call bob", "call alice", "call status-180", "answer", "reject 486", "hangup", "hangup id=2",
		"hold", "hold id=1", "unhold", "mute", "unmute", "dtmf 12", "message bob hi", "message id=1 alice hi", "options bob",
		"refer bob", "stats", "nonsense",
	}
	for seed := range uint64(6) {
		inWorld(t, func(w *world) {
			random := rand.New(rand.NewPCG(seed, seed))
			phones := []*script{w.phone("alice"), w.phone("bob", func(o *options) { o.auto = seed%2 == 0 })}
			told := []map[string]int{{}, {}}
			for range 80 {
				i := random.IntN(2)
				line := lines[random.IntN(len(lines))]
				phones[i].say("%s", line)
				name, _, _ := strings.Cut(line, " ")
				told[i][name]++
				if random.IntN(3) == 0 {
					time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
				}
				if random.IntN(40) == 0 {
					w.srv.Drop()
				}
			}
			time.Sleep(2 * time.Minute) // longer than anything takes
			for i, p := range phones {
				check(t, p.quit(), told[i])
			}
		})
	}
}

// check looks at all that a phone told.
func check(t *testing.T, events []event, told map[string]int) {
	t.Helper()
	live := map[any]bool{}
	outcomes := map[string]int{}
	for _, e := range events {
		name, id := e["event"].(string), e["id"]
		switch name {
		case "calling", "incoming":
			if was, known := live[id]; known {
				t.Errorf("%v: a second call of that id, the first live: %v", e, was)
			}
			live[id] = true
		case "error":
			outcomes[e["command"].(string)]++
			continue
		}
		if id != nil && !live[id] {
			t.Errorf("%v: there is no such call", e)
		}
		if name == "ended" {
			live[id] = false
		}
		if e["originator"] != "remote" {
			outcomes[name]++
		}
	}
	for id, alive := range live {
		if alive {
			t.Errorf("call %v did not end", id)
		}
	}
	for _, name := range []string{"hold", "unhold", "mute", "unmute", "dtmf", "message", "options", "refer", "stats", "nonsense"} {
		if outcomes[name] != told[name] {
			t.Errorf("%d outcomes of %d times %s", outcomes[name], told[name], name)
		}
	}
}
