package core

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
)

// queueLimit is how many functions wait in a Queue at most.
const queueLimit = 1024

// Queue runs functions one at a time and in order, on a goroutine that lives
// only while there is something to run. It is how callbacks reach application
// code.
type Queue struct {
	core    *Core
	onPanic func(v any, stack []byte)

	mu sync.Mutex
	// guarded by mu
	waiting []func()
	newest  map[any]func() // of PushNewest, beyond the limit
	running bool
	ended   bool // by PushLast
}

// NewQueue returns an empty queue. A function that panics is reported to onPanic
// with its stack, or logged where that is nil; the queue goes on.
func (c *Core) NewQueue(onPanic func(v any, stack []byte)) *Queue {
	return &Queue{core: c, onPanic: onPanic}
}

// Push appends fn. False: the queue is full (1,024 waiting) or has ended, and fn
// will not run. It does not block and may be called with the lock held.
func (q *Queue) Push(fn func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended || len(q.waiting) >= queueLimit {
		return false
	}
	q.push(fn)
	return true
}

// PushFinal appends fn even if the queue is full: for what must not be lost.
func (q *Queue) PushFinal(fn func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.push(fn)
}

// PushLast is PushFinal for the end of the queue: what comes later does not run.
func (q *Queue) PushLast(fn func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.ended {
		q.push(fn)
	}
	q.ended = true
}

// PushNewest appends fn, which is one of a kind that is worth telling only how
// things stand now. While the queue is full one of each kind waits beyond the
// limit, the newest in the place of those before.
func (q *Queue) PushNewest(kind any, fn func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return
	}
	_, waits := q.newest[kind]
	if !waits && len(q.waiting) < queueLimit {
		q.push(fn)
		return
	}
	if q.newest == nil {
		q.newest = map[any]func(){}
	}
	q.newest[kind] = fn
	if !waits {
		q.push(func() { q.takeNewest(kind)() })
	}
}

func (q *Queue) takeNewest(kind any) func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	fn := q.newest[kind]
	delete(q.newest, kind)
	return fn
}

func (q *Queue) push(fn func()) {
	q.waiting = append(q.waiting, fn)
	if !q.running {
		q.running = true
		go q.run()
	}
}

func (q *Queue) run() {
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			q.waiting, q.running = nil, false
			q.mu.Unlock()
			return
		}
		fn := q.waiting[0]
		q.waiting[0] = nil
		q.waiting = q.waiting[1:]
		q.mu.Unlock()
		q.call(fn)
	}
}

// call runs fn. It survives a panic, and lets the queue survive a fn that ends
// its goroutine, as a test that fails does.
func (q *Queue) call(fn func()) {
	returned := false
	defer func() {
		if v := recover(); v != nil {
			q.panicked(v, debug.Stack())
		} else if !returned {
			go q.run()
		}
	}()
	fn()
	returned = true
}

func (q *Queue) panicked(v any, stack []byte) {
	if q.onPanic != nil {
		q.onPanic(v, stack)
		return
	}
	if l := q.core.o.Logger; l != nil && q != q.core.logs {
		l.Error("handler panicked", slog.String("panic", fmt.Sprint(v)), slog.String("stack", string(stack)))
	}
}
