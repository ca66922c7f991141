package sip_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/gosipua/sipua/sip"
)

func TestRedact(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"Authorization: Digest username=\"a\", response=\"s3cret\"", "Authorization: Digest [redacted]"},
		{"PROXY-AUTHORIZATION :  Bearer s3cret.s3cret", "PROXY-AUTHORIZATION : Bearer [redacted]"},
		{"Authorization: s3cret", "Authorization: [redacted]"},
		{"Authorization:", "Authorization: [redacted]"},
		{"Authorization:\tDigest\ts3cret", "Authorization: [redacted]"},
		{"Authorization: Digest a=b,\r\n response=\"s3cret\"\r\n\ts3cret\r\nX: y\r\n kept", "Authorization: Digest [redacted]\r\nX: y\r\n kept"},
		{"Authorization: Digest a=b,\n response=\"s3cret\"\nX: y", "Authorization: Digest [redacted]\nX: y"},
		{"WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"", "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\""},
		{"INVITE sip:bob:s3cret@h SIP/2.0\r\nTo: <SIPS:a:s3cret@h>, sip:b@h:5060", "INVITE sip:bob:[redacted]@h SIP/2.0\r\nTo: <SIPS:a:[redacted]@h>, sip:b@h:5060"},
		{"Route: <sip:h:5060;lr>, <sip:a@h>", "Route: <sip:h:5060;lr>, <sip:a@h>"},
		{"sip:", "sip:"}, {"sips:", "sips:"}, {"", ""}, {"x", "x"},
		{"X: y\r\n\r\nAuthorization: in the body", "X: y\r\n\r\nAuthorization: in the body"},
	} {
		in := []byte(tt.in)
		if got := sip.Redact([]byte("> "), in); string(got) != "> "+tt.want {
			t.Errorf("%q becomes %q, want %q", tt.in, got, tt.want)
		}
		if string(in) != tt.in {
			t.Error("the input changed")
		}
	}
}

// RFC 3261 §20.28; no way to print a message shows its credentials.
func TestStringRedacts(t *testing.T) {
	data := fixture(t, "invite_webrtc")
	const secret = "6629fae49393a05397450978507c4ef1"
	if !bytes.Contains(data, []byte(secret)) {
		t.Fatal("the fixture has no credentials")
	}
	r := mustRequest(t, data)
	res := sip.NewResponse(r, 200, "")
	if err := res.SetHeader("Authorization", "Bearer "+secret); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{r.String(), fmt.Sprint(r), fmt.Sprintf("%v", r), fmt.Sprintf("%+v", r), fmt.Sprintf("%#v", r), res.String(), fmt.Sprintf("%#v", res), fmt.Sprintf("%+v", res)} {
		if strings.Contains(s, secret) || !strings.Contains(s, "[redacted]") {
			t.Errorf("%s", s)
		}
	}
	if !bytes.Contains(r.AppendTo(nil), []byte(secret)) {
		t.Error("AppendTo must not redact")
	}
}
