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

	browserOnce sync.Once
	browser     *browser
	browserErr  error
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

func sharedBrowser(t testing.TB) *browser {
	t.Helper()
	node, chromium := need(t, "node"), need(t, "chromium")
	needBundle(t)
	cert := sharedCertificate(t)
	shared.browserOnce.Do(func() {
		shared.browser, shared.browserErr = startBrowser(node, chromium, cert.spki, shared.dir)
	})
	if shared.browserErr != nil {
		t.Fatal(shared.browserErr)
	}
	return shared.browser
}
