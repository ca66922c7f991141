package sip_test

import (
	"strings"
	"testing"

	"github.com/gosipua/sipua/sip"
)

// RFC 3261 §8.2 and the RFCs of the fields.
func TestCheck(t *testing.T) {
	const contact = "Contact: <sip:alice@a.invalid;transport=ws>"
	for _, tt := range []struct {
		name   string
		method string
		uri    string
		fields []string
		code   sip.StatusCode
		field  string
	}{
		{"fine", "INVITE", "sip:b@h", []string{contact, "Max-Forwards: 0", "Route: <sip:p;lr>, <sip:q>"}, 0, ""},
		{"fine tel", "OPTIONS", "tel:+1", nil, 0, ""},
		{"fine unknown method", "FROB", "sip:b@h", nil, 0, ""},
		{"fine date", "OPTIONS", "sip:b@h", []string{"Date: whenever", "Expires: soon"}, 0, ""},
		{"sips", "OPTIONS", "sips:b@h", nil, 416, "Request-URI"},
		{"unknown scheme", "OPTIONS", "nobodyKnowsThisScheme:totallyopaquecontent", nil, 416, "Request-URI"},
		{"URI headers", "OPTIONS", "sip:b@h?Route=x", nil, 400, "Request-URI"},
		{"two From", "OPTIONS", "sip:b@h", []string{"From: <sip:x@h>;tag=2"}, 400, "From"},
		{"two Max-Forwards", "OPTIONS", "sip:b@h", []string{"Max-Forwards: 5", "Max-Forwards: 5"}, 400, "Max-Forwards"},
		{"Max-Forwards", "OPTIONS", "sip:b@h", []string{"Max-Forwards: 0300"}, 400, "Max-Forwards"},
		{"second Via", "OPTIONS", "sip:b@h", []string{"Via: SIP/2.0/WS x,"}, 400, "Via"},
		{"Route", "OPTIONS", "sip:b@h", []string{"Route: <sip:x"}, 400, "Route"},
		{"Record-Route", "INVITE", "sip:b@h", []string{contact, "Record-Route: x"}, 400, "Record-Route"},
		{"Contact missing", "INVITE", "sip:b@h", nil, 400, "Contact"},
		{"Contact malformed", "INVITE", "sip:b@h", []string{`Contact: "x <sip:b@h>`}, 400, "Contact"},
		{"two Contacts", "INVITE", "sip:b@h", []string{contact + ", <sip:c@h>"}, 400, "Contact"},
		{"Contact *", "INVITE", "sip:b@h", []string{"Contact: *"}, 400, "Contact"},
		{"REGISTER *", "REGISTER", "sip:h", []string{"Contact: *", "Expires: 0"}, 0, ""},
		{"REGISTER * without Expires", "REGISTER", "sip:h", []string{"Contact: *"}, 400, "Contact"},
		{"REGISTER * and more", "REGISTER", "sip:h", []string{contact, "Contact: *", "Expires: 0"}, 400, "Contact"},
		{"Content-Type malformed", "OPTIONS", "sip:b@h", []string{"Content-Type: sdp"}, 400, "Content-Type"},
		{"Session-Expires", "INVITE", "sip:b@h", []string{contact, "Session-Expires: x"}, 400, "Session-Expires"},
		{"Min-SE", "INVITE", "sip:b@h", []string{contact, "Min-SE: "}, 400, "Min-SE"},
		{"Replaces", "INVITE", "sip:b@h", []string{contact, "Replaces: c;to-tag=1;from-tag=2"}, 0, ""},
		{"Replaces malformed", "INVITE", "sip:b@h", []string{contact, "Replaces: c;to-tag=1"}, 400, "Replaces"},
		{"Replaces twice", "INVITE", "sip:b@h", []string{contact, "Replaces: c;to-tag=1;from-tag=2", "Replaces: d;to-tag=1;from-tag=2"}, 400, "Replaces"},
		{"Replaces elsewhere", "OPTIONS", "sip:b@h", []string{"Replaces: c;to-tag=1;from-tag=2"}, 400, "Replaces"},
		{"Join elsewhere", "OPTIONS", "sip:b@h", []string{"Join: c;to-tag=1;from-tag=2"}, 400, "Join"},
		{"Join and Replaces", "INVITE", "sip:b@h", []string{contact, "Replaces: c;to-tag=1;from-tag=2", "Join: c;to-tag=1;from-tag=2"}, 400, "Replaces"},
		{"RAck missing", "PRACK", "sip:b@h", nil, 400, "RAck"},
		{"RAck malformed", "PRACK", "sip:b@h", []string{"RAck: 1"}, 400, "RAck"},
		{"Refer-To missing", "REFER", "sip:b@h", []string{contact}, 400, "Refer-To"},
		{"Refer-To twice", "REFER", "sip:b@h", []string{contact, "r: <sip:x>", "r: <sip:y>"}, 400, "Refer-To"},
		{"Refer-To", "REFER", "sip:b@h", []string{contact, "r: <sip:x>"}, 0, ""},
		{"SUBSCRIBE without Event", "SUBSCRIBE", "sip:b@h", []string{contact}, 489, "Event"},
		{"PUBLISH without Event", "PUBLISH", "sip:b@h", nil, 489, "Event"},
		{"Event malformed", "SUBSCRIBE", "sip:b@h", []string{contact, "Event: ;id=1"}, 400, "Event"},
		{"NOTIFY without Event", "NOTIFY", "sip:b@h", []string{contact, "Subscription-State: active"}, 489, "Event"},
		{"NOTIFY without state", "NOTIFY", "sip:b@h", []string{contact, "Event: refer"}, 400, "Subscription-State"},
		{"NOTIFY state malformed", "NOTIFY", "sip:b@h", []string{contact, "Event: refer", "Subscription-State: ;"}, 400, "Subscription-State"},
		{"NOTIFY", "NOTIFY", "sip:b@h", []string{contact, "Event: refer", "Subscription-State: active;expires=60"}, 0, ""},
	} {
		head := []string{tt.method + " " + tt.uri + " SIP/2.0", "Via: SIP/2.0/WSS a.invalid;branch=z9hG4bK1", "From: <sip:alice@h>;tag=1", "To: <sip:b@h>", "Call-ID: c", "CSeq: 1 " + tt.method}
		r := mustRequest(t, []byte(lines(append(append(head, tt.fields...), "", "")...)))
		p := r.Check()
		switch {
		case p == nil && tt.code != 0:
			t.Errorf("%s: no problem", tt.name)
		case p != nil && (p.Code != tt.code || p.Field != tt.field || p.Reason == "" || p.Error() == ""):
			t.Errorf("%s: %v", tt.name, p)
		}
	}
	replaced := func(old, new string) []byte { return []byte(strings.Replace(string(basic(nil, "hi")), old, new, 1)) }
	for _, tt := range []struct {
		data  []byte
		code  sip.StatusCode
		field string
	}{
		{replaced("SIP/2.0\r", "SIP/7.0\r"), 505, "start-line"},
		{replaced("1 MESSAGE", "1 INVITE"), 400, "CSeq"},
		{replaced("X", "X"), 400, "Content-Type"}, // a body without a type
	} {
		if p := mustRequest(t, tt.data).Check(); p == nil || p.Code != tt.code || p.Field != tt.field {
			t.Errorf("%q: %v", tt.data, p)
		}
	}
	if p := mustRequest(t, []byte(strings.Replace(string(basic(nil, "")), "SIP/2.0\r", "sip/2.0\r", 1))).Check(); p != nil {
		t.Errorf("the version's case: %v", p)
	}
}
