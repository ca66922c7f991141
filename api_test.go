package sipua_test

import (
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata/api.txt")

// promised are the packages that semantic versioning covers.
var promised = []string{".", "./session", "./session/rtc", "./registrar", "./transport", "./sip", "./sip/digest", "./sip/siptest"}

// TestAPI: the exported surface changes only on purpose, with -update.
func TestAPI(t *testing.T) {
	const file = "testdata/api.txt"
	var b strings.Builder
	for _, pkg := range promised {
		out, err := exec.Command("go", "doc", "-all", pkg).Output()
		if err != nil {
			t.Fatalf("go doc %s: %v", pkg, err)
		}
		b.WriteString("== " + pkg + "\n" + declarations(string(out)) + "\n")
	}
	got := b.String()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the exported surface changed; if that is meant, run go test -run TestAPI -update .\n%s", diff)
	}
}

// declarations leaves out what is prose in the output of go doc: indented text
// and the package comment.
func declarations(doc string) string {
	var b strings.Builder
	inside := false
	for line := range strings.Lines(doc) {
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(line, "func "), strings.HasPrefix(line, "type "), strings.HasPrefix(line, "const "), strings.HasPrefix(line, "var "):
			b.WriteString(line)
			inside = strings.HasSuffix(trimmed, "{") || strings.HasSuffix(trimmed, "(")
		case inside && (line == "}\n" || line == ")\n"):
			b.WriteString(line)
			inside = false
		case inside && trimmed != "" && !strings.HasPrefix(trimmed, "//"):
			b.WriteString(line)
		}
	}
	return b.String()
}
