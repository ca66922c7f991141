package rtc

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/gosipua/sipua/session"
)

// local is our end of the path as our descriptions name it.
type local struct {
	ufrag, pwd   string
	fingerprints []string
	tlsID        string // empty: not to be written
	setup        string
	candidates   []candidate
	nominated    string // address and port of the one in use
	complete     bool   // gathering is done
	sources      map[Kind]source
}

// source is what we send a kind of media from.
type source struct{ ssrc, cname, msid string }

// readLocal takes our end of the path out of a description of pion's, whose
// m-lines are the kinds in their order.
func (m *Media) readLocal(sdp string, complete bool) (local, error) {
	d, err := parseDescription([]byte(sdp))
	if err != nil || len(d.media) == 0 {
		return local{}, errNotSDP
	}
	first := d.media[0]
	l := local{complete: complete, tlsID: m.peer.tlsID, setup: "actpass", sources: map[Kind]source{}}
	l.ufrag, _ = d.inherited(first, "ice-ufrag")
	l.pwd, _ = d.inherited(first, "ice-pwd")
	for f := range attrs(slices.Concat(d.lines, first.lines), "fingerprint") {
		l.fingerprints = append(l.fingerprints, f)
	}
	l.candidates = ownCandidates(first, m.options.RelayOnly)
	if len(l.candidates) == 0 {
		return l, ErrNoCandidates
	}
	for k, s := range m.peer.senders {
		l.sources[k] = s.source()
	}
	if pair := m.peer.pair.Load(); pair != nil {
		l.nominated = net.JoinHostPort(pair.Local.Address, strconv.Itoa(int(pair.Local.Port)))
	}
	return l, nil
}

// wire is an m-line of ours as it goes out.
type wire struct {
	stream
	direction  Direction
	bundleOnly bool // RFC 8843 §6
	follows    bool // the offer gives it no port of its own
}

// compose writes a description; offered is the BUNDLE group of the offer that
// it answers. Its o= line is only a place for the session's own.
func compose(l local, lines []wire, offered []string) session.Description {
	var w writer
	w.line("v=0")
	w.line("o=- 0 0 IN IP4 127.0.0.1")
	w.line("s=-")
	w.line("t=0 0")
	tag := tagOf(lines, offered)
	if mids := bundled(lines, tag); len(mids) > 0 {
		w.line("a=group:BUNDLE ", strings.Join(mids, " "))
	}
	w.line("a=ice-options:ice2")
	for i, x := range lines {
		if !x.active {
			x.refused(&w)
			continue
		}
		l.media(&w, x, i == tag)
	}
	return session.Description{ContentType: contentType, Body: []byte(w.String())}
}

// tagOf chooses the m-line that speaks for its bundle: the first that is used
// and has a port, in the order of the offer's group (RFC 8843 §7.2.1, §7.3.1).
func tagOf(lines []wire, offered []string) int {
	leads := func(x wire) bool { return x.active && !x.bundleOnly && !x.follows }
	for _, mid := range offered {
		if i := slices.IndexFunc(lines, func(x wire) bool { return leads(x) && x.mid == mid }); i >= 0 {
			return i
		}
	}
	if i := slices.IndexFunc(lines, leads); i >= 0 {
		return i
	}
	return slices.IndexFunc(lines, func(x wire) bool { return x.active })
}

// bundled are the mids of the bundle, that of the tagged m-line first.
func bundled(lines []wire, tag int) []string {
	var mids []string
	for i, x := range lines {
		switch {
		case !x.active || !x.bundled || x.mid == "":
		case i == tag:
			mids = slices.Insert(mids, 0, x.mid)
		default:
			mids = append(mids, x.mid)
		}
	}
	return mids
}

// refused writes an m-line that is not used (RFC 3264 §6 and §8.2).
func (x *wire) refused(w *writer) {
	w.line("m=", x.media, " 0 ", x.proto, " ", strings.Join(x.formats, " "))
	w.line("c=IN IP4 0.0.0.0")
	if x.mid != "" {
		w.line("a=mid:", x.mid)
	}
}

// media writes an m-line that is used; the tagged one has the candidates for
// all of its bundle.
func (l *local) media(w *writer, x wire, tagged bool) {
	def, _ := defaultCandidate(l.candidates, l.nominated)
	port := strconv.Itoa(def.port)
	if x.bundleOnly {
		port = "0"
	}
	w.WriteString("m=" + x.media + " " + port + " " + x.proto)
	for _, c := range x.codecs {
		w.WriteString(" " + strconv.Itoa(int(c.PayloadType)))
	}
	w.line()
	w.line("c=", def.connection())
	if x.mid != "" {
		w.line("a=mid:", x.mid)
	}
	if x.bundleOnly {
		w.line("a=bundle-only")
	}
	w.line("a=", x.direction.String())
	w.line("a=rtcp-mux")
	w.line("a=ice-ufrag:", l.ufrag)
	w.line("a=ice-pwd:", l.pwd)
	for _, f := range l.fingerprints {
		w.line("a=fingerprint:", f)
	}
	w.line("a=setup:", l.setup)
	if l.tlsID != "" {
		w.line("a=tls-id:", l.tlsID)
	}
	x.formatLines(w)
	if s, ok := l.sources[x.kind]; ok && x.direction.sends() {
		w.line("a=msid:", s.msid)
		w.line("a=ssrc:", s.ssrc, " cname:", s.cname)
	}
	if !tagged {
		return
	}
	for _, c := range l.candidates {
		w.line("a=candidate:", c.text)
	}
	if l.complete {
		w.line("a=end-of-candidates")
	}
}

func (x *wire) formatLines(w *writer) {
	for _, c := range x.codecs {
		pt := strconv.Itoa(int(c.PayloadType))
		w.line("a=rtpmap:", pt, " ", c.String())
		if c.Fmtp != "" {
			w.line("a=fmtp:", pt, " ", c.Fmtp)
		}
		if x.kind == Video && feedback(x.proto) {
			for _, fb := range [...]string{"nack", "nack pli", "ccm fir"} {
				w.line("a=rtcp-fb:", pt, " ", fb)
			}
		}
	}
}

// pionView writes the peer's end of the path as pion is to see it: every kind
// that we have, always there and always both ways, so that nothing it does by
// direction or by SSRC ever happens.
func (m *Media) pionView(t *transport, setup string, streams []stream, candidates []string) string {
	var w writer
	w.line("v=0")
	w.line("o=- 1 1 IN IP4 127.0.0.1")
	w.line("s=-")
	w.line("t=0 0")
	if len(m.peer.kinds) > 1 {
		w.WriteString("a=group:BUNDLE")
		for _, k := range m.peer.kinds {
			w.WriteString(" " + k.String())
		}
		w.line()
	}
	if t.lite {
		w.line("a=ice-lite")
	}
	used := payloads{}
	for _, s := range streams {
		if s.active {
			used.learn(s.receive)
			used.learn(s.codecs)
		}
	}
	for i, k := range m.peer.kinds {
		codecs := viewCodecs(k, streams)
		if codecs == nil {
			codecs = used.assign(ours(k, nil))
		}
		w.WriteString("m=" + k.String() + " 9 UDP/TLS/RTP/SAVPF")
		for _, c := range codecs {
			w.WriteString(" " + strconv.Itoa(int(c.PayloadType)))
		}
		w.line()
		w.line("c=IN IP4 0.0.0.0")
		w.line("a=mid:", k.String())
		w.line("a=ice-ufrag:", t.ufrag)
		w.line("a=ice-pwd:", t.pwd)
		w.line("a=fingerprint:", t.fingerprint())
		w.line("a=setup:", setup)
		w.line("a=rtcp-mux")
		w.line("a=sendrecv")
		x := wire{stream: stream{kind: k, proto: "UDP/TLS/RTP/SAVPF", codecs: codecs}}
		x.formatLines(&w)
		if i == 0 {
			for _, c := range candidates {
				w.line("a=candidate:", c)
			}
		}
	}
	return w.String()
}

// viewCodecs are the codecs of a kind that the peer may send.
func viewCodecs(k Kind, streams []stream) []Codec {
	for _, s := range streams {
		if s.active && s.kind == k {
			return s.receive
		}
	}
	return nil
}
