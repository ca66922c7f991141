package rtc

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/gosipua/sipua/session"
)

// wantTag checks that the m-line of mid speaks for the bundle: it is the first
// of the group, has a port, and the candidates.
func wantTag(t *testing.T, of session.Description, mid string) {
	t.Helper()
	d := ok[*description](t)(parseDescription(of.Body))
	group, _ := attr(d.lines, "group")
	if got, _, _ := strings.Cut(strings.TrimPrefix(group, "BUNDLE "), " "); got != mid {
		t.Errorf("group %q, want %s first", group, mid)
	}
	for _, m := range d.media {
		own, _ := attr(m.lines, "mid")
		_, only := attr(m.lines, "bundle-only")
		_, candidates := attr(m.lines, "candidate")
		if own == mid && (m.port == 0 || only) || candidates != (own == mid) {
			t.Errorf("m=%s has mid %s, port %d, bundle-only %v, candidates %v", m.media, own, m.port, only, candidates)
		}
	}
}

// TestTagAfterReuse: an m-line that comes back in the first place is bundle-only
// and does not speak for the bundle (RFC 8843 §7.2.1).
func TestTagAfterReuse(t *testing.T) {
	both := Options{Kinds: []Kind{Audio, Video}}
	inCall(t, both, both, func(t *testing.T, a, b *end) {
		change := func(c Change) (offer, answer session.Description) {
			return exchangeWith(t, a, b, session.OfferOptions{Change: c}, session.OfferOptions{Change: c})
		}
		offer, answer := change(Change{Drop: []Kind{Audio}})
		wantTag(t, offer, "1")
		wantTag(t, answer, "1")
		offer, answer = change(Change{Kinds: []Kind{Audio}})
		wantTag(t, offer, "1")
		wantTag(t, answer, "1")
		offer, answer = exchange(t, b, a, false)
		wantTag(t, offer, "2")
		wantTag(t, answer, "2")
	})
}

// TestTagOfTheOffer: an answer has the tagged m-line of the offer (RFC 8843
// §7.3.1), wherever that stands.
func TestTagOfTheOffer(t *testing.T) {
	both := Options{Kinds: []Kind{Audio, Video}}
	inCall(t, both, both, func(t *testing.T, a, b *end) {
		offer := ok[session.Description](t)(a.media.Offer(context.Background(), session.OfferOptions{}))
		wantTag(t, offer, "0")
		offer.Body = []byte(strings.Replace(string(offer.Body), "a=group:BUNDLE 0 1", "a=group:BUNDLE 1 0", 1))
		answer, _, err := b.media.Answer(context.Background(), offer, session.OfferOptions{})
		if err != nil {
			t.Fatal(err)
		}
		wantTag(t, answer, "1")
	})
}

// TestCandidatesOfAllOffers: however many offers name candidates of one ICE
// session, it does not grow without end.
func TestCandidatesOfAllOffers(t *testing.T) {
	for name, o := range map[string]Options{"audio": {}, "video": {Kinds: []Kind{Audio, Video}}} {
		t.Run(name, func(t *testing.T) {
			inCall(t, o, o, func(t *testing.T, a, b *end) {
				for i := range 3 {
					codecs := []string{"PCMA", "opus", "VP8"}[i%2:] // pion gets to see some of it, too
					offer := ok[session.Description](t)(a.media.Offer(context.Background(), session.OfferOptions{Change: Change{Codecs: codecs}}))
					for j := range 60 {
						offer.Body = bytes.Replace(offer.Body, []byte("a=candidate:"),
							fmt.Appendf(nil, "a=candidate:%d 1 udp 2113929471 10.9.%d.%d 9 typ host\r\na=candidate:", 1000+i, i, j), 1)
					}
					answer, _, err := b.media.Answer(context.Background(), offer, session.OfferOptions{})
					if err != nil {
						t.Fatal(err)
					}
					if _, err := a.media.SetAnswer(context.Background(), answer, session.AnswerInfo{}); err != nil {
						t.Fatal(err)
					}
				}
				n := 0
				for _, s := range b.media.PeerConnection().GetStats() {
					if c, ok := s.(webrtc.ICECandidateStats); ok && c.Type == webrtc.StatsTypeRemoteCandidate {
						n++
					}
				}
				if n > maxCandidates+1 { // and one that a check came from
					t.Errorf("%d candidates", n)
				}
				wantAudio(t, a, b, true, true)
			})
		})
	}
}
