package session_test

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gosipua/sipua/session"
	"github.com/gosipua/sipua/sip"
)

// A ladder is a call flow as text. Lines that start at the margin are what
// happens to us; the indented ones below each are what we do about it, and are
// checked.
//
//	## The name of the flow
//	app dial                                    the application does something
//	    --> INVITE 1 sip:bob@example.com sdp=offer1.1
//	<-- 183 INVITE 1 sdp=b | Require: 100rel    the far end answers our request
//	    --> PRACK 2 | RAck: 5 1 INVITE
//	<-- BYE                                     or makes one of its own
//	    --> 200 BYE 101
//	wait 2s                                     what leaves meanwhile has its time
//	    +0.5s --> 180 INVITE 1
//	until 2.1s 4s                               something leaves in that span
//	media fail, media works, media fresh, media hold, media go, media connected, media silent, media lost
//	flow down, flow up, flow other (up, to another server), flow ready (registered)
//	options judge 100rel=required calls=1 timers show=Contact wire
//
// to= and from= name the far end's tag where it is not the usual one. A second
// call is B: "app B: hold", "<-- B: BYE". Call-IDs and tags of our own are
// written as call-A and tag-A; "R1" is the first RSeq that was sent, "R2" the
// next. 100 Trying is left out, and so are header fields that do not matter.
//
// A file that begins with "by hand" was written from the RFC that its flows
// name, and is never rewritten.
type ladder struct {
	*rig
	t     *testing.T
	calls []*ladderCall
	names []string // what is written for something, and what it stands for
	rseq  uint64   // the first that was sent
	show  []string
	jobs  []*ladderJob
	ref   *session.Referral
	offer *session.Offer
	go_   func() // lets the media go on
	lines []string

	told []ladderEvent // guarded by mu

	wireOnly bool // without what the media and methods do
}

// ladderCall is one Call-ID.
type ladderCall struct {
	name   string
	id     string
	s      *session.Session
	in     *session.Incoming
	far    map[string]*peer
	ours   []*sip.Request // what left, to be answered
	theirs []*sip.Request
}

// ladderEvent is what a call told the application.
type ladderEvent struct {
	s    *session.Session
	text string
}

// ladderJob is a method of the application's that has not returned.
type ladderJob struct {
	name   string
	result <-chan error
}

var updateLadders = flag.Bool("update", false, "rewrite the ladders in testdata that were not written by hand")

// shownFields are the header fields that a ladder always shows.
var shownFields = []string{"Require", "RSeq", "RAck", "Unsupported", "Retry-After", "Reason", "Refer-To", "Replaces", "Referred-By", "Refer-Sub",
	"Event", "Subscription-State", "Warning", "Min-SE"}

// TestLadders runs every flow in testdata.
func TestLadders(t *testing.T) {
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatal("no ladders", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".golden"), func(t *testing.T) { runLadders(t, file) })
	}
}

// runLadders runs the flows of a file.
func runLadders(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split("\n"+string(text), "\n## ")
	rewritten := strings.TrimPrefix(sections[0], "\n")
	for _, section := range sections[1:] {
		name, want, _ := strings.Cut(section, "\n")
		t.Run(name, func(t *testing.T) {
			got := runLadder(t, want)
			rewritten += "\n## " + name + "\n" + got
			if d := cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(got)); d != "" && (!*updateLadders || byHand(text)) {
				t.Errorf("(-want +got):\n%s\n%s", d, got)
			}
		})
	}
	if *updateLadders && !byHand(text) {
		if err := os.WriteFile(file, []byte(strings.Trim(rewritten, "\n")+"\n"), 0o644); err != nil {
			t.Error(err)
		}
	}
}

func byHand(text []byte) bool { return strings.HasPrefix(string(text), "by hand") }

// runLadder runs one flow and returns it with what we did.
func runLadder(t *testing.T, script string) string {
	l := &ladder{t: t}
	o := session.Options{Handler: *l.handler(), AskOnReplacement: true}
	lines := strings.Split(strings.TrimRight(script, "\n"), "\n")
	for _, line := range lines {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "options" {
			l.configure(&o, words[1:])
		}
	}
	bubbleWith(t, o, func(r *rig) {
		l.rig = r
		for _, line := range lines {
			if strings.HasPrefix(line, "    ") {
				continue
			}
			l.lines = append(l.lines, line)
			if line != "" && line[0] != '#' {
				l.happens(line)
				l.collect("")
			}
		}
		if l.go_ != nil {
			l.go_()
		}
	})
	return strings.Join(l.lines, "\n") + "\n"
}

func (l *ladder) configure(o *session.Options, words []string) {
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "100rel":
			l.must(o.Reliability.UnmarshalText([]byte(value)))
		case "calls":
			o.MaxCalls, _ = strconv.Atoi(value)
		case "judge":
			o.Handler.Offer = func(s *session.Session, f *session.Offer) {
				l.event(s, "offered %s", nameOf(f.Description().Body))
				l.offer = f
			}
		case "goes-on":
			o.AskOnReplacement = false
		case "timers":
			o.SessionTimers = true
		case "wire":
			l.wireOnly = true
		case "show":
			l.show = append(l.show, value)
		default:
			l.t.Fatalf("no option %q", w)
		}
	}
}

// must is that of the rig, also before there is one.
func (l *ladder) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// handler notes what the application is told.
func (l *ladder) handler() *session.Handler {
	return &session.Handler{
		State: func(s *session.Session, st session.State) {
			if st != session.Terminated {
				l.event(s, "state %v", st)
				return
			}
			end, who := context.Cause(s.Context()).(*session.EndError), "us"
			if end.Remote {
				who = "them"
			}
			l.event(s, "over: %v by %s, %s", end.Kind, who, end.Cause())
		},
		Progress: func(s *session.Session, res *sip.Response) { l.event(s, "progress %d", res.StatusCode()) },
		Hold: func(s *session.Session, h session.HoldState) {
			l.event(s, "hold local=%v remote=%v", h.Local, h.Remote)
		},
		Condition: func(s *session.Session, c session.Condition) {
			l.event(s, "condition unreachable=%v silent=%v", c.Unreachable, c.Silent)
		},
		DTMF: func(s *session.Session, d session.DTMF) { l.event(s, "digit %c %v", d.Digit, d.Duration) },
		Transfer: func(s *session.Session, p session.TransferProgress) {
			l.event(s, "transfer %d final=%v", p.Status, p.Final)
		},
		Refer: func(s *session.Session, r *session.Referral) {
			l.event(s, "asked to call %v", r.Target().URI)
			l.ref = r
		},
	}
}

// event notes what a call told.
func (l *ladder) event(s *session.Session, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, ladderEvent{s, fmt.Sprintf(format, args...)})
}

// callWith returns the call of a session.
func (l *ladder) callWith(s *session.Session) *ladderCall {
	for _, c := range l.calls {
		if c.s == s {
			return c
		}
	}
	for _, c := range l.calls {
		if c.id == s.CallID() {
			return c
		}
	}
	return l.call("A")
}

// call returns the call of that name; a new one if it is the next.
func (l *ladder) call(name string) *ladderCall {
	for _, c := range l.calls {
		if c.name == name {
			return c
		}
	}
	c := &ladderCall{name: name, far: map[string]*peer{}}
	l.calls = append(l.calls, c)
	return c
}

func (l *ladder) callOf(m sip.Message) *ladderCall {
	id := m.(interface{ CallID() string }).CallID()
	for _, c := range l.calls {
		if c.id == id {
			return c
		}
		if c.id == "" {
			c.id = id
			l.name(id, "call-"+c.name)
			return c
		}
	}
	c := l.call(string(rune('A' + len(l.calls))))
	c.id = id
	l.name(id, "call-"+c.name)
	return c
}

// name has something random written as a name.
func (l *ladder) name(random, name string) {
	if random != "" && !slices.Contains(l.names, random) {
		l.names = append(l.names, random, name)
		if esc := url.QueryEscape(random); esc != random {
			l.names = append(l.names, esc, name)
		}
	}
}

func (l *ladder) written(s string) string { return strings.NewReplacer(l.names...).Replace(s) }

func (l *ladder) meant(s string) string {
	for i := 0; i < len(l.names); i += 2 {
		s = strings.ReplaceAll(s, l.names[i+1], l.names[i])
	}
	return s
}

// target cuts "B:" off the front of words.
func (l *ladder) target(words []string) (*ladderCall, []string) {
	if len(words) > 0 && len(words[0]) == 2 && words[0][1] == ':' {
		return l.call(words[0][:1]), words[1:]
	}
	return l.call("A"), words
}

// happens makes one line happen.
func (l *ladder) happens(line string) {
	l.t.Helper()
	words := strings.Fields(line)
	switch words[0] {
	case "options":
	case "app":
		c, args := l.target(words[1:])
		l.acts(c, args)
	case "<--":
		head, fields := splitFields(line[3:])
		c, args := l.target(strings.Fields(head))
		l.arrives(c, args, fields)
	case "wait":
		d, err := time.ParseDuration(words[1])
		l.must(err)
		begun := time.Now()
		for at := time.Duration(0); at < d; {
			step := min(100*time.Millisecond, d-at)
			at += step
			time.Sleep(time.Until(begun.Add(at)))
			l.collect(fmt.Sprintf("+%gs ", at.Seconds()))
		}
	case "until":
		from, err := time.ParseDuration(words[1])
		l.must(err)
		to, err := time.ParseDuration(words[2])
		l.must(err)
		begun, n := time.Now(), len(l.lines)
		for len(l.lines) == n && time.Since(begun) <= to {
			time.Sleep(10 * time.Millisecond)
			l.collect("")
		}
		if past := time.Since(begun) - 10*time.Millisecond; past < from-10*time.Millisecond || past > to {
			l.lines = append(l.lines, "    !! after "+past.String())
		}
	case "flow":
		switch words[1] {
		case "down":
			l.down()
		case "up":
			l.up()
		case "other":
			l.upTo("other.example.com")
		case "ready":
			l.ready()
		}
	case "media":
		l.mediaDoes(words[1])
	default:
		l.t.Fatalf("what is %q?", line)
	}
	synctest.Wait()
}

func (l *ladder) mediaDoes(what string) {
	switch what {
	case "fail":
		l.media.failWith(session.ErrUnacceptable)
	case "works":
		l.media.failWith(nil)
	case "fresh":
		l.media.needFresh(1)
	case "hold":
		l.go_ = l.media.hold()
	case "go":
		l.go_()
		l.go_ = nil
	case "connected":
		l.media.last().events.Connected()
	case "silent":
		l.media.last().events.Disconnected()
	case "lost":
		l.media.last().events.Failed(errRefusedByTest)
	default:
		l.t.Fatalf("media cannot %q", what)
	}
}

func splitFields(line string) (head string, fields []sip.Field) {
	parts := strings.Split(line, " | ")
	for _, p := range parts[1:] {
		name, value, _ := strings.Cut(p, ": ")
		fields = append(fields, sip.Field{Name: name, Value: strings.TrimSpace(value)})
	}
	return parts[0], fields
}

// param takes key=value out of words.
func param(words []string, key string) (rest []string, value string, has bool) {
	for i, w := range words {
		if v, ok := strings.CutPrefix(w, key+"="); ok {
			return append(slices.Clone(words[:i]), words[i+1:]...), v, true
		}
	}
	return words, "", false
}

// collect writes down what we did.
func (l *ladder) collect(at string) {
	for m := l.next(); m != nil; m = l.next() {
		if line := l.message(m); line != "" {
			l.lines = append(l.lines, "    "+at+"--> "+line)
		}
	}
	select {
	case in := <-l.calls1:
		c := l.callOf(in.Request())
		c.in, c.s = in, in.Session()
		l.lines = append(l.lines, "    "+at+l.of(c)+"a call comes")
	default:
	}
	l.mu.Lock()
	told := l.told
	l.told = nil
	l.mu.Unlock()
	slices.SortStableFunc(told, func(a, b ladderEvent) int { // each call has a queue of its own: the oldest call first
		return strings.Compare(l.callWith(a.s).name, l.callWith(b.s).name)
	})
	for _, e := range told {
		l.lines = append(l.lines, "    "+at+l.of(l.callWith(e.s))+l.written(e.text))
	}
	l.jobs = slices.DeleteFunc(l.jobs, func(j *ladderJob) bool {
		select {
		case err := <-j.result:
			outcome := "done"
			if err != nil {
				outcome = err.Error()
			}
			if !l.wireOnly {
				l.lines = append(l.lines, "    "+at+j.name+": "+l.written(outcome))
			}
			return true
		default:
			return false
		}
	})
	l.media.mu.Lock()
	tapes := slices.Clone(l.media.made)
	l.media.mu.Unlock()
	for _, t := range tapes {
		if log := t.wrote(); log != "" && !l.wireOnly {
			l.lines = append(l.lines, fmt.Sprintf("    %smedia %d: %s", at, t.n, log))
		}
	}
}

// of is how lines about a call begin.
func (l *ladder) of(c *ladderCall) string {
	if c.name == "A" {
		return ""
	}
	return c.name + ": "
}

// message is one that left, as a line.
func (l *ladder) message(m sip.Message) string {
	c := l.callOf(m)
	line := l.of(c)
	switch m := m.(type) {
	case *sip.Request:
		line += fmt.Sprintf("%s %d", m.Method(), m.CSeq().Seq)
		if m.Method() != sip.ACK {
			c.ours = append(c.ours, m)
		}
		l.name(m.From().Tag(), "tag-"+c.name)
		switch tag := m.To().Tag(); tag {
		case "":
			line += " " + m.URIText()
		case "b", "bobtag":
		default:
			line += " to=" + tag
		}
	case *sip.Response:
		if m.StatusCode() == sip.StatusTrying {
			return ""
		}
		line += fmt.Sprintf("%d %s %d", m.StatusCode(), m.CSeq().Method, m.CSeq().Seq)
		l.name(m.To().Tag(), "tag-"+c.name)
		for _, p := range c.far {
			if p.remote.Tag() == "" {
				p.remote = m.To()
			}
		}
	}
	h := m.(interface {
		Headers(string) []string
		Body() []byte
	})
	if body := h.Body(); len(body) > 0 {
		switch name := nameOf(body); {
		case name != "":
			line += " sdp=" + name
		case strings.HasPrefix(string(body), "v=0"): // takes nothing of an offer
			line += " sdp=none"
		default:
			first, _, _ := strings.Cut(string(body), "\r\n")
			line += " body=" + strconv.Quote(first)
		}
	}
	names := append(slices.Clone(shownFields), l.show...)
	if res, ok := m.(*sip.Response); ok && res.StatusCode().IsRedirection() {
		names = append(names, "Contact")
	}
	for _, name := range names {
		for _, v := range h.Headers(name) {
			switch name {
			case "Retry-After":
				v = "any"
			case "RSeq":
				n, _ := strconv.ParseUint(v, 10, 64)
				if l.rseq == 0 {
					l.rseq = n
				}
				v = fmt.Sprintf("R%d", n-l.rseq+1)
			}
			line += " | " + name + ": " + v
		}
	}
	return l.written(line)
}

// arrives puts a message of the far end on the wire.
func (l *ladder) arrives(c *ladderCall, words []string, fields []sip.Field) {
	l.t.Helper()
	words, body, hasBody := param(words, "sdp")
	words, tag, _ := param(words, "to")
	words, from, hasFrom := param(words, "from")
	words, seq, _ := param(words, "seq")
	if hasBody {
		body = sdp(body)
	}
	for i, f := range fields {
		if value, ok := strings.CutPrefix(f.Value, "R"); ok && f.Name == "RAck" {
			n, rest, _ := strings.Cut(value, " ")
			v, _ := strconv.ParseUint(n, 10, 64)
			f.Value = fmt.Sprintf("%d %s", l.rseq+v-1, rest)
		}
		fields[i].Value = l.meant(f.Value)
	}
	if code, err := strconv.Atoi(words[0]); err == nil {
		n, _ := strconv.ParseUint(words[2], 10, 32)
		l.answers(c, sip.StatusCode(code), sip.Method(words[1]), uint32(n), tag, body, fields)
		return
	}
	anew := words[0] == "anew" // on another way, so with another branch
	again := words[0] == "again" || anew
	if again {
		words = words[1:]
	}
	method := sip.Method(words[0])
	if again {
		n, _ := strconv.ParseUint(words[1], 10, 32)
		for _, req := range c.theirs {
			if req.Method() == method && req.CSeq().Seq == uint32(n) {
				if anew {
					l.farEnd(c, from, hasFrom).again(req)
				} else {
					l.receive(req)
				}
				return
			}
		}
		l.lines = append(l.lines, "    !! there was none")
		return
	}
	p := l.farEnd(c, from, hasFrom)
	if p == nil {
		l.lines = append(l.lines, "    !! no such far end")
		return
	}
	switch method {
	case sip.CANCEL:
		p.cancel(c.theirs[0], fields...)
		return
	case sip.ACK:
		if len(words) > 1 {
			seq = words[1]
		}
	}
	req := p.request(method, body)
	if p.remote.Tag() == "" {
		l.must(req.SetFrom(p.local))
	}
	for _, f := range fields {
		l.must(req.SetHeader(f.Name, f.Value))
	}
	if seq != "" {
		n, _ := strconv.ParseUint(seq, 10, 32)
		l.must(req.SetCSeq(sip.CSeq{Seq: uint32(n), Method: method}))
	}
	if f := req.Header("Frag"); f != "" { // the body of a NOTIFY
		req.RemoveHeader("Frag")
		l.must(req.SetBody("message/sipfrag;version=2.0", []byte("SIP/2.0 "+f+"\r\n")))
	}
	if f := req.Header("Signal"); f != "" { // that of an INFO
		req.RemoveHeader("Signal")
		l.must(req.SetBody("application/dtmf-relay", []byte("Signal="+f+"\r\nDuration=160\r\n")))
	}
	c.theirs = append(c.theirs, req)
	if c.id == "" {
		c.id = p.callID
		l.name(c.id, "call-"+c.name)
	}
	l.receive(req)
}

// farEnd is who makes a request: of a fork, or of the only dialog; who calls us
// where there is none yet.
func (l *ladder) farEnd(c *ladderCall, tag string, has bool) *peer {
	if has {
		return c.far[tag]
	}
	if p := c.far["b"]; p != nil {
		return p
	}
	if len(c.ours) > 0 {
		return nil
	}
	p := l.caller()
	if c.name != "A" {
		p.local = p.local.WithTag("bobtag-" + c.name)
	}
	c.far["b"] = p
	return p
}

// answers answers a request of ours.
func (l *ladder) answers(c *ladderCall, code sip.StatusCode, method sip.Method, seq uint32, tag, body string, fields []sip.Field) {
	var req *sip.Request
	for _, r := range c.ours {
		if r.Method() == method && r.CSeq().Seq == seq && (tag == "" || r.To().Tag() == "" || r.To().Tag() == tag) {
			req = r
		}
	}
	if req == nil {
		l.lines = append(l.lines, "    !! there is none")
		return
	}
	res := sip.NewResponse(req, code, "")
	initial := req.To().Tag() == ""
	if initial && tag == "" {
		tag = "b"
	}
	if initial && tag != "none" && code > 100 {
		res.SetToTag(tag)
		if method == sip.INVITE && code < 300 && c.far[tag] == nil {
			c.far[tag] = l.called(req, tag)
			c.far[tag].seq = 100
		}
	}
	if code < 300 {
		l.must(res.SetContact(sip.NameAddr{URI: sip.URI{Scheme: "sip", User: "bob", Host: "peer.invalid"}}))
	}
	for _, f := range fields {
		if f.Name == "Contact" && code < 300 {
			l.must(res.SetHeader(f.Name, f.Value))
		} else {
			l.must(res.AddHeader(f.Name, f.Value))
		}
	}
	if body != "" {
		l.must(res.SetBody("application/sdp", []byte(body)))
	}
	l.receive(res)
}

// acts has the application do something.
func (l *ladder) acts(c *ladderCall, words []string) {
	l.t.Helper()
	name := l.of(c) + strings.Join(words, " ")
	f := l.action(c, words)
	result := make(chan error, 1)
	go func() { result <- f(context.Background()) }()
	l.jobs = append(l.jobs, &ladderJob{name, result})
}

var errRefusedByTest = fmt.Errorf("refused by the test")

// action is what the application does.
func (l *ladder) action(c *ladderCall, words []string) func(context.Context) error {
	l.t.Helper()
	has := func(w string) bool { return slices.Contains(words[1:], w) }
	last := words[len(words)-1]
	code, _ := strconv.Atoi(last)
	switch words[0] {
	case "dial":
		o := &session.CallOptions{LateOffer: has("late")}
		if has("follow") {
			o.Redirect = session.FollowContacts
		}
		if has("again") {
			o.PlaceAgain = true
		}
		if has("required") {
			o.Reliability = session.ReliableRequired
		}
		if has("ring=20s") {
			o.RingTimeout = 20 * time.Second
		}
		return func(ctx context.Context) error {
			s, err := l.rig.calls.Invite(ctx, "bob", o)
			c.s = s
			if err == nil {
				c.id = s.CallID()
				l.name(c.id, "call-"+c.name)
			}
			return err
		}
	case "answer":
		return func(ctx context.Context) error { _, err := c.in.Answer(ctx, nil); return err }
	case "ring":
		return func(context.Context) error { return c.in.Ring() }
	case "progress":
		return func(context.Context) error {
			return c.in.Progress(&session.ProgressOptions{EarlyMedia: has("early"), Reliable: has("reliable"), Code: sip.StatusCode(code)})
		}
	case "reject":
		return func(context.Context) error { return c.in.Reject(sip.StatusCode(code), nil) }
	case "redirect":
		uri, err := sip.ParseURI(last)
		l.must(err)
		return func(context.Context) error { return c.in.Redirect(sip.NameAddr{URI: uri}) }
	case "hold":
		return c.s.Hold
	case "unhold":
		return c.s.Unhold
	case "renegotiate":
		return func(ctx context.Context) error {
			return c.s.Renegotiate(ctx, &session.RenegotiateOptions{UseUpdate: has("update")})
		}
	case "hangup":
		return func(ctx context.Context) error {
			if code != 0 {
				return c.s.HangupWith(ctx, &session.HangupOptions{Code: sip.StatusCode(code)})
			}
			return c.s.Hangup(ctx)
		}
	case "refer":
		return func(ctx context.Context) error { _, err := c.s.Refer(ctx, last, nil); return err }
	case "transfer": // to the call named last
		other := l.call(last)
		return func(ctx context.Context) error { _, err := c.s.ReferTo(ctx, other.s, nil); return err }
	case "follow": // a REFER
		b := l.call(last)
		return func(ctx context.Context) error {
			s, err := l.ref.Accept(ctx, nil)
			if err == nil {
				b.s, b.id = s, s.CallID()
				l.name(b.id, "call-"+b.name)
			}
			return err
		}
	case "decline": // a REFER
		return func(context.Context) error { return l.ref.Reject(603, nil) }
	case "accept": // an offer
		return func(context.Context) error { return l.offer.Accept(nil) }
	case "refuse": // an offer
		return func(context.Context) error { return l.offer.Reject(sip.StatusCode(code), nil) }
	case "press":
		return func(ctx context.Context) error {
			return c.s.SendDTMF(ctx, last, &session.DTMFOptions{Transport: session.DTMFInfo})
		}
	case "info":
		return func(ctx context.Context) error { return c.s.SendInfo(ctx, "text/plain", []byte("hello"), nil) }
	}
	l.t.Fatalf("the application cannot %q", words)
	return nil
}
