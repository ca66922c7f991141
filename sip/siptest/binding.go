package siptest

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosipua/sipua/sip"
)

// account is what the registrar knows of one user: an address of record (RFC
// 3261 §10).
type account struct {
	user     string
	bindings []*binding
}

// binding is one contact of an account.
type binding struct {
	account   *account
	key       string // tells contacts apart, see bindingKey
	contact   sip.NameAddr
	instance  string // +sip.instance, as sent
	gr        string // its URN, the gr parameter of its GRUUs
	callID    string
	seq       uint32
	expires   time.Time
	updated   uint64 // rises with every REGISTER: the newest flow of an instance is the one to use
	path      []sip.NameAddr
	conn      *Conn
	tempGRUUs []string // user parts of its temporary GRUUs, the newest last
	field     string   // Contact value of answers, up to the number of seconds
}

// Binding is one contact that is registered at present.
type Binding struct {
	User    string       // user part of the address of record
	Contact sip.NameAddr // as registered
	Expires time.Time    // when it lapses
	CallID  string       // of the REGISTER that made or refreshed it
	CSeq    uint32       // of the same
	PubGRUU string       // public GRUU, "" without
	Conn    *Conn        // the connection it came over; maybe one that has ended
}

// Bindings returns the contacts of an address of record in the order of their
// first registration. It takes a user ("alice") or a SIP URI
// ("sip:alice@example.test").
func (s *Server) Bindings(aor string) []Binding {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[userOf(aor)]
	if a == nil {
		return nil
	}
	var list []Binding
	for _, b := range a.current(time.Now()) {
		list = append(list, Binding{
			User:    a.user,
			Contact: b.contact,
			Expires: b.expires,
			CallID:  b.callID,
			CSeq:    b.seq,
			PubGRUU: s.pubGRUU(b),
			Conn:    b.conn,
		})
	}
	return list
}

// Registered reports whether an address of record has a contact, see Bindings.
func (s *Server) Registered(aor string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isRegistered(userOf(aor))
}

// WaitRegistered returns nil as soon as an address of record, see Bindings, has a
// contact that can be reached: its connection is open. Otherwise it returns the
// cause of ctx, or net.ErrClosed when the server is closed.
func (s *Server) WaitRegistered(ctx context.Context, aor string) error {
	return s.wait(ctx, func() bool {
		a := s.accounts[userOf(aor)]
		return a != nil && slices.ContainsFunc(a.current(time.Now()), func(b *binding) bool { return s.isAlive(b.conn) })
	})
}

// Forget removes the contacts of an address of record, as an administrator
// would, without telling anybody.
func (s *Server) Forget(aor string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[userOf(aor)]; a != nil {
		s.setBindings(a, nil)
	}
}

func (s *Server) isRegistered(user string) bool {
	a := s.accounts[user]
	return a != nil && len(a.current(time.Now())) > 0
}

// userOf takes a user or a SIP URI.
func userOf(aor string) string {
	if u, err := sip.ParseURI(aor); err == nil && u.Scheme == "sip" {
		return u.UserText()
	}
	user, _, _ := strings.Cut(aor, "@")
	return user
}

// current returns the bindings that have not lapsed.
func (a *account) current(now time.Time) []*binding {
	lapsed := func(b *binding) bool { return !now.Before(b.expires) }
	if !slices.ContainsFunc(a.bindings, lapsed) {
		return a.bindings
	}
	return slices.DeleteFunc(slices.Clone(a.bindings), lapsed)
}

// setBindings replaces the bindings of an account and forgets what belonged to
// those that went. s.mu is held.
func (s *Server) setBindings(a *account, bindings []*binding) {
	for _, old := range a.bindings {
		if slices.Contains(bindings, old) {
			continue
		}
		for _, user := range old.tempGRUUs {
			if s.gruus[user] == old {
				delete(s.gruus, user)
			}
		}
	}
	a.bindings = bindings
	s.broadcast()
}

// bindingKey tells contacts apart: by instance and reg-id where a contact has
// both and supports outbound (RFC 5626 §6), else by its URI.
func bindingKey(contact *sip.NameAddr, outbound bool) string {
	instance := contact.Params.Value("+sip.instance")
	regID := contact.Params.Value("reg-id")
	if instance != "" && regID != "" && outbound {
		return instance + " " + regID
	}
	return contactKey(contact.URI)
}

// contactKey is equal for URIs that differ in parameters only which do not make
// them different contacts (RFC 3261 §19.1.4).
func contactKey(u sip.URI) string {
	if u.Scheme != "sip" && u.Scheme != "sips" {
		return u.String()
	}
	b := make([]byte, 0, 64)
	b = append(b, u.User...)
	b = append(b, '@')
	b = append(b, u.Host...)
	if u.Port != 0 {
		b = append(b, ':')
		b = strconv.AppendInt(b, int64(u.Port), 10)
	}
	if gr := u.Params.Value("gr"); gr != "" {
		b = append(b, ";gr="...)
		b = append(b, gr...)
	}
	return string(b)
}
