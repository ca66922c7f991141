package dialog_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/dialog"
)

func wire(lines string) string { return strings.ReplaceAll(lines, "\n", "\r\n") }

func request(t *testing.T, text string) *sip.Request {
	t.Helper()
	m, err := sip.Parse([]byte(wire(text)))
	if err != nil {
		t.Fatal(err)
	}
	return m.(*sip.Request)
}

func response(t *testing.T, text string) *sip.Response {
	t.Helper()
	m, err := sip.Parse([]byte(wire(text)))
	if err != nil {
		t.Fatal(err)
	}
	return m.(*sip.Response)
}

// The INVITE and the 200 of RFC 3261 §24.2, F1 and F11, with Record-Routes as
// the proxies of that example might add.
const (
	invite = `INVITE sip:bob@biloxi.com SIP/2.0
Via: SIP/2.0/TCP pc33.atlanta.com;branch=z9hG4bKnashds8
Max-Forwards: 70
To: Bob <sip:bob@biloxi.com>
From: Alice <sip:alice@atlanta.com>;tag=1928301774
Call-ID: a84b4c76e66710
CSeq: 314159 INVITE
Contact: <sip:alice@pc33.atlanta.com>
%

`
	ok = `SIP/2.0 200 OK
Via: SIP/2.0/TCP pc33.atlanta.com;branch=z9hG4bKnashds8
%
To: Bob <sip:bob@biloxi.com>;tag=a6c85cf
From: Alice <sip:alice@atlanta.com>;tag=1928301774
Call-ID: a84b4c76e66710
CSeq: 314159 INVITE
Contact: <sip:bob@192.0.2.4>

`
	proxies = `Record-Route: <sip:ss2.biloxi.com;lr>
Record-Route: <sip:ss1.atlanta.com;lr>`
)

func with(text, fields string) string {
	if fields == "" {
		return strings.Replace(text, "%\n", "", 1)
	}
	return strings.Replace(text, "%", fields, 1)
}

func client(t *testing.T, routes string) *dialog.Dialog {
	t.Helper()
	d, err := dialog.NewClient(request(t, with(invite, "")), response(t, with(ok, routes)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestClient(t *testing.T) {
	d := client(t, proxies)
	want := dialog.ID{CallID: "a84b4c76e66710", LocalTag: "1928301774", RemoteTag: "a6c85cf"}
	if d.ID() != want {
		t.Errorf("ID is %v, want %v", d.ID(), want)
	}
	if d.State() != dialog.Confirmed || d.Server() || d.LocalSeq() != 314159 {
		t.Errorf("state %v, server %v, seq %d", d.State(), d.Server(), d.LocalSeq())
	}
	if got := d.LocalURI().String(); got != `"Alice" <sip:alice@atlanta.com>;tag=1928301774` {
		t.Errorf("local URI %s", got)
	}
	if got := d.RemoteURI().String(); got != `"Bob" <sip:bob@biloxi.com>;tag=a6c85cf` {
		t.Errorf("remote URI %s", got)
	}
	if got := d.RemoteTarget().String(); got != "sip:bob@192.0.2.4" {
		t.Errorf("remote target %s", got)
	}
	if len(d.RouteSet()) != 2 {
		t.Errorf("route set %v", d.RouteSet())
	}
	checkText(t, d.NewRequest(sip.BYE), `BYE sip:bob@192.0.2.4 SIP/2.0
Route: <sip:ss1.atlanta.com;lr>
Route: <sip:ss2.biloxi.com;lr>
From: "Alice" <sip:alice@atlanta.com>;tag=1928301774
To: "Bob" <sip:bob@biloxi.com>;tag=a6c85cf
Call-ID: a84b4c76e66710
CSeq: 314160 BYE
Content-Length: 0

`)
	checkText(t, d.NewACK(314159), `ACK sip:bob@192.0.2.4 SIP/2.0
Route: <sip:ss1.atlanta.com;lr>
Route: <sip:ss2.biloxi.com;lr>
From: "Alice" <sip:alice@atlanta.com>;tag=1928301774
To: "Bob" <sip:bob@biloxi.com>;tag=a6c85cf
Call-ID: a84b4c76e66710
CSeq: 314159 ACK
Content-Length: 0

`)
	if d.NextSeq() != 314161 || d.LocalSeq() != 314161 {
		t.Errorf("an ACK has taken a CSeq number: %d", d.LocalSeq())
	}
}

func checkText(t *testing.T, req *sip.Request, want string) {
	t.Helper()
	if d := cmp.Diff(wire(want), string(req.AppendTo(nil))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestServer(t *testing.T) {
	d, err := dialog.NewServer(request(t, with(invite, proxies)), "a6c85cf")
	if err != nil {
		t.Fatal(err)
	}
	want := dialog.ID{CallID: "a84b4c76e66710", LocalTag: "a6c85cf", RemoteTag: "1928301774"}
	if d.ID() != want {
		t.Errorf("ID is %v, want %v", d.ID(), want)
	}
	if d.State() != dialog.Early || !d.Server() || d.LocalSeq() != 0 {
		t.Errorf("state %v, server %v, seq %d", d.State(), d.Server(), d.LocalSeq())
	}
	d.SetState(dialog.Terminated)
	if d.State() != dialog.Terminated {
		t.Errorf("state %v", d.State())
	}
	checkText(t, d.NewRequest(sip.BYE), `BYE sip:alice@pc33.atlanta.com SIP/2.0
Route: <sip:ss2.biloxi.com;lr>
Route: <sip:ss1.atlanta.com;lr>
From: "Bob" <sip:bob@biloxi.com>;tag=a6c85cf
To: "Alice" <sip:alice@atlanta.com>;tag=1928301774
Call-ID: a84b4c76e66710
CSeq: 1 BYE
Content-Length: 0

`)
}

// RFC 3261 §12.2.1.1: a first route without lr takes the Request-URI, without
// what is not allowed there, and the remote target goes last.
func TestStrictRouting(t *testing.T) {
	d := client(t, "Record-Route: <sip:p2.example.com;lr>\nRecord-Route: <sip:p1.example.com;method=INVITE;transport=ws?Subject=x>")
	checkText(t, d.NewRequest(sip.INFO), `INFO sip:p1.example.com;transport=ws SIP/2.0
Route: <sip:p2.example.com;lr>
Route: <sip:bob@192.0.2.4>
From: "Alice" <sip:alice@atlanta.com>;tag=1928301774
To: "Bob" <sip:bob@biloxi.com>;tag=a6c85cf
Call-ID: a84b4c76e66710
CSeq: 314160 INFO
Content-Length: 0

`)
	if got := len(d.RouteSet()); got != 2 {
		t.Errorf("route set has %d entries afterwards", got)
	}
}

// RFC 3261 §16.12.1.2: a strict router behind the first hop is the business of
// the proxy before it.
func TestStrictRouterOnTheWay(t *testing.T) {
	text := with(invite, "Record-Route: <sip:p4.domain.com;lr>\nRecord-Route: <sip:p3.middle.com>\nRecord-Route: <sip:p2.example.com;lr>\nRecord-Route: <sip:p1.example.com;lr>")
	d, err := dialog.NewServer(request(t, text), "a6c85cf")
	if err != nil {
		t.Fatal(err)
	}
	want := `BYE sip:alice@pc33.atlanta.com SIP/2.0
Route: <sip:p4.domain.com;lr>
Route: <sip:p3.middle.com>
Route: <sip:p2.example.com;lr>
Route: <sip:p1.example.com;lr>
From: "Bob" <sip:bob@biloxi.com>;tag=a6c85cf
To: "Alice" <sip:alice@atlanta.com>;tag=1928301774
Call-ID: a84b4c76e66710
CSeq: 1 BYE
Content-Length: 0

`
	checkText(t, d.NewRequest(sip.BYE), want)
	// A target refresh request brings a target and never a route (§12.2).
	d.Refresh(request(t, strings.Replace(with(invite, proxies), "alice@pc33", "alice@pc34", 1)))
	checkText(t, d.NewRequest(sip.BYE), strings.NewReplacer("pc33", "pc34", "CSeq: 1", "CSeq: 2").Replace(want))
}

// TestAddress: a request that is sent again goes where the far end is now.
func TestAddress(t *testing.T) {
	for _, routes := range []string{"", proxies, "Record-Route: <sip:p1.example.com>"} {
		d := client(t, routes)
		req := d.NewRequest(sip.INFO)
		d.Refresh(request(t, with(invite, "")))
		d.Address(req)
		if err := req.SetCSeq(sip.CSeq{Seq: d.LocalSeq() + 1, Method: sip.INFO}); err != nil {
			t.Fatal(err)
		}
		checkText(t, req, strings.ReplaceAll(string(d.NewRequest(sip.INFO).AppendTo(nil)), "\r\n", "\n"))
	}
}

func TestClientStates(t *testing.T) {
	for _, tt := range []struct {
		status string
		state  dialog.State
		err    error
	}{
		{"100 Trying", 0, dialog.ErrNoDialog},
		{"180 Ringing", dialog.Early, nil},
		{"199 Early Dialog Terminated", dialog.Early, nil},
		{"200 OK", dialog.Confirmed, nil},
		{"302 Moved Temporarily", 0, dialog.ErrNoDialog},
		{"486 Busy Here", 0, dialog.ErrNoDialog},
	} {
		t.Run(tt.status, func(t *testing.T) {
			res := response(t, strings.Replace(with(ok, ""), "200 OK", tt.status, 1))
			d, err := dialog.NewClient(request(t, with(invite, "")), res)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err == nil && d.State() != tt.state {
				t.Errorf("state %v, want %v", d.State(), tt.state)
			}
		})
	}
}

func TestUnusable(t *testing.T) {
	const contact = "Contact: <sip:bob@192.0.2.4>\n"
	inv := request(t, with(invite, ""))
	for name, text := range map[string]string{
		"no Contact":       strings.Replace(with(ok, ""), contact, "", 1),
		"bad Contact":      strings.Replace(with(ok, ""), contact, "Contact: <sip:\n", 1),
		"bad Record-Route": with(ok, "Record-Route: <sip:p1.example.com;lr"),
	} {
		if _, err := dialog.NewClient(inv, response(t, text)); err == nil {
			t.Errorf("%s: a client dialog was made", name)
		}
	}
	const own = "Contact: <sip:alice@pc33.atlanta.com>\n"
	for name, text := range map[string]string{
		"no Contact":       strings.Replace(with(invite, ""), own, "", 1),
		"bad Record-Route": with(invite, "Record-Route: sip:p1,example"),
	} {
		if _, err := dialog.NewServer(request(t, text), "t"); err == nil {
			t.Errorf("%s: a server dialog was made", name)
		}
	}
}

// A peer of RFC 2543 answers without a tag: it is null (RFC 3261 §12.1.2).
func TestNullTag(t *testing.T) {
	res := response(t, strings.Replace(with(ok, ""), ";tag=a6c85cf", "", 1))
	d, err := dialog.NewClient(request(t, with(invite, "")), res)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.NewRequest(sip.BYE).To().Tag(); got != "" {
		t.Errorf("To tag %q", got)
	}
}

// RFC 3261 §13.2.2.4: the 2xx has the last word on route set and target.
func TestConfirm(t *testing.T) {
	early := response(t, strings.Replace(with(ok, proxies), "200 OK", "180 Ringing", 1))
	d, err := dialog.NewClient(request(t, with(invite, "")), early)
	if err != nil {
		t.Fatal(err)
	}
	final := strings.Replace(with(ok, "Record-Route: <sip:other.example.com;lr>"), "192.0.2.4", "192.0.2.5", 1)
	d.Confirm(response(t, final))
	if d.State() != dialog.Confirmed || d.RemoteTarget().Host != "192.0.2.5" ||
		len(d.RouteSet()) != 1 || d.RouteSet()[0].URI.Host != "other.example.com" {
		t.Errorf("state %v, target %v, routes %v", d.State(), d.RemoteTarget(), d.RouteSet())
	}
	d.Confirm(response(t, strings.Replace(with(ok, ""), "Contact: <sip:bob@192.0.2.4>\n", "", 1)))
	if d.State() != dialog.Confirmed || d.RemoteTarget().Host != "192.0.2.5" || len(d.RouteSet()) != 1 {
		t.Errorf("a 2xx without Contact: target %v, routes %v", d.RemoteTarget(), d.RouteSet())
	}
}

// RFC 3261 §12.2.2: lower numbers are out of order, gaps are not.
func TestReceive(t *testing.T) {
	inside := func(seq string) *sip.Request {
		return request(t, strings.Replace(strings.Replace(with(invite, ""), "INVITE sip", "INFO sip", 1),
			"314159 INVITE", seq+" INFO", 1))
	}
	server, err := dialog.NewServer(request(t, with(invite, "")), "t")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		d    *dialog.Dialog
		seq  string
		want sip.StatusCode
	}{
		{server, "314158", 500},
		{server, "314160", 0},
		{server, "314159", 500},
		{server, "314200", 0},
		{server, "314200", 0}, // not lower
		{server, "4294967295", 0},
		{client(t, ""), "0", 0}, // nothing is known of the far side's numbers
	} {
		if got := tt.d.Receive(inside(tt.seq)); got != tt.want {
			t.Errorf("CSeq %s: %d, want %d", tt.seq, got, tt.want)
		}
	}
	d := client(t, "")
	if d.Receive(inside("7")) != 0 || d.Receive(inside("6")) != 500 {
		t.Error("the first number from the far side does not count")
	}
}

func TestRefresh(t *testing.T) {
	d := client(t, "")
	d.Refresh(response(t, strings.Replace(with(ok, ""), "192.0.2.4", "192.0.2.6", 1)))
	if got := d.RemoteTarget().Host; got != "192.0.2.6" {
		t.Errorf("after a response the target is %s", got)
	}
	d.Refresh(request(t, with(invite, "")))
	if got := d.RemoteTarget().Host; got != "pc33.atlanta.com" {
		t.Errorf("after a request the target is %s", got)
	}
	d.Refresh(response(t, strings.Replace(with(ok, ""), "Contact: <sip:bob@192.0.2.4>\n", "", 1)))
	if got := d.RemoteTarget().Host; got != "pc33.atlanta.com" {
		t.Errorf("without a Contact the target is %s", got)
	}
}

func TestString(t *testing.T) {
	if got := dialog.Early.String() + dialog.Confirmed.String() + dialog.Terminated.String(); got != "earlyconfirmedterminated" {
		t.Errorf("states are %q", got)
	}
	if got := dialog.State(9).String(); got != "State(9)" {
		t.Errorf("State(9) is %q", got)
	}
	if got := client(t, "").ID().String(); got != "a84b4c76e66710;local=1928301774;remote=a6c85cf" {
		t.Errorf("ID is %q", got)
	}
}
