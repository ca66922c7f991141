package transport

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Server is one SIP server reached over WebSocket (RFC 7118).
//
// Printing a Server shows scheme, host, port and path only: its query, headers
// and cookies may carry secrets.
type Server struct {
	// URL is the WebSocket address: ws or wss, a host, and optionally a port (80
	// and 443 by default), a path and a query. User information and a fragment are
	// refused (RFC 6455 §3); credentials belong in Header.
	URL string `json:"ws_uri"`

	// Weight orders the servers: the heaviest one that has not failed is used,
	// chosen at random among equals. Default 0; negative values are refused.
	Weight int `json:"weight,omitempty"`

	// Header holds extra fields for the opening handshake, Cookie and
	// Authorization among them. Those the handshake itself needs are refused.
	Header http.Header `json:"-"`

	// Origin is the Origin field of the handshake (RFC 6455 §10.2); some servers
	// refuse a client without one. Default: none is sent.
	Origin string `json:"-"`

	// Jar gives and takes cookies of the handshake. Default: Options.Jar.
	Jar http.CookieJar `json:"-"`

	// TLSConfig is used for wss. Default: Options.TLSConfig.
	TLSConfig *tls.Config `json:"-"`

	// Proxy names the proxy for this server, as in [http.Transport].
	// Default: Options.Proxy.
	Proxy func(*http.Request) (*url.URL, error) `json:"-"`
}

// Validate reports everything that is wrong with s as joined [*ServerError]
// values, or nil.
func (s Server) Validate() error {
	var errs []error
	if _, why := s.parse(); why != "" {
		errs = append(errs, &ServerError{Field: "URL", Reason: why})
	}
	if s.Weight < 0 {
		errs = append(errs, &ServerError{Field: "Weight", Reason: "must not be negative"})
	}
	if hasControl(s.Origin) {
		errs = append(errs, &ServerError{Field: "Origin", Reason: "holds a control character"})
	}
	for name, values := range s.Header {
		if why := headerProblem(name, values); why != "" {
			errs = append(errs, &ServerError{Field: "Header", Reason: why})
		}
	}
	return errors.Join(errs...)
}

// Secure reports whether the URL says wss, and so whether Via says WSS.
func (s Server) Secure() bool {
	u, _ := s.parse()
	return u != nil && u.Scheme == "wss"
}

// HostPort returns what a SIP URI or a Via needs to name the server: the host,
// an IPv6 address in brackets and without its zone, and the port, 0 when the URL
// has none. The host of an invalid URL is empty.
func (s Server) HostPort() (host string, port int) {
	u, _ := s.parse()
	if u == nil {
		return "", 0
	}
	host = u.Hostname()
	if strings.Contains(host, ":") {
		host, _, _ = strings.Cut(host, "%")
		host = "[" + host + "]"
	}
	port, _ = strconv.Atoi(u.Port())
	return host, port
}

// String returns scheme, host, port and path of the URL, and nothing that may be
// secret.
func (s Server) String() string {
	u, why := s.parse()
	if u == nil {
		return "invalid server: " + why
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}

// GoString is String, so that %#v does not print secrets either.
func (s Server) GoString() string { return "transport.Server{" + s.String() + "}" }

// LogValue implements [slog.LogValuer] with the value of String.
func (s Server) LogValue() slog.Value { return slog.StringValue(s.String()) }

// parse returns the URL, or nil and what is wrong with it. The reason never
// quotes the URL, because that may hold a password or a token.
func (s Server) parse() (u *url.URL, why string) {
	if s.URL == "" {
		return nil, "is empty"
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, "is not a URL"
	}
	switch {
	case u.Scheme != "ws" && u.Scheme != "wss":
		return nil, "must begin with ws:// or wss://"
	case u.Opaque != "" || u.Hostname() == "":
		return nil, "has no host"
	case u.User != nil:
		return nil, "must not hold user information (RFC 6455 §3)"
	case u.Fragment != "" || strings.HasSuffix(s.URL, "#"):
		return nil, "must not have a fragment (RFC 6455 §3)"
	case !isASCII(u.Host):
		return nil, "has a host that is not ASCII; write it in its xn-- form"
	case strings.HasSuffix(u.Host, ":"):
		return nil, "has an empty port"
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return nil, "has a port outside 1 to 65535"
		}
	}
	return u, ""
}

// handshakeFields belong to the opening handshake itself (RFC 6455 §4.1).
var handshakeFields = map[string]string{
	"Connection":               "is set by the handshake",
	"Content-Length":           "is set by the handshake",
	"Origin":                   "has a field of its own, Server.Origin",
	"Sec-Websocket-Extensions": "is set by the handshake",
	"Sec-Websocket-Key":        "is set by the handshake",
	"Sec-Websocket-Protocol":   "is always sip (RFC 7118 §4.1)",
	"Sec-Websocket-Version":    "is set by the handshake",
	"Transfer-Encoding":        "is set by the handshake",
	"Upgrade":                  "is set by the handshake",
}

func headerProblem(name string, values []string) string {
	if !isToken(name) {
		return strconv.Quote(name) + " is not a field name"
	}
	if why, ok := handshakeFields[http.CanonicalHeaderKey(name)]; ok {
		return name + " " + why
	}
	for _, v := range values {
		if hasControl(v) {
			return name + " holds a control character"
		}
	}
	return ""
}

// isToken reports whether s is a token of RFC 9110 §5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// hasControl reports whether s has a byte that a field value must not hold
// (RFC 9110 §5.5), CR, LF and NUL among them.
func hasControl(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
