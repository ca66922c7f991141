package registrar

import (
	"crypto/rand"
	"errors"
	"math/big"
	"time"

	"github.com/gosipua/sipua/sip"
)

// The waits after failures: RFC 5626 §4.5 with its default of 30 s for a UA
// whose only flow failed, and half an hour at most.
const (
	baseWait      = 30 * time.Second
	maxWait       = 30 * time.Minute
	maxRetryAfter = time.Hour

	// trials is how many REGISTERs with credentials that did not succeed may
	// leave within trialWindow, so that no account is locked out.
	trials      = 2
	trialWindow = time.Minute
)

// backoff says when the next REGISTER may leave.
type backoff struct {
	failures int
	trials   [trials]time.Time // when the last ones with credentials left, oldest first
}

// after returns how long to wait after a failure: what the registrar asks for
// by Retry-After, an hour at most, else twice as long each time with jitter.
func (b *backoff) after(err error) time.Duration {
	b.failures++
	var res *sip.ResponseError
	if errors.As(err, &res) {
		if s, ok := res.Response.RetryAfter(); ok && s > 0 {
			return min(time.Duration(s)*time.Second, maxRetryAfter)
		}
	}
	wait := maxWait
	if b.failures < 8 {
		wait = min(baseWait<<(b.failures-1), maxWait)
	}
	return wait/2 + jitter(wait/2)
}

// tried notes a REGISTER that left with credentials.
func (b *backoff) tried(now time.Time) {
	copy(b.trials[:], b.trials[1:])
	b.trials[len(b.trials)-1] = now
}

// hold is how long the next REGISTER must wait all the same.
func (b *backoff) hold(now time.Time) time.Duration {
	if oldest := b.trials[0]; !oldest.IsZero() {
		return max(0, trialWindow-now.Sub(oldest))
	}
	return 0
}

// succeeded forgets all failures.
func (b *backoff) succeeded() { *b = backoff{} }

// refreshIn is when to renew a binding: after half of its life at the
// earliest, at random so that the UAs of a server that came back spread out,
// and before the margin.
func refreshIn(expires time.Duration) time.Duration {
	latest := expires*9/10 - margin
	if expires <= 64*time.Second {
		return expires - margin
	}
	return expires/2 + jitter(latest-expires/2)
}

// jitter returns a random duration below d.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	v, err := rand.Int(rand.Reader, big.NewInt(int64(d)))
	if err != nil {
		return 0 // crypto/rand does not fail
	}
	return time.Duration(v.Int64())
}
