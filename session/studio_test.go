package session_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/session"
)

// studio makes fake media and says how they behave.
type studio struct {
	mu    sync.Mutex
	made  []*tape       // guarded by mu
	fail  error         // guarded by mu; what Answer and SetAnswer return
	gate  chan struct{} // guarded by mu; if set, every method waits for it
	fresh int           // guarded by mu; how many descriptions need fresh media
	mime  string        // guarded by mu; the type of what Offer and Answer return, if not SDP
	panic string        // guarded by mu; the method that panics

	steady bool // all offers are the same
}

func (st *studio) NewMedia(o session.MediaOptions) (session.Media, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	t := &tape{st: st, n: len(st.made) + 1, events: o.Events, previous: o.Previous}
	st.made = append(st.made, t)
	return t, nil
}

func (st *studio) open() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	n := 0
	for _, t := range st.made {
		if !t.closed {
			n++
		}
	}
	return n
}

func (st *studio) last() *tape {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.made[len(st.made)-1]
}

func (st *studio) failWith(err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.fail = err
}

func (st *studio) needFresh(n int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.fresh = n
}

// panicIn makes a method of all media panic.
func (st *studio) panicIn(method string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.panic = method
}

// describe makes the media return descriptions of another type.
func (st *studio) describe(mime string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.mime = mime
}

// description is what Offer and Answer return.
func (st *studio) description(name string) session.Description {
	st.mu.Lock()
	defer st.mu.Unlock()
	d := session.Description{ContentType: "application/sdp", Body: []byte(sdp(name))}
	if st.mime != "" {
		d.ContentType = st.mime
	}
	return d
}

// hold makes the media wait until the returned func is called.
func (st *studio) hold() (release func()) {
	gate := make(chan struct{})
	st.mu.Lock()
	st.gate = gate
	st.mu.Unlock()
	return func() {
		st.mu.Lock()
		st.gate = nil
		st.mu.Unlock()
		close(gate)
	}
}

func (st *studio) wait(ctx context.Context) error {
	st.mu.Lock()
	gate := st.gate
	st.mu.Unlock()
	if gate == nil {
		return nil
	}
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tape is a fake Media: it writes down what it was asked.
type tape struct {
	st       *studio
	n        int
	events   session.MediaEvents
	previous session.Media

	addressGone atomic.Bool
	asked       func() // runs while the media look whether their address is gone
	astray      bool   // its offer does not fit the call any more
	inPlace     bool   // its path is restarted in place

	// guarded by st.mu
	log    []string
	offers int
	closed bool
	held   bool
	muted  session.MuteSet
}

func (t *tape) RestartsInPlace() bool { return t.inPlace }

func (t *tape) note(format string, args ...any) {
	t.st.mu.Lock()
	defer t.st.mu.Unlock()
	if t.closed {
		panic("media used after Close")
	}
	if method, _, _ := strings.Cut(format, " "); method == t.st.panic {
		panic("oops: " + method)
	}
	t.log = append(t.log, fmt.Sprintf(format, args...))
}

// wrote returns what the media was asked since the last look.
func (t *tape) wrote() string {
	synctest.Wait()
	t.st.mu.Lock()
	defer t.st.mu.Unlock()
	s := strings.Join(t.log, ", ")
	t.log = nil
	return s
}

// sdp is a description as short as the tests need it.
func sdp(name string) string {
	return "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=x:" + name + "\r\n"
}

// nameOf is the name in a description of sdp.
func nameOf(body []byte) string {
	_, after, _ := strings.Cut(string(body), "a=x:")
	name, _, _ := strings.Cut(after, "\r\n")
	return name
}

func (t *tape) Offer(ctx context.Context, o session.OfferOptions) (session.Description, error) {
	if err := t.st.wait(ctx); err != nil {
		return session.Description{}, err
	}
	t.st.mu.Lock()
	t.offers++
	name := fmt.Sprintf("offer%d.%d", t.n, t.offers)
	if t.st.steady {
		name = "steady"
	}
	t.held = o.Hold
	t.st.mu.Unlock()
	if o.Hold {
		name += "-hold"
	}
	if o.ICERestart {
		name += "-restart"
	}
	t.note("Offer")
	return t.st.description(name), nil
}

func (t *tape) outcome() error {
	t.st.mu.Lock()
	defer t.st.mu.Unlock()
	if t.st.fresh > 0 {
		t.st.fresh--
		return session.ErrFreshMedia
	}
	return t.st.fail
}

func (t *tape) SetAnswer(ctx context.Context, d session.Description, o session.AnswerInfo) (session.MediaState, error) {
	if err := t.st.wait(ctx); err != nil {
		return session.MediaState{}, err
	}
	t.note("SetAnswer %s early=%v", nameOf(d.Body), o.Provisional)
	return session.MediaState{LocalHold: t.held, RemoteHold: strings.Contains(nameOf(d.Body), "hold") && !t.held}, t.outcome()
}

func (t *tape) AddressGone() bool {
	gone := t.addressGone.Load()
	if t.asked != nil {
		t.asked()
	}
	return gone
}

func (t *tape) Follows(session.Media) bool { return !t.astray }

func (t *tape) Abandon() { t.note("Abandon") }

func (t *tape) Answer(ctx context.Context, d session.Description, o session.OfferOptions) (session.Description, session.MediaState, error) {
	if err := t.st.wait(ctx); err != nil {
		return session.Description{}, session.MediaState{}, err
	}
	t.note("Answer %s", nameOf(d.Body))
	st := session.MediaState{LocalHold: o.Hold, RemoteHold: strings.Contains(nameOf(d.Body), "hold")}
	return t.st.description(fmt.Sprintf("answer%d", t.n)), st, t.outcome()
}

func (t *tape) Mute(set session.MuteSet, mute bool) {
	t.note("Mute %v %v", set, mute)
	t.st.mu.Lock()
	defer t.st.mu.Unlock()
	if set.Audio {
		t.muted.Audio = mute
	}
	if set.Video {
		t.muted.Video = mute
	}
}

func (t *tape) isMuted() session.MuteSet {
	t.st.mu.Lock()
	defer t.st.mu.Unlock()
	return t.muted
}

func (t *tape) SendDTMF(ctx context.Context, digit rune, d time.Duration) error {
	t.st.mu.Lock()
	closed := t.closed
	t.st.mu.Unlock()
	if closed {
		return session.ErrNotSending
	}
	t.note("SendDTMF %c %v", digit, d)
	return t.outcome()
}

func (t *tape) Close() error {
	defer func() {
		t.st.mu.Lock()
		defer t.st.mu.Unlock()
		t.closed = true
	}()
	t.note("Close")
	return nil
}

// isClosed reports whether the session has closed the media.
func (t *tape) isClosed() bool {
	t.st.mu.Lock()
	defer t.st.mu.Unlock()
	return t.closed
}
