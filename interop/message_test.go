//go:build interop

package interop_test

import (
	"context"
	"strings"
	"testing"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session/rtc"
	"github.com/gosipua/sipua/sip"
)

// instant is a MESSAGE that came in.
type instant struct{ from, contentType, body string }

// messages are the MESSAGEs that a UA takes, each answered with status.
func messages(status sip.StatusCode, into chan<- instant) func(context.Context, *sip.Request) sip.StatusCode {
	return func(_ context.Context, req *sip.Request) sip.StatusCode {
		into <- instant{req.From().URI.String(), req.Header("Content-Type"), string(req.Body())}
		return status
	}
}

// waitMessage waits for the next MESSAGE that comes in.
func (p *page) waitMessage() event {
	p.t.Helper()
	for {
		if e := p.waitEvent("newMessage"); e.Originator == "remote" {
			return e
		}
	}
}

// TestMessage: instant messages in each direction, with characters of every length in UTF-8.
//
// Only foreign peers can judge our Content-Length, charset and framing: Kamailio counts bytes where JsSIP counts
// characters, and Chromium refuses a text frame that is not UTF-8.
func TestMessage(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	inbox := make(chan instant, 8)
	alice := newUA(t, k, "alice", sipua.Config{Handler: sipua.Handler{Message: messages(sip.StatusOK, inbox)}})
	bob := newPage(t, k, "bob")
	for name, text := range map[string]string{
		"ASCII":  "Good morning",
		"UTF-8":  "Grüße, 你好 𝄞 👩‍👩‍👧",
		"lines":  "one\r\n\r\ntwo\n",
		"30,000": strings.Repeat("Ä𝄞", 5000),
	} {
		t.Run(name, func(t *testing.T) {
			if err := alice.SendMessage(step(t), "bob", text, nil); err != nil {
				t.Errorf("SendMessage: %v", err)
			}
			if e := bob.waitMessage(); e.From != aor("alice") || e.Body != text || !strings.HasPrefix(e.Type, "text/plain") {
				t.Errorf("page received %+v", e)
			}
			if e := bob.message(aor("alice"), "text/plain", text); e.Status != 200 {
				t.Errorf("our answer: %d %s", e.Status, e.Reason)
			}
			if got := next(t, "a MESSAGE", inbox); got != (instant{aor("bob"), "text/plain", text}) {
				t.Errorf("received %+v", got)
			}
		})
	}
	t.Run("other type", func(t *testing.T) {
		o := &sipua.MessageOptions{ContentType: "application/json", Headers: []sip.Field{{Name: "X-Test", Value: "seen"}}}
		if err := alice.SendMessage(step(t), aor("bob"), `{"a":1}`, o); err != nil {
			t.Errorf("SendMessage: %v", err)
		}
		if e := bob.waitMessage(); e.Type != "application/json" || e.Body != `{"a":1}` {
			t.Errorf("page received %+v", e)
		}
		all := bob.received("MESSAGE")
		if !strings.Contains(all[len(all)-1], "\r\nX-Test: seen\r\n") {
			t.Errorf("MESSAGE as received: %q", all[len(all)-1])
		}
	})
	t.Run("refused by Kamailio", func(t *testing.T) {
		if err := alice.SendMessage(step(t), "st480", "hello", nil); sip.StatusOf(err) != sip.StatusTemporarilyUnavailable {
			t.Errorf("SendMessage: %v, want 480", err)
		}
	})
	t.Run("refused by us", func(t *testing.T) {
		newUA(t, k, "carol", sipua.Config{})
		if e := bob.message(aor("carol"), "text/plain", "hello"); e.Status != 405 {
			t.Errorf("our answer without a handler: %d %s, want 405", e.Status, e.Reason)
		}
		newUA(t, k, "dave", sipua.Config{Handler: sipua.Handler{Message: messages(sip.StatusDecline, inbox)}})
		if e := bob.message(aor("dave"), "text/plain", "hello"); e.Status != 603 {
			t.Errorf("our answer: %d %s, want 603", e.Status, e.Reason)
		}
	})
}

// TestMessageTooLarge: a message beyond our limit is answered 513, and the call that is up goes on.
//
// Only a foreign proxy can judge an answer that was made from the head of a request alone.
func TestMessageTooLarge(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	inbox := make(chan instant, 8)
	alice := newUA(t, k, "alice", sipua.Config{
		MaxMessageSize: 8192, Handler: sipua.Handler{Message: messages(sip.StatusOK, inbox)},
	})
	bob := newPage(t, k, "bob")
	ours, theirs := connected(t, alice, bob, false, rtc.Options{})
	if e := bob.message(aor("alice"), "text/plain", strings.Repeat("x", 50_000)); e.Status != 513 {
		t.Errorf("our answer: %d %s, want 513", e.Status, e.Reason)
	}
	if e := bob.message(aor("alice"), "text/plain", "small"); e.Status != 200 {
		t.Errorf("our answer: %d %s, want 200", e.Status, e.Reason)
	}
	if got := next(t, "a MESSAGE", inbox); got.body != "small" {
		t.Errorf("received %+v", got)
	}
	ours.waitAudio(10)
	if n := k.logged(t, "UPGRADE:"); n != 2 {
		t.Errorf("%d connections, want no more than the first two", n)
	}
	theirs.hangup()
	ours.waitEnd()
}

// TestOptions: OPTIONS in each direction, and to the server itself.
//
// Only a foreign peer can judge our list of what we can do, and show us one that we did not write.
func TestOptions(t *testing.T) {
	t.Parallel()
	k := startKamailio(t, kamailioOptions{})
	alice, bob := newUA(t, k, "alice", sipua.Config{}), newPage(t, k, "bob")
	if e := bob.options(aor("alice")); e.Status != 200 {
		t.Errorf("our answer: %d %s", e.Status, e.Reason)
	}
	answer := bob.received("SIP/2.0 200")
	for _, want := range []string{"\r\nAllow: ", "INVITE", "\r\nAccept: ", "application/sdp", "\r\nSupported: "} {
		if last := answer[len(answer)-1]; !strings.Contains(last, want) {
			t.Errorf("no %q in our answer: %q", want, last)
		}
	}
	res, err := alice.SendOptions(step(t), "bob", nil)
	if err != nil {
		t.Fatalf("SendOptions: %v", err)
	}
	if allow := res.Header("Allow"); res.StatusCode() != 200 || !strings.Contains(allow, "INVITE") {
		t.Errorf("answer of the page: %v, Allow %q", res.StatusCode(), allow)
	}
	if _, err = alice.SendOptions(step(t), "sip:"+sipDomain, nil); err != nil {
		t.Errorf("SendOptions to the server: %v", err)
	}
	if _, err = alice.SendOptions(step(t), "nobody", nil); sip.StatusOf(err) != sip.StatusNotFound {
		t.Errorf("SendOptions to nobody: %v, want 404", err)
	}
}
