package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gosipua/sipua/sip"
)

// DTMFTransport says how digits travel.
type DTMFTransport uint8

// The ways for digits.
const (
	DTMFAuto      DTMFTransport = iota // RTP where it was negotiated and may be sent, else DTMFInfo
	DTMFRTP                            // RFC 4733 events
	DTMFInfo                           // INFO with application/dtmf-relay: the digit and its length
	DTMFInfoPlain                      // INFO with application/dtmf: the digit alone
)

// Bounds and defaults of DTMFOptions, those of JsSIP.
const (
	DefaultDTMFDuration = 100 * time.Millisecond
	MinDTMFDuration     = 70 * time.Millisecond
	MaxDTMFDuration     = 6 * time.Second
	DefaultDTMFGap      = 500 * time.Millisecond
	MinDTMFGap          = 50 * time.Millisecond

	dtmfPause = 2 * time.Second // what a comma means
)

// DTMFOptions shape the sending of digits. Nil means all defaults.
type DTMFOptions struct {
	// Transport is how the digits travel; zero means DTMFAuto.
	Transport DTMFTransport
	// Duration is the length of a digit, 70 ms to 6 s; zero means 100 ms, and
	// what lies outside is taken to the nearer bound.
	Duration time.Duration
	// Gap is the pause after a digit, 50 ms at least; zero means 500 ms.
	Gap time.Duration
	// Headers are added to the INFO requests.
	Headers []sip.Field
}

// DTMFError says where SendDTMF stopped. The call goes on.
type DTMFError struct {
	Digit rune  // that was not sent, or the comma that was not waited for
	Sent  int   // digits sent before it
	Err   error // why: a *sip.ResponseError, ErrNotSending, ctx's cause, the call's *EndError
}

// Error describes the failure in one line.
func (e *DTMFError) Error() string {
	return fmt.Sprintf("session: DTMF %c not sent, after %d digits: %v", e.Digit, e.Sent, e.Err)
}

// Unwrap returns Err.
func (e *DTMFError) Unwrap() error { return e.Err }

// SendDTMF sends digits: 0 to 9, A to D, * and #, R for a hook flash, and a comma
// for a pause of 2 s; early dialogs will do. It returns when the last one is
// sent. Digits that come while others are being sent follow those, with their gap.
//
// The error is a *DTMFError, or says that these are no digits. A digit that the
// far end refuses stops those behind it too.
func (s *Session) SendDTMF(ctx context.Context, digits string, o *DTMFOptions) error {
	opts, err := dtmfOptions(digits, o)
	if err != nil {
		return err
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	d := s.dial()
	sent := 0
	for i, digit := range strings.ToUpper(digits) {
		if i == 0 {
			err = d.myTurn(ctx)
		}
		if err == nil {
			err = s.sendTone(ctx, digit, &opts)
		}
		if err != nil {
			err = &DTMFError{Digit: digit, Sent: sent, Err: err}
			break
		}
		if digit != ',' {
			sent++
		}
	}
	s.dialled(d, err, ctx.Err() != nil)
	return err
}

func dtmfOptions(digits string, o *DTMFOptions) (DTMFOptions, error) {
	var opts DTMFOptions
	if o != nil {
		opts = *o
	}
	if i := strings.IndexFunc(digits, func(r rune) bool { return !strings.ContainsRune("0123456789ABCDabcdRr*#,", r) }); i >= 0 || digits == "" {
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
	return opts, checkFields("", opts.Headers)
}

// dialling is one SendDTMF that has its turn, or waits for it.
type dialling struct {
	turn chan struct{} // closed when its turn comes, or it comes to nothing
	err  error         // why it comes to nothing; set before turn is closed
}

// dial gets in line.
func (s *Session) dial() *dialling {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	d := &dialling{turn: make(chan struct{})}
	if s.dialling = append(s.dialling, d); len(s.dialling) == 1 {
		close(d.turn)
	}
	return d
}

// myTurn waits for the turn.
func (d *dialling) myTurn(ctx context.Context) error {
	select {
	case <-d.turn:
		return d.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// dialled leaves the line to the next. The failure of a digit, unlike somebody's
// loss of patience, is the failure of all who wait.
func (s *Session) dialled(d *dialling, err error, gaveUp bool) {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	i := slices.Index(s.dialling, d)
	if i < 0 { // failed with others
		return
	}
	s.dialling = slices.Delete(s.dialling, i, i+1)
	switch {
	case i > 0:
	case err != nil && !gaveUp:
		for _, next := range s.dialling {
			next.err = errors.Unwrap(err)
			close(next.turn)
		}
		s.dialling = nil
	case len(s.dialling) > 0:
		close(s.dialling[0].turn)
	}
}

// sendTone sends one digit, after the gap that the one before it wants, or
// pauses.
func (s *Session) sendTone(ctx context.Context, digit rune, o *DTMFOptions) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s.m.core.Lock()
	gap := time.Until(s.dialNext)
	s.m.core.Unlock()
	if gap > 0 {
		if err := sleep(ctx, gap); err != nil {
			return err
		}
	}
	if digit == ',' {
		return sleep(ctx, dtmfPause)
	}
	next := time.Now().Add(o.Duration + o.Gap)
	err := s.sendDigit(ctx, digit, o)
	if err == nil || ctx.Err() != nil { // it was heard, or some of it
		s.m.core.Lock()
		s.dialNext = next
		s.m.core.Unlock()
	}
	return err
}

// sendDigit sends one digit and settles on a transport with the first. A hook
// flash settles nothing: it may be all that RTP does not have.
func (s *Session) sendDigit(ctx context.Context, digit rune, o *DTMFOptions) error {
	switch o.Transport {
	case DTMFRTP:
		return s.sendRTPDigit(ctx, digit, o.Duration)
	case DTMFAuto:
		err := s.sendRTPDigit(ctx, digit, o.Duration)
		if !errors.Is(err, ErrNoDTMF) && !errors.Is(err, ErrNotSending) {
			return err
		}
		if digit != hookFlash {
			o.Transport = DTMFInfo
		}
	}
	return s.sendInfoDigit(ctx, digit, o)
}

func (s *Session) sendRTPDigit(ctx context.Context, digit rune, d time.Duration) error {
	c := s.m.core
	c.Lock()
	media := s.leg.media
	if media == nil {
		media = s.leg.previous()
	}
	if s.usage.state.Ended() || s.leg.dialog == nil {
		defer c.Unlock()
		return s.cause()
	}
	if media == nil {
		c.Unlock()
		return ErrNoDTMF
	}
	outcome := make(chan error, 1)
	c.Go(func() { // not on the worker: the call goes on while a digit lasts
		outcome <- s.run(func() error { return media.SendDTMF(ctx, digit, d) })
	})
	c.Unlock()
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
