package session

import (
	"cmp"
	"errors"
	"slices"
	"strconv"

	"github.com/gosipua/sipua/sip"
)

// MaxRedirects is to how many addresses one call goes on at most, besides the
// one that was dialled.
const MaxRedirects = 10

// Redirection is a 3xx to a call of ours: the far end is to be called elsewhere.
type Redirection struct {
	// From is the address that said so.
	From sip.URI
	// Contacts are where the far end may be instead, in the order to try them:
	// by q, which counts as 1 where it is not given, and as they stand.
	Contacts []sip.NameAddr
	// Response is the 3xx itself; read-only.
	Response *sip.Response
}

// FollowContacts is a CallOptions.Redirect that goes wherever it is sent. It is
// for servers that are trusted to send us anywhere, at any price.
func FollowContacts(_ *Session, r *Redirection) []sip.NameAddr { return r.Contacts }

// Contacts are the addresses that a call was redirected to and that were not
// tried, in the order to try them, as in [Redirection]; empty for a call that
// ended otherwise.
func (e *EndError) Contacts() []sip.NameAddr {
	var refused *sip.ResponseError
	if !errors.As(e.Err, &refused) || !refused.StatusCode().IsRedirection() {
		return nil
	}
	return contactsOf(refused.Response)
}

// contactsOf are the Contacts of a 3xx that can be read, by q (RFC 3261 §8.1.3.4).
func contactsOf(res *sip.Response) []sip.NameAddr {
	var list []sip.NameAddr
	for _, text := range res.List("Contact") {
		if n, err := sip.ParseNameAddr(text); err == nil {
			list = append(list, n)
		}
	}
	slices.SortStableFunc(list, func(a, b sip.NameAddr) int { return cmp.Compare(preference(b), preference(a)) })
	return list
}

// preference is the q of a Contact: 1 where there is none (RFC 3261 §16.6), 0
// for what is none.
func preference(n sip.NameAddr) float64 {
	text, ok := n.Params.Lookup("q")
	if !ok {
		return 1
	}
	q, err := strconv.ParseFloat(text, 64)
	if err != nil || !(q >= 0 && q <= 1) {
		return 0
	}
	return q
}

// redirects is what a call knows of the addresses it is sent to.
type redirects struct {
	ask     func(*Session, *Redirection) []sip.NameAddr
	seen    []sip.URI // every address that is or was to be tried
	targets []target  // to be tried, in order
	changed []string  // the fields that differ from those of the first INVITE
}

// target is an address to try.
type target struct {
	uri       sip.URI
	fields    []sip.Field // of its "?" part
	diversion []string    // of the 3xx that named it
}

// inviteFailed takes the end of the INVITE without an answer: the call is over,
// unless it goes on to another address (RFC 3261 §8.1.3.4). res is nil where
// there is none.
func (s *Session) inviteFailed(end *EndError, res *sip.Response) { // [locked]
	if !s.isCalling() || !s.redirected(end, res) {
		s.step(inFailure, event{end: end})
	}
}

// isCalling reports whether the INVITE is out and decides about the call.
func (s *Session) isCalling() bool { // [locked]
	return s.usage.state == Calling || s.usage.state == Early
}

// redirected reports whether the call goes on elsewhere, or may: the application
// decides about each 3xx, and what it wants tried is tried one by one. A 6xx
// speaks for all addresses (RFC 3261 §21.6), and the loss of our connection for
// none.
func (s *Session) redirected(end *EndError, res *sip.Response) bool { // [locked]
	r := &s.out.redirects
	if r.ask == nil {
		return false
	}
	if res != nil && mayFollow(res) {
		re := &Redirection{From: s.out.invite.Sent().URI(), Contacts: contactsOf(res), Response: res}
		asked := s.events.Push(func() {
			targets := r.ask(s, re)
			s.m.core.Lock()
			defer s.m.core.Unlock()
			if s.usage.state == Preparing {
				s.follow(end, res, targets)
			}
		})
		if asked {
			s.startOver()
		}
		return asked
	}
	if len(r.targets) == 0 || end.Status/100 == 6 || end.Kind == EndCanceled || end.Kind == EndTransportLost {
		return false
	}
	s.startOver()
	s.tryNext(end)
	return true
}

// mayFollow reports whether a response names addresses to try instead. A 380 is
// about services, not addresses (RFC 3261 §21.3.5). A 305 wants a proxy, but
// over WebSocket the next hop is always our server, so that its address is one
// like others.
func mayFollow(res *sip.Response) bool {
	code := res.StatusCode()
	return code.IsRedirection() && code != sip.StatusAlternativeService && len(contactsOf(res)) > 0
}

// startOver takes the call back to before its INVITE: its early dialogs are
// over (RFC 3261 §13.2.2.3).
func (s *Session) startOver() { // [locked]
	out := s.out
	out.expire.Stop()
	s.step(inRedirect, event{})
	if out.bound != nil { // their events are no more the call's
		if out.bound.media != nil { // a 199 may have given them back
			out.root.take(out.bound)
		}
		out.root.source = nil
	}
	s.dropForks()
}

// dropForks lets go of early dialogs that a final response has ended.
func (s *Session) dropForks() { // [locked]
	for _, l := range s.out.forks {
		l.close(errLost)
		s.m.core.Detach(l.dialog)
	}
	s.out.forks = nil
	s.lead(s.out.root)
}

// follow goes on with the addresses that the application wants tried; end is
// how the call ends where there are none.
func (s *Session) follow(end *EndError, res *sip.Response, contacts []sip.NameAddr) { // [locked]
	r := &s.out.redirects
	if len(r.seen) == 0 {
		r.seen = append(r.seen, s.out.req.URI())
	}
	var fresh []target
	var refused error
	for _, c := range contacts {
		t, err := s.targetOf(c.URI, res)
		switch {
		case err != nil:
			refused = errors.Join(refused, err)
			s.logError("redirected", err)
		case len(r.seen) <= MaxRedirects && !slices.ContainsFunc(r.seen, t.uri.Equal):
			r.seen = append(r.seen, t.uri)
			fresh = append(fresh, t)
		}
	}
	r.targets = append(fresh, r.targets...)
	if refused != nil && len(r.targets) == 0 {
		end.Err = errors.Join(end.Err, refused)
	}
	s.tryNext(end)
}

// targetOf is the address to try for a Contact; the error is that of
// sip.NormalizeTarget.
func (s *Session) targetOf(u sip.URI, res *sip.Response) (target, error) {
	uri, err := sip.NormalizeTarget(u.String(), s.m.o.Domain, s.m.o.KeepTel)
	if err != nil {
		return target{}, err
	}
	t := target{diversion: res.Headers("Diversion")}
	t.uri, t.fields = splitTarget(uri)
	return t, nil
}

// tryNext sends the INVITE to the next address; end is how the call ends where
// there is none.
func (s *Session) tryNext(end *EndError) { // [locked]
	r := &s.out.redirects
	if len(r.targets) == 0 {
		s.step(inFailure, event{end: end})
		return
	}
	s.out.next, r.targets = &r.targets[0], r.targets[1:]
	s.inviteAnew()
}

// inviteAnew goes on with the next INVITE after startOver.
func (s *Session) inviteAnew() { // [locked]
	if s.out.bound == nil {
		s.step(inOfferReady, event{})
		return
	}
	s.out.bound = nil
	s.offerAfresh()
}

// offerAfresh makes the INVITE's offer once more with fresh media: early media
// have bound the path of the present ones.
func (s *Session) offerAfresh() { // [locked]
	root := s.out.root
	root.oa, root.open = offerAnswer{}, nil
	x := &exchange{fresh: true, done: s.mediaFailed}
	x.sendOffer = func(d Description) {
		root.keepMedia(x, true)
		x.media, x.fresh, x.done = root.media, false, nil
		s.step(inOfferReady, event{desc: d})
	}
	root.start(x)
}

// inviteAgain sends the INVITE once more: the same call with the next CSeq
// number, to the next address where there is one, and with d where the offer is
// a new one (RFC 3261 §8.1.3.4, §8.1.3.5).
func (s *Session) inviteAgain(d Description) { // [locked]
	next, ok := s.out.next, false
	if next == nil {
		ok = s.inviteTimed(d)
	} else {
		ok = s.out.invite.Elsewhere(func(req *sip.Request) {
			s.out.restore(req)
			s.logError("redirected", errors.Join(req.SetURI(next.uri), d.into(req), s.out.redirects.apply(req, next)))
		})
	}
	if !ok {
		s.step(inFailure, event{end: &EndError{Kind: EndInternal, Err: errNotSent}})
	}
}

// errNotSent is behind the end of a call whose next INVITE could not be made.
var errNotSent = errors.New("session: INVITE could not be sent again")

// restore gives an INVITE the fields of the first one where an address before
// had others.
func (o *outgoing) restore(req *sip.Request) {
	for _, name := range o.redirects.changed {
		req.RemoveHeader(name)
		for f := range o.req.Fields() {
			if f.Name == name {
				_ = req.AddHeader(f.Name, f.Value) // sent before
			}
		}
	}
	o.redirects.changed = nil
}

// apply gives an INVITE the fields that come with an address: one that can be
// there once replaces ours, others are added (RFC 3261 §8.1.3.4), and so is the
// Diversion of the 3xx, the last one first (RFC 5806 §5.2).
func (r *redirects) apply(req *sip.Request, t *target) error {
	var err error
	for _, f := range t.fields {
		r.changed = append(r.changed, f.Name)
		if f.Name == "Subject" || f.Name == "Priority" {
			err = errors.Join(err, req.SetHeader(f.Name, f.Value))
		} else {
			err = errors.Join(err, req.AddHeader(f.Name, f.Value))
		}
	}
	for _, value := range slices.Backward(t.diversion) {
		r.changed = append(r.changed, "Diversion")
		err = errors.Join(err, req.PrependHeader("Diversion", value))
	}
	return err
}
