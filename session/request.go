package session

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/dialog"
)

// SendMessage sends a MESSAGE inside the call (RFC 3428) and waits for its
// answer. An empty contentType means text/plain; headers are added to it.
func (s *Session) SendMessage(ctx context.Context, contentType string, body []byte, headers ...sip.Field) error {
	if contentType == "" {
		contentType = "text/plain;charset=UTF-8"
	}
	if err := checkFields("", headers); err != nil {
		return err
	}
	return s.sendBody(ctx, sip.MESSAGE, contentType, body, headers...)
}

func (s *Session) sendBody(ctx context.Context, method sip.Method, contentType string, body []byte, headers ...sip.Field) error {
	req := sip.NewRequest(method, sip.URI{})
	if err := errors.Join(req.SetBody(contentType, body), req.SetFields(headers...)); err != nil {
		return err
	}
	_, err := s.Do(ctx, req)
	return err
}

// Do sends a request of any method but INVITE, ACK, PRACK, CANCEL, BYE and UPDATE
// inside the call, early dialogs included, and returns the 2xx to it. Its header
// fields and body are taken over; its Request-URI, identity, route and CSeq are
// the dialog's. While the far end cannot be reached (408, 430, 480) it is sent
// again for up to RecoveryLimit, by default 32 s. Another final response is a
// *sip.ResponseError; when the call ends first, the error is its *EndError.
//
// A failure that says that the call is no more ends it (RFC 5057 §5.1).
func (s *Session) Do(ctx context.Context, req *sip.Request) (*sip.Response, error) {
	switch req.Method() {
	case sip.INVITE, sip.ACK, sip.PRACK, sip.CANCEL, sip.BYE, sip.UPDATE:
		return nil, errors.New("session: " + string(req.Method()) + " has a method of its own")
	}
	return s.do(ctx, req, func(*sip.Request) {})
}

// do is Do; leaving is told, with the mutex held, what is about to leave, each
// time it is sent.
func (s *Session) do(ctx context.Context, req *sip.Request, leaving func(*sip.Request)) (*sip.Response, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	c := s.m.core
	c.Lock()
	d := s.leg.dialog
	c.Unlock()
	p := patience{since: time.Now()}
	for {
		res, err := c.DoIn(ctx, d, func() (*sip.Request, error) {
			switch {
			case s.usage.state.Ended() || d == nil:
				return nil, s.cause()
			case s.hasReplaced(d):
				return nil, errReplaced
			}
			out := d.NewRequest(req.Method())
			leaving(out)
			return out, copyInto(out, req)
		})
		if err == nil || ctx.Err() != nil {
			return res, err
		}
		c.Lock()
		wait, again := s.retryIn(&p, req.Method(), err)
		switch {
		case s.hasReplaced(d):
			d, wait, again = s.leg.dialog, 0, strayed(err)
		case !again || d != s.leg.dialog:
			again = false
			s.failed(d, req.Method(), err)
		}
		c.Unlock()
		if !again {
			return nil, err
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// hasReplaced reports whether another dialog has taken the place of d: the far end
// is the same.
func (s *Session) hasReplaced(d *dialog.Dialog) bool { // [locked]
	return s.heir != nil && s.heir.up && s.heir.old.dialog == d || slices.Contains(s.retired, d)
}

// strayed reports whether a request never got to the far end in a dialog that was
// replaced, so that it may go in the new one.
func strayed(err error) bool {
	switch sip.StatusOf(err) {
	case sip.StatusForbidden, sip.StatusNotFound, sip.StatusRequestTimeout, sip.StatusFlowFailed,
		sip.StatusTemporarilyUnavailable, sip.StatusCallDoesNotExist:
		return true
	}
	return errors.Is(err, errReplaced)
}

// within is ctx for as long as the call is not over.
func (s *Session) within(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// sleep waits for d, or returns ctx's cause.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// copyInto adds the application's fields and body to a request of the dialog.
func copyInto(out, req *sip.Request) error {
	var err error
	own := out.Clone()
	for f := range req.Fields() {
		switch f.Name {
		case "Content-Type", "Content-Length", "Via", "Route", "Record-Route":
		default:
			if !own.HasHeader(f.Name) {
				err = errors.Join(err, out.AddHeader(f.Name, f.Value))
			}
		}
	}
	if len(req.Body()) > 0 {
		err = errors.Join(err, out.SetBody(req.Header("Content-Type"), req.Body()))
	}
	return err
}
