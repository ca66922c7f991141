//go:build interop

package interop_test

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"
)

// sipDomain is the domain and digest realm of every Kamailio here; it is not in any DNS.
const sipDomain = "sip.test"

// users are the accounts of every Kamailio here.
var users = []string{"alice", "bob", "carol", "dave"}

const passwordPrefix = "secret-"

// crowdUsers are further accounts, as a regular expression; crowdUser names one.
const crowdUsers = "crowd[0-9]+"

func crowdUser(n int) string { return fmt.Sprintf("crowd%d", n) }

// password is the password of one of users.
func password(user string) string { return passwordPrefix + user }

// aor is the address of one of users, or of any other name at sipDomain. sip:st486@sip.test is answered with that
// status at once, and so any from 300 to 699; 302 redirects to bob, 503 has a Retry-After.
func aor(user string) string { return "sip:" + user + "@" + sipDomain }

// kamailioOptions change what the server demands or offers. The zero value is a server as most are: digest MD5,
// GRUU and outbound offered, any expiry from one second to an hour granted as asked.
type kamailioOptions struct {
	MinExpires          int    // seconds; a REGISTER that asks for less is answered 423
	MaxExpires          int    // seconds; more than that is not granted. 0: 3600
	NonceExpire         int    // seconds until a nonce is stale. 0: 300
	Algorithm           string // of the digest: MD5 or SHA-256. "": MD5
	RefuseWrongPassword bool   // a wrong password is answered 403 instead of a new challenge
	NoGRUU              bool   // no gruu in the answer to REGISTER
	NoOutbound          bool   // no RFC 5626: no Flow-Timer, no flow token in Record-Route
	FlowTimer           int    // seconds in Flow-Timer; from 100 on, 5.6.3 ends the field with CR NUL. 0: 25
	PingAfter           int    // seconds of silence until the server sends a WebSocket ping. 0: 30
	Address             string // of the server. "": 127.0.0.1
	Crowd               bool   // the accounts of a soak are known as well, see crowdUser
	UDPPort             int    // for sipp, which is not asked for a password, and for Sibling. 0: any
	Sibling             int    // port of UDP of another server, where a user is looked for who is not registered here
}

// kamailioConfig is what kamailio.cfg.tmpl is filled with.
type kamailioConfig struct {
	kamailioOptions
	WSPort, WSSPort    int
	Certificate, Key   string
	Domain             string
	Users              string // alternatives of a regular expression
	PasswordPrefix     string
	Instance           string // what /health answers, so that no other server is taken for this one
	ConnectionLifetime int    // seconds without a byte until a connection is closed
	GRUU, Outbound     bool
}

//go:embed kamailio.cfg.tmpl
var kamailioTemplate string

// kamailio is a registrar and proxy for WebSocket clients. It keeps its ports when it is stopped and started again.
type kamailio struct {
	WS  string // URL of the server over plain WebSocket
	WSS string // URL of the server over TLS, with the certificate of sharedCertificate
	UDP string // address of the server for sipp

	dir      string
	http     string
	instance string
	judged   int      // bytes of the log that malformed has read
	proc     *process // nil while stopped
}

// startKamailio starts a server of the test's own. When the test ends it is killed, its log is shown if the test
// failed, and the test fails if Kamailio has found a message malformed or could not parse one.
func startKamailio(t testing.TB, opts kamailioOptions) *kamailio {
	t.Helper()
	need(t, "kamailio")
	cert := sharedCertificate(t)
	opts = opts.withDefaults()
	ws, wss := freePort(t), freePort(t)
	if opts.UDPPort == 0 {
		opts.UDPPort = freePort(t)
	}
	k := &kamailio{
		WS:       fmt.Sprintf("ws://%s:%d", opts.Address, ws),
		WSS:      fmt.Sprintf("wss://%s:%d", opts.Address, wss),
		UDP:      fmt.Sprintf("%s:%d", opts.Address, opts.UDPPort),
		dir:      t.TempDir(),
		http:     fmt.Sprintf("http://%s:%d", opts.Address, ws),
		instance: fmt.Sprintf("kamailio-%d-%d", os.Getpid(), ws),
	}
	accounts := users
	if opts.Crowd {
		accounts = append(slices.Clip(users), crowdUsers)
	}
	k.configure(t, kamailioConfig{
		kamailioOptions: opts,
		WSPort:          ws, WSSPort: wss,
		Certificate: cert.certFile, Key: cert.keyFile,
		Domain: sipDomain, Users: strings.Join(accounts, "|"), PasswordPrefix: passwordPrefix,
		Instance: k.instance, ConnectionLifetime: 130,
		GRUU: !opts.NoGRUU, Outbound: !opts.NoOutbound,
	})
	t.Cleanup(func() {
		if k.proc != nil {
			k.kill(t) // 5.6.3 hangs now and then when it is to end in order
		}
		for _, line := range k.malformed(t) {
			t.Errorf("Kamailio: %s", line)
		}
		showLog(t, "Kamailio "+k.WS, k.logFile())
	})
	k.start(t)
	return k
}

func (o kamailioOptions) withDefaults() kamailioOptions {
	for _, f := range []struct {
		field *int
		value int
	}{{&o.MaxExpires, 3600}, {&o.NonceExpire, 300}, {&o.FlowTimer, 25}, {&o.PingAfter, 30}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	if o.Algorithm == "" {
		o.Algorithm = "MD5"
	}
	if o.Address == "" {
		o.Address = "127.0.0.1"
	}
	return o
}

func (k *kamailio) configure(t testing.TB, c kamailioConfig) {
	t.Helper()
	tmpl, err := template.New("kamailio.cfg").Parse(kamailioTemplate)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := tmpl.Execute(&text, c); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(k.configFile(), text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (k *kamailio) configFile() string { return filepath.Join(k.dir, "kamailio.cfg") }
func (k *kamailio) logFile() string    { return filepath.Join(k.dir, "kamailio.log") }

// start starts the server on its ports and waits until it answers there.
func (k *kamailio) start(t testing.TB) {
	t.Helper()
	cmd := exec.Command(need(t, "kamailio"), "-DD", "-E", "-f", k.configFile(), "-Y", k.dir, "-w", k.dir, "-m", "64", "-M", "16")
	proc, err := startProcess("kamailio", k.logFile(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	k.proc = proc
	if err := proc.waitReady(k.health); err != nil {
		t.Fatal(err)
	}
}

func (k *kamailio) health() error {
	body, err := fetch(http.MethodGet, k.http+"/health", nil)
	if err == nil && string(body) != k.instance {
		return fmt.Errorf("health is %q, want %q", body, k.instance)
	}
	return err
}

// stop ends the server in order, or by force where 5.6.3 hangs in that.
func (k *kamailio) stop(t testing.TB) {
	t.Helper()
	proc := k.proc
	k.proc = nil
	if err := proc.stop(); err != nil {
		t.Log(err)
	}
}

// kill ends the server as a crash would: it says nothing to anybody and forgets all bindings.
func (k *kamailio) kill(t testing.TB) {
	t.Helper()
	proc := k.proc
	k.proc = nil
	if err := proc.kill(); err != nil {
		t.Error(err)
	}
}

// binding is a Contact that the server has for a user.
type binding struct {
	Contact  string `json:"Address"`
	Expires  int    `json:"Expires"` // seconds left
	CallID   string `json:"Call-ID"`
	CSeq     int    `json:"CSeq"`
	Agent    string `json:"User-Agent"`
	Instance string `json:"Instance"` // urn:uuid:… in angle brackets
	RegID    int    `json:"Reg-Id"`
}

// bindings are the Contacts that the server has for a user.
func (k *kamailio) bindings(t testing.TB, user string) []binding {
	t.Helper()
	var found struct {
		Contacts []struct {
			Contact binding `json:"Contact"`
		} `json:"Contacts"`
	}
	err := k.rpc("ul.lookup", &found, "location", user)
	if err != nil && !strings.Contains(err.Error(), "AOR not found") && !strings.Contains(err.Error(), "AOR has no contacts") {
		t.Fatal(err)
	}
	var all []binding
	for _, c := range found.Contacts {
		all = append(all, c.Contact)
	}
	return all
}

// waitBindings waits until the server has n Contacts for a user and returns them.
func (k *kamailio) waitBindings(t testing.TB, user string, n int) []binding {
	t.Helper()
	var got []binding
	eventually(t, fmt.Sprintf("%d bindings of %s", n, user), func() bool {
		got = k.bindings(t, user)
		return len(got) == n
	})
	return got
}

// cutAll closes every WebSocket connection from the server's side and returns how many there were.
func (k *kamailio) cutAll(t testing.TB) int {
	t.Helper()
	var dump struct {
		Connections []string `json:"connections"` // "2: ws:127.0.0.1:60876 -> …"
	}
	if err := k.rpc("ws.dump", &dump); err != nil {
		t.Fatal(err)
	}
	for _, c := range dump.Connections {
		var id int
		if _, err := fmt.Sscanf(c, "%d:", &id); err != nil {
			t.Fatalf("%q in ws.dump: %v", c, err)
		}
		if err := k.rpc("ws.close", nil, id); err != nil {
			t.Fatal(err)
		}
	}
	return len(dump.Connections)
}

// rpc calls a command of Kamailio's own interface.
func (k *kamailio) rpc(method string, result any, params ...any) error {
	request, err := json.Marshal(struct {
		Version string `json:"jsonrpc"`
		ID      int    `json:"id"`
		Method  string `json:"method"`
		Params  []any  `json:"params,omitempty"`
	}{"2.0", 1, method, params})
	if err != nil {
		return err
	}
	body, err := fetch(http.MethodPost, k.http+"/rpc", request)
	if err != nil {
		return err
	}
	var reply struct {
		Result json.RawMessage
		Error  *struct {
			Code    int
			Message string
		}
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return fmt.Errorf("%s: %w in %q", method, err, body)
	}
	if reply.Error != nil {
		return fmt.Errorf("%s: %d %s", method, reply.Error.Code, reply.Error.Message)
	}
	if reply.Result == nil {
		return fmt.Errorf("%s: no result in %q", method, body)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(reply.Result, result)
}

// fetch makes one request on a connection of its own.
func fetch(method, url string, body []byte) ([]byte, error) {
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if len(text) == 0 || resp.StatusCode >= 300 && !bytes.HasPrefix(text, []byte("{")) {
		return nil, fmt.Errorf("%s %s: %s", method, url, resp.Status)
	}
	return text, nil
}

// logged counts the lines of the server's log that contain text.
func (k *kamailio) logged(t testing.TB, text string) int {
	t.Helper()
	log, err := os.ReadFile(k.logFile())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// complaint is a line of Kamailio's log about a message that it could not take for SIP.
var complaint = regexp.MustCompile(`MALFORMED:|ERROR: <core> \[core/(parser/|receive\.c)`)

// malformed returns what Kamailio has said about messages that it could not parse or found malformed, each line once.
func (k *kamailio) malformed(t testing.TB) []string {
	t.Helper()
	log, err := os.ReadFile(k.logFile())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(log[k.judged:])) {
		if complaint.MatchString(line) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	k.judged = len(log)
	return lines
}
