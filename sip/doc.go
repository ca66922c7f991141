// Package sip has the messages and the vocabulary of SIP (RFC 3261) as values. It does no I/O and starts no
// goroutine.
//
// # Messages
//
// [Parse] reads a [Request] or a [Response]; AppendTo writes it. A message is an ordered list of header fields and
// a body, and that list is the only truth: unknown fields keep their bytes and their place, and a message that was
// parsed is written as it came, except that names known to this package are written in their long, registered
// form ("i" becomes "Call-ID"), folded lines are joined, and blanks around a value are dropped. Typed methods read
// the list: Via, From, To, CallID and CSeq, which every message has, cannot fail after Parse; all others say
// whether what they look for is there and can be read. Setters rewrite one field of the list.
//
// A parsed message shares one copy of its input. It may be read by many goroutines at once and must not be
// changed by any: Clone it first.
//
// Parse says whether a message can be represented, [Request.Check] which answer a request deserves that can.
//
// # Hostile text
//
// There are two gates. The setters return an error for CR, LF and NUL. And AppendTo, whatever the message was
// filled with, escapes what is not allowed in a part of a URI, quotes what is no token, and writes a control
// character as a space, so that a message is always written as one message with as many fields as it has.
//
// Printing a message with String or any verb of package fmt leaves out credentials; so does [Redact] for bytes.
//
// # Values
//
// [URI], [NameAddr], [Via], [CSeq] and [Params] are flat and comparable; changing one makes another. Their text is
// in wire form, so nothing is lost. URIs are compared with [URI.Equal], which follows RFC 3261 §19.1.4.
//
// # Errors
//
// A [StatusCode] is an error, and a response that refuses is a [ResponseError], so errors.Is(err,
// sip.StatusBusyHere) asks what happened.
package sip
