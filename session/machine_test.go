package session

import "testing"

// TestOfferAnswer is the table of RFC 6337 §2 and §3 in rows: state, input,
// next state, action. What is not named is ignored, which the test checks too.
func TestOfferAnswer(t *testing.T) {
	type row struct {
		from oaState
		in   oaInput
		to   oaState
		do   oaAction
	}
	rows := []row{
		{oaStable, oaWant, oaMakingOffer, oaMakeOffer},
		{oaStable, oaOfferCame, oaAnswering, oaMakeAnswer},

		{oaMakingOffer, oaOfferMade, oaOffered, oaSendOffer},
		{oaMakingOffer, oaMediaFailed, oaStable, oaFail},
		{oaMakingOffer, oaOfferCame, oaMakingOffer, oaRefuseGlare},
		{oaMakingOffer, oaWant, oaMakingOffer, oaPending},

		{oaOffered, oaEarlyCame, oaEarly, oaApplyEarly},
		{oaOffered, oaAnswerCame, oaApplying, oaApply},
		{oaOffered, oaRefused, oaStable, oaAbandon},
		{oaOffered, oaOfferCame, oaOffered, oaRefuseGlare},
		{oaOffered, oaWant, oaOffered, oaPending},

		{oaEarly, oaApplied, oaOffered, oaNothing},
		{oaEarly, oaMediaFailed, oaOffered, oaNothing},
		{oaEarly, oaAnswerCame, oaEarly, oaKeepAnswer},
		{oaEarly, oaRefused, oaEarly, oaNothing},
		{oaEarly, oaOfferCame, oaEarly, oaRefuseGlare},
		{oaEarly, oaWant, oaEarly, oaPending},

		{oaApplying, oaApplied, oaStable, oaDone},
		{oaApplying, oaMediaFailed, oaStable, oaFail},
		{oaApplying, oaOfferCame, oaApplying, oaRefuseGlare},
		{oaApplying, oaWant, oaApplying, oaPending},

		{oaAnswering, oaAnswerMade, oaStable, oaSendAnswer},
		{oaAnswering, oaMediaFailed, oaStable, oaRefuse},
		{oaAnswering, oaOfferCame, oaAnswering, oaRefuseLater},
		{oaAnswering, oaWant, oaAnswering, oaPending},

		{oaClosed, oaWant, oaClosed, oaFail},
		{oaClosed, oaOfferCame, oaClosed, oaFail},
	}
	named := map[[2]uint8]row{}
	for _, r := range rows {
		named[[2]uint8{uint8(r.from), uint8(r.in)}] = r
	}
	for from := oaStable; from <= oaClosed; from++ {
		for in := oaWant; in <= oaEnd; in++ {
			want, ok := named[[2]uint8{uint8(from), uint8(in)}]
			if !ok {
				want = row{from, in, from, oaNothing}
			}
			if in == oaEnd {
				want.to = oaClosed
			}
			m := offerAnswer{state: from}
			if got := m.step(in); got != want.do || m.state != want.to {
				t.Errorf("%v + %v: %v, %v; want %v, %v", from, in, m.state, got, want.to, want.do)
			}
		}
	}
}

// TestOfferAnswerOvertaken: what comes while a provisional answer is being
// applied happens after it.
func TestOfferAnswerOvertaken(t *testing.T) {
	for _, tt := range []struct {
		kept oaInput
		to   oaState
		do   oaAction
	}{
		{oaAnswerCame, oaApplying, oaApply},
		{oaRefused, oaStable, oaAbandon},
	} {
		for _, media := range []oaInput{oaApplied, oaMediaFailed} {
			m := offerAnswer{state: oaOffered}
			m.step(oaEarlyCame)
			m.step(tt.kept)
			if got := m.step(media); got != tt.do || m.state != tt.to {
				t.Errorf("early, %v, %v: %v, %v; want %v, %v", tt.kept, media, m.state, got, tt.to, tt.do)
			}
		}
	}
}

// TestUsage is the table of the INVITE usage: RFC 3261 §13 to §15 and the
// races of RFC 5407. What is not named changes nothing.
func TestUsage(t *testing.T) {
	type row struct {
		from State
		in   usageInput
		to   State
		do   usageActions
	}
	const over = doEnd | doRelease
	rows := []row{
		{Preparing, inOfferReady, Calling, doInvite},
		{Preparing, inHangup, Terminated, over},
		{Preparing, inMediaFailed, Terminated, over},
		{Preparing, inRingTimeout, Terminated, over},
		{Preparing, inFailure, Terminated, over},

		{Calling, inEarly, Early, 0},
		{Calling, inSuccess, Confirmed, doACK | doUp},
		{Calling, inRedirect, Preparing, 0},
		{Calling, inFailure, Terminated, over},
		{Calling, inHangup, Terminating, doCancel | doEnd},
		{Calling, inRingTimeout, Terminating, doCancel | doEnd},
		{Calling, inMediaFailed, Terminating, doCancel | doEnd},

		{Early, inEarly, Early, 0},
		{Early, inSuccess, Confirmed, doACK | doUp},
		{Early, inRedirect, Preparing, 0},
		{Early, inFailure, Terminated, over},
		{Early, inHangup, Terminating, doCancel | doEnd},
		{Early, inRingTimeout, Terminating, doCancel | doEnd},
		{Early, inMediaFailed, Terminating, doCancel | doEnd},

		{Ringing, inAnswer, Answering, doMakeAnswer},
		{Ringing, inReject, Terminated, doRefuse | over},
		{Ringing, inCancel, Terminated, doRefuse | over},
		{Ringing, inNoAnswer, Terminated, doRefuse | over},
		{Ringing, inHangup, Terminated, doRefuse | over},
		{Ringing, inMediaFailed, Terminated, doRefuse | over},
		{Ringing, inBye, Terminated, doRefuse | over},
		{Ringing, inLost, Terminated, over},

		{Answering, inAnswerReady, Accepted, doAccept},
		{Answering, inReject, Terminated, doRefuse | over},
		{Answering, inCancel, Terminated, doRefuse | over},
		{Answering, inNoAnswer, Terminated, doRefuse | over},
		{Answering, inHangup, Terminated, doRefuse | over},
		{Answering, inMediaFailed, Terminated, doRefuse | over},
		{Answering, inBye, Terminated, doRefuse | over},
		{Answering, inLost, Terminated, over},

		{Accepted, inACK, Confirmed, doUp},
		{Accepted, inNoACK, Terminating, doBye | doEnd},
		{Accepted, inLost, Terminating, doBye | doEnd},
		{Accepted, inBye, Terminated, over},
		{Accepted, inHangup, Terminating, doEnd},
		{Accepted, inMediaFailed, Terminating, doEnd},
		{Accepted, inDialogGone, Terminating, doEnd},

		{Confirmed, inNoACK, Terminating, doBye | doEnd},
		{Confirmed, inBye, Terminated, over},
		{Confirmed, inHangup, Terminating, doBye | doEnd},
		{Confirmed, inMediaFailed, Terminating, doBye | doEnd},
		{Confirmed, inDialogGone, Terminating, doBye | doEnd},

		{Terminating, inSuccess, Terminating, doACK | doBye},
		{Terminating, inFailure, Terminated, doRelease},
		{Terminating, inWireDone, Terminated, doRelease},
		{Terminating, inClose, Terminated, doRelease},

		{Terminated, inSuccess, Terminated, doACK | doBye},
		{Terminated, inClose, Terminated, 0},
	}
	named := map[[2]uint8]row{}
	for _, r := range rows {
		named[[2]uint8{uint8(r.from), uint8(r.in)}] = r
	}
	for from := Preparing; from <= Terminated; from++ {
		for in := range numUsageInputs {
			want, ok := named[[2]uint8{uint8(from), uint8(in)}]
			switch {
			case ok:
			case in == inClose:
				want = row{from, in, Terminated, over}
			default:
				want = row{from, in, from, 0}
			}
			u := usage{state: from, accepted: from == Accepted}
			if got := u.step(in); got != want.do || u.state != want.to {
				t.Errorf("%v + %v: %v, %#x; want %v, %#x", from, in, u.state, got, want.to, want.do)
			}
		}
	}
}

// TestUsageByeWaitsForACK: the callee who hangs up before the ACK sends its
// BYE with the ACK, or when none came (RFC 3261 §15), and none at all when the
// caller's is faster.
func TestUsageByeWaitsForACK(t *testing.T) {
	type step struct {
		in usageInput
		do usageActions
	}
	for _, end := range []usageInput{inHangup, inMediaFailed, inDialogGone} {
		for _, last := range [][]step{
			{{inACK, doBye}, {inACK, 0}, {inWireDone, doRelease}},
			{{inNoACK, doBye}, {inNoACK, 0}, {inWireDone, doRelease}},
			{{inBye, doRelease}, {inACK, 0}},
		} {
			u := usage{state: Answering}
			for _, step := range append([]step{{inAnswerReady, doAccept}, {end, doEnd}}, last...) {
				if got := u.step(step.in); got != step.do {
					t.Errorf("%v, %v: %#x, want %#x", end, step.in, got, step.do)
				}
			}
		}
	}
}
