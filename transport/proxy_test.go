package transport

import (
	"net/url"
	"testing"
)

func TestProxyAddr(t *testing.T) {
	for in, want := range map[string]string{
		"http://proxy":             "proxy:80",
		"https://proxy":            "proxy:443",
		"http://me:x@proxy:3128/":  "proxy:3128",
		"http://[2001:db8::1]":     "[2001:db8::1]:80",
		"https://[2001:db8::1]:81": "[2001:db8::1]:81",
	} {
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := proxyAddr(u); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
