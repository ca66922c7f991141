package sip_test

import (
	"os"
	"testing"

	"github.com/gosipua/sipua/sip"
)

var fixtures = []string{"invite_webrtc", "register_200", "options"}

func fixture(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile("testdata/" + name + ".sip")
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func BenchmarkParse(b *testing.B) {
	for _, name := range fixtures {
		b.Run(name, func(b *testing.B) {
			data := fixture(b, name)
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := sip.Parse(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendTo(b *testing.B) {
	for _, name := range fixtures {
		b.Run(name, func(b *testing.B) {
			m, err := sip.Parse(fixture(b, name))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				m.AppendTo(nil)
			}
		})
	}
}
