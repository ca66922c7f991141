package sipua

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/gosipua/sipua/registrar"
	"github.com/gosipua/sipua/transport"
)

const (
	// shutdownLimit bounds Shutdown by itself.
	shutdownLimit = 5 * time.Second
	// closeLimit bounds how long Close waits for an end that is under way: it
	// may be called from a func that this very end waits for.
	closeLimit = time.Second
)

// ending is the one end of a UA.
type ending struct {
	once  *sync.Once
	begun chan struct{} // closed by the first Close or Shutdown
	over  chan struct{} // closed when that is done
	hurry context.Context
	now   context.CancelFunc // ends hurry: Close was called
}

func newEnding() ending {
	e := ending{once: new(sync.Once), begun: make(chan struct{}), over: make(chan struct{})}
	e.hurry, e.now = context.WithCancel(context.Background())
	return e
}

// first reports whether its caller is to end the UA.
func (e *ending) first() (first bool) {
	e.once.Do(func() {
		first = true
		close(e.begun)
	})
	return first
}

// wait waits for an end that somebody else began.
func (e *ending) wait(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-e.over:
	case <-ctx.Done():
	}
}

// Shutdown ends everything politely: it hangs up every call, removes the
// registration and closes the connection, waiting for the answers until ctx
// ends or Close is called, 5 s at most; with a ctx that has ended it still
// writes BYE and un-REGISTER. It does not wait for the application's handlers,
// so it may be called from one, but for media: it must not be called from a
// [session.Media]. Afterwards everything returns an error that is
// [net.ErrClosed], a second Shutdown too.
func (ua *UA) Shutdown(ctx context.Context) error {
	if !ua.end.first() {
		ua.end.wait(ctx, shutdownLimit)
		return net.ErrClosed
	}
	defer close(ua.end.over)
	ctx, cancel := context.WithTimeout(ctx, shutdownLimit)
	defer cancel()
	defer context.AfterFunc(ua.end.hurry, cancel)()
	ua.calls.HangupAll()
	err := ua.calls.Wait(ctx)
	if now := ua.reg.Registration(); now.Bound() || now.State == registrar.Registering {
		err = errors.Join(err, ua.reg.Unregister(ctx, false))
	}
	ua.closeUsages()
	err = errors.Join(err, ua.endPools(func(p *transport.Pool) error { return p.Shutdown(ctx) }))
	ua.core.Wait()
	ua.tellClosed()
	return err
}

// Close ends everything at once: what is decided is written, within 200 ms,
// then the connection is closed. Like Shutdown, whose waiting it cuts short, it
// waits for all that is the UA's own and for no handler.
func (ua *UA) Close() error {
	ua.end.now()
	if !ua.end.first() {
		ua.end.wait(context.Background(), closeLimit)
		return net.ErrClosed
	}
	defer close(ua.end.over)
	ua.closeUsages()
	err := ua.endPools((*transport.Pool).Close)
	ua.core.Wait()
	ua.tellClosed()
	return err
}

// closeUsages drops what goes over the connection.
func (ua *UA) closeUsages() {
	ua.calls.Close()
	ua.reg.Close()
	ua.core.Close(net.ErrClosed)
}

// tellClosed lets the application know that no event of the UA follows. What the
// pools have yet to tell, where Close was called from one of their goroutines, is
// dropped.
func (ua *UA) tellClosed() {
	h := ua.handler.Closed
	if h == nil {
		h = func() {}
	}
	ua.events.PushLast(h)
}
