package session

import (
	"runtime/debug"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/dialog"
)

// incoming is the callee's side of an INVITE.
type incoming struct {
	req     *core.Incoming
	headers []sip.Field   // for the 200
	sent    chan struct{} // closed when the 200 is out
	decide  *core.Timer   // no answer
	expire  *core.Timer   // the INVITE's Expires
	progress

	replaces  *Session // whose place the call wants
	earlyOnly bool     // while that one is not answered
	moved     bool     // its flow was lost while it rang
	asking    bool     // the 2xx had no ACK in its time, and a re-INVITE asks whether the far end has the call
}

// receiveInvite takes an INVITE outside any dialog.
func (m *Manager) receiveInvite(in *core.Incoming) { m.receiveCall(in, nil, false) } // [locked]

// receiveCall takes an INVITE outside any dialog. old is the call whose place it
// wants, only while that one is not answered with earlyOnly.
func (m *Manager) receiveCall(in *core.Incoming, old *Session, earlyOnly bool) { // [locked]
	req := in.Request()
	if m.o.Call == nil || m.closed != nil {
		in.Reply(sip.StatusTemporarilyUnavailable, "")
		return
	}
	if contentOf(req).refused {
		refuseBody(in)
		return
	}
	expires, limited := req.Expires()
	if limited && expires == 0 { // over before it began (RFC 3261 §13.3.1)
		in.Reply(sip.StatusRequestTerminated, "")
		return
	}
	if m.intervalTooSmall(in) {
		return
	}
	d, err := in.NewDialog()
	if err != nil {
		in.Reply(sip.StatusBadRequest, "Contact missing or malformed")
		return
	}
	var p progress
	if !m.admit(in, &p) {
		return
	}
	room := 0
	if old != nil && len(old.successors) == 0 { // which will go
		room = 1
	}
	s, err := m.newSession(Inbound, req.CallID(), Ringing, room)
	if err != nil {
		in.Reply(sip.StatusBusyHere, "", sip.Field{Name: "Retry-After", Value: "10"})
		return
	}
	s.local, s.remote = req.To(), req.From()
	s.leg = s.attach(d)
	s.in = &incoming{req: in, sent: make(chan struct{}), progress: p}
	if old != nil {
		s.replacing(old, earlyOnly)
	}
	s.setHandler(nil)
	s.setPackages(nil)
	s.leg.learn(req)
	s.leg.comesOver(in.Flow())
	s.asserted = req.AssertedIdentity()
	s.watch(in)
	s.ringing()
	s.in.decide = s.after(m.o.NoAnswerTimeout, func() {
		s.step(inNoAnswer, event{code: sip.StatusTemporarilyUnavailable, end: &EndError{Kind: EndNoAnswer}})
	})
	if limited {
		s.in.expire = s.after(time.Duration(expires)*time.Second, func() {
			s.step(inNoAnswer, event{code: sip.StatusRequestTerminated, end: &EndError{Remote: true, Kind: EndExpired}})
		})
	}
	go s.offerToApplication()
}

// refuseBody answers a request whose body holds what we cannot read
// (RFC 3261 §8.2.3).
func refuseBody(in *core.Incoming) { // [locked]
	in.Reply(sip.StatusUnsupportedMediaType, "",
		sip.Field{Name: "Accept", Value: acceptTypes}, sip.Field{Name: "Accept-Encoding", Value: "identity"})
}

// offerToApplication hands the call to Options.Call, as net/http hands over a
// request: on a goroutine of its own that may live as long as the call.
func (s *Session) offerToApplication() {
	defer func() {
		if v := recover(); v != nil {
			s.panicked(v, debug.Stack())
		}
	}()
	s.m.o.Call(&Incoming{s: s})
}

// canceled takes the CANCEL, which has its 200 already (RFC 3261 §9.2).
func (s *Session) canceled(cancel *sip.Request) { // [locked]
	s.step(inCancel, event{code: sip.StatusRequestTerminated, end: &EndError{
		Remote: true, Kind: EndCanceled, Reason: cancel.Headers("Reason"),
	}})
}

// refuse sends the final response of a call that is not to be.
func (s *Session) refuse(e event) { // [locked]
	s.in.stopTimers()
	code := e.code
	if code == 0 {
		code = sip.StatusTemporarilyUnavailable
	}
	if e.end != nil {
		e.end.Status = code
	}
	res := s.in.req.NewResponse(code, e.reason)
	s.logError("header of "+code.Error(), res.SetFields(e.fields...))
	s.logError("body of "+code.Error(), e.desc.into(res))
	s.in.req.Respond(res)
}

func (i *incoming) stopTimers() { // [locked]
	i.progress.stop()
	i.decide.Stop()
	i.expire.Stop()
}

// makeAnswer has the Media answer the INVITE's offer, or make one where it
// carries none (RFC 3261 §13.3.1.4).
func (s *Session) makeAnswer() { // [locked]
	s.in.decide.Stop()
	if s.in.early != earlyNone {
		s.acceptWhenReady()
		return
	}
	if c := contentOf(s.in.req.Request()); c.has {
		s.answerOffer(c, false)
		return
	}
	s.leg.start(&exchange{
		sendOffer: func(d Description) { s.step(inAnswerReady, event{desc: d}) },
		done:      s.offerAnswered,
	})
}

// sendAccept sends the 200 and repeats it until the ACK comes.
func (s *Session) sendAccept(d Description) { // [locked]
	s.in.stopTimers()
	s.leg.dialog.SetState(dialog.Confirmed)
	s.leg.respondOffer(s.in.req, d, s.in.headers)
	close(s.in.sent)
	if s.leg.oa.state == oaStable { // else the ACK brings the answer
		s.settle()
	}
}
