package sipua

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/gosipua/sipua/sip"
)

// badConfigs are one problem each.
var badConfigs = []struct {
	name   string
	set    func(c *Config)
	field  string
	reason string
}{
	{"nothing", func(c *Config) { c.URI = "" }, "uri", "is missing"},
	{"sips", func(c *Config) { c.URI = "sips:alice@example.com" }, "uri", "sips:"},
	{"SIPS in capitals", func(c *Config) { c.URI = "SIPS:alice@example.com" }, "uri", "sips:"},
	{"tel", func(c *Config) { c.URI = "tel:+15551234567" }, "uri", "is not a SIP URI"},
	{"no user", func(c *Config) { c.URI = "sip:example.com" }, "uri", "has no user"},
	{"no user, no scheme", func(c *Config) { c.URI = "example.com" }, "uri", "has no user"},
	{"empty user", func(c *Config) { c.URI = "sip:@example.com" }, "uri", "is not a SIP URI"},
	{"no host", func(c *Config) { c.URI = "sip:alice@" }, "uri", "is not a SIP URI"},
	{"only a scheme", func(c *Config) { c.URI = "sip:" }, "uri", "is not a SIP URI"},
	{"port 99999", func(c *Config) { c.URI = "sip:alice@example.com:99999" }, "uri", "is not a SIP URI"},
	{"port x", func(c *Config) { c.URI = "sip:alice@example.com:x" }, "uri", "is not a SIP URI"},
	{"space", func(c *Config) { c.URI = "sip:ali ce@example.com" }, "uri", "is not a SIP URI"},
	{"angle brackets", func(c *Config) { c.URI = "<sip:alice@example.com>" }, "uri", "is not a SIP URI"},
	{"injection", func(c *Config) { c.URI = "sip:alice@example.com\r\nRoute: <sip:evil>" }, "uri", "is not a SIP URI"},
	{"two @", func(c *Config) { c.URI = "sip:a@b@example.com" }, "uri", "is not a SIP URI"},
	{"host that is none", func(c *Config) { c.URI = "sip:alice@-.example.com" }, "uri", "has no valid host"},
	{"password in the URI", func(c *Config) { c.URI = "sip:alice:secret@example.com" }, "uri", "password"},
	{"password in the URI, no scheme", func(c *Config) { c.URI = "alice:secret@example.com" }, "uri", "password"},
	{"headers", func(c *Config) { c.URI = "sip:alice@example.com?Subject=x" }, "uri", "headers"},

	{"CR LF", func(c *Config) { c.DisplayName = "Alice\r\nX: y" }, "display_name", "CR, LF or NUL"},
	{"lone CR", func(c *Config) { c.DisplayName = "Ali\rce" }, "display_name", "CR, LF or NUL"},
	{"NUL", func(c *Config) { c.DisplayName = "Alice\x00" }, "display_name", "CR, LF or NUL"},
	{"Latin-1", func(c *Config) { c.DisplayName = "Andr\xe9" }, "display_name", "UTF-8"},
	{"LF", func(c *Config) { c.AuthorizationUser = "a\nb" }, "authorization_user", "CR, LF or NUL"},
	{"Latin-1", func(c *Config) { c.AuthorizationUser = "\xff" }, "authorization_user", "UTF-8"},
	{"LF", func(c *Config) { c.Realm = "a\nb" }, "realm", "CR, LF or NUL"},
	{"without realm", func(c *Config) { c.HA1 = "0123456789abcdef0123456789abcdef" }, "ha1", "needs realm"},
	{"too short", func(c *Config) { c.HA1, c.Realm = "0123456789abcdef", "r" }, "ha1", "32 or 64"},
	{"40 digits", func(c *Config) { c.HA1, c.Realm = "0123456789abcdef0123456789abcdef01234567", "r" }, "ha1", "32 or 64"},
	{"no hexadecimal", func(c *Config) { c.HA1, c.Realm = "g123456789abcdef0123456789abcdef", "r" }, "ha1", "32 or 64"},
	{"without scheme", func(c *Config) { c.AuthorizationJWT = "eyJhbGci.eyJz.c2ln" }, "authorization_jwt", "Bearer"},
	{"empty token", func(c *Config) { c.AuthorizationJWT = "Bearer " }, "authorization_jwt", "Bearer"},
	{"CR LF", func(c *Config) { c.AuthorizationJWT = "Bearer a\r\nX: y" }, "authorization_jwt", "Bearer"},

	{"sips", func(c *Config) { c.ContactURI = "sips:alice@192.0.2.1" }, "contact_uri", "sips:"},
	{"name-addr", func(c *Config) { c.ContactURI = "<sip:alice@192.0.2.1>;q=1" }, "contact_uri", "is not a SIP URI"},
	{"space in name", func(c *Config) { c.ContactParams = map[string]string{"a b": ""} }, "extra_contact_params", "name of a parameter"},
	{"empty name", func(c *Config) { c.ContactParams = map[string]string{"": "x"} }, "extra_contact_params", "name of a parameter"},
	{"expires", func(c *Config) { c.ContactParams = map[string]string{"Expires": "3"} }, "extra_contact_params", "set by the UA"},
	{"instance", func(c *Config) { c.ContactParams = map[string]string{"+sip.instance": "x"} }, "extra_contact_params", "set by the UA"},
	{"CR LF", func(c *Config) { c.ContactParams = map[string]string{"a": "b\r\nc"} }, "extra_contact_params", "CR, LF or NUL"},
	{"transport", func(c *Config) { c.ContactURIParams = map[string]string{"transport": "tcp"} }, "extra_contact_uri_params", "set by the UA"},
	{"semicolon in name", func(c *Config) { c.ContactURIParams = map[string]string{"a;b": ""} }, "extra_contact_uri_params", "name of a parameter"},
	{"no UUID", func(c *Config) { c.InstanceID = "my phone" }, "instance_id", "is not a UUID"},
	{"UUID too short", func(c *Config) { c.InstanceID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf" }, "instance_id", "is not a UUID"},
	{"other URN", func(c *Config) { c.InstanceID = "urn:imei:f81d4fae-7dec-11d0-a765-00a0c91e6bf6" }, "instance_id", "is not a UUID"},
	{"port", func(c *Config) { c.ViaHost = "example.com:5060" }, "via_host", "no port"},
	{"IPv6 without brackets", func(c *Config) { c.ViaHost = "2001:db8::1" }, "via_host", "in brackets"},
	{"IPv6 that is none", func(c *Config) { c.ViaHost = "[2001:db8]" }, "via_host", "is not a host"},
	{"space", func(c *Config) { c.ViaHost = "my host" }, "via_host", "is not a host"},
	{"injection", func(c *Config) { c.ViaHost = "a;branch=x" }, "via_host", "is not a host"},
	{"too long", func(c *Config) { c.ViaHost = strings.Repeat("a.", 130) }, "via_host", "is not a host"},
	{"with via_host", func(c *Config) { c.HackIPInContact, c.ViaHost = true, "a.example" }, "hack_ip_in_contact", "excludes via_host"},
	{"with contact_uri", func(c *Config) { c.HackIPInContact, c.ContactURI = true, "sip:a@b" }, "hack_ip_in_contact", "excludes contact_uri"},
	{"LF", func(c *Config) { c.UserAgent = "a\nb" }, "user_agent", "CR, LF or NUL"},
	{"Via", func(c *Config) { c.ExtraHeaders = []sip.Field{{Name: "Via", Value: "x"}} }, "extra_headers", "set by the UA"},
	{"compact To", func(c *Config) { c.ExtraHeaders = []sip.Field{{Name: "t", Value: "x"}} }, "extra_headers", "set by the UA"},
	{"call-id in small letters", func(c *Config) { c.ExtraHeaders = []sip.Field{{Name: "call-id", Value: "x"}} }, "extra_headers", "set by the UA"},
	{"Content-Length", func(c *Config) { c.ExtraHeaders = []sip.Field{{Name: "Content-Length", Value: "0"}} }, "extra_headers", "set by the UA"},
	{"Max-Forwards", func(c *Config) { c.ExtraHeaders = []sip.Field{{Name: "Max-Forwards", Value: "0"}} }, "extra_headers", "set by the UA"},
	{"Route", func(c *Config) { c.ExtraHeaders = []sip.Field{{Name: "Route", Value: "<sip:a>"}} }, "extra_headers", "set by the UA"},
	{"Authorization", func(c *Config) { c.ExtraHeaders = []sip.Field{{Name: "Authorization", Value: "x"}} }, "extra_headers", "set by the UA"},
	{"User-Agent", func(c *Config) { c.ExtraHeaders = []sip.Field{{Name: "User-Agent", Value: "x"}} }, "extra_headers", "set by user_agent"},
	{"no name", func(c *Config) { c.ExtraHeaders = []sip.Field{{Value: "x"}} }, "extra_headers", "name of a header field"},
	{"colon in name", func(c *Config) { c.ExtraHeaders = []sip.Field{{Name: "X-A:", Value: "x"}} }, "extra_headers", "name of a header field"},
	{"CR LF", func(c *Config) { c.ExtraHeaders = []sip.Field{{Name: "X-A", Value: "x\r\nVia: y"}} }, "extra_headers", "CR, LF or NUL"},

	{"none", func(c *Config) { c.WSServers = nil }, "ws_servers", "is missing"},
	{"empty list", func(c *Config) { c.WSServers = []WSServer{} }, "ws_servers", "is missing"},
	{"empty URL", func(c *Config) { c.WSServers = Servers("") }, "ws_servers", "(entry 1): ws_uri is empty"},
	{"http", func(c *Config) { c.WSServers = Servers("http://a.example") }, "ws_servers", "must begin with ws:// or wss://"},
	{"no scheme", func(c *Config) { c.WSServers = Servers("a.example") }, "ws_servers", "must begin with ws:// or wss://"},
	{"no host", func(c *Config) { c.WSServers = Servers("ws:///path") }, "ws_servers", "has no host"},
	{"port", func(c *Config) { c.WSServers = Servers("ws://a.example:70000") }, "ws_servers", "port"},
	{"the second", func(c *Config) { c.WSServers = Servers("ws://a.example", "ws://b example") }, "ws_servers", "(entry 2): ws_uri is not a URL"},
	{"fragment", func(c *Config) { c.WSServers = Servers("ws://a.example/#x") }, "ws_servers", "fragment"},
	{"user information", func(c *Config) { c.WSServers = Servers("ws://u:secret@a.example") }, "ws_servers", "user information"},
	{"weight", func(c *Config) { c.WSServers[0].Weight = -1 }, "ws_servers", "weight must not be negative"},
	{"handshake field", func(c *Config) { c.WSServers[0].Header = http.Header{"Upgrade": {"x"}} }, "ws_servers", "headers Upgrade"},
	{"Origin", func(c *Config) { c.WSServers[0].Origin = "a\r\nb" }, "ws_servers", "origin holds a control character"},

	{"negative", func(c *Config) { c.Flows = -1 }, "flows", "greater than 0"},
	{"three", func(c *Config) { c.Flows, c.WSServers = 3, Servers("ws://a", "ws://b", "ws://c") }, "flows", "at most 2"},
	{"one server", func(c *Config) { c.Flows = 2 }, "flows", "as many ws_servers"},
	{"one server twice", func(c *Config) { c.Flows, c.WSServers = 2, Servers("ws://a", "ws://a") }, "flows", "another URL"},

	{"negative", func(c *Config) { c.ConnectionRecoveryMinInterval = -1 }, "connection_recovery_min_interval", "greater than 0"},
	{"negative", func(c *Config) { c.ConnectionRecoveryMaxInterval = -1 }, "connection_recovery_max_interval", "greater than 0"},
	{"above maximum", func(c *Config) {
		c.ConnectionRecoveryMinInterval, c.ConnectionRecoveryMaxInterval = 9*time.Second, 8*time.Second
	}, "connection_recovery_min_interval", "at most connection_recovery_max_interval, 8s"},
	{"above default maximum", func(c *Config) { c.ConnectionRecoveryMinInterval = time.Minute }, "connection_recovery_min_interval", "30s"},
	{"below default minimum", func(c *Config) { c.ConnectionRecoveryMaxInterval = time.Second }, "connection_recovery_max_interval", "2s"},
	{"negative", func(c *Config) { c.KeepAliveInterval = -1 }, "keep_alive_interval", "must not be negative"},
	{"negative", func(c *Config) { c.OptionsInterval = -1 }, "options_interval", "must not be negative"},
	{"neither a number nor any", func(c *Config) { c.MaxTimeouts = -2 }, "max_timeouts", "must be greater than 0, or -1 for any number"},
	{"negative", func(c *Config) { c.NoAnswerTimeout = -1 }, "no_answer_timeout", "greater than 0"},
	{"negative", func(c *Config) { c.RegisterExpires = -time.Second }, "register_expires", "greater than 0"},
	{"half a second", func(c *Config) { c.RegisterExpires = 1500 * time.Millisecond }, "register_expires", "whole seconds"},
	{"beyond 32 bits", func(c *Config) { c.RegisterExpires = 4294967296 * time.Second }, "register_expires", "at most 4294967295"},
	{"too small", func(c *Config) { c.MaxMessageSize = 100 }, "max_message_size", "at least 1300"},
	{"negative", func(c *Config) { c.MaxCalls = -1 }, "max_calls", "greater than 0"},

	{"user", func(c *Config) { c.RegistrarServer = "sip:alice@example.com" }, "registrar_server", "must not have a user"},
	{"sips", func(c *Config) { c.RegistrarServer = "sips:example.com" }, "registrar_server", "sips:"},
	{"no URI", func(c *Config) { c.RegistrarServer = "my registrar" }, "registrar_server", "is not a SIP URI"},
	{"semicolon", func(c *Config) { c.RegisterFromTagTrail = ";x=y" }, "register_from_tag_trail", "a tag cannot have"},
	{"negative", func(c *Config) { c.SessionExpires = -time.Second }, "session_expires", "greater than 0"},
	{"below the RFC's minimum", func(c *Config) { c.SessionExpires = 89 * time.Second }, "session_expires", "at least 1m30s"},
	{"below ours", func(c *Config) { c.SessionExpires, c.MinSE = 5*time.Minute, 10*time.Minute }, "session_expires", "at least min_se, 10m0s"},
	{"half a second", func(c *Config) { c.SessionExpires = 99500 * time.Millisecond }, "session_expires", "whole seconds"},
	{"beyond 32 bits", func(c *Config) { c.SessionExpires = 4294967296 * time.Second }, "session_expires", "at most 4294967295"},
	{"below the RFC's minimum", func(c *Config) { c.MinSE = time.Minute }, "min_se", "at least 1m30s"},
	{"half a second", func(c *Config) { c.MinSE = 99500 * time.Millisecond }, "min_se", "whole seconds"},
	{"BYE", func(c *Config) { c.SessionTimersRefreshMethod = "BYE" }, "session_timers_refresh_method", "UPDATE or INVITE"},

	{"STUN: no scheme", func(c *Config) { c.STUNServers = []string{"example.org:3478"} }, "stun_servers", "is not a STUN URI"},
	{"STUN: turn", func(c *Config) { c.STUNServers = []string{"turn:example.org"} }, "stun_servers", "not stun or stuns"},
	{"STUN: slashes", func(c *Config) { c.STUNServers = []string{"stun://example.org"} }, "stun_servers", "no //"},
	{"STUN: empty", func(c *Config) { c.STUNServers = []string{""} }, "stun_servers", "is not a STUN URI"},
	{"STUN: port", func(c *Config) { c.STUNServers = []string{"stun:example.org:70000"} }, "stun_servers", "port outside"},
	{"STUN: port x", func(c *Config) { c.STUNServers = []string{"stun:example.org:x"} }, "stun_servers", "is not a STUN URI"},
	{"STUN: query", func(c *Config) { c.STUNServers = []string{"stun:example.org?transport=udp"} }, "stun_servers", "is not a STUN URI"},
	{"STUN: host", func(c *Config) { c.STUNServers = []string{"stun:user@example.org"} }, "stun_servers", "no valid host"},
	{"TURN: stun", func(c *Config) { c.TURNServers = turnAt("stun:example.org") }, "turn_servers", "not turn or turns"},
	{"TURN: transport", func(c *Config) { c.TURNServers = turnAt("turn:example.org?transport=sctp") }, "turn_servers", "is not a TURN URI"},
	{"TURN: no host", func(c *Config) { c.TURNServers = turnAt("turn::3478") }, "turn_servers", "is not a TURN URI"},
	{"TURN: the second url", func(c *Config) { c.TURNServers = turnAt("turn:example.org", "x") }, "turn_servers", "(entry 1): is not a TURN URI"},
	{"TURN: no urls", func(c *Config) { c.TURNServers = turnAt() }, "turn_servers", "urls is missing"},
	{"TURN: no username", func(c *Config) {
		c.TURNServers = turnAt("turn:example.org")
		c.TURNServers[0].Username = ""
	}, "turn_servers", "username is missing"},
	{"TURN: no credential", func(c *Config) {
		c.TURNServers = append(turnAt("turn:a.example"), turnAt("turn:b.example")...)
		c.TURNServers[1].Credential = ""
	}, "turn_servers", "(entry 2): credential is missing"},
	{"without TURN", func(c *Config) { c.ICERelayOnly = true }, "ice_relay_only", "needs turn_servers"},
}

func turnAt(urls ...string) []TURNServer {
	return []TURNServer{{URLs: urls, Username: "u", Credential: "c"}}
}

// TestBadConfig makes one thing wrong at a time; the one problem reported names
// it, and NewUA refuses it.
func TestBadConfig(t *testing.T) {
	for _, tt := range badConfigs {
		c := minimal()
		tt.set(&c)
		err := c.validate()
		var ce *ConfigError
		if !errors.As(err, &ce) {
			t.Errorf("%s: %s is accepted", tt.field, tt.name)
			continue
		}
		if ce.Field != tt.field || !strings.Contains(ce.Reason, tt.reason) || len(unjoin(err)) != 1 {
			t.Errorf("%s: %s: %v, want %q", tt.field, tt.name, err, tt.reason)
		}
		if !strings.HasPrefix(ce.Error(), "sipua: config: "+tt.field+" ") || strings.Contains(ce.Error(), "secret") {
			t.Errorf("%s: %s: says %q", tt.field, tt.name, ce)
		}
		if ua, err := NewUA(c); ua != nil || !errors.As(err, &ce) {
			t.Errorf("%s: %s: NewUA returns %v, %v", tt.field, tt.name, ua, err)
		}
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	c := Config{
		URI: "sips:alice@example.com", DisplayName: "\n", HA1: "x", RegisterExpires: -1, NoAnswerTimeout: -1,
		RegistrarServer: "a@b", STUNServers: []string{"x", "y"}, TURNServers: make([]TURNServer, 1),
	}
	want := []string{
		"uri", "display_name", "ha1", "ha1", "ws_servers", "register_expires", "no_answer_timeout", "registrar_server",
		"stun_servers", "stun_servers", "turn_servers", "turn_servers", "turn_servers",
	}
	if diff := gocmp.Diff(want, fieldsOf(c.validate())); diff != "" {
		t.Error(diff)
	}
	if _, err := NewUA(Config{}); !slices.Equal(fieldsOf(err), []string{"uri", "ws_servers"}) {
		t.Errorf("an empty Config: %v", err)
	}
}

func TestGoodConfig(t *testing.T) {
	for name, set := range map[string]func(c *Config){
		"no scheme":          func(c *Config) { c.URI = "alice@example.com" },
		"scheme in capitals": func(c *Config) { c.URI = "SIP:alice@example.com" },
		"port and parameter": func(c *Config) { c.URI = "sip:alice@example.com:5080;transport=ws" },
		"number":             func(c *Config) { c.URI = "sip:+15551234567@192.0.2.7;user=phone" },
		"IPv6":               func(c *Config) { c.URI, c.ViaHost = "sip:alice@[2001:db8::1]:5060", "[2001:db8::2]" },
		"escaped user":       func(c *Config) { c.URI = "sip:al%20ice@example.com" },
		"display name":       func(c *Config) { c.DisplayName = `"Alice" \ <¶€ĸøĸø> 爱丽丝` },
		"any password":       func(c *Config) { c.Password = "a\r\n\x00\xff" },
		"SHA-256 ha1":        func(c *Config) { c.HA1, c.Realm = strings.Repeat("0a", 32), "r" },
		"registrar":          func(c *Config) { c.RegistrarServer = "registrar.example.com:5070" },
		"uuid":               func(c *Config) { c.InstanceID = "uuid:F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6" },
		"urn:uuid":           func(c *Config) { c.InstanceID = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6" },
		"push":               func(c *Config) { c.ContactURIParams = map[string]string{"pn-provider": "fcm", "pn-prid": "a:b"} },
		"extra headers":      func(c *Config) { c.ExtraHeaders = []sip.Field{{Name: "X-A", Value: "b, c"}, {Name: "s", Value: ""}} },
		"equal intervals": func(c *Config) {
			c.ConnectionRecoveryMinInterval, c.ConnectionRecoveryMaxInterval = time.Second, time.Second
		},
		"longest expiry": func(c *Config) { c.RegisterExpires = 4294967295 * time.Second },
		"weights": func(c *Config) {
			c.WSServers = []WSServer{{URL: "ws://a", Weight: 1 << 30}, {URL: "WS://[::1]:80/a?b"}}
		},
		"no STUN":   func(c *Config) { c.STUNServers = []string{} },
		"IPv6 STUN": func(c *Config) { c.STUNServers = []string{"stun:[2001:db8::1]:3478", "stuns:192.0.2.1"} },
		"TURN":      func(c *Config) { c.TURNServers = turnAt("turn:a.example?transport=tcp", "turns:[::1]:443") },
		"relay only": func(c *Config) {
			c.TURNServers, c.ICERelayOnly = turnAt("turn:a.example"), true
		},
	} {
		c := minimal()
		set(&c)
		if err := c.validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := c.withDefaults(); d.validate() != nil {
			t.Errorf("%s: with its defaults: %v", name, d.validate())
		}
	}
}
