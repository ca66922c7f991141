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

// FuzzMessage: what can be read is written and read again as the same message; what cannot be read can be
// answered where Parse says so; memory is bounded by the input.
func FuzzMessage(f *testing.F) {
	for _, pattern := range []string{"testdata/*.sip", "testdata/torture/*.sip"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := sip.Parse(data)
		// Head, body, message, fields and error; one more for each fold, escape and case change.
		if limit := float64(16 + bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("%"))); testing.AllocsPerRun(1, func() { _, _ = sip.Parse(data) }) > limit {
			t.Errorf("more than %v allocations", limit)
		}
		if err != nil {
			var perr *sip.ParseError
			if !errors.As(err, &perr) || m != nil || perr.Offset < 0 || perr.Offset > len(data) {
				t.Fatalf("%v %v", m, err)
			}
			_ = perr.Error()
			if perr.Partial != nil {
				answerable(t, perr.Partial)
			}
			return
		}
		roundTrip(t, m)
		if strings.ContainsAny(fields(m), "\r\x00") && !bytes.ContainsAny(data, "\x00") {
			t.Errorf("a CR or NUL in a value: %q", fields(m))
		}
		if r, ok := m.(*sip.Request); ok {
			_ = r.Check()
			answerable(t, r)
			_ = r.String()
			readAll(r)
		}
	})
}

// answerable makes a response to r and checks that it has the fields of r and nothing more.
func answerable(t *testing.T, r *sip.Request) {
	t.Helper()
	res := sip.NewResponse(r, sip.StatusBadRequest, "")
	res.SetToTag("x")
	n := 1 // Content-Length
	for range res.Fields() {
		n++
	}
	head, _, _ := bytes.Cut(res.AppendTo(nil), []byte("\r\n\r\n"))
	if bytes.Count(head, []byte("\n")) != n {
		t.Errorf("%d fields are written as\n%q", n, head)
	}
}

// readAll reads everything that is typed.
func readAll(r *sip.Request) {
	r.Warnings()
	r.Reasons()
	r.Event()
	r.SubscriptionState()
	r.SessionExpires()
	r.MinSE()
	r.RAck()
	r.ReferTo()
	r.ReferredBy()
	r.Replaces()
	r.Contact()
	r.ContactStar()
	r.ContentDisposition()
	r.RetryAfter()
	r.Accepts("application/sdp")
	r.Privacy()
	r.Date()
	_, _ = r.Contacts()
	_, _ = r.Vias()
	_, _ = r.NameAddrs("Route")
}

// FuzzURI: what is read is written and read again as the same URI, which equals itself.
func FuzzURI(f *testing.F) {
	for _, s := range []string{"sip:alice:pw@atlanta.com:5060;transport=tcp;lr?a=b&c=d", "sips:[2001:db8::1]", "tel:+1-201;phone-context=x", "mailto:a@b", "sip:%61#é@h;x=|"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := sip.ParseURI(s)
		if err != nil {
			return
		}
		out := u.String()
		v, err := sip.ParseURI(out)
		if err != nil || v != u {
			t.Fatalf("%q is %+v, written %q, read %+v, %v", s, u, out, v, err)
		}
		if !u.Equal(v) || strings.ContainsAny(out, "\r\n\x00 <>\"") {
			t.Errorf("%q", out)
		}
		if len(out) > 3*len(s) {
			t.Errorf("%d bytes became %d", len(s), len(out))
		}
	})
}

// FuzzNameAddr: what is read is written and read again as the same value.
func FuzzNameAddr(f *testing.F) {
	for _, s := range []string{`"A \"B\"" <sip:a@h;x=y>;tag=1;p="q,r"`, "sip:a@h;tag=2", "A B <tel:+1>", "<mailto:a@b> ; x = y", `""<sip:h>`, "\"\\\x00\" <sip:h>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := sip.ParseNameAddr(s)
		if err != nil {
			return
		}
		out := n.String()
		m, err := sip.ParseNameAddr(out)
		want := n
		want.Display = strings.Map(func(r rune) rune { // control characters leave as spaces
			if r < ' ' && r != '\t' || r == 0x7f {
				return ' '
			}
			return r
		}, n.Display)
		if strings.ToValidUTF8(n.Display, "") != n.Display { // which Map would change
			want.Display = m.Display
		}
		if err != nil || m != want {
			t.Fatalf("%q is %+v, written %q, read %+v, %v", s, n, out, m, err)
		}
		if tagged := m.WithTag("x y"); tagged.Tag() != "x y" || m.WithTag("").Tag() != "" {
			t.Errorf("%q tagged is %q", out, tagged)
		}
	})
}

// FuzzVia: what is read is written and read again as the same value.
func FuzzVia(f *testing.F) {
	for _, s := range []string{"SIP/2.0/WSS a.invalid;branch=z9hG4bK1;rport", "sip / 2.0 / UDP [::1] : 5060 ; x = \"y\"", "SIP/2.0/TCP h:1;received=::1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := sip.ParseVia(s)
		if err != nil {
			return
		}
		w, err := sip.ParseVia(v.String())
		if err != nil || w != v {
			t.Fatalf("%q is %+v, written %q, read %+v, %v", s, v, v, w, err)
		}
	})
}

// FuzzInjection fills every text of a message, through the setters and past them, and finds one message with
// the same number of fields.
func FuzzInjection(f *testing.F) {
	const evil = "a\r\nX-Evil: 1\r\n\r\nbody"
	f.Add(evil, "b", "c", uint8(0), 5060)
	f.Add("\"", "\\", ";", uint8(1), -1)
	f.Add("\x00", "<>", "\n", uint8(2), 1<<20)
	f.Add("\\\r", "%", "[", uint8(3), 0)
	f.Fuzz(func(t *testing.T, a, b, c string, turn uint8, port int) {
		if len(a)+len(b)+len(c) > 512 { // escaped, all together stay below MaxFieldBytes
			return
		}
		texts := []string{a, b, c}
		next := func() string { turn++; return texts[int(turn)%3] }
		uri := func() sip.URI {
			return sip.URI{Scheme: next(), User: next(), Password: next(), Host: next(), Port: port, Params: sip.Params(next()), Headers: next(), Opaque: next()}
		}
		addr := func() sip.NameAddr {
			n := sip.NameAddr{Display: next(), URI: uri(), Params: sip.Params(next())}
			n.Params = n.Params.With(next(), next()).WithFlag(next()).WithQuoted(next(), next())
			n.URI = n.URI.WithParam(next(), next()).WithHeader(next(), next())
			return n
		}
		via := sip.Via{Transport: next(), Host: next(), Port: port, Params: sip.Params(next())}
		req := sip.NewRequest(sip.Method(next()), uri())
		req.Force("Via", via.String())
		req.Force("From", addr().String())
		req.Force("To", addr().String())
		req.Force("Call-ID", "c")
		req.Force("CSeq", sip.CSeq{Seq: 1, Method: sip.Method(next())}.String())
		req.Force("Contact", addr().String())
		for name, value := range map[string]string{
			"Warning": sip.Warning{Code: port, Agent: next(), Text: next()}.String(), "Reason": sip.Reason{Protocol: next(), Cause: port, Text: next()}.String(),
			"Event": sip.Event{Package: next(), Params: sip.Params(next())}.String(), "Replaces": sip.Replaces{CallID: next(), ToTag: next(), FromTag: next()}.String(),
			"Session-Expires": sip.SessionExpires{Seconds: port, Refresher: next()}.String(), "X-Forced": next(),
		} {
			req.Force(name, value)
		}
		_ = req.SetHeader(next(), next())
		_ = req.AddHeader("X-"+next(), next())
		_ = req.PrependHeader("X-Y", next())
		_ = req.SetFrom(addr())
		_ = req.SetContact(addr(), addr())
		_ = req.SetRoute(addr())
		_ = req.PushVia(via)
		_ = req.SetBody(next(), []byte(next()))
		res := sip.NewResponse(req, sip.StatusCode(port), next())
		res.SetToTag(next())
		one(t, req)
		one(t, res)
	})
}

// one checks that m is written as one message with as many fields as it has.
func one(t *testing.T, m sip.Message) {
	t.Helper()
	want, length := 0, 1
	for f := range fieldsOf(m) {
		want++
		if f.Name == "Content-Length" {
			length = 0
		}
	}
	out := m.AppendTo(nil)
	head, body, _ := bytes.Cut(out, []byte("\r\n\r\n"))
	if n := bytes.Count(head, []byte("\n")); n != want+length || bytes.Count(head, []byte("\r\n")) != n || bytes.Count(head, []byte("\r")) != n {
		t.Errorf("%d fields are written as %d lines:\n%q", want+length, n, out)
	}
	if !bytes.Equal(body, m.Body()) || len(out) > m.Len() {
		t.Errorf("body %q, written %q; %d bytes of %d", m.Body(), body, len(out), m.Len())
	}
	again, err := sip.Parse(out)
	if err != nil {
		t.Fatalf("%v\n%q", err, out)
	}
	got := 0
	for range fieldsOf(again) {
		got++
	}
	if got != want+length {
		t.Errorf("%d fields are read back as %d:\n%q", want+length, got, out)
	}
}
