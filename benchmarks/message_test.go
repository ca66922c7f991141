package benchmarks

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	gosip "github.com/emiago/sipgo/sip"

	"github.com/gosipua/sipua/sip"
)

func fixtures(b *testing.B) map[string][]byte {
	b.Helper()
	files, err := filepath.Glob("../sip/testdata/*.sip")
	if err != nil || len(files) < 3 {
		b.Fatalf("fixtures: %v, %v", files, err)
	}
	all := map[string][]byte{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			b.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(f), ".sip")] = data
	}
	return all
}

// BenchmarkParse reads each fixture.
func BenchmarkParse(b *testing.B) {
	for name, data := range fixtures(b) {
		b.Run(name, func(b *testing.B) {
			p := gosip.NewParser()
			contest(b, 100,
				contestant{name: "sipua", do: times(b, func() bool { _, err := sip.Parse(data); return err == nil })},
				contestant{name: "sipgo", do: times(b, func() bool { _, err := p.ParseSIP(data); return err == nil })},
			)
		})
	}
}

// BenchmarkWrite writes each fixture as it was read, into a new buffer or string.
func BenchmarkWrite(b *testing.B) {
	for name, data := range fixtures(b) {
		b.Run(name, func(b *testing.B) {
			ours, err := sip.Parse(data)
			if err != nil {
				b.Fatal(err)
			}
			theirs, err := gosip.NewParser().ParseSIP(data)
			if err != nil {
				b.Fatal(err)
			}
			contest(b, 100,
				contestant{name: "sipua", do: times(b, func() bool { return len(ours.AppendTo(nil)) > 0 })},
				contestant{name: "sipgo", do: times(b, func() bool { return len(theirs.String()) > 0 })},
			)
		})
	}
}
