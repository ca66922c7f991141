package registrar

import (
	"crypto/rand"
	"errors"
	"math/big"
	"time"

	"github.com/gosipua/sipua/sip"
)

// The waits after failures: RFC 5626 §4.5 with its defaults for a UA that has
// no other flow.
const (
	baseWait      = 30 * time.Second
	maxWait       = 30 * time.Minute
	maxRetryAfter = time.Hour

	// trials is how many attempts with credentials may come to nothing within
	// trialWindow before a further REGISTER has to wait, so that no account is
	// locked out.
	trials      = 2
	trialWindow = time.Minute
)

// backoff says when the next REGISTER may leave.
//
// The limit on attempts with credentials counts those that came to nothing,
// since the last success and whoever asked for them. A success proves the
// credentials, so it takes them all back; were it not for that, a registrar
// that grants ten seconds could not be kept. A REGISTER that has begun may
// answer a second challenge (a fresh nonce) all the same.
type backoff struct {
	failures int
	trials   [trials]time.Time // when the last ones came to nothing, oldest first

	server string // has asked by Retry-After to be left alone
	until  time.Time
}

// failed notes a failure and returns how long to wait: what the registrar asks
// for by Retry-After, an hour at most, else twice as long each time with jitter.
func (b *backoff) failed(err error, server string, now time.Time) time.Duration {
	b.failures++
	if wait, ok := retryAfter(err); ok && (wait > 0 || b.failures == 1) {
		b.server, b.until = server, now.Add(wait)
		return wait
	}
	wait := maxWait
	if b.failures < 6 { // 2^6 · 30 s is more than half an hour
		wait = baseWait << b.failures
	}
	return wait/2 + jitter(wait/2)
}

// retryAfter is the Retry-After of a refusal. Zero is valid and means at once
// (RFC 5626 §4.2.1).
func retryAfter(err error) (time.Duration, bool) {
	var res *sip.ResponseError
	if !errors.As(err, &res) {
		return 0, false
	}
	s, ok := res.Response.RetryAfter()
	return min(time.Duration(s)*time.Second, maxRetryAfter), ok
}

// tried notes an attempt with credentials.
func (b *backoff) tried(now time.Time) {
	copy(b.trials[:], b.trials[1:])
	b.trials[len(b.trials)-1] = now
}

// hold is how long the next REGISTER must wait whatever the reason for it.
func (b *backoff) hold(now time.Time) time.Duration {
	if oldest := b.trials[0]; !oldest.IsZero() {
		return max(0, trialWindow-now.Sub(oldest))
	}
	return 0
}

// asked is how much longer a server wants to be left alone, even by a new
// connection.
func (b *backoff) asked(server string, now time.Time) time.Duration {
	if server != b.server {
		return 0
	}
	return max(0, b.until.Sub(now))
}

// renewed forgets the failures, but not the attempts that count for a lock-out.
func (b *backoff) renewed() { *b = backoff{trials: b.trials} }

// succeeded forgets everything.
func (b *backoff) succeeded() { *b = backoff{} }

// refreshIn is when to renew a binding: at random, so that the UAs of a server
// that came back spread out, after half of its life at the earliest and five
// sixths at the latest. Of 600 s that leaves room for a time-out (32 s) and a
// first wait.
func refreshIn(expires time.Duration) time.Duration {
	earliest, latest := expires/2, min(expires*5/6, expires-margin)
	return earliest + jitter(latest-earliest)
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
