package rtc

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/pion/webrtc/v4"

	"github.com/gosipua/sipua/session"
)

// AddressGone reports whether the address of ours that the media go by was one of
// this machine's when they found their path, and is not any more. A relayed path
// is the relay's.
func (m *Media) AddressGone() bool {
	m.mu.Lock()
	base := m.base
	m.mu.Unlock()
	return base.IsValid() && !m.owns(base)
}

// noteAddress notes the address of ours that the path goes by.
func (m *Media) noteAddress(pair *webrtc.ICECandidatePair) {
	base := baseOf(pair)
	if base.IsValid() && !m.owns(base) { // as one that a NAT is told of, or of a network that is not the machine's
		base = netip.Addr{}
	}
	m.mu.Lock()
	m.base = base
	m.mu.Unlock()
}

// baseOf is the address that our end of a pair sends from (RFC 8445 §5.1.1), the
// zero Addr where that is a relay's.
func baseOf(pair *webrtc.ICECandidatePair) netip.Addr {
	if pair == nil || pair.Local == nil {
		return netip.Addr{}
	}
	c, text := pair.Local, ""
	switch c.Typ {
	case webrtc.ICECandidateTypeHost:
		text = c.Address
	case webrtc.ICECandidateTypeSrflx, webrtc.ICECandidateTypePrflx:
		text = c.RelatedAddress
	}
	a, _ := netip.ParseAddr(text)
	return a.Unmap().WithZone("")
}

// owns reports whether an interface of this machine has that address; where they
// cannot be listed each does.
func (m *Media) owns(a netip.Addr) bool {
	list := m.addrs
	if list == nil {
		list = net.InterfaceAddrs
	}
	addrs, err := list()
	return err != nil || slices.ContainsFunc(addrs, func(n net.Addr) bool {
		p, err := netip.ParsePrefix(n.String())
		return err == nil && p.Addr().Unmap().WithZone("") == a
	})
}

// Follows reports whether the m-lines that m was made for, in the place of other
// media, are still those of the call: present has them. If they are not, an offer
// of m's is out of date. So is one of present itself, which restarts ICE in place,
// when another was answered meanwhile or its candidates are gone.
func (m *Media) Follows(present session.Media) bool {
	p, ok := present.(*Media)
	if ok && p == m {
		return m.pending != nil && !m.failed.Load()
	}
	return ok && p != nil && slices.EqualFunc(m.streams, p.streams, func(a, b stream) bool {
		return a.media == b.media && a.proto == b.proto && a.mid == b.mid && a.kind == b.kind &&
			a.active == b.active && a.bundled == b.bundled && slices.Equal(a.codecs, b.codecs)
	})
}

// RestartsInPlace reports whether another path has to be one of m's own, by an ICE
// restart which gives up the present one: the peer is Firefox, which keeps to the
// DTLS association that it has, whatever identity an offer names (against RFC 8842
// §5.4), so that fresh media would wait for its handshake for ever.
func (m *Media) RestartsInPlace() bool { return m.firefox.Load() }

// noteOrigin notes whose description it is.
func (m *Media) noteOrigin(d *description) {
	for _, l := range d.lines {
		if l.typ == 'o' {
			m.firefox.Store(strings.HasPrefix(l.value, "mozilla...THIS_IS_SDPARTA"))
		}
	}
}
