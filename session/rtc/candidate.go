package rtc

import (
	"net/netip"
	"strconv"
	"strings"
)

// candidate is an ICE candidate of ours (RFC 8839 §5.1).
type candidate struct {
	text string // the value of a=candidate
	addr netip.Addr
	port int
	typ  string
}

func parseCandidate(v string) (candidate, bool) {
	f := strings.Fields(v)
	if len(f) < 8 || f[6] != "typ" {
		return candidate{}, false
	}
	addr, err := netip.ParseAddr(f[4])
	if err != nil {
		return candidate{}, false
	}
	port, err := strconv.ParseUint(f[5], 10, 16)
	if err != nil {
		return candidate{}, false
	}
	n := 8 // and the related address; pion's extensions say nothing new
	if len(f) >= 12 && f[8] == "raddr" && f[10] == "rport" {
		n = 12
	}
	return candidate{text: strings.Join(f[:n], " "), addr: addr, port: int(port), typ: f[7]}, true
}

// ownCandidates reads those of a description of pion's. It writes each twice,
// for RTP and RTCP; with rtcp-mux the second component does not exist.
func ownCandidates(m *mediaSection, relayOnly bool) []candidate {
	var out []candidate
	for v := range attrs(m.lines, "candidate") {
		c, ok := parseCandidate(v)
		if f := strings.Fields(v); !ok || f[1] != "1" {
			continue
		}
		if relayOnly {
			if c.typ != "relay" {
				continue
			}
			c.text = hideRelated(c.text)
		}
		out = append(out, c)
	}
	return out
}

// hideRelated writes an any-address in place of the related one, which a
// relayed candidate would give away (RFC 8839 §5.1).
func hideRelated(v string) string {
	f := strings.Fields(v)
	for i := 0; i+1 < len(f); i++ {
		switch f[i] {
		case "raddr":
			if strings.Contains(f[i+1], ":") {
				f[i+1] = "::"
			} else {
				f[i+1] = "0.0.0.0"
			}
		case "rport":
			f[i+1] = "9"
		}
	}
	return strings.Join(f, " ")
}

// defaultCandidate chooses what stands in m= and c= (RFC 8839 §4.2.1.2): the
// nominated one, and before there is one what most likely works for a peer
// without ICE: relayed before reflexive before host, and IPv4 first, which
// every gateway speaks.
func defaultCandidate(list []candidate, nominated string) (candidate, bool) {
	var best candidate
	score := -1
	for _, c := range list {
		if netip.AddrPortFrom(c.addr, uint16(c.port)).String() == nominated {
			return c, true
		}
		if s := defaultScore(c); s > score {
			best, score = c, s
		}
	}
	return best, score >= 0
}

func defaultScore(c candidate) int {
	s := 0
	switch c.typ {
	case "relay":
		s = 6
	case "srflx":
		s = 4
	case "host":
		s = 2
	}
	if c.addr.Is4() {
		s++
	}
	if c.addr.IsLoopback() || c.addr.IsLinkLocalUnicast() {
		s -= 2
	}
	return max(s, 0)
}

// connection returns the value of a c= line with the candidate's address.
func (c candidate) connection() string {
	if c.addr.Is4() {
		return "IN IP4 " + c.addr.String()
	}
	return "IN IP6 " + c.addr.WithZone("").String()
}
