package sipua

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/gosipua/sipua/sip"
)

// examples are those of the specification, in its order, as a Go program has them.
var examples = []Config{
	{WSServers: Servers("ws://sip-ws.example.com"), URI: "sip:alice@example.com", Password: "superpassword"},
	{URI: "sip:alice@example.com"},
	{WSServers: Servers("ws://sip-ws.example.com")},
	{WSServers: Servers("wss://sip-ws.example.com:8443/sip?KEY=1234")},
	{WSServers: Servers("ws://sip-ws-1.example.com", "ws://sip-ws-2.example.com")},
	{WSServers: []WSServer{
		{URL: "ws://sip-ws-1.example.com", Weight: 10},
		{URL: "ws://sip-ws-2.example.com", Weight: 1},
	}},
	{DisplayName: "Alice ¶€ĸøĸø"},
	{Password: "1234"},
	{AuthorizationUser: "alice123"},
	{Register: new(bool)},
	{RegisterExpires: 300 * time.Second},
	{RegistrarServer: "sip:registrar.mydomain.com"},
	{NoAnswerTimeout: 120 * time.Second},
	{TraceSIP: true},
	{STUNServers: []string{"stun:example.org"}},
	{STUNServers: []string{"stun:example.org", "stuns:example.org"}},
	{STUNServers: []string{"stun:example.org:8000"}},
	{TURNServers: []TURNServer{{URLs: []string{"turn:example.org"}, Username: "turnuser", Credential: "turnpassword"}}},
	{TURNServers: []TURNServer{{URLs: []string{"turn:example.org", "turn:example2.org"}, Username: "turnuser", Credential: "turnpassword"}}},
	{TURNServers: []TURNServer{{URLs: []string{"turn:example.org"}, Username: "turnuser", Credential: "turnpassword"}}},
	{TURNServers: []TURNServer{
		{URLs: []string{"turn:example.org"}, Username: "turnuser", Credential: "turnpassword"},
		{URLs: []string{"turn:example.org?transport=udp"}, Username: "turnuser2", Credential: "turnpassword2"},
	}},
	{WSServers: Servers("ws://example.org/sip-ws"), UsePreloadedRoute: true},
	{WSServers: Servers("wss://example.org:8443"), UsePreloadedRoute: true},
	{ConnectionRecoveryMinInterval: 4 * time.Second},
	{ConnectionRecoveryMaxInterval: 60 * time.Second},
	{HackViaTCP: true},
	{HackIPInContact: true},
}

// TestSpecificationExamples reads each example of the specification as it stands
// there, and finds the Go form of the same, which is valid and survives JSON.
func TestSpecificationExamples(t *testing.T) {
	text, err := os.ReadFile("testdata/config/examples.txt")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(strings.TrimSpace(string(text)), "\n\n")
	if len(blocks) != len(examples) {
		t.Fatalf("%d examples in the specification, %d here", len(blocks), len(examples))
	}
	for i, want := range examples {
		block := blocks[i]
		var got Config
		if err := json.Unmarshal([]byte(jsonOf(block)), &got); err != nil {
			t.Errorf("%s\nas JSON %s\n%v", block, jsonOf(block), err)
			continue
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s\nis\n%#v\nwant\n%#v", block, got, want)
		}
		complete := want
		complete.URI = cmp.Or(complete.URI, minimal().URI)
		if complete.WSServers == nil {
			complete.WSServers = minimal().WSServers
		}
		if err := complete.validate(); err != nil {
			t.Errorf("%s\nis refused: %v", block, err)
		}
	}
}

// jsonOf turns what stands in a JavaScript program into JSON: quotes around
// keys, double quotes, no comma at the end of a list, a comma between parameters.
func jsonOf(js string) string {
	js = strings.TrimSuffix(strings.TrimPrefix(js, "var configuration = {"), "};")
	lexeme := regexp.MustCompile(`"[^"]*"|'[^']*'|[A-Za-z_]+\s*:|[][{},]|[^][{},"'\s]+`)
	var out []string
	depth := 0
	for _, l := range lexeme.FindAllString(js, -1) {
		last := ""
		if len(out) > 0 {
			last = out[len(out)-1]
		}
		switch {
		case l[0] == '\'':
			l = `"` + strings.Trim(l, "'") + `"`
		case strings.HasSuffix(l, ":") && len(l) > 1:
			if depth == 0 && last != "" && last != "," {
				out = append(out, ",")
			}
			l = `"` + strings.TrimRight(l, ": ") + `":`
		case l == "[" || l == "{":
			depth++
		case l == "]" || l == "}":
			depth--
			if last == "," {
				out = out[:len(out)-1]
			}
		}
		out = append(out, l)
	}
	return "{" + strings.Join(out, " ") + "}"
}

// parse reads JSON over a minimal Config, where parameters of data replace those.
func parse(data string) (Config, error) {
	c := minimal()
	err := json.Unmarshal([]byte(data), &c)
	return c, err
}

func TestJSONForms(t *testing.T) {
	turn := TURNServer{URLs: []string{"turn:a.example"}, Username: "u", Credential: "c"}
	for _, tt := range []struct {
		name, json string
		want       func(c *Config)
	}{
		{"server in an object", `{"ws_servers": {"ws_uri": "ws://a"}}`, func(c *Config) { c.WSServers = Servers("ws://a") }},
		{"uri for ws_uri", `{"ws_servers": [{"uri": "ws://a", "weight": 3}]}`, func(c *Config) {
			c.WSServers = []WSServer{{URL: "ws://a", Weight: 3}}
		}},
		{"strings and objects", `{"ws_servers": ["ws://a", {"ws_uri": "ws://b", "weight": 1}, {"uri": "ws://c"}]}`, func(c *Config) {
			c.WSServers = []WSServer{{URL: "ws://a"}, {URL: "ws://b", Weight: 1}, {URL: "ws://c"}}
		}},
		{"header fields and Origin", `{"ws_servers": {"uri": "ws://a", "origin": "https://b", "headers": {"x-b": "2", "Cookie": "k=v"}}}`, func(c *Config) {
			c.WSServers = []WSServer{{URL: "ws://a", Origin: "https://b", Header: http.Header{"X-B": {"2"}, "Cookie": {"k=v"}}}}
		}},
		{"STUN: null", `{"stun_servers": null}`, func(c *Config) { c.STUNServers = nil }},
		{"STUN: none", `{"stun_servers": []}`, func(c *Config) { c.STUNServers = []string{} }},
		{"STUN: one", `{"stun_servers": "stuns:a.example:5350"}`, func(c *Config) { c.STUNServers = []string{"stuns:a.example:5350"} }},
		{"TURN: null", `{"turn_servers": null}`, func(c *Config) { c.TURNServers = nil }},
		{"TURN: none", `{"turn_servers": []}`, func(c *Config) { c.TURNServers = nil }},
		{"TURN: list of urls in a list", `{"turn_servers": [{"urls": ["turn:a.example", "turns:a.example"], "username": "u", "credential": "c"}]}`, func(c *Config) {
			two := turn
			two.URLs = []string{"turn:a.example", "turns:a.example"}
			c.TURNServers = []TURNServer{two}
		}},
		{"fraction of a second", `{"connection_recovery_min_interval": 0.25, "connection_recovery_max_interval": 1.5e1}`, func(c *Config) {
			c.ConnectionRecoveryMinInterval, c.ConnectionRecoveryMaxInterval = 250*time.Millisecond, 15*time.Second
		}},
		{"whole number with a point", `{"register_expires": 300.0}`, func(c *Config) { c.RegisterExpires = 5 * time.Minute }},
		{"no keep-alive", `{"keep_alive_interval": 0}`, func(c *Config) {}},
		{"no OPTIONS", `{"options_interval": 0}`, func(c *Config) {}},
		{"any number of time-outs", `{"max_timeouts": -1}`, func(c *Config) { c.MaxTimeouts = -1 }},
		{"method in lower case", `{"session_timers_refresh_method": "invite"}`, func(c *Config) { c.SessionTimersRefreshMethod = sip.INVITE }},
		{"one extra header", `{"extra_headers": "X-A :  b: c "}`, func(c *Config) { c.ExtraHeaders = []sip.Field{{Name: "X-A", Value: "b: c"}} }},
		{"empty list and object", `{"extra_headers": [], "extra_contact_params": {}}`, func(c *Config) {}},
		{"parameter without value", `{"extra_contact_params": {"a": null, "b": ""}}`, func(c *Config) {
			c.ContactParams = map[string]string{"a": "", "b": ""}
		}},
		{"empty string", `{"display_name": ""}`, func(c *Config) {}},
		{"nothing", `{}`, func(c *Config) {}},
		{"null", `null`, func(c *Config) {}},
	} {
		got, err := parse(tt.json)
		want := minimal()
		tt.want(&want)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s is\n%#v, %v, want\n%#v", tt.name, tt.json, got, err, want)
		}
		if err := got.validate(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestJSONSTUNServersNilAndEmpty(t *testing.T) {
	for _, tt := range []struct {
		list []string
		json string
		used int
	}{
		{nil, `{}`, 1},
		{[]string{}, `{"stun_servers":[]}`, 0},
	} {
		c := Config{STUNServers: tt.list}
		out, err := json.Marshal(c)
		if string(out) != tt.json || err != nil {
			t.Errorf("%#v is written %s, %v, want %s", tt.list, out, err, tt.json)
		}
		var back Config
		if err := json.Unmarshal(out, &back); err != nil || !reflect.DeepEqual(back.STUNServers, tt.list) {
			t.Errorf("%s is read %#v, %v, want %#v", out, back.STUNServers, err, tt.list)
		}
		back.URI = minimal().URI
		if n := len(back.withDefaults().STUNServers); n != tt.used {
			t.Errorf("%s uses %d servers, want %d", out, n, tt.used)
		}
	}
}

// TestJSONErrors reads what has the wrong form: the key is named, the Config stays.
func TestJSONErrors(t *testing.T) {
	for _, tt := range []struct{ json, field, reason string }{
		{`[]`, "", "JSON object"},
		{`"ws://a"`, "", "JSON object"},
		{`{"wsservers": "ws://a"}`, "wsservers", "not a parameter"},
		{`{"URI": "sip:a@b"}`, "URI", "not a parameter"},
		{`{"sockets": [{}]}`, "sockets", "ws_servers"},
		{`{"uri": 1}`, "uri", "must be a string"},
		{`{"uri": {"user": "alice"}}`, "uri", "must be a string"},
		{`{"display_name": ["a"]}`, "display_name", "must be a string"},
		{`{"password": 12345678}`, "password", "must be a string"},
		{`{"register": "false"}`, "register", "true or false"},
		{`{"register": 0}`, "register", "true or false"},
		{`{"trace_sip": "yes"}`, "trace_sip", "true or false"},
		{`{"register_expires": "300"}`, "register_expires", "number of seconds"},
		{`{"register_expires": 300.5}`, "register_expires", "whole number of seconds"},
		{`{"register_expires": 0}`, "register_expires", "greater than 0"},
		{`{"register_expires": 1e300}`, "register_expires", "at most"},
		{`{"session_expires": 1800.5}`, "session_expires", "whole number of seconds"},
		{`{"min_se": 0}`, "min_se", "greater than 0"},
		{`{"no_answer_timeout": 0}`, "no_answer_timeout", "greater than 0"},
		{`{"no_answer_timeout": 1.5}`, "no_answer_timeout", "whole number of seconds"},
		{`{"no_answer_timeout": true}`, "no_answer_timeout", "number of seconds"},
		{`{"connection_recovery_min_interval": "2s"}`, "connection_recovery_min_interval", "number of seconds"},
		{`{"connection_recovery_min_interval": 0}`, "connection_recovery_min_interval", "greater than 0"},
		{`{"connection_recovery_max_interval": 1e-10}`, "connection_recovery_max_interval", "nanosecond"},
		{`{"max_message_size": 1500.5}`, "max_message_size", "whole number"},
		{`{"max_calls": 0}`, "max_calls", "greater than 0"},
		{`{"ws_servers": 1}`, "ws_servers", "must be a string or an object"},
		{`{"ws_servers": ["ws://a", 1]}`, "ws_servers", "(entry 2): must be a string or an object"},
		{`{"ws_servers": [null]}`, "ws_servers", "(entry 1): must be a string or an object"},
		{`{"ws_servers": [["ws://a"]]}`, "ws_servers", "(entry 1): must be a string or an object"},
		{`{"ws_servers": {"weight": 1}}`, "ws_servers", "must be a string or an object"},
		{`{"ws_servers": {"ws_uri": "ws://a", "uri": "ws://a"}}`, "ws_servers", "uri means the same as ws_uri"},
		{`{"ws_servers": {"ws_uri": "ws://a", "wieght": 1}}`, "ws_servers", `unknown member "wieght"`},
		{`{"ws_servers": {"ws_uri": "ws://a", "weight": "10"}}`, "ws_servers", "weight must be a whole number"},
		{`{"ws_servers": {"ws_uri": "ws://a", "weight": 1.5}}`, "ws_servers", "weight must be a whole number"},
		{`{"ws_servers": {"ws_uri": "ws://a", "headers": ["a"]}}`, "ws_servers", "headers must be an object of strings"},
		{`{"stun_servers": {"urls": "stun:a"}}`, "stun_servers", "string or a list of strings"},
		{`{"stun_servers": ["stun:a", null]}`, "stun_servers", "string or a list of strings"},
		{`{"turn_servers": "turn:a"}`, "turn_servers", "must be an object {urls"},
		{`{"turn_servers": ["turn:a"]}`, "turn_servers", "(entry 1): must be an object {urls"},
		{`{"turn_servers": {"url": "turn:a"}}`, "turn_servers", `unknown member "url"`},
		{`{"turn_servers": {"urls": "turn:a", "credential": 12345678}}`, "turn_servers", "credential must be a string"},
		{`{"extra_headers": {"X-A": "b"}}`, "extra_headers", `"Name: value"`},
		{`{"extra_headers": ["X-A"]}`, "extra_headers", `(entry 1): must be a string "Name: value"`},
		{`{"extra_contact_params": ["a"]}`, "extra_contact_params", "object of strings"},
		{`{"extra_contact_params": {"a": 1}}`, "extra_contact_params", "object of strings"},
		{`{"session_timers_refresh_method": 1}`, "session_timers_refresh_method", "must be a string"},
	} {
		got, err := parse(tt.json)
		var ce *ConfigError
		if !errors.As(err, &ce) || ce.Field != tt.field || !strings.Contains(ce.Reason, tt.reason) {
			t.Errorf("%s: %v, want %q and %q", tt.json, err, tt.field, tt.reason)
			continue
		}
		if !strings.Contains(err.Error(), tt.field) || strings.Contains(err.Error(), "12345678") {
			t.Errorf("%s: says %q", tt.json, err)
		}
		if len(unjoin(err)) != 1 {
			t.Errorf("%s: %d problems, want 1: %v", tt.json, len(unjoin(err)), err)
		}
		if !reflect.DeepEqual(got, minimal()) {
			t.Errorf("%s: changed the Config to %v", tt.json, got)
		}
	}
}

func TestJSONAllErrorsAtOnce(t *testing.T) {
	_, err := parse(`{"zebra": 1, "uri": 1, "aardvark": 2, "register": 3, "ws_servers": "ws://a"}`)
	if diff := gocmp.Diff([]string{"uri", "register", "aardvark", "zebra"}, fieldsOf(err)); diff != "" {
		t.Error(diff)
	}
}

func TestJSONFraction(t *testing.T) {
	c := Config{NoAnswerTimeout: 1500 * time.Millisecond}
	out, err := json.Marshal(c)
	var ce *ConfigError
	if !errors.As(err, &ce) || ce.Field != "no_answer_timeout" {
		t.Errorf("%s, %v, want an error, for JSON has whole seconds only", out, err)
	}
	for _, d := range []time.Duration{1, 999999999, 1e9 + 1, 4294967295*time.Second + 250*time.Millisecond} {
		out, err := json.Marshal(Config{RingTimeout: d})
		var back Config
		if err != nil || json.Unmarshal(out, &back) != nil || back.RingTimeout != d {
			t.Errorf("%d is written %s, %v and read %d", d, out, err, back.RingTimeout)
		}
	}
}

// FuzzConfigJSON: what can be read never panics, and what is valid besides is
// read again the same from what MarshalJSON writes, but for the secrets.
func FuzzConfigJSON(f *testing.F) {
	text, err := os.ReadFile("testdata/config/examples.txt")
	if err != nil {
		f.Fatal(err)
	}
	for block := range strings.SplitSeq(string(text), "\n\n") {
		f.Add([]byte(jsonOf(block)))
	}
	for i := range reflect.TypeFor[Config]().NumField() {
		field := reflect.TypeFor[Config]().Field(i)
		for _, value := range []string{fieldCases[field.Name].json, `"-a\u0000"`, `[{}]`, `-1.5e9`, `{"a": ""}`, `null`} {
			f.Add([]byte(`{"` + field.Tag.Get("json") + `": ` + value + `}`))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse(string(data))
		if err != nil {
			if !reflect.DeepEqual(c, minimal()) {
				t.Fatalf("%v, yet %v", err, c)
			}
			return
		}
		_ = c.String()
		if c.validate() != nil {
			return
		}
		if d := c.withDefaults(); !c.HackIPInContact {
			if err := d.validate(); err != nil {
				t.Fatalf("with its defaults: %v", err)
			}
		}
		first, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var back Config
		if err := json.Unmarshal(first, &back); err != nil {
			t.Fatalf("%s: %v", first, err)
		}
		if want := withoutSecrets(c); !reflect.DeepEqual(back, want) {
			t.Fatalf("%s is read\n%#v, want\n%#v", first, back, want)
		}
		if second, err := json.Marshal(back); err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%s, then %s, %v", first, second, err)
		}
	})
}

// withoutSecrets is what is left of c after a way through JSON.
func withoutSecrets(c Config) Config {
	c = c.Clone()
	c.Password, c.HA1, c.AuthorizationJWT = "", "", ""
	for i := range c.WSServers {
		c.WSServers[i].Header = nil
	}
	for i := range c.TURNServers {
		c.TURNServers[i].Credential = ""
	}
	return c
}
