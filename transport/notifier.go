package transport

import (
	"runtime"
	"strings"
	"time"
)

// notifier is the only caller of the application's funcs: its frames on a stack tell Close that it
// is called from one.
type notifier struct{ e Events }

func (n notifier) connecting(s Server, attempt int) {
	if n.e.Connecting != nil {
		n.e.Connecting(s, attempt)
	}
}

func (n notifier) up(f *Flow) {
	if n.e.Up != nil {
		n.e.Up(f)
	}
}

func (n notifier) message(f *Flow, data []byte) {
	if n.e.Message != nil {
		n.e.Message(f, data)
	}
}

func (n notifier) tooLong(f *Flow, head []byte) {
	if n.e.TooLong != nil {
		n.e.TooLong(f, head)
	}
}

func (n notifier) down(f *Flow, err error) {
	if n.e.Down != nil {
		n.e.Down(f, err)
	}
}

func (n notifier) failed(s Server, err error, retryIn time.Duration) {
	if n.e.Failed != nil {
		n.e.Failed(s, err, retryIn)
	}
}

// mayFailBack asks Options.FailBack, which may call Close like the rest.
func (n notifier) mayFailBack(ask func() bool) bool { return ask() }

// notifying reports whether its caller runs inside one of them, where waiting
// for the pool's goroutines would be waiting for itself.
func notifying() bool {
	pcs := make([]uintptr, 64)
	n := runtime.Callers(1, pcs)
	for n == len(pcs) {
		pcs = make([]uintptr, 2*len(pcs))
		n = runtime.Callers(1, pcs)
	}
	frames := runtime.CallersFrames(pcs[:n])
	for {
		frame, more := frames.Next()
		if strings.Contains(frame.Function, "/transport.notifier.") {
			return true
		}
		if !more {
			return false
		}
	}
}
