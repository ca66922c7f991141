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
