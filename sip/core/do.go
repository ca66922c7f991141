package core

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/dialog"
)

// Forever is a Wait without an end of its own.
const Forever = time.Duration(math.MaxInt64)

// Do sends req outside any dialog and returns the 2xx to it. It is for every
// method but INVITE, ACK and CANCEL. It waits for a flow as long as ctx. Another
// final response is a *sip.ResponseError, ctx ending is its cause; for other
// errors see [Outgoing.OnFail]. req belongs to the core afterwards.
func (c *Core) Do(ctx context.Context, req *sip.Request) (*sip.Response, error) {
	return c.do(ctx, nil, Forever, func() (*sip.Request, error) { return req, nil })
}

// DoIn is Do for a request inside d, which request makes with d.NewRequest. It is
// called locked and what it makes leaves next, because the requests of a dialog
// leave in the order of their CSeq numbers. DoIn waits for a flow no longer than
// RecoveryLimit.
func (c *Core) DoIn(ctx context.Context, d *dialog.Dialog, request func() (*sip.Request, error)) (*sip.Response, error) {
	return c.do(ctx, d, 0, request)
}

type outcome struct {
	res *sip.Response
	err error
}

func (c *Core) do(ctx context.Context, d *dialog.Dialog, wait time.Duration, request func() (*sip.Request, error)) (*sip.Response, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	done := make(chan outcome, 1)
	o := &Outgoing{
		Dialog:     d,
		Wait:       wait,
		Preemptive: true, // means REGISTER and PUBLISH only
		OnResponse: func(res *sip.Response) {
			if res.StatusCode().IsFinal() {
				done <- outcome{res: res}
			}
		},
		OnFail: func(err error) { done <- outcome{err: err} },
	}
	method, err := c.sendMade(o, request)
	if err != nil {
		return nil, err
	}
	select {
	case got := <-done:
		switch {
		case got.err != nil:
			return nil, got.err
		case !got.res.StatusCode().IsSuccess():
			return nil, &sip.ResponseError{Method: method, Response: got.res}
		}
		return got.res, nil
	case <-ctx.Done():
		c.mu.Lock()
		o.Abandon()
		c.mu.Unlock()
		return nil, context.Cause(ctx)
	}
}

// sendMade sends o with the request that is made under the lock.
func (c *Core) sendMade(o *Outgoing, request func() (*sip.Request, error)) (sip.Method, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	req, err := request()
	if err != nil {
		return "", err
	}
	method := req.Method()
	switch method {
	case sip.INVITE, sip.ACK, sip.CANCEL:
		return "", fmt.Errorf("core: %s is no request by itself", method)
	}
	o.Request = req
	c.Send(o)
	return method, nil
}
