package sip_test

import (
	"strings"
	"testing"

	"github.com/gosipua/sipua/sip"
)

func TestRequestLine(t *testing.T) {
	r := sip.NewRequest(sip.OPTIONS, sip.URI{})
	if !r.URI().IsZero() || r.URIText() != "" || !strings.HasPrefix(string(r.AppendTo(nil)), "OPTIONS sip:invalid SIP/2.0\r\n") {
		t.Errorf("%q", r.AppendTo(nil))
	}
	u := mustURI(t, "sip:a%20b@h;lr?x=y")
	if err := r.SetURI(u); err != nil || r.URI() != u || r.URIText() != u.String() {
		t.Errorf("%v %v", err, r.URI())
	}
	if err := r.SetMethod("FROB"); err != nil || r.Method() != "FROB" {
		t.Errorf("%v %v", err, r.Method())
	}
	if err := r.SetMethod("A B"); err == nil || r.Method() != "FROB" {
		t.Errorf("%v %v", err, r.Method())
	}
	// The text of a parsed Request-URI is kept, in whatever form it came.
	odd := mustRequest(t, []byte(strings.Replace(string(basic(nil, "")), "sip:bob@example.com", "SIP:#b%6fb@EXAMPLE.com:05060", 1)))
	if odd.URIText() != "SIP:#b%6fb@EXAMPLE.com:05060" || odd.URI().String() != "sip:%23b%6fb@example.com:5060" {
		t.Errorf("%q %q", odd.URIText(), odd.URI())
	}
	if !strings.HasPrefix(string(odd.AppendTo(nil)), "MESSAGE SIP:#b%6fb@EXAMPLE.com:05060 SIP/2.0\r\n") {
		t.Errorf("%q", odd.AppendTo(nil))
	}
}

// A message without the fields that Parse demands reads as zero values, never as a panic.
func TestEmptyMessage(t *testing.T) {
	for _, m := range []sip.Message{sip.NewRequest(sip.INVITE, sip.URI{}), &sip.Request{}, &sip.Response{}, sip.NewResponse(&sip.Request{}, 200, "")} {
		if m.Via() != (sip.Via{}) || m.From() != (sip.NameAddr{}) || m.To() != (sip.NameAddr{}) || m.CallID() != "" || m.CSeq() != (sip.CSeq{}) || m.Header("x") != "" || m.Body() != nil {
			t.Errorf("%v", m)
		}
		if m.Len() < len(m.AppendTo(nil)) {
			t.Errorf("%d bytes for %q", m.Len(), m.AppendTo(nil))
		}
	}
	(&sip.Response{}).SetToTag("x")
	if (&sip.Request{}).Check() == nil {
		t.Error("an empty request is no problem")
	}
	for range newRequest(t, "X-A: 1", "X-B: 2").Fields() {
		break
	}
}
