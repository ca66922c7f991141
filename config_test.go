package sipua

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
	"github.com/gosipua/sipua/sip/digest"
	"github.com/gosipua/sipua/transport"
)

// minimal is the least that a UA needs.
func minimal() Config {
	return Config{URI: "sip:alice@example.com", WSServers: Servers("wss://sip.example.com:8443/ws")}
}

func TestMinimalConfigIsValid(t *testing.T) {
	c := minimal()
	if err := c.validate(); err != nil {
		t.Error(err)
	}
	d := c.withDefaults()
	if err := d.validate(); err != nil {
		t.Errorf("with its defaults: %v", err)
	}
}

// fieldCase says what the tests have to know of a field of Config.
type fieldCase struct {
	json   string                      // a valid value that is not the default
	def    any                         // its default in a minimal Config; nil: the zero value
	random bool                        // its default is a random value
	bad    func(c *Config)             // sets an invalid value; nil where there is none
	set    func(c *Config)             // sets a field without a JSON key
	check  func(t *testing.T, got any) // of the default, where def does not say it
}

func seconds(s string, def time.Duration, field func(*Config) *time.Duration) fieldCase {
	return fieldCase{json: s, def: def, bad: func(c *Config) { *field(c) = -time.Second }}
}

func count(s string, def int, field func(*Config) *int) fieldCase {
	return fieldCase{json: s, def: def, bad: func(c *Config) { *field(c) = -1 }}
}

func text(s string, def any, field func(*Config) *string) fieldCase {
	return fieldCase{json: s, def: def, bad: func(c *Config) { *field(c) = "a\r\nb" }}
}

var fieldCases = map[string]fieldCase{
	"URI":               text(`"bob@example.com"`, "sip:alice@example.com", func(c *Config) *string { return &c.URI }),
	"DisplayName":       text(`"Bob"`, nil, func(c *Config) *string { return &c.DisplayName }),
	"Password":          {json: `"1234"`}, // anything goes
	"AuthorizationUser": text(`"bob"`, "alice", func(c *Config) *string { return &c.AuthorizationUser }),
	"Realm":             text(`"example.com"`, nil, func(c *Config) *string { return &c.Realm }),
	"HA1":               text(`"0123456789abcdef0123456789ABCDEF"`, nil, func(c *Config) *string { return &c.HA1 }),
	"AuthorizationJWT":  text(`"Bearer eyJhbGci.eyJz.c2ln"`, nil, func(c *Config) *string { return &c.AuthorizationJWT }),
	"Credentials": {set: func(c *Config) {
		c.Credentials = func(context.Context, digest.Challenge) (digest.Credentials, error) { return digest.Credentials{}, nil }
	}},
	"DisableMD5":                        {json: `true`},
	"PreferAuthInt":                     {json: `true`},
	"AnswerChallengesInIncomingDialogs": {json: `true`},
	"AskOnReplacement":                  {json: `true`},
	"ContactURI":                        withRandom(text(`"sip:bob@192.0.2.1;transport=ws"`, nil, func(c *Config) *string { return &c.ContactURI })),
	"ContactParams": {json: `{"pn-flag": "", "x": "y"}`, bad: func(c *Config) {
		c.ContactParams = map[string]string{"a b": "c"}
	}},
	"ContactURIParams": {json: `{"pn-provider": "fcm", "pn-prid": "a:b/c"}`, bad: func(c *Config) {
		c.ContactURIParams = map[string]string{"transport": "udp"}
	}},
	"InstanceID":   withRandom(text(`"f81d4fae-7dec-11d0-a765-00a0c91e6bf6"`, nil, func(c *Config) *string { return &c.InstanceID })),
	"ViaHost":      withRandom(text(`"client.example.com"`, nil, func(c *Config) *string { return &c.ViaHost })),
	"UserAgent":    text(`"phone/1.0"`, "sipua", func(c *Config) *string { return &c.UserAgent }),
	"InfoPackages": {json: `["infoDtmf", "g.3gpp.mid-call"]`, bad: func(c *Config) { c.InfoPackages = []string{"a b"} }},
	"ExtraHeaders": {json: `["X-Foo: bar", "P-Access-Network-Info: IEEE-802.11"]`, bad: func(c *Config) {
		c.ExtraHeaders = []sip.Field{{Name: "Via", Value: "SIP/2.0/WS x"}}
	}},
	"WSServers": {json: `["ws://other.example.com"]`, def: minimal().WSServers, bad: func(c *Config) { c.WSServers = nil }},

	"Flows": count(`2`, 1, func(c *Config) *int { return &c.Flows }),

	"UsePreloadedRoute": {json: `true`},
	"ConnectionRecoveryMinInterval": seconds(`4`, 2*time.Second, func(c *Config) *time.Duration {
		return &c.ConnectionRecoveryMinInterval
	}),
	"ConnectionRecoveryMaxInterval": seconds(`60`, 30*time.Second, func(c *Config) *time.Duration {
		return &c.ConnectionRecoveryMaxInterval
	}),
	"RecoveryLimit":     seconds(`16`, 32*time.Second, func(c *Config) *time.Duration { return &c.RecoveryLimit }),
	"FailBack":          {json: `true`},
	"ConnectTimeout":    seconds(`2.5`, 10*time.Second, func(c *Config) *time.Duration { return &c.ConnectTimeout }),
	"PingInterval":      seconds(`25`, 5*time.Second, func(c *Config) *time.Duration { return &c.PingInterval }),
	"PongTimeout":       seconds(`8`, 4*time.Second, func(c *Config) *time.Duration { return &c.PongTimeout }),
	"WriteTimeout":      seconds(`5`, 8*time.Second, func(c *Config) *time.Duration { return &c.WriteTimeout }),
	"KeepAliveInterval": seconds(`25`, 0, func(c *Config) *time.Duration { return &c.KeepAliveInterval }),
	"OptionsInterval":   seconds(`25`, 0, func(c *Config) *time.Duration { return &c.OptionsInterval }),
	"OptionsTimeout":    seconds(`8`, 4*time.Second, func(c *Config) *time.Duration { return &c.OptionsTimeout }),
	"MaxTimeouts":       {json: `3`, def: 2, bad: func(c *Config) { c.MaxTimeouts = -2 }},
	"MaxMessageSize":    count(`131072`, 65536, func(c *Config) *int { return &c.MaxMessageSize }),
	"MaxTransactions":   count(`10`, 1000, func(c *Config) *int { return &c.MaxTransactions }),
	"MaxDialogs":        count(`10`, 1000, func(c *Config) *int { return &c.MaxDialogs }),
	"MaxCalls":          count(`10`, 1024, func(c *Config) *int { return &c.MaxCalls }),
	"HackViaTCP":        {json: `true`},
	"HackIPInContact":   {json: `true`},
	"Dial": {set: func(c *Config) {
		c.Dial = func(_ context.Context, s WSServer) (WSServer, error) { return s, nil }
	}},
	"DialContext": {set: func(c *Config) {
		c.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
	}},

	"Gate": {set: func(c *Config) { c.Gate = transport.NewGate(10, 50) }},

	"Register":             {json: `false`, check: pointsAtTrue},
	"RegisterExpires":      seconds(`300`, 600*time.Second, func(c *Config) *time.Duration { return &c.RegisterExpires }),
	"RegistrarServer":      text(`"sip:registrar.example.com"`, "sip:example.com", func(c *Config) *string { return &c.RegistrarServer }),
	"RegisterFromTagTrail": text(`"-trail"`, nil, func(c *Config) *string { return &c.RegisterFromTagTrail }),

	"NoAnswerTimeout": seconds(`120`, 60*time.Second, func(c *Config) *time.Duration { return &c.NoAnswerTimeout }),
	"RingTimeout":     seconds(`90`, 180*time.Second, func(c *Config) *time.Duration { return &c.RingTimeout }),
	"MediaRecovery": {json: `"keep"`, def: session.MediaRestart, bad: func(c *Config) {
		c.MediaRecovery = 200
	}},
	"ReliableProvisionals": {json: `"required"`, def: session.ReliableSupported, bad: func(c *Config) {
		c.ReliableProvisionals = 200
	}},
	"SessionTimers": {json: `false`, check: pointsAtTrue},
	"SessionTimersRefreshMethod": {json: `"INVITE"`, def: sip.UPDATE, bad: func(c *Config) {
		c.SessionTimersRefreshMethod = sip.BYE
	}},
	"SessionTimersForceRefresher": {json: `true`},
	"SessionExpires":              seconds(`600`, 1800*time.Second, func(c *Config) *time.Duration { return &c.SessionExpires }),
	"MinSE":                       seconds(`120`, 90*time.Second, func(c *Config) *time.Duration { return &c.MinSE }),
	"AcceptAnyUser":               {json: `false`, check: pointsAtTrue},
	"KeepTel":                     {json: `true`},

	"STUNServers": {json: `["stun:stun.example.com"]`, def: []string{"stun:stun.l.google.com:19302"}, bad: func(c *Config) {
		c.STUNServers = []string{"turn:example.org"}
	}},
	"TURNServers": {json: `{"urls": "turns:example.org", "username": "u", "credential": "c"}`, bad: func(c *Config) {
		c.TURNServers = []TURNServer{{URLs: []string{"turn:example.org"}, Username: "u"}}
	}},
	"ICEGatheringTimeout": seconds(`0.5`, time.Second, func(c *Config) *time.Duration { return &c.ICEGatheringTimeout }),
	"ICERelayOnly":        {json: `true`, bad: func(c *Config) { c.ICERelayOnly = true }},

	"Media":    {set: func(c *Config) { c.Media = noMedia{} }},
	"Handler":  {set: func(c *Config) { c.Handler.Call = func(*session.Incoming) {} }},
	"TraceSIP": {json: `true`},
	"Trace":    {set: func(c *Config) { c.Trace = func(TraceEvent) {} }},
	"Logger":   {set: func(c *Config) { c.Logger = slog.Default() }, def: slog.New(slog.DiscardHandler)},
}

func withRandom(f fieldCase) fieldCase { f.random = true; return f }

func pointsAtTrue(t *testing.T, got any) {
	if b, ok := got.(*bool); !ok || b == nil || !*b {
		t.Errorf("default is %v, want a pointer at true", got)
	}
}

type noMedia struct{}

func (noMedia) NewMedia(session.MediaOptions) (session.Media, error) { return nil, net.ErrClosed }

// TestEveryField fails for a field of Config without a default, a validation, a
// JSON key or a doc comment.
func TestEveryField(t *testing.T) {
	docs := fieldDocs(t)
	typ := reflect.TypeFor[Config]()
	keys := map[string]bool{}
	for i := range typ.NumField() {
		f := typ.Field(i)
		t.Run(f.Name, func(t *testing.T) {
			fc, ok := fieldCases[f.Name]
			if !ok {
				t.Fatal("is not in fieldCases")
			}
			checkDoc(t, f, docs[f.Name])
			checkDefault(t, f, fc)
			key := f.Tag.Get("json")
			switch f.Type.Kind() {
			case reflect.Func, reflect.Interface:
				if key != "-" {
					t.Errorf("has the JSON key %q, but no JSON form", key)
				}
			}
			if key == "-" {
				checkNoKey(t, f, fc)
				return
			}
			if !regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`).MatchString(key) || keys[key] {
				t.Errorf("has the JSON key %q", key)
			}
			keys[key] = true
			checkKey(t, f, key, fc)
			checkValidation(t, f, key, fc)
		})
	}
	if len(fieldCases) != typ.NumField() {
		t.Errorf("%d cases for %d fields", len(fieldCases), typ.NumField())
	}
}

func checkDoc(t *testing.T, f reflect.StructField, doc string) {
	want := []string{`^` + f.Name + `\b`, `(?s)\b(Default|Mandatory)\b`, `(?s)\bFrom\s+(JsSIP|SIP\.js|WebRTC|sipua|RFC|\[net/http)`}
	switch f.Type {
	case reflect.TypeFor[time.Duration]():
		want = append(want, `seconds`, `Default \d+`)
	case reflect.TypeFor[int]():
		want = append(want, `bytes|A\s+number`, `Default \d+`)
	case reflect.TypeFor[bool](), reflect.TypeFor[*bool]():
		want = append(want, `Default\s+(true|false)`)
	}
	for _, w := range want {
		if !regexp.MustCompile(w).MatchString(doc) {
			t.Errorf("doc comment has no %q:\n%s", w, doc)
		}
	}
}

func checkDefault(t *testing.T, f reflect.StructField, fc fieldCase) {
	c := minimal()
	got := reflect.ValueOf(c.withDefaults()).FieldByIndex(f.Index)
	switch {
	case fc.check != nil:
		fc.check(t, got.Interface())
	case fc.random:
		again := reflect.ValueOf(c.withDefaults()).FieldByIndex(f.Index)
		if got.IsZero() || got.Equal(again) {
			t.Errorf("default is %v, then %v, want random values", got, again)
		}
	case fc.def == nil:
		if !got.IsZero() {
			t.Errorf("default is %v, want none", got)
		}
	case !reflect.DeepEqual(got.Interface(), fc.def):
		t.Errorf("default is %v, want %v", got, fc.def)
	}
}

func checkNoKey(t *testing.T, f reflect.StructField, fc fieldCase) {
	c := minimal()
	fc.set(&c)
	if reflect.ValueOf(c).FieldByIndex(f.Index).IsZero() {
		t.Fatal("fieldCases does not set it")
	}
	if err := c.validate(); err != nil {
		t.Error(err)
	}
	d := c.withDefaults()
	if reflect.ValueOf(d).FieldByIndex(f.Index).IsZero() {
		t.Error("withDefaults loses it")
	}
	without, _ := json.Marshal(minimal())
	if with, err := json.Marshal(c); err != nil || string(with) != string(without) {
		t.Errorf("JSON is %s, %v, want %s", with, err, without)
	}
}

func checkKey(t *testing.T, f reflect.StructField, key string, fc fieldCase) {
	c := minimal()
	if err := json.Unmarshal([]byte(`{"`+key+`": `+fc.json+`}`), &c); err != nil {
		t.Fatal(err)
	}
	field := reflect.ValueOf(c).FieldByIndex(f.Index)
	if field.IsZero() || reflect.DeepEqual(field.Interface(), fc.def) {
		t.Fatalf("%s makes it %v: choose another value", fc.json, field)
	}
	switch key { // what they need
	case "ha1":
		c.Realm = "example.com"
	case "ice_relay_only":
		c.Media = noMedia{}
	case "flows":
		c.WSServers = Servers("ws://a.example.com", "ws://b.example.com")
	}
	if err := c.validate(); err != nil {
		t.Errorf("%s is refused: %v", fc.json, err)
	}
	d := c.withDefaults()
	if !reflect.DeepEqual(reflect.ValueOf(d).FieldByIndex(f.Index).Interface(), field.Interface()) {
		t.Errorf("withDefaults changes it")
	}
	out, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var back Config
	if err := json.Unmarshal(out, &back); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	switch got := reflect.ValueOf(back).FieldByIndex(f.Index); {
	case f.Tag.Get("secret") != "":
		if !got.IsZero() {
			t.Errorf("the secret is in %s", out)
		}
	case key == "turn_servers":
		if back.TURNServers[0].Credential != "" {
			t.Errorf("the secret is in %s", out)
		}
	case !reflect.DeepEqual(got.Interface(), field.Interface()):
		t.Errorf("%s makes it %v, want %v", out, got, field)
	}
	if err := json.Unmarshal([]byte(`{"`+key+`": null}`), &c); err != nil || !reflect.ValueOf(c).FieldByIndex(f.Index).IsZero() {
		t.Errorf("null does not mean the default: %v", err)
	}
}

func checkValidation(t *testing.T, f reflect.StructField, key string, fc fieldCase) {
	if fc.bad == nil {
		if k := f.Type.Kind(); k != reflect.Bool && k != reflect.Pointer && f.Name != "Password" {
			t.Error("has no bad value in fieldCases")
		}
		return
	}
	c := minimal()
	fc.bad(&c)
	if fields := fieldsOf(c.validate()); !slices.Contains(fields, key) {
		t.Errorf("a bad value is reported for %q", fields)
	}
}

// fieldDocs returns the doc comments of Config's fields.
func fieldDocs(t *testing.T) map[string]string {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	docs := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.Name == "Config" {
			for _, f := range spec.Type.(*ast.StructType).Fields.List {
				docs[f.Names[0].Name] = f.Doc.Text()
			}
		}
		return true
	})
	return docs
}

// fieldsOf are the keys that err names.
func fieldsOf(err error) []string {
	var fields []string
	for _, e := range unjoin(err) {
		var ce *ConfigError
		if errors.As(e, &ce) {
			fields = append(fields, ce.Field)
		}
	}
	return fields
}

// TestClone changes every part of a full Config, and its clone stays.
func TestClone(t *testing.T) {
	original, want := full(t), full(t)
	clone := original.Clone()
	if diff := gocmp.Diff(want.contents(t), clone.contents(t)); diff != "" {
		t.Errorf("the clone differs: %s", diff)
	}
	notShared(t, "Config", reflect.ValueOf(original), reflect.ValueOf(clone))
	if c := (Config{STUNServers: []string{}}).Clone(); c.STUNServers == nil {
		t.Error("no STUN servers became the default ones")
	}
	if c := (Config{}).Clone(); !reflect.DeepEqual(c, Config{}) {
		t.Errorf("the clone of nothing is %#v", c)
	}
}

// full is a Config with something in every field that has parts.
func full(t *testing.T) Config {
	c := minimal()
	for name, fc := range fieldCases {
		f, _ := reflect.TypeFor[Config]().FieldByName(name)
		if fc.set != nil {
			fc.set(&c)
		} else if err := json.Unmarshal([]byte(`{"`+f.Tag.Get("json")+`": `+fc.json+`}`), &c); err != nil {
			t.Fatal(err)
		}
	}
	c.WSServers = []WSServer{{URL: "ws://a.example.com", Header: http.Header{"X-A": {"b"}}, TLSConfig: &tls.Config{ServerName: "x"}}}
	return c
}

// contents is what a Config holds besides funcs and TLS configurations.
func (c Config) contents(t *testing.T) map[string]any {
	all := map[string]any{"header": c.WSServers[0].Header, "tls": c.WSServers[0].TLSConfig.ServerName}
	for key, p := range c.params() {
		if key != "ws_servers" {
			all[key] = p.value.Interface()
		}
	}
	return all
}

// notShared reports slices, maps and pointers that a and b have in common.
func notShared(t *testing.T, path string, a, b reflect.Value) {
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			switch name := a.Type().Field(i).Name; name {
			case "Logger", "Jar", "Media", "Gate": // are not ours to copy
			case "TLSConfig":
				if a.Field(i).Pointer() == b.Field(i).Pointer() {
					t.Errorf("%s.TLSConfig is shared", path)
				}
			default:
				notShared(t, path+"."+name, a.Field(i), b.Field(i))
			}
		}
	case reflect.Slice, reflect.Map, reflect.Pointer:
		if a.IsNil() || a.Kind() != reflect.Pointer && a.Len() == 0 {
			t.Errorf("%s is empty: the test has to fill it", path)
			return
		}
		if a.Pointer() == b.Pointer() {
			t.Errorf("%s is shared", path)
		}
		if a.Kind() == reflect.Slice {
			notShared(t, path+"[0]", a.Index(0), b.Index(0))
		}
		if a.Kind() == reflect.Map {
			for _, k := range a.MapKeys() {
				if v := a.MapIndex(k); v.Kind() == reflect.Slice {
					notShared(t, path+"["+k.String()+"]", v, b.MapIndex(k))
				}
			}
		}
	}
}

func TestDerived(t *testing.T) {
	c := Config{URI: "al%20ice@Example.com:5080;transport=ws", InstanceID: "urn:uuid:F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6"}
	d := c.withDefaults()
	for _, tt := range []struct{ what, got, want string }{
		{"user for authentication", d.AuthorizationUser, "al ice"},
		{"domain", d.domain().String(), "sip:example.com:5080"},
		{"registrar", d.registrar().String(), "sip:example.com:5080"},
		{"instance", d.instanceURN(), "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"},
		{"user of the AOR", d.aor().User, "al%20ice"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s is %q, want %q", tt.what, tt.got, tt.want)
		}
	}
	for _, tt := range []struct {
		what          string
		c             Config
		host, contact string
	}{
		{"defaults", Config{}, `[a-z2-7]{12}\.invalid`, `sip:[a-z2-7]{8}@HOST;transport=ws`},
		{"via_host", Config{ViaHost: "[2001:db8::1]"}, `\[2001:db8::1\]`, `sip:[a-z2-7]{8}@HOST;transport=ws`},
		{"contact_uri", Config{ContactURI: "bob@192.0.2.9:5060;transport=ws"}, `192\.0\.2\.9`, `bob@192\.0\.2\.9:5060;transport=ws`},
		{"both", Config{ViaHost: "a.example", ContactURI: "sip:bob@b.example"}, `a\.example`, `sip:bob@b\.example`},
		{"hack_ip_in_contact", Config{HackIPInContact: true}, `192\.0\.2\.[0-9]{1,3}`, `sip:[a-z2-7]{8}@HOST;transport=ws`},
	} {
		tt.c.URI = minimal().URI
		d := tt.c.withDefaults()
		if !regexp.MustCompile("^" + tt.host + "$").MatchString(d.ViaHost) {
			t.Errorf("%s: host %q, want %s", tt.what, d.ViaHost, tt.host)
		}
		want := "^" + strings.ReplaceAll(tt.contact, "HOST", tt.host) + "$"
		if !regexp.MustCompile(want).MatchString(d.ContactURI) || !strings.HasSuffix(d.ContactURI, d.contact().String()[len("sip:"):]) {
			t.Errorf("%s: contact %q, want %s", tt.what, d.ContactURI, want)
		}
	}
}

// TestHackIPInContact: the address is a usable one of 192.0.2.0/24, and not always the same.
func TestHackIPInContact(t *testing.T) {
	c := minimal()
	c.HackIPInContact = true
	seen := map[string]bool{}
	for range 64 {
		d := c.withDefaults()
		var last int
		if _, err := fmt.Sscanf(d.ViaHost, "192.0.2.%d", &last); err != nil || last < 1 || last > 254 {
			t.Fatalf("address %q", d.ViaHost)
		}
		if d.contact().Host != d.ViaHost {
			t.Fatalf("Contact has %s, Via %s", d.contact().Host, d.ViaHost)
		}
		seen[d.ViaHost] = true
	}
	if len(seen) < 2 {
		t.Errorf("64 UAs have the one address %v", seen)
	}
}

// sent is a flow that keeps what is sent.
type sent chan []byte

func (sent) ID() uint64            { return 1 }
func (s sent) Send(b []byte) error { s <- bytes.Clone(b); return nil }

// TestPreloadedRoute: the Route of a server's URL, as the specification has it,
// is in REGISTER and in other initial requests.
func TestPreloadedRoute(t *testing.T) {
	for _, tt := range []struct{ url, route string }{
		{"ws://example.org/sip-ws", "<sip:example.org;lr;transport=ws>"},
		{"wss://example.org:8443", "<sip:example.org:8443;lr;transport=ws>"},
		{"wss://[2001:db8::1]:443/?a=b", "<sip:[2001:db8::1]:443;lr;transport=ws>"},
	} {
		for _, wanted := range []bool{true, false} {
			routes := routesOver(t, tt.url, wanted)
			want := map[sip.Method]string{sip.REGISTER: tt.route, sip.OPTIONS: tt.route}
			if !wanted {
				want = map[sip.Method]string{sip.REGISTER: "", sip.OPTIONS: ""}
			}
			if diff := gocmp.Diff(want, routes); diff != "" {
				t.Errorf("%s: %s", tt.url, diff)
			}
		}
	}
}

// routesOver has a UA send a REGISTER and an OPTIONS over a flow to url, and
// returns the Route of each.
func routesOver(t *testing.T, url string, preloaded bool) map[sip.Method]string {
	routes := map[sip.Method]string{}
	synctest.Test(t, func(t *testing.T) {
		c := Config{URI: "sip:alice@example.org", WSServers: Servers(url), UsePreloadedRoute: preloaded}
		ua, err := NewUA(c)
		if err != nil {
			t.Fatal(err)
		}
		s := c.WSServers[0]
		host, port := s.HostPort()
		flow := make(sent, 16)
		ua.core.FlowUp(flow, core.FlowInfo{Server: s.URL, Secure: s.Secure(), Host: host, Port: port})
		go ua.SendOptions(t.Context(), "bob", nil) // ends with Close
		synctest.Wait()
		for len(flow) > 0 {
			m, err := sip.Parse(<-flow)
			if err != nil {
				t.Fatal(err)
			}
			routes[m.CSeq().Method] = m.Header("Route")
		}
		ua.Close()
	})
	return routes
}

// TestSessionExpiresDefault: a longer minimum lengthens what is asked for.
func TestSessionExpiresDefault(t *testing.T) {
	c := minimal()
	c.MinSE = time.Hour
	if d := c.withDefaults(); d.SessionExpires != time.Hour || c.validate() != nil {
		t.Errorf("%v, %v", d.SessionExpires, c.validate())
	}
}
