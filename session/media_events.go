package session

import (
	"errors"
	"time"
)

// mediaTag tells the events of the call's present Media from those of one
// that was replaced.
type mediaTag struct{ _ byte }

// mediaEvents are the events of the call's next Media.
func (s *Session) mediaEvents(tag *mediaTag) MediaEvents {
	present := func(f func()) {
		s.m.core.Lock()
		defer s.m.core.Unlock()
		if s.reports(tag) {
			f()
		}
	}
	return MediaEvents{
		Connected: func() { present(s.tellConnected) },
		Failed: func(err error) {
			present(func() {
				if s.out != nil && len(s.out.forks) > 1 && s.usage.state == Early { // another fork may answer
					return
				}
				s.step(inMediaFailed, event{end: &EndError{Kind: EndMediaFailed, Err: errors.Join(errMediaPath, err)}})
			})
		},
		DTMF: func(digit rune, d time.Duration) {
			present(func() { s.tellDTMF(DTMF{Digit: digit, Duration: d}) })
		},
	}
}

// reports tells whether the events of that tag are the call's.
func (s *Session) reports(tag *mediaTag) bool { // [locked]
	for l := range s.legs() {
		if l.source == tag || l.open != nil && l.open.source == tag {
			return true
		}
	}
	return false
}
