package sip_test

import (
	"errors"
	"testing"

	"github.com/gosipua/sipua/sip"
)

func TestNormalizeTarget(t *testing.T) {
	domain := mustURI(t, "sip:alice@example.com:5061;transport=ws")
	const at = "@example.com:5061"
	for _, tt := range []struct{ in, want string }{
		{"bob", "sip:bob" + at},
		{"  bob\t", "sip:bob" + at},
		{"bob@example.org", "sip:bob@example.org"},
		{"bob@Example.ORG:5070;transport=ws", "sip:bob@example.org:5070;transport=ws"},
		{"a@b@c.example", "sip:a%40b@c.example"},
		{"a@b@", ""},
		{"first last", "sip:first%20last" + at},
		{"jürgen", "sip:j%C3%BCrgen" + at},
		{"100%", "sip:100%25" + at},
		{"*97", "sip:*97" + at},
		{"#31#", "sip:%2331%23" + at},
		{"+1 (555) 123-4567", "sip:+15551234567" + at + ";user=phone"},
		{"555.123.4567", "sip:5551234567" + at + ";user=phone"},
		{"1234", "sip:1234" + at + ";user=phone"},
		{"+1\u00a0555", "sip:+1555" + at + ";user=phone"},
		{"+", "sip:+" + at},
		{"-", "sip:-" + at},
		{"+1 555@pbx.example", "sip:+1%20555@pbx.example"},
		{"tel:+1-555-123-4567", "sip:+15551234567" + at + ";user=phone"},
		{"TEL:(555) 123", "sip:555123" + at + ";user=phone"},
		{"tel:7042;phone-context=Example.com", "sip:7042;phone-context=example.com" + at + ";user=phone"},
		// RFC 3261 §19.1.6
		{"tel:+358-555-1234567;POSTD=PP22", "sip:+3585551234567;postd=pp22" + at + ";user=phone"},
		{"tel:+358-555-1234567;tsp=a.b;phone-context=5", "sip:+3585551234567;phone-context=5;tsp=a.b" + at + ";user=phone"},
		{"tel:+358-555-1234567;phone-context=5;tsp=a.b", "sip:+3585551234567;phone-context=5;tsp=a.b" + at + ";user=phone"},
		{"tel:+358;postd=1;isub=2;x", "sip:+358;isub=2;postd=1;x" + at + ";user=phone"},
		{"sip:bob@example.org;x=y?Subject=a", "sip:bob@example.org;x=y?Subject=a"},
		{"SIP:bob@example.org", "sip:bob@example.org"},
		{"sip:example.org", "sip:example.org"},
		{"sip:a@b@c", "sip:a%40b@c"},
		{"", ""}, {" ", ""}, {"@", ""}, {"@example.org", ""}, {"bob@", ""}, {"bob@a b", ""}, {"bob\r\n", "sip:bob" + at}, {"bo\r\nb", ""}, {"bo\x00b", ""},
		{"sips:bob@example.org", ""}, {"SIPS:bob", ""}, {"tel:", ""}, {"tel:abcxyz", ""}, {"tel:--", ""}, {"tel:+", ""},
		{"mailto:bob@example.org", ""}, {"https://example.org/", ""}, {"bob:5060", ""}, {"sip:", ""}, {"sip:bob@", ""},
	} {
		u, err := sip.NormalizeTarget(tt.in, domain, false)
		if tt.want == "" {
			var terr *sip.TargetError
			if !errors.As(err, &terr) || !u.IsZero() || terr.Error() == "" {
				t.Errorf("NormalizeTarget(%q) = %v, %v, want a TargetError", tt.in, u, err)
			}
			continue
		}
		if err != nil || u.String() != tt.want {
			t.Errorf("NormalizeTarget(%q) = %v, %v, want %s", tt.in, u, err, tt.want)
		}
		if again, err := sip.ParseURI(u.String()); err != nil || again != u {
			t.Errorf("%s reads back as %+v, %v", u, again, err)
		}
	}
}

func TestNormalizeTargetKinds(t *testing.T) {
	domain := sip.URI{Host: "example.com"}
	if u, err := sip.NormalizeTarget("tel:+1-555;ext=7", domain, true); err != nil || u.String() != "tel:+1-555;ext=7" {
		t.Errorf("keepTel: %v, %v", u, err)
	}
	if u, err := sip.NormalizeTarget("555", domain, true); err != nil || u.String() != "sip:555@example.com;user=phone" {
		t.Errorf("keepTel is for tel URIs only: %v, %v", u, err)
	}
	if _, err := sip.NormalizeTarget("sips:a@b", domain, false); !errors.Is(err, sip.ErrSIPS) {
		t.Errorf("%v", err)
	}
	var perr *sip.ParseError
	if _, err := sip.NormalizeTarget("sip:a@", domain, false); !errors.As(err, &perr) {
		t.Errorf("%v", err)
	}
}
