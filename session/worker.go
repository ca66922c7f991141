package session

import (
	"fmt"
	"runtime/debug"
)

// worker runs what blocks, one job at a time and in order: every method of a
// Media. It has a goroutine only while there is something to do.
type worker struct { // guarded by the core's mutex
	jobs    []job
	running bool
	gone    []chan struct{} // closed when the call is released
}

// job is one thing to do: run without the mutex, then done with it.
type job struct {
	run  func()
	done func()
}

// work queues a job. done may be nil.
func (s *Session) work(run, done func()) { // [locked]
	s.worker.jobs = append(s.worker.jobs, job{run, done})
	if !s.worker.running {
		s.worker.running = true
		s.m.core.Go(s.workLoop)
	}
}

func (s *Session) workLoop() {
	c := s.m.core
	c.Lock()
	defer c.Unlock()
	for len(s.worker.jobs) > 0 {
		j := s.worker.jobs[0]
		s.worker.jobs = s.worker.jobs[1:]
		c.Unlock()
		j.run()
		c.Lock()
		if j.done != nil {
			j.done()
		}
	}
	s.worker.jobs, s.worker.running = nil, false
}

// guard turns a panic of a Media, which may be the application's own, into an
// error.
func guard(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("session: media panicked: %v\n%s", v, debug.Stack())
	}
}
