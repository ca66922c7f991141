package siptest

import (
	"github.com/gosipua/sipua/sip"
	"strconv"
)

// What is imitated of Asterisk (chan_pjsip, and chan_sip where named) and where
// it is known from. "Module_Configuration/res_pjsip" is
// https://docs.asterisk.org/Latest_API/API_Documentation/Module_Configuration/res_pjsip
//
//   - It is a back-to-back user agent: Call-ID, tags, CSeq and Contact of its own on each leg, no Record-Route,
//     no GRUU, outbound or Path – traces in https://github.com/onsip/sipjs.com/issues/54
//   - INVITE and MESSAGE are challenged with 401 and WWW-Authenticate, as a user agent does – the same trace, and
//     https://github.com/onsip/SIP.js/issues/129
//   - Answers carry received and rport in Via – https://github.com/onsip/SIP.js/issues/129 (force_rport, default yes:
//     Module_Configuration/res_pjsip)
//   - Session-Expires 1800, Min-SE 90, refreshed by re-INVITE; less than 90 gets 422 – timers_sess_expires, timers_min_se
//     in Module_Configuration/res_pjsip; https://github.com/versatica/JsSIP/issues/297
//   - A re-INVITE goes to the callee as soon as the call is up, with the DTLS role that it has in place of
//     actpass – https://github.com/versatica/JsSIP/issues/365
//   - Glare between that and the client's own offers – https://github.com/versatica/JsSIP/issues/771
//   - P-Asserted-Identity in INVITE, and in re-INVITE or UPDATE when the connected line changes – send_pai,
//     send_connected_line, connected_line_method in Module_Configuration/res_pjsip
//   - Descriptions have its own o= and s=Asterisk, "SHA-256" and "UDP" in capitals, no tls-id, ice-options or
//     end-of-candidates – the offers in session/rtc/testdata/offers were written from such traces. Without "bundle" there is no
//     mid either, and the profile may be that of use_avpf and force_avp: RTP/SAVPF – Module_Configuration/res_pjsip
//   - Hold may be written in the old way, c=0.0.0.0 beside a direction (RFC 3264 §8.4) – the held offer in
//     session/rtc/testdata/offers; see [Leg.Hold]
//   - Reason: Q.850;cause=N in BYE and CANCEL – module res_pjsip_rfc3326, option suppress_q850_reason_headers in
//     Module_Configuration/res_pjsip
//   - OPTIONS to every contact – qualify_frequency in Module_Configuration/res_pjsip, see [Options].Qualify
//   - REFER is carried out by itself: 202, NOTIFY with sipfrag of every progress, BYE to who referred –
//     refer_blind_progress in Module_Configuration/res_pjsip
//   - A double CRLF from the server – https://github.com/versatica/JsSIP/issues/744 (see [Conn.Send])
//
// Different here: Asterisk terminates media. This server has none, so an offer inside a call goes on to the other
// leg instead of being answered, and connecting a leg anew shows it another DTLS identity.
var asterisk = traits{
	name:           "asterisk",
	product:        "Asterisk PBX 20.9.3",
	allow:          "OPTIONS, REGISTER, SUBSCRIBE, NOTIFY, PUBLISH, INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, INFO, MESSAGE, REFER",
	supported:      "100rel, timer, replaces, norefersub",
	challenges:     sip.StatusUnauthorized,
	viaReceived:    true,
	contactUser:    "asterisk",
	toContact:      true,
	minSE:          90,
	sessionExpires: 1800,
	refreshBy:      sip.INVITE,
	byeReason: func(refused sip.StatusCode) string {
		cause, _ := q850(refused)
		return "Q.850;cause=" + strconv.Itoa(cause)
	},
	reinviteAtOnce: true,
	asserts:        true,
	referProgress:  true,
	accepts:        sip.StatusAccepted,
	sdp: sdpTraits{
		owner:   "-",
		session: "Asterisk",
		drop:    []string{"tls-id", "ice-options", "end-of-candidates", "rtcp-rsize", "extmap-allow-mixed"},
		capital: true,
		roles:   true,
	},
}
