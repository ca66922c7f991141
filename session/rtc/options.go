package rtc

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
)

// Kind is a kind of media.
type Kind uint8

// The kinds of media that a call can carry.
const (
	Audio Kind = iota + 1
	Video
)

// String returns the kind as it stands in an m= line.
func (k Kind) String() string {
	switch k {
	case Audio:
		return "audio"
	case Video:
		return "video"
	}
	return "unknown"
}

func (k Kind) pion() webrtc.RTPCodecType { return webrtc.NewRTPCodecType(k.String()) }

func kindOf(t webrtc.RTPCodecType) Kind {
	switch t {
	case webrtc.RTPCodecTypeAudio:
		return Audio
	case webrtc.RTPCodecTypeVideo:
		return Video
	}
	return 0
}

// Track is what a call sends: a [LocalTrack], or any of pion's own tracks.
type Track = webrtc.TrackLocal

// Options say how calls carry their media. The zero value of every field
// means its default, so Options{} is a call with audio both ways.
type Options struct {
	// Tracks are what a call sends, one of each kind at most. Default: none,
	// and nothing is sent.
	Tracks []Track

	// Kinds are the kinds of media that a call offers and takes. Default: audio,
	// and the kinds of Tracks.
	Kinds []Kind

	// Direction is what we want of every m-line. Default: [SendRecv].
	Direction Direction

	// Codecs name what a call offers and takes, in order of preference: "opus",
	// "PCMU", "PCMA", "G722", "VP8", "H264", whatever their case. Default: Opus,
	// PCMU and PCMA, VP8 and H264; an answer then keeps the offerer's order.
	// Telephone events (RFC 4733) come along with audio, always.
	Codecs []string

	// STUNServers are URIs of the schemes stun and stuns (RFC 7064). Default: none.
	STUNServers []string

	// TURNServers relay media where nothing else gets through. Default: none.
	TURNServers []TURNServer

	// RelayOnly keeps our addresses from the peer: only relayed candidates are
	// gathered and sent. A call without a reachable TURN server then fails
	// with [ErrNoCandidates]. Default: false.
	RelayOnly bool

	// GatherTimeout is the longest time that a description waits for its
	// candidates. Those of servers that answer later are left out of it.
	// Default: 1 s.
	GatherTimeout time.Duration

	// Loopback adds candidates of the loopback interface. Default: only where
	// the machine has no other address.
	Loopback bool

	// SendOnHold goes on sending Tracks while we hold the call, as music on hold
	// of an application that mixes it itself. Default: false, the held peer
	// hears nothing but HoldTracks.
	SendOnHold bool

	// HoldTracks are what a call sends in place of Tracks while we hold it, as
	// music on hold, one of each kind at most. They are bound when the hold
	// begins and unbound when it ends, so [LocalTrack.Ready] tells when to play;
	// a muted kind stays silent. Default: none.
	HoldTracks []Track

	// OnPeerConnection is called for each PeerConnection before its first
	// description, by the goroutine that makes it. The handlers for tracks and
	// connection states belong to this package. It must not call Close or
	// Shutdown of the UA, which wait for that goroutine. Default: none.
	OnPeerConnection func(*webrtc.PeerConnection)

	// SettingEngine adjusts pion's settings for each PeerConnection after this
	// package has made its own. Default: none.
	SettingEngine func(*webrtc.SettingEngine)

	// Interceptors are added to those of this package, which write RTCP reports
	// (RFC 3550 §6.4) and, for video, ask for lost packets. Default: none.
	Interceptors []interceptor.Factory

	// Certificates are the DTLS identities of every PeerConnection. Default: a
	// fresh one for each, so that calls cannot be linked by it.
	Certificates []webrtc.Certificate

	// Logger takes what this package and pion have to say. Default: nothing is
	// logged.
	Logger *slog.Logger
}

// withDefaults returns o with d's value in every field that o leaves zero.
func (o Options) withDefaults(d Options) Options {
	pick(&o.Tracks, d.Tracks)
	pick(&o.HoldTracks, d.HoldTracks)
	pick(&o.Kinds, d.Kinds)
	pick(&o.Codecs, d.Codecs)
	pick(&o.STUNServers, d.STUNServers)
	pick(&o.TURNServers, d.TURNServers)
	pick(&o.Interceptors, d.Interceptors)
	pick(&o.Certificates, d.Certificates)
	if o.Direction == SendRecv {
		o.Direction = d.Direction
	}
	if o.GatherTimeout == 0 {
		o.GatherTimeout = d.GatherTimeout
	}
	if o.OnPeerConnection == nil {
		o.OnPeerConnection = d.OnPeerConnection
	}
	if o.SettingEngine == nil {
		o.SettingEngine = d.SettingEngine
	}
	if o.Logger == nil {
		o.Logger = d.Logger
	}
	o.RelayOnly = o.RelayOnly || d.RelayOnly
	o.Loopback = o.Loopback || d.Loopback
	o.SendOnHold = o.SendOnHold || d.SendOnHold
	return o
}

// pick fills a list that was left nil; one that is empty on purpose stays so.
func pick[T any](into *[]T, from []T) {
	if *into == nil {
		*into = from
	}
}

// TURNServer is a TURN server (RFC 8656) and the credentials for it. It does
// not print them.
type TURNServer struct {
	URLs       []string // schemes turn and turns (RFC 7065)
	Username   string
	Credential string
}

// String names the server without its credentials.
func (t TURNServer) String() string { return fmt.Sprintf("%v", t.URLs) }

// GoString names the server without its credentials.
func (t TURNServer) GoString() string {
	return fmt.Sprintf("rtc.TURNServer{URLs:%#v, Username:[redacted], Credential:[redacted]}", t.URLs)
}

// Format keeps the credentials out of every verb.
func (t TURNServer) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		fmt.Fprint(f, t.GoString())
		return
	}
	fmt.Fprint(f, t.String())
}

// LogValue names the server without its credentials.
func (t TURNServer) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalJSON leaves the credentials out.
func (t TURNServer) MarshalJSON() ([]byte, error) {
	return marshalURLs(t.URLs)
}
