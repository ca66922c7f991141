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
// Each fork of a call that has early media has a PeerConnection of its own; what
// agreed last is heard until one fork is answered.
//
// # Changes in the middle of a call
//
// A [Change] adds and drops video, or changes codecs, directions and tracks. It
// is the application's wish for the next offer:
//
//	camera := rtc.NewTrack(rtc.Video)
//	err := call.Renegotiate(ctx, &session.RenegotiateOptions{
//		Change: rtc.Change{Add: []rtc.Track{camera}},
//	})
//
// Of what the peer wants to add, the call takes the kinds in [Options].Kinds and
// those of earlier changes, and answers others with port 0. [Streams] tells what
// was agreed on.
//
// # Callbacks
//
// What an application gives this package to call, such as
// [Options].OnPeerConnection, [Options].SettingEngine and the Bind of a track, is
// called while the session waits. It may use pion, and must not call a method
// of the session that waits for media, nor the UA's Close and Shutdown, which
// wait for it.
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
