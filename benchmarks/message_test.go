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

func BenchmarkParse(b *testing.B) {
	for name, data := range fixtures(b) {
		b.Run(name+"/sipua", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := sip.Parse(data); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/sipgo", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			p := gosip.NewParser()
			for b.Loop() {
				if _, err := p.ParseSIP(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	for name, data := range fixtures(b) {
		b.Run(name+"/sipua", func(b *testing.B) {
			m, err := sip.Parse(data)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if len(m.AppendTo(nil)) == 0 {
					b.Fatal("nothing written")
				}
			}
		})
		b.Run(name+"/sipgo", func(b *testing.B) {
			m, err := gosip.NewParser().ParseSIP(data)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if len(m.String()) == 0 {
					b.Fatal("nothing written")
				}
			}
		})
	}
}
