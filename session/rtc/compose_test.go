package rtc

import (
	"strings"
	"testing"

	"github.com/gosipua/sipua/session"
)

// TestBundleKept: our offers have a BUNDLE group for a single m-line too. A peer
// that once bundled, as Chromium does from its first offer on, takes a later
// offer without one for the m-line leaving its group (RFC 8843 §7.5.2), and
// cannot answer it.
func TestBundleKept(t *testing.T) {
	inCall(t, Options{}, Options{}, func(t *testing.T, a, b *end) {
		for _, x := range []struct{ from, to *end }{{a, b}, {b, a}, {a, b}} {
			offer, answer := exchange(t, x.from, x.to, false)
			for _, d := range []session.Description{offer, answer} {
				if !strings.Contains(string(d.Body), "\r\na=group:BUNDLE 0\r\n") {
					t.Errorf("no BUNDLE group:\n%s", d.Body)
				}
			}
		}
	})
}
