package core

import (
	"log/slog"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/dialog"
	"github.com/gosipua/sipua/sip/transaction"
)

// Incoming is one request that came, with its server transaction (an ACK has
// none and takes no response).
type Incoming struct {
	// OnCancel, INVITE only: a CANCEL came and was answered 200; the usage
	// answers the INVITE 487. Called locked.
	OnCancel func(cancel *sip.Request)

	// OnRecovered, INVITE only: the flow was lost and another one has taken its
	// place. What was said last was sent on it again, but for a 2xx, which
	// RepeatFinal sends where it is still due. Called locked.
	OnRecovered func()

	// OnAgain, INVITE outside of dialogs only: this one's flow was lost, and
	// again is the same INVITE on another way. True: the usage answers again
	// from now on, with our tag in To the same. False, or no OnAgain: it is
	// refused as merged. Called locked.
	OnAgain func(again *Incoming) bool

	// OnLost: the flow is gone and no other came in its place as long as the
	// sender could wait (INVITE: RecoveryLimit), or the core was closed. No
	// final response was made, or it is a 2xx to an INVITE that may not have come
	// through. Called locked.
	OnLost func(err error)

	core   *Core
	link   *link
	req    *sip.Request
	dialog *dialog.Dialog
	tag    string
	server transaction.Server

	others   []*Incoming // the same request on other ways, which get our final response too
	replaced bool        // it is among the others of one that came later
}

// Usage is what a dialog is for: a call, a subscription.
type Usage interface {
	// ReceiveRequest gets each request inside the dialog, ACK and BYE too, with
	// its syntax, CSeq, method and Require already checked. Called locked.
	ReceiveRequest(in *Incoming)
}

// Request returns the request; read-only.
func (in *Incoming) Request() *sip.Request { return in.req }

// Flow returns the flow the request came on; it may be lost.
func (in *Incoming) Flow() Flow { return in.link.Flow }

// Dialog returns the dialog the request is inside of, nil for an initial one.
func (in *Incoming) Dialog() *dialog.Dialog { return in.dialog }

// Tag returns our tag in To: the one the request has, else one that stays the
// same for all responses to this request. Locked.
func (in *Incoming) Tag() string {
	if in.tag == "" {
		if in.tag = in.req.To().Tag(); in.tag == "" {
			in.tag = sip.NewTag()
		}
	}
	return in.tag
}

// SetTag changes our tag, before any response was made with it. Locked.
func (in *Incoming) SetTag(tag string) { in.tag = tag }

// Answered reports whether a final response was made, or none can be any more:
// the flow is gone for good, the core closed, the request an ACK. Locked.
func (in *Incoming) Answered() bool { return in.server.Answered() }

// Down reports whether the flow is gone and none has taken its place yet. What is
// answered meanwhile is kept, the newest of it. Locked.
func (in *Incoming) Down() bool { return in.server.Link() != nil && in.server.Link().Down() }

// Respond sends res, which belongs to the core afterwards; see Down. After a final
// response further ones are ignored, and so are provisional ones other than 100
// to requests other than INVITE (RFC 4320 §4.1). A 2xx to a target refresh
// request inside a dialog moves its remote target (RFC 3261 §12.2.2). Locked.
func (in *Incoming) Respond(res *sip.Response) {
	code := res.StatusCode()
	if in.Answered() || code.IsProvisional() && code != sip.StatusTrying && in.req.Method() != sip.INVITE {
		return
	}
	if in.dialog != nil && code.IsSuccess() && refreshesTarget(in.req.Method()) {
		in.dialog.Refresh(in.req)
	}
	in.server.Respond(res)
	if code.IsFinal() {
		in.answerOthers(code, res.Reason())
	}
}

// Reply is NewResponse with these fields, in place of its own of their names,
// and Respond. A field that cannot be sent is left out. Locked.
func (in *Incoming) Reply(code sip.StatusCode, reason string, fields ...sip.Field) {
	res := in.NewResponse(code, reason)
	_ = res.SetFields(fields...)
	in.Respond(res)
}

// RepeatFinal sends the 2xx to an INVITE again. Over a reliable transport, too,
// the UAS core does so until the ACK comes; the usage has the timer. Locked.
//
// RFC 3261 §13.3.1.4.
func (in *Incoming) RepeatFinal() { in.server.Repeat() }

// Default gives the answer the RFC has for a request nobody takes: 200 to
// OPTIONS (RFC 3261 §11.2), 480 to INVITE, else 501 to a method nobody knows
// and 405. Locked.
func (in *Incoming) Default() {
	switch m := in.req.Method(); {
	case m == sip.OPTIONS:
		in.Reply(sip.StatusOK, "")
	case m == sip.INVITE:
		in.Reply(sip.StatusTemporarilyUnavailable, "")
	default:
		in.Reply(unsupportedMethod(m), "")
	}
}

// serverUser is an Incoming as its transaction sees it.
type serverUser Incoming

// Cancel implements transaction.ServerUser.
func (u *serverUser) Cancel(cancel *sip.Request) {
	switch {
	case u.replaced: // the other way may go on
		(*Incoming)(u).Reply(sip.StatusRequestTerminated, "")
	case u.OnCancel != nil:
		u.OnCancel(cancel)
	}
}

// ACK implements transaction.ServerUser.
func (u *serverUser) ACK(ack *sip.Request) { u.core.receiveInside(u.link, ack) }

// Unanswered implements transaction.ServerUser.
func (u *serverUser) Unanswered() {
	in := (*Incoming)(u)
	in.core.log(slog.LevelWarn, "request not answered by its handler",
		slog.String("method", string(in.req.Method())), slog.String("call_id", in.req.CallID()))
	in.Reply(sip.StatusServerInternalError, "Not Answered")
}

// Recovered implements transaction.ServerUser.
func (u *serverUser) Recovered() {
	if u.OnRecovered != nil && !u.replaced {
		u.OnRecovered()
	}
}

// Fail implements transaction.ServerUser.
func (u *serverUser) Fail(err error) {
	if u.OnLost != nil && !u.replaced {
		u.OnLost(err)
	}
	(*Incoming)(u).answerOthers(sip.StatusTemporarilyUnavailable, "")
}
