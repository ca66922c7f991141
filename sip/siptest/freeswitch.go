package siptest

import (
	"strconv"

	"github.com/gosipua/sipua/sip"
)

// What is imitated of FreeSWITCH (mod_sofia over WebSocket) and where it is known from. "internal.xml" is
// https://github.com/signalwire/freeswitch/blob/master/conf/vanilla/sip_profiles/internal.xml and "mod_sofia"
// https://developer.signalwire.com/freeswitch/FreeSWITCH-Explained/Modules/mod_sofia_1048707
//
//   - A back-to-back user agent with Call-ID, tags, CSeq and Contact of its own on each leg; its Contact is
//     mod_sofia@ in requests – trace in https://pastebin.com/dyvYpZNc
//   - INVITE is challenged with 407, and so is every request of a dialog with auth-all-packets – trace in
//     https://github.com/onsip/SIP.js/issues/261; auth-all-packets in mod_sofia (see [Leg.Challenge])
//   - received and rport in Via, Allow, Supported: timer, path, replaces, Allow-Events – the same trace
//   - X-FS-Support: update_display,send_info and Content-Disposition: session in INVITE – trace in
//     https://pastebin.com/JrVWuWCf
//   - Descriptions have o=FreeSWITCH and neither mid nor BUNDLE nor tls-id; the profile may be one of the older ones, see
//     [Options].Profile – the offers in session/rtc/testdata/offers, written from such traces
//   - Reason: Q.850;cause=16;text="NORMAL_CLEARING" in BYE – https://github.com/signalwire/freeswitch/issues/1268
//   - Session timers with enable-timer: session-timeout 1800, minimum-session-expires 120 – internal.xml; its
//     re-INVITE has dropped calls of browsers – https://github.com/onsip/SIP.js/issues/258
//   - REFER is carried out by itself: 202 with Expires 60, NOTIFY of the outcome, and the far end of who referred gets a
//     re-INVITE – https://pastebin.com/dyvYpZNc
//   - With bypass_media a leg gets the description of the one it is bridged with, so that uuid_transfer shows it another
//     DTLS identity – media-option "bypass-media-after-att-xfer" in internal.xml
//
// Different here: without bypass_media FreeSWITCH answers offers inside a call by itself; this server has no media and
// is always in that mode.
var freeSWITCH = traits{
	name:           "freeswitch",
	product:        "FreeSWITCH-mod_sofia/1.10.12-release~64bit",
	allow:          "INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, INFO, UPDATE, REGISTER, REFER, NOTIFY, PUBLISH, SUBSCRIBE",
	supported:      "timer, path, replaces",
	challenges:     sip.StatusProxyAuthenticationRequired,
	viaReceived:    true,
	contactUser:    "mod_sofia",
	answerUser:     true,
	toContact:      true,
	minSE:          120,
	sessionExpires: 1800,
	refreshBy:      sip.INVITE,
	byeReason: func(refused sip.StatusCode) string {
		cause, text := q850(refused)
		return "Q.850;cause=" + strconv.Itoa(cause) + `;text="` + text + `"`
	},
	xHeaders: []sip.Field{
		{Name: "X-FS-Support", Value: "update_display,send_info"},
		{Name: "Content-Disposition", Value: "session"},
		{Name: "Allow-Events", Value: "talk, hold, conference, refer"},
	},
	accepts: sip.StatusAccepted,
	sdp: sdpTraits{
		owner:   "FreeSWITCH",
		session: "FreeSWITCH",
		drop:    []string{"tls-id", "ice-options", "rtcp-rsize", "extmap-allow-mixed"},
		noMids:  true,
	},
}
