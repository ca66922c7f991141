package transport_test

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosipua/sipua/transport"
)

// timedFrame is a frame and when it arrived, from the test's beginning.
type timedFrame struct {
	frame
	at time.Duration
}

// frames reads all frames of a connection.
func frames(c *end) <-chan timedFrame {
	began := time.Now()
	out := make(chan timedFrame, 1000)
	go func() {
		defer close(out)
		for {
			f, err := readFrame(c)
			if err != nil {
				return
			}
			out <- timedFrame{f, time.Since(began)}
		}
	}()
	return out
}

func TestSilentFlowIsPingedAndFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r, c := connected(t, transport.Options{})
		began := time.Now()
		in := frames(c)
		if f := <-in; f.opcode != ping || f.at != 5*time.Second {
			t.Errorf("got opcode %d after %v, want a ping after 5 s", f.opcode, f.at)
		}
		down := r.next(t, "down")
		if got := down.at.Sub(began); got != 9*time.Second || !errors.Is(down.err, transport.ErrNoPong) {
			t.Errorf("down after %v with %v, want ErrNoPong after 9 s", got, down.err)
		}
		if next := r.next(t, "connecting"); next.attempt != 2 {
			t.Errorf("a flow never heard of counts as held")
		}
	})
}

func TestAnsweredPingKeepsFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r, c := connected(t, transport.Options{})
		in := frames(c)
		want := 5 * time.Second
		for range 100 {
			f := <-in
			if f.opcode != ping || f.at != want {
				t.Fatalf("got opcode %d after %v, want a ping after %v", f.opcode, f.at, want)
			}
			time.Sleep(3999 * time.Millisecond)
			send(t, c, fin|pong, string(f.payload))
			want += 3999*time.Millisecond + 5*time.Second
		}
		r.none(t)
	})
}

// Of a server that answers no ping by a pong any inbound byte tells that the flow
// lives, for as long as silence may last otherwise.
func TestInboundBytesCountAsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r, c := connected(t, transport.Options{})
		began := time.Now()
		for range 20 {
			time.Sleep(8999 * time.Millisecond)
			send(t, c, fin|text, "busy")
			r.next(t, "message")
		}
		c.Write([]byte{fin | text, 10})
		time.Sleep(8999 * time.Millisecond)
		r.none(t)
		io.WriteString(c, "0123456789")
		r.next(t, "message")
		down := r.next(t, "down")
		if got, want := down.at.Sub(began), 21*8999*time.Millisecond+9*time.Second; got != want || !errors.Is(down.err, transport.ErrNoPong) {
			t.Errorf("down after %v with %v, want ErrNoPong after %v", got, down.err, want)
		}
	})
}

// Of a server that answers pings nothing but a pong will do: what comes in tells
// nothing of the way out, so a busy flow is pinged too. A late answer to an older
// ping does not count, nor one to no ping at all.
func TestWayOutIsDeadWhileBytesComeIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r, c := connected(t, transport.Options{})
		began := time.Now()
		in := frames(c)
		for at := 300 * time.Millisecond; at < time.Minute; at += 300 * time.Millisecond { // a server that talks all the time
			time.AfterFunc(at, func() { c.Write([]byte{fin | text, 1, 'x'}) })
		}
		var last string
		for i := range 6 {
			f := <-in
			if f.opcode != ping || f.at != time.Duration(i+1)*5*time.Second {
				t.Fatalf("got opcode %d after %v", f.opcode, f.at)
			}
			last = string(f.payload)
			send(t, c, fin|pong, last)
		}
		<-in // and from here on nothing reaches the server
		send(t, c, fin|pong, last)
		send(t, c, fin|pong, "")
		down := r.until("down")
		if got := down.at.Sub(began); got != 39*time.Second || !errors.Is(down.err, transport.ErrNoPong) {
			t.Errorf("down after %v with %v, want ErrNoPong after 39 s", got, down.err)
		}
	})
}

// A pong behind a long message on a thin line is waited for while that comes in, and
// no longer.
func TestPongBehindLongMessage(t *testing.T) {
	for _, ends := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			_, r, c := connected(t, transport.Options{})
			in := frames(c)
			send(t, c, fin|pong, string((<-in).payload))
			c.Write([]byte{fin | text, 127, 0, 0, 0, 0, 0, 0, 0x40, 0})
			for range 16 {
				time.Sleep(1700 * time.Millisecond)
				c.Write(make([]byte, 1<<10))
				if !ends && len(in) > 0 {
					break
				}
			}
			last := time.Now()
			if ends {
				r.next(t, "message")
				send(t, c, fin|pong, string((<-in).payload))
				time.Sleep(4 * time.Second)
				r.none(t)
				return
			}
			down := r.next(t, "down")
			if got := down.at.Sub(last); got != 4*time.Second || !errors.Is(down.err, transport.ErrNoPong) {
				t.Errorf("down %v after the last byte with %v", got, down.err)
			}
		})
	}
}

// The least that makes sense: a dead connection is noticed in two seconds.
func TestNoticedInTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r, _ := connected(t, transport.Options{PingInterval: time.Second, PongTimeout: time.Second})
		began := time.Now()
		if down := r.next(t, "down"); down.at.Sub(began) != 2*time.Second {
			t.Errorf("noticed after %v", down.at.Sub(began))
		}
	})
}

// The time for the pong begins when the ping leaves, not while it waits behind a
// long message on a slow network.
func TestPongIsDueAfterPingWasWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flow, r, c := connected(t, transport.Options{})
		began := time.Now()
		fill := make([]byte, 60<<10)
		flow.Send(fill)
		flow.Send(fill) // waits for the peer to read, and the ping behind it
		time.Sleep(7500 * time.Millisecond)
		in := frames(c)
		<-in
		<-in
		if f := <-in; f.opcode != ping {
			t.Fatalf("opcode %d", f.opcode)
		}
		down := r.next(t, "down")
		if got := down.at.Sub(began); got != 11500*time.Millisecond || !errors.Is(down.err, transport.ErrNoPong) {
			t.Errorf("down after %v with %v, want ErrNoPong after 11.5 s", got, down.err)
		}
	})
}

func TestPingCanBeSwitchedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r, c := connected(t, transport.Options{PingInterval: -1})
		in := frames(c)
		time.Sleep(24 * time.Hour)
		r.none(t)
		if len(in) > 0 {
			t.Errorf("sent %v", <-in)
		}
	})
}

// crlfPings checks n CRLF keep-alives, each answered at once if answer is set.
func crlfPings(t *testing.T, c *end, in <-chan timedFrame, n int, upper time.Duration, answer bool) (last time.Duration) {
	t.Helper()
	distinct := map[time.Duration]bool{}
	for range n {
		f := <-in
		gap := f.at - last
		if f.opcode != text || string(f.payload) != "\r\n\r\n" || gap < upper*8/10 || gap > upper {
			t.Fatalf("got opcode %d %q after %v, want a CRLF ping after 80 to 100 %% of %v", f.opcode, f.payload, gap, upper)
		}
		distinct[gap] = true
		last = f.at
		if answer {
			send(t, c, fin|text, "\r\n")
		}
	}
	if n > 5 && len(distinct) < 3 {
		t.Errorf("no jitter: %v", distinct)
	}
	return last
}

func TestKeepAliveByOption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r, c := connected(t, transport.Options{PingInterval: -1, KeepAliveInterval: 30 * time.Second})
		crlfPings(t, c, frames(c), 50, 30*time.Second, true)
		r.none(t)
	})
}

// A server that never answers a CRLF ping did not promise to: the flow lives on.
func TestMissingCRLFPongOfSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r, c := connected(t, transport.Options{PingInterval: -1, KeepAliveInterval: 5 * time.Second})
		crlfPings(t, c, frames(c), 50, 5*time.Second, false)
		r.none(t)
	})
}

// One that has answered before is expected to, on this flow and on its next one.
func TestMissingCRLFPongOfServerThatAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(memory)
		raw := serveRaw(t, m.listen("a:80"), switching)
		_, r := start(t, transport.Options{PingInterval: -1, KeepAliveInterval: 5 * time.Second,
			Servers: servers("ws://a"), DialContext: m.DialContext})
		c := (<-raw.conns).(*end)
		began := r.until("up").at
		in := frames(c)
		last := crlfPings(t, c, in, 10, 5*time.Second, true)
		unanswered := <-in
		if gap := unanswered.at - last; gap < 4*time.Second || gap > 5*time.Second {
			t.Fatalf("ping after %v", gap)
		}
		down := r.next(t, "down")
		if got := down.at.Sub(began) - unanswered.at; got != 10*time.Second || !errors.Is(down.err, transport.ErrNoPong) {
			t.Errorf("down %v after the ping with %v, want ErrNoPong after 10 s", got, down.err)
		}

		c = (<-raw.conns).(*end)
		began = r.until("up").at
		first := <-frames(c)
		down = r.next(t, "down")
		if got := down.at.Sub(began) - first.at; got != 10*time.Second || !errors.Is(down.err, transport.ErrNoPong) {
			t.Errorf("next flow: down %v after the ping with %v", got, down.err)
		}
	})
}

func TestSetKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flow, r, c := connected(t, transport.Options{PingInterval: -1, KeepAliveInterval: time.Minute})
		in := frames(c)
		flow.SetKeepAlive(20 * time.Second) // shorter than the option: rules
		last := crlfPings(t, c, in, 10, 20*time.Second, true)
		for _, d := range []time.Duration{2 * time.Minute, 0} { // the option rules
			flow.SetKeepAlive(d)
			first := <-in // as it was planned, or sooner
			send(t, c, fin|text, "\r\n")
			second := <-in
			send(t, c, fin|text, "\r\n")
			if first.at-last > time.Minute {
				t.Errorf("%v passed without a ping", first.at-last)
			}
			if gap := second.at - first.at; gap < 48*time.Second || gap > time.Minute {
				t.Errorf("gap of %v, want the option's interval", gap)
			}
			last = second.at
		}
		r.none(t)
	})
	synctest.Test(t, func(t *testing.T) { // asked for by the server alone, and taken back
		flow, r, c := connected(t, transport.Options{PingInterval: -1})
		in := frames(c)
		flow.SetKeepAlive(20 * time.Second)
		crlfPings(t, c, in, 10, 20*time.Second, true)
		flow.SetKeepAlive(0)
		time.Sleep(time.Hour)
		if len(in) > 0 {
			t.Errorf("sent %v after keep-alives were switched off", <-in)
		}
		r.none(t)
	})
}
