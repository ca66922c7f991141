// Package sipua is a SIP user agent over WebSocket (RFC 7118) with WebRTC media
// through pion: what JsSIP is to browsers, for Go programs. Softphones, voice
// bots, gateways, monitors and load tools embed it.
//
// A [UA] is made from a [Config], which is validated as a whole. It keeps one
// connection to the best of its servers, or two of them, keeps itself registered, and
// makes and takes calls, messages and other requests:
//
//	ua, err := sipua.NewUA(sipua.Config{
//		URI:       "sip:alice@example.com",
//		Password:  "superpassword",
//		WSServers: sipua.Servers("wss://sip.example.com:8443/ws"),
//	})
//	...
//	defer ua.Shutdown(context.Background())
//	err = ua.Start(ctx) // connected and registered
//	call, err := ua.Call(ctx, "bob", nil)
//	if errors.Is(err, sip.StatusBusyHere) {
//		...
//	}
//	<-call.Context().Done() // context.Cause says who ended it and why
//
// What comes in goes to [Config].Handler, a struct of typed funcs; one that is
// nil means the RFC's own answer. Calls come as [session.Incoming], a decision
// that may be made later and from any goroutine.
//
// Media are in package session/rtc: rtc.NewTrack is what a call sends, and
// rtc.Receive is what it hears, both as RTP. A program with media of its own
// implements [session.MediaFactory] instead.
//
// # Staying reachable
//
// A connection that ends, goes silent or takes nothing any more is replaced by
// itself, at the same server or the next, and the registration comes back with it.
// Calls go on meanwhile: their media do not need the connection, requests inside
// them wait for the next one for [Config].RecoveryLimit, and then the far end is told
// the way to us. [Handler].Event is the stream of all that; [UA.NetworkChanged] is
// the hint that has everything looked at now. See packages transport, registrar
// and session for the rules.
//
// # Errors
//
// A final response other than 2xx is a [*sip.ResponseError], for which
// errors.Is(err, sip.StatusBusyHere) and its like hold; a transaction that got
// no answer is a [*sip.TimeoutError]; what the loss of the connection or the
// end of the UA ended is [net.ErrClosed]; a call that came to nothing, or to its
// end, is a [*session.EndError] around one of these; a configuration that is
// wrong is one [*ConfigError] for each mistake, joined.
//
// # Concurrency
//
// Every method may be called at any time, from any goroutine and from any
// handler, Close and Shutdown too. Handlers of one call run one at a time and
// in order, and so do those of the UA; one that blocks holds up nothing else.
package sipua
