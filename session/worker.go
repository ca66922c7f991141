package session

import (
	"errors"
	"log/slog"
	"runtime/debug"
)

// worker runs what blocks, one job at a time and in order: every method of a
// Media. It has a goroutine only while there is something to do.
type worker struct { // guarded by the core's mutex
	jobs    []job
	running bool

	closed []Media // owned by the job that runs
}

// job is one thing to do: run without the mutex, then done with it and with
// what run returned.
type job struct {
	run  func() error
	done func(error)
}

// errMediaPanic is what a method of a Media that panics comes to.
var errMediaPanic = errors.New("session: media panicked")

// work queues a job. done may be nil.
func (s *Session) work(run func() error, done func(error)) { // [locked]
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
		err := s.run(j.run)
		c.Lock()
		if j.done != nil {
			j.done(err)
		}
	}
	s.worker.jobs, s.worker.running = nil, false
}

// run survives a Media that panics: it may be the application's own.
func (s *Session) run(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.log(slog.LevelError, "media panicked", "panic", v, "stack", string(debug.Stack()))
			err = errMediaPanic
		}
	}()
	return f()
}
