package rtc

import (
	"sync/atomic"

	"github.com/gosipua/sipua/session"
)

// Stats count what a call's media carried: RTP packets and the bytes of their
// payload, over all its PeerConnections.
type Stats struct {
	Audio, Video Traffic
	// Local and Remote are the candidate pair in use, empty before there is one.
	Local, Remote Candidate
}

// Traffic is what one kind of media carried.
type Traffic struct {
	PacketsSent, BytesSent         uint64
	PacketsReceived, BytesReceived uint64
}

// Candidate is one end of a path.
type Candidate struct {
	Address string // IP address
	Port    uint16
	Type    string // host, srflx, prflx, relay
}

type counters struct{ kinds [Video + 1]counter }

type counter struct{ packetsOut, bytesOut, packetsIn, bytesIn atomic.Uint64 }

func (c *counters) sent(k Kind, n int) {
	c.kinds[k].packetsOut.Add(1)
	c.kinds[k].bytesOut.Add(uint64(n))
}

func (c *counters) received(k Kind, n int) {
	c.kinds[k].packetsIn.Add(1)
	c.kinds[k].bytesIn.Add(uint64(n))
}

func (c *counter) traffic() Traffic {
	return Traffic{c.packetsOut.Load(), c.bytesOut.Load(), c.packetsIn.Load(), c.bytesIn.Load()}
}

// StatsOf returns the counters of a session; they are zero where it has no
// media of this package. It is cheap enough to be asked every second.
func StatsOf(s *session.Session) Stats {
	if m, ok := s.Media().(*Media); ok && m != nil {
		return m.Stats()
	}
	return Stats{}
}

// Stats returns the counters of the call that m belongs to.
func (m *Media) Stats() Stats {
	c := &m.call.counters
	st := Stats{Audio: c.kinds[Audio].traffic(), Video: c.kinds[Video].traffic()}
	m.mu.Lock()
	pair := m.peer.pair.Load()
	m.mu.Unlock()
	if pair == nil {
		return st
	}
	st.Local = Candidate{pair.Local.Address, pair.Local.Port, pair.Local.Typ.String()}
	st.Remote = Candidate{pair.Remote.Address, pair.Remote.Port, pair.Remote.Typ.String()}
	return st
}
