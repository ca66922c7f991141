package sip_test

import (
	"errors"
	"testing"

	"github.com/gosipua/sipua/sip"
)

// RFC 3261 §20.10, §20.20 and §25.1.
func TestParseNameAddr(t *testing.T) {
	for _, tt := range []struct{ in, display, uri, params, out string }{
		{`"A. G. Bell" <sip:agb@bell-telephone.com> ;tag=a48s`, "A. G. Bell", "sip:agb@bell-telephone.com", ";tag=a48s",
			`"A. G. Bell" <sip:agb@bell-telephone.com>;tag=a48s`},
		{`sip:+12125551212@server.phone2net.com;tag=887s`, "", "sip:+12125551212@server.phone2net.com", ";tag=887s",
			`<sip:+12125551212@server.phone2net.com>;tag=887s`},
		{`Anonymous <sip:c8oqz84zk7z@privacy.org>;tag=hyh8`, "Anonymous", "sip:c8oqz84zk7z@privacy.org", ";tag=hyh8",
			`"Anonymous" <sip:c8oqz84zk7z@privacy.org>;tag=hyh8`},
		{`<sip:h>`, "", "sip:h", "", `<sip:h>`},
		{`<sip:p1.example.com;lr>`, "", "sip:p1.example.com;lr", "", `<sip:p1.example.com;lr>`},
		{`caller<sip:caller@example.com>`, "caller", "sip:caller@example.com", "", `"caller" <sip:caller@example.com>`},
		{`Two  Words <sip:h>`, "Two  Words", "sip:h", "", `"Two  Words" <sip:h>`},
		{`Jürgen Müller <sip:h>`, "Jürgen Müller", "sip:h", "", `"Jürgen Müller" <sip:h>`},
		{`"J Rosenberg \\\"" <sip:h>`, `J Rosenberg \"`, "sip:h", "", `"J Rosenberg \\\"" <sip:h>`},
		{`"<sip:no@no>, x" <sip:h>`, `<sip:no@no>, x`, "sip:h", "", `"<sip:no@no>, x" <sip:h>`},
		{`"" <sip:h>`, "", "sip:h", "", `<sip:h>`},
		{`  "x"<sip:h>  `, "x", "sip:h", "", `"x" <sip:h>`},
		{"sip:vivekg@chair-dnrc.example.com ;\ttag    = 1918181833n", "", "sip:vivekg@chair-dnrc.example.com",
			";\ttag    = 1918181833n", "<sip:vivekg@chair-dnrc.example.com>;\ttag    = 1918181833n"},
		{`<sip:a@h;transport=ws>;expires=599;pub-gruu="sip:a@h;gr=urn:uuid:0";+sip.instance="<urn:uuid:0>";reg-id=1`, "",
			"sip:a@h;transport=ws", `;expires=599;pub-gruu="sip:a@h;gr=urn:uuid:0";+sip.instance="<urn:uuid:0>";reg-id=1`,
			`<sip:a@h;transport=ws>;expires=599;pub-gruu="sip:a@h;gr=urn:uuid:0";+sip.instance="<urn:uuid:0>";reg-id=1`},
		{`<tel:+1-201-555-0123;x=y>;z`, "", "tel:+1-201-555-0123;x=y", ";z", `<tel:+1-201-555-0123;x=y>;z`},
		{`tel:+12015550123;z`, "", "tel:+12015550123", ";z", `<tel:+12015550123>;z`},
		{`mailto:alice@example.com`, "", "mailto:alice@example.com", "", `<mailto:alice@example.com>`},
		{`<sip:bob@h?Replaces=a%40b%3Bto-tag%3D1>`, "", "sip:bob@h?Replaces=a%40b%3Bto-tag%3D1", "",
			`<sip:bob@h?Replaces=a%40b%3Bto-tag%3D1>`},
	} {
		n, err := sip.ParseNameAddr(tt.in)
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		if n.Display != tt.display || n.URI.String() != tt.uri || string(n.Params) != tt.params {
			t.Errorf("%q = %q, %q, %q", tt.in, n.Display, n.URI, n.Params)
		}
		if got := n.String(); got != tt.out {
			t.Errorf("%q is written %q, want %q", tt.in, got, tt.out)
		}
		if again, err := sip.ParseNameAddr(tt.out); err != nil || again != n {
			t.Errorf("%q reads back as %+v, %v", tt.out, again, err)
		}
	}
}

func TestParseNameAddrErrors(t *testing.T) {
	for _, tt := range []struct {
		in     string
		offset int
	}{
		{"", 0}, {"bob", 0}, {`"bob" sip:h`, 6}, {`"bob`, 0}, {`"bob\" <sip:h>`, 0}, {"<sip:h", 0}, {"<>", 1}, {"<sip:h>x", 7},
		{"<sip:h>;", 8}, {"<sip:h>;;x", 8}, {"<sip:h>;=x", 8}, {`<sip:h>;x="y`, 10}, {"<sip:h>;x=a b", 12}, {"<sip:h>;x=a,b", 11},
		{"sip:a@h?Route=x", 7}, {"sip:a,b@h", 5}, {"Bell, Alexander <sip:h>", 4}, {"<sip:a b@h>", 6}, {"<sip:h>;x=\x01", 10},
	} {
		_, err := sip.ParseNameAddr(tt.in)
		var perr *sip.ParseError
		if !errors.As(err, &perr) || perr.Offset != tt.offset {
			t.Errorf("ParseNameAddr(%q) = %v, want an error at %d", tt.in, err, tt.offset)
		}
	}
}

func TestNameAddrTag(t *testing.T) {
	n, err := sip.ParseNameAddr(`"A" <sip:a@h>;x="tag=no";TAG=abc;y`)
	if err != nil {
		t.Fatal(err)
	}
	if n.Tag() != "abc" {
		t.Errorf("Tag = %q", n.Tag())
	}
	if got := n.WithTag("new").Params; got != `;x="tag=no";tag=new;y` {
		t.Errorf("WithTag = %q", got)
	}
	if got := n.WithTag("").Params; got != `;x="tag=no";y` {
		t.Errorf("WithTag(\"\") = %q", got)
	}
	if n.Tag() != "abc" {
		t.Error("WithTag changed its receiver")
	}
}
