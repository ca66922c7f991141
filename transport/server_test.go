package transport_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/gosipua/sipua/transport"
)

func TestServerValidate(t *testing.T) {
	for _, tt := range []struct {
		name  string
		s     transport.Server
		field string // empty: valid
	}{
		{"ws", transport.Server{URL: "ws://example.com"}, ""},
		{"wss with all", transport.Server{URL: "wss://example.com:8443/ws/sip?token=1&b=2", Weight: 7}, ""},
		{"upper case scheme", transport.Server{URL: "WSS://Example.com"}, ""},
		{"IPv4", transport.Server{URL: "ws://192.0.2.1:5062"}, ""},
		{"IPv6", transport.Server{URL: "ws://[2001:db8::1]:5062/"}, ""},
		{"IPv6 with zone", transport.Server{URL: "ws://[fe80::1%25eth0]"}, ""},
		{"fields", transport.Server{URL: "ws://a", Origin: "https://a", Header: http.Header{
			"Cookie": {"a=b"}, "authorization": {"Bearer x"}, "X-Tab": {"a\tb"}, "Host": {"b"}}}, ""},
		{"empty", transport.Server{}, "URL"},
		{"http", transport.Server{URL: "http://example.com"}, "URL"},
		{"no scheme", transport.Server{URL: "example.com"}, "URL"},
		{"host and port only", transport.Server{URL: "example.com:8080"}, "URL"},
		{"opaque", transport.Server{URL: "ws:example.com"}, "URL"},
		{"no host", transport.Server{URL: "ws://"}, "URL"},
		{"port without host", transport.Server{URL: "ws://:8080"}, "URL"},
		{"empty port", transport.Server{URL: "ws://example.com:"}, "URL"},
		{"port 0", transport.Server{URL: "ws://example.com:0"}, "URL"},
		{"port too large", transport.Server{URL: "ws://example.com:65536"}, "URL"},
		{"port no number", transport.Server{URL: "ws://example.com:http"}, "URL"},
		{"user", transport.Server{URL: "ws://me@example.com"}, "URL"},
		{"fragment", transport.Server{URL: "ws://example.com/#a"}, "URL"},
		{"empty fragment", transport.Server{URL: "ws://example.com/#"}, "URL"},
		{"space in host", transport.Server{URL: "ws://exa mple.com"}, "URL"},
		{"CR LF", transport.Server{URL: "ws://example.com/\r\nX: y"}, "URL"},
		{"NUL", transport.Server{URL: "ws://example.com/\x00"}, "URL"},
		{"not ASCII", transport.Server{URL: "ws://exämple.com"}, "URL"},
		{"weight", transport.Server{URL: "ws://a", Weight: -1}, "Weight"},
		{"Origin with CR LF", transport.Server{URL: "ws://a", Origin: "https://a\r\nX: y"}, "Origin"},
		{"Origin with NUL", transport.Server{URL: "ws://a", Origin: "\x00"}, "Origin"},
		{"field value with LF", transport.Server{URL: "ws://a", Header: http.Header{"X-A": {"ok", "a\nb"}}}, "Header"},
		{"field value with NUL", transport.Server{URL: "ws://a", Header: http.Header{"X-A": {"\x00"}}}, "Header"},
		{"field name with CR", transport.Server{URL: "ws://a", Header: http.Header{"X\r\nA": {"a"}}}, "Header"},
		{"field name empty", transport.Server{URL: "ws://a", Header: http.Header{"": {"a"}}}, "Header"},
		{"Upgrade", transport.Server{URL: "ws://a", Header: http.Header{"upgrade": {"h2c"}}}, "Header"},
		{"subprotocol", transport.Server{URL: "ws://a", Header: http.Header{"Sec-WebSocket-Protocol": {"x"}}}, "Header"},
		{"Origin twice", transport.Server{URL: "ws://a", Header: http.Header{"Origin": {"x"}}}, "Header"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.s.Validate()
			if tt.field == "" {
				if err != nil {
					t.Fatalf("valid server refused: %v", err)
				}
				return
			}
			var se *transport.ServerError
			if !errors.As(err, &se) || se.Field != tt.field {
				t.Fatalf("got %v, want a ServerError about %s", err, tt.field)
			}
		})
	}
}

func TestServerValidateReportsAll(t *testing.T) {
	err := transport.Server{Weight: -1, Origin: "\n", Header: http.Header{"": nil}}.Validate()
	for _, field := range []string{"URL", "Weight", "Origin", "Header"} {
		if !strings.Contains(err.Error(), "server "+field+" ") {
			t.Errorf("%q does not name %s", err, field)
		}
	}
}

func TestServerHostPort(t *testing.T) {
	for _, tt := range []struct {
		url    string
		host   string
		port   int
		secure bool
	}{
		{"ws://example.com", "example.com", 0, false},
		{"wss://example.com:8443/ws?x=1", "example.com", 8443, true},
		{"WSS://Example.com", "Example.com", 0, true},
		{"ws://192.0.2.1:80", "192.0.2.1", 80, false},
		{"ws://[2001:db8::1]", "[2001:db8::1]", 0, false},
		{"ws://[fe80::1%25eth0]:5062", "[fe80::1]", 5062, false},
		{"ftp://example.com", "", 0, false},
	} {
		s := transport.Server{URL: tt.url}
		host, port := s.HostPort()
		if host != tt.host || port != tt.port || s.Secure() != tt.secure {
			t.Errorf("%s: got %q, %d, secure %v", tt.url, host, port, s.Secure())
		}
	}
}

// What a Server may hold of secrets is in none of the ways to print it.
func TestServerHidesSecrets(t *testing.T) {
	s := transport.Server{
		URL:    "wss://example.com:8443/ws?token=geheim",
		Header: http.Header{"Authorization": {"Bearer geheim"}, "Cookie": {"sid=geheim"}},
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "server", s, "in", []transport.Server{s})
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "server", s)
	bad := transport.Server{URL: "wss://me:geheim@example.com/?token=geheim", Header: http.Header{"X": {"geheim\n"}}}
	p := transport.NewPool(transport.Options{Servers: []transport.Server{s}})
	defer p.Close()
	o := transport.Options{Servers: []transport.Server{s}}
	for _, out := range []string{
		fmt.Sprintf("%v %+v %#v", p, p, p), fmt.Sprintf("%v %+v %#v", o, o, o),
		fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s", s, s, s, s), fmt.Sprintf("%+v %#v", &s, []transport.Server{s}),
		log.String(), fmt.Sprint(bad), bad.Validate().Error(),
		transport.Server{URL: "wss://me:geheim@exa mple"}.Validate().Error(),
	} {
		if strings.Contains(out, "geheim") {
			t.Errorf("secret printed: %s", out)
		}
	}
	if got, want := s.String(), "wss://example.com:8443/ws"; got != want {
		t.Errorf("String is %q, want %q", got, want)
	}
}
