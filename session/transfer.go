package session

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

const (
	sipfragType = "message/sipfrag"

	// referLife bounds a subscription of ours, whatever the far end grants.
	referLife = time.Hour
	// referGrace is what a subscription of ours is given beyond its expiry, for
	// the NOTIFY that ends it; and how long the first NOTIFY may take (Timer N,
	// RFC 6665 §4.1.2.4).
	referGrace = 64 * t1
	// referDefault is the duration of a subscription whose NOTIFY names none.
	referDefault = 5 * time.Minute
)

// ErrTransferred is behind the end of a call that was hung up because its far
// end has been handed over.
var ErrTransferred = errors.New("session: far end was transferred")

// TransferProgress is what is known of a transfer of ours (RFC 3515 §2.4.5).
type TransferProgress struct {
	Transfer *Transfer
	// Status is what the far end heard last from the target; zero where it does
	// not say. It is the far end's word and no more.
	Status sip.StatusCode
	// Reason is the reason phrase with it.
	Reason string
	// Final: this is the outcome, nothing follows.
	Final bool
	// Err is, with Final, why the transfer came to nothing, as Wait returns it;
	// nil when the target has answered.
	Err error
}

// TransferError says why a transfer came to nothing, or that nobody will ever
// tell. For errors.Is and sip.StatusOf it is its Status.
type TransferError struct {
	// Status is the final status that the far end got from the target; zero: it
	// told none.
	Status sip.StatusCode
	// Phrase is the reason phrase with it.
	Phrase string
	// Reason is why the subscription ended that told no final status: the reason
	// of its Subscription-State, such as "rejected", "timeout", "giveup" or
	// "noresource" (RFC 6665 §4.1.3).
	Reason string
	// RetryAfter is how long the far end wants to be left alone; zero: it does not
	// say (RFC 3515 §2.4.7).
	RetryAfter time.Duration
	// Err is a *sip.TimeoutError where the far end fell silent, net.ErrClosed, or
	// what ended the dialog.
	Err error
}

// Error describes the failure in one line.
func (e *TransferError) Error() string {
	switch {
	case e.Status != 0:
		return fmt.Sprintf("session: transfer failed: %d %s", int(e.Status), e.Phrase)
	case e.Err != nil:
		return "session: outcome of the transfer unknown: " + e.Err.Error()
	}
	return "session: outcome of the transfer unknown: subscription ended: " + e.Reason
}

// Unwrap returns Status and Err, as far as they are there.
func (e *TransferError) Unwrap() []error {
	var all []error
	if e.Status != 0 {
		all = append(all, e.Status)
	}
	if e.Err != nil {
		all = append(all, e.Err)
	}
	return all
}

// Transfer is a REFER of ours that the far end has agreed to, and what comes of
// it. Its methods may be called from any goroutine and from any handler.
type Transfer struct {
	refs     *references
	target   sip.NameAddr
	progress func(TransferProgress) // may be nil
	hangup   bool                   // the call ends with the transfer's success
	done     chan struct{}          // closed with the outcome

	// guarded by the core's mutex
	state subscriberState
	seq   uint32 // CSeq of the REFER
	taken bool   // seq is final: a challenge may have changed it
	last  TransferProgress
	err   error
	timer *core.Timer
}

// Target is what the far end was asked to call: the Refer-To that it was sent.
func (t *Transfer) Target() sip.NameAddr { return t.target }

// Done is closed when the outcome is known, or that it never will be.
func (t *Transfer) Done() <-chan struct{} { return t.done }

// Wait returns the outcome: nil when the target has answered the far end, else
// a *[TransferError]. Where ReferOptions.NoSubscription was granted it is nil at
// once, for nobody tells. The end of ctx ends the waiting only.
func (t *Transfer) Wait(ctx context.Context) error {
	select {
	case <-t.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return t.err // written before done was closed
}

// Progress is what was told last.
func (t *Transfer) Progress() TransferProgress {
	t.refs.m.core.Lock()
	defer t.refs.m.core.Unlock()
	return t.last
}

// step feeds the subscription's machine and performs what it answers. False: the
// application is too far behind, and nothing has happened.
func (t *Transfer) step(in subscriberInput, p TransferProgress) bool { // [locked]
	next, do := t.state.step(in)
	p.Transfer, p.Final = t, do&subSettle != 0
	if do&subTell != 0 && !t.tell(p) {
		return false
	}
	t.state = next
	if do&(subTell|subSettle) != 0 {
		t.last = p
	}
	if do&subSettle != 0 {
		t.err = p.Err
		close(t.done)
		if s := t.refs.s; p.Err == nil && t.hangup && s != nil && !s.usage.state.Ended() {
			s.hangup(ErrTransferred)
		}
	}
	if do&subForget != 0 {
		t.timer.Stop()
		t.refs.forget(t)
	}
	return true
}

func (t *Transfer) tell(p TransferProgress) bool { // [locked]
	h := t.progress
	switch {
	case h == nil:
		return true
	case p.Final:
		t.refs.events.PushFinal(func() { h(p) })
		return true
	}
	return t.refs.events.Push(func() { h(p) })
}

// agreed takes the 2xx to the REFER.
func (t *Transfer) agreed(res *sip.Response) { // [locked]
	t.seq, t.taken = res.CSeq().Seq, true // another one after a challenge
	if refusesSubscription(res) {
		t.step(subSilent, t.last)
		return
	}
	if t.step(subAgreed, t.last); t.timer == nil {
		t.expectWithin(referGrace)
	}
}

// expectWithin gives the transfer up when no NOTIFY comes for so long.
func (t *Transfer) expectWithin(d time.Duration) { // [locked]
	t.timer.Stop()
	if t.state == subOver {
		return
	}
	t.timer = t.refs.m.core.After(min(d, referLife), func() {
		t.lost(&sip.TimeoutError{Timer: "N", Method: sip.NOTIFY})
	})
}

// lost ends a transfer whose outcome nobody will tell.
func (t *Transfer) lost(why error) { // [locked]
	p := t.last
	p.Err = &TransferError{Err: why}
	t.step(subLapsed, p)
}

// notified takes a NOTIFY of the subscription.
func (t *Transfer) notified(in *core.Incoming) { // [locked]
	req := in.Request()
	state, _ := req.SubscriptionState()
	ended := state.State == "terminated"
	p := TransferProgress{Status: t.last.Status, Reason: t.last.Reason}
	if body := req.Body(); len(body) > 0 || !ended {
		if req.ContentType() != sipfragType {
			in.Reply(sip.StatusUnsupportedMediaType, "", sip.Field{Name: "Accept", Value: sipfragType})
			return
		}
		var ok bool
		if p.Status, p.Reason, ok = parseSipfrag(string(body)); !ok {
			in.Reply(sip.StatusBadRequest, "sipfrag malformed")
			return
		}
	}
	if p.Status.IsProvisional() && len(req.Body()) > 0 && state.Reason() == "" {
		ended = false // SIP.js calls each NOTIFY the last one, and goes on
	}
	input := subNews
	switch {
	case ended:
		input = subLast
	case p.Status.IsFinal():
		input = subOutcome
	}
	switch {
	case p.Status.IsFinal() && !p.Status.IsSuccess():
		p.Err = &TransferError{Status: p.Status, Phrase: p.Reason}
	case ended && !p.Status.IsFinal():
		after, _ := state.RetryAfter()
		p.Err = &TransferError{Reason: state.Reason(), RetryAfter: time.Duration(after) * time.Second}
	}
	if !ended {
		t.renew(state)
	}
	if !t.step(input, p) {
		retryLater(in)
		return
	}
	in.Reply(sip.StatusOK, "")
}

// renew takes over how long the subscription lasts from now on
// (RFC 6665 §4.1.3).
func (t *Transfer) renew(state sip.SubscriptionState) { // [locked]
	left := referDefault
	if seconds, ok := state.Expires(); ok {
		left = time.Duration(seconds) * time.Second
	}
	t.expectWithin(left + referGrace)
}

// matches reports whether an id parameter names the transfer.
func (t *Transfer) matches(id string) bool { return id == strconv.FormatUint(uint64(t.seq), 10) }

// parseSipfrag reads the status line that a message/sipfrag body starts with
// (RFC 3420, RFC 3515 §2.4.5).
func parseSipfrag(body string) (code sip.StatusCode, reason string, ok bool) {
	line, _, _ := strings.Cut(body, "\n")
	rest, ok := strings.CutPrefix(strings.TrimRight(line, "\r"), "SIP/2.0 ")
	if !ok {
		return 0, "", false
	}
	digits, reason, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 100 || n > 699 {
		return 0, "", false
	}
	return sip.StatusCode(n), reason, true
}
