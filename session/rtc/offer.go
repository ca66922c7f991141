package rtc

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"mime"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/webrtc/v4"

	"github.com/gosipua/sipua/session"
)

// profile is what our own offers ask for (RFC 5764 §8, RFC 5124).
const profile = "UDP/TLS/RTP/SAVPF"

// pending is an offer of ours that waits for its answer.
type pending struct {
	lines    []wire
	wants    wants // once it is answered
	hold     bool
	opening  bool   // the first of the call, which several forks may answer
	answered []byte // the provisional answer that was applied
}

// Offer returns an offer for the wire. Only the first one of a PeerConnection
// is applied to it, as gathering needs that; a later one touches nothing until
// its answer comes, except that ICERestart changes our ICE credentials at once.
//
// It waits for candidates, for GatherTimeout at most; [ErrNoCandidates] if
// there are none.
func (m *Media) Offer(ctx context.Context, o session.OfferOptions) (session.Description, error) {
	w, a, err := m.wants.with(o.Change)
	if err != nil {
		return session.Description{}, err
	}
	lines := m.propose(w, a, o.Hold)
	for _, x := range lines {
		if !x.active {
			continue
		}
		if err := m.peer.carry(x.kind, w[x.kind].track); err != nil {
			return session.Description{}, err
		}
	}
	l, err := m.localForOffer(ctx, o.ICERestart && m.applied)
	if err != nil {
		return session.Description{}, err
	}
	m.pending, m.settled = &pending{lines: lines, wants: w, hold: o.Hold, opening: m.streams == nil}, nil
	m.hear()
	return compose(l, lines, nil), nil
}

func (m *Media) localForOffer(ctx context.Context, restart bool) (local, error) {
	p := m.peer
	if !m.applied {
		if err := p.offer(); err != nil {
			return local{}, err
		}
	}
	if restart {
		m.restarted = true
		m.failed.Store(false) // that was another path
		if _, err := p.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: true}); err != nil {
			return local{}, err
		}
		p.waited = false
	}
	complete, err := p.gather(ctx)
	if err != nil {
		return local{}, err
	}
	if !m.applied {
		return m.readLocal(p.pc.LocalDescription().SDP, complete)
	}
	d, err := p.pc.CreateOffer(nil)
	if err != nil {
		return local{}, err
	}
	return m.readLocal(d.SDP, complete)
}

// propose makes the m-lines of an offer: those that the call has, in their
// places (RFC 3264 §8), and those that are asked for. The first offer of a
// call has one for each kind that we want.
func (m *Media) propose(w wants, a asked, hold bool) []wire {
	var lines []wire
	var carried [Video + 1]bool
	for _, s := range m.streams {
		switch {
		case s.active && w[s.kind].carried:
			codecs := ours(s.kind, w[s.kind].codecs)
			if !a.codecs[s.kind] {
				codecs = merge(s.codecs, codecs)
			}
			s.codecs = m.payloads.assign(codecs)
			s.receive = s.codecs
			carried[s.kind] = true
		case s.active:
			s = s.refusedForm()
		}
		lines = append(lines, wire{stream: s, direction: w[s.kind].direction.held(hold)})
	}
	for _, k := range w.kinds() {
		if carried[k] || m.streams != nil && !a.added[k] {
			continue
		}
		lines = m.addLine(lines, stream{
			media: k.String(), proto: profile, kind: k, active: true, bundled: true,
			codecs: m.payloads.assign(ours(k, w[k].codecs)),
		}, w[k].direction.held(hold))
	}
	return lines
}

// addLine adds a stream to an offer: in the place of one of its kind that is
// not used any more (RFC 3264 §8.1), else at the end. It goes over the path
// that there is or not at all (RFC 8843 §7.2.1).
func (m *Media) addLine(lines []wire, s stream, d Direction) []wire {
	s.receive = s.codecs
	s.mid = m.newMid(lines)
	x := wire{stream: s, direction: d}
	place := len(lines)
	for i := range lines {
		old := &lines[i]
		switch {
		case old.active: // those that are there have to be in the bundle too
			x.bundleOnly, old.bundled = true, true
			if old.mid == "" {
				old.mid = m.newMid(append(lines, x))
			}
		case old.media == s.media && place == len(lines):
			place = i
			if rtpProfile(old.proto) {
				x.proto = old.proto
			}
		}
	}
	if place == len(lines) {
		return append(lines, x)
	}
	lines[place] = x
	return lines
}

// newMid returns a mid that no m-line of the call has or had.
func (m *Media) newMid(lines []wire) string {
	for n := m.lastMid + 1; ; n++ {
		mid := strconv.Itoa(n)
		if !slices.ContainsFunc(lines, func(x wire) bool { return x.mid == mid }) {
			return mid
		}
	}
}

// merge keeps what is in use in front, so that an offer in the middle of a call
// does not change the codec, and adds what else we have.
func merge(used, have []Codec) []Codec {
	out := slices.Clone(used)
	for _, c := range have {
		i := slices.IndexFunc(out, func(u Codec) bool { return u.key() == c.key() })
		switch {
		case i < 0:
			out = append(out, c)
		case c.events():
			out[i].Fmtp = c.Fmtp // all that we can do, not what the peer could
		}
	}
	return out
}

// Abandon forgets the pending offer. The call goes on as it was.
func (m *Media) Abandon() {
	m.pending = nil
	m.hear()
}

// SetAnswer applies the pending offer with the peer's answer to it.
//
// The first answer binds the path, be it provisional or final. A later one to
// the same offer may change directions and codecs, until one was final; if it
// comes from another DTLS identity or ICE agent, as that of another fork does,
// the error is [session.ErrFreshMedia] and nothing is changed, but that a fork
// which lost by it neither hears us nor is heard any more.
func (m *Media) SetAnswer(_ context.Context, answer session.Description, o session.AnswerInfo) (session.MediaState, error) {
	st, err := m.setAnswer(answer, o.Provisional)
	if of := cmp.Or(m.pending, m.settled); errors.Is(err, session.ErrFreshMedia) && of.opening && !o.Provisional {
		m.silence()
	}
	return st, err
}

func (m *Media) setAnswer(answer session.Description, provisional bool) (session.MediaState, error) {
	p := m.pending
	if p == nil {
		return m.state(), m.anotherAnswer(answer)
	}
	if !provisional {
		m.pending, m.settled = nil, p
	}
	if p.answered != nil && bytes.Equal(p.answered, answer.Body) {
		return m.state(), nil
	}
	d, err := parse(answer)
	if err != nil {
		return m.state(), err
	}
	theirs := normalize(d)
	streams, path, err := m.matchAnswer(theirs, p)
	if err != nil {
		return m.state(), err
	}
	if err := m.applyAnswer(&path.transport, streams); err != nil {
		if errors.Is(err, session.ErrFreshMedia) {
			m.successor = streams
		}
		return m.state(), err
	}
	if provisional {
		p.answered = bytes.Clone(answer.Body)
	}
	m.noteOrigin(d)
	m.remoteHold = m.heldByAnswer(p, streams, theirs)
	m.commit(streams, p.wants, p.hold)
	return m.state(), nil
}

// anotherAnswer judges one that comes when no offer is open: that of another
// fork to an offer which one has answered for good.
func (m *Media) anotherAnswer(answer session.Description) error {
	if m.settled == nil || !m.applied {
		return errNoOffer
	}
	d, err := parse(answer)
	if err != nil {
		return err
	}
	streams, path, err := m.matchAnswer(normalize(d), m.settled)
	switch {
	case err != nil:
		return err
	case m.remote.sameDTLS(&path.transport) && m.remote.sameICE(&path.transport):
		return errNoOffer
	}
	m.successor = streams
	return session.ErrFreshMedia
}

func parse(d session.Description) (*description, error) {
	if t, _, err := mime.ParseMediaType(d.ContentType); d.ContentType != "" && (err != nil || t != contentType) {
		return nil, unacceptable(warnOther, "not application/sdp")
	}
	out, err := parseDescription(d.Body)
	if err != nil {
		return nil, unacceptable(warnOther, "%s", strings.TrimPrefix(err.Error(), "rtc: "))
	}
	return out, nil
}

// matchAnswer pairs the m-lines of an answer with those of our offer and
// returns what comes of them and the m-line that has the path.
func (m *Media) matchAnswer(theirs []*remoteMedia, p *pending) ([]stream, *remoteMedia, error) {
	var path *remoteMedia
	refusal := unacceptable(warnMediaType, "no media")
	streams := make([]stream, len(p.lines))
	for i, line := range p.lines {
		s := line.stream
		s.active = false
		streams[i] = s.refusedForm()
		if !line.active || i >= len(theirs) {
			continue
		}
		r := theirs[i]
		switch {
		case r.refusal != nil:
		case r.kind != line.kind:
			r.refusal = unacceptable(warnMediaType, "m=%s answered with m=%s", line.media, r.media)
		case path != nil && !m.shares(r, path):
			r.refusal = unacceptable(warnTransport, "m=%s is not bundled", r.media)
		}
		if r.refusal == nil {
			s.codecs = match(r.codecs, line.codecs, false)
			if s.codecs == nil {
				r.refusal = unacceptable(warnFormat, "no codec in common for m=%s", r.media)
			}
		}
		if r.refusal != nil {
			refusal = r.refusal
			continue
		}
		if path == nil {
			path = r
		}
		s.active = true
		s.receive = union(line.codecs, s.codecs)
		s.own = line.direction.answer(r.willing())
		streams[i] = s
	}
	if path == nil {
		return nil, nil, refusal
	}
	return streams, path, nil
}

// shares reports whether r uses the path of first: one ICE session, whether a
// BUNDLE group says so or the attributes do.
func (m *Media) shares(r, first *remoteMedia) bool {
	return r.transport.sameICE(&first.transport) && r.transport.sameDTLS(&first.transport)
}

// willing is what the peer does: its direction, and c=0.0.0.0 where that means
// hold (RFC 3264 §8.4).
func (r *remoteMedia) willing() Direction {
	return directionOf(r.direction.sends(), r.direction.receives() && !r.held)
}

// refusedForm is a stream as it is repeated with port 0 from now on.
func (s stream) refusedForm() stream {
	if len(s.formats) == 0 {
		for _, c := range s.codecs {
			s.formats = append(s.formats, strconv.Itoa(int(c.PayloadType)))
		}
	}
	s.codecs, s.receive, s.active = nil, nil, false
	return s
}

// union lists every payload type that the peer may send: those that we wrote
// and those that it wrote instead.
func union(a, b []Codec) []Codec {
	out := append([]Codec(nil), a...)
	for _, c := range b {
		known := false
		for _, x := range out {
			known = known || x.PayloadType == c.PayloadType
		}
		if !known {
			out = append(out, c)
		}
	}
	return out
}

// applyAnswer brings the path up, or checks that it is the one that is.
func (m *Media) applyAnswer(t *transport, streams []stream) error {
	setup := "active" // for the actpass or nothing that old stacks answer
	if t.setup == "passive" {
		setup = "passive"
	}
	role := opposite(setup)
	if m.applied {
		switch {
		case !m.remote.sameDTLS(t):
			return session.ErrFreshMedia
		case t.ufrag != "" && !m.restarted && !m.remote.sameICE(t):
			return session.ErrFreshMedia
		}
		// The roles stay, as an answer has to say (RFC 8842 §5.3): that of Firefox to
		// an ICE restart, and each one after it, has the role that Firefox would take
		// in a new association, and yet it keeps the old one.
		role, setup = m.role, opposite(m.role)
	} else if t.ufrag == "" {
		return unacceptable(warnTransport, "ICE is required")
	}
	if err := m.toPion(t, setup, streams, m.peer.accept); err != nil {
		return err
	}
	m.role = role
	return nil
}

// toPion gives pion the peer's end of the path by apply, unless it is what it
// has: an exchange in the middle of a call seldom concerns it.
func (m *Media) toPion(t *transport, setup string, streams []stream, apply func(string) error) error {
	if t.ufrag == "" { // RFC 2543's hold, which has nothing to say of the path
		return nil
	}
	view := m.pionView(t, setup, streams, nil)
	remote, added := *t, t.candidates
	same := m.applied && !m.restarted && m.remote.sameICE(t)
	if same {
		added = m.addedCandidates(t)
		remote.candidates = slices.Concat(m.remote.candidates, added)
	}
	if same && (len(m.peer.kinds) == 1 || view == m.view) { // one kind: any codec is its own
		m.remote.candidates = remote.candidates
		for _, c := range added {
			if err := m.peer.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: "candidate:" + c}); err != nil {
				m.options.Logger.Info("candidate not taken", "error", err) // it costs only itself
			}
		}
		return nil
	}
	if err := apply(m.pionView(t, setup, streams, added)); err != nil {
		return err
	}
	m.view, m.remote, m.applied, m.restarted = view, remote, true, false
	return nil
}

// addedCandidates are those that a description adds to the same ICE session,
// which has no more than maxCandidates in all.
func (m *Media) addedCandidates(t *transport) []string {
	var added []string
	for _, c := range t.candidates {
		if len(m.remote.candidates)+len(added) < maxCandidates && !slices.Contains(m.remote.candidates, c) {
			added = append(added, c)
		}
	}
	return added
}

func opposite(setup string) string {
	if setup == "active" {
		return "passive"
	}
	return "active"
}

// heldByAnswer reports whether the answer holds us: nothing is received of all
// that we offered to send. Where we offered nothing, it says nothing new.
func (m *Media) heldByAnswer(p *pending, streams []stream, theirs []*remoteMedia) bool {
	asked, held := false, true
	for i, s := range streams {
		if s.active && p.lines[i].direction.sends() {
			asked = true
			held = held && !theirs[i].willing().receives()
		}
	}
	if !asked {
		return m.remoteHold
	}
	return held
}
