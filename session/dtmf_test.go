package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

func TestDigits(t *testing.T) {
	bubble(t, func(r *rig) {
		s, bob := r.talk("b")
		result := start(func() error { return s.SendDTMF(r.t.Context(), "1a", nil) })
		r.must(<-result)
		if got := r.media.last().wrote(); got != "SendDTMF 1 100ms, SendDTMF A 100ms" {
			t.Errorf("media: %s", got)
		}
		r.media.failWith(session.ErrNoDTMF)
		result = start(func() error { return s.SendDTMF(r.t.Context(), "#", nil) })
		time.Sleep(600 * time.Millisecond) // the gap
		info := r.request(sip.INFO)
		if info.ContentType() != "application/dtmf-relay" || string(info.Body()) != "Signal=#\r\nDuration=100\r\n" {
			t.Errorf("INFO is %s", show(info))
		}
		r.answer(info, 200, "", "")
		r.must(<-result)
		ended, cancel := context.WithCancel(r.t.Context())
		cancel()
		for range 20 {
			if err := s.SendDTMF(ended, "1", &session.DTMFOptions{Transport: session.DTMFRTP}); !errors.Is(err, context.Canceled) {
				t.Errorf("SendDTMF: %v", err)
			}
		}
		if got := r.media.last().wrote(); got != "SendDTMF # 100ms" {
			t.Errorf("media: %s", got)
		}
		for _, bad := range []string{"", "x", "1 2", "１"} {
			if err := s.SendDTMF(r.t.Context(), bad, nil); err == nil {
				t.Errorf("%q was sent", bad)
			}
		}
		info = bob.request(sip.INFO, "")
		r.must(info.SetBody("application/dtmf-relay", []byte("Signal= 5\r\nDuration=160\r\n")))
		r.receive(info)
		r.response(200, sip.INFO)
		r.seen("dtmf 5 160ms")
		info = bob.request(sip.INFO, "")
		r.must(info.SetBody("text/plain", []byte("?")))
		r.receive(info)
		r.response(415, sip.INFO)
	})
}

// digit is an INFO with one.
func (p *peer) digit(body string) *sip.Request {
	p.r.t.Helper()
	req := p.request(sip.INFO, "")
	p.r.must(req.SetBody("application/dtmf-relay", []byte(body)))
	return req
}

// TestInfo: RFC 6086 §4.2.2 and what was before it.
func TestInfo(t *testing.T) {
	bubble(t, func(r *rig) {
		_, bob := r.talk("b")
		bob.send(sip.INFO, "")
		r.sent("200 INFO") // nothing to understand
		bob.send(sip.INFO, "", sip.Field{Name: "Info-Package", Value: "foo"})
		if res := r.sent("469 INFO")[0].(*sip.Response); !res.HasHeader("Recv-Info") {
			t.Errorf("469 is %s", show(res))
		}
		for body, want := range map[string]string{
			"Signal=5\r\nDuration=160\r\n":       "dtmf 5 160ms",
			"duration = 200\nsignal = d\n":       "dtmf D 200ms",
			"Signal=*":                           "dtmf * 100ms",
			"Signal=#\r\nDuration=999999999":     "dtmf # 6s",
			"Signal=1\r\nDuration=1":             "dtmf 1 1ms",
			"Signal=1\r\nDuration=x":             "dtmf 1 100ms",
			"Signal=\r\n":                        "",
			"Signal=é":                           "",
			"":                                   "",
			"Duration=100\r\n":                   "",
			"\x00":                               "",
			"Signal=1\r\nSignal=2\r\n":           "dtmf 2 100ms",
			strings.Repeat("x", 9000) + "\r\n":   "",
			"Signal: 3\r\n":                      "",
			" Signal=7 \r\n Duration=\t300 \r\n": "dtmf 7 300ms",
		} {
			if body == "" {
				continue
			}
			r.receive(bob.digit(body))
			if want == "" {
				r.sent("400 INFO")
				r.seen()
			} else {
				r.sent("200 INFO")
				r.seen(want)
			}
		}
	})
}
