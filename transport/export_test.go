package transport

import (
	"net"
	"time"
)

// Sleep makes f find, when its timer fires next, that the machine slept for d
// meanwhile, its monotonic clock standing still.
func (f *Flow) Sleep(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked.wall -= d
}

// Freeze makes f find that the process was frozen for d.
func (f *Flow) Freeze(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.timerDue = f.timerDue.Add(-d)
	if f.live.keep > 0 { // as with every time that was set
		f.live.nextCRLF = f.live.nextCRLF.Add(-d)
	}
}

// Sleep is the same for a pool that waits for its next attempt.
func (p *Pool) Sleep(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting.looked.wall -= d
}

// SetInterfaces replaces what the pool knows of the addresses of the machine.
func (p *Pool) SetInterfaces(f func() ([]net.Addr, error)) { p.interfaces = f }
