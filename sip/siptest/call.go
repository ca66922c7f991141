package siptest

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/gosipua/sipua/sip"
)

// Calls returns the calls through a server with a [Personality], in the order in
// which they began; none through a [Plain] one, which keeps no calls.
func (s *Server) Calls() []*Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sortedCalls()
}

// Caller is the leg of who called, or who was put into that place.
func (c *Call) Caller() *Leg {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return c.caller
}

// Callee is the leg of who has answered, or was put into that place; nil before.
func (c *Call) Callee() *Leg {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return c.callee
}

// Of is the leg of a user, nil for none.
func (c *Call) Of(user string) *Leg {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	for _, l := range c.allLegs() {
		if l.user == user {
			return l
		}
	}
	return nil
}

// Hangup ends the call: BYE, CANCEL or 487, with the server's own Reason.
func (c *Call) Hangup() {
	c.server.mu.Lock()
	defer c.server.unlock()
	c.hangup(nil, 0)
}

// User is the user part of the client's address.
func (l *Leg) User() string { return l.user }

// CallID is the Call-ID of the dialog.
func (l *Leg) CallID() string { return l.callID }

// Reinvite sends a re-INVITE with the description that the client has been shown
// last.
func (l *Leg) Reinvite(ctx context.Context) error {
	return l.await(ctx, sip.INVITE, func(done func(sip.StatusCode)) {
		l.whenFree(func() { l.reinvite(l.farEnd(), done) })
	})
}

// ReinviteEmpty sends a re-INVITE without an offer. The one that the client makes
// in its 200 goes to the other leg, and that one's answer into the ACK.
func (l *Leg) ReinviteEmpty(ctx context.Context) error {
	return l.await(ctx, sip.INVITE, func(done func(sip.StatusCode)) {
		keep := l.peer
		if keep == nil {
			done(sip.StatusRequestPending)
			return
		}
		l.whenFree(func() {
			l.offer(sip.INVITE, nil, nil, func(r *request, res *sip.Response) {
				if !res.StatusCode().IsSuccess() {
					done(res.StatusCode())
					return
				}
				l.ours = r
				l.call.bridge(keep, l, r, res.Body(), done)
			})
		})
	})
}

// Hold tells the client that its far end only sends (music), or where inactive is
// true nothing at all; the far end is not told. With address it says so in the
// way of RFC 2543 too: c=0.0.0.0.
func (l *Leg) Hold(ctx context.Context, inactive, address bool) error {
	return l.await(ctx, sip.INVITE, func(done func(sip.StatusCode)) {
		direction := "sendonly"
		if inactive {
			direction = "inactive"
		}
		body := withDirection(l.farEnd(), direction)
		if address {
			body = withoutAddress(body)
		}
		l.whenFree(func() { l.reinvite(body, done) })
	})
}

// Unhold takes back what Hold said.
func (l *Leg) Unhold(ctx context.Context) error {
	return l.await(ctx, sip.INVITE, func(done func(sip.StatusCode)) {
		l.whenFree(func() { l.reinvite(withDirection(l.farEnd(), "sendrecv"), done) })
	})
}

// Refresh refreshes the session as the server does by itself (RFC 4028).
func (l *Leg) Refresh(ctx context.Context) error {
	return l.await(ctx, sip.INVITE, l.refresh)
}

// Update sends an UPDATE without an offer (RFC 3311).
func (l *Leg) Update(ctx context.Context) error {
	return l.await(ctx, sip.UPDATE, l.update)
}

// Ping sends an OPTIONS in the dialog.
func (l *Leg) Ping(ctx context.Context) error {
	return l.await(ctx, sip.OPTIONS, func(done func(sip.StatusCode)) {
		l.send(sip.OPTIONS, nil, nil, func(_ *request, res *sip.Response) { done(res.StatusCode()) })
	})
}

// Challenge makes the server challenge the next n requests of the client in the
// dialog, with 401 or 407 as it does other requests. It forgets its nonces, so that
// credentials sent unasked do not pass.
func (l *Leg) Challenge(n int) {
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	l.challenge = n
	l.server.nonces = nonceStore{}
}

// Transfer connects the client with another user. Its far end goes, and with the
// new one another description comes: a new DTLS identity inside the dialog.
func (l *Leg) Transfer(ctx context.Context, user string) error {
	return l.await(ctx, sip.INVITE, func(done func(sip.StatusCode)) {
		leaving := l.peer
		if leaving == nil {
			done(sip.StatusRequestPending)
			return
		}
		to := sip.URI{Scheme: "sip", User: sip.EscapeUser(user), Host: l.server.options.Domain}
		l.call.transfer(leaving, to, nil, func(sip.StatusCode) {}, func(code sip.StatusCode) {
			if code.IsSuccess() {
				leaving.end(l.server.traits.reason(0), 0)
			}
			done(code)
		})
	})
}

// farEnd is the description of whom the leg is connected with.
func (l *Leg) farEnd() []byte {
	if l.peer == nil {
		return nil
	}
	return l.peer.description
}

// await starts something with s.mu held and waits for its outcome.
func (l *Leg) await(ctx context.Context, m sip.Method, start func(done func(sip.StatusCode))) error {
	s := l.server
	outcome := make(chan sip.StatusCode, 1)
	s.mu.Lock()
	if s.closed || l.state != legUp {
		s.mu.Unlock()
		return fmt.Errorf("siptest: no such dialog: %w", net.ErrClosed)
	}
	req := sip.NewRequest(m, l.target)
	start(func(code sip.StatusCode) {
		select {
		case outcome <- code:
		default:
		}
	})
	s.unlock()
	for {
		select {
		case code := <-outcome:
			if code.IsSuccess() {
				return nil
			}
			return &sip.ResponseError{Method: m, Response: sip.NewResponse(req, code, "")}
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
			if l.gone() {
				return fmt.Errorf("siptest: the call has ended: %w", net.ErrClosed)
			}
		}
	}
}

func (l *Leg) gone() bool {
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	return l.state == legOver
}
