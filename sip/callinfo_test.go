package sip_test

import (
	"slices"
	"testing"

	"github.com/gosipua/sipua/sip"
)

// RFC 7044 §5.1 and figure 1, with what implementations of RFC 4244 send.
func TestHistoryInfo(t *testing.T) {
	r := mustRequest(t, basic([]string{
		`History-Info: <sip:bob@biloxi.example.com;p=x>;index=1,<sip:bob@192.0.2.7?Reason=SIP%3Bcause%3D302%3Btext%3D%22Moved%2C%20gone%22>;index=1.1;rc=1,`,
		`History-Info: oops, "Voice, mail" <sip:vm@example.com?Privacy=history&Reason=SIP%3Bcause%3D486,Q.850%3Bcause%3D17>;index=1.2;MP=1.1;x="y, z"`,
		`History-Info: <tel:+15551234>;foo`,
	}, ""))
	type entry struct {
		user, index, how, from string
		private                bool
		reasons                []sip.Reason
	}
	want := []entry{
		{user: "bob", index: "1"},
		{user: "bob", index: "1.1", how: "rc", from: "1", reasons: []sip.Reason{{"SIP", 302, "Moved, gone"}}},
		{user: "vm", index: "1.2", how: "mp", from: "1.1", private: true, reasons: []sip.Reason{{"SIP", 486, ""}, {"Q.850", 17, ""}}},
		{user: "+15551234"},
	}
	got := r.HistoryInfo()
	if len(got) != len(want) {
		t.Fatalf("%d entries: %v", len(got), got)
	}
	for i, h := range got {
		how, from := h.Mechanism()
		e := entry{h.Target.URI.User, h.Index(), how, from, h.Private(), h.Reasons()}
		if e.user != want[i].user || e.index != want[i].index || e.how != want[i].how || e.from != want[i].from ||
			e.private != want[i].private || !slices.Equal(e.reasons, want[i].reasons) {
			t.Errorf("entry %d:\n got %+v\nwant %+v", i, e, want[i])
		}
	}
	if got[2].Target.Display != "Voice, mail" || got[2].String() != `"Voice, mail" <sip:vm@example.com?Privacy=history&Reason=SIP%3Bcause%3D486%2CQ.850%3Bcause%3D17>;index=1.2;MP=1.1;x="y, z"` {
		t.Errorf("%s", got[2])
	}
	for _, in := range []string{"<sip:a@h>;index=1.x", "<sip:a@h>;index=.", "<sip:a@h>;index", "<sip:a@h>;index=1.", `<sip:a@h>;index=""`} {
		if got := with(t, "History-Info: "+in).HistoryInfo(); len(got) != 1 || got[0].Index() != "" {
			t.Errorf("%s = %v", in, got)
		}
	}
}

// RFC 5806 §4.
func TestDiversion(t *testing.T) {
	r := mustRequest(t, basic([]string{
		`Diversion: "Bob" <sip:bob@p2.example.com>;reason=User-Busy;counter=2;limit=5;privacy="full";screen=yes`,
		`Diversion: <sip:>, <tel:+15551234>;reason="no-answer";counter=100;privacy=off;screen=no, sip:x@h`,
	}, ""))
	type entry struct {
		user, reason, privacy string
		counter, limit        int
		screened              bool
	}
	want := []entry{{"bob", "user-busy", "full", 2, 5, true}, {"+15551234", "no-answer", "off", 1, 0, false}, {"x", "", "", 1, 0, false}}
	var got []entry
	for _, d := range r.Diversions() {
		got = append(got, entry{d.Address.URI.User, d.Reason(), d.Privacy(), d.Counter(), d.Limit(), d.Screened()})
	}
	if !slices.Equal(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	bob := sip.URI{Scheme: "sip", User: "bob", Host: "example.com"}
	for want, d := range map[string]sip.Diversion{
		"<sip:bob@example.com>;reason=user-busy":                sip.NewDiversion(bob, "user-busy", 1),
		"<sip:bob@example.com>;reason=unconditional;counter=99": sip.NewDiversion(bob, "unconditional", 1000),
		`<sip:bob@example.com>;reason="a, \"b\";c=d";counter=2`: sip.NewDiversion(bob, `a, "b";c=d`, 2),
		"<sip:bob@example.com>":                                 sip.NewDiversion(bob, "", 0),
	} {
		if d.String() != want {
			t.Errorf("%s, want %s", d, want)
		}
	}
}

// RFC 3325 §9: what cannot be read does not hide the rest.
func TestAssertedAndPreferredIdentity(t *testing.T) {
	r := mustRequest(t, basic([]string{
		`P-Asserted-Identity: "Cullen Jennings" <sip:fluffy@cisco.com>, <oops`,
		`P-Asserted-Identity: tel:+14085264000`,
		`P-Preferred-Identity: <sip:fluffy@cisco.com>`,
	}, ""))
	got := r.AssertedIdentity()
	if len(got) != 2 || got[0].Display != "Cullen Jennings" || got[1].URI.Scheme != "tel" {
		t.Errorf("asserted %v", got)
	}
	if got := r.PreferredIdentity(); len(got) != 1 || got[0].URI.User != "fluffy" {
		t.Errorf("preferred %v", got)
	}
}

func TestParseReasons(t *testing.T) {
	for in, want := range map[string][]sip.Reason{
		"":                                nil,
		",":                               nil,
		`SIP;cause=200;text="a, b"`:       {{"SIP", 200, "a, b"}},
		"Q.850;cause=16, SIP ;cause=x":    {{"Q.850", 16, ""}, {"SIP", 0, ""}},
		`SIP;text="open`:                  {{"SIP", 0, "open"}},
		"a b;cause=1, preemption;cause=2": {{"preemption", 2, ""}},
	} {
		if got := sip.ParseReasons(in); !slices.Equal(got, want) {
			t.Errorf("%q = %+v, want %+v", in, got, want)
		}
	}
}

func TestURIHeaderFields(t *testing.T) {
	u, err := sip.ParseURI("sip:a@h?Subject=x%20y&Call-Info=%3Chttp://z%3E&flag")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for name, value := range u.HeaderFields() {
		got = append(got, name+": "+value)
	}
	if want := []string{"Subject: x y", "Call-Info: <http://z>", "flag: "}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// FuzzCallInfo: what is read of who diverted a call is written and read again as the same.
func FuzzCallInfo(f *testing.F) {
	for _, s := range []string{
		`<sip:bob@h?Reason=SIP%3Bcause%3D302>;index=1.1;rc=1, "a" <sip:b@h>;reason="x";counter=2`,
		`SIP;cause=200;text="Call completed elsewhere", Q.850;cause=26`, `"`, "<", ";;;index=1..2",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range sip.ParseReasons(s) {
			again := sip.ParseReasons(r.String())
			if len(again) != 1 || again[0].Protocol != r.Protocol || again[0].Cause != r.Cause {
				t.Fatalf("%q: %+v written %q, read %+v", s, r, r.String(), again)
			}
		}
		r := sip.NewRequest(sip.INVITE, sip.URI{Host: "h"})
		if r.AddHeader("History-Info", s) != nil || r.AddHeader("Diversion", s) != nil {
			return
		}
		for _, h := range r.HistoryInfo() {
			again := sip.NewRequest(sip.INVITE, sip.URI{Host: "h"})
			again.Force("History-Info", h.String())
			list := again.HistoryInfo()
			if len(list) != 1 || list[0].Index() != h.Index() || len(list[0].Reasons()) != len(h.Reasons()) || list[0].Private() != h.Private() {
				t.Fatalf("%q: %q read as %v", s, h, list)
			}
		}
		for _, d := range r.Diversions() {
			again := sip.NewRequest(sip.INVITE, sip.URI{Host: "h"})
			again.Force("Diversion", d.String())
			list := again.Diversions()
			if len(list) != 1 || list[0].Counter() != d.Counter() || list[0].Screened() != d.Screened() {
				t.Fatalf("%q: %q read as %v", s, d, list)
			}
		}
	})
}
