package session

import "github.com/gosipua/sipua/sip"

// Response is the newest response but 100 to the INVITE of a call of ours, as
// it came: after the answer its 2xx, after a refusal that. Nil before there is
// any, and for a call that came in. Read-only.
func (s *Session) Response() *sip.Response {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	if s.out == nil {
		return nil
	}
	return s.out.response
}

// told is what the far end said when the call was set up: its INVITE, or its
// newest response to ours.
type told interface {
	Header(name string) string
	List(name string) []string
	HistoryInfo() []sip.HistoryEntry
	Diversions() []sip.Diversion
}

func (s *Session) told() told {
	if s.in != nil {
		return s.in.req.Request()
	}
	if res := s.Response(); res != nil {
		return res
	}
	return &sip.Response{}
}

// HistoryInfo has the addresses that the call was on its way to, oldest first,
// as the far end's INVITE or its newest response to ours tells them (RFC 7044).
// What cannot be read is left out, here and in the methods below.
func (s *Session) HistoryInfo() []sip.HistoryEntry { return s.told().HistoryInfo() }

// Diversions has who sent the call elsewhere, the last one first (RFC 5806).
func (s *Session) Diversions() []sip.Diversion { return s.told().Diversions() }

// AlertInfo says how the call should ring, or what it sounds like to wait for
// it: URIs in angle brackets with their parameters, as they came (RFC 3261
// §20.4, RFC 7462). Nothing is fetched.
func (s *Session) AlertInfo() []string { return s.told().List("Alert-Info") }

// CallInfo has more about the far end, a picture or a card: URIs in angle
// brackets with their purpose, as they came (RFC 3261 §20.9). Nothing is
// fetched.
func (s *Session) CallInfo() []string { return s.told().List("Call-Info") }

// Subject says what the call is about; "" when nobody said (RFC 3261 §20.36).
func (s *Session) Subject() string { return s.told().Header("Subject") }

// HistoryInfo has the addresses that the call was on its way to before it came
// here, oldest first (RFC 7044). What cannot be read is left out, here and in
// the methods below.
func (in *Incoming) HistoryInfo() []sip.HistoryEntry { return in.s.HistoryInfo() }

// Diversions has who sent the call here, the last one first (RFC 5806).
func (in *Incoming) Diversions() []sip.Diversion { return in.s.Diversions() }

// AlertInfo says how the call should ring: URIs in angle brackets with their
// parameters, as they came (RFC 3261 §20.4, RFC 7462). Nothing is fetched.
func (in *Incoming) AlertInfo() []string { return in.s.AlertInfo() }

// CallInfo has more about the caller, a picture or a card: URIs in angle
// brackets with their purpose, as they came (RFC 3261 §20.9). Nothing is
// fetched.
func (in *Incoming) CallInfo() []string { return in.s.CallInfo() }

// Subject says what the call is about; "" when nobody said (RFC 3261 §20.36).
func (in *Incoming) Subject() string { return in.s.Subject() }
