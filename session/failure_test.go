package session

import (
	"testing"
	"time"

	"github.com/gosipua/sipua/sip"
)

// TestToll is RFC 5057 §5.1 table 2 by method: each code that does more than
// fail its request, with the methods where it does.
func TestToll(t *testing.T) {
	const unknown sip.Method = "JUMP"
	methods := []sip.Method{
		sip.INVITE, sip.UPDATE, sip.PRACK, sip.INFO, sip.BYE, sip.CANCEL, sip.REFER,
		sip.MESSAGE, sip.OPTIONS, sip.NOTIFY, sip.SUBSCRIBE, unknown,
	}
	const ( // who pays: n the request alone, u its usage, D the dialog
		target   = "D D D D D n n D D D D D" // note 2
		aberrant = "D D D D D n D D D D D D" // notes 9, 10, 14
		gone     = "u u u u u n u u u u u u" // note 8
		unable   = "u n u n u n n n n u u n" // note 3
		event    = "n n n n u n n n n u u n" // note 12
		away     = "u u u u u n n n n u u n" // note 7
		silent   = "u u u u u n n n n u n n" // note 4, §5.2
		harmless = "n n n n u n n n n n n n"
	)
	want := map[sip.StatusCode]string{
		404: target, 410: target, 416: target, 484: target, 485: target, 604: target,
		482: aberrant, 483: aberrant, 502: aberrant,
		481: gone,
		405: unable, 501: unable,
		489: event,
		480: away,
		408: silent, 430: silent,
	}
	for code := sip.StatusCode(300); code < 700; code++ {
		row := want[code]
		if row == "" {
			row = harmless
		}
		for i, method := range methods {
			expected := map[byte]toll{'n': tollNone, 'u': tollUsage, 'D': tollDialog}[row[2*i]]
			if got := tollOf(method, code); got != expected {
				t.Errorf("%d to %s ends the %v, want the %v", code, method, got, expected)
			}
			again := (code == 408 || code == 430 || code == 480) && method != sip.BYE && method != sip.CANCEL
			if got := passing(method, code); got != again {
				t.Errorf("%d to %s is passing: %v, want %v", code, method, got, again)
			}
		}
	}
}

// TestPauses: 1, 2, 4, then 8 s, each shorter by up to a quarter.
func TestPauses(t *testing.T) {
	for range 100 {
		p := patience{}
		for i, limit := range []time.Duration{1, 2, 4, 8, 8, 8} {
			limit *= time.Second
			if got := p.pause(); got > limit || got <= limit*3/4 {
				t.Errorf("pause %d is %v, want %v or up to a quarter less", i, got, limit)
			}
		}
	}
}
