// Package rtc carries the media of calls over WebRTC: ICE, DTLS-SRTP and RTP
// by pion/webrtc, behind the seam of package session.
//
// [New] makes a media factory for a call or for a whole user agent. What a
// call sends comes from a [LocalTrack] or any track of pion's; what it
// receives is read from a [RemoteTrack]:
//
//	tone := rtc.NewTrack(rtc.Audio)
//	call, err := ua.Call(ctx, "bob", &session.CallOptions{
//		Media: rtc.New(rtc.Options{Tracks: []rtc.Track{tone}}),
//	})
//	…
//	in, err := rtc.Receive(ctx, call, rtc.Audio)
//	for {
//		packet, err := in.ReadRTP()
//		…
//	}
//
// Both kinds of track live as long as the call: they stay the same values when
// the call gets another PeerConnection, as it does when its far end changes.
//
// # What goes over the wire
//
// The session descriptions are written by this package and not by pion. What
// pion is given of the peer's is a plain description of the path, so that
// older profiles, missing mids, foreign m-lines and every way to say hold are
// understood, answered as they were offered and cost nothing in the middle of
// a call. DTLS-SRTP with a fingerprint (RFC 5763), ICE (RFC 8839) and rtcp-mux
// (RFC 5761) are required.
package rtc
