//go:build interop

package interop_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gosipua/sipua"
	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/session/rtc"
)

// TestNetworkChange: in the midst of a call a UA goes from one network to another, and so from one address to another. It is registered
// again, the call goes on with audio both ways, and either end can hang up.
//
// Only a real network loses packets, addresses and connections as networks do, without a word to anybody.
func TestNetworkChange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		both bool // both links are up until one goes down
		back bool // and it goes back
		hint bool // the application says that the network has changed
	}{
		{name: "unannounced"},
		{name: "announced", hint: true},
		{name: "announced and back", back: true, hint: true},
		{name: "both links up", both: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if !inNamespace(t) {
				return
			}
			if os.Getenv(roleVariable) == "client" {
				networkClient(t)
				return
			}
			s := newNetworkCall(t, kamailioOptions{})
			if c.both {
				s.net.up(lte)
			}
			s.call()
			s.move(wlan, lte, c.hint)
			if c.back {
				s.move(lte, wlan, c.hint)
			}
			s.hangup(c.back)
		})
	}
}

// TestSuspend: a UA in a call is stopped for longer than its far end waits for its media, and goes on. The call has audio both ways again, and
// where the server has not waited either the UA is registered again.
//
// Only an operating system stops a process as suspending it does: every timer is late at once.
func TestSuspend(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		opts   kamailioOptions
		closed bool // the server has closed the connection meanwhile
	}{
		{name: "patient server"},
		{name: "impatient server", opts: kamailioOptions{PingAfter: 5}, closed: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if !inNamespace(t) {
				return
			}
			if os.Getenv(roleVariable) == "client" {
				networkClient(t)
				return
			}
			s := newNetworkCall(t, c.opts)
			s.call()
			const asleep = 40 * time.Second
			s.mark()
			s.client.signal(syscall.SIGSTOP)
			time.Sleep(asleep)
			woken := time.Now()
			s.client.signal(syscall.SIGCONT)
			if c.closed {
				s.client.wait("disconnected")
				s.client.wait("registered")
				s.measure("registered again", woken)
			}
			s.audio()
			s.measure("audio both ways", woken)
			s.gap()
			s.client.do("stay", "")
			s.hangup(c.closed)
		})
	}
}

// networkCall is a call of a UA on another machine, with one of ours here.
type networkCall struct {
	t      *testing.T
	net    *network
	k      *kamailio
	client *remote
	bob    *testUA
	far    *uaCall // bob's end
}

// newNetworkCall has both UAs registered, the other machine's over wlan.
func newNetworkCall(t *testing.T, opts kamailioOptions) *networkCall {
	t.Helper()
	opts.Address = serverAddress
	client := startRemote(t)
	s := &networkCall{t: t, client: client, net: newNetwork(t, client.proc.cmd.Process.Pid)}
	s.k = startKamailio(t, opts)
	s.bob = newUA(t, s.k, "bob", sipua.Config{})
	s.net.up(wlan)
	s.net.route(wlan)
	client.do("start", s.k.WS)
	client.wait("registered")
	return s
}

// call has a call up with audio both ways, over wlan.
func (s *networkCall) call() {
	s.t.Helper()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		s.client.do("call", "bob")
	}()
	s.far = s.bob.answer(s.bob.waitCall(), rtc.Options{})
	<-answered
	s.audio()
	s.client.do("stay", "")
}

// audio waits until from now on there is audio at both ends.
func (s *networkCall) audio() {
	s.t.Helper()
	s.far.waitAudio(25)
	s.client.do("audio", "")
}

// move takes the other machine from one network to another, and waits until all is well again.
func (s *networkCall) move(from, to link, hint bool) {
	s.t.Helper()
	s.mark()
	offers := len(s.restarts())
	begun := time.Now()
	s.net.down(from)
	s.net.up(to)
	s.net.route(to)
	if hint {
		s.client.do("hint", "")
	}
	s.client.wait("disconnected")
	s.measure("connection noticed as dead", begun)
	for {
		if at := s.client.wait("connected").Text; at == to.address() {
			break
		}
	}
	s.client.wait("registered")
	s.measure("registered again", begun)
	s.audio()
	s.measure("audio both ways", begun)
	s.gap()
	if n := len(s.restarts()) - offers; n != 1 {
		s.t.Errorf("%d offers with other ICE credentials, want 1", n)
	}
	if got := s.far.State(); got != session.Confirmed {
		s.t.Errorf("the call is %v at the far end", got)
	}
	s.client.do("stay", "")
}

// restarts are the ICE credentials in the descriptions that came to bob in INVITEs, each once.
func (s *networkCall) restarts() []string {
	var all []string
	for _, m := range s.bob.received("INVITE") {
		_, rest, _ := strings.Cut(m, "\r\na=ice-ufrag:")
		if ufrag, _, _ := strings.Cut(rest, "\r\n"); ufrag != "" && (len(all) == 0 || all[len(all)-1] != ufrag) {
			all = append(all, ufrag)
		}
	}
	return all
}

// hangup ends the call from one side; the other one must hear of it.
func (s *networkCall) hangup(byClient bool) {
	s.t.Helper()
	if byClient {
		s.client.do("hang up", "")
	} else {
		s.far.hangup()
	}
	if end := s.far.waitEnd(); end.Kind != session.EndBye || end.Remote != byClient {
		s.t.Errorf("ended at the far end with %+v", end)
	}
	if got, want := s.client.do("end", ""), fmt.Sprintf("bye, remote %v", !byClient); got != want {
		s.t.Errorf("ended with %q, want %q", got, want)
	}
}

// mark begins to measure how long nothing is heard.
func (s *networkCall) mark() {
	s.t.Helper()
	s.client.do("mark", "")
	s.far.heard.mark()
}

// gap prints how long nothing was heard at each end.
func (s *networkCall) gap() {
	s.t.Helper()
	s.print("no packet for %v at the far end, %s at this UA", s.far.heard.gap().Round(time.Millisecond), s.client.do("gap", ""))
}

// measure prints how long something took.
func (s *networkCall) measure(what string, since time.Time) {
	s.t.Helper()
	s.print("%s after %v", what, time.Since(since).Round(time.Millisecond))
}

func (s *networkCall) print(format string, args ...any) {
	fmt.Printf(measured+format+"\n", args...)
}

// networkClient is the UA on the other machine: alice, who does what she is told.
func networkClient(t *testing.T) {
	out := &reporter{out: json.NewEncoder(os.NewFile(3, "reports"))}
	var alice *testUA
	var call *uaCall
	var same *session.Session
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var o order
		if err := json.Unmarshal(in.Bytes(), &o); err != nil {
			t.Fatal(err)
		}
		var text string
		switch o.Do {
		case "start":
			alice = newUA(t, &kamailio{WS: o.Text}, "alice", sipua.Config{
				ConnectionRecoveryMaxInterval: 2 * time.Second,
				Handler:                       sipua.Handler{Event: func(e sipua.Event) { out.tell(reportOf(e)) }},
			})
		case "call":
			call = alice.invite(o.Text, session.CallOptions{}, rtc.Options{Codecs: []string{"PCMU"}})
			call.waitAnswered()
			same = call.Session
		case "audio":
			call.waitAudio(25)
		case "stay": // the call is the one that it was, and the only one
			if all := alice.Calls(); len(all) != 1 || all[0] != same || same.State() != session.Confirmed {
				t.Errorf("calls %v, want %p alone", all, same)
			}
		case "mark":
			call.heard.mark()
		case "gap":
			text = call.heard.gap().Round(time.Millisecond).String()
		case "hint":
			alice.NetworkChanged()
		case "hang up":
			call.hangup()
		case "end":
			end := waitEnd(t, call.Context())
			text = fmt.Sprintf("%v, remote %v", end.Kind, end.Remote)
		default:
			t.Fatalf("order %+v", o)
		}
		out.tell(report{ID: o.ID, Text: text})
	}
}

// reportOf is what is reported of an event of the UA.
func reportOf(e sipua.Event) report {
	r := report{Event: e.Kind.String()}
	switch e.Kind {
	case sipua.EventConnected:
		r.Text, _, _ = strings.Cut(e.Local.String(), ":")
	case sipua.EventDisconnected, sipua.EventConnectFailed, sipua.EventRegisterFailed, sipua.EventCallDegraded:
		r.Text = fmt.Sprint(e.Err)
	}
	return r
}
