package session_test

import (
	"errors"
	"slices"
	"time"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
	"github.com/gosipua/sipua/sip/core"
)

// secondServer has us at two servers at a time (RFC 5626 §4.2).
func (c *chaos) secondServer() {
	c.lines = append(c.lines, &line{rig: &rig{t: c.t, core: c.core, calls: c.calls, media: c.media, calls1: c.calls1, wire: &wire{}}, regID: 2})
	c.connection(c.lines[1])
}

// network has a connection come or go, the machine sleep or be elsewhere.
func (c *chaos) network() {
	switch c.rand.IntN(8) {
	case 0:
		c.calls.Resumed(time.Duration(c.rand.IntN(100)) * time.Second)
	case 1:
		if s := c.session; s != nil && s.Media() != nil {
			s.Media().(*tape).addressGone.Store(c.rand.IntN(2) == 0)
		}
		c.calls.NetworkChanged()
	default:
		if l := c.lines[c.rand.IntN(len(c.lines))]; !l.up || c.rand.IntN(3) == 0 {
			c.connection(l)
		}
	}
	c.look()
}

// connection has that of a line come or go.
func (c *chaos) connection(l *line) {
	if l.up = !l.up; l.up {
		host := "example.com"
		switch {
		case l.regID == 2:
			host = "two.example.com"
		case c.rand.IntN(5) == 0:
			host = "other.example.com"
		}
		l.flowUp(core.FlowInfo{Server: "ws://" + host, Host: host, RegID: l.regID, Local: []string{"", "192.0.2.1:1", "192.0.2.2:1"}[c.rand.IntN(3)]})
		if c.rand.IntN(3) > 0 {
			l.ready()
		}
	} else {
		c.look()
		l.down()
		for _, t := range c.finals {
			t.lost = t.lost || t.line == l.rig && len(t.codes) == 0
		}
	}
	c.look()
}

// allUp has us registered over every line.
func (c *chaos) allUp() {
	for _, l := range c.lines {
		if !l.up {
			c.connection(l)
		}
		l.ready()
	}
	c.look()
}

// use has what comes next come over a line, and reports whether it is up.
func (c *chaos) use(l *line) bool {
	c.rig = l.rig
	return l.up
}

// anyLine has what comes next come over any.
func (c *chaos) anyLine() bool {
	i := c.rand.IntN(len(c.lines))
	return c.use(c.lines[i]) || c.use(c.lines[len(c.lines)-1-i])
}

// lineOf has what comes next come over the line that a request of ours left by.
func (c *chaos) lineOf(req *sip.Request) bool { return c.use(c.left[req]) || c.anyLine() }

// path has media, the call's or others, tell of their path.
func (c *chaos) path() {
	t := c.media.last()
	if c.rand.IntN(2) == 0 {
		t = c.session.Media().(*tape)
	}
	switch c.rand.IntN(8) {
	case 0:
		t.events.Failed(errors.New("gone"))
	case 1, 2:
		t.events.Disconnected()
	default:
		t.events.Connected()
	}
	c.look()
}

// sound checks what must hold of a call in which nothing goes on.
func (c *chaos) sound(s *session.Session) {
	if m := s.Media().(*tape); m.isClosed() {
		c.t.Error("the media of the call are closed")
	} else if m.isMuted() != s.Muted() {
		c.t.Errorf("muted %v, its media %v", s.Muted(), m.isMuted())
	}
	if all := c.calls.Sessions(); slices.Equal(all, []*session.Session{s}) && c.media.open() > 1 {
		c.t.Errorf("one call has %d media", c.media.open())
	}
}

// roam has the call come up, if nothing comes between, its media find a path and
// its connection go.
func (c *chaos) roam() {
	token := sip.Field{Name: "Record-Route", Value: "<sip:token@edge.example.com;lr;ob>"}
	fields := []sip.Field{{Name: "Supported", Value: "replaces"}, updates, token}[:c.rand.IntN(4)]
	switch {
	case c.in == nil && len(c.ours) > 0:
		invite := c.ours[0]
		c.lineOf(invite)
		c.far = append(c.far, c.called(invite, "one"))
		c.answer(invite, 200, "one", sdp("far"), fields...)
	case c.in != nil && len(c.far) > 0:
		ack := c.far[0].request(sip.ACK, sdp("far"))
		c.must(ack.SetCSeq(sip.CSeq{Seq: c.invite.CSeq().Seq, Method: sip.ACK}))
		c.sends(ack)
	}
	c.look()
	if c.rand.IntN(3) > 0 && c.session != nil && c.session.Media() != nil {
		c.media.last().events.Connected()
	}
	for range 2 {
		if c.rand.IntN(4) > 0 && len(c.judged) == 0 {
			c.applicationActs()
		}
		c.connection(c.lines[0])
	}
	if c.session != nil && c.session.Media() != nil && c.rand.IntN(3) == 0 {
		c.path()
	}
	if c.rand.IntN(2) == 0 {
		time.Sleep(time.Duration(c.rand.IntN(11000)) * time.Millisecond)
		c.look()
	}
}
