package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

const (
	maxLine = 64 << 10        // bytes of a command
	grace   = 5 * time.Second // for commands under way when the input ends
)

// errQuit is why commands come to nothing that are still under way at the end.
var errQuit = errors.New("the phone is quitting")

// phone is the program: a UA, its calls, and the commands under way.
type phone struct {
	o      options
	ua     *sipua.UA
	out    *output
	events *slog.Logger
	ctx    context.Context // of every command
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	calls    []*call             // guarded by mu; those not over, newest last
	lastID   int                 // guarded by mu
	lanes    map[string][]func() // guarded by mu; a lane is there while something of it runs
	offline  bool                // guarded by mu; no connection, as was told, and none begun
	quitting bool                // guarded by mu
	changed  chan struct{}       // guarded by mu; closed and renewed with each change of the above
}

// newPhone makes a phone whose events go to out. The error is one of the
// configuration.
func newPhone(o options, out io.Writer) (*phone, error) {
	to := &output{w: out}
	p := &phone{o: o, out: to, events: newEvents(to, o.json), lanes: map[string][]func(){}, changed: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	cfg := o.config
	cfg.Handler = sipua.Handler{
		Call:    p.incoming,
		Message: p.message,
		Event:   p.reached,
	}
	var err error
	p.ua, err = sipua.NewUA(cfg)
	return p, err
}

// run obeys the lines of stdin until they end, one says quit, or ctx ends.
func (p *phone) run(ctx context.Context, stdin io.Reader) int {
	defer p.cancel(errQuit)
	background, cancel := context.WithCancel(ctx)
	cancel()
	_ = p.ua.Start(background) // connects and registers beside us: what comes of it are events

	lines := make(chan line)
	go readLines(stdin, lines, p.ctx.Done())
	status := 0
	for more := true; more; {
		select {
		case <-ctx.Done():
			more = false
		case l := <-lines:
			switch {
			case l.err == io.EOF:
				more = false
				p.within(ctx, grace, func() bool { return len(p.lanes) == 0 })
			case l.err == bufio.ErrTooLong:
				p.failed("", "", fmt.Errorf("line of more than %d bytes", maxLine))
			case l.err != nil:
				more, status = false, 1
				p.failed("", "", l.err)
			default:
				more = p.obey(l.text)
			}
		}
	}
	p.quit()
	return status
}

// quit hangs up, unregisters and disconnects, and returns when all that was
// told.
func (p *phone) quit() {
	p.mu.Lock()
	p.quitting = true
	p.mu.Unlock()
	if err := p.ua.Shutdown(context.Background()); err != nil {
		p.failed("quit", "", err)
	}
	p.cancel(errQuit)
	// Shutdown does not wait for our own handlers, which are quick. Of an attempt
	// to connect that it cut short they hear nothing more.
	p.within(context.Background(), time.Second, func() bool { return len(p.calls) == 0 && len(p.lanes) == 0 && p.offline })
	p.out.close()
}

// within waits until something is so, for at most d. is is called with mu held.
func (p *phone) within(ctx context.Context, d time.Duration, is func() bool) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for ctx.Err() == nil {
		p.mu.Lock()
		done, changed := is(), p.changed
		p.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// change changes what is guarded by mu.
func (p *phone) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

// queue runs f after everything that is in the same lane, beside the rest.
func (p *phone) queue(lane string, f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	waiting, running := p.lanes[lane]
	p.lanes[lane] = append(waiting, f)
	if !running {
		go p.work(lane)
	}
}

func (p *phone) work(lane string) {
	for {
		var next func()
		p.change(func() {
			if waiting := p.lanes[lane]; len(waiting) > 0 {
				next, p.lanes[lane] = waiting[0], waiting[1:]
			} else {
				delete(p.lanes, lane)
			}
		})
		if next == nil {
			return
		}
		next()
	}
}

// line is a line of the input, or why there is none.
type line struct {
	text string
	err  error // bufio.ErrTooLong for this line alone, else the last
}

// readLines reads lines until there are no more or done is closed.
func readLines(r io.Reader, lines chan<- line, done <-chan struct{}) {
	b := bufio.NewReaderSize(r, maxLine)
	for last := false; !last; {
		text, more, err := b.ReadLine()
		l := line{string(text), err}
		for more && err == nil {
			l.err = bufio.ErrTooLong
			_, more, err = b.ReadLine()
		}
		last = l.err != nil && l.err != bufio.ErrTooLong
		select {
		case lines <- l:
		case <-done:
			return
		}
	}
}

// reached tells how we are reached.
func (p *phone) reached(e sipua.Event) {
	switch e.Kind {
	case sipua.EventConnecting:
		p.change(func() { p.offline = false })
	case sipua.EventConnected:
		p.emit("connected", "server", e.Server)
		p.change(func() { p.offline = false })
	case sipua.EventDisconnected:
		p.emit("disconnected", "server", e.Server, "reason", reasonText(e.Err))
		p.change(func() { p.offline = true })
	case sipua.EventConnectFailed:
		p.emit("disconnected", "server", e.Server, "reason", reasonText(e.Err))
		p.change(func() { p.offline = true })
	case sipua.EventReconnecting:
		p.emit("reconnecting", "in", seconds(e.In), "attempt", e.Attempt)
	case sipua.EventRegistered:
		p.emit("registered", "expires", seconds(time.Until(e.Registration.Expires)))
	case sipua.EventRefreshed:
		p.emit("registered", "expires", seconds(time.Until(e.Registration.Expires)), "refreshed", true)
	case sipua.EventUnregistered:
		p.emit("unregistered", "reason", reasonText(e.Err))
	case sipua.EventRegisterFailed:
		fields := reasons(e.Err)
		if e.In > 0 {
			fields = append(fields, "retryIn", seconds(e.In))
		}
		p.emit("registrationFailed", fields...)
	case sipua.EventCallDegraded:
		p.emit("degraded", "id", p.idOf(e.Session), "condition", e.Condition.String(), "reason", reasonText(e.Err))
	case sipua.EventCallRecovered:
		p.emit("recovered", "id", p.idOf(e.Session), "after", seconds(e.For))
	case sipua.EventResumed:
		p.emit("resumed", "asleep", seconds(e.For))
	case sipua.EventRoundTrip:
		p.emit("roundTrip", "server", e.Server, "ms", e.For.Milliseconds())
	}
}

// message tells of a MESSAGE outside calls.
func (p *phone) message(_ context.Context, req *sip.Request) sip.StatusCode {
	p.emit("message", received(req)...)
	return sip.StatusOK
}

// received are the fields of the event for a MESSAGE that came.
func received(req *sip.Request) []any {
	return []any{"originator", "remote", "from", req.From().URI.String(), "to", req.To().URI.String(), "text", string(req.Body())}
}

// add gives a call its id, the one wanted or the next number, and remembers it.
func (p *phone) add(c *call, wanted string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.quitting {
		return errQuit
	}
	c.id = wanted
	for wanted == "" && (c.id == "" || p.find(c.id) != nil) {
		p.lastID++
		c.id = strconv.Itoa(p.lastID)
	}
	if wanted != "" && p.find(wanted) != nil {
		return fmt.Errorf("there is a call %q", wanted)
	}
	p.calls = append(p.calls, c)
	return nil
}

// remove forgets a call that is over.
func (p *phone) remove(c *call) {
	p.change(func() { p.calls = slices.DeleteFunc(p.calls, func(other *call) bool { return other == c }) })
}

// find returns the call of that id, nil if there is none. mu is held.
func (p *phone) find(id string) *call {
	i := slices.IndexFunc(p.calls, func(c *call) bool { return c.id == id })
	if i < 0 {
		return nil
	}
	return p.calls[i]
}

// idOf returns the id of the call that s carries, or none.
func (p *phone) idOf(s *session.Session) string {
	p.mu.Lock()
	calls := slices.Clone(p.calls)
	p.mu.Unlock()
	for _, c := range calls {
		if own, err := c.up(); err == nil && own == s {
			return c.id
		}
	}
	return ""
}

// domain is that of our own address, which completes targets.
func (p *phone) domain() sip.URI {
	uri, _ := sip.ParseURI(p.o.config.URI) // NewUA has read it
	return uri
}

// pick returns the call of that id, or the newest for none.
func (p *phone) pick(id string) (*call, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id != "" {
		if c := p.find(id); c != nil {
			return c, nil
		}
		return nil, fmt.Errorf("no call %q", id)
	}
	if len(p.calls) == 0 {
		return nil, errors.New("no call")
	}
	return p.calls[len(p.calls)-1], nil
}

// seconds rounds a time for people.
func seconds(d time.Duration) int { return int(math.Round(d.Seconds())) }

func reasonText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
