package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosipua/sipua/sip/siptest"
)

// TestFlags: what is wrong is told, with exit status 2, and nothing starts.
func TestFlags(t *testing.T) {
	dir := t.TempDir()
	config := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for name, tt := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"help":           {[]string{"-h"}, 0, "-answer"},
		"unknown flag":   {[]string{"-frob"}, 2, "-frob"},
		"argument":       {[]string{"call", "bob"}, 2, `"call"`},
		"answer":         {[]string{"-answer", "never"}, 2, "-answer"},
		"dtmf":           {[]string{"-dtmf", "smoke"}, 2, "-dtmf"},
		"no audio file":  {[]string{"-play", filepath.Join(dir, "none.ogg")}, 2, "none.ogg"},
		"no config file": {[]string{"-config", filepath.Join(dir, "none.json")}, 2, "none.json"},
		"no JSON":        {[]string{"-config", config("a.json", `{"uri":`)}, 2, "a.json"},
		"unknown key":    {[]string{"-config", config("b.json", `{"uri":"alice@example.com","frob":1}`)}, 2, "frob"},
		"no server":      {[]string{"-uri", "sip:alice@example.com"}, 2, "ws_servers"},
		"no uri":         {[]string{"-server", "ws://127.0.0.1:1/"}, 2, "uri"},
		"all of it": {[]string{"-config", config("c.json", `{"uri":"sips:alice@example.com","ws_servers":"http://example.com","password":"hush"}`)},
			2, "ws_servers"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if status := run(t.Context(), tt.args, strings.NewReader(""), &out, &errs); status != tt.status {
				t.Errorf("exit status %d, want %d", status, tt.status)
			}
			if !strings.Contains(errs.String(), tt.says) || strings.Contains(errs.String(), "hush") || out.Len() > 0 {
				t.Errorf("stdout %q, stderr %q; want %q", &out, &errs, tt.says)
			}
		})
	}
}

// TestOwnServer is the program as a newcomer starts it, over real sockets.
func TestOwnServer(t *testing.T) {
	alice, out := newScript(t, "alice")
	alice.run(func(stdin io.Reader) int {
		return run(context.Background(), []string{"-json", "-play", "tone"}, stdin, out, t.Output())
	})
	defer alice.close()
	alice.want("registered")
	alice.say("call bob")
	alice.want("answered", "id", 1)
	for received := 0.0; received == 0; {
		alice.say("stats")
		received = alice.want("stats", "id", 1)["packetsReceived"].(float64)
	}
	alice.say("message bob hello")
	alice.want("message", "originator", "local")
	alice.say("hangup")
	alice.want("ended", "id", 1, "cause", "Terminated")
}

// TestConfigFile: a JsSIP configuration from a file, with a flag over it, and an
// interrupt at the end.
func TestConfigFile(t *testing.T) {
	srv, err := siptest.NewServer(siptest.Options{Domain: "example.com", Users: passwords, Listen: true})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	text, err := json.Marshal(map[string]any{
		"uri": "sip:alice@example.com", "password": "wrong", "ws_servers": []any{map[string]any{"ws_uri": srv.URL(), "weight": 3}},
		"register_expires": 120, "stun_servers": []string{},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "phone.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	alice, out := newScript(t, "alice")
	alice.run(func(stdin io.Reader) int {
		return run(ctx, []string{"-json", "-config", file, "-password", "wonderland"}, stdin, out, t.Output())
	})
	defer alice.close()
	alice.want("registered", "expires", 120)
	interrupt()
	alice.end()
	if srv.Registered("alice") {
		t.Error("still registered")
	}
}

// TestText: without -json events are lines for people.
func TestText(t *testing.T) {
	var out bytes.Buffer
	in, commands := io.Pipe()
	defer in.Close()
	go func() {
		_, _ = io.WriteString(commands, "\nfrobnicate\nhold\nquit\n")
	}()
	if status := run(t.Context(), nil, in, &out, t.Output()); status != 0 {
		t.Errorf("exit status %d", status)
	}
	for _, line := range []string{
		"commands, each with an optional id=ID of the call: accept; answer; attended ID ID; call TARGET; ",
		"error command=frobnicate reason=\"unknown command \\\"frobnicate\\\"\"\n",
		"error command=hold reason=\"no call\"\n",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("%q is not in %q", line, out.String())
		}
	}
	if strings.Contains(out.String(), "empty line") {
		t.Errorf("an empty line was wrong: %q", out.String())
	}
}
