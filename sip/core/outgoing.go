package core

import (
	"context"
	"slices"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/dialog"
	"github.com/gosipua/sipua/sip/transaction"
)

// Outgoing is one request of a usage through all its attempts. Fill in the
// exported fields, then hand it to [Core.Send]; after that they are read-only
// and Request belongs to the core.
type Outgoing struct {
	// Request is completed by the core: Via, Max-Forwards, From, To, Contact,
	// Call-ID, CSeq, Route, User-Agent, Supported, Allow and the extra headers,
	// each only where it is absent.
	Request *sip.Request

	// Dialog is the dialog that the request is inside of, nil for none. A 2xx to
	// a target refresh request moves its remote target (RFC 3261 §12.2.1.2).
	Dialog *dialog.Dialog

	Flow Flow          // nil: the one there is for it, or the next one within Wait
	Wait time.Duration // for a flow; 0: RecoveryLimit, negative: not at all, Forever: until Close

	// Repeat sends the request again, with the owner's next CSeq number, when its
	// flow is lost before the final response: on the next flow within Wait. It is
	// for what may be done twice, as BYE.
	Repeat bool

	Preemptive bool // credentials may go before a challenge: REGISTER, PUBLISH
	Anonymous  bool // identity per RFC 3323 §4.1; inside an anonymous dialog always
	Referred   bool // somebody else chose where it goes: only realms that are known get credentials

	// NextSeq returns the CSeq number of a repeated attempt; nil: the dialog's
	// next, outside dialogs one more than before. Called locked.
	NextSeq func() uint32

	// OnResponse gets each 1xx and the final response; for INVITE every 2xx
	// and their repeats (RFC 6026 §8.4). A challenge that is answered does not
	// come here. Called locked.
	OnResponse func(res *sip.Response)

	// OnFail gets the reason why there will be no (further) response: a
	// *sip.TimeoutError, an error that is net.ErrClosed when the flow is gone,
	// context.Canceled after Cancel, the error of Credentials, a *sip.FieldError
	// when Request cannot be sent. Called locked, at most once.
	OnFail func(err error)

	// OnDone, INVITE only: no repeated 2xx will be taken any more, Timer M
	// (RFC 6026 §8.4) is over. Called locked.
	OnDone func()

	core  *Core
	phase phase
	link  *link         // of the newest attempt
	sent  *sip.Request  // the newest attempt
	try   *attempt      // its transaction
	first attempt       // try, of the first attempt
	timer *time.Timer   // while waiting for a flow
	auth  authorization // challenges answered so far

	routed    bool // Route is ours, and chosen anew for another flow
	completed bool
	abandoned bool
	accepted  bool // INVITE: a 2xx came
	cancel    cancellation
}

// phase is where an Outgoing is.
type phase uint8

const (
	idle    phase = iota
	waiting       // for a flow
	asking        // for credentials
	pending       // a transaction has it
	over          // final response or failure
)

// attempt is one transaction of an Outgoing.
type attempt struct {
	transaction.Client
	o    *Outgoing
	mark uint64 // what its flow's silence had heard when it left
}

// Send sends o. Its callbacks come later, never from inside Send. Locked.
func (c *Core) Send(o *Outgoing) {
	o.core = c
	switch err := o.check(); {
	case c.closed != nil:
		o.failLater(c.closed)
	case err != nil:
		o.failLater(err)
	default:
		o.leave()
	}
}

// Sent returns the newest attempt as it left: the request to build ACK and
// dialogs from. nil before the first one has left. Locked.
func (o *Outgoing) Sent() *sip.Request { return o.sent }

// SentOn returns the flow that has the newest attempt: the one it left on, or
// after the loss of that the one its responses come on. nil before the first has
// left. Locked.
func (o *Outgoing) SentOn() Flow {
	if o.try == nil {
		return nil
	}
	return o.try.Link().Flow
}

// LeftOn returns the flow that the newest attempt left on, be it gone or not; nil
// before the first has left. What servers on the way have noted of us, in
// Record-Route or by the Contact, names that one. Locked.
func (o *Outgoing) LeftOn() Flow {
	if o.sent == nil {
		return nil
	}
	return o.link.Flow
}

// Lost returns why the flow of the newest attempt is gone, while a response may
// still come on the next one to the same server; nil when it is not. Locked.
func (o *Outgoing) Lost() error {
	if o.phase != pending {
		return nil
	}
	return o.try.Link().Err()
}

// Abandon stops the callbacks; a transaction runs out by itself, what has not
// left yet never will. Locked.
func (o *Outgoing) Abandon() {
	o.abandoned = true
	if o.phase == waiting || o.phase == asking {
		o.fail(context.Canceled)
	}
}

// leave sends the request on its flow, or waits for one.
func (o *Outgoing) leave() {
	c := o.core
	k := o.choose()
	switch {
	case k == nil && (o.Flow != nil || o.Wait < 0):
		o.failLater(lossError("any server", nil))
		return
	case k == nil:
		if o.phase != waiting {
			o.park(waiting)
		}
		return
	}
	o.unpark()
	if o.wantsToken() {
		o.askToken()
		return
	}
	o.link = k
	err := o.complete()
	if err == nil {
		err = o.authorize()
	}
	if err != nil {
		o.failLater(err)
		return
	}
	a := &o.first
	if o.try != nil {
		a = new(attempt)
	}
	a.o, a.mark = o, k.silence.heard
	o.phase, o.try, o.sent = pending, a, o.Request
	o.cancel.provisional = false
	c.layer.Request(&a.Client, &k.Link, o.Request, a)
}

// choose returns the flow to use, nil when there is none now.
func (o *Outgoing) choose() *link {
	if o.Flow != nil {
		return o.core.linkOf(o.Flow)
	}
	if o.link != nil && !o.link.Down() {
		return o.link // a further attempt goes the way of the first
	}
	return o.core.linkFor(o.Dialog)
}

// park keeps o among those that wait for something other than a response.
func (o *Outgoing) park(p phase) {
	o.phase = p
	o.core.parked = append(o.core.parked, o)
	wait := o.Wait
	if wait == 0 {
		wait = o.core.o.RecoveryLimit
	}
	if p != waiting || wait == Forever {
		return
	}
	o.core.work.Add(1)
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		defer o.core.work.Done()
		o.core.mu.Lock()
		defer o.core.mu.Unlock()
		if o.timer == timer {
			o.timer = nil
			o.fail(lossError("any server", nil))
		}
	})
	o.timer = timer
}

func (o *Outgoing) unpark() {
	if o.phase != waiting && o.phase != asking {
		return
	}
	o.core.parked = slices.DeleteFunc(o.core.parked, func(p *Outgoing) bool { return p == o })
	if o.timer != nil {
		if o.timer.Stop() {
			o.core.work.Done()
		}
		o.timer = nil
	}
	o.auth.stopAsking()
	o.phase = idle
}

// fail ends o.
func (o *Outgoing) fail(err error) {
	if o.phase == over {
		return
	}
	o.unpark()
	o.forgetCancel()
	lost := o.Lost() != nil
	o.phase = over
	if lost && o.Dialog == nil && o.sent.Method() == sip.INVITE {
		o.cancelAfterwards()
	}
	if o.OnFail != nil && !o.abandoned {
		o.OnFail(err)
	}
}

// failLater ends o now and reports it from another goroutine, because whoever
// called here may not be ready for a callback.
func (o *Outgoing) failLater(err error) {
	if o.phase == over {
		return
	}
	o.unpark()
	o.phase = over
	report := func() {
		o.core.mu.Lock()
		defer o.core.mu.Unlock()
		if o.OnFail != nil && !o.abandoned {
			o.OnFail(err)
		}
	}
	if o.core.closed != nil {
		go report() // Wait may be over
		return
	}
	o.core.Go(report)
}

func (o *Outgoing) respond(res *sip.Response) {
	if o.OnResponse != nil && !o.abandoned {
		o.OnResponse(res)
	}
}

// Response implements transaction.ClientUser.
func (a *attempt) Response(res *sip.Response) {
	o := a.o
	code := res.StatusCode()
	switch {
	case o.try != a || o.phase == over && !o.accepted:
		return
	case code.IsProvisional():
		o.cancel.provisional = true
		o.sendCancel()
		o.respond(res)
		return
	case o.challenged(res):
		return
	}
	o.judge(res)
	if o.Dialog != nil && code.IsSuccess() && refreshesTarget(o.sent.Method()) {
		o.Dialog.Refresh(res)
		o.Dialog.SetHop(a.Link().Server) // the far end has our Contact over this one
	}
	o.forgetCancel()
	o.phase = over
	o.accepted = code.IsSuccess() && o.sent.Method() == sip.INVITE
	o.respond(res)
}

// Fail implements transaction.ClientUser.
func (a *attempt) Fail(err error) {
	o, k := a.o, a.o.link
	canceled := o.cancel.sent // 64·T1 after that say nothing of the server
	if o.try == a && o.phase == pending && !o.repeated() {
		o.fail(err)
	}
	if !canceled {
		o.core.unanswered(k, a.mark, err)
	}
}

// repeated sends a request anew that may be repeated and lost its flow.
func (o *Outgoing) repeated() bool {
	if !o.Repeat || o.Flow != nil || !o.try.Link().Down() || o.core.closed != nil || o.abandoned {
		return false
	}
	req := o.sent.Clone()
	if o.numbered(req) != nil {
		return false
	}
	o.Request, o.phase = req, idle
	o.leave()
	return true
}

// Done implements transaction.ClientUser.
func (a *attempt) Done() {
	o := a.o
	if o.try == a && o.accepted && o.OnDone != nil && !o.abandoned {
		o.OnDone()
	}
}
