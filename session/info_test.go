package session_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

func recvInfo(value string) sip.Field { return sip.Field{Name: "Recv-Info", Value: value} }

// informed is a handler that notes each INFO and returns code.
func (r *rig) informed(code sip.StatusCode) *session.Handler {
	h := r.handler()
	h.Info = func(_ *session.Session, req *sip.Request) sip.StatusCode {
		r.note("info %q %q %q", req.Header("Info-Package"), req.ContentType(), req.Body())
		return code
	}
	return h
}

// TestInfoWithoutPackage is what was before RFC 6086.
func TestInfoWithoutPackage(t *testing.T) {
	bubble(t, func(r *rig) {
		_, bob := r.talk("b")
		bob.send(sip.INFO, "")
		r.sent("200 INFO") // nothing to understand
		info := bob.request(sip.INFO, "")
		r.must(info.SetBody("text/plain", []byte("?")))
		r.receive(info)
		if res := r.sent("415 INFO")[0].(*sip.Response); res.Header("Accept") != "application/dtmf-relay, application/dtmf" {
			t.Errorf("415 is %s", show(res))
		}
	})
	for _, code := range []sip.StatusCode{200, 202, 403, 469, 603} {
		bubble(t, func(r *rig) {
			_, invite := r.dial(&session.CallOptions{Handler: r.informed(code)})
			r.answer(invite, 200, "b", sdp("bob"))
			r.request(sip.ACK)
			r.seen("state Calling", "state Confirmed")
			bob := r.called(invite, "b")
			bob.send(sip.INFO, "")
			info := bob.request(sip.INFO, "")
			r.must(info.SetBody("application/x-foo", []byte{0, 1, 2}))
			r.receive(info)
			want := fmt.Sprintf("%d INFO", code)
			for _, m := range r.sent(want, want) {
				if res := m.(*sip.Response); code == 469 && !res.HasHeader("Recv-Info") {
					t.Errorf("469 is %s", show(res))
				}
			}
			r.seen(`info "" "" ""`, `info "" "application/x-foo" "\x00\x01\x02"`)
		})
	}
}

// TestInfoPackagesOfTheCaller: RFC 6086 §5.2.3, and §4.2.2 for what comes.
func TestInfoPackagesOfTheCaller(t *testing.T) {
	for _, tt := range []struct {
		ua, own []string
		tells   string
		takes   bool // foo
	}{
		{nil, nil, "", false},
		{[]string{"foo", "bar"}, nil, "foo, bar", true},
		{[]string{"foo"}, []string{}, "", false},
		{nil, []string{"foo"}, "foo", true},
		{[]string{"foo"}, []string{"Foo", "baz"}, "Foo, baz", false}, // names are case-sensitive, §7.2
	} {
		bubbleWith(t, session.Options{InfoPackages: tt.ua}, func(r *rig) {
			s, invite := r.dial(&session.CallOptions{Handler: r.informed(200), InfoPackages: tt.own})
			if got := invite.Headers("Recv-Info"); !slices.Equal(got, []string{tt.tells}) {
				t.Errorf("INVITE has Recv-Info %q, want %q", got, tt.tells)
			}
			r.answer(invite, 200, "b", sdp("bob"))
			r.request(sip.ACK)
			r.seen("state Calling", "state Confirmed")
			bob := r.called(invite, "b")
			info := bob.request(sip.INFO, "", sip.Field{Name: "Info-Package", Value: "foo;v=1"},
				sip.Field{Name: "Content-Disposition", Value: "Info-Package"})
			r.must(info.SetBody("application/dtmf-relay", []byte("Signal=1")))
			r.receive(info)
			if tt.takes {
				r.sent("200 INFO")
				r.seen(`info "foo;v=1" "application/dtmf-relay" "Signal=1"`)
			} else {
				if res := r.sent("469 INFO")[0].(*sip.Response); !slices.Equal(res.Headers("Recv-Info"), []string{tt.tells}) {
					t.Errorf("469 is %s", show(res))
				}
				r.seen()
			}
			hold := start(func() error { return s.Hold(r.t.Context()) })
			again := r.request(sip.INVITE)
			if got := again.Headers("Recv-Info"); !slices.Equal(got, []string{tt.tells}) {
				t.Errorf("re-INVITE has Recv-Info %q, want %q", got, tt.tells)
			}
			r.answer(again, 200, "", sdp("bob"))
			r.request(sip.ACK)
			r.must(<-hold)
		})
	}
}

// TestInfoPackagesOfTheCallee: ours are told to who tells his, and only then.
func TestInfoPackagesOfTheCallee(t *testing.T) {
	for _, theirs := range [][]sip.Field{nil, {recvInfo("")}, {recvInfo("a;x=1, b"), recvInfo("c")}} {
		bubbleWith(t, session.Options{InfoPackages: []string{"ua"}}, func(r *rig) {
			bob := r.caller()
			in, _ := bob.ring(sdp("bob"), theirs...)
			result := start(func() error {
				_, err := in.Answer(r.t.Context(), &session.AnswerOptions{InfoPackages: []string{"foo"}, Handler: r.informed(200)})
				return err
			})
			r.must(<-result)
			told := func(res *sip.Response) {
				t.Helper()
				want := []string{"foo"}
				if theirs == nil {
					want = nil
				}
				if got := res.Headers("Recv-Info"); !slices.Equal(got, want) {
					t.Errorf("with %v: 2xx has Recv-Info %q, want %q", theirs, got, want)
				}
			}
			told(r.response(200, sip.INVITE))
			bob.send(sip.ACK, "")
			names, known := in.Session().RemoteInfoPackages()
			if want := []string{"a", "b", "c"}[:3*max(0, len(theirs)-1)]; !slices.Equal(names, want) || known != (theirs != nil) {
				t.Errorf("with %v: far end takes %q, known %v", theirs, names, known)
			}
			bob.send(sip.INVITE, sdp("bob"), theirs...)
			told(r.response(200, sip.INVITE))
			bob.send(sip.ACK, "")
			bob.send(sip.UPDATE, "", theirs...)
			told(r.response(200, sip.UPDATE))
			bob.send(sip.INFO, "", sip.Field{Name: "Info-Package", Value: "ua"})
			r.response(469, sip.INFO)
			bob.send(sip.INFO, "", sip.Field{Name: "Info-Package", Value: "foo"})
			r.response(200, sip.INFO)
		})
	}
}

// TestInfoPackagesInReliableProvisional: it tells ours, and the 200 the same
// (RFC 6086 §5.2.3).
func TestInfoPackagesInReliableProvisional(t *testing.T) {
	bubbleWith(t, session.Options{InfoPackages: []string{"ua"}}, func(r *rig) {
		bob := r.caller()
		invite := bob.send(sip.INVITE, sdp("bob"), recvInfo("a"), sip.Field{Name: "Require", Value: "100rel"})
		ringing := r.response(180, sip.INVITE)
		bob.remote = ringing.To()
		if got := ringing.Header("Recv-Info"); got != "ua" || !ringing.HasHeader("RSeq") {
			t.Errorf("180 is %s", show(ringing))
		}
		bob.send(sip.PRACK, "", recvInfo("b"), sip.Field{Name: "RAck", Value: fmt.Sprintf("%s %d INVITE", ringing.Header("RSeq"), invite.CSeq().Seq)})
		if res := r.response(200, sip.PRACK); res.Header("Recv-Info") != "ua" {
			t.Errorf("200 is %s", show(res))
		}
		in := <-r.calls1
		if names, _ := in.Session().RemoteInfoPackages(); !slices.Equal(names, []string{"b"}) {
			t.Errorf("far end takes %q", names)
		}
		_, err := in.Answer(r.t.Context(), &session.AnswerOptions{InfoPackages: []string{"foo"}})
		r.must(err)
		if res := r.response(200, sip.INVITE); res.Header("Recv-Info") != "ua" {
			t.Errorf("200 is %s", show(res))
		}
	})
}

// TestInfoPackageSent: RFC 6086 §4.2.1, §4.3.1.
func TestInfoPackageSent(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		send := func(o *session.InfoOptions) <-chan error {
			return start(func() error { return s.SendInfo(r.t.Context(), "application/x-foo", []byte("x"), o) })
		}
		foo := &session.InfoOptions{Package: "foo;v=1", Headers: []sip.Field{{Name: "X-A", Value: "b"}}}
		r.answer(invite, 183, "b", "")
		if err := <-send(foo); !errors.Is(err, session.ErrInfoPackage) {
			t.Errorf("nothing said: %v", err)
		}
		r.answer(invite, 183, "b", "", recvInfo("bar, foo"))
		result := send(foo)
		info := r.request(sip.INFO)
		if info.Header("Info-Package") != "foo;v=1" || info.Header("Content-Disposition") != "Info-Package" || info.Header("X-A") != "b" ||
			info.ContentType() != "application/x-foo" || string(info.Body()) != "x" || info.HasHeader("Recv-Info") || info.HasHeader("Contact") {
			t.Errorf("INFO is %s", show(info))
		}
		r.answer(info, 200, "", "")
		r.must(<-result)
		r.answer(invite, 200, "b", sdp("bob"), recvInfo("foo"))
		r.request(sip.ACK)

		result = send(&session.InfoOptions{Package: "foo", Disposition: "render;handling=optional"})
		info = r.request(sip.INFO)
		if got := info.Header("Content-Disposition"); got != "render;handling=optional" {
			t.Errorf("Content-Disposition %q", got)
		}
		r.answer(info, 469, "", "", recvInfo("bar")) // changes nothing, §4.2.2
		if err := <-result; !errors.Is(err, sip.StatusBadInfoPackage) {
			t.Errorf("SendInfo: %v", err)
		}
		for _, name := range []string{"bar", "Foo", "fo"} {
			if err := <-send(&session.InfoOptions{Package: name}); !errors.Is(err, session.ErrInfoPackage) {
				t.Errorf("%s: %v", name, err)
			}
		}
		result = send(nil)
		info = r.request(sip.INFO)
		if info.HasHeader("Info-Package") || info.HasHeader("Content-Disposition") {
			t.Errorf("INFO is %s", show(info))
		}
		r.answer(info, 200, "", "")
		r.must(<-result)
		result = start(func() error { return s.SendInfo(r.t.Context(), "", nil, &session.InfoOptions{Package: "foo"}) })
		info = r.request(sip.INFO)
		if info.HasHeader("Content-Type") || info.HasHeader("Content-Disposition") || len(info.Body()) != 0 {
			t.Errorf("INFO is %s", show(info))
		}
		r.answer(info, 200, "", "")
		r.must(<-result)
		r.silence()
	})
}

// TestInfoPackagesOfRefusedOffers: what a refused request says is not taken over
// (RFC 6086 §5.2.4).
func TestInfoPackagesOfRefusedOffers(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		r.answer(invite, 200, "b", sdp("bob"), recvInfo("foo"))
		r.request(sip.ACK)
		bob := r.called(invite, "b")
		r.media.failWith(session.ErrUnacceptable)
		bob.send(sip.INVITE, sdp("bob"), recvInfo("bar"))
		r.response(488, sip.INVITE)
		bob.send(sip.ACK, "")
		if names, _ := s.RemoteInfoPackages(); !slices.Equal(names, []string{"foo"}) {
			t.Errorf("far end takes %q", names)
		}
		r.media.failWith(nil)
		bob.send(sip.UPDATE, sdp("bob"), recvInfo(""))
		r.response(200, sip.UPDATE)
		if names, known := s.RemoteInfoPackages(); len(names) != 0 || !known {
			t.Errorf("far end takes %q", names)
		}
	})
}

// TestInfoPackageLadder is RFC 6086 §12.1 and §12.2.1 seen by Bob.
func TestInfoPackageLadder(t *testing.T) {
	bubbleWith(t, session.Options{InfoPackages: []string{"R", "T"}}, func(r *rig) {
		const caller = "From: Alice <sip:alice@example.com>;tag=1928301774\nCall-ID: a84b4c76e66710@pc33.example.com\n" +
			"Contact: <sip:alice@pc33.example.com>\nMax-Forwards: 70\n"
		r.raw("INVITE sip:bob@example.com SIP/2.0\nVia: SIP/2.0/WS pc33.example.com;branch=z9hG4bK776\n" + caller +
			"To: Bob <sip:bob@example.com>\nCSeq: 314159 INVITE\nRecv-Info: P, R\nContent-Type: application/sdp\n\n" + sdp("alice"))
		tag := r.left("SIP/2.0 180 Ringing\n", "Recv-Info").(*sip.Response).To().Tag()
		in := <-r.calls1
		start(func() error {
			_, err := in.Answer(r.t.Context(), &session.AnswerOptions{Handler: r.informed(200)})
			return err
		})
		s := in.Session()
		r.left("SIP/2.0 200 OK\nRecv-Info: R, T\nCSeq: 314159 INVITE\n", "Recv-Info", "CSeq")
		to := "To: Bob <sip:bob@example.com>;tag=" + tag + "\n"
		r.raw("ACK sip:bob@pc33.example.com SIP/2.0\nVia: SIP/2.0/WS pc33.example.com;branch=z9hG4bK754\n" + caller + to + "CSeq: 314159 ACK\n\n")
		r.seen("state Answering", "state Accepted", "state Confirmed")

		result := start(func() error {
			return s.SendInfo(r.t.Context(), "application/foo", []byte("I am a foo message type\n"), &session.InfoOptions{Package: "P"})
		})
		info := r.left("INFO sip:alice@pc33.example.com SIP/2.0\nTo: \"Alice\" <sip:alice@example.com>;tag=1928301774\n"+
			"Call-ID: a84b4c76e66710@pc33.example.com\nCSeq: 1 INFO\nInfo-Package: P\nContent-Type: application/foo\n"+
			"Content-Disposition: Info-Package\nContent-Length: 24\n",
			"To", "Call-ID", "CSeq", "Info-Package", "Content-Type", "Content-Disposition", "Content-Length", "Recv-Info", "Contact")
		r.answer(info.(*sip.Request), 200, "", "")
		r.must(<-result)

		r.raw("UPDATE sip:bob@pc33.example.com SIP/2.0\nVia: SIP/2.0/WS pc33.example.com;branch=z9hG4bK777\n" + caller + to +
			"CSeq: 314163 UPDATE\nRecv-Info:\nContent-Type: application/sdp\n\n" + sdp("alice"))
		r.left("SIP/2.0 200 OK\nRecv-Info: R, T\nCSeq: 314163 UPDATE\n", "Recv-Info", "CSeq")
		if err := s.SendInfo(r.t.Context(), "application/foo", []byte("x"), &session.InfoOptions{Package: "P"}); !errors.Is(err, session.ErrInfoPackage) {
			t.Errorf("SendInfo: %v", err)
		}
		for _, tt := range []struct{ branch, seq, name, answer string }{
			{"z9hG4bKnabcdef", "314333", "foo", "SIP/2.0 469 Bad Info Package\nRecv-Info: R, T\n"},
			{"z9hG4bKnabcdeg", "314334", "R", "SIP/2.0 200 OK\n"},
		} {
			r.raw("INFO sip:bob@pc33.example.com SIP/2.0\nVia: SIP/2.0/WS pc33.example.com;branch=" + tt.branch + "\n" + caller + to +
				"CSeq: " + tt.seq + " INFO\nInfo-Package: " + tt.name + "\nContent-type: application/foo\nContent-Disposition: Info-Package\n" +
				"Content-length: 25\n\nI am a foo message type\n")
			r.left(tt.answer, "Recv-Info")
		}
		r.seen("info \"R\" \"application/foo\" \"I am a foo message type\\r\\n\"")
	})
}

func TestInfoPackageNames(t *testing.T) {
	bubble(t, func(r *rig) {
		for _, bad := range []string{"", "a b", "a,b", "a;b", "a\r\nVia: b", "ä"} {
			if _, err := r.calls.Invite(context.Background(), "bob", &session.CallOptions{InfoPackages: []string{bad}}); err == nil {
				t.Errorf("%q was taken", bad)
			}
		}
		s, _ := r.talk("b")
		if err := s.SendInfo(r.t.Context(), "text/plain", []byte("x"), &session.InfoOptions{Package: "a\r\nVia: b"}); err == nil {
			t.Error("a Package with a line break was sent")
		}
		r.silence()
	})
}
