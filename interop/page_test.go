//go:build interop

package interop_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What a page runs: the names of the files in browserDir.
const (
	peerJsSIP = "jssip"
	peerSIPJS = "sipjs"
)

// page is a browser tab with one user agent, of JsSIP or SIP.js. Its methods fail the test it was made for.
type page struct {
	User string
	Peer string // what it runs

	t  testing.TB
	b  *browser
	id int

	mu sync.Mutex
	// guarded by mu
	events  []event
	wire    []wireMessage
	changed chan struct{} // closed and replaced with every event
}

// event is something that a page reported, by JsSIP's name for it.
type event struct {
	Name       string `json:"event"`
	Call       int    `json:"call"`       // 0: of the user agent
	Originator string `json:"originator"` // local, remote or system
	Cause      string `json:"cause"`      // JsSIP.C.causes
	Status     int    `json:"status"`
	Reason     string `json:"reason"` // phrase of the response
	From       string `json:"from"`
	Type       string `json:"type"` // of Body
	Body       string `json:"body"`

	at    time.Time // when it was told
	taken bool      // by a wait; later waits for the same name mean the next one
}

// wireMessage is a SIP message as it passed the page's socket.
type wireMessage struct {
	Sent bool   `json:"sent"`
	Text string `json:"text"`
}

// iceServer is an RTCIceServer.
type iceServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// pageOptions change how a page comes up.
type pageOptions struct {
	Server     string // "": the Kamailio's WS
	Password   string // "": the right one
	Expires    int    // seconds asked for. 0: 600
	ICEServers []iceServer
	RelayOnly  bool   // no candidate but relayed ones
	Peer       string // what the page runs. "": JsSIP
	Firefox    bool   // in Firefox instead of Chromium
	Reliable   string // SIP.js's use of 100rel: "Supported" or "Required". "": none

	// of JsSIP
	Spare    string // a second server, of less weight
	Patient  bool   // JsSIP's own intervals between attempts to connect, instead of shorter ones
	Timeless bool   // no session timers
	Deaf     bool   // no listener for INVITEs with Replaces, to which JsSIP then gives no answer
	Follow   bool   // a call that replaces another one is answered at once, with an event takenOver of the old one
}

// newPage opens a page with JsSIP in Chromium whose user is registered with k over plain WebSocket.
func newPage(t testing.TB, k *kamailio, user string) *page {
	t.Helper()
	return registeredPage(t, k, user, pageOptions{})
}

// newSIPJSPage is newPage with SIP.js.
func newSIPJSPage(t testing.TB, k *kamailio, user string) *page {
	t.Helper()
	return registeredPage(t, k, user, pageOptions{Peer: peerSIPJS})
}

// newFirefoxPage is newPage in Firefox.
func newFirefoxPage(t testing.TB, k *kamailio, user string) *page {
	t.Helper()
	return registeredPage(t, k, user, pageOptions{Firefox: true})
}

// registeredPage opens a page whose user is registered with k.
func registeredPage(t testing.TB, k *kamailio, user string, opts pageOptions) *page {
	t.Helper()
	p := openPage(t, k, user, opts)
	p.register()
	p.waitEvent("registered")
	return p
}

// openPage opens a page that is connected with k and not registered.
func openPage(t testing.TB, k *kamailio, user string, opts pageOptions) *page {
	t.Helper()
	chosen := sharedChromium
	if opts.Firefox {
		chosen = sharedFirefox
	}
	if opts.Peer == "" {
		opts.Peer = peerJsSIP
	}
	b := chosen(t)
	p := &page{User: user, Peer: opts.Peer, t: t, b: b, changed: make(chan struct{})}
	b.mu.Lock()
	b.lastID++
	p.id = b.lastID
	b.open[p.id] = p
	b.mu.Unlock()
	t.Cleanup(p.close)

	if opts.Server == "" {
		opts.Server = k.WS
	}
	if opts.Password == "" {
		opts.Password = password(user)
	}
	p.do("open", map[string]any{"peer": opts.Peer}, nil)
	p.do("newUA", map[string]any{
		"server": opts.Server, "uri": aor(user), "password": opts.Password, "expires": opts.Expires,
		"iceServers": opts.ICEServers, "relayOnly": opts.RelayOnly, "reliable": opts.Reliable,
		"spare": opts.Spare, "patient": opts.Patient, "timeless": opts.Timeless, "follow": opts.Follow, "deaf": opts.Deaf,
	}, nil)
	p.waitEvent("connected")
	return p
}

func (p *page) close() {
	p.t.Helper()
	if err := p.b.command(p.id, "close", nil, nil); err != nil {
		p.t.Errorf("page of %s: %v", p.User, err)
	}
	p.b.mu.Lock()
	delete(p.b.open, p.id)
	p.b.mu.Unlock()
	if p.t.Failed() {
		p.t.Logf("page of %s:\n%s", p.User, p.history())
		showLog(p.t, p.b.name, p.b.log)
	}
}

// do runs a command of the page.
func (p *page) do(cmd string, args map[string]any, result any) {
	p.t.Helper()
	if err := p.b.command(p.id, cmd, args, result); err != nil {
		p.t.Fatalf("page of %s: %v", p.User, err)
	}
}

func (p *page) register()      { p.t.Helper(); p.do("register", nil, nil) }
func (p *page) unregister()    { p.t.Helper(); p.do("unregister", nil, nil) }
func (p *page) unregisterAll() { p.t.Helper(); p.do("unregister", map[string]any{"all": true}, nil) }

// stop ends the user agent: JsSIP hangs up, unregisters and disconnects.
func (p *page) stop() { p.t.Helper(); p.do("stop", nil, nil) }

// send writes text to the socket as it is.
func (p *page) send(text string) { p.t.Helper(); p.do("send", map[string]any{"text": text}, nil) }

// message sends a MESSAGE and returns how it was answered.
func (p *page) message(target, contentType, body string) event {
	p.t.Helper()
	var answer event
	p.do("message", map[string]any{"target": target, "type": contentType, "body": body}, &answer)
	return answer
}

// options sends an OPTIONS and returns how it was answered.
func (p *page) options(target string) event {
	p.t.Helper()
	var answer event
	p.do("options", map[string]any{"target": target}, &answer)
	return answer
}

// waitEvent waits for the next event of the user agent with that name.
func (p *page) waitEvent(name string) event {
	p.t.Helper()
	return p.wait(0, name)
}

// contrary names the events after which another one will not come.
var contrary = map[string][]string{
	"registered": {"registrationFailed"},
	"connected":  {"pageerror"},
}

func (p *page) wait(call int, name string) event {
	p.t.Helper()
	against := contrary[name]
	if call != 0 {
		against = []string{"ended", "failed"}
	}
	limit := time.After(stepLimit)
	for {
		e, ok, bad, changed := p.take(call, name, against)
		if ok {
			return e
		}
		if bad != nil {
			p.t.Fatalf("page of %s: %q instead of %q: %+v", p.User, bad.Name, name, *bad)
		}
		select {
		case <-changed:
		case <-p.b.closed:
			p.t.Fatalf("page of %s: %s ended before %q", p.User, p.b.name, name)
		case <-limit:
			p.t.Fatalf("page of %s: no %q within %v", p.User, name, stepLimit)
		}
	}
}

// take finds the next event of that name, or one that says it will not come.
func (p *page) take(call int, name string, against []string) (e event, ok bool, bad *event, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.events {
		e := &p.events[i]
		if e.taken || e.Call != call {
			continue
		}
		if e.Name == name {
			e.taken = true
			return *e, true, nil, nil
		}
		if bad == nil && slices.Contains(against, e.Name) {
			c := *e
			bad = &c
		}
	}
	return event{}, false, bad, p.changed
}

// record takes an event from the driver.
func (p *page) record(line []byte) {
	var e struct {
		event
		wireMessage
	}
	if err := json.Unmarshal(line, &e); err != nil {
		e.Name, e.Body = "unreadable", err.Error()+": "+string(line)
	}
	e.at = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Name == "wire" {
		p.wire = append(p.wire, e.wireMessage)
	}
	p.events = append(p.events, e.event)
	close(p.changed)
	p.changed = make(chan struct{})
}

// received returns the requests of a method, or the responses if start is "SIP/2.0 …", that have come in so far.
func (p *page) received(start string) []string { return p.messages(start, false) }

// sent returns what the page has sent so far, chosen likewise.
func (p *page) sent(start string) []string { return p.messages(start, true) }

func (p *page) messages(start string, sent bool) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []string
	for _, m := range p.wire {
		if m.Sent == sent && strings.HasPrefix(m.Text, start+" ") {
			found = append(found, m.Text)
		}
	}
	return found
}

// history is all that happened in the page, in order.
func (p *page) history() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out strings.Builder
	wire := p.wire
	for _, e := range p.events {
		if e.Name != "wire" {
			fmt.Fprintf(&out, "-- %s call=%d %s %s %d %s %s\n", e.Name, e.Call, e.Originator, e.Cause, e.Status, e.Reason, e.Body)
			continue
		}
		arrow := "<<"
		if wire[0].Sent {
			arrow = ">>"
		}
		fmt.Fprintf(&out, "%s %s\n", arrow, strings.TrimSpace(wire[0].Text))
		wire = wire[1:]
	}
	return out.String()
}
