package benchmarks

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip/siptest"
)

// BenchmarkFirstAudio is the time from the start of a call to the first packet
// of audio at the far end, over host candidates.
func BenchmarkFirstAudio(b *testing.B) {
	var caller, callee *webrtc.PeerConnection
	call, hangup := sipuaFirstAudio(b)
	contest(b, 1,
		contestant{name: "pion",
			do:   func(int) { caller, callee = barePion(b) },
			rest: func() { caller.GracefulClose(); callee.GracefulClose() },
		},
		contestant{name: "sipua", do: func(int) { call() }, rest: hangup},
	)
}

// barePion connects two PeerConnections by hand, in one process and without
// signalling, and sends a packet as soon as that works.
func barePion(b *testing.B) (caller, callee *webrtc.PeerConnection) {
	var se webrtc.SettingEngine
	se.SetICEMulticastDNSMode(0)
	api := webrtc.NewAPI(webrtc.WithSettingEngine(se))
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	caller, err := api.NewPeerConnection(webrtc.Configuration{})
	must(err)
	callee, err = api.NewPeerConnection(webrtc.Configuration{})
	must(err)
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMU, ClockRate: 8000}, "a", "b")
	must(err)
	_, err = caller.AddTrack(track)
	must(err)
	up := make(chan struct{})
	var once sync.Once
	caller.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			once.Do(func() { close(up) })
		}
	})
	heard := make(chan struct{})
	callee.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		if _, _, err := t.ReadRTP(); err == nil {
			close(heard)
		}
	})
	offer, err := caller.CreateOffer(nil)
	must(err)
	gathered := webrtc.GatheringCompletePromise(caller)
	must(caller.SetLocalDescription(offer))
	<-gathered
	must(callee.SetRemoteDescription(*caller.LocalDescription()))
	answer, err := callee.CreateAnswer(nil)
	must(err)
	gathered = webrtc.GatheringCompletePromise(callee)
	must(callee.SetLocalDescription(answer))
	<-gathered
	must(caller.SetRemoteDescription(*callee.LocalDescription()))
	<-up
	sendUntil(heard, func(p *rtp.Packet) { track.WriteRTP(p) })
	return caller, callee
}

// sendUntil writes packets, a millisecond apart, until one was heard.
func sendUntil(heard <-chan struct{}, write func(*rtp.Packet)) {
	for seq := uint16(1); ; seq++ {
		write(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: seq, Timestamp: uint32(seq) * 160}, Payload: make([]byte, 160)})
		select {
		case <-heard:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// sipuaFirstAudio has bob registered at a siptest server, for alice to call.
func sipuaFirstAudio(b *testing.B) (call, hangup func()) {
	srv, err := siptest.NewServer(siptest.Options{Domain: "example.com", Listen: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { srv.Close() })
	yes := true
	heard := make(chan struct{})
	newUA(b, srv.URL(), func(c *sipua.Config) {
		c.URI, c.Register = "sip:bob@example.com", &yes
		c.Handler.Call = func(in *session.Incoming) {
			s, err := in.Answer(context.Background(), nil)
			if err != nil {
				return
			}
			if t, err := rtc.Receive(s.Context(), s, rtc.Audio); err == nil {
				if _, err := t.ReadRTP(); err == nil {
					heard <- struct{}{}
				}
			}
		}
	})
	alice := newUA(b, srv.URL(), func(c *sipua.Config) { c.Register = &yes })
	ctx := context.Background()
	var s *session.Session
	call = func() {
		out := rtc.NewTrack(rtc.Audio)
		var err error
		s, err = alice.Call(ctx, "bob", &session.CallOptions{Media: rtc.New(rtc.Options{Tracks: []rtc.Track{out}, Codecs: []string{"PCMU"}})})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := out.Ready(ctx); err != nil {
			b.Fatal(err)
		}
		sendUntil(heard, func(p *rtp.Packet) { out.WriteRTP(p) })
	}
	return call, func() { s.Hangup(ctx) }
}
