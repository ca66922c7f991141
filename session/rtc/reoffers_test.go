package rtc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/gosipua/sipua/session"
)

// TestReoffers answers what other stacks offer in the middle of a call. Each
// step changes the offer before it, by pairs of old and new text.
func TestReoffers(t *testing.T) {
	const (
		fromFive = "sha-256 5F:2C"
		fromSix  = "sha-256 6F:2C"
	)
	both := Options{Kinds: []Kind{Audio, Video}}
	for _, tt := range []struct {
		name    string
		offer   string // the first, in testdata/offers
		options Options
		hold    bool // we do, from the second step on
		steps   [][]string
	}{
		// An m-line comes with port 0, then in use, then on a path of its own.
		{"asterisk-video", "asterisk", both, false, [][]string{
			{"$", "m=video 0 UDP/TLS/RTP/SAVPF 99\na=mid:video-1\na=rtpmap:99 H264/90000\n"},
			{"m=video 0", "m=video 9", "BUNDLE audio-0", "BUNDLE audio-0 video-1", "a=mid:video-1\n",
				"a=mid:video-1\na=rtcp-mux\na=fmtp:99 packetization-mode=1;profile-level-id=42e01f\n"},
			{"BUNDLE audio-0 video-1", "BUNDLE audio-0"},
		}},
		// Held with an any-address beside ICE: only the direction counts, also
		// with the mid gone and another profile.
		{"asterisk-hold", "asterisk", Options{}, false, [][]string{
			{"c=IN IP4 198.51.100.10", "c=IN IP4 0.0.0.0"},
			{"a=sendrecv", "a=sendonly", "a=group:BUNDLE audio-0\n", "", "a=mid:audio-0\n", "", "UDP/TLS/RTP/SAVPF", "RTP/SAVPF"},
			{"a=sendonly", "a=sendrecv"},
		}},
		{"asterisk-hold-of-ours", "asterisk", Options{}, true, [][]string{
			{"c=IN IP4 198.51.100.10", "c=IN IP4 0.0.0.0"},
			{"a=sendrecv", "a=inactive"},
			{"a=inactive", "a=recvonly"},
			{"a=recvonly", "a=sendonly"},
		}},
		// The hold of RFC 2543 from a stack that leaves ICE out of it.
		{"freeswitch-any-address", "freeswitch", Options{}, false, [][]string{
			{"c=IN IP4 203.0.113.20", "c=IN IP4 0.0.0.0", "a=ice-ufrag:pQ3xV7ncWb1k0sJd\n", "", "a=ice-pwd:h2FzK9mTq4rLxYv6Bs8Nw0Ua\n", "",
				"a=candidate:7219840563 1 udp 2130706431 203.0.113.20 24850 typ host generation 0\n", ""},
			{"c=IN IP4 0.0.0.0", "c=IN IP4 203.0.113.20"}, // neither hold nor ICE
			{"a=rtcp-mux\n", "a=rtcp-mux\na=ice-ufrag:pQ3xV7ncWb1k0sJd\na=ice-pwd:h2FzK9mTq4rLxYv6Bs8Nw0Ua\n"},
		}},
		// Another codec alone; the other role; who was active is no other end.
		{"freeswitch-codec", "freeswitch", Options{}, false, [][]string{
			{"102 9 0 8 103 101 13", "8 101"},
			{"a=setup:actpass", "a=setup:passive"},
			{"a=setup:passive", "a=setup:active"},
		}},
		// What a transfer behind it looks like.
		{"freeswitch-transferred", "freeswitch", Options{}, false, [][]string{{fromFive, fromSix}}},
		// It is ICE lite and its direction stands before the m-lines.
		{"rtpengine-session-level", "rtpengine", Options{}, false, [][]string{
			{"a=sendrecv\n", "", "a=ice-lite\n", "a=ice-lite\na=sendonly\n"},
			{"a=ice-lite\na=sendonly\n", "a=ice-lite\na=inactive\n"},
			{"a=ice-lite\na=inactive\n", "a=ice-lite\n"},
			{"a=tls-id:b2c1", "a=tls-id:c2c1"},
		}},
		// An ICE restart, which is not another end.
		{"rtpengine-restart", "rtpengine", Options{}, false, [][]string{
			{"a=ice-ufrag:kEm2Pz8A", "a=ice-ufrag:lEm2Pz8B", "a=ice-pwd:R", "a=ice-pwd:S"},
		}},
		// A fax, and back to talk.
		{"t38", "t38", Options{}, false, [][]string{
			{"m=audio 18800", "m=audio 0"},
			{"m=audio 0", "m=audio 18800", "m=image 18802", "m=image 0"},
		}},
		// The session says sendrecv, the m-line what counts.
		{"firefox-hold", "firefox", Options{}, false, [][]string{
			{"a=sendrecv\na=end-of-candidates", "a=sendonly\na=end-of-candidates"},
			{"a=sendonly", "a=inactive"},
			{"a=inactive", "a=sendrecv"},
		}},
		// Video goes, and its place serves another stream under a new mid.
		{"chromium-video", "chromium-video", both, false, [][]string{
			{"m=video 40382", "m=video 0", "BUNDLE 0 1 2", "BUNDLE 0 2"},
			{"m=video 0", "m=video 9", "BUNDLE 0 2", "BUNDLE 0 3 2", "a=mid:1", "a=mid:3"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				v := n.host("10.0.0.1")
				n.start()
				e := newEnd(t, v, tt.options)
				defer e.close()
				body := string(ok[[]byte](t)(os.ReadFile("testdata/offers/" + tt.offer + ".sdp")))
				var got bytes.Buffer
				for i, step := range append([][]string{nil}, tt.steps...) {
					for ; len(step) > 0; step = step[2:] {
						if step[0] != "$" && !strings.Contains(body, step[0]) {
							t.Fatalf("step %d: no %q in the offer", i, step[0])
						}
						if step[0] == "$" {
							body += step[1]
						} else {
							body = strings.ReplaceAll(body, step[0], step[1])
						}
					}
					fmt.Fprintf(&got, "== %d\n", i)
					d := session.Description{Body: []byte(strings.ReplaceAll(body, "\n", "\r\n"))}
					answer, state, err := e.media.Answer(context.Background(), d, session.OfferOptions{Hold: tt.hold && i > 0})
					var why *UnacceptableError
					switch {
					case errors.Is(err, session.ErrFreshMedia):
						fmt.Fprintln(&got, "fresh media")
					case errors.As(err, &why):
						fmt.Fprintf(&got, "488\nWarning: %d %s\n", why.Code, why.Reason)
					case err != nil:
						t.Fatal(err)
					default:
						fmt.Fprintf(&got, "%s%+v\n", settle(string(answer.Body)), state)
					}
				}
				golden := "testdata/reoffers/" + tt.name + ".answers"
				if *update {
					if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				if d := cmp.Diff(string(ok[[]byte](t)(os.ReadFile(golden))), got.String()); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

// TestFullOffer: asked for an offer by a re-INVITE that carries none, as Cisco
// and Webex resume a call, we offer all that we want, whatever the peer held
// before (RFC 3264 §8.4, RFC 6337 §5.1); its answer says who holds now.
func TestFullOffer(t *testing.T) {
	for _, tt := range []struct {
		before string // what the peer offered
		hold   bool   // we do
		offer  string
		answer string
		want   session.MediaState
		toB    bool
		toA    bool
	}{
		{"sendrecv", false, "sendrecv", "sendrecv", session.MediaState{}, true, true},
		{"sendonly", false, "sendrecv", "sendrecv", session.MediaState{}, true, true},
		{"inactive", false, "sendrecv", "sendrecv", session.MediaState{}, true, true},
		{"recvonly", false, "sendrecv", "sendrecv", session.MediaState{}, true, true},
		{"sendrecv", false, "sendrecv", "sendonly", session.MediaState{RemoteHold: true}, false, true},
		{"sendonly", false, "sendrecv", "sendonly", session.MediaState{RemoteHold: true}, false, true},
		{"sendrecv", false, "sendrecv", "inactive", session.MediaState{RemoteHold: true}, false, false},
		{"sendrecv", false, "sendrecv", "recvonly", session.MediaState{}, true, false},
		{"sendrecv", true, "sendonly", "recvonly", session.MediaState{LocalHold: true}, false, false},
		{"inactive", true, "sendonly", "recvonly", session.MediaState{LocalHold: true}, false, false},
		{"sendonly", true, "sendonly", "inactive", session.MediaState{LocalHold: true, RemoteHold: true}, false, false},
		{"sendrecv", true, "sendonly", "sendrecv", session.MediaState{LocalHold: true}, false, false},
	} {
		t.Run(fmt.Sprintf("%s hold=%v %s", tt.before, tt.hold, tt.answer), func(t *testing.T) {
			inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
				ctx := t.Context()
				d := ok[session.Description](t)(b.media.Offer(ctx, session.OfferOptions{}))
				b.media.Abandon()
				if _, _, err := a.media.Answer(ctx, edit(d, "a=sendrecv", "a="+tt.before), session.OfferOptions{}); err != nil {
					t.Fatal(err)
				}
				offer := ok[session.Description](t)(a.media.Offer(ctx, session.OfferOptions{Hold: tt.hold}))
				wantDirection(t, "offer", offer, tt.offer)
				if !strings.Contains(string(offer.Body), "SAVPF 111 0 8 110 126\r\n") {
					t.Errorf("not all codecs are offered:\n%s", offer.Body)
				}
				answer, _, err := b.media.Answer(ctx, offer, session.OfferOptions{})
				if err != nil {
					t.Fatal(err)
				}
				for _, dir := range []string{"sendrecv", "sendonly", "recvonly", "inactive"} {
					answer = edit(answer, "\r\na="+dir+"\r\n", "\r\na=DIR\r\n")
				}
				state, err := a.media.SetAnswer(ctx, edit(answer, "a=DIR", "a="+tt.answer), session.AnswerInfo{})
				if err != nil || state != tt.want {
					t.Errorf("state is %+v, %v; want %+v", state, err, tt.want)
				}
				openGates(b)
				wantAudio(t, a, b, tt.toB, tt.toA)
			})
		})
	}
}

// openGates lets an end send and hear whatever it has agreed to.
func openGates(e *end) {
	s := e.media.peer.senders[Audio]
	s.set(gate{send: true, codecs: s.codecs, track: s.track}, false)
	r := *e.media.reception.Load()
	r.open[Audio] = true
	e.media.reception.Store(&r)
}
