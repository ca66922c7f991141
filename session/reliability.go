package session

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gosipua/sipua/sip"
)

// Reliability says how provisional responses to an INVITE go: once, or repeated
// until a PRACK confirms them (RFC 3262). Only a reliable one settles a session
// description before the call is answered.
type Reliability uint8

// The ways to treat reliable provisional responses.
const (
	// ReliableDefault is the UA's own setting for a call, and ReliableSupported
	// for a UA.
	ReliableDefault Reliability = iota
	// ReliableSupported takes them, and sends a description reliably to a
	// caller that takes them too.
	ReliableSupported
	// ReliableRequired insists on them: a callee without them refuses our call
	// with 420, and a caller without them gets 421.
	ReliableRequired
	// ReliableOff neither offers nor takes them: a caller that requires them
	// gets 420.
	ReliableOff
)

var reliabilityNames = [...]string{"default", "supported", "required", "off"}

// String returns the name that configurations have for it.
func (r Reliability) String() string {
	if int(r) < len(reliabilityNames) {
		return reliabilityNames[r]
	}
	return "unknown"
}

// MarshalText returns the name.
func (r Reliability) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText takes a name; an unknown one is an error.
func (r *Reliability) UnmarshalText(text []byte) error {
	i := slices.Index(reliabilityNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("session: %q is not among %q", text, reliabilityNames)
	}
	*r = Reliability(i)
	return nil
}

// ErrUnreliable says that the caller takes no reliable provisional responses (RFC 3262
// §3), which alone can carry what was asked.
var ErrUnreliable = errors.New("session: caller takes no reliable provisional responses")

// tag100rel is the option tag of RFC 3262, tag199 that of RFC 6228.
const (
	tag100rel = "100rel"
	tag199    = "199"
)

// stampReliability writes into an INVITE of ours how it wants its provisional
// responses.
func (m *Manager) stampReliability(req *sip.Request, r Reliability) error { // [locked]
	if r == ReliableDefault {
		r = m.o.Reliability
	}
	switch r {
	case ReliableRequired:
		return req.AddHeader("Require", tag100rel)
	case ReliableOff:
		supported := slices.DeleteFunc(m.core.Supported(), func(tag string) bool { return tag == tag100rel })
		return req.SetHeader("Supported", strings.Join(supported, ", "))
	}
	return nil
}

// lists reports whether a list field of m has an option tag.
func lists(m interface{ List(name string) []string }, field, tag string) bool {
	return slices.ContainsFunc(m.List(field), func(s string) bool { return strings.EqualFold(s, tag) })
}

// rseqOf returns the RSeq of a provisional response that was sent reliably.
func rseqOf(res *sip.Response) (uint32, bool) {
	if !lists(res, "Require", tag100rel) {
		return 0, false
	}
	seq, ok := res.RSeq()
	return seq, ok && seq > 0
}

// arrivals is the order of the reliable provisional responses to one INVITE in
// one dialog, as their receiver sees it (RFC 3262 §4).
type arrivals struct{ last uint32 }

// take reports whether the response of that RSeq is the next one: any is the
// first, then one higher each time. Others are repeats, or too early.
func (a *arrivals) take(rseq uint32) bool {
	if a.last != 0 && rseq != a.last+1 {
		return false
	}
	a.last = rseq
	return true
}

// departures are the reliable provisional responses to one INVITE, as their
// sender sees them (RFC 3262 §3): the first waits for its PRACK, the others
// wait for it.
type departures struct {
	rseq  uint32 // of the first in queue; 0: none was ever sent
	queue []*provisional
}

// push adds a response and reports whether it is to be sent now.
func (d *departures) push(p *provisional) bool {
	if d.rseq == 0 {
		d.rseq = 1 + uint32(randomN(1<<31-1))
	}
	d.queue = append(d.queue, p)
	return len(d.queue) == 1
}

// head is the response that waits for its PRACK, nil for none.
func (d *departures) head() *provisional {
	if len(d.queue) == 0 {
		return nil
	}
	return d.queue[0]
}

// match returns the response to the INVITE of that CSeq which the RAck of a
// PRACK names, nil for none.
func (d *departures) match(r sip.RAck, invite sip.CSeq) *provisional {
	p := d.head()
	if p == nil || !p.sent || r.RSeq != d.rseq || r.CSeq != invite {
		return nil
	}
	return p
}

// pop takes the response off that is acknowledged. The next in the queue is to
// be sent then.
func (d *departures) pop() {
	d.queue = d.queue[1:]
	d.rseq++
}

// final drops what was not sent yet: no reliable provisional response leaves
// after the final one. The one that is out may still meet its PRACK.
func (d *departures) final() {
	if len(d.queue) > 0 && d.queue[0].sent {
		d.queue = d.queue[:1]
	} else {
		d.queue = nil
	}
}

// describes reports whether a response with a session description is not
// acknowledged: a 2xx must wait for that (RFC 3262 §5).
func (d *departures) describes() bool {
	return slices.ContainsFunc(d.queue, func(p *provisional) bool { return len(p.desc.Body) > 0 })
}
