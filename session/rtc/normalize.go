package rtc

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/pion/ice/v4"

	"github.com/gosipua/sipua/session"
)

// UnacceptableError says why nothing of a description can be used. It is
// [session.ErrUnacceptable].
type UnacceptableError struct {
	Code   int    // a warn-code for the Warning field of a 488 (RFC 3261 §20.43)
	Reason string // its text
}

// Error returns the reason.
func (e *UnacceptableError) Error() string { return "rtc: description not acceptable: " + e.Reason }

// Unwrap returns [session.ErrUnacceptable].
func (e *UnacceptableError) Unwrap() error { return session.ErrUnacceptable }

// Warning returns the warn-code and warn-text for a Warning field.
func (e *UnacceptableError) Warning() (code int, text string) { return e.Code, e.Reason }

// The warn-codes of RFC 3261 §20.43 that can apply to an m-line.
const (
	warnTransport = 302 // Incompatible transport protocol
	warnMediaType = 304 // Media type not available
	warnFormat    = 305 // Incompatible media format
	warnAttribute = 306 // Attribute not understood
	warnOther     = 399 // Miscellaneous warning
)

// unacceptable makes an error whose reason can stand in a quoted string,
// whatever words of the peer's are in it.
func unacceptable(code int, format string, args ...any) *UnacceptableError {
	return &UnacceptableError{code, strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, fmt.Sprintf(format, args...))}
}

// remoteMedia is an m-line of the peer's as we understand it.
type remoteMedia struct {
	*mediaSection
	kind      Kind // 0: none that we can carry
	mid       string
	codecs    []Codec
	direction Direction
	held      bool // by c=0.0.0.0, in a section without ICE
	transport transport
	refusal   *UnacceptableError // why it cannot be used, nil if it can
}

// transport is the peer's end of the path that an m-line uses.
type transport struct {
	ufrag, pwd   string
	lite         bool
	mux          bool     // rtcp-mux is there
	fingerprints []string // "hash value", normalised and sorted
	tlsID        string
	setup        string
	candidates   []string
}

// sameICE reports whether t and u are one ICE session.
func (t *transport) sameICE(u *transport) bool { return t.ufrag == u.ufrag && t.pwd == u.pwd }

// sameDTLS reports whether u goes on with t's DTLS association (RFC 8842
// §3.1). The roles are compared apart, since actpass leaves them open.
func (t *transport) sameDTLS(u *transport) bool {
	return slices.Equal(t.fingerprints, u.fingerprints) && t.tlsID == u.tlsID
}

// normalize reads a description of the peer's. Each m-line is judged by
// itself: what cannot be used says why.
func normalize(d *description) []*remoteMedia {
	out := make([]*remoteMedia, len(d.media))
	for i, m := range d.media {
		r := &remoteMedia{mediaSection: m, direction: d.direction(m)}
		r.mid, _ = attr(m.lines, "mid")
		switch m.media {
		case "audio":
			r.kind = Audio
		case "video":
			r.kind = Video
		}
		r.codecs = m.codecs()
		r.transport = d.transport(m)
		out[i] = r
	}
	for _, r := range out {
		if tag := tagged(d, out, r); tag != nil {
			r.transport.inherit(&tag.transport)
		}
	}
	for _, r := range out {
		r.held = r.transport.ufrag == "" && d.unspecified(r.mediaSection)
		r.refusal = refuse(r)
	}
	return out
}

// tagged returns the m-line that speaks for the bundle which r is in.
func tagged(d *description, all []*remoteMedia, r *remoteMedia) *remoteMedia {
	if r.mid == "" {
		return nil
	}
	for _, mid := range d.bundle(r.mid) {
		for _, t := range all {
			if t.mid == mid && t.port != 0 {
				return t
			}
		}
	}
	return nil
}

// inherit completes the transport of an m-line in a bundle, which may leave
// out what the tagged one says (RFC 8843 §7.1.3).
func (t *transport) inherit(tag *transport) {
	if len(t.fingerprints) == 0 {
		t.fingerprints, t.tlsID = tag.fingerprints, tag.tlsID
	}
	if t.setup == "" {
		t.setup = tag.setup
	}
	t.mux = t.mux || tag.mux
	if t.ufrag == "" {
		t.ufrag, t.pwd = tag.ufrag, tag.pwd
	}
	if len(t.candidates) == 0 && t.sameICE(tag) {
		t.candidates = tag.candidates
	}
}

// refuse says why an m-line cannot be used, nil if it can.
func refuse(r *remoteMedia) *UnacceptableError {
	_, bundleOnly := attr(r.lines, "bundle-only")
	switch {
	case r.port == 0 && !bundleOnly:
		return unacceptable(warnMediaType, "m=%s is disabled", r.media)
	case r.kind == 0:
		return unacceptable(warnMediaType, "m=%s is not supported", r.media)
	case !rtpProfile(r.proto):
		return unacceptable(warnTransport, "transport %s is not supported", r.proto)
	case len(r.transport.fingerprints) == 0:
		// By the attribute and never by the profile: what has no fingerprint is
		// plain RTP or SDES, and would be heard by everybody on the way.
		return unacceptable(warnTransport, "DTLS-SRTP is required, a=fingerprint is missing")
	case r.transport.setup == "holdconn":
		return unacceptable(warnTransport, "a=setup:holdconn is not supported")
	case r.transport.ufrag == "" && !r.held:
		return unacceptable(warnTransport, "ICE is required")
	case !r.transport.mux:
		return unacceptable(warnAttribute, "a=rtcp-mux is required")
	}
	return nil
}

// rtpProfile reports whether an m-line of this protocol can mean RTP over
// DTLS. Gateways write the older names as well.
func rtpProfile(proto string) bool {
	switch proto {
	case "RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF",
		"UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVP", "TCP/DTLS/RTP/SAVPF":
		return true
	}
	return false
}

// feedback reports whether the profile has RTCP feedback (RFC 4585).
func feedback(proto string) bool { return strings.HasSuffix(proto, "F") }

func (d *description) transport(m *mediaSection) transport {
	var t transport
	t.ufrag, _ = d.inherited(m, "ice-ufrag")
	t.pwd, _ = d.inherited(m, "ice-pwd")
	if t.pwd == "" {
		t.ufrag = ""
	}
	_, t.lite = attr(d.lines, "ice-lite")
	_, t.mux = d.inherited(m, "rtcp-mux")
	t.tlsID, _ = d.inherited(m, "tls-id")
	t.setup, _ = d.inherited(m, "setup")
	lines := m.lines
	if _, ok := attr(lines, "fingerprint"); !ok {
		lines = d.lines
	}
	for v := range attrs(lines, "fingerprint") {
		if f, ok := parseFingerprint(v); ok && !slices.Contains(t.fingerprints, f) {
			t.fingerprints = append(t.fingerprints, f)
		}
	}
	slices.Sort(t.fingerprints)
	for v := range attrs(m.lines, "candidate") {
		if len(t.candidates) == maxCandidates {
			break
		}
		if usable(v) {
			t.candidates = append(t.candidates, v)
		}
	}
	return t
}

// parseFingerprint checks and normalises a fingerprint (RFC 8122 §5). MD5 and
// MD2 are refused, as that section says.
func parseFingerprint(v string) (string, bool) {
	hash, value, ok := strings.Cut(strings.TrimSpace(v), " ")
	if !ok {
		return "", false
	}
	sizes := map[string]int{"sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}
	hash, value = strings.ToLower(hash), strings.ToUpper(strings.TrimSpace(value))
	b, err := hex.DecodeString(strings.ReplaceAll(value, ":", ""))
	if err != nil || len(b) == 0 || len(b) != sizes[hash] || len(value) != 3*len(b)-1 {
		return "", false
	}
	return hash + " " + value, true
}

// fingerprint is the one to check the peer against. Any of several will do
// (RFC 8122 §5); the usual one comes first.
func (t *transport) fingerprint() string {
	for _, f := range t.fingerprints {
		if strings.HasPrefix(f, "sha-256 ") {
			return f
		}
	}
	return t.fingerprints[len(t.fingerprints)-1]
}

// usable reports whether pion can take a candidate: the other component's,
// those over TCP and malformed ones cost only themselves.
func usable(v string) bool {
	c, err := ice.UnmarshalCandidate(v)
	return err == nil && c.Component() == 1 && !c.NetworkType().IsTCP() && !strings.HasSuffix(c.Address(), ".local")
}
