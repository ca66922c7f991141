//go:build interop

package interop_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
)

// TestCallHangup: either side hangs up a call that either side made, by each way that Kamailio has for a BYE.
//
// Only a proxy of others' making can judge our Contact, route set and dialog identifiers: a BYE that it cannot place
// it answers 404, and one that JsSIP cannot place 481.
func TestCallHangup(t *testing.T) {
	t.Parallel()
	for _, w := range []struct {
		name string
		opts kamailioOptions
	}{
		{"GRUU and flow token", kamailioOptions{}},
		{"flow token", kamailioOptions{NoGRUU: true}},
		{"GRUU", kamailioOptions{NoOutbound: true}},
		{"alias", kamailioOptions{NoGRUU: true, NoOutbound: true}},
	} {
		t.Run(w.name, func(t *testing.T) {
			k := startKamailio(t, w.opts)
			alice, bob := newUA(t, k, "alice", sipua.Config{}), newPage(t, k, "bob")
			for _, c := range []struct{ byUs, weEnd bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
				ours, theirs := connected(t, alice, bob, c.byUs, rtc.Options{})
				if c.weEnd {
					ours.hangup()
				} else {
					theirs.hangup()
				}
				want := "local"
				if c.weEnd {
					want = "remote"
				}
				if e := theirs.waitEvent("ended"); e.Originator != want || e.Cause != "Terminated" {
					t.Errorf("%+v: page: ended by %s: %s", c, e.Originator, e.Cause)
				}
				if end := ours.waitEnd(); end.Kind != session.EndBye || end.Remote == c.weEnd || end.Cause() != "Terminated" {
					t.Errorf("%+v: ended with %+v", c, end)
				}
			}
			if n := k.logged(t, "NOROUTE:") + k.logged(t, "UNDELIVERED:"); n != 0 {
				t.Errorf("Kamailio knew no way for %d requests", n)
			}
		})
	}
}

// TestCallShutdown: Shutdown hangs up and un-registers before it closes the socket.
//
// Only a foreign server can judge that the BYE and the un-REGISTER were whole before the connection went.
func TestCallShutdown(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob := newUA(t, k, "alice", sipua.Config{}), newPage(t, k, "bob")
	_, theirs := connected(t, alice, bob, true, rtc.Options{})
	if err := alice.Shutdown(step(t)); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if e := theirs.waitEvent("ended"); e.Originator != "remote" {
		t.Errorf("ended by %s", e.Originator)
	}
	if b := k.bindings(t, "alice"); len(b) != 0 {
		t.Errorf("still bound: %+v", b)
	}
}

// TestCallRefused: JsSIP, Kamailio and we refuse calls; the caller learns the status.
//
// Only foreign peers can judge our refusals as a caller sees them through a proxy, and show us theirs.
func TestCallRefused(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob := newUA(t, k, "alice", sipua.Config{}), newPage(t, k, "bob")

	refused := func(t *testing.T, err error, status sip.StatusCode, cause string) {
		t.Helper()
		var end *session.EndError
		if !errors.As(err, &end) {
			t.Fatalf("error %v, want an EndError", err)
		}
		if end.Kind != session.EndRejected || !end.Remote || sip.StatusOf(err) != status || !errors.Is(err, status) || end.Cause() != cause {
			t.Errorf("ended with %+v (%v), status %v, cause %q; want %v %q", end, end, sip.StatusOf(err), end.Cause(), status, cause)
		}
	}
	for status, cause := range map[sip.StatusCode]string{
		sip.StatusBusyHere: "Busy", sip.StatusDecline: "Rejected", sip.StatusTemporarilyUnavailable: "Unavailable",
	} {
		t.Run("JsSIP refuses with "+status.Error(), func(t *testing.T) {
			ours := alice.invite("bob", session.CallOptions{}, rtc.Options{})
			bob.waitCall().reject(int(status))
			refused(t, ours.WaitAnswered(step(t)), status, cause)
			ours.waitEnd()
		})
		t.Run("we refuse with "+status.Error(), func(t *testing.T) {
			theirs := bob.call(aor("alice"), callOptions{})
			in := alice.waitCall()
			if err := in.Reject(status, nil); err != nil {
				t.Fatal(err)
			}
			if e := theirs.waitEvent("failed"); e.Status != int(status) || e.Cause != cause || e.Originator != "remote" {
				t.Errorf("page: %+v, want %d %s", e, status, cause)
			}
			if end := waitEnd(t, in.Context()); end.Kind != session.EndRejected || end.Remote {
				t.Errorf("our side ended with %+v", end)
			}
		})
	}
	for user, want := range map[string]struct {
		status sip.StatusCode
		cause  string
	}{
		"st603": {sip.StatusDecline, "Rejected"}, "st503": {sip.StatusServiceUnavailable, "SIP Failure Code"},
		"carol": {sip.StatusTemporarilyUnavailable, "Unavailable"}, "nobody": {sip.StatusNotFound, "Not Found"},
	} {
		t.Run("Kamailio refuses "+user, func(t *testing.T) {
			_, err := alice.Call(step(t), user, nil)
			refused(t, err, want.status, want.cause)
		})
	}
	t.Run("we redirect", func(t *testing.T) {
		theirs := bob.call(aor("alice"), callOptions{})
		carol, err := sip.ParseURI(aor("carol"))
		if err != nil {
			t.Fatal(err)
		}
		if err := alice.waitCall().Redirect(sip.NameAddr{URI: carol}); err != nil {
			t.Fatal(err)
		}
		if e := theirs.waitEvent("failed"); e.Status != 302 || e.Cause != "Redirected" {
			t.Errorf("page: %+v, want 302 Redirected", e)
		}
	})
}

// TestCallRedirected: Kamailio sends us elsewhere, and there we go where we let it.
//
// Only a foreign server can judge the INVITE to another address in the same call, which it challenges again.
func TestCallRedirected(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob := newUA(t, k, "alice", sipua.Config{}), newPage(t, k, "bob")
	_, err := alice.Call(step(t), "st302", nil)
	var end *session.EndError
	if !errors.As(err, &end) || sip.StatusOf(err) != 302 || len(end.Contacts()) != 1 || end.Contacts()[0].URI.String() != aor("bob") {
		t.Errorf("redirected with %+v, want 302 to bob", err)
	}
	ours := alice.invite("st302", session.CallOptions{Redirect: session.FollowContacts}, rtc.Options{})
	theirs := bob.waitCall()
	theirs.answer()
	ours.waitAnswered()
	theirs.waitAudio(25)
	ours.hangup()
	theirs.waitEvent("ended")
}

// TestCallBusy: beyond MaxCalls the caller hears busy, while the first call goes on.
//
// Only a foreign caller can judge what it makes of our refusal.
func TestCallBusy(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice := newUA(t, k, "alice", sipua.Config{MaxCalls: 1})
	bob, carol := newPage(t, k, "bob"), newPage(t, k, "carol")
	ours, theirs := connected(t, alice, bob, false, rtc.Options{})
	if e := carol.call(aor("alice"), callOptions{}).waitEvent("failed"); e.Status != 486 || e.Cause != "Busy" {
		t.Errorf("page: %+v, want 486 Busy", e)
	}
	theirs.waitAudio(20)
	ours.hangup()
	theirs.waitEvent("ended")
}

// TestCallNoAnswer: nobody answers, at either end.
//
// Only a foreign peer can judge that our 480, and our CANCEL after RingTimeout, end the ringing there.
func TestCallNoAnswer(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob := newUA(t, k, "alice", sipua.Config{NoAnswerTimeout: time.Second}), newPage(t, k, "bob")

	theirs := bob.call(aor("alice"), callOptions{})
	in := alice.waitCall()
	if e := theirs.waitEvent("progress"); e.Status != 180 {
		t.Errorf("progress with %d, want 180", e.Status)
	}
	if e := theirs.waitEvent("failed"); e.Status != 480 || e.Cause != "Unavailable" {
		t.Errorf("page: %+v, want 480 Unavailable", e)
	}
	if end := waitEnd(t, in.Context()); end.Kind != session.EndNoAnswer {
		t.Errorf("our side ended with %+v", end)
	}

	ours := alice.invite("bob", session.CallOptions{RingTimeout: time.Second}, rtc.Options{})
	ringing := bob.waitCall()
	if e := ringing.waitEvent("failed"); e.Cause != "Canceled" || e.Originator != "remote" {
		t.Errorf("page: %+v, want Canceled", e)
	}
	if end := ours.waitEnd(); end.Kind != session.EndNoAnswer {
		t.Errorf("our side ended with %+v", end)
	}
}

// TestCallCanceled: the caller gives up while the other side rings.
//
// Only a foreign transaction layer can judge that our CANCEL matches its INVITE after an authentication in between, and
// whether our 200 and 487 to its own are what it waits for.
func TestCallCanceled(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob := newUA(t, k, "alice", sipua.Config{}), newPage(t, k, "bob")

	canceled := func(t *testing.T, theirs *pageCall) {
		t.Helper()
		if e := theirs.waitEvent("failed"); e.Cause != "Canceled" || e.Originator != "remote" {
			t.Errorf("page: %+v, want Canceled", e)
		}
	}
	t.Run("by our Hangup", func(t *testing.T) {
		ours := alice.invite("bob", session.CallOptions{}, rtc.Options{})
		theirs := bob.waitCall()
		if status := next(t, "a provisional response", ours.rings); status != 180 {
			t.Errorf("progress with %d, want 180", status)
		}
		ours.hangup()
		canceled(t, theirs)
		if end := ours.waitEnd(); end.Kind != session.EndCanceled || end.Remote {
			t.Errorf("our side ended with %+v", end)
		}
	})
	t.Run("by the end of Call's context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		outcome := make(chan error, 1)
		go func() {
			_, err := alice.Call(ctx, "bob", nil)
			outcome <- err
		}()
		theirs := bob.waitCall()
		cancel()
		if err := next(t, "the return of Call", outcome); !errors.Is(err, context.Canceled) {
			t.Errorf("Call: %v, want context.Canceled", err)
		}
		canceled(t, theirs)
		eventually(t, "the end of the call", func() bool { return len(alice.Calls()) == 0 })
	})
	t.Run("before anything rings", func(t *testing.T) {
		ours := alice.invite("bob", session.CallOptions{}, rtc.Options{})
		ours.hangup()
		if end := ours.waitEnd(); end.Kind != session.EndCanceled {
			t.Errorf("our side ended with %+v", end)
		}
	})
	t.Run("by JsSIP", func(t *testing.T) {
		theirs := bob.call(aor("alice"), callOptions{})
		in := alice.waitCall()
		theirs.waitEvent("progress")
		theirs.hangup()
		if end := waitEnd(t, in.Context()); end.Kind != session.EndCanceled || !end.Remote {
			t.Errorf("our side ended with %+v", end)
		}
		if _, err := in.Answer(step(t), nil); err == nil {
			t.Error("a canceled call was answered")
		}
		eventually(t, "487 at the page", func() bool { return len(bob.received("SIP/2.0 487")) > 0 })
		if n := len(bob.sent("CANCEL")); n != 1 || !strings.HasPrefix(bob.received("SIP/2.0 487")[0], "SIP/2.0 487 Request Terminated\r\n") {
			t.Errorf("%d CANCELs, answer %q", n, bob.received("SIP/2.0 487"))
		}
	})
}

// TestCallRaces: one side answers as the other gives up. Whoever wins, both know that the call is over, and nothing is left.
//
// Only foreign peers and a proxy in between bring CANCEL, 200 and ACK in all the orders that they can have.
func TestCallRaces(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob := newUA(t, k, "alice", sipua.Config{}), newPage(t, k, "bob")
	for i := range 4 {
		ours := alice.invite("bob", session.CallOptions{}, rtc.Options{})
		theirs := bob.waitCall()
		theirs.answer()
		time.Sleep(time.Duration(i) * 50 * time.Millisecond) // JsSIP takes about 150 ms
		ours.hangup()
		e, end := theirs.waitOver(), ours.waitEnd()
		t.Logf("we gave up %d ms after the answer: page: %s by %s, ours: %v", 50*i, e.Cause, e.Originator, end.Kind)
		if e.Originator != "remote" || end.Remote {
			t.Errorf("page: %s by %s, ours: %+v", e.Cause, e.Originator, end)
		}
	}
	// JsSIP that has sent a CANCEL does not acknowledge a 200 any more, so here both ends are ours.
	carol := newUA(t, k, "carol", sipua.Config{})
	for i := range 6 {
		ours := alice.invite("carol", session.CallOptions{}, rtc.Options{})
		in := carol.waitCall()
		next(t, "a provisional response", ours.rings)
		answered := make(chan error, 1)
		go func() {
			_, err := in.Answer(t.Context(), nil)
			answered <- err
		}()
		time.Sleep(time.Duration(i) * time.Millisecond) // it takes a few
		ours.hangup()
		err := next(t, "the return of Answer", answered)
		caller, callee := ours.waitEnd(), waitEnd(t, in.Context())
		t.Logf("given up %d ms after the answer: Answer: %v, caller: %v, callee: %v", i, err, caller.Kind, callee.Kind)
		if caller.Remote || !callee.Remote {
			t.Errorf("caller: %+v, callee: %+v", caller, callee)
		}
	}
	eventually(t, "no call left at the callee", func() bool { return len(carol.Calls()) == 0 })
	eventually(t, "no call left", func() bool { return len(alice.Calls()) == 0 })
}

// TestCallProgress: what we say before we answer reaches the caller.
//
// Only a foreign caller can judge provisional responses that went through a proxy.
func TestCallProgress(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob := newUA(t, k, "alice", sipua.Config{}), newPage(t, k, "bob")
	theirs := bob.call(aor("alice"), callOptions{Headers: []string{"X-Test: seen"}})
	in := alice.waitCall()
	if got := in.Request().Header("X-Test"); got != "seen" || in.From().URI.String() != aor("bob") {
		t.Errorf("INVITE from %v with X-Test %q", in.From(), got)
	}
	if e := theirs.waitEvent("progress"); e.Status != 180 {
		t.Errorf("progress with %d, want 180", e.Status)
	}
	if err := in.Progress(&session.ProgressOptions{Code: 182, Reason: "Two before you"}); err != nil {
		t.Fatal(err)
	}
	if e := theirs.waitEvent("progress"); e.Status != 182 || e.Reason != "Two before you" {
		t.Errorf("progress with %d %s", e.Status, e.Reason)
	}
	ours := alice.answer(in, rtc.Options{})
	theirs.waitEvent("confirmed")
	ours.hangup()
	theirs.waitEvent("ended")
}
