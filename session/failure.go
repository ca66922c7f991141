package session

import (
	"errors"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/dialog"
)

// What the failure of a request inside a dialog means beyond that request
// (RFC 5057 §5.1), and which failures are worth another try. The tables are
// pure; failed and retryIn draw the consequences for a call.

// toll is what a failed request takes with it.
type toll uint8

const (
	tollNone   toll = iota // it failed alone
	tollUsage              // its usage of the dialog: the call, or its subscription
	tollDialog             // the dialog with all its usages
)

var tollNames = [...]string{"request", "usage", "dialog"}

func (t toll) String() string { return tollNames[t] }

// tollOf is what a failure response to a request of that method means. No
// answer at all counts as a 408.
//
// RFC 5057 §5.1 to §5.3, but for this: 481 to any request of a call ends it, as
// RFC 3261 §12.2.1.2 has it, and what may be said about the target of a REFER
// (as Asterisk does with 404) is not held against the dialog.
func tollOf(method sip.Method, code sip.StatusCode) toll {
	t := tollNone
	switch code {
	case sip.StatusNotFound, sip.StatusGone, sip.StatusUnsupportedURIScheme,
		sip.StatusAddressIncomplete, sip.StatusAmbiguous, sip.StatusDoesNotExistAnywhere:
		if method != sip.REFER {
			t = tollDialog
		}
	case sip.StatusLoopDetected, sip.StatusTooManyHops, sip.StatusBadGateway:
		t = tollDialog
	case sip.StatusCallDoesNotExist:
		t = tollUsage
	case sip.StatusMethodNotAllowed, sip.StatusNotImplemented: // note 3: of what the usage cannot do without
		switch method {
		case sip.INVITE, sip.PRACK, sip.NOTIFY, sip.SUBSCRIBE:
			t = tollUsage
		}
	case sip.StatusBadEvent: // note 12: an unknown 4xx to others
		if subscribes(method) {
			t = tollUsage
		}
	case sip.StatusRequestTimeout, sip.StatusTemporarilyUnavailable, sip.StatusFlowFailed:
		switch method {
		case sip.INVITE, sip.UPDATE, sip.PRACK, sip.INFO, sip.NOTIFY: // §5.3: what belongs to a usage
			t = tollUsage
		case sip.SUBSCRIBE: // outlives a timeout, RFC 6665 §4.1.2.2
			if code == sip.StatusTemporarilyUnavailable {
				t = tollUsage
			}
		}
	}
	switch method {
	case sip.CANCEL: // note 8
		return tollNone
	case sip.BYE: // over with any answer, RFC 3261 §15.1.1
		return max(t, tollUsage)
	}
	return t
}

// subscribes reports whether requests of method m belong to a subscription
// instead of the call.
func subscribes(m sip.Method) bool { return m == sip.SUBSCRIBE || m == sip.NOTIFY }

// passing reports whether the far end may be reached again soon: the socket of
// a WebSocket client comes back.
func passing(method sip.Method, code sip.StatusCode) bool {
	switch code {
	case sip.StatusRequestTimeout, sip.StatusTemporarilyUnavailable, sip.StatusFlowFailed:
		return method != sip.BYE && method != sip.CANCEL
	}
	return false
}

// patience is how often, and since when, one request is tried.
type patience struct {
	since time.Time // the first try
	tries int
	limit time.Duration // of it all; 0: the core's RecoveryLimit
}

// next tells how long to wait before a request that came to err is made again,
// with the next CSeq number; false: it is not. That ends when limit is over, or
// Retry-After goes beyond it.
func (p *patience) next(method sip.Method, err error, limit time.Duration) (time.Duration, bool) {
	if !passing(method, sip.StatusOf(err)) {
		return 0, false
	}
	return p.after(err, limit)
}

// after is next for any err.
func (p *patience) after(err error, limit time.Duration) (time.Duration, bool) {
	wait := p.pause()
	var refusal *sip.ResponseError
	if errors.As(err, &refusal) && refusal.Response != nil {
		if after, ok := refusal.Response.RetryAfter(); ok {
			wait = max(wait, time.Duration(after)*time.Second)
		}
	}
	return wait, time.Since(p.since)+wait < limit
}

// pause is the wait before the next try: 1, 2, 4, then 8 s, each shorter by up
// to a quarter.
func (p *patience) pause() time.Duration {
	d := time.Second << min(p.tries, 3)
	p.tries++
	return d - time.Duration(randomN(int64(d/4)))
}

// retryIn tells how long to wait before a request of the call that came to err
// is made again; false: it is not. The core's RecoveryLimit bounds it all.
func (s *Session) retryIn(p *patience, method sip.Method, err error) (time.Duration, bool) { // [locked]
	if s.usage.state.Ended() {
		return 0, false
	}
	limit := p.limit
	if limit == 0 {
		limit = s.m.core.RecoveryLimit()
	}
	return p.next(method, err, limit)
}

// failed draws the consequences of a request of ours inside d that came to err:
// the call ends with it, or it failed alone. While the call is not up yet, its
// INVITE decides.
func (s *Session) failed(d *dialog.Dialog, method sip.Method, err error) { // [locked]
	t := tollOf(method, sip.StatusOf(err))
	if d == s.leg.dialog && s.leg.excuses(err) { // it never got there
		return
	}
	if d != s.leg.dialog || t == tollNone || t == tollUsage && subscribes(method) {
		return
	}
	if t == tollDialog {
		s.references(d).gone(err)
	}
	end := &EndError{Remote: true, Kind: EndDialogError, Err: err}
	var timeout *sip.TimeoutError
	if errors.As(err, &timeout) {
		end.Remote, end.Kind = false, EndTimeout
	}
	s.step(inDialogGone, event{end: end})
}
