package core

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gosipua/sipua/sip"
)

// UnansweredError is why a flow is failed whose server says no SIP, though its
// connection lives and even its WebSocket pings may be answered.
type UnansweredError struct {
	// Method of the request that was not answered last, but for the OPTIONS that
	// is asked after time-outs.
	Method sip.Method
	// Timeouts is how many client transactions in a row timed out; 0: it was the
	// OPTIONS of Options.OptionsInterval that had no answer.
	Timeouts int
	// After is how long the answer to an OPTIONS was waited for in the end.
	After time.Duration
}

func (e *UnansweredError) Error() string {
	if e.Timeouts == 0 {
		return fmt.Sprintf("core: no answer to %s within %v", e.Method, e.After)
	}
	return fmt.Sprintf("core: no answer to %d requests in a row, %s the last, nor to OPTIONS within %v", e.Timeouts, e.Method, e.After)
}

// Timeout reports true: waiting was in vain.
func (e *UnansweredError) Timeout() bool { return true }

// silence counts the client transactions of a flow that time out while nothing
// comes in over it.
type silence struct {
	heard    uint64 // messages that came in
	timeouts int    // since the last of them
}

// received takes a message that came in.
func (s *silence) received() {
	s.heard++
	s.timeouts = 0
}

// timedOut takes a transaction that timed out; mark is what heard was when it
// began. It reports whether that makes limit of them in a row.
func (s *silence) timedOut(mark uint64, limit int) bool {
	if mark != s.heard { // not this one, but something was answered meanwhile
		return false
	}
	s.timeouts++
	return s.timeouts == limit
}

// hear notes that a message came in over k.
func (c *Core) hear(k *link) {
	k.silence.received()
	k.heardAt = time.Now()
	k.prober.heard()
}

// unanswered takes a client transaction on k that failed with err; mark is what
// was heard when it began. Requests also time out where the server lives and the
// far ends do not: a proxy without state sends no 100 and no 408. So when it
// counts the server itself is asked.
func (c *Core) unanswered(k *link, mark uint64, err error) {
	var timeout *sip.TimeoutError
	if c.closed == nil && errors.As(err, &timeout) && k.silence.timedOut(mark, c.o.MaxTimeouts) {
		c.suspect(k, &UnansweredError{Method: timeout.Method, Timeouts: k.silence.timeouts})
	}
}

// suspect asks the server of k by OPTIONS, and fails k if that has no answer
// either.
func (c *Core) suspect(k *link, why *UnansweredError) {
	if c.o.FailFlow == nil || k.Down() {
		return
	}
	if k.prober == nil {
		k.prober = c.newProber(k)
	}
	k.prober.askNow(why)
}

// failFlow has a flow ended that is dead. FlowDown follows.
func (c *Core) failFlow(k *link, err error) {
	if c.o.FailFlow == nil || k.Down() {
		return
	}
	c.log(slog.LevelWarn, "flow is dead", slog.Uint64("flow", k.ID()), slog.String("server", k.Server), slog.Any("error", err))
	c.o.FailFlow(k.Flow, err)
}
