package registrar

import (
	"crypto/rand"
	"errors"
	"math/big"
	"time"

	"github.com/gosipua/sipua/sip"
)

// The waits after failures: RFC 5626 §4.5 with its defaults.
const (
	baseWait       = 30 * time.Second // while no flow is registered
	baseWaitBeside = 90 * time.Second // while another one is
	maxWait        = 30 * time.Minute
	maxRetryAfter  = time.Hour

	// trials is how many attempts with credentials may come to nothing within
	// trialWindow before a further REGISTER has to wait, so that no account is
	// locked out.
	trials      = 2
	trialWindow = time.Minute

	// maxServers bounds the servers whose failures are remembered; there are more
	// only where the application names ever new ones.
	maxServers = 16
)

// backoff says when the next REGISTER over a flow may leave. Failures count for
// the server that they happened at.
type backoff struct {
	servers map[string]failing
}

// failing is what is remembered of a server that did not register us.
type failing struct {
	failures int
	until    time.Time // it is not to be asked before
}

// failed notes a failure and returns how long to leave the server alone: what the
// registrar asks for by Retry-After, an hour at most, else twice as long each
// time with jitter. beside says that another flow is registered.
func (b *backoff) failed(err error, server string, beside bool, now time.Time) time.Duration {
	s := b.servers[server]
	s.failures++
	wait, ok := retryAfter(err)
	if !ok || wait == 0 && s.failures > 1 {
		wait = backOff(s.failures, beside)
	}
	s.until = now.Add(wait)
	if b.servers == nil || len(b.servers) >= maxServers {
		b.servers = map[string]failing{}
	}
	b.servers[server] = s
	return wait
}

// backOff is the wait after a number of failures in a row: at random, between
// half of the upper bound and the whole.
func backOff(failures int, beside bool) time.Duration {
	base := baseWait
	if beside {
		base = baseWaitBeside
	}
	wait := maxWait
	if failures < 6 { // 2^6 · 30 s is more than half an hour
		wait = min(wait, base<<failures)
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

// left is how much longer a server is to be left alone, even by a new connection.
func (b *backoff) left(server string, now time.Time) time.Duration {
	return max(0, b.servers[server].until.Sub(now))
}

// succeeded forgets what failed at a server.
func (b *backoff) succeeded(server string) { delete(b.servers, server) }

// renewed forgets all failures.
func (b *backoff) renewed() { b.servers = nil }

// lockout keeps the account from being locked out. It counts the attempts with
// credentials that came to nothing, over all flows, since the last success and
// whoever asked for them. A success proves the credentials, so it takes them all
// back; were it not for that, a registrar that grants ten seconds could not be
// kept. A REGISTER that has begun may answer a second challenge (a fresh nonce)
// all the same.
type lockout struct {
	trials [trials]time.Time // when the last ones came to nothing, oldest first
}

// tried notes an attempt with credentials.
func (l *lockout) tried(now time.Time) {
	copy(l.trials[:], l.trials[1:])
	l.trials[len(l.trials)-1] = now
}

// hold is how long the next REGISTER must wait whatever the reason for it.
func (l *lockout) hold(now time.Time) time.Duration {
	if oldest := l.trials[0]; !oldest.IsZero() {
		return max(0, trialWindow-now.Sub(oldest))
	}
	return 0
}

// succeeded forgets all attempts.
func (l *lockout) succeeded() { *l = lockout{} }

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
