package siptest

import "github.com/gosipua/sipua/sip"

// What is imitated of OpenSIPS and where it is known from.
//
//   - A handshake without Origin is refused – require_origin, https://opensips.org/docs/modules/3.4.x/proto_ws.html;
//     https://github.com/emiago/sipgo/issues/175. The status, 403, is this server's choice
//   - A WebSocket message in several frames closes the connection – modules/proto_ws/ws_common.h of
//     https://github.com/OpenSIPS/opensips, which reports a policy error. It answers pings and sends none – the page above
//   - 407 with Proxy-Authenticate to initial requests – module auth_db, proxy_challenge
//   - Record-Route of a proxy with the parameter did – rr_param, https://opensips.org/html/docs/modules/3.7.x/dialog
//   - As a back-to-back user agent (modules b2b_entities and b2b_logic) it has Call-IDs that begin with "B2B.", tags and a
//     Contact of its own on each leg – https://opensips.org/docs/modules/3.4.x/b2b_logic.html; b2b_key_prefix of b2b_entities
//   - Calls are watched with OPTIONS, or a re-INVITE with the description unchanged, in the dialog – flags P and R of create_dialog,
//     options_ping_interval and reinvite_ping_interval in the same page of module dialog (see [Leg.Ping], [Leg.Reinvite])
//   - Bridging two entities begins with an INVITE without a description to one of them – b2b_bridge in the page of
//     b2b_logic; RFC 3725 flow I
//   - Contacts in the 200 to REGISTER carry a received parameter – module registrar, as Kamailio does
//   - Descriptions pass as they are but for o= and s=: replace-origin of module rtpengine
var openSIPS = traits{
	name:           "opensips",
	product:        "OpenSIPS (3.4.9 (x86_64/linux))",
	allow:          "INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, INFO, MESSAGE, UPDATE, PRACK",
	supported:      "timer, replaces",
	challenges:     sip.StatusProxyAuthenticationRequired,
	viaReceived:    true,
	recordRoute:    true,
	received:       true,
	needOrigin:     true,
	noFragments:    true,
	minSE:          90,
	sessionExpires: 1800,
	refreshBy:      sip.UPDATE,
	sdp:            sdpTraits{owner: "-", session: "-"},
}
