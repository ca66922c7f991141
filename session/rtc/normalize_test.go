package rtc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gosipua/sipua/session"
)

// edit changes a description by pairs of old and new text.
func edit(d session.Description, pairs ...string) session.Description {
	d.Body = []byte(strings.NewReplacer(pairs...).Replace(string(d.Body)))
	return d
}

// without leaves out the lines that begin with any of the prefixes.
func without(d session.Description, prefixes ...string) session.Description {
	var b strings.Builder
next:
	for l := range strings.Lines(string(d.Body)) {
		for _, p := range prefixes {
			if strings.HasPrefix(l, p) {
				continue next
			}
		}
		b.WriteString(l)
	}
	d.Body = []byte(b.String())
	return d
}

// TestReoffer changes one thing of an offer in the middle of a call.
func TestReoffer(t *testing.T) {
	const c = "c=IN IP4 10.0.0.1"
	for _, tt := range []struct {
		name   string
		change func(session.Description) session.Description
		want   error
		held   bool
	}{
		{"nothing", func(d session.Description) session.Description { return d }, nil, false},
		{"any-address with ICE", func(d session.Description) session.Description { return edit(d, c, "c=IN IP4 0.0.0.0") }, nil, false},
		{"any-address without ICE", func(d session.Description) session.Description {
			return without(edit(d, c, "c=IN IP4 0.0.0.0"), "a=ice-", "a=candidate")
		}, nil, true},
		{"IPv6 any-address without ICE", func(d session.Description) session.Description {
			return without(edit(d, c, "c=IN IP6 ::"), "a=ice-", "a=candidate")
		}, nil, true},
		{"no ICE", func(d session.Description) session.Description { return without(d, "a=ice-", "a=candidate") }, session.ErrUnacceptable, false},
		{"plain RTP", func(d session.Description) session.Description { return without(d, "a=fingerprint") }, session.ErrUnacceptable, false},
		{"another tls-id", func(d session.Description) session.Description { return edit(d, "a=tls-id:", "a=tls-id:X") }, session.ErrFreshMedia, false},
		{"our role", func(d session.Description) session.Description { return edit(d, "a=setup:actpass", "a=setup:active") }, session.ErrFreshMedia, false},
		{"its own role", func(d session.Description) session.Description { return edit(d, "a=setup:actpass", "a=setup:passive") }, nil, false},
		{"one more fingerprint", func(d session.Description) session.Description {
			return edit(d, "a=setup", "a=fingerprint:sha-1 "+strings.Repeat("AA:", 19)+"AA\r\na=setup")
		}, session.ErrFreshMedia, false},
		{"bad fingerprint", func(d session.Description) session.Description { return edit(d, "sha-256 ", "sha-256 0") }, session.ErrUnacceptable, false},
		{"session level", func(d session.Description) session.Description {
			return edit(d, "a=sendrecv\r\n", "", "t=0 0\r\n", "t=0 0\r\na=sendonly\r\n")
		}, nil, true},
		{"line feeds", func(d session.Description) session.Description { return edit(d, "\r\n", "\n") }, nil, false},
		{"another type", func(d session.Description) session.Description { d.ContentType = "text/plain"; return d }, session.ErrUnacceptable, false},
		{"parameters", func(d session.Description) session.Description {
			d.ContentType = "Application/SDP;charset=utf-8"
			return d
		}, nil, false},
		{"no description", func(d session.Description) session.Description { d.Body = []byte("hello"); return d }, session.ErrUnacceptable, false},
		{"zero byte", func(d session.Description) session.Description { return edit(d, "a=mid", "a=\x00mid") }, session.ErrUnacceptable, false},
		{"too large", func(d session.Description) session.Description {
			d.Body = append(d.Body, strings.Repeat("a=x\r\n", maxDescription/5)...)
			return d
		}, session.ErrUnacceptable, false},
		{"disabled", func(d session.Description) session.Description {
			i := strings.Index(string(d.Body), "m=audio ")
			j := strings.Index(string(d.Body), " UDP/TLS")
			d.Body = []byte(string(d.Body[:i]) + "m=audio 0" + string(d.Body[j:]))
			return d
		}, session.ErrUnacceptable, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
				ctx := context.Background()
				offer := tt.change(ok[session.Description](t)(a.media.Offer(ctx, session.OfferOptions{})))
				answer, state, err := b.media.Answer(ctx, offer, session.OfferOptions{})
				if !errors.Is(err, tt.want) {
					t.Fatalf("got %v, want %v", err, tt.want)
				}
				if err != nil {
					a.media.Abandon()
					wantAudio(t, a, b, true, true)
					return
				}
				if state.RemoteHold != tt.held {
					t.Errorf("state is %+v, want remote hold %v", state, tt.held)
				}
				if tt.held {
					wantDirection(t, "answer", answer, "recvonly")
				}
				wantAudio(t, a, b, true, !tt.held)
			})
		})
	}
}

// TestAnswerRefused changes one thing of the first answer.
func TestAnswerRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(session.Description) session.Description
		want   error
	}{
		{"no fingerprint", func(d session.Description) session.Description { return without(d, "a=fingerprint") }, session.ErrUnacceptable},
		{"no rtcp-mux", func(d session.Description) session.Description { return without(d, "a=rtcp-mux") }, session.ErrUnacceptable},
		{"no ICE", func(d session.Description) session.Description { return without(d, "a=ice-") }, session.ErrUnacceptable},
		{"no codec", func(d session.Description) session.Description { return edit(d, "SAVPF 111 0 8", "SAVPF 3") }, session.ErrUnacceptable},
		{"no m-line", func(d session.Description) session.Description {
			return session.Description{Body: d.Body[:strings.Index(string(d.Body), "m=")]}
		}, session.ErrUnacceptable},
		{"another kind", func(d session.Description) session.Description { return edit(d, "m=audio", "m=video") }, session.ErrUnacceptable},
		{"one more m-line", func(d session.Description) session.Description {
			d.Body = append(d.Body, "m=image 0 udptl t38\r\n"...)
			return d
		}, nil},
		{"actpass", func(d session.Description) session.Description { return edit(d, "a=setup:active", "a=setup:actpass") }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, Options{}, 2, func(t *testing.T, ends []*end) {
				a, b := ends[0], ends[1]
				ctx := context.Background()
				offer := ok[session.Description](t)(a.media.Offer(ctx, session.OfferOptions{}))
				answer, _, err := b.media.Answer(ctx, offer, session.OfferOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := a.media.SetAnswer(ctx, tt.change(answer), session.AnswerInfo{}); !errors.Is(err, tt.want) {
					t.Fatalf("got %v, want %v", err, tt.want)
				}
				if tt.want == nil {
					ok[Codec](t)(a.track.Ready(ctx))
					ok[Codec](t)(b.track.Ready(ctx))
					wantAudio(t, a, b, true, true)
				}
			})
		})
	}
}

// TestReasonPrintable: a reason goes into a Warning field, whatever the peer
// wrote.
func TestReasonPrintable(t *testing.T) {
	d, err := parseDescription([]byte("v=0\r\nm=a\x01\"b 9 \\\xff 0\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := normalize(d)[0].refusal.Reason; got != "m=a??b is not supported" {
		t.Errorf("reason is %q", got)
	}
}

// TestManyCandidates: each costs checks, so they are bounded.
func TestManyCandidates(t *testing.T) {
	d := &description{}
	m := &mediaSection{}
	for i := range 10 * maxCandidates {
		m.lines = append(m.lines, line{'a', fmt.Sprintf("candidate:1 1 udp %d 192.0.2.1 %d typ host", i+1, 1000+i)})
	}
	if n := len(d.transport(m).candidates); n != maxCandidates {
		t.Errorf("%d candidates are taken, want %d", n, maxCandidates)
	}
}

func TestBundleInherits(t *testing.T) {
	const body = "v=0\r\na=group:BUNDLE 0 1\r\n" +
		"m=audio 4000 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=rtcp-mux\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\na=setup:active\r\n" +
		"a=fingerprint:sha-1 AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA\r\n" +
		"a=candidate:1 1 udp 1 192.0.2.1 4000 typ host\r\n" +
		"m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=bundle-only\r\na=rtpmap:96 VP8/90000\r\n"
	d, err := parseDescription([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	audio, video := normalize(d)[0], normalize(d)[1]
	if video.refusal != nil || !video.transport.sameICE(&audio.transport) || !video.transport.sameDTLS(&audio.transport) ||
		video.transport.setup != "active" || len(video.transport.candidates) != 1 {
		t.Errorf("video has %+v, %v", video.transport, video.refusal)
	}
}
