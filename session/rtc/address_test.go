package rtc

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/transport/v5/vnet"
	"github.com/pion/webrtc/v4"

	"github.com/gosipua/sipua/session"
)

// successor gives e fresh media next to those that it has, and returns both.
func (e *end) successor() (old, fresh *Media) { return e.media, e.newMedia(e.media) }

// silent counts how often the path was lost for now.
func (e *end) silent() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.silences
}

// TestRestartOnAnotherAddress: the path is cut, found silent after 5 s and lost
// after 30; fresh media over another address bring the audio back, and the
// application's tracks notice nothing.
func TestRestartOnAnotherAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		wifi, mobile, vb := n.host("10.0.0.1"), n.host("10.0.0.3"), n.host("10.0.0.2")
		var cut atomic.Bool
		n.router.AddChunkFilter(func(c vnet.Chunk) bool {
			away := strings.HasPrefix(c.SourceAddr().String(), "10.0.0.1:") || strings.HasPrefix(c.DestinationAddr().String(), "10.0.0.1:")
			return !(away && cut.Load())
		})
		n.start()
		var moved atomic.Bool
		a := newEnd(t, wifi, Options{SettingEngine: func(s *webrtc.SettingEngine) {
			if moved.Load() {
				s.SetNet(mobile)
			}
		}})
		b := newEnd(t, vb, Options{})
		defer b.close()
		defer a.close()
		exchange(t, a, b, false)
		ok[Codec](t)(a.track.Ready(context.Background()))
		ok[Codec](t)(b.track.Ready(context.Background()))
		wantAudio(t, a, b, true, true)
		before := a.media.Stats().Audio.PacketsReceived

		cut.Store(true)
		moved.Store(true)
		begun := time.Now()
		for a.silent() == 0 && time.Since(begun) < time.Minute {
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(begun); took < 5*time.Second || took > 8*time.Second {
			t.Errorf("silent after %v", took)
		}
		for a.failed() == 0 && time.Since(begun) < time.Minute {
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(begun); took < 30*time.Second || took > 35*time.Second {
			t.Errorf("failed after %v", took)
		}

		old, fresh := a.successor()
		offer := ok[session.Description](t)(fresh.Offer(context.Background(), session.OfferOptions{}))
		if !strings.Contains(string(offer.Body), "10.0.0.3") || strings.Contains(string(offer.Body), "10.0.0.1 ") {
			t.Errorf("offer:\n%s", offer.Body)
		}
		if !fresh.Follows(old) {
			t.Error("the offer does not fit the call")
		}
		was, next := b.successor() // b's far end has another DTLS identity now
		answer, _, err := next.Answer(context.Background(), offer, session.OfferOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fresh.SetAnswer(context.Background(), answer, session.AnswerInfo{}); err != nil {
			t.Fatal(err)
		}
		a.media, b.media = fresh, next
		for _, m := range []*Media{old, was} {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Second)
		wantAudio(t, a, b, true, true)
		if got := a.media.Stats().Audio.PacketsReceived; got != before+10 {
			t.Errorf("%d packets in all, want %d", got, before+10)
		}
	})
}

// TestRestartInPlace: with Firefox a path that failed, which it has
// sooner than with another peer, is restarted in place. The
// offer stands for as long as nothing else was agreed on and the new path has not
// been given up, which is told like the loss of the old one.
func TestRestartInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		va, vb := n.host("10.0.0.1"), n.host("10.0.0.2")
		var cut atomic.Bool
		n.router.AddChunkFilter(func(vnet.Chunk) bool { return !cut.Load() })
		n.start()
		a, b := newEnd(t, va, Options{}), newEnd(t, vb, Options{})
		defer b.close()
		defer a.close()
		talk := func(o session.OfferOptions) {
			t.Helper()
			offer := ok[session.Description](t)(a.media.Offer(t.Context(), o))
			if !a.media.Follows(a.media) {
				t.Error("an offer just made is out of date")
			}
			answer, _, err := b.media.Answer(t.Context(), offer, session.OfferOptions{})
			if err != nil {
				t.Fatal(err)
			}
			answer.Body = bytes.Replace(answer.Body, []byte("o=- "), []byte("o=mozilla...THIS_IS_SDPARTA-99.0 "), 1)
			if _, err := a.media.SetAnswer(t.Context(), answer, session.AnswerInfo{}); err != nil {
				t.Fatal(err)
			}
			if a.media.Follows(a.media) {
				t.Error("an offer that was answered stands")
			}
			time.Sleep(time.Second)
			wantAudio(t, a, b, true, true)
		}
		talk(session.OfferOptions{})
		if !a.media.RestartsInPlace() || b.media.RestartsInPlace() {
			t.Errorf("restarts in place: %v with Firefox, %v with another", a.media.RestartsInPlace(), b.media.RestartsInPlace())
		}
		cut.Store(true)
		time.Sleep(22 * time.Second)
		if a.failed() != 1 || b.failed() != 0 {
			t.Errorf("failed %d times with Firefox, want once, and %d times with another", a.failed(), b.failed())
		}
		ok[session.Description](t)(a.media.Offer(t.Context(), session.OfferOptions{ICERestart: true}))
		time.Sleep(35 * time.Second) // nobody answers
		if got := a.failed(); got != 2 {
			t.Errorf("failed %d times, want twice", got)
		}
		if a.media.Follows(a.media) {
			t.Error("an offer stands whose candidates are gone")
		}
		cut.Store(false)
		talk(session.OfferOptions{ICERestart: true})
	})
}

// TestRestartRefused: nothing of the old path has changed, while its successor was
// made and when that is closed.
func TestRestartRefused(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		_, fresh := a.successor()
		ok[session.Description](t)(fresh.Offer(context.Background(), session.OfferOptions{}))
		wantAudio(t, a, b, true, true)
		fresh.Abandon()
		if err := fresh.Close(); err != nil {
			t.Error(err)
		}
		wantAudio(t, a, b, true, true)
	})
}

// TestFollowsTheCall: an offer that was kept fits as long as the m-lines do, as
// after a hold, and not when one has come.
func TestFollowsTheCall(t *testing.T) {
	inCall(t, Options{}, Options{Kinds: []Kind{Audio, Video}}, func(t *testing.T, a, b *end) {
		old, fresh := a.successor()
		defer fresh.Close()
		exchange(t, b, a, true)
		if !fresh.Follows(old) {
			t.Error("not after a hold")
		}
		video := Change{Add: []Track{NewTrack(Video)}}
		exchangeWith(t, b, a, session.OfferOptions{Change: video}, session.OfferOptions{})
		if fresh.Follows(old) {
			t.Error("though there is an m-line more")
		}
	})
}

// TestAddressGone: an address counts that an interface of the machine had when the
// path was found.
func TestAddressGone(t *testing.T) {
	own := func(addrs ...string) func() ([]net.Addr, error) {
		return func() ([]net.Addr, error) {
			var list []net.Addr
			for _, a := range addrs {
				ip, mask, _ := net.ParseCIDR(a)
				list = append(list, &net.IPNet{IP: ip, Mask: mask.Mask})
			}
			return list, nil
		}
	}
	pair := func(typ webrtc.ICECandidateType, addr, base string) *webrtc.ICECandidatePair {
		return &webrtc.ICECandidatePair{Local: &webrtc.ICECandidate{Typ: typ, Address: addr, RelatedAddress: base}}
	}
	host, srflx, relay := webrtc.ICECandidateTypeHost, webrtc.ICECandidateTypeSrflx, webrtc.ICECandidateTypeRelay
	for _, tt := range []struct {
		name string
		pair *webrtc.ICECandidatePair
		then func() ([]net.Addr, error)
		gone bool
	}{
		{"still there", pair(host, "192.0.2.1", ""), own("192.0.2.7/24", "192.0.2.1/24"), false},
		{"another network", pair(host, "192.0.2.1", ""), own("198.51.100.1/24"), true},
		{"behind a NAT", pair(srflx, "203.0.113.9", "192.0.2.1"), own("198.51.100.1/24"), true},
		{"behind a NAT, still there", pair(srflx, "203.0.113.9", "192.0.2.1"), own("192.0.2.1/24"), false},
		{"a relay's", pair(relay, "203.0.113.9", "192.0.2.1"), own("198.51.100.1/24"), false},
		{"never the machine's", pair(host, "203.0.113.9", ""), own("198.51.100.1/24"), false},
		{"IPv6", pair(host, "2001:db8::1", ""), own("192.0.2.1/24"), true},
		{"cannot be told", pair(host, "192.0.2.1", ""), func() ([]net.Addr, error) { return nil, net.ErrClosed }, false},
		{"no path", nil, own(), false},
	} {
		m := &Media{addrs: own("192.0.2.1/24", "2001:db8::1/64")}
		m.noteAddress(tt.pair)
		m.addrs = tt.then
		if got := m.AddressGone(); got != tt.gone {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
