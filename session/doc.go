// Package session has the calls of a user agent: the INVITE usage of SIP
// (RFC 3261 §13 to §15) with offers and answers (RFC 3264), early media,
// reliable provisional responses (RFC 3262), late offers, hold, re-INVITE and
// UPDATE (RFC 3311), session timers (RFC 4028), DTMF, INFO (RFC 6086), MESSAGE
// (RFC 3428) and transfer (RFC 3515, 3891, 5589).
//
// A program meets three types. [Session] is a call, from the moment it is
// dialled or offered until it is over; its Context ends with it, and the cause
// is an [*EndError] that says who ended it and why. [Incoming] is a call that
// waits for a decision. [Handler] has the events of a call as typed funcs.
// Calls are made and taken by sipua.UA; [Manager] is what it does that with.
//
// Media are behind [Media] and [MediaFactory]: this package decides when an
// offer or an answer is due and never what it says. Package session/rtc is the
// implementation over pion/webrtc.
//
// # Without a connection
//
// A call does not end with the connection that its messages took. One that is up
// tells the far end the next one by one target refresh (RFC 3261 §12.2), or where
// that cannot help by a new dialog in the place of the old one (RFC 3891); failing
// that it goes on, and [Session.Condition] says that it is degraded. One that is being
// set up takes what the far end responds on the next connection, and else is
// canceled there and lost ([LostError]) or placed again (CallOptions.PlaceAgain). One that
// rings here rings on. A BYE waits for the connection. A media path that has
// failed, or whose address is gone, is made anew as [MediaRecovery] has it.
//
// All methods may be called at any time, from any goroutine and from any
// handler. The handlers of one call run one at a time and in order.
package session
