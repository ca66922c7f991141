//go:build interop

package interop_test

import (
	"sync"
	"testing"
)

// shared is what all tests of a run have in common, made when the first of them asks.
var shared struct {
	dir   string   // removed at the end
	ports sync.Map // given out by freePort

	certificateOnce sync.Once
	certificate     *certificate
	certificateErr  error

	chromium, firefox browserOnce
}

// browserOnce is a browser of the run, started when a test asks for it.
type browserOnce struct {
	once    sync.Once
	browser *browser
	err     error
}

func sharedCertificate(t testing.TB) *certificate {
	t.Helper()
	shared.certificateOnce.Do(func() {
		shared.certificate, shared.certificateErr = makeCertificate(shared.dir)
	})
	if shared.certificateErr != nil {
		t.Fatal(shared.certificateErr)
	}
	return shared.certificate
}

func sharedChromium(t testing.TB) *browser {
	t.Helper()
	return sharedBrowser(t, &shared.chromium, "chromium", "chromium")
}

func sharedFirefox(t testing.TB) *browser {
	t.Helper()
	return sharedBrowser(t, &shared.firefox, "firefox", "firefox-esr")
}

func sharedBrowser(t testing.TB, b *browserOnce, name, program string) *browser {
	t.Helper()
	node, path := need(t, "node"), need(t, program)
	needBundles(t)
	cert := sharedCertificate(t)
	b.once.Do(func() {
		b.browser, b.err = startBrowser(name, node, path, cert.spki, shared.dir)
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.browser
}

// stopBrowsers ends the browsers of the run.
func stopBrowsers() {
	for _, b := range []*browserOnce{&shared.chromium, &shared.firefox} {
		if b.browser != nil {
			b.browser.stop()
		}
	}
}
