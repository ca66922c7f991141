package core

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/dialog"
)

// forever is a Wait that only the context ends.
const forever = time.Duration(math.MaxInt64)

// Do sends req outside any dialog and returns the 2xx to it. It is for every
// method but INVITE, ACK and CANCEL. It waits for a flow as long as ctx. Another
// final response is a *sip.ResponseError, ctx ending is its cause; for other
// errors see [Outgoing.OnFail]. req belongs to the core afterwards.
func (c *Core) Do(ctx context.Context, req *sip.Request) (*sip.Response, error) {
	return c.do(ctx, nil, req)
}

// DoIn is Do for a request inside d, made with d.NewRequest. The caller must not
// hold the lock, so it makes the request under it first.
func (c *Core) DoIn(ctx context.Context, d *dialog.Dialog, req *sip.Request) (*sip.Response, error) {
	return c.do(ctx, d, req)
}

type outcome struct {
	res *sip.Response
	err error
}

func (c *Core) do(ctx context.Context, d *dialog.Dialog, req *sip.Request) (*sip.Response, error) {
	method := req.Method()
	switch method {
	case sip.INVITE, sip.ACK, sip.CANCEL:
		return nil, fmt.Errorf("core: %s is no request by itself", method)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	done := make(chan outcome, 1)
	o := &Outgoing{
		Request:    req,
		Dialog:     d,
		Wait:       forever,
		Preemptive: true, // means REGISTER and PUBLISH only
		OnResponse: func(res *sip.Response) {
			if res.StatusCode().IsFinal() {
				done <- outcome{res: res}
			}
		},
		OnFail: func(err error) { done <- outcome{err: err} },
	}
	c.mu.Lock()
	c.Send(o)
	c.mu.Unlock()
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
