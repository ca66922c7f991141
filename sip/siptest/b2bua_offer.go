package siptest

import (
	"strconv"
	"time"

	"github.com/gosipua/sipua/sip"
)

// receiveOffer takes a re-INVITE or an UPDATE of the client: one with an offer,
// and a re-INVITE without, go on to the other leg.
func (l *Leg) receiveOffer(c *Conn, req *sip.Request) {
	s := l.server
	refuse := func(code sip.StatusCode, fields ...sip.Field) {
		res := s.dress(sip.NewResponse(req, code, ""), l)
		for _, f := range fields {
			addField(res, f)
		}
		s.reply(c, req, res)
	}
	invite := req.Method() == sip.INVITE
	if res := s.tooBrief(req); res != nil {
		s.reply(c, req, s.dress(res, l))
		return
	}
	if !invite && len(req.Body()) == 0 { // a refresh, or a new Contact: this leg's alone
		res := s.dress(sip.NewResponse(req, sip.StatusOK, ""), l)
		l.grantSession(req, res)
		s.send(c, res)
		return
	}
	peer := l.peer
	early := peer == nil && len(l.call.rings) == 1 && !invite // an offer in an early dialog
	if early {
		peer = l.call.rings[0]
	}
	switch {
	case l.invite != nil && (invite || l.state == legUp):
		refuse(sip.StatusServerInternalError, sip.Field{Name: "Retry-After", Value: "1"})
		return
	case l.ours != nil, l.unacked != nil, peer == nil, peer.remoteTag == "", invite && l.state != legUp:
		refuse(sip.StatusRequestPending)
		return
	}
	before := l.invite // of the call itself, for an UPDATE in its early dialog
	l.invite = &invitation{req: req, conn: c}
	if invite {
		s.invitations[exchangeKey(req)] = l
		s.send(c, s.dress(sip.NewResponse(req, sip.StatusTrying, ""), nil))
	}
	if len(req.Body()) > 0 {
		l.noteShape(sdpLines(req.Body()))
	}
	answer := func(code sip.StatusCode, body []byte, fields ...sip.Field) {
		l.respond(code, body, fields...)
		if before != nil {
			l.invite = before
		}
	}
	if early { // beside the INVITE
		peer.forwardOffer(l, req, answer)
		return
	}
	peer.whenFree(func() {
		if l.state != legOver && l.invite != nil {
			peer.forwardOffer(l, req, answer)
		}
	})
}

// forwardOffer sends the offer of another leg's client, or its wish for one, to
// the client of l.
func (l *Leg) forwardOffer(from *Leg, req *sip.Request, answer func(sip.StatusCode, []byte, ...sip.Field)) {
	offer := req.Body()
	done := func(r *request, res *sip.Response) {
		switch code := res.StatusCode(); {
		case code.IsProvisional():
			return
		case !code.IsSuccess():
			answer(code, nil)
			if endsDialog(code) {
				l.call.hangup(nil, code)
			}
			return
		case len(offer) > 0:
			from.description, l.description = offer, res.Body()
			l.noteShape(sdpLines(res.Body()))
			settle(from, l)
			if req.Method() == sip.INVITE {
				r.acknowledge(nil)
			}
			answer(code, from.describe(res.Body(), offer))
			return
		}
		theirs := res.Body()
		l.description = theirs
		answer(sip.StatusOK, from.describe(theirs, nil))
		if from.unacked == nil { // gone meanwhile
			r.acknowledge(nil)
			return
		}
		from.unacked.ack = func(body []byte) {
			from.description = body
			settle(l, from)
			r.acknowledge(l.describe(body, theirs))
			l.release()
		}
		l.ours = r // until the ACK
	}
	l.offer(req.Method(), l.describe(offer, nil), func(out *sip.Request) { pass(req, out) }, done)
}

// endsDialog reports refusals inside a dialog after which there is none (RFC
// 5057 §5.1).
func endsDialog(code sip.StatusCode) bool {
	return code == sip.StatusCallDoesNotExist || code == sip.StatusRequestTimeout
}

// offer sends a re-INVITE, or an UPDATE, and notes that it is under way.
func (l *Leg) offer(m sip.Method, body []byte, change func(*sip.Request), done func(*request, *sip.Response)) {
	before := l.ours // an INVITE whose early dialog this is in
	l.ours = l.send(m, body, func(req *sip.Request) {
		if change != nil {
			change(req)
		}
		l.askSession(req)
	}, func(r *request, res *sip.Response) {
		if !res.StatusCode().IsFinal() {
			return
		}
		l.ours = nil
		if before != nil && !before.done {
			l.ours = before
		}
		if res.StatusCode().IsSuccess() {
			l.takeSession(res)
		}
		done(r, res)
		l.nowFree()
	})
}

// reinvite shows the client a description of its far end again, in a re-INVITE
// whose answer concerns nobody else.
func (l *Leg) reinvite(description []byte, done func(sip.StatusCode)) {
	l.offer(sip.INVITE, l.describe(description, nil), nil, func(r *request, res *sip.Response) {
		if res.StatusCode().IsSuccess() {
			r.acknowledge(nil)
		}
		if done != nil {
			done(res.StatusCode())
		}
	})
}

// whenFree runs f as soon as no INVITE of ours is under way on the leg.
func (l *Leg) whenFree(f func()) {
	if l.ours == nil && l.unacked == nil {
		f()
		return
	}
	l.free = append(l.free, f)
}

func (l *Leg) nowFree() {
	for l.ours == nil && l.unacked == nil && len(l.free) > 0 && l.state != legOver {
		f := l.free[0]
		l.free = l.free[1:]
		f()
	}
}

func (l *Leg) release() {
	l.ours = nil
	l.nowFree()
}

// session is the session timer of a leg (RFC 4028).
type session struct {
	seconds int
	timer   *time.Timer
}

// tooBrief is the 422 to a session interval below the minimum, nil for others.
func (s *Server) tooBrief(req *sip.Request) *sip.Response {
	se, ok := req.SessionExpires()
	if !ok || se.Seconds >= s.traits.minSE {
		return nil
	}
	res := s.newResponse(req, sip.StatusSessionIntervalTooSmall)
	addInt(res, "Min-SE", s.traits.minSE)
	return res
}

// askSession puts our wish for a session timer into a request.
func (l *Leg) askSession(req *sip.Request) {
	t := l.server.traits
	value := strconv.Itoa(t.sessionExpires)
	if l.session.seconds > 0 {
		value = strconv.Itoa(l.session.seconds) + ";refresher=uac"
	}
	_ = req.SetHeader("Session-Expires", value)
	addInt(req, "Min-SE", t.minSE)
}

// takeSession reads what the client makes of that.
func (l *Leg) takeSession(res *sip.Response) {
	se, ok := res.SessionExpires()
	if !ok {
		l.startSession(0, false)
		return
	}
	l.startSession(se.Seconds, se.Refresher == "uac")
}

// grantSession answers a session timer that the client asks for, or asks it for
// one: the server refreshes unless the client wants to.
func (l *Leg) grantSession(req *sip.Request, res *sip.Response) {
	se, ok := req.SessionExpires()
	if !ok && (!req.HasToken("Supported", "timer") || req.Method() == sip.UPDATE) {
		return
	}
	seconds, refresher := l.server.traits.sessionExpires, "uas"
	if ok {
		seconds = se.Seconds
	}
	if se.Refresher == "uac" {
		refresher = "uac"
		addField(res, sip.Field{Name: "Require", Value: "timer"})
	}
	_ = res.SetHeader("Session-Expires", strconv.Itoa(seconds)+";refresher="+refresher)
	l.startSession(seconds, refresher == "uas")
}

func (l *Leg) startSession(seconds int, ours bool) {
	if l.session.timer != nil {
		l.session.timer.Stop()
	}
	l.session = session{seconds: seconds}
	whole := time.Duration(seconds) * time.Second
	switch {
	case seconds <= 0:
	case ours:
		l.session.timer = l.after(whole/2, func() { l.refresh(nil) })
	default:
		l.session.timer = l.after(whole-min(timeout, whole/3), func() { l.call.hangup(nil, sip.StatusRequestTimeout) })
	}
}

// refresh refreshes the session, by UPDATE where the server likes that better and
// the client allows it.
func (l *Leg) refresh(done func(sip.StatusCode)) {
	l.whenFree(func() {
		if l.server.traits.refreshBy == sip.UPDATE && l.allows(sip.UPDATE) {
			l.update(done)
			return
		}
		if l.peer == nil { // it is being connected, which refreshes it too
			l.startSession(l.session.seconds, true)
			return
		}
		l.reinvite(l.peer.description, done)
	})
}

// update sends an UPDATE without an offer: a refresh, and who is connected.
func (l *Leg) update(done func(sip.StatusCode)) {
	l.send(sip.UPDATE, nil, func(req *sip.Request) {
		l.askSession(req)
		if l.asserted != "" {
			addField(req, sip.Field{Name: "P-Asserted-Identity", Value: l.asserted})
		}
	}, func(_ *request, res *sip.Response) {
		if res.StatusCode().IsSuccess() {
			l.takeSession(res)
		}
		if done != nil && res.StatusCode().IsFinal() {
			done(res.StatusCode())
		}
	})
}
