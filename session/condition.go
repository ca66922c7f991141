package session

import "time"

// Condition is what is wrong with a call that is up and goes on all the same;
// the zero value: nothing.
type Condition struct {
	// Unreachable: what the far end sends, a BYE among it, does not reach us. The
	// connection that it came over is gone, and no other could be put in its
	// place. Media flow, and what we send may arrive.
	Unreachable bool
	// Silent: nothing is heard of the far end's media path (ICE).
	Silent bool
	// Err says why, of what came last; nil when nothing is wrong.
	Err error
	// Since is when the call was all right last; zero when nothing is wrong.
	Since time.Time
}

// Degraded reports whether anything is wrong.
func (c Condition) Degraded() bool { return c.Unreachable || c.Silent }

// String tells what is wrong, in words.
func (c Condition) String() string {
	switch {
	case c.Unreachable && c.Silent:
		return "unreachable and silent"
	case c.Unreachable:
		return "unreachable"
	case c.Silent:
		return "silent"
	}
	return "all right"
}

// Condition is what is wrong with the call now.
func (s *Session) Condition() Condition {
	s.m.core.Lock()
	defer s.m.core.Unlock()
	return s.condition
}

// setCondition notes and tells a change; err says why where something is wrong.
func (s *Session) setCondition(c Condition, err error) { // [locked]
	was := s.condition
	if s.usage.state.Ended() || was.Unreachable == c.Unreachable && was.Silent == c.Silent {
		return
	}
	switch {
	case !c.Degraded():
		c = Condition{}
	case was.Degraded():
		c.Since, c.Err = was.Since, err
	default:
		c.Since, c.Err = time.Now(), err
	}
	s.condition = c
	if h := s.handler.Condition; h != nil {
		s.tellNewest(eventCondition, func() { h(s, c) })
	}
	if h := s.m.o.Condition; h != nil {
		h(s, c, was)
	}
}

// setUnreachable notes whether the far end can reach us.
func (s *Session) setUnreachable(on bool, err error) { // [locked]
	c := s.condition
	c.Unreachable = on
	s.setCondition(c, err)
}

// setSilent notes whether the media path is there.
func (s *Session) setSilent(on bool, err error) { // [locked]
	c := s.condition
	c.Silent = on
	s.setCondition(c, err)
}
