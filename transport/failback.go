package transport

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gorilla/websocket"
)

var errExcluded = errors.New("another pool uses it")

// lookBackAfter lets the pool look at heavier servers after a while, if there are
// any. The while is random, so that the clients of a server that came back do not
// return to it in step. It is called with mu held and a flow in use.
func (p *Pool) lookBackAfter() {
	if p.opt.FailBack == nil || p.stopped || !p.lighter(p.flow.index) {
		return
	}
	p.tasks.add()
	p.failBack = time.AfterFunc(p.opt.RecoveryMax/2+rand.N(p.opt.RecoveryMax/2+1), p.lookBack)
}

// lighter reports whether there is a server heavier than server index.
func (p *Pool) lighter(index int) bool {
	return slices.ContainsFunc(p.opt.Servers, func(s Server) bool {
		return s.Weight > p.opt.Servers[index].Weight
	})
}

// heavier returns the servers heavier than server index that may be moved to now,
// the heaviest first, equals in random order.
func (p *Pool) heavier(index int) []int {
	p.askExclude()
	p.mu.Lock()
	defer p.mu.Unlock()
	var is []int
	now := time.Now()
	for i, s := range p.opt.Servers {
		m := &p.roster.marks[i]
		if s.Weight > p.opt.Servers[index].Weight && !m.excluded && !now.Before(m.notBefore) && !now.Before(m.notBack) {
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
	defer p.looking.Store(0)
	l, err := p.tryHeavier(index, old)
	if err != nil {
		p.log.Debug("failing back failed", "server", p.opt.Servers[index], "error", err)
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

// tryHeavier connects to a heavier server unless that has lost its sense.
func (p *Pool) tryHeavier(index int, old *Flow) (*link, error) {
	s := p.opt.Servers[index]
	a, err := p.begin()
	if err != nil {
		return nil, err
	}
	if !p.takeTurn(a) {
		return nil, ErrPoolClosed
	}
	defer p.giveTurn(a)
	p.looking.Store(int32(index) + 1)
	if old.Err() != nil {
		return nil, old.Err()
	}
	if p.hooks.exclude(s) {
		return nil, errExcluded
	}
	l, err := p.open(a, s)
	if wait := askedBy(err); wait > 0 {
		p.mu.Lock()
		p.roster.stay(index, time.Now(), wait)
		p.mu.Unlock()
	}
	return l, err
}
