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
// All methods may be called at any time, from any goroutine and from any
// handler. The handlers of one call run one at a time and in order.
package session
