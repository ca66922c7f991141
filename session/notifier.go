package session

import (
	"fmt"
	"strconv"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

const (
	// notifyPace keeps provisional news apart (RFC 3515 §3.10).
	notifyPace = time.Second
	// notifySlack is how much longer than the call rings a subscription lasts
	// (RFC 3515 §3.4).
	notifySlack = time.Minute
)

// subscription is what the far end has from a REFER that was accepted: it hears
// how the call goes that came of it (RFC 3515 §2.4.4). Its end never ends that
// call. All of it is guarded by the core's mutex.
type subscription struct {
	refs    *references
	id      string // of Event: that of the first REFER in a dialog has none
	seq     string // CSeq number of the REFER
	status  sip.StatusCode
	reason  string
	life    time.Duration // the longest that is granted
	expires time.Time
	expiry  *core.Timer
	pace    *core.Timer // until the next provisional NOTIFY may leave
	held    bool        // one waits for that
	retry   *core.Timer // of a NOTIFY that did not reach the far end
	last    string      // Subscription-State of the NOTIFY that ends it; "": it goes on
	over    bool        // that one is answered
}

// subscribe makes the subscription of a REFER that was accepted, and sends the
// NOTIFY that is due at once.
func (r *references) subscribe(id, seq string, ring time.Duration) *subscription { // [locked]
	u := &subscription{refs: r, id: id, seq: seq, life: ring + notifySlack}
	r.m.refs[r] = struct{}{}
	r.taken = append(r.taken, u)
	u.renew(u.life)
	u.report(sip.StatusTrying, "")
	return u
}

// renew lets the subscription last that long from now.
func (u *subscription) renew(d time.Duration) { // [locked]
	u.expiry.Stop()
	u.expires = time.Now().Add(d)
	u.expiry = u.refs.m.core.After(d, u.lapse)
}

// lapse ends the subscription before the call is decided (RFC 6665 §4.2.1.4).
func (u *subscription) lapse() { u.conclude("timeout") } // [locked]

// report tells the far end how the call goes, once for each new status.
func (u *subscription) report(code sip.StatusCode, reason string) { // [locked]
	if u == nil || u.last != "" || u.status == code || code == sip.StatusEarlyDialogTerminated {
		return
	}
	if reason == "" {
		reason = code.Reason()
	}
	u.status, u.reason = code, reason
	switch {
	case code.IsFinal():
		u.conclude("noresource") // RFC 3515 §2.4.7
	case u.pace != nil && !u.pace.Over():
		u.held = true
	default:
		u.tell()
	}
}

// tell sends the present state of a call that is not decided.
func (u *subscription) tell() { // [locked]
	u.held = false
	u.pace.Stop()
	u.pace = u.refs.m.core.After(notifyPace, func() {
		if u.held {
			u.tell()
		}
	})
	u.notify(&patience{since: time.Now()})
}

// conclude sends the last NOTIFY.
func (u *subscription) conclude(reason string) { // [locked]
	if u.last != "" {
		return
	}
	u.last = "terminated;reason=" + reason
	u.stop()
	u.notify(&patience{since: time.Now()})
}

func (u *subscription) stop() { // [locked]
	u.expiry.Stop()
	u.pace.Stop()
	u.retry.Stop()
}

// end forgets the subscription.
func (u *subscription) end() { // [locked]
	if u.over {
		return
	}
	u.over, u.last = true, "terminated"
	u.stop()
	u.refs.drop(u)
}

// notify sends a NOTIFY with what is known now. p is how often it was tried.
func (u *subscription) notify(p *patience) { // [locked]
	d, last := u.refs.dialog, u.last
	state := last
	if last == "" {
		left := (time.Until(u.expires) + time.Second - 1) / time.Second
		state = fmt.Sprintf("active;expires=%d", left)
	}
	event := sip.Event{Package: referPackage}
	if u.id != "" {
		event.Params = event.Params.With("id", u.id)
	}
	req := d.NewRequest(sip.NOTIFY)
	_ = req.SetHeader("Event", event.String()) // ours: they can be sent
	_ = req.SetHeader("Subscription-State", state)
	_ = req.SetBody(sipfragType+";version=2.0", fmt.Appendf(nil, "SIP/2.0 %d %s\r\n", int(u.status), u.reason))
	u.refs.m.core.Send(&core.Outgoing{
		Request: req, Dialog: d,
		OnResponse: func(res *sip.Response) {
			switch code := res.StatusCode(); {
			case code.IsSuccess() && last != "":
				u.end()
			case code.IsFinal() && !code.IsSuccess():
				u.refused(p, &sip.ResponseError{Method: sip.NOTIFY, Response: res})
			}
		},
		OnFail: func(err error) { u.refused(p, err) },
	})
}

// refused takes the failure of a NOTIFY: it is made again where the far end may
// be back soon, else a far end that does not know the subscription has none any
// more (RFC 6665 §4.2.2, RFC 5057 §5.1). The call that came of the REFER goes on.
func (u *subscription) refused(p *patience, err error) { // [locked]
	if u.over {
		return
	}
	code := sip.StatusOf(err)
	if wait, again := p.next(sip.NOTIFY, err, u.refs.m.core.RecoveryLimit()); again {
		u.retry.Stop()
		u.retry = u.refs.m.core.After(wait, func() { u.notify(p) })
		return
	}
	s := u.refs.s
	t := tollOf(sip.NOTIFY, code)
	if t != tollNone || code == 0 || u.last != "" {
		u.end()
	}
	if t == tollDialog && s != nil && !s.usage.state.Ended() {
		s.failed(u.refs.dialog, sip.NOTIFY, err)
	}
}

// subscribed takes a SUBSCRIBE of the far end's that refreshes the subscription
// or ends it (RFC 6665 §4.2.1.4).
func (u *subscription) subscribed(in *core.Incoming) { // [locked]
	d := u.life
	if seconds, ok := in.Request().Expires(); ok {
		d = min(d, time.Duration(seconds)*time.Second)
	}
	in.Reply(sip.StatusOK, "", sip.Field{Name: "Expires", Value: strconv.Itoa(int(d / time.Second))})
	if d == 0 {
		u.lapse()
		return
	}
	u.renew(d)
	u.tell()
}
