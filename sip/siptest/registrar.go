package siptest

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosipua/sipua/sip"
)

// register answers a REGISTER by the steps of RFC 3261 §10.3. s.mu is held.
func (s *Server) register(c *Conn, req *sip.Request) {
	if f := s.registerFault; f != nil {
		if f.Status != 0 {
			res := s.newResponse(req, f.Status)
			for _, field := range f.Fields {
				addField(res, field)
			}
			s.send(c, s.dress(res, nil))
		}
		return
	}
	if bad := s.unsupported(req, "Require", "path", "outbound", "gruu"); bad != nil {
		s.send(c, s.dress(bad, nil))
		return
	}
	var v verdict
	if s.options.Users != nil {
		if v = s.authenticate(req, false); !v.ok {
			s.send(c, s.dress(s.challengeResponse(req, false, v.stale), nil))
			return
		}
	}
	to := req.To().URI
	if !s.isOurs(to) || to.User == "" {
		s.send(c, s.dress(s.newResponse(req, sip.StatusNotFound), nil))
		return
	}
	a := s.account(to.UserText())
	update := &update{server: s, conn: c, req: req, now: time.Now()}
	if code := update.apply(a); code != sip.StatusOK {
		res := s.newResponse(req, code)
		if code == sip.StatusIntervalTooBrief {
			addInt(res, "Min-Expires", s.options.MinExpires)
		}
		s.send(c, s.dress(res, nil))
		return
	}
	s.counters.Registers++
	s.startQualifying()
	res := s.registered(req, a, update)
	if v.info != nil {
		addField(res, v.info.Field(false))
	}
	s.send(c, s.dress(res, nil))
}

// account finds or makes the account of a user.
func (s *Server) account(user string) *account {
	a := s.accounts[user]
	if a == nil {
		a = &account{user: strings.Clone(user)}
		s.accounts[a.user] = a
	}
	return a
}

// update is a REGISTER that is being carried out.
type update struct {
	server   *Server
	conn     *Conn
	req      *sip.Request
	now      time.Time
	outbound bool // the contacts are flows in the sense of RFC 5626
	gruu     bool
	path     []sip.NameAddr
}

// apply changes the bindings of a as the request demands, all or nothing.
func (u *update) apply(a *account) sip.StatusCode {
	u.outbound = u.server.options.Outbound && u.req.HasToken("Supported", "outbound")
	u.gruu = u.server.options.GRUU && u.req.HasToken("Supported", "gruu")
	bindings := a.current(u.now)
	if u.req.ContactStar() {
		return u.removeAll(a, bindings)
	}
	contacts, err := u.req.Contacts()
	if err != nil {
		return sip.StatusBadRequest
	}
	if len(contacts) == 0 {
		u.server.setBindings(a, bindings) // a query
		return sip.StatusOK
	}
	if u.path, err = u.req.NameAddrs("Path"); err != nil {
		return sip.StatusBadRequest
	}
	u.server.registerSeq++
	next := bindings
	for i := range contacts {
		var code sip.StatusCode
		if next, code = u.applyContact(a, next, &contacts[i]); code != sip.StatusOK {
			return code
		}
	}
	for i, b := range next {
		if b.updated == u.server.registerSeq {
			u.complete(b, bindings)
			u.server.learn(u.conn, next[i].contact.URI)
		}
	}
	u.server.setBindings(a, next)
	return sip.StatusOK
}

// removeAll is "Contact: *", which needs "Expires: 0" (RFC 3261 §10.3 step 6).
func (u *update) removeAll(a *account, bindings []*binding) sip.StatusCode {
	if expires, ok := u.req.Expires(); !ok || expires != 0 || len(u.req.Headers("Contact")) != 1 {
		return sip.StatusBadRequest
	}
	for _, b := range bindings {
		if u.outdated(b) {
			return sip.StatusServerInternalError
		}
	}
	u.server.setBindings(a, nil)
	return sip.StatusOK
}

// applyContact returns bindings with one contact added, refreshed or removed
// (RFC 3261 §10.3 step 7). It changes no element of bindings.
func (u *update) applyContact(a *account, bindings []*binding, contact *sip.NameAddr) ([]*binding, sip.StatusCode) {
	expires, code := u.expires(contact)
	if code != sip.StatusOK {
		return nil, code
	}
	key := bindingKey(contact, u.outbound)
	at := slices.IndexFunc(bindings, func(b *binding) bool { return b.key == key })
	if at >= 0 && u.outdated(bindings[at]) {
		return nil, sip.StatusServerInternalError
	}
	switch {
	case expires == 0 && at < 0:
		return bindings, sip.StatusOK
	case expires == 0:
		return slices.Delete(slices.Clone(bindings), at, at+1), sip.StatusOK
	}
	b := u.binding(a, contact, key, expires)
	bindings = slices.Clone(bindings)
	if at < 0 {
		return append(bindings, b), sip.StatusOK
	}
	bindings[at] = b
	return bindings, sip.StatusOK
}

// expires is the time that a contact asks for, bounded.
func (u *update) expires(contact *sip.NameAddr) (int, sip.StatusCode) {
	o := &u.server.options
	expires := o.DefaultExpires
	if text, ok := contact.Params.Lookup("expires"); ok {
		if n, err := strconv.ParseUint(text, 10, 32); err == nil {
			expires = int(min(n, 1<<31-1))
		}
	} else if n, ok := u.req.Expires(); ok {
		expires = n
	}
	if expires > 0 && expires < o.MinExpires {
		return 0, sip.StatusIntervalTooBrief
	}
	return min(expires, o.MaxExpires), sip.StatusOK
}

// outdated reports a request that an earlier one of the same Call-ID has
// overtaken, which fails as a whole.
func (u *update) outdated(b *binding) bool {
	return b.callID == u.req.CallID() && u.req.CSeq().Seq <= b.seq
}

func (u *update) binding(a *account, contact *sip.NameAddr, key string, expires int) *binding {
	b := &binding{
		account: a,
		key:     key,
		contact: *contact,
		callID:  u.req.CallID(),
		seq:     u.req.CSeq().Seq,
		expires: u.now.Add(time.Duration(expires) * time.Second),
		updated: u.server.registerSeq,
		path:    u.path,
		conn:    u.conn,
	}
	b.contact.Params = contact.Params.Without("expires")
	b.instance = contact.Params.Value("+sip.instance")
	return b
}

// complete does what waits until nothing can fail any more: a new binding gets
// its GRUUs and the text that answers show.
func (u *update) complete(b *binding, before []*binding) {
	if u.gruu {
		at := slices.IndexFunc(before, func(old *binding) bool { return old.key == b.key })
		if at >= 0 && before[at].callID == b.callID {
			b.tempGRUUs = before[at].tempGRUUs
		}
		u.server.giveGRUU(b)
	}
	field := b.contact.AppendTo(make([]byte, 0, 128))
	field = u.server.appendGRUU(field, b)
	b.field = string(append(field, ";expires="...))
}

// registered is the 200 with all current contacts (RFC 3261 §10.3 step 8).
func (s *Server) registered(req *sip.Request, a *account, u *update) *sip.Response {
	res := s.newResponse(req, sip.StatusOK)
	var buf [256]byte
	flows := false
	for _, b := range a.bindings {
		left := b.expires.Sub(u.now)
		value := append(buf[:0], b.field...)
		value = strconv.AppendInt(value, int64((left+time.Second-1)/time.Second), 10)
		if s.traits != nil && s.traits.received {
			value = append(value, `;received="sip:198.51.100.7:51375;transport=ws"`...)
		}
		addField(res, sip.Field{Name: "Contact", Value: string(value)})
		flows = flows || b.callID == req.CallID() && b.instance != "" && b.contact.Params.Has("reg-id")
	}
	for _, path := range u.path {
		addField(res, sip.Field{Name: "Path", Value: path.String()})
	}
	for _, route := range s.options.ServiceRoute {
		addField(res, sip.Field{Name: "Service-Route", Value: route})
	}
	if s.supported != "" {
		addField(res, sip.Field{Name: "Supported", Value: s.supported})
	}
	if s.options.Outbound && u.outbound && flows {
		addField(res, sip.Field{Name: "Require", Value: "outbound"})
		if s.options.FlowTimer > 0 {
			addInt(res, "Flow-Timer", s.options.FlowTimer)
		}
	}
	return res
}

// unsupported is the 420 to a request that demands in field what the server does
// not have (RFC 3261 §8.2.2.3), nil for others.
func (s *Server) unsupported(req *sip.Request, field string, have ...string) *sip.Response {
	if !req.HasHeader(field) {
		return nil
	}
	var bad []string
	for _, tag := range req.List(field) {
		if !slices.Contains(have, strings.ToLower(tag)) {
			bad = append(bad, tag)
		}
	}
	if bad == nil {
		return nil
	}
	res := s.newResponse(req, sip.StatusBadExtension)
	addField(res, sip.Field{Name: "Unsupported", Value: strings.Join(bad, ", ")})
	return res
}
