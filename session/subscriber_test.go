package session

import "testing"

// TestSubscriber is the subscription of a REFER of ours (RFC 3515 §2.4.4,
// RFC 6665 §4.1.2) in rows. What is not named is ignored.
func TestSubscriber(t *testing.T) {
	type row struct {
		from subscriberState
		in   subscriberInput
		to   subscriberState
		do   subscriberActions
	}
	all := subTell | subSettle | subForget
	rows := []row{
		{subReferring, subAgreed, subWaiting, 0},
		{subReferring, subSilent, subOver, subSettle | subForget},
		{subReferring, subRefused, subOver, subSettle | subForget},
		{subReferring, subNews, subReferring, subTell},
		{subReferring, subOutcome, subTold, subTell | subSettle},
		{subReferring, subLast, subOver, all},
		{subReferring, subLapsed, subOver, all},

		{subWaiting, subSilent, subOver, subSettle | subForget},
		{subWaiting, subRefused, subOver, subSettle | subForget},
		{subWaiting, subNews, subWaiting, subTell},
		{subWaiting, subOutcome, subTold, subTell | subSettle},
		{subWaiting, subLast, subOver, all},
		{subWaiting, subLapsed, subOver, all},

		{subTold, subSilent, subOver, subForget},
		{subTold, subRefused, subOver, subForget},
		{subTold, subLast, subOver, subForget},
		{subTold, subLapsed, subOver, subForget},
	}
	named := map[[2]uint8]row{}
	for _, r := range rows {
		named[[2]uint8{uint8(r.from), uint8(r.in)}] = r
	}
	for from := subReferring; from <= subOver; from++ {
		for in := subAgreed; in < numSubscriberInputs; in++ {
			want, ok := named[[2]uint8{uint8(from), uint8(in)}]
			if !ok {
				want = row{from, in, from, 0}
			}
			if to, do := from.step(in); to != want.to || do != want.do {
				t.Errorf("%v, %v: got %v, %b; want %v, %b", from, in, to, do, want.to, want.do)
			}
		}
	}
}
