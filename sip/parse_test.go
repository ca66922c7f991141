package sip_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gosipua/sipua/sip"
)

// lines joins lines with CRLF, as messages are written in these tests.
func lines(l ...string) string { return strings.Join(l, "\r\n") }

// basic is a valid request with more header fields put in, each without its CRLF, and a body.
func basic(fields []string, body string) []byte {
	head := []string{"MESSAGE sip:bob@example.com SIP/2.0", "Via: SIP/2.0/WSS a.invalid;branch=z9hG4bK1", "From: <sip:alice@example.com>;tag=1",
		"To: <sip:bob@example.com>", "Call-ID: c1", "CSeq: 1 MESSAGE"}
	return []byte(lines(append(head, fields...)...) + "\r\n\r\n" + body)
}

func mustParse(tb testing.TB, data []byte) sip.Message {
	tb.Helper()
	m, err := sip.Parse(data)
	if err != nil {
		tb.Fatalf("Parse: %v\n%s", err, data)
	}
	return m
}

func mustRequest(tb testing.TB, data []byte) *sip.Request {
	tb.Helper()
	r, ok := mustParse(tb, data).(*sip.Request)
	if !ok {
		tb.Fatalf("not a request:\n%s", data)
	}
	return r
}

func parseError(tb testing.TB, data []byte) *sip.ParseError {
	tb.Helper()
	m, err := sip.Parse(data)
	var perr *sip.ParseError
	if !errors.As(err, &perr) || m != nil {
		tb.Fatalf("Parse = %v, %v, want a ParseError of\n%q", m, err, data)
	}
	return perr
}

func TestParseRequest(t *testing.T) {
	r := mustRequest(t, fixture(t, "invite_webrtc"))
	if r.Method() != sip.INVITE || r.URI().String() != "sip:bob@example.com" || r.Version() != "SIP/2.0" {
		t.Errorf("start line %s %s %s", r.Method(), r.URI(), r.Version())
	}
	if r.CallID() != "t8gq5v5rj1f2k6mq9a0p" || r.CSeq() != (sip.CSeq{Seq: 3812, Method: sip.INVITE}) {
		t.Errorf("%q %v", r.CallID(), r.CSeq())
	}
	if f := r.From(); f.Display != "Alice Liddell" || f.URI.User != "alice" || f.Tag() != "7g3ls0k2vd" {
		t.Errorf("From %v", f)
	}
	if v := r.Via(); v.Transport != "WSS" || v.Host != "5k3u7v9q2m1x.invalid" || v.Branch() != "z9hG4bK3920742" {
		t.Errorf("Via %v", v)
	}
	if n, ok := r.MaxForwards(); n != 69 || !ok {
		t.Errorf("Max-Forwards %d", n)
	}
	if r.ContentType() != "application/sdp" || len(r.Body()) != 1412 || !bytes.HasPrefix(r.Body(), []byte("v=0\r\n")) {
		t.Errorf("body %q of %d bytes", r.ContentType(), len(r.Body()))
	}
	if !r.HasToken("Supported", "GRUU") || !r.HasToken("Allow", "REFER") || r.HasToken("Allow", "refer") || r.HasToken("Supported", "path") {
		t.Error("HasToken")
	}
	if c, ok := r.Contact(); !ok || c.URI.Params.Value("gr") != "urn:uuid:0c67446a-f1a1-11d9-94d3-000a95a0e128" {
		t.Errorf("Contact %v", c)
	}
	if r.Check() != nil {
		t.Error(r.Check())
	}
}

func TestParseResponse(t *testing.T) {
	r, ok := mustParse(t, fixture(t, "register_200")).(*sip.Response)
	if !ok || r.StatusCode() != 200 || r.Reason() != "OK" || r.Version() != "SIP/2.0" {
		t.Fatalf("%v", r)
	}
	c, err := r.Contacts()
	if err != nil || len(c) != 1 || c[0].Params.Value("expires") != "599" || c[0].Params.Value("+sip.instance") != "<urn:uuid:0c67446a-f1a1-11d9-94d3-000a95a0e128>" {
		t.Errorf("Contacts %v, %v", c, err)
	}
	if p, err := r.NameAddrs("path"); err != nil || len(p) != 1 || p[0].URI.Params.Value("received") != "sip:203.0.113.77:51234%3Btransport=ws" {
		t.Errorf("Path %v, %v", p, err)
	}
	for line, reason := range map[string]string{"SIP/2.0 200": "", "SIP/2.0 200 ": "", "SIP/2.0 200  x": " x", "sip/2.0 200 é ü": "é ü"} {
		m := mustParse(t, bytes.Replace(fixture(t, "register_200"), []byte("SIP/2.0 200 OK"), []byte(line), 1))
		if got := m.(*sip.Response); got.Reason() != reason || got.StatusCode() != 200 {
			t.Errorf("%q: %d %q", line, got.StatusCode(), got.Reason())
		}
	}
}

// What is parsed is written again byte for byte, apart from compact and oddly cased names of known fields.
func TestParseWrite(t *testing.T) {
	for _, name := range fixtures {
		data := fixture(t, name)
		if got := mustParse(t, data).AppendTo(nil); !bytes.Equal(got, data) {
			t.Errorf("%s is written\n%s", name, got)
		}
	}
	in := basic([]string{"X-Odd:   a  b\tc  ", "x-ODD:", "m: <sip:a@h>", "SUBJECT : x", "user-agent:y", "X2: \"\x80\xff\" é", "l: 03"}, "\x00\r\n")
	want := basic([]string{"X-Odd: a  b\tc", "x-ODD: ", "Contact: <sip:a@h>", "Subject: x", "User-Agent: y", "X2: \"\x80\xff\" é", "Content-Length: 03"}, "\x00\r\n")
	if got := mustParse(t, in).AppendTo(nil); !bytes.Equal(got, want) {
		t.Errorf("written\n%q\nwant\n%q", got, want)
	}
}

// RFC 3261 §7.3.3 and the later RFCs of the IANA registry.
func TestCompactForms(t *testing.T) {
	for compact, long := range map[string]string{
		"a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "d": "Request-Disposition", "e": "Content-Encoding",
		"f": "From", "i": "Call-ID", "j": "Reject-Contact", "k": "Supported", "l": "Content-Length", "m": "Contact", "n": "Identity-Info",
		"o": "Event", "r": "Refer-To", "s": "Subject", "t": "To", "u": "Allow-Events", "v": "Via", "x": "Session-Expires", "y": "Identity",
	} {
		for _, name := range []string{compact, strings.ToUpper(compact), long, strings.ToUpper(long), strings.ToLower(long)} {
			r := sip.NewRequest(sip.INFO, sip.URI{Host: "h"})
			value := map[string]string{"v": "SIP/2.0/WS h", "f": "<sip:h>", "t": "<sip:h>", "l": "0"}[compact]
			if value == "" {
				value = "x"
			}
			if err := r.AddHeader(name, value); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			for f := range r.Fields() {
				if f.Name != long {
					t.Errorf("%q becomes %q, want %q", name, f.Name, long)
				}
			}
			if r.Header(compact) != value || r.Header(long) != value {
				t.Errorf("%s is not found as %s and %s", name, compact, long)
			}
		}
	}
	r := sip.NewRequest(sip.INFO, sip.URI{Host: "h"})
	if err := r.AddHeader("q", "x"); err != nil || r.Header("Q") != "x" || r.HasHeader("z") {
		t.Error("unknown one-letter name")
	}
}

// RFC 3261 §7.3.1.
func TestFolding(t *testing.T) {
	r := mustRequest(t, basic([]string{
		"Subject: I know you're there,", "         pick up the phone  ", "\tand talk to me!",
		"Supported: a,", " b", " ", " , c",
		"X-Empty:", " ", "X-Late:", "  here", "Contact:", " <sip:a@h>", " ;expires=5"}, ""))
	for name, want := range map[string]string{
		"Subject": "I know you're there, pick up the phone and talk to me!", "Supported": "a, b , c", "X-Empty": "", "X-Late": "here",
	} {
		if got := r.Header(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if c, ok := r.Contact(); !ok || c.Params.Value("expires") != "5" {
		t.Errorf("Contact %v", c)
	}
	if got := r.List("supported"); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("List = %q", got)
	}
}

// RFC 3261 §7.3.1: the same route set on one line or on several.
func TestLists(t *testing.T) {
	for _, fields := range [][]string{
		{"Route: <sip:alice@atlanta.com>", "Subject: Lunch", "Route: <sip:bob@biloxi.com>", "Route: <sip:carol@chicago.com>"},
		{"Route: <sip:alice@atlanta.com>, <sip:bob@biloxi.com>", "Route: <sip:carol@chicago.com>", "Subject: Lunch"},
		{"Subject: Lunch", "ROUTE: <sip:alice@atlanta.com>, <sip:bob@biloxi.com>,", "       <sip:carol@chicago.com>"},
	} {
		r := mustRequest(t, basic(fields, ""))
		routes, err := r.NameAddrs("Route")
		if err != nil || fmt.Sprint(routes) != "[<sip:alice@atlanta.com> <sip:bob@biloxi.com> <sip:carol@chicago.com>]" {
			t.Errorf("%v, %v", routes, err)
		}
	}
	r := mustRequest(t, basic([]string{`Contact: "a, <b" <sip:a,b@h;x=1>;y="1,2", <sip:c@h>`, "m: sip:d@h;z=1", "Allow:", "Allow: INVITE,,ACK", "Allow: BYE",
		"Via: SIP/2.0/WS b.invalid;x=\"a,b\" , SIP/2.0/TCP c"}, ""))
	c, err := r.Contacts()
	if err != nil || len(c) != 3 || c[0].Display != "a, <b" || c[0].URI.User != "a,b" || c[0].Params.Value("y") != "1,2" || c[2].Params != ";z=1" {
		t.Errorf("%v, %v", c, err)
	}
	if got := r.List("Allow"); !slices.Equal(got, []string{"INVITE", "ACK", "BYE"}) {
		t.Errorf("Allow %q", got)
	}
	if got := r.Headers("allow"); !slices.Equal(got, []string{"", "INVITE,,ACK", "BYE"}) {
		t.Errorf("Headers %q", got)
	}
	v, err := r.Vias()
	if err != nil || len(v) != 3 || v[0] != r.Via() || v[1].Params != `;x="a,b"` || v[2].Host != "c" {
		t.Errorf("%v, %v", v, err)
	}
	if _, err := mustRequest(t, basic([]string{"Contact: <sip:a@h>, <oops"}, "")).Contacts(); err == nil {
		t.Error("a malformed Contact is no error")
	}
	if _, err := mustRequest(t, basic([]string{"Via: oops"}, "")).Vias(); err == nil {
		t.Error("a malformed Via is no error")
	}
	star := mustRequest(t, basic([]string{"Contact: *"}, ""))
	if c, err := star.Contacts(); !star.ContactStar() || err != nil || c != nil {
		t.Errorf("%v, %v", c, err)
	}
	if c, ok := mustRequest(t, basic([]string{"Contact: bad, <sip:x@h>"}, "")).Contact(); !ok || c.URI.User != "x" {
		t.Errorf("first readable Contact %v", c)
	}
}

// RFC 3261 §18.3, §20.14; over WebSocket the frame ends the message.
func TestContentLength(t *testing.T) {
	for _, tt := range []struct {
		fields []string
		body   string
		want   string
	}{
		{nil, "hello", "hello"},
		{[]string{"Content-Length: 5"}, "hello", "hello"},
		{[]string{"l: 2"}, "hello", "he"},
		{[]string{"l: 0"}, "hello", ""},
		{nil, "", ""},
		{nil, "\r\n\r\n\x00\xff", "\r\n\r\n\x00\xff"},
	} {
		m := mustParse(t, basic(tt.fields, tt.body))
		if got := string(m.Body()); got != tt.want {
			t.Errorf("%q, %q: body %q", tt.fields, tt.body, got)
		}
	}
	for _, value := range []string{"6", "-1", "x", "", "5 5", "0x5", "99999999999999999999"} {
		e := parseError(t, basic([]string{"Content-Length: " + value}, "hello"))
		if e.Field != "Content-Length" || e.Partial == nil || e.Partial.CallID() != "c1" {
			t.Errorf("%q: %+v", value, e)
		}
	}
	if e := parseError(t, basic([]string{"l: 5", "l: 4"}, "hello")); e.Field != "Content-Length" {
		t.Errorf("two lengths: %+v", e)
	}
	if m := mustParse(t, basic([]string{"l: 5", "l: 5"}, "hello")); len(m.Body()) != 5 {
		t.Error("the same length twice")
	}
}

func TestParseErrors(t *testing.T) {
	replace := func(old, new string) string { return strings.Replace(string(basic(nil, "")), old, new, 1) }
	for _, tt := range []struct {
		name, in, field string
		partial         bool
	}{
		{"empty", "", "message", false},
		{"blank lines", "\r\n\r\n\r\n", "message", false},
		{"garbage", "hello", "message", false},
		{"no empty line", lines("OPTIONS sip:h SIP/2.0", "Via: SIP/2.0/WS h"), "message", false},
		{"no empty line, answerable", strings.TrimSuffix(string(basic(nil, "")), "\r\n"), "message", true},
		{"two spaces", replace("MESSAGE sip", "MESSAGE  sip"), "Request-URI", true},
		{"trailing space", replace("2.0\r\n", "2.0 \r\n"), "start-line", true},
		{"leading space", " " + string(basic(nil, "")), "start-line", true},
		{"no version", replace(" SIP/2.0\r\n", "\r\n"), "start-line", true},
		{"odd version", replace(" SIP/2.0\r\n", " SIP/2\r\n"), "start-line", true},
		{"HTTP", replace(" SIP/2.0\r\n", " HTTP/1.1\r\n"), "start-line", true},
		{"method", replace("MESSAGE sip", "MES{AGE sip"), "start-line", true},
		{"URI in brackets", replace("sip:bob@example.com SIP", "<sip:bob@example.com> SIP"), "Request-URI", true},
		{"URI with space", replace("sip:bob@example.com SIP", "sip:bob@example.com; lr SIP"), "Request-URI", true},
		{"no colon", replace("Call-ID: c1", "Call-ID: c1\r\nrubbish"), "message", true},
		{"empty name", replace("Call-ID: c1", "Call-ID: c1\r\n: x"), "message", true},
		{"name with space", replace("Call-ID: c1", "Call-ID: c1\r\nX Y: x"), "message", true},
		{"first field folded", replace("Via:", " Via:"), "message", false},
		{"bare LF", replace("Call-ID: c1\r\n", "Call-ID: c1\n"), "message", true},
		{"LF only", strings.ReplaceAll(string(basic(nil, "")), "\r\n", "\n"), "message", true},
		{"bare CR", replace("Call-ID: c1", "Subject: a\rX-Evil: b\r\nCall-ID: c1"), "Subject", true},
		{"LF CR", replace("Call-ID: c1", "Subject: a\n\rX: b\r\nCall-ID: c1"), "message", true},
		{"NUL", replace("Call-ID: c1", "Subject: a\x00b\r\nCall-ID: c1"), "Subject", true},
		{"vertical tab", replace("Call-ID: c1", "Subject\v: a\r\nCall-ID: c1"), "message", true},
		{"DEL", replace("Call-ID: c1", "Subject: long enough text \x7f\r\nCall-ID: c1"), "Subject", true},
		{"Via", replace("SIP/2.0/WSS a", "SIP/2.0/WSSa"), "Via", true},
		{"From tag", replace(";tag=1", ";tag=\"1"), "From", true},
		{"To", replace("<sip:bob@example.com>\r", "sip:bob@example.com>\r"), "To", true},
		{"Call-ID empty", replace("c1", ""), "Call-ID", true},
		{"Call-ID with space", replace("c1", "c 1"), "Call-ID", true},
		{"CSeq", replace("1 MESSAGE", "MESSAGE"), "CSeq", true},
		{"CSeq too large", replace("1 MESSAGE", "36893488147419103232 MESSAGE"), "CSeq", true},
		{"no Via", replace("Via:", "Wia:"), "Via", false},
		{"no From", replace("From:", "Form:"), "From", false},
		{"no To", replace("To:", "To-:"), "To", false},
		{"no Call-ID", replace("Call-ID:", "Call_ID:"), "Call-ID", false},
		{"no CSeq", replace("CSeq:", "C-Seq:"), "CSeq", false},
		{"status 4294967301", strings.Replace(string(fixture(t, "register_200")), "200 OK", "4294967301 better not", 1), "start-line", false},
		{"status 99", strings.Replace(string(fixture(t, "register_200")), "200 OK", "099 x", 1), "start-line", false},
		{"status 700", strings.Replace(string(fixture(t, "register_200")), "200 OK", "700 x", 1), "start-line", false},
		{"reason", strings.Replace(string(fixture(t, "register_200")), "200 OK", "200 O\x01K", 1), "start-line", false},
		{"response version", strings.Replace(string(fixture(t, "register_200")), "SIP/2.0 200", "SIP/a.b 200", 1), "start-line", false},
	} {
		e := parseError(t, []byte(tt.in))
		if e.Field != tt.field || (e.Partial != nil) != tt.partial || e.Reason == "" || e.Error() == "" {
			t.Errorf("%s: %+v, want field %s, partial %v", tt.name, e, tt.field, tt.partial)
		}
		if e.Offset < 0 || e.Offset > len(tt.in) {
			t.Errorf("%s: offset %d of %d", tt.name, e.Offset, len(tt.in))
		}
	}
}

func TestParseErrorOffset(t *testing.T) {
	in := "\r\n" + strings.Replace(string(basic(nil, "")), ";tag=1", ";tag=1,", 1)
	e := parseError(t, []byte(in))
	if want := strings.Index(in, ";tag=1,") + len(";tag=1"); e.Offset != want {
		t.Errorf("offset %d (%q), want %d", e.Offset, in[e.Offset:], want)
	}
	if got, want := e.Error(), `sip: From: unexpected text where a parameter should begin at byte `; !strings.HasPrefix(got, want) {
		t.Errorf("%q", got)
	}
}

// A request that can be answered at all can be answered with a 400 made from what was read.
func TestPartialIsAnswerable(t *testing.T) {
	in := strings.Replace(string(basic([]string{"X: y"}, "")), "<sip:bob@example.com>\r", "\"oops <sip:bob@example.com>\r", 1)
	e := parseError(t, []byte(in))
	res := sip.NewResponse(e.Partial, sip.StatusBadRequest, "")
	res.SetToTag("t1")
	want := lines("SIP/2.0 400 Bad Request", "Via: SIP/2.0/WSS a.invalid;branch=z9hG4bK1", "From: <sip:alice@example.com>;tag=1",
		`To: "oops <sip:bob@example.com>;tag=t1`, "Call-ID: c1", "CSeq: 1 MESSAGE", "Content-Length: 0", "", "")
	if got := string(res.AppendTo(nil)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLimits(t *testing.T) {
	fields := func(n int) []string {
		l := make([]string, n-5)
		for i := range l {
			l[i] = "X: y"
		}
		return l
	}
	mustParse(t, basic(fields(sip.MaxFields), ""))
	if e := parseError(t, basic(fields(sip.MaxFields+1), "")); e.Reason != "too many header fields" || e.Partial == nil {
		t.Errorf("%+v", e)
	}
	fold := slices.Repeat([]string{" "}, sip.MaxFields*4)
	if e := parseError(t, basic(append([]string{"X: y"}, fold...), "")); e.Reason != "too many header fields" {
		t.Errorf("%+v", e)
	}
	mustParse(t, basic([]string{"X: " + strings.Repeat("y", sip.MaxFieldBytes-3)}, ""))
	for _, f := range []string{"X: " + strings.Repeat("y", sip.MaxFieldBytes-2), "X: y\r\n " + strings.Repeat("y", sip.MaxFieldBytes), strings.Repeat("y", sip.MaxFieldBytes) + ": x"} {
		if e := parseError(t, basic([]string{f}, "")); e.Reason != "too long" || e.Partial == nil || len(e.Value) > 80 {
			t.Errorf("%+v", e)
		}
	}
	in := strings.Replace(string(basic(nil, "")), "sip:bob", "sip:"+strings.Repeat("b", sip.MaxFieldBytes), 1)
	if e := parseError(t, []byte(in)); e.Field != "start-line" || e.Reason != "too long" {
		t.Errorf("%+v", e)
	}
}

// The message keeps its own copy of the input.
func TestParseCopies(t *testing.T) {
	data := fixture(t, "invite_webrtc")
	m := mustParse(t, data)
	want := bytes.Clone(data)
	clear(data)
	if !bytes.Equal(m.AppendTo(nil), want) {
		t.Error("the message changed with the buffer it was read from")
	}
}

// A parse error never repeats credentials.
func TestParseErrorHidesCredentials(t *testing.T) {
	e := parseError(t, basic([]string{"Authorization: Digest response=\"secret\x01\""}, ""))
	if strings.Contains(fmt.Sprintf("%v %+v", e, e.Value), "secret") {
		t.Errorf("%v", e)
	}
}

// TestControlsInResponses: a response with a control character in a field of
// its own choice is better read than lost; the fields that every message has
// must be clean all the same, and so must all fields of a request.
func TestControlsInResponses(t *testing.T) {
	const head = "Via: SIP/2.0/WS a.invalid;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\n"
	m, err := sip.Parse([]byte("SIP/2.0 200 OK\r\n" + head + "Flow-Timer: 120\r\x00Server: kamailio\r\nX-Odd: a\x01b\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if v := m.Header("Flow-Timer"); v != "120  Server: kamailio" {
		t.Errorf("Flow-Timer %q", v)
	}
	if v := m.Header("X-Odd"); v != "a b" {
		t.Errorf("X-Odd %q", v)
	}
	for _, bad := range []string{
		"SIP/2.0 200 OK\r\n" + strings.Replace(head, "tag=1", "tag=\x01", 1) + "\r\n",
		"REGISTER sip:b SIP/2.0\r\n" + head + "Flow-Timer: 120\r\x00Server: kamailio\r\n\r\n",
	} {
		if _, err := sip.Parse([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
