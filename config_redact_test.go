package sipua

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/gosipua/sipua/sip/digest"
)

// secrets are in what secretive returns.
var secrets = []string{
	"pass-5ecret", "0123456789abcdef5ec2e7c0ffee0000", "jwt5ecret", "turn-5ecret", "query-5ecret", "header-5ecret", "origin-5ecret",
}

func secretive() Config {
	return Config{
		URI:              "sip:alice@example.com",
		Password:         secrets[0],
		HA1:              secrets[1],
		Realm:            "example.com",
		AuthorizationJWT: "Bearer " + secrets[2],
		TURNServers:      []TURNServer{{URLs: []string{"turn:turn.example"}, Username: "turnuser", Credential: secrets[3]}},
		WSServers: []WSServer{{
			URL: "wss://ws.example/path?token=" + secrets[4], Header: http.Header{"Cookie": {secrets[5]}},
		}},
		NoAnswerTimeout: 90 * time.Second,
		Credentials: func(context.Context, digest.Challenge) (digest.Credentials, error) {
			return digest.Credentials{}, nil
		},
	}
}

// leaks is the first secret in text, as it is or in hexadecimal.
func leaks(text string) string {
	for _, s := range secrets {
		h := hex.EncodeToString([]byte(s))
		if strings.Contains(text, s) || strings.Contains(strings.ToLower(text), h) {
			return s
		}
	}
	return ""
}

// containers hold one Config in every way in which package fmt can still call
// its methods, or does not look at it.
func containers() map[string]any {
	c := secretive()
	p := &c
	type exported struct{ C Config }
	type pointer struct{ C *Config }
	type hidden struct{ c *Config }
	type embedded struct{ Config }
	type deep struct{ M map[string][]exported }
	return map[string]any{
		"value":              c,
		"pointer":            p,
		"pointer to pointer": &p,
		"slice":              []Config{c},
		"slice of pointers":  []*Config{p},
		"array":              [1]Config{c},
		"map":                map[string]Config{"k": c},
		"any":                []any{c, p},
		"exported field":     exported{c},
		"pointer to struct":  &exported{c},
		"pointer field":      pointer{p},
		"unexported pointer": hidden{p},
		"embedded":           embedded{c},
		"pointer, embedded":  &embedded{c},
		"deep":               deep{map[string][]exported{"k": {{c}}}},
		"clone":              c.Clone(),
		"with defaults":      c.withDefaults(),
		"servers":            c.WSServers,
		"TURN servers":       c.TURNServers,
	}
}

func TestPrintingShowsNoSecret(t *testing.T) {
	verbs := []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%t", "%g", "%c", "%U", "%10.3v"}
	for name, v := range containers() {
		for i, verb := range verbs {
			// Where fmt cannot call methods, a verb that does not fit (go vet says so)
			// makes it print what is behind a pointer.
			if i >= 3 && (name == "unexported pointer" || name == "servers") {
				continue
			}
			if s := leaks(fmt.Sprintf(verb, v)); s != "" {
				t.Errorf("%s: %s shows %s", name, verb, s)
			}
		}
		if s := leaks(fmt.Sprint(v) + fmt.Sprintln("x", v) + fmt.Errorf("x: %v", v).Error()); s != "" {
			t.Errorf("%s: Sprint shows %s", name, s)
		}
		var b bytes.Buffer
		log.New(&b, "", 0).Println(v)
		for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
			l := slog.New(h)
			l.Info("m", "config", v, slog.Group("g", "config", v))
			l.With("config", v).Info("m")
		}
		if err := template.Must(template.New("").Parse("{{.}} {{printf `%+v` .}}")).Execute(&b, v); err != nil {
			t.Error(err)
		}
		// MarshalJSON writes URLs whole, so that they work when read again.
		text := strings.ReplaceAll(b.String(), "?token="+secrets[4], "")
		if s := leaks(text); s != "" {
			t.Errorf("%s: %s shows %s", name, text, s)
		}
		out, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s := leaks(strings.ReplaceAll(string(out), secrets[4], "")); s != "" {
			t.Errorf("%s: JSON shows %s: %s", name, s, out)
		}
	}
}

// TestString has what an operator wants to see, and that a secret is there.
func TestString(t *testing.T) {
	const want = `{uri:"sip:alice@example.com" password:[redacted] realm:"example.com" ha1:[redacted] ` +
		`authorization_jwt:[redacted] ws_servers:[wss://ws.example/path weight=0] no_answer_timeout:1m30s ` +
		`turn_servers:[[turn:turn.example] username="turnuser" credential=[redacted]] Credentials:set}`
	c := secretive()
	if got := c.String(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got := fmt.Sprintf("%#v", &c); got != "sipua.Config"+want {
		t.Errorf("%s", got)
	}
	if got := fmt.Sprint((*Config)(nil)); got != "<nil>" {
		t.Errorf("a nil pointer is %s", got)
	}
	if got := (Config{Register: new(bool), STUNServers: []string{}}).String(); got != "{register:false stun_servers:[]}" {
		t.Errorf("%s", got)
	}
}

func TestLogValue(t *testing.T) {
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("m", "config", secretive())
	for _, want := range []string{`config.uri="\"sip:alice@example.com\""`, "config.password=[redacted]", "config.no_answer_timeout=1m30s"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s\nhas no %s", b.String(), want)
		}
	}
}

// TestErrorsShowNoSecret makes secrets wrong and looks for them in what is said.
func TestErrorsShowNoSecret(t *testing.T) {
	for name, set := range map[string]func(c *Config, secret string){
		"uri":                    func(c *Config, s string) { c.URI = "sip:alice:" + s + "@example.com" },
		"uri without sip:":       func(c *Config, s string) { c.URI = "alice:" + s + "@example.com" },
		"uri that is none":       func(c *Config, s string) { c.URI = "sip:alice:" + s + "@exa mple.com" },
		"sips":                   func(c *Config, s string) { c.URI = "sips:alice:" + s + "@example.com" },
		"contact_uri":            func(c *Config, s string) { c.ContactURI = "sip:alice:" + s + "@example.com" },
		"registrar_server":       func(c *Config, s string) { c.RegistrarServer = "sip:alice:" + s + "@ example.com" },
		"ha1":                    func(c *Config, s string) { c.HA1 = s },
		"authorization_jwt":      func(c *Config, s string) { c.AuthorizationJWT = s },
		"URL's user":             func(c *Config, s string) { c.WSServers = Servers("wss://alice:" + s + "@example.com") },
		"URL's query":            func(c *Config, s string) { c.WSServers = Servers("http://example.com/?token=" + s) },
		"URL's user and a ?":     func(c *Config, s string) { c.WSServers = Servers("wss://alice:a?" + s + "@example.com") },
		"URL that is none":       func(c *Config, s string) { c.WSServers = Servers("wss://alice:" + s + "@exa mple.com/\x7f") },
		"header of a server":     func(c *Config, s string) { c.WSServers[0].Header = http.Header{"Cookie": {s + "\n"}} },
		"origin":                 func(c *Config, s string) { c.WSServers[0].Origin = s + "\n" },
		"STUN user":              func(c *Config, s string) { c.STUNServers = []string{"stun:alice:" + s + "@example.com"} },
		"TURN user":              func(c *Config, s string) { c.TURNServers = turnAt("turn:alice:" + s + "@example.com") },
		"credential without url": func(c *Config, s string) { c.TURNServers = []TURNServer{{Username: "u", Credential: s}} },
	} {
		c := minimal()
		set(&c, secrets[0])
		err := c.validate()
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		for e := range chain(err) {
			if text := fmt.Sprintf("%v %+v %#v %q", e, e, e, e); strings.Contains(text, secrets[0]) {
				t.Errorf("%s: %s", name, text)
			}
		}
		if text := fmt.Sprintf("%v %#v", c, c); leaks(text) != "" {
			t.Errorf("%s: printing the Config shows %s", name, text)
		}
	}
}

// chain yields err and all that it wraps; structs too, for %#v.
func chain(err error) func(yield func(any) bool) {
	return func(yield func(any) bool) {
		for _, e := range unjoin(err) {
			for ; e != nil; e = errors.Unwrap(e) {
				if !yield(e) {
					return
				}
				if ce := (*ConfigError)(nil); errors.As(e, &ce) && !yield(*ce) {
					return
				}
			}
		}
	}
}

func TestRedactURI(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"sip:alice@example.com", "sip:alice@example.com"},
		{"SIP:alice:pw@example.com:5060", "SIP:alice:[redacted]@example.com:5060"},
		{"alice:pw@example.com", "alice:[redacted]@example.com"},
		{"wss://example.com:8443/ws", "wss://example.com:8443/ws"},
		{"wss://example.com/ws?KEY=1", "wss://example.com/ws?[redacted]"},
		{"wss://a:b@example.com/ws?KEY=1", "wss://a:[redacted]@example.com/ws?[redacted]"},
		{"turn:example.org?transport=udp", "turn:example.org?transport=udp"},
		{"turns:a:b:c@example.org", "turns:a:[redacted]@example.org"},
		{"sip:[2001:db8::1]", "sip:[2001:db8::1]"},
		{"", ""},
	} {
		if got := redactURI(tt.in); got != tt.want {
			t.Errorf("%q is %q, want %q", tt.in, got, tt.want)
		}
	}
}
