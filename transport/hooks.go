package transport

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"time"
)

// hooks is the only caller of the application's funcs: its frames on a stack tell
// Close that it is called from one.
type hooks struct{ o *Options }

func (h hooks) connecting(s Server, attempt int) {
	if h.o.Events.Connecting != nil {
		h.o.Events.Connecting(s, attempt)
	}
}

func (h hooks) up(f *Flow) {
	if h.o.Events.Up != nil {
		h.o.Events.Up(f)
	}
}

func (h hooks) message(f *Flow, data []byte) {
	if h.o.Events.Message != nil {
		h.o.Events.Message(f, data)
	}
}

func (h hooks) tooLong(f *Flow, head []byte) {
	if h.o.Events.TooLong != nil {
		h.o.Events.TooLong(f, head)
	}
}

func (h hooks) down(f *Flow, err error) {
	if h.o.Events.Down != nil {
		h.o.Events.Down(f, err)
	}
}

func (h hooks) failed(s Server, err error, retryIn time.Duration) {
	if h.o.Events.Failed != nil {
		h.o.Events.Failed(s, err, retryIn)
	}
}

func (h hooks) retry(in time.Duration, attempt int) {
	if h.o.Events.Retry != nil {
		h.o.Events.Retry(in, attempt)
	}
}

func (h hooks) resumed(asleep time.Duration) {
	if h.o.Events.Resumed != nil {
		h.o.Events.Resumed(asleep)
	}
}

func (h hooks) exclude(s Server) bool { return h.o.Exclude != nil && h.o.Exclude(s) }

func (h hooks) dial(ctx context.Context, s Server) (Server, error) {
	if h.o.Dial == nil {
		return s, nil
	}
	s.Header = s.Header.Clone() // theirs to change
	return h.o.Dial(ctx, s)
}

func (h hooks) dialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return h.o.DialContext(ctx, network, addr)
}

// proxy asks the server's own func, if there is one.
func (h hooks) proxy(s *Server, r *http.Request) (*url.URL, error) {
	switch {
	case s.Proxy != nil:
		return s.Proxy(r)
	case h.o.Proxy != nil:
		return h.o.Proxy(r)
	}
	return nil, nil
}

func (h hooks) mayFailBack() bool { return h.o.FailBack() }

// insideHook reports whether its caller runs inside one of them, where waiting
// for the pool's goroutines would be waiting for itself.
func insideHook() bool {
	pcs := make([]uintptr, 64)
	n := runtime.Callers(1, pcs)
	for n == len(pcs) {
		pcs = make([]uintptr, 2*len(pcs))
		n = runtime.Callers(1, pcs)
	}
	frames := runtime.CallersFrames(pcs[:n])
	for {
		frame, more := frames.Next()
		if strings.Contains(frame.Function, "/transport.hooks.") {
			return true
		}
		if !more {
			return false
		}
	}
}
