package sipua_test

import (
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gosipua/sipua"

// mayImport is the import direction: what of ours, and of the packages that
// are confined to one place, each package may import. A package that is not
// listed may import everything but internal tests' packages.
var mayImport = map[string][]string{
	"transport":       {"websocket"},
	"sip":             {},
	"sip/digest":      {"sip"},
	"sip/dialog":      {"sip"},
	"sip/transaction": {"sip"},
	"sip/core":        {"sip", "sip/digest", "sip/dialog", "sip/transaction"},
	"sip/siptest":     {"sip", "sip/digest", "transport", "websocket"},
	"registrar":       {"sip", "sip/core"},
	"session":         {"sip", "sip/core", "sip/dialog"},
	"session/rtc":     {"session", "webrtc"},
	"":                {"sip", "sip/core", "sip/digest", "registrar", "session", "session/rtc", "transport", "stun"},
}

// confined are packages of others that have one place each.
var confined = map[string]string{
	"github.com/gorilla/websocket": "websocket",
	"github.com/pion/webrtc/v4":    "webrtc",
	"github.com/pion/stun/v2":      "stun",
}

// TestImportDirection: no arrow points back.
func TestImportDirection(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		pkg := strings.TrimPrefix(strings.TrimPrefix(words[0], module), "/")
		allowed, listed := mayImport[pkg]
		if !listed {
			if !strings.HasPrefix(pkg, "examples/") && pkg != "interop" {
				t.Errorf("package %s has no place in the import direction", pkg)
			}
			continue
		}
		seen++
		for _, imp := range words[1:] {
			name, ours := strings.CutPrefix(imp, module)
			name = strings.TrimPrefix(name, "/")
			if !ours {
				if name = confined[imp]; name == "" {
					continue
				}
			}
			if !slices.Contains(allowed, name) {
				t.Errorf("%s imports %s", path.Join(module, pkg), imp)
			}
		}
		if pkg == "sip" {
			standardOnly(t, words[1:])
		}
	}
	if seen != len(mayImport) {
		t.Errorf("%d packages found of the %d in the table", seen, len(mayImport))
	}
}

// standardOnly: package sip needs nothing but the standard library.
func standardOnly(t *testing.T, imports []string) {
	t.Helper()
	for _, imp := range imports {
		if first, _, _ := strings.Cut(imp, "/"); strings.Contains(first, ".") {
			t.Errorf("sip imports %s", imp)
		}
	}
}
