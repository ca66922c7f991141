package sip_test

import (
	"errors"
	"testing"

	"github.com/gosipua/sipua/sip"
)

// RFC 3261 §20.42, RFC 7118 §5.2, RFC 5118 §4.5.
func TestParseVia(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want sip.Via
		out  string
	}{
		{"SIP/2.0/UDP erlang.bell-telephone.com:5060;branch=z9hG4bK87asdks7",
			sip.Via{Transport: "UDP", Host: "erlang.bell-telephone.com", Port: 5060, Params: ";branch=z9hG4bK87asdks7"}, ""},
		{"SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK56sdasks",
			sip.Via{Transport: "WSS", Host: "df7jal23ls0d.invalid", Params: ";branch=z9hG4bK56sdasks"}, ""},
		{"SIP / 2.0 / UDP first.example.com: 4000;ttl=16 ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1",
			sip.Via{Transport: "UDP", Host: "first.example.com", Port: 4000, Params: ";ttl=16 ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1"},
			"SIP/2.0/UDP first.example.com:4000;ttl=16 ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1"},
		{"SIP  / 2.0\t/ wss\t[2001:DB8::9:1]", sip.Via{Transport: "WSS", Host: "[2001:db8::9:1]"}, "SIP/2.0/WSS [2001:db8::9:1]"},
		{"SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111",
			sip.Via{Transport: "UDP", Host: "[2001:db8::9:1]", Params: ";received=[2001:db8::9:255];branch=z9hG4bKas3-111"}, ""},
		{"SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3",
			sip.Via{Transport: "UDP", Host: "[2001:db8::9:1]", Params: ";received=2001:db8::9:255;branch=z9hG4bKas3"}, ""},
		{"SIP/7.0/TCP h;rport", sip.Via{Transport: "TCP", Host: "h", Params: ";rport"}, "SIP/2.0/TCP h;rport"},
		{"SIP/2.0/TLS-SCTP h ; alias", sip.Via{Transport: "TLS-SCTP", Host: "h", Params: "; alias"}, "SIP/2.0/TLS-SCTP h; alias"},
	} {
		got, err := sip.ParseVia(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("ParseVia(%q) = %+v, %v", tt.in, got, err)
		}
		out := tt.out
		if out == "" {
			out = tt.in
		}
		if got.String() != out {
			t.Errorf("%q is written %q", tt.in, got)
		}
	}
}

func TestParseViaErrors(t *testing.T) {
	for _, in := range []string{
		"", "SIP", "SIP/2.0", "SIP/2.0/", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP/2.0/ h", "SIP/2.0/UDPh;branch=x", "HTTP/1.1/TCP h",
		"SIP/2.0/UDP h:0", "SIP/2.0/UDP h:x", "SIP/2.0/UDP h x", "SIP/2.0/UDP h;;", "SIP/2.0/UDP 192.0.2.15;;,;,,", "SIP/2.0/UDP h?x",
		"SIP/2.0/UDP [::1", "SIP/2.0/UDP h;branch=a b", "SIP/2.0/UDP h, SIP/2.0/UDP i",
	} {
		_, err := sip.ParseVia(in)
		if perr := (*sip.ParseError)(nil); !errors.As(err, &perr) || perr.Field != "Via" {
			t.Errorf("ParseVia(%q) = %v", in, err)
		}
	}
}

func TestViaParts(t *testing.T) {
	v := sip.Via{Transport: "WSS", Host: "h", Port: 1, Params: ";branch=z9hG4bKx;rport"}
	if v.Branch() != "z9hG4bKx" || v.SentBy() != "h:1" {
		t.Errorf("%q, %q", v.Branch(), v.SentBy())
	}
	hostile := sip.Via{Transport: "W\r\nS", Host: "a b\r\n", Params: ";x=\"\r\nY: z"}
	if got := hostile.String(); got != `SIP/2.0/W__S a_b__;x="  Y: z"` {
		t.Errorf("written %q", got)
	}
}

// RFC 3261 §20.16, §8.1.1.5.
func TestParseCSeq(t *testing.T) {
	for in, want := range map[string]sip.CSeq{
		"4711 INVITE": {4711, sip.INVITE}, "0009  INVITE": {9, sip.INVITE}, "1\tX-y": {1, "X-y"}, "4294967295 BYE": {1<<32 - 1, sip.BYE},
	} {
		if got, err := sip.ParseCSeq(in); err != nil || got != want {
			t.Errorf("ParseCSeq(%q) = %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "1", "INVITE", "1INVITE", "-1 INVITE", "4294967296 ACK", "1 IN VITE", "1 ", "1 <x>", "99999999999999999999999 ACK"} {
		if got, err := sip.ParseCSeq(in); err == nil {
			t.Errorf("ParseCSeq(%q) = %v", in, got)
		}
	}
	if got := (sip.CSeq{Seq: 314159, Method: "IN\r\n"}).String(); got != "314159 IN__" {
		t.Errorf("written %q", got)
	}
}
