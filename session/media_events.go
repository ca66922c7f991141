package session

import "time"

// mediaTag tells the events of the call's present Media from those of one
// that was replaced, and has what they have told of their path.
type mediaTag struct { // guarded by the core's mutex
	path pathState // pathNew, pathUp, pathWaiting or pathBroken
	err  error     // of pathBroken
	told bool      // the application knows that the path is up
}

// mediaEvents are the events of the call's next Media.
func (s *Session) mediaEvents(tag *mediaTag) MediaEvents {
	present := func(f func(*leg)) {
		s.m.core.Lock()
		defer s.m.core.Unlock()
		if l := s.reports(tag); l != nil {
			f(l)
		}
	}
	path := func(now pathState, err error) {
		present(func(l *leg) {
			tag.path, tag.err = now, err
			if now == pathUp && !tag.told {
				tag.told = true
				s.tellConnected()
			}
			if l.source == tag { // else when they are the leg's
				l.feedPath()
			}
		})
	}
	return MediaEvents{
		Connected:    func() { path(pathUp, nil) },
		Disconnected: func() { path(pathWaiting, nil) },
		Failed:       func(err error) { path(pathBroken, err) },
		DTMF: func(digit rune, d time.Duration) {
			present(func(*leg) { s.tellDTMF(DTMF{Digit: digit, Duration: d}) })
		},
	}
}

// reports returns the leg whose events those of the tag are, nil if they are
// nobody's.
func (s *Session) reports(tag *mediaTag) *leg { // [locked]
	for l := range s.legs() {
		if l.source == tag || l.open != nil && l.open.source == tag {
			return l
		}
	}
	return nil
}
