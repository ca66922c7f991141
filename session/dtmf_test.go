package session_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

var byInfo = &session.DTMFOptions{Transport: session.DTMFInfo}

// keypads makes media whose digits last as long as they should. It notes when
// each began and whether it was cut short.
type keypads struct {
	*studio
	r *rig
}

func (k *keypads) NewMedia(o session.MediaOptions) (session.Media, error) {
	m, err := k.studio.NewMedia(o)
	return &keypad{m.(*tape), k.r, time.Now()}, err
}

type keypad struct {
	*tape
	r     *rig
	begin time.Time
}

func (k *keypad) SendDTMF(ctx context.Context, digit rune, d time.Duration) error {
	k.r.note("%c at %v", digit, time.Since(k.begin))
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		k.r.note("%c cut short at %v", digit, time.Since(k.begin))
		return context.Cause(ctx)
	}
}

// press is a call whose digits are heard by keypads, up at time zero.
func (r *rig) press() *session.Session {
	r.t.Helper()
	s, invite := r.dial(&session.CallOptions{Media: &keypads{r.media, r}, Handler: &session.Handler{}})
	r.answer(invite, 200, "b", sdp("bob"))
	r.request(sip.ACK)
	r.must(s.WaitAnswered(context.Background()))
	return s
}

// pressed takes an INFO with a digit, answers it and returns its body.
func (r *rig) pressed(code sip.StatusCode) string {
	r.t.Helper()
	info := r.request(sip.INFO)
	r.answer(info, code, "", "")
	return info.ContentType() + " " + string(info.Body())
}

func relay(signal string, ms int) string {
	return fmt.Sprintf("application/dtmf-relay Signal=%s\r\nDuration=%d\r\n", signal, ms)
}

// TestDigitsByRTP: a digit begins its own length and the gap after the one
// before, a comma adds 2 s.
func TestDigitsByRTP(t *testing.T) {
	bubble(t, func(r *rig) {
		s := r.press()
		r.must(s.SendDTMF(r.t.Context(), "1a,*", nil))
		r.seen("1 at 0s", "A at 600ms", "* at 3.2s")
		r.must(s.SendDTMF(r.t.Context(), "9", &session.DTMFOptions{Duration: time.Second, Gap: 50 * time.Millisecond}))
		r.must(s.SendDTMF(r.t.Context(), "r", &session.DTMFOptions{Transport: session.DTMFRTP}))
		r.seen("9 at 3.8s", "R at 4.85s")
		r.silence()
	})
}

// TestDigitsByInfo: what JsSIP sends, when JsSIP does.
func TestDigitsByInfo(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		result := start(func() error { return s.SendDTMF(r.t.Context(), "#,d", byInfo) })
		if got := r.pressed(200); got != relay("#", 100) {
			t.Errorf("INFO is %q", got)
		}
		time.Sleep(2600*time.Millisecond - 1)
		r.silence()
		time.Sleep(time.Nanosecond)
		if got := r.pressed(200); got != relay("D", 100) {
			t.Errorf("INFO is %q", got)
		}
		r.must(<-result)
		r.silence()
		if got := r.media.last().wrote(); got != "" {
			t.Errorf("media: %s", got)
		}
	})
}

// TestDigitOptions: what is out of bounds is taken to the bound, as JsSIP does.
func TestDigitOptions(t *testing.T) {
	for _, tt := range []struct {
		o    session.DTMFOptions
		body string
		next time.Duration // from one digit to the next
	}{
		{session.DTMFOptions{}, relay("1", 100), 600 * time.Millisecond},
		{session.DTMFOptions{Duration: 1, Gap: 1}, relay("1", 70), 120 * time.Millisecond},
		{session.DTMFOptions{Duration: -1, Gap: -1}, relay("1", 70), 120 * time.Millisecond},
		{session.DTMFOptions{Duration: time.Hour, Gap: time.Second}, relay("1", 6000), 7 * time.Second},
		{session.DTMFOptions{Transport: session.DTMFInfoPlain}, "application/dtmf 1", 600 * time.Millisecond},
	} {
		bubble(t, func(r *rig) {
			s, _ := r.talk("b")
			if tt.o.Transport == session.DTMFAuto {
				tt.o.Transport = session.DTMFInfo
			}
			tt.o.Headers = []sip.Field{{Name: "X-Digit", Value: "yes"}}
			result := start(func() error { return s.SendDTMF(r.t.Context(), "11", &tt.o) })
			info := r.request(sip.INFO)
			if got := info.ContentType() + " " + string(info.Body()); got != tt.body || info.Header("X-Digit") != "yes" {
				t.Errorf("%+v: INFO is %s", tt.o, show(info))
			}
			r.answer(info, 200, "", "")
			time.Sleep(tt.next - 1)
			r.silence()
			time.Sleep(time.Nanosecond)
			r.pressed(200)
			r.must(<-result)
		})
	}
}

func TestNoDigits(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		for _, bad := range []string{"", "x", "1 2", "１", "1\r\n"} {
			if err := s.SendDTMF(r.t.Context(), bad, nil); err == nil {
				t.Errorf("%q was sent", bad)
			}
		}
		if err := s.SendDTMF(r.t.Context(), "1", &session.DTMFOptions{Headers: []sip.Field{{Name: "X", Value: "a\r\nVia: b"}}}); err == nil {
			t.Error("a field with a line break was sent")
		}
		r.silence()
	})
}

// TestDigitsInQueue: what comes while digits are being sent follows them, and
// everybody gets his own result.
func TestDigitsInQueue(t *testing.T) {
	bubble(t, func(r *rig) {
		s := r.press()
		begin := time.Now()
		first := start(func() error { return s.SendDTMF(r.t.Context(), "12", nil) })
		impatient, cancel := context.WithCancel(r.t.Context())
		second := start(func() error { return s.SendDTMF(impatient, "34", nil) })
		third := start(func() error { return s.SendDTMF(r.t.Context(), "5", nil) })
		cancel()
		var failed *session.DTMFError
		if err := <-second; !errors.Is(err, context.Canceled) || !errors.As(err, &failed) || failed.Digit != '3' || failed.Sent != 0 {
			t.Errorf("second: %v", err)
		}
		r.must(<-first)
		if took := time.Since(begin); took != 700*time.Millisecond {
			t.Errorf("first took %v", took)
		}
		r.must(<-third)
		r.seen("1 at 0s", "2 at 600ms", "5 at 1.2s")
	})
}

// TestRefusedDigit stops its queue; the call lives (in JsSIP, too, but for 408
// and 481).
func TestRefusedDigit(t *testing.T) {
	bubble(t, func(r *rig) {
		s, _ := r.talk("b")
		first := start(func() error { return s.SendDTMF(r.t.Context(), "123", byInfo) })
		second := start(func() error { return s.SendDTMF(r.t.Context(), "4", byInfo) })
		r.pressed(200)
		time.Sleep(time.Second)
		r.pressed(415)
		var failed *session.DTMFError
		if err := <-first; !errors.As(err, &failed) || failed.Digit != '2' || failed.Sent != 1 || !errors.Is(err, sip.StatusUnsupportedMediaType) {
			t.Errorf("first: %v", err)
		}
		if err := <-second; !errors.As(err, &failed) || failed.Digit != '4' || failed.Sent != 0 || !errors.Is(err, sip.StatusUnsupportedMediaType) {
			t.Errorf("second: %v", err)
		}
		time.Sleep(time.Minute)
		r.silence()
		if s.State() != session.Confirmed {
			t.Errorf("state %v", s.State())
		}
		again := start(func() error { return s.SendDTMF(r.t.Context(), "5", byInfo) })
		r.pressed(200)
		r.must(<-again)
	})
}

// TestDigitsThatRTPCannotSend go by INFO: telephone-event was not negotiated, or
// the call is on hold.
func TestDigitsThatRTPCannotSend(t *testing.T) {
	for _, why := range []error{session.ErrNoDTMF, session.ErrNotSending} {
		bubble(t, func(r *rig) {
			s, _ := r.talk("b")
			r.media.failWith(why)
			result := start(func() error { return s.SendDTMF(r.t.Context(), "R12", nil) })
			for _, signal := range []string{"R", "1", "2"} {
				if got := r.pressed(200); got != relay(signal, 100) {
					t.Errorf("INFO is %q", got)
				}
				time.Sleep(600 * time.Millisecond)
			}
			r.must(<-result)
			if got := r.media.last().wrote(); got != "SendDTMF R 100ms, SendDTMF 1 100ms" {
				t.Errorf("media: %s", got)
			}
			if err := s.SendDTMF(r.t.Context(), "1", &session.DTMFOptions{Transport: session.DTMFRTP}); !errors.Is(err, why) {
				t.Errorf("by RTP alone: %v", err)
			}
			r.silence()
		})
	}
}

// TestDigitBesideAnOffer: the call goes on while a digit lasts, and the end of
// the context or of the call cuts it short.
func TestDigitBesideAnOffer(t *testing.T) {
	bubble(t, func(r *rig) {
		s := r.press()
		ctx, cancel := context.WithCancel(r.t.Context())
		digits := start(func() error { return s.SendDTMF(ctx, "12", &session.DTMFOptions{Duration: 6 * time.Second}) })
		hold := start(func() error { return s.Hold(r.t.Context()) })
		r.answer(r.request(sip.INVITE), 200, "", sdp("bob"))
		r.request(sip.ACK)
		r.must(<-hold)
		time.Sleep(time.Second)
		cancel()
		if err := <-digits; !errors.Is(err, context.Canceled) {
			t.Errorf("SendDTMF: %v", err)
		}
		r.seen("1 at 0s", "1 cut short at 1s")
		digits = start(func() error { return s.SendDTMF(r.t.Context(), "12", nil) })
		time.Sleep(5550 * time.Millisecond)
		start(func() error { return s.Hangup(r.t.Context()) })
		r.request(sip.BYE)
		var end *session.EndError
		if err := <-digits; !errors.As(err, &end) {
			t.Errorf("SendDTMF: %v", err)
		}
		synctest.Wait()
		r.seen("1 at 6.5s", "1 cut short at 6.55s")
		if err := s.SendDTMF(r.t.Context(), "1", byInfo); !errors.As(err, &end) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// TestDigitsInEarlyDialog: JsSIP lets them go once a provisional response is
// there; before, there is nobody to send them to.
func TestDigitsInEarlyDialog(t *testing.T) {
	bubble(t, func(r *rig) {
		s, invite := r.dial(nil)
		if err := s.SendDTMF(r.t.Context(), "1", byInfo); !errors.Is(err, session.ErrState) {
			t.Errorf("without a dialog: %v", err)
		}
		r.answer(invite, 183, "b", "")
		result := start(func() error { return s.SendDTMF(r.t.Context(), "1", byInfo) })
		r.pressed(200)
		r.must(<-result)
		r.answer(invite, 200, "b", sdp("bob"))
		r.request(sip.ACK)
		r.must(s.WaitAnswered(r.t.Context()))
	})
	bubble(t, func(r *rig) { // the callee's side
		bob := r.caller()
		in, _ := bob.ring(sdp("bob"))
		result := start(func() error { return in.Session().SendDTMF(r.t.Context(), "1", nil) })
		r.pressed(200)
		r.must(<-result)
		r.receive(bob.digit("Signal=2"))
		r.sent("200 INFO")
	})
}

// digit is an INFO with one.
func (p *peer) digit(body string) *sip.Request {
	p.r.t.Helper()
	req := p.request(sip.INFO, "")
	p.r.must(req.SetBody("application/dtmf-relay", []byte(body)))
	return req
}

// TestDigitsOfPeers: each form that is in use.
func TestDigitsOfPeers(t *testing.T) {
	bubble(t, func(r *rig) {
		_, bob := r.talk("b")
		for _, tt := range []struct{ kind, body, want string }{
			{"dtmf-relay", "Signal=5\r\nDuration=160\r\n", "dtmf 5 160ms"},
			{"dtmf-relay", "Signal=5\r\nDuration=160", "dtmf 5 160ms"}, // JsSIP
			{"dtmf-relay", "Signal= 5\r\nDuration= 160\r\n", "dtmf 5 160ms"},
			{"dtmf-relay", "duration = 200\nsignal = d\n", "dtmf D 200ms"},
			{"dtmf-relay", " Signal=7 \r\n Duration=\t300 \r\n", "dtmf 7 300ms"},
			{"dtmf-relay", "Signal=*", "dtmf * 100ms"},
			{"dtmf-relay", "Signal=10", "dtmf * 100ms"}, // event codes, as in Cisco's and Asterisk's
			{"dtmf-relay", "Signal=11", "dtmf # 100ms"},
			{"dtmf-relay", "Signal=12", "dtmf A 100ms"},
			{"dtmf-relay", "Signal=15", "dtmf D 100ms"},
			{"dtmf-relay", "Signal=16", "dtmf R 100ms"},
			{"dtmf-relay", "Signal=!", "dtmf R 100ms"}, // Asterisk
			{"dtmf-relay", "Signal=R\r\nDuration=100", "dtmf R 100ms"},
			{"dtmf-relay", "Signal=#\r\nDuration=999999999", "dtmf # 6s"},
			{"dtmf-relay", "Signal=1\r\nDuration=1", "dtmf 1 1ms"},
			{"dtmf-relay", "Signal=1\r\nDuration=x", "dtmf 1 100ms"},
			{"dtmf-relay", "Signal=1\r\nSignal=2\r\n", "dtmf 2 100ms"},
			{"dtmf-relay", "Signal=\r\n", ""},
			{"dtmf-relay", "Signal=17", ""},
			{"dtmf-relay", "Signal=123", ""},
			{"dtmf-relay", "Signal=é", ""},
			{"dtmf-relay", "Signal=-1", ""},
			{"dtmf-relay", "Duration=100\r\n", ""},
			{"dtmf-relay", "Signal: 3\r\n", ""},
			{"dtmf-relay", "\x00", ""},
			{"dtmf-relay", fmt.Sprintf("%9000d", 1), ""},
			{"dtmf", "5", "dtmf 5 100ms"},
			{"dtmf", "b\r\n", "dtmf B 100ms"},
			{"dtmf", "*", "dtmf * 100ms"},
			{"dtmf", "11\r\n", "dtmf # 100ms"}, // Asterisk before 12 sends the code
			{"dtmf", "16", "dtmf R 100ms"},
			{"dtmf", "Signal=6\r\nDuration=250\r\n", "dtmf 6 250ms"},
			{"dtmf", "x", ""},
			{"dtmf", "\r\n", ""},
			{"dtmf", "123", ""},
		} {
			req := bob.request(sip.INFO, "")
			r.must(req.SetBody("application/"+tt.kind, []byte(tt.body)))
			r.receive(req)
			if tt.want == "" {
				r.sent("400 INFO")
				r.seen()
			} else {
				r.sent("200 INFO")
				r.seen(tt.want)
			}
		}
		req := bob.request(sip.INFO, "", sip.Field{Name: "Content-Type", Value: "application/dtmf-relay"})
		r.receive(req) // says nothing
		r.sent("200 INFO")
		r.seen()
	})
}
