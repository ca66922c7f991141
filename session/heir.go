package session

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/dialog"
)

const (
	// tagReplaces is the option tag of RFC 3891 §6.2.
	tagReplaces = "replaces"
	// replaceLimit is how long the far end may take to answer an INVITE that is to
	// replace the dialog: JsSIP says that it can, and never answers.
	replaceLimit = 8 * time.Second
	// byeGrace is how much later than the BYE in the old dialog the 2xx may come:
	// servers overtake each other.
	byeGrace = 2 * time.Second
	// yield is how long who was called leaves it to the caller to replace the
	// dialog, so that not both do. Where they do the caller's INVITE counts.
	yield = time.Second
)

// heir is a new dialog that is to take the place of the call's: made by an INVITE
// with Replaces, of ours or of the far end's (RFC 3891). The call stays the same.
type heir struct {
	s        *Session
	old      *leg
	leg      *leg
	in       *core.Incoming // the far end's INVITE; nil: it is ours
	out      *core.Outgoing // ours; nil: it has not left yet
	held     bool           // the INVITE, or our answer to it, puts the far end on hold
	limit    *core.Timer
	acks     map[string]func() // by the To tag of each 2xx: repeats its ACK
	up       bool              // it has taken the place
	canceled bool              // its INVITE is
	lost     bool              // its connection is gone; its 2xx may come on the next
	open     *exchange         // what was under way in the old dialog when it was replaced
	over     bool              // it came to nothing, or nothing more comes of it
}

// is reports whether l is to take the place of another.
func (h *heir) is(l *leg) bool { return h != nil && h.leg == l }

// other is the leg of the two that is not l.
func (h *heir) other(l *leg) *leg {
	if h.leg == l {
		return h.old
	}
	return h.leg
}

// replaceable reports whether a dialog of ours may take the place of this one.
func (l *leg) replaceable() bool { // [locked]
	return l.replaces && l.dialog != nil && !strings.HasSuffix(l.dialog.RemoteURI().URI.Host, ".invalid") && l.s.usage.state == Confirmed
}

// replaceDialog has a new dialog take the place of l's. Where the far end made the
// call it may be about to do the same.
func (s *Session) replaceDialog(l *leg) { // [locked]
	if s.direction == Inbound {
		s.setUnreachable(true, ErrUnreachable)
		l.way.timer = s.after(yield, func() {
			if l.way.state == wayReplacing && (s.heir == nil || s.heir.in == nil) {
				s.inherit(l)
			}
		})
		return
	}
	s.inherit(l)
}

// inherit makes the INVITE.
func (s *Session) inherit(l *leg) { // [locked]
	switch h := s.heir; {
	case h == nil:
	case h.lost: // the far end may have taken it: it repeats its 2xx for longer
		h.lost = false
		h.limit = s.after(listenFor, func() {
			h.makeWay()
			s.inherit(l)
		})
		return
	default: // one of before still waits for the end of its INVITE
		l.wayStep(wayKept, nil)
		return
	}
	h := &heir{s: s, old: l, leg: s.newLeg(), held: l.holding.LocalHold, acks: map[string]func(){}}
	s.heir = h
	h.limit = s.after(replaceLimit, h.late)
	h.leg.start(&exchange{
		opts:      OfferOptions{Hold: h.held},
		sendOffer: h.invite,
		done:      h.agreed,
	})
}

// invite sends the INVITE: to the far end's own device where its Contact says
// how (RFC 5627), else to its address, where nobody else can take it.
func (h *heir) invite(d Description) { // [locked]
	if h.over {
		return
	}
	s, old := h.s, h.old.dialog
	target := old.RemoteTarget()
	if !target.Params.Has("gr") {
		target = old.RemoteURI().URI
	}
	id := old.ID()
	req := sip.NewRequest(sip.INVITE, target)
	s.logError("INVITE with Replaces", errors.Join(
		req.SetTo(sip.NameAddr{URI: old.RemoteURI().URI}),
		req.SetCallID(sip.NewCallID()),
		req.SetHeader("Replaces", sip.Replaces{CallID: id.CallID, ToTag: id.RemoteTag, FromTag: id.LocalTag}.String()),
		req.SetHeader("Require", tagReplaces), // whoever does not know it must not ring
		req.SetHeader("Supported", strings.Join(slices.DeleteFunc(s.m.core.Supported(), func(tag string) bool {
			return tag == tag100rel
		}), ", ")),
		d.into(req),
	))
	if s.direction == Outbound { // else our own address: servers let nobody call by another
		s.logError("From of INVITE with Replaces", req.SetFrom(old.LocalURI().WithTag(sip.NewTag())))
	}
	s.addPackages(req)
	if s.m.o.SessionTimers {
		s.put(h.leg.timer.initial(), req)
	}
	h.out = &core.Outgoing{
		Request:    req,
		Anonymous:  old.Anonymous(),
		OnResponse: h.response,
		OnFail:     h.failed,
	}
	s.m.core.Send(h.out)
}

// late gives the INVITE up. Should it be answered all the same, it is taken: the
// far end has ended the other dialog then.
func (h *heir) late() { // [locked]
	if h.out == nil {
		h.forget(nil)
		return
	}
	h.canceled = true
	h.out.Cancel()
	h.old.wayStep(wayKept, &sip.TimeoutError{Timer: "Replaces", Method: sip.INVITE})
}

// flowLost takes the loss of the connection that our INVITE left on. The far end
// may have taken it, and ended the other dialog.
func (h *heir) flowLost() { // [locked]
	switch {
	case h == nil || h.in != nil || h.up:
	case h.out == nil:
		h.forget(nil)
	default:
		h.lost = true
		h.limit.Stop()
	}
}

// giveUp ends an INVITE that waits, with the call.
func (h *heir) giveUp() { // [locked]
	switch {
	case h == nil || h.over:
	case h.up:
		h.retire()
	default:
		h.cancel()
		h.forget(nil)
	}
}

// makeWay ends one for another.
func (h *heir) makeWay() { // [locked]
	if h != nil && !h.over {
		h.cancel()
		h.drop(nil)
	}
}

func (h *heir) cancel() { // [locked]
	if h.out != nil {
		h.out.Cancel()
	}
}

func (h *heir) response(res *sip.Response) { // [locked]
	code := res.StatusCode()
	switch {
	case code.IsProvisional():
	case code.IsSuccess():
		h.success(res)
	case !h.over && h.leg.raised(h.out, res) && h.out.Again(func(req *sip.Request) { h.s.put(h.leg.timer.initial(), req) }):
	default:
		h.failed(&sip.ResponseError{Method: sip.INVITE, Response: res})
	}
}

// success takes a 2xx. The first makes the dialog, any other is of a device that
// cannot have it.
func (h *heir) success(res *sip.Response) { // [locked]
	s, tag := h.s, res.To().Tag()
	if ack := h.acks[tag]; ack != nil {
		ack()
		return
	}
	d, err := h.out.NewDialog(res)
	if err != nil {
		h.failed(err)
		return
	}
	d.SetAnonymous(h.old.dialog.Anonymous())
	h.acks[tag] = s.m.core.SendACK(d, h.out, "", nil)
	if h.up || h.over || s.usage.state.Ended() {
		s.byeTo(d, func() {})
		return
	}
	h.leg.dialog = d
	s.m.core.Attach(d, inDialog{h.leg})
	h.leg.learn(res)
	h.takePlace(h.out.LeftOn())
	h.leg.timed(h.out.Sent(), res)
	h.leg.answerCame(contentOf(res).sdp)
}

// mayWin reports whether the far end may be about to answer ours.
func (h *heir) mayWin() bool { return h.out != nil && !h.up && !h.canceled }

// failed ends an INVITE that came to nothing. A far end that says again and again
// that it has no dialog to replace has hung up, and its BYE did not find us.
func (h *heir) failed(err error) { // [locked]
	if h.up || h.over {
		return
	}
	l, s := h.old, h.s
	if l.unknownToFarEnd(err) {
		l.way.declined++
		if l.dialog.RemoteTarget().Params.Has("gr") { // nobody else was asked
			l.way.declined++
		}
	}
	h.forget(err)
	if l.way.declined > 1 && l == s.leg {
		s.step(inDialogGone, event{end: &EndError{Remote: true, Kind: EndDialogError, Err: err}})
	}
}

// unknownToFarEnd reports whether the answer to an INVITE with Replaces says that
// there is no such dialog, or none any more (RFC 3891 §3). Another device of the
// far end's address may have said so.
func (l *leg) unknownToFarEnd(err error) bool { // [locked]
	var refusal *sip.ResponseError
	if !errors.As(err, &refusal) || l.fromServer(refusal.Response) {
		return false
	}
	code := refusal.StatusCode()
	return code == sip.StatusCallDoesNotExist || code == sip.StatusDecline
}

// forget ends an heir that did not take the place.
func (h *heir) forget(err error) { // [locked]
	if h.over {
		return
	}
	h.drop(err)
	if end := h.old.end; end != nil && h.old == h.s.leg { // the BYE that seemed to be part of it
		h.s.step(inBye, event{end: end})
		return
	}
	h.old.wayStep(wayKept, err)
}

// drop lets go of all that an heir has.
func (h *heir) drop(err error) { // [locked]
	h.over = true
	h.limit.Stop()
	h.s.heir = nil
	h.leg.close(errors.Join(errNotReplaced, err))
	if d := h.leg.dialog; d != nil {
		h.s.letGo(d)
	}
}

// errNotReplaced is the outcome of the offer of an INVITE that was to replace a
// dialog and did not.
var errNotReplaced = errors.New("session: dialog not replaced")

// takePlace makes the new dialog the call's. The media of the old one go on until
// the new ones are agreed on.
func (h *heir) takePlace(f core.Flow) { // [locked]
	s, l := h.s, h.leg
	h.up = true
	h.limit.Stop()
	l.resend = func() {} // the ACKs are the heir's
	h.old.wayStep(wayReplaced, nil)
	if h.old.end == nil { // nothing is to be sent in it any more
		h.old.end = &EndError{Kind: EndBye, Err: errReplaced}
	}
	if s.out != nil {
		s.out.won = l
		s.out.forks = append(s.out.forks, l)
	}
	l.dialog.SetState(dialog.Confirmed)
	if !l.agreed {
		l.holding = h.old.holding
	}
	s.lead(l)
	l.comesOver(f)
	h.takeOffers()
	h.open = h.old.stop(errReplaced)
	if a := h.old.accept; a != nil { // its ACK does not matter any more
		a.stop()
		h.old.accept = nil
	}
}

// takeOffers takes over the offers that wait or are under way: they go where the
// call goes.
func (h *heir) takeOffers() { // [locked]
	l, old := h.leg, h.old
	var offers []*exchange
	if held := old.holding.LocalHold; held != h.held { // it changed meanwhile
		offers = append(offers, &exchange{opts: OfferOptions{Hold: held}})
	}
	if x := old.open; x != nil && x.in == nil && !x.restart && !x.asks {
		offers = append(offers, &exchange{opts: x.opts, keepHold: x.keepHold, headers: x.headers, done: x.done})
		x.done = nil
	}
	old.waiting = slices.DeleteFunc(old.waiting, func(x *exchange) bool {
		if !x.restart && !x.asks { // the new dialog has media of its own
			offers = append(offers, x)
		}
		return !x.restart && !x.asks
	})
	for _, x := range offers {
		x.sendOffer = func(d Description) { l.sendOffer(sip.INVITE, d) }
	}
	l.waiting = append(l.waiting, offers...)
}

// agreed takes the outcome of the offer: the old dialog ends, or with it the call.
func (h *heir) agreed(err error) { // [locked]
	s := h.s
	switch {
	case !h.up:
		h.forget(err)
		return
	case s.usage.state.Ended():
		return
	case err != nil:
		s.mediaFailed(err)
		return
	}
	h.retire()
}

// retire ends what is left of the old dialog. A BYE of the far end's may still
// come.
func (h *heir) retire() { // [locked]
	s := h.s
	if h.over {
		return
	}
	h.over, s.heir = true, nil
	h.leg.wayReady()
	s.closeMedia(h.old.media, h.open)
	s.retired = append(s.retired, h.old.dialog)
	s.after(64*t1, func() {
		s.letGo(h.old.dialog)
		s.retired = slices.DeleteFunc(s.retired, func(d *dialog.Dialog) bool { return d == h.old.dialog })
	})
}

// errReplaced is the outcome of what was under way in a dialog when another took
// its place.
var errReplaced = errors.New("session: dialog replaced")

// replacedBy takes an INVITE of the far end's own that is to replace the call's
// dialog: it does not find its way back in that any more. Who knows the tags of
// the dialog and comes through our server could change or end the call inside it
// as well.
func (s *Session) replacedBy(in *core.Incoming) { // [locked]
	req := in.Request()
	c := contentOf(req)
	d, err := in.NewDialog()
	switch {
	case c.refused:
		refuseBody(in)
		return
	case err != nil:
		in.Reply(sip.StatusBadRequest, "Contact missing or malformed")
		return
	case s.m.intervalTooSmall(in):
		return
	case s.heir != nil && s.heir.up:
		retryLater(in)
		return
	case s.heir != nil && s.heir.mayWin() && !s.heir.lost && s.direction == Outbound:
		in.Reply(sip.StatusRequestPending, "")
		return
	case s.leg.end != nil: // its BYE has come
		in.Reply(sip.StatusDecline, "")
		return
	}
	s.heir.makeWay()
	h := &heir{s: s, old: s.leg, in: in, leg: s.attach(d), held: s.leg.holding.LocalHold}
	s.heir = h
	h.leg.learn(req)
	x := &exchange{
		in:   in,
		opts: OfferOptions{Hold: h.held},
		done: func(err error) {
			if err != nil && !in.Answered() {
				in.Reply(sip.StatusServerInternalError, "")
			}
			h.agreed(err)
		},
		refuse: func(code sip.StatusCode, fields []sip.Field, _ error) { in.Reply(code, "", fields...) },
	}
	answer := func(d Description) { h.accept(in, d) }
	if c.has {
		x.sendAnswer = answer
		h.leg.offerCame(x, c.sdp)
		return
	}
	x.sendOffer = answer
	in.OnCancel = func(*sip.Request) { in.Reply(sip.StatusRequestTerminated, "") }
	h.leg.start(x)
}

// accept answers the far end's INVITE, and ends the old dialog (RFC 3891 §3).
func (h *heir) accept(in *core.Incoming, d Description) { // [locked]
	if in.Answered() {
		h.leg.refused(errNotReplaced)
		h.forget(nil)
		return
	}
	h.takePlace(in.Flow())
	h.leg.respondOffer(in, d, nil)
	h.s.byeTo(h.old.dialog, func() {})
}

// sameParty reports whether a request is, as far as it says and a server asserts,
// of the one at the far end of the call.
func (s *Session) sameParty(req *sip.Request) bool { // [locked]
	if !req.From().URI.Equal(s.leg.dialog.RemoteURI().URI) {
		return false
	}
	asserted := req.AssertedIdentity()
	return len(asserted) == 0 || len(s.asserted) == 0 ||
		slices.ContainsFunc(asserted, func(id sip.NameAddr) bool {
			return slices.ContainsFunc(s.asserted, func(was sip.NameAddr) bool { return id.URI.Equal(was.URI) })
		})
}
