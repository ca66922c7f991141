package sip_test

import (
	"errors"
	"testing"

	"github.com/gosipua/sipua/sip"
)

func mustURI(tb testing.TB, s string) sip.URI {
	tb.Helper()
	u, err := sip.ParseURI(s)
	if err != nil {
		tb.Fatalf("ParseURI(%q): %v", s, err)
	}
	return u
}

// RFC 3261 §19.1.3 and the forms around it.
func TestParseURI(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want sip.URI
		out  string // "" for in
	}{
		{"sip:alice@atlanta.com", sip.URI{Scheme: "sip", User: "alice", Host: "atlanta.com"}, ""},
		{"sip:alice:secretword@atlanta.com;transport=tcp",
			sip.URI{Scheme: "sip", User: "alice", Password: "secretword", Host: "atlanta.com", Params: ";transport=tcp"}, ""},
		{"sips:alice@atlanta.com?subject=project%20x&priority=urgent",
			sip.URI{Scheme: "sips", User: "alice", Host: "atlanta.com", Headers: "subject=project%20x&priority=urgent"}, ""},
		{"sip:+1-212-555-1212:1234@gateway.com;user=phone",
			sip.URI{Scheme: "sip", User: "+1-212-555-1212", Password: "1234", Host: "gateway.com", Params: ";user=phone"}, ""},
		{"sips:1212@gateway.com", sip.URI{Scheme: "sips", User: "1212", Host: "gateway.com"}, ""},
		{"sip:alice@192.0.2.4", sip.URI{Scheme: "sip", User: "alice", Host: "192.0.2.4"}, ""},
		{"sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
			sip.URI{Scheme: "sip", Host: "atlanta.com", Params: ";method=REGISTER", Headers: "to=alice%40atlanta.com"}, ""},
		{"sip:alice;day=tuesday@atlanta.com", sip.URI{Scheme: "sip", User: "alice;day=tuesday", Host: "atlanta.com"}, ""},

		{"SIP:Bob@BILOXI.Com:5070", sip.URI{Scheme: "sip", User: "Bob", Host: "biloxi.com", Port: 5070}, "sip:Bob@biloxi.com:5070"},
		{"sip:[2001:db8::10]:5070;lr", sip.URI{Scheme: "sip", Host: "[2001:db8::10]", Port: 5070, Params: ";lr"}, ""},
		{"sip:bob@[2001:DB8::10]", sip.URI{Scheme: "sip", User: "bob", Host: "[2001:db8::10]"}, "sip:bob@[2001:db8::10]"},
		{"sip:a@my_host.local", sip.URI{Scheme: "sip", User: "a", Host: "my_host.local"}, ""},
		{"sip:#21#@h", sip.URI{Scheme: "sip", User: "%2321%23", Host: "h"}, "sip:%2321%23@h"},
		{"sip:jürgen@h", sip.URI{Scheme: "sip", User: "j%C3%BCrgen", Host: "h"}, "sip:j%C3%BCrgen@h"},
		{"sip:a@h;x=a|b", sip.URI{Scheme: "sip", User: "a", Host: "h", Params: ";x=a%7Cb"}, "sip:a@h;x=a%7Cb"},
		{"sip:a%00b@h", sip.URI{Scheme: "sip", User: "a%00b", Host: "h"}, ""},
		{"sip:alice@example.com;gr=urn:uuid:0c67446a-f1a1-11d9-94d3-000a95a0e128",
			sip.URI{Scheme: "sip", User: "alice", Host: "example.com", Params: ";gr=urn:uuid:0c67446a-f1a1-11d9-94d3-000a95a0e128"}, ""},

		{"tel:+1-201-555-0123", sip.URI{Scheme: "tel", User: "+1-201-555-0123"}, ""},
		{"tel:7042;phone-context=example.com", sip.URI{Scheme: "tel", User: "7042", Params: ";phone-context=example.com"}, ""},
		{"TEL:*21#", sip.URI{Scheme: "tel", User: "*21#"}, "tel:*21#"},
		{"mailto:alice@example.com", sip.URI{Scheme: "mailto", Opaque: "alice@example.com"}, ""},
		{"urn:service:sos", sip.URI{Scheme: "urn", Opaque: "service:sos"}, ""},
		{"http://example.com/a?b#c", sip.URI{Scheme: "http", Opaque: "//example.com/a?b#c"}, ""},
	} {
		got, err := sip.ParseURI(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("ParseURI(%q) = %+v, %v\nwant %+v", tt.in, got, err, tt.want)
		}
		out := tt.out
		if out == "" {
			out = tt.in
		}
		if s := got.String(); s != out {
			t.Errorf("ParseURI(%q).String() = %q, want %q", tt.in, s, out)
		}
	}
}

func TestParseURIErrors(t *testing.T) {
	for _, tt := range []struct {
		in     string
		offset int
	}{
		{"", 0}, {"bob", 0}, {":bob", 0}, {"1sip:bob@h", 0}, {"s p:bob", 1},
		{"sip:", 4}, {"sip:@h", 4}, {"sip::pw@h", 4}, {"sip:bob@", 8}, {"sip:a@b@c", 7},
		{"sip:bob@h:", 10}, {"sip:bob@h:0", 10}, {"sip:bob@h:65536", 10}, {"sip:bob@h:50a", 12}, {"sip:bob@h:5060:1", 14},
		{"sip:bob@h/x", 9}, {"sip:bob@[::1", 8}, {"sip:bob@[::1%25eth0]", 8}, {"sip:bob@[1.2.3.4]", 8},
		{"sip:2001:db8::10", 9}, // RFC 5118 §4.2
		{"sip:bob @h", 7}, {"sip:bob@h ", 9}, {" sip:bob@h", 0}, {"sip:bob\r\n@h", 7}, {"sip:bob\x00@h", 7}, {"sip:bob\x7f@h", 7},
		{"<sip:bob@h>", 0}, {"sip:<bob>@h", 4}, {`sip:"bob"@h`, 4},
		{"tel:", 4}, {"tel:;x=y", 4}, {"tel:+1 2", 6}, {"tel:abc-g", 8}, {"mailto:", 7},
	} {
		_, err := sip.ParseURI(tt.in)
		var perr *sip.ParseError
		if !errors.As(err, &perr) {
			t.Errorf("ParseURI(%q) = %v, want a ParseError", tt.in, err)
		} else if perr.Offset != tt.offset || perr.Field != "URI" || perr.Reason == "" {
			t.Errorf("ParseURI(%q) = %+v, want offset %d", tt.in, perr, tt.offset)
		}
	}
}

// RFC 3261 §19.1.4, whose examples these are, and RFC 3966 §5.
func TestURIEqual(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp", true},
		{"sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", true},
		{"sip:carol@chicago.com", "sip:carol@chicago.com;security=on", true},
		{"sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on", true},
		{"sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
			"sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com", true},
		{"sip:alice@atlanta.com?subject=project%20x&priority=urgent",
			"sip:alice@atlanta.com?priority=urgent&subject=project%20x", true},

		{"SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", false},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", false},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", false},
		{"sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", false},
		{"sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false},
		{"sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off", false},

		{"sip:a@h", "sips:a@h", false},
		{"sip:a@h", "sip:h", false},
		{"sip:a@h", "sip:a:pw@h", false},
		{"sip:a:pw@h", "sip:a:PW@h", false},
		{"sip:a@h;user=phone", "sip:a@h", false},
		{"sip:a@h;ttl=1", "sip:a@h", false},
		{"sip:a@h;method=INVITE", "sip:a@h", false},
		{"sip:a@h;maddr=1.2.3.4", "sip:a@h", false},
		{"sip:a@h;lr", "sip:a@h;LR", true},
		{"sip:a@h;x=%41", "sip:a@h;X=a", true},
		{"sip:a%3bb@h", "sip:a%3Bb@h", true},
		{"sip:a%3Bb@h", "sip:a;b@h", false}, // reserved characters differ from their escapes
		{"sip:a?b=c@h", "sip:a%3Fb=c@h", false},
		{"sip:a%2Bb@h", "sip:a+b@h", false},
		{"sip:a%7eb@h", "sip:a~b@h", true},
		{"sip:ab@h", "sip:abc@h", false},
		{"sip:a@h?x=1&x=2", "sip:a@h?x=2&x=1", true},
		{"sip:a@h?x=1&x=2", "sip:a@h?x=1", false},
		{"sip:a@[2001:DB8::1]", "sip:a@[2001:db8::1]", true},

		{"tel:+1-201-555-0123", "tel:+12015550123", true},
		{"tel:+358-555-1234567;postd=pp22", "tel:+358-555-1234567;POSTD=PP22", true},
		{"tel:+358-555-1234567;postd=pp22;isub=1411", "tel:+358-555-1234567;isub=1411;postd=pp22", true},
		{"tel:7042;phone-context=example.com", "tel:7042", false},
		{"tel:7042;phone-context=a.example", "tel:7042;phone-context=b.example", false},
		{"mailto:a@b", "mailto:a@b", true},
		{"mailto:a@b", "mailto:A@b", false},
		{"tel:1", "sip:1", false},
	} {
		a, b := mustURI(t, tt.a), mustURI(t, tt.b)
		if got := a.Equal(b); got != tt.want {
			t.Errorf("%s Equal %s = %v", a, b, got)
		}
		if got := b.Equal(a); got != tt.want {
			t.Errorf("%s Equal %s = %v", b, a, got)
		}
	}
}

func TestURIParts(t *testing.T) {
	u := mustURI(t, "sip:a%20b:pw@h:5070;transport=ws;lr?Replaces=c%40d%3Bto-tag%3D1&X=")
	if got := u.AOR().String(); got != "sip:a%20b@h:5070" {
		t.Errorf("AOR = %s", got)
	}
	if got := u.UserText(); got != "a b" {
		t.Errorf("UserText = %q", got)
	}
	if v, ok := u.Header("replaces"); v != "c@d;to-tag=1" || !ok {
		t.Errorf("Header(replaces) = %q, %v", v, ok)
	}
	if v, ok := u.Header("x"); v != "" || !ok {
		t.Errorf("Header(x) = %q, %v", v, ok)
	}
	if _, ok := u.Header("y"); ok {
		t.Error("Header(y) is there")
	}
	if got := u.WithoutParam("lr").WithParam("Transport", "w s").WithParam("ob", "").Params; got != ";Transport=w%20s;ob" {
		t.Errorf("Params = %q", got)
	}
	v := sip.URI{Scheme: "sip", User: "bob", Host: "h"}.WithHeader("Replaces", "a%b&c=d;x").WithHeader("Y", "é")
	if got := v.String(); got != "sip:bob@h?Replaces=a%25b%26c%3Dd%3Bx&Y=%C3%A9" {
		t.Errorf("WithHeader = %s", got)
	}
	if got, _ := v.Header("Replaces"); got != "a%b&c=d;x" {
		t.Errorf("Header = %q", got)
	}
	if !(sip.URI{}).IsZero() || (sip.URI{}).String() != "" || u.IsZero() {
		t.Error("IsZero")
	}
}

func TestEscapeUser(t *testing.T) {
	for in, want := range map[string]string{
		"bob": "bob", "a b": "a%20b", "100%": "100%25", "a:b@c": "a%3Ab%40c", "+1;x=2": "+1;x=2", "é": "%C3%A9", "\r\n": "%0D%0A",
	} {
		if got := sip.EscapeUser(in); got != want {
			t.Errorf("EscapeUser(%q) = %q, want %q", in, got, want)
		}
		if back := (sip.URI{User: want}).UserText(); back != in {
			t.Errorf("UserText(%q) = %q", want, back)
		}
	}
}

// Whatever the fields of a URI hold, it is written as one URI that can be read.
func TestURIWriteIsSafe(t *testing.T) {
	for _, tt := range []struct {
		in   sip.URI
		want string
	}{
		{sip.URI{}, "sip:invalid"},
		{sip.URI{Scheme: "SIP", User: "a@b", Host: "h"}, "sip:a%40b@h"},
		{sip.URI{User: "a\r\nVia: x", Host: "h"}, "sip:a%0D%0AVia%3A%20x@h"},
		{sip.URI{User: "a%zz%41", Host: "h"}, "sip:a%25zz%41@h"},
		{sip.URI{User: "a", Password: "p:@;", Host: "h"}, "sip:a:p%3A%40%3B@h"},
		{sip.URI{Host: "h>\r\nX: y"}, "sip:h___X__y"},
		{sip.URI{Host: "[::1"}, "sip:___1"},
		{sip.URI{Host: "h", Port: -1}, "sip:h"},
		{sip.URI{Host: "h", Port: 70000}, "sip:h"},
		{sip.URI{Host: "h", Params: "lr"}, "sip:h;lr"},
		{sip.URI{Host: "h", Params: `;a="b";c=<d>?e`}, "sip:h;a=%22b%22;c=%3Cd%3E%3Fe"},
		{sip.URI{Host: "h", Headers: "a=b\r\n"}, "sip:h?a=b%0D%0A"},
		{sip.URI{Scheme: "tel"}, "tel:0"},
		{sip.URI{Scheme: "tel", User: "+1\r\n2"}, "tel:+1--2"},
		{sip.URI{Scheme: "x\r\ny", Opaque: "a b"}, "xxy:a%20b"},
		{sip.URI{Scheme: "mailto"}, "mailto:-"},
	} {
		got := string(tt.in.AppendTo(nil))
		if got != tt.want {
			t.Errorf("%+v is written %q, want %q", tt.in, got, tt.want)
		}
		if _, err := sip.ParseURI(got); err != nil {
			t.Error(err)
		}
	}
}
