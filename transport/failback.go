package transport

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gorilla/websocket"
)

// lookBackAfter lets the pool look at heavier servers after a while, if there are
// any. The while is random, so that the clients of a server that came back do not
// return to it in step. It is called with mu held and a flow in use.
func (p *Pool) lookBackAfter() {
	if p.opt.FailBack == nil || p.stopped || len(p.heavier(p.flow.index)) == 0 {
		return
	}
	p.tasks.add()
	p.failBack = time.AfterFunc(p.opt.RecoveryMax/2+rand.N(p.opt.RecoveryMax/2+1), p.lookBack)
}

// heavier returns the servers heavier than server index, the heaviest first,
// equals in random order.
func (p *Pool) heavier(index int) []int {
	var is []int
	for i, s := range p.opt.Servers {
		if s.Weight > p.opt.Servers[index].Weight {
			is = append(is, i)
		}
	}
	rand.Shuffle(len(is), func(i, j int) { is[i], is[j] = is[j], is[i] })
	slices.SortStableFunc(is, func(a, b int) int {
		return cmp.Compare(p.opt.Servers[b].Weight, p.opt.Servers[a].Weight)
	})
	return is
}

// lookBack moves to a heavier server if one can be reached.
func (p *Pool) lookBack() {
	defer p.tasks.done()
	p.mu.Lock()
	old := p.flow
	p.failBack = nil
	stopped := p.stopped
	p.mu.Unlock()
	if old == nil || stopped {
		return
	}
	if p.hooks.mayFailBack() {
		for _, index := range p.heavier(old.index) {
			if p.moveTo(index, old) {
				return
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.flow == old {
		p.lookBackAfter()
	}
}

// moveTo replaces old by a flow to a heavier server, and reports whether it did.
func (p *Pool) moveTo(index int, old *Flow) bool {
	s := p.opt.Servers[index]
	l, err := p.open(s)
	if err != nil {
		p.log.Debug("failing back failed", "server", s, "error", err)
		return false
	}
	// The handshake took time: a call may have begun, the old flow may be gone.
	free := p.hooks.mayFailBack()
	p.mu.Lock()
	if !free || p.stopped || p.flow != old {
		p.mu.Unlock()
		l.conn.Close()
		return false
	}
	f := p.newFlow(l, index)
	p.mu.Unlock()
	old.beginClose(websocket.CloseNormalClosure, ErrFailBack, hurry)
	<-old.ended
	p.run(f)
	return true
}
