package session_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// jssip is what JsSIP 3.13 gets wrong about calls, and which tests show that we
// do not: functions of this package, of the directory before the colon, or a
// flow of a ladder ("testdata/x.golden: name"). Registration, subscriptions and
// the defaults of a configuration (its bugs 10, 17 to 19, 25, 29) are other
// packages' business.
var jssip = []struct {
	bug   string
	tests []string
}{
	{"1: a re-INVITE that gets 491 is carried out all the same", []string{"TestGlare", "testdata/rfc5407.golden: 3.3.1 re-INVITEs cross, we as caller"}},
	{"2: after 491 the old CSeq goes again, always after 1 s", []string{"TestGlareDelays", "testdata/rfc5407.golden: 3.3.1 re-INVITEs cross, we as callee"}},
	{"3: another fork's 2xx is acknowledged, and hung up, in the good dialog", []string{"TestSecondForkIsEndedOnItsOwnDialog", "testdata/rfc5407.golden: Appendix E, figure 6: two forks answer without ringing"}},
	{"4: a 200 that crosses CANCEL gets neither ACK nor BYE", []string{"TestAnswerBeatsCancel", "testdata/rfc5407.golden: 3.1.2 caller: the 200 crosses our CANCEL"}},
	{"5: Replaces has the tags the wrong way round for a call that came in", []string{"TestAttendedTransfer", "TestReplaced"}},
	{"6: the password is gone after the first challenge", []string{"../sip/core: TestSeveralRealms"}},
	{"7: the remote target does not follow 2xx and UPDATE", []string{"TestRemoteTargetFromResponses", "TestRemoteTargetFromRequests"}},
	{"8: a refused NOTIFY does not end its subscription", []string{"TestNotifyRefused"}},
	{"9: a NOTIFY without Event breaks the call", []string{"TestNotifyThatCannotBeRead"}},
	{"11: a session refresh that is skipped once never comes", []string{"TestSkippedRefresh", "TestRefreshAfterTheirOffer"}},
	{"12: a closed user agent goes on sending", []string{"..: TestAfterTheEnd"}},
	{"13: an offer that fails counts as agreed, and no further one can be made", []string{"TestUnusableReoffer", "TestFailedReinviteLeavesTheCall", "rtc: TestRefusedOffer"}},
	{"14: INFO in an early dialog is allowed and then throws", []string{"TestInfoInEarlyDialogKeepsTheACK"}},
	{"15: a body in a response is always called SDP", []string{"TestBodyOfRefusalKeepsItsType"}},
	{"16: an offer of the far end's is told twice", []string{"TestOfferIsToldOnce"}},
	{"20: of several challenges the last one counts", []string{"../sip/core: TestServersOrder"}},
	{"21: a token overwrites the digest", []string{"../sip/core: TestToken", "../sip/core: TestOwnAuthorization"}},
	{"22: Replaces that names a subscription throws", []string{"TestReplacesRefused"}},
	{"23: a repeated request is dropped before its answer can be repeated", []string{"../sip/transaction: TestServerInvite", "../sip/transaction: TestServerNonInvite"}},
	{"24: 299 after CANCEL is no success", []string{"TestEach2xxAfterCancelIsHungUp"}},
	{"26: a re-INVITE without an answer ends the call", []string{"TestReinviteNeverAnswered", "TestReinviteAnsweredOnNextFlow"}},
	{"27: whatever body a response has is taken for SDP", []string{"TestBodyOfResponseThatIsNoSDP", "TestBodies"}},
	{"28: a 200 without SDP is the far end's bad description", []string{"TestUnusableAnswer", "TestFailedCallSaysWhyInBYE"}},
}

// TestJsSIPBugsAreTested: each test of the table exists.
func TestJsSIPBugsAreTested(t *testing.T) {
	known := map[string]map[string]bool{}
	for _, b := range jssip {
		for _, name := range b.tests {
			where, test := ".", name
			if before, after, ok := strings.Cut(name, ": "); ok {
				where, test = before, after
			}
			if known[where] == nil {
				known[where] = testsOf(t, where)
			}
			if !known[where][test] {
				t.Errorf("bug %s: no %s in %s", b.bug, test, where)
			}
		}
	}
}

// testsOf are the test functions in a directory, or the flows in a ladder file.
func testsOf(t *testing.T, where string) map[string]bool {
	tests := map[string]bool{}
	if strings.HasSuffix(where, ".golden") {
		text, err := os.ReadFile(where)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(text), "\n") {
			if name, ok := strings.CutPrefix(line, "## "); ok {
				tests[name] = true
			}
		}
		return tests
	}
	files, err := filepath.Glob(filepath.Join(where, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				tests[f.Name.Name] = true
			}
		}
	}
	return tests
}

// TestEach2xxAfterCancelIsHungUp, also one at the end of the class.
func TestEach2xxAfterCancelIsHungUp(t *testing.T) {
	for _, code := range []sip.StatusCode{200, 202, 299} {
		bubble(t, func(r *rig) {
			s, invite := r.dial(nil)
			r.answer(invite, 180, "b", "")
			start(func() error { return s.Hangup(r.t.Context()) })
			cancel := r.request(sip.CANCEL)
			r.answer(invite, code, "b", sdp("bob"))
			bye := r.sent("ACK", "BYE")[1].(*sip.Request)
			r.answer(cancel, 200, "", "")
			r.answer(bye, 200, "", "")
			r.silence()
			r.ended(s, session.EndCanceled, false)
		})
	}
}

// TestBodyOfResponseThatIsNoSDP: it is no early media, no answer and no offer.
func TestBodyOfResponseThatIsNoSDP(t *testing.T) {
	other := func(r *rig, invite *sip.Request, code sip.StatusCode) *sip.Response {
		res := sip.NewResponse(invite, code, "")
		res.SetToTag("b")
		r.must(res.SetContact(sip.NameAddr{URI: sip.URI{Scheme: "sip", User: "b", Host: "peer.invalid"}}))
		r.must(res.SetBody("text/plain", []byte(sdp("trap"))))
		return res
	}
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.receive(other(r, invite, 183))
		if got := r.media.last().wrote(); got != "Offer" {
			t.Errorf("media: %s", got)
		}
		r.answer(invite, 200, "b", sdp("bob"))
		r.request(sip.ACK)
		r.must(s.WaitAnswered(r.t.Context()))
	})
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.receive(other(r, invite, 200))
		r.request(sip.ACK)
		r.request(sip.BYE)
		if end := r.ended(s, session.EndMediaFailed, false); end.Cause() != "Missing SDP" {
			t.Errorf("cause %s", end.Cause())
		}
	})
	bubble(t, func(r *rig) {
		s, _ := r.hosted()
		result := start(func() error { return s.Hold(r.t.Context()) })
		r.receive(other(r, r.request(sip.INVITE), 200))
		r.request(sip.ACK)
		if <-result == nil || s.Held().Local {
			t.Error("held by an answer that is none")
		}
	})
}

// TestBodyOfRefusalKeepsItsType: nothing calls it SDP.
func TestBodyOfRefusalKeepsItsType(t *testing.T) {
	bubble(t, func(r *rig) {
		in, _ := r.caller().ring(sdp("bob"))
		r.must(in.Session().HangupWith(r.t.Context(), &session.HangupOptions{Code: 486, Body: []byte("<busy/>"), ContentType: "application/xml"}))
		res := r.response(486, sip.INVITE)
		if res.Header("Content-Type") != "application/xml" || string(res.Body()) != "<busy/>" {
			t.Errorf("486 is %s", show(res))
		}
	})
}

// TestOfferIsToldOnce, and what the application says of it counts.
func TestOfferIsToldOnce(t *testing.T) {
	for _, method := range []sip.Method{sip.INVITE, sip.UPDATE} {
		bubble(t, func(r *rig) {
			_, bob := r.judged(func(_ *session.Session, o *session.Offer) {
				r.note("offer %s", nameOf(o.Description().Body))
				r.must(o.Accept(nil))
			})
			r.seen("state Calling", "state Confirmed")
			bob.send(method, sdp("bob"))
			r.response(200, method)
			r.seen("offer bob")
			if got := r.media.last().wrote(); got != "Answer bob" {
				t.Errorf("media: %s", got)
			}
		})
	}
}
