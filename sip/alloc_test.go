package sip_test

import (
	"testing"

	"github.com/gosipua/sipua/sip"
)

// The budgets: parsing copies head and body and makes the message and its fields, nothing else.
func TestAllocations(t *testing.T) {
	for _, name := range fixtures {
		data := fixture(t, name)
		if n := testing.AllocsPerRun(100, func() { _, _ = sip.Parse(data) }); n > 4 {
			t.Errorf("%s: %v allocations to parse", name, n)
		}
		m := mustParse(t, data)
		if n := testing.AllocsPerRun(100, func() { m.AppendTo(nil) }); n > 1 {
			t.Errorf("%s: %v allocations to write", name, n)
		}
		buf := make([]byte, 0, m.Len())
		if n := testing.AllocsPerRun(100, func() { buf = m.AppendTo(buf[:0]) }); n > 0 {
			t.Errorf("%s: %v allocations to write into room", name, n)
		}
		if n := testing.AllocsPerRun(100, func() {
			_, _, _, _, _ = m.Via().Branch(), m.From().Tag(), m.To().Tag(), m.CallID(), m.CSeq()
			_ = m.Header("max-forwards")
		}); n > 0 {
			t.Errorf("%s: %v allocations to read the fields every layer asks for", name, n)
		}
		if r, ok := m.(*sip.Request); ok {
			if n := testing.AllocsPerRun(100, func() { r.Check() }); n > 0 {
				t.Errorf("%s: %v allocations to check", name, n)
			}
			if n := testing.AllocsPerRun(100, func() { r.Clone() }); n > 2 {
				t.Errorf("%s: %v allocations to clone", name, n)
			}
			if n := testing.AllocsPerRun(100, func() { sip.NewResponse(r, sip.StatusOK, "") }); n > 2 {
				t.Errorf("%s: %v allocations to make a response", name, n)
			}
		}
	}
	for _, s := range []string{"sip:alice:pw@example.com:5060;transport=ws;lr?a=b", "tel:+1-555;x=y"} {
		if n := testing.AllocsPerRun(100, func() { _, _ = sip.ParseURI(s) }); n > 0 {
			t.Errorf("%v allocations for %s", n, s)
		}
	}
	u := mustURI(t, "sip:%61lice@example.com;transport=ws;lr")
	v := mustURI(t, "sip:alice@example.com;transport=WS")
	if n := testing.AllocsPerRun(100, func() {
		if !u.Equal(v) {
			t.Error("not equal")
		}
	}); n > 0 {
		t.Errorf("%v allocations to compare URIs", n)
	}
}
