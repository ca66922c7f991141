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
// A flow is asked by a WebSocket ping Options.PingInterval after it was last known
// to work both ways, and failed when the pong is not there within
// Options.PongTimeout: with the defaults a dead connection is noticed within 9 s.
// Inbound bytes spare no ping, since they tell nothing of the way out; but until a
// flow has answered a first ping by its pong they count as an answer, for servers
// that know no pong. A write that the peer does not take fails the flow after
// Options.WriteTimeout. CRLF keep-alives are sent only where configuration, a
// Flow-Timer or the keep parameter (RFC 6223) ask for them.
//
// [Pool.Check] is the application's hint that the network may have changed: the flow
// is pinged now and has 2 s to answer, and fails at once when its local address is
// on no interface any more. A sleep of the machine is noticed by the clocks and
// leads to the same.
//
// # Recovery
//
// A flow that held is replaced at once, by the heaviest server that is left; when all
// have failed the pool waits, from Options.RecoveryMin to RecoveryMax with jitter,
// for ever. Each attempt resolves the server's name anew and goes to each of its
// addresses as [net.Dialer] does. A server is left alone for as long as it asked for:
// by Retry-After in the answer to the handshake (RFC 9110 §10.2.3), up to an hour; by
// a Close frame with code 1012 (service restart) for 5 to 30 s, with 1013 (try again
// later) for RecoveryMin to RecoveryMax, with 1001 (going away, RFC 6455 §7.4.1) for
// up to RecoveryMin, each at random; and by the layer above, which has [Flow.Leave].
// A [Gate] bounds the attempts of many pools together.
//
// # Limits
//
// A message longer than Options.MaxMessage is read to its end without being kept,
// reported by Events.TooLong, and the flow lives on. One longer than
// Options.HardLimit ends the flow, and so does a peer that does not read: the
// queue is bounded in bytes and each write has a deadline.
package transport
