package sipua

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/digest"
	"github.com/gosipua/sipua/transport"
	"github.com/pion/stun/v2"
)

// WSServer is one SIP server reached over WebSocket; see [transport.Server].
type WSServer = transport.Server

// TURNServer is a TURN server with its credentials; see [rtc.TURNServer].
type TURNServer = rtc.TURNServer

// TraceEvent is one SIP message on its way in or out; see [core.TraceEvent].
type TraceEvent = core.TraceEvent

// Servers returns the servers at the given WebSocket URLs, all of weight 0.
func Servers(urls ...string) []WSServer {
	servers := make([]WSServer, len(urls))
	for i, u := range urls {
		servers[i].URL = u
	}
	return servers
}

// Config says who a UA is, which servers it uses and how it behaves. URI and
// WSServers are mandatory; the zero value of every other field means its
// default. [NewUA] validates the whole and works on a copy of it.
//
// Config reads and writes JSON in JsSIP's own parameter names, so that a JsSIP
// configuration pasted into a file works; see [Config.UnmarshalJSON]. Times are
// seconds there.
//
// Printing a Config, its pointer or what holds one shows no password, ha1, token
// or TURN credential, with one limit: package fmt cannot call methods on
// unexported fields, so a struct that is printed should hold its Config in an
// exported field, or behind a pointer and be printed by %v, %+v or %#v.
type Config struct {
	// URI is the address of the user, as "sip:alice@example.com". "sip:" may be
	// left out; sips: is refused. Mandatory. From JsSIP; RFC 3261 §19.1.
	URI string `json:"uri"`

	// DisplayName is shown to the called party. It is given without quotes, in
	// UTF-8, and is quoted and escaped on the wire. Default none. From JsSIP;
	// RFC 3261 §20.20.
	DisplayName string `json:"display_name"`

	// Password is the secret of digest authentication. Default none. From JsSIP;
	// RFC 7616 §3.4.2.
	Password string `json:"password" secret:"true"`

	// AuthorizationUser is the user name for authentication. Default the user of
	// URI, unescaped. From JsSIP; RFC 7616 §3.4.
	AuthorizationUser string `json:"authorization_user"`

	// Realm is the one realm whose challenges are answered. Default the realm in
	// which the registrar accepted our credentials. From JsSIP; RFC 3261 §22.1.
	Realm string `json:"realm"`

	// HA1 stands for the password: the hash of user, realm and password, in
	// hexadecimal. It answers challenges of its own algorithm only, MD5 with 32
	// digits and SHA-256 with 64, and needs Realm. Default none. From JsSIP;
	// RFC 7616 §3.4.2.
	HA1 string `json:"ha1" secret:"true"`

	// AuthorizationJWT is a token that goes into the Authorization field of
	// requests of ours: the whole value of the field, as "Bearer eyJhbGci…".
	// Default none. From JsSIP; RFC 8898 §2.
	AuthorizationJWT string `json:"authorization_jwt" secret:"true"`

	// Credentials, if set, is asked afresh for each challenge: for passwords and
	// tokens that change. It replaces Password and HA1, and its error fails the
	// request. Default nil. From sipua; RFC 3261 §22.
	Credentials func(ctx context.Context, ch digest.Challenge) (digest.Credentials, error) `json:"-"`

	// DisableMD5 refuses challenges that offer nothing better than MD5. Default
	// false. From RFC 8760 §2.
	DisableMD5 bool `json:"disable_md5"`

	// PreferAuthInt protects bodies too where a challenge leaves the choice
	// between auth and auth-int. Default false: auth-int is used only when it is
	// the only one offered. From RFC 7616 §3.4.3.
	PreferAuthInt bool `json:"prefer_auth_int"`

	// AnswerChallengesInIncomingDialogs answers challenges to requests within
	// dialogs that the far side opened. This leaks: whoever calls can name our
	// realm and is given a digest to try passwords against. Default false. From
	// sipua; RFC 3261 §26.1.
	AnswerChallengesInIncomingDialogs bool `json:"answer_challenges_in_incoming_dialogs"`

	// ContactURI is the SIP URI under which this UA is reached; nothing but a
	// left-out "sip:" is added to it. Default a random user at ViaHost with
	// transport=ws. From JsSIP; RFC 3261 §8.1.1.8.
	ContactURI string `json:"contact_uri"`

	// ContactParams are further parameters of the Contact field in REGISTER, by
	// name; an empty value makes a parameter without one. Default none. From JsSIP
	// (setExtraContactParams); RFC 3261 §20.10.
	ContactParams map[string]string `json:"extra_contact_params"`

	// ContactURIParams are further parameters of the URI inside the Contact of
	// REGISTER, such as pn-provider, pn-param and pn-prid. Default none. From JsSIP
	// (setExtraContactUriParams); RFC 8599 §4.1.
	ContactURIParams map[string]string `json:"extra_contact_uri_params"`

	// InstanceID is the UUID of this device, with or without "urn:uuid:". The
	// application keeps it: a registrar then recognises the device after a
	// restart. Default a new random one. From JsSIP; RFC 5626 §4.1.
	InstanceID string `json:"instance_id"`

	// ViaHost is the host in Via's sent-by and in the default Contact. Default the
	// host of ContactURI, else a random name under .invalid. From JsSIP; RFC 7118
	// Appendix B.1.
	ViaHost string `json:"via_host"`

	// UserAgent is the value of the User-Agent and Server fields. Default "sipua".
	// From JsSIP; RFC 3261 §20.41.
	UserAgent string `json:"user_agent"`

	// ExtraHeaders are added to every request and response. Fields that the UA
	// writes itself are refused. In JSON each is a string "Name: value". Default
	// none. From JsSIP; RFC 3261 §7.3.1.
	ExtraHeaders []sip.Field `json:"extra_headers"`

	// WSServers are the WebSocket servers. The heaviest that has not failed is
	// used, chosen at random among equals. Mandatory, one at least; see [Servers].
	// From JsSIP; RFC 7118 §5.
	WSServers []WSServer `json:"ws_servers"`

	// Flows is how many connections are up at a time, each to a server of its own
	// and with a registration of its own, so that the loss of one loses nothing. A
	// number, 1 or 2, at most that of the servers. Requests outside dialogs take the
	// heaviest server that we are registered with, those inside a dialog the
	// dialog's while they can. With a registrar that keeps one binding only (none
	// that says Require: outbound) the second connection stands by. Default 1. From
	// sipua; RFC 5626 §4.2.
	Flows int `json:"flows"`

	// UsePreloadedRoute puts a Route to the server in use into initial requests,
	// as "<sip:example.org:8443;lr;transport=ws>". Default false. From JsSIP;
	// RFC 3261 §8.1.2.
	UsePreloadedRoute bool `json:"use_preloaded_route"`

	// ConnectionRecoveryMinInterval is the shortest time between attempts to
	// reconnect. In seconds, > 0, at most the longest. Default 2 s. From JsSIP;
	// RFC 5626 §4.5.
	ConnectionRecoveryMinInterval time.Duration `json:"connection_recovery_min_interval"`

	// ConnectionRecoveryMaxInterval is the longest time between attempts to
	// reconnect. In seconds, > 0. Default 30 s. From JsSIP; RFC 5626 §4.5.
	ConnectionRecoveryMaxInterval time.Duration `json:"connection_recovery_max_interval"`

	// RecoveryLimit is how long a call being set up and requests within dialogs
	// wait for a new connection. In seconds, > 0. Default 32 s. From sipua; 64*T1
	// of RFC 3261 §17.1.1.2.
	RecoveryLimit time.Duration `json:"recovery_limit"`

	// FailBack returns to a heavier server once it can be reached again, while
	// nothing is under way: no call, no request without its final response either
	// way, no transfer that is reported on. Default false. From sipua; see
	// [transport.Options].
	FailBack bool `json:"fail_back"`

	// ConnectTimeout bounds one connection attempt: Dial, TCP, TLS and handshake.
	// In seconds, > 0. Default 10 s. From SIP.js (connectionTimeout).
	ConnectTimeout time.Duration `json:"connect_timeout"`

	// PingInterval is the time after which a WebSocket ping asks again whether the
	// connection lives. With PongTimeout it is the time in which a dead one is
	// noticed; 1 s for each is the least that makes sense. In seconds, > 0.
	// Default 5 s. From sipua; RFC 6455 §5.5.2.
	PingInterval time.Duration `json:"ping_interval"`

	// PongTimeout is how long any answer to a ping may take before the connection
	// counts as lost. In seconds, > 0. Default 4 s. From sipua; RFC 6455 §5.5.3.
	PongTimeout time.Duration `json:"pong_timeout"`

	// WriteTimeout is how long the server may take none of what is written before
	// the connection counts as lost. In seconds, > 0. Default 8 s. From sipua;
	// RFC 6455 §7.1.7.
	WriteTimeout time.Duration `json:"write_timeout"`

	// KeepAliveInterval is the longest time between CRLF keep-alives. In seconds.
	// Default 0: none, unless the server asks for them (Flow-Timer, keep). From
	// SIP.js; RFC 5626 §4.4.1, RFC 6223.
	KeepAliveInterval time.Duration `json:"keep_alive_interval"`

	// OptionsInterval is the time without any SIP message after which an OPTIONS
	// asks the registrar whether it can be reached over the connection; a server in
	// between may answer WebSocket pings all the same. In seconds. Default 0: none is
	// sent. From sipua; RFC 3261 §11.
	OptionsInterval time.Duration `json:"options_interval"`

	// OptionsTimeout is how long an answer to that OPTIONS may take, be it an error or
	// a challenge, before the connection counts as lost; a server that has never
	// answered one is left for that once only. In seconds, > 0.
	// Default 4 s. From sipua; RFC 3261 §11.
	OptionsTimeout time.Duration `json:"options_timeout"`

	// MaxTimeouts is how many requests in a row may time out on a connection, over
	// which nothing comes meanwhile, before the registrar is asked by OPTIONS; without
	// an answer within OptionsTimeout it counts as lost. A number, > 0, or -1 for
	// any. Default 2. From sipua; RFC 3261 §17.1 has the time-outs, of 32 s.
	MaxTimeouts int `json:"max_timeouts"`

	// MaxMessageSize is the length of the longest message taken and sent, in
	// bytes; a longer request is answered 513. Default 65536 bytes. From sipua;
	// RFC 3261 §21.5.7.
	MaxMessageSize int `json:"max_message_size"`

	// MaxTransactions bounds the inbound requests without a final response; beyond
	// it they are answered 500. A number, > 0. Default 1000. From sipua; RFC 3261
	// §26.3.2.4.
	MaxTransactions int `json:"max_transactions"`

	// MaxDialogs bounds the dialogs, beyond which initial requests are refused. A
	// number, > 0. Default 1000. From sipua; RFC 3261 §26.3.2.4.
	MaxDialogs int `json:"max_dialogs"`

	// MaxCalls bounds the calls at a time; beyond it an incoming one is answered
	// 486 and an outgoing one fails. A number, > 0. Default 1024. From SIP.js
	// (maxSimultaneousSessions).
	MaxCalls int `json:"max_calls"`

	// HackViaTCP makes Via say TCP instead of WS or WSS, for servers that cannot
	// read these. Default false. From JsSIP; RFC 7118 §5.1 has the right names.
	HackViaTCP bool `json:"hack_via_tcp"`

	// HackIPInContact makes the default of ViaHost one random address of
	// 192.0.2.0/24, for registrars that refuse names in Contact. It excludes
	// ContactURI and ViaHost. Default false. From JsSIP; RFC 5737 §3 has the range.
	HackIPInContact bool `json:"hack_ip_in_contact"`

	// Dial, if set, is asked afresh before each connection attempt and may return
	// the server changed, as with a new token in its URL or Header. Default nil.
	// From sipua; see [transport.Options].
	Dial func(ctx context.Context, s WSServer) (WSServer, error) `json:"-"`

	// DialContext opens the connection under TLS and WebSocket. Default a
	// [net.Dialer]. From [net/http.Transport].
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error) `json:"-"`

	// Gate, put into the Configs of many UAs, bounds the connection attempts of all
	// together, so that a server that came back is not stormed. Default nil: no
	// bounds. From sipua; see [transport.NewGate].
	Gate *transport.Gate `json:"-"`

	// Register makes the UA register when it starts; point it at false for a UA
	// that does not. Default true. From JsSIP; RFC 3261 §10.
	Register *bool `json:"register"`

	// RegisterExpires is the lifetime that a REGISTER asks for. In whole seconds,
	// > 0. Default 600 s. From JsSIP; RFC 3261 §10.2.1.1.
	RegisterExpires time.Duration `json:"register_expires" seconds:"integer"`

	// RegistrarServer is the registrar, a SIP URI without a user. Default URI
	// without its user. From JsSIP; RFC 3261 §10.2.
	RegistrarServer string `json:"registrar_server"`

	// RegisterFromTagTrail is appended to the From tag of REGISTER. Default none.
	// From JsSIP; RFC 3261 §19.3.
	RegisterFromTagTrail string `json:"register_from_tag_trail"`

	// NoAnswerTimeout is how long an incoming call may wait for an answer; it is
	// then refused with 480. In seconds, > 0; whole ones in JSON. Default 60 s.
	// From JsSIP; RFC 3261 §13.3.1.1.
	NoAnswerTimeout time.Duration `json:"no_answer_timeout" seconds:"integer"`

	// RingTimeout is how long an outgoing call may ring; it is then canceled. In
	// seconds, > 0. Default 180 s. From RFC 3261 §16.6 (Timer C, a proxy's).
	RingTimeout time.Duration `json:"ring_timeout"`

	// ReliableProvisionals says how calls treat reliable provisional responses:
	// "supported", "required" or "off" in JSON. Required refuses callers without
	// them with 421. Default supported. From sipua; RFC 3262.
	ReliableProvisionals session.Reliability `json:"reliable_provisionals"`

	// MediaRecovery says what calls do about a media path that has failed, or whose
	// address of ours is gone: [session.MediaRestart] makes it anew by one
	// re-INVITE, [session.MediaKeep] reports it and leaves it to the application,
	// [session.MediaEnd] ends the call. Default MediaRestart. From sipua; RFC 8445
	// §9.
	MediaRecovery session.MediaRecovery `json:"media_recovery"`

	// AskOnReplacement offers to Handler.Call an INVITE by which the far end of a call
	// replaces the dialog of that very call, as it may do after the loss of its
	// connection. With false the call goes on in the new dialog and nobody is asked,
	// provided that From, and P-Asserted-Identity where there was one, name the same
	// party. Default false. From sipua; RFC 3891 §3.
	AskOnReplacement bool `json:"ask_on_replacement"`

	// SessionTimers makes calls refresh their session, so that a dead one is
	// noticed and ends. With false the parameters below have no effect, and what
	// far sides say of session timers has none. Default true. From JsSIP; RFC 4028.
	SessionTimers *bool `json:"session_timers"`

	// SessionTimersRefreshMethod is the method of our refreshes, UPDATE or INVITE; a
	// far side that does not take UPDATE is refreshed by INVITE. Default UPDATE.
	// From JsSIP; RFC 4028 §7.4.
	SessionTimersRefreshMethod sip.Method `json:"session_timers_refresh_method"`

	// SessionTimersForceRefresher makes us the refresher of calls we make. Default
	// false: the far side chooses. From JsSIP; RFC 4028 §7.1.
	SessionTimersForceRefresher bool `json:"session_timers_force_refresher"`

	// SessionExpires is the interval to ask for in which a session has to be
	// refreshed, half of which passes between refreshes; a longer one that a caller
	// asks for is shortened to it. In whole seconds, at least MinSE. Default 1800 s,
	// or MinSE where that is longer. From sipua; RFC 4028 §4, where JsSIP has 90 s.
	SessionExpires time.Duration `json:"session_expires" seconds:"integer"`

	// MinSE is the shortest such interval to accept; a caller that asks for a
	// shorter one is answered 422. In whole seconds, >= 90. Default 90 s. From
	// sipua; RFC 4028 §5.
	MinSE time.Duration `json:"min_se" seconds:"integer"`

	// InfoPackages are the Info Packages that calls take which bring no list of
	// their own; Handler.Session.Info gets their INFO requests. Default none. From
	// sipua; RFC 6086 §5.2.2.
	InfoPackages []string `json:"info_packages"`

	// AcceptAnyUser takes initial requests for any user: the server chose us. With
	// false they must name the user of URI, of Contact or of a GRUU, else the
	// answer is 404. Default true. From sipua; RFC 3261 §8.2.2.1.
	AcceptAnyUser *bool `json:"accept_any_user"`

	// KeepTel sends targets given as tel: as they are, instead of as
	// sip:NUMBER@DOMAIN;user=phone. Default false. From sipua; RFC 3261 §19.1.6.
	KeepTel bool `json:"keep_tel"`

	// STUNServers are stun: and stuns: URIs for finding our public address. nil
	// means the default, an empty list none; Clone and JSON keep the difference.
	// Default stun:stun.l.google.com:19302, which asks Google for the address at
	// each call; a UA that makes no call asks nobody. From JsSIP; RFC 7064.
	STUNServers []string `json:"stun_servers"`

	// TURNServers relay media where there is no direct path. Each needs URLs, a
	// user name and a credential. Default none. From JsSIP; RFC 7065.
	TURNServers []TURNServer `json:"turn_servers"`

	// ICEGatheringTimeout bounds the gathering of candidates before an offer or an
	// answer leaves with those there are. In seconds, > 0. Default 1 s. From SIP.js
	// (iceGatheringTimeout); RFC 8445 §5.1.
	ICEGatheringTimeout time.Duration `json:"ice_gathering_timeout"`

	// ICERelayOnly sends media over TURN only, hiding our addresses from the far
	// side. It needs TURNServers, or a Media of one's own. Default false. From
	// WebRTC (iceTransportPolicy); RFC 8829 §3.5.3.
	ICERelayOnly bool `json:"ice_relay_only"`

	// Media makes the media of calls that do not bring their own. Default
	// [rtc.New] with STUNServers, TURNServers and the ICE settings above. From sipua;
	// RFC 3264.
	Media session.MediaFactory `json:"-"`

	// Handler is told of calls and changes of state. Default the RFC's answer to
	// everything. From sipua; RFC 3261 §8.2.
	Handler Handler `json:"-"`

	// TraceSIP logs every message, in and out, credentials redacted, to Logger.
	// Default false. From JsSIP; RFC 3261 §7.
	TraceSIP bool `json:"trace_sip"`

	// Trace, if set, sees every message with its direction, time and flow,
	// credentials redacted. It is called in order and must not block. Default nil.
	// From sipua; RFC 3261 §7.
	Trace func(TraceEvent) `json:"-"`

	// Logger takes what is worth telling an operator. Default nil: nothing is
	// logged. From sipua; see [log/slog].
	Logger *slog.Logger `json:"-"`
}

// Defaults that more than one place needs.
const (
	defaultSTUNServer  = "stun:stun.l.google.com:19302"
	defaultRecoveryMin = 2 * time.Second
	defaultRecoveryMax = 30 * time.Second
)

// Clone returns a copy that shares no slice, map, pointer or tls.Config with c.
// Funcs, cookie jars, Gate, Media and Logger are the same.
func (c Config) Clone() Config {
	c.ContactParams = maps.Clone(c.ContactParams)
	c.ContactURIParams = maps.Clone(c.ContactURIParams)
	c.ExtraHeaders = slices.Clone(c.ExtraHeaders)
	c.InfoPackages = slices.Clone(c.InfoPackages)
	c.WSServers = slices.Clone(c.WSServers)
	for i := range c.WSServers {
		s := &c.WSServers[i]
		s.Header = s.Header.Clone()
		s.TLSConfig = s.TLSConfig.Clone()
	}
	c.Register = clonePointer(c.Register)
	c.SessionTimers = clonePointer(c.SessionTimers)
	c.AcceptAnyUser = clonePointer(c.AcceptAnyUser)
	c.STUNServers = slices.Clone(c.STUNServers)
	c.TURNServers = slices.Clone(c.TURNServers)
	for i := range c.TURNServers {
		c.TURNServers[i].URLs = slices.Clone(c.TURNServers[i].URLs)
	}
	return c
}

func clonePointer[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// withDefaults returns a copy of a valid c in which every field that has a
// default is set. What is random is chosen here, once for the life of a UA.
func (c Config) withDefaults() Config {
	c = c.Clone()
	yes := true
	c.AuthorizationUser = cmp.Or(c.AuthorizationUser, c.aor().UserText())
	c.RegistrarServer = cmp.Or(c.RegistrarServer, c.registrar().String())
	c.UserAgent = cmp.Or(c.UserAgent, "sipua")
	c.Register = cmp.Or(c.Register, clonePointer(&yes))
	c.ReliableProvisionals = cmp.Or(c.ReliableProvisionals, session.ReliableSupported)
	c.MediaRecovery = cmp.Or(c.MediaRecovery, session.MediaRestart)
	c.SessionTimers = cmp.Or(c.SessionTimers, clonePointer(&yes))
	c.AcceptAnyUser = cmp.Or(c.AcceptAnyUser, clonePointer(&yes))
	c.SessionTimersRefreshMethod = cmp.Or(c.SessionTimersRefreshMethod, sip.UPDATE)
	c.Flows = cmp.Or(c.Flows, 1)
	c.MaxTimeouts = cmp.Or(c.MaxTimeouts, 2)
	c.MaxMessageSize = cmp.Or(c.MaxMessageSize, 64<<10)
	c.MaxTransactions = cmp.Or(c.MaxTransactions, 1000)
	c.MaxDialogs = cmp.Or(c.MaxDialogs, 1000)
	c.MaxCalls = cmp.Or(c.MaxCalls, 1024)
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.ConnectionRecoveryMinInterval, defaultRecoveryMin},
		{&c.ConnectionRecoveryMaxInterval, defaultRecoveryMax},
		{&c.RecoveryLimit, 32 * time.Second},
		{&c.ConnectTimeout, 10 * time.Second},
		{&c.PingInterval, 5 * time.Second},
		{&c.PongTimeout, 4 * time.Second},
		{&c.WriteTimeout, 8 * time.Second},
		{&c.OptionsTimeout, 4 * time.Second},
		{&c.RegisterExpires, 600 * time.Second},
		{&c.NoAnswerTimeout, 60 * time.Second},
		{&c.RingTimeout, 180 * time.Second},
		{&c.MinSE, session.DefaultMinSE},
		{&c.SessionExpires, max(c.MinSE, session.DefaultSessionExpires)},
		{&c.ICEGatheringTimeout, time.Second},
	} {
		*d.field = cmp.Or(*d.field, d.value)
	}
	if c.STUNServers == nil {
		c.STUNServers = []string{defaultSTUNServer}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.setIdentity()
	return c
}

// stunProblem says what is wrong with the URI of a STUN server (RFC 7064), or "".
func stunProblem(uri string) string {
	return iceProblem(uri, "STUN", stun.SchemeTypeSTUN, stun.SchemeTypeSTUNS)
}

// turnProblem says what is wrong with the URI of a TURN server (RFC 7065), or "".
func turnProblem(uri string) string {
	return iceProblem(uri, "TURN", stun.SchemeTypeTURN, stun.SchemeTypeTURNS)
}

// iceProblem looks at host and port too, for pion/stun takes any text for a host
// and any number for a port.
func iceProblem(uri, name string, plain, secure stun.SchemeType) string {
	u, err := stun.ParseURI(uri)
	switch {
	case err != nil && strings.Contains(uri, "://"):
		return fmt.Sprintf("is not a %s URI: there is no // in it", name)
	case err != nil:
		return fmt.Sprintf("is not a %s URI: want %s:HOST[:PORT] or %s:HOST[:PORT]", name, plain, secure)
	case u.Scheme != plain && u.Scheme != secure:
		return fmt.Sprintf("has the scheme %s, not %s or %s", u.Scheme, plain, secure)
	case !isHost(u.Host):
		return "has no valid host"
	case u.Port < 1 || u.Port > 65535:
		return "has a port outside 1 to 65535"
	}
	return ""
}
