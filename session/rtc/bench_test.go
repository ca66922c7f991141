package rtc

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/gosipua/sipua/session"
)

// BenchmarkFirstPacket takes the time from nothing to the first audio packet
// heard, with host candidates over the loopback interface: two Medias beside
// two bare PeerConnections, in turn. Their medians and the ratio are reported.
func BenchmarkFirstPacket(b *testing.B) {
	var ours, bare []time.Duration
	for b.Loop() {
		bare = append(bare, barePion(b))
		ours = append(ours, twoMedias(b))
	}
	o, p := median(ours), median(bare)
	b.ReportMetric(float64(p.Microseconds())/1000, "bare-ms")
	b.ReportMetric(float64(o.Microseconds())/1000, "rtc-ms")
	b.ReportMetric(float64(o)/float64(p), "ratio")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func noEvents() session.MediaEvents {
	return session.MediaEvents{Connected: func() {}, Disconnected: func() {}, Failed: func(error) {}, DTMF: func(rune, time.Duration) {}}
}

func must[T any](b *testing.B) func(v T, err error) T {
	return func(v T, err error) T {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
		return v
	}
}

func twoMedias(b *testing.B) time.Duration {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	start := time.Now()
	tone := NewTrack(Audio)
	caller := must[session.Media](b)(New(Options{Tracks: []Track{tone}, Loopback: true}).NewMedia(session.MediaOptions{Events: noEvents()}))
	callee := must[session.Media](b)(New(Options{Loopback: true}).NewMedia(session.MediaOptions{Events: noEvents()}))
	in := callee.(*Media).call.subscribe(ctx, Audio)
	offer := must[session.Description](b)(caller.Offer(ctx, session.OfferOptions{}))
	answer, _, err := callee.Answer(ctx, offer, session.OfferOptions{})
	if err != nil {
		b.Fatal(err)
	}
	must[session.MediaState](b)(caller.SetAnswer(ctx, answer, session.AnswerInfo{}))
	must[Codec](b)(tone.Ready(ctx))
	if err := tone.WriteSample(Sample{Data: make([]byte, 160), Duration: 20 * time.Millisecond}); err != nil {
		b.Fatal(err)
	}
	must[*rtp.Packet](b)(in.ReadRTP())
	took := time.Since(start)
	_ = caller.Close()
	_ = callee.Close()
	return took
}

func barePion(b *testing.B) time.Duration {
	b.Helper()
	var s webrtc.SettingEngine
	s.LoggerFactory = loggers{discard()}
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	start := time.Now()
	api := webrtc.NewAPI(webrtc.WithSettingEngine(s))
	caller := must[*webrtc.PeerConnection](b)(api.NewPeerConnection(webrtc.Configuration{}))
	callee := must[*webrtc.PeerConnection](b)(api.NewPeerConnection(webrtc.Configuration{}))
	track := must[*webrtc.TrackLocalStaticRTP](b)(webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "a", "b"))
	must[*webrtc.RTPSender](b)(caller.AddTrack(track))
	up, heard := make(chan struct{}), make(chan struct{})
	caller.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			close(up)
		}
	})
	callee.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		if _, _, err := t.ReadRTP(); err == nil {
			close(heard)
		}
	})
	offer := must[webrtc.SessionDescription](b)(caller.CreateOffer(nil))
	gather(b, caller, offer)
	if err := callee.SetRemoteDescription(*caller.LocalDescription()); err != nil {
		b.Fatal(err)
	}
	answer := must[webrtc.SessionDescription](b)(callee.CreateAnswer(nil))
	gather(b, callee, answer)
	if err := caller.SetRemoteDescription(*callee.LocalDescription()); err != nil {
		b.Fatal(err)
	}
	<-up
	p := &rtp.Packet{Payload: make([]byte, 160)}
	p.Version = 2
	if err := track.WriteRTP(p); err != nil {
		b.Fatal(err)
	}
	<-heard
	took := time.Since(start)
	_ = caller.GracefulClose()
	_ = callee.GracefulClose()
	return took
}

func gather(b *testing.B, pc *webrtc.PeerConnection, d webrtc.SessionDescription) {
	b.Helper()
	done := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(d); err != nil {
		b.Fatal(err)
	}
	<-done
}
