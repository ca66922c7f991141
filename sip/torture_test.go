package sip_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosipua/sipua/sip"
)

// verdict is what becomes of a torture message.
type verdict int

const (
	fine       verdict = iota
	unreadable         // Parse refuses it and gives what a 400 can be made of
	dropped            // Parse refuses it and nothing can be answered
	// anything larger is the status that Check asks for
)

// torture has all messages of RFC 4475 and RFC 5118 under the names they have there, and their verdicts. The files
// have the same oddities in the same places as the RFCs' messages; they are typed in, not their archived bytes.
// Where an RFC leaves the answer open, the choice made here is in the comment.
var torture = map[string]verdict{
	// RFC 4475 §3.1.1, valid messages
	"wsinv": fine, "intmeth": fine, "esc01": fine, "escnull": fine, "esc02": fine, "lwsdisp": fine, "longreq": fine,
	"dblreq": fine, "semiuri": fine, "transports": fine, "mpart01": fine, "unreason": fine, "noreason": fine,
	// §3.1.2, invalid messages
	"badinv01": unreadable, "clerr": unreadable, "ncl": unreadable, "scalar02": unreadable, "scalarlg": dropped, "quotbal": unreadable,
	"ltgtruri": unreadable, "lwsruri": unreadable, "lwsstart": unreadable, "trws": unreadable, "escruri": 400,
	"baddate":  fine, // the date is ignored
	"regbadct": 400, "badaspec": unreadable, "baddn": unreadable, "badvers": 505, "mismatch01": 400,
	"mismatch02": 400, // not 501: what the CSeq says is not what the request is
	"bigcode":    dropped,
	// §3.2, transaction layer
	"badbranch": fine, // a branch without more than the cookie is matched as RFC 2543 does, by the transaction layer
	// §3.3, application layer; those that are fine here meet their answer in the core: 420, 415, 406 and so on
	"insuf": dropped, "unkscm": 416, "novelsc": 416, "unksm2": fine, "bext01": fine, "invut": fine, "regaut01": fine, "multi01": 400,
	"mcl01": unreadable, "bcast": fine, "zeromf": fine, "cparam01": fine, "cparam02": fine, "regescrt": fine, "sdp01": fine,
	// §3.4, backward compatibility
	"inv2543": 400, // no Contact: without one there is no dialog to speak of
	// RFC 5118 §4
	"ipv6-good": fine, "ipv6-bad": unreadable, "ipv6-port-in-address": fine, "ipv6-port-outside": fine, "ipv6-received-brackets": fine,
	"ipv6-received-bare": fine, "ipv6-mixed": fine, "ipv6-mapped": fine,
	"ipv6-abnf-bug": unreadable, // three colons; §4.10 lets us choose
}

func TestTorture(t *testing.T) {
	files, err := filepath.Glob("testdata/torture/*.sip")
	if err != nil || len(files) != len(torture) {
		t.Fatalf("%d files and %d verdicts, %v", len(files), len(torture), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".sip")
		want, ok := torture[name]
		if !ok {
			t.Errorf("%s has no verdict", name)
			continue
		}
		m, err := sip.Parse(tortured(t, name))
		var perr *sip.ParseError
		switch {
		case err == nil && want == unreadable, err == nil && want == dropped:
			t.Errorf("%s was read", name)
		case err == nil:
			got := fine
			if r, ok := m.(*sip.Request); ok && r.Check() != nil {
				got = verdict(r.Check().Code)
			}
			if got != want {
				t.Errorf("%s: verdict %d, want %d", name, got, want)
			}
			roundTrip(t, m)
		case !errors.As(err, &perr):
			t.Errorf("%s: %v", name, err)
		case (perr.Partial != nil) != (want == unreadable), want != unreadable && want != dropped:
			t.Errorf("%s: %v, partial %v, want verdict %d", name, err, perr.Partial != nil, want)
		}
	}
}

func tortured(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile("testdata/torture/" + name + ".sip")
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// roundTrip writes a parsed message and reads it again: it must be the same.
func roundTrip(tb testing.TB, m sip.Message) {
	tb.Helper()
	out := m.AppendTo(nil)
	if len(out) > m.Len() {
		tb.Errorf("Len is %d, %d bytes were written", m.Len(), len(out))
	}
	again, err := sip.Parse(out)
	if err != nil {
		tb.Fatalf("what was written cannot be read: %v\n%q", err, out)
	}
	if !bytes.Equal(again.AppendTo(nil), out) || !bytes.Equal(again.Body(), m.Body()) {
		tb.Errorf("written, read and written again differs:\n%q\n%q", out, again.AppendTo(nil))
	}
	if a, b := fields(m), fields(again); a != b {
		tb.Errorf("fields differ:\n%s\n%s", a, b)
	}
	if m.Via() != again.Via() || m.From() != again.From() || m.To() != again.To() || m.CallID() != again.CallID() || m.CSeq() != again.CSeq() {
		tb.Errorf("readings differ:\n%+v\n%+v", m, again)
	}
	if r, ok := m.(*sip.Request); ok {
		s, ok := again.(*sip.Request)
		if !ok || r.Method() != s.Method() || r.URI() != s.URI() || r.Version() != s.Version() {
			tb.Errorf("request lines differ:\n%+v\n%+v", m, again)
		}
	} else if r, s := m.(*sip.Response), again.(*sip.Response); r.StatusCode() != s.StatusCode() || r.Reason() != s.Reason() {
		tb.Errorf("status lines differ:\n%+v\n%+v", m, again)
	}
}

func fields(m sip.Message) string {
	var b strings.Builder
	for f := range fieldsOf(m) {
		b.WriteString(f.Name + ": " + f.Value + "\n")
	}
	return b.String()
}

func fieldsOf(m sip.Message) func(func(sip.Field) bool) {
	if r, ok := m.(*sip.Request); ok {
		return r.Fields()
	}
	return m.(*sip.Response).Fields()
}

// What is in the valid ones comes out of them.
func TestTortureContents(t *testing.T) {
	request := func(name string) *sip.Request { return mustRequest(t, tortured(t, name)) }

	r := request("wsinv")
	vias, err := r.Vias()
	if err != nil || len(vias) != 3 || vias[0].Branch() != "390skdjuw" || vias[1].Branch() != "z9hG4bK9ikj8" || vias[2].Host != "192.168.255.111" {
		t.Errorf("wsinv: %v %v", vias, err)
	}
	c, ok := r.Contact()
	if !ok || c.Display != `Quoted string ""` || c.Params.Value("newparam") != "newvalue" || c.Params.Value("q") != "0.33" || !c.Params.Has("secondparam") {
		t.Errorf("wsinv: %v", c)
	}
	if n, _ := r.MaxForwards(); n != 68 || r.From().Display != `J Rosenberg \"` || r.From().Tag() != "98asjd8" || r.To().Tag() != "1918181833n" || r.CSeq().Seq != 9 {
		t.Errorf("wsinv: %d %v %v %v", n, r.From(), r.To(), r.CSeq())
	}
	if r.Header("NewFangledHeader") != "newfangled value continued newfangled value" || r.Header("UnknownHeaderWithUnusualValue") != ";;,,;;,;" || !r.HasHeader("Subject") {
		t.Errorf("wsinv: %v", r)
	}
	routes, err := r.NameAddrs("Route")
	if err != nil || len(routes) != 1 || routes[0].URI.Params != ";lr;unknownwith=value;unknown-no-value" {
		t.Errorf("wsinv: %v %v", routes, err)
	}

	r = request("intmeth")
	if r.Method() != "!interesting-Method0123456789_*+`.%indeed'~" || r.CSeq().Method != r.Method() || r.To().Display != "BEL:\x07 NUL:\x00 DEL:\x7f" ||
		r.URI().User != "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*" || r.URI().Password != "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)" ||
		r.From().Tag() != "_token~1'+`*%!-." || r.From().Params.Value("fromParam''~+*_!.-%") != "работающий" {
		t.Errorf("intmeth: %v", r)
	}

	r = request("esc01")
	if r.URI().UserText() != "sips:user@example.com" || r.To().URI.UserText() != "user" || r.From().URI.UserText() != "I have spaces" {
		t.Errorf("esc01: %v", r)
	}
	r = request("escnull")
	contacts, err := r.Contacts()
	if err != nil || len(contacts) != 2 || contacts[1].URI.UserText() != "\x00\x00" || contacts[0].URI.Equal(contacts[1].URI) || r.From().URI.UserText() != "null-\x00-null" {
		t.Errorf("escnull: %v %v", contacts, err)
	}
	r = request("esc02")
	if r.Method() != "RE%47IST%45R" || r.From().Display != "%Z%45" || len(r.Headers("Contact")) != 2 || !r.HasHeader("C%6Fntact") {
		t.Errorf("esc02: %v", r)
	}
	if r = request("lwsdisp"); r.From().Display != "caller" {
		t.Errorf("lwsdisp: %v", r)
	}
	if vias, err := request("longreq").Vias(); err != nil || len(vias) != 34 {
		t.Errorf("longreq: %d %v", len(vias), err)
	}
	if r = request("dblreq"); r.Method() != sip.REGISTER || r.Body() != nil {
		t.Errorf("dblreq: %v", r)
	}
	if r = request("semiuri"); r.URI().User != "user;par=u%40example.net" || r.URI().Host != "example.com" || r.URI().Params != "" {
		t.Errorf("semiuri: %v", r)
	}
	if r = request("mpart01"); !bytes.Contains(r.Body(), []byte("\x00\x00\r\n\r\n\xff\xfe")) || r.ContentTypeParams().Value("boundary") == "" {
		t.Errorf("mpart01: %v", r)
	}
	res := mustParse(t, tortured(t, "unreason")).(*sip.Response)
	if res.StatusCode() != 200 || res.Reason() != "= 2**3 * 5**2 но сто девяносто девять - простое" {
		t.Errorf("unreason: %v", res)
	}
	if c, ok := request("cparam01").Contact(); !ok || c.Params != ";unknownparam" || c.URI.Params != "" {
		t.Errorf("cparam01: %v", c)
	}
	if c, ok := request("cparam02").Contact(); !ok || c.Params != "" || c.URI.Params != ";unknownparam" {
		t.Errorf("cparam02: %v", c)
	}
	if c, ok := request("regescrt").Contact(); !ok || c.URI.Headers != "Route=%3Csip:sip.example.com%3E" {
		t.Errorf("regescrt: %v", c)
	}
	if u := request("ipv6-port-in-address").URI(); u.Host != "[2001:db8::10:5070]" || u.Port != 0 {
		t.Errorf("ipv6: %v", u)
	}
	if u := request("ipv6-port-outside").URI(); u.Host != "[2001:db8::10]" || u.Port != 5070 {
		t.Errorf("ipv6: %v", u)
	}
	for _, name := range []string{"ipv6-received-brackets", "ipv6-received-bare"} {
		if got := strings.Trim(request(name).Via().Params.Value("received"), "[]"); got != "2001:db8::9:255" {
			t.Errorf("%s: %s", name, got)
		}
	}
}
