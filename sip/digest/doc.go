// Package digest answers authentication challenges of SIP servers and proxies: HTTP Digest as SIP uses it (RFC 7616,
// RFC 8760, RFC 3261 §22) and bearer tokens (RFC 8898). It does no I/O, starts nothing and reads no clock.
//
// A client reads the Challenges of a 401 or 407, lets its Client Choose which to answer, and adds the field that
// Authorize makes to the request it sends again, with the next CSeq (RFC 3261 §22.2). Preemptive makes the field for
// later requests without waiting for a challenge, and Learn takes the next nonce from their responses.
//
// A server sends Challenge.Field, and finds and checks the answer with Find and Authorization.Verify. Issuing nonces,
// telling stale ones and noticing a count seen before are its own part.
//
// The algorithms are SHA-512-256, SHA-256 and MD5 with their -sess forms, the qualities of protection auth, auth-int
// and none (RFC 2069). A realm once answered with SHA-2 is not answered with MD5 any more.
//
// Digest proves knowledge of a password to whoever challenges, and gives them all they need to guess it at leisure.
// Which realms to answer, in which dialogs, is decided by the caller before it calls Authorize.
package digest
