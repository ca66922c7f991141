package rtc

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/gosipua/sipua/session"
)

// FuzzNormalize takes whatever comes for an answer, then answers it: it never panics, the answer has the
// offer's m-lines with their mids and protocols, and what pion would be given
// is a description that it can read.
func FuzzNormalize(f *testing.F) {
	files, _ := filepath.Glob("testdata/offers/*.sdp")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, kinds := range [][]Kind{{Audio}, {Audio, Video}} {
			answerFuzzed(t, body, kinds)
		}
	})
}

func answerFuzzed(t *testing.T, body []byte, kinds []Kind) {
	o, err := Options{Kinds: kinds}.complete()
	if err != nil {
		t.Fatal(err)
	}
	m := &Media{options: o, payloads: payloads{}, wants: o.wants(), lastMid: -1, peer: &peer{kinds: kinds, senders: map[Kind]*sender{}}}
	for _, k := range kinds {
		m.peer.senders[k] = newSender(k, nil, &counters{}, o.Logger)
	}
	d, err := parse(session.Description{Body: body})
	if err != nil {
		return
	}
	p := &pending{lines: m.propose(m.wants, asked{}, false)}
	answers := normalize(d)
	if streams, _, err := m.matchAnswer(answers, p); err == nil {
		if len(streams) != len(p.lines) {
			t.Fatalf("%d m-lines of ours came to %d", len(p.lines), len(streams))
		}
		m.heldByAnswer(p, streams, answers)
	}
	theirs := normalize(d)
	path, err := m.choose(d, theirs, m.wants)
	if err != nil {
		return
	}
	role, err := m.checkPath(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := m.reply(d, theirs, m.wants, false)
	l := local{ufrag: "u", pwd: "p", setup: role, candidates: []candidate{{addr: netip.IPv4Unspecified(), port: 5004, typ: "host"}}}
	answer, err := parse(compose(l, lines, d.bundle(path.mid)))
	if err != nil {
		t.Fatalf("our answer cannot be read: %v", err)
	}
	if len(answer.media) != len(d.media) {
		t.Fatalf("%d m-lines answered with %d", len(d.media), len(answer.media))
	}
	var streams []stream
	for i, x := range answer.media {
		mid, _ := attr(x.lines, "mid")
		if x.proto != d.media[i].proto || x.media != d.media[i].media || mid != theirs[i].mid {
			t.Fatalf("m=%s %s mid %q answered with m=%s %s mid %q",
				d.media[i].media, d.media[i].proto, theirs[i].mid, x.media, x.proto, mid)
		}
		if (x.port != 0) != (theirs[i].refusal == nil) {
			t.Fatalf("m-line %d is answered with port %d, refusal %v", i, x.port, theirs[i].refusal)
		}
		streams = append(streams, lines[i].stream)
	}
	view := webrtc.SessionDescription{
		Type: webrtc.SDPTypeOffer,
		SDP:  m.pionView(&path.transport, opposite(role), streams, path.transport.candidates),
	}
	seen, err := view.Unmarshal()
	if err != nil {
		t.Fatalf("pion cannot read what it is given: %v\n%s", err, view.SDP)
	}
	if len(seen.MediaDescriptions) != len(kinds) {
		t.Fatalf("pion is given %d m-lines, want %d", len(seen.MediaDescriptions), len(kinds))
	}
	next := m.payloads.assign(merge(streams[slices.Index(theirs, path)].codecs, ours(path.kind, nil)))
	for i, c := range next {
		for _, e := range next[:i] {
			if c.PayloadType == e.PayloadType {
				t.Fatalf("payload type %d means both %s and %s", c.PayloadType, c, e)
			}
		}
	}
	m.streams = streams
	offerFuzzed(t, m)
}

// offerFuzzed adds every kind to what the peer's description came to: no m-line
// is lost or moves, and each mid of ours is new.
func offerFuzzed(t *testing.T, m *Media) {
	w, a, err := m.wants.with(Change{Kinds: []Kind{Audio, Video}})
	if err != nil {
		t.Fatal(err)
	}
	lines := m.propose(w, a, false)
	if len(lines) < len(m.streams) {
		t.Fatalf("%d m-lines came to %d", len(m.streams), len(lines))
	}
	mids, kinds := map[string]int{}, map[Kind]int{}
	for i, x := range lines {
		known := i < len(m.streams)
		if known && (x.media != m.streams[i].media || m.streams[i].active && (!x.active || m.streams[i].mid != "" && x.mid != m.streams[i].mid)) {
			t.Fatalf("m-line %d changed from %+v to %+v", i, m.streams[i], x.stream)
		}
		if !x.active {
			continue
		}
		kinds[x.kind]++
		if mids[x.mid]++; mids[x.mid] > 1 && !(known && m.streams[i].active) {
			t.Fatalf("mid %q is used twice", x.mid)
		}
	}
	if kinds[Audio] != 1 || kinds[Video] != 1 {
		t.Fatalf("the offer has %v, want one of each kind", kinds)
	}
}

// FuzzPackets takes whatever comes for RTP in a call with telephone events:
// it never panics, and a digit lasts no time that cannot be.
func FuzzPackets(f *testing.F) {
	f.Add([]byte{0x80, 0x80 | 110, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9, 5, 0x8a, 3, 0xe8}, []byte{0x80, 110, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9, 6, 10, 0xff, 0xff})
	f.Add([]byte{0x90, 111, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9, 0xbe, 0xde, 0, 1, 0x10, 1, 0, 0, 1}, []byte{0xa0, 110, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9, 6, 10, 1, 4})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		o, err := Options{}.complete()
		if err != nil {
			t.Fatal(err)
		}
		m := &Media{options: o, payloads: payloads{}, wants: o.wants(), call: newCall(), peer: &peer{}}
		m.digits.report = func(_ rune, d time.Duration) {
			if d < 0 {
				t.Errorf("a digit of %v", d)
			}
		}
		defer m.digits.close()
		codecs := m.payloads.assign(ours(Audio, nil))
		m.streams = []stream{{kind: Audio, active: true, codecs: codecs, receive: codecs}}
		m.hear()
		for range 2 {
			for _, b := range [][]byte{first, second} {
				var p rtp.Packet
				if p.Unmarshal(slices.Clone(b)) == nil {
					m.packet(Audio, &p)
					m.packet(Video, &p)
				}
			}
		}
	})
}
