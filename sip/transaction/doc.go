// Package transaction is the transaction layer of RFC 3261 §17 with the
// corrections of RFC 6026, over WebSocket (RFC 7118), a reliable transport.
//
// No compatibility promise: this package serves sip/core and changes with it.
//
// The four machines are pure step functions, a file each; [Layer] matches
// messages to them, carries out what they decide and keeps their timers. It has
// no lock of its own: everything is called with its owner's mutex held, and its
// timers take that mutex.
//
// What a reliable transport changes (RFC 3261 §17, table 4): Timers A, E and G
// are never armed; D, I, J and K are zero, so a transaction ends where others
// would start them. B, F and H are 64·T1, as are L and M.
//
// RFC 7118 §3 keeps a flow per connection, so two things go beyond the RFC. When
// its flow is lost only a non-INVITE client transaction fails at once. An INVITE
// client transaction stays for the recovery limit and takes its responses from
// the next flow to the same server; an INVITE server transaction stays as long
// and says there again what it said last, to a proxy that knows it by the branch
// in its Via; any other server transaction keeps its final response for that
// flow, until its sender has given up. And a request to which nobody answers
// gets a final response before its sender gives up.
package transaction
