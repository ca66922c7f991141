package siptest

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosipua/sipua/sip"
)

// maxConnects is how often a leg that answers 491 is asked anew.
const maxConnects = 6

// receiveRefer carries a REFER out: the far end of the client is connected with
// somebody else (RFC 5589 in the place of the transferee).
func (l *Leg) receiveRefer(c *Conn, req *sip.Request) {
	s := l.server
	refuse := func(code sip.StatusCode) { s.send(c, s.dress(sip.NewResponse(req, code, ""), l)) }
	to, ok := req.ReferTo()
	switch {
	case !ok:
		refuse(sip.StatusBadRequest)
		return
	case l.peer == nil || l.state != legUp:
		refuse(sip.StatusRequestPending)
		return
	}
	sub := &referral{leg: l, id: strconv.FormatUint(uint64(req.CSeq().Seq), 10)}
	sub.silent = strings.EqualFold(req.Header("Refer-Sub"), "false")
	accepted := s.dress(sip.NewResponse(req, sip.StatusAccepted, ""), l)
	if sub.silent {
		addField(accepted, sip.Field{Name: "Refer-Sub", Value: "false"})
	} else {
		addInt(accepted, "Expires", 60)
	}
	s.send(c, accepted)
	sub.notify(sip.StatusTrying)

	progress := func(code sip.StatusCode) {
		if s.traits.referProgress {
			sub.notify(code)
		}
	}
	done := func(code sip.StatusCode) {
		sub.notify(code)
		if code.IsSuccess() {
			l.end(s.traits.reason(0), 0)
		}
	}
	if text, ok := to.URI.Header("Replaces"); ok {
		replaces, err := sip.ParseReplaces(text)
		other := s.legs[dialogKey(replaces.CallID, replaces.ToTag)]
		switch {
		case err != nil || other == nil || other.remoteTag != replaces.FromTag || other.call == l.call:
			done(sip.StatusCallDoesNotExist)
		case other.state == legUp && other.peer != nil:
			l.call.join(l, other, done)
		case other.state == legEarly && other.invite != nil && other.call.taken == nil:
			l.call.joinEarly(l, other, done)
		default:
			done(sip.StatusCallDoesNotExist)
		}
		return
	}
	l.call.transfer(l, to.URI, req, progress, done)
}

// referral is the subscription that a REFER makes.
type referral struct {
	leg    *Leg
	id     string
	silent bool
	ended  bool
}

func (r *referral) notify(code sip.StatusCode) {
	l := r.leg
	if r.silent || r.ended || l.state == legOver {
		return
	}
	r.ended = code.IsFinal()
	l.send(sip.NOTIFY, nil, func(req *sip.Request) {
		addField(req, sip.Field{Name: "Event", Value: "refer;id=" + r.id})
		state := "active;expires=60"
		if r.ended {
			state = "terminated;reason=noresource"
		}
		addField(req, sip.Field{Name: "Subscription-State", Value: state})
		body := "SIP/2.0 " + strconv.Itoa(int(code)) + " " + code.Reason() + "\r\n"
		_ = req.SetBody("message/sipfrag;version=2.0", []byte(body))
	}, nil)
}

// transfer connects the far end of leg with a user. leg stays until that has come
// about; like is a REFER whose Referred-By goes on, or nil.
func (c *Call) transfer(leg *Leg, to sip.URI, like *sip.Request, progress, done func(sip.StatusCode)) {
	s := c.server
	keep := leg.peer
	probe := sip.NewRequest(sip.INVITE, to)
	targets, code := s.locate(probe, nil)
	if len(targets) == 0 || targets[0].script != nil {
		done(max(code, sip.StatusNotFound))
		return
	}
	from := keep.remote
	if !keep.uas {
		from = sip.NameAddr{URI: sip.URI{Scheme: "sip", User: sip.EscapeUser(keep.user), Host: s.options.Host}}
	}
	fresh := s.clientLeg(targets[0], to.UserText(), from, sip.NameAddr{URI: to.AOR()})
	fresh.call = c
	keep.peer, leg.peer = nil, nil
	c.rings = append(c.rings, fresh)
	giveUp := func(code sip.StatusCode) {
		c.rings = slices.DeleteFunc(c.rings, func(o *Leg) bool { return o == fresh })
		fresh.end(s.traits.reason(code), code)
		if leg.state == legOver { // nobody is left for it
			done(code)
			c.hangup(nil, code)
			return
		}
		keep.peer, leg.peer = leg, keep
		done(code)
	}
	fresh.invitePeer(nil, like, func(r *request, res *sip.Response) {
		switch code := res.StatusCode(); {
		case code.IsProvisional():
			progress(code)
		case code.IsSuccess():
			fresh.takeSession(res)
			c.bridge(keep, fresh, r, res.Body(), func(code sip.StatusCode) {
				if !code.IsSuccess() {
					giveUp(code)
					return
				}
				c.replace(leg, fresh)
				done(code)
			})
		default:
			fresh.over()
			giveUp(code)
		}
	})
}

// replace puts another leg into the place of one that goes.
func (c *Call) replace(leg, by *Leg) {
	c.rings = slices.DeleteFunc(c.rings, func(o *Leg) bool { return o == by })
	by.call = c
	if c.caller == leg {
		c.caller = by
	} else {
		c.callee = by
	}
	leg.peer = nil
}

// join connects the far ends of two legs of one client, which both go (RFC 5589
// §7).
func (c *Call) join(leg, other *Leg, done func(sip.StatusCode)) {
	keep, moved := leg.peer, other.peer
	old := other.call
	keep.peer, leg.peer, other.peer, moved.peer = nil, nil, nil, nil
	finish := func(code sip.StatusCode) {
		if !code.IsSuccess() {
			keep.peer, leg.peer, other.peer, moved.peer = leg, keep, moved, other
			done(code)
			return
		}
		old.over = true
		delete(c.server.calls, old)
		c.replace(leg, moved)
		other.end(c.server.traits.reason(0), 0)
		done(code)
	}
	moved.whenFree(func() {
		moved.offer(sip.INVITE, nil, nil, func(r *request, res *sip.Response) {
			if !res.StatusCode().IsSuccess() {
				finish(res.StatusCode())
				return
			}
			moved.ours = r
			c.bridge(keep, moved, r, res.Body(), finish)
		})
	})
}

// joinEarly is join while the call of other still rings: its caller goes at once,
// and who answers is connected with the far end of leg.
func (c *Call) joinEarly(leg, other *Leg, done func(sip.StatusCode)) {
	keep, old := leg.peer, other.call
	keep.peer, leg.peer = nil, nil
	finish := func(code sip.StatusCode) {
		if !code.IsSuccess() && leg.state != legOver {
			keep.peer, leg.peer = leg, keep
		} else if !code.IsSuccess() {
			c.hangup(nil, code)
		}
		done(code)
	}
	old.taken = func(moved *Leg, code sip.StatusCode) {
		if moved == nil {
			finish(code)
			return
		}
		old.over = true
		delete(c.server.calls, old)
		moved.call = c
		c.rings = append(c.rings, moved)
		moved.offer(sip.INVITE, nil, nil, func(r *request, res *sip.Response) {
			if !res.StatusCode().IsSuccess() {
				moved.end(c.server.traits.reason(0), 0)
				finish(res.StatusCode())
				return
			}
			moved.ours = r
			c.bridge(keep, moved, r, res.Body(), func(code sip.StatusCode) {
				if code.IsSuccess() {
					c.replace(leg, moved)
				} else {
					moved.end(c.server.traits.reason(0), 0)
				}
				finish(code)
			})
		})
	}
	other.refuseInvite(0)
	other.over()
}

// bridge gives keep the offer that other's 2xx has brought, and other the answer
// in its ACK: RFC 3725 flow I.
func (c *Call) bridge(keep, other *Leg, r *request, offer []byte, done func(sip.StatusCode)) {
	other.description = offer
	other.noteShape(sdpLines(offer))
	if c.server.traits.asserts {
		u := sip.URI{Scheme: "sip", User: sip.EscapeUser(other.user), Host: c.server.options.Domain}
		keep.asserted = sip.NameAddr{URI: u}.String()
	}
	tries := 0
	var try func()
	try = func() {
		keep.offer(sip.INVITE, keep.describe(offer, nil), func(req *sip.Request) {
			if keep.asserted != "" {
				addField(req, sip.Field{Name: "P-Asserted-Identity", Value: keep.asserted})
			}
		}, func(kr *request, res *sip.Response) {
			tries++
			code := res.StatusCode()
			switch {
			case code == sip.StatusRequestPending && tries < maxConnects && keep.state == legUp && other.state == legUp:
				keep.after(2*time.Second, func() { keep.whenFree(try) })
			case !code.IsSuccess():
				r.acknowledge(nil)
				other.release()
				done(code)
			default:
				answer := res.Body()
				keep.description = answer
				kr.acknowledge(nil)
				keep.peer, other.peer = other, keep
				settle(other, keep)
				r.acknowledge(other.describe(answer, offer))
				other.release()
				done(code)
			}
		})
	}
	if keep.state == legOver {
		r.acknowledge(nil)
		other.release()
		done(sip.StatusRequestTerminated)
		return
	}
	keep.whenFree(try)
}

// pickUp takes an INVITE with Replaces: the new leg comes into the place of the
// one that it names (RFC 3891 §3).
func (s *Server) pickUp(c *Conn, req *sip.Request, replaces sip.Replaces) {
	old := s.legs[dialogKey(replaces.CallID, replaces.ToTag)]
	if old == nil || old.remoteTag != replaces.FromTag || old.peer == nil || old.state != legUp || len(req.Body()) == 0 {
		s.reply(c, req, s.dress(s.newResponse(req, sip.StatusCallDoesNotExist), nil))
		return
	}
	keep := old.peer
	l := s.serverLeg(c, req)
	l.call = old.call
	l.peer = keep
	keep.whenFree(func() {
		if l.invite == nil || keep.state != legUp {
			l.end("", 0)
			return
		}
		keep.forwardOffer(l, req, func(code sip.StatusCode, body []byte, fields ...sip.Field) {
			l.respond(code, body, fields...)
			if !code.IsSuccess() {
				l.over()
				return
			}
			l.state = legUp
			l.call.replace(old, l)
			keep.peer = l
			old.end(s.traits.reason(0), 0)
		})
	})
}

// passMessage takes a MESSAGE outside a dialog for delivery.
func (s *Server) passMessage(c *Conn, req *sip.Request, targets []target) {
	s.send(c, s.dress(s.newResponse(req, s.traits.accepts), nil))
	for _, t := range targets {
		out := sip.NewRequest(sip.MESSAGE, t.uri)
		_ = out.SetHeader("Max-Forwards", "70")
		_ = out.SetFrom(req.From().WithTag(sip.NewTag()))
		_ = out.SetTo(req.To())
		_ = out.SetCallID(s.newCallID())
		_ = out.SetCSeq(sip.CSeq{Seq: 1, Method: sip.MESSAGE})
		pass(req, out)
		if len(req.Body()) > 0 {
			_ = out.SetBody(req.Header("Content-Type"), req.Body())
		}
		s.transact(t.conn, out, nil, nil)
	}
}

// qualify sends OPTIONS to every contact, and again after a while.
func (s *Server) qualify() {
	now := time.Now()
	var users []string
	for user, a := range s.accounts {
		if len(a.current(now)) > 0 {
			users = append(users, user)
		}
	}
	if len(users) == 0 {
		s.qualifier = nil // until somebody registers
		return
	}
	slices.Sort(users)
	for _, user := range users {
		for _, b := range s.accounts[user].current(now) {
			if !s.isAlive(b.conn) {
				continue
			}
			out := sip.NewRequest(sip.OPTIONS, b.contact.URI)
			_ = out.SetHeader("Max-Forwards", "70")
			own := s.ownContact(s.traits.contactUser != "", s.traits.contactUser)
			_ = out.SetFrom(own.WithTag(sip.NewTag()))
			_ = out.SetTo(sip.NameAddr{URI: b.contact.URI})
			_ = out.SetCallID(s.newCallID())
			_ = out.SetCSeq(sip.CSeq{Seq: 1, Method: sip.OPTIONS})
			addField(out, sip.Field{Name: "Contact", Value: own.String()})
			s.transact(b.conn, out, nil, func(_ *request, res *sip.Response) {
				if res.StatusCode().IsSuccess() {
					s.counters.Qualified++
				}
			})
		}
	}
	s.qualifier.Reset(s.options.Qualify)
}

// startQualifying begins to watch contacts with the first of them.
func (s *Server) startQualifying() {
	if s.traits == nil || s.options.Qualify <= 0 || s.qualifier != nil || s.closed {
		return
	}
	s.qualifier = time.AfterFunc(s.options.Qualify, func() {
		s.mu.Lock()
		defer s.unlock()
		if !s.closed && s.qualifier != nil {
			s.qualify()
		}
	})
}
