package session_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// part is one part of a multipart body.
func part(fields, body string) string { return "--b1\r\n" + fields + "\r\n\r\n" + body + "\r\n" }

// TestBodies: which bodies of an INVITE are an offer, which are ignored and
// which refused (RFC 3261 §8.2.3, §20.11, RFC 5621).
func TestBodies(t *testing.T) {
	const (
		sdpPart  = "Content-Type: application/sdp"
		location = "Content-Type: application/pidf+xml"
		optional = "\r\nContent-Disposition: render;handling=optional"
	)
	for name, tt := range map[string]struct {
		mime, disposition, encoding, body string
		want                              string // name of the offer, "none", "refused"
	}{
		"sdp":                      {mime: "application/sdp", body: sdp("x"), want: "x"},
		"capitals and a parameter": {mime: "Application/SDP ;charset=utf-8", body: sdp("x"), want: "x"},
		"for a session":            {mime: "application/sdp", disposition: "session", body: sdp("x"), want: "x"},
		"for something else":       {mime: "application/sdp", disposition: "early-session", body: sdp("x"), want: "refused"},
		"else, optional":           {mime: "application/sdp", disposition: "early-session; handling = optional", body: sdp("x"), want: "none"},
		"encoded":                  {mime: "application/sdp", encoding: "gzip", body: "xx", want: "refused"},
		"identity":                 {mime: "application/sdp", encoding: "Identity", body: sdp("x"), want: "x"},
		"text":                     {mime: "text/plain", body: "x", want: "refused"},
		"optional text":            {mime: "text/plain", disposition: "render;handling=optional", body: "x", want: "none"},
		"mixed": {mime: `multipart/mixed;boundary="b1"`, want: "x",
			body: part(sdpPart, sdp("x")) + part(location+optional, "<p/>") + "--b1--\r\n"},
		"mixed, sdp last": {mime: `multipart/mixed;boundary=b1`, want: "x",
			body: "preamble\r\n" + part(location+optional, "<p/>") + part(sdpPart, sdp("x")) + "--b1--"},
		"mixed, a part that must be understood": {mime: `multipart/mixed;boundary=b1`, want: "refused",
			body: part(sdpPart, sdp("x")) + part(location, "<p/>") + "--b1--"},
		"mixed, nothing for us": {mime: `multipart/mixed;boundary=b1`, want: "none",
			body: part(location+optional, "<p/>") + "--b1--"},
		"alternative": {mime: `multipart/alternative;boundary=b1`, want: "x",
			body: part(sdpPart, sdp("x")) + part("Content-Type: application/new", "?") + "--b1--"},
		"alternative, none known": {mime: `multipart/alternative;boundary=b1`, want: "refused",
			body: part("Content-Type: application/new", "?") + "--b1--"},
		"unknown subtype is mixed": {mime: `multipart/foo;boundary=b1`, want: "x",
			body: part(sdpPart, sdp("x")) + "--b1--"},
		"nested": {mime: `multipart/mixed;boundary=b1`, want: "x",
			body: part("Content-Type: multipart/alternative;boundary=b2", "--b2\r\n"+sdpPart+"\r\n\r\n"+sdp("x")+"\r\n--b2--") + "--b1--"},
		"no boundary": {mime: `multipart/mixed`, body: part(sdpPart, sdp("x")), want: "refused"},
		"cut short":   {mime: `multipart/mixed;boundary=b1`, body: "--b1\r\nContent-Ty", want: "refused"},
		"an encoded part": {mime: `multipart/mixed;boundary=b1`, want: "refused",
			body: part(sdpPart+"\r\nContent-Encoding: gzip", "xx") + "--b1--"},
		"very many parts": {mime: `multipart/mixed;boundary=b1`, want: "refused",
			body: strings.Repeat(part(location+optional, "x"), 100) + "--b1--"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				bob := r.caller()
				invite := bob.request(sip.INVITE, "")
				r.must(invite.SetBody(tt.mime, []byte(tt.body)))
				if tt.disposition != "" {
					r.must(invite.SetHeader("Content-Disposition", tt.disposition))
				}
				if tt.encoding != "" {
					r.must(invite.SetHeader("Content-Encoding", tt.encoding))
				}
				r.receive(invite)
				if tt.want == "refused" {
					res := r.sent("415 INVITE")[0].(*sip.Response)
					if accept := res.Header("Accept"); !strings.Contains(accept, "application/sdp") || !strings.Contains(accept, "multipart/mixed") {
						t.Errorf("415 is %s", show(res))
					}
					return
				}
				r.sent("180 INVITE")
				_, err := (<-r.calls1).Answer(r.t.Context(), nil)
				r.must(err)
				want := "Answer " + tt.want
				if tt.want == "none" {
					want = "Offer"
				}
				if got := r.media.last().wrote(); got != want {
					t.Errorf("media: %s, want %s", got, want)
				}
			})
		})
	}
}

func TestAnswerInMultipart(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		res := sip.NewResponse(invite, 200, "")
		r.must(res.SetTo(invite.To().WithTag("b")))
		r.must(res.SetContact(sip.NameAddr{URI: sip.URI{Scheme: "sip", User: "b", Host: "peer.invalid"}}))
		r.must(res.SetBody("multipart/mixed;boundary=b1", []byte(part("Content-Type: application/sdp", sdp("bob"))+"--b1--")))
		r.receive(res)
		r.sent("ACK")
		r.must(s.WaitAnswered(r.t.Context()))
		if got := r.media.last().wrote(); got != "Offer, SetAnswer bob early=false" {
			t.Errorf("media: %s", got)
		}
	})
}

// TestInviteThatHasExpired: RFC 3261 §13.3.1.
func TestInviteThatHasExpired(t *testing.T) {
	bubble(t, func(r *rig) {
		r.caller().send(sip.INVITE, sdp("bob"), sip.Field{Name: "Expires", Value: "0"})
		r.sent("487 INVITE")
		time.Sleep(time.Minute)
		r.silence()
		select {
		case <-r.calls1:
			t.Error("the application was asked")
		default:
		}
	})
}

// TestOutsideCalls: requests that belong inside a call and come outside of any.
func TestOutsideCalls(t *testing.T) {
	for method, want := range map[sip.Method]string{
		sip.BYE: "481 BYE", sip.UPDATE: "481 UPDATE", sip.INFO: "481 INFO", sip.NOTIFY: "481 NOTIFY", sip.REFER: "603 REFER",
	} {
		bubble(t, func(r *rig) {
			r.caller().send(method, "",
				sip.Field{Name: "Event", Value: "refer"}, sip.Field{Name: "Subscription-State", Value: "active"},
				sip.Field{Name: "Refer-To", Value: "<sip:x@y.z>"})
			r.sent(want)
		})
	}
}

func TestRedirectToSIPS(t *testing.T) {
	bubble(t, func(r *rig) {
		in, _ := r.caller().ring(sdp("bob"))
		if err := in.Redirect(sip.NameAddr{URI: sip.URI{Scheme: "sips", User: "carol", Host: "example.com"}}); err == nil || !strings.Contains(err.Error(), "sips") {
			t.Errorf("Redirect: %v", err)
		}
		r.silence()
	})
}

// TestMaxCallsCountsLiveOnes: a call that is over for the application makes
// room, though its BYE is not answered yet.
func TestMaxCallsCountsLiveOnes(t *testing.T) {
	bubbleWith(t, session.Options{MaxCalls: 1}, func(r *rig) {
		s, _ := r.talk("b")
		if _, err := r.calls.Invite(r.t.Context(), "bob", nil); err == nil {
			t.Error("a second call was made")
		}
		start(func() error { return s.Hangup(r.t.Context()) })
		r.sent("BYE")
		r.dial(nil)
		if n := len(r.calls.Sessions()); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}
