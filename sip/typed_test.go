package sip_test

import (
	"slices"
	"testing"

	"github.com/gosipua/sipua/sip"
)

// with is a request that has one field more.
func with(tb testing.TB, field string) *sip.Request {
	return mustRequest(tb, basic([]string{field}, ""))
}

func TestNumbers(t *testing.T) {
	none := mustRequest(t, basic(nil, ""))
	for _, tt := range []struct {
		name string
		get  func(*sip.Request) (int, bool)
		in   string
		want int
		ok   bool
	}{
		{"Max-Forwards", func(r *sip.Request) (int, bool) { return r.MaxForwards() }, "70", 70, true},
		{"Max-Forwards", func(r *sip.Request) (int, bool) { return r.MaxForwards() }, "0", 0, true},
		{"Max-Forwards", func(r *sip.Request) (int, bool) { return r.MaxForwards() }, "256", 0, false},
		{"Max-Forwards", func(r *sip.Request) (int, bool) { return r.MaxForwards() }, "-1", 0, false},
		{"Expires", func(r *sip.Request) (int, bool) { return r.Expires() }, "600", 600, true},
		{"Expires", func(r *sip.Request) (int, bool) { return r.Expires() }, "10000000000000000000000", 1<<31 - 1, true},
		{"Expires", func(r *sip.Request) (int, bool) { return r.Expires() }, "Thu, 01 Dec 1994 16:00:00 GMT", 0, false},
		{"Expires", func(r *sip.Request) (int, bool) { return r.Expires() }, "6 00", 0, false},
		{"Min-Expires", func(r *sip.Request) (int, bool) { return r.MinExpires() }, "60", 60, true},
		{"Flow-Timer", func(r *sip.Request) (int, bool) { return r.FlowTimer() }, "126", 126, true},
		{"Min-SE", func(r *sip.Request) (int, bool) { return r.MinSE() }, "90 ;x=y", 90, true},
		{"Min-SE", func(r *sip.Request) (int, bool) { return r.MinSE() }, "x", 0, false},
		{"Retry-After", func(r *sip.Request) (int, bool) { return r.RetryAfter() }, "18000;duration=3600", 18000, true},
		{"Retry-After", func(r *sip.Request) (int, bool) { return r.RetryAfter() }, "120 (I'm in a meeting)", 120, true},
		{"Retry-After", func(r *sip.Request) (int, bool) { return r.RetryAfter() }, "soon", 0, false},
		{"RSeq", func(r *sip.Request) (int, bool) { n, ok := r.RSeq(); return int(n), ok }, "988789", 988789, true},
		{"RSeq", func(r *sip.Request) (int, bool) { n, ok := r.RSeq(); return int(n), ok }, "4294967296", 0, false},
	} {
		if n, ok := tt.get(with(t, tt.name+": "+tt.in)); n != tt.want || ok != tt.ok {
			t.Errorf("%s: %s = %d, %v", tt.name, tt.in, n, ok)
		}
		if _, ok := tt.get(none); ok {
			t.Errorf("%s is there", tt.name)
		}
	}
}

func TestContentType(t *testing.T) {
	for in, want := range map[string]string{"application/sdp": "application/sdp", "Text/Plain ;charset=\"UTF-8\"": "text/plain", "a / B": "a/b", "": ""} {
		if got := with(t, "c: "+in).ContentType(); got != want {
			t.Errorf("%q = %q", in, got)
		}
	}
	if got := with(t, "c: text/plain;charset=\"UTF-8\"").ContentTypeParams().Value("charset"); got != "UTF-8" {
		t.Errorf("charset %q", got)
	}
}

func TestAccepts(t *testing.T) {
	const sdp = "application/sdp"
	for field, want := range map[string]bool{
		"Accept: application/sdp;level=1, text/html": true, "Accept: text/html": false, "Accept: */*": true, "Accept: APPLICATION/*;q=0.5": true,
		"Accept: application/sdp;q=0.0": false, "Accept:": false, "X: y": true,
	} {
		if got := with(t, field).Accepts(sdp); got != want {
			t.Errorf("%s: %v", field, got)
		}
	}
	if with(t, "X-Y: y").Accepts("text/plain") {
		t.Error("without Accept only SDP is taken")
	}
}

// RFC 3261 §20.43.
func TestWarnings(t *testing.T) {
	r := with(t, `Warning: 307 isi.edu "Session parameter, \"foo\"", oops, 301 [2001:db8::1]:5060 "x"`)
	want := []sip.Warning{{307, "isi.edu", `Session parameter, "foo"`}, {301, "[2001:db8::1]:5060", "x"}}
	if got := r.Warnings(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := want[0].String(); got != `307 isi.edu "Session parameter, \"foo\""` {
		t.Errorf("%s", got)
	}
	if got := (sip.Warning{Code: 99999, Agent: "a b\r\n", Text: "x\r\ny"}).String(); got != `999 a_b__ "x  y"` {
		t.Errorf("%s", got)
	}
}

// RFC 3326 §2.
func TestReasons(t *testing.T) {
	r := with(t, `Reason: Q.850 ;cause=16;text="Terminated, \"ok\"", SIP;cause=600, <>;x`)
	want := []sip.Reason{{"Q.850", 16, `Terminated, "ok"`}, {"SIP", 600, ""}}
	if got := r.Reasons(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for want, reason := range map[string]sip.Reason{
		`SIP;cause=200;text="Call completed elsewhere"`: {"SIP", 200, "Call completed elsewhere"},
		`SIP;text="x"`:   {"SIP", 0, "x"},
		`S__P;text="  "`: {"S\r\nP", -1, "\r\n"},
	} {
		if got := reason.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// RFC 6665 §8.2.
func TestEvent(t *testing.T) {
	if e, ok := with(t, "o: presence.winfo ;id=7").Event(); !ok || e.Package != "presence.winfo" || e.ID() != "7" || e.String() != "presence.winfo;id=7" {
		t.Errorf("%v %v", e, ok)
	}
	for _, in := range []string{"", ";id=7", "a b", "refer;;"} {
		if e, ok := with(t, "Event: "+in).Event(); ok {
			t.Errorf("%q = %v", in, e)
		}
	}
	s, ok := with(t, "Subscription-State: Terminated;reason=noresource;expires=0;retry-after=60").SubscriptionState()
	if !ok || s.State != "terminated" || s.Reason() != "noresource" || s.String() != "terminated;reason=noresource;expires=0;retry-after=60" {
		t.Errorf("%v %v", s, ok)
	}
	if n, ok := s.Expires(); n != 0 || !ok {
		t.Errorf("expires %d %v", n, ok)
	}
	if n, ok := s.RetryAfter(); n != 60 || !ok {
		t.Errorf("retry-after %d %v", n, ok)
	}
	if _, ok := (sip.SubscriptionState{State: "active"}).Expires(); ok {
		t.Error("expires is there")
	}
}

// RFC 3261 §20.11.
func TestContentDisposition(t *testing.T) {
	d, ok := with(t, "Content-Disposition: Session;HANDLING=OPTIONAL").ContentDisposition()
	if !ok || d.Type != "session" || d.Required() || d.String() != "session;HANDLING=OPTIONAL" {
		t.Errorf("%v %v", d, ok)
	}
	if d, ok := with(t, "c: application/sdp").ContentDisposition(); ok || d.Type != "session" || !d.Required() {
		t.Errorf("%v %v", d, ok)
	}
	if d, ok := with(t, "c: text/plain").ContentDisposition(); ok || d.Type != "render" {
		t.Errorf("%v %v", d, ok)
	}
}

// RFC 4028 §4.
func TestSessionExpires(t *testing.T) {
	for in, want := range map[string]sip.SessionExpires{"1800": {1800, ""}, "4000 ;refresher=UAC;x": {4000, "uac"}} {
		if got, ok := with(t, "x: "+in).SessionExpires(); got != want || !ok {
			t.Errorf("%q = %v, %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "x", "90 90", "90;;", "-1"} {
		if got, ok := with(t, "x: "+in).SessionExpires(); ok {
			t.Errorf("%q = %v", in, got)
		}
	}
	if got := (sip.SessionExpires{Seconds: 90, Refresher: "uas"}).String(); got != "90;refresher=uas" {
		t.Error(got)
	}
	if got := (sip.SessionExpires{Seconds: -1, Refresher: "a;b"}).String(); got != "0;refresher=a_b" {
		t.Error(got)
	}
}

// RFC 3262 §7.2.
func TestRAck(t *testing.T) {
	want := sip.RAck{RSeq: 776656, CSeq: sip.CSeq{Seq: 1, Method: sip.INVITE}}
	if got, ok := with(t, "RAck: 776656  1 INVITE").RAck(); got != want || !ok {
		t.Errorf("%v %v", got, ok)
	}
	if got := want.String(); got != "776656 1 INVITE" {
		t.Error(got)
	}
	for _, in := range []string{"", "1", "1 1", "1 INVITE", "1x1 INVITE", "4294967296 1 INVITE"} {
		if got, ok := with(t, "RAck: "+in).RAck(); ok {
			t.Errorf("%q = %v", in, got)
		}
	}
}

// RFC 3891 §6.1, RFC 3911 §7.1, RFC 4538 §7.
func TestReplaces(t *testing.T) {
	want := sip.Replaces{CallID: "98asjd8@test.com", ToTag: "12345", FromTag: "54321", EarlyOnly: true}
	const text = "98asjd8@test.com;to-tag=12345;from-tag=54321;early-only"
	if got, err := sip.ParseReplaces("98asjd8@test.com ;FROM-tag=54321; to-tag=12345;early-only"); got != want || err != nil {
		t.Errorf("%v %v", got, err)
	}
	if got := want.String(); got != text {
		t.Error(got)
	}
	if got, ok := with(t, "Replaces: "+text).Replaces(); got != want || !ok {
		t.Errorf("%v %v", got, ok)
	}
	if got, ok := with(t, "Join: "+text).Join(); got != want || !ok {
		t.Errorf("%v %v", got, ok)
	}
	if got, ok := with(t, "Target-Dialog: c;local-tag=1;remote-tag=2").TargetDialog(); got != (sip.Replaces{CallID: "c", ToTag: "1", FromTag: "2"}) || !ok {
		t.Errorf("%v %v", got, ok)
	}
	for _, in := range []string{"", "c", "c;to-tag=1", "c;from-tag=1", ";to-tag=1;from-tag=1", "c d;to-tag=1;from-tag=1", "c;to-tag=1;;from-tag=2"} {
		if got, err := sip.ParseReplaces(in); err == nil {
			t.Errorf("%q = %v", in, got)
		}
	}
	if got := (sip.Replaces{CallID: "a;b,c\r\n", ToTag: "x y", FromTag: "1"}).String(); got != "a_b_c__;to-tag=x_y;from-tag=1" {
		t.Error(got)
	}
}

// RFC 3515 §2.1, RFC 3892 §3.
func TestReferTo(t *testing.T) {
	r := with(t, "r: <sip:dave@h?Replaces=c%3Bto-tag%3D1%3Bfrom-tag%3D2>")
	to, ok := r.ReferTo()
	if !ok || to.URI.User != "dave" {
		t.Fatalf("%v %v", to, ok)
	}
	value, _ := to.URI.Header("Replaces")
	if got, err := sip.ParseReplaces(value); err != nil || got.CallID != "c" || got.FromTag != "2" {
		t.Errorf("%v %v", got, err)
	}
	if _, ok := mustRequest(t, basic([]string{"r: <sip:a@h>", "Refer-To: <sip:b@h>"}, "")).ReferTo(); ok {
		t.Error("two Refer-To")
	}
	if _, ok := with(t, "r: <sip:a").ReferTo(); ok {
		t.Error("a malformed Refer-To")
	}
	if by, ok := with(t, "b: <sip:r@ref.example>;cid=\"x\"").ReferredBy(); !ok || by.Params.Value("cid") != "x" {
		t.Errorf("%v", by)
	}
}

func TestPrivacyAndDate(t *testing.T) {
	if got := with(t, "Privacy: Header; id ;user").Privacy(); !slices.Equal(got, []string{"header", "id", "user"}) {
		t.Errorf("%q", got)
	}
	if d, ok := with(t, "Date: Sat, 13 Nov 2010 23:29:00 GMT").Date(); !ok || d.Unix() != 1289690940 {
		t.Errorf("%v %v", d, ok)
	}
	if d, ok := with(t, "Date: Fri, 01 Jan 2010 16:00:00 EST").Date(); ok {
		t.Errorf("%v", d)
	}
}
