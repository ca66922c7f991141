//go:build interop

package interop_test

import (
	"testing"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
)

// TestSIPpAnswers: we call sipp, which does what no phone does on demand.
//
// Only a foreign peer that holds to its script to the letter can judge each single message of ours: sipp fails at one
// that is missing, at one too many, and at one out of turn.
func TestSIPpAnswers(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	pcmu := rtc.Options{Codecs: []string{"PCMU"}}

	for _, c := range []struct {
		scenario string
		sipp     []string
		options  session.CallOptions
		then     func(ours *uaCall) // nil: we hang up
	}{
		{scenario: "answers-repeated-200", sipp: []string{"-nr"}, then: func(ours *uaCall) {
			eventually(ours.u.t, "an ACK to each 200", func() bool {
				return len(ours.u.received("SIP/2.0 200"))-1 == 3 && len(ours.u.sent("ACK"))-1 == 3 // REGISTER and 407 have theirs
			})
			ours.hangup()
		}},
		{scenario: "answers-late-offer", options: session.CallOptions{LateOffer: true}},
		{scenario: "answers-bye-crossing"},
		{scenario: "answers-100rel"},
		{scenario: "answers-422"},
		{scenario: "answers-302", options: session.CallOptions{Redirect: session.FollowContacts}},
		{scenario: "answers-glare", then: func(ours *uaCall) {
			ours.do("Hold", ours.Hold)
			ours.wantHold(true, false)
			ours.hangup()
		}},
	} {
		t.Run(c.scenario, func(t *testing.T) {
			alice := newUA(t, k, "alice", sipua.Config{})
			far := startSIPp(t, k, c.scenario, "", c.sipp...)
			ours := alice.invite(far.Target, c.options, pcmu)
			ours.waitAnswered()
			if c.then == nil {
				ours.hangup()
			} else {
				c.then(ours)
			}
			if end := ours.waitEnd(); end.Kind != session.EndBye {
				t.Errorf("ended with %+v", end)
			}
			far.wait()
		})
	}
	t.Run("answers-cancel-200", func(t *testing.T) {
		alice := newUA(t, k, "alice", sipua.Config{})
		far := startSIPp(t, k, "answers-cancel-200", "")
		ours := alice.invite(far.Target, session.CallOptions{}, pcmu)
		if status := next(t, "a provisional response", ours.rings); status != 180 {
			t.Errorf("progress with %d, want 180", status)
		}
		ours.hangup()
		if end := ours.waitEnd(); end.Kind != session.EndCanceled || end.Remote {
			t.Errorf("ended with %+v", end)
		}
		far.wait()
	})
}

// TestSIPpCalls: sipp calls us.
//
// Only a foreign peer that holds to its script to the letter can judge each single message of ours, as in
// [TestSIPpAnswers].
func TestSIPpCalls(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	for i, c := range []struct {
		scenario string
		sipp     []string
		before   func(t *testing.T, us *testUA, in *session.Incoming) // nil: we answer at once
		theyEnd  bool
	}{
		{scenario: "calls-late-offer"},
		{scenario: "calls-100rel", sipp: []string{"-nr"}, before: func(t *testing.T, us *testUA, in *session.Incoming) {
			eventually(t, "the PRACK of 180", func() bool { return len(us.received("PRACK")) == 1 })
			err := in.Progress(&session.ProgressOptions{EarlyMedia: true, Media: rtc.New(rtc.Options{Codecs: []string{"PCMU"}})})
			if err != nil {
				t.Error(err)
			}
			eventually(t, "our 183", func() bool { return len(us.sent("SIP/2.0 183")) > 0 })
		}},
		{scenario: "calls-422"},
		{scenario: "calls-delayed-ack", sipp: []string{"-nr"}},
		{scenario: "calls-cancel-200", theyEnd: true},
	} {
		t.Run(c.scenario, func(t *testing.T) {
			us := newUA(t, k, users[i%len(users)], sipua.Config{}) // the binding of the one before may still be there
			far := startSIPp(t, k, c.scenario, us.User, c.sipp...)
			in := us.waitCall()
			if c.before != nil {
				c.before(t, us, in)
			}
			ours := us.answer(in, rtc.Options{Codecs: []string{"PCMU"}})
			ours.waitAnswered()
			if !c.theyEnd {
				ours.hangup()
			}
			if end := ours.waitEnd(); end.Kind != session.EndBye || end.Remote != c.theyEnd {
				t.Errorf("ended with %+v", end)
			}
			far.wait()
		})
	}
}
