// Package transport keeps one WebSocket connection to one of several SIP
// servers (RFC 7118): it chooses the server by weight, connects, finds out when
// the connection is dead and connects again, for ever.
//
// A [Pool] hands its connections up as [Flow] values. Everything that comes in
// names the flow it came from, and everything that goes out is given to a flow,
// so that an answer leaves where its request arrived. Bytes go in and bytes come
// out; the package knows nothing of SIP but its CRLF keep-alive (RFC 5626
// §4.4.1).
//
// # Goroutines
//
// A flow that is up costs one goroutine, its reader. A goroutine that writes
// exists while there is something to write, one that connects while a connection
// is being made; everything that waits is a timer. [Flow.Send] queues and
// returns, it never blocks on the network.
//
// # Liveness
//
// A flow without inbound bytes for Options.PingInterval is asked by a WebSocket
// ping; when nothing at all comes back within Options.PongTimeout, it is failed.
// CRLF keep-alives are sent only where configuration, a Flow-Timer or the keep
// parameter (RFC 6223) ask for them.
//
// # Limits
//
// A message longer than Options.MaxMessage is read to its end without being kept,
// reported by Events.TooLong, and the flow lives on. One longer than
// Options.HardLimit ends the flow, and so does a peer that does not read: the
// queue is bounded in bytes and each write has a deadline.
package transport
