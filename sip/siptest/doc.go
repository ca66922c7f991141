// Package siptest is to SIP what net/http/httptest is to HTTP: a registrar and
// proxy over WebSocket (RFC 7118) inside the process, and a peer that a test
// plays by hand.
//
//	srv, err := siptest.NewServer(siptest.Options{Users: map[string]string{"alice": "secret"}})
//	if err != nil { … }
//	defer srv.Close()
//
// A [Server] registers clients, with digest authentication, bounds on the time,
// GRUUs and outbound as [Options] say (RFC 3261 §10, RFC 5626, RFC 5627, RFC
// 7616, RFC 8760), and forwards requests between them as a stateful proxy does
// (RFC 3261 §16): it forks to all contacts of a user, cancels, records its
// route, and acknowledges hop by hop. A user named "status-486" answers with that
// status at once, and so do all from status-200 to status-699.
//
// Clients reach it in memory, through [Server.DialContext] in the place of a
// dialer, or over TCP with Options.Listen. In memory everything works inside a
// bubble of testing/synctest, where a timer of 32 seconds takes no time; make
// the server inside the bubble then, and close it before the bubble ends.
//
// # Personalities
//
// With [Options].Personality the server stands in the middle of calls as
// Asterisk, FreeSWITCH or OpenSIPS do: each call is two dialogs, one with the
// caller and one with the callee, and what passes is rewritten. Descriptions keep
// what media need, so that two real user agents hear each other through it.
// [Server.Calls] gives a test the calls, whose legs can be held, refreshed,
// challenged and connected with somebody else:
//
//	leg := srv.Calls()[0].Caller()
//	err := leg.Transfer(ctx, "carol") // a re-INVITE with carol's description
//
// The servers are imitated from their documentation and from published traces, as
// the lists in asterisk.go, freeswitch.go and opensips.go say. Those of this
// module's tests that run against a server that is really there use Kamailio.
//
// # Scripts
//
// [Expect] makes the server itself the peer of a test:
//
//	p := siptest.Expect(t, srv)
//	inv := p.Expect(sip.INVITE)                        // what the program under test sends
//	inv.Respond(180)
//	inv.Respond(200, siptest.SDP(answer))
//	p.Expect(sip.ACK)
//	bye := inv.Dialog().Request(sip.BYE)
//	bye.ExpectResponse(200)
//
// It gets what the server cannot route, as it came, and says nothing by itself:
// no 100, no answer to a CANCEL. [Script.Take] gives it REGISTER and other
// methods as well. [Peer] makes a registered user instead, behind the proxy.
// [ExpectConn] goes one level down: the test plays the WebSocket server, sees
// each frame with its FIN bit and may answer anything.
//
// # Faults
//
// Connections fail on command, one ([Conn], from [Server.Conns]) or all: Drop
// cuts, Stall stops reading, Blackhole swallows both ways or one, Mute answers pings
// and no SIP, Vanish leaves the client with a connection that the server has
// forgotten, Delay is a long line and Slow a thin one.
// [Server.Refuse] refuses new ones, [Server.Restart] forgets calls and, if asked
// to, registrations. [Pipe] is the wire in memory alone.
//
// # What it is not
//
// The server trusts everybody: any user may send as any other, it checks no
// Origin, and where Options.Users is nil nobody needs a password. It is for
// tests, never for a network. It opens no connection itself: every contact is
// reached over the connection that its client has opened. As a proxy it forks to
// all contacts at the same time whatever their q, lets a call ring for ever (no
// timer C), and leaves received and rport out of Via, since nothing goes by them.
package siptest
