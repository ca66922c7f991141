package session

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// DTMFTransport says how digits travel.
type DTMFTransport uint8

// The ways for digits.
const (
	DTMFAuto DTMFTransport = iota // RTP where it was negotiated and may be sent, else INFO
	DTMFRTP                       // RFC 4733 events
	DTMFInfo                      // INFO with application/dtmf-relay
)

// Bounds and defaults of DTMFOptions, those of JsSIP.
const (
	DefaultDTMFDuration = 100 * time.Millisecond
	MinDTMFDuration     = 70 * time.Millisecond
	MaxDTMFDuration     = 6 * time.Second
	DefaultDTMFGap      = 500 * time.Millisecond
	MinDTMFGap          = 50 * time.Millisecond

	dtmfPause = 2 * time.Second // what a comma means
	dtmfType  = "application/dtmf-relay"
)

// DTMFOptions shape the sending of digits. Nil means all defaults.
type DTMFOptions struct {
	Transport DTMFTransport
	// Duration is the length of a digit, 70 ms to 6 s; zero means 100 ms.
	Duration time.Duration
	// Gap is the pause between digits, 50 ms at least; zero means 500 ms.
	Gap time.Duration
}

// SendDTMF sends digits: 0 to 9, A to D, * and #, and a comma for a pause of
// 2 s. It returns when the last one is sent, or with ctx's cause.
func (s *Session) SendDTMF(ctx context.Context, digits string, o *DTMFOptions) error {
	opts, err := dtmfOptions(digits, o)
	if err != nil {
		return err
	}
	for i, digit := range strings.ToUpper(digits) {
		switch {
		case digit == ',':
			err = s.pause(ctx, dtmfPause)
		case i > 0:
			if err = s.pause(ctx, opts.Gap); err == nil {
				err = s.sendDigit(ctx, digit, &opts)
			}
		default:
			err = s.sendDigit(ctx, digit, &opts)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func dtmfOptions(digits string, o *DTMFOptions) (DTMFOptions, error) {
	var opts DTMFOptions
	if o != nil {
		opts = *o
	}
	if i := strings.IndexFunc(digits, func(r rune) bool { return !strings.ContainsRune("0123456789ABCDabcd*#,", r) }); i >= 0 || digits == "" {
		return opts, fmt.Errorf("session: %q are no DTMF digits", digits)
	}
	if opts.Duration == 0 {
		opts.Duration = DefaultDTMFDuration
	}
	if opts.Gap == 0 {
		opts.Gap = DefaultDTMFGap
	}
	opts.Duration = min(max(opts.Duration, MinDTMFDuration), MaxDTMFDuration)
	opts.Gap = max(opts.Gap, MinDTMFGap)
	return opts, nil
}

// sendDigit sends one digit and settles on a transport with the first.
func (s *Session) sendDigit(ctx context.Context, digit rune, o *DTMFOptions) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if o.Transport != DTMFInfo {
		err := s.sendRTPDigit(ctx, digit, o.Duration)
		if o.Transport == DTMFRTP || !errors.Is(err, ErrNoDTMF) && !errors.Is(err, ErrNotSending) {
			return err
		}
		o.Transport = DTMFInfo
	}
	body := fmt.Sprintf("Signal=%c\r\nDuration=%d\r\n", digit, o.Duration.Milliseconds())
	return s.SendInfo(ctx, dtmfType, []byte(body))
}

func (s *Session) sendRTPDigit(ctx context.Context, digit rune, d time.Duration) error {
	c := s.m.core
	c.Lock()
	media := s.leg.media
	if s.usage.state.Ended() || media == nil {
		defer c.Unlock()
		return s.cause()
	}
	outcome := make(chan error, 1)
	c.Go(func() { // not on the worker: the call goes on while a digit lasts
		outcome <- s.run(func() error { return media.SendDTMF(s.ctx, digit, d) })
	})
	c.Unlock()
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Session) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// receiveInfo takes an INFO request: a digit, or the application's business.
func (s *Session) receiveInfo(in *core.Incoming) { // [locked]
	req := in.Request()
	switch {
	case req.ContentType() == dtmfType:
		s.receiveDigit(in)
	case req.HasHeader("Info-Package"): // none of ours (RFC 6086 §4.2.2)
		in.Reply(sip.StatusBadInfoPackage, "", sip.Field{Name: "Recv-Info", Value: ""})
	case s.handler.Info == nil && len(req.Body()) == 0: // nothing that could be misunderstood
		in.Reply(sip.StatusOK, "")
	default:
		s.ask(in, s.handler.Info, sip.StatusUnsupportedMediaType, sip.Field{Name: "Accept", Value: dtmfType})
	}
}

func (s *Session) receiveDigit(in *core.Incoming) { // [locked]
	d, ok := parseDTMF(string(in.Request().Body()))
	switch {
	case !ok:
		in.Reply(sip.StatusBadRequest, "Signal missing or malformed")
	case !s.tellDTMF(d):
		retryLater(in)
	default:
		in.Reply(sip.StatusOK, "")
	}
}

// ask lets the application answer a request, with def where it does not care.
func (s *Session) ask(in *core.Incoming, h func(*Session, *sip.Request) sip.StatusCode, def sip.StatusCode, fields ...sip.Field) { // [locked]
	if h == nil {
		in.Reply(def, "", fields...)
		return
	}
	ok := s.events.Push(func() {
		code := sip.StatusServerInternalError // what a panic comes to
		defer func() {
			s.m.core.Lock()
			defer s.m.core.Unlock()
			in.Reply(code, "")
		}()
		if answer := h(s, in.Request()); answer.IsFinal() {
			code = answer
		}
	})
	if !ok {
		retryLater(in)
	}
}

// parseDTMF reads an application/dtmf-relay body. Its lines may come in any
// order and end; a missing duration is 100 ms, and none is longer than 6 s.
func parseDTMF(body string) (DTMF, bool) {
	d := DTMF{Duration: DefaultDTMFDuration, INFO: true}
	for line := range strings.Lines(body) {
		name, value, _ := strings.Cut(line, "=")
		value = strings.TrimSpace(value)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "signal":
			if len(value) == 1 && strings.ContainsAny(strings.ToUpper(value), "0123456789ABCD*#") {
				d.Digit = rune(strings.ToUpper(value)[0])
			}
		case "duration":
			if ms, err := strconv.Atoi(value); err == nil && ms > 0 {
				d.Duration = min(time.Duration(min(ms, math.MaxInt32))*time.Millisecond, MaxDTMFDuration)
			}
		}
	}
	return d, d.Digit != 0
}
