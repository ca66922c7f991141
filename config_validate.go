package sipua

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/transport"
)

// ConfigError is one problem of a [Config]. What [NewUA] and
// [Config.UnmarshalJSON] return joins one for each problem.
type ConfigError struct {
	Field  string // JSON key of the parameter; for one that JSON has not, the name of the field
	Value  string // what it was set to; empty when nothing or a secret, shortened where part of it is one
	Reason string // what is wrong with it
	Err    error  // what the parser of the value said, if anything
}

// Error names the parameter, its value and what is wrong with it.
func (e *ConfigError) Error() string {
	s := "sipua: config: "
	if e.Field != "" {
		s += e.Field + " "
	}
	if e.Value != "" {
		s += strconv.Quote(e.Value) + " "
	}
	return s + e.Reason
}

// Unwrap returns Err.
func (e *ConfigError) Unwrap() error { return e.Err }

// problems collects what is wrong.
type problems []error

func (p *problems) add(field, value, reason string) {
	*p = append(*p, &ConfigError{Field: field, Value: redactURI(value), Reason: reason})
}

// addParse adds what a parser said of value. Where the value holds a secret the
// parser's own error is dropped, for it may quote it.
func (p *problems) addParse(field, value, reason string, err error) {
	e := &ConfigError{Field: field, Value: redactURI(value), Reason: reason}
	if e.Value == value {
		e.Err = err
	}
	*p = append(*p, e)
}

// validate returns all that is wrong with c as joined [*ConfigError] values, in
// the order of the fields, or nil.
func (c *Config) validate() error {
	var p problems
	c.validateAccount(&p)
	c.validateIdentity(&p)
	c.validateServers(&p)
	c.validateNumbers(&p)
	c.validateRegistration(&p)
	c.validateMedia(&p)
	return errors.Join(p...)
}

func (c *Config) validateAccount(p *problems) {
	if c.URI == "" {
		p.add("uri", "", "is missing")
	} else if u, ok := p.sipURI("uri", c.URI); ok && u.User == "" {
		p.add("uri", c.URI, "has no user")
	}
	p.text("display_name", c.DisplayName)
	p.text("authorization_user", c.AuthorizationUser)
	p.text("realm", c.Realm)
	if c.HA1 != "" {
		if !ha1Form.MatchString(c.HA1) {
			p.add("ha1", "", "must be 32 or 64 hexadecimal digits")
		}
		if c.Realm == "" {
			p.add("ha1", "", "needs realm, which is hashed into it")
		}
	}
	if c.AuthorizationJWT != "" && !tokenForm.MatchString(c.AuthorizationJWT) {
		p.add("authorization_jwt", "", `must be a scheme, a space and the token, as "Bearer eyJhbGci…"`)
	}
}

func (c *Config) validateIdentity(p *problems) {
	if c.ContactURI != "" {
		p.sipURI("contact_uri", c.ContactURI)
	}
	p.params("extra_contact_params", c.ContactParams, contactParams)
	p.params("extra_contact_uri_params", c.ContactURIParams, contactURIParams)
	if c.InstanceID != "" && !uuidForm.MatchString(bareUUID(c.InstanceID)) {
		p.add("instance_id", c.InstanceID, "is not a UUID")
	}
	if c.ViaHost != "" && !isSIPHost(c.ViaHost) {
		p.add("via_host", c.ViaHost, "is not a host: a name or an address, an IPv6 one in brackets, and no port")
	}
	if c.HackIPInContact && c.ViaHost != "" {
		p.add("hack_ip_in_contact", "", "excludes via_host, which sets the same")
	}
	if c.HackIPInContact && c.ContactURI != "" {
		p.add("hack_ip_in_contact", "", "excludes contact_uri, which sets the same")
	}
	p.text("user_agent", c.UserAgent)
	p.extraHeaders(c.ExtraHeaders)
	for _, name := range c.InfoPackages {
		if !isToken(name) {
			p.add("info_packages", name, "is not the name of an Info Package")
		}
	}
}

// extraHeaders refuses fields that the UA writes itself and what is no field.
func (p *problems) extraHeaders(fields []sip.Field) {
	for _, f := range fields {
		switch why := ownedField(f.Name); {
		case !isToken(f.Name):
			p.add("extra_headers", f.Name, "is not the name of a header field")
		case why != "":
			p.add("extra_headers", f.Name, why)
		default:
			p.text("extra_headers", f.Value)
		}
	}
}

func (c *Config) validateServers(p *problems) {
	if len(c.WSServers) == 0 {
		p.add("ws_servers", "", "is missing: one at least")
	}
	for i, s := range c.WSServers {
		for _, err := range unjoin(s.Validate()) {
			why, what := err.Error(), ""
			var se *transport.ServerError
			if errors.As(err, &se) {
				why, what = se.Reason, map[string]string{"URL": "ws_uri", "Weight": "weight", "Header": "headers", "Origin": "origin"}[se.Field]
			}
			*p = append(*p, &ConfigError{
				Field: "ws_servers", Value: redactURI(s.URL), Err: err,
				Reason: fmt.Sprintf("(entry %d): %s %s", i+1, what, why),
			})
		}
	}
	switch {
	case c.Flows > maxFlows:
		p.add("flows", strconv.Itoa(c.Flows), fmt.Sprintf("must be at most %d", maxFlows))
	case c.Flows > 1 && distinct(c.WSServers) < c.Flows:
		p.add("flows", strconv.Itoa(c.Flows), "needs as many ws_servers, each at another URL")
	}
}

// maxFlows is how many flows there may be: what RFC 5626 §4.2.1 demands of a UA.
const maxFlows = 2

// distinct counts the URLs of servers.
func distinct(servers []WSServer) int {
	urls := map[string]bool{}
	for _, s := range servers {
		urls[s.URL] = true
	}
	return len(urls)
}

// validateNumbers checks what is counted or timed. Zero is the default and fine.
func (c *Config) validateNumbers(p *problems) {
	const maxDelta = math.MaxUint32 // delta-seconds, RFC 3261 §20.19
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"connection_recovery_min_interval", c.ConnectionRecoveryMinInterval},
		{"connection_recovery_max_interval", c.ConnectionRecoveryMaxInterval},
		{"recovery_limit", c.RecoveryLimit},
		{"connect_timeout", c.ConnectTimeout},
		{"ping_interval", c.PingInterval},
		{"pong_timeout", c.PongTimeout},
		{"write_timeout", c.WriteTimeout},
		{"options_timeout", c.OptionsTimeout},
		{"register_expires", c.RegisterExpires},
		{"no_answer_timeout", c.NoAnswerTimeout},
		{"ring_timeout", c.RingTimeout},
		{"session_expires", c.SessionExpires},
		{"min_se", c.MinSE},
		{"ice_gathering_timeout", c.ICEGatheringTimeout},
	} {
		if d.value < 0 {
			p.add(d.key, d.value.String(), "must be greater than 0")
		}
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"keep_alive_interval", c.KeepAliveInterval},
		{"options_interval", c.OptionsInterval},
	} {
		if d.value < 0 {
			p.add(d.key, d.value.String(), "must not be negative")
		}
	}
	if c.MaxTimeouts < -1 {
		p.add("max_timeouts", strconv.Itoa(c.MaxTimeouts), "must be greater than 0, or -1 for any number")
	}
	for _, n := range []struct {
		key   string
		value int
	}{
		{"flows", c.Flows},
		{"max_message_size", c.MaxMessageSize},
		{"max_transactions", c.MaxTransactions},
		{"max_dialogs", c.MaxDialogs},
		{"max_calls", c.MaxCalls},
	} {
		if n.value < 0 {
			p.add(n.key, strconv.Itoa(n.value), "must be greater than 0")
		}
	}
	if c.MaxMessageSize > 0 && c.MaxMessageSize < minMessageSize {
		p.add("max_message_size", strconv.Itoa(c.MaxMessageSize), fmt.Sprintf("must be at least %d bytes", minMessageSize))
	}
	c.validateIntervals(p)
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"register_expires", c.RegisterExpires},
		{"session_expires", c.SessionExpires},
		{"min_se", c.MinSE},
	} {
		switch {
		case d.value > 0 && d.value%time.Second != 0:
			p.add(d.key, d.value.String(), "must be whole seconds")
		case d.value > maxDelta*time.Second:
			p.add(d.key, d.value.String(), fmt.Sprintf("must be at most %d seconds", uint32(maxDelta)))
		}
	}
	c.validateSessionTimers(p)
}

// validateSessionTimers keeps to the bounds of RFC 4028 §4, §5 and §7.1.
func (c *Config) validateSessionTimers(p *problems) {
	const least = session.DefaultMinSE
	if c.MinSE > 0 && c.MinSE < least {
		p.add("min_se", c.MinSE.String(), fmt.Sprintf("must be at least %v", least))
	}
	switch lo := max(c.MinSE, least); {
	case c.SessionExpires <= 0 || c.SessionExpires >= lo:
	case lo == least:
		p.add("session_expires", c.SessionExpires.String(), fmt.Sprintf("must be at least %v", least))
	default:
		p.add("session_expires", c.SessionExpires.String(), fmt.Sprintf("must be at least min_se, %v", lo))
	}
}

func (c *Config) validateRegistration(p *problems) {
	if c.RegistrarServer != "" {
		if u, ok := p.sipURI("registrar_server", c.RegistrarServer); ok && u.User != "" {
			p.add("registrar_server", c.RegistrarServer, "must not have a user")
		}
	}
	if c.RegisterFromTagTrail != "" && !isToken(c.RegisterFromTagTrail) {
		p.add("register_from_tag_trail", c.RegisterFromTagTrail, "has a character that a tag cannot have")
	}
	if c.MediaRecovery > session.MediaEnd {
		p.add("media_recovery", c.MediaRecovery.String(), "must be restart, keep or end")
	}
	if c.ReliableProvisionals > session.ReliableOff {
		p.add("reliable_provisionals", c.ReliableProvisionals.String(), "must be supported, required or off")
	}
	switch c.SessionTimersRefreshMethod {
	case "", sip.UPDATE, sip.INVITE:
	default:
		p.add("session_timers_refresh_method", string(c.SessionTimersRefreshMethod), "must be UPDATE or INVITE")
	}
}

func (c *Config) validateMedia(p *problems) {
	for _, s := range c.STUNServers {
		if why := stunProblem(s); why != "" {
			p.add("stun_servers", s, why)
		}
	}
	for i, s := range c.TURNServers {
		entry := fmt.Sprintf("(entry %d): ", i+1)
		if len(s.URLs) == 0 {
			p.add("turn_servers", "", entry+"urls is missing: one at least")
		}
		for _, u := range s.URLs {
			if why := turnProblem(u); why != "" {
				p.add("turn_servers", u, entry+why)
			}
		}
		if s.Username == "" {
			p.add("turn_servers", "", entry+"username is missing")
		}
		if s.Credential == "" {
			p.add("turn_servers", "", entry+"credential is missing")
		}
	}
	if c.ICERelayOnly && len(c.TURNServers) == 0 && c.Media == nil {
		p.add("ice_relay_only", "", "needs turn_servers: without a relay there is no path at all")
	}
}

// validateIntervals compares the bounds of recovery as they will be used, and
// blames the one that was set.
func (c *Config) validateIntervals(p *problems) {
	lo := cmp.Or(c.ConnectionRecoveryMinInterval, defaultRecoveryMin)
	hi := cmp.Or(c.ConnectionRecoveryMaxInterval, defaultRecoveryMax)
	switch {
	case lo <= hi || hi < 0:
	case c.ConnectionRecoveryMinInterval != 0:
		p.add("connection_recovery_min_interval", lo.String(),
			fmt.Sprintf("must be at most connection_recovery_max_interval, %v", hi))
	default:
		p.add("connection_recovery_max_interval", hi.String(),
			fmt.Sprintf("must be at least connection_recovery_min_interval, %v", lo))
	}
}

// sipURI parses value, whose "sip:" may be missing, for use in From, To and
// Contact, and says what is wrong; false: something is.
func (p *problems) sipURI(key, value string) (sip.URI, bool) {
	u, err := sip.ParseURI(withScheme(value))
	switch {
	case hasScheme(value, "sips"):
		p.add(key, value, "is a sips: URI, which is not supported; with sip: a wss URL protects the way to the server")
	case err != nil:
		reason := "is not a SIP URI"
		if pe := (*sip.ParseError)(nil); errors.As(err, &pe) {
			reason += ": " + pe.Reason
		}
		p.addParse(key, value, reason, err)
	case !isSIPHost(u.Host):
		p.add(key, value, "has no valid host")
	case u.Password != "":
		p.add(key, value, "must not hold a password (RFC 3261 §19.1.1)")
	case u.Headers != "":
		p.add(key, value, "must not have headers (RFC 3261 §19.1.1)")
	default:
		return u, true
	}
	return sip.URI{}, false
}

// text refuses what would end a header field or is no text (RFC 3261 §7.3, §25.1).
func (p *problems) text(key, value string) {
	switch {
	case strings.ContainsAny(value, "\r\n\x00"):
		p.add(key, value, "must not hold CR, LF or NUL")
	case !utf8.ValidString(value):
		p.add(key, value, "is not valid UTF-8")
	}
}

// params checks further parameters of Contact; own are those the UA writes.
func (p *problems) params(key string, params map[string]string, own []string) {
	for _, name := range slices.Sorted(maps.Keys(params)) {
		switch {
		case !isToken(name):
			p.add(key, name, "is not the name of a parameter")
		case slices.Contains(own, strings.ToLower(name)):
			p.add(key, name, "is set by the UA")
		default:
			p.text(key, params[name])
		}
	}
}

// Parameters that the UA and the registrar write into Contact by themselves.
var (
	contactParams    = []string{"+sip.ice", "+sip.instance", "expires", "pub-gruu", "q", "reg-id", "tag", "temp-gruu"}
	contactURIParams = []string{"gr", "lr", "maddr", "method", "ob", "transport", "ttl", "user"}
)

// minMessageSize is that of RFC 3261 §18.1.1 for datagrams, below which calls do
// not fit.
const minMessageSize = 1300

var (
	ha1Form   = regexp.MustCompile(`^([0-9A-Fa-f]{32}|[0-9A-Fa-f]{64})$`)
	tokenForm = regexp.MustCompile(`^[0-9A-Za-z-]+ [!-~]([ -~]*[!-~])?$`)
	uuidForm  = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	hostForm  = regexp.MustCompile(`^([0-9A-Za-z]([-0-9A-Za-z_]*[0-9A-Za-z])?\.)*[0-9A-Za-z]([-0-9A-Za-z_]*[0-9A-Za-z])?\.?$`)
)

// ownedFields are written by the UA, long names in lower case; a second one would
// contradict it.
var ownedFields = []string{
	"allow", "authentication-info", "authorization", "call-id", "contact", "content-disposition", "content-encoding",
	"content-length", "content-type", "cseq", "event", "expires", "flow-timer", "from", "max-forwards", "min-expires",
	"min-se", "path", "proxy-authenticate", "proxy-authentication-info", "proxy-authorization", "rack", "record-route",
	"refer-to", "replaces", "require", "retry-after", "route", "rseq", "server", "service-route", "session-expires",
	"sip-etag", "sip-if-match", "subscription-state", "supported", "to", "unsupported", "user-agent", "via",
	"www-authenticate",
}

// compactFields are their compact names (RFC 3261 §7.3.3 and later RFCs).
var compactFields = map[string]string{
	"c": "content-type", "e": "content-encoding", "f": "from", "i": "call-id", "k": "supported", "l": "content-length",
	"m": "contact", "o": "event", "r": "refer-to", "t": "to", "v": "via", "x": "session-expires",
}

// ownedField says why name cannot be among extra_headers, or "".
func ownedField(name string) string {
	name = strings.ToLower(name)
	if long, ok := compactFields[name]; ok {
		name = long
	}
	switch {
	case name == "user-agent" || name == "server":
		return "is set by user_agent"
	case slices.Contains(ownedFields, name):
		return "is set by the UA"
	}
	return ""
}

// withScheme completes a SIP URI whose scheme was left out.
func withScheme(s string) string {
	if hasScheme(s, "sip") || hasScheme(s, "sips") {
		return s
	}
	return "sip:" + s
}

func hasScheme(s, scheme string) bool {
	return len(s) > len(scheme) && s[len(scheme)] == ':' && strings.EqualFold(s[:len(scheme)], scheme)
}

// bareUUID is s in lower case without "urn:uuid:" or "uuid:".
func bareUUID(s string) string {
	s = strings.ToLower(s)
	return strings.TrimPrefix(strings.TrimPrefix(s, "urn:"), "uuid:")
}

// isToken reports whether s is a token (RFC 3261 §25.1).
func isToken(s string) bool {
	for _, r := range s {
		switch {
		case '0' <= r && r <= '9', 'A' <= r && r <= 'Z', 'a' <= r && r <= 'z', strings.ContainsRune("-.!%*_+`'~", r):
		default:
			return false
		}
	}
	return s != ""
}

// isSIPHost reports whether s is a host as SIP writes it (RFC 3261 §25.1).
func isSIPHost(s string) bool {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		return ok && strings.Contains(inner, ":") && isHost(inner)
	}
	return !strings.Contains(s, ":") && isHost(s)
}

// isHost reports whether s is a host name or an address, without brackets.
func isHost(s string) bool {
	if strings.Contains(s, ":") {
		a, err := netip.ParseAddr(s)
		return err == nil && a.Zone() == ""
	}
	return len(s) <= 253 && hostForm.MatchString(s)
}

// unjoin returns the errors that errors.Join joined.
func unjoin(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}
