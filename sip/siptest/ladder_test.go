package siptest_test

import (
	"context"
	"crypto/md5"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/gosipua/sipua/sip/siptest"
)

// dial opens a bare WebSocket connection to the server.
func dial(t *testing.T, srv *siptest.Server) *websocket.Conn {
	t.Helper()
	d := websocket.Dialer{
		Subprotocols:    []string{"sip"},
		NetDialContext:  srv.DialContext,
		TLSClientConfig: srv.ClientTLS(),
		WriteBufferSize: 64 << 10,
	}
	ws, res, err := d.Dial(srv.URL(), nil)
	if err != nil {
		t.Fatalf("dial: %v (%v)", err, res)
	}
	if ws.Subprotocol() != "sip" {
		t.Errorf("subprotocol %q", ws.Subprotocol())
	}
	t.Cleanup(func() { ws.Close() })
	return ws
}

// The ladders in testdata were written by hand from the call flows of the RFCs,
// so that they judge the parser and writer that server and library share. Each
// says what it changes. "{x}" stands for text that only the server knows: it is
// bound where it first arrives and the same ever after. The order of fields with
// different names, and blanks before a semicolon, mean nothing (RFC 3261 §7.3.1).
func TestLadders(t *testing.T) {
	for name, o := range map[string]siptest.Options{
		"rfc7118-8.1": {Domain: "example.com", Host: "proxy.example.com", TLS: &tls.Config{}, GRUU: true, Outbound: true},
		"rfc7118-8.2": {Domain: "example.com", Host: "proxy.example.com", TLS: &tls.Config{}, GRUU: true, RecordRoute: true},
		"rfc3665-2.1": {
			Domain: "biloxi.example.com", Host: "ss2.biloxi.example.com", Realm: "atlanta.example.com",
			Users: map[string]string{"bob": "zanzibar"},
		},
		"rfc3665-2.2": {Domain: "biloxi.example.com", Host: "ss2.biloxi.example.com"},
		"rfc3665-3.2": {
			Domain: "atlanta.example.com", Host: "ss1.atlanta.example.com", RecordRoute: true, ProxyAuth: true,
			Users: map[string]string{"alice": "wonderland", "bob": "zanzibar"},
		},
		"rfc3665-3.8": {Domain: "atlanta.example.com", Host: "ss1.atlanta.example.com", RecordRoute: true},
		"rfc3665-3.9": {Domain: "atlanta.example.com", Host: "ss1.atlanta.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				l := &ladder{t: t, srv: newServer(t, o), conns: map[string]*websocket.Conn{}, bound: map[string]string{}}
				for _, step := range splitLadder(t, string(text)) {
					l.run(step)
				}
				l.expectNothing()
			})
		})
	}
}

type step struct {
	title string
	actor string
	sends bool
	text  string
}

var stepTitle = regexp.MustCompile(`(?m)^-- (.*?(\w+) -> (\w+)) --\n`)

func splitLadder(t *testing.T, text string) []step {
	t.Helper()
	var steps []step
	at := stepTitle.FindAllStringSubmatchIndex(text, -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		s := step{title: text[m[2]:m[3]], actor: text[m[4]:m[5]], sends: true, text: wireText(text[m[1]:end])}
		if s.actor == "proxy" {
			s.actor, s.sends = text[m[6]:m[7]], false
		}
		steps = append(steps, s)
	}
	if len(steps) == 0 {
		t.Fatal("no steps in the ladder")
	}
	return steps
}

// wireText is a message as it stands in a ladder, with CRLF and the end that its
// header needs.
func wireText(s string) string {
	s = strings.TrimRight(s, "\n")
	if strings.Contains(s, "\n\n") {
		s += "\n"
	} else {
		s += "\n\n"
	}
	return strings.ReplaceAll(s, "\n", "\r\n")
}

type ladder struct {
	t     *testing.T
	srv   *siptest.Server
	conns map[string]*websocket.Conn
	bound map[string]string
}

var placeholder = regexp.MustCompile(`\{([\w.-]+)\}`)

func (l *ladder) run(s step) {
	l.t.Helper()
	ws := l.conns[s.actor]
	if ws == nil {
		ws = dial(l.t, l.srv)
		l.conns[s.actor] = ws
	}
	if s.sends {
		text := placeholder.ReplaceAllStringFunc(s.text, func(p string) string { return l.bound[p[1:len(p)-1]] })
		if err := ws.WriteMessage(websocket.TextMessage, []byte(withResponse(text))); err != nil {
			l.t.Fatalf("%s: %v", s.title, err)
		}
		return
	}
	ws.SetReadDeadline(time.Now().Add(time.Minute))
	kind, got, err := ws.ReadMessage()
	if err != nil || kind != websocket.TextMessage {
		l.t.Fatalf("%s: %v", s.title, err)
	}
	l.match(s, string(got))
}

// expectNothing makes sure that the ladder has shown everything.
func (l *ladder) expectNothing() {
	for actor, ws := range l.conns {
		ws.SetReadDeadline(time.Now().Add(time.Minute))
		var timeout net.Error
		if _, got, err := ws.ReadMessage(); !errors.As(err, &timeout) || !timeout.Timeout() {
			l.t.Errorf("after the last step %s got\n%s\n%v", actor, got, err)
		}
	}
}

func (l *ladder) match(s step, got string) {
	l.t.Helper()
	var names []string
	got = sortFields(got)
	pattern := regexp.QuoteMeta(sortFields(s.text))
	pattern = regexp.MustCompile(`\\\{[\w.\\-]+\\\}`).ReplaceAllStringFunc(pattern, func(p string) string {
		name := strings.ReplaceAll(strings.Trim(p, `\{}`), `\`, "")
		if value, ok := l.bound[name]; ok {
			return regexp.QuoteMeta(value)
		}
		names = append(names, name)
		return `([^\s,;<>"]+)`
	})
	m := regexp.MustCompile("^" + pattern + "$").FindStringSubmatch(got)
	if m == nil {
		l.t.Fatalf("%s: got\n%s\nwant\n%s\nwith %v", s.title, got, s.text, l.bound)
	}
	for i, name := range names {
		l.bound[name] = m[i+1]
	}
}

// sortFields brings the header fields into the order of their names.
func sortFields(text string) string {
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	slices.SortStableFunc(lines[1:], func(a, b string) int {
		nameA, _, _ := strings.Cut(a, ":")
		nameB, _, _ := strings.Cut(b, ":")
		return strings.Compare(nameA, nameB)
	})
	return strings.ReplaceAll(strings.Join(lines, "\r\n"), " ;", ";") + "\r\n\r\n" + body
}

var passwordField = regexp.MustCompile(`response="\[(\w+)\]"`)

// withResponse puts the digest in the place of response="[password]": RFC 2617
// §3.2.2 with qop=auth, worked out here apart from the package under test.
func withResponse(text string) string {
	m := passwordField.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	param := func(name string) string {
		v := regexp.MustCompile(`[ ,]` + name + `="?([^",]+)`).FindStringSubmatch(text[strings.Index(text, "uthorization:"):])
		return v[1]
	}
	h := func(s string) string { sum := md5.Sum([]byte(s)); return hex.EncodeToString(sum[:]) }
	method, _, _ := strings.Cut(text, " ")
	ha1 := h(param("username") + ":" + param("realm") + ":" + m[1])
	ha2 := h(method + ":" + param("uri"))
	response := h(strings.Join([]string{ha1, param("nonce"), param("nc"), param("cnonce"), "auth", ha2}, ":"))
	return strings.Replace(text, m[0], fmt.Sprintf(`response="%s"`, response), 1)
}

func TestWaitRegistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, siptest.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := srv.WaitRegistered(ctx, "alice"); err != context.DeadlineExceeded {
			t.Errorf("WaitRegistered without a registration = %v", err)
		}
		done := make(chan error, 1)
		go func() { done <- srv.WaitRegistered(t.Context(), "sip:alice@example.test") }()
		synctest.Wait()
		siptest.Peer(t, srv, "alice")
		if err := <-done; err != nil {
			t.Error(err)
		}
		if !srv.Registered("alice") || srv.Registered("bob") {
			t.Error("Registered does not tell who is")
		}
		srv.Forget("alice")
		if srv.Registered("alice") {
			t.Error("alice is still registered after Forget")
		}
	})
}
