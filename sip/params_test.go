package sip_test

import (
	"slices"
	"testing"

	"github.com/gosipua/sipua/sip"
)

func TestParamsLookup(t *testing.T) {
	const p sip.Params = `;a=1; B = "x;\"y" ;flag;empty=;c="=";a=2`
	for _, tt := range []struct {
		name, value string
		ok          bool
	}{
		{"a", "1", true}, {"A", "1", true}, {"b", `x;"y`, true}, {"flag", "", true}, {"empty", "", true}, {"c", "=", true}, {"y", "", false}, {"", "", false},
	} {
		if v, ok := p.Lookup(tt.name); v != tt.value || ok != tt.ok {
			t.Errorf("Lookup(%q) = %q, %v", tt.name, v, ok)
		}
		if p.Value(tt.name) != tt.value || p.Has(tt.name) != tt.ok {
			t.Errorf("Value or Has(%q)", tt.name)
		}
	}
	var all []string
	for n, v := range p.All() {
		all = append(all, n+"="+v)
	}
	if want := []string{"a=1", `B=x;"y`, "flag=", "empty=", "c==", "a=2"}; !slices.Equal(all, want) {
		t.Errorf("All = %q", all)
	}
	for n := range p.All() {
		if n == "B" {
			break
		}
	}
}

func TestParamsChange(t *testing.T) {
	const p sip.Params = `;a=1;b="x;a=9";c`
	for _, tt := range []struct{ got, want sip.Params }{
		{p.With("a", "2"), `;a=2;b="x;a=9";c`},
		{p.With("B", "y"), `;a=1;B=y;c`},
		{p.With("d", "a b"), `;a=1;b="x;a=9";c;d="a b"`},
		{p.With("d", `q"\`), `;a=1;b="x;a=9";c;d="q\"\\"`},
		{p.With("d", ""), `;a=1;b="x;a=9";c;d=""`},
		{p.With("d", "a\r\nb"), `;a=1;b="x;a=9";c;d="a  b"`},
		{p.With("d;e", "1"), `;a=1;b="x;a=9";c;d_e=1`},
		{p.WithFlag("c"), p},
		{p.WithFlag("d"), p + ";d"},
		{p.WithFlag(""), p + ";_"},
		{p.WithQuoted("d", "x"), p + `;d="x"`},
		{p.Without("a"), `;b="x;a=9";c`},
		{p.Without("B"), `;a=1;c`},
		{p.Without("x"), p},
		{sip.Params(";a=1;b;a=2").With("a", "3"), ";a=3;b"},
		{sip.Params("").With("received", "2001:db8::1"), ";received=2001:db8::1"},
		{sip.Params("").With("received", "[2001:db8::1]"), ";received=[2001:db8::1]"},
		{sip.Params("").With("x", "a:b"), `;x="a:b"`},
		{sip.Params("").With("+sip.instance", "<urn:uuid:0>"), `;+sip.instance="<urn:uuid:0>"`},
	} {
		if tt.got != tt.want {
			t.Errorf("got %s, want %s", tt.got, tt.want)
		}
	}
}

// Parameters that no parser made are taken apart and written so that they stay parameters.
func TestParamsWriteIsSafe(t *testing.T) {
	for _, tt := range []struct{ in, want sip.Params }{
		{";a=1", ";a=1"},
		{"a", ";a"},
		{";;a;", ";a"},
		{";a=b c", `;a="b c"`},
		{";a=\r\nVia: x", `;a="  Via: x"`},
		{`;a="b`, `;a="b"`},
		{`;a="b\`, `;a="b\\"`},
		{`;a="b"c"d"`, `;a="b\"c\"d\""`},
		{";a=b,c", `;a="b,c"`},
		{";<x>=1", ";_x_=1"},
		{";=1", ";_=1"},
		{";a=", ";a="},
		{"\r\n", ";__"},
	} {
		n := sip.NameAddr{URI: sip.URI{Host: "h"}, Params: tt.in}
		if got := n.String(); got != "<sip:h>"+string(tt.want) {
			t.Errorf("%q is written %q", tt.in, got)
		}
		if _, err := sip.ParseNameAddr(n.String()); err != nil {
			t.Error(err)
		}
	}
}
