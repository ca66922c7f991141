package siptest

import (
	"slices"
	"strings"
	"time"

	"github.com/gosipua/sipua/sip"
)

// maxTempGRUUs is how many temporary GRUUs of a binding work at a time.
const maxTempGRUUs = 16

// giveGRUU gives a binding with an instance its GRUUs (RFC 5627 §5.1): a new
// temporary one with every REGISTER, those of the same Call-ID before it stay
// valid.
func (s *Server) giveGRUU(b *binding) {
	urn := strings.TrimSuffix(strings.TrimPrefix(b.instance, "<"), ">")
	if urn == "" {
		return
	}
	b.gr = urn
	if len(b.tempGRUUs) == maxTempGRUUs {
		delete(s.gruus, b.tempGRUUs[0])
		b.tempGRUUs = b.tempGRUUs[1:]
	}
	b.tempGRUUs = append(slices.Clip(b.tempGRUUs), "tgruu."+sip.NewTag())
	for _, user := range b.tempGRUUs {
		s.gruus[user] = b
	}
}

// pubGRUU is the public GRUU of a binding, "" without.
func (s *Server) pubGRUU(b *binding) string {
	if b.gr == "" {
		return ""
	}
	u := sip.URI{Scheme: "sip", User: sip.EscapeUser(b.account.user), Host: s.options.Domain}
	return u.WithParam("gr", b.gr).String()
}

// appendGRUU appends the GRUU parameters of a Contact (RFC 5627 §5.2).
func (s *Server) appendGRUU(dst []byte, b *binding) []byte {
	if b.gr == "" {
		return dst
	}
	temporary := sip.URI{Scheme: "sip", User: b.tempGRUUs[len(b.tempGRUUs)-1], Host: s.options.Domain, Params: ";gr"}
	params := sip.Params("").WithQuoted("pub-gruu", s.pubGRUU(b)).WithQuoted("temp-gruu", temporary.String())
	return append(dst, params...)
}

// resolveGRUU finds the binding that a GRUU stands for: of several flows of the
// instance the newest (RFC 5627 §5.4). The second result reports whether u is a
// GRUU at all.
func (s *Server) resolveGRUU(u sip.URI, now time.Time) (*binding, bool) {
	urn, ok := u.Params.Lookup("gr")
	if !ok {
		return nil, false
	}
	if urn == "" {
		b := s.gruus[u.User]
		if b != nil && !now.Before(b.expires) {
			b = nil
		}
		return b, true
	}
	a := s.accounts[u.UserText()]
	if a == nil {
		return nil, true
	}
	var newest *binding
	for _, b := range a.current(now) {
		if b.gr == urn && (newest == nil || b.updated > newest.updated) {
			newest = b
		}
	}
	return newest, true
}
