// Package core is the UA core of RFC 3261 §8: the one road between the usages
// of a user agent (calls, registration, subscriptions) and its transactions.
//
// No compatibility promise: this package serves the usages of this module and
// changes with them.
//
// One mutex, the core's, owns the state of transactions, dialogs and usages.
// What is marked "locked" is called with it held ([Core.Lock]), and every
// callback out of the core runs with it held: it must not block and must not
// call application code, for which there is [Queue].
//
// Out: a [Core.Send] of an [Outgoing] (or [Core.Do] for a request that has
// nothing to do meanwhile) completes the request with identity, routes and
// extra fields, waits for a flow when there is none, answers 401 and 407, and
// reports the responses.
//
// In: every message goes through one routing function, in this order: a
// response to its transaction; CANCEL to its INVITE; a request inside a dialog
// to the dialog's [Usage]; an INVITE with Replaces to the handler of those; the
// handler of the method; else the answer the RFC has for it.
package core
