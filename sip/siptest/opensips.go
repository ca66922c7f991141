package siptest

import "github.com/gosipua/sipua/sip"

// What is imitated of OpenSIPS and where it is known from.
//
//   - A handshake without Origin is refused with 403 – require_origin,
//     https://opensips.org/docs/modules/3.4.x/proto_ws.html; https://github.com/emiago/sipgo/issues/175
//   - A WebSocket message in several frames closes the connection – FAQ of
//     https://opensips.org/html/docs/modules/2.1.x/proto_ws; see also "read attempts",
//     https://github.com/OpenSIPS/opensips/issues/2182
//   - 407 with Proxy-Authenticate to initial requests – module auth_db, proxy_challenge
//   - Record-Route of a proxy with the parameter did – rr_param, https://opensips.org/html/docs/modules/3.7.x/dialog
//   - As a back-to-back user agent (b2b_entities, b2b_logic) it has Call-IDs beginning with "B2B.", tags and a Contact of its own on
//     each leg – https://opensips.org/html/docs/modules/3.4.x/b2b_entities.html
//   - Calls are watched with OPTIONS, or a re-INVITE with the description unchanged, in the dialog – flags P and R of create_dialog,
//     options_ping_interval and reinvite_ping_interval in the same page of module dialog (see [Leg.Ping], [Leg.Reinvite])
//   - Bridging two entities begins with an INVITE without a description to one of them – b2b_bridge in
//     https://opensips.org/html/docs/modules/3.4.x/b2b_logic.html; RFC 3725 flow I
//   - Contacts in the 200 to REGISTER carry a received parameter – module registrar, as Kamailio does
//   - Descriptions pass as they are but for o= and c=: rtpengine's replace-origin
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
