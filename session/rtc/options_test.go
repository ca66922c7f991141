package rtc

import (
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"

	"github.com/gosipua/sipua/session"
)

// full has a value in every field, so that one which withDefaults forgets is
// noticed.
func full() Options {
	return Options{
		Tracks: []Track{NewTrack(Audio)}, HoldTracks: []Track{NewTrack(Audio)}, Kinds: []Kind{Audio}, Direction: RecvOnly, Codecs: []string{"PCMA"},
		STUNServers: []string{"stun:a"}, TURNServers: []TURNServer{{URLs: []string{"turn:a"}}},
		RelayOnly: true, GatherTimeout: time.Minute, Loopback: true, SendOnHold: true,
		OnPeerConnection: func(*webrtc.PeerConnection) {}, SettingEngine: func(*webrtc.SettingEngine) {},
		Interceptors: []interceptor.Factory{&wiretap{}}, Certificates: []webrtc.Certificate{{}},
		Logger: slog.Default(),
	}
}

func TestWithDefaults(t *testing.T) {
	d := full()
	got := New(Options{}).(*Factory).WithDefaults(d).options()
	v := reflect.ValueOf(got)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if reflect.ValueOf(d).Field(i).IsZero() {
			t.Errorf("full leaves %s zero", name)
		}
		if v.Field(i).IsZero() {
			t.Errorf("%s does not come from the defaults", name)
		}
	}
	own := full()
	own.Codecs, own.STUNServers, own.GatherTimeout = []string{"opus"}, []string{}, time.Second
	got = New(own).(*Factory).WithDefaults(d).options()
	if got.Codecs[0] != "opus" || len(got.STUNServers) != 0 || got.GatherTimeout != time.Second {
		t.Errorf("own values gave way to defaults: %+v", got)
	}
}

func TestOptionsRefused(t *testing.T) {
	for name, o := range map[string]Options{
		"codec":        {Codecs: []string{"opus", "speex"}},
		"no audio":     {Codecs: []string{"VP8"}},
		"kind":         {Kinds: []Kind{7}},
		"direction":    {Direction: 9},
		"time":         {GatherTimeout: -1},
		"two tracks":   {Tracks: []Track{NewTrack(Audio), NewTrack(Audio)}},
		"stun scheme":  {STUNServers: []string{"http://a"}},
		"turn without": {TURNServers: []TURNServer{{URLs: []string{"turn:a"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := New(o).NewMedia(session.MediaOptions{Events: noEvents()})
			if err == nil {
				_ = m.Close()
				t.Error("accepted")
			}
		})
	}
}

// TestOnPeerConnection: for each PeerConnection, before it has a description.
func TestOnPeerConnection(t *testing.T) {
	var seen []*webrtc.PeerConnection
	o := Options{OnPeerConnection: func(pc *webrtc.PeerConnection) {
		if pc.LocalDescription() != nil || pc.SignalingState() != webrtc.SignalingStateStable {
			t.Error("it has a description")
		}
		seen = append(seen, pc)
	}}
	m := ok[session.Media](t)(New(o).NewMedia(session.MediaOptions{Events: noEvents()}))
	defer m.Close()
	n := ok[session.Media](t)(New(o).NewMedia(session.MediaOptions{Previous: m, Events: noEvents()}))
	defer n.Close()
	if len(seen) != 2 || seen[0] != m.(*Media).PeerConnection() || seen[1] != n.(*Media).PeerConnection() {
		t.Errorf("saw %v", seen)
	}
}

// TestDirections is the table of RFC 3264 §6.1, with and without hold.
func TestDirections(t *testing.T) {
	for _, tt := range []struct{ offer, free, held Direction }{
		{SendRecv, SendRecv, SendOnly},
		{SendOnly, RecvOnly, Inactive},
		{RecvOnly, SendOnly, SendOnly},
		{Inactive, Inactive, Inactive},
	} {
		if got := SendRecv.answer(tt.offer); got != tt.free {
			t.Errorf("answer to %s is %s, want %s", tt.offer, got, tt.free)
		}
		if got := SendRecv.held(true).answer(tt.offer); got != tt.held {
			t.Errorf("held answer to %s is %s, want %s", tt.offer, got, tt.held)
		}
	}
	for d, want := range map[Direction]Direction{SendRecv: SendOnly, RecvOnly: Inactive, SendOnly: SendOnly, Inactive: Inactive} {
		if got := d.held(true); got != want {
			t.Errorf("hold of %s is %s, want %s", d, got, want)
		}
	}
}
