package transport

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Close ends the pool: what is queued and a Close frame (1000) are written within
// 200 ms, or not at all, and Events.Down follows for a flow that is up. It waits
// until nothing of the pool runs any more, and returns nil.
//
// Called from a func of Events or Options it cannot wait, since that runs on one of
// the pool's goroutines: the rest happens after it returned. Such a func must not
// wait for another goroutine that calls Close either.
//
// A second call, also after Shutdown, waits like the first one and returns
// ErrPoolClosed; beside a running Shutdown it cuts that one short.
func (p *Pool) Close() error {
	f, first := p.stop()
	if f != nil {
		f.beginClose(websocket.CloseNormalClosure, ErrPoolClosed, hurry)
	}
	if !insideHook() {
		<-p.tasks.idle
	}
	return closedUnless(first)
}

// Shutdown ends the pool politely: the queue is written as long as ctx lasts, but
// for 200 ms at least, then a Close frame (1000), for whose answer it waits up to
// a second. Nothing can be sent and no message is handed up meanwhile. In all else
// it is like Close. When ctx ended before everything was written, its cause is
// returned.
func (p *Pool) Shutdown(ctx context.Context) error {
	f, first := p.stop()
	if f != nil {
		f.beginClose(websocket.CloseNormalClosure, ErrPoolClosed, 0)
	}
	hasten := func() {
		if f != nil {
			f.beginClose(websocket.CloseNormalClosure, ErrPoolClosed, hurry)
		}
	}
	if insideHook() {
		context.AfterFunc(ctx, hasten)
		return closedUnless(first)
	}
	select {
	case <-p.tasks.idle:
	case <-ctx.Done():
		hasten()
		<-p.tasks.idle
		if first && f != nil && !f.drained() {
			return context.Cause(ctx)
		}
	}
	return closedUnless(first)
}

func closedUnless(first bool) error {
	if first {
		return nil
	}
	return ErrPoolClosed
}

// stop lets nothing new begin. It returns the flow in use, and whether it was the
// first to stop the pool.
func (p *Pool) stop() (f *Flow, first bool) {
	p.mu.Lock()
	first, f = !p.stopped, p.flow
	p.stopped = true
	p.stopTimer(&p.retry)
	p.stopTimer(&p.failBack)
	for _, a := range p.attempts {
		a.cancel(ErrPoolClosed)
	}
	p.mu.Unlock()
	if first {
		p.tasks.done() // the one counted by NewPool
	}
	return f, first
}

// stopTimer is called with mu held.
func (p *Pool) stopTimer(t **time.Timer) {
	if *t != nil && (*t).Stop() {
		p.tasks.done()
	}
	*t = nil
}

// tasks counts what a pool has running or waiting: goroutines and timers. Unlike a
// sync.WaitGroup it can be waited for beside a context.
type tasks struct {
	n    atomic.Int64
	idle chan struct{} // closed when n has come down to 0
}

// init counts one task, the pool itself until it is stopped.
func (t *tasks) init() {
	t.n.Store(1)
	t.idle = make(chan struct{})
}

// add counts a task. The caller is one itself, or holds the lock of a flow whose
// reader is: n cannot have reached 0.
func (t *tasks) add() { t.n.Add(1) }

func (t *tasks) done() {
	if t.n.Add(-1) == 0 {
		close(t.idle)
	}
}
