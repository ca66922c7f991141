package transport

import "time"

// lookEvery is how often a pool that waits for its next attempt looks at the clocks,
// so that a sleep of the machine is noticed about as soon as with a flow.
const lookEvery = 5 * time.Second

// waiting is the pause before a pool's next attempt. All of it is guarded by Pool.mu.
type waiting struct {
	retry    *time.Timer // nil when no attempt waits
	retryAt  time.Time   // when the attempt is due
	retryDue time.Time   // when the timer is
	looked   clocks      // when it was set

	hinted   bool      // there was a hint that the next wait has to take into account
	brought  bool      // the next attempt was brought forward for a hint
	hintedAt time.Time // when the last one began that was
	anewAt   time.Time // when an attempt was last begun anew for a hint
}

// schedule tells of the next attempt and sets the timer for it. It returns true if
// the caller has to make the attempt at once.
func (p *Pool) schedule(wait time.Duration) (atOnce bool) {
	for told := time.Duration(-1); ; told = wait {
		p.mu.Lock()
		wait = p.hurry(wait)
		if p.stopped || wait == told {
			break
		}
		number := p.roster.attempt + 1
		p.mu.Unlock()
		p.hooks.retry(wait, number)
	}
	defer p.mu.Unlock()
	if p.stopped || wait <= 0 {
		return !p.stopped
	}
	p.trying = false
	now := time.Now()
	p.retryAt = now.Add(wait)
	p.armRetry(now)
	return false
}

// armRetry sets the timer for the attempt, or for a look at the clocks before.
// It is called with mu held.
func (p *Pool) armRetry(now time.Time) {
	wait := min(p.retryAt.Sub(now), lookEvery)
	p.retryDue, p.looked = now.Add(wait), lookAt(now)
	p.tasks.add()
	p.retry = time.AfterFunc(wait, p.onRetry)
}

func (p *Pool) onRetry() {
	defer p.tasks.done()
	p.mu.Lock()
	if p.stopped || p.retry == nil {
		p.mu.Unlock()
		return
	}
	p.retry = nil
	now := time.Now()
	slept, stood := asleep(p.retryDue, p.looked, lookAt(now))
	if slept == 0 && !p.hinted && now.Before(p.retryAt) {
		p.armRetry(now)
		p.mu.Unlock()
		return
	}
	wait := p.retryAt.Sub(now)
	p.trying = true
	p.hinted = wait > 0 // by Check or by the sleep
	p.tasks.add()
	p.mu.Unlock()
	if slept > 0 {
		p.resumed(slept, stood)
	}
	if wait > 0 && !p.schedule(wait) {
		p.tasks.done()
		return
	}
	p.connect()
}
