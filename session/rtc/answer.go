package rtc

import (
	"context"

	"github.com/gosipua/sipua/session"
)

// Answer checks the peer's offer, applies it and returns the answer.
//
// The offer is checked whole before anything is applied. A [session.Media]
// that refuses it is as it was: with an [*UnacceptableError] none of its
// m-lines can be used, with [session.ErrFreshMedia] it comes from another DTLS
// identity than the call's.
func (m *Media) Answer(ctx context.Context, offer session.Description, o session.OfferOptions) (session.Description, session.MediaState, error) {
	d, err := parse(offer)
	if err != nil {
		return session.Description{}, m.state(), err
	}
	w, _, err := m.wants.with(o.Change)
	if err != nil {
		return session.Description{}, m.state(), err
	}
	theirs := normalize(d)
	path, err := m.choose(d, theirs, w)
	if err != nil {
		return session.Description{}, m.state(), err
	}
	role, err := m.checkPath(path)
	if err != nil {
		return session.Description{}, m.state(), err
	}
	if !m.applied && m.peer.offered > 0 {
		if err := m.renew(); err != nil { // pion cannot take its own offer back
			return session.Description{}, m.state(), err
		}
	}
	lines := m.reply(d, theirs, w, o.Hold)
	streams := make([]stream, len(lines))
	for i, x := range lines {
		streams[i] = x.stream
		if !x.active {
			continue
		}
		if err := m.peer.carry(x.kind, w[x.kind].track); err != nil {
			return session.Description{}, m.state(), err
		}
	}
	if err := m.toPion(&path.transport, opposite(role), streams, m.peer.answer); err != nil {
		return session.Description{}, m.state(), err
	}
	m.role, m.pending, m.settled = role, nil, nil
	m.noteOrigin(d)
	complete, err := m.peer.gather(ctx)
	if err != nil {
		return session.Description{}, m.state(), err
	}
	l, err := m.readLocal(m.peer.pc.LocalDescription().SDP, complete)
	if err != nil {
		return session.Description{}, m.state(), err
	}
	l.setup = role
	if path.transport.tlsID == "" {
		l.tlsID = "" // RFC 8842 §5.3
	}
	m.remoteHold = heldByOffer(theirs)
	m.commit(streams, w, o.Hold)
	return compose(l, lines, d.bundle(path.mid)), m.state(), nil
}

// choose decides which m-lines are used: one of each kind that we want, all
// on the path of the first. It returns that first one; the others learn their
// refusal.
func (m *Media) choose(d *description, theirs []*remoteMedia, w wants) (*remoteMedia, error) {
	var path *remoteMedia
	refusal := unacceptable(warnMediaType, "no media")
	taken := map[Kind]bool{}
	for _, i := range m.order(theirs) {
		r := theirs[i]
		switch {
		case r.refusal != nil:
		case !w[r.kind].carried:
			r.refusal = unacceptable(warnMediaType, "m=%s is not wanted", r.media)
		case taken[r.kind]:
			r.refusal = unacceptable(warnMediaType, "a second m=%s is not supported", r.media)
		case r.held && !m.applied:
			r.refusal = unacceptable(warnTransport, "ICE is required")
		case path != nil && !d.together(path, r):
			r.refusal = unacceptable(warnTransport, "m=%s is not bundled", r.media)
		case match(r.codecs, ours(r.kind, w[r.kind].codecs), false) == nil:
			r.refusal = unacceptable(warnFormat, "no codec in common for m=%s", r.media)
		}
		if r.refusal != nil {
			if path == nil {
				refusal = r.refusal
			}
			continue
		}
		taken[r.kind] = true
		if path == nil {
			path = r
		}
	}
	if path == nil {
		return nil, refusal
	}
	return path, nil
}

// order visits the m-lines that the call uses before the others, so that an
// offer does not move a stream by accident.
func (m *Media) order(theirs []*remoteMedia) []int {
	var used, rest []int
	for i, r := range theirs {
		if i < len(m.streams) && m.streams[i].active && m.streams[i].kind == r.kind {
			used = append(used, i)
		} else {
			rest = append(rest, i)
		}
	}
	return append(used, rest...)
}

// together reports whether two m-lines share a path: one BUNDLE group holds
// both (RFC 8843).
func (d *description) together(a, b *remoteMedia) bool {
	if a.mid == "" || b.mid == "" {
		return false
	}
	for _, mid := range d.bundle(a.mid) {
		if mid == b.mid {
			return true
		}
	}
	return false
}

// checkPath compares the path of an offer with the one that is up, and returns
// our role in it.
func (m *Media) checkPath(path *remoteMedia) (role string, err error) {
	t := &path.transport
	role = "active" // for actpass (RFC 5763 §5)
	switch t.setup {
	case "active":
		role = "passive"
	case "": // RFC 4145 §4: the offerer's default
		role = "passive"
	}
	if !m.applied {
		return role, nil
	}
	if !m.remote.sameDTLS(t) {
		return "", session.ErrFreshMedia
	}
	if t.setup == "active" || t.setup == "passive" {
		if role != m.role { // a change of roles is a new association, RFC 8842 §3.1
			return "", session.ErrFreshMedia
		}
	}
	return m.role, nil
}

// reply makes the m-lines of the answer, one for each of the offer in its
// place, with its mid and its profile.
func (m *Media) reply(d *description, theirs []*remoteMedia, w wants, hold bool) []wire {
	lines := make([]wire, len(theirs))
	for i, r := range theirs {
		s := stream{media: r.media, proto: r.proto, formats: r.formats, mid: r.mid, kind: r.kind}
		m.payloads.learn(r.codecs)
		if r.refusal != nil {
			lines[i] = wire{stream: s}
			continue
		}
		s.active = true
		s.bundled = r.mid != "" && d.bundle(r.mid) != nil
		s.codecs = match(r.codecs, ours(r.kind, w[r.kind].codecs), w[r.kind].codecs != nil)
		s.receive = s.codecs
		s.own = w[r.kind].direction.held(hold).answer(r.willing())
		lines[i] = wire{stream: s, direction: s.own, follows: r.port == 0}
	}
	return lines
}

// heldByOffer reports whether the peer receives nothing on any m-line in use
// (RFC 3264 §8.4).
func heldByOffer(theirs []*remoteMedia) bool {
	for _, r := range theirs {
		if r.refusal == nil && r.willing().receives() {
			return false
		}
	}
	return true
}

// renew replaces a PeerConnection that never got further than our offer.
func (m *Media) renew() error {
	p, err := newPeer(m)
	if err != nil {
		return err
	}
	m.mu.Lock()
	old := m.peer
	m.peer = p
	m.mu.Unlock()
	return old.close()
}
