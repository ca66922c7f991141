package sip_test

import (
	"slices"
	"testing"

	"github.com/gosipua/sipua/sip"
)

// RFC 3261 §8.2.6 and §12.1.1.
func TestNewResponse(t *testing.T) {
	req := mustRequest(t, []byte(lines("INVITE sip:bob@h SIP/2.0", "v: SIP/2.0/WS a;branch=z9hG4bK1, SIP/2.0/WS b", "Via: SIP/2.0/WS c", "Record-Route: <sip:p1;lr>",
		"f: <sip:a@h>;tag=1", "Subject: x", "t: <sip:b@h>", "Timestamp: 54", "i: c1", "Record-Route: <sip:p2;lr>", "CSeq: 1 INVITE", "m: <sip:a@c>", "", "body")))
	copied := []string{"Via: SIP/2.0/WS a;branch=z9hG4bK1, SIP/2.0/WS b", "Via: SIP/2.0/WS c", "From: <sip:a@h>;tag=1", "To: <sip:b@h>", "Call-ID: c1", "CSeq: 1 INVITE"}
	dialog := []string{copied[0], copied[1], "Record-Route: <sip:p1;lr>", copied[2], copied[3], copied[4], "Record-Route: <sip:p2;lr>", copied[5]}
	trying := []string{copied[0], copied[1], copied[2], copied[3], "Timestamp: 54", copied[4], copied[5]}
	for _, tt := range []struct {
		method sip.Method
		code   sip.StatusCode
		reason string
		want   []string
	}{
		{sip.INVITE, 100, "Trying", trying}, {sip.INVITE, 180, "Ringing", dialog}, {sip.INVITE, 200, "OK", dialog}, {sip.INVITE, 302, "Moved Temporarily", copied},
		{sip.INVITE, 486, "Busy Here", copied}, {sip.SUBSCRIBE, 200, "OK", dialog}, {sip.REFER, 202, "Accepted", dialog}, {sip.BYE, 200, "OK", copied},
		{sip.OPTIONS, 299, "", copied},
	} {
		r := req.Clone()
		if err := r.SetMethod(tt.method); err != nil {
			t.Fatal(err)
		}
		res := sip.NewResponse(r, tt.code, "")
		if res.StatusCode() != tt.code || res.Reason() != tt.reason || len(res.Body()) != 0 {
			t.Errorf("%d %q", res.StatusCode(), res.Reason())
		}
		if got := written(res); !slices.Equal(got, tt.want) {
			t.Errorf("%s %d: %q", tt.method, tt.code, got)
		}
		if res.Via() != req.Via() || res.From() != req.From() || res.CSeq() != req.CSeq() || res.CallID() != "c1" {
			t.Errorf("readings of %v", res)
		}
		res.SetToTag("x")
		res.SetToTag("y")
		if res.To().Tag() != "x" || res.Header("To") != "<sip:b@h>;tag=x" || req.To().Tag() != "" {
			t.Errorf("To %v", res.To())
		}
	}
}

func TestSetStatus(t *testing.T) {
	res := sip.NewResponse(newRequest(t), 200, "Fine")
	if res.Reason() != "Fine" {
		t.Errorf("%q", res.Reason())
	}
	if err := res.SetStatus(486, ""); err != nil || res.StatusCode() != 486 || res.Reason() != "Busy Here" {
		t.Errorf("%v %v", err, res)
	}
	c := res.Clone()
	if err := c.SetStatus(603, "Nö"); err != nil || c.Reason() != "Nö" || res.StatusCode() != 486 {
		t.Errorf("%v %v", err, res)
	}
	for _, code := range []sip.StatusCode{0, 99, 700, -1} {
		if err := c.SetStatus(code, "x"); err == nil {
			t.Errorf("SetStatus took %d", code)
		}
	}
}
