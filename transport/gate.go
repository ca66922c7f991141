package transport

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Gate bounds the connection attempts of all pools that share it, so that a
// thousand user agents whose server came back do not knock at once. Attempts pass
// in the order in which they arrived, those of failing back and of [Pool.Check]
// among them. A Gate at rest has no goroutine and no timer.
type Gate struct {
	atOnce int           // attempts under way at a time, 0 for any number
	gap    time.Duration // between the beginnings of two attempts

	mu     sync.Mutex
	inside int         // guarded by mu, as is all that follows
	next   time.Time   // when the next attempt may begin
	queue  []*visit    // who waits, in order
	timer  *time.Timer // until next; nil unless somebody waits for it
}

// visit is one attempt at the gate.
type visit struct {
	passed bool // guarded by Gate.mu
	open   chan struct{}
}

// NewGate returns a gate through which at most n attempts are under way at a time,
// and at most perSecond begin in a second, evenly spaced. Without a limit of its
// kind n is 0, and so is perSecond.
func NewGate(n int, perSecond float64) *Gate {
	g := &Gate{atOnce: max(n, 0)}
	if perSecond > 0 {
		g.gap = time.Duration(min(float64(time.Second)/perSecond, 1<<62))
	}
	return g
}

// enter waits for a turn, which leave gives back. When ctx ends first there is
// none, and its cause is returned. A nil gate is always open.
func (g *Gate) enter(ctx context.Context) error {
	if g == nil {
		return nil
	}
	v := &visit{open: make(chan struct{})}
	g.mu.Lock()
	g.queue = append(g.queue, v)
	g.admit()
	g.mu.Unlock()
	select {
	case <-v.open:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if v.passed {
		g.inside--
	} else {
		g.queue = slices.DeleteFunc(g.queue, func(w *visit) bool { return v == w })
	}
	g.admit()
	return context.Cause(ctx)
}

// leave ends a turn.
func (g *Gate) leave() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.admit()
}

// admit lets in whoever may pass, and sets the timer for the one who may not yet.
// It is called with mu held.
func (g *Gate) admit() {
	for len(g.queue) > 0 && (g.atOnce == 0 || g.inside < g.atOnce) {
		now := time.Now()
		if wait := g.next.Sub(now); wait > 0 {
			if g.timer == nil {
				g.timer = time.AfterFunc(wait, g.ring)
			}
			return
		}
		g.next = now.Add(g.gap)
		g.inside++
		g.queue[0].passed = true
		close(g.queue[0].open)
		g.queue[0] = nil
		g.queue = g.queue[1:]
	}
	if len(g.queue) == 0 {
		g.queue = nil
	}
	if g.timer != nil { // nobody is there, or nobody could pass
		g.timer.Stop()
		g.timer = nil
	}
}

// ring is the timer's.
func (g *Gate) ring() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.timer = nil
	g.admit()
}
