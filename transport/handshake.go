package transport

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// newHandshakeError takes over what gorilla kept of the server's answer.
func newHandshakeError(resp *http.Response) *HandshakeError {
	e := &HandshakeError{StatusCode: resp.StatusCode, Status: resp.Status, Header: resp.Header}
	e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	e.Header.Del("Set-Cookie") // an error gets printed
	e.Body, _ = io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	return e
}

// retryAfter reads a Retry-After field, which is seconds or a date
// (RFC 9110 §10.2.3). What it cannot read is 0.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if n, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(value); err == nil && t.After(now) {
		return t.Sub(now)
	}
	return 0
}

// askedBy returns how long a server that refused the handshake asked to be left
// alone.
func askedBy(err error) time.Duration {
	var refused *HandshakeError
	if errors.As(err, &refused) {
		return refused.RetryAfter
	}
	return 0
}
