package session

import (
	"context"
	"errors"

	"github.com/gosipua/sipua/sip"
)

// SendInfo sends an INFO request inside the call (RFC 6086) and waits for its
// answer.
func (s *Session) SendInfo(ctx context.Context, contentType string, body []byte) error {
	return s.sendBody(ctx, sip.INFO, contentType, body)
}

// SendMessage sends a MESSAGE inside the call (RFC 3428) and waits for its
// answer. An empty contentType means text/plain.
func (s *Session) SendMessage(ctx context.Context, contentType string, body []byte) error {
	if contentType == "" {
		contentType = "text/plain;charset=UTF-8"
	}
	return s.sendBody(ctx, sip.MESSAGE, contentType, body)
}

func (s *Session) sendBody(ctx context.Context, method sip.Method, contentType string, body []byte) error {
	req := sip.NewRequest(method, sip.URI{})
	if err := req.SetBody(contentType, body); err != nil {
		return err
	}
	_, err := s.Do(ctx, req)
	return err
}

// Do sends a request of any method but INVITE, ACK, CANCEL, BYE and UPDATE
// inside the call and returns the 2xx to it. Its header fields and body are
// taken over; its Request-URI, identity, route and CSeq are the dialog's.
// Another final response is a *sip.ResponseError; when the call ends first, the
// error is its *EndError.
func (s *Session) Do(ctx context.Context, req *sip.Request) (*sip.Response, error) {
	switch req.Method() {
	case sip.INVITE, sip.ACK, sip.CANCEL, sip.BYE, sip.UPDATE:
		return nil, errors.New("session: " + string(req.Method()) + " has a method of its own")
	}
	return s.do(ctx, req, func(*sip.Request) {})
}

// do is Do; leaving is told, with the mutex held, what is about to leave.
func (s *Session) do(ctx context.Context, req *sip.Request, leaving func(*sip.Request)) (*sip.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })()
	c := s.m.core
	c.Lock()
	d := s.leg.dialog
	c.Unlock()
	res, err := c.DoIn(ctx, d, func() (*sip.Request, error) {
		if s.usage.state.Ended() || d == nil {
			return nil, s.cause()
		}
		out := d.NewRequest(req.Method())
		leaving(out)
		return out, copyInto(out, req)
	})
	if err != nil {
		c.Lock()
		defer c.Unlock()
		s.dialogGone(d, err)
	}
	return res, err
}

// copyInto adds the application's fields and body to a request of the dialog.
func copyInto(out, req *sip.Request) error {
	var err error
	for f := range req.Fields() {
		if !out.HasHeader(f.Name) && f.Name != "Content-Type" && f.Name != "Content-Length" {
			err = errors.Join(err, out.AddHeader(f.Name, f.Value))
		}
	}
	if len(req.Body()) > 0 {
		err = errors.Join(err, out.SetBody(req.Header("Content-Type"), req.Body()))
	}
	return err
}
