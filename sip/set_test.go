package sip_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gosipua/sipua/sip"
)

// written are the lines of the message's head, without start line and Content-Length.
func written(m sip.Message) []string {
	head, _, _ := strings.Cut(string(m.AppendTo(nil)), "\r\n\r\n")
	l := strings.Split(head, "\r\n")[1:]
	return slices.DeleteFunc(l, func(s string) bool { return strings.HasPrefix(s, "Content-Length:") })
}

func newRequest(tb testing.TB, fields ...string) *sip.Request {
	tb.Helper()
	r := sip.NewRequest(sip.INVITE, sip.URI{Scheme: "sip", User: "bob", Host: "h"})
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ":")
		if err := r.AddHeader(name, value); err != nil {
			tb.Fatal(err)
		}
	}
	return r
}

func TestSetters(t *testing.T) {
	alice := sip.NameAddr{Display: "A", URI: sip.URI{Scheme: "sip", User: "a", Host: "h"}}
	for _, tt := range []struct {
		name string
		do   func(*sip.Request) error
		want []string
	}{
		{"set new", func(r *sip.Request) error { return r.SetHeader("x-new", " v ") }, []string{"A: 1", "B: 1", "a: 2", "Route: <sip:r1>,<sip:r2>", "x-new: v"}},
		{"set old", func(r *sip.Request) error { return r.SetHeader("A", "3") }, []string{"A: 3", "B: 1", "Route: <sip:r1>,<sip:r2>"}},
		{"add", func(r *sip.Request) error { return r.AddHeader("A", "3") }, []string{"A: 1", "B: 1", "a: 2", "Route: <sip:r1>,<sip:r2>", "A: 3"}},
		{"prepend", func(r *sip.Request) error { return r.PrependHeader("B", "0") }, []string{"A: 1", "B: 0", "B: 1", "a: 2", "Route: <sip:r1>,<sip:r2>"}},
		{"prepend new", func(r *sip.Request) error { return r.PrependHeader("C", "0") }, []string{"C: 0", "A: 1", "B: 1", "a: 2", "Route: <sip:r1>,<sip:r2>"}},
		{"remove", func(r *sip.Request) error { r.RemoveHeader("a"); return nil }, []string{"B: 1", "Route: <sip:r1>,<sip:r2>"}},
		{"remove none", func(r *sip.Request) error { r.RemoveHeader("q"); r.RemoveFirst("q"); return nil }, []string{"A: 1", "B: 1", "a: 2", "Route: <sip:r1>,<sip:r2>"}},
		{"remove first", func(r *sip.Request) error { r.RemoveFirst("a"); return nil }, []string{"B: 1", "a: 2", "Route: <sip:r1>,<sip:r2>"}},
		{"remove first of list", func(r *sip.Request) error { r.RemoveFirst("route"); return nil }, []string{"A: 1", "B: 1", "a: 2", "Route: <sip:r2>"}},
		{"set route", func(r *sip.Request) error {
			return r.SetRoute(alice, sip.NameAddr{URI: sip.URI{Host: "p", Params: ";lr"}})
		},
			[]string{"A: 1", "B: 1", "a: 2", `Route: "A" <sip:a@h>`, "Route: <sip:p;lr>"}},
		{"no route", func(r *sip.Request) error { return r.SetRoute() }, []string{"A: 1", "B: 1", "a: 2"}},
		{"set contact", func(r *sip.Request) error { return r.SetContact(alice) }, []string{"A: 1", "B: 1", "a: 2", "Route: <sip:r1>,<sip:r2>", `Contact: "A" <sip:a@h>`}},
	} {
		r := newRequest(t, "A: 1", "B: 1", "a: 2", "Route: <sip:r1>,<sip:r2>")
		c := r.Clone()
		if err := tt.do(c); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		// One-letter names are compact forms; this test speaks of them as they are written.
		want := slices.Clone(tt.want)
		for i, s := range want {
			if s[1] == ':' {
				want[i] = map[byte]string{'A': "Accept-Contact", 'a': "Accept-Contact", 'B': "Referred-By", 'C': "Content-Type"}[s[0]] + s[1:]
			}
		}
		if got := written(c); !slices.Equal(got, want) {
			t.Errorf("%s: got %q\nwant %q", tt.name, got, want)
		}
		if got := len(written(r)); got != 4 {
			t.Errorf("%s: the original has %d fields now", tt.name, got)
		}
	}
}

func TestSettersKeepReadings(t *testing.T) {
	r := newRequest(t)
	via := sip.Via{Transport: "WSS", Host: "a.invalid", Params: ";branch=z9hG4bK1"}
	n := sip.NameAddr{URI: sip.URI{Scheme: "sip", User: "a", Host: "h"}, Params: ";tag=1"}
	for _, err := range []error{r.PushVia(via), r.SetFrom(n), r.SetTo(n.WithTag("2")), r.SetCallID("c"), r.SetCSeq(sip.CSeq{Seq: 1, Method: sip.INVITE})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if r.Via() != via || r.From() != n || r.To().Tag() != "2" || r.CallID() != "c" || r.CSeq().Seq != 1 {
		t.Errorf("%v", r)
	}
	top := sip.Via{Transport: "WS", Host: "b.invalid"}
	if err := r.PushVia(top); err != nil || r.Via() != top {
		t.Errorf("%v %v", err, r.Via())
	}
	top.Params = ";branch=z9hG4bK2"
	if err := r.SetVia(top); err != nil || r.Via() != top {
		t.Errorf("%v %v", err, r.Via())
	}
	if vias, err := r.Vias(); err != nil || !slices.Equal(vias, []sip.Via{top, via}) {
		t.Errorf("%v %v", vias, err)
	}
	r.RemoveFirst("Via")
	if r.Via() != via {
		t.Errorf("%v", r.Via())
	}
	r.RemoveHeader("v")
	if r.Via() != (sip.Via{}) {
		t.Errorf("%v", r.Via())
	}
	if err := r.SetHeader("Via", "SIP/2.0/WS c, SIP/2.0/WS d"); err != nil || r.Via().Host != "c" {
		t.Errorf("%v %v", err, r.Via())
	}
	if err := r.SetVia(top); err != nil || r.Header("Via") != top.String()+", SIP/2.0/WS d" {
		t.Errorf("%v %v", err, r.Header("Via"))
	}

	for name, value := range map[string]string{"Via": "x", "f": "<sip:", "To": "", "Call-ID": "a b", "CSeq": "x INVITE"} {
		before := strings.Join(written(r), "\n")
		for how, set := range map[string]func(string, string) error{"set": r.SetHeader, "prepend": r.PrependHeader} {
			var perr *sip.ParseError
			if err := set(name, value); !errors.As(err, &perr) {
				t.Errorf("%s %s %q: %v", how, name, value, err)
			}
		}
		if strings.Join(written(r), "\n") != before {
			t.Errorf("a refused %s changed the message", name)
		}
	}
	if err := newRequest(t).AddHeader("Via", "x"); err == nil {
		t.Error("a malformed first Via was added")
	}
}

func TestSetBody(t *testing.T) {
	r := mustRequest(t, basic([]string{"Subject: x"}, "")).Clone()
	if err := r.SetBody("text/plain", []byte("hi")); err != nil {
		t.Fatal(err)
	}
	out := string(r.AppendTo(nil))
	if !strings.HasSuffix(out, "Subject: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi") {
		t.Errorf("%q", out)
	}
	if err := r.SetBody("text/plain\r\nX: y", []byte("hi")); err == nil {
		t.Error("no error")
	}
	if err := r.SetBody("", nil); err != nil || r.Body() != nil || r.HasHeader("Content-Type") {
		t.Errorf("%v %v", err, r)
	}
	if out := string(r.AppendTo(nil)); !strings.HasSuffix(out, "Subject: x\r\nContent-Length: 0\r\n\r\n") {
		t.Errorf("%q", out)
	}
	// A Content-Length that is set by hand is corrected.
	if err := r.SetHeader("l", "99"); err != nil {
		t.Fatal(err)
	}
	if out := string(r.AppendTo(nil)); strings.Count(out, "Content-Length: 0\r\n") != 1 || strings.Contains(out, "99") {
		t.Errorf("%q", out)
	}
}

// The first gate: CR, LF and NUL are refused everywhere, other control characters in plain values too.
func TestSettersRefuse(t *testing.T) {
	for _, bad := range []string{"a\r\nX: y", "a\nb", "a\rb", "a\x00b", "\r", "\\\r\n", "a\\\x00"} {
		uri := sip.URI{Scheme: "sip", User: "u", Host: "h"}
		setters := map[string]func(*sip.Request) error{
			"SetHeader value":     func(r *sip.Request) error { return r.SetHeader("X-Y", bad) },
			"AddHeader value":     func(r *sip.Request) error { return r.AddHeader("X-Y", bad) },
			"PrependHeader value": func(r *sip.Request) error { return r.PrependHeader("X-Y", bad) },
			"SetHeader name":      func(r *sip.Request) error { return r.SetHeader(bad, "x") },
			"AddHeader name":      func(r *sip.Request) error { return r.AddHeader(bad, "x") },
			"PrependHeader name":  func(r *sip.Request) error { return r.PrependHeader(bad, "x") },
			"SetCallID":           func(r *sip.Request) error { return r.SetCallID(bad) },
			"SetMethod":           func(r *sip.Request) error { return r.SetMethod(sip.Method(bad)) },
			"SetCSeq":             func(r *sip.Request) error { return r.SetCSeq(sip.CSeq{Method: sip.Method(bad)}) },
			"SetBody":             func(r *sip.Request) error { return r.SetBody(bad, []byte("x")) },
			"SetURI":              func(r *sip.Request) error { return r.SetURI(sip.URI{Scheme: "sip", User: bad, Host: "h"}) },
			"SetFrom":             func(r *sip.Request) error { return r.SetFrom(sip.NameAddr{Display: bad, URI: uri}) },
			"SetTo":               func(r *sip.Request) error { return r.SetTo(sip.NameAddr{URI: uri, Params: sip.Params(bad)}) },
			"SetContact": func(r *sip.Request) error {
				return r.SetContact(sip.NameAddr{URI: uri}, sip.NameAddr{URI: sip.URI{Opaque: bad}})
			},
			"SetRoute": func(r *sip.Request) error { return r.SetRoute(sip.NameAddr{URI: sip.URI{Host: bad}}) },
			"SetVia":   func(r *sip.Request) error { return r.SetVia(sip.Via{Host: bad}) },
			"PushVia":  func(r *sip.Request) error { return r.PushVia(sip.Via{Host: "h", Params: sip.Params(bad)}) },
		}
		for name, set := range setters {
			r := newRequest(t)
			err := set(r)
			var ferr *sip.FieldError
			if !errors.As(err, &ferr) || ferr.Error() == "" {
				t.Errorf("%s(%q) = %v, want a FieldError", name, bad, err)
			}
			if got := written(r); len(got) != 0 {
				t.Errorf("%s(%q) left %q", name, bad, got)
			}
		}
		res := sip.NewResponse(newRequest(t), 200, "")
		if err := res.SetStatus(200, bad); err == nil {
			t.Errorf("SetStatus(%q) took it", bad)
		}
	}
	for _, value := range []string{"a\x01b", "\x7f", "a\vb"} {
		if err := newRequest(t).SetHeader("X-Y", value); err == nil {
			t.Errorf("SetHeader(%q) took it", value)
		}
	}
	for _, value := range []string{"a\tb", "\"\\\x07\"", "é\xff", ""} {
		if err := newRequest(t).SetHeader("X-Y", value); err != nil {
			t.Errorf("SetHeader(%q): %v", value, err)
		}
	}
	for _, name := range []string{"", "a b", "a:", "é"} {
		if err := newRequest(t).SetHeader(name, "x"); err == nil {
			t.Errorf("SetHeader took the name %q", name)
		}
	}
}

// The second gate: what NewRequest and NewResponse are given unchecked is made harmless when written.
func TestWriteIsSafe(t *testing.T) {
	r := sip.NewRequest("INV ITE\r\nX: y", sip.URI{Scheme: "sip", User: "a\r\nX: y", Host: "h x"})
	if got := string(r.AppendTo(nil)); got != "INV_ITE__X__y sip:a%0D%0AX%3A%20y@h_x SIP/2.0\r\nContent-Length: 0\r\n\r\n" {
		t.Errorf("%q", got)
	}
	res := sip.NewResponse(r, 99999, "bad\r\nX: y\x00\\\n")
	if got := string(res.AppendTo(nil)); got != "SIP/2.0 699 bad  X: y \\ \r\nContent-Length: 0\r\n\r\n" {
		t.Errorf("%q", got)
	}
}
